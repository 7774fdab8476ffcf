"""Which processes belong to an attempt, whatever session or parent they chose.

launchpad is a subreaper, so all that a service ever started is a descendant of its main process or an
orphan that came to us; no look at the whole machine is needed. An orphan belongs to an attempt by its
session, by the markers in its environment, or because it was seen there before. One that can be told by
none of these belongs to the last attempt that is left. Where launchpad is no subreaper, or did not start
the process itself, the markers of every process are read instead.

Decides membership; signals and waits are `tree_end`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launchpad.core.model import Handle
from launchpad.hosts.local import process
from launchpad.hosts.local.process import Stat
from launchpad.hosts.local.process_children import orphans

Key = tuple[int, int]
"""pid and start time: one process for ever."""


class Trees:
    def __init__(self, run_id: str, complete: bool) -> None:
        self._run_id = run_id
        self._complete = complete
        """Orphans come to us."""
        self._mains: dict[int, Handle] = {}
        self._sessions: dict[int, int] = {}
        self._adopted: dict[int, str] = {}
        """With the run that they were started in."""
        self._led: dict[int, None] = {}
        """Those whose main process was seen: the number of its session is given to no other while any of it lives."""
        self._seen: dict[Key, int] = {}
        self._keys: dict[int, dict[Key, None]] = {}
        """Attempt → which of those."""

    def add(
        self,
        attempt: int,
        main: Handle,
        *,
        adopted: bool = False,
        run_id: str = "",
        known: Iterable[Stat] = (),
    ) -> None:
        """From now on this attempt has processes. `adopted`: another program started it, as part of the run
        `run_id`; `known` are some of them."""
        self._mains[attempt] = main
        self._sessions[main.pid] = attempt
        if adopted:
            self._adopted[attempt] = run_id or self._run_id
        leader = process.stat(main.pid) if adopted else None
        if not adopted or (leader is not None and leader.start == main.start):
            self._led[attempt] = None
        self._know(attempt, known)

    def drop(self, attempt: int) -> None:
        main = self._mains.pop(attempt, None)
        if main is not None and self._sessions.get(main.pid) == attempt:
            del self._sessions[main.pid]
        self._adopted.pop(attempt, None)
        self._led.pop(attempt, None)
        for key in self._keys.pop(attempt, ()):
            if self._seen.get(key) == attempt:
                del self._seen[key]

    def _know(self, attempt: int, members: Iterable[Stat]) -> None:
        for one in members:
            self._seen[one.pid, one.start] = attempt
            self._keys.setdefault(attempt, {})[one.pid, one.start] = None

    def is_session(self, session: int) -> bool:
        return session in self._sessions

    def members(self, attempt: int, orphaned: Sequence[int] | None = None) -> list[Stat]:
        """Its live processes, the main one first if it lives. Cheap when nothing is left. For one whose main process
        has ended, `orphaned` may be what `orphans` has said since."""
        main = self._mains.get(attempt)
        if main is None:
            return []
        dead: dict[Key, None] = {}
        while True:
            known = len(dead)
            found = self._look(attempt, main, orphaned, dead)
            if len(dead) == known:
                break
            orphaned = None
        self._know(attempt, found)
        return found

    def _look(
        self, attempt: int, main: Handle, orphaned: Sequence[int] | None, dead: dict[Key, None]
    ) -> list[Stat]:
        """`dead` gets those that ended while this looked: what they left behind may have come to us too late to be seen."""
        found: dict[int, Stat] = {}
        _find(found, [(main.pid, main.start)], {})
        roots = []
        for pid in orphans() if orphaned is None else orphaned:
            one = process.stat(pid)
            if one is not None and not one.lives:
                dead[one.pid, one.start] = None
            elif one is not None and self._owner(one) == attempt:
                roots.append((one.pid, one.start))
        if not self._complete or attempt in self._adopted:
            roots += [(one.pid, one.start) for one in self._marked(attempt)]
        _find(found, roots, dead)
        return list(found.values())

    def _owner(self, orphan: Stat) -> int | None:
        owner = self._seen.get((orphan.pid, orphan.start))
        if owner is None:
            owner = self._sessions.get(orphan.session)
        if owner is None and (marks := process.marks(orphan.pid)) and marks.run_id == self._run_id:
            owner = marks.attempt if marks.attempt in self._mains else None
        if owner is None:
            ours = [attempt for attempt in self._mains if attempt not in self._adopted]
            return ours[0] if len(ours) == 1 else None
        self._know(owner, [orphan])
        return owner

    def _marked(self, attempt: int) -> list[Stat]:
        """Wherever they are: of what another program started, orphans do not come to us."""
        run_id, main = self._adopted.get(attempt, self._run_id), self._mains[attempt]
        session = main.pid if attempt in self._led else -1
        found = []
        for pid in process.pids():
            one = process.stat(pid)
            if one is None or not one.lives:
                continue
            known = one.session == session or self._seen.get((pid, one.start)) == attempt
            if known or process.is_marked(pid, run_id, attempt):
                found.append(one)
        return found


def _find(found: dict[int, Stat], roots: list[Key], dead: dict[Key, None]) -> None:
    """These and their descendants, as far as they live. A dead one has no children any more: they went to the subreaper."""
    listing = None if not roots or process.children_are_listed() else process.parents()
    queue = list(roots)
    while queue:
        pid, start = queue.pop(0)
        if pid in found:
            continue
        below = process.children(pid) if listing is None else listing.get(pid, [])
        one = process.stat(pid)  # after its children: if it lives now, they are all
        if one is None or not one.lives or start not in (0, one.start):
            dead[pid, start] = None
            continue
        found[pid] = one
        queue += [(child, 0) for child in below]


def describe(members: Iterable[Stat], limit: int = 5) -> str:
    """Pids and commands in words, the same for the same processes."""
    listed = sorted(members, key=lambda one: one.pid)
    parts = [f"pid {one.pid} `{process.command_line(one.pid, 60)}`{_stuck(one)}" for one in listed[:limit]]
    if len(listed) > limit:
        parts.append(f"and {len(listed) - limit} more")
    return ", ".join(parts)


def _stuck(one: Stat) -> str:
    return " (the kernel has not let it go)" if one.state == "D" else ""

"""Which processes belong to an attempt, whatever session or parent they chose.

launchpad is a subreaper, so all that a service ever started is a descendant of its main process or an
orphan that came to us; no look at the whole machine is needed. An orphan belongs to an attempt by its
session, by the markers in its environment, or because it was seen there before. One that can be told by
none of these belongs to the last attempt that is left. Where launchpad is no subreaper, or did not start
the process itself, the markers of every process are read instead.

Decides membership; signals and waits are `tree_end`'s.
"""

from __future__ import annotations

from collections.abc import Iterable

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
        self._seen.update(((one.pid, one.start), attempt) for one in known)

    def drop(self, attempt: int) -> None:
        main = self._mains.pop(attempt, None)
        if main is not None and self._sessions.get(main.pid) == attempt:
            del self._sessions[main.pid]
        self._adopted.pop(attempt, None)
        self._led.pop(attempt, None)
        self._seen = {key: owner for key, owner in self._seen.items() if owner != attempt}

    def is_session(self, session: int) -> bool:
        return session in self._sessions

    def members(self, attempt: int) -> list[Stat]:
        """Its live processes, the main one first if it lives. Cheap when nothing is left."""
        main = self._mains.get(attempt)
        if main is None:
            return []
        roots = [one for one in [process.stat(main.pid)] if one is not None and one.start == main.start]
        roots += [one for pid in orphans() if (one := process.stat(pid)) and self._owner(one) == attempt]
        if not self._complete or attempt in self._adopted:
            roots += self._marked(attempt)
        found = _with_descendants(roots)
        for one in found:
            self._seen[one.pid, one.start] = attempt
        return found

    def _owner(self, orphan: Stat) -> int | None:
        key = (orphan.pid, orphan.start)
        owner = self._seen.get(key)
        if owner is None:
            owner = self._sessions.get(orphan.session)
        if owner is None and (marks := process.marks(orphan.pid)) and marks.run_id == self._run_id:
            owner = marks.attempt if marks.attempt in self._mains else None
        if owner is None:
            ours = [attempt for attempt in self._mains if attempt not in self._adopted]
            return ours[0] if len(ours) == 1 else None
        if orphan.lives:
            self._seen[key] = owner
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


def _with_descendants(roots: Iterable[Stat]) -> list[Stat]:
    """Live ones, each once. A dead root has no children any more: they went to the subreaper."""
    listing = None if process.children_are_listed() else process.parents()
    found: dict[int, Stat] = {}
    queue = list(roots)
    while queue:
        one = queue.pop(0)
        if one.pid in found or not one.lives:
            continue
        found[one.pid] = one
        below = process.children(one.pid) if listing is None else listing.get(one.pid, [])
        queue += [child for pid in below if pid not in found and (child := process.stat(pid))]
    return list(found.values())


def describe(members: Iterable[Stat], limit: int = 5) -> str:
    """Pids and commands in words, the same for the same processes."""
    listed = sorted(members, key=lambda one: one.pid)
    parts = [f"pid {one.pid} `{process.command_line(one.pid, 60)}`{_stuck(one)}" for one in listed[:limit]]
    if len(listed) > limit:
        parts.append(f"and {len(listed) - limit} more")
    return ", ".join(parts)


def _stuck(one: Stat) -> str:
    return " (the kernel has not let it go)" if one.state == "D" else ""

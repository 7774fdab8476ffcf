"""Hot reload as a transaction: read, wait until the file is finished, plan, compare, take what is needed, then apply.

Decides when a save is finished, when it is too much for a mere save, and what is said about it. Whatever cannot be
applied changes nothing. Refuses to know how one learns of a save.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from launchpad.control.api import Reply
from launchpad.core.model import Service
from launchpad.errors import Diagnostic, Refused
from launchpad.plan import caution
from launchpad.plan.diff import Change, lines, of_stack
from launchpad.plan.read import Goals, Reading
from launchpad.runtime import effects, kept
from launchpad.runtime.apply import apply, goals_of
from launchpad.runtime.contents import Contents, contents, is_being_written
from launchpad.runtime.draft import Draft, as_read, take
from launchpad.runtime.environments import Makings
from launchpad.runtime.options import UpOptions
from launchpad.runtime.read import override
from launchpad.runtime.supervisor import Supervisor

STACK_SUFFIXES = (".yaml", ".yml")
KEEP_AFTER_S = 1.0
"""What is applied and is not replaced within it is kept for the next start."""


class Patience(Struct, frozen=True):
    """For how long, in seconds, a file has to stay the same before it counts as finished. `settle_s` always;
    `broken_s` while it cannot be used (an editor may be in the middle); `ending_s` while it would end something;
    `cut_s` while it is the beginning of what runs, and would disturb something; `writing_s` is how long a
    process may have it open for writing, `most_s` how long all of this may take."""

    settle_s: float = 0.02
    broken_s: float = 0.6
    ending_s: float = 0.3
    cut_s: float = 2.0
    writing_s: float = 3.0
    most_s: float = 10.0
    look_s: float = 0.01


class _Meaning(Struct, frozen=True):
    """What a draft would do. `names`: those that the stack is for then, none for all of it."""

    names: tuple[str, ...]
    reading: Reading
    goals: Goals
    changes: tuple[Change, ...]
    of: tuple[object, ...]
    """What it was found out from; as long as that is so, it is not found out again."""
    kept: tuple[object, ...]
    """What `of` names by its identity."""


class Reloader:
    """The only one who changes what the stack is, one change at a time."""

    def __init__(self, supervisor: Supervisor, options: UpOptions, patience: Patience | None = None) -> None:
        self._supervisor = supervisor
        self._options = options
        self._patience = patience or Patience()
        self._busy = asyncio.Lock()
        self._applied: Contents | None = None
        self._judged: Contents | None = as_read(options, supervisor.reading)
        self._awaiting: Contents | None = None
        """What waits for environments, and is judged again when they are there."""
        self._known: _Meaning | None = None
        self._files: dict[Path, None] = dict.fromkeys(self._judged)
        self._makings = Makings(supervisor, self._told, self._made)
        self._waits_for: tuple[Service, ...] = ()
        """Services whose environments a save waits for."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.TimerHandle | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that the stack is made of, also those that could be there and are not."""
        return tuple(self._files)

    async def saved(self) -> None:
        """Something may have changed on disk: apply it, or say why not."""
        async with self._busy:
            if await asyncio.to_thread(contents, self.inputs) == self._judged:
                return
            draft = await self._finished(self._options, self._pause)
            self._remember(draft)
            if draft.contents == self._judged or not self._supervisor.is_open:
                return
            self._judged = draft.contents
            if draft.contents != self._awaiting:
                self._makings.try_again()
            self._waits_for, self._awaiting = (), None
            await self._judge(draft)
            self._makings.keep_only(self._waits_for)

    async def asked(self, body: Mapping[str, Any], names: tuple[str, ...], *, retry: bool) -> Reply:
        """Somebody wants the file applied now. Raises Refused, with nothing changed. `retry`: what has failed
        is tried again."""
        async with self._busy:
            reply = await self._asked(body, names, retry=retry)
        if not reply.waits:
            return reply
        await self._makings.wait_a_little()
        return replace(reply, waits=self._makings.text or reply.waits)

    async def _asked(self, body: Mapping[str, Any], names: tuple[str, ...], *, retry: bool) -> Reply:
        options = override(self._options, body)
        draft = await self._finished(options, lambda draft: self._patience.settle_s)
        self._remember(draft)
        meaning, question = self._wanted(draft, body, names, retry=retry)
        if question is not None and body.get("yes") is not True:
            raise Refused([question])
        if waits := self._begin(meaning, again=body.get("again") is True):
            return Reply(True, waits=waits)
        said = await self._apply(draft, meaning, options)
        self._supervisor.asked_with(options.asked())
        return Reply(True, changes=said, effects=effects.views(meaning.changes))

    async def compare(self, body: Mapping[str, Any], names: tuple[str, ...]) -> Reply:
        """What applying the file would do. Raises Refused where it cannot be applied."""
        draft = await self._finished(override(self._options, body), lambda draft: self._patience.settle_s)
        meaning, question = self._wanted(draft, body, names, retry=body.get("retry") is True)
        return Reply(
            True,
            changes=self._said(meaning),
            diagnostics=() if question is None else (question,),
            effects=effects.views(meaning.changes),
        )

    def _wanted(
        self, draft: Draft, body: Mapping[str, Any], names: tuple[str, ...], *, retry: bool
    ) -> tuple[_Meaning, Diagnostic | None]:
        """What somebody asks for, and why it should be confirmed, if it should. Raises Refused."""
        base = () if body.get("all") is True else self._supervisor.names
        meaning = self._meaning(draft, base, names, retry=retry)
        if meaning is None:
            raise Refused(_told_unchanged(draft.problems))
        return meaning, effects.held(
            self._supervisor, meaning.reading, meaning.changes, body.get("scale", ())
        )

    # --- when a save is finished -------------------------------------------------------------------

    async def _finished(self, options: UpOptions, pause: Callable[[Draft], float]) -> Draft:
        """The file once it has been the same for a while. How long, `pause` says of what was read."""
        loop = asyncio.get_running_loop()
        begun = since = loop.time()
        draft = await asyncio.to_thread(take, options, self.inputs, self._supervisor.reading)
        long_enough = pause(draft)
        while True:
            now = loop.time()
            left = since + long_enough - now
            if now - begun > self._patience.most_s:
                return draft
            writing = left <= 0 and now - begun < self._patience.writing_s
            over = left <= 0 and not (writing and any(map(is_being_written, draft.inputs)))
            if not over:
                pause_s = min(self._patience.look_s, max(left, 0.001))
                await asyncio.sleep(pause_s)  # nothing tells that a file will not be written any more
            if await asyncio.to_thread(contents, draft.inputs) != draft.contents:
                since = loop.time()
                draft = await asyncio.to_thread(take, options, self.inputs, self._supervisor.reading)
                long_enough = pause(draft)
            elif over:  # looked at after that: whoever wrote it may have finished and left in between
                return draft

    def _pause(self, draft: Draft) -> float:
        if draft.contents in (self._applied, self._judged):
            return 0.0
        meaning = self._meaning(draft, self._supervisor.names)
        if meaning is None:
            return self._patience.broken_s
        cut = any(caution.is_cut_off(*versions) for versions in self._before_and_now(draft))
        if cut and caution.disturbs(meaning.changes):
            return self._patience.cut_s
        return self._patience.ending_s if caution.ends(meaning.changes) else self._patience.settle_s

    def _before_and_now(self, draft: Draft) -> list[tuple[bytes | None, bytes | None]]:
        """Each stack file, also those that are included, as it was applied, and as it stands there."""
        before, file = self._applied or {}, self._options.file
        files = [one for one in draft.contents if one == file or one.suffix in STACK_SUFFIXES]
        return [(before.get(one), draft.contents[one]) for one in files]

    # --- what it means, and whether it may ---------------------------------------------------------

    def _meaning(
        self, draft: Draft, base: tuple[str, ...], asked: tuple[str, ...] = (), *, retry: bool = False
    ) -> _Meaning | None:
        """`base`: the names that the stack is for so far, none for all of it; `asked`: those named just now."""
        if draft.reading is None:
            return None
        supervisor = self._supervisor
        of = (id(draft), id(supervisor.reading), asked, retry, base, supervisor.driver.turns)
        if self._known is None or self._known.of != of:
            names = base and tuple(dict.fromkeys((*base, *asked)))
            goals = goals_of(supervisor, draft.reading, base, asked, retry)
            found = effects.effects(supervisor, draft.reading, goals)
            self._known = _Meaning(names, draft.reading, goals, found, of, (draft, supervisor.reading))
        return self._known

    async def _judge(self, draft: Draft) -> None:
        supervisor, file = self._supervisor, self._options.file.name
        meaning = self._meaning(draft, supervisor.names)
        if meaning is None:
            gone = draft.contents.get(self._options.file) is None
            return self._refuse(f"{file} is gone" if gone else f"{file} cannot be applied", draft.problems)
        if draft.contents == self._applied or self._is_what_runs(meaning):
            self._applied = draft.contents
            self._options = replace(self._options, scaled=meaning.reading.scaled)
            news = of_stack(supervisor.reading, meaning.reading)
            supervisor.adopt_reading(meaning.reading, supervisor.names)
            if news:
                return supervisor.notices.applied(f"{file} was applied", (*news, *lines(meaning.changes)))
            return supervisor.notices.fresh(f"{file} is again what runs" if supervisor.notices.stale else "")
        question = effects.held(supervisor, meaning.reading, meaning.changes)
        cut = any(caution.is_cut_within_a_line(*versions) for versions in self._before_and_now(draft))
        if question is None and cut and caution.disturbs(meaning.changes):
            why = "it ends in the middle of a line, and is nothing but the beginning of what runs"
            question = effects.waits(why)
        if question is not None:
            return self._refuse(f"{file} waits for your word", [question])
        try:
            if self._begin(meaning, again=True):
                self._waits_for, self._awaiting = self._missing(meaning), draft.contents
            else:
                await self._apply(draft, meaning, self._options)
        except Refused as refused:
            self._refuse(f"{file} cannot be applied", refused.diagnostics)
        return None

    def _missing(self, meaning: _Meaning) -> tuple[Service, ...]:
        return self._makings.missing(meaning.reading, meaning.goals)

    def _begin(self, meaning: _Meaning, *, again: bool) -> str:
        """Whether there are environments to be made first, in words; their making is begun. Raises Refused where it
        has failed; tried anew unless `again`."""
        missing = self._missing(meaning)
        if not again:
            self._makings.try_again()
        if found := self._makings.problems(missing, meaning.reading.label, effects.UNCHANGED):
            raise Refused(found)
        self._makings.begin(missing)
        names = ", ".join(f"`{service.name}`" for service in missing)
        return f"making the environment of {names}" if missing else ""

    def _told(self, text: str) -> None:
        if self._waits_for:
            self._supervisor.notices.waits(f"{self._options.file.name} is not applied yet", text)

    def _made(self) -> None:
        """An environment is there, or has failed: what waited for it is judged again."""
        if self._waits_for and self._makings.is_decided(self._waits_for):
            self._judged = None
            task = asyncio.get_running_loop().create_task(self.saved())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_what_runs(self, meaning: _Meaning) -> bool:
        units = self._supervisor.engine.units
        same = meaning.reading.plan.services == self._supervisor.reading.plan.services
        return same and all(name in units and units[name].goal for name, _ in meaning.goals)

    def _refuse(self, text: str, problems: Sequence[Diagnostic]) -> None:
        self._supervisor.notices.keep_as_it_is(text, tuple(_told_unchanged(problems)))

    async def _apply(self, draft: Draft, meaning: _Meaning, options: UpOptions) -> tuple[str, ...]:
        """`options`: those that it was read with."""
        supervisor = self._supervisor
        news = of_stack(supervisor.reading, meaning.reading)
        said = lines(meaning.changes, news)

        def tell() -> None:
            if supervisor.notices.stale or news or any(one.verb != "keep" for one in meaning.changes):
                supervisor.notices.applied(f"{self._options.file.name} was applied", said)

        await apply(supervisor, meaning.reading, meaning.goals, meaning.names, tell)
        self._options = replace(options, scaled=meaning.reading.scaled)
        self._applied = self._judged = draft.contents
        self._files = dict.fromkeys(draft.inputs)
        self._keep(meaning.reading)
        return said

    def _keep(self, reading: Reading) -> None:
        """For the next start: not now, when processes are to be replaced."""
        if self._keeping is not None:
            self._keeping.cancel()
        loop, path = asyncio.get_running_loop(), self._supervisor.paths.kept
        self._keeping = loop.call_later(KEEP_AFTER_S, kept.save, path, reading)

    def _said(self, meaning: _Meaning) -> tuple[str, ...]:
        return lines(meaning.changes, of_stack(self._supervisor.reading, meaning.reading))

    def _remember(self, draft: Draft) -> None:
        self._files.update(dict.fromkeys(draft.inputs))


def _told_unchanged(problems: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The last one says what did not happen."""
    *others, last = problems
    return [*others, replace(last, consequence=last.consequence or effects.UNCHANGED)]

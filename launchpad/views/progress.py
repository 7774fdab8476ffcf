"""How a start and a stop look while they go on, and what is said when they are over.

Decides the live block of a terminal and the summary. Refuses to know how a block is kept in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from launchpad.control.api import ServiceView, Snapshot
from launchpad.errors import ExitCode, listed
from launchpad.views.words import GLYPHS, LIVE_STATES, STYLES, duration, plain, ports_text, state_word, why

if TYPE_CHECKING:
    from rich.text import Text

LastLine = Callable[[str], str]
PATIENCE_S = 2.0
"""A stop that takes longer is one of which somebody may want to know how to end it."""


def block(
    snapshot: Snapshot,
    last_line: LastLine,
    *,
    width: int,
    height: int,
    now: float,
    since: float,
    ours: bool = False,
) -> Text:
    """One line for the whole and one for each service that is on its way, cut to `width` columns and
    to fewer lines than `height`. `since`: when this start or stop began. `ours`: Ctrl-C here is for the stack."""
    from rich.text import Text

    views, hidden = _most_interesting(snapshot, max(1, height - 3))
    name_width = max((len(view.name) for view in views), default=0)
    lines = [_headline(snapshot, now - since)]
    if ours and snapshot.phase == "stopping" and now - since > PATIENCE_S:
        lines[0].append("  Ctrl-C again kills", "dim")
    lines += [_service_line(view, last_line(view.name), name_width, now) for view in views]
    if hidden:
        lines.append(Text(f"  … and {hidden} more", "dim"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True, end="").join(lines)


def _most_interesting(snapshot: Snapshot, room: int) -> tuple[list[ServiceView], int]:
    """Those that are on their way, then the others, in the stack's order, as far as there is room."""
    views = list(snapshot.services)
    if snapshot.phase == "stopping":
        views = [view for view in views if view.state in LIVE_STATES]
    if len(views) <= room:
        return views, 0
    ranked = sorted(views, key=_is_settled)[: room - 1]
    chosen = {view.name for view in ranked}
    return [view for view in views if view.name in chosen], len(views) - len(ranked)


def _is_settled(view: ServiceView) -> bool:
    return state_word(view) in ("ready", "running", "done", "stopped", "waiting")


def _headline(snapshot: Snapshot, elapsed_s: float) -> Text:
    from rich.text import Text

    wanted = [view for view in snapshot.services if view.goal == "up"]
    if snapshot.phase == "stopping":
        alive = sum(view.state in LIVE_STATES for view in snapshot.services)
        said = f"is stopping, {alive} still there"
    else:
        good = sum(state_word(view) in ("ready", "running", "done") for view in wanted)
        said = f"is starting, {good} of {len(wanted)}"
    return Text.assemble((snapshot.stack, "bold"), f" {said}  ", (duration(elapsed_s), "dim"))


def _service_line(view: ServiceView, last: str, name_width: int, now: float) -> Text:
    from rich.text import Text

    word = state_word(view)
    line = Text("  ")
    line.append(f"{GLYPHS[word]} {view.name.ljust(name_width)} ", STYLES[word])
    line.append(f" {word:<8} ", STYLES[word])
    line.append(f"{_elapsed(view, now):>10}  ", "dim")
    if view.ports:
        line.append(" ".join(f":{number}" for number in view.ports.values()) + "  ", "blue")
    reason = why(view)
    if reason:
        line.append(
            reason, "red" if word in ("failed", "backoff") else "yellow" if word != "waiting" else "dim"
        )
    if last and word in ("starting", "running", "unready", "stopping", "killing"):
        line.append(("  " if reason else "") + last, "dim italic")
    return line


def _elapsed(view: ServiceView, now: float) -> str:
    word = state_word(view)
    if word == "ready" and view.ready_at is not None and view.started_at is not None and not view.taken_over:
        return duration(view.ready_at - view.started_at)
    if word == "done" and view.started_at is not None:
        return duration(view.since - view.started_at)
    if view.state in LIVE_STATES and view.started_at is not None:
        return duration(now - view.started_at)
    return ""


def summary(snapshot: Snapshot, took_s: float | None) -> list[str]:
    """What is said when all is up, or as much as will be: how long it took, and where everything is."""
    head = f"{snapshot.stack} is up"
    if snapshot.phase == "degraded":
        head += " as far as it gets" + (f"; failed: {listed(snapshot.failed)}" if snapshot.failed else "")
    elif took_s is not None:
        head += f" in {duration(took_s)}"
    shown = [view for view in snapshot.services if view.goal == "up"]
    width = max((len(view.name) for view in shown), default=0)
    return [head, *(f"  {view.name.ljust(width)}  {_where(view)}" for view in shown)]


def _where(view: ServiceView) -> str:
    word, reason = state_word(view), why(view)
    if word in ("ready", "running", "done"):
        return " ".join(part for part in ("" if word == "ready" else word, ports_text(view)) if part) or word
    return f"{word}: {reason}" if reason else word


def summary_styled(lines: Sequence[str], good: bool) -> list[Text]:
    """The summary with the colours of a terminal."""
    from rich.text import Text

    mark = ("✔ ", "green") if good else ("✘ ", "red")
    head = Text.assemble(mark, (lines[0], "bold"))
    rest = [Text(line) for line in lines[1:]]
    for line in rest:
        line.highlight_regex(r"https?://\S+", "blue underline")
    return [head, *rest]


def farewell(snapshot: Snapshot) -> str:
    """The last line: how it ended."""
    failed = [view for view in snapshot.services if view.name in snapshot.failed]
    if failed:
        parts = [f"{view.name} ({plain(view.outcome)})" if view.outcome else view.name for view in failed]
        return f"{snapshot.stack} failed: {listed(parts)}"
    if snapshot.code and snapshot.code != ExitCode.INTERRUPTED:
        return f"{snapshot.stack} ended with code {snapshot.code}"
    jobs = [view for view in snapshot.services if view.kind == "job" and view.goal == "up"]
    if jobs and all(view.state == "done" for view in jobs) and len(jobs) == len(snapshot.services):
        return f"{snapshot.stack} is done"
    return f"{snapshot.stack} is stopped; nothing of it runs any more"

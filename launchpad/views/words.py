"""States, reasons and durations in the words and signs that every view uses.

Decides how things are called towards people. Refuses to know where they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from launchpad.control.api import ServiceView

WAITS = "waits for "
GLYPHS = {
    "idle": "·",
    "spawning": "◌",
    "starting": "◐",
    "ready": "●",
    "running": "●",
    "unready": "◑",
    "stopping": "◒",
    "killing": "◒",
    "backoff": "↻",
    "done": "✔",
    "failed": "✘",
    "lost": "?",
    "waiting": "◌",
    "stopped": "○",
}

STYLES = {
    "idle": "dim",
    "spawning": "yellow",
    "starting": "yellow",
    "ready": "green",
    "running": "green",
    "unready": "yellow",
    "stopping": "yellow",
    "killing": "yellow",
    "backoff": "yellow",
    "done": "cyan",
    "failed": "bold red",
    "lost": "red",
    "waiting": "dim",
    "stopped": "dim",
}

LIVE_STATES = ("spawning", "starting", "ready", "unready", "stopping", "killing", "lost")


def state_word(view: ServiceView) -> str:
    """What people call the state: a job that runs is `running`; idle is `waiting` or `stopped`."""
    if view.kind == "job" and view.state in ("starting", "ready", "unready"):
        return "running"
    if view.state == "idle":
        return "waiting" if view.goal == "up" else "stopped"
    return view.state


def why(view: ServiceView) -> str:
    """Why it is not where it should be, or how it ended; empty when all is as it should be."""
    held = _together([hold.text for hold in view.holds if hold.kind != "goal"])
    if view.state in ("ready", "spawning"):
        return plain(held)
    if view.state == "done" and not view.exit_code:
        return ""
    if view.state in ("starting", "unready"):
        return plain(held or view.seen)
    if view.state == "backoff":
        return plain("; ".join(part for part in (view.outcome, held) if part))
    ended = "" if view.outcome in ("stopped", "done") else view.outcome
    if view.state in ("idle", "lost") and view.goal == "up":
        return plain(held or ended)
    if view.state in ("stopping", "killing"):
        return plain(held)  # its outcome is that of the one before
    return plain(ended)


def _together(texts: Sequence[str]) -> str:
    """`waits for a to be ready`, `waits for b to be done` → `waits for a to be ready, b to be done`."""
    waits = [text.removeprefix(WAITS) for text in texts if text.startswith(WAITS)]
    others = [text for text in texts if not text.startswith(WAITS)]
    return "; ".join(dict.fromkeys([*others, *([WAITS + ", ".join(waits)] if waits else [])]))


def plain(text: str) -> str:
    """One line without the backticks that messages put around names."""
    return " ".join(text.replace("`", "").split())


def duration(seconds: float) -> str:
    """`0.4 s`, `12.4 s`, `3 min 05 s`, `2 h 14 min`, `3 d 4 h`: as exact as anybody wants to know."""
    seconds = max(0.0, seconds)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ports_text(view: ServiceView) -> str:
    """The address where something can be there, else the number that is kept; then the other ports."""
    main = view.ports.get("main")
    parts = []
    if view.url and view.state in LIVE_STATES:
        parts.append(view.url)
    elif main is not None:
        parts.append(str(main))
    parts += [f"{name}:{number}" for name, number in view.ports.items() if name != "main"]
    return " ".join(parts)


def scaled_line(name: str, count: int, written: int) -> str:
    """Another number of copies than the file says."""
    copies = "1 copy" if count == 1 else f"{count} copies"
    return f"`{name}` has {copies} (`launchpad scale`), the file says {written}"

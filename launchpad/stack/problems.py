"""How the stack's own problems are put into words: codes, places, and the nearest right name.

Knows nothing of YAML or of pydantic. The codes of this package are E101 to E129.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launchpad.errors import Diagnostic, Label, Span

UNREADABLE = "E101"
"""The file cannot be read as text, or is empty."""
SYNTAX = "E102"
"""The file is not YAML."""
DUPLICATE = "E103"
"""A key is given twice."""
BOUNDS = "E104"
"""Too large, too deep, or growing without end through aliases."""
UNSUPPORTED_YAML = "E105"
"""YAML that a stack file does not use: tags, several documents, keys that are not text."""
UNKNOWN_KEY = "E106"
VALUE = "E107"
"""A value of the wrong kind, or one that is not among the allowed ones."""
MISSING = "E108"
TEMPLATE = "E110"
"""A `${` expression that cannot be read."""
UNSET = "E111"
REFERENCE = "E112"
"""A reference to something that the stack does not have."""
VAR_CYCLE = "E113"
NAME = "E114"
"""A name that cannot be used, or is used twice."""
PORT = "E115"
QUANTITY = "E116"
"""A duration or size that cannot be read."""
COMMAND = "E117"
ENV_FILE = "E118"
CHECK = "E119"
"""Readiness or liveness that cannot be understood."""
HOST = "E120"
VENV = "E121"
NOTHING = "E122"
"""No server and no job."""
SET = "E123"
"""An option of the command line that does not fit the file."""
CONFLICT = "E124"
"""Two keys that exclude each other."""
UNUSUAL = "E125"
"""A warning: allowed, but probably not meant."""
RECIPE = "E129"
"""A recipe that there is not."""
REQUIREMENTS = "E127"
"""Requirements that cannot be read."""
INTERPRETER = "E128"
"""No such Python."""

REUSE = "E126"
"""Files that include each other, services that extend each other."""


class Stop(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def error(
    code: str,
    message: str,
    span: Span | None = None,
    text: str = "",
    *,
    others: Sequence[Label] = (),
    notes: Sequence[str] = (),
    hint: str = "",
    severity: str = "error",
) -> Diagnostic:
    """A problem at `span`; `text` stands beside its arrow, `others` are further places."""
    labels = ((Label(span, text),) if span else ()) + tuple(others)
    return Diagnostic(code, message, severity=severity, labels=labels, notes=tuple(notes), hint=hint)


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty string."""
    import difflib

    names = list(known)
    folded = {name.lower(): name for name in reversed(names)}
    found = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint, or an empty string where nothing is close."""
    found = closest(word, known)
    return f"did you mean `{found}`?" if found else ""


def listed(words: Iterable[str], last: str = "or") -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def shown(text: str, limit: int = 60) -> str:
    """A value as a message quotes it: on one line, not endless, no control characters."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def unique(problems: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Each problem once (a value of `defaults` is seen through every service), in the file's order."""
    seen: dict[tuple[object, ...], Diagnostic] = {}
    for one in problems:
        span = one.labels[0].span if one.labels else None
        seen.setdefault((one.code, one.message, span), one)
    order: dict[str, int] = {}
    for one in seen.values():
        if one.labels:
            order.setdefault(one.labels[0].span.file, len(order))

    def place(one: Diagnostic) -> tuple[int, int, int]:
        if not one.labels:
            return (-1, 0, 0)
        span = one.labels[0].span
        return (order[span.file], span.line, span.column)

    return tuple(sorted(seen.values(), key=place))

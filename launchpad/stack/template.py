"""Reads and fills `${…}` in the strings of a stack file.

Decides the grammar and what an expression is worth; where the values come from is asked of a `Scope`.

    ${VAR}  ${VAR:-word}  ${VAR-word}  ${VAR:?words}  ${VAR?words}  ${VAR:+word}  ${VAR+word}
    ${name.part}  ${name.part.part}      a reference: it has a dot
    $$                                   a dollar; a `$` before anything else stays as it is
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from launchpad.stack.problems import BOUNDS, REFERENCE, TEMPLATE, UNSET, shown

MAX_NESTING = 20
MAX_LENGTH = 200_000
"""Of a filled string; longer ones cannot be passed to a process anyway."""

MAX_PROBLEMS = 20
"""Told of one string."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+\Z")
_OPERATOR = re.compile(r":-|:\?|:\+|-|\?|\+")
_LOOKS_REFERRED = re.compile(r".+\.(port|url|host|name|gpus|ports\.[A-Za-z0-9_-]+)\Z")


class Problem(Exception):
    """What is wrong with an expression; `offset` and `length` say where in the string."""

    def __init__(self, code: str, message: str, offset: int = 0, length: int = 1, hint: str = "") -> None:
        self.code, self.message, self.offset, self.length, self.hint = code, message, offset, length, hint
        self.more: list[Problem] = []
        """Further problems of the same string."""
        super().__init__(message)


ARGS = "args"


class Reference(Struct, frozen=True):
    """A value known only when ports are taken: `form` is port, url or address. Or `args`: those of the service, in
    its command, from where they are gone once it has been read."""

    service: str
    port: str
    form: str

    def __str__(self) -> str:
        if self.port == "main" or self.form == ARGS:
            return f"${{{self.service}.{self.form}}}"
        return f"${{{self.service}.ports.{self.port}}}"


class Piece(NamedTuple):
    """A stretch of a filled string. `split`: the words of this value are words of a command, as an unquoted
    variable's are in a shell. `literal`: written in the file, with quotes that mean something."""

    text: str = ""
    reference: Reference | None = None
    offset: int = 0
    literal: bool = False
    split: bool = False
    secret: bool = False


class Scope(Protocol):
    """Where values come from."""

    def variable(self, name: str) -> Piece | None:
        """The environment variable, or None where it is not set."""

    def reference(self, path: Sequence[str]) -> Sequence[Piece]:
        """What a dotted name is worth. Raises Problem."""

    def is_service(self, name: str) -> bool: ...

    def near(self, name: str) -> str:
        """A hint for a variable that is not set."""


class _Literal(NamedTuple):
    text: str
    offset: int


class _Expression(NamedTuple):
    offset: int
    length: int
    body: str
    """What stands between the braces."""
    name: str
    operator: str
    word: tuple[_Literal | _Expression, ...]


_Part = _Literal | _Expression


def fill(text: str, scope: Scope) -> tuple[Piece, ...]:
    """The string with every expression replaced. Raises Problem where one cannot be."""
    if "$" not in text:
        return (Piece(text, literal=True),) if text else ()
    parts, _ = _parse(text, 0, 0, scope)
    pieces = tuple(_evaluate(parts, scope))
    if sum(len(piece.text) for piece in pieces) > MAX_LENGTH:
        raise Problem(BOUNDS, f"this grows to more than {MAX_LENGTH} characters", 0, len(text))
    return pieces


def _parse(text: str, start: int, depth: int, scope: Scope) -> tuple[tuple[_Part, ...], int]:
    """Up to the end of the text, or, inside an expression (`depth` > 0), to its closing brace."""
    parts: list[_Part] = []
    at = begin = start
    while at < len(text):
        if text.startswith("$$", at):
            parts += [_Literal(text[begin : at + 1], begin)]
            at = begin = at + 2
        elif text.startswith("${", at):
            parts += [_Literal(text[begin:at], begin)]
            expression, at = _expression(text, at, depth + 1, scope)
            parts.append(expression)
            begin = at
        elif depth and text[at] == "}":
            break
        else:
            at += 1
    parts.append(_Literal(text[begin:at], begin))
    return tuple(part for part in parts if not isinstance(part, _Literal) or part.text), at


def _expression(text: str, start: int, depth: int, scope: Scope) -> tuple[_Expression, int]:
    if depth > MAX_NESTING:
        raise Problem(TEMPLATE, f"`${{` nested more than {MAX_NESTING} levels deep", start, 2)
    brace = text.find("}", start)
    if brace < 0:
        message = "`${` is never closed by `}`"
        raise Problem(TEMPLATE, message, start, 2, hint="`$$` is a plain dollar" if depth == 1 else "")
    body = text[start + 2 : brace]
    if _is_reference(body, scope):
        return _Expression(start, brace + 1 - start, body, body, ".", ()), brace + 1
    name = _NAME.match(text, start + 2)
    if not name:
        raise _not_a_name(body, start, brace)
    if text[name.end()] == "}":
        return _Expression(start, brace + 1 - start, body, name.group(), "", ()), brace + 1
    operator = _OPERATOR.match(text, name.end())
    if not operator:
        raise _not_a_name(body, start, brace)
    word, end = _parse(text, operator.end(), depth, scope)
    if end >= len(text):
        raise Problem(TEMPLATE, "`${` is never closed by `}`", start, 2)
    body = text[start + 2 : end]
    return _Expression(start, end + 1 - start, body, name.group(), operator.group(), word), end + 1


def _is_reference(body: str, scope: Scope) -> bool:
    """`${HOST-127.0.0.1}` is a variable with a default, `${my-llm.url}` a reference: a first part with a dash
    is a service's name if there is one, or if the rest reads like a reference."""
    if not _DOTTED.match(body):
        return False
    first = body.partition(".")[0]
    return "-" not in first or scope.is_service(first) or bool(_LOOKS_REFERRED.match(body))


def _not_a_name(body: str, start: int, brace: int) -> Problem:
    length = brace + 1 - start
    if not body.strip():
        return Problem(TEMPLATE, "`${}` names nothing", start, length, hint="`$$` is a plain dollar")
    first = body.partition(":")[0]
    if _DOTTED.match(first) and first != body:
        message = f"`{shown(first)}` is a reference, and a reference has no default"
        return Problem(TEMPLATE, message, start, length, hint=f"write `${{{first}}}`")
    message = f"`${{{shown(body, 40)}}}` is neither a variable nor a reference"
    return Problem(
        TEMPLATE, message, start, length, hint="a variable is `${NAME}`, a reference `${service.port}`"
    )


def _evaluate(parts: Sequence[_Part], scope: Scope) -> list[Piece]:
    pieces: list[Piece] = []
    problems: list[Problem] = []
    for part in parts:
        if isinstance(part, _Literal):
            pieces.append(Piece(part.text, offset=part.offset, literal=True))
            continue
        try:
            pieces += _worth(part, scope)
        except Problem as problem:
            problems += [problem, *problem.more]
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        problems[0].more = problems[1:]
        raise problems[0]
    return pieces


def _worth(part: _Expression, scope: Scope) -> Sequence[Piece]:
    if part.operator == ".":
        try:
            return [_put(piece, part) for piece in scope.reference(part.name.split("."))]
        except Problem as problem:
            problem.offset, problem.length = part.offset, part.length
            raise
    found = scope.variable(part.name)
    empty_counts = part.operator.startswith(":")
    given = found is not None and (bool(found.text) or not empty_counts)
    sign = part.operator[-1:]
    if sign == "+":
        return _evaluate(part.word, scope) if given else ()
    if found is not None and given:
        return (_put(found, part),)
    if sign == "-":
        return _evaluate(part.word, scope)
    raise _unset(part, scope, found is not None)


def _put(piece: Piece, part: _Expression) -> Piece:
    """A value in its place: its quotes mean nothing to a command."""
    return piece._replace(offset=part.offset, literal=False)


def _unset(part: _Expression, scope: Scope, empty: bool) -> Problem:
    state = "is empty" if empty else "is not set"
    if part.operator:
        said = "".join(str(p.reference or p.text) for p in _evaluate(part.word, scope)).strip()
        message = f"`{part.name}` {state}" + (f": {shown(said, 200)}" if said else "")
        return Problem(UNSET, message, part.offset, part.length)
    hint = scope.near(part.name) or f"`${{{part.name}:-}}` where it may be missing"
    return Problem(UNSET, f"`{part.name}` {state}", part.offset, part.length, hint=hint)


def unknown(message: str, hint: str = "") -> Problem:
    """A reference to something that is not there; the caller knows the place."""
    return Problem(REFERENCE, message, hint=hint)

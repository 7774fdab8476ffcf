"""Puts what the YAML parser complains about into plain words, with the place that helps most.

Decides wording only. Both of PyYAML's parsers are understood; an unknown complaint is passed on as it is.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.nodes import BREAK
from launchpad.stack.problems import SYNTAX, error

_UNQUOTED = re.compile(r"(?<![\"'\w])(\$\{[^}\"']*\}?)")


def explain(problem: yaml.YAMLError, file: str, text: str) -> Diagnostic:
    """The parser's complaint as a diagnostic."""
    if not isinstance(problem, yaml.MarkedYAMLError):
        return error(SYNTAX, f"this is not YAML: {problem}", Span(file, 1, 1, 1, 2))
    lines = BREAK.split(text)
    mark = problem.problem_mark or problem.context_mark
    here = _span(file, lines, mark)
    start = _span(file, lines, problem.context_mark) if problem.context_mark else here
    words = f"{problem.context or ''} | {problem.problem or ''}"
    return _explain(words, here, start, lines)


def _span(file: str, lines: list[str], mark: Any) -> Span:
    """One character; the end of the last line that holds something, where the file just ends."""
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if line >= len(lines) or (line == len(lines) - 1 and not lines[line]):
        line = max((i for i, content in enumerate(lines) if content.strip()), default=0)
        column = len(lines[line])
    return Span(file, line + 1, column + 1, line + 1, column + 2)


def _char(lines: list[str], span: Span) -> str:
    line = lines[span.line - 1]
    return line[span.column - 1] if span.column <= len(line) else ""


def _explain(words: str, here: Span, start: Span, lines: list[str]) -> Diagnostic:
    if "quoted scalar" in words and ("end of stream" in words or "document indicator" in words):
        quote = _char(lines, start)
        return error(SYNTAX, f"the quote `{quote}` is never closed", start, "opened here")
    if "flow sequence" in words or "flow mapping" in words:
        return _flow(words, here, start, lines)
    if "cannot start any token" in words:
        return _token(here, lines)
    if "scanning an alias" in words or "scanning an anchor" in words:
        char = _char(lines, start)
        message = f"an unquoted `{char}` at the start of a value has a meaning of its own in YAML"
        return error(SYNTAX, message, start, hint="put the value in quotes")
    if "mapping values are not allowed" in words:
        message = "a `:` stands where no key can be"
        return error(
            SYNTAX, message, here, hint="check the indentation, or quote the text that holds the `:`"
        )
    if "could not find expected ':'" in words:
        return error(SYNTAX, "this line is neither `key: value` nor a list item", start)
    if "escape character" in words or "hexadecimal" in words:
        message = "an unknown `\\` escape inside double quotes"
        return error(SYNTAX, message, here, hint="use single quotes, in which `\\` has no meaning")
    if (
        "expected key" in words
        or "block end" in words
        or "block collection" in words
        or "block mapping" in words
    ):
        label = [Label(start, "the block begins here")] if start != here else []
        return error(SYNTAX, "the indentation does not fit the lines above", here, others=label)
    return error(SYNTAX, f"this is not YAML: {words.partition('| ')[2]}", here)


def _flow(words: str, here: Span, start: Span, lines: list[str]) -> Diagnostic:
    opening = "[" if "sequence" in words else "{"
    line = lines[here.line - 1]
    if found := _UNQUOTED.search(line):
        at = Span(here.file, here.line, found.start() + 1, here.line, found.end() + 1)
        text = found.group().rstrip(", ]")
        message = "inside `[ ]` and `{ }` a `${…}` has to be quoted"
        closed = text if text.endswith("}") else text + "}"
        return error(SYNTAX, message, at, hint=f'write `"{closed}"`')
    if here.line == start.line and here.column <= len(line.rstrip()):
        closing = "]" if opening == "[" else "}"
        return error(
            SYNTAX,
            f"a `,` or `{closing}` is missing here",
            here,
            others=[Label(start, "the list" if opening == "[" else "the map")],
        )
    message = f"`{opening}` is never closed"
    others = [Label(here, "expected a `,` or the closing bracket")] if here != start else []
    return error(SYNTAX, message, start, "opened here", others=others)


def _token(here: Span, lines: list[str]) -> Diagnostic:
    char = _char(lines, here)
    if char == "\t":
        message = "a tab is used for indentation, and YAML takes spaces only"
        return error(SYNTAX, message, here, hint="replace the tab by spaces")
    said = "a backtick" if char == "`" else f"`{char}`"
    return error(SYNTAX, f"a value cannot begin with {said}", here, hint="put the value in quotes")

"""What `requirements`, `python` and `venv` say: which Python environments are to be made, and whether they can be.

Looks at files and folders, and starts nothing: whether an installer finds what is asked for shows when it is made.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import PlainValidator

from launchpad.errors import Diagnostic, Span
from launchpad.stack import fields, machine
from launchpad.stack.fields import Form, schema, wrong
from launchpad.stack.files import MAX_BYTES
from launchpad.stack.interpreters import Interpreter, installer, interpreter
from launchpad.stack.nodes import Map, Scalar, Seq, kind_of, span_at
from launchpad.stack.problems import CONFLICT, REQUIREMENTS, VALUE, VENV, error, shown
from launchpad.stack.reuse import base_of, placed
from launchpad.stack.source import reason
from launchpad.stack.words import Word

NAMED = re.compile(
    r"\s*(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>\S.*?)\s*(?:#.*)?\Z"
)
"""A line of requirements that names another file of them."""


class File(Struct, frozen=True):
    """`requirements: PATH`."""

    path: str


def _requirements(value: object) -> File | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_line(index, item) for index, item in enumerate(value))
    if not isinstance(value, Word) or not isinstance(value.value, str) or not value:
        raise wrong(
            VALUE, f"the path of a requirements file or a list of its lines is wanted, not {_kind(value)}"
        )
    if re.search(r"[=<>~!]=|^-", value):
        raise wrong(
            VALUE,
            f"`{shown(value)}` is read as the path of a file",
            hint=f'a line of requirements goes into a list: `["{shown(value)}"]`',
        )
    return File(placed(str(value), base_of(value)))


def _kind(value: object) -> str:
    if isinstance(value, Word):
        return kind_of(value.value) if value or value.value != "" else "an empty text"
    return kind_of(value)


def _line(index: int, item: object) -> str:
    if not isinstance(item, Word) or not isinstance(item.value, str) or not item.strip():
        raise wrong(VALUE, f"a line of requirements is text, and this is {_kind(item)}", path=[index])
    if "\n" in item:
        raise wrong(VALUE, "a line of requirements is one line", path=[index])
    base = base_of(item)
    return absolute(str(item).strip(), Path(base)) if base else str(item).strip()


def _python(value: object) -> str:
    text = fields.line(value)
    return placed(text, base_of(value)) if "/" in text else text


Requirements = Annotated[
    File | tuple[str, ...],
    PlainValidator(_requirements),
    schema(
        {"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}
    ),
]
Python = Annotated[str, Form(_python, ({"type": "string", "minLength": 1},))]


class Made(Struct, frozen=True):
    """An environment that is to be made for a service. `lines` are those of a requirements file; `files` all that they
    name, each with a digest of its contents, "" where it is not there. `base`: the folder that paths in those files
    start at, "" where there are none, or it is the stack's own. `link`: where people find it, None for a place of
    launchpad's own."""

    lines: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    python: Interpreter
    uv: str
    link: str | None
    base: str = ""

    @property
    def shape(self) -> Mapping[str, object]:
        """All that makes it another one."""
        files = {"files": self.files, **({"base": self.base} if self.base else {})}
        return {"lines": self.lines, "python": self.python.asked, **files}


class Environments(Struct):
    """Collects what services say, in any order; then `read` says what is to be made for whom."""

    folder: Path
    path: Callable[[str], Path]
    environ: Mapping[str, str]
    problems: list[Diagnostic] = field(default_factory=list)
    inputs: list[Path] = field(default_factory=list)
    _asked: list[_Asked] = field(default_factory=list)

    def add(self, name: str, tree: Map, venv: str | None, requirements: object, python: str | None) -> None:
        given = requirements if isinstance(requirements, File | tuple) else None
        if venv is not None or given is not None:
            self._asked.append(_Asked(name, tree, venv, given, python))

    def read(self) -> dict[str, Made]:
        """By service. Those without `requirements` share what another one asks for at the same `venv`."""
        makes = [one for one in self._asked if one.requirements is not None]
        uv = installer(self.environ) if makes else ""
        found = {one.name: self._made(one, uv) for one in makes}
        by_link: dict[str, tuple[_Asked, Made]] = {}
        for one in self._asked:
            made = found.get(one.name)
            if made is not None and made.link is not None:
                self._agree(one, made, by_link)
        for one in self._asked:
            if one.requirements is None and one.venv is not None:
                shared = by_link.get(str(self.path(one.venv)))
                if shared is not None:
                    found[one.name] = shared[1]
                else:
                    self._is_there(one, one.venv)
        return {name: made for name, made in found.items() if made is not None}

    def _agree(self, one: _Asked, made: Made, known: dict[str, tuple[_Asked, Made]]) -> None:
        assert made.link is not None
        other, before = known.setdefault(made.link, (one, made))
        if before.shape != made.shape:
            message = f"`{one.name}` and `{other.name}` want different things in one environment"
            hint = (
                "give each a `venv` of its own, or leave `requirements` out of one of them: it shares it then"
            )
            self.problems.append(error(CONFLICT, message, one.span("venv"), hint=hint))

    def _made(self, one: _Asked, uv: str) -> Made | None:
        link = None if one.venv is None else str(self.path(one.venv))
        if link is not None and not machine.may_be_made(link):
            message = f"`{one.venv}` is there already, and launchpad did not make it"
            hint = f"take it away, `mv {one.venv} {one.venv}.old`, or leave `requirements` out"
            self.problems.append(error(VENV, message, one.span("venv"), hint=hint))
        before = len(self.problems)
        lines, files = self._lines(one)
        python = interpreter(one.python, self.path, self.environ, uv)
        if isinstance(python, Diagnostic):
            self.problems.append(replace(python, labels=error("", "", one.span("python")).labels))
        if len(self.problems) > before or isinstance(python, Diagnostic):
            return None
        return Made(lines, tuple(files.items()), python, uv, link, one.base() if files else "")

    def _lines(self, one: _Asked) -> tuple[tuple[str, ...], dict[str, str]]:
        given = one.requirements
        files: dict[str, str] = {}
        if isinstance(given, File):
            path = self.path(given.path)
            self._look(path, files, one.span("requirements"))
            return (f"-r {path}",), files
        lines = tuple(absolute(line, self.folder) for line in given or ())
        for index, line in enumerate(lines):
            if match := NAMED.match(line):
                self._look(Path(match["path"]), files, one.span("requirements", index))
        return lines, files

    def _look(self, path: Path, files: dict[str, str], span: Span | None) -> None:
        """This file and all that it names. One that another file names and that is not there is left to the
        installer: the file may say it in a way that only that understands."""
        if str(path) in files or "${" in str(path):
            return
        self.inputs += [path] if path not in self.inputs else []
        try:
            data = machine.content(path)
        except OSError as problem:
            files[str(path)] = ""
            if span is not None:
                what = f"there is no file `{path}`"
                what = (
                    what
                    if isinstance(problem, FileNotFoundError)
                    else f"`{path}` cannot be read: {reason(problem)}"
                )
                self.problems.append(error(REQUIREMENTS, what, span))
            return
        if len(data) > MAX_BYTES:
            message = f"`{path}` is larger than {MAX_BYTES // 1000} kB"
            self.problems.append(error(REQUIREMENTS, message, span))
            return
        files[str(path)] = contents_digest(data)
        for inner in named_in(data.decode(errors="replace"), path.parent):
            self._look(inner, files, None)

    def _is_there(self, one: _Asked, venv: str) -> None:
        folder = self.path(venv)
        if not any(machine.is_dir(folder / programs) for programs in ("bin", "Scripts")):
            hint = f"`python -m venv {venv}`"
            what = "is not a virtual environment" if machine.is_dir(folder) else "is not there"
            message = f"the virtual environment `{folder}` {what}"
            self.problems.append(error(VENV, message, one.span("venv"), hint=hint))


class _Asked(Struct, frozen=True):
    name: str
    tree: Map
    venv: str | None
    requirements: File | tuple[str, ...] | None
    python: str | None

    def span(self, *path: str | int) -> Span | None:
        return span_at(self.tree, path)

    def base(self) -> str:
        """The folder of the stack file that says `requirements`, empty where it is the stack's own: what an installer
        finds in a requirements file, it takes from where it is started."""
        node = self.tree.get("requirements")
        first = node.items[0] if isinstance(node, Seq) and node.items else node
        return first.home.base if isinstance(first, Scalar) and first.home is not None else ""


def contents_digest(data: bytes) -> str:
    """What a file is known by; the same as whoever makes the environment takes of it."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def named_in(text: str, folder: Path) -> Iterator[Path]:
    """Files that a requirements file in `folder` names by `-r` and `-c`."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        match = NAMED.match(line)
        if match and "://" not in match["path"]:
            yield Path(os.path.normpath(folder / match["path"]))


_PATH_OPTIONS = ("-r", "-c", "-f", "-e", "--requirement", "--constraint", "--find-links", "--editable")


def absolute(line: str, folder: Path) -> str:
    """A line of a list as it has to stand in a file that is somewhere else: its paths count from `folder`."""
    option, separator, rest = _option(line)
    if option and "://" not in rest:
        there = os.path.normpath(folder / machine.at_home(rest))
        is_path = option not in ("-e", "--editable") or rest.startswith((".", "/", "~"))
        return f"{option}{separator}{there}" if is_path else line
    if re.match(r"\.{1,2}(/|\Z)", line):
        return os.path.normpath(folder / line)
    return line


def _option(line: str) -> tuple[str, str, str]:
    match = re.match(
        r"(?P<option>--?[a-z-]+?)(?P<separator>\s*=\s*|\s+|(?<=\A-[rcfe]))(?P<rest>\S.*)\Z", line
    )
    if match is None or match["option"] not in _PATH_OPTIONS:
        return "", "", ""
    return match["option"], match["separator"] or " ", match["rest"].rstrip()


def useless(trees: Iterable[tuple[str, Map]]) -> Iterator[tuple[str, Span]]:
    """Services whose `python` says nothing, since nothing is made for them."""
    for name, tree in trees:
        if "python" in tree.entries and "requirements" not in tree.entries:
            yield name, tree.entries["python"].key.span

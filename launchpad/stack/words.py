"""What a filled scalar is: a `Word`, which is its text, and remembers what it resolves to and where it is from.

Decides how a command line is split into arguments. Knows no keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from launchpad.stack.nodes import Scalar, Value, resolve
from launchpad.stack.template import Piece, Reference


class Secret(str):
    """Text that must not be shown."""

    __slots__ = ()


Template = tuple[str | Reference, ...]
"""A string with references in it. Stretches that must not be shown are `Secret`."""


class Word(str):
    """The text of one scalar, filled in; references are shown as they are written."""

    __slots__ = ("node", "pieces", "value")
    node: Scalar
    pieces: tuple[Piece, ...]
    value: Value

    @classmethod
    def of(cls, node: Scalar, pieces: tuple[Piece, ...]) -> Word:
        word = cls("".join(str(piece.reference or piece.text) for piece in pieces))
        word.node, word.pieces = node, pieces
        word.value = node.value
        if any(not piece.literal for piece in pieces):
            filled = resolve(str(word))
            word.value = str(word) if word.reference or filled is None else filled
        elif isinstance(node.value, str):
            word.value = str(word)
        return word

    @property
    def reference(self) -> Reference | None:
        """The first reference to a port in it."""
        return next((piece.reference for piece in self.pieces if piece.reference), None)

    @property
    def is_secret(self) -> bool:
        """Whether something in it must not be shown."""
        return any(piece.secret for piece in self.pieces)


def template(pieces: Sequence[Piece]) -> Template:
    """Neighbours of one sort are joined; empty stretches left out."""
    parts: list[str | Reference] = []
    for sort, run in groupby(pieces, lambda piece: piece.reference or piece.secret):
        if isinstance(sort, Reference):
            parts += [sort for _ in run]
        elif text := "".join(piece.text for piece in run):
            parts.append(Secret(text) if sort else text)
    return tuple(parts)


class Unbalanced(Exception):
    """A quote that is not closed, or a backslash with nothing after it; `offset` says where."""

    def __init__(self, message: str, offset: int) -> None:
        self.message, self.offset = message, offset
        super().__init__(message)


def split(pieces: Sequence[Piece]) -> list[Template]:
    """A command line as arguments, by a POSIX shell's quoting rules and without a shell: no expansion of
    `$HOME`, `*` or `~`. A value that was filled in is taken as it is; an unquoted variable is cut at its
    blanks, and vanishes when it is empty. Raises Unbalanced."""
    return _Splitter().run(pieces)


class _Splitter:
    def __init__(self) -> None:
        self.words: list[Template] = []
        self.current: list[Piece] | None = None
        self.quote = ""
        self.opened = 0

    def run(self, pieces: Sequence[Piece]) -> list[Template]:
        for piece in pieces:
            if piece.literal:
                self._literal(piece)
            elif piece.split and not self.quote:
                self._value(piece)
            elif piece.text or piece.reference or self.quote:
                self._append(piece)
        if self.quote:
            raise Unbalanced(f"the quote `{self.quote}` is never closed", self.opened)
        self._end()
        return self.words

    def _append(self, piece: Piece) -> None:
        if self.current is None:
            self.current = []
        self.current.append(piece)

    def _end(self) -> None:
        if self.current is not None:
            self.words.append(template(self.current))
        self.current = None

    def _value(self, piece: Piece) -> None:
        if piece.text[:1].isspace():
            self._end()
        for index, text in enumerate(piece.text.split()):
            if index:
                self._end()
            self._append(piece._replace(text=text))
        if piece.text[-1:].isspace():
            self._end()

    def _literal(self, piece: Piece) -> None:
        characters = enumerate(piece.text, piece.offset)
        for offset, char in characters:
            if self.quote:
                self._quoted(char, characters)
            elif char.isspace():
                self._end()
            elif char in "'\"":
                self.quote, self.opened = char, offset
                self._append(Piece())
            elif char == "\\":
                self._escaped(offset, characters)
            else:
                self._append(Piece(char))

    def _quoted(self, char: str, characters: Iterator[tuple[int, str]]) -> None:
        if char == self.quote:
            self.quote = ""
        elif char == "\\" and self.quote == '"':
            following = next(characters, (0, ""))[1]
            if following == "\n":
                return
            self._append(Piece(following if following and following in '\\"$`' else char + following))
        else:
            self._append(Piece(char))

    def _escaped(self, offset: int, characters: Iterator[tuple[int, str]]) -> None:
        following = next(characters, None)
        if following is None:
            raise Unbalanced("a `\\` stands at the end, with nothing after it", offset)
        if following[1] != "\n":
            self._append(Piece(following[1]))

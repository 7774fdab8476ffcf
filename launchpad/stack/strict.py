"""What all maps of a stack file have in common, and how a command becomes arguments."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationInfo
from pydantic.json_schema import JsonSchemaValue

from launchpad.stack.fields import SCALAR, schema, wrong
from launchpad.stack.nodes import kind_of
from launchpad.stack.problems import COMMAND
from launchpad.stack.template import ARGS, Reference
from launchpad.stack.words import Template, Unbalanced, Word, split, template


def _extensions(schema: JsonSchemaValue) -> None:
    """Keys that begin with `x-` are for the user; a title only repeats the key."""
    schema["patternProperties"] = {"^x-": {}}
    for one in schema.get("properties", {}).values():
        one.pop("title", None)


class Strict(BaseModel):
    """A map whose keys are all known. Built when it is first used: the program starts sooner."""

    model_config = ConfigDict(
        defer_build=True,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        json_schema_extra=_extensions,
    )


Argv = tuple[Template, ...]


def _argv(value: object) -> Argv:
    """A list as it is; a string split as a shell would."""
    if isinstance(value, list):
        if not value:
            raise wrong(COMMAND, "the command is empty")
        if value[0] == "":
            raise wrong(COMMAND, "the program's name is empty", path=[0])
    words = _args(value)
    if not words or not words[0]:
        raise wrong(COMMAND, "the command is empty")
    return words


def _args(value: object) -> Argv:
    """The same, and it may be nothing."""
    if isinstance(value, list):
        return tuple(_argument(index, item) for index, item in enumerate(value))
    if not isinstance(value, Word):
        raise wrong(COMMAND, f"a command is text or a list, and this is {kind_of(value)}")
    try:
        return tuple(split(value.pieces))
    except Unbalanced as problem:
        raise wrong(COMMAND, problem.message, offset=problem.offset) from None


def _argument(index: int, item: object) -> Template:
    if not isinstance(item, Word):
        raise wrong(COMMAND, f"an argument is a single value, and this is {kind_of(item)}", path=[index])
    return template(item.pieces)


def _is_args(part: object) -> bool:
    return isinstance(part, Reference) and part.form == ARGS


def _with_args(words: Argv, args: Argv) -> Argv:
    """The command with `args` where it says `${self.args}`; at its end, where it does not."""
    found: list[Template] = []
    places = [word for word in words if any(map(_is_args, word))]
    for index, word in enumerate(words):
        if word not in places:
            found.append(word)
        elif len(word) > 1:
            message = "`${self.args}` stands for whole arguments, and cannot be a part of one"
            raise wrong(COMMAND, message, path=[index])
        else:
            found += args
    return tuple(found) if places else (*found, *args)


def command(value: object, info: ValidationInfo) -> Argv:
    """The arguments of a service's process; with `shell: true` those of the shell that runs the string."""
    args = info.data.get("args") or ()
    if not info.data.get("shell"):
        return _with_args(_argv(value), args)
    if not isinstance(value, Word):
        raise wrong(COMMAND, f"with `shell: true` the command is one string, and this is {kind_of(value)}")
    if not value.strip():
        raise wrong(COMMAND, "the command is empty")
    if args or any(_is_args(piece.reference) for piece in value.pieces):
        raise wrong(COMMAND, "with `shell: true` the command is one string, and takes no `args`")
    return (("/bin/sh",), ("-c",), template(value.pieces))


_ARGV_FORMS = ({"type": "string", "minLength": 1}, {"type": "array", "items": SCALAR, "minItems": 1})
Command = Annotated[Argv, PlainValidator(command), schema(*_ARGV_FORMS)]
Exec = Annotated[Argv, PlainValidator(_argv), schema(*_ARGV_FORMS)]
Args = Annotated[Argv, PlainValidator(_args), schema({"type": "string"}, {"type": "array", "items": SCALAR})]
NotHere = Annotated[None, schema({"not": {}})]
"""A key that a map like this has, and this one has not."""

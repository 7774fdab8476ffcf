"""`include` and `extends` as they are written, and paths, which are relative to the file that says them.

Decides the keys and their forms; what comes of them is in `include` and `extends`.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import Field

from launchpad.stack import machine
from launchpad.stack.fields import ITEM, NAME, Form, Line, Loose, Name, Short, line, said, wrong
from launchpad.stack.problems import NAME as BAD_NAME
from launchpad.stack.strict import Strict
from launchpad.stack.words import Word


def base_of(value: object) -> str:
    """The folder that a path written here is relative to; empty where that is the stack's own."""
    return value.node.home.base if isinstance(value, Word) and value.node.home is not None else ""


def placed(text: str, base: str) -> str:
    """A path that was written in a file of `base`."""
    return os.path.normpath(os.path.join(base, machine.at_home(text))) if base else text


def _place(value: object) -> str:
    return placed(line(value), base_of(value))


Place = Annotated[str, Form(_place, ({"type": "string", "minLength": 1},))]
"""A path, or a glob; absolute where it was written in a file of another folder than the stack's."""


def _prefix(value: object) -> str:
    text = line(value)
    if not NAME.match(text):
        raise wrong(
            BAD_NAME, f"no name begins with {said(text)}", hint="letters, digits, `_` and `-`, a letter first"
        )
    return text


class Include(Strict):
    """Another stack file that is part of this one."""

    file: Line = Field(
        description="The file, relative to the one that says it.", examples=["../infra/llm.yaml"]
    )
    prefix: Annotated[str, Form(_prefix, ({"type": "string", "pattern": "^[a-zA-Z][a-zA-Z0-9_-]*$"},))] = (
        Field(
            "",
            description="What the names of its servers, jobs and variables begin with here.",
            examples=["infra-"],
        )
    )
    vars: dict[str, Loose] = Field(
        default_factory=dict,
        description="Values for variables that are under `vars` there, instead of its own.",
        examples=[{"model": "Qwen/Qwen3-0.6B"}],
    )


def _file(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


def _several(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Includes = Annotated[
    tuple[Annotated[Include, Short(_file, ({"type": "string"},))], ...],
    Short(_several, (ITEM,)),
]


class Including(Strict):
    """The part of the top level that is looked at before all else."""

    include: Includes = Field(
        (),
        description="Other stack files whose servers, jobs and variables are part of this one. What is written there "
        "means what it means there: paths are relative to that file, `defaults` and `env_file` are for its own "
        "services, and its names are those that it knows. `name` and `when_supervisor_dies` are those of the file "
        "that is started.",
        examples=[
            ["common.yaml"],
            [{"file": "../infra/llm.yaml", "prefix": "infra-", "vars": {"model": "Qwen/Qwen3-0.6B"}}],
        ],
    )


class Extends(Strict):
    service: Name = Field(
        description="A server or job, or a map of keys of your own: `x-base` under `servers`, `jobs` or at the top.",
        examples=["llm"],
    )
    file: Line | None = Field(
        None,
        description="The stack file that has it, relative to the one that says it.",
        examples=["base.yaml"],
    )


def _service(value: Any) -> Any:
    return {"service": value} if isinstance(value, str) else value


ExtendsField = Annotated[Extends, Short(_service, ({"type": "string"},))]

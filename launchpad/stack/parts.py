"""The maps that stand inside a service: dependencies, restarts, env files, outputs (and checks, from `checks`).

Decides which keys they have and what those mean. Rules that span several keys are in `rules`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from msgspec import Struct
from pydantic import Field, PlainValidator, PrivateAttr

from launchpad.stack.checks import (
    ALIVE_KINDS,
    READY_KINDS,
    Alive,
    AliveField,
    Headers,
    Http,
    Log,
    Post,
    Ready,
    ReadyField,
    Status,
    Tcp,
)
from launchpad.stack.fields import (
    INTERPOLATED,
    ITEM,
    Bool,
    Duration,
    Factor,
    Loose,
    Short,
    Size,
    Text,
    choice,
    one_of,
    said,
    schema,
    signal_number,
    whole,
    wrong,
)
from launchpad.stack.nodes import kind_of
from launchpad.stack.problems import VALUE, closest, shown
from launchpad.stack.reuse import Place
from launchpad.stack.strict import Args, Argv, Command, Exec, Strict
from launchpad.stack.words import Word

_CONDITIONS = ("started", "ready", "done")
_CONDITION_WORDS = {
    "service_started": "started",
    "service_healthy": "ready",
    "healthy": "ready",
    "service_completed_successfully": "done",
    "completed": "done",
}


class Dependency(Strict):
    condition: Annotated[str | None, one_of(*_CONDITIONS, meant=_CONDITION_WORDS)] = Field(
        None,
        description="What to wait for: `started` (its process runs), `ready` (it passed its readiness check; the "
        "default for a server) or `done` (it ended with code 0; the default for a job).",
        examples=["started"],
    )
    restart: Bool = Field(False, description="Restart this service when that one restarts.", examples=[True])


def _dependency(value: Any) -> Any:
    if value is None:
        return {}
    return {"condition": value} if isinstance(value, str) else value


def _dependencies(value: Any) -> Any:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return value
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise wrong(VALUE, f"the name of a server or job is wanted, not {kind_of(item)}", path=[index])
    return {str(item): None for item in value}


DependsOn = Annotated[
    dict[str, Annotated[Dependency, Short(_dependency, ({"enum": list(_CONDITIONS)}, {"type": "null"}))]],
    Short(_dependencies, ({"type": "string"}, {"type": "array", "items": {"type": "string"}})),
]


class EnvFile(Strict):
    path: Place = Field(description="The file, relative to the stack file.", examples=[".env"])
    required: Bool = Field(True, description="Whether a missing file is an error.", examples=[False])


def _env_file(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _env_files(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_EnvFileItem = Annotated[EnvFile, Short(_env_file, ({"type": "string"},))]
EnvFiles = Annotated[
    tuple[_EnvFileItem, ...],
    Short(_env_files, (ITEM,)),
]


class Backoff(Strict):
    initial: Duration = Field(0.5, description="The wait before the first restart.", examples=["500ms"])
    max: Duration = Field(30.0, description="The longest wait.", examples=["30s"])
    factor: Factor = Field(2.0, description="How much longer each wait is than the one before.", examples=[2])


_POLICIES = ("never", "on-failure", "always")
_POLICY_WORDS = {
    "no": "never",
    "false": "never",
    "unless-stopped": "always",
    "yes": "always",
    "true": "always",
}
_policy = one_of(*_POLICIES, meant=_POLICY_WORDS)


class Restart(Strict):
    policy: Annotated[str | None, _policy] = Field(
        None,
        description="When to start it again: `never`, `on-failure` or `always`.",
        examples=["on-failure"],
    )
    backoff: Backoff | None = Field(
        None, description="How long to wait before a restart.", examples=[{"initial": "1s", "max": "1m"}]
    )
    max_restarts: Annotated[int | None, whole(0)] = Field(
        None, description="Give up after so many restarts within `window`; 5 by default.", examples=[3]
    )
    window: Duration | None = Field(
        None, description="The time in which restarts are counted; 10 minutes by default.", examples=["10m"]
    )


def _restart(value: Any) -> Any:
    return {"policy": value} if isinstance(value, str) else value


RestartField = Annotated[Restart, Short(_restart, ({"enum": list(_POLICIES)}, INTERPOLATED))]


class Sink(Strict):
    """Where output goes besides the run's own log: `file` or `jsonl`."""

    file: Place | None = Field(
        None,
        description="Plain lines, into this file, relative to the stack file.",
        examples=["logs/train.log"],
    )
    jsonl: Place | None = Field(
        None,
        description="One JSON object a line, into this file, relative to the stack file.",
        examples=["logs/train.jsonl"],
    )
    rotate: Size = Field(
        0, description="Begin a new file at this size; 0, the default, is never.", examples=["50MB"]
    )
    keep: Annotated[int, whole(0)] = Field(5, description="So many old files are kept.", examples=[5])
    _word: str = PrivateAttr("")

    @property
    def kind(self) -> str:
        return self._word or ("jsonl" if self.jsonl else "file")

    @property
    def path(self) -> str:
        """Empty for `console`, `null` and the short form `jsonl`."""
        return self.file or self.jsonl or ""


SINK_WORDS = ("console", "jsonl", "null")


def _sink(value: Any) -> Any:
    if value is None:
        value = "null"
    if not isinstance(value, str):
        return value
    if value not in SINK_WORDS:
        hint = f"write `{{file: {shown(value)}}}`" if "/" in value or "." in value else ""
        near = closest(value, SINK_WORDS)
        hint = hint or (f"did you mean `{near}`?" if near else "write `{file: logs/out.log}`")
        raise wrong(
            VALUE, f"{said(value)} is not one of `console`, `jsonl`, `null` and `{{file: …}}`", hint=hint
        )
    sink = Sink.model_validate({})
    sink._word = str(value)
    return sink


def _sinks(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_SinkItem = Annotated[Sink, Short(_sink, ({"enum": ["console", "jsonl", "null", None]},))]
Output = Annotated[tuple[_SinkItem, ...], Short(_sinks, (ITEM,))]


def _inherit(value: object) -> bool | tuple[str, ...]:
    if isinstance(value, Word) and isinstance(value.value, bool):
        return value.value
    if not isinstance(value, list):
        raise wrong(VALUE, f"`true`, `false` or a list of names is wanted, not {said(value)}")
    for index, item in enumerate(value):
        if not isinstance(item, str) or not re.fullmatch(r"[^=\0]+", item):
            raise wrong(VALUE, f"{said(item)} is not the name of a variable", path=[index])
    return tuple(str(item) for item in value)


InheritEnv = Annotated[
    bool | tuple[str, ...],
    PlainValidator(_inherit),
    schema({"type": "boolean"}, {"type": "array", "items": {"type": "string"}}, INTERPOLATED),
]


class OnChange(Struct, frozen=True):
    """`action` is restart, replace, keep or signal."""

    action: str = "restart"
    signal: int = 0


_CHANGES = ("restart", "replace", "keep")


def _on_change(value: object) -> OnChange:
    if isinstance(value, dict):
        if set(value) != {"signal"}:
            raise wrong(VALUE, "the only key here is `signal`", hint="`{signal: SIGHUP}`")
        return OnChange("signal", signal_number(value["signal"]))
    if isinstance(value, str) and (match := re.fullmatch(r"signal: *(\w+)", value)):
        raise wrong(VALUE, f"{said(value)} is text here", hint=f"`{{signal: {match[1]}}}`")
    return OnChange(choice(*_CHANGES, "signal")(value)) if value != "signal" else _bare_signal()


def _bare_signal() -> OnChange:
    raise wrong(VALUE, "which signal?", hint="`{signal: SIGHUP}`")


OnChangeField = Annotated[
    OnChange,
    PlainValidator(_on_change),
    schema(
        {"enum": list(_CHANGES)},
        INTERPOLATED,
        {
            "type": "object",
            "properties": {"signal": {"type": ["string", "integer"]}},
            "required": ["signal"],
            "additionalProperties": False,
        },
    ),
]
EnvValue = Annotated[Text | None, schema({"type": ["string", "number", "boolean", "null"]})]
Vars = dict[str, Loose]

__all__ = [
    "ALIVE_KINDS",
    "READY_KINDS",
    "Alive",
    "AliveField",
    "Args",
    "Argv",
    "Backoff",
    "Command",
    "Dependency",
    "DependsOn",
    "EnvFile",
    "EnvFiles",
    "EnvValue",
    "Exec",
    "Headers",
    "Http",
    "InheritEnv",
    "Log",
    "OnChange",
    "OnChangeField",
    "Output",
    "Post",
    "Ready",
    "ReadyField",
    "Restart",
    "RestartField",
    "Sink",
    "Status",
    "Strict",
    "Tcp",
    "Vars",
]

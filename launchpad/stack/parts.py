"""The maps that stand inside a service: dependencies, checks, restarts, env files, outputs.

Decides which keys they have and what those mean. Rules that span several keys are in `rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, ValidationInfo
from pydantic.json_schema import JsonSchemaValue

from launchpad.stack.fields import (
    INTERPOLATED,
    ITEM,
    SCALAR,
    Bool,
    Duration,
    Factor,
    Line,
    Loose,
    MaybeDuration,
    Pattern,
    Short,
    Size,
    Text,
    choice,
    compiled,
    integer,
    one_of,
    said,
    schema,
    signal_number,
    whole,
    wrong,
)
from launchpad.stack.nodes import kind_of
from launchpad.stack.problems import CHECK, COMMAND, VALUE, closest
from launchpad.stack.template import Reference
from launchpad.stack.words import Template, Unbalanced, Word, split, template


def _extensions(schema: JsonSchemaValue) -> None:
    """Keys that begin with `x-` are for the user; a title only repeats the key."""
    schema["patternProperties"] = {"^x-": {}}
    for one in schema.get("properties", {}).values():
        one.pop("title", None)


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, json_schema_extra=_extensions
    )


Argv = tuple[Template, ...]


def _argv(value: object) -> Argv:
    """A list as it is; a string split as a shell would."""
    if isinstance(value, list):
        if not value:
            raise wrong(COMMAND, "the command is empty")
        return tuple(_argument(index, item) for index, item in enumerate(value))
    if not isinstance(value, Word):
        raise wrong(COMMAND, f"a command is text or a list, and this is {kind_of(value)}")
    try:
        words = tuple(split(value.pieces))
    except Unbalanced as problem:
        raise wrong(COMMAND, problem.message, offset=problem.offset) from None
    if not words or not words[0]:
        raise wrong(COMMAND, "the command is empty")
    return words


def _argument(index: int, item: object) -> Template:
    if not isinstance(item, Word):
        raise wrong(COMMAND, f"an argument is a single value, and this is {kind_of(item)}", path=[index])
    if index == 0 and not item:
        raise wrong(COMMAND, "the program's name is empty", path=[index])
    return template(item.pieces)


def command(value: object, info: ValidationInfo) -> Argv:
    """The arguments of a service's process; with `shell: true` those of the shell that runs the string."""
    if not info.data.get("shell"):
        return _argv(value)
    if not isinstance(value, Word):
        raise wrong(COMMAND, f"with `shell: true` the command is one string, and this is {kind_of(value)}")
    if not value.strip():
        raise wrong(COMMAND, "the command is empty")
    return (("/bin/sh",), ("-c",), template(value.pieces))


_ARGV_FORMS = ({"type": "string", "minLength": 1}, {"type": "array", "items": SCALAR, "minItems": 1})
Command = Annotated[Argv, PlainValidator(command), schema(*_ARGV_FORMS)]
Exec = Annotated[Argv, PlainValidator(_argv), schema(*_ARGV_FORMS)]


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
    restart: Bool = Field(
        False, description="Restart this service when that one restarts.", examples=[True]
    )


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
    path: Line = Field(description="The file, relative to the stack file.", examples=[".env"])
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
_POLICY_WORDS = {"no": "never", "false": "never", "unless-stopped": "always", "yes": "always", "true": "always"}
_policy = one_of(*_POLICIES, meant=_POLICY_WORDS)


class Restart(Strict):
    policy: Annotated[str | None, _policy] = Field(
        None, description="When to start it again: `never`, `on-failure` or `always`.", examples=["on-failure"]
    )
    backoff: Backoff | None = Field(
        None, description="How long to wait before a restart.", examples=[{"initial": "1s", "max": "1m"}]
    )
    max_restarts: Annotated[int | None, whole(0, 1_000_000)] = Field(
        None, description="Give up after so many restarts within `window`; 5 by default.", examples=[3]
    )
    window: Duration | None = Field(
        None, description="The time in which restarts are counted; 10 minutes by default.", examples=["10m"]
    )


def _restart(value: Any) -> Any:
    return {"policy": value} if isinstance(value, str) else value


RestartField = Annotated[Restart, Short(_restart, ({"enum": list(_POLICIES)}, INTERPOLATED))]


def _http(value: object) -> Template:
    if not isinstance(value, Word) or not value:
        raise wrong(CHECK, f"a path or a URL is wanted, not {said(value)}")
    parts = template(value.pieces)
    first = parts[0]
    is_url = first.form == "url" if isinstance(first, Reference) else re.match("https?://.", f"{first}.")
    if is_url or str(first).startswith("/"):
        return parts
    hint = f"`http://{value}`" if re.match(r"[\w.\[\]:$-]+:[0-9$]", value) else f"`/{value}`"
    if re.match(r"[a-z]+://", value):
        hint = "`http://…`, `https://…`, or `tcp: host:port`"
    raise wrong(CHECK, f"{said(value)} is neither a path nor a URL", hint=hint)


def _tcp(value: object) -> Template:
    """True (the main port), a number, one of the service's ports by name, or `host:port`."""
    if not isinstance(value, Word) or not value:
        raise wrong(CHECK, f"a port or `host:port` is wanted, not {said(value)}")
    parts = template(value.pieces)
    if value.value is True:
        return ("main",)
    text = value.removeprefix("tcp://")
    if not value.reference:
        number = text.rpartition(":")[2]
        if number.isdigit():
            integer(Word.of(value.node, ()) if number == value else _digits(value, number), 1, 65535)
        elif ":" in text or value.value is False:
            raise wrong(CHECK, f"{said(value)} is not `host:port`")
        return (text,)
    first = parts[0]
    if isinstance(first, str):
        return tuple(part for part in (first.removeprefix("tcp://"), *parts[1:]) if part)
    return parts


def _digits(value: Word, number: str) -> Word:
    word = Word(number)
    word.node, word.pieces, word.value = value.node, (), int(number[:9])
    return word


def _log(value: object) -> Template:
    if not isinstance(value, Word) or not value:
        raise wrong(CHECK, f"a regular expression is wanted, not {said(value)}")
    if not value.reference:
        compiled(value)
    return template(value.pieces)


def _status(value: object) -> tuple[tuple[int, int], ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise wrong(CHECK, "there is no status in this list")
    return tuple(_status_range(item) for item in items)


def _status_range(value: object) -> tuple[int, int]:
    match = re.fullmatch(r"([1-5][0-9]{2})(?: *- *([1-5][0-9]{2}))?", value) if isinstance(value, str) else None
    if not match:
        raise wrong(CHECK, f"{said(value)} is not an HTTP status", hint="write `200` or `200-399`")
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise wrong(CHECK, f"the range {said(value)} runs backwards", hint=f"`{high}-{low}`")
    return low, high


_STATUS_ONE: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 100, "maximum": 599},
    {"type": "string", "pattern": r"^[1-5][0-9]{2}( *- *[1-5][0-9]{2})?$"},
    INTERPOLATED,
]
Status = Annotated[
    tuple[tuple[int, int], ...],
    PlainValidator(_status),
    schema(*_STATUS_ONE, {"type": "array", "items": {"anyOf": _STATUS_ONE}, "minItems": 1}),
]
Http = Annotated[Template, PlainValidator(_http), schema({"type": "string", "pattern": r"^(/|https?://|\$\{)"})]
Tcp = Annotated[Template, PlainValidator(_tcp), schema({"type": ["string", "integer"]}, {"const": True})]
Log = Annotated[Template, PlainValidator(_log), schema({"type": "string", "minLength": 1})]
Headers = dict[str, Text]


class Alive(Strict):
    """A liveness check. Exactly one of `http`, `tcp`, `exec` and `file`."""

    http: Http | None = Field(
        None,
        description="A path on the main port, or a URL, that has to answer with one of `status`.",
        examples=["/health", "http://127.0.0.1:${self.port}/healthz"],
    )
    tcp: Tcp | None = Field(
        None,
        description="Something has to accept a connection: `true` (the main port), a port's number or name, "
        "or `host:port`.",
        examples=[True, "127.0.0.1:${self.port}"],
    )
    exec: Exec | None = Field(
        None,
        description="A command that has to end with code 0. It gets the service's environment and working folder.",
        examples=["pg_isready -p ${self.port}"],
    )
    file: Text | None = Field(
        None,
        description="A file that has to be there, relative to the service's working folder.",
        examples=["run/ready"],
    )
    status: Status = Field(
        ((200, 399),), description="HTTP status that counts as good.", examples=[200, "200-299", [200, 404]]
    )
    body: Pattern | None = Field(
        None, description="A regular expression that has to be found in the answer.", examples=['"status": ?"ok"']
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Headers of the request.",
        examples=[{"Authorization": "Bearer ${API_KEY}"}],
    )
    interval: Duration | None = Field(None, description="The time between two probes.", examples=["10s"])
    probe_timeout: Duration = Field(5.0, description="How long one probe may take.", examples=["5s"])
    failures: Annotated[int, whole(1, 1_000_000)] = Field(
        3, description="So many probes in a row have to fail before it counts.", examples=[3]
    )


class Ready(Alive):
    """A readiness check. At most one of `http`, `tcp`, `exec`, `log`, `file` and `notify`; without any, the
    main port has to accept a connection."""

    log: Log | None = Field(
        None, description="A regular expression that has to be found in its output.", examples=["listening on .*"]
    )
    notify: Bool = Field(
        False, description="The process says so itself, by systemd's NOTIFY_SOCKET protocol.", examples=[True]
    )
    successes: Annotated[int, whole(1, 1_000)] = Field(
        1, description="So many probes in a row have to succeed.", examples=[2]
    )
    stall: MaybeDuration = Field(
        300.0,
        description="Give up after so long without any sign of life: output, CPU time or GPU memory; or `never`.",
        examples=["5m"],
    )
    timeout: MaybeDuration = Field(
        None, description="A hard limit on the whole wait; none by default.", examples=["10m"]
    )


def _ready(value: Any) -> Any:
    if not isinstance(value, Word):
        return value
    if value.startswith("tcp://"):
        return {"tcp": value}
    return {"http": value} if value.value is not True else {"tcp": value}


_CHECK_STRING = {"type": "string", "pattern": r"^(/|https?://|tcp://|\$\{)"}
ReadyField = Annotated[Ready, Short(_ready, (_CHECK_STRING,))]
AliveField = Annotated[Alive, Short(_ready, (_CHECK_STRING,))]

READY_KINDS = ("http", "tcp", "exec", "log", "file", "notify")
ALIVE_KINDS = ("http", "tcp", "exec", "file")


class Sink(Strict):
    """Where output goes besides the run's own log: `file` or `jsonl`."""

    file: Line | None = Field(
        None, description="Plain lines, into this file, relative to the stack file.", examples=["logs/train.log"]
    )
    jsonl: Line | None = Field(
        None,
        description="One JSON object a line, into this file, relative to the stack file.",
        examples=["logs/train.jsonl"],
    )
    rotate: Size = Field(
        0, description="Begin a new file at this size; 0, the default, is never.", examples=["50MB"]
    )
    keep: Annotated[int, whole(0, 1_000_000)] = Field(
        5, description="So many old files are kept.", examples=[5]
    )
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
        hint = "`{file: logs/out.log}`" if value == "file" or "/" in value or "." in value else ""
        near = closest(value, SINK_WORDS)
        hint = hint or (f"did you mean `{near}`?" if near else "")
        raise wrong(VALUE, f"{said(value)} is not one of `console`, `jsonl`, `null` and `{{file: …}}`", hint=hint)
    sink = Sink()
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


@dataclass(frozen=True, slots=True)
class OnChange:
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

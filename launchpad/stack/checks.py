"""Readiness and liveness as they are written: the kinds of check, and what each one takes.

Decides the keys and their forms. That a check is of one kind only is in `rules`; what it aims at, in the plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from launchpad.stack.fields import (
    INTERPOLATED,
    Bool,
    Duration,
    MaybeDuration,
    Pattern,
    Short,
    Text,
    compiled,
    integer,
    one_of,
    said,
    schema,
    whole,
    wrong,
)
from launchpad.stack.problems import CHECK
from launchpad.stack.strict import Exec, Strict
from launchpad.stack.template import Piece, Reference
from launchpad.stack.words import Template, Word, template


def _http(value: object) -> Template:
    if not isinstance(value, Word) or not value:
        raise wrong(CHECK, f"a path or a URL is wanted, not {said(value)}")
    parts = template(value.pieces)
    first = parts[0]
    is_url = first.form == "url" if isinstance(first, Reference) else re.match("https?://.", f"{first}.")
    if is_url or str(first).startswith("/"):
        return parts
    if value.is_secret:
        raise wrong(CHECK, f"{said(value)} is neither a path nor a URL")
    hint = f"write `http://{value}`" if re.match(r"[\w.\[\]:$-]+:[0-9$]", value) else f"write `/{value}`"
    if re.match(r"[a-z]+://", value):
        hint = "`http://…`, `https://…`, or `tcp: host:port`"
    elif isinstance(value.value, int):
        hint = f"write `{{tcp: {value}}}`"
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
    match = (
        re.fullmatch(r"([1-5][0-9]{2})(?: *- *([1-5][0-9]{2}))?", value) if isinstance(value, str) else None
    )
    if not match:
        raise wrong(CHECK, f"{said(value)} is not an HTTP status", hint="write `200` or `200-399`")
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise wrong(CHECK, f"the range {said(value)} runs backwards", hint=f"write `{high}-{low}`")
    return low, high


def _post(value: object) -> Template:
    """As JSON text."""
    if not isinstance(value, dict | list):
        raise wrong(CHECK, f"a map or a list is wanted, which is sent as JSON, not {said(value)}")
    return template(tuple(_json(value)))


def _json(value: object) -> Iterator[Piece]:
    """A string keeps its references."""
    if isinstance(value, dict):
        for index, (name, inner) in enumerate(value.items()):
            yield Piece(f"{', ' if index else '{'}{json.dumps(str(name))}: ")
            yield from _json(inner)
        yield Piece("}" if value else "{}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield Piece(", " if index else "[")
            yield from _json(inner)
        yield Piece("]" if value else "[]")
    elif isinstance(value, Word) and isinstance(value.value, str):
        yield Piece('"')
        for piece in value.pieces:
            yield piece if piece.reference else piece._replace(text=json.dumps(piece.text)[1:-1])
        yield Piece('"')
    else:
        yield Piece(json.dumps(value.value if isinstance(value, Word) else None))


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
Http = Annotated[
    Template, PlainValidator(_http), schema({"type": "string", "pattern": r"^(/|https?://|\$\{)"})
]
Post = Annotated[Template, PlainValidator(_post), schema({"type": "object"}, {"type": "array"})]
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
        None,
        description="A regular expression that has to be found in the answer.",
        examples=['"status": ?"ok"'],
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Headers of the request.",
        examples=[{"Authorization": "Bearer ${API_KEY}"}],
    )
    owner: Annotated[str, one_of("self", "any")] = Field(
        "self",
        description="Whose answer counts, with `http` and `tcp`: `self`, an answer of the service's own processes; or `any`, "
        "whoever answers. For a port that somebody else opens for the service: that of a container is its engine's. "
        "`ps` says so as long as it runs.",
        examples=["any"],
    )
    interval: Duration | None = Field(None, description="The time between two probes.", examples=["10s"])
    probe_timeout: Duration = Field(5.0, description="How long one probe may take.", examples=["5s"])
    failures: Annotated[int, whole(1)] = Field(
        3, description="So many probes in a row have to fail before it counts.", examples=[3]
    )


class Ready(Alive):
    """A readiness check. At most one of `http`, `tcp`, `exec`, `log`, `file` and `notify`; without any, the
    main port has to accept a connection."""

    log: Log | None = Field(
        None,
        description="A regular expression that has to be found in its output.",
        examples=["listening on .*"],
    )
    notify: Bool = Field(
        False, description="The process says so itself, by systemd's NOTIFY_SOCKET protocol.", examples=[True]
    )
    post: Post | None = Field(
        None,
        description="With `http`: ask by POST, with this as JSON. A small request of the real kind tells more than a path that "
        "only says that something listens; one is under way at a time.",
        examples=[{"model": "${vars.model}", "prompt": "a", "max_tokens": 1}],
    )
    once: Bool = Field(
        False,
        description="Once it has passed, do not ask again: what is ready stays ready until it ends or `alive` fails.",
        examples=[True],
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

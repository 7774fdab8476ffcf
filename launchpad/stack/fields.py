"""The kinds of value that keys take, each with one good message for whatever is wrong with it.

Decides how text becomes a number, a duration, a size, a port range…; knows no keys. Each type also says how it
looks in the JSON schema, where a string with `${…}` stands for anything that is written as a scalar.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Annotated, Any

from msgspec import Struct
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from launchpad.stack.nodes import kind_of
from launchpad.stack.problems import (
    HOST,
    PORT,
    QUANTITY,
    REFERENCE,
    VALUE,
    closest,
    did_you_mean,
    listed,
    shown,
)
from launchpad.stack.words import Template, Word, template

NAME_PATTERN = "[a-zA-Z][a-zA-Z0-9_-]*"
NAME = re.compile(rf"{NAME_PATTERN}\Z")
INTERPOLATED: dict[str, Any] = {"type": "string", "pattern": r"\$\{"}
SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}


def wrong(
    code: str,
    message: str,
    *,
    hint: str = "",
    path: Iterable[str | int] = (),
    offset: int = -1,
) -> PydanticCustomError:
    """A problem to raise within a validator. `path` leads from the value to the part that is wrong,
    `offset` to the character."""
    context = {"code": code, "message": message, "hint": hint, "path": tuple(path), "offset": offset}
    return PydanticCustomError("launchpad", "{message}", context)


def said(value: object) -> str:
    """A value as messages quote it; one with a secret in it as it is written."""
    if isinstance(value, Word) and value.is_secret:
        return f"`{shown(value.node.text)}`"
    if isinstance(value, str):
        return f"`{shown(value)}`" if value else "an empty text"
    return kind_of(value)


def _scalar(value: object, wanted: str) -> Word:
    """The word, unless there is none, or it holds what is not known yet."""
    if value is None:
        raise wrong(VALUE, f"there is no value; {wanted} is wanted")
    if not isinstance(value, Word):
        if isinstance(value, str):
            return _word(value)
        raise wrong(VALUE, f"{wanted} is wanted, and this is {kind_of(value)}")
    if value.reference:
        message = f"`{value.reference}` is known only once ports are taken, and cannot be used here"
        raise wrong(
            REFERENCE, message, hint="it can be used in `command`, `environment`, `ready` and `alive`"
        )
    return value


def _word(text: str) -> Word:
    """A word for a string that was not read from a file (a short form written out)."""
    from launchpad.errors import Span
    from launchpad.stack.nodes import Scalar
    from launchpad.stack.template import Piece

    node = Scalar(Span("", 1, 1, 1, 1), text, text)
    return Word.of(node, (Piece(text, literal=True),) if text else ())


def line(value: object) -> str:
    word = _scalar(value, "text")
    if not isinstance(word.value, str):
        raise wrong(
            VALUE, f"text is wanted, and {said(word)} is {kind_of(word.value)}", hint=f'write `"{word}"`'
        )
    if not word:
        raise wrong(VALUE, "this is empty")
    return str(word)


def _loose(value: object) -> str:
    return str(_scalar(value, "a single value"))


def _text(value: object) -> Template:
    if not isinstance(value, str):
        raise wrong(VALUE, f"a single value is wanted, and this is {kind_of(value)}")
    word = value if isinstance(value, Word) else _word(value)
    return template(word.pieces)


def _bool(value: object) -> bool:
    word = _scalar(value, "`true` or `false`")
    if isinstance(word.value, bool):
        return word.value
    meant = {"on": "true", "yes": "true", "off": "false", "no": "false"}.get(word.lower(), "")
    hint = f"write `{meant}`; in YAML 1.2 `{shown(word)}` is text" if meant else ""
    raise wrong(VALUE, f"`true` or `false` is wanted, not {said(word)}", hint=hint)


def integer(value: object, low: int, high: int | None = None, wanted: str = "a whole number") -> int:
    """A number within bounds. Digits in quotes, or from a variable, are a number as well."""
    word = _scalar(value, wanted)
    number = word.value
    if isinstance(number, str):
        if re.match(r"[-+]?0[0-9]", number):
            raise wrong(
                VALUE, f"{said(word)} has a leading zero", hint=f"write `{number.lstrip('0') or '0'}`"
            )
        number = int(number) if re.fullmatch(r"[-+]?[0-9]{1,15}", number) else None
    if isinstance(number, bool) or not isinstance(number, int):
        raise wrong(VALUE, f"{wanted} is wanted, not {said(word)}")
    if number < low or (high is not None and number > high):
        bounds = f"{low} to {high}" if high is not None else f"{low} or more"
        raise wrong(VALUE, f"{said(word)} is out of range; it has to be {bounds}")
    return number


def _factor(value: object) -> float:
    word = _scalar(value, "a number")
    try:
        number = float(word)
    except ValueError:
        raise wrong(VALUE, f"a number is wanted, not {said(word)}") from None
    if not 1 <= number < math.inf:
        raise wrong(VALUE, f"{said(word)} is out of range; it has to be 1 or more")
    return number


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[smhd]))+\Z")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])")
_SIZES = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([KMGT]?)i?B?)\Z", re.IGNORECASE)


def duration(value: object, *, zero: bool = False) -> float:
    """Seconds. `1h30m` adds up; a bare number is seconds."""
    word = _scalar(value, "a duration")
    text = word.replace(" ", "")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", text):
        seconds = float(text)
    elif _DURATION.match(text) and len(text) < 40:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    else:
        hint = "write `500ms`, `30s`, `5m`, `2h` or `1d`"
        raise wrong(QUANTITY, f"{said(word)} is not a duration", hint=hint)
    if seconds == 0 and not zero:
        raise wrong(QUANTITY, f"{said(word)} is no time at all")
    return seconds


def _maybe_duration(value: object) -> float | None:
    if isinstance(value, str) and value.lower() == "never":
        return None
    return duration(value)


def _size(value: object) -> int:
    word = _scalar(value, "a size")
    match = _SIZE.match(word)
    if not match or len(word) > 30:
        raise wrong(QUANTITY, f"{said(word)} is not a size", hint="write `64KB`, `50MB` or `2GB`")
    return int(float(match[1]) * 1024 ** _SIZES[match[2].upper()])


class PortRange(Struct, frozen=True):
    """`low` to `high`, both included; one number has them equal."""

    low: int
    high: int
    auto: bool = False

    def __str__(self) -> str:
        if self.auto:
            return "auto"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


AUTO = (20000, 29499)
"""Where `auto` looks: below the kernel's ephemeral ports, above Ray's workers, off torch's 29500."""


def port_range(value: object) -> PortRange:
    word = _scalar(value, "a port")
    if word == "auto":
        return PortRange(*AUTO, auto=True)
    match = re.fullmatch(r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?", word)
    if not match:
        hint = "write `8000`, `8000-8099` or `auto`"
        if re.fullmatch(r"[0-9.]*:?[0-9]+:[0-9]+", word):
            hint = f"a port is not mapped: write `{word.split(':')[-2]}`"
        raise wrong(PORT, f"{said(word)} is not a port", hint=hint)
    if any(re.match("0[0-9]", part) for part in match.groups() if part):
        raise wrong(PORT, f"{said(word)} has a leading zero", hint="write the number without it")
    low = int(match[1])
    high = int(match[2] or low)
    if low == high == 0:
        raise wrong(PORT, "`0` is not a port", hint="`auto` takes any free port")
    for number in (low, high):
        if not 1 <= number <= 65535:
            raise wrong(PORT, f"`{number}` is not a port; ports go from 1 to 65535")
    if low > high:
        raise wrong(PORT, f"the range {said(word)} runs backwards", hint=f"write `{high}-{low}`")
    return PortRange(low, high)


def _host(value: object) -> str:
    word = _scalar(value, "an address")
    if word.lower() == "localhost":
        message = "`localhost` is two addresses (127.0.0.1 and ::1), and a server takes one of them"
        raise wrong(HOST, message, hint="write `127.0.0.1`")
    try:
        return str(ip_address(str(word).strip("[]")))
    except ValueError:
        message = f"{said(word)} is not a literal address"
        raise wrong(HOST, message, hint="write `127.0.0.1`, or `0.0.0.0` for all interfaces") from None


SIGNALS = {s.name: int(s) for s in signal.Signals}


def signal_number(value: object) -> int:
    word = _scalar(value, "a signal")
    name = word.upper() if word.upper().startswith("SIG") else f"SIG{word.upper()}"
    if name in SIGNALS:
        return SIGNALS[name]
    if word.isascii() and word.isdigit() and int(word[:9]) in SIGNALS.values():
        return int(word)
    near = "" if word[:1].isdigit() else did_you_mean(name, SIGNALS)
    hint = near or "write `SIGTERM`, `SIGINT`, `SIGQUIT` or a number"
    raise wrong(VALUE, f"{said(word)} is not a signal", hint=hint)


def choice(*allowed: str, meant: Mapping[str, str] | None = None) -> Callable[[object], str]:
    """One of these words; `meant` maps words of other tools to ours."""

    def validate(value: object) -> str:
        word = _scalar(value, listed(allowed))
        if word in allowed:
            return str(word)
        near = (meant or {}).get(word.lower()) or closest(word, allowed)
        hint = f"did you mean `{near}`?" if near else ""
        raise wrong(VALUE, f"{said(word)} is not one of {listed(allowed, 'and')}", hint=hint)

    return validate


def _pattern(value: object) -> str:
    text = line(value)
    return compiled(text)


def compiled(text: str) -> str:
    """The regular expression, if it is one."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as problem:
        why = getattr(problem, "msg", "it is too large")
        raise wrong(VALUE, f"{said(text)} is not a regular expression: {why}") from None
    return text


def _name(value: object) -> str:
    text = line(value)
    if not NAME.match(text):
        raise wrong(VALUE, f"{said(text)} is not a name", hint="letters, digits, `_` and `-`, a letter first")
    return text


def schema(*forms: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(forms[0] if len(forms) == 1 else {"anyOf": list(forms)})


class Form(Struct, frozen=True, eq=False):
    """A kind of value made on the spot: how it is read, and how the JSON schema describes it."""

    validate: Callable[[Any], Any]
    forms: tuple[dict[str, Any], ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [dict(form) for form in self.forms]}


def whole(low: int, high: int | None = None) -> Form:
    """A whole number in `low..high`."""
    bounds: dict[str, Any] = {"type": "integer", "minimum": low}
    if high is not None:
        bounds["maximum"] = high
    digits = {"type": "string", "pattern": "^[0-9]+$"}
    return Form(lambda value: integer(value, low, high), (bounds, INTERPOLATED, digits))


def one_of(*allowed: str, meant: Mapping[str, str] | None = None) -> Form:
    """One of these words."""
    return Form(choice(*allowed, meant=meant), ({"enum": list(allowed)}, INTERPOLATED))


_LONG = r"^ *([0-9]+(\.[0-9]+)?(ms|[smhd]) *)+$|^[0-9]+(\.[0-9]+)?$"
_DURATION_SCHEMA = ({"type": "string", "pattern": _LONG}, {"type": "number", "minimum": 0}, INTERPOLATED)
_SIZE_SCHEMA = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?[KMGTkmgt]?i?[Bb]?$"}
_PORT_SCHEMA = {"type": "string", "pattern": r"^([0-9]{1,5}( *- *[0-9]{1,5})?|auto)$"}

Line = Annotated[str, PlainValidator(line), schema({"type": "string", "minLength": 1})]
"""Text, not empty."""
Loose = Annotated[str, PlainValidator(_loose), schema(SCALAR)]
"""Any single value, as it is written."""
Text = Annotated[Template, PlainValidator(_text), schema(SCALAR)]
"""Any single value, as it is written, with references to ports."""
Bool = Annotated[bool, PlainValidator(_bool), schema({"type": "boolean"}, INTERPOLATED)]
Factor = Annotated[
    float, PlainValidator(_factor), schema({"type": "number", "minimum": 1}, {"type": "string"})
]
Duration = Annotated[float, PlainValidator(duration), schema(*_DURATION_SCHEMA)]
"""Seconds, more than none."""
Grace = Annotated[float, PlainValidator(lambda value: duration(value, zero=True)), schema(*_DURATION_SCHEMA)]
"""Seconds, or none."""
MaybeDuration = Annotated[
    float | None, PlainValidator(_maybe_duration), schema(*_DURATION_SCHEMA, {"const": "never"})
]
"""Seconds, or None for `never`."""
Size = Annotated[
    int, PlainValidator(_size), schema(_SIZE_SCHEMA, {"type": "integer", "minimum": 0}, INTERPOLATED)
]
"""Bytes; units are multiples of 1024."""
Port = Annotated[
    PortRange,
    PlainValidator(port_range),
    schema({"type": "integer", "minimum": 1, "maximum": 65535}, _PORT_SCHEMA, INTERPOLATED),
]
Host = Annotated[str, PlainValidator(_host), schema({"type": "string", "not": {"const": "localhost"}})]
Signal = Annotated[
    int, PlainValidator(signal_number), schema({"type": "string"}, {"type": "integer", "minimum": 1})
]
Pattern = Annotated[str, PlainValidator(_pattern), schema({"type": "string", "minLength": 1})]
"""A regular expression."""
Name = Annotated[
    str, PlainValidator(_name), schema({"type": "string", "pattern": rf"^{NAME_PATTERN}$"}, INTERPOLATED)
]


class Short(Struct, frozen=True, eq=False):
    """Short forms of a value: `normalise` writes them out in full, `forms` describe them in the JSON schema."""

    normalise: Callable[[Any], Any]
    forms: tuple[dict[str, Any], ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.normalise, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        full = handler(schema)
        forms = [full["items"] if form is ITEM else dict(form) for form in self.forms]
        return {"anyOf": [*forms, full]} if forms else full


def _many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


ITEM: dict[str, Any] = {}
"""Among the forms of a list: one item of it."""


def many() -> Short:
    """One value stands for a list of one."""
    return Short(_many, (ITEM,))

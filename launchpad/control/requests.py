"""What a well-formed request is: the fields of each, and what they take.

Decides nothing about whether it can be carried out. The OpenAPI description (`openapi`) is made from the same table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

MOST_COPIES = 1_000
"""Of one service."""


class Malformed(ValueError):
    """The request is not one; the text says why."""


class Kind(Struct, frozen=True):
    """What a field takes: in words, for a message, and as JSON Schema."""

    fits: Callable[[Any], bool]
    wanted: str
    schema: Mapping[str, Any]


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _is_counts(value: Any) -> bool:
    """To JSON, 3.0 is a whole number as well."""
    known = range(MOST_COPIES + 1)
    return isinstance(value, dict) and all(n in known and not isinstance(n, bool) for n in value.values())


_TEXT = {"type": "string"}
FLAG = Kind(lambda value: isinstance(value, bool), "true or false", {"type": "boolean"})
TEXTS = Kind(_is_texts, "a list of texts", {"type": "array", "items": _TEXT})
NAMES = Kind(
    lambda value: _is_texts(value) and bool(value),
    "a list of at least one name",
    {"type": "array", "items": _TEXT, "minItems": 1},
)
MAP = Kind(_is_map, "a map of names to texts", {"type": "object", "additionalProperties": _TEXT})
COUNTS = Kind(
    _is_counts,
    f"a map of names to numbers from 0 to {MOST_COPIES}",
    {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": MOST_COPIES}},
)

_SHAPING = {
    "names": TEXTS,
    "all": FLAG,
    "profiles": TEXTS,
    "set_vars": MAP,
    "env_files": TEXTS,
    "yes": FLAG,
    "retry": FLAG,
    "again": FLAG,
}
FIELDS: dict[str, dict[str, Kind]] = {
    "start": {"names": NAMES},
    "stop": {"names": NAMES},
    "restart": {"names": NAMES},
    "down": {"kill": FLAG},
    "apply": _SHAPING,
    "reload": {"yes": FLAG, "again": FLAG},
    "scale": {"scale": COUNTS, "yes": FLAG, "again": FLAG},
    "diff": _SHAPING,
}
"""Verb → field → kind. Fields are only ever added."""
REQUIRED = {"start": ("names",), "stop": ("names",), "restart": ("names",), "scale": ("scale",)}


def body_of(verb: str, raw: bytes) -> dict[str, Any]:
    """The fields of a request; no body is none of them. Raises Malformed, KeyError for a verb that there is not."""
    known = FIELDS[verb]
    try:
        data = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Malformed("the request is not a JSON object")
    for name, value in data.items():
        if name not in known:
            raise Malformed(f"`{name}` is no part of `{verb}`; it has {', '.join(known)}")
        if not known[name].fits(value):
            raise Malformed(f"`{name}` is {known[name].wanted}")
    for name in REQUIRED.get(verb, ()):
        if name not in data:
            raise Malformed(f"`{verb}` needs `{name}`: {known[name].wanted}")
    return data

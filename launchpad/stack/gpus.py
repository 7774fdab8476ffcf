"""`gpus`: how many, which, with how much memory, and whether they are waited for.

Decides what can be asked for. Refuses to know what a machine has: a stack is checked where it is written.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from launchpad.stack.fields import INTERPOLATED, Bool, Short, Size, said, schema, whole, wrong
from launchpad.stack.nodes import kind_of
from launchpad.stack.problems import CONFLICT, VALUE, shown
from launchpad.stack.strict import Strict
from launchpad.stack.words import Word

MOST = 64
"""GPUs of one service."""
_ID = re.compile(r"(?:0|[1-9][0-9]{0,3}|[A-Za-z][A-Za-z0-9_.-]{0,63})\Z")


def gpu_id(value: object) -> str:
    """A number, or a UUID as `nvidia-smi -L` prints it."""
    if not isinstance(value, str):
        raise wrong(VALUE, f"a GPU is a number or a UUID, and this is {kind_of(value)}")
    if not _ID.match(value):
        hint = "write `0`, or a UUID as `nvidia-smi -L` prints it"
        raise wrong(VALUE, f"{said(value)} is not a GPU", hint=hint)
    return str(value)


def _ids(value: Any) -> tuple[str, ...]:
    """Each once, in an order that counts: the first is GPU 0 to the process."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise wrong(VALUE, "the list of GPUs is empty", hint="leave `gpus` out")
    if len(items) > MOST:
        raise wrong(VALUE, f"these are {len(items)} GPUs; {MOST} are the most for one service")
    found: list[str] = []
    for index, item in enumerate(items):
        try:
            one = gpu_id(item)
        except PydanticCustomError as problem:
            context = problem.context or {}
            raise wrong(VALUE, context["message"], hint=context["hint"], path=[index]) from None
        if one in found:
            raise wrong(VALUE, f"GPU `{shown(one)}` is given twice", path=[index])
        found.append(one)
    return tuple(found)


_ID_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]
}
_IDS_SCHEMA: dict[str, Any] = {"type": "array", "items": _ID_SCHEMA, "minItems": 1}
Ids = Annotated[tuple[str, ...], PlainValidator(_ids), schema(_IDS_SCHEMA)]


class Gpus(Strict):
    """Either `count` or `ids`; without either it is one."""

    count: Annotated[int | None, whole(1, MOST)] = Field(
        None,
        description="So many, any of those that are free; 1 where `ids` is not given either.",
        examples=[2],
    )
    ids: Ids = Field(
        (),
        description="These, by number or by UUID as `nvidia-smi -L` prints it. The first is GPU 0 to the process.",
        examples=[[0, 3]],
    )
    memory: Size = Field(
        0, description="Each with so much memory that nobody uses when it is taken.", examples=["40GB"]
    )
    wait: Bool = Field(
        False,
        description="Wait until they are free, instead of refusing the stack. The rest of the stack starts meanwhile.",
        examples=[True],
    )


def _gpus(value: Any) -> Any:
    if isinstance(value, list):
        return {"ids": value}
    if isinstance(value, Word) or not isinstance(value, dict):
        return {"count": value}
    if "count" in value and "ids" in value:
        raise wrong(
            CONFLICT, "`gpus` takes `count` or `ids`, not both", path=["ids"], hint="leave `count` out"
        )
    return value


GpusField = Annotated[
    Gpus, Short(_gpus, ({"type": "integer", "minimum": 1, "maximum": MOST}, INTERPOLATED, _IDS_SCHEMA))
]

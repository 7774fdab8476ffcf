"""The targets of `scripts/fuzz`. Each is a context that gives (what is done with one input, inputs)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from hypothesis import strategies as st

from tests.faults.fuzzing_control import api_target, socket_target
from tests.faults.fuzzing_input import stack_target, template_target
from tests.faults.fuzzing_openapi import openapi_target

Target = Callable[[], AbstractContextManager[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]]
TARGETS: dict[str, Target] = {
    "stack": stack_target,
    "template": template_target,
    "api": api_target,
    "openapi": openapi_target,
    "socket": socket_target,
}

"""What schemathesis makes of the control API's own OpenAPI document: requests that fit it, and that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from launchpad.control import answers
from launchpad.control.openapi import PATH
from tests.faults.fuzzing_control import in_process

HERE = "http://x"


@contextmanager
def openapi_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    """Every answer is one that the document has, a request that does not fit it is refused, and one that does is not
    refused for that. `down` is left out: it does what it says."""
    with mock.patch.object(answers, "MAX_WAIT_S", 0.01), in_process() as ask:
        document = ask("GET", PATH).json()
        del document["paths"]["/v1/down"]
        schema = schemathesis.openapi.from_dict(document)

        def once(case: Any) -> None:
            made = requests.Request(**case.as_transport_kwargs(base_url=HERE)).prepare()
            assert made.method is not None
            assert made.url is not None
            case.validate_response(
                ask(made.method, made.url, headers=dict(made.headers), content=made.body or b"")
            )

        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        yield once, st.one_of([schema.as_strategy(generation_mode=mode) for mode in modes])

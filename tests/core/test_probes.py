"""How many probes of one check may be under way."""

from __future__ import annotations

from launchpad.core.model import Check, CheckKind
from launchpad.core.state import flying_limit


def test_a_request_that_is_work_is_made_once_at_a_time() -> None:
    assert flying_limit(Check(CheckKind.HTTP)) > 1
    assert flying_limit(Check(CheckKind.HTTP, content=("{}",))) == 1
    assert flying_limit(Check(CheckKind.EXEC, argv=(("x",),))) == 1

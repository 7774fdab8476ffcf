from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import asdict

from tests.e2e.conftest import make_stack
from tests.faults.table import Case, Row

__all__ = ["make_stack"]


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """What the case fills in; kept where `--fault-rows` says, and only of a case that passed."""
    found = Row(getattr(request.function, "case", Case("", "", "")))
    failed = request.session.testsfailed
    yield found
    folder = request.config.getoption("--fault-rows")
    if folder and request.session.testsfailed == failed:
        name = request.node.name.replace("/", "_")
        (Path(folder) / f"{name}.json").write_text(json.dumps(asdict(found)))


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> float:
    """How much larger than usual the flood of output is (`--fault-scale`)."""
    return float(request.config.getoption("--fault-scale"))

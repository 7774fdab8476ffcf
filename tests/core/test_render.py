"""References become values: addresses that work in a URL, whatever was bound."""

from __future__ import annotations

import pytest

from launchpad.core import render
from launchpad.core.model import Lease, Ref


@pytest.mark.parametrize(
    ("bound", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
    ],
)
def test_url(bound: str, url: str) -> None:
    leases = {("llm", "main"): Lease("llm", "main", 8000, bound)}
    assert render.text(("--url=", Ref("llm", "main", "url"), "/v1"), leases) == f"--url={url}/v1"
    assert render.text((Ref("llm", "main", "address"),), leases) == url.removeprefix("http://")
    assert render.text((Ref("llm"),), leases) == "8000"

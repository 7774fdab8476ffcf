"""What a well-formed request is, and how often one may ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from launchpad.control.answers import Answers
from launchpad.control.api import Reply, Snapshot
from launchpad.control.conversation import Question
from launchpad.control.openapi import document
from launchpad.control.pace import Pace
from launchpad.control.requests import FIELDS, Malformed, body_of


@pytest.mark.parametrize(
    ("verb", "body", "says"),
    [
        ("start", {}, "`start` needs `names`: a list of at least one name"),
        ("stop", {"names": []}, "`names` is a list of at least one name"),
        ("restart", {"names": "llm"}, "`names` is a list of at least one name"),
        ("apply", {"names": [1]}, "`names` is a list of texts"),
        ("diff", {"set_vars": {"a": 1}}, "`set_vars` is a map of names to texts"),
        ("reload", {"yes": "true"}, "`yes` is true or false"),
        ("reload", {"names": ["llm"]}, "`names` is no part of `reload`; it has yes, again"),
        ("scale", {}, "`scale` needs `scale`: a map of names to numbers from 0 to 1000"),
        ("scale", {"scale": {"llm": True}}, "`scale` is a map of names to numbers from 0 to 1000"),
        ("scale", {"scale": {"llm": 1.5}}, "`scale` is a map of names to numbers from 0 to 1000"),
        ("scale", {"scale": {"llm": 1001}}, "`scale` is a map of names to numbers from 0 to 1000"),
        ("scale", {"scale": {"llm": -1}}, "`scale` is a map of names to numbers from 0 to 1000"),
        ("scale", {"scale": {"llm": "2"}}, "`scale` is a map of names to numbers from 0 to 1000"),
        ("scale", {"scale": 2}, "`scale` is a map of names to numbers from 0 to 1000"),
        ("down", {"kill": 1}, "`kill` is true or false"),
        ("down", [], "the request is not a JSON object"),
    ],
)
def test_malformed(verb: str, body: Any, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        body_of(verb, json.dumps(body).encode())
    assert str(caught.value) == says


class Asked:
    """A control that only notes what it is asked."""

    def __init__(self) -> None:
        self.moments: list[tuple[int | None, float]] = []

    async def status(self, after: int | None, timeout_s: float) -> Snapshot:
        self.moments.append((after, timeout_s))
        return Snapshot(1, "mine", "/stack.yaml", 1, 0.0, "up", None, (), (), ())

    async def ask(self, verb: str, body: dict[str, Any]) -> Reply:
        raise AssertionError(verb)


@pytest.mark.parametrize(
    ("query", "moment"),
    [
        ("", (None, 0.0)),
        ("?after=3&timeout=0.5", (3, 0.5)),
        ("?after=", None),
        ("?after=3&timeout=", None),
        ("?after=x", None),
        ("?timeout=-1", None),
        ("?timeout=nan", None),
    ],
)
def test_when_a_picture_is_wanted(query: str, moment: tuple[int | None, float] | None) -> None:
    control = Asked()
    asked = Answers(control, Pace()).answer(Question("GET", f"/v1/status{query}"))
    assert asyncio.run(asked).status == (400 if moment is None else 200)
    assert control.moments == ([] if moment is None else [moment])


def test_a_whole_number_is_one_however_it_is_written() -> None:
    assert body_of("scale", b'{"scale": {"llm": 3.0}}') == {"scale": {"llm": 3}}


@pytest.mark.parametrize("verb", ["apply", "reload", "scale"])
def test_what_takes_minutes_is_asked_again(verb: str) -> None:
    body = {"again": True, **({"scale": {}} if verb == "scale" else {})}
    assert body_of(verb, json.dumps(body).encode()) == body


def test_no_body_is_none_of_the_fields() -> None:
    assert body_of("reload", b"") == {}


def test_the_document_has_every_request() -> None:
    """And what its references speak of."""
    made = document()
    assert set(made["paths"]) == {"/v1/status", *(f"/v1/{verb}" for verb in FIELDS)}
    text = json.dumps(made)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named == set(made["components"]["schemas"])


def test_a_burst_is_not_made_to_wait() -> None:
    pace = Pace(rate=10, burst=5)
    assert [pace.wait_s(100.0) for _ in range(5)] == [0.0] * 5
    assert pace.wait_s(100.0) == pytest.approx(0.1)
    assert pace.wait_s(100.0) == pytest.approx(0.2)


def test_the_rate_holds_in_the_long_run() -> None:
    """Who asks as soon as he is let: 5 at once, then 10 a second."""
    pace, now = Pace(rate=10, burst=5), 50.0
    for _ in range(105):
        now += pace.wait_s(now)
    assert now - 50.0 == pytest.approx(10.0)


def test_a_rest_brings_the_burst_back() -> None:
    pace = Pace(rate=10, burst=5)
    for _ in range(20):
        pace.wait_s(0.0)
    assert [pace.wait_s(60.0) for _ in range(5)] == pytest.approx([0.0] * 5)
    assert pace.wait_s(60.0) == pytest.approx(0.1)


def test_a_turn_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def ask() -> None:
        pace = Pace(rate=0.01, burst=2)
        for _ in range(4):
            await pace.turn()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(ask())
    assert waited == pytest.approx([100.0, 200.0], abs=10)

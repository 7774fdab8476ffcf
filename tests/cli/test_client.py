"""The control client: questions, answers, and everything that is not an answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad.control.api import Reply, to_json
from launchpad.control.client import Client, NotRunning
from launchpad.errors import Diagnostic, Label, Refused, Span
from tests.cli.fake import FakeSupervisor
from tests.views.samples import ready, snapshot


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSupervisor]:
    server = FakeSupervisor(tmp_path / "s", snapshot(ready("llm")))
    yield server
    server.close()


def http(body: bytes, head: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_status_is_the_snapshot_with_all_its_parts(fake: FakeSupervisor) -> None:
    problem = Diagnostic("E501", "x", labels=(Label(Span("f", 1, 2, 3, 4), "here"),), notes=("a",))
    fake.put(diagnostics=(problem,))
    assert Client(fake.path).status() == fake.snapshot


def test_a_long_question_is_answered_by_the_next_change(fake: FakeSupervisor) -> None:
    client = Client(fake.path)
    first = client.status()
    threading.Timer(0.05, lambda: fake.put(phase="up")).start()
    assert client.status(first.rev, 30).phase == "up"


def test_a_long_question_ends(fake: FakeSupervisor) -> None:
    client = Client(fake.path)
    first = client.status()
    assert client.status(first.rev, 0.01).rev == first.rev


def test_requests(fake: FakeSupervisor) -> None:
    client = Client(fake.path)
    client.start(["a"])
    client.stop(["b", "c"])
    client.restart(["d"])
    client.down(kill=True)
    client.apply()
    assert fake.asked == [
        ("start", {"names": ["a"]}),
        ("stop", {"names": ["b", "c"]}),
        ("restart", {"names": ["d"]}),
        ("down", {"kill": True}),
        ("apply", {}),
    ]


def test_a_refusal_is_a_reply(fake: FakeSupervisor) -> None:
    refusal = Reply(False, diagnostics=(Diagnostic("E301", "no free port"),))
    fake.actions["apply"] = lambda fake, body: refusal
    assert Client(fake.path).apply() == refusal


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        Client(tmp_path / "nothing").status()


def test_a_socket_that_nobody_listens_on(fake: FakeSupervisor) -> None:
    fake.close()
    fake.path.touch()
    with pytest.raises(NotRunning):
        Client(fake.path).status()
    fake.path.unlink()


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
def test_a_supervisor_that_goes_away_in_the_middle(fake: FakeSupervisor, raw: bytes) -> None:
    fake.raw = raw
    with pytest.raises(NotRunning):
        Client(fake.path).status()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"220 smtp.example.org\r\n", "E602"),
        (http(b"not json"), "E602"),
        (http(b"[]"), "E602"),
        (http(b"{}"), "E602"),
        (http(b'{"rev": 1}'), "E602"),
        (http(b'{"detail": "no"}', b"HTTP/1.1 500 Oops"), "E602"),
        (http(json.dumps({**to_json(snapshot()), "version": 99}).encode()), "E601"),
    ],
)
def test_answers_that_make_no_sense_are_refused(fake: FakeSupervisor, raw: bytes, code: str) -> None:
    fake.raw = raw
    with pytest.raises(Refused) as caught:
        Client(fake.path).status()
    assert caught.value.diagnostics[0].code == code


def test_fields_of_a_newer_launchpad_are_passed_over(fake: FakeSupervisor) -> None:
    fake.raw = http(json.dumps({**to_json(snapshot(ready("llm"))), "colour": "blue"}).encode())
    assert Client(fake.path).status().services[0].name == "llm"


def test_names_that_are_no_text_arrive_as_they_are(fake: FakeSupervisor) -> None:
    name = os.fsdecode(b"/tmp/\xff.log")
    fake.put(file=name)
    fake.actions["stop"] = lambda fake, body: Reply(True, changes=tuple(body["names"]))
    assert Client(fake.path).status().file == name
    assert Client(fake.path).stop([name]).changes == (name,)


def test_whoever_is_slow_is_waited_for(fake: FakeSupervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchpad.control.client.LOOK_S", 0.01)
    looked = threading.Event()
    monkeypatch.setattr("launchpad.control.client._look_who_answers", lambda sock: looked.set())
    fake.actions["apply"] = lambda fake, body: Reply(looked.wait(30))
    assert Client(fake.path).apply().ok


def test_a_supervisor_that_is_stopped_is_named_as_such(
    fake: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchpad.control.client.ANSWER_S", 0.05)
    answer = threading.Event()
    fake.actions["apply"] = lambda fake, body: Reply(answer.wait(30))
    with pytest.raises(Refused) as caught:
        Client(fake.path).apply()
    assert caught.value.diagnostics[0].code == "E603"
    answer.set()

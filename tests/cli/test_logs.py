"""`logs` and `events`: from disk, in three forms, and while they grow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchpad.cli.journal import Journal
from launchpad.cli.log_printers import JsonPrinter
from launchpad.paths import StackPaths
from tests.cli.conftest import Cli
from tests.cli.fake import FakeSupervisor
from tests.views.samples import view

LIMIT_S = 60.0


@pytest.fixture
def logs(paths: StackPaths) -> StackPaths:
    paths.logs_dir.mkdir(parents=True)
    paths.log("llm").write_bytes(b"one\ntwo\nthree \xff\r\n")
    paths.log("train").write_bytes(b"step 1\nstep 2\nno end")
    return paths


def test_one_name_gives_the_bytes_as_they_are(logs: StackPaths) -> None:
    done = subprocess.run([sys.executable, "-m", "launchpad", "logs", "llm"], capture_output=True, check=True)
    assert done.stdout == b"one\ntwo\nthree \xff\r\n"
    assert done.stderr == b""


@pytest.mark.usefixtures("logs")
def test_several_or_none_are_prefixed(cli: Cli) -> None:
    both = "llm   │ one\nllm   │ two\nllm   │ three \ufffd\ntrain │ step 1\ntrain │ step 2\ntrain │ no end\n"
    assert cli("logs").out == both
    assert cli("logs", "llm", "train").out == both
    assert cli("logs", "train", "llm", "-n", "1").out == "train │ no end\nllm   │ three \ufffd\n"


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(("count", "shown"), [("0", ""), ("1", "no end"), ("2", "step 2\nno end")])
def test_the_last_lines(cli: Cli, count: str, shown: str) -> None:
    assert cli("logs", "train", "-n", count).out == shown


@pytest.mark.usefixtures("logs")
def test_json_lines(cli: Cli) -> None:
    lines = [json.loads(line) for line in cli("logs", "--json", "train").out.splitlines()]
    assert lines == [
        {"version": 1, "service": "train", "line": "step 1"},
        {"version": 1, "service": "train", "line": "step 2"},
        {"version": 1, "service": "train", "line": "no end"},
    ]


@pytest.mark.usefixtures("logs")
def test_a_service_that_has_not_run(cli: Cli) -> None:
    said = cli("logs", "eval")
    assert (said.code, said.out, said.err) == (0, "", "`eval` has not been started yet\n")


def test_nothing_printed_yet(cli: Cli) -> None:
    said = cli("logs")
    assert (said.code, said.out) == (0, "")
    assert "nothing has been printed yet" in said.err


@pytest.fixture
def following(folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def follow(started: list[subprocess.Popen[str]], *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "launchpad", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    return process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_following_several_until_the_stack_ends(
    logs: StackPaths, supervisor: FakeSupervisor, following: list[subprocess.Popen[str]]
) -> None:
    process = follow(following, "logs", "-f", "-n", "1", "llm", "train")
    assert line(process) == "llm   │ three \ufffd\n"
    with open(logs.log("train"), "ab") as train, open(logs.log("llm"), "ab") as llm:
        train.write(b", or is it?\n")
        train.flush()
        assert line(process) in ("train │ no end, or is it?\n", "train │ no end\n")
        llm.write(b"four\n")
        llm.flush()
        while (text := line(process)) != "llm   │ four\n":
            assert text == "train │ , or is it?\n"
        train.write(b"last words")
    supervisor.put(phase="finished", code=0)
    assert process.communicate(timeout=LIMIT_S) == ("train │ last words\n", "")
    assert process.returncode == 0


def test_following_one_passes_bytes_on_at_once(
    logs: StackPaths, supervisor: FakeSupervisor, following: list[subprocess.Popen[str]]
) -> None:
    process = follow(following, "logs", "-f", "-n", "2", "train")
    assert line(process) == "step 2\n"
    assert process.stdout
    assert process.stdout.read(6) == "no end"
    with open(logs.log("train"), "ab", buffering=0) as train:
        train.write(b"?")
        assert process.stdout.read(1) == "?"
    supervisor.put(phase="finished", code=0)
    assert process.wait(LIMIT_S) == 0


def test_following_a_stack_that_does_not_run_ends(logs: StackPaths, cli: Cli) -> None:
    assert cli("logs", "-f", "train").out == "step 1\nstep 2\nno end"


def test_following_as_json_carries_the_time(
    logs: StackPaths, supervisor: FakeSupervisor, following: list[subprocess.Popen[str]]
) -> None:
    process = follow(following, "logs", "-f", "--json", "-n", "1", "llm")
    assert json.loads(line(process)) == {"version": 1, "service": "llm", "line": "three \ufffd"}
    with open(logs.log("llm"), "ab") as llm:
        llm.write(b"four\n")
    after = json.loads(line(process))
    assert after.pop("time") > 1e9
    assert after == {"version": 1, "service": "llm", "line": "four"}
    supervisor.put(phase="finished", code=0)
    assert process.wait(LIMIT_S) == 0


def test_only_what_comes_after_the_beginning_carries_the_time(
    logs: StackPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    printer = JsonPrinter()
    printer.add("llm", logs.log("llm"), 1)
    with open(logs.log("llm"), "ab") as llm:
        llm.write(b"four\n")
    printer.finish(last=False)
    printer.pump()
    first, second = (json.loads(text) for text in capsys.readouterr().out.splitlines())
    assert (first["line"], "time" in first) == ("three \ufffd", False)
    assert (second["line"], "time" in second) == ("four", True)


def test_a_service_that_joins_the_stack_is_followed(
    logs: StackPaths, supervisor: FakeSupervisor, following: list[subprocess.Popen[str]]
) -> None:
    process = follow(following, "logs", "-f", "-n", "1")
    assert [line(process), line(process)] == ["llm    │ three \ufffd\n", "train  │ no end\n"]
    logs.log("judge").write_text("hello\n")
    supervisor.put(
        services=(*supervisor.snapshot.services, view("judge", "starting", log=str(logs.log("judge"))))
    )
    assert line(process) == "judge  │ hello\n"


def test_a_service_started_for_the_first_time_is_followed(
    logs: StackPaths, supervisor: FakeSupervisor, following: list[subprocess.Popen[str]]
) -> None:
    process = follow(following, "logs", "-f", "-n", "1")
    assert [line(process), line(process)] == ["llm    │ three \ufffd\n", "train  │ no end\n"]
    logs.log("reward").write_text("hello\n")
    assert line(process).endswith("│ hello\n")


# --- events ----------------------------------------------------------------------------------------------


def event(name: str, text: str, phase: str = "ready", what: str = "phase") -> str:
    return json.dumps({"at": 1e9, "service": name, "what": what, "text": text, "phase": phase}) + "\n"


@pytest.fixture
def journal(paths: StackPaths) -> Path:
    paths.state_dir.mkdir(parents=True)
    older = paths.journal.with_name("events.jsonl.1")
    older.write_text(event("llm", "first"))
    paths.journal.write_text(
        event("llm", "ready after 2.0 s") + event("train", "refused", "starting", "probe")
    )
    return paths.journal


@pytest.mark.usefixtures("journal")
def test_events(cli: Cli) -> None:
    lines = cli("events").out.splitlines()
    assert [text.split("  ", 1)[1] for text in lines] == [
        "llm  ready: first",
        "llm  ready: ready after 2.0 s",
        "train  probe: refused",
    ]
    assert cli("events", "train", "-n", "5").out.splitlines() == lines[2:]
    assert cli("events", "-n", "1").out.splitlines() == lines[2:]
    assert [json.loads(text)["text"] for text in cli("events", "--json", "llm").out.splitlines()] == [
        "first",
        "ready after 2.0 s",
    ]


def test_no_events_yet(cli: Cli) -> None:
    said = cli("events")
    assert (said.code, said.out) == (0, "")
    assert "nothing has happened yet" in said.err


def test_following_events_over_a_fresh_journal(journal: Path, following: list[subprocess.Popen[str]]) -> None:
    process = follow(following, "events", "-f", "--json", "-n", "1")
    assert json.loads(line(process))["text"] == "refused"
    with open(journal, "a") as file:
        file.write(event("llm", "more"))
    assert json.loads(line(process))["text"] == "more"
    journal.rename(journal.with_name("events.jsonl.1"))
    journal.write_text(event("llm", "in the fresh one"))
    assert json.loads(line(process))["text"] == "in the fresh one"
    assert process.poll() is None


def test_what_is_written_before_the_journal_is_replaced_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(event("llm", "one"))

    class Late(Journal):
        """Between two looks somebody writes, and then puts a fresh file in its place."""

        def _is_current(self) -> bool:
            if path.with_suffix(".old").exists():
                return super()._is_current()
            with open(path, "a") as file:
                file.write(event("llm", "two"))
            path.rename(path.with_suffix(".old"))
            path.write_text(event("llm", "three"))
            return False

    journal = Late(path)
    journal._reopen()
    assert [found["text"] for found in journal.new()] == ["one", "two", "three"]
    assert journal.new() == []


def test_a_name_in_a_broken_file_that_never_ran(cli: Cli, folder: Path) -> None:
    """What is wrong with the file says more than that it has no such name."""
    (folder / "stack.yaml").write_text("servers: {a: {comand: x}}\n")
    said = cli("logs", "a")
    assert said.code == 2
    assert "unknown key `comand`" in said.err

"""Commands about a stack that runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launchpad.control.api import HoldView, Reply
from launchpad.errors import Diagnostic
from launchpad.paths import StackPaths
from tests.cli.conftest import Cli
from tests.cli.fake import FakeSupervisor


def test_ps_json_is_a_list_of_all_fields(cli: Cli, supervisor: FakeSupervisor) -> None:
    rows = json.loads(cli("ps", "--json").out)
    assert [row["name"] for row in rows] == ["llm", "reward", "train", "eval"]
    wanted = {"name", "kind", "state", "pid", "ports", "url", "started_at", "restarts", "exit_code", "holds"}
    assert all(wanted <= set(row) for row in rows)
    assert rows[0]["ports"] == {"main": 8030}
    assert rows[2]["state"] == "idle"
    assert rows[2]["holds"] == [{"kind": "need", "on": "reward", "text": "waits for `reward` to be ready"}]


def test_ps_in_a_pipe_is_plain_and_its_head_a_message(cli: Cli, supervisor: FakeSupervisor) -> None:
    said = cli("ps", "llm")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "llm"]
    assert said.err.startswith("grpo: starting, supervisor 4711")
    assert "\x1b" not in said.out


def test_ps_with_colour_forced_is_the_table(
    cli: Cli, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("ps")
    assert "\x1b[" in said.out
    assert "◐ starting" in said.out


def test_nothing_runs(cli: Cli) -> None:
    said = cli("ps", "--json")
    assert (said.code, json.loads(said.out)) == (0, [])
    assert "is not running" in said.err
    for command in (["start", "llm"], ["stop", "llm"], ["restart", "llm"], ["url", "llm"], ["wait"]):
        said = cli(*command)
        assert said.code == 1, command
        assert "is not running" in said.err, command


# --- url -------------------------------------------------------------------------------------------------


def test_url_of_a_ready_server(cli: Cli, supervisor: FakeSupervisor) -> None:
    assert cli("url", "llm").out == "http://127.0.0.1:8030\n"


@pytest.mark.parametrize(
    ("name", "why"), [("reward", "`reward` is not ready: starting (refused)"), ("train", "has no address")]
)
def test_url_of_anything_else(cli: Cli, supervisor: FakeSupervisor, name: str, why: str) -> None:
    said = cli("url", name)
    assert (said.code, said.out) == (1, "")
    assert why in said.err


# --- start, stop, restart --------------------------------------------------------------------------------


def test_start_waits_until_it_is_up(cli: Cli, supervisor: FakeSupervisor) -> None:
    def start(fake: FakeSupervisor, body: dict[str, Any]) -> Reply:
        fake.change("reward", state="ready")
        return Reply(True, changes=("start reward",))

    supervisor.actions["start"] = start
    said = cli("start", "reward")
    assert said.code == 0
    assert said.err == "start reward\n`reward` is started\n"
    assert supervisor.asked == [("start", {"names": ["reward"]})]


def test_start_of_what_fails(cli: Cli, supervisor: FakeSupervisor) -> None:
    def start(fake: FakeSupervisor, body: dict[str, Any]) -> Reply:
        fake.change("reward", state="failed", outcome="exit 1 after 0.1 s")
        return Reply(True)

    supervisor.actions["start"] = start
    said = cli("start", "reward")
    assert said.code == 1
    assert said.err == "`reward` is not started: exit 1 after 0.1 s\n"


def test_start_of_what_cannot_start(cli: Cli, supervisor: FakeSupervisor) -> None:
    held = (HoldView("failed-need", "reward", "`reward` is stopped"),)
    supervisor.actions["start"] = lambda fake, body: (fake.change("train", holds=held), Reply(True))[1]
    said = cli("start", "train")
    assert said.code == 1
    assert said.err == "`train` is not started: reward is stopped\n"


def test_start_need_not_wait(cli: Cli, supervisor: FakeSupervisor) -> None:
    assert cli("start", "reward", "--no-wait").code == 0
    said = cli("start", "reward", "--timeout", "10ms")
    assert said.code == 1
    assert "`reward` is starting (refused)" in said.err


def test_a_refused_request_is_shown(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.actions["start"] = lambda fake, body: Reply(
        False, diagnostics=(Diagnostic("E301", "no port"),)
    )
    said = cli("start", "reward")
    assert said.code == 2
    assert "error[E301]: no port" in said.err


def test_stop_waits_until_it_is_gone(cli: Cli, supervisor: FakeSupervisor) -> None:
    def stop(fake: FakeSupervisor, body: dict[str, Any]) -> Reply:
        fake.change("llm", state="stopping")
        fake.change("llm", state="idle", goal="down")
        return Reply(True)

    supervisor.actions["stop"] = stop
    assert cli("stop", "llm").err == "`llm` is stopped\n"


def test_restart_waits_for_another_attempt(cli: Cli, supervisor: FakeSupervisor) -> None:
    said = cli("restart", "llm", "--timeout", "50ms")
    assert said.code == 1, "the old attempt is still ready, and that is no restart"
    supervisor.actions["restart"] = lambda fake, body: (fake.change("llm", attempt=2), Reply(True))[1]
    assert cli("restart", "llm").code == 0


# --- wait ------------------------------------------------------------------------------------------------


def test_wait_for_all_jobs(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.change("train", state="done")
    said = cli("wait", "--timeout", "20ms")
    assert said.code == 1
    assert said.err == "not done after 0.0 s: `eval` is waiting (waits for train to be ready)\n"
    supervisor.change("eval", state="done")
    assert cli("wait").code == 0
    assert cli("wait", "train").code == 0


def test_wait_for_one_that_fails(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.change("train", state="failed", outcome="exit 3 after 1.0 s")
    said = cli("wait", "train")
    assert (said.code, said.err) == (1, "`train` is not done: exit 3 after 1.0 s\n")


def test_wait_for_one_that_can_no_longer_start(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.change("eval", holds=(HoldView("failed-need", "train", "`train` failed"),))
    said = cli("wait", "eval")
    assert (said.code, said.err) == (1, "`eval` is not done: train failed\n")


def test_wait_for_a_server_is_refused(cli: Cli, supervisor: FakeSupervisor) -> None:
    said = cli("wait", "llm")
    assert said.code == 2
    assert "error[E611]: `llm` is a server" in said.err


def test_wait_ends_with_the_stack(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.put(phase="finished", code=1)
    assert cli("wait").code == 1


@pytest.fixture
def ended(paths: StackPaths) -> None:
    """The journal of two runs, of which the second counts."""
    paths.state_dir.mkdir(parents=True)
    events = [
        (1 << 32 | 1, "eval", "done", "exit 0"),
        (2 << 32 | 1, "train", "starting", "started"),
        (2 << 32 | 1, "train", "done", "exit 0 after 3.0 s"),
        (2 << 32 | 2, "llm", "idle", "stopped"),
    ]
    with open(paths.journal, "w") as journal:
        for attempt, name, phase, text in events:
            event = {
                "at": 1.0,
                "service": name,
                "what": "phase",
                "text": text,
                "phase": phase,
                "attempt": attempt,
            }
            journal.write(json.dumps(event) + "\n")
        journal.write('{"at": 2.0, "cut off by a cra')


@pytest.mark.usefixtures("ended")
def test_wait_after_the_end_tells_how_the_last_run_ended(cli: Cli) -> None:
    assert cli("wait", "train").code == 0
    for missing in ((), ("eval",)):
        said = cli("wait", *missing)
        assert (said.code, said.err) == (1, "`eval` is not done: it was not started\n")
    assert cli("wait", "llm").code == 2


# --- down ------------------------------------------------------------------------------------------------


def finishing(fake: FakeSupervisor, body: dict[str, Any]) -> Reply:
    fake.put(phase="stopping")
    held = (HoldView("tree", "llm", "still alive: pid 5120 `serve`"),)
    fake.change("llm", state="stopping", holds=held)
    fake.put(phase="finished", services=(), code=0)
    return Reply(True)


def test_down_waits_for_the_end(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.put(pid=2**22 + 1)  # no such process: it has left already
    supervisor.actions["down"] = finishing
    said = cli("down")
    assert said.code == 0
    assert said.err.endswith("`grpo` is down; ended `llm`, `reward`\n")
    assert supervisor.asked == [("down", {"kill": False})]


def test_down_kills_when_time_is_up(cli: Cli, supervisor: FakeSupervisor) -> None:
    supervisor.put(pid=2**22 + 1)
    supervisor.actions["down"] = lambda fake, body: finishing(fake, body) if body["kill"] else Reply(True)
    assert cli("down", "--timeout", "10ms").code == 0
    assert supervisor.asked == [("down", {"kill": False}), ("down", {"kill": True})]


def test_down_when_nothing_runs(cli: Cli) -> None:
    said = cli("down")
    assert said.code == 0
    assert "runs" in said.err
    assert cli("down", "--all").err == "no stack of yours runs\n"

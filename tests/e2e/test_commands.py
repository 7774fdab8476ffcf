"""The commands, end to end: what they print, what they return, and that they do what they say."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.e2e.conftest import Make
from tests.e2e.harness import alive, eventually, fire, get

STATES = {
    "idle",
    "spawning",
    "starting",
    "ready",
    "unready",
    "stopping",
    "killing",
    "backoff",
    "done",
    "failed",
    "lost",
}
PAIR = """
    name: pair
    servers:
      llm: {command: "PRETEND --port ${self.port} --print one --print two --mark marks --name llm", port: auto, ready: /health}
    jobs:
      train: {command: "PRETEND --print trained --exit 0", depends_on: [llm]}
      never: {command: "PRETEND --exit 0", depends_on: {broken: done}}
      broken: {command: "PRETEND --exit 3 --print oops"}
"""


# --- looking ---------------------------------------------------------------------------------------------


def test_ps_json_has_the_fields_of_the_contract(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    rows = stack.ps()
    assert list(rows) == sorted(rows, key=list(rows).index)
    for row in rows.values():
        assert {
            "name", "kind", "state", "pid", "ports", "url", "started_at", "restarts", "exit_code", "holds",
        } <= set(row)  # fmt: skip
        assert row["state"] in STATES
    llm, train, broken, never = (rows[name] for name in ("llm", "train", "broken", "never"))
    assert (llm["kind"], llm["state"], llm["restarts"]) == ("server", "ready", 0)
    assert alive(llm["pid"])
    assert llm["url"] == f"http://127.0.0.1:{llm['ports']['main']}"
    assert 0 <= time.time() - llm["started_at"] < 600
    assert (train["kind"], train["state"], train["exit_code"], train["pid"]) == ("job", "done", 0, None)
    assert (broken["state"], broken["exit_code"]) == ("failed", 3)
    assert never["state"] == "idle"
    (hold,) = never["holds"]
    assert set(hold) >= {"kind", "on", "text"}
    assert (hold["kind"], hold["on"]) == ("failed-need", "broken")
    stack.down()


def test_ps_for_people(make_stack: Make) -> None:
    """One line each, without colours or cursor movements when it is no terminal; why something waits."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    text = stack.cli("ps", check=0).stdout
    assert "\x1b" not in text
    rows = {line.split()[0]: line for line in text.splitlines()}
    url = stack.cli("url", "llm").stdout.strip()
    assert url in rows["llm"]
    assert "ready" in rows["llm"]
    assert "done" in rows["train"]
    assert "exit 3" in rows["broken"]
    assert re.search(r"\bbroken\b.*failed", rows["never"])
    stack.down()


def test_ps_of_a_stack_that_does_not_run(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    done = stack.cli("ps", "--json", check=0)
    assert json.loads(done.stdout) == []
    assert "not running" in stack.cli("ps", check=0).stderr


def test_logs(make_stack: Make) -> None:
    """One name: raw lines. Several or none: prefixed. -n: the last ones. Also when the stack is down."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    for _ in range(2):
        assert stack.cli("logs", "llm", check=0).stdout == "one\ntwo\n"
        assert stack.cli("logs", "llm", "-n", "1", check=0).stdout == "two\n"
        assert stack.cli("logs", "llm", "-n", "0", check=0).stdout == ""
        both = stack.cli("logs", "llm", "train", check=0).stdout.splitlines()
        assert [re.split(r"\W+", line, maxsplit=1)[0] for line in both] == ["llm", "llm", "train"]
        assert both[2].endswith("trained")
        assert {"one", "two", "trained", "oops"} == {
            line.split()[-1] for line in stack.cli("logs", check=0).stdout.splitlines()
        }
        rows = [json.loads(line) for line in stack.cli("logs", "--json", check=0).stdout.splitlines()]
        assert {("llm", "one"), ("llm", "two"), ("train", "trained"), ("broken", "oops")} == {
            (row["service"], row["line"]) for row in rows
        }
        stack.cli("down", check=0)


def test_logs_raw_bytes(make_stack: Make) -> None:
    """`logs NAME` prints what was printed: no newline added, bytes that are no UTF-8 kept."""
    stack = make_stack('jobs: {job: {command: ["printf", "a\\\\r\\\\nb\\\\033[1m no newline"]}}')
    stack.cli("up", check=0)
    assert stack.cli("logs", "job", check=0).stdout.encode() in (
        b"a\r\nb\x1b[1m no newline",
        b"a\nb\x1b[1m no newline",  # as text mode reads it
    )


def test_logs_follow(make_stack: Make) -> None:
    """-f shows what is printed from now on at once, and ends with the stack."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    follow = stack.start("logs", "-f", "llm")
    eventually(lambda: "two" in stack.output(0), "the old lines come first")
    url = stack.cli("url", "llm").stdout.strip()
    get(f"{url}/print?text=fresh")
    eventually(lambda: "fresh" in stack.output(0), "new lines come while it runs")
    as_json = stack.start("logs", "-f", "--json", "llm", "train")
    get(f"{url}/print?text=fresher")
    eventually(lambda: "fresher" in stack.output(1), "JSON lines come as well")
    stack.down()
    assert follow.wait(30) == 0
    assert as_json.wait(30) == 0
    for line in (stack.folder / "out1.txt").read_text().splitlines():
        assert {"service", "line"} <= set(json.loads(line))


def test_logs_follow_survives_a_restart(make_stack: Make) -> None:
    """-f goes on with the next process of the service."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.start("logs", "-f", "llm")
    eventually(lambda: stack.output(0).count("two") == 1, "the first process")
    stack.cli("restart", "llm", check=0)
    eventually(lambda: stack.output(0).count("two") == 2, "the second process")
    stack.down()


def test_events(make_stack: Make) -> None:
    """What happened, in order, as JSON lines that carry a version; -f goes on; the stack need not run."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    events = stack.events()
    assert all({"at", "service", "what", "text", "version"} <= set(event) for event in events)
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    phases = [event["phase"] for event in events if event["service"] == "llm" and event["what"] == "phase"]
    assert phases == ["spawning", "starting", "ready"]
    problem = next(event for event in events if event["what"] == "problem")
    assert problem["service"] == "broken"
    assert problem["diagnostic"]["code"] == "E501"
    follow = stack.start("events", "-f", "--json")
    stack.cli("restart", "llm", check=0)
    eventually(lambda: '"stopping"' in stack.output(0), "what happens from now on is shown")
    follow.kill()
    stack.down()
    assert len(stack.events()) > len(events)


def test_wait(make_stack: Make) -> None:
    """0 when done, 1 when one failed, 1 when the time is over; it returns as soon as it is so."""
    stack = make_stack("""
        servers: {llm: {command: PRETEND}}
        jobs:
          good: {command: PRETEND --exit-when go}
          bad: {command: PRETEND --exit 5}
          long: {command: PRETEND}
    """)
    stack.pipe("go")
    stack.up(check=None)
    assert stack.cli("wait", "good", "--timeout", "300ms").returncode == 1
    waiting = stack.start("wait", "good")
    fire(stack.folder / "go")
    assert waiting.wait(30) == 0
    assert stack.cli("wait", "bad").returncode == 1
    assert "`bad`" in stack.cli("wait", "good", "bad", check=1).stderr
    assert stack.cli("wait", "--timeout", "300ms").returncode == 1
    assert stack.cli("wait", "llm").returncode == 2, "a server is never done"
    assert stack.cli("wait", "nobody").returncode == 2
    stack.down()


def test_wait_for_all(make_stack: Make) -> None:
    """Without names: all jobs; also when the stack ends by itself meanwhile, and after it has."""
    stack = make_stack("jobs: {a: {command: PRETEND --exit-when go}, b: {command: PRETEND --exit 0}}")
    stack.pipe("go")
    stack.up()
    waiting = stack.start("wait")
    stack.wait_state("b", "done")
    fire(stack.folder / "go")
    assert waiting.wait(30) == 0
    eventually(lambda: not stack.survivors(), "a stack of jobs alone ends when they are done")
    assert stack.cli("wait", "a").returncode == 0


def test_from_another_login(make_stack: Make, tmp_path: Path) -> None:
    """cron, sudo or ssh have another runtime folder, or none: the supervisor is found all the same."""
    stack = make_stack("servers: {a: {command: PRETEND}}")
    stack.up()
    runtime = stack.environ["XDG_RUNTIME_DIR"]
    stack.environ["XDG_RUNTIME_DIR"] = str(tmp_path)
    assert stack.cli("ps", check=0).stdout.splitlines()[1].split()[:3] == ["a", "server", "ready"]
    assert "keep 1 service" in stack.cli("up", "-d", check=0).stderr
    stack.cli("down", check=0)
    assert not stack.survivors()
    assert not list(Path(runtime).rglob("*.sock"))

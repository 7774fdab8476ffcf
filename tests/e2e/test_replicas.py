"""Copies of a service: each with a port of its own, all ready before whoever needs them, scaled without a touch to the
others."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tests.e2e.conftest import Make
from tests.e2e.deaths import kill_supervisor
from tests.e2e.harness import Stack, environ_of, eventually, fire, free_ports, get

STACK = """
servers:
  llm: {command: "PRETEND --port ${self.port} --name ${self.name} --print hello", port: 29600-32700, replicas: 3}
  app: {command: "PRETEND --port ${self.port}", port: auto, depends_on: [llm]}
"""


def replicas(count: int, text: str = STACK) -> str:
    return text.replace("replicas: 3", f"replicas: {count}")


def pids(stack: Stack) -> dict[str, int]:
    return {name: row["pid"] for name, row in stack.ps().items()}


def copies(stack: Stack) -> dict[str, int]:
    """Those of `llm`: name → pid."""
    return {name: pid for name, pid in pids(stack).items() if name.startswith("llm-")}


def memory(stack: Stack) -> Any:
    return json.loads((stack.folder / ".launchpad/stack.yaml/state.json").read_text())["memory"]


def test_each_copy_has_ports_name_log_and_environment_of_its_own(make_stack: Make) -> None:
    stack = make_stack(STACK)
    stack.up()
    rows = stack.ps()
    assert list(rows) == ["llm-0", "llm-1", "llm-2", "app"]
    urls = [rows[f"llm-{index}"]["url"] for index in range(3)]
    assert len(set(urls)) == 3
    assert [get(f"{url}/").json()["name"] for url in urls] == ["llm-0", "llm-1", "llm-2"]
    assert stack.cli("url", "llm", check=0).stdout.split() == urls
    for index in range(3):
        environ = environ_of(rows[f"llm-{index}"]["pid"])
        assert environ["LAUNCHPAD_SERVICE"] == f"llm-{index}"
        assert environ["LAUNCHPAD_REPLICA"] == str(index)
        assert urls[index].endswith(f":{environ['PORT']}")
    app = environ_of(rows["app"]["pid"])
    assert app["LLM_URLS"] == ",".join(urls)
    assert app["LLM_1_URL"] == urls[1]
    assert "LLM_URL" not in app
    logs = stack.cli("logs", "llm", check=0).stdout
    assert sorted(line.split()[0] for line in logs.splitlines() if "hello" in line) == list(rows)[:3]
    stack.down()


def test_who_needs_them_waits_for_all(make_stack: Make) -> None:
    stack = make_stack("""
        servers:
          llm:
            command: "PRETEND --port ${self.port} --ready-when ${stack.dir}/go-${self.replica}"
            port: auto
            replicas: 2
        jobs:
          use: {command: "PRETEND --mark marks --name use --exit 0", depends_on: [llm]}
    """)
    pipes = [stack.pipe("go-0"), stack.pipe("go-1")]
    stack.start("up")
    fire(pipes[1])
    stack.wait_state("llm-1", "ready")
    held = stack.ps()["use"]
    assert held["state"] == "idle"
    assert [hold["on"] for hold in held["holds"]] == ["llm-0"]
    assert not stack.marks()
    fire(pipes[0])
    stack.wait_state("use", "done")
    stack.down()


@pytest.mark.heavy
@pytest.mark.parametrize("how", ["save", "scale"])
def test_scaled_up_and_down_the_others_keep_their_process(make_stack: Make, how: str) -> None:
    """Numbers that were let go come back, so each run has a range that no other test takes them from meanwhile."""
    text = STACK.replace("29600-32700", {"save": "18200-18299", "scale": "18300-18399"}[how])
    stack = make_stack(text)
    stack.start("up")
    stack.wait_up()

    def scale(count: int) -> None:
        if how == "save":
            stack.write(replicas(count, text))
        else:
            stack.cli("scale", f"llm={count}", check=0)
        wanted = {f"llm-{index}" for index in range(count)}
        stack.wait_for(
            lambda s: (
                s.phase == "up"
                and {v.name for v in s.services if v.name.startswith("llm-") and v.state == "ready"} == wanted
                and len(s.services) == count + 1
            )
        )

    first = pids(stack)
    scale(5)
    more = pids(stack)
    assert first.items() <= more.items()
    assert len(set(more.values())) == 6
    scale(1)
    assert pids(stack) == {"llm-0": first["llm-0"], "app": first["app"]}
    scale(3)
    assert copies(stack)["llm-0"] == first["llm-0"]
    assert pids(stack)["app"] == first["app"], "the addresses that it was given are those of the new ones"
    if how == "scale":  # what ends most of a stack is not done by a mere save
        scale(0)
        assert pids(stack) == {"app": first["app"]}
    stack.down()


def test_who_speaks_of_all_addresses_gets_them_anew(make_stack: Make) -> None:
    """And who has them in its environment alone, with its next start."""
    stack = make_stack(
        STACK
        + """  lb: {command: "PRETEND --port ${self.port} --name ${llm.urls}", port: auto, depends_on: {llm: started}}
"""
    )
    stack.up("--no-watch")
    before = stack.ps()
    stack.write(stack.file.read_text().replace("replicas: 3", "replicas: 4"))
    said = stack.cli("diff", check=0).stdout
    assert "restart lb: argument" in said
    assert "update app: depends_on: `llm-3` added (in place)" in said
    stack.cli("reload", check=0)
    stack.wait_up()
    after = stack.ps()
    assert {name for name in before if before[name]["pid"] != after[name]["pid"]} == {"lb"}
    urls = [after[f"llm-{index}"]["url"] for index in range(4)]
    assert get(f"{after['lb']['url']}/").json()["name"] == ",".join(urls)
    assert environ_of(after["app"]["pid"])["LLM_URLS"] == ",".join(urls[:3])
    stack.cli("restart", "app", check=0)
    assert environ_of(stack.ps()["app"]["pid"])["LLM_URLS"] == ",".join(urls)
    stack.down()


def test_one_copy_is_killed_and_only_that_one_starts_again(make_stack: Make) -> None:
    stack = make_stack(STACK.replace("replicas: 3", "replicas: 3, backoff: {initial: 10ms}"))
    stack.up()
    before = stack.ps()
    os.kill(before["llm-1"]["pid"], signal.SIGKILL)
    stack.wait_for(
        lambda s: any(v.name == "llm-1" and v.restarts == 1 and v.state == "ready" for v in s.services)
    )
    after = stack.ps()
    assert {name for name in before if before[name]["pid"] != after[name]["pid"]} == {"llm-1"}
    assert after["llm-1"]["url"] == before["llm-1"]["url"]
    stack.down()


@pytest.mark.heavy
def test_what_was_scaled_outlives_the_supervisor_and_ends_with_the_stack(make_stack: Make) -> None:
    stack = make_stack(STACK)
    stack.up()
    stack.cli("scale", "llm=4", check=0)
    before = pids(stack)
    assert len(before) == 5
    os.kill(stack.client.status().pid, signal.SIGKILL)
    assert "llm-3:" in stack.cli("config", check=0).stdout
    stack.up()
    assert pids(stack) == before
    ps = stack.cli("ps", check=0)
    assert "`llm` has 4 copies (`launchpad scale`), the file says 3" in ps.stderr
    stack.down()
    stack.up()
    assert len(copies(stack)) == 3
    stack.down()


@pytest.mark.heavy
def test_the_file_has_the_last_word_when_its_number_changes(make_stack: Make) -> None:
    stack = make_stack(STACK)
    stack.up("--no-watch")
    stack.cli("scale", "llm=1", check=0)
    stack.write(STACK.replace("--name", "--header 'A: b' --name"))
    stack.cli("reload", check=0)
    assert list(copies(stack)) == ["llm-0"], "another edit does not undo it"
    stack.write(replicas(2))
    stack.cli("reload", check=0)
    stack.wait_up()
    assert list(copies(stack)) == ["llm-0", "llm-1"]
    assert memory(stack)["scaled"] == []
    stack.write(STACK)
    stack.cli("reload", check=0)
    stack.wait_up()
    assert len(copies(stack)) == 3, "what was asked for once does not come back"
    stack.cli("scale", "llm=1", check=0)
    stack.write(replicas(1))
    stack.cli("reload", check=0)
    assert memory(stack)["scaled"] == [], "the file says what runs"
    stack.write(STACK)
    stack.cli("reload", check=0)
    stack.wait_up()
    assert len(copies(stack)) == 3
    stack.cli("scale", "llm=1", check=0)
    os.kill(stack.client.status().pid, signal.SIGKILL)
    stack.write(replicas(2))
    stack.up("--no-watch")
    stack.write(STACK)
    stack.cli("reload", check=0)
    stack.wait_up()
    assert len(copies(stack)) == 3
    stack.down()


def test_all_copies_by_one_name(make_stack: Make) -> None:
    stack = make_stack(STACK)
    stack.up()
    before = copies(stack)
    stack.cli("restart", "llm", check=0)
    after = copies(stack)
    assert not set(before.values()) & set(after.values())
    done = stack.cli("stop", "llm", check=0)
    assert [f"`llm-{index}` is stopped" in done.stderr for index in range(3)] == [True] * 3
    stack.cli("scale", "llm=4", check=0)
    assert set(copies(stack).values()) == {None}, "they stay stopped, also new ones"
    stack.cli("reload", check=0)
    assert set(copies(stack).values()) == {None}
    stack.cli("start", "llm", check=0)
    assert None not in copies(stack).values()
    assert len(copies(stack)) == 4
    stack.down()


def test_scale_refuses_what_it_cannot_do(make_stack: Make) -> None:
    stack = make_stack(STACK)
    stack.up()
    before = pids(stack)
    assert "has no `replicas`" in stack.cli("scale", "app=2", check=2).stderr
    assert "did you mean `llm`?" in stack.cli("scale", "lm=2", check=2).stderr
    stack.cli("scale", "llm", check=2)
    stack.cli("scale", "llm=-1", check=2)
    assert "from 0 to 1000" in stack.cli("scale", "llm=1001", check=2).stderr
    stack.write(STACK.replace("replicas: 3", "replicas: 3, port_: 3"))
    assert "nothing was changed" in stack.cli("scale", "llm=2", check=2).stderr
    assert pids(stack) == before
    stack.write(STACK)
    stack.down()


def test_only_what_is_asked_for_of_the_copies(make_stack: Make) -> None:
    stack = make_stack(STACK + '  other: {command: "PRETEND --port ${self.port}", port: auto}\n')
    stack.up("llm")
    assert {name: row["pid"] is None for name, row in stack.ps().items()} == {
        "llm-0": False,
        "llm-1": False,
        "llm-2": False,
        "app": True,
        "other": True,
    }
    stack.cli("scale", "llm=4", check=0)
    eventually(lambda: copies(stack).get("llm-3"), "the new copy is part of what was asked for")
    assert stack.ps()["other"]["pid"] is None
    stack.down()


def test_the_file_says_by_a_save_what_runs_already(make_stack: Make) -> None:
    """What was asked for is forgotten then, too."""
    stack = make_stack(STACK)
    stack.up()
    stack.cli("scale", "llm=1", check=0)
    assert memory(stack)["scaled"] == [["llm", 1, 3]]
    stack.write(replicas(1))
    eventually(lambda: not memory(stack)["scaled"], "it is forgotten")
    stack.write(STACK)
    stack.wait_state("llm-2", "ready")
    stack.down()


def test_what_comes_back_has_the_port_that_it_had(make_stack: Make) -> None:
    first = free_ports(2)
    port = f"port: {first}-{first + 1}"
    a, b = (f'  {name}: {{command: "PRETEND --port ${{self.port}}", {port}}}\n' for name in "ab")
    text = "servers:\n  c: {command: PRETEND}\n  d: {command: PRETEND}\n  e: {command: PRETEND}\n"
    stack = make_stack(text + a + b)
    stack.up("--no-watch")
    before = stack.ps()
    assert [before[name]["ports"]["main"] for name in "ab"] == [first, first + 1]
    for version in (text, text + b + a):
        stack.write(version)
        stack.cli("reload", check=0)
        stack.wait_up()
    after = stack.ps()
    assert [after[name]["ports"] for name in "ab"] == [before[name]["ports"] for name in "ab"]
    stack.down()


def test_whoever_takes_over_keeps_the_number(make_stack: Make) -> None:
    """Any command that somebody has to answer, `scale` among them, goes on from what was asked for before."""
    stack = make_stack(STACK)
    stack.up()
    stack.cli("scale", "llm=2", check=0)
    before = copies(stack)
    kill_supervisor(stack)
    stack.cli("restart", "app", check=0)
    assert copies(stack) == before
    assert memory(stack)["scaled"] == [["llm", 2, 3]]
    kill_supervisor(stack)
    stack.cli("scale", "llm=4", check=0)
    after = copies(stack)
    assert list(after) == ["llm-0", "llm-1", "llm-2", "llm-3"]
    assert before.items() <= after.items()
    stack.down()

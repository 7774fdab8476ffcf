"""The recipe `vllm` with a program that behaves like it: late to listen, loud, with an engine and workers that hold GPU memory and
outlive a SIGKILL. Port, tree and GPU memory are back before the next start."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, eventually, fire, get, listens
from tests.e2e.test_gpu import Fake, fake  # noqa: F401

PROGRAM = Path(__file__).with_name("fake_vllm.py")
STACK = """
    servers:
      llm:
        uses: vllm
        model: Qwen/Qwen3-0.6B
        args: --max-model-len 8192
        venv: fake
        port: 29600-31999
        backoff: {initial: 1ms}
        alive: {interval: 100ms}
"""


class Vllm:
    """A stack with a `vllm` in its virtual environment."""

    def __init__(self, stack: Stack, nvml: Fake) -> None:
        self.stack, self.nvml = stack, nvml
        self.loaded = stack.pipe("loaded")
        program = stack.folder / "fake" / "bin" / "vllm"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAM} "$@"\n')
        program.chmod(0o755)
        stack.environ |= {
            "LAUNCHPAD_NVML": "1",
            "PYTHONPATH": f"{nvml.folder}:{Path.cwd()}",
            "FAKE_VLLM_NVML": str(nvml.file),
            "FAKE_VLLM_EVENTS": str(stack.folder / "marks"),
            "FAKE_VLLM_LOADED": str(self.loaded),
        }

    def up(self) -> dict[str, int]:
        """Start it, let it load; what it is made of: `main`, `engine`, `worker0`…"""
        self.stack.start("up", "-d")
        self.load()
        self.stack.started[-1].wait(60)
        assert self.stack.started[-1].returncode == 0, self.stack.output()
        return self.tree()

    def load(self) -> None:
        fire(self.loaded)

    def tree(self) -> dict[str, int]:
        row = self.stack.ps()["llm"]
        assert row["state"] == "ready"
        start = max(mark.at for mark in self.stack.marks_of("vllm", "start"))
        found = {"main": row["pid"]}
        later = [mark for mark in self.stack.marks() if mark.at > start]
        workers = [mark.pid for mark in later if mark.event == "worker"]
        found |= {f"worker{number}": pid for number, pid in enumerate(workers)}
        return found | {mark.event: mark.pid for mark in later if mark.event == "engine"}

    def memory(self) -> dict[str, int]:
        return dict(json.loads(self.nvml.file.read_text())[0])

    def give_back(self) -> None:
        """As the driver does, a while after a process has ended."""
        self.nvml.set({int(pid): size for pid, size in self.memory().items() if alive(int(pid))})

    @property
    def url(self) -> str:
        return str(self.stack.ps()["llm"]["url"])


@pytest.fixture
def vllm(make_stack: Make, fake: Fake) -> Vllm:  # noqa: F811
    fake.set({})
    return Vllm(make_stack(STACK), fake)


def held_by_memory(stack: Stack) -> str:
    """What the stop waits for, if it is GPU memory."""
    holds = stack.ps()["llm"]["holds"]
    return next((hold["text"] for hold in holds if "GPU 0 still has 5.0 GiB" in hold["text"]), "")


@pytest.mark.heavy
def test_start_ask_and_stop(vllm: Vllm) -> None:
    stack = vllm.stack
    stack.start("up", "-d")
    eventually(lambda: len(stack.marks_of("vllm", "worker")) == 2, "its workers run")
    row = eventually(lambda: stack.ps()["llm"] if stack.ps()["llm"]["pid"] else None, "it is started")
    assert row["state"] == "starting"
    with pytest.raises(httpx.ConnectError):
        get(f"http://127.0.0.1:{row['ports']['main']}/health")
    eventually(lambda: stack.log("llm").stat().st_size > 64 << 10, "it has printed more than a pipe holds")
    vllm.load()
    assert stack.started[0].wait(60) == 0
    tree = vllm.tree()
    assert sorted(tree) == ["engine", "main", "worker0", "worker1"]
    body = {"model": "Qwen/Qwen3-0.6B", "prompt": "one two"}
    answer = httpx.post(f"{vllm.url}/v1/completions", json=body, trust_env=False).json()
    assert answer["choices"] == [{"text": " three"}]
    assert set(vllm.memory()) == {str(tree["worker0"]), str(tree["worker1"])}
    stack.cli("stop", "--no-wait", "llm", check=0)
    eventually(lambda: not any(map(alive, tree.values())), "the whole tree is gone")
    eventually(lambda: held_by_memory(stack), "it says that GPU memory is still held")
    assert stack.ps()["llm"]["state"] in ("stopping", "killing")
    vllm.give_back()
    stack.wait_state("llm", "idle")
    stack.down()
    assert not listens(row["ports"]["main"])


@pytest.mark.heavy
@pytest.mark.parametrize("how", ["restart", "kill", "engine"])
def test_all_of_it_is_back_before_the_next_start(vllm: Vllm, how: str) -> None:
    """Restarted by hand; its server killed, whose engine lives on; its engine killed, so that it answers 503."""
    stack, old = vllm.stack, vllm.up()
    port = stack.ps()["llm"]["ports"]["main"]
    if how == "restart":
        stack.cli("restart", "--no-wait", "llm", check=0)
    else:
        os.kill(old["main" if how == "kill" else "engine"], 9)
    eventually(lambda: not any(map(alive, old.values())), "the whole tree is gone")
    eventually(lambda: held_by_memory(stack), "it waits for the GPU's memory")
    assert len(stack.marks_of("vllm", "start")) == 1, "nothing is started while memory is held"
    back = time.time_ns()
    vllm.give_back()
    vllm.load()
    stack.wait_state("llm", "ready")
    new = vllm.tree()
    assert not set(new.values()) & set(old.values())
    assert stack.marks_of("vllm", "start")[1].at > back
    assert stack.ps()["llm"]["ports"]["main"] == port
    assert get(f"{vllm.url}/health").status_code == 200
    assert set(vllm.memory()) == {str(new["worker0"]), str(new["worker1"])}
    stack.start("down")
    eventually(lambda: not any(map(alive, new.values())), "nothing of it lives")
    vllm.give_back()
    assert stack.started[-1].wait(60) == 0
    assert not stack.survivors()
    assert not listens(port)


@pytest.mark.heavy
def test_nothing_is_left_after_a_death_of_the_supervisor(vllm: Vllm) -> None:
    stack, tree = vllm.stack, vllm.up()
    os.kill(stack.client.status().pid, 9)
    assert all(map(alive, tree.values())), "the server goes on"
    stack.cli("down", check=0)
    assert not stack.survivors()


@pytest.mark.heavy
def test_a_start_without_memory_says_who_has_it(vllm: Vllm) -> None:
    """Of a start that fails, the last lines are of the server; the line that tells stands far above them."""
    stack = vllm.stack
    stack.write(
        STACK
        + """
      late: {uses: vllm, model: m, venv: fake, port: 29600-31999, restart: never, depends_on: [llm], environment: {FAKE_VLLM_NEEDS: "1"}}
"""
    )
    stack.start("up", "-d")
    vllm.load()
    assert stack.started[0].wait(60) == 1
    said = " ".join(stack.output().split())
    workers = {mark.pid for mark in stack.marks_of("vllm", "worker")}
    assert (
        "its output says: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB." in said
    )
    assert "that is: the GPU has not enough free memory" in said
    assert any(f"GPU 0 is held by `llm` (pid {pid}) 5.0 GiB" in said for pid in workers)
    assert "hint: end what holds the GPU, or ask for less of it" in said
    assert "Engine core initialization failed" in said
    stack.cli("stop", "--no-wait", "llm", check=0)
    eventually(lambda: not any(map(alive, workers)), "it is gone")
    vllm.give_back()
    stack.down()


@pytest.mark.heavy
def test_one_that_is_started_again_is_told_as_well(vllm: Vllm) -> None:
    stack = vllm.stack
    vllm.nvml.set({os.getpid(): 1 << 30})
    stack.write(
        STACK.replace(
            "alive:", "max_restarts: 1\n        environment: {FAKE_VLLM_NEEDS: '1'}\n        alive:"
        )
    )
    stack.up(check=1)
    problems = [event["diagnostic"] for event in stack.events() if event["diagnostic"]]
    assert [(one["code"], one["severity"]) for one in problems] == [("E509", "warning"), ("E501", "error")]
    for one in problems:
        assert any(f"(pid {os.getpid()}) 1.0 GiB" in note for note in one["notes"])
    stack.down()


@pytest.mark.heavy
def test_ready_by_one_real_request(vllm: Vllm) -> None:
    """Asked until it answers, and not again after that; whether it lives is asked by another path."""
    stack = vllm.stack
    stack.write(
        STACK
        + """
        ready: {http: /v1/completions, post: {model: "${self.model}", prompt: one, max_tokens: 1}, body: choices, once: true, interval: 50ms}
"""
    )
    vllm.up()
    seen = len(stack.marks_of("vllm", "got-health"))
    eventually(lambda: len(stack.marks_of("vllm", "got-health")) > seen + 5, "it is asked whether it lives")
    assert len(stack.marks_of("vllm", "asked")) == 1
    stack.start("down")
    eventually(lambda: not any(pid for pid in map(int, vllm.memory()) if alive(pid)), "its workers are gone")
    vllm.give_back()
    assert stack.started[-1].wait(60) == 0

"""GPUs: one service at a time, all of a stack's or none, whoever dies. The machine's GPUs are those of LAUNCHPAD_GPUS."""

from __future__ import annotations

import json
import os
import re
import uuid

import pytest

from launchpad.hosts.local import gpu_claim
from tests.e2e.conftest import Make
from tests.e2e.deaths import kill_holders, kill_supervisor
from tests.e2e.harness import PRETEND, Stack, environ_of, eventually


class Machine:
    """Four GPUs that no other test has."""

    def __init__(self) -> None:
        self.names = [f"GPU-{uuid.uuid4().hex[:8]}-{number}" for number in range(4)]

    def stack(self, make: Make, text: str, **how: str) -> Stack:
        stack = make(text, **how)
        stack.environ["LAUNCHPAD_GPUS"] = ",".join(f"{name}:80GB" for name in self.names)
        return stack

    def free(self) -> list[int]:
        return [at for at, name in enumerate(self.names) if gpu_claim.holder(name) is None]


@pytest.fixture
def machine() -> Machine:
    return Machine()


def seen(stack: Stack) -> dict[str, str]:
    """What each process itself was told."""
    rows = stack.ps().values()
    told = {row["name"]: environ_of(row["pid"]).get("CUDA_VISIBLE_DEVICES") for row in rows if row["pid"]}
    return {name: text for name, text in told.items() if text is not None}


TWO_AND_ONE = """
    name: rag
    servers:
      llm: {command: "PRETEND --print ${self.gpus}", gpus: 2}
      reward: {command: PRETEND, gpus: 1}
      board: {command: PRETEND}
"""


def test_each_has_its_own_and_is_told_which(make_stack: Make, machine: Machine) -> None:
    stack = machine.stack(make_stack, TWO_AND_ONE)
    stack.environ["CUDA_VISIBLE_DEVICES"] = "inherited"
    stack.up()
    rows, names = stack.ps(), machine.names
    assert seen(stack) == {"llm": f"{names[0]},{names[1]}", "reward": names[2], "board": "inherited"}
    assert (rows["llm"]["gpus"], rows["llm"]["gpu_numbers"]) == ([names[0], names[1]], [0, 1])
    assert rows["board"]["gpus"] == []
    environ = environ_of(rows["llm"]["pid"])
    assert environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "HIP_VISIBLE_DEVICES" not in environ, "HIP knows no such names"
    eventually(lambda: f"{names[0]},{names[1]}" in stack.log("llm").read_text(), "the reference")
    table = [line.split() for line in stack.cli("ps").stdout.splitlines()]
    assert [line[-1] for line in table] == ["WHY", "0,1", "2", "-"]
    assert table[0][-2] == "GPUS"
    assert f"CUDA_VISIBLE_DEVICES={names[2]}\n" in stack.cli("env", "reward").stdout
    assert machine.free() == [3]
    stack.down()
    assert machine.free() == [0, 1, 2, 3]
    assert "CUDA_VISIBLE_DEVICES=${reward.gpus}\n" in stack.cli("env", "reward").stdout


def test_no_column_where_nobody_has_any(make_stack: Make, machine: Machine) -> None:
    stack = machine.stack(make_stack, "servers: {a: {command: PRETEND}}\n")
    stack.up()
    assert "GPUS" not in stack.cli("ps").stdout
    stack.down()


def test_by_number_hip_is_told_the_same(make_stack: Make) -> None:
    stack = make_stack("servers: {a: {command: PRETEND, gpus: [977, 975]}}\n")
    stack.environ["LAUNCHPAD_GPUS"] = "975:24GB,977:24GB"
    stack.up()
    environ = environ_of(stack.ps()["a"]["pid"])
    assert (environ["CUDA_VISIBLE_DEVICES"], environ["HIP_VISIBLE_DEVICES"]) == ("977,975", "977,975")
    stack.down()


REFUSED = """\
error[E320]: `big` asks for 2 GPUs, and not enough are free
  --> stack.yaml:5:COLUMN
   |
 5 | LINE
   | ^
   |
   = 0-1  service `llm` of stack `rag`, pid of llm, for N s
   = 2  service `reward` of stack `rag`, pid of reward, for N s
   = 3  asked for by `small` of this stack
   = nothing was started, no GPU was kept
hint: to start once they are free: `gpus: {count: 2, wait: true}`
other failed: small (not started: no free GPU for big), big (no free GPU)
"""


def test_another_stack_is_refused_whole_and_told_who_has_them(make_stack: Make, machine: Machine) -> None:
    first = machine.stack(make_stack, TWO_AND_ONE)
    first.up()
    pids = {name: row["pid"] for name, row in first.ps().items()}
    second = machine.stack(
        make_stack,
        """
        name: other
        servers:
          small: {command: PRETEND --mark marks, gpus: 1}
          big: {command: PRETEND --mark marks, gpus: 2}
        """,
    )
    refused = second.up(check=2)
    assert second.marks() == []
    said = re.sub(r"for \d+ s", "for N s", re.sub(r":5:\d+", ":5:COLUMN", refused.stderr)).replace(
        PRETEND, "PRETEND"
    )
    for name, pid in pids.items():
        said = said.replace(f"pid {pid},", f"pid of {name},")
    said = re.sub(r" 5 \| .*\n", " 5 | LINE\n", said)  # a long one is cut
    assert re.sub(r" +\^\n", " ^\n", said[said.index("error[E320]") :]) == REFUSED
    assert machine.free() == [3], "not even the one that was free is kept"
    before = second.file.read_text()
    second.write("name: other\nservers: {a: {command: PRETEND, gpus: [0]}}\n")
    refused = second.up(check=2)
    assert "`a` asks for GPU 0, which is not free\n" in refused.stderr
    assert "`gpus: {ids: [0], wait: true}`" in refused.stderr
    assert "`reward`" not in refused.stderr, "only who has that one is told"
    second.write(before)
    first.down()
    second.up()
    assert len(seen(second)) == 2
    second.down()


def test_more_than_the_machine_has(make_stack: Make, machine: Machine) -> None:
    """Nobody waits for what never comes; `check` does not look at the machine."""
    stack = machine.stack(
        make_stack,
        "servers:\n  a: {command: PRETEND, gpus: {count: 5, wait: true}}\n  b: {command: PRETEND, gpus: [7]}\n",
    )
    stack.cli("check", check=0)
    refused = stack.up(check=2).stderr
    assert "error[E320]: `a` asks for 5 GPUs, which this machine does not have\n" in refused
    assert "error[E320]: `b` asks for GPU 7, which this machine does not have\n" in refused
    assert "7  is not there" in refused
    assert "hint" not in refused
    stack.write("servers:\n  b: {command: PRETEND, gpus: [7]}\n")
    assert "0-3" not in stack.up(check=2).stderr, "only what is asked for is told about"
    stack.write("servers:\n  a: {command: PRETEND, gpus: {count: 1, memory: 90GB}}\n")
    assert "0-3  has 80.0 GiB in all" in stack.up(check=2).stderr
    stack.write("servers:\n  a: {command: PRETEND, gpus: 4}\n  b: {command: PRETEND, gpus: [1, 3]}\n")
    refused = stack.up(check=2).stderr
    assert "`a` asks for 4 GPUs, and not enough are free" in refused, "who names one chooses first"
    assert "hint" not in refused, "the other one is a server, which never ends"
    stack.environ["LAUNCHPAD_GPUS"] = "4 x"
    assert "LAUNCHPAD_GPUS says `4 x`" in stack.up(check=2).stderr
    del stack.environ["LAUNCHPAD_GPUS"]
    refused = stack.up(check=2).stderr
    assert "error[E321]: `a` asks for GPUs, and nobody can say which there are" in refused
    assert "hint: say it: `export LAUNCHPAD_GPUS=2x80GB`, or install the driver" in refused
    assert "nothing was started" in refused


def test_kept_over_a_reload_that_is_refused_and_one_that_is_not(make_stack: Make, machine: Machine) -> None:
    stack = machine.stack(make_stack, TWO_AND_ONE)
    stack.up("--no-watch")
    before, pids = seen(stack), {name: row["pid"] for name, row in stack.ps().items()}
    stack.write(TWO_AND_ONE + "      more: {command: PRETEND, gpus: 2}\n")
    refused = stack.cli("reload", check=2)
    assert "error[E320]: `more` asks for 2 GPUs, and not enough are free" in refused.stderr
    assert "hint" not in refused.stderr, "servers of its own stack have them: it would wait for ever"
    assert "nothing was changed" in refused.stderr
    assert {name: row["pid"] for name, row in stack.ps().items()} == pids
    assert (seen(stack), machine.free()) == (before, [3])
    changed = TWO_AND_ONE.replace("PRETEND, gpus: 1", "PRETEND --print x, gpus: 1")
    stack.write(changed + "      more: {command: PRETEND, gpus: 1}\n")
    assert "gpus" not in stack.cli("diff").stdout
    stack.cli("reload", check=0)
    after = stack.wait_up()
    assert {name: seen(stack)[name] for name in before} == before
    assert after["llm"].pid == pids["llm"]
    assert after["reward"].pid != pids["reward"]
    stack.write(TWO_AND_ONE)
    assert "more" in stack.cli("diff").stdout
    stack.cli("reload", check=0)
    eventually(lambda: machine.free() == [3], "it is given on")
    stack.write(TWO_AND_ONE.replace("gpus: 2", "gpus: 3"))
    assert "gpus.count changed from `2` to `3`" in stack.cli("diff").stdout
    stack.cli("reload", check=0)
    stack.wait_up()
    assert seen(stack)["llm"] == ",".join((machine.names[0], machine.names[1], machine.names[3]))
    assert seen(stack)["reward"] == before["reward"]
    stack.down()


def test_what_is_stopped_or_done_gives_them_on(make_stack: Make, machine: Machine) -> None:
    stack = machine.stack(
        make_stack,
        """
        servers: {llm: {command: PRETEND, gpus: 2}}
        jobs: {train: {command: PRETEND --exit 0, gpus: 2}}
        """,
    )
    stack.up()
    stack.wait_state("train", "done")
    eventually(lambda: machine.free() == [2, 3], "of the job")
    stack.cli("stop", "llm", check=0)
    stack.wait_state("llm", "idle")
    eventually(lambda: machine.free() == [0, 1, 2, 3], "of the server")
    stack.cli("start", "llm", "train", check=0)
    stack.wait_state("llm", "ready")
    assert seen(stack)["llm"] == ",".join(machine.names[:2]), "the same where they are free"
    stack.down()


def test_one_edit_gives_them_from_one_service_to_another(make_stack: Make, machine: Machine) -> None:
    """Again and again: what was let go a moment ago is free for the same stack at once."""
    stack = machine.stack(make_stack, "servers: {b0: {command: PRETEND, gpus: 4}}\n")
    stack.up("--no-watch")
    for turn in range(1, 6):
        stack.write(f"servers: {{b{turn}: {{command: PRETEND, gpus: 4}}}}\n")
        stack.cli("reload", "--yes", check=0)
        stack.wait_state(f"b{turn}", "ready")
        assert seen(stack) == {f"b{turn}": ",".join(machine.names)}
    stack.down()


@pytest.mark.parametrize("keeper_too", [False, True])
def test_held_while_no_supervisor_lives_and_taken_over(
    make_stack: Make, machine: Machine, keeper_too: bool
) -> None:
    """P8: what runs keeps its GPUs, nobody else gets them, and the next `up` has them as before. With the keeper gone
    as well the kernel has let go, and they are taken anew."""
    stack = machine.stack(make_stack, TWO_AND_ONE)
    stack.up()
    before, pids = seen(stack), {name: row["pid"] for name, row in stack.ps().items()}
    if keeper_too:
        kill_holders(stack)
        keeper = json.loads((next(stack.folder.rglob("keeper.json"))).read_text().splitlines()[0])
        os.kill(keeper["pid"], 9)
        eventually(lambda: machine.free() == [0, 1, 2, 3], "the kernel lets go")
    else:
        kill_supervisor(stack)
        other = machine.stack(make_stack, "name: other\nservers: {b: {command: PRETEND, gpus: 2}}\n")
        refused = other.up(check=2).stderr
        assert f"service `llm` of stack `rag`, pid {pids['llm']}" in refused
        assert machine.free() == [3]
    stack.up()
    assert {name: row["pid"] for name, row in stack.ps().items()} == pids
    assert (seen(stack), machine.free()) == (before, [3])
    stack.cli("restart", "llm", check=0)
    stack.wait_up()
    assert seen(stack) == before
    stack.down()
    assert machine.free() == [0, 1, 2, 3]


def test_they_are_never_free_for_a_moment_while_they_are_taken_over(
    make_stack: Make, machine: Machine
) -> None:
    """Who waits for one is told as soon as it is let go: it must not be told of the change of supervisors."""
    stack = machine.stack(make_stack, "name: rag\nservers: {llm: {command: PRETEND, gpus: 4}}\n")
    stack.up()
    waiting = machine.stack(
        make_stack,
        "servers: {late: {command: PRETEND, gpus: {count: 1, wait: true}}, board: {command: PRETEND}}\n",
    )
    waiting.start("up")
    view = waiting.wait_state("board", "ready")
    (hold,) = [one for one in waiting.ps()["late"]["holds"] if one["kind"] == "gpus"]
    assert hold["text"].startswith("waits for a GPU: 0-3  service `llm` of stack `rag`, pid "), hold
    assert " for " not in hold["text"][30:], "it is read later"
    for _ in range(3):
        kill_supervisor(stack)
        stack.up()
        assert waiting.ps()["late"]["pid"] is None
    stack.down()
    waiting.wait_state("late", "ready")
    assert waiting.wait_state("board", "ready").pid == view.pid
    assert seen(waiting)["late"] == machine.names[0]
    waiting.down()


def test_killed_with_all_its_processes_nothing_has_to_be_cleaned(make_stack: Make, machine: Machine) -> None:
    stack = machine.stack(make_stack, TWO_AND_ONE)
    stack.up()
    kill_supervisor(stack)
    stack.cli("down", check=0)
    assert machine.free() == [0, 1, 2, 3]


def test_they_are_asked_for_in_the_file_only_as_they_can_be(make_stack: Make) -> None:
    stack = make_stack(
        """
        servers:
          a: {command: PRETEND, gpus: [0]}
          b: {command: PRETEND, gpus: ["0"], environment: {CUDA_VISIBLE_DEVICES: "1"}}
          c: {command: "PRETEND ${a.gpus} ${self.gpus}"}
          d: {command: PRETEND, gpus: 0}
          e: {command: PRETEND, gpus: {count: 1, ids: [2]}}
          f: {command: PRETEND, gpus: [1, 1]}
          g: {command: PRETEND, gpus: {number: 1}}
          h: {command: PRETEND, gpus: 1, ready: {exec: "test ${self.gpus}"}}
        """
    )
    said = stack.cli("check", check=2).stderr + stack.cli("check").stdout
    for text in (
        "GPU 0 is asked for by `a` and `b`",
        "`gpus` sets CUDA_VISIBLE_DEVICES, and `environment` of `b` has it as well",
        "the GPUs of `a` are its own",
        "`c` has no GPUs",
        "`0` is out of range; it has to be 1 to 64",
        "`gpus` takes `count` or `ids`, not both",
        "GPU `1` is given twice",
        "unknown key `number`",
        "`${self.gpus}` can be used in `command` and `environment`",
    ):
        assert text in said, (text, said)


def test_each_copy_has_gpus_of_its_own(make_stack: Make, machine: Machine) -> None:
    text = "servers: {llm: {command: PRETEND, gpus: 1, replicas: 2}, app: {command: PRETEND, depends_on: [llm]}}\n"
    stack = machine.stack(make_stack, text)
    stack.up()
    names = machine.names
    assert seen(stack) == {"llm-0": names[0], "llm-1": names[1]}
    first = stack.ps()["llm-0"]["pid"]
    stack.cli("scale", "llm=4", check=0)
    assert seen(stack) == {f"llm-{index}": names[index] for index in range(4)}
    refused = stack.cli("scale", "llm=5", check=2)
    assert "llm-4" in refused.stderr
    assert stack.ps()["llm-0"]["pid"] == first
    stack.cli("scale", "llm=1", check=0)
    eventually(lambda: machine.free() == [1, 2, 3], "the others are free")
    stack.down()

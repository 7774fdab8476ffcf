"""The commands that change a running stack, and what of a stack is started."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, free_ports, listening
from tests.e2e.test_commands import PAIR

# --- changing --------------------------------------------------------------------------------------------


def test_stop_start_restart(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    stack.up(check=1)
    before = stack.ps()["llm"]
    stack.cli("restart", "llm", check=0)
    restarted = stack.ps()["llm"]
    assert restarted["state"] == "ready"
    assert restarted["pid"] != before["pid"]
    assert not alive(before["pid"])
    stack.cli("stop", "llm", check=0)
    stopped = stack.ps()["llm"]
    assert (stopped["state"], stopped["pid"]) == ("idle", None)
    assert not alive(restarted["pid"])
    assert stack.cli("url", "llm").returncode == 1
    stack.cli("start", "llm", check=0)
    assert stack.ps()["llm"]["state"] == "ready"
    for verb in ("start", "stop", "restart"):
        assert stack.cli(verb, "nobody").returncode == 2
        assert stack.cli(verb).returncode == 2
    stack.down()


def test_stop_is_about_one_service_and_start_brings_its_needs(make_stack: Make) -> None:
    """`stop` of something that others need stops that alone; `start` of one brings what it needs."""
    stack = make_stack("""
        servers:
          base: {command: PRETEND --mark marks --name base}
          top: {command: PRETEND --mark marks --name top, depends_on: [base]}
    """)
    stack.up()
    pid = stack.ps()["top"]["pid"]
    stack.cli("stop", "base", check=0)
    rows = stack.ps()
    assert rows["base"]["state"] == "idle"
    assert (rows["top"]["state"], rows["top"]["pid"]) == ("ready", pid)
    stack.cli("stop", "top", check=0)
    stack.cli("start", "top", check=0)
    assert {row["state"] for row in stack.ps().values()} == {"ready"}
    starts = [mark.name for mark in stack.marks() if mark.event == "start"]
    assert sorted(starts) == ["base", "base", "top", "top"]
    stack.down()


def test_a_stop_holds_over_an_apply(make_stack: Make) -> None:
    """`stop` holds until `start`: a second `up` applies the changed file and leaves the service down."""
    text = "servers: {a: {command: PRETEND}, b: {command: PRETEND%s}}"
    stack = make_stack(text % "")
    stack.up()
    stack.cli("stop", "a", check=0)
    kept = stack.ps()["b"]["pid"]
    stack.write(text % ", environment: {X: 1}")
    stack.up()
    rows = stack.ps()
    assert rows["a"]["state"] == "idle"
    assert rows["b"]["state"] == "ready"
    assert rows["b"]["pid"] != kept
    stack.cli("start", "a", check=0)
    assert stack.ps()["a"]["state"] == "ready"
    stack.down()


def test_second_up_changes_what_changed(make_stack: Make) -> None:
    """`up` on a running stack applies the file: a new one starts, a removed one stops, an unchanged one keeps its pid."""
    stack = make_stack("servers: {keep: {command: PRETEND, port: auto}, gone: {command: PRETEND}}")
    stack.up()
    before = stack.ps()
    stack.write("servers: {keep: {command: PRETEND, port: auto}, new: {command: PRETEND}}")
    stack.up()
    after = stack.ps()
    assert set(after) == {"keep", "new"}
    assert after["keep"]["pid"] == before["keep"]["pid"]
    assert after["keep"]["ports"] == before["keep"]["ports"]
    assert not alive(before["gone"]["pid"])
    stack.down()


def test_timeout_of_an_up_that_joins(make_stack: Make) -> None:
    """`--timeout` on a running stack ends the waiting, and stops nothing; exit 1, and what is missing is said."""
    stack = make_stack("servers: {llm: {command: PRETEND, port: auto}}")
    stack.up("--no-watch")
    before = stack.ps()["llm"]["pid"]
    stack.write(
        "servers: {llm: {command: PRETEND, port: auto}, slow: {command: PRETEND --ready-after 1h, port: auto, ready: /}}"
    )
    for command in (("up", "-d"), ("up",)):
        done = stack.cli(*command, "--timeout", "300ms", check=1)
        assert "E404" in done.stderr
        assert "`slow` is starting" in done.stderr
        assert "nothing was stopped" in done.stderr
        rows = stack.ps()
        assert (rows["llm"]["pid"], rows["slow"]["state"]) == (before, "starting")
    stack.write("servers: {llm: {command: PRETEND, port: auto}}")
    stack.cli("up", "-d", "--yes", "--timeout", "1m", check=0)
    assert stack.ps()["llm"]["pid"] == before
    stack.down()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "servers: {keep: {command: PRETEND",
        "servers: {keep: {comand: PRETEND}}",
        "servers: {a: {command: x, depends_on: [b]}, b: {command: x, depends_on: [a]}}",
        "servers: {keep: {command: PRETEND}, new: {command: PRETEND, port: TAKEN}}",
        "servers: {keep: {command: PRETEND, port: TAKEN}}",
    ],
)
def test_p7_second_up_with_a_bad_file_changes_nothing(make_stack: Make, bad: str) -> None:
    """P7: exit 2, the problem with its place, and everything runs as before."""
    taken = free_ports(1)
    other = make_stack(f"servers: {{other: {{command: PRETEND, port: {taken}}}}}")
    other.up()
    stack = make_stack("servers: {keep: {command: PRETEND, port: auto}, more: {command: PRETEND}}")
    stack.up()
    before = stack.ps()
    stack.write(bad.replace("TAKEN", str(taken)))
    done = stack.up(check=2)
    assert re.search(r"stack\.yaml:\d+:\d+", done.stderr), done.stderr
    after = stack.ps()
    assert {name: (row["pid"], row["state"]) for name, row in after.items()} == {
        name: (row["pid"], row["state"]) for name, row in before.items()
    }
    stack.write("servers: {keep: {command: PRETEND, port: auto}}")
    stack.up()
    assert stack.ps()["keep"]["pid"] == before["keep"]["pid"]
    assert set(stack.ps()) == {"keep"}
    stack.down()


def test_start_of_what_gets_no_port(make_stack: Make) -> None:
    """What is said of the rest is true: it runs."""
    taken = free_ports(1)
    other = make_stack(f"servers: {{other: {{command: PRETEND, port: {taken}}}}}")
    other.up()
    stack = make_stack(f"servers: {{a: {{command: PRETEND}}, b: {{command: PRETEND, port: {taken}}}}}")
    stack.up("a")
    before = stack.ps()["a"]["pid"]
    said = stack.cli("start", "b", check=1).stderr
    assert "E301" in said
    assert "`b` was not started, no port was kept for it; the rest of the stack is as it was" in said
    assert stack.ps()["a"]["pid"] == before
    stack.down()
    other.down()


def test_down_all(make_stack: Make) -> None:
    """Every stack of this user, also one whose supervisor was killed."""
    stacks = [make_stack("servers: {llm: {command: PRETEND --fork setsid, port: auto}}") for _ in range(3)]
    for stack in stacks:
        stack.up()
    os.kill(stacks[1].client.status().pid, 9)
    stacks[0].cli("down", "--all", check=0, cwd=Path("/"))
    for stack in stacks:
        assert not stack.survivors()


# --- what is started -------------------------------------------------------------------------------------

SELECT = """
    servers:
      base: {command: PRETEND}
      llm: {command: PRETEND, depends_on: [base]}
      other: {command: PRETEND}
      debug: {command: PRETEND, profiles: [dev]}
    jobs:
      train: {command: PRETEND --exit 0, depends_on: [llm]}
"""


def up_names(stack: Stack) -> set[str]:
    return {name for name, row in stack.ps().items() if row["state"] in ("ready", "done", "starting")}


def test_up_name_starts_it_and_its_needs(make_stack: Make) -> None:
    stack = make_stack(SELECT)
    stack.up("llm")
    assert up_names(stack) == {"base", "llm"}
    stack.up("other")
    assert up_names(stack) == {"base", "llm", "other"}, "joined: what runs goes on"
    stack.down()


def test_profiles(make_stack: Make) -> None:
    stack = make_stack(SELECT)
    stack.up()
    stack.cli("wait", "train", check=0)
    assert up_names(stack) == {"base", "llm", "other", "train"}
    stack.down()
    stack.up("--profile", "dev")
    assert "debug" in up_names(stack)
    stack.down()
    stack.up("debug")
    assert up_names(stack) == {"debug"}, "a name turns it on by itself"
    stack.down()


def test_dry_run(make_stack: Make) -> None:
    stack = make_stack(SELECT)
    lines = stack.cli("up", "--dry-run", check=0).stdout.replace(":", "").splitlines()
    assert [line.split()[:2] for line in lines if "debug" not in line] == [
        ["start", name] for name in ("base", "llm", "other", "train")
    ] or {tuple(line.split()[:2]) for line in lines} >= {("start", "base"), ("start", "train")}
    assert not stack.survivors()
    assert not (stack.folder / ".launchpad" / "stack.yaml" / "state.json").exists()


def test_set_and_env_file(make_stack: Make) -> None:
    """--set over vars; --env-file over the stack's env_file; launchpad's own environment over both."""
    stack = make_stack("""
        vars: {model: small}
        env_file: [.env]
        jobs:
          show: {command: "echo model=${vars.model} a=${A} b=${B} c=${C:-default}"}
    """)
    (stack.folder / ".env").write_text("A=file\nB=file\n")
    (stack.folder / "more.env").write_text("B=more\n")
    stack.cli("up", check=0)
    stack.cli("up", "--set", "model=large", "--env-file", "more.env", check=0, A="own")
    shown = stack.cli("logs", "show", check=0).stdout.splitlines()
    assert shown == ["model=small a=file b=file c=default", "model=large a=own b=more c=default"]
    assert stack.cli("up", "--set", "modle=large").returncode == 2
    assert stack.cli("up", "--env-file", "nowhere.env").returncode == 2


def test_env_file_of_a_service(make_stack: Make) -> None:
    """The service's `environment` over its `env_file` over the stack's over what it inherits."""
    stack = make_stack("""
        env_file: [top.env]
        jobs:
          show:
            command: [sh, -c, "echo $$A $$B $$C $$D $${E-unset}"]
            env_file: [own.env]
            environment: {A: declared}
            inherit_env: [D, PATH]
    """)
    (stack.folder / "top.env").write_text("A=top\nB=top\nC=top\n")
    (stack.folder / "own.env").write_text("A=own\nB=own\n")
    stack.cli("up", check=0, D="inherited", E="kept out")
    assert stack.cli("logs", "show").stdout == "declared own top inherited unset\n"


def test_personal_file_is_merged_over(make_stack: Make) -> None:
    """`stack.local.yaml` beside the file: merged over it; a mistake in it is told with its own name and place."""
    stack = make_stack("""
        vars: {model: shared}
        jobs: {show: {command: "echo ${vars.model} ${EXTRA:-none}", environment: {A: 1}}}
    """)
    local = stack.folder / "stack.local.yaml"
    local.write_text("vars: {model: mine}\n")
    stack.cli("up", check=0)
    assert stack.cli("logs", "show").stdout == "mine none\n"
    local.write_text("jobs: {show: {comand: x}}\n")
    done = stack.cli("up", check=2)
    assert "stack.local.yaml:1:15" in done.stderr


def test_stack_is_found_in_a_parent_folder(make_stack: Make) -> None:
    """From below; paths in the file stay relative to the file; `launchpad.yaml` is found too."""
    stack = make_stack("jobs: {where: {command: pwd}}", name="launchpad.yaml")
    below = stack.folder / "a" / "b"
    below.mkdir(parents=True)
    stack.cli("up", check=0, cwd=below)
    assert stack.cli("logs", "where", cwd=below, check=0).stdout.strip() == os.path.realpath(stack.folder)


def test_stack_is_named(make_stack: Make) -> None:
    """As an argument that ends in .yaml, with -f before or after the command."""
    stack = make_stack("jobs: {where: {command: echo here}}", name="other.yaml")
    for command in (
        ["up", "other.yaml"],
        ["up", "-f", "other.yaml"],
        ["-f", "other.yaml", "up"],
        ["up", "other.yaml", "where"],
    ):
        stack.cli(*command, check=0)
    assert stack.cli("logs", "other.yaml", "where", check=0).stdout == "here\n" * 4


def test_two_stacks_in_one_folder(make_stack: Make) -> None:
    """Two files beside each other are two stacks."""
    one = make_stack("servers: {llm: {command: PRETEND}}", folder="shared", name="one.yaml")
    two = make_stack("servers: {llm: {command: PRETEND}}", folder="shared", name="two.yaml")
    one.cli("up", "-d", "one.yaml", check=0)
    two.cli("up", "-d", "two.yaml", check=0)
    one.cli("down", "one.yaml", check=0)
    assert not one.survivors()
    assert two.client.status().services[0].state == "ready"
    two.cli("down", "two.yaml", check=0)


def test_options_of_a_second_up_are_applied_or_forgotten(make_stack: Make) -> None:
    """--set and --env-file of an `up` on a running stack shape it; what was asked in one that is refused leaves no trace."""
    taken = listening(free_ports(1))
    stack = make_stack(f"""
        vars: {{model: small}}
        servers:
          llm: {{command: "PRETEND --name ${{vars.model}}-${{SIZE:-0}}"}}
          other: {{command: PRETEND}}
          blocked: {{command: PRETEND, port: {taken[0].getsockname()[1]}, profiles: [more]}}
    """)
    (stack.folder / "more.env").write_text("SIZE=7\n")
    stack.up("llm")
    assert set(up_names(stack)) == {"llm"}
    stack.up("--set", "modle=large", check=2)
    stack.up("--env-file", "nowhere.env", check=2)
    assert "E301" in stack.up("--profile", "more", check=2).stderr
    stack.up("--set", "model=large", "--env-file", "more.env")
    assert any("--name large-7" in command for command in stack.survivors().values())
    assert up_names(stack) == {"llm", "other"}, "without names it is all of the stack"
    pids = {name: row["pid"] for name, row in stack.ps().items()}
    stack.up()
    assert {name: row["pid"] for name, row in stack.ps().items()} == pids, "they hold"
    stack.down()
    taken[0].close()


def test_an_up_that_changes_nothing_is_no_news(make_stack: Make) -> None:
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.up()
    stack.up()
    stack.cli("reload", check=0)
    assert not [event for event in stack.events() if "was applied" in event["text"]]
    stack.down()

"""Where a command is started from, and what its three streams lead to, must not matter to what it does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import LAUNCHPAD, Stack

SMALL = """
servers: {w: {command: PRETEND --name w, port: auto, ready: /health}}
jobs: {j: {command: "PRETEND --print hällo --exit 4", depends_on: [w]}}
"""


def run(stack: Stack, *arguments: str, before: Callable[[], object] | None = None, **more: object) -> int:
    return subprocess.run(
        [*LAUNCHPAD, *arguments],
        cwd=stack.folder,
        env={**stack.environ, **{key: str(value) for key, value in more.items()}},
        preexec_fn=before,
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed(make_stack: Make, closed: tuple[int, ...]) -> None:
    """A closed stream leads nowhere: no crash, no other file in its place, the same exit code."""
    stack = make_stack(SMALL)

    def close() -> None:
        for number in closed:
            os.close(number)

    assert run(stack, "run", "j", before=close) == 4
    assert run(stack, "up", "-d", "w", before=close) == 0
    assert stack.ps()["w"]["state"] == "ready"
    assert run(stack, "config", before=close) == 0
    assert run(stack, "down", before=close) == 0
    assert not stack.survivors()
    assert "hällo" in stack.cli("logs", "j").stdout


def test_a_full_disk_under_stdout(make_stack: Make) -> None:
    """The job runs to its end all the same; what could not be written is said, without a traceback."""
    stack = make_stack(SMALL)
    with open("/dev/full", "w") as full:
        process = stack.start("run", "j", stdout=full)
        assert process.wait(60) == 4
        said = (stack.folder / "err0.txt").read_text()
        assert "output is not written here any more: No space left on device" in said
        assert "Traceback" not in said
        process = stack.start("config", stdout=full)
        assert process.wait(60) == 3
    said = (stack.folder / "err1.txt").read_text()
    assert said == "launchpad: the output cannot be written: No space left on device\n"
    assert "hällo" in stack.cli("logs", "j").stdout


def test_a_locale_that_spells_little(make_stack: Make) -> None:
    """What cannot be spelt is escaped; nothing crashes."""
    stack = make_stack(SMALL)
    done = stack.cli("run", "j", PYTHONIOENCODING="ascii", check=4)
    assert "hällo" in done.stdout
    assert r"h\xe4llo" in stack.cli("logs", PYTHONIOENCODING="ascii", check=0).stdout
    assert stack.cli("config", "--json", PYTHONIOENCODING="ascii", check=0).stdout
    assert stack.cli("run", "j", LC_ALL="C", LANG="C", check=4).stdout.count("hällo") == 1


def test_a_folder_whose_name_is_no_text(make_stack: Make, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in the path, blanks, and letters of another alphabet."""
    stack = make_stack(
        SMALL, folder=os.fsdecode("ein ordner, ä и \xff".encode("latin-1", "ignore") + b"\xff")
    )
    stack.up("w")
    assert stack.ps()["w"]["state"] == "ready"
    assert stack.cli("url", "w", check=0).stdout.startswith("http://127.0.0.1:")
    stack.down()
    assert stack.cli("run", "j").returncode == 4


def test_a_job_of_a_shell_gets_its_arguments(make_stack: Make) -> None:
    """As parameters where the script names them, else after it; none is lost, none is split."""
    stack = make_stack(r"""
        jobs:
          named: {command: 'printf "%s." "$@"; exit "$#"', shell: true}
          plain: {command: "printf '%s.'\n", shell: true}
          argv: {command: [printf, "%s."]}
    """)
    arguments = ["--", "-x", "a b", "$HOME", "it's", "--"]
    for name, code in (("named", 5), ("plain", 0), ("argv", 0)):
        stack.cli("run", name, *arguments, check=code)
        assert stack.cli("logs", name).stdout == "-x.a b.$HOME.it's.--.", name


def test_wait_after_the_end_is_about_what_was_wanted(make_stack: Make) -> None:
    """Of a stack that ended after `up NAME`, the others were never asked for."""
    stack = make_stack("jobs: {a: {command: PRETEND --exit 0}, b: {command: PRETEND --exit 1}}")
    stack.cli("up", "a", check=0)
    stack.cli("wait", check=0)
    stack.cli("up", check=1)
    assert "`b` is not done" in stack.cli("wait", check=1).stderr


def test_a_misspelt_profile_is_told_at_the_start(make_stack: Make) -> None:
    stack = make_stack(
        "jobs: {a: {command: PRETEND --exit 0}, b: {command: PRETEND --exit 0, profiles: debug}}"
    )
    done = stack.cli("up", "--profile", "debgu", check=0)
    assert "no server and no job has the profile `debgu`" in done.stderr
    assert "did you mean `debug`?" in done.stderr
    assert "warning" not in stack.cli("up", "--profile", "debug", "--no-watch", check=0).stderr


def test_url_says_why_there_is_none(make_stack: Make) -> None:
    """Not started yet is not the same as having no port; nor is having other ports only."""
    stack = make_stack("""
        servers:
          up: {command: PRETEND, ports: {admin: auto}}
          later: {command: PRETEND, port: auto}
          none: {command: PRETEND}
    """)
    stack.up("up")
    said = {name: stack.cli("url", name, check=1).stderr for name in ("up", "later", "none")}
    assert said["up"].startswith("`up` has no address: it has no main port, only admin:")
    assert said["later"] == "`later` is not ready: stopped\n"
    assert said["none"] == "`none` has no address: it has no `port`\n"
    stack.down()


def test_reload_and_diff(make_stack: Make) -> None:
    """`diff` says what `reload` does; what did not change keeps its pid; a bad file changes nothing."""
    text = "vars: {n: a}\nservers:\n  a: {command: 'PRETEND --name ${vars.n}'}\n  b: {command: PRETEND --name %s}\n"
    stack = make_stack(text % "one")
    assert "is not running" in stack.cli("reload", check=1).stderr
    assert "is not running" in stack.cli("diff", check=1).stderr
    stack.up("--no-watch", "--set", "n=x")
    before = {name: row["pid"] for name, row in stack.ps().items()}
    same = stack.cli("diff", check=0)
    assert (same.stdout, same.stderr) == ("", "nothing to do: what stack.yaml says is what runs\n")
    stack.write(text % "two")
    said = stack.cli("diff", check=0)
    assert said.stdout == "restart b: argument 4 changed from `one` to `two`\nkeep 1 service\n"
    assert {name: row["pid"] for name, row in stack.ps().items()} == before
    stack.write("servers: {a: {comand: x}}\n")
    for command in ("diff", "reload"):
        assert "stack.yaml:1:15" in stack.cli(command, check=2).stderr
    stack.write(text % "two")
    assert "restart b" in stack.cli("reload", check=0).stderr
    stack.wait_for(lambda s: all(v.pid not in (None, before["b"]) for v in s.services))
    after = {name: row["pid"] for name, row in stack.ps().items()}
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]
    stack.down()


@pytest.mark.parametrize("how", ["down", "Ctrl-C"])
def test_the_end_of_a_stack_in_which_all_was_stopped(make_stack: Make, how: str) -> None:
    """Nothing is left to stop, and that is no reason to stay."""
    stack = make_stack("servers: {a: {command: PRETEND}, b: {command: PRETEND}}")
    up = stack.start("up")
    stack.wait_up()
    stack.cli("stop", "a", "b", check=0)
    if how == "Ctrl-C":
        up.send_signal(signal.SIGINT)
    else:
        stack.cli("down", check=0)
    assert up.wait(30) == (130 if how == "Ctrl-C" else 0)
    assert not stack.survivors()

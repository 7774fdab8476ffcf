"""Which stack, which names, which exit code."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from launchpad import __version__
from launchpad.cli.group import COMMANDS, group
from launchpad.cli.params import duration
from launchpad.cli.screen import wants_color
from launchpad.errors import Diagnostic, Refused
from launchpad.hosts.local.keeper import Keeper
from launchpad.paths import StackPaths, find_stack
from launchpad.runtime.options import UpOptions
from tests.cli.conftest import Cli
from tests.cli.fake import FakeSupervisor

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_command_exists_and_has_help(cli: Cli) -> None:
    context = click.Context(group)
    for name in COMMANDS:
        assert group.get_command(context, name) is not None
        if name != "pretend":
            assert f"Usage: launchpad {name}" in cli(name, "--help").out
    assert all(name in cli("--help").out for name in COMMANDS)


def test_commands_are_imported_only_when_they_are_used() -> None:
    code = (
        "import sys; from launchpad.cli.group import group; import launchpad.cli.ps;"
        "heavy = {'pydantic', 'yaml', 'asyncio', 'rich', 'httpx', 'starlette', 'honcho', 'watchfiles'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_runs_is_told_without_what_only_others_need(folder: Path, supervisor: FakeSupervisor) -> None:
    code = (
        "import os, sys; sys.argv = ['launchpad', 'ps']; from launchpad.cli.main import main\n"
        "os._exit = lambda code: print(code, sorted({'asyncio', 'socket', 'json', 'rich'} & set(sys.modules)))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1].startswith("llm ")
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_version_costs_no_import() -> None:
    code = (
        "import sys; sys.argv = ['launchpad', '--version']; from launchpad.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'click' in sys.modules, 'msgspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"launchpad {__version__}\n0 False False\n"


def test_the_version_is_the_one_of_the_package(cli: Cli) -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert cli("-f", "x.yaml", "--version").out == f"launchpad {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["graph", "other.yaml"],
        ["graph", "other.yaml", "solo"],
        ["graph", "solo", "other.yaml"],
        ["graph", "-f", "other.yaml", "solo"],
        ["-f", "other.yaml", "graph", "solo"],
        ["--file=other.yaml", "graph"],
        ["graph", "--file", "other.yaml"],
    ],
)
def test_the_stack_may_stand_anywhere(cli: Cli, folder: Path, arguments: list[str]) -> None:
    (folder / "other.yaml").write_text("servers: {solo: {command: x}}")
    assert cli(*arguments).out == "solo (server)\n"


def test_by_default_it_is_found_above(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert "train (job)" in cli("graph").out


def test_two_stacks_are_refused(cli: Cli) -> None:
    said = cli("ps", "a.yaml", "b.yml")
    assert said.code == 2
    assert "One stack file" in said.err


def test_no_stack_here_or_above(cli: Cli, folder: Path) -> None:
    (folder / "stack.yaml").unlink()
    said = cli("ps")
    assert said.code == 2
    assert said.err.startswith("error[E190]: there is no stack.yaml or launchpad.yaml in ")


def test_a_stack_whose_file_is_gone_is_found_by_its_state(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    state = inner / ".launchpad" / "stack.yaml"
    state.mkdir(parents=True)
    assert find_stack(inner) is None
    (state / "records.jsonl").write_text("{}")
    assert find_stack(inner) == inner / "stack.yaml"
    (tmp_path / "launchpad.yaml").write_text("")
    assert find_stack(inner) == tmp_path / "launchpad.yaml", "a file goes first"


def test_a_stack_that_is_not_there(cli: Cli) -> None:
    said = cli("up", "nope.yaml")
    assert said.code == 2
    assert said.err.startswith("error[E191]: there is no stack file `nope.yaml`")
    assert said.out == ""


def test_a_stack_whose_file_is_gone_can_still_be_asked_about(
    cli: Cli, folder: Path, supervisor: FakeSupervisor
) -> None:
    (folder / ".launchpad" / "stack.yaml").mkdir(parents=True)
    (folder / "stack.yaml").unlink()
    assert cli("ps", "stack.yaml", "--json").code == 0


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["grap"], "Did you mean `graph`?"),
        (["ps", "--jsn"], "--json"),
        (["start"], "Name what to start"),
        (["run"], "Name exactly one job"),
        (["url", "a", "b"], "Name exactly one"),
        (["wait", "--timeout", "soon"], "`soon` is no duration"),
        (["up", "--set", "model"], "`model` is not of the form `key=value`"),
        (["reload", "llm"], "Unexpected argument `llm`"),
        (["down", "llm"], "launchpad stop llm"),
    ],
)
def test_usage_errors_exit_2_and_say_why(cli: Cli, arguments: list[str], needle: str) -> None:
    said = cli(*arguments)
    assert said.code == 2
    assert needle in said.err
    assert said.out == ""


def test_a_service_name_with_a_typo(cli: Cli, supervisor: FakeSupervisor) -> None:
    for command in ("ps", "start", "stop", "restart", "url", "logs", "wait", "graph", "env"):
        said = cli(command, "rewrd")
        assert said.code == 2, command
        assert "`grpo` has no server or job `rewrd`" in said.err, command
        assert "did you mean `reward`?" in said.err, command
    assert supervisor.asked == []


def test_a_dash_keeps_what_follows_for_the_job(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(options: UpOptions, keeper: Keeper) -> int:
        keeper.dismiss()
        seen.append(options)
        return 7

    monkeypatch.setattr("launchpad.runtime.up.run", run)
    said = cli(
        "run",
        "stack.yaml",
        "train",
        "--set",
        "model=x",
        "--timeout",
        "2m",
        "--",
        "--config",
        "a.yaml",
        "--",
        "-f",
    )
    assert said.code == 7
    (options,) = seen
    assert options.job == "train"
    assert options.job_args == ("--config", "a.yaml", "--", "-f")
    assert options.file == folder / "stack.yaml"
    assert options.set_vars == (("model", "x"),)
    assert options.timeout_s == 120


def test_up_hands_everything_on(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("launchpad.runtime.up.up", lambda options, keeper: seen.append(options) or 0)
    cli(
        "up",
        "llm",
        "-d",
        "--dry-run",
        "--profile",
        "a",
        "--profile",
        "b",
        "--set",
        "k=v=w",
        "--env-file",
        "x.env",
        "reward",
    )
    (options,) = seen
    assert options.names == ("llm", "reward")
    assert (options.detach, options.dry_run, options.profiles) == (True, True, ("a", "b"))
    assert (options.set_vars, options.env_files) == ((("k", "v=w"),), (Path("x.env"),))
    assert (options.color, options.tty) == (False, False)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("7", 7), ("1.5s", 1.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(None, None, text) == seconds  # type: ignore[arg-type]


# --- what becomes of a command that does not return ------------------------------------------------------


def break_ps(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(given: object) -> None:
        raise error

    import launchpad.cli.ps

    monkeypatch.setattr(launchpad.cli.ps, "locate", fail)


def test_our_own_bug_is_one_line_and_a_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    break_ps(monkeypatch, RuntimeError("the sky fell\nand more"))
    said = cli("ps")
    assert said.code == 3
    assert said.err.count("\n") == 1
    assert said.err.startswith("error[E901]: launchpad itself failed: the sky fell; the traceback is in ")
    kept = Path(said.err.rpartition(" ")[2].strip())
    assert "RuntimeError: the sky fell" in kept.read_text()
    kept.unlink()


def test_ctrl_c_is_130_without_words(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    break_ps(monkeypatch, KeyboardInterrupt())
    said = cli("ps")
    assert (said.code, said.out, said.err) == (130, "", "")


def test_refused_is_2_and_all_problems(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    break_ps(monkeypatch, Refused([Diagnostic("E101", "one"), Diagnostic("E102", "two")]))
    said = cli("ps")
    assert said.code == 2
    assert "error[E101]: one" in said.err
    assert "error[E102]: two" in said.err


@pytest.mark.parametrize("command", [["explain"], ["--help"], ["logs", "loud"], ["logs", "loud", "--json"]])
def test_a_reader_that_leaves_is_quiet(folder: Path, paths: StackPaths, command: list[str]) -> None:
    paths.logs_dir.mkdir(parents=True)
    paths.log("loud").write_bytes(b"x" * 99 + b"\n" * 100_000)
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "launchpad", *command]
    done = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: terminal  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("terminal", "environ", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "0"}, False),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_only_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environ: dict[str, str], colour: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert wants_color(Stream(terminal)) is colour

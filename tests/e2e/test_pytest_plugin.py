"""The pytest plugin, in runs of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import PRETEND, Stack, eventually

Make = Callable[..., Stack]

pytest_plugins = ["pytester"]

STACK = f"""
servers:
  llm: {{command: "{PRETEND} --print loaded-the-model --mark marks --name llm", port: auto}}
"""
TESTS = """
    import os, urllib.request

    def test_it_answers(launchpad_stack):
        with open(f"pid-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}", "w") as file:
            file.write(str(launchpad_stack.service("llm").pid))
        with urllib.request.urlopen(launchpad_stack.url("llm") + "/health") as answer:
            assert answer.status == 200
"""


@pytest.fixture
def made(make_stack: Make, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Stack:
    """Finds what these runs of pytest start, wherever it is."""
    one = make_stack("")
    monkeypatch.setenv("LP_TEST_MARK", one.mark)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    # what else is installed here takes seconds to import, and each run and worker would; the last test takes all of it
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider -p launchpad.testing -p xdist.plugin")
    one.environ |= {name: os.environ[name] for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS")}
    one.folder = pytester.path
    return one


def test_starts_once_and_stops_after_the_last(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", stack=STACK)
    more = "\n    def test_the_same(launchpad_stack):\n        assert not launchpad_stack.borrowed\n"
    pytester.makepyfile(TESTS + more)
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
    assert len(made.marks_of("llm", "start")) == 1
    assert not made.survivors()


def test_the_file_can_be_named(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.mkdir("conf")
    (pytester.path / "conf/models.yaml").write_text(STACK)
    (pytester.path / "conf/other.yaml").write_text("servers: {other: {command: sleep 300}}")
    pytester.makeini("[pytest]\nlaunchpad_stack_file = conf/models.yaml\n")
    pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    found = pytester.runpytest_subprocess("--launchpad-stack=conf/other.yaml")
    found.stdout.fnmatch_lines(["*no server or job `llm`; it has `other`*"])
    assert not made.survivors()


def test_options_of_the_stack(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".yaml", stack=STACK + f"  more: {{command: {PRETEND}, port: auto, profiles: [more]}}\n"
    )
    pytester.makeconftest("""
        import pytest

        @pytest.fixture(scope="session")
        def launchpad_stack_options():
            return {"profiles": ["more"], "timeout": 60}
    """)
    pytester.makepyfile("def test_it(launchpad_stack): assert launchpad_stack.url('more')")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert not made.survivors()


def test_a_failure_shows_what_the_services_printed(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", stack=STACK)
    pytester.makepyfile("""
        def test_it(launchpad_stack):
            assert launchpad_stack.url("llm") == "elsewhere"

        def test_without():
            assert False
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*llm (ready), last lines*", "loaded-the-model", "*test_without*"])
    assert result.stdout.str().count("last lines") == 1
    assert not made.survivors()


def test_a_stack_that_does_not_come_up_is_told_as_up_tells_it(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".yaml",
        stack="""
servers: {llm: {command: "echo out-of-luck; exit 3", shell: true, port: auto, restart: never}}
""",
    )
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*error[[]E501[]]: `llm` crashed", "*|   out-of-luck*"])
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.no_fnmatch_line("*testing.py*")
    assert not made.survivors()


def test_without_a_file(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(f"--rootdir={pytester.path}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no stack file*"])


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_one_stack(made: Stack, pytester: pytest.Pytester, workers: int) -> None:
    pytester.makefile(".yaml", stack=STACK)
    tests = TESTS.replace("def test_it_answers(", "def test_it_answers_NUMBER(")
    pytester.makepyfile(
        **{f"test_{number}": tests.replace("NUMBER", str(number)) for number in range(2 * workers)}
    )
    result = pytester.runpytest_subprocess("-n", str(workers), "--dist=each")
    result.assert_outcomes(passed=2 * workers * workers)
    pids = {file.read_text() for file in pytester.path.glob("pid-gw*")}
    assert (len(pids), len(list(pytester.path.glob("pid-gw*")))) == (1, workers)
    assert len(made.marks_of("llm", "start")) == 1
    assert not made.survivors()


def test_a_stack_that_ran_before_is_left(made: Stack, pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", stack=STACK)
    made.file = pytester.path / "stack.yaml"
    made.up()
    pytester.makepyfile(TESTS)
    for how in ((), ("-n", "2")):
        pytester.runpytest_subprocess(*how).assert_outcomes(passed=1)
        assert made.client.status().phase == "up"
    assert len(made.marks_of("llm", "start")) == 1
    made.down()


@pytest.mark.parametrize("how", [(), ("-n", "2")])
def test_a_run_that_is_killed_leaves_nothing(
    made: Stack, pytester: pytest.Pytester, how: tuple[str, ...]
) -> None:
    pytester.makefile(".yaml", stack=STACK)
    pytester.makepyfile(
        "def test_it(launchpad_stack):\n    open('in', 'w').close()\n    open('never').read()"
    )
    pytester.mkdir("x")
    made.pipe("never")
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *how], cwd=pytester.path, env=made.environ, stdout=subprocess.DEVNULL
    )
    made.started.append(run)
    eventually(lambda: Path(pytester.path / "in").exists(), "the test runs")
    run.kill()
    run.wait()
    eventually(lambda: not [one for one in made.survivors().values() if "pretend" in one], "nothing is left")


def test_a_run_that_does_not_use_it_imports_nothing_of_launchpad(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("launchpad")
            mine = {name for name in sys.modules if name.partition(".")[0] == "launchpad"}
            assert mine == {"launchpad", "launchpad.testing"}
    """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)

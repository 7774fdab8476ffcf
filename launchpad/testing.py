"""A pytest plugin: the fixture `launchpad_stack` starts a stack file for a run of tests, and stops it after them.

Decides which file that is, and who stops it: with pytest-xdist all workers share one stack, which the first that needs
it starts and which ends with the run's controller. A run that does not use the fixture pays for the import of this module,
which imports nothing that pytest has not; the rest is imported by the fixture.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from launchpad.library import Stack

_LINES = 20
"""How much of each service's output a failed test shows."""
_STACK: pytest.StashKey[Stack] = pytest.StashKey()
_FILE: pytest.StashKey[Path | None] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "the stack file that the fixture `launchpad_stack` starts"
    group = parser.getgroup("launchpad", "launchpad: model servers and jobs for tests")
    group.addoption("--launchpad-stack", metavar="FILE", default=None, help=text)
    parser.addini("launchpad_stack_file", f"{text}, relative to the folder of this file")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist is about to start a worker: who it belongs to, and which file is meant here."""
    node.workerinput["launchpad_controller"] = os.getpid()
    node.workerinput["launchpad_stack"] = str(_file(node.config) or "")


@pytest.fixture(scope="session")
def launchpad_stack_options() -> Mapping[str, Any]:
    """What `launchpad_stack` gives to `Stack` besides the file: `profiles`, `names`, `set_vars`, `env_files`, `timeout`.
    To be overridden in a `conftest.py`."""
    return {}


@pytest.fixture(scope="session")
def launchpad_stack(
    pytestconfig: pytest.Config, launchpad_stack_options: Mapping[str, Any]
) -> Iterator[Stack]:
    """The stack, up: started by the first test that asks for it, stopped after the last. One that ran before is borrowed,
    and left as it runs."""
    from launchpad.library import Stack, StackError

    file, owner = _wanted(pytestconfig)
    if file is None:
        pytest.fail(
            "there is no stack file: name it with `--launchpad-stack FILE` or the ini option `launchpad_stack_file`",
            pytrace=False,
        )
    stack, problem = Stack(file, ends_with=owner, **launchpad_stack_options), ""
    try:
        stack.start()
    except StackError as error:
        problem = str(error)
    if problem:
        pytest.fail(f"{file.name} did not come up\n{problem}", pytrace=False)
    pytestconfig.stash[_STACK] = stack
    yield stack
    del pytestconfig.stash[_STACK]
    if owner is None:
        stack.stop()


@pytest.hookimpl(hookwrapper=True)  # the form that every pytest knows, since this is loaded into every run
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """What the services printed last, beside what a failed test has to say."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    stack = item.config.stash.get(_STACK, None)
    if report.failed and stack is not None and "launchpad_stack" in getattr(item, "fixturenames", ()):
        report.sections += _sections(stack)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The controller of pytest-xdist: its workers have left, and what they shared is stopped."""
    config = session.config
    is_controller = hasattr(config.option, "dist") and config.option.dist != "no" and not _input(config)
    file = _file(config) if is_controller else None
    if file is not None:
        from launchpad.library import end_own

        end_own(file, os.getpid())


def _sections(stack: Stack) -> Iterator[tuple[str, str]]:
    from launchpad.library import StackError

    try:
        for view in stack.status().services:
            if printed := stack.logs(view.name, _LINES):
                yield f"{view.name} ({view.state}), last lines", printed
    except StackError as error:
        yield "launchpad", str(error)


def _wanted(config: pytest.Config) -> tuple[Path | None, int | None]:
    """The stack file, and the process with which its stack ends; None: this one."""
    told = _input(config)
    if told:
        return Path(told["launchpad_stack"]) if told["launchpad_stack"] else None, told[
            "launchpad_controller"
        ]
    return _file(config), None


def _input(config: pytest.Config) -> Mapping[str, Any]:
    """What the controller of pytest-xdist has told this worker; nothing, where this is no worker."""
    return getattr(config, "workerinput", {})


def _file(config: pytest.Config) -> Path | None:
    """The file of the option, else that of the ini file, else the nearest one at or above the root of the tests."""
    if _FILE not in config.stash:
        config.stash[_FILE] = _look(config)
    return config.stash[_FILE]


def _look(config: pytest.Config) -> Path | None:
    from launchpad.paths import find_stack

    option = config.getoption("--launchpad-stack")
    if option:
        return Path(config.invocation_params.dir, os.path.expanduser(option))
    written = config.getini("launchpad_stack_file")
    if written:
        return Path((config.inipath or config.rootpath / "x").parent, os.path.expanduser(str(written)))
    return find_stack(config.rootpath)

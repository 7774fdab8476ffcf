"""P10: all problems at once, in the file's terms: file:line:column, the line, what did not happen, one hint.

In the texts below `§` stands right before the place that has to be named.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.e2e.conftest import Make
from tests.e2e.harness import LAUNCHPAD, Stack

KINDS = {
    "unknown key at the top": "§severs:\n  llm: {command: x}\n",
    "unknown key of a server": "servers:\n  llm:\n    command: x\n    §comand: y\n",
    "unknown key of readiness": "servers:\n  llm: {command: x, port: auto, ready: {http: /, §interval_s: 3}}\n",
    "key of a job at a server": "servers:\n  llm: {command: x, §retries: 3}\n",
    "duplicate key": "servers:\n  llm: {command: x}\n  §llm: {command: y}\n",
    "duplicate key inside": "servers:\n  llm:\n    command: x\n    §command: y\n",
    "server and job of one name": "servers:\n  llm: {command: x}\njobs:\n  §llm: {command: y}\n",
    "no command": "servers:\n  §llm: {port: auto}\n",
    "empty command": 'servers:\n  llm: {command: §""}\n',
    "empty list as command": "servers:\n  llm: {command: §[]}\n",
    "unbalanced quote": "servers:\n  llm:\n    command: x §'y z\n",
    "YAML syntax": "servers:\n  llm: §{command: x\n",
    "tab as indentation": "servers:\n§\tllm: {command: x}\n",
    "list instead of a map": "servers:\n  §- llm\n",
    "text instead of a map": "servers:\n  llm: §x\n",
    "bad name": "servers:\n  §1llm: {command: x}\n",
    "reserved name": "servers:\n  §self: {command: x}\n",
    "unknown dependency": "servers:\n  llm: {command: x, depends_on: [§lmm]}\n",
    "depends on itself": "servers:\n  llm: {command: x, depends_on: [§llm]}\n",
    "cycle": "servers:\n  a: {command: x, depends_on: [§b]}\n  b: {command: x, depends_on: [a]}\n",
    "bad condition": "servers:\n  a: {command: x}\n  b: {command: x, depends_on: {a: §raedy}}\n",
    "done of a server": "servers:\n  a: {command: x}\n  b: {command: x, depends_on: {a: §done}}\n",
    "bad port": "servers:\n  llm: {command: x, port: §eighty}\n",
    "port out of range": "servers:\n  llm: {command: x, port: §70000}\n",
    "backward range": "servers:\n  llm: {command: x, port: §8099-8000}\n",
    "mapped port": 'servers:\n  llm: {command: x, port: §"8000:80"}\n',
    "one fixed port twice": "servers:\n  a: {command: x, port: 8000}\n  b: {command: x, port: §8000}\n",
    "localhost": "servers:\n  llm: {command: x, port: auto, host: §localhost}\n",
    "bad duration": "servers:\n  llm: {command: x, stop_grace: §10 parsecs}\n",
    "bad size": "jobs:\n  t: {command: x, output: {file: a, rotate: §many}}\n",
    "unknown key of a sink": "jobs:\n  t: {command: x, output: {file: a, §rotat: 5MB}}\n",
    "unknown key of a sink in a list": "jobs:\n  t: {command: x, output: [{file: a, §rotat: 5MB}]}\n",
    "unknown key of an env_file": "servers:\n  llm: {command: x, env_file: {path: a, §requird: false}}\n",
    "bad signal": "servers:\n  llm: {command: x, stop_signal: §SIGSTOPP}\n",
    "bad boolean": "jobs:\n  t: {command: x, primary: §yes}\n",
    "bad restart policy": "servers:\n  llm: {command: x, restart: §sometimes}\n",
    "bad regular expression": "servers:\n  llm: {command: x, ready: {log: §'[a-'}}\n",
    "two kinds of readiness": "servers:\n  llm: {command: x, port: auto, ready: {http: /, §tcp: true}}\n",
    "readiness path without a port": "servers:\n  llm: {command: x, ready: §/health}\n",
    "bad HTTP status": "servers:\n  llm: {command: x, port: auto, ready: {http: /, status: §900}}\n",
    "unset variable": "servers:\n  llm: {command: 'x §${NOT_SET_ANYWHERE_42}'}\n",
    "required variable": "servers:\n  llm: {command: 'x §${NOT_SET_ANYWHERE_42:?give a model}'}\n",
    "unknown reference": "servers:\n  llm: {command: 'x §${lmm.port}'}\n",
    "unknown var": "vars: {model: a}\nservers:\n  llm: {command: 'x §${vars.modle}'}\n",
    "port of one without": "servers:\n  a: {command: x}\n  b: {command: 'x §${a.port}'}\n",
    "unclosed reference": "servers:\n  llm: {command: 'x §${self.port'}\n",
    "unknown part of self": "servers:\n  llm: {command: 'x §${self.prot}', port: auto}\n",
    "vars refer to each other": "vars: {a: '${vars.b}', b: '§${vars.a}'}\nservers:\n  llm: {command: x}\n",
    "missing env_file": "env_file: [§missing.env]\nservers:\n  llm: {command: x}\n",
    "bad sink": "jobs:\n  t: {command: x, output: [console, §sylog]}\n",
    "octal-looking number": "servers:\n  llm: {command: x, max_restarts: §010}\n",
    "not text": "servers:\n  llm: {command: x, environment: {A: §[1, 2]}}\n",
    "handover": "servers:\n  llm: {command: x, port: auto, handover: §pass}\n",
    "supervisor policy": "when_supervisor_dies: §explode\nservers:\n  llm: {command: x}\n",
    "primary server": "servers:\n  llm: {command: x, §primary: true}\n",
    "no such recipe": "servers:\n  llm: {uses: §no-such-recipe}\n",
    "nothing to extend": "servers:\n  llm: {command: x, extends: §nobody}\n",
    "requirements that are not there": "servers:\n  llm: {command: x, requirements: §a.txt}\n",
    "missing venv": "servers:\n  llm: {command: x, venv: §.no-such-venv}\n",
    "YAML tag": "servers:\n  llm: {command: §!!python/object:os.system x}\n",
    "second document": "servers:\n  llm: {command: x}\n§---\nservers: {}\n",
    "nothing to start": "§name: empty\n",
    "unknown alias": "servers:\n  llm: §*nobody\n",
}
WHOLE_FILE = {"empty": "", "blank": "\n\n", "comment only": "# later\n", "binary": "\x00\x01\x02"}


class Checked(Struct):
    code: int
    problems: dict[str, list[dict[str, Any]]]
    errors: str


@pytest.fixture(scope="module")
def checked() -> Any:
    """All files through one `launchpad check --json`."""
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for number, (kind, text) in enumerate({**KINDS, **WHOLE_FILE}.items()):
            path = Path(folder) / f"f{number}.yaml"
            path.write_text(text.replace("§", ""))
            names[path.name] = kind
        done = subprocess.run(
            [*LAUNCHPAD, "check", "--json", *sorted(names)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        problems: dict[str, list[dict[str, Any]]] = {kind: [] for kind in names.values()}
        for problem in json.loads(done.stdout):
            problems[names[Path(problem["file"]).name]].append(problem)
        yield Checked(done.returncode, problems, done.stderr)


def place_of(text: str) -> tuple[int, int]:
    before = text.partition("§")[0]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_p10_kind(checked: Checked, kind: str) -> None:
    """P10: this kind of mistake is an error at its very place, in words without Python in them."""
    errors = [problem for problem in checked.problems[kind] if problem["severity"] == "error"]
    assert errors, "it is accepted"
    said = [(problem["line"], problem["column"], problem["message"]) for problem in errors]
    assert place_of(KINDS[kind]) in [(line, column) for line, column, _ in said], said
    for problem in errors:
        assert re.fullmatch(r"E[123]\d\d", problem["code"])
        assert problem["message"].strip()
        assert not re.search(
            r"Traceback|pydantic|NoneType|<class|Error\b|dict|\bstr\b", problem["message"]
        ), said


@pytest.mark.parametrize("kind", WHOLE_FILE)
def test_p10_whole_file(checked: Checked, kind: str) -> None:
    """P10: a file in which there is nothing is an error in line 1."""
    errors = [problem for problem in checked.problems[kind] if problem["severity"] == "error"]
    assert errors
    assert errors[0]["line"] == 1


def test_p10_exit_code(checked: Checked) -> None:
    """P10: exit 2, and no traceback anywhere."""
    assert checked.code == 2
    assert "Traceback" not in checked.errors


def test_p10_check_of_a_good_file(make_stack: Make) -> None:
    """The proof that the table proves something: a file without mistakes has no problem, and exit 0."""
    stack = make_stack("""
        x-common: &common {restart: never}
        servers: {llm: {<<: *common, command: "PRETEND --port ${self.port}", port: auto, ready: /health}}
        jobs: {train: {command: "PRETEND --exit 0", depends_on: [llm], x-note: mine}}
    """)
    done = stack.cli("check", "--json", check=0)
    assert [p for p in json.loads(done.stdout) if p["severity"] == "error"] == []
    assert stack.cli("check", check=0).stderr.count("error") == 0


def refused_everywhere(stack: Stack, *said: str) -> None:
    """`up`, `up -d` and `run` refuse with exit 2, say all of it, and start nothing."""
    for command in (["up"], ["up", "-d"], ["run", "train"]):
        done = stack.cli(*command, check=2)
        for text in said:
            assert text in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert not done.stdout
    assert not stack.marks()
    assert not stack.survivors()


def test_p10_two_typos_at_once(make_stack: Make) -> None:
    """P10: both are told, each with file:line:column, its line and a hint; exit 2, nothing started."""
    stack = make_stack("""\
        servers:
          llm:
            command: PRETEND --mark marks
            stop_grace: 10 parsecs
        jobs:
          train:
            command: PRETEND --mark marks --exit 0
            depend_on: [llm]
    """)
    refused_everywhere(
        stack,
        "stack.yaml:4:17",
        "stop_grace: 10 parsecs",
        "stack.yaml:8:5",
        "depend_on: [llm]",
        "did you mean `depends_on`?",
        "nothing was started",
    )


def test_p10_mistakes_of_every_layer_at_once(make_stack: Make) -> None:
    """P10: a key, a value, a reference and an unset variable: one run tells them all."""
    stack = make_stack("""\
        servers:
          a:
            command: x ${b.port} ${NOT_SET_ANYWHERE_42}
            prot: 8000
            stop_signal: SIGNOTHING
    """)
    refused_everywhere(stack, "stack.yaml:3:16", "stack.yaml:3:26", "stack.yaml:4:5", "stack.yaml:5:18")


def test_p10_cycle(make_stack: Make) -> None:
    """P10: services that wait for each other: the whole circle is shown."""
    stack = make_stack("""\
        servers:
          index: {command: PRETEND --mark marks, depends_on: [embedder]}
          embedder: {command: PRETEND --mark marks, depends_on: [index]}
          alone: {command: PRETEND --mark marks}
    """)
    refused_everywhere(stack, "E201", "stack.yaml:2:", "index -> embedder -> index", "nothing was started")


def test_p10_no_stack_file(make_stack: Make) -> None:
    """P10: no file here or above, a file that is not there, a folder: exit 2 in words."""
    stack = make_stack("servers: {}")
    stack.file.unlink()
    for command in (["up"], ["up", "nowhere.yaml"], ["check"], ["check", "nowhere.yaml"], ["ps"], ["config"]):
        done = stack.cli(*command, check=2)
        assert "Traceback" not in done.stderr
        assert "error[E1" in done.stderr, (command, done.stderr)


def test_p10_unknown_service(make_stack: Make) -> None:
    """P10: a name that the stack does not have: exit 2, what it has, the nearest name."""
    stack = make_stack("servers: {llm: {command: PRETEND --mark marks}}")
    for command in (["up", "lml"], ["up", "-d", "lml"], ["run", "lml"], ["logs", "lml"], ["env", "lml"]):
        done = stack.cli(*command, check=2)
        assert "`lml`" in done.stderr, command
        assert "`llm`" in done.stderr, command
        assert "Traceback" not in done.stderr
    assert not stack.marks()


def test_p10_a_program_that_is_not_there(make_stack: Make) -> None:
    """P10: found out before anything else is started where it can be; told with its place and no traceback."""
    stack = make_stack("""\
        servers:
          llm: {command: pretned --port 1, restart: never}
    """)
    done = stack.up(check=None)
    assert done.returncode in (1, 2)
    assert "`pretned`" in done.stderr
    assert "stack.yaml:2:" in done.stderr
    assert "Traceback" not in done.stderr
    stack.cli("down")


def test_p10_unreadable_file(make_stack: Make) -> None:
    """P10: not UTF-8, and a folder in its place."""
    stack = make_stack("servers: {}")
    stack.file.write_bytes(b"servers:\n  llm: {command: \xff\xfe}\n")
    done = stack.cli("up", check=2)
    assert "stack.yaml:2:" in done.stderr
    assert "Traceback" not in done.stderr


def test_p10_machine_readable_fields(make_stack: Make) -> None:
    """The fields of `check --json`."""
    stack = make_stack("servers:\n  llm: {command: x, prot: 8000}\n")
    (problem,) = json.loads(stack.cli("check", "--json", check=2).stdout)
    assert {"code", "severity", "message", "file", "line", "column", "hint"} <= set(problem)
    assert (problem["line"], problem["column"], problem["severity"]) == (2, 21, "error")
    assert "port" in problem["hint"]
    assert Path(problem["file"]).name == "stack.yaml"

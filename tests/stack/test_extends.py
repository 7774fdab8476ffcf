"""`extends`: the keys of another service lie beneath."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad.core.model import Ref, Service
from launchpad.errors import Diagnostic, Refused
from tests.stack.writing import planned

FULL = """\
  full:
    command: serve
    port: auto
    environment: {A: "1", B: "1"}
    ready: {http: /health, timeout: 10m}
    depends_on: {db: started}
    stop_grace: 1s
  db: {command: db}
"""


def service(folder: Path, text: str, files: dict[str, str] | None = None, name: str = "a") -> Service:
    reading = planned(folder, text, files)
    return next(one for one in reading.plan.services if one.name == name)


def refused(folder: Path, text: str, files: dict[str, str] | None = None) -> tuple[Diagnostic, ...]:
    with pytest.raises(Refused) as caught:
        planned(folder, text, files)
    return caught.value.diagnostics


def test_maps_are_merged_and_the_rest_replaced(tmp_path: Path) -> None:
    text = f"servers:\n{FULL}  a: {{extends: full, environment: [B=2], ready: {{timeout: 1m}}, stop_grace: 2s}}\n"
    found = service(tmp_path, text)
    assert found.command == (("serve",),)
    assert {key: dict(found.environment)[key] for key in "AB"} == {"A": ("1",), "B": ("2",)}
    assert found.ready is not None
    assert (found.ready.target, found.ready.timeout_s) == ((Ref("a", "main", "url"), "/health"), 60.0)
    assert [(need.on, need.condition.value) for need in found.needs] == [("db", "started")]
    assert found.stop.grace_s == 2.0


def test_defaults_lie_beneath_both(tmp_path: Path) -> None:
    text = "defaults: {stop_grace: 9s, stop_signal: INT}\nservers:\n" + FULL + "  a: {extends: full}\n"
    assert service(tmp_path, text).stop.grace_s == 1.0
    assert service(tmp_path, text).stop.signal == 2


@pytest.mark.parametrize(
    "where",
    [
        "x-base: {B}\nservers: {a: {E}}",
        "servers: {x-base: {B}, a: {E}}",
        "jobs: {x-base: {B}}\nservers: {a: {E}}",
        "x-low: {B}\nx-base: {extends: x-low}\nservers: {a: {E}}",
    ],
)
def test_what_is_no_service_itself(tmp_path: Path, where: str) -> None:
    body = "environment: [A=1], x-note: 1"
    text = where.replace("{B}", f"{{{body}}}").replace("{E}", "{extends: x-base, command: run}")
    reading = planned(tmp_path, text + "\n")
    assert [one.name for one in reading.plan.services] == ["a"]
    assert dict(reading.plan.services[0].environment)["A"] == ("1",)


def test_a_chain(tmp_path: Path) -> None:
    text = (
        "servers:\n  c: {command: c, stop_grace: 3s, stop_signal: INT}\n  b: {extends: c, stop_grace: 2s}\n"
    )
    found = service(tmp_path, text + "  a: {extends: b, command: a}\n")
    assert (found.command, found.stop.grace_s, found.stop.signal) == ((("a",),), 2.0, 2)


def test_a_server_of_a_job(tmp_path: Path) -> None:
    text = "jobs: {b: {command: b, retries: 2, primary: true}}\nservers: {a: {extends: b}}\n"
    assert service(tmp_path, text).command == (("b",),)


BASE = """
    vars: {model: small, size: "${vars.model}-7b"}
    env_file: base.env
    defaults: {stop_grace: 7s}
    servers:
      x-low: {environment: [LOW=1]}
      llm: {extends: x-low, command: "serve ${vars.size} ${KEY} ${other.url} ${stack.dir}", env_file: llm.env}
      bare: {stop_signal: INT, watch: ["*.py"]}
"""
FILES = {"../base/base.yaml": BASE, "../base/base.env": "KEY=key\n", "../base/llm.env": "E=1\n"}


def test_of_another_file(tmp_path: Path) -> None:
    """Its words mean what they mean there; what it does not know means what it means here."""
    folder = tmp_path / "here"
    folder.mkdir()
    text = """
        vars: {model: large}
        servers:
          a: {extends: {file: ../base/base.yaml, service: llm}, environment: {M: "${vars.model}"}}
          b: {extends: {file: ../base/base.yaml, service: bare}, command: mine}
          other: {command: x, port: auto}
    """
    found = service(folder, text, FILES)
    base = str(tmp_path / "base")
    assert found.command == (("serve",), ("small-7b",), ("key",), (Ref("other", "main", "url"),), (base,))
    environment = dict(found.environment)
    assert (environment["LOW"], environment["E"], environment["M"]) == (("1",), ("1",), ("large",))
    assert found.stop.grace_s == 7.0
    assert found.working_dir == base, "that of whoever says the command"
    other = service(folder, text, FILES, "b")
    assert other.working_dir == str(folder)
    assert other.watch == (f"{base}/*.py",)
    assert "KEY" not in environment, "given to the services of that file alone"


def test_of_what_is_included(tmp_path: Path) -> None:
    files = {"inner/i.yaml": "servers: {llm: {command: 'serve ${self.name} ${db.url}', port: auto},"
                             " db: {command: db, port: auto}}\n"}  # fmt: skip
    text = "include: {file: inner/i.yaml, prefix: i-}\nservers: {a: {extends: i-llm, stop_grace: 1s}}\n"
    found = service(tmp_path, text, files)
    assert found.command == (("serve",), ("a",), (Ref("i-db", "main", "url"),))
    assert found.working_dir == str(tmp_path / "inner")


def test_in_what_is_included(tmp_path: Path) -> None:
    files = {
        "i.yaml": "include: {file: j.yaml, prefix: j-}\nx-base: {stop_grace: 4s}\n"
        "servers: {a: {extends: x-base, command: a}, b: {extends: j-c}}\n",
        "j.yaml": "x-base: {stop_grace: 5s}\nservers: {c: {extends: x-base, command: c}}\n",
    }
    reading = planned(tmp_path, "include: {file: i.yaml, prefix: i-}\n", files)
    assert {one.name: (one.command[0][0], one.stop.grace_s) for one in reading.plan.services} == {
        "i-j-c": ("c", 5.0), "i-a": ("a", 4.0), "i-b": ("c", 5.0),
    }  # fmt: skip


def test_of_what_another_file_includes(tmp_path: Path) -> None:
    files = {"b.yaml": "include: c.yaml\nvars: {}\n", "c.yaml": "servers: {c: {command: c}}\n"}
    assert service(tmp_path, "servers: {a: {extends: {file: b.yaml, service: c}}}\n", files).command == (
        ("c",),
    )


def test_two_files_may_extend_what_is_in_the_other(tmp_path: Path) -> None:
    files = {"b.yaml": "servers: {b: {extends: {file: stack.yaml, service: x-base}, command: b}}\n"}
    text = "x-base: {stop_grace: 4s}\nservers: {a: {extends: {file: b.yaml, service: b}}}\n"
    found = service(tmp_path, text, files)
    assert (found.command, found.stop.grace_s) == ((("b",),), 4.0)


@pytest.mark.parametrize(
    ("text", "code", "message", "hint", "columns"),
    [
        ("servers: {a: {extends: bb}, b: {command: x}}", "E112",
         "there is no server or job `bb` that could be extended", "did you mean `b`?", [24]),
        ("servers: {a: {extends: {file: f.yaml, service: lm}}}", "E112",
         "there is no server or job `lm` in `f.yaml` that could be extended", "did you mean `llm`?", [48]),
        ("servers: {a: {extends: a}}", "E126", "services extend each other",
         "take `extends` out of one of them", [24]),
        ("servers: {a: {extends: b}, b: {extends: c}, c: {extends: a}}", "E126", "services extend each other",
         "take `extends` out of one of them", [24, 41, 58]),
        ("servers: {a: {extends: {file: f.yaml, service: back}}}", "E126", "services extend each other",
         "take `extends` out of one of them", [24, 38]),
        ("servers: {a: {extends: {file: no.yaml, service: b}}}", "E101", None, "", [31]),
        ("servers: {a: {extends: {file: f.yaml}}}", "E108", "`service` is missing", "", [15]),
        ("servers: {a: {extends: [b]}}", "E107", None, "", [24]),
        ("servers: {a: {extends: }}", None, None, None, [15]),
        ("servers: {a: {extends: {service: b, fiel: x}}}", "E106", "unknown key `fiel`", "did you mean `file`?", [37]),
    ],
)  # fmt: skip
def test_what_cannot_be(
    tmp_path: Path, text: str, code: str | None, message: str | None, hint: str | None, columns: list[int]
) -> None:
    files = {"f.yaml": "servers: {llm: {command: x}, back: {extends: {file: stack.yaml, service: a}}}\n"}
    problems = refused(tmp_path, text + "\n", files)
    assert len(problems) == 1, problems
    problem = problems[0]
    assert code is None or problem.code == code
    assert message is None or problem.message == message
    assert hint is None or problem.hint == hint
    found = [label.span.column for label in problem.labels]
    assert found == columns or (len(columns) > 1 and len(found) == len(columns))


def test_a_variable_of_another_file_that_has_no_value(tmp_path: Path) -> None:
    files = {"f.yaml": "vars: {v: }\nservers: {b: {command: 'x ${vars.v}'}}\n"}
    (problem,) = refused(tmp_path, "servers: {a: {extends: {file: f.yaml, service: b}}}\n", files)
    assert problem.message == "the variable `v` has no value"


def test_variables_of_another_file_in_a_circle(tmp_path: Path) -> None:
    files = {"f.yaml": "vars: {v: '${vars.w}', w: '${vars.v}'}\nservers: {b: {command: 'x ${vars.v}'}}\n"}
    problems = refused(tmp_path, "servers: {a: {extends: {file: f.yaml, service: b}}}\n", files)
    assert [one.message for one in problems] == ["the variables refer to each other: v -> w -> v"]

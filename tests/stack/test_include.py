"""`include`: what is written in a file means there what it means when it stands alone; and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launchpad.core.model import Ref, Service
from launchpad.errors import Diagnostic, Refused
from launchpad.plan.read import Reading
from launchpad.stack.include import MOST_FILES
from launchpad.stack.load import attempt
from tests.stack.writing import ENVIRON, planned, write

INNER = """\
vars: {model: small, where: "${vars.model}/x"}
servers:
  llm: {command: "serve ${vars.where} ${llm.host} ${self.name}", port: auto}
  api: {command: "api ${llm.url} ${stack.dir}", port: auto, depends_on: [llm]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    here.mkdir()
    return here


def names(reading: Reading) -> list[str]:
    return [service.name for service in reading.plan.services]


def service(reading: Reading, name: str) -> Service:
    return next(one for one in reading.plan.services if one.name == name)


def refused(folder: Path, text: str, files: dict[str, str], **options: Any) -> tuple[Diagnostic, ...]:
    with pytest.raises(Refused) as caught:
        planned(folder, text, files, **options)
    return caught.value.diagnostics


def places(problem: Diagnostic) -> list[tuple[str, int, int]]:
    return [(Path(one.span.file).name, one.span.line, one.span.column) for one in problem.labels]


@pytest.mark.parametrize(
    "written",
    ["../infra/a.yaml", "[../infra/a.yaml]", "{file: ../infra/a.yaml}", "['${D:-../infra}/a.yaml']"],
)
def test_its_services_are_services_of_this_one(folder: Path, written: str) -> None:
    reading = planned(folder, f"include: {written}\n", {"../infra/a.yaml": INNER})
    assert names(reading) == ["llm", "api"]
    assert reading.inputs == (folder / "stack.yaml", folder.parent / "infra/a.yaml")
    assert reading.name == "here"


def test_with_a_prefix_every_name_means_what_it_meant(folder: Path) -> None:
    text = """
        include: {file: ../infra/a.yaml, prefix: i-, vars: {model: "big-${vars.size}"}}
        vars: {size: 7b}
        servers: {llm: {command: "x ${i-llm.url} ${vars.i-where}", port: auto, depends_on: [i-api]}}
    """
    reading = planned(folder, text, {"../infra/a.yaml": INNER})
    assert names(reading) == ["i-llm", "i-api", "llm"]
    assert service(reading, "i-llm").command == (
        ("serve",), ("big-7b/x",), ("127.0.0.1",), ("i-llm",),
    )  # fmt: skip
    api = service(reading, "i-api")
    assert api.command == (("api",), (Ref("i-llm", "main", "url"),), (str(folder.parent / "infra"),))
    assert [need.on for need in api.needs] == ["i-llm"]
    environment = dict(api.environment)
    assert environment["LLM_URL"] == (Ref("i-llm", "main", "url"),)
    assert "I_LLM_URL" not in environment
    assert service(reading, "llm").command == (("x",), (Ref("i-llm", "main", "url"),), ("big-7b/x",))
    assert "I_API_URL" in dict(service(reading, "llm").environment)
    other = planned(folder, text, {"../infra/a.yaml": INNER}, set_vars={"i-model": "set"})
    assert service(other, "i-llm").command[1] == ("set/x",)


def test_the_same_file_twice_with_two_prefixes(folder: Path) -> None:
    text = """
        include:
          - {file: a.yaml, prefix: a-}
          - {file: a.yaml, prefix: b-, vars: {model: large}}
    """
    reading = planned(folder, text, {"a.yaml": INNER})
    assert names(reading) == ["a-llm", "a-api", "b-llm", "b-api"]
    assert [service(reading, f"{one}-llm").command[1] for one in "ab"] == [("small/x",), ("large/x",)]
    assert service(reading, "b-api").command[1] == (Ref("b-llm", "main", "url"),)


def test_files_that_include(folder: Path) -> None:
    files = {
        "one/a.yaml": "include: {file: ../two/b.yaml, prefix: b-}\n"
        "servers: {a: {command: 'x ${b-c.url}', depends_on: [b-c]}}\n",
        "two/b.yaml": "servers: {c: {command: 'x ${self.port} ${d.port}', port: auto}, d: {command: y, port: auto}}\n",
    }
    reading = planned(folder, "include: {file: one/a.yaml, prefix: a-}\n", files)
    assert names(reading) == ["a-b-c", "a-b-d", "a-a"]
    assert service(reading, "a-a").command[1] == (Ref("a-b-c", "main", "url"),)
    assert service(reading, "a-b-c").command[2] == (Ref("a-b-d", "main", "port"),)
    assert service(reading, "a-b-c").working_dir == str(folder / "two")


def test_by_two_ways_the_same_file_comes_in_once(folder: Path) -> None:
    files = {
        "a.yaml": "include: c.yaml\nservers: {a: {command: x, depends_on: [c]}}\n",
        "b.yaml": "include: c.yaml\nservers: {b: {command: x, depends_on: [c]}}\n",
        "c.yaml": "vars: {v: 1}\nservers: {c: {command: 'x ${vars.v}'}}\n",
    }
    assert names(planned(folder, "include: [a.yaml, b.yaml]\n", files)) == ["c", "a", "b"]


def test_what_a_file_does_not_know_means_what_it_means_around_it(folder: Path) -> None:
    inner = {
        "a.yaml": "servers: {a: {command: 'x ${db.url} ${vars.v} ${w.url}', port: auto, depends_on: [db]}}\n"
    }
    text = """
        include: {file: a.yaml, prefix: p-}
        vars: {v: one}
        servers: {db: {command: y, port: auto}, w: {command: z, port: auto}}
    """
    reading = planned(folder, text, inner)
    assert service(reading, "p-a").command[1:3] == ((Ref("db", "main", "url"),), ("one",))
    assert [need.on for need in service(reading, "p-a").needs] == ["db"]


def test_its_own_defaults_env_files_and_folder(folder: Path) -> None:
    files = {
        "../infra/a.yaml": """
            env_file: a.env
            defaults: {stop_grace: 7s, environment: {D: inner}, retries: 1}
            servers:
              a:
                command: [x, "${K}"]
                env_file: own.env
                venv: v
                watch: ["*.py"]
                output: [{file: a.log}, {jsonl: a.jsonl}]
                environment: [K, HOME]
              b: {command: y, working_dir: sub}
        """,
        "../infra/a.env": "K=of-inner\n",
        "../infra/own.env": "O=own\n",
        "../infra/v/bin/x": "",
        "own.env": "O=outer\n",
        "top.env": "K=of-outer\nT=of-outer\n",
    }
    text = """
        include: ../infra/a.yaml
        env_file: top.env
        defaults: {stop_grace: 3s, environment: {D: outer}}
        servers: {mine: {command: "z ${K}"}}
    """
    reading = planned(folder, text, files)
    infra = folder.parent / "infra"
    a, mine = service(reading, "a"), service(reading, "mine")
    assert (a.stop.grace_s, mine.stop.grace_s) == (7.0, 3.0)
    assert (a.command[1], mine.command[1]) == (("of-inner",), ("of-outer",))
    found = dict(a.environment)
    assert [found[key] for key in "KOTD"] == [("of-inner",), ("own",), ("of-outer",), ("inner",)]
    assert dict(mine.environment)["D"] == ("outer",)
    assert (a.working_dir, service(reading, "b").working_dir) == (str(infra), str(infra / "sub"))
    assert mine.working_dir == str(folder)
    assert found["VIRTUAL_ENV"] == (str(infra / "v"),)
    assert a.watch == (str(infra / "*.py"),)
    assert [sink.path for sink in a.output] == [str(infra / "a.log"), str(infra / "a.jsonl")]
    assert set(reading.inputs) >= {infra / "a.yaml", infra / "a.env", infra / "own.env"}
    assert "of-inner" in reading.secrets


def test_the_local_file_is_over_what_is_included(folder: Path) -> None:
    files = {
        "a.yaml": INNER,
        "b.yaml": "servers: {b: {command: b}}\n",
        "stack.local.yaml": "include: b.yaml\nvars: {model: mine}\nservers: {api: {stop_grace: 1s}, llm: }\n"
        "defaults: {stop_grace: 2s}\n",
    }
    text = "include: a.yaml\nservers: {c: {command: c}}\n"
    assert {one.code for one in refused(folder, text, files)} == {"E112", "E202"}, "null removes it"
    files["stack.local.yaml"] = files["stack.local.yaml"].replace(", llm: ", "")
    reading = planned(folder, text, files)
    assert sorted(names(reading)) == ["api", "b", "c", "llm"]
    assert {one: service(reading, one).stop.grace_s for one in names(reading)} == {
        "llm": 10.0, "api": 1.0, "c": 2.0, "b": 10.0,
    }  # fmt: skip
    assert service(reading, "llm").command[1] == ("mine/x",)


def test_copies_of_what_is_included(folder: Path) -> None:
    inner = "servers:\n  llm: {command: x, port: auto, replicas: 2}\n  lb: {command: 'x ${llm.urls}', depends_on: [llm]}\n"
    reading = planned(folder, "include: {file: a.yaml, prefix: i-}\n", {"a.yaml": inner})
    assert names(reading) == ["i-llm-0", "i-llm-1", "i-lb"]
    environment = dict(service(reading, "i-lb").environment)
    assert "LLM_URLS" in environment
    assert environment["LLM_1_URL"] == (Ref("i-llm-1", "main", "url"),)


MAIN = "include: [a.yaml, b.yaml]\nservers: {main: {command: x}}\n"


@pytest.mark.parametrize(
    ("text", "a", "b", "message", "at"),
    [
        (MAIN, "servers: {s: {command: x}}", "servers: {s: {command: y}}", "`s` is there twice",
         [("b.yaml", 1, 11), ("a.yaml", 1, 11)]),
        (MAIN, "servers: {s: {command: x}}", "jobs: {s: {command: y}}", "`s` is there twice",
         [("b.yaml", 1, 8), ("a.yaml", 1, 11)]),
        (MAIN, "servers: {main: {command: x}}", "vars: {}", "`main` is there twice",
         [("stack.yaml", 2, 11), ("a.yaml", 1, 11)]),
        (MAIN, "vars: {v: 1}", "vars: {v: 2}", "the variable `v` is there twice",
         [("b.yaml", 1, 8), ("a.yaml", 1, 8)]),
        (MAIN, "include: b.yaml", "include: a.yaml", "files include each other",
         [("b.yaml", 1, 10), ("a.yaml", 1, 10)]),
        (MAIN, "vars: {}", "include: stack.yaml", "files include each other",
         [("b.yaml", 1, 10), ("stack.yaml", 1, 19)]),
        (MAIN, "vars: {}", "include: b.yaml", "files include each other", [("b.yaml", 1, 10)]),
        (MAIN, "vars: {}", "servesr: {}", "unknown key `servesr`", [("b.yaml", 1, 1)]),
        (MAIN, "vars: {}", "servers: {s: {command: 'x ${vars.n}'}}", "there is no variable `n` in `vars`",
         [("b.yaml", 1, 27)]),
        (MAIN, "vars: {}", "servers: {s: {command: x, depends_on: [t]}}",
         "`s` depends on `t`, which is not in this stack", [("b.yaml", 1, 40)]),
        (MAIN, "vars: {}", "servers: {s: {command: x, env_file: no.env}}", None, [("b.yaml", 1, 37)]),
        (MAIN, "vars: {}", "servers: [", None, [("b.yaml", 1, 11)]),
        ("include: {file: a.yaml, prefix: 1-}\n", "vars: {}", "", "no name begins with `1-`", [("stack.yaml", 1, 33)]),
        ("include: {file: a.yaml, vars: {w: 1}}\n", "vars: {v: 1}\nservers: {s: {command: x}}", "",
         "there is no variable `w` in `vars` of that file", [("stack.yaml", 1, 32)]),
        ("include: {file: a.yaml, vars: [w]}\n", "servers: {s: {command: x}}", "",
         "`vars` is a map of names, and this is a list", [("stack.yaml", 1, 31)]),
        ("include: {prefix: a-}\n", "", "", "`file` is missing", [("stack.yaml", 1, 1)]),
        ("include: {fil: a-, file: a.yaml}\n", "", "", "unknown key `fil`", [("stack.yaml", 1, 11)]),
        ("include: [a.yaml, a.yaml]\n", "servers: {s: {command: x}}", "", None, None),
    ],
)  # fmt: skip
def test_what_cannot_be(
    folder: Path, text: str, a: str, b: str, message: str | None, at: list[tuple[str, int, int]] | None
) -> None:
    files = {"a.yaml": a, "b.yaml": b}
    if at is None:
        planned(folder, text, files)
        return
    problem = refused(folder, text, files)[0]
    assert message is None or problem.message == message
    assert places(problem) == at


def test_a_circle_shows_the_way(folder: Path) -> None:
    files = {"a.yaml": "include: b.yaml\n", "b.yaml": "include: c.yaml\n", "c.yaml": "include: a.yaml\n"}
    (problem,) = refused(folder, "include: a.yaml\n", files)
    assert problem.notes == ("a.yaml -> b.yaml -> c.yaml -> a.yaml",)
    assert [label.text for label in problem.labels] == [
        "c.yaml includes a.yaml",
        "b.yaml includes c.yaml",
        "a.yaml includes b.yaml",
    ]


@pytest.mark.parametrize("kind", ["missing", "a folder"])
def test_a_file_that_is_not_there_is_waited_for(folder: Path, kind: str) -> None:
    """It is among what is watched, and what its services would be is not told as missing."""
    if kind == "a folder":
        (folder / "no.yaml").mkdir()
    file = write(folder, "include: no.yaml\nservers: {a: {command: 'x ${b.url}', depends_on: [b]}}\n")
    found = attempt(file, environ=ENVIRON)
    (problem,) = found.problems
    assert problem.code == "E101"
    assert found.loaded is None
    assert folder / "no.yaml" in found.inputs


def test_not_without_end(folder: Path) -> None:
    """Each file includes the next one twice."""
    files = {
        f"{n}.yaml": f"include: [{{file: {n + 1}.yaml, prefix: a}}, {{file: {n + 1}.yaml, prefix: b}}]\n"
        for n in range(20)
    }
    files["20.yaml"] = "servers: {s: {command: x}}\n"
    problems = refused(folder, "include: 0.yaml\n", files)
    assert problems[0].message == f"more than {MOST_FILES} files are included"


def test_an_env_file_of_the_command_line_wins_over_those_of_all_files(folder: Path) -> None:
    files = {
        "a.yaml": "env_file: a.env\nservers: {a: {command: 'x ${K}'}}\n",
        "a.env": "K=inner\n", "top.env": "K=outer\n", "given.env": "K=given\n",
    }  # fmt: skip
    reading = planned(
        folder, "include: a.yaml\nenv_file: top.env\n", files, env_files=[str(folder / "given.env")]
    )
    assert reading.plan.services[0].command == (("x",), ("given",))
    assert dict(reading.plan.services[0].environment)["K"] == ("given",)

"""`replicas`: names, addresses, needs; what copies cannot share; and numbers that somebody asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launchpad.core.model import Ref, Service
from launchpad.errors import Diagnostic, Refused
from launchpad.plan.read import Reading
from launchpad.stack.asked import Scaled
from tests.stack.writing import planned

LLM = "servers:\n  llm: {command: serve, port: auto, replicas: N}\n"
NAMES = ["llm-0", "llm-1"]


def read(folder: Path, more: str = "", count: object = 2, **options: Any) -> Reading:
    return planned(folder, LLM.replace("N", str(count)) + more, **options)


def refused(folder: Path, text: str, **options: Any) -> Diagnostic:
    with pytest.raises(Refused) as caught:
        planned(folder, text, **options)
    (problem,) = caught.value.diagnostics
    return problem


def names(reading: Reading) -> list[str]:
    return [service.name for service in reading.plan.services]


def service(reading: Reading, name: str) -> Service:
    return next(one for one in reading.plan.services if one.name == name)


def command(text: str) -> str:
    return f'  user: {{command: ["x", "{text}"], port: auto}}\n'


@pytest.mark.parametrize("count", [0, 1, 3])
def test_names(tmp_path: Path, count: int) -> None:
    reading = read(tmp_path, count=count)
    assert names(reading) == [f"llm-{index}" for index in range(count)]
    assert reading.loaded.groups == {"llm": tuple(names(reading))}
    assert [len(one.ports) for one in reading.plan.services] == [1] * count


def test_a_number_may_be_filled_in(tmp_path: Path) -> None:
    more = "vars: {n: 3}\n"
    assert len(names(read(tmp_path, more, "'${vars.n}'"))) == 3
    assert len(names(read(tmp_path, more, "'${vars.n}'", set_vars={"n": "1"}))) == 1
    assert len(names(read(tmp_path, more, "'${N:-2}'"))) == 2


@pytest.mark.parametrize("count", ["-1", "x", "1001", "", "[1]", "'${vars.n}'"])
def test_a_number_that_is_none(tmp_path: Path, count: str) -> None:
    problem = refused(tmp_path, LLM.replace("N", count))
    assert problem.labels[0].span.line == 2


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (0, []),
        (1, [Ref("llm-0", "main", "url")]),
        (2, [Ref("llm-0", "main", "url"), ",", Ref("llm-1", "main", "url")]),
    ],
)
def test_all_addresses(tmp_path: Path, count: int, parts: list[object]) -> None:
    reading = read(tmp_path, '  user: {command: ["x", "${llm.urls}"], depends_on: [llm]}\n', count)
    user = service(reading, "user")
    assert list(user.command[1]) == parts
    assert list(dict(user.environment)["LLM_URLS"]) == parts
    assert [need.on for need in user.needs] == names(reading)[:-1]


def test_one_that_is_not_copied_has_one_address(tmp_path: Path) -> None:
    reading = planned(tmp_path, "servers:\n  llm: {command: x, port: auto}\n" + command("${llm.urls}"))
    assert service(reading, "user").command[1] == (Ref("llm", "main", "url"),)
    assert "LLM_URLS" not in dict(service(reading, "user").environment)


@pytest.mark.parametrize("part", ["url", "port", "ports.main"])
def test_one_address_of_several(tmp_path: Path, part: str) -> None:
    problem = refused(tmp_path, LLM.replace("N", "2") + command(f"${{llm.{part}}}"))
    assert problem.message == f"`llm` has `replicas`, and each copy a `{part}` of its own"
    assert problem.hint == f"`${{llm.urls}}` is all of them, `${{llm-0.{part}}}` the first"
    assert problem.labels[0].span.column == 26


def test_one_of_them_by_name(tmp_path: Path) -> None:
    reading = read(tmp_path, command("${llm-1.url} ${llm.host}"))
    assert service(reading, "user").command[1] == (Ref("llm-1", "main", "url"), " 127.0.0.1")


@pytest.mark.parametrize(
    ("written", "condition", "bound"),
    [
        ("llm", "ready", False),
        ("[llm]", "ready", False),
        ("{llm: started}", "started", False),
        ("{llm: {restart: true}}", "ready", True),
        ("['${vars.llm}']", "ready", False),
    ],
)
def test_a_need_of_all_is_one_of_each(tmp_path: Path, written: str, condition: str, bound: bool) -> None:
    more = f"  user: {{command: x, depends_on: {written}}}\nvars: {{llm: llm}}\n"
    needs = service(read(tmp_path, more), "user").needs
    assert [(need.on, need.condition.value, need.bound) for need in needs] == [
        (name, condition, bound) for name in NAMES
    ]


def test_a_need_of_one(tmp_path: Path) -> None:
    user = service(read(tmp_path, "  user: {command: x, depends_on: [llm-1]}\n"), "user")
    assert [need.on for need in user.needs] == ["llm-1"]
    assert "LLM_URLS" not in dict(user.environment)
    assert "LLM_1_URL" in dict(user.environment)


def test_a_need_that_is_filled_in_and_unknown(tmp_path: Path) -> None:
    text = "vars: {on: lmm}\nservers: {llm: {command: x}, user: {command: x, depends_on: ['${vars.on}']}}\n"
    problem = refused(tmp_path, text)
    assert (problem.code, problem.hint) == ("E202", "did you mean `llm`?")


def test_copies_of_a_job(tmp_path: Path) -> None:
    text = "jobs:\n  a: {command: x, replicas: 2}\n  b: {command: x, depends_on: {a: done}}\n"
    reading = planned(tmp_path, text)
    assert [(need.on, need.condition.value) for need in service(reading, "b").needs] == [
        ("a-0", "done"),
        ("a-1", "done"),
    ]


def test_self(tmp_path: Path) -> None:
    text = "servers: {a: {command: [x, '${self.name}', '${self.replica}'], replicas: 2}}\n"
    reading = planned(tmp_path, text)
    assert [one.command[1:] for one in reading.plan.services] == [
        (("a-0",), ("0",)),
        (("a-1",), ("1",)),
    ]
    assert dict(service(reading, "a-1").environment)["LAUNCHPAD_REPLICA"] == ("1",)
    problem = refused(tmp_path, "servers: {a: {command: 'x ${self.replica}'}}\n")
    assert problem.message == "`${self.replica}` is there only with `replicas`"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "servers: {a: {command: x, replicas: 2}, a-1: {command: x}}",
            "`a-1` is also the name of a copy of `a`",
        ),
        (
            "jobs: {a: {command: x, replicas: 2, primary: true}}",
            "`a` is `primary`, and of several copies none is",
        ),
        (
            "servers: {a: {command: x, replicas: 2, output: [{file: a.log}]}}",
            "the copies of `a` would all write into `a.log`",
        ),
        ("servers: {a: {command: x, replicas: 2, port: 8000}}", "port 8000 is asked for by `a-0` and `a-1`"),
    ],
)
def test_what_copies_cannot_share(tmp_path: Path, more: str, message: str) -> None:
    problem = refused(tmp_path, more)
    assert problem.message == message
    assert len(problem.labels) == 2


def test_files_with_names_of_their_own(tmp_path: Path) -> None:
    text = "servers: {a: {command: x, replicas: 2, output: {file: '${self.name}.log'}}}\n"
    assert [one.output[0].path for one in planned(tmp_path, text).plan.services] == [
        str(tmp_path / "a-0.log"),
        str(tmp_path / "a-1.log"),
    ]


def test_the_name_of_all_is_a_name(tmp_path: Path) -> None:
    reading = read(tmp_path, "  user: {command: x, depends_on: [llm]}\n  other: {command: x}\n")
    assert dict(reading.goals(["llm"])) == {"llm-0": True, "llm-1": True, "user": False, "other": False}
    with pytest.raises(Refused) as caught:
        reading.goals(["lm"])
    assert caught.value.diagnostics[0].hint == "did you mean `llm`?"
    empty = read(tmp_path, "  other: {command: x}\n", 0)
    assert dict(empty.goals(["llm"])) == {"other": False}


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    reading = read(tmp_path)
    for name in NAMES:
        found = reading.loaded.span(name), reading.loaded.span(name, "command")
        assert [(one.line, one.column) for one in found if one] == [(2, 3), (2, 18)]


def test_what_was_asked_for_holds_until_the_file_says_another_number(tmp_path: Path) -> None:
    asked = read(tmp_path, scaled=[Scaled("llm", 4)])
    assert len(names(asked)) == 4
    assert asked.loaded.scaled == (Scaled("llm", 4, 2),)
    assert len(names(read(tmp_path, scaled=asked.loaded.scaled))) == 4
    changed = read(tmp_path, count=3, scaled=asked.loaded.scaled)
    assert len(names(changed)) == 3
    assert changed.loaded.scaled == ()
    assert read(tmp_path, scaled=[Scaled("llm", 2)]).loaded.scaled == ()
    gone = planned(tmp_path, "servers: {a: {command: x}}\n", scaled=asked.loaded.scaled)
    assert gone.loaded.scaled == ()


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("lm", "there is no server or job `lm`", "did you mean `llm`?"),
        ("one", "`one` cannot be scaled: it has no `replicas`",
         "`replicas: 1` makes it `one-0`, one copy of as many as you like"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(tmp_path: Path, name: str, message: str, hint: str) -> None:
    text = LLM.replace("N", "2") + "  one: {command: x}\n"
    problem = refused(tmp_path, text, scaled=[Scaled(name, 2)])
    assert (problem.code, problem.message, problem.hint) == ("E123", message, hint)

"""`${…}`: the grammar, what things are worth, and how a command is split afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad.errors import Refused
from launchpad.stack.template import Reference
from tests.stack.writing import ENVIRON, loaded

VARS = {
    **ENVIRON,
    "NAME": "qwen",
    "EMPTY": "",
    "TWO": "a  b",
    "QUOTED": "'a b'",
    "PORT": "9000",
    "ON": "true",
}


def command(folder: Path, text: str, head: str = "") -> list[str]:
    file = f"{head}servers:\n  my-llm: {{command: x, port: auto, ports: {{admin: auto}}}}\n  web:\n    command: {text}\n    port: auto\n"
    argv = loaded(folder, file, environ=VARS, set_vars={}).service("web").command
    return ["".join(str(part) for part in one) for one in argv]


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("echo ${NAME}", ["echo", "qwen"]),
        ("echo ${NOPE:-x}${NOPE-y}", ["echo", "xy"]),
        ("echo ${EMPTY:-x} [${EMPTY-y}]", ["echo", "x", "[]"]),
        ("echo ${NAME:?must be} ${NAME:+yes} ${NOPE:+no} ${EMPTY+set}", ["echo", "qwen", "yes", "set"]),
        ("echo ${NOPE:-${ALSO:-${NAME}}}", ["echo", "qwen"]),
        ("echo ${NOPE:-a-${NAME}-b}", ["echo", "a-qwen-b"]),
        ("echo $$ $${NAME} $$$$ $", ["echo", "$", "${NAME}", "$$", "$"]),
        ("echo $HOME $(date) $1", ["echo", "$HOME", "$(date)", "$1"]),
        ("echo ${HOST-127.0.0.1} ${HOST:-a.b}", ["echo", "127.0.0.1", "a.b"]),
        ("echo ${my-llm.url}/v1 ${my-llm.host}", ["echo", "${my-llm.url}/v1", "127.0.0.1"]),
        ("echo ${my-llm.ports.admin} ${self.name}", ["echo", "${my-llm.ports.admin}", "web"]),
        ("echo ${self.host}:${self.port}", ["echo", "127.0.0.1:${web.port}"]),
        # how a shell splits
        ("echo ${TWO} '${TWO}'", ["echo", "a", "b", "a  b"]),
        ("echo x${TWO}y", ["echo", "xa", "by"]),
        ('echo "${TWO}" "${EMPTY}" ${EMPTY}', ["echo", "a  b", ""]),
        ("echo ${QUOTED}", ["echo", "'a", "b'"]),
        ("echo ${NOPE:-'a b' c}", ["echo", "a b", "c"]),
        (r"""echo a\ b "c\"d" 'e"f' "g\h" '' """, ["echo", "a b", 'c"d', 'e"f', "g\\h", ""]),
        ('[echo, "${TWO}", "a b"]', ["echo", "a  b", "a b"]),
        ("[echo, 8000, 0755, true, 1.50]", ["echo", "8000", "0755", "true", "1.50"]),
    ],
)
def test_filled_and_split(tmp_path: Path, text: str, argv: list[str]) -> None:
    assert command(tmp_path, text) == argv


def test_vars_use_the_environment_and_each_other(tmp_path: Path) -> None:
    head = "vars: {model: 'org/${NAME}', path: '/m/${vars.model}', args: '--a 1', at: '${my-llm.url}/v1'}\n"
    argv = command(tmp_path, "x ${vars.path} ${vars.args} ${vars.at}", head)
    assert argv == ["x", "/m/org/qwen", "--a", "1", "${my-llm.url}/v1"]


def test_the_folder_is_one_word(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    assert command(folder, "x ${stack.dir}/a ${stack.name}") == ["x", f"{folder}/a", "my models"]


def test_filled_values_become_numbers_and_booleans(tmp_path: Path) -> None:
    text = """
        vars: {n: 3}
        jobs:
          j: {command: 'echo ${A}', shell: '${ON}', port: '${PORT:-8000}', retries: '${vars.n}', stop_grace: '${G:-2}m'}
    """
    job = loaded(tmp_path, text, environ={**VARS, "A": "1"}).model.jobs["j"]
    assert (job.shell, str(job.port), job.retries, job.stop_grace) == (True, "9000", 3, 120.0)
    assert job.command == (("/bin/sh",), ("-c",), ("echo 1",))


def test_set_overrides_vars(tmp_path: Path) -> None:
    text = "vars: {m: a}\nservers: {w: {command: 'x ${vars.m}'}}\n"
    assert loaded(tmp_path, text, set_vars={"m": "b c"}).service("w").command == (("x",), ("b",), ("c",))


def test_a_variable_without_a_value_has_to_be_set(tmp_path: Path) -> None:
    text = "vars: {m: }\nservers: {w: {command: 'x ${vars.m}'}}\n"
    assert loaded(tmp_path, text, set_vars={"m": "b"}).service("w").command == (("x",), ("b",))
    with pytest.raises(Refused) as caught:
        loaded(tmp_path, text)
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.hint) == ("E107", "`--set m=…` gives it one")


def test_the_environment_wins_over_env_files(tmp_path: Path) -> None:
    text = "env_file: ['${STAGE:-dev}.env']\nservers: {w: {command: 'x ${A} ${B} ${C}'}}\n"
    files = {"dev.env": "A=file\nB=file\nC=file\n", "more.env": "C=more\n"}
    found = loaded(
        tmp_path, text, files, environ={**ENVIRON, "A": "env"}, env_files=[str(tmp_path / "more.env")]
    )
    assert ["".join(map(str, one)) for one in found.service("w").command] == ["x", "env", "file", "more"]
    assert [path.name for path in found.inputs] == ["stack.yaml", "dev.env", "more.env"]


def test_references_keep_their_form(tmp_path: Path) -> None:
    text = "servers: {w: {command: 'x ${self.url} ${self.ports.main}', port: auto}}\n"
    argv = loaded(tmp_path, text).service("w").command
    assert argv[1:] == ((Reference("w", "main", "url"),), (Reference("w", "main", "port"),))


def test_all_interfaces_are_told_as_loopback(tmp_path: Path) -> None:
    text = """
        servers:
          a: {command: 'x ${self.host} ${b.host}', host: 0.0.0.0, port: auto, ready: 'http://${self.host}:${self.port}/'}
          b: {command: 'x ${self.host} ${a.host}', host: '::', port: auto}
    """
    found = loaded(tmp_path, text)
    assert found.service("a").command == (("x",), ("0.0.0.0",), ("::1",))
    assert found.service("b").command == (("x",), ("::",), ("127.0.0.1",))
    assert found.service("a").ready.http[0] == "http://127.0.0.1:"  # type: ignore[union-attr, index]


def test_fd_with_inherit(tmp_path: Path) -> None:
    text = "servers: {w: {command: 'x --fd ${self.fd}', port: auto, handover: inherit}}\n"
    assert loaded(tmp_path, text).service("w").command == (("x",), ("--fd",), ("3",))


def test_growth_is_bounded(tmp_path: Path) -> None:
    head = "  a0: xxxxxxxxxxxxxxxx\n" + "".join(
        f"  a{n}: '${{vars.a{n - 1}}}${{vars.a{n - 1}}}'\n" for n in range(1, 40)
    )
    with pytest.raises(Refused) as caught:
        loaded(tmp_path, f"vars:\n{head}servers: {{w: {{command: 'x ${{vars.a39}}'}}}}\n")
    assert caught.value.diagnostics[0].code == "E104"


def test_nesting_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        loaded(tmp_path, "servers: {w: {command: 'x " + "${A:-" * 5000 + "}" * 5000 + "'}}\n")
    assert caught.value.diagnostics[0].code == "E110"


def test_keys_and_extensions_are_not_filled(tmp_path: Path) -> None:
    text = """
        x-note: ${NOPE}
        servers:
          x-base: &base {environment: {A: "${self.name}"}, x-why: "${NOPE}"}
          w: {<<: *base, command: x, headers-of-mine: 1}
    """.replace(", headers-of-mine: 1", "")
    found = loaded(tmp_path, text)
    assert found.order == ("w",)
    assert found.environment["w"][0].value == ("w",)


@pytest.mark.parametrize(
    "text",
    [
        "servers: {a: {command: x, port: auto, host: '${a.url}'}}",
        "servers: {a: {command: x, host: '${b.host}'}, b: {command: x, host: '${a.host}'}}",
        "servers: {a: {command: x, host: '${self.host}'}}",
    ],
)
def test_addresses_that_refer_to_each_other(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused) as refused:
        loaded(tmp_path, text)
    assert {one.code for one in refused.value.diagnostics} == {"E113"}

"""Merging, environments, env files, names, spans: what `load` makes of a file and its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchpad.errors import Refused
from tests.stack.writing import ENVIRON, loaded


def environment(found, name: str) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return {v.name: "".join(str(part) for part in v.value) for v in found.environment[name]}


def test_defaults(tmp_path: Path) -> None:
    text = """
        defaults:
          restart: {policy: always, max_restarts: 2}
          retries: 4
          stop_grace: 3s
          environment: [A=1, B=2]
          ready: {http: /health, timeout: 10m}
          depends_on: []
          watch: ["*.py"]
        servers:
          one: {command: x, port: auto, environment: {B: 3, C: 4}, watch: ["*.txt"]}
          two: {command: x, port: auto, ready: /up, restart: never}
          three: {command: x, port: auto, ready: {tcp: true}, environment: ["A=${self.name}"]}
        jobs:
          plain: {command: x, ready: {log: up}}
          own: {command: x, restart: always, ready: {log: up}}
    """
    found = loaded(tmp_path, text)
    one, two, three = (found.model.servers[name] for name in ("one", "two", "three"))
    assert environment(found, "one") == {"A": "1", "B": "3", "C": "4"}
    assert environment(found, "three") == {"A": "three", "B": "2"}
    assert one.watch == ("*.txt",)
    assert (one.ready.http, one.ready.timeout) == (("/health",), 600.0)  # type: ignore[union-attr]
    assert (two.ready.http, two.ready.timeout) == (("/up",), 600.0)  # type: ignore[union-attr]
    assert (three.ready.http, three.ready.timeout) == (None, 600.0)  # type: ignore[union-attr]
    assert (two.restart.policy, two.restart.max_restarts) == ("never", 2)  # type: ignore[union-attr]
    assert found.model.jobs["plain"].retries == 4
    assert found.model.jobs["own"].retries is None, "its own `restart` replaces the default `retries`"


def test_local_file(tmp_path: Path) -> None:
    text = """
        vars: {model: big}
        servers:
          llm: {command: "serve ${vars.model}", port: 8000, environment: {A: 1, B: 2}, watch: [a, b], ready: /health}
          other: {command: y}
    """
    local = """
        vars: {model: small}
        servers:
          llm: {port: null, environment: {B: null, C: "3"}, watch: [c], ready: {timeout: 5m}}
          mine: {command: z}
    """
    found = loaded(tmp_path, text, {"stack.local.yaml": local})
    llm = found.model.servers["llm"]
    assert llm.command == (("serve",), ("small",))
    assert llm.port is None
    assert environment(found, "llm") == {"A": "1", "C": "3"}
    assert llm.watch == ("c",)
    assert llm.ready.timeout == 300.0  # type: ignore[union-attr]
    assert list(found.model.servers) == ["llm", "other", "mine"]
    assert [path.name for path in found.inputs] == ["stack.yaml", "stack.local.yaml"]
    assert Path(found.span("llm", "watch").file).name == "stack.local.yaml"  # type: ignore[union-attr]
    assert Path(found.span("llm", "environment", "A").file).name == "stack.yaml"  # type: ignore[union-attr]


def test_an_empty_local_file_changes_nothing(tmp_path: Path) -> None:
    found = loaded(tmp_path, "servers: {a: {command: x}}\n", {"stack.local.yaml": "# nothing yet\n"})
    assert found.order == ("a",)


def test_environment_layers(tmp_path: Path) -> None:
    text = """
        env_file: .env
        servers:
          a:
            command: x
            env_file: [a.env, {path: no.env, required: false}]
            environment: {OWN: 1, FLAG: true, RATE: 1e-5, MODE: 0755, HOST_VAR: , UNSET: , EMPTY: "", FILE: own, SERVICE: }
          b: {command: x, environment: [HOST_VAR, UNSET, "TEXT=a=b", EMPTY=]}
    """
    files = {".env": "TOP=file\nSHELL_WINS=file\nFILE=top\n", "a.env": "FILE=a\nSERVICE=a\nSHELL_WINS=a\n"}
    found = loaded(tmp_path, text, files, environ={**ENVIRON, "SHELL_WINS": "shell", "HOST_VAR": "h"})
    assert environment(found, "a") == {
        "TOP": "file",
        "SHELL_WINS": "a",
        "SERVICE": "a",
        "OWN": "1",
        "FLAG": "true",
        "RATE": "1e-5",
        "MODE": "0755",
        "HOST_VAR": "h",
        "EMPTY": "",
        "FILE": "own",
    }
    own = {"HOST_VAR": "h", "TEXT": "a=b", "EMPTY": ""}
    assert environment(found, "b") == {"TOP": "file", "SHELL_WINS": "shell", "FILE": "top", **own}


def test_env_file_lines_are_filled_in(tmp_path: Path) -> None:
    """As compose and python-dotenv do it. A password keeps its dollars, and `'` keeps everything."""
    lines = """\
        USER_OF_DB=me
        URL=postgres://${USER_OF_DB}:${PASSWORD}@db/${NAME_OF_DB:-main}
        PASSWORD=a$b$$c$1
        QUOTED="<${URL}>"
        SINGLE='${URL}'
        ESCAPED=$${USER_OF_DB} "
        BACKSLASH="\\${USER_OF_DB} $$HOME"
        SHELL_WINS=file
        FROM_SHELL=${SHELL_WINS}
        TOP=${TOP_VALUE}/x
    """
    found = loaded(
        tmp_path,
        "env_file: top.env\nservers: {a: {command: 'x ${URL2}', env_file: [e.env, f.env]}}\n",
        {
            "top.env": "TOP_VALUE=top\nURL2=${TOP_VALUE}2\n",
            "e.env": lines.replace("${PASSWORD}", "pw"),
            "f.env": "AGAIN=${QUOTED}",
        },
        environ={**ENVIRON, "SHELL_WINS": "shell"},
    )
    filled = environment(found, "a")
    assert filled["URL"] == "postgres://me:pw@db/main"
    assert filled["PASSWORD"] == "a$b$$c$1"
    assert filled["QUOTED"] == filled["AGAIN"] == "<postgres://me:pw@db/main>"
    assert filled["SINGLE"] == "${URL}"
    assert filled["ESCAPED"] == '${USER_OF_DB} "'
    assert filled["BACKSLASH"] == "${USER_OF_DB} $$HOME"
    assert filled["FROM_SHELL"] == "shell"
    assert (filled["TOP"], filled["URL2"]) == ("top/x", "top2")


def test_what_an_env_file_cannot_fill_in_has_its_place(tmp_path: Path) -> None:
    lines = "A=1\nB=${NOPE}\nC=x${a.url}\nD=${A\n"
    with pytest.raises(Refused) as caught:
        loaded(tmp_path, "servers: {a: {command: x, env_file: e.env}}\n", {"e.env": lines})
    places = [(d.code, d.labels[0].span.line, d.labels[0].span.column) for d in caught.value.diagnostics]
    assert places == [("E111", 2, 3), ("E118", 3, 4), ("E110", 4, 3)]


def test_env_file_lines(tmp_path: Path) -> None:
    lines = """\
        # a comment
        A=plain value # not this
        export B=exported
        C=
        D="quoted # kept" # not this
        E='single $HOME'
        F=http://h:1/x#frag
        G = spaced
        H=a\\b
        FROM_SHELL
        NOT_THERE
    """
    found = loaded(
        tmp_path,
        "servers: {a: {command: x, env_file: e.env}}\n",
        {"e.env": lines},
        environ={**ENVIRON, "FROM_SHELL": "s"},
    )
    assert environment(found, "a") == {
        "A": "plain value",
        "B": "exported",
        "C": "",
        "D": "quoted # kept",
        "E": "single $HOME",
        "F": "http://h:1/x#frag",
        "G": "spaced",
        "H": "a\\b",
        "FROM_SHELL": "s",
    }


def test_spans(tmp_path: Path) -> None:
    text = """\
        defaults: {stop_grace: 5s}
        servers:
          llm:
            command: [a, b]
            port: 8000
            depends_on: [x, y]
            ready: /health
          x: {command: a}
          y: {command: a}
    """
    found = loaded(tmp_path, text)

    def at(*path: str | int) -> str:
        span = found.span("llm", *path)
        assert span is not None
        return f"{span.line}:{span.column}"

    assert at() == "3:3"
    assert at("command", 1) == "4:18"
    assert at("depends_on", "y") == "6:21"
    assert at("ready", "timeout") == "7:12"
    assert at("stop_grace") == "1:24"
    assert at("alive") == "3:3"
    assert found.span("nobody") is None
    assert found.span("", "defaults", "stop_grace") is not None


def test_names_and_folder(tmp_path: Path) -> None:
    folder = tmp_path / "rag"
    folder.mkdir()
    found = loaded(folder, "servers: {a: {command: 'x ${stack.name}'}}\n")
    assert (found.name, found.dir, found.file) == ("rag", folder, folder / "stack.yaml")
    found = loaded(folder, "name: '${N:-lab}'\nservers: {a: {command: 'x ${stack.name}'}}\n")
    assert (found.name, found.service("a").command[1]) == ("lab", ("lab",))


def test_secrets(tmp_path: Path) -> None:
    text = """
        env_file: [.env]
        vars: {api_key: "${KEY}-x"}
        servers:
          a: {command: "x --token ${HF_TOKEN} --k ${vars.api_key}", environment: {DB_PASSWORD: hunter22, PATHS: /a}}
    """
    found = loaded(tmp_path, text, {".env": "KEY=from-file\n"}, environ={**ENVIRON, "HF_TOKEN": "hf_abcdef"})
    assert set(found.secrets) >= {"hf_abcdef", "hunter22", "from-file"}
    assert "/a" not in found.secrets
    secret = {variable.name for variable in found.environment["a"] if variable.secret}
    assert secret == {"KEY", "DB_PASSWORD"}


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "db_password",
        "apiKey",
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "privateKey",
        "PGPASSWORD",
        "MYSQL_PWD",
        "HFTOKEN",
        "REDISCLI_AUTH",
        "GITHUB_PAT",
        "Authorization",
    ],
)
def test_names_that_look_secret(name: str) -> None:
    from launchpad.stack.scope import looks_secret

    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "TOKENIZER",
        "TOKENIZERS_PARALLELISM",
        "MONKEY",
        "PWD",
        "MAX_TOKENS_PER_BATCH_SIZE",
        "AUTHOR",
        "BYPASS",
        "PATTERN",
        "X-Key",
    ],
)
def test_names_that_do_not(name: str) -> None:
    from launchpad.stack.scope import looks_secret

    assert not looks_secret(name)


def test_no_service_at_all_with_null_groups(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        loaded(tmp_path, "servers:\njobs:\nvars:\n")
    assert [one.code for one in caught.value.diagnostics] == ["E122"]


def test_commented_out_jobs_are_fine(tmp_path: Path) -> None:
    assert loaded(tmp_path, "servers: {a: {command: x}}\njobs:\n#  b: {command: y}\n").order == ("a",)


def test_an_unknown_profile_is_a_warning(tmp_path: Path) -> None:
    text = "servers: {a: {command: x, profiles: debug}}\n"
    (warning,) = loaded(tmp_path, text, profiles=["debgu"]).warnings
    assert (warning.severity, warning.hint) == ("warning", "did you mean `debug`?")
    assert loaded(tmp_path, text, profiles=["debug"]).warnings == ()


def test_problems_do_not_tell_secrets(tmp_path: Path) -> None:
    """A secret in the wrong place is quoted as it is written."""
    text = """
        env_file: [.env]
        servers:
          a: {command: x, port: "${K}", host: "${K}", ready: "${K}", restart: "${K}", stop_grace: "${K}"}
    """
    with pytest.raises(Refused) as refused:
        loaded(tmp_path, text, {".env": "K=s3cret-value\n"})
    found = refused.value.diagnostics
    assert len(found) == 5
    assert all("`${K}`" in one.message for one in found)
    assert "s3cret-value" not in str(found)

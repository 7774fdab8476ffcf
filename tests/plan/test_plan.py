"""The plan: defaults put in, order, environment, checks, goals, configuration."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from launchpad.core.model import (
    Check,
    CheckKind,
    Condition,
    Handover,
    Need,
    PortRequest,
    Ref,
    Restart,
    Service,
    Sink,
    Stop,
)
from launchpad.errors import Refused
from launchpad.plan.build import build
from launchpad.plan.read import Reading
from launchpad.plan.select import closure
from tests.stack.writing import ENVIRON, loaded, planned


def service(reading: Reading, name: str) -> Service:
    return next(one for one in reading.plan.services if one.name == name)


def one(folder: Path, keys: str, kind: str = "servers") -> Service:
    return service(planned(folder, f"{kind}: {{a: {{command: x, {keys}}}}}\n"), "a")


def environment(found: Service) -> dict[str, object]:
    return {name: (value[0] if len(value) == 1 else value) or "" for name, value in found.environment}


def test_a_server_with_nothing_said(tmp_path: Path) -> None:
    found = one(tmp_path, "port: 8000-8009")
    assert found.ready == Check(CheckKind.TCP, target=(Ref("a", "main", "address"),))
    assert found.alive is None
    assert found.restart == Restart("on-failure", 0.5, 30.0, 2.0, 5, 600.0)
    assert found.stop == Stop(15, 10.0)
    assert found.output == (Sink("console"),)
    assert found.ports == (PortRequest("a", "main", 8000, 8009),)
    assert found.inherit is True
    assert found.working_dir == str(tmp_path)


def test_a_job_with_nothing_said(tmp_path: Path) -> None:
    found = one(tmp_path, "port: auto", "jobs")
    assert found.restart.policy == "never"
    assert found.ready is None, "a job need not listen"
    assert found.ports[0].auto


def test_order_is_stable_and_nobody_comes_before_its_needs(tmp_path: Path) -> None:
    text = """
        jobs:
          eval: {command: x, depends_on: [train, web]}
          train: {command: x, depends_on: {llm: started}}
        servers:
          web: {command: x}
          llm: {command: x}
          last: {command: x}
    """
    assert [one.name for one in planned(tmp_path, text).plan.services] == [
        "llm",
        "train",
        "web",
        "eval",
        "last",
    ]


def test_needs(tmp_path: Path) -> None:
    text = """
        servers:
          llm: {command: x}
          b: {command: x, depends_on: {llm: {condition: started, restart: true}, prep: }}
        jobs:
          prep: {command: x, depends_on: [llm]}
    """
    reading = planned(tmp_path, text)
    assert service(reading, "b").needs == (
        Need("llm", Condition.STARTED, True),
        Need("prep", Condition.DONE, False),
    )
    assert service(reading, "prep").needs == (Need("llm", Condition.READY),)


def test_environment_of_a_dependent(tmp_path: Path) -> None:
    text = """
        name: lab
        servers:
          my-llm: {command: x, port: auto, host: 0.0.0.0, ports: {admin-ui: auto}}
          plain: {command: x}
        jobs:
          t: {command: x, depends_on: [my-llm, plain], environment: {MY_LLM_PORT: mine, PYTHONUNBUFFERED: ""}}
    """
    reading = planned(tmp_path, text)
    assert environment(service(reading, "t")) == {
        "LAUNCHPAD_STACK": "lab",
        "LAUNCHPAD_SERVICE": "t",
        "PYTHONUNBUFFERED": "",
        "MY_LLM_URL": Ref("my-llm", "main", "url"),
        "MY_LLM_HOST": "127.0.0.1",
        "MY_LLM_PORT": "mine",
    }
    assert service(reading, "t").uses == ("my-llm",)
    own = environment(service(reading, "my-llm"))
    assert own["PORT"] == own["PORT_MAIN"] == Ref("my-llm", "main", "port")
    assert own["PORT_ADMIN_UI"] == Ref("my-llm", "admin-ui", "port")
    assert own["PYTHONUNBUFFERED"] == "1"
    assert service(reading, "my-llm").uses == ()


def test_an_address_without_waiting(tmp_path: Path) -> None:
    text = "servers: {a: {command: 'x ${b.url}'}, b: {command: 'x', port: auto, depends_on: [a]}}\n"
    found = service(planned(tmp_path, text), "a")
    assert (found.needs, found.uses) == ((), ("b",))


def test_venv(tmp_path: Path) -> None:
    (tmp_path / "v" / "bin").mkdir(parents=True)
    found = environment(one(tmp_path, "venv: v"))
    assert found["VIRTUAL_ENV"] == str(tmp_path / "v")
    assert found["PATH"] == (f"{tmp_path}/v/bin:", ENVIRON["PATH"])
    found = environment(one(tmp_path, "venv: v, environment: {PATH: /own}"))
    assert found["PATH"] == (f"{tmp_path}/v/bin:", "/own")


@pytest.mark.parametrize(
    ("written", "kind", "target"),
    [
        ("/health", CheckKind.HTTP, (Ref("a", "main", "url"), "/health")),
        ("'http://h:1/x'", CheckKind.HTTP, ("http://h:1/x",)),
        ("'${self.url}/x'", CheckKind.HTTP, (Ref("a", "main", "url"), "/x")),
        ("'${b.url}'", CheckKind.HTTP, (Ref("b", "main", "url"),)),
        ("{http: '/${self.name}/x'}", CheckKind.HTTP, (Ref("a", "main", "url"), "/a/x")),
        ("{timeout: 5s}", CheckKind.TCP, (Ref("a", "main", "address"),)),
        ("true", CheckKind.TCP, (Ref("a", "main", "address"),)),
        ("{tcp: true}", CheckKind.TCP, (Ref("a", "main", "address"),)),
        ("{tcp: admin}", CheckKind.TCP, (Ref("a", "admin", "address"),)),
        ("{tcp: 6379}", CheckKind.TCP, ("127.0.0.1:6379",)),
        ("{tcp: '${self.ports.admin}'}", CheckKind.TCP, ("127.0.0.1:", Ref("a", "admin", "port"))),
        ("{tcp: '10.0.0.1:${b.port}'}", CheckKind.TCP, ("10.0.0.1:", Ref("b", "main", "port"))),
        ("'tcp://127.0.0.1:${self.port}'", CheckKind.TCP, ("127.0.0.1:", Ref("a", "main", "port"))),
        ("{log: 'up \\d+'}", CheckKind.LOG, ("up \\d+",)),
        ("{file: run/ready}", CheckKind.FILE, ("DIR/w/run/ready",)),
        ("{file: /run/ready}", CheckKind.FILE, ("/run/ready",)),
        ("{file: 'run/${self.port}'}", CheckKind.FILE, ("DIR/w/run/", Ref("a", "main", "port"))),
        ("{notify: true}", CheckKind.NOTIFY, ()),
    ],
)
def test_what_readiness_aims_at(tmp_path: Path, written: str, kind: CheckKind, target: object) -> None:
    text = (
        f"servers:\n  a: {{command: x, port: auto, working_dir: w, ports: {{admin: auto}}, ready: {written}}}\n"
        "  b: {command: x, port: auto}\n"
    )
    (tmp_path / "w").mkdir()
    ready = service(planned(tmp_path, text), "a").ready
    assert ready is not None
    found = tuple(
        part.replace(str(tmp_path), "DIR") if isinstance(part, str) else part for part in ready.target
    )
    assert (ready.kind, found) == (kind, target)


def test_every_option_of_a_check_arrives(tmp_path: Path) -> None:
    ready = one(
        tmp_path,
        "port: auto, ready: {exec: 'check \"a b\" ${self.port}', successes: 2, failures: 4, interval: 2s, "
        "probe_timeout: 1s, stall: never, timeout: 1h}",
    ).ready
    assert ready == Check(
        CheckKind.EXEC,
        argv=(("check",), ("a b",), (Ref("a", "main", "port"),)),
        successes=2,
        failures=4,
        interval_s=2.0,
        probe_timeout_s=1.0,
        stall_s=None,
        timeout_s=3600.0,
    )
    alive = one(
        tmp_path,
        "port: auto, alive: {http: /, status: [200, 300-301], body: ok, headers: {A: 1}, failures: 9}",
    ).alive
    assert alive == Check(
        CheckKind.HTTP,
        target=(Ref("a", "main", "url"), "/"),
        status=((200, 200), (300, 301)),
        body="ok",
        headers=(("A", ("1",)),),
        failures=9,
    )


@pytest.mark.parametrize(
    ("keys", "restart"),
    [
        ("restart: always", Restart("always")),
        ("retries: 3", Restart("on-failure", max_restarts=3, window_s=math.inf)),
        ("retries: 0", Restart("never", max_restarts=0, window_s=math.inf)),
        ("restart: on-failure, retries: 2", Restart("on-failure", max_restarts=2, window_s=math.inf)),
        (
            "restart: {policy: always, backoff: {initial: 1s, max: 2s, factor: 3}, max_restarts: 7, window: 1h}",
            Restart("always", 1.0, 2.0, 3.0, 7, 3600.0),
        ),
        (
            "restart: always, backoff: {initial: 1m}, max_restarts: 0, window: 5",
            Restart("always", 60.0, 60.0, 2.0, 0, 5.0),
        ),
    ],
)
def test_restart(tmp_path: Path, keys: str, restart: Restart) -> None:
    assert one(tmp_path, keys, "jobs").restart == restart


def test_the_rest_of_the_keys_arrive(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        "port: 80, ports: {b: 1-2}, host: '::1', handover: inherit, stop_signal: int, stop_grace: 0, "
        "inherit_env: [A, B], primary: true, output: [null, jsonl, {file: l/x.log, rotate: 1KB, keep: 0}]",
        "jobs",
    )
    assert [(p.name, p.low, p.high, p.host, p.handover) for p in found.ports] == [
        ("main", 80, 80, "::1", Handover.INHERIT),
        ("b", 1, 2, "::1", Handover.INHERIT),
    ]
    assert (found.stop, found.inherit, found.primary) == (Stop(2, 0.0), ("A", "B"), True)
    assert found.output == (
        Sink("null"),
        Sink("jsonl", f"{tmp_path}/logs/a.jsonl"),
        Sink("file", f"{tmp_path}/l/x.log", 1024, 0),
    )


def test_shell(tmp_path: Path) -> None:
    found = one(tmp_path, "shell: true, port: auto, environment: {}").command
    assert found == (("/bin/sh",), ("-c",), ("x",))


PROFILES = """
servers:
  llm: {command: x}
  debug: {command: x, profiles: [debug], depends_on: [store]}
  store: {command: x, profiles: [storage]}
jobs:
  train: {command: x, depends_on: [llm]}
"""


@pytest.mark.parametrize(
    ("profiles", "names", "up"),
    [
        ([], [], "llm train"),
        (["debug"], [], "llm store debug train"),
        (["storage"], [], "llm store train"),
        ([], ["debug"], "store debug"),
        ([], ["train"], "llm train"),
        (["debug"], ["llm"], "llm"),
    ],
)
def test_goals(tmp_path: Path, profiles: list[str], names: list[str], up: str) -> None:
    reading = planned(tmp_path, PROFILES, profiles=profiles)
    goals = reading.goals(names)
    assert [name for name, _ in goals] == [one.name for one in reading.plan.services]
    assert {name for name, wanted in goals if wanted} == set(up.split())


def test_unknown_goals(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        planned(tmp_path, PROFILES).goals(["trian", "llm", "nobody"])
    first, second = caught.value.diagnostics
    assert (first.code, first.hint) == ("E205", "did you mean `train`?")
    assert second.message.endswith("has no server or job `nobody`")


def test_closure(tmp_path: Path) -> None:
    plan = planned(tmp_path, PROFILES).plan
    assert closure(plan, ["train", "nobody"]) == ("llm", "train")
    assert closure(plan, []) == ()


def test_labels(tmp_path: Path) -> None:
    reading = planned(tmp_path, "servers:\n  a: {command: x, ports: {main: 8000}}\n")
    label = reading.label("a", "port", text="here")
    assert label is not None
    assert (label.span.line, label.span.column, label.text) == (2, 33, "here")
    assert reading.label("nobody", "port") is None


def test_problems_of_file_and_graph_come_together(tmp_path: Path) -> None:
    text = "servers:\n  a: {comand: x, depends_on: [b]}\n  b: {command: 'x ${NOPE}', depends_on: [a, c]}\n"
    with pytest.raises(Refused) as caught:
        planned(tmp_path, text)
    assert [one.code for one in caught.value.diagnostics] == ["E106", "E201", "E111", "E202"]


def test_build_alone_refuses_as_well(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, "servers: {a: {command: x, depends_on: [b]}, b: {command: x, depends_on: [a]}}\n"
    )
    with pytest.raises(Refused) as caught:
        build(found)
    assert caught.value.diagnostics[0].code == "E201"


def test_several_circles_are_all_told(tmp_path: Path) -> None:
    names = "abcdef"
    lines = [
        f"  {name}: {{command: x, depends_on: [{other}]}}"
        for name, other in zip(names, "bcadfe", strict=True)
    ]
    lines[3] = "  d: {command: x, depends_on: [d, e, f]}"
    with pytest.raises(Refused) as caught:
        planned(tmp_path, "servers:\n" + "\n".join(lines) + "\n")
    notes = [one.notes[0] for one in caught.value.diagnostics if one.code == "E201"]
    assert notes == ["a -> b -> c -> a", "e -> f -> e"]


@pytest.mark.parametrize(
    ("services", "refused"),
    [
        ("a: {command: x, port: 80}, b: {command: x, port: 80}", True),
        ("a: {command: x, port: 80}, b: {command: x, port: 80-81}", False),
        ("a: {command: x, port: 80}, b: {command: x, port: 80, host: 127.0.0.2}", False),
        ("a: {command: x, port: 80}, b: {command: x, port: 80, host: 0.0.0.0}", True),
        ("a: {command: x, port: 80, profiles: p}, b: {command: x, port: 80, profiles: q}", False),
        ("a: {command: x, ports: {m: 80, n: 80}}", True),
    ],
)
def test_fixed_ports(tmp_path: Path, services: str, refused: bool) -> None:
    if not refused:
        planned(tmp_path, f"servers: {{{services}}}\n")
        return
    with pytest.raises(Refused) as caught:
        planned(tmp_path, f"servers: {{{services}}}\n")
    assert [one.code for one in caught.value.diagnostics] == ["E310"]


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("servers: {a: {command: x, port: 8000-8099}}", []),
        ("servers: {a: {command: x, port: 10000-10100}}", ["E311 1:33"]),
        ("servers: {a: {command: x, port: 10005}}", []),
        ("servers: {a: {command: x, port: auto}}", []),
        ("servers: {a: {command: x, ports: {m: 60000-60100}}}", ["E311 1:38"]),
        ("servers: {a: {command: 'x --h localhost', port: auto}}", ["E120 1:31"]),
        ("servers: {a: {command: x, ready: 'http://localhost:80/'}}", ["E120 1:42"]),
        ("servers: {a: {command: x, environment: {U: 'http://localhost:80/'}}}", ["E120 1:52"]),
        ("servers: {a: {command: x, environment: {U: my.localhost.org}}}", []),
        ("servers: {vllm: {command: x, port: auto}}", []),
        ("servers: {vllm: {command: x, port: auto}, b: {command: x, depends_on: [vllm]}}", ["E125 1:11"]),
        ("servers: {a: {command: 'A=1 x'}}", ["E125 1:25"]),
        ("servers: {a: {command: 'x | tee log'}}", ["E125 1:27"]),
        ("servers: {a: {command: 'x $HOME'}}", ["E125 1:27"]),
        ("servers: {a: {command: 'x $HOME | y', shell: true}}", []),
        ("servers: {a: {command: x, working_dir: nowhere}}", ["E125 1:40"]),
        ("servers: {a: {command: x, ports: {a-b: 81, a_b: 82}}}", ["E125 1:49"]),
    ],
)
def test_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, warnings: list[str]) -> None:
    monkeypatch.setattr("launchpad.plan.lint.ephemeral", lambda: (32768, 60999))
    found = planned(tmp_path, text + "\n").warnings
    assert all(one.severity == "warning" for one in found)
    assert [f"{one.code} {one.labels[0].span.line}:{one.labels[0].span.column}" for one in found] == warnings


def test_config_is_a_stack_file_that_means_the_same(tmp_path: Path) -> None:
    from tests.stack.test_mutations import REALISTIC

    first = planned(tmp_path, REALISTIC)
    again = planned(tmp_path, yaml.safe_dump(first.config(), sort_keys=False))
    assert again.plan == first.plan


def test_config_masks_secrets(tmp_path: Path) -> None:
    text = """
        env_file: .env
        vars: {api_key: abc, n: 7}
        servers:
          a:
            command: "x --key ${KEY} --token=${HF_TOKEN} --pin ${PIN} hunter2222 --n ${vars.n} --k ${vars.api_key}"
            environment: {DB_PASSWORD: hunter2222, URL: "http://u:${KEY}@h/", PLAIN: "$${x} $$$$"}
            env_file: a.env
            ready: {http: "http://h/?k=${KEY}", headers: {Authorization: "Bearer ${HF_TOKEN}"}}
    """
    files = {".env": "KEY=key-from-file\nPIN=1234\n", "a.env": "OTHER=other-value\n"}
    reading = planned(tmp_path, text, files, environ={**ENVIRON, "HF_TOKEN": "hf_x"})
    whole = yaml.safe_dump(reading.config(), sort_keys=False, width=1000)
    for secret in ("key-from-file", "1234", "other-value", "hf_x", "hunter2222", "abc"):
        assert secret not in whole
    config = reading.config()["servers"]["a"]
    mask = "********"
    assert config["command"] == [
        "x", "--key", mask, f"--token={mask}", "--pin", mask, mask, "--n", "7", "--k", mask,
    ]  # fmt: skip
    assert config["environment"] == {
        "KEY": mask, "PIN": mask, "OTHER": mask, "DB_PASSWORD": mask,
        "URL": f"http://u:{mask}@h/", "PLAIN": "$${x} $$$$",
    }  # fmt: skip
    assert config["ready"]["headers"] == {"Authorization": f"Bearer {mask}"}
    assert set(service(reading, "a").secrets) == {"KEY", "PIN", "OTHER", "DB_PASSWORD", "URL"}


def test_rev_inputs_and_top_level(tmp_path: Path) -> None:
    reading = planned(tmp_path, "when_supervisor_dies: stop\nservers: {a: {command: x}}\n", rev=7)
    assert (reading.plan.rev, reading.when_supervisor_dies) == (7, "stop")
    assert reading.inputs == (tmp_path / "stack.yaml",)


def test_config_masks_what_looks_secret_by_where_it_stands(tmp_path: Path) -> None:
    """A secret that somebody wrote straight into the stack file."""
    text = """
        servers:
          a:
            command: [x, --hf-token, s3cret1, --wandb-api-key=s3cret2, "https://u:s3cret3@h/?token=s3cret4&n=5",
                      --token, "${b.port}", --max-tokens, "77", --password, --verbose]
            environment: {DATABASE: "postgres://u:s3cret5@h/db", PGPASSWORD: s3cret6, N: "a=b"}
          b: {command: 'curl -H "Authorization: Bearer s3cret7" --password s3cret8 http://x', shell: true, port: auto}
          c: {command: x, port: auto, ready: {http: /, headers: {Authorization: Basic s3cret9}}}
    """
    servers = planned(tmp_path, text).config()["servers"]
    assert "s3cret" not in str(servers).replace("--password s3cret8", "")
    mask = "********"
    assert servers["a"]["command"] == [
        "x", "--hf-token", mask, f"--wandb-api-key={mask}", f"https://u:{mask}@h/?token={mask}&n=5",
        "--token", "${b.port}", "--max-tokens", "77", "--password", "--verbose",
    ]  # fmt: skip
    assert servers["a"]["environment"]["N"] == "a=b"
    assert servers["c"]["ready"]["headers"] == {"Authorization": f"Basic {mask}"}


def test_both_layouts_of_an_environment(tmp_path: Path) -> None:
    """What Windows makes has `Scripts`; one that is not there yet will be of this system's layout."""
    from launchpad.plan.environments import programs

    assert programs(tmp_path / "none") == tmp_path / "none" / "bin"
    (tmp_path / "windows" / "Scripts").mkdir(parents=True)
    assert programs(tmp_path / "windows") == tmp_path / "windows" / "Scripts"
    (tmp_path / "posix" / "bin").mkdir(parents=True)
    assert programs(tmp_path / "posix") == tmp_path / "posix" / "bin"


def test_a_process_is_given_the_folder_that_was_made_for_it(tmp_path: Path) -> None:
    """Never the link: what is made later changes nothing under it."""
    before, after = (one(tmp_path, f"venv: v, requirements: [{what}]") for what in ("tiny<2", "tiny>=2"))
    folders = {environment(reading)["VIRTUAL_ENV"] for reading in (before, after)}
    assert len(folders) == 2
    for folder in folders:
        assert folder.startswith(str(tmp_path / ".launchpad" / "environments"))
        assert not Path(folder).exists()

"""The commands, end to end: what they print, what they return, and that they do what they say."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, eventually, fire, free_ports, get, listening

STATES = {
    "idle",
    "spawning",
    "starting",
    "ready",
    "unready",
    "stopping",
    "killing",
    "backoff",
    "done",
    "failed",
    "lost",
}
PAIR = """
    name: pair
    servers:
      llm: {command: "PRETEND --port ${self.port} --print one --print two --mark marks --name llm", port: auto, ready: /health}
    jobs:
      train: {command: "PRETEND --print trained --exit 0", depends_on: [llm]}
      never: {command: "PRETEND --exit 0", depends_on: {broken: done}}
      broken: {command: "PRETEND --exit 3 --print oops"}
"""


# --- looking ---------------------------------------------------------------------------------------------


def test_ps_json_has_the_fields_of_the_contract(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    rows = stack.ps()
    assert list(rows) == sorted(rows, key=list(rows).index)
    for row in rows.values():
        assert {
            "name", "kind", "state", "pid", "ports", "url", "started_at", "restarts", "exit_code", "holds",
        } <= set(row)  # fmt: skip
        assert row["state"] in STATES
    llm, train, broken, never = (rows[name] for name in ("llm", "train", "broken", "never"))
    assert (llm["kind"], llm["state"], llm["restarts"]) == ("server", "ready", 0)
    assert alive(llm["pid"])
    assert llm["url"] == f"http://127.0.0.1:{llm['ports']['main']}"
    assert 0 <= time.time() - llm["started_at"] < 600
    assert (train["kind"], train["state"], train["exit_code"], train["pid"]) == ("job", "done", 0, None)
    assert (broken["state"], broken["exit_code"]) == ("failed", 3)
    assert never["state"] == "idle"
    (hold,) = never["holds"]
    assert set(hold) >= {"kind", "on", "text"}
    assert (hold["kind"], hold["on"]) == ("failed-need", "broken")
    stack.down()


def test_ps_for_people(make_stack: Make) -> None:
    """One line each, without colours or cursor movements when it is no terminal; why something waits."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    text = stack.cli("ps", check=0).stdout
    assert "\x1b" not in text
    rows = {line.split()[0]: line for line in text.splitlines()}
    url = stack.cli("url", "llm").stdout.strip()
    assert url in rows["llm"]
    assert "ready" in rows["llm"]
    assert "done" in rows["train"]
    assert "exit 3" in rows["broken"]
    assert re.search(r"\bbroken\b.*failed", rows["never"])
    stack.down()


def test_ps_of_a_stack_that_does_not_run(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    done = stack.cli("ps", "--json", check=0)
    assert json.loads(done.stdout) == []
    assert "not running" in stack.cli("ps", check=0).stderr


def test_logs(make_stack: Make) -> None:
    """One name: raw lines. Several or none: prefixed. -n: the last ones. Also when the stack is down."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    for _ in range(2):
        assert stack.cli("logs", "llm", check=0).stdout == "one\ntwo\n"
        assert stack.cli("logs", "llm", "-n", "1", check=0).stdout == "two\n"
        assert stack.cli("logs", "llm", "-n", "0", check=0).stdout == ""
        both = stack.cli("logs", "llm", "train", check=0).stdout.splitlines()
        assert [re.split(r"\W+", line, maxsplit=1)[0] for line in both] == ["llm", "llm", "train"]
        assert both[2].endswith("trained")
        assert {"one", "two", "trained", "oops"} == {
            line.split()[-1] for line in stack.cli("logs", check=0).stdout.splitlines()
        }
        rows = [json.loads(line) for line in stack.cli("logs", "--json", check=0).stdout.splitlines()]
        assert {("llm", "one"), ("llm", "two"), ("train", "trained"), ("broken", "oops")} == {
            (row["service"], row["line"]) for row in rows
        }
        stack.cli("down", check=0)


def test_logs_raw_bytes(make_stack: Make) -> None:
    """`logs NAME` prints what was printed: no newline added, bytes that are no UTF-8 kept."""
    stack = make_stack('jobs: {job: {command: ["printf", "a\\\\r\\\\nb\\\\033[1m no newline"]}}')
    stack.cli("up", check=0)
    assert stack.cli("logs", "job", check=0).stdout.encode() in (
        b"a\r\nb\x1b[1m no newline",
        b"a\nb\x1b[1m no newline",  # as text mode reads it
    )


def test_logs_follow(make_stack: Make) -> None:
    """-f shows what is printed from now on at once, and ends with the stack."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    follow = stack.start("logs", "-f", "llm")
    eventually(lambda: "two" in stack.output(0), "the old lines come first")
    url = stack.cli("url", "llm").stdout.strip()
    get(f"{url}/print?text=fresh")
    eventually(lambda: "fresh" in stack.output(0), "new lines come while it runs")
    as_json = stack.start("logs", "-f", "--json", "llm", "train")
    get(f"{url}/print?text=fresher")
    eventually(lambda: "fresher" in stack.output(1), "JSON lines come as well")
    stack.down()
    assert follow.wait(30) == 0
    assert as_json.wait(30) == 0
    for line in (stack.folder / "out1.txt").read_text().splitlines():
        assert {"service", "line"} <= set(json.loads(line))


def test_logs_follow_survives_a_restart(make_stack: Make) -> None:
    """-f goes on with the next process of the service."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.start("logs", "-f", "llm")
    eventually(lambda: stack.output(0).count("two") == 1, "the first process")
    stack.cli("restart", "llm", check=0)
    eventually(lambda: stack.output(0).count("two") == 2, "the second process")
    stack.down()


def test_events(make_stack: Make) -> None:
    """What happened, in order, as JSON lines that carry a version; -f goes on; the stack need not run."""
    stack = make_stack(PAIR)
    stack.up(check=1)
    stack.cli("wait", "train", check=0)
    events = stack.events()
    assert all({"at", "service", "what", "text", "version"} <= set(event) for event in events)
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    phases = [event["phase"] for event in events if event["service"] == "llm" and event["what"] == "phase"]
    assert phases == ["spawning", "starting", "ready"]
    problem = next(event for event in events if event["what"] == "problem")
    assert problem["service"] == "broken"
    assert problem["diagnostic"]["code"] == "E501"
    follow = stack.start("events", "-f", "--json")
    stack.cli("restart", "llm", check=0)
    eventually(lambda: '"stopping"' in stack.output(0), "what happens from now on is shown")
    follow.kill()
    stack.down()
    assert len(stack.events()) > len(events)


def test_wait(make_stack: Make) -> None:
    """0 when done, 1 when one failed, 1 when the time is over; it returns as soon as it is so."""
    stack = make_stack("""
        servers: {llm: {command: PRETEND}}
        jobs:
          good: {command: PRETEND --exit-when go}
          bad: {command: PRETEND --exit 5}
          long: {command: PRETEND}
    """)
    stack.pipe("go")
    stack.up(check=None)
    assert stack.cli("wait", "good", "--timeout", "300ms").returncode == 1
    waiting = stack.start("wait", "good")
    fire(stack.folder / "go")
    assert waiting.wait(30) == 0
    assert stack.cli("wait", "bad").returncode == 1
    assert "`bad`" in stack.cli("wait", "good", "bad", check=1).stderr
    assert stack.cli("wait", "--timeout", "300ms").returncode == 1
    assert stack.cli("wait", "llm").returncode == 2, "a server is never done"
    assert stack.cli("wait", "nobody").returncode == 2
    stack.down()


def test_wait_for_all(make_stack: Make) -> None:
    """Without names: all jobs; also when the stack ends by itself meanwhile, and after it has."""
    stack = make_stack("jobs: {a: {command: PRETEND --exit-when go}, b: {command: PRETEND --exit 0}}")
    stack.pipe("go")
    stack.up()
    waiting = stack.start("wait")
    stack.wait_state("b", "done")
    fire(stack.folder / "go")
    assert waiting.wait(30) == 0
    eventually(lambda: not stack.survivors(), "a stack of jobs alone ends when they are done")
    assert stack.cli("wait", "a").returncode == 0


# --- changing --------------------------------------------------------------------------------------------


def test_stop_start_restart(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    stack.up(check=1)
    before = stack.ps()["llm"]
    stack.cli("restart", "llm", check=0)
    restarted = stack.ps()["llm"]
    assert restarted["state"] == "ready"
    assert restarted["pid"] != before["pid"]
    assert not alive(before["pid"])
    stack.cli("stop", "llm", check=0)
    stopped = stack.ps()["llm"]
    assert (stopped["state"], stopped["pid"]) == ("idle", None)
    assert not alive(restarted["pid"])
    assert stack.cli("url", "llm").returncode == 1
    stack.cli("start", "llm", check=0)
    assert stack.ps()["llm"]["state"] == "ready"
    for verb in ("start", "stop", "restart"):
        assert stack.cli(verb, "nobody").returncode == 2
        assert stack.cli(verb).returncode == 2
    stack.down()


def test_stop_is_about_one_service_and_start_brings_its_needs(make_stack: Make) -> None:
    """`stop` of something that others need stops that alone; `start` of one brings what it needs."""
    stack = make_stack("""
        servers:
          base: {command: PRETEND --mark marks --name base}
          top: {command: PRETEND --mark marks --name top, depends_on: [base]}
    """)
    stack.up()
    pid = stack.ps()["top"]["pid"]
    stack.cli("stop", "base", check=0)
    rows = stack.ps()
    assert rows["base"]["state"] == "idle"
    assert (rows["top"]["state"], rows["top"]["pid"]) == ("ready", pid)
    stack.cli("stop", "top", check=0)
    stack.cli("start", "top", check=0)
    assert {row["state"] for row in stack.ps().values()} == {"ready"}
    starts = [mark.name for mark in stack.marks() if mark.event == "start"]
    assert sorted(starts) == ["base", "base", "top", "top"]
    stack.down()


def test_a_stop_holds_over_an_apply(make_stack: Make) -> None:
    """`stop` holds until `start`: a second `up` applies the changed file and leaves the service down."""
    text = "servers: {a: {command: PRETEND}, b: {command: PRETEND%s}}"
    stack = make_stack(text % "")
    stack.up()
    stack.cli("stop", "a", check=0)
    kept = stack.ps()["b"]["pid"]
    stack.write(text % ", environment: {X: 1}")
    stack.up()
    rows = stack.ps()
    assert rows["a"]["state"] == "idle"
    assert rows["b"]["state"] == "ready"
    assert rows["b"]["pid"] != kept
    stack.cli("start", "a", check=0)
    assert stack.ps()["a"]["state"] == "ready"
    stack.down()


def test_second_up_changes_what_changed(make_stack: Make) -> None:
    """`up` on a running stack applies the file: a new one starts, a removed one stops, an unchanged one keeps its pid."""
    stack = make_stack("servers: {keep: {command: PRETEND, port: auto}, gone: {command: PRETEND}}")
    stack.up()
    before = stack.ps()
    stack.write("servers: {keep: {command: PRETEND, port: auto}, new: {command: PRETEND}}")
    stack.up()
    after = stack.ps()
    assert set(after) == {"keep", "new"}
    assert after["keep"]["pid"] == before["keep"]["pid"]
    assert after["keep"]["ports"] == before["keep"]["ports"]
    assert not alive(before["gone"]["pid"])
    stack.down()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "servers: {keep: {command: PRETEND",
        "servers: {keep: {comand: PRETEND}}",
        "servers: {a: {command: x, depends_on: [b]}, b: {command: x, depends_on: [a]}}",
        "servers: {keep: {command: PRETEND}, new: {command: PRETEND, port: TAKEN}}",
        "servers: {keep: {command: PRETEND, port: TAKEN}}",
    ],
)
def test_p7_second_up_with_a_bad_file_changes_nothing(make_stack: Make, bad: str) -> None:
    """P7: exit 2, the problem with its place, and everything runs as before."""
    taken = free_ports(1)
    other = make_stack(f"servers: {{other: {{command: PRETEND, port: {taken}}}}}")
    other.up()
    stack = make_stack("servers: {keep: {command: PRETEND, port: auto}, more: {command: PRETEND}}")
    stack.up()
    before = stack.ps()
    stack.write(bad.replace("TAKEN", str(taken)))
    done = stack.up(check=2)
    assert re.search(r"stack\.yaml:\d+:\d+", done.stderr), done.stderr
    after = stack.ps()
    assert {name: (row["pid"], row["state"]) for name, row in after.items()} == {
        name: (row["pid"], row["state"]) for name, row in before.items()
    }
    stack.write("servers: {keep: {command: PRETEND, port: auto}}")
    stack.up()
    assert stack.ps()["keep"]["pid"] == before["keep"]["pid"]
    assert set(stack.ps()) == {"keep"}
    stack.down()


def test_down_all(make_stack: Make) -> None:
    """Every stack of this user, also one whose supervisor was killed."""
    stacks = [make_stack("servers: {llm: {command: PRETEND --fork setsid, port: auto}}") for _ in range(3)]
    for stack in stacks:
        stack.up()
    os.kill(stacks[1].client.status().pid, 9)
    stacks[0].cli("down", "--all", check=0, cwd=Path("/"))
    for stack in stacks:
        assert not stack.survivors()


# --- what is started -------------------------------------------------------------------------------------

SELECT = """
    servers:
      base: {command: PRETEND}
      llm: {command: PRETEND, depends_on: [base]}
      other: {command: PRETEND}
      debug: {command: PRETEND, profiles: [dev]}
    jobs:
      train: {command: PRETEND --exit 0, depends_on: [llm]}
"""


def up_names(stack: Stack) -> set[str]:
    return {name for name, row in stack.ps().items() if row["state"] in ("ready", "done", "starting")}


def test_up_name_starts_it_and_its_needs(make_stack: Make) -> None:
    stack = make_stack(SELECT)
    stack.up("llm")
    assert up_names(stack) == {"base", "llm"}
    stack.up("other")
    assert up_names(stack) == {"base", "llm", "other"}, "joined: what runs goes on"
    stack.down()


def test_profiles(make_stack: Make) -> None:
    stack = make_stack(SELECT)
    stack.up()
    stack.cli("wait", "train", check=0)
    assert up_names(stack) == {"base", "llm", "other", "train"}
    stack.down()
    stack.up("--profile", "dev")
    assert "debug" in up_names(stack)
    stack.down()
    stack.up("debug")
    assert up_names(stack) == {"debug"}, "a name turns it on by itself"
    stack.down()


def test_dry_run(make_stack: Make) -> None:
    stack = make_stack(SELECT)
    lines = stack.cli("up", "--dry-run", check=0).stdout.replace(":", "").splitlines()
    assert [line.split()[:2] for line in lines if "debug" not in line] == [
        ["start", name] for name in ("base", "llm", "other", "train")
    ] or {tuple(line.split()[:2]) for line in lines} >= {("start", "base"), ("start", "train")}
    assert not stack.survivors()
    assert not (stack.folder / ".launchpad" / "stack.yaml" / "state.json").exists()


def test_set_and_env_file(make_stack: Make) -> None:
    """--set over vars; --env-file over the stack's env_file; launchpad's own environment over both."""
    stack = make_stack("""
        vars: {model: small}
        env_file: [.env]
        jobs:
          show: {command: "echo model=${vars.model} a=${A} b=${B} c=${C:-default}"}
    """)
    (stack.folder / ".env").write_text("A=file\nB=file\n")
    (stack.folder / "more.env").write_text("B=more\n")
    stack.cli("up", check=0)
    stack.cli("up", "--set", "model=large", "--env-file", "more.env", check=0, A="own")
    shown = stack.cli("logs", "show", check=0).stdout.splitlines()
    assert shown == ["model=small a=file b=file c=default", "model=large a=own b=more c=default"]
    assert stack.cli("up", "--set", "modle=large").returncode == 2
    assert stack.cli("up", "--env-file", "nowhere.env").returncode == 2


def test_env_file_of_a_service(make_stack: Make) -> None:
    """The service's `environment` over its `env_file` over the stack's over what it inherits."""
    stack = make_stack("""
        env_file: [top.env]
        jobs:
          show:
            command: [sh, -c, "echo $$A $$B $$C $$D $${E-unset}"]
            env_file: [own.env]
            environment: {A: declared}
            inherit_env: [D, PATH]
    """)
    (stack.folder / "top.env").write_text("A=top\nB=top\nC=top\n")
    (stack.folder / "own.env").write_text("A=own\nB=own\n")
    stack.cli("up", check=0, D="inherited", E="kept out")
    assert stack.cli("logs", "show").stdout == "declared own top inherited unset\n"


def test_personal_file_is_merged_over(make_stack: Make) -> None:
    """`stack.local.yaml` beside the file: merged over it; a mistake in it is told with its own name and place."""
    stack = make_stack("""
        vars: {model: shared}
        jobs: {show: {command: "echo ${vars.model} ${EXTRA:-none}", environment: {A: 1}}}
    """)
    local = stack.folder / "stack.local.yaml"
    local.write_text("vars: {model: mine}\n")
    stack.cli("up", check=0)
    assert stack.cli("logs", "show").stdout == "mine none\n"
    local.write_text("jobs: {show: {comand: x}}\n")
    done = stack.cli("up", check=2)
    assert "stack.local.yaml:1:15" in done.stderr


def test_stack_is_found_in_a_parent_folder(make_stack: Make) -> None:
    """From below; paths in the file stay relative to the file; `launchpad.yaml` is found too."""
    stack = make_stack("jobs: {where: {command: pwd}}", name="launchpad.yaml")
    below = stack.folder / "a" / "b"
    below.mkdir(parents=True)
    stack.cli("up", check=0, cwd=below)
    assert stack.cli("logs", "where", cwd=below, check=0).stdout.strip() == os.path.realpath(stack.folder)


def test_stack_is_named(make_stack: Make) -> None:
    """As an argument that ends in .yaml, with -f before or after the command."""
    stack = make_stack("jobs: {where: {command: echo here}}", name="other.yaml")
    for command in (
        ["up", "other.yaml"],
        ["up", "-f", "other.yaml"],
        ["-f", "other.yaml", "up"],
        ["up", "other.yaml", "where"],
    ):
        stack.cli(*command, check=0)
    assert stack.cli("logs", "other.yaml", "where", check=0).stdout == "here\n" * 4


def test_two_stacks_in_one_folder(make_stack: Make) -> None:
    """Two files beside each other are two stacks."""
    one = make_stack("servers: {llm: {command: PRETEND}}", folder="shared", name="one.yaml")
    two = make_stack("servers: {llm: {command: PRETEND}}", folder="shared", name="two.yaml")
    one.cli("up", "-d", "one.yaml", check=0)
    two.cli("up", "-d", "two.yaml", check=0)
    one.cli("down", "one.yaml", check=0)
    assert not one.survivors()
    assert two.client.status().services[0].state == "ready"
    two.cli("down", "two.yaml", check=0)


# --- reading ---------------------------------------------------------------------------------------------


def test_url_env_config_graph(make_stack: Make) -> None:
    stack = make_stack("""
        name: shown
        servers:
          llm: {command: "PRETEND --port ${self.port}", port: auto, ready: /health, environment: {MODE: fast}}
          plain: {command: PRETEND}
        jobs:
          train: {command: "echo ${llm.url}", depends_on: {llm: ready, plain: started}}
    """)
    before = stack.cli("env", "train", check=0).stdout.splitlines()
    assert "LLM_URL=${llm.url}" in before, "not known before it runs"
    stack.up()
    url = stack.cli("url", "llm", check=0).stdout.strip()
    environ = dict(line.split("=", 1) for line in stack.cli("env", "train", check=0).stdout.splitlines())
    assert environ["LLM_URL"] == url
    own = dict(line.split("=", 1) for line in stack.cli("env", "llm", check=0).stdout.splitlines())
    assert (own["MODE"], own["PORT"], own["PYTHONUNBUFFERED"]) == ("fast", url.rpartition(":")[2], "1")
    config = json.loads(stack.cli("config", "--json", check=0).stdout)
    assert config["name"] == "shown"
    assert config["servers"]["llm"]["environment"]["MODE"] == "fast"
    assert stack.cli("url", "plain").returncode == 1
    assert "train" in stack.cli("graph", check=0).stdout
    mermaid = stack.cli("graph", "--mermaid", check=0).stdout
    assert re.search(r"^(flowchart|graph) ", mermaid)
    assert stack.cli("graph", "--dot", check=0).stdout.startswith("digraph")
    stack.down()


def test_config_is_a_stack_file_again(make_stack: Make) -> None:
    """What `config` prints can be checked and run."""
    stack = make_stack("""
        vars: {word: hello}
        defaults: {stop_grace: 3s}
        servers: {llm: {command: "PRETEND --port ${self.port}", port: 20000-29000, ready: /health}}
        jobs: {say: {command: "echo ${vars.word} $$HOME", depends_on: [llm], output: [console, {file: said.txt}]}}
    """)
    stack.file.write_text(stack.cli("config", check=0).stdout)
    stack.cli("run", "say", check=0)
    assert (stack.folder / "said.txt").read_text() == "hello $HOME\n"


def test_schema_knows_every_key(make_stack: Make) -> None:
    """`schema` prints a JSON schema; a stack with an unknown key does not fit it, a good one does."""
    import jsonschema
    import yaml

    stack = make_stack(PAIR)
    schema = json.loads(stack.cli("schema", check=0).stdout)
    jsonschema.validate(yaml.safe_load(stack.file.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"servers": {"llm": {"comand": "x"}}}, schema)


def test_explain(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    assert "port" in stack.cli("explain", "E301", check=0).stdout
    listed = stack.cli("explain", check=0).stdout
    assert {"E301", "E401", "E402", "E501"} <= set(re.findall(r"E\d{3}", listed))
    assert stack.cli("explain", "E999").returncode == 2


def test_init_makes_a_stack_that_runs(make_stack: Make) -> None:
    """`init` writes a file; `check` is content; `up` of it runs; a second `init` writes over nothing."""
    stack = make_stack("")
    stack.file.unlink()
    stack.environ["PATH"] = f"{Path(sys.executable).parent}:{stack.environ['PATH']}"
    stack.cli("init", check=0)
    text = stack.file.read_text()
    stack.cli("check", check=0)
    stack.up()
    assert all(row["state"] in ("ready", "done") for row in stack.ps().values())
    stack.down()
    assert stack.cli("init").returncode == 2
    assert stack.file.read_text() == text


def test_version_and_help(make_stack: Make) -> None:
    stack = make_stack(PAIR)
    assert re.fullmatch(r"launchpad \d+\.\d+\.\S+\n", stack.cli("--version", check=0).stdout)
    overview = stack.cli("--help", check=0).stdout
    for command in ("up", "run", "down", "ps", "logs", "events", "wait", "start", "stop", "restart", "check",
                    "config", "graph", "env", "url", "schema", "explain", "init"):  # fmt: skip
        assert re.search(rf"^\s+{command}\s", overview, re.MULTILINE), command
        assert stack.cli(command, "--help", check=0).stdout.startswith("Usage:")
    wrong = stack.cli("pss", check=2)
    assert "`ps`" in wrong.stderr
    assert not wrong.stdout


def test_plain_output_without_a_terminal(make_stack: Make) -> None:
    """Without a terminal: no colour, no cursor movement; stdout carries the output alone, stderr the messages."""
    stack = make_stack(PAIR)
    stack.environ.pop("NO_COLOR")
    done = stack.cli("run", "train", check=0)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert sorted(line.split()[-1] for line in done.stdout.splitlines()) == ["one", "trained", "two"]
    assert "ready" in done.stderr


def test_options_of_a_second_up_are_applied_or_forgotten(make_stack: Make) -> None:
    """--set and --env-file of an `up` on a running stack shape it; what was asked in one that is refused leaves no trace."""
    taken = listening(free_ports(1))
    stack = make_stack(f"""
        vars: {{model: small}}
        servers:
          llm: {{command: "PRETEND --name ${{vars.model}}-${{SIZE:-0}}"}}
          other: {{command: PRETEND}}
          blocked: {{command: PRETEND, port: {taken[0].getsockname()[1]}, profiles: [more]}}
    """)
    (stack.folder / "more.env").write_text("SIZE=7\n")
    stack.up("llm")
    assert set(up_names(stack)) == {"llm"}
    stack.up("--set", "modle=large", check=2)
    stack.up("--env-file", "nowhere.env", check=2)
    assert "E301" in stack.up("--profile", "more", check=2).stderr
    stack.up("--set", "model=large", "--env-file", "more.env")
    assert any("--name large-7" in command for command in stack.survivors().values())
    assert up_names(stack) == {"llm", "other"}, "without names it is all of the stack"
    pids = {name: row["pid"] for name, row in stack.ps().items()}
    stack.up()
    assert {name: row["pid"] for name, row in stack.ps().items()} == pids, "they hold"
    stack.down()
    taken[0].close()

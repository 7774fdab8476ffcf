"""Every key of a server or job, changed alone under a live stack: its process is replaced, or it is not.

The table of effects says which; `tests/plan/keys.py` has the changes. A new key without a row or a case fails there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launchpad.plan.effects import SERVICE, Effect
from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, eventually, get
from tests.plan.keys import BASE, CASES, FILES, JOB

AT_ONCE = 9
KEYS = list(CASES)
GROUPS = [KEYS[at : at + AT_ONCE] for at in range(0, len(KEYS), AT_ONCE)]


def written(key: str) -> str:
    return key.replace(".", "-").replace("_", "-")


def name(key: str) -> str:
    """As the plan has it."""
    return written(key) + CASES[key].suffix


def text(keys: list[str], after: bool) -> str:
    """One service for each key, so that each is changed alone; and `b`, which some of them need."""
    servers = {"b": {"command": "PRETEND --port ${self.port}", "port": "auto"}}
    jobs = {}
    for key in keys:
        case = CASES[key]
        mine = {**(JOB if case.job else BASE), **(case.after if after else case.before)}
        (jobs if case.job else servers)[written(key)] = mine
    return json.dumps({"x-mine": {}, "servers": servers, "jobs": jobs}, indent=1)


def lay(folder: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def pids(stack: Stack) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in stack.ps().values()}


@pytest.mark.heavy
@pytest.mark.parametrize("keys", GROUPS, ids=lambda keys: f"{keys[0]}-{keys[-1]}")
def test_each_key_does_what_the_table_says(make_stack: Make, keys: list[str]) -> None:
    stack = make_stack(text(keys, False))
    names = f"GPU-{stack.mark[:8]}"
    stack.environ |= {
        "LP_GPUS": names,
        "LAUNCHPAD_GPUS": ",".join(f"{names}-{number}:80GB" for number in range(8)),
    }
    lay(stack.folder, FILES)
    stack.up()
    before = pids(stack)
    stack.write(text(keys, True))
    lay(stack.folder, {path: content for key in keys for path, content in CASES[key].files.items()})
    stack.up()
    after = pids(stack)
    replaced = {key for key in keys if before[name(key)] != after[name(key)]}
    assert replaced == {key for key in keys if SERVICE[key] is Effect.REPLACE}
    assert None not in after.values()
    assert before["b"] == after["b"]
    stack.up()
    assert pids(stack) == after, "the same file again changes nothing"
    stack.down()


TALKER = """
    servers:
      kept: {{command: "PRETEND --port ${{self.port}} --name {0}", port: auto, on_change: keep}}
      told:
        command: [sh, -c, "trap 'echo heard {0}' HUP; while [ -e stack.yaml ]; do sleep 0.05; done"]
        environment: {{A: "{0}"}}
        on_change: {{signal: HUP}}
      user: {{command: "PRETEND --port ${{self.port}} --name {0}", port: auto, depends_on: [kept]}}
"""


@pytest.mark.heavy
def test_what_runs_on_over_an_edit(make_stack: Make) -> None:
    """`keep` keeps process and port and says so; `signal` is told; a restart by hand takes the new definition."""
    stack = make_stack(TALKER.format("one"))
    stack.up()
    before = stack.ps()
    stack.write(TALKER.format("two"))
    stack.up()
    after = stack.ps()
    for name in ("kept", "told"):
        assert after[name]["pid"] == before[name]["pid"]
        assert [hold["kind"] for hold in after[name]["holds"]] == ["stale"]
    assert after["kept"]["url"] == before["kept"]["url"]
    assert after["user"]["pid"] != before["user"]["pid"]
    eventually(lambda: "heard one" in stack.log("told").read_text(), "the signal arrives")
    stack.cli("restart", "kept", check=0)
    stack.wait_state("kept", "ready")
    row = stack.ps()["kept"]
    assert row["pid"] != before["kept"]["pid"]
    assert row["holds"] == []
    assert get(f"{row['url']}/").json()["name"] == "two"
    stack.down()

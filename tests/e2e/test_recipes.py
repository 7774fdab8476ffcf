"""Recipes on live stacks: a save of a team's recipe is a save of the stack."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import PRETEND, eventually, get

RECIPE = """\
title: an actor
model: {example: m, means: what it calls itself}
traps: [{match: no such word, says: it cannot spell}]
service:
  command: PRETEND --name ${self.model} --port ${self.port} ${self.args}
  port: auto
  ready: /health
"""


def recipe(text: str = RECIPE) -> str:
    return text.replace("PRETEND", PRETEND)


@pytest.mark.heavy
def test_a_saved_recipe_is_applied(make_stack: Make) -> None:
    """What uses it is restarted; what does not, stays. A mistake in it changes nothing, and is shown in its own file."""
    stack = make_stack(
        """
        servers:
          llm: {uses: actor, model: one, args: --print hello}
          other: {command: "PRETEND --port ${self.port}", port: auto}
        """
    )
    file = stack.folder / "recipes" / "actor.yaml"
    file.parent.mkdir()
    file.write_text(recipe())
    stack.up()
    before = stack.ps()
    assert get(f"{before['llm']['url']}/").json()["name"] == "one"
    assert "hello" in stack.log("llm").read_text()

    file.write_text(recipe(RECIPE.replace("  ready:", "  raedy:")))
    eventually(lambda: stack.client.status().stale, "the mistake is seen")
    told = stack.client.status().diagnostics
    assert [(one.code, one.labels[0].span.file) for one in told] == [("E106", str(file))]
    assert {name: row["pid"] for name, row in stack.ps().items()} == {n: r["pid"] for n, r in before.items()}

    file.write_text(recipe(RECIPE.replace("  port: auto", "  port: auto\n  environment: {A: b}")))
    eventually(lambda: stack.ps()["llm"]["pid"] not in (None, before["llm"]["pid"]), "it is restarted")
    stack.wait_state("llm", "ready")
    assert stack.ps()["other"]["pid"] == before["other"]["pid"]
    assert not stack.client.status().stale
    stack.down()


@pytest.mark.heavy
def test_a_recipe_of_ones_own_appears_beside_a_live_stack(make_stack: Make) -> None:
    """It wins from the moment in which it is there, and traps of it are known without a restart."""
    stack = make_stack(
        f"""
        servers:
          llm: {{uses: uvicorn, command: "{PRETEND} --name old --port ${{self.port}}", port: auto}}
        """
    )
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    folder = stack.folder / "recipes"
    folder.mkdir()
    (folder / "uvicorn.yaml").write_text(recipe("title: mine\nservice: {command: x, stop_grace: 3s}\n"))
    eventually(
        lambda: "stop_grace: 3s" in stack.cli("config", check=0).stdout and not stack.client.status().stale,
        "it is read",
    )
    stack.cli("reload", check=0)
    assert stack.ps()["llm"]["pid"] == pid, "what shapes the process is what it was"
    stack.down()

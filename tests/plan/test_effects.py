"""The table of effects is whole, and the digest and the diff keep to it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from launchpad.core.model import Service
from launchpad.plan.diff import Now, diff
from launchpad.plan.effects import SERVICE, TOP, Effect, effect
from launchpad.plan.read import Reading
from launchpad.stack.gpus import Gpus
from launchpad.stack.parts import Alive, Backoff, Dependency, EnvFile, Ready, Restart, Sink
from launchpad.stack.reuse import Extends
from launchpad.stack.schema import Defaults, Job, Server, Stack
from tests.plan.keys import CASES, FILES, Case
from tests.stack.writing import planned

MAPS: dict[str, type[BaseModel]] = {
    "depends_on": Dependency,
    "env_file": EnvFile,
    "ready": Ready,
    "alive": Alive,
    "restart": Restart,
    "backoff": Backoff,
    "output": Sink,
    "extends": Extends,
    "gpus": Gpus,
}


def keys() -> set[str]:
    """Every key that a server, a job or `defaults` can have, and those of the maps in it."""
    found = {key for model in (Server, Job, Defaults) for key in model.model_fields}
    return found | {f"{key}.{inner}" for key, model in MAPS.items() for inner in model.model_fields}


def test_every_key_has_a_row() -> None:
    assert keys() == set(SERVICE)
    assert set(Stack.model_fields) == set(TOP)


def test_every_key_has_a_case() -> None:
    assert set(CASES) == set(SERVICE)


def models(annotation: object) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for inner in get_args(annotation) for model in models(inner)}


def test_every_map_is_looked_into() -> None:
    for key in {*Server.model_fields, *Job.model_fields}:
        inside = models(Job.model_fields[key].annotation)
        assert inside == ({MAPS[key]} if key in MAPS else set()), key


def test_the_longest_beginning_counts() -> None:
    assert effect("ready.notify") is Effect.REPLACE
    assert effect("ready.log") is Effect.IN_PLACE
    assert effect("environment.A.B") is Effect.REPLACE
    with pytest.raises(KeyError):
        effect("nothing")


def read(folder: Path, key: str, after: bool) -> Reading:
    case = CASES[key]
    files = {**FILES, **(case.files if after else {})}
    return planned(folder, case.text(after), files)


def service(reading: Reading, key: str) -> Service:
    return next(one for one in reading.plan.services if one.name == f"a{CASES[key].suffix}")


def now(reading: Reading) -> Now:
    running = {one.name: one.digest for one in reading.plan.services}
    ports = {(p.service, p.name): p.low for one in reading.plan.services for p in one.ports}
    return Now(running, ports=ports, goals=dict(reading.goals()))


@pytest.mark.parametrize("key", CASES)
def test_the_digest_agrees(tmp_path: Path, key: str) -> None:
    before, after = (service(read(tmp_path, key, after), key) for after in (False, True))
    assert (before.digest != after.digest) == (SERVICE[key] is Effect.REPLACE)


@pytest.mark.parametrize("key", CASES)
def test_the_diff_agrees_and_says_why(tmp_path: Path, key: str) -> None:
    before, after = (read(tmp_path, key, after) for after in (False, True))
    found = {change.service: change for change in diff(before, after, now(before))}
    verb = {Effect.REPLACE: "restart", Effect.IN_PLACE: "update"}.get(SERVICE[key], "keep")
    change = found[f"a{CASES[key].suffix}"]
    assert change.verb == verb
    assert bool(change.because) == (verb != "keep")
    assert all(why and why != "its definition changed" for why in change.because)
    assert found["b"].verb == "keep"


@pytest.mark.parametrize("key", CASES)
def test_the_same_file_again_changes_nothing(tmp_path: Path, key: str) -> None:
    one, other = read(tmp_path, key, True), read(tmp_path, key, True)
    assert {change.verb for change in diff(one, other, now(one))} == {"keep"}


@pytest.mark.parametrize("key", CASES)
def test_what_is_replaced_and_what_is_not(tmp_path: Path, key: str) -> None:
    """The same keys as with a restart; what is in place stays in place."""
    case = CASES[key]
    if case.job or key in ("on_change", "ready.log"):
        pytest.skip("not with `replace`")
    on = {"on_change": "replace"}
    texts = [Case({**case.before, **on}, {**case.after, **on}).text(after) for after in (False, True)]
    before = planned(tmp_path, texts[0], FILES)
    after = planned(tmp_path, texts[1], {**FILES, **case.files})
    found = {one.service: one for one in diff(before, after, replace(now(before), served=("a", "b")))}
    name = f"a{case.suffix}"
    assert found[name].verb == {Effect.REPLACE: "replace", Effect.IN_PLACE: "update"}.get(
        SERVICE[key], "keep"
    )
    started = {one.service: one for one in diff(before, after, now(before))}
    assert started[name].verb == {Effect.REPLACE: "restart", Effect.IN_PLACE: "update"}.get(
        SERVICE[key], "keep"
    )

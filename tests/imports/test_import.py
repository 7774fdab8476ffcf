"""`launchpad import`: whole files, what becomes of them, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launchpad.cli.outcome import guarded
from launchpad.imports import compose, compose_reasons
from launchpad.imports.compose_keys import KEYS
from launchpad.imports.compose_values import duration, with_own_port
from launchpad.plan.read import read_stack

FILES = Path(__file__).parent / "files"
SOURCES = sorted(
    one for one in FILES.iterdir() if one.suffix in (".yaml", "") and not one.name.startswith(".")
)


def imported(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Both streams."""
    for one in FILES.iterdir():
        (tmp_path / one.name).write_bytes(one.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert guarded(["import", source.name]) == 0
    streams = capsys.readouterr()
    return streams.out, streams.err


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_files(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    out, err = imported(source, tmp_path, capsys, monkeypatch)
    seen = f"{out}\n# --- said ---\n{err}"
    golden = FILES / f"{source.name}.expected"
    if request.config.getoption("--rewrite"):
        golden.write_text(seen)
    assert seen == golden.read_text()


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_what_is_written_is_in_order(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = imported(source, tmp_path, capsys, monkeypatch)
    monkeypatch.setenv("TOKEN", "x")
    (tmp_path / "stack.yaml").write_text(out)
    plan = read_stack(tmp_path / "stack.yaml").plan
    assert plan.services
    assert [p for p in tmp_path.iterdir() if p.name == ".launchpad"] == []


@pytest.mark.parametrize(
    "source", [one for one in SOURCES if one.suffix == ".yaml"], ids=lambda one: one.name
)
def test_nothing_is_dropped_without_a_word(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key of every service that runs here is taken by somebody, or named on stderr."""
    out, err = imported(source, tmp_path, capsys, monkeypatch)
    result = yaml.safe_load(out)
    here = {**result.get("servers", {}), **result.get("jobs", {})}
    for name, keys in yaml.safe_load(source.read_text())["services"].items():
        ours = {"9lives": "s-9lives", "self": "s-self", "worker.1": "worker-1"}.get(name, name)
        if ours not in here:
            assert f"`{name}`" in err
            continue
        for key in keys:
            counterparts = {
                "entrypoint": "command",
                "healthcheck": "ready",
                "stop_grace_period": "stop_grace",
            }
            counterparts |= {"expose": "port", "ports": "port", "scale": "replicas"}
            if key not in here[ours] and counterparts.get(key) not in here[ours]:
                named = f"`{name}.{key}" in err or (key == "depends_on" and f"`{name}.depends_on." in err)
                assert named or (key == "deploy" and f"`{name}." in err), (name, key)


def test_a_key_is_taken_or_explained_and_not_both() -> None:
    assert set(KEYS) & set(compose_reasons.SERVICE) == {"deploy"}


@pytest.mark.parametrize("key", ["replicas", "gpus"])
def test_keys_that_this_version_knows_are_carried_over(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "compose.yaml"
    device = "{resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}"
    file.write_text(
        f"services: {{a: {{command: x, scale: 2}}, b: {{command: x, deploy: {device}}},"
        " c: {command: x, deploy: {resources: {reservations: {devices: [{device_ids: ['0']}]}}}}}"
    )
    found = compose.draft(file, folder=".", env=None)
    assert found.servers["a"]["replicas"] == 2
    assert found.servers["b"]["gpus"] == 2
    assert found.servers["c"]["gpus"] == [0]


def test_an_output_that_is_there_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Procfile").write_text("web: ./serve\n")
    Path("stack.yaml").write_text("mine")
    assert guarded(["import", "Procfile", "-o", "stack.yaml"]) == 2
    assert "E192" in capsys.readouterr().err
    assert Path("stack.yaml").read_text() == "mine"
    assert guarded(["import", "Procfile", "-o", "no/such/folder.yaml"]) == 2
    assert guarded(["import", "Procfile", "-o", "new.yaml"]) == 0
    assert read_stack(Path("new.yaml")).plan.services[0].name == "web"


def test_paths_are_told_from_where_the_stack_file_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app/api").mkdir(parents=True)
    Path("app/.env").write_text("A=1\n")
    Path("app/compose.yaml").write_text("services: {a: {command: x, build: ./api}, b: {command: x}}")
    Path("app/Procfile").write_text("c: ./x\n")
    for source in ("app/compose.yaml", "app/Procfile"):
        Path("stack.yaml").unlink(missing_ok=True)
        assert guarded(["import", source, "-o", "stack.yaml"]) == 0
        reading = read_stack(Path("stack.yaml"))
        folders = {one.name: one.working_dir for one in reading.plan.services}
        expected = {"a": "app/api", "b": "app", "c": "app"}
        assert folders == {name: str(tmp_path / expected[name]) for name in folders}
        assert tmp_path / "app/.env" in reading.inputs


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("compose.yaml", "servers: {}", "E170"),
        ("compose.yaml", "services: []", "E170"),
        ("compose.yaml", "services: {a: 1}", "E107"),
        ("compose.yaml", "services: {a: {image: x}}", "E171"),
        ("compose.yaml", "services: {a: {image: x}, a: {}}", "E103"),
        ("compose.yaml", "services: {a: !reset {}}", "E105"),
        ("compose.yaml", "a: [", "E102"),
        ("compose.yaml", "", "E101"),
        ("Procfile", "nothing here", "E170"),
        ("Procfile", "a: x\na: y", "E103"),
        ("Procfile", "a: \udcff", "E101"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    name: str, text: str, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert guarded(["import", str(file)]) == 2
    streams = capsys.readouterr()
    assert (streams.out, code in streams.err) == ("", True), streams.err
    assert "stack file" not in streams.err


def test_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("Procfile", "compose.yaml"):
        assert guarded(["import", str(tmp_path / name)]) == 2
        assert "E101" in capsys.readouterr().err


def test_values() -> None:
    assert [duration(one) for one in ("1m30s", "90s", "2h", "1.5s", "10", "soon")] == [
        "90s",
        "90s",
        "2h",
        "1500ms",
        None,
        None,
    ]
    assert with_own_port(["x", "--port", "80"], "80") == ["x", "--port", "${self.port}"]
    assert with_own_port(["x", "--http-port=80"], "80") == ["x", "--http-port=${self.port}"]
    assert with_own_port(["x", "--listen=0.0.0.0:80"], "80") == ["x", "--listen=0.0.0.0:${self.port}"]
    assert with_own_port(["x", "0.0.0.0:80"], "80") == ["x", "0.0.0.0:${self.port}"]
    assert with_own_port(["x", "--workers", "80"], "80") is None
    assert with_own_port(["x", "http://other:80/x"], "80") is None

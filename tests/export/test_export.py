"""`launchpad export`: whole files as they are written, and what the programs they are for say about them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from launchpad.cli.outcome import guarded
from launchpad.plan.read import read_stack

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
IMAGE = ("--image", "registry.example/rag:1")
ASKED: dict[str, tuple[str, ...]] = {
    "systemd": (),
    "supervisord": (),
    "compose": IMAGE,
    "kubernetes": IMAGE,
    "slurm": ("--time", "04:00:00", "--set", "model=big", "--set", "api_token=not-to-be-seen"),
}
SECRETS = ("very-secret-value", "another-secret-value", "secret-in-the-stack", "not-to-be-seen")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("stack.yaml", "shared.env", "llm.env"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exported(format_: str, *options: str) -> dict[str, str]:
    """The files that are written into a folder."""
    assert guarded(["export", format_, "-o", "out", *ASKED[format_], *options]) == 0
    return {file.name: file.read_text() for file in sorted(Path("out").iterdir())}


def neutral(text: str, folder: Path) -> str:
    return text.replace(str(folder), "/srv/rag").replace(sys.executable, "/usr/bin/python3")


@pytest.mark.parametrize("format_", ASKED)
def test_golden(
    format_: str, stack: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    files = exported(format_)
    said = capsys.readouterr().err
    seen = {name: neutral(text, stack) for name, text in {**files, "said.txt": said}.items()}
    folder = GOLDEN / format_
    if request.config.getoption("--rewrite"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in seen.items():
            (folder / name).write_text(text)
    assert seen == {file.name: file.read_text() for file in folder.iterdir()}


@pytest.mark.parametrize("format_", ASKED)
def test_no_secret_is_written_or_said(format_: str, stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["export", format_, *ASKED[format_]]) == 0
    streams = capsys.readouterr()
    assert [one for one in SECRETS if one in streams.out + streams.err] == []
    assert streams.out.count("\n") > 10


@pytest.mark.parametrize("format_", [one for one in ASKED if one != "slurm"])
def test_every_key_is_carried_over_or_named(
    format_: str, stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib

    module = importlib.import_module(f"launchpad.export.{format_}")
    exported(format_)
    said = capsys.readouterr().err
    written = yaml.safe_load((stack / "stack.yaml").read_text())
    for name, keys in {**written["servers"], **written["jobs"]}.items():
        if name == "debug":
            assert "`debug` is not exported" in said
            continue
        for key, value in keys.items():
            named = f"`{name}.{key}`" in said or (key, value) == ("inherit_env", False)
            assert named or key in module.CARRIED, (name, key)


def test_a_key_that_nobody_thought_of_is_named(
    stack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from launchpad.export import systemd

    monkeypatch.setattr(systemd, "CARRIED", systemd.CARRIED - {"stop_grace"})
    exported("systemd")
    assert "`llm.stop_grace`: systemd has nothing like it" in capsys.readouterr().err


# --- what the programs say -------------------------------------------------------------------------------


def runnable(stack: Path) -> None:
    """Programs that are here, so that a validator finds them."""
    text = (stack / "stack.yaml").read_text()
    for name in ("side", "told", "plain", "index", "eval", "debug"):
        text = text.replace(f"command: {name}", f"command: /bin/true {name}")
    (stack / "stack.yaml").write_text(text)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_reads_its_units(stack: Path) -> None:
    runnable(stack)
    files = exported("systemd")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *files],
        cwd=stack / "out", capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(stack), "SYSTEMD_UNIT_PATH": f"{stack}/out:/usr/lib/systemd/user"},
    )  # fmt: skip
    about = [line for line in done.stderr.splitlines() if "rag-demo" in line]
    assert (done.returncode, about) == (0, []), done.stderr


def test_words_survive_systemd_and_the_shell(stack: Path) -> None:
    """What the quotes mean, by the rules of systemd.syntax(7)."""
    from launchpad.export.systemd import _quoted

    assert _quoted("plain") == "plain"
    assert _quoted('a "b" $c 50% \\n;') == '"a \\"b\\" $$c 50%% \\\\n;"'
    assert _quoted("") == '""'
    assert _quoted("A=$b", command=False) == '"A=$b"'


def test_supervisord_reads_its_configuration(stack: Path) -> None:
    """By its own parser; and the commands run as they were meant."""
    options = pytest.importorskip("supervisor.options")
    (stack / "stack.yaml").write_text(
        (stack / "stack.yaml")
        .read_text()
        .replace('"${stack.python}", serve.py', '"${stack.python}", show.py')
    )
    (stack / "show.py").write_text(
        "import os, sys; print(sys.argv[1:], os.environ['MESSAGE'], os.environ['LLM_KEY'])"
    )
    exported("supervisord")
    server = options.ServerOptions()
    server.realize(["-c", "out/rag-demo.conf"])
    (group,) = server.process_group_configs
    programs = {one.name: one for one in group.process_configs}
    assert list(programs) == ["llm", "embed", "side", "told", "plain", "index", "eval"]
    llm = programs["llm"]
    assert (llm.stopsignal, llm.stopwaitsecs, llm.directory) == (2, 30, str(stack))
    restarts = [getattr(programs[name].autorestart, "__name__", "") for name in ("plain", "llm", "embed")]
    assert restarts == ["", "RestartWhenExitUnexpected", "RestartUnconditionally"]
    import shlex

    done = subprocess.run(shlex.split(llm.command), cwd=stack, capture_output=True, text=True, check=True)
    note = '50% of $5 "quoted" it\'s; # done'
    words = [
        "--host",
        "127.0.0.1",
        "--port",
        "8030",
        "--model",
        "tiny",
        "--note",
        note,
        "--bind",
        "127.0.0.1:8030",
    ]
    assert done.stdout.strip() == f"{words} {note} another-secret-value"


def test_supervisord_runs_it(stack: Path) -> None:
    """The real one, until the program that was to run has."""
    pytest.importorskip("supervisor")
    (stack / "stack.yaml").write_text(
        'servers: {one: {command: "echo \\"it\'s\\" up ; exec sleep 300", shell: true, restart: never}}'
    )
    assert guarded(["export", "supervisord", "-o", "out"]) == 0
    (config,) = (stack / "out").glob("*.conf")
    server = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
        cwd=stack, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if "entered RUNNING state" in line:
                break
            assert "FATAL" not in line
        assert (stack / "out/one.log").read_text() == "it's up\n"
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_compose_is_in_order(stack: Path) -> None:
    spec = pytest.importorskip("compose_spec")
    (file,) = exported("compose").values()
    content = yaml.safe_load(file)
    spec.ComposeSpecification.model_validate(content)
    reader = spec.PyCompose.from_yaml
    without = re.sub(r"on-failure:\d+", "on-failure", file)  # it does not know the form with a number
    reader(without)
    with pytest.raises(ValueError, match="nonsense"):
        reader(without.replace("stop_signal", "nonsense"))
    for service in content["services"].values():
        assert set(service.get("depends_on", {})) <= set(content["services"])
        assert service["image"] == IMAGE[1]


def test_kubernetes_is_in_order(stack: Path) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    (file,) = exported("kubernetes").values()
    objects = list(yaml.safe_load_all(file))
    for one in objects:
        validator.validate(one, validator.latest_version(), strict=True)
    kinds = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert [name for kind, name in kinds if kind == "Deployment"] == ["llm", "embed", "side", "told", "plain"]
    assert [name for kind, name in kinds if kind == "Job"] == ["index", "eval"]
    assert [name for kind, name in kinds if kind == "Service"] == ["llm", "embed", "plain"]
    bad = {**objects[0], "spec": {**objects[0]["spec"], "replicas": "many"}}
    with pytest.raises(validator.ValidationError):
        validator.validate(bad, validator.latest_version(), strict=True)


def test_slurm_script_is_in_order(stack: Path) -> None:
    (file,) = exported("slurm").values()
    subprocess.run(["bash", "-n"], input=file, text=True, check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "bash", "-"], input=file, text=True, check=True)
    directives = [line for line in file.splitlines() if line.startswith("#SBATCH")]
    assert file.splitlines()[1 : 1 + len(directives)] == directives, (
        "Slurm reads them up to the first command"
    )


FOLDER = HERE.parent.parent / "stacks"
STACKS = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("*/stack.yaml")])


@pytest.mark.parametrize("file", STACKS, ids=lambda one: f"{one.parent.name}-{one.stem}")
def test_the_stacks_of_the_repository(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every format takes them, and what it makes is in order."""
    monkeypatch.chdir(tmp_path)
    texts = {}
    for format_ in ASKED:
        options = ASKED[format_][:2]
        assert guarded(["export", format_, str(file), "-o", format_, *options]) == 0
        texts[format_] = [one.read_text() for one in sorted((tmp_path / format_).iterdir())]
        assert texts[format_]
    capsys.readouterr()
    pytest.importorskip("compose_spec").PyCompose.from_yaml(
        re.sub(r"on-failure:\d+", "on-failure", *texts["compose"])
    )
    validator = pytest.importorskip("kubernetes_validate")
    for one in yaml.safe_load_all(*texts["kubernetes"]):
        validator.validate(one, validator.latest_version(), strict=True)
    server = pytest.importorskip("supervisor.options").ServerOptions()
    server.realize(["-c", str(next((tmp_path / "supervisord").iterdir()))])
    assert server.process_group_configs


@pytest.mark.parametrize(
    "file", [HERE / "stack.yaml", *STACKS], ids=lambda one: f"{one.parent.name}-{one.stem}"
)
def test_what_compose_is_given_can_be_taken_back(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded(["export", "compose", str(file), "--image", "x", "-o", "."]) == 0
    assert guarded(["import", "compose.yaml", "-o", "back.yaml"]) == 0
    before, after = read_stack(file), read_stack(Path("back.yaml")).plan
    goals = dict(before.goals())
    up = [one for one in before.plan.services if goals[one.name]]
    assert [one.name for one in after.services] == [one.name for one in up]
    kept = [(one.stop.signal, [(need.on, need.bound) for need in one.needs]) for one in up]
    assert [
        (one.stop.signal, [(need.on, need.bound) for need in one.needs]) for one in after.services
    ] == kept


def test_a_file_of_requirements_is_no_env_file(stack: Path) -> None:
    (stack / "requirements.txt").write_text("-r more.txt\n")
    (stack / "more.txt").write_text("uvicorn\n")
    (stack / "stack.yaml").write_text("jobs: {a: {command: 'true', requirements: requirements.txt}}\n")
    for format_ in ASKED:
        assert guarded(["export", format_, "-o", format_, *ASKED[format_][:2]]) == 0
        for file in (stack / format_).iterdir():
            assert ".txt" not in file.read_text()


# --- what is asked ---------------------------------------------------------------------------------------


def test_options(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (
        ["compose"],
        ["kubernetes"],
        ["systemd", "--image", "x"],
        ["systemd", "--time", "1"],
        ["runit"],
        ["systemd", "llm"],
    ):
        assert guarded(["export", *wrong]) == 2
    exported("systemd", "--profile", "debug")
    assert (stack / "out/rag-demo-debug.service").exists()
    capsys.readouterr()
    assert guarded(["export", "systemd", "-o", "out"]) == 2
    assert capsys.readouterr().err.count("E192") == len(list((stack / "out").iterdir())) - 1


def test_nothing_to_export(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stack / "stack.yaml").write_text("servers: {a: {command: x, profiles: [p]}}")
    assert guarded(["export", "systemd"]) == 2
    assert "E671" in capsys.readouterr().err


def test_names_that_would_be_one(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stack / "stack.yaml").write_text("servers: {a_b: {command: x}, a-b: {command: x}}")
    assert guarded(["export", "systemd"]) == 0
    for format_ in ("compose", "kubernetes"):
        assert guarded(["export", format_, *IMAGE]) == 2
        assert "E672" in capsys.readouterr().err


def test_an_export_starts_nothing(stack: Path) -> None:
    exported("systemd")
    assert not (stack / ".launchpad").exists()


# --- copies, and files in files ------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["systemd", "supervisord", "compose", "kubernetes"])
def test_copies_are_written_one_by_one(format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stack.yaml").write_text(
        "servers: {llm: {command: 'x ${self.port} ${self.replica}', port: 29000-29099, replicas: 2},"
        " app: {command: 'y ${llm.urls}', depends_on: [llm]}}\n"
    )
    whole = "\n".join(exported(format_).values())
    assert "llm-0" in whole
    assert "llm-1" in whole
    assert "29000" in whole
    assert "29001" in whole


def test_replicas_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stack.yaml").write_text(
        "x-a: {stop_grace: 3s}\nservers: {llm: {command: x, extends: x-a, replicas: 2}}\n"
    )
    services = yaml.safe_load(exported("compose")["compose.yaml"])["services"]
    assert list(services) == ["llm-0", "llm-1"]
    said = capsys.readouterr().err
    assert ".replicas`" not in said
    assert "extends" not in said


def test_an_env_file_is_for_the_services_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inner").mkdir()
    for name in ("top.env", "inner/inner.env", "more.env"):
        Path(name).write_text("A=not-to-be-seen\n")
    Path("req.txt").write_text("a\n")
    Path("inner/a.yaml").write_text("env_file: inner.env\nservers: {in: {command: x}}\n")
    Path("stack.yaml").write_text(
        "include: inner/a.yaml\nenv_file: top.env\nservers: {out: {command: x, requirements: req.txt}}\n"
    )
    services = yaml.safe_load(exported("compose", "--env-file", "more.env")["compose.yaml"])["services"]
    files = {name: [one["path"] for one in service["env_file"]] for name, service in services.items()}
    top, inner, more = (f"../{name}" for name in ("top.env", "inner/inner.env", "more.env"))
    assert files == {"in": [top, inner, more], "out": [top, more]}


@pytest.mark.parametrize("format_", ASKED)
def test_a_password_within_an_address_is_not_written(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "servers: {a: {command: serve --db pg://u:within-text@h, environment: {DB: 'pg://u:within-value@h'}}}\n"
    (tmp_path / "stack.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    guarded(["export", format_, *ASKED[format_][:2]])
    streams = capsys.readouterr()
    assert "within-" not in streams.out
    assert format_ == "slurm" or "`DB` is secret, and is not written down" in streams.err

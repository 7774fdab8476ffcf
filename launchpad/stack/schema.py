"""The keys of a stack file: what they are called, what they take, what they are when left out.

Decides the shape of what `load` returns. Rules that span several keys are in `rules`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from launchpad.stack.environments import Python, Requirements
from launchpad.stack.fields import (
    NAME_PATTERN,
    SCALAR,
    Bool,
    Duration,
    Grace,
    Host,
    Line,
    Name,
    Port,
    Short,
    Signal,
    Text,
    many,
    one_of,
    whole,
)
from launchpad.stack.gpus import GpusField
from launchpad.stack.parts import (
    AliveField,
    Args,
    Backoff,
    Command,
    DependsOn,
    EnvFiles,
    EnvValue,
    InheritEnv,
    OnChange,
    OnChangeField,
    Output,
    ReadyField,
    RestartField,
    Sink,
    Strict,
    Vars,
    _sink,
)
from launchpad.stack.reuse import ExtendsField, Including, Place
from launchpad.stack.strict import NotHere

MOST_COPIES = 1_000
JOB_ONLY = ("retries", "primary")


def _names(value: Any) -> Any:
    return {} if value is None else value


_NAMED: dict[str, Any] = {"pattern": rf"^{NAME_PATTERN}$", "not": {"enum": ["self", "stack", "vars"]}}
_PORTS: dict[str, Any] = {"propertyNames": {"pattern": rf"^{NAME_PATTERN}$"}}
_Profiles = Annotated[tuple[Name, ...], many()]


class Common(Strict):
    """What servers and jobs have in common."""

    extends: ExtendsField | None = Field(
        None,
        description="Another server or job whose keys lie beneath those that are written here: a name, or `{file: …, "
        "service: …}` for one of another file. Maps are merged, anything else is replaced, as with `defaults`, which lie "
        "beneath both. It may extend another one itself.",
        examples=["llm", "x-base", {"file": "base.yaml", "service": "llm"}],
    )
    uses: Line | None = Field(
        None,
        description="The name of a recipe: how a well-known program is started, which ports it takes, when it is ready. "
        "It lies beneath the keys given here and those of `defaults`, which win. `launchpad recipes` lists them; a "
        "team's own are in `recipes/` beside the stack file. Not in `defaults`.",
        examples=["vllm"],
    )
    model: Text | None = Field(
        None,
        description="The model, for a recipe that takes one: a name or a path. `${self.model}` in `command`; others "
        "say `${llm.model}`.",
        examples=["Qwen/Qwen3-0.6B", "models/qwen.gguf"],
    )
    args: Args = Field(
        (),
        description="Further arguments, for a recipe: a list, or text that is split as a command is. They stand where the "
        "recipe's command says `${self.args}`, and at the end of one that does not.",
        examples=["--max-model-len 8192", ["--dtype", "bfloat16"]],
    )
    shell: Bool = Field(
        False,
        description="Run `command`, one string, through `/bin/sh -c`. `$HOME` and `$$`, written `$$$$`, are then "
        "the shell's.",
        examples=[True],
    )
    depends_on: DependsOn = Field(
        default_factory=dict,
        description="What has to be there first: names, or a map of names to `started`, `ready`, `done` or "
        "`{condition: …, restart: true}`. By default a server has to be ready and a job done. Each one's address "
        "is given in `NAME_URL`, `NAME_HOST` and `NAME_PORT`.",
        examples=[["llm", "reward"], {"llm": "started"}, {"llm": {"condition": "ready", "restart": True}}],
    )
    port: Port | None = Field(
        None,
        description="The main port: a range of which one free port is taken, one number, or `auto`. The process "
        "gets it as `PORT`. The same as `ports: {main: …}`.",
        examples=["8030-8099", 8000, "auto"],
    )
    ports: dict[str, Port] = Field(
        default_factory=dict,
        description="Further ports by name. The process gets each as `PORT_<NAME>`.",
        examples=[{"master": "29500-29599"}],
        json_schema_extra=_PORTS,
    )
    host: Host = Field(
        "127.0.0.1",
        description="The literal address that the ports are on. With `0.0.0.0` others are told `127.0.0.1`.",
        examples=["127.0.0.1"],
    )
    handover: Annotated[str, one_of("shared", "release", "inherit")] = Field(
        "shared",
        description="How a port passes to the process: `shared` (held while the process listens), `release` (let "
        "go just before it starts) or `inherit` (the listening socket is passed: LISTEN_FDS, `${self.fd}`).",
        examples=["inherit"],
    )
    gpus: GpusField | None = Field(
        None,
        description="GPUs that no other service has, of any stack on this machine: how many, a list of which, or a map. "
        "The process is given them as CUDA_VISIBLE_DEVICES (where they are known by number, as HIP_VISIBLE_DEVICES, too), and "
        "`${self.gpus}` is the same text. Without this key a service is given what launchpad's own environment says.",
        examples=[2, [0, 3], {"count": 2, "memory": "40GB"}, {"count": 1, "wait": True}],
    )
    ready: ReadyField | None = Field(
        None,
        description="When it counts as ready: a path on the main port, a URL, or a map. Without it: when the main "
        "port accepts a connection; without a port: as soon as it is started.",
        examples=["/health", {"http": "/health", "timeout": "10m"}, {"log": "listening on"}],
    )
    alive: AliveField | None = Field(
        None,
        description="A check that is made all the time; past its limit the service is restarted.",
        examples=["/health", {"http": "/health", "interval": "10s", "failures": 3}],
    )
    restart: RestartField | None = Field(
        None,
        description="When to start it again: `never`, `on-failure` or `always`, or a map. By default a server is "
        "restarted on failure, a job never.",
        examples=["on-failure", {"policy": "always", "max_restarts": 3}],
    )
    backoff: Backoff | None = Field(
        None, description="How long to wait before a restart.", examples=[{"initial": "1s", "max": "1m"}]
    )
    max_restarts: Annotated[int | None, whole(0)] = Field(
        None, description="Give up after so many restarts within `window`; 5 by default.", examples=[3]
    )
    window: Duration | None = Field(
        None, description="The time in which restarts are counted; 10 minutes by default.", examples=["10m"]
    )
    stop_signal: Signal = Field(
        15, description="The signal that asks it to end, by name or number.", examples=["SIGINT", 15]
    )
    stop_grace: Grace = Field(
        10.0,
        description="How long it may take to end; then it and all that it started is killed.",
        examples=["30s"],
    )
    environment: dict[str, EnvValue] = Field(
        default_factory=dict,
        description="Environment variables: a map, or a list of `NAME=value`. A name without a value is taken from "
        "launchpad's own environment.",
        examples=[{"LOG_LEVEL": "debug", "WORKERS": 2}, ["LOG_LEVEL=debug", "HF_TOKEN"]],
        json_schema_extra=lambda s: _or(s, {"type": "array", "items": {"type": "string"}}, {"type": "null"}),
    )
    env_file: EnvFiles = Field(
        (),
        description="Files of `NAME=value` lines, relative to the stack file; later ones win, `environment` wins "
        "over all. `${NAME}` in a value is filled in, except between single quotes; any other dollar is a dollar.",
        examples=[".env", [".env", {"path": "local.env", "required": False}]],
    )
    inherit_env: InheritEnv = Field(
        True,
        description="Whether launchpad's own environment is passed on: all of it, nothing but the bare minimum, or "
        "these names.",
        examples=[False, ["HF_HOME", "CUDA_HOME"]],
    )
    working_dir: Place = Field(
        ".",
        description="The folder it runs in, relative to the stack file; by default the folder of the file that says its "
        "`command`.",
        examples=["reward"],
    )
    venv: Place | None = Field(
        None,
        description="A virtual environment, relative to the stack file: its `bin` comes first on PATH and "
        "VIRTUAL_ENV is set. With `requirements` it is made, and is a link to what launchpad has made.",
        examples=[".venvs/reward"],
    )
    requirements: Requirements | None = Field(
        None,
        description="What has to be installed for it: the path of a requirements file, relative to the stack file, or "
        "a list of lines as such a file has them. An environment is made of it before the first start, with uv where "
        "there is one, else with venv and pip, and made anew when the lines, or the files that they name by `-r` and "
        "`-c`, change.",
        examples=["reward/requirements.txt", ["uvicorn", "torch==2.13.0", "-r base.txt"]],
    )
    python: Python | None = Field(
        None,
        description="The Python that the environment of `requirements` is made with: a version, in quotes, or the "
        "path of an interpreter. By default the one that runs launchpad.",
        examples=["3.12", "/opt/python/bin/python3"],
    )
    output: Output = Field(
        default_factory=lambda: (_sink("console"),),
        description="Where its output goes besides the run's own log: `console`, `jsonl`, `null`, `{file: …}`, "
        "`{jsonl: …}`, or a list of them. With `null` alone nothing is kept.",
        examples=["console", ["console", {"file": "logs/train.log", "rotate": "50MB", "keep": 5}]],
    )
    profiles: _Profiles = Field(
        (),
        description="Start it only when one of these profiles is on, when it is named, or when something that is "
        "started needs it.",
        examples=[["debug"]],
    )
    replicas: Annotated[int | None, whole(0, MOST_COPIES)] = Field(
        None,
        description="So many copies of it: `llm-0`, `llm-1`…, each with ports, output and environment of its own "
        "(`${self.name}`, `${self.replica}`, LAUNCHPAD_REPLICA). `llm` then means all of them: in `depends_on`, in "
        "commands, in `${llm.urls}`; whoever depends on it has LLM_URLS. `launchpad scale llm=N` has another number.",
        examples=[3],
    )
    watch: Annotated[tuple[Place, ...], many()] = Field(
        (),
        description="Globs, relative to the stack file: a change of such a file counts as one of the definition, "
        "see `on_change`. After more than 10 within a minute they are not looked at until it is started, stopped or "
        "restarted by name, or its definition changes.",
        examples=[["reward/**/*.py"]],
    )
    on_change: OnChangeField = Field(
        default_factory=OnChange,
        json_schema_extra={"default": "restart"},
        description="What a change of its definition or of a watched file does to its process: `restart`, `replace` "
        "(servers only: a new one is started beside it on another port of the range and takes over once it is ready; "
        "if it fails, the old one stays), `keep` (it runs on), or `{signal: SIGHUP}` (it is told, once it is ready, "
        "and runs on). What runs on does so with its old definition, ports included, is shown as stale, and takes the "
        "new one when it is restarted or ends. A job that is done runs once more, except with `keep`.",
        examples=["replace", "keep", {"signal": "SIGHUP"}],
    )


def _or(schema: dict[str, Any], *forms: dict[str, Any]) -> None:
    """Make the schema of a map one of several forms."""
    keep = ("description", "examples", "default")
    full = {key: schema.pop(key) for key in list(schema) if key not in keep}
    schema["anyOf"] = [full, *forms]


_COMMAND = Field(
    description="What to run. A list is passed as it is; a string is split as a shell would, without a shell: "
    "`$HOME`, `*`, `~`, `|` and `>` mean nothing.",
    examples=[
        "vllm serve ${vars.model} --port ${self.port}",
        ["python", "-m", "http.server", "${self.port}"],
    ],
)


class Server(Common):
    """Runs until it is stopped; it is up once it is ready."""

    command: Command = _COMMAND


class Job(Common):
    """Runs to completion; it is done when it ends with code 0."""

    retries: Annotated[int | None, whole(0)] = Field(
        None, description="Start it again so many times when it fails.", examples=[2]
    )
    primary: Bool = Field(
        False,
        description="When this job ends, the whole stack stops, and launchpad exits with its code.",
        examples=[True],
    )
    command: Command = _COMMAND


class Defaults(Job):
    """Merged into every server and job; a service's own value wins, maps are merged. What only jobs have does
    not concern servers."""

    command: Command | None = Field(None, description="What to run.", examples=["python -m http.server"])  # type: ignore[assignment]
    uses: NotHere = Field(None, description="Belongs to one server or job.", examples=[None])
    model: NotHere = Field(None, description="Belongs to one server or job.", examples=[None])
    args: NotHere = Field(None, description="Belongs to one server or job.", examples=[None])  # type: ignore[assignment]


_TopEnv = EnvFiles


class Top(Strict):
    """The keys of the top level that are single values."""

    name: Line | None = Field(
        None, description="The stack's name; by default the name of its folder.", examples=["grpo"]
    )
    env_file: _TopEnv = Field(
        (),
        description="Files of `NAME=value` lines, relative to the stack file. They serve `${NAME}` and are given to "
        "every service; launchpad's own environment wins over them.",
        examples=[[".env"]],
    )
    when_supervisor_dies: Annotated[str, one_of("keep", "stop")] = Field(
        "keep",
        description="What happens to the services when launchpad itself is killed: `keep` them, or `stop` them "
        "within a second. Under `launchpad run` it is always `stop`.",
        examples=["stop"],
    )


class Stack(Including, Top):
    """A stack file of launchpad."""

    vars: Annotated[Vars, Short(_names, ({"type": "null"},))] = Field(
        default_factory=dict,
        description="Values for `${vars.NAME}`; `--set NAME=value` overrides them.",
        examples=[{"model": "Qwen/Qwen3-0.6B"}],
    )
    defaults: Annotated[Defaults | None, Short(lambda v: v)] = Field(
        None, description="Merged into every server and job.", examples=[{"restart": "on-failure"}]
    )
    servers: Annotated[dict[str, Server], Short(_names, ({"type": "null"},))] = Field(
        default_factory=dict,
        description="What runs on and on, by name.",
        examples=[{"web": {"command": "python -m http.server ${self.port}", "port": "8000-8099"}}],
        json_schema_extra={"propertyNames": _NAMED},
    )
    jobs: Annotated[dict[str, Job], Short(_names, ({"type": "null"},))] = Field(
        default_factory=dict,
        description="What runs to completion, by name. Servers and jobs share one set of names.",
        examples=[{"train": {"command": "python train.py", "depends_on": ["web"]}}],
        json_schema_extra={"propertyNames": _NAMED},
    )


__all__ = ["SCALAR", "Common", "Defaults", "Job", "Server", "Sink", "Stack"]

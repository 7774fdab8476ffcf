"""Stack files with something wrong, and what has to be said about each: code and place of every problem.

A case's text is a stack file; `^` marks nothing here, places are counted by hand so that a wrong count shows.
"""

from __future__ import annotations

from msgspec import Struct, field


class Case(Struct, frozen=True):
    text: str | bytes
    problems: tuple[str, ...]
    """`CODE LINE:COLUMN` of every problem, in the order in which they are told; `CODE -` without a place."""
    files: dict[str, str] = field(default_factory=dict)
    """Further files beside it."""
    options: dict[str, object] = field(default_factory=dict)


def server(*lines: str, name: str = "web") -> str:
    """A file with one server; `lines` begin at line 3, indented by four."""
    return "\n".join(["servers:", f"  {name}:", *(f"    {line}" for line in lines), ""])


def job(*lines: str, name: str = "train") -> str:
    return "\n".join(["jobs:", f"  {name}:", *(f"    {line}" for line in lines), ""])


BOMB = "x-a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"x-{now}: &{now} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES: dict[str, Case] = {
    # --- not a stack file at all -------------------------------------------------------------------
    "empty": Case("", ("E101 1:1",)),
    "only-comments": Case("# to do\n", ("E101 1:1",)),
    "binary": Case(b"\x7fELF\x02\x01\x01\x00\xff\xfe", ("E101 1:9",)),
    "latin-1": Case("servers:\n  web:\n    command: caf\xe9\n".encode("latin-1"), ("E101 3:17",)),
    "control-character": Case("servers:\n  web:\n    command: a\x07b\n", ("E101 3:15",)),
    "too-large": Case("# " + "x" * 1_000_000, ("E104 1:1",)),
    "top-level-list": Case("- command: python x.py\n", ("E105 1:1",)),
    "two-documents": Case(server("command: x") + "---\nservers: {}\n", ("E105 4:1",)),
    "no-services": Case("name: nothing\n", ("E122 1:1",)),
    "a-folder-of-keys": Case("servers: [web, api]\n", ("E107 1:10",)),
    # --- YAML ---------------------------------------------------------------------------------------
    "tab": Case("servers:\n\tweb:\n\t\tcommand: x\n", ("E102 2:1",)),
    "unclosed-bracket": Case(server("command: [python, -m", "port: 8000"), ("E102 3:14",)),
    "missing-comma": Case(server('command: ["python" "x"]'), ("E102 3:24",)),
    "unclosed-quote": Case(server('command: "python x.py', "port: 8000"), ("E102 3:14",)),
    "bad-indentation": Case("servers:\n  web:\n    command: x\n   port: 8000\n", ("E102 4:4",)),
    "colon-in-text": Case(server("command: echo a: b"), ("E102 3:20",)),
    "unquoted-reference": Case(
        server("command: [serve, --port, ${self.port}]", "port: auto"), ("E102 3:30",)
    ),
    "unquoted-glob": Case(server("command: x", "watch: *.py"), ("E102 4:12",)),
    "backtick": Case(server("command: `date`"), ("E102 3:14",)),
    "duplicate-key": Case(server("command: x", "port: 8000", "command: y"), ("E103 5:5",)),
    "duplicate-name": Case("servers:\n  a: {command: x}\n  a: {command: y}\n", ("E103 3:3",)),
    "python-tag": Case(server("command: !!python/object/apply:os.system [ls]"), ("E105 3:14",)),
    "unknown-tag": Case(server("command: !env HOME"), ("E105 3:14",)),
    "alias-bomb": Case(BOMB, ("E104 6:14",)),
    "alias-to-itself": Case("x-a: &a [*a]\n", ("E104 1:10",)),
    "unknown-alias": Case(server("<<: *base", "command: x"), ("E105 3:9",)),
    "too-deep": Case("x-a: " + "[" * 100 + "]" * 100 + "\n", ("E104 1:45",)),
    "list-as-key": Case("? [a, b]\n: 1\n", ("E105 1:3",)),
    "merge-of-text": Case(server("<<: base", "command: x"), ("E105 3:9",)),
    # --- keys and values ------------------------------------------------------------------------------
    "two-typos": Case(server("comand: x", "prot: 8000"), ("E106 3:5", "E106 4:5")),
    "key-of-another-tool": Case(
        server("command: x", "healthcheck: {}", "volumes: []"), ("E106 4:5", "E106 5:5")
    ),
    "key-at-the-wrong-level": Case("depends_on: [a]\n" + server("command: x"), ("E106 1:1",)),
    "typo-inside-ready": Case(
        server("command: x", "port: auto", "ready: {http: /, timout: 5m}"), ("E106 5:22",)
    ),
    "no-command": Case(server("port: 8000"), ("E108 2:3",)),
    "nothing-in-it": Case("servers:\n  web:\n", ("E107 2:3",)),
    "text-for-a-service": Case("servers:\n  web: python x.py\n", ("E107 2:8",)),
    "no-value": Case(server("command: x", "port:", "venv:"), ("E107 4:5", "E107 5:5")),
    "on-as-boolean": Case(server("command: x", "shell: on"), ("E107 4:12",)),
    "number-for-text": Case(server("command: x", "venv: 3.11"), ("E107 4:11",)),
    "list-for-a-map": Case(server("command: x", "environment: 5"), ("E107 4:18",)),
    "map-for-a-list": Case(server("command: x", "watch: {a: b}"), ("E107 4:12",)),
    # --- several files, and copies ------------------------------------------------------------------------
    "no-included-file": Case("include: [a.yaml]\n" + server("command: x ${db.url}"), ("E101 1:11",)),
    "included-by-itself": Case(
        "include: a.yaml\n" + server("command: x"),
        ("E126 1:10",),
        files={"a.yaml": "include: b.yaml\n", "b.yaml": "include: a.yaml\n"},
    ),
    "included-name-twice": Case(
        "include: a.yaml\nvars: {model: x}\n" + server("command: x", name="llm"),
        ("E114 2:8", "E114 4:3"),
        files={"a.yaml": "vars: {model: y}\nservers:\n  llm: {command: y}\n"},
    ),
    "mistake-in-an-included-file": Case(
        "include: {file: a.yaml, prefix: infra-}\n" + server("command: x"),
        ("E112 2:25", "E202 2:50"),
        files={
            "a.yaml": "servers:\n  api: {command: 'serve ${lm.url}', depends_on: [lm]}\n  llm: {command: y, port: auto}\n"
        },
    ),
    "extends-nothing": Case(server("extends: x-bse", "command: x") + "x-base: {}\n", ("E112 3:14",)),
    "extends-itself": Case(
        "servers:\n  a: {extends: b, command: x}\n  b: {extends: a, command: y}\n", ("E126 2:16",)
    ),
    "address-of-copies": Case(
        "servers:\n  llm: {command: x, port: auto, replicas: 2}\n  b: {command: 'x ${llm.url}'}\n",
        ("E112 3:19",),
    ),
    "copies-in-one-file": Case(
        server("command: x", "replicas: 2", "output: {file: logs/a.log}"), ("E124 5:20",)
    ),
    "name-of-a-copy": Case("servers:\n  a: {command: x, replicas: 2}\n  a-1: {command: y}\n", ("E114 3:3",)),
    "bad-replicas": Case(server("command: x", "replicas: two"), ("E107 4:15",)),
    "bad-duration": Case(server("command: x", "stop_grace: 5 minutes"), ("E116 4:17",)),
    "no-time-at-all": Case(
        server("command: x", "port: auto", "ready: {http: /, timeout: 0}"), ("E116 5:31",)
    ),
    "bad-size": Case(server("command: x", "output: {file: a.log, rotate: 50 megs}"), ("E116 4:35",)),
    "leading-zero": Case(job("command: x", "retries: 0755"), ("E107 4:14",)),
    "negative-retries": Case(job("command: x", "retries: -1"), ("E107 4:14",)),
    "bad-restart": Case(server("command: x", "restart: no"), ("E107 4:14",)),
    "bad-signal": Case(server("command: x", "stop_signal: SIGTREM"), ("E107 4:18",)),
    "bad-sink": Case(server("command: x", "output: [console, logs/x.log]"), ("E107 4:23",)),
    "two-sinks-in-one": Case(server("command: x", "output: {file: a, jsonl: b}"), ("E124 4:13",)),
    "restart-and-retries": Case(job("command: x", "restart: always", "retries: 3"), ("E124 5:5",)),
    "job-key-on-a-server": Case(server("command: x", "primary: true"), ("E124 4:5",)),
    # --- recipes ------------------------------------------------------------------------------------------
    "unknown-recipe": Case(server("uses: vlm", "model: x"), ("E129 3:11",)),
    "recipe-without-its-model": Case(server("uses: vllm", "args: --dtype half"), ("E108 3:11",)),
    "args-without-a-recipe": Case(server("command: x", "args: --dtype half"), ("E124 4:5",)),
    "recipe-for-a-job": Case(server("uses: torchrun", "args: train.py"), ("E124 3:11",)),
    "problem-in-a-teams-recipe": Case(
        server("uses: own"),
        ("E106 3:3",),
        {"recipes/own.yaml": "title: own\nservice:\n  comand: x\n  command: y\n"},
    ),
    # --- names ------------------------------------------------------------------------------------------
    "name-clash": Case("servers:\n  eval: {command: x}\njobs:\n  eval: {command: y}\n", ("E114 4:3",)),
    "bad-name": Case("servers:\n  my server: {command: x}\n  2nd: {command: y}\n", ("E114 2:3", "E114 3:3")),
    "reserved-name": Case(server("command: x", name="self"), ("E114 2:3",)),
    # --- commands -----------------------------------------------------------------------------------------
    "unbalanced-quote": Case(server("""command: python -c "print('hi')"""), ("E117 3:24",)),
    "empty-command": Case(server("command: []"), ("E117 3:14",)),
    "blank-command": Case(server('command: "  "'), ("E117 3:14",)),
    "list-with-shell": Case(server("command: [ls, -l]", "shell: true"), ("E117 3:14",)),
    "map-as-argument": Case(server("command: [ls, {a: b}]"), ("E117 3:19",)),
    # --- ports --------------------------------------------------------------------------------------------
    "mapped-port": Case(server("command: x", "port: 8000:10"), ("E115 4:11",)),
    "bad-range": Case(server("command: x", "port: 8000-"), ("E115 4:11",)),
    "reversed-range": Case(server("command: x", "port: 8099-8000"), ("E115 4:11",)),
    "port-zero": Case(server("command: x", "port: 0"), ("E115 4:11",)),
    "port-70000": Case(server("command: x", "port: 70000"), ("E115 4:11",)),
    "range-too-high": Case(server("command: x", "ports: {a: 65000-65536}"), ("E115 4:16",)),
    "ports-as-a-list": Case(server("command: x", 'ports: ["8000:8000"]'), ("E107 4:12",)),
    "main-port-twice": Case(server("command: x", "port: auto", "ports: {main: auto}"), ("E124 5:13",)),
    "localhost": Case(server("command: x", "port: auto", "host: localhost"), ("E120 5:11",)),
    "host-name": Case(server("command: x", "port: auto", "host: example.org"), ("E120 5:11",)),
    "same-port-twice": Case(
        "servers:\n  a: {command: x, port: 8000}\n  b:\n    command: y\n    ports: {http: 8000}\n",
        ("E310 5:19",),
    ),
    # --- checks -------------------------------------------------------------------------------------------
    "http-and-tcp": Case(
        server("command: x", "port: auto", "ready: {http: /health, tcp: true}"), ("E119 5:28",)
    ),
    "post-to-nobody": Case(
        server("command: x", "port: auto", "ready: {tcp: true, post: {a: 1}}"), ("E119 5:24",)
    ),
    "post-of-text": Case(server("command: x", "port: auto", "ready: {http: /, post: hello}"), ("E119 5:28",)),
    "not-a-path": Case(server("command: x", "port: auto", "ready: health"), ("E119 5:12",)),
    "bad-status": Case(server("command: x", "port: auto", "ready: {http: /, status: ok}"), ("E119 5:30",)),
    "bad-expression": Case(server("command: x", "ready: {log: 'up ('}"), ("E107 4:18",)),
    "alive-by-log": Case(server("command: x", "alive: {log: ok}"), ("E119 4:13",)),
    "ready-without-port": Case(server("command: x", "ready: /health"), ("E206 4:12",)),
    "ready-on-an-unknown-port": Case(
        server("command: x", "ports: {http: auto}", "ready: {tcp: htpp}"), ("E206 5:18",)
    ),
    # --- ${…} ---------------------------------------------------------------------------------------------
    "unterminated": Case(server("command: serve --port ${self.port", "port: auto"), ("E110 3:27",)),
    "no-name": Case(server("command: echo ${} ${1x}"), ("E110 3:19",)),
    "default-for-a-reference": Case(server("command: echo ${vars.x:-1}"), ("E110 3:19",)),
    "unset-variable": Case(
        server("command: serve ${MODLE} ${TOKEN_FILE:?where is it}"), ("E111 3:20", "E111 3:29")
    ),
    "unset-in-a-block": Case(
        "servers:\n  web:\n    shell: true\n    command: |\n      echo $HOME\n      echo ${NOPE} $$\n",
        ("E111 6:12",),
    ),
    "unknown-reference": Case(
        "servers:\n  llm: {command: x, port: auto}\n  web:\n    command: serve --llm ${lmm.url}\n"
        '    environment: {A: "${llm.uri}", B: \'${vars.model}\', C: "${stack.name}/${self.prot}"}\n',
        ("E112 4:26", "E112 5:23", "E112 5:40", "E112 5:74"),
    ),
    "reference-without-port": Case(
        "servers:\n  llm: {command: x}\n  web:\n    command: serve ${llm.url} ${self.port}\n",
        ("E112 4:20", "E112 4:31"),
    ),
    "reference-to-an-unknown-port": Case(
        server("command: serve ${self.ports.htpp}", "ports: {http: auto}"), ("E112 3:20",)
    ),
    "reference-where-none-can-be": Case(
        server("command: x", "port: auto", "working_dir: run/${self.port}"), ("E112 5:18",)
    ),
    "fd-without-inherit": Case(server("command: x --fd ${self.fd}", "port: auto"), ("E112 3:21",)),
    "circle-of-variables": Case(
        "vars:\n  a: x${vars.b}\n  b: ${vars.a}\n" + server("command: ${vars.a}"), ("E113 3:6",)
    ),
    "unknown-set": Case(
        "vars: {model: a}\n" + server("command: x ${vars.model}"),
        ("E123 -",),
        options={"set_vars": {"modle": "b"}},
    ),
    # --- files that are named -------------------------------------------------------------------------------
    "missing-env-file": Case(
        "env_file: [.env]\n" + server("command: x", "env_file: [a.env, {path: b.env, required: false}]"),
        ("E118 1:12", "E118 5:16"),
    ),
    "bad-env-file": Case(
        server("command: x", "env_file: a.env"),
        ("E118 2:1", "E118 3:5"),
        files={"a.env": "A=1\nnot a line\nKEY='open\n"},
    ),
    "missing-requirements": Case(server("command: x", "requirements: r.txt"), ("E127 4:19",)),
    "missing-requirements-in-a-list": Case(
        server("command: x", "requirements: [a, -r r.txt]"), ("E127 4:23",)
    ),
    "a-line-where-a-path-is-wanted": Case(
        server("command: x", "requirements: torch==2.13.0"), ("E107 4:19",)
    ),
    "a-map-of-requirements": Case(server("command: x", "requirements: {torch: 2}"), ("E107 4:19",)),
    "a-number-in-requirements": Case(server("command: x", "requirements: [torch, 3]"), ("E107 4:27",)),
    "python-as-a-number": Case(server("command: x", "requirements: [a]", "python: 3.10"), ("E107 5:13",)),
    "no-such-python": Case(
        server("command: x", "requirements: [a]", "python: /no/such/python"), ("E128 5:13",)
    ),
    "an-environment-of-somebody-else": Case(
        server("command: x", "venv: there", "requirements: [a]"), ("E121 4:11",), {"there": ""}
    ),
    "one-environment-for-two": Case(
        server("command: x", "venv: v", "requirements: [a<2]")
        + server("command: x", "venv: v", "requirements: [a>=2]", name="api").partition("\n")[2],
        ("E124 8:11",),
    ),
    "missing-venv": Case(server("command: x", "venv: .venvs/web"), ("E121 4:11",)),
    "problem-in-the-local-file": Case(
        server("command: x"),
        ("E115 3:11",),
        files={"stack.local.yaml": "servers:\n  web:\n    port: 80O0\n"},
    ),
    # --- the graph ----------------------------------------------------------------------------------------
    "cycle": Case(
        "name: rag\nservers:\n  embedder:\n    command: x\n    port: auto\n    depends_on: [index]\n"
        "  index:\n    command: y\n    depends_on: [embedder]\n",
        ("E201 6:18",),
    ),
    "long-cycle": Case(
        "servers:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: {c: started}}\n"
        "  c: {command: x, depends_on: {a: {condition: ready, restart: true}}}\n",
        ("E201 2:32",),
    ),
    "unknown-dependency": Case(
        "servers:\n  llm: {command: x}\njobs:\n  train: {command: y, depends_on: [lm, nobody]}\n",
        ("E202 4:36", "E202 4:40"),
    ),
    "self-dependency": Case(server("command: x", "depends_on: [web]"), ("E203 4:18",)),
    "done-server": Case(
        "servers:\n  llm: {command: x}\njobs:\n  train: {command: y, depends_on: {llm: done}}\n",
        ("E204 4:41",),
    ),
    "bad-condition": Case(
        "servers:\n  llm: {command: x}\njobs:\n  train: {command: y, depends_on: {llm: service_healthy}}\n",
        ("E107 4:41",),
    ),
    "everything-at-once": Case(
        server(
            "comand: x", "port: 8000:10", "depends_on: [webb]", "ready: {http: health}", "stop_grace: soon"
        ),
        ("E106 3:5", "E115 4:11", "E202 5:18", "E119 6:19", "E116 7:17"),
    ),
}

"""What `scripts/fuzz` throws at the stack file and at its `${…}`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from launchpad.errors import Refused
from launchpad.plan.read import read_stack
from launchpad.stack.jsonschema import json_schema
from launchpad.views.diagnostics import render, to_json

ENVIRON = {"HOME": "/home/user", "PATH": "/usr/bin:/bin", "PORT": "8080", "EMPTY": "", "ODD": "a${b}$$c\n"}
NAMES = ["a", "b", "llm", "train", "x-y", "A_1", "self", "vars", "stack", "1a", "", "é", "null"]
PIECES = [
    *(
        "${",
        "}",
        "$",
        "$$",
        "${self.port}",
        "${self.ports.main}",
        "${llm.url}",
        "${vars.a}",
        "${vars.b}",
        "${HOME}",
    ),
    *(
        "${NOPE}",
        "${NOPE:-x}",
        "${NOPE:?no}",
        "${EMPTY:-",
        "${a.url}",
        "${stack.dir}",
        "${ODD}",
        "${self",
        ".",
        ":",
        "-",
    ),
    *(
        " ",
        "'",
        '"',
        "\\",
        "\n",
        "\t",
        "|",
        "&&",
        ">",
        "a",
        "--port",
        "8000",
        "8000-8100",
        "auto",
        "\x00",
        "\u2028",
        "é",
    ),
]
text = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**6)
    | st.floats()
    | text
    | st.sampled_from(
        [
            "5s",
            "500ms",
            "1h",
            "10m",
            "-1s",
            "64KB",
            "2GB",
            "SIGTERM",
            "always",
            "on-failure",
            "ready",
            "/health",
        ]
    )
    | st.sampled_from(NAMES)
)


def keys() -> tuple[list[str], list[str], list[str]]:
    """Of the file, of a service, and all that occur anywhere, from the schema."""
    schema = json_schema()
    every: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            every.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    services = [
        d.get("properties", {})
        for d in schema.get("$defs", {}).values()
        if "command" in d.get("properties", {})
    ]
    return list(schema["properties"]), sorted({key for one in services for key in one}), sorted(every)


TOP, SERVICE, EVERY = keys()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(EVERY) | st.sampled_from(NAMES) | text, inner, max_size=4)
    ),
    max_leaves=8,
)
services = st.fixed_dictionaries({"command": text | st.lists(text, max_size=4)}) | values
services = st.tuples(services, st.dictionaries(st.sampled_from(SERVICE), values, max_size=4)).map(
    lambda pair: {**pair[0], **pair[1]} if isinstance(pair[0], dict) else pair[0]
)
several = st.dictionaries(st.sampled_from(NAMES), services, max_size=4)
stacks = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TOP, values),
        "servers": several,
        "jobs": several,
        "vars": st.dictionaries(st.sampled_from(["a", "b"]), scalars),
    },
)


def dumped(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True, default_flow_style=None).encode("utf-8", "surrogatepass")


def spoiled(parts: tuple[bytes, list[tuple[int, int, bytes]]]) -> bytes:
    data = bytearray(parts[0])
    for at, length, new in parts[1]:
        at %= len(data) + 1
        data[at : at + length] = new
    return bytes(data)


edits = st.tuples(
    st.integers(0, 4096),
    st.sampled_from([0, 0, 1, 2, 8]),
    st.binary(max_size=3)
    | st.sampled_from(
        [b"&a ", b"*a", b"<<: ", b"!!x ", b"\t", b"- ", b"? ", b"---\n", b"\xff", b"|\n", b"{", b"["]
    ),
)
files = st.tuples(stacks.map(dumped), st.lists(edits, max_size=3)).map(spoiled)
env_files = st.lists(st.tuples(st.sampled_from(["A", "B", "1", "", "é"]), text), max_size=4).map(
    lambda pairs: "\n".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "surrogatepass")
)


def refused_or_read(file: Path) -> None:
    """Loads, plans, draws what is wrong. Anything but Refused is a find."""
    try:
        found = read_stack(file, environ=ENVIRON).warnings
    except Refused as refused:
        found = refused.diagnostics
        assert found, "a refusal says why"
    assert not [one for one in found if one.code.startswith("E9")], found
    drawn = render(found, color=False)
    assert "Traceback" not in drawn
    json.dumps([to_json(one) for one in found])
    for one in found:
        for label in one.labels:
            assert label.span.line >= 1, one
            assert (label.span.end_line, label.span.end_column) >= (label.span.line, label.span.column), one


@contextmanager
def stack_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yaml"

        def once(parts: tuple[bytes, bytes | None, bytes]) -> None:
            file.write_bytes(parts[0])
            local = file.with_name("stack.local.yaml")
            local.unlink(missing_ok=True)
            if parts[1] is not None:
                local.write_bytes(parts[1])
            (Path(folder) / ".env").write_bytes(parts[2])
            refused_or_read(file)

        yield once, st.tuples(files, st.none() | files, env_files)


@contextmanager
def template_target() -> Iterator[tuple[Callable[[Any], None], st.SearchStrategy[Any]]]:
    """Texts with `${…}` in them at every place that takes one, in a stack that is in order but for these."""
    places = ["working_dir", "venv", "port", "env_file", "stop_signal", "stop_grace", "restart", "watch"]
    places += ["output", "host", "profiles", "retries"]
    checks = st.dictionaries(
        st.sampled_from(["http", "tcp", "exec", "log", "file", "timeout", "body", "status"]), text, max_size=2
    )
    one = st.fixed_dictionaries(
        {"command": text},
        optional={
            **dict.fromkeys(places, text),
            "ready": text | checks,
            "alive": checks,
            "environment": st.dictionaries(st.sampled_from(["X", "Y", "LLM_URL"]), text, max_size=2),
        },
    )
    inputs = st.fixed_dictionaries(
        {"servers": st.fixed_dictionaries({"llm": one}, optional={"a": one})},
        optional={
            "vars": st.dictionaries(st.sampled_from(["a", "b"]), text),
            "name": text,
            "jobs": st.fixed_dictionaries({"train": one}),
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yaml"

        def once(stack: dict[str, Any]) -> None:
            file.write_bytes(dumped(stack))
            refused_or_read(file)

        yield once, inputs

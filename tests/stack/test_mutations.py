"""No half-written file makes `load` do anything but load or refuse."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launchpad.errors import Diagnostic, Refused
from launchpad.plan.read import read_stack
from launchpad.views.diagnostics import render, to_json
from tests.stack.writing import ENVIRON

REALISTIC = """\
# a stack as people write it
name: grpo
vars: {model: "Qwen/Qwen3-0.6B", limit: 3}
x-common: &common
  environment: {LOG_LEVEL: "${LEVEL:-info}", HF_HOME: /models}
  stop_grace: 30s
defaults:
  restart: on-failure
servers:
  llm:
    <<: *common
    command: vllm serve ${vars.model} --host ${self.host} --port ${self.port}
    port: 8030-8099
    ready: {http: /health, timeout: 10m, status: [200, 204], headers: {X-Key: "${vars.model}"}}
    alive: {tcp: true, interval: 5s, failures: 3}
  reward:
    command: [python, -m, uvicorn, "reward:app", --port, "${self.port}"]
    port: ${PORT:-8100-8199}
    ready: http://127.0.0.1:${self.port}/healthz
    watch: [reward/**/*.py]
    on_change: {signal: SIGHUP}
jobs:
  train:
    shell: true
    command: |
      for i in 1 2; do
        echo "$i" '${llm.url}' $$ ${HOME}
      done
    depends_on: {llm: {condition: ready, restart: true}, reward: started}
    ports: {master: 29500-29599}
    output: [console, {file: logs/train.log, rotate: 50MB, keep: 5}, jsonl]
    retries: ${vars.limit}
    backoff: {initial: 500ms, max: 1m, factor: 2}
    profiles: [gpu]
when_supervisor_dies: stop
"""
BYTES = REALISTIC.encode()
INTERESTING = [
    b"\t",
    b"\n",
    b":",
    b"${",
    b"}",
    b"[",
    b"]",
    b"{",
    b'"',
    b"'",
    b"- ",
    b"*",
    b"&a ",
    b"<<: ",
    b"\x00",
    b"\xff",
    b"#",
    b"!",
    b"|",
    b">",
    b"null",
    b"0755",
    b"  ",
    b"\r",
    "\u2028".encode(),
    b"?",
    b"%",
    b"$$",
    b"${self.port}",
    b"${vars.",
    b"---\n",
    b"...",
]


def read(data: bytes) -> tuple[Diagnostic, ...]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yaml"
        file.write_bytes(data)
        try:
            found = read_stack(file, environ=ENVIRON).warnings
        except Refused as refused:
            found = refused.diagnostics
            assert found
        text = render(found, color=False)
        assert len(text) < 1_000_000
        for one in found:
            to_json(one)
            for label in one.labels:
                span = label.span
                assert span.line >= 1
                assert span.column >= 1
                assert (span.end_line, span.end_column) >= (span.line, span.column)
    return found


def test_it_is_fine_as_it_is() -> None:
    assert not [one for one in read(BYTES) if one.is_error]


def prefixes() -> Iterator[int]:
    yield from range(0, len(BYTES), 3)


def test_every_prefix() -> None:
    for end in prefixes():
        read(BYTES[:end])


def test_every_line_taken_out() -> None:
    lines = BYTES.splitlines(keepends=True)
    for index in range(len(lines)):
        read(b"".join(lines[:index] + lines[index + 1 :]))


def test_every_word_replaced() -> None:
    words = REALISTIC.split(" ")
    for index in range(len(words)):
        for other in ("null", "[]", "{}", "7", "true", "''", "${NOPE}", "${self.url}", "[[a]]", "{a: b}"):
            read(" ".join([*words[:index], other, *words[index + 1 :]]).encode())


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutations(data: st.DataObject) -> None:
    text = bytearray(BYTES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        until = min(len(text), at + data.draw(st.sampled_from([0, 0, 1, 2, 5, 20])))
        text[at:until] = data.draw(st.sampled_from(INTERESTING) | st.binary(max_size=3))
    read(bytes(text))


@pytest.mark.parametrize("size", [10, 1000, 30_000])
def test_floods(size: int) -> None:
    for piece in (
        b"${",
        b"$",
        b"[",
        b"{",
        b"- ",
        b"a: ",
        b"'",
        b'"',
        b"&a ",
        b"*a ",
        b"? ",
        b"!",
        b"|\n",
        b"\\",
        b"a.",
        b"${a.b}",
    ):
        read(b"servers:\n  a:\n    command: " + piece * size)
        read(b"servers:\n  a:\n    command: '" + piece * size + b"'\n")

"""P4 ready means this process; P5 no fixed sleeps; P6 one address. And every kind of readiness, end to end."""

from __future__ import annotations

import ipaddress
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import PRETEND, Stack, eventually, fire, free_ports, get, in_order

# --- P4: ready means this process ------------------------------------------------------------------------


@contextmanager
def stranger(port: int, *more: str, called: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A program of somebody else that answers 200 on the port; tries until it can bind."""
    python, *rest = PRETEND.split()
    process = subprocess.Popen(
        [called or python, *rest, "--port", str(port), "--name", "stranger", *more],
        executable=python,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # found by its name otherwise
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: process.poll() is not None or answers(port), "the stranger listens")
        assert process.poll() is None, "the stranger could not bind"
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        return get(f"http://127.0.0.1:{port}/health", 5).status_code == 200
    except httpx.HTTPError:
        return False


def named(stack: Stack, code: str, *words: str) -> str:
    """Everything that is wrong with the stack now, once it says this."""

    def said(snapshot: object) -> bool:
        text = str(snapshot)
        return code in text and all(word in text for word in words)

    return str(stack.wait_for(said).diagnostics)


def test_p4_stranger_slips_in_before_the_child_listens(make_stack: Make) -> None:
    """P4: the child loads; a program with SO_REUSEADDR takes its port and answers 200: named, and not ready."""
    port = free_ports(1)
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}} --ready-after never", port: {port}, ready: /health}}
        jobs:
          train: {{command: PRETEND --mark marks, depends_on: [llm]}}
    """)
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    with stranger(port) as other:
        named(stack, "E403", f"pid {other.pid}", "launchpad.pretend", "stranger")
        row = stack.ps()["llm"]
        assert row["state"] == "starting"
        assert stack.cli("url", "llm").returncode == 1, "an address that is not its own is not handed out"
        assert not stack.marks()
        stack.down()
        assert other.poll() is None, "the stranger is left alone"


def test_p4_given_up_by_name(make_stack: Make) -> None:
    """P4: `owner: any`, for a port that somebody else opens for the service, as a container engine does: whoever answers counts,
    and `ps` and `events` say so. Who has not said it is told of it when it is an engine that answers."""
    port = free_ports(1)
    text = f"""
        servers:
          db: {{command: PRETEND, ports: {{main: {port}}}, environment: {{PORT: ""}},
               ready: {{http: /health, owner: any}}, alive: {{http: /health, owner: any, interval: 1s}}}}
        jobs: {{use: {{command: PRETEND --exit 0, depends_on: [db]}}}}
    """
    stack = make_stack(text)
    stack.start("up", "-d")
    stack.wait_state("db", "starting")
    with stranger(port, called="/usr/bin/docker-proxy") as other:
        stack.wait_state("use", "done")
        (hold,) = stack.ps()["db"]["holds"]
        assert (hold["kind"], hold["text"]) == ("owner", "whoever answers on its port counts (`owner: any`)")
        assert "owner: any" in stack.cli("ps").stdout
        seen = [event["text"] for event in stack.events() if event["what"] == "probe"]
        assert any(f"pid {other.pid} `docker-proxy" in text and "not `db`" in text for text in seen), seen
        stack.write(text.replace(", owner: any", "").replace("PRETEND, ports", "PRETEND --name db, ports"))
        said = named(stack, "E403", f"pid {other.pid}", "docker-proxy")
        assert "`owner: any` beside `http` or `tcp` in `ready`" in said
    stack.down()


def test_p4_becomes_ready_once_the_stranger_is_gone(make_stack: Make) -> None:
    """P4: nothing is given up while there is hope: the stranger ends, the child answers, the dependent starts."""
    port = free_ports(1)
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}} --ready-when go", port: {port}, ready: /health}}
        jobs:
          train: {{command: "PRETEND --exit 0 --mark marks", depends_on: [llm]}}
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    with stranger(port) as other:
        named(stack, "E403", f"pid {other.pid}")
    fire(stack.folder / "go")
    stack.wait_up()
    assert not stack.client.status().diagnostics
    stack.cli("wait", "train", check=0)
    stack.down()


def test_p4_sharer_of_the_port(make_stack: Make) -> None:
    """P4, llama-server: both set SO_REUSEPORT, so the kernel lets a stranger share the port and splits the
    connections between them: named, and not ready until it is gone."""
    port = free_ports(1)
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --port ${{self.port}} --reuse-port --loading bound --ready-when go
            port: {port}
            ready: /health
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    with stranger(port, "--reuse-port") as other:
        fire(stack.folder / "go")
        named(stack, "E403", f"pid {other.pid}")
        assert stack.ps()["llm"]["state"] == "starting"
    assert stack.wait_state("llm", "ready")
    stack.down()


def test_p4_without_readiness_the_port_has_to_be_its_own(make_stack: Make) -> None:
    """P4: no `ready` at all: a connection that a stranger accepts is not readiness either."""
    port = free_ports(1)
    stack = make_stack(f"""
        servers: {{llm: {{command: "PRETEND --port ${{self.port}} --ready-after never", port: {port}}}}}
    """)
    stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    with stranger(port) as other:
        named(stack, "E403", f"pid {other.pid}")
        assert stack.ps()["llm"]["state"] == "starting"
    stack.down()


def test_p4_child_of_a_child_is_its_own(make_stack: Make) -> None:
    """P4: the listener may be a grandchild in a session of its own (vllm, torchrun): that is no stranger."""
    stack = make_stack("""
        servers:
          llm:
            shell: true
            command: "setsid PRETEND --port ${self.port} & wait"
            port: auto
            ready: /health
    """)
    stack.up()
    stack.down()


# --- P5: no fixed sleeps ---------------------------------------------------------------------------------

STAMP = "sh -c 'date +%s%N >> started'"


def latencies_ms(stack: Stack, server: str = "llm") -> list[float]:
    """From a server's own mark of readiness to the exec of what waits for it."""
    ready = [mark.at for mark in stack.marks_of(server, "ready")]
    started = [int(line) for line in (stack.folder / "started").read_text().split()]
    return [(after - before) / 1e6 for before, after in zip(ready, started, strict=True)]


@pytest.mark.heavy
def test_p5_dependent_follows_readiness(make_stack: Make) -> None:
    """P5: order only is asserted; the latency from readiness to the dependent's exec is printed."""
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --port ${{self.port}} --ready-after 400ms --mark marks --name llm
            port: auto
            ready: /health
        jobs:
          train: {{command: "{STAMP}", depends_on: [llm]}}
    """)
    for _ in range(5):
        stack.cli("run", "train", check=0)
    found = latencies_ms(stack)
    assert len(found) == 5
    assert min(found) > 0, "never before it is ready"
    print(f"\nready -> exec: median {statistics.median(found):.1f} ms, all {[round(n, 1) for n in found]}")


def test_p5_chain(make_stack: Make) -> None:
    """P5: a chain of five: each starts after the one before it is ready; the latencies are printed."""
    servers = "".join(
        f"""
          s{n}: {{command: "PRETEND --port ${{self.port}} --mark marks --name s{n}", port: auto, ready: /health,
                 depends_on: [{f"s{n - 1}" if n else ""}]}}"""
        for n in range(5)
    )
    stack = make_stack(f"\n        servers:{servers}\n")
    stack.up()
    moments = []
    for n in range(5):
        moments += [stack.first(f"s{n}", "start").at, stack.first(f"s{n}", "ready").at]
    assert in_order(moments)
    steps = [(moments[n + 1] - moments[n]) / 1e6 for n in range(1, len(moments) - 1, 2)]
    print(f"\nready -> first line of the next (interpreter included): {[round(s, 1) for s in steps]} ms")
    stack.down()


@pytest.mark.parametrize(
    "loading",
    ["--loading refused", "--loading bound", "--loading 503", "--loading 400", "--loading silent"],
)
def test_p5_no_interval_is_waited_for(make_stack: Make, loading: str) -> None:
    """P5, process-compose (measured: 10 s), Aspire #6112: `interval: 10m` is for later; a server that refuses,
    answers 503, or accepts and stays silent while it loads holds up its dependent no longer than it loads."""
    stack = make_stack(f"""
        servers:
          llm:
            command: PRETEND --port ${{self.port}} --ready-after 700ms {loading} --mark marks --name llm
            port: auto
            ready: {{http: /health, interval: 10m, probe_timeout: 10m}}
        jobs:
          train: {{command: "{STAMP}", depends_on: [llm]}}
    """)
    stack.cli("run", "train", check=0, timeout=50)
    (latency,) = latencies_ms(stack)
    assert latency > 0
    print(f"\n{loading}: ready -> exec {latency:.1f} ms")


def test_p5_what_is_seen_meanwhile_is_told(make_stack: Make) -> None:
    """P5, Tilt #4751: while it waits, `ps` says what the probes see."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --loading 503 --ready-when go", port: auto, ready: /health}
        jobs:
          train: {command: "PRETEND --exit 0", depends_on: [llm]}
    """)
    stack.pipe("go")
    stack.start("up", "-d")
    stack.wait_for(lambda s: any("503" in view.seen for view in s.services))
    holds = stack.ps()["train"]["holds"]
    assert [(hold["kind"], hold["on"]) for hold in holds] == [("need", "llm")]
    assert "llm" in stack.cli("ps").stdout
    fire(stack.folder / "go")
    stack.cli("wait", "train", check=0)
    stack.down()


# --- P6: one address -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "127.0.0.2"])
def test_p6_what_is_handed_out_is_literal(make_stack: Make, host: str) -> None:
    """P6: PORT, the dependents' variables, references, `url`, `ps`: a literal IP that answers."""
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port ${{self.port}} --bind '${{self.host}}'", host: "{host}", port: auto, ready: /health}}
          web:
            command: PRETEND --show-env LLM_URL --show-env LLM_HOST --show-env LLM_PORT --show-env REF
            port: auto
            environment: {{REF: "${{llm.url}} ${{llm.host}} ${{llm.port}}"}}
            depends_on: [llm]
    """)
    stack.up()
    row = stack.ps()["llm"]
    got = get(f"{stack.ps()['web']['url']}/env").json()
    ipaddress.ip_address(got["LLM_HOST"])
    bracketed = f"[{got['LLM_HOST']}]" if ":" in got["LLM_HOST"] else got["LLM_HOST"]
    assert got["LLM_URL"] == f"http://{bracketed}:{got['LLM_PORT']}" == row["url"]
    assert got["REF"] == f"{got['LLM_URL']} {got['LLM_HOST']} {got['LLM_PORT']}"
    assert stack.cli("url", "llm", check=0).stdout == f"{got['LLM_URL']}\n"
    assert get(f"{got['LLM_URL']}/").json()["pid"] == row["pid"]
    assert "localhost" not in str(stack.client.status())
    stack.down()


def test_p6_localhost_is_refused(make_stack: Make) -> None:
    """P6: `localhost` is two addresses: said with its place, before anything is started."""
    stack = make_stack('servers:\n  llm: {command: PRETEND --mark marks, port: auto, host: "localhost"}\n')
    done = stack.cli("up", check=2)
    assert "127.0.0.1" in done.stderr
    assert "stack.yaml:2:" in done.stderr
    assert not stack.marks()


@pytest.mark.parametrize("where", ["another port", "another port, by a grandchild"])
def test_p6_listens_elsewhere(make_stack: Make, where: str) -> None:
    """P6: it listens, but not where launchpad knocks: said while it waits, with both addresses and the pid."""
    other = free_ports(1)
    how = {
        "another port": f"PRETEND --port {other}",
        "another port, by a grandchild": f"PRETEND --fork wrapper --port {other}",
    }[where]
    stack = make_stack(f"""
        servers: {{llm: {{command: "{how}", port: auto, ready: /health}}}}
        jobs: {{train: {{command: PRETEND --mark marks, depends_on: [llm]}}}}
    """)
    stack.start("up", "-d")
    port = stack.wait_state("llm", "starting").ports["main"]
    named(stack, "E402", f"127.0.0.1:{port}", f"127.0.0.1:{other}", "pid ")
    assert not stack.marks()
    stack.down()


def test_p6_the_other_family_is_given_up_at_once(make_stack: Make) -> None:
    """P6: it listens on ::1 where 127.0.0.1 is probed: waiting cannot help; both addresses, the pid, exit 1."""
    stack = make_stack("""
        servers: {llm: {command: "PRETEND --port ${self.port} --bind ::1", port: auto, ready: /health}}
        jobs: {train: {command: PRETEND --mark marks, depends_on: [llm]}}
    """)
    said = stack.cli("up", check=1).stderr
    port = re.search(r"\[::1\]:(\d+)", said)
    assert port, said
    assert f"127.0.0.1:{port[1]}" in said
    assert "E402" in said
    assert "pid " in said
    assert "`train`" in said
    assert not stack.marks()
    assert not stack.survivors()


def test_p6_given_up_with_both_addresses(make_stack: Make) -> None:
    """P6: past `timeout` it is given up, with what was knocked at and what listens, and exit 1."""
    other = free_ports(1)
    stack = make_stack(f"""
        servers:
          llm: {{command: "PRETEND --port {other}", port: auto, ready: {{http: /health, timeout: 2s}}, restart: never}}
        jobs: {{train: {{command: PRETEND --mark marks, depends_on: [llm]}}}}
    """)
    done = stack.cli("up", check=1)
    assert "E402" in done.stderr
    assert f"127.0.0.1:{other}" in done.stderr
    assert "`train`" in done.stderr
    assert not stack.marks()
    assert not stack.survivors()

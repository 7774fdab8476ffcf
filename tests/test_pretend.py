"""`launchpad pretend`: every test takes the word of the kernel, a pipe or a file, not of the actor alone."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEADLINE_S = 30.0
QUIET_ENVIRONMENT = {
    k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "PORT", "NOTIFY_SOCKET")
}


class Rehearsal:
    """A started actor, its pipes, and what it wrote."""

    def __init__(
        self, arguments: tuple[str, ...], environment: dict[str, str], pass_fds: tuple[int, ...]
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launchpad.pretend", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=QUIET_ENVIRONMENT | environment,
            pass_fds=pass_fds,
            bufsize=0,
        )
        self.port = 0

    def line(self) -> str:
        """The next line on stdout, without its newline."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip("\n")

    def error_line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode().rstrip("\n")

    def waiting_bytes(self) -> bool:
        """Whether there is anything to read on stdout now."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def get(self, target: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection(host, self.port, timeout=DEADLINE_S)
        with contextlib.closing(connection):
            connection.request(method, target)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")

    def end(self) -> int:
        return self.process.wait(DEADLINE_S)


Start = Callable[..., Rehearsal]


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[Rehearsal] = []

    def start(
        *arguments: str, environment: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()
    ) -> Rehearsal:
        rehearsal = Rehearsal(arguments, environment or {}, pass_fds)
        begun.append(rehearsal)
        if "0" in [b for a, b in itertools.pairwise(arguments) if a == "--port"]:
            announced = rehearsal.line()
            assert " port " in announced, rehearsal.error_line()
            rehearsal.port = int(announced.rpartition(" ")[2])
        return rehearsal

    yield start
    for rehearsal in begun:
        rehearsal.process.kill()
        rehearsal.process.communicate()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def fire(gate: Path) -> None:
    gate.open("wb").close()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def marks(path: Path) -> list[str]:
    return [line.split()[2] for line in path.read_text().splitlines()] if path.exists() else []


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exits_with_the_code_asked_for(start: Start, code: int) -> None:
    assert start("--exit", str(code)).end() == code


def test_without_an_end_it_lives_until_a_signal_ends_it(start: Start, tmp_path: Path) -> None:
    actor = start("--print", "here", "--mark", str(tmp_path / "m"))
    assert actor.line() == "here"
    eventually(lambda: "ready" in marks(tmp_path / "m"))
    actor.process.terminate()
    assert actor.end() == -signal.SIGTERM
    assert marks(tmp_path / "m") == ["start", "ready", "SIGTERM", "exit"]


def test_exit_after_a_time_also_while_it_still_loads(start: Start, tmp_path: Path) -> None:
    actor = start("--ready-after", "never", "--exit", "4", "--after", "50ms", "--mark", str(tmp_path / "m"))
    assert actor.end() == 4
    assert marks(tmp_path / "m") == ["start", "exit"]


def test_exit_when_a_pipe_is_opened(start: Start, gate: Path) -> None:
    actor = start("--exit", "5", "--exit-when", str(gate))
    fire(gate)
    assert actor.end() == 5


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_crashes_by_the_signal_asked_for(start: Start, name: str) -> None:
    assert start("--crash-after", "10ms", "--crash-with", name).end() == -signal.Signals[name]


def test_crashes_and_exits_on_request(start: Start) -> None:
    for target, code in (("/crash", -signal.SIGKILL), ("/exit?code=6", 6)):
        actor = start("--port", "0")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            actor.get(target)
        assert actor.end() == code


# --- signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_deaf_to_every_polite_signal(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    actor = start("--port", "0", "--ignore-term", "--mark", str(tmp_path / "m"))
    actor.process.send_signal(number)
    eventually(lambda: number.name in marks(tmp_path / "m"))
    assert actor.get("/health")[0] == 200
    actor.process.kill()
    assert actor.end() == -signal.SIGKILL


def test_dies_of_a_signal_even_when_nobody_reads_its_output(start: Start, tmp_path: Path) -> None:
    actor = start("--spam", "1MB", "--mark", str(tmp_path / "m"))
    eventually(actor.waiting_bytes)
    actor.process.terminate()
    assert actor.end() == -signal.SIGTERM
    assert "ready" not in marks(tmp_path / "m")


def test_slow_stop_serves_on_and_then_exits_zero(start: Start, tmp_path: Path) -> None:
    actor = start("--port", "0", "--term-after", "1s", "--mark", str(tmp_path / "m"))
    asked = time.time_ns()
    actor.process.terminate()
    assert actor.end() == 0
    lines = {line.split()[2]: int(line.split()[0]) for line in (tmp_path / "m").read_text().splitlines()}
    assert lines["SIGTERM"] >= asked
    assert lines["exit"] - lines["SIGTERM"] >= 1_000_000_000


def test_stops_with_a_code_of_its_own(start: Start) -> None:
    actor = start("--print", "x", "--term-exit", "7")
    actor.line()
    actor.process.terminate()
    assert actor.end() == 7


def test_survives_a_signal_and_says_so(start: Start) -> None:
    actor = start("--survive", "HUP", "--survive", "SIGUSR1", "--print", "up", "--name", "llm")
    assert actor.line() == "up"
    for number in (signal.SIGHUP, signal.SIGUSR1):
        actor.process.send_signal(number)
        assert actor.line() == f"llm: got {number.name}"


# --- serving and readiness -------------------------------------------------------------------------------------------


def test_answers_a_status_while_it_loads(start: Start, gate: Path, tmp_path: Path) -> None:
    for status in (503, 400):
        actor = start(
            "--port", "0", "--loading", str(status), "--ready-when", str(gate), "--log-line", "open now"
        )
        assert actor.get("/health") == (status, {"status": "loading"})
        fire(gate)
        assert actor.line() == "open now"
        assert actor.get("/health") == (200, {"status": "ok"})


@pytest.mark.parametrize("how", ["refused", "bound"])
def test_refuses_while_it_loads(start: Start, gate: Path, how: str) -> None:
    port = free_port()
    loading = ("--loading", how, "--ready-when", str(gate), "--stderr", "loading")
    actor = start("--port", str(port), *loading, "--log-line", "open now")
    actor.port = port
    assert actor.error_line() == "loading"
    assert can_bind(port) == (how == "refused")
    with pytest.raises(ConnectionRefusedError):
        actor.get("/health")
    fire(gate)
    assert actor.line() == "open now"
    assert actor.get("/health")[0] == 200


def test_silent_while_it_loads_leaves_early_clients_without_an_answer(start: Start, gate: Path) -> None:
    actor = start("--port", "0", "--loading", "silent", "--ready-when", str(gate), "--log-line", "open now")
    with socket.create_connection(("127.0.0.1", actor.port)) as early:
        early.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: receive_queue_is_empty_at(actor.port))
        fire(gate)
        assert actor.line() == "open now"
        assert actor.get("/health")[0] == 200
        early.setblocking(False)
        with pytest.raises(BlockingIOError):
            early.recv(1)


def test_freezes_on_request(start: Start) -> None:
    actor = start("--port", "0")
    assert actor.get("/freeze")[0] == 200
    with socket.create_connection(("127.0.0.1", actor.port), timeout=0.5) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_freezes_after_a_time(start: Start) -> None:
    actor = start("--port", "0", "--freeze-after", "10ms")

    def frozen() -> bool:
        with socket.create_connection(("127.0.0.1", actor.port), timeout=0.5) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                return client.recv(1) == b""
            except TimeoutError:
                return True

    eventually(frozen)


def test_becomes_unhealthy_by_time_and_by_request(start: Start) -> None:
    by_time = start("--port", "0", "--alive-for", "10ms")
    eventually(lambda: by_time.get("/health") == (500, {"status": "unhealthy"}))
    assert by_time.get("/")[0] == 200
    by_request = start("--port", "0")
    assert by_request.get("/health")[0] == 200
    by_request.get("/unhealthy")
    assert by_request.get("/health")[0] == 500


def test_small_answers(start: Start) -> None:
    actor = start(
        "--port", "0", "--name", "llm", "--show-env", "SHOWN", environment={"SHOWN": "1", "HIDDEN": "2"}
    )
    about = actor.get("/")[1]
    assert (about["name"], about["pid"]) == ("llm", actor.process.pid)
    assert actor.get("/v1/models")[1]["data"][0]["id"] == "llm"  # type: ignore[index]
    assert actor.get("/env")[1] == {"SHOWN": "1"}
    assert actor.get("/nothing")[0] == 404
    assert actor.get("/health", method="HEAD") == (200, {})
    assert actor.get("/spam?bytes=much")[0] == 400


def test_one_connection_carries_many_requests_also_with_bodies(start: Start) -> None:
    actor = start("--port", "0")
    connection = http.client.HTTPConnection("127.0.0.1", actor.port, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        for body in (b"", b'{"prompt": "a"}', b"x" * 100_000):
            connection.request("POST", "/health", body)
            assert connection.getresponse().read() == b'{"status": "ok"}\n'
            assert connection.sock is not None


def test_nonsense_is_answered_with_400(start: Start) -> None:
    actor = start("--port", "0")
    with socket.create_connection(("127.0.0.1", actor.port), timeout=DEADLINE_S) as client:
        client.sendall(b"hello\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_port_from_the_environment_yields_to_the_option(start: Start) -> None:
    port = free_port()
    actor = start("--log-line", "up", environment={"PORT": str(port)})
    actor.port = port
    assert actor.line() == "up"
    assert actor.get("/health")[0] == 200
    other = start("--port", "0", environment={"PORT": str(port)})
    assert other.port != port


def test_binds_ipv6_only_when_asked(start: Start) -> None:
    actor = start("--port", "0", "--bind", "::1")
    assert actor.get("/health", host="::1")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        actor.get("/health")


def test_a_taken_port_ends_it_with_a_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        actor = start("--port", str(port))
        assert actor.error_line() == f"pretend: cannot serve on 127.0.0.1 port {port}: Address already in use"
        assert actor.end() == 1


def test_no_reuse_stumbles_over_a_port_in_time_wait(start: Start) -> None:
    first = start("--port", "0")
    with socket.create_connection(("127.0.0.1", first.port), timeout=DEADLINE_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        while client.recv(1000):
            pass  # the server closed first, so its side of the connection goes to TIME_WAIT
    first.process.kill()
    first.end()
    assert start("--port", str(first.port), "--no-reuse").end() == 1
    assert start("--port", str(first.port), "--log-line", "up").line() == "up"


def test_reuse_port_lets_two_share(start: Start) -> None:
    first = start("--port", "0", "--reuse-port")
    assert start("--port", str(first.port), "--reuse-port", "--log-line", "up").line() == "up"
    assert start("--port", str(first.port)).end() == 1


def test_serves_on_an_inherited_socket_and_finds_early_clients_waiting(start: Start, gate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        actor = start("--fd", str(descriptor), "--ready-when", str(gate), pass_fds=(descriptor,))
        actor.port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", actor.port), timeout=DEADLINE_S) as early:
            early.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
            fire(gate)
            assert early.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_descriptor_that_does_not_listen_is_refused(start: Start) -> None:
    with socket.socket() as idle:
        actor = start("--fd", str(idle.fileno()), pass_fds=(idle.fileno(),))
        assert "does not listen" in actor.error_line()
        assert actor.end() == 1


@pytest.mark.parametrize("abstract", [False, True])
def test_notifies_when_ready_and_not_before(start: Start, gate: Path, tmp_path: Path, abstract: bool) -> None:
    address = f"@launchpad-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + address[1:] if abstract else address)
        receiver.settimeout(DEADLINE_S)
        touched = tmp_path / "touched"
        actor = start(
            *("--notify", "--touch", str(touched), "--ready-when", str(gate), "--stderr", "loading"),
            environment={"NOTIFY_SOCKET": address},
        )
        assert actor.error_line() == "loading"
        assert not touched.exists()
        assert not select.select([receiver], [], [], 0)[0]
        fire(gate)
        assert receiver.recv(100) == b"READY=1"
        assert touched.exists()


def test_busy_uses_the_processor_while_it_loads(start: Start, gate: Path) -> None:
    actor = start("--busy", "--ready-when", str(gate), "--log-line", "up")
    eventually(lambda: processor_s(actor.process.pid) > 0.5)
    fire(gate)
    assert actor.line() == "up"


# --- output ----------------------------------------------------------------------------------------------------------


def test_spam_is_exact_and_numbered_without_a_gap(start: Start) -> None:
    actor = start("--spam", "250250", "--exit", "0")
    output, _ = actor.process.communicate(timeout=DEADLINE_S)
    assert len(output) == 250_250
    assert output.endswith(b".\n")
    assert [int(line[:12]) for line in output.splitlines()] == list(range(2503))


def test_spam_at_a_rate_does_not_hold_up_readiness(start: Start) -> None:
    actor = start("--spam", "90KB", "--spam-rate", "3KB/s", "--log-line", "up")
    lines = [actor.line() for _ in range(100)]  # all 900 would take 30 s
    assert lines.count("up") == 1
    lines.remove("up")
    assert [int(line[:12]) for line in lines] == list(range(99))


def test_a_request_that_logs_stands_still_until_somebody_reads(start: Start) -> None:
    actor = start("--port", "0")
    with socket.create_connection(("127.0.0.1", actor.port), timeout=DEADLINE_S) as client:
        client.sendall(b"GET /spam?bytes=1MB HTTP/1.1\r\nConnection: close\r\n\r\n")
        eventually(actor.waiting_bytes)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        assert actor.process.stdout is not None
        read = 0
        while read < 1_000_000:
            read += len(actor.process.stdout.read(65536))
        client.settimeout(DEADLINE_S)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_prints_again_and_again_and_fills_in(start: Start) -> None:
    actor = start("--print", "{name} {n} {pid} {other}", "--every", "10ms", "--name", "job")
    assert [actor.line() for _ in range(3)] == [f"job {n} {actor.process.pid} {{other}}" for n in (1, 2, 3)]
    assert start("--every", "10ms").line() == "tick 1"


def test_buffers_like_python_only_when_told_to(start: Start) -> None:
    buffered = start("--print", "hello", "--stderr", "printed", "--no-flush", "--term-exit", "0")
    assert buffered.error_line() == "printed"
    assert not buffered.waiting_bytes()
    buffered.process.terminate()
    assert buffered.line() == "hello"
    unbuffered = start(
        "--print", "hello", "--stderr", "printed", "--no-flush", environment={"PYTHONUNBUFFERED": "1"}
    )
    for actor in (unbuffered, start("--print", "hello", "--stderr", "printed")):
        assert actor.error_line() == "printed"
        assert actor.waiting_bytes()


# --- what it leaves behind -------------------------------------------------------------------------------------------


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pids"
    yield path
    for pid in read_pids(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["plain", "setsid", "double"])
def test_leaves_a_process_behind(start: Start, left_behind: Path, kind: str) -> None:
    actor = start("--fork", kind, "--pids", str(left_behind), "--print", "up")
    assert actor.line() == "up"
    eventually(lambda: read_pids(left_behind))
    (pid,) = read_pids(left_behind)
    parent, session = parent_and_session(pid)
    assert (parent == actor.process.pid) == (kind != "double")
    assert (session == os.getsid(actor.process.pid)) == (kind == "plain")
    actor.process.kill()
    actor.end()
    assert is_alive(pid)


def test_a_bomb_leaves_so_many(start: Start, left_behind: Path) -> None:
    actor = start("--fork", "bomb:9", "--pids", str(left_behind), "--exit", "0")
    assert actor.end() == 0
    eventually(lambda: len(read_pids(left_behind)) == 9)
    pids = read_pids(left_behind)
    assert len(set(pids)) == 9
    assert all(is_alive(pid) for pid in pids)
    assert len({parent_and_session(pid)[1] for pid in pids}) > 2


def test_those_left_behind_are_as_deaf_as_the_actor(start: Start, left_behind: Path) -> None:
    for deaf in (True, False):
        start("--fork", "setsid", "--pids", str(left_behind), *["--ignore-term"] * deaf)
        eventually(lambda deaf=deaf: len(read_pids(left_behind)) == 2 - deaf)
    deaf_pid, hearing_pid = read_pids(left_behind)
    for pid in (deaf_pid, hearing_pid):
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(hearing_pid))
    assert is_alive(deaf_pid)


def test_those_left_behind_end_by_themselves(start: Start, left_behind: Path) -> None:
    start("--fork", "double", "--fork-for", "10ms", "--pids", str(left_behind), "--exit", "0")
    eventually(lambda: read_pids(left_behind) and not is_alive(read_pids(left_behind)[0]))


def test_the_leader_exits_and_the_program_goes_on(start: Start, left_behind: Path) -> None:
    actor = start("--port", "0", "--fork", "leader-exits", "--pids", str(left_behind))
    assert actor.end() == 0
    (pid,) = read_pids(left_behind)
    assert actor.get("/")[1]["pid"] == pid != actor.process.pid


def test_a_wrapper_waits_and_passes_the_exit_code_on(start: Start, left_behind: Path) -> None:
    actor = start("--port", "0", "--fork", "wrapper", "--pids", str(left_behind))
    (pid,) = read_pids(left_behind)
    assert parent_and_session(pid)[0] == actor.process.pid
    assert actor.get("/")[1]["pid"] == pid
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        actor.get("/exit?code=9")
    assert actor.end() == 9
    dying = start("--fork", "wrapper", "--crash-after", "10ms")
    assert dying.end() == 128 + signal.SIGKILL


# --- marks and manners -----------------------------------------------------------------------------------------------


def test_marks_have_a_time_a_name_an_event_and_a_pid(start: Start, tmp_path: Path) -> None:
    before = time.time_ns()
    actor = start("--mark", str(tmp_path / "m"), "--name", "llm", "--exit", "0")
    actor.end()
    lines = [line.split(" ") for line in (tmp_path / "m").read_text().splitlines()]
    assert [line[1:] for line in lines] == [
        ["llm", event, str(actor.process.pid)] for event in ("start", "ready", "exit")
    ]
    times = [before, *(int(line[0]) for line in lines), time.time_ns()]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--after", "1s"], "add --exit"),
        (["--ready-after", "soon"], "not a duration: `soon`"),
        (["--spam", "lots"], "not a size: `lots`"),
        (["--loading", "777"], "`777` is none of"),
        (["--fork", "bomb:0"], "`bomb:0` is none of"),
        (["--port", "70000"], "not a port: `70000`"),
        (["--survive", "SIGKILL"], "not a signal that can be survived"),
        (["--fork", "wrapper", "--fork", "leader-exits"], "exclude each other"),
        (["--ready"], "unrecognized arguments"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(start: Start, arguments: list[str], said: str) -> None:
    actor = start(*arguments)
    _, errors = actor.process.communicate(timeout=DEADLINE_S)
    assert (actor.end(), said in errors.decode()) == (2, True), errors.decode()


def test_the_help_is_the_manual(start: Start) -> None:
    output, _ = start("--help").process.communicate(timeout=DEADLINE_S)
    for word in ("--ignore-term", "/spam?bytes=64KB", "launchpad pretend --port 8000 --ready-after 90s"):
        assert word in output.decode()


def test_it_starts_with_the_standard_library_alone() -> None:
    code = (
        "import sys, launchpad; before = [m for m in sys.modules if m.startswith('launchpad.')];"
        "from launchpad.pretend import actor, options;"
        "print(before, sorted({m.split('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = ["yaml", "pydantic", "rich", "httpx", "click", "starlette", "asyncio", "typing", "http", "json"]
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code, *heavy],
        env=QUIET_ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split("\n")[0] == "[] []"


# --- the kernel's word -----------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def receive_queue_is_empty_at(port: int) -> bool:
    """Whether the server has read what was sent to it: its end of the established connection has nothing queued."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "01":
            return int(fields[4].partition(":")[2], 16) == 0
    return False


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_and_session(pid: int) -> tuple[int, int]:
    fields = stat_fields(pid)
    return int(fields[1]), int(fields[3])


def processor_s(pid: int) -> float:
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def is_alive(pid: int) -> bool:
    try:
        return stat_fields(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read_pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

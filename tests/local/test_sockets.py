"""The kernel's tables, read against sockets that this test made."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from launchpad.hosts.local import sockets, sockets_netlink
from launchpad.hosts.local.sockets import Listener
from tests.local.probing import has_ipv6, process

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def refuse(family: int, port: int | None) -> list[sockets_netlink.Row]:
    raise OSError(2, "No such file or directory")


@pytest.fixture(autouse=True, params=["netlink", "table"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test holds for what the kernel answers and for what it prints."""
    if request.param == "table":
        monkeypatch.setattr(sockets_netlink, "listening", refuse)
    return str(request.param)


def listening(address: str, port: int = 0, *, only6: bool = True) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
    sock.bind((address, port))
    sock.listen()
    return sock


def one(sock: socket.socket) -> Listener:
    port = sock.getsockname()[1]
    inode = os.fstat(sock.fileno()).st_ino
    (found,) = [listener for listener in sockets.listeners(port) if listener.inode == inode]
    return found


def test_a_listener_with_its_address_inode_and_user() -> None:
    with listening("127.0.0.1") as sock:
        port = sock.getsockname()[1]
        found = one(sock)
        assert found == Listener("127.0.0.1", port, os.fstat(sock.fileno()).st_ino, os.getuid(), 4)
        assert str(found) == f"127.0.0.1:{port}"
        assert found in sockets.listeners()
    assert found not in sockets.listeners()


@needs_ipv6
@pytest.mark.parametrize(
    ("bound", "shown"), [("::1", "::1"), ("::", "::"), ("::ffff:127.0.0.1", "127.0.0.1")]
)
def test_ipv6_and_mapped_addresses(bound: str, shown: str, source: str) -> None:
    with listening(bound, only6=False) as sock:
        found = one(sock)
        assert found.only6 == (bound == "::1" and source == "netlink")
        assert (found.address, found.family) == (shown, 6)
        assert str(found) == (f"[{shown}]:{found.port}" if ":" in shown else f"{shown}:{found.port}")


@needs_ipv6
def test_a_socket_for_ipv6_alone_serves_no_ipv4(source: str) -> None:
    if source == "table":
        pytest.skip("the table does not say")
    with listening("::", only6=True) as sock:
        found = one(sock)
        assert found.only6
        assert sockets.serving("127.0.0.1", found.port, [found]) == []
        assert sockets.serving("::1", found.port, [found]) == [found]


def test_bound_or_connected_is_not_listening() -> None:
    with socket.socket() as held, listening("127.0.0.1") as server:
        held.bind(("127.0.0.1", 0))
        assert sockets.listeners(held.getsockname()[1]) == []
        with socket.create_connection(server.getsockname()), server.accept()[0] as peer:
            assert len(sockets.listeners(server.getsockname()[1])) == 1
            assert sockets.listeners(peer.getpeername()[1]) == []


def test_which_listeners_a_connection_may_reach() -> None:
    exact, other = Listener("127.0.0.1", 80, 1, 0, 4), Listener("127.0.0.2", 80, 2, 0, 4)
    mapped, all4, all6 = (
        Listener("127.0.0.1", 80, 3, 0, 6),
        Listener("0.0.0.0", 80, 4, 0, 4),
        Listener("::", 80, 5, 0, 6),
    )
    six, far = Listener("::1", 80, 6, 0, 6), Listener("127.0.0.1", 81, 7, 0, 4)
    everybody = [exact, other, mapped, all4, all6, six, far]
    assert sockets.serving("127.0.0.1", 80, everybody) == [exact, mapped]
    assert sockets.serving("127.0.0.1", 80, [other, all4, all6, six]) == [all4]
    assert sockets.serving("127.0.0.1", 80, [other, all6, six]) == [all6]
    assert sockets.serving("127.0.0.1", 80, [other, six, far]) == []
    assert sockets.serving("::1", 80, [all4, all6, six]) == [six]
    assert sockets.serving("::1", 80, [all4, exact]) == []


def test_owners_by_pid_and_descriptor() -> None:
    with listening("127.0.0.1") as sock, listening("127.0.0.1") as second:
        inode = os.fstat(sock.fileno()).st_ino
        assert sockets.owners({inode}, [os.getpid(), 1 << 22]) == {inode: (os.getpid(), sock.fileno())}
        assert sockets.owners({inode}, [os.getppid()]) == {}
        assert sockets.holds(os.getpid(), sock.fileno(), inode)
        assert not sockets.holds(os.getpid(), second.fileno(), inode)
        assert not sockets.holds(1 << 22, 3, inode)
        ports = [listener.port for listener, _ in sockets.owned_by({os.getpid()})]
        assert {sock.getsockname()[1], second.getsockname()[1]} <= set(ports)
        assert ports == sorted(ports)


def test_command_is_one_short_line() -> None:
    with process("print('up', flush=True); input()", "a\nb", "`", "x" * 200) as (child, _):
        command = sockets.command_of(child.pid)
        assert command.startswith(os.path.basename(sys.executable) + " -c print('up'")
        assert len(command) == sockets.COMMAND_CHARS
        assert command.endswith("…")
        assert sockets.named(child.pid) == f"pid {child.pid} `{command}`"
    assert sockets.command_of(child.pid) == "?"


def test_which_addresses_are_local() -> None:
    assert all(sockets.is_local(address) for address in ("127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::"))
    assert not sockets.is_local("192.0.2.1")
    assert not sockets.is_local("2001:db8::1")


def test_a_table_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sockets_netlink, "listening", refuse)
    monkeypatch.setattr(sockets, "_TABLES", ((str(tmp_path / "tcp"), 4),))
    assert sockets.listeners() == []

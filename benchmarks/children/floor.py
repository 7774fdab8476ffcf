"""The physical limit of a launcher written in Python: posix_spawn in a loop; after a service with a port it knocks
every millisecond, and goes on when that answers 200."""

import json
import os
import posix
import signal
import socket
import sys
import time

pids: list[int] = []


def stop(*_: object) -> None:
    for pid in pids:
        try:
            posix.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass


def answers(port: int) -> bool:
    with socket.socket() as knock:
        if knock.connect_ex(("127.0.0.1", port)):
            return False
        knock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b" 200 " in knock.recv(4096)


signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
with open(sys.argv[1]) as file:
    services = json.load(file)
for argv, port in services:
    pids.append(posix.posix_spawn(argv[0], argv, os.environ, setpgroup=0, setsigdef=(2, 15)))
    while port and not answers(port):
        time.sleep(0.001)  # this is the limit that a poll of a millisecond sets
while pids:
    try:
        posix.wait()
    except ChildProcessError:
        break

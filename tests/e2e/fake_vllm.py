"""A `vllm` that only behaves like one: `vllm serve MODEL --host H --port P`.

It binds early and listens late, prints more than 64 KiB meanwhile, and has an engine and workers in processes of their own, which
hold the GPU's memory (of a file that plays NVML) and outlive a SIGKILL of it. It answers 503 once its engine is dead, and ends its engine
on SIGTERM. FAKE_VLLM_LOADED is a named pipe: loading is over when somebody opens it. FAKE_VLLM_NEEDS: it fails for lack of GPU memory
where others hold any.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GIB = 1 << 30
WORKERS = 2
NVML = Path(os.environ["FAKE_VLLM_NVML"])
EVENTS = Path(os.environ["FAKE_VLLM_EVENTS"])


def mark(event: str) -> None:
    with EVENTS.open("a") as file:
        file.write(f"{time.time_ns()} vllm {event} {os.getpid()}\n")


def take_memory(size: int) -> None:
    """This process holds so much of GPU 0. It is the driver, not this process, that gives it back."""
    with NVML.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        devices = json.loads(NVML.read_text())
        devices[0][str(os.getpid())] = size
        part = NVML.with_suffix(".own")
        part.write_text(json.dumps(devices))
        part.rename(NVML)


def worker() -> None:
    take_memory(5 * GIB)
    mark("worker")
    signal.pause()


def engine(ready: int) -> None:
    for _ in range(WORKERS):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            worker()
    signal.signal(signal.SIGTERM, lambda *_: (os.killpg(0, 0), os._exit(0)))
    mark("engine")
    os.write(ready, b"x")
    signal.pause()


def chatter(size: int) -> None:
    """What loading prints, progress bars included."""
    line = "INFO 01-01 00:00:00 [loader.py:42] Loading safetensors checkpoint shards:  71% Completed\r"
    while size > 0:
        size -= sys.stdout.write(line) + sys.stdout.write("\n")
    sys.stdout.flush()


def out_of_memory() -> None:
    print('Traceback (most recent call last):\n  File "gpu_worker.py", line 1, in init_device')
    print(
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 79.25 GiB"
    )
    for number in range(30):
        print(f'  File "api_server.py", line {number}, in run_server')
    print("RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
    os._exit(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        mark(f"got-{self.path.strip('/')}")
        self.say(200 if self.path in ("/health", "/v1/models") else 404)

    def do_POST(self) -> None:
        mark("asked")
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.say(200, {"model": body["model"], "choices": [{"text": " three"}]})

    def say(self, status: int, answer: object = None) -> None:
        if not Path(f"/proc/{self.server.engine}/stat").exists():  # type: ignore[attr-defined]
            status = 503
        data = json.dumps(answer or {}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    mark("start")
    command, _model, *options = sys.argv[1:]
    assert command == "serve"
    given = dict(zip(options[::2], options[1::2], strict=True))
    if os.environ.get("FAKE_VLLM_NEEDS") and any(json.loads(NVML.read_text())):
        out_of_memory()
    address = (given["--host"], int(given["--port"]))
    server = ThreadingHTTPServer(address, Handler, bind_and_activate=False)
    server.server_bind()  # early, and without listening
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        server.socket.close()
        engine(writing)
    server.engine = child  # type: ignore[attr-defined]

    def stop(*_: object) -> None:
        os.kill(child, signal.SIGKILL)
        mark("stopped")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    os.read(reading, 1)
    chatter(128 << 10)
    with open(os.environ["FAKE_VLLM_LOADED"], "rb"):
        pass
    server.server_activate()
    mark("listens")
    server.serve_forever()


if __name__ == "__main__":
    main()

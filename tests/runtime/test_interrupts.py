"""Ctrl-C while hundreds of children end."""

from __future__ import annotations

import subprocess
import sys

FLOOD = """
import asyncio, os, signal
from types import SimpleNamespace
from launchpad.runtime.interrupts import Interrupts

async def main():
    loop, told = asyncio.get_running_loop(), asyncio.Queue()
    supervisor = SimpleNamespace(driver=SimpleNamespace(step=told.put_nowait))
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, heard.set)
    Interrupts(supervisor).install(loop)
    for _ in range(20_000):
        os.kill(os.getpid(), signal.SIGCHLD)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    for _ in range(2):
        print(type(await asyncio.wait_for(told.get(), 30)).__name__)
    await asyncio.wait_for(heard.wait(), 30)

asyncio.run(main())
"""


def test_none_is_lost_among_the_ends_of_children() -> None:
    done = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["CloseAsked", "KillAsked"], "")

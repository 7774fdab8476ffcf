"""A sink that cannot be written for longer than the log keeps what was printed."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from launchpad.core.model import Sink
from launchpad.hosts.local.spool import Spools
from tests.local.test_sinks import numbered, paths, until, write


def test_a_sink_that_comes_too_late_says_how_much_it_skipped(tmp_path: Path) -> None:
    told: list[str] = []

    async def run() -> None:
        os.mkfifo(tmp_path / "stuck")
        spools = Spools(paths(tmp_path), lambda service, text: told.append(text), limit=1 << 20)
        spools.route("llm", (Sink("jsonl", "stuck"),))
        for begin in range(0, 100_000, 5000):
            write(spools, "llm", numbered(begin, begin + 5000))
            await until(lambda: not spools._cutting, "the log to be cut")
        await until(lambda: spools.reader("llm").start() > 0, "the head to be dropped")
        reader = os.open(tmp_path / "stuck", os.O_RDONLY | os.O_NONBLOCK)
        seen = bytearray()

        def read() -> bool:
            try:
                seen.extend(os.read(reader, 1 << 20))
            except BlockingIOError:
                pass
            return spools.sinks("llm")[0].behind == 0 and bool(seen)

        await until(read, "the sink to catch up")
        skipped = spools.sinks("llm")[0].skipped
        await spools.close()
        os.close(reader)
        objects = [json.loads(line) for line in bytes(seen).splitlines()]
        (gap,) = [index for index, one in enumerate(objects) if "skipped" in one]
        assert skipped > 0
        assert (objects[gap]["line"], objects[gap]["skipped"]) == ("", skipped)
        before = "".join(f"{one['line']}\n" for one in objects[:gap]).encode()
        after = "".join(f"{one['line']}\n" for one in objects[gap + 1 :]).encode()
        printed = numbered(0, 100_000)
        assert printed.startswith(before)
        assert printed.endswith(after), "a line that lies across the cut is whole"
        assert len(printed) == len(before) + skipped + len(after)
        assert any(f"{skipped:,} bytes" in text for text in told)

    asyncio.run(run())

"""One cell of a table, measured in a process of its own: `python -m benchmarks.cell` with a JSON object as argument.

The caller's side, `measured`, bounds its time and believes nothing that was not measured. Whatever a launcher
leaves behind becomes a child of the cell's process, and ends with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.model import Failed, Sample
from benchmarks.processes import end_all, end_with_parent, keep_orphans
from benchmarks.run import end_on_signals

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    samples: list[Sample]
    missing: str = ""
    """Why there are none."""


def measured(scenario: str, adapter: str, options: dict[str, Any], limit_s: float) -> Measured:
    """`scenario`: a key, or `module:NAME`; `adapter`: a name, or `module:Class`."""
    # a folder that goes with the cell, however it ends; sockets lie in it: a short path
    work = json.dumps({"scenario": scenario, "adapter": adapter, "options": options})
    with (
        tempfile.TemporaryDirectory(prefix="b", dir="/tmp", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
        [sys.executable, "-m", "benchmarks.cell", work],
        env={**os.environ, "TMPDIR": folder}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            out, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return Measured([], f"not within {limit_s:g} s")
        finally:
            if process.poll() is None:
                end(process)
    try:
        answer = json.loads(out)
    except json.JSONDecodeError:
        last = (errors.strip().splitlines() or ["nothing"])[-1]
        return Measured([], f"the measurement itself failed: {last}")
    return Measured(answer["samples"], answer["missing"])


def end(process: subprocess.Popen[str]) -> None:
    """All below it first: as long as it lives, no orphan gets away from it. Being stopped it does not reap, so what was
    killed stays as a zombie, which does not count."""
    process.send_signal(signal.SIGSTOP)
    end_all(process.pid)
    process.kill()


def main(argument: str) -> None:
    from benchmarks.adapters import by_name
    from benchmarks.scenarios import by_key

    work = json.loads(argument)
    keep_orphans()
    end_with_parent()
    end_on_signals()
    adapter = by_name(work["adapter"])
    samples: list[Sample] = []
    missing = adapter.missing()
    try:
        if not missing:
            samples = by_key(work["scenario"]).measure(adapter, work["options"])
    except (Failed, OSError, subprocess.SubprocessError) as error:
        missing = str(error) or type(error).__name__
    finally:
        end_all(os.getpid())
    print(json.dumps({"samples": samples, "missing": missing}))


if __name__ == "__main__":
    main(sys.argv[1])

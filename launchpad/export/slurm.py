"""A batch script of Slurm that runs the stack as it is, under launchpad, in one allocation.

Decides what is asked of Slurm. The stack itself stays a stack: nothing of it is lost but what one node cannot give.
"""

from __future__ import annotations

import re
import shlex

from msgspec import Struct

from launchpad.core.model import Kind
from launchpad.export.source import Exported
from launchpad.plan.read import Reading

KILL_WAIT_S = 60
"""Before the end of the allocation the stack is asked to stop, so long before."""


class Asked(Struct, frozen=True):
    """What of the command line goes on to launchpad on the node. `time`: the allocation's limit, as Slurm has it;
    `unsaid`: variables whose values are secret, and not among the `options`."""

    time: str = "01:00:00"
    options: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()


def export(reading: Reading, asked: Asked) -> Exported:
    """One script, for `sbatch`."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", reading.name) or "stack"
    file = reading.loaded.file
    up = {service for service, wanted in reading.goals() if wanted}
    services = [one for one in reading.plan.services if one.name in up]
    gpus = sum(len(one.gpus) for one in services)
    primary = any(one.primary for one in services)
    only_jobs = all(one.kind is Kind.JOB for one in services)
    said = [f"{file}: the script has to reach this file and the programs of the stack on the node"]
    if not (primary or only_jobs):
        said.append(f"{file}: no job is `primary`, so the allocation ends with its time limit, {asked.time}")
    if not gpus:
        said.append(
            f"{file}: no service asks for `gpus`, so none are asked of Slurm; `sbatch --gres=gpu:N` does"
        )
    said += [
        f"{file}: `--set {one}=…` is secret, and is not written down: add it to the script"
        for one in asked.unsaid
    ]
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={name}",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        f"#SBATCH --time={asked.time}",
        *([f"#SBATCH --gres=gpu:{gpus}"] if gpus else []),
        f"#SBATCH --output={name}-%j.log",
        f"#SBATCH --signal=B:TERM@{KILL_WAIT_S}",
        "",
        "set -euo pipefail",
        f"cd {shlex.quote(str(file.parent))}",
        "",
        "# Slurm signals this shell only; launchpad stops the stack in order when it is told.",
        _up(file.name, asked),
        "launchpad=$!",
        "trap 'kill -TERM \"$launchpad\"' TERM INT",
        "code=0",
        'wait "$launchpad" || code=$?',
        "# A trap ends the first wait before launchpad has.",
        'while kill -0 "$launchpad" 2>/dev/null; do wait "$launchpad" || code=$?; done',
        'exit "$code"',
    ]
    return Exported({f"{name}.sbatch": "\n".join(lines) + "\n"}, said)


def _up(file: str, asked: Asked) -> str:
    words = ["launchpad", "up", file, "--no-watch", '--until-exit="$$"', *map(shlex.quote, asked.options)]
    return " ".join([words[0], words[1], shlex.quote(words[2]), *words[3:], "&"])

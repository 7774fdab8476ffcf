"""`launchpad init`: a first stack file that runs at once."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from launchpad.cli.screen import say
from launchpad.cli.target import is_stack_name
from launchpad.errors import Diagnostic, ExitCode, Refused
from launchpad.paths import STACK_NAMES

TEMPLATE = """\
# A first stack. It runs as it is: `launchpad up` starts it, Ctrl-C stops all of it again.
# `launchpad check` validates the file, `launchpad graph` draws it, `launchpad ps` shows what runs.

servers:                          # long-running programs; the next ones start when these are ready
  files:
    command: {python} -m http.server ${{self.port}} --bind ${{self.host}}
    port: 8000-8099               # a free one of these is taken
    ready: /                      # ready when GET / answers 200-399

  model:                          # stands for an inference server that takes a while to load
    command: {pretend} --name model --port ${{self.port}} --ready-after 3s --loading 503
    port: 8100-8199
    ready: {{http: /health, timeout: 1m}}
    # A real one could be:
    # command: vllm serve Qwen/Qwen3-0.6B --host ${{self.host}} --port ${{self.port}}
    # ready: {{http: /health, timeout: 10m}}

jobs:                             # programs that run to completion; done on exit 0
  train:
    command: {pretend} --name train --print "step {{n}}" --every 1s --exit 0 --after 5s
    depends_on: [files, model]    # starts within milliseconds of both being ready
    environment:
      BASE_URL: ${{model.url}}/v1   # where `model` is, in this run
"""


@click.command("init")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.pass_context
def command(ctx: click.Context, file: Path | None, force: bool) -> int:
    """Write a first stack.yaml, with comments; it runs as it is. Writes over nothing."""
    target = file or ctx.find_object(Path) or Path(STACK_NAMES[0])
    if not is_stack_name(target.name):
        raise click.UsageError(f"`{target}` does not end in .yaml or .yml.", ctx)
    content = TEMPLATE.format(python=_python(), pretend=_pretend())
    try:
        with open(target, "w" if force else "x", encoding="utf-8") as out:
            out.write(content)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise _unwritable(target, error) from None
    where = "" if target.name in STACK_NAMES and target.parent == Path() else f" {target}"
    say(f"wrote {target}; next: `launchpad up{where}`")
    return ExitCode.OK


def _python() -> str:
    return next((name for name in ("python", "python3") if shutil.which(name)), shlex.quote(sys.executable))


def _pretend() -> str:
    if shutil.which("launchpad"):
        return "launchpad pretend"
    return f"{shlex.quote(sys.executable)} -m launchpad.pretend"


def _exists(target: Path) -> Refused:
    return Refused(
        [
            Diagnostic(
                "E192",
                f"`{target}` is there already",
                consequence="it was left as it is",
                hint="`launchpad init --force` writes over it",
            )
        ]
    )


def _unwritable(target: Path, error: OSError) -> Refused:
    return Refused(
        [
            Diagnostic(
                "E193",
                f"`{target}` cannot be written",
                notes=(error.strerror or str(error),),
                consequence="nothing was written",
            )
        ]
    )

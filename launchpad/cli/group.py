"""The list of commands, and how a command is found: its module is imported when it is used, not before.

Decides names, order and one-line summaries. Refuses to know what a command does.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import click

COMMANDS: dict[str, str] = {
    "up": "Start services and what they need, follow their output, stop them with Ctrl-C.",
    "run": "Start what a job needs, run the job, stop it all; exit with the job's code.",
    "down": "Stop the stack, also one whose supervisor is gone.",
    "ps": "What runs: states, ports, addresses, and why something waits.",
    "logs": "Output of services, of the run and of earlier ones.",
    "events": "What happened, one line each.",
    "wait": "Return when jobs are done; exit 1 when one failed.",
    "start": "Start services of the running stack.",
    "stop": "Stop services; they stay down until `start`.",
    "restart": "Stop services and start them again.",
    "scale": "Have more or fewer copies of a service with `replicas`.",
    "reload": "Apply the stack file to the running stack, now.",
    "diff": "What applying the file would do, and why.",
    "check": "Validate stack files: all problems at once.",
    "config": "The stack as resolved, with secrets masked.",
    "graph": "Who waits for whom, and for what.",
    "env": "The environment a service is given.",
    "url": "The address of a running server.",
    "recipes": "Recipes for `uses`: which there are, and what each holds.",
    "schema": "The JSON schema of stack files.",
    "explain": "The long form of an error code.",
    "init": "Write a first stack.yaml.",
    "import": "A stack file from a Procfile or a compose file.",
    "export": "The stack for systemd, supervisord, compose, Kubernetes or Slurm.",
    "pretend": "A program that plays a server or a job, for rehearsals.",
}

MODULES = {"import": "import_"}
"""Commands whose module cannot have their name."""


class LazyGroup(click.Group):
    """Knows its commands by name; each is imported from its own module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"launchpad.cli.{MODULES.get(name, name)}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"No such command `{args[0]}`.{hint}")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from launchpad import __version__

        click.echo(f"launchpad {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), metavar="FILE",
    help="The stack file. Default: stack.yaml or launchpad.yaml here or in a parent folder.",
)  # fmt: skip
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version.",
)  # fmt: skip
@click.pass_context
def group(ctx: click.Context, file: Path | None) -> None:
    """Start model servers and training jobs from one YAML file.

    An argument that ends in .yaml or .yml is the stack file.
    """
    ctx.obj = file

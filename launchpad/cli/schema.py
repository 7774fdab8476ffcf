"""`launchpad schema`: what editors want to know of stack files."""

from __future__ import annotations

import click

from launchpad.cli.screen import print_json


@click.command("schema")
def command() -> None:
    """The JSON schema of stack files.

    An editor uses it when the file begins with `# yaml-language-server: $schema=PATH`.
    """
    from launchpad.stack.jsonschema import json_schema

    print_json(json_schema())

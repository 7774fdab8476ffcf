#!/usr/bin/env python
"""Writes docs/reference.md (keys), docs/commands.md and docs/errors.md from the code that they describe.

    scripts/gen_reference.py           writes them
    scripts/gen_reference.py --check   says which are out of date, and exits with 1 if one is

A kind of value without words here is an error: whoever adds one says what it is called.
"""

from __future__ import annotations

import signal
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH = 96
ITEM: dict[str, Any] = {}
"""Among the short forms of a list: one item of it."""
LONG_FORMS = {
    "Server": "[the keys of servers and jobs](#servers-and-jobs)",
    "Job": "[the keys of servers and jobs](#servers-and-jobs) and [those of jobs](#jobs-only)",
    "Defaults": "[any of the keys of servers and jobs](#servers-and-jobs)",
    "Dependency": "[its long form](#depends_on-long-form)",
    "Ready": "[its long form](#ready-and-alive-long-form)",
    "Alive": "[its long form](#ready-and-alive-long-form)",
    "Restart": "[its long form](#restart-long-form)",
    "Backoff": "a map of [`initial`, `max` and `factor`](#backoff-long-form)",
    "EnvFile": "[its long form](#env_file-long-form)",
    "Gpus": "[its long form](#gpus-long-form)",
    "Sink": "[its long form](#output-long-form)",
    "Include": "[its long form](#include-long-form)",
    "Extends": "[its long form](#extends-long-form)",
}
"""Models → where their keys are told."""
DO_NOT_EDIT = "<!-- Written by scripts/gen_reference.py. Do not edit. -->\n"


def main(arguments: list[str]) -> int:
    """Write, or with `--check` compare. Returns the exit code."""
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(text)
    for name in stale:
        verb = "is out of date: run scripts/gen_reference.py" if "--check" in arguments else "written"
        print(f"docs/{name} {verb}")
    return int(bool(stale) and "--check" in arguments)


# --- docs/reference.md ---------------------------------------------------------------------------------


def reference() -> str:
    """Every key of a stack file: what it takes, what it is when left out, an example."""
    from launchpad.stack import gpus, parts, reuse, schema

    common = set(schema.Common.model_fields)
    sections = (
        ("The file", "", schema.Stack, ()),
        ("Servers and jobs", SERVICES, schema.Server, ()),
        ("Jobs only", "", schema.Job, common | {"command"}),
        ("`depends_on`, long form", "", parts.Dependency, ()),
        ("`ready` and `alive`, long form", CHECKS, parts.Alive, ()),
        ("`ready` only", "", parts.Ready, set(parts.Alive.model_fields)),
        ("`gpus`, long form", "", gpus.Gpus, ()),
        ("`restart`, long form", "", parts.Restart, ()),
        ("`backoff`, long form", "", parts.Backoff, ()),
        ("`env_file`, long form", "", parts.EnvFile, ()),
        ("`output`, long form", "", parts.Sink, ()),
        ("`extends`, long form", "", reuse.Extends, ()),
        ("`include`, long form", "", reuse.Include, ()),
    )
    body = "\n".join(_section(*section) for section in sections)
    return f"{DO_NOT_EDIT}\n{KEYS_HEAD}\n{body}\n{KEYS_TAIL}"


KEYS_HEAD = """\
# Every key of a stack file

The same descriptions are in the JSON schema (`launchpad schema`), so an editor shows them as you write.
How the keys work together is in the [guide](guide.md).

Keys that begin with `x-` are yours, anywhere. Every single value may hold `${…}`
(see [Values that are filled in](#values-that-are-filled-in)).
"""

SERVICES = """\
These keys stand in each entry of `servers` and `jobs`, and in `defaults`.
"""

CHECKS = """\
`ready` takes at most one of `http`, `tcp`, `exec`, `log`, `file` and `notify`; without any, the main port has to accept
a connection from a process of the service. `alive` takes exactly one of `http`, `tcp`, `exec` and `file`.
"""

KEYS_TAIL = """\
## Kinds of value

| kind | written as |
|---|---|
| duration | `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`; a bare number is seconds |
| size | `64KB`, `50MB`, `2GB`; a bare number is bytes; units are multiples of 1024 |
| port | `8000` (that one), `8000-8099` (one of them), `auto` (any free one of 20000-29499) |
| literal address | `127.0.0.1`, `0.0.0.0`, `::1`; never `localhost`, which is two addresses |
| name | letters, digits, `_` and `-`, a letter first |

## Values that are filled in

| written | is |
|---|---|
| `${VAR}` | a variable of launchpad's environment or of the top-level `env_file`; unset is an error |
| `${VAR:-word}`, `${VAR-word}` | `word` where it is unset or empty, or unset |
| `${VAR:?words}`, `${VAR?words}` | an error with these words where it is unset or empty, or unset |
| `${VAR:+word}`, `${VAR+word}` | `word` where it is set and not empty, or set |
| `${vars.x}` | from `vars`, or `--set x=…` |
| `${self.name}`, `${self.host}`, `${self.port}`, `${self.url}`, `${self.ports.x}` | this service's own |
| `${self.gpus}` | its GPUs as CUDA_VISIBLE_DEVICES names them, in `command` and `environment` |
| `${self.replica}` | which copy it is, from 0, with `replicas` |
| `${self.fd}` | the descriptor of the listening socket, with `handover: inherit` |
| `${self.model}`, `${llm.model}` | what the service says as its `model` |
| `${self.args}` | in a `command`: its `args`, as whole arguments |
| `${llm.url}`, `${llm.host}`, `${llm.port}`, `${llm.ports.x}` | those of the service `llm` |
| `${llm.urls}` | the addresses of all copies of `llm`, with commas between; without `replicas` its own |
| `${stack.name}`, `${stack.dir}`, `${stack.python}` | the stack's name, the folder of the file that says it, the Python that runs launchpad |
| `$$` | a dollar |
"""


def _section(title: str, text: str, model: Any, without: Iterable[str]) -> str:
    hints = typing.get_type_hints(model, include_extras=True)
    lines = [f"## {title}\n", *([text] if text else [])]
    fields = [(name, field) for name, field in model.model_fields.items() if name not in without]
    for name, field in sorted(fields, key=lambda item: item[0] != "command"):
        lines += _key(name, field, hints[name])
    return "\n".join(lines)


def _key(name: str, field: Any, hint: Any) -> Iterator[str]:
    assert field.description, f"{name} has no description"
    yield f"### `{name}`\n"
    yield f"{textwrap.fill(field.description, 110, break_on_hyphens=False, break_long_words=False)}\n"
    yield f"- Takes: {'; or '.join(dict.fromkeys(words(hint)))}."
    yield f"- Default: {_default(field, hint)}.\n"
    if field.examples:
        yield "```yaml"
        yield from (_example(name, example) for example in field.examples)
        yield "```\n"


def _default(field: Any, hint: Any) -> str:
    if field.is_required():
        return "none, it has to be given"
    value = field.get_default(call_default_factory=True)
    if value in (None, (), {}, 0):
        return "none" if value != 0 or isinstance(value, tuple | dict) else f"`{str(value).lower()}`"
    return f"`{_written(value, next(words(hint)))}`"


def _written(value: Any, kind: str) -> str:
    """A value as a stack file would have it."""
    if kind.startswith("a duration"):
        return f"{value * 1000:g}ms" if value < 1 else f"{value / 60:g}m" if value >= 60 else f"{value:g}s"
    if kind.startswith("the name or the number of a signal"):
        return signal.Signals(value).name
    if kind.startswith("a status"):
        return ", ".join(f"{low}-{high}" if low < high else str(low) for low, high in value)
    if isinstance(value, tuple):
        return ", ".join(_written(one, "") for one in value)
    for part in ("action", "kind"):
        if hasattr(value, part):
            return str(getattr(value, part))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _example(name: str, value: Any) -> str:
    import yaml

    flow = yaml.safe_dump({name: value}, default_flow_style=True, width=10_000, sort_keys=False)
    return flow.strip()[1:-1]


def words(hint: Any) -> Iterator[str]:
    """What a type takes, in the words of the tables above; one item for each way to write it."""
    from launchpad.stack import fields, parts

    for known, text in NAMES(fields, parts):
        if hint == known:
            yield text
            return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for one in arguments:
            if one is not types.NoneType:
                yield from words(one)
    elif origin is Annotated:
        yield from _annotated(*arguments)
    elif origin is dict:
        yield f"a map of names, each to {' or '.join(words(arguments[1]))}"
    elif origin is tuple:
        yield f"a list, each {' or '.join(dict.fromkeys(words(arguments[0])))}"
    elif isinstance(hint, type) and hasattr(hint, "model_fields"):
        yield LONG_FORMS[hint.__name__]
    else:
        raise SystemExit(f"scripts/gen_reference.py has no words for {hint!r}")


def _annotated(base: Any, *metadata: Any) -> Iterator[str]:
    """The short forms first, then the full one."""
    full = None
    for one in metadata:
        forms = getattr(one, "forms", None)
        if forms is None:
            continue
        if ITEM in forms:
            yield " or ".join(dict.fromkeys(words(typing.get_args(base)[0])))
            yield "a list of these"
            return
        texts = [text for form in forms if (text := _form(form))]
        if type(one).__name__ == "Form":
            full = texts
        else:
            yield from texts
    yield from full if full is not None else words(base)


def _form(form: dict[str, Any]) -> str:
    """One way to write a value, from its JSON schema."""
    if "enum" in form:
        return ", ".join(dict.fromkeys(f"`{'null' if word is None else word}`" for word in form["enum"]))
    kind = form.get("type")
    if kind == "integer":
        low, high = form.get("minimum", 0), form.get("maximum")
        bounds = f"{low} or more" if high in (None, 1_000_000) else f"{low} to {high}"
        return f"a whole number, {bounds}"
    if kind == "array":
        return "a list of texts"
    if kind == "string" and form.get("pattern", "").startswith(("^[0-9]", "\\$")):
        return ""  # digits in quotes, or `${…}`: said once for all keys
    if kind == "string" and "https" in form.get("pattern", ""):
        return "a path that begins with `/`, a URL, or `tcp://host:port`"
    return {"string": "text", "null": ""}.get(str(kind), str(kind))


def NAMES(fields: Any, parts: Any) -> Iterator[tuple[Any, str]]:
    from launchpad.stack import environments, gpus

    yield from (
        (fields.Line, "text"),
        (fields.Loose, "a single value"),
        (fields.Text, "a single value"),
        (fields.Bool, "`true` or `false`"),
        (fields.Factor, "a number, 1 or more"),
        (fields.Duration, "a duration"),
        (fields.Grace, "a duration, or `0`"),
        (fields.MaybeDuration, "a duration, or `never`"),
        (fields.Size, "a size"),
        (fields.Port, "a port"),
        (fields.Host, "a literal address"),
        (fields.Signal, "the name or the number of a signal"),
        (fields.Pattern, "a regular expression"),
        (fields.Name, "a name"),
        (gpus.Ids, "a list, each a number or a UUID"),
        (parts.Command, "text, split as a shell would; or a list"),
        (parts.Args, "text, split as a command is; or a list"),
        (parts.Exec, "text, split as a shell would; or a list"),
        (parts.Status, "a status, a range, or a list of these"),
        (parts.Http, "a path that begins with `/`, or a URL"),
        (parts.Post, "a map or a list, which is sent as JSON"),
        (parts.Tcp, "`true`, the number or the name of a port, or `host:port`"),
        (parts.Log, "a regular expression"),
        (parts.InheritEnv, "`true`, `false`, or a list of names"),
        (parts.OnChangeField, "`restart`, `replace`, `keep`, or `{signal: …}`"),
        (parts.EnvValue, "a single value, or nothing"),
        (environments.Requirements, "the path of a file, or a list of lines"),
    )


# --- docs/commands.md ----------------------------------------------------------------------------------


def commands() -> str:
    """Every command as its own `--help` tells it."""
    import click

    from launchpad.cli.group import COMMANDS, group

    root = click.Context(group, info_name="launchpad", terminal_width=WIDTH, max_content_width=WIDTH)
    parts = [f"{DO_NOT_EDIT}\n{COMMANDS_HEAD}"]
    for name in COMMANDS:
        command = group.get_command(root, name)
        assert command is not None
        inner = click.Context(
            command, parent=root, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH
        )
        text = _actor_help() if name == "pretend" else command.get_help(inner)
        lines = "\n".join(line.rstrip() for line in text.rstrip().splitlines())
        parts.append(f"## {name}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


COMMANDS_HEAD = """\
# Every command

`launchpad COMMAND [STACK] …`: an argument that ends in `.yaml` or `.yml` is the stack file, and so is what follows
`-f` (of `logs` and `events`, where `-f` follows the output: `--file`). Without one it is the nearest `stack.yaml` or
`launchpad.yaml` here or in a folder above.

stdout carries data, stderr carries messages. Without a terminal there is no colour, nothing moves, and each event is
a line of its own. `NO_COLOR=1` takes the colours away, `FORCE_COLOR=1` keeps them.

| exit code | means |
|---|---|
| 0 | fine |
| 1 | a service or a job failed |
| 2 | the input is wrong, or a port is not free, and nothing was changed |
| 3 | launchpad itself failed |
| 130 | interrupted: Ctrl-C, SIGTERM or SIGHUP; the stack was stopped in order |

`launchpad run JOB` exits with the job's own code.
"""


def _actor_help() -> str:
    import contextlib
    import io

    from launchpad.pretend.options import parse

    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        parse(["--help"])
    return text.getvalue()


# --- docs/errors.md ------------------------------------------------------------------------------------


def errors() -> str:
    """Every code, as `launchpad explain` tells it."""
    from launchpad.codes import CODES

    parts = [f"{DO_NOT_EDIT}\n{ERRORS_HEAD}"]
    for code, entry in CODES.items():
        parts.append(f"## {code}: {entry.title}\n\n{textwrap.fill(entry.meaning, 110)}\n")
        for head, points in (("Typical causes", entry.causes), ("What to do", entry.remedies)):
            items = [textwrap.fill(p, 108, initial_indent="- ", subsequent_indent="  ") for p in points]
            parts.append("\n".join([f"{head}:\n", *items, ""]))
    return "\n".join(parts)


ERRORS_HEAD = """\
# Every error code

`launchpad explain E301` prints one of these, `launchpad explain` lists them. E1xx is about the file, E2xx about what
depends on what, E3xx about ports, E4xx about readiness, E5xx about processes, E6xx about the control socket and hosts,
E9xx is a fault of launchpad itself.
"""

PAGES: dict[str, Callable[[], str]] = {
    "reference.md": reference,
    "commands.md": commands,
    "errors.md": errors,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

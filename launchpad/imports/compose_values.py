"""The values of a compose file: commands, ports, durations, variables, and addresses of other services.

Decides what each is in a stack file. Refuses to know which keys they belong to.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, NamedTuple

from msgspec import Struct, field

from launchpad.errors import Span
from launchpad.imports.draft import Draft
from launchpad.stack.nodes import Map, Node, Scalar, Seq

_PLAIN_VARIABLE = re.compile(r"\$\$|\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_SECONDS = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:]+\]|[0-9]+(?:\.[0-9]+){3}):)?(?:(?P<out>\d*(?:-\d+)?):)?(?P<in>\d+(?:-\d+)?)(?:/(?P<how>\w+))?\Z"
)
_PORT_WORD = r"--?[\w-]*(?:port|bind|listen|addr|address)|-p|-P|-b|http\.server"


class Around(Struct):
    """What the services of one file have in common. `folder` is that of the compose file, seen from the stack file;
    `names`: as they are written, and as they are here; `runs`: those that can run here, and the ports on which they
    listen."""

    draft: Draft
    folder: str
    names: dict[str, str]
    runs: dict[str, list[str]] = field(default_factory=dict)

    def path(self, written: str) -> str:
        if written.startswith(("/", "~", "$")) or self.folder in ("", "."):
            return written.removeprefix("./") or "."
        return f"{self.folder}/{written.removeprefix('./')}".removesuffix("/.").removesuffix("/")

    def addresses(self, name: str, text: str) -> str:
        """`redis:6379` is where `redis` is reached here."""
        for other, ports in self.runs.items():
            for index, port in enumerate(ports if other != name else ()):
                good = self.names[other]
                here = f"${{{good}.host}}:${{{good}.{'port' if index == 0 else f'ports.p{port}'}}}"
                text = re.sub(rf"(?<![\w.$-]){re.escape(other)}:{port}(?!\d)", here, text)
        return text


class Port(NamedTuple):
    """One port of a service: on which it listens, under which number it is reached from outside, and on which address."""

    inner: str
    outer: str
    host: str
    note: str
    span: Span


def ports(node: Node | None) -> list[Port]:
    """Of `ports`, in either form. `note`: what of it has no counterpart."""
    items = node.items if isinstance(node, Seq) else ()
    return [_port(one) for one in items]


def _port(node: Node) -> Port:
    if isinstance(node, Map):
        given = {key: str(plain(entry.value)) for key, entry in node.entries.items()}
        how = given.get("protocol", "tcp")
        found = [given.get("target", ""), given.get("published", ""), given.get("host_ip", "")]
    else:
        text = node.text if isinstance(node, Scalar) else ""
        match = _PORT.match(text)
        how = (match["how"] or "tcp") if match else "tcp"
        found = [match["in"], match["out"] or "", match["ip"] or ""] if match else ["", "", ""]
    inner, outer, host = found
    note = "launchpad knows ports of TCP only" if how != "tcp" else ""
    if not note and ("-" in inner or "-" in outer):
        note = f"only the first of several ports was taken: {inner.partition('-')[0]}"
    if not inner.partition("-")[0].isdigit():
        note = "this is no port number"
    return Port(inner.partition("-")[0], outer.partition("-")[0], host.strip("[]"), note, node.span)


def usable(port: Port) -> bool:
    return port.inner.isdigit() and not port.note.startswith(("launchpad", "this"))


def inner_ports(node: Map) -> list[str]:
    """On which a service listens, the main one first."""
    found = [port.inner for port in ports(node.get("ports")) if usable(port)]
    expose = node.get("expose")
    for one in expose.items if isinstance(expose, Seq) else ():
        if isinstance(one, Scalar) and one.text.removesuffix("/tcp").isdigit():
            found.append(one.text.removesuffix("/tcp"))
    return list(dict.fromkeys(found))


def plain(node: Node | None) -> Any:
    """The node as Python values; scalars of any kind as they are in YAML."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Seq):
        return [plain(one) for one in node.items]
    return {key: plain(entry.value) for key, entry in node.entries.items()} if node is not None else None


def words(node: Node | None) -> list[str]:
    """A command as its words."""
    if isinstance(node, Seq):
        return [one.text for one in node.items if isinstance(one, Scalar)]
    if not isinstance(node, Scalar) or node.value is None:
        return []
    try:
        return shlex.split(node.text)
    except ValueError:
        return [node.text]


def filled(text: str) -> str:
    """`$NAME` and `${NAME}` are filled in as they are; what is not set is empty, as in compose."""

    def variable(match: re.Match[str]) -> str:
        return match[0] if match[0] == "$$" else f"${{{match[1] or match[2]}:-}}"

    return _PLAIN_VARIABLE.sub(variable, text)


def seconds(text: str) -> float | None:
    """`1m30s` as seconds; None for what is no duration."""
    parts = _DURATION.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def duration(text: str) -> str | None:
    """As a stack file has it: one number and one unit."""
    found = seconds(text)
    if found is None:
        return None
    for unit, worth in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if found >= worth and found % worth == 0:
            return f"{found / worth:g}{unit}"
    return f"{found * 1000:g}ms"


def with_own_port(words_: list[str], port: str) -> list[str] | None:
    """The command with `${self.port}` in place of the port; None where it is not among its words."""
    found, before, changed = [], "", False
    for word in words_:
        new = re.sub(
            rf"^((?:{_PORT_WORD})=|[^/=]*:|(?:{_PORT_WORD})=[^/]*:|){port}$", r"\1${self.port}", word
        )
        if new == "${self.port}" and not re.fullmatch(_PORT_WORD, before):
            new = word
        changed, before = changed or new != word, word
        found.append(new)
    return found if changed else None

"""What `${…}` may speak of: the environment, `vars`, the stack, the service itself and the other services.

Decides what each dotted name is worth. A port's number is not known here: it stays a `Reference`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Mapping, Sequence
from ipaddress import ip_address

from msgspec import Struct, field
from msgspec.structs import replace

from launchpad.errors import Diagnostic, Span
from launchpad.stack.home import Home, env_files_around, holder, known_services, service_name, var_name
from launchpad.stack.nodes import Map, Node, Scalar
from launchpad.stack.problems import VAR_CYCLE, closest, did_you_mean, error, listed, shown
from launchpad.stack.template import ARGS, Piece, Problem, Reference, fill, unknown
from launchpad.stack.words import Word

NOWHERE = Span("", 1, 1, 1, 1)
RESERVED = ("self", "stack", "vars")
MAIN = "main"

_SECRET = re.compile(
    r"(?:^|_)(SECRETS?|PASS|PWD|CREDENTIALS?|COOKIE|PAT)(?:_|$)|TOKEN(?:_|$)|PASSWORD|PASSWD|PASSPHRASE"
    r"|(?:^|_)(AUTH|AUTHORIZATION|DSN)$|CONNECTION_STRING"
    r"|(API|PRIVATE|ACCESS|SECRET|SIGNING|ENCRYPTION|AUTH|MASTER|DEPLOY|LICENSE|SSH|WANDB|OPENAI|ANTHROPIC)_?KEY",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]")


def looks_secret(name: str) -> bool:
    """Whether a variable of this name probably holds something that must not be shown."""
    return name not in ("PWD", "OLDPWD") and bool(_SECRET.search(_CAMEL.sub("_", name)))


def connectable(host: str) -> str:
    """The address at which a service that binds `host` is reached on this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def bracketed(host: str) -> str:
    """As a URL writes it."""
    return f"[{host}]" if ":" in host else host


class Symbol(Struct, frozen=True):
    """What others may ask of a service before its keys have been checked."""

    name: str
    kind: str
    node: Map
    ports: tuple[str, ...]
    fd: bool
    """Its listening socket is passed to it."""
    replica: str = ""
    """Which of several copies it is, from 0."""
    copies: tuple[str, ...] | None = None
    """It is not one service: these are."""


def symbols(
    trees: Mapping[str, Map], jobs: Container[str], groups: Mapping[str, tuple[str, ...]]
) -> dict[str, Symbol]:
    """Of every service, and of all copies of one under their common name."""
    found = {name: _symbol(name, "job" if name in jobs else "server", node) for name, node in trees.items()}
    for group, names in groups.items():
        found.update({name: replace(found[name], replica=str(index)) for index, name in enumerate(names)})
        kind = "job" if group in jobs else "server"
        one = found[names[0]] if names else _symbol(group, kind, Map(NOWHERE))
        found[group] = replace(one, name=group, replica="", copies=names)
    return found


def _symbol(name: str, kind: str, node: Map) -> Symbol:
    ports = node.get("ports")
    named = [key for key in ports.entries if not key.startswith("x-")] if isinstance(ports, Map) else []
    main = [MAIN] if "port" in node.entries else []
    handover = node.get("handover")
    fd = isinstance(handover, Scalar) and handover.text == "inherit"
    return Symbol(name, kind, node, tuple(dict.fromkeys(main + named)), fd)


class World(Struct):
    """Everything that is known of a stack while its strings are filled."""

    directory: str
    environ: Mapping[str, str]
    name: str = ""
    env_files: dict[str, str] = field(default_factory=dict)
    """Of the top level; launchpad's own environment wins over them."""
    given: dict[str, str] = field(default_factory=dict)
    """Of env files that are named on the command line: these win over those of any file."""
    vars: dict[str, Node] = field(default_factory=dict)
    set_vars: Mapping[str, str] = field(default_factory=dict)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    _filled: dict[str, tuple[Piece, ...] | None] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _asked: list[str] = field(default_factory=list)
    """Services whose address is being found out."""

    def variable(self, name: str) -> Piece | None:
        """Blanks of a variable separate the words of a command."""
        return self.variable_at(name, None)

    def variable_at(self, name: str, home: Home | None) -> Piece | None:
        """As a file sees it: its own env files win over those around it."""
        if name in self.environ:
            return Piece(self.environ[name], split=True, secret=looks_secret(name))
        for values in (self.given, *reversed(env_files_around(home)), self.env_files):
            if name in values:
                return Piece(values[name], split=True, secret=True)
        return None

    def near(self, name: str) -> str:
        return did_you_mean(name, [*self.given, *self.env_files, *self.environ])

    def var(self, name: str) -> tuple[Piece, ...]:
        """The value of `${vars.name}`. Raises Problem."""
        if name in self.set_vars:
            return (Piece(self.set_vars[name], split=True, secret=looks_secret(name)),)
        if name not in self.vars:
            raise unknown(f"there is no variable `{name}` in `vars`", did_you_mean(name, self.vars))
        return self._worth(name, name, self.vars[name])

    def var_of(self, home: Home, name: str) -> tuple[Piece, ...]:
        """A variable that only one file knows."""
        return self._worth(f"{id(home)}.{name}", name, home.values[name])

    def _worth(self, key: str, name: str, node: Node) -> tuple[Piece, ...]:
        if key in self._open:
            raise Problem(VAR_CYCLE, f"the variables refer to each other: {self._circle(key)}")
        if key not in self._filled:
            self._fill_var(key, name, node)
        return self._filled[key] or ()

    def _circle(self, key: str) -> str:
        names = (one.rpartition(".")[2] for one in [*self._open[self._open.index(key) :], key])
        return " -> ".join(names)

    def _fill_var(self, key: str, name: str, node: Node) -> None:
        """A variable's own problem is told once, at its own place; whoever uses it sees nothing."""
        self._filled[key] = None
        if not isinstance(node, Scalar) or node.value is None:
            return
        self._open.append(key)
        word = self.fill(node, View(self))
        self._open.pop()
        if word is not None:
            secret = looks_secret(name)
            self._filled[key] = tuple(
                replace_piece(piece, secret=piece.secret or secret) for piece in word.pieces
            )

    def fill(self, node: Scalar, view: View) -> Word | None:
        """The scalar with its expressions replaced; None, and the problem noted, where one cannot be."""
        view = view if node.home is None else replace(view, home=node.home)
        try:
            return Word.of(node, fill(node.text, view))
        except Problem as problem:
            for one in (problem, *problem.more):
                span = node.place(one.offset, one.length)
                self.problems.append(error(one.code, one.message, span, hint=one.hint))
            return None

    def host(self, name: str) -> str:
        """The address that a service binds; the default where it is not given, or not right. Raises Circle."""
        node = self.symbols[name].node.get("host")
        if not isinstance(node, Scalar):
            return "127.0.0.1"
        if name in self._asked:
            circle = " -> ".join([*self._asked[self._asked.index(name) :], name])
            raise Circle(VAR_CYCLE, f"the addresses refer to each other: {circle}")
        self._asked.append(name)
        try:
            view = View(replace(self, problems=[]), name, home=node.home)
            return str(ip_address(str(Word.of(node, fill(node.text, view)))))
        except Circle:
            raise
        except (Problem, ValueError):
            return "127.0.0.1"
        finally:
            self._asked.pop()

    def model(self, name: str, *, loud: bool) -> tuple[Piece, ...]:
        """What a service says its `model` is. What is wrong with that is told where it stands; a circle to whoever is
        `loud`. Raises Problem."""
        node = self.symbols[name].node.get("model")
        if not isinstance(node, Scalar) or node.value is None:
            raise unknown(f"`{name}` has no `model`")
        key = f"{name}.model"
        if key in self._open:
            raise Problem(VAR_CYCLE, f"the models refer to each other: {self._circle(key)}")
        self._open.append(key)
        try:
            pieces = fill(node.text, View(replace(self, problems=[]), name, naming=True, home=node.home))
        except Problem as problem:
            if loud and problem.code == VAR_CYCLE:
                raise
            return ()
        finally:
            self._open.pop()
        return tuple(replace_piece(piece, secret=piece.secret) for piece in pieces)


class Circle(Problem):
    """Told to whoever asks: there is no address that could be meant."""


def replace_piece(piece: Piece, *, secret: bool) -> Piece:
    """A piece of a variable's value as it appears where the variable is used: its blanks separate words."""
    return piece._replace(literal=False, split=not piece.reference, secret=secret)


class View(Struct, frozen=True):
    """The world as one service (or none: the top level) sees it."""

    world: World
    self_name: str = ""
    naming: bool = False
    """Within `model`, where a circle of models is told, and nowhere else."""
    commanding: bool = False
    """Within `command`, `${self.args}` has a meaning."""
    probing: bool = False
    """Within `ready` and `alive`, `${self.host}` is where launchpad can connect to."""
    early: bool = False
    """Before the env files are read: only the environment and the stack's folder are known."""
    home: Home | None = None
    """Where it is written, if not in the stack's own file."""

    def variable(self, name: str) -> Piece | None:
        return self.world.variable_at(name, self.home)

    def near(self, name: str) -> str:
        return self.world.near(name)

    def is_service(self, name: str) -> bool:
        return service_name(self.home, name) in self.world.symbols

    def reference(self, path: Sequence[str]) -> Sequence[Piece]:
        first, *rest = path
        if first == "stack":
            return (Piece(self._stack(rest)),)
        if self.early:
            raise unknown(f"`${{{'.'.join(path)}}}` is not known yet here", "")
        if first == "vars":
            if len(rest) != 1:
                raise unknown("a variable has no parts")
            return self._var(rest[0])
        if first == "self":
            return self._self(rest)
        name = service_name(self.home, first)
        if name not in self.world.symbols:
            known = [*known_services(self.home), *self.world.symbols, *RESERVED]
            raise unknown(f"there is no server or job `{shown(first)}`", _meant(first, rest, known))
        return self._service(self.world.symbols[name], rest, connectable(self.world.host(name)))

    def _var(self, name: str) -> Sequence[Piece]:
        """A name that the file does not know is told in its own words."""
        if (home := holder(self.home, name)) is not None:
            if isinstance(node := home.values[name], Scalar) and node.value is None:
                raise unknown(f"the variable `{name}` has no value")
            return self.world.var_of(home, name)
        known = var_name(self.home, name)
        if known not in self.world.vars and known not in self.world.set_vars and self.home is not None:
            near = did_you_mean(name, [*self.home.vars, *self.world.vars])
            raise unknown(f"there is no variable `{name}` in `vars`", near)
        return self.world.var(known)

    def _stack(self, rest: list[str]) -> str:
        folder = self.home.base if self.home is not None and self.home.base else self.world.directory
        known = {"dir": folder, "name": self.world.name, "python": sys.executable}
        if len(rest) != 1 or rest[0] not in known or (rest[0] == "name" and not self.world.name):
            raise _no_part("stack", rest, known)
        return known[rest[0]]

    def _self(self, rest: list[str]) -> Sequence[Piece]:
        if not self.self_name:
            raise unknown("`self` means a server or job, and this is outside of one")
        symbol = self.world.symbols[self.self_name]
        if rest == ["name"]:
            return (Piece(symbol.name),)
        if rest == ["fd"]:
            return (Piece(self._fd(symbol)),)
        if rest == [ARGS]:
            return (Piece(reference=self._args(symbol)),)
        if rest == ["gpus"]:
            return (Piece(reference=self._gpus(symbol)),)
        if rest == ["replica"]:
            return (Piece(_replica(symbol)),)
        host = self.world.host(symbol.name)
        if rest == ["host"]:
            return (Piece(connectable(host) if self.probing else host),)
        return self._service(symbol, rest, connectable(host), "self", ("name", "fd", "replica", "gpus", ARGS))

    def _args(self, symbol: Symbol) -> Reference:
        if not self.commanding or "uses" not in symbol.node.entries:
            raise unknown("`${self.args}` is there only in the `command` of what `uses` a recipe")
        return Reference(symbol.name, "", ARGS)

    def _gpus(self, symbol: Symbol) -> Reference:
        if "gpus" not in symbol.node.entries:
            raise unknown(f"`{symbol.name}` has no GPUs", f"give `{symbol.name}` some: `gpus: 1`")
        if self.probing:
            raise unknown("`${self.gpus}` can be used in `command` and `environment`")
        return Reference(symbol.name, MAIN, "gpus")

    def _fd(self, symbol: Symbol) -> str:
        if not symbol.fd:
            raise unknown(
                "`${self.fd}` is there only with `handover: inherit`",
                "write `handover: inherit` beside the port",
            )
        if not symbol.ports:
            raise _no_port(symbol, "self")
        return "3"

    def _service(
        self, symbol: Symbol, rest: list[str], host: str, said: str = "", more: Sequence[str] = ()
    ) -> Sequence[Piece]:
        said = said or symbol.name
        if rest == ["host"]:
            return (Piece(host),)
        if rest == ["gpus"]:
            if symbol.name == self.self_name:
                return (Piece(reference=self._gpus(symbol)),)
            raise unknown(
                f"the GPUs of `{symbol.name}` are its own", "`${self.gpus}` are those of this service"
            )
        if rest == ["model"]:
            return self.world.model(symbol.name, loud=self.naming)
        if rest == ["urls"]:
            return self._urls(symbol, said)
        if symbol.copies is not None:
            raise _of_all(symbol, rest)
        if rest[0] == "ports" and len(rest) == 2:
            return self._port(symbol, rest[1], "port", said)
        if len(rest) == 1 and rest[0] in ("port", "url"):
            return self._port(symbol, MAIN, rest[0], said)
        raise _no_part(said, rest, ["port", "url", "urls", "host", "ports.NAME", "model", *more])

    def _urls(self, symbol: Symbol, said: str) -> Sequence[Piece]:
        """Of all copies, or its own; with commas between."""
        pieces: list[Piece] = []
        for name in (symbol.name,) if symbol.copies is None else symbol.copies:
            pieces += [Piece(",")] * bool(pieces)
            pieces += self._port(self.world.symbols[name], MAIN, "url", said)
        return pieces

    def _port(self, symbol: Symbol, port: str, form: str, said: str) -> Sequence[Piece]:
        if port in symbol.ports:
            return (Piece(reference=Reference(symbol.name, port, form)),)
        if port == MAIN:
            raise _no_port(symbol, said)
        known = closest(port, symbol.ports)
        hint = f"did you mean `${{{said}.ports.{known}}}`?" if known else ""
        if not hint and symbol.ports:
            hint = f"it has {listed(symbol.ports, 'and')}"
        raise unknown(f"`{symbol.name}` has no port `{shown(port)}`", hint)


def _replica(symbol: Symbol) -> str:
    if not symbol.replica:
        raise unknown("`${self.replica}` is there only with `replicas`")
    return symbol.replica


def _of_all(symbol: Symbol, rest: Sequence[str]) -> Problem:
    """One address is asked of several."""
    part = ".".join(rest)
    hint = f"`${{{symbol.name}.urls}}` is all of them"
    if symbol.copies:
        hint += f", `${{{symbol.copies[0]}.{part}}}` the first"
    return unknown(f"`{symbol.name}` has `replicas`, and each copy a `{shown(part)}` of its own", hint)


def _no_port(symbol: Symbol, said: str) -> Problem:
    if symbol.ports:
        message = f"`{symbol.name}` has no main port"
        return unknown(message, f"`${{{said}.ports.{symbol.ports[0]}}}`")
    return unknown(f"`{symbol.name}` has no port", f"give `{symbol.name}` one: `port: auto`")


def _meant(first: str, rest: Sequence[str], known: Sequence[str]) -> str:
    found = closest(first, known)
    return f"did you mean `${{{found}.{'.'.join(rest)}}}`?" if found else ""


def _no_part(first: str, rest: Sequence[str], known: Sequence[str] | Mapping[str, str]) -> Problem:
    given = ".".join(rest)
    found = closest(given, known)
    hint = f"did you mean `${{{first}.{found}}}`?" if found else f"there is {listed(known, 'and')}"
    return unknown(f"`{first}` has no `{shown(given)}`", hint)

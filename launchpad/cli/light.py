"""Imports libraries without the parts of Python that they do without if these are not there.

`asyncio` would bring TLS (an https check speaks it by itself, see `hosts.local.probes_tls`), `hashlib` and `hmac`, which pydantic
asks for, OpenSSL, for hashes that Python mostly has of its own; `msgspec` a module of types none of which is used. Together
these are a tenth of a start, and 2.4 MB for as long as a stack runs. Only for the program: who uses launchpad as a library has
asyncio whole.

And pydantic looks for no plugins. For that it would import what reads the metadata of all that is installed (a tenth of the time that
it takes to read a stack file, and 1.6 MB); and what somebody has installed for another program in the same environment has no
business in this one.
"""

from __future__ import annotations

import importlib
import sys

SPARED = {"asyncio": "ssl", "hashlib": "_hashlib", "hmac": "_hashlib", "msgspec": "typing_extensions"}
LOADER = "pydantic.plugin._loader"
"""Imported by pydantic when the first model is built, for `get_plugins` alone."""


def import_light(*names: str) -> None:
    """Import libraries of `SPARED`, each without its part; what is there already stays as it is. Whoever imports the part
    itself, later, gets it."""
    for name in names:
        part = SPARED[name]
        if name not in sys.modules and part not in sys.modules and _is_spare(part):
            _import_without(name, part)


def _import_without(name: str, part: str) -> None:
    sys.modules[part] = None  # type: ignore[assignment]  # how Python is told that there is no such module
    try:
        importlib.import_module(name)
    finally:
        del sys.modules[part]


def _is_spare(part: str) -> bool:
    """Some builds of Python have no hashes but those of OpenSSL."""
    if part == "_hashlib":
        try:
            importlib.import_module("_md5")
        except ImportError:
            return False
    return True


class _NoPlugins(type(sys)):  # type: ignore[misc]  # `types` is not imported yet
    """Stands in for that module, until somebody wants more of it."""

    @staticmethod
    def get_plugins() -> tuple[()]:
        return ()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        from importlib import import_module

        del sys.modules[LOADER]
        return getattr(import_module(LOADER), name)


def unplug_pydantic() -> None:
    """To be called before pydantic is imported."""
    sys.modules.setdefault(LOADER, _NoPlugins(LOADER))

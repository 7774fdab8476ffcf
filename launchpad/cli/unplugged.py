"""pydantic without plugins. To look for them, it imports what reads the metadata of all that is installed (a tenth of the time that
it takes to read a stack file, and 1.6 MB for as long as the stack runs); and what somebody has installed for another program in the same
environment has no business in this one. Only for the program: who uses launchpad as a library has pydantic whole.
"""

from __future__ import annotations

import sys

LOADER = "pydantic.plugin._loader"
"""Imported by pydantic when the first model is built, for `get_plugins` alone."""


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

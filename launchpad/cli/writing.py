"""Files that commands write for people to keep: never over one that is there.

Decides what is said about one that cannot be written. Refuses to know what is in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from launchpad.errors import Diagnostic, Refused


def refuse_existing(targets: Iterable[Path]) -> None:
    """Raises Refused with all that are there already."""
    there = [target for target in targets if os.path.lexists(target)]
    if there:
        raise Refused(_there(target) for target in there)


def make_folder(folder: Path) -> None:
    """Raises Refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused([_unwritable(folder, error)]) from None


def write_new(target: Path, text: str) -> None:
    """Raises Refused where there is a file, or none can be made."""
    try:
        with open(target, "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise Refused([_there(target)]) from None
    except OSError as error:
        raise Refused([_unwritable(target, error)]) from None


def _unwritable(target: Path, error: OSError) -> Diagnostic:
    return Diagnostic(
        "E193",
        f"`{target}` cannot be written",
        notes=(error.strerror or str(error),),
        consequence="nothing was written",
    )


def _there(target: Path) -> Diagnostic:
    return Diagnostic(
        "E192",
        f"`{target}` is there already",
        consequence="it was left as it is, and nothing was written",
        hint="name another place with `-o`",
    )

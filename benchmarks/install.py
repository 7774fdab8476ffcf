"""The peers that the registries have, into a folder of their own: from PyPI, from npm, from Debian."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.places import INSTALLED

PYPI = ("honcho", "supervisor", "circus")
NPM = ("pm2", "mprocs", "concurrently")
DEBIAN = ("runit", "ruby3.1", "libruby3.1", "ruby-foreman", "ruby-thor", "libyaml-0-2")
"""foreman comes with the interpreter that it is written for."""
BY_HAND = ("s6-svscan", "dinit", "process-compose", "hivemind", "overmind", "goreman")
"""Measured when they are on PATH. s6 works only where its package puts it: `apt-get install s6`."""


def install() -> None:
    INSTALLED.mkdir(parents=True, exist_ok=True)
    python = INSTALLED / "python"
    if not (python / "bin/circusd").exists():
        run([sys.executable, "-m", "venv", str(python)])
        run([str(python / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", *PYPI])
    npm()
    debian()
    for name in BY_HAND:
        print(f"{name}: {shutil.which(name) or 'not on PATH, so it is not measured'}")


def npm() -> None:
    if shutil.which("npm") is None:
        print("no npm here: pm2, mprocs and concurrently are not measured")
    elif not (INSTALLED / "npm/node_modules/pm2").exists():
        (INSTALLED / "npm").mkdir(exist_ok=True)
        run(
            ["npm", "install", "--prefix", "npm", "--no-audit", "--no-fund", "--loglevel=error", *NPM],
            INSTALLED,
        )


def debian() -> None:
    """Unpacked and not installed: nothing of the machine changes."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        print("no Debian here: runit and foreman are not measured")
        return
    if (INSTALLED / "deb/usr/bin/foreman").exists():
        return
    archives = INSTALLED / "debs"
    archives.mkdir(exist_ok=True)
    run(["apt-get", "download", *DEBIAN], archives)
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg", "-x", str(archive), str(INSTALLED / "deb")])


def run(argv: Sequence[str], folder: Path | None = None) -> None:
    """What cannot be had is told, and its peers are not measured."""
    done = subprocess.run(list(argv), cwd=folder, check=False)
    if done.returncode != 0:
        print(f"`{' '.join(argv[:3])} …` exited with {done.returncode}", file=sys.stderr)

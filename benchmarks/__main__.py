"""`scripts/bench`: measures, keeps the results, and makes the page of them.

scripts/bench --install        the peers that the registries have, into .bench
scripts/bench                  everything; hours rather than minutes
scripts/bench --minutes 45     everything, in full size: one round each, and more as long as there is time
scripts/bench --quick          fewer rounds and smaller sizes, in about three minutes
scripts/bench --only e,a       these scenarios
scripts/bench --peers honcho   launchpad, the limits, and these
scripts/bench --resume         what is not there yet
scripts/bench --page           only the page, of the results that are there
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks import install, measure, page
from benchmarks.adapters import everyone
from benchmarks.adapters.base import Adapter
from benchmarks.places import IMAGES, INSTALLED, PAGE, RESULTS, compiled
from benchmarks.run import interrupted
from benchmarks.scenarios import SCENARIOS

QUICK_S = 110.0
"""For all scenarios together, measured in equal shares of what is left."""
QUICK_PEERS = ("honcho", "honcho + a loop with curl")


def main() -> int:
    options = parser().parse_args()
    if options.install:
        install.install()
        return 0
    signal.signal(signal.SIGTERM, interrupted)
    keys = options.only.split(",") if options.only else [scenario.key for scenario in SCENARIOS]
    if unknown := set(keys) - {scenario.key for scenario in SCENARIOS}:
        print(f"no such scenario: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    folder = Path(options.results) if options.results else INSTALLED / "quick" if options.quick else RESULTS
    if not options.page:
        for name in ("actor", "floor"):
            compiled(name)
        measure_all(options, keys, folder)
    if options.quick or options.results:
        print(page.text(page.gathered(folder), None))
    else:
        page.write(folder, PAGE, IMAGES)
        print(f"{PAGE} written")
    return 0


def measure_all(options: argparse.Namespace, keys: list[str], folder: Path) -> None:
    adapters = chosen(options)
    wanted = [scenario for scenario in SCENARIOS if scenario.key in keys]
    seconds = options.minutes * 60 if options.minutes else QUICK_S if options.quick else None
    ends = time.monotonic() + seconds if seconds is not None else None
    for number, scenario in enumerate(wanted):
        now = time.monotonic()
        until = now + (ends - now) / (len(wanted) - number) if ends is not None else None
        measure.scenario(scenario, adapters, folder, options.quick, options.resume, until=until)


def chosen(options: argparse.Namespace) -> list[Adapter]:
    if options.peers:
        names = options.peers.split(",")
    elif options.quick:
        names = list(QUICK_PEERS)
    else:
        return everyone()
    return [adapter for adapter in everyone() if adapter.kind != "peer" or adapter.name in names]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="scripts/bench", formatter_class=argparse.RawDescriptionHelpFormatter)
    made.description = __doc__
    made.add_argument("--install", action="store_true")
    made.add_argument(
        "--minutes", metavar="M", type=float, help="how long it may take, the first rounds apart"
    )
    made.add_argument("--quick", action="store_true")
    made.add_argument("--only", metavar="KEYS")
    made.add_argument("--peers", metavar="NAMES")
    made.add_argument("--resume", action="store_true")
    made.add_argument("--page", action="store_true")
    made.add_argument("--results", metavar="FOLDER", help="keep results there, and print the page")
    return made


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""`make bench`: what Millrace costs beside what the same work costs without it, in one run, as one table.

    make bench                                  a few minutes
    make bench BENCH=full                       all sizes and counts, more repetitions
    make bench BENCH_ARGS="--only size,flight"  some groups
    make bench BENCH_ARGS="--save FILE"         the table as Markdown, with machine and versions

README.md in this folder has the method."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Quick:
    repetitions = 3
    sizes = {1000: 12000, 10000: 12000, 100000: 2500, 1000000: 250}
    flights, flight_rate = (64, 2000), 2000
    live = {20: 40, 200: 15}  # events a second: for so many seconds
    backfill = 5000
    slow, slow_repetitions = 12000, 1
    lookups = 10000


class Full(Quick):
    repetitions = 5
    sizes = {1000: 20000, 10000: 20000, 100000: 4000, 1000000: 400}
    flights = (16, 64, 256, 1000, 2000, 4000)
    live = {20: 150, 200: 60}
    backfill = 20000
    slow, slow_repetitions = 60000, 2
    lookups = 30000


class Smoke(Quick):
    """Proves that everything runs; its figures say nothing."""
    repetitions = 1
    sizes = {10000: 500}
    flights = (64, 500)
    live = {20: 3, 200: 3}
    backfill = 500
    slow = 500
    lookups = 500


SIZES = {"smoke": Smoke, "quick": Quick, "full": Full}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?", default=str(ROOT / "build" / "millrace"))
    parser.add_argument("--size", choices=SIZES, default="quick")
    parser.add_argument("--only", default="", help="groups, by commas")
    parser.add_argument("--pages", help="sizes of pages in bytes, by commas, of those of the size")
    parser.add_argument("--repetitions", type=int, help="instead of the size's")
    parser.add_argument("--save", metavar="FILE", help="writes the table there, as Markdown")
    options = parser.parse_args()
    os.environ["MILLRACE"] = str(Path(options.binary).resolve())
    sys.path.insert(0, str(HERE))
    import rig
    import scenarios
    import table
    knobs = SIZES[options.size]()
    knobs.repetitions = options.repetitions or knobs.repetitions
    if options.pages:
        knobs.sizes = {int(size): knobs.sizes[int(size)] for size in options.pages.split(",")}
    wanted = options.only.split(",") if options.only else list(scenarios.SCENARIOS)
    unknown = set(wanted) - set(scenarios.SCENARIOS)
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(scenarios.SCENARIOS)}")
    made = table.Table()
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        stand = rig.Rig(os.environ["MILLRACE"], folder)
        try:
            for name in wanted:
                scenarios.SCENARIOS[name](stand, made, knobs)
        finally:
            stand.close()
    print("\n" + made.markdown())


if __name__ == "__main__":
    main()

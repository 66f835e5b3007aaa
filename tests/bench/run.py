#!/usr/bin/python3
"""`make bench`: what Millrace costs beside what the same work costs without it, in one run, as one table.

    make bench                                  about seven minutes
    make bench BENCH=full                       all sizes and counts, more repetitions
    make bench BENCH_ARGS="--only size,flight"  some groups
    make bench BENCH_ARGS="--save FILE"         the table as Markdown, with machine and versions

README.md in this folder has the method."""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOAD = f"load before the run {os.getloadavg()[0]:.1f}"


class Quick:
    repetitions = 3
    sizes = {1000: 12000, 10000: 12000, 100000: 2500, 1000000: 250}
    flights, flight_rate, flight_repetitions = (64, 2000), 2000, 2
    live = {20: 40, 200: 15}  # events a second: for so many seconds
    backfill = 5000
    slow, slow_repetitions = 12000, 1
    records = 60000
    lookups = 10000


class Full(Quick):
    repetitions = 5
    sizes = {1000: 20000, 10000: 20000, 100000: 4000, 1000000: 400}
    flights, flight_repetitions = (16, 64, 256, 1000, 2000, 4000), 3
    live = {20: 150, 200: 60}
    backfill = 20000
    slow, slow_repetitions = 60000, 2
    records = 150000
    lookups = 30000


class Smoke(Quick):
    """Proves that everything runs; its figures say nothing."""
    repetitions = 1
    sizes = {10000: 500}
    flights, flight_repetitions = (64, 500), 1
    live = {20: 3, 200: 3}
    backfill = 500
    slow = 500
    records = 500
    lookups = 500


SIZES = {"smoke": Smoke, "quick": Quick, "full": Full}


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()
    except OSError:
        return ""


def machine(kafka):
    """What figures depend on: [(what, how much or which)]"""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    versions = json.loads(output_of(os.environ["MILLRACE"], "version", "--json") or "{}")
    versions.pop("revision", None)  # of when version.c was compiled
    revision = output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    broker = next((jar.stem for jar in kafka.CACHE.glob("kafka-clients-*.jar")), "none")
    java = output_of("java", "--version").splitlines()
    return [("processor", f"{processor[1] if processor else platform.machine()}, {os.cpu_count()} cores, "
             f"{memory / 1024 / 1024:.0f} GiB; {LOAD}"),
            ("system", f"{system[1] if system else '?'}, Linux {platform.release()}"),
            ("millrace", f"{versions.pop('millrace', '?')} ({revision}), "
             f"{output_of('cc', '--version').splitlines()[0]}"),
            ("libraries", ", ".join(f"{name} {version}" for name, version in versions.items())),
            ("broker", f"{broker}, {java[0] if java else 'no Java'}, one node, on the same machine")]


def report(table, told, options, seconds):
    lines = ["# A run of the benchmarks", "",
             f"`make bench BENCH={options.size}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {seconds / 60:.0f} minutes. "
             "[README.md](README.md) has the method; ratios are medians of ratios within a repetition.", "",
             *(f"* {name}: {what}" for name, what in told), "", table.markdown()]
    missed = table.missed()
    return "\n".join(lines) + (f"\n{len(missed)} aims missed: {'; '.join(missed)}.\n" if missed else "\nAll aims are met.\n")


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that broker and folders go, too
    made, began = table.Table(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        stand = rig.Rig(os.environ["MILLRACE"], folder)
        try:
            told = machine(rig.kafka)
            print("\n".join(f"{name}: {what}" for name, what in told), flush=True)
            for name in wanted:
                try:
                    scenarios.SCENARIOS[name](stand, made, knobs)
                except rig.kafka.Unavailable as why:
                    print(f"  left out, there is no Kafka: {why}", flush=True)
        finally:
            stand.close()
    text = report(made, told, options, time.monotonic() - began)
    print("\n" + text)
    if options.save:
        Path(options.save).write_text(text)


if __name__ == "__main__":
    main()

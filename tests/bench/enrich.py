#!/usr/bin/python3
"""How fast the whole walk is without Kafka: `millrace enrich` over made events against the API stub.

    /usr/bin/python3 tests/bench/enrich.py [BINARY] [--events N] [--latency SECONDS]

The stub shares the machine and answers some thousand requests a second on a core of its own; where it is the
limit, look at the CPU seconds of the engine and not at the wall clock."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

SYSTEM = Path(__file__).resolve().parents[1] / "system"
sys.path.insert(0, str(SYSTEM))

import events  # noqa: E402
import stub as stubs  # noqa: E402

ROOT = SYSTEM.parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?", default=str(ROOT / "build" / "millrace"))
    parser.add_argument("--events", type=int, default=10000)
    parser.add_argument("--latency", type=float, default=0.02, help="of each answer, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stub = stubs.Stub()
    try:
        stub._steer("record", False)
        stub.latency(options.latency, options.latency * 2)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.jsonl"
            maker = events.Maker(options.seed, pages=max(100, options.events // 50))
            with open(path, "wb") as file:
                for event in maker.mixed(options.events):
                    file.write(events.dump(events.load(event.value)).encode() + b"\n")
            report(*measure(options.binary, path, Path(folder) / "out.jsonl", stub), stub, options)
    finally:
        stub.close()


def measure(binary, path, output, stub):
    arguments = [binary, "enrich", str(ROOT / "scripts" / "page_content_change.lua"), str(path), "--endpoint", stub.url]
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        os.chdir(ROOT)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        os.execv(binary, arguments)
    _, status, usage = os.wait4(process, 0)
    assert status == 0, f"exit status {status}"
    return time.monotonic() - started, usage, output.stat().st_size


def report(wall, usage, size, stub, options):
    cpu = usage.ru_utime + usage.ru_stime
    calls = stub.stats()["calls"]
    print(f"{options.events} events, {calls} calls, {size / 1e6:.1f} MB out")
    print(f"wall      {wall:8.2f} s   {options.events / wall:10.0f} events/s")
    print(f"CPU       {cpu:8.2f} s   {cpu / options.events * 1e6:10.0f} us/event")
    print(f"peak RSS  {usage.ru_maxrss / 1024:8.1f} MiB")


if __name__ == "__main__":
    main()

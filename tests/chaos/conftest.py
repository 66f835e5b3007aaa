"""Fixtures of the chaos runs: three brokers behind a proxy for the session, a world for each test."""

import os
import re
import signal
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

import engine  # noqa: E402
import kafka  # noqa: E402
import stub as stubs  # noqa: E402
from proxy import Proxy  # noqa: E402
from sizes import SEED, SIZE, SIZES, size  # noqa: E402
from world import Tmpfs, World  # noqa: E402

SKIPPED = []


def pytest_configure(config):
    """SIGTERM ends a run as an interrupt does: processes, mounts and folders of its own go with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_report_header(config):
    return [f"millrace: {engine.BINARY}",
            f"seed: {SEED} (again: MILLRACE_SEED={SEED}), size: {SIZE} "
            + " ".join(f"CHAOS_{what}={size(what)}" for what in SIZES[SIZE])]


def pytest_terminal_summary(terminalreporter):
    for why in dict.fromkeys(SKIPPED):
        terminalreporter.section("not all faults were injected", sep="!")
        terminalreporter.line(why)


def pytest_runtest_logreport(report):
    """A night is long: what a failure has to tell is in a file at once."""
    if report.failed:
        folder = engine.ROOT / "build" / "chaos"
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", report.nodeid.rpartition("::")[2]).strip("-")
        (folder / f"{SEED}-{name}.txt").write_text(report.longreprtext + report.capstdout)


@pytest.fixture(scope="session")
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def brokers(proxy):
    try:
        brokers = kafka.Brokers(door=proxy.open)
    except kafka.Unavailable as why:
        if os.environ.get("MILLRACE_KAFKA") == "required":
            raise AssertionError(f"MILLRACE_KAFKA=required, but no real broker: {why}") from None
        SKIPPED.append(f"No chaos at all, it needs real brokers: {why}")
        pytest.skip(f"needs real brokers: {why}")
    yield brokers
    brokers.close()


@pytest.fixture(scope="session")
def stub():
    stub = stubs.Stub()
    yield stub
    stub.close()


@pytest.fixture(scope="session")
def api_port(proxy, stub):
    return proxy.open(stub.port)


@pytest.fixture
def tmpfs(tmp_path):
    tmpfs = Tmpfs(tmp_path / "tmpfs")
    if tmpfs.why:
        SKIPPED.append(f"No store was filled, since no tmpfs can be mounted here: {tmpfs.why}")
    yield tmpfs
    tmpfs.close()


@pytest.fixture
def seed(request):
    value = SEED * 100000 + zlib.crc32(request.node.name.encode()) % 100000
    print(f"seed {value}")
    return value


@pytest.fixture
def world(tmp_path, brokers, stub, api_port, proxy, tmpfs, seed):
    """Makes worlds: world(store=True, change={...}); what was broken is mended after the test."""
    worlds = []

    def make(store=True, number=0, **options):
        folder = tmp_path / f"world{len(worlds) + 1}"
        folder.mkdir()
        made = World(folder, brokers, stub, api_port, proxy, seed + 7919 * number,
                     store=tmpfs.folder if store else None, **options)
        made.tmpfs = tmpfs
        worlds.append(made)
        return made

    yield make
    for made in worlds:
        made.close()
    brokers.start()

"""Fixtures: a Kafka for the session, an API stub that begins each test afresh, jobs that always end."""

import itertools
import os
import warnings
from pathlib import Path

import pytest

import certificates
import engine
import kafka
import stub as stubs
from job import Job

SEED = int(os.environ.get("MILLRACE_SEED", "20"))


def pytest_configure(config):
    config.addinivalue_line("markers", "real_kafka: needs a real broker (its faults, its size, or its restarts)")


def pytest_report_header(config):
    return [f"millrace: {engine.BINARY}", f"seed: {SEED} (MILLRACE_SEED)"]


class Clusters:
    """Opened when first asked for, closed at the end whatever happens."""

    def __init__(self):
        self.opened, self.why = [], None

    def get(self, number):
        while len(self.opened) <= number:
            cluster, why = kafka.open_cluster()
            self.opened.append(cluster)
            if why and not self.why:
                self.why = why
                warnings.warn(pytest.PytestWarning(f"NO REAL KAFKA, librdkafka's mock cluster instead: {why}"))
        return self.opened[number]

    def close(self):
        for cluster in self.opened:
            cluster.close()


CLUSTERS = Clusters()


@pytest.fixture(scope="session")
def clusters():
    yield CLUSTERS
    CLUSTERS.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Runs where the tests were shared out among processes; each tells what it missed."""
    CLUSTERS.why = CLUSTERS.why or getattr(node, "workeroutput", {}).get("no_kafka")


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["no_kafka"] = CLUSTERS.why


def pytest_terminal_summary(terminalreporter):
    if CLUSTERS.why:
        terminalreporter.section("no real Kafka", sep="!")
        terminalreporter.line(f"The Kafka tests ran on librdkafka's mock cluster, those of broker faults not at all: {CLUSTERS.why}")


@pytest.fixture
def cluster(clusters, request):
    cluster = clusters.get(0)
    if request.node.get_closest_marker("real_kafka") and not cluster.real:
        pytest.skip(f"needs a real Kafka: {clusters.why}")
    return cluster


@pytest.fixture(scope="session")
def running_stub():
    stub = stubs.Stub()
    yield stub
    stub.close()


@pytest.fixture
def stub(running_stub):
    running_stub.reset()
    return running_stub


@pytest.fixture
def seed(request):
    """Different for each test, the same in each run; printed with a failure."""
    value = SEED * 1000 + sum(map(ord, request.node.name)) % 1000
    print(f"seed {value}")
    return value


@pytest.fixture(scope="session", autouse=True)
def binary(request):
    if not engine.BINARY.exists() and any(item.path.name != "test_ledger.py" for item in request.session.items):
        pytest.exit(f"{engine.BINARY} is not there: make, or name one in MILLRACE", 2)


@pytest.fixture
def job(cluster, stub, tmp_path):
    """Makes jobs: job(partitions=3, change={...}); all of them are ended after the test."""
    jobs, folders = [], itertools.count(1)

    def make(**options):
        jobs.append(Job(Path(tmp_path) / f"job{next(folders)}", options.pop("cluster", cluster),
                        options.pop("stub", stub), **options))
        return jobs[-1]

    yield make
    for made in jobs:
        made.close()


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """A private authority whose certificates are to be trusted."""
    return certificates.Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts who was not told to."""
    return certificates.Authority(tmp_path_factory.mktemp("stranger"), "stranger-ca")

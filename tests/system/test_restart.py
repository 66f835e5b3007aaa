"""Stops, kills and broker faults: nothing lost, nothing reordered, and what may repeat says so."""

import random
import signal
import time

import pytest

import events


def test_sigterm_in_the_middle_loses_nothing_and_repeats_nothing(job, stub, cluster, seed):
    stub.latency(0.005, 0.1)
    count = 2000 if cluster.real else 600
    j = job(partitions=3, change={"limits": {"records": 200}})
    j.send(events.Maker(seed, pages=100).mixed(count))
    j.start()
    for share in (0.2, 0.5):
        j.until_outputs(int(count * share))
        j.stop()
        j.start()
    j.until_done()
    report = j.require_clean()
    assert report.outputs + report.errors < count
    j.require_balance()


def test_sigterm_waits_for_the_calls_in_the_air(job, stub, seed):
    maker = events.Maker(seed, pages=20)
    records = [maker.event() for _ in range(20)]
    stub.latency(1.5, 1.5)
    j = job(partitions=1)
    j.send(records)
    j.start()
    j.until("all are asked", lambda m: m.sum("millrace_http_in_flight") >= 20)
    j.stop()
    j.require_clean()
    assert sum(cluster_commit(j).values()) == 20


def cluster_commit(j):
    return j.cluster.committed(j.group, j.source_topic)


def test_sigterm_does_not_wait_for_a_retry_far_ahead(job, stub, seed):
    maker = events.Maker(seed, pages=5)
    records = [maker.event() for _ in range(5)]
    stub.rules({"do": "status", "status": 429, "headers": {"Retry-After": "50"}, "times": 1})
    j = job(partitions=1, change={"drain": "30s"})
    j.send(records)
    j.start()
    j.until("the host is paused", lambda m: m.sum("millrace_http_waiting_lookups") > 0)
    started = time.monotonic()
    j.stop()
    assert time.monotonic() - started < 25, "waiting retries are let go at once, not after the drain's deadline"
    j.start()
    j.until_done()
    j.require_clean()


@pytest.mark.parametrize("round", [1, 2, 3])
def test_sigkill_loses_nothing_and_keeps_the_order(job, stub, cluster, seed, round):
    rng = random.Random(seed)
    stub.latency(0.002, 0.08)
    count = 1200 if cluster.real else 400
    j = job(partitions=3, change={"limits": {"records": 150}})
    j.send(events.Maker(seed, pages=60).mixed(count))
    for _ in range(3):
        j.start(ready=False)
        target = j.sink.count(j.sink_topic) + rng.randrange(1, count // 4)
        j.until_outputs(min(target, count * 8 // 10))
        time.sleep(rng.random() * 0.05)
        j.kill()
    j.start()
    j.until_done()
    j.require_clean(repeats=True)


def test_a_second_sigterm_quits_at_once(job, stub, seed):
    stub.rules({"do": "hang"})
    j = job(partitions=1, change={"drain": "60s", "http": {"upstreams": {"mediawiki": {"timeout": "60s"}}}})
    j.send([events.Maker(seed).event() for _ in range(5)])
    j.start()
    j.until("the calls hang", lambda m: m.sum("millrace_http_in_flight") >= 5)
    j.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert j.process.poll() is None, "the first SIGTERM must wait for the calls in the air"
    j.signal(signal.SIGTERM)
    assert j.wait(20) in (143, -signal.SIGTERM)


def test_sigint_drains_like_sigterm(job, stub, seed):
    j = job(partitions=1)
    j.send([events.Maker(seed).event() for _ in range(5)])
    j.start()
    j.until_done()
    j.signal(signal.SIGINT)
    assert j.wait() == 0
    j.require_clean()


@pytest.mark.real_kafka
def test_source_sink_and_errors_may_be_three_clusters(job, stub, clusters, seed):
    j = job(partitions=2, cluster=clusters.get(0), sink=clusters.get(1), errors=clusters.get(2))
    maker = events.Maker(seed, pages=50)
    records = maker.mixed(300)
    for place, (_, value) in enumerate(events.poison(maker).items()):
        records.insert(place * 7, events.Event(value, b"poison", "failed", timestamp=1700000000000))
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


@pytest.mark.real_kafka
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_sink_broker_that_goes_and_comes_back_loses_and_reorders_nothing(job, stub, clusters, seed, how):
    stub.latency(0.005, 0.05)
    sink = clusters.get(1)
    j = job(partitions=3, sink=sink, errors=clusters.get(0), change={"limits": {"records": 300}})
    j.send(events.Maker(seed, pages=80).mixed(3000))
    j.start()
    j.until_outputs(700)
    getattr(sink, how)()
    time.sleep(3)
    assert j.process.poll() is None, f"a sink that is away must not end the process\n{j.story()}"
    assert j.get("/livez")[0] == 200
    sink.start()
    j.until_done()
    j.require_clean(repeats=True)
    j.require_outcomes()


@pytest.mark.real_kafka
def test_a_source_broker_that_goes_and_comes_back_loses_nothing(job, stub, clusters, seed):
    stub.latency(0.005, 0.05)
    source = clusters.get(1)
    j = job(partitions=3, cluster=source, sink=clusters.get(0), change={"limits": {"records": 200}})
    j.send(events.Maker(seed, pages=80).mixed(2000))
    j.start()
    j.until_outputs(300)
    source.kill()
    time.sleep(2)
    assert j.process.poll() is None, f"a source that is away must not end the process\n{j.story()}"
    source.start()
    j.until_done()
    j.require_clean(repeats=True)


@pytest.mark.real_kafka
def test_two_workers_share_the_partitions_and_hand_them_over(job, stub, seed):
    stub.latency(0.005, 0.05)
    j = job(partitions=4, change={"limits": {"records": 200}})
    j.send(events.Maker(seed, pages=80).mixed(2500))
    j.start()
    j.until_outputs(300)
    second = job_like(j)
    try:
        second.start()
        second.until("the second has partitions", lambda m: m.sum("millrace_kafka_assigned_partitions") >= 1)
        j.until_outputs(1200)
        j.require_balance()
        second.require_balance()
        j.stop()
        second.until_done()
    finally:
        second.close()
    j.require_clean(repeats=True)


def job_like(j):
    """A second worker of the same group on the same topics."""
    from copy import copy
    other = copy(j)
    other.folder = j.folder.parent / "second"
    other.folder.mkdir()
    other.log, other.process, other.lives = other.folder / "stderr.log", None, 0
    return other

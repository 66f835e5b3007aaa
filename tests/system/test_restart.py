"""Stops, kills and broker faults: nothing lost, nothing reordered, and what may repeat says so."""

import random
import signal
import time

import pytest

import check
import events

QUICK = {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}  # a killed worker is soon missed


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
    j = job(partitions=1, change={"http": {"upstreams": {"mediawiki": {"merge": False}}}})
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
def test_sigkill_loses_nothing_repeats_nothing_committed_and_keeps_the_order(job, stub, cluster, seed, round):
    rng = random.Random(seed)
    stub.latency(0.002, 0.08)
    count = 1200 if cluster.real else 400
    j = job(partitions=3, change={"limits": {"records": 150}, "source": {"kafka": QUICK}})
    j.send(events.Maker(seed, pages=60).mixed(count))
    marks = []
    for _ in range(3):
        j.start(ready=False)
        target = j.sink.count(j.sink_topic) + rng.randrange(1, count // 4)
        j.until_outputs(min(target, count * 8 // 10))
        time.sleep(rng.random() * 1.5)
        j.kill()
        marks.append((cluster_commit(j), j.sink.ends(j.sink_topic)))
    j.start()
    j.until_done()
    j.require_clean(repeats=True)
    assert any(committed for committed, _ in marks), "no life got as far as a commit: this proves nothing"
    for committed, ends in marks:
        again = [m for m in j.outputs() if m.offset() >= ends[m.partition()] and below(m, committed)]
        assert not again, f"{len(again)} outputs of committed records came again, e.g. {check.source_of(again[0])}"


def below(message, committed):
    _, partition, offset, _ = check.source_of(message)
    return offset < committed.get(partition, 0)


def test_a_second_sigterm_quits_at_once(job, stub, seed):
    stub.rules({"do": "hang"})
    j = job(partitions=1, change={"drain": "60s", "http": {"upstreams": {"mediawiki": {"timeout": "60s", "merge": False}}}})
    j.send([events.Maker(seed).event() for _ in range(5)])
    j.start()
    j.until("the calls hang", lambda m: m.sum("millrace_http_in_flight") >= 5)
    assert j.metrics().value("millrace_open_records_span") == 5  # from the oldest open one to the newest
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
def test_records_that_the_broker_refuses_become_error_events(job, stub, cluster, seed):
    maker = events.Maker(seed, pages=3)
    page = maker.pages[0]
    noise = random.Random(seed)

    def grow(value):
        value["comment"] = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(60000))
    records = [maker.event(page=page) for _ in range(30)]
    records[10] = maker.event(page=page, change=grow, outcome="failed")
    records[20] = maker.event(page=page, change=grow, outcome="failed")
    for record in (records[11], records[21]):
        stub.rules({"rev": record.rev, "do": "ok", "delay": 0})
    j = job(partitions=1)
    cluster.alter(j.sink_topic, max_message_bytes=120000)
    j.send(records)
    j.start()
    j.until_done()
    report = j.check()
    # The size the broker minds is that of a compressed batch: small neighbours may share the fate of a batch, not more.
    assert not report.lost and not report.reordered and not report.altered, f"{report}\n{j.story()}"
    j.require_balance()


def test_a_commit_set_by_somebody_else_decides_where_it_starts(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    records = [maker.event() for _ in range(60)]
    j = job(partitions=1)
    j.send(records)
    j.cluster.commit(j.group, j.source_topic, {0: 40})
    j.start()
    j.until_done()
    report = j.check()
    assert report.outputs == 20 and len(report.lost) == 40, f"{report}\n{j.story()}"


def test_start_latest_takes_only_what_comes_later(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    j = job(partitions=1, change={"source": {"start": "latest"}})
    j.cluster.send(j.source_topic, [maker.event().record() for _ in range(10)])
    j.start()
    j.until("the partition is assigned", lambda m: m.sum("millrace_kafka_assigned_partitions") == 1)
    j.send([maker.event() for _ in range(10)])
    j.until_outputs(10)
    j.until("the commit", lambda m: j.cluster.committed(j.group, j.source_topic) == {0: 20})
    j.require_clean()

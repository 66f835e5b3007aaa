"""Trouble at the source's side: brokers away, topics that come and go, rights taken away, records deleted unread."""

import os
import signal
import time

import pytest

import brokers
import events
import kafka
from brokers import DESCRIBE, GROUP, READ
from engine import run, until

QUICK = {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}
REFRESH = {"topic.metadata.refresh.interval.ms": "1000"}
AWAY_SECONDS = float(os.environ.get("MILLRACE_AWAY_SECONDS", "4"))  # more than a session of QUICK

PASSWORD = "let-me-in"

pytestmark = pytest.mark.real_kafka


@pytest.fixture(scope="module")
def sources(clusters):
    """A cluster of the sources' own, with users and rights."""
    if not clusters.get(0).real:
        pytest.skip(f"needs a real Kafka: {clusters.why}")
    cluster = brokers.Guarded({"worker": PASSWORD})
    yield cluster
    cluster.close()


@pytest.fixture
def source(sources):
    """The sources' cluster, alive again after each test."""
    yield sources
    if sources.process.poll() is not None:
        sources.start()


def readiness(j):
    return j.get("/readyz")[1]


def until_said(j, words, seconds=None):
    until(f"the log says {words!r}", lambda: words in j.stderr(), seconds, j.story)


# ---- brokers ----

@pytest.mark.parametrize("how", ["killed", "asleep"])
def test_a_source_that_is_away_pauses_the_job_and_nothing_else(job, stub, cluster, source, seed, how):
    stub.latency(0.005, 0.05)
    j = job(partitions=3, cluster=source, sink=cluster,
            change={"limits": {"records": 200}, "source": {"kafka": QUICK}})
    maker = events.Maker(seed, pages=80)
    j.send(maker.mixed(1200))
    j.start()
    j.until_outputs(300)
    source.kill() if how == "killed" else source.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(AWAY_SECONDS)
        j.until("the pause is told", lambda m: m.value("millrace_paused_seconds_total", reason="source") > 0)
        assert j.get("/livez")[0] == 200
        assert j.get("/readyz")[0] == 200, "trouble of the brokers is no reason to take the worker out of service"
    finally:
        source.start() if how == "killed" else source.process.send_signal(signal.SIGCONT)
    j.send(maker.mixed(300))
    j.until_done()
    assert j.lives == 1
    j.require_balance()
    j.require_clean(repeats=True)


def test_a_coordinator_that_moves_delays_only_commits(job, stub, seed):
    mock = kafka.Mock(brokers=3)
    try:
        stub.latency(0.005, 0.05)
        j = job(partitions=3, cluster=mock, change={"limits": {"records": 100}})
        maker = events.Maker(seed, pages=40)
        mock.coordinator(j.group, 1)
        j.send(maker.mixed(200))
        j.start()
        for broker in (2, 3, 1):
            j.until_outputs(j.sink.count(j.sink_topic) + 20)
            mock.coordinator(j.group, broker)
            j.send(maker.mixed(150))
        j.until_done()
        j.require_clean(repeats=True)
        j.require_balance()
        j.stop()
    finally:
        mock.close()


# ---- topics ----

def test_new_topics_and_partitions_are_read_from_their_beginning(job, stub, cluster, seed):
    """With the intervals as they are by default, and a start that would skip what came before."""
    maker = events.Maker(seed, pages=40)
    j = job(partitions=1, change={"source": {"start": "latest"}})
    late = j.source_topic + ".late"
    j.config["source"]["topics"] = [j.source_topic, late]
    j.start(ready=False)
    until("/readyz names the topic", lambda: f"[-] source: topic {late} does not exist" in readiness(j), story=j.story)
    assert j.get("/readyz")[0] == 503
    until_said(j, f"topic {late} does not exist; waiting for it: create it, or correct source.topics")
    j.until("the partition is assigned", lambda m: m.sum("millrace_kafka_assigned_partitions") == 1)
    j.send([maker.event() for _ in range(10)])
    j.until_done()
    cluster.create(late, partitions=2)
    cluster.grow(j.source_topic, 3)
    j.ledger.send(cluster, late, [maker.event() for _ in range(50)])
    j.send([maker.event() for _ in range(100)])
    began = time.monotonic()
    j.until("/readyz is well again", lambda _: j.get("/readyz")[0] == 200)
    j.until_committed(cluster, late)
    j.until_done()
    print(f"picked up within {time.monotonic() - began:.0f} s")
    j.require_clean()
    j.require_outcomes()


def test_a_topic_deleted_while_it_is_read_is_waited_for_and_read_anew(job, stub, cluster, seed):
    maker = events.Maker(seed, pages=40)
    j = job(partitions=2, change={"source": {"kafka": {**QUICK, **REFRESH}}})
    j.send([maker.event() for _ in range(60)])
    j.start()
    j.until_done()
    j.require_clean()
    cluster.drop(j.source_topic)
    until("/readyz names the topic", lambda: f"topic {j.source_topic} does not exist" in readiness(j), story=j.story)
    assert j.get("/livez")[0] == 200
    ends = j.sink.ends(j.sink_topic)
    cluster.create(j.source_topic, partitions=2)
    j.ledger.sent.clear()
    j.send([maker.event() for _ in range(40)])
    j.until("/readyz is well again", lambda _: j.get("/readyz")[0] == 200)
    j.until_done()
    j.require_balance()
    later = [m for m in j.outputs() if m.offset() >= ends[m.partition()]]
    j.ledger.check(later, j.failures(), j.stream, j.error_stream).require(story=j.story())
    j.stop()


def test_records_deleted_before_they_were_read_are_counted_and_the_rest_goes_on(job, stub, cluster, seed):
    maker = events.Maker(seed, pages=40)
    j = job(partitions=1)
    j.send([maker.event() for _ in range(20)])
    j.start()
    j.until_done()
    j.signal(signal.SIGSTOP)
    try:
        for _ in range(3):  # more than one fetch brings, which may be on its way
            j.send([maker.event() for _ in range(100)])
            time.sleep(0.2)
        cluster.delete_records(j.source_topic, {0: 250})
    finally:
        j.signal(signal.SIGCONT)
    j.send([maker.event() for _ in range(30)])
    j.until("the gap is counted", lambda m: m.sum("millrace_source_gap_records_total") > 0)
    j.until("all is committed", lambda _: cluster.committed(j.group, j.source_topic) == {0: 350})
    report = j.check()
    gap = j.metrics().sum("millrace_source_gap_records_total")
    assert len(report.lost) == gap <= 230, f"{report}\n{j.story()}"
    assert not (report.reordered or report.altered or report.unexpected or report.repeated), report
    assert f"{j.source_topic}/0: {gap:.0f} records were deleted before they could be read" in j.stderr()
    j.require_balance()


# ---- rights ----

@pytest.fixture
def guarded_job(job, cluster, source):
    """A job whose source minds rights; it has them."""
    j = job(partitions=2, cluster=source, sink=cluster, change={
        "limits": {"records": 100}, "source": {"kafka": {**QUICK, **REFRESH, **source.login("worker")}}})
    source.allow("worker", j.source_topic, to=(READ, DESCRIBE))
    source.allow("worker", j.group, kind=GROUP, to=(READ,))
    return j


@pytest.mark.parametrize("right", ["reading", "seeing"])
def test_a_right_to_the_topic_that_is_taken_away_is_waited_for(guarded_job, stub, source, seed, right):
    stub.latency(0.005, 0.05)
    j, maker, rights = guarded_job, events.Maker(seed, pages=40), (READ,) if right == "reading" else (READ, DESCRIBE)
    j.send(maker.mixed(200))
    j.start()
    j.until_outputs(50)
    source.forbid("worker", j.source_topic, to=rights)
    j.send(maker.mixed(200))
    until_said(j, "may not be read" if right == "reading" else "may not be")
    time.sleep(1)
    assert j.get("/livez")[0] == 200
    source.allow("worker", j.source_topic, to=rights)
    j.send(maker.mixed(100))
    j.until_done()
    assert j.lives == 1
    j.require_balance()
    j.require_clean(repeats=True)


def test_a_right_to_the_group_that_is_taken_away_is_waited_for(guarded_job, stub, source, seed):
    stub.latency(0.005, 0.05)
    j, maker = guarded_job, events.Maker(seed, pages=40)
    j.send(maker.mixed(200))
    j.start()
    j.until_outputs(50)
    source.forbid("worker", j.group, kind=GROUP, to=(READ,))
    j.send(maker.mixed(200))
    until_said(j, "allow READ on the group to this client")
    time.sleep(1)
    assert j.get("/livez")[0] == 200
    source.allow("worker", j.group, kind=GROUP, to=(READ,))
    j.until_done()
    assert j.lives == 1
    j.require_balance()
    j.require_clean(repeats=True)


# ---- before it starts ----

def connected(j, code):
    result = run("check", "--connect", j.path, check=code)
    return (result.stdout + result.stderr).decode()


def test_check_connect_logs_in_and_asks_for_the_topics(job, stub, cluster):
    j = job(partitions=2)
    j.write_config()
    said = connected(j, 0)
    for what in (f"source: brokers {cluster.bootstrap} answer", f"source: topic {j.source_topic} is there",
                 f"sink sink: topic {j.sink_topic} is there", f"errors: topic {j.error_topic} is there"):
        assert f"ok {what}\n" in said, said
    j.config["source"]["topics"].append("nowhere")
    j.write_config()
    assert "source: topic nowhere: it does not exist: create it, or correct source.topics" in connected(j, 69)


def test_check_connect_says_what_a_login_is_refused_for(job, stub, cluster, source):
    j = job(partitions=2, cluster=source, sink=cluster)
    j.config["source"]["kafka"] = source.login("worker", "wrong")
    j.config["sink"]["kafka"] = {"bootstrap.servers": cluster.bootstrap, "security.protocol": "ssl"}
    j.write_config()
    said = connected(j, 69)
    login, tls = (next(line for line in said.splitlines() if line.startswith(f"unreachable: {what}"))
                  for what in ("source", "sink"))
    assert "Authentication failed" in login and "wrong" not in login, said
    assert "SSL" in tls, said
    j.config["source"]["kafka"] = source.login("worker")
    j.write_config()
    assert f"source: topic {j.source_topic}: this client may not see it: allow DESCRIBE" in connected(j, 69)
    source.allow("worker", j.source_topic, to=(READ, DESCRIBE))
    assert f"ok source: topic {j.source_topic} is there" in connected(j, 69)

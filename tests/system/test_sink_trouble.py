"""Trouble with the brokers of the sinks: Millrace pauses, keeps what it has, and goes on; nothing is lost or reordered."""

import os
import random
import string
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

import brokers
import check
import engine
import events
import kafka
from engine import PATIENCE, ROOT, until

pytestmark = pytest.mark.real_kafka
MORTAL = Path(os.environ.get("MILLRACE_FAULTS", ROOT / "build-faults" / "millrace"))
FORK = ROOT / "tests" / "system" / "scripts" / "fork.lua"
# The promise is 30 s on a machine that is not overloaded.
RESUME_SECONDS = 30 * max(1, PATIENCE / 90)
# How long brokers are away; longer than the source's max.poll.interval.ms below.
AWAY_SECONDS = float(os.environ.get("MILLRACE_AWAY_SECONDS", "8"))
SOURCE = {"source": {"kafka": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000",
                               "max.poll.interval.ms": "6000"}}}
PASSWORD = "sesame"


@pytest.fixture(scope="module")
def sinks(clusters):
    """A cluster of the sinks' own, with users and rights."""
    if not clusters.get(0).real:
        pytest.skip(f"needs a real Kafka: {clusters.why}")
    cluster = brokers.Guarded({"mill": PASSWORD})
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def trio(clusters):
    if not clusters.get(0).real:
        pytest.skip(f"needs a real Kafka: {clusters.why}")
    cluster = kafka.Brokers()
    yield cluster
    cluster.close()


@pytest.fixture
def sink(sinks):
    """The sinks' cluster, alive again after each test."""
    yield sinks
    if sinks.process.poll() is not None:
        sinks.start()


def paused(metrics):
    return metrics.value("millrace_paused_seconds_total", reason="sink")


def until_paused(j, seconds=1.0):
    """The intake stands still and says why; the process is alive and ready."""
    before = paused(j.metrics())
    j.until("it pauses for the sink", lambda m: paused(m) >= before + seconds)
    assert j.metrics().value("millrace_state", state="paused") == 1
    require_well(j)


def require_well(j):
    for path in ("/livez", "/readyz"):
        status, text = j.get(path)
        assert status == 200, f"{path}: {status} {text}\n{j.story()}"


def count(cluster, topic):
    """How many messages the topic holds; 0 while its leader is on the move."""
    try:
        return cluster.count(topic)
    except KafkaException:
        return 0


def until_resumed(j, cluster, topic, before):
    """Outputs come again within the promised time, now that nothing is in the way."""
    until("outputs come again", lambda: count(cluster, topic) > before, RESUME_SECONDS, j.story)


def require_done(j, repeats=False):
    j.until_done()
    report = j.require_clean(repeats)
    metrics = j.require_outcomes()
    assert j.process.poll() is None and j.lives == 1
    require_well(j)
    return report, metrics


def noise(rng, size):
    """Text that does not compress: what a broker weighs is compressed."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


def with_text(maker, size, **options):
    return maker.event(change=lambda value: value.update(comment=noise(maker.rng, size)), **options)


# ---- brokers that are away ----

@pytest.mark.parametrize("how", ["killed", "standing still"])
def test_a_sink_cluster_that_is_away_for_long_is_waited_for(job, stub, cluster, sink, seed, how):
    maker = events.Maker(seed, pages=40)
    j = job(partitions=3, sink=sink, errors=cluster, change={**SOURCE, "limits": {"records": 300}})
    j.send(maker.mixed(300))
    j.start()
    j.until_outputs(100)
    sink.kill() if how == "killed" else sink.signal(kafka.signal.SIGSTOP)
    before = j.metrics().sum("millrace_sink_events_total", topic=j.sink_topic)
    j.send(maker.mixed(600))
    until_paused(j, AWAY_SECONDS)
    sink.start() if how == "killed" else sink.signal(kafka.signal.SIGCONT)
    until_resumed(j, sink, j.sink_topic, before)
    require_done(j)
    assert "acknowledged nothing for" in j.stderr() and "takes outputs again" in j.stderr()


def test_a_cluster_that_goes_before_the_first_output_leaves_the_process_ready(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=1, sink=sink, errors=cluster)
    j.start()
    sink.kill()
    j.send([maker.event() for _ in range(20)])
    until_paused(j, 3)
    sink.start()
    require_done(j)


def test_an_error_stream_that_is_away_lets_the_outputs_go_on(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=30)
    poison = [events.Event(b"no JSON", b"a key of its own", "failed", timestamp=1700000000000) for _ in range(3)]
    good = [maker.event() for _ in range(60)]
    j = job(partitions=1, sink=cluster, errors=sink)
    j.start()
    sink.kill()
    j.send(good[:20] + poison + good[20:])
    until("all outputs are there", lambda: cluster.count(j.sink_topic) == len(good), story=j.story)
    until_paused(j)
    sink.start()
    require_done(j)


def test_one_of_two_sinks_away_holds_up_nothing_for_the_other(job, stub, cluster, sink, seed):
    rng = random.Random(seed)
    j = job(partitions=1, sink=cluster, script=FORK, change={
        "key": {"page": "page"}, "script": {"params": None}, "sink": None,
        "sinks": {"main": {"topic": "", "kafka": {"bootstrap.servers": cluster.bootstrap}},
                  "copy": {"topic": "", "kafka": {"bootstrap.servers": sink.bootstrap}}}})
    main, copy = j.prefix + "main", j.prefix + "copy"
    j.config["sinks"]["main"]["topic"], j.config["sinks"]["copy"]["topic"] = main, copy
    cluster.create(main, partitions=2)
    sink.create(copy, partitions=2)
    # Keys of which each has its own way; some records go to one sink only.
    rows = [{"page": rng.randrange(12), "number": n} for n in range(200)]
    for row in rows:
        row["only"] = {0: "main", 1: "copy"}.get(row["page"] % 4)
    messages = [(str(row["page"]).encode(), events.dump({k: v for k, v in row.items() if v is not None}).encode())
                for row in rows]
    j.start()
    sink.kill()
    cluster.send(j.source_topic, messages)
    to_main_alone = sum(row["only"] == "main" for row in rows)
    until("what is for the other sink leaves", lambda: cluster.count(main) >= to_main_alone, story=j.story)
    until_paused(j)
    sink.start()
    j.until_done()
    for kind, messages in (("main", cluster.read(main)), ("copy", sink.read(copy))):
        expected = [row for row in rows if row["only"] in (None, kind)]
        order = {}
        for message in messages:
            order.setdefault(message.key(), []).append(check.source_of(message)[2])
        assert Counter(o for of_key in order.values() for o in of_key) == Counter(row["number"] for row in expected)
        assert all(offsets == sorted(offsets) for offsets in order.values()), f"{kind} is out of order: {order}"


# ---- what brokers refuse ----

def test_one_refused_output_among_many_of_one_key_fails_alone(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=3)
    page = maker.pages[0]
    j = job(partitions=1, sink=sink, errors=cluster)
    sink.alter(j.sink_topic, max_message_bytes=100000)
    records = [maker.event(page=page) for _ in range(60)]
    for at in (7, 30, 31):
        records[at] = with_text(maker, 200000, page=page, outcome="failed", error="OutputRefused")
    j.send(records)
    j.start()
    require_done(j, repeats=True)
    assert "MSG_SIZE_TOO_LARGE" in str(j.metrics())


def test_an_output_with_a_time_that_the_broker_refuses_fails_alone(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=3)
    page = maker.pages[0]
    j = job(partitions=1, sink=sink, errors=cluster)
    sink.alter(j.sink_topic, message_timestamp_before_max_ms=20 * 365 * 86400 * 1000)
    records = [maker.event(page=page) for _ in range(20)]
    records[9].outcome, records[9].error, records[9].timestamp = "failed", "OutputRefused", 86400000
    j.send(records)
    j.start()
    require_done(j, repeats=True)


def test_an_error_event_that_the_broker_refuses_is_cut_until_it_fits(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=3)
    j = job(partitions=1, sink=cluster, errors=sink)
    sink.alter(j.error_topic, max_message_bytes=20000)
    large = events.Event(b"{" + noise(maker.rng, 150000).encode(), b"key", "failed", timestamp=1700000000000)
    small = events.Event(b"no JSON", b"key", "failed", timestamp=1700000000000)
    j.send([maker.event(), small, large, small, maker.event()])
    j.start()
    j.until_done()
    places = [check.source_of(message)[2] for message in j.failures()]
    assert sorted(set(places)) == [1, 2, 3], f"the error events are those of {places}\n{j.story()}"
    cut = next(m for m in j.failures() if check.source_of(m)[2] == 2)
    assert ("millrace-raw", b"partial") in cut.headers()
    assert large.value.decode().startswith(events.load(cut.value())["raw_event"][:1000])
    assert len(j.outputs()) == 2


# ---- rights and credentials ----

def guarded(sink):
    return {"sink": {"kafka": sink.login("mill")}, "errors": {"kafka": sink.login("mill")}}


def test_rights_that_are_taken_away_and_given_back_cost_nothing(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=3, sink=sink, change={**SOURCE, **guarded(sink), "limits": {"records": 200}})
    sink.allow("mill", j.sink_topic, j.error_topic)
    j.send(maker.mixed(200))
    j.start()
    j.until_outputs(100)
    sink.forbid("mill", j.sink_topic)
    j.send(maker.mixed(300))
    j.until("the broker refuses", lambda m: m.value(
        "millrace_sink_errors_total", topic=j.sink_topic, code="TOPIC_AUTHORIZATION_FAILED") > 0)
    until_paused(j, AWAY_SECONDS)
    assert "give the user the right" in j.stderr()
    before = sink.count(j.sink_topic)
    sink.allow("mill", j.sink_topic)
    until_resumed(j, sink, j.sink_topic, before)
    _, metrics = require_done(j, repeats=True)
    assert metrics.value("millrace_events_total", outcome="failed") == j.ledger.counts()["failed"]


def test_all_rights_taken_away_replace_the_producer_until_they_are_back(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=2, sink=sink, errors=cluster, change={"sink": {"kafka": sink.login("mill")}})
    sink.allow("mill", j.sink_topic)
    j.send(maker.mixed(100))
    j.start()
    j.until_outputs(50)
    sink.forbid("mill", j.sink_topic)
    j.send(maker.mixed(200))
    until_paused(j, AWAY_SECONDS)
    before = sink.count(j.sink_topic)
    sink.allow("mill", j.sink_topic)
    until_resumed(j, sink, j.sink_topic, before)
    require_done(j, repeats=True)


def test_a_wrong_password_is_told_and_waited_for(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=3)
    quick = {"kafka": {**sink.login("mill", "wrong"), "reconnect.backoff.max.ms": "1000"}}
    j = job(partitions=1, sink=sink, change={"sink": quick, "errors": quick})
    sink.allow("mill", j.sink_topic, j.error_topic)
    j.send([maker.event() for _ in range(10)])
    j.start(ready=False)
    until("it says what is wrong", lambda: "check sasl.mechanism, sasl.username and sasl.password" in j.stderr(),
          story=j.story)
    assert j.metrics().sum("millrace_kafka_errors_total", code="_AUTHENTICATION") > 0
    assert j.get("/livez")[0] == 200
    status, text = j.get("/readyz")
    assert status == 503 and "uthentication" in text, f"{status} {text}"
    assert "wrong" not in j.stderr().replace("wrongly", ""), "a secret stands in the log"
    sink.stop()
    sink.users = {"mill": "wrong"}
    sink.start()
    try:
        until("it is let in", lambda: j.get("/readyz")[0] == 200, story=j.story)
        require_done(j)
    finally:
        sink.stop()
        sink.users = {"mill": PASSWORD}


# ---- topics ----

def test_a_sink_topic_that_is_not_there_is_waited_for(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=2, sink=sink, errors=cluster)
    brokers.delete(sink, j.sink_topic)
    j.send(maker.mixed(50))
    j.start()
    until("it says which topic", lambda: "is the topic there?" in j.stderr(), story=j.story)
    until_paused(j, 3)
    sink.create(j.sink_topic, partitions=2)
    until_resumed(j, sink, j.sink_topic, 0)
    require_done(j)


def test_a_topic_that_is_deleted_and_made_again_gets_all_that_follows(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=2, sink=sink, errors=cluster)
    j.send(maker.mixed(50))
    j.start()
    j.until_done()
    j.require_clean()
    gone = j.ledger
    j.ledger = check.Ledger()
    brokers.delete(sink, j.sink_topic)
    j.send(maker.mixed(200))
    until_paused(j, 3)
    sink.create(j.sink_topic, partitions=2)
    until_resumed(j, sink, j.sink_topic, 0)
    j.until_done()
    j.check().require(repeats=True, story=j.story())
    assert j.require_balance().sum("millrace_events_total") == len(gone.sent) + len(j.ledger.sent)
    require_well(j)


# ---- brokers under strain ----

def test_a_quota_slows_down_and_loses_nothing(job, stub, cluster, sink, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=2, sink=sink, errors=cluster)
    brokers.quota(sink, j.config["name"], 20000)
    j.send([with_text(maker, 2000) for _ in range(150)])
    j.start()
    j.until("the quota is felt", lambda m: m.sum("millrace_kafka_throttled_seconds_total", client="sink") > 0)
    assert "quota" in j.stderr()
    require_well(j)
    brokers.quota(sink, j.config["name"], None)
    require_done(j)


def test_too_few_replicas_are_waited_for(job, stub, cluster, trio, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=3, sink=trio, errors=cluster)
    trio.alter(j.sink_topic, min_insync_replicas=3)
    j.send(maker.mixed(100))
    j.start()
    j.until_outputs(50)
    trio.nodes[2].kill()
    j.send(maker.mixed(200))
    until_paused(j)
    trio.start()
    require_done(j, repeats=True)


def test_leaders_that_move_lose_and_reorder_nothing(job, stub, cluster, trio, seed):
    maker = events.Maker(seed, pages=60)
    stub.latency(0.0, 0.05)
    j = job(partitions=3, sink=trio, errors=cluster, change={"limits": {"records": 100}})
    first = brokers.leaders(trio, j.sink_topic)
    j.start()
    for node in trio.nodes:
        j.send(maker.mixed(200))
        before = j.metrics().sum("millrace_sink_events_total")
        j.until("outputs leave", lambda m, b=before: m.sum("millrace_sink_events_total") >= b + 20)
        node.stop()
        j.send(maker.mixed(200))
        until("others lead", lambda n=node: n.node not in brokers.leaders(trio, j.sink_topic).values(), story=j.story)
        trio.start()
        until("it leads again", lambda: brokers.elect(trio) or brokers.leaders(trio, j.sink_topic) == first,
              story=j.story)
    require_done(j, repeats=True)


# ---- producers that fail for good ----

@pytest.fixture
def mortal(monkeypatch):
    if not MORTAL.exists():
        pytest.skip(f"{MORTAL} is not built (make FAULTS=1 BUILD=build-faults)")
    monkeypatch.setattr(engine, "BINARY", MORTAL)


def test_a_producer_that_fails_is_replaced_and_all_is_sent_again_in_order(job, stub, cluster, mortal, seed):
    j = job(partitions=2, change={"limits": {"records": 40}})
    j.send(events.Maker(seed, pages=15).mixed(300))
    j.start(env={"MILLRACE_FAULT": "fatal_producer:90"})
    require_done(j, repeats=True)
    failures = j.metrics().value("millrace_kafka_errors_total", client="sink", code="OUT_OF_ORDER_SEQUENCE_NUMBER")
    assert failures >= 3, j.story()
    assert j.stderr().count("a new Kafka producer takes over") >= 3


def test_producers_that_fail_again_and_again_end_the_process_with_the_reason(job, stub, cluster, mortal, seed):
    j = job(partitions=1)
    j.send([events.Maker(seed, pages=3).event() for _ in range(5)])
    j.start(ready=False, env={"MILLRACE_FAULT": "fatal_producer:1"})
    assert j.wait() == 1, j.story()
    assert "cannot go on: 5 Kafka producers in a row failed before anything was delivered" in j.stderr(), j.story()
    j.start()
    j.until_done()
    j.require_clean(repeats=True)

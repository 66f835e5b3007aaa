"""Workers that come, go and fall asleep: partitions change hands, and nothing is lost or reordered."""

import random
import signal
import time
from copy import copy

import pytest

import events
from engine import until

QUICK = {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}

pytestmark = pytest.mark.real_kafka


def worker_like(j, name):
    """One more worker of the same job: the same topics, group and ledger."""
    other = copy(j)
    other.folder = j.folder.parent / name
    other.folder.mkdir()
    other.log, other.process, other.lives = other.folder / "stderr.log", None, 0
    return other


@pytest.fixture
def workers(job):
    made = []

    def make(j, count):
        made.extend(worker_like(j, f"worker{n}") for n in range(count))
        return made

    yield make
    for worker in made:
        worker.close()


def test_two_workers_share_the_partitions_and_hand_them_over(job, stub, workers, seed):
    stub.latency(0.005, 0.05)
    j = job(partitions=4, change={"limits": {"records": 200}})
    j.send(events.Maker(seed, pages=80).mixed(2500))
    j.start()
    j.until_outputs(300)
    second, = workers(j, 1)
    second.start()
    second.until("the second has partitions", lambda m: m.sum("millrace_kafka_assigned_partitions") >= 1)
    j.until_outputs(1200)
    j.require_balance()
    second.require_balance()
    j.stop()
    second.until_done()
    j.require_clean(repeats=True)


def test_a_bounded_run_that_a_second_worker_joins_ends_when_all_of_it_is_done(job, stub, workers, seed):
    stub.latency(0.2, 0.4)
    j = job(partitions=4, change={"limits": {"records": 200}})
    j.send(events.Maker(seed, pages=80).mixed(2000))
    backfill = ["--group", j.group + "-backfill", "--from", "earliest", "--until", "end"]
    j.start(arguments=backfill)
    j.until_outputs(300)
    second, = workers(j, 1)
    second.start(ready=False, arguments=backfill)
    assert j.wait() == 0
    assert second.wait() == 0
    j.require_clean(repeats=True)


def test_workers_that_come_and_go_lose_and_reorder_nothing(job, stub, workers, seed):
    rng = random.Random(seed)
    stub.latency(0.005, 0.3, slow=3, slow_share=0.01)
    j = job(partitions=6, change={"limits": {"records": 100}, "source": {"kafka": QUICK}})
    j.send(events.Maker(seed, pages=120).mixed(3000))
    crew = [j, *workers(j, 2)]
    for worker in crew:
        worker.start(ready=False)
    for _ in range(6):
        time.sleep(rng.uniform(0.5, 2))
        worker = rng.choice(crew)
        if worker.process.poll() is not None:
            worker.start(ready=False)
        elif rng.random() < 0.5:
            worker.kill()
        else:
            worker.stop()
    for worker in crew:
        if worker.process.poll() is not None:
            worker.start(ready=False)
    j.until_done()
    for worker in crew:
        until("its records are accounted for", worker.require_balance, story=worker.story)
    j.require_clean(repeats=True)


def test_a_worker_that_slept_through_its_session_wakes_up_and_harms_nothing(job, stub, workers, seed):
    stub.latency(0.005, 0.2)
    j = job(partitions=4, change={"limits": {"records": 100}, "source": {"kafka": QUICK}})
    j.send(events.Maker(seed, pages=60).mixed(2000))
    sleeper, = workers(j, 1)
    j.start(ready=False)
    sleeper.start()
    sleeper.until("it works", lambda m: m.value("millrace_events_total", outcome="enriched") > 50)
    sleeper.signal(signal.SIGSTOP)
    try:
        before = j.sink.count(j.sink_topic)
        time.sleep(4)
        j.until_outputs(before + 100)
    finally:
        sleeper.signal(signal.SIGCONT)
    j.until_done()
    assert sleeper.process.poll() is None, sleeper.story()
    sleeper.require_balance()
    j.require_clean(repeats=True)


def test_partitions_added_later_are_read_from_their_beginning(job, stub, seed):
    stub.latency(0.0, 0.02)
    j = job(partitions=1, change={"source": {"start": "latest", "kafka": {"topic.metadata.refresh.interval.ms": "1000"}}})
    maker = events.Maker(seed, pages=40)
    j.start()
    j.until("the partition is assigned", lambda m: m.sum("millrace_kafka_assigned_partitions") == 1)
    j.send([maker.event() for _ in range(20)])
    j.until_done()
    j.cluster.grow(j.source_topic, 3)
    time.sleep(0.5)
    j.send([maker.event() for _ in range(100)])
    j.until_done()
    j.require_clean()

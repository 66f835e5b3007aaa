"""Workers that come, go and fall asleep: partitions change hands, and nothing is lost or reordered."""

import os
import random
import signal
import threading
import time
from copy import copy

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

import events
from engine import until

QUICK = {"session.timeout.ms": "3000", "heartbeat.interval.ms": "500"}
SESSION_SECONDS = 3
ASSIGNORS = ["range", "cooperative-sticky"]
ROUNDS = int(os.environ.get("MILLRACE_STORMS", "1"))  # of the storm: a leave, a kill and a sleep each

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


def using(assignor, **properties):
    return {"kafka": {**QUICK, "partition.assignment.strategy": assignor, **properties}}


def assigned(worker):
    return worker.metrics().sum("millrace_kafka_assigned_partitions")


def rebalances(worker, kind):
    return worker.metrics().value("millrace_kafka_rebalances_total", type=kind)


class Watch(threading.Thread):
    """Looks at the sink's ends and the group's commits all the time."""

    def __init__(self, j, partitions):
        super().__init__(daemon=True)
        self.j, self.partitions, self.over = j, range(partitions), threading.Event()
        self.sizes, self.backwards, self.committed, self.why = [(time.time(), 0)], [], {}, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(30)

    def run(self):
        settings = {"group.id": self.j.group, "enable.auto.commit": False}
        reader = Consumer(self.j.cluster.settings(**settings))
        for topic in (self.j.sink_topic, self.j.source_topic):
            reader.list_topics(topic, timeout=20)
        while not self.over.wait(0.1):
            try:
                self._look(reader)
            except KafkaException as why:
                self.why = why  # a new topic has no leader for a moment: look again
        reader.close()

    def _look(self, reader):
        size = sum(reader.get_watermark_offsets(TopicPartition(self.j.sink_topic, p), timeout=20)[1]
                   for p in self.partitions)
        self.sizes.append((time.time(), size))
        for told in reader.committed([TopicPartition(self.j.source_topic, p) for p in self.partitions], timeout=20):
            before = self.committed.setdefault(told.partition, told.offset)
            if told.offset < before:
                self.backwards.append((told.partition, before, told.offset))
            self.committed[told.partition] = told.offset

    def grown_since(self, when):
        """How much more the sink holds than it did then."""
        asked = time.time()
        until("the sink is looked at", lambda: self.sizes[-1][0] > asked, story=lambda: str(self.why), every=0.02)
        return self.sizes[-1][1] - max(size for at, size in self.sizes if at <= max(when, self.sizes[0][0]))


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_workers_that_join_and_leave_in_the_middle_repeat_nothing(job, stub, workers, seed, assignor):
    """Under `range`. A librdkafka before 2.10 may lose partitions in a cooperative rebalance, and so repeat."""
    stub.latency(0.005, 0.05)
    j = job(partitions=4, change={"limits": {"records": 100}, "source": using(assignor)})
    j.send(events.Maker(seed, pages=80).mixed(2500))
    j.start()
    j.until_outputs(300)
    second, = workers(j, 1)
    second.start()
    second.until("the second has partitions", lambda m: m.sum("millrace_kafka_assigned_partitions") >= 1)
    j.until_outputs(1000)
    j.require_balance()
    second.require_balance()
    eager = assignor == "range"
    assert not eager or rebalances(j, "lost") == rebalances(second, "lost") == 0
    j.stop()
    second.until_done()
    j.require_clean(repeats=not eager)


def test_a_revoke_whose_drain_is_cut_short_repeats_nothing(job, stub, workers, seed):
    """Half of the calls take longer than a drain lasts: they go back, and nobody sends a second output."""
    stub.latency(0.01, 0.3, slow=4, slow_share=0.5)
    j = job(partitions=4, change={"limits": {"records": 60}, "source": using("range")})
    j.send(events.Maker(seed, pages=400).mixed(500))
    j.start()
    j.until_outputs(40)
    second, = workers(j, 1)
    second.start()
    j.until("the first one gave back", lambda m: m.value("millrace_given_back_records_total", reason="revoked") > 0)
    j.require_balance()
    second.until_done()
    j.require_clean()


def test_a_bounded_run_that_a_second_worker_joins_ends_when_all_of_it_is_done(job, stub, workers, seed):
    stub.latency(0.2, 0.4)
    j = job(partitions=4, change={"limits": {"records": 200}})
    j.send(events.Maker(seed, pages=80).mixed(2000))
    backfill = ["--group", j.group + "-backfill", "--from", "earliest", "--until", "end"]
    j.start(arguments=backfill)
    j.until_outputs(300)
    second, = workers(j, 1)
    second.start(ready=False, arguments=[*backfill, "--resume"])
    assert j.wait() == 0
    assert second.wait() == 0
    j.require_clean(repeats=True)


class Storm:
    """Three workers of which one after the other leaves, is killed, or sleeps through its session."""

    LIMIT = 60

    def __init__(self, crew, watch, maker, rng):
        self.crew, self.watch, self.maker, self.rng = crew, watch, maker, rng
        self.bound, self.lost = 0, 0

    def feed(self):
        self.crew[0].send(self.maker.mixed(250))
        time.sleep(self.rng.uniform(0.3, 1.2))

    def unclean(self, worker):
        """What may be repeated when this worker's work is done again: what it has open, and what ended in it since its
        last commit (here: in all of them)."""
        last = worker.metrics().value("millrace_kafka_last_commit_timestamp_seconds")
        return lambda: self.LIMIT + self.watch.grown_since(last - 0.2)

    def leave(self, worker):
        self.lost += rebalances(worker, "lost")
        worker.stop()
        self.feed()
        worker.start()

    def kill(self, worker):
        self.lost += rebalances(worker, "lost")
        bound = self.unclean(worker)
        worker.kill()
        self.bound += bound()
        self.feed()
        worker.start()

    def sleep(self, worker):
        lost, bound = rebalances(worker, "lost"), self.unclean(worker)
        worker.signal(signal.SIGSTOP)
        try:
            self.bound += bound()
            self.feed()
            time.sleep(SESSION_SECONDS + 1)
        finally:
            worker.signal(signal.SIGCONT)
        worker.until("it notices that it was given up", lambda m: rebalances(worker, "lost") > lost)
        worker.until("it has joined again", lambda m: worker.get("/readyz")[0] == 200)
        self.lost -= 1  # it is in the bound
        self.bound += self.LIMIT  # what it still had open may come a second time

    def round(self):
        for what in self.rng.sample([self.leave, self.kill, self.sleep], 3):
            self.feed()
            what(self.rng.choice(self.crew))


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_three_workers_in_a_storm_lose_and_reorder_nothing_and_repeat_little(job, stub, workers, seed, assignor):
    rng, partitions = random.Random(seed), 6
    stub.latency(0.005, 0.2, slow=2.5, slow_share=0.01)
    j = job(partitions=partitions, change={"limits": {"records": Storm.LIMIT}, "source": using(assignor)})
    crew = [j, *workers(j, 2)]
    with Watch(j, partitions) as watch:
        storm = Storm(crew, watch, events.Maker(seed, pages=120), rng)
        storm.feed()
        for worker in crew:
            worker.start()
        for worker in crew:
            worker.until("it has partitions", lambda m: m.sum("millrace_kafka_assigned_partitions") > 0)
        for _ in range(ROUNDS):
            storm.round()
        j.until_done()
        for worker in crew:
            until("its records are accounted for", worker.require_balance, story=worker.story)
        storm.lost += sum(rebalances(worker, "lost") for worker in crew)
        most = storm.bound + storm.lost * (Storm.LIMIT + watch.grown_since(time.time() - 5))
    assert not watch.backwards, f"commits went back: {watch.backwards}"
    report = j.require_clean(repeats=True)
    print(f"{assignor}: {report.outputs} outputs, {len(report.repeated)} repeats, at most {most} may be, "
          f"{storm.lost} more assignments lost")
    assert len(report.repeated) <= most, report.repeated


def test_a_worker_that_slept_through_its_session_wakes_up_and_moves_no_offset(job, stub, workers, seed):
    stub.latency(0.005, 0.2)
    j = job(partitions=4, change={"limits": {"records": 100}, "source": using("range")})
    maker = events.Maker(seed, pages=60)
    j.send(maker.mixed(1500))
    sleeper, = workers(j, 1)
    j.start(ready=False)
    sleeper.start()
    sleeper.until("it works", lambda m: m.value("millrace_events_total", outcome="enriched") > 50 and
                  m.sum("millrace_kafka_assigned_partitions") > 0 and m.sum("millrace_open_records") > 0)
    with Watch(j, 4) as watch:
        sleeper.signal(signal.SIGSTOP)
        try:
            j.until("the other one has all of it", lambda m: m.sum("millrace_kafka_assigned_partitions") == 4)
            j.until_done()
        finally:
            sleeper.signal(signal.SIGCONT)
        sleeper.until("it notices", lambda m: m.value("millrace_kafka_rebalances_total", type="lost") >= 1)
        given_back = sleeper.metrics().value("millrace_given_back_records_total", reason="lost")
        j.send(maker.mixed(300))
        j.until_done()
        sleeper.until("it goes on", lambda m: m.sum("millrace_kafka_assigned_partitions") > 0)
    assert given_back > 0, "nothing was in the air: this proves nothing"
    assert not watch.backwards, f"commits went back: {watch.backwards}"
    assert sleeper.process.poll() is None, sleeper.story()
    sleeper.require_balance()
    report = j.require_clean(repeats=True)
    print(f"{len(report.repeated)} repeats")


# ---- static membership ----

def named(worker, name):
    worker.config = {**worker.config, "source": {**worker.config["source"], "kafka": {
        **worker.config["source"]["kafka"], "group.instance.id": name, "session.timeout.ms": "30000"}}}
    return worker


@pytest.mark.parametrize("assignor, end", zip(ASSIGNORS, ["kill", "stop"]))
def test_a_static_member_that_is_soon_back_causes_no_rebalance(job, stub, workers, seed, assignor, end):
    stub.latency(0.005, 0.05)
    j = job(partitions=4, change={"limits": {"records": 100}, "source": using(assignor)})
    first, second = named(j, "pod-0"), named(workers(j, 1)[0], "pod-1")
    first.start()
    second.start()
    for worker in (first, second):
        worker.until("it has its half", lambda m: m.sum("millrace_kafka_assigned_partitions") == 2)
    j.send(events.Maker(seed, pages=60).mixed(900))
    j.until_outputs(200)
    before = second.metrics()
    getattr(first, end)()
    first.start()
    first.until("it has its half", lambda m: m.sum("millrace_kafka_assigned_partitions") == 2)
    j.until_done()
    after = second.metrics()
    for kind in ("assign", "revoke", "lost"):
        assert after.value("millrace_kafka_rebalances_total", type=kind) == before.value(
            "millrace_kafka_rebalances_total", type=kind), second.story()
    j.require_clean(repeats=end == "kill")


def test_of_two_live_members_with_one_name_the_older_one_ends_and_says_what_to_do(job, stub, workers, seed):
    stub.latency(0.005, 0.05)
    j = job(partitions=2, change={"limits": {"records": 100}, "source": using("range")})
    second = named(workers(j, 1)[0], "pod-0")
    named(j, "pod-0").start()
    j.send(events.Maker(seed, pages=60).mixed(800))
    j.until_outputs(100)
    second.start()
    assert j.wait() == 1, j.story()
    said = next(line for line in j.stderr().splitlines() if "cannot go on" in line)
    assert f'another live member of group "{j.group}" has the same group.instance.id "pod-0"' in said, j.story()
    assert "give each worker an id of its own" in said, j.story()
    second.until_done()
    assert second.lives == 1
    j.require_clean(repeats=True)


def test_partitions_added_later_are_read_from_their_beginning(job, stub, seed):
    stub.latency(0.0, 0.02)
    soon = {"topic.metadata.refresh.interval.ms": "1000"}
    j = job(partitions=1, change={"source": {"start": "latest", "kafka": soon}})
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

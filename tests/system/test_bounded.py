"""Bounded runs: a backfill reads what is there, stops by itself, says what became of it, and leaves the job's own
positions alone."""

import json
import os
import pty
import re
import select
import subprocess
import time
from datetime import datetime, timezone

import check
import engine
import events
import kafka
import pytest
from test_checkpoints import forget_group
from test_rebalance import worker_like


def arguments(j, *more, until="end"):
    return ["--group", j.group + "-backfill", "--from", "earliest", "--until", until, *more]


def backfill(j, *more, code=0, until="end", env=None):
    """One bounded run to its end; what it said since it was started."""
    before = len(j.stderr())
    j.start(ready=False, arguments=arguments(j, *more, until=until), env=env)
    assert j.wait() == code, j.story()
    return j.stderr()[before:]


def summary(said):
    lines = [line for line in said.splitlines() if line.startswith('{"group"')]
    assert len(lines) == 1, said
    return json.loads(lines[0])


def canary(maker):
    return maker.event(domain="canary")


def poison(maker):
    return events.Event(b"no JSON", maker.event().key, "failed", error="PoisonEvent", timestamp=1700000000000)


def rfc3339(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_run_until_the_end_stops_by_itself_and_takes_no_more(job, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=3)
    j.send([maker.event() for _ in range(300)])
    said = summary(backfill(j, "--json"))
    j.require_clean()
    assert said["finished"] and said["records"] == 300 and said["given_back"] == 0
    assert not any(j.cluster.committed(j.group, j.source_topic).values()), "the job's own group has no position"
    before = len(j.outputs()) + len(j.failures())
    again = summary(backfill(j, "--json", "--resume"))
    assert again["finished"] and again["records"] == 0
    assert len(j.outputs()) + len(j.failures()) == before, "the same bounded run again has nothing left to do"


def test_the_summary_counts_outcomes_and_reasons_and_failures_are_no_failure(job, seed):
    maker = events.Maker(seed, pages=5)
    j = job(partitions=1)
    j.send([maker.event() for _ in range(20)] + [canary(maker) for _ in range(3)] +
           [poison(maker) for _ in range(2)])
    counts = j.ledger.counts()
    said = summary(backfill(j, "--json"))
    j.require_clean()
    assert said["outcomes"] == {o: counts.get(o, 0) for o in ("enriched", "passed", "dropped", "failed")}
    assert said["reasons"]["dropped"] == {"canary": 3}
    assert sum(said["reasons"]["failed"].values()) == said["outcomes"]["failed"] > 0
    assert said["reasons"]["failed"]["PoisonEvent"] == 2
    assert said["errors"] == j.error_topic and said["until"] == "end"


def test_the_summary_is_text_for_people(job, seed):
    maker = events.Maker(seed, pages=5)
    j = job(partitions=1)
    j.send([canary(maker), canary(maker), poison(maker), maker.event()])
    said = backfill(j)
    assert f"{j.group}-backfill is done: 4 records from earliest until end, in " in said
    assert re.search(r"^  dropped +2  canary 2$", said, re.M) and re.search(r"^  failed +1  PoisonEvent 1$", said, re.M), said
    assert j.error_topic in said


def test_a_group_that_has_positions_is_refused_without_resume(job, seed):
    maker = events.Maker(seed, pages=5)
    j = job(partitions=2)
    j.send([maker.event() for _ in range(10)])
    backfill(j)
    before = len(j.outputs())
    said = backfill(j, code=2)
    assert "has positions already" in said and "--resume" in said and j.group + "-backfill" in said
    # The job's own group, too, whose members would else be disturbed.
    j.cluster.commit(j.group, j.source_topic, {0: 1})
    result = engine.run("run", "-c", j.path, "--group", j.group, "--until", "end", check=2)
    assert b"has positions already" in result.stderr
    assert len(j.outputs()) == before


@pytest.mark.real_kafka
def test_files_of_a_forgotten_group_are_positions_too(job, cluster, seed, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    maker = events.Maker(seed, pages=5)
    j = job(partitions=1, change={"checkpoint": {"dir": str(store)}})
    j.send([maker.event() for _ in range(10)])
    backfill(j)
    forget_group(cluster, j.group + "-backfill")
    assert "has positions already" in backfill(j, code=2)
    assert summary(backfill(j, "--json", "--resume"))["records"] == 0


def test_a_topic_without_records_ends_at_once(job):
    j = job(partitions=3)
    said = summary(backfill(j, "--json"))
    assert said["finished"] and said["records"] == 0
    assert set(j.cluster.committed(j.group + "-backfill", j.source_topic).values()) == {0}, "the end is kept"


def test_partitions_without_records_keep_nobody_waiting(job, seed):
    maker = events.Maker(seed, pages=1)
    j = job(partitions=5)
    j.send([maker.event() for _ in range(12)])
    said = summary(backfill(j, "--json"))
    assert said["finished"] and said["records"] == 12
    j.require_clean()


def test_a_run_killed_in_the_middle_ends_where_it_was_going_to_end(job, stub, seed):
    maker = events.Maker(seed, pages=30)
    j = job(partitions=2, change={"http": {"rate": "50/s"}})
    j.send([maker.event() for _ in range(400)])
    j.start(ready=False, arguments=arguments(j))
    committed = lambda: sum(j.cluster.committed(j.group + "-backfill", j.source_topic).values())
    engine.until("some of it is committed", lambda: committed() > 50, story=j.story)
    j.kill()
    j.cluster.send(j.source_topic, [maker.event().record() for _ in range(50)])  # not in the ledger: nobody waits for it
    assert len(j.outputs()) + len(j.failures()) < 400, "it was killed in the middle"
    said = summary(backfill(j, "--json", "--resume"))
    assert said["finished"] and 0 < said["records"] < 400
    j.require_clean(repeats=True)  # all 400, and none of what came later


def test_several_workers_share_a_backfill_and_all_of_them_end(job, seed):
    maker = events.Maker(seed, pages=40)
    j = job(partitions=4, change={"http": {"rate": "60/s"}})
    j.send([maker.event() for _ in range(500)])
    other = worker_like(j, "second")
    try:
        for worker in (j, other):
            worker.start(ready=False, arguments=arguments(j, "--json", "--resume"))
        assert j.wait() == 0 and other.wait() == 0, j.story()
    finally:
        other.close()
    said = [summary(worker.stderr()) for worker in (j, other)]
    assert all(s["finished"] for s in said) and sum(s["records"] for s in said) >= 500
    j.require_clean(repeats=True)


def test_a_run_stopped_before_its_end_is_not_done(job, seed):
    maker = events.Maker(seed, pages=30)
    j = job(partitions=1, change={"http": {"rate": "20/s"}})
    j.send([maker.event() for _ in range(300)])
    before = len(j.stderr())
    j.start(ready=False, arguments=arguments(j))
    j.until_outputs(20)
    j.stop(code=1)
    said = j.stderr()[before:]
    assert "was stopped before its end" in said and "--resume" in said


def test_a_range_of_time_is_read_and_no_more(job, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=2)
    records = [maker.event() for _ in range(60)]
    for n, record in enumerate(records):
        record.timestamp += n * 10_000
    places = j.send(records)
    bounds = ["--from", rfc3339(records[20].timestamp), "--until", rfc3339(records[40].timestamp)]
    before = len(j.stderr())
    j.start(ready=False, arguments=["--group", j.group + "-range", "--json", *bounds])
    assert j.wait() == 0, j.story()
    assert summary(j.stderr()[before:])["records"] == 20
    assert {check.source_of(m)[1:3] for m in j.outputs() + j.failures()} == set(places[20:40])


@pytest.mark.real_kafka
def test_an_end_after_aborted_transactions_is_reached(job, seed):
    maker = events.Maker(seed, pages=3)
    j = job(partitions=1)
    j.send([maker.event() for _ in range(5)])
    producer = j.cluster.producer(**{"transactional.id": j.group})
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(4):
        event = maker.event()
        producer.produce(j.source_topic, event.value, event.key)
    producer.flush(30)
    producer.abort_transaction(30)
    engine.until("the markers of the transaction stand at the log's end", lambda: j.cluster.ends(j.source_topic)[0] > 9)
    said = summary(backfill(j, "--json"))
    assert said["finished"] and said["records"] == 5
    assert summary(backfill(j, "--json", "--resume"))["finished"]


def seen_on_a_terminal(j, *more, env=None):
    """What one bounded run draws on a terminal of its own, for how long, and what it prints."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    env = {**kept, "TERM": "xterm", **(env or {})}
    began = time.monotonic()
    process = subprocess.Popen([str(engine.BINARY), "run", "-c", str(j.path), "--from", "earliest", "--until", "end", *more],
                               stdout=subprocess.PIPE, stderr=theirs, env=env, cwd=engine.ROOT,
                               preexec_fn=kafka.die_with_parent)
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + engine.PATIENCE
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the other side has closed it
                    break
        assert process.wait(engine.PATIENCE) == 0, seen
    finally:
        process.kill()
        os.close(ours)
    return seen, time.monotonic() - began, process.stdout.read()


def test_progress_is_a_bar_that_is_drawn_anew_on_a_terminal(job, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=2, change={"http": {"rate": "30/s"}})
    j.send([maker.event() for _ in range(120)])
    j.start()  # writes the configuration
    j.stop()
    seen, seconds, printed = seen_on_a_terminal(j, "--group", j.group + "-seen")
    drawn = re.findall(rb"\r\x1b\[K\[[#-]+\] \d+ of \d+ records \(\d+ %\)[^\r\n]*, \d/2 partitions", seen)
    assert 1 < len(drawn) <= 10 * seconds, seen[-2000:]
    assert all(len(line) < 80 + len(b"\r\x1b[K") for line in drawn)
    assert seen.endswith(b"\r\x1b[K"), "the line is gone at the end"
    assert b"120 records" in printed
    for quiet, more, env in (("json", ["--json"], {}), ("ci", [], {"CI": "true"})):
        seen, _, _ = seen_on_a_terminal(j, "--group", f"{j.group}-{quiet}", *more, env=env)
        assert b"\x1b[K" not in seen, quiet


def test_progress_is_a_log_line_now_and_then_elsewhere(job, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=1, change={"http": {"rate": "10/s"}})
    j.send([maker.event() for _ in range(150)])
    said = backfill(j)
    assert re.search(r"run: \d+ of \d+ records \(\d+ %\), [\d.]+/s, about .* left", said), said
    assert "\033[K" not in said


def test_a_bounded_run_wants_a_group_of_its_own_and_bounds_that_make_sense():
    for wrong, words in ((["--from", "earliest"], b"need --group"),
                         (["--group", "g", "--from", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"],
                          b"later than --until")):
        assert words in engine.run("run", "-c", "any.yaml", *wrong, check=2).stderr


def test_brokers_that_are_away_before_it_begins_are_told(tmp_path):
    port = kafka.free_ports(1)[0]
    config = {"name": "away", "source": {"topics": ["a"], "kafka": {"bootstrap.servers": f"127.0.0.1:{port}"}},
              "script": {"path": str(engine.SCRIPT)}, "admin": {"listen": "off"},
              "sink": {"topic": "b", "kafka": {"bootstrap.servers": f"127.0.0.1:{port}"}}}
    path = tmp_path / "away.yaml"
    path.write_text(json.dumps(config))
    said = engine.run("run", "-c", path, "--group", "g", "--until", "end", check=69).stderr.decode()
    assert str(port) in said and "--resume" in said, said

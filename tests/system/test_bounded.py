"""Bounded runs: a backfill reads what is there, stops by itself, and leaves the job's own positions alone."""

import engine
import events


def test_a_run_until_the_end_stops_by_itself_and_takes_no_more(job, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=3)
    j.send([maker.event() for _ in range(300)])
    backfill = ["--group", j.group + "-backfill", "--from", "earliest", "--until", "end"]
    j.start(ready=False, arguments=backfill)
    assert j.wait() == 0
    j.require_clean()
    assert not any(j.cluster.committed(j.group, j.source_topic).values()), "the job's own group has no position"
    before = len(j.outputs()) + len(j.failures())
    j.start(ready=False, arguments=backfill)
    assert j.wait() == 0
    assert len(j.outputs()) + len(j.failures()) == before, "the same bounded run again has nothing left to do"


def test_a_bounded_run_wants_a_group_of_its_own():
    result = engine.run("run", "-c", "any.yaml", "--from", "earliest", check=2)
    assert b"need --group" in result.stderr

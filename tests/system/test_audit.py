"""`millrace audit`: what left no trace is found and written out; two outputs side by side."""

import json
from datetime import datetime, timezone

import pytest

import check
import engine
import events

pytestmark = pytest.mark.real_kafka


def audit(j, *arguments, code=0):
    result = engine.run("audit", "-c", j.path, "--from", "earliest", *arguments, check=code)
    return result.stdout.decode()


def counts(j, *arguments, code=0):
    return json.loads(audit(j, "--json", *arguments, code=code))


def difference(j, old, new, *arguments, code=1):
    return json.loads(audit(j, "--json", "--compare", old, new, *arguments, code=code))


@pytest.fixture
def ran(job, stub, seed):
    """A job that has done 200 records of every outcome, and stopped."""
    j = job(partitions=2)
    j.maker = events.Maker(seed, pages=40)
    poison = [events.Event(b"{no json", b"k", "failed", error="PoisonEvent", timestamp=e.timestamp)
              for e in (j.maker.event(), j.maker.event())]
    j.send(j.maker.mixed(198) + poison)
    j.start()
    j.until_done()
    j.stop()
    j.require_clean()
    return j


def test_a_job_that_did_its_work_misses_nothing(ran):
    outcomes = ran.ledger.counts()
    assert min(outcomes[o] for o in ("enriched", "passed", "dropped", "failed")) > 0, outcomes
    said = counts(ran)
    assert said["missing"] == 0 and said["inputs"] == 200
    assert said["with_output"] == outcomes["enriched"] + outcomes["passed"]
    assert (said["with_error"], said["dropped"]) == (outcomes["failed"], outcomes["dropped"])
    assert sum(said["error_types"].values()) == outcomes["failed"] and said["error_types"]["PoisonEvent"] == 2
    assert sum(said["drop_reasons"].values()) == outcomes["dropped"] and "canary" in said["drop_reasons"]
    table = audit(ran)
    assert "with error event" in table and "canary" in table


def test_inputs_without_an_output_are_found_and_written_out_for_replay(ran, cluster, tmp_path):
    lost = dict(list((check.source_of(m)[:3], m) for m in ran.outputs())[5:40:17])
    cluster.create("fewer", partitions=2)
    cluster.send("fewer", [(m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in ran.outputs()
                           if check.source_of(m)[:3] not in lost])
    unseen = ran.maker.event()
    (place,) = ran.send([unseen])
    expected = {*lost, (ran.source_topic, *place)}
    ran.config = engine.merged(ran.config, {"sink": {"stream": None, "schema": None, "topic": "fewer"}})
    ran.write_config()
    out = tmp_path / "missing.jsonl"
    said = counts(ran, "--out", out, code=1)
    assert said["missing"] == len(expected) == len(lost) + 1 >= 3
    lines = [json.loads(line) for line in out.read_text().split("\n")[:-1]]
    assert {(r["topic"], r["partition"], r["offset"]) for r in lines} == expected
    for line in lines:
        sent = ran.ledger.sent[line["topic"], line["partition"], line["offset"]]
        assert (line["key"].encode(), line["value"].encode(), line["timestamp"]) == (sent.key, sent.value, sent.timestamp)


def test_a_range_of_time_leaves_out_what_is_outside(ran):
    times = sorted(e.timestamp for e in ran.ledger.sent.values())
    middle = datetime.fromtimestamp(times[100] / 1000, timezone.utc).isoformat(timespec="milliseconds")
    assert counts(ran, "--until", middle)["inputs"] == sum(t < times[100] for t in times)
    assert counts(ran, "--from", middle)["inputs"] == sum(t >= times[100] for t in times)


@pytest.fixture
def topics(job, stub, cluster, seed):
    """make(name, records) makes a topic of one partition on the job's cluster."""
    j = job(partitions=1)
    j.write_config()

    def make(name, values, times=None):
        cluster.create(j.prefix + name, partitions=1)
        times = times or [None] * len(values)
        cluster.send(j.prefix + name, [(str(v["page"]["page_id"]).encode(), json.dumps(v).encode(), None, t)
                                       for v, t in zip(values, times)])
        return j.prefix + name
    j.make = make
    return j


def page(number, revision, **more):
    return {"wiki_id": "enwiki", "page": {"page_id": number}, "revision": {"rev_id": revision, "slots": [1, 2]},
            "page_change_kind": "edit", "dt": "2026-11-01T00:00:00Z", **more}


BASE = [page(n, r, meta={"id": "a", "dt": "b", "uri": "u"}) for r in range(5) for n in range(4)]


def test_equal_topics_are_equal_whatever_their_ids_and_repeats(topics):
    old = topics.make("old", BASE)
    new = topics.make("new", [{**v, "meta": {"id": "x", "uri": "u"}} for v in BASE + BASE[7:12]])
    said = difference(topics, old, new, code=0)
    assert said["equal"] and said["both"] == 20 and said["repeats"] == {"old": 0, "new": 5}
    assert difference(topics, old, new, "--ignore", "meta.id")["pointers"][0]["pointer"] == "/meta/dt"
    assert "in both: 20, of which differ: 0" in audit(topics, "--compare", old, new)


def test_what_is_on_one_side_only_and_what_differs_is_told_with_its_place(topics):
    old = topics.make("old", BASE)
    new = topics.make("new", [
        {**v, "revision": {**v["revision"], "slots": [1, 3]}} if i in (4, 6) else {**v, "extra": 1} if i == 8 else v
        for i, v in enumerate(BASE) if i != 3] + [page(99, 1)])
    said = difference(topics, old, new)
    assert said["only_old"] == {"count": 1, "examples": [f"{old}/0/3"]}
    assert said["only_new"] == {"count": 1, "examples": [f"{new}/0/19"]}
    assert (said["differing"], said["examined"], said["order"]) == (3, 3, 0)
    assert [(p["pointer"], p["count"]) for p in said["pointers"]] == [("/revision/slots/*", 2), ("/extra", 1)]
    assert (said["pointers"][1]["old"], said["pointers"][1]["new"]) == (f"{old}/0/8", f"{new}/0/7")


def test_another_order_within_a_page_is_told_and_one_between_pages_is_not(topics):
    old = topics.make("old", BASE)
    by_page = topics.make("by_page", sorted(BASE, key=lambda v: v["page"]["page_id"]))
    assert difference(topics, old, by_page, code=0)["order"] == 0
    turned = list(BASE)
    turned[1], turned[5] = turned[5], turned[1]
    assert difference(topics, old, topics.make("turned", turned))["order"] == 1


def test_only_the_range_of_time_is_compared_whatever_lies_behind_it(topics):
    start, hour = 1793491200000, 3600000  # 2026-11-01T00:00:00Z
    old = topics.make("old", BASE, [start + n % 3 * 1000 if n < 10 else start + 5 * hour for n in range(20)])
    new = topics.make("new", BASE[:10] + BASE[15:], [start + n % 3 * 1000 if n < 10 else start + 9 * hour for n in range(15)])
    said = difference(topics, old, new, "--until", "2026-11-01T00:10:00Z", code=0)
    assert said["both"] == 10
    assert difference(topics, old, new, "--from", "2026-11-01T00:00:01Z", "--until", "2026-11-01T00:00:02Z", code=0)["both"] == 3
    assert difference(topics, old, new)["only_old"]["count"] == 5


def test_what_cannot_be_read_is_told(topics):
    old = topics.make("old", BASE[:1])
    result = engine.run("audit", "-c", topics.path, "--from", "earliest", "--compare", old, "nowhere", check=1)
    assert b"there is no topic nowhere" in result.stderr
    for arguments in (["--from", "today"], ["--until", "x", "--from", "earliest"], ["--from", "earliest", "--compare", "a"],
                      ["--from", "earliest", "--by", "a"]):
        assert b"millrace audit: " in engine.run("audit", "-c", topics.path, *arguments, check=2).stderr
    topics.config["sink"]["kafka"]["bootstrap.servers"] = "127.0.0.1:1"
    topics.write_config()
    engine.run("audit", "-c", topics.path, "--from", "earliest", "--compare", old, old, check=69)

"""`millrace errors`: what failed is listed, shown, and comes out after all once what was wrong is right."""

import json
import os
import signal
import subprocess
from datetime import datetime, timezone

import pytest

import check
import engine
import events
import kafka
from engine import ROOT, until

pytestmark = pytest.mark.real_kafka  # the mock tells nobody who is in a group, and makes every topic that it is asked for

WAYWARD = ROOT / "tests" / "system" / "scripts" / "wayward.lua"
REFUSED = {"do": "status", "status": 403}
ONCE = {"http": {"retry": {"attempts": 1}}}


def errors(j, verb, *arguments, code=0):
    return engine.run("errors", verb, *arguments, "-c", j.path, check=code).stdout.decode()


def replay(j, *arguments, code=0):
    said = [json.loads(line) for line in errors(j, "replay", "--json", *arguments, code=code).splitlines()]
    return said[-1]


def listed(j, *arguments):
    return json.loads(errors(j, "list", "--json", *arguments))


def failed(j, records, **options):
    """The job has done these records, badly, and stopped."""
    j.send(records)
    j.start(**options)
    j.until_done()
    j.stop()
    return j


def require(j, excused=("HostUnavailable", "HttpStatus"), repeats=False):
    """All came out as from a run in which nothing was wrong; what was wrong before is excused."""
    j.ledger.check(j.outputs(), j.failures(), j.stream, j.error_stream, excused=excused).require(repeats)


def group(j):
    return j.group + "-replay"


def rfc3339(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def free(j, name=None):
    """The group has no member (any more)."""
    until("the group is left", lambda: b"running already" not in engine.run(
        "errors", "replay", "-c", j.path, "--until", "2000-01-01T00:00:00Z", "--group", name or group(j)).stderr)


@pytest.fixture
def refused(job, stub, seed):
    """A job of 60 edits that the API refused, all of them; by now it answers again."""
    stub.rules(REFUSED)
    j = job(partitions=3)
    j.maker = events.Maker(seed, pages=12)
    failed(j, [j.maker.event() for _ in range(60)])
    stub.rules()
    assert len(j.failures()) == 60 and not j.outputs()
    return j


def test_what_an_api_refused_comes_out_as_if_nothing_had_been_wrong(refused):
    j = refused
    said = replay(j)
    assert said == {"group": group(j), "finished": True, "replayed": 60, "enriched": 60, "passed": 0, "dropped": 0,
                    "failed": 0, "read_again": 0, "not_found": 0, "filtered": 0, "foreign": 0, "repeated": 0, "unreadable": 0}
    require(j)
    assert replay(j)["replayed"] == 0, "the next replay goes on where this one stopped"
    assert len(j.outputs()) == 60


def test_a_replayed_record_is_the_same_as_from_a_run_of_its_own(refused):
    j = refused
    replay(j)
    j.start(ready=False, arguments=["--group", j.group + "-again", "--from", "earliest", "--until", "end"])
    assert j.wait() == 0, j.story()
    require(j, repeats=True)  # a repeat with another meta.id, key, header, timestamp or value is none
    assert len(j.outputs()) == 120


def test_what_fails_again_is_a_new_error_event_and_is_not_replayed_in_the_same_run(refused, stub):
    j = refused
    stub.rules(REFUSED)
    said = replay(j, code=1)
    assert (said["replayed"], said["failed"]) == (60, 60)
    assert len(j.failures()) == 120 and listed(j)["types"]["HttpStatus"]["count"] == 120
    stub.rules()
    said = replay(j)
    assert (said["replayed"], said["enriched"], said["repeated"]) == (60, 60, 0), "only what failed again"
    require(j, repeats=True)
    said = replay(j, "--from", "earliest")
    assert (said["replayed"], said["repeated"]) == (60, 60), "each record once, though it has two error events"


def test_scripts_that_were_wrong_are_put_right_and_replayed(job, stub, seed):
    maker = events.Maker(seed, pages=3)

    def told(deed):
        return lambda value: value.update(comment=f"request:{deed}")
    page, records = maker.pages[0], []
    for deed in ("error", "nil", "fail", "loop"):
        records.append(maker.event(page=page, change=told(deed)))
    j = job(partitions=1, script=WAYWARD, change={"script": {"budget": "200ms", "params": None}})
    failed(j, records)
    assert sorted(listed(j)["types"]) == ["AsTold", "ScriptAnswer", "ScriptError", "ScriptTimeout"]
    assert replay(j, code=1)["failed"] == 4
    right = j.folder / "right.lua"
    right.write_text(WAYWARD.read_text().replace("local function deed_of(event, hook)",
                                                 "local function deed_of(event, hook)\n  do return nil end"))
    j.config["script"]["path"] = str(right)
    j.write_config()
    said = replay(j)
    assert (said["replayed"], said["enriched"]) == (4, 4)
    require(j, excused=("AsTold", "ScriptAnswer", "ScriptError", "ScriptTimeout"), repeats=True)


def test_a_script_that_does_not_load_replays_nothing(refused, tmp_path):
    j = refused
    bad = tmp_path / "bad.lua"
    bad.write_text("return {")
    j.config["script"]["path"] = str(bad)
    j.write_config()
    errors(j, "replay", code=78)
    errors(j, "replay", "--dry-run", code=78)
    j.config["script"]["path"] = str(engine.SCRIPT)
    j.write_config()
    assert replay(j)["enriched"] == 60


@pytest.fixture
def partial(job, stub, seed):
    """Records that no error event has whole: too large for the error stream, or no UTF-8."""
    stub.rules(REFUSED)
    maker = events.Maker(seed, pages=4)
    large = [maker.event(change=lambda value: value.update(later="ß" * 40000)) for _ in range(5)]
    odd = events.Event(b'{"no \xff UTF-8', b"odd", "failed", error="PoisonEvent", timestamp=1700000000000)
    small = [maker.event() for _ in range(5)]
    j = job(partitions=2, change={"errors": {"max_bytes": "20KiB"}})
    records = [record for pair in zip(large, small) for record in pair]
    j.send(records)
    j.odd = j.send([odd])[0]
    j.start()
    j.until_done()
    j.stop()
    stub.rules()
    j.large, j.small = large, small
    return j


def test_originals_that_do_not_fit_are_read_again_from_their_source(partial):
    j = partial
    assert sum(row["partial"] for row in listed(j)["errors"]) == 6
    said = replay(j, code=1)
    assert (said["replayed"], said["enriched"], said["failed"], said["read_again"]) == (11, 10, 1, 6)
    assert said["not_found"] == 0
    seen = {check.source_of(m)[:3] for m in j.outputs()}
    assert len(seen) == 10
    report = j.ledger.check(j.outputs(), [], j.stream, j.error_stream)
    assert not (report.altered or report.reordered or report.unexpected), str(report)


def test_originals_that_are_gone_are_told_and_left(partial):
    j = partial
    j.cluster.delete_records(j.source_topic, j.cluster.ends(j.source_topic))
    result = engine.run("errors", "replay", "-c", j.path)
    assert result.returncode == 1
    assert b"5 replayed: 5 enriched, 0 passed, 0 dropped, 0 failed again; 6 not found" in result.stdout, result
    assert result.stderr.count(b"no longer in the source") == 6
    report = j.ledger.check(j.outputs(), [], j.stream, j.error_stream)
    assert not (report.altered or report.reordered or report.unexpected), str(report)
    assert replay(j)["replayed"] == 0
    assert b"no longer in the source" in engine.run("errors", "replay", "-c", j.path, "--from", "earliest", "--dry-run").stderr


def test_another_record_at_the_same_place_is_not_replayed(partial, seed):
    j = partial
    j.cluster.drop(j.source_topic)
    until("the topic is gone", lambda: j.source_topic not in j.cluster.topics())
    j.cluster.create(j.source_topic, partitions=2)
    other = events.Maker(seed + 1, pages=4)
    j.cluster.send(j.source_topic, [other.event().record() for _ in range(40)])
    said = replay(j, code=1)
    assert (said["enriched"], said["not_found"], said["read_again"]) == (5, 6, 0)


def test_show_gives_the_event_and_its_original(partial):
    j = partial
    rows = {row["source"]: row for row in listed(j)["errors"]}
    sent = {f"{t}/{p}/{o}": event for (t, p, o), event in j.ledger.sent.items()}
    for source, row in rows.items():
        by_source = json.loads(errors(j, "show", source, "--json"))
        by_event = json.loads(errors(j, "show", row["error_event"], "--json"))
        assert by_source == by_event and by_source["source"] == source
        event = sent[source]
        assert by_source["original_is"] == ("read again" if row["partial"] else "verbatim")
        assert by_source["original"] == event.value.decode(errors="replace")
        assert by_source["key"] == event.key.decode()
        text = errors(j, "show", source)
        assert row["type"] in text and source in text and ("read again from the source" in text) == row["partial"]
        assert "raw_event\": \"(below)\"" in text and "more: millrace explain M" in text
    assert "has no error event" in engine.run(
        "errors", "show", f"{j.source_topic}/0/999999", "-c", j.path, check=1).stderr.decode()


@pytest.fixture
def varied(job, stub, seed):
    """Refused by the API: some of two wikis, then, later, broken ones."""
    stub.rules(REFUSED)
    j = job(partitions=1)
    j.maker = events.Maker(seed, pages=10)
    j.start()
    j.send([j.maker.event() for _ in range(20)])
    j.until_done()
    j.middle = max(m.timestamp()[1] for m in j.failures()) + 1
    until("a later time", lambda: datetime.now(timezone.utc).timestamp() * 1000 > j.middle + 5)
    poison = [events.Event(b"{no JSON", j.maker.event().key, "failed", error="PoisonEvent", timestamp=1700000000000)
              for _ in range(5)]
    j.send([j.maker.event() for _ in range(10)] + poison)
    j.until_done()
    j.stop()
    stub.rules()
    return j


def test_filters_choose_by_type_time_wiki_and_message(varied):
    j = varied
    middle = rfc3339(j.middle)
    hosts = [e.host for e in j.ledger.sent.values() if e.outcome != "failed"]
    host = hosts[0]
    for arguments, count in [
            ([], 35), (["--type", "PoisonEvent"], 5), (["--type", "Http*"], 30), (["--type", "Http*", "--type", "Poison*"], 35),
            (["--until", middle], 20), (["--from", middle], 15), (["--from", middle, "--type", "HttpStatus"], 10),
            (["--domain", host], hosts.count(host)), (["--domain", "*.nowhere"], 0), (["--message", "\\b403\\b"], 30),
            (["--message", "nothing of the sort"], 0)]:
        assert listed(j, *arguments)["total"] == count, arguments
        dry = replay(j, "--dry-run", *arguments)
        assert dry["would_replay"] == count, arguments
    newest = listed(j, "-n", "3")
    assert newest["total"] == 35 and newest["errors"] == listed(j)["errors"][-3:]
    assert "No error events" in errors(j, "list", "--type", "None")
    table = errors(j, "list").splitlines()
    assert table[0].split() == ["TIME", "TYPE", "SOURCE", "WIKI", "OR", "KEY", "MESSAGE"] and len(table) == 1 + 35 + 1 + 3


def test_a_replay_of_some_leaves_the_position_of_the_others(varied):
    j = varied
    some = replay(j, "--until", rfc3339(j.middle))
    assert (some["replayed"], some["enriched"]) == (20, 20)
    poison = replay(j, "--type", "PoisonEvent", code=1)
    assert (poison["replayed"], poison["failed"], poison["filtered"]) == (5, 5, 30)
    assert poison["group"] == group(j) + "-selected"
    rest = replay(j, code=1)
    assert (rest["replayed"], rest["enriched"], rest["failed"]) == (15, 10, 5)
    assert rest["repeated"] == 5, "what failed again is of the same records"
    report = j.ledger.check(j.outputs(), [], j.stream, j.error_stream)
    assert not (report.altered or report.reordered or report.unexpected or report.repeated), str(report)
    assert len(j.outputs()) == 30


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(partial, stub):
    j = partial
    before = {t: j.cluster.ends(t) for t in (j.source_topic, j.sink_topic, j.error_topic)}
    asked = len(stub.requests())
    said = [json.loads(line) for line in errors(j, "replay", "--dry-run", "--json").splitlines()]
    assert said[-1]["would_replay"] == 11 and said[-1]["not_found"] == 0
    sent = {place: event for place, event in j.ledger.sent.items()}
    for line in said[:-1]:
        event = sent[line["topic"], line["partition"], line["offset"]]
        assert line["read_again"] == (event not in j.small)
        if event.error == "PoisonEvent":
            assert line["fails"] == "PoisonEvent" and line["key"] is None
        else:
            assert line["fails"] is None and line["key"].encode() == event.key
    assert len(said) == 12
    assert "11 would be replayed to " + j.sink_topic in errors(j, "replay", "--dry-run")
    assert {t: j.cluster.ends(t) for t in before} == before
    assert j.cluster.committed(group(j), j.error_topic) == {} and len(stub.requests()) == asked
    assert replay(j, code=1)["replayed"] == 11
    assert replay(j, "--dry-run")["would_replay"] == 1, "what failed again, from where the replay stopped"


class Replay:
    """One that runs beside the test."""

    def __init__(self, j, *arguments):
        self.process = subprocess.Popen([str(engine.BINARY), "errors", "replay", "-c", str(j.path), *arguments], cwd=ROOT,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=kafka.die_with_parent,
                                        env=dict(os.environ))

    def end(self, number):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=engine.PATIENCE)
        return self.process.returncode, out.decode(), err.decode()


def test_a_replay_that_is_killed_midway_goes_on_and_loses_nothing(refused):
    j = refused
    running = Replay(j, "--rate", "5/s")
    try:
        until("some are out", lambda: j.sink.count(j.sink_topic) >= 7)
        again = engine.run("errors", "replay", "-c", j.path)
        assert again.returncode == 1 and b"running already" in again.stderr, "one at a time"
        selected = engine.run("errors", "replay", "-c", j.path, "--type", "HttpStatus")
        assert selected.returncode == 1 and b"running already" in selected.stderr, "nor one of some beside it"
        until("some are committed", lambda: any(j.cluster.committed(group(j), j.error_topic).values()))
    finally:
        running.end(signal.SIGKILL)
    assert j.sink.count(j.sink_topic) < 60, "it was slowed down by its rate, and killed midway"
    free(j)
    said = replay(j)
    assert said["finished"] and 0 < said["replayed"] < 60
    require(j, repeats=True)


def test_a_replay_that_is_stopped_says_so_and_goes_on(refused):
    j = refused
    running = Replay(j, "--rate", "5/s")
    try:
        until("some are out", lambda: j.sink.count(j.sink_topic) >= 7)
    finally:
        code, out, err = running.end(signal.SIGTERM)
    assert code == 1 and "replayed: " in out and "goes on where it stopped" in err
    done = int(out.split()[0])
    assert done == j.sink.count(j.sink_topic) < 60
    assert replay(j)["replayed"] == 60 - done
    require(j)


def test_a_rate_keeps_the_order_and_all_records(refused):
    j = refused
    assert replay(j, "--rate", "40/s")["enriched"] == 60
    require(j)


def test_records_of_a_host_in_trouble_come_out_when_it_is_well(job, stub, seed):
    sick = "en.wikipedia.org"
    stub.rules({"host": sick, "do": "status", "status": 429, "headers": {"Retry-After": "1"}})
    maker = events.Maker(seed, pages=30)
    j = job(partitions=1, change={"limits": {"records": 100}, "http": {"retry": {"attempts": 100, "deadline": "60m"}}})
    records = [maker.event() for _ in range(300)]
    while sum(r.host == sick for r in records) < 60:
        records.append(maker.event())
    j.send(records)
    j.start()
    until("records of the sick host were let go", lambda: j.failures(), story=j.story)
    j.stop()  # what only waits goes back, and is done by the next start
    stub.rules()
    j.start()
    j.until_done()
    j.stop()
    gone = len(j.failures())
    assert listed(j, "--type", "HostUnavailable")["total"] == gone > 0
    said = replay(j, "--type", "HostUnavailable")
    assert (said["replayed"], said["enriched"]) == (gone, gone)
    report = j.ledger.check(j.outputs(), j.failures(), j.stream, j.error_stream, excused=("HostUnavailable",))
    assert not (report.lost or report.altered or report.unexpected or report.repeated), str(report)


def test_what_others_write_into_the_error_stream_is_listed_and_left(refused):
    j = refused
    j.cluster.send(j.error_topic, [
        (b"k", json.dumps({"error_type": "Theirs", "message": "other", "raw_event": "{}"}).encode()),
        (b"k", json.dumps({"error_type": "Theirs", "message": "other\x1b[31m\nred", "raw_event": "{}"}).encode(),
         [("millrace-source", b"another.topic/0/1/0")]),
        (b"k", b"no JSON"), (b"k", None), (b"k", b"[]")])
    said = listed(j)
    assert said["total"] == 65 and said["types"]["Theirs"]["count"] == 2
    assert "\x1b" not in errors(j, "list") and errors(j, "list", "--type", "Theirs").count("\n") == 6
    said = replay(j)
    assert (said["replayed"], said["enriched"], said["foreign"], said["unreadable"]) == (60, 60, 2, 3)
    assert len(j.outputs()) == 60


def test_a_record_without_a_key_is_replayed_without_one(job, stub, seed):
    maker = events.Maker(seed, pages=2)
    stub.rules(REFUSED)
    record = maker.event()
    record.key = None
    j = job(partitions=1, change={"key": None})
    failed(j, [record])
    stub.rules()
    assert replay(j)["enriched"] == 1
    require(j)


def test_a_source_topic_by_another_name_of_its_cluster_is_no_sink(refused):
    j = refused
    host, port = j.cluster.bootstrap.split(",")[0].rsplit(":", 1)
    other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}[host]
    j.config = engine.merged(j.config, {"sink": {"stream": None, "schema": None, "topic": j.source_topic,
                                                 "kafka": {"bootstrap.servers": f"{other}:{port}"}}})
    j.write_config()
    before = j.cluster.ends(j.source_topic)
    for dry in ([], ["--dry-run"]):
        assert b"source topic" in engine.run("errors", "replay", *dry, "-c", j.path, check=78).stderr
    assert j.cluster.ends(j.source_topic) == before


def test_wrong_usage_is_told(refused):
    j = refused
    for arguments, said in [
            ([], b"'list', 'show' or 'replay'"), (["lst"], b"expected list, show or replay"),
            (["list", "--rate", "5/s"], b"belong to replay"), (["replay", "-n", "5"], b"-n belongs to list"),
            (["replay", "--rate", "5"], b"--rate"), (["list", "--from", "yesterday"], b"--from"),
            (["list", "--from", "2999-01-01T00:00:00Z"], b"times that have been"), (["show"], b"show what?"),
            (["show", "x"], b"TOPIC/PARTITION/OFFSET"), (["list", "x"], b"unexpected argument"),
            (["list", "--message", "("], b"no regular expression"),
            (["list", "--from", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"], b"later than --until")]:
        result = engine.run("errors", *arguments, "-c", j.path)
        assert result.returncode == 2 and said in result.stderr, (arguments, result)
    j.config["errors"]["stream"] = "nowhere"
    j.write_config()
    assert b"there is no topic" in engine.run("errors", "list", "-c", j.path, check=1).stderr
    j.config["errors"]["kafka"]["bootstrap.servers"] = "127.0.0.1:1"
    j.write_config()
    for verb in ("list", "replay"):
        engine.run("errors", verb, "-c", j.path, check=69)

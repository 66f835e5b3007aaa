"""What goes wrong with one record ends in the error stream, and hurts no other."""

import time
from datetime import datetime, timezone

import pytest

import events
from engine import ROOT
from job import error_types

WAYWARD = ROOT / "tests" / "system" / "scripts" / "wayward.lua"


def between(maker, bad):
    """Each bad record with good neighbours, all of one page: the lane must go on."""
    page, records = maker.pages[0], []
    for record in bad:
        records += [maker.event(page=page), record, maker.event(page=page)]
    return records


def test_poison_ends_in_the_error_stream_and_its_neighbours_come_out(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    names = events.poison(maker)
    key = maker.event(page=maker.pages[0]).key
    j = job(partitions=1)
    j.send(between(maker, [events.Event(v, key, "failed", timestamp=1700000000000) for v in names.values()]))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


def test_events_without_the_fields_a_hook_needs_fail_by_themselves(job, stub, seed):
    maker = events.Maker(seed, pages=3)

    def bad(text):
        return events.Event(text, b"odd", "failed", timestamp=1700000000000)
    j = job(partitions=1)
    j.send(between(maker, [
        bad(b"{}"), bad(b'{"meta":{"domain":"en.wikipedia.org"},"page_change_kind":"edit"}'),
        bad(b'{"meta":{"domain":"en.wikipedia.org"},"page_change_kind":"edit","revision":{}}'),
        bad(b'{"meta":{"domain":"en.wikipedia.org"},"page_change_kind":"edit","revision":{"rev_id":"five"}}'),
        bad(b'{"meta":[],"page_change_kind":"edit","revision":[]}')]))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


def test_tombstones_pass(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    j = job(partitions=1)
    j.send(between(maker, [events.tombstone(b'{"wiki_id":"enwiki","page_id":7}', n) for n in range(5)]))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


@pytest.mark.parametrize("hook", ["request", "transform"])
def test_a_hook_that_does_wrong_fails_its_own_record_alone(job, stub, seed, hook):
    deeds = ["loop", "loop_in_pcall", "huge", "recursion", "error", "error_object", "index", "nil", "empty", "number",
             "fail"]
    types = {"loop": "ScriptTimeout", "loop_in_pcall": "ScriptTimeout", "huge": "ScriptMemory", "fail": "AsTold"}
    maker = events.Maker(seed, pages=3)

    def told(deed):
        return lambda value: value.update(comment=f"{hook}:{deed}")
    bad = [maker.event(page=maker.pages[0], change=told(deed), outcome="failed", error=types.get(deed))
           for deed in deeds]
    j = job(partitions=1, script=WAYWARD,
            change={"script": {"budget": "200ms", "memory": "32MiB", "params": None}})
    j.send(between(maker, bad))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()
    found = error_types(j)
    assert [offset for offset in sorted(found)] == [1 + 3 * n for n in range(len(deeds))]
    for deed, offset in zip(deeds, sorted(found)):
        value = found[offset]
        if deed in ("nil", "empty", "number"):
            assert hook in value["message"], f"{deed}: the message does not name the hook: {value['message']}"
        if deed in ("error", "index"):
            assert "wayward.lua:" in value["message"] + value.get("stack", ""), f"{deed}: no file:line: {value}"


def test_drop_and_pass_are_counted_as_what_they_are(job, stub, seed):
    maker = events.Maker(seed, pages=3)

    def told(deed):
        return lambda value: value.update(comment=deed)
    j = job(partitions=1, script=WAYWARD, change={"script": {"params": None}})
    j.send([maker.event(change=told("request:drop"), outcome="dropped"),
            maker.event(change=told("transform:drop"), outcome="dropped"),
            maker.event(change=told("request:pass"), outcome="passed"),
            maker.event(change=told("transform:pass"), outcome="passed")])
    j.start()
    j.until_done()
    j.require_clean()
    metrics = j.require_outcomes()
    assert metrics.value("millrace_drops_total", reason="as_told") == 2


FINAL = {
    "400": {"do": "status", "status": 400}, "404": {"do": "status", "status": 404},
    "301": {"do": "status", "status": 301, "headers": {"Location": "http://127.0.0.1:1/"}},
    "500 for ever": {"do": "status", "status": 500}, "503 for ever": {"do": "status", "status": 503},
    "HTML for ever": {"do": "html"}, "malformed for ever": {"do": "malformed"}, "reset for ever": {"do": "reset"},
    "truncated for ever": {"do": "truncate"}, "badinteger": {"do": "error", "code": "badinteger"},
    "hangs for ever": {"do": "hang"},
}


def test_answers_that_never_become_good_end_in_the_error_stream(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    bad = [maker.event(page=maker.pages[0], outcome="failed") for _ in FINAL]
    stub.rules(*[{"rev": event.rev, **rule} for event, rule in zip(bad, FINAL.values())])
    # A breaker that may open for an upstream that fails a lot is not the subject here: many good lookups beside.
    # Nor are the calls that a lookup shares with others, which do not count: each has its own.
    j = job(partitions=1, change={"http": {
        "retry": {"attempts": 3, "base": "20ms", "cap": "100ms"}, "upstreams": {"mediawiki": {"timeout": "1s", "merge": False}}}})
    j.send(between(maker, bad))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()
    asks = {name: stub.stats()["asks"][event.host, event.rev] for event, name in zip(bad, FINAL)}
    for name in ("400", "404", "301"):
        assert asks[name] == 1, f"{name} was asked {asks[name]} times: it is final"
    for name in ("500 for ever", "503 for ever", "malformed for ever", "truncated for ever", "hangs for ever"):
        assert asks[name] == 3, f"{name} was asked {asks[name]} times, retry.attempts is 3"


TRANSIENT = {
    "503 twice": {"do": "status", "status": 503, "times": 2}, "500 once": {"do": "status", "status": 500, "times": 1},
    "503 with Retry-After": {"do": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 1},
    "HTML once": {"do": "html", "times": 1}, "malformed once": {"do": "malformed", "times": 1},
    "truncated once": {"do": "truncate", "times": 1}, "reset twice": {"do": "reset", "times": 2},
    "hangs once": {"do": "hang", "times": 1}, "408 once": {"do": "status", "status": 408, "times": 1},
    "425 once": {"do": "status", "status": 425, "times": 1},
    "internal_api_error once": {"do": "error", "code": "internal_api_error_DBQueryError", "times": 1},
}
THROTTLING = {
    "429 with Retry-After": {"do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 2},
    "maxlag": {"do": "maxlag", "after": 1, "times": 2},
}


def waited_for(job, stub, seed, rules):
    """Every third event meets one of the rules; all of them must come out, asked again and in order."""
    maker = events.Maker(seed, pages=3)
    records = [maker.event(page=maker.pages[n % 3]) for n in range(3 * max(3, len(rules)))]
    troubled = list(zip(records[::3], [rules[n % len(rules)] for n in range(len(records))]))
    stub.rules(*[{"rev": record.rev, **rule} for record, rule in troubled])
    j = job(partitions=1, change={"http": {"upstreams": {"mediawiki": {"timeout": "1s"}}}})
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()
    asks = stub.stats()["asks"]
    for record, rule in troubled:
        assert asks[record.host, record.rev] > rule["times"], f"{rule} was met only {asks[record.host, record.rev]} times"
    return j


def test_trouble_that_passes_is_waited_for(job, stub, seed):
    waited_for(job, stub, seed, list(TRANSIENT.values())).require_outcomes()


@pytest.mark.parametrize("name", THROTTLING)
def test_a_wiki_that_asks_for_patience_gets_it(job, stub, seed, name):
    waited_for(job, stub, seed, [THROTTLING[name]]).require_outcomes()


def test_a_host_that_says_429_is_left_alone_and_the_others_are_not(job, stub, seed):
    english, japanese = events.Maker(seed, 5, events.WIKIS[:1]), events.Maker(seed + 1, 5, events.WIKIS[1:2])
    stub.rules({"host": "en.wikipedia.org", "do": "status", "status": 429, "headers": {"Retry-After": "4"}, "times": 1})
    j = job(partitions=1)
    j.send([maker.event() for _ in range(30) for maker in (english, japanese)])
    j.start()
    j.until_outputs(30)
    requests = stub.requests()
    first = min(r["time"] for r in requests if r["host"] == "en.wikipedia.org")
    japanese_done = max(r["time"] for r in requests if r["host"] == "ja.wikipedia.org")
    assert japanese_done - first < 4, "the other wiki had to wait, too"
    j.until_done()
    j.require_clean()


def now():
    return datetime.now(timezone.utc)


def test_a_revision_that_the_replica_shows_late_is_waited_for(job, stub, seed):
    maker = events.Maker(seed, pages=3, when=now())
    records = [maker.event() for _ in range(6)]
    stub.rules(*[{"rev": r.rev, "do": "missing", "seconds": 3} for r in records[:3]])
    j = job(partitions=1)
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()


def test_a_revision_missing_for_good_fails_as_missing(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    bad = [maker.event(outcome="failed", error="MissingRevision") for _ in range(3)]
    stub.rules(*[{"rev": e.rev, "do": "missing"} for e in bad])
    j = job(partitions=1)
    j.send(between(maker, bad))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


def test_a_young_revision_missing_for_good_fails_when_it_is_ten_seconds_old(job, stub, seed):
    maker = events.Maker(seed, pages=3, when=now())
    bad = maker.event(outcome="failed", error="MissingRevision")
    stub.rules({"rev": bad.rev, "do": "missing"})
    j = job(partitions=1)
    j.send([bad, maker.event()])
    started = time.time()
    j.start()
    j.until_done()
    j.require_clean()
    asked = [r["time"] for r in stub.requests() if bad.rev in r["revs"]]
    assert len(asked) > 1 and asked[-1] - started < 30


def test_missing_pass_publishes_the_event_without_a_body(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    gone = maker.event(outcome="passed")
    stub.rules({"rev": gone.rev, "do": "missing"})
    j = job(partitions=1, change={"script": {"params": {"missing": "pass"}}})
    j.send([gone, maker.event()])
    j.start()
    j.until_done()
    j.require_clean()


def test_text_hidden_after_the_event_never_comes_out(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    hidden = [maker.event(outcome="passed") for _ in range(3)]
    stub.rules(*[{"rev": e.rev, "do": "hidden"} for e in hidden])
    j = job(partitions=1)
    j.send(between(maker, hidden))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


def test_an_output_larger_than_the_sink_takes_becomes_an_error_event(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    big = maker.event(outcome="failed", page=maker.pages[0])
    big.value = big.value[:-1].rstrip() + b',"more":"' + b"x" * 200000 + b'"}'
    j = job(partitions=1, change={"sink": {"max_bytes": "150KiB"}, "errors": {"max_bytes": "1MiB"}})
    j.send(between(maker, [big]))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()

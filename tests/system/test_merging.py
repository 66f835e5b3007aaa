"""Lookups of one wiki share a call under backlog; what comes out is what came out before, call by call."""

import check
import events
import stub as stubs
from engine import until

ONE_WIKI = [("enwiki", "en.wikipedia.org")]
BACKLOG = 1000
ALONE = {"http": {"upstreams": {"mediawiki": {"merge": False}}}}


def sized(maker, size=None, **how):
    """An edit that tells the true size of its content, as page changes do."""
    def tell(value):
        for role, slot in value["revision"]["content_slots"].items():
            text = stubs.content(value["meta"]["domain"], value["revision"]["rev_id"], role, size)
            slot["content_size"] = len(text.encode())
    event = maker.event(change=tell, **how)
    if size is not None and event.outcome == "enriched":
        main = event.model["revision"]["content_slots"]["main"]
        main["content_body"] = stubs.content(event.host, event.rev, "main", size)
    return event


def backlog(count, seed=1, pages=60, wikis=ONE_WIKI):
    maker = events.Maker(seed, pages, wikis)
    return [sized(maker) for _ in range(count)]


def finish(job, records):
    job.send(records)
    job.start()
    job.until_done()
    job.require_clean()
    return job.require_outcomes()


def test_a_backlog_of_one_wiki_takes_far_fewer_calls_than_events(job, stub):
    stub.latency(0.02, 0.05)
    j = job(partitions=1)
    metrics = finish(j, backlog(BACKLOG))
    stats = stub.stats()
    assert stats["lookups"] == BACKLOG, stats
    assert stats["calls"] <= BACKLOG / 10, f"{stats['calls']} calls for {BACKLOG} events: {stats['batches']}"
    assert max(map(int, stats["batches"])) <= 50
    assert metrics.sum("millrace_http_requests_total") == stats["calls"]
    assert metrics.sum("millrace_http_lookups_total") == BACKLOG
    assert metrics.sum("millrace_http_call_lookups_count") == stats["calls"]
    assert metrics.sum("millrace_http_call_lookups_sum") == BACKLOG


def test_a_shared_call_sends_its_oldest_records_headers(job, stub):
    j = job(partitions=1)
    records = backlog(100)
    finish(j, records)
    ids = {e.rev: e.model["meta"]["request_id"] for e in records}
    shared = [r for r in stub.requests() if len(r["revs"]) > 1]
    assert shared
    for request in shared:
        assert request["headers"]["x-request-id"] == ids[request["revs"][0]], request


def awkward(count, seed):
    """Events of revisions that are missing, hidden, refused, or late, by the rules of TROUBLE."""
    maker, records = events.Maker(seed, 80), []
    for _ in range(count):
        event = sized(maker)
        if event.rev % 31 == 5:
            event.outcome, event.error = "failed", "MissingRevision"
        elif event.rev % 29 == 3:
            event.outcome = "passed"
            for slot in event.model["revision"]["content_slots"].values():
                del slot["content_body"]
        elif event.rev % 97 == 11:
            event.outcome, event.error = "failed", "AccessDenied"
        records.append(event)
    return records


TROUBLE = [{"do": "missing", "modulus": [31, 5]}, {"do": "hidden", "modulus": [29, 3]},
           {"do": "error", "code": "accessdenied", "modulus": [97, 11]},
           {"do": "status", "status": 503, "modulus": [23, 7], "times": 1}]


def test_merged_or_not_the_same_comes_out(job, stub):
    records, calls = awkward(400, seed=7), []

    def outputs(change):
        stub.reset()
        stub.rules(*TROUBLE)
        stub.most_bytes(300_000)
        j = job(partitions=1, change=change)
        finish(j, records)
        calls.append(stub.stats()["calls"])
        out = {check.source_of(m): (m.key(), events.load(m.value())) for m in j.outputs()}
        for _, value in out.values():
            del value["meta"]["dt"], value["meta"]["stream"]
        failures = {check.source_of(m): events.load(m.value())["error_type"] for m in j.failures()}
        return [{place[1:]: value for place, value in told.items()} for told in (out, failures)]

    assert outputs({}) == outputs(ALONE)
    assert calls[0] < calls[1] / 2, calls


def test_one_refused_revision_of_fifty_costs_its_neighbours_nothing(job, stub):
    records = backlog(50)
    bad = records[31]
    bad.outcome, bad.error = "failed", "AccessDenied"
    stub.rules({"do": "error", "code": "accessdenied", "rev": bad.rev})
    metrics = finish(job(partitions=1), records)
    assert metrics.value("millrace_failures_total", type="AccessDenied") == 1
    assert stub.stats()["calls"] <= 16, stub.stats()["batches"]
    assert metrics.sum("millrace_http_splits_total", reason="fail") >= 5


def test_one_revision_that_breaks_the_server_fails_alone(job, stub):
    records = backlog(50)
    bad = records[13]
    bad.outcome, bad.error = "failed", "HttpStatus"
    stub.rules({"do": "status", "status": 500, "rev": bad.rev})
    metrics = finish(job(partitions=1, change={"http": {"retry": {"attempts": 4, "base": "20ms"}}}), records)
    assert metrics.value("millrace_failures_total", type="HttpStatus") == 1
    assert stub.stats()["asks"][bad.host, bad.rev] == 4


def test_what_a_truncated_answer_leaves_out_is_asked_again(job, stub):
    stub.most_bytes(200_000)
    metrics = finish(job(partitions=1), backlog(300, seed=3))
    stats = stub.stats()
    assert stats["continued"] > 0
    assert stats["calls"] <= 300 / 3, stats["batches"]
    assert metrics.sum("millrace_http_splits_total", reason="partial") > 0


def test_a_revision_too_large_for_any_answer_fails_alone(job, stub):
    maker = events.Maker(5, 30, ONE_WIKI)
    records = [sized(maker, size=20_000) for _ in range(40)]
    large = sized(maker, size=400_000)
    large.outcome, large.error = "failed", "ContentTooLarge"
    records.insert(20, large)
    stub.most_bytes(300_000)
    stub.rules({"do": "ok", "bytes": 400_000, "rev": large.rev}, {"do": "ok", "bytes": 20_000})
    finish(job(partitions=1), records)


def test_a_hidden_event_is_never_asked_about_nor_given_a_text(job, stub):
    """An edit and the hiding of the same revision stand side by side in a backlog."""
    maker = events.Maker(11, 20, ONE_WIKI)
    records = []
    for _ in range(40):
        edit = sized(maker)
        page = next(p for p in maker.pages if p[2] == stubs.page_of(edit.rev))
        records += [edit, maker.event("visibility_change", visible=False, page=page, rev=edit.rev)]
    finish(job(partitions=1), records)
    asks = stub.stats()["asks"]
    assert len(asks) == 40 and set(asks.values()) == {1}, asks


def test_events_of_one_revision_get_a_fetch_each(job, stub):
    maker = events.Maker(12, 20, ONE_WIKI)
    records = []
    for _ in range(30):
        edit = sized(maker)
        page = next(p for p in maker.pages if p[2] == stubs.page_of(edit.rev))
        records += [edit, sized(maker, kind="visibility_change", page=page, rev=edit.rev)]
    finish(job(partitions=1), records)
    stats = stub.stats()
    assert set(stats["asks"].values()) == {2}
    for request in stub.requests():
        assert len(set(request["revs"])) == len(request["revs"]), request


def test_the_order_of_a_page_holds_when_its_calls_are_split_and_late(job, stub):
    stub.latency(0.0, 0.05, slow=0.5, slow_share=0.05)
    stub.rules({"do": "status", "status": 503, "share": 0.015}, {"do": "hang", "modulus": [211, 3], "times": 1})
    stub.most_bytes(150_000)
    finish(job(partitions=1, change={"http": {"upstreams": {"mediawiki": {"timeout": "1s"}}}}),
           backlog(250, seed=9, pages=5))


def test_a_live_trickle_waits_no_longer_for_being_merged(job, stub):
    """Events of several wikis, one after the other: the next comes when the last has left."""
    stub.latency(0.02, 0.02)

    def seconds(change, seed):
        j = job(partitions=1, change=change)
        j.start()
        maker = events.Maker(seed, 8)
        j.send([sized(maker)])
        j.until_outputs(1)
        for n in range(30):
            j.send([sized(maker)])
            until("it is out", lambda n=n: j.sink.count(j.sink_topic) >= n + 2, every=0.01)
        metrics = j.metrics()
        j.stop()
        j.require_clean()
        return metrics.sum("millrace_event_processing_seconds_sum") / 31

    merged, apart = seconds({}, 21), seconds(ALONE, 22)
    assert merged < apart * 1.5, f"{merged * 1000:.1f} ms merged, {apart * 1000:.1f} ms apart"

"""The main job: page changes in, page content changes out, in order, all of them."""

import json
import urllib.request

import check
import events


def test_5000_events_of_500_pages_come_out_enriched_and_in_order(job, stub, cluster, seed):
    stub.latency(0.002, 0.06, slow=0.6, slow_share=0.01)
    j = job(partitions=3)
    j.send(events.Maker(seed, pages=500).mixed(5000 if cluster.real else 1000))
    j.start()
    j.until_done()
    j.require_clean()
    metrics = j.require_outcomes()
    assert metrics.sum("millrace_open_records") == 0
    stats = stub.stats()
    assert stats["most_on_one_page"] > 1, f"lookups of one page never ran side by side: {stats['most_on_one_page']}"
    assert stats["most"] <= 64, "more calls in flight than http.upstreams.mediawiki.concurrency"
    assert all(n == 1 for n in stats["asks"].values()), "a revision was asked for twice without need"
    assert stats["connections"] <= 200, f"connections are not kept: {stats['connections']}"


def test_many_events_of_one_page_keep_their_order_while_their_lookups_run_side_by_side(job, stub, seed):
    stub.latency(0.0, 0.08)
    j = job(partitions=1)
    j.send(events.Maker(seed, pages=1).mixed(400))
    j.start()
    j.until_done()
    j.require_clean()
    assert stub.stats()["most_on_one_page"] >= 16


def test_order_partition_keeps_the_order_of_the_whole_partition(job, stub, seed):
    stub.latency(0.0, 0.05)
    j = job(partitions=2, change={"order": "partition"})
    j.send(events.Maker(seed, pages=50).mixed(400))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


def test_order_none_lets_the_quick_ones_pass_the_slow_ones(job, stub, seed):
    maker = events.Maker(seed, pages=1)
    records = [maker.event() for _ in range(50)]
    stub.rules({"rev": records[0].rev, "do": "ok", "delay": 2})
    j = job(partitions=1, change={"order": "none", "http": {"upstreams": {"mediawiki": {"merge": False}}}})
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()
    offsets = [check.source_of(m)[2] for m in j.outputs()]
    assert offsets[-1] == 0, f"the slow first event did not come last: {offsets}"


def test_key_record_orders_by_the_kafka_key_and_passes_it_on(job, stub, seed):
    stub.latency(0.0, 0.05)
    j = job(partitions=2, change={"key": "record"})
    records = events.Maker(seed, pages=20).mixed(300)
    for record in records:
        record.key = b"\x00\xff" + record.key
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()


def test_every_request_says_who_asks_and_which_wiki_is_meant(job, stub, seed):
    j = job(partitions=1)
    j.send([events.Maker(seed, pages=8).event() for _ in range(20)])
    j.start()
    j.until_done()
    requests = stub.requests()
    assert len(requests) == 20
    for request in requests:
        assert request["method"] == "GET" and request["path"] == "/w/api.php"
        assert request["headers"]["user-agent"].startswith("millrace-tests/1.0 (tests@example.org)")
        assert request["host"] in {host for _, host in events.WIKIS}
        assert "gzip" in request["headers"].get("accept-encoding", "")


def test_livez_readyz_and_metrics_answer_while_it_runs(job, stub, seed):
    j = job(partitions=1).start()
    assert j.get("/livez")[0] == 200 and j.get("/readyz")[0] == 200
    assert j.get("/nowhere")[0] == 404
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{j.port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
    metrics = j.metrics()
    assert metrics.value("millrace_build_info") == 1
    assert metrics.value("millrace_state", state="running") == 1
    j.send([events.Maker(seed).event() for _ in range(10)])
    j.until("the first events are counted", lambda m: m.value("millrace_events_total", outcome="enriched") == 10)
    assert j.metrics().sum("millrace_http_requests_total", code="200") == 10


def test_the_log_keeps_event_content_to_itself(job, stub, seed):
    secret = "Geheim-1f2e3d"

    def hide(value):
        value["comment"] = value["revision"]["comment"] = secret
    maker = events.Maker(seed)
    j = job(partitions=1)
    j.send([maker.event(change=hide) for _ in range(20)]
           + [events.Event(b'{"x": "' + secret.encode(), b"k", "failed", timestamp=1700000000000)])
    j.start()
    j.until_done()
    j.stop()
    assert secret not in j.stderr()


def test_json_logs_are_one_object_a_line(job, stub, seed):
    j = job(partitions=1, change={"log": {"format": "json"}})
    j.send([events.Maker(seed).event()])
    j.start()
    j.until_done()
    j.stop()
    lines = [line for line in j.stderr().splitlines() if not line.startswith("--- life")]
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert "@timestamp" in entry and "message" in entry, line

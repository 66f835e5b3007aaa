"""A running engine is told how much it may do: gentle while there is a backlog, limits and pauses by an operator."""

import json
import signal
import urllib.error
import urllib.request

import events
from engine import merged, run, until
from test_rebalance import worker_like

LIVE, GENTLE = "millrace-tests/1.0 (tests@example.org)", "millrace-tests-backfill/1.0 (tests@example.org)"
BACKFILL = {"records": 60, "rate": "40/s", "user_agent": GENTLE}


def change(**more):
    return merged({"http": {"upstreams": {"mediawiki": {"merge": False}}}}, more)


def told(j, *arguments, verb="limits", code=0):
    return run(verb, "--url", f"http://127.0.0.1:{j.port}", *arguments, check=code)


def limits(j, *arguments):
    return json.loads(told(j, "--json", *arguments).stdout)


def agents(stub):
    return [request["headers"]["user-agent"] for request in stub.requests()]


def taken(j):
    return j.metrics().sum("millrace_source_records_total")


def state(j):
    return [labels["state"] for name, labels, value in j.metrics().series if name == "millrace_state" and value]


def test_a_backlog_is_worked_gently_and_what_comes_then_at_once(job, stub, seed):
    maker = events.Maker(seed, pages=40)
    j = job(partitions=2, change=change(backfill=BACKFILL))
    j.send([maker.event() for _ in range(200)])
    j.start()
    assert j.metrics().value("millrace_backfill") == 1
    assert limits(j)["upstreams"]["mediawiki"]["rate"] == {"value": 40, "from": "backfill"}
    j.until_done()
    gentle = agents(stub).count(GENTLE)
    assert agents(stub)[:gentle] == [GENTLE] * gentle and gentle > 100, "from the first call until it is nearly gone"
    j.until("the backlog is over", lambda metrics: metrics.value("millrace_backfill") == 0)
    before = len(agents(stub))
    j.send([maker.event() for _ in range(20)])
    j.until_done()
    assert set(agents(stub)[before:]) == {LIVE}
    assert limits(j)["upstreams"]["mediawiki"]["rate"]["from"] == "config"
    said = j.stderr()
    assert said.count("records behind") == 1 and said.count("caught up") == 1, said
    j.require_clean()
    j.require_outcomes()


def test_the_rate_of_a_backlog_bounds_what_is_asked(job, stub, seed):
    """By the engine's own counts: the bucket lets a second's worth through, and then one as another is there."""
    maker = events.Maker(seed, pages=40)
    j = job(partitions=1, change=change(backfill={**BACKFILL, "rate": "10/s"}))
    j.send([maker.event() for _ in range(90)])
    j.start()
    j.until("some are asked about", lambda metrics: metrics.sum("millrace_http_lookups_total") > 15)
    metrics = j.metrics()
    assert metrics.value("millrace_backfill") == 1 and metrics.sum("millrace_http_waiting_lookups") > 0
    told(j, "mediawiki.rate=none")
    j.until_done()
    j.require_clean()


def test_events_that_are_late_are_a_backlog_however_few(job, stub, seed):
    maker = events.Maker(seed, pages=40)
    j = job(partitions=1, change=change(http={"rate": "10/s"},
                                          backfill={"freshness": "10m", "rate": "5/s", "user_agent": GENTLE}))
    j.start()
    assert j.metrics().value("millrace_backfill") == 0, "nothing waits"
    j.send([maker.event() for _ in range(60)])  # of an hour ago
    j.until("late events", lambda metrics: metrics.value("millrace_backfill") == 1)
    assert limits(j)["backfill"] == "freshness"
    told(j, "rate=none")
    j.until_done()
    assert GENTLE in agents(stub)
    j.until("nothing waits any more", lambda metrics: metrics.value("millrace_backfill") == 0)
    j.require_clean()


def test_a_bounded_run_is_gentle_from_beginning_to_end(job, stub, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=1, change=change(backfill={"user_agent": GENTLE, "rate": "100/s"}))
    j.send([maker.event() for _ in range(30)])
    j.start(ready=False, arguments=["--group", j.group + "-past", "--from", "earliest", "--until", "end"])
    assert j.wait() == 0, j.story()
    assert set(agents(stub)) == {GENTLE}
    j.require_clean()


def test_an_operators_limits_hold_until_the_configuration_is_read_again(job, stub, seed):
    j = job(partitions=1, change=change(http={"rate": "500/s"}))
    j.start()
    got = limits(j, "mediawiki.rate=7/s", "concurrency=3", "records=200")
    assert got["upstreams"]["mediawiki"] == {"rate": {"value": 7, "from": "operator"},
                                             "concurrency": {"value": 3, "from": "operator"}}
    assert got["records"] == {"value": 200, "from": "operator"}
    assert j.metrics().value("millrace_open_records_limit") == 200
    assert j.metrics().value("millrace_http_concurrency_limit", upstream="mediawiki") == 3
    assert json.loads(j.get("/api/v1/status")[1])["limits"] == got
    assert limits(j, "records=default")["records"]["from"] == "config"
    assert b"mediawiki.rate" in told(j).stdout and b"operator" in told(j).stdout
    run("reload", "--url", f"http://127.0.0.1:{j.port}", check=0)
    assert limits(j)["upstreams"]["mediawiki"] == {"rate": {"value": 500, "from": "config"},
                                                   "concurrency": {"value": 64, "from": "config"}}


def post(j, path, body, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{j.port}{path}", data=body, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_limits_come_as_json_too(job):
    j = job(partitions=1, change=change())
    j.start()
    status, text = post(j, "/-/limits", b'{"mediawiki": {"rate": "90/m", "concurrency": 5}, "records": 300}')
    got = json.loads(text)
    assert status == 200 and got["records"]["value"] == 300
    assert got["upstreams"]["mediawiki"]["rate"] == {"value": 1.5, "from": "operator"}
    status, text = post(j, "/-/limits", b'{"mediawiki.rate": null}')
    assert json.loads(text)["upstreams"]["mediawiki"]["rate"]["from"] == "config"
    for body, why in ((b'{"records": [1]}', "records: expected a number or a text"), (b"", "nothing is asked for"),
                      (b'{"records": 5', "the body, line"), (b"{}\0", "NUL"), (b"records", "expected NAME=VALUE"),
                      (b'{"a": {"b": {"c": 1}}}', "a.b: expected a number or a text"), (b"\xff=\xfe", "plain ASCII")):
        status, text = post(j, "/-/limits", body)
        assert status == 400 and why in text, (body, status, text)
    for page in ("/-/limits", "/-/pause", "/-/resume"):
        assert post(j, page, b"records=5", Origin="http://evil.example")[0] == 403
        assert post(j, page, b"records=5", Host="evil.example")[0] == 421
    assert limits(j)["records"] == {"value": 300, "from": "operator"} and state(j) == ["running"]


def test_limits_that_make_no_sense_are_named_and_none_is_taken(job):
    j = job(partitions=1, change=change())
    j.start()
    before = limits(j)
    for wrong, why in (("mediawiki.rate=fast", b"mediawiki.rate: expected a rate such as 50/s"),
                       ("nobody.rate=5/s", b"nobody.rate: no such limit; expected records, rate"),
                       ("records=0", b"records: expected a number from 1 to"),
                       ("concurrency=5000", b"concurrency: expected a number from 1 to 4096"),
                       ("colour=red", b"colour: no such limit")):
        assert why in told(j, "records=5", wrong, code=1).stderr
    assert limits(j) == before
    told(j, "records", code=2)


def test_a_pause_lets_open_records_end_and_takes_no_more(job, stub, seed):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=2, change=change())
    j.start()
    j.send([maker.event() for _ in range(20)])
    j.until_done()
    assert told(j, verb="pause").stdout == b"paused\n"
    j.send([maker.event() for _ in range(30)])
    j.until("the pause is counted", lambda m: m.value("millrace_paused_seconds_total", reason="operator") > 1)
    assert taken(j) == 20 and state(j) == ["paused"] and limits(j)["paused"]
    assert j.get("/readyz")[0] == j.get("/livez")[0] == 200
    run("reload", "--url", f"http://127.0.0.1:{j.port}", check=0)
    assert state(j) == ["paused"], "no reload takes it back"
    assert j.metrics().sum("millrace_kafka_assigned_partitions") == 2, "it keeps its partitions"
    told(j, verb="resume")
    j.until_done()
    assert state(j) == ["running"]
    j.require_clean()
    j.require_outcomes()


def test_a_paused_worker_shares_and_stops_cleanly(job, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=2, change=change())
    j.start()
    told(j, verb="pause")
    j.send([maker.event() for _ in range(40)])
    other = worker_like(j, "other")
    try:
        shared_and_stopped(j, other)
    finally:
        other.close()


def shared_and_stopped(j, other):
    other.start()
    until("a rebalance while one is paused", lambda: j.metrics().sum("millrace_kafka_assigned_partitions") == 1 and
          other.metrics().sum("millrace_kafka_assigned_partitions") == 1, story=j.story)
    assert taken(j) == 0
    j.signal(signal.SIGTERM)
    assert j.wait() == 0, j.story()
    other.until_committed(j.cluster, j.source_topic)
    j.require_clean()
    other.stop()

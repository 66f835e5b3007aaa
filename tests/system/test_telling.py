"""What a running engine tells of itself: metrics as they are declared, and a log without what is nobody's business."""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import events
from engine import ROOT, merged, run, until
from test_rebalance import QUICK, assigned, workers  # noqa: F401, a fixture

PROMTOOL = ROOT / "tests" / "promtool"
SECRET = "correct-horse-battery"
PRIVATE = "Zwiebelkuchen"  # in every event of these tests, in values, keys and headers; never in the log at info

SCRIPT = """
local millrace = require "millrace"
local seen = millrace.counter("seen_events", "Events, by what became of them.", { "what" })

return {
  api = 1,

  request = function(event)
    seen(event.do_this)
    if event.do_this == "drop" then return millrace.drop("unwanted") end
    if event.do_this == "fail" then return millrace.fail("Refused", "it says " .. event.text) end
    if event.do_this == "error" then return event.nothing[event.text] end
    if event.do_this == "raise" then error({ event.text }) end
    if event.do_this == "say" then error("it says " .. event.text) end
    if event.do_this == "nonsense" then return { [event.text] = 1 } end
    if event.do_this == "loop" then while true do end end
    if event.do_this == "heap" then local t = {} for i = 1, 1e9 do t[i] = event.text .. i end end
    if event.do_this == "ask" then
      return { query = { action = "query", revids = event.text }, headers = { Authorization = millrace.params.api_key } }
    end
    return millrace.pass()
  end,

  transform = function(event, response)
    return event
  end,
}
"""


def scrape(j, accept=None):
    headers = {"Accept": accept} if accept else {}
    request = urllib.request.Request(f"http://127.0.0.1:{j.port}/metrics", headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.headers, answer.read().decode()


def told(do_this, n):
    text = f"{PRIVATE} {n}"
    value = json.dumps({"do_this": do_this, "text": text, "page": {"title": text}}).encode()
    return events.Event(value, f"key {text}".encode(), "?", None, headers=[("x-note", text.encode())])


def in_trouble(job, tmp_path, **change):
    """A job that has met every kind of trouble that a script and its events can make."""
    script = Path(tmp_path) / "trouble.lua"
    script.write_text(SCRIPT)
    j = job(partitions=2, script=script, change=merged({
        "key": {"page": "page.title"},
        "script": {"budget": "50ms", "params": {"api_key": SECRET}},
        "http": {"retry": {"attempts": 2}},
        "admin": {"token": SECRET},
    }, change))
    kinds = ["pass", "drop", "fail", "error", "raise", "say", "nonsense", "loop", "heap", "ask"]
    records = [told(kind, n) for n, kind in enumerate(kinds)]
    records += [events.Event(f'{{"do_this": "{PRIVATE}'.encode(), PRIVATE.encode(), "?"),
                events.Event(f'["{PRIVATE}"]'.encode(), None, "?"),
                events.Event(f'{{"{PRIVATE}": 1, "{PRIVATE}": 2}}'.encode(), b"\xff" + PRIVATE.encode(), "?"),
                events.tombstone(PRIVATE.encode())]
    j.send(records)
    j.start()
    j.until_done()
    return j


def test_what_is_declared_is_what_the_page_shows(job, tmp_path):
    j = in_trouble(job, tmp_path)
    declared = {m["name"]: m for m in json.loads(run("metrics", "--json", check=0).stdout)}
    headers, text = scrape(j)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    shown = {}
    for name, labels, _ in j.metrics().series:
        family = name if name in declared else re.sub(r"_(bucket|sum|count)$", "", name)
        if family.startswith("millrace_user_") and family != "millrace_user_series_dropped_total":
            continue
        assert family in declared, f"{name} is shown and not declared"
        shown.setdefault(family, set(labels) - {"le"})
    for family, labels in shown.items():
        assert labels == set(filter(None, declared[family]["labels"].split(","))), family
        assert f"# HELP {family} {declared[family]['help']}\n" in text
        assert f"# TYPE {family} {declared[family]['type']}\n" in text
    assert 'millrace_user_seen_events_total{what="drop"} 1\n' in text
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text.encode(), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    assert checked.returncode == 0 and not checked.stdout, checked.stdout.decode()


def test_a_scraper_that_asks_for_open_metrics_gets_it(job, tmp_path):
    j = job(partitions=1)
    j.start()
    headers, text = scrape(j, "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert headers["Vary"] == "Accept"
    assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    assert kinds["millrace_kafka_commits"] == "counter" if "millrace_kafka_commits" in kinds else True
    assert kinds["process_cpu_seconds"] == "counter" and kinds["millrace_build"] == "info"
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.match(r"\w+", line)[0]
            owner = max((f for f in kinds if name == f or name.startswith(f + "_")), key=len)
            suffix = name[len(owner):]
            assert suffix in {"counter": ["_total"], "gauge": [""], "info": ["_info"],
                              "histogram": ["_bucket", "_sum", "_count"]}[kinds[owner]], line
    plain = {re.match(r"[^ ]+", line)[0] for line in scrape(j)[1].splitlines() if not line.startswith("#")}
    open_ = {re.match(r"[^ ]+", line)[0] for line in text.splitlines() if not line.startswith("#")}
    assert open_ <= plain  # the same series, whichever form is scraped


def test_series_of_a_partition_end_with_its_assignment(job, workers):  # noqa: F811
    j = job(partitions=12, change={"source": {"kafka": QUICK}})
    maker = events.Maker(7, pages=60)
    j.send([maker.event() for _ in range(60)])
    j.start()
    j.until_done()
    names = ["millrace_freshness_lag_seconds", "millrace_kafka_consumer_lag_records"]

    def partitions(worker, name):
        return {labels["partition"] for n, labels, _ in worker.metrics().series if n == name}
    until("each partition has its series", lambda: all(len(partitions(j, n)) == 12 for n in names), story=j.story)
    assert sum(1 for _ in j.metrics().series) <= 500
    other = workers(j, 1)[0].start()
    until("the partitions are shared", lambda: assigned(j) == assigned(other) == 6, story=j.story)
    j.send([maker.event() for _ in range(60)])
    j.until_done()
    for name in names:
        until(f"{name} is told of each partition by its owner alone",
              lambda: len(partitions(j, name)) == len(partitions(other, name)) == 6
              and not partitions(j, name) & partitions(other, name), story=j.story)


def test_nothing_of_events_and_no_secret_is_in_the_log_at_info(job, tmp_path):
    j = in_trouble(job, tmp_path, log={"level": "info", "format": "json"})
    j.signal(signal.SIGUSR1)
    until("the state is in the log", lambda: "partition" in j.stderr(), story=j.story)
    j.stop()
    lines = [json.loads(line) for line in j.stderr().splitlines() if not line.startswith("---")]
    for line in lines:
        assert {"@timestamp", "log.level", "log.logger", "message", "service.name", "ecs.version"} <= set(line)
        assert line["service.name"] == j.config["name"]
    assert {"worker", "state", "source"} <= {line["log.logger"] for line in lines}
    for word in PRIVATE, SECRET:
        assert word not in j.stderr()


def test_the_first_lines_tell_limits_and_the_last_one_why_it_stopped(job):
    j = job(partitions=1, change={"log": {"format": "logfmt"}})
    j.start()
    j.stop()
    first = next(line for line in j.stderr().splitlines() if 'msg="millrace ' in line)
    assert re.search(r"librdkafka [\d.]+, libcurl [\d.]+; script .*page_content_change.lua \([0-9a-f]{12}\)", first)
    limits = next(line for line in j.stderr().splitlines() if 'msg="limits: ' in line)
    assert "1000 records; memory 512 MiB" in limits and "mediawiki 64 calls" in limits and "drain 20000 ms" in limits
    last = j.stderr().splitlines()[-1]
    assert re.match(r'ts=\S+ level=info logger=worker msg="stopped because of SIGTERM: 0 taken, .* 0 given back; '
                    r'0 outputs left with the producers"$', last), last


def post(j, path, headers=None):
    request = urllib.request.Request(f"http://127.0.0.1:{j.port}{path}", data=b"", method="POST", headers=headers or {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_log_is_made_louder_while_it_runs(job):
    j = job(partitions=1, change={"admin": {"token": SECRET}})
    j.start()

    def debug():
        return sum(" debug" in line for line in j.stderr().splitlines())
    assert debug() == 0
    assert post(j, "/-/log?level=loud")[0] == 400
    assert post(j, "/-/log?level=debug", {"Origin": "http://example.org"})[0] == 403
    assert post(j, "/-/log?level=debug") == (200, '{"level":"debug"}\n')
    assert "level debug, by the admin port; it was info" in j.stderr()
    assert post(j, "/-/log?level=warn")[0] == 200
    assert "level warn, by the admin port; it was debug" in j.stderr()
    j.signal(signal.SIGUSR2)
    until("debug is on", lambda: "level debug, by SIGUSR2" in j.stderr(), story=j.story)
    j.signal(signal.SIGUSR2)
    until("debug is off", lambda: "level warn, by SIGUSR2" in j.stderr(), story=j.story)
    post(j, "/-/log?level=info")
    for _ in range(200):  # a foreign SIGUSR1 is no watchdog's, and harms nobody
        j.signal(signal.SIGUSR1)
    until("the state was told", lambda: "running: 0 taken" in j.stderr(), story=j.story)
    j.stop()

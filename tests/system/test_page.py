"""The status page in a real browser (Chromium, without a screen): it says what /metrics says, why a record is stuck, and
when it is old; it asks nobody else, and shows no event without the token."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import events
import kafka
import pytest
from engine import PATIENCE, Metrics, until

HERE = Path(__file__).resolve().parent / "page"
TOKEN = "open sesame"
SHOTS = os.environ.get("MILLRACE_SHOTS")  # a folder: pictures of the page are put there, to be looked at


def missing():
    """Why there is no browser to drive, or None."""
    if not (shutil.which("chromium") and shutil.which("node")):
        return "chromium and node are not installed (tests/setup page)"
    if not (HERE / "node_modules/playwright-core/package.json").exists():
        if shutil.which("npm") is None:
            return "npm is not installed (tests/setup page)"
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HERE, capture_output=True, text=True, timeout=300)
        if done.returncode:
            return f"npm ci failed: {done.stderr[-300:]}"
    return None


class Browser:
    """tests/system/page/drive.mjs at the end of a pipe."""

    def __init__(self, url):
        self.process = subprocess.Popen(["node", "drive.mjs", url, shutil.which("chromium")], cwd=HERE, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, preexec_fn=kafka.die_with_parent)

    def do(self, verb, **how):
        self.process.stdin.write(json.dumps({"verb": verb, **how}).encode() + b"\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], PATIENCE + 30)[0], f"the browser does not answer {verb} {how}"
        answer = json.loads(self.process.stdout.readline() or '{"error": "the browser has ended"}')
        assert "ok" in answer, f"{verb} {how}: {answer['error']}"
        return answer["ok"]

    def eval(self, script):
        return self.do("eval", script=script)

    def until(self, script):
        return self.do("until", script=script, seconds=PATIENCE)

    def text(self, selector):
        return self.eval(f"document.querySelector({json.dumps(selector)}).innerText")

    def shot(self, name):
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.do("shot", path=str(Path(SHOTS) / f"{name}.png"))

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def browse():
    why = missing()
    if why and os.environ.get("MILLRACE_BROWSER") == "required":
        pytest.fail(why)
    if why:
        pytest.skip(f"NO BROWSER: {why}")
    opened = []

    def make(engine):
        opened.append(Browser(f"http://127.0.0.1:{engine.port}/"))
        return opened[-1]
    yield make
    for browser in opened:
        browser.close()


def stuck_job(job, stub, seed, **change):
    """One record whose upstream refuses for ever, three of its page behind it, others done, one failed."""
    maker = events.Maker(seed, pages=8)
    first = maker.event(page=maker.pages[0])
    behind = [maker.event(page=maker.pages[0]) for _ in range(3)]
    others = [maker.event(page=page) for page in maker.pages[1:7]]
    bad = maker.event(page=maker.pages[7], outcome="failed", error="HttpStatus")
    stub.rules({"rev": first.rev, "do": "status", "status": 503}, {"rev": bad.rev, "do": "status", "status": 404})
    upstream = {"url": stub.url, "timeout": "5s", "concurrency": 64, "merge": False,
                "retry": {"attempts": 100, "base": "5s", "cap": "60s", "deadline": "1h"}}
    j = job(partitions=1, change={"admin": {"token": TOKEN}, "http": {"upstreams": {"mediawiki": upstream}}, **change})
    j.send([first, *behind, *others, bad])
    j.start()
    j.until("six are enriched, one failed", lambda m: m.sum("millrace_events_total") == 7)
    return j, first, bad


def tiles(browser):
    return {k: float(v) for k, v in browser.eval(
        "Object.fromEntries([...document.querySelectorAll('#tiles output')].map(o => [o.id.slice(5), o.dataset.value]))").items() if v}


def test_the_page_says_what_the_metrics_say_and_why_a_record_is_stuck(job, stub, seed, browse):
    j, first, bad = stuck_job(job, stub, seed)
    browser = browse(j)
    answer = browser.do("open")
    policy = answer["headers"]["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    browser.until("looks.length > 1")

    def equal():
        m, seen = Metrics(j.get("/metrics")[1]), tiles(browser)
        told = {"lag": m.sum("millrace_kafka_consumer_lag_records"), "errors": m.sum("millrace_events_total", outcome="failed"),
                "in-flight": m.sum("millrace_http_in_flight")}
        return all(seen.get(k) == v for k, v in told.items()) and abs(seen["freshness"] - m.sum("millrace_freshness_lag_seconds")) < 600
    until("the tiles say what /metrics says", equal, story=lambda: f"{tiles(browser)}\n{j.story()}")
    assert "6" in browser.text("#tile-enriched") or tiles(browser)["enriched"] == pytest.approx(6 / 7)

    row = browser.text("#stuck tbody tr")
    assert f"{j.source_topic}/0/0" in row and str(first.rev) in row, row
    assert "mediawiki" not in browser.text("#fixture")
    browser.until("/ in \\d/.test(document.querySelector('#stuck tbody').innerText.replace(/\\s+/g, ' ')) || "
                  "/in flight/.test(document.querySelector('#stuck tbody').innerText)")
    assert row.split()[-1] == "3", f"three records of its page wait behind it: {row!r}"
    assert browser.eval("document.querySelectorAll('#stuck tbody tr').length") == 1
    assert "HttpStatus" in browser.text("#failures tbody tr")
    assert browser.text("#partitions tbody tr").count(j.source_topic) == 1
    assert browser.text("#state") == "running"
    assert browser.do("seen") == {"foreign": [], "complaints": []}
    browser.shot("light")
    browser.do("scheme", scheme="dark")
    browser.shot("dark")
    browser.do("size", width=360, height=740)
    wide = browser.eval("document.documentElement.scrollWidth")
    assert wide <= 360, f"at 360 px the page is {wide} px wide"
    browser.shot("narrow")
    stub.rules()


def test_an_event_is_copied_as_a_fixture_with_the_token_alone(job, stub, seed, browse):
    j, _, bad = stuck_job(job, stub, seed)
    failure = json.loads(j.get("/api/v1/inspect")[1])["failures"][0]
    assert j.get(f"/api/v1/failure?number={failure['number']}")[0] == 403
    browser = browse(j)
    browser.do("open")
    browser.until("document.querySelector('#failures button')")
    assert browser.eval("document.querySelector('#failures button').disabled")
    browser.do("fill", selector="#token", text="guessed")
    browser.until("!document.querySelector('#failures button').disabled")
    browser.do("click", selector="#failures button")
    browser.until("/only with/.test(document.querySelector('#fixture-said').innerText)")
    assert browser.eval("document.querySelector('#fixture-text').value") == ""
    browser.do("fill", selector="#token", text=TOKEN)
    browser.do("click", selector="#failures button")
    browser.until("document.querySelector('#fixture-text').value !== ''")
    assert browser.eval("document.querySelector('#fixture-text').value") == re.sub("[\r\n]", " ", bad.value.decode())
    assert [c for c in browser.do("seen")["complaints"] if "403" not in c] == []
    stub.rules()


def test_a_page_whose_engine_stands_still_says_that_it_is_old(job, stub, seed, browse):
    j = job(partitions=1).start()
    browser = browse(j)
    browser.do("open")
    browser.until("looks.length > 0")
    assert browser.eval("document.querySelector('#stale').hidden")
    j.signal(signal.SIGSTOP)
    try:
        browser.until("!document.querySelector('#stale').hidden")
        assert "has not answered" in browser.text("#stale")
        browser.shot("stale")
    finally:
        j.signal(signal.SIGCONT)
    browser.until("document.querySelector('#stale').hidden")


def test_a_script_that_does_not_load_is_told_on_the_page(job, stub, seed, browse, tmp_path):
    script = tmp_path / "scripts" / "job.lua"
    script.parent.mkdir()
    good = 'local millrace = require "millrace"\nreturn {api = 1, transform = function(event) return millrace.pass() end}\n'
    script.write_text(good)
    j = job(partitions=1, script=script).start()
    browser = browse(j)
    browser.do("open")
    browser.until("looks.length > 0")
    script.write_text("return {api = 1,\n  transform = function(event) return event en}\n")
    browser.until("/job.lua:2/.test(document.querySelector('#reload-error').innerText)")
    browser.shot("reload")
    script.write_text(good + "-- again\n")
    browser.until("document.querySelector('#reload-error').hidden")


def test_what_may_hold_parts_of_events_is_not_told_to_strangers(job, stub, seed):
    j, first, _ = stuck_job(job, stub, seed)
    told = json.loads(j.get("/api/v1/inspect")[1])
    assert str(first.rev) in told["oldest"][0]["lookups"][0]["url"] and told["failures"][0]["message"]
    request = urllib.request.Request(f"http://127.0.0.1:{j.port}/api/v1/inspect", headers={"Authorization": "Bearer guessed"})
    stranger = json.loads(urllib.request.urlopen(request).read())
    assert str(first.rev) not in stranger["oldest"][0]["lookups"][0]["url"] and stranger["failures"][0]["message"] is None
    assert stranger["oldest"][0]["followers"] == 3
    stub.rules()

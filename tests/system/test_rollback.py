"""A changed script is tested before it takes over, and taken back when it fails; the last good one outlives the engine."""

import json
import re
import shutil
from pathlib import Path

import engine
import events
from engine import until
from reloads import WRAPPER, Feeder, Scripts, checked, job_of, outcomes, post_reload, status

TESTS = """tests:
  - name: canaries are dropped
    event: {page_change_kind: edit, meta: {domain: canary}}
    expect: {dropped: canary}
"""
FAILING = WRAPPER.replace("    local made =", "    if version %% 2 == 1 then error(\"not on odd days\") end\n    local made =")
ROLLBACK = {"share": 0.2, "records": 100, "time": "3s"}


def extra(metrics, outcome):
    return int(metrics.value("millrace_script_reloads_total", outcome=outcome))


def reload(j, check):
    return engine.run("reload", "--url", f"http://127.0.0.1:{j.port}", check=check)


def test_a_script_takes_over_when_its_tests_pass(job, stub, seed, tmp_path):
    scripts = Scripts(tmp_path / "scripts")
    (scripts.folder / "job_test.yaml").write_text(TESTS)
    j = job_of(job, scripts, script={"reload": "signal"}).start()
    feeder = Feeder(j, events.Maker(seed, pages=50), 600, 0.2)
    feeder.start()
    for n in range(1, 21):
        good = n % 4 != 0
        scripts.write(WRAPPER % n if good else (WRAPPER % n).replace("return answer", "return millrace.pass()"))
        code, answer = post_reload(j)
        assert (code, answer["outcome"]) == ((200, "swapped") if good else (422, "tests_failed")), answer
        if not good:
            assert re.search(r"job_test\.yaml: its tests do not pass: .*canaries are dropped.*job_test\.yaml:\d+",
                             answer["message"], re.S), answer
            assert status(j)["last_error"] == answer["message"] and not status(j)["testing"]
            assert j.metrics().value("millrace_script_last_reload_successful") == 0
    scripts.write((WRAPPER % 21).replace("return answer", "return millrace.pass()"))
    result = reload(j, check=1)
    assert b"tests_failed: " in result.stderr and b"canaries are dropped" in result.stderr
    assert "canaries are dropped" in j.stderr()
    feeder.ended.set()
    feeder.join()
    j.until_done()
    assert {mark[1] for mark in checked(j)} <= {n for n in range(21) if n % 4 or n == 0}
    metrics = j.require_outcomes()
    assert outcomes(metrics)["swapped"] == 15 and extra(metrics, "tests_failed") == 6


def running(path):
    """The processes that run these tests."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if b"test" in words and str(path).encode() in words:
            found.append(process.name)
    return found


def test_tests_hold_up_no_record_and_end_with_the_engine(job, stub, seed, tmp_path):
    scripts, maker = Scripts(tmp_path / "scripts"), events.Maker(seed, pages=5)
    many = "".join(f"  - {{name: number {n}, expect: {{dropped: canary}}}}\n" for n in range(2500))
    tests = scripts.folder / "job_test.yaml"
    j = job_of(job, scripts, script={"reload": "watch"}).start()
    tests.write_text(f"event: {{page_change_kind: edit, meta: {{domain: canary}}}}\ntests:\n{many}")
    scripts.good(1)
    until("the tests run", lambda: running(tests), story=j.story)
    assert status(j)["testing"]
    j.send(maker.mixed(50))
    j.until_done()
    scripts.good(2)  # the tests begin again, of this one
    before = running(tests)
    until("others run", lambda: running(tests) and running(tests) != before, story=j.story)
    j.stop()
    until("they have ended", lambda: not running(tests))
    assert {mark[1] for mark in checked(j)} == {0}


def test_a_script_that_fails_its_records_is_taken_back(job, stub, seed, tmp_path):
    scripts, maker = Scripts(tmp_path / "scripts"), events.Maker(seed, pages=50)
    j = job_of(job, scripts, script={"rollback": ROLLBACK}).start()
    j.send(maker.mixed(200))
    j.until("the first one is proved", lambda m: "has proved itself" in j.stderr())
    good = status(j)["sha256"]
    scripts.write(FAILING % 1)
    j.until("the bad one runs", lambda m: outcomes(m)["swapped"] == 1)
    j.send(maker.mixed(300))
    metrics = j.until("it is taken back", lambda m: m if extra(m, "rolled_back") == 1 else None)
    assert metrics.value("millrace_script_last_reload_successful") == 0
    now = status(j)
    assert now["sha256"] == good and now["last_outcome"] == "rolled_back"
    assert re.search(r"was rolled back to \w{12}: \d+ of \d+ records failed by errors of the script, most often "
                     r"\(\d+ times\): .*job\.lua:\d+: not on odd days", now["rolled_back"])
    assert re.search("error reload: .*not on odd days.*not loaded again by itself", j.stderr())
    j.send(maker.mixed(100))
    j.until_done()
    marks = checked(j, excused=("ScriptError",))
    assert {mark[1] for mark in marks} == {0} and j.get("/readyz")[0] == 200

    (scripts.folder / "other.lua").write_text("return {}")  # a change, but not of what runs
    j.until("the bad one is not loaded by itself", lambda m: extra(m, "refused") == 1)
    scripts.write(FAILING % 2)
    j.until("a corrected one is", lambda m: outcomes(m)["swapped"] == 2)
    j.send(maker.mixed(200))
    j.until_done()
    assert {mark[1] for mark in checked(j, excused=("ScriptError",))} == {0, 2}
    scripts.write(FAILING % 1)
    assert b"swapped: " in reload(j, check=0).stdout  # somebody asks for it
    j.require_balance()


def test_trouble_with_the_api_takes_no_script_back(job, stub, seed, tmp_path):
    scripts, maker = Scripts(tmp_path / "scripts"), events.Maker(seed, pages=50)
    j = job_of(job, scripts, script={"rollback": {**ROLLBACK, "share": 0.01}, "reload": "signal"},
               http={"retry": {"attempts": 1}, "upstreams": {"mediawiki": {"merge": False}}}).start()
    scripts.good(1)
    assert post_reload(j)[0] == 200
    refused = [maker.event() for _ in range(60)]
    stub.rules({"rev": [e.rev for e in refused], "do": "status", "status": 404})
    for event in refused:
        event.outcome = "failed"
    j.send(refused)
    j.send([maker.event() for _ in range(120)])
    j.until("it is proved", lambda m: "has proved itself" in j.stderr())
    j.until_done()
    metrics = j.metrics()
    assert metrics.value("millrace_events_total", outcome="failed") >= 60 and extra(metrics, "rolled_back") == 0
    assert status(j)["sha256"] == scripts.sha256()


def test_a_start_with_a_bad_script_runs_the_last_good_one(job, stub, seed, tmp_path):
    scripts, maker, store = Scripts(tmp_path / "scripts"), events.Maker(seed, pages=50), tmp_path / "store"
    store.mkdir()
    j = job_of(job, scripts, script={"rollback": ROLLBACK}, checkpoint={"dir": str(store), "interval": "200ms"})
    scripts.write("return {\n  api = 1,\n  transform = fun,\n  broken\n")
    j.start(ready=False)
    assert j.wait() == 78 and "job.lua:" in j.stderr()  # nothing was kept

    scripts.good(0)
    j.start()
    j.send(maker.mixed(200))
    kept = store / j.group / "script-last-good.json"
    until("it is kept", kept.exists, story=j.story)
    j.until_done()
    j.stop()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert {file["name"] for file in json.loads(kept.read_text())["files"]} == {"", "shipped", "lib.mediawiki"}

    scripts.write("return {\n  api = 1,\n  transform = fun,\n  broken\n")
    shutil.rmtree(scripts.folder / "lib")
    j.start(ready=False)
    j.send(maker.mixed(100))
    j.until_done()
    code, why = j.get("/readyz")
    assert code == 503 and re.search(r"\[-\] script: .*job\.lua", why), why
    assert re.search("error reload: .*job.lua.* the last good script, .*, stands in for it: not ready", j.stderr())
    assert j.metrics().value("millrace_script_last_reload_successful") == 0
    assert {mark[1] for mark in checked(j)} == {0}

    shutil.copytree(engine.SCRIPT.parent / "lib", scripts.folder / "lib")
    scripts.good(1)
    j.until("a good one takes over", lambda m: outcomes(m)["swapped"] == 1)
    until("it is ready", lambda: j.get("/readyz")[0] == 200, story=j.story)
    j.send(maker.mixed(100))
    j.until_done()
    assert {mark[1] for mark in checked(j)} == {0, 1}


def test_what_was_rolled_back_does_not_come_back_with_a_restart(job, stub, seed, tmp_path):
    scripts, maker, store = Scripts(tmp_path / "scripts"), events.Maker(seed, pages=50), tmp_path / "store"
    store.mkdir()
    j = job_of(job, scripts, script={"rollback": ROLLBACK}, checkpoint={"dir": str(store), "interval": "200ms"})
    kept = store / j.group / "script-last-good.json"
    j.start()
    j.send(maker.mixed(200))
    until("it is kept", kept.exists, story=j.story)
    j.until_done()
    j.stop()
    scripts.write(FAILING % 1)
    j.start()  # it loads, and what ran before this start is what to go back to
    j.send(maker.mixed(200))
    j.until("it is taken back", lambda m: extra(m, "rolled_back") == 1)
    until("it is no longer ready", lambda: j.get("/readyz")[0] == 503, story=j.story)
    until("it is remembered", lambda: "refused" in json.loads(kept.read_text()), story=j.story)
    j.until_done()
    j.stop()
    j.start(ready=False)
    j.send(maker.mixed(100))
    j.until_done()
    assert j.get("/readyz")[0] == 503 and "not on odd days" in j.get("/readyz")[1]
    assert {mark[1] for mark in checked(j, excused=("ScriptError",))} == {0}
    j.until("it still says so", lambda m: m.value("millrace_script_last_reload_successful") == 0)
    scripts.write(FAILING % 2)
    until("it is ready with another", lambda: j.get("/readyz")[0] == 200, story=j.story)


def test_what_needs_no_restart_changes_with_a_reload(job, stub, seed, tmp_path):
    scripts, maker = Scripts(tmp_path / "scripts"), events.Maker(seed, pages=200)
    stub.latency(0.05, 0.05)
    j = job_of(job, scripts, script={"reload": "signal"}, order="none",
               http={"upstreams": {"mediawiki": {"concurrency": 1, "merge": False}}}).start()

    def change(**more):
        config = engine.merged(json.loads(j.path.read_text()), more)
        j.path.write_text(json.dumps(config))

    assert j.metrics().value("millrace_http_concurrency_limit", upstream="mediawiki") == 1
    change(http={"upstreams": {"mediawiki": {"concurrency": 48, "rate": "1000/s"}}}, log={"level": "debug"},
           limits={"records": 500})
    code, answer = post_reload(j)
    assert (code, answer["outcome"]) == (200, "unchanged")
    assert answer["message"].endswith("; changed: http.upstreams.mediawiki.concurrency, http.upstreams.mediawiki.rate, "
                                      "log.level; a restart is needed for limits.records"), answer
    assert status(j)["restart_needed"] == ["limits.records"]
    assert "a restart is needed for what changed in limits.records" in j.stderr()
    j.until("the limit is another", lambda m: m.value("millrace_http_concurrency_limit", upstream="mediawiki") == 48)
    j.send([maker.event() for _ in range(300)])
    most = 0

    def busy(metrics):
        nonlocal most
        most = max(most, metrics.sum("millrace_http_in_flight"))
        return most > 8
    j.until("more than one call is in flight", busy)
    change(order="nonsense", log={"level": "error"})
    code, answer = post_reload(j)
    assert code == 422 and "order: expected key, partition or none, found 'nonsense'" in answer["message"], answer
    assert j.metrics().value("millrace_config_last_reload_successful") == 0
    change(order="none", log={"level": "info"})
    assert post_reload(j)[0] == 200
    assert j.metrics().value("millrace_config_last_reload_successful") == 1
    j.until_done()
    checked(j)

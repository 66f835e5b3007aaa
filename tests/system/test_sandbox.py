"""Scripts that do their worst on the real broker: the rest comes through, and a record that kills is not run for ever."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

import engine
import events
from job import error_types

MORTAL = Path(os.environ.get("MILLRACE_FAULTS", engine.ROOT / "build-faults" / "millrace"))
QUICK = {"source": {"kafka": {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}}}


@pytest.fixture
def mortal(monkeypatch):
    if not MORTAL.exists():
        pytest.skip(f"{MORTAL} is not built (make FAULTS=1 BUILD=build-faults)")
    monkeypatch.setattr(engine, "BINARY", MORTAL)


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def pages(j, store):
    """The pages on which a hook's record stands."""
    folder = store / j.group
    return sorted(folder.glob("hook-*")) if folder.exists() else []


def dies(j, fault, number):
    j.start(ready=False, env={"MILLRACE_FAULT": fault})
    code = j.wait()
    assert code == -number, f"{fault}: it ended with {code}\n{j.story()}"


@pytest.mark.parametrize("deaths", [("in_hook:1", "in_hook:1"), ("stuck_in_hook:1", "in_hook:1")], ids=["killed", "stuck"])
def test_a_record_that_kills_twice_is_failed_without_being_run(job, stub, mortal, store, seed, deaths):
    maker = events.Maker(seed, pages=5)
    killer = maker.event(outcome="failed", error="ScriptCrash")
    j = job(partitions=1, change={**QUICK, "checkpoint": {"dir": str(store)}, "script": {"budget": "100ms"}})
    j.send([killer] + [maker.event() for _ in range(20)])
    for fault in deaths:
        dies(j, fault, signal.SIGABRT if "stuck" in fault else signal.SIGKILL)
    assert len(pages(j, store)) == 2, pages(j, store)
    j.start()
    j.until_done()
    j.require_clean(repeats=True)
    (offset, value), = error_types(j).items()
    assert offset == 0 and "the process died 2 times while request worked on this record" in value["message"]
    assert j.metrics().value("millrace_failures_total", type="ScriptCrash") == 1
    engine.until("what settled is forgotten", lambda: len(pages(j, store)) == 1)
    j.stop()
    assert pages(j, store) == []


def test_a_record_that_was_in_a_hook_at_one_death_is_run_again(job, stub, mortal, store, seed):
    maker = events.Maker(seed, pages=5)
    j = job(partitions=1, change={**QUICK, "checkpoint": {"dir": str(store)}})
    j.send([maker.event() for _ in range(20)])
    dies(j, "in_hook:1", signal.SIGKILL)
    dies(j, "in_hook:2", signal.SIGKILL)  # another record, or the transform of another
    j.start()
    j.until_done()
    j.require_clean(repeats=True)
    assert not j.failures()


def test_a_store_that_cannot_be_written_is_told_and_done_without(job, stub, store, seed):
    nowhere = store / "nowhere"
    j = job(partitions=1, change={"checkpoint": {"dir": str(nowhere)}}).start()
    j.send(events.Maker(seed, pages=5).mixed(20))
    j.until_done()
    j.require_clean()
    assert "will not be known at the next start" in j.stderr()


def wayward(folder):
    """The shipped script, but for events whose comment tells it to do wrong."""
    shutil.copytree(engine.SCRIPT.parent / "lib", folder / "lib")
    here = engine.ROOT / "tests"
    for file in (engine.SCRIPT, here / "system" / "scripts" / "wayward.lua", here / "chaos" / "scripts" / "chaos.lua"):
        shutil.copy(file, folder)
    return folder / "chaos.lua"


def test_with_a_tenth_looping_for_ever_the_rest_comes_through_and_is_asked_once(job, stub, tmp_path, seed):
    maker = events.Maker(seed, pages=200)
    records = []
    for n in range(400):
        told = n % 10 == 5
        deed = ("request:loop", "transform:loop", "transform:loop_in_pcall", "transform:huge")[n // 10 % 4]
        records.append(maker.event(outcome="failed", change=lambda value, d=deed: value.update(comment=d)) if told else maker.event())
    (tmp_path / "scripts").mkdir()
    j = job(script=wayward(tmp_path / "scripts"), change={"script": {"budget": "30ms", "memory": "32MiB"},
                                                          "http": {"upstreams": {"mediawiki": {"merge": False}}}})
    j.start()
    j.send(records)
    j.until_done()
    j.require_clean()
    j.require_balance()
    assert {value["error_type"] for value in error_types(j).values()} == {"ScriptTimeout", "ScriptMemory"}
    assert stub.stats()["lookups"] <= 1.2 * len(records), stub.stats()["lookups"]


def test_a_process_that_stands_still_most_of_the_time_fails_no_record(job, stub, seed):
    """As a pod with a quota of 0.2 CPUs: 80 ms of each 100 it does not run, in the midst of hooks too."""
    ending = threading.Event()
    j = job(change={"script": {"budget": "20ms"},
                    "source": {"kafka": {"session.timeout.ms": "45000"}}}).start()

    def throttle():
        while not ending.is_set():
            os.kill(j.process.pid, signal.SIGSTOP)
            time.sleep(0.08)
            os.kill(j.process.pid, signal.SIGCONT)
            time.sleep(0.02)

    throttler = threading.Thread(target=throttle, daemon=True)
    throttler.start()
    try:
        j.send([event for event in events.Maker(seed, pages=100).mixed(600) if event.outcome != "failed"])
        j.until_done(seconds=3 * engine.PATIENCE)
    finally:
        ending.set()
        throttler.join()
        os.kill(j.process.pid, signal.SIGCONT)
    j.require_clean()
    assert not j.failures()

"""Scripts that do their worst on the real broker: the rest comes through, and a record that kills is not run for ever."""

import itertools
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

import engine
import events
from job import error_types

MORTAL = Path(os.environ.get("MILLRACE_FAULTS", engine.ROOT / "build-faults" / "millrace"))
SCRIPTS = engine.ROOT / "tests" / "system" / "scripts"
WAYWARD, SPOILT = SCRIPTS / "wayward.lua", SCRIPTS / "spoilt.lua"
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


def told(deed):
    return lambda value: value.update(comment=deed)


def test_with_a_tenth_of_all_events_looping_the_rest_comes_through(job, stub, seed):
    maker = events.Maker(seed, pages=20)
    deeds = itertools.cycle(["request:loop", "transform:loop", "request:loop_in_pcall", "transform:loop_in_pcall"])
    records = [maker.event(change=told(next(deeds)), outcome="failed", error="ScriptTimeout") if n % 10 == 5 else maker.event()
               for n in range(300)]
    j = job(partitions=2, script=WAYWARD, change={"script": {"budget": "50ms", "params": None}})
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()
    metrics = j.require_outcomes()
    assert metrics.value("millrace_script_errors_total", kind="timeout") == 30
    calls = stub.stats()["calls"]
    assert calls < 1.2 * len(records), f"{calls} calls for {len(records)} events"
    for message in j.failures():
        value = events.load(message.value())
        assert re.search(r"wayward\.lua:\d+", value["message"]), f"it does not say where it stood: {value['message']}"


class Spoiling:
    """Records in flight, one on each state, and events that spoil the state that new ones begin on."""

    def __init__(self, job, stub, seed, memory="64MiB"):
        self.stub, self.maker, self.slow = stub, events.Maker(seed, pages=50), []
        self.records = [self.maker.event() for _ in range(5)]
        slow = [e.rev for e in self.records]
        # One of the two questions of each is answered at once, the other after all that is done meanwhile.
        stub.rules({"rev": slow, "times": 1, "do": "ok", "delay": 0}, {"rev": slow, "do": "ok", "delay": 25})
        self.job = job(partitions=1, script=SPOILT, change={
            "order": "none", "script": {"budget": "100ms", "memory": memory, "params": None},
            "http": {"upstreams": {"mediawiki": {"timeout": "60s"}}}}).start()

    def metric(self, name):
        return self.job.metrics().value(name)

    def begin_slow(self):
        self.slow.append(self.records.pop())
        self.job.send(self.slow[-1:])
        self.job.until("one of its answers is there", lambda m: m.sum("millrace_http_in_flight") == len(self.slow))

    def spoil(self):
        before = self.metric("millrace_lua_states_retired_total")
        self.job.send([self.maker.event(change=told("request:spoil"), outcome="failed", error="ScriptTimeout")])
        self.job.until("the state is retired", lambda m: m.value("millrace_lua_states_retired_total") > before)

    def end(self):
        self.job.until_done()
        self.job.require_clean()
        return self.job.require_outcomes()


def test_a_spoilt_state_is_replaced_and_records_in_flight_finish_on_theirs(job, stub, seed):
    s = Spoiling(job, stub, seed)
    s.begin_slow()
    s.spoil()
    s.job.send([s.maker.event() for _ in range(20)])
    s.job.until("the others are through", lambda m: m.value("millrace_events_total", outcome="enriched") == 20)
    assert s.metric("millrace_lua_states") == 2
    metrics = s.end()
    assert metrics.value("millrace_lua_states") == 1 and metrics.value("millrace_lua_records_moved_total") == 0
    assert s.job.stderr().count("new records begin on a fresh Lua state") == 1 and "it is spoilt" in s.job.stderr()


def test_for_a_fifth_state_the_records_of_the_oldest_begin_again_with_their_answers(job, stub, seed):
    s = Spoiling(job, stub, seed)
    for _ in range(4):
        s.begin_slow()
        s.spoil()
    assert s.metric("millrace_lua_records_moved_total") == 1 and s.metric("millrace_lua_states") == 4
    s.job.send([s.maker.event() for _ in range(20)])
    s.end()
    asked = {rev: n for (_, rev), n in stub.stats()["asks"].items()}
    assert {asked[e.rev] for e in s.slow} == {2}, f"asked again: {asked}"
    assert stub.stats()["calls"] == 2 * (4 + 20)


def test_a_script_that_hoards_gets_a_fresh_state(job, stub, seed):
    s = Spoiling(job, stub, seed)
    s.job.send([s.maker.event(change=told("transform:hoard"))] + [s.maker.event() for _ in range(20)])
    s.job.until("the state is retired", lambda m: m.value("millrace_lua_states_retired_total") == 1)
    s.job.send([s.maker.event() for _ in range(20)])
    metrics = s.end()
    assert metrics.value("millrace_lua_memory_bytes") < 24 << 20
    assert "from record to record" in s.job.stderr()


def test_a_throttled_process_fails_no_record_of_the_shipped_script(job, stub, seed):
    """Four fifths of the time it stands still, as under a CPU quota of 0.2: longer each time than a hook may run."""
    stub.latency(0.0, 0.02)
    j = job(partitions=2, change={"script": {"budget": "40ms"}})
    j.start()
    j.send(events.Maker(seed, pages=100).mixed(600))
    ended = threading.Event()

    def throttle():
        while not ended.is_set():
            j.signal(signal.SIGSTOP)
            time.sleep(0.08)
            j.signal(signal.SIGCONT)
            time.sleep(0.02)

    thread = threading.Thread(target=throttle, daemon=True)
    thread.start()
    try:
        j.until_done()
    finally:
        ended.set()
        thread.join()
    j.require_clean()
    assert j.require_outcomes().value("millrace_script_errors_total", kind="timeout") == 0

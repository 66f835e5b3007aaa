"""Deaths at the worst moments: a build that kills itself between two steps, swept over when."""

import os
import random
from pathlib import Path

import pytest

import engine
import events

BINARY = Path(os.environ.get("MILLRACE_FAULTS", engine.ROOT / "build-faults" / "millrace"))
QUICK = {"source": {"kafka": {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}},
         "limits": {"records": 100}}


@pytest.fixture
def mortal(monkeypatch):
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not built (make FAULTS=1 BUILD=build-faults)")
    monkeypatch.setattr(engine, "BINARY", BINARY)


@pytest.mark.parametrize("place, most", [("after_ack", 250), ("after_commit", 3), ("in_hook", 450)])
def test_death_at_any_step_loses_nothing_and_keeps_the_order(job, stub, mortal, seed, place, most):
    rng = random.Random(seed)
    stub.latency(0.0, 0.06)
    j = job(partitions=2, change=QUICK)
    j.send(events.Maker(seed, pages=20).mixed(300))
    for n in sorted(rng.sample(range(1, most + 1), 3)):
        j.start(ready=False, env={"MILLRACE_FAULT": f"{place}:{n}"})
        try:
            j.wait(20)
        except AssertionError:
            break  # there was not enough left to die of
        assert j.process.returncode < 0 or j.process.returncode > 128, j.story()
    else:
        j.start()
    j.until_done()
    j.require_clean(repeats=True)
    assert j.lives > 1

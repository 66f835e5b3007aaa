"""kill -9 at random moments under load, and at every fault point: what a note covers never comes again."""

import os
import time
from pathlib import Path

import pytest

import engine
from conftest import size
from engine import until

PER_WORLD = 10
MORTAL = Path(os.environ.get("MILLRACE_FAULTS", engine.ROOT / "build-faults" / "millrace"))
PLACES = {"after_ack": 300, "after_file": 12, "after_commit": 6, "in_hook": 500}


def progress(world):
    return world.brokers.count(world.job.sink_topic, world.job.error_topic)


@pytest.mark.parametrize("store", ["files and commits", "commits alone"])
def test_kills_at_random_moments_repeat_nothing_that_a_note_covers(world, store, capsys):
    kills = size("KILLS") // 2
    for number in range(0, kills, PER_WORLD):
        w = world(store=store == "files and commits", number=number)
        w.feeder.start()
        w.start(0)
        for _ in range(min(PER_WORLD, kills - number)):
            before = progress(w)
            if w.rng.random() < 0.8:  # else at once: while it starts
                until("it does something", lambda: progress(w) > before or w.must_live(), story=w.story)
                time.sleep(w.rng.uniform(0, 3))
            else:
                time.sleep(w.rng.uniform(0, 2))
            w.kill()
            time.sleep(w.rng.choice([0, 0, w.rng.uniform(0, 3)]))
            w.start(0)
        report = w.finish()
        assert any(note.offset for death in w.deaths for notes in death.notes.values() for note in notes), (
            f"no life got as far as a note: this proves nothing\n{w.story()}")
        with capsys.disabled():
            print(f"\n[{store}, interval {w.interval} s, order {w.job.order}, "
                  f"records {w.job.config['limits']['records']}]\n{report}", flush=True)
        w.close()


@pytest.mark.parametrize("place", PLACES)
def test_deaths_at_every_fault_point_repeat_nothing_that_a_note_covers(world, monkeypatch, capsys, place):
    if not MORTAL.exists():
        pytest.skip(f"{MORTAL} is not built (make FAULTS=1 BUILD=build-faults)")
    monkeypatch.setattr(engine, "BINARY", MORTAL)
    points = max(1, size("POINTS") // len(PLACES))
    for number in range(0, points, PER_WORLD):
        w = world(number=number)
        w.feeder.start()
        for point in range(min(PER_WORLD, points - number)):
            n = w.rng.choice([1, 2, 3, w.rng.randrange(1, PLACES[place])])
            w.start(0, env={"MILLRACE_FAULT": f"{place}:{n}"})
            w.job.expected = True
            w.job.wait()
            assert w.job.process.returncode in (-9, 137), f"{place}:{n}: {w.job.process.returncode}\n{w.story()}"
            w.mourn(f"death at {place}:{n}, life {w.job.lives}")
        report = w.finish()
        with capsys.disabled():
            print(f"\n[{place}]\n{report}", flush=True)
        w.close()

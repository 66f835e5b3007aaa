"""kill -9 at random moments under load, and at every fault point: what a note covers never comes again."""

import os
import time
from pathlib import Path

import pytest

import engine
from engine import until
from sizes import size
from world import show

PER_WORLD = 10
MORTAL = Path(os.environ.get("MILLRACE_FAULTS", engine.ROOT / "build-faults" / "millrace"))
PLACES = {"after_ack": 300, "after_file": 40, "after_commit": 10, "in_hook": 900}


def progress(world):
    return world.brokers.count(world.job.sink_topic, world.job.error_topic)


CREWS = {"files and commits": (True, 1), "commits alone": (False, 1), "two workers": (True, 2)}


@pytest.mark.parametrize("kind", CREWS)
def test_kills_at_random_moments_repeat_nothing_that_a_note_covers(world, kind, capsys):
    store, crew = CREWS[kind]
    kills = -(-size("KILLS") // len(CREWS))
    for number in range(0, kills, PER_WORLD):
        w = world(store=store, number=number, partitions=3 * crew, regulars=crew)
        w.feeder.start()
        w.start_regulars()
        for _ in range(min(PER_WORLD, kills - number)):
            before = progress(w)
            if w.rng.random() < 0.8:  # else at once: while it starts
                until("it does something", lambda: progress(w) > before or w.must_live(), story=w.story)
            time.sleep(w.rng.uniform(0, 3))
            member = w.rng.randrange(crew)
            w.kill(member, w.rng.uniform(0, 0.5) if w.rng.random() < 0.2 else None)
            time.sleep(w.rng.choice([0, 0, w.rng.uniform(0, 3)]))
            w.start(member)
        show(w, capsys, kind, w.finish())
        assert any(note.offset for death in w.deaths for notes in death.notes.values() for note in notes), (
            f"no life got as far as a note: this proves nothing\n{w.story()}")
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
            n = w.rng.randrange(1, 4 if w.rng.random() < 0.25 else PLACES[place])  # the first few, and any
            w.start(0, env={"MILLRACE_FAULT": f"{place}:{n}"})
            w.job.expected = True
            w.job.wait()
            assert w.job.process.returncode in (-9, 137), f"{place}:{n}: {w.job.process.returncode}\n{w.story()}"
            w.mourn(f"death at {place}:{n}, life {w.job.lives}")
        show(w, capsys, place, w.finish())
        w.close()

"""Every fault of the catalogue by itself, and seeded mixes of them: nothing lost, reordered, altered, unaccounted for."""

import random

import pytest

import faults
from sizes import SIZE, size
from world import SLACK, show

NAMES = list(faults.CATALOGUE)
ALONE = {name: [name] for name in NAMES} if SIZE == "nightly" else {"each in turn": NAMES}


def possible(names, w):
    return [name for name in names if not (faults.CATALOGUE[name].root and w.tmpfs.why)]


@pytest.mark.parametrize("names", ALONE.values(), ids=ALONE.keys())
def test_a_fault_by_itself_harms_no_record(world, names, capsys):
    w = world()
    names = possible(names, w)
    if not names:
        pytest.skip(f"no tmpfs can be mounted: {w.tmpfs.why}")
    w.feeder.start()
    w.start_regulars()
    w.run(faults.in_turn(w.rng, names * size("ROUNDS"), 0.5 if SIZE == "ci" else 1.5), calm=SLACK)
    show(w, capsys, names[0] if len(names) == 1 else f"{len(names)} faults in turn", w.finish())


@pytest.mark.parametrize("number", range(size("MIXES")))
def test_a_mix_of_faults_harms_no_record(world, number, seed, capsys):
    rng = random.Random(seed)
    w = world(store=rng.random() < 0.7, regulars=rng.choice([1, 1, 2]))
    w.fenced = w.regulars == 1
    names = [name for name in possible(NAMES, w) if w.store or not faults.CATALOGUE[name].root]
    w.feeder.start()
    w.start_regulars()
    w.run(faults.plan(rng, names, size("SECONDS"), size("FAULTS")), calm=SLACK)
    show(w, capsys, f"mix {number}", w.finish())

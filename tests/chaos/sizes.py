"""How much chaos: CHAOS_SIZE=ci or nightly, each number by an environment variable of its own, and the seed."""

import os

SIZE = os.environ.get("CHAOS_SIZE", "nightly")
SIZES = {
    # KILLS at random moments, deaths at fault POINTS, MIXES of FAULTS in SECONDS, ROUNDS of each fault by itself
    "ci": {"KILLS": 10, "POINTS": 8, "MIXES": 1, "FAULTS": 6, "SECONDS": 20, "ROUNDS": 1},
    "nightly": {"KILLS": 100, "POINTS": 80, "MIXES": 20, "FAULTS": 20, "SECONDS": 60, "ROUNDS": 3},
}
if SIZE not in SIZES:
    raise SystemExit(f"CHAOS_SIZE is {SIZE!r}: expected {' or '.join(SIZES)}")
SEED = int(os.environ.get("MILLRACE_SEED") or (20 if SIZE == "ci" else int.from_bytes(os.urandom(3), "big")))


def size(what):
    return int(os.environ.get(f"CHAOS_{what}") or SIZES[SIZE][what])

"""Memory has a bound: whatever the answers weigh, the process stays within `limits.memory`, and nothing is lost."""

import os
import random
import threading
import time

import engine
import events
import pytest
import stub as stubs

MIB = 1 << 20
# In CI a few hundred; 2000 to hold the promise by its own numbers.
EVENTS = int(os.environ.get("MILLRACE_MEMORY_EVENTS", "300"))
SLACK = 64 * MIB


class Curve(threading.Thread):
    """Resident memory of a process, looked at ten times a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.points, self.over = pid, [], threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.1):
            try:
                with open(f"/proc/{self.pid}/statm") as statm:
                    self.points.append(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            except (OSError, IndexError):
                return

    def end(self):
        self.over.set()
        self.join()
        return max(self.points)

    def plot(self, budget, width=72, height=12):
        """The curve as text, a column for the most of each span of time."""
        top = max([budget + SLACK, *self.points])
        columns = min(width, len(self.points))
        most = [max(self.points[i * len(self.points) // columns:(i + 1) * len(self.points) // columns])
                for i in range(columns)]
        lines = []
        for row in range(height, 0, -1):
            level = top * row // height
            mark = "-" if level - top // height < budget <= level else " "
            lines.append(f"{level // MIB:5d} |" + "".join("#" if m > top * (row - 1) // height else mark for m in most))
        lines.append(f"      +{'-' * columns} {len(self.points) / 10:.0f} s; most {max(self.points) // MIB} MiB, "
                     f"budget {budget // MIB} MiB (-)")
        return "\n".join(lines)


def sanitized():
    """A sanitizer's own memory is not the program's."""
    return b"__asan_init" in engine.BINARY.read_bytes()


def sizes_of(count, rng):
    """Of the bodies: a tenth of 2 MB, a hundredth of 20 MB, one of 60 MB, most as pages are."""
    sizes = [None] * (count - count // 10 - max(1, count // 100) - 1)
    sizes += [2_000_000] * (count // 10) + [20_000_000] * max(1, count // 100) + [60_000_000]
    rng.shuffle(sizes)
    return sizes


def event_of(maker, size, rng):
    """An edit whose text has this size. Of ten events eight say so, as page changes do; one says nothing, one lies."""
    outcome = "failed" if size == 60_000_000 else "enriched"
    event = maker.event(outcome=outcome, error="ContentTooLarge" if outcome == "failed" else None)
    value = event.model
    main = value["revision"]["content_slots"]["main"]
    if size is not None:
        main["content_body"] = stubs.content(event.host, event.rev, "main", size)
    body = main.pop("content_body")
    main["content_size"] = events.Number(rng.choice([str(len(body.encode()))] * 8 + ["100", "-1"]))
    rest = value["revision"]["content_slots"]
    others = {role: slot.pop("content_body") for role, slot in rest.items() if "content_body" in slot}
    event.value = events.dump(value).encode()
    main["content_body"] = body
    for role, text in others.items():
        rest[role]["content_body"] = text
    return event


def rules_of(records, sizes, rng):
    """Half of the large answers come compressed and without a length that tells."""
    rules = []
    for size in (2_000_000, 20_000_000, 60_000_000):
        for plain in (True, False):
            revs = [r.rev for r, s in zip(records, sizes) if s == size and (r.rev % 2 == 0) == plain]
            rules.append({"rev": revs, "do": "ok", "bytes": size, "plain": plain})
    return rules


def the_mix(job, seed, count, **change):
    rng = random.Random(seed)
    maker = events.Maker(seed, pages=200)
    sizes = sizes_of(count, rng)
    records = [event_of(maker, size, rng) for size in sizes]
    j = job(partitions=1, change=engine.merged({
        "http": {"upstreams": {"mediawiki": {"timeout": "60s", "max_body": "24MiB"}}},
        "sink": {"max_bytes": "24MiB"}, "limits": {"memory": "256MiB"}}, change))
    j.cluster.alter(j.sink_topic, max_message_bytes=64 * MIB)
    j.stub.rules(*rules_of(records, sizes, rng))
    j.send(records)
    return j


def watch(j, budget, patience):
    j.start()
    curve = Curve(j.process.pid)
    try:
        j.until_done(patience)
    finally:
        most = curve.end()
        print(curve.plot(budget))
        print(j.metrics())
    if not sanitized():
        assert most < budget + SLACK, f"{most // MIB} MiB resident with limits.memory {budget // MIB} MiB"


@pytest.mark.real_kafka
def test_bodies_of_all_sizes_stay_within_the_budget_and_none_is_lost(job, seed):
    j = the_mix(job, seed, EVENTS)
    watch(j, 256 * MIB, engine.PATIENCE + EVENTS)
    j.require_clean()
    j.require_outcomes()


@pytest.mark.real_kafka
def test_what_waits_for_its_elder_stays_within_the_budget(job, seed):
    rng, maker = random.Random(seed), events.Maker(seed, pages=200)
    sizes = [rng.choice([None, 70_000, 70_000, 700_000, 2_000_000]) for _ in range(EVENTS)]
    sizes[0] = None
    records = [event_of(maker, size, rng) for size in sizes]
    j = job(partitions=1, change={
        "order": "partition", "http": {"upstreams": {"mediawiki": {"timeout": "60s", "max_body": "24MiB"}}},
        "sink": {"max_bytes": "24MiB"}, "limits": {"memory": "256MiB"}})
    j.stub.rules({"rev": records[0].rev, "do": "ok", "delay": 8}, *(
        {"rev": [r.rev for r, s in zip(records, sizes) if s == size], "do": "ok", "bytes": size, "plain": True}
        for size in (70_000, 700_000, 2_000_000)))
    j.send(records)
    watch(j, 256 * MIB, engine.PATIENCE + EVENTS)
    j.require_clean()
    j.require_outcomes()


@pytest.mark.real_kafka
def test_a_message_of_96_mb_is_produced_where_the_brokers_allow_it(job, seed):
    rng, maker = random.Random(seed), events.Maker(seed, pages=5, wikis=events.WIKIS[:1])
    large = event_of(maker, 95_000_000, rng)
    records = [maker.event(), large, *(maker.event() for _ in range(20))]
    j = job(partitions=1, change={
        "http": {"upstreams": {"mediawiki": {"timeout": "60s", "max_body": "100MiB"}}},
        "script": {"memory": "256MiB"}, "sink": {"max_bytes": "100MiB"}, "limits": {"memory": "768MiB"}})
    j.cluster.alter(j.sink_topic, max_message_bytes=100 * MIB)
    j.stub.rules({"rev": large.rev, "do": "ok", "bytes": 95_000_000})
    j.send(records)
    watch(j, 768 * MIB, engine.PATIENCE * 2)
    j.require_clean()
    assert max(len(m.value()) for m in j.outputs()) > 96_000_000


@pytest.mark.real_kafka
def test_an_answer_as_large_as_the_default_allows_passes_with_512_mib(job, seed):
    rng, maker = random.Random(seed), events.Maker(seed, pages=5, wikis=events.WIKIS[:1])
    large = [event_of(maker, 55_000_000, rng) for _ in range(4)]
    records = [maker.event(), *large, *(maker.event() for _ in range(20))]
    j = job(partitions=1, change={
        "http": {"upstreams": {"mediawiki": {"timeout": "60s", "max_body": "56MiB"}}},
        "script": {"memory": "128MiB"}, "sink": {"max_bytes": "56MiB"}, "limits": {"memory": "512MiB"}})
    j.cluster.alter(j.sink_topic, max_message_bytes=60 * MIB)
    j.stub.rules({"rev": [r.rev for r in large], "do": "ok", "bytes": 55_000_000, "plain": True})
    j.send(records)
    watch(j, 512 * MIB, engine.PATIENCE * 2)
    j.require_clean()


@pytest.mark.real_kafka
def test_oversize_is_found_before_it_is_produced_and_error_events_are_cut_to_fit(job, seed):
    maker = events.Maker(seed, pages=3)
    large = maker.event(outcome="failed", error="OutputTooLarge")
    large.value = large.value[:-1].rstrip() + b',"more":"' + "Mühle ".encode() * 50000 + b'"}'
    records = [maker.event(), large, *(maker.event() for _ in range(5))]
    j = job(partitions=1, change={"sink": {"max_bytes": "150KiB"}, "errors": {"max_bytes": "64KiB"}})
    j.send(records)
    j.start()
    j.until_done()
    assert len(j.outputs()) == len(records) - 1
    message, = j.failures()
    value = events.load(message.value())
    assert value["error_type"] == "OutputTooLarge" and message.key() == large.key
    assert (b"millrace-raw", b"partial") in [(name.encode(), text) for name, text in message.headers()]
    assert 30_000 < len(message.value()) < 64 * 1024
    assert large.value.decode().startswith(value["raw_event"]) and len(value["raw_event"]) > 25_000
    metrics = j.require_outcomes()
    assert metrics.sum("millrace_sink_errors_total") == 0, f"a broker had to say so\n{metrics}"

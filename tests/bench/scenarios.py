"""The scenarios of `make bench`, from Kafka to Kafka. README.md beside it has the method."""

import json
import statistics
import subprocess
import time

import load
import rig as rigs
from table import number

ACTIVE = 64
DELAY_MS = 10  # of the stub: keeps 64 calls in the air at rates that the engine reaches
KILO = 1000
UNMERGED = {"merge": False}


def name_of(size):
    return f"{size // KILO} kB" if size < KILO * KILO else f"{size // KILO // KILO} MB"


def median(costs, figure):
    return statistics.median(figure(cost) for cost in costs)


def engine_row(table, name, costs, against, ratios, aim):
    """CPU per event; beside it what it is made of, and what else the runs tell."""
    each = 1e6 / costs[0].events
    note = (f"user {number(median(costs, lambda c: c.user) * each)} + system {number(median(costs, lambda c: c.sys) * each)}; "
            f"loop's thread {number(median(costs, lambda c: c.more['loop']) * each)}; "
            f"{number(median(costs, lambda c: c.rate))} events/s; "
            f"{median(costs, lambda c: c.more['calls']) / costs[0].events:.3f} calls an event")
    table.add(name, "us", [c.each for c in costs], against, ratios, aim, note=note)


def bare_row(table, name, costs):
    each = 1e6 / costs[0].events
    note = (f"user {number(median(costs, lambda c: c.user) * each)} + system {number(median(costs, lambda c: c.sys) * each)}; "
            f"{number(median(costs, lambda c: c.rate))}/s")
    table.add(name, "us", [c.each for c in costs], note=note)


def cost_by_size(rig, table, knobs):
    """(a) CPU per event, merged and not, against what it takes without an engine."""
    for size, events in knobs.sizes.items():
        table.group(f"CPU per event, pages of {name_of(size)}",
                    f"{events} events, {ACTIVE} calls at once, {knobs.repetitions} repetitions, interleaved")
        source = rig.fill(f"pages{size}", load.page_changes(events, size))
        bare_http, bare_kafka, alone, merged = [], [], [], []
        with rig.stub(size, DELAY_MS) as stub:
            rig.engine(stub.url, source, events)  # warms the page cache and the broker's code up, is not counted
            for _ in range(knobs.repetitions):
                rig.measure_start()
                bare_http.append(rig.bare_http(stub.url, events, ACTIVE))
                alone.append(rig.engine(stub.url, source, events, upstream=UNMERGED))
                bare_kafka.append(rig.bare_kafka(source, events, size))
                merged.append(rig.engine(stub.url, source, events))
        pairs = list(zip(bare_http, bare_kafka, alone, merged))
        bare_row(table, "bare libcurl loop", bare_http)
        bare_row(table, "bare consume-produce loop", bare_kafka)
        engine_row(table, "millrace, one id a call", alone, "libcurl + consume-produce",
                   [a.each / (h.each + k.each) for h, k, a, _ in pairs], 1.3)
        engine_row(table, "millrace, merged", merged, "1/10 libcurl + 1.5 consume-produce",
                   [m.each / (0.1 * h.each + 1.5 * k.each) for h, k, _, m in pairs], 1.0)


def cost_by_flight(rig, table, knobs):
    """(b) CPU per event against the number of calls in flight, at one rate."""
    size = 10 * KILO
    table.group("CPU per event against calls in flight",
                f"one id a call, pages of 10 kB, the delay set so that {knobs.flight_rate} calls a second come of any number; "
                "limits.memory 2GiB, since each call in flight reserves room")
    events = knobs.flights[-1] * 6  # the calls that open a connection are a sixth at the most
    source = rig.fill(f"flight{events}", load.page_changes(events, size))
    roomy = {"limits": {"memory": "2GiB"}}
    engines, bare, most = {}, {}, {}
    for _ in range(knobs.flight_repetitions):
        for flight in knobs.flights:
            delay = flight * 1000 // knobs.flight_rate
            with rig.stub(size, delay) as stub:
                bare.setdefault(flight, []).append(rig.bare_http(stub.url, events, flight))
            with rig.stub(size, delay) as stub:
                upstream = {**UNMERGED, "concurrency": flight}
                engines.setdefault(flight, []).append(
                    rig.engine(stub.url, source, events, upstream=upstream, change=roomy))
                most.setdefault(flight, []).append(stub.close())
    for flight in knobs.flights:
        aim = 1.5 if flight == 2000 else None
        flight_row(table, f"millrace, {flight} in flight", engines[flight], engines[64], aim,
                   f"{statistics.median(most[flight]):.0f} at once at the most")
        flight_row(table, f"bare libcurl loop, {flight} in flight", bare[flight], bare[64], None, "")


def flight_row(table, name, costs, first, aim, note):
    against = "" if costs is first else "64 in flight"
    ratios = [] if costs is first else [c.each / f.each for c, f in zip(costs, first)]
    note = "; ".join(filter(None, [f"{number(median(costs, lambda c: c.rate))}/s", note]))
    table.add(name, "us", [c.each for c in costs], against, ratios, aim, note=note)


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def memory_and_latency(rig, table, knobs):
    """(c), (d) and (e): idle, live at 20 and 200 events a second, and a backlog of the same events."""
    size, delay = 70 * KILO, 100
    table.group("Live and backfill, one process",
                f"pages of 70 kB, answers after {delay} ms, 900 wikis by Zipf's law, independent arrivals; added: from record to "
                "output by the broker's clock, less the API's time; limits.memory 512MiB")
    with rig.stub(size, delay) as stub:
        idle(rig, table, stub)
        for rate, seconds in knobs.live.items():
            live(rig, table, stub, rate, seconds, size, delay)
        events = knobs.backfill
        source = rig.fill("zipf", load.zipf_changes(events, size))
        costs = [rig.engine(stub.url, source, events) for _ in range(knobs.repetitions)]
    table.add("backfill: CPU per event", "us", [c.each for c in costs])
    table.add("backfill: events", "1/s", [c.rate for c in costs])
    table.add("backfill: peak RSS", "MiB", [c.more["peak"] for c in costs], aim=512)
    table.add("backfill: calls per 1,000 events", "calls", [c.more["calls"] / events * 1000 for c in costs])


def idle(rig, table, stub, seconds=5):
    with rig.run(stub.url, rig.fill("empty", [])) as run:
        run.begin().wait_ready().until("it has its partition", lambda m: m.sum("millrace_kafka_assigned_partitions") == 1)
        time.sleep(1)
        before, began = run.meter.cpu(), time.monotonic()
        time.sleep(seconds)
        table.add("idle: CPU", "%", [(run.meter.cpu() - before) / (time.monotonic() - began) * 100])
        table.add("idle: RSS", "MiB", [run.meter.memory()])


def live(rig, table, stub, rate, seconds, size, delay):
    events = int(rate * seconds)
    source = rig.fill(f"live{rate}", [])
    name = f"{rate} events/s"
    with rig.run(stub.url, source) as run:
        run.begin().wait_ready().until("it has its partition", lambda m: m.sum("millrace_kafka_assigned_partitions") == 1)
        rig.feed(source, load.zipf_changes(50, size, seed=2), load.arrivals(50, 50))  # connections, the Lua heap
        run.finish(50)
        before = run.meter.cpu()
        rig.feed(source, load.zipf_changes(events, size), load.arrivals(events, rate))
        rss = run.meter.memory()
        cost = run.finish(events + 50)
        added = [way - delay for way in rig.ways(source, run.sink)[50:]]
    table.add(f"{name}: CPU per event", "us", [(cost.cpu - before) / events * 1e6])
    table.add(f"{name}: RSS", "MiB", [rss], note=f"at most {number(cost.more['peak'])}")
    table.add(f"{name}: added latency, p50", "ms", [statistics.median(added)])
    table.add(f"{name}: added latency, p99", "ms", [quantile(added, 0.99)], note=f"of {events} events")
    table.add(f"{name}: calls per 1,000 events", "calls", [cost.more["calls"] / (events + 50) * 1000])


def slow_backfill(rig, table, knobs):
    """(f) A slow API with a long tail, and a tail of large pages: what is reached of what Little's law allows."""
    size, large, every, mean, tail, concurrency = 10 * KILO, 1000 * KILO, 100, 750, 10000, 500
    events = knobs.slow
    table.group("Backfill from a slow API",
                f"{events} events, one id a call, {concurrency} calls at once; {mean} ms on average, 1 in {every} takes "
                f"{tail // 1000} s; pages of 10 kB, 1 in {every} of 1 MB; order: key; limits.memory 512MiB")
    source = rig.fill("slow", load.page_changes(events, size, every, large))
    costs, rates = [], []
    with rig.stub(size, mean, every, tail, every, large) as stub:
        for _ in range(knobs.slow_repetitions):
            with rig.run(stub.url, source, upstream={**UNMERGED, "concurrency": concurrency}) as run:
                costs.append(run.begin().finish(events))
                rates.append(rig.require_order(run.sink))
    bound = concurrency / (mean / 1000)
    table.add("events, between the first and the last fifth", "1/s", rates, f"{concurrency} calls / {mean} ms = {bound:.0f}/s",
              [rate / bound for rate in rates])
    table.add("CPU per event", "us", [c.less(rig.start_cost()).each for c in costs])
    table.add("peak RSS", "MiB", [c.more["peak"] for c in costs], aim=512)


RETURNS = """return {
  api = 1,
  transform = function(event)
    return event
  end,
}
"""
PASSES = """local millrace = require "millrace"
return {
  api = 1,
  transform = function()
    return millrace.pass()
  end,
}
"""


def records_alone(rig, table, knobs):
    """From topic to topic without lookups, and from file to file without Kafka."""
    events = knobs.records
    table.group("Records without lookups, and lookups without Kafka",
                f"{events} events of 1.6 kB; held against the consume-produce loop with values as large")
    changes = load.page_changes(events, 10 * KILO)
    source, bare = rig.fill("records", changes), []
    kinds = {"transform returns the event": RETURNS, "transform passes": PASSES}
    costs = {name: [] for name in kinds}
    scripts = {name: rig.write(f"{n}.lua", text) for n, (name, text) in enumerate(kinds.items())}
    lines = rig.write("events.jsonl", b"".join(value + b"\n" for _, value in changes))
    files = []
    with rig.stub(10 * KILO, 0) as stub:
        for _ in range(knobs.repetitions):
            bare.append(rig.bare_kafka(source, events, 0))
            for name, script in scripts.items():
                costs[name].append(rig.engine(stub.url, source, events, script=script))
            files.append(rig.enrich(stub.url, lines, events))
    bare_row(table, "bare consume-produce loop", bare)
    for name, made in costs.items():
        engine_row(table, f"millrace, {name}", made, "consume-produce", [c.each / b.each for c, b in zip(made, bare)], None)
    bare_row(table, "millrace enrich: file to file, merged lookups, pages of 10 kB, its start included", files)


def lookups_alone(rig, table, knobs):
    """Dispatch and curl without Kafka and Lua, over HTTP/1.1 and HTTP/2."""
    size, calls = 10 * KILO, knobs.lookups
    table.group("Lookups without Kafka and Lua", f"{calls} lookups, one a call, pages of 10 kB; HTTP/2 by nghttpd, which answers "
                "from a file and at once")
    with rig.stub(size, DELAY_MS) as stub:
        for active in (ACTIVE, 1000):
            bare, ours = [], []
            for _ in range(knobs.repetitions):
                bare.append(rig.bare_http(stub.url, calls, active))
                ours.append(rig.dispatch(stub.url, calls, active))
            table.add(f"dispatch, {active} calls at once", "us", [c.each for c in ours], "bare libcurl loop",
                      [o.each / b.each for o, b in zip(ours, bare)])
    http2(rig, table, knobs)


def http2(rig, table, knobs):
    if not rigs.Http2.is_there():
        print("  HTTP/2 is left out: Debian's nghttp2-server is not installed", flush=True)
        return
    with rig.stub(10 * KILO, 0) as stub, rigs.Http2(rig.folder, stub) as h2:
        try:
            rig.bare_http(h2.url, 100, ACTIVE, "2")
        except AssertionError:
            print("  HTTP/2 is left out: this libcurl cannot use a connection twice with prior knowledge (7.88 cannot: "
                  "https://github.com/curl/curl/pull/10643)", flush=True)
            return
        one, two = [], []
        for _ in range(knobs.repetitions):
            one.append(rig.dispatch(stub.url, knobs.lookups, ACTIVE))
            two.append(rig.dispatch(h2.url, knobs.lookups, ACTIVE, "2"))
    table.add("dispatch, HTTP/2 with prior knowledge", "us", [c.each for c in two], "HTTP/1.1",
              [t.each / o.each for t, o in zip(two, one)])


def parts(rig, table, _):
    """The programs that measure one part in one thread; each line they print is a group or a row."""
    for program in ("bench_json", "bench_schema", "bench_script"):
        result = subprocess.run([rig.programs / program], cwd=rigs.ROOT, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True, timeout=rigs.PATIENCE, check=True)
        for line in result.stdout.splitlines():
            told = json.loads(line)
            if "group" in told:
                table.group(told["group"], told["note"])
            else:
                table.add(**told)


SCENARIOS = {"size": cost_by_size, "flight": cost_by_flight, "live": memory_and_latency, "slow": slow_backfill,
             "records": records_alone, "lookups": lookups_alone, "parts": parts}

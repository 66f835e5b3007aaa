"""The scenarios of `make bench`, from Kafka to Kafka. README.md beside it has the method."""

import load

ACTIVE = 64
DELAY_MS = 10  # of the stub: keeps 64 calls in the air at rates that the engine reaches
KILO = 1000
UNMERGED = {"merge": False}


def name_of(size):
    return f"{size // KILO} kB" if size < KILO * KILO else f"{size // KILO // KILO} MB"


def detail_rows(table, name, costs):
    table.add(f"{name}: user", "us", [c.user / c.events * 1e6 for c in costs])
    table.add(f"{name}: system", "us", [c.sys / c.events * 1e6 for c in costs])
    table.add(f"{name}: the loop's thread alone", "us", [c.more["loop"] / c.events * 1e6 for c in costs])
    table.add(f"{name}: events", "1/s", [c.rate for c in costs],
              note=f"{sum(c.more['calls'] for c in costs) / sum(c.events for c in costs):.3f} calls an event")


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
        table.add("bare libcurl loop", "us", [c.each for c in bare_http])
        table.add("bare libcurl loop: calls", "1/s", [c.rate for c in bare_http])
        table.add("bare consume-produce loop", "us", [c.each for c in bare_kafka])
        table.add("bare consume-produce loop: events", "1/s", [c.rate for c in bare_kafka])
        table.add("millrace, one id a call", "us", [c.each for c in alone], "libcurl + consume-produce",
                  [a.each / (h.each + k.each) for h, k, a, _ in pairs], 1.3)
        detail_rows(table, "millrace, one id a call", alone)
        table.add("millrace, merged", "us", [c.each for c in merged], "1/10 libcurl + 1.5 consume-produce",
                  [m.each / (0.1 * h.each + 1.5 * k.each) for h, k, _, m in pairs], 1.0)
        detail_rows(table, "millrace, merged", merged)


def cost_by_flight(rig, table, knobs):
    """(b) CPU per event against the number of calls in flight, at one rate."""
    size = 10 * KILO
    table.group("CPU per event against calls in flight",
                f"one id a call, pages of 10 kB, the delay set so that {knobs.flight_rate} calls a second come of any number")
    engines = {n: [] for n in knobs.flights}
    bare = {n: [] for n in knobs.flights}
    most = knobs.flights[-1] * 3
    source = rig.fill(f"flight{most}", load.page_changes(most, size))
    for _ in range(knobs.repetitions):
        for flight in knobs.flights:
            with rig.stub(size, flight * 1000 // knobs.flight_rate) as stub:
                bare[flight].append(rig.bare_http(stub.url, most, flight))
                engines[flight].append(rig.engine(stub.url, source, most,
                                                  upstream={**UNMERGED, "concurrency": flight}))
    for flight in knobs.flights:
        first, costs = engines[64], engines[flight]
        table.add(f"millrace, {flight} in flight", "us", [c.each for c in costs],
                  "64 in flight" if flight != 64 else "", [c.each / f.each for c, f in zip(costs, first)] if flight != 64 else (),
                  1.5 if flight == 2000 else None)
        table.add(f"bare libcurl loop, {flight} in flight", "us", [c.each for c in bare[flight]],
                  "64 in flight" if flight != 64 else "",
                  [c.each / f.each for c, f in zip(bare[flight], bare[64])] if flight != 64 else ())


SCENARIOS = {"size": cost_by_size, "flight": cost_by_flight}

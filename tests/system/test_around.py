"""What goes with an event besides its value: who asked for it, and the trace that it belongs to."""

import json

import check
import events

ALONE = {"http": {"upstreams": {"mediawiki": {"merge": False}}}}  # a call for each event
ONE_WIKI = [("enwiki", "en.wikipedia.org")]
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_call_names_the_events_request_and_goes_on_with_its_trace(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    first, second = maker.event(), maker.event()
    while first.outcome != "enriched" or second.outcome != "enriched":
        first, second = maker.event(), maker.event()
    first.headers = [("traceparent", PARENT), ("tracestate", b"vendor=1")]
    second.headers = [("traceparent", b"nonsense\r\nX-Evil: 1")]
    j = job(partitions=1, change=ALONE)
    j.send([first, second])
    j.start()
    j.until_done()
    j.require_clean()
    asked = {request["revs"][0]: request["headers"] for request in stub.requests()}
    for event in (first, second):
        assert asked[event.rev]["x-request-id"] == json.loads(event.value)["meta"]["request_id"]
    assert asked[first.rev]["traceparent"] == PARENT.decode() and asked[first.rev]["tracestate"] == "vendor=1"
    assert not {"traceparent", "x-evil"} & set(asked[second.rev])
    outputs = {message.offset(): dict(message.headers()) for message in j.outputs()}
    assert outputs[0]["traceparent"] == PARENT  # and the output carries it on


def trace(number):
    return b"00-%032x-%016x-01" % (number + 1, number + 1)


def test_a_call_for_several_events_goes_on_with_the_trace_of_the_oldest(job, stub, seed):
    """Some of them belong to no trace: then the call belongs to none, and not to that of another event."""
    maker = events.Maker(seed, pages=30, wikis=ONE_WIKI)
    records = [maker.event() for _ in range(100)]
    for n, event in enumerate(records):
        event.headers = [("traceparent", trace(n))] if n % 3 else []
    stub.latency(0.02, 0.05)
    j = job(partitions=1)
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()
    belongs = {event.rev: dict(event.headers).get("traceparent") for event in records}
    asked = [request for request in stub.requests() if len(request["revs"]) > 1]
    assert asked, "no call was shared: this proves nothing"
    for request in asked:
        parent = belongs[request["revs"][0]]
        assert request["headers"].get("traceparent") == (parent and parent.decode()), request
    carried = {check.source_of(m)[2]: dict(m.headers()).get("traceparent") for m in j.outputs()}
    assert carried == {n: belongs[event.rev] for n, event in enumerate(records)}


FOLLOW_UP = """local millrace = require "millrace"
local function ask(event, headers)
  return { host = event.meta.domain, headers = headers, query = { action = "query", format = "json", formatversion = "2",
           prop = "revisions", rvprop = "ids|content", rvslots = "*", revids = event.revision.rev_id } }
end
return {
  api = 1,
  request = function(event) return { ask(event), ask(event, { TraceParent = "the script's" }) } end,
  transform = function(event)
    millrace.fetch(ask(event))
    return event
  end,
}
"""


def test_each_lookup_of_an_event_goes_on_with_its_trace_unless_the_script_says_otherwise(job, stub, seed, tmp_path):
    script = tmp_path / "follow_up.lua"
    script.write_text(FOLLOW_UP)
    event = events.Maker(seed, pages=1).event(no_body=True)
    event.headers = [("traceparent", PARENT), ("tracestate", b"vendor=1")]
    j = job(partitions=1, script=script)
    j.send([event])
    j.start()
    j.until_done()
    j.require_clean()
    traces = sorted(request["headers"].get("traceparent") for request in stub.requests())
    assert traces == [PARENT.decode(), PARENT.decode(), "the script's"]
    mine = [r["headers"] for r in stub.requests() if r["headers"]["traceparent"] == "the script's"]
    assert "tracestate" not in mine[0], "a state belongs to its parent"

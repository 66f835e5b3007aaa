"""What goes with an event besides its value: who asked for it, and the trace that it belongs to."""

import json

import events

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_call_names_the_events_request_and_goes_on_with_its_trace(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    first, second = maker.event(), maker.event()
    while first.outcome != "enriched" or second.outcome != "enriched":
        first, second = maker.event(), maker.event()
    first.headers = [("traceparent", PARENT), ("tracestate", b"vendor=1")]
    second.headers = [("traceparent", b"nonsense\r\nX-Evil: 1")]
    j = job(partitions=1)
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

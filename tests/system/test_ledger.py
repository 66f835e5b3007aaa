"""The ledger can fail: each thing it looks for is found when it is there. Needs neither Kafka nor the binary."""

import uuid

import check
import events

STREAM, ERRORS = "out.stream", "job.error"


class Message:
    def __init__(self, value, key, headers, timestamp=0, partition=0):
        self._value, self._key, self._headers = value, key, headers
        self._timestamp, self._partition = timestamp, partition

    def value(self):
        return self._value

    def key(self):
        return self._key

    def headers(self):
        return self._headers

    def timestamp(self):
        return 1, self._timestamp

    def partition(self):
        return self._partition


def source(offset):
    return "millrace-source", b"in/0/%d/0" % offset


def output(offset, event, change=None, **more):
    value = events.load(events.dump(event.model))
    value["meta"].update(stream=STREAM, id=str(uuid.uuid5(uuid.NAMESPACE_URL, str(offset))), dt="2026-01-01T00:00:00Z")
    if change:
        change(value)
    return Message(events.dump(value).encode(), event.key, event.headers + [source(offset)], event.timestamp, **more)


def failure(offset, event, **change):
    value = {"$schema": "/error/2.1.0", "dt": "2026-01-01T00:00:00Z", "emitter_id": "job", "error_type": "PoisonEvent",
             "message": "no", "raw_event": event.value.decode(errors="replace"), "meta": {"stream": ERRORS}, **change}
    return Message(events.dump(value).encode(), event.key, [source(offset)])


def ledger(sent):
    made = check.Ledger()
    made.sent = {("in", 0, offset): event for offset, event in enumerate(sent)}
    return made


def edits(count):
    maker = events.Maker(7, pages=1)
    page = maker.pages[0]
    return [maker.event(page=page, change=lambda value: value["page"].update(page_id=5)) for _ in range(count)]


def report(sent, outputs, errors=()):
    return ledger(sent).check(outputs, list(errors), STREAM, ERRORS)


def found(**expected):
    def holds(got):
        for name in ("lost", "reordered", "altered", "unexpected", "repeated"):
            assert len(getattr(got, name)) == expected.get(name, 0), f"{name}: {got}"
    return holds


def test_what_came_out_as_it_must_is_clean():
    sent = edits(3)
    found()(report(sent, [output(n, e) for n, e in enumerate(sent)]).require())


def test_an_output_that_is_not_there_is_lost():
    sent = edits(3)
    found(lost=1)(report(sent, [output(0, sent[0]), output(2, sent[2])]))


def test_outputs_in_another_order_are_reordered():
    sent = edits(3)
    found(reordered=1)(report(sent, [output(1, sent[1]), output(0, sent[0]), output(2, sent[2])]))


def test_a_repeat_is_repeated_and_not_reordered():
    sent = edits(3)
    outputs = [output(n, e) for n, e in enumerate(sent)]
    found(repeated=2)(report(sent, outputs + outputs[:2]))


def test_a_repeat_with_another_id_is_altered():
    sent = edits(1)
    other = output(0, sent[0], lambda value: value["meta"].update(id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "x"))))
    found(repeated=1, altered=1)(report(sent, [output(0, sent[0]), other]))


def test_a_number_written_otherwise_is_altered():
    sent = edits(1)
    change = (lambda value: value["page"].update(page_id=events.Number("5.0")))
    found(altered=1)(report(sent, [output(0, sent[0], change)]))


def test_an_empty_array_that_became_an_object_is_altered():
    sent = edits(1)
    sent[0].model["groups"] = []
    found(altered=1)(report(sent, [output(0, sent[0], lambda value: value.update(groups={}))]))


def test_another_body_key_header_or_timestamp_is_altered():
    sent = edits(1)

    def body(value):
        value["revision"]["content_slots"]["main"]["content_body"] += "!"
    found(altered=1)(report(sent, [output(0, sent[0], body)]))
    for what, other in (("_key", b"{}"), ("_timestamp", 1), ("_headers", [source(0)])):
        message = output(0, sent[0])
        setattr(message, what, other)
        found(altered=1)(report(sent, [message]))


def test_what_nobody_sent_or_should_have_been_dropped_is_unexpected():
    sent = edits(2)
    sent[0].outcome = "dropped"
    found(unexpected=2)(report(sent, [output(0, sent[0]), output(1, sent[1]), output(9, sent[1])]))


def test_error_events_are_held_against_the_schema_and_the_original():
    sent = edits(1)
    sent[0].outcome, sent[0].error = "failed", "PoisonEvent"
    found()(report(sent, [], [failure(0, sent[0])]))
    found(lost=1)(report(sent, []))
    for change in ({"raw_event": "other"}, {"more": "1"}, {"error_type": "Other"}, {"meta": {"stream": "x"}},
                   {"message": None}, {"$schema": "/error/2.0.0"}):
        found(altered=1)(report(sent, [], [failure(0, sent[0], **change)]))


def test_a_failure_of_a_good_event_is_unexpected_and_a_loss():
    sent = edits(1)
    found(lost=1, unexpected=1)(report(sent, [], [failure(0, sent[0])]))


def test_what_is_unaccounted_for_shows_in_the_balance():
    from engine import Metrics
    text = ('millrace_source_records_total{topic="a"} 10\nmillrace_events_total{outcome="enriched"} 4\n'
            'millrace_events_total{outcome="failed"} 1\nmillrace_given_back_records_total{reason="revoked"} 2\n'
            "millrace_open_records 3\n")
    assert check.balance(Metrics(text)) == (10, 10)
    assert check.balance(Metrics(text.replace("open_records 3", "open_records 2"))) == (10, 9)

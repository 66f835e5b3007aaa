"""The ledger can fail: each thing it looks for is found when it is there. Needs neither Kafka nor the binary."""

import uuid
from types import SimpleNamespace

import pytest

import check
import cover
import events

STREAM, ERRORS = "out.stream", "job.error"


class Message:
    def __init__(self, value, key, headers, timestamp=0, partition=0):
        self._value, self._key, self._headers = value, key, headers
        self._timestamp, self._partition, self._topic, self._offset = (1, timestamp), partition, "out", 0

    def value(self):
        return self._value

    def key(self):
        return self._key

    def headers(self):
        return self._headers

    def timestamp(self):
        return self._timestamp

    def topic(self):
        return self._topic

    def offset(self):
        return self._offset

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
        for name in (*check.VIOLATIONS, "repeated"):
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
    for what, other in (("_key", b"{}"), ("_timestamp", (1, 1)), ("_headers", [source(0)])):
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


def test_a_worker_whose_account_does_not_balance_is_told():
    sent = edits(1)
    found(unaccounted=1)(ledger(sent).check([output(0, sent[0])], [], STREAM, ERRORS,
                                            accounts=[("one", 10, 10), ("two", 10, 9)]))


def test_an_excused_failure_is_neither_a_loss_nor_unexpected():
    sent = edits(1)
    errors = [failure(0, sent[0], error_type="HostUnavailable")]
    found()(ledger(sent).check([], errors, STREAM, ERRORS, excused=["HostUnavailable"]))
    found(lost=1, unexpected=1)(ledger(sent).check([], errors, STREAM, ERRORS, excused=["Other"]))


def test_an_answer_too_large_may_be_excused_too_and_poison_never():
    for error, wrong in (("ContentTooLarge", 0), ("ScriptError", 1)):
        sent = edits(1)
        sent[0].outcome, sent[0].error = "failed", error
        errors = [failure(0, sent[0], error_type="HostUnavailable")]
        found(altered=wrong)(ledger(sent).check([], errors, STREAM, ERRORS, excused=["HostUnavailable"]))


# --- what a kill -9 may repeat: fabricated logs of the sink, in seconds of arrival

KILL = 100.0


def arriving(sent, *log):
    """Messages of the sink's one partition from (offset of the source, when it arrived)."""
    messages = []
    for place, (offset, at) in enumerate(log):
        message = output(offset, sent[offset])
        message._timestamp, message._offset = (check.ARRIVAL, int(at * 1000)), place
        messages.append(message)
    return messages


def death(before, *notes, since=97.0, at=KILL, who="the kill"):
    """A kill when `before` messages were in the sink."""
    return check.Death(who, at, {0: list(notes)}, {"out": {0: before}}, since)


def after(sent, messages, *deaths, **more):
    return ledger(sent).check(messages, [], STREAM, ERRORS, deaths=deaths, **more)


def note(offset, *ranges):
    return cover.Note(offset, list(ranges), where="the file")


def test_repeats_of_what_no_note_covers_are_allowed_and_counted():
    sent = edits(4)
    messages = arriving(sent, (0, 98), (1, 99), (2, 99.5), (2, 101), (3, 102))
    got = after(sent, messages, death(3, note(2)))
    found(repeated=1)(got)
    assert (got.deaths[0].repeats, got.deaths[0].finished, got.deaths[0].unsettled) == (1, 3, 0)
    got.require(repeats=True)


@pytest.mark.parametrize("notes", [[note(2)], [note(0, (1, 2))], [note(0), note(1, (0, 2))]])
def test_a_covered_record_that_comes_again_is_found(notes):
    sent = edits(4)
    messages = arriving(sent, (0, 98), (1, 99), (1, 101), (2, 102), (3, 102))
    got = after(sent, messages, death(2, *notes))
    found(covered=1, repeated=1)(got)
    with pytest.raises(AssertionError) as why:
        got.require(repeats=True)
    assert "came out to out/0/1" in str(why.value) and "00:01:40.000 the kill" in str(why.value), "no history is told"


def test_a_covered_record_that_was_not_out_is_lost_to_whoever_starts_there():
    sent = edits(3)
    found(lost=1)(after(sent, arriving(sent, (0, 98), (1, 101), (2, 102)), death(1, note(2))))


def test_a_repeat_of_what_finished_before_the_last_checkpoint_was_due_is_stale():
    sent = edits(3)
    messages = arriving(sent, (0, 95), (1, 99), (0, 101), (1, 101), (2, 102))
    found(stale=1, repeated=2)(after(sent, messages, death(2)))
    found(repeated=2)(after(sent, messages, death(2, since=94)))


def test_what_waits_for_an_elder_of_its_lane_has_not_finished():
    sent = edits(3)
    messages = arriving(sent, (1, 90), (0, 99), (1, 101), (2, 102))
    got = after(sent, messages, death(1, since=97))
    found(repeated=1, reordered=1)(got)
    assert got.deaths[0].unsettled == 1
    got = after(sent, messages, death(1, since=97), order="none")
    found(repeated=1, stale=1)(got)


def test_what_an_earlier_death_undid_counts_from_when_it_was_done_again():
    sent = edits(2)
    messages = arriving(sent, (0, 90), (0, 99), (0, 101), (1, 102))
    first, second = death(1, since=88, at=91, who="the first"), death(2, since=97, at=100)
    found(repeated=2)(after(sent, messages, first, second))
    found(repeated=2, covered=1, stale=1)(after(sent, messages, death(1, note(1), since=88, at=91), second))


def test_what_a_loss_of_partitions_undid_counts_from_when_it_was_done_again():
    sent = edits(2)
    messages = arriving(sent, (0, 90), (0, 98), (0, 101), (1, 102))
    lost = check.Death("the kill", KILL, {}, {"out": {0: 2}}, 97.0, lost=95.0)
    found(repeated=2)(after(sent, messages, lost))
    lost.since = 99.0
    found(repeated=2, stale=1)(after(sent, messages, lost))


def test_a_lane_that_ends_with_an_elder_is_reordered_where_no_other_worker_could_write():
    sent = edits(3)
    messages = arriving(sent, (0, 90), (1, 91), (2, 92), (1, 93))
    found(repeated=1)(after(sent, messages))
    found(repeated=1, reordered=1)(after(sent, messages, fenced=True))


def test_times_of_arrival_are_demanded_where_they_count():
    sent = edits(1)
    with pytest.raises(AssertionError, match="time of arrival"):
        after(sent, [output(0, sent[0])], death(1))


# --- what the notes say

FILE = (b'{"version":1,"group":"g","cluster":"c","topic":"t","partition":0,"lineage":"00ff","offset":12,'
        b'"finished":[[14,15],[20,30]],"time":"2026-11-22T13:26:28.123Z","sha256":"%s"}\n')


def test_a_file_is_read_by_its_checksum(tmp_path):
    import hashlib
    good = FILE % hashlib.sha256(FILE[:FILE.index(b',"sha256"')]).hexdigest().encode()
    folder = tmp_path / "g" / "t" / "0"
    folder.mkdir(parents=True)
    (folder / "1.json").write_bytes(good)
    (folder / "2.json").write_bytes(good[:60])
    (folder / "3.json").write_bytes(good.replace(b'"offset":12', b'"offset":99'))
    found_note = cover.of_files(tmp_path, "g", "t")[0]
    assert found_note.where.endswith("1.json") and found_note.lineage == "00ff"
    assert [o for o in range(10, 32) if found_note.covers(o)] == [10, 11, 14, *range(20, 30)]


def test_a_commits_metadata_is_read_as_it_is_documented():
    said = cover.of_metadata(100, "mr1;l=00ff;p=3;u=900;new=1;r=+2+3+1+1")
    assert (said.lineage, said.ranges) == ("00ff", [(102, 105), (106, 107)])
    assert not said.covers(100) and said.covers(99) and said.covers(104) and not said.covers(105)
    for foreign in ("", None, "hello"):
        assert cover.of_metadata(100, foreign).ranges == [] and cover.of_metadata(100, foreign).lineage == ""


def test_a_commit_of_another_lineage_stands_alone():
    commit, file = SimpleNamespace(lineage="a"), SimpleNamespace(lineage="b")
    assert cover.joined({0: commit}, {0: file, 1: file}) == {0: [commit], 1: [file]}

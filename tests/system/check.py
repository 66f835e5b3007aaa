"""The ledger: what was sent, what came out, and whether anything was lost, reordered, altered or repeated.

The one verifier of all tests; those that kill tell it of each Death, and it checks what may be repeated after it."""

import functools
import json
import re
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import jsonschema
import yaml

from events import dump, load

STAMPED = ("stream", "dt", "id")


def differences(expected, actual, path="$"):
    """Where two values differ, as sentences; numbers by their text."""
    if type(expected) is not type(actual):
        return [f"{path}: expected {_short(expected)}, got {_short(actual)}"]
    if isinstance(expected, dict):
        found = [f"{path}.{name} is gone" for name in expected if name not in actual]
        found += [f"{path}.{name} is new: {_short(actual[name])}" for name in actual if name not in expected]
        for name in expected:
            if name in actual:
                found += differences(expected[name], actual[name], f"{path}.{name}")
        return found
    if isinstance(expected, list):
        if len(expected) != len(actual):
            return [f"{path}: {len(expected)} elements became {len(actual)}"]
        return [d for n, (e, a) in enumerate(zip(expected, actual)) for d in differences(e, a, f"{path}[{n}]")]
    return [] if expected == actual else [f"{path}: expected {_short(expected)}, got {_short(actual)}"]


def _short(value):
    text = repr(value)
    return text if len(text) < 120 else text[:117] + "..."


def stamps(model, actual, stream, schema=None):
    """Takes the engine's stamps out of both sides; answers what is wrong with them."""
    wrong = []
    meta, model_meta = actual.get("meta", {}), model.get("meta", {})
    if meta.get("stream") != stream:
        wrong.append(f"meta.stream is {meta.get('stream')!r}, not {stream!r}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", str(meta.get("dt"))):
        wrong.append(f"meta.dt is {meta.get('dt')!r}")
    try:
        if uuid.UUID(meta.get("id")).version != 5:
            wrong.append(f"meta.id is not a UUIDv5: {meta.get('id')}")
    except (ValueError, TypeError, AttributeError):
        wrong.append(f"meta.id is {meta.get('id')!r}")
    if schema and actual.get("$schema") != schema:
        wrong.append(f"$schema is {actual.get('$schema')!r}, not {schema!r}")
    for name in STAMPED:
        meta.pop(name, None)
        model_meta.pop(name, None)
    if schema:
        actual.pop("$schema", None)
        model.pop("$schema", None)
    return wrong


VIOLATIONS = ("lost", "reordered", "altered", "unexpected", "covered", "stale", "unaccounted")


@dataclass
class Report:
    """What was found, as sentences; `places` has the records they are about, in the order in which they were found."""

    lost: list = field(default_factory=list)
    reordered: list = field(default_factory=list)
    altered: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)
    covered: list = field(default_factory=list)  # repeated, though a durable note says that they are finished
    stale: list = field(default_factory=list)  # repeated, though finished before the last checkpoint was due
    unaccounted: list = field(default_factory=list)
    repeated: list = field(default_factory=list)
    outputs: int = 0
    errors: int = 0
    deaths: list = field(default_factory=list)  # Toll
    places: dict = field(default_factory=dict)  # violation: [place]
    history: object = None  # function: the lines of a place's history

    def add(self, name, place, what):
        where = "/".join(map(str, place)) if place else ""
        getattr(self, name).append(f"{where}: {what}" if where and what else where or what)
        if place:
            self.places.setdefault(name, []).append(place)

    def summary(self):
        numbers = ", ".join(f"{name} {len(getattr(self, name))}" for name in (*VIOLATIONS, "repeated"))
        return [f"{self.outputs} outputs, {self.errors} error events: {numbers}", *map(str, self.deaths)]

    def __str__(self):
        lines = [f"{self.outputs} outputs, {self.errors} error events", *map(str, self.deaths)]
        for name in (*VIOLATIONS, "repeated"):
            lines.append(f"{name}: {len(getattr(self, name))}")
            lines += [f"    {line}" for line in getattr(self, name)[:5]]
        for name in VIOLATIONS:
            for place in list(dict.fromkeys(self.places.get(name, [])))[:2]:
                lines += [f"history of {'/'.join(map(str, place))} ({name}):", *self.history(place)]
        return "\n".join(lines)

    def require(self, repeats=False, story=""):
        """Nothing lost, reordered, altered, unexpected or unaccounted for; nothing repeated unless that is allowed
        here, and then nothing that a note covered or that had long been finished."""
        bad = any(getattr(self, name) for name in VIOLATIONS) or (self.repeated and not repeats)
        assert not bad, f"{self}\n{story}"
        return self


@dataclass
class Death:
    """The end of a process by kill -9, and what the durable notes said right after it, before any restart."""

    who: str
    at: float  # seconds since 1970
    notes: dict  # {partition: [cover.Note]}
    ends: dict  # {topic of outputs or errors: {partition: offset that comes next}}, read after the notes
    since: float = 0.0  # what had finished before this must be covered: one interval and the slack before `at`
    lost: float = 0.0  # when partitions came back last after a loss, which voids what no note covered

    def covers(self, place):
        _, partition, offset = place
        return next((note for note in self.notes.get(partition, []) if note.covers(offset)), None)

    def before(self, message):
        return message.offset() < self.ends[message.topic()].get(message.partition(), 0)


@dataclass
class Toll:
    """What one death cost."""

    who: str
    repeats: int  # outputs of what was out before, that came again before the next death
    finished: int  # records that had finished in the time since the last checkpoint was due
    unsettled: int  # records that were out, but an elder was not, or an earlier death had undone them
    span: float  # seconds that `finished` counts

    def __str__(self):
        return (f"{self.who}: {self.repeats} repeated; {self.finished} had finished in the last {self.span:.1f} s, "
                f"{self.unsettled} were out but not finished")


ARRIVAL = 2  # message.timestamp()[0]: the broker stamped it with the time of its arrival (LogAppendTime)


def arrival(message):
    """When the broker took it, seconds since 1970."""
    kind, at = message.timestamp()
    assert kind == ARRIVAL, f"{message.topic()} does not stamp the time of arrival (message.timestamp.type)"
    return at / 1000


def clock(at):
    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def source_of(message):
    """(topic, partition, offset, n) from the header millrace-source."""
    values = [value for name, value in message.headers() or [] if name == "millrace-source"]
    assert len(values) == 1, f"expected one header millrace-source, got {message.headers()}"
    topic, partition, offset, n = values[0].decode().rsplit("/", 3)
    return topic, int(partition), int(offset), int(n)


class Ledger:
    """Every record sent to the source, by its place."""

    def __init__(self):
        self.sent = {}

    def send(self, cluster, topic, events):
        places = cluster.send(topic, [event.record() for event in events])
        for (partition, offset), event in zip(places, events):
            self.sent[topic, partition, offset] = event
        return places

    def counts(self):
        return Counter(event.outcome for event in self.sent.values())

    def check(self, outputs, errors, stream, error_stream, order="key", schema=None, emitter=None, deaths=(),
              accounts=(), excused=(), fenced=False):
        """Compares the messages of the sink and the error topic with what was sent.

        deaths    each kill -9, for what may not be repeated after it; needs topics that stamp the time of arrival
        accounts  (who, taken, accounted for) of living workers, from balance()
        excused   error types with which a record may end whose lookup would have ended otherwise
        fenced    no worker can have sent anything after another took its partitions: then the last output of each
                  lane is that of its newest record, whatever was repeated"""
        report = Report(outputs=len(outputs), errors=len(errors))
        seen, last, latest = self._outputs(report, outputs, stream, schema, order)
        failed = self._errors(report, errors, error_stream, emitter, excused)
        report.history = lambda place: self._history(place, [*outputs, *errors], deaths)
        for place, event in self.sent.items():
            if event.outcome in ("enriched", "passed") and place not in seen:
                if place not in failed:
                    report.add("lost", place, f"({event.outcome}) has no output")
                elif not self._excused(event, failed[place], excused):
                    report.add("lost", place, f"({event.outcome}) has no output; it failed: {failed[place]}")
            if event.outcome == "failed" and place not in failed:
                report.add("lost", place, "(failed) has no error event")
        for lane, offset in latest.items() if fenced else ():
            if offset < last[lane]:
                report.add("reordered", (*lane[:2], offset), f"is the last output of {lane}, after a repeat; "
                                                            f"offset {last[lane]} should be")
        for who, taken, accounted in accounts:
            if taken != accounted:
                report.add("unaccounted", None, f"{who}: taken {taken}, accounted for {accounted}")
        self._deaths(report, [*outputs, *errors], deaths, order)
        return report

    @staticmethod
    def _excused(event, said, excused):
        asked = event.outcome == "enriched" or event.error == "ContentTooLarge"
        return asked and said.split(":")[0] in excused

    def _outputs(self, report, messages, stream, schema, order):
        seen, last, latest = {}, defaultdict(lambda: -1), {}
        for message in messages:
            topic, partition, offset, n = source_of(message)
            place = topic, partition, offset
            event = self.sent.get(place)
            if event is None or event.outcome not in ("enriched", "passed") or n != 0:
                report.add("unexpected", place, f"{event.outcome if event else 'was never sent'}, yet came out, n {n}")
                continue
            identity = self._compare(report, place, event, message, stream, schema)
            lane = self._lane(order, message, topic, partition)
            latest[lane] = offset
            if place in seen:
                report.add("repeated", place, "")
                if identity != seen[place]:
                    report.add("altered", place, "the repeat has another meta.id")
                continue
            seen[place] = identity
            if lane is not None:
                if offset < last[lane]:
                    report.add("reordered", place, f"came after offset {last[lane]} of {lane}")
                last[lane] = max(last[lane], offset)
        latest.pop(None, None)
        return seen, last, latest

    def _deaths(self, report, messages, deaths, order):
        """What came again after each death, against what its notes cover and when it had finished."""
        told, undone = set(), set()  # places that came again after the death before, and were not covered
        for number, death in enumerate(deaths):
            earlier = deaths[number - 1] if number else None
            following = deaths[number + 1] if number + 1 < len(deaths) else None
            before, after, first = [], [], {}
            for message in messages:
                (before if death.before(message) else after).append((source_of(message)[:3], message))
            out = {place for place, _ in before}
            again = {place for place, _ in after}
            revived = {place for place, message in before + after if arrival(message) > death.lost}
            for place, message in before:
                # What an earlier death or a loss undid has finished when it was done again.
                void = arrival(message) <= death.lost and place in revived
                if not void and not (place in undone and earlier.before(message)):
                    first[place] = min(first.get(place, float("inf")), arrival(message))
            repeats = sum(place in out and (following is None or following.before(message)) for place, message in after)
            finished = self._finished(first, order)
            for place in sorted(again & out):
                note = death.covers(place)
                if note and (place, "covered") not in told:
                    told.add((place, "covered"))
                    report.add("covered", place, f"came again after {death.who}, yet {note.where} covers it")
                elif finished.get(place, float("inf")) < death.since and (place, "stale") not in told:
                    told.add((place, "stale"))
                    report.add("stale", place, f"came again after {death.who}, yet had finished "
                                               f"{death.at - finished[place]:.1f} s before")
            undone = {place for place in again & out if not death.covers(place)}
            self._claims(report, death, out, told)
            late = [at for at in (finished[place] for place in out if place in finished) if at >= death.since]
            unsettled = sum(at == float("inf") for at in late)
            report.deaths.append(Toll(death.who, repeats, len(late) - unsettled, unsettled, death.at - death.since))

    def _claims(self, report, death, out, told):
        """A note that covers what is not out yet has lost it, whoever starts from it."""
        for place, event in self.sent.items():
            if event.outcome == "dropped" or place in out or (place, "claimed") in told:
                continue
            note = death.covers(place)
            if note:
                told.add((place, "claimed"))
                report.add("lost", place, f"({event.outcome}) was not out at {death.who}, yet {note.where} covers it")

    def _finished(self, first, order):
        """{place: when it and all its elders in its lane were out}, from when each was out first."""
        finished, lanes = {}, defaultdict(float)
        for place in sorted(self.sent):
            event = self.sent[place]
            lane = place  # a record without the key waits for nobody
            if order == "partition":
                lane = place[:2]
            elif order == "key" and event.model is not None:
                lane = *place[:2], event.key
            if event.outcome != "dropped":
                lanes[lane] = max(lanes[lane], first.get(place, float("inf")))
            finished[place] = lanes[lane]
        return finished

    def _history(self, place, messages, deaths):
        event = self.sent.get(place)
        lines = [f"    sent: {event.outcome} {event.about}, key {event.key}, {event.host} revision {event.rev}"
                 if event else "    never sent"]
        happened = [(m.timestamp()[1] / 1000, f"came out to {m.topic()}/{m.partition()}/{m.offset()}")
                    for m in messages if source_of(m)[:3] == place]
        happened += [(death.at, f"{death.who}; {death.covers(place) or 'no note covers it'}") for death in deaths]
        return lines + [f"    {clock(at)} {what}" for at, what in sorted(happened)]

    @staticmethod
    def _lane(order, message, topic, partition):
        if order == "key":
            return topic, partition, message.key()
        if order == "partition":
            return topic, partition, message.partition()
        return None

    @staticmethod
    def _compare(report, place, event, message, stream, schema):
        def altered(what):
            report.add("altered", place, what)

        headers = [(name, value) for name, value in message.headers() if name != "millrace-source"]
        if headers != event.headers:
            altered(f"headers {event.headers} became {headers}")
        if message.timestamp()[0] != ARRIVAL and message.timestamp()[1] != event.timestamp:
            altered(f"timestamp {event.timestamp} became {message.timestamp()[1]}")
        if event.model is None:
            if message.value() is not None:
                altered(f"a tombstone became {_short(message.value())}")
            if message.key() != event.key:
                altered(f"key {event.key} became {message.key()}")
            return None
        if message.key() != event.key:
            altered(f"key {event.key} became {message.key()}")
        actual, model = load(message.value()), load(dump(event.model))
        identity = actual.get("meta", {}).get("id")
        for what in stamps(model, actual, stream, schema) + differences(model, actual):
            altered(what)
        return identity

    def _errors(self, report, messages, stream, emitter, excused):
        failed = {}
        for message in messages:
            place = source_of(message)[:3]
            value, event = load(message.value()), self.sent.get(place)
            said = f"{value.get('error_type')}: {_short(value.get('message'))}"
            if event is None or (event.outcome != "failed" and not self._excused(event, said, excused)):
                report.add("unexpected", place, f"({event.outcome if event else 'never sent'}) failed with {said}")
            else:
                known = None if self._excused(event, said, excused) else event.error
                for what in error_event(value, message, event, stream, emitter, known):
                    report.add("altered", place, f"its error event: {what}")
            if place in failed:
                report.add("repeated", place, "(error event)")
            failed[place] = said
        return failed


@functools.lru_cache
def _error_schema():
    path = Path(__file__).parent / "schemas" / "jsonschema" / "error" / "2.1.0.yaml"
    return jsonschema.Draft7Validator(yaml.safe_load(path.read_text()))


def error_event(value, message, event, stream, emitter=None, error=None):
    """What is wrong with an error event, by the schema /error/2.1.0 and the original it is about; `error`: its type."""
    wrong = [f"{'/'.join(map(str, e.path))}: {e.message}" for e in _error_schema().iter_errors(json.loads(message.value()))]
    for name in ("$schema", "dt", "emitter_id", "error_type", "message", "raw_event"):
        if name not in value:
            wrong.append(f"{name} is missing")
    meta = value.get("meta", {})
    if value.get("$schema") != "/error/2.1.0" or meta.get("stream") != stream:
        wrong.append(f"$schema {value.get('$schema')}, meta.stream {meta.get('stream')}")
    for name, member in meta.items():
        if not member:
            wrong.append(f"meta.{name} is {member!r}")
    if emitter and value.get("emitter_id") != emitter:
        wrong.append(f"emitter_id is {value.get('emitter_id')!r}")
    if error and value.get("error_type") != error:
        wrong.append(f"error_type is {value.get('error_type')}, not {error}: {_short(value.get('message'))}")
    if message.key() != event.key:
        wrong.append(f"key {event.key} became {message.key()}")
    return wrong + _raw(value, message, event)


def _raw(value, message, event):
    partial = [v for name, v in message.headers() if name == "millrace-raw"]
    try:
        text = event.value.decode()
    except UnicodeDecodeError:
        return [] if partial == [b"partial"] else ["raw_event cannot be verbatim, yet no header millrace-raw says so"]
    if value.get("raw_event") == text and not partial:
        return []
    return [f"raw_event is not the original: {_short(value.get('raw_event'))}, millrace-raw {partial}"]


def balance(metrics):
    """Promise 4: (taken, where they are now) from a Metrics; equal when nothing is unaccounted for."""
    taken = metrics.sum("millrace_source_records_total")
    ended = sum(metrics.value("millrace_events_total", outcome=o) for o in ("enriched", "passed", "dropped", "failed"))
    elsewhere = metrics.sum("millrace_given_back_records_total") + metrics.sum("millrace_open_records")
    return taken, ended + elsewhere

"""The ledger: what was sent, what came out, and whether anything was lost, reordered, altered or repeated."""

import re
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field

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


@dataclass
class Report:
    lost: list = field(default_factory=list)
    reordered: list = field(default_factory=list)
    altered: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)
    repeated: list = field(default_factory=list)
    outputs: int = 0
    errors: int = 0

    def __str__(self):
        lines = [f"{self.outputs} outputs, {self.errors} error events"]
        for name in ("lost", "reordered", "altered", "unexpected", "repeated"):
            found = getattr(self, name)
            lines.append(f"{name}: {len(found)}")
            lines += [f"    {line}" for line in found[:5]]
        return "\n".join(lines)

    def require(self, repeats=False, story=""):
        """Nothing lost, reordered, altered or unexpected; nothing repeated unless that is allowed here."""
        bad = self.lost or self.reordered or self.altered or self.unexpected or (self.repeated and not repeats)
        assert not bad, f"{self}\n{story}"
        return self


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

    def check(self, outputs, errors, stream, error_stream, order="key", schema=None, emitter=None):
        """Compares the messages of the sink and the error topic with what was sent."""
        report = Report(outputs=len(outputs), errors=len(errors))
        seen = self._outputs(report, outputs, stream, schema, order)
        failed = self._errors(report, errors, error_stream, emitter)
        for place, event in self.sent.items():
            where = "/".join(map(str, place))
            if event.outcome in ("enriched", "passed") and place not in seen:
                why = f"; it failed: {failed[place]}" if place in failed else ""
                report.lost.append(f"{where} ({event.outcome}) has no output{why}")
            if event.outcome == "failed" and place not in failed:
                report.lost.append(f"{where} (failed) has no error event")
        return report

    def _outputs(self, report, messages, stream, schema, order):
        seen, last = {}, defaultdict(lambda: -1)
        for message in messages:
            topic, partition, offset, n = source_of(message)
            place, where = (topic, partition, offset), f"{topic}/{partition}/{offset}/{n}"
            event = self.sent.get(place)
            if event is None or event.outcome not in ("enriched", "passed") or n != 0:
                report.unexpected.append(f"{where}: {event.outcome if event else 'was never sent'}, yet came out")
                continue
            identity = self._compare(report, where, event, message, stream, schema)
            if place in seen:
                report.repeated.append(where)
                if identity != seen[place]:
                    report.altered.append(f"{where}: the repeat has another meta.id")
                continue
            seen[place] = identity
            lane = self._lane(order, message, topic, partition)
            if lane is not None:
                if offset < last[lane]:
                    report.reordered.append(f"{where} came after offset {last[lane]} of {lane}")
                last[lane] = max(last[lane], offset)
        return seen

    @staticmethod
    def _lane(order, message, topic, partition):
        if order == "key":
            return topic, partition, message.key()
        if order == "partition":
            return topic, partition, message.partition()
        return None

    @staticmethod
    def _compare(report, where, event, message, stream, schema):
        def altered(what):
            report.altered.append(f"{where}: {what}")

        headers = [(name, value) for name, value in message.headers() if name != "millrace-source"]
        if headers != event.headers:
            altered(f"headers {event.headers} became {headers}")
        if message.timestamp()[1] != event.timestamp:
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

    def _errors(self, report, messages, stream, emitter):
        failed = {}
        for message in messages:
            topic, partition, offset, _ = source_of(message)
            place, where = (topic, partition, offset), f"{topic}/{partition}/{offset}"
            value, event = load(message.value()), self.sent.get((topic, partition, offset))
            said = f"{value.get('error_type')}: {_short(value.get('message'))}"
            if event is None or event.outcome != "failed":
                report.unexpected.append(f"{where} ({event.outcome if event else 'never sent'}) failed with {said}")
            else:
                for what in error_event(value, message, event, stream, emitter):
                    report.altered.append(f"{where}: its error event: {what}")
            if place in failed:
                report.repeated.append(f"{where} (error event)")
            failed[place] = said
        return failed


ERROR_MEMBERS = {"$schema", "dt", "emitter_id", "error_type", "message", "stack", "raw_event", "errored_schema_uri",
                 "errored_stream_name", "meta"}


def error_event(value, message, event, stream, emitter=None):
    """What is wrong with an error event, by the schema /error/2.1.0 and the original it is about."""
    wrong = []
    for name in ("$schema", "dt", "emitter_id", "error_type", "message", "raw_event"):
        if not isinstance(value.get(name), str):
            wrong.append(f"{name} is {value.get(name)!r}, not a string")
    for name in set(value) - ERROR_MEMBERS:
        wrong.append(f"{name} is not a member of /error/2.1.0")
    for name in ("stack", "errored_schema_uri", "errored_stream_name"):
        if name in value and not isinstance(value[name], str):
            wrong.append(f"{name} is {value[name]!r}, not a string")
    meta = value.get("meta", {})
    if value.get("$schema") != "/error/2.1.0" or meta.get("stream") != stream:
        wrong.append(f"$schema {value.get('$schema')}, meta.stream {meta.get('stream')}")
    for name, member in meta.items():
        if name not in ("domain", "dt", "id", "request_id", "stream", "uri") or not isinstance(member, str) or not member:
            wrong.append(f"meta.{name} is {member!r}")
    if emitter and value.get("emitter_id") != emitter:
        wrong.append(f"emitter_id is {value.get('emitter_id')!r}")
    if event.error and value.get("error_type") != event.error:
        wrong.append(f"error_type is {value.get('error_type')}, not {event.error}: {_short(value.get('message'))}")
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

"""One enrichment job of the tests: its topics, its engine, its ledger."""

import itertools

import check
import events
from engine import SCRIPT, Engine, merged, until

numbers = itertools.count(1)


class Job(Engine):
    """The shipped job between three topics of its own; `change` is merged over its configuration."""

    def __init__(self, folder, cluster, stub, partitions=3, sink=None, errors=None, script=SCRIPT, change=None):
        self.cluster, self.stub = cluster, stub
        self.sink, self.errors = sink or cluster, errors or sink or cluster
        self.prefix = f"t{next(numbers)}."
        self.stream, self.error_stream = "mediawiki.page_content_change.v1", "page_content_enrich.error"
        self.source_topic = self.prefix + "mediawiki.page_change.v1"
        self.sink_topic, self.error_topic = self.prefix + self.stream, self.prefix + self.error_stream
        cluster.create(self.source_topic, partitions=partitions)
        self.sink.create(self.sink_topic, partitions=partitions)
        self.errors.create(self.error_topic, partitions=1)
        self.order = (change or {}).get("order", "key")
        self.ledger = check.Ledger()
        name = self.prefix.replace(".", "-") + "enrich"
        config = {
            "name": name,
            "topic_prefix": self.prefix,
            "source": {"topics": [self.source_topic], "start": "earliest",
                       "kafka": {"bootstrap.servers": cluster.bootstrap, "session.timeout.ms": "6000"}},
            "script": {"path": str(script), "params": {"missing": "fail"}, "memory": "64MiB"},
            "http": {
                "user_agent": "millrace-tests/1.0 (tests@example.org)",
                "retry": {"attempts": 8, "base": "50ms", "cap": "1s", "deadline": "60s"},
                "upstreams": {"mediawiki": {"url": stub.url, "timeout": "5s", "concurrency": 64}},
            },
            "key": {"wiki_id": "wiki_id", "page_id": "page.page_id"},
            "sink": {"stream": self.stream, "schema": "keep",
                     "kafka": {"bootstrap.servers": self.sink.bootstrap}},
            "errors": {"stream": self.error_stream, "emitter_id": "page_content_enrich",
                       "kafka": {"bootstrap.servers": self.errors.bootstrap}},
            "limits": {"records": 1000, "memory": "512MiB"},
            "drain": "20s",
            "log": {"level": "info", "format": "text"},
        }
        super().__init__(folder, merged(config, change or {}))

    def send(self, records):
        return self.ledger.send(self.cluster, self.source_topic, records)

    def until_done(self, seconds=None):
        """Everything sent has ended, and says so by the group's commit."""
        self.until_committed(self.cluster, self.source_topic, seconds)

    def until_outputs(self, count, seconds=None):
        """At least so many outputs and error events are in their topics, whatever the engine says."""
        def there():
            return self.sink.count(self.sink_topic) + self.errors.count(self.error_topic) >= count
        until(f"{count} outputs and error events", there, seconds, self.story)

    def outputs(self):
        return self.sink.read(self.sink_topic)

    def failures(self):
        return self.errors.read(self.error_topic)

    def check(self, schema=None):
        return self.ledger.check(self.outputs(), self.failures(), self.stream, self.error_stream, self.order, schema,
                                 "page_content_enrich")

    def require_clean(self, repeats=False):
        """Nothing lost, reordered, altered or unexpected."""
        return self.check().require(repeats, self.story())

    def require_balance(self):
        """Promise 4, exactly: taken = enriched + passed + dropped + failed + given back + open."""
        metrics = self.metrics()
        taken, accounted = check.balance(metrics)
        assert taken == accounted, f"taken {taken}, accounted for {accounted}\n{metrics}"
        return metrics

    def require_outcomes(self):
        """The metrics count each outcome as often as the ledger does (for one life)."""
        metrics, counts = self.require_balance(), self.ledger.counts()
        got = {o: metrics.value("millrace_events_total", outcome=o) for o in ("enriched", "passed", "dropped", "failed")}
        assert got == {o: counts.get(o, 0) for o in got}, f"metrics {got}, ledger {counts}\n{metrics}"
        return metrics


def error_types(job):
    """{source offset: error event} of the error topic, for tests of one partition."""
    return {check.source_of(m)[2]: events.load(m.value()) for m in job.failures()}

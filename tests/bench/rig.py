"""What benchmarks run: the broker, the API stub, the bare loops, the engine; and what each of them used."""

import itertools
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "system"))

import engine  # noqa: E402  it reads MILLRACE, which run.py sets first
import kafka  # noqa: E402

POLL_SECONDS = 0.02  # between two looks at how many outputs there are
PATIENCE = 300
ENDED = ("enriched", "passed", "dropped", "failed")
TICKS = os.sysconf("SC_CLK_TCK")


class Cost:
    """CPU seconds, by kind, and the time they took."""

    def __init__(self, user, sys, wall, events=0, **more):
        self.user, self.sys, self.wall, self.events = user, sys, wall, events
        self.more = more

    @property
    def cpu(self):
        return self.user + self.sys

    @property
    def each(self):
        """Microseconds of CPU an event."""
        return self.cpu / self.events * 1e6

    @property
    def rate(self):
        return self.events / self.wall

    def less(self, other):
        """Without what a start takes."""
        return Cost(self.user - other.user, self.sys - other.sys, self.wall, self.events, **self.more)


class Meter:
    """The CPU time of a process, threads that ended included, and its memory."""

    def __init__(self, pid):
        self.pid = pid
        self.clock = (~pid << 3) | 2  # the kernel's name for the CPU clock of another process: to the nanosecond

    def cpu(self):
        return time.clock_gettime(self.clock)

    def cost(self, wall):
        """Since its start. user : sys as in /proc/PID/stat, which counts in ticks; their sum from the clock."""
        total = self.cpu()
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]) / TICKS, int(fields[12]) / TICKS
        share = user / (user + system) if user + system else 0.5
        return Cost(total * share, total * (1 - share), wall)

    def loop(self):
        """CPU seconds of the busiest thread that is not librdkafka's: the loop, which one process is limited by."""
        busiest = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                if not (task / "comm").read_text().startswith("rdk"):
                    busiest = max(busiest, int((task / "schedstat").read_text().split()[0]) / 1e9)
            except OSError:
                pass  # it ended
        return busiest

    def memory(self, field="VmRSS"):
        """MiB"""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", text, re.M)[1]) / 1024


def source_offset(message):
    """Of the record that an output was made from."""
    return int(dict(message.headers())["millrace-source"].split(b"/")[2])


class Stub:
    """The Action API of apistub.c."""

    def __init__(self, programs, *arguments):
        self.process = subprocess.Popen([programs / "apistub", *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=kafka.die_with_parent)
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/w/api.php"

    def close(self):
        """Answers how many calls it had at once at the most."""
        self.process.stdin.close()
        most = int(self.process.stdout.readline() or 0)
        self.process.wait(20)
        return most

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.close()


class Http2:
    """nghttpd with one answer of the stub's as its only file, whatever is asked; None of them without that program."""

    def __init__(self, folder, stub):
        root = folder / "h2" / "w"
        root.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"{stub.url}?revids=1234567") as answer:
            (root / "api.php").write_bytes(answer.read())
        port = kafka.free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}/w/api.php"
        self.process = subprocess.Popen(["nghttpd", "--no-tls", "-d", str(root.parent), "-a", "127.0.0.1", "-m", "1000",
                                         str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=kafka.die_with_parent)

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        engine.until("nghttpd listens", listens)

    @staticmethod
    def is_there():
        return shutil.which("nghttpd") is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Run(engine.Engine):
    """One life of the engine between a filled topic and a topic of its own."""

    numbers = itertools.count(1)

    def __init__(self, rig, url, source, script=engine.SCRIPT, upstream=None, change=None, partitions=1):
        number = next(self.numbers)
        self.rig, self.source, prefix = rig, source, f"r{number}."
        self.sink = prefix + "mediawiki.page_content_change.v1"
        self.errors = prefix + "error"
        rig.cluster.create(self.sink, self.errors, partitions=partitions, **rig.topic_settings)
        servers = {"bootstrap.servers": rig.cluster.bootstrap}
        config = {
            "name": f"bench-{number}",
            "topic_prefix": prefix,
            "source": {"topics": [source], "start": "earliest", "kafka": servers},
            "script": {"path": str(script), "params": {"missing": "fail"}},
            "http": {"user_agent": "millrace-bench/1.0 (tests@example.org)",
                     "upstreams": {"mediawiki": {"url": url, "timeout": "60s", "concurrency": 64, "max_body": "8MiB",
                                                 **(upstream or {})}}},
            "key": {"wiki_id": "wiki_id", "page_id": "page.page_id"},
            "sink": {"stream": "mediawiki.page_content_change.v1", "schema": "keep", "kafka": servers},
            "errors": {"stream": "error", "emitter_id": "bench", "kafka": servers},
            "limits": {"records": 10000, "memory": "512MiB"},
            "log": {"level": "warn", "format": "text"},
        }
        super().__init__(rig.folder / f"run{number}", engine.merged(config, change or {}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self.rig.cluster.drop(self.sink, self.errors)

    def begin(self):
        self.began = time.monotonic()
        self.start(ready=False)
        self.meter = Meter(self.process.pid)
        return self

    def ended(self, metrics):
        return sum(metrics.sum("millrace_events_total", outcome=outcome) for outcome in ENDED)

    def wait_ready(self):
        engine.until("/readyz answers 200", lambda: self.get("/readyz")[0] == 200 or self._must_live(), story=self.story)
        return self

    def finish(self, events):
        """Waits for so many outputs: what the process took from its start. The broker is asked, not the engine,
        whose /metrics take a millisecond or two of its time."""
        deadline = time.monotonic() + PATIENCE
        while (there := self.rig.outputs(self.sink)) < events:
            self._must_live()
            if time.monotonic() > deadline:
                raise AssertionError(f"{there} of {events} events came out\n{self.story()}")
            time.sleep(POLL_SECONDS)
        cost = self.meter.cost(time.monotonic() - self.began)
        loop = self.meter.loop()
        self.until("every output is settled", lambda metrics: self.ended(metrics) >= events)
        metrics = self.metrics()
        failed = metrics.sum("millrace_events_total", outcome="failed")
        assert there == events and not failed, f"{there} outputs of {events} events, {failed:.0f} failed\n{self.story()}"
        cost.events = events
        cost.more = {"calls": metrics.sum("millrace_http_requests_total"), "peak": self.meter.memory("VmHWM"),
                     "loop": loop}
        return cost


class Rig:
    """A broker and a folder for a run of the benchmarks, and the topics that are filled once."""

    # By the broker's clock it is known when an output was there, whoever wrote it.
    topic_settings = {"file_delete_delay_ms": 1000, "segment_bytes": 64 << 20,
                      "message_timestamp_type": "LogAppendTime"}

    def __init__(self, binary, folder):
        self.programs = Path(binary).parent / "bench"
        self.folder = Path(folder)
        self.filled = {}
        self.started = []
        self._cluster = None

    @property
    def cluster(self):
        """Started when it is first needed; the mock would not do, it keeps 5 MB of a partition."""
        if self._cluster is None:
            self._cluster = kafka.Kafka(heap="1g")
        return self._cluster

    def close(self):
        if self._cluster:
            self._cluster.close()

    def fill(self, name, records, partitions=1):
        """A topic with these records, made the first time."""
        if name not in self.filled:
            self.cluster.create(name, partitions=partitions, **self.topic_settings)
            if records:
                self.cluster.send(name, records)
            self.filled[name] = len(records)
        return name

    def outputs(self, topic):
        """How many are there now; a young topic may not know its leader yet."""
        try:
            return self.cluster.count(topic)
        except kafka.KafkaException:
            return 0

    def require_outputs(self, topic, events):
        found = self.outputs(topic)
        assert found == events, f"{topic} holds {found} of {events} outputs"

    def feed(self, topic, records, times):
        """Produces each record at its time, seconds from now."""
        producer = self.cluster.producer(**{"linger.ms": 0})
        began = time.monotonic()
        for (key, value), due in zip(records, times):
            while (wait := began + due - time.monotonic()) > 0:
                time.sleep(wait)
            producer.produce(topic, value, key)
            producer.poll(0)
        assert producer.flush(30) == 0

    def ways(self, source, sink):
        """Milliseconds from each record's being in the source's partition 0 to its output's being in the sink's, by
        the broker's clock."""
        came = {message.offset(): message.timestamp()[1] for message in self.cluster.read(source)}
        return [message.timestamp()[1] - came[source_offset(message)] for message in self.cluster.read(sink)]

    def require_order(self, sink):
        """Outputs of a key are in the order of their records. Answers how many came a second, by the broker's clock,
        without the first fifth, which waits for the start, and the last, which waits for stragglers."""
        newest, times = {}, []
        for message in self.cluster.read(sink):
            offset, key = source_offset(message), message.key()
            assert newest.get(key, -1) < offset, f"{key}: record {offset} comes after {newest[key]}"
            newest[key] = offset
            times.append(message.timestamp()[1] / 1000)
        fifth = len(times) // 5
        return (len(times) - 2 * fifth) / max(times[-fifth - 1] - times[fifth], 0.001)

    def stub(self, *arguments):
        return Stub(self.programs, *arguments)

    def run(self, *arguments, **options):
        return Run(self, *arguments, **options)

    def measure_start(self, url="http://127.0.0.1:9/"):
        """What a start takes with nothing to do, up to its being ready."""
        with self.run(url, self.fill("empty", [])) as run:
            run.begin().wait_ready()
            self.started.append(run.meter.cost(time.monotonic() - run.began))

    def start_cost(self):
        """The median of the starts so far, of which there is at least one."""
        if not self.started:
            self.measure_start()
        return sorted(self.started, key=lambda cost: cost.cpu)[len(self.started) // 2]

    def _bare(self, name, *arguments):
        result = subprocess.run([self.programs / name, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=PATIENCE, preexec_fn=kafka.die_with_parent)
        assert result.returncode == 0, f"{name} {arguments}: {result.returncode} {result.stdout}{result.stderr}"
        return Cost(**json.loads(result.stdout))

    def bare_http(self, url, calls, active, *more):
        return self._bare("bare_http", url, calls, active, *more)

    def dispatch(self, url, lookups, active, *more):
        """Lookups through the engine's dispatch, without Kafka and Lua."""
        return self._bare("bench_http", url, lookups, active, *more)

    def bare_kafka(self, source, events, body):
        """From topic to topic, in one process, with outputs of the engine's size."""
        sink = f"bare{next(Run.numbers)}"
        self.cluster.create(sink, partitions=1, **self.topic_settings)
        cost = self._bare("bare_kafka", self.cluster.bootstrap, source, sink, events, body)
        self.require_outputs(sink, events)
        self.cluster.drop(sink)
        return cost

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def enrich(self, url, lines, events):
        """File to file, by the shipped script. Nothing else that this program waited for ran meanwhile."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        with open(self.folder / "out.jsonl", "wb") as output:
            subprocess.run([engine.BINARY, "enrich", str(engine.SCRIPT), str(lines), "--endpoint", url], cwd=ROOT,
                           stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=True,
                           preexec_fn=kafka.die_with_parent)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        made = (self.folder / "out.jsonl").read_bytes().count(b"\n")
        assert made == events, f"enrich made {made} of {events} events"
        return Cost(after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, time.monotonic() - began, events)

    def engine(self, url, source, events, **options):
        """A backlog of so many events, from the engine's start to the end of the last, less what a start takes."""
        with self.run(url, source, **options) as run:
            return run.begin().finish(events).less(self.start_cost())

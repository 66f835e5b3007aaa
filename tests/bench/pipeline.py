#!/usr/bin/python3
"""Where time and memory go from end to end: the binary between a Kafka broker and an API stub, as a table.

    /usr/bin/python3 tests/bench/pipeline.py [BINARY] [--stub PROGRAM] [--only REGEX] [--scale 1.0]

The machine also runs the broker and the stub, so events/s is what all of them reach together; CPU per event is
the engine's own, and of it the loop's thread, which is what one process is limited by. Memory is the highest RSS.
Nothing is asserted: numbers are for reading, and for pairs of runs on one machine."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "system"))

LATENCY_MS = 100
PASS_SCRIPT = """local millrace = require "millrace"
return {
  api = 1,
  transform = function(event)
    return event
  end,
}
"""
HEADINGS = ("scenario", "events", "events/s", "CPU us/event", "(loop)", "CPU %", "calls/event", "peak RSS", "RSS")
FORMAT = "{:<34} {:>7} {:>9} {:>13} {:>7} {:>6} {:>12} {:>10} {:>8}"


class ApiStub:
    def __init__(self, program, body, latency_ms):
        self.process = subprocess.Popen([program, str(body), str(latency_ms)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=kafka.die_with_parent)
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/w/api.php"

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


class Usage:
    """CPU seconds of a process by thread, and its memory, from /proc."""

    def __init__(self, pid):
        self.pid = pid

    def threads(self):
        """{(id, name): CPU seconds}"""
        found = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                found[task.name, name] = int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass  # it ended
        return found

    def status(self, field):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", text, re.M)[1]) / 1024

    def since(self, before):
        """CPU seconds of all threads and of the busiest that is not librdkafka's."""
        spent = {key: value - before.get(key, 0) for key, value in self.threads().items()}
        return sum(spent.values()), max((v for (_, name), v in spent.items() if not name.startswith("rdk")), default=0)


def make_events(count, pages):
    """Page changes of a size and shape as they come in life: about 1.6 KB, most of them edits."""
    records = []
    for n in range(count):
        wiki, page, rev = f"w{n % 7}wiki", 1000 + n * 7919 % pages, 1000000 + n
        slot = {"slot_role": "main", "content_model": "wikitext", "content_format": "text/x-wiki",
                "content_sha1": "9qkhxd9p0yjmr3ig4ax1zrqmsn2bw0d", "content_size": 4096, "origin_rev_id": rev}
        user = {"user_text": "Müllerin", "groups": ["*", "user", "autoconfirmed"], "is_bot": False, "is_system": False,
                "is_temp": False, "user_id": 4711, "edit_count": 1234, "registration_dt": "2019-02-03T04:05:06Z"}
        event = {
            "$schema": "/mediawiki/page/change/1.2.0", "changelog_kind": "update", "page_change_kind": "edit",
            "dt": "2024-05-06T07:08:09Z", "wiki_id": wiki, "comment": "/* History */ the \"old\" race",
            "meta": {"stream": "mediawiki.page_change.v1", "id": f"00000000-0000-4000-8000-{n:012d}",
                     "dt": "2024-05-06T07:08:09.123Z", "domain": f"w{n % 7}.example.org",
                     "uri": f"https://w{n % 7}.example.org/wiki/Mill_{page}",
                     "request_id": f"11111111-0000-4000-8000-{n:012d}"},
            "page": {"page_id": page, "page_title": f"Mill_{page}", "namespace_id": 0, "is_redirect": False},
            "performer": user,
            "revision": {"rev_id": rev, "rev_dt": "2024-05-06T07:08:09Z", "rev_parent_id": rev - 1,
                         "rev_sha1": "9qkhxd9p0yjmr3ig4ax1zrqmsn2bw0d", "rev_size": 4096, "is_minor_edit": False,
                         "comment": "/* History */ the \"old\" race", "is_comment_visible": True,
                         "is_editor_visible": True, "is_content_visible": True, "editor": user,
                         "content_slots": {"main": slot}},
            "prior_state": {"revision": {"rev_id": rev - 1, "rev_dt": "2024-05-05T07:08:09Z", "rev_size": 4000,
                                         "content_slots": {"main": slot}}},
        }
        key = json.dumps({"wiki_id": wiki, "page_id": page}).encode()
        records.append((key, json.dumps(event, ensure_ascii=False).encode()))
    return records


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.passing = self.folder / "pass.lua"
        self.passing.write_text(PASS_SCRIPT)
        self.cluster = None
        self.rows = []

    def open_cluster(self):
        if self.cluster is None:
            self.cluster = kafka.Kafka(heap="1g")
        return self.cluster

    def close(self):
        if self.cluster:
            self.cluster.close()

    def wanted(self, name):
        return re.search(self.options.only, name) is not None

    def row(self, name, events, seconds, cpu, loop, calls, peak, rss):
        cells = (name, events, f"{events / seconds:.0f}" if events else "-",
                 f"{cpu / events * 1e6:.0f}" if events else "-", f"{loop / events * 1e6:.0f}" if events and loop else "-",
                 f"{cpu / seconds * 100:.1f}", f"{calls / events:.2f}" if events and calls is not None else "-",
                 f"{peak:.0f} MiB", f"{rss:.0f} MiB" if rss else "-")
        print(FORMAT.format(*cells), flush=True)

    def job(self, url, script, change=None):
        stub = argparse.Namespace(url=url)
        base = {"http": {"upstreams": {"mediawiki": {"concurrency": self.options.concurrency, "max_body": "8MiB"}}},
                "limits": {"records": 10000, "memory": "512MiB"}, "log": {"level": "warn"}}
        return job.Job(self.folder / f"job{next(job.numbers)}", self.open_cluster(), stub, script=script,
                       change=engine.merged(base, change or {}))

    def _watch(self, made, events, name, calls=True):
        """From the moment the engine is ready to the end of the last event."""
        usage = Usage(made.process.pid)
        began, before = time.monotonic(), usage.threads()
        while True:
            metrics = made.metrics()
            if sum(metrics.sum("millrace_events_total", outcome=o) for o in ("enriched", "passed", "failed")) >= events:
                break
            made._must_live()
            time.sleep(0.1)
        seconds = time.monotonic() - began
        cpu, loop = usage.since(before)
        failed = metrics.sum("millrace_events_total", outcome="failed")
        if failed:
            print(f"  {failed:.0f} events failed:\n{made.story()}")
        self.row(name, events, seconds, cpu, loop,
                 metrics.sum("millrace_http_requests_total") if calls else None,
                 usage.status("VmHWM"), usage.status("VmRSS"))

    def backlog(self, name, events, body, latency_ms, script, change=None):
        """Everything is in the topic when the engine starts: how fast it comes through."""
        if not self.wanted(name):
            return
        events = int(events * self.options.scale)
        stub = ApiStub(self.options.stub, body, latency_ms)
        made = self.job(stub.url, script, change)
        try:
            self.cluster.send(made.source_topic, make_events(events, max(100, events // 3)))
            made.start()
            self._watch(made, events, name, script != self.passing)
        finally:
            made.close()
            stub.close()

    def live(self, name, rate, body, latency_ms, seconds):
        """Events come in at an even rate: what the engine takes of the machine."""
        if not self.wanted(name):
            return
        seconds *= self.options.scale
        stub = ApiStub(self.options.stub, body, latency_ms)
        made = self.job(stub.url, engine.SCRIPT)
        try:
            records = make_events(int(rate * seconds) + 10, 5000)
            made.start()
            usage = Usage(made.process.pid)
            producer = self.cluster.producer()
            time.sleep(2)
            began, before = time.monotonic(), usage.threads()
            for n, (key, value) in enumerate(records[10:]):
                wait = began + n / rate - time.monotonic()
                if wait > 0.002:
                    time.sleep(wait)
                producer.produce(made.source_topic, value, key)
                producer.poll(0)
            producer.flush(20)
            spent = time.monotonic() - began
            cpu, loop = usage.since(before)
            metrics = made.metrics()
            self.row(name, len(records) - 10, spent, cpu, loop, metrics.sum("millrace_http_requests_total"),
                     usage.status("VmHWM"), usage.status("VmRSS"))
        finally:
            made.close()
            stub.close()

    def idle(self, name, seconds):
        if not self.wanted(name):
            return
        stub = ApiStub(self.options.stub, 2000, 0)
        made = self.job(stub.url, engine.SCRIPT)
        try:
            made.start()
            time.sleep(3)
            usage = Usage(made.process.pid)
            began, before = time.monotonic(), usage.threads()
            time.sleep(seconds)
            cpu, loop = usage.since(before)
            self.row(name, 0, time.monotonic() - began, cpu, loop, None, usage.status("VmHWM"), usage.status("VmRSS"))
        finally:
            made.close()
            stub.close()

    @staticmethod
    def _watch_memory(process):
        """Its peak RSS and its usage at its end; the peak that wait4 knows is that of this program before exec."""
        peak = 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return peak, usage
            try:
                peak = max(peak, Usage(process.pid).status("VmHWM"))
            except (OSError, TypeError):
                pass  # it is between its end and its being waited for
            time.sleep(0.02)

    def enrich(self, name, events, body, latency_ms, script):
        """File to file, without Kafka."""
        if not self.wanted(name):
            return
        events = int(events * self.options.scale)
        stub = ApiStub(self.options.stub, body, latency_ms)
        source, output = self.folder / "in.jsonl", self.folder / "out.jsonl"
        source.write_bytes(b"".join(value + b"\n" for _, value in make_events(events, max(100, events // 3))))
        try:
            began = time.monotonic()
            process = subprocess.Popen(
                [self.options.binary, "enrich", str(script), str(source), "--endpoint", stub.url], cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=open(output, "wb"), stderr=subprocess.PIPE)
            peak, usage = self._watch_memory(process)
            told = process.stderr.read()
            if process.returncode:
                print(f"  exit status {process.returncode}: {told.decode(errors='replace')[-500:]}")
            self.row(name, events, time.monotonic() - began, usage.ru_utime + usage.ru_stime, None, None, peak, None)
        finally:
            stub.close()

    def run(self):
        print(FORMAT.format(*HEADINGS))
        content = engine.SCRIPT
        self.enrich("enrich, no lookup", 50000, 2000, 0, self.passing)
        self.enrich("enrich, 2 kB, 0 ms", 20000, 2000, 0, content)
        self.enrich("enrich, 2 kB, 20 ms", 20000, 2000, 20, content)
        self.enrich("enrich, 70 kB, 0 ms", 5000, 70000, 0, content)
        self.idle("idle", 8)
        self.live("live 200/s, 70 kB, 100 ms", 200, 70000, LATENCY_MS, 10)
        self.backlog("Kafka, no lookup", 50000, 2000, 0, self.passing)
        self.backlog("Kafka, 2 kB, 0 ms", 20000, 2000, 0, content)
        self.backlog("Kafka, 2 kB, 100 ms", 20000, 2000, LATENCY_MS, content)
        self.backlog("Kafka, 70 kB, 100 ms", 5000, 70000, LATENCY_MS, content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?", default=str(ROOT / "build" / "millrace"))
    parser.add_argument("--stub", help="the program apistub; beside the binary, in bench/, unless given")
    parser.add_argument("--only", default="", help="scenarios whose name this regular expression finds: --only 'idle|70 kB'")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of events")
    parser.add_argument("--concurrency", type=int, default=256, help="calls in flight")
    options = parser.parse_args()
    options.binary = str(Path(options.binary).resolve())
    options.stub = options.stub or str(Path(options.binary).parent / "bench" / "apistub")
    os.environ["MILLRACE"] = options.binary
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        import_tests()
        bench = Bench(options, folder)
        try:
            bench.run()
        except kafka.Unavailable as why:
            print(f"without Kafka: {why}")
        finally:
            bench.close()


def import_tests():
    """After MILLRACE is set: engine.py reads it when it is imported."""
    global engine, job, kafka
    import engine
    import job
    import kafka


if __name__ == "__main__":
    main()

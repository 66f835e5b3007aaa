"""A job under load in a world that can be harmed: brokers and API behind a proxy, a store, a crew of workers."""

import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from copy import copy
from pathlib import Path

import check
import cover
import engine
import events
from job import Job

QUICK = {"session.timeout.ms": "2500", "heartbeat.interval.ms": "500", "reconnect.backoff.max.ms": "1000"}
MAX_BODY = 1 << 20
DOOMED = [53, 7]  # revisions whose answer outgrows max_body for ever
SLACK = 2.0  # seconds for a checkpoint to be decided, written and flushed on a busy machine, beyond its interval
NUMBER = "x-number"  # header by which a record of the source topic is known again
RECOVERY = 15.0  # seconds after a fault in which it may still hold up checkpoints
DEEDS = ["error", "index", "nil", "empty", "number", "fail", "recursion", "loop", "huge"]


def script_folder(folder):
    """The shipped scripts with what leads them astray, to be edited at will."""
    shutil.copytree(engine.ROOT / "scripts", folder, ignore=shutil.ignore_patterns("*.mk", "examples", "samples"))
    shutil.copy(engine.ROOT / "tests" / "system" / "scripts" / "wayward.lua", folder)
    shutil.copy(Path(__file__).parent / "scripts" / "chaos.lua", folder)
    return folder / "chaos.lua"


class Feeder:
    """Sends what a Maker makes, at a rate, until told to stop. What became of it in the source topic is read there:
    a delivery report does not always know the offset (of a batch sent twice, when a broker dies), and a record that
    stands there twice is two. An idempotent producer would do neither, but dies of a broker that lost its followers
    (librdkafka 2.0.2: OUT_OF_ORDER_SEQUENCE_NUMBER after NOT_ENOUGH_REPLICAS)."""

    def __init__(self, job, seed, rate):
        self.job, self.rate = job, rate
        self.rng = random.Random(seed)
        self.maker = events.Maker(seed, pages=400)
        self.poison = list(events.poison(self.maker).values())
        self.spice = {"poison": 0.01, "deeds": 0.0}
        self.made, self.delivered, self.failure = [], set(), None
        self.ending = threading.Event()
        self.producer = job.cluster.producer(**{
            "enable.idempotence": False, "acks": "all", "max.in.flight": 1, "message.timeout.ms": 600000})
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def _event(self):
        share = self.rng.random()
        if share < self.spice["poison"]:
            return events.Event(self.rng.choice(self.poison), b"poison", "failed", timestamp=1700000000000)
        if share < self.spice["poison"] + self.spice["deeds"]:
            told = f"{self.rng.choice(['request', 'transform'])}:{self.rng.choice(DEEDS)}"
            event = self.maker.event(outcome="failed", change=lambda value: value.update(comment=told))
            event.about = told
            return event
        event = self.maker.mixed(1)[0]
        if event.outcome == "enriched" and event.rev % DOOMED[0] == DOOMED[1]:
            event.outcome, event.error, event.about = "failed", "ContentTooLarge", "a large answer"
        return event

    def _reported(self, number):
        def report(error, message):
            if error:
                self.failure = f"the tests' own producer failed: {error}"
            self.delivered.add(number)
        return report

    def _run(self):
        due = time.monotonic()
        while not self.ending.is_set() and not self.failure:
            event = self._event()
            event.headers = [*event.headers, (NUMBER, b"%d" % len(self.made))]
            self.made.append(event)
            key, value, headers, timestamp = event.record()
            self.producer.produce(self.job.source_topic, value, key, headers=headers, timestamp=timestamp,
                                  on_delivery=self._reported(len(self.made) - 1))
            self.producer.poll(0)
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        self.ending.set()
        self.thread.join()
        self.producer.flush(120)
        assert not self.failure, self.failure
        missing = set(range(len(self.made)))
        for message in self.job.cluster.read(self.job.source_topic):
            number = int(dict(message.headers())[NUMBER])
            self.job.ledger.sent[message.topic(), message.partition(), message.offset()] = self.made[number]
            missing.discard(number)
        assert not missing and len(self.delivered) == len(self.made), (
            f"the source topic lacks {len(missing)} of {len(self.made)} records; {len(self.delivered)} were reported")


class World:
    """One job, its crew, its feeder and what is done to them; the verifier is asked by verify()."""

    def __init__(self, folder, brokers, stub, api_port, proxy, seed, store=None, change=None, partitions=3,
                 regulars=1):
        self.folder, self.brokers, self.stub, self.proxy, self.api_port = Path(folder), brokers, stub, proxy, api_port
        self.seed, self.rng = seed, random.Random(seed)
        self.store, self.deaths, self.journal, self.disturbed, self.fenced = store, [], [], [], True
        self.plan, self.regulars = [], regulars
        self.script = script_folder(self.folder / "scripts")
        interval = self.rng.choice([0.2, 0.5, 1.0])
        base = {
            "source": {"kafka": {"bootstrap.servers": brokers.proxied, **QUICK}},
            "sink": {"kafka": {"bootstrap.servers": brokers.proxied}},
            "errors": {"kafka": {"bootstrap.servers": brokers.proxied}},
            "script": {"params": {"missing": "fail"}, "budget": "200ms", "memory": "32MiB", "reload": "watch"},
            "http": {"retry": {"attempts": 100, "base": "50ms", "cap": "1s", "deadline": "10m"},
                     "upstreams": {"mediawiki": {"url": f"http://127.0.0.1:{api_port}/w/api.php", "timeout": "2s",
                                                 "max_body": f"{MAX_BODY >> 20}MiB"}}},
            "order": self.rng.choice(["key", "key", "key", "partition", "none"]),
            "limits": {"records": self.rng.choice([50, 200, 400]), "memory": self.rng.choice(["128MiB", "512MiB"])},
            "checkpoint": {"interval": f"{int(interval * 1000)}ms", **({"dir": str(store)} if store else {})},
        }
        self.interval = interval
        stub.reset()
        stub._steer("record", False)
        self.usual()
        self.job = Job(self.folder / "first", brokers, stub, partitions=partitions, script=self.script,
                       change=engine.merged(base, change or {}))
        self.partitions = partitions
        for topic in (self.job.sink_topic, self.job.error_topic):
            brokers.alter(topic, message_timestamp_type="LogAppendTime")
        self.job.expected = False
        self.crew = [self.job]
        self.feeder = Feeder(self.job, seed, rate=self.rng.choice([50, 120, 250]))
        self.began = time.time()

    # --- the crew

    def usual(self):
        """The API as it is on a good day."""
        self.stub.latency(0.005, 0.08, slow=0.6, slow_share=0.02)
        self.storm()

    def storm(self, *rules):
        self.stub.rules({"modulus": DOOMED, "do": "large", "padding": 2 * MAX_BODY}, *rules)

    def member(self, number):
        """The worker of this number; the same topics, group, ledger and store as the first."""
        while len(self.crew) <= number:
            other = copy(self.job)
            other.folder = self.folder / f"member{len(self.crew)}"
            other.folder.mkdir()
            other.log, other.process, other.lives = other.folder / "stderr.log", None, 0
            self.crew.append(other)
        return self.crew[number]

    def start(self, number=0, env=None):
        worker = self.member(number)
        if not alive(worker):
            worker.expected = False
            worker.start(ready=False, env={"TZ": "UTC", **(env or {})})
            self.tell(f"worker {number} starts, life {worker.lives}, pid {worker.process.pid}")

    def start_regulars(self):
        for number in range(self.regulars):
            self.start(number)

    def must_live(self):
        """What nobody killed must live: no trouble of others ends a worker."""
        for number, worker in enumerate(self.crew):
            if worker.process and worker.process.poll() is not None and not worker.expected:
                raise AssertionError(f"worker {number} ended by itself with {worker.process.returncode}")

    def kill(self, number=0, draining=None):
        """kill -9; with `draining` so many seconds after a SIGTERM, unless it has ended by then."""
        worker = self.member(number)
        if alive(worker):
            worker.expected = True
            if draining is not None:
                worker.signal(signal.SIGTERM)
                time.sleep(draining)
            worker.kill()
            self.mourn(f"kill -9 of worker {number}, life {worker.lives}")

    def mourn(self, who):
        """Right after a death, before any restart: what do the durable notes cover?"""
        at = time.time()
        files = cover.of_files(self.store, self.job.group, self.job.source_topic) if self.store else {}
        try:
            commits = cover.of_commits(self.brokers.bootstrap, self.job.group, self.job.source_topic, self.partitions)
        except OSError as why:
            commits = {}
            self.tell(f"the commits cannot be read: {why}")
        try:
            ends = self._settled_ends()
        except Exception as why:  # a broker is away, too
            return self.tell(f"{who}; the ends of its outputs cannot be read: {why}")
        notes = cover.joined(commits, files)
        self.deaths.append(check.Death(
            f"{who} at {check.clock(at)}", at, notes, ends, self.undisturbed_since(at), self.lost_before(at)))
        self.tell(f"{who}; notes: " + "; ".join(
            f"partition {p}: " + " and ".join(f"{'file' if n.wall else 'commit'} {n.offset}+{len(n.ranges)}" for n in ns)
            for p, ns in sorted(notes.items())))

    def _settled_ends(self, seconds=1.0):
        """The ends of outputs and errors, once what the dead had on the wire has arrived."""
        deadline, ends = time.monotonic() + seconds, None
        while True:
            before, ends = ends, {topic: self.brokers.ends(topic)
                                  for topic in (self.job.sink_topic, self.job.error_topic)}
            if ends == before or time.monotonic() > deadline:
                return ends
            time.sleep(0.1)

    def undisturbed_since(self, at):
        """What finished before this had an undisturbed checkpoint since: one interval and the slack before `at`,
        counted from before anything that was done to the world in that time."""
        since = at - self.interval - SLACK
        for began, ended in sorted(self.disturbed, key=lambda span: span[0], reverse=True):
            if (ended or at) + RECOVERY >= since:
                since = min(since, began - self.interval - SLACK)
        return since

    def lost_before(self, at):
        """When partitions were assigned last after some had been lost, by the logs (in UTC, whole seconds); 0: never."""
        latest = 0.0
        for worker in self.crew:
            lost = False
            for line in worker.stderr().splitlines():
                lost |= "were lost: others may read them" in line
                match = lost and re.match(r"(\d\d):(\d\d):(\d\d) info  source: \d+ partitions assigned", line)
                if match:
                    hours, minutes, seconds = map(int, match.groups())
                    ago = (at - (hours * 3600 + minutes * 60 + seconds)) % 86400
                    latest, lost = max(latest, at - ago + 1), False
        return latest

    # --- what happens

    def tell(self, what):
        self.journal.append((time.time(), what))

    def run(self, plan, calm=0.0):
        """Does what the plan says, when it says so; `plan` is a list of faults.Planned."""
        self.plan += plan
        try:
            self._run(plan)
        except AssertionError as why:
            raise AssertionError(f"{why}\n{self.story()}") from None
        time.sleep(calm)

    def _run(self, plan):
        started, due = time.monotonic(), []
        for planned in plan:
            due.append((planned.at, True, planned))
            due.append((planned.at + planned.seconds, False, planned))
        for at, begins, planned in sorted(due, key=lambda d: (d[0], d[1])):
            while time.monotonic() - started < at:
                self.must_live()
                time.sleep(min(0.1, max(0.0, at - (time.monotonic() - started))))
            if begins:
                planned.span = [time.time(), None]
                if planned.fault.disturbs:
                    self.disturbed.append(planned.span)
                self.fenced &= planned.fault.fenced
                self.tell(f"{planned.fault.name} begins: {planned.fault.begin(self) or ''}")
            else:
                planned.fault.end(self)
                planned.span[1] = time.time()
                self.tell(f"{planned.fault.name} ends")

    def finish(self):
        """Everybody is well again, all of it gets done, and the verifier is content."""
        try:
            self.feeder.stop()
            self.start_regulars()
            self._until_done()
            accounts = self._accounts()
        except AssertionError as why:
            raise AssertionError(f"{why}\n{self.story()}") from None
        report = self.verify(accounts)
        for worker in self.crew:
            if alive(worker):
                worker.expected = True
                worker.stop()
        return report

    def _until_done(self):
        job, deadline = self.job, time.monotonic() + 2 * engine.PATIENCE
        while True:
            self.must_live()
            done = job.cluster.committed(job.group, job.source_topic)
            if sum(done.values()) == job.cluster.count(job.source_topic):
                return
            assert time.monotonic() < deadline, (
                f"it never got done: committed {done} of {job.cluster.ends(job.source_topic)}")
            time.sleep(0.2)

    def _accounts(self):
        """Promise 4 of each living worker, once it is at rest."""
        accounts = []
        for number, worker in enumerate(self.crew):
            if alive(worker):
                engine.until("nothing is open", lambda w=worker: w.metrics().sum("millrace_open_records") == 0,
                             story=worker.story)
                accounts.append((f"worker {number}", *check.balance(worker.metrics())))
        return accounts

    def verify(self, accounts=()):
        job = self.job
        report = job.ledger.check(
            job.outputs(), job.failures(), job.stream, job.error_stream, job.order, None, "page_content_enrich",
            self.deaths, accounts, ("HostUnavailable",), self.fenced)
        return report.require(True, self.story())

    def story(self):
        """All that is needed to look into a failure, and to do it again."""
        lines = [f"--- seed {self.seed}; order {self.job.order}, interval {self.interval} s, "
                 f"store {self.store}, records {self.job.config['limits']['records']}",
                 f"sent {dict(Counter(event.outcome for event in list(self.feeder.made)))}", "--- planned:"]
        lines += [f"    {planned}" for planned in self.plan]
        lines += ["--- what happened:", *(f"    {check.clock(at)} {what}" for at, what in self.journal)]
        for worker in self.crew:
            lines.append(worker.story())
        return "\n".join(lines)

    def close(self):
        self.feeder.ending.set()
        for planned in self.plan:
            if planned.span and planned.span[1] is None:
                planned.fault.end(self)
        for worker in self.crew:
            if alive(worker):
                worker.process.send_signal(signal.SIGCONT)
            worker.close()


def show(world, capsys, title, report):
    """The numbers of a run, also of one that went well."""
    with capsys.disabled():
        print(f"\n[{title}] seed {world.seed}, order {world.job.order}, interval {world.interval} s, "
              f"{len(world.crew)} workers, "
              f"{'store' if world.store else 'no store'}, {len(world.journal)} happenings\n    "
              + "\n    ".join(report.summary()), flush=True)


def alive(worker):
    return worker.process is not None and worker.process.poll() is None


class Tmpfs:
    """A small file system of its own, for a store that can get full."""

    def __init__(self, folder, size="4m"):
        self.folder = Path(folder)
        self.folder.mkdir()
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "millrace-chaos", str(self.folder)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.why = result.stdout.strip() if result.returncode else None

    def fill(self):
        with open(self.folder / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 4096)
            except OSError:
                pass

    def empty(self):
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self):
        if not self.why:
            subprocess.run(["umount", "-l", str(self.folder)], stdin=subprocess.DEVNULL, check=True)

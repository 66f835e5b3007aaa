"""The catalogue of faults. Each begins, lasts, and ends; what it does beyond that follows from its own seed.

A new one is a class with `begin(world)`, which answers what it did, and `end(world)`, which makes it good again;
neither waits. `CATALOGUE` has them all, and every test takes them from there."""

import random
import signal

from world import MAX_BODY, alive


class Fault:
    low, high = 1.0, 3.0  # seconds that it lasts
    disturbs = True  # it may hold up checkpoints
    fenced = True  # no worker can send anything after another took its partitions
    root = False  # needs a file system of its own

    def __init__(self, seed):
        self.rng = random.Random(seed)

    @property
    def name(self):
        return next(name for name, kind in CATALOGUE.items() if type(self) is kind)

    def begin(self, world):
        raise NotImplementedError

    def end(self, world):
        pass


class Planned:
    """A fault at its time in a schedule."""

    def __init__(self, kind, at, seconds, seed):
        self.fault, self.at, self.seconds, self.span = kind(seed), at, seconds, None

    def __str__(self):
        return f"{self.at:6.2f} s, for {self.seconds:.2f} s: {self.fault.name}"


def plan(rng, names, seconds, count):
    """`count` of these faults at random times; they may overlap. Every fifth is a kill: the worst with all else."""
    planned = []
    for _ in range(count):
        kind = CATALOGUE["kill -9" if rng.random() < 0.2 else rng.choice(names)]
        planned.append(Planned(kind, rng.uniform(0.5, seconds), rng.uniform(kind.low, kind.high), rng.random()))
    return sorted(planned, key=lambda p: p.at)


def in_turn(rng, names, calm):
    """Each of these faults once, one after another, with so many seconds of peace between."""
    planned, at = [], 1.0
    for name in rng.sample(names, len(names)):
        kind = CATALOGUE[name]
        planned.append(Planned(kind, at, rng.uniform(kind.low, kind.high), rng.random()))
        at += planned[-1].seconds + calm
    return planned


# --- the process

class Kill(Fault):
    """kill -9, and a start some time later."""

    low, high, disturbs = 0.0, 1.5, False

    def begin(self, world):
        self.number = self.rng.randrange(world.regulars)
        draining = self.rng.uniform(0, 0.4) if self.rng.random() < 0.2 else None
        world.kill(self.number, draining)
        return f"worker {self.number}" + (f", {draining:.2f} s after SIGTERM" if draining else "")

    def end(self, world):
        world.start(self.number)


class Stop(Fault):
    """SIGTERM, and a start when it has drained."""

    low, high = 0.5, 1.5

    def begin(self, world):
        worker = world.member(0)
        if alive(worker):
            worker.expected = True
            worker.signal(signal.SIGTERM)

    def end(self, world):
        if world.member(0).expected:
            drained(world.member(0))
            world.start(0)


def drained(worker):
    """After SIGTERM; other faults may have put it to sleep, or killed it."""
    if alive(worker):
        worker.signal(signal.SIGCONT)
    code = worker.wait()
    assert code in (0, -signal.SIGKILL), f"SIGTERM: exit code {code}"


class Sleep(Fault):
    """SIGSTOP for longer than the session: its partitions are lost while it knows nothing of it."""

    low, high, fenced = 3.5, 6.0, False

    def begin(self, world):
        self.worker = world.member(0)
        if alive(self.worker):
            self.worker.signal(signal.SIGSTOP)

    def end(self, world):
        if alive(self.worker):
            self.worker.signal(signal.SIGCONT)


class Nap(Sleep):
    """SIGSTOP for shorter than the session."""

    low, high, fenced = 0.3, 1.5, True


class Member(Fault):
    """One more worker joins, and leaves by SIGTERM or kill -9."""

    low, high, fenced = 2.0, 6.0, False

    def begin(self, world):
        self.killed = self.rng.random() < 0.5
        self.number = world.regulars
        world.start(self.number)
        return "to be killed" if self.killed else "to be stopped"

    def end(self, world):
        worker = world.member(self.number)
        if self.killed:
            world.kill(self.number)
        elif alive(worker):
            worker.expected = True
            worker.signal(signal.SIGTERM)
            drained(worker)


# --- the brokers

class BrokerKill(Fault):
    """kill -9 of one broker of three."""

    low, high, how = 2.0, 5.0, "kill"

    def begin(self, world):
        self.node = self.rng.choice(world.brokers.nodes)
        if alive(self.node):
            self.node.kill() if self.how == "kill" else self.node.process.terminate()
        return f"broker {self.node.node}"

    def end(self, world):
        if alive(self.node) and self.how == "stop":
            self.node.signal(signal.SIGCONT)
            self.node.stop()
        if not alive(self.node):
            self.node.start(wait=False)


class BrokerRestart(BrokerKill):
    """A broker is shut down in order, and started."""

    how = "stop"


class BrokerSleep(Fault):
    """A broker that holds its connections and answers nothing."""

    low, high = 1.0, 5.0

    def begin(self, world):
        self.node = self.rng.choice(world.brokers.nodes)
        if alive(self.node):
            self.node.signal(signal.SIGSTOP)
        return f"broker {self.node.node}"

    def end(self, world):
        if alive(self.node):
            self.node.signal(signal.SIGCONT)


class BrokersLost(Fault):
    """Two of three brokers are gone: nothing can be written with two copies."""

    low, high = 2.0, 4.0

    def begin(self, world):
        self.nodes = self.rng.sample(world.brokers.nodes, 2)
        for node in self.nodes:
            if alive(node):
                node.kill()
        return f"brokers {[node.node for node in self.nodes]}"

    def end(self, world):
        for node in self.nodes:
            if not alive(node):
                node.start(wait=False)


# --- the network

class Network(Fault):
    """The proxy does harm on the way to the brokers (all, or one), or to the API."""

    to = "kafka"

    def order(self):
        raise NotImplementedError

    def begin(self, world):
        self.ports = [world.api_port]
        if self.to == "kafka":
            ports = [int(node.proxied.rsplit(":", 1)[1]) for node in world.brokers.nodes]
            self.ports = ports if self.rng.random() < 0.5 else [self.rng.choice(ports)]
        order = self.order()
        for port in self.ports:
            world.proxy.do(port, **order)
        return f"{order}, {len(self.ports)} routes"

    def end(self, world):
        for port in self.ports:
            world.proxy.do(port, "ok", reset=self.rng.random() < 0.5)


class Delay(Network):
    def order(self):
        return {"what": "delay", "seconds": self.rng.choice([0.01, 0.1, 0.5]), "jitter": True}


class Cut(Network):
    """All connections are reset, and new ones refused."""

    def order(self):
        return {"what": "cut"}


class CutMidway(Network):
    """Connections are reset in the middle of what they carry, again and again."""

    def order(self):
        return {"what": "cut", "bytes": self.rng.choice([2000, 20000, 200000])}


class Hole(Network):
    """Nothing comes through, one way or both, and nobody is told."""

    low, high = 1.0, 5.0
    fenced = False

    def order(self):
        return {"what": "hole", "way": self.rng.choice(["up", "down", "both"])}


class ApiDelay(Delay):
    to, disturbs = "api", False


class ApiCut(Cut):
    to, disturbs = "api", False


class ApiCutMidway(CutMidway):
    to, disturbs = "api", False


class ApiHole(Hole):
    to, disturbs, fenced = "api", False, True


# --- the API

class Storm(Fault):
    """Most answers of the API, or of one wiki, are of one kind."""

    disturbs = False
    rule = {}

    def begin(self, world):
        rule = {**self.rule, "share": self.rng.choice([0.5, 0.9, 1.0])}
        if self.rng.random() < 0.3:
            rule["host"] = "ja.wikipedia.org"
        world.storm(rule)
        return str(rule)

    def end(self, world):
        world.usual()


def storm(**rule):
    return type("Storm", (Storm,), {"rule": rule, "__doc__": f"The API answers {rule}."})


# --- the disk

class StoreFull(Fault):
    """The file system of the checkpoint files is full."""

    low, high, root = 1.0, 4.0, True

    def begin(self, world):
        world.tmpfs.fill()

    def end(self, world):
        world.tmpfs.empty()


# --- the script and the events

BAD_SCRIPTS = {
    "syntax error": "local x = = 1\nreturn {}",
    "raises": "error 'as told'",
    "nothing": "",
    "no table": "return 7",
    "no hooks": "return {api = 1}",
    "selftest fails": "return {api = 1, transform = function(e) return e end, selftest = function() error 'no' end}",
    "loops when loaded": "while true do end",
    "too big when loaded": "local t = ('x'):rep(1048576) while true do t = t .. t end",
    "selftest loops": "return {api = 1, transform = function(e) return e end, selftest = function() while true do end end}",
    "binary": "\x1bLJ\x02\x00",
}


class BadScript(Fault):
    """A script that cannot serve is written over the one that runs."""

    disturbs = False

    def begin(self, world):
        name = self.rng.choice(list(BAD_SCRIPTS))
        self.good = getattr(world, "good_script", None) or world.script.read_text()
        world.good_script = self.good
        world.script.write_text(BAD_SCRIPTS[name])
        return name

    def end(self, world):
        world.script.write_text(self.good)


class ScriptChange(BadScript):
    """A good script is edited, again and again."""

    def begin(self, world):
        self.good = getattr(world, "good_script", None) or world.script.read_text()
        world.good_script = self.good
        world.script.write_text(self.good + f"-- {self.rng.random()}\n")


class Poison(Fault):
    """Much of what comes is no event."""

    disturbs, kind = False, "poison"
    share = 0.4

    def begin(self, world):
        self.before = world.feeder.spice[self.kind]
        world.feeder.spice[self.kind] = self.share

    def end(self, world):
        world.feeder.spice[self.kind] = self.before


class Burst(Fault):
    """Much more comes than usual: everything is in use at once."""

    disturbs, factor = False, 10

    def begin(self, world):
        world.feeder.rate *= self.factor

    def end(self, world):
        world.feeder.rate /= self.factor


class Lull(Burst):
    """Hardly anything comes."""

    factor = 0.02


class Deeds(Poison):
    """Events on which the script loops, hoards memory, recurses, raises or answers nonsense."""

    kind, share = "deeds", 0.05


CATALOGUE = {
    "kill -9": Kill,
    "stop": Stop,
    "sleep": Sleep,
    "nap": Nap,
    "member": Member,
    "broker kill": BrokerKill,
    "broker restart": BrokerRestart,
    "broker sleep": BrokerSleep,
    "brokers lost": BrokersLost,
    "kafka delay": Delay,
    "kafka cut": Cut,
    "kafka cut midway": CutMidway,
    "kafka hole": Hole,
    "api delay": ApiDelay,
    "api cut": ApiCut,
    "api cut midway": ApiCutMidway,
    "api hole": ApiHole,
    "api 503": storm(do="status", status=503),
    "api 429": storm(do="status", status=429, headers={"Retry-After": "1"}),
    "api 429 without a time": storm(do="status", status=429),
    "api maxlag": storm(do="maxlag", after=1),
    "api timeout": storm(do="hang"),
    "api reset": storm(do="reset"),
    "api truncated": storm(do="truncate"),
    "api cut short": storm(do="cut"),
    "api not JSON": storm(do="html"),
    "api malformed": storm(do="malformed"),
    "api not HTTP": storm(do="garbage"),
    "api slow drip": storm(do="drip", over=1.5),
    "api stalls": storm(do="stall"),
    "api large": storm(do="large", padding=MAX_BODY * 3 // 4),
    "store full": StoreFull,
    "bad script": BadScript,
    "script change": ScriptChange,
    "burst": Burst,
    "lull": Lull,
    "poison": Poison,
    "deeds": Deeds,
}

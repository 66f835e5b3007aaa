"""Brokers for the tests: a real Apache Kafka (KRaft, one node or three), or librdkafka's mock cluster in its place."""

import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache" / "kafka"
START_SECONDS = 120


class Unavailable(Exception):
    """No such broker can be had on this machine; the text says why."""


def die_with_parent():
    """For preexec_fn: whatever becomes of the tests, no process of theirs stays behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _ports():
    """Ports below those that the kernel gives to outgoing connections, which would take a free one any moment.

    Test runs side by side begin at different ones, and go through them in turn."""
    first, end = 10000, 32000
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    port = first + random.Random(f"{os.getpid()} {worker}").randrange(end - first)
    while True:
        port = port + 1 if port + 1 < end else first
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


PORTS = _ports()


def free_ports(count):
    return [next(PORTS) for _ in range(count)]


def jars():
    """The folder with Kafka's jars, fetched by Maven the first time, by one of the runs side by side."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with open(CACHE.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _fetched_jars()


def _fetched_jars():
    pom = HERE / "kafka" / "pom.xml"
    done = CACHE / "complete"
    if done.exists() and done.read_text() == pom.read_text():
        return CACHE
    if not shutil.which("mvn") or not shutil.which("java"):
        raise Unavailable("mvn or java is not installed (tests/setup test)")
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    for attempt in range(3):
        result = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={CACHE}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, text=True)
        if result.returncode == 0:
            done.write_text(pom.read_text())
            return CACHE
        time.sleep(2)
    raise Unavailable("Maven could not fetch Kafka's jars: " + result.stdout.strip()[:600])


class Cluster:
    """What tests may do with either kind of broker."""

    bootstrap = None
    real = False
    _counter = None

    def settings(self, **more):
        """Of the tests' own clients; quiet, since brokers die here on purpose."""
        return {"bootstrap.servers": self.bootstrap, "log_level": 0, **more}

    def wait_ready(self, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            try:
                metadata = AdminClient(self.settings()).list_topics(timeout=5)
                if metadata.brokers:
                    return
            except KafkaException:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the broker did not come up; it said:\n{self.log_tail()}")
            time.sleep(0.1)

    def log_tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])

    def producer(self, **properties):
        return Producer(self.settings(**{
            "partitioner": "murmur2_random", "linger.ms": 5, "message.max.bytes": 20000000,
            "queue.buffering.max.messages": 1000000, **properties}))

    def send(self, topic, records):
        """Produces (key, value[, headers[, timestamp]]) in order and answers [(partition, offset)]."""
        places = [None] * len(records)
        producer = self.producer()

        def reported(index):
            def report(error, message):
                assert error is None, f"the tests' own producer failed: {error}"
                places[index] = (message.partition(), message.offset())
            return report

        for index, record in enumerate(records):
            key, value, headers, timestamp = (tuple(record) + (None,) * 4)[:4]
            extra = {"timestamp": timestamp} if timestamp else {}
            producer.produce(topic, value, key, headers=headers, on_delivery=reported(index), **extra)
            producer.poll(0)
        left = producer.flush(60)
        assert left == 0 and None not in places, f"{left} records of the tests' own were not delivered"
        return places

    def read(self, topic):
        """Every message the topic holds now, partition by partition."""
        consumer = Consumer(self.settings(**{
            "group.id": f"reader-{uuid.uuid4()}", "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20, "fetch.message.max.bytes": 20000000, "receive.message.max.bytes": 200000000}))
        try:
            return self._read(consumer, topic)
        finally:
            consumer.close()

    @staticmethod
    def _read(consumer, topic):
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        ends = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            if high > low:
                ends[partition] = (low, high)
        consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
        messages, open_partitions = [], set(ends)
        deadline = time.monotonic() + 60
        while open_partitions:
            assert time.monotonic() < deadline, f"reading {topic} did not reach its end: {open_partitions} of {ends}"
            for message in consumer.consume(500, timeout=0.5):
                assert not message.error(), message.error()
                messages.append(message)
                if message.offset() + 1 >= ends[message.partition()][1]:
                    open_partitions.discard(message.partition())
        return sorted(messages, key=lambda m: (m.partition(), m.offset()))

    def count(self, *topics):
        """How many messages the topics hold, by their watermarks."""
        if not self._counter:
            self._counter = Consumer(self.settings(**{"group.id": "counter"}))
        total = 0
        for topic in topics:
            for partition in self._counter.list_topics(topic, timeout=20).topics[topic].partitions:
                low, high = self._counter.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
                total += high - low
        return total

    def commit(self, group, topic, offsets):
        """A commit of the group's by somebody else's hand, without metadata."""
        consumer = Consumer(self.settings(**{"group.id": group, "enable.auto.commit": False}))
        try:
            consumer.commit(offsets=[TopicPartition(topic, p, o) for p, o in offsets.items()], asynchronous=False)
        finally:
            consumer.close()

    def topics(self):
        return set(AdminClient(self.settings()).list_topics(timeout=20).topics)

    def ends(self, topic):
        """{partition: the offset that comes next}."""
        self.count()
        partitions = self._counter.list_topics(topic, timeout=20).topics[topic].partitions
        return {p: self._counter.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1] for p in partitions}

    def _close_counter(self):
        if self._counter:
            self._counter.close()
            self._counter = None

    def committed(self, group, topic):
        """The group's commit: {partition: offset}, without those that have none."""
        consumer = Consumer(self.settings(**{"group.id": group, "enable.auto.commit": False}))
        try:
            partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
            answers = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=20)
            return {a.partition: a.offset for a in answers if a.offset >= 0}
        finally:
            consumer.close()


class Real(Cluster):
    """What only real brokers can do."""

    real = True
    replication = 1

    def create(self, *topics, partitions=3, **config):
        admin = AdminClient(self.settings())
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        futures = admin.create_topics([NewTopic(t, partitions, self.replication, config=settings) for t in topics],
                                      operation_timeout=30)
        for future in futures.values():
            future.result(60)

    def grow(self, topic, partitions):
        admin = AdminClient(self.settings())
        for future in admin.create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(60)

    def alter(self, topic, **config):
        admin, resource = AdminClient(self.settings()), ConfigResource("topic", topic)
        for key, value in config.items():
            resource.set_config(key.replace("_", "."), str(value))
        for future in admin.alter_configs([resource]).values():
            future.result(60)


class Kafka(Real):
    """One broker that is its own controller, on free ports of 127.0.0.1, with a data folder of its own.

    As one of several it is given its `node` number, the `voters` {node: controller's port} and the id of their
    cluster; `door(port)` may answer the port of a proxy to a second listener, which is then advertised there."""

    def __init__(self, heap="512m", node=1, voters=None, cluster_id=None, door=None, start=True):
        self.jars = jars()
        self.heap, self.node = heap, node
        self.folder = Path(tempfile.mkdtemp(prefix="millrace-kafka-"))
        self.log = self.folder / "broker.log"
        self.process = None
        self.port, controller, self.inner = free_ports(3)
        self.voters = voters or {node: controller}
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.proxied = f"127.0.0.1:{door(self.inner)}" if door else None
        self._format(cluster_id or new_cluster_id())
        if start:
            self.start()

    def _java(self, *arguments):
        return ["java", f"-Xmx{self.heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dlog4j2.disable.jmx=true",
                "-cp", f"{self.jars}/*", *arguments]

    def _format(self, cluster_id):
        copies = len(self.voters)
        listeners, advertised, protocols = [f"PLAINTEXT://{self.bootstrap}"], [f"PLAINTEXT://{self.bootstrap}"], []
        if self.proxied:
            listeners.append(f"PROXIED://127.0.0.1:{self.inner}")
            advertised.append(f"PROXIED://{self.proxied}")
            protocols.append("PROXIED:PLAINTEXT")
        listeners.append(f"CONTROLLER://127.0.0.1:{self.voters[self.node]}")
        (self.folder / "server.properties").write_text("\n".join([
            "process.roles=broker,controller",
            f"node.id={self.node}",
            "controller.quorum.voters=" + ",".join(f"{n}@127.0.0.1:{port}" for n, port in self.voters.items()),
            "listeners=" + ",".join(listeners),
            "advertised.listeners=" + ",".join(advertised),
            "listener.security.protocol.map=" + ",".join(
                ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *protocols]),
            "inter.broker.listener.name=PLAINTEXT",
            "controller.listener.names=CONTROLLER",
            f"log.dirs={self.folder}/data",
            f"default.replication.factor={copies}",
            f"min.insync.replicas={max(1, copies - 1)}",
            f"offsets.topic.replication.factor={copies}",
            "offsets.topic.num.partitions=4",
            f"transaction.state.log.replication.factor={copies}",
            "transaction.state.log.min.isr=1",
            f"share.coordinator.state.topic.replication.factor={copies}",
            "share.coordinator.state.topic.min.isr=1",
            "group.initial.rebalance.delay.ms=0",
            "group.min.session.timeout.ms=1000",
            "broker.session.timeout.ms=2000",  # so that a killed broker is back soon
            "broker.heartbeat.interval.ms=500",
            "replica.lag.time.max.ms=5000",
            "message.max.bytes=20971520",
            "socket.request.max.bytes=209715200",
            "auto.create.topics.enable=false",
            "log.retention.ms=-1",
            ""]))
        result = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self.folder / "server.properties")),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        if result.returncode != 0:
            self.close()
            raise Unavailable(f"Kafka's folder could not be formatted:\n{result.stdout[-1500:]}")

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.folder / "server.properties")), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, preexec_fn=die_with_parent)
        if wait:
            self.wait_ready()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a power cut would end it."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self):
        self._close_counter()
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def console_producer(self, topic, lines):
        """kafka-console-producer.sh: what Java's client makes of lines of key, tab, value."""
        result = subprocess.run(
            self._java("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", self.bootstrap, "--topic", topic,
                       "--property", "parse.key=true", "--property", "key.separator=\t"),
            input=b"".join(line + b"\n" for line in lines), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        assert result.returncode == 0, result.stdout.decode(errors="replace")

    def console_consumer(self, group, topic, count):
        """kafka-console-consumer.sh: a member of the group that reads so many records, commits and leaves."""
        result = subprocess.run(
            self._java("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", self.bootstrap, "--topic", topic,
                       "--group", group, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "60000"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        said = result.stderr.decode(errors="replace")
        assert result.returncode == 0, said
        return said

    def consumer_groups(self, *arguments):
        """kafka-consumer-groups.sh, as a person runs it; answers what it prints."""
        result = subprocess.run(
            self._java("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                       self.bootstrap, *arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def drop(self, *topics):
        admin = AdminClient(self.settings())
        for future in admin.delete_topics(list(topics), operation_timeout=30).values():
            future.result(60)

    def delete_records(self, topic, before):
        """As retention would: {partition: the offset that is to be the first}.

        DeleteRecords, version 0 (https://kafka.apache.org/protocol#The_Messages_DeleteRecords); the client that
        Debian packages does not speak it."""
        name = topic.encode()
        partitions = b"".join(struct.pack(">iq", partition, offset) for partition, offset in before.items())
        body = self.ask(21, struct.pack(">ih", 1, len(name)) + name + struct.pack(">i", len(before)) + partitions
                        + struct.pack(">i", 30000))
        codes = [struct.unpack(">h", body[-2 - 14 * n:len(body) - 14 * n])[0] for n in range(len(before))]
        assert not any(codes), f"DeleteRecords answered {codes}"

    def ask(self, key, request):
        """One request in version 0 of its kind, and the body of its answer."""
        message = struct.pack(">hhih", key, 0, 1, -1) + request
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(struct.pack(">i", len(message)) + message)
            answer = connection.makefile("rb")
            size = struct.unpack(">i", answer.read(4))[0]
            return answer.read(size)[4:]


def new_cluster_id():
    return "M" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]  # an option's value begins with no "-"


class Brokers(Real):
    """Three brokers, each a controller too: three copies of everything, two of which must have a write.

    `proxied` is their bootstrap through the doors, when there are any. A single node is killed, stopped and
    started by its Kafka, in `nodes`."""

    def __init__(self, count=3, heap="384m", door=None):
        self.replication = count
        self.nodes = []
        voters = dict(enumerate(free_ports(count), 1))
        cluster_id = new_cluster_id()
        try:
            for node in voters:
                self.nodes.append(Kafka(heap, node, voters, cluster_id, door, start=False))
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def bootstrap(self):
        return ",".join(node.bootstrap for node in self.nodes)

    @property
    def proxied(self):
        return ",".join(node.proxied for node in self.nodes)

    def start(self):
        """Starts those that do not run, and waits for all."""
        for node in self.nodes:
            if node.process is None or node.process.poll() is not None:
                node.start(wait=False)
        self.wait_ready()

    def wait_ready(self, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if len(AdminClient(self.settings()).list_topics(timeout=5).brokers) == len(self.nodes):
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"the brokers did not come up; they said:\n{self.log_tail()}")
            time.sleep(0.2)

    def log_tail(self):
        return "\n".join(f"broker {node.node}:\n{node.log_tail()}" for node in self.nodes)

    def close(self):
        self._close_counter()
        for node in self.nodes:
            node.close()


class Mock(Cluster):
    """librdkafka's mock cluster in a process of its own: it keeps 5 MB per partition and knows no broker faults."""

    def __init__(self, brokers=1):
        program = Path(os.environ.get("MILLRACE_MOCKBROKER", HERE.parents[1] / "build" / "mockbroker"))
        if not program.exists():
            raise Unavailable(f"{program} is not built (make {program.parent.name}/mockbroker)")
        self.folder = Path(tempfile.mkdtemp(prefix="millrace-mock-"))
        self.log = self.folder / "broker.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(program), str(brokers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                bufsize=1, preexec_fn=die_with_parent)
        self.bootstrap = self.process.stdout.readline().strip()
        self.wait_ready()

    def _order(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", f"the mock cluster refused {words}: {answer}"

    def create(self, *topics, partitions=3, **config):
        for topic in topics:
            self._order("topic", topic, partitions)

    def coordinator(self, group, broker):
        """Moves the group's coordinator to another broker, numbered from 1."""
        self._order("coordinator", group, broker)

    def close(self):
        self._close_counter()
        self.process.stdin.close()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def open_cluster(**options):
    """A real broker where one can be had, else the mock; with MILLRACE_KAFKA=required only the real one.

    MILLRACE_KAFKA=mock asks for the mock. Answers (cluster, why it is not the real one or None)."""
    wish = os.environ.get("MILLRACE_KAFKA", "")
    if wish != "mock":
        try:
            return Kafka(**options), None
        except Unavailable as why:
            if wish == "required":
                raise AssertionError(f"MILLRACE_KAFKA=required, but no real broker: {why}") from None
            reason = str(why)
    else:
        reason = "MILLRACE_KAFKA=mock"
    return Mock(), reason

"""What tests do to the brokers beyond starting and stopping them: users and their rights, quotas, topics that go.

Debian's client library has no words for rights and quotas: their requests are written by hand, as
https://kafka.apache.org/protocol has them (CreateAcls 1, DeleteAcls 1, ElectLeaders 1, AlterClientQuotas 0)."""

import socket
import struct
import time

from confluent_kafka.admin import AdminClient

import kafka

CREATE_ACLS, DELETE_ACLS, ELECT_LEADERS, ALTER_CLIENT_QUOTAS = 30, 31, 43, 49  # keys of requests
TOPIC, GROUP = 2, 3  # ResourceType
LITERAL = 3  # PatternType
READ, WRITE, DESCRIBE = 3, 4, 8  # AclOperation
ALLOW = 3  # AclPermissionType


class Guarded(kafka.Kafka):
    """A broker with a second door, `guarded`, for users by SASL/PLAIN, who may do what they are allowed.

    Whoever comes by `bootstrap` may do everything."""

    def __init__(self, users, heap="512m"):
        self.users = users  # changed ones are known after the next start
        self.guarded = f"127.0.0.1:{kafka.free_ports(1)[0]}"
        super().__init__(heap)

    def start(self, wait=True):
        path = self.folder / "server.properties"
        properties = dict(line.split("=", 1) for line in path.read_text().splitlines() if line)
        if "super.users" not in properties:
            properties["listeners"] += f",SASL_PLAINTEXT://{self.guarded}"
            properties["advertised.listeners"] += f",SASL_PLAINTEXT://{self.guarded}"
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        properties.update({
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config":
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS"})
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        super().start(wait)

    def login(self, user, password=None):
        """A client's properties to come as this user."""
        return {"bootstrap.servers": self.guarded, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
                "sasl.username": user, "sasl.password": password or self.users[user]}

    def allow(self, user, *names, kind=TOPIC, to=(WRITE, DESCRIBE)):
        """May write the topics, unless it is said otherwise."""
        for name in names:
            _require_good(_ask(self, CREATE_ACLS, 1, _rights(user, kind, name, to)), "CreateAcls")

    def forbid(self, user, *names, kind=TOPIC, to=(WRITE, DESCRIBE)):
        """Takes back what allow() gave."""
        for name in names:
            _require_good(_ask(self, DELETE_ACLS, 1, _rights(user, kind, name, to)), "DeleteAcls")


def quota(cluster, client, bytes_a_second):
    """What a client id may produce; None = as much as it likes."""
    change = _string("producer_byte_rate") + struct.pack(">d?", bytes_a_second or 0, bytes_a_second is None)
    entry = _array([_string("client-id") + _string(client)]) + _array([change])
    _require_good(_ask(cluster, ALTER_CLIENT_QUOTAS, 0, _array([entry]) + b"\0"), "AlterClientQuotas")


def elect(cluster):
    """Asks for the preferred leaders to lead again, wherever they can."""
    _ask(cluster, ELECT_LEADERS, 1, struct.pack(">bii", 0, -1, 30000))


def delete(cluster, topic):
    """The topic is gone when this answers."""
    admin = AdminClient(cluster.settings())
    for future in admin.delete_topics([topic], operation_timeout=30).values():
        future.result(60)
    deadline = time.monotonic() + kafka.START_SECONDS
    while topic in admin.list_topics(timeout=20).topics:
        assert time.monotonic() < deadline, f"{topic} does not go away"
        time.sleep(0.1)


def leaders(cluster, topic):
    """{partition: its leader's id, -1 = none}."""
    partitions = AdminClient(cluster.settings()).list_topics(topic, timeout=20).topics[topic].partitions
    return {number: partition.leader for number, partition in partitions.items()}


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


def _array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def _rights(user, kind, name, operations):
    """Of creations, and of the filters of deletions: they are written alike."""
    return _array([struct.pack(">b", kind) + _string(name) + struct.pack(">b", LITERAL) + _string(f"User:{user}") +
                   _string("*") + struct.pack(">bb", operation, ALLOW) for operation in operations])


def _ask(cluster, key, version, body):
    """The answer, behind its correlation id."""
    host, port = cluster.bootstrap.split(",")[0].split(":")
    request = struct.pack(">hhi", key, version, 7) + _string("tests") + body
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        size, correlation = struct.unpack(">ii", stream.read(8))
        assert correlation == 7
        return stream.read(size - 4)


def _require_good(answer, what):
    """These answers begin with the throttle time and an array of results, each of which begins with its error."""
    _, count, error = struct.unpack(">iih", answer[:10])
    assert count >= 1 and error == 0, f"{what}: error {error}, {count} results: {answer[10:200]!r}"

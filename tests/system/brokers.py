"""What tests do to the brokers beyond starting and stopping them: users and their rights, quotas, topics that go.

Debian's client library has no words for rights and quotas: their requests are written by hand, as
https://kafka.apache.org/protocol has them (CreateAcls 1, DeleteAcls 1, ElectLeaders 1, AlterClientQuotas 0,
AlterUserScramCredentials 0)."""

import hashlib
import os
import socket
import ssl
import struct
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient, ConfigResource

import kafka

CREATE_ACLS, DELETE_ACLS, ELECT_LEADERS, ALTER_CLIENT_QUOTAS, ALTER_SCRAM = 30, 31, 43, 49, 51  # keys of requests
SCRAM_SHA_512 = 2  # ScramMechanism
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


class Sealed(kafka.Kafka):
    """A broker with more doors, all by TLS with certificates of the authority: `tls` for whoever trusts it, `mutual` for clients
    with a certificate, `login` for users by a password (PLAIN or SCRAM-SHA-512); `other` shows a certificate of another host.

    The tests themselves come by `bootstrap`."""

    DOORS = {"tls": "SSL", "mutual": "SSL", "login": "SASL_SSL", "other": "SSL"}

    def __init__(self, authority, plain_users, heap="512m"):
        self.authority, self.clients, self.plain_users = authority, authority, plain_users
        self.doors = {name: f"localhost:{port}" for name, port in zip(self.DOORS, kafka.free_ports(len(self.DOORS)))}
        self.stores = {name: authority.bundle(f"broker-{name}", host="elsewhere.example" if name == "other" else "localhost")
                       for name in self.DOORS}
        self.changed = {}  # while it runs: what is set so wins over the file, at the next start, too
        super().__init__(heap)

    def start(self, wait=True):
        path = self.folder / "server.properties"
        properties = dict(line.split("=", 1) for line in path.read_text().splitlines() if line)
        if "tls" not in properties["listeners"].lower():
            for name, address in self.doors.items():
                properties["listeners"] += f",{name.upper()}://127.0.0.1:{address.split(':')[1]}"
                properties["advertised.listeners"] += f",{name.upper()}://{address}"
                properties["listener.security.protocol.map"] += f",{name.upper()}:{self.DOORS[name]}"
        for name, store in self.stores.items():
            properties[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
            properties[f"listener.name.{name}.ssl.keystore.location"] = str(store)
        users = " ".join(f'user_{name}="{password}"' for name, password in self.plain_users.items())
        modules = "org.apache.kafka.common.security"
        properties.update({
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(self.clients.file),
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.login.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required {users};",
            "listener.name.login.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;"})
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        super().start(wait)

    def by(self, door, **more):
        """A client's properties to come by that door."""
        return {"bootstrap.servers": self.doors[door], "broker.address.family": "v4", "security.protocol": self.DOORS[door].lower(),
                "ssl.ca.location": str(self.authority.file), "reconnect.backoff.max.ms": "1000", **more}

    def password(self, user, password):
        """From now on the user's, by SCRAM."""
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 4096)
        upsertion = _compact(user.encode()) + struct.pack(">bi", SCRAM_SHA_512, 4096) + _compact(salt) + _compact(salted) + b"\0"
        answer = _ask(self, ALTER_SCRAM, 0, b"\0" + b"\1" + b"\2" + upsertion + b"\0")  # tags; no deletions; one upsertion; tags
        _, _, count = struct.unpack(">biB", answer[:6])
        error = answer[6 + 1 + len(user):][:2]
        assert count == 2 and error == b"\0\0", f"AlterUserScramCredentials: {answer!r}"

    def renew(self, door, bundle):
        """New connections by the door see that certificate, which has to be of the same name, when this answers.

        Each of the broker's threads takes it over for itself: it is true when many in a row say so."""
        self._store(door, "keystore", bundle)
        port, shown = int(self.doors[door].split(":")[1]), Path(bundle).read_text()
        deadline = time.monotonic() + kafka.START_SECONDS
        while not all(ssl.get_server_certificate(("127.0.0.1", port)).strip() in shown for _ in range(12)):
            assert time.monotonic() < deadline, f"{door} does not show {bundle}"
            time.sleep(0.1)

    def trust(self, door, authority):
        """New connections by the door have certificates of that authority."""
        self._store(door, "truststore", authority.file)

    def _store(self, door, kind, path):
        self.changed.update({f"listener.name.{door}.ssl.{kind}.type": "PEM", f"listener.name.{door}.ssl.{kind}.location": str(path)})
        admin = AdminClient(self.settings())
        for future in admin.alter_configs([ConfigResource("broker", "1", set_config=self.changed)]).values():
            future.result(60)


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


def _compact(data):
    assert len(data) < 127
    return bytes([len(data) + 1]) + data


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

"""Requests to a broker that the tests' client library has no call for, as bytes (https://kafka.apache.org/protocol)."""

import socket
import struct

DELETE_RECORDS, CREATE_ACLS, DELETE_ACLS = 21, 30, 31
TOPIC, GROUP = 2, 3  # resource types
LITERAL, ANY = 3, 1  # pattern types; of filters
READ, ALL = 3, 2  # operations
DENY, ALLOW = 2, 3


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value.encode())) + value.encode()


def ask(bootstrap, api, version, body):
    """The body of the answer."""
    host, port = bootstrap.split(":")
    request = struct.pack(">hhih", api, version, 1, -1) + body
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb")
        size, = struct.unpack(">i", answer.read(4))
        return answer.read(size)[4:]


def delete_records(bootstrap, topic, offsets):
    """DeleteRecords: {partition: the first offset that stays}."""
    partitions = b"".join(struct.pack(">iq", p, o) for p, o in offsets.items())
    answer = ask(bootstrap, DELETE_RECORDS, 1, struct.pack(">i", 1) + text(topic) + struct.pack(">i", len(offsets)) +
                 partitions + struct.pack(">i", 30000))
    at = 4 + 4 + 2 + len(topic.encode()) + 4  # throttle, count, name, count
    for n in range(len(offsets)):
        partition, _, code = struct.unpack_from(">iqh", answer, at + 14 * n)
        assert code == 0, f"DeleteRecords of {topic}/{partition}: error {code}"


def _acl(kind, name, user, operation, permission):
    return (struct.pack(">b", kind) + text(name) + struct.pack(">b", LITERAL) + text(f"User:{user}") + text("*") +
            struct.pack(">bb", operation, permission))


def set_acl(bootstrap, kind, name, user, operation, permission):
    answer = ask(bootstrap, CREATE_ACLS, 1, struct.pack(">i", 1) + _acl(kind, name, user, operation, permission))
    code, = struct.unpack_from(">h", answer, 8)
    assert code == 0, f"CreateAcls for {name}: error {code}"


def unset_acl(bootstrap, kind, name, user, operation, permission):
    answer = ask(bootstrap, DELETE_ACLS, 1, struct.pack(">i", 1) + _acl(kind, name, user, operation, permission))
    code, = struct.unpack_from(">h", answer, 8)
    assert code == 0, f"DeleteAcls for {name}: error {code}"

"""Access rules of a broker, set and taken back by the requests CreateAcls and DeleteAcls in version 1
(https://kafka.apache.org/protocol#The_Messages_CreateAcls), which the tests' client library has no call for."""

import struct

TOPIC, GROUP = 2, 3  # resource types
READ, ALL = 3, 2  # operations
DENY, ALLOW = 2, 3
_CREATE, _DELETE, _LITERAL = 30, 31, 3


def _text(value):
    return struct.pack(">h", len(value.encode())) + value.encode()


def _rule(kind, name, user, operation, permission):
    return (struct.pack(">ib", 1, kind) + _text(name) + struct.pack(">b", _LITERAL) + _text(f"User:{user}") +
            _text("*") + struct.pack(">bb", operation, permission))


def _ask(cluster, key, rule):
    code, = struct.unpack_from(">h", cluster.ask(key, _rule(*rule), version=1), 8)
    assert code == 0, f"request {key} for the rule {rule} was answered {code}"


def add(cluster, *rule):
    """The rule is (kind, name, user, operation, permission)."""
    _ask(cluster, _CREATE, rule)


def remove(cluster, *rule):
    _ask(cluster, _DELETE, rule)

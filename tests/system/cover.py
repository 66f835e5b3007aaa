"""What a group's durable notes cover: the newest good checkpoint file of each partition, and the group's commit.

Reads both by its own hands, without the engine and without a client library: the files by their checksum, the
commit and its metadata by the Kafka protocol."""

import hashlib
import json
import re
import socket
import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass
class Note:
    """One note of one partition: below `offset`, and in the ranges above it, all is finished."""

    offset: int
    ranges: list = field(default_factory=list)  # (from, to), ascending
    lineage: str = ""
    where: str = ""
    wall: float = 0.0  # when it was written, seconds; 0 = the note does not say

    def covers(self, offset):
        if offset < self.offset:
            return True
        at = bisect_right(self.ranges, (offset, float("inf"))) - 1
        return at >= 0 and self.ranges[at][0] <= offset < self.ranges[at][1]

    def __str__(self):
        return f"{self.where}: below {self.offset}, ranges {self.ranges}, lineage {self.lineage}"


def read_file(path):
    """The Note of a checkpoint file; None when the file is torn or damaged."""
    data = Path(path).read_bytes()
    body, mark, rest = data.rpartition(b',"sha256":"')
    if not mark or rest.rstrip() != hashlib.sha256(body).hexdigest().encode() + b'"}':
        return None
    said = json.loads(data)
    return Note(said["offset"], [tuple(r) for r in said["finished"]], said["lineage"], str(path),
                datetime.fromisoformat(said["time"].replace("Z", "+00:00")).timestamp())


def of_files(store, group, topic):
    """{partition: the Note of its newest good file}; no folder, no notes."""
    found, folder = {}, Path(store) / group / topic
    if folder.exists():
        for partition in folder.iterdir():
            for path in sorted(partition.glob("*.json"), reverse=True):
                note = read_file(path)
                if note:
                    found[int(partition.name)] = note
                    break
    return found


METADATA = re.compile(r"mr1((?:;[^;]*)*)")


def of_metadata(offset, text):
    """The Note of a commit, as positions.h describes its metadata."""
    note = Note(offset, where="commit")
    match = METADATA.fullmatch(text or "")
    for member in match[1].split(";")[1:] if match else ():
        name, _, value = member.partition("=")
        if name == "l":
            note.lineage = value
        if name == "r":
            numbers, at = [int(n) for n in value.split("+")[1:]], offset
            for gap, length in zip(numbers[::2], numbers[1::2]):
                note.ranges.append((at + gap, at + gap + length))
                at += gap + length
    return note


class Wire:
    """As much of the Kafka protocol as asking for a commit takes (https://kafka.apache.org/protocol)."""

    FIND_COORDINATOR, OFFSET_FETCH = (10, 1), (9, 3)

    def __init__(self, address, seconds=5):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.socket.close()

    def ask(self, what, body):
        request = struct.pack(">hhih", *what, 1, -1) + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        size, = struct.unpack(">i", self._take(4))
        return Answer(self._take(size)[4:])

    def _take(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise OSError("the broker hung up")
            data += piece
        return data


class Answer:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        value, = struct.unpack_from(">" + code, self.data, self.at)
        self.at += struct.calcsize(">" + code)
        return value

    def text(self):
        size = self.number("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()


def _text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def _coordinator(bootstrap, group):
    for address in bootstrap.split(","):
        try:
            with Wire(address) as wire:
                answer = wire.ask(Wire.FIND_COORDINATOR, _text(group) + struct.pack(">b", 0))
        except OSError:
            continue
        answer.number("i")
        error, _, _ = answer.number("h"), answer.text(), answer.number("i")
        host, port = answer.text(), answer.number("i")
        if error == 0:
            return f"{host}:{port}"
    raise OSError(f"no broker of {bootstrap} names the coordinator of {group}")


def of_commits(bootstrap, group, topic, partitions):
    """{partition: the Note of the group's commit}; OSError when nobody can say."""
    question = _text(group) + struct.pack(">i", 1) + _text(topic)
    question += struct.pack(f">i{partitions}i", partitions, *range(partitions))
    with Wire(_coordinator(bootstrap, group)) as wire:
        answer = wire.ask(Wire.OFFSET_FETCH, question)
    found = {}
    answer.number("i")
    for _ in range(answer.number("i")):
        answer.text()
        for _ in range(answer.number("i")):
            partition, offset, metadata, error = (
                answer.number("i"), answer.number("q"), answer.text(), answer.number("h"))
            if error:
                raise OSError(f"error {error} for the commit of partition {partition}")
            if offset >= 0:
                found[partition] = of_metadata(offset, metadata)
    error = answer.number("h")
    if error:
        raise OSError(f"error {error} for the commits of {group}")
    return found


def joined(commits, files):
    """{partition: [notes that hold together]}: a commit wins over files of another lineage."""
    notes = {}
    for partition in set(commits) | set(files):
        commit, file = commits.get(partition), files.get(partition)
        both = [note for note in (commit, file) if note]
        if commit and file and commit.lineage != file.lineage:
            both = [commit]
        notes[partition] = both
    return notes

"""Checkpoint files: a job goes on from them when the group has forgotten, and without them when the store is away."""

import json
import os
import random
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import check
import engine
import events
import kafka
from test_rebalance import worker_like

MORTAL = Path(os.environ.get("MILLRACE_FAULTS", engine.ROOT / "build-faults" / "millrace"))


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def keeping(store, **more):
    return {"checkpoint": {"dir": str(store), "interval": "200ms", **more}}


def forget_group(cluster, group):
    """DeleteGroups, version 0 (https://kafka.apache.org/protocol#The_Messages_DeleteGroups), as an operator would."""
    name = group.encode()

    def ask():
        return struct.unpack(">h", cluster.ask(42, struct.pack(">ih", 1, len(name)) + name)[-2:])[0]

    codes = []
    engine.until(f"the group {group} is deleted", lambda: codes.append(ask()) or codes[-1] in (0, 69), seconds=30,
                 story=lambda: f"error codes {codes}")


def files(job, store):
    """{partition: [what its files say, newest first]}."""
    folder = store / job.group / job.source_topic
    return {int(p.name): [json.loads(f.read_text()) for f in sorted(p.glob("*.json"), reverse=True)]
            for p in folder.iterdir()} if folder.exists() else {}


def newest(job, store):
    return {p: said[0]["offset"] for p, said in files(job, store).items()}


def offsets(job, verb):
    answer = json.loads(engine.run("offsets", verb, "-c", job.path, "--json", check=0).stdout)
    assert answer["group"] == job.group
    return {p["partition"]: p for p in answer["partitions"]}


def test_every_partition_has_a_file_that_says_what_the_commit_says(job, stub, cluster, store, seed):
    j = job(partitions=3, change=keeping(store, keep=3))
    j.send(events.Maker(seed, pages=30).mixed(300))
    j.start()
    j.until_done()
    j.until("the files are written", lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") >= 3)
    j.stop()
    ends = cluster.ends(j.source_topic)
    assert cluster.committed(j.group, j.source_topic) == ends
    assert newest(j, store) == ends
    for partition, said in files(j, store).items():
        assert 1 <= len(said) <= 3
        file = said[0]
        assert (file["version"], file["group"], file["topic"], file["partition"]) == (
            1, j.group, j.source_topic, partition)
        assert file["cluster"] and len(file["lineage"]) == 16 and len(file["script"]) == 64
    assert not list(store.rglob("*.tmp"))
    j.require_clean()


@pytest.mark.real_kafka
def test_a_forgotten_group_goes_on_from_the_files(job, stub, cluster, store, seed):
    maker = events.Maker(seed, pages=30)
    j = job(partitions=3, change=keeping(store))
    j.send(maker.mixed(300))
    j.start()
    j.until_done()
    j.stop()
    ends = cluster.ends(j.source_topic)
    j.send(maker.mixed(200))
    forget_group(cluster, j.group)
    assert cluster.committed(j.group, j.source_topic) == {}
    for partition, plan in offsets(j, "plan").items():
        assert (plan["why"], plan["start"], plan["gap"]) == ("file", ends[partition], 0)
    j.start()
    j.until_done()
    j.stop()
    report = j.require_clean()
    assert not report.repeated
    assert "because the group has no commit" in j.stderr()


@pytest.mark.real_kafka
def test_a_damaged_newest_file_gives_way_to_the_one_before(job, stub, cluster, store, seed):
    maker = events.Maker(seed, pages=30)
    j = job(partitions=2, change=keeping(store))
    for _ in range(2):
        j.send(maker.mixed(150))
        j.start()
        j.until_done()
        j.stop()
    before = {}
    for partition in range(2):
        folder = store / j.group / j.source_topic / str(partition)
        latest = sorted(folder.glob("*.json"))
        text = latest[-1].read_bytes()
        latest[-1].write_bytes(text[:len(text) // 2])
        before[partition] = json.loads(latest[-2].read_text())["offset"]
    forget_group(cluster, j.group)
    assert {p: plan["start"] for p, plan in offsets(j, "plan").items()} == before
    j.send(maker.mixed(50))
    j.start()
    j.until_done()
    j.stop()
    j.require_clean(repeats=True)
    assert "is passed over" in j.stderr()


@pytest.mark.real_kafka
def test_a_person_who_resets_the_group_wins_over_the_files(job, stub, cluster, store, seed):
    j = job(partitions=1, change=keeping(store))
    j.send([events.Maker(seed).event() for _ in range(60)])
    j.start()
    j.until_done()
    j.stop()
    first = files(j, store)[0][0]
    cluster.commit(j.group, j.source_topic, {0: 20})
    plan = offsets(j, "plan")[0]
    assert (plan["why"], plan["start"], plan["lineage"]) == ("foreign", 20, None)
    j.start()
    j.until_done()
    j.stop()
    report = j.require_clean(repeats=True)
    assert len(report.repeated) == 40
    assert files(j, store)[0][0]["lineage"] != first["lineage"]


def test_a_store_that_is_not_there_holds_nothing_up_and_is_used_once_it_is(job, stub, cluster, tmp_path, seed):
    maker, store = events.Maker(seed, pages=30), tmp_path / "mounted later"
    j = job(partitions=2, change=keeping(store))
    j.send(maker.mixed(150))
    j.start()
    j.until_done()
    assert "no checkpoint files can be written" in j.stderr() and "No such file" in j.stderr()
    metrics = j.metrics()
    assert metrics.value("millrace_checkpoint_writes_total", outcome="skipped") > 0
    assert metrics.value("millrace_checkpoint_writes_total", outcome="ok") == 0
    assert j.get("/readyz")[0] == 200
    store.mkdir()
    j.send(maker.mixed(100))
    j.until_done()
    j.until("files are written", lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") >= 2)
    j.stop()
    assert newest(j, store) == cluster.ends(j.source_topic)
    j.require_clean()


def test_a_store_that_cannot_be_written_is_told_and_done_without(job, stub, cluster, tmp_path, seed):
    store = tmp_path / "a file"
    store.write_text("")
    j = job(partitions=2, change=keeping(store))
    j.send(events.Maker(seed, pages=30).mixed(100))
    j.start()
    j.until_done()
    j.stop()
    j.start()
    j.stop()
    j.require_clean()
    assert "no checkpoint files can be written" in j.stderr() and "Not a directory" in j.stderr()


@pytest.mark.real_kafka
def test_death_after_a_file_loses_nothing_and_repeats_nothing_that_it_covers(job, stub, cluster, store, seed,
                                                                             monkeypatch):
    if not MORTAL.exists():
        pytest.skip(f"{MORTAL} is not built (make FAULTS=1 BUILD=build-faults)")
    monkeypatch.setattr(engine, "BINARY", MORTAL)
    rng = random.Random(seed)
    stub.latency(0.0, 0.05)
    quick = {"source": {"kafka": {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}},
             "limits": {"records": 60}}
    j = job(partitions=2, change=engine.merged(quick, keeping(store, interval="100ms")))
    j.send(events.Maker(seed, pages=20).mixed(400))
    for _ in range(3):
        j.start(ready=False, env={"MILLRACE_FAULT": f"after_file:{rng.randrange(1, 8)}"})
        try:
            j.wait(20)
        except AssertionError:
            j.kill()
        covered, before = covered_by(files(j, store)), sent(j)
        j.start()
        j.until_outputs(min(sum(before.values()) + 40, 360))
        j.kill()
        after = sent(j)
        again = [place for place in covered if after[place] > before[place]]
        assert not again, f"covered by a file, yet sent again: {sorted(again)[:10]}\n{j.story()}"
    j.start()
    j.until_done()
    j.stop()
    j.require_clean(repeats=True)


def covered_by(said):
    """The offsets that the newest file of each partition says are finished."""
    return {(partition, o) for partition, newest_first in said.items() if newest_first
            for o in finished_by(newest_first[0])}


def finished_by(position):
    done = set(range(position["offset"]))
    return done.union(*(range(a, b) for a, b in position["finished"]))


def sent(j):
    """{(partition, offset): how many outputs and error events there are of it}."""
    return Counter(check.source_of(message)[1:3] for message in j.outputs() + j.failures())


@pytest.mark.real_kafka
@pytest.mark.parametrize("filed", [False, True], ids=["commits alone", "commits and files"])
def test_nothing_that_a_commit_or_a_file_covers_is_repeated_after_a_kill(job, stub, cluster, store, seed, filed):
    rng = random.Random(seed)
    stub.latency(0.0, 0.1, slow=1, slow_share=0.05)  # so that much is finished above the offset
    quick = {"source": {"kafka": {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}},
             "limits": {"records": 80}, "checkpoint": {"interval": "100ms"}}
    j = job(partitions=2, change=engine.merged(quick, keeping(store, interval="100ms") if filed else {}))
    j.send(events.Maker(seed, pages=200).mixed(500))
    above = 0
    for _ in range(2):
        j.start()
        j.until_outputs(min(sum(sent(j).values()) + rng.randrange(30, 90), 400))
        j.kill()
        known = offsets(j, "show")
        covered = covered_by({p: k["files"] for p, k in known.items()})
        for partition, said in known.items():
            if said["commit"]:
                covered |= {(partition, o) for o in finished_by(said["commit"])}
                above += sum(b - a for a, b in said["commit"]["finished"])
        before = sent(j)
        j.start()
        j.until_outputs(min(sum(before.values()) + 30, 420))
        j.kill()
        after = sent(j)
        again = [place for place in covered if after[place] > before[place]]
        assert not again, f"covered, yet sent again: {sorted(again)[:10]}\n{j.story()}"
    assert above, "nothing was finished above an offset: this proves little"
    j.start()
    j.until_done()
    j.stop()
    j.require_clean(repeats=True)


@pytest.mark.real_kafka
def test_records_deleted_before_they_were_read_are_counted_and_told(job, stub, cluster, store, seed):
    maker = events.Maker(seed)
    j = job(partitions=1, change=keeping(store))
    j.send([maker.event() for _ in range(20)])
    j.start()
    j.until_done()
    j.stop()
    later = [maker.event() for _ in range(40)]
    j.send(later)
    cluster.delete_records(j.source_topic, {0: 35})
    plan = offsets(j, "plan")[0]
    assert (plan["why"], plan["start"], plan["gap"]) == ("out_of_range", 35, 15)
    for offset in range(20, 35):
        j.ledger.sent.pop((j.source_topic, 0, offset))
    j.start()
    j.until("the rest is done", lambda m: m.value("millrace_events_total", outcome="enriched") >= 20)
    assert j.metrics().value("millrace_source_gap_records_total") == 15
    j.until("it is committed", lambda m: cluster.committed(j.group, j.source_topic) == {0: 60})
    j.stop()
    assert "15 records were deleted before they could be read" in j.stderr()
    j.require_clean()


@pytest.mark.real_kafka
def test_a_topic_made_anew_under_its_old_name_is_read_from_its_beginning(job, stub, cluster, store, seed):
    maker = events.Maker(seed)
    j = job(partitions=1, change=keeping(store))
    j.send([maker.event() for _ in range(50)])
    j.start()
    j.until_done()
    j.stop()
    j.require_clean()
    said = files(j, store)[0][0]
    assert said["offset"] == 50
    cluster.drop(j.source_topic)
    engine.until("the topic is gone", lambda: j.source_topic not in cluster.topics())
    cluster.create(j.source_topic, partitions=1)
    j.ledger.sent.clear()
    j.send([maker.event() for _ in range(30)])
    j.start()
    j.until_done()
    j.stop()
    assert "lies beyond the end of the log" in j.stderr()
    assert len(j.outputs()) == 80
    again = [m for m in j.outputs()[50:]]
    assert sorted(check.source_of(m)[2] for m in again) == list(range(30))
    now = files(j, store)[0][0]
    assert now["offset"] == 30 and now["lineage"] != said["lineage"]


def test_a_start_keeps_only_so_many_files(job, stub, cluster, store, seed):
    maker = events.Maker(seed, pages=20)
    j = job(partitions=2, change=keeping(store, keep=8))
    for _ in range(2):
        j.send(maker.mixed(60))
        j.start()
        j.until_done()
        j.stop()
    assert all(len(said) > 2 for said in files(j, store).values())
    j.config["checkpoint"]["keep"] = 2
    before = newest(j, store)
    j.start()
    j.until("older files are gone", lambda m: all(len(said) == 2 for said in files(j, store).values()))
    assert newest(j, store) == before
    j.stop()


def test_show_and_plan_tell_the_truth_and_disturb_nobody(job, stub, cluster, store, seed):
    maker = events.Maker(seed, pages=30)
    j = job(partitions=2, change=keeping(store))
    j.send(maker.mixed(100))
    j.start()
    before = offsets(j, "show")
    assert set(before) == {0, 1}
    j.until_done()
    j.stop()
    ends = cluster.ends(j.source_topic)
    j.send([maker.event() for _ in range(30)])
    later = cluster.ends(j.source_topic)
    for partition, said in offsets(j, "show").items():
        assert (said["low"], said["high"]) == (0, later[partition])
        assert said["commit"]["offset"] == ends[partition]
        assert said["lag"] == later[partition] - ends[partition]
        assert said["files"][0]["offset"] == ends[partition]
        assert said["files"][0]["lineage"] == said["commit"]["lineage"]
    for partition, plan in offsets(j, "plan").items():
        assert (plan["why"], plan["start"]) == ("commit", ends[partition])
    table = engine.run("offsets", "show", "-c", j.path, check=0).stdout.decode()
    assert f"group {j.group} on cluster" in table and "NEWEST FILE" in table
    for partition in range(2):
        assert f"0..{later[partition]}" in table
    table = engine.run("offsets", "plan", "-c", j.path, check=0).stdout.decode()
    assert table.count("the group's commit, joined with the checkpoints of its lineage") == 2
    assert cluster.committed(j.group, j.source_topic) == ends, "asking moved the group"
    j.start()
    metrics = j.until("it is at rest", lambda m: m.sum("millrace_kafka_assigned_partitions") == 2 and m)
    rebalances = metrics.sum("millrace_kafka_rebalances_total")
    offsets(j, "plan")
    assert j.metrics().sum("millrace_kafka_rebalances_total") == rebalances
    j.until_done()
    j.require_clean()


def test_plan_of_a_group_that_never_ran_is_the_configured_start(job, stub, cluster, store, seed):
    j = job(partitions=2, change=keeping(store))
    j.send([events.Maker(seed).event() for _ in range(10)])
    j.path = j.folder / "millrace.yaml"
    j.path.write_text(json.dumps(j.config))
    for plan in offsets(j, "plan").values():
        assert (plan["why"], plan["start"]) == ("start", 0)
    for said in offsets(j, "show").values():
        assert said["commit"] is None and said["lag"] is None and said["files"] == []
    j.config["source"]["start"] = "latest"
    j.path.write_text(json.dumps(j.config))
    ends = cluster.ends(j.source_topic)
    assert {p: plan["start"] for p, plan in offsets(j, "plan").items()} == ends


def test_offsets_of_brokers_that_are_away_exit_69(job, stub, store):
    j = job(partitions=1, change=keeping(store))
    j.path = j.folder / "millrace.yaml"
    nowhere = f"127.0.0.1:{kafka.free_ports(1)[0]}"
    j.path.write_text(json.dumps(engine.merged(j.config, {"source": {"kafka": {"bootstrap.servers": nowhere}}})))
    result = engine.run("offsets", "show", "-c", j.path, check=69)
    assert b"Connection refused" in result.stderr and not result.stdout
    assert engine.run("offsets", "-c", j.path, check=2).stderr
    assert b"found shwo" in engine.run("offsets", "shwo", "-c", j.path, check=2).stderr.replace(b"'", b"")


def test_two_workers_hand_their_partitions_over_by_commit_and_file(job, stub, cluster, store, seed):
    stub.latency(0.005, 0.05)
    j = job(partitions=4, change={**keeping(store), "limits": {"records": 200}})
    j.send(events.Maker(seed, pages=80).mixed(1200 if cluster.real else 400))
    j.start()
    j.until_outputs(100)
    second = worker_like(j, "second")
    try:
        second.start()
        second.until("the second has partitions", lambda m: m.sum("millrace_kafka_assigned_partitions") >= 1)
        j.stop()
        second.until_done()
        second.stop()
    finally:
        second.close()
    assert newest(j, store) == cluster.ends(j.source_topic)
    j.require_clean(repeats=True)


class FaultyDisk:
    """A disk that fails as it is told: (environment for the binary, and what to do with it)."""

    def __init__(self, folder, store):
        library, self.switch = folder / "faultydisk.so", folder / "fault"
        subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", str(library),
                        str(Path(__file__).with_name("faultydisk.c")), "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "FAULTY": str(self.switch), "FAULTY_STORE": f"{store}/",
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def now(self, fault):
        self.switch.with_suffix(".new").write_text(fault)
        self.switch.with_suffix(".new").rename(self.switch)

    def well(self):
        self.switch.unlink()


class SmallDisk:
    """A file system of 64 kB, which somebody else fills up."""

    environment = {}

    def __init__(self, store):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(store)], stderr=subprocess.PIPE)
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        self.store, self.filler = store, store / "somebody else's"

    def now(self, fault):
        with open(self.filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(1024))

    def well(self):
        self.filler.unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.store)], check=True)


@pytest.fixture
def faulty_disk(tmp_path, store):
    return FaultyDisk(tmp_path, store)


@pytest.fixture
def small_disk(store):
    disk = SmallDisk(store)
    yield disk
    disk.close()


FAULTS = {"is full": "No space left on device", "is read-only": "Read-only file system",
          "cannot rename": "cannot be renamed: Function not implemented", "is broken": "Input/output error"}


def lives_without(disk, fault, why, job, cluster, store, seed):
    """A fault that comes while the job runs, one that is there from the start, and one that is over."""
    maker = events.Maker(seed, pages=20)
    j = job(partitions=2, change=keeping(store))
    j.send(maker.mixed(60))
    j.start(env=disk.environment)
    j.until_done()
    j.until("files are written", lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") >= 2)
    disk.now(fault)
    j.send(maker.mixed(60))
    j.until_done()
    j.until("it is noticed", lambda m: m.value("millrace_checkpoint_writes_total", outcome="failed") > 0)
    assert j.get("/readyz")[0] == 200
    j.stop()
    assert j.stderr().count("no checkpoint files can be written") == 1 and why in j.stderr()
    j.send(maker.mixed(60))
    j.start(env=disk.environment)
    j.until_done()
    j.stop()
    assert j.stderr().count("no checkpoint files can be written") == 2
    assert cluster.committed(j.group, j.source_topic) == cluster.ends(j.source_topic)
    disk.well()
    j.send(maker.mixed(60))
    j.start(env=disk.environment)
    j.until_done()
    j.stop()
    assert newest(j, store) == cluster.ends(j.source_topic)
    j.require_clean()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_fails_is_told_and_done_without(job, stub, cluster, store, seed, faulty_disk, fault):
    lives_without(faulty_disk, fault, FAULTS[fault], job, cluster, store, seed)


def test_a_store_that_is_really_full_is_told_and_done_without(job, stub, cluster, store, seed, small_disk):
    lives_without(small_disk, "is full", FAULTS["is full"], job, cluster, store, seed)


def test_a_store_that_hangs_delays_no_record_no_rebalance_and_no_stop(job, stub, cluster, store, seed, faulty_disk):
    environment = faulty_disk.environment
    maker = events.Maker(seed, pages=40)
    j = job(partitions=4, change=keeping(store))
    j.send(maker.mixed(100))
    j.start(env=environment)
    j.until_done()
    j.until("files are written", lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") >= 4)
    faulty_disk.now("hangs")
    j.send(maker.mixed(150))
    j.until_done()
    j.until("the store is given up", lambda m: m.value("millrace_checkpoint_writes_total", outcome="late") > 0)
    assert j.get("/readyz")[0] == 200 and "has not answered for 5000 ms" in j.stderr()
    second = worker_like(j, "second")
    try:
        second.start(env=environment)
        second.until("the second has partitions", lambda m: m.sum("millrace_kafka_assigned_partitions") >= 1)
        j.send(maker.mixed(150))
        j.until_done()
        written = j.metrics().value("millrace_checkpoint_writes_total", outcome="ok")
        faulty_disk.well()
        j.send(maker.mixed(50))
        j.until("files are written again",
                lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") > written)
        faulty_disk.now("hangs")
        j.send(maker.mixed(50))
        j.until_done()
        j.stop()
        second.until_done()
        second.stop()
    finally:
        second.close()
    j.require_clean(repeats=True)


def test_a_start_does_not_wait_for_a_store_that_hangs(job, stub, cluster, store, seed, faulty_disk):
    faulty_disk.now("hangs")
    j = job(partitions=2, change=keeping(store))
    j.send(events.Maker(seed, pages=20).mixed(60))
    j.start(env=faulty_disk.environment)
    j.until_done()
    j.stop()
    j.require_clean()

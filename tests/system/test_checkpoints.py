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
    covered = set()
    for partition, newest_first in said.items():
        if newest_first:
            covered |= {(partition, o) for o in range(newest_first[0]["offset"])}
            covered |= {(partition, o) for a, b in newest_first[0]["finished"] for o in range(a, b)}
    return covered


def sent(j):
    """{(partition, offset): how many outputs and error events there are of it}."""
    return Counter(check.source_of(message)[1:3] for message in j.outputs() + j.failures())


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


@pytest.fixture
def hanging_disk(tmp_path):
    """(environment for the binary, the file whose presence makes its disk hang)."""
    library, switch = tmp_path / "hangingdisk.so", tmp_path / "hanging"
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", str(library),
                    str(Path(__file__).with_name("hangingdisk.c")), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "HANGING": str(switch), "ASAN_OPTIONS": "verify_asan_link_order=0"}, switch


def test_a_store_that_hangs_delays_no_record_no_rebalance_and_no_stop(job, stub, cluster, store, seed, hanging_disk):
    environment, switch = hanging_disk
    maker = events.Maker(seed, pages=40)
    j = job(partitions=4, change=keeping(store))
    j.send(maker.mixed(100))
    j.start(env=environment)
    j.until_done()
    j.until("files are written", lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") >= 4)
    switch.touch()
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
        switch.unlink()
        j.send(maker.mixed(50))
        j.until("files are written again",
                lambda m: m.value("millrace_checkpoint_writes_total", outcome="ok") > written)
        switch.touch()
        j.send(maker.mixed(50))
        j.until_done()
        j.stop()
        second.until_done()
        second.stop()
    finally:
        second.close()
    j.require_clean(repeats=True)


def test_a_start_does_not_wait_for_a_store_that_hangs(job, stub, cluster, store, seed, hanging_disk):
    environment, switch = hanging_disk
    switch.touch()
    j = job(partitions=2, change=keeping(store))
    j.send(events.Maker(seed, pages=20).mixed(60))
    j.start(env=environment)
    j.until_done()
    j.stop()
    j.require_clean()

"""Positions set by hand: with Kafka's own tools, with `offsets set` and `offsets restore`; and what refuses."""

import hashlib
import json
import os
import re
import subprocess
from datetime import datetime, timezone

import pytest

import engine
import events
import kafka
from test_checkpoints import files, forget_group, keeping, offsets, store  # noqa: F401 (a fixture)

pytestmark = pytest.mark.real_kafka


def said(j, *arguments, check=0):
    """One `offsets` command: its CompletedProcess, in text."""
    result = engine.run("offsets", *arguments, "-c", j.path, check=check)
    return result.stdout.decode(), result.stderr.decode()


def done(j, *arguments):
    """The same with --json --yes: {partition: what was changed}."""
    answer = json.loads(said(j, *arguments, "--yes", "--json")[0])
    return {p["partition"]: p for p in answer["partitions"]}


def newest_path(j, store, partition=0):
    return sorted((store / j.group / j.source_topic / str(partition)).glob("*.json"))[-1]


def forge(path, **members):
    """Writes a file that says something else, with a seal that is right."""
    said = json.loads(path.read_text())
    said.pop("sha256")
    text = json.dumps({**said, **members}, separators=(",", ":"))[:-1]
    path.write_text(f'{text},"sha256":"{hashlib.sha256(text.encode()).hexdigest()}"}}\n')


@pytest.fixture
def ran(job, stub, cluster, store, seed):  # noqa: F811
    """A job of one partition that has done 60 records, with files, and stopped."""
    j = job(partitions=1, change=keeping(store))
    j.maker = events.Maker(seed)
    j.send([j.maker.event() for _ in range(60)])
    j.start()
    j.until_done()
    j.stop()
    assert files(j, store)[0][0]["offset"] == 60
    return j


def redone(j):
    """Lets the job go on to its end; answers how many records were done again."""
    j.start()
    j.until_done()
    j.stop()
    return len(j.require_clean(repeats=True).repeated)


def test_a_reset_with_kafkas_own_tool_wins_over_the_files(ran, cluster, store):  # noqa: F811
    lineage = files(ran, store)[0][0]["lineage"]
    cluster.consumer_groups("--group", ran.group, "--topic", ran.source_topic, "--reset-offsets", "--to-offset", "25",
                            "--execute")
    plan = offsets(ran, "plan")[0]
    assert (plan["why"], plan["start"], plan["lineage"]) == ("foreign", 25, None)
    assert redone(ran) == 35
    assert "which Millrace did not write: it wins alone" in ran.stderr()
    after = files(ran, store)[0][0]
    assert after["lineage"] != lineage and after["offset"] == 60
    cluster.consumer_groups("--group", ran.group, "--topic", ran.source_topic, "--reset-offsets", "--to-latest",
                            "--execute")
    ran.send([ran.maker.event() for _ in range(5)])
    assert redone(ran) == 35, "a reset to the end as it was then does nothing again"


def test_set_wins_over_the_files_and_says_what_it_does(ran, cluster, store):  # noqa: F811
    table, told = said(ran, "set", "--to", "40", "--dry-run")
    assert re.search(r"BEFORE +AFTER", table) and re.search(r" 60 +40 +- +20 again", table)
    assert "--dry-run" in told and cluster.committed(ran.group, ran.source_topic) == {0: 60}
    change = done(ran, "set", "--to", "40")[0]
    assert (change["before"]["offset"], change["after"]["offset"], change["done"]) == (60, 40, True)
    shown, plan = offsets(ran, "show")[0], offsets(ran, "plan")[0]
    assert shown["commit"]["offset"] == 40 and shown["commit"]["lineage"] == change["after"]["lineage"]
    assert change["after"]["lineage"] != change["before"]["lineage"] == shown["files"][0]["lineage"]
    assert (plan["why"], plan["start"], plan["reason"]) == ("commit", 40, "the group's commit")
    assert redone(ran) == 20
    assert files(ran, store)[0][0]["lineage"] == change["after"]["lineage"]


def test_set_knows_the_beginning_the_end_and_times(ran, cluster):
    times = [e.timestamp for e in ran.ledger.sent.values()]
    middle = sorted(times)[30]
    first = next(offset for offset, when in enumerate(times) if when >= middle)
    text = datetime.fromtimestamp(middle / 1000, timezone.utc).isoformat(timespec="milliseconds")
    for to, offset in (("earliest", 0), ("latest", 60), ("2001-01-01T00:00:00Z", 0), ("2199-01-01T00:00:00Z", 60),
                       (text, first)):
        assert done(ran, "set", "--to", to)[0]["after"]["offset"] == offset, (to, times)
        assert cluster.committed(ran.group, ran.source_topic) == {0: offset}


def test_set_of_one_partition_leaves_the_others_alone(job, stub, cluster, store, seed):  # noqa: F811
    j = job(partitions=3, change=keeping(store))
    j.send([events.Maker(seed).event() for _ in range(90)])
    j.start()
    j.until_done()
    j.stop()
    before = cluster.committed(j.group, j.source_topic)
    assert list(done(j, "set", "--to", "earliest", "--partition", "1")) == [1]
    assert cluster.committed(j.group, j.source_topic) == {**before, 1: 0}
    assert redone(j) == before[1]
    _, told = said(j, "set", "--to", "earliest", "--partition", "7", "--yes", check=1)
    assert "no such partition" in told
    _, told = said(j, "set", "--to", "earliest", "--topic", "another", "--yes", check=2)
    assert "'another' is not among" in told
    _, told = said(j, "set", "--to", str(max(before.values()) + 1), "--yes", check=1)
    assert "has no offset" in told and "0.." in told


def test_set_and_restore_refuse_while_a_member_is_alive(ran, cluster, store):  # noqa: F811
    ran.start()
    ran.until("it is a member", lambda m: m.sum("millrace_kafka_assigned_partitions") == 1)
    for arguments in (("set", "--to", "earliest"), ("restore", store)):
        out, told = said(ran, *arguments, "--yes", check=1)
        assert f"the group {ran.group} has 1 member" in told and f"{ran.group} at 127.0.0.1" in told and not out
    table, _ = said(ran, "set", "--to", "earliest", "--dry-run")
    assert "60 again" in table
    assert cluster.committed(ran.group, ran.source_topic) == {0: 60}
    ran.stop()
    done(ran, "set", "--to", "earliest")


def on_a_terminal(answer, *arguments):
    """Runs it with a terminal as its standard input, on which this is typed: (exit code, standard error)."""
    outer, inner = os.openpty()
    try:
        process = subprocess.Popen([str(engine.BINARY), *map(str, arguments)], stdin=inner, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, cwd=engine.ROOT, preexec_fn=kafka.die_with_parent)
        os.write(outer, answer)
        told = process.communicate(timeout=engine.PATIENCE)[1].decode()
    finally:
        os.close(outer)
        os.close(inner)
    return process.returncode, told


def test_nothing_is_set_without_consent(ran, cluster):
    _, told = said(ran, "set", "--to", "earliest", check=2)
    assert "add --yes" in told
    command = ("offsets", "set", "--to", "earliest", "-c", ran.path)
    for answer in (b"n\n", b"\n", b"\x04"):
        code, told = on_a_terminal(answer, *command)
        assert code == 1 and f"Set 1 position of the group {ran.group}? [y/N]" in told and "Nothing was changed" in told
    assert cluster.committed(ran.group, ran.source_topic) == {0: 60}
    assert on_a_terminal(b"y\n", *command)[0] == 0
    assert cluster.committed(ran.group, ran.source_topic) == {0: 0}


def test_a_file_becomes_the_groups_position_with_its_ranges_and_its_lineage(ran, cluster, store):  # noqa: F811
    path = newest_path(ran, store)
    lineage = json.loads(path.read_text())["lineage"]
    for older in path.parent.glob("*.json"):
        if older != path:
            older.unlink()
    forge(path, offset=20, finished=[[30, 45], [50, 51]])
    forget_group(cluster, ran.group)
    change = done(ran, "restore", path)[0]
    assert change["before"] is None
    commit = offsets(ran, "show")[0]["commit"]
    assert commit == {"offset": 20, "lineage": lineage, "finished": [[30, 45], [50, 51]]}
    assert redone(ran) == 40 - 16
    assert files(ran, store)[0][0]["lineage"] == lineage


def test_a_commit_holds_as_many_ranges_as_fit_and_the_file_the_rest(ran, cluster, store):  # noqa: F811
    ran.send([ran.maker.event() for _ in range(2100)])
    finished = [[61 + 2 * i, 62 + 2 * i] for i in range(1024)]
    path = newest_path(ran, store)
    forge(path, offset=60, finished=finished)
    done(ran, "restore", path)
    commit = offsets(ran, "show")[0]["commit"]
    held = commit["finished"]
    assert held == finished[:len(held)] and 4096 - 64 <= 4 * len(held) <= 4096
    assert offsets(ran, "plan")[0]["finished"] == finished
    for place in finished:
        ran.ledger.sent.pop((ran.source_topic, 0, place[0]))
    ran.start()
    ran.until_done()
    assert ran.metrics().sum("millrace_source_skipped_records_total") == 1024
    ran.stop()
    ran.require_clean()


def test_an_older_file_is_restored_and_not_outdone_by_later_ones(ran, cluster, store):  # noqa: F811
    path = newest_path(ran, store)
    older = path.with_name(path.name.replace(path.name[:4], "2020", 1))
    older.write_text(path.read_text())
    forge(older, offset=15, finished=[[16, 18]])
    lineage = json.loads(path.read_text())["lineage"]
    change = done(ran, "restore", older)[0]
    assert change["after"]["offset"] == 15 and change["after"]["lineage"] != lineage
    plan = offsets(ran, "plan")[0]
    assert (plan["start"], plan["finished"]) == (15, [[16, 18]])
    assert redone(ran) == 43


def test_of_a_folder_the_newest_good_file_of_each_partition_is_restored(job, stub, cluster, store, seed):  # noqa: F811
    j = job(partitions=3, change=keeping(store))
    j.send([events.Maker(seed).event() for _ in range(60)])
    j.start()
    j.until_done()
    j.stop()
    ends = cluster.ends(j.source_topic)
    done(j, "set", "--to", "earliest")
    newest_path(j, store, 1).write_text("damaged")
    for path in (store / j.group / j.source_topic / "2").glob("*.json"):
        path.unlink()
    _, told = said(j, "restore", store, "--yes")
    assert "is passed over" in told and "no good file" in told
    after = cluster.committed(j.group, j.source_topic)
    assert after[0] == ends[0] and after[2] == 0


def test_files_of_another_cluster_are_refused_unless_forced_and_never_joined(ran, cluster, store):  # noqa: F811
    path = newest_path(ran, store)
    for file in path.parent.glob("*.json"):
        forge(file, cluster="another-cluster")
    _, told = said(ran, "restore", path, "--yes", check=1)
    assert "another cluster (another-cluster)" in told and "--force" in told
    done(ran, "set", "--to", "10")
    change = done(ran, "restore", path, "--force")[0]
    assert change["after"]["offset"] == 60
    forget_group(cluster, ran.group)
    out, told = said(ran, "plan", "--json")
    plan = json.loads(out)["partitions"][0]
    assert (plan["why"], plan["start"]) == ("start", 0) and plan["strangers"] > 0
    assert "another cluster (another-cluster)" in told
    assert redone(ran) == 60
    assert "checkpoint files are not used" in ran.stderr()


def test_a_file_that_does_not_fit_is_refused_with_the_reason(ran, store):  # noqa: F811
    path = newest_path(ran, store)
    good = path.read_text()
    for members, why in (({"group": "another"}, "of the group another"), ({"partition": 7}, "no partition of this job"),
                         ({"topic": "another"}, "no partition of this job"), ({"offset": 61}, "beyond the end")):
        path.write_text(good)
        forge(path, **members)
        assert why in said(ran, "restore", path, "--yes", check=1)[1]
    path.write_text(good[:100])
    assert "does not end with its checksum" in said(ran, "restore", path, "--yes", check=65)[1]
    assert "No such file" in said(ran, "restore", store / "nothing", "--yes", check=1)[1]
    path.write_text(good)
    assert "which one?" in said(ran, "restore", path, path, "--yes", check=1)[1]


def test_a_missing_topic_is_no_missing_broker(ran):
    config = engine.merged(ran.config, {"source": {"topics": ["nowhere"]}})
    ran.path.write_text(json.dumps(config))
    for verb in (("show",), ("plan",), ("set", "--to", "earliest", "--yes")):
        _, told = said(ran, *verb, check=1)
        assert "there is no topic nowhere" in told and "source.topics" in told


def test_plan_speaks_of_checkpoints_only_where_there_are_any(ran):
    assert "joined with the checkpoints" in said(ran, "plan")[0]
    ran.path.write_text(json.dumps({k: v for k, v in ran.config.items() if k != "checkpoint"}))
    table = said(ran, "plan")[0]
    assert "the group's commit\n" in table and "joined" not in table


def test_the_group_of_a_backfill_is_named(ran, cluster):
    out, _ = said(ran, "show", "--group", "another-group", "--json")
    answer = json.loads(out)
    assert answer["group"] == "another-group" and answer["partitions"][0]["commit"] is None

"""Another program's consumer group is taken over, and given back: what helm/MOVING-FROM-FLINK.md tells."""

import pytest

import engine
import events

pytestmark = pytest.mark.real_kafka


def read_by_java(cluster, group, topic, count):
    """A plain Java consumer reads so many records and commits, as a group of another program does."""
    said = cluster.console_consumer(group, topic, count)
    assert f"Processed a total of {count} messages" in said, said


def test_a_groups_plain_commits_are_obeyed_and_ours_are_understood_by_others(job, cluster, seed, stub, tmp_path):
    maker = events.Maker(seed, pages=10)
    j = job(partitions=1, change={"checkpoint": {"dir": str(tmp_path)}})
    first, second, third = ([maker.event() for _ in range(n)] for n in (40, 30, 20))

    # The other program has read the first forty and ends.
    cluster.send(j.source_topic, [e.record() for e in first])
    read_by_java(cluster, j.group, j.source_topic, 40)
    assert cluster.committed(j.group, j.source_topic) == {0: 40}
    j.send(second)
    j.write_config()
    plan = engine.run("offsets", "plan", "-c", j.path, check=0).stdout.decode()
    assert "40" in plan and "which Millrace did not write" in plan, plan

    # Millrace goes on exactly there: nothing twice, nothing left out.
    j.start()
    j.until_done()
    j.stop()
    j.require_clean()
    assert cluster.committed(j.group, j.source_topic) == {0: 70}

    # And back: the other program begins where Millrace ended.
    cluster.send(j.source_topic, [e.record() for e in third])
    read_by_java(cluster, j.group, j.source_topic, 20)
    assert cluster.committed(j.group, j.source_topic) == {0: 90}

    # And forth once more: its commit wins over Millrace's own files, which know less.
    last = [maker.event() for _ in range(10)]
    j.send(last)
    j.start()
    j.until_done()
    j.require_clean()
    assert cluster.committed(j.group, j.source_topic) == {0: 100}

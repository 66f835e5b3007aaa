"""Keys stay on the partitions where Java's producers put them: murmur2, of the same bytes."""

import json

import pytest

import events

PARTITIONS = 12
WIKIS = [("enwiki", "en.wikipedia.org"), ("zh_min_nanwiki", "zh-min-nan.wikipedia.org"), ("wikidatawiki", "www.wikidata.org"),
         ("日本語ウィキ", "ja.wikipedia.org"), ("größe", "de.wikipedia.org")]


@pytest.mark.real_kafka
def test_an_outputs_key_lands_where_javas_partitioner_puts_it(job, cluster, seed, stub):
    """Topics that are written by the present job and by this one must not split a page between partitions."""
    maker = events.Maker(seed, pages=120, wikis=WIKIS)
    j = job(partitions=PARTITIONS)
    j.send([maker.event() for _ in range(400)])
    j.start()
    j.until_done()
    j.require_clean()
    ours = {}
    for message in j.outputs():
        if message.key() is not None:
            ours.setdefault(message.key(), set()).add(message.partition())
    assert len(ours) > 60 and {len(p) for p in ours.values()} == {1}
    assert len({p for partitions in ours.values() for p in partitions}) == PARTITIONS
    assert any(b"\xe6\x97\xa5" in key for key in ours), "no key is beyond ASCII"
    assert any(json.loads(key)["page_id"] > 2**50 for key in ours), "no key holds a large id"

    theirs = j.prefix + "by-java"
    cluster.create(theirs, partitions=PARTITIONS)
    cluster.console_producer(theirs, [key + b"\tx" for key in ours])
    by_java = {message.key(): {message.partition()} for message in cluster.read(theirs)}
    assert by_java == ours

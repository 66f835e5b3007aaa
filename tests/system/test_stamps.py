"""What the engine writes into the events of a stream, on every way that an output can take: meta and $schema.

The ids are worked out here once more, by Python's uuid: consumers drop repeats by them, so they may never change."""

import json
import uuid

import check
import engine
import events

IDS = uuid.UUID("e1049b0b-b5d8-4100-a84b-ccd51884b2d6")  # the namespace: an id made by one version is that of the next
SCRIPT = """local millrace = require "millrace"
return {
  api = 1,
  request = function(event)
    event.meta.id, event.meta.stream, event.meta.dt = "the script's", "the script's", "the script's"
    if event.page_change_kind == "delete" then return millrace.pass() end
    return { host = event.meta.domain, query = { action = "query", format = "json", formatversion = "2", prop = "revisions",
                                                 rvprop = "ids|content", rvslots = "*", revids = event.revision.rev_id } }
  end,
  transform = function(event)
    if event.page_change_kind == "move" then return millrace.pass() end
    if event.page_change_kind == "create" then return event end
    return millrace.outputs(millrace.output { value = event }, millrace.output { value = event, to = "second" },
                            millrace.output { value = event }, millrace.output { value = event, to = "plain" })
  end,
}
"""
PINNED = "/mediawiki/page/change/1.0.0"
MINE = {"id": "the script's", "stream": "the script's", "dt": "the script's"}


def identity(name, stream, n):
    return str(uuid.uuid5(IDS, f"{name}\n{stream}\n{n}"))


def three_sinks(job, tmp_path):
    """One of a stream, one of a stream that pins $schema, one of a plain topic."""
    script = tmp_path / "stamps.lua"
    script.write_text(SCRIPT)
    j = job(partitions=1, script=script)
    sink = j.config.pop("sink")
    j.config["sinks"] = {"first": sink,
                         "second": {"stream": "second", "schema": PINNED, "kafka": sink["kafka"]},
                         "plain": {"topic": j.prefix + "plain", "kafka": sink["kafka"]}}
    for name in ("second", "plain"):
        j.sink.create(j.prefix + name, partitions=1)
    return j


def came_out(j, topic):
    """[((source offset, n), value)] in the order of the topic."""
    return [(check.source_of(m)[2:], json.loads(m.value())) for m in j.sink.read(topic)]


def stamped(value):
    return {"$schema": value["$schema"], **{name: value["meta"][name] for name in ("id", "stream")}}


def test_every_output_to_a_stream_is_stamped_and_a_repeat_carries_the_id_of_the_first(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=1)
    j = three_sinks(job, tmp_path)

    def without_an_id(value):
        del value["meta"]["id"]

    sent = [maker.event("delete"), maker.event("create", no_body=True), maker.event("edit", no_body=True),
            maker.event("delete", change=without_an_id), maker.event("edit", no_body=True, change=without_an_id),
            maker.event("move", no_body=True)]
    j.send(sent)
    j.start()
    j.until_done()
    values = [json.loads(event.value) for event in sent]
    names = [v["meta"].get("id") or f"{j.source_topic}/0/{offset}" for offset, v in enumerate(values)]
    assert names[3] == f"{j.source_topic}/0/3", "no event is without an id"

    def of(places, stream, schema):
        return [((offset, n), {"$schema": schema or values[offset]["$schema"], "stream": stream,
                               "id": identity(names[offset], stream, n)}) for offset, n in places]

    # Passed, enriched, the first and the third of several, passed without an id, several without one, passed after its lookup.
    wanted = {j.sink_topic: of([(0, 0), (1, 0), (2, 0), (2, 2), (3, 0), (4, 0), (4, 2), (5, 0)], j.stream, None),
              j.prefix + "second": of([(2, 1), (4, 1)], "second", PINNED)}
    first = {topic: came_out(j, topic) for topic in wanted}
    for topic, expected in wanted.items():
        assert [(place, stamped(value)) for place, value in first[topic]] == expected
        for (offset, _), value in first[topic]:
            model, schema = json.loads(json.dumps(values[offset])), PINNED if topic != j.sink_topic else None
            assert check.stamps(model, value, expected[0][1]["stream"], schema) == []
            assert value == model, "nothing but the stamps is the engine's"
    ids = [expected["id"] for topic in wanted.values() for _, expected in topic]
    assert len(set(ids)) == len(ids)

    # A topic without a stream gets what the script made of it.
    plain = came_out(j, j.prefix + "plain")
    assert [place for place, _ in plain] == [(2, 3), (4, 3)]
    assert all({name: value["meta"][name] for name in MINE} == MINE for _, value in plain)

    # All over again, by another process: the same ids, at the same places.
    j.stop()
    engine.run("offsets", "set", "--to", "earliest", "--yes", "-c", j.path)
    j.start()
    j.until_done()
    for topic, expected in wanted.items():
        assert [(place, stamped(value)) for place, value in came_out(j, topic)] == expected * 2

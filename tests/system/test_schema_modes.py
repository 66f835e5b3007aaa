"""Events are held against their schemas: those that are not what they say fail alone, and no repository that is away
makes anything fail."""

import json
import signal

import pytest

import check
import events
from engine import run, until
from job import error_types
from repository import Folder, Server, TITLE, page_change

PATH = f"/{TITLE}/"


@pytest.fixture
def server():
    made = []

    def make(*schemas):
        made.append(Server(*schemas))
        return made[-1]
    yield make
    for server in made:
        server.close()


def of(version, **members):
    """Makes an event one of that version, with these members too (None: without)."""
    def change(value):
        value.pop("later", None)
        value["$schema"] = PATH + version if "/" not in version else version
        for name, member in members.items():
            if member is None:
                value.pop(name, None)
            else:
                value[name] = member
    return change


def schemas(uris, **more):
    return {"schemas": {"uris": uris, **more}}


def counted(j, name, **labels):
    return j.metrics().sum(f"millrace_schema_{name}", **labels)


def test_events_newer_than_the_repository_come_out_of_a_pinned_sink(job, stub, seed, tmp_path):
    repository = Folder(tmp_path / "schemas", page_change("1.7.0"), page_change("1.11.0", ["eleven"]),
                        page_change("1.9.0", ["nine"]))
    maker = events.Maker(seed, pages=5)
    records = [maker.event(kind, change=of("1.12.0", eleven="old", twelve={"new": [1]}))
               for kind in ["edit", "delete", "create"] * 10]
    for record in records:  # 1.7.0 knows neither
        del record.model["eleven"], record.model["twelve"]
    j = job(change={**schemas([repository.uri], input="enforce"),
                    "sink": {"schema": PATH + "1.7.0", "unknown": "strip"}})
    j.send(records)
    j.start()
    j.until_done()
    j.check(PATH + "1.7.0").require(story=j.story())
    assert not j.failures()
    j.require_outcomes()
    assert j.metrics().value("millrace_schemas_loaded") == 2  # 1.7.0 as pinned, 1.11.0 in the place of 1.12.0
    assert counted(j, "unknown_versions_total", schema=TITLE) == 30
    assert counted(j, "stripped_properties_total", sink="sink") == 60
    assert counted(j, "checks_total", schema=TITLE, side="input", outcome="valid") == 30
    assert counted(j, "checks_total", schema=TITLE, side="output", outcome="valid") == 30


def test_a_title_that_no_repository_has_is_an_error_event_and_its_neighbours_come_out(job, stub, seed, tmp_path):
    repository = Folder(tmp_path / "schemas", page_change("1.2.0"))
    maker = events.Maker(seed, pages=3)
    page = maker.pages[0]
    bad = ["/nobody/knows/1.0.0", "../../etc/passwd", "/", PATH + "../1.2.0", "", "/no\u0000where/1.0.0"]
    records = []
    for version in bad:
        records += [maker.event(page=page, change=of("1.2.0")),
                    maker.event(page=page, outcome="failed", error="UnknownSchema", change=lambda v, s=version: (
                        of("1.2.0")(v), v.update({"$schema": s})))]
    records.append(maker.event(page=page, outcome="failed", error="UnknownSchema", change=lambda v: (
        of("1.2.0")(v), v.pop("$schema"))))
    j = job(partitions=1, change=schemas([repository.uri], input="enforce"))
    j.send(records)
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()
    first = error_types(j)[1]
    assert first["errored_schema_uri"] == "/nobody/knows/1.0.0"
    assert first["errored_stream_name"] == "mediawiki.page_change.v1"
    assert "no repository has a schema of the title nobody/knows" in first["message"]


def test_under_warn_what_has_no_schema_goes_on(job, stub, seed, tmp_path):
    repository = Folder(tmp_path / "schemas", page_change("1.2.0"))
    maker = events.Maker(seed, pages=3)
    j = job(change=schemas([repository.uri], input="warn", output="warn"))
    j.send([maker.event(change=of("/nobody/knows/1.0.0")), maker.event(change=lambda v: v.pop("$schema"))])
    j.start()
    j.until_done()
    j.require_clean()
    assert counted(j, "checks_total", outcome="unknown") == 4
    assert "names no schema that can be used" in j.log.read_text()


@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
def test_an_input_that_is_not_what_its_schema_says(job, stub, seed, tmp_path, mode):
    repository = Folder(tmp_path / "schemas", page_change("1.2.0"))
    maker = events.Maker(seed, pages=3)
    page, outcome = maker.pages[0], "failed" if mode == "enforce" else "enriched"
    j = job(partitions=1, change=schemas([repository.uri], input=mode, output="off"))
    j.send([maker.event(page=page, change=of("1.2.0")),
            maker.event(page=page, outcome=outcome, change=of("1.2.0", comment=["a secret"])),
            maker.event(page=page, change=of("1.2.0"))])
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()
    assert counted(j, "checks_total", outcome="invalid") == (0 if mode == "off" else 1)
    assert "a secret" not in j.log.read_text()
    if mode == "warn":
        assert f"is not what {PATH}1.2.0 says: type at {PATH}1.2.0#/properties/comment" in j.log.read_text()
    if mode == "enforce":
        error = error_types(j)[1]
        assert error["error_type"] == "InputInvalid"
        assert f"the input is not what {PATH}1.2.0 says: /comment: expected a string" in error["message"]
        assert error["errored_schema_uri"] == PATH + "1.2.0"


@pytest.mark.parametrize("mode", ["warn", "enforce"])
def test_an_output_that_is_not_what_its_schema_says(job, stub, seed, tmp_path, mode):
    repository = Folder(tmp_path / "schemas", page_change("1.2.0"))
    maker = events.Maker(seed, pages=3)
    page = maker.pages[0]

    def outcome(good):
        return good if mode == "warn" else "failed"
    j = job(partitions=1, change=schemas([repository.uri], output=mode))
    j.send([maker.event(page=page, change=of("1.2.0")),
            maker.event(page=page, outcome=outcome("enriched"), change=of("1.2.0", unheard_of=1)),
            maker.event("delete", page=page, outcome=outcome("passed"), change=of("1.2.0", unheard_of=2)),
            maker.event(page=page, change=of("1.2.0"))])
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()
    assert counted(j, "checks_total", side="output", outcome="invalid") == 2
    if mode == "enforce":
        error = error_types(j)[1]
        assert error["error_type"] == "OutputInvalid"
        assert 'no property "unheard_of"' in error["message"]


OUTPUTS = """local millrace = require "millrace"
return { api = 1, transform = function(event)
  return millrace.outputs(millrace.output { value = event }, millrace.output { value = event, to = "open" })
end }
"""


def test_of_several_outputs_all_are_sent_or_none(job, stub, seed, tmp_path):
    repository = Folder(tmp_path / "schemas", page_change("1.2.0"), page_change("2.0.0", ["unheard_of"]))
    script = tmp_path / "outputs.lua"
    script.write_text(OUTPUTS)
    maker = events.Maker(seed, pages=3)
    page = maker.pages[0]
    j = job(partitions=1, script=script, change=schemas([repository.uri]))
    sink = j.config.pop("sink")
    j.config["sinks"] = {"closed": {**sink, "schema": PATH + "1.2.0"},
                         "open": {"stream": "open", "schema": PATH + "2.0.0", "kafka": sink["kafka"]}}
    j.sink.create(j.prefix + "open", partitions=1)
    j.send([maker.event(page=page, no_body=True, change=of("1.2.0")),
            maker.event(page=page, outcome="failed", error="OutputInvalid", change=of("1.2.0", unheard_of=1)),
            maker.event(page=page, no_body=True, change=of("1.2.0"))])
    j.start()
    j.until_done()
    assert [check.source_of(m)[2] for m in j.outputs()] == [0, 2]
    assert [check.source_of(m)[2] for m in j.sink.read(j.prefix + "open")] == [0, 2]
    assert list(error_types(j)) == [1]
    assert {events.load(m.value())["$schema"] for m in j.sink.read(j.prefix + "open")} == {PATH + "2.0.0"}


def test_while_the_repository_is_away_nothing_fails_and_then_all_goes_on(job, stub, seed, server):
    repository = server(page_change("1.2.0"))
    repository.away = True
    maker = events.Maker(seed, pages=5)
    j = job(change=schemas([f"http://127.0.0.1:{repository.port}"], input="enforce"))
    j.send([maker.event(change=of("1.2.0")) for _ in range(30)])
    j.start()
    j.until("it says why it stands still", lambda m: m.value("millrace_paused_seconds_total", reason="schema") > 1)
    assert j.metrics().value("millrace_state", state="paused") == 1
    assert j.get("/readyz")[0] == j.get("/livez")[0] == 200
    repository.away = False
    j.until_done()
    j.require_clean()
    repository.away = True  # what is known serves for ever
    j.send([maker.event(change=of("1.2.0")) for _ in range(10)])
    j.until_done()
    j.send([maker.event(change=of("1.3.0")) for _ in range(10)])  # this one, nobody knows
    paused = j.metrics().value("millrace_paused_seconds_total", reason="schema")
    j.until("it stands still again", lambda m: m.value("millrace_paused_seconds_total", reason="schema") > paused)
    repository.away = False
    j.until_done()
    j.require_clean()
    assert not j.failures()
    j.require_outcomes()


def test_a_stop_while_the_repository_is_away_gives_back_what_waits(job, stub, seed, server):
    repository = server(page_change("1.2.0"))
    repository.away = True
    maker = events.Maker(seed, pages=5)
    j = job(change=schemas([f"http://127.0.0.1:{repository.port}"]))  # outputs: asked and transformed already
    j.send([maker.event(change=of("1.2.0")) for _ in range(30)])
    j.start()
    j.until("it stands still", lambda m: m.value("millrace_state", state="paused"))
    j.stop()
    repository.away = False
    j.start()
    j.until_done()
    j.require_clean()


def test_a_repository_that_hangs_holds_up_neither_the_loop_nor_a_stop(job, stub, seed, server):
    repository = server(page_change("1.2.0"))
    repository.may_answer.clear()
    maker = events.Maker(seed, pages=5)
    j = job(change=schemas([f"http://127.0.0.1:{repository.port}"], input="enforce"))
    j.send([maker.event(change=of("1.2.0")) for _ in range(10)])
    j.start()
    until("it asks", lambda: repository.asked, story=j.story)
    assert j.get("/livez")[0] == 200  # by the loop itself
    j.stop()  # 0
    repository.may_answer.set()
    j.start()
    j.until_done()
    j.require_clean()


def test_a_folder_that_is_not_there_is_away_and_makes_nothing_fail(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=5)
    j = job(change=schemas([f"file://{tmp_path}/schemas"], input="enforce"))
    j.send([maker.event(change=of("1.2.0")) for _ in range(10)])
    j.start()
    j.until("it stands still", lambda m: m.value("millrace_state", state="paused"))
    Folder(tmp_path / "schemas", page_change("1.2.0"))
    j.until_done()
    j.require_clean()


def test_a_version_that_appears_is_used_without_a_restart(job, stub, seed, server):
    repository = server(page_change("1.2.0"))
    maker = events.Maker(seed, pages=5)
    j = job(change={**schemas(["https://schema.example.org/repositories/primary"], input="enforce"),
                    "routes": {"https://schema.example.org": f"http://127.0.0.1:{repository.port}"}})
    j.send([maker.event(change=of("1.3.0")) for _ in range(10)])
    j.start()
    j.until_done()
    assert repository.asked[0][0] == "schema.example.org"
    unknown = counted(j, "unknown_versions_total")
    assert unknown == 20  # the inputs, and the outputs, which keep their version
    repository.add(page_change("1.3.0", comment={"maxLength": 3}))
    loaded = counted(j, "loads_total", outcome="loaded")
    j.signal(signal.SIGHUP)
    j.until("1.3.0 is loaded", lambda m: m.sum("millrace_schema_loads_total", outcome="loaded") >= loaded + 2)
    j.send([maker.event(outcome="failed", error="InputInvalid", change=of("1.3.0", comment="long")) for _ in range(5)])
    j.until_done()
    j.require_clean()
    assert counted(j, "unknown_versions_total") == unknown


def test_the_first_repository_that_has_a_schema_decides(job, stub, seed, tmp_path, server):
    first = Folder(tmp_path / "schemas", page_change("1.2.0"))
    second = server(page_change("1.2.0", comment={"maxLength": 0}), page_change("1.3.0"))
    maker = events.Maker(seed, pages=5)
    j = job(change=schemas([first.uri, f"http://127.0.0.1:{second.port}"], input="enforce"))
    j.send([maker.event(change=of("1.2.0", comment="long")), maker.event(change=of("1.3.0", comment="long"))])
    j.start()
    j.until_done()
    j.require_clean()
    assert not counted(j, "unknown_versions_total")


def test_check_finds_what_a_job_needs_of_its_repositories(job, stub, tmp_path, server):
    first = Folder(tmp_path / "schemas", page_change("1.7.0"))
    second = server({"title": "error", "$id": "/error/2.1.0", "type": "object"})
    j = job(change={**schemas([first.uri, f"http://127.0.0.1:{second.port}"]), "sink": {"schema": PATH + "1.7.0"}})
    path = j.folder / "millrace.yaml"

    def look(code):
        path.write_text(json.dumps(j.config))
        result = run("check", "--schemas", path, check=code)
        return (result.stdout + result.stderr).decode()

    assert f"ok schema {PATH}1.7.0" in look(0)
    j.config["sink"]["schema"] = PATH + "1.8.0"
    assert f"sink.schema: {PATH}1.8.0: it is in none of the repositories" in look(78)
    j.config["sink"]["schema"] = PATH + "1.7.0"
    second.away = True
    assert "answered 503" in look(69)
    first.add({**page_change("1.7.0"), "type": "nonsense"})
    assert f"{PATH}1.7.0" in look(78)

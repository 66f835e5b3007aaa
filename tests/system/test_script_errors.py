"""What people are told when a script or a configuration is wrong, and what `millrace explain` says of it."""

import json
import os

import pytest

import events
from engine import run

EVENT = {"$schema": "/mediawiki/page/change/1.2.0", "page_change_kind": "delete", "page": {"page_id": 12},
         "revision": {"rev_id": 977}, "password": "hunter2"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder to be in, so that messages have short paths; gives the function that writes a script there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").write_text("{}\n" + json.dumps(EVENT, separators=(",", ":")) + "\n")

    def write(text, name="job.lua"):
        (tmp_path / name).write_text(text)
        return name
    return write


def here(*arguments, check):
    result = run(*arguments, check=check, cwd=os.getcwd())
    return (result.stdout + result.stderr).decode()


def test_enrich_shows_the_line_the_event_and_a_hint(project):
    script = project('local millrace = require "millrace"\n'
                     "return {\n"
                     "  api = 1,\n"
                     "  transform = function(event)\n"
                     '    if not event.page then return millrace.drop("none") end\n'
                     "    local id = event.page.revision.rev_id\n"
                     "    return { id = id }\n"
                     "  end,\n"
                     "}\n")
    assert here("enrich", script, "events.jsonl", check=1) == (
        "job.lua:6:16: error[M201]: attempt to index field 'revision' (a nil value)\n"
        '     5 |     if not event.page then return millrace.drop("none") end\n'
        "     6 |     local id = event.page.revision.rev_id\n"
        "       |                ^^^^^^^^^^^^^^^^^^^\n"
        "   in hook 'transform', event events.jsonl:2\n"
        '   event: {"page":{"page_id":12},"revision":{"rev_id":977},"page_change_kind":"delete",'
        '"password":"(redacted)","$schema":"/mediawiki/page/change/1.2.0"}\n'
        "   hint: this event has 'revision' at top level, not under 'page'\n"
        "   more: millrace explain M201\n"
        "2 events: 0 enriched, 0 passed, 1 dropped, 1 failed\n")


def test_check_tells_of_a_script_with_caret_and_code(project):
    said = here("check", project("return {\n  api = 1\n  transform = function(event) return event end,\n}\n"), check=78)
    assert said.endswith("job.lua:3:3: error[M210]: '}' expected (to close '{' at line 1) near 'transform'\n"
                           "     2 |   api = 1\n"
                           "     3 |   transform = function(event) return event end,\n"
                           "       |   ^^^^^^^^^\n"
                           "   hint: a comma is missing at the end of line 2\n"), said
    said = here("check", project("return {api = 1, transform = function(e) return e end,\n"
                                 "  selftest = function()\n    return helper()\n  end}\n"), check=78)
    assert "job.lua:3:12: error[M202]: attempt to call global 'helper' (a nil value)" in said, said
    assert "in hook 'selftest'" in said and "'helper' is set nowhere" in said, said


def test_check_gives_codes_and_hints_as_json_too(project):
    (problem,) = [json.loads(line) for line in
                  here("check", "--format", "json", project("local x = io.open('/etc/passwd')\n"), check=78).splitlines()]
    assert (problem["code"], problem["line"], problem["column"], problem["severity"]) == ("M201", 1, 11, "error")
    assert "scripts have no 'io'" in problem["hint"]
    project("name: x\nsorce: {}\n", "millrace.yaml")
    problems = [json.loads(line) for line in here("check", "--format", "json", "millrace.yaml", check=78).splitlines()]
    assert {p["code"] for p in problems} == {"M101", "M103"}, problems


def test_a_script_that_does_not_load_is_told_so_by_enrich_too(project):
    said = here("enrich", project("if x != 1 then end\n"), "events.jsonl", check=78)
    assert said == ("job.lua:1:6: error[M210]: 'then' expected near '!'\n"
                    "     1 | if x != 1 then end\n"
                    "       |      ^\n"
                    "   hint: unequal is written ~=\n"
                    "   more: millrace explain M210\n"), said


def test_a_test_that_fails_in_the_script_shows_the_line(project):
    project("return {api = 1, transform = function(event)\n  return { id = event.revison.rev_id }\nend}\n")
    project("tests:\n  - name: fails\n    event: {revision: {rev_id: 1}}\n    expect: {output: {id: 1}}\n", "job_test.yaml")
    said = here("test", ".", check=1)
    assert ("job.lua:2:17: error[M201]: attempt to index field 'revison' (a nil value)\n" in said and
            "hint: this event has no 'revison'; did you mean 'revision'?\n" in said), said
    project("tests:\n  - name: is misspelt\n    evnt: {}\n", "job_test.yaml")
    assert "error[M401]: " in here("test", ".", check=78)


def test_a_lost_verdict_is_found_in_enrich(project):
    script = project('local millrace = require "millrace"\n'
                     "return {api = 1, transform = function(event)\n"
                     '  if event.page then millrace.drop("deleted") end\n'
                     "end}\n")
    said = here("enrich", script, "events.jsonl", check=1)
    assert "job.lua:3:22: error[M220]: ScriptAnswer: hook 'transform' in job.lua answered nil" in said, said
    assert "write return millrace.drop(...)" in said, said


def test_nothing_of_an_event_is_in_the_log_of_an_engine_that_runs(job, seed, tmp_path):
    script = tmp_path / "fails.lua"
    script.write_text("return {api = 1, transform = function(event) return event.page.revison.x end}\n")
    j = job(partitions=1, script=script)
    event = events.Maker(seed, pages=1).event()
    j.send([event])
    j.start()
    j.until_outputs(1)
    (failure,) = [events.load(m.value()) for m in j.failures()]
    assert failure["error_type"] == "ScriptError" and "M201" not in failure["message"], failure
    assert "fails.lua:1: attempt to index field 'revison'" in failure["message"], failure
    assert "M201" not in j.get("/metrics")[1]
    j.stop()
    title = event.model["page"]["page_title"]
    assert title not in j.stderr() and "hint:" not in j.stderr(), j.stderr()


def test_every_code_is_explained():
    listed = run("explain", check=0).stdout.decode().splitlines()
    codes = [line.split()[0] for line in listed]
    assert len(codes) > 50 and codes == sorted(set(codes))
    for code in codes:
        said = run("explain", code, check=0).stdout.decode()
        assert said.startswith(code + ": ") and "Most often:" in said and "What to do:" in said
        assert all(len(line) <= 80 or line.startswith("    ") for line in said.splitlines()), said
    pages = [json.loads(line) for line in run("explain", "--json", check=0).stdout.splitlines()]
    assert [page["code"] for page in pages] == codes


def test_a_failure_type_is_explained_and_an_unknown_code_is_a_usage_error():
    assert run("explain", "HttpStatus", check=0).stdout.startswith(b"M501: ")
    several = run("explain", "ScriptError", check=0).stdout.decode()
    assert "M201" in several and "M210" in several
    assert b"did you mean 'M201'" in run("explain", "M2O1", check=2).stderr
    assert b"did you mean 'ScriptError'" in run("explain", "ScriptEror", check=2).stderr
    assert run("explain", "M201", "M202", check=2).stderr

"""`millrace test`: every expectation can fail, and says where and what; goldens, formats, watching."""

import json
import os
import subprocess
import time
import xml.etree.ElementTree as xml

import pytest

from engine import BINARY, run, until

SCRIPT = """\
local millrace = require "millrace"
return {
  api = 1,
  request = function(event)
    if event.kind == "drop" then return millrace.drop("unwanted") end
    if event.kind == "pass" then return millrace.pass() end
    if event.kind == "loop" then while true do end end
    if event.kind == "raise" then return event.nothing.here end
    if event.kind == "posted" then return { method = "POST", path = "/p", body = { n = 1 }, headers = { ["X-A"] = "b" } } end
    if event.kind == "secret" then return { path = "/s", query = { api_key = "hush" } } end
    return { host = "h.example", path = "/one", query = { id = event.id, list = { "a", "b" } } }
  end,
  transform = function(event, response, meta)
    if event.kind == "two" then
      return millrace.outputs(millrace.output { value = { n = 1 }, key = "k" }, millrace.output { value = { n = 2 }, to = "other" })
    end
    event.answer, event.now = response.json, meta.now
    return event
  end,
}
"""
HEAD = """\
clock: 2026-11-22T13:26:28Z
sinks: {main: {topic: main}, other: {stream: other.v1}}
answers: [{when: {path: /one}, json: {ok: true}}]
tests:
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "x.lua").write_text(SCRIPT)
    return tmp_path


def told(folder, tests, *options, code=1, env=None):
    (folder / "x_test.yaml").write_text(HEAD + tests)
    result = run("test", folder, *options, check=code, env=env)
    return result.stdout.decode() + result.stderr.decode()


def one(test):
    return "  - name: a promise\n" + "".join(f"    {line}\n" for line in test.splitlines())


GOOD = {
    "an output": "event: {kind: x, id: 7}\nexpect: {output: {kind: x, id: 7, answer: {ok: true}, now: 1795353988}, calls: 1, to: main}",
    "big numbers": "event: {kind: x, id: 9007199254740993}\nexpect: {contains: {id: 9007199254740993}}",
    "a part": "event: {kind: x, id: 7}\nexpect: {contains: {answer: {ok: true}}, without: [answer.no, nothing]}",
    "outputs": "event: {kind: two, id: 1}\nexpect: {outputs: [{value: {n: 1}, key: k, to: main},"
               " {contains: {n: 2, meta: {stream: other.v1, dt: '2026-11-22T13:26:28.000Z'}}, to: other}]}",
    "a drop": "event: {kind: drop}\nexpect: {dropped: unwanted, calls: 0}",
    "a pass": "event: {kind: pass}\nexpect: {passed: true, output: {kind: pass}}",
    "a script error": "event: {kind: raise}\nexpect: {failed: {type: ScriptError, message: \"field 'nothing'\"}}",
    "a loop": "event: {kind: loop}\nexpect: {failed: ScriptTimeout}",
    "requests": "event: {kind: posted}\nanswers: [{when: {method: POST, body: {n: 1}, headers: {x-a: b}}, json: 1}]\n"
                "expect: {requests: [{method: POST, path: /p, body: {n: 1}, headers: {x-a: b}}]}",
    "a list in a query": "event: {kind: x, id: 7}\nexpect: {requests: [{query: {id: 7, list: a|b}}]}",
    "a change": "event: {kind: x, id: 7, deep: {a: 1, b: 2}}\nchange: {deep: {a: null, c: 3}, id: 8}\n"
                "expect: {contains: {id: 8, deep: {b: 2, c: 3}}, without: [deep.a]}",
    "headers of an output": "event: {kind: x, id: 7}\nexpect: {headers: {millrace-source: input/0/0/0}}",
    "a delay beyond the timeout": "event: {kind: x, id: 7}\nanswers: [{delay: 61s, json: 1, times: 1}]\n"
                                  "expect: {contains: {answer: {ok: true}}, calls: 2}",
    "waits that add up": "event: {kind: x, id: 7}\nanswers: [{status: 429, headers: {Retry-After: '3600'}, times: 2}]\n"
                         "expect: {calls: 3}",
    "events in a list": "events: [{kind: drop}, {kind: x, id: 1}]\nexpect: [{dropped: unwanted}, {contains: {id: 1}}]",
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_as_expected_passes(folder, name):
    assert told(folder, one(GOOD[name]), code=0).endswith("1 passed, 0 failed\n")


BAD = {
    "an output": ("event: {kind: x, id: 7}\nexpect: {output: {kind: x, id: 8, answer: {ok: true}}}", 7,
                  ["the output is another one", "- id: 8", "+ id: 7", "+ now: 1795353988"]),
    "a part": ("event: {kind: x, id: 7}\nexpect:\n  contains: {answer: {ok: false}}", 8,
               ["answer.ok", "- answer.ok: false", "+ answer.ok: true"]),
    "a part that is absent": ("event: {kind: x, id: 7}\nexpect: {contains: {more: 1}}", 7, ["- more: 1", "+ more: (nothing)"]),
    "too much": ("event: {kind: x, id: 7}\nexpect: {without: [answer.ok]}", 7, ["has answer.ok, which it should not"]),
    "another end": ("event: {kind: x, id: 7}\nexpect: {failed: NoText}", 7, ["expected failed NoText, got an output", '"kind":"x"']),
    "another reason": ("event: {kind: drop}\nexpect: {dropped: canary}", 7, ["- canary", "+ unwanted"]),
    "an error of the script": ("event: {kind: raise}\nexpect: {passed: true}", 7,
                               ["got failed, ScriptError", "x.lua:8:", "attempt to index field 'nothing'",
                                "this event has no 'nothing'"]),
    "the number of outputs": ("event: {kind: two, id: 1}\nexpect: {outputs: [{value: {n: 1}}]}", 7, ["expected 1 outputs, got 2"]),
    "a key": ("event: {kind: two, id: 1}\nexpect: {outputs: [{key: j}, {}]}", 7, ["key is another", '- "j"', '+ "k"']),
    "a sink of digits": ("event: {kind: x, id: 1}\nexpect: {to: 5}", 7, ["- 5", "+ main"]),
    "a sink of one letter": ("event: {kind: x, id: 1}\nexpect: {to: \"é\"}", 7, ["- é", "+ main"]),
    "a sink": ("event: {kind: x, id: 1}\nexpect: {to: other}", 7, ["- other", "+ main"]),
    "calls": ("event: {kind: x, id: 7}\nexpect: {calls: 2}", 7, ["expected 2 calls, got 1"]),
    "a request": ("event: {kind: x, id: 7}\nexpect: {requests: [{query: {id: 8}}]}", 7, ["query.id"]),
    "a question without an answer": (
        "event: {kind: posted}\nanswers: [{when: {path: /q}, json: 1, optional: true}]\nexpect: {contains: {}}", 5,
        ["nothing answers POST /p; the answer of line 7 is for another path"]),
    "a secret in a question": ("event: {kind: secret}\nexpect: {contains: {}}", 5, ["/s?api_key=(redacted)"]),
    "an answer for nobody": ("event: {kind: drop}\nanswers: [{json: 1}]\nexpect: {dropped: true}", 7, ["nobody asked for this answer"]),
    "a failure of one of two": ("events: [{kind: drop}, {kind: raise}]\nexpect: {dropped: unwanted}", 7, ["event 2: expected dropped"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_as_expected_says_where_and_what(folder, name):
    test, line, words = BAD[name]
    said = told(folder, one(test))
    assert f"x_test.yaml:{line}  " in said and said.endswith("0 passed, 1 failed\n"), said
    for word in words:
        assert word in said, said
    assert "hush" not in said


WRONG = {
    "an unknown key": ("evnet: {}\nexpect: {}", "6:5: error[M401]: unknown key 'evnet'"),
    "no expectation": ("event: {}", "the test expects nothing, so it could never fail"),
    "no event": ("expect: {dropped: x}", "the test has no event"),
    "two ends": ("event: {}\nexpect: {passed: true, dropped: x}", "a record ends in one way"),
    "a fault that there is not": ("event: {}\nanswers: [{fault: tired}]\nexpect: {}", "expected one of connect, timeout"),
    "a list for a sink": ("event: {kind: x}\nexpect: {to: [1]}", "expected the name of a sink"),
    "a key that is no text": ("event: {}\nexpect: {failed: {[a]: b}}", "a key must be a text"),
    "params whose key is no text": ("event: {}\nparams: {[a]: b}\nexpect: {}", "a key must be a text"),
    "a path that could never be there": ("event: {kind: x}\nexpect: {without: [a..b]}", "expected a path such as"),
    "two paths in one": ("event: {kind: x}\nexpect: {without: ['a,b']}", "expected a path such as"),
    "a map for a path": ("event: {kind: x}\nexpect: {outputs: [{without: [{a: b}]}]}", "expected a path such as"),
    "a file of no events": ("event_file: /dev/null\nexpect: {}", "the file is empty"),
    "a file that is not there": ("event_file: none.jsonl\nexpect: {}", "none.jsonl cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_file_has_its_place(folder, name):
    test, words = WRONG[name]
    said = told(folder, one(test), code=78)
    assert words in said and "x_test.yaml:" in said, said


def test_a_script_that_does_not_load_is_told_once_for_each_test(folder):
    (folder / "x.lua").write_text("return {")
    said = told(folder, one("event: {}\nexpect: {dropped: x}"), code=78)
    assert "the script does not load" in said and "x.lua:1" in said


def test_a_golden_file_is_written_compared_and_accepted(folder):
    test = one("events: [{kind: x, id: 1}, {kind: two, id: 2}]\nexpect: {golden: want.jsonl, calls: 2}")
    assert "there is no" in told(folder, test)
    refused = told(folder, test, "-u", code=2, env={"CI": "1"})
    assert "CI is set" in refused and not (folder / "want.jsonl").exists()
    unset = {"CI": ""}
    assert "accepted" in told(folder, test, "-u", code=0, env=unset)
    first = (folder / "want.jsonl").read_bytes()
    assert len(first.splitlines()) == 3
    told(folder, test, code=0)
    (folder / "x.lua").write_text(SCRIPT.replace("n = 2 }", "n = 3 }"))
    said = told(folder, test)
    assert "output 3 is not that of" in said and "- n: 2" in said and "+ n: 3" in said
    told(folder, test, "-u", code=0, env=unset)
    told(folder, test, code=0)
    assert (folder / "want.jsonl").read_bytes() != first


def test_a_cassette_answers_what_the_test_does_not(folder):
    cassette = folder / "tape"
    cassette.mkdir()
    (cassette / "one.json").write_text(json.dumps({
        "request": {"upstream": "upstream", "host": "h.example", "path": "/one", "query": {"id": "5", "list": "a|b"}},
        "answers": [{"status": 503}, {"json": {"from": "tape"}, "elapsed": 30}]}))
    (folder / "x_test.yaml").write_text(HEAD.replace("answers: [{when: {path: /one}, json: {ok: true}}]\n", "") + one(
        "event: {kind: x, id: 5}\ncassette: tape\nexpect: {contains: {answer: {from: tape}}, calls: 2}"))
    run("test", folder, check=0)


THREE = (one("event: {kind: drop}\nexpect: {dropped: unwanted}") +
         one("event: {kind: pass}\nexpect: {passed: true}").replace("a promise", "another promise") +
         one("event: {kind: pass}\nexpect: {dropped: \"<&\"}").replace("a promise", "a broken one"))


def test_tap_json_and_junit_say_the_same(folder):
    report = folder / "report.xml"
    said = told(folder, THREE, "--junit", report, "--format", "tap")
    assert [line.split(" - ")[0] for line in said.splitlines() if " - " in line and "ok" in line] == ["ok 1", "ok 2", "not ok 3"]
    assert "TAP version 13" in said and "1..3" in said
    suites = xml.parse(report).getroot()
    cases = suites.findall("testsuite/testcase")
    assert suites.get("tests") == "3" and suites.get("failures") == "1"
    assert [case.find("failure") is not None for case in cases] == [False, False, True]
    assert "<&" in cases[2].find("failure").text
    lines = run("test", folder, "--format", "json", check=1).stdout.splitlines()
    assert [json.loads(line)["passed"] for line in lines] == [True, True, False]


def test_tests_are_found_below_a_folder_beside_a_script_and_by_name(folder):
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "y.lua").write_text(SCRIPT)
    (folder / "deep" / "er" / "y_test.yaml").write_text(HEAD + one("event: {kind: drop}\nexpect: {dropped: unwanted}"))
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "z_test.yaml").write_text("no tests")
    told(folder, THREE, code=1)
    assert run("test", f"{folder}/...", "-l", check=0).stdout.count(b"\n") == 4
    assert b"1 passed, 0 failed" in run("test", folder / "deep" / "er" / "y.lua", check=0).stdout
    assert b"1 passed, 0 failed, 3 skipped" in run("test", folder, "-k", "ANOTHER", check=0).stdout
    assert b"no test has 'nothing'" in run("test", folder, "-k", "nothing", check=1).stderr
    assert b"none.lua" in run("test", folder / "none.lua", check=78).stderr


def test_a_saved_script_is_tested_again(folder):
    (folder / "x_test.yaml").write_text(HEAD + THREE)
    with subprocess.Popen([BINARY, "test", folder, "-w"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.set_blocking(process.stdout.fileno(), False)
        seen = b""

        def ended(times):
            nonlocal seen
            seen += process.stdout.read() or b""
            return seen.count(b" failed\n") >= times

        try:
            until("the first run is over", lambda: ended(1))
            time.sleep(0.01)
            (folder / "x.lua").write_text(SCRIPT.replace("unwanted", "renamed"))
            until("the second run is over", lambda: ended(2))
            assert b"2 passed, 1 failed" in seen and b"1 passed, 2 failed" in seen
        finally:
            process.terminate()
        assert process.wait(30) == 0


def test_a_report_that_cannot_be_written_is_no_success(folder):
    (folder / "x_test.yaml").write_text(HEAD + one("event: {kind: drop}\nexpect: {dropped: unwanted}"))
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, "test", folder], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1 and b"the report cannot be written" in result.stderr


def test_a_quiet_run_leaves_the_reports_of_machines_whole(folder):
    report = folder / "report.xml"
    said = told(folder, one("event: {kind: drop}\nexpect: {dropped: unwanted}") + one("event: {kind: drop}\nexpect: {passed: true}"),
                "-q", "--junit", report, "--format", "tap")
    assert "\nok 1 - " in said and "\nnot ok 2 - " in said and "\n1..2\n" in said, said
    assert len(xml.parse(report).getroot().findall("testsuite/testcase")) == 2
    said = told(folder, one("event: {kind: drop}\nexpect: {dropped: unwanted}"), "-q", code=0)
    assert said == "1 passed, 0 failed\n"

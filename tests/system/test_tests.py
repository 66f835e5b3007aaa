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
    "a question without an end": (
        "event: {kind: x, id: 7}\nanswers: [{status: 429}]\nexpect: {contains: {}}", 5,
        ["it would ask for ever: after 10000 calls", "h.example /one", "`times` ends an answer", "log: ..."]),
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
    "an event that is empty": ('event: ""\nexpect: {}', "expected an event: a map, or a text"),
    "a schema from nowhere": ("event: {}\nexpect: {schema: true}", "nothing says where schemas are"),
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


def test_a_name_that_would_write_on_the_terminal_is_refused(folder):
    said = told(folder, '  - name: "\\e[31m"\n    event: {}\n    expect: {dropped: x}\n', code=78)
    assert "a name of one line" in said


def test_questions_nested_as_deep_as_events_may_be_are_compared(folder):
    (folder / "x.lua").write_text('return {api = 1, request = function() local t = {} for _ = 1, 110 do t = {a = t} end\n'
                                  'return {path = "/p", body = t} end, transform = function(e) return e end}\n')
    said = told(folder, one("event: {a: 1}\nanswers: [{json: 1}]\nexpect: {requests: [{path: /p}]}"), code=0)
    assert "1 passed" in said  # as deep as an event may be


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


def test_a_golden_file_that_cannot_be_read_is_told_so(folder):
    (folder / "want.jsonl").mkdir()
    said = told(folder, one("event: {kind: x, id: 1}\nexpect: {golden: want.jsonl}"))
    assert "want.jsonl cannot be read: Is a directory" in said and "there is no" not in said


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


def test_a_quiet_report_is_whole_and_a_file_that_cannot_be_read_is_in_it(folder):
    report = folder / "report.xml"
    (folder / "y_test.yaml").write_text("script: x.lua\ntests: [{nam: x}]\n")
    said = told(folder, THREE, "-q", "--junit", report, code=78)
    assert "✓" not in said and said.count("✗") == 1 and "2 passed, 1 failed" in said
    root = xml.parse(report).getroot()
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["4", "1", "1"]
    suites = root.findall("testsuite")
    assert [(s.get("tests"), s.get("failures"), s.get("errors")) for s in suites] == [("3", "1", "0"), ("1", "0", "1")]
    assert [len(s.findall("testcase")) for s in suites] == [3, 1]
    assert "y_test.yaml:2:" in suites[1].find("testcase/error").text
    tap = run("test", folder / "x_test.yaml", "-q", "--format", "tap", check=1).stdout.decode().splitlines()
    assert [line[:7] for line in tap if "ok" in line[:6]] == ["ok 1 - ", "ok 2 - ", "not ok "] and "1..3" in tap


def on_a_terminal(folder, **env):
    """What a run says where stdout is a terminal."""
    ours, theirs = os.openpty()
    subprocess.run([BINARY, "test", folder], stdout=theirs, stderr=subprocess.DEVNULL, timeout=90,
                   env={**os.environ, "TERM": "xterm", **env})
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    return said


def test_differences_are_coloured_on_a_terminal_alone(folder, monkeypatch):
    (folder / "x_test.yaml").write_text(HEAD + one(BAD["an output"][0]))
    monkeypatch.delenv("NO_COLOR", raising=False)
    said = on_a_terminal(folder)
    assert b"\x1b[31m- id: 8\x1b[0m" in said and b"\x1b[32m+ id: 7\x1b[0m" in said, said
    assert b"\x1b" not in on_a_terminal(folder, NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal(folder, TERM="dumb")
    assert b"\x1b" not in run("test", folder, check=1).stdout


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


SCHEMA = """\
title: thing
$id: /thing/1.0.0
$schema: http://json-schema.org/draft-07/schema#
type: object
additionalProperties: false
required: [a]
properties: {$schema: {type: string}, meta: {type: object}, a: {type: integer}}
"""
SCHEMAS = """\
schemas: repository
sinks: {events: {stream: things}, plain: {topic: plain}}
tests:
  - name: a promise
    event: {$schema: /thing/1.0.0, meta: {stream: x}, a: 1}
    change: CHANGE
    expect: EXPECT
"""


def test_outputs_are_held_against_schemas_beside_the_test(folder):
    (folder / "repository" / "thing").mkdir(parents=True)
    (folder / "repository" / "thing" / "1.0.0.yaml").write_text(SCHEMA)
    (folder / "x.lua").write_text('local millrace = require "millrace"\nreturn {api = 1, transform = function(event)\n'
                                  '  return millrace.output { value = event, to = event.a == 2 and "plain" or nil } end}\n')

    def tell(expect, change, code):
        (folder / "x_test.yaml").write_text(SCHEMAS.replace("EXPECT", expect).replace("CHANGE", change))
        return run("test", folder, check=code).stdout.decode()

    tell("{schema: true}", "{a: 7}", 0)
    tell("{outputs: [{schema: /thing/1.0.0}]}", "{a: 7}", 0)
    said = tell("{schema: /thing/1.1.0}", "{a: 7}", 1)
    assert '- "/thing/1.1.0"' in said and '+ "/thing/1.0.0"' in said
    assert "OutputInvalid" in tell("{schema: true}", "{more: 7}", 1)
    assert "goes to plain against a schema" in tell("{schema: true, to: plain}", "{a: 2}", 1)
    (folder / "repository").rename(folder / "elsewhere")
    (folder / "x_test.yaml").write_text(SCHEMAS.replace("EXPECT", "{schema: true}").replace("CHANGE", "{}"))
    assert b"x_test.yaml:1:10: error[M401]: there is no such folder" in run("test", folder, check=78).stderr


CONFIG = """\
name: the-job
source: {topics: [t], kafka: {bootstrap.servers: "kafka:9092"}}
script: {path: x.lua, params: {a: 1, b: 1, c: 1}}
http:
  user_agent: "x/1.0 (team@example.org)"
  upstreams:
    first: {url: "https://{host}/api", hosts: ["*.example"], timeout: 7s, retry: {attempts: 2}}
    second: {url: "${SECOND:-http://second.example}"}
key: {id: id}
sinks:
  one: {stream: one.v1, kafka: {bootstrap.servers: "kafka:9092", sasl.password: {file: /no/such/file}}}
  two: {topic: two}
errors: {topic: e}
"""


def test_what_a_test_leaves_out_is_taken_from_the_configuration(folder):
    (folder / "job.yaml").write_text(CONFIG)
    (folder / "x.lua").write_text(
        'local millrace = require "millrace"\nlocal params = millrace.params\nreturn {api = 1,\n'
        'request = function(event) return { upstream = event.upstream, host = "h.example" } end,\n'
        'transform = function(event) event.sum = params.a * 100 + params.b * 10 + params.c return event end}\n')
    test = ("config: job.yaml\nparams: {b: 2}\ntests:\n" + one(
        "event: {id: 5, upstream: first}\nparams: {c: 3}\nanswers: [{delay: 8s, json: 1, times: 1}, {json: 1}]\n"
        "expect: {to: one, key: {id: 5}, contains: {sum: 123, meta: {stream: one.v1}}, calls: 2}") + one(
        "event: {id: 5, upstream: second}\nanswers: [{when: {upstream: second}, json: 1}]\nexpect: {contains: {sum: 121}}"))
    (folder / "x_test.yaml").write_text(test)
    run("test", folder, check=0)
    (folder / "x_test.yaml").write_text(test.replace("params: {b", "sink: {stream: other.v1}\nkey: {k: upstream}\nparams: {b"))
    said = run("test", folder, check=1).stdout.decode()
    for words in ("- id: 5", "+ k: \"first\"", "- one\n", "+ sink\n", '"one.v1"', '"other.v1"'):
        assert words in said, said
    (folder / "x_test.yaml").write_text(test.replace("job.yaml", "jib.yaml"))
    assert b"jib.yaml cannot be read" in run("test", folder, check=78).stderr
    (folder / "job.yaml").write_text("a: &b 1\n")
    (folder / "x_test.yaml").write_text(test)
    assert b"job.yaml:1:4: anchors are not supported" in run("test", folder, check=78).stderr


CHANCE = """\
local millrace = require "millrace"
return { api = 1,
  request = function(event) return { path = "/" .. event.n } end,
  transform = function(event, response, meta)
    event.id, event.chance, event.now = millrace.uuid.v4(), math.random(), meta.now
    event.time, event.date = os.time(), os.date("!%Y")
    for n = 1, 20 do event["member" .. n] = n end
    return event
  end,
}
"""


def test_every_run_comes_out_the_same_byte_for_byte(folder):
    (folder / "x.lua").write_text(CHANCE)
    (folder / "x_test.yaml").write_text("clock: 2030-01-01T00:00:00Z\ntests:\n" + one(
        "events: [{n: 1}, {n: 2}, {n: 3}]\nanswers: [{status: 503, times: 5}, {status: 429, times: 2}, {json: 1}]\n"
        "expect: {golden: want.jsonl}"))
    seen = set()
    for _ in range(4):
        (folder / "want.jsonl").unlink(missing_ok=True)
        run("test", folder, "-u", check=0, env={"CI": ""})
        seen.add((folder / "want.jsonl").read_bytes())
    assert len(seen) == 1
    first = json.loads(seen.pop().splitlines()[0])
    assert list(first) == sorted(first), "members are in the order of their names"
    assert first["date"] == "2030" and 1893456000 < first["time"] < 1893456060
    assert len(first["id"]) == 36


def test_hours_of_waiting_and_a_hundred_tests_take_no_time(folder):
    """No absolute times: the waits that a hundred tests invent are longer than any test may take."""
    slow = one("event: {kind: x, id: 7}\nanswers: [{times: 3, status: 429, headers: {Retry-After: '60'}}, {times: 1, delay: 59s, json: 1}]\n"
               "expect: {contains: {answer: 1, now: 1795354227}, calls: 4}")
    said = told(folder, slow * 100, code=0)
    assert said.endswith("100 passed, 0 failed\n")
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

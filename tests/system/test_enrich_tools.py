"""What a script's author has in `millrace enrich`: cassettes, the walk explained, two scripts compared, runs at each save."""

import json
import os
import pty
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import events
import kafka
from engine import BINARY, ROOT, SCRIPT, run, until


class Api:
    """Answers every path with what `answers` has for it, else with JSON that names the path; keeps what was asked."""

    def __init__(self):
        self.answers, self.asked, self.connections = {}, [], 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                api.connections += 1
                super().setup()

            def do_GET(self):
                api.asked.append((self.path, dict(self.headers)))
                queue = api.answers.get(self.path.split("?")[0], [(200, {"path": self.path.split("?")[0]}, {})])
                status, body, headers = queue.pop(0) if len(queue) > 1 else queue[0]
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api():
    api = Api()
    yield api
    api.close()


ASKS = """
local millrace = require "millrace"
return { api = 1,
  request = function(event)
    if event.kind == "pass" then return millrace.pass() end
    if event.kind == "drop" then return millrace.drop("unwanted") end
    if event.kind == "fail" then return millrace.fail("NotGood", "as the event wants it") end
    return { path = "/" .. event.name }
  end,
  transform = function(event, response)
    event.found = response.json
    return event
  end }
"""


def script(folder, text=ASKS, name="asks.lua"):
    path = folder / name
    path.write_text(text)
    return path


def lines(*values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def loaded(data):
    return [events.load(line) for line in data.split(b"\n") if line]


def enrich(*arguments, **options):
    return run("enrich", *arguments, **options)


# ---- cassettes ----

def recorded(stub, seed, tmp_path, count=40):
    """A recording of the shipped script with some trouble on the way."""
    maker = events.Maker(seed, pages=10)
    path = tmp_path / "in.jsonl"
    made = [events.dump(events.load(event.value)).encode() for event in maker.mixed(count)]
    path.write_bytes(b"".join(value + b"\n" for value in made))
    stub.rules({"share": 0.3, "times": 1, "do": "status", "status": 503})
    cassette = tmp_path / "cassette"
    return path, cassette, enrich(SCRIPT, path, "--record", cassette, "--endpoint", stub.url, check=0)


def test_a_replay_gives_what_the_recorded_run_gave_and_asks_nobody(stub, seed, tmp_path):
    path, cassette, first = recorded(stub, seed, tmp_path)
    calls = stub.stats()["calls"]
    assert calls > 0
    assert (cassette / "events.jsonl").read_bytes() == path.read_bytes()
    again = enrich(SCRIPT, "--replay", cassette, "--endpoint", stub.url, check=0)
    assert loaded(again.stdout) == loaded(first.stdout) and len(loaded(again.stdout)) > 20
    other = enrich(SCRIPT, path, "--replay", cassette, check=0)
    assert loaded(other.stdout) == loaded(first.stdout)
    assert stub.stats()["calls"] == calls


def test_a_replay_opens_no_connection_at_all(api, tmp_path):
    lua = script(tmp_path)
    enrich(lua, "--record", tmp_path / "c", "--endpoint", api.url, stdin=lines({"name": "a"}), check=0)
    assert api.connections == 1
    for address in (api.url, api.url + "/", api.url + "/other"):  # a cassette fits any
        got = enrich(lua, "--replay", tmp_path / "c", "--endpoint", address, check=0).stdout
        assert loaded(got)[0]["found"] == {"path": "/a"}
    assert api.connections == 1


def test_no_secret_gets_into_a_cassette(api, tmp_path):
    lua = script(tmp_path, """
return { api = 1,
  request = function(event)
    return { path = "/thing", query = { api_key = "geheim-1", q = event.q }, headers = {
      Authorization = "Bearer geheim-2", Cookie = "session=geheim-3", ["X-Api-Key"] = "geheim-4", Accept = "*/*" } }
  end,
  transform = function(event, response) event.n = response.json.n return event end }
""")
    api.answers["/thing"] = [(200, {"n": 7}, {"Set-Cookie": "session=geheim-5", "X-Kept": "yes"})]
    enrich(lua, "--record", tmp_path / "c", "--endpoint", api.url, stdin=lines({"q": "open"}), check=0)
    assert "geheim-1" in api.asked[0][0] and api.asked[0][1]["Authorization"] == "Bearer geheim-2"
    files = sorted(p for p in (tmp_path / "c").iterdir())
    everything = b"".join(p.read_bytes() for p in files)
    assert b"geheim" not in everything and everything.count(b"(redacted)") >= 5
    assert b"open" in everything and b"X-Kept".lower() in everything.lower()
    again = enrich(lua, "--replay", tmp_path / "c", check=0)
    assert json.loads(again.stdout) == {"q": "open", "n": 7}
    told = enrich(lua, "--replay", tmp_path / "c", "--explain", check=0).stderr
    assert b"geheim" not in told and b"api_key=(redacted)" in told


def test_names_that_only_look_secret_are_kept_in_answers(api, tmp_path):
    """A page's `key` is its title, and a count of tokens is none."""
    lua = script(tmp_path)
    found = {"key": "Water_wheel", "usage": {"tokens": 12, "keys": ["a"]}, "token": "geheim", "secrets": {"a": "geheim"}}
    api.answers["/a"] = [(200, found, {})]
    enrich(lua, "--record", tmp_path / "c", "--endpoint", api.url, stdin=lines({"name": "a"}), check=0)
    got = json.loads(enrich(lua, "--replay", tmp_path / "c", check=0).stdout)["found"]
    assert got == {**found, "token": "(redacted)", "secrets": "(redacted)"}


def test_a_question_that_was_not_recorded_fails_its_event_and_names_the_nearest(api, tmp_path):
    lua = script(tmp_path)
    enrich(lua, "--record", tmp_path / "c", "--endpoint", api.url, stdin=lines({"name": "apple"}), check=0)
    got = enrich(lua, "-", "--replay", tmp_path / "c", stdin=lines({"name": "apple"}, {"name": "pear"}), check=1)
    assert [value["name"] for value in loaded(got.stdout)] == ["apple"]
    said = got.stderr.decode()
    assert "(stdin):2:" in said and "nothing recorded answers GET" in said and "/pear" in said
    assert "the nearest is" in said and "/apple" in said


def test_a_question_that_was_not_recorded_is_told_even_where_it_was_optional(api, tmp_path):
    lua = script(tmp_path, ASKS.replace('{ path = "/" .. event.name }', '{ path = "/" .. event.name, optional = true }'))
    enrich(lua, "--record", tmp_path / "c", "--endpoint", api.url, stdin=lines({"name": "apple"}), check=0)
    got = enrich(lua, "-", "--replay", tmp_path / "c", stdin=lines({"name": "pear"}), check=1)
    assert b"nothing recorded answers" in got.stderr and b"1 enriched" in got.stderr


def test_recording_again_replaces_what_the_same_questions_answered(api, tmp_path):
    lua, cassette = script(tmp_path), tmp_path / "c"
    api.answers["/a"], api.answers["/b"] = [(200, {"n": 1}, {})], [(200, {"n": 2}, {})]
    enrich(lua, "--record", cassette, "--endpoint", api.url, stdin=lines({"name": "a"}, {"name": "b"}), check=0)
    files = sorted(os.listdir(cassette))
    api.answers["/a"] = [(200, {"n": 3}, {})]
    enrich(lua, "--record", cassette, "--endpoint", api.url, stdin=lines({"name": "a"}), check=0)
    assert sorted(os.listdir(cassette)) == files
    got = enrich(lua, "-", "--replay", cassette, stdin=lines({"name": "a"}, {"name": "b"}), check=0)
    assert [json.loads(line)["found"]["n"] for line in got.stdout.splitlines()] == [3, 2]
    events_before = (cassette / "events.jsonl").read_bytes()
    enrich(lua, cassette / "events.jsonl", "--record", cassette, "--endpoint", api.url, check=0)
    assert (cassette / "events.jsonl").read_bytes() == events_before == lines({"name": "a"})


def test_nothing_is_recorded_into_a_folder_of_something_else(api, tmp_path):
    lua = script(tmp_path)
    for name, text in (("notes.txt", "mine"), ("package.json", "{\"name\": \"mine\"}")):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        got = enrich(lua, "--record", folder, "--endpoint", api.url, stdin=lines({"name": "a"}), check=1)
        assert name.encode() in got.stderr and os.listdir(folder) == [name]
    assert api.asked == []


def test_a_recording_that_is_killed_leaves_what_can_be_replayed(stub, seed, tmp_path):
    maker = events.Maker(seed, pages=10)
    path, cassette = tmp_path / "in.jsonl", tmp_path / "c"
    path.write_bytes(b"".join(events.dump(events.load(maker.event().value)).encode() + b"\n" for _ in range(300)))
    stub.latency(0.01, 0.1)
    process = subprocess.Popen([str(BINARY), "enrich", str(SCRIPT), str(path), "--record", str(cassette), "--endpoint",
                                stub.url, "--concurrency", "4"], cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=kafka.die_with_parent)
    until("some exchanges are there", lambda: cassette.is_dir() and len(list(cassette.glob("*.json"))) > 5)
    process.kill()
    process.wait()
    for file in cassette.glob("*.json"):
        assert json.loads(file.read_text())["answers"]
    got = enrich(SCRIPT, path, "--replay", cassette, check=1)
    assert len(loaded(got.stdout)) > 5 and b"nothing recorded answers" in got.stderr


def test_a_cassette_without_events_asks_for_them(api, tmp_path):
    lua = script(tmp_path)
    enrich(lua, "--record", tmp_path / "c", "--endpoint", api.url, stdin=lines({"name": "a"}), check=0)
    (tmp_path / "c" / "events.jsonl").unlink()
    said = enrich(lua, "--replay", tmp_path / "c", check=2).stderr
    assert b"holds no events.jsonl" in said and b"- for standard input" in said
    assert loaded(enrich(lua, "-", "--replay", tmp_path / "c", stdin=lines({"name": "a"}), check=0).stdout)


def test_waits_of_a_recorded_run_pass_at_once_in_a_replay(api, tmp_path):
    """Were they waited for, a minute per event would be more than the patience of `run`."""
    lua, cassette = script(tmp_path), tmp_path / "c"
    enrich(lua, "--record", cassette, "--endpoint", api.url, stdin=lines(*[{"name": f"n{i}"} for i in range(5)]), check=0)
    for file in cassette.glob("*.json"):
        exchange = json.loads(file.read_text())
        exchange["answers"].insert(0, {"status": 429, "headers": {"retry-after": "59"}})
        file.write_text(json.dumps(exchange))
    got = enrich(lua, "--replay", cassette, "--explain", timeout=45, check=0)
    assert len(loaded(got.stdout)) == 5 and got.stderr.count(b"again     429") == 5
    assert b"enriched  in 59" in got.stderr


# ---- upstreams ----

TWO = """
return { api = 1,
  request = function(event) return { { path = "/main" }, { upstream = "scores", path = "/score" } } end,
  transform = function(event, responses)
    event.main, event.score = responses[1].json.path, responses[2].json.path
    return event
  end }
"""


def test_endpoints_have_names(api, tmp_path):
    other, lua = Api(), script(tmp_path, TWO)
    got = enrich(lua, "--endpoint", f"scores={other.url}/v2", "--endpoint", api.url, "--record", tmp_path / "c",
                 stdin=lines({}), check=0)
    assert loaded(got.stdout) == [{"main": "/main", "score": "/v2/score"}]
    assert [path for path, _ in api.asked] == ["/main"] and [path for path, _ in other.asked] == ["/v2/score"]
    other.close()
    assert loaded(enrich(lua, "--replay", tmp_path / "c", check=0).stdout) == loaded(got.stdout)
    said = enrich(lua, "--endpoint", api.url, stdin=lines({}), check=1).stderr
    assert b"scores" in said


CONFIG = """
name: made-up
topic_prefix: eqiad.
source: {{topics: [in], kafka: {{bootstrap.servers: "nowhere.invalid:9092"}}}}
script: {{path: "{script}", params: {{greeting: hello, kept: 1}}}}
http:
  user_agent: "job/1.0 (team@example.org)"
  upstreams:
    main: {{url: "{main}"}}
    scores: {{url: "{scores}"}}
key: {{name: name}}
sink: {{stream: made.up.v1, kafka: {{bootstrap.servers: "nowhere.invalid:9092"}}}}
errors: {{stream: made_up.error}}
checkpoint: {{dir: "{folder}/checkpoints"}}
"""


def test_a_jobs_configuration_gives_upstreams_sinks_key_and_script(api, tmp_path):
    lua = script(tmp_path, """
local millrace = require "millrace"
return { api = 1,
  request = function(event) return { upstream = "scores", path = "/x" } end,
  transform = function(event, response)
    event.found, event.greeting, event.kept = response.json.path, millrace.params.greeting, millrace.params.kept
    return event
  end }
""")
    config = tmp_path / "job.yaml"
    config.write_text(CONFIG.format(script=lua, main=api.url + "/m", scores=api.url + "/s", folder=tmp_path))
    stdin = lines({"name": "n1", "meta": {"stream": "in", "id": "i", "dt": "2025-01-01T00:00:00Z"}})
    got = [json.loads(enrich("-c", config, stdin=stdin, check=0).stdout)]
    assert (got[0]["found"], got[0]["greeting"], got[0]["kept"]) == ("/s/x", "hello", 1)
    assert got[0]["meta"]["stream"] == "made.up.v1" and "job/1.0" in api.asked[0][1]["User-Agent"]
    assert not (tmp_path / "checkpoints").exists()
    path = tmp_path / "events.jsonl"
    path.write_bytes(stdin)
    got = enrich("-c", config, path, "--endpoint", f"scores={api.url}/t", "--params", "greeting=bye", "--explain", check=0)
    value = json.loads(got.stdout)
    assert (value["found"], value["greeting"], value["kept"]) == ("/t/x", "bye", 1)
    told = got.stderr.decode()
    assert 'key={"name":"n1"}' in told and "-> made.up.v1" in told and "upstream scores" in told
    said = enrich("-c", config, "--endpoint", "score=http://127.0.0.1:1", stdin=stdin, check=78).stderr
    assert b"no upstream 'score'; it has main, scores" in said


# ---- explain ----

def test_explain_tells_the_walk_of_each_event(api, tmp_path):
    lua = script(tmp_path)
    api.answers["/a"] = [(503, {}, {}), (200, {"text": "x" * 412}, {})]
    got = enrich(lua, "--endpoint", api.url, "--explain", check=1, stdin=lines(
        {"name": "a", "kind": "edit"}, {"kind": "pass"}, {"kind": "drop"}, {"kind": "fail"}))
    assert [value.get("kind") for value in loaded(got.stdout)] == ["edit", "pass"]
    told = got.stderr.decode()
    first, second, third, fourth = told.split("\n[")
    assert first.startswith("[1] (stdin):1  edit") and "request   GET /a  (upstream endpoint)" in first
    assert first.index("answer    503") < first.index("again     5xx: in ") < first.index("answer    200")
    assert "(1 of 8 attempts are used)" in first
    assert "output    -> stdout" in first and "+ found (object of 1)" in first
    assert "enriched  in " in first and "CPU: request " in first
    assert "as it came" in second and "passed" in second and "dropped   unwanted" in third
    assert "failed    NotGood: as the event wants it" in fourth
    assert told.count("NotGood") == 1 and "4 events: 1 enriched, 1 passed, 1 dropped, 1 failed" in told
    assert "\033" not in told


def test_explain_counts_the_events_of_a_file_and_names_the_recorded_file(api, tmp_path):
    lua, path = script(tmp_path), tmp_path / "in.jsonl"
    path.write_bytes(b"\n" + lines({"name": "a"}) + b"  \n" + lines({"name": "b"}))
    enrich(lua, path, "--endpoint", api.url, "--record", tmp_path / "c", check=0)
    told = enrich(lua, path, "--replay", tmp_path / "c", "--explain", check=0).stderr.decode()
    assert f"[1/2] {path}:2" in told and f"[2/2] {path}:4" in told
    names = [name for name in os.listdir(tmp_path / "c") if name != "events.jsonl"]
    assert len(names) == 2 and all(f"(cassette {name})" in told for name in names)


def test_explain_tells_of_a_script_that_starts_again(api, tmp_path):
    lua = script(tmp_path, """
local millrace = require "millrace"
return { api = 1, request = function() return { path = "/a" } end,
  transform = function(event, response, meta)
    if meta.attempt == 1 then return millrace.retry("not_yet", { after = 0.05 }) end
    return event
  end }
""")
    told = enrich(lua, "--endpoint", api.url, "--explain", stdin=lines({"n": 1}), check=0).stderr.decode()
    assert "retry     not_yet: the event starts again in 50 ms" in told and "begun 2 times" in told
    assert told.count("request   GET /a") == 2


def test_what_a_terminal_could_take_for_a_command_is_not_shown(api, tmp_path):
    lua = script(tmp_path)
    stdin = '{"name":"a","kind":"\u009b31mred\u007f","bad\u009bkey":1}\n'.encode()
    told = enrich(lua, "--endpoint", api.url, "--explain", stdin=stdin, check=0).stderr
    assert b"?31mred?" in told and "\u009b".encode() not in told and b"\x7f" not in told


def test_on_a_terminal_the_explanation_takes_the_place_of_the_outputs(api, tmp_path):
    lua, path = script(tmp_path), tmp_path / "in.jsonl"
    path.write_bytes(lines({"name": "a", "mark": "from-the-event"}))
    mine, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen([str(BINARY), "enrich", str(lua), str(path), "--endpoint", api.url, "--explain"], cwd=ROOT,
                               stdin=subprocess.DEVNULL, stdout=its, stderr=its, env=environment)
    os.close(its)
    said = b""
    try:
        while True:
            piece = os.read(mine, 4096)
            if not piece:
                break
            said += piece
    except OSError:
        pass  # how a terminal ends
    os.close(mine)
    assert process.wait(60) == 0
    assert b"enriched" in said and b"\033[" in said and b"from-the-event" not in said


# ---- two scripts ----

def test_scripts_that_do_the_same_do_not_differ_and_are_answered_once(stub, seed, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(events.dump(events.load(e.value)).encode() + b"\n"
                              for e in events.Maker(seed, pages=5).mixed(30)))
    enrich(SCRIPT, path, "--endpoint", stub.url, check=0)
    calls = stub.stats()["lookups"]
    got = enrich(SCRIPT, path, "--endpoint", stub.url, "--diff", SCRIPT, check=0)
    assert got.stdout == b"" and b"30 same, 0 differ" in got.stderr
    assert stub.stats()["lookups"] == 2 * calls


def test_what_two_scripts_make_otherwise_is_told_and_only_new_questions_are_asked(api, tmp_path):
    old = script(tmp_path)
    new = script(tmp_path, ASKS.replace('{ path = "/" .. event.name }',
                                        '{ path = event.name == "c" and "/new" or "/" .. event.name }')
                 .replace("return event\n", 'event.name = "<" .. event.name .. ">"\n    event.old = nil\n    return event\n'),
                 "new.lua")
    stdin = lines({"name": "a", "old": {"deep": 1}}, {"kind": "pass"}, {"kind": "drop"}, {"name": "c"}, {"kind": "fail"})
    got = enrich(old, "--endpoint", api.url, "--diff", new, stdin=stdin, check=1)
    said = got.stdout.decode()
    assert said.startswith(f"--- {old}\n+++ {new}\n(stdin):1")
    first, second = said.split("(stdin):")[1:]
    assert '~ name "a" -> "<a>"' in first and '- old {"deep":1}' in first and "found" not in first
    assert second.startswith("4") and '~ found.path "/c" -> "/new"' in second
    assert [path for path, _ in api.asked] == ["/a", "/c", "/new"]
    assert b"5 events: 3 same, 2 differ; failed with both: 1" in got.stderr
    assert b"1 call was asked for the second script alone" in got.stderr


def test_outcomes_keys_and_sinks_are_compared_too(tmp_path):
    old = script(tmp_path, 'local millrace = require "millrace"\nreturn { api = 1, transform = function(event)\n'
                           '  return millrace.output{ value = event, key = "k1", headers = { a = "1" } } end }\n')
    new = script(tmp_path, 'local millrace = require "millrace"\nreturn { api = 1, transform = function(event)\n'
                           '  if event.n == 2 then error("no twos") end\n  if event.n == 3 then return millrace.drop("three") end\n'
                           '  return millrace.output{ value = event, key = "k2", headers = { b = "1" } } end }\n', "new.lua")
    got = enrich(old, "--diff", new, stdin=lines({"n": 1}, {"n": 2}, {"n": 3}), check=1)
    said = got.stdout.decode()
    assert "~ key k1 -> k2" in said and "- header a" in said and "+ header b" in said
    assert "- enriched" in said and "+ failed ScriptError" in said and "no twos" in said and "+ dropped three" in said
    assert b"with the second only: 1" in got.stderr


def test_a_second_script_that_does_not_load_is_no_difference(api, tmp_path):
    broken = script(tmp_path, "return {", "broken.lua")
    got = enrich(script(tmp_path), "--endpoint", api.url, "--diff", broken, stdin=lines({"name": "a"}), check=78)
    assert b"broken.lua:1" in got.stderr and got.stdout == b""
    got = enrich(script(tmp_path), "--endpoint", api.url, "--diff", tmp_path / "none.lua", stdin=b"", check=78)
    assert b"none.lua cannot be read" in got.stderr


# ---- at each save ----

class Watching:
    def __init__(self, folder, *arguments, stdin=None):
        self.out, self.err = folder / "watch.out", folder / "watch.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([str(BINARY), "enrich", *map(str, arguments), "-w"], cwd=ROOT, stdout=out,
                                            stderr=err, stdin=stdin or subprocess.DEVNULL, preexec_fn=kafka.die_with_parent)

    def until_watching(self, times):
        until(f"it watches for the {times}. time", lambda: self.said().count("(Ctrl-C ends)") >= times,
              story=lambda: self.said())

    def said(self):
        return self.err.read_text(errors="replace")

    def outputs(self):
        return loaded(self.out.read_bytes())

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(60)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def watch(tmp_path):
    started = []

    def start(*arguments, **options):
        started.append(Watching(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def saved(path, text):
    """As editors do: a new file in the place of the old one."""
    new = path.with_suffix(".tmp")
    new.write_text(text)
    new.rename(path)


def test_each_save_of_script_module_events_or_cassette_runs_again(api, tmp_path, watch):
    folder = tmp_path / "work"
    folder.mkdir()
    module = script(folder, 'return { mark = "one" }\n', "helper.lua")
    lua = script(folder, ASKS.replace('local millrace', 'local helper = require "helper"\nlocal millrace')
                 .replace("event.found = response.json", "event.found, event.mark = response.json, helper.mark"))
    path, cassette = tmp_path / "in.jsonl", tmp_path / "c"
    path.write_bytes(lines({"name": "a"}))
    enrich(lua, path, "--record", cassette, "--endpoint", api.url, check=0)
    w = watch(lua, path, "--replay", cassette)
    w.until_watching(1)
    assert w.outputs() == [{"name": "a", "mark": "one", "found": {"path": "/a"}}]
    saved(module, 'return { mark = "two" }\n')
    w.until_watching(2)
    assert w.outputs()[-1]["mark"] == "two"
    saved(lua, lua.read_text().replace("helper.mark", '"three"'))
    w.until_watching(3)
    assert w.outputs()[-1]["mark"] == "three"
    path.write_bytes(lines({"name": "a", "more": True}))
    w.until_watching(4)
    assert w.outputs()[-1]["more"] is True
    exchange = next(cassette.glob("*.json"))
    saved(exchange, exchange.read_text().replace('"/a"\n', '"changed"\n'))
    w.until_watching(5)
    assert w.outputs()[-1]["found"] == {"path": "changed"}
    assert "run 5" in w.said() and w.end() == 0


def test_a_script_that_does_not_load_is_told_and_the_next_save_counts(api, tmp_path, watch):
    lua, path = script(tmp_path, "return {"), tmp_path / "in.jsonl"
    path.write_bytes(lines({"name": "a"}))
    w = watch(lua, path, "--endpoint", api.url)
    w.until_watching(1)
    assert "asks.lua:1" in w.said() and w.outputs() == []
    saved(lua, ASKS)
    w.until_watching(2)
    assert len(w.outputs()) == 1 and w.end(signal.SIGTERM) == 0


def test_standard_input_is_kept_for_each_run(api, tmp_path, watch):
    lua, path = script(tmp_path), tmp_path / "in.jsonl"
    path.write_bytes(lines({"name": "a"}))
    with open(path, "rb") as stdin:
        cat = subprocess.Popen(["cat"], stdin=stdin, stdout=subprocess.PIPE)
    w = watch(lua, "--endpoint", api.url, stdin=cat.stdout)
    w.until_watching(1)
    saved(lua, ASKS + "-- once more\n")
    w.until_watching(2)
    assert len(w.outputs()) == 2 and w.end() == 0 and cat.wait(60) == 0


def test_a_save_during_a_run_ends_it_and_begins_the_next(stub, seed, tmp_path, watch):
    path, lua = tmp_path / "in.jsonl", script(tmp_path, SCRIPT.read_text(), "mine.lua")
    (tmp_path / "lib").symlink_to(ROOT / "scripts" / "lib")
    path.write_bytes(b"".join(events.dump(events.load(e.value)).encode() + b"\n"
                              for e in events.Maker(seed, pages=5).mixed(20)))
    stub.rules({"do": "hang"})
    w = watch(lua, path, "--endpoint", stub.url)
    until("it asks", lambda: stub.stats()["calls"] > 0)
    stub.rules()
    saved(lua, SCRIPT.read_text() + "-- saved\n")
    w.until_watching(1)
    until("the second run has ended", lambda: "20 events: " in w.said().split("run 2")[-1], story=w.said)
    assert "stopped before the end" in w.said() and w.end() == 0


def test_recording_at_each_save_is_not_begun_by_what_it_records(api, tmp_path, watch):
    lua, path = script(tmp_path), tmp_path / "in.jsonl"
    path.write_bytes(lines({"name": "a"}))
    w = watch(lua, path, "--endpoint", api.url, "--record", tmp_path / "c")
    w.until_watching(1)
    saved(lua, ASKS + "-- once more\n")
    w.until_watching(2)
    assert len(api.asked) == 2 and w.said().count("saved at") == 1 and w.end() == 0


# ---- what does not go together ----

@pytest.mark.parametrize("arguments, says", [
    (["--record", "c", "--replay", "c"], b"give one of them"),
    (["--record", "c"], b"give --endpoint URL, or -c CONFIG"),
    (["--diff", "b.lua", "--explain"], b"--diff shows what differs and nothing else"),
    (["--diff", "b.lua", "--errors", "e"], b"--diff shows what differs and nothing else"),
    (["--endpoint", "localhost"], b"expected a URL"),
    (["--endpoint", "scores=localhost"], b"or NAME=URL"),
    (["--endpoint", "http://a/?x=1"], b"a query belongs to the script's request"),
    (["--endpoint", "http://a/", "--endpoint", "http://b/"], b"there is another for the same"),
    (["--endpoint", "a=http://a/", "--endpoint", "a=http://b/"], b"there is another for the same"),
    (["--replay", "/no/such/folder"], b"holds no events.jsonl"),
    (["--attempts", "0"], b"expected a number from 1"),
])
def test_what_does_not_go_together_is_a_usage_error(tmp_path, arguments, says):
    got = enrich(script(tmp_path), *arguments, check=2)
    assert says in got.stderr and got.stdout == b""


def test_without_script_and_configuration_there_is_nothing_to_run():
    assert b"no script" in enrich("--endpoint", "http://a/", check=2).stderr

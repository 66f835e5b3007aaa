"""Topics by the names of their streams, as the EventStreamConfig API knows them."""

import http.server
import json
import threading

import pytest

import events
from engine import run

STREAM = "mediawiki.page_change.v1"


class StreamConfig:
    """The API: answers what `streams` says, or 503 while it is None."""

    def __init__(self):
        self.streams, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.headers["Host"], self.path))
                body = json.dumps({"streams": outer.streams}).encode()
                self.send_response(503 if outer.streams is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def api():
    api = StreamConfig()
    yield api
    api.close()


def by_stream(api, j, **more):
    """Changes the job to read by its stream, the API behind a route."""
    def topics(stream):
        return {"stream": stream, "topics": [j.prefix + stream, "codfw." + stream], "topic_prefixes": [j.prefix, "codfw."],
                "message_key_fields": {"wiki_id": "wiki_id", "page_id": "page.page_id"}}
    api.streams = {STREAM: topics(STREAM), j.stream: topics(j.stream)}
    del j.config["source"]["topics"], j.config["key"]
    j.config["source"]["stream"] = STREAM
    j.config.update(streams={"config_uri": "https://meta.example.org/w/api.php"},
                    routes={"https://meta.example.org": f"http://127.0.0.1:{api.port}"}, **more)
    return j


def test_a_job_reads_and_writes_streams_by_their_names(job, api, seed, stub):
    maker = events.Maker(seed, pages=5)
    j = by_stream(api, job())
    j.send([maker.event() for _ in range(40)])
    j.start()
    j.until_done()
    j.require_clean()  # the keys, too: the API said what they are made of
    host, path = api.asked[0]
    assert host == "meta.example.org"
    assert f"streams={STREAM}%7C{j.stream}" in path


def test_a_start_while_the_api_is_away_goes_on_with_its_last_answer(job, api, seed, tmp_path, stub):
    maker = events.Maker(seed, pages=5)
    j = by_stream(api, job(), checkpoint={"dir": str(tmp_path)})
    j.send([maker.event() for _ in range(10)])
    j.start()
    j.until_done()
    j.stop()
    api.streams = None
    j.config["topic_prefix"] = ""  # no convention could name the topics now
    known = json.loads((tmp_path / j.group / "streams.json").read_text())
    for stream in known["streams"].values():
        stream["topics"] = stream["topics"][:1]
    (tmp_path / j.group / "streams.json").write_text(json.dumps(known))
    j.send([maker.event() for _ in range(10)])
    j.start()
    j.until_done()
    j.require_clean()
    assert "going on with the answer of" in j.log.read_text()


def test_what_the_api_contradicts_is_told_before_anything_is_read(job, api, stub):
    j = by_stream(api, job())
    path = j.folder / "millrace.yaml"

    def check(code):
        path.write_text(json.dumps(j.config))
        return run("check", "--connect", path, check=code).stderr.decode()

    check(0)
    api.streams[STREAM]["topics"] = ["codfw." + STREAM]
    assert f"'{j.prefix}{STREAM}' is no topic of the stream '{STREAM}', which has codfw.{STREAM}" in check(78)
    del api.streams[STREAM]
    assert f"the stream '{STREAM}' is not known at https://meta.example.org" in check(78)
    api.streams = None
    assert "answered 503; the topics are named by topic_prefix" in check(0)
    j.config["topic_prefix"] = ""
    assert "answered 503" in check(69)

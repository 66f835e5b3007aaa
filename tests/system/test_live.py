"""A running engine is looked at: taps on each stage, their bounds, what they save; and the picture of `top`."""

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import termios

import events
import kafka
from engine import BINARY, ROOT, SCRIPT, run, until

TOKEN = "open sesame"


class Tap:
    """`millrace tap` in the background; its lines as they come."""

    def __init__(self, job, folder, *arguments, token=TOKEN):
        self.token_file = folder / "token"
        self.token_file.write_text(f"{token}\n")
        self.out, self.log = folder / "tap.jsonl", folder / "tap.log"
        with open(self.out, "wb") as out, open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(BINARY), "tap", "--url", f"http://127.0.0.1:{job.port}",
                 *(["--token-file", str(self.token_file)] if token else []), *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, preexec_fn=kafka.die_with_parent)

    def lines(self):
        whole, _, _ = self.out.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def until(self, what, true):
        return until(what, lambda: true(self.lines()), story=lambda: f"{self.out.read_text()[-3000:]}\n{self.said()}")

    def said(self):
        return self.log.read_text()

    def end(self, code=0):
        got = self.process.wait(60)
        assert got == code, f"exit code {got}, expected {code}\n{self.said()}"
        return self.lines()


def tapped(job, **change):
    return job(partitions=1, change={"admin": {"token": TOKEN}, **change})


def until_tapped(job, readers=1):
    until(f"{readers} readers at the tap", lambda: json.loads(job.get("/api/v1/status")[1])["taps"] == readers, story=job.story)


def ask(job, path, token=None):
    """The whole answer of a GET; for streams that end by themselves."""
    headers = f"Authorization: Bearer {token}\r\n" if token else ""
    with socket.create_connection(("127.0.0.1", job.port), timeout=60) as s:
        s.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n{headers}\r\n".encode())
        data = b"".join(iter(lambda: s.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def of(items, stage, offset):
    return [i for i in items if i["stage"] == stage and i["offset"] == offset]


def ends(items):
    return [i for i in items if i["stage"] in ("out", "error")]


def test_each_stage_shows_what_passes_it(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=3)
    good, gone = maker.event(), maker.event()
    poison = events.Event(value=b"this is not JSON", key=b"k", outcome="failed", error="PoisonEvent")
    stub.rules({"rev": gone.rev, "do": "status", "status": 404})
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--stage", "all")
    until_tapped(j)
    j.send([good, poison, gone])
    tap.until("all have ended", lambda items: len(ends(items)) == 3)
    tap.process.send_signal(signal.SIGINT)
    items = tap.end()
    assert [i["offset"] for i in items if i["stage"] == "in"] == [0, 1, 2]
    assert of(items, "in", 0)[0]["event"] == json.loads(good.value)
    assert "event" not in of(items, "in", 1)[0], "poison is no JSON"
    assert of(items, "request", 0)[0]["request"]["query"]["revids"] == str(good.rev) and not of(items, "request", 1)
    answers = {i["status"]: i for i in items if i["stage"] == "response"}
    assert 200 in answers and 404 in answers and str(gone.rev) in answers[404]["request"]["query"]["revids"]
    out = of(items, "out", 0)[0]
    (sent,) = j.outputs()
    assert out["outcome"] == "enriched" and out["outputs"][0]["topic"] == j.sink_topic
    assert out["outputs"][0]["value"] == json.loads(sent.value())
    assert of(items, "error", 1)[0]["type"] == "PoisonEvent" and of(items, "error", 2)[0]["type"] == "HttpStatus"
    assert of(items, "error", 2)[0]["event"] == json.loads(gone.value)
    assert "items" in tap.said()


def test_followed_records_come_whole_and_one_that_went_wrong_can_be_picked(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=30)
    records = [maker.event() for _ in range(20)]
    gone = [records[5], records[15]]
    stub.rules({"rev": [e.rev for e in gone], "do": "status", "status": 404})
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--follow", "--where", "stage == 'error'", "-n", 2)
    until_tapped(j)
    j.send(records)
    items = tap.end()
    assert sorted(i["offset"] for i in items if i["stage"] == "in") == [5, 15], "whichever failed first comes first"
    for offset in (5, 15):
        stages = [i["stage"] for i in items if i["offset"] == offset or (i["stage"] == "response" and offset in [
            e["offset"] for e in i.get("records", [])])]
        assert stages[0] == "in" and stages[-1] == "error" and "request" in stages, stages


def test_a_tap_ends_when_its_time_is_up(job, seed, tmp_path):
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--duration", "300ms")
    assert tap.end() == [] and "0 items" in tap.said()
    until_tapped(j, readers=0)


def test_an_item_that_does_not_fit_the_buffer_comes_without_its_content(job, seed, tmp_path):
    maker = events.Maker(seed, pages=3)
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--stage", "in", "--buffer", "16KiB", "-n", 2)
    until_tapped(j)
    j.send([maker.event(change=lambda value: value.update(comment="x" * 40000)), maker.event()])
    large, small = tap.end()
    assert "event" not in large and large["bytes"] > 40000 and "event" in small


def test_without_the_token_nobody_sees_content(job, seed, tmp_path):
    maker = events.Maker(seed, pages=3)
    record = maker.event()
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--stage", "all", token=None)
    until_tapped(j)
    j.send([record])
    tap.until("it has ended", ends)
    tap.process.send_signal(signal.SIGINT)
    items = tap.end()
    known = {"stage", "time", "topic", "partition", "offset", "script", "bytes", "attempt", "lookup", "lookups", "upstream",
             "method", "host", "status", "elapsed", "records", "outcome", "outputs"}
    assert {member for item in items for member in item} <= known
    assert set(ends(items)[0]["outputs"][0]) == {"sink", "topic", "bytes"}
    wrong = tmp_path / "wrong"
    wrong.write_text("sesame")
    refused = run("tap", "--url", f"http://127.0.0.1:{j.port}", "--token-file", wrong, check=1)
    assert b"not the token" in refused.stderr and not refused.stdout
    unsaved = run("tap", "--url", f"http://127.0.0.1:{j.port}", "--save", tmp_path / "x", check=2)
    assert b"--token-file" in unsaved.stderr


def test_so_many_items_for_which_it_is_true_and_then_the_end(job, seed, tmp_path):
    maker = events.Maker(seed, pages=20)
    records = [maker.event() for _ in range(60)]
    wanted = [i for i, r in enumerate(records) if json.loads(r.value)["page"]["page_id"] % 2]
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--stage", "in", "-n", 5, "--rate", 1000, "--where", "event.page.page_id % 2 == 1")
    until_tapped(j)
    j.send(records)
    assert [i["offset"] for i in tap.end()] == wanted[:5]
    until_tapped(j, 0)


def test_a_tap_goes_on_while_the_script_is_exchanged(job, seed, tmp_path):
    maker = events.Maker(seed, pages=3)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    script = tmp_path / "scripts" / "page_content_change.lua"
    j = job(partitions=1, script=script, change={"script": {"reload": "signal"}})
    j.start()
    tap = Tap(j, tmp_path, "--stage", "out", token=None)
    until_tapped(j)
    j.send([maker.event()])
    first = tap.until("one has ended", ends)[0]
    script.write_text(script.read_text() + "-- another one\n")
    run("reload", "--url", f"http://127.0.0.1:{j.port}", "--wait", check=0)
    j.send([maker.event()])
    second = tap.until("another one has", lambda items: items[1:])[0]
    assert first["script"] != second["script"], "each says which script made it"
    status = json.loads(j.get("/api/v1/status")[1])
    assert status["script"]["sha256"].startswith(second["script"])
    j.stop()
    tap.end(69)
    assert "has ended the tap" in tap.said()


def test_a_reader_that_is_stuck_holds_nothing_up_and_grows_nothing(job, seed, tmp_path):
    maker = events.Maker(seed, pages=50)
    j = tapped(job)
    j.start()
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", j.port))
    reader.sendall(f"GET /-/tap?stage=all&rate=1000&buffer=64KiB HTTP/1.1\r\nHost: x\r\n"
                   f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
    until_tapped(j)
    charged = []
    for _ in range(10):
        j.send([maker.event() for _ in range(200)])
        j.until_done()
        charged.append(j.metrics().value("millrace_memory_bytes", kind="tap"))
    j.require_clean()
    j.require_outcomes()
    assert max(charged) < 512 << 10, charged  # a queue, an item, and a tree of it
    # Now it reads: each item was shown, or is counted among those that were left out.
    reader.settimeout(60)
    everything = 3 * 2000 + j.metrics().sum("millrace_http_requests_total")
    text, accounted = b"", 0
    while accounted < everything:
        text += reader.recv(65536)
        told = re.findall(rb'"left out","full":(\d+),"rate":(\d+)', text)
        accounted = text.count(b'"stage":"') + sum(map(int, told[-1])) if told else 0
    assert accounted == everything and int(told[-1][0]) > 1000, told
    reader.close()
    until_tapped(j, 0)
    assert j.metrics().value("millrace_memory_bytes", kind="tap") == 0


def test_what_is_saved_gives_the_same_outputs_without_a_network(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=3)
    records = [maker.event() for _ in range(12)]
    stub.rules({"rev": records[0].rev, "do": "status", "status": 503, "times": 1})
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--save", tmp_path / "case", "-n", 12)
    until_tapped(j)
    j.send(records)
    tap.end()
    j.until_done()
    assert "12 records" in tap.said()
    saved = (tmp_path / "case" / "events.jsonl").read_bytes().splitlines()
    assert sorted(json.loads(line)["meta"]["id"] for line in saved) == sorted(json.loads(r.value)["meta"]["id"] for r in records)
    exchanges = [json.loads(p.read_text()) for p in (tmp_path / "case").glob("*.json")]
    assert any(len(e["request"]["query"]["revids"].split("|")) > 1 for e in exchanges), "some lookups shared a call"
    assert TOKEN not in "".join(p.read_text() for p in (tmp_path / "case").iterdir())
    replayed = run("enrich", SCRIPT, "--replay", tmp_path / "case", "--params", "missing=fail", check=0)
    # But for what the engine stamps: the sink here has no stream.
    plain = lambda v: {**v, "$schema": None, "meta": {**v["meta"], "stream": None, "dt": None, "id": None}}
    order = lambda values: sorted((json.dumps(plain(v), sort_keys=True) for v in values))
    assert order(map(json.loads, replayed.stdout.splitlines())) == order(json.loads(m.value()) for m in j.outputs())


def test_no_more_than_four_look_at_one_time(job, tmp_path):
    j = tapped(job)
    j.start()
    taps = []
    for n in range(4):
        (tmp_path / str(n)).mkdir()
        taps.append(Tap(j, tmp_path / str(n)))
    until_tapped(j, 4)
    fifth = run("tap", "--url", f"http://127.0.0.1:{j.port}", check=1)
    assert b"four taps" in fifth.stderr
    taps[0].process.send_signal(signal.SIGTERM)
    taps[0].end()
    until_tapped(j, 3)
    for tap in taps[1:]:
        tap.process.send_signal(signal.SIGINT)
        tap.end()


def test_a_tap_waits_for_an_engine_that_comes_back(job, seed, tmp_path):
    maker = events.Maker(seed, pages=3)
    j = tapped(job)
    j.start()
    tap = Tap(j, tmp_path, "--reconnect", "-n", 2)
    until_tapped(j)
    j.send([maker.event()])
    tap.until("one", lambda items: items)
    j.until_done()
    j.stop()
    port = j.port
    j.write_config = lambda: None  # the same port again
    j.start()
    assert j.port == port
    until_tapped(j)
    j.send([maker.event()])
    assert len(tap.end()) == 2


def test_nobody_there_is_told_and_so_is_what_is_no_expression(tmp_path):
    port = kafka.free_ports(1)[0]
    for verb in ("tap", "top"):
        result = run(verb, "--url", f"http://127.0.0.1:{port}", check=69)
        assert b"Is the engine running there?" in result.stderr and not result.stdout
    result = run("tap", "--url", f"http://127.0.0.1:{port}", "--where", "status = 200", check=2)
    assert b"hint: Lua compares with ==" in result.stderr


def test_a_picture_shows_what_the_engine_did(job, stub, seed):
    maker = events.Maker(seed, pages=3)
    stub.rules({"do": "ok", "delay": 0.05})
    j = job(partitions=2)
    j.start()
    j.send([maker.event() for _ in range(20)] + [events.Event(value=b"not JSON", key=b"k", outcome="failed")])
    j.until_done()
    picture = run("top", "--once", "--interval", "200ms", "--url", f"http://127.0.0.1:{j.port}", check=0).stdout.decode()
    assert "\033" not in picture and "running" in picture.splitlines()[0] and j.group in picture
    for word in ("STAGE", "UPSTREAM", "mediawiki", "MEMORY", "SCRIPT", "PoisonEvent", j.source_topic):
        assert word in picture, picture
    assert max(map(len, picture.splitlines())) <= 100
    rate = lambda stage: re.search(rf"^{stage} +(\S+)", picture, re.M)[1]
    assert rate("take") == "0"


def on_a_terminal(*arguments):
    """The verb on a terminal of its own: (process, descriptor of the other side)."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen([str(BINARY), *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
                               preexec_fn=kafka.die_with_parent, env={**os.environ, "TERM": "xterm"})
    return process, ours, theirs, before


def read_until(fd, what):
    text = b""
    while what not in text:
        text += os.read(fd, 65536)
    return text


def test_the_picture_on_a_terminal_goes_when_it_is_told_to(job):
    j = job(partitions=1)
    j.start()
    for end in (lambda process, fd: os.write(fd, b"q"), lambda process, fd: process.send_signal(signal.SIGINT),
                lambda process, fd: process.send_signal(signal.SIGTERM)):
        process, ours, theirs, before = on_a_terminal("top", "--interval", "100ms", "--url", f"http://127.0.0.1:{j.port}")
        shown = read_until(ours, b"STAGE")
        assert b"\033[?1049h" in shown, "a screen of its own"
        end(process, ours)
        assert b"\033[?1049l" in read_until(ours, b"\033[?1049l"), "and the shell's again"
        assert process.wait(60) in (0, 128 + signal.SIGTERM)
        assert termios.tcgetattr(theirs) == before, "with its settings"
        os.close(ours)
        os.close(theirs)

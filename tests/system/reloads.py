"""What the tests of changing scripts share: scripts that leave their marks, and what the engine says of them."""

import hashlib
import json
import os
import shutil
import threading
import time
import urllib.request

import events
from engine import SCRIPT

# The shipped job, leaving the version that `request` and that `transform` ran on in what it makes.
WRAPPER = """local shipped = require "shipped"
local millrace = require "millrace"
local version = %d
return {
  api = 1,
  revisions = shipped.revisions,
  selftest = shipped.selftest,
  request = function(event, meta)
    local answer = shipped.request(event, meta)
    event.began = version
    return answer
  end,
  transform = function(event, response, meta)
    local made = shipped.transform(event, response, meta)
    if made == event then
      made.mark, made.params = version, millrace.params.n
    end
    return made
  end,
}
"""
# Of reloads that were asked for or seen; what an engine does by itself, or what tests or a rollback forbid, comes apart.
OUTCOMES = ("swapped", "unchanged", "failed", "busy")


class Marked:
    """An output without the marks, as the ledger wants it; the marks apart."""

    def __init__(self, message):
        self.message = message
        value = events.load(message.value()) if message.value() else None
        self.marks = None
        if isinstance(value, dict) and "mark" in value:
            self.marks = [int(value.pop(name)) for name in ("began", "mark", "params") if name in value]
            self.text = events.dump(value).encode()
        else:
            self.text = message.value()

    def value(self):
        return self.text

    def __getattr__(self, name):
        return getattr(self.message, name)


class Scripts:
    """The folder of a job's scripts, changed as editors do: a new file takes the place of the old one."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "lib").mkdir(parents=True)
        shutil.copy(SCRIPT, folder / "shipped.lua")
        shutil.copy(SCRIPT.parent / "lib" / "mediawiki.lua", folder / "lib" / "mediawiki.lua")
        self.path = folder / "job.lua"
        self.good(0)

    def write(self, text):
        new = self.folder / ".job.lua.new"
        new.write_text(text)
        os.rename(new, self.path)

    def good(self, version):
        self.write(WRAPPER % version)

    def sha256(self):
        """As the engine makes it: of the script and its modules, in the order of loading."""
        files = [("job.lua", ""), ("shipped.lua", "shipped"), ("lib/mediawiki.lua", "lib.mediawiki")]
        lines = [f"{hashlib.sha256((self.folder / file).read_bytes()).hexdigest()} {name}\n" for file, name in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def post_reload(j):
    """(status, answer) of POST /-/reload."""
    request = urllib.request.Request(f"http://127.0.0.1:{j.port}/-/reload", method="POST", data=b"")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def status(j):
    code, text = j.get("/api/v1/status")
    assert code == 200, text
    return json.loads(text)["script"]


def outcomes(metrics):
    return {o: int(metrics.value("millrace_script_reloads_total", outcome=o)) for o in OUTCOMES}


def checked(j, excused=()):
    """Everything sent came out once and in order, or failed with an excused type of error; answers the marks."""
    made = [Marked(message) for message in j.outputs()]
    report = j.ledger.check(made, j.failures(), j.stream, j.error_stream, j.order, None, "page_content_enrich",
                            excused=excused)
    report.require(False, j.story())
    return [m.marks for m in made if m.marks]


def job_of(job, scripts, **change):
    script = {"path": str(scripts.path), "params": {"missing": "fail", "n": 0}, "reload": "watch"}
    script.update(change.pop("script", {}))
    return job(script=scripts.path, change={"script": script, **change}, **{"partitions": 2})


class Feeder(threading.Thread):
    """Sends events all the while, a few at a time."""

    def __init__(self, j, maker, count, pause):
        super().__init__(daemon=True)
        self.j, self.maker, self.left, self.pause, self.ended = j, maker, count, pause, threading.Event()

    def run(self):
        while self.left > 0:
            count = min(self.left, 50)
            self.j.send(self.maker.mixed(count))
            self.left -= count
            if not self.ended.is_set():
                time.sleep(self.pause)

"""The binary under test: started with a configuration, watched, asked for its metrics, always ended."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import kafka

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MILLRACE", ROOT / "build" / "millrace")).resolve()  # tests run it elsewhere, too
SCRIPT = ROOT / "scripts" / "page_content_change.lua"
# Sanitizers and slow machines make everything slower; no test asserts how fast something is.
PATIENCE = float(os.environ.get("MILLRACE_PATIENCE", "90"))

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Metrics:
    """Prometheus text, parsed."""

    LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')

    def __init__(self, text):
        self.text, self.series = text, []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = self.LINE.match(line)
                assert match, f"no line of Prometheus text: {line!r}"
                self.series.append((match[1], dict(self.LABEL.findall(match[2] or "")), float(match[3])))

    def sum(self, name, **labels):
        return sum(v for n, ls, v in self.series if n == name and all(ls.get(k) == w for k, w in labels.items()))

    value = sum

    def __str__(self):
        return "\n".join(f"{n}{ls or ''} {v:g}" for n, ls, v in self.series
                         if v and not re.search(r"_bucket$|^process_|^millrace_build", n))


def run(*arguments, stdin=None, timeout=PATIENCE, env=None, cwd=None, check=None):
    """One command to its end: CompletedProcess with text, stderr apart."""
    result = subprocess.run([str(BINARY), *map(str, arguments)], input=stdin or b"", stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=timeout, cwd=cwd or ROOT, preexec_fn=kafka.die_with_parent,
                            env={**os.environ, **(env or {})})
    if check is not None:
        assert result.returncode == check, (
            f"exit code {result.returncode}, expected {check}\n{result.stderr.decode(errors='replace')[-4000:]}")
    return result


def until(what, true, seconds=None, story=None, every=0.1):
    """Waits for true() and answers it; fails with `what` and the story when it does not come."""
    deadline = time.monotonic() + (seconds or PATIENCE)
    while True:
        answer = true()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain waited for: {what}\n{story() if story else ''}")
        time.sleep(every)


def merged(base, more):
    """A copy of base, changed by more: None takes a key away, dicts merge."""
    result = dict(base)
    for key, value in more.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class Engine:
    """`millrace run` with a configuration of its own, in a folder of its own."""

    def __init__(self, folder, config):
        self.folder, self.config = Path(folder), config
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "stderr.log"
        self.process = None
        self.lives = 0

    @property
    def group(self):
        return self.config["name"]

    def write_config(self):
        self.port = kafka.free_ports(1)[0]
        config = merged(self.config, {"admin": {"listen": f"127.0.0.1:{self.port}"}})
        self.path = self.folder / "millrace.yaml"
        self.path.write_text(json.dumps(config, indent=2, ensure_ascii=False))  # JSON is YAML

    def start(self, ready=True, env=None, arguments=()):
        assert self.process is None or self.process.poll() is not None, "it runs already"
        self.write_config()
        self.lives += 1
        with open(self.log, "ab") as log:
            log.write(f"--- life {self.lives}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                [str(BINARY), "run", "-c", str(self.path), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=ROOT, preexec_fn=kafka.die_with_parent, env={**os.environ, **(env or {})})
        if ready:
            until("/readyz answers 200", lambda: self.get("/readyz")[0] == 200 or self._must_live(), story=self.story)
        return self

    def _must_live(self):
        assert self.process.poll() is None, f"it ended by itself with {self.process.returncode}\n{self.story()}"

    def get(self, path):
        """(status, text), or (0, why) when nobody answers."""
        try:
            with _open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    def metrics(self):
        status, text = self.get("/metrics")
        assert status == 200, f"/metrics: {status} {text}\n{self.story(metrics=False)}"
        return Metrics(text)

    def until(self, what, true, seconds=None):
        """Waits for true(metrics) while the process must live."""
        def look():
            self._must_live()
            return true(self.metrics())
        return until(what, look, seconds, self.story)

    def until_committed(self, cluster, topic, seconds=None):
        """Everything the topic holds has ended and its offsets are committed."""
        def look():
            if self.process:
                self._must_live()
            done = cluster.committed(self.group, topic)
            return sum(done.values()) == cluster.count(topic)
        until(f"the group {self.group} has committed all of {topic}", look, seconds,
              lambda: f"committed {cluster.committed(self.group, topic)} of {cluster.count(topic)}\n{self.story()}", 0.2)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=None):
        try:
            return self.process.wait(seconds or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end\n{self.story()}") from None

    def stop(self, code=0):
        """SIGTERM, and the exit code that must follow."""
        self.signal(signal.SIGTERM)
        got = self.wait()
        assert got == code, f"exit code {got} after SIGTERM, expected {code}\n{self.story(metrics=False)}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()

    def stderr(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def story(self, metrics=True):
        """For failure messages: the end of the log, and the metrics if it still answers."""
        lines = [f"--- the last lines of {self.log}:", *self.stderr().splitlines()[-25:]]
        if metrics and self.process and self.process.poll() is None:
            status, text = self.get("/metrics")
            lines += ["--- metrics:", str(Metrics(text)) if status == 200 else f"{status} {text}"]
        elif self.process:
            lines.append(f"--- exit code {self.process.poll()}")
        return "\n".join(lines)[-12000:]

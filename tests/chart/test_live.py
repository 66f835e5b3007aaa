"""The rendered pod, run: the real engine on the files of a kubelet, while a release changes them under it."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import helm as helms
import kubelet

PATIENCE_S = float(os.environ.get("MILLRACE_PATIENCE", "90"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Pod:
    """One container of the Deployment, whose brokers and API are away."""

    def __init__(self, millrace, root, objects):
        self.root, self.port = root, free_port()
        self.spec = helms.workload(objects)["spec"]["template"]["spec"]
        self.container = helms.engine(objects)
        kubelet.mount_pod(root, self.spec, kubelet.Cluster([self.local(item) for item in objects]))
        arguments = [kubelet.under(root, argument) for argument in self.container["args"]]
        self.log = open(root / "log", "w+")
        self.process = subprocess.Popen([millrace, *arguments], cwd=root, stdin=subprocess.DEVNULL, stderr=self.log)

    def local(self, item):
        """The ConfigMap with this machine's paths and addresses in its configuration."""
        data = dict(item.get("data", {}))
        if "millrace.yaml" in data:
            text = kubelet.under(self.root, data["millrace.yaml"])
            text = re.sub(r"0\.0\.0\.0:\d+", f"127.0.0.1:{self.port}", text)
            data["millrace.yaml"] = re.sub(r"kafka:9092|planets:8000", "127.0.0.1:1", text)
        return {**item, "data": data}

    def upgrade(self, objects):
        """What a kubelet does with the ConfigMaps of another release."""
        cluster = kubelet.Cluster([self.local(item) for item in objects])
        for volume in self.spec["volumes"]:
            files = cluster.files(volume)
            for mount in self.container["volumeMounts"]:
                if files is not None and mount["name"] == volume["name"]:
                    kubelet.write_volume(self.root / mount["mountPath"].lstrip("/"), files)

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metrics(self, pattern):
        return re.findall(rf"^{pattern}$", self.get("/metrics")[1], re.M)

    def wait(self, what, true):
        end = time.monotonic() + PATIENCE_S
        while not true():
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                end_of_log = self.log.read()[-3000:]
                pytest.fail(f"{what}: not within {PATIENCE_S} s, exit code {self.process.poll()}\n{end_of_log}")
            time.sleep(0.1)

    def probe(self, name):
        return self.get(self.container[name]["httpGet"]["path"])[0]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


VALUES = ["-f", helms.CI["minimal"]]


@pytest.fixture
def pod(helm, millrace, tmp_path):
    started = Pod(millrace, tmp_path, helm.objects(*VALUES))
    yield started
    started.close()


def script_of(pod):
    return pod.metrics(r'millrace_script_info\{.*sha256="(\w+)".*\} 1')


def test_a_release_changes_the_script_of_a_running_pod(helm, pod, tmp_path_factory):
    """... a broken one does not, a rollback brings the first one back, and it is one process all the time."""
    pod.wait("alive", lambda: pod.probe("startupProbe") == 200 and pod.probe("livenessProbe") == 200)
    first = script_of(pod)
    assert len(first) == 1

    broken = helm.objects(*VALUES, "--set", "scripts.inline.first\\.lua=return { api = 1")
    pod.upgrade(broken)
    pod.wait("the broken script is told", lambda: pod.metrics("millrace_script_last_reload_successful 0"))
    assert script_of(pod) == first

    better = tmp_path_factory.mktemp("release") / "first.lua"
    better.write_text("return { api = 1, transform = function(event) return event end }\n")
    pod.upgrade(helm.objects(*VALUES, "--set-file", f"scripts.inline.first\\.lua={better}"))
    pod.wait("the new script is live", lambda: script_of(pod) not in ([], first))
    assert pod.metrics("millrace_script_last_reload_successful 1")

    pod.upgrade(helm.objects(*VALUES))
    pod.wait("the first script is back", lambda: script_of(pod) == first)
    assert pod.probe("livenessProbe") == 200

    pod.process.send_signal(signal.SIGTERM)
    assert pod.process.wait(timeout=PATIENCE_S) == 0


def after(millrace, pod, objects, *urls, seconds=60):
    """The hook after a release, begun: it looks at the pod, and at what else is named."""
    container, = helms.hook_job(objects, "post-upgrade")["spec"]["template"]["spec"]["containers"]
    arguments = [argument for argument in container["args"] if not argument.startswith(("--url", "--timeout"))]
    arguments += [f"--url={url}" for url in (f"http://127.0.0.1:{pod.port}", *urls)] + [f"--timeout={seconds}s"]
    return subprocess.Popen([millrace, *arguments], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_the_hook_after_a_release_waits_until_the_script_is_live(helm, millrace, pod, tmp_path_factory):
    better = tmp_path_factory.mktemp("release") / "first.lua"
    better.write_text("return { api = 1, transform = function(event) return event end }\n")
    release = helm.objects(*VALUES, "--set-file", f"scripts.inline.first\\.lua={better}")
    pod.wait("alive", lambda: pod.probe("livenessProbe") == 200)
    hook = after(millrace, pod, release, seconds=int(PATIENCE_S))
    assert "0 of 1 engines" in hook.stdout.readline()
    pod.upgrade(release)
    said, _ = hook.communicate(timeout=PATIENCE_S + 30)
    assert hook.returncode == 0 and "live: 1 engine\n" in said, said


def test_the_hook_after_a_release_tells_why_the_script_is_not_live(helm, millrace, pod):
    pod.wait("alive", lambda: pod.probe("livenessProbe") == 200)
    broken = helm.objects(*VALUES, "--set", "scripts.inline.first\\.lua=return { api = 1")
    pod.upgrade(broken)
    pod.wait("the broken script is told", lambda: pod.metrics("millrace_script_last_reload_successful 0"))
    hook = after(millrace, pod, broken, "http://127.0.0.1:1", seconds=1)
    said, _ = hook.communicate(timeout=PATIENCE_S)
    assert hook.returncode == 1, said
    assert "0 of 2 engines" in said and "first.lua:1:" in said and "127.0.0.1:1: Connection refused" in said


def test_all_engines_of_a_name_are_told_to_reload_and_looked_at(millrace, pod):
    def reload(*arguments):
        url = f"http://127.0.0.1:{pod.port}"
        done = subprocess.run([millrace, "reload", "--all", "--url", url, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE_S)
        return done.returncode, done.stdout + done.stderr

    pod.wait("alive", lambda: pod.probe("livenessProbe") == 200)
    text = (pod.root / "etc/millrace/scripts/first.lua").read_bytes()
    expected = f"--expect=first.lua={hashlib.sha256(text).hexdigest()}"
    code, said = reload(expected, "--timeout=10s")
    assert code == 0 and f"http://127.0.0.1:{pod.port}: unchanged: " in said and "live: 1 engine\n" in said
    code, said = reload("--at-least=2", "--timeout=10s")
    assert code == 69 and "1 of at least 2 engines are there" in said
    code, said = reload("--at-least=2", "--read-only", expected, "--timeout=1s")
    assert code == 1 and "1 of 2 engines run what is expected" in said


def test_a_release_changes_the_parameters_of_a_running_pod(helm, pod):
    def swaps():
        return pod.metrics(r'millrace_script_reloads_total\{outcome="swapped"\} (\d+)')

    pod.wait("alive", lambda: pod.probe("livenessProbe") == 200)
    pod.upgrade(helm.objects(*VALUES, "--set", "config.script.params.language=en"))
    pod.wait("the new parameters are live", lambda: swaps() == ["1"])

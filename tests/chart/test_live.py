"""The rendered pod, run: the real engine on the files of a kubelet, while a release changes them under it."""

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


def test_a_release_changes_the_parameters_of_a_running_pod(helm, pod):
    def swaps():
        return pod.metrics(r'millrace_script_reloads_total\{outcome="swapped"\} (\d+)')

    pod.wait("alive", lambda: pod.probe("livenessProbe") == 200)
    pod.upgrade(helm.objects(*VALUES, "--set", "config.script.params.language=en"))
    pod.wait("the new parameters are live", lambda: swaps() == ["1"])

"""A cluster of one machine: Kubernetes' own API server and controllers, and in place of a kubelet a thread that runs the
real engine on the files of each pod. Each pod has an address of its own in 127.0.0.0/8."""

import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import helm as helms
import kubelet

PROGRAMS = helms.HERE / ".cache/cluster"
CONTROLLERS = ("deployment,replicaset,statefulset,job,serviceaccount,endpoint,endpointslice,garbagecollector,disruption,"
               "ttl-after-finished,root-ca-cert-publisher")
NAMESPACE = "jobs"
PATIENCE_S = float(os.environ.get("MILLRACE_PATIENCE", "90"))

# Kinds of operators that the chart speaks to; what they hold is the operators' own.
OPERATORS = [("monitoring.coreos.com", "v1", "PodMonitor"), ("monitoring.coreos.com", "v1", "PrometheusRule"),
             ("keda.sh", "v1alpha1", "ScaledObject"), ("keda.sh", "v1alpha1", "TriggerAuthentication")]


def there():
    return all((PROGRAMS / name).exists() for name in ("etcd", "kube-apiserver", "kube-controller-manager"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def until(what, true, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)


class Cluster:
    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.port, peer, store = free_port(), free_port(), free_port()
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        (folder / "tokens.csv").write_text("password,admin,admin,system:masters\n")
        (folder / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "it", "user": {"token": "password"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]}))
        subprocess.run(["openssl", "genrsa", "-out", folder / "key", "2048"], check=True, capture_output=True)
        self.start("etcd", "--data-dir", folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{store}",
                   "--advertise-client-urls", f"http://127.0.0.1:{store}", "--listen-peer-urls",
                   f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--unsafe-no-fsync")
        until("etcd", lambda: self.reaches(store))
        self.start("kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{store}", "--bind-address", "127.0.0.1",
                   "--secure-port", self.port, "--cert-dir", folder / "certs", "--service-account-key-file",
                   folder / "key", "--service-account-signing-key-file", folder / "key", "--service-account-issuer",
                   "https://kubernetes.default.svc", "--token-auth-file", folder / "tokens.csv",
                   "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16", "--advertise-address",
                   "127.0.0.1")
        until("the API server", lambda: self.ask("GET", "/readyz")[0] == 200)
        self.start("kube-controller-manager", "--kubeconfig", folder / "kubeconfig", "--leader-elect=false",
                   "--secure-port", "0", "--service-account-private-key-file", folder / "key",
                   f"--controllers={CONTROLLERS}")
        for group, version, kind in OPERATORS:
            self.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(group, version, kind))
        self.make("/apis/scheduling.k8s.io/v1/priorityclasses", {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000})
        # The standard that the chart claims, enforced.
        self.make("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
        until("the namespace's ServiceAccount",
              lambda: self.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default")[0] == 200)
        until("the kinds of operators", lambda: all(
            self.ask("GET", f"/apis/{group}/{version}/{kind.lower()}s")[0] == 200 for group, version, kind in OPERATORS))

    def start(self, program, *arguments):
        log = open(self.folder / f"{program}.log", "w")
        self.processes.append(subprocess.Popen([PROGRAMS / program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                               stdout=log, stderr=log, cwd=self.folder))

    @staticmethod
    def reaches(port):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    def ask(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer password", "Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.tls) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text[:1] == b"{" else text.decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def make(self, path, item):
        until(f"making a {item['kind']}", lambda: self.ask("POST", path, item)[0] in (201, 409))

    def list(self, path, selector=""):
        """The objects of a namespaced kind, such as `/api/v1 pods`."""
        api, kind = path.split()
        code, found = self.ask("GET", f"{api}/namespaces/{NAMESPACE}/{kind}?labelSelector={selector}")
        return found["items"] if code == 200 else []

    def helm(self, helm, *arguments):
        """(exit code, what it said); like a shell's, so that what fails is told."""
        done = subprocess.run([helm.path, *map(str, arguments), "-n", NAMESPACE], stdin=subprocess.DEVNULL, text=True,
                              env={**helms.ENVIRONMENT, "KUBECONFIG": str(self.folder / "kubeconfig")},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S * 4)
        return done.returncode, done.stdout

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


def definition(group, version, kind):
    plural = f"{kind.lower()}s"
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind}, "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


class Container:
    """A pod's files, and one process of it after the other."""

    def __init__(self, node, pod, number):
        self.node, self.pod, self.address = node, pod, f"127.7.{number // 250}.{number % 250 + 1}"
        self.name, self.uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        self.root = node.folder / self.uid
        self.root.mkdir()
        self.spec = pod["spec"]
        self.waiting = [container for container in helms.containers(self.spec)
                        if container.get("restartPolicy") != "Always"]
        self.done, self.process, self.code, self.seen = [], None, None, None
        self.mounted = any("volumeMounts" in container for container in self.waiting) and "volumes" in self.spec
        self.log = open(self.root / "log", "w+")

    def local(self, item):
        """A ConfigMap with this pod's address and files, and brokers that are away."""
        data = dict(item.get("data", {}))
        if "millrace.yaml" in data:
            text = kubelet.under(self.root, data["millrace.yaml"])
            text = re.sub(r"0\.0\.0\.0:(\d+)", rf"{self.address}:\1", text)
            data["millrace.yaml"] = re.sub(r"kafka:9092|planets:8000", "127.0.0.1:1", text)
        return {**item, "kind": "ConfigMap", "data": data}

    def mount(self, maps):
        """At the start, and when a ConfigMap has changed. False while one is missing."""
        if not self.mounted:
            return True
        now = [(item["metadata"]["uid"], item["metadata"]["resourceVersion"]) for item in maps]
        if now == self.seen:
            return True
        cluster = kubelet.Cluster([self.local(item) for item in maps])
        try:
            if self.seen is None:
                kubelet.mount_pod(self.root, self.spec, cluster)
            else:
                for volume in self.spec["volumes"]:
                    files = cluster.files(volume)
                    for mount in self.waiting[-1]["volumeMounts"] if self.waiting else self.done[-1]["volumeMounts"]:
                        if files is not None and mount["name"] == volume["name"]:
                            kubelet.write_volume(self.root / mount["mountPath"].lstrip("/"), files)
        except KeyError:
            return False
        self.seen = now
        return True

    def run(self):
        """Starts what is next, and tells the pod's state."""
        if self.process is None and self.waiting:
            arguments = [kubelet.under(self.root, argument) for argument in self.waiting[0]["args"]]
            self.process = subprocess.Popen(
                ["unshare", "-rm", "sh", "-c", f"mount --bind {self.node.hosts} /etc/hosts && exec \"$@\"", "sh",
                 self.node.millrace, *arguments], cwd=self.root, stdin=subprocess.DEVNULL, stdout=self.log,
                stderr=self.log, env={**os.environ, "POD_NAME": self.name, "NO_COLOR": "1"})
        if self.process:
            self.code = self.process.poll()
            if self.code is None:
                return "Running", None
            self.done.append(self.waiting.pop(0))
            self.process = None
            if self.code == 0 and self.waiting:
                return self.run()
            self.waiting = []
        return ("Failed" if self.code else "Succeeded"), self.code

    def ready(self):
        probe = self.spec["containers"][0].get("readinessProbe")
        port = self.spec["containers"][0].get("ports", [{"containerPort": 0}])[0]["containerPort"]
        try:
            with urllib.request.urlopen(f"http://{self.address}:{port}{probe['httpGet']['path']}", timeout=2) as answer:
                return answer.status == 200
        except (OSError, TypeError):
            return False

    def status(self):
        phase, code = self.run()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        ready = phase == "Running" and self.ready()
        names = [container["name"] for container in self.spec["containers"]]
        return {"phase": phase, "podIP": self.address, "podIPs": [{"ip": self.address}],
                "conditions": [{"type": name, "status": str(ready)} for name in ("Ready", "ContainersReady")],
                "containerStatuses": [{"name": name, "ready": ready, "restartCount": 0, "image": "millrace",
                                       "imageID": "", "state": state} for name in names]}

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


class Node(threading.Thread):
    """In place of scheduler, kubelet and DNS."""

    def __init__(self, cluster, millrace, folder):
        super().__init__(daemon=True)
        self.cluster, self.millrace, self.folder = cluster, millrace, folder
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.pods, self.count, self.frozen, self.ended, self.trouble = {}, 0, False, False, None
        self.start()

    def run(self):
        try:
            while not self.ended:
                self.round()
                time.sleep(0.2)
        except Exception as error:  # told by whoever waits for a pod
            self.trouble = error
            raise

    def round(self):
        maps = [item for item in self.cluster.list("/api/v1 configmaps")]
        found = {pod["metadata"]["uid"]: pod for pod in self.cluster.list("/api/v1 pods")}
        for uid, pod in found.items():
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
            if pod["metadata"].get("deletionTimestamp"):
                if uid in self.pods:
                    self.pods[uid].stop()
                self.cluster.ask("DELETE", path, {"gracePeriodSeconds": 0})
                continue
            if uid not in self.pods:
                self.count += 1
                self.pods[uid] = Container(self, pod, self.count)
                self.cluster.ask("POST", f"{path}/binding", {
                    "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": "node"}})
            container = self.pods[uid]
            if (self.frozen and container.seen) or container.mount(maps):
                self.cluster.ask("PATCH", f"{path}/status", {"status": container.status()},
                                 "application/strategic-merge-patch+json")
        for uid in [uid for uid in self.pods if uid not in found]:
            self.pods[uid].stop()
            del self.pods[uid]
        # As DNS would tell of a Service without an address that publishes what is not ready. Not from its endpoints: the
        # API refuses addresses of the loopback there.
        lines = ["127.0.0.1 localhost"]
        for service in self.cluster.list("/api/v1 services"):
            lines += [f"{pod.address} {service['metadata']['name']}" for pod in list(self.pods.values()) if
                      service["spec"].get("selector", {"": ""}).items() <= pod.pod["metadata"]["labels"].items()]
        text = "\n".join(lines) + "\n"
        if text != self.hosts.read_text():
            self.hosts.write_text(text)  # in place: it is mounted

    def of(self, component):
        """The pods of a component, by name."""
        assert self.trouble is None, self.trouble
        return sorted((pod for pod in list(self.pods.values())
                       if pod.pod["metadata"]["labels"].get("app.kubernetes.io/component") == component),
                      key=lambda pod: pod.name)

    def close(self):
        self.ended = True
        self.join()
        for pod in self.pods.values():
            pod.stop()

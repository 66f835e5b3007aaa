"""Helm, in the majors that have to render the chart alike."""

import functools
import json
import os
import pathlib
import re
import subprocess

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "helm/millrace"
CI = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}

# Nothing of the machine's: no cluster, no plug-ins, no cache in somebody's home.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": str(HERE / ".cache"),
    "KUBECONFIG": "/dev/null",
}


def parse(text):
    """The documents of a text, empty ones as None."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


class Refused(Exception):
    """Helm's words when it does not render."""


class Helm:
    def __init__(self, path):
        self.path = str(path)
        self.version = self.run("version", "--template", "{{.Version}}").lstrip("v")

    def __repr__(self):
        return f"helm-{self.version}"

    @functools.lru_cache(maxsize=None)
    def run(self, *arguments):
        done = subprocess.run([self.path, *arguments], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    def lint(self, values):
        return self.run("lint", "--strict", "--namespace", "jobs", "-f", str(values), str(CHART))

    def template(self, *arguments):
        """What `helm template` prints. The release is enrich, its namespace jobs."""
        return self.run("template", "enrich", str(CHART), "--namespace", "jobs", *map(str, arguments))

    @functools.lru_cache(maxsize=None)
    def objects(self, *arguments):
        """The rendered objects. They are shared: look, do not change."""
        return [document for document in parse(self.template(*arguments)) if document]

    def notes(self, *arguments):
        """What `helm install` prints. It wants a cluster for that, but a template may include the file."""
        probe = {"kind": "Notes", "metadata": {"name": "notes"}, "text": "NOTES"}
        text = json.dumps(probe).replace('"NOTES"', '{{ include "millrace/templates/NOTES.txt" . | toJson }}')
        found = self.objects(*arguments, "--set-json", f"extraObjects=[{json.dumps(text)}]")
        return of_kind(found, "Notes")[0]["text"]

    def refusal(self, *arguments):
        """The words with which the chart refuses these values, white space made even."""
        try:
            self.template(*arguments)
        except Refused as refused:
            return re.sub(r"\s+", " ", str(refused))
        return None


def all_helms():
    """Those of the cache, and those that MORE_HELMS names."""
    found = sorted((HERE / ".cache").glob("helm-[0-9]*"))
    return [Helm(path) for path in found + os.environ.get("MORE_HELMS", "").split()]


def of_kind(objects, kind):
    return [found for found in objects if found["kind"] == kind]


def hook(item):
    """The events of Helm at which it is made; none for what the release itself has."""
    events = item["metadata"].get("annotations", {}).get("helm.sh/hook")
    return events.split(",") if events else []


def workload(objects):
    """What runs the engine's pods."""
    found, = [item for item in objects if item["kind"] in ("Deployment", "StatefulSet", "Job") and not hook(item)]
    return found


def pods(objects):
    """The pods that the objects make, as (labels, annotations, spec)."""
    for item in objects:
        template = item if item["kind"] == "Pod" else item.get("spec", {}).get("template")
        if template and "containers" in template.get("spec", {}):
            metadata = template["metadata"]
            yield metadata.get("labels", {}), metadata.get("annotations", {}), template["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def engine(objects):
    """The engine's container."""
    found = workload(objects)["spec"]["template"]["spec"]["containers"]
    return next(container for container in found if container["name"] == "millrace")


def hook_job(objects, event):
    """The Job that Helm runs at this event, or None."""
    return next((item for item in of_kind(objects, "Job") if event in hook(item)), None)


def configuration(objects):
    """The text of the release's millrace.yaml."""
    for item in of_kind(objects, "ConfigMap"):
        if not hook(item) and "millrace.yaml" in item.get("data", {}):
            return item["data"]["millrace.yaml"]
    return None

"""Kubernetes' own schemas, as the package kubernetes-validate brings them; validate() of that package reads 1 MB anew
for each object, so its files are used directly."""

import functools
import importlib.resources
import json
import re

import jsonschema
import referencing

FOLDER = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"

# The oldest that Chart.yaml allows, Wikimedia's, and two newer ones.
VERSIONS = ["1.29.0", "1.31.0", "1.34.0", "1.37.0"]

# Objects of operators, whose schemas are not Kubernetes' own.
FOREIGN = {"monitoring.coreos.com/v1", "keda.sh/v1alpha1"}


@functools.lru_cache(maxsize=None)
def registry(version):
    text = (FOLDER / f"v{version}-local-strict/_definitions.json").read_text()
    return referencing.Resource.from_contents(json.loads(text)) @ referencing.Registry()


@functools.lru_cache(maxsize=None)
def validator(version, kind, api):
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)  # rbac.authorization.k8s.io/v1 -> rbac-v1
    schema = json.loads((FOLDER / f"v{version}-local-strict/{kind.lower()}-{group}.json").read_text())
    known = referencing.Resource.from_contents(schema) @ registry(version)
    return jsonschema.Draft202012Validator(schema, registry=known)


def faults(item, version):
    if item["apiVersion"] in FOREIGN:
        return []
    return [f"{item['kind']} {item['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message[:300]}"
            for error in validator(version, item["kind"], item["apiVersion"]).iter_errors(item)]

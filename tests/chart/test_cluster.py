"""The chart on a cluster: Kubernetes' own API server and controllers, the real Helm and the real engine. `make
chart-cluster` builds the former and runs this."""

import json
import urllib.request

import pytest

import cluster as clusters
import helm as helms
from cluster import until

VALUES = ["-f", helms.CI["minimal"], "--set", "replicas=2,serviceAccount.create=true,podDisruptionBudget.enabled=true"]
OTHER = "return { api = 1, transform = function(event) return event end }\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    assert clusters.there(), "run tests/chart/setup_cluster first"
    made = clusters.Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture
def node(cluster, millrace, tmp_path):
    started = clusters.Node(cluster, millrace, tmp_path)
    yield started
    started.close()


@pytest.fixture
def release(cluster, helm):
    yield "enrich"
    cluster.helm(helm, "uninstall", "enrich", "--no-hooks")
    for item in cluster.list("/apis/batch/v1 jobs") + cluster.list("/api/v1 configmaps"):
        kind = "/apis/batch/v1/namespaces/jobs/jobs" if "template" in item.get("spec", {}) else \
            "/api/v1/namespaces/jobs/configmaps"
        cluster.ask("DELETE", f"{kind}/{item['metadata']['name']}?propagationPolicy=Background")


def scripts(cluster):
    return {item["metadata"]["name"]: item["data"] for item in cluster.list("/api/v1 configmaps")
            if "first.lua" in item.get("data", {})}


def live(pod):
    with urllib.request.urlopen(f"http://{pod.address}:9464/api/v1/status", timeout=5) as answer:
        return json.load(answer)["script"]["sha256"]


def test_the_api_takes_every_file_of_values(cluster, helm, case, values, release):
    """... and its controllers make the pods, in a namespace that enforces the restricted standard."""
    code, said = cluster.helm(helm, "install", release, helms.CHART, "-f", values, "--no-hooks")
    assert code == 0, said
    assert "would violate PodSecurity" not in said
    wanted = helms.workload(helm.objects("-f", values))
    name, replicas = wanted["metadata"]["name"], wanted["spec"].get("replicas", 1)
    made = until("pods", lambda: [pod for pod in cluster.list("/api/v1 pods")
                                  if pod["metadata"]["name"].startswith(name)][:replicas])
    assert len(made) >= 1


def test_a_release_from_install_to_uninstall(cluster, helm, node, release, tmp_path):
    helm_does = lambda *arguments: cluster.helm(helm, *arguments)
    code, said = helm_does("install", release, helms.CHART, *VALUES)
    assert code == 0, said
    assert list(scripts(cluster)) == ["enrich-millrace-scripts"] and cluster.list("/apis/batch/v1 jobs") == []
    until("two engines", lambda: len([pod for pod in node.of("engine") if pod.process]) == 2)
    until("their addresses", lambda: node.hosts.read_text().count("enrich-millrace-pods") == 2)
    first = until("the engines answer", lambda: quietly(lambda: {live(pod) for pod in node.of("engine")}))
    assert len(first) == 1
    pods = [pod.uid for pod in node.of("engine")]

    # A broken script changes nothing.
    broken = tmp_path / "broken.lua"
    broken.write_text("return {\n  api = 1\n  transform = 7\n}\n")
    before = scripts(cluster)["enrich-millrace-scripts"]
    code, said = helm_does("upgrade", release, helms.CHART, *VALUES, "--set-file", f"scripts.inline.first\\.lua={broken}")
    assert code != 0 and "pre-upgrade hooks failed" in said, said
    assert scripts(cluster)["enrich-millrace-scripts"] == before
    assert "first.lua:3" in node.of("before")[0].said()

    # A good one is live in the same pods when Helm says so.
    other = tmp_path / "other.lua"
    other.write_text(OTHER)
    code, said = helm_does("upgrade", release, helms.CHART, *VALUES, "--set-file", f"scripts.inline.first\\.lua={other}")
    assert code == 0, said
    second = {live(pod) for pod in node.of("engine")}
    assert len(second) == 1 and second != first
    assert [pod.uid for pod in node.of("engine")] == pods

    # So is the first one after a rollback.
    code, said = helm_does("rollback", release, "1")
    assert code == 0, said
    assert {live(pod) for pod in node.of("engine")} == first

    # Where a pod does not get it, the release fails and says which.
    node.frozen = True
    code, said = helm_does("upgrade", release, helms.CHART, *VALUES, "--set", "hooks.reload.timeout=3",
                           "--set-file", f"scripts.inline.first\\.lua={other}")
    assert code != 0 and "post-upgrade hooks failed" in said, said
    after = until("the hook's pod", lambda: node.of("after"))[0].said()
    assert "0 of 2 engines run what is expected" in after and "it runs first.lua" in after
    node.frozen = False

    code, said = helm_does("uninstall", release)
    assert code == 0, said
    until("the pods are gone", lambda: not node.of("engine"))


def quietly(question):
    try:
        return question()
    except OSError:
        return None

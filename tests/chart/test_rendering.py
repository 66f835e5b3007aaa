"""Promises that hold for whatever the chart renders: with every Helm, for every ci/*-values.yaml."""

import pytest
import yaml

import helm as helms
import schemas
from conftest import HELMS


def selects(selector, labels):
    return selector["matchLabels"].items() <= labels.items()


def test_it_lints_strictly(helm, values):
    assert "0 chart(s) failed" in helm.lint(values)


def test_all_helms_render_the_same(values):
    first, *others = [helms.parse(helm.template("-f", values)) for helm in HELMS]
    for other in others:
        assert other == first


def test_no_document_is_empty(helm, values):
    documents = helms.parse(helm.template("-f", values))
    assert documents and all(documents)


def test_no_two_objects_share_a_name(objects):
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_kubernetes_knows_every_field(objects, version):
    assert [fault for item in objects for fault in schemas.faults(item, version)] == []


def test_every_object_of_ours_tells_its_release_and_namespace(objects):
    for item in objects:
        if item["metadata"]["name"].startswith("enrich-millrace"):
            assert item["metadata"]["namespace"] == "jobs"
            assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "enrich"


def test_selectors_find_the_engine_and_no_other_pod(objects):
    found = helms.workload(objects)
    labels = found["spec"]["template"]["metadata"]["labels"]
    selectors = [item["spec"]["selector"] for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget", "PodMonitor")
                 for item in helms.of_kind(objects, kind)]
    selectors += [{"matchLabels": item["spec"]["selector"]} for item in helms.of_kind(objects, "Service")]
    others = [found for found, _, _ in helms.pods(item for item in objects if helms.hook(item))]
    assert selectors
    for selector in selectors:
        assert selects(selector, labels)
        assert not [other for other in others if selects(selector, other)]


def test_a_network_policy_covers_every_pod(objects):
    for policy in helms.of_kind(objects, "NetworkPolicy"):
        for labels, _, _ in helms.pods(objects):
            assert selects(policy["spec"]["podSelector"], labels)


def test_what_scales_names_what_runs_the_pods(objects):
    found = helms.workload(objects)
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for item in helms.of_kind(objects, kind):
            target = item["spec"]["scaleTargetRef"]
            assert (target["apiVersion"], target["kind"], target["name"]) == (
                found["apiVersion"], found["kind"], found["metadata"]["name"])
            assert "replicas" not in found["spec"]


def test_hooks_are_removed_when_they_succeeded_and_mount_what_is_there(objects):
    """A hook before the release may mount hooks' ConfigMaps alone, or what the user says is there already."""
    own = {item["metadata"]["name"] for item in helms.of_kind(objects, "ConfigMap")
           if not helms.hook(item) and item["metadata"]["name"].startswith("enrich")}
    for job in helms.of_kind(objects, "Job"):
        events, spec = helms.hook(job), job["spec"]["template"]["spec"]
        if not events:
            continue
        assert job["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        assert job["spec"]["backoffLimit"] == 0 and job["spec"]["activeDeadlineSeconds"] > 0
        if "pre-install" in events:
            assert not [name for name in own if f"name: {name}\n" in yaml.safe_dump(spec["volumes"])]
            assert "serviceAccountName" not in spec or not helms.of_kind(objects, "ServiceAccount")
            assert "persistentVolumeClaim" not in yaml.safe_dump(spec["volumes"])


def test_the_copies_that_a_hook_checks_are_what_the_release_brings(objects):
    data = {item["metadata"]["name"]: item["data"] for item in helms.of_kind(objects, "ConfigMap")}
    for what in ("config", "scripts"):
        copy = data.get(f"enrich-millrace-new-{what}")
        assert copy is None or copy == data[f"enrich-millrace-{what}"]


def test_pods_satisfy_the_restricted_standard(objects):
    for _, _, spec in helms.pods(objects):
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 65532
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in helms.containers(spec):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, container["name"]
            assert own["readOnlyRootFilesystem"] is True, container["name"]
            assert own["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert own.get("runAsNonRoot", True) and not own.get("privileged")
        allowed = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "ephemeral", "csi"}
        for volume in spec.get("volumes", []):
            assert volume.keys() - {"name"} <= allowed


def test_no_pod_gets_a_token(objects):
    assert all(item["automountServiceAccountToken"] is False for item in helms.of_kind(objects, "ServiceAccount"))
    assert all(spec["automountServiceAccountToken"] is False for _, _, spec in helms.pods(objects))


def test_every_container_asks_for_memory_and_has_a_limit(objects):
    for _, _, spec in helms.pods(objects):
        for container in helms.containers(spec):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), container["name"]
            assert "memory" in resources["limits"], container["name"]


def test_alive_and_ready_are_two_questions(objects):
    container = helms.engine(objects)
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listen = yaml.safe_load(helms.configuration(objects))["admin"]["listen"]
    assert listen == f"0.0.0.0:{ports['admin']}"


def test_every_image_is_pinned_to_a_version(objects):
    for _, _, spec in helms.pods(objects):
        for container in helms.containers(spec):
            name, _, version = container["image"].rpartition("/")[2].partition(":")
            assert name and version and version != "latest", container["image"]


def test_folders_are_mounted_whole(objects):
    claims = {claim["metadata"]["name"] for item in helms.of_kind(objects, "StatefulSet")
              for claim in item["spec"].get("volumeClaimTemplates", [])}
    for _, _, spec in helms.pods(objects):
        for container in helms.containers(spec):
            mounts = container.get("volumeMounts", [])
            assert not [mount for mount in mounts if "subPath" in mount or "subPathExpr" in mount]
            places = [mount["mountPath"] for mount in mounts]
            assert len(places) == len(set(places))
            assert {mount["name"] for mount in mounts} <= {volume["name"] for volume in spec.get("volumes", [])} | claims


def test_folders_that_begin_empty_have_a_limit(objects):
    for _, _, spec in helms.pods(objects):
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec.get("volumes", []) if "emptyDir" in volume)


def test_a_stop_has_time_to_drain(objects):
    drain = yaml.safe_load(helms.configuration(objects)).get("drain", "25s")
    grace = helms.workload(objects)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert drain.endswith("s") and int(drain[:-1]) < grace


def test_secrets_are_files_and_never_environment(objects):
    for _, _, spec in helms.pods(objects):
        for container in helms.containers(spec):
            assert "secret" not in yaml.safe_dump(container.get("env", [])).lower()
            assert "secret" not in yaml.safe_dump(container.get("envFrom", [])).lower()


def test_it_renders_what_it_rendered_before(helm, case, values, accept):
    def even(text):
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"

    golden = helms.HERE / f"golden/{case}.yaml"
    rendered = even(helm.template("-f", values))
    if accept:
        golden.write_text(rendered)
    assert golden.exists(), "a new file of values: look at what it renders and accept it, make chart UPDATE=1"
    assert rendered == golden.read_text(), "not what it was: look at it and accept it, make chart UPDATE=1"


def test_every_golden_has_its_values():
    assert {path.stem for path in (helms.HERE / "golden").glob("*.yaml")} == set(helms.CI)

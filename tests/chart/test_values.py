"""Values: what the schema lets in, what the chart refuses and how it says so, what each switch does."""

import hashlib
import json

import jsonschema
import pytest
import yaml

import helm as helms
import values_table

DEFAULTS = yaml.safe_load((helms.CHART / "values.yaml").read_text())
SCHEMA = json.loads((helms.CHART / "values.schema.json").read_text())

# Passed on to Kubernetes, or to the engine, which know what belongs into them.
OPEN = {"config", "resources.requests", "resources.limits", "strategy", "strategy.rollingUpdate", "podSecurityContext",
        "podSecurityContext.seccompProfile", "securityContext", "securityContext.capabilities", "checkpoint.volume",
        "checkpoint.volume.emptyDir", "affinity", "nodeSelector", "commonLabels", "annotations", "podLabels",
        "podAnnotations", "secrets", "scripts.inline", "statefulSet.updateStrategy", "autoscaling.keda.metadata",
        "autoscaling.behavior.scaleUp", "autoscaling.behavior.scaleDown", "metrics.podMonitor.labels",
        "metrics.prometheusRule.labels", "metrics.prometheusRule.alerts", "metrics.dashboard.labels",
        "metrics.dashboard.annotations", "serviceAccount.annotations"}


def maps(values, path=""):
    """The paths of all maps in the values, the whole one included."""
    yield path
    for name, value in values.items():
        if isinstance(value, dict):
            yield from maps(value, f"{path}.{name}".lstrip("."))


CLOSED = [path for path in maps(DEFAULTS) if path not in OPEN]


@pytest.mark.parametrize("path", CLOSED)
def test_an_unknown_value_is_refused_wherever_it_stands(path):
    values = json.loads(json.dumps(DEFAULTS))
    place = values
    for name in filter(None, path.split(".")):
        place = place[name]
    place["unheard_of"] = 1
    faults = list(jsonschema.Draft7Validator(SCHEMA).iter_errors(values))
    assert faults and all("unheard_of" in fault.message for fault in faults)


def test_the_schema_knows_every_default():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(DEFAULTS)


@pytest.mark.parametrize("wrong", [
    "unheard_of=1", "image.tga=x", "image.tag=latest", "replicas=many", "reload.scripts=sometimes", "admin.port=0",
    "scripts.inline.no=return {}", "scripts.inline.\\.\\./up\\.lua=return {}", "probes.liveness.path=/", "secrets.a/b=c", "kind=DaemonSet", "job.until=tomorrow", "autoscaling.mode=magic", "hooks.check.deadline=0",
    "scripts.inline.no\\.sh=exit", "scripts.main=no.yaml", "job.group=a b",

    "networkPolicy.egress.brokers.ports[0]=http", "config=7", "extraEnv.NAME=value", "image.digest=sha256:12"])
def test_helm_refuses_what_the_schema_does(helm, wrong):
    assert "meet the specifications of the schema" in helm.refusal("--set", wrong)


MINIMAL = ["-f", helms.CI["minimal"]]


@pytest.mark.parametrize("arguments, words", [
    ([*MINIMAL, "--set", "config.drain=56s"], "Set terminationGracePeriodSeconds to 61 or more"),
    ([*MINIMAL, "--set", "config.drain=2m"], "Set terminationGracePeriodSeconds to 125 or more"),
    ([*MINIMAL, "--set", "terminationGracePeriodSeconds=20"], "Set terminationGracePeriodSeconds to 30 or more"),
    ([*MINIMAL, "--set", "config.admin.listen=127.0.0.1:9464"], "the chart makes it of admin.port (9464)"),
    ([*MINIMAL, "--set", "admin.port=80", "--set", "config.admin.listen=0.0.0.0:9464"], "of admin.port (80)"),
    (["-f", helms.CI["inline-scripts"], "--set", "admin.port=9464"], 'Write `admin: {listen: "0.0.0.0:9464"}`'),
    ([*MINIMAL, "--set", "resources.limits=null"], "resources.limits.memory is not set"),
    ([*MINIMAL, "--set", "resources.limits.memory=lots"], "expected a size such as 1Gi"),
    ([*MINIMAL, "--set", "resources.limits.memory=100Mi"], "It needs 84 MiB"),
    ([*MINIMAL, "--set", "config.limits.memory=80MiB"], "Raise config.limits.memory"),
    ([*MINIMAL, "--set", "config.limits.memory=127MiB"], "set it to 115MiB or less"),
    ([*MINIMAL, "--set", "config.http.upstreams.planets.max_body=56MiB"], "224 MiB four times the largest max_body"),
    ([*MINIMAL, "--set", "scripts.main=other.lua"], "The script is to be other.lua"),
    ([*MINIMAL, "--set", "scripts.inline.second\\.lua=return {}"], "Set scripts.main to the name of its file"),
    ([*MINIMAL, "--set", "config.script.path=first.lua"], "Leave it out and set scripts.main"),
    ([*MINIMAL, "--set", "config.script.path=../scripts/other.lua"], "The script is to be other.lua"),
    (["--set", "scripts.existingConfigMaps[0].name=mine"], "Set scripts.main to the name of its file"),
    (["--set", "scripts.existingConfigMaps[0].name=mine,scripts.main=jobs/a.lua"],
     "existingConfigMaps: [{name: mine, items: [{key: jobs__a.lua, path: jobs/a.lua}]}]"),
    ([*MINIMAL, "--set", "scripts.inline.lib/a\\.lua=x,scripts.inline.lib__a\\.lua=x"],
     "both become the key lib__a.lua"),
    (["--set-json", 'scripts.existingConfigMaps=[{"name":"mine","items":[{"key":"a","path":"a.lua"}]}]',
      "--set", "scripts.inline.a\\.lua=x,scripts.main=a.lua"], "a.lua is in inline and in mine"),
    (["--set-json", 'scripts.existingConfigMaps=[{"name":"one","items":[{"key":"a","path":"a.lua"}]},'
      '{"name":"two","items":[{"key":"b","path":"a.lua"}]}]', "--set", "scripts.main=a.lua"],
     "a.lua is in one and in two"),
    ([*MINIMAL, "--set", "kind=Job"], "Set job.until to `end`"),
    ([*MINIMAL, "--set", "kind=Job,job.until=latest"], "job.until is latest. Set it to `end`"),
    ([*MINIMAL, "--set", "kind=Job,job.until=end,job.from=end"], "job.from is end. Set it to `earliest`"),
    ([*MINIMAL, "--set", "kind=Job,job.until=end,replicas=2"], "Leave replicas at 1"),
    ([*MINIMAL, "--set", "kind=Job,job.until=end,job.group=first"], "Set job.group to a name of its own"),
    ([*MINIMAL, "--set", "kind=Job,job.until=end,autoscaling.mode=hpa"], "Set autoscaling.mode to none"),
    ([*MINIMAL, "--set", "job.until=end"], "job.until is set, but kind is Deployment"),
    ([*MINIMAL, "--set", "kind=StatefulSet,job.from=earliest,job.group=x"], "job.from, job.group are set, but kind"),
    ([*MINIMAL, "--set", "extraArgs[0]=--until=end"], "Set kind to Job, and job.from and job.until"),
    ([*MINIMAL, "--set", "statefulSet.staticMembership=true"], "Set kind to StatefulSet, or turn it off"),
    ([*MINIMAL, "--set", "checkpoint.claim.enabled=true"], "or name a claim that all pods share"),
    ([*MINIMAL, "--set", "checkpoint.claim.enabled=true,kind=StatefulSet"], "Set config.checkpoint.dir"),
    (["--set", "checkpoint.claim.enabled=true,kind=StatefulSet,existingConfigMap=mine"], "Set checkpoint.dir to what"),
    ([*MINIMAL, "--set", "config.source.kafka.group\\.instance\\.id=one"], "Two pods with one id"),
    ([*MINIMAL, "--set", "kind=StatefulSet,statefulSet.staticMembership=true",
      "--set", "config.source.kafka.group\\.instance\\.id=one"], "which all pods would share"),
    (["-f", helms.CI["inline-scripts"], "--set", "kind=StatefulSet,statefulSet.staticMembership=true"],
     'Write `group.instance.id: "${POD_NAME}"` into source.kafka'),
    ([*MINIMAL, "--set", "autoscaling.mode=hpa,autoscaling.minReplicas=5"], "Set maxReplicas to 5 or more"),
    ([*MINIMAL, "--set", "autoscaling.mode=hpa,autoscaling.minReplicas=0"], "Set it to 1 or more"),
    ([*MINIMAL, "--set", "autoscaling.mode=hpa,resources.requests.cpu=null"], "resources.requests.cpu, which is not set"),
    ([*MINIMAL, "--set", "autoscaling.mode=hpa,autoscaling.hpa.targetCPUUtilizationPercentage=null"],
     "there is nothing to go by"),
    (["--set", "existingConfigMap=mine,autoscaling.mode=keda"], "Set autoscaling.keda.triggers"),
    ([*MINIMAL, "--set", "autoscaling.mode=keda,config.source.kafka.bootstrap\\.servers=${BROKERS}"],
     "KEDA cannot know the brokers"),
    ([*MINIMAL, "--set", "autoscaling.mode=keda,config.source.group=${GROUP}"], "KEDA cannot know the group"),
    ([*MINIMAL, "--set", "autoscaling.mode=keda,config.source.topics[0]=^planets.*"], "cannot know the topics"),
    ([*MINIMAL, "--set", "autoscaling.mode=keda,config.source.topics=null,config.source.stream=planets",
      "--set", "config.streams.config_uri=http://streams"], "they are what streams says"),
    (["-f", helms.CI["keda"], "--set", "autoscaling.keda.authenticationRef="], "TriggerAuthentication with sasl"),
    ([*MINIMAL, "--set", "secrets.kafka=mine", "--set-json",
      'extraObjects=[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"mine"}}]'],
     "extraObjects has the Secret mine, which is mounted"),
    ([*MINIMAL, "--set", "secrets.kafka=mine", "--set-json",
      'extraObjects=["apiVersion: v1\\nkind: Secret\\nmetadata: {name: mine}"]'], "or set hooks.check.enabled to false"),
    ([*MINIMAL, "--set-json", 'config.key={"b":"b","a":"a"}'], "the members of the Kafka key"),
    ([*MINIMAL, "--set", "config.http.upstreams.stars.url=http://stars"], "the first one is the default"),
    ([*MINIMAL, "--set", "existingConfigMap=mine"], "config and existingConfigMap are both set"),
    (["--set", "config=[a: b"], "config is not YAML"),
])
def test_what_contradicts_is_refused_with_what_to_set(helm, arguments, words):
    refusal = helm.refusal(*arguments)
    assert refusal, "it was rendered"
    assert words in refusal


def test_everything_wrong_is_told_at_once(helm):
    refusal = helm.refusal(*MINIMAL, "--set", "config.drain=2m,scripts.main=other.lua,resources.limits.memory=10Mi")
    assert "terminationGracePeriodSeconds" in refusal and "other.lua" in refusal and "It needs 84 MiB" in refusal


def test_a_script_too_large_for_a_config_map_is_refused(helm, tmp_path):
    large = tmp_path / "large.lua"
    large.write_text("-" * 1_000_001)
    assert "do not fit into a ConfigMap" in helm.refusal("--set-file", f"scripts.inline.large\\.lua={large}")


@pytest.mark.parametrize("variable", [
    "config.drain=${DRAIN}", "config.script.memory=${SIZE}", "config.limits.memory=${SIZE}"])
def test_what_only_the_engine_will_know_is_left_to_it(helm, variable):
    assert helm.objects(*MINIMAL, "--set", variable)


def annotations(helm, *arguments):
    return helms.workload(helm.objects(*arguments))["spec"]["template"]["metadata"]["annotations"]


@pytest.mark.parametrize("scripts", ["watch", "restart"])
@pytest.mark.parametrize("config", ["restart", "manual"])
def test_a_checksum_stands_exactly_where_a_change_restarts(helm, scripts, config):
    found = annotations(helm, *MINIMAL, "--set", f"reload.scripts={scripts},reload.config={config}")
    assert ("checksum/scripts" in found) is (scripts == "restart")
    assert ("checksum/config" in found) is (config == "restart")
    text = helms.configuration(helm.objects(*MINIMAL, "--set", f"reload.scripts={scripts}"))
    assert yaml.safe_load(text)["script"]["reload"] == {"watch": "watch", "restart": "off"}[scripts]


def test_a_changed_script_leaves_watching_pods_alone(helm):
    before = helm.objects(*MINIMAL)
    after = helm.objects(*MINIMAL, "--set", "scripts.inline.first\\.lua=return {api = 1}")
    assert before != after
    assert helms.workload(before) == helms.workload(after)


def test_a_changed_script_makes_new_pods_where_it_restarts(helm):
    restart = [*MINIMAL, "--set", "reload.scripts=restart"]
    before = helms.workload(helm.objects(*restart))
    after = helms.workload(helm.objects(*restart, "--set", "scripts.inline.first\\.lua=return {api = 1}"))
    assert before != after


def test_a_changed_configuration_makes_new_pods(helm):
    before, after = annotations(helm, *MINIMAL), annotations(helm, *MINIMAL, "--set", "config.log.level=debug")
    assert before != after


def test_changed_parameters_leave_watching_pods_alone(helm):
    changed = ["--set", "config.script.params.missing=pass"]
    before, after = helm.objects(*MINIMAL), helm.objects(*MINIMAL, *changed)
    assert helms.configuration(before) != helms.configuration(after)
    assert helms.workload(before) == helms.workload(after)
    restart = ["--set", "reload.scripts=restart"]
    assert annotations(helm, *MINIMAL, *restart) != annotations(helm, *MINIMAL, *restart, *changed)


def test_the_order_of_a_key_is_part_of_the_configuration(helm):
    keys = [["--set-json", f"config.key=[{pairs}]"] for pairs in ('{"a":"a"},{"b":"b"}', '{"b":"b"},{"a":"a"}')]
    first, second = [annotations(helm, *MINIMAL, *key) for key in keys]
    assert first != second


def volume(helm, name, *arguments):
    spec = helms.workload(helm.objects(*arguments))["spec"]["template"]["spec"]
    return next((volume for volume in spec["volumes"] if volume["name"] == name), None)


def test_checkpoints_get_a_volume_where_they_are_configured(helm):
    assert volume(helm, "checkpoint", *MINIMAL) is None
    found = helm.objects(*MINIMAL, "--set", "config.checkpoint.dir=/var/lib/millrace")
    mounts = {mount["name"]: mount["mountPath"] for mount in helms.engine(found)["volumeMounts"]}
    assert mounts["checkpoint"] == "/var/lib/millrace"
    claim = ["--set", "config.checkpoint.dir=/var/lib/millrace",
             "--set", "checkpoint.volume.emptyDir=null,checkpoint.volume.persistentVolumeClaim.claimName=kept"]
    assert volume(helm, "checkpoint", *MINIMAL, *claim)["persistentVolumeClaim"] == {"claimName": "kept"}


def test_checkpoints_on_a_volume_of_the_users_get_no_other(helm):
    own = ["--set", "config.checkpoint.dir=/state/millrace", "--set-json",
           'extraVolumeMounts=[{"name":"state","mountPath":"/state"}]', "--set-json",
           'extraVolumes=[{"name":"state","persistentVolumeClaim":{"claimName":"state"}}]']
    assert volume(helm, "checkpoint", *MINIMAL, *own) is None
    assert volume(helm, "state", *MINIMAL, *own)


def test_a_config_map_of_the_users_is_mounted_as_it_is(helm):
    objects = helm.objects("--set", "existingConfigMap=mine")
    assert helms.configuration(objects) is None
    assert volume(helm, "config", "--set", "existingConfigMap=mine") == {"name": "config", "configMap": {"name": "mine"}}
    assert "checksum/config" not in annotations(helm, "--set", "existingConfigMap=mine")


def test_without_replicas_an_autoscaler_decides(helm):
    assert "replicas" not in helms.workload(helm.objects("--set", "replicas=null"))["spec"]
    assert helms.workload(helm.objects("--set", "replicas=0"))["spec"]["replicas"] == 0


def spec(helm, *arguments):
    return helms.workload(helm.objects(*arguments))["spec"]


def test_pods_with_lasting_names_keep_their_place_in_the_group_and_their_volume(helm):
    objects = helm.objects("-f", helms.CI["static-members"])
    found = helms.workload(objects)["spec"]
    service, = helms.of_kind(objects, "Service")
    assert found["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"] is True
    assert found["podManagementPolicy"] == "Parallel"
    assert found["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Delete"}
    claim, = found["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "checkpoint"
    assert claim["spec"]["resources"]["requests"]["storage"] == "256Mi"
    assert {mount["name"]: mount["mountPath"] for mount in helms.engine(objects)["volumeMounts"]}["checkpoint"] == \
        "/var/lib/millrace"
    config = yaml.safe_load(helms.configuration(objects))
    assert config["source"]["kafka"]["group.instance.id"] == "${POD_NAME}"
    assert "group.instance.id" not in config["sink"]["kafka"]
    assert helms.engine(objects)["env"] == [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def test_other_pods_get_no_lasting_name(helm):
    assert "POD_NAME" not in json.dumps(helm.objects(*MINIMAL, "--set", "kind=StatefulSet"))
    assert "volumeClaimTemplates" not in spec(helm, *MINIMAL, "--set", "kind=StatefulSet")


def test_only_the_engine_mounts_its_checkpoints(helm):
    """A pod that checks would wait for a volume that another node has, or touch what is the engine's."""
    claim = ["--set", "config.checkpoint.dir=/var/lib/millrace,tests.enabled=true",
             "--set", "checkpoint.volume.emptyDir=null,checkpoint.volume.persistentVolumeClaim.claimName=kept"]
    objects = helm.objects(*MINIMAL, *claim)
    users = [labels["app.kubernetes.io/component"] for labels, _, found in helms.pods(objects)
             if "kept" in json.dumps(found)]
    assert users == ["engine"]


def test_a_bounded_run_is_a_job_that_goes_on_where_it_failed(helm):
    objects = helm.objects("-f", helms.CI["backfill-job"])
    found = helms.workload(objects)
    assert found["kind"] == "Job"
    arguments = helms.engine(objects)["args"]
    group = arguments[arguments.index("--group") + 1]
    assert group.startswith("enrich-millrace-")
    assert arguments == ["run", "-c", "/etc/millrace/config/millrace.yaml", "--group", group, "--from",
                         "2026-10-01T00:00:00Z", "--until", "2026-11-01T00:00:00Z", "--resume", "--json"]
    assert found["spec"]["backoffLimit"] == 20 and found["spec"]["ttlSecondsAfterFinished"] == 604800
    assert found["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    fails = [rule for rule in found["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert fails[0]["onExitCodes"]["values"] == [2, 78]
    assert not [item for kind in ("PodDisruptionBudget", "Service") for item in helms.of_kind(objects, kind)]
    assert "podFailurePolicy" not in spec(helm, "-f", helms.CI["backfill-job"], "--set", "job.restartPolicy=OnFailure")


def test_other_bounds_are_another_run(helm):
    """Its pods cannot be changed, so it has another name; and its group is another, or it would be at its end already."""
    def run(*arguments):
        objects = helm.objects("-f", helms.CI["backfill-job"], *arguments)
        arguments = helms.engine(objects)["args"]
        return helms.workload(objects)["metadata"]["name"], arguments[arguments.index("--group") + 1]

    first, same = run(), run("--set", "job.backoffLimit=3")
    assert first == same
    assert not set(first) & set(run("--set", "job.until=end"))
    assert run("--set", "job.group=mine")[1] == "mine"


def test_an_autoscaler_by_cpu_steps_down_slowly(helm):
    scaler, = helms.of_kind(helm.objects("-f", helms.CI["hpa"]), "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 6)
    assert scaler["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    down = scaler["spec"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 300 and down["policies"][0]["value"] == 1


def test_keda_asks_for_the_lag_of_the_group_in_each_topic(helm):
    scaled, = helms.of_kind(helm.objects("-f", helms.CI["keda"]), "ScaledObject")
    triggers = scaled["spec"]["triggers"]
    assert [trigger["metadata"]["topic"] for trigger in triggers] == ["eqiad.page_change", "codfw.page_change"]
    for trigger in triggers:
        assert trigger["type"] == "kafka" and trigger["authenticationRef"] == {"name": "kafka-lag"}
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert trigger["metadata"]["consumerGroup"] == "by-lag.eqiad"
        assert trigger["metadata"]["lagThreshold"] == "5000"
        assert trigger["metadata"]["offsetResetPolicy"] == "latest"
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert behavior["stabilizationWindowSeconds"] >= 300
    assert behavior["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


def test_keda_takes_triggers_as_they_are_and_a_stream_by_its_topic(helm):
    own = ["--set-json", 'autoscaling.keda.triggers=[{"type":"cron"}]', "--set", "autoscaling.mode=keda"]
    scaled, = helms.of_kind(helm.objects(*MINIMAL, *own), "ScaledObject")
    assert scaled["spec"]["triggers"] == [{"type": "cron"}]
    stream = ["--set", "autoscaling.mode=keda,config.source.topics=null,config.source.stream=planets",
              "--set", "config.topic_prefix=eqiad."]
    scaled, = helms.of_kind(helm.objects(*MINIMAL, *stream), "ScaledObject")
    assert scaled["spec"]["triggers"][0]["metadata"]["topic"] == "eqiad.planets"
    assert scaled["spec"]["triggers"][0]["metadata"]["consumerGroup"] == "first"


@pytest.mark.parametrize("mode", ["hpa", "keda", "external"])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_who_scales_says_how_many(helm, mode, kind):
    assert "replicas" not in spec(helm, *MINIMAL, "--set", f"autoscaling.mode={mode},kind={kind},replicas=3")


def hook(helm, event, *arguments):
    return helms.hook_job(helm.objects(*arguments), event)


def test_the_hook_after_a_release_expects_what_the_config_map_has(helm):
    objects = helm.objects("-f", helms.CI["hpa"])
    scripts = next(item["data"] for item in helms.of_kind(objects, "ConfigMap")
                   if item["metadata"]["name"] == "enrich-millrace-scripts")
    container, = helms.hook_job(objects, "post-rollback")["spec"]["template"]["spec"]["containers"]
    expected = {argument for argument in container["args"] if argument.startswith("--expect=")}
    assert expected == {f"--expect={name}={hashlib.sha256(scripts[key].encode()).hexdigest()}" for name, key in (
        ("double.lua", "double.lua"), ("lib/arithmetic.lua", "lib__arithmetic.lua"))}
    assert {"--read-only", "--all", "--at-least=2", "--url=http://enrich-millrace-pods:9464"} <= set(container["args"])


@pytest.mark.parametrize("arguments", [
    [], ["--set", "reload.scripts=restart"], ["--set", "hooks.reload.enabled=false"], ["--set", "replicas=0"],
    ["--set", "kind=Job,job.until=end"], ["--set", "config.script.reload=signal"],
    ["--set", "autoscaling.mode=keda,autoscaling.minReplicas=0"]])
def test_it_waits_only_where_the_engine_takes_scripts_that_the_chart_knows(helm, arguments):
    values = MINIMAL if arguments else ["-f", helms.CI["existing-scripts"]]
    assert hook(helm, "post-upgrade", *MINIMAL)
    assert hook(helm, "post-upgrade", *values, *arguments) is None


def test_the_checks_before_a_release_can_be_turned_off(helm):
    assert hook(helm, "pre-install", *MINIMAL, "--set", "hooks.check.enabled=false") is None
    mine = ["--set", "secrets.kafka=mine,hooks.check.enabled=false", "--set-json",
            'extraObjects=[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"mine"}}]']
    assert helm.objects(*MINIMAL, *mine)


def test_a_fenced_pod_may_still_be_looked_at_after_a_release(helm):
    fenced = ["--set", "networkPolicy.enabled=true", "--set-json", 'networkPolicy.ingress.from=[{"podSelector":{}}]']
    policy, = helms.of_kind(helm.objects(*MINIMAL, *fenced), "NetworkPolicy")
    pods = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "millrace", "app.kubernetes.io/instance": "enrich"}}}
    assert pods in policy["spec"]["ingress"][0]["from"]
    assert {"ports": [{"port": 9464, "protocol": "TCP"}], "to": [pods]} in policy["spec"]["egress"]


def test_a_digest_wins_over_a_tag(helm):
    digest = "sha256:" + "0" * 64
    objects = helm.objects("--set", f"image.repository=r.example/millrace,image.tag=v1,image.digest={digest}")
    assert helms.engine(objects)["image"] == f"r.example/millrace@{digest}"


def test_a_network_policy_lets_out_what_was_named_and_nothing_else(helm):
    policy, = helms.of_kind(helm.objects("-f", helms.CI["network-policy"]), "NetworkPolicy")
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == ["admin"]
    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[53, 53], [9092], [8080]]
    assert helms.of_kind(helm.objects(), "NetworkPolicy") == []


def test_constraints_of_topology_find_the_pods_by_themselves(helm):
    found = helms.workload(helm.objects("-f", helms.CI["wmf-like"]))["spec"]
    constraint, = found["template"]["spec"]["topologySpreadConstraints"]
    assert constraint["labelSelector"] == found["selector"]


def test_what_is_more_is_passed_on(helm):
    objects = helm.objects("-f", helms.CI["network-policy"])
    names = [item["metadata"]["name"] for item in objects]
    assert "more" in names and "enrich-templated" in names
    more = next(item for item in objects if item["metadata"]["name"] == "more")
    assert more["data"]["text"] == "{{ not a template }}"
    assert helms.engine(objects)["env"] == [{"name": "TZ", "value": "UTC"}]
    assert helms.engine(objects)["args"][-1] == "--strict-drain"


def test_the_longest_names_still_fit(helm):
    for item in helm.objects("--set", "fullnameOverride=" + "a" * 80, "-f", helms.CI["inline-scripts"]):
        assert len(item["metadata"]["name"]) <= 63


def test_the_notes_tell_the_next_step(helm):
    notes = helm.notes()
    assert "runs the example job" in notes
    for step in ("rollout status", "helm test enrich -n jobs", "port-forward", "/metrics", "reload --wait",
                 "helm rollback"):
        assert step in notes
    assert "example job" not in helm.notes(*MINIMAL)
    assert "reload --wait" not in helm.notes(*MINIMAL, "--set", "reload.scripts=restart")
    assert "sts/enrich-millrace" in helm.notes("-f", helms.CI["static-members"])
    assert "deploy/" not in helm.notes("-f", helms.CI["static-members"])
    job = helm.notes("-f", helms.CI["backfill-job"])
    assert "kubectl wait -n jobs --for=condition=complete job/enrich-millrace-" in job and "rollout" not in job
    assert "at most 12" in helm.notes("-f", helms.CI["keda"])
    assert "hooks.reload" in helm.notes(*MINIMAL)
    assert "hooks.reload" not in helm.notes("-f", helms.CI["existing-scripts"])


def test_the_readme_has_the_values_as_they_are(accept):
    if accept:
        values_table.README.write_text(values_table.renewed())
    assert values_table.README.read_text() == values_table.renewed(), "run make chart UPDATE=1"


def test_every_value_is_described():
    assert values_table.undescribed() == []


def test_prometheus_finds_the_metrics(helm):
    found = annotations(helm, "--set", "admin.port=9000")
    assert {name.partition("/")[2]: text for name, text in found.items() if name.startswith("prometheus.io/")} == {
        "scrape": "true", "port": "9000", "path": "/metrics"}
    assert not [name for name in annotations(helm, "--set", "metrics.annotations=false") if "prometheus" in name]
    monitor, = helms.of_kind(helm.objects("-f", helms.CI["kafka-tls-sasl"]), "PodMonitor")
    endpoint, = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("admin", "/metrics")


def test_only_the_engine_can_read_secrets(helm):
    """Mode 0440: root, and by fsGroup the engine."""
    assert volume(helm, "secret-kafka", "-f", helms.CI["kafka-tls-sasl"])["secret"] == {
        "secretName": "kafka-credentials", "defaultMode": 0o440}

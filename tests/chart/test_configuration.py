"""The rendered configuration and scripts, laid out as in a pod, under the real `millrace check`."""

import pytest
import yaml

import helm as helms
import kubelet


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return kubelet.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def pod(tmp_path, tls):
    """Lays out the Deployment's pod; gives the folder that stands for its root."""
    scripts = helms.ROOT / "scripts"
    certificate, key = tls
    config_maps = {
        "my-scripts": {"page_content_change.lua": (scripts / "page_content_change.lua").read_text()},
        "my-library": {"mediawiki.lua": (scripts / "lib/mediawiki.lua").read_text()},
        "my-config": {"millrace.yaml": (helms.HERE / "golden/default.yaml").read_text()},
    }
    secrets = {
        "kafka-credentials": {"password": "hunter2\n", "ca.crt": certificate},
        "api-client-certificate": {"ca.crt": certificate, "tls.crt": certificate, "tls.key": key},
        "millrace-admin": {"token": "open sesame"},
    }

    def lay_out(objects, spec=None):
        spec = spec or helms.workload(objects)["spec"]["template"]["spec"]
        kubelet.mount_pod(tmp_path, spec, kubelet.Cluster(objects, config_maps, secrets))
        authorities = tmp_path / "etc/ssl/certs"
        authorities.mkdir(parents=True)
        (authorities / "wmf-ca-certificates.crt").write_text(certificate)
        return tmp_path

    return lay_out


def config_path(objects):
    arguments = helms.engine(objects)["args"]
    return arguments[arguments.index("-c") + 1]


def test_the_engine_accepts_configuration_and_script(objects, pod, millrace):
    code, said = kubelet.run_check(millrace, pod(objects), config_path(objects))
    assert code == 0, said


def test_the_test_pod_checks_what_the_engine_runs(objects):
    for test in helms.of_kind(objects, "Pod"):
        container = test["spec"]["containers"][0]
        assert container["image"] == helms.engine(objects)["image"]
        assert container["args"][0] == "check"
        assert container["args"][-1] == config_path(objects)
        assert container["volumeMounts"] == helms.engine(objects)["volumeMounts"]
        # Not hook-succeeded: the pod would be gone before `helm test --logs` asks for its log.
        assert test["metadata"]["annotations"] == {
            "helm.sh/hook": "test", "helm.sh/hook-delete-policy": "before-hook-creation"}


def run_hook(millrace, root, job):
    """What a kubelet would run, in its order: [(container, exit code, what it said)] up to the first failure."""
    spec = job["spec"]["template"]["spec"]
    path = kubelet.move_configuration(root, "/etc/millrace/config/millrace.yaml")
    done = []
    for container in helms.containers(spec):
        if container.get("restartPolicy") == "Always":
            continue
        arguments = [path if argument == "/etc/millrace/config/millrace.yaml" else argument
                     for argument in container["args"]]
        done.append((container["name"], *kubelet.run(millrace, root, arguments)))
        if done[-1][1] != 0:
            break
    return done


def test_the_hook_before_a_release_lets_what_is_good_pass(objects, pod, millrace):
    job = helms.hook_job(objects, "pre-upgrade")
    root = pod(objects, job["spec"]["template"]["spec"])
    done = run_hook(millrace, root, job)
    assert [code for _, code, _ in done] == [0] * len(done), done
    assert done[-1][0] == "check"
    mounted = "scripts" in [volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]]
    assert (done[0][0] == "test") is mounted


@pytest.mark.parametrize("name, text, container, code, words", [
    ("double.lua", "return {\n  api = 1,\n  transform = function(event) return event en\n}\n", "test", 78,
     "double.lua:3"),
    ("lib/arithmetic.lua", "return {double = function(number) return number * 3 end}\n", "test", 1, "1 failed"),
    ("double_test.yaml", "tests: []\nunheard: of\n", "test", 78, "double_test.yaml:2"),
])
def test_the_hook_before_a_release_stops_a_bad_script(
        helm, pod, millrace, tmp_path_factory, name, text, container, code, words):
    bad = tmp_path_factory.mktemp("bad") / "file"
    bad.write_text(text)
    objects = helm.objects("-f", helms.CI["hpa"], "--set-file", f"scripts.inline.{name.replace('.', chr(92) + '.')}={bad}")
    job = helms.hook_job(objects, "pre-install")
    done = run_hook(millrace, pod(objects, job["spec"]["template"]["spec"]), job)
    assert (done[-1][0], done[-1][1]) == (container, code) and words in done[-1][2], done


@pytest.mark.parametrize("wrong, words", [
    ("config.unheard=of", "unknown key 'unheard'"),
    ("config.source.kafka.bootstrap\\.serverz=x", "bootstrap.serverz"),
])
def test_the_hook_before_a_release_stops_a_bad_configuration(helm, pod, millrace, wrong, words):
    objects = helm.objects("-f", helms.CI["minimal"], "--set", wrong)
    job = helms.hook_job(objects, "pre-install")
    done = run_hook(millrace, pod(objects, job["spec"]["template"]["spec"]), job)
    assert (done[-1][0], done[-1][1]) == ("check", 78) and words in done[-1][2], done


def test_tests_in_a_folder_are_run_by_the_hook_too(helm, pod, millrace, tmp_path_factory):
    test = tmp_path_factory.mktemp("tests") / "inner_test.yaml"
    test.write_text("tests:\n  - name: an inner script\n    event: {id: 1}\n    expect: {output: {id: 2}}\n")
    objects = helm.objects("-f", helms.CI["hpa"], "--set-file", f"scripts.inline.jobs/inner_test\\.yaml={test}",
                           "--set-file", f"scripts.inline.jobs/inner\\.lua={helms.ROOT / 'scripts/passthrough.lua'}")
    job = helms.hook_job(objects, "pre-install")
    name, code, said = run_hook(millrace, pod(objects, job["spec"]["template"]["spec"]), job)[-1]
    assert (name, code) == ("test", 1) and "an inner script" in said and "1 passed, 1 failed" in said


def test_a_broken_script_is_told_by_file_and_line(helm, pod, millrace, tmp_path_factory):
    broken = tmp_path_factory.mktemp("broken") / "enrich.lua"
    broken.write_text("return {\n  api = 1,\n  transform = function(event) return event en\n}\n")
    objects = helm.objects("--set-file", f"scripts.inline.enrich\\.lua={broken}")
    code, said = kubelet.run_check(millrace, pod(objects), config_path(objects))
    assert code == 78
    assert "etc/millrace/scripts/enrich.lua:3" in said


def test_scripts_arrive_to_the_byte(helm, pod, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    texts = {
        "main.lua": "return { '{{ .Values.image }}', \"${HOME}\", 'ü', '\\n\\t' } -- no end of line",
        "lib/tabs.lua": "\t-- begins with a tab\n\n\n  return 1\n",
        "lib/deep/crlf.lua": "\r\nreturn 1\r\n\r\n",
        "lib/spaces.lua": "   return 1   \n  \n",
        "lib/yaml.lua": "--- # not: [a, document]\n--- ...\n%!& *x\n",
    }
    arguments = ["--set", "scripts.main=main.lua"]
    for number, (name, text) in enumerate(texts.items()):
        file = folder / str(number)
        file.write_bytes(text.encode())
        arguments += ["--set-file", f"scripts.inline.{name.replace('.', chr(92) + '.')}={file}"]
    root = pod(helm.objects(*arguments))
    for name, text in texts.items():
        assert (root / "etc/millrace/scripts" / name).read_bytes() == text.encode(), name


def test_a_configuration_file_is_taken_as_it_is(helm, tmp_path):
    text = (helms.ROOT / "helm/millrace/ci/inline-scripts-values.yaml").read_text()
    text = yaml.safe_load(text)["config"].replace("9999", "9464").replace("enrich.lua", "page_content_change.lua") \
        .replace("/etc/millrace/scripts", "/usr/share/millrace/scripts")
    file = tmp_path / "millrace.yaml"
    file.write_text(text)
    objects = helm.objects("--set-file", f"config={file}")
    assert helms.configuration(objects) == text


def test_lists_of_pairs_become_maps_in_their_order(helm):
    objects = helm.objects("-f", helms.CI["existing-scripts"])
    config = yaml.safe_load(helms.configuration(objects))
    assert list(config["key"].items()) == [("wiki_id", "wiki_id"), ("page_id", "page.page_id")]
    assert list(config["http"]["upstreams"]) == ["mediawiki", "archive"]
    assert list(config["sinks"]) == ["content", "audit"]
    assert list(config["sinks"]["content"]["key"]) == ["wiki_id", "page_id"]


def test_script_parameters_keep_their_shape(helm):
    """Only where the engine wants a map in order is a list made one: never in what belongs to the script."""
    params = ('{"key":[{"a":1},{"b":2}],"sinks":[{"c":3}],"big":123456789012,"ratio":1.5,"empty":{},"none":[],'
              '"text":"1e3"}')
    objects = helm.objects("-f", helms.CI["minimal"], "--set-json", f"config.script.params={params}")
    assert yaml.safe_load(helms.configuration(objects))["script"]["params"] == yaml.safe_load(params)
    assert "big: 123456789012\n" in helms.configuration(objects)


@pytest.mark.parametrize("script, body", [("128MiB", "56MiB"), ("8MiB", "1MiB"), ("300MB", "10MB")])
def test_chart_and_engine_agree_on_the_least_memory(helm, pod, millrace, script, body):
    """The chart tells the least limit; with it 70 % satisfy the engine, and with one MiB less they do not."""
    base = ["-f", helms.CI["minimal"], "--set", f"config.script.memory={script}",
            "--set", f"config.http.upstreams.planets.max_body={body}"]
    words = helm.refusal(*base, "--set", "resources.limits.memory=10Mi").split()
    least = int(words[words.index("resources.limits.memory", words.index("Set")) + 2].removesuffix("Mi"))
    assert helm.refusal(*base, "--set", f"resources.limits.memory={least - 1}Mi")
    root = pod(helm.objects(*base, "--set", f"resources.limits.memory={least}Mi"))
    path = config_path(helm.objects(*base, "--set", f"resources.limits.memory={least}Mi"))
    file = root / path.lstrip("/")
    text = file.read_text()
    for limit, good in ((least, True), (least - 1, False)):
        file.write_text(f"{text}limits: {{memory: {limit * 1048576 // 10 * 7}B}}\n")
        code, said = kubelet.run_check(millrace, root, path)
        assert (code == 0) is good, said

"""The other verbs: check, config, demo, version, usage."""

import json
import re

import pytest

from engine import ROOT, SCRIPT, Metrics, run, until

GOOD = f"""\
name: tests-commands
topic_prefix: eqiad.
source:
  topics: [eqiad.mediawiki.page_change.v1]
  kafka: {{bootstrap.servers: "localhost:9092"}}
script: {{path: {SCRIPT}, params: {{missing: fail}}}}
http:
  user_agent: "millrace-tests/1.0 (tests@example.org)"
  upstreams:
    mediawiki: {{url: "http://localhost:6500/w/api.php"}}
key: {{wiki_id: wiki_id, page_id: page.page_id}}
sink: {{stream: mediawiki.page_content_change.v1, kafka: {{bootstrap.servers: "localhost:9092"}}}}
errors: {{stream: tests_commands.error, emitter_id: tests_commands}}
"""


def checked(tmp_path, text, code=78, env=None):
    path = tmp_path / "millrace.yaml"
    path.write_text(text)
    result = run("check", path, check=code, env=env)
    return (result.stdout + result.stderr).decode()


def test_check_accepts_a_good_file(tmp_path):
    checked(tmp_path, GOOD, 0)


BAD = {
    "an unknown key": ("key:", "keys:", 11, "key"),
    "a key twice": ("name: tests-commands", "name: tests-commands\nname: again", 2, "name"),
    "a number without unit": ("http:\n", "drain: 25\nhttp:\n", 7, "unit"),
    "an unknown librdkafka property": ("{bootstrap.servers: \"localhost:9092\"}\nscript", "{bootstrap.servers: x, fetch.wait.max.msec: 5}\nscript", 5, "fetch.wait.max.ms"),
    "a reserved librdkafka property": ("{bootstrap.servers: \"localhost:9092\"}\nscript", "{bootstrap.servers: x, enable.auto.commit: true}\nscript", 5, "enable.auto.commit"),
    "no YAML": ("source:", "source: [", None, ""),
    "a script that is not there": (str(SCRIPT), "scripts/none.lua", 6, "none.lua"),
    "an enumeration": ("key:", "order: sometimes\nkey:", 11, "partition"),
}


@pytest.mark.parametrize("name", BAD)
def test_check_names_the_line_of_what_is_wrong(tmp_path, name):
    old, new, line, hint = BAD[name]
    assert old in GOOD
    said = checked(tmp_path, GOOD.replace(old, new, 1))
    assert re.search(r"millrace\.yaml:\d+", said), said
    if line:
        assert f"millrace.yaml:{line}:" in said, said
    assert hint in said, said


def test_check_says_what_a_bad_script_says(tmp_path):
    script = tmp_path / "broken.lua"
    script.write_text("local x = \nreturn {}\n")
    said = checked(tmp_path, GOOD.replace(str(SCRIPT), str(script)))
    assert "broken.lua:2" in said, said


def test_a_script_that_asks_nothing_needs_no_upstream_and_one_that_may_ask_is_told(tmp_path):
    http = GOOD[GOOD.index("http:"):GOOD.index("key:")]
    script = tmp_path / "quiet.lua"
    script.write_text("return {api = 1, transform = function(event) return event end}\n")
    said = checked(tmp_path, GOOD.replace(http, "").replace(str(SCRIPT), str(script)), 0)
    assert "0 warnings" in said, said
    said = checked(tmp_path, GOOD.replace(http, ""), 0)
    assert "1 warning" in said and "no upstream" in said and "http.upstreams" in said, said


def test_every_shipped_script_loads_where_it_lies():
    scripts = sorted(SCRIPT.parent.glob("*.lua"))
    run("check", *(path for path in scripts if path.stem != "http_lookup"), check=0)
    refused = run("check", SCRIPT.parent / "http_lookup.lua", check=78)  # it is made of its params
    assert b"params.path must begin with '/'" in refused.stdout + refused.stderr


def test_check_on_a_file_that_is_not_there(tmp_path):
    result = run("check", tmp_path / "none.yaml")
    assert result.returncode in (66, 78) and b"none.yaml" in result.stdout + result.stderr


def test_variables_come_from_the_environment_and_a_demanded_one_is_demanded(tmp_path):
    text = GOOD.replace("eqiad.mediawiki.page_change.v1", '"${DC:?the data centre}.mediawiki.page_change.v1"')
    assert "the data centre" in checked(tmp_path, text)
    checked(tmp_path, text, 0, env={"DC": "codfw"})


def test_config_show_prints_what_holds_and_hides_secrets(tmp_path):
    path = tmp_path / "millrace.yaml"
    path.write_text(GOOD.replace('{bootstrap.servers: "localhost:9092"}\nscript',
                                 '{bootstrap.servers: "localhost:9092", sasl.password: hunter2}\nscript'))
    shown = run("config", "show", "-c", path, check=0).stdout.decode()
    assert "hunter2" not in shown and "<redacted>" in shown
    assert "tests-commands" in shown and "# default" in shown and "millrace.yaml:" in shown


def test_run_with_a_bad_configuration_exits_78(tmp_path):
    path = tmp_path / "millrace.yaml"
    path.write_text("name: x\n")
    result = run("run", "-c", path, check=78)
    assert b"millrace.yaml" in result.stderr


def test_usage_errors_exit_2_and_help_exits_0():
    assert run("frobnicate", check=2).stderr
    assert run(check=None).returncode == 2
    assert run("run", "--no-such-option", check=2).stderr
    for arguments in (["--help"], ["run", "--help"], ["enrich", "--help"], ["check", "--help"]):
        assert b"millrace" in run(*arguments, check=0).stdout
    assert b"did you mean" in run("enrihc", check=2).stderr


def test_version_says_what_runs():
    said = run("version", check=0).stdout.decode()
    assert re.search(r"millrace \d+\.\d+", said)
    assert "librdkafka" in said and "LuaJIT" in said


def test_health_tells_alive_from_ready_from_nobody(job, stub):
    j = job(change={"source": {"topics": ["not.there.yet"]}})
    j.start(ready=False)
    url = f"http://127.0.0.1:{j.port}"
    until("it is alive", lambda: run("health", "--url", url).returncode == 0, story=j.story)
    said = run("health", "--url", url, "--ready", check=1).stderr.decode()
    assert "[-] source" in said, said
    assert not run("health", "--url", url, "--ready", "--quiet", check=1).stderr
    j.stop()
    assert "refused" in run("health", "--url", url, check=69).stderr.decode()
    run("health", "--timeout", "5", check=2)


def test_metrics_lists_what_an_engine_exports(job, stub):
    declared = {m["name"]: m for m in json.loads(run("metrics", "--json", check=0).stdout)}
    assert declared["millrace_events_total"]["labels"] == "outcome" and declared["millrace_events_total"]["type"] == "counter"
    j = job()
    j.start()
    j.metrics()
    text = j.get("/metrics")[1]
    exported = {name: kind for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
                if name in declared or not name.startswith("millrace_user_")}  # those are the script's
    assert len(exported) > 40 and not set(exported) - set(declared)
    assert all(declared[name]["type"] == kind for name, kind in exported.items())
    table = run("metrics", "--markdown", check=0).stdout.decode().splitlines()
    assert len(table) == len(declared) + 2
    assert len(run("metrics", check=0).stdout.decode().splitlines()) == len(declared)


def test_demo_shows_the_pipeline_and_its_counters_add_up():
    result = run("demo", "--events", "200", check=0, timeout=180, env={"CI": "true"})
    said = (result.stdout + result.stderr).decode()
    counts = {}
    for word in ("taken", "enriched", "passed", "dropped", "failed"):
        found = re.findall(rf"(?:{word}\W+(\d[\d,]*)|(\d[\d,]*)\s+{word})", said, re.I)
        assert found, f"the demo does not say how many were {word}:\n{said[-3000:]}"
        counts[word] = int("".join(found[-1]).replace(",", ""))
    assert counts["taken"] == 200, counts
    assert counts["taken"] == sum(n for word, n in counts.items() if word != "taken"), counts
    assert counts["enriched"] > 0 and counts["failed"] > 0, counts

"""The alerts: each fires and is silent when stories.yaml says so, and each has a page for who is called."""

import re
import subprocess

import pytest
import yaml

import helm as helms
import promql

RULES = helms.CHART / "rules/millrace.yaml"
RUNBOOKS = helms.ROOT / "helm/runbooks"
THRESHOLDS = yaml.safe_load((helms.CHART / "values.yaml").read_text())["metrics"]["prometheusRule"]["thresholds"]
PAGES = {"MillraceDown", "MillraceNoPartitions", "MillraceNoOutput", "MillraceStalled", "MillracePaused",
         "MillraceSourceGap", "MillraceScriptNotLoaded"}


class Texts(yaml.SafeLoader):
    """Every scalar is a text: 0x10 is no number, but ten samples more of 0. What is left is `<<`."""

    yaml_implicit_resolvers = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}


STORIES = yaml.load((helms.HERE / "stories.yaml").read_text(), Texts)


def alerts_of(groups):
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


ALERTS = alerts_of(yaml.safe_load(RULES.read_text())["groups"])


# ---------------------------------------------------------------- stories as promtool's unit tests


def series(name, values):
    """name{a="b"} with the labels of a target."""
    name, _, labels = name.rstrip("}").partition("{")
    given = labels.split(",") if labels else []
    for label in ('job="millrace"', 'instance="a"'):
        if not any(one.startswith(label.partition("=")[0] + "=") for one in given):
            given.append(label)
    values = re.sub(r"\b0x", "0+0x", values)  # which promtool takes for a hexadecimal number
    return {"series": f"{name}{{{','.join(given)}}}", "values": values}


def said(template, words):
    """The template with the next of `words` in the place of each {{ }}."""
    return re.sub(r"{{.*?}}", lambda _: next(words), template)


def expected(story):
    alert = ALERTS[story["fires"]]
    words = iter(story.get("says", []))
    annotations = dict(alert["annotations"])
    for name in ("summary", "description"):
        annotations[name] = said(annotations[name], words)
    assert not list(words), f"{story['story']}: more is said than there are places for it"
    return {"exp_labels": {"job": "millrace", **alert["labels"], **story.get("labels", {})}, "exp_annotations": annotations}


def unit_test(story):
    fires = story.get("fires")
    at = story["at"] if isinstance(story["at"], list) else [story["at"]]
    names = [fires] if fires else ALERTS if story["silent"] == "all" else [story["silent"]]
    checks = [{"eval_time": time, "alertname": name, "exp_alerts": [expected(story)] if fires else []}
              for name in names for time in at]
    return {"name": story["story"], "interval": "1m", "alert_rule_test": checks,
            "input_series": [series(*item) for item in story["series"].items()]}


def judge(folder, stories, rules=ALERTS):
    """What promtool says of the rules in these stories; nothing when they are as told."""
    asked = {check["alertname"] for story in stories for check in unit_test(story)["alert_rule_test"]}
    group = {"name": "asked", "rules": [rule for name, rule in rules.items() if name in asked]}
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    test = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [unit_test(story) for story in stories]}
    (folder / "test.yaml").write_text(yaml.safe_dump(test, sort_keys=False))
    done = promql.promtool("test", "rules", folder / "test.yaml")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def told_of(name):
    return [story for story in STORIES if name in (story.get("fires"), story.get("silent"))]


def test_prometheus_takes_the_rules():
    done = promql.promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_and_is_silent_when_it_should(tmp_path, name):
    stories = told_of(name)
    assert [story for story in stories if "fires" in story] and [story for story in stories if "silent" in story]
    fault = judge(tmp_path, stories)
    assert not fault, fault


@pytest.mark.parametrize("story", [story for story in STORIES if story.get("silent") == "all"],
                         ids=lambda story: story["story"])
def test_all_are_silent_where_all_is_well(tmp_path, story):
    fault = judge(tmp_path, [story])
    assert not fault, fault


def test_every_expression_asks_for_what_is_exported(millrace):
    series = promql.exported(millrace)
    assert [(name, fault) for name, alert in ALERTS.items() for fault in promql.unknown(alert["expr"], series)] == []


def test_no_story_tells_of_an_alert_that_is_gone():
    assert {story.get("fires") or story["silent"] for story in STORIES} == {*ALERTS, "all"}


# ---------------------------------------------------------------- thresholds


def marks(name):
    return [alert["alert"] for alert in ALERTS.values() if re.search(rf"# thresholds\.{name}\b", alert["expr"])]


def with_threshold(name, value):
    text, count = re.subn(rf"[0-9.]+(\s+# thresholds\.{name}\b)", rf"{value}\1", RULES.read_text())
    assert count
    return alerts_of(yaml.safe_load(text)["groups"])


def test_every_threshold_is_a_value_and_every_value_a_threshold():
    found = re.findall(r"([0-9.]+)\s+# thresholds\.(\w+)", RULES.read_text())
    assert {name: float(number) for number, name in found} == THRESHOLDS


# What a threshold is moved to, so that nothing, or anything, is beyond it.
NEVER = {"objective": -1, "burnRate": 1e9}
ALWAYS = {"objective": 1}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_is_held_from_both_sides(tmp_path, name):
    """Where it is moved far away, the alert's stories do not come true any more."""
    stories = [story for alert in marks(name) for story in told_of(alert)]
    assert judge(tmp_path, stories, with_threshold(name, NEVER.get(name, 10**9))), "it can be as high as it likes"
    assert judge(tmp_path, stories, with_threshold(name, ALWAYS.get(name, -1))), "it can be as low as it likes"


# ---------------------------------------------------------------- the chart's PrometheusRule

ON = ("--set", "metrics.prometheusRule.enabled=true")


def rendered(helm, *arguments):
    rule, = helms.of_kind(helm.objects(*ON, *arguments), "PrometheusRule")
    return alerts_of(rule["spec"]["groups"])


def test_the_chart_makes_none_unless_asked(helm):
    assert not helms.of_kind(helm.objects(), "PrometheusRule")


def test_the_chart_renders_the_rules_as_they_are(helm):
    found = rendered(helm, "--set-json", 'metrics.prometheusRule.selector="job=\\"millrace\\""')
    for alert in found.values():
        assert alert["labels"].pop("namespace") == "jobs" and alert["labels"].pop("release") == "enrich"
    assert found == ALERTS


def test_the_charts_rules_are_of_its_own_pods(helm, tmp_path):
    found = rendered(helm)
    for alert in found.values():
        series = re.findall(r"\b(?:millrace_|process_|up\b)\w*({.*?})", alert["expr"])
        assert series and all(matchers.startswith('{namespace="jobs",pod=~"enrich-millrace-') for matchers in series)
        assert 'job="millrace"' not in alert["expr"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": list(found.values())}]}))
    done = promql.promtool("check", "rules", tmp_path / "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_deployments_pods_are_the_releases_and_a_jobs_are_not(helm):
    pattern = re.search(r'pod=~"(.*?)"', rendered(helm)["MillraceDown"]["expr"])[1]
    assert re.fullmatch(pattern, "enrich-millrace-6d4cf56db6-x7k2p")
    for other in ("enrich-millrace-backfill-x7k2p", "enrich-millrace-test", "other-enrich-millrace-6d4cf56db6-x7k2p"):
        assert not re.fullmatch(pattern, other)


def test_thresholds_come_into_their_alerts(helm, tmp_path):
    """From a file, where Helm takes every number for a broken one: five million is 5e+06."""
    values = {name: 0.1 + place / 1000 if THRESHOLDS[name] < 1 else 5000000 + place
              for place, name in enumerate(THRESHOLDS)}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"metrics": {"prometheusRule": {"thresholds": values}}}))
    found = rendered(helm, "-f", tmp_path / "values.yaml")
    for name, value in values.items():
        for alert in marks(name):
            numbers = re.findall(rf"([0-9.e+]+)\s+# thresholds\.{name}\b", found[alert]["expr"])
            assert numbers and all(float(number) == value for number in numbers)


def test_who_is_called_is_a_value(helm):
    found = rendered(helm, "--set", "metrics.prometheusRule.team=data,metrics.prometheusRule.severity.page=critical",
                     "--set", "metrics.prometheusRule.runbook=https://wiki.example/millrace/",
                     "--set", "metrics.prometheusRule.dashboard=https://grafana.example/d/millrace")
    for name, alert in found.items():
        assert alert["labels"]["team"] == "data"
        assert alert["labels"]["severity"] == ("critical" if name in PAGES else "ticket")
        assert alert["annotations"]["runbook_url"] == f"https://wiki.example/millrace/{name}.md"
        assert alert["annotations"]["dashboard_url"] == "https://grafana.example/d/millrace"


def test_one_alert_can_be_left_out_or_changed(helm):
    found = rendered(helm, "--set", "metrics.prometheusRule.alerts.MillraceDown.enabled=false",
                     "--set", "metrics.prometheusRule.alerts.MillraceLagHigh.for=30m",
                     "--set", "metrics.prometheusRule.alerts.MillraceFreshness.severity=page")
    assert set(found) == set(ALERTS) - {"MillraceDown"}
    assert found["MillraceLagHigh"]["for"] == "30m"
    assert found["MillraceFreshness"]["labels"]["severity"] == "page"
    refusal = helm.refusal(*ON, "--set", "metrics.prometheusRule.alerts.MillraceLag.enabled=false")
    assert "there is no such alert. Expected one of: MillraceDown," in refusal


# ---------------------------------------------------------------- who is called, and what they read


def test_what_cannot_wait_pages_and_the_rest_does_not():
    assert {name for name, alert in ALERTS.items() if alert["labels"]["severity"] == "page"} == PAGES
    assert {alert["labels"]["severity"] for alert in ALERTS.values()} == {"page", "ticket"}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*ALERTS, "README"}
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|$", (RUNBOOKS / "README.md").read_text(), re.M)
    assert listed == [(name, alert["labels"]["severity"]) for name, alert in ALERTS.items()]
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook_url"] == f"helm/runbooks/{name}.md"


SECTIONS = ["What it means", "Impact", "Look", "Do", "Escalate"]


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_can_be_followed(name):
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    assert "```" in text.partition("## Look")[2].partition("## Do")[0], "nothing to paste"
    assert len(text.splitlines()) < 80


@pytest.mark.parametrize("name", ALERTS)
def test_what_a_runbook_asks_is_exported(name, millrace):
    text = (RUNBOOKS / f"{name}.md").read_text()
    queries = re.findall(r"^```promql\n(.*?)^```", text, re.M | re.S)
    series = promql.exported(millrace)
    assert [fault for query in queries for fault in promql.unknown(query, series)] == []
    assert [word for word in re.findall(r"\b(?:millrace|process)_[a-z_]+\b", text) if word not in series] == []
    fault = promql.unparsed(queries)
    assert not fault, fault


def runs(*command):
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


SOURCES = "".join(path.read_text() for path in sorted((helms.ROOT / "core").glob("*.c")))


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_what_a_runbook_says_to_type_exists(path, millrace):
    """Shell parses, options are options, failures have an explanation, and logs say what is looked for in them."""
    text = path.read_text()
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        done = runs("bash", "-n", "-c", block)
        assert done.returncode == 0, done.stderr
        for words in re.findall(r"logs [^|\n]*\| grep ([^|\n]*)", block):
            for phrase in re.findall(r"'([^']+)'|(?<![\w-])([a-z]{3,})", words):
                assert re.search(rf'"[^"\n]*{"".join(phrase)}', SOURCES, re.I), f"no log says {phrase}"
    for verb, rest in re.findall(r"(?:`|^|-- |; )millrace ([a-z]+)\b([^`|;&\n]*)", re.sub(r"\$\(.*?\)", "", text), re.M):
        known = runs(millrace, verb, "--help").stdout
        assert known.startswith("usage: "), f"no verb {verb}"
        missing = [option for option in re.findall(r"(?<!\S)-[-\w]+", rest) if not re.search(rf"{option}\b", known)]
        assert not missing, f"millrace {verb} has no {missing}"
    for kind in set(re.findall(r"`((?:Http|Script|Host|Input|Output|Poison)[A-Z]\w+)`", text)):
        assert runs(millrace, "explain", kind).returncode == 0, kind
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (RUNBOOKS / link).exists(), link

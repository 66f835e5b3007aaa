"""What is asked of Prometheus, held against what Millrace exports: for the chart's alerts and dashboard, and docker/."""

import json
import pathlib
import re
import subprocess
import tempfile

import yaml

PROMTOOL = pathlib.Path(__file__).resolve().parent / "promtool"
# What Prometheus adds by itself: the target's labels, and the bounds of buckets.
TARGET = {"job", "instance", "namespace", "pod"}


def promtool(*arguments):
    return subprocess.run([PROMTOOL, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300)


def exported(millrace):
    """{name: labels} of all series that the binary says it exports, a histogram's with their endings."""
    said = subprocess.run([millrace, "metrics", "--json"], capture_output=True, text=True, timeout=60, check=True)
    series = {"up": TARGET}
    for metric in json.loads(said.stdout):
        labels = {*filter(None, metric["labels"].split(",")), *TARGET}
        if metric["type"] == "histogram":
            series.update({f"{metric['name']}_bucket": labels | {"le"}, f"{metric['name']}_sum": labels,
                           f"{metric['name']}_count": labels})
        else:
            series[metric["name"]] = labels
    return series


def unknown(expression, series):
    """Names that are not exported, and labels that those series do not have."""
    faults, possible = [], set()
    names = re.findall(r"\b((?:millrace|process)_\w+|up\b)(?:{(.*?)})?", expression)
    for name, matchers in names:
        if name not in series:
            faults.append(f"{name} is not exported")
            continue
        possible |= series[name]
        faults += [f"{name} has no label {label}" for label in re.findall(r'(\w+)\s*[=!]~?\s*"', matchers)
                   if label not in series[name]]
    for words in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression):
        faults += [f"nothing here has a label {label}" for label in re.findall(r"\w+", words) if label not in possible]
    return faults if names else [f"{expression!r} asks for nothing of ours"]


def unparsed(expressions):
    """promtool's words about the first of these that is no PromQL."""
    rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}, file)
        file.flush()
        done = promtool("check", "rules", file.name)
    return "" if done.returncode == 0 else done.stdout + done.stderr

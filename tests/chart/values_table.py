"""The table of values in the chart's README, made of the comments in values.yaml that begin with "# --"."""

import json
import re

import yaml

import helm as helms

README = helms.CHART / "README.md"
VALUES = helms.CHART / "values.yaml"
PLACE = re.compile(r"(<!-- values:begin -->\n).*(<!-- values:end -->)", re.S)


def rows():
    """(path, default, what it is for) of every value with a comment, in their order."""
    defaults = yaml.safe_load(VALUES.read_text())
    path, prose = [], None
    for line in VALUES.read_text().splitlines():
        comment = re.match(r"\s*# (-- )?(.*)", line)
        name = re.match(r"( *)([A-Za-z]+):", line)
        if comment and comment[1]:
            prose = comment[2]
        elif comment and prose:
            prose += " " + comment[2]
        elif name:
            path = path[:len(name[1]) // 2] + [name[2]]
            if prose:
                value = defaults
                for part in path:
                    value = value[part]
                yield ".".join(path), value, prose
            prose = None
    assert prose is None


def undescribed():
    """Values without a comment of their own or of a map around them."""
    described = [path for path, _, _ in rows()]

    def leaves(value, path):
        if isinstance(value, dict) and value:
            for name, below in value.items():
                yield from leaves(below, f"{path}.{name}".lstrip("."))
        else:
            yield path

    return [leaf for leaf in leaves(yaml.safe_load(VALUES.read_text()), "")
            if not any(f"{leaf}.".startswith(f"{path}.") for path in described)]


def shown(value):
    return "" if value is None else f"`{json.dumps(value)}`".replace("|", "\\|")


def table():
    lines = ["| value | default | what it is for |", "|---|---|---|"]
    lines += [f"| `{path}` | {shown(value)} | {prose} |" for path, value, prose in rows()]
    return "\n".join(lines) + "\n"


def renewed():
    """The README with the table as it should be."""
    return PLACE.sub(lambda found: found[1] + table() + found[2], README.read_text())

"""The schema validator against another one (Python's jsonschema): the same verdict, the same errors.

Schemas are made by chance, from nothing and from those in tests/system/schemas; so are events, most of them nearly
right. MILLRACE_SCHEMA_CASES sets how many, MILLRACE_SEED which. Formats are left to unit tests: Python's validator
has most of them only with further packages.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

HERE = Path(__file__).parent
CHECK = os.environ.get("MILLRACE_SCHEMACHECK", "build/schemacheck")
CASES = int(os.environ.get("MILLRACE_SCHEMA_CASES", "2000"))
KEYS = ["a", "b", "c", "dé", "e/f", "g~"]
TEXTS = ["", "a", "ab", "abc", "é", "😀", "x y", "aé😀", "\n\"\\", "1"]
PATTERNS = ["^a", "b$", "^[a-c]+$", "é", "^.{2}$", "^$", "(a|x) ?"]
NUMBERS = [0, 1, -1, 2, 3, 7, 100, 2**53, 2**53 + 1, 2**63, 10**30, 1.0, 2.5, -0.5, 1e21]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


class Chance:
    """Values and schemas by chance."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, items):
        return self.random.choice(items)

    def one_in(self, n):
        return self.random.randrange(n) == 0

    def number(self, most=4):
        return self.random.randrange(most + 1)

    def value(self, depth, booleans=True):
        kind = self.number(7 if depth else 4)
        if kind <= 1:
            return self.pick(TEXTS)
        if kind <= 3:
            return self.pick(NUMBERS)
        if kind == 4:
            return self.pick([None, True, False] if booleans else [None])
        if kind == 5:
            return [self.value(depth - 1, booleans) for _ in range(self.number())]
        return {self.pick(KEYS): self.value(depth - 1, booleans) for _ in range(self.number())}

    def constant(self):
        """jsonschema takes 1 for true within lists and objects."""
        return self.value(1, booleans=False) if self.one_in(2) else self.value(0)

    def schemas(self, depth):
        return [self.schema(depth - 1) for _ in range(1 + self.number(2))]

    def names(self):
        return self.random.sample(KEYS, self.number(3))

    def keyword(self, depth):
        size, number, deeper = self.number(), self.pick(NUMBERS), depth - 1
        simple = {
            "type": lambda: self.pick([self.pick(TYPES), self.random.sample(TYPES, 2)]),
            "enum": lambda: [self.constant() for _ in range(1 + size)],
            "const": self.constant,
            "minLength": lambda: size, "maxLength": lambda: size, "pattern": lambda: self.pick(PATTERNS),
            "minimum": lambda: number, "maximum": lambda: number,
            "exclusiveMinimum": lambda: number, "exclusiveMaximum": lambda: number,
            "multipleOf": lambda: 1 + size,
            "minItems": lambda: size, "maxItems": lambda: size, "uniqueItems": lambda: self.one_in(2),
            "minProperties": lambda: size, "maxProperties": lambda: size, "required": self.names,
            "format": lambda: "unknown", "title": lambda: "a title", "unknown": lambda: {"type": 3},
        }
        nested = {
            "properties": lambda: {key: self.schema(deeper) for key in self.names()},
            "patternProperties": lambda: {self.pick(PATTERNS): self.schema(deeper) for _ in range(size % 3)},
            "additionalProperties": lambda: self.pick([False, self.schema(deeper)]),
            "propertyNames": lambda: self.schema(deeper),
            "dependencies": lambda: {key: self.pick([self.names(), self.schema(deeper)]) for key in self.names()},
            "items": lambda: self.pick([self.schema(deeper), self.schemas(depth)]),
            "additionalItems": lambda: self.schema(deeper),
            "contains": lambda: self.schema(deeper),
            "allOf": lambda: self.schemas(depth), "anyOf": lambda: self.schemas(depth),
            "oneOf": lambda: self.schemas(depth), "not": lambda: self.schema(deeper),
            "if": lambda: self.schema(deeper), "then": lambda: self.schema(deeper),
            "else": lambda: self.schema(deeper),
            "$ref": lambda: self.pick(["#/definitions/one", "#/definitions/two"]),
        }
        if depth == 0 or self.one_in(2):
            name = self.pick(list(simple))
            return name, simple[name]()
        name = self.pick(list(nested))
        return name, nested[name]()

    def schema(self, depth):
        if self.one_in(12):
            return self.pick([True, False])
        return self.keywords(depth, self.number(3))

    def keywords(self, depth, count):
        schema = dict(self.keyword(depth) for _ in range(count))
        if isinstance(schema.get("items"), bool):  # jsonschema stumbles over additionalItems beside it
            schema.pop("additionalItems", None)
        return schema

    def document(self):
        """References lead into the definitions, which have none: a way round for one value is no schema of ours."""
        schema = self.keywords(3, 1 + self.number(3))
        if "$ref" in schema:
            schema = {"allOf": [{"$ref": schema["$ref"]}, {}]}
        for name in ("one", "two"):
            schema.setdefault("definitions", {})[name] = without_references(self.schema(2))
        return schema

    def altered(self, value):
        """The value with one thing changed somewhere in it."""
        if isinstance(value, dict) and value and not self.one_in(4):
            key, changed = self.pick(list(value)), dict(value)
            how = self.number(5)
            if how == 0:
                del changed[key]
            elif how == 1:
                changed[self.pick(KEYS)] = self.value(1)
            elif how == 2:
                changed[key] = self.value(2)
            else:
                changed[key] = self.altered(changed[key])
            return changed
        if isinstance(value, list) and value and not self.one_in(4):
            place, changed = self.random.randrange(len(value)), list(value)
            how = self.number(3)
            if how == 0:
                changed.append(changed[place])
            elif how == 1:
                del changed[place]
            else:
                changed[place] = self.altered(changed[place])
            return changed
        return self.value(2)

    def altered_schema(self, schema):
        """A schema with further keywords in some of its places."""
        if not isinstance(schema, dict):
            return schema
        changed = dict(schema)
        for name in ("properties", "patternProperties"):
            if name in changed:
                changed[name] = {key: self.altered_schema(value) for key, value in changed[name].items()}
        for name in ("items", "additionalProperties"):
            if isinstance(changed.get(name), dict):
                changed[name] = self.altered_schema(changed[name])
        if self.one_in(6):
            changed.update(without_references(self.keywords(1, 1)))
        return changed


def without_references(value):
    if isinstance(value, dict):
        return {key: without_references(item) for key, item in value.items() if key != "$ref"}
    return [without_references(item) for item in value] if isinstance(value, list) else value


def pointer(path):
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def theirs(schema, instance):
    """What jsonschema finds wrong, as (pointer, keyword); and does more belong to it that it tells otherwise?

    A property's name that is wrong it places at the object, we at the member; of branches that do not match it says
    nothing more, we say what is wrong in the likely one.
    """
    found, otherwise = set(), False
    for error in jsonschema.Draft7Validator(schema).iter_errors(instance):
        if "propertyNames" in error.absolute_schema_path:
            otherwise = True
            continue
        found.add((pointer(error.absolute_path), error.validator or "false"))
        otherwise |= error.validator in ("anyOf", "oneOf")
    return found, otherwise


def ours_as_theirs(errors):
    """We place what must not be there at itself, jsonschema at what holds it."""
    found = set()
    for where, keyword, schema in errors:
        if keyword == "false" and schema.endswith("/additionalItems"):
            keyword = "additionalItems"
        if keyword in ("additionalProperties", "additionalItems"):
            where = where.rsplit("/", 1)[0]
        found.add((where, keyword))
    return found


def compare(cases):
    lines = "".join(json.dumps({"schema": schema, "instance": instance}, ensure_ascii=False) + "\n"
                    for schema, instance in cases)
    result = subprocess.run([CHECK], input=lines.encode(), stdout=subprocess.PIPE, check=True, timeout=600)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == len(cases)
    valid = 0
    for (schema, instance), answer in zip(cases, answers):
        said = json.dumps(schema), json.dumps(instance)
        assert isinstance(answer, list), (answer, *said)
        expected, otherwise = theirs(schema, instance)
        found = ours_as_theirs(answer)
        assert bool(expected or otherwise) == bool(answer), (expected, answer, *said)
        valid += not answer
        if len(answer) < 16:  # else there are more than are kept
            assert expected <= found, (expected - found, *said)
            assert otherwise or found == expected, (found - expected, *said)
    return valid


@pytest.fixture
def chance(seed):
    return Chance(seed)


def test_schemas_by_chance_mean_what_another_validator_says(chance):
    cases = []
    while len(cases) < CASES:
        schema, value = chance.document(), chance.value(3)
        cases += [(schema, value), (schema, chance.altered(value)), (schema, chance.value(3))]
    valid = compare(cases)
    assert CASES / 10 < valid < CASES * 9 / 10, "chance makes both kinds"


def test_schemas_of_events_mean_what_another_validator_says(chance):
    schemas = [yaml.safe_load(path.read_text()) for path in sorted(HERE.glob("schemas/jsonschema/*/**/*.yaml"))]
    schemas = [schema for schema in schemas if "examples" in schema]
    assert len(schemas) == 5
    cases = []
    while len(cases) < CASES:
        schema = chance.pick(schemas)
        event = schema["examples"][0]
        cases += [(schema, event), (schema, chance.altered(event)),
                  (chance.altered_schema(schema), chance.altered(chance.altered(event)))]
    valid = compare(cases)
    assert CASES / 10 < valid < CASES * 9 / 10, "chance makes both kinds"

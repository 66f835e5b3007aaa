"""Page change events for the tests, awkward on purpose, and the model: what the shipped script must make of each.

Everything follows from a seed. Numbers keep their text (class Number), so that "digit for digit" can be checked."""

import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

import stub

WIKIS = [("enwiki", "en.wikipedia.org"), ("jawiki", "ja.wikipedia.org"), ("commonswiki", "commons.wikimedia.org"),
         ("wikidatawiki", "www.wikidata.org")]
AWKWARD = [
    "", " ", "\u0000", "a\u0000b\u0000", "/* Section */ café 漢字 🎉", "\"quoted\" \\back\\ /slash/", "tab\tnew\nline\r\f\b",
    "\u2028\u2029\u007f\u0080\ufeff", "عربى ‏right to left", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈", "null", "true", "1e3", "{\"a\":[1,]}", "x" * 1100, "\u001f\u001e",
    "ends with backslash \\", "'; DROP TABLE page; --", "%s%n%d", "\U0010ffff\uffff\ue000",
]
NUMBERS = ["0", "-0", "-0.0", "1.0", "1e21", "1E+2", "0.1", "3.14159265358979323846", "1e-7", "9223372036854775807",
           "-9223372036854775808", "1351079888211148", "9007199254740993", "123456789012345678", "2.50", "100", "1e0"]


class Number:
    """A JSON number as it is written."""

    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Number) and other.text == self.text

    def __hash__(self):
        return hash(self.text)

    def __repr__(self):
        return self.text

    def __int__(self):
        return int(self.text)


class Duplicate(ValueError):
    """An object names a member twice."""


def _members(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Duplicate(str([name for name, _ in pairs]))
    return value


def load(text):
    """JSON with every number's text kept; duplicate members are refused."""
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=_members)


def _string(text, rng):
    if rng is None or rng.random() < 0.6:
        return json.dumps(text, ensure_ascii=False)
    if rng.random() < 0.5:
        return json.dumps(text, ensure_ascii=True)
    return json.dumps(text, ensure_ascii=False).replace("/", "\\/")


def dump(value, rng=None):
    """JSON text; with rng in one of its many spellings: order of members, white space, escapes."""
    gap = rng.choice(["", "", "", " ", "\n\t", "  \r\n"]) if rng else ""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, str):
        return _string(value, rng)
    if isinstance(value, dict):
        members = list(value.items())
        if rng and rng.random() < 0.5:
            rng.shuffle(members)
        return "{" + gap + ("," + gap).join(
            _string(k, rng) + ":" + gap + dump(v, rng) for k, v in members) + gap + "}"
    if isinstance(value, (list, tuple)):
        return "[" + gap + ("," + gap).join(dump(v, rng) for v in value) + gap + "]"
    return json.dumps(value)


@dataclass
class Event:
    """One record for the source topic, and what must become of it."""

    value: Optional[bytes]
    key: Optional[bytes]
    outcome: str  # enriched, passed, dropped or failed
    model: Any = None  # the value that must come out, before stamping; None for failures
    error: Optional[str] = None  # the error_type, where the test knows it
    headers: list = field(default_factory=list)
    timestamp: int = 0
    host: str = ""
    rev: int = 0
    about: str = ""  # what is special about it, for failure messages

    def record(self):
        return self.key, self.value, self.headers, self.timestamp


def _user(rng):
    user = {"user_text": rng.choice(AWKWARD[4:]) or "A", "groups": rng.choice([[], ["*"], ["bot", "sysop", "*"]]),
            "is_bot": rng.random() < 0.2, "is_system": False, "is_temp": False}
    if rng.random() < 0.8:
        user.update(user_id=rng.choice([0, 7, 1351079888211148]), edit_count=rng.randrange(10**6),
                    registration_dt="2019-02-03T04:05:06Z")
    return user


class Maker:
    """Events of some pages of some wikis, each page's revisions ascending."""

    def __init__(self, seed, pages=500, wikis=WIKIS, first_page=1000, when=None):
        self.rng = random.Random(seed)
        self.when = when or datetime.now(timezone.utc) - timedelta(hours=1)
        self.pages = [(*wikis[n % len(wikis)], first_page + n) for n in range(pages)]
        self.revisions = {}
        self.sequence = 0

    def _revision(self, page):
        self.revisions[page] = self.revisions.get(page, 0) + 1
        assert self.revisions[page] < 1000, "a page holds 999 revisions: page_of() would be wrong"
        return page[2] * 1000 + self.revisions[page]

    def value(self, kind, page, rev, visible=True, domain=None):
        """The event as a dict, in the shape of /mediawiki/page/change/1.2.0."""
        rng, (wiki, host, page_id) = self.rng, page
        self.sequence += 1
        when = (self.when + timedelta(milliseconds=self.sequence)).strftime("%Y-%m-%dT%H:%M:%SZ")
        slots = {role: {"slot_role": role, "content_model": "wikitext", "content_format": "text/x-wiki",
                        "content_sha1": "%031x" % rng.getrandbits(120), "content_size": rng.randrange(10**6),
                        "origin_rev_id": rev} for role in stub.roles_of(host)}
        if rng.random() < 0.02:
            page_id = 1351079888211148 + page_id  # as the schema's own examples have them
        event = {
            "$schema": "/mediawiki/page/change/1.2.0",
            "changelog_kind": {"create": "insert", "undelete": "insert", "delete": "delete"}.get(kind, "update"),
            "page_change_kind": kind,
            "dt": when,
            "wiki_id": wiki,
            "comment": rng.choice(AWKWARD),
            "meta": {"stream": "mediawiki.page_change.v1", "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                     "dt": when, "domain": domain or host, "uri": f"https://{host}/wiki/Page_{page_id}",
                     "request_id": str(uuid.UUID(int=rng.getrandbits(128), version=4))},
            "page": {"page_id": page_id, "page_title": f"Page_{page_id}_ÄÖ", "namespace_id": 0, "is_redirect": False},
            "revision": {"rev_id": rev, "rev_dt": when, "rev_parent_id": rev - 1, "rev_sha1": "%031x" % rng.getrandbits(120),
                         "rev_size": rng.randrange(10**6), "is_minor_edit": rng.random() < 0.3,
                         "comment": rng.choice(AWKWARD), "is_comment_visible": True, "is_editor_visible": True,
                         "is_content_visible": visible, "content_slots": slots},
        }
        if rng.random() < 0.8:
            event["performer"] = _user(rng)
            event["revision"]["editor"] = _user(rng)
        if kind == "delete":
            event["page"]["revision_count"] = rng.randrange(1, 50)
        if kind == "edit":
            event["prior_state"] = {"revision": {"rev_id": rev - 1, "content_slots": {}}}
        if kind == "move":
            event["prior_state"] = {"page": {"page_title": "Before"}}
            event["created_redirect_page"] = {"page_id": 1, "page_title": "Before", "is_redirect": True}
        if kind == "visibility_change":
            event["prior_state"] = {"revision": {"is_comment_visible": False}}
        if rng.random() < 0.3:
            event["later"] = {"numbers": [Number(n) for n in rng.sample(NUMBERS, 4)], "empty": [], "none": {},
                              "nested": [[], [[]], {"": [{}]}], "null": None, rng.choice(AWKWARD): Number("1.0")}
        return event

    def event(self, kind="edit", visible=True, outcome=None, page=None, domain=None, rev=None, error=None,
              no_body=False, change=None):
        rng = self.rng
        page = page or rng.choice(self.pages)
        rev = rev or self._revision(page)
        value = self.value(kind, page, rev, visible, domain)
        if change:
            change(value)
        text = dump(value, rng)
        model = load(text)
        if outcome is None:
            outcome = "dropped" if domain == "canary" else "passed" if kind == "delete" or not visible else "enriched"
        if outcome == "enriched" and not no_body:
            for role, slot in model["revision"]["content_slots"].items():
                slot["content_body"] = stub.content(value["meta"]["domain"], rev, role)
        return Event(
            text.encode(), dump({"wiki_id": value["wiki_id"], "page_id": value["page"]["page_id"]}).encode(),
            outcome, model, error, [("x-sequence", str(self.sequence).encode()), ("empty", b""), ("x-sequence", b"\xff\x00")],
            1700000000000 + self.sequence, value["meta"]["domain"], rev)

    def mixed(self, count):
        """All kinds, visible and hidden, and canaries, in about the shares they have in life."""
        events = []
        for _ in range(count):
            share = self.rng.random()
            if share < 0.02:
                events.append(self.event(domain="canary"))
            elif share < 0.10:
                events.append(self.event("delete"))
            elif share < 0.14:
                events.append(self.event(self.rng.choice(["edit", "visibility_change"]), visible=False))
            else:
                events.append(self.event(self.rng.choices(
                    ["edit", "create", "move", "undelete", "visibility_change"], [70, 12, 8, 4, 6])[0]))
        return events


def tombstone(key, sequence=0):
    return Event(None, key, "passed", None, headers=[("x-sequence", b"tomb")], timestamp=1700000000000 + sequence)


def poison(maker):
    """Records that are no events: name -> bytes. None of them may hurt its neighbours."""
    good = maker.event().value
    return {
        "not JSON": b"this is not JSON",
        "nothing": b"",
        "white space": b" \n ",
        "cut short": good[:len(good) // 2],
        "two values": good + b" {}",
        "an array": b"[" + good + b"]",
        "a string": b'"text"',
        "a number": b"42",
        "null": b"null",
        "NaN": b'{"a": NaN}',
        "trailing comma": b'{"a": 1,}',
        "invalid UTF-8": good.replace(b"Page_", b"Page_\xff\xfe", 1),
        "overlong UTF-8": b'{"a": "\xc0\xaf"}',
        "encoded surrogate": b'{"a": "\xed\xa0\x80"}',
        "lone surrogate": b'{"a": "\\ud83d"}',
        "a key twice": b'{"a": 1, "a": 1}',
        "a raw control character": b'{"a": "\x01"}',
        "leading zero": b'{"a": 007}',
        "too deep": b"[" * 20000 + b"]" * 20000,
        "too deep in an object": b'{"a":' * 20000 + b"1" + b"}" * 20000,
    }

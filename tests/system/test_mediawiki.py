"""The shipped script against a real MediaWiki: what it publishes is what the wiki says."""

import json
import os
import random
import uuid
from datetime import datetime, timezone

import pytest

import wiki as wikis
from events import Event, load

HOST = "river.example.org"
REQUIRED = os.environ.get("MILLRACE_WIKI") == "required"
TEXTS = ["plain text", "/* Abschnitt */ Größe, 漢字, 🎉, עברית", "\"quotes\" \\ back \\\\ / slashes", "tab\there\n\n== Title ==\nend",
         "{{template|a=1}} [[Link|text]] <ref name=\"x\">y</ref>", "e\u0301 is made one letter", "{\"json\": [1, 2.50, null]}"]


@pytest.fixture(scope="module")
def wiki():
    try:
        wiki = wikis.Wiki()
    except wikis.Unavailable as why:
        if REQUIRED:
            raise
        pytest.skip(f"no MediaWiki here: {why}")
    yield wiki
    wiki.close()


def base36(sha1):
    """As EventBus writes it; the API speaks hexadecimal."""
    digits, value = "", int(sha1, 16)
    while value:
        value, digit = divmod(value, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits.rjust(31, "0")


class Feed:
    """Does things in the wiki, and tells each as EventBus does: one event, in the order of what happened."""

    CHANGELOG = {"create": "insert", "undelete": "insert", "delete": "delete"}

    def __init__(self, wiki):
        self.wiki, self.events = wiki, []

    def revision(self, rev):
        answer = self.wiki.api(action="query", prop="revisions|info", revids=rev, rvslots="*",
                               rvprop="ids|timestamp|flags|size|sha1|comment|user|userid|contentmodel|slotsha1|slotsize")
        page = answer["query"]["pages"][0]
        return page, page["revisions"][0]

    @staticmethod
    def entity(page, told):
        slots = {role: {"slot_role": role, "content_model": slot["contentmodel"], "content_sha1": base36(slot["sha1"]),
                        "content_size": slot["size"], "content_format": "text/x-wiki", "origin_rev_id": told["revid"]}
                 for role, slot in told["slots"].items()}
        return ({"page_id": page["pageid"], "page_title": page["title"].replace(" ", "_"), "namespace_id": page["ns"],
                 "is_redirect": page.get("redirect", False)},
                {"rev_id": told["revid"], "rev_dt": told["timestamp"], "is_minor_edit": told["minor"], "rev_size": told["size"],
                 "rev_sha1": base36(told["sha1"]), "comment": told["comment"], "is_content_visible": True, "is_editor_visible": True,
                 "is_comment_visible": True, "content_slots": slots,
                 "editor": {"user_text": told["user"], "user_id": told["userid"], "groups": ["sysop", "*"], "is_bot": False,
                            "is_system": False, "is_temp": False},
                 **({"rev_parent_id": told["parentid"]} if told["parentid"] else {})})

    def tell(self, kind, page, revision, outcome, error=None, arrived=None, bodies=None):
        """Notes one event with what must become of it; `bodies` by slot is what the wiki shows of the revision."""
        event = {"$schema": "/mediawiki/page/change/1.2.0", "changelog_kind": self.CHANGELOG.get(kind, "update"),
                 "page_change_kind": kind, "dt": revision["rev_dt"], "wiki_id": "riverwiki", "page": page, "revision": revision,
                 "meta": {"stream": "mediawiki.page_change.v1", "id": str(uuid.UUID(int=len(self.events) + 1, version=4)),
                          "domain": HOST, "request_id": f"req-{len(self.events)}",
                          "dt": arrived or revision["rev_dt"], "uri": f"https://{HOST}/wiki/{page['page_id']}"}}
        model = json.loads(json.dumps(event))
        for role, body in (bodies or {}).items():
            model["revision"]["content_slots"][role]["content_body"] = body
        key = json.dumps({"wiki_id": "riverwiki", "page_id": page["page_id"]}, separators=(",", ":"))
        self.events.append(Event(json.dumps(event, ensure_ascii=False).encode(), key.encode(), outcome,
                                 None if error else load(json.dumps(model)), error=error, timestamp=1772359200000 + len(self.events)))

    def enriched(self, kind, rev):
        page, told = self.revision(rev)
        page, revision = self.entity(page, told)
        self.tell(kind, page, revision, "enriched", bodies={"main": self.wiki.raw(rev)})
        return page, revision

    def edit(self, title, text, kind="edit", **more):
        answer = self.wiki.do("edit", title=title, text=text, summary=f"{kind} of {title}", **more)
        assert answer["result"] == "Success", answer
        return self.enriched("create" if "new" in answer else kind, answer["newrevid"])

    def move(self, title, to):
        self.wiki.do("move", **{"from": title, "to": to, "reason": "moved"})
        return self.enriched("move", self.last(to))

    def last(self, title):
        return self.wiki.api(action="query", titles=title, prop="info")["query"]["pages"][0]["lastrevid"]

    def delete(self, title):
        page, told = self.revision(self.last(title))
        page, revision = self.entity(page, told)
        self.wiki.do("delete", title=title, reason="gone")
        self.tell("delete", page, revision, "passed")

    def undelete(self, title):
        self.wiki.do("undelete", title=title, reason="back")
        return self.enriched("undelete", self.last(title))

    def hide(self, rev, **more):
        answer = self.wiki.do("revisiondelete", type="revision", ids=rev, hide="content", **more)
        assert answer["status"] == "Success", answer


def require_same(job, feed):
    job.send(feed.events)
    job.start()
    job.until_done()
    job.require_clean()
    job.require_outcomes()


def test_pages_made_moved_deleted_and_restored_carry_the_wikis_own_text(job, wiki):
    feed = Feed(wiki)
    for n, text in enumerate(TEXTS):
        feed.edit(f"Page {n}", text)
        feed.edit(f"Page {n}", text + "\n\nmore", minor=1)
    feed.move("Page 1", "Page one 漢字")
    feed.edit("Page one 漢字", "after the move")
    feed.edit("Page 2", "text of Page 2 before its end")
    feed.edit("Empty", "")
    feed.edit("Talk:Page 3", "in another namespace")
    feed.edit("User:Admin/code.js", "// café\nalert( \"1 < 2\" );\n")
    feed.edit("User:Admin/data.json", "{\n    \"b\": 1.0,\n    \"a\": []\n}")
    feed.edit("User:Admin/style.css", "a::before { content: '\\201C'; }")
    feed.edit("Redirect", "#REDIRECT [[Page 0]]")
    models = {json.loads(e.value)["revision"]["content_slots"]["main"]["content_model"] for e in feed.events}
    assert models >= {"wikitext", "javascript", "json", "css"}
    require_same(job(stub=wiki, partitions=2), feed)


def test_large_and_many_revisions_of_one_page_come_in_their_order(job, wiki):
    feed, rng = Feed(wiki), random.Random(7)
    line = "".join(rng.choice("abcdefghij klmnopqrstuvwxyzéü漢\n") for _ in range(5000))
    for n in range(12):
        feed.edit("Long history", line * (n + 1) + f" revision {n}")
    feed.edit("Large", ("x" * 79 + "\n") * 25000 + "the end")  # 2 MB, almost as much as a page may hold
    require_same(job(stub=wiki, change={"sink": {"max_bytes": "20MiB"}}), feed)


def test_answers_that_the_wiki_truncates_are_asked_for_again(job, wiki):
    """The wiki puts 8 MiB into one answer ($wgAPIMaxResultSize); here the events say their pages are small."""
    feed = Feed(wiki)
    for n in range(14):
        page, revision = feed.edit(f"Much {n}", f"{n}: " + ("y" * 79 + "\n") * 12500)
        feed.events.pop()
        revision["content_slots"]["main"]["content_size"] = 10
        feed.tell("create", page, revision, "enriched", bodies={"main": wiki.raw(revision["rev_id"])})
    j = job(stub=wiki, change={"sink": {"max_bytes": "20MiB"}})
    require_same(j, feed)
    metrics = j.metrics()
    assert metrics.sum("millrace_http_splits_total", reason="partial") >= 1
    assert metrics.sum("millrace_http_requests_total") < 14


def test_what_was_deleted_restored_or_hidden_since_is_never_published_wrongly(job, wiki):
    """The wiki answers for now, the event is of then."""
    long_ago = "2020-01-01T00:00:00Z"
    feed = Feed(wiki)
    page, revision = feed.edit("Short-lived", "deleted before anybody asked")
    feed.events.pop()
    wiki.do("delete", title="Short-lived", reason="gone")
    feed.tell("create", page, revision, "failed", error="MissingRevision", arrived=long_ago)

    first = feed.edit("Secret", "the phone number of somebody")
    second = feed.edit("Secret", "without the number")
    del feed.events[-2:]
    feed.hide(first[1]["rev_id"])
    feed.tell("create", *first, "passed", arrived=long_ago)  # hidden since: published without its text
    feed.tell("edit", *second, "enriched", arrived=long_ago, bodies={"main": "without the number"})
    first[1]["is_content_visible"] = False
    feed.tell("visibility_change", *first, "passed")  # hidden as it says itself: the wiki is not asked

    feed.edit("Back again", "deleted and restored")
    wiki.do("delete", title="Back again", reason="gone")
    feed.undelete("Back again")
    feed.edit("Gone", "published, then deleted")
    feed.events.pop()
    feed.delete("Gone")

    page = {"page_id": 999999, "page_title": "Never", "namespace_id": 0, "is_redirect": False}
    never = dict(second[1], rev_id=99999999)
    feed.tell("edit", page, never, "failed", error="MissingRevision", arrived=long_ago)
    j = job(stub=wiki)
    require_same(j, feed)
    everything = b"".join(m.value() or b"" for m in j.outputs() + j.failures())
    assert b"the phone number of somebody" not in everything


def test_a_revision_asked_for_too_early_is_waited_for(job, wiki):
    """Replicas lag: the event comes before the revision is there. Here it is written while the job asks already."""
    feed = Feed(wiki)
    page, revision = feed.edit("Early", "first")
    feed.events.pop()
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    coming = dict(revision, rev_id=revision["rev_id"] + 1)
    feed.tell("edit", page, coming, "enriched", arrived=now, bodies={"main": "second"})
    j = job(stub=wiki)
    j.send(feed.events)
    j.start()
    j.until("the wiki was asked in vain", lambda m: m.sum("millrace_http_retries_total", reason="missing_revision") >= 1)
    answer = wiki.do("edit", title="Early", text="second")
    assert answer["newrevid"] == coming["rev_id"]
    j.until_done()
    j.require_clean()

"""Events for benchmarks: page changes of a size and shape as they come in life."""

import bisect
import itertools
import json
import random


FIRST_REVISION = 1000000


def page_change(n, pages, wiki, body):
    """About 1.6 KB: the n-th edit, of a page with so many bytes of text. Its key is the wiki and the page."""
    page, rev = 1000 + n * 7919 % pages, FIRST_REVISION + n
    slot = {"slot_role": "main", "content_model": "wikitext", "content_format": "text/x-wiki",
            "content_sha1": "9qkhxd9p0yjmr3ig4ax1zrqmsn2bw0d", "content_size": body, "origin_rev_id": rev}
    user = {"user_text": "Müllerin", "groups": ["*", "user", "autoconfirmed"], "is_bot": False, "is_system": False,
            "is_temp": False, "user_id": 4711, "edit_count": 1234, "registration_dt": "2019-02-03T04:05:06Z"}
    event = {
        "$schema": "/mediawiki/page/change/1.2.0", "changelog_kind": "update", "page_change_kind": "edit",
        "dt": "2024-05-06T07:08:09Z", "wiki_id": f"w{wiki}wiki", "comment": "/* History */ the \"old\" race",
        "meta": {"stream": "mediawiki.page_change.v1", "id": f"00000000-0000-4000-8000-{n:012d}",
                 "dt": "2024-05-06T07:08:09.123Z", "domain": f"w{wiki}.example.org",
                 "uri": f"https://w{wiki}.example.org/wiki/Mill_{page}",
                 "request_id": f"11111111-0000-4000-8000-{n:012d}"},
        "page": {"page_id": page, "page_title": f"Mill_{page}", "namespace_id": 0, "is_redirect": False},
        "performer": user,
        "revision": {"rev_id": rev, "rev_dt": "2024-05-06T07:08:09Z", "rev_parent_id": rev - 1,
                     "rev_sha1": "9qkhxd9p0yjmr3ig4ax1zrqmsn2bw0d", "rev_size": body, "is_minor_edit": False,
                     "comment": "/* History */ the \"old\" race", "is_comment_visible": True,
                     "is_editor_visible": True, "is_content_visible": True, "editor": user,
                     "content_slots": {"main": slot}},
        "prior_state": {"revision": {"rev_id": rev - 1, "rev_dt": "2024-05-05T07:08:09Z", "rev_size": 4000,
                                     "content_slots": {"main": slot}}},
    }
    key = json.dumps({"wiki_id": event["wiki_id"], "page_id": page}).encode()
    return key, json.dumps(event, ensure_ascii=False).encode()


def page_changes(count, body, large_every=0, large=0):
    """Of seven wikis in turn; revisions that large_every divides are so large, as apistub.c has it."""
    def size(n):
        return large if large_every and (FIRST_REVISION + n) % large_every == 0 else body
    return [page_change(n, max(100, count // 3), n % 7, size(n)) for n in range(count)]


def zipf_changes(count, body, wikis=900, seed=1):
    """Of so many wikis, the k-th of which has 1/k of the changes of the first."""
    chance = random.Random(seed)
    sums = list(itertools.accumulate(1 / k for k in range(1, wikis + 1)))
    picks = (bisect.bisect(sums, chance.random() * sums[-1]) for _ in range(count))
    return [page_change(n, max(100, count // 3), wiki, body) for n, wiki in enumerate(picks)]


def arrivals(count, rate, seed=1):
    """Seconds from the start to each of so many independent events."""
    chance = random.Random(seed)
    return list(itertools.accumulate(chance.expovariate(rate) for _ in range(count)))

"""Page changes and answers in the exact shape in which MediaWiki 1.39 with EventBus gives them."""

import json
from pathlib import Path

import check
import events
from engine import SCRIPT, run

RECORDED = Path(__file__).parent / "fixtures" / "recorded"


def recorded(stub):
    stub.known([json.loads(path.read_text()) for path in sorted((RECORDED / "answers").glob("*.json"))])
    found = []
    inputs = (RECORDED / "page_change.jsonl").read_bytes().splitlines()
    expected = (RECORDED / "expected.jsonl").read_text().splitlines()
    for n, (line, wanted) in enumerate(zip(inputs, expected)):
        wanted = events.load(wanted)
        value = json.loads(line)
        key = events.dump({"wiki_id": value["wiki_id"], "page_id": value["page"]["page_id"]}).encode()
        found.append(events.Event(line, key, wanted["outcome"], wanted["value"], timestamp=1772359200000 + n))
    assert len(found) == 13
    return found


def test_recorded_page_changes_become_page_content_changes(job, stub):
    j = job(partitions=1)
    j.send(recorded(stub))
    j.start()
    j.until_done()
    j.require_clean()
    j.require_outcomes()


def test_recorded_page_changes_go_through_the_filter(stub):
    wanted = recorded(stub)
    result = run("enrich", SCRIPT, "--endpoint", stub.url, stdin=b"".join(e.value + b"\n" for e in wanted), check=0)
    got = [events.load(line) for line in result.stdout.splitlines()]
    by_page = {}
    for event in wanted:
        by_page.setdefault(repr(event.model["page"]["page_id"]), []).append(event.model)
    for value in got:
        model = events.load(events.dump(by_page[repr(value["page"]["page_id"])].pop(0)))
        for stamped in (value, model):
            for name in check.STAMPED:
                stamped["meta"].pop(name, None)
        assert not check.differences(model, value)
    assert not any(by_page.values())

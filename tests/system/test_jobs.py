"""The shipped jobs beside the main one, through the real engine."""

import json
import subprocess

import pytest

import check
import events
import stub as stubs
from engine import ROOT, run

WIKIS = [("dewiki", "de.wikipedia.org"), ("enwiki", "en.wikipedia.org")]
SAMPLES = sorted(path for path in (ROOT / "scripts").glob("*.yaml") if not path.stem.endswith("_test"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_jobs_sample_configuration_is_good(path):
    assert (ROOT / "scripts" / f"{path.stem}.lua").exists()
    assert b"0 errors, 0 warnings" in run("check", path, check=0).stdout


def decoded(messages):
    return {check.source_of(message)[2]: json.loads(message.value()) for message in messages}


def gnu_diff(tmp_path, a, b):
    (tmp_path / "A").write_bytes(a.encode())
    (tmp_path / "B").write_bytes(b.encode())
    return subprocess.run(["diff", "-au", "--label", "a", "--label", "b", "A", "B"], cwd=tmp_path,
                          stdout=subprocess.PIPE, check=False).stdout.decode()


def html_job(job, stub, **change):
    upstreams = {"mediawiki": None, "rest": {"url": stub.rest, "timeout": "65s", "concurrency": 64, "max_body": "56MiB"}}
    return job(partitions=1, script=ROOT / "scripts" / "page_html_change.lua",
               change={"http": {"upstreams": upstreams}, **change})


def test_html_changes_carry_the_page_and_what_the_edit_changed(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=6, wikis=WIKIS)
    orphan = maker.event("edit")  # the first of its page: nobody else asks for its parent
    records = [orphan] + [maker.event(kind) for kind in ("edit", "create", "move", "undelete", "delete") for _ in range(6)]
    records += [maker.event("edit") for _ in range(60)]
    young = maker.event("edit", change=lambda event: event["meta"].update(dt="2999-01-01T00:00:00Z"))
    gone = maker.event("create")
    stub.rules({"rev": young.rev, "do": "missing", "times": 1},
               {"rev": orphan.rev - 1, "do": "missing"},
               {"rev": gone.rev, "do": "missing"},
               {"modulus": [7, 3], "do": "status", "status": 503, "times": 1})
    records += [young, gone]
    j = html_job(job, stub)
    j.send(records)
    j.start()
    j.until_done()
    outputs, failed = decoded(j.outputs()), decoded(j.failures())
    assert {n: event["error_type"] for n, event in failed.items()} == {len(records) - 1: "MissingRevision"}
    for n, record in enumerate(records[:-1]):
        event, was = outputs[n], json.loads(record.value)
        kind, host = was["page_change_kind"], was["meta"]["domain"]
        rendering = event.pop("rendering", None)
        assert {**event, "meta": None} == {**was, "meta": None}
        if kind == "delete":
            assert rendering is None
            continue
        html = stubs.html(host, record.rev)
        assert rendering["content_body"] == html
        assert (rendering["content_size"], rendering["render_id"]) == (len(html.encode()), f'"{record.rev}/stub"')
        if record is orphan:
            assert rendering["diff_missing"] == "no_parent"
        elif kind in ("edit", "move"):
            assert rendering["diff_from_parent"] == gnu_diff(tmp_path, stubs.html(host, record.rev - 1), html)
        else:
            assert "diff_from_parent" not in rendering
    metrics = j.require_balance()
    assert metrics.value("millrace_diffs_total", outcome="made") >= 67
    assert metrics.value("millrace_diff_duration_seconds_count") >= 67


def test_a_stop_in_the_midst_of_diffs_loses_nothing(job, stub, seed):
    maker = events.Maker(seed, pages=20, wikis=WIKIS)
    records = [maker.event("edit") for _ in range(300)]
    stub.latency(0.01, 0.1)
    j = html_job(job, stub)
    j.send(records)
    j.start()
    j.until("some diffs are made", lambda metrics: metrics.value("millrace_diffs_total", outcome="made") > 20)
    j.stop()
    j.start()
    j.until_done()
    outputs = decoded(j.outputs())
    assert sorted(outputs) == list(range(300))
    assert all(event["rendering"]["diff_from_parent"].startswith("--- a\n") for event in outputs.values())


def test_scores_go_to_one_sink_and_risky_edits_to_another_too(job, stub, seed):
    maker = events.Maker(seed, pages=30, wikis=WIKIS)
    records = [maker.event("edit") for _ in range(100)] + [maker.event("move"), maker.event("edit", visible=False)]
    late, refused = maker.event("edit", change=lambda e: e["meta"].update(dt="2999-01-01T00:00:00Z")), maker.event("edit")
    records += [late, refused]
    stub.rules({"rev": late.rev, "do": "missing", "times": 1},
               {"rev": refused.rev, "do": "status", "status": 400, "body": "no parent"},
               {"modulus": [11, 4], "do": "status", "status": 503, "times": 1})
    j = job(partitions=1, script=ROOT / "scripts" / "revision_score.lua")
    kafka = {"bootstrap.servers": j.cluster.bootstrap}
    j.config["sinks"] = {"scores": {**j.config.pop("sink"), "schema": "/mediawiki/page/prediction_classification_change/1.0.0"},
                         "risky": {"topic": j.prefix + "risky", "kafka": kafka}}
    j.config["script"]["params"] = {"risky": 0.8, "model_host": "model.example.org"}
    j.config["http"]["upstreams"] = {"model": {"url": stub.root, "timeout": "30s", "concurrency": 5}}
    j.cluster.create(j.prefix + "risky", partitions=1)
    j.send(records)
    j.start()
    j.until_done()
    scores, risky, failed = decoded(j.outputs()), decoded(j.cluster.read(j.prefix + "risky")), decoded(j.failures())
    scored = [n for n in range(len(records)) if n not in (100, 101, 103)]
    assert sorted(scores) == scored
    assert failed[103]["error_type"] == "ModelRefused" and "400: no parent" in failed[103]["message"]
    for n in scored:
        predicted, probability = scores[n]["predicted_classification"], stubs.score(records[n].rev)
        assert predicted["probabilities"]["true"] == probability
        assert predicted["predictions"] == [str(probability >= 0.5).lower()]
        assert scores[n]["$schema"] == "/mediawiki/page/prediction_classification_change/1.0.0"
        assert "content_slots" not in scores[n]["revision"]
        assert (n in risky) == (probability >= 0.8)
    assert risky, "no edit was risky: this proves nothing"
    assert all(event["rev_id"] == records[n].rev for n, event in risky.items())
    asked = stub.requests()
    assert {(request["method"], request["host"]) for request in asked} == {("POST", "model.example.org")}
    metrics = j.require_balance()
    assert metrics.value("millrace_drops_total", reason="no_edit") == 2
    assert stub.stats()["most"] <= 5

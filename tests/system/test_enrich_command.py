"""`millrace enrich`: the same engine as a filter."""

import check
import events
from engine import SCRIPT, run


def lines(data):
    return [line for line in data.split(b"\n") if line]


def one_line(maker, seed, count):
    """Events with one line each: `enrich` reads JSON lines."""
    found = []
    for event in maker.mixed(count):
        event.value = events.dump(events.load(event.value)).encode()
        found.append(event)
    return found


def test_4000_odd_events_come_out_unaltered_and_each_page_in_order(stub, seed, tmp_path):
    maker = events.Maker(seed, pages=200)
    stub.latency(0.0, 0.03)
    good = one_line(maker, seed, 3960)
    bad = [events.Event(v, None, "failed") for v in events.poison(maker).values() if v.strip() and b"\n" not in v]
    stream = list(good)
    for n in range(40):
        stream.insert(97 * n + 3, bad[n % len(bad)])
    errors = tmp_path / "errors.jsonl"
    result = run("enrich", SCRIPT, "--endpoint", stub.url, "--errors", errors, check=1,
                 stdin=b"".join(e.value + b"\n" for e in stream))
    got = [events.load(line) for line in lines(result.stdout)]
    wanted = [e for e in stream if e.outcome in ("enriched", "passed")]
    assert len(got) == len(wanted)
    compare(got, wanted)
    failed = [events.load(line) for line in lines(errors.read_bytes())]
    assert len(failed) == 40
    assert all(f["$schema"] == "/error/2.1.0" for f in failed)
    verbatim = sorted(e.value.decode() for e in stream if e.outcome == "failed" and utf8(e.value))
    raws = {f["raw_event"] for f in failed}
    assert all(text in raws for text in verbatim)


def utf8(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def page(value):
    return value["wiki_id"], str(value["page"]["page_id"])


def compare(got, wanted):
    """Per page in order, and nothing altered but the stamps."""
    by_page = {}
    for event in wanted:
        by_page.setdefault(page(event.model), []).append(event)
    for value in got:
        model = events.load(events.dump(by_page[page(value)].pop(0).model))
        for stamped in (value, model):
            for name in check.STAMPED:
                stamped["meta"].pop(name, None)
        assert not check.differences(model, value)
    assert not any(by_page.values())


def test_it_exits_0_when_nothing_failed_and_reads_a_file(stub, seed, tmp_path):
    maker = events.Maker(seed, pages=5)
    wanted = one_line(maker, seed, 100)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(e.value for e in wanted))  # the last line has no end
    result = run("enrich", SCRIPT, path, "--endpoint", stub.url, check=0)
    compare([events.load(line) for line in lines(result.stdout)], [e for e in wanted if e.outcome != "dropped"])


def test_no_input_is_no_error(stub):
    assert run("enrich", SCRIPT, "--endpoint", stub.url, stdin=b"", check=0).stdout == b""


def test_an_input_file_that_is_not_there_is_named(stub):
    result = run("enrich", SCRIPT, "/no/such/file.jsonl", "--endpoint", stub.url)
    assert result.returncode == 1 and b"/no/such/file.jsonl" in result.stderr


def test_a_folder_is_no_input_and_a_missing_script_is_named(stub, tmp_path):
    said = run("enrich", SCRIPT, tmp_path, "--endpoint", stub.url, check=1).stderr
    assert b"cannot be read: Is a directory" in said and b"events" not in said
    said = run("enrich", "nope.lua", "--endpoint", stub.url, stdin=b"", check=78).stderr
    assert said.startswith(b"millrace enrich: nope.lua cannot be read")


def test_a_question_without_an_endpoint_names_the_option(tmp_path):
    script = tmp_path / "asks.lua"
    script.write_text('return { api = 1, request = function() return { path = "/" } end }\n')
    assert b"--endpoint" in run("enrich", script, stdin=b"{}\n", check=1).stderr


def test_a_script_that_does_not_load_exits_78_with_its_line(stub, tmp_path):
    script = tmp_path / "broken.lua"
    script.write_text("return {\n  api = 1,\n  request = function( end,\n}\n")
    result = run("enrich", script, "--endpoint", stub.url, stdin=b"{}\n", check=78)
    assert b"broken.lua:3" in result.stderr


def test_stdout_that_closes_early_ends_it_without_a_crash(stub, seed, tmp_path):
    import subprocess
    from engine import BINARY, ROOT
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(e.value + b"\n" for e in one_line(events.Maker(seed, pages=50), seed, 500)))
    process = subprocess.Popen([str(BINARY), "enrich", str(SCRIPT), str(path), "--endpoint", stub.url], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    process.stderr.read()
    assert process.wait(60) not in (-6, -11), "it crashed"

"""Scripts change while records are on their way: nothing is lost, and every output is of one good script."""

import os
import re
import shutil
import signal

import engine
import events
from engine import SCRIPT, until
from reloads import WRAPPER, Feeder, Scripts, checked, job_of, outcomes, post_reload, status

BROKEN = {
    "syntax": ("return {\n  api = 1,\n  transform = function(event) retrun event end,\n}\n", r"job\.lua:3: "),
    "selftest": ("return {\n  api = 1,\n  transform = function(event) return event end,\n"
                 "  selftest = function()\n    error \"not today\"\n  end,\n}\n", r"job\.lua:5: not today"),
    "module": ("local part = require \"lib.nowhere\"\nreturn { api = 1, transform = part }\n", r"lib/nowhere\.lua: "),
}


def test_200_reloads_under_load_lose_repeat_and_mix_up_nothing(job, stub, cluster, seed, tmp_path):
    stub.latency(0.002, 0.08, slow=0.4, slow_share=0.01)
    scripts = Scripts(tmp_path / "scripts")
    j = job_of(job, scripts, log={"level": "info"})
    j.start()
    feeder = Feeder(j, events.Maker(seed, pages=200), 6000 if cluster.real else 1500, 0.3)
    feeder.start()
    good, broken, rss, most_states, told = [0], 0, {}, 0, 0
    for n in range(1, 201):
        how, fault = ("api", "signal", "watch")[n % 3], (list(BROKEN)[n // 5 % 3] if n % 5 == 0 else None)
        before = outcomes(j.metrics())
        if fault:
            scripts.write(BROKEN[fault][0].replace("api", f"--[[{n}]] api", 1))
            broken += 1
        else:
            scripts.good(n)
            good.append(n)
        if how == "signal":
            j.signal(signal.SIGHUP)
        if how == "api":
            code, answer = post_reload(j)
            assert code in ((422, 409) if fault else (200, 409)), f"{n}: {code} {answer}\n{j.story()}"
            if code == 422:
                assert re.search(BROKEN[fault][1], answer["message"]), answer
                told += 1
        wanted = "failed" if fault else "swapped"
        metrics = j.until(f"reload {n} ({how}) is {wanted}",
                          lambda m, w=wanted, b=before: m if outcomes(m)[w] > b[w] else None)
        assert metrics.value("millrace_script_last_reload_successful") == (0 if fault else 1)
        most_states = max(most_states, metrics.value("millrace_lua_states"))
        if n in (20, 200):
            rss[n] = metrics.value("process_resident_memory_bytes")
    feeder.ended.set()
    feeder.join()
    scripts.good(200000)
    good.append(200000)
    assert engine.run("reload", "--wait", "--url", f"http://127.0.0.1:{j.port}", check=0).stdout
    j.until_done()

    marks = checked(j)
    versions = {mark[1] for mark in marks}
    assert all(began == mark for began, mark, _ in marks), "a record did not end on the script on which it began"
    assert versions <= set(good), f"outputs of scripts that do not load: {sorted(versions - set(good))}"
    assert len(versions) > 20, f"hardly any script saw a record: {sorted(versions)}"

    metrics, log = j.require_outcomes(), j.stderr()
    got = outcomes(metrics)
    assert got["swapped"] == len(good) - 1, (got, len(good))
    assert got["failed"] >= broken and told > 5, (got, broken, told)
    assert got == {"swapped": log.count("new records begin on"), "failed": log.count(" is not loaded ("),
                   "unchanged": log.count("its params are unchanged"), "busy": log.count(" is not loaded yet (")}
    infos = [labels for name, labels, value in metrics.series if name == "millrace_script_info"]
    assert [i["sha256"] for i in infos] == [scripts.sha256()[:12]], infos
    assert metrics.value("millrace_lua_states") == 1 and most_states <= 4
    sanitized = b"__asan_init" in engine.BINARY.read_bytes()  # which keeps freed memory on purpose
    assert sanitized or rss[200] <= 1.3 * rss[20], f"grew from {rss[20] / 2**20:.1f} to {rss[200] / 2**20:.1f} MiB"
    for _, words in BROKEN.values():
        assert re.search("reload.*" + words, log), f"not in the log: {words}"
    print(f"{got}, at most {most_states:.0f} states, {len(versions)} versions, "
          f"{rss[20] / 2**20:.1f} -> {rss[200] / 2**20:.1f} MiB")


def test_1000_reloads_under_load_lose_nothing_and_take_no_memory(job, stub, cluster, seed, tmp_path):
    stub.latency(0.001, 0.02)
    scripts = Scripts(tmp_path / "scripts")
    j = job_of(job, scripts, script={"reload": "signal", "tests": False}).start()
    feeder = Feeder(j, events.Maker(seed, pages=200), 6000 if cluster.real else 1500, 0.08)
    feeder.start()
    rss = {}
    for n in range(1, 1001):
        scripts.good(n)
        until(f"reload {n} is swapped", lambda: post_reload(j)[0] == 200, story=j.story, every=0.02)
        if n in (300, 1000):
            rss[n] = j.metrics().value("process_resident_memory_bytes")
    feeder.ended.set()
    feeder.join()
    engine.run("reload", "--wait", "--url", f"http://127.0.0.1:{j.port}", check=0)
    j.until_done()
    marks = checked(j)
    assert all(began == mark for began, mark, _ in marks), "a record did not end on the script on which it began"
    assert len({mark[1] for mark in marks}) > 20
    got, metrics = outcomes(j.metrics()), j.require_outcomes()
    assert got["swapped"] == 1000 and got["failed"] == 0 and metrics.value("millrace_lua_states") == 1, got
    sanitized = b"__asan_init" in engine.BINARY.read_bytes()  # which keeps freed memory on purpose
    assert sanitized or rss[1000] <= 1.1 * rss[300], f"grew from {rss[300] / 2**20:.1f} to {rss[1000] / 2**20:.1f} MiB"
    print(f"{got}, {rss[300] / 2**20:.1f} -> {rss[1000] / 2**20:.1f} MiB")


def test_a_broken_script_changes_nothing_and_says_where_it_is_broken(job, stub, seed, tmp_path):
    scripts = Scripts(tmp_path / "scripts")
    j = job_of(job, scripts, script={"reload": "signal"}).start()
    sha = status(j)["sha256"]
    for text, words in BROKEN.values():
        scripts.write(text)
        code, answer = post_reload(j)
        assert code == 422 and answer["outcome"] == "failed" and re.search(words, answer["message"]), answer
        result = engine.run("reload", "--url", f"http://127.0.0.1:{j.port}", check=1)
        assert re.search("^failed: .*" + words, result.stderr.decode()), result
        now = status(j)
        assert now["sha256"] == sha and now["last_outcome"] == "failed" and re.search(words, now["last_error"])
        assert j.metrics().value("millrace_script_last_reload_successful") == 0
        assert re.search("reload.*" + words, j.stderr())
    j.send(events.Maker(seed, pages=5).mixed(50))
    j.until_done()
    assert {mark[1] for mark in checked(j)} == {0}
    scripts.good(0)
    assert engine.run("reload", "--url", f"http://127.0.0.1:{j.port}", check=0).stdout.startswith(b"unchanged: ")
    assert j.metrics().value("millrace_script_last_reload_successful") == 1


def kubelet_writes(volume, version, files):
    """A new folder, and `..data` leads there in one step, as kubelet does with a mounted ConfigMap."""
    dated, data = volume / f"..2026_11_22_{version}", volume / "..data"
    old = os.readlink(data) if data.is_symlink() else None
    for name, text in files.items():
        (dated / name).parent.mkdir(parents=True, exist_ok=True)
        (dated / name).write_text(text)
    os.symlink(dated.name, volume / "..data_tmp")
    os.rename(volume / "..data_tmp", data)
    for name in {name.split("/")[0] for name in files}:
        if not (volume / name).is_symlink():
            os.symlink(f"..data/{name}", volume / name)
    if old:
        shutil.rmtree(volume / old)


def test_a_config_map_with_script_modules_and_params_is_seen_when_it_is_swapped(job, stub, seed, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    fixed = {"shipped.lua": SCRIPT.read_text(), "lib/mediawiki.lua": (SCRIPT.parent / "lib" / "mediawiki.lua").read_text()}

    def mount(version, n):
        kubelet_writes(volume, f"{version}_{n}", {"job.lua": WRAPPER % version, "params.yaml": f"n: {n}\n", **fixed})

    mount(1, 1)
    j = job(script=volume / "job.lua", partitions=2, change={"script": {
        "path": str(volume / "job.lua"), "params": {"missing": "fail", "n": 0},
        "params_file": str(volume / "params.yaml"), "reload": "watch"}}).start()
    maker, swaps = events.Maker(seed, pages=20), [(2, 1), (2, 2), (3, 3)]
    for n, swap in enumerate([(1, 1), *swaps]):
        if n:
            mount(*swap)
            j.until(f"{swap} runs", lambda m, n=n: outcomes(m)["swapped"] == n)
        j.send(maker.mixed(60))
        j.until_done()
    marks = checked(j)
    assert {tuple(mark[1:]) for mark in marks} == {(1, 1), *swaps}
    kubelet_writes(volume, "broken", {"job.lua": WRAPPER % 4, "params.yaml": "n: 1\nm: .nan\n", **fixed})
    j.until("the bad params are refused", lambda m: outcomes(m)["failed"] == 1)
    assert re.search(r"params\.yaml:2:4: \.nan has no form in JSON", status(j)["last_error"])
    assert outcomes(j.metrics()) == {"swapped": 3, "unchanged": 0, "failed": 1, "busy": 0}


def test_reload_with_wait_ends_when_every_record_runs_on_the_new_script(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=4)
    slow, quick = [maker.event() for _ in range(4)], [maker.event() for _ in range(20)]
    stub.rules({"rev": [e.rev for e in slow], "do": "ok", "delay": 15})  # longer than all that is done meanwhile, on any machine
    scripts = Scripts(tmp_path / "scripts")
    j = job_of(job, scripts, script={"reload": "signal"}, order="none",
               http={"upstreams": {"mediawiki": {"timeout": "60s", "merge": False}}}).start()
    url = f"http://127.0.0.1:{j.port}"
    j.send(slow)
    j.until("the slow ones are asked", lambda m: m.sum("millrace_http_in_flight") == 4)
    scripts.good(1)
    result = engine.run("reload", "--wait", "--url", url, "--timeout", "3s", check=1)
    assert b"swapped: " in result.stdout and b"1 older state still finishes its records" in result.stderr
    j.send(quick)
    assert engine.run("reload", "--url", url, check=0).stdout.startswith(b"unchanged: ")
    assert status(j)["states"] == 2
    engine.run("reload", "--wait", "--url", url, check=0)
    assert status(j)["states"] == 1 and j.metrics().value("millrace_lua_states") == 1
    j.until_done()
    marks = checked(j)
    assert sorted(mark[1] for mark in marks) == [0] * 4 + [1] * 20


def test_a_fifth_script_waits_for_the_records_of_the_first(job, stub, seed, tmp_path):
    maker = events.Maker(seed, pages=50)
    records = [maker.event() for _ in range(4)]
    stub.rules({"rev": [e.rev for e in records], "do": "ok", "delay": 20})  # longer than four reloads take, on any machine
    scripts = Scripts(tmp_path / "scripts")
    j = job_of(job, scripts, order="none", http={"upstreams": {"mediawiki": {"timeout": "60s", "merge": False}}}).start()
    for version, record in enumerate(records):
        if version:
            scripts.good(version)
            assert post_reload(j)[0] == 200
        j.send([record])
        j.until("it is asked", lambda m, n=version + 1: m.sum("millrace_http_in_flight") == n)
    scripts.good(4)
    code, answer = post_reload(j)
    assert code == 409 and answer["outcome"] == "busy", answer
    result = engine.run("reload", "--url", f"http://127.0.0.1:{j.port}", check=1)
    assert result.stderr.startswith(b"busy: 3 older states still finish their records"), result
    engine.run("reload", "--wait", "--url", f"http://127.0.0.1:{j.port}", check=0)
    assert outcomes(j.metrics())["swapped"] == 4 and status(j)["sha256"] == scripts.sha256()
    j.send([maker.event()])
    j.until_done()
    assert sorted(mark[1] for mark in checked(j)) == [0, 1, 2, 3, 4]


def test_reload_says_when_nobody_is_there(tmp_path):
    port = engine.kafka.free_ports(1)[0]
    result = engine.run("reload", "--url", f"http://127.0.0.1:{port}", check=69)
    assert str(port).encode() in result.stderr and b"refused" in result.stderr
    engine.run("reload", "--url", f"127.0.0.1:{port}", check=2)
    engine.run("reload", "--wiat", check=2)
    engine.run("reload", "--token-file", tmp_path / "none", check=2)


def test_a_script_that_may_not_be_reloaded_is_not(job, stub, seed, tmp_path):
    scripts = Scripts(tmp_path / "scripts")
    j = job_of(job, scripts, script={"reload": "off"}).start()
    sha = status(j)["sha256"]
    scripts.good(1)
    assert post_reload(j) == (422, {"outcome": "failed", "message": "script.reload is off; a restart loads the script"})
    j.signal(signal.SIGHUP)
    until("the log says so", lambda: "script.reload is off" in j.stderr())
    assert status(j)["sha256"] == sha and sum(outcomes(j.metrics()).values()) == 0

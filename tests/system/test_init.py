"""`millrace init` and `millrace types`: a project that works as it is made."""

import http.server
import json
import os
import shutil
import subprocess
import threading

import pytest

from engine import ROOT, run

FILES = {"README.md", "millrace.yaml", "scripts/enrich.lua", "scripts/enrich_test.yaml", "samples/events.jsonl",
         "samples/Earth.json", "samples/Moon.json", "samples/Nowhere.json", ".luarc.json", ".luacheckrc",
         ".millrace/library/millrace.lua", ".gitignore"}


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "planets"
    run("init", folder, check=0)
    return folder


class Planets(http.server.BaseHTTPRequestHandler):
    """The service of the samples: answers what was recorded of it."""

    def do_GET(self):
        path = self.server.samples / self.path.lstrip("/")
        answer = json.loads(path.read_text())["answers"][0] if path.exists() else {"status": 404, "json": {}}
        body = json.dumps(answer["json"]).encode()
        self.send_response(answer["status"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def planets(project):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Planets)
    server.samples = project / "samples"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_project_has_its_files_and_passes_check(project):
    assert files_of(project) == FILES
    said = run("check", "millrace.yaml", "scripts/enrich.lua", cwd=project, check=0)
    assert b"0 errors, 0 warnings" in said.stdout, said
    assert "name: planets\n" in (project / "millrace.yaml").read_text()
    assert "@NAME@" not in "".join((project / name).read_text() for name in FILES)


def test_its_script_enriches_its_samples(project, planets):
    result = run("enrich", "scripts/enrich.lua", "samples/events.jsonl", "--endpoint", planets, cwd=project, check=0)
    assert result.stdout.decode().splitlines() == [
        '{"id":1,"title":"Earth","radius_km":6371}',
        '{"id":2,"title":"Moon","ratio":1.0,"tags":[],"radius_km":1737.4}',
        '{"id":3,"title":"Nowhere"}'] or sorted(map(keys, result.stdout.splitlines())) == sorted(map(keys, [
            b'{"id":1,"title":"Earth","radius_km":6371}',
            b'{"id":2,"title":"Moon","ratio":1.0,"tags":[],"radius_km":1737.4}',
            b'{"id":3,"title":"Nowhere"}']))
    assert b"2 enriched, 1 passed, 1 dropped, 0 failed" in result.stderr


def keys(line):
    """The members of a line as they are written, whatever their order."""
    return sorted(line.strip(b"{}").replace(b"[]", b"()").split(b","))


def test_its_samples_can_be_replayed_without_a_network(project):
    result = run("enrich", "scripts/enrich.lua", "--replay", "samples", cwd=project, check=0)
    assert b"2 enriched, 1 passed, 1 dropped, 0 failed" in result.stderr


def test_its_tests_pass(project):
    result = run("test", "scripts", cwd=project, check=0)
    assert b"6 passed, 0 failed" in result.stdout + result.stderr, result


@pytest.mark.skipif(shutil.which("luacheck") is None, reason="luacheck is not here")
def test_luacheck_knows_what_a_script_may_name(project):
    subprocess.run(["luacheck", "-q", "scripts"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    for bad in ("local f = io.open('x')\nreturn f", "os.execute('x')", "return xpcall(print, print)", "return string.dump"):
        (project / "scripts/bad.lua").write_text(bad + "\n")
        result = subprocess.run(["luacheck", "scripts/bad.lua"], cwd=project, stdout=subprocess.PIPE)
        assert result.returncode == 1 and b"accessing undefined" in result.stdout, (bad, result.stdout)
    allowed = run("enrich", write_names(project), stdin=b"{}\n", check=0).stdout
    (project / "scripts/bad.lua").write_text("".join(f"print({name})\n" for name in json.loads(allowed)["names"]))
    subprocess.run(["luacheck", "-q", "scripts"], cwd=project, check=True, stdout=subprocess.DEVNULL)


def write_names(project):
    """A script that answers all that the sandbox has."""
    path = project / "names.lua"
    path.write_text("""\
local function list(t, prefix, out)
  for name, value in pairs(t) do
    if type(value) == "table" and name ~= "_G" then list(value, name .. ".", out)
    else out[#out + 1] = prefix .. name end
  end
  return out
end
return {api = 1, transform = function() return {names = list(_G, "", {})} end}
""")
    return path


def test_the_settings_for_the_editor_lead_to_the_types(project):
    settings = json.loads((project / ".luarc.json").read_text())
    assert settings["runtime.version"] == "LuaJIT" and settings["workspace.library"] == [".millrace/library"]
    types = run("types", check=0).stdout
    assert (project / ".millrace/library/millrace.lua").read_bytes() == types == \
        (ROOT / "scripts/types/millrace.lua").read_bytes()


def test_nothing_that_is_there_is_overwritten(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/enrich.lua").write_text("mine")
    (tmp_path / ".luacheckrc").symlink_to("nowhere")
    said = run("init", tmp_path, check=1).stderr.decode()
    assert "scripts/enrich.lua\n" in said and ".luacheckrc\n" in said and "README.md" not in said, said
    assert (tmp_path / "scripts/enrich.lua").read_text() == "mine"
    assert files_of(tmp_path) == {"scripts/enrich.lua"}
    os.remove(tmp_path / "scripts/enrich.lua")
    os.remove(tmp_path / ".luacheckrc")
    run("init", tmp_path, check=0)
    assert run("init", tmp_path, check=1).stderr.count(b"\n  ") == len(FILES)


def test_a_folder_of_any_name_gets_a_job_that_loads(tmp_path):
    for folder, name in (("My Planets!", "my-planets"), ("\u00e4\u00f6", "job"), ("a/b/C.d", "c-d"), ("-x-", "x")):
        run("init", tmp_path / folder, check=0)
        assert f"name: {name}\n" in (tmp_path / folder / "millrace.yaml").read_text()
        run("check", tmp_path / folder / "millrace.yaml", check=0)
    run("init", tmp_path / "named", "--name", "my-job", check=0)
    assert "name: my-job\n" in (tmp_path / "named/millrace.yaml").read_text()
    here = tmp_path / "here"
    here.mkdir()
    run("init", ".", cwd=here, check=0)
    assert "name: here\n" in (here / "millrace.yaml").read_text()


def test_what_cannot_be_made_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    assert b"cannot be made" in run("init", tmp_path / "file/below", check=1).stderr
    (tmp_path / "half").mkdir()
    (tmp_path / "half/samples").write_text("in the way")
    assert b"cannot be written: Not a directory" in run("init", tmp_path / "half", check=1).stderr
    assert files_of(tmp_path / "half") == {"samples"}
    assert b"no folder" in run("init", check=2).stderr
    assert b"--name" in run("init", tmp_path / "x", "--name", "My Job", check=2).stderr
    assert run("types", "more", check=2).stderr

"""A real MediaWiki for the tests: Debian's package, unpacked beside the build, on SQLite and PHP's own web server.

The package is unpacked and not installed, because installing it brings a web server that listens at once. What PHP
needs comes by `tests/setup wiki`."""

import functools
import http.cookiejar
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import kafka

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("MILLRACE_WIKI_DIR", ROOT / "build" / "mediawiki"))
PASSWORD = "a-password-of-the-tests-1"
SETTINGS = """
$wgGroupPermissions['sysop']['deleterevision'] = true;
$wgGroupPermissions['sysop']['deletelogentry'] = true;
$wgGroupPermissions['sysop']['noratelimit'] = true;
$wgJobRunRate = 0;
$wgMainCacheType = CACHE_NONE;
$wgUseFileCache = false;
$wgShowExceptionDetails = true;
"""


class Unavailable(Exception):
    """No MediaWiki can be had here; says why."""


def _run(*command, **options):
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, **options)
    if result.returncode:
        raise Unavailable(f"{command[0]} failed: {result.stdout.decode(errors='replace').strip()[-500:]}")
    return result.stdout.decode(errors="replace")


@functools.lru_cache()
def _unpacked():
    """The folder with MediaWiki's api.php; fetched once."""
    for tool in "php", "apt-get", "dpkg-deb":
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not there: tests/setup wiki")
    folder = CACHE / "usr" / "share" / "mediawiki"
    if not (folder / "ready").exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.mkdir(parents=True)
        _run("apt-get", "download", "mediawiki", "mediawiki-classes", cwd=CACHE)
        for package in CACHE.glob("*.deb"):
            _run("dpkg-deb", "-x", package, CACHE)
            package.unlink()
        for link in folder.iterdir():
            if link.is_symlink():  # into /etc and /var, as installed
                link.unlink()
        for name in "extensions", "images":
            (folder / name).mkdir(exist_ok=True)
        (folder / "ready").touch()
    return folder


class Wiki:
    """One wiki of its own in a temporary folder, and its administrator."""

    def __init__(self):
        code = _unpacked()
        self.folder = Path(tempfile.mkdtemp(prefix="millrace-wiki-"))
        self.process = None
        try:
            self.port = kafka.free_ports(1)[0]
            self.url = f"http://127.0.0.1:{self.port}/api.php"
            _run("php", code / "maintenance" / "install.php", "--dbtype=sqlite", f"--dbpath={self.folder}/db", "--dbname=wiki",
                 f"--server=http://127.0.0.1:{self.port}", "--scriptpath=", f"--confpath={self.folder}",
                 f"--pass={PASSWORD}", "Test wiki", "Admin")
            with open(self.folder / "LocalSettings.php", "a") as settings:
                settings.write(SETTINGS)
            with open(self.folder / "php.log", "ab") as log:
                self.process = subprocess.Popen(
                    ["php", "-d", "memory_limit=512M", "-d", "opcache.enable_cli=1", "-S", f"127.0.0.1:{self.port}", "-t", str(code)],
                    env={**os.environ, "MW_CONFIG_FILE": f"{self.folder}/LocalSettings.php", "PHP_CLI_SERVER_WORKERS": "4"},
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=kafka.die_with_parent, start_new_session=True)
            self.open = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())).open
            self._wait_ready()
            self._log_in()
        except BaseException:
            self.close()
            raise

    def _wait_ready(self):
        deadline = time.monotonic() + 120
        while True:
            try:
                self.api(meta="siteinfo", action="query")
                return
            except (OSError, ValueError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise Unavailable(f"MediaWiki does not answer: {(self.folder / 'php.log').read_text()[-500:]}") from None
                time.sleep(0.2)

    def _log_in(self):
        token = self.api(action="query", meta="tokens", type="login")["query"]["tokens"]["logintoken"]
        answer = self.api({"lgname": "Admin", "lgpassword": PASSWORD, "lgtoken": token}, action="login")
        assert answer["login"]["result"] == "Success", answer
        self.token = self.api(action="query", meta="tokens")["query"]["tokens"]["csrftoken"]

    def api(self, data=None, **query):
        """The Action API's answer, errors as exceptions; data makes it a POST."""
        query.update(format="json", formatversion="2")
        body = urllib.parse.urlencode(data).encode() if data is not None else None
        with self.open(f"{self.url}?{urllib.parse.urlencode(query)}", body, timeout=120) as answer:
            value = json.load(answer)
        if "error" in value:
            raise ValueError(json.dumps(value["error"]))
        return value

    def do(self, action, **data):
        """A change, by the administrator."""
        return self.api({**data, "token": self.token}, action=action)[action]

    def raw(self, rev):
        """The text of a revision by the page view's `action=raw`: another way than the API, to compare with."""
        with self.open(f"http://127.0.0.1:{self.port}/index.php?action=raw&oldid={rev}", timeout=120) as answer:
            return answer.read().decode()

    def close(self):
        if self.process:
            try:
                os.killpg(self.process.pid, 9)  # its workers, too
            except ProcessLookupError:
                pass
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

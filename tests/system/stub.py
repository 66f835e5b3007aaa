"""An Action API that behaves as it is told: answers revids queries as MediaWiki does, or fails on purpose.

It has two more routes, to which rules hold as well: the REST API's HTML of a revision (html()), and a model server
that scores one (score()).

Runs in a process of its own (`python3 stub.py`, prints its port); the class Stub starts and steers it. What a
revision says follows from its host and id (content()), so a checker can compute it again. A rule is a dict:

  host, rev    which lookups it is for (rev: a number or a list); neither = every lookup
  modulus      [m, r]: revisions that leave r when divided by m
  share        only so many of the asks, 0 to 1, by chance
  times        only the first so many asks of each revision; absent = all
  seconds      only until so long after the first ask of that revision
  do           status  (status, headers, body)     maxlag   (HTTP 200, error.code, Retry-After)
               error   (code: an Action API error) html     (HTTP 200 with a page of HTML)
               missing (badrevids)                 hidden   (slots without text)
               drip     (the answer in pieces, over so many `over` seconds)
               large    (so many bytes of `padding` more in the answer)
               truncate, malformed, reset, hang, stall (the head alone), cut (no length, ends early),
               garbage  (no HTTP at all)           ok       (as if there were no rule)
  delay        seconds before the answer instead of the usual latency
  bytes        how long the text of the main slot is, in UTF-8
  plain        true: the answer is not compressed, whoever would take it

The first rule that holds decides. Rules about a whole call hold for it when one of its revisions asks for them; where
several do, the first of them in the list.
"""

import asyncio
import gzip
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import zlib
from urllib.parse import parse_qs, unquote

PARAGRAPHS = [
    "== History ==\nThe mill stands on the ''Race'', a narrow channel. It was {{convert|12|m|ft}} wide.\n",
    "Он родился в маленьком городе; \"мельница\" работала до 1954 года. <ref name=\"a\">Стр. 12</ref>\n",
    "水車は川の流れで回る。「製粉所」と呼ばれた。[[ファイル:Mill.jpg|thumb|水車]]\n",
    "{| class=\"wikitable\"\n! Year !! Flour \\ t\n|-\n| 1801 || 3.50\n|-\n| 1802 || 1e3\n|}\n",
    "تعمل الطاحونة بقوة الماء.\tκαὶ ὁ μύλος 🎉🏳️‍🌈 \u2028 \u007f end\n",
    "C:\\new\\table \\u0041 \\\" \b\f \u001f / </script> &amp; <!-- x --> %s %d ${HOME} `x`\n",
]
REST_HTML = re.compile(r"/w/rest\.php/v1/revision/(\d+)/html")
MODEL = re.compile(r"/v1/models/([^/]+):predict")
BIG_EVERY = 50
TOO_MANY = 50


def page_of(rev):
    """The page a revision is of, for revisions that nobody described otherwise."""
    return rev // 1000


def roles_of(host):
    return ["main", "mediainfo"] if host.startswith("commons") else ["main"]


def content(host, rev, role="main", size=None):
    """The text of a slot: awkward on purpose, 0 bytes to about 90 KB or that size, the same for the same revision."""
    if size is not None and role == "main":
        page = (f"{host} {rev}\n" + "".join(PARAGRAPHS)).encode()
        return (page * (size // len(page) + 1))[:size].decode(errors="ignore")
    seed = zlib.crc32(f"{host}/{rev}/{role}".encode())
    if role != "main":
        return json.dumps({"type": "mediainfo", "id": f"M{rev}", "labels": [], "n": seed, "ratio": 1.0})
    if seed % 41 == 0:
        return ""
    pieces, left = [f"{host} {rev}\n"], 60 + seed % 3000 if seed % BIG_EVERY else 80000
    while left > 0:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        piece = PARAGRAPHS[(seed >> 8) % len(PARAGRAPHS)]
        pieces.append(piece)
        left -= len(piece)
    return "".join(pieces)


def html(host, rev):
    """The page as readers see it; it differs from its parent in two lines."""
    lines = [f"<p>{host} {n} {PARAGRAPHS[n % len(PARAGRAPHS)].rstrip()}</p>" for n in range(40)]
    lines[rev % 40] = f"<p>revision {rev}</p>"
    return "<html>\n" + "\n".join(lines) + "\n</html>\n"


def score(rev):
    """How likely the revision is to be reverted."""
    return rev * 37 % 101 / 100


def slot(role, text):
    if role == "main":
        return {"contentmodel": "wikitext", "contentformat": "text/x-wiki", "content": text}
    return {"contentmodel": "wikibase-mediainfo", "contentformat": "application/json", "content": text}


def error_body(code, info, **more):
    return {"error": {"code": code, "info": info, **more,
                      "docref": "See http://127.0.0.1/w/api.php for API usage."}}


class State:
    def __init__(self):
        self.reset()

    def reset(self):
        self.rules, self.latency, self.known, self.known_only = [], {"low": 0.0, "high": 0.0}, {}, False
        self.random = random.Random(1)
        self.most_bytes, self.continued, self.batches = None, 0, {}
        self.calls, self.asks, self.statuses, self.requests = 0, {}, {}, []
        self.first_ask, self.rule_uses = {}, {}
        self.now, self.most, self.now_page, self.most_page, self.now_host, self.most_host = 0, 0, {}, 0, {}, {}
        self.connections, self.lookups, self.record = 0, 0, True

    def rule(self, host, rev, now):
        for index, rule in enumerate(self.rules):
            if "host" in rule and rule["host"] != host:
                continue
            wanted = rule.get("rev")
            if wanted is not None and (rev not in wanted if isinstance(wanted, list) else rev != wanted):
                continue
            if "modulus" in rule and rev % rule["modulus"][0] != rule["modulus"][1]:
                continue
            if "share" in rule and self.random.random() >= rule["share"]:
                continue
            if "seconds" in rule and now - self.first_ask[host, rev] >= rule["seconds"]:
                continue
            uses = self.rule_uses.get((index, host, rev), 0)
            if "times" in rule and uses >= rule["times"]:
                continue
            self.rule_uses[index, host, rev] = uses + 1
            return rule
        return {"do": "ok"}

    def delay(self):
        latency = self.latency
        if latency.get("slow_share") and self.random.random() < latency["slow_share"]:
            return latency["slow"]
        return self.random.uniform(latency["low"], latency["high"])

    def stats(self):
        return {"calls": self.calls, "lookups": self.lookups, "statuses": self.statuses, "in_flight": self.now,
                "continued": self.continued, "batches": self.batches,
                "most": self.most, "most_on_one_page": self.most_page, "most_by_host": self.most_host,
                "connections": self.connections, "revisions": len(self.asks),
                "asks": [[host, rev, n] for (host, rev), n in self.asks.items()]}


class Connection(asyncio.Protocol):
    def __init__(self, state):
        self.state, self.buffer, self.busy = state, b"", None

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.state.connections += 1

    def connection_lost(self, why):
        if self.busy:
            self.busy.cancel()
            self.busy = None
            self.leave()

    def data_received(self, data):
        self.buffer += data
        self.next()

    def next(self):
        if self.busy:
            return
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        body = self.buffer[end + 4:end + 4 + length]
        self.buffer = self.buffer[end + 4 + length:]
        method, target, _ = lines[0].split(" ")
        path, _, query = target.partition("?")
        if path.startswith("/_stub/"):
            self.steer(path[7:], body)
        else:
            self.ask(method, path, query, headers, body)

    def steer(self, verb, body):
        state, value, answer = self.state, json.loads(body) if body else None, {}
        if verb == "reset":
            state.reset()
        elif verb == "stats":
            answer = state.stats()
        elif verb == "requests":
            answer = state.requests
        elif verb in ("rules", "latency", "known_only", "record", "most_bytes"):
            setattr(state, verb, value)
        elif verb == "known":
            state.known.update({int(rev): what for rev, what in value.items()})
        self.send(200, {}, json.dumps(answer).encode())

    def ask(self, method, path, query, headers, body):
        state, now = self.state, time.monotonic()
        host = headers.get("host", "").split(":")[0]
        arguments = {name: values[-1] for name, values in parse_qs(query or body.decode(), True).items()}
        state.calls += 1
        texts = arguments["revids"].split("|") if arguments.get("revids") else []
        if REST_HTML.fullmatch(path):
            texts = [REST_HTML.fullmatch(path)[1]]
        elif MODEL.fullmatch(path):
            texts = [str(json.loads(body)["rev_id"])]
        revs = [int(text) for text in texts if text.isdigit()]
        state.lookups += len(revs)
        state.batches[str(len(revs))] = state.batches.get(str(len(revs)), 0) + 1
        rules = []
        for rev in revs:
            state.first_ask.setdefault((host, rev), now)
            state.asks[host, rev] = state.asks.get((host, rev), 0) + 1
            rules.append(state.rule(host, rev, now))
        if state.record and len(state.requests) < 20000:
            state.requests.append({"method": method, "path": path, "query": unquote(query), "headers": headers,
                                   "host": host, "revs": revs, "time": time.time()})
        self.host, self.pages = host, [page_of(rev) for rev in revs]
        self.enter()
        asked = [r for r in rules if r["do"] not in ("ok", "missing", "hidden")]
        whole = min(asked, key=state.rules.index, default=None)
        delay = next((r["delay"] for r in rules if "delay" in r), None)
        answer = (path, texts, revs, rules, whole, arguments, headers)
        self.busy = asyncio.get_running_loop().call_later(state.delay() if delay is None else delay, self.answer, answer)

    def enter(self):
        state = self.state
        state.now += 1
        state.most = max(state.most, state.now)
        state.now_host[self.host] = state.now_host.get(self.host, 0) + 1
        state.most_host[self.host] = max(state.most_host.get(self.host, 0), state.now_host[self.host])
        for page in self.pages:
            state.now_page[self.host, page] = state.now_page.get((self.host, page), 0) + 1
            state.most_page = max(state.most_page, state.now_page[self.host, page])

    def leave(self):
        self.state.now -= 1
        self.state.now_host[self.host] -= 1
        for page in self.pages:
            self.state.now_page[self.host, page] -= 1

    def answer(self, question):
        path, texts, revs, rules, whole, arguments, headers = question
        do = whole["do"] if whole else "ok"
        if do == "hang":
            return  # busy stays set: nothing more comes on this connection
        self.busy = None
        self.leave()
        if do == "reset":
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        if do == "status":
            self.send(whole["status"], whole.get("headers", {}), whole.get("body", "<html>sorry</html>").encode())
        elif do == "garbage":
            self.transport.write(bytes(self.state.random.randrange(256) for _ in range(200)))
            self.transport.close()
            return
        elif do == "html":
            self.send(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><p>Our servers are under maintenance")
        elif do == "maxlag":
            self.send(200, {"Retry-After": str(whole.get("after", 1)), "X-Database-Lag": "7",
                            "MediaWiki-API-Error": "maxlag"}, self.json(error_body(
                                "maxlag", "Waiting for 10.0.0.1: 7 seconds lagged.", host="10.0.0.1", lag=7)))
        elif do == "error":
            self.send(200, {"MediaWiki-API-Error": whole["code"]}, self.json(error_body(whole["code"], "No.")))
        elif REST_HTML.fullmatch(path) or MODEL.fullmatch(path):
            self.other(path, revs[0], rules[0])
        elif path != "/w/api.php":
            self.send(404, {"Content-Type": "text/html"}, b"<html>no such wiki</html>")
        else:
            value = self.query(texts, revs, rules, arguments)
            if do == "large":
                value["padding"] = "p" * whole["padding"]
            body = self.json(value)
            if do == "malformed":
                body = body[:-2] + b"]"
            if do in ("drip", "stall", "cut"):
                self.trickle(do, body, whole)
                return
            plain = any(rule.get("plain") for rule in rules)
            self.send(200, {}, body, truncate=do == "truncate", headers_asked=None if plain else headers,
                      chunked=bool(revs) and revs[0] % 7 == 3)
        self.next()

    def other(self, path, rev, rule):
        if rule["do"] == "missing":
            self.send(404, {}, self.json({"errorKey": "rest-nonexistent-revision", "httpCode": 404}))
        elif REST_HTML.fullmatch(path):
            self.send(200, {"Content-Type": "text/html; charset=utf-8", "ETag": f'"{rev}/stub"'}, html(self.host, rev).encode())
        else:
            self.send(200, {}, self.json({
                "model_name": MODEL.fullmatch(path)[1], "model_version": "3", "revision_id": rev, "output": {
                    "prediction": score(rev) >= 0.5, "probabilities": {"true": score(rev), "false": 1 - score(rev)}}}))

    def trickle(self, do, body, whole):
        """Answers that take their time, or never come to their end."""
        length = "" if do == "cut" else f"Content-Length: {len(body)}\r\n"
        self.transport.write(f"HTTP/1.1 200 Stub\r\nContent-Type: application/json\r\n{length}\r\n".encode())
        if do == "cut":
            self.transport.write(body[:len(body) // 2])
            self.transport.close()
        elif do == "drip":
            pieces, size = 20, len(body) // 20 + 1
            self.busy = asyncio.get_running_loop().create_task(
                self.drip([body[n * size:(n + 1) * size] for n in range(pieces)], whole.get("over", 2.0) / pieces))
            self.enter()
        # stall: nothing more comes on this connection

    async def drip(self, pieces, wait):
        for piece in pieces:
            await asyncio.sleep(wait)
            self.transport.write(piece)
        self.busy = None
        self.leave()
        self.next()

    @staticmethod
    def json(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def query(self, texts, revs, rules, arguments):
        if arguments.get("action") != "query" or arguments.get("format") != "json":
            return error_body("unknown_action", "Expected action=query and format=json.")
        if arguments.get("formatversion") != "2" or arguments.get("rvslots") != "*":
            return error_body("stub_expectation", "Expected formatversion=2 and rvslots=*.")
        if len(texts) > TOO_MANY:
            return error_body("toomanyvalues", f'Too many values supplied for parameter "revids". The limit is {TOO_MANY}.',
                              limit=TOO_MANY, lowlimit=TOO_MANY, highlimit=500)
        if len(revs) < len(texts):
            return error_body("badinteger", "Invalid value for integer parameter \"revids\".")
        pages, bad, size, later = {}, {}, 0, None
        for rev, rule in sorted(zip(revs, rules), key=lambda pair: pair[0]):
            known = self.state.known.get(rev)
            if rule["do"] == "missing" or (known is None and self.state.known_only) or (known and known.get("missing")):
                bad[str(rev)] = {"revid": rev, "missing": True}
                continue
            page, revision = self.revision(rev, rule, known, "content" in arguments.get("rvprop", ""))
            size += sum(len(s.get("content", "").encode()) for s in revision["slots"].values())
            if self.state.most_bytes and size > self.state.most_bytes:
                later = rev
                break
            pages.setdefault(page["pageid"], {**page, "revisions": []})["revisions"].append(revision)
        answer = {"batchcomplete": True, "query": {}}
        if later:
            self.state.continued += 1
            answer = {"continue": {"rvcontinue": str(later), "continue": "||"}, "query": {}}
        if bad:
            answer["query"]["badrevids"] = bad
        if pages:
            answer["query"]["pages"] = list(pages.values())
        return answer

    def revision(self, rev, rule, known, with_content):
        if known:
            return known["page"], known["revision"]
        page = page_of(rev)
        slots = {}
        for role in roles_of(self.host):
            if rule["do"] == "hidden":
                slots[role] = {"texthidden": True}
            else:
                slots[role] = slot(role, content(self.host, rev, role, rule.get("bytes")))
                if not with_content:
                    del slots[role]["content"]
        return ({"pageid": page, "ns": 0, "title": f"Page {page}"},
                {"revid": rev, "parentid": rev - 1, "slots": slots})

    def send(self, status, headers, body, truncate=False, chunked=False, headers_asked=None):
        self.state.statuses[str(status)] = self.state.statuses.get(str(status), 0) + 1
        head = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "private", **headers}
        if headers_asked and "gzip" in headers_asked.get("accept-encoding", "") and len(body) > 8000:
            body = gzip.compress(body, 1)
            head["Content-Encoding"] = "gzip"
        if chunked and not truncate:
            head["Transfer-Encoding"] = "chunked"
            middle = len(body) // 2
            parts = [body[:middle], body[middle:]]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        else:
            head["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.transport.write(f"HTTP/1.1 {status} Stub\r\n{lines}\r\n".encode("latin-1")
                             + (body[:len(body) // 2] if truncate else body))
        if truncate:
            self.transport.close()


async def serve():
    state = State()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", int(os.environ.get("STUB_PORT", 0)), backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Stub:
    """A running stub, from the tests' side."""

    def __init__(self, port=0):
        import kafka
        self.process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        env={**os.environ, "STUB_PORT": str(port)}, text=True,
                                        preexec_fn=kafka.die_with_parent)
        line = self.process.stdout.readline()
        assert line, "the API stub did not start"
        self.port = int(line)
        self.url = f"http://127.0.0.1:{self.port}/w/api.php"
        self.rest = f"http://127.0.0.1:{self.port}/w/rest.php/v1"
        self.root = f"http://127.0.0.1:{self.port}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def _steer(self, verb, value=None):
        data = None if value is None else json.dumps(value).encode()
        with self._open(f"http://127.0.0.1:{self.port}/_stub/{verb}", data, timeout=30) as answer:
            return json.load(answer)

    def reset(self):
        self._steer("reset")

    def rules(self, *rules):
        self._steer("rules", list(rules))

    def most_bytes(self, size):
        """As $wgAPIMaxResultSize: what is over it is left out, and `continue` says so."""
        self._steer("most_bytes", size)

    def latency(self, low, high, slow=0.0, slow_share=0.0):
        self._steer("latency", {"low": low, "high": high, "slow": slow, "slow_share": slow_share})

    def known(self, answers, only=True):
        """Answers recorded from a MediaWiki, each a whole response body as a dict."""
        revisions = {}
        for answer in answers:
            query = answer.get("query", {})
            for page in query.get("pages", []):
                for revision in page.get("revisions", []):
                    revisions[revision["revid"]] = {
                        "page": {k: v for k, v in page.items() if k != "revisions"}, "revision": revision}
            for rev in query.get("badrevids", {}):
                revisions[int(rev)] = {"missing": True}
        self._steer("known", revisions)
        self._steer("known_only", only)

    def stats(self):
        stats = self._steer("stats")
        stats["asks"] = {(host, rev): n for host, rev, n in stats["asks"]}
        return stats

    def requests(self):
        return self._steer("requests")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass

#!/usr/bin/env python3
"""A stand-in for MediaWiki's Action API: answers revids queries of any wiki with text made up from the id.

It takes its time (20 to 150 ms), refuses one call in 60 with 503 and one in 90 with 429, and does not know the
revisions from 1990000000 to 1999999999: so there is something to see in the metrics. Needs Python 3 alone.

    python3 stub.py [ADDRESS:PORT]             0.0.0.0:6500 unless given
    python3 stub.py --health [ADDRESS:PORT]    asks the one that runs whether it is well
"""

import itertools
import json
import random
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MOST_REVISIONS = 50
UNKNOWN = range(1990000000, 2000000000)
calls = itertools.count(1)


def slots(host, revision):
    sentence = "The race turns the wheel, the wheel turns the stone. "
    text = f"Revision {revision} of {host}.\n\n" + sentence * (revision // 100000 % 200)
    made = {"main": {"contentmodel": "wikitext", "contentformat": "text/x-wiki", "content": text}}
    if host.startswith("commons."):
        made["mediainfo"] = {"contentmodel": "wikibase-mediainfo", "contentformat": "application/json",
                             "content": json.dumps({"type": "mediainfo", "id": f"M{revision}"})}
    return made


def page(host, revision):
    number = revision // 1000
    return {"pageid": number, "ns": 0, "title": f"Page {number}",
            "revisions": [{"revid": revision, "parentid": revision - 1, "slots": slots(host, revision)}]}


def query(host, parameters):
    revisions = [int(text) for text in parameters.get("revids", "").split("|") if text.isdigit()]
    if parameters.get("action") != "query" or not revisions:
        return {"error": {"code": "badvalue", "info": "This stub answers action=query with revids alone."}}
    if len(revisions) > MOST_REVISIONS:
        return {"error": {"code": "toomanyvalues", "info": f"The limit is {MOST_REVISIONS}."}}
    answer = {"pages": [page(host, revision) for revision in revisions if revision not in UNKNOWN]}
    unknown = {str(id): {"revid": id, "missing": True} for id in revisions if id in UNKNOWN}
    if unknown:
        answer["badrevids"] = unknown
    return {"batchcomplete": True, "query": answer}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "stub", ""

    def do_GET(self):
        self.answer(urlsplit(self.path).query)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def answer(self, text):
        path = urlsplit(self.path).path
        if path == "/health":
            return self.send(200, {"well": True})
        if path != "/w/api.php":
            return self.send(404, {"error": {"code": "stub", "info": "expected /w/api.php"}})
        number = next(calls)
        time.sleep(random.uniform(0.02, 0.15))
        if number % 60 == 0:
            return self.send(503, {"error": {"code": "stub", "info": "one call in 60 meets this"}})
        if number % 90 == 0:
            error = {"code": "stub", "info": "one call in 90 meets this"}
            return self.send(429, {"error": error}, {"Retry-After": "1"})
        host = self.headers.get("Host", "").split(":")[0]
        parameters = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
        self.send(200, query(host, parameters))

    def send(self, status, value, headers=None):
        body = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json; charset=utf-8", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main(arguments):
    healthy = "--health" in arguments
    place = next((a for a in arguments if not a.startswith("-")), "0.0.0.0:6500")
    host, _, port = place.rpartition(":")
    if healthy:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(f"http://127.0.0.1:{port}/health", timeout=3)
        return
    Server((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        pass

"""Schema repositories for tests: a folder, or the same over HTTP, which can be away."""

import http.server
import json
import threading

TITLE = "mediawiki/page/change"
MEMBERS = ["$schema", "changelog_kind", "page_change_kind", "dt", "wiki_id", "comment", "meta", "page", "revision",
           "performer", "prior_state", "created_redirect_page"]


def page_change(version, more=(), **changes):
    """A closed schema of page changes with those members, and more."""
    properties = {name: {} for name in [*MEMBERS, *more]}
    properties["comment"] = {"type": "string"}
    properties["meta"] = {"$ref": "/fragment/meta/1.0.0#"}
    properties.update(changes)
    return {"title": TITLE, "$id": f"/{TITLE}/{version}", "$schema": "https://json-schema.org/draft-07/schema#",
            "type": "object", "required": ["$schema", "meta", "revision"], "additionalProperties": False,
            "properties": properties}


META = {"title": "fragment/meta", "$id": "/fragment/meta/1.0.0", "$schema": "https://json-schema.org/draft-07/schema#",
        "type": "object", "required": ["stream"], "properties": {"stream": {"type": "string", "minLength": 1}}}


class Folder:
    def __init__(self, path, *schemas):
        self.path, self.uri = path, f"file://{path}"
        for schema in [META, *schemas]:
            self.add(schema)

    def add(self, schema, ending=".json"):
        path = self.path / (schema["$id"][1:] + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema))


class Server:
    """The schemas by their paths, without an ending, and the last one of each title as its `latest`; or 503, or not a word while it
    may not answer."""

    def __init__(self, *schemas):
        self.schemas, self.away, self.asked = {}, False, []
        self.may_answer = threading.Event()
        self.may_answer.set()
        for schema in [META, *schemas]:
            self.add(schema)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.headers["Host"], self.path))
                outer.may_answer.wait()
                schema = outer.schemas.get(self.path.removeprefix("/repositories/primary"))
                body = json.dumps(schema).encode()
                self.send_response(503 if outer.away else 404 if schema is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # nobody waits for it any more

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def add(self, schema):
        self.schemas[schema["$id"]] = self.schemas[f"/{schema['title']}/latest"] = schema

    def close(self):
        self.may_answer.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

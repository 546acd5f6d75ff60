"""A pony-build server as strict as the released ones, on Python's own XML-RPC.

    pony.py 2009|2010 FOLDER

Listens on a free port of 127.0.0.1, prints it, and saves every call that it understands as JSON into FOLDER. Answers
HTTP/1.0 and closes; needs Content-Length (500); takes at most 5,000,000 bytes (403) and no other path than /xmlrpc (404).
"""
import http.server
import json
import pathlib
import sys
import time
import xmlrpc.client
import xmlrpc.server

RELEASE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
LARGEST = 5_000_000


class Builds(xmlrpc.server.SimpleXMLRPCDispatcher):
    """The calls. A slot is remembered by package, host, arch and tags."""

    def __init__(self):
        super().__init__(allow_none=False, encoding="utf-8")
        self.results, self.reserved = [], {}
        self.register_function(self.add_results)
        if RELEASE == "2010":
            self.register_function(self.get_results)
        self.register_function(self.check_should_build)

    @staticmethod
    def slot(client_info):
        return client_info["package"], client_info["host"], client_info["arch"], tuple(sorted(client_info["tags"]))

    def add_results(self, client_info, results):
        for step in results:
            step["status"] + 0, step["name"] + step["type"] + step["command"] + step["output"] + step["errout"]
        slot = self.slot(client_info)
        self.results.append((slot, bool(client_info["success"])))
        self.reserved.pop(slot, None)
        return 1 if RELEASE == "2009" else [len(self.results) - 1, "f4e6aef0eaeb4528ad86564f040b628b"]

    def get_results(self, key):
        return {}[key]

    def check_should_build(self, client_info, reserve=True, allowance=0):
        slot = self.slot(client_info)
        successes = [success for known, success in self.results if known == slot]
        if slot in self.reserved:
            return [False, "may be in build now"]
        if successes and successes[-1]:
            return [False, "build up to date"]
        if reserve:
            self.reserved[slot] = time.time()
        reason = "last build was unsuccessful; go!" if successes else "no build recorded for %r; build!" % (slot,)
        return [True, reason]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_POST(self):
        if self.path != "/xmlrpc":
            return self.answer(404, b"not found")
        if "Content-Length" not in self.headers:
            return self.answer(500, b"no Content-Length")
        size = int(self.headers["Content-Length"])
        if size > LARGEST:
            return self.answer(403, b"too large")
        body = self.rfile.read(size)
        try:
            params, method = xmlrpc.client.loads(body)
            # Clients ask for a result that is not there to learn which release they speak to.
            if method == "get_results":
                raise KeyError(params)
            call = {"method": method, "params": params, "size": size, "headers": dict(self.headers)}
            path = FOLDER / f"{len(list(FOLDER.iterdir())):04}.json"
            path.write_text(json.dumps(call))
        except Exception:
            pass  # The dispatcher says it as a fault.
        self.answer(200, self.server.builds._marshaled_dispatch(body))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.builds = Builds()
print(server.server_address[1], flush=True)
server.serve_forever()

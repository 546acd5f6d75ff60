"""What all peers share: one request after another, an account of each, odd answers on demand, and the port for the test.

The port for the test answers JSON:

    GET  /__stored         everything: results, runs (how often each run_id was stored), requests, and what else the kind keeps
    GET  /__runs           only the runs
    POST /__odd            a list of oddities, in place of those that were there
    POST /__request_build  somebody asks for a build: a client_info

An oddity: `on` (only where the path has this in it), `times` (then it is over; null: never), `handled` (the request is carried
out all the same, and only the answer is odd), `status`, `headers`, `body` (Latin-1: a character is a byte) and `missing` (bytes
that are promised and do not come) in place of the answer, `cut` (bytes of the answer after which the line is closed), `delay`
(seconds before it), `held` (no more than the head of the request is read before other oddities are in place).

On the server's own port `GET /__settle` is answered in its turn, and left out of the account.
"""
import hashlib
import http.server
import io
import json
import math
import socketserver
import threading
import time
import xmlrpc.client


class Counted:
    """A body on its way in: how much of it came, and its digest."""

    def __init__(self, file):
        self.file, self.size, self.digest, self.error = file, 0, hashlib.sha256(), None

    def read(self, size):
        try:
            data = self.file.read(size)
        except OSError as error:
            self.error = error
            raise
        self.size += len(data)
        self.digest.update(data)
        return data

    def close(self):
        self.file.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP/1.0, one request a connection, the answer sent when it is whole. Kinds have `do_GET`, `do_POST`, … of their own."""

    server_version, sys_version = "WSGIServer/0.1", "Python/2.7.18"

    def handle_one_request(self):
        self.close_connection = True
        self.wfile = io.BytesIO()
        self.entry = {"method": None, "path": None, "headers": {}, "promised": None, "size": 0, "sha256": None,
                      "call": None, "fault": None, "status": None, "answered": 0, "odd": False, "error": None}
        with self.server.lock:
            self.server.requests.append(self.entry)
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                raise EOFError("closed without a word")
            if self.parse_request():
                if self.path == "/__settle":
                    self.settle()
                else:
                    self.answer_one()
            self.connection.sendall(self.wfile.getvalue())
            self.entry["answered"] = len(self.wfile.getvalue())
        except (OSError, EOFError) as error:
            self.entry["error"] = f"{type(error).__name__}: {error}"

    def settle(self):
        """For the test: whoever came before has been dealt with."""
        with self.server.lock:
            self.server.requests.remove(self.entry)
        self.respond(200, "OK", {}, b"")

    def answer_one(self):
        entry, body = self.entry, Counted(self.rfile)
        self.rfile = body
        promised = self.headers.get("Content-Length")
        entry.update(method=self.command, path=self.path, headers=dict(self.headers))
        entry["promised"] = int(promised) if promised and promised.isdigit() else None
        odd = self.server.oddity(self.path)
        entry["odd"] = odd is not None
        while odd is not None and odd.get("held") and any(other is odd for other in self.server.odd):
            time.sleep(0.01)
        try:
            if odd is None or odd.get("handled"):
                self.carry_out()
            else:
                while body.size < (entry["promised"] or 0) and body.read(min(entry["promised"] - body.size, 1 << 20)):
                    pass
        finally:
            entry.update(size=body.size, sha256=body.digest.hexdigest())
            if body.error:
                raise body.error
        if odd is not None:
            self.make_odd(odd)

    def carry_out(self):
        try:
            getattr(self, "do_" + self.command, self.do_other)()
        except (OSError, EOFError):
            raise
        except Exception as error:
            self.entry["error"] = f"{type(error).__name__}: {error}"
            self.wfile = io.BytesIO()
            self.respond(500, "INTERNAL SERVER ERROR", {"Content-Type": "text/plain"}, b"A server error occurred.")

    def make_odd(self, odd):
        if "status" in odd:
            body = odd.get("body", "").encode("latin-1")
            self.wfile = io.BytesIO()
            self.send_response(odd["status"])
            for name, value in odd.get("headers", []):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + odd.get("missing", 0)))
            self.end_headers()
            self.wfile.write(body)
        if "cut" in odd:
            self.wfile.truncate(odd["cut"])
        time.sleep(odd.get("delay", 0))

    def do_other(self):
        self.respond(405, "METHOD NOT ALLOWED", {"Content-Type": "text/html"}, b"")

    def respond(self, status, reason, headers, body):
        """An answer in the order in which WSGI servers write it."""
        self.entry["status"] = status
        self.send_response_only(status, reason)
        for name, value in {"Date": self.date_time_string(), "Server": self.version_string(), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        self.entry["status"] = int(code)

    def log_message(self, *arguments):
        pass


class Server(socketserver.TCPServer):
    """One request after another, as the old servers: whoever comes while one is slow waits."""

    # Theirs was 5; a full queue costs a second, and tests nothing.
    request_queue_size = 128

    def __init__(self, handler, state):
        self.lock, self.state, self.requests, self.odd = threading.RLock(), state, [], []
        super().__init__(("127.0.0.1", 0), handler)

    def oddity(self, path):
        """The first that is about this path and is not over."""
        with self.lock:
            for odd in self.odd:
                if odd.get("on", "") in path and odd.get("times") != 0:
                    if odd.get("times"):
                        odd["times"] -= 1
                    return odd
        return None


class Admin(Handler):
    """The port for the test. `server.state` is the server that it is about."""

    def do_GET(self):
        subject = self.server.state
        with subject.lock:
            kept = subject.state.kept()
            runs = {}
            for result in kept["results"]:
                name = result["client_info"].get("run_id")
                if name is not None:
                    runs[name] = runs.get(name, 0) + 1
            if self.path == "/__runs":
                answer = runs
            else:
                answer = {**kept, "runs": runs, "requests": subject.requests}
            body = json.dumps(plain(answer)).encode()
        self.respond(200, "OK", {"Content-Type": "application/json"}, body)

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        subject = self.server.state
        with subject.lock:
            if self.path == "/__odd":
                subject.odd = told
            else:
                subject.state.request_build(told)
        self.respond(200, "OK", {}, b"")


class AdminServer(socketserver.ThreadingMixIn, Server):
    daemon_threads = True


def plain(value):
    """What JSON cannot write in the stored form of this project: `{"$double": "nan"}`, `{"$dateTime": …}`, `{"$base64": …}`."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$double": str(value)}
    if isinstance(value, (bytes, xmlrpc.client.Binary)):
        return {"$base64": xmlrpc.client.base64.b64encode(getattr(value, "data", value)).decode()}
    if isinstance(value, xmlrpc.client.DateTime):
        return {"$dateTime": value.value}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return value


def serve(server):
    """Serves until it is killed."""
    admin = AdminServer(Admin, server)
    threading.Thread(target=admin.serve_forever, daemon=True).start()
    print("ready", server.server_address[1], admin.server_address[1], flush=True)
    server.serve_forever()

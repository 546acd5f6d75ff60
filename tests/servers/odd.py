"""A server that is no pony-build server, or is broken: one answer to everything.

    odd.py HOW

Listens on a free port of 127.0.0.1 and prints it.
"""
import http.server
import sys
import xmlrpc.client

FAULT = xmlrpc.client.dumps(xmlrpc.client.Fault(1, "<type 'exceptions.KeyError'>:'host'"))
TEXT = xmlrpc.client.dumps(("what?",), methodresponse=True)
STRUCT = xmlrpc.client.dumps(({"a": 1},), methodresponse=True)
PAGE = "<html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>"
# HOW: status, headers, body, how many bytes more are promised
ANSWERS = {
    "page": (200, {"Content-Type": "text/html"}, PAGE, 0),
    "garbage": (200, {}, "\x00\x01\x02\x7f" * 100, 0),
    "empty": (200, {}, "", 0),
    "error": (500, {}, "<html><body>Internal Server Error</body></html>", 0),
    "refuse": (403, {}, "go away", 0),
    "moved": (301, {"Location": "http://other.invalid/xmlrpc"}, "", 0),
    "fault": (200, {"Content-Type": "text/xml"}, FAULT, 0),
    "half": (200, {"Content-Type": "text/xml"}, FAULT[: len(FAULT) // 2], len(FAULT)),
    "text": (200, {"Content-Type": "text/xml"}, TEXT, 0),
    "struct": (200, {"Content-Type": "text/xml"}, STRUCT, 0),
    "bomb": (200, {"Content-Type": "text/xml"}, "<array>" * 200_000, 0),
}
STATUS, HEADERS, BODY, MISSING = ANSWERS.get(sys.argv[1], ANSWERS["page"])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if sys.argv[1] == "hangup":
            return
        body = BODY.encode()
        self.send_response(STATUS)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + MISSING))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


assert sys.argv[1] in ANSWERS or sys.argv[1] == "hangup", sys.argv
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

"""A webhook: takes JSON by POST at /hook/sesame and saves each request as JSON into FOLDER.

    hook.py HOW FOLDER

Listens on a free port of 127.0.0.1 and prints it. HOW: `ok`, or the status that it answers with.
"""
import http.server
import json
import pathlib
import sys

HOW, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        saved = {"path": self.path, "type": self.headers["Content-Type"], "login": self.headers["Authorization"]}
        name = f"{len(list(FOLDER.iterdir())):04}.json"
        (FOLDER / name).write_text(json.dumps({**saved, "json": json.loads(body)}))
        self.send_response(200 if HOW == "ok" else int(HOW))
        if HOW == "302":
            self.send_header("Location", "http://elsewhere.invalid/hook/sesame")
        self.end_headers()
        self.wfile.write(b"go away\n" if HOW != "ok" else b"ok")

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

"""An HTTP proxy: whatever host is asked for, a server of this machine answers.

    forward.py PORT FOLDER

Listens on a free port of 127.0.0.1 and prints it. Each address that was asked for is a line of FOLDER/asked.
"""
import http.client
import http.server
import pathlib
import sys
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        with (pathlib.Path(sys.argv[2]) / "asked").open("a") as asked:
            asked.write(f"{self.path}\n")
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        server.request("POST", url.path, body, headers)
        answer = server.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

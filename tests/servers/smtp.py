"""A mail server on plain sockets, as strict as RFC 5321 and 5322 are with clients.

    smtp.py HOW FOLDER

Listens on a free port of 127.0.0.1, prints it, and saves each message that it takes as JSON into FOLDER. HOW: `plain`; `login`
(takes mail only after AUTH PLAIN or LOGIN); `refuse` (550 after DATA); `busy` (421 at once); `hangup` (closes after DATA without
an answer, having taken the message).
"""
import base64
import json
import pathlib
import socketserver
import sys

HOW, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def line(self):
        line = self.rfile.readline(4096)
        if not line:
            raise EOFError
        if not line.endswith(b"\r\n"):
            raise ValueError(f"a line without CRLF: {line!r}")
        return line[:-2].decode("ascii")

    def handle(self):
        if HOW == "busy":
            return self.say("421 too busy, come again")
        self.say("220 mail.example.org ESMTP")
        self.talk = {"from": None, "to": [], "login": None}
        try:
            while self.command(self.line()):
                pass
        except EOFError:
            pass

    def command(self, line):
        verb, _, rest = line.partition(" ")
        talk = self.talk
        match verb.upper():
            case "EHLO":
                talk["hello"] = rest
                self.say("250-mail.example.org")
                self.say("250-AUTH PLAIN LOGIN")
                self.say("250 8BITMIME")
            case "AUTH":
                kind, _, word = rest.partition(" ")
                if kind != "PLAIN":
                    self.say("504 no")
                    return True
                _, user, password = base64.b64decode(word).decode().split("\0")
                talk["login"] = [user, password]
                self.say("235 welcome" if password == "sesame" else "535 who are you?")
            case "MAIL":
                if HOW == "login" and (talk["login"] or [None, None])[1] != "sesame":
                    self.say("530 log in first")
                    return True
                talk["from"] = rest
                self.say("250 ok")
            case "RCPT":
                talk["to"].append(rest)
                self.say("250 ok")
            case "DATA":
                self.say("354 go on")
                self.data()
                if HOW == "hangup":
                    return False
                self.say("550 no such user here" if HOW == "refuse" else "250 taken")
            case "RSET" | "NOOP":
                self.say("250 ok")
            case "QUIT":
                self.say("221 bye")
                return False
            case _:
                self.say("500 what?")
        return True

    def data(self):
        lines = []
        while (line := self.rfile.readline(4096)) != b".\r\n":
            # At most 998 bytes and CRLF, no bare CR or LF, a dot at the begin doubled.
            if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\n" in line[:-2] or len(line) > 1000:
                raise ValueError(f"a line that no mail may have: {line!r}")
            lines.append(line[1:] if line.startswith(b".") else line)
        if HOW != "refuse":
            message = b"".join(lines).decode("ascii")
            name = f"{len(list(FOLDER.iterdir())):04}.json"
            (FOLDER / name).write_text(json.dumps({**self.talk, "message": message}))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Session)
print(server.server_address[1], flush=True)
server.serve_forever()

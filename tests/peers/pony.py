"""The releases of pony-build of 2009 and 2010.

Both give every record a key and count on every record to have `host`, `arch` and `package`: one without them is stored, and
from then on every submission is stored and answered with a fault. `get_last_result_for_tagset` turns the list it looks
through around each time, so that asked twice without a submission in between it answers with the oldest result. Both are
what the originals did.
"""
import datetime
import gzip
import hashlib
import time
import urllib.parse
import uuid
import xmlrpc.server

import base
import rpc

LARGEST_REQUEST = 5_000_000
ROOM_FOR_UPLOADS = 50_000_000


def tagset(client_info):
    arch, host, package = client_info["arch"], client_info["host"], client_info["package"]
    return frozenset([*client_info["tags"], "__package=" + package, "__arch=" + arch, "__host=" + host])


class Results:
    """What a server keeps, and its rules."""

    def __init__(self, release):
        self.release, self.records, self.packages = release, [], {}
        self.requested, self.reserved = set(), {}
        self.auth_keys, self.uploads = {}, []

    def kept(self):
        names = ("receipt", "client_info", "results")
        results = [{"key": record[0]["result_key"], **dict(zip(names, record))} for record in self.records]
        return {"results": results, "uploads": self.uploads}

    def request_build(self, client_info):
        self.requested.add(tagset(client_info))

    def add(self, client_ip, client_info, results):
        key = len(self.records)
        receipt = {"time": time.time(), "client_ip": client_ip, "result_key": str(key)}
        self.records.append((receipt, client_info, results))
        self.find_packages()
        if self.release == "2009":
            return 1
        auth_key = uuid.uuid4().hex
        self.auth_keys[auth_key] = key
        return [key, auth_key]

    def find_packages(self):
        """Over all records, each time; at one that lacks a key it ends there, and what it has not seen is not found."""
        self.packages = {}
        newest_first = self.release == "2010"
        for record in reversed(self.records) if newest_first else self.records:
            package = [record[1][key] for key in ("host", "arch", "package")][2]
            of_package = self.packages.setdefault(package, [])
            of_package.insert(0 if newest_first else len(of_package), record)

    def tagsets(self, package):
        return list({tagset(record[1]) for record in self.packages.get(package, [])})

    def last(self, package, wanted):
        records = self.packages.get(package, [])
        records.reverse()
        return next((record for record in records if tagset(record[1]) == set(wanted)), 0)

    def should_build(self, client_info, reserve, allowance):
        slot, now = tagset(client_info), time.time()
        build, reason = self.decide(slot, client_info["package"], now)
        if build and reserve:
            self.reserved[slot] = (now, allowance)
        return [build, reason]

    def decide(self, slot, package, now):
        of_slot = [record for record in self.packages.get(package, []) if tagset(record[1]) == slot]
        last = max(of_slot, key=lambda record: record[0]["time"], default=None)
        if slot in self.requested:
            self.requested.remove(slot)
            return True, "build requested"
        if slot in self.reserved:
            since, allowance = self.reserved[slot]
            if now - since < (allowance or (last[1].get("duration", 3600) if last else 3600)):
                return False, "may be in build now"
        if last is None:
            name = "ImmutableSet" if self.release == "2009" else "frozenset"
            return True, f"no build recorded for {name}([{', '.join(map(repr, sorted(slot)))}]); build!"
        age = datetime.timedelta(seconds=now - last[0]["time"])
        if age >= datetime.timedelta(days=1):
            return True, f"last build was {age} ago; do build!"
        if not last[1]["success"]:
            return True, "last build was unsuccessful; go!"
        return False, "build up to date"

    def upload(self, auth_key, name, data, promised, description, visible):
        """Whether the key was good. The name again is the file again; what came is kept, also when more was promised."""
        if auth_key not in self.auth_keys:
            return False
        key = self.auth_keys[auth_key]
        for file in self.uploads:
            if (file["result_key"], file["filename"]) == (str(key), name):
                file["replaced"] = True
        self.uploads.append({
            "result_key": str(key), "filename": name, "description": description, "visible": visible,
            "size": len(data), "promised": promised, "sha256": hashlib.sha256(data).hexdigest(),
            "unpacked": hashlib.sha256(gzip.decompress(data)).hexdigest() if name.endswith(".gz") else None,
            "replaced": False, "dropped": False,
        })
        self.drop_uploads()
        return True

    def drop_uploads(self):
        """All files of a result at once, of the result first to which nothing was uploaded for longest."""
        there = [file for file in self.uploads if not file["replaced"] and not file["dropped"]]
        newest_first = list(dict.fromkeys(file["result_key"] for file in reversed(there)))
        room = ROOM_FOR_UPLOADS
        for key in newest_first:
            files = [file for file in there if file["result_key"] == key]
            room -= sum(file["size"] for file in files)
            for file in files if room < 0 else []:
                file["dropped"] = True


class XmlRpcFunctions:
    """The calls of 2010. (Its name is in a fault.)"""

    def __init__(self, results, client_ip):
        self._results, self._client_ip = results, client_ip

    def add_results(self, client_info, results):
        for bag in [client_info, *results]:
            bag.keys()
        return self._results.add(self._client_ip, client_info, results)

    def check_should_build(self, client_info, reserve_build=True, build_allowance=0):
        return self._results.should_build(client_info, reserve_build, build_allowance)

    def get_tagsets_for_package(self, package):
        return [list(tags) for tags in self._results.tagsets(package)]

    def get_last_result_for_tagset(self, package, tags):
        return self._results.last(package, tags)

    def get_results(self, key):
        records = {record[0]["result_key"]: record for record in self._results.records}
        return records[str(int(key))]


class Handler(base.Handler, xmlrpc.server.SimpleXMLRPCRequestHandler):
    rpc_paths = ("/xmlrpc",)

    def do_GET(self):
        """Pages for people. Paths are unquoted before they are taken apart, and a result that is not there is an exception."""
        path, _, query = self.path.partition("?")
        words = urllib.parse.parse_qs(query)
        with self.server.lock:
            match urllib.parse.unquote(path).split("/")[1:], self.server.state.release:
                case [""], _:
                    title = "pony-build main"
                case [package, ""], "2009":
                    title = package
                case [package, "detail" | "inspect"], "2009":
                    title = self.result_of(package, words["result_key"][0])
                case ["p", package, "" | "show_all"], "2010":
                    title = package
                case ["p", package, key, "" | "inspect"], "2010":
                    title = self.result_of(package, key)
                case _:
                    return self.respond(404, "Not Found", {"Content-type": "text/html"}, b"not found")
        page = f"<html><head><title>{title}</title></head><body></body></html>".encode("ascii")
        self.respond(200, "OK", {"Content-type": "text/html"}, page)

    def result_of(self, package, key):
        records = {record[0]["result_key"]: record for record in self.server.state.records}
        if records[str(int(key))][1]["package"] != package:
            raise AssertionError("another package's result")
        return f"{package} {key}"

    def do_POST(self):
        release = self.server.state.release
        if release == "2010" and (self.entry["promised"] or 0) > LARGEST_REQUEST:
            # The body is not read: a client that is still writing sees a reset.
            return self.page(403, f"403 FORBIDDEN: more than {LARGEST_REQUEST} bytes")
        if release == "2010" and self.path.startswith("/upload?"):
            return self.upload()
        xmlrpc.server.SimpleXMLRPCRequestHandler.do_POST(self)

    def _dispatch(self, method, params):
        results = self.server.state
        functions = XmlRpcFunctions(results, self.client_address[0])
        if results.release == "2009" and (method == "get_results" or not hasattr(functions, method)):
            raise Exception(f'method "{method}" is not supported')
        with self.server.lock:
            return getattr(functions, method)(*params)

    def page(self, status, text):
        self.send_response(status)
        self.send_header("Content-type", "text/html")
        self.send_header("Content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def upload(self):
        words = urllib.parse.parse_qs(self.path.split("?", 1)[1])
        if not all(name in words for name in ("description", "filename", "auth_key")):
            # It was meant to say so, and broke over a misspelt name. An empty word counts as none.
            raise EOFError("an upload without filename, description or auth_key")
        if not self.headers.get("Content-Length"):
            return self.page(400, "no upload content")
        data = self.rfile.read(self.entry["promised"])
        description, name, auth_key = (words[name][0] for name in ("description", "filename", "auth_key"))
        visible = words.get("visible") == ["yes"]
        with self.server.lock:
            good = self.server.state.upload(auth_key, name, data, self.entry["promised"], description, visible)
        self.page(*((200, "") if good else (401, "not authorized")))


class Server(base.Server):
    _send_traceback_header = False

    def _marshaled_dispatch(self, document, dispatch, path):
        """What `SimpleXMLRPCRequestHandler` asks of its server."""
        return rpc.answer(document, dispatch, dispatch.__self__.entry)


def peer(release):
    return Server(Handler, Results(release))

"""The other end of the wire: Python's own XML-RPC, as a server, a client or a writer of documents.

Values cross standard output in the crate's stored form (src/stored.rs), one JSON text a line.
"""
import datetime
import json
import math
import sys
import threading
import xmlrpc.client
import xmlrpc.server

CALLS = ["add_results", "check_should_build", "get_tagsets_for_package", "get_last_result_for_tagset", "get_results"]


def stored(value):
    if isinstance(value, float) and not math.isfinite(value):
        return {"$double": str(value)}
    if isinstance(value, (bytes, xmlrpc.client.Binary)):
        return {"$base64": xmlrpc.client.base64.b64encode(getattr(value, "data", value)).decode()}
    if isinstance(value, xmlrpc.client.DateTime):
        return {"$dateTime": value.value}
    if isinstance(value, datetime.datetime):
        return {"$dateTime": value.strftime("%Y%m%dT%H:%M:%S")}
    if isinstance(value, (list, tuple)):
        return [stored(item) for item in value]
    if isinstance(value, dict):
        members = {name: stored(member) for name, member in value.items()}
        return {"$struct": members} if any(name.startswith("$") for name in members) else members
    return value


def say(value):
    print(json.dumps(value), flush=True)


def serve():
    """Answers each call with its name and its parameters in the stored form, until standard input ends.

    As JSON, because Python writes a carriage return so that it is lost on the way back.
    """
    server = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
    for name in CALLS:
        server.register_function(lambda *params, name=name: json.dumps([name, stored(params)]), name)
    server.register_function(lambda: {}["host"], "broken")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(server.server_address[1])
    sys.stdin.read()


def call(url):
    """Makes one call after the other and says what was answered, until there is a fault."""
    slot = {"package": "p", "host": "h", "arch": "linux-x86_64", "tags": ["a", "b"], "success": True}
    steps = [{"status": -9, "name": "make", "output": "caf\u00e9 <&>\n", "duration": 1e-07, "log": b"\0\xff" * 60}]
    with xmlrpc.client.ServerProxy(url, allow_none=True) as server:
        try:
            say(stored(server.add_results(dict(slot, note=None), steps)))
            del slot["success"]
            say(stored(server.check_should_build(slot, False, 60)))
            while True:
                say(stored(server.get_results(7)))
        except xmlrpc.client.Fault as fault:
            say({"code": fault.faultCode, "message": fault.faultString})


def dump():
    """Says answer documents, in hexadecimal, each with the value that it holds."""
    def document(value, encoding="utf-8"):
        text = xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True, encoding=encoding)
        return text.encode(encoding).hex()

    values = [
        None, True, False, 0, -1, 2**31 - 1, -2**31, 0.0, -0.0, 0.1, 1e-07, 1e300, 5e-324,
        math.inf, -math.inf, math.nan, "", " ", " a\n\tb ", "caf\u00e9 \U0001f984 <&>'\"]]>",
        "\x1b[31mred\x1b[0m \0 \x7f \ufffe", b"", bytes(range(256)), [], [[], [[]]], {}, {"": 1}, {"a b": {"c": [1, None]}},
        {"$double": "1"}, datetime.datetime(2010, 8, 7, 2, 20, 34),
    ]
    for value in values:
        say([document(value), stored(value)])
    # A parser reads any end of line as a line feed.
    say([document("a\r\nb\rc"), "a\nb\nc"])
    say([document("caf\u00e9", "iso-8859-1"), "caf\u00e9"])


{"serve": serve, "call": call, "dump": dump}[sys.argv[1]](*sys.argv[2:])

"""Talks to the server at argv[1] with Python's own client, and says `ok`."""
import datetime
import sys
import xmlrpc.client

server = xmlrpc.client.ServerProxy(sys.argv[1], use_builtin_types=True)

info = {
    "package": "python client",
    "host": "ünïcode-host",
    "arch": "linux-x86_64",
    "tags": ["b", "a", "<tag>"],
    "success": True,
    "duration": 0.0054111480712890625,
    "tempdir": "/tmp/x",
    "virtualenv": False,
    "dependencies": ["one", "two"],
    "start_time": datetime.datetime(2010, 8, 7, 2, 20, 34),
    "numbers": [0, -1, 2**31 - 1, -(2**31), 1e300, -0.5],
    "data": b"\x00\x01\xff",
    "deep": {"a": [{"b": {"": "an empty name"}}], "empty": {}, "nothing": []},
    "text": "  white space\n\tand <&>\"' ]]> \u2028 \U0001f40e ",
}
results = [
    {
        "status": 0,
        "name": "checkout",
        "type": "setup",
        "command": "['git', 'clone']",
        "output": "",
        "errout": "",
        "duration": 1.5,
        "version_type": "git",
        "version_info": "3f2504e0 x",
        "clone": {"status": 0, "output": "Cloning\n", "errout": "", "command": "git clone"},
    },
    {"status": -9, "name": "make", "type": "build", "command": "make", "output": "x" * 300_000, "errout": "e\n"},
    {},
]

key, auth_key = server.add_results(info, results)
assert isinstance(key, int) and len(auth_key) == 32, (key, auth_key)

receipt, info_back, results_back = server.get_results(str(key))
assert receipt["result_key"] == str(key) and receipt["client_ip"] == "127.0.0.1", receipt
assert isinstance(receipt["time"], float) and receipt["time"] > 1.7e9, receipt
assert info_back == info, info_back
assert results_back == results, results_back
assert server.get_results(key)[1] == info

tagset = ["__package=python client", "__host=ünïcode-host", "__arch=linux-x86_64", "a", "b", "<tag>"]
assert [sorted(found) for found in server.get_tagsets_for_package("python client")] == [sorted(tagset)]
assert server.get_last_result_for_tagset("python client", tagset)[1] == info
assert server.get_last_result_for_tagset("python client", ["a"]) == 0
assert server.check_should_build(info) == [False, "build up to date"]
assert server.check_should_build(dict(info, host="new"), True, 60)[0] is True
assert server.check_should_build(dict(info, host="new"), True, 60) == [False, "may be in build now"]

for call, text in [
    (lambda: server.get_results("999"), "<type 'exceptions.KeyError'>:'999'"),
    (lambda: server.get_results("x"), "<type 'exceptions.KeyError'>:'x'"),
    (lambda: server.add_results({"package": "p", "arch": "a", "tags": []}, []), "<type 'exceptions.KeyError'>:'host'"),
    (lambda: server.nosuch(), "<type 'exceptions.AttributeError'>:'XmlRpcFunctions' object has no attribute 'nosuch'"),
]:
    try:
        call()
    except xmlrpc.client.Fault as fault:
        assert fault.faultCode == 1 and fault.faultString == text, fault
    else:
        raise AssertionError(text)

# One connection for several calls, as ServerProxy does it; and each key of `info` alone is enough to be kept.
for name, value in info.items():
    base = {"package": "p", "host": "h", "arch": "a", "tags": []}
    key, _ = server.add_results({**base, name: value}, [])
    assert server.get_results(str(key))[1] == {**base, name: value}, name

print("ok")

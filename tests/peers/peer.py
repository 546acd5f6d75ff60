"""A pony-build server as it was, for one test.

    peer.py 2009 | 2010 | devmason | devmason-rest

Listens on two free ports of 127.0.0.1 and prints `ready PORT ADMIN`. The first is the server, as strict as the one it stands
for and with its mistakes; the second is for the test (base.py). What it is told is held in memory and ends with it.
"""
import sys

import base
import devmason
import pony

KINDS = {
    "2009": lambda: pony.peer("2009"),
    "2010": lambda: pony.peer("2010"),
    "devmason": lambda: devmason.peer(with_rpc=True),
    "devmason-rest": lambda: devmason.peer(with_rpc=False),
}

if __name__ == "__main__":
    base.serve(KINDS[sys.argv[1]]())

# SPDX-License-Identifier: Apache-2.0
"""A stub domain of the Xen of files (fakexen.c): `fakexen_domain.py DOMID` is the stand-in
for its manager, at a socket in place of a vchan.  It runs on while vtpmd is away, and then
says HELLO as one that has run."""
import os
import socket
import sys

sys.dont_write_bytecode = True
from vtpmd_standin import Manager  # noqa: E402


class Lost(Exception):
    """vtpmd has ended."""


class Domain(Manager):
    def __init__(self, xen, domid):
        self.xen, self.domid, self.loses, self.greeted = xen, domid, False, 0
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(f"{xen}/vchan.{domid}")
        self.server.listen()
        self.write(f"/local/domain/{domid}/data/xen-vtpm/event-channel", "1")
        super().__init__(f"{xen}/manager.{domid}", self.server.accept()[0])

    def write(self, node, value):
        os.makedirs(f"{self.xen}/store{node}", exist_ok=True)
        with open(f"{self.xen}/store{node}/=", "w") as f:
            f.write(value)

    def exact(self, n):
        data = b""
        while len(data) < n:
            more = self.chan.recv(n - len(data))
            if not more:
                raise Lost
            data += more
        return data

    def end(self):
        with open(f"{self.xen}/domains/{self.domid}", "r+b") as f:
            f.seek(33)
            f.write(b"ended")
        sys.exit(0)

    def told(self, words):
        if words[0] == "lose":      # the connection: vtpmd makes another
            self.loses = True
            return 0
        if words[0] == "greeted":   # what vtpmd said to the last HELLO
            return self.greeted
        return super().told(words)

    def answered(self):
        if self.loses:
            self.loses = False
            self.chan.close()
            raise Lost

    def connected(self):
        self.events.clear()
        self.greeted = -1
        self.greeted = self.hello(1, self.uuid, 1)

    def live(self):
        self.start()
        while True:
            try:
                self.serve()
            except Lost:
                self.chan = self.server.accept()[0]
                self.connected()


Domain(os.environ["FAKEXEN"], int(sys.argv[1])).live()

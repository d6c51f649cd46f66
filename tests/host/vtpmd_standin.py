# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the vTPM manager, on the host channel (include/channel.h) at
descriptor 3.  It starts as a manager does, unless the folder has a file
NAME.behave, and then does what it is told, a line each, at the socket NAME.ctl:
the tests make it a good, a bad and a dying manager."""
import os
import select
import socket
import struct
import sys
import time

REPLY = 0x8000
HELLO, GET, PUT, TPM, READY, FAIL, STATUS, LOG = 1, 2, 3, 4, 9, 10, 11, 12
EVENT_STOP, EVENT_STATUS, EVENT_RESUME = 0x4001, 0x4002, 0x4003


def blob(obj, uuid, seq, data):
    magic = b"XVTPMHDR" if obj == 1 else b"XVTPMBLB"
    return magic + struct.pack(">HH16sQ", 1, 0 if obj == 1 else obj, uuid, seq) + data


class Manager:
    def __init__(self, path):
        self.path, self.ident, self.guest = path, 0, 0
        self.resumes, self.had_guest = 0, False
        self.asked = 0
        self.chan = socket.socket(fileno=3)
        self.uuid, self.config = bytes(16), {}

    def exact(self, n):
        data = b""
        while len(data) < n:
            more = self.chan.recv(n - len(data))
            if not more:
                sys.exit(0)
            data += more
        return data

    def frame(self):
        kind, _, ident, size = struct.unpack(">HHII", self.exact(12))
        return kind, ident, self.exact(size)

    def send(self, kind, payload=b""):
        self.ident += 1
        self.chan.sendall(struct.pack(">HHII", kind, 0, self.ident, len(payload)) + payload)
        return self.ident

    def event(self, kind):
        if kind == EVENT_STOP:
            sys.exit(0)
        if kind == EVENT_RESUME:
            self.resumes = int(self.had_guest and not self.guest)
        if kind == EVENT_STATUS:
            self.asked += 1
            tlvs = struct.pack(">HIQ", 2, 8, 4711)
            if self.guest:
                tlvs += struct.pack(">HIQ", 1, 8, self.guest)
            tlvs += struct.pack(">HIQ", 11, 8, self.resumes)
            self.send(STATUS, tlvs)

    def call(self, kind, payload=b""):
        want = self.send(kind, payload)
        while True:
            got, ident, data = self.frame()
            if not ident:
                self.event(got)
            elif ident == want and got == kind | REPLY:
                return struct.unpack(">I", data[:4])[0], data[4:]

    def hello(self, mode=0, uuid=bytes(16), seq=0, low=1, high=1):
        status, data = self.call(HELLO, struct.pack(">HHB16sQ", low, high, mode, uuid, seq))
        if not status and not mode:
            at = 2
            while at < len(data):
                tag, size = struct.unpack(">HI", data[at:at + 6])
                self.config[tag] = data[at + 6:at + 6 + size]
                at += 6 + size
            self.uuid = self.config[1]
        return status

    def put(self, obj, seq, data, uuid=None):
        return self.call(PUT, struct.pack(">HQ", obj, seq) +
                         blob(obj, uuid or self.uuid, seq, data))[0]

    def start(self):
        self.hello()
        behave = ""
        if os.path.exists(self.path + ".behave"):
            with open(self.path + ".behave") as f:
                behave = f.read().strip()
        if behave == "die":
            os._exit(3)
        while behave == "hang":
            self.event(self.frame()[0])
        if behave.startswith("header-then-fail"):
            self.put(1, 1, b"half made")
        if "fail" in behave:
            self.call(FAIL, struct.pack(">I", 19) + b"The key is revoked.")
            sys.exit(1)
        # GetRandom, while it may
        self.random = self.call(TPM, bytes.fromhex("80010000000c0000017b0010"))
        if self.config[3] == b"\1":
            self.put(1, 1, b"header")
            self.put(2, 1, b"state")
        self.call(READY, struct.pack(">Q", 1))

    def told(self, words):
        """One command of the tests; the answer is a line."""
        what, rest = words[0], words[1:]
        if what == "put":
            uuid = bytes.fromhex(rest[3].replace("-", "")) if len(rest) > 3 else None
            return self.put(int(rest[0]), int(rest[1]), rest[2].encode(), uuid)
        if what == "get":
            status, data = self.call(GET, struct.pack(">H", int(rest[0])))
            return f"{status} {data[36:].decode(errors='replace')}" if not status else status
        if what == "call":
            status, data = self.call(int(rest[0]), bytes.fromhex("".join(rest[1:])))
            return f"{status} {data.hex()}"
        if what == "random":    # what the host's TPM answered before it was ready
            return f"{self.random[0]} {self.random[1].hex()}"
        if what == "resume":
            return self.hello(1, bytes.fromhex(rest[0].replace("-", "")), int(rest[1]))
        if what == "hello":
            return self.hello(0, bytes(16), 0, int(rest[0]), int(rest[1]))
        if what == "config":
            return self.config.get(int(rest[0]), b"").hex()
        if what == "guest":
            self.guest = int(rest[0])
            self.had_guest = True
            return 0
        if what == "asked":     # for its status, so far
            return self.asked
        if what == "raw":
            self.chan.sendall(bytes.fromhex(rest[0]))
            return 0
        if what == "flood":
            self.flood()
        if what == "pipeline":  # KIND HEX SECONDS
            return self.pipeline(int(rest[0]), bytes.fromhex(rest[1]), float(rest[2]))
        return "what?"

    def flood(self):
        """Asks and never reads."""
        frame = struct.pack(">HHIIH", GET, 0, 1, 2, 2)
        try:
            while True:
                self.chan.sendall(frame * 100)
        except OSError:
            sys.exit(0)

    def pipeline(self, kind, payload, seconds):
        """Sends requests without waiting for answers, which it reads, and tells its
        status when it is asked; how many answers came, or "dropped" when vtpmd ended
        the connection."""
        frame = struct.pack(">HHII", kind, 0, 1, len(payload)) + payload
        status = struct.pack(">HHII", STATUS, 0, 1, 0)
        end, answers, got, out = time.monotonic() + seconds, 0, b"", b""
        self.chan.setblocking(False)
        while time.monotonic() < end or out:
            readable, writable, _ = select.select([self.chan], [self.chan], [], 0.1)
            try:
                if readable:
                    more = self.chan.recv(1 << 16)
                    if not more:
                        return "dropped"
                    got += more
                if writable:
                    if not out and time.monotonic() < end:
                        out = frame * 100
                    out = out[self.chan.send(out):]
            except BlockingIOError:
                pass
            except OSError:
                return "dropped"
            while len(got) >= 12:
                what, _, ident, size = struct.unpack(">HHII", got[:12])
                if len(got) < 12 + size:
                    break
                answers += ident > 0
                if what == EVENT_STATUS:
                    out = out[:len(out) % len(frame)] + status
                got = got[12 + size:]
        self.chan.setblocking(True)
        return answers

    def serve(self):
        server = socket.socket(socket.AF_UNIX)
        if os.path.exists(self.path + ".ctl"):
            os.unlink(self.path + ".ctl")
        server.bind(self.path + ".ctl")
        server.listen()
        while True:
            ready, _, _ = select.select([server, self.chan], [], [])
            if self.chan in ready:
                kind, ident, _ = self.frame()
                if not ident:
                    self.event(kind)
            if server in ready:
                client = server.accept()[0]
                line = client.makefile().readline().split()
                client.sendall(f"{self.told(line)}\n".encode())
                client.close()


manager = Manager(sys.argv[sys.argv.index("--unix") + 1])
manager.start()
manager.serve()

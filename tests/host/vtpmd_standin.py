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

sys.dont_write_bytecode = True
from vtpmd_objects import blob  # noqa: E402

REPLY = 0x8000
HELLO, GET, PUT, TPM, READY, FAIL, STATUS, LOG, GUEST, MOVED = 1, 2, 3, 4, 9, 10, 11, 12, 16, 21
EVENT_STOP, EVENT_STATUS, EVENT_MOVE = 0x4001, 0x4002, 0x4009
JUDGE, FREEZE, THAW, OFFER, IMPORT, ACTIVATE, DEACTIVATE = 1, 2, 3, 4, 5, 6, 7  # of EVENT_MOVE
INCOMING = 14                           # CONFIG_INCOMING


class Manager:
    def __init__(self, path, chan=None):
        self.path, self.ident, self.guest = path, 0, 0
        self.on = 0             # the power-on of the last guest
        self.asked = 0
        self.chan = chan or socket.socket(fileno=3)
        self.uuid, self.config = bytes(16), {}
        self.events = []        # that came, so far
        self.moves, self.steps = [], []     # the steps of EVENT_MOVE that came, and are to be taken
        self.arrived = False    # from another host, and READY was said

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

    def answered(self):
        pass

    def end(self):
        sys.exit(0)

    def event(self, kind, payload=b""):
        self.events.append(kind)
        if kind == EVENT_MOVE:
            self.steps.append(payload[0])
            if payload[0] == IMPORT and self.config.get(INCOMING) == b"\2":     # it comes alone
                self.on = struct.unpack(">Q", payload[-8:])[0]
        if kind == EVENT_STOP:
            self.end()
        if kind == EVENT_STATUS:
            self.asked += 1
            tlvs = struct.pack(">HIQ", 2, 8, 4711)
            if self.guest:
                tlvs += struct.pack(">HIQ", 1, 8, self.guest)
            if self.on:
                tlvs += struct.pack(">HIQ", 11, 8, self.on)
            self.send(STATUS, tlvs)

    def call(self, kind, payload=b""):
        want = self.send(kind, payload)
        while True:
            got, ident, data = self.frame()
            if not ident:
                self.event(got, data)
            elif ident == want and got == kind | REPLY:
                return struct.unpack(">I", data[:4])[0], data[4:]

    def hello(self, mode=0, uuid=bytes(16), seq=0, low=1, high=2):
        status, data = self.call(HELLO, struct.pack(">HHB16sQ", low, high, mode, uuid, seq))
        if not status and not mode:
            at = 2
            while at < len(data):
                tag, size = struct.unpack(">HI", data[at:at + 6])
                self.config[tag] = data[at + 6:at + 6 + size]
                at += 6 + size
            self.uuid = self.config[1]
        return status

    def move(self, step):
        """Its part in a handover: it believes all that it is told."""
        self.moves.append(step)
        answer = {JUDGE: b"", FREEZE: b"export" + struct.pack(">Q", self.on), OFFER: b"accept", IMPORT: b"", DEACTIVATE: b"\0"}
        if step == IMPORT:
            self.put(1, 2, b"header")
            self.put(2, 2, b"state")
        if step in answer:
            self.call(MOVED, struct.pack(">BI", step, 0) + answer[step])
        elif self.config.get(INCOMING) and not self.arrived:
            self.arrived = True
            self.call(READY, struct.pack(">Q", 2))

    def put(self, obj, seq, data, uuid=None):
        return self.call(PUT, struct.pack(">HQ", obj, seq) +
                         blob(obj, uuid or self.uuid, seq, data,
                              struct.unpack(">H", self.config.get(4, b"\0\1"))[0],
                              struct.unpack(">Q", self.config.get(10, bytes(8)))[0]))[0]

    def first_words(self, words):
        """Another HELLO than a manager's; what vtpmd said goes to NAME.said."""
        if words[0] == "speaks":    # LOW HIGH
            status = self.hello(0, bytes(16), 0, int(words[1]), int(words[2]))
        else:                       # claims UUID SEQ
            status = self.hello(1, bytes.fromhex(words[1].replace("-", "")), int(words[2]))
        with open(self.path + ".said", "w") as f:
            print(status, file=f)
        os._exit(3)

    def start(self):
        behave = ""
        if os.path.exists(self.path + ".behave"):
            with open(self.path + ".behave") as f:
                behave = f.read().strip()
        if behave.startswith(("speaks", "claims")):
            self.first_words(behave.split())
        older = behave == "older"   # of the release before
        if self.hello(high=1 if older else 2) and older:
            self.call(FAIL, struct.pack(">I", 18) + b"vtpmd did not accept this manager.")
            sys.exit(1)
        if behave == "die":
            os._exit(3)
        while behave == "hang":
            self.event(self.frame()[0])
        if behave.startswith("header-then-fail"):
            self.put(1, 1, b"half made")
        if behave.startswith("fail-with "):     # HEX
            self.call(FAIL, struct.pack(">I", 19) + bytes.fromhex(behave.split()[1]))
            sys.exit(1)
        if "fail" in behave:
            self.call(FAIL, struct.pack(">I", 19) + b"The key is revoked.")
            sys.exit(1)
        if self.config.get(INCOMING):
            self.on = 4711      # as one that is drawn
            self.put(1, 1, b"header")
            return
        # GetRandom, while it may
        self.random = self.call(TPM, bytes.fromhex("80010000000c0000017b0010"))
        if self.config[3] == b"\1":
            self.put(1, 1, b"header")
            self.put(2, 1, b"state")
        self.call(READY, struct.pack(">Q", 1))
        if behave == "ready-then-away":
            self.call(FAIL, struct.pack(">I", 16) + b"The KMS is away.")
            sys.exit(1)

    def told(self, words):
        """One command of the tests; the answer is a line."""
        what, rest = words[0], words[1:]
        if what == "put":
            uuid = bytes.fromhex(rest[3].replace("-", "")) if len(rest) > 3 else None
            return self.put(int(rest[0]), int(rest[1]), rest[2].encode(), uuid)
        if what == "get":
            status, data = self.call(GET, struct.pack(">H", int(rest[0])))
            return f"{status} {data[44:].decode(errors='replace')}" if not status else status
        if what == "call":
            status, data = self.call(int(rest[0]), bytes.fromhex("".join(rest[1:])))
            return f"{status} {data.hex()}"
        if what == "random":    # what the host's TPM answered before it was ready
            return f"{self.random[0]} {self.random[1].hex()}"
        if what == "hello":
            return self.hello()
        if what == "config":
            return self.config.get(int(rest[0]), b"").hex()
        if what in ("guest", "comes"):      # comes: what vtpmd says of it, and the flags
            self.guest = int(rest[0])
            if self.guest:
                status, data = self.call(GUEST, struct.pack(">IQ", self.guest, self.on) +
                                         bytes.fromhex("".join(rest[1:]).replace("-", "")))
                if status:
                    return f"{status} {data.decode()}"
                self.on = struct.unpack(">Q", data[2:10])[0]
                if what == "comes":
                    return data[:2].hex()
            return 0
        if what == "events":
            return " ".join(f"{kind:x}" for kind in self.events)
        if what == "moves":
            return " ".join(map(str, self.moves))
        if what == "asked":     # for its status, so far
            return self.asked
        if what == "raw":
            self.chan.sendall(bytes.fromhex(rest[0]))
            return 0
        if what == "flood":
            self.flood()
        if what == "pipeline":  # KIND HEX SECONDS
            payload = "" if rest[1] == "-" else rest[1]
            return self.pipeline(int(rest[0]), bytes.fromhex(payload), float(rest[2]))
        return "what?"

    def flood(self):
        """Asks and never reads."""
        frame = struct.pack(">HHIIH", GET, 0, 1, 2, 3)
        try:
            while True:
                self.chan.sendall(frame * 100)
        except OSError:
            sys.exit(0)

    def pipeline(self, kind, payload, seconds):
        """Sends requests without waiting for answers, up to 64 of them, and tells its
        status when it is asked; how many answers came, or "dropped" when vtpmd ended
        the connection."""
        frame = struct.pack(">HHII", kind, 0, 1, len(payload)) + payload
        status = struct.pack(">HHII", STATUS, 0, 1, 0)
        end, sent, answers, got, out = time.monotonic() + seconds, 0, 0, b"", b""
        self.chan.setblocking(False)
        while time.monotonic() < end or out or sent > answers:
            if not out and sent < answers + 64 and time.monotonic() < end:
                out, sent = frame * 32, sent + 32
            select.select([self.chan], [self.chan] if out else [], [], 0.1)
            try:
                if out:
                    out = out[self.chan.send(out):]
                more = self.chan.recv(1 << 16)
                if not more:
                    return "dropped"
                got += more
            except BlockingIOError:
                pass
            except OSError:
                return "dropped"
            while len(got) >= 12 and len(got) >= 12 + struct.unpack(">I", got[8:12])[0]:
                what, _, ident, size = struct.unpack(">HHII", got[:12])
                answers += ident > 0
                if what == EVENT_STATUS:
                    out, sent = out + status, sent + 1
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
            while self.steps:
                self.move(self.steps.pop(0))
            ready, _, _ = select.select([server, self.chan], [], [])
            if self.chan in ready:
                kind, ident, data = self.frame()
                if not ident:
                    self.event(kind, data)
            if server in ready:
                client = server.accept()[0]
                line = client.makefile().readline().split()
                client.sendall(f"{self.told(line)}\n".encode())
                client.close()
                self.answered()


if __name__ == "__main__":
    manager = Manager(sys.argv[sys.argv.index("--unix") + 1])
    manager.start()
    manager.serve()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A host of the pool that lies, for tests/attack/migrate-peer:  migrate_peer.py destination|source LIE PORT DIR
A destination gives the handover's messages to the vtpmd of b, as `vtpmctl migrate-receive` does, and lies in what it
says of the guest.  A source says something to b's `vtpmctl migrate-receive`, and tells whether it was cut off."""
import glob
import json
import os
import re
import select
import socket
import struct
import sys
import time
from uuid import UUID

from peer_link import Link, tls as context

ROLE, LIE, PORT, DIR = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
START, ALIVE, TAKEN, BANNER, READY, GO, REPORT, GIVE_BACK = range(1, 9)
HAND_BACK, DOES_RUN = 10, 14
LONGEST = 512 * 1024 - 37  # of a message's body


def tls(side, name):
    return context(DIR, side, name)


GO_TEXT = b"domain is yours, you are cleared to unpause\0"


def vtpmd(**request):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(90)
        s.connect(f"{DIR}/b/run/sock")
        s.sendall(json.dumps(request).encode() + b"\n")
        for line in s.makefile():
            answer = json.loads(line)
            if "ok" in answer:
                return answer
    raise OSError("vtpmd gives no answer")


def lie_as_destination(link):
    """Once the source has begun to send the guest."""
    if LIE == "banner-twice":
        link.word(BANNER)
        link.word(BANNER)
    elif LIE == "ready-first":
        link.word(READY)
    elif LIE == "ready-twice":
        link.word(BANNER)
        link.word(READY)
        link.word(READY)
    elif LIE == "report-first":
        link.word(BANNER)
        link.word(REPORT, 0)
    elif LIE == "give-back-first":
        link.word(BANNER)
        link.word(GIVE_BACK)
    elif LIE == "taken-too-much":
        link.word(BANNER)
        for _ in range(100):
            link.word(TAKEN, (1 << 21) - 1)
    elif LIE == "data-back":
        link.data(GO_TEXT)
    elif LIE == "huge":
        link.s.sendall(struct.pack(">I", 0xffffffff))
    elif LIE == "word":
        link.word(0x77)
    elif LIE == "refusal":      # a sentence for root's terminal
        link.refuse(b"\x1b[2J\x1b[31m\rvtpmctl: type \x07 this\n")
    elif LIE == "long-refusal":
        link.refuse(b"x" * 100000)


def destination():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen(8)
        while True:
            try:
                one, _ = listener.accept()
                link = Link(tls("server", "b").wrap_socket(one, server_side=True))
                serve(link)
            except (OSError, EOFError) as e:
                print(f"connection: {e}", flush=True)


def comes_nothing(link):
    return not link.s.pending() and not select.select([link.s], [], [], 0.3)[0]


def stall(link):
    """Takes all of guest and vTPM, and is there for ever: never-ready says that, drip begins to say something that it
    never ends, never-report says READY, and not what became of the guest that it may start; fails-keeps says that it
    could not start it, and answers whatever it is asked, but gives the vTPM not back; fails-hangs begins an answer."""
    started = prepared = begun = ready = hangs = False
    while True:
        if comes_nothing(link):
            if LIE == "drip" and prepared:
                link.s.sendall(b"x" if begun else struct.pack(">I", 1 << 31 | 65536))
                if not begun:
                    print("drips", flush=True)
                begun = True
            elif LIE in ("never-report", "fails-keeps", "fails-hangs") and prepared and not ready:
                link.word(READY)
                ready = True
            elif started:
                link.word(ALIVE)
            elif hangs:
                link.s.sendall(b"x")
            continue
        kind, value = link.item()
        if kind == "turn":
            answer = vtpmd(op="move", peer="a", messages=[m.hex() for m in value]) if value else {}
            if not begun:
                link.turn([bytes.fromhex(m) for m in answer.get("messages", [])])
            if answer.get("state") == "prepared" and not prepared:
                prepared = True
                print("prepared", flush=True)
        elif not started and kind == "data" and LIE == "fails-hangs":
            link.s.sendall(struct.pack(">I", 1 << 31 | 65536))
            hangs = True
        elif not started and (kind == "data" or value & 0xff == HAND_BACK):
            answer = vtpmd(op="move", peer="a", name="web1", event="tick")
            link.turn([bytes.fromhex(m) for m in answer.get("messages", [])])
            print("asked", kind, flush=True)
        elif kind == "word" and value & 0xff == DOES_RUN:
            link.word(REPORT, 1)
        elif kind == "data" and not begun:
            link.word(TAKEN, len(value))
        elif kind == "word" and value & 0xff == START:
            started = True
            link.word(BANNER)
        elif kind == "word" and value & 0xff == GO:
            print("told to start", flush=True)
            if LIE.startswith("fails"):
                link.word(REPORT, 3)


def serve(link):
    lied = False
    if LIE in ("never-ready", "drip", "never-report", "fails-keeps", "fails-hangs"):
        stall(link)
    while True:
        kind, value = link.item()
        if kind == "turn" and value and LIE == "long-accept" and value[0][0] == 1:
            link.turn([b"\x08" + value[0][1:33] + struct.pack(">I", LONGEST) + bytes(LONGEST)])
        elif kind == "turn" and value:
            answer = vtpmd(op="move", peer="a", messages=[m.hex() for m in value])
            link.turn([bytes.fromhex(m) for m in answer.get("messages", [])])
        elif kind == "turn":
            link.turn([])
        elif kind == "word" and value & 0xff == START and not lied:
            lied = True
            lie_as_destination(link)


def lie_as_source(link):
    if LIE == "start-alone":
        link.word(START)
        link.data(b"Xen saved domain, xl format\n \0 \r" + struct.pack("<IIII", 0x01020304, 3, 0, 12) + b"\0" * 12)
    elif LIE == "go-first":
        link.word(START)
        link.word(GO)
    elif LIE == "go-in-data":
        link.word(START)
        link.data(GO_TEXT * 10)
    elif LIE == "more-than-window":
        link.word(START)
        link.data(b"Xen saved domain, xl format\n \0 \r" + struct.pack("<IIII", 0x01020304, 3, 0, 1 << 30))
        for _ in range(200):
            link.data(b"x" * 65536)
    elif LIE == "huge":
        link.s.sendall(struct.pack(">I", 0xffffffff) + b"x" * 100000)
    elif LIE == "nine-messages":
        link.turn([b"x" * 10] * 9)
    elif LIE == "hand-back":
        link.data(b"web1")
        link.item()
        link.word(HAND_BACK)
        print("answered", link.item()[0], flush=True)
        sys.exit()
    elif LIE == "endless-head":
        link.s.sendall(struct.pack(">II", 1, 0xfffffff0) + b"x" * 100000)


def source():
    link = Link(tls("client", "b" if LIE == "hand-back" else "a").wrap_socket(socket.create_connection(("127.0.0.1", PORT))))
    link.s.settimeout(40)
    try:
        lie_as_source(link)
        while True:
            kind, value = link.item()
            if kind == "word" and value & 0xff == BANNER:
                print("started xl", flush=True)
    except (OSError, EOFError) as e:
        print("late" if isinstance(e, TimeoutError) else "dropped", flush=True)


def strangers():
    held = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(int(LIE))]
    print(f"connected {len(held)}", flush=True)
    for _ in range(90):     # a byte now and then, which restarts a limit of silence
        time.sleep(1)
        for s in held:
            try:
                s.send(b"\x16")
            except OSError:
                pass


def message(kind, body=b"", uuid=None):
    return struct.pack(">B16s16sI", kind, os.urandom(16), uuid or os.urandom(16), len(body)) + body


def offer(name, uuid=None):
    description = json.dumps({"policy": "tpm", "memory": 8, "process": True, "localities": 1, "pcr_banks": 0, "ek": ""}).encode()
    part = [struct.pack(">H", len(p)) + p for p in (b"xen-vtpm offer 1", name)]
    return message(1, part[0] + os.urandom(32) + struct.pack(">QQ", 1, 1) + part[1] + struct.pack(">I", len(description)) + description, uuid)


class Flood:
    """Of the host c of the pool, which has nothing to do with a and b."""
    def __init__(self):
        self.link = None

    def connect(self):
        self.link = Link(tls("client", "c").wrap_socket(socket.create_connection(("127.0.0.1", PORT))))
        self.link.s.settimeout(90)

    def turn(self, *messages):
        """What comes back; None: it was cut off."""
        try:
            if not self.link:
                self.connect()
            self.link.turn(messages)
            kind, value = self.link.item()
            return value if kind == "turn" else None
        except (OSError, EOFError):
            self.link = None
            return None

    @staticmethod
    def uuids():
        """Messages about vTPMs that nobody has, each of another one; as migrate-receive gives them to vtpmd."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(f"{DIR}/a/run/sock")
            answers = s.makefile()
            for _ in range(11000):
                s.sendall(json.dumps({"op": "move", "peer": "c", "messages": [message(13).hex()]}).encode() + b"\n")
                answers.readline()
        print("sent", flush=True)

    def outbox(self):
        """Answers that nobody takes, since the last message is another vTPM's; then they are asked for."""
        uuid = os.urandom(16)
        for _ in range(10):
            self.turn(*[message(10, uuid=uuid) for _ in range(7)], message(13))
        print("kept", len(self.turn(message(10, uuid=uuid)) or []), flush=True)

    def offers(self):
        """vTPMs that never come; how many were taken at a time, and how many in all."""
        taken = [self.turn(offer(b"flood%d" % i)) for i in range(24)]
        print("at once", sum(bool(t) and t[0][0] == 8 for t in taken), flush=True)
        print("said", [t[0][37:].decode() for t in taken if t and t[0][0] == 9][-1:], flush=True)

    def lines(self):
        """Says what makes no sense, each time on a connection of its own, and a line of the journal is written of each."""
        for _ in range(60):
            try:
                self.connect()
                self.link.word(7)
                self.link.item()
            except (OSError, EOFError):
                pass
            self.link = None
        print("said", flush=True)

    def events(self):
        """Says what only operator, manager and TPM of a may say: begin, judged good, export, exported, commit, finish;
        of a vTPM that runs there.  What it is told."""
        path, = [p for p in glob.glob(f"{DIR}/a/store/*/vtpm.json") if json.load(open(p))["name"] == "web1"]
        uuid, txid = bytes.fromhex(path.split("/")[-2].replace("-", "")), os.urandom(16)
        told = []
        for kinds in ([32, 8, 48, 33, 50, 10, 34, 11], [36], [32], [39], [57]):
            told += self.turn(*[struct.pack(">B16s16sI", kind, txid, uuid, 0) for kind in kinds]) or []
        print("told", [m[0] for m in told], flush=True)

    def squat(self):
        """Has a know a move of its own, of a vTPM of the name web1, that comes to nothing; asks what became of it, and,
        when another host's web1 has come there, to have its guest handed back."""
        mine = offer(b"web1")
        txid, uuid = mine[1:17], mine[17:33]
        self.turn(mine)
        self.turn(struct.pack(">B16s16sI", 4, txid, uuid, 0))
        self.link.data(str(UUID(bytes=uuid)).encode())
        print("told", self.link.item()[0], flush=True)
        while not os.path.exists(f"{DIR}/comes"):
            time.sleep(0.05)
        self.link.word(HAND_BACK)
        try:
            print("then", self.link.item()[0], flush=True)
        except (OSError, EOFError):
            print("then dropped", flush=True)

    def usurp(self):
        """Offers a vTPM that has moved away to another host, under another name; and, "ends" told, gives that up."""
        uuid = UUID(open(f"{DIR}/uuid").read().strip()).bytes
        mine = offer(b"other", uuid)
        print("told", [m[0] for m in self.turn(mine) or []], flush=True)
        while not os.path.exists(f"{DIR}/ends"):
            time.sleep(0.05)
        self.turn(struct.pack(">B16s16sI", 4, mine[1:17], uuid, 0))

    def idle(self):
        """Holds connections, more than migrate-receive serves."""
        held = []
        for _ in range(80):
            try:
                self.connect()
                self.link.turn([])
                self.link.item()
                held.append(self.link)
            except (OSError, EOFError):
                pass
        print("held", len(held), flush=True)
        time.sleep(60)

    def former(self):
        """Asks of a move of the vTPM that is over, in which it was.  Kinds of the messages that it is told."""
        gone = bytes.fromhex(re.findall("to b, transfer ([0-9a-f]{32})", open(f"{DIR}/a/audit.log").read())[-1])
        path, = [p for p in glob.glob(f"{DIR}/a/store/*/vtpm.json") if json.load(open(p))["name"] == "web1"]
        uuid = bytes.fromhex(path.split("/")[-2].replace("-", ""))
        print("told", [m[0] for m in self.turn(struct.pack(">B16s16sI", 11, gone, uuid, 0)) or []], flush=True)

    def name(self):
        """Asks for a vTPM that moves from a to b."""
        self.connect()
        self.link.data(b"web1")
        try:
            print("told", self.link.item()[0], flush=True)
        except (OSError, EOFError):
            print("dropped", flush=True)


{"destination": destination, "source": source, "strangers": strangers,
 "flood": lambda: getattr(Flood(), LIE)()}[ROLE]()

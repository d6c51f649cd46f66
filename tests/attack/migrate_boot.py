#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A relay between two hosts, with the certificates of both, for tests/attack/migrate-boot:  migrate_boot.py LIE PORT TO DIR
It passes on all that a says to b, but for what of the launched guest's images and description it changes: as a domain 0 of a
that lies about what its guest boots."""
import json
import socket
import struct
import sys
import threading

from peer_link import Link, tls

LIE, PORT, TO, DIR = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
START, TAKEN, IMAGE = 1, 3, 11
KERNEL, RAMDISK = 0, 1


class Relay:
    def __init__(self, a, b):
        self.a, self.b = a, b
        self.stream = None      # the beginning of the guest, until its description is whole
        self.replay = []        # the kernel's bytes

    def back(self):
        """From b to a."""
        try:
            while True:
                kind, value = self.b.item()
                self.say(self.a, kind, value)
        except (OSError, EOFError):
            self.a.s.close()

    @staticmethod
    def say(link, kind, value):
        if kind == "word":
            link.word(value & 0xff, value >> 8)
        elif kind == "data":
            link.data(value)
        else:
            link.turn(value)

    def image(self):
        """One image of a's, as it is or otherwise."""
        what, fd, size = struct.unpack(">BHQ", self.a.item()[1])
        head = {"fd-other": (what, fd + 20, size), "huge": (what, fd, 1 << 40)}.get(LIE, (what, fd, size))
        if LIE == "missing" and what == RAMDISK or LIE == "none-comes":
            self.a.word(TAKEN, 0)
            self.drain(size)
            self.a.word(TAKEN, 1)
            return
        self.pass_image(struct.pack(">BHQ", *head), what, size)
        if LIE == "twice" and what == KERNEL:
            self.b.word(IMAGE)
            self.b.data(struct.pack(">BHQ", what, fd + 30, size))
            for piece in self.replay:
                self.b.data(piece)

    def drain(self, size):
        while size:
            size -= len(self.a.item()[1])

    def pass_image(self, head, what, size):
        self.b.word(IMAGE)
        self.b.data(head)
        while size:
            _, piece = self.a.item()
            size -= len(piece)
            if LIE == "flip-last" and not size and what == RAMDISK:
                piece = piece[:-1] + bytes([piece[-1] ^ 1])
            self.replay.append(piece)
            self.b.data(piece)
        if LIE == "tail":
            self.b.data(b"x" * 1000)

    def description(self, piece):
        """xl's header and the guest's description, once they are whole."""
        self.stream += piece
        if len(self.stream) < 52 or len(self.stream) < 48 + struct.unpack("<I", self.stream[44:48])[0]:
            return
        order, flags, other, size = struct.unpack("<IIII", self.stream[32:48])
        text, rest = self.stream[52:48 + size - 1].decode(), self.stream[48 + size:]
        text = self.lie(text)
        data = text.encode() + b"\0"
        stream = self.stream[:32] + struct.pack("<IIII", order, flags, other, len(data) + 4) + \
            struct.pack("<I", len(data)) + data + rest
        for at in range(0, len(stream), 32768):     # it may be longer than a piece may be
            self.b.data(stream[at:at + 32768])
        self.stream = None

    @staticmethod
    def lie(text):
        config = json.loads(text)
        if LIE == "cmdline":
            config["b_info"]["cmdline"] = "rw init=/bin/sh"
        elif LIE == "path":
            config["b_info"]["kernel"] = "/boot/evil"
        elif LIE == "uuid":
            config["c_info"]["uuid"] = "11111111-2222-3333-4444-555555555555"
        elif LIE == "two-texts":
            return json.dumps(dict(config, b_info=dict(config["b_info"], kernel="/boot/evil"))) + "\0" + text
        return json.dumps(config)

    def forth(self):
        """From a to b."""
        while True:
            kind, value = self.a.item()
            if kind == "word" and value & 0xff == IMAGE:
                self.image()
            elif kind == "data" and self.stream is not None:
                self.description(value)
            else:
                if kind == "word" and value & 0xff == START:
                    self.stream = b""
                self.say(self.b, kind, value)


def serve(one):
    try:
        a = Link(tls(DIR, "server", "b").wrap_socket(one, server_side=True))
        b = Link(tls(DIR, "client", "a").wrap_socket(socket.create_connection(("127.0.0.1", TO))))
    except OSError:
        return
    relay = Relay(a, b)
    threading.Thread(target=relay.back, daemon=True).start()
    try:
        relay.forth()
    except (OSError, EOFError, ValueError, struct.error):
        pass
    for link in (a, b):
        try:
            link.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        link.s.close()


def main():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen(8)
        while True:
            one, _ = listener.accept()
            threading.Thread(target=serve, args=(one,), daemon=True).start()


main()

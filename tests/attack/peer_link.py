# SPDX-License-Identifier: Apache-2.0
"""The connection between two hosts of a pool, as tools/vtpmctl/peerlink.h has it."""
import ssl
import struct

DATA, WORD = 1 << 31, 1 << 30


def tls(folder, side, name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if side == "server" else ssl.PROTOCOL_TLS_CLIENT)
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    c.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    c.load_verify_locations(f"{folder}/ca.pem")
    c.check_hostname = False
    c.verify_mode = ssl.CERT_REQUIRED
    return c


class Link:
    def __init__(self, s):
        self.s = s

    def exact(self, n):
        data = b""
        while len(data) < n:
            got = self.s.recv(n - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def item(self):
        """(kind, value): messages, a piece of data, a word."""
        n, = struct.unpack(">I", self.exact(4))
        if n & DATA:
            return "data", self.exact(n & ~DATA)
        if n & WORD:
            return "word", n & ~WORD
        return "turn", [self.exact(struct.unpack(">I", self.exact(4))[0]) for _ in range(n)]

    def turn(self, messages):
        self.s.sendall(struct.pack(">I", len(messages)) +
                       b"".join(struct.pack(">I", len(m)) + m for m in messages))

    def word(self, kind, value=0):
        self.s.sendall(struct.pack(">I", WORD | kind | value << 8))

    def refuse(self, text):
        self.s.sendall(struct.pack(">I", 1 << 29 | len(text)) + text)

    def data(self, piece):
        self.s.sendall(struct.pack(">I", DATA | len(piece)) + piece)

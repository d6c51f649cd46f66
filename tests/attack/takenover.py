# SPDX-License-Identifier: Apache-2.0
"""A stub domain that its guest took over: it is in the manager's place, on the host
channel (include/channel.h) at descriptor 3, and reaches for the host's TPM.  The tests tell
it what to try, a line each, at the socket NAME.ctl; it answers with a line."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../host"))
sys.dont_write_bytecode = True
from vtpmd_objects import blob  # noqa: E402

REPLY = 0x8000
HELLO, GET, PUT, TPM, READY, FAIL, STATUS = 1, 2, 3, 4, 9, 10, 11
EVENT_STOP, EVENT_STATUS = 0x4001, 0x4002

SRK = 0x81005654
RH_OWNER, RH_NULL, RS_PW, RH_LOCKOUT, RH_ENDORSEMENT, RH_PLATFORM = (
    0x40000001, 0x40000007, 0x40000009, 0x4000000A, 0x4000000B, 0x4000000C)
CREATE, LOAD, UNSEAL, FLUSH, LOAD_EXTERNAL, READ_PUBLIC, START, RANDOM, PCR_READ = (
    0x153, 0x157, 0x15E, 0x165, 0x167, 0x173, 0x176, 0x17B, 0x17E)
POLICY_NV, COUNTER = 0x149, 0x01805655
POLICY_KEY = 18        # of the configuration
NODA_SEALED = 0x492     # fixedTPM, fixedParent, adminWithPolicy, noDA


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def b2(data):
    return u16(len(data)) + data


def command(code, *parts, auth=None):
    """A TPM command: handles first, when auth (an authorization area) follows them."""
    body = b"".join(parts) if auth is None else parts[0] + b2_32(auth) + b"".join(parts[1:])
    return u16(0x8001 if auth is None else 0x8002) + u32(10 + len(body)) + u32(code) + body


def b2_32(data):
    return u32(len(data)) + data


def password(text=b""):
    return u32(RS_PW) + b2(b"") + b"\0" + b2(text)


def in_session(handle, attributes=1, hmac=b"\x5a" * 32, nonce=b"n" * 32):
    return u32(handle) + b2(nonce) + bytes([attributes]) + b2(hmac)


def keyedhash(attributes, policy=b"", scheme=u16(0x10)):
    return u16(8) + u16(0xB) + u32(attributes) + b2(policy) + scheme + b2(b"")


def rsa_key():
    # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt
    return (u16(1) + u16(0xB) + u32(0x30472) + b2(b"") + u16(6) + u16(128) + u16(0x43) +
            u16(0x10) + u16(2048) + u32(0) + b2(b""))


def policy_key(attributes=0x40040):
    # an EC key for signatures on P-256: its generator
    x = bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    y = bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    return (u16(0x23) + u16(0xB) + u32(attributes) + b2(b"") + u16(0x10) + u16(0x10) +
            u16(3) + u16(0x10) + b2(x) + b2(y))


def salt():
    # the point of policy_key(): on the curve
    return policy_key()[-68:]


class Refused(Exception):
    """vtpmd's own answer: an errno."""


class Taken:
    def __init__(self, path):
        self.path, self.ident = path, 0
        self.chan = socket.socket(fileno=3)
        self.uuid, self.config = bytes(16), {}

    # --- the host channel
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
        if kind == EVENT_STATUS:
            self.send(STATUS, b"")

    def call(self, kind, payload=b""):
        want = self.send(kind, payload)
        while True:
            got, ident, data = self.frame()
            if not ident:
                self.event(got)
            elif ident == want and got == kind | REPLY:
                return struct.unpack(">I", data[:4])[0], data[4:]

    def hello(self):
        status, data = self.call(HELLO, struct.pack(">HHB16sQ", 1, 2, 0, bytes(16), 0))
        at = 2
        while not status and at < len(data):
            tag, size = struct.unpack(">HI", data[at:at + 6])
            self.config[tag] = data[at + 6:at + 6 + size]
            at += 6 + size
        self.uuid = self.config.get(1, bytes(16))

    def put(self, obj, seq, data):
        policy, = struct.unpack(">H", self.config[4])
        epoch, = struct.unpack(">Q", self.config[10])
        return self.call(PUT, struct.pack(">HQ", obj, seq) +
                         blob(obj, self.uuid, seq, data, policy, epoch))[0]

    # --- the host's TPM
    def tpm(self, *args, **kwargs):
        """(TPM_RC, what follows the header)"""
        status, data = self.call(TPM, command(*args, **kwargs))
        if status:
            raise Refused(status)
        return struct.unpack(">I", data[6:10])[0], data[10:]

    def random(self, n=16):
        return self.tpm(RANDOM, u16(n))

    def start(self, kind=0, key=SRK, bind=RH_NULL, salted=True):
        """A session's handle, or 0 and the code."""
        rc, data = self.tpm(START, u32(key), u32(bind), b2(b"c" * 32),
                            b2(salt() if salted else b""), bytes([kind]),
                            u16(6), u16(128), u16(0x43), u16(0xB))
        return (struct.unpack(">I", data[:4])[0] if not rc else 0), rc

    def create(self, public, sensitive=b"", auth=None):
        """TPM2B_PRIVATE, TPM2B_PUBLIC; or the code."""
        rc, data = self.tpm(CREATE, u32(SRK), b2(sensitive), b2(public), b2(b""), u32(0),
                            auth=auth or password())
        if rc:
            return rc, b"", b""
        data = data[4:]
        n = struct.unpack(">H", data[:2])[0]
        private, data = data[:2 + n], data[2 + n:]
        n = struct.unpack(">H", data[:2])[0]
        return 0, private, data[:2 + n]

    def load(self, private, public, auth=None):
        rc, data = self.tpm(LOAD, u32(SRK), private, public, auth=auth or password())
        return (struct.unpack(">I", data[:4])[0] if not rc else 0), rc

    # --- what it tries; each answers with a text
    def do_lockout(self):
        """An object of its own that counts, and wrong passwords."""
        rc, private, public = self.create(keyedhash(0x52), b2(b"right") + b2(b"secret"))
        if rc:
            return f"Create 0x{rc:x}"
        handle, rc = self.load(private, public)
        if rc:
            return f"Load 0x{rc:x}"
        codes = [self.tpm(UNSEAL, u32(handle), auth=password(b"wrong"))[0] for _ in range(5)]
        return "unseal " + " ".join(f"0x{c:x}" for c in codes)

    def do_foreign(self, private, public):
        """An object of another program, which it found on the disk."""
        with open(private, "rb") as f:
            inside = f.read()
        with open(public, "rb") as f:
            handle, rc = self.load(inside, f.read())
        if rc:
            return f"Load 0x{rc:x}"
        codes = [self.tpm(UNSEAL, u32(handle), auth=password(b"wrong"))[0] for _ in range(5)]
        return "unseal " + " ".join(f"0x{c:x}" for c in codes)

    def do_bound(self):
        """A session that is bound to lockoutAuth, whose HMAC is wrong."""
        status, data = self.call(TPM, command(
            START, u32(RH_NULL), u32(RH_LOCKOUT), b2(b"c" * 32), b2(b""), b"\0", u16(0x10), u16(0xB)))
        if status:
            raise Refused(status)
        rc, handle = struct.unpack(">II", data[6:14].ljust(8, b"\0"))
        if rc:
            return f"StartAuthSession 0x{rc:x}"
        rc = self.create(keyedhash(NODA_SEALED, b"p" * 32), b2(b"") + b2(b"x"),
                         in_session(handle))[0]
        return f"Create 0x{rc:x}"

    def do_rsa(self, seconds):
        """Keys without end."""
        end, n = time.monotonic() + float(seconds), 0
        while time.monotonic() < end:
            rc = self.create(rsa_key(), b2(b"") + b2(b""))[0]
            if rc:
                return f"Create 0x{rc:x}"
            n += 1
        return f"made {n}"

    def do_external(self):
        """A key of its own, with its private part, and one without."""
        private = b2(u16(0x23) + b2(b"") + b2(b"") + b2(b"\0" * 31 + b"\1"))
        rc, data = self.tpm(LOAD_EXTERNAL, private, b2(policy_key()), u32(RH_NULL))
        return f"0x{rc:x}"

    def do_external_public(self):
        rc, data = self.tpm(LOAD_EXTERNAL, b2(b""), b2(policy_key()), u32(RH_OWNER))
        return f"0x{rc:x}"

    def do_bind(self, bind):
        return f"0x{self.start(bind=int(bind, 16))[1]:x}"

    def do_session(self, kind):
        """A session as the manager has it, HMAC (0) or policy (1): its handle."""
        handle, rc = self.start(int(kind))
        return f"{handle:x}" if handle else f"StartAuthSession 0x{rc:x}"

    def do_password(self):
        """What is allowed, but with a password in place of a session."""
        rc = self.create(keyedhash(NODA_SEALED, b"p" * 32), b2(b"") + b2(b"x"))[0]
        return f"0x{rc:x}"

    def do_hmac(self, n):
        """What is allowed, in a session of its own, with wrong HMACs."""
        handle = self.start()[0]
        codes = {self.create(keyedhash(NODA_SEALED, b"p" * 32), b"x" * 68,
                             in_session(handle, 0x21))[0] for _ in range(int(n))}
        self.tpm(FLUSH, u32(handle))
        return " ".join(f"0x{c:x}" for c in codes)

    def do_counter(self, n):
        """The counter of revocations, with wrong HMACs."""
        policy, hmac = self.start(1)[0], self.start(0)[0]
        codes = {self.tpm(POLICY_NV, u32(COUNTER) + u32(COUNTER) + u32(policy), b2(bytes(8)), u16(0),
                          u16(0), auth=in_session(hmac))[0] for _ in range(int(n))}
        for handle in policy, hmac:
            self.tpm(FLUSH, u32(handle))
        return " ".join(f"0x{c:x}" for c in codes)

    def do_flush(self, handle):
        return f"0x{self.tpm(FLUSH, u32(int(handle, 16)))[0]:x}"

    def do_use(self, handle):
        """A session of its own, or of another: PolicyGetDigest."""
        return f"0x{self.tpm(0x189, u32(int(handle, 16)))[0]:x}"

    def do_hoard(self):
        """Two sessions, and then the policy key without end, all never given back."""
        got = 0
        try:
            for _ in range(2):
                got += self.start()[1] == 0
            for _ in range(7):
                got += self.tpm(LOAD_EXTERNAL, b2(b""), b2(self.config[POLICY_KEY]), u32(RH_OWNER))[0] == 0
        except Refused as e:
            return f"{got}, then errno {e}"
        return f"{got}"

    def do_code(self, code, handle):
        """Any command on a handle, with a password."""
        rc = self.tpm(int(code, 16), u32(int(handle, 16)), b"\0" * 16, auth=password())[0]
        return f"0x{rc:x}"

    def do_raw(self, data):
        status, data = self.call(TPM, bytes.fromhex(data))
        if status:
            raise Refused(status)
        return data.hex()

    def do_flood(self, n):
        """n commands that are allowed, one after another: the seconds that it took."""
        begin = time.monotonic()
        for _ in range(int(n)):
            self.tpm(READ_PUBLIC, u32(SRK))
        return f"{time.monotonic() - begin:.1f}"

    def do_ready(self):
        if self.put(1, 1, b"header") or self.put(2, 1, b"state"):
            return "PUT was refused"
        return str(self.call(READY, struct.pack(">Q", 1))[0])

    def do_fail(self):
        """FAIL, the KMS being unreachable, which passes by itself, and its end."""
        self.call(FAIL, u32(16) + b"no KMS")
        os._exit(1)

    def told(self, what, *args):
        try:
            return getattr(self, "do_" + what)(*args)
        except Refused as e:
            return f"errno {e}"

    def serve(self):
        server = socket.socket(socket.AF_UNIX)
        if os.path.exists(self.path + ".ctl"):
            os.unlink(self.path + ".ctl")
        server.bind(self.path + ".ctl")
        server.listen()
        import select
        while True:
            ready, _, _ = select.select([server, self.chan], [], [])
            if self.chan in ready:
                kind, ident, _ = self.frame()
                if not ident:
                    self.event(kind)
            if server in ready:
                client = server.accept()[0]
                line = client.makefile().readline().split()
                answer = self.told(*line)
                with client:
                    client.sendall(f"{answer}\n".encode())


taken = Taken(sys.argv[sys.argv.index("--unix") + 1])
taken.hello()
taken.serve()

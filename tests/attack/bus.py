# SPDX-License-Identifier: Apache-2.0
"""A device on the TPM's bus: between vtpmctl at LISTEN and the host's TPM at TPM.

bus.py LISTEN TPM MODE: MODE is a file with words, read at each command; each says what
is done to the TPM's answers.  What was done is a line on standard output."""
import hashlib, os, socket, struct, sys, threading

NO_SESSIONS, SESSIONS = 0x8001, 0x8002
CREATE, READ_PUBLIC, PCR_READ = 0x153, 0x173, 0x17E
POLICY_GET_DIGEST, GET_CAPABILITY, POLICY_PCR = 0x189, 0x17A, 0x17F
listen, tpm, mode = sys.argv[1:]
state = {}  # PCRs that were told; the TCTI connects anew for each command


def words():
    try:
        return dict(w.partition("=")[::2] for w in open(mode).read().split())
    except OSError:
        return {}


def whole(s):
    head = b""
    while len(head) < 10:
        more = s.recv(10 - len(head))
        if not more:
            return None
        head += more
    body = b""
    while len(body) < struct.unpack(">I", head[2:6])[0] - 10:
        body += s.recv(65536)
    return head + body


def params(rsp, handles):
    """Where the parameters begin and end."""
    tag, size = struct.unpack(">HI", rsp[:6])
    at = 10 + 4 * handles
    if tag == NO_SESSIONS:
        return at, size
    n = struct.unpack(">I", rsp[at:at + 4])[0]
    return at + 4, at + 4 + n


def replace(rsp, handles, new, plain):
    """The answer with other parameters of the same length; plain: without sessions."""
    begin, end = params(rsp, handles)
    if plain:
        head = rsp[10:10 + 4 * handles]
        return struct.pack(">HII", NO_SESSIONS, 10 + len(head) + len(new), 0) + head + new
    assert len(new) == end - begin
    return rsp[:begin] + new + rsp[end:]


def own_pcr(rsp, w):
    """PCR 7 is what the attacker wants."""
    begin, end = params(rsp, 0)
    p = bytearray(rsp[begin:end])
    bits = int.from_bytes(p[11:14], "little")
    at = 18
    for n in range(24):
        if bits >> n & 1:
            if n == 7:
                p[at + 2:at + 34] = bytes.fromhex(w["pcr7"])
            state[n] = bytes(p[at + 2:at + 34])
            at += 34
    return bytes(p)


def own_digest():
    """TPM2_PolicyPCR's digest, of the values that were told."""
    values = b"".join(state[n] for n in sorted(state))
    bits = sum(1 << n for n in state)
    policy = hashlib.sha256(bytes(32) + struct.pack(">IIHB", POLICY_PCR, 1, 11, 3) +
                            bits.to_bytes(3, "little") + hashlib.sha256(values).digest()).digest()
    return struct.pack(">H", 32) + policy


def own_public(p, key):
    """A TPM2B_PUBLIC of P-256 with the attacker's point, and its Name."""
    n = struct.unpack(">H", p[:2])[0]
    public = p[2:2 + n - 68] + b"\0\x20" + key[:32] + b"\0\x20" + key[32:]
    return struct.pack(">H", n) + public, b"\0\x0b" + hashlib.sha256(public).digest()


def tamper(cmd, rsp, w):
    code = struct.unpack(">I", cmd[6:10])[0]
    if struct.unpack(">I", rsp[6:10])[0]:
        return rsp, None
    plain = "plain" in w or rsp[:2] == b"\x80\x01"
    if code == PCR_READ and "pcr7" in w:
        return replace(rsp, 0, own_pcr(rsp, w), plain), "PCR 7"
    if code == POLICY_GET_DIGEST and "pcr7" in w and state:
        return replace(rsp, 0, own_digest(), plain), "digest"
    if code == CREATE and "ak" in w:
        begin, end = params(rsp, 0)
        p = rsp[begin:end]
        at = 2 + struct.unpack(">H", p[:2])[0]  # behind outPrivate
        n = 2 + struct.unpack(">H", p[at:at + 2])[0]
        if p[at + 2:at + 4] != b"\0\x23":
            return rsp, None
        public, _ = own_public(p[at:at + n], bytes.fromhex(w["ak"]))
        return replace(rsp, 0, p[:at] + public + p[at + n:], plain), "attestation key"
    if code == READ_PUBLIC and "srk" in w and cmd[10:14] == b"\x81\0\x56\x54":
        begin, end = params(rsp, 0)
        p = rsp[begin:end]
        n = 2 + struct.unpack(">H", p[:2])[0]
        public, name = own_public(p[:n], bytes.fromhex(w["srk"]))
        rest = p[n:] if w["srkname"] == "theirs" else \
            p[n:n + 2] + name + p[n + 36:]
        return replace(rsp, 0, public + rest, plain), "storage key"
    if code == GET_CAPABILITY and "lockout" in w and \
            cmd[-12:-4] == struct.pack(">II", 6, 0x20E):
        begin, end = params(rsp, 0)
        return replace(rsp, 0, rsp[begin:end - 4] + bytes(4), plain), "lockout counter"
    return rsp, None


def serve(client):
    up = socket.socket(socket.AF_UNIX)
    up.connect(tpm)
    while True:
        cmd = whole(client)
        if not cmd or cmd[6:10].hex() == words().get("cut"):
            break
        up.sendall(cmd)
        rsp, done = tamper(cmd, whole(up), words())
        if done:
            print("answered", done, flush=True)
        client.sendall(rsp)
    up.close()
    client.close()


s = socket.socket(socket.AF_UNIX)
s.bind(listen)
s.listen(5)
os.symlink(tpm + ".ctrl", listen + ".ctrl")
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()

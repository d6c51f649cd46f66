# SPDX-License-Identifier: Apache-2.0
"""Who may open the host's TPM, and has a copy of host.json or of parts of it.

hosttpm.py SOCKET HOST_JSON unseal [PURPOSE]  the KMS client's key
hosttpm.py SOCKET HOST_JSON write HEX         the anchor's NV index
hosttpm.py SOCKET HOST_JSON redefine HEX      the same, after making the index anew

Speaks to the TPM itself, as a program of the attacker would, and uses what the copy has:
without "auth" an empty one, without the anchor's "key" none.  Tries every approval, every
signature of it for every purpose (or as PURPOSE's alone), and with and without an
authValue.  Status 0, and a line on standard output, when one works."""
import hashlib, json, os, socket, struct, subprocess, sys

SHA256, OWNER, NULL = 11, 0x40000001, 0x40000007
COUNTER, ANCHOR, SRK = 0x01805655, 0x01805654, 0x81005654
KMS = 2
sock, conf, verb = sys.argv[1:4]
host = json.load(open(conf))
tpm = host["tpm"]
auth = bytes.fromhex(tpm.get("auth", ""))
key_public = bytes.fromhex(tpm["policy_key"])


class Refused(Exception):
    pass


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def b2(p):
    return u16(len(p)) + p


def sha256(p):
    return hashlib.sha256(p).digest()


def command(code, handles=b"", auths=None, params=b"", gives=0):
    """The handle that it gives, and the parameters of its answer."""
    body = u32(code) + handles + (u32(len(auths)) + auths if auths else b"") + params
    s = socket.socket(socket.AF_UNIX)
    s.connect(sock)
    s.sendall(u16(0x8002 if auths else 0x8001) + u32(len(body) + 6) + body)
    rsp = b""
    while len(rsp) < 10 or len(rsp) < struct.unpack(">I", rsp[2:6])[0]:
        rsp += s.recv(65536)
    s.close()
    rc = struct.unpack(">I", rsp[6:10])[0]
    if rc:
        raise Refused(f"{code:#x}: {rc:#x}")
    at = 10 + 4 * gives
    given = struct.unpack(">I", rsp[10:14])[0] if gives else 0
    if auths:
        n = struct.unpack(">I", rsp[at:at + 4])[0]
        return given, rsp[at + 4:at + 4 + n]
    return given, rsp[at:]


def password(p=b"", session=0x40000009):
    return u32(session) + b2(b"") + b"\1" + b2(p)


def flush(handle):
    command(0x165, params=u32(handle))


def name_of(public):
    return b"\0\x0b" + sha256(public)


def load_key(public):
    return command(0x167, params=b2(b"") + b2(public) + u32(OWNER), gives=1)[0]


def approvals():
    """(bitmap, number, signed digest, signatures) of each."""
    for text in tpm["approvals"]:
        a = bytes.fromhex(text)
        at, bits = 1, 0
        for _ in range(a[0]):
            bits |= 1 << a[at]
            at += 33
        yield bits, a[at:at + 8], a[at + 8:at + 40], [a[at + 40 + 72 * i:][:72] for i in range(3)]


def ref_of(purpose):
    return sha256(b"xen-vtpm approval" + bytes([purpose]) + bytes.fromhex(tpm["srk_name"]))


def satisfy(session, approval, signature, ref):
    """What the approved policy asks for, and the policy key's word for it."""
    bits, number, digest, _ = approval
    command(0x17F, u32(session), params=b2(b"") + u32(1) + u16(SHA256) + b"\3" + bits.to_bytes(3, "little"))
    command(0x149, u32(COUNTER) * 2 + u32(session), password(auth), b2(number) + u16(0) + u16(0))
    key = load_key(key_public)
    try:
        _, ticket = command(0x177, u32(key), params=b2(sha256(digest + ref)) + signature)
    finally:
        flush(key)
    command(0x16A, u32(session), params=b2(digest) + b2(ref) + b2(name_of(key_public)) + ticket)


def sign(der, message):
    """A TPMT_SIGNATURE of it by a private key, and the key's TPMT_PUBLIC."""
    with open("key.der", "wb") as f:
        f.write(der)
    sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", "key.der", "-keyform", "DER"],
                         input=message, stdout=subprocess.PIPE, check=True).stdout
    point = subprocess.run(["openssl", "ec", "-inform", "DER", "-in", "key.der", "-pubout", "-outform", "DER"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout[-64:]
    n = sig[3]
    r, s = (i.lstrip(b"\0").rjust(32, b"\0") for i in (sig[4:4 + n], sig[6 + n:]))
    return b"\0\x18\0\x0b" + b2(r) + b2(s), key_public[:-68] + b2(point[:32]) + b2(point[32:])


def policy_signed(session, nonce):
    der = bytes.fromhex(tpm.get("anchor", {}).get("key", ""))
    if der:
        signature, public = sign(der, nonce + u32(0))
        key = load_key(public)
        try:
            command(0x160, u32(key) + u32(session), params=b2(nonce) + u16(0) * 2 + u32(0) + signature)
        finally:
            flush(key)


def in_session(use, purposes, signed=False):
    """use(authorization) with each approval, signature and way."""
    errors = set()
    for approval in approvals():
        for n, purpose, own in ((n, p, o) for n in range(3) for p in purposes for o in (True, False)):
            session, p = command(0x176, u32(NULL) * 2, params=b2(os.urandom(32)) + b2(b"") +
                                 b"\1" + u16(0x10) + u16(SHA256), gives=1)
            try:
                satisfy(session, approval, approval[3][n], ref_of(purpose))
                if signed:
                    policy_signed(session, p[2:])
                if own:
                    command(0x18C, u32(session))  # PolicyPassword
                return use(password(auth if own else b"", session))
            except Refused as e:
                errors.add(str(e))
            finally:
                flush(session)
    raise Refused(", ".join(sorted(errors)))


def write(value):
    in_session(lambda a: command(0x137, u32(ANCHOR) * 2, a, b2(value) + u16(0)), (1, 2, 3), True)


def redefine():
    """The owner removes the index, and makes one of the same attributes and policy with an
    authValue of his own."""
    _, p = command(0x169, u32(ANCHOR))
    public = bytearray(p[2:2 + struct.unpack(">H", p[:2])[0]])
    public[6] &= ~0x20  # TPMA_NV_WRITTEN
    command(0x122, u32(OWNER) + u32(ANCHOR), password())
    command(0x12A, u32(OWNER), password(), b2(auth) + b2(bytes(public)))


def unseal(purposes):
    sealed = bytes.fromhex(host["kms"]["key_sealed"])
    n = struct.unpack(">H", sealed[:2])[0] + 2
    m = struct.unpack(">H", sealed[n:n + 2])[0] + 2
    handle, _ = command(0x157, u32(SRK), password(), sealed[n:n + m] + sealed[:n], gives=1)
    try:
        _, p = in_session(lambda a: command(0x15E, u32(handle), a), purposes)
    finally:
        flush(handle)
    return p[2:]


try:
    if verb == "unseal":
        print("unsealed", unseal([int(p) for p in sys.argv[4:]] or (1, 2, 3)).hex())
    else:
        if verb == "redefine":
            redefine()
        write(bytes.fromhex(sys.argv[4]))
        print("written")
except Refused as e:
    sys.exit(f"the TPM refused: {e}")

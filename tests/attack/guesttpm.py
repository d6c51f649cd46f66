# SPDX-License-Identifier: Apache-2.0
"""What root in a guest can do: any bytes to its TPM, and keys and signatures in software."""
import base64
import hashlib
import json
import socket
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

OWNER, NULL, ENDORSEMENT, PLATFORM, LOCKOUT = (0x40000000 | n for n in (1, 7, 0xb, 0xc, 0xa))
ATTEST, READ_EVIDENCE = 0x20005602, 0x20005603
SIZES = {"sha1": (0x4, 20), "sha256": (0xb, 32), "sha384": (0xc, 48), "sha512": (0xd, 64)}
# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign
AK_ATTRIBUTES = 0x00050472
# the order of P-256
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551


def tpm2b(data):
    return struct.pack(">H", len(data)) + data


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def load(path):
    with open(path) as f:
        return json.load(f)


def store(path, evidence):
    with open(path, "w") as f:
        f.write(json.dumps(evidence, separators=(",", ":")))


def name_of(public):
    return b"\x00\x0b" + hashlib.sha256(public).digest()


def qualified(name, hierarchy, *above):
    """A key's qualified Name, by its parents' Names from the primary on."""
    qn = struct.pack(">I", hierarchy)
    for n in above + (name,):
        qn = b"\x00\x0b" + hashlib.sha256(qn + n).digest()
    return qn


def ecc_public(x=b"", y=b"", attributes=AK_ATTRIBUTES):
    """TPMT_PUBLIC of a P-256 key that signs with ECDSA and SHA-256; without x and y a template."""
    return struct.pack(">HHIHHHHHH", 0x23, 0xb, attributes, 0, 0x10, 0x18, 0xb, 3, 0x10) + \
        tpm2b(x) + tpm2b(y)


class Guest:
    """The vTPM, as it is at the guest's end of the page: here a socket."""

    def __init__(self, path):
        self.path = path

    def run(self, code, body=b"", auth=None):
        """(TPM_RC, handles and parameters); auth: handles, each with the password given."""
        tag = 0x8001
        if auth is not None:
            handles, passwords = auth
            area = b"".join(struct.pack(">IHB", 0x40000009, 0, 0) + tpm2b(p) for p in passwords)
            body = b"".join(struct.pack(">I", h) for h in handles) + struct.pack(">I", len(area)) + \
                area + body
            tag = 0x8002
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall(struct.pack(">HII", tag, 10 + len(body), code) + body)
            r = b""
            while len(r) < 6 or len(r) < struct.unpack(">I", r[2:6])[0]:
                more = s.recv(4096)
                assert more, "the TPM hung up"
                r += more
        return struct.unpack(">I", r[6:10])[0], r[10:]

    def load_external(self, public, hierarchy=NULL):
        """The handle of a key of which the TPM has the public part alone."""
        rc, out = self.run(0x167, tpm2b(b"") + tpm2b(public) + struct.pack(">I", hierarchy))
        assert rc == 0, f"LoadExternal: {rc:#x}"
        return struct.unpack(">I", out[:4])[0]

    def create_primary(self, hierarchy, public, password=b""):
        """(TPM_RC, handle, TPMT_PUBLIC)"""
        rc, out = self.run(0x131, tpm2b(bytes(4)) + tpm2b(public) + bytes(6),
                           ((hierarchy,), (password,)))
        if rc:
            return rc, 0, b""
        size = struct.unpack(">H", out[8:10])[0]
        return 0, struct.unpack(">I", out[:4])[0], out[10:10 + size]

    def quote(self, key, nonce, pcrs):
        """(TPM_RC, TPMS_ATTEST, TPMT_SIGNATURE) of these PCRs of the four banks."""
        selection = struct.pack(">I", len(SIZES)) + b"".join(
            struct.pack(">HB", alg, 3) + pcrs.to_bytes(3, "little") for alg, _ in SIZES.values())
        rc, out = self.run(0x158, tpm2b(nonce) + b"\x00\x10" + selection, ((key,), (b"",)))
        if rc:
            return rc, b"", b""
        size = struct.unpack(">H", out[4:6])[0]
        return 0, out[6:6 + size], out[6 + size:struct.unpack(">I", out[:4])[0] + 4]

    def flush(self, handle):
        return self.run(0x165, struct.pack(">I", handle))[0]

    def attest(self, body):
        return self.run(ATTEST, body)[0]

    def evidence(self):
        """What the manager made last; None: nothing."""
        text, total = b"", None
        while total is None or len(text) < total:
            rc, out = self.run(READ_EVIDENCE, struct.pack(">I", len(text)))
            assert rc == 0, f"READ_EVIDENCE: {rc:#x}"
            total, n = struct.unpack(">IH", out[:6])
            if not total:
                return None
            text += out[6:6 + n]
        return json.loads(text)


class Forger:
    """A key in software, which signs any TPMS_ATTEST."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        n = self.key.public_key().public_numbers()
        self.public = ecc_public(n.x.to_bytes(32, "big"), n.y.to_bytes(32, "big"))
        self.name = name_of(self.public)

    def sign(self, attest):
        r, s = utils.decode_dss_signature(self.key.sign(attest, ec.ECDSA(hashes.SHA256())))
        return struct.pack(">HH", 0x18, 0xb) + tpm2b(r.to_bytes(32, "big")) + tpm2b(s.to_bytes(32, "big"))

    def quote(self, side, nonce, signer):
        """(TPMS_ATTEST, TPMT_SIGNATURE) that say what the evidence's PCRs are; signer: the
        qualified Name that they show."""
        selection, values = struct.pack(">I", len(side["pcrs"])), b""
        for bank, pcrs in side["pcrs"].items():
            bits = sum(1 << int(n) for n in pcrs)
            selection += struct.pack(">HB", SIZES[bank][0], 3) + bits.to_bytes(3, "little")
            values += b"".join(decode(pcrs[n]) for n in sorted(pcrs, key=int))
        attest = struct.pack(">IH", 0xff544347, 0x8018) + tpm2b(signer) + tpm2b(nonce) + \
            struct.pack(">QIIBQ", 1, 1, 1, 1, 1) + selection + tpm2b(hashlib.sha256(values).digest())
        return attest, self.sign(attest)

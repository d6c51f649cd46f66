# SPDX-License-Identifier: Apache-2.0
"""Event logs of a firmware, as an honest or a lying guest has them: TCG PC Client Platform
Firmware Profile, 10, with the SHA-256 bank.

  firmwarelog.py LOG EXTENDS [PYTHON]

LOG gets the log, EXTENDS the arguments of tpm2_pcrextend that lead to the PCRs of the boot.
PYTHON may change `boot`, what is extended, and `log`, what is told: lists of Event."""
import hashlib
import struct
import sys
from dataclasses import dataclass

NO_ACTION, SEPARATOR, CRTM, IPL, EVENT_TAG = 3, 4, 8, 13, 6
VARIABLE, APPLICATION, ACTION = 0x80000001, 0x80000003, 0x80000007
GLOBAL = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
DATABASE = bytes.fromhex("cbb219d73a3d9645a3bcdad00e67656f")


@dataclass
class Event:
    pcr: int
    kind: int
    data: bytes
    hashed: bytes = None        # what the digest is of, if not of the data

    def digest(self):
        return hashlib.sha256(self.data if self.hashed is None else self.hashed).digest()

    def encode(self):
        return struct.pack("<IIIH", self.pcr, self.kind, 1, 11) + self.digest() + \
            struct.pack("<I", len(self.data)) + self.data


def variable(name, value, guid=GLOBAL):
    return guid + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le") + value


def normal(kernel=b"kernel", secure_boot=1):
    """A boot by UEFI, as edk2 logs it."""
    return [Event(0, CRTM, b"1\0\0\0"), Event(7, VARIABLE, variable("SecureBoot", bytes([secure_boot]))),
            Event(7, VARIABLE, variable("PK", b"pk")), Event(7, VARIABLE, variable("KEK", b"kek")),
            Event(7, VARIABLE, variable("db", b"db", DATABASE)),
            Event(7, VARIABLE, variable("dbx", b"dbx", DATABASE)),
            *(Event(pcr, SEPARATOR, bytes(4)) for pcr in range(8)),
            Event(4, APPLICATION, b"path of grub", b"grub"),
            Event(4, APPLICATION, b"path of linux", kernel),
            Event(9, EVENT_TAG, b"Linux initrd", b"initrd"),
            Event(5, ACTION, b"Exit Boot Services Returned with Success")]


def encode(log, banks=((11, 32),)):
    spec = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(banks)) + \
        b"".join(struct.pack("<HH", *b) for b in banks) + b"\0"
    return struct.pack("<II20xI", 0, NO_ACTION, len(spec)) + spec + b"".join(e.encode() for e in log)


def main():
    boot = normal()
    names = dict(globals(), boot=boot, log=None, raw=None)
    exec(sys.argv[3] if len(sys.argv) > 3 else "", names)    # pylint: disable=exec-used
    boot = names["boot"]
    log = boot if names["log"] is None else names["log"]
    with open(sys.argv[1], "wb") as f:
        f.write(encode(log) if names["raw"] is None else names["raw"])
    with open(sys.argv[2], "w") as f:
        f.write(" ".join(f"{e.pcr}:sha256={e.digest().hex()}" for e in boot
                         if e.kind != NO_ACTION) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Records of handovers, as who writes to the store finds them:  record.py FILE...
makes plain files of twin files (lib/twin.h)."""
import hashlib
import struct
import sys

MAGIC, HEAD, BLOCK = b"XVTPMTWN", 56, 4096


def whole(side):
    """(count, value) of a side; (-1, b""): it is none, or torn."""
    length, count = struct.unpack(">IQ", side[12:24])
    value = side[HEAD:HEAD + length]
    good = side.startswith(MAGIC) and hashlib.sha256(side[:24] + value).digest() == side[24:HEAD]
    return (count, value) if good else (-1, b"")


def record_value(data):
    """What vtpmd reads there."""
    half = len(data) // 2
    if half < BLOCK or not (data.startswith(MAGIC) or data[half:].startswith(MAGIC)):
        return data
    return max(whole(data[:half]), whole(data[half:]))[1]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with open(name, "rb") as f:
            record = record_value(f.read())
        with open(name, "wb") as f:
            f.write(record)

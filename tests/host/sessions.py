# SPDX-License-Identifier: Apache-2.0
"""sessions.py SOCKET FILE [COUNT]: takes all sessions that the TPM at SOCKET has room for, makes
FILE, and flushes them on a second connection, which it opens a second later; with COUNT, so many
sessions, until FILE is gone."""
import os
import socket
import struct
import sys
import time

START = struct.pack(">HIIIIH", 0x8001, 59, 0x176, 0x40000007, 0x40000007, 32) + bytes(32) + struct.pack(
    ">HBHH", 0, 0, 0x10, 0x0B
)  # no salt, an HMAC session, no symmetric algorithm, SHA-256


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def submit(s, cmd):
    s.sendall(cmd)
    rsp = s.recv(4096)
    return struct.unpack(">I", rsp[6:10])[0], rsp[10:]


def main():
    path, held = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    handles = []
    with connect(path) as s:
        while not count or len(handles) < count:
            rc, rest = submit(s, START)
            if rc:
                break
            handles.append(rest[:4])
    assert handles and rc == (0 if count else 0x903), hex(rc)
    open(held, "x").close()
    while count and os.path.exists(held):
        time.sleep(0.05)
    if not count:
        time.sleep(1)
    with connect(path) as s:
        for handle in handles:
            rc, _ = submit(s, struct.pack(">HII", 0x8001, 14, 0x165) + handle)
            assert not rc, hex(rc)


main()

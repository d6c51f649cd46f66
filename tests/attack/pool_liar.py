#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A host of the pool that is asked who has a vTPM, for tests/attack/pool-many:
pool_liar.py silent PORT        takes connections and says nothing
pool_liar.py NAME PORT FILE     answers as that host, and as FILE says: nothing, drip, huge, garbage, mine UUID"""
import os
import socket
import sys
import threading
import time

from peer_link import Link, tls

LABEL = (18).to_bytes(2, "big") + b"xen-vtpm witness 2"
ROLE, PORT = sys.argv[1], int(sys.argv[2])
kept = []


def said(uuid):
    return uuid + bytes(32 + 8 + 8 + 8 + 32 + 8) + b"\1"


def answer(link, how):
    link.item()
    whole = b"\x71" + LABEL + b"\1" + bytes(16)
    if how[0] == "nothing":
        link.turn([whole + b"\0\0"])
    elif how[0] == "drip":
        for byte in (1).to_bytes(4, "big") + (len(whole) + 2).to_bytes(4, "big") + whole + b"\0\0":
            link.s.sendall(bytes([byte]))
            time.sleep(0.5)
    elif how[0] == "huge":
        link.turn([bytes(400 * 1024)] * 8)
    elif how[0] == "garbage":
        link.turn([os.urandom(200)])
    elif how[0] == "mine":
        link.turn([whole + b"\0\1" + said(bytes.fromhex(how[1]))])
    time.sleep(1)


def serve(s):
    try:
        with open(sys.argv[3]) as f:
            how = f.read().split()
        answer(Link(tls(".", "server", ROLE).wrap_socket(s, server_side=True)), how)
    except (EOFError, OSError) as e:
        print(e, flush=True)
    s.close()


listener = socket.create_server(("127.0.0.1", PORT), backlog=256)
while True:
    one, _ = listener.accept()
    if ROLE == "silent":
        kept.append(one)
    else:
        threading.Thread(target=serve, args=(one,), daemon=True).start()

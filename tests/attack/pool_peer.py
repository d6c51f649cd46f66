#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A host of a pool that asks, or answers, what hosts ask each other (lib/witness.h) as none does.
  pool_peer.py flood DIR PORT NAME SECONDS EACH UUID...   as NAME: asks on 24 connections at once, EACH questions on each,
                                                          and connects anew then"""
import struct
import sys
import threading
import time
from socket import create_connection
from uuid import UUID

from peer_link import Link, tls

LABEL = b"xen-vtpm witness 2"
PLACES = 24  # tools/vtpmctl/migrate_receive.c
AT_ONCE = 128


def part(text):
    return struct.pack(">H", len(text)) + text


def question(uuids):
    return b"\x70" + part(LABEL) + part(b"p1") + struct.pack(">H", len(uuids)) + b"".join(uuids)


def flood(folder, port, name, seconds, each, *uuids):
    asked = question(([UUID(u).bytes for u in uuids] * AT_ONCE)[:AT_ONCE])
    end = time.monotonic() + float(seconds)
    answers = [0] * PLACES

    def ask(i):
        while time.monotonic() < end:
            try:
                with create_connection(("127.0.0.1", int(port)), 5) as s:
                    link = Link(tls(folder, "client", name).wrap_socket(s))
                    for _ in range(int(each)):
                        if time.monotonic() >= end:
                            break
                        link.turn([asked])
                        link.item()
                        answers[i] += 1
            except (OSError, EOFError):
                time.sleep(0.1)

    all_of_them = [threading.Thread(target=ask, args=(i,)) for i in range(PLACES)]
    for one in all_of_them:
        one.start()
    for one in all_of_them:
        one.join()
    print("answers", sum(answers), "connections", sum(n > 0 for n in answers))


globals()[sys.argv[1]](*sys.argv[2:])

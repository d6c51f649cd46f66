#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The network between two hosts, for tests/attack/migrate-killed:  go_relay.py PORT TO LOG
Passes all on, until the file "hold" is there and the destination's vtpmd, whose log LOG is, says that it owns the vTPM:
what the source sends behind that answer, GO, stays here, and the file "held" is made."""
import os
import socket
import sys
import threading

PORT, TO, LOG = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def is_owned():
    """"hold" has the size that the log had before."""
    try:
        with open("hold") as f, open(LOG) as log:
            log.seek(int(f.read()))
            return ": owned, after prepared" in log.read()
    except (OSError, ValueError):
        return False


def copy(fro, to, before):
    try:
        while data := fro.recv(65536):
            if before():
                to.sendall(data)
    except OSError:
        pass
    for one in (fro, to):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(source):
    try:
        destination = socket.create_connection(("127.0.0.1", TO))
    except OSError:
        source.close()
        return
    holds = threading.Event()

    def to_source():
        if is_owned():
            holds.set()
        return True

    def to_destination():
        if holds.is_set():
            open("held", "w").close()
        return not holds.is_set()

    threading.Thread(target=copy, args=(destination, source, to_source), daemon=True).start()
    copy(source, destination, to_destination)


with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", PORT))
    listener.listen(8)
    while True:
        one, _ = listener.accept()
        threading.Thread(target=serve, args=(one,), daemon=True).start()

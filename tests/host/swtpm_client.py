# SPDX-License-Identifier: Apache-2.0
"""Clients that a TPM on sockets is glad not to have.

  swtpm_client.py deaf PATH HEX       sends HEX again and again until nobody takes any more for
                                      half a second, prints "full", and sleeps, having read nothing
  swtpm_client.py ask PATH HEX...     sends each, and prints its answer; one connection
  swtpm_client.py hold PATH HEX N     N connections that send HEX, less than a request, and sleep;
                                      prints "held"
"""
import socket
import sys
import time


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(5)
    return s


def main():
    what, path, *rest = sys.argv[1:]
    if what == "deaf":
        s = connect(path)
        s.settimeout(0.5)
        data = bytes.fromhex(rest[0]) * 64
        try:
            while s.send(data):
                pass
        except TimeoutError:
            print("full", flush=True)
        time.sleep(60)
    elif what == "hold":
        held = [connect(path) for _ in range(int(rest[1]))]
        for s in held:
            s.sendall(bytes.fromhex(rest[0]))
        print("held", flush=True)
        time.sleep(60)
    else:
        s = connect(path)
        for request in rest:
            s.sendall(bytes.fromhex(request))
            print(s.recv(8192).hex(), flush=True)


main()

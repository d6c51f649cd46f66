# SPDX-License-Identifier: Apache-2.0
"""A TPM between its clients and swtpm that is busy: busytpm.py LISTEN SWTPM FILE.  FILE has
a code and a number: each command is first answered so often with the code (-1: always),
and then by swtpm; or "gone" or "half": it hangs up in place of each answer, or in the midst
of it.  Without FILE it only passes on."""
import os
import socket
import struct
import sys
import threading

listen, swtpm, control = sys.argv[1:]
lock = threading.Lock()
last, answered = b"", 0


def exact(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            return None
        data += more
    return data


def message(s):
    head = exact(s, 10)
    if not head:
        return None
    body = exact(s, struct.unpack(">I", head[2:6])[0] - 10)
    return None if body is None else head + body


def warning(command):
    """The code that this command gets instead, or 0; or how it is not answered."""
    global last, answered
    if not os.path.exists(control):
        return 0
    with open(control) as f:
        words = f.read().split()
    if words[0] in ("gone", "half"):
        return words[0]
    code, times = (int(x, 0) for x in words)
    if command != last:
        last, answered = command, 0
    if 0 <= times <= answered:
        last = b""
        return 0
    answered += 1
    return code


def forward(command):
    with socket.socket(socket.AF_UNIX) as tpm:
        tpm.connect(swtpm)
        tpm.sendall(command)
        return message(tpm)


def serve(client):
    with client:
        while command := message(client):
            with lock:
                code = warning(command)
                if code == "gone":
                    return
                if code == "half":
                    client.sendall(forward(command)[:7])
                    return
                answer = struct.pack(">HII", 0x8001, 10, code) if code else forward(command)
            if not answer:
                return
            client.sendall(answer)


server = socket.socket(socket.AF_UNIX)
server.bind(listen)
server.listen(16)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

# SPDX-License-Identifier: Apache-2.0
"""A counter of a vTPM that hosts of a pool run one after the other.

  counter.py run NV LOG SOCKET...   increments and reads it until the file "enough" is there,
                                    through whichever socket answers; LOG gets a line for each
  counter.py check LOG FIRST LAST   whether all that LOG has is one linear history of a counter
                                    that began at FIRST and was LAST in the end
  counter.py slow LOG SECONDS       the longest time without an acknowledged increment

A line: what (inc, read), when it was asked, when it was answered ("-": never), what was read.
An increment without an answer may have been done, once, at any time after it was asked."""
import os
import socket
import struct
import sys
import time


class Gone(Exception):
    pass


def command(s, code, handle, more=b""):
    auth = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
    body = struct.pack(">III", 0x40000001, handle, len(auth)) + auth + more
    s.sendall(struct.pack(">HII", 0x8002, 10 + len(body), code) + body)
    answer = b""
    while len(answer) < 10 or len(answer) < struct.unpack(">I", answer[2:6])[0]:
        part = s.recv(4096)
        if not part:
            raise Gone
        answer += part
    return struct.unpack(">I", answer[6:10])[0], answer[10:]


def connect(paths):
    for path in paths:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        try:
            s.connect(path)
            s.sendall(bytes.fromhex("80010000000c000001440000"))  # TPM2_Startup(CLEAR), of a new run
            if not s.recv(4096):
                raise Gone
            return s
        except (OSError, Gone):
            s.close()
    return None


def run(nv, log, paths):
    s = None
    number = 0
    while not os.path.exists("enough"):
        s = s or connect(paths)
        if not s:
            time.sleep(0.1)
            continue
        number += 1
        what = "read" if number % 8 == 0 else "inc"
        asked, answered, value = time.time(), "-", "-"
        try:
            if what == "inc":
                rc, _ = command(s, 0x134, nv)
            else:
                rc, out = command(s, 0x14E, nv, struct.pack(">HH", 8, 0))
                value = struct.unpack(">Q", out[6:14])[0] if rc == 0 else "-"
            if rc:
                print("rc %x" % rc, file=sys.stderr, flush=True)
            else:
                answered = "%.6f" % time.time()
        except (OSError, Gone):
            s.close()
            s = None
        print(what, "%.6f" % asked, answered, value, file=log, flush=True)


def read_log(path):
    with open(path) as f:
        for line in f:
            what, asked, answered, value = line.split()
            yield what, float(asked), None if answered == "-" else float(answered), value


def check(path, first, last):
    lines = list(read_log(path))
    incs = [(asked, answered) for what, asked, answered, _ in lines if what == "inc"]
    reads = [(asked, answered, int(value)) for what, asked, answered, value in lines if what == "read" and answered]
    reads.append((float("inf"), float("inf"), last))
    wrong, newest = [], 0
    for asked, answered, value in sorted(reads, key=lambda r: r[1]):
        least = first + sum(1 for _, a in incs if a is not None and a < asked)
        most = first + sum(1 for a, _ in incs if a < answered)
        before = max([v for _, a, v in reads if a < asked], default=first)
        if not max(least, before) <= value <= most:
            wrong.append("read %d at %f: at least %d, at most %d" % (value, asked, max(least, before), most))
        newest = max(newest, value)
    acknowledged = sum(1 for _, a in incs if a is not None)
    print("# %d increments acknowledged, %d without an answer, %d reads" % (acknowledged, len(incs) - acknowledged, len(reads) - 1))
    for one in wrong[:10]:
        print("# " + one)
    return 1 if wrong or not acknowledged or len(reads) < 2 else 0


def slow(path):
    times = [answered for what, _, answered, _ in read_log(path) if what == "inc" and answered]
    print("%.1f" % max([b - a for a, b in zip(times, times[1:])], default=0))
    return 0


if sys.argv[1] == "run":
    with open(sys.argv[3], "a") as out:
        run(int(sys.argv[2], 16), out, sys.argv[4:])
elif sys.argv[1] == "check":
    sys.exit(check(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
else:
    sys.exit(slow(sys.argv[2]))

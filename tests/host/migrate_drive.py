# SPDX-License-Identifier: Apache-2.0
"""Drives a handover between two vtpmds message by message, in the place of `vtpmctl migrate`:
kills at each step, replays, changes bytes.  TAP, from number FIRST + 1 on."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROOT, DIR, FIRST = sys.argv[1], sys.argv[2], int(sys.argv[3])
INDEX = 0x01500016
OWNER = 0x40000001
PASSWORD = bytes.fromhex("00000009400000090000000000")
count = FIRST


def ok(good, name):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)


def tpm(connection, cc, body):
    packet = struct.pack(">HII", 0x8002, 10 + len(body), cc) + body
    connection.sendall(packet)
    answer = b""
    while len(answer) < 10 or len(answer) < struct.unpack(">I", answer[2:6])[0]:
        got = connection.recv(4096)
        if not got:
            raise ConnectionError
        answer += got
    return struct.unpack(">I", answer[6:10])[0], answer


class Host:
    def __init__(self, name):
        self.name, self.dir = name, f"{DIR}/{name}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [f"{ROOT}/build/bin/vtpmd", "--socket", f"{self.dir}/run/sock", "--store", f"{self.dir}/store",
             "--audit", f"{self.dir}/audit.log", "--config", f"{self.dir}/host.json", "--tpm", f"unix:{self.dir}/tpm.sock",
             "--manager", f"{ROOT}/build/bin/vtpm-manager-san", "--placement", "process", "--process-unix",
             f"{self.dir}/unix", "--verbose"],
            stdin=subprocess.DEVNULL, stdout=open(f"{self.dir}/vtpmd.log", "ab"), stderr=subprocess.STDOUT)
        for _ in range(200):
            try:
                self.ask(op="list")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("vtpmd does not answer")

    def kill(self):
        self.process.kill()
        self.process.wait()
        # what a killed client left in the TPM, as the kernel does behind /dev/tpmrm0
        for what in ("-t", "-l", "-s"):
            subprocess.run(["tpm2_flushcontext", what], env=dict(os.environ, TPM2TOOLS_TCTI=f"swtpm:path={self.dir}/tpm.sock"),
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(90)
            s.connect(f"{self.dir}/run/sock")
            s.sendall(json.dumps(request).encode() + b"\n")
            for line in s.makefile():
                answer = json.loads(line)
                if "ok" in answer:
                    return answer
        raise OSError("no answer")

    def move(self, **request):
        return self.ask(op="move", **request)

    def state(self):
        vtpms = {v["name"]: v["state"] for v in self.ask(op="list")["vtpms"]}
        return vtpms.get("web1", "none")

    def log(self):
        with open(f"{self.dir}/vtpmd.log", errors="replace") as f:
            return f.read()

    def asked_tpm(self):
        """How often the host's TPM was, so far."""
        return len(re.findall("TPM2_|anchored table|quoted", self.log()))

    def manager(self):
        """Its process, a child of vtpmd's."""
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        for pid in children:
            if b"manager" in open(f"/proc/{pid}/cmdline", "rb").read():
                return int(pid)
        return None

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(8)
        s.connect(f"{self.dir}/unix/web1")
        return s

    def counter(self):
        """None: it does not run, or answers nothing."""
        try:
            with self.connect() as s:
                s.settimeout(4)
                rc, answer = tpm(s, 0x14e, struct.pack(">II", OWNER, INDEX) + PASSWORD + struct.pack(">HH", 8, 0))
            return struct.unpack(">Q", answer[16:24])[0] if rc == 0 else None
        except (OSError, ConnectionError):
            return None


def settle(side, other):
    """Both are up, and nobody does anything but what waits for an answer."""
    for n in range(14):
        for first in (side, other):
            one, two = first, other if first is side else side
            answer = one.move(name="web1", event="tick")
            if n == 6 and one is side and answer.get("state") in ("frozen", "held", "proved", "offered"):
                answer = one.move(name="web1", event="cancel")
            for _ in range(4):
                if one is side and answer.get("state") == "confirmed":
                    answer = one.move(name="web1", event="finish")
                if not answer.get("messages"):
                    break
                answer = two.move(peer=one.name, messages=answer["messages"])
                one, two = two, one
        if sorted(h.state() for h in (side, other)) == ["none", "running"] and n > 7:
            return


def wait_for(what, seconds=15):
    end = time.time() + seconds
    while time.time() < end:
        value = what()
        if value is not None:
            return value
        time.sleep(0.1)
    return what()


def gone(host):
    """What moved away is erased."""
    return wait_for(lambda: host.state() == "none" or None)


class Handover:
    """One step after the other; what was sent is kept."""
    STEPS = ("begin", "offer", "accept", "export", "import", "prepared", "commit", "released", "activated", "finish", "done")

    def __init__(self, source, destination):
        self.a, self.b, self.last, self.sent = source, destination, None, []
        gone(destination)

    def pass_on(self, to, sender):
        self.sent.append((to, sender.name, self.last["messages"]))
        self.last = to.move(peer=sender.name, messages=self.last["messages"])

    def step(self, name):
        if name in ("begin", "export", "commit", "finish"):
            self.last = self.a.move(name="web1", event=name, host=self.b.name)
        elif name in ("offer", "import", "released", "done"):
            self.pass_on(self.b, self.a)
        else:
            self.pass_on(self.a, self.b)
        if not self.last.get("ok"):
            raise RuntimeError(f"{name}: {self.last}")
        if self.last["state"] in ("here", "absent") and name != "done":
            raise RuntimeError(f"{name}: {self.last['state']}: {self.last['why']}")
        return self.last["state"]


def whole_move(source, destination, until=None):
    h = Handover(source, destination)
    for name in Handover.STEPS:
        h.step(name)
        if name == until:
            break
    return h


def increments(host, stop, acknowledged):
    try:
        with host.connect() as s:
            while not stop.is_set():
                rc, _ = tpm(s, 0x134, struct.pack(">II", OWNER, INDEX) + PASSWORD)
                if rc:
                    return
                acknowledged.append(1)
    except (OSError, ConnectionError):
        pass


def under_load(a, b):
    before = a.counter()
    stop, acknowledged = threading.Event(), []
    load = threading.Thread(target=increments, args=(a, stop, acknowledged))
    load.start()
    time.sleep(0.3)
    h = whole_move(a, b, "accept")
    # what the destination's TPM is to have, it gets while the guest runs
    wait_for(lambda: "anchored" in b.log().split("accepted, after")[-1] or None)
    asked, since = b.asked_tpm(), time.monotonic()
    for name in Handover.STEPS[3:9]:
        h.step(name)
    still = time.monotonic() - since
    asked = b.asked_tpm() - asked
    for name in Handover.STEPS[9:]:
        h.step(name)
    stop.set()
    load.join()
    after = wait_for(b.counter)
    print(f"# {len(acknowledged)} increments were acknowledged; from export to activated: {still * 1000:.0f} ms")
    ok(not asked, "the destination's TPM is not asked while the guest stands still")
    ok(after == before + len(acknowledged) and len(acknowledged) > 5, "under load: the counter is what was acknowledged")
    ok(wait_for(lambda: a.state() == "none" or None) and b.state() == "running", "under load: it runs on one side")


def killed(source, destination):
    """Each step, and then each of the four is killed.  The side that has it is the next source."""
    bad, n, moved = [], 0, 0
    for step in Handover.STEPS:
        for victim in ("source", "destination", "source's manager", "destination's manager"):
            n += 1
            before = source.counter()
            try:
                whole_move(source, destination, step)
                host = source if victim.startswith("source") else destination
                if victim.endswith("manager"):
                    pid = host.manager()
                    if pid:
                        os.kill(pid, signal.SIGKILL)
                        time.sleep(0.2)
                else:
                    host.kill()
                    host.start()
                settle(source, destination)
            except (RuntimeError, OSError) as e:
                bad.append(f"{step}/{victim}: {e}")
            found = [wait_for(h.counter, 0 if h.state() in ("none", "failed") else 12) for h in (source, destination)]
            if [f for f in found if f is not None] != [before]:
                bad.append(f"{step}/{victim}: {before} became {found}, {source.state()}, {destination.state()}")
            if found[1] is not None and found[0] is None:
                moved += 1
                source, destination = destination, source
            if found == [None, None]:
                print(f"# it runs nowhere after {bad[-1]}")
                ok(False, "killed at each step")
                return source, destination
    for line in bad:
        print("#", line)
    print(f"# killed {n} times, moved {moved} times")
    ok(not bad and 0 < moved < n, "vtpmd and manager of either side killed at each step: one has it, whole")
    return source, destination


def replayed(source, destination):
    before = source.counter()
    h = whole_move(source, destination)
    for to, sender, messages in h.sent + h.sent[::-1]:
        to.move(peer=sender, messages=messages)
    ok(wait_for(destination.counter) == before and source.counter() is None and gone(source),
       "each recorded message, again: nothing comes of it")
    source, destination = destination, source
    h2 = whole_move(source, destination, "accept")
    old_accept = [m for _, _, ms in h.sent for m in ms if m.startswith("08")]
    h2.a.move(name="web1", event="cancel")
    settle(source, destination)
    h3 = whole_move(source, destination, "offer")
    txid = h3.last["messages"][0][2:34]
    forged = old_accept[0][:2] + txid + old_accept[0][34:]
    answer = source.move(peer=destination.name, messages=[forged])
    ok(answer["state"] == "here" and "another offer" in answer["why"], "an earlier proof, for this transfer: refused")
    settle(source, destination)
    return source, destination


def changed(source, destination):
    """A relay that changes a byte of each message: TLS apart, nothing but a failed move."""
    before, bad = source.counter(), []
    for name in ("offer", "accept", "import", "prepared"):
        for at in (0, 3, 20, 40, -1):
            h = Handover(source, destination)
            for step in Handover.STEPS[:Handover.STEPS.index(name)]:
                h.step(step)
            message = bytearray.fromhex(h.last["messages"][0])
            message[min(at, len(message) - 1)] ^= 1
            to, sender = (destination, source) if name in ("offer", "import") else (source, destination)
            answer = to.move(peer=sender.name, messages=[message.hex()])
            h.last = answer
            if answer.get("messages"):
                sender.move(peer=to.name, messages=answer["messages"])
            source.move(name="web1", event="cancel")
            settle(source, destination)
            if wait_for(source.counter) != before or destination.counter() is not None:
                bad.append(f"{name}, byte {at}: {source.state()}, {destination.state()}")
    for line in bad:
        print("#", line)
    ok(not bad, "a changed byte in each message: the vTPM is where it was")


def main():
    a, b = Host("a"), Host("b")
    a.start()
    b.start()
    source, destination = (a, b) if a.state() != "none" else (b, a)
    wait_for(source.counter)
    under_load(source, destination)
    source, destination = killed(destination, source)
    source, destination = replayed(source, destination)
    changed(source, destination)
    logs = b"".join(open(f"{h.dir}/vtpmd.log", "rb").read() for h in (a, b))
    for line in re.findall(b".*(?:Sanitizer|runtime error).*(?:\n.*){12}", logs)[:3]:
        print("#", line.decode(errors="replace").replace("\n", "\n# "))
    ok(not re.search(b"Sanitizer|runtime error", logs), "no sanitizer complained")
    for h in (a, b):
        h.process.terminate()
        h.process.wait()


if __name__ == "__main__":
    main()

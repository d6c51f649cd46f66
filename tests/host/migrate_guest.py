# SPDX-License-Identifier: Apache-2.0
"""Moves a vTPM, and plays the toolstacks of both hosts, each a Xen of files (fakexen.c)."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT, DIR = sys.argv[1:]
GUEST = "0123456789abcdef0123456789abcdef"
CERT = b"\x30\x82\x01\x04" + bytes(260)
OTHER = "fedcba9876543210fedcba9876543210"
OTHER_UUID = "fedcba98-7654-3210-fedc-ba9876543210"
count = 0


def ok(good, name):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if good:
        return
    for host in ("a", "b"):
        with open(f"{DIR}/{host}/vtpmd.log", errors="replace") as f:
            print("".join(f"# {host}: {line.rstrip()[:300]}\n" for line in f.readlines()[-12:]), end="", flush=True)


def wait_for(what, seconds=15):
    end = time.time() + seconds
    while time.time() < end:
        if what():
            return True
        time.sleep(0.05)
    return bool(what())


class Host:
    def __init__(self, name):
        self.name, self.dir, self.xen = name, f"{DIR}/{name}", f"{DIR}/{name}/xen"
        self.process, self.uuid, self.hvm = None, None, False

    def start(self):
        env = dict(os.environ, FAKEXEN=self.xen, CLOCK=f"{self.dir}/clock",
                   LD_PRELOAD=f"{ROOT}/build/bin/fakexen.so:{ROOT}/build/bin/stepclock.so",
                   PATH=f"{self.dir}/bin:{os.environ['PATH']}")
        self.process = subprocess.Popen(
            [f"{ROOT}/build/bin/vtpmd", "--socket", f"{self.dir}/run/sock", "--store", f"{self.dir}/store",
             "--audit", f"{self.dir}/audit.log", "--config", f"{self.dir}/host.json", "--tpm", f"unix:{self.dir}/tpm.sock",
             "--manager", f"{self.dir}/manager", "--placement", "stubdom", "--stubdom", f"{self.dir}/stubdom", "--crb", f"{self.dir}/crb",
             "--user", "nobody", "--verbose"],
            env=env, stdin=subprocess.DEVNULL, stdout=open(f"{self.dir}/vtpmd.log", "ab"), stderr=subprocess.STDOUT)
        with open(f"{self.dir}/pid", "w") as f:
            print(self.process.pid, file=f)
        return wait_for(self.answers)

    def answers(self):
        try:
            return self.ask(op="list").get("ok")
        except OSError:
            return False

    def again(self):
        self.process.kill()
        self.process.wait()
        return self.start()

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
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
        return {v["name"]: v["state"] for v in self.ask(op="list")["vtpms"]}.get("web1", "none")

    def time_passes(self, seconds):
        """For vtpmd."""
        with open(f"{self.dir}/clock.new", "w") as f:
            print(0, seconds, file=f)
        os.rename(f"{self.dir}/clock.new", f"{self.dir}/clock")

    def move_state(self):
        return self.move(name="web1", event="tick").get("state")

    def stubdom(self):
        """The number of its stub domain; 0: it has none."""
        try:
            with open(f"{self.xen}/name.vtpm-web1") as f:
                domid = int(f.read())
        except OSError:
            return 0
        return domid if os.path.exists(f"{self.xen}/domains/{domid}") else 0

    def tell(self, words):
        """The stand-in for the manager; which listens anew when vtpmd has begun anew, and drops who waits."""
        for _ in range(50):
            try:
                return self.tell_once(words)
            except ConnectionError:
                time.sleep(0.1)
        return self.tell_once(words)

    def tell_once(self, words):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(f"{self.xen}/manager.{self.stubdom()}.ctl")
            s.sendall(words.encode() + b"\n")
            return s.makefile().readline().strip()

    def told(self, moves):
        """The last steps that it was told."""
        return wait_for(lambda: self.tell("moves").endswith(moves))

    def node(self, path, value):
        os.makedirs(f"{self.xen}/store{path}", exist_ok=True)
        with open(f"{self.xen}/store{path}/=", "w") as f:
            f.write(value)

    def guest(self, domid, name, uuid=GUEST, state="up"):
        """A guest with a device of web1's, as libxl makes it."""
        back = f"/local/domain/{self.stubdom()}/backend/vtpm/{domid}/0"
        self.node(f"/local/domain/{domid}/name", name)
        for node, value in (("backend", back), ("backend-id", str(self.stubdom())), ("uuid", self.uuid)):
            self.node(f"/libxl/{domid}/device/vtpm/0/{node}", value)
        self.node(f"{back}/uuid", self.uuid)
        if self.hvm:
            self.node(f"/libxl/{domid}/type", "hvm")
        self.is_now(domid, state, uuid)

    def log(self):
        with open(f"{self.dir}/vtpmd.log", errors="replace") as f:
            return f.read()

    def boards(self):
        """How each vtpm-crb began, and with which registers."""
        with open(f"{self.dir}/crb.log") as f:
            return f.read().split("\n")[:-1]

    def poke(self, at, data):
        """The registers, in the file that vtpm-crb has mapped."""
        with open(f"{self.dir}/run/crb-{self.uuid}", "r+b") as f:
            f.seek(4096 + at)
            f.write(data)

    def buffer(self, domid, data=None):
        path = f"{self.xen}/ram/{domid}.fed45"
        if data is None:
            with open(path, "rb") as f:
                return f.read()
        with open(path, "wb") as f:
            f.write(data.ljust(4096, b"\0"))
        return None

    def is_now(self, domid, state, uuid=GUEST):
        with open(f"{self.xen}/domains/{domid}.new", "w") as f:
            print(uuid, state, file=f)
        os.rename(f"{self.xen}/domains/{domid}.new", f"{self.xen}/domains/{domid}")

    def guest_ends(self, domid):
        os.unlink(f"{self.xen}/domains/{domid}")
        for path in (f"local/domain/{domid}", f"libxl/{domid}"):
            shutil.rmtree(f"{self.xen}/store/{path}", ignore_errors=True)


def pass_on(answer, sender, to):
    return to.move(peer=sender.name, messages=answer["messages"])


def until(a, b, last):
    """The transfer as far as the state last of the source, or of the destination."""
    said = a.move(name="web1", event="begin", host=b.name)
    steps = [("accepted", a, b), ("proved", b, a), ("frozen", None, "export"), ("prepared", a, b), ("held", b, a),
             ("released", None, "commit"), ("owned", a, b), ("confirmed", b, a)]
    for state, sender, to in steps:
        if sender:
            said = pass_on(said, sender, to)
        else:
            a.is_now(50, "suspended")
            said = a.move(name="web1", event=to)
        if said.get("state") != state:
            print(f"# {said}, not {state}")
            return {"state": None, "messages": []}
        if state == "accepted":
            b.uuid = a.uuid
            b.guest(60, "web1--incoming")
            b.came = b.tell("comes 60")
        if state == last:
            break
    return said


def comes_to_nothing(a, b):
    a.is_now(50, "up")
    return wait_for(lambda: b.state() == "none" and not b.stubdom()) and a.state() == "running"


def while_it_comes(a, b):
    said = a.move(name="web1", event="begin", host="b")
    offer = bytes.fromhex(said["messages"][0])
    ok(said["state"] == "offered" and b'"guest":"01234567-89ab-cdef-0123-456789abcdef"' in offer and CERT.hex().encode() in offer,
       "it is offered, with its guest's uuid and its certificates")
    said = pass_on(said, a, b)
    b.uuid = a.uuid
    ok(said["state"] == "accepted" and b.stubdom() and b.tell("config 14") == "01" and b.state() == "creating" and
       b.tell("config 64") == "01c00002" + CERT.hex(),
       "the destination has a stub domain that waits for it")
    b.guest(70, "web2", OTHER)
    b.guest(71, "web1--incoming", OTHER)
    b.guest(72, "web1")
    ok("another host" in b.tell("comes 70") and "xl migrate" in b.tell("comes 71") and "another host" in b.tell("comes 72"),
       "no other guest gets it meanwhile")
    for domid in (70, 71, 72):
        b.guest_ends(domid)
    b.guest(60, "web1--incoming")
    ok(b.tell("comes 60") == "0300", "the guest that comes along does, and goes on with its PCRs")
    said = pass_on(said, b, a)
    refused = a.move(name="web1", event="export")
    ok(said["state"] == "proved" and not refused["ok"] and "A guest that runs uses it" in refused["error"] and a.move_state() == "proved",
       "nothing is exported while the guest runs")
    refused = a.move(name=a.uuid, event="export")
    ok(not refused["ok"] and "A guest that runs uses it" in refused["error"] and a.move_state() == "proved", "also when it is called by its uuid")
    a.is_now(50, "reboots")
    ok(not a.move(name="web1", event="export")["ok"], "nor when it has shut down for another reason")
    said = a.move(name="web1", event="cancel")
    pass_on(said, a, b)
    ok(said["state"] == "here" and comes_to_nothing(a, b), "given up: the destination has nothing left of it")
    b.guest_ends(60)


def refused_meanwhile(a, name, what):
    for request in ({"op": "stop", "force": True}, {"op": "delete", "force": True}, {"op": "rename", "to": "web9"}):
        answer = a.ask(name="web1", **request)
        if answer["ok"] or ("handover" not in answer["error"] and "runs" not in answer["error"]):
            print(f"# {name}: {request}: {answer}")
            return ok(False, what)
    return ok(True, what)


def restarts(a, b):
    for last in ("frozen", "prepared", "held"):
        until(a, b, last)
        fits = a.again() and wait_for(lambda: a.state() == "running") and a.told("6")
        ok(fits and b.came == "0300", f"vtpmd of the source killed ({last}): its vTPM goes on there")
        said = b.move(name="web1", event="tick")
        if said["messages"]:
            said = pass_on(said, b, a)
        if said.get("messages"):
            pass_on(said, a, b)
        else:   # it was asked for before there was an answer
            said = a.move(name="web1", event="begin", host="b")
            pass_on(pass_on(said, a, b), b, a)
            pass_on(a.move(name="web1", event="cancel"), a, b)
        ok(comes_to_nothing(a, b), "and the destination has nothing left of it")
        b.guest_ends(60)
    until(a, b, "accepted")
    ok(b.again() and wait_for(lambda: b.state() == "none" and not b.stubdom()), "vtpmd of the destination killed before it has it: it has nothing")
    a.move(name="web1", event="cancel")
    b.guest_ends(60)


def left_alone(a, b):
    """Whoever carried the messages is gone."""
    for last in ("frozen", "held"):
        until(a, b, last)
        a.is_now(50, "up")
        refused = a.move(name="web1", event="commit")
        ok(not refused["ok"] and a.told("3") and "runs here again" in a.log().splitlines()[-1], f"xl resumes the guest of a source that waits ({last}): its TPM goes on")
        said = a.move(name="web1", event="tick")
        pass_on(said, a, b)
        ok(said["state"] == "here" and comes_to_nothing(a, b), "and the destination has nothing left of it")
        b.guest_ends(60)
    until(a, b, "frozen")
    a.time_passes(100)
    ok(a.told("3") and "Nobody went on" in a.log().splitlines()[-1], "nobody goes on with a source that waits: its TPM goes on")
    pass_on(a.move(name="web1", event="tick"), a, b)
    ok(comes_to_nothing(a, b), "and the destination has nothing left of it")
    b.guest_ends(60)
    until(a, b, "prepared")
    b.time_passes(20000)
    time.sleep(1)
    waits = b.move_state() == "prepared"
    a.move(name="web1", event="cancel")
    pass_on(a.move(name="web1", event="tick"), a, b)
    pass_on(pass_on(b.move(name="web1", event="tick"), b, a), a, b)
    ok(waits and comes_to_nothing(a, b), "a destination that has all of it waits on, since only the source knows")
    b.guest_ends(60)
    until(a, b, "prepared")
    a.move(name="web1", event="cancel")
    a.is_now(50, "up")
    a.move(name="web1", event="begin", host="c")
    said = pass_on(b.move(name="web1", event="tick"), b, a)
    if said.get("messages"):
        pass_on(said, a, b)
    ok(comes_to_nothing(a, b) and a.move_state() == "offered", "nor does it wait for ever when its source, unheard, has begun a move to a third host")
    a.move(name="web1", event="cancel")
    b.guest_ends(60)
    until(a, b, "accepted")
    b.time_passes(20060)
    time.sleep(5)
    waits = b.state() != "none"
    b.time_passes(20100)
    ok(waits and wait_for(lambda: b.state() == "none" and not b.stubdom()), "one that has nothing yet gives up after 90 s without a word")
    a.move(name="web1", event="cancel")
    a.is_now(50, "up")
    b.guest_ends(60)
    until(a, b, "accepted")
    with socket.socket(socket.AF_UNIX) as held:
        held.settimeout(30)
        held.connect(f"{b.dir}/run/sock")
        held.sendall(b'{"op": "move", "name": "web1", "event": "tick", "peer": "a"}\n')
        held.makefile().readline()
        b.time_passes(34000)
        time.sleep(5)
        waits = b.state() != "none"
        b.time_passes(34600)
        ok(waits and wait_for(lambda: b.state() == "none" and not b.stubdom()), "and while its source's connection is there after four hours")
    a.move(name="web1", event="cancel")
    a.is_now(50, "up")
    b.guest_ends(60)


def whole(a, b):
    said = until(a, b, "prepared")
    stub = b.stubdom()
    ok(b.again() and wait_for(lambda: b.move_state() == "prepared") and b.stubdom() == stub and b.tell("moves") == "4 5",
       "prepared, vtpmd of the destination is killed: its stub domain waits on")
    refused_meanwhile(b, "b", "prepared: it is not stopped, deleted or renamed")
    said = pass_on(b.move(name="web1", event="tick"), b, a)
    ok(said["state"] == "held", "the source hears of it")
    said = a.move(name="web1", event="commit")
    source = a.stubdom()
    ok(a.again() and wait_for(lambda: a.move_state() == "released") and a.stubdom() == source and a.tell("moves").endswith("2"),
       "released, vtpmd of the source is killed: its stub domain stays as it was")
    refused_meanwhile(a, "a", "released: it is not stopped, deleted or renamed")
    said = pass_on(a.move(name="web1", event="tick"), a, b)
    ok(said["state"] == "owned" and b.told("6") and wait_for(lambda: b.state() == "running"), "the destination runs it")
    said = pass_on(said, b, a)
    ok(b.again() and wait_for(lambda: b.state() == "running") and b.told("6 6") and b.stubdom() == stub,
       "vtpmd of the destination is killed: it goes on")
    b.node("/local/domain/60/name", "web1")
    ok(b.tell("comes 60") == "0200", "its guest has it, and had no other power-on")
    refused = b.move(name="web1", event="back")
    ok(not refused["ok"] and "has been started here" in refused["error"] and b.move_state() == "owned" and b.told("6 6"),
       "which has executed nothing yet, and is not given back from under it")
    refused = b.move(name=b.uuid, event="back")
    ok(not refused["ok"] and "has been started here" in refused["error"] and b.move_state() == "owned", "also when it is called by its uuid")
    said = a.move(name="web1", event="finish")
    pass_on(said, a, b)
    ok(wait_for(lambda: a.state() == "none" and not a.stubdom()) and b.move_state() == "here", "the source's stub domain is gone, and all else")
    ok(not re.search("lost|died|failed", a.log().split("released, after")[-1]), "which is no failure there")
    a.guest_ends(50)
    b.guest_ends(60)
    b.guest(61, "web1")
    ok(b.tell("comes 61") == "0100", "its reboot is one")
    b.guest_ends(61)
    b.guest(62, "web1--incoming")
    ok("xl migrate" in b.tell("comes 62"), "and who comes by xl migrate alone is refused")
    b.guest_ends(62)


def no_guest(a, b):
    """Back, while nobody uses it: its guest was saved."""
    said = b.move(name="web1", event="begin", host="a")
    offer = bytes.fromhex(said["messages"][0])
    saved = re.search(rb'"saved":{"uuid":"01234567-89ab-cdef-0123-456789abcdef","on":[1-9][0-9]*}', offer)
    said = pass_on(pass_on(said, b, a), a, b)
    said = b.move(name="web1", event="export")
    ok(b'"guest"' not in offer and said["state"] == "frozen", "a vTPM that nobody uses is exported at once")
    said = pass_on(pass_on(said, b, a), a, b)
    said = pass_on(b.move(name="web1", event="commit"), b, a)
    said = pass_on(said, a, b)
    pass_on(b.move(name="web1", event="finish"), b, a)
    ok(wait_for(lambda: b.state() == "none") and wait_for(lambda: a.state() == "running"), "and moves")
    resumed = a.ask(op="resume", name="web1")
    a.guest(64, "web1")
    ok(saved and a.tell("config 14") == "02" and resumed["ok"] and a.tell("comes 64") == "0300",
       "the guest that was saved is restored there, after a resume, and goes on with its PCRs")
    a.guest_ends(64)
    a.guest(65, "web1")
    new = a.tell("comes 65")
    a.guest_ends(65)
    pass_alone(a, b)
    resumed = b.ask(op="resume", name="web1")
    b.guest(66, "web2", OTHER)
    other = b.tell("comes 66")
    b.guest_ends(66)
    b.guest(67, "web1")
    ok(new == "0100" and resumed["ok"] and other == "0100" and b.tell("comes 67") == "0100" and not b.ask(op="resume", name="web1", saved=OTHER_UUID)["ok"],
       "but not when another guest came in between")
    b.guest_ends(67)
    pass_alone(b, a)


def pass_alone(a, b):
    said = pass_on(pass_on(a.move(name="web1", event="begin", host=b.name), a, b), b, a)
    said = pass_on(pass_on(a.move(name="web1", event="export"), a, b), b, a)
    said = pass_on(pass_on(a.move(name="web1", event="commit"), a, b), b, a)
    pass_on(a.move(name="web1", event="finish"), a, b)
    return wait_for(lambda: a.state() == "none") and wait_for(lambda: b.state() == "running")


def no_room(a, b):
    """The destination cannot make a stub domain."""
    os.rename(f"{b.dir}/bin/xl", f"{b.dir}/bin/xl.not")
    with open(f"{b.dir}/bin/xl", "w") as f:
        f.write("#!/bin/bash\necho 'not enough memory' >&2\nexit 1\n")
    os.chmod(f"{b.dir}/bin/xl", 0o755)
    said = pass_on(a.move(name="web1", event="begin", host="b"), a, b)
    refused = pass_on(said, b, a)
    ok(said["state"] == "absent" and refused["state"] == "here" and "vtpm-web1" in refused["why"] and b.state() == "none",
       "a destination without room says so at once")
    os.rename(f"{b.dir}/bin/xl.not", f"{b.dir}/bin/xl")


def no_process(a, b):
    """A source that wants what it sends opened in the destination's domain 0."""
    said = a.move(name="web1", event="begin", host="b")
    offer = said["messages"][0].replace(b'"process":false,'.hex(), b'"process": true,'.hex())
    changed = offer != said["messages"][0]
    refused = pass_on(b.move(peer="a", messages=[offer]), b, a)
    ok(changed and refused["state"] == "here" and "process of domain 0" in refused["why"] and b.state() == "none" and a.state() == "running",
       "nor does it open in domain 0 what another host sends")


def hvm(a, b):
    """What of an HVM guest's TPM is in domain 0 goes along."""
    a.hvm = b.hvm = True
    b.uuid = a.uuid
    a.guest(50, "web1")
    ok(a.tell("comes 50") == "0102" and wait_for(lambda: a.boards()) and a.boards()[0].startswith("new "), "an HVM guest has its TPM on its board")
    # locality 2 has it, 0 asks for it, a response of 10 bytes was not read
    registers = bytes([2, 1, 0, 1, 0, 0, 2, 0]) + bytes(4) + b"\x01\0\0\0" + b"\x0a\0\0\0" + b"0123456789"
    a.buffer(50, b"a response that was read")
    b.buffer(60, b"what was there before")
    a.poke(0, registers)
    a.poke(8, b"\x07\0\0\0")     # a command of vCPU 2 executes
    said = a.move(name="web1", event="begin", host="b")
    said = pass_on(said, a, b)
    b.guest(60, "web1--incoming")
    ok(b.tell("comes 60") == "0302" and not b.boards(), "the guest that comes has no board before its TPM is there")
    pass_on(said, b, a)
    a.is_now(50, "suspended")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(f"{a.dir}/run/sock")
        s.sendall(b'{"op": "move", "name": "web1", "event": "export"}\n')
        time.sleep(0.5)
        waits = a.log().endswith(": proved, after judging\n")
        a.poke(8, b"\x06\0\0\0")
        said = json.loads(s.makefile().readline())
    ok(waits and said["state"] == "frozen", "it is exported when its last command has its response")
    said = pass_on(said, a, b)
    want = "restore " + registers.hex()
    ok(said["state"] == "prepared" and b.boards() == [want] and b.buffer(60).startswith(b"a response that was read"),
       "the destination's vtpm-crb has its registers, and the guest the buffer, before it is released")
    pass_on(said, b, a)
    said = pass_on(pass_on(a.move(name="web1", event="commit"), a, b), b, a)
    pass_on(a.move(name="web1", event="finish"), a, b)
    gone = wait_for(lambda: a.state() == "none" and not a.stubdom())
    ok(gone and said["state"] == "confirmed" and "ended under HVM domain" not in a.log() and len(a.boards()) == 1,
       "at the source its end is none of the guest's TPM")
    a.guest_ends(50)
    b.is_now(60, "up")
    b.node("/local/domain/60/name", "web1")
    # back, to a host where vtpm-crb does not get ready
    open(f"{a.dir}/never", "w").close()
    said = pass_on(b.move(name="web1", event="begin", host="a"), b, a)
    a.guest(51, "web1--incoming")
    a.buffer(51, b"")
    came = a.tell("comes 51")
    pass_on(said, a, b)
    b.is_now(60, "suspended")
    said = pass_on(b.move(name="web1", event="export"), b, a)
    back = pass_on(said, a, b)
    ok(came == "0302" and said["state"] == "away" and back["state"] == "here" and "board" in back["why"] and b.told("3"),
       "a board that is not there in time: the vTPM goes on where it was")
    b.is_now(60, "up")
    ok(wait_for(lambda: a.state() == "none") and b.state() == "running", "and nothing is left of it there")
    # xl makes the guest's devices when it has the guest's memory, which may be behind the TPM's state
    os.unlink(f"{a.dir}/never")
    a.guest_ends(51)
    began = len(a.boards())
    said = pass_on(b.move(name="web1", event="begin", host="a"), b, a)
    pass_on(said, a, b)
    b.is_now(60, "suspended")
    said = b.move(name="web1", event="export")
    with ThreadPoolExecutor(1) as one:
        hears = one.submit(pass_on, said, b, a)
        time.sleep(1)
        waits = not hears.done() and len(a.boards()) == began
        a.guest(52, "web1--incoming")
        a.buffer(52, b"")
        came = a.tell("comes 52")
        said = hears.result(30)
    ok(waits and came == "0302" and said["state"] == "prepared" and a.boards()[began:] == [want],
       "a guest that comes behind its TPM's state has its board, too, before it is released")


def main():
    a, b = Host("a"), Host("b")
    a.start()
    b.start()
    made = a.ask(op="create", name="web1", policy="tpm")
    a.uuid = a.ask(op="show", name="web1")["vtpm"]["uuid"] if made.get("ok") else ""
    a.guest(50, "web1")
    ok(made.get("ok") and a.state() == "running" and a.tell("comes 50") == "0100", "a vTPM in a stub domain, and its guest")
    a.ask(op="certify", name="web1", certificates={"01c00002": CERT.hex()})
    no_room(a, b)
    no_process(a, b)
    while_it_comes(a, b)
    restarts(a, b)
    left_alone(a, b)
    whole(a, b)
    no_guest(a, b)
    hvm(a, b)
    for host in (a, b):
        host.process.terminate()
        host.process.wait()
    print(f"1..{count}")


main()

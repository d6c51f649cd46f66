# SPDX-License-Identifier: Apache-2.0
"""Removes, changes and puts back records of handovers, at each step, on either of two hosts, and
counts who runs the vTPM then.  TAP, from number FIRST + 1 on.  What is done: SETS."""
import glob
import os
import shutil
import sys

sys.path.insert(0, os.path.join(sys.argv[1], "tests/host"))
import migrate_drive as drive  # noqa: E402  (it has the same arguments)
from record import record_value  # noqa: E402

STATE_AT = 2 + len("xen-vtpm handover 1")
STATES = {"here": 1, "released": 8, "owned": 15}


def record_of(host):
    found = glob.glob(f"{host.dir}/store/handovers/*")
    return found[0] if found else None


def read(host):
    path = record_of(host)
    try:
        return (path, record_value(open(path, "rb").read())) if path else None
    except FileNotFoundError:  # it was of a move that is over
        return None


def folder_of(host):
    found = glob.glob(f"{host.dir}/store/????????-????-????-????-????????????")
    return found[0] if found else None


def copy_folder(folder, to):
    try:
        return shutil.copytree(folder, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.new"))
    except shutil.Error:
        return None


class Store:
    """What a host's store had at each step."""

    def __init__(self, host):
        self.host, self.records = host, []
        self.copy = f"{host.dir}/folder.copy"
        shutil.rmtree(self.copy, ignore_errors=True)

    def note(self):
        now = read(self.host)
        if now and now not in self.records:
            self.records.append(now)
        folder = folder_of(self.host)
        if folder and os.path.exists(f"{folder}/permall"):
            shutil.rmtree(self.copy, ignore_errors=True)
            # vtpmd may be writing there
            drive.wait_for(lambda: copy_folder(folder, self.copy))
            self.folder = folder


def remove(store):
    path = record_of(store.host)
    if path:
        os.unlink(path)


def remove_and_put_back_folder(store):
    remove(store)
    if not folder_of(store.host):
        shutil.copytree(store.copy, store.folder)


def put_back(store):
    """The record before the one that is there, if there was one."""
    now = read(store.host)
    older = [r for r in store.records if r != now]
    if older:
        with open(older[-1][0], "wb") as f:
            f.write(older[-1][1])


def say(word):
    def change(store):
        path = record_of(store.host) or (store.records and store.records[-1][0])
        if not path:
            return
        data = bytearray(store.records[-1][1])
        data[STATE_AT] = STATES[word]
        with open(path, "wb") as f:
            f.write(data)
    change.__name__ = f"say_{word}"
    return change


def running(hosts):
    """What the counter says where there is an answer."""
    found = {}
    for host in hosts:
        drive.wait_for(lambda h=host: None if h.state() in ("starting", "creating") else True, 20)
        if host.state() == "running":
            value = host.counter()
            if value is not None:
                found[host.name] = value
    return found


def attack(source, destination, step, victim, change):
    """Returns what went wrong, and which host has it."""
    hosts = (source, destination)
    before = drive.wait_for(source.counter)
    stores = [Store(h) for h in hosts]
    h = drive.Handover(source, destination)
    for name in drive.Handover.STEPS:
        h.step(name)
        for s in stores:
            s.note()
        if name == step:
            break
    store = stores[hosts.index(victim)]
    victim.kill()
    change(store)
    victim.start()
    name = f"{step}, {change.__name__} at {'source' if victim is source else 'destination'}"
    seen = [running(hosts)]
    # what was under way arrives
    messages = h.last.get("messages")
    if messages:
        to, sender = (destination, source) if name.split(",")[0] in \
            ("begin", "accept", "export", "prepared", "commit", "activated", "finish") else (source, destination)
        to.move(peer=sender.name, messages=messages)
        seen.append(running(hosts))
    drive.settle(source, destination)
    seen.append(running(hosts))
    return name, before, seen


def take(host):
    """An operator says that the other host is lost."""
    host.move(name="web1", event="take")
    return drive.wait_for(host.counter, 10)


def clean(host):
    """Nothing of the vTPM is here."""
    host.move(name="web1", event="take")
    if host.state() != "none":
        host.ask(op="stop", name="web1", force=True)
        host.ask(op="delete", name="web1", force=True)
    drive.gone(host)


def rounds(cases, source, destination, must_run):
    bad, n = [], 0
    for step, side, change in cases:
        n += 1
        hosts = (source, destination)
        victim = source if side == "source" else destination
        name, before, seen = attack(source, destination, step, victim, change)
        print(f"# {name}: {seen}", flush=True)
        if any(len(s) > 1 for s in seen):
            bad.append(f"{name}: both run: {seen}")
        last = seen[-1]
        if not last and must_run:
            bad.append(f"{name}: nobody runs it: {[h.state() for h in hosts]}, {seen}")
        if not last:
            has = next((h for h in hosts if h.state() != "none" and take(h) is not None), None)
            last = running(hosts)
            if not has:
                print("#", *bad, sep="\n# ")
                drive.ok(False, f"{name}: it is lost")
                sys.exit(1)
        if before not in last.values():
            bad.append(f"{name}: {before} became {last}")
        if destination.name in last:
            source, destination = destination, source
        clean(destination)
    for line in bad:
        print("#", line)
    return bad, n, source, destination


STEPS = drive.Handover.STEPS
SOURCES = [(s, "source", remove) for s in STEPS[2:]]
DESTINATIONS = [(s, "destination", remove) for s in STEPS[1:]]
ERASED = [(s, "source", remove_and_put_back_folder) for s in ("activated", "finish", "done")]
CHANGED = [("import", "destination", say("owned")), ("import", "destination", say("here")),
           ("commit", "destination", say("owned")), ("commit", "source", say("here"))]
OLDER = [("import", "destination", put_back), ("commit", "destination", put_back), ("released", "destination", put_back),
         ("finish", "source", put_back), ("done", "source", put_back), ("done", "destination", put_back)]

SETS = {"source": [(SOURCES, True, "a record is removed at each step, at the source: one runs it")],
        "destination": [(DESTINATIONS, True, "a record is removed at each step, at the destination: one runs it")],
        "changed": [(ERASED, True, "the source's is removed, and the folder that it erased is put back: one runs it"),
                    (CHANGED, True, "a record says that it is this host's: one runs it")],
        "older": [(OLDER, False, "an older record is put back: no two run it, and none is lost")]}


def main():
    drive.count = drive.FIRST
    a, b = drive.Host("a"), drive.Host("b")
    try:
        a.start()
        b.start()
        try_all(a, b)
    finally:
        for h in (a, b):
            h.process.terminate()
            h.process.wait()


def try_all(a, b):
    source, destination = (a, b) if a.state() != "none" else (b, a)
    for cases, must_run, name in SETS[sys.argv[4]]:
        bad, n, source, destination = rounds(cases, source, destination, must_run)
        print(f"# {n} times")
        drive.ok(not bad, name)


main()

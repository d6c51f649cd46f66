#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""xl for tests/host/migrate-xl: one file of $XLHOST/domains for each guest, with its number, its vTPM's uuid and its
state, and what xl migrate and xl migrate-receive of Xen 4.17 write to each other.  $XLHOST/fault is where it fails.
xl create, and what comes by migration, leaves a monitor, which boots the guest again when $XLHOST/reboot is there: it
reads kernel and ramdisk as the guest's description names them, and writes their SHA-256 to $XLHOST/booted.
With a Xen of files (fakexen.c) the guest is suspended there before the last of its memory is sent, which waits until
vtpmd has got, and the other host's has stored, all of the vTPM; or $XLHOST/silent has the other host's vtpmd and a
path: that vtpmd is stopped until the path is there; or $XLHOST/at-once is there, and nothing is waited for.
While $XLHOST/no-list is there xl list fails."""
import hashlib
import json
import os
import signal
import struct
import sys
import threading
import time

HOME = os.environ["XLHOST"]
os.environ.pop("CLOCK", None)  # vtpmctl's, in whose steps time.sleep() would sleep
BANNER = b"xl migration receiver ready, send binary domain data.\n"
READY = b"domain received, ready to unpause\0"
GO = b"domain is yours, you are cleared to unpause\0"
REPORT = b"my copy unpause results are as follows\0"


def fault(word):
    try:
        with open(f"{HOME}/fault") as f:
            return f.read().strip() == word
    except OSError:
        return False


def wait_at(word):
    """Stays there as long as the fault is that; the test ends it, or something else."""
    if fault(word):
        note(f"{word} {os.getpid()}")
    while fault(word):
        time.sleep(0.02)


def load(name):
    with open(f"{HOME}/domains/{name}") as f:
        return json.load(f)


def store(name, guest):
    with open(f"{HOME}/domains.{name}", "w") as f:
        json.dump(guest, f)
    os.rename(f"{HOME}/domains.{name}", f"{HOME}/domains/{name}")


def rename(name, to):
    os.rename(f"{HOME}/domains/{name}", f"{HOME}/domains/{to}")


def load_all():
    """Others come and go meanwhile."""
    for name in os.listdir(f"{HOME}/domains"):
        try:
            yield name, load(name)
        except OSError:
            pass


def by_number(domid):
    for name, guest in load_all():
        if guest["domid"] == int(domid):
            return name
    sys.exit(f"{domid} is an invalid domain identifier (rc=-6)")


def note(text):
    with open(f"{HOME}/xl.log", "a") as f:
        print(f"{time.time():.3f} {text}", file=f)


def exact(fd, n):
    data = b""
    while len(data) < n:
        got = os.read(fd, min(n - len(data), 65536))
        if not got:
            raise EOFError
        data += got
    return data


def record(kind, body=b""):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def describe(name, guest):
    """As libxl_domain_config_to_json() has it, but for "fake", which is this guest's file."""
    kind = guest.get("type", "pvh")
    build = {k: guest[k] for k in ("kernel", "ramdisk", "cmdline") if k in guest}
    return {"c_info": {"type": kind, "name": name, "uuid": guest.get("uuid", "")},
            "b_info": dict(build, **{f"type.{kind}": {}}), "fake": guest,
            "vtpms": [{"backend_domname": f"vtpm-{guest.get('vtpm', 'web1')}", "uuid": u} for u in guest["vtpms"]]}


def stream(guest):
    """As libxl and libxc write it: the guest's description, its memory, its device model."""
    text = json.dumps(describe(guest["name"], guest)).encode() + b"\0"
    yield b"Xen saved domain, xl format\n \0 \r" + struct.pack("<IIII", 0x01020304, 3, 0, len(text) + 4)
    yield struct.pack("<I", len(text)) + text
    yield b"LibxlFmt" + struct.pack(">II", 2, 0) + record(1)
    yield struct.pack(">QIIHHI", 2**64 - 1, 0x58454E46, 3, 0, 0, 0) + struct.pack("<IHHII", 2, 12, 0, 4, 17)
    page = record(1, struct.pack("<II", 1, 0) + GO * 90)
    for _ in range(int(guest.get("kib", 6000)) // 4):
        yield page
    yield record(9, b"x" * 13) + record(0)
    yield record(3, b"QEMU" * 5) + record(0)


def read_record(fd):
    kind, size = struct.unpack("<II", exact(fd, 8))
    return kind, exact(fd, -(-size // 8) * 8)


def read_stream(fd):
    head = exact(fd, 48)
    text = exact(fd, struct.unpack("<I", head[44:])[0])[4:-1]
    if fault("stream"):
        exact(fd, 200000)
        sys.exit(1)
    exact(fd, 16)
    kind = None
    while kind != 0:
        kind, _ = read_record(fd)
        if kind == 1:
            exact(fd, 40)
            while read_record(fd)[0] != 0:
                pass
    return json.loads(text)["fake"]


def boot(guest):
    """What it boots, by xl's descriptors."""
    text = "".join(f"{key} {hashlib.sha256(open(guest[key], 'rb').read()).hexdigest()}\n"
                   for key in ("kernel", "ramdisk") if key in guest)
    with open(f"{HOME}/booted.new", "w") as f:
        f.write(text)
    os.rename(f"{HOME}/booted.new", f"{HOME}/booted")


def is_there(name):
    return any(os.path.exists(f"{HOME}/domains/{name}{end}") for end in ("", "--incoming"))


def monitor(name, guest):
    """Stays, as xl does, until the guest is suspended or has gone; a process of the name of xl."""
    null = os.open("/dev/null", os.O_RDWR)
    if os.fork():
        os.close(null)
        return
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    while is_there(name):
        try:
            if load(name)["state"] == "suspended":
                break
        except (OSError, ValueError):
            pass
        if os.path.exists(f"{HOME}/reboot"):
            boot(guest)
            os.unlink(f"{HOME}/reboot")
        time.sleep(0.05)
    os._exit(0)


def described(path):
    """A guest of a file with plain lines, of which the last counts."""
    lines = {}
    for line in open(path):
        key, _, value = line.partition("=")
        lines[key.strip()] = value.strip().strip("'\"")
    guest = {k: lines[k] for k in ("name", "type", "uuid", "kernel", "ramdisk") if k in lines}
    guest.update(domid=7, state="running", cmdline=lines["extra"], vtpms=[lines["vtpm"].split("uuid=")[1].rstrip("'\" ]")])
    return guest


def create(path):
    guest = described(path)
    store(guest["name"], guest)
    boot(guest)
    monitor(guest["name"], guest)


def save(name, path):
    """The guest ends with it."""
    guest = load(name)
    with open(path, "wb") as f:
        for part in stream(guest):
            f.write(part)
    os.unlink(f"{HOME}/domains/{name}")


def restore(config, path):
    """What was saved, with the configuration that vtpmctl launch gives."""
    fd = os.open(path, os.O_RDONLY)
    guest = {**read_stream(fd), **described(config)}
    store(guest["name"], guest)
    note("restored")
    monitor(guest["name"], guest)


def resume(name, guest):
    store(name, dict(guest, state="running"))
    note(f"resumed {name}")
    sys.exit("Migration failed, resuming at sender.")


def send_all(to, parts):
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(to, view):]


def suspend(name, guest):
    store(name, dict(guest, state="suspended"))
    note("suspended")


def wait_for_path(pid, path):
    while not os.path.exists(path):
        time.sleep(0.02)
    os.kill(pid, signal.SIGCONT)


def silence():
    """Whether the other host's vtpmd is stopped, until xl there has all of the guest."""
    try:
        with open(f"{HOME}/silent") as f:
            pid, path = f.read().split()
    except OSError:
        return False
    os.kill(int(pid), signal.SIGSTOP)
    threading.Thread(target=wait_for_path, args=(int(pid), path), daemon=True).start()
    return True


def suspend_in_xen(guest):
    """Before its last pages are sent: False: the vTPM has not followed."""
    is_silent = silence()
    path = f"{os.environ['FAKEXEN']}/domains/{guest['domid']}"
    with open(path) as f:
        uuid = f.read().split()[0]
    with open(f"{path}.new", "w") as f:
        print(uuid, "suspended", file=f)
    os.rename(f"{path}.new", path)
    if is_silent or os.path.exists(f"{HOME}/at-once"):
        return True
    for _ in range(1000):
        with open(f"{HOME}/vtpmd.log", errors="replace") as f:
            if ": held, after frozen" in f.read().rsplit(" offered, after", 1)[-1]:
                return True
        time.sleep(0.02)
    note("alone")
    return False


def say_until_ready(guest, name, to, fro):
    """Whether READY has come."""
    try:
        if exact(fro, len(BANNER)) != BANNER:
            sys.exit("no banner")
        parts = list(stream(guest))
        if "FAKEXEN" in os.environ:
            last = len(parts) // 2
            send_all(to, parts[:last])
            suspend(name, guest)
            if not suspend_in_xen(guest) or fault("last"):
                return False
            wait_at("slow-1")
            more = (last + len(parts)) // 2
            send_all(to, parts[last:more])
            wait_at("slow-2")
            send_all(to, parts[more:])
        else:
            send_all(to, parts)
            suspend(name, guest)
        return exact(fro, len(READY)) == READY
    except (OSError, EOFError):
        return False


def migrate(domid, rune):
    name = by_number(domid)
    guest = load(name)
    if fault("begin"):
        sys.exit("No config file stored for running domain and none supplied - cannot migrate.")
    child_in, to = os.pipe()
    fro, child_out = os.pipe()
    if os.fork() == 0:  # it may live longer
        os.dup2(child_in, 0)
        os.dup2(child_out, 1)
        for fd in (child_in, child_out, to, fro):
            os.close(fd)
        os.execvp("sh", ["sh", "-c", rune])
    os.close(child_in)
    os.close(child_out)
    ready = say_until_ready(guest, name, to, fro)
    wait_at("hold-ready")
    if not ready or fault("rename"):
        os.close(to)
        os.close(fro)
        resume(name, guest)
    rename(name, name + "--migratedaway")
    try:
        os.write(to, GO)
        note("go")
        if exact(fro, len(REPORT)) != REPORT:
            raise EOFError
        if exact(fro, 1) != b"\0":
            if exact(fro, len(GO)) != GO:
                raise EOFError
            rename(name + "--migratedaway", name)
            os.close(to)
            resume(name, guest)
    except (OSError, EOFError):
        note("failed badly")
        sys.exit("** Migration failed during final handshake **")
    os.unlink(f"{HOME}/domains/{name}--migratedaway")
    note("destroyed")


def give_back(name):
    # by its number: whatever its name is meanwhile
    for there in (f"{HOME}/domains/{name}--incoming", f"{HOME}/domains/{name}"):
        if os.path.exists(there):
            os.unlink(there)
    os.write(1, GO)
    note("gave back")


def migrate_receive():
    if fault("banner"):
        sys.exit(1)
    os.write(1, BANNER)
    try:
        guest = read_stream(0)
    except EOFError:
        note("no guest")
        sys.exit("migration target: Domain creation failed")
    name = guest["name"]
    if fault("ready"):
        sys.exit(1)
    store(name + "--incoming", dict(guest, state="paused", receiver=os.getpid()))
    monitor(name, guest)
    os.write(1, READY)
    try:
        good = exact(0, len(GO)) == GO
    except EOFError:
        good = False
    if good:
        wait_at("hold-go")
    fails = fault("unpause") or fault("hold-fail") or fault("hold-failed")
    if good and fails:
        wait_at("hold-fail")
    if good and not fails:
        rename(name + "--incoming", name)
        wait_at("hold-unpause")
        store(name, dict(guest, state="running"))
        note("started")
    else:
        good = False
    os.write(1, REPORT + (b"\0" if good else b"\3"))
    if fails:
        wait_at("hold-failed")
    return None if good else give_back(name)


def main():
    args = sys.argv[1:]
    if args[0] == "domid":
        try:
            print(load(args[-1])["domid"])
        except OSError:
            sys.exit(f"{args[-1]} is an invalid domain identifier (rc=-6)")
    elif args[0] == "list":
        if os.path.exists(f"{HOME}/no-list"):
            sys.exit("xenstore is not there: cannot init xl context")
        print(json.dumps([{"domid": guest["domid"], "config": describe(name, guest)} for name, guest in load_all()
                          if not args[2:] or guest["domid"] == int(args[2])]))
    elif args[0] == "rename":
        rename(by_number(args[1]), args[2])
    elif args[0] == "unpause":
        name = by_number(args[1])
        if not fault("no-unpause"):     # xl's own status does not tell
            store(name, dict(load(name), state="running"))
        note(f"unpaused {name}")
    elif args[0] == "destroy":
        os.unlink(f"{HOME}/domains/{by_number(args[-1])}")
    elif args[0] == "info":
        print("host                   : a\nvirt_caps              : pv hvm hap\ntotal_memory           : 4096")
    elif args[0] == "migrate":
        migrate(args[3], args[4])
    elif args[0] == "create":
        create(args[1])
    elif args[0] == "save":
        save(args[1], args[2])
    elif args[0] == "restore":
        restore(args[1], args[2])
    elif args[0] == "migrate-receive":
        migrate_receive()


main()

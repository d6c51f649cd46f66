# SPDX-License-Identifier: Apache-2.0
"""The disk of either of two hosts is full, or fails, in one step of a move, or from that step on, or has vtpmd killed at
one of its syncs; counts who runs the vTPM then, and what its counter says.  TAP, from number FIRST + 1 on; the
argument behind FIRST: each case of so many."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(sys.argv[1], "tests/host"))
import migrate_drive as drive  # noqa: E402  (it has the same arguments)

STEPS = drive.Handover.STEPS
EACH = int(sys.argv[4])
SYNCS = 12  # more than a vtpmd does in a move


class Host(drive.Host):
    """With a disk of faults (tests/host/faultdisk.c)."""

    def start(self):
        self.fault("")
        kept = dict(os.environ)
        os.environ.update(FAULT=f"{self.dir}/fault", LD_PRELOAD=f"{drive.ROOT}/build/bin/faultdisk.so", ASAN_OPTIONS="verify_asan_link_order=0")
        try:
            super().start()
        finally:
            for name in ("FAULT", "LD_PRELOAD", "ASAN_OPTIONS"):
                del os.environ[name]
            os.environ.update(kept)

    def fault(self, text):
        with open(f"{self.dir}/fault.new", "w") as f:
            f.write(text)
        os.rename(f"{self.dir}/fault.new", f"{self.dir}/fault")

    def ended(self):
        return self.process.poll() is not None

    def revive(self):
        """What it left in the TPM goes, as behind /dev/tpmrm0."""
        if self.ended():
            self.kill()
            self.start()


def whole(hosts):
    """Which of them run it, with which counter."""
    found = {}
    for host in hosts:
        drive.wait_for(lambda h=host: None if h.state() == "starting" else True, 3)
        value = host.counter() if host.state() == "running" else None
        if value is not None:
            found[host.name] = value
    return found


def once(source, destination, side, fault, step, stays):
    """The fault begins with the step, and ends with it, unless it stays.  Returns what is wrong, and who has the vTPM."""
    hosts = (source, destination)
    host = source if side == "source" else destination
    began = time.monotonic()
    before = drive.wait_for(source.counter)
    h = drive.Handover(source, destination)
    name = f"{fault} at the {side}, {step}{' and on' if stays else ''}"
    try:
        for one in STEPS:
            if one == step:
                host.fault(fault)
            h.step(one)
            if one == step and not stays:
                host.fault("")
    except (RuntimeError, OSError, ValueError):
        pass
    time.sleep(0.3)
    seen = [whole([x for x in hosts if not x.ended()])]
    host.fault("")
    ended = host.ended()
    for one in hosts:
        one.revive()
    seen.append(whole(hosts))
    drive.settle(source, destination)
    last = drive.wait_for(lambda: whole(hosts) or None, 40) or {}
    seen.append(last)
    print(f"# {name}: {seen}{', vtpmd ended' if ended else ''}, {time.monotonic() - began:.1f} s", flush=True)
    bad = [f"{name}: both run it: {seen}"] if any(len(s) > 1 for s in seen) else []
    if list(last.values()) != [before]:
        bad.append(f"{name}: {before} became {seen}: {[x.state() for x in hosts]}")
    return bad, last


def main():
    drive.count = drive.FIRST
    a, b = Host("a"), Host("b")
    bad = []
    try:
        a.start()
        b.start()
        source, destination = (a, b) if a.state() != "none" else (b, a)
        cases = [(side, fault, step, stays) for stays in (False, True) for fault in ("ENOSPC", "EIO") for side in ("source", "destination") for step in STEPS] + \
                [(side, f"kill {n}", "begin", True) for side in ("source", "destination") for n in range(1, SYNCS + 1)]
        for case in cases[::EACH]:
            wrong, last = once(source, destination, *case)
            bad += wrong
            if len(last) != 1:
                break
            if destination.name in last:
                source, destination = destination, source
            drive.gone(destination)
    finally:
        for h in (a, b):
            h.process.terminate()
            h.process.wait()
    for line in bad:
        print("#", line)
    drive.ok(not bad, f"a disk that is full, fails or is the last thing that vtpmd sees, {len(cases[::EACH])} times: one host has it, whole")


main()

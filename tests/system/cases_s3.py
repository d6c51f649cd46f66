# SPDX-License-Identifier: Apache-2.0
"""S3 of an HVM guest: a program of its own (sleeper/), which is no operating system, drives
the TPM, sleeps, and is woken by `xl trigger NAME s3resume`."""
import os
import sys

from cases_attest import keep, verdict, workdir
from cases_board import base_policy, made_policy, write_policy
from lab import VTPMD_LOG, check
from vhost import BUILD

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/sleeper")
import script  # noqa: E402  pylint: disable=wrong-import-position

NAME = "sleeper1"
SERIAL = f"/var/log/xen/console/guest-{NAME}-serial.log"
IMAGE = "/var/tmp/sleeper.img"
ZEROS, ONES = bytes(32), b"\xff" * 32
RC_INITIALIZE, RC_NV_DEFINED = 0x100, 0x14c
# Of the first session; of the first parameter
RC_BAD_AUTH, RC_NOT_SAVED, RC_HANDLE = 0x9a2, 0x1c4, 0x1cb
DATA = b"12345678"


class Sleeper:
    """The guest, from its start on; what it says is taken in order."""

    def __init__(self, lab, lines, bios=None, launch=False):
        self.lab, self.taken = lab, 0
        lab.up()
        lab.host_init()
        if NAME not in lab.uuid:
            lab.create(NAME, "--localities 0-3")
        lab.vtpms(NAME)
        if not launch and lab.show(NAME)["guests"] != "all":    # once launched, it refuses this one
            lab.stop(NAME)
            lab.start(NAME)
        with open(f"{BUILD}/bin/sleeper.img", "rb") as f:
            lab.host.put(script.make_disk(f.read(), lines), IMAGE)
        lab.host.run(f"xl destroy {NAME} 2>/dev/null; rm -f {SERIAL}")
        lab.hvm_up(NAME, vtpm_line=f"backend=vtpm-{NAME},uuid={lab.uuid[NAME]}", bios=bios,
                   wait=False, disk=IMAGE, launch=launch)
        self.until("begins", 400)

    def said(self):
        """Its lines which are whole; nothing else is on its serial port."""
        text = self.lab.host.run(f"cat {SERIAL} 2>/dev/null")[1].replace("\r", "")
        lines = text[:text.rfind("\n") + 1].split("\n")[:-1]
        for line in lines:
            check(not line.startswith("error"), f"the guest says: {line}")
        return lines

    def until(self, word, timeout=200):
        """Waits for that word; the lines before it that were not taken yet."""
        self.lab.wait(f"that {NAME} says \"{word}\"",
                      lambda: word in self.said()[self.taken:], timeout)
        lines = self.said()[self.taken:]
        lines = lines[:lines.index(word)]
        self.taken += len(lines) + 1
        return lines

    def responses(self, word, timeout=200):
        return [bytes.fromhex(line.split()[1]) for line in self.until(word, timeout)]

    def wake(self):
        """QEMU wakes no guest that it has not put to sleep yet."""
        def is_woken():
            self.lab.host.run(f"xl trigger {NAME} s3resume", 60)
            return "woken" in self.said()[self.taken:]
        self.lab.wait("the guest's end of S3", is_woken, 200)
        self.until("woken")

    def end(self):
        self.lab.host.must(f"xl destroy {NAME}", 60)
        self.lab.wait("the domain's end", lambda: "(null)" not in self.lab.host.must("xl list"))


def codes(responses):
    return [script.code_of(r) for r in responses]


def evidence(lab, folder, name, log):
    """Of the host, with the log that the guest handed out; the nonce."""
    nonce = os.urandom(32).hex()
    lab.host.put(log, "/tmp/sleeper.log")
    rc, out = lab.vtpmctl(f"attest {NAME} --nonce {nonce} --event-log /tmp/sleeper.log "
                          "-o /tmp/sleeper.json")
    check(rc == 0, f"vtpmctl attest: status {rc}: {out}")
    keep(folder, name, lab.host.get("/tmp/sleeper.json"))
    return nonce


SLEEPS = [
    script.read_log(), script.read_clock(), *script.read_pcrs(),
    script.nv_define(), script.nv_write(DATA),
    script.start_session(), script.start_session(), script.context_save(script.SESSION), "k",
    script.hierarchy_control(script.ENDORSEMENT, script.ENDORSEMENT, 0),
    *(script.extend(n) for n in (8, 15, 16, 23)),
    "l 2", script.extend(17), script.extend(20), "l 0",
    *script.read_pcrs(), script.startup_flags(), script.shutdown(script.STATE), "s",
    script.read_clock(), *script.read_pcrs(), script.startup_flags(),
    script.nv_read(), script.context_load(), script.flush_context(script.SESSION + 1),
    script.hierarchy_control(script.PLATFORM, script.ENDORSEMENT, 1),
    script.startup(script.CLEAR), script.startup(script.STATE),
    *script.read_pcrs(), script.get_random()]


def wakes(lab):
    """an HVM guest that sleeps in S3 behind TPM2_Shutdown(STATE) finds PCRs, NV and contexts; it is attested"""
    lab.up()
    guest = Sleeper(lab, SLEEPS, lab.our_bios(), launch=True)
    before = guest.until("sleeps")
    log = script.log_of(bytes.fromhex(before[0].split()[1]))
    said = [bytes.fromhex(line.split()[1]) for line in before[1:]]
    check(not set(codes(said)) - {0, RC_NV_DEFINED}, f"before it sleeps: {codes(said)}")
    clock, begun = script.clock_of(said[0]), script.pcrs_of(said[1:4])
    slept, flags = script.pcrs_of(said[-5:-2]), script.flags_of(said[-2])
    check(all(begun[n] not in (ZEROS, ONES) for n in (0, 4, 7)), "the BIOS measured nothing")
    check(all(slept[n] != begun[n] for n in (8, 15, 16, 17, 20, 23)), "it extended nothing")
    check(flags & 7 == script.PH_ENABLE | script.SH_ENABLE, f"{flags:#x}")

    # an operator asks for evidence of it meanwhile
    folder = workdir(lab)
    write_policy(folder, base_policy(lab, NAME))
    nonce = evidence(lab, folder, "sleeper.json", log)
    write_policy(folder, made_policy(folder, nonce, "sleeper.json"))
    is_served(lab)
    lab.host.must("pkill -KILL -x vtpm-crb")
    lab.wait("the next vtpm-crb", lambda: lab.host.run("pgrep -x vtpm-crb")[0] == 0)
    guest.wake()
    found_again(guest.responses("end"), clock, slept, flags)
    is_served(lab)
    rc, words, text = verdict(folder, "sleeper.json", evidence(lab, folder, "sleeper.json", log))
    check(rc == 0, f"refused after S3: {words}: {text}")
    guest.end()


def found_again(said, clock, slept, flags):
    """What SLEEPS prints behind its sleep, and resetCount and restartCount, the PCRs and the
    hierarchies before it."""
    woken = script.pcrs_of(said[1:4])
    check(woken[:16] == slept[:16], "PCRs 0 to 15 are others after S3")
    check(woken[16] == woken[23] == ZEROS and woken[17:23] == [ONES] * 6,
          f"PCRs 16 to 23: {[v.hex() for v in woken[16:]]}")
    check(script.clock_of(said[0]) == (clock[0], clock[1] + 1),
          f"resetCount, restartCount: {clock}, then {script.clock_of(said[0])}")
    check(script.flags_of(said[4]) & 7 == flags & 7, "a hierarchy changed over S3")
    check(script.nv_of(said[5]) == DATA, "its NV index is lost")
    check(not any(codes(said[:7])), "a saved context is lost")
    check(script.code_of(said[7]) == RC_HANDLE, "a session is still there")
    check(script.code_of(said[8]) == RC_BAD_AUTH, "platformAuth is the empty one after S3")
    check(codes(said[9:11]) == [RC_INITIALIZE] * 2, "it starts its TPM once more")
    check(script.pcrs_of(said[11:14]) == woken and not any(codes(said[11:])),
          f"its TPM does not go on: {codes(said)}")


def is_served(lab):
    """`vtpmctl show` has nothing against a guest that sleeps, or was woken."""
    shown = lab.show(NAME)
    check(shown["state"] == "running" and not shown["refused_guest"], f"{shown}")


UNSAVED = [
    script.read_clock(), *script.read_pcrs(), script.extend(8), script.extend(16),
    *script.read_pcrs(), "s",
    # nothing was saved
    *script.read_pcrs(), script.startup(script.CLEAR), script.startup(script.STATE),
    *script.read_pcrs(), script.shutdown(script.CLEAR), "s",
    # nor by that; and this BIOS sends nothing any more
    script.startup(script.STATE), script.startup(script.CLEAR), *script.read_pcrs(),
    script.shutdown(script.STATE), script.extend(9), "s",
    # what was saved is older than PCR 9
    script.startup(script.STATE), script.startup(script.CLEAR), *script.read_pcrs(),
    script.shutdown(script.STATE), "s",
    # the attack of who is there before a firmware
    script.startup(script.CLEAR), *script.read_pcrs(), script.startup(script.STATE),
    *script.read_pcrs(), script.shutdown(script.STATE), "s",
    # and what a firmware does
    script.startup(script.STATE), *script.read_pcrs(), script.read_clock(),
    script.shutdown(script.STATE), "s"]


def unsaved(lab):
    """an HVM guest that sleeps without TPM2_Shutdown(STATE), or wakes by TPM2_Startup(CLEAR), gets no fresh PCRs"""
    lab.up()
    guest = Sleeper(lab, UNSAVED, lab.our_bios())
    said = guest.responses("sleeps")
    check(not any(codes(said)), f"{codes(said)}")
    clock, begun, pcrs = script.clock_of(said[0]), script.pcrs_of(said[1:4]), script.pcrs_of(said[6:])
    check(begun[8] == ZEROS and pcrs[8] != ZEROS != pcrs[16], "it extended nothing")

    guest.wake()
    said = guest.responses("sleeps")
    check(script.pcrs_of(said[:3]) == pcrs, "PCRs changed over a sleep without TPM2_Shutdown")
    check(codes(said[3:5]) == [RC_INITIALIZE] * 2 and script.pcrs_of(said[5:8]) == pcrs,
          f"it starts its TPM: {codes(said)}")
    guest.wake()
    said = guest.responses("sleeps")
    check(codes(said[:2]) == [RC_INITIALIZE] * 2 and script.pcrs_of(said[2:5]) == pcrs,
          f"behind TPM2_Shutdown(CLEAR): {codes(said)}")
    guest.wake()
    said = guest.responses("sleeps")
    other = script.pcrs_of(said[2:5])
    check(codes(said[:2]) == [RC_INITIALIZE] * 2 and other[9] not in (pcrs[9], ZEROS) and
          [v for n, v in enumerate(other) if n != 9] == [v for n, v in enumerate(pcrs) if n != 9],
          f"with a command behind TPM2_Shutdown(STATE): {codes(said)}")
    guest.wake()
    said = guest.responses("sleeps")
    check(script.code_of(said[0]) == script.code_of(said[4]) == RC_INITIALIZE and
          script.pcrs_of(said[1:4]) == script.pcrs_of(said[5:8]) == other,
          f"by TPM2_Startup(CLEAR): {codes(said)}")
    guest.wake()
    said = guest.responses("sleeps")
    woken = script.pcrs_of(said[1:4])
    check(not script.code_of(said[0]) and woken[:16] == other[:16] and woken[16] == ZEROS,
          f"by TPM2_Startup(STATE): {codes(said)}")
    check(script.clock_of(said[4]) == (clock[0], clock[1] + 1), "it was started more than once")
    is_served(lab)
    guest.end()     # asleep


DEBIAN = [
    script.startup(script.STATE), script.startup(script.CLEAR), *script.read_pcrs(),
    script.extend(8), script.extend(16),
    script.hierarchy_control(script.PLATFORM, script.PLATFORM, 0), *script.read_pcrs(),
    script.startup_flags(), script.shutdown(script.STATE), "s",
    *script.read_pcrs(), script.startup_flags(), script.startup(script.STATE),
    *script.read_pcrs(), script.startup_flags(), script.shutdown(script.STATE),
    script.startup(script.CLEAR), *script.read_pcrs()]


RESETS = [script.extend(8), script.get_random(), *script.read_pcrs(), "r",
          script.get_random(), *script.read_pcrs(), script.startup(script.CLEAR), "r",
          script.get_random(), *script.read_pcrs()]


def soft_reset(lab):
    """an HVM guest that Xen resets softly, as by kexec, finds its TPM, and the PCRs that it had"""
    lab.up()
    guest = Sleeper(lab, RESETS, lab.our_bios())
    _, random, *before = guest.responses("resets")
    check(script.code_of(random) == 0 and any(script.pcrs_of(before)[8]), f"{random.hex()}, {before}")
    for word in ("resets", "end"):
        guest.taken = 0     # its new QEMU begins with an empty file
        guest.until("reset")
        responses = guest.responses(word)
        check(codes(responses[:4]) == [0] * 4, f"behind a soft reset: {codes(responses)}")
        check(script.pcrs_of(responses[1:4]) == script.pcrs_of(before), "it has other PCRs")
        check(codes(responses[4:]) in ([], [RC_INITIALIZE]), f"TPM2_Startup: {codes(responses)}")
    check(lab.host.must("pgrep -c -x vtpm-crb").strip() == "1", "there is not one vtpm-crb")
    guest.end()


def page_given_back(lab):
    """an HVM guest gives the page of its TPM's buffer back: its vtpm-crb goes on, and its end leaves nothing"""
    lab.up()
    guest = Sleeper(lab, [script.get_random(), "b"] + 9 * [script.get_random()], lab.our_bios())
    crb = lab.host.must("pgrep -x vtpm-crb")
    guest.until("end")
    check(lab.host.must("pgrep -x vtpm-crb") == crb, "vtpm-crb did not survive it")
    lab.host.must("pkill -KILL -x vtpm-crb")
    lab.wait("that vtpmd gives it up", lambda: lab.host.run(
        f"grep -q '{NAME}: .* its vtpm-crb ends again and again' {VTPMD_LOG}")[0] == 0, 60)
    guest.end()
    check(lab.host.run("pgrep -x vtpm-crb")[0] != 0, "a vtpm-crb is left")
    lab.wait("that no guest uses the vTPM", lambda: not lab.show(NAME).get("guest"), 60)


def other_bios(lab):
    """with a BIOS that starts no TPM an HVM guest's goes on over S3; another guest finds nothing that one saved"""
    if NAME not in lab.uuid:
        unsaved(lab)
    guest = Sleeper(lab, DEBIAN)
    said = guest.responses("sleeps")
    begun, pcrs = script.pcrs_of(said[2:5]), script.pcrs_of(said[8:11])
    check(script.code_of(said[0]) == RC_NOT_SAVED and begun[:17] == [ZEROS] * 17,
          f"it finds what the guest before it saved: {codes(said)}")
    check(not any(codes(said[1:])) and pcrs[8] != ZEROS != pcrs[16], f"{codes(said)}")
    check(not script.flags_of(said[11]) & script.PH_ENABLE, "the platform is not disabled")
    guest.wake()
    said = guest.responses("end")
    check(script.pcrs_of(said[:3]) == pcrs and not script.flags_of(said[3]) & script.PH_ENABLE,
          "its TPM did not go on as it was")
    woken = script.pcrs_of(said[5:8])
    check(not script.code_of(said[4]) and woken[:16] == pcrs[:16] and woken[16] == ZEROS,
          "TPM2_Startup(STATE) of its own")
    check(script.flags_of(said[8]) & script.PH_ENABLE, "the platform stays disabled")
    check(codes(said[9:11]) == [0, RC_INITIALIZE] and script.pcrs_of(said[11:14]) == woken,
          "TPM2_Startup(CLEAR) of its own")
    guest.end()


CASES = [wakes, unsaved, soft_reset, page_given_back, other_bios]

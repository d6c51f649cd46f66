# SPDX-License-Identifier: Apache-2.0
"""The state does not open and says why; nothing is overwritten; once the cause
is gone, everything is there again."""
import contextlib

from cases_guests import still_there
from cases_keep import sealed
from lab import STORE, check

NAME, OTHER = "web1", "web2"


@contextlib.contextmanager
def closed(lab):
    """The vTPM, sealed and stopped; afterwards it must be as it was."""
    sealed(lab, NAME)
    lab.guest_down(NAME)
    lab.stop(NAME)
    before = lab.store_sums(NAME)
    yield
    check(lab.store_sums(NAME) == before, "the store has changed")
    lab.up()
    lab.start(NAME)
    lab.guest_up(NAME)
    still_there(lab, NAME)


def does_not_open(lab, words, cause=None, booted=True):
    """vtpmctl, the stub domain's console (unless vtpmd did not come so far as to boot
    it) and `vtpmctl show` say it; xl fails."""
    for _ in range(3):
        mark = lab.console_mark(f"vtpm-{NAME}")
        rc, out = lab.vtpmctl(f"start {NAME}")
        check(rc != 0, "vtpmctl start says that it runs")
        # a KMS that a busy host lets wait is another cause, and goes by itself
        if not cause or "kms-unreachable" in cause or lab.show(NAME).get("cause") != "kms-unreachable":
            break
        print(f"# the KMS did not answer in time, asked again: {out.strip()}")
        lab.vtpmctl(f"stop {NAME}")
    check(any(w in out for w in words), f"vtpmctl start does not say why: {out}")
    sentences = [line for line in out.splitlines() if line.startswith("vtpmctl: ")]
    check(len(sentences) == 1, f"not one sentence: {out}")
    said = lab.console_since(f"vtpm-{NAME}", mark)
    check(not booted or any(w in said for w in words), f"the stub domain's console does not say why: {said}")
    seen = lab.show(NAME)
    # for want of the KMS it is tried again by itself
    states = ["failed", "starting"] if cause == ["kms-unreachable"] else ["failed"]
    check(seen["state"] in states, f"show says {seen}")
    check(cause is None or seen.get("cause") in cause, f"the cause is {seen.get('cause')}")
    rc, out = lab.host.run(f"guest start --no-wait {lab.guest_args(NAME, 'own')}", 120)
    check(rc != 0, f"xl create made a guest: {out}")
    check(not lab.running(NAME), "a guest runs without its TPM")


def kms_unreachable(lab):
    """the KMS is unreachable"""
    with closed(lab):
        lab.kms("kms stop")
        try:
            does_not_open(lab, ["KMS"], ["kms-unreachable"])
        finally:
            lab.kms("kms start")


def key_revoked(lab):
    """the KMS key is revoked"""
    with closed(lab):
        lab.kms(f"kms stop; kms save; kms start; kms revoke {lab.key}")
        try:
            does_not_open(lab, ["revoked", "not active", "deactivated", "Deactivated"],
                          ["kms-key"])
        finally:
            lab.kms("kms stop; kms restore; kms start")


def client_refused(lab):
    """the KMS refuses the client's certificate"""
    with closed(lab):
        lab.kms("cd /root/kms; kms stop; cp ca.pem ca.saved; cp otherca.pem trust.pem; "
                "sed -i 's/ca_path=.*/ca_path=\\/root\\/kms\\/trust.pem/' server.conf; "
                "kms start")
        try:
            does_not_open(lab, ["certificate"], ["kms-denied", "kms-refused"])
        finally:
            lab.kms("cd /root/kms; kms stop; "
                    "sed -i 's/ca_path=.*/ca_path=\\/root\\/kms\\/ca.pem/' server.conf; "
                    "kms start")


FLIP = """
import sys
from struct import unpack
path, at = sys.argv[1:]
d = open(path, "rb").read()
if d[:8] == b"XVTPMTWN":    # of a vTPM that runs: lib/twin.h; the newest side is the file then
    sides = d[:len(d) // 2], d[len(d) // 2:]
    newest = max(sides, key=lambda s: unpack(">Q", s[16:24]))
    d = newest[56:56 + unpack(">I", newest[12:16])[0]]
at = eval(at) % len(d)
with open(path, "r+b") as f:
    f.write(d[:at] + bytes([d[at] ^ 1]) + d[at + 1:])
    f.truncate()
"""


def flip(lab, name, at, vtpm=NAME):
    path = f"{STORE}/{lab.uuid[vtpm]}/{name}"
    lab.host.must(f"python3 - {path} '{at}' <<'END'\n{FLIP}END\n")


def byte_flipped(lab):
    """one byte of the state is flipped"""
    with closed(lab):
        flip(lab, "permall", "1000")
        try:
            does_not_open(lab, ["corrupt", "damaged", "altered"], ["blob-corrupt"])
        finally:
            flip(lab, "permall", "1000")


def header_byte_flipped(lab):
    """one byte of the header is flipped"""
    with closed(lab):
        flip(lab, "header", "len(d)//2")
        try:
            does_not_open(lab, ["The header of web1 is not the one"], ["rolled-back"],
                          booted=False)
        finally:
            flip(lab, "header", "len(d)//2")


def mixed_parts(lab):
    """header and state come from different vTPMs"""
    lab.vtpms(OTHER)
    with closed(lab):
        mine, others = (f"{STORE}/{lab.uuid[n]}/permall" for n in (NAME, OTHER))
        lab.host.must(f"cp -a {mine} /tmp/mine && cp {others} {mine}")
        try:
            does_not_open(lab, ["another vTPM"], ["wrong-vtpm"], booted=False)
        finally:
            lab.host.must(f"cp -a /tmp/mine {mine}")


def whole_entry_swapped(lab):
    """header and state of another vTPM in this one's place"""
    lab.vtpms(OTHER)
    with closed(lab):
        mine, others = (f"{STORE}/{lab.uuid[n]}" for n in (NAME, OTHER))
        lab.host.must(f"cp -a {mine} /tmp/mine.d && cp {others}/header {others}/permall {mine}/")
        try:
            does_not_open(lab, ["another vTPM"], ["wrong-vtpm"], booted=False)
        finally:
            lab.host.must(f"cp -a /tmp/mine.d/* {mine}/ && rm -rf /tmp/mine.d")


def pcrs_changed(lab):
    """the host's PCRs changed (a reboot brings the approved state back)"""
    with closed(lab):
        lab.host.must("tpm2_pcrextend 7:sha256=" + "22" * 32)
        try:
            does_not_open(lab, ["boot state is not approved, PCR 7"], ["pcrs-changed"],
                          booted=False)
        finally:
            lab.reboot()


def tpm_replaced(lab):
    """the host's TPM was replaced (the old one brings everything back)"""
    with closed(lab):
        lab.reboot(tpm="another-tpm")
        try:
            # its anchor is not there either, which is looked at first
            does_not_open(lab, ["TPM"], ["tpm-replaced"], booted=False)
        finally:
            lab.reboot(tpm="tpm")


CASES = [kms_unreachable, key_revoked, client_refused, byte_flipped, header_byte_flipped,
         mixed_parts, whole_entry_swapped, pcrs_changed, tpm_replaced]

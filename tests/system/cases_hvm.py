# SPDX-License-Identifier: Apache-2.0
"""HVM guests, which a BIOS boots from a disk."""
import hashlib
import struct

import hvm_ppi
from lab import check

NAME = "hvm1"


def boots(lab, bios=None):
    """Boots the guest and ends it; bios: a file in dom0, for Debian's SeaBIOS."""
    lab.up()
    lab.hvm_up(NAME, bios=bios)
    try:
        # SeaBIOS says its version on Xen's debug port.
        out = lab.host.must("xl dmesg | grep -a 'SeaBIOS (version' | tail -n 1")
        check(("xen-vtpm" in out) == bool(bios), f"the BIOS is {out}")
        out = lab.ask(NAME, "cat /sys/hypervisor/guest_type; ls /sys/class/tpm | wc -l")
        check(out.split() == ["HVM", "0"], f"the guest's type and number of TPMs: {out}")
    finally:
        lab.guest_down(NAME)


def debian_bios(lab):
    """an HVM guest without a vTPM boots by Debian's SeaBIOS"""
    boots(lab)


def our_bios(lab):
    """an HVM guest without a vTPM boots by our SeaBIOS"""
    boots(lab, lab.our_bios())


def own_drivers(lab):
    """an HVM guest finds its vTPM by its own drivers; no command fails as vtpm-crb is killed"""
    lab.vtpms(NAME)
    lab.hvm_up(NAME, vtpm_line=f"backend=vtpm-{NAME},uuid={lab.uuid[NAME]}")
    out = lab.ask(NAME, "cat /sys/class/tpm/tpm0/tpm_version_major; ls /sys/class/tpm; "
                        "tpm2_getrandom --hex 8 && tpm2_nvdefine -Q -s 8 0x1500016 && "
                        "printf 12345678 | tpm2_nvwrite -Q -i - 0x1500016")
    check(out.startswith("2\ntpm0\n"), f"the guest says: {out}")
    killed = lab.host.must("(for i in 1 2 3 4; do sleep 5; pkill -9 vtpm-crb && echo $i; done) "
                           ">/tmp/killed 2>&1 & echo begun")
    check("begun" in killed, killed)
    out = lab.ask(NAME, "bad=0; for i in $(seq 30); do tpm2_getrandom --hex 8 >/dev/null || "
                        "bad=$((bad + 1)); done; echo failed: $bad", 200)
    check("failed: 0" in out, out)
    check(lab.host.must("grep -c . /tmp/killed").strip() == "4", "vtpm-crb was not killed")
    check(lab.host.run("pgrep -x vtpm-crb")[0] == 0, "no vtpm-crb runs")


def withheld(lab):
    """the firmware of an HVM guest gives its TPM no other identity, and does not clear it"""
    code = "printf '\\200\\002\\000\\000\\000\\033\\000\\000\\001\\0%s%s\\100\\000\\000\\014" \
           "\\000\\000\\000\\011\\100\\000\\000\\011\\000\\000\\000\\000\\000' | " \
           "tpm2_send | od -An -tx1"
    for digits in ("44", "45", "46"):   # ChangeEPS, ChangePPS, Clear
        out = lab.ask(NAME, code % (digits[0], digits[1]))
        check(out.split()[-4:] == ["00", "00", "01", "20"], f"code 0{digits}: {out}")


def both_killed(lab):
    """an HVM guest's TPM goes on when vtpm-crb and vtpmd were both killed; PCRs stay"""
    before = lab.ask(NAME, "tpm2_pcrextend 16:sha256=" + "11" * 32 + "; tpm2_pcrread sha256:16")
    lab.host.must("kill -9 $(pgrep -x vtpmd); pkill -9 vtpm-crb; sleep 1")
    lab.start_vtpmd()
    after = lab.ask(NAME, "tpm2_pcrread sha256:16")
    check(after.split()[-1] == before.split()[-1], f"PCR 16 was {before}, is {after}")


def reboots(lab):
    """a reboot of an HVM guest from inside clears PCRs, and keeps NV"""
    lab.host.must(f"guest reboot --timeout 500 {NAME}", 600)
    out = lab.ask(NAME, "tpm2_pcrread sha256:16; tpm2_nvread -s 8 0x1500016")
    check("16: 0x" + "00" * 32 in out and "12345678" in out, out)


def presence(lab):
    """an HVM guest has its TPM cleared by physical presence at its next start, if it may"""
    before = hvm_ppi.request_clear(lab, NAME)
    lab.host.must(f"guest reboot --timeout 500 {NAME}", 600)
    hvm_ppi.was_cleared(lab, NAME, before)


def stalled(lab):
    """an HVM guest whose TPM stalls while our BIOS measures is halted, with a sentence"""
    name = "stall1"
    lab.vtpms(name)
    before = lab.show(name)["commands"]
    lab.hvm_up(name, vtpm_line=f"backend=vtpm-{name},uuid={lab.uuid[name]}", bios=lab.our_bios(),
               wait=False)
    try:
        lab.wait("the BIOS's first commands", lambda: lab.show(name)["commands"] > before + 1, 120)
        lab.host.must(f"xl pause vtpm-{name}")
        lab.wait("its sentence", lambda: lab.host.run(
            "xl dmesg | grep -a 'would not be measured. Halted'")[0] == 0, 120)
        serial = lab.host.run(f"cat /var/log/xen/console/guest-{name}-serial.log")[1]
        check("GRUB" not in serial, f"it boots all the same: {serial[-500:]}")
    finally:
        lab.host.run(f"xl unpause vtpm-{name}")
        lab.host.must(f"xl destroy {name}", 60)


def replay(log):
    """({PCR: value of the SHA-256 bank}, number of events) of a crypto-agile event log: TCG PC
    Client Platform Firmware Profile, 10."""
    sizes = {0x4: 20, 0xb: 32, 0xc: 48, 0xd: 64}
    pcrs, count = {}, 0
    at = 32 + struct.unpack_from("<I", log, 28)[0]     # the header's event
    while at < len(log):
        pcr, kind, n = struct.unpack_from("<III", log, at)
        at += 12
        for _ in range(n):
            bank = struct.unpack_from("<H", log, at)[0]
            digest = log[at + 2:at + 2 + sizes[bank]]
            at += 2 + sizes[bank]
            if bank == 0xb and kind != 3:       # EV_NO_ACTION extends nothing
                old = pcrs.get(pcr, bytes(32))
                pcrs[pcr] = hashlib.sha256(old + digest).digest()
        at += 4 + struct.unpack_from("<I", log, at)[0]
        count += 1
    return pcrs, count


def hvm_leaves_nothing(lab):
    """an HVM guest that is destroyed leaves no vtpm-crb, no domain, no node"""
    lab.host.must(f"xl destroy {NAME}", 60)
    lab.wait("vtpm-crb's end", lambda: lab.host.run("pgrep -x vtpm-crb")[0] != 0)
    lab.wait("the domain's end", lambda: "(null)" not in lab.host.must("xl list"))
    out = lab.host.run("xenstore-ls /local/domain/0/xen-vtpm/crb")[1]
    check("state" not in out, out)


CASES = [debian_bios, our_bios, own_drivers, withheld, both_killed, reboots, presence,
         hvm_leaves_nothing, stalled]

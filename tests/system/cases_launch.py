# SPDX-License-Identifier: Apache-2.0
"""Guests that `vtpmctl launch` measures: their PCRs and event logs, and who is refused."""
import re

from lab import KINDS, VTPMD_LOG, check

LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
PCRS = ",".join(map(str, [*range(8), 9, 12]))
BANKS = ("sha1", "sha256", "sha384", "sha512")
READ = "tpm2_pcrread " + "+".join(f"{bank}:{PCRS}" for bank in BANKS)
CONFIG = "/etc/xen/{name}-launch.cfg"


def values(text):
    """{(bank, PCR): value} of what tpm2_pcrread and tpm2_eventlog print."""
    found, bank = {}, None
    for line in text.splitlines():
        m = re.match(r"\s*(sha\d+):\s*$", line)
        if m:
            bank = m[1]
        m = re.match(r"\s*(\d+)\s*:\s*0x([0-9A-Fa-f]+)\s*$", line)
        if m and bank:
            found[bank, int(m[1])] = m[2].lower()
    return found


def write_config(lab, name, cmdline="", driver="own", vtpm=None):
    """As dom0/guest writes it, but started by another; with the guest's vTPM, or that one."""
    vtpm = vtpm or name
    lab.host.must(f"mkdir -p /root/launch; [ -e /root/launch/vmlinux ] || "
                  "cp /boot/guest/vmlinux /root/launch/vmlinux")
    kind = "pvh" if name.startswith("pvh") else KINDS[name]
    lines = [f'name="{name}"', 'kernel="/root/launch/vmlinux"', 'ramdisk="/run/guest.cpio"',
             f'extra="console=hvc0 quiet tpmfront={driver} {cmdline}"', "memory=256", "vcpus=1",
             'on_reboot="restart"', 'on_crash="destroy"', f'type="{kind}"',
             f'vtpm=["backend=vtpm-{vtpm}"]']
    if kind == "pvh":
        lines.append('cpuid="host,xsave=0,avx=0"')
    path = CONFIG.format(name=name)
    lab.host.run(f"cat >{path}", 20, "\n".join(lines + [""]).encode())
    return path


def wait_for(lab, name):
    """0 when the guest answers; QEMU may have killed it."""
    return lab.host.run(f"guest wait --timeout 90 {name}", 110)[0]


def launch(lab, name, cmdline="", vtpm=None):
    """The guest, measured and running; again when QEMU kills it."""
    path = write_config(lab, name, cmdline, vtpm=vtpm)
    for _ in range(4):
        before = lab.killed_by_qemu()
        rc, out = lab.vtpmctl(f"launch {path}")
        check(rc == 0, f"vtpmctl launch: status {rc}: {out}")
        if not wait_for(lab, name):
            return
        check(lab.died_booting(name, before), f"{name} does not boot: {lab.console(name, 15)}")


def replayed(lab, name):
    """What the guest's TPM holds, which its log has to tell."""
    held = values(lab.ask(name, READ))
    told = values(lab.ask(name, f"tpm2_eventlog {LOG} 2>/dev/null | sed -n '/^pcrs:/,$p'"))
    check(len(held) == len(BANKS) * 10, f"{name} has the PCRs {sorted(held)}")
    check(told == held, f"{name}: the log says {told}, the TPM {held}")
    return held


def fresh(lab, name):
    """A vTPM that runs and serves any guest, and no guest."""
    lab.vtpms(name)
    lab.guest_down(name)
    lab.stop(name)
    lab.start(name)


def measured(lab, name):
    fresh(lab, name)
    launch(lab, name)
    held = replayed(lab, name)
    check(all(int(v, 16) for v in held.values()), f"zeroes in {held}")
    text = lab.ask(name, f"tpm2_eventlog {LOG}")
    size = lab.host.must("stat -c %s /root/launch/vmlinux").strip()
    for want in (f"kernel size={size} name=vmlinux", "ramdisk size=", "cmdline console=hvc0"):
        check(want in text, f"the log of {name} does not name {want}: {text[-3000:]}")
    cmdline = lab.ask(name, "cat /proc/cmdline").strip()
    check(f"cmdline {cmdline}" in text, f"{cmdline!r} was booted, and measured: {text[-600:]}")
    for path in ("/root/launch/vmlinux", "/run/guest.cpio"):
        digest = lab.host.must(f"sha256sum {path}").split()[0]
        check(digest in text, f"the hash of {path} is not in the log")
    return held


def pv_measured(lab):
    """a PV guest is measured: its event log replays to its PCRs in all banks"""
    measured(lab, "web1")


def pvh_measured(lab):
    """a PVH guest is measured: its event log replays to its PCRs in all banks"""
    measured(lab, "web2")


def reload_keeps(lab):
    """a driver that is reloaded finds the log again; gone, it leaves none but an open one"""
    launched(lab, "web1")
    before = replayed(lab, "web1")
    out = lab.ask("web1", f"cat {LOG} >/tmp/a; d=$(dirname /sys/bus/xen/drivers/*/vtpm-0); "
                  f"exec 3<{LOG}; echo vtpm-0 >$d/unbind; ls {LOG} 2>&1; cmp - /tmp/a <&3 && "
                  "echo open; exec 3<&-; echo vtpm-0 >$d/bind")
    check("No such file" in out and out.split()[-1] == "open", out)
    lab.wait("the log", lambda: lab.guest("web1", f"cmp {LOG} /tmp/a")[0] == 0)
    # xenbus holds a module whose driver has a device
    out = lab.ask("web1", "echo vtpm-0 >$(dirname /sys/bus/xen/drivers/*/vtpm-0)/unbind; "
                  f"rmmod xen_tpmfront && ls {LOG} 2>&1; insmod /xen-tpmfront.ko")
    check("No such file" in out, out)
    lab.wait("the log", lambda: lab.guest("web1", f"cmp {LOG} /tmp/a")[0] == 0)
    check(replayed(lab, "web1") == before, "another log")


def launched(lab, name):
    """A guest that is measured, from an earlier case or now."""
    lab.vtpms(name)
    if lab.running(name) and lab.guest(name, f"[ -s {LOG} ]")[0] == 0:
        return
    fresh(lab, name)
    launch(lab, name)


def reboot_again(lab):
    """xl reboot measures the same again, also when the kernel's file was replaced"""
    launched(lab, "web1")
    before = replayed(lab, "web1")
    lab.ask("web1", "tpm2_pcrextend 12:sha256=" + "11" * 32)
    lab.host.must("cp /root/launch/vmlinux /root/launch/kept; "
                  "head -c 1000000 /dev/zero >/root/launch/evil; "
                  "mv /root/launch/evil /root/launch/vmlinux")
    try:
        rc, out = lab.host.run("guest reboot --timeout 120 web1", 150)
        check(rc == 0, f"the reboot: {rc} {out[-1000:]}")
        check(replayed(lab, "web1") == before, "after the reboot there are other PCRs")
    finally:
        lab.host.must("mv /root/launch/kept /root/launch/vmlinux")


def restored(lab):
    """saved and restored by launch, the guest has its PCRs and its log, and reboots as measured"""
    launched(lab, "web1")
    lab.ask("web1", "tpm2_pcrextend 16:sha256=" + "11" * 32)
    before = replayed(lab, "web1")
    lab.host.must("rm -f /root/l.save; xl save web1 /root/l.save", 120)
    path = CONFIG.format(name="web1")
    lab.host.must(f"vtpmctl launch {path} --restore /root/l.save", 120)
    lab.host.must("rm -f /root/l.save; guest wait --timeout 60 web1", 80)
    check(replayed(lab, "web1") == before, "after the restore there are other PCRs")
    out = lab.ask("web1", "tpm2_pcrread sha256:16")
    check(not out.split()[-1].endswith("0" * 64), f"the guest's own PCR is lost: {out}")
    lab.guest_reboot("web1")
    check(replayed(lab, "web1") == before, "after a reboot there are other PCRs")
    out = lab.ask("web1", "tpm2_pcrread sha256:16")
    check(out.split()[-1].endswith("0" * 64), f"a reboot keeps the guest's own PCR: {out}")


def other_cmdline(lab):
    """another command line changes PCR 12, and no other one"""
    launched(lab, "web1")
    before = replayed(lab, "web1")
    lab.guest_down("web1")
    launch(lab, "web1", "init=/init")
    after = replayed(lab, "web1")
    changed = {key[1] for key in before if before[key] != after[key]}
    check(changed == {12}, f"PCRs {changed} changed")
    check(all(before[b, 12] != after[b, 12] for b in BANKS), "not in all banks")


def refused(lab, name, when):
    path = CONFIG.format(name=name)
    mark = int(lab.host.must(f"wc -c <{VTPMD_LOG}"))
    rc, out = lab.host.run(f"timeout 60 xl create {path}", 80)
    said = lab.host.must(f"tail -c +{mark + 1} {VTPMD_LOG}")
    check(rc != 0, f"{when}: xl create was not refused: {out}")
    check("was not measured: start it with `vtpmctl launch`" in said, f"{when}: {said}")
    lab.wait("the refused guest to go", lambda: not lab.running(name))


def others_refused(lab):
    """xl create of a guest that was not measured is refused, until the vTPM is stopped"""
    launched(lab, "web1")
    held = replayed(lab, "web1")
    lab.guest_down("web1")
    refused(lab, "web1", "after the guest's end")
    launch(lab, "web1")
    check({k: v for k, v in replayed(lab, "web1").items() if k[1] != 12} ==
          {k: v for k, v in held.items() if k[1] != 12}, "other PCRs")
    lab.host.must("xl destroy web1")
    lab.wait("web1 to go", lambda: not lab.running("web1"))
    refused(lab, "web1", "after a destroy")
    # a stub domain that took the place of one that died knows it, too
    old = lab.show("web1")["domid"]
    lab.host.must("xl destroy vtpm-web1", 60)
    lab.wait("another stub domain", lambda: lab.state("web1") == "running" and
             lab.show("web1")["domid"] != old, 60)
    refused(lab, "web1", "by another stub domain")
    fresh(lab, "web1")
    lab.guest_up("web1")
    out = lab.ask("web1", f"ls {LOG} 2>&1; tpm2_pcrread sha256:4,12")
    check("No such file" in out, f"a guest that was not measured has a log: {out}")
    check(set(values(out).values()) == {"0" * 64}, f"its PCRs: {out}")
    lab.guest_down("web1")


def always_measured(lab):
    """a vTPM of `create --measured` serves no guest that was not measured, from its first on"""
    lab.vtpms("web1")
    lab.guest_down("web1")
    lab.create("strict", "--measured")
    try:
        write_config(lab, "web1", vtpm="strict")
        for when in ("at first", "after its stop and start"):
            refused(lab, "web1", when)
            launch(lab, "web1", vtpm="strict")
            replayed(lab, "web1")
            lab.guest_down("web1")
            lab.stop("strict")
            lab.start("strict")
    finally:
        lab.guest_down("web1")
        lab.vtpmctl("delete --yes --force strict")


CASES = [pv_measured, reload_keeps, reboot_again, restored, other_cmdline, others_refused,
         always_measured, pvh_measured]

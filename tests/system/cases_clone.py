# SPDX-License-Identifier: Apache-2.0
"""A vTPM is cloned while its guest uses it: into a TPM of its own, and into a second
one with the same identity.  Its backup is tried, and takes its place."""
import os
import subprocess

from lab import check

NAME, INDEX = "web1", "0x1500030"
WRITE = (f"tpm2_nvread -Q -C o {INDEX} >/dev/null 2>&1 || "
         f"tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' {INDEX}; "
         f"printf %s {{text}} | tpm2_nvwrite -Q -C o -i- {INDEX}")
READ = f"tpm2_nvread -C o -s 8 {INDEX} 2>/dev/null"
EK = "cd /tmp && tpm2_createek -Q -c ek -G ecc -u ek.pub && sha256sum <ek.pub && tpm2_flushcontext -t"


def clone(lab, to, identity):
    rc, out = lab.vtpmctl(f"clone {NAME} {to} --identity {identity} 2>/tmp/clone.err")
    check(rc == 0, f"clone: status {rc}: {out}{lab.tail('/tmp/clone.err')}")
    lab.uuid[to] = out.split()[-1]


def seen_by_a_guest(lab, name):
    """(NV, EK) as a guest of its own finds them."""
    lab.guest_up(name)
    rc, out = lab.guest(name, READ)
    ek = lab.ask(name, EK)
    lab.guest_down(name)
    lab.host.must(f"vtpmctl delete --yes --force {name}", 60)
    return (out.strip() if rc == 0 else None), ek


def clones(lab):
    """a vTPM in use is cloned: a copy has its NV and EK in a guest, a new one has neither"""
    lab.guests(NAME)
    rc, out = lab.vtpmctl(f"clone {NAME} clone1")
    check(rc == 2 and "--identity is missing" in out, f"without --identity: {rc} {out}")
    lab.ask(NAME, WRITE.format(text="original"))
    ek = lab.ask(NAME, EK)
    clone(lab, "clone1", "copy")
    lab.ask(NAME, WRITE.format(text="went_on!"))
    check(lab.show("clone1")["copy_of"] == lab.uuid[NAME], "show does not tell what it is")
    found = seen_by_a_guest(lab, "clone1")
    check(found == ("original", ek), f"the copy has {found}, not the NV and {ek}")
    clone(lab, "clone2", "new")
    nv, other = seen_by_a_guest(lab, "clone2")
    check(nv is None and other != ek, f"the new one has NV {nv} and EK {other}")
    check(lab.ask(NAME, READ).strip() == "went_on!", "the original has not what was written")


KVM = "kvm1"
IN_SWTPM = """export TPM2TOOLS_TCTI='cmd:socat -t 60 - UNIX-CONNECT:sock'
tpm2_createprimary -Q -C o -c p.ctx
printf 'sealed under KVM' | tpm2_create -Q -C p.ctx -i- -u s.pub -r s.priv
tpm2_flushcontext -t
tpm2_load -Q -C p.ctx -u s.pub -r s.priv -c s.ctx
tpm2_evictcontrol -Q -C o -c s.ctx 0x81000001
tpm2_flushcontext -t
tpm2_createek -Q -c ek -G ecc -u ek.pub
tpm2_flushcontext -t
tpm2_shutdown -c
sha256sum <ek.pub
"""


def made_by_swtpm(folder):
    """What the endorsement key of a TPM is, of which swtpm's state is in the folder, encrypted."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/pwd", "w") as f:
        f.write("a pass phrase\n")
    ours = {"cwd": folder, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", "dir=.", "--server", "type=unixio,path=sock",
             "--flags", "not-need-init,startup-clear", "--key", "pwdfile=pwd,mode=aes-256-cbc",
             "--ctrl", "type=unixio,path=ctrl"], **ours) as swtpm:
        try:
            subprocess.run(["sh", "-c", "for i in $(seq 100); do [ -S ctrl ] && exit; sleep 0.1; done; "
                            "exit 1"], check=True, **ours)
            p = subprocess.run(["sh", "-ec", IN_SWTPM], stdout=subprocess.PIPE, text=True,
                               check=True, **ours)
        finally:
            subprocess.run(["swtpm_ioctl", "-s", "--unix", "ctrl"], check=False, **ours)
            swtpm.wait(10)
    return p.stdout


def imported(lab):
    """the TPM of a guest of KVM is imported from swtpm's state: a guest of Xen unseals with it"""
    lab.up()
    lab.host_init()
    folder = lab.host.path("swtpm-state")
    ek = made_by_swtpm(folder)
    for name in ("tpm2-00.permall", "pwd"):
        lab.host.put(f"{folder}/{name}", f"/root/kvm/{name}")
    words = f"import {KVM} --swtpm /root/kvm/tpm2-00.permall 2>/tmp/import.err"
    rc, _ = lab.vtpmctl(words)
    check(rc == 4 and "give the --key" in lab.tail("/tmp/import.err"), f"without a key: status {rc}")
    check(not lab.running(f"vtpm-{KVM}"), "its stub domain is left")
    rc, out = lab.vtpmctl(f"{words} --key pwdfile=/root/kvm/pwd,mode=aes-256-cbc")
    check(rc == 0, f"import: status {rc}: {lab.tail('/tmp/import.err')}")
    lab.uuid[KVM] = out.strip()
    for _ in range(2):      # as it was imported, and as it was stored
        lab.guest_up(KVM)
        out = lab.ask(KVM, "tpm2_unseal -c 0x81000001")
        check(out == "sealed under KVM", f"the guest unseals {out}")
        found = lab.ask(KVM, EK)
        check(found == ek, f"the EK is {found}, and was {ek}")
        lab.guest_down(KVM)
        lab.stop(KVM)
        lab.start(KVM)
    lab.host.must(f"vtpmctl delete --yes --force {KVM}; rm -r /root/kvm", 60)


TRIAL, FILE = "vtpm-_trial", "/root/clone.backup"


def damaged(lab):
    """FILE.bad: the backup with three other bytes in its state."""
    lab.host.must(f"sed 's/\\(\"permall\": *\".\\{{600\\}}\\)..../\\1AAAA/' {FILE} >{FILE}.bad; "
                  f"! cmp -s {FILE} {FILE}.bad")


def tried(lab):
    """a backup is opened by a stub domain of its own, which ends, also when vtpmd is killed"""
    lab.guests(NAME)
    lab.ask(NAME, WRITE.format(text="original"))
    lab.host.must(f"rm -f {FILE}; vtpmctl backup {NAME} {FILE}")
    stub = lab.show(NAME)["domid"]
    lab.host.must(f"vtpmctl backup --verify {FILE}", 120)
    check(not lab.running(TRIAL), "the stub domain of the trial is left")
    damaged(lab)
    rc, out = lab.vtpmctl(f"backup --verify {FILE}.bad")
    check(rc and "damaged" in out, f"a damaged one: status {rc}: {out}")
    lab.host.must(f"(vtpmctl backup --verify {FILE} >/dev/null 2>&1 &) ; for i in $(seq 100); do "
                  f"xl domid {TRIAL} 2>/dev/null && exit 0; sleep 0.05; done; exit 1", 60)
    lab.stop_vtpmd("KILL")
    lab.start_vtpmd()
    lab.wait("the end of the trial's stub domain", lambda: not lab.running(TRIAL))
    check(lab.show(NAME)["domid"] == stub, "the stub domain of the guest is another one")
    lab.ask(NAME, "tpm2_getrandom --hex 8")


def replaced(lab):
    """restore --replace: a backup that does not open changes nothing, one that does is taken"""
    lab.guests(NAME)
    lab.ask(NAME, WRITE.format(text="original"))
    lab.host.must(f"rm -f {FILE}; vtpmctl backup {NAME} {FILE}")
    damaged(lab)
    lab.ask(NAME, WRITE.format(text="went_on!"))
    rc, out = lab.vtpmctl(f"restore --replace {FILE}")
    check(rc, f"under its guest: {out}")
    lab.guest_down(NAME)
    lab.stop(NAME)
    rc, out = lab.vtpmctl(f"restore --replace {FILE}.bad")
    check(rc, f"a damaged one: {out}")
    lab.guests(NAME)
    check(lab.ask(NAME, READ).strip() == "went_on!", "a damaged backup took something away")
    lab.guest_down(NAME)
    lab.stop(NAME)
    lab.host.must(f"vtpmctl restore --replace {FILE}", 120)
    lab.guests(NAME)
    check(lab.ask(NAME, READ).strip() == "original", "it has not what the backup has")


def renamed(lab):
    """a vTPM that is stopped gets another name, and its guest's line that of the new one"""
    lab.guests(NAME)
    lab.ask(NAME, WRITE.format(text="original"))
    rc, out = lab.vtpmctl(f"rename {NAME} clone3")
    check(rc, f"under its guest: {out}")
    lab.guest_down(NAME)
    lab.stop(NAME)
    lab.host.must(f"vtpmctl rename {NAME} clone3")
    try:
        lab.uuid["clone3"] = lab.uuid[NAME]
        lab.vtpms("clone3")
        rc, out = lab.host.run(f"xl create /etc/xen/{NAME}.cfg", 60)
        check(rc and not lab.running(NAME), f"with the line of before: {out}")
        lab.guest_up("clone3")
        check(lab.ask("clone3", READ).strip() == "original", "its NV is another")
        lab.guest_down("clone3")
        lab.stop("clone3")
    finally:
        lab.host.run(f"vtpmctl rename clone3 {NAME}")
        del lab.uuid["clone3"]
    lab.guests(NAME)
    check(lab.ask(NAME, READ).strip() == "original", "its NV is another")


CASES = [clones, imported, tried, replaced, renamed]

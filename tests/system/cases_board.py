# SPDX-License-Identifier: Apache-2.0
"""One HVM guest, launched, that our SeaBIOS boots, with a PV and a PVH guest beside it: booted
once, as that takes minutes here; each case goes on with it."""
import base64
import json
import os
import struct
import subprocess
import time

import cases_guests
from cases_attest import VERIFY, installed, keep, verdict, workdir
from cases_hvm import replay
from lab import check

NAME = "board1"
ZEROS = "0x" + "00" * 32
LOG = "/sys/kernel/security/tpm[01]/binary_bios_measurements"
CRB = "/sys/bus/acpi/drivers/tpm_crb"
NV = "0x1500016"
TABLE = "/root/own.aml"     # of acpi_firmware=, by the guest's owner


def acpi_table(signature):
    """A table of a signature that nothing acts on, as its owner would add one."""
    head = struct.pack("<4sIBB6s8sI4sI", signature, 40, 1, 0, b"OWNER ", b"OWNTABLE", 1, b"OWN ", 1)
    table = bytearray(head + b"own!")
    table[9] = -sum(table) & 0xff
    return bytes(table)


def up(lab):
    """The guest, which an earlier case booted, or does now."""
    lab.vtpms(NAME)
    if not lab.running(NAME):
        lab.host.put(acpi_table(b"OWNT"), TABLE)
        lab.hvm_up(NAME, vtpm_line=f"backend=vtpm-{NAME}",
                   bios=lab.our_bios(), extra=f'acpi_firmware="{TABLE}"', launch=True)
        lab.ask(NAME, f"tpm2_nvdefine -Q -s 8 {NV} 2>/dev/null; printf 12345678 | "
                      f"tpm2_nvwrite -Q -i - {NV}")


def pcrs_of(lab, guest=NAME, which="0,1,2,3,4,5,6,7"):
    out = lab.ask(guest, f"tpm2_pcrread sha256:{which}")
    return {int(line.split(":")[0]): bytes.fromhex(line.split("0x")[1])
            for line in out.splitlines() if "0x" in line}


def log_of(lab, guest=NAME):
    return base64.b64decode(lab.ask(
        guest, f"mount -t securityfs s /sys/kernel/security 2>/dev/null; base64 {LOG}"))


def measured(lab):
    """an HVM guest's own drivers find its vTPM; the BIOS's log replays to PCRs 0 to 7"""
    up(lab)
    out = lab.ask(NAME, "cat /sys/class/tpm/tpm0/tpm_version_major; ls /sys/class/tpm")
    check(out.split() == ["2", "tpm0"], out)
    pcrs, count = replay(log_of(lab))
    read = pcrs_of(lab)
    check(count > 5 and len(read) == 8, f"{count} events, {read}")
    check(all(pcrs.get(n, bytes(32)) == value for n, value in read.items()),
          f"the log gives {pcrs}, the TPM has {read}")
    check(all(any(read[n]) for n in (0, 4, 7)), f"{read}")


def tools(lab):
    """tpm2-tools seal to PCRs that the BIOS extended, and unseal, in an HVM guest"""
    up(lab)
    out = lab.ask(NAME, "cd /tmp && tpm2_createprimary -Q -C o -G ecc -c p && "
                        "tpm2_createpolicy -Q --policy-pcr -l sha256:0,4,7 -L policy && "
                        "printf secret | tpm2_create -Q -C p -L policy -i- -u pub -r priv && "
                        "tpm2_load -Q -C p -u pub -r priv -c s && "
                        "tpm2_unseal -c s -p pcr:sha256:0,4,7; tpm2_flushcontext -t", 200)
    check("secret" in out, out)


def own_table(lab):
    """the table of a user's own acpi_firmware= is in an HVM guest, beside its TPM2"""
    up(lab)
    out = lab.ask(NAME, "cd /sys/firmware/acpi/tables && ls && tail -c 4 OWNT")
    check("TPM2" in out.split() and out.endswith("own!"), out)


def evidence(lab, folder, name, guest=NAME):
    """From inside of the guest, with the log of its firmware; the nonce."""
    nonce = os.urandom(32).hex()
    log_of(lab, guest)     # securityfs is mounted
    out = lab.ask(guest, f"/vtpm-attest --nonce {nonce}", 120).strip()
    keep(folder, name, out.encode())
    return nonce


def base_policy(lab, guest=NAME):
    """What a verifier knows before the guest's first boot: host, programs, vTPM."""
    host = json.loads(lab.host.must("vtpmctl host show --json"))["attest"]
    return {"version": 1, "hosts": [host], "images": [installed(lab)],
            "eks": [ek["sha256"] for ek in lab.show(guest)["ek"]]}


def write_policy(folder, policy):
    with open(f"{folder}/policy.json", "w") as f:
        json.dump(policy, f, indent=1)


def made_policy(folder, nonce, name):
    """What `vtpm-verify --make-policy` makes of good evidence and the policy that is there."""
    done = subprocess.run([VERIFY, "--make-policy", "--policy", f"{folder}/policy.json", "--nonce",
                           nonce, f"{folder}/{name}"], stdout=subprocess.PIPE)
    check(done.returncode == 0, f"vtpm-verify --make-policy: {done.stdout.decode()}")
    return json.loads(done.stdout)


def attested(lab):
    """evidence from inside of a launched HVM guest: accepted outside with its firmware's log and hash"""
    up(lab)
    folder = workdir(lab)
    write_policy(folder, base_policy(lab))
    nonce = evidence(lab, folder, "board.json")
    policy = made_policy(folder, nonce, "board.json")
    given = [lab.host.must(f"sha256sum {path}").split()[0]
             for path in (lab.our_bios(), TABLE, "/usr/lib/xen-*/boot/hvmloader")]
    images = policy["firmware"]["image"]
    check(sorted(images) == sorted(f"sha256:{h}" for h in given), f"{images}, not {given}")
    check(all(policy["events"].get(pcr) for pcr in "04"), f"{sorted(policy['events'])}")
    write_policy(folder, policy)
    nonce = evidence(lab, folder, "board.json")
    rc, words, text = verdict(folder, "board.json", nonce)
    check(rc == 0, f"refused: {words}: {text}")
    # what a verifier says who knows another BIOS
    policy["firmware"]["image"].remove(f"sha256:{given[0]}")
    write_policy(folder, policy)
    rc, words, text = verdict(folder, "board.json", nonce)
    lab.log(text)
    check(rc == 1 and words == {"firmware"} and '"bios"' in text and given[0] in text,
          f"with another BIOS: {words}: {text}")
    policy["firmware"]["image"].append(f"sha256:{given[0]}")
    write_policy(folder, policy)


def still_attested(lab):
    """Evidence of the guest as it is now, for the policy that attested() made."""
    folder = workdir(lab)
    rc, words, text = verdict(folder, "board.json", evidence(lab, folder, "board.json"))
    check(rc == 0, f"refused: {words}: {text}")


def others_refused(lab):
    """`vtpmctl launch` of an HVM guest with a device model of its own is refused, and says what to do"""
    up(lab)
    lab.host.must(f"cp /etc/xen/{NAME}.cfg /tmp/other.cfg && "
                  "echo 'device_model_override=\"/bin/true\"' >>/tmp/other.cfg")
    rc, out = lab.vtpmctl("launch --dry-run /tmp/other.cfg")
    lab.log(out.strip())
    check(rc != 0 and "device_model_override" in out and "--unmeasured" in out,
          f"status {rc}: {out}")


def killed(lab):
    """no command of an HVM guest fails while its vtpm-crb is killed, or ended, four times"""
    up(lab)
    lab.ask(NAME, "rm -f /tmp/end /tmp/count; (n=0; bad=0; while [ ! -e /tmp/end ]; do "
                  "n=$((n + 1)); tpm2_getrandom --hex 8 >/dev/null || bad=$((bad + 1)); done; "
                  "echo $n commands, failed: $bad >/tmp/count) >/dev/null 2>&1 &")
    for sig in ("KILL", "TERM", "KILL", "TERM"):
        time.sleep(3)
        lab.wait("a vtpm-crb", lambda: lab.host.run(f"pkill -{sig} -x vtpm-crb")[0] == 0)
    out = lab.ask(NAME, "touch /tmp/end; while [ ! -s /tmp/count ]; do sleep 1; done; "
                        "cat /tmp/count", 120)
    lab.log(out.strip())
    check(out.endswith("failed: 0\n") and int(out.split()[0]) > 3, out)
    lab.wait("the next vtpm-crb", lambda: lab.host.run("pgrep -x vtpm-crb")[0] == 0)


def saved(lab):
    """an HVM guest that is saved and restored finds its TPM as it was: PCRs, keys, sessions, NV"""
    up(lab)
    lab.ask(NAME, cases_guests.EXTEND)
    lab.ask(NAME, cases_guests.VOLATILE)
    pcrs, pcr16 = pcrs_of(lab), lab.ask(NAME, cases_guests.PCR16)
    log = log_of(lab)
    save = f"/var/tmp/{NAME}.save"
    lab.host.must(f"rm -f {save}; xl save {NAME} {save}", 200)
    lab.wait("vtpm-crb's end", lambda: lab.host.run("pgrep -x vtpm-crb")[0] != 0)
    lab.host.must(f"vtpmctl launch /etc/xen/{NAME}.cfg --restore {save} && rm {save}", 200)
    lab.host.must(f"guest wait --timeout 100 {NAME}", 120)
    check(pcrs_of(lab) == pcrs and lab.ask(NAME, cases_guests.PCR16) == pcr16,
          "PCRs changed over save and restore")
    check(log_of(lab) == log, "the log changed over save and restore")
    still_attested(lab)
    out = lab.ask(NAME, cases_guests.GOES_ON)
    check(out.split()[-1] == "32", f"sessions and objects: {out!r}")
    check("12345678" in lab.ask(NAME, f"tpm2_nvread -s 8 {NV}"), "its NV index is lost")


def busy_saved(lab):
    """a command that executes as an HVM guest is saved has its response when that is restored"""
    # xl gives the guest another UUID each time
    up(lab)
    check("uuid=" not in lab.host.must(f"cat /etc/xen/{NAME}.cfg"), "it has a UUID")
    state = f"/run/xen-vtpm/crb-{lab.uuid[NAME]}"
    # Linux waits for its driver's command: this is the driver of another system
    lab.ask(NAME, f"echo MSFT0101:00 >{CRB}/unbind; rm -f /tmp/busy; "
                  "(/crb-fuzz busy 6 >/tmp/busy 2>&1; echo over >>/tmp/busy) >/dev/null 2>&1 &")
    # struct saved: CRB_EXECUTING
    executes = f"[ $(($(od -An -tu1 -j4104 -N1 {state}) & 1)) = 1 ]"
    lab.wait("a command", lambda: lab.host.run(executes)[0] == 0)
    save = f"/var/tmp/{NAME}.save"
    lab.host.must(f"rm -f {save}; xl save {NAME} {save}", 200)
    lab.wait("vtpm-crb's end", lambda: lab.host.run("pgrep -x vtpm-crb")[0] != 0, 60)
    lab.log("at its end a command executes" if lab.host.run(executes)[0] == 0 else "it has ended")
    check(lab.host.run(executes)[0] != 0, "vtpm-crb did not wait for the response")
    lab.host.must(f"vtpmctl launch /etc/xen/{NAME}.cfg --restore {save} && rm {save}", 200)
    lab.host.must(f"guest wait --timeout 100 {NAME}", 120)
    out = lab.ask(NAME, "while ! grep -q over /tmp/busy; do sleep 1; done; cat /tmp/busy", 200)
    lab.log(out.split())
    check(out.split() == ["0"] * 6 + ["granted", "over"], out)
    bind_again(lab)


def unresumed(lab):
    """an HVM guest that xl restores although its TPM would begin anew is refused; nothing is lost"""
    up(lab)
    before = lab.ask(NAME, f"{cases_guests.PCR16}; tpm2_readclock")
    save = f"/var/tmp/{NAME}.save"
    lab.host.must(f"rm -f {save}; xl save {NAME} {save}", 200)
    rc, out = lab.host.run(f"xl restore {save}", 200)
    check(rc != 0, f"it is restored: {out}")
    out = lab.show(NAME)["refused_guest"] or ""
    check("vtpmctl resume" in out, out)
    lab.host.must(f"vtpmctl launch /etc/xen/{NAME}.cfg --restore {save} && rm {save}", 200)
    lab.host.must(f"guest wait --timeout 100 {NAME}", 120)
    after = lab.ask(NAME, f"{cases_guests.PCR16}; tpm2_readclock")
    check(after.split()[0] == before.split()[0] and counts_of(after) == counts_of(before),
          f"before: {before}, after: {after}")


def lost(lab):
    """an HVM guest that is restored where its TPM has begun anew has none, until its next start"""
    up(lab)
    save = f"/var/tmp/{NAME}.save"
    lab.host.must(f"rm -f {save}; xl save {NAME} {save}; vtpmctl stop {NAME}; "
                  f"vtpmctl start {NAME}; xl restore {save} && rm {save}", 300)
    lab.host.must(f"guest wait --timeout 100 {NAME}", 120)
    # Linux reads tpmSts, and makes an I/O error of it
    rc, out = lab.guest(NAME, "tpm2_getrandom --hex 8 || tpm2_startup -c")
    check(rc != 0, f"its TPM answers: {out}")
    out = lab.show(NAME)["refused_guest"] or ""
    check("what its TPM held is lost" in out, out)
    # xl has the launch's own names of files, so that a reboot would end the guest
    lab.host.must(f"xl destroy {NAME}; vtpmctl launch /etc/xen/{NAME}.cfg", 200)
    lab.host.must(f"guest wait --timeout 500 {NAME}", 520)
    check("12345678" in lab.ask(NAME, f"tpm2_nvread -s 8 {NV}"), "its NV index is lost")


def counts_of(clock):
    """(resetCount, restartCount) that tpm2_readclock shows."""
    return tuple(int(line.split()[1]) for line in clock.splitlines()
                 if "reset_count" in line or "restart_count" in line)


def bind_again(lab):
    """Linux's driver has the TPM again; IMA still has tpm0, so that it comes as tpm1."""
    return lab.ask(NAME, f"echo MSFT0101:00 >{CRB}/bind; cd /dev; [ -e tpmrm0 ] || "
                         "{ n=$(ls -d tpmrm* | tail -n 1); ln -s $n tpmrm0; "
                         "ln -s tpm${n#tpmrm} tpm0; }; "
                         "tpm2_getrandom --hex 8 && tpm2_selftest -f && "
                         f"tpm2_nvread -s 8 {NV}", 120)


def hostile(lab):
    """a hostile driver at all registers of an HVM guest's TPM: others go on, and its own driver after it"""
    up(lab)
    lab.guests("web1", "web2")
    kept = {name: lab.ask(name, cases_guests.PCR16) for name in ("web1", "web2")}
    crb = lab.host.must("pgrep -x vtpm-crb")
    # Linux lets no program have what a driver has
    lab.ask(NAME, f"echo MSFT0101:00 >{CRB}/unbind; "
                  "(/crb-fuzz 10 $(date +%s) >/tmp/fuzz 2>&1; echo $? >/tmp/fuzz.rc) "
                  ">/dev/null 2>&1 & ")
    for name, value in kept.items():
        check(lab.ask(name, "tpm2_getrandom --hex 8 >/dev/null && " + cases_guests.PCR16) == value,
              f"{name} beside a hostile guest")
    out = lab.ask(NAME, "cd /tmp; while [ ! -e fuzz.rc ]; do sleep 1; done; cat fuzz fuzz.rc; "
                        "rm fuzz.rc", 120)
    lab.log(out.strip().splitlines()[0])
    check("accesses" in out and out.split()[-1] == "0", out)
    check(lab.host.must("pgrep -x vtpm-crb") == crb, "vtpm-crb did not survive it")
    out = bind_again(lab)
    check("12345678" in out, out)


def rebooted(lab):
    """a reboot of a measured HVM guest from inside measures the same, clears other PCRs, keeps NV"""
    up(lab)
    before = pcrs_of(lab)
    lab.ask(NAME, cases_guests.EXTEND)
    lab.host.must(f"guest reboot --timeout 500 {NAME}", 600)
    out = lab.ask(NAME, f"tpm2_pcrread sha256:16; tpm2_nvread -s 8 {NV}")
    check(f"16: {ZEROS}" in out and "12345678" in out, out)
    after = pcrs_of(lab)
    # PCR 1 has the SMBIOS tables, into which hvmloader puts the processor's frequency as
    # Xen measures it (docs/hvm.md)
    other = {n: (before[n].hex(), after[n].hex()) for n in before if before[n] != after[n]}
    lab.log(f"PCRs that differ after a reboot: {sorted(other)}")
    check(set(other) <= {1}, f"the same BIOS and boot loader have other PCRs: {other}")
    still_attested(lab)


def attach_refused(lab):
    """`xl vtpm-attach` to an HVM guest that runs is refused; `vtpmctl show` says why"""
    lab.vtpms("hot1")
    lab.hvm_up("hot1", wait=False)
    try:
        time.sleep(3)
        rc, out = lab.host.run("xl vtpm-attach hot1 backend=vtpm-hot1 uuid=" + lab.uuid["hot1"], 60)
        check(rc != 0, f"it is attached: {out}")
        out = lab.show("hot1").get("refused_guest") or lab.host.must("vtpmctl show hot1")
        check("part of the board" in out and "start it again" in out, out)
    finally:
        lab.host.must("xl destroy hot1", 60)


def detached(lab):
    """libxl detaches the TPM of an HVM guest, and destroys the guest, without complaints"""
    up(lab)
    for command in (f"vtpm-detach {NAME} 0", f"destroy {NAME}"):
        rc, out = lab.host.run(f"xl {command}", 60)
        check(rc == 0 and "error" not in out.lower(), f"xl {command}: status {rc}: {out}")
    lab.wait("vtpm-crb's end", lambda: lab.host.run("pgrep -x vtpm-crb")[0] != 0)
    lab.wait("the domain's end", lambda: "(null)" not in lab.host.must("xl list"))


CASES = [measured, tools, own_table, attested, others_refused, killed, saved, unresumed, hostile,
         busy_saved, rebooted, lost, attach_refused, detached]

# SPDX-License-Identifier: Apache-2.0
"""An HVM guest whose UEFI measures: OvmfXen with a TPM, in its build for this lab
(firmware/ovmf), starts GRUB, and GRUB the EFI stub of Debian's kernel.  With Debian's keys
of Secure Boot in its image it starts what Debian has signed, and nothing else."""
import json
import subprocess

import cases_guests
from cases_attest import verdict, workdir
from cases_board import base_policy, evidence, log_of, made_policy, pcrs_of, write_policy
from cases_hvm import replay
from hvmdisk import make_efi_disk, make_signed_disk
from lab import EXTRA, check
from vhost import TOP, images, made_here

NAME = "uefi1"
FIRMWARE = "/usr/lib/xen-vtpm/xen-vtpm-ovmf-lab.fd"
ENROLLED = "/usr/lib/xen-vtpm/xen-vtpm-ovmf-lab-enrolled.fd"
DISK, CHANGED = "/boot/guest/efi.img", "/boot/guest/efi-changed.img"
SIGNED = "/boot/guest/signed.img"
SERIAL = f"/var/log/xen/console/guest-{NAME}-serial.log"
HALTED = "what boots would not be measured. Halted."     # firmware/ovmf/change
# Where nothing looks: the text that `file` prints of a kernel.
PLACE = b"debian.org) #1 SMP"


def firmware(lab):
    """The builds for this lab, in dom0."""
    made_here("make", "-s", "firmware-ovmf-lab")
    for path in (FIRMWARE, ENROLLED):
        lab.host.put(f"{TOP}/build/firmware/{path.split('/')[-1]}", path)


def prepare(lab):
    """Firmware and disks are in dom0; one of the disks has a kernel with another byte."""
    lab.vtpms(NAME)
    if lab.host.run(f"[ -e {CHANGED} ]")[0] == 0:
        return
    firmware(lab)
    cache, image = images(), lab.host.path("efi.img")
    initrds = [f"{cache}/guest.cpio", lab.host.path(EXTRA)]
    make_efi_disk(image, f"{cache}/vmlinuz", initrds)
    lab.host.put(image, DISK)
    make_signed_disk(image, f"{cache}/vmlinuz", initrds, f"{TOP}/build/signed")
    lab.host.put(image, SIGNED)
    with open(f"{cache}/vmlinuz", "rb") as f:
        kernel = f.read()
    check(kernel.count(PLACE) == 1, "the kernel's version is not in it once")
    changed = lab.host.path("vmlinuz-changed")
    with open(changed, "wb") as f:
        f.write(kernel.replace(PLACE, PLACE.replace(b"#1", b"#2")))
    make_efi_disk(image, changed, initrds)
    lab.host.put(image, CHANGED)


def boot(lab, disk=DISK, firmware=FIRMWARE, wait=True):
    prepare(lab)
    if lab.running(NAME):
        lab.host.must(f"xl destroy {NAME}", 60)
        lab.wait("the guest's end", lambda: not lab.running(NAME))
        lab.stop(NAME)
        lab.start(NAME)
    lab.hvm_up(NAME, vtpm_line=f"backend=vtpm-{NAME},uuid={lab.uuid[NAME]}", uefi=firmware,
               disk=disk, launch=True, wait=wait)


def up(lab):
    prepare(lab)
    if not lab.running(NAME):
        boot(lab)


def uefi_measured(lab):
    """a UEFI guest's firmware measures: the EFI stub's log replays to PCRs 0 to 7 and 9"""
    up(lab)
    out = lab.ask(NAME, "ls /sys/firmware; cat /sys/class/tpm/tpm0/tpm_version_major")
    check("efi" in out.split() and out.split()[-1] == "2", out)
    pcrs, count = replay(log_of(lab, NAME))
    read = pcrs_of(lab, NAME, "0,1,2,3,4,5,6,7,8,9")
    lab.log(f"{count} events, PCRs {sorted(pcrs)}")
    check(count > 20 and len(read) == 10, f"{count} events, {read}")
    check(all(pcrs.get(n, bytes(32)) == value for n, value in read.items()),
          f"the log gives {pcrs}, the TPM has {read}")
    check(all(any(read[n]) for n in (0, 4, 7, 8, 9)), f"{read}")


def uefi_attested(lab):
    """evidence of a launched UEFI guest: accepted outside by a policy of a good boot"""
    up(lab)
    folder = workdir(lab)
    write_policy(folder, base_policy(lab, NAME))
    nonce = evidence(lab, folder, "uefi.json", NAME)
    write_policy(folder, made_policy(folder, nonce, "uefi.json"))
    nonce = evidence(lab, folder, "uefi.json", NAME)
    rc, words, text = verdict(folder, "uefi.json", nonce)
    check(rc == 0, f"refused: {words}: {text}")
    lab.uefi_pcrs = pcrs_of(lab, NAME)
    with_secure_boot = made_policy(folder, nonce, "uefi.json")
    check(with_secure_boot["firmware"]["secure_boot"] is False, f"{with_secure_boot['firmware']}")
    with_secure_boot["firmware"]["secure_boot"] = True
    rc, words, text = judged(folder, with_secure_boot, "uefi.json", nonce)
    check(rc == 1 and words == {"secure-boot"}, f"{rc}: {words}: {text}")


def judged(folder, policy, name, nonce):
    """The verdict by another policy than the one that is there, and stays."""
    with open(f"{folder}/policy.json") as f:
        before = json.load(f)
    write_policy(folder, policy)
    said = verdict(folder, name, nonce)
    write_policy(folder, before)
    return said


def kernel_byte(lab):
    """with one byte of its kernel changed a UEFI guest is refused, by the event's name"""
    check(hasattr(lab, "uefi_pcrs"), "the case before this one has no policy")
    boot(lab, CHANGED)
    folder = workdir(lab)
    nonce = evidence(lab, folder, "uefi.json", NAME)
    rc, words, text = verdict(folder, "uefi.json", nonce)
    lab.log(text)
    check(rc == 1 and words == {"event"} and "PCR 4" in text, f"{rc}: {words}: {text}")
    now = pcrs_of(lab, NAME)
    differ = {n for n in now if now[n] != lab.uefi_pcrs[n]}
    check(differ - {1} == {4}, f"PCRs that differ: {differ}")   # 1: docs/hvm.md


def uefi_rebooted(lab):
    """a UEFI guest that reboots from inside: PCRs start again, NV stays"""
    up(lab)
    lab.ask(NAME, "tpm2_nvdefine -Q -s 8 0x1500016; printf 12345678 | tpm2_nvwrite -Q -i - 0x1500016")
    lab.ask(NAME, cases_guests.EXTEND)
    lab.host.must(f"guest reboot --timeout 900 {NAME}", 960)
    out = lab.ask(NAME, "tpm2_pcrread sha256:16; tpm2_nvread -s 8 0x1500016")
    check("16: 0x" + "00" * 32 in out and "12345678" in out, out)
    lab.host.must(f"xl destroy {NAME}", 60)


def enrolled_keys(lab):
    """What `enroll` prints of the enrolled image: its hash, and the digests of its keys."""
    done = subprocess.run([f"{TOP}/firmware/ovmf/enroll", "--add",
                           f"{TOP}/build/firmware/{ENROLLED.split('/')[-1]}",
                           lab.host.path("enrolled.fd")], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def secure_booted(lab):
    """with Debian's keys in its image a UEFI guest boots shim, GRUB and Linux of Debian, Secure
    Boot on from the first event; the log replays; attested by image, keys and Secure Boot"""
    boot(lab, SIGNED, ENROLLED)
    out = lab.ask(NAME, "dmesg; cat /sys/kernel/security/lockdown")
    check("Secure boot enabled" in out and "[integrity]" in out, out[-1500:])
    pcrs, count = replay(log_of(lab, NAME))
    read = pcrs_of(lab, NAME, "0,1,2,3,4,5,6,7,8,9,14")
    lab.log(f"{count} events, PCR 7 {read[7].hex()}")
    check(all(pcrs.get(n, bytes(32)) == value for n, value in read.items()),
          f"the log gives {pcrs}, the TPM has {read}")
    lab.secure_pcr7 = read[7]
    folder, keys = workdir(lab), enrolled_keys(lab)
    write_policy(folder, base_policy(lab, NAME))
    nonce = evidence(lab, folder, "secure.json", NAME)
    policy = made_policy(folder, nonce, "secure.json")
    firmware = policy["firmware"]
    check(keys["image"] in firmware["image"] and firmware["secure_boot"] is True,
          f"{firmware}, {keys}")
    firmware["variables"] = keys["variables"]
    rc, words, text = judged(folder, policy, "secure.json", nonce)
    check(rc == 0, f"refused: {words}: {text}")
    firmware["variables"]["dbx"] = "00" * 32    # as if there were a newer one
    rc, words, text = judged(folder, policy, "secure.json", nonce)
    check(rc == 1 and words == {"secure-boot"} and "dbx" in text, f"{rc}: {words}: {text}")


def secure_rebooted(lab):
    """after a reboot from inside Secure Boot is on again, and PCR 7 the same"""
    check(hasattr(lab, "secure_pcr7"), "the case before this one has no guest")
    lab.host.must(f"guest reboot --timeout 900 {NAME}", 960)
    check(pcrs_of(lab, NAME)[7] == lab.secure_pcr7, f"{pcrs_of(lab, NAME)}")
    check("Secure boot enabled" in lab.ask(NAME, "dmesg"), "Secure Boot is off")


def unsigned_refused(lab):
    """a loader that nobody has signed does not start with Debian's keys in the image"""
    lab.host.run(f"rm -f {SERIAL}")
    boot(lab, DISK, ENROLLED, wait=False)
    rc, out = lab.host.run(f"for i in $(seq 900); do grep -a 'Access Denied' {SERIAL} && exit 0; "
                           f"sleep 1; done; tail -c 1000 {SERIAL}; exit 1", 960)
    lab.log(out)
    check(rc == 0, f"the firmware refuses nothing: {out}")
    check(lab.running(NAME) and lab.host.run(f"guest wait --timeout 5 {NAME}", 60)[0],
          "the guest boots")
    lab.host.must(f"xl destroy {NAME}", 60)


def tpm_lost(lab):
    """when the TPM goes while the firmware measures, the firmware halts, and nothing boots"""
    prepare(lab)
    lab.host.run(f"rm -f {SERIAL}")
    boot(lab, wait=False)
    lab.wait("the firmware's first commands", lambda: lab.figure(NAME, "commands") > 8, 300)
    lab.host.must(f"xl destroy vtpm-{NAME}", 60)
    lab.wait("the firmware's last words", lambda: HALTED in lab.host.run("xl dmesg")[1], 600)
    # as long as it takes from there to GRUB in a boot that goes on
    check(lab.host.run(f"end=$(($(date +%s) + 240)); while [ $(date +%s) -lt $end ]; do "
                       f"grep -a GRUB {SERIAL} && exit 0; sleep 2; done; exit 1", 300)[0],
          "GRUB starts, without a TPM")
    check(lab.running(NAME), "the guest is gone")
    lab.host.must(f"xl destroy {NAME}", 60)


CASES = [uefi_measured, uefi_attested, kernel_byte, uefi_rebooted, secure_booted, secure_rebooted,
         unsigned_refused, tpm_lost]

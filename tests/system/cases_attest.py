# SPDX-License-Identifier: Apache-2.0
"""Deep quotes of a guest that was launched, judged outside of the virtual host."""
import base64
import json
import os
import subprocess

from cases_launch import fresh, launch, launched
from lab import check
from vhost import TOP

NAME = "web1"
HOST_LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
KERNEL = "/root/launch/vmlinux"
VERIFY = f"{TOP}/build/bin/vtpm-verify"     # it runs here, not in a release of Debian of its own
HOST_KEEP = "/root/attest-host.json"


def certified(lab):
    """A CA in domain 0, and certificates of the vTPM."""
    lab.host.must("[ -e /etc/xen-vtpm/ca/chain.pem ] || vtpmctl ca init")
    lab.host.must(f"vtpmctl cert issue {NAME} && sync")


def installed(lab):
    """The stub domain's kernel and manager that this host has, from our build or a package."""
    out = lab.host.must("cd /usr/lib/xen-vtpm && sha256sum vtpm-stubdom vtpm-manager").split()
    return {"kernel": out[0], "manager": out[2]}


def policy(lab, folder):
    """What a verifier knows: this host, our programs, the CA, and what is to be booted."""
    host = json.loads(lab.host.must("vtpmctl host show --json"))["attest"]
    check(host, "vtpmctl host show has nothing for a verifier")
    kernel = lab.host.must(f"sha256sum {KERNEL}").split()[0]
    ramdisk = lab.host.must("sha256sum /run/guest.cpio").split()[0]
    made = {"version": 1, "hosts": [host], "images": [installed(lab)],
            "ek_ca": lab.host.get("/etc/xen-vtpm/ca/chain.pem").decode(),
            "events": {"4": [{"name": "kernel", "sha256": kernel}],
                       "9": [{"name": "ramdisk", "sha256": ramdisk}]}}
    with open(f"{folder}/policy.json", "w") as f:
        json.dump(made, f, indent=1)


def workdir(lab):
    folder = lab.host.path("attest")
    os.makedirs(folder, exist_ok=True)
    return folder


def verdict(folder, name, nonce):
    """(exit status, the words of the reasons, their sentences) of the verifier here."""
    done = subprocess.run([VERIFY, "--json", "--policy", f"{folder}/policy.json", "--nonce", nonce,
                           f"{folder}/{name}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        check(False, f"vtpm-verify: status {done.returncode}: {done.stdout.decode()}")
    return done.returncode, {r["reason"] for r in said["reasons"]}, \
        " ".join(r["text"] for r in said["reasons"])


def keep(folder, name, data):
    with open(f"{folder}/{name}", "wb") as f:
        f.write(data)


def from_host(lab, folder, name="host.json"):
    nonce = os.urandom(32).hex()
    rc, out = lab.vtpmctl(f"attest {NAME} --nonce {nonce} -o /tmp/evidence.json")
    check(rc == 0, f"vtpmctl attest: status {rc}: {out}")
    keep(folder, name, lab.host.get("/tmp/evidence.json"))
    return nonce


def from_guest(lab, folder, name="guest.json"):
    nonce = os.urandom(32).hex()
    keep(folder, name, lab.ask(NAME, f"/vtpm-attest --nonce {nonce}").strip().encode())
    return nonce


def accepted_outside(lab):
    """evidence from the host and from inside of the guest: a verifier outside accepts both"""
    launched(lab, NAME)
    certified(lab)
    folder = workdir(lab)
    policy(lab, folder)
    for take, name in (from_host, "host.json"), (from_guest, "guest.json"):
        nonce = take(lab, folder)
        rc, words, text = verdict(folder, name, nonce)
        check(rc == 0, f"{name} is refused: {words}: {text}")
        rc, words, _ = verdict(folder, name, os.urandom(32).hex())
        check(rc == 1 and words == {"nonce"}, f"{name} with another nonce: {words}")
        firmware_log(lab, folder, name, nonce)


def firmware_log(lab, folder, name, nonce):
    """The log of this host's firmware is in it; with a byte of that changed it is refused."""
    with open(f"{folder}/{name}") as f:
        evidence = json.load(f)
    part = evidence["submods"]["host"]
    log = bytearray(base64.urlsafe_b64decode(part.get("log", "") + "=="))
    check(log and log == lab.host.get(HOST_LOG), f"{name} is without the firmware's log")
    # The first event behind the header: PCR, type, number of digests; SHA-1's; SHA-256's
    first = 32 + int.from_bytes(log[28:32], "little")
    log[first + 12 + 2 + 20 + 2] ^= 1
    part["log"] = base64.urlsafe_b64encode(log).decode().rstrip("=")
    keep(folder, "changed.json", json.dumps(evidence, separators=(",", ":")).encode())
    rc, words, text = verdict(folder, "changed.json", nonce)
    check(rc == 1 and "log" in words, f"{name}, firmware's log changed: {words}: {text}")


def kernel_changed(lab):
    """a kernel changed by one byte boots, and the same verifier refuses it: PCR 4, its event"""
    folder = workdir(lab)
    if not os.path.exists(f"{folder}/policy.json"):
        accepted_outside(lab)
    # a byte of e_ident that ELF leaves unused
    lab.host.must(f"cp {KERNEL} {KERNEL}.good && printf '\\1' | "
                  f"dd of={KERNEL} bs=1 seek=15 conv=notrunc 2>/dev/null")
    try:
        fresh(lab, NAME)
        launch(lab, NAME)
        for take, name in (from_host, "host.json"), (from_guest, "guest.json"):
            nonce = take(lab, folder)
            rc, words, text = verdict(folder, name, nonce)
            check(rc == 1 and words == {"event"}, f"{name}: status {rc}: {words}: {text}")
            check("PCR 4, event 1 (\"kernel" in text, f"it does not name PCR and event: {text}")
    finally:
        lab.host.must(f"mv {KERNEL}.good {KERNEL}")
    fresh(lab, NAME)
    launch(lab, NAME)
    nonce = from_guest(lab, folder)
    rc, words, text = verdict(folder, "guest.json", nonce)
    check(rc == 0, f"with the kernel of before it is refused: {words}: {text}")


def copied_elsewhere(lab):
    """a vTPM whose state was copied to another host: its deep quote there is refused"""
    folder = workdir(lab)
    if not os.path.exists(f"{folder}/policy.json"):
        accepted_outside(lab)
    lab.guest_down(NAME)
    lab.host.must("rm -f /root/moved.backup; vtpmctl create --policy kms moved && "
                  "vtpmctl cert issue moved && vtpmctl attest moved --nonce "
                  f"{'00' * 32} -o /tmp/evidence.json && vtpmctl backup moved /root/moved.backup")
    keep(folder, "moved.json", lab.host.get("/tmp/evidence.json"))
    _, words, text = verdict(folder, "moved.json", "00" * 32)
    check(words == {"event"}, f"at home, and not launched: {words}: {text}")
    lab.host.must(f"vtpmctl delete moved --yes --force; cp /etc/xen-vtpm/host.json {HOST_KEEP}")
    lab.reboot(tpm="another-tpm")
    try:
        # all that the other host has of this one is the backup, and the KMS
        lab.host.must("vtpmctl host init --force --new-tpm --policy-key /etc/xen-vtpm/policy-key.pem --kms "
                      "kmip://127.0.0.1:5696 --kms-ca /root/kms/ca.pem --kms-cert /root/kms/host.pem "
                      f"--kms-key /root/kms/host.key --kms-key-id {lab.new_key()}", 120)
        lab.host.must("vtpmctl host anchor --init --yes; true")
        lab.stop_vtpmd()
        lab.start_vtpmd()
        lab.host.must("vtpmctl restore /root/moved.backup && vtpmctl start moved", 180)
        lab.host.must(f"vtpmctl attest moved --nonce {'11' * 32} -o /tmp/evidence.json")
        keep(folder, "moved.json", lab.host.get("/tmp/evidence.json"))
        _, words, text = verdict(folder, "moved.json", "11" * 32)
        check("host" in words, f"on another host: {words}: {text}")
        lab.host.must("vtpmctl delete moved --yes --force")
    finally:
        lab.host.must(f"cp {HOST_KEEP} /etc/xen-vtpm/host.json; sync")
        lab.reboot(tpm="tpm")
        lab.host.run("vtpmctl host anchor --init --yes")
        lab.stop_vtpmd()
        lab.start_vtpmd()


CASES = [accepted_outside, kernel_changed, copied_elsewhere]

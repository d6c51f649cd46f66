# SPDX-License-Identifier: Apache-2.0
"""A stub domain, vtpmd or the host dies in the midst of 200 NV writes: what was
acknowledged to the guest is there."""
import re
import threading

from agentlink import HostError
from cases_guests import UNSEAL
from lab import check

NAME, INDEX, WRITES = "web1", "0x1500020", 200
DEFINE = (f"tpm2_nvread -Q -C o {INDEX} >/dev/null 2>&1 || "
          f"tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' {INDEX}; "
          f"printf 00000000 | tpm2_nvwrite -Q -C o -i- {INDEX}")
# TPM2_NV_Write of eight bytes at offset 0, by the owner, who has no password: without a
# tool, whose start takes many times as long.
COMMAND = bytes.fromhex("8002 0000002b 00000137 40000001 01500020 00000009 40000009"
                        "0000 00 0000 0008")
OCTAL = "".join(f"\\{byte:03o}" for byte in COMMAND)
# Each acknowledged number goes to the console at once, past any file.
LOOP = (f"exec 3<>/dev/tpmrm0; i=1; while [ $i -le {WRITES} ]; do "
        "n=0000000$i; n=${n#${n%????????}}; "
        f'printf "{OCTAL}%s\\000\\000" $n >&3; '
        'case $(od -An -tx1 -N10 <&3) in *" 00 00 00 00") ;; *) break ;; esac; '
        'echo "@ACK $n" >/dev/hvc0; i=$((i + 1)); done')
READ = f"tpm2_nvread -C o -s 8 {INDEX} 2>/dev/null"


class Writer:
    """200 writes in the guest; acknowledged is the last one that it told."""

    def __init__(self, lab):
        self.lab, self.acknowledged, self.text = lab, 0, ""
        lab.guests(NAME)
        lab.ask(NAME, DEFINE)
        mark = lab.console_mark(NAME)
        self.tail = lab.host.start(f"tail -c +{mark + 1} -F -s 0.2 "
                                   f"/var/log/xen/console/guest-{NAME}.log", self.seen)
        threading.Thread(target=self.listen, daemon=True).start()
        self.job = lab.host.start(f"guest run --timeout 400 {NAME} '{LOOP}'")

    def listen(self):
        """Hears what comes until the host is gone, or until it was long enough."""
        try:
            self.tail.wait(600)
        except HostError:
            pass

    def seen(self, data):
        self.text += data.decode(errors="replace")
        numbers = re.findall(r"@ACK (\d{8})", self.text)
        self.text = self.text[-2000:]
        if numbers:
            self.acknowledged = max(self.acknowledged, int(numbers[-1]))

    def wait(self, number=60):
        self.lab.wait(f"write {number} of the guest", lambda: self.acknowledged >= number, 300)
        check(self.acknowledged < WRITES, "the writes are over, and shall go on")


def nothing_lost(lab, writer):
    out = lab.ask(NAME, READ).strip()
    check(out.isdigit(), f"the NV index reads {out!r}")
    check(int(out) >= writer.acknowledged,
          f"write {writer.acknowledged} was acknowledged, the index holds {int(out)}")
    check(int(out) <= writer.acknowledged + 5, f"the index holds {out}, which nobody wrote")
    lab.log(f"{writer.acknowledged} acknowledged, {int(out)} found")


def restart_guest(lab):
    lab.host.run(f"xl destroy {NAME}", 60)
    lab.wait("the guest's end", lambda: not lab.running(NAME))
    lab.vtpms(NAME)
    lab.guest_up(NAME)


def stubdom_killed(lab):
    """killing the stub domain in 200 NV writes loses no acknowledged write"""
    w = Writer(lab)
    w.wait()
    lab.host.must(f"xl destroy vtpm-{NAME}", 60)
    w.job.kill()
    lab.wait("vtpmd to notice", lambda: lab.state(NAME) != "running", 30)
    restart_guest(lab)
    nothing_lost(lab, w)


def vtpmd_killed(lab):
    """killing vtpmd in 200 NV writes loses no acknowledged write, and the guest goes on"""
    w = Writer(lab)
    w.wait()
    lab.stop_vtpmd("KILL")
    lab.start_vtpmd()
    lab.wait("vtpmd to find its stub domain again", lambda: lab.state(NAME) == "running", 60)
    rc, out = w.job.wait(400)
    check(rc == 0, f"the guest's writes ended: {rc} {out!r}")
    check(lab.ask(NAME, READ).strip() == f"{WRITES:08d}", "the last write is not there")
    restart_guest(lab)
    w.acknowledged = WRITES
    nothing_lost(lab, w)


def power_cut(lab):
    """a power cut of the whole host in 200 NV writes loses no acknowledged write"""
    w = Writer(lab)
    w.wait()
    lab.host.power_cut()
    lab.up()
    lab.guests(NAME)
    nothing_lost(lab, w)
    rc, out = lab.guest(NAME, UNSEAL)
    lab.log(f"unseal after the power cut: {rc} {out.strip()[:60]}")


def power_cut_in_create(lab):
    """a power cut during create leaves a vTPM or none, never half of one"""
    lab.vtpms(NAME)
    job = lab.host.start("vtpmctl create cut 2>&1")
    del job
    lab.host.run("sleep 1.5")
    lab.host.power_cut()
    lab.up()
    rc, out = lab.vtpmctl("list")
    check(rc == 0, f"list fails: {out}")
    if "cut" in out:
        rc, out = lab.vtpmctl("start cut")
        check(rc == 0 or "create" in out, f"start: {out}")
        lab.vtpmctl("delete --yes cut")
    lab.create("cut")
    lab.host.must("vtpmctl delete --yes cut", 60)


CASES = [stubdom_killed, vtpmd_killed, power_cut, power_cut_in_create]

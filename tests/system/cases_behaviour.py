# SPDX-License-Identifier: Apache-2.0
"""What a TPM does over time: counters, clocks, lockouts, localities; and a TPM 1.2 in
a guest that has the stock driver."""
import re

import cases_guests
from lab import check

TPM12 = "/tpm12 /dev/tpm0 "
PCRS = "cat /sys/class/tpm/tpm0/pcrs"
# a sealed object that dictionary attacks are counted for, and one that has noDA
MAKE_DA = """cd /tmp; set -e
tpm2_dictionarylockout -Q -s -n 12 -t 7200 -l 7200
tpm2_createprimary -Q -C o -G ecc -c p
for h in 0x81000301 0x81000302; do
	attributes='fixedtpm|fixedparent|userwithauth'
	[ $h = 0x81000301 ] || attributes="$attributes|noda"
	printf secret | tpm2_create -Q -C p -i- -p right -a "$attributes" -u pub -r priv
	tpm2_load -Q -C p -u pub -r priv -c s
	tpm2_evictcontrol -Q -C o -c s $h
done
"""


def clock(lab, name):
    out = lab.ask(name, "tpm2_readclock")
    found = {key: int(value) for key, value in re.findall(r"(\w+): (\d+)", out)}
    check({"clock", "reset_count", "restart_count"} <= set(found), f"the clock of {name}: {out}")
    return found


def counter(lab, name):
    out = lab.ask(name, "tpm2_getcap properties-variable")
    found = re.search(r"TPM2_PT_LOCKOUT_COUNTER: (\S+)", out)
    check(found, f"the properties of {name}: {out}")
    return int(found.group(1), 16)


def wrong(lab, name, handle="0x81000301"):
    rc, out = lab.guest(name, f"tpm2_unseal -Q -c {handle} -p wrong")
    check(rc != 0, f"a wrong password opens {handle}: {out}")
    return out


def goes_on(lab, name, what, act):
    """The clock, the resets and the failed authorizations are no less after act."""
    before, failed = clock(lab, name), counter(lab, name)
    act()
    after, still = clock(lab, name), counter(lab, name)
    check(after["clock"] >= before["clock"], f"{what}: the clock {before} became {after}")
    check(after["reset_count"] > before["reset_count"],
          f"{what}: the resets {before} became {after}")
    check(still >= failed, f"{what}: {failed} failed authorizations became {still}")
    lab.log(f"{what}: clock {before['clock']} to {after['clock']}, resets "
            f"{before['reset_count']} to {after['reset_count']}, failed {failed} to {still}")


def stop_start(lab, name):
    lab.guest_down(name)
    lab.stop(name)
    lab.start(name)
    lab.guest_up(name)


def kill_stubdom(lab, name):
    """Its guest is refused until it reboots: so it goes, too."""
    domid = lab.show(name)["domid"]
    lab.host.must(f"xl destroy {name}; xl destroy {domid}", 60)
    lab.wait("the stub domain's return", lambda: lab.state(name) == "running" and
             lab.show(name)["domid"] not in (None, domid), 60)
    lab.guest_up(name)


def power_cut(lab, name):
    lab.host.power_cut()
    lab.up()
    lab.wait(f"{name} after the power cut", lambda: lab.state(name) == "running", 60)
    lab.guest_up(name)


def save_restore(lab, name):
    lab.host.must(f"rm -f /root/{name}.save; xl save {name} /root/{name}.save", 120)
    lab.host.must(f"xl restore /root/{name}.save; rm -f /root/{name}.save", 120)
    lab.host.must(f"guest wait --timeout 60 {name}", 80)


def protected(lab, name):
    """A guest that has the two objects, from an earlier case or now."""
    lab.guests(name)
    if lab.guest(name, "tpm2_readpublic -Q -c 0x81000302")[0]:
        lab.ask(name, MAKE_DA, 120)


def counts_go_on(lab):
    """clock, resets and failed authorizations survive reboot, save, stop, a killed stub domain and a power cut"""
    protected(lab, "web1")
    start = counter(lab, "web1")
    wrong(lab, "web1")
    wrong(lab, "web1")
    check(counter(lab, "web1") == start + 2, "two wrong passwords are not two failures")
    wrong(lab, "web1", "0x81000302")
    check(counter(lab, "web1") == start + 2, "an object with noDA counts")
    for what, act in (("a reboot", reboot), ("save and restore", save_restore),
                      ("stop and start", stop_start), ("a killed stub domain", kill_stubdom),
                      ("a power cut", power_cut)):
        goes_on(lab, "web1", what, lambda act=act: act(lab, "web1"))
        failed = counter(lab, "web1")
        wrong(lab, "web1")
        check(counter(lab, "web1") == failed + 1, f"after {what} a wrong password is not counted")


def reboot(lab, name):
    lab.guest_reboot(name)


def lockout(lab):
    """at the last allowed failure the TPM locks itself, and a reboot does not open it; noDA goes on"""
    protected(lab, "web1")
    for _ in range(12 - counter(lab, "web1")):
        wrong(lab, "web1")
    lab.guest_reboot("web1")
    rc, out = lab.guest("web1", "tpm2_unseal -c 0x81000301 -p right")
    check(rc != 0 and "0x921" in out.lower() or "lockout" in out.lower(), f"locked: {rc} {out}")
    check(lab.ask("web1", "tpm2_unseal -c 0x81000302 -p right") == "secret", "noDA is locked, too")
    lab.ask("web1", "tpm2_dictionarylockout -Q -c")
    check(lab.ask("web1", "tpm2_unseal -c 0x81000301 -p right") == "secret",
          "the lockout's authorization does not open it")


def suspend(lab):
    """a guest that is saved without an end (xl save -c) goes on with PCRs, sessions and objects"""
    lab.guests("web1")
    lab.ask("web1", "tpm2_pcrextend 16:sha256=" + "22" * 32)
    pcr = lab.ask("web1", "tpm2_pcrread sha256:16")
    lab.ask("web1", "cd /tmp; tpm2_createprimary -Q -C o -G ecc -c kept.ctx")
    before = clock(lab, "web1")
    lab.host.must("rm -f /root/web1.save; xl save -c web1 /root/web1.save; rm -f /root/web1.save",
                  120)
    lab.host.must("guest wait --timeout 60 web1", 80)
    check(lab.ask("web1", "tpm2_pcrread sha256:16") == pcr, "the PCR changed over a suspend")
    lab.ask("web1", "cd /tmp; tpm2_readpublic -Q -c kept.ctx")
    after = clock(lab, "web1")
    check(after["reset_count"] == before["reset_count"] and after["clock"] >= before["clock"],
          f"over a suspend: {before}, {after}")
    lab.guest_down("web1")  # its xl has ended with the save, and would see no reboot


def sleep(lab):
    """a guest that suspends to idle and wakes goes on with PCRs, sessions and objects, PV and PVH"""
    for name in ("web1", "web2"):
        lab.guests(name)
        lab.ask(name, cases_guests.EXTEND)
        pcr = lab.ask(name, cases_guests.PCR16)
        lab.ask(name, cases_guests.VOLATILE)
        before = clock(lab, name)
        # The kernel's own test: devices are suspended, and woken after five seconds.  Linux
        # leaves those of Xen alone then, in contrast to `xl save`: they have to go on.
        out = lab.ask(name, "echo devices >/sys/power/pm_test; echo freeze >/sys/power/state; "
                      "echo status $?; dmesg | grep -e 'PM: suspend'", 60)
        check("status 0" in out and "suspend exit" in out, f"{name} did not sleep: {out}")
        check(lab.ask(name, cases_guests.PCR16) == pcr, f"PCR 16 of {name} after its sleep")
        out = lab.ask(name, cases_guests.GOES_ON)
        check(out.split()[-1] == "32", f"sessions and objects of {name}: {out!r}")
        after = clock(lab, name)
        check(after["reset_count"] == before["reset_count"] and after["clock"] > before["clock"],
              f"over a sleep of {name}: {before}, {after}")
        lab.guest_reboot(name)
        check(lab.ask(name, cases_guests.PCR16) != pcr, f"PCR 16 of {name} after its reboot")


def localities(lab):
    """a guest has locality 0; others only when the operator allowed them"""
    lab.vtpms("web1")
    lab.guest_down("web1")
    lab.create("wide", "--localities 0,2-3")
    try:
        for name, mask in (("web1", 0x01), ("wide", 0x0d)):
            domid = lab.show(name)["domid"]
            rc, out = lab.host.run(f"/usr/lib/vhost/hostile-front {domid} {lab.uuid[name]} {mask}", 60)
            check(rc == 0, f"{name}, localities {mask:#x}: {out}")
        check(lab.show("wide")["localities"] == [0, 2, 3], f"it shows {lab.show('wide')}")
    finally:
        lab.vtpmctl("delete --yes --force wide")


def tpm12_guest(lab):
    """a guest with the stock driver has a TPM 1.2: PCRs, owner, NV, a sealed secret"""
    lab.up()
    lab.host_init()
    if "old1" not in lab.uuid:
        lab.create("old1", "--tpm 1.2")
    lab.log(f"ready after {lab.show('old1')['ready_ns'] // 1000000} ms, free "
            f"{lab.figure('old1', 'free_kib')} KiB of {lab.show('old1')['memory_mib']} MiB")
    lab.guest_down("old1")
    lab.guest_up("old1", driver="stock")
    out = lab.ask("old1", "ls /dev/tpm*; cat /sys/class/tpm/tpm0/tpm_version_major")
    check(out.split() == ["/dev/tpm0", "1"], f"it has {out.split()}")
    pcrs = lab.ask("old1", PCRS).splitlines()
    check(len(pcrs) == 24 and pcrs[10] == "PCR-10: " + "00 " * 20, f"PCRs: {pcrs}")
    lab.ask("old1", TPM12 + "extend 10 kernel")
    value = lab.ask("old1", TPM12 + "read 10").strip()
    check(lab.ask("old1", PCRS).splitlines()[10].split()[1:] ==
          [value[i:i + 2].upper() for i in range(0, 40, 2)], "the kernel reads another PCR 10")
    lab.ask("old1", TPM12 + "own secret && " + TPM12 + "define secret 0x10 8 && " +
            TPM12 + "put secret 0x10 12345678")
    lab.key12 = lab.ask("old1", TPM12 + "ownkey secret")
    lab.blob12 = lab.ask("old1", TPM12 + "seal word topsecret 10").strip()
    check(lab.ask("old1", TPM12 + f"unseal word {lab.blob12}") == "topsecret\n", "unseal")
    rc, out = lab.guest("old1", TPM12 + "raw 00c10000000c4000000a0008")
    check(out.split()[-1].endswith("00000003"), f"the guest is physically present: {out}")


def tpm12_kept(lab, how):
    check(lab.ask("old1", PCRS).splitlines()[10] == "PCR-10: " + "00 " * 20, f"PCR 10 after {how}")
    check(lab.ask("old1", TPM12 + "ownkey secret") == lab.key12, f"another key after {how}")
    check(lab.ask("old1", TPM12 + "get 0x10 8") == "12345678\n", f"the NV after {how}")
    rc, out = lab.guest("old1", TPM12 + f"unseal word {lab.blob12}")
    check(rc != 0, f"it unseals with other PCRs after {how}: {out}")
    lab.ask("old1", TPM12 + "extend 10 kernel")
    check(lab.ask("old1", TPM12 + f"unseal word {lab.blob12}") == "topsecret\n",
          f"unseal after {how}")


def used12(lab):
    """A TPM 1.2 with an owner and secrets, from an earlier case or now."""
    if not hasattr(lab, "blob12"):
        tpm12_guest(lab)


def tpm12_reboot(lab):
    """over a reboot and a killed stub domain owner, NV and secrets of the TPM 1.2 stay, PCRs clear"""
    used12(lab)
    lab.guest_reboot("old1")
    tpm12_kept(lab, "a reboot")
    domid = lab.show("old1")["domid"]
    lab.host.must(f"xl destroy old1; xl destroy {domid}", 60)
    lab.wait("the stub domain's return", lambda: lab.state("old1") == "running" and
             lab.show("old1")["domid"] not in (None, domid), 60)
    lab.guest_up("old1", driver="stock")
    tpm12_kept(lab, "a killed stub domain")


def tpm12_own_driver(lab):
    """our driver serves a TPM 1.2, too"""
    used12(lab)
    lab.guest_down("old1")
    lab.guest_up("old1")
    try:
        out = lab.ask("old1", "ls /dev/tpm0 && cat /sys/class/tpm/tpm0/tpm_version_major")
        check(out.split() == ["/dev/tpm0", "1"], f"it has {out.split()}")
        tpm12_kept(lab, "a change of the driver")
    finally:
        lab.guest_down("old1")


CASES = [tpm12_guest, tpm12_reboot, tpm12_own_driver, localities, suspend, sleep, counts_go_on,
         lockout]

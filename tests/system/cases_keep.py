# SPDX-License-Identifier: Apache-2.0
"""What is in a vTPM outlives its guest, its stub domain and the host."""
from cases_guests import SEAL, UNSEAL, still_there
from lab import check


def sealed(lab, name):
    lab.guests(name)
    if lab.guest(name, UNSEAL)[0]:
        lab.guest_reboot(name)
    if lab.guest(name, UNSEAL)[0]:
        lab.ask(name, SEAL.format(secret=f"secret of {name}"), 120)


def guest_shutdown(lab):
    """after guest shutdown and `xl create` all is there"""
    for name in ("web1", "web2"):
        sealed(lab, name)
        lab.guest_down(name)
        lab.guest_up(name)
        still_there(lab, name)


def stubdom_restart(lab):
    """after a restart of the stub domain all is there"""
    sealed(lab, "web1")
    lab.guest_down("web1")
    lab.stop("web1")
    lab.start("web1")
    lab.guest_up("web1")
    still_there(lab, "web1")


def host_reboot(lab):
    """after a reboot of the whole virtual host all is there"""
    sealed(lab, "web1")
    sealed(lab, "web2")
    lab.guest_down("web1")
    lab.guest_down("web2")
    lab.reboot()
    for name in ("web1", "web2"):
        lab.guests(name)
        still_there(lab, name)


ROUNDS, AT_ONCE = 10, 5
COUNT = """p=$(cat /run/vtpmd.pid)
echo domains $(xl list | wc -l)
echo nodes $(xenstore-ls -f | grep -c -e vtpm -e domain)
echo channels $(/usr/lib/xen-4.*/bin/lsevtchn 0 | wc -l)
echo mapped $(cat /proc/$p/maps | grep -c xen/gnt)
echo descriptors $(ls /proc/$p/fd | wc -l)
echo free $(xl info | sed -n 's/^free_memory *: //p')
echo resident $(awk '/^VmRSS:/ {print $2}' /proc/$p/status)
echo files $(find /var/lib/xen-vtpm /run/xen-vtpm | wc -l)"""
NAMES = [f"cycle{i}" for i in range(1, AT_ONCE + 1)]
# The guest waits for its further TPMs, and uses each.
USE = f"""for i in $(seq {AT_ONCE}); do
for n in $(seq 200); do [ -e /dev/tpmrm$i ] && break; sleep 0.1; done
TPM2TOOLS_TCTI=device:/dev/tpmrm$i tpm2_getrandom --hex 8 && echo
done"""


def count(lab):
    return {k: int(v) for k, v in (line.split() for line in lab.host.must(COUNT).splitlines())}


def all_at_once(command):
    """A shell command for each name N at once, that fails when one of them does."""
    return ("p=; for N in " + " ".join(NAMES) + f"; do ({command}) & p=\"$p $!\"; done; "
            "for p in $p; do wait $p || exit 1; done")


def cycle(lab, rounds):
    """vTPMs are made, given to the guest, used, taken away and deleted."""
    for _ in range(rounds):
        lab.host.must(all_at_once("vtpmctl create $N >/tmp/$N.uuid </dev/null"), 120)
        lab.host.must("for N in " + " ".join(NAMES) + "; do xl vtpm-attach web1 "
                      "uuid=$(cat /tmp/$N.uuid) backend=vtpm-$N || exit 1; done", 60)
        used = lab.ask("web1", USE).split()
        check([len(u) for u in used] == [16] * AT_ONCE, f"the TPMs of the guest say {used}")
        lab.host.must(all_at_once("xl vtpm-detach web1 ${N#cycle}"), 60)
        lab.host.must(all_at_once("vtpmctl delete --yes $N"), 60)


def leaks_nothing(lab):
    """50 cycles of create, use and delete, and guest reboots, leave nothing behind"""
    lab.guests("web1")
    for name in NAMES:
        lab.host.run(f"vtpmctl delete --yes {name} 2>/dev/null")
    cycle(lab, 1)
    lab.guest_reboot("web1")
    before, free = count(lab), lab.figure("web1", "free_kib")
    cycle(lab, ROUNDS)
    for _ in range(3):
        lab.guest_reboot("web1")
    after = count(lab)
    lab.log(f"before {before}, after {after}")
    for what in ("domains", "nodes", "channels", "mapped", "descriptors", "files"):
        check(before[what] == after[what], f"{what}: {before[what]}, then {after[what]}")
    check(after["free"] >= before["free"] - 1, f"Xen's free memory fell: {before} {after}")
    check(after["resident"] <= before["resident"] + 1024, f"vtpmd grew: {before} {after}")
    left = lab.figure("web1", "free_kib")
    check(left >= free - 64, f"the stub domain has {left} KiB free after {free}")
    domid = lab.show("web1")["domid"]
    left = lab.host.must(f"xenstore-list /local/domain/{domid}/backend/vtpm").split()
    check(len(left) == 1, f"folders of guests that are gone: {left}")


CASES = [guest_shutdown, stubdom_restart, host_reboot, leaks_nothing]

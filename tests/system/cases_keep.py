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


CYCLES = 12
COUNT = """p=$(cat /run/vtpmd.pid)
echo domains $(xl list | wc -l)
echo nodes $(xenstore-ls -f | grep -c -e vtpm -e domain)
echo descriptors $(ls /proc/$p/fd | wc -l)
echo free $(xl info | sed -n 's/^free_memory *: //p')
echo resident $(awk '/^VmRSS:/ {print $2}' /proc/$p/status)
echo files $(find /var/lib/xen-vtpm /run/xen-vtpm | wc -l)"""


def count(lab):
    return {k: int(v) for k, v in (line.split() for line in lab.host.must(COUNT).splitlines())}


def cycle(lab, times):
    for _ in range(times):
        lab.host.must("vtpmctl create cycle && vtpmctl delete --yes cycle", 90)


def leaks_nothing(lab):
    """cycles of create and delete, and guest reboots, leave nothing behind"""
    lab.guests("web1")
    cycle(lab, 2)
    lab.guest_reboot("web1")
    before = count(lab)
    cycle(lab, CYCLES)
    for _ in range(3):
        lab.guest_reboot("web1")
    after = count(lab)
    lab.log(f"before {before}, after {after}")
    for what in ("domains", "nodes", "descriptors", "files"):
        check(before[what] == after[what], f"{what}: {before[what]}, then {after[what]}")
    check(after["free"] >= before["free"] - 1, f"Xen's free memory fell: {before} {after}")
    check(after["resident"] <= before["resident"] + 1024, f"vtpmd grew: {before} {after}")
    domid = lab.show("web1")["domid"]
    left = lab.host.must(f"xenstore-list /local/domain/{domid}/backend/vtpm").split()
    check(len(left) == 1, f"folders of guests that are gone: {left}")


CASES = [guest_shutdown, stubdom_restart, host_reboot, leaks_nothing]

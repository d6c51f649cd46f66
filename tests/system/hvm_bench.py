# SPDX-License-Identifier: Apache-2.0
"""The figures of HVM guests, for tests/system/bench."""
import json
import re
import time

from lab import check

NAME = "hvm1"
COMMANDS = 300
# Accesses before SeaBIOS's first command: 11 of its, of which 4 find the interface and
# 2 select it, and 4 of hvmloader's; and the event that comes with a new channel.
PROBES = 16
WATCH = "/run/watch.log"


def accesses(lab):
    """Events on each port that vtpm-crb has, by the port's row: a vCPU's has one for each of
    its accesses, which it waits for; the ring's one for each response."""
    out = lab.host.must("grep -E 'evtchn:(vtpm-crb|vtpmd)' /proc/interrupts")
    rows = {}
    for line in out.splitlines():
        words = line.split()
        rows[words[0]] = sum(int(word) for word in words[1:] if word.isdigit())
    return rows


def most(before, after):
    return max(count - before.get(row, 0) for row, count in after.items())


def exits(lab, act):
    """Accesses a command of what act does in the guest; act's result."""
    before, done = accesses(lab), lab.show(NAME)["commands"]
    result = act()
    commands = lab.show(NAME)["commands"] - done
    check(commands >= COMMANDS, f"{commands} commands were counted")
    return round(most(before, accesses(lab)) / commands, 2), result


def bench(lab, what):
    return json.loads(lab.ask(NAME, f"/tpm-bench {what}", 300))


def boot(lab):
    """Boots the guest; accesses a command until Linux starts."""
    before, done = accesses(lab) if lab.host.run("pgrep -x vtpm-crb")[0] == 0 else {}, 0
    serial = f"/var/log/xen/console/guest-{NAME}-serial.log"
    lab.host.run(f"rm -f {serial}")
    lab.hvm_up(NAME, vtpm_line=f"backend=vtpm-{NAME},uuid={lab.uuid[NAME]}",
               bios=lab.our_bios(), wait=False)
    lab.wait("GRUB", lambda: "GRUB: loading" in lab.host.run(f"cat {serial}")[1], 300)
    count, commands = most(before, accesses(lab)), lab.show(NAME)["commands"] - done
    lab.host.must(f"guest wait --timeout 420 {NAME}", 480)
    check(commands > 5, f"SeaBIOS sent {commands} commands")
    return round((count - PROBES) / commands, 2)


def watch(lab, domain):
    """Notes when nodes of a backend change."""
    stamp = "import sys, time\nfor p in sys.stdin: print(time.time_ns(), p, end='', flush=True)"
    lab.host.must(f"(xenstore-watch /local/domain/{domain}/backend/vtpm | python3 -uc \"{stamp}\") "
                  f">{WATCH} 2>/dev/null </dev/null & sleep 1")


def wait_seconds(lab):
    """From libxl's nodes, of which state is the last that it writes, to InitWait."""
    lines = [line.split() for line in lab.host.must(f"cat {WATCH}").splitlines()]
    states = [int(line[0]) for line in lines if re.search(r"/vtpm/\d+/\d+/state$", line[1])]
    lab.host.run("kill $(pgrep -x xenstore-watch)")
    check(len(states) > 1, f"the backend's nodes: {lines}")
    return round((states[1] - states[0]) / 1e9, 3)


def memory(lab):
    out = lab.host.must("cat /proc/$(pgrep -x vtpm-crb)/smaps_rollup")
    return {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB", out, re.M)}


def hvm(lab):
    """All figures of one HVM guest, which is booted once."""
    lab.vtpms(NAME)
    watch(lab, lab.show(NAME)["domid"])
    figures = {"hvm_exits_per_seabios_command": {"value": boot(lab), "limit": 6}}
    figures["hvm_seconds_to_initwait"] = {"value": wait_seconds(lab)}
    bench(lab, "device /dev/tpm0 20")
    short, trip = exits(lab, lambda: bench(lab, f"device /dev/tpm0 {COMMANDS}"))
    long, _ = exits(lab, lambda: bench(lab, f"device /dev/tpm0 {COMMANDS} 4096"))
    figures["hvm_exits_per_getrandom"] = {"value": short, "limit": 12}
    figures["hvm_exits_per_4096_bytes"] = {"value": long, "limit": 12}
    lab.ask(NAME, "echo MSFT0101:00 >/sys/bus/acpi/drivers/tpm_crb/unbind")
    exit_us = bench(lab, "exits 1000")["exit_us"]
    figures["hvm_roundtrip_us"] = {"value": trip["roundtrip_us"], "exit_us": exit_us,
                                   "ratio": round(trip["roundtrip_us"] / exit_us, 2)}
    used = memory(lab)
    figures["hvm_crb_private_kib"] = {"value": used["Private_Dirty"], "limit": 2048,
                                      "rss_kib": used["Rss"]}
    lab.guest_down(NAME)
    return figures

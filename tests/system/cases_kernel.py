# SPDX-License-Identifier: Apache-2.0
"""The stub domain's kernel, tried out from inside by an ordinary static program."""
import re

from lab import check

FOLDER = "/usr/lib/vhost"
KERNEL = "/usr/lib/xen-vtpm/vtpm-stubdom"
# name="..." and so on, as vtpmd writes them for a manager
CONFIG = """rm -f /var/log/xen/console/guest-{name}.log
cat >/run/{name}.cfg <<'END'
name="{name}"
type="pvh"
kernel="{kernel}"
ramdisk="{folder}/stubprobe"
memory={memory}
vcpus=1
extra="{extra}"
on_crash="destroy"
on_poweroff="destroy"
END
xl create -q /run/{name}.cfg || exit 1
"""
ENDED = "for i in $(seq {tries}); do xl domid {name} >/dev/null 2>&1 || break; sleep 0.2; done\n"
PLACE = re.compile(r"stub: rip [0-9a-f]{16} rsp [0-9a-f]{16} cr2 [0-9a-f]{16} error [0-9a-f]+$",
                   re.M)
# What stubprobe/crash.c has in its registers when it ends so
SECRET = 0x5ec2e7dec0de4bad
SECRET_CRASHES = {"secret-invalid": "invalid opcode",
                  "secret-fault": "page fault, write to 0x0000000000001000",
                  "secret-call": "a system call above 511 is not there"}
# What a program does, and what the console then says of it
CRASHES = {"null-read": "page fault, read of 0x0000000000000000",
           "kernel-read": "page fault, read of 0xffffffff80010000",
           "kernel-write": "page fault, write to 0xffff800000100000",
           "kernel-jump": "page fault, execution of 0xffffffff80010000",
           "code-write": "page fault, write to 0x",
           "run-stack": "page fault, execution of 0x",
           "not-canonical": "general protection",
           "interrupts": "general protection",
           "stack": "page fault, write to 0x",
           "abort": "signal 6"}


def create(name, extra, memory=8):
    return CONFIG.format(name=name, kernel=KERNEL, folder=FOLDER, memory=memory, extra=extra)


def outcome(lab, name):
    """(what the domain printed, how it ended) once it has."""
    text = lab.host.run(f"cat /var/log/xen/console/guest-{name}.log; "
                        f"echo; cat /var/log/xen/xl-{name}.log")[1].replace("\r", "")
    code = re.search(r"has shut down, reason code (\d+)", text)
    return text, int(code.group(1)) if code else None


def run(lab, domains, timeout=60):
    """Starts (name, extra, memory) domains, all at once, and waits for their ends."""
    lab.up()
    script = "".join(create(*d) for d in domains)
    script += "".join(ENDED.format(name=d[0], tries=timeout * 5) for d in domains)
    lab.host.must(script, timeout + 60)
    return {d[0]: outcome(lab, d[0]) for d in domains}


def check_tap(name, text, code):
    bad = [line for line in text.splitlines() if line.startswith("not ok")]
    check(not bad, f"{name}: {bad}")
    passed = len(re.findall(r"^ok \d+", text, re.M))
    check(f"\n1..{passed}\n" in text, f"{name} printed no plan of {passed}: {text[-1500:]}")
    check(code == 0, f"{name} ended with reason {code}: {text[-1500:]}")


def any_memory(lab):
    """the kernel boots with any memory from 8 MiB up, and gives all of it"""
    sizes = [8, 9, 64, 1000]
    ended = run(lab, [(f"k-mem{n}", "memory end", n) for n in sizes])
    for name, (text, code) in ended.items():
        check_tap(name, text, code)


def like_linux(lab):
    """system calls, bad pointers and /dev/xen behave as on Linux, at 8 MiB"""
    ended = run(lab, [("k-calls", "pointers calls flags store devices end", 8)])
    check_tap("k-calls", *ended["k-calls"])
    check("system call 41 is not there" in ended["k-calls"][0],
          "an unknown system call is not logged")


def cheap_vchan(lab):
    """a message over a vchan costs at most 6 hypercalls and 2 notifications"""
    lab.up()
    lab.host.must(create("k-vchan", "vchan end") +
                  f"{FOLDER}/stubprobe --client $(xl domid k-vchan) 1000\n" +
                  ENDED.format(name="k-vchan", tries=50), 60)
    check_tap("k-vchan", *outcome(lab, "k-vchan"))


def crashes_say_why(lab):
    """a wild program is stopped with cause and place, and the domain crashes"""
    ended = run(lab, [(f"k-{way}", f"--crash {way}", 8) for way in CRASHES])
    for way, cause in CRASHES.items():
        text, code = ended[f"k-{way}"]
        check(code == 3, f"{way}: reason {code}: {text[-1500:]}")
        check(cause in text, f"{way}: it does not say '{cause}': {text[-1500:]}")
        check(way == "abort" or PLACE.search(text), f"{way}: no place: {text}")


def shows(text, value):
    """whether text has these 8 bytes: as a number, as bytes, or four of them in a row"""
    forms = [f"{value:016x}", str(value), str(value - 2 ** 64), value.to_bytes(8, "little").hex()]
    forms += [form[at:at + 8] for form in forms for at in range(len(form) - 7)]
    return any(form in text.lower() for form in forms)


def crashes_keep_secrets(lab):
    """of a wild program's registers none but rip, rsp and cr2 is in dom0's logs"""
    ended = run(lab, [(f"k-{way}", f"--crash {way}", 8) for way in SECRET_CRASHES])
    xen = lab.host.run("xl dmesg | tail -n 200")[1]
    for way, cause in SECRET_CRASHES.items():
        text, code = ended[f"k-{way}"]
        check(code == 3 and cause in text and PLACE.search(text), f"{way}: {code}, {text}")
        check(not shows(text, SECRET) and not shows(xen, SECRET),
              f"{way}: a register of the program's is in dom0's log: {text[-1500:]}")


def places_differ(lab):
    """code, heap, mappings and stack are elsewhere at each start; relro is enforced"""
    domains = [(f"k-places{n}", "places end", 8) for n in range(3)]
    ended = run(lab, [*domains, ("k-relro", "--crash relro-write", 8)])
    found = []
    for name, _, _ in domains:
        check_tap(name, *ended[name])
        found.append(re.search(r"# places: code (\S+) heap (\S+) mapping (\S+) stack (\S+)",
                               ended[name][0]).groups())
    for n, what in enumerate(["code", "heap", "mapping", "stack"]):
        check(len({place[n] for place in found}) == len(found), f"{what} stays: {found}")
    text, code = ended["k-relro"]
    check(code == 3 and "page fault, write to 0x" in text, f"relro: {code}, {text}")


def nmi_panics(lab):
    """an NMI, on its own stack, is a panic with its place; then the domain crashes"""
    lab.up()
    lab.host.must(create("k-nmi", "--crash wait") +
                  "for i in $(seq 50); do grep -q wait /var/log/xen/console/guest-k-nmi.log "
                  "&& break; sleep 0.1; done\nxl trigger k-nmi nmi\n" +
                  ENDED.format(name="k-nmi", tries=50), 60)
    text, code = outcome(lab, "k-nmi")
    check(code == 3 and "stub: panic: NMI" in text and PLACE.search(text),
          f"reason {code}: {text}")


def exit_status(lab):
    """a program that ends with 0 powers off, with anything else it is a crash"""
    ended = run(lab, [("k-clean", "--crash clean", 8), ("k-status", "--crash status", 8)])
    check(ended["k-clean"][1] == 0, f"status 0: {ended['k-clean']}")
    text, code = ended["k-status"]
    check(code == 3 and "ended with status 3" in text, f"status 3: {ended['k-status']}")


def watchdog(lab):
    """Xen ends a domain that outlives its watchdog, and not one that has lifted it"""
    ended = run(lab, [("k-dog", "--crash watchdog", 8), ("k-nodog", "--crash watchdog-lifted", 8)])
    text, code = ended["k-dog"]
    check(code == 4 and "it lives" not in text, f"reason {code}: {text}")
    text, code = ended["k-nodog"]
    check(code == 0 and "it lives" in text, f"lifted: reason {code}: {text}")


CASES = [any_memory, like_linux, cheap_vchan, crashes_say_why,
         crashes_keep_secrets, places_differ, nmi_panics, exit_status, watchdog]

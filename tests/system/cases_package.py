# SPDX-License-Identifier: Apache-2.0
"""The Debian packages in a domain 0 that systemd runs: installed, started with the host,
upgraded under a guest, purged."""
import glob
import time

from cases_guests import still_there
from cases_keep import sealed
from cases_launch import wait_for, write_config
from lab import KINDS, STORE, check
from vhost import BUILD, TOP, build, made_here

DEBS = "/root/debs"
# On a real host it is another machine's.
KMS_UNIT = """[Unit]
Before=vtpmd.service
[Service]
Type=oneshot
RemainAfterExit=yes
Environment=PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
ExecStart=/usr/local/bin/kms start
[Install]
WantedBy=multi-user.target
"""


def prepare(lab):
    """A host whose domain 0 runs systemd, with the packages at hand."""
    lab.up()
    if lab.systemd:
        return
    build("-s", "deb")
    # The stub domain's package is one for all releases: the one that is made here.
    made_here("make", "-s", "deb")
    for kind, made in (("host", BUILD), ("stubdom", f"{TOP}/build")):
        lab.host.put(glob.glob(f"{made}/deb/xen-vtpm-{kind}_*.deb")[0],
                     f"{DEBS}/{kind}.deb")
    lab.host_init()
    lab.host.put(KMS_UNIT.encode(), "/etc/systemd/system/kms.service")
    lab.host.must("mkdir -p /etc/systemd/system/multi-user.target.wants /var/log/journal; "
                  "ln -sf ../kms.service /etc/systemd/system/multi-user.target.wants/; "
                  "touch /etc/vhost-systemd; sync")
    lab.systemd = True
    lab.reboot()


def dpkg(lab, words):
    """What it prints.  It would wait for the host's emulated disk after each file; what that
    takes, beside a guest that is busy, is no matter of ours."""
    return lab.host.must(f"dpkg --force-unsafe-io {words}", 600)


def main_pid(lab):
    return lab.host.must("systemctl show -P MainPID vtpmd").strip()


def says(lab, words):
    """What systemctl prints, whatever its status."""
    return lab.host.run(f"systemctl {words} 2>&1")[1].strip()


def install(lab):
    """dpkg installs them in domain 0 and starts nothing; programs, pages, unit are there"""
    prepare(lab)
    dpkg(lab, f"-i {DEBS}/stubdom.deb {DEBS}/host.deb")
    out = lab.host.must("dpkg-query -W -f '${Status}\\n' xen-vtpm-host xen-vtpm-stubdom; "
                        "dpkg --verify xen-vtpm-host xen-vtpm-stubdom")
    check(out.split("\n") == ["install ok installed"] * 2 + [""], f"after dpkg -i: {out}")
    check(says(lab, "is-active vtpmd") == "inactive", "vtpmd was started")
    check(says(lab, "is-enabled vtpmd") == "disabled", "vtpmd was enabled")
    lab.host.must("/usr/sbin/vtpmctl --version && /usr/sbin/vtpmctl --help >/dev/null && "
                  "/usr/sbin/vtpmd --version && [ -s /lib/systemd/system/vtpmd.service ] && "
                  "gzip -t /usr/share/man/man8/vtpmctl.8.gz && "
                  "[ -s /usr/share/bash-completion/completions/vtpmctl ]")


def enabled(lab):
    prepare(lab)
    lab.host.must("systemctl enable --now vtpmd", 200)
    check(says(lab, "is-active vtpmd") == "active", says(lab, "status vtpmd"))


UNIT = "xen-vtpm-guest@web1-launch"     # of /etc/xen/web1-launch.cfg, cases_launch's


def unit_launches(lab):
    """the unit of a guest launches it, and shuts it down; a guest that ended itself is no error"""
    enabled(lab)
    lab.vtpms("web1")
    if lab.running("web1"):
        lab.guest_down("web1")
    write_config(lab, "web1")
    for end in (f"systemctl stop {UNIT}", "xl shutdown -w web1"):
        lab.host.must(f"systemctl start {UNIT}", 200)
        check(wait_for(lab, "web1") == 0, f"web1 does not boot: {lab.console('web1', 15)}")
        check("0x" + "00" * 32 not in lab.ask("web1", "tpm2_pcrread sha256:4"), "not launched")
        mark = lab.console_mark("web1")
        lab.host.must(end, 200)
        check(not lab.running("web1"), f"{end}: web1 runs")
        lab.wait("its last words", lambda: "reboot: " in lab.console_since("web1", mark))
        lab.host.must(f"systemctl stop {UNIT}", 60)
        check(says(lab, f"is-failed {UNIT}") == "inactive", says(lab, f"status {UNIT}"))
    lab.host.must("mv /root/launch/vmlinux /root/launch/away")
    try:
        rc, out = lab.host.run(f"systemctl start {UNIT}", 200)
        check(rc, f"without a kernel the unit starts: {out}")
        out = lab.host.must(f"journalctl -u {UNIT} -n 20 -o cat --no-pager")
        check("/root/launch/vmlinux" in out, f"its journal: {out}")
    finally:
        lab.host.run(f"mv /root/launch/away /root/launch/vmlinux; systemctl stop {UNIT}; "
                     f"systemctl reset-failed {UNIT}")


def host_goes_down(lab):
    """`systemctl poweroff` ends guests, xl's and launched ones, then their vTPMs, in order"""
    enabled(lab)
    for name in ("web1", "web2"):
        sealed(lab, name)
    lab.guest_down("web1")
    write_config(lab, "web1")
    lab.host.must(f"systemctl enable --now {UNIT}", 200)
    check(wait_for(lab, "web1") == 0, f"web1 does not boot: {lab.console('web1', 15)}")
    lab.host.must("mkdir -p /etc/xen/auto && cp /etc/xen/web2.cfg /etc/xen/auto")
    marks = {name: lab.console_mark(name) for name in ("web1", "web2")}
    began = time.monotonic()
    lab.poweroff(240)   # Debian's xendomains waits 300 s for a domain that stays
    print(f"# the host was off after {time.monotonic() - began:.0f} s")
    lab.up()
    for name, mark in marks.items():
        out = lab.console_since(name, mark)
        check("reboot: " in out, f"{name} was not shut down: {out[-500:]}")
        lab.host.must(f"journalctl -b -1 -u vtpmd | grep 'vTPM {name}: .xl shutdown'")
        lab.host.must(f"journalctl -b -1 -u vtpmd | grep 'vTPM {name}: stopped'")


def host_comes_up(lab):
    """then vTPMs start by themselves, before the guests, xl's and launched ones, find theirs"""
    if not lab.host.alive() or not lab.running("web2"):
        host_goes_down(lab)
    out = lab.host.must("journalctl -b -u vtpmd -u xendomains -o short-monotonic --no-pager")
    check(out.index("vTPMs were started") < out.index("Starting Xen domain web2"), out)
    for name in ("web1", "web2"):
        lab.wait(f"{name}'s start", lambda: lab.running(name), 240)     # the unit's come last
        lab.host.must(f"guest wait --timeout 120 {name}", 150)
        check(lab.state(name) == "running", f"{name} is {lab.state(name)}")
        still_there(lab, name)
    check(says(lab, f"is-active {UNIT}") == "active", says(lab, f"status {UNIT}"))
    check("0x" + "00" * 32 not in lab.ask("web1", "tpm2_pcrread sha256:4"), "web1: not launched")
    lab.host.must(f"systemctl disable {UNIT}")
    kept = lab.host.must(f"journalctl -b VTPM_UUID={lab.uuid['web1']} -o json --no-pager")
    check('"VTPM_NAME":"web1"' in kept and '"MESSAGE_ID":' in kept, f"journald has {kept}")


AUTO = "/etc/xen-vtpm/auto"


def auto_folder(lab):
    """guests of /etc/xen-vtpm/auto start with the host; one that does not is a failed unit, till it can"""
    # xendomains, which measures nothing, has a file of one of them, too, and is refused
    enabled(lab)
    lab.host_init()
    names = ("pvh-auto", "pvh-late")
    for name in names:
        lab.create(name, "--measured")
    auto, late = (write_config(lab, name) for name in names)
    lab.host.must(f"mkdir -p {AUTO} /etc/xen/auto; ln -s {auto} {AUTO}/auto1.cfg; "
                  f"cp {auto} /etc/xen/auto/auto1.cfg; "
                  f"sed 's,^kernel=.*,kernel=\"/root/launch/late\",' {late} >{AUTO}/late1.cfg")
    lab.host.must("vtpmctl doctor | grep '^autostart *wrong .* auto1.cfg'", 60)
    try:
        lab.poweroff(240)
        lab.up()
        lab.wait("the guest of the link", lambda: lab.running("pvh-auto"), 240)
        check(wait_for(lab, "pvh-auto") == 0, f"it does not boot: {lab.console('pvh-auto', 15)}")
        check("0x" + "00" * 32 not in lab.ask("pvh-auto", "tpm2_pcrread sha256:4"), "not launched")
        check(says(lab, "is-active xen-vtpm-guest@auto1") == "active", "its unit is not active")
        out = lab.host.must("journalctl -b -u vtpmd -u xendomains -o cat --no-pager")
        check("pvh-auto) is refused: it was not measured" in out and "failed" in out, out)
        lab.wait("the unit's failure", lambda: says(lab, "is-failed xen-vtpm-guest@late1") ==
                 "failed", 120)
        check("xen-vtpm-guest@late1" in says(lab, "--failed --no-pager"), says(lab, "--failed"))
        out = lab.host.must("journalctl -b -u xen-vtpm-guest@late1 -o cat --no-pager")
        check("/root/launch/late cannot be read" in out, out)
        lab.host.must("ln -s vmlinux /root/launch/late")
        lab.wait("its next launch", lambda: lab.running("pvh-late"), 150)
        lab.wait("its unit", lambda: says(lab, "is-active xen-vtpm-guest@late1") == "active", 60)
        check(wait_for(lab, "pvh-late") == 0, f"it does not boot: {lab.console('pvh-late', 15)}")
        lab.host.must("rm /root/launch/late; systemctl stop xen-vtpm-guest@late1", 200)
        lab.host.run("systemctl start xen-vtpm-guest@late1", 60)
        again = "is-active xen-vtpm-guest-again@late1"
        lab.wait("the wait for the next one", lambda: says(lab, again) == "active", 30)
        lab.host.must("systemctl stop xen-vtpm-guest@late1")
        check(says(lab, again) == "inactive", f"after a stop it is {says(lab, again)}")
    finally:
        lab.host.run(f"rm -rf {AUTO} /etc/xen/auto/auto1.cfg; systemctl stop 'xen-vtpm-guest*@auto1' "
                     "'xen-vtpm-guest*@late1'; systemctl daemon-reload; systemctl reset-failed", 300)
        for name in names:
            lab.guest_down(name)
            lab.host.run(f"vtpmctl delete --yes --force {name}", 60)
            lab.uuid.pop(name, None)


def in_use(lab, name):
    """Commands of a guest that go on while vtpmd is ended and started."""
    lab.ask(name, "rm -f /tmp/enough /tmp/used; (for i in $(seq 400); do "
            "tpm2_getrandom --hex 4 >/dev/null || echo failed; echo done; "
            "[ -e /tmp/enough ] && break; done >/tmp/using 2>&1 </dev/null; "
            "mv /tmp/using /tmp/used) &")


def used(lab, name):
    """They end, none has failed, and there were some."""
    out = lab.ask(name, "touch /tmp/enough; until [ -e /tmp/used ]; do sleep 0.1; done; "
                  "sort /tmp/used | uniq -c").split()
    check(out[1::2] == ["done"] and int(out[0]) > 3, f"in {name}: {out}")


def undisturbed(lab, change):
    """change() makes another vtpmd; the stub domain and the guest on it go on."""
    lab.guests("web1")
    stub, pid = lab.host.must("xl domid vtpm-web1"), main_pid(lab)
    lab.ask("web1", "tpm2_pcrextend 16:sha256=" + "33" * 32)
    before = lab.ask("web1", "tpm2_pcrread sha256:16")
    in_use(lab, "web1")
    change()
    lab.wait("another vtpmd", lambda: main_pid(lab) not in (pid, "0") and
             says(lab, "is-active vtpmd") == "active", 60)
    lab.wait("vtpmd to know it", lambda: lab.state("web1") == "running")
    used(lab, "web1")
    after = lab.ask("web1", "tpm2_pcrread sha256:16; tpm2_nvdefine -Q -C o -s 8 0x1500077; "
                    "tpm2_nvundefine -Q -C o 0x1500077")
    check(before.strip() in after, f"PCR 16 was {before}, and is {after}")
    check(lab.host.must("xl domid vtpm-web1") == stub, "the stub domain is another one")


def restarts(lab):
    """systemctl restart, a kill and a reload disturb no vTPM that is in use"""
    enabled(lab)
    undisturbed(lab, lambda: lab.host.must("systemctl restart vtpmd", 100))
    undisturbed(lab, lambda: lab.host.must(f"kill -KILL {main_pid(lab)}"))
    pid = main_pid(lab)
    lab.host.must("systemctl reload vtpmd")
    check(main_pid(lab) == pid and says(lab, "is-active vtpmd") == "active",
          says(lab, "status vtpmd"))


def upgrade(lab):
    """an upgrade restarts vtpmd; the stub domain and the guest on it go on"""
    enabled(lab)
    undisturbed(lab, lambda: dpkg(lab, f"-i {DEBS}/stubdom.deb {DEBS}/host.deb"))


def doctor_looks(lab):
    """vtpmctl doctor warns when guests would be saved, and not shut down, with the host"""
    enabled(lab)
    ask = "vtpmctl doctor | grep '^xendomains '"
    lab.host.must(f"{ask} | grep ' ok  *guests are shut down'", 60)
    lab.host.must("sed -i 's/^XENDOMAINS_SAVE=.*/XENDOMAINS_SAVE=\"\\/var\\/lib\\/xen\\/save\"/' "
                  "/etc/default/xendomains")
    try:
        lab.host.must(f"{ask} | grep ' warning .*saved in /var/lib/xen/save when'", 60)
    finally:
        lab.host.must("sed -i 's/^XENDOMAINS_SAVE=.*/XENDOMAINS_SAVE=/' /etc/default/xendomains")


def asked_to_end(lab):
    """`xl shutdown` of a stub domain waits for its guest; `xl save` of one saves nothing"""
    lab.guests("web1")
    lab.host.must("xl shutdown vtpm-web1", 30)  # it would wait 60 s for an answer
    lab.ask("web1", "tpm2_getrandom --hex 8")
    check(lab.state("web1") == "running", f"it is {lab.state('web1')}, under its guest")
    lab.host.must("xl shutdown -w web1", 90)
    lab.wait("its end", lambda: not lab.running("vtpm-web1"))
    check(lab.state("web1") == "stopped", f"it is {lab.state('web1')}, without its guest")
    lab.start("web1")
    rc, out = lab.host.run("xl save vtpm-web1 /root/saved", 200)
    size = int(lab.host.must("stat -c %s /root/saved 2>/dev/null || echo 0"))
    lab.host.run("rm -f /root/saved")
    check(rc and size < 100000, f"xl save of a stub domain: status {rc}, {size} bytes: {out}")
    lab.guests("web1")
    lab.ask("web1", "tpm2_getrandom --hex 8")


def purge(lab):
    """a removal waits for guests and stops vTPMs; a purge keeps store, configuration, audit log"""
    enabled(lab)
    lab.guests("web1")
    kept = f"{STORE} /etc/xen-vtpm /var/log/xen-vtpm"
    ask = "dpkg --force-unsafe-io --remove xen-vtpm-host xen-vtpm-stubdom 2>&1"
    rc, out = lab.host.run(ask, 600)
    domid = lab.host.must("xl domid web1").strip()
    check(rc and f"guests use their TPMs: web1 (domain {domid})" in out, f"with a guest: {out}")
    lab.ask("web1", "tpm2_getrandom --hex 8")
    for name in KINDS:
        if lab.running(name):
            lab.guest_down(name)
    lab.start("web1")       # that it runs, though its guest is gone, is what is stopped
    lab.stop_vtpmd()
    rc, out = lab.host.run(ask, 600)
    check(rc and "stub domains run without vtpmd: " in out and "vtpm-web1" in out,
          f"without vtpmd: {out}")
    lab.start_vtpmd()
    out = dpkg(lab, "--remove xen-vtpm-host xen-vtpm-stubdom")
    check("stopping the vTPM web1" in out and not lab.running("vtpm-web1"), f"it says {out}")
    sums = f"find {kept} -type f | sort | xargs sha256sum"
    before = lab.host.must(sums)
    check("header" in before and "host.json" in before and "audit.log" in before, before)
    out = dpkg(lab, "--purge xen-vtpm-host xen-vtpm-stubdom")
    check(all(f"{folder} is kept" in out for folder in kept.split()), f"it says {out}")
    lab.host.must("[ ! -e /usr/sbin/vtpmctl ] && [ ! -e /usr/lib/xen-vtpm/vtpm-manager ]")
    check(lab.host.must(sums) == before, "files changed or went")
    dpkg(lab, f"-i {DEBS}/stubdom.deb {DEBS}/host.deb")
    lab.start_vtpmd()
    lab.start("web1")


def sandboxed(lab):
    """in its unit's sandbox vtpmd writes to no other files, has no other device, and rekeys"""
    enabled(lab)
    lab.guests("web1")
    pid = main_pid(lab)
    status = lab.host.must(f"grep -e ^CapBnd: -e ^NoNewPrivs: -e ^Seccomp: /proc/{pid}/status")
    check(status.split() == ["CapBnd:", "00000000002001e2", "NoNewPrivs:", "1", "Seccomp:", "2"],
          status)
    # who runs with vtpmd's view of the files, and in its control group
    inside = ("sh -c 'echo $$ >/sys/fs/cgroup/system.slice/vtpmd.service/cgroup.procs && "
              f"exec nsenter -t {pid} -m sh -c \"$1\"' sh")
    for what in ("touch /etc/x", "touch /usr/sbin/vtpmd", "touch /boot/x", "touch /var/lib/x",
                 "touch /sys/fs/cgroup/x", "echo 1 >/proc/sys/kernel/printk",
                 "head -c 1 /dev/mem", "head -c 1 /dev/kmsg", "ls /root/debs", "ls /lib/modules/*"):
        rc, out = lab.host.run(f"{inside} '{what}' 2>&1")
        check(rc, f"{what}: it may: {out}")
    lab.host.must(f"{inside} 'touch {STORE}/x /run/xen-vtpm/x /var/log/xen-vtpm/x /var/log/xen/x; "
                  f"rm {STORE}/x /run/xen-vtpm/x /var/log/xen-vtpm/x /var/log/xen/x'")
    lab.host.must("vtpmctl rekey web1 && vtpmctl rekey --deep web1", 120)
    lab.ask("web1", "tpm2_nvdefine -Q -C o -s 8 0x1500078; tpm2_nvundefine -Q -C o 0x1500078")


def process_serves(lab):
    """a manager that is a process of domain 0 gives up its rights, and serves a guest of Xen"""
    enabled(lab)
    lab.vtpms("web1")
    if lab.running("web1"):
        lab.guest_down("web1")
    lab.create("proc1", "--placement process")
    uuid = lab.uuid["proc1"]
    pid = lab.host.must("pgrep -f '^/usr/lib/xen-vtpm/vtpm-manager --user'").strip()
    status = lab.host.must(f"grep -e ^Uid: -e ^CapEff: -e ^CapBnd: -e ^Seccomp: /proc/{pid}/status")
    user = lab.host.must("id -u _vtpm").strip()
    check(status.split() == ["Uid:", user, user, user, user, "CapEff:", "0" * 16,
                             "CapBnd:", "0" * 16, "Seccomp:", "2"], status)
    check(not lab.host.must(f"ls -A /proc/{pid}/root/"), "its root is not empty")
    for _ in range(2):
        lab.host.must("guest start --timeout 90 web1 pv --driver own "
                      f"--vtpm 'backend=0,uuid={uuid}'", 150)
        lab.ask("web1", "tpm2_pcrextend 16:sha256=" + "44" * 32)
        lab.ask("web1", "tpm2_nvdefine -Q -C o -s 8 0x1500079; tpm2_nvundefine -Q -C o 0x1500079")
        lab.host.must("vtpmctl rekey --deep proc1", 60)
        lab.ask("web1", "tpm2_createprimary -Q -C o -c /tmp/p.ctx")
        lab.guest_down("web1")
    check(lab.host.must("pgrep -f '^/usr/lib/xen-vtpm/vtpm-manager --user'").strip() == pid,
          "it is another process")
    lab.host.must("vtpmctl delete --yes proc1", 60)


def crb_status(lab):
    """The vtpm-crb's pid, and what it may do."""
    pid = lab.host.must("pgrep -x vtpm-crb").strip()
    status = lab.host.must(f"grep -e ^Uid: -e ^CapEff: -e ^CapBnd: -e ^NoNewPrivs: -e ^Seccomp: "
                           f"/proc/{pid}/status").split()
    files = lab.host.must(f"readlink /proc/{pid}/fd/* | sort -u").split()
    return pid, status, files


def hvm_goes_on(lab):
    """no command of an HVM guest fails as vtpm-crb and vtpmd are killed and restarted"""
    enabled(lab)
    name = "hvm1"
    lab.vtpms(name)
    lab.hvm_up(name, vtpm_line=f"backend=vtpm-{name},uuid={lab.uuid[name]}")
    try:
        pid, status, files = crb_status(lab)
        user = lab.host.must("id -u _vtpm").strip()
        check(status == ["Uid:", user, user, user, user, "CapEff:", "0" * 16, "CapBnd:", "0" * 16,
                         "NoNewPrivs:", "1", "Seccomp:", "2"], f"vtpm-crb has {status}")
        check(not lab.host.must(f"ls -A /proc/{pid}/root/"), "its root is not empty")
        check(set(files) == {"/dev/null", "/dev/xen/evtchn", "/dev/xen/privcmd"}, f"{files}")
        # the vtpmd that starts the last ones has the descriptors from systemd
        lab.host.must("(for i in 1 2 3 4; do sleep 4; pkill -9 vtpm-crb && echo $i; sleep 2; "
                      "[ $i = 2 ] && systemctl restart vtpmd; [ $i = 3 ] && "
                      "systemctl kill -s KILL --kill-who=main vtpmd; done) "
                      ">/tmp/killed 2>&1 & echo begun")
        out = lab.ask(name, "bad=0; for i in $(seq 40); do tpm2_getrandom --hex 8 >/dev/null || "
                            "bad=$((bad + 1)); done; echo failed: $bad", 300)
        check("failed: 0" in out, out)
        lab.wait("four kills", lambda: lab.host.must("cat /tmp/killed").split() ==
                 ["1", "2", "3", "4"], 60)
        lab.wait("vtpmd", lambda: says(lab, "is-active vtpmd") == "active", 60)
        out = lab.host.must("pgrep -ax vtpm-crb")
        check(" resume " in out, f"it is {out}")
        # the guest's TPM is lost with its stub domain, and each command fails at once
        lab.host.must(f"xl destroy vtpm-{name}", 60)
        lab.wait("vtpmd to say so", lambda: lab.host.run(
            "journalctl -b -u vtpmd | grep 'its stub domain ended under HVM domain'")[0] == 0)
        out = lab.ask(name, "time -p tpm2_getrandom --hex 8 2>&1; echo status: $?")
        check("status: 0" not in out, out)
        took = float(out.split("real")[1].split()[0])
        check(took < 10, f"a command of a TPM that is lost took {took} s")
    finally:
        lab.guest_down(name)


CASES = [install, unit_launches, host_goes_down, host_comes_up, auto_folder, sandboxed, process_serves,
         restarts, upgrade, hvm_goes_on, doctor_looks, asked_to_end, purge]

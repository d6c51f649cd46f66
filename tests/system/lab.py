# SPDX-License-Identifier: Apache-2.0
"""What the acceptance tests share: one virtual host with a KMS, vtpmd, vTPMs
and guests, and the words in which the tests are written."""
import functools
import json
import os
import re
import shutil
import struct
import time

from agentlink import HostError
from hvmdisk import make_disk
from vhost import SUITE, TOP, VHost, build, build_folder, images, made_here

HOST_INIT = ("vtpmctl host init --kms kmip://127.0.0.1:5696 --kms-ca /root/kms/ca.pem "
             "--kms-cert /root/kms/host.pem --kms-key /root/kms/host.key --kms-key-id {key}")
STORE = "/var/lib/xen-vtpm"
VTPMD_LOG = "/var/log/vtpmd.log"
HVM_DISK = "/boot/guest/hvm.img"    # copied for each HVM guest
OUR_BIOS = "/usr/lib/xen-vtpm/xen-vtpm-seabios.bin"
EXTRA = "payload/usr/lib/vhost/guest-extra.cpio"    # VHost.make_guest_initrd's
KINDS = {"web1": "pv", "web2": "pvh"}
USER_MAC = "52:54:00:00:0a:01"
# QEMU's nested virtualization now and then saves the host's registers as the
# guest's.  Xen then shows its own code segment and addresses in the dump of a guest
# that it has to kill: no guest can have them, whatever runs in it.
# Or it cannot deliver the next interrupt when the guest goes on behind an exit to Xen: a triple
# fault at an instruction that cannot fault, where Linux has written that it is done with an
# interrupt (rcx: the x2APIC's EOI), or behind RDTSC (follows_rdtsc).  The stub domain's kernel
# lies below ffffffff81000000 and has no APIC: its faults count.
# Or it has the like in Linux's first milliseconds, before the processor is set up (cr4:
# no more than PAE and PGE): when 100000 reads of a timer that is not there, and an exit
# to Xen for each, are to tell the processor's speed.
HOST_SAVED = re.compile(r"RIP: +e008:\[<ffff82d0[^\n]*\n[^\n]*CONTEXT: hvm guest \(d(?P<domain>\d+)v")
TRIPLE_FAULT = re.compile(
    r"Triple fault[^\n]*\n(?:\(XEN\) [-*C][^\n]*\n)*\(XEN\) RIP: +0010:\[<(?P<rip>ffffffff81[0-9a-f]+)>"
    r"[^\n]*\n[^\n]*CONTEXT: hvm guest \(d(?P<domain>\d+)v[^\n]*\n"
    r"[^\n]*rcx: (?P<rcx>[0-9a-f]+)\b(?:[^\n]*\n){5}[^\n]*cr4: (?P<cr4>[0-9a-f]+)\b")
ENDED = re.compile(r"Triple fault|Domain \d+ .*crashed on cpu")


class Failure(Exception):
    """A test's finding: what should hold and does not."""


def check(holds, message):
    if not holds:
        raise Failure(message)


@functools.cache
def guest_kernel():
    with open(f"{images()}/vmlinux", "rb") as f:
        return f.read()


def follows_rdtsc(address):
    """Whether an address of the guests' kernel is the one behind RDTSC, of 5 bytes with what
    Linux reserves to change it."""
    kernel = guest_kernel()
    offset, size, count = (struct.unpack_from(kind, kernel, at)[0]
                           for kind, at in (("<Q", 32), ("<H", 54), ("<H", 56)))
    for n in range(count):      # program headers of an ELF64
        at, start, length = struct.unpack_from("<8xQQ8xQ", kernel, offset + n * size)
        if start + 5 <= address < start + length:
            return kernel[at + address - start - 5:at + address - start].startswith(b"\x0f\x31")
    return False


def is_qemus_fault(fault):
    """Whether a triple fault (of TRIPLE_FAULT) is one that no guest can have."""
    return int(fault["rcx"], 16) == 0x80b or int(fault["cr4"], 16) == 0xa0 or \
        follows_rdtsc(int(fault["rip"], 16))


def make_payload(folder, suite):
    """What `make install` installs, and the tests' own programs for dom0."""
    built_in = build_folder(suite)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    build("-s", "install", f"DESTDIR=build/{os.path.relpath(folder, built_in)}", suite=suite)
    for program in ("hostile-front", "front-asks", "wiretap.so", "nounpause.so", "stubprobe"):
        built = f"{built_in}/bin/{program}"
        if os.path.exists(built):
            os.makedirs(f"{folder}/usr/lib/vhost", exist_ok=True)
            shutil.copy(built, f"{folder}/usr/lib/vhost/")
    # The stub domain is one file for all releases: the one that is made here.
    made_here("make", "-s", "install-stubdom", "install-manager", f"DESTDIR={folder}")
    return folder


class Lab:
    def __init__(self, workdir, log, suite=SUITE):
        """workdir: in the suite's build folder."""
        self.log, self.suite = log, suite
        shutil.rmtree(workdir, ignore_errors=True)
        os.makedirs(workdir)
        self.workdir = workdir
        self.peer = None        # another host, on a network with this one (pair())
        self.address = None     # there
        self.outside = None     # etcd and a KMS for both, on no host (outside.py)
        self.host = VHost(f"{workdir}/host", payload=make_payload(f"{workdir}/programs", suite),
                          log=log, suite=suite)
        self.host.guest_overlay += [f"{build_folder(suite)}/bin/{name}"
                                    for name in ("tpm12", "crb-fuzz", "gap")]
        self.uuid, self.key = {}, None
        self.luks_board = None  # of cases_luks' guest when it is an HVM guest
        self.systemd = False    # whether it is domain 0's first program
        self.served = False     # whether the services of the host that runs are up

    # -- the host -----------------------------------------------------------
    def up(self, tpm=None):
        """A running host with its services; does nothing when there is one."""
        if not (self.host.alive() and self.host.link):
            self.served = False
            self.host.power_cut()
            if tpm:
                self.host.tpm = self.host.path(tpm)
            self.host.boot(600 if self.systemd else 180)
        if not self.served:     # nor when a case before failed at that
            self.network_up()
            self.services()
            self.served = True

    def services(self):
        if self.systemd:
            return      # it starts what is enabled
        if not self.outside:
            self.kms("[ -e /root/kms/ca.pem ] || kms init")
            self.kms("kms start")
        if self.host.run("vtpmctl list >/dev/null 2>&1")[0]:
            self.start_vtpmd()

    def kms(self, command):
        """Commands for the KMS: `kms start` gives its server 240 s, `kms stop` 20 s."""
        return self.host.must(command, 330)

    def start_vtpmd(self, options="", preload=""):
        if self.systemd:
            self.host.must("systemctl start vtpmd", 200)
            return
        self.host.must("systemd-sysusers /usr/lib/sysusers.d/xen-vtpm.conf")
        self.host.must(f"{preload} setsid vtpmd --verbose {options} >>{VTPMD_LOG} 2>&1 "
                       "</dev/null & echo $! >/run/vtpmd.pid")
        rc, out = self.host.run("for i in $(seq 100); do vtpmctl list >/dev/null 2>&1 && exit 0; "
                                "sleep 0.1; done; vtpmctl list; exit 1", 60)
        check(rc == 0, f"vtpmd does not answer: {out}{self.tail(VTPMD_LOG)}")

    def pair(self, suite=SUITE):
        """Two hosts that run, on a network of their own: 10.9.0.1, and peer, 10.9.0.2, of that
        release.  Datagrams, so that a power cut of one costs the other no connection."""
        self.plug_in(suite)
        self.up()
        self.peer.up()

    def plug_in(self, suite=SUITE):
        """Their network, on hosts that are not up."""
        if self.peer and self.peer.suite != suite:
            self.peer.end()
            self.peer = None
        if not self.peer:
            self.peer = Lab(f"{build_folder(suite)}/vhost/{os.path.basename(self.workdir)}-peer",
                            lambda text: self.log(f"peer: {text}"), suite)
            for n, one, other in ((1, self, self.peer), (2, self.peer, self)):
                one.host.power_cut()
                # an emulated processor waits for the others of its host: with two on each
                # of both hosts, on two of the machine, a move took twice as long
                one.host.cpus = 1
                one.address = f"10.9.0.{n}"
                one.host.net = [
                    "-netdev", f"dgram,id=net0,local.type=unix,local.path={one.host.path('net')},"
                    f"remote.type=unix,remote.path={other.host.path('net')}",
                    "-device", f"virtio-net-pci,netdev=net0,mac=52:54:00:00:09:0{n},romfile="]

    def pool_pair(self, outside):
        """Two new hosts, with nothing on their disks and in their TPMs, that have also a network
        on which they reach what is outside of both."""
        self.plug_in()
        for one in (self, self.peer):
            one.host.power_cut()
            one.host.wipe()
            one.uuid, one.key, one.outside, one.systemd = {}, None, outside, False
            one.host.net += ["-netdev", "user,id=net1,ipv6=off", "-device",
                             f"virtio-net-pci,netdev=net1,mac={USER_MAC},romfile="]
        self.pair()

    def network_up(self):
        links = [(self.address, "52:54:00:00:09")] if self.address else []
        links += [("10.0.2.15", USER_MAC)] if self.outside else []
        for address, mac in links:
            self.host.must("modprobe virtio_net && "
                           f"f=$(grep -l {mac} /sys/class/net/*/address) && "
                           "dev=$(basename $(dirname $f)) && "
                           f"ip address replace {address}/24 dev $dev && ip link set $dev up")

    def stop_vtpmd(self, sig="TERM"):
        if self.systemd:
            self.host.must("systemctl stop vtpmd", 60)
            return
        self.host.run(f"kill -{sig} $(cat /run/vtpmd.pid); for i in $(seq 100); do "
                      "[ -e /proc/$(cat /run/vtpmd.pid) ] || break; sleep 0.1; done")

    def reboot(self, tpm=None):
        """An orderly reboot of the whole virtual host."""
        self.host.run("sync")
        self.host.power_cut()
        self.up(tpm)

    def poweroff(self, timeout):
        """What an operator does: domain 0 ends all that it runs, and the host is off."""
        check(self.systemd, "domain 0's first program is no systemd")
        self.host.run("systemctl poweroff --no-block")
        self.wait("the host's end", lambda: not self.host.alive(), timeout)
        self.host.power_cut()

    def tail(self, path, lines=15):
        return self.host.run(f"tail -n {lines} {path}")[1]

    def new_key(self):
        """An active key in the KMS, made once."""
        if not self.key:
            self.key = self.kms("kms key 2>/dev/null").split()[-1]
        return self.key

    def host_init(self, options=""):
        if self.host.run("[ -e /etc/xen-vtpm/host.json ]")[0]:
            self.host.must(f"{HOST_INIT.format(key=self.new_key())} {options}", 120)
            self.stop_vtpmd()
            self.start_vtpmd()

    # -- vTPMs --------------------------------------------------------------
    def vtpmctl(self, command, timeout=180):
        """(status, output of both streams)."""
        return self.host.run(f"vtpmctl {command} </dev/null", timeout)

    def create(self, name, options=""):
        out = self.host.must(f"vtpmctl create {options} {name} </dev/null 2>/tmp/create.err "
                             "|| { cat /tmp/create.err; exit 1; }", 180)
        self.uuid[name] = out.strip()
        return out

    def start(self, name):
        rc, out = self.vtpmctl(f"start {name}")
        check(rc == 0, f"vtpmctl start {name}: status {rc}: {out}")

    def stop(self, name):
        rc, out = self.vtpmctl(f"stop {name}")
        check(rc == 0, f"vtpmctl stop {name}: status {rc}: {out}")

    def show(self, name):
        rc, out = self.host.run(f"vtpmctl show --json {name}")
        check(rc == 0, f"vtpmctl show {name}: status {rc}: {out}")
        return json.loads(out)

    def figure(self, name, what):
        """A number that the manager tells of itself; a vtpmd that has just started
        has to hear it first."""
        self.wait(f"{what} of {name}", lambda: self.show(name).get(what) is not None)
        return self.show(name)[what]

    def state(self, name):
        return self.show(name).get("state")

    def console(self, name, lines=40):
        """The end of a domain's console, a guest's or a stub domain's."""
        text = self.host.run(f"tail -n {lines} /var/log/xen/console/guest-{name}.log")[1]
        return re.sub(r"\r", "", text)

    def console_mark(self, name):
        """Where a domain's console stands now: what comes later is new."""
        out = self.host.run(f"cat /var/log/xen/console/guest-{name}.log 2>/dev/null | wc -c")[1]
        return int(out.split()[-1])

    def console_since(self, name, mark):
        return self.host.run(f"tail -c +{mark + 1} /var/log/xen/console/guest-{name}.log")[1]

    def store_sums(self, name):
        folder = f"{STORE}/{self.uuid[name]}"
        return self.host.must(f"cd {folder} && sha256sum header* permall*")

    # -- guests -------------------------------------------------------------
    def guest_args(self, name, driver):
        vtpm = f",uuid={self.uuid[name]}" if name == "web2" else ""    # xl takes both lines
        kind = "pvh" if name.startswith("pvh") else KINDS.get(name, "pv")
        return (f"{name} {kind} --driver {driver} "
                f"--vtpm 'backend=vtpm-{name}{vtpm}'")

    def running(self, domain):
        return self.host.run(f"xl domid {domain}")[0] == 0

    def xen_console(self):
        """What Xen has written since this host booted."""
        try:
            with open(self.host.console, errors="replace") as f:
                return f.read().replace("\r", "")
        except FileNotFoundError:
            return ""

    def killed_by_qemu(self):
        """The numbers of the domains that QEMU has killed since then, in their order."""
        console = self.xen_console()
        kills = list(HOST_SAVED.finditer(console)) + \
            [fault for fault in TRIPLE_FAULT.finditer(console) if is_qemus_fault(fault)]
        return [int(kill["domain"]) for kill in sorted(kills, key=lambda kill: kill.start())]

    def ends_in_xen(self):
        """What Xen wrote of the last domains that it ended, or that had a triple fault."""
        lines = self.xen_console().splitlines()
        ends = [n for n, line in enumerate(lines) if ENDED.search(line)]
        return [line for n in ends[-3:] for line in lines[n:n + 18]]

    def died_booting(self, name, before):
        """Whether QEMU has killed a guest that was just started and does not answer: more
        domains than before.  Each death is told; afterwards it is not there."""
        if len(self.killed_by_qemu()) <= len(before):
            return False
        self.log(f"{name} died while it booted: QEMU has killed it")
        time.sleep(5)   # until xl has made another of it, after a triple fault
        self.host.run(f"xl destroy {name}")
        time.sleep(5)   # until its devices are gone, too
        return True

    def clear_away(self):
        """No guest is left, so that a case can begin again."""
        self.up()
        self.host.run("for d in $(xl list | awk 'NR > 2 && $1 !~ /^vtpm-/ {print $1}'); "
                      "do xl destroy $d; done", 120)
        self.wait("the guests' ends", lambda: not self.host.must(
            "xl list | awk 'NR > 2 && $1 !~ /^vtpm-/'").strip())
        time.sleep(5)   # until their devices are gone, too

    def boot_guest(self, name, args, timeout):
        """Starts a guest; one that QEMU kills is started again, three times at most."""
        start = f"guest start --timeout {timeout} {args}"
        for _ in range(4):
            before = self.killed_by_qemu()
            rc, out = self.host.run(start, timeout + 60)
            if not rc or not self.died_booting(name, before):
                break
        check(rc == 0, f"{start}: status {rc}: {out.strip()[-1500:]}")

    def guest_up(self, name, driver="own"):
        """A PV or PVH guest that runs."""
        if self.running(name):
            return
        if self.show(name)["guests"] != "all":   # once launched, it refuses this one
            self.stop(name)
            self.start(name)
        self.boot_guest(name, self.guest_args(name, driver), 90)

    def hvm_disk(self):
        """The disk of HVM guests, which they only read; made when it was not yet."""
        if self.host.run(f"[ -e {HVM_DISK} ]")[0]:
            cache, image = images(), self.host.path("hvm.img")
            make_disk(image, f"{cache}/vmlinuz",
                      [f"{cache}/guest.cpio", self.host.path(EXTRA)])
            self.host.put(image, HVM_DISK)

    def hvm_up(self, name, vtpm_line=None, bios=None, extra=None, wait=True, launch=False,
               uefi=None, disk=HVM_DISK):
        """Starts an HVM guest, which has minutes until it answers; its kernel's own TPM
        drivers are all that it has.  bios: a file in dom0, for Debian's SeaBIOS; extra: a
        line of its configuration; wait: until it answers; launch: by `vtpmctl launch`;
        uefi: a file in dom0, for a BIOS; disk: one that is there, for that with GRUB."""
        if disk == HVM_DISK:
            self.hvm_disk()
        options = f" --vtpm '{vtpm_line}'" if vtpm_line else ""
        options += f" --bios {bios}" if bios else ""
        options += f" --uefi {uefi} --memory 512" if uefi else ""
        options += f" --disk {disk}"
        options += f" --extra '{extra}'" if extra else ""
        options += ("" if wait else " --no-wait") + (" --launch" if launch else "")
        self.boot_guest(name, f"{name} hvm{options}", 900 if uefi else 420)

    def our_bios(self):
        """Where our SeaBIOS is in dom0, made when it was not yet."""
        made_here("make", "-s", "firmware")
        self.host.put(f"{TOP}/build/firmware/xen-vtpm-seabios.bin", OUR_BIOS)
        return OUR_BIOS

    def guest_down(self, name):
        self.host.must(f"guest stop --timeout 60 {name}", 90)

    def guest_reboot(self, name):
        before = self.killed_by_qemu()
        rc, out = self.host.run(f"guest reboot --timeout 120 {name}", 150)
        if rc and self.died_booting(name, before):
            self.guest_up(name)
        else:
            check(rc == 0, f"the reboot of {name}: status {rc}: {out.strip()[-1500:]}")

    def guest(self, name, command, timeout=90):
        """(status, output) of a shell command in a guest."""
        return self.host.guest(name, command, timeout)

    def ask(self, name, command, timeout=90):
        rc, out = self.guest(name, command, timeout)
        check(rc == 0, f"in guest {name}: {command}: status {rc}: {out.strip()[-1500:]}")
        return out

    # -- what most tests begin with ------------------------------------------
    def vtpms(self, *names):
        """vTPMs that run, on a host that is set up."""
        self.up()
        self.host_init()
        for name in names or KINDS:
            if name not in self.uuid:
                self.create(name)
            elif self.state(name) != "running":
                self.start(name)

    def guests(self, *names):
        self.vtpms(*names)
        for name in names or KINDS:
            self.guest_up(name)

    def end(self):
        self.host.stop()
        if self.peer:
            self.peer.end()
        if self.outside:
            self.outside.end()

    def diagnose(self):
        """Lines that help after a failure."""
        return self.diagnose_one() + \
            ([f"peer: {line}" for line in self.peer.diagnose_one()] if self.peer else [])

    def diagnose_one(self):
        if not self.host.alive():
            return ["the host is not running"] + self.host.console_tail(20)
        if not self.host.link:
            lines = ["its domain 0 has not come up"] + self.host.console_tail(20)
            self.host.power_cut()
            return lines
        try:
            text = self.host.run(
                f"xl list; vtpmctl list; echo '-- vtpmd'; grep -av '^<7>' {VTPMD_LOG} | tail -n 12"
                "; [ ! -e /run/systemd/private ] || journalctl -n 30 --no-pager"
                "; for f in /var/log/xen/console/guest-*.log; do echo \"-- $f\"; "
                "tail -n 12 $f; done; echo '-- dmesg'; dmesg | tail -n 5; "
                "echo '-- xen'; xl dmesg | tail -n 12", 60)[1]
        except HostError as e:
            xen = self.host.ask_xen()
            lines = [str(e)] + [line for line in xen if "RIP:" in line or "not answer" in line] + \
                self.host.console_tail(20) + xen
            self.host.power_cut()   # the next case begins with a host that answers
            return lines
        lines = [re.sub(r"[^\x20-\x7e]", "", line)[:160]
                 for line in text.splitlines() + ["-- ended in Xen"] + self.ends_in_xen()]
        return [line for line in lines if line and not line.startswith("@PONG")]

    def wait(self, what, test, timeout=30):
        end = time.monotonic() + timeout
        while not test():
            check(time.monotonic() < end, f"{what}: not after {timeout} s")
            time.sleep(0.3)

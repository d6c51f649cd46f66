# SPDX-License-Identifier: Apache-2.0
"""A virtual Xen host: QEMU under TCG, a real Xen, a PV dom0, swtpm as its TPM.

VHost(workdir) owns a folder with dom0's disk (an overlay over the cached image,
so it lives as long as the folder), the physical TPM's state, the payload disk
and the console's log.  boot(), run(), reboot(), power_cut(), stop().
"""
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

from agentlink import AgentLink, HostError

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
# The release of Debian that the host is made of (release.sh), and what is built for it.
SUITE = os.environ.get("VHOST_SUITE", "bookworm")


def build_folder(suite):
    return f"{TOP}/build" if suite == "bookworm" else f"{TOP}/build/{suite}"


BUILD = build_folder(SUITE)
# avx, xsave: with nested guests QEMU 7.2 mixes up whose AVX state the processor holds,
# and now and then a program of dom0 crashes of it.
CPU = os.environ.get("VHOST_CPU", "max,smap=off,la57=off,pku=off,rdtscp=off,"
                     "xsave=off,avx=off,avx2=off")
# Two virtual hosts at most on a machine, whoever starts them.
SLOTS = ["/tmp/vhost.0.lock", "/tmp/vhost.1.lock"]


def images(suite=SUITE):
    """The folder with the cached images; builds them when they are missing."""
    out = subprocess.run([f"{HERE}/image"], stdout=subprocess.PIPE, check=True,
                         env={**os.environ, "VHOST_SUITE": suite})
    return out.stdout.decode().strip().splitlines()[-1]


def made_here(*command, suite=SUITE):
    """What a command of this machine prints."""
    p = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env={**os.environ, "VHOST_SUITE": suite})
    if p.returncode:
        raise HostError(f"{' '.join(command)}: failed: {p.stdout.decode()[-1500:]}")
    return p.stdout.decode()


def build(*what, suite=SUITE):
    """make, for a host's release of Debian."""
    return made_here(f"{HERE}/build", *what, suite=suite)


def make_tpm(folder):
    """A new physical TPM, with its EK and platform certificates left out."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", folder, "--pcr-banks",
                    "sha1,sha256,sha384,sha512", "--createek", "--overwrite",
                    "--logfile", f"{folder}/setup.log"],
                   stdout=subprocess.DEVNULL, check=True)


def wait_for(what, test, timeout=30):
    end = time.monotonic() + timeout
    while not test():
        if time.monotonic() > end:
            raise HostError(f"{what}: not after {timeout} s")
        time.sleep(0.02)


class VHost:
    def __init__(self, workdir, payload=None, tpm="tpm", memory=5120, log=None, suite=SUITE):
        """payload: a tree to lay over dom0's root at each boot (programs)."""
        self.dir = os.path.abspath(workdir)
        self.payload, self.memory, self.suite = payload, memory, suite
        self.tpm = f"{self.dir}/{tpm}"
        self.console = f"{self.dir}/console.log"
        self.log = log or (lambda text: None)
        self.slot = self.link = None
        self.guest_overlay = []
        self.disks = []     # images that dom0 has as vdc, ...; they stay as they are
        self.cpus = 2
        self.net = []       # QEMU's options for a network (Lab.pair())
        os.makedirs(self.dir, exist_ok=True)

    # -- the pieces ---------------------------------------------------------
    def path(self, name):
        return f"{self.dir}/{name}"

    def pid(self, name):
        try:
            with open(self.path(f"{name}.pid")) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def alive(self, name="qemu"):
        pid = self.pid(name)
        return pid is not None and os.path.exists(f"/proc/{pid}/exe") and \
            self.dir.encode() in open(f"/proc/{pid}/cmdline", "rb").read()

    def take_slot(self, timeout=3600):
        """Held by QEMU itself, which inherits the descriptor."""
        end = time.monotonic() + timeout
        said = False
        while True:
            for name in SLOTS:
                fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return fd
                except OSError:
                    os.close(fd)
            if time.monotonic() > end:
                raise HostError("both slots for virtual hosts are taken")
            if not said:
                self.log("waiting for one of the two slots for virtual hosts")
                said = True
            time.sleep(0.5)

    def start_tpm(self):
        if not os.path.isdir(self.tpm):
            make_tpm(self.tpm)
        sock = self.path("swtpm.sock")
        if os.path.exists(sock):
            os.unlink(sock)
        proc = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.tpm}",
             "--ctrl", f"type=unixio,path={sock}", "--terminate",
             "--log", f"file={self.path('swtpm.log')},level=1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        with open(self.path("swtpm.pid"), "w") as f:
            f.write(str(proc.pid))
        wait_for("the physical TPM's socket", lambda: os.path.exists(sock))

    def make_payload(self):
        """The second disk: the programs, dom0's init and the agent."""
        tree = self.path("payload")
        shutil.rmtree(tree, ignore_errors=True)
        lib = f"{tree}/usr/lib/vhost"
        os.makedirs(lib)
        if self.payload:
            shutil.copytree(self.payload, tree, symlinks=True, dirs_exist_ok=True)
            # Debian's /lib is a link: what is laid over it goes where that leads.
            if os.path.isdir(f"{tree}/lib"):
                shutil.copytree(f"{tree}/lib", f"{tree}/usr/lib", dirs_exist_ok=True)
                shutil.rmtree(f"{tree}/lib")
        for name in os.listdir(f"{HERE}/dom0"):
            if name != "initrd-init":
                shutil.copy(f"{HERE}/dom0/{name}", lib)
        self.make_guest_initrd(tree)
        disk = self.path("payload.img")
        if os.path.exists(disk):
            os.unlink(disk)
        kib = sum(os.lstat(os.path.join(d, f)).st_size // 1024 + 8
                  for d, _, fs in os.walk(tree) for f in fs)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree,
                        disk, f"{kib * 5 // 4 + 16384}k"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def make_guest_initrd(self, tree):
        """Guests find our driver and vtpm-attest, when built, behind their initrd."""
        folder = build_folder(self.suite)
        ours = [f"{folder}/frontend/xen-tpmfront.ko", f"{folder}/bin/vtpm-attest"]
        extra = self.path("guest-extra")
        shutil.rmtree(extra, ignore_errors=True)
        os.makedirs(extra)
        for src in ours + self.guest_overlay:
            if os.path.exists(src):
                shutil.copy(src, extra)
        with open(f"{tree}/usr/lib/vhost/guest-extra.cpio", "wb") as f:
            names = "\n".join(["."] + sorted(os.listdir(extra)))
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=extra,
                           input=names.encode(), stdout=f, check=True)

    def make_disk(self, cache):
        for name, image in [("root", f"{cache}/root.img")] + self.extra_disks():
            if not os.path.exists(self.path(f"{name}.qcow2")):
                subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw",
                                "-b", image, self.path(f"{name}.qcow2")], check=True)

    def extra_disks(self):
        return [(f"disk{n}", image) for n, image in enumerate(self.disks)]

    # -- life ---------------------------------------------------------------
    def qemu_args(self, cache):
        # cache=writeback: the guest's flush reaches the host's page cache, which
        # survives SIGKILL.  So a power cut here loses what dom0's own page cache
        # held and had not written: what a missing fsync loses on a real machine.
        return ["qemu-system-x86_64", "-name", self.dir, "-accel", "tcg,thread=multi",
                "-machine", "q35", "-cpu", CPU,
                "-smp", str(self.cpus), "-m", str(self.memory), "-nodefaults", "-display", "none",
                "-no-reboot", "-serial", "chardev:xen",
                "-chardev", f"socket,id=xen,path={self.path('console.sock')},server=on,wait=off,"
                f"logfile={self.console}",
                "-kernel", f"{cache}/xen",
                "-initrd", f"{cache}/vmlinux console=hvc0 quiet,{cache}/dom0.cpio",
                "-append", "com1=115200 console=com1 noreboot=1 loglvl=all "
                "guest_loglvl=all dom0_mem=2048M,max:2048M sched=credit "
                f"dom0_max_vcpus={self.cpus}",
                "-drive", f"file={self.path('root.qcow2')},if=virtio,format=qcow2,cache=writeback",
                "-drive", f"file={self.path('payload.img')},if=virtio,format=raw,readonly=on",
                *[arg for name, _ in self.extra_disks() for arg in
                  ("-drive", f"file={self.path(name)}.qcow2,if=virtio,format=qcow2")],
                "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={self.path('agent.sock')},server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=vhost",
                "-chardev", f"socket,id=tpm,path={self.path('swtpm.sock')}",
                "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0",
                *self.net]

    def boot(self, timeout=180):
        """Starts the host and returns when dom0 runs commands and xl works."""
        if self.alive():
            raise HostError(f"{self.dir}: is running")
        began = time.monotonic()
        cache = images(self.suite)
        self.slot = self.slot or self.take_slot()
        self.make_disk(cache)
        self.make_payload()
        self.start_tpm()
        with open(self.path("qemu.log"), "w") as err:
            proc = subprocess.Popen(self.qemu_args(cache), stdin=subprocess.DEVNULL,
                                    stdout=err, stderr=err, start_new_session=True,
                                    pass_fds=[self.slot])
        with open(self.path("qemu.pid"), "w") as f:
            f.write(str(proc.pid))
        self.proc = proc
        wait_for("QEMU", self.alive, 5)
        self.connect(timeout)
        rc, out = self.run("while [ ! -e /run/xen-ready ]; do sleep 0.1; done; xl list", timeout)
        if rc:
            raise HostError(f"xl does not work in dom0: {out}")
        self.log(f"virtual Xen host up after {time.monotonic() - began:.0f} s")

    def connect(self, timeout=180):
        self.link = AgentLink(self.path("agent.sock"), self.path("agent.lock"),
                              timeout, self.alive)

    def run(self, command, timeout=60, data=None, stream=None):
        """(status, output) of a shell command in dom0; data is its input."""
        return self.link.run(command, timeout, data, stream)

    def start(self, command, stream=None):
        """Starts a command that goes on; wait() or kill() what it returns."""
        return self.link.start(command, stream)

    def guest(self, name, command, timeout):
        """(status, output) of a shell command in a guest."""
        return self.link.guest(name, command, timeout)

    def must(self, command, timeout=60, data=None):
        rc, out = self.run(command, timeout, data)
        if rc:
            raise HostError(f"{command}: status {rc}: {out.strip()[-2000:]}")
        return out

    def put(self, source, dest):
        data = source if isinstance(source, bytes) else open(source, "rb").read()
        self.must(f"mkdir -p \"$(dirname '{dest}')\" && cat >'{dest}'", 120, data)
        if not isinstance(source, bytes) and os.access(source, os.X_OK):
            self.must(f"chmod +x '{dest}'")

    def get(self, path):
        rc, out = self.link.run_bytes(f"cat '{path}'", 120)
        if rc:
            raise HostError(f"{path}: cannot read it: {out[-200:]!r}")
        return out

    def power_cut(self):
        """What a cut of the mains does: nothing is written any more."""
        if self.link:
            self.link.close()
            self.link = None
        for name in ("qemu", "swtpm"):
            pid = self.pid(name)
            if pid and self.alive(name):
                if name == "qemu":
                    os.kill(pid, signal.SIGKILL)
                # swtpm ends by itself when QEMU's connection is gone.
                self.wait_gone(name, pid)

    def wait_gone(self, name, pid):
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            wait_for(f"the end of {name}", lambda: not self.alive(name))

    def wipe(self):
        """Another host in its place: an empty disk, and a new TPM, at the next boot."""
        for name in ["root"] + [name for name, _ in self.extra_disks()]:
            if os.path.exists(self.path(f"{name}.qcow2")):
                os.unlink(self.path(f"{name}.qcow2"))
        shutil.rmtree(self.tpm, ignore_errors=True)

    def stop(self):
        """An orderly end: everything dom0 holds is written first."""
        if self.alive() and self.link:
            self.run("sync; mount -o remount,ro / 2>/dev/null; sync", 60)
        self.power_cut()
        if self.slot is not None:
            os.close(self.slot)
            self.slot = None

    def reboot(self):
        self.run("sync", 60)
        self.power_cut()
        self.boot()

    def ask_xen(self, keys="dq0", seconds=10):
        """Lines that Xen writes for its debug keys, when domain 0 does not answer.  d: what each
        processor runs; q: the domains; 0: domain 0's registers."""
        seen = b""
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(1)
                sock.connect(self.path("console.sock"))
                sock.sendall(b"\x01" * 3)   # from now on Xen reads, not domain 0
                for key in keys:
                    sock.sendall(key.encode())
                    end = time.monotonic() + seconds
                    while time.monotonic() < end:
                        try:
                            seen += sock.recv(65536)
                        except socket.timeout:
                            break
        except OSError as e:
            return [f"Xen's console: {e}"]
        return seen.decode(errors="replace").replace("\r", "").splitlines() or \
            ["Xen does not answer on its console"]

    def console_tail(self, lines=30):
        """Nothing of a host that has not been up."""
        try:
            with open(self.console, errors="replace") as f:
                return f.read().splitlines()[-lines:]
        except FileNotFoundError:
            return []

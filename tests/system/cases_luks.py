# SPDX-License-Identifier: Apache-2.0
"""A Debian guest whose root is on LUKS2, unlocked by its vTPM: installed from our
package, enrolled with systemd-cryptenroll, kept out, rebooted."""
import os
import subprocess

from lab import check
from vhost import made_here

NAME, OTHER = "luks1", "luks2"
DISK = "/dev/vdc"
BOOT = "/root/luks"     # the guest's kernel and initial RAM disks, in dom0
# In the initial RAM disk, before cryptsetup: measures something into PCR 16.
EXTEND_UNIT = """[Unit]
DefaultDependencies=no
Wants=dev-tpmrm0.device
After=dev-tpmrm0.device
Before=cryptsetup-pre.target systemd-cryptsetup@root.service
[Service]
Type=oneshot
Environment=TPM2TOOLS_TCTI=device:/dev/tpmrm0
ExecStart=/usr/bin/tpm2_pcrextend 16:sha256=%s
""" % ("22" * 32)
CMDLINE = ("console=hvc0 root=/dev/mapper/root rd.shell=0 rd.emergency=halt "
           "systemd.show_status=false systemd.log_target=kmsg printk.devkmsg=on")
PV = f"""type="pv"
kernel="{BOOT}/vmlinux"
ramdisk="{BOOT}/{{initrd}}"
extra="{CMDLINE}"
"""
CONFIG = """name="{name}"
{board}memory=1024
vcpus=1
disk=["format=raw,vdev={disk},script=/usr/lib/vhost/block,target={device}"{more}]
vtpm=["backend=vtpm-{vtpm},uuid={uuid}"]
on_reboot="restart"
"""


def overlay(folder):
    """An archive that adds EXTEND_UNIT to an initial RAM disk."""
    units = f"{folder}/etc/systemd/system"
    os.makedirs(f"{units}/sysinit.target.wants", exist_ok=True)
    with open(f"{units}/extend.service", "w") as f:
        f.write(EXTEND_UNIT)
    link = f"{units}/sysinit.target.wants/extend.service"
    if not os.path.lexists(link):
        os.symlink("../extend.service", link)
    names = "\n".join(os.path.relpath(os.path.join(d, n), folder)
                      for d, ds, fs in os.walk(folder) for n in ds + fs)
    return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=folder,
                          input=names.encode(), stdout=subprocess.PIPE, check=True).stdout


def prepare(lab, *vtpms):
    """A host with the guest's disk as vdc, made once, and vTPMs."""
    if not lab.host.disks:
        lab.luks = made_here("tests/system/luks/image").split()[-1]
        lab.host.disks.append(f"{lab.luks}/disk.img")
        if lab.host.alive():
            lab.reboot()
    lab.vtpms(*vtpms)
    lab.host.must("modprobe xen-blkback")
    if lab.host.run(f"[ -e {BOOT}/ready ]")[0] == 0:
        return
    for name in ("vmlinux", "initrd", "key.cpio", "key"):
        lab.host.put(f"{lab.luks}/{name}", f"{BOOT}/{name}")
    lab.host.put(overlay(lab.host.path("luks-overlay")), f"{BOOT}/extend.cpio")
    lab.host.must(f"cd {BOOT} && cat initrd key.cpio >initrd.enrol && "
                  "cat initrd extend.cpio >initrd.extended && touch ready")


def disks(lab):
    """The names of the disk with LUKS and of one more; to an HVM guest Xen would show the
    first four as disks of the board, too."""
    return ("xvdg", "xvdh") if lab.luks_board else ("xvda", "xvdb")


def create(lab, initrd, vtpm=NAME, more=""):
    """Creates the guest; returns where its console begins."""
    lab.host.run(f"xl destroy {NAME} 2>/dev/null")
    lab.wait("the end of the guest", lambda: not lab.running(NAME))
    mark = lab.console_mark(NAME)
    if lab.luks_board:      # of an HVM guest: cases_hvmluks
        board, boot_disk = lab.luks_board(lab, initrd)
        more = f",{boot_disk}{more}"
    else:
        board = PV.format(initrd=initrd)
    config = CONFIG.format(name=NAME, board=board, disk=disks(lab)[0], device=DISK, vtpm=vtpm,
                           more=more, uuid=lab.uuid[vtpm])
    lab.host.must(f"cat >/etc/xen/{NAME}.cfg && xl create /etc/xen/{NAME}.cfg", 90,
                  config.encode())
    return mark


def boot(lab, initrd, vtpm=NAME, more=""):
    mark = create(lab, initrd, vtpm, more)
    rc, out = lab.host.run(f"guest wait --timeout {boot_time(lab)} {NAME}", boot_time(lab) + 20)
    if rc:
        said = [line for line in lab.console_since(NAME, mark).splitlines()
                if "cryptsetup" in line or "tpm" in line.lower()]
        check(False, "\n".join([f"the guest does not boot: {out}"] + said[-30:]))
    has_tpm(lab)


def has_tpm(lab):
    """libtss2 gives its first command a second, which a guest that has just begun to answer
    and has more to start may not have here."""
    lab.ask(NAME, "for i in $(seq 60); do tpm2_getrandom --hex 1 >/tmp/tpm 2>&1 && exit; "
                  "echo $(cut -d ' ' -f 1 /proc/uptime /proc/loadavg) $(head -n 1 /tmp/tpm); sleep 1; "
                  "done; ls -l /dev/tpm*; dmesg | tail -n 20; "
                  "ps axo stat,wchan:30,time,comm | awk '$1 !~ /^[SI]/ || /tpm/'; exit 1", 250)


def boot_time(lab):
    """Seconds that a guest has until it answers."""
    if not lab.luks_board:
        return 300
    return 1100 if lab.luks_uefi else 580


def reboot(lab):
    """From inside."""
    lab.host.must(f"guest reboot --timeout {boot_time(lab)} {NAME}", boot_time(lab) + 20)
    has_tpm(lab)


def on_luks(lab):
    """The root file system is the one on the LUKS2 disk."""
    out = lab.ask(NAME, "lsblk -rno NAME,TYPE,MOUNTPOINT; cat /etc/crypttab")
    check("root crypt /" in out, f"its disks are {out}")
    check("tpm2-device=auto" in out, f"its crypttab is {out}")


def stays_locked(lab, mark, why, sentence):
    """The root file system is not opened, and systemd says why."""
    def refused():
        text = lab.console_since(NAME, mark)
        check("@READY" not in text, f"with {why} the disk opens")
        return "Failed to start systemd-cryptsetup@root.service" in text
    lab.wait(f"the refusal with {why}", refused, boot_time(lab))
    text = lab.console_since(NAME, mark)
    said = [line for line in text.splitlines() if "systemd-cryptsetup[" in line]
    check(any(sentence in line for line in said), f"with {why} it says {said}")
    lab.host.must(f"xl destroy {NAME}", 60)


def enrol_tpm(lab, pcrs):
    """The guest that runs has systemd enrol its TPM, with these PCRs."""
    on_luks(lab)
    key = lab.host.must(f"base64 -w 0 {BOOT}/key").strip()
    lab.ask(NAME, f"echo {key} | base64 -d >/run/key; PASSWORD= systemd-cryptenroll "
            f"--unlock-key-file=/run/key --tpm2-device=auto --tpm2-pcrs={pcrs} --wipe-slot=tpm2 "
            f"/dev/{disks(lab)[0]}; rc=$?; rm /run/key; exit $rc", 150)
    out = lab.ask(NAME, f"cryptsetup luksDump /dev/{disks(lab)[0]} | sed -n '/^Tokens/,/^Digests/p'")
    check("systemd-tpm2" in out and pcrs in out, f"the tokens are {out}")


def enrol(lab):
    """a Debian guest on LUKS2, our DKMS package in its initial RAM disk, enrols PCRs 7+16"""
    prepare(lab, NAME)
    boot(lab, "initrd.enrol")
    out = lab.ask(NAME, "dpkg-query -W -f '${Status}\\n' xen-vtpm-guest-dkms; "
                  "dkms status 2>/dev/null; modinfo -n xen-tpmfront; modinfo -F srcversion xen-tpmfront; "
                  "cat /sys/module/xen_tpmfront/srcversion; ls /dev/tpmrm0")
    lines = out.split("\n")
    check(lines[0] == "install ok installed" and "installed" in lines[1] and
          "/updates/dkms/" in lines[2], f"the package in the guest: {out}")
    check(lines[3] == lines[4], f"the initial RAM disk loaded another module: {out}")
    enrol_tpm(lab, "7+16")
    lab.host.must(f"guest stop {NAME}", 150)
    lab.enrolled = True


def enrolled(lab, *vtpms):
    """A disk that the guest's vTPM unlocks, from an earlier case or now."""
    if not hasattr(lab, "enrolled"):
        enrol(lab)
    prepare(lab, NAME, *vtpms)


def measured_otherwise(lab):
    """with something else in PCR 16, extended in the initial RAM disk, root stays locked"""
    enrolled(lab)
    mark = create(lab, "initrd.extended")
    stays_locked(lab, mark, "another PCR 16", "policy digest does not match")


def another_vtpm(lab):
    """with another vTPM, PCRs alike, root stays locked"""
    enrolled(lab, OTHER)
    mark = create(lab, "initrd", OTHER)
    stays_locked(lab, mark, "another vTPM", "TPM2 operation failed")


def unlocks(lab):
    """the vTPM alone, restarted in between, unlocks root"""
    enrolled(lab)
    lab.stop(NAME)
    lab.start(NAME)
    boot(lab, "initrd")
    on_luks(lab)
    lab.host.must(f"guest stop {NAME}", 150)


def unlocks_again(lab):
    """the vTPM alone unlocks root, and once more after a reboot from inside"""
    enrolled(lab)
    boot(lab, "initrd")
    reboot(lab)
    on_luks(lab)
    lab.host.must(f"guest stop {NAME}", 150)


CASES = [enrol, unlocks, unlocks_again, measured_otherwise, another_vtpm]

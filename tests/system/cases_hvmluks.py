# SPDX-License-Identifier: Apache-2.0
"""The Debian guest on LUKS2 of cases_luks as an HVM guest: our SeaBIOS boots it from a disk
with GRUB, and its TPM is the board's.  Then the suites of others in it, and it by UEFI."""
import cases_conform
import cases_luks
import cases_uefi
from cases_luks import NAME
from hvmdisk import make_disk, make_efi_disk
from lab import check

VTPM = "suites"
# What SeaBIOS, the boot loader's sector, and their separators say.  Not 1: docs/hvm.md; and
# GRUB measures nothing into 8 and 9 on a BIOS.
PCRS = "0+4+7"
SERIAL = f"/var/log/xen/console/guest-{NAME}-serial.log"
# systemd's own 90 s are short for a disk that an emulated board brings.
# QEMU's emulator runs `rep stosb`, as Linux clears pages where there is erms, a byte at a time
# once interrupts come in between: a guest stands still for minutes.  Its pclmulqdq fails the
# kernel's own test.
CPUID = "host,xsave=0,avx=0,erms=0,pclmulqdq=0"
CMDLINE = (f"{cases_luks.CMDLINE} pci=noearly systemd.default_device_timeout_sec=400 "
           "systemd.default_timeout_start_sec=400")
INITRDS = {"initrd": ["initrd"], "initrd.enrol": ["initrd", "key.cpio"]}


def boot_disk(lab, initrd):
    """A disk in dom0 with GRUB, the kernel and that initial RAM disk, made once a host."""
    kind, make = ("efi", make_efi_disk) if lab.luks_uefi else ("boot", make_disk)
    path = f"/var/tmp/{kind}-{initrd}.img"
    if lab.host.run(f"[ -e {path} ]")[0]:
        image = lab.host.path("boot.img")
        make(image, f"{lab.luks}/vmlinuz", [f"{lab.luks}/{name}" for name in INITRDS[initrd]],
             CMDLINE)
        lab.host.put(image, path)
    return path


def board(lab, initrd):
    """(the lines that make the guest an HVM guest, its boot disk)."""
    lines = ['type="hvm"', f'cpuid="{CPUID}"', 'hdtype="ahci"', 'vga="none"', "vnc=0",
             'tsc_mode="native"', f'serial="file:{SERIAL}"']
    if lab.luks_uefi:
        lines += ['bios="ovmf"', f'bios_path_override="{cases_uefi.FIRMWARE}"']
    elif lab.luks_bios:
        lines += ['bios="seabios"', f'bios_path_override="{lab.luks_bios}"']
    disk = f'"format=raw,vdev=hda,access=rw,backendtype=qdisk,target={boot_disk(lab, initrd)}"'
    return "\n".join(lines) + "\n", disk


def on_board(case, uefi=False):
    """The case with the guest as an HVM guest of our SeaBIOS, or of OVMF."""
    def run(lab):
        cases_luks.prepare(lab, NAME, VTPM)
        lab.luks_board, lab.luks_uefi, lab.luks_bios = board, uefi, None
        if uefi:
            cases_uefi.firmware(lab)
        else:
            lab.luks_bios = lab.our_bios()
        try:
            case(lab)
        finally:
            lab.luks_board = None
    run.__name__, run.__doc__ = case.__name__, case.__doc__
    if not run.__name__.startswith("uefi"):
        run.__name__ = f"hvm_{case.__name__}"
    return run


@on_board
def enrol(lab):
    """a Debian HVM guest on LUKS2, with stock kernel and drivers, enrols PCRs 0, 4 and 7"""
    cases_luks.boot(lab, "initrd.enrol")
    out = lab.ask(NAME, "cat /sys/hypervisor/guest_type; ls -l /sys/class/tpm/tpm0/device/driver; "
                        "tpm2_pcrread sha256:0,4,7")
    check("HVM" in out and "tpm_crb" in out and "0x" + "00" * 32 not in out, out)
    cases_luks.enrol_tpm(lab, PCRS)
    lab.host.must(f"guest stop {NAME}", 150)
    lab.enrolled_hvm = True


@on_board
def unlocks(lab):
    """the vTPM alone unlocks an HVM guest's root, and once more after a reboot from inside"""
    check(hasattr(lab, "enrolled_hvm"), "hvm_enrol has not enrolled it")
    lab.stop(NAME)
    lab.start(NAME)
    cases_luks.boot(lab, "initrd")
    cases_luks.on_luks(lab)
    cases_luks.reboot(lab)
    cases_luks.on_luks(lab)
    lab.host.must(f"guest stop {NAME}", 150)


@on_board
def other_bios(lab):
    """with a BIOS that does not measure the root of an HVM guest stays locked"""
    check(hasattr(lab, "enrolled_hvm"), "hvm_enrol has not enrolled it")
    lab.luks_bios = None
    mark = cases_luks.create(lab, "initrd")
    cases_luks.stays_locked(lab, mark, "Debian's SeaBIOS", "policy digest does not match")


def uefi_enrols(lab):
    """the same guest, started by UEFI, enrols the firmware, the boot loader and its commands"""
    cases_luks.boot(lab, "initrd.enrol")
    out = lab.ask(NAME, "ls /sys/firmware; tpm2_pcrread sha256:4,7,8,9")
    check("efi" in out.split() and "0x" + "00" * 32 not in out, out)
    cases_luks.enrol_tpm(lab, "4+7+8")      # PCR 9 has the initial RAM disk, with the key here
    lab.host.must(f"guest stop {NAME}", 150)
    lab.enrolled_uefi = True


def uefi_unlocks(lab):
    """the vTPM alone unlocks a UEFI guest's root; with PCRs 4, 7, 8 and 9 after a reboot"""
    check(hasattr(lab, "enrolled_uefi"), "uefi_enrols has not enrolled it")
    cases_luks.boot(lab, "initrd")
    cases_luks.enrol_tpm(lab, "4+7+8+9")
    cases_luks.reboot(lab)
    cases_luks.on_luks(lab)
    out = lab.ask(NAME, "journalctl -b -o cat -u systemd-cryptsetup@root; ls /sys/firmware")
    check("efi" in out.split(), out)
    lab.host.must(f"guest stop {NAME}", 150)


CASES = [enrol, unlocks, other_bios] + [on_board(case) for case in (
    cases_conform.kernel, cases_conform.systemd, cases_conform.clevis, cases_conform.openssl,
    cases_conform.tools)] + [
        on_board(uefi_enrols, True), on_board(uefi_unlocks, True)]

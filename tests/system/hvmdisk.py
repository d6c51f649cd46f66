# SPDX-License-Identifier: Apache-2.0
"""The disk of an HVM guest: the BIOS starts GRUB from it, and GRUB Debian's kernel with
the test guests' initial RAM disk, which needs no other disk."""
import os
import shutil
import struct
import subprocess
import tempfile

GRUB = "/usr/lib/grub/i386-pc"
MODULES = ["biosdisk", "part_msdos", "fat", "linux", "normal", "configfile", "echo", "serial",
           "terminal"]
SECTOR = 512
START = 2048    # the partition's first sector; GRUB's core lies before it
# Each read of a PCI register is an exit to QEMU, and pci=noearly saves 8192 of them.
CMDLINE = "console=ttyS0 console=hvc0 quiet pci=noearly tpmfront=none"
CONFIG = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo "GRUB: loading"
linux /vmlinuz {cmdline}
initrd /initrd
echo "GRUB: starting Linux"
boot
"""
EFI_GRUB = "/usr/lib/grub/x86_64-efi"
EFI_MODULES = ["part_msdos", "fat", "normal", "configfile", "tpm", "chain"]
# The kernel is an EFI application, which the firmware measures and whose stub asks it for
# the event log.  GRUB measures this file and each command in it: there are few.
EFI_CONFIG = """chainloader /vmlinuz initrd=\\\\initrd {cmdline}
boot
"""
# Where GRUB of Debian looks, which asks shim whether the kernel is signed.
SIGNED_CONFIG = """linux /vmlinuz {cmdline}
initrd /initrd
boot
"""


def run(*command):
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


def make_partition_table(sectors, kind=0x0e):
    """A table with one active partition of FAT, and the boot sector's signature."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", START, sectors)
    return entry + bytes(48) + b"\x55\xaa"


def make_boot_loader(folder):
    """(GRUB's boot sector, what it loads from the sectors behind itself)."""
    with open(f"{folder}/early.cfg", "w") as f:
        f.write("configfile (hd0,msdos1)/grub.cfg\n")
    run("grub-mkimage", "-d", GRUB, "-O", "i386-pc", "-o", f"{folder}/core.img",
        "-p", "(hd0,msdos1)", "-c", f"{folder}/early.cfg", *MODULES)
    with open(f"{GRUB}/boot.img", "rb") as boot, open(f"{folder}/core.img", "rb") as core:
        return boot.read()[:440], core.read()


def pack(out, parts):
    """Joins archives to a small one: GRUB reads 32 KiB at a time, with 12 exits to QEMU each."""
    with open(out, "wb") as f:
        packer = subprocess.Popen(["zstd", "-q", "-9"], stdin=subprocess.PIPE, stdout=f)
        for part in parts:
            with open(part, "rb") as source:
                shutil.copyfileobj(source, packer.stdin)
        packer.stdin.close()
        if packer.wait():
            raise OSError("zstd: failed")


def make_file_system(image, sectors):
    run("mformat", "-i", image, "-T", str(sectors), "-h", "64", "-s", "32", "-c", "16", "::")


def make_disk(out, kernel, initrds, cmdline=CMDLINE):
    """Writes the disk's image; initrds are archives, one laid over the other."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as folder:
        pack(f"{folder}/initrd", initrds)
        shutil.copy(kernel, f"{folder}/vmlinuz")
        with open(f"{folder}/grub.cfg", "w") as f:
            f.write(CONFIG.format(cmdline=cmdline))
        files = [f"{folder}/{name}" for name in ("grub.cfg", "vmlinuz", "initrd")]
        boot, core = make_boot_loader(folder)
        sectors = (sum(map(os.path.getsize, files)) >> 20) + 8 << 11
        with open(out, "wb") as f:
            f.write(boot)
            f.seek(446)
            f.write(make_partition_table(sectors) + core)
            f.truncate((START + sectors) * SECTOR)
        make_file_system(f"{out}@@{START * SECTOR}", sectors)
        run("mcopy", "-i", f"{out}@@{START * SECTOR}", *files, "::/")


def make_system_partition(out, files):
    """Writes the image of a disk with an EFI System Partition: {path in it: a file here}."""
    sectors = (sum(map(os.path.getsize, files.values())) >> 20) + 8 << 11
    with open(out, "wb") as f:
        f.seek(446)
        f.write(make_partition_table(sectors, 0xef))
        f.truncate((START + sectors) * SECTOR)
    image = f"{out}@@{START * SECTOR}"
    make_file_system(image, sectors)
    run("mmd", "-i", image, "::/EFI", "::/EFI/BOOT", "::/EFI/debian")
    for path, file in files.items():
        run("mcopy", "-i", image, file, f"::{path}")


def make_efi_disk(out, kernel, initrds, cmdline=CMDLINE):
    """Writes the image of a disk from which the firmware starts GRUB, and GRUB the kernel's
    EFI stub."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as folder:
        pack(f"{folder}/initrd", initrds)
        with open(f"{folder}/early.cfg", "w") as f:
            f.write("configfile /grub.cfg\n")
        with open(f"{folder}/grub.cfg", "w") as f:
            f.write(EFI_CONFIG.format(cmdline=cmdline))
        run("grub-mkimage", "-d", EFI_GRUB, "-O", "x86_64-efi", "-o", f"{folder}/bootx64.efi",
            "-p", "/EFI/BOOT", "-c", f"{folder}/early.cfg", *EFI_MODULES)
        make_system_partition(out, {
            "/EFI/BOOT/BOOTX64.EFI": f"{folder}/bootx64.efi", "/grub.cfg": f"{folder}/grub.cfg",
            "/vmlinuz": kernel, "/initrd": f"{folder}/initrd"})


def make_signed_disk(out, kernel, initrds, signed, cmdline=CMDLINE):
    """Writes the image of a disk as Debian boots with Secure Boot: the firmware checks and
    starts shim, that GRUB, and that the kernel; signed: the folder that has the first two."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as folder:
        pack(f"{folder}/initrd", initrds)
        with open(f"{folder}/grub.cfg", "w") as f:
            f.write(SIGNED_CONFIG.format(cmdline=cmdline))
        make_system_partition(out, {
            "/EFI/BOOT/BOOTX64.EFI": f"{signed}/shimx64.efi.signed",
            "/EFI/BOOT/grubx64.efi": f"{signed}/grubx64.efi.signed",
            "/EFI/debian/grub.cfg": f"{folder}/grub.cfg",
            "/vmlinuz": kernel, "/initrd": f"{folder}/initrd"})

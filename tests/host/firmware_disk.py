# SPDX-License-Identifier: Apache-2.0
"""The disks that tests/long/qemu boots, with Debian's kernel and one program.

  firmware_disk.py bios OUT KERNEL PROGRAM    the BIOS starts GRUB, and GRUB Linux
  firmware_disk.py uefi OUT KERNEL PROGRAM    a GPT, and in its ESP one image of systemd's EFI
                                              stub, kernel, command line and initial RAM disk
  firmware_disk.py signed OUT KERNEL PROGRAM  shim, GRUB and kernel as Debian has signed them
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid
import zlib

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../system")
from hvmdisk import make_disk, make_signed_disk, run  # noqa: E402  pylint: disable=wrong-import-position

SECTOR = 512
START = 2048
STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
SIGNED = f"{os.path.dirname(os.path.abspath(__file__))}/../../build/signed"
CMDLINE = "console=ttyS0 quiet panic=-1"
ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
# Measured with the table: the same in each run.
DISK_GUID = uuid.UUID("7b0d1a56-0f6e-4c67-8f0a-2d5a4f4b3c01")
PART_GUID = uuid.UUID("7b0d1a56-0f6e-4c67-8f0a-2d5a4f4b3c02")


def make_initrd(out, program):
    """An archive with a console, and the program as init."""
    folder = f"{out}.d"
    os.makedirs(f"{folder}/dev")
    shutil.copy(program, f"{folder}/init")
    os.mknod(f"{folder}/dev/console", 0o20600, os.makedev(5, 1))
    # The same bytes in each run: they are measured.
    for path in (f"{folder}/init", f"{folder}/dev/console", f"{folder}/dev", folder):
        os.utime(path, (0, 0))
    with open(out, "wb") as f:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--reproducible"],
                       cwd=folder, input=b".\ndev\ndev/console\ninit\n", stdout=f, check=True)


def make_image(out, kernel, initrd, folder):
    """A unified kernel image: sections where systemd's stub of Debian 12 looks for them."""
    with open(f"{folder}/cmdline", "w") as f:
        f.write(CMDLINE)
    sections = {".cmdline": (f"{folder}/cmdline", 0x30000), ".linux": (kernel, 0x2000000),
                ".initrd": (initrd, 0x3000000)}
    options = []
    for name, (path, at) in sections.items():
        options += ["--add-section", f"{name}={path}", "--change-section-vma", f"{name}={at:#x}"]
    run("objcopy", *options, STUB, out)


def make_gpt(sectors):
    """(what precedes the partition, what follows it) on a disk of that many sectors: UEFI, 5.3."""
    entry = struct.pack("<16s16sQQQ72s", ESP_TYPE.bytes_le, PART_GUID.bytes_le, START,
                        sectors - 34, 0, "ESP".encode("utf-16-le"))
    entries = entry.ljust(128 * 128, b"\0")

    def header(own, other, table):
        fields = [b"EFI PART", 0x10000, 92, 0, 0, own, other, 34, sectors - 34,
                  DISK_GUID.bytes_le, table, 128, 128, zlib.crc32(entries)]
        layout = "<8sIIIIQQQQ16sQIII"
        fields[3] = zlib.crc32(struct.pack(layout, *fields))
        return struct.pack(layout, *fields).ljust(SECTOR, b"\0")

    protective = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1,
                                          sectors - 1) + bytes(48) + b"\x55\xaa"
    return (protective + header(1, sectors - 1, 2) + entries,
            entries + header(sectors - 1, 1, sectors - 33))


def make_uefi_disk(out, kernel, initrd, folder):
    image = f"{folder}/BOOTX64.EFI"
    make_image(image, kernel, initrd, folder)
    inner = (os.path.getsize(image) >> 20) + 8 << 11
    before, after = make_gpt(START + inner + 34)
    with open(out, "wb") as f:
        f.write(before)
        f.seek((START + inner + 1) * SECTOR)
        f.write(after)
    at = f"{out}@@{START * SECTOR}"
    # the volume's serial number and times are in no measurement
    run("mformat", "-i", at, "-T", str(inner), "-h", "64", "-s", "32", "-c", "16", "::")
    run("mmd", "-i", at, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", at, image, "::/EFI/BOOT/")


def main():
    kind, out, kernel, program = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(out))) as folder:
        initrd = f"{folder}/initrd"
        make_initrd(initrd, program)
        if kind == "bios":
            make_disk(out, kernel, [initrd])
        elif kind == "signed":
            make_signed_disk(out, kernel, [initrd], SIGNED, CMDLINE)
        else:
            make_uefi_disk(out, kernel, initrd, folder)


if __name__ == "__main__":
    main()

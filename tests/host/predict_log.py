# SPDX-License-Identifier: Apache-2.0
"""A boot by shim, GRUB and Xen as it is measured, of the files that are there.

  predict_log.py log ROOT KERNEL OUT    writes its event log; prints PCR and digest of each event
  predict_log.py pe OUT [BYTE]          writes an image that has a section, a certificate and more
"""
import hashlib
import struct
import sys

ACTION, SEPARATOR, IPL, TAG, APPLICATION = 0x80000007, 4, 0xd, 6, 0x80000003


def make_pe(byte):
    """PE32+: headers of 512 bytes, two sections, not in their order, data, a certificate."""
    data = bytes([byte]) * 512
    after, certificate = b"after all".ljust(16, b"\0"), b"certificate".ljust(32, b"\0")
    total = 512 + 2 * 512 + len(after)
    optional = struct.pack("<H58xIIHHQQQQII", 0x20b, 512, 0x12345678, 10, 0, 0, 0, 0, 0, 0, 16)
    directories = bytearray(16 * 8)
    struct.pack_into("<II", directories, 4 * 8, total, len(certificate))
    sections = b"".join(struct.pack("<8sIIII12xI", name, 512, 4096, 512, at, 0)
                        for name, at in ((b".data", 1024), (b".text", 512)))
    coff = struct.pack("<HHIIIHH", 0x8664, 2, 0, 0, 0, len(optional) + len(directories), 2)
    head = b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + coff
    head += optional + bytes(directories) + sections
    return head.ljust(512, b"\0") + data + bytes(512) + after + certificate


def pe_hash(image):
    """As the specification says, of an image of make_pe()."""
    optional = struct.unpack_from("<I", image, 0x3c)[0] + 24
    entry = optional + 112 + 4 * 8
    return hashlib.sha256(image[:optional + 64] + image[optional + 68:entry] +
                          image[entry + 8:-32]).digest()


def device_path(path):
    text = (path.replace("/", "\\") + "\0").encode("utf-16-le")
    return struct.pack("<BBH", 4, 4, 4 + len(text)) + text + b"\x7f\xff\x04\0"


class Log:
    def __init__(self):
        spec = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, 0xb, 32, 0)
        self.data = struct.pack("<II20xI", 0, 3, len(spec)) + spec

    def add(self, pcr, kind, digest, data):
        self.data += struct.pack("<IIIH", pcr, kind, 1, 0xb) + digest
        self.data += struct.pack("<I", len(data)) + data
        print(pcr, digest.hex())

    def told(self, pcr, kind, data):
        self.add(pcr, kind, hashlib.sha256(data).digest(), data)

    def image(self, path, name):
        with open(path, "rb") as f:
            digest = pe_hash(f.read())
        where = device_path(name)
        self.add(4, APPLICATION, digest, struct.pack("<QQQQ", 1, 2, 0, len(where)) + where)

    def text(self, kind, text):
        self.add(8, IPL, hashlib.sha256(text.encode()).digest(), f"{kind}: {text}\0".encode())

    def file(self, root, path):
        with open(root + path, "rb") as f:
            self.add(9, IPL, hashlib.sha256(f.read()).digest(), f"(hd0,gpt2){path}\0".encode())


def boot(root, kernel, out):
    log = Log()
    log.told(0, 8, b"firmware")
    log.told(7, 0x80000001, b"SecureBoot")
    log.told(4, ACTION, b"Calling EFI Application from Boot Option")
    for pcr in range(8):
        log.told(pcr, SEPARATOR, bytes(4))
    log.image(f"{root}/boot/efi/EFI/debian/shimx64.efi", "/EFI/debian/shimx64.efi")
    log.told(14, IPL, b"MokList\0")
    log.image(f"{root}/boot/efi/EFI/debian/grubx64.efi", "/EFI/debian/grubx64.efi")
    log.file(root, "/boot/grub/grub.cfg")
    line = f"/boot/vmlinuz-{kernel} root=/dev/sda2"
    log.text("grub_cmd", "multiboot2 /boot/xen.gz dom0_mem=1G")
    log.file(root, "/boot/xen.gz")
    log.text("grub_cmd", f"module2 {line}")
    log.file(root, f"/boot/vmlinuz-{kernel}")
    log.text("module_cmdline", line)
    log.text("grub_cmd", f"module2 /boot/initrd.img-{kernel}")
    log.file(root, f"/boot/initrd.img-{kernel}")
    log.text("grub_cmd", "boot")
    with open(out, "wb") as f:
        f.write(log.data)


if sys.argv[1] == "pe":
    with open(sys.argv[2], "wb") as pe:
        pe.write(make_pe(int(sys.argv[3]) if len(sys.argv) > 3 else 1))
else:
    boot(*sys.argv[2:5])

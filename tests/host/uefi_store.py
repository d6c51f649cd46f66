# SPDX-License-Identifier: Apache-2.0
"""Variables of UEFI as edk2's driver reads them, of an image: Debian's OVMF_VARS or ours.

  uefi_store.py list IMAGE            a line each: name, vendor, attributes, SHA-256 of the data
  uefi_store.py digest IMAGE NAME     the SHA-256 of its event in PCR 7
  uefi_store.py keys IMAGE FOLDER     FOLDER/NAME.esl for PK, KEK, db, dbx
  uefi_store.py room IMAGE            the bytes that are free
"""
import hashlib
import struct
import sys
import uuid

KEYS = ("PK", "KEK", "db", "dbx")


def find_volume(image):
    """Where the firmware volume of the variables begins: by its signature, at 40."""
    for at in range(0, len(image), 1 << 12):
        if image[at + 40:at + 44] == b"_FVH" and \
                uuid.UUID(bytes_le=image[at + 16:at + 32]).hex.startswith("fff12b8d"):
            return at
    raise ValueError("no volume")


def variables(image):
    """({name: (vendor, attributes, data)}, bytes that are free); what the driver asserts."""
    volume = image[find_volume(image):]
    length, header = struct.unpack_from("<Q8xH", volume, 32)
    assert sum(struct.unpack_from(f"<{header // 2}H", volume)) & 0xffff == 0, "checksum"
    blocks, size = struct.unpack_from("<II", volume, 56)
    assert blocks * size == length and volume[55] == 2 and header == 72
    kind, end, form, state = struct.unpack_from("<16sIBB", volume, header)
    assert uuid.UUID(bytes_le=kind) == uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
    assert (form, state) == (0x5a, 0xfe)
    end, at, found = end + header, header + 28, {}
    while volume[at:at + 2] == b"\xaa\x55":
        state, attributes, _, _, _, name, size, vendor = \
            struct.unpack_from("<BxIQ16sIII16s", volume, at + 2)
        at += 60
        assert at + name + size <= end, "beyond the end"
        if state == 0x3f:
            text = volume[at:at + name].decode("utf-16-le")
            assert text.endswith("\0") and text[:-1] not in found
            found[text[:-1]] = (vendor, attributes, volume[at + name:at + name + size])
        at += name + size
        assert not volume[at:at + -at % 4].strip(b"\xff"), "padding"
        at += -at % 4
    assert not volume[at:end].strip(b"\xff"), "not erased"
    return found, end - at


def main():
    what, path, *more = sys.argv[1:]
    with open(path, "rb") as f:
        found, free = variables(f.read())
    if what == "list":
        for name, (vendor, attributes, data) in sorted(found.items()):
            print(name, uuid.UUID(bytes_le=vendor), hex(attributes), hashlib.sha256(data).hexdigest())
    elif what == "digest":
        vendor, _, data = found.get(more[0], (None, 0, b""))
        text = more[0].encode("utf-16-le")
        print(hashlib.sha256(vendor + len(more[0]).to_bytes(8, "little") +
                             len(data).to_bytes(8, "little") + text + data).hexdigest())
    elif what == "keys":
        for name in KEYS:
            with open(f"{more[0]}/{name}.esl", "wb") as f:
                f.write(found[name][2])
    elif what == "room":
        print(free)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What a machine of tests/long/qemu printed: PCRs, and the event log of its firmware.

  tcglog.py replay CONSOLE        the log gives PCRs 0 to 9 of each bank that it has
  tcglog.py same CONSOLE OTHER    all PCRs of the banks of both are the same
  tcglog.py log CONSOLE OUT       writes the log
"""
import collections
import hashlib
import re
import struct
import sys

BANKS = {0x4: "sha1", 0xb: "sha256", 0xc: "sha384", 0xd: "sha512"}
NO_ACTION = 3
PRINTED = range(24)


def read(path):
    """({(bank, PCR): value}, log) that the program printed, between other lines."""
    with open(path, errors="replace") as f:
        text = f.read()
    pcrs = {(bank, int(n)): bytes.fromhex(value) for bank, n, value in
            re.findall(r"@PCR (sha\d+) (\d+) ([0-9A-F]+)", text)}
    log = bytes.fromhex("".join(re.findall(r"@LOG ([0-9a-f]+)", text)))
    if "@END" not in text or not pcrs or not log:
        raise ValueError(f"{path}: the machine printed {len(pcrs)} PCRs and {len(log)} bytes "
                         "of a log" + ("" if "@END" in text else ", and no end"))
    return pcrs, log


def events(log):
    """(PCR, type, {bank: digest}, data) of each event behind the header: TCG PC Client
    Platform Firmware Profile, 10.2.2."""
    at = 32 + struct.unpack_from("<I", log, 28)[0]
    while at < len(log):
        pcr, kind, count = struct.unpack_from("<III", log, at)
        at += 12
        digests = {}
        for _ in range(count):
            bank = BANKS[struct.unpack_from("<H", log, at)[0]]
            size = hashlib.new(bank).digest_size
            digests[bank] = log[at + 2:at + 2 + size]
            at += 2 + size
        size = struct.unpack_from("<I", log, at)[0]
        yield pcr, kind, digests, log[at + 4:at + 4 + size]
        at += 4 + size


def replay(log):
    """({(bank, PCR): value}, how many events)."""
    pcrs, count = collections.defaultdict(bytes), 0
    for pcr, kind, digests, _ in events(log):
        count += 1
        for bank, digest in digests.items() if kind != NO_ACTION else ():
            old = pcrs[bank, pcr] or bytes(len(digest))
            pcrs[bank, pcr] = hashlib.new(bank, old + digest).digest()
    return pcrs, count


def check_replay(path):
    pcrs, log = read(path)
    given, count = replay(log)
    banks, extended = sorted({bank for bank, _ in given}), sorted({n for _, n in given})
    bad = [f"{bank}:{n}" for bank in banks for n in range(10)
           if pcrs.get((bank, n)) != (given[bank, n] or bytes(hashlib.new(bank).digest_size))]
    zero = [n for n in (0, 4, 5, 7) if not any(pcrs["sha256", n])]
    print(f"# {count} events, {len(log)} bytes, banks {' '.join(banks)}, extended "
          f"{extended}; not as the log: {bad}; zero: {zero}")
    return bool(banks) and not bad and not zero


def check_same(path, other):
    (a, _), (b, _) = read(path), read(other)
    banks = sorted({bank for bank, _ in a} & {bank for bank, _ in b})
    bad = [f"{bank}:{n}" for bank in banks for n in PRINTED
           if a.get((bank, n), 0) != b.get((bank, n), 1)]
    print(f"# banks of both: {' '.join(banks)}; PCRs that differ: {bad}")
    return "sha256" in banks and not bad


def main():
    what, path, *more = sys.argv[1:]
    if what == "log":
        with open(more[0], "wb") as f:
            f.write(read(path)[1])
        return 0
    return 0 if (check_replay(path) if what == "replay" else check_same(path, *more)) else 1


if __name__ == "__main__":
    sys.exit(main())

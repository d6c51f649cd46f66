# SPDX-License-Identifier: Apache-2.0
"""Scripts for the guest that sleeper.c is, and what it says."""
import struct

SECTOR = 512
ROOM = 120 * SECTOR     # what boot.S reads
OWNER, NULL, PLATFORM, ENDORSEMENT = 0x40000001, 0x40000007, 0x4000000c, 0x4000000b
SHA256 = 0xb
CLEAR, STATE = 0, 1
PCRS = 24
NV = 0x1500017
# Owner and its own authorization write and read it.
NV_ATTRIBUTES = 0x00060006
STARTUP_FLAGS = 0x201   # TPM_PT_STARTUP_CLEAR: TPMA_STARTUP_CLEAR
PH_ENABLE, SH_ENABLE, EH_ENABLE = 1, 2, 4
SESSION = 0x02000000    # the first HMAC session's handle
LOG_AREA, LOG_READ = 0xfed50000, 0x1000


def line(code, handles=(), parameters=b"", auth=False, more=""):
    """A command; auth: a password session with the empty password."""
    body = b"".join(struct.pack(">I", h) for h in handles)
    body += struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0) if auth else b""
    body += parameters
    return "c " + struct.pack(">HII", 0x8002 if auth else 0x8001, 10 + len(body),
                              code).hex() + body.hex() + more


def tpm2b(data):
    return struct.pack(">H", len(data)) + data


def startup(kind):
    return line(0x144, parameters=struct.pack(">H", kind))


def shutdown(kind):
    return line(0x145, parameters=struct.pack(">H", kind))


def get_random():
    return line(0x17b, parameters=struct.pack(">H", 8))


def read_clock():
    return line(0x181)


def read_pcrs():
    """Three commands, of eight PCRs each."""
    return [line(0x17e, parameters=struct.pack(">IHB", 1, SHA256, 3) +
                 bytes(255 if n == i else 0 for n in range(3))) for i in range(3)]


def extend(pcr, byte=0x11):
    return line(0x182, [pcr], struct.pack(">IH", 1, SHA256) + bytes([byte]) * 32, auth=True)


def startup_flags():
    return line(0x17a, parameters=struct.pack(">III", 6, STARTUP_FLAGS, 1))


def hierarchy_control(by, which, state):
    return line(0x121, [by], struct.pack(">IB", which, state), auth=True)


def nv_define():
    public = struct.pack(">IHIHH", NV, SHA256, NV_ATTRIBUTES, 0, 8)
    return line(0x12a, [OWNER], tpm2b(b"") + tpm2b(public), auth=True)


def nv_write(data):
    return line(0x137, [OWNER, NV], tpm2b(data) + struct.pack(">H", 0), auth=True)


def nv_read():
    return line(0x14e, [OWNER, NV], struct.pack(">HH", 8, 0), auth=True)


def start_session():
    return line(0x176, [NULL, NULL], tpm2b(bytes(16)) + tpm2b(b"") +
                struct.pack(">BHH", 0, 0x10, SHA256))


def context_save(handle):
    return line(0x162, [handle])


def context_load():
    """Of what the script keeps."""
    return line(0x161, more="+")


def flush_context(handle):
    return line(0x165, parameters=struct.pack(">I", handle))


def read_log():
    return f"m {LOG_AREA:x} {LOG_READ:x}"


def make_disk(program, script):
    """The bytes of a disk that boots the program with these lines."""
    image = program[:-SECTOR] + "".join(f"{one}\n" for one in script).encode()
    if len(image) >= SECTOR + ROOM:
        raise ValueError(f"the script is too long by {len(image) - SECTOR - ROOM} bytes")
    return image.ljust(1 << 20, b"\0")


def code_of(response):
    return struct.unpack_from(">I", response, 6)[0]


def pcrs_of(responses):
    """[value] of all PCRs, of the three responses to read_pcrs()."""
    values = []
    for r in responses:
        at = 10 + 4 + 4 + 2 + 1 + 3 + 4    # counter, selection, count of digests
        for _ in range(PCRS // 3):
            values.append(r[at + 2:at + 34])
            at += 34
    return values


def flags_of(response):
    return struct.unpack_from(">I", response, 10 + 1 + 4 + 4 + 4)[0]


def clock_of(response):
    """(resetCount, restartCount)."""
    return struct.unpack_from(">II", response, 10 + 16)


def nv_of(response):
    return response[16:24]


def log_of(memory):
    """The event log at the beginning of memory that is zero behind it."""
    at = 32 + struct.unpack_from("<I", memory, 28)[0]
    sizes = {0x4: 20, 0xb: 32, 0xc: 48, 0xd: 64}
    while at + 12 <= len(memory):
        _, kind, count = struct.unpack_from("<III", memory, at)
        if not count:
            return memory[:at]
        end = at + 12
        for _ in range(count):
            end += 2 + sizes[struct.unpack_from("<H", memory, end)[0]]
        at = end + 4 + struct.unpack_from("<I", memory, end)[0]
    raise ValueError("the log's end is not there")

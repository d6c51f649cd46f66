# SPDX-License-Identifier: Apache-2.0
"""Objects of a vTPM, as far as vtpmd reads them, for what is in a manager's place."""
import hashlib
import struct


def blob(obj, uuid, seq, data, policy=1, epoch=0):
    """What vtpmd reads of an object (lib/slot/envelope.h); the rest is noise."""
    head = struct.pack(">HH16sQQ", 2, 1 if obj == 1 else obj, uuid, seq, epoch)
    if obj != 1:
        return b"XVTPMBLB" + head + data
    kinds = (policy, 7) if data == b"both-keys" else (policy,)  # 7: a deep rekey is under way
    head = head.replace(struct.pack(">HH", 2, 1), struct.pack(">HH", 2, len(kinds)), 1)
    described = struct.pack(">HBBBB6x", policy, 0, 20, 1, 0)
    slot = b"".join(struct.pack(">HHI", kind, n, len(data)) + data for n, kind in enumerate(kinds))
    return b"XVTPMHDR" + head + described + slot + hashlib.sha256(data).digest()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""lightstore.py FOLDER COUNT: makes a store of that many vTPMs, v0, v1, ..., which are to run.

What is in it is as much as vtpmd looks at: lightmanager, in their managers' place, opens
nothing.  An anchor that is made afterwards takes it as it is."""
import json
import os
import sys
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vtpmd_objects import blob  # noqa: E402

store, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    u = uuid.uuid4()
    folder = f"{store}/{u}"
    os.mkdir(folder, 0o700)
    for name, o in (("header", 1), ("permall", 2)):
        with open(f"{folder}/{name}", "wb") as f:
            f.write(blob(o, u.bytes, 1, b"state", 3, 7))
    with open(f"{folder}/vtpm.json", "w") as f:
        json.dump({"name": f"v{n}", "uuid": str(u), "memory": 8, "placement": "process",
                   "state": "ready", "created": "2026-01-01T00:00:00Z", "sealed": "",
                   "keyed": "", "wanted": True, "ending": False, "launched": False,
                   "ek": []}, f)

# SPDX-License-Identifier: Apache-2.0
"""An older state that is put back while the vTPM is down does not open, and says so."""
from cases_guests import still_there
from cases_keep import sealed
from lab import STORE, check

NAME = "web1"
# behind the secret that still_there() reads
WRITE = "printf later | tpm2_nvwrite -Q -C o -i- --offset 20 0x1500016"
READ = "tpm2_nvread -C o -s 5 --offset 20 0x1500016 2>/dev/null"
ANCHORED = ("tpm2_nvread -C o -s 32 -o /tmp/anchor 0x1805654 >/dev/null 2>&1 && "
            "python3 -c 'print(open(\"/tmp/anchor\",\"rb\").read().hex())' && "
            f"sha256sum <{STORE}/anchor")


def refused(lab):
    rc, out = lab.vtpmctl(f"start {NAME}")
    check(rc != 0, "vtpmctl start says that it runs")
    sentences = [line for line in out.splitlines() if line.startswith("vtpmctl: ")]
    check(len(sentences) == 1 and "is anchored in the host's TPM" in sentences[0] and
          "an older one was put back" in sentences[0], f"vtpmctl start does not say why: {out}")
    seen = lab.show(NAME)
    check(seen["state"] == "failed" and seen["cause"] == "rolled-back" and
          seen["seq"] < seen["anchored"], f"show says {seen}")
    rc, out = lab.host.run(f"guest start --no-wait {lab.guest_args(NAME, 'own')}", 120)
    check(rc != 0 and not lab.running(NAME), f"xl create made a guest: {out}")


def down(lab):
    """Without a guest and stopped: from then on the TPM has its generation."""
    lab.guest_down(NAME)
    lab.stop(NAME)
    tpm, table = lab.host.must(ANCHORED).split()[:2]
    check(tpm == table, f"the TPM has {tpm}, the table is {table}")


def older_put_back(lab):
    """an older folder put back is refused, also after a restart of vtpmd; the newest opens"""
    sealed(lab, NAME)
    down(lab)
    folder = f"{STORE}/{lab.uuid[NAME]}"
    lab.host.must(f"rm -rf /tmp/older /tmp/newest; cp -a {folder} /tmp/older")
    lab.start(NAME)
    lab.guest_up(NAME)
    lab.ask(NAME, WRITE)
    down(lab)
    lab.host.must(f"cp -a {folder} /tmp/newest; rm -rf {folder}; cp -a /tmp/older {folder}")
    try:
        refused(lab)
        lab.stop_vtpmd()
        lab.start_vtpmd()
        refused(lab)
    finally:
        lab.host.must(f"rm -rf {folder}; cp -a /tmp/newest {folder}")
    lab.start(NAME)
    lab.guest_up(NAME)
    still_there(lab, NAME)
    out = lab.ask(NAME, READ)
    check(out == "later", f"what was written last reads {out!r}")


CASES = [older_put_back]

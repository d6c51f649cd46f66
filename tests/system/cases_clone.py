# SPDX-License-Identifier: Apache-2.0
"""A vTPM is cloned while its guest uses it: into a TPM of its own, and into a second
one with the same identity."""
from lab import check

NAME, INDEX = "web1", "0x1500030"
WRITE = (f"tpm2_nvread -Q -C o {INDEX} >/dev/null 2>&1 || "
         f"tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' {INDEX}; "
         f"printf %s {{text}} | tpm2_nvwrite -Q -C o -i- {INDEX}")
READ = f"tpm2_nvread -C o -s 8 {INDEX} 2>/dev/null"
EK = "cd /tmp && tpm2_createek -Q -c ek -G ecc -u ek.pub && sha256sum <ek.pub && tpm2_flushcontext -t"


def clone(lab, to, identity):
    rc, out = lab.vtpmctl(f"clone {NAME} {to} --identity {identity} 2>/tmp/clone.err")
    check(rc == 0, f"clone: status {rc}: {out}{lab.tail('/tmp/clone.err')}")
    lab.uuid[to] = out.split()[-1]


def seen_by_a_guest(lab, name):
    """(NV, EK) as a guest of its own finds them."""
    lab.guest_up(name)
    rc, out = lab.guest(name, READ)
    ek = lab.ask(name, EK)
    lab.guest_down(name)
    lab.host.must(f"vtpmctl delete --yes --force {name}", 60)
    return (out.strip() if rc == 0 else None), ek


def clones(lab):
    """a vTPM in use is cloned: a copy has its NV and EK in a guest, a new one has neither"""
    lab.guests(NAME)
    rc, out = lab.vtpmctl(f"clone {NAME} clone1")
    check(rc == 2 and "--identity is missing" in out, f"without --identity: {rc} {out}")
    lab.ask(NAME, WRITE.format(text="original"))
    ek = lab.ask(NAME, EK)
    clone(lab, "clone1", "copy")
    lab.ask(NAME, WRITE.format(text="went_on!"))
    check(lab.show("clone1")["copy_of"] == lab.uuid[NAME], "show does not tell what it is")
    found = seen_by_a_guest(lab, "clone1")
    check(found == ("original", ek), f"the copy has {found}, not the NV and {ek}")
    clone(lab, "clone2", "new")
    nv, other = seen_by_a_guest(lab, "clone2")
    check(nv is None and other != ek, f"the new one has NV {nv} and EK {other}")
    check(lab.ask(NAME, READ).strip() == "went_on!", "the original has not what was written")


CASES = [clones]

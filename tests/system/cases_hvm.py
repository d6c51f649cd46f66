# SPDX-License-Identifier: Apache-2.0
"""HVM guests, which a BIOS boots from a disk."""
from lab import check

NAME = "hvm1"


def boots(lab, bios=None):
    """Boots the guest and ends it; bios: a file in dom0, for Debian's SeaBIOS."""
    lab.up()
    lab.hvm_up(NAME, bios=bios)
    try:
        # SeaBIOS says its version on Xen's debug port.
        out = lab.host.must("xl dmesg | grep -a 'SeaBIOS (version' | tail -n 1")
        check(("xen-vtpm" in out) == bool(bios), f"the BIOS is {out}")
        out = lab.ask(NAME, "cat /sys/hypervisor/guest_type; ls -d /sys/class/tpm/*")
        check(out.startswith("HVM\nls: "), f"the guest says {out}")
    finally:
        lab.guest_down(NAME)


def debian_bios(lab):
    """an HVM guest without a vTPM boots by Debian's SeaBIOS"""
    boots(lab)


def our_bios(lab):
    """an HVM guest without a vTPM boots by our SeaBIOS"""
    boots(lab, lab.our_bios())


CASES = [debian_bios, our_bios]

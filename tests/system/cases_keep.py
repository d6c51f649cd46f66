# SPDX-License-Identifier: Apache-2.0
"""What is in a vTPM outlives its guest, its stub domain and the host."""
from cases_guests import SEAL, UNSEAL, still_there


def sealed(lab, name):
    lab.guests(name)
    if lab.guest(name, UNSEAL)[0]:
        lab.guest_reboot(name)
    if lab.guest(name, UNSEAL)[0]:
        lab.ask(name, SEAL.format(secret=f"secret of {name}"), 120)


def guest_shutdown(lab):
    """after guest shutdown and `xl create` all is there"""
    for name in ("web1", "web2"):
        sealed(lab, name)
        lab.guest_down(name)
        lab.guest_up(name)
        still_there(lab, name)


def stubdom_restart(lab):
    """after a restart of the stub domain all is there"""
    sealed(lab, "web1")
    lab.guest_down("web1")
    lab.stop("web1")
    lab.start("web1")
    lab.guest_up("web1")
    still_there(lab, "web1")


def host_reboot(lab):
    """after a reboot of the whole virtual host all is there"""
    sealed(lab, "web1")
    sealed(lab, "web2")
    lab.guest_down("web1")
    lab.guest_down("web2")
    lab.reboot()
    for name in ("web1", "web2"):
        lab.guests(name)
        still_there(lab, name)


CASES = [guest_shutdown, stubdom_restart, host_reboot]

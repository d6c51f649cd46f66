# SPDX-License-Identifier: Apache-2.0
"""The Debian packages in domain 0: installed, upgraded under a guest, purged."""
import glob

from lab import STORE, VTPMD_LOG, check
from vhost import BUILD, TOP, build, made_here

DEBS = "/root/debs"
CALLS = "/run/systemctl.calls"
# This domain 0 runs without systemd; what the packages' scripts ask of it is done as
# the unit does it (KillMode=process: vtpmd alone gets the signal), and written down.
SYSTEMCTL = f"""#!/bin/sh
echo "$*" >>{CALLS}
case "$*" in
*try-restart*vtpmd.service*)
	kill $(cat /run/vtpmd.pid)
	while [ -e /proc/$(cat /run/vtpmd.pid) ]; do sleep 0.1; done
	setsid vtpmd --verbose >>{VTPMD_LOG} 2>&1 </dev/null &
	echo $! >/run/vtpmd.pid ;;
esac
"""


def prepare(lab):
    lab.up()
    if lab.host.run(f"[ -e {DEBS}/done ]")[0] == 0:
        return
    build("-s", "deb")
    # The stub domain's package is one for all releases: the one that is made here.
    made_here("make", "-s", "deb")
    for kind, made in (("host", BUILD), ("stubdom", f"{TOP}/build")):
        lab.host.put(glob.glob(f"{made}/deb/xen-vtpm-{kind}_*.deb")[0],
                     f"{DEBS}/{kind}.deb")
    lab.host.put(SYSTEMCTL.encode(), "/usr/local/bin/systemctl")
    lab.host.must("chmod +x /usr/local/bin/systemctl; mkdir -p /run/systemd/system; "
                  f"touch {DEBS}/done")


def calls(lab):
    return lab.host.run(f"cat {CALLS}; rm -f {CALLS}")[1]


def install(lab):
    """dpkg installs them in domain 0 and starts nothing; programs, pages, unit are there"""
    prepare(lab)
    pid = lab.host.must("cat /run/vtpmd.pid")
    calls(lab)
    lab.host.must(f"dpkg -i {DEBS}/stubdom.deb {DEBS}/host.deb", 120)
    out = lab.host.must("dpkg-query -W -f '${Status}\\n' xen-vtpm-host xen-vtpm-stubdom; "
                        "dpkg --verify xen-vtpm-host xen-vtpm-stubdom")
    check(out.split("\n") == ["install ok installed"] * 2 + [""], f"after dpkg -i: {out}")
    out = calls(lab)
    check("start" not in out and "enable" not in out, f"it asked systemd to {out}")
    check(lab.host.must("cat /run/vtpmd.pid") == pid, "vtpmd was restarted")
    lab.host.must("/usr/sbin/vtpmctl --version && /usr/sbin/vtpmctl --help >/dev/null && "
                  "/usr/sbin/vtpmd --version && [ -s /lib/systemd/system/vtpmd.service ] && "
                  "gzip -t /usr/share/man/man8/vtpmctl.8.gz && "
                  "[ -s /usr/share/bash-completion/completions/vtpmctl ]")


def upgrade(lab):
    """an upgrade restarts vtpmd; the stub domain and the guest on it go on"""
    prepare(lab)
    lab.guests("web1")
    stub = lab.host.must("xl domid vtpm-web1")
    pid = lab.host.must("cat /run/vtpmd.pid")
    lab.ask("web1", "tpm2_pcrextend 16:sha256=" + "33" * 32)
    before = lab.ask("web1", "tpm2_pcrread sha256:16")
    calls(lab)
    lab.host.must(f"dpkg -i {DEBS}/stubdom.deb {DEBS}/host.deb", 120)
    out = calls(lab)
    check("try-restart vtpmd.service" in out, f"it asked systemd to {out}")
    check(lab.host.must("cat /run/vtpmd.pid") != pid, "vtpmd was not restarted")
    after = lab.ask("web1", "tpm2_pcrread sha256:16; tpm2_nvdefine -Q -C o -s 8 0x1500077; "
                    "tpm2_nvundefine -Q -C o 0x1500077")
    check(before.strip() in after, f"PCR 16 was {before}, and is {after}")
    check(lab.host.must("xl domid vtpm-web1") == stub, "the stub domain is another one")
    lab.wait("vtpmd to know it", lambda: lab.state("web1") == "running")


def purge(lab):
    """a purge keeps the store, the configuration and the audit log, and says so"""
    prepare(lab)
    lab.vtpms("web1")
    kept = f"{STORE} /etc/xen-vtpm /var/log/xen-vtpm"
    if lab.running("web1"):
        lab.guest_down("web1")
    lab.stop("web1")
    lab.stop_vtpmd()
    lab.host.must(f"dpkg -i {DEBS}/stubdom.deb {DEBS}/host.deb", 120)
    sums = f"find {kept} -type f | sort | xargs sha256sum"
    before = lab.host.must(sums)
    check("header" in before and "host.json" in before and "audit.log" in before, before)
    out = lab.host.must("dpkg --purge xen-vtpm-host xen-vtpm-stubdom", 120)
    check(all(f"{folder} is kept" in out for folder in kept.split()), f"it says {out}")
    lab.host.must("[ ! -e /usr/sbin/vtpmctl ] && [ ! -e /usr/lib/xen-vtpm/vtpm-manager ]")
    check(lab.host.must(sums) == before, "files changed or went")
    lab.host.must(f"dpkg -i {DEBS}/stubdom.deb {DEBS}/host.deb", 120)
    lab.start_vtpmd()
    lab.start("web1")


CASES = [install, upgrade, purge]

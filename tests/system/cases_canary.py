# SPDX-License-Identifier: Apache-2.0
"""A canary that the guest writes into its TPM is found nowhere in dom0."""
import base64

from lab import STORE, check

HAY = "/root/hay"
PLANTED = "planted-in-the-memory-of-vtpmd"


def gather(lab):
    """The store, the logs, the core of vtpmd and its traffic, copied aside."""
    lab.host.must(
        f"rm -rf {HAY}; mkdir -p {HAY}; cp -a {STORE} {HAY}/store; cp -a /var/log {HAY}/log; "
        f"cp /run/wiretap {HAY}/traffic; cp -a /etc/xen-vtpm {HAY}/etc; "
        f"gcore -a -o {HAY}/core $(cat /run/vtpmd.pid) >/tmp/gcore.log 2>&1 && ls {HAY}", 120)


def search(lab, needle, *where):
    """Whether the bytes are below one of the heaps; and what was said."""
    paths = " ".join(f"{HAY}/{w}" for w in where) or HAY
    rc, out = lab.host.run(f"cat >/tmp/needle; find-copy /tmp/needle {paths}", 120, needle)
    check(rc in (0, 1), f"the search failed: {out}")
    return rc == 0, out


def canary(lab):
    """in the store, the logs, the core of vtpmd, the vchan and TPM traffic: no canary"""
    lab.vtpms("web1")
    lab.guest_down("web1")
    lab.stop("web1")
    lab.stop_vtpmd()
    lab.host.must("rm -f /run/wiretap")
    lab.start_vtpmd(preload=f"PLANTED={PLANTED} WIRETAP=/run/wiretap "
                    "LD_PRELOAD=/usr/lib/vhost/wiretap.so")
    lab.guests("web1")
    # The guest makes it and tells it only when everything has been gathered.
    lab.ask("web1", "tr -dc A-Za-z0-9 </dev/urandom | head -c 32 >/tmp/canary; "
            "tpm2_nvdefine -Q -C o -s 32 -a 'ownerread|ownerwrite' 0x1500040; "
            "tpm2_nvwrite -Q -C o -i /tmp/canary 0x1500040 && "
            "tpm2_nvread -C o 0x1500040 | cmp - /tmp/canary")
    gather(lab)
    lab.canary = lab.ask("web1", "cat /tmp/canary").encode()
    check(len(lab.canary) == 32, f"the canary is {lab.canary!r}")
    found, out = search(lab, lab.canary)
    check(not found, f"the canary is in dom0: {out}")
    lab.log(out.splitlines()[-1])


def traffic_is_there(lab):
    """the same search finds what must be in the traffic and in the core"""
    uuid = bytes.fromhex(lab.uuid["web1"].replace("-", ""))
    found, out = search(lab, uuid, "traffic")
    check(found, f"the vTPM's uuid is not in the traffic: {out}")
    found, out = search(lab, bytes.fromhex("00000176"), "traffic")
    check(found, f"no TPM2_StartAuthSession in the traffic: {out}")
    found, out = search(lab, PLANTED.encode(), "core*")
    check(found, f"what is in vtpmd's environment is not in its core: {out}")


def planted_copies(lab):
    """the search finds copies of the canary planted raw, in hex and in base64"""
    check(hasattr(lab, "canary"), "there is no canary to plant")
    plants = {"store/planted": lab.canary, "log/planted": b"x" + lab.canary.hex().encode(),
              "traffic": b"ab" + lab.canary, "etc/planted": base64.b64encode(b"y" + lab.canary)}
    for place, data in plants.items():
        lab.host.must(f"cat >>{HAY}/{place}", data=data)
        found, out = search(lab, lab.canary, place)
        check(found, f"not found in {place}: {out}")
    lab.host.must(f"rm -rf {HAY}")
    lab.stop_vtpmd()
    lab.start_vtpmd()


CASES = [canary, traffic_is_there, planted_copies]

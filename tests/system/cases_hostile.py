# SPDX-License-Identifier: Apache-2.0
"""Guests and stub domains that do what they must not."""
import json

from lab import STORE, VTPMD_LOG, check


def hostile_front(lab):
    """a hostile front breaks every rule of the ring; stub domain and other guests go on"""
    lab.vtpms("web1")
    lab.guests("web2")
    lab.guest_down("web1")
    domid = lab.show("web1")["domid"]
    before = lab.figure("web2", "refused")
    other = lab.host.start("guest run --timeout 400 web2 "
                           "'for i in $(seq 60); do tpm2_getrandom --hex 16 && echo || exit 1; done'")
    rc, out = lab.host.run(f"/usr/lib/vhost/hostile-front {domid} {lab.uuid['web1']}", 300)
    for line in out.splitlines():
        lab.log(line)
    now = lab.show("web1")
    check(now["domid"] == domid, f"the stub domain {domid} ended under it, and {now['domid']} is "
          f"in its place: {now['last_error']}: {out[-500:]}")
    bad = [line for line in out.splitlines() if line.startswith(("not ok", "Bail out!"))]
    check(rc == 0 and not bad, f"status {rc}: {bad or out[-500:]}")
    rc, out = other.wait(400)
    check(rc == 0 and len(out.split()) == 60, f"the other guest noticed: {rc} {out[-300:]!r}")
    refused = lab.figure("web2", "refused") - before
    check(refused == 0, f"the other vTPM had {refused} requests to refuse")


def ended_beneath(lab):
    """the stub domain ends beneath a hostile front, which says so; the next has the new one"""
    lab.vtpms("web1")
    lab.guest_down("web1")
    domid = lab.show("web1")["domid"]
    front = f"/usr/lib/vhost/hostile-front {{}} {lab.uuid['web1']}"
    rc, out = lab.host.run(
        f"{front.format(domid)} >/tmp/front.log 2>&1 & "
        "for i in $(seq 600); do grep -q '^ok 5' /tmp/front.log && break; sleep 0.1; done; "
        "xl destroy vtpm-web1; wait; cat /tmp/front.log", 200)
    check(f"Bail out! domain {domid} is gone" in out, f"the front went on: {rc} {out[-500:]}")
    lab.wait("another stub domain", lambda: lab.state("web1") == "running" and
             lab.show("web1")["domid"] not in (None, domid), 60)
    rc, out = lab.host.run(front.format(lab.show("web1")["domid"]) + " 1", 200)
    check(rc == 0, f"the next front: {rc} {out[-500:]}")


def still_serves(lab):
    """after that the same stub domain serves an honest guest"""
    lab.guests("web1")
    lab.ask("web1", "tpm2_getrandom --hex 16 && tpm2_pcrread sha256:16")
    lab.guest_down("web1")


def with_rogue(lab):
    """What the rogue manager was answered; it runs once for all its tests."""
    if hasattr(lab, "rogue"):
        return lab.rogue
    lab.vtpms("web1")
    lab.stop_vtpmd()
    lab.start_vtpmd("--placement process --user nobody --manager /usr/lib/vhost/rogue")
    lab.host.must(f"rm -f /run/rogue.json; echo {lab.uuid['web1']} >/run/rogue.uuid")
    try:
        lab.vtpmctl("create rogue")
        lab.wait("the rogue to be done", lambda: lab.host.run("[ -e /run/rogue.json ]")[0] == 0)
        lab.rogue = json.loads(lab.host.must("cat /run/rogue.json"))
    finally:
        lab.vtpmctl("delete --yes rogue")
        lab.stop_vtpmd()
        lab.start_vtpmd()
    return lab.rogue


def allow_list(lab):
    """TPM2_Clear, NV_DefineSpace, DictionaryAttack* and friends are refused and logged"""
    mark = int(lab.host.must(f"wc -c <{VTPMD_LOG}"))
    seen = with_rogue(lab)
    check(seen.get("hello") == 0 and seen.get("allowed") == 0, f"the rogue got {seen}")
    passed = [name for name, status in seen["forbidden"].items() if status != 1]
    check(not passed, f"not refused with EPERM: {passed}")
    passed = [name for name, status in seen["malformed"].items() if status == 0]
    check(not passed, f"malformed and relayed: {passed}")
    log = lab.host.must(f"tail -c +{mark + 1} {VTPMD_LOG}")
    check("rogue" in log and "0x126" in log.lower().replace("0x00000126", "0x126"),
          f"the refusal of TPM2_Clear is not logged: {log[-1500:]}")


def no_others_blobs(lab):
    """a stub domain cannot get another's blobs"""
    seen = with_rogue(lab)
    check(all(seen.get("own", [0])), f"a new vTPM was given {seen.get('own')}")
    check(seen.get("resumed", 1) != 0, "it resumed as another vTPM")
    theirs = [lab.host.must(f"od -An -v -tx1 {STORE}/{lab.uuid['web1']}/{part} | tr -d ' \\n'")
              for part in ("header", "permall")]
    # a state is on one of the two sides of its file
    check(not any(blob and blob in their for blob in seen.get("blobs", []) for their in theirs),
          "it was given another's")


def leaves_nothing(lab):
    """what a stub domain leaves in the host's TPM is flushed; no vTPM that runs has it open"""
    seen = with_rogue(lab)
    check(seen.get("sessions") == [0, 0] and seen.get("bound") == 1, f"the rogue got {seen}")
    lab.vtpms("web1")
    for what in ("loaded-session", "saved-session", "transient"):
        left = lab.host.must(f"tpm2_getcap handles-{what}")
        check("0x" not in left, f"{what}: {left}")
    files = lab.host.must("ls -l /proc/$(pidof vtpmd)/fd")
    check("vtpm" in files or "socket" in files, f"these are not vtpmd's files: {files}")
    check("/dev/tpm" not in files, f"vtpmd has the TPM open: {files}")
    seen = lab.host.must("tpm2_getcap properties-variable | grep LOCKOUT_COUNTER")
    check(seen.split()[-1] == "0x0", f"the TPM counts failures: {seen}")


CASES = [hostile_front, ended_beneath, still_serves, allow_list, no_others_blobs, leaves_nothing]

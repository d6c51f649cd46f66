# SPDX-License-Identifier: Apache-2.0
"""Two virtual hosts, alpha and beta, whose vTPMs are in one pool: etcd and the KMS run outside of
both.  They take both slots of the machine, and are new hosts: the group is the last one."""
import re
import time

from cases_guests import EXTEND, READ, SEAL, UNSEAL
from cases_migrate import GET_RANDOM, KEYS
from lab import check
from outside import Outside

NAMES = ("alpha", "beta")
COUNTER = "0x1500020"
COUNT = f"tpm2_nvread -C o -s 8 {COUNTER} 2>/dev/null | xxd -p"
TAKEN_S = 180   # until a lease of 30 s has run out, with all that a slow host adds
# Asks for random bytes until it is killed; each answer's time, of the guest's clock, is a line.
ASK = f"""cat >/tmp/loop <<'END'
exec 3<>/dev/tpmrm0
while :; do
printf '{GET_RANDOM}' >&3; set -- $(od -An -tx1 -N10 <&3); read up rest </proc/uptime
[ "$7$8$9${{10}}" = 00000000 ] && echo $up >>/tmp/answers
sleep 0.2
done
END
rm -f /tmp/answers; setsid sh /tmp/loop </dev/null >/dev/null 2>&1 &"""


def set_up(one, name):
    """A host with the pool's KMS and policy key, and its certificate."""
    for file in ("ca.pem", "host.pem", "host.key", "policy.pem", f"{name}.pem", f"{name}.key"):
        one.host.put(one.outside.path(file), f"{KEYS}/{file}")
    one.host.must(f"chmod 600 {KEYS}/*.key {KEYS}/policy.pem")
    if one.host.run(f"[ -e {KEYS}/host.json ]")[0]:
        one.host.must(f"vtpmctl host init --kms {one.outside.kms()} --kms-ca {KEYS}/ca.pem "
                      f"--kms-cert {KEYS}/host.pem --kms-key {KEYS}/host.key "
                      f"--kms-key-id {one.outside.key} --policy-key {KEYS}/policy.pem", 180)


def told(one, name):
    """The options of `peer add` that tell alpha of a host."""
    out = one.host.must(f"vtpmctl peer self {name} --address {one.address}:7771 --pool-key", 60)
    first, rest = out.replace("\\\n", " ").strip().split(" --policy-key FILE ")
    check(first == f"vtpmctl peer add {name}", f"peer self says {out}")
    return rest


def enter(one, name, command):
    one.host.must(f"vtpmctl pool {command} --store {one.outside.store()} --store-ca {KEYS}/ca.pem "
                  f"--store-cert {KEYS}/{name}.pem --store-key {KEYS}/{name}.key", 120)
    one.stop_vtpmd()
    one.start_vtpmd()


def in_pool(one):
    return one.host.run(f"grep -q '\"store\"' {KEYS}/host.json")[0] == 0


def pool_up(lab):
    """Both hosts, up and in the pool.  Returns alpha and beta."""
    if not lab.outside:
        lab.pool_pair(Outside(f"{lab.workdir}-outside", NAMES))
    lab.pair()
    alpha, beta = lab, lab.peer
    if not in_pool(alpha):
        for name, one in zip(NAMES, (alpha, beta)):
            set_up(one, name)
        for name, one in zip(NAMES, (alpha, beta)):
            alpha.host.must(f"vtpmctl peer add {name} --policy-key {KEYS}/policy.pem "
                            f"{told(one, name)}", 60)
        enter(alpha, "alpha", f"init --policy-key {KEYS}/policy.pem")
    if not in_pool(beta):
        enter(beta, "beta", "join")
    return alpha, beta


def here(one, other, name):
    """The vTPM runs on that host: it is made there, or stopped on the other one first."""
    if name not in one.uuid:
        one.create(name)
        other.uuid[name] = one.uuid[name]
        return
    if other.running(name):
        other.guest_down(name)
    if other.state(name) == "running":
        other.stop(name)
    one.wait(f"{name}'s start", lambda: one.vtpmctl(f"start {name}")[0] == 0, TAKEN_S)


def counts(one, name):
    """What the guest's counter says."""
    return one.ask(name, COUNT).strip()


def used(one, other, name):
    """A guest runs on that host, has a counter, a secret of a PCR that is zero, and that PCR is
    not zero any more.  Returns what the counter says."""
    here(one, other, name)
    one.guest_up(name)
    if one.guest(name, f"tpm2_nvread -C o {COUNTER} >/dev/null 2>&1")[0]:
        one.ask(name, f"tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite|nt=counter' {COUNTER} "
                f"&& tpm2_nvincrement -Q -C o {COUNTER}")
        one.ask(name, SEAL.format(secret=f"secret of {name}"), 120)
    one.ask(name, f"for i in 1 2 3 4 5; do tpm2_nvincrement -Q -C o {COUNTER} || exit 1; done && "
            f"{EXTEND}", 120)
    check(one.guest(name, UNSEAL)[0] != 0, "the secret does not ask for the PCR")
    return counts(one, name)


def whole(one, name, counter):
    """A guest on that host finds all that was acknowledged, and PCRs as after a power cycle.
    Returns what its counter says then, one more."""
    one.guest_up(name)
    seen = counts(one, name)
    check(seen == counter, f"the counter is {seen}, and was {counter}")
    for command in (READ, UNSEAL):
        out = one.ask(name, command)
        check(f"secret of {name}" in out, f"{command}: it says {out}")
    one.ask(name, f"tpm2_nvincrement -Q -C o {COUNTER}")
    after = counts(one, name)
    check(int(after, 16) == int(counter, 16) + 1, f"the counter went from {counter} to {after}")
    return after


def refused(one, name, host):
    """It is not started there, and says which host has it."""
    rc, out = one.vtpmctl(f"start {name}")
    check(rc == 1 and f"in use on the host {host}" in out, f"start {name}: status {rc}: {out}")


def takes(one, name):
    """Starts a vTPM until that is not refused; returns when that attempt began."""
    said, end = "", time.monotonic() + TAKEN_S
    while True:
        began = time.monotonic()
        check(began < end, f"{name} is not started after {TAKEN_S} s: {said}")
        rc, said = one.vtpmctl(f"start {name}")
        if rc == 0:
            return began
        time.sleep(0.3)


def pool_made(lab):
    """two hosts are set up, make a pool in etcd and join it: each has its list and its key"""
    for one in pool_up(lab):
        out = one.host.must("vtpmctl pool show")
        lab.log("; ".join(out.strip().split("\n")))
        for line in ("state +ready", "list +.*alpha", "list +.*beta", "key +version 1$"):
            check(re.search(f"^{line}", out, re.M), f"pool show has no line {line}: {out}")


def opens_on_both(lab):
    """a vTPM of the pool has one key slot, which opens on both hosts, and not without the KMS"""
    alpha, beta = pool_up(lab)
    here(alpha, beta, "both")
    alpha.stop("both")
    seen = alpha.show("both")
    check((seen["policy"], seen["slots"]) == ("pool", ["pool"]), f"it has {seen}")
    lab.outside.kms_stop()
    try:
        rc, out = beta.vtpmctl("start both")
        beta.vtpmctl("stop both")
    finally:
        lab.outside.kms_start()
    check(rc == 7 and "KMS" in out, f"without the KMS: status {rc}: {out}")
    here(beta, alpha, "both")
    refused(alpha, "both", "beta")
    beta.stop("both")


def host_lost(lab):
    """a host loses power: its vTPM starts on the other after the lease, with its guest, whole"""
    alpha, beta = pool_up(lab)
    counter = used(alpha, beta, "web1")
    alpha.host.power_cut()
    cut = time.monotonic()
    refused(beta, "web1", "alpha")
    began = takes(beta, "web1")
    lab.log(f"started on beta {began - cut:.0f} s behind the power cut of alpha, ready "
            f"{time.monotonic() - cut:.0f} s behind it")
    whole(beta, "web1", counter)


def host_comes_back(lab):
    """the host that had lost power comes back: it does not start the vTPM, and says who has it"""
    alpha, beta = pool_up(lab)
    counter = counts(beta, "web1") if beta.running("web1") else used(beta, alpha, "web1")
    time.sleep(10)      # longer than a start takes
    check(not alpha.running("vtpm-web1"), "there is a stub domain of it on both hosts")
    check(alpha.state("web1") != "running", "it runs on both hosts")
    out = alpha.host.must("vtpmctl list")
    check("in use on the host beta" in out, f"list says {out}")
    refused(alpha, "web1", "beta")
    check(counts(beta, "web1") == counter, "its counter is another")
    beta.guest_down("web1")
    here(alpha, beta, "web1")
    whole(alpha, "web1", counter)
    alpha.guest_down("web1")


def answers(one, name):
    """When the guest's TPM answered, by the guest's clock; and what that says now."""
    *times, now = one.ask(name, "cat /tmp/answers /proc/uptime").splitlines()
    return [float(line) for line in times], float(now.split()[0])


def vtpmd_stopped(lab):
    """a host whose vtpmd stands still loses its vTPM; its manager answers nothing before that"""
    alpha, beta = pool_up(lab)
    counter = used(alpha, beta, "web2")
    alpha.ask("web2", ASK)
    alpha.wait("answers", lambda: int(alpha.ask(
        "web2", "cat /tmp/answers 2>/dev/null | wc -l")) > 9, 60)
    alpha.host.must("kill -STOP $(cat /run/vtpmd.pid)")
    stood = time.monotonic()
    try:
        refused(beta, "web2", "alpha")
        began = takes(beta, "web2")
        times, now = answers(alpha, "web2")
        last = time.monotonic() - (now - times[-1])
    finally:
        alpha.host.must("kill -CONT $(cat /run/vtpmd.pid)")
    lab.log(f"behind the stop its manager answered for {last - stood:.0f} s; beta took the vTPM "
            f"after {began - stood:.0f} s")
    check(last < began, "its manager answered when another host had the vTPM")
    alpha.wait("the end of its stub domain", lambda: not alpha.running("vtpm-web2"), 60)
    out = alpha.host.must("vtpmctl show web2")
    check("claim" in out, f"it does not say why: {out}")
    check(answers(alpha, "web2")[0] == times, "its manager has answered since")
    alpha.host.must("xl destroy web2", 60)
    whole(beta, "web2", counter)
    beta.guest_down("web2")
    beta.stop("web2")


def host_unapproved(lab):
    """a host in a boot state that is not approved opens no vTPM of the pool; the other one does"""
    alpha, beta = pool_up(lab)
    here(beta, alpha, "both")
    beta.stop("both")
    alpha.host.must("tpm2_pcrextend 7:sha256=" + "01" * 32)
    rc, out = alpha.vtpmctl("start both")
    check(rc == 6 and "boot state is not approved, PCR 7" in out, f"status {rc}: {out}")
    alpha.vtpmctl("stop both")
    here(beta, alpha, "both")
    beta.stop("both")


CASES = [pool_made, opens_on_both, host_lost, host_comes_back, vtpmd_stopped, host_unapproved]

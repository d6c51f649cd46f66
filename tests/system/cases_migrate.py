# SPDX-License-Identifier: Apache-2.0
"""A guest moves with its vTPM to another host: two virtual hosts, which have a network, a
TPM and a KMS each, and one policy key.  They take both slots of the machine."""
import re
import time
from statistics import median

import cases_launch
from lab import HVM_DISK, Failure, check
from vhost import SUITE, build

PORT = 7771
MOVES = 3     # there and back, whose median counts
KEYS = "/etc/xen-vtpm"
TPM = "export TPM2TOOLS_TCTI=device:/dev/tpm0; cd /tmp; "     # no kernel that swaps contexts
PRIMARY = "0x80000000"
# TPM2_GetRandom of eight bytes, as a shell's printf takes it
GET_RANDOM = "".join(f"\\{byte:03o}" for byte in bytes.fromhex("8001 0000000c 0000017b 0008"))
# an xl that starts no guest that has come
NO_UNPAUSE = b"""#!/bin/sh
[ "$1" = migrate-receive ] && export LD_PRELOAD=/usr/lib/vhost/nounpause.so
exec /usr/sbin/xl "$@"
"""
PROVE = TPM + "tpm2_pcrread sha256:16 && tpm2_nvread -C o 0x1500020 && tpm2_getcap handles-transient"


def certify(hosts):
    """A CA, and a certificate for each host's name."""
    ca = hosts["alpha"].host
    ca.must("cd /root && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
            "-keyout peer-ca.key -out peer-ca.pem -subj /CN=pool -days 30 2>/dev/null")
    for name, lab in hosts.items():
        ca.must(f"cd /root && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                f"-keyout {name}.key -out {name}.csr -subj /CN={name} 2>/dev/null && openssl x509 -req "
                f"-in {name}.csr -CA peer-ca.pem -CAkey peer-ca.key -CAcreateserial -days 30 "
                f"-out {name}.pem 2>/dev/null")
        for source, dest in (("peer-ca.pem", "peer-ca.pem"), (f"{name}.pem", "peer-cert.pem"),
                             (f"{name}.key", "peer-key.pem")):
            lab.host.put(ca.get(f"/root/{source}"), f"{KEYS}/{dest}")
        lab.host.must(f"chmod 600 {KEYS}/peer-key.pem")


def told(lab, name):
    """The options of `peer add` that tell another host of this one."""
    out = lab.host.must(f"vtpmctl peer self {name} --address {lab.address}:{PORT}")
    first, rest = out.replace("\\\n", " ").strip().split(" --policy-key FILE ")
    check(first == f"vtpmctl peer add {name}", f"peer self says {out}")
    return rest


def pool_up(lab, suite=SUITE):
    """Both hosts, set up with one policy key, each with the pool; once.  Returns the peer's name
    in it: beta, or gamma when it is of another release of Debian."""
    lab.pair(suite)
    name = "beta" if suite == SUITE else "gamma"
    hosts = {"alpha": lab, name: lab.peer}
    if lab.peer.host.run(f"[ -e {KEYS}/pool ]")[0]:
        lab.host_init()
        key = lab.host.get(f"{KEYS}/policy-key.pem")
        lab.peer.host.put(key, "/root/policy-key.pem")
        lab.peer.host_init("--policy-key /root/policy-key.pem")
        certify(hosts)
        about = {name: told(one, name) for name, one in hosts.items()}
        for one in hosts.values():
            one.host.put(key, "/root/policy-key.pem")
            for known in hosts:
                one.host.must(f"vtpmctl peer add {known} --policy-key /root/policy-key.pem "
                              f"{about[known]}")
    for one in hosts.values():
        if one.host.run(f"ss -ltn | grep -q :{PORT}")[0]:
            one.host.must(f"setsid vtpmctl migrate-receive --manual --listen {one.address}:{PORT} "
                          ">>/var/log/receive.log 2>&1 </dev/null & sleep 1")
    return name


def network(lab):
    """two virtual hosts reach each other"""
    lab.pair()
    lab.host.must("busybox ping -c 1 -W 5 10.9.0.2", 30)
    lab.peer.host.must("busybox ping -c 1 -W 5 10.9.0.1", 30)


def pool(lab):
    """both are set up with one policy key, and know each other by a signed pool"""
    pool_up(lab)
    for one in (lab, lab.peer):
        out = one.host.must("vtpmctl peer list")
        check("alpha" in out and "beta" in out, f"peer list says {out}")


def memory(lab, name):
    """What a TPM has in its memory and in its NV, as the guest sees it."""
    return lab.ask(name, PROVE)


def remember(lab, name):
    """Gives a guest's TPM a PCR, a counter and a loaded key that can be told."""
    if lab.guest(name, "tpm2_nvread -C o 0x1500020 >/dev/null 2>&1")[0]:
        lab.ask(name, "tpm2_nvdefine -C o -s 8 -a 'ownerread|ownerwrite|nt=counter' 0x1500020")
    lab.ask(name, TPM + "tpm2_nvincrement -C o 0x1500020 && "
            "tpm2_pcrextend 16:sha256=$(printf '%064d' 7) && tpm2_flushcontext -t && "
            "tpm2_createprimary -C o -G ecc && echo secret >s && "
            f"tpm2_create -C {PRIMARY} -i s -u s.pub -r s.priv && tpm2_flushcontext -t && "
            "tpm2_createprimary -C o -G ecc", 120)
    return memory(lab, name)


def guest_with_memory(lab, name):
    """A PV or PVH guest that runs, with a TPM that can be told."""
    lab.vtpms(name)
    lab.guest_up(name)
    return remember(lab, name)


def unseals(lab, name):
    """The key that was loaded at the other host opens what was sealed there."""
    lab.ask(name, TPM + f"tpm2_load -C {PRIMARY} -u s.pub -r s.priv -c s.ctx && "
            "[ $(tpm2_unseal -c s.ctx) = secret ] && tpm2_nvincrement -C o 0x1500020", 120)


def stood_still(source, dest, name, move):
    """How long a guest stood still while it moved, in seconds, as it saw it itself: longer or
    shorter by what the hosts' clocks differ."""
    source.ask(name, "killall gap 2>/dev/null; setsid /gap /tmp/gap </dev/null >/dev/null 2>&1 &")
    move()
    return int(dest.ask(name, "killall gap; cat /tmp/gap")) / 1000


def moved(source, dest, name, to, timeout=400):
    """vtpmctl migrate, which has to do it."""
    rc, out = source.host.run(f"vtpmctl migrate {name} {to} </dev/null", timeout)
    check(rc == 0, f"vtpmctl migrate {name} {to}: status {rc}: {out}"
          f"{dest.tail('/var/log/receive.log')}")
    check(not source.running(name), f"{name} is still on the source: {source.host.run('xl list')[1]}")
    check(dest.running(name), f"{name} is not there: {dest.host.run('xl list')[1]}")
    dest.uuid[name] = source.uuid.pop(name)
    return out


def pvh_guest_moves(lab):
    """a PVH guest that runs moves, and finds PCR, counter and loaded key as they were"""
    pool_up(lab)
    before = guest_with_memory(lab, "web2")
    moved(lab, lab.peer, "web2", "beta")
    after = memory(lab.peer, "web2")
    check(before == after, f"its TPM was {before!r}, and is {after!r}")
    unseals(lab.peer, "web2")
    rc, out = lab.vtpmctl("show web2")
    check(rc != 0, f"it is still here: {out}")
    check(not lab.running("vtpm-web2"), "its stub domain is still here")


def first_command(lab, name):
    """How long a guest's TPM takes for a command, in seconds: without a tool, whose start takes
    longer than that."""
    took = lab.ask(name, "exec 3<>/dev/tpm0; read a b </proc/uptime; "
                   f"printf '{GET_RANDOM}' >&3; od -An -tx1 -N10 <&3 >/tmp/first; "
                   "read c d </proc/uptime; cat /tmp/first; echo $a $c").splitlines()
    check(took[0].split()[6:] == ["00"] * 4, f"TPM2_GetRandom is answered with {took[0]}")
    before, after = took[1].split()
    return float(after) - float(before)


def there_and_back(lab, name, move):
    """How long a guest stands still in a move, in seconds: the mean of there and back, of which
    one is longer, and the other shorter, by what the hosts' clocks differ."""
    there = stood_still(lab, lab.peer, name, lambda: move(lab, lab.peer, name))
    back = stood_still(lab.peer, lab, name, lambda: move(lab.peer, lab, name))
    return (there + back) / 2


def moved_by_xl(source, dest, name):
    """xl migrate, of a guest without a vTPM."""
    dest.host.start(f"socat -t 300 TCP-LISTEN:7772,bind={dest.address},reuseaddr "
                    "EXEC:'xl migrate-receive'")
    source.host.must(f"xl migrate -s '' {name} 'socat -t 300 - TCP:{dest.address}:7772,retry=10'",
                     300)


def downtime(lab):
    """a guest that moves with a vTPM stands still hardly longer than one without"""
    pool_up(lab)
    lab.boot_guest("pvh2", "pvh2 pvh --driver none", 90)
    before = guest_with_memory(lab, "pvh1")
    hosts, commands = {lab: "alpha", lab.peer: "beta"}, []

    def moved_with_tpm(source, dest, name):
        moved(source, dest, name, hosts[dest])
        commands.append(first_command(dest, name))

    with_tpm, without = [], []
    for _ in range(MOVES):
        without.append(there_and_back(lab, "pvh2", moved_by_xl))
        with_tpm.append(there_and_back(lab, "pvh1", moved_with_tpm))
    check(memory(lab, "pvh1") == before, "its TPM is another, or QEMU has killed the guest")
    lab.log("stood still, there and back: with a vTPM " + ", ".join(f"{t:.2f}" for t in with_tpm) +
            " s; without " + ", ".join(f"{t:.2f}" for t in without) +
            f" s; medians {median(with_tpm):.2f} and {median(without):.2f} s, "
            f"{median(with_tpm) - median(without):.2f} s more with it; more in each pair " +
            ", ".join(f"{t - u:.2f}" for t, u in zip(with_tpm, without)) +
            f" s, median {median([t - u for t, u in zip(with_tpm, without)]):.2f}; the first command took "
            f"{max(commands):.2f} s at most")
    for name in ("pvh1", "pvh2"):
        lab.guest_down(name)


def hvm_guest_moves(lab):
    """an HVM guest moves, and its own driver goes on with the TPM on its board"""
    pool_up(lab)
    name = "hvm1"
    lab.peer.hvm_disk()     # of the same bytes, which it only reads
    lab.peer.host.must(f"cp {HVM_DISK} /var/tmp/guest-{name}.img")
    lab.vtpms(name)
    lab.hvm_up(name, vtpm_line=f"backend=vtpm-{name}")
    before = remember(lab, name)
    moved(lab, lab.peer, name, "beta", 900)
    after = memory(lab.peer, name)
    check(before == after, f"its TPM was {before!r}, and is {after!r}")
    unseals(lab.peer, name)
    lab.peer.host.must(f"xl destroy {name}", 60)


def evacuated(lab):
    """--evacuate moves all guests of a host, and says of each whether it did"""
    pool_up(lab)
    names = [f"pvh{n}" for n in range(4, 9)]
    before = {name: guest_with_memory(lab, name) for name in names}
    rc, out = lab.host.run("vtpmctl migrate --evacuate beta </dev/null", 1200)
    check(rc == 0, f"status {rc}: {out}")
    for name in names:
        lab.peer.uuid[name] = lab.uuid.pop(name)
        check(memory(lab.peer, name) == before[name], f"the TPM of {name} is another")
        lab.peer.guest_down(name)


def copied(source, dest, path):
    """A file, to the other host, over their network."""
    run = dest.host.start(f"socat -u TCP-LISTEN:7773,bind={dest.address},reuseaddr CREATE:{path}")
    source.host.must(f"socat -u FILE:{path} TCP:{dest.address}:7773,retry=10", 200)
    rc, out = run.wait(60)
    check(rc == 0, f"the copy of {path}: status {rc}: {out}")


def saved_guest_moves(lab):
    """a guest that was saved is restored at the other host, with its TPM as it left it"""
    pool_up(lab)
    name, path = "pvh2", "/root/pvh2.save"
    before = guest_with_memory(lab, name)
    lab.host.must(f"rm -f {path}; xl save {name} {path}", 200)
    rc, out = lab.host.run(f"vtpmctl migrate {name} beta </dev/null", 200)
    check(rc == 0, f"vtpmctl migrate of a saved guest's vTPM: status {rc}: {out}")
    lab.peer.uuid[name] = lab.uuid.pop(name)
    copied(lab, lab.peer, path)
    lab.host.must(f"rm {path}")
    lab.peer.host.must(f"vtpmctl resume {name} && xl restore {path} && rm {path}", 200)
    lab.peer.host.must(f"guest wait --timeout 60 {name}", 80)
    after = memory(lab.peer, name)
    check(before == after, f"its TPM was {before!r}, and is {after!r}")
    unseals(lab.peer, name)
    lab.peer.guest_down(name)


def moved_guest_reboots(lab):
    """it reboots where it is now, and goes back"""
    lab.peer.guest_reboot("web2")
    check("0x1500020" in lab.peer.ask("web2", "tpm2_getcap handles-nv-index"), "its NV is gone")
    lab.peer.ask("web2", TPM + "tpm2_createprimary -C o -G ecc")
    before = memory(lab.peer, "web2")
    moved(lab.peer, lab, "web2", "alpha")
    after = memory(lab, "web2")
    check(before == after, f"its TPM was {before!r}, and is {after!r}")


def measured_guest_reboots(lab):
    """a guest that was launched moves, and reboots there from inside: what it boots has gone along"""
    pool_up(lab)
    name = "pvh1"
    cases_launch.fresh(lab, name)
    cases_launch.launch(lab, name)
    before = cases_launch.replayed(lab, name)
    lab.host.must("rm -rf /root/launch")
    moved(lab, lab.peer, name, "beta")
    check(cases_launch.replayed(lab.peer, name) == before, "its PCRs or its log are others")
    lab.peer.guest_reboot(name)
    after = cases_launch.replayed(lab.peer, name)
    check(after == before, f"its PCRs were {before}, and are {after}")
    moved(lab.peer, lab, name, "alpha")
    lab.guest_reboot(name)
    check(cases_launch.replayed(lab, name) == before, "its PCRs are others after the way back")
    lab.guest_down(name)


def newer_release(lab):
    """a guest moves from a host of Debian 12 to one of Debian 13 with its TPM, and reboots there"""
    build("-s", "-j2", "all", "test-programs", suite="trixie")
    name = pool_up(lab, "trixie")
    before = guest_with_memory(lab, "pvh9")
    moved(lab, lab.peer, "pvh9", name)
    after = memory(lab.peer, "pvh9")
    check(before == after, f"its TPM was {before!r}, and is {after!r}")
    unseals(lab.peer, "pvh9")
    lab.peer.guest_reboot("pvh9")
    check("0x1500020" in lab.peer.ask("pvh9", "tpm2_getcap handles-nv-index"), "its NV is gone")
    lab.peer.guest_down("pvh9")


def stays(lab, name, before, out, why):
    """It was not moved: it says why, and goes on here, with all that it had."""
    check(why in out, f"it does not say {why!r}: {out}")
    check(memory(lab, name) == before, "its TPM is another")
    lab.ask(name, TPM + "tpm2_nvincrement -C o 0x1500020")
    lab.peer.wait("the end of what came to the peer", lambda: not lab.peer.running(name) and
                  not lab.peer.running(f"vtpm-{name}"), 60)


def listed(lab, about):
    """Signs a list of hosts in which the peer is as that says; an older one is not taken again."""
    lab.host.must("vtpmctl peer remove beta --policy-key /root/policy-key.pem && "
                  f"vtpmctl peer add beta --policy-key /root/policy-key.pem {about}")


def boot_state_refused(lab):
    """a host in a boot state that the pool has not is refused before anything is copied"""
    pool_up(lab)
    before = guest_with_memory(lab, "web2")
    about = told(lab.peer, "beta")
    listed(lab, re.sub(r"--pcrs \S+", f"--pcrs 7={'01' * 32}", about))
    rc, out = lab.host.run("vtpmctl migrate web2 beta </dev/null", 200)
    listed(lab, about)
    check(rc != 0, f"it was moved: {out}")
    check("Saving to migration stream" not in out, f"xl migrate was begun: {out}")
    stays(lab, "web2", before, out, "boot state")


def xl_alone_refused(lab):
    """xl migrate by itself is refused at the other host, and the guest goes on here"""
    pool_up(lab)
    before = guest_with_memory(lab, "web2")
    lab.peer.host.start("socat -t 300 TCP-LISTEN:7772,bind=10.9.0.2 EXEC:'xl migrate-receive'")
    rc, out = lab.host.run("xl migrate -s '' web2 'socat -t 10 - TCP:10.9.0.2:7772'", 300)
    check(rc != 0, f"it was moved: {out}")
    stays(lab, "web2", before, out, "")


def unpause_fails(lab):
    """a guest that xl cannot start at the other host goes on here, by xl's own way back"""
    pool_up(lab)
    before = guest_with_memory(lab, "web2")
    lab.peer.host.put(NO_UNPAUSE, "/usr/local/bin/xl")
    lab.peer.host.must("chmod 755 /usr/local/bin/xl")
    try:
        rc, out = lab.host.run("vtpmctl migrate web2 beta </dev/null", 400)
    finally:
        lab.peer.host.must("rm /usr/local/bin/xl")
    check(rc != 0, f"it was moved: {out}")
    check("Target reports startup failure" in out, f"xl did not fail as it should: {out}")
    stays(lab, "web2", before, out, "could not be started on beta")
    unseals(lab, "web2")


def mover_killed(lab):
    """xl and vtpmctl are killed when the guest stands still: --continue has libxl resume it"""
    pool_up(lab)
    before = guest_with_memory(lab, "web2")
    # all that is vtpmctl's: what carries xl's stream would go on by itself
    lab.host.start("tail -n 0 -f /var/log/vtpmd.log | grep -a -q -m 1 'handover of web2.*: frozen' && "
                   "pkill -9 -x 'xl|vtpmctl'")
    rc, out = lab.host.run("vtpmctl migrate web2 beta </dev/null", 400)
    check(rc == 137, f"it was not killed: status {rc}: {out}")
    check("web2" not in lab.host.run("xl list | awk '$5 ~ /[rb]/ {print $1}'")[1].split(),
          "the guest did not stand still")
    out = lab.host.must("vtpmctl migrate --continue web2 2>&1", 200)
    check("was suspended, and goes on" in out, f"it was not resumed: {out}")
    pool_up(lab)
    stays(lab, "web2", before, out, "")
    unseals(lab, "web2")


def begun(lab, name, dest, what, test):
    """vtpmctl migrate in the background, which has come as far as the test says."""
    run = lab.host.start(f"vtpmctl migrate {name} beta 2>&1 </dev/null")
    try:
        dest.wait(what, test, 300)
    except Failure as e:
        run.kill()
        raise Failure(f"{e}\nvtpmctl migrate: {run.wait(30)[1].decode(errors='replace')}")
    return run


def peer_cut_in_copy(lab):
    """a power cut of the other host in the midst of the copy: the guest goes on here"""
    pool_up(lab)
    before = guest_with_memory(lab, "web2")
    run = begun(lab, "web2", lab.peer, "the guest's copy",
                lambda: lab.peer.running("web2--incoming"))
    lab.peer.host.power_cut()
    cut = time.monotonic()
    rc, out = run.wait(300)
    lab.log(f"vtpmctl migrate ended {time.monotonic() - cut:.0f} s after the cut: "
            f"{out.decode(errors='replace')[-600:]}")
    lab.peer.up()
    pool_up(lab)
    check(rc != 0, f"it was moved: {out}")
    stays(lab, "web2", before, out.decode(), "")


def cut_at(lab, word):
    """Cuts a host's power when a handover there comes to that state."""
    lab.host.start(f"tail -n 0 -f /var/log/vtpmd.log | grep -a -q -m 1 'handover of .*: {word}' && "
                   "echo b >/proc/sysrq-trigger")


def counts_on(lab, name, counter):
    """The vTPM is here, whole, and what the guest was told to be written is."""
    lab.wait(f"{name}'s vTPM", lambda: lab.state(name) == "running", 120)
    lab.guest_up(name)
    seen = lab.ask(name, "tpm2_nvread -C o 0x1500020 | xxd -p").strip()
    check(seen == counter, f"the counter is {seen}, and was {counter}")


def one_has_it(lab, name, counter):
    """After a cut: one of both hosts has the vTPM, whole, and the other refuses it."""
    rc, out = lab.host.run(f"vtpmctl migrate --continue {name}", 120)
    lab.log(f"--continue: status {rc}: {out.strip()}")
    owner, other = lab, lab.peer
    if lab.host.run(f"vtpmctl show {name}")[0]:
        owner, other = lab.peer, lab
        lab.peer.uuid[name] = lab.uuid.pop(name)
    lab.log(f"it is {'the peer' if owner is lab.peer else 'the source'}'s")
    check(other.host.run(f"vtpmctl start {name}")[0] != 0, "both hosts run it")
    counts_on(owner, name, counter)


def cut_in_move(lab, cut, word, name):
    """A move in which one of both hosts loses its power as soon as the handover there comes to
    that state; then both are up again.  One has the vTPM, with its counter."""
    pool_up(lab)
    guest_with_memory(lab, name)
    counter = lab.ask(name, "tpm2_nvread -C o 0x1500020 | xxd -p").strip()
    cut_at(cut, word)
    run = begun(lab, name, cut, "the end of the host that is cut", lambda: not cut.host.alive())
    cut.host.power_cut()
    pool_up(lab)
    if cut is not lab:
        rc, out = run.wait(400)     # it has waited for the peer
        lab.log(f"vtpmctl migrate: status {rc}: {out.decode(errors='replace').strip()[-300:]}")
    one_has_it(lab, name, counter)


def source_cut_before_released(lab):
    """a power cut of the source when it is about to give the vTPM away: one host has it, whole"""
    cut_in_move(lab, lab, "held", "web2")


def peer_cut_before_released(lab):
    """a power cut of the destination when it has stored the vTPM: one host has it, whole"""
    cut_in_move(lab, lab.peer, "prepared", "pvh3")


def source_cut_when_released(lab):
    """a power cut of the source when it has just given the vTPM away: one host has it, whole"""
    cut_in_move(lab, lab, "released", "web2")


def peer_cut_when_released(lab):
    """a power cut of the destination when it is to have the vTPM: one host has it, whole"""
    pool_up(lab)
    name = "pvh10"
    guest_with_memory(lab, name)
    counter = lab.ask(name, "tpm2_nvread -C o 0x1500020 | xxd -p").strip()
    run = begun(lab, name, lab, "released", lambda: "released" in lab.host.run(
        f"grep -a 'handover of {name}' /var/log/vtpmd.log")[1])
    lab.peer.host.power_cut()
    pool_up(lab)
    rc, out = run.wait(400)     # it has waited for the peer
    lab.log(f"vtpmctl migrate: status {rc}: {out.decode(errors='replace').strip()[-300:]}")
    one_has_it(lab, name, counter)


CASES = [network, pool, pvh_guest_moves, moved_guest_reboots, downtime, boot_state_refused,
         xl_alone_refused, unpause_fails, mover_killed, peer_cut_in_copy,
         source_cut_before_released, peer_cut_before_released, source_cut_when_released,
         peer_cut_when_released, hvm_guest_moves, measured_guest_reboots, evacuated, saved_guest_moves, newer_release]

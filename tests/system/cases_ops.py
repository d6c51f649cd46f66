# SPDX-License-Identifier: Apache-2.0
"""Day to day: restarts and upgrades of vtpmd, other credentials for the KMS, a host's
start with a vTPM that is broken, and what is seen of it all."""
import json
import re
import time

from cases_causes import flip
from cases_power import NAME, READ, WRITES, Writer, restart_guest
from lab import STORE, VTPMD_LOG, check

# One more of everything between two restarts: a read, a random number, an object.
READS = ("i=0; while [ $i -lt {n} ]; do tpm2_getrandom --hex 8 >/dev/null && "
         "tpm2_pcrread -Q sha256:16 && tpm2_createprimary -Q -C o -G ecc -c /tmp/p || "
         "exit 1; i=$((i + 1)); done; echo all $i")


def upgrade(lab):
    """As a package does it: a new file in the place of the one that runs."""
    lab.host.must("p=$(command -v vtpmd); cp -p $p $p.new && mv $p.new $p")


def vtpmd_restarted(lab):
    """three restarts of vtpmd, one an upgrade, while a guest works: no command fails"""
    w = Writer(lab)
    before = lab.show(NAME)
    for number in (20, 60, 100):
        w.wait(number)
        lab.stop_vtpmd("TERM")
        check(lab.running(f"vtpm-{NAME}"), "the stub domain ended with vtpmd")
        if number == 60:
            upgrade(lab)
        lab.start_vtpmd()
        lab.wait("vtpmd to find its stub domain", lambda: lab.state(NAME) == "running", 60)
    rc, out = w.job.wait(400)
    check(rc == 0, f"the guest's writes ended: {rc} {out!r}")
    check(lab.ask(NAME, READ).strip() == f"{WRITES:08d}", "a write failed, or was lost")
    check(lab.ask(NAME, READS.format(n=5), 120).strip() == "all 5", "a command failed")
    after = lab.show(NAME)
    check(after["domid"] == before["domid"], "it is another stub domain")
    check(after["guest_domid"] == before["guest_domid"], "it is another guest")
    check(lab.figure(NAME, "commands") > WRITES, f"the count began anew: {after}")
    check(lab.figure(NAME, "uptime_s") >= before["uptime_s"], "the uptime began anew")
    restart_guest(lab)


def restart_unnoticed(lab):
    """a stub domain that could not see vtpmd go and come back is connected, once it can"""
    lab.vtpms("web2")
    before = lab.show("web2")
    lab.host.must("xl pause vtpm-web2")
    try:
        lab.stop_vtpmd("TERM")
        lab.start_vtpmd()
        time.sleep(2)   # by now vtpmd has the ring of before
        check(lab.state("web2") == "starting", "the paused stub domain was heard")
    finally:
        lab.host.must("xl unpause vtpm-web2")
    lab.wait("vtpmd to hear the stub domain", lambda: lab.state("web2") == "running", 30)
    check(lab.show("web2")["domid"] == before["domid"], "it is another stub domain")
    check(lab.figure("web2", "uptime_s") >= before["uptime_s"], "the uptime began anew")


NEW_CERT = """cd /root/kms && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
-keyout renewed.key -out renewed.csr -subj /CN=host 2>/dev/null && \
openssl x509 -req -in renewed.csr -CA otherca.pem -CAkey otherca.key -CAcreateserial -days 30 \
-extfile host.ext -out renewed.pem 2>/dev/null"""
TRUST = ("cd /root/kms; kms stop; cp {ca}.pem trust.pem; "
         "sed -i 's/ca_path=.*/ca_path=\\/root\\/kms\\/{trust}.pem/' server.conf; kms start")
OLD = "--kms-cert /root/kms/host.pem --kms-key /root/kms/host.key"
NEW = "--kms-cert /root/kms/renewed.pem --kms-key /root/kms/renewed.key"


def kms_renewed(lab):
    """the KMS takes another certificate only: renewed under running vTPM and vtpmd"""
    lab.guests(NAME)
    domid, pid = lab.show(NAME)["domid"], lab.host.must("cat /run/vtpmd.pid")
    lab.host.must(NEW_CERT)
    lab.kms(TRUST.format(ca="otherca", trust="trust"))
    try:
        rc, out = lab.vtpmctl(f"rekey {NAME}")
        check(rc == 7 and "certificate" in out, f"rekey with the old certificate: {rc} {out}")
        lab.ask(NAME, "tpm2_getrandom --hex 8")
        lab.host.must(f"vtpmctl host renew {NEW}", 90)
        lab.host.must(f"vtpmctl rekey {NAME}", 90)
        check(lab.show(NAME)["domid"] == domid, "it is another stub domain")
        check(lab.host.must("cat /run/vtpmd.pid") == pid and
              lab.host.run(f"kill -0 {pid}")[0] == 0, "vtpmd was restarted")
        lab.ask(NAME, "tpm2_getrandom --hex 8")
        secret = lab.host.must("grep -v -- ---- /root/kms/renewed.key | head -n 1").strip()
        rc, found = lab.host.run(f"grep -rl '{secret}' /etc/xen-vtpm {STORE}")
        check(rc != 0, f"the new key is in {found}")
        lab.guest_down(NAME)
        lab.stop(NAME)
        lab.start(NAME)     # the next open
    finally:
        lab.kms(TRUST.format(ca="ca", trust="ca"))
        lab.host.must(f"vtpmctl host renew {OLD}", 90)
    lab.guest_up(NAME)


def kms_fails_over(lab):
    """the KMS's first address is away: a stub domain opens its vTPM by the second"""
    lab.guests(NAME)
    lab.guest_down(NAME)
    lab.stop(NAME)
    lab.host.must("vtpmctl host renew --kms kmip://127.0.0.1:5690,127.0.0.1:5696", 90)
    try:
        lab.start(NAME)
        said = lab.tail(VTPMD_LOG, 40)
        check("tunnel to KMS 127.0.0.1:5690: Connection refused" in said,
              f"the first address was not tried: {said}")
        lab.host.must("vtpmctl doctor | grep '^kms  *warning .*1 of the KMS.s 2'", 90)
    finally:
        lab.host.must("vtpmctl host renew --kms kmip://127.0.0.1:5696", 90)
    lab.guest_up(NAME)


def one_broken_at_start(lab):
    """after a reboot of the host one broken vTPM holds up no other; the log says how far"""
    lab.vtpms("web1", "web2")
    if "spoiled" not in lab.uuid:
        lab.create("spoiled")
    path = f"{STORE}/{lab.uuid['spoiled']}/permall"
    lab.host.must(f"cp {path} /root/permall.kept")
    flip(lab, "permall", "700", vtpm="spoiled")
    lab.host.must(f"sync; : >{VTPMD_LOG}")
    try:
        lab.reboot()
        for name in ("web1", "web2"):
            lab.wait(f"{name} to run", lambda n=name: lab.state(n) == "running", 90)
        lab.wait("the broken one to fail", lambda: lab.state("spoiled") == "failed", 60)
        check(lab.show("spoiled")["cause"] == "blob-corrupt", f"{lab.show('spoiled')}")
        said = lab.host.must(f"cat {VTPMD_LOG}")
        check(re.search(r"[3-9] vTPMs are started, 4 at a time", said) and
              re.search(r"([3-9]) of \1 vTPMs were started, 1 of them failed", said),
              f"the log does not tell how far the start is: {said[-1500:]}")
    finally:
        lab.host.run(f"cp /root/permall.kept {path}; vtpmctl delete --yes spoiled", 60)
        del lab.uuid["spoiled"]


SCRAPE = """python3 - <<'END'
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/xen-vtpm/metrics")
s.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
data = b""
while more := s.recv(65536):
    data += more
print(data.decode().split("\\r\\n\\r\\n", 1)[1])
END
"""


def figures(lab):
    """list, top and the figures for Prometheus tell of a stub domain that works"""
    lab.guests(NAME)
    lab.stop_vtpmd("TERM")
    lab.start_vtpmd(options="--metrics unix:/run/xen-vtpm/metrics")
    try:
        lab.wait("vtpmd to find its stub domain", lambda: lab.state(NAME) == "running", 60)
        job = lab.host.start("vtpmctl top --json -n 1 -d 6")
        lab.ask(NAME, READS.format(n=2), 120)
        rc, out = job.wait(60)
        check(rc == 0, f"top: {rc} {out!r}")
        top = [v for v in json.loads(out) if v["name"] == NAME][0]
        lab.log(f"top says {top}")
        check(0 < top["latency_p50_ms"] <= top["latency_p99_ms"] and top["commands_per_s"] > 0
              and 2048 < top["memory_kib"] < 8192, f"top says {top}")
        text = lab.host.must(SCRAPE)
        mine = dict(re.findall(r'^xen_vtpm_(\w+)\{vtpm="web1"\} (\S+)$', text, re.M))
        # each command of a guest is timed, and nothing else
        timed = float(mine["command_duration_seconds_count"]) - float(mine["commands_total"])
        check(float(mine["commands_total"]) > 0 and timed == 0
              and float(mine["memory_bytes"]) == 8 << 20
              and 0 < float(mine["memory_free_bytes"]) < 6 << 20
              and float(mine["hypercalls_total"]) > 0 and mine["guest_connected"] == "1"
              and float(mine["uptime_seconds"]) > 0, f"the figures: {mine}")
        check("xen_vtpm_kms_certificate_expiry_timestamp_seconds" in text, "no expiry")
        out = lab.host.must("vtpmctl list")
        check(re.search(rf"^{NAME} +running +\d+ +\d+ +\w+ +[\d.k]+ +\d+ +host +1 +2\.0$", out, re.M)
              and max(map(len, out.splitlines())) <= 100, f"list says {out}")
    finally:
        lab.stop_vtpmd("TERM")
        lab.start_vtpmd()


# Of domain 0's guest file, started by xl or by launch; how long that took is told.
REFUSED = """cat >/etc/xen/refused.cfg <<'END'
name="{guest}"
type="pv"
memory=128
kernel="/boot/guest/vmlinux"
{more}
vtpm=["backend={backend},uuid={uuid}"]
END
start=$(date +%s%N); {by} /etc/xen/refused.cfg 2>&1; rc=$?
echo "took $(( ($(date +%s%N) - start) / 1000000 )) ms"; exit $rc"""


def refuse(lab, vtpm, words, by="timeout 60 xl -vvv create", more="", **file):
    """The guest is not made, xl does not wait for it, and who asks learns why."""
    rc, out = lab.host.run(REFUSED.format(by=by, more=more, **file), 90)
    check(rc != 0, f"xl made the guest: {out}")
    took = int(re.search(r"took (\d+) ms", out)[1])
    lab.log(f"refused ({words}) after {took} ms")
    check("xl -vvv" not in by or "wanted state 2 but it was removed" in out, f"xl waited: {out}")
    check("timed out" not in out and "already removed" in out, f"xl waited: {out}")
    told = lab.show(vtpm)["refused_guest"] or ""
    m = re.match(r"domain (\d+) \((.*?)\): ", told)
    check(m and m[2] == file["guest"] and words in told, f"show has {told!r}; xl: {out}")
    said = lab.host.must(f"grep -F 'vTPM {vtpm}: domain {m[1]} ({m[2]}) is refused: ' {VTPMD_LOG}")
    check(words in said, f"vtpmd's log has {said}")
    node = f"/local/domain/{lab.show(vtpm)['domid']}/error/backend/vtpm/{m[1]}/0/error"
    check(words in lab.host.must(f"xenstore-read {node}"), f"{node} does not say why")
    # with its last device the folder is gone
    left = lab.host.must(f"xenstore-ls /local/domain/{lab.show(vtpm)['domid']}/backend | cat")
    check(not re.search(rf"^ *{m[1]} = ", left, re.M), f"the device is left: {left}")
    check(not lab.running(file["guest"]), "there is a guest")
    return out


def refused_at_once(lab):
    """a guest that is refused: xl gives up at once; show, log, xenstore and launch say why"""
    lab.guests("web1")
    lab.vtpms("web2")
    lab.guest_down("web2")
    domid = lab.show("web1")["guest_domid"]
    refuse(lab, "web1", "in use by another guest", guest="thief", backend="vtpm-web1",
           uuid=lab.uuid["web1"])
    refuse(lab, "web2", "another uuid", guest="wrong", backend="vtpm-web2",
           uuid=lab.uuid["web1"])
    twin = lab.host.must(f"xenstore-read /local/domain/{domid}/vm").strip().split("/")[-1]
    out = refuse(lab, "web2", "another domain has its uuid", by="vtpmctl launch --unmeasured",
                 more=f'uuid="{twin}"', guest="twin", backend="vtpm-web2", uuid=lab.uuid["web2"])
    last = [line for line in out.splitlines() if not line.startswith("took ")][-1]
    check(re.match(r"vtpmctl: the vTPM web2 refused domain \d+ \(twin\): another domain", last),
          f"launch says {out}")
    lab.ask("web1", "tpm2_getrandom --hex 8")
    lab.guests("web2")
    lab.ask("web2", "tpm2_getrandom --hex 8")


def reboot_is_no_end(lab):
    """`xl shutdown` of a stub domain: its guest reboots, and goes on; its end is the guest's"""
    lab.guests("web1")
    before = lab.show("web1")["domid"]
    lab.host.must("xl shutdown vtpm-web1", 30)
    check("asked to end" in lab.host.must("vtpmctl list"), "list does not say so")
    lab.guest_reboot("web1")
    lab.ask("web1", "tpm2_getrandom --hex 8")
    after = lab.show("web1")
    check(after["domid"] == before and after["ending"], f"show says {after}")
    lab.guest_down("web1")
    lab.wait("its end", lambda: lab.state("web1") == "stopped" and not lab.running("vtpm-web1"))


CASES = [refused_at_once, reboot_is_no_end, vtpmd_restarted, restart_unnoticed, kms_renewed, kms_fails_over, figures,
         one_broken_at_start]

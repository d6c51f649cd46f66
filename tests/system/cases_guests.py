# SPDX-License-Identifier: Apache-2.0
"""PV and PVH guests use their TPMs, and what is in them stays there."""
from lab import STORE, VTPMD_LOG, check

BANKS = ("sha1", "sha256", "sha384", "sha512")
SEAL = """cd /tmp
tpm2_evictcontrol -Q -C o -c 0x81000100 2>/dev/null
tpm2_nvundefine -Q -C o 0x1500016 2>/dev/null
set -e
tpm2_createprimary -Q -C o -g sha256 -G ecc -c primary
tpm2_startauthsession -Q -S session
tpm2_policypcr -Q -S session -l sha256:16 -L policy
tpm2_flushcontext -Q session
printf '%s' '{secret}' | tpm2_create -Q -C primary -i- -L policy -u pub -r priv
tpm2_load -Q -C primary -u pub -r priv -c sealed
tpm2_evictcontrol -Q -C o -c sealed 0x81000100
tpm2_nvdefine -Q -C o -s 32 -a 'ownerread|ownerwrite' 0x1500016
printf '%s' '{secret}' | tpm2_nvwrite -Q -C o -i- 0x1500016
"""
UNSEAL = "tpm2_unseal -Q -c 0x81000100 -p pcr:sha256:16"
EXTEND = "tpm2_pcrextend 16:sha256=" + "11" * 32
READ = "tpm2_nvread -C o -s 14 0x1500016 2>/dev/null"
PCR16 = "tpm2_pcrread sha256:16 | tr -d ' \\n'"


def devices(lab, name):
    lab.guests(name)
    out = lab.ask(name, "ls /dev/tpm0 /dev/tpmrm0 && cat /sys/class/tpm/tpm0/tpm_version_major")
    check(out.split() == ["/dev/tpm0", "/dev/tpmrm0", "2"], f"it has {out.split()}")
    out = lab.ask(name, "tpm2_pcrread sha1:16+sha256:16+sha384:16+sha512:16")
    check(all(f"{bank}:" in out for bank in BANKS), f"PCR banks: {out}")
    out = lab.ask(name, "ls -d /sys/class/tpm/tpm0/pcr-*")
    check(len(out.split()) == 4, f"the kernel sees the banks {out}")


def pv_guest(lab):
    """a PV guest has /dev/tpm0, /dev/tpmrm0, version 2 and four PCR banks"""
    devices(lab, "web1")


def pvh_guest(lab):
    """a PVH guest has /dev/tpm0, /dev/tpmrm0, version 2 and four PCR banks"""
    devices(lab, "web2")


def both_at_once(lab):
    """tpm2-tools work in both guests at once"""
    lab.guests()
    loop = ("for i in 1 2 3 4 5 6 7 8; do tpm2_getrandom --hex 32 && echo || exit 1; "
            "tpm2_createprimary -Q -C o -G ecc -c /tmp/c$i || exit 1; done")
    jobs = [lab.host.start(f"guest run --timeout 120 {name} '{loop}'")
            for name in ("web1", "web2")]
    for job in jobs:
        rc, out = job.wait(150)
        check(rc == 0, f"status {rc}: {out.decode(errors='replace')}")
        lines = out.decode().split()
        check(len(lines) == 8 and all(len(line) == 64 for line in lines), f"it printed {lines}")


def seal_in_both(lab):
    """secrets are sealed to PCR 16, objects persisted and NV written in both"""
    lab.guests()
    for name in ("web1", "web2"):
        lab.ask(name, SEAL.format(secret=f"secret of {name}"), 120)
        out = lab.ask(name, UNSEAL)
        check(out == f"secret of {name}", f"unsealed: {out!r}")


def nothing_shared(lab):
    """neither guest sees the other's objects or has its primary seed"""
    lab.guests()
    lab.ask("web1", "cd /tmp; tpm2_evictcontrol -Q -C o -c 0x81000200 2>/dev/null; "
            "tpm2_createprimary -Q -C o -G ecc -c own && "
            "tpm2_evictcontrol -Q -C o -c own 0x81000200")
    out = lab.ask("web2", "tpm2_getcap handles-persistent")
    check("0x81000200" not in out.lower(), f"web2 sees {out}")
    names = [lab.ask(n, "cd /tmp; tpm2_createprimary -Q -C o -G ecc -c p && "
                     "tpm2_readpublic -Q -c p -n name && base64 name").strip()
             for n in ("web1", "web2")]
    check(names[0] != names[1], "both have the same storage primary")
    out = lab.ask("web2", READ)
    check(out == "secret of web2", f"web2 reads {out!r}")


def pcrs_bind(lab):
    """a changed PCR closes the secret"""
    lab.guests()
    lab.ask("web1", EXTEND)
    rc, out = lab.guest("web1", UNSEAL)
    check(rc != 0, f"it unsealed: {out!r}")


def survives_reboot(lab):
    """a guest reboot resets the PCRs; secret, handles and NV are there"""
    lab.guests()
    for name in ("web1", "web2"):
        lab.ask(name, EXTEND)
        lab.guest_reboot(name)
        still_there(lab, name)


def still_there(lab, name):
    pcr = lab.ask(name, PCR16)
    check(pcr.endswith("0x" + "00" * 32), f"PCR 16 of {name} after a start: {pcr}")
    out = lab.ask(name, UNSEAL)
    check(out == f"secret of {name}", f"{name} unsealed {out!r}")
    out = lab.ask(name, READ)
    check(out == f"secret of {name}", f"{name} read {out!r} from NV")


def full_size_command(lab):
    """commands of 4000 and of 4096 bytes are answered, not dropped"""
    lab.guests("web1")
    # TPM2_GetRandom with trailing bytes: the TPM itself refuses the size
    for size in (4000, 4096):
        head = "\\200\\001\\000\\000" + "\\%03o\\%03o" % divmod(size, 256)
        out = lab.ask("web1", f"{{ printf '{head}\\000\\000\\001\\173\\000\\010'; "
                      f"head -c {size - 12} /dev/zero; }} >/tmp/cmd; "
                      "dd if=/tmp/cmd bs=8192 count=1 2>/dev/null | "
                      "{ exec 3<>/dev/tpmrm0; dd bs=8192 count=1 >&3 2>/dev/null; "
                      "dd bs=4096 count=1 <&3 2>/dev/null | od -An -tx1; }")
        check(out.split()[:2] == ["80", "01"], f"{size} bytes are answered by {out!r}")


def detach_attach(lab):
    """vtpm-detach and vtpm-attach give the TPM back to a running guest"""
    lab.guests("web1")
    try:
        lab.host.must("xl vtpm-detach web1 0", 60)
        lab.wait("the TPM to go", lambda: lab.guest("web1", "[ ! -e /dev/tpm0 ]")[0] == 0)
        lab.host.must("xl vtpm-attach web1 backend=vtpm-web1", 60)
        lab.wait("the TPM to come", lambda: lab.guest("web1", "ls /dev/tpmrm*")[0] == 0)
        out = lab.ask("web1", "export TPM2TOOLS_TCTI=device:$(ls /dev/tpmrm*); " + UNSEAL)
        check(out == "secret of web1", f"unsealed {out!r}")
    finally:
        lab.guest_reboot("web1")


def save_restore(lab):
    """xl save and restore keep /dev/tpm0 and the TPM's state"""
    lab.guests("web1")
    lab.ask("web1", "tpm2_getrandom --hex 4")
    lab.host.must("rm -f /root/web1.save; xl save web1 /root/web1.save", 120)
    lab.host.must("xl restore /root/web1.save; rm -f /root/web1.save", 120)
    lab.host.must("guest wait --timeout 60 web1", 80)
    out = lab.ask("web1", "ls /dev/tpm0 /dev/tpmrm0")
    check("tpmrm0" in out, f"after the restore: {out}")
    out = lab.ask("web1", READ)
    check(out == "secret of web1", f"read {out!r} from NV after the restore")


VOLATILE = ("cd /tmp; tpm2_createprimary -Q -C o -G ecc -c kept.ctx && tpm2_startauthsession "
            "-S kept.session && tpm2_policypcr -Q -S kept.session -l sha256:16 && echo made")
GOES_ON = ("cd /tmp; tpm2_readpublic -Q -c kept.ctx && "
           "tpm2_policypcr -Q -S kept.session -l sha256:16 -L d && wc -c <d")


def save_resume(lab):
    """xl save, vtpmctl resume, xl restore: PCRs, sessions and objects go on; a boot starts clean"""
    for name in ("web1", "web2"):
        lab.guests(name)
        lab.ask(name, EXTEND)
        before = lab.ask(name, PCR16)
        lab.ask(name, VOLATILE)
        rc, out = lab.vtpmctl(f"resume {name}")
        check(rc == 1 and "uses the vTPM" in out, f"resume with the guest there: {rc} {out}")
        lab.host.must(f"rm -f /root/{name}.save; xl save {name} /root/{name}.save", 120)
        lab.host.must(f"vtpmctl resume {name} && xl restore /root/{name}.save", 120)
        lab.host.must(f"rm -f /root/{name}.save; guest wait --timeout 60 {name}", 80)
        after = lab.ask(name, PCR16)
        check(before == after, f"PCR 16 of {name}: {before} before, {after} after")
        out = lab.ask(name, GOES_ON)
        check(out.split()[-1] == "32", f"sessions and objects of {name}: {out!r}")
        rc, out = lab.guest(name, UNSEAL)
        check(rc != 0, f"the extended PCR opens the secret of {name}: {out}")
        lab.guest_reboot(name)
        still_there(lab, name)


def rekey(lab):
    """vtpmctl rekey makes new key slots under a running guest; they open the state"""
    lab.guests("web1")
    header = f"{STORE}/{lab.uuid['web1']}/header"
    before = lab.host.must(f"sha256sum <{header}")
    lab.host.must("vtpmctl rekey web1", 90)
    check(lab.host.must(f"sha256sum <{header}") != before, "the header is the same")
    check(lab.host.must(f"sha256sum <{header}.prev") == before, "the old one was not kept")
    check(lab.ask("web1", READ) == "secret of web1", "the guest does not go on")
    lab.guest_down("web1")
    lab.stop("web1")
    lab.start("web1")
    lab.guest_up("web1")
    still_there(lab, "web1")


def launch_starts(lab):
    """vtpmctl launch starts the stub domain, waits for it, and creates the guest"""
    lab.guests("web1")
    lab.guest_down("web1")
    lab.stop("web1")
    out = lab.host.must("vtpmctl launch /etc/xen/web1.cfg --dry-run")
    lines = out.strip().split("\n")
    check(lines[0] == "vtpmctl start web1" and lines[-1] == "xl create /etc/xen/web1.cfg" and
          any(line.startswith("measure: PCR 4 sha256=") for line in lines), out)
    check(lab.state("web1") == "stopped", "a dry run starts it")
    lab.host.must("vtpmctl launch /etc/xen/web1.cfg && guest wait --timeout 60 web1", 150)
    still_there(lab, "web1")
    # from here on it would serve measured guests only
    lab.guest_down("web1")
    lab.stop("web1")


def said_since(lab, mark):
    return lab.host.must(f"tail -c +{mark + 1} {VTPMD_LOG}")


def log_mark(lab):
    return int(lab.host.must(f"wc -c <{VTPMD_LOG}"))


def another_had_it(lab):
    """a vTPM that another guest had since gives the living first one no fresh PCRs"""
    lab.guests()
    lab.ask("web1", EXTEND)
    line = f"uuid={lab.uuid['web1']} backend=vtpm-web1"
    try:
        lab.host.must("xl vtpm-detach web1 0", 60)
        lab.wait("the TPM to go", lambda: lab.guest("web1", "[ ! -e /dev/tpm0 ]")[0] == 0)
        lab.host.must(f"xl vtpm-attach web2 {line}", 60)
        lab.wait("the TPM to come", lambda: lab.guest("web2", "ls /dev/tpmrm1")[0] == 0)
        lab.host.must("xl vtpm-detach web2 1", 60)
        lab.wait("it to go", lambda: lab.guest("web2", "[ ! -e /dev/tpm1 ]")[0] == 0)
        mark = log_mark(lab)
        rc, out = lab.host.run(f"xl vtpm-attach web1 {line}", 60)
        said = said_since(lab, mark)
        check("its PCRs are lost: reboot it" in said, f"status {rc}, {out}: {said}")
        out = lab.ask("web1", "ls /dev | grep -c tpm; true")
        check(out.strip() == "0", f"web1 has TPMs: {out}")
        out = lab.vtpmctl("show web1")[1]
        check("reboot it" in out, out)
    finally:
        lab.guest_reboot("web1")
    still_there(lab, "web1")


def comes_by_migration(lab):
    """a guest that comes by xl migrate is refused, with the reason, and goes on where it was"""
    lab.guests("web1")
    lab.ask("web1", EXTEND)
    before = lab.ask("web1", PCR16)
    # the destination's own copy of the same vTPM, as from a backup
    lab.vtpmctl("delete --yes --force moved")
    uuid = lab.host.must("vtpmctl clone web1 moved --identity copy && vtpmctl start moved "
                         "&& vtpmctl show moved --json | sed -n 's/^ *.uuid.: *.\\([^\"]*\\).,/\\1/p'",
                         120).split()[-1]
    def create(name):
        """Paused, with the copy; as xl migrate-receive names it until it has all of it."""
        lab.host.must(f"sed 's/^name *=.*/name=\"{name}\"/; s/^vtpm *=.*/vtpm=[\"backend="
                      f"vtpm-moved,uuid={uuid}\"]/' /etc/xen/web1.cfg >/root/moved.cfg")
        return lab.host.run("timeout 60 xl create -p /root/moved.cfg", 80)

    try:
        mark = log_mark(lab)
        rc, out = create("web1--incoming")
        said = said_since(lab, mark)
        check(rc != 0, f"it was let in: {out[-1500:]}")
        check("it comes by `xl migrate`" in said, f"{said} {out[-1500:]}")
        check("it comes by" in lab.vtpmctl("show moved")[1], "not in show")
        lab.wait("the refused guest to go", lambda: not lab.running("web1--incoming"))
        check(lab.ask("web1", PCR16) == before, "the source has lost its PCRs")
        out = lab.ask("web1", READ)
        check(out == "secret of web1", f"read {out!r} from NV after the migration")
        rc, out = create("moved")
        check(rc == 0, f"the same guest, started here: {rc} {out[-1500:]}")
    finally:
        lab.host.run("xl destroy moved 2>/dev/null", 60)
        lab.vtpmctl("delete --yes --force moved")


def stock_driver(lab):
    """a guest with the stock driver gets a raw /dev/tpm0 that works"""
    lab.vtpms("web1")
    lab.guest_down("web1")
    lab.guest_up("web1", driver="stock")
    try:
        out = lab.ask("web1", "ls /dev/tpm0; TPM2TOOLS_TCTI=device:/dev/tpm0 "
                      "tpm2_getrandom --hex 16")
        check(len(out.split()[-1]) == 32, f"it printed {out!r}")
    finally:
        lab.guest_down("web1")


CASES = [pv_guest, pvh_guest, both_at_once, seal_in_both, nothing_shared, pcrs_bind,
         survives_reboot, full_size_command, detach_attach, save_restore, save_resume,
         another_had_it, comes_by_migration, rekey, launch_starts, stock_driver]

# SPDX-License-Identifier: Apache-2.0
"""Suites that others wrote, on the TPM of a Debian guest: tests/conformance/README.md.
With CONFORMANCE=all in the environment all of each, else the parts that are quick."""
import os
import subprocess
import tarfile

import cases_luks
from lab import check
from vhost import TOP

HERE = f"{TOP}/tests/conformance"
VTPM = "suites"
ALL = os.environ.get("CONFORMANCE") == "all"
TAR = "/root/suites.tar"    # in dom0; a disk of the guest

# Programs that have to be built are prepared by the suite's own file.
FOLDER = """here={here} fast_run={fast}
. $here/suites/{suite}
tree=$($here/source {suite} $version $sum) || exit
! declare -F suite_guest >/dev/null || tree=$(suite_guest) || exit 9
echo $tree"""

# Tests of tpm2-tss that extend PCRs by what they have a log of.
FRESH = [f"fapi-quote-destructive{more}.fint"
         for more in ("", "-eventlog", "-eventlog-null", "-eventlog-pc-client")]
# Those of tpm2-tools that count the TPM's commits from its reset on; and, the last, one
# that forbids TPM2_Clear, which only the platform can take back.
FRESH_TOOLS = ["ecc", "sign", "clearcontrol"]
KERNEL_QUICK = "tpm2_tests.AsyncTest tpm2_tests.SpaceTest.test_flush_context"


def have(suite):
    """(folder, None), or (None, why there is none), of a suite's tests.  One that is there
    and cannot be built is a failure."""
    if suite in ("kernel", "systemd"):
        command = [f"{HERE}/from-deb", suite]
    else:
        command = ["bash", "-c", FOLDER.format(here=HERE, suite=suite, fast="" if ALL else 1)]
    got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    folder, why = got.stdout.decode().strip(), got.stderr.decode().strip()[-300:]
    check(got.returncode != 9, f"{suite} cannot be built: {why}")
    return (folder, None) if got.returncode == 0 else (None, why)


# What of a suite's folder is brought into the guest; those that are built for it apart.
PROGRAMS = {"kernel": "", "systemd": "", "clevis": "src/pins/tpm2", "tpm2-openssl": "test",
            "tpm2-tools": ""}
LIBRARIES = {"tpm2-tss": "", "tpm2-pytss": ""}


def bring(lab, vtpm, name):
    """The guest runs with that vTPM, and has in /run/suites the suite and those beside it."""
    inside = LIBRARIES if name in LIBRARIES else PROGRAMS
    cases_luks.prepare(lab, vtpm)
    if lab.running(cases_luks.NAME):
        if getattr(lab, "suites_on", None) == (vtpm, inside):
            return
        lab.host.must(f"guest stop {cases_luks.NAME}", 150)
    lab.suites_on = None
    lab.suites = {suite: have(suite) for suite in inside}
    path = lab.host.path("suites.tar")
    with tarfile.open(path, "w") as tar:
        tar.add(f"{HERE}/guest", "guest")
        for file in ("on_device.py", "suites/tpm2-pytss"):
            tar.add(f"{HERE}/{file}", file)
        for suite, part in inside.items():
            if lab.suites[suite][0]:
                tar.add(os.path.join(lab.suites[suite][0], part), suite)
    lab.host.put(path, TAR)
    disk = lab.host.must(f"modprobe loop && losetup -r -f --show {TAR}").split()[-1]
    more = f',"format=raw,vdev={cases_luks.disks(lab)[1]},access=ro,script=/usr/lib/vhost/block,target={disk}"'
    cases_luks.boot(lab, "initrd.enrol", vtpm, more)
    unpack(lab)
    lab.suites_on = vtpm, inside


def unpack(lab):
    lab.ask(cases_luks.NAME, "mkdir -p /run/suites && tar -xf "
            f"/dev/{cases_luks.disks(lab)[1]} -C /run/suites")


def suite(lab, name, tests="", timeout=600, vtpm=VTPM, fresh=()):
    """Runs one in the guest, and has its results compared with what is expected; each
    of the tests FRESH after a reboot, as it wants a TPM that nothing was measured into."""
    bring(lab, vtpm, name)
    folder, why = lab.suites[name]
    if not folder:
        print(f"# skipped: guest-{name}: all of it: {why}")
        return
    out = lab.ask(cases_luks.NAME, f"/run/suites/guest {name} {tests}", timeout)
    for test in fresh:
        cases_luks.reboot(lab)
        unpack(lab)
        out += lab.ask(cases_luks.NAME, f"/run/suites/guest {name} {test}", 300)
    judge(lab, name, folder, out)


def judge(lab, name, folder, out):
    with open(f"{folder}/.from", encoding="utf-8") as f:
        origin = f.read().strip()
    judged = subprocess.run([f"{HERE}/run", *([] if ALL else ["--fast"]), "--judge",
                             f"guest-{name}", origin], input=out.encode(),
                            stdout=subprocess.PIPE, check=False)
    for line in judged.stdout.decode().splitlines():
        print(f"# {line.removeprefix('# ')}")
    if judged.returncode:
        print(f"# {lab.guest(cases_luks.NAME, f'tail -n 30 /var/log/conformance-{name}')[1]}")
    check(judged.returncode == 0, f"the suite {name} came out as above")


def own(lab, name, more=""):
    """The vTPM that a whole suite changes for good, or the one of all the quick ones."""
    if not ALL:
        return VTPM
    cases_luks.prepare(lab, VTPM)
    vtpm = f"{name}{len(lab.uuid)}"
    lab.create(vtpm, more)
    return vtpm


def without(tests):
    """What takes these out of a list of tests in the guest."""
    return "".join(f" | grep -Fxv {test}" for test in tests)


def kernel(lab):
    """the kernel's own TPM selftests"""
    suite(lab, "kernel", "" if ALL else KERNEL_QUICK, 1800)


def systemd(lab):
    """the TPM test of systemd: cryptenroll, cryptsetup, creds, measure"""
    suite(lab, "systemd", timeout=900)


def clevis(lab):
    """the test of clevis's tpm2 pin"""
    suite(lab, "clevis", timeout=900)


def openssl(lab):
    """tests of tpm2-openssl: keys in the TPM for openssl"""
    tests = "$(cd /run/suites/tpm2-openssl && ls *.sh)"
    suite(lab, "tpm2-openssl", tests if ALL else "rand.sh ecdsa_genpkey_auth.sh", 3600)


def tools(lab):
    """integration tests of tpm2-tools on the kernel's resource manager"""
    tests = ("$(cd /run/suites/tpm2-tools/test/integration/tests && ls | "
             "sed 's/\\.sh$//;/^abrmd_/d'" + without(FRESH_TOOLS) + ")")
    suite(lab, "tpm2-tools", tests if ALL else "getrandom pcrextend unseal quote", 7200,
          own(lab, "tools"), FRESH_TOOLS if ALL else ())
    lab.host.must(f"guest stop {cases_luks.NAME}", 150)


def tss(lab):
    """integration tests of tpm2-tss: its System, Enhanced System and Feature APIs"""
    bring(lab, VTPM, "tpm2-tss")
    # Feature API: it provisions with the TPM's own certificates, and verifies them.
    lab.host.must("[ -e /etc/xen-vtpm/ca/chain.pem ] || vtpmctl ca init")
    lab.host.must(f"vtpmctl cert issue {VTPM}")
    chain = lab.host.must("base64 -w 0 /etc/xen-vtpm/ca/chain.pem").strip()
    lab.ask(cases_luks.NAME, f"echo {chain} | base64 -d >/root/ca.pem")
    fresh = FRESH if ALL else ()
    tests = "$(cd /run/suites/tpm2-tss/test && ls */.libs | grep 'int$'"
    tests += without(fresh) + ")"
    suite(lab, "tpm2-tss", tests, 7200, fresh=fresh)


def pytss(lab):
    """tests of tpm2-pytss, the Python bindings"""
    # some expect a TPM without certificates, in which no counter has ever been
    suite(lab, "tpm2-pytss", "" if ALL else "fast", 7200, own(lab, "pytss", "--ca /nowhere"))
    lab.host.must(f"guest stop {cases_luks.NAME}", 150)


CASES = [kernel, systemd, clevis, openssl, tools, tss, pytss]

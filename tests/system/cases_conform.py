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


KERNEL_QUICK = "tpm2_tests.AsyncTest tpm2_tests.SpaceTest.test_flush_context"


def have(suite):
    """(folder, None), or (None, why there is none), of a suite's tests."""
    if suite in ("kernel", "systemd"):
        command = [f"{HERE}/from-deb", suite]
    else:
        command = ["bash", "-c", f". {HERE}/suites/{suite}; exec {HERE}/source {suite} $version $sum"]
    got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    folder = got.stdout.decode().strip()
    return (folder, None) if got.returncode == 0 else (None, got.stderr.decode().strip()[-300:])


INSIDE = {"kernel": "", "systemd": "", "clevis": "src/pins/tpm2", "tpm2-openssl": "test",
          "tpm2-tools": "test/integration"}


def bring(lab):
    """The guest runs, with the suites in /run/suites."""
    if getattr(lab, "suites", None) and lab.running(cases_luks.NAME):
        return
    cases_luks.prepare(lab, VTPM)
    lab.suites = {suite: have(suite) for suite in INSIDE}
    path = lab.host.path("suites.tar")
    with tarfile.open(path, "w") as tar:
        tar.add(f"{HERE}/guest", "guest")
        for suite, inside in INSIDE.items():
            if lab.suites[suite][0]:
                tar.add(os.path.join(lab.suites[suite][0], inside), suite)
    lab.host.put(path, TAR)
    disk = lab.host.must(f"modprobe loop && losetup -r -f --show {TAR}").split()[-1]
    more = f',"format=raw,vdev=xvdb,access=ro,script=/usr/lib/vhost/block,target={disk}"'
    cases_luks.create(lab, "initrd.enrol", VTPM, more)
    lab.host.must(f"guest wait --timeout 300 {cases_luks.NAME}", 320)
    lab.ask(cases_luks.NAME, "mkdir -p /run/suites && tar -xf /dev/xvdb -C /run/suites")


def suite(lab, name, tests="", timeout=600):
    """Runs one in the guest, and has its results compared with what is expected."""
    bring(lab)
    folder, why = lab.suites[name]
    if not folder:
        print(f"# skipped: guest-{name}: all of it: {why}")
        return
    out = lab.ask(cases_luks.NAME, f"/run/suites/guest {name} {tests}", timeout)
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
    tests = "$(cd /run/suites/tpm2-tools/tests && ls | sed 's/\\.sh$//;/^abrmd_/d')"
    suite(lab, "tpm2-tools", tests if ALL else "getrandom pcrextend unseal quote", 7200)
    lab.host.must(f"guest stop {cases_luks.NAME}", 150)


CASES = [kernel, systemd, clevis, openssl, tools]

# SPDX-License-Identifier: Apache-2.0
"""Setting a host up, what is refused before, and the vTPMs' stub domains."""
import re

from lab import HOST_INIT, STORE, check


def boots(lab):
    """the virtual Xen host boots, with a TPM, a KMS and vtpmd"""
    lab.up()
    lab.host.must("xl list && tpm2_getrandom --hex 8 && vtpmctl list")


def refuses_without_init(lab):
    """create without `vtpmctl host init` refuses and says what to do"""
    lab.up()
    rc, out = lab.vtpmctl("create early")
    check(rc != 0, f"it made a vTPM: {out}")
    check("vtpmctl host init" in out, f"it does not say what to do: {out}")
    rc, out = lab.host.run(f"ls {STORE}/*/header {STORE}/*/vtpm.json 2>/dev/null")
    check(not out.strip(), f"it left something in the store: {out}")


def refuses_without_kms(lab):
    """create refuses a policy with a KMS when none is configured, and says what to do"""
    lab.up()
    lab.host.must("vtpmctl host init --no-kms && ls -l /etc/xen-vtpm", 120)
    lab.stop_vtpmd()
    lab.start_vtpmd()
    rc, out = lab.vtpmctl("create early")
    lab.host.must("rm -rf /etc/xen-vtpm; tpm2_evictcontrol -C o -c 0x81005654; "
                  "tpm2_evictcontrol -C o -c 0x81015655; "
                  "tpm2_nvundefine -C o 0x01805654; tpm2_nvundefine -C o 0x01805655")
    lab.stop_vtpmd()
    lab.start_vtpmd()
    check(rc != 0, f"it made a vTPM: {out}")
    check("KMS" in out and "--kms" in out, f"it does not say what to do: {out}")


def host_init(lab):
    """host init seals the KMS client's key to the TPM and keeps none of it in clear"""
    lab.up()
    out = lab.host.must(HOST_INIT.format(key=lab.new_key()), 120)
    check("host.key" in out, f"it does not say to remove the key file: {out}")
    secret = lab.host.must("grep -v -- ---- /root/kms/host.key | head -n 1").strip()
    rc, found = lab.host.run(f"grep -rl '{secret}' /etc/xen-vtpm {STORE}")
    check(rc != 0, f"the client's key is in {found}")
    lab.stop_vtpmd()
    lab.start_vtpmd()
    lab.host.must("vtpmctl host show")


def create_prints_uuid(lab):
    """create prints the uuid alone and starts the stub domain at 8 MiB"""
    lab.up()
    lab.host_init()
    for name in ("web1", "web2"):
        out = lab.create(name)
        check(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", out),
              f"it printed: {out!r}")
        listed = lab.host.must(f"xl list vtpm-{name} | tail -n 1").split()
        check(listed[0] == f"vtpm-{name}" and int(listed[2]) <= 8,
              f"the stub domain: {listed}")
    check(lab.uuid["web1"] != lab.uuid["web2"], "both have the same uuid")


def show_tells(lab):
    """show and list tell what runs, in text and in JSON"""
    lab.vtpms()
    seen = lab.show("web1")
    check(seen["state"] == "running" and seen["uuid"] == lab.uuid["web1"] and
          seen["domain"] == "vtpm-web1" and seen["policy"] == "host", f"show says {seen}")
    text = lab.host.must("vtpmctl show web1; vtpmctl list")
    check(lab.uuid["web1"] in text and "web2" in text, f"list says {text}")


def store_is_ciphertext(lab):
    """the store holds nothing readable of the TPM's state"""
    lab.vtpms()
    # without what fills up the sides that the file of a vTPM that runs has
    state = "tr -d '\\0' <permall"
    out = lab.host.must(f"cd {STORE}/{lab.uuid['web1']} && ls -l && "
                        f"{state} | gzip -c | wc -c && {state} | wc -c")
    packed, plain = [int(n) for n in out.split()[-2:]]
    # zlib makes ciphertext no smaller; a state in clear shrinks to a fraction
    check(plain > 1000 and packed > plain, f"permall of {plain} bytes packs to {packed}")


def duplicate_name(lab):
    """a second vTPM of the same name is refused and the first one kept"""
    lab.vtpms()
    before = lab.store_sums("web1")
    rc, out = lab.vtpmctl("create web1 --localities 0,2")
    check(rc != 0 and "web1" in out and "localities" in out, f"status {rc}: {out}")
    rc, out = lab.vtpmctl("create web1")
    check(rc == 0 and lab.uuid["web1"] in out, f"status {rc}: {out}")
    check(lab.store_sums("web1") == before, "the store has changed")


CASES = [boots, refuses_without_init, refuses_without_kms, host_init, create_prints_uuid,
         show_tells, store_is_ciphertext, duplicate_name]

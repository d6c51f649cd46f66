# SPDX-License-Identifier: Apache-2.0
"""A guest finds the certificates of its TPM's endorsement keys, and can do nothing to
them; another CA's take their place while it runs."""
from lab import check

NAME = "cert1"
FOUND = "cd /tmp && tpm2_getekcertificate -o rsa.der -o ecc.der >/dev/null 2>&1 && sha256sum <{}.der"
KEY = "cd /tmp && tpm2_createek -Q -c ek -G rsa -u ek.pem -f pem && tpm2_flushcontext -t && sha256sum <ek.pem"
OWN = ("tpm2_pcrextend 16:sha256=" + "17" * 32 + " && tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' "
       "0x1500040 && printf 12345678 | tpm2_nvwrite -Q -C o -i- 0x1500040")
STATE = "tpm2_pcrread sha256:16 && tpm2_nvread -C o 0x1500040 | sha256sum"
SPOIL = ("printf x >/tmp/x; ! tpm2_nvundefine -C o 0x1c00002 2>/dev/null && ! tpm2_nvundefine -C p 0x1c00002 2>/dev/null && "
         "! tpm2_nvwrite -C o -i /tmp/x 0x1c00002 2>/dev/null && ! tpm2_nvwrite -C 0x1c00002 -i /tmp/x 0x1c00002 2>/dev/null")
OTHER = """set -e
cd /tmp && vtpmctl csr cert1
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other -days 9 2>/dev/null
openssl x509 -req -in cert1-rsa2048.csr -force_pubkey cert1-rsa2048.pub -copy_extensions copy -CA other.pem \
    -CAkey other.key -CAcreateserial -out rsa.pem 2>/dev/null
openssl verify -CAfile other.pem rsa.pem >/dev/null
vtpmctl cert install cert1 rsa.pem
openssl x509 -in rsa.pem -outform DER | sha256sum
"""


def certificates(lab):
    """a guest finds its EK certificates, cannot spoil them, and gets another CA's while it runs"""
    lab.up()
    lab.host_init()
    lab.host.run(f"vtpmctl delete --yes --force {NAME}; rm -rf /etc/xen-vtpm/ca")
    lab.host.must("vtpmctl ca init --name 'the CA'")
    lab.create(NAME)
    lab.host.must(f"cd /tmp && vtpmctl cert export {NAME} all.pem --replace && rm -f cert-0? && "
                  "csplit -sz -f cert- all.pem '/-----BEGIN/' '{*}'")
    for n in range(4):
        rc, out = lab.host.run(f"openssl verify -x509_strict -CAfile /etc/xen-vtpm/ca/chain.pem /tmp/cert-0{n}")
        check(rc == 0, f"certificate {n} does not verify: {out}")
    lab.guest_up(NAME)
    for n, kind in enumerate(("rsa", "ecc")):
        issued = lab.host.must(f"openssl x509 -in /tmp/cert-0{n} -outform DER | sha256sum")
        found = lab.ask(NAME, FOUND.format(kind))
        check(found == issued, f"tpm2_getekcertificate finds {found} for {kind}, issued was {issued}")
    issued = lab.host.must("openssl x509 -in /tmp/cert-00 -noout -pubkey | sha256sum")
    found = lab.ask(NAME, KEY)
    check(found == issued, f"tpm2_createek makes {found}, the certificate is of {issued}")
    lab.ask(NAME, SPOIL)
    lab.ask(NAME, OWN)
    before = lab.ask(NAME, STATE)
    issued = lab.host.must(OTHER, 60)
    found = lab.ask(NAME, FOUND.format("rsa"))
    check(found.split()[0] == issued.split()[0], f"after the install the guest finds {found}, not {issued}")
    check(lab.ask(NAME, STATE) == before, "the install changed something else in the TPM")
    lab.guest_reboot(NAME)
    found = lab.ask(NAME, FOUND.format("rsa"))
    check(found.split()[0] == issued.split()[0], f"after a reboot the guest finds {found}, not {issued}")
    lab.guest_down(NAME)
    lab.host.must(f"vtpmctl delete --yes --force {NAME}; rm -rf /etc/xen-vtpm/ca", 60)


CASES = [certificates]

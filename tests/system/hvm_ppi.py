# SPDX-License-Identifier: Apache-2.0
"""Physical presence of an HVM guest, by its own Linux: /sys/class/tpm/tpm0/ppi."""
from lab import check

PPI = "/sys/class/tpm/tpm0/ppi"
KEYS = "for h in o e; do tpm2_createprimary -Q -C $h -c /tmp/k && tpm2_readpublic -Q -c /tmp/k " \
       "-n /tmp/n && od -An -tx1 /tmp/n | tr -d ' \\n' && echo; tpm2_flushcontext -t; done"


def operations(lab, name):
    """{operation: function 8's answer}"""
    out = lab.ask(name, f"cat {PPI}/tcg_operations")
    return {int(line.split()[0]): int(line.split()[1].rstrip(":")) for line in out.splitlines()}


def request_clear(lab, name):
    """Looks at all functions, has the operator deny and allow, and leaves a Clear pending.
    Returns the Names of the storage and the endorsement key."""
    out = lab.ask(name, f"cd {PPI} && cat version transition_action request")
    check(out.split()[0] == "1.3" and out.split()[1] == "2:" and out.split()[-1] == "0", out)
    answers = operations(lab, name)
    check({op for op, answer in answers.items() if answer} == {0, 5, 14, 21, 22}, answers)
    check(all(answers[op] == 4 for op in (5, 14, 21, 22)), answers)
    lab.host.must(f"vtpmctl set {name} --ppi deny")
    check(operations(lab, name)[5] == 2, "a Clear is not blocked")
    rc, out = lab.guest(name, f"echo 5 >{PPI}/request")
    check(rc != 0 and lab.ask(name, f"cat {PPI}/request").split() == ["0"], out)
    lab.host.must(f"vtpmctl set {name} --ppi allow")
    rc, out = lab.guest(name, f"echo 24 >{PPI}/request")     # ChangeEPS
    check(rc != 0, out)
    out = lab.ask(name, f"echo 14 >{PPI}/request && cat {PPI}/request && echo 0 >{PPI}/request && "
                        f"cat {PPI}/request && echo 5 >{PPI}/request && cat {PPI}/request")
    check(out.split() == ["14", "0", "5"], out)
    keys = lab.ask(name, KEYS).split()
    check(len(keys) == 2, keys)
    return keys


def was_cleared(lab, name, before):
    """After the guest's next start; before: what request_clear() returned."""
    out = lab.ask(name, f"cat {PPI}/request {PPI}/response; tpm2_getcap handles-nv-index")
    check(out.split("\n")[:2] == ["0", "5 0: Success"], out)
    check("0x1500016" not in out.lower(), f"the owner's NV index is there: {out}")
    keys = lab.ask(name, KEYS).split()
    check(keys[0] != before[0] and keys[1] == before[1], f"keys were {before}, are {keys}")
    out = lab.host.must(f"grep '\"event\":\"clear\",\"vtpm\":\"{name}\"' "
                        "/var/log/xen-vtpm/audit.log")
    check(out.count("TPM2_Clear was done") == 1 and name in out, out)

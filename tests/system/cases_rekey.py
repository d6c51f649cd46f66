# SPDX-License-Identifier: Apache-2.0
"""New data keys for a vTPM whose guest writes all the while; vtpmd and the stub domain
are killed in the midst."""
from cases_power import NAME, READ, WRITES, Writer, nothing_lost, restart_guest
from lab import STORE, check


def slots(lab):
    return lab.show(NAME)["slots"]


def deep_rekeys(lab):
    """deep rekeys in 200 NV writes, vtpmd killed in three: nothing lost, no old key left"""
    w = Writer(lab)
    w.wait(20)
    made = lab.show(NAME)["keyed"]
    rc, out = lab.vtpmctl(f"rekey --deep {NAME}")
    check(rc == 0, f"rekey --deep: status {rc}: {out}")
    check(lab.show(NAME)["keyed"] > made, "show does not tell that the data key is new")
    for number, pause in ((40, 0.05), (70, 0.2), (100, 0.4)):
        job = lab.host.start(f"vtpmctl rekey --deep {NAME} 2>&1")
        lab.host.run(f"sleep {pause}")
        lab.stop_vtpmd("KILL")
        rc, out = job.wait(60)
        lab.log(f"killed after {pause} s: rekey ends with {rc}")
        lab.start_vtpmd()
        lab.wait("vtpmd to find its stub domain again",
                 lambda: lab.state(NAME) == "running", 60)
        w.wait(number)
    rc, out = w.job.wait(400)
    check(rc == 0, f"the guest's writes ended: {rc} {out!r}")
    check(lab.ask(NAME, READ).strip() == f"{WRITES:08d}", "the last write is not there")
    rc, out = lab.vtpmctl("rekey --deep --all")
    check(rc == 0 and f"{NAME}: done" in out, f"rekey --all: status {rc}: {out}")
    check(slots(lab) == ["host"], f"slots {slots(lab)}")
    rc, out = lab.host.run(f"ls {STORE}/{lab.uuid[NAME]}/header.prev")
    check(rc != 0, "a previous generation of the header is left")


def stubdom_killed_in_rekey(lab):
    """the stub domain killed in a deep rekey loses no acknowledged write"""
    w = Writer(lab)
    w.wait(20)
    job = lab.host.start(f"vtpmctl rekey --deep {NAME} 2>&1")
    lab.host.must(f"sleep 0.15; xl destroy vtpm-{NAME}", 60)
    rc, out = job.wait(90)
    lab.log(f"rekey ends with {rc}: {out.decode(errors='replace').strip()[-100:]}")
    w.job.kill()
    lab.wait("it to run again", lambda: lab.state(NAME) == "running", 60)
    restart_guest(lab)
    nothing_lost(lab, w)
    check(slots(lab) == ["host"], f"slots {slots(lab)}")


CASES = [deep_rekeys, stubdom_killed_in_rekey]

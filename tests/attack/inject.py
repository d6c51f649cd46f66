# SPDX-License-Identifier: Apache-2.0
"""Has a process that runs make system calls of the attacker's, as one would whose guest has
taken it over: by ptrace, as root.  What the process may do is its own still."""
import ctypes
import os
import re
import signal
import struct

SEIZE, INTERRUPT, CONT, STEP, DETACH, GETREGS, SETREGS = 0x4206, 0x4207, 7, 9, 17, 12, 13
REGS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp "
        "ss fs_base gs_base ds es fs gs").split()
CALLS = {}
with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h") as f:
    for line in f:
        m = re.match(r"#define __NR_(\w+) (\d+)", line)
        if m:
            CALLS[m[1]] = int(m[2])

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Ended(Exception):
    """The process is gone: its wait status."""


def ptrace(what, pid, data=None):
    if libc.ptrace(what, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what}")


class Process:
    def __init__(self, pid):
        self.pid = pid
        ptrace(SEIZE, pid)
        ptrace(INTERRUPT, pid)
        self.wait()
        self.mem = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        self.regs = (ctypes.c_ulonglong * len(REGS))()
        ptrace(GETREGS, pid, self.regs)
        self.old = list(self.regs)
        self.code = self.find(b"\x0f\x05")
        self.top = (self.old[REGS.index("rsp")] - 4096) & ~15

    def wait(self):
        status = os.waitpid(self.pid, 0x40000000)[1]    # __WALL
        if not os.WIFSTOPPED(status):
            raise Ended(status)
        return status

    def find(self, code):
        """Where in what it may execute these bytes stand."""
        with open(f"/proc/{self.pid}/maps") as maps:
            for line in maps:
                at, end = (int(x, 16) for x in line.split()[0].split("-"))
                if " r-xp " in line and "[v" not in line:
                    self.mem.seek(at)
                    found = self.mem.read(end - at).find(code)
                    if found >= 0:
                        return at + found
        raise LookupError(code)

    def put(self, data):
        """Bytes, below its stack; where they are."""
        self.top = (self.top - len(data) - 1) & ~15
        self.mem.seek(self.top)
        self.mem.write(data + b"\0")
        return self.top

    def run(self, number, args, code=None):
        regs = (ctypes.c_ulonglong * len(REGS))(*self.old)
        names = ("rbx rcx rdx rsi rdi rbp" if code else "rdi rsi rdx r10 r8 r9").split()
        for name, value in zip(names, args):
            if isinstance(value, (bytes, str)):
                value = self.put(value.encode() if isinstance(value, str) else value)
            regs[REGS.index(name)] = value & 0xFFFFFFFFFFFFFFFF
        regs[REGS.index("rax")] = number
        regs[REGS.index("orig_rax")] = 0xFFFFFFFFFFFFFFFF
        regs[REGS.index("rip")] = code or self.code
        ptrace(SETREGS, self.pid, regs)
        ptrace(STEP, self.pid)
        while os.WSTOPSIG(self.wait()) != signal.SIGTRAP:
            ptrace(STEP, self.pid)
        ptrace(GETREGS, self.pid, regs)
        return ctypes.c_longlong(regs[REGS.index("rax")]).value

    def call(self, name, *args):
        """What the system call returned: -errno when it failed."""
        return self.run(CALLS[name], args)

    def call_x32(self, name, *args):
        return self.run(CALLS[name] | 0x40000000, args)

    def call_i386(self, number, *args):
        """By int 0x80, which is written over the call that it has."""
        self.mem.seek(self.code)
        self.mem.write(b"\xcd\x80")
        return self.run(number, args, self.code)

    def leave(self):
        """As if nothing had been."""
        ptrace(SETREGS, self.pid, (ctypes.c_ulonglong * len(REGS))(*self.old))
        ptrace(DETACH, self.pid)


def sockaddr_un(path):
    return struct.pack("=H", 1) + path.encode()


def sockaddr_in(port):
    return struct.pack("=H", 2) + struct.pack(">H", port) + bytes([127, 0, 0, 1]) + bytes(8)

# SPDX-License-Identifier: Apache-2.0
"""A test guest's console: commands go to the guest's init as lines of base64, and
their output comes back the same way with a checksum, so that a kernel message
between the lines costs a repetition and no more.
"""
import base64
import fcntl
import hashlib
import os
import select
import subprocess
import time

SILENCE = 5     # seconds in the midst of an answer: its end is lost


class GuestError(Exception):
    pass


def output(*args):
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return p.stdout.decode().strip() if p.returncode == 0 else ""


class Console:
    """The guest's console, as xenconsoled offers it to xl console."""

    def __init__(self, name, timeout):
        self.lock = os.open(f"/run/lock/guest.{name}", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.name, self.end = name, time.monotonic() + timeout
        self.fd, self.rest = None, b""

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
        os.close(self.lock)

    def left(self):
        return self.end - time.monotonic()

    def open(self):
        while self.fd is None:
            domid = output("xl", "domid", self.name)
            if not domid:
                raise GuestError(f"guest {self.name} is not running: see guest log {self.name}")
            tty = output("xenstore-read", f"/local/domain/{domid}/console/tty") if domid else ""
            if tty:
                self.fd = os.open(tty, os.O_RDWR | os.O_NOCTTY)
            elif self.left() < 0:
                raise GuestError(f"guest {self.name}: no console")
            else:
                time.sleep(0.1)

    def line(self, timeout):
        """The next line; None when there is none within the time."""
        end = min(time.monotonic() + timeout, self.end)
        while b"\n" not in self.rest:
            wait = end - time.monotonic()
            if wait <= 0 or not select.select([self.fd], [], [], wait)[0]:
                return None
            data = os.read(self.fd, 65536)
            if not data:
                raise OSError("the guest's console is closed")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.strip(b"\r")

    def write(self, text):
        data = text.encode()
        while data:
            select.select([], [self.fd], [], max(0, self.left()))
            data = data[os.write(self.fd, data[:512]):]

    def ping(self):
        nonce = os.urandom(6).hex()
        while self.left() > 0:
            self.open()
            try:
                self.write(f"\nPING {nonce}\n")
                end = time.monotonic() + 1
                while (line := self.line(end - time.monotonic())) is not None:
                    if line.endswith(b"@PONG " + nonce.encode()):
                        return
            except OSError:
                os.close(self.fd)
                self.fd = None
                time.sleep(0.2)
        raise GuestError(f"guest {self.name}: does not answer on its console")

    def command(self, text):
        self.ping()
        nonce = os.urandom(6).hex()
        coded = base64.encodebytes(text.encode()).decode().split()
        self.write("NEW\n" + "".join(f"D {c}\n" for c in coded) + f"GO {nonce}\n")
        while self.left() > 0:
            answer = self.answer(nonce)
            if answer:
                return answer
            self.write(f"AGAIN {nonce}\n")
        raise GuestError(f"guest {self.name}: the command did not end: {text[:200]}")

    def answer(self, nonce):
        """(status, output), or None when the answer was damaged on its way: what others
        write may come between, before a line of it or within one."""
        body, inside = b"", False
        while (line := self.line(SILENCE if inside else self.left())) is not None:
            at = line.find(f"@END {nonce} ".encode())
            if line.endswith(f"@BEGIN {nonce}".encode()):
                body, inside = b"", True
            elif at >= 0:
                try:
                    rc, digest = line[at:].split()[2:4]
                    data, rc = base64.b64decode(body), int(rc)
                except ValueError:
                    return None
                return (rc, data) if hashlib.md5(data).hexdigest() == digest.decode() else None
            elif inside:
                body += line
        return None

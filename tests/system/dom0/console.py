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

    def lines(self, timeout):
        """What comes within the time, a line each; ends when nothing comes."""
        end = min(time.monotonic() + timeout, self.end)
        while True:
            wait = end - time.monotonic()
            if wait <= 0 or not select.select([self.fd], [], [], wait)[0]:
                return
            self.rest += os.read(self.fd, 65536)
            *whole, self.rest = self.rest.split(b"\n")
            yield from (line.strip(b"\r") for line in whole)

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
                for line in self.lines(1):
                    if line == b"@PONG " + nonce.encode():
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
        """(status, output), or None when the answer was damaged on its way."""
        body, inside = b"", False
        for line in self.lines(self.left()):
            if line == f"@BEGIN {nonce}".encode():
                body, inside = b"", True
            elif line.startswith(f"@END {nonce} ".encode()):
                rc, digest = line.split()[2:4]
                try:
                    data = base64.b64decode(body)
                except ValueError:
                    return None
                same = hashlib.md5(data).hexdigest() == digest.decode()
                return (int(rc), data) if same else None
            elif inside:
                body += line
        return None

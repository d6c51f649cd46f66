# SPDX-License-Identifier: Apache-2.0
"""The driver's end of the port to dom0's agent (frames: see dom0/agent.py)."""
import fcntl
import hashlib
import os
import queue
import socket
import struct
import sys
import threading
import time

SYNC = hashlib.sha256(b"vhost agent").digest()
CHUNK = 32768


class HostError(Exception):
    """What went wrong on or with a virtual host, in a sentence."""


class Command:
    def __init__(self, link, ident, stream, line):
        self.link, self.ident, self.stream, self.line = link, ident, stream, line
        self.events = queue.Queue()
        self.output = b""

    def wait(self, timeout):
        """(status, output); raises when it takes longer, and kills it."""
        end = time.monotonic() + timeout
        while True:
            try:
                kind, data = self.events.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                self.kill()
                tail = self.output[-1000:].decode(errors="replace")
                raise HostError(f"{self.line[:200]}: longer than {timeout} s: {tail}") from None
            if kind == b"O":
                self.output += data
                if self.stream:
                    self.stream(data)
            elif kind == b"X":
                return int(data), self.output
            else:
                raise HostError("the connection to dom0 is gone")

    def write(self, data):
        for at in range(0, len(data), CHUNK):
            self.link.send(b"I", self.ident, data[at:at + CHUNK])

    def close_input(self):
        self.link.send(b"I", self.ident)

    def kill(self):
        self.link.send(b"K", self.ident)


class AgentLink:
    def __init__(self, path, lock, timeout, alive):
        self.lock = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.commands, self.next = {}, int.from_bytes(os.urandom(3), "big") << 7
        self.write_lock = threading.Lock()
        self.sock = self.connect(path, timeout, alive)
        threading.Thread(target=self.receive, daemon=True).start()

    def connect(self, path, timeout, alive):
        """Sends SYNC until dom0's agent answers; frames begin behind that."""
        end = time.monotonic() + timeout
        nonce = os.urandom(8)
        self.rest = b""
        sock = None
        while time.monotonic() < end:
            if not alive():
                raise HostError("QEMU has ended: see qemu.log and console.log")
            try:
                if sock is None:
                    sock = socket.socket(socket.AF_UNIX)
                    sock.connect(path)
                    sock.settimeout(2)
                    self.sock = sock
                    sock.sendall(SYNC + nonce)
                self.rest += sock.recv(65536)
            except socket.timeout:
                # half a frame of an earlier driver may have swallowed it
                self.sync_again(sock, nonce)
                continue
            except OSError:
                sock = None
                time.sleep(0.05)
                continue
            at = self.rest.find(SYNC + nonce)
            if at >= 0:
                self.rest = self.rest[at + len(SYNC + nonce):]
                sock.settimeout(None)
                return sock
        raise HostError(f"dom0 did not answer within {timeout} s: see console.log")

    @staticmethod
    def sync_again(sock, nonce):
        try:
            sock.sendall(SYNC + nonce)
        except socket.timeout:
            pass    # a domain 0 that boots slowly has read none of those before

    def send(self, kind, ident, payload=b""):
        frame = struct.pack(">IcI", 5 + len(payload), kind, ident) + payload
        with self.write_lock:
            try:
                self.sock.sendall(frame)
            except OSError as e:
                raise HostError(f"the connection to dom0 is gone: {e}") from None

    def frames(self, buf):
        """Hands whole frames over; returns what is left."""
        while len(buf) >= 4:
            if buf.startswith(SYNC[:4]):
                size = len(SYNC) + 8 - 4    # the answer to a repeated one
            else:
                size = struct.unpack(">I", buf[:4])[0]
            if len(buf) < 4 + size:
                break
            if not buf.startswith(SYNC[:4]):
                kind, ident = struct.unpack(">cI", buf[4:9])
                command = self.commands.get(ident)
                if command:
                    command.events.put((kind, buf[9:4 + size]))
            buf = buf[4 + size:]
        return buf

    def receive(self):
        buf = self.frames(self.rest)
        while True:
            try:
                data = self.sock.recv(262144)
            except OSError:
                data = b""
            if not data:
                break
            buf = self.frames(buf + data)
        for command in list(self.commands.values()):
            command.events.put((None, b""))

    def start(self, command, stream=None, kind=b"R"):
        self.next += 1
        job = Command(self, self.next & 0xffffffff, stream, command)
        self.commands[job.ident] = job
        self.send(kind, job.ident, command.encode())
        return job

    def run_bytes(self, command, timeout, data=None, stream=None):
        job = self.start(command, stream)
        if data:
            job.write(data)
        job.close_input()
        rc, out = job.wait(timeout)
        del self.commands[job.ident]
        return rc, out

    def run(self, command, timeout, data=None, stream=None):
        rc, out = self.run_bytes(command, timeout, data, stream)
        return rc, out.decode(errors="replace")

    def guest(self, name, command, timeout):
        """(status, output) of a shell command in a guest."""
        job = self.start(f"{name} {timeout} {command}", kind=b"G")
        rc, out = job.wait(timeout + 20)
        del self.commands[job.ident]
        return rc, out.decode(errors="replace")

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        os.close(self.lock)

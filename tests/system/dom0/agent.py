# SPDX-License-Identifier: Apache-2.0
"""Runs the driver's commands in dom0, over a virtio-serial port.

Frames, both ways: u32 length (big-endian, of what follows), u8 type, u32 id,
payload.  From the driver: R run (payload: shell command), I input of it (empty:
end of file), K kill it; G run in a guest (payload: its name, the seconds that it
has, shell command, with a space between).  To the driver: O output, X exit status as
text.
A driver that connects anew sends SYNC and a nonce of 8 bytes, outside of any
frame, and gets the same back: so both ends find where frames begin, whatever an
earlier driver left half sent.
"""
import hashlib
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time

from console import Console, GuestError

PORT = "/dev/virtio-ports/vhost"
SYNC = hashlib.sha256(b"vhost agent").digest()
write_lock = threading.Lock()


def open_port():
    """udev does not run here: find the port by its name in sysfs."""
    base = "/sys/class/virtio-ports"
    while True:
        for name in os.listdir(base) if os.path.isdir(base) else []:
            with open(f"{base}/{name}/name") as f:
                if f.read().strip() == "vhost":
                    return os.open(f"/dev/{name}", os.O_RDWR)
        time.sleep(0.05)


def send_bytes(port, data):
    with write_lock:
        while data:
            data = data[os.write(port, data):]


def send(port, kind, ident, payload=b""):
    send_bytes(port, struct.pack(">IcI", 5 + len(payload), kind, ident) + payload)


class Job:
    def __init__(self, port, ident, command):
        self.port, self.ident = port, ident
        self.input = queue.Queue()
        env = dict(os.environ, PATH="/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root")
        self.proc = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            cwd="/root", start_new_session=True)
        threading.Thread(target=self.feed, daemon=True).start()
        threading.Thread(target=self.drain, daemon=True).start()

    def feed(self):
        try:
            while True:
                data = self.input.get()
                if not data:
                    break
                self.proc.stdin.write(data)
            self.proc.stdin.close()
        except OSError:
            pass

    def drain(self):
        """The command ends when its shell does, whoever else holds the pipe."""
        reader = threading.Thread(target=self.copy, daemon=True)
        reader.start()
        rc = self.proc.wait()
        reader.join(0.5)
        send(self.port, b"X", self.ident, str(rc).encode())

    def copy(self):
        with self.proc.stdout as out:
            while data := out.read1(16384):
                send(self.port, b"O", self.ident, data)

    def kill(self):
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except OSError:
            pass


def in_guest(port, ident, name, timeout, command):
    """Without a program of dom0's, which takes a second to start."""
    console = None
    try:
        console = Console(name, float(timeout))
        rc, out = console.command(command)
    except (GuestError, OSError) as e:
        rc, out = 98, f"guest: {e}\n".encode()
    finally:
        if console:
            console.close()
    send(port, b"O", ident, out)
    send(port, b"X", ident, str(rc).encode())


def handle(port, jobs, kind, ident, payload):
    if kind == b"R":
        jobs[ident] = Job(port, ident, payload.decode())
    elif kind == b"G":
        threading.Thread(target=in_guest, args=(port, ident, *payload.decode().split(" ", 2)),
                         daemon=True).start()
    elif kind == b"I" and ident in jobs:
        jobs[ident].input.put(payload)
    elif kind == b"K" and ident in jobs:
        jobs[ident].kill()


def synchronize(port, buf):
    """Drops what comes before a SYNC, and answers it."""
    at = buf.rfind(SYNC)
    if at < 0 or len(buf) < at + len(SYNC) + 8:
        return buf
    end = at + len(SYNC) + 8
    send_bytes(port, buf[at:end])
    return buf[end:]


def main():
    port = open_port()
    jobs, buf = {}, b""
    while True:
        data = os.read(port, 65536)
        if not data:
            # no driver is connected, or the kernel has not heard of it yet
            time.sleep(0.02)
            continue
        buf = synchronize(port, buf + data)
        while len(buf) >= 4:
            size = struct.unpack(">I", buf[:4])[0]
            if len(buf) < 4 + size:
                break
            kind, ident = struct.unpack(">cI", buf[4:9])
            payload, buf = buf[9:4 + size], buf[4 + size:]
            handle(port, jobs, kind, ident, payload)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""A TPM on a Unix socket, with swtpm's control channel beside it, as QEMU's `-tpmdev emulator`
wants it: QEMU sends the descriptor that carries the commands over the control channel.

  firmware_tpm.py LISTEN TPM                LISTEN: QEMU's chardev; TPM: commands, control at
                                            TPM.ctrl
  firmware_tpm.py LISTEN TPM CODE:N:ANSWER  but the N-th command with that code is not executed,
                                            and has that response code (both hexadecimal); or
                                            none, when ANSWER is "none"

What QEMU asks for and the TPM's own control channel lacks is answered here, or refused; all
else is passed on.  Ends when QEMU does, and the TPM with it.
"""
import select
import socket
import struct
import sys

# Commands and capabilities: tpm_ioctl.h of swtpm.
INIT, SHUTDOWN, SET_LOCALITY, CANCEL, STOP = 2, 3, 5, 9, 14
GET_CAPABILITY, GET_ESTABLISHED, RESET_ESTABLISHED = 1, 4, 11
SET_DATAFD, SET_BUFFERSIZE = 16, 17
PASSED_ON = (INIT, SHUTDOWN, SET_LOCALITY, CANCEL, STOP)
CAPABILITIES = (1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 10 | 1 << 12 |
                1 << 13)
BUFFER = 4096
PCR_EXTEND = 0x182  # TPM_CC_PCR_Extend
BAD_ORDINAL = 10    # TPM_BAD_ORDINAL


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def take_packet(s):
    """A command or response, whose header tells its length; b"" at the end."""
    data = s.recv(BUFFER)
    while data and (len(data) < 6 or len(data) < struct.unpack_from(">I", data, 2)[0]):
        more = s.recv(BUFFER)
        if not more:
            return b""
        data += more
    return data


class Proxy:
    def __init__(self, qemu, tpm, failure=None):
        self.qemu, self.data = qemu, None
        self.fails, self.left, self.answer_code = failure.split(":") if failure else ("0", "0", "")
        self.fails, self.left = int(self.fails, 16), int(self.left)
        self.tpm, self.control = connect(tpm), connect(f"{tpm}.ctrl")
        self.commands = self.extends = 0

    def pass_on(self, command, body):
        # QEMU sends SET_LOCALITY's byte in a field of four.
        self.control.sendall(struct.pack(">I", command) +
                             (body[:1] if command == SET_LOCALITY else body))
        return self.control.recv(BUFFER)

    def answer(self, command, body, fds):
        if command == GET_CAPABILITY:
            return struct.pack(">Q", CAPABILITIES)
        if command in PASSED_ON:
            return self.pass_on(command, body)
        if command == GET_ESTABLISHED:
            return struct.pack(">IB3x", 0, 0)
        if command == RESET_ESTABLISHED:
            return struct.pack(">I", 0)
        if command == SET_BUFFERSIZE:
            return struct.pack(">IIII", 0, BUFFER, BUFFER, BUFFER)
        if command == SET_DATAFD and fds:
            self.data = socket.socket(fileno=fds[0])
            return struct.pack(">I", 0)
        return struct.pack(">I", BAD_ORDINAL)

    def serve_control(self):
        data, fds, _, _ = socket.recv_fds(self.qemu, BUFFER, 1)
        if len(data) < 4:
            return False
        self.qemu.sendall(self.answer(struct.unpack_from(">I", data)[0], data[4:], fds))
        return True

    def serve_command(self):
        command = take_packet(self.data)
        if not command:
            return False
        code = struct.unpack_from(">I", command, 6)[0]
        self.extends += code == PCR_EXTEND
        if code == self.fails:
            self.left -= 1
            if self.left == 0:
                return self.fail()
        self.tpm.sendall(command)
        response = take_packet(self.tpm)
        self.data.sendall(response)
        self.commands += 1
        return bool(response)

    def fail(self):
        print(f"# {self.fails:#x} fails after {self.commands} commands", flush=True)
        if self.answer_code != "none":
            self.data.sendall(struct.pack(">HII", 0x8001, 10, int(self.answer_code, 16)))
        return True

    def run(self):
        alive = True
        while alive:
            ready, _, _ = select.select([s for s in (self.qemu, self.data) if s], [], [])
            if self.qemu in ready:
                alive = self.serve_control()
            elif self.data in ready:
                alive = self.serve_command()
        print(f"# {self.commands} commands, {self.extends} PCR_Extend")


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(1)
    Proxy(listener.accept()[0], *sys.argv[2:]).run()


if __name__ == "__main__":
    main()

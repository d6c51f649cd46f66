#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Vault's and OpenBao's Transit engine, written from their published API
(https://developer.hashicorp.com/vault/api-docs/secret/transit, .../auth/cert): no Vault.

vault_standin.py PORT CERT KEY CLIENTS-CA MODE-FILE LOG

The file MODE-FILE has a word, read for each request: sealed, standby, old (leaves
associated_data out), chunked, huge, endless, garbage, nolength, twolengths, redirected, liar
(decrypts to something else), expired (no token counts), rootlike (a token that cannot be
renewed)."""
import base64
import http.server
import json
import os
import re
import secrets
import ssl
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

port, cert, key, ca, mode_file, log_file = sys.argv[1:]
# name: type, derived, versions
KEYS = {"web": ["aes256-gcm96", False, [secrets.token_bytes(32)]],
        "db": ["aes256-gcm96", False, [secrets.token_bytes(32)]],
        "small": ["aes128-gcm96", False, [secrets.token_bytes(16)]],
        "derived": ["aes256-gcm96", True, [secrets.token_bytes(32)]],
        "rsa": ["rsa-2048", False, []]}
MOUNTS = {"transit", "team/transit"}
TOKENS = {"hvs.the-static-token", "hvs.another-token"}
LOGGED_IN = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def mode(self):
        return open(mode_file).read().strip()

    def answer(self, status, value):
        body = b"" if value is None else json.dumps(value).encode()
        mode = self.mode()
        if mode == "garbage":
            body = b'{"data": {"ciphertext": "vault:v1:' + b"A" * 80 + b'", "ciphertext": 1}}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        if status == 204:
            self.end_headers()
            return
        if mode == "huge":
            body = b" " * 100000 + body
        if mode == "endless":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
            except OSError:
                return
        if mode == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 7):
                piece = body[at:at + 7]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        if mode != "nolength":
            self.send_header("Content-Length", str(len(body)))
        if mode == "twolengths":
            self.send_header("Content-Length", str(len(body) + 1))
        self.end_headers()
        self.wfile.write(body)

    def errors(self, status, *words):
        self.answer(status, {"errors": list(words)})

    def data(self, value):
        self.answer(200, {"request_id": secrets.token_hex(8), "lease_id": "", "renewable": False,
                          "lease_duration": 0, "data": value, "wrap_info": None,
                          "warnings": None, "auth": None})

    def serve(self, method):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        with open(log_file, "a") as log:
            print(method, self.path, file=log, flush=True)
        mode = self.mode()
        token = self.headers.get("X-Vault-Token")
        if mode == "sealed":
            return self.errors(503, "Vault is sealed")
        if mode == "standby":
            return self.answer(429, {"errors": []})
        if self.path == "/v1/auth/cert/login":
            return self.login()
        if token not in TOKENS | LOGGED_IN or mode == "expired":
            return self.errors(403, "permission denied")
        if self.path == "/v1/auth/token/revoke-self":
            LOGGED_IN.discard(token)
            return self.answer(204, None)
        if self.path == "/v1/auth/token/renew-self":
            if mode == "rootlike":
                return self.errors(400, "lease is not renewable")
            return self.answer(200, {"auth": {"client_token": token, "policies": ["default"],
                                              "lease_duration": 86400, "renewable": True},
                                     "data": None})
        if self.path == "/v1/auth/token/lookup-self":
            ttl = {"expiring": 7200, "unending": 0, "negative": -5}.get(mode, 2764800)
            return self.data({"ttl": ttl, "renewable": True, "period": ttl, "policies": ["default"]})
        m = re.fullmatch(r"/v1/([\w./-]+)/(keys|encrypt|decrypt)/([\w.-]+)", self.path)
        if not m or m[1] not in MOUNTS:
            return self.errors(404, "no handler for route. route entry not found.")
        if m[3] == "forbidden":
            return self.errors(403, "1 error occurred:\n\t* permission denied\n\n")
        return getattr(self, m[2])(method, m[3], body)

    def login(self):
        peer = self.connection.getpeercert()
        if not peer:
            return self.errors(400, "client certificate must be supplied")
        name = dict(x[0] for x in peer["subject"])["commonName"]
        if name != "host1":
            return self.errors(403, "invalid certificate or no client certificate supplied")
        token = "hvs." + secrets.token_urlsafe(60)
        if self.mode() == "two-words":
            token = "hvs.a other"
        LOGGED_IN.add(token)
        return self.answer(200, {"auth": {"client_token": token, "policies": ["default"],
                                          "lease_duration": 600, "renewable": True},
                                 "data": None})

    def keys(self, method, name, body):
        if name not in KEYS:
            return self.answer(404, {"errors": []})
        kind, derived, versions = KEYS[name]
        return self.data({"type": kind, "deletion_allowed": False, "derived": derived,
                          "exportable": False, "allow_plaintext_backup": False,
                          "keys": {str(n + 1): 1442851412 for n in range(len(versions))},
                          "min_decryption_version": 1, "min_encryption_version": 0,
                          "name": name, "supports_encryption": True,
                          "supports_decryption": True, "supports_derivation": True,
                          "supports_signing": False, "imported": False})

    def aad(self, body):
        if self.mode() == "old":
            return None
        return base64.b64decode(body.get("associated_data", ""), validate=True) or None

    def encrypt(self, method, name, body):
        if name not in KEYS:  # who may, would make it
            KEYS[name] = ["aes256-gcm96", False, [secrets.token_bytes(32)]]
        versions = KEYS[name][2]
        if os.path.exists(mode_file + ".rotate"):
            os.unlink(mode_file + ".rotate")
            versions.append(secrets.token_bytes(32))
        nonce = secrets.token_bytes(12)
        plain = base64.b64decode(body["plaintext"], validate=True)
        sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, plain, self.aad(body))
        return self.data({"ciphertext": f"vault:v{len(versions)}:" +
                          base64.b64encode(sealed).decode(), "key_version": len(versions)})

    def decrypt(self, method, name, body):
        m = re.fullmatch(r"vault:v([0-9]+):(.+)", body["ciphertext"])
        if name not in KEYS:
            return self.errors(400, "encryption key not found")
        if not m or not 0 < int(m[1]) <= len(KEYS[name][2]):
            return self.errors(400, "invalid ciphertext: no prefix")
        sealed = base64.b64decode(m[2], validate=True)
        try:
            plain = AESGCM(KEYS[name][2][int(m[1]) - 1]).decrypt(sealed[:12], sealed[12:],
                                                                self.aad(body))
        except InvalidTag:
            return self.errors(400, "cipher: message authentication failed")
        if self.mode() == "liar":
            plain = bytes(len(plain))
        return self.data({"plaintext": base64.b64encode(plain).decode()})

    def do_GET(self):
        self.serve("GET")

    def do_POST(self):
        self.serve("POST")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.load_verify_locations(ca)
context.verify_mode = ssl.CERT_OPTIONAL
server = Server(("127.0.0.1", int(port)), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()

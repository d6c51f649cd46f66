# SPDX-License-Identifier: Apache-2.0
"""What a pool of virtual hosts has in common, and no power cut of one takes along: three members
of etcd, with TLS and a role for each host, and a KMS.  They run on this machine, on loopback,
where domain 0 reaches them by QEMU's user network, as ADDRESS."""
import os
import shutil
import signal
import socket
import subprocess
import time

from agentlink import HostError
from vhost import TOP

ADDRESS = "10.0.2.2"
POOL = "p1"
MEMBERS = (1, 2, 3)
SAN = f"subjectAltName=IP:127.0.0.1,IP:{ADDRESS}\n"
KMS = """[server]
hostname=127.0.0.1
port={port}
certificate_path={dir}/kms.pem
key_path={dir}/kms.key
ca_path={dir}/ca.pem
auth_suite=TLS1.2
policy_path={dir}/policy
enable_tls_client_auth=True
tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
logging_level=INFO
database_path={dir}/kms.db
"""
NEW_KEY = """
import sys
from kmip.core import enums as e
from kmip.pie.client import ProxyKmipClient
with ProxyKmipClient(hostname="127.0.0.1", port=int(sys.argv[1]), cert="host.pem", key="host.key",
                     ca="ca.pem", ssl_version="PROTOCOL_TLSv1_2", config_file="/dev/null") as c:
    key = c.create(e.CryptographicAlgorithm.AES, 256, cryptographic_usage_mask=
                   [e.CryptographicUsageMask.ENCRYPT, e.CryptographicUsageMask.DECRYPT])
    c.activate(key)
    print(key)
"""


def take_port():
    """A port of this machine, and the one behind it, as tests/host/common.bash's own_port."""
    for port in range(20000 + os.getpid() % 6000 * 2, 31998, 2):
        try:
            os.mkdir(f"/tmp/xen-vtpm-test-port.{port}")
        except FileExistsError:
            continue
        if not listens(port) and not listens(port + 1):
            return port
        os.rmdir(f"/tmp/xen-vtpm-test-port.{port}")
    raise HostError("no port is free for etcd and the KMS")


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Outside:
    def __init__(self, folder, hosts):
        """hosts: the names of those that have a role in etcd; the first one may write the list
        of hosts, too."""
        self.dir = os.path.abspath(folder)
        self.servers = {}
        self.ports = [take_port() for _ in MEMBERS]
        self.kms_port = take_port()
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(f"{self.dir}/policy")
        try:
            self.make_certificates(hosts)
            self.kms_start()
            self.key = self.do("/usr/bin/python3", "-c", NEW_KEY, str(self.kms_port)).strip()
            for n in MEMBERS:
                self.start_member(n)
            self.wait_for("etcd", lambda: self.etcdctl("endpoint", "health"), 60)
            self.make_roles(hosts)
        except BaseException:
            self.end()
            raise

    # -- what domain 0 is told -------------------------------------------------
    def store(self):
        """What the pool is called in --store."""
        return f"etcd://{','.join(f'{ADDRESS}:{port}' for port in self.ports)}/{POOL}"

    def kms(self):
        return f"kmip://{ADDRESS}:{self.kms_port}"

    def path(self, name):
        return f"{self.dir}/{name}"

    # -- processes ---------------------------------------------------------------
    def do(self, *command, data=None):
        """What a command prints, in the folder."""
        p = subprocess.run(command, cwd=self.dir, input=data, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env={**os.environ, "ETCDCTL_API": "3"})
        if p.returncode:
            raise HostError(f"{' '.join(command)[:300]}: status {p.returncode}: "
                            f"{(p.stderr + p.stdout).decode(errors='replace').strip()[-1000:]}")
        return p.stdout.decode()

    def serve(self, name, *command):
        """A server, which ends with this program, whatever ends that."""
        with open(self.path(f"{name}.out"), "ab") as log:
            self.servers[name] = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *command), cwd=self.dir,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def end_server(self, name):
        server = self.servers.pop(name)
        try:
            os.killpg(server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        server.wait()

    def wait_for(self, what, test, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                if test() is not False:
                    return
                why = ""
            except HostError as e:
                why = f": {e}"
            if time.monotonic() > end:
                raise HostError(f"{what}: not after {timeout} s{why}")
            time.sleep(0.2)

    def end(self):
        for name in list(self.servers):
            self.end_server(name)
        for port in self.ports + [self.kms_port]:
            if os.path.isdir(f"/tmp/xen-vtpm-test-port.{port}"):
                os.rmdir(f"/tmp/xen-vtpm-test-port.{port}")
        self.ports, self.kms_port = [], 0

    # -- the CA ------------------------------------------------------------------
    def make_key(self, name):
        self.do("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-out", name)

    def make_certificates(self, hosts):
        """A CA, and certificates: of members, hosts, etcd's root, the KMS and its client.
        policy.pem is the hosts' policy key."""
        self.make_key("ca.key")
        self.make_key("policy.pem")
        self.do("openssl", "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=pool",
                "-days", "30", "-out", "ca.pem")
        for name in ("member", "root", "kms", "host", *hosts):
            self.make_key(f"{name}.key")
            with open(self.path(f"{name}.ext"), "w") as f:
                f.write(f"{SAN}extendedKeyUsage=serverAuth,clientAuth\n")
            self.do("openssl", "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}",
                    "-out", f"{name}.csr")
            self.do("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey",
                    "ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext",
                    "-out", f"{name}.pem")

    # -- the KMS -----------------------------------------------------------------
    def kms_start(self):
        with open(self.path("kms.conf"), "w") as f:
            f.write(KMS.format(port=self.kms_port, dir=self.dir))
        self.wait_for("the KMS", self.kms_answers, 60)

    def kms_answers(self):
        """It is started again when it has ended: what was open may hold its port."""
        server = self.servers.get("kms")
        if not server or server.poll() is not None:
            self.serve("kms", "/usr/bin/python3", "/usr/bin/pykmip-server", "-f", "kms.conf",
                       "-l", self.path("kms.log"))
        return listens(self.kms_port)

    def kms_stop(self):
        self.end_server("kms")

    # -- etcd --------------------------------------------------------------------
    def start_member(self, n):
        def tls(kind):
            return (f"--{kind}client-cert-auth", f"--{kind}trusted-ca-file", "ca.pem",
                    f"--{kind}cert-file", "member.pem", f"--{kind}key-file", "member.key")

        client, peer = (f"https://127.0.0.1:{self.ports[n - 1] + i}" for i in (0, 1))
        everyone = ",".join(f"m{i}=https://127.0.0.1:{self.ports[i - 1] + 1}" for i in MEMBERS)
        # no fsync: no power cut of a virtual host is one of this machine
        self.serve(f"m{n}", f"{TOP}/build/etcd/etcd", "--name", f"m{n}", "--data-dir", f"m{n}",
                   "--initial-cluster", everyone, "--unsafe-no-fsync", "--enable-v2=false",
                   "--listen-client-urls", client, "--advertise-client-urls", client,
                   "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                   *tls(""), *tls("peer-"))

    def etcdctl(self, *command):
        return self.do(f"{TOP}/build/etcd/etcdctl", "--endpoints",
                       ",".join(f"127.0.0.1:{port}" for port in self.ports), "--cacert",
                       "ca.pem", "--cert", "root.pem", "--key", "root.key", *command)

    def make_roles(self, hosts):
        """As docs/pool.md says."""
        top = f"/xen-vtpm/1/{POOL}/"
        self.etcdctl("user", "add", "root", "--no-password")
        self.etcdctl("role", "add", "root")
        self.etcdctl("user", "grant-role", "root", "root")
        for name in hosts:
            self.etcdctl("user", "add", name, "--no-password")
            self.etcdctl("role", "add", name)
            for may, key in (("readwrite", (f"{top}v/", "--prefix")),
                             ("read", (top, "--prefix")),
                             ("readwrite", (f"{top}alive/{name}",))):
                self.etcdctl("role", "grant-permission", name, may, *key)
            self.etcdctl("user", "grant-role", name, name)
        self.etcdctl("role", "grant-permission", hosts[0], "readwrite", f"{top}pool")
        self.etcdctl("auth", "enable")

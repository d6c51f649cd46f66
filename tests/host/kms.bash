# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A KMS (PyKMIP) on loopback, and the certificates for it, in $dir, which is where the
# test is; behind common.bash.
own_port # the KMS's

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

issue() { # issue NAME CN USAGE CA DAYS
	new_key "$1.key"
	printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n' "$3" >"$1.ext"
	openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr" &&
		openssl x509 -req -in "$1.csr" -CA "$4.pem" -CAkey "$4.key" -CAcreateserial \
			-days "$5" -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

make_pki() {
	local ca
	for ca in ca otherca; do
		new_key $ca.key
		openssl req -x509 -new -key $ca.key -subj "/CN=$ca" -days 2 -out $ca.pem
	done
	issue kms 127.0.0.1 serverAuth ca 2
	issue host host1 clientAuth ca 2
	issue host2 host2 clientAuth ca 2
	issue stranger host1 clientAuth otherca 2
	issue expired host1 clientAuth ca -1
	issue renewed host1 clientAuth ca 3
	openssl ec -in host.key -out host.sec1 2>/dev/null
	openssl pkey -in host.key -aes256 -passout pass:x -out locked.key
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem 2>/dev/null
	new_key given-policy.pem
	openssl genpkey -algorithm X25519 -out recovery.pem 2>/dev/null
	openssl pkey -in recovery.pem -pubout -out recovery.pub
}

kms_up() { # kms_up PORT CA: what clients' certificates have to be signed by
	mkdir -p policy
	cat >kms.conf <<-END
		[server]
		hostname=127.0.0.1
		port=$1
		certificate_path=$dir/kms.pem
		key_path=$dir/kms.key
		ca_path=$dir/$2
		auth_suite=TLS1.2
		policy_path=$dir/policy
		enable_tls_client_auth=True
		tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
		logging_level=INFO
		database_path=$dir/kms.db
	END
	rm -f kms.log
	server /usr/bin/python3 /usr/bin/pykmip-server -f kms.conf -l "$dir/kms.log" >/dev/null 2>&1
	kms_pid=$!
	await 30 grep -q 'Starting connection service' kms.log
}
kms_down() { # with the processes that it has forked, to watch its policies
	end_group "$kms_pid"
	wait "$kms_pid" 2>/dev/null
	kms_pid=
}

kms_does() { # kms_does STATEMENT...: Python, of PyKMIP's client c, its enumerations e and objects o
	/usr/bin/python3 - "$port" "$@" >/dev/null 2>kms.err <<-'END'
		import sys
		from kmip.core import enums as e
		from kmip.pie import objects as o
		from kmip.pie.client import ProxyKmipClient
		with ProxyKmipClient(hostname="127.0.0.1", port=int(sys.argv[1]), cert="host.pem",
		                     key="host.key", ca="ca.pem", ssl_version="PROTOCOL_TLSv1_2",
		                     config_file="/dev/null") as c:
		    for statement in sys.argv[2:]:
		        exec(statement)
	END
}
new_kms_key='key = c.create(e.CryptographicAlgorithm.AES, 256, cryptographic_usage_mask=
	[e.CryptographicUsageMask.ENCRYPT, e.CryptographicUsageMask.DECRYPT])'
given_kms_key() { # given_kms_key BITS MASK...: a statement that registers, and activates, such an AES key
	local bits=$1
	shift
	echo "c.activate(c.register(o.SymmetricKey(e.CryptographicAlgorithm.AES, $bits, bytes(range($((bits / 8)))),
		masks=[getattr(e.CryptographicUsageMask, m) for m in '$*'.split()])))"
}
# Keys 1 and 3 are active, key 2 is not.
kms_keys() { kms_does "$new_kms_key" 'c.activate(key)' "$new_kms_key" "$new_kms_key" 'c.activate(key)'; }
kms_revoke() { kms_does "c.revoke(e.RevocationReasonCode.KEY_COMPROMISE, '$1')"; } # kms_revoke KEY-ID

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Hosts, each with a TPM (swtpm) of its own, verifiers' policies and verdicts, for what tests
# deep quotes; behind common.bash.
verify=$root/build/bin/vtpm-verify-san
nonce=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
tails+=('*/vtpmd.log')

# --- two hosts
host_up() { # host_up HOST: its TPM, its configuration, its vtpmd
	mkdir -m 0700 "$1" "$1"/{run,store,unix}
	tpm_up "$1/tpm" && TPM2TOOLS_TCTI=swtpm:path=$dir/$1/tpm.sock tpm2_pcrextend "4:sha256=$(printf '%064d' 4)" &&
		host "$1" 0 init --no-kms && vtpmd_start "$1"
}
vtpmd_start() { # vtpmd_start HOST
	local at=$dir/$1
	server "$root/build/bin/vtpmd-san" --socket "$at/run/sock" --store "$at/store" --audit "$at/audit.log" \
		--config "$at/host.json" --tpm "unix:$at/tpm.sock" --vtpmctl "$vtpmctl" --host-log "$at/host.log" \
		--manager "$root/build/bin/vtpm-manager-san" --placement process \
		--process-unix "$at/unix" >>"$at/vtpmd.log" 2>&1
	await 10 ctl "$1" 0 list
}
host() { # host HOST STATUS ARGS...: vtpmctl host ...
	local at=$dir/$1 want=$2 command=$3
	shift 3
	run "$want" host "$command" --config "$at/host.json" --tcti "swtpm:path=$at/tpm.sock" "$@"
}
ctl() { # ctl HOST STATUS ARGS...
	local at=$dir/$1 want=$2
	shift 2
	run "$want" "$@" --socket "$at/run/sock"
}
tcti() { echo "cmd:socat - UNIX-CONNECT:$dir/$1/unix/$2"; }
in_guest() { # in_guest HOST VTPM COMMAND...
	local t
	t=$(tcti "$1" "$2")
	shift 2
	TPM2TOOLS_TCTI=$t "$@" >>"$dir/out" 2>>"$dir/err"
}
attest_guest() { # attest_guest STATUS HOST VTPM NONCE FILE [OPTIONS]
	gets "$1" "$root/build/bin/vtpm-attest-san" --tcti "$(tcti "$2" "$3")" --nonce "$4" -o "$5" "${@:6}"
}

# --- certificates: of `vtpmctl ca`, and of other times by hand
# certify HOST VTPM CA FILE [FROM TO]: of the P-256 endorsement key, valid for these days
certify() {
	local public
	public=$(ctl "$1" 0 show "$2" --json && tr -d '\n' <out)
	/usr/bin/python3 - "$public" "$3" "$4" "${5:-0}" "${6:-20}" <<-'END'
		import datetime, json, sys
		from cryptography import x509
		from cryptography.hazmat.primitives import hashes, serialization
		from cryptography.hazmat.primitives.asymmetric import ec
		show, ca, out, first, last = json.loads(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:6])
		ek = bytes.fromhex(next(k["public"] for k in show["ek"] if k["alg"] == "ecc-p256"))
		x, y = ek[-66:-34], ek[-32:]
		key = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"),
		                                    ec.SECP256R1()).public_key()
		issuer = x509.load_pem_x509_certificate(open(ca + "/ca.pem", "rb").read())
		signer = serialization.load_pem_private_key(open(ca + "/key.pem", "rb").read(), None)
		now, day = datetime.datetime.utcnow(), datetime.timedelta(days=1)
		cert = (x509.CertificateBuilder().issuer_name(issuer.subject).subject_name(x509.Name([]))
		        .public_key(key).serial_number(x509.random_serial_number())
		        .not_valid_before(now + first * day - day / 24).not_valid_after(now + last * day)
		        .add_extension(x509.BasicConstraints(False, None), True)
		        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
		        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
		        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(x509.Name(
		            [x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:00001014")]))]), True)
		        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.1")]), False)
		        .sign(signer, hashes.SHA1() if out.startswith("sha1") else hashes.SHA256()))
		open(out, "wb").write(cert.public_bytes(serialization.Encoding.DER))
	END
}

# --- policies and verdicts
policy() { # policy FILE PYTHON: of host a and web1's CA; the Python changes p
	host a 0 show --json && cp out host-show.json || return 1
	/usr/bin/python3 - "$1" "$root/build/bin/vtpm-manager-san" <<-END
		import hashlib, json, sys
		show = json.load(open("host-show.json"))["attest"]
		manager = hashlib.sha256(open(sys.argv[2], "rb").read()).hexdigest()
		p = {"version": 1, "hosts": [show], "images": [{"manager": manager}], "ek_ca": open("ca/chain.pem").read()}
		${2-}
		json.dump(p, open(sys.argv[1], "w"), indent=1)
	END
}
more=() # options of the verifier: --user-data HEX, --crl FILE
accepted() { # accepted FILE [NONCE [POLICY]]
	gets 0 "$verify" --json --policy "${3:-policy.json}" --nonce "${2:-$nonce}" "${more[@]}" "$1" && grep -q '"accepted": true' out
}
# refused WORD FILE [NONCE [POLICY]]: for that reason, and says so
refused() {
	gets 1 "$verify" --json --policy "${4:-policy.json}" --nonce "${3:-$nonce}" "${more[@]}" "$2" && grep -q '"accepted": false' out &&
		grep -q "\"reason\": \"$1\"" out && return
	sed 's/^/# /' out
	return 1
}
# tamper FROM TO PYTHON: e is the evidence; get(), set() work on a path such as vtpm.quote
tamper() {
	/usr/bin/python3 - "$1" "$2" <<-END
		import base64, hashlib, json, struct, sys
		e = json.load(open(sys.argv[1]))
		s = e["submods"]
		def get(path):
		    side, key = path.split(".")
		    t = s[side][key]
		    return base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))
		def enc(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()
		def set(path, b):
		    side, key = path.split(".")
		    s[side][key] = enc(b)
		def other(path): return json.load(open(path))
		$3
		open(sys.argv[2], "w").write(json.dumps(e, separators=(",", ":")))
	END
}

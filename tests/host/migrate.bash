# SPDX-License-Identifier: Apache-2.0
# Two hosts with TPMs, vtpmds, managers and certificates, for tests/host/migrate*: sourced in their folder, behind common.bash.
# shellcheck shell=bash
declare -A daemon receiver
vtpmd_with=() # another one, with an environment
# Where a suite has no xl of its own: one of a Xen without guests, as the installed one fails without Xen.
mkdir -p noguests && printf '#!/bin/sh\n[ "$1" != list ] || echo "[]"\n' >noguests/xl && chmod +x noguests/xl && PATH=$dir/noguests:$PATH
on() { sock=$dir/$1/run/sock dir_of=$dir/$1; } # on HOST: ctl is about that one
at() { # at HOST NAME COMMAND...: of the vTPM there
	TPM2TOOLS_TCTI="cmd:socat -t 60 - UNIX-CONNECT:$dir/$1/unix/$2" "${@:3}" >gout 2>gerr
}
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
certify() { # certify FILE NAME CA
	new_key "$1.key" && openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr" &&
		openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -days 2 -out "$1.pem" 2>/dev/null
}
host_make() { # host_make NAME
	mkdir -p -m 0700 "$1"/{run,store,unix} && tpm_up "$1/tpm" && "$vtpmctl" host init --config "$dir/$1/host.json" \
		--tcti "swtpm:path=$dir/$1/tpm.sock" --no-kms --policy-key policy.pem >>init.log 2>&1 </dev/null
}
host_start() { # host_start NAME
	"${vtpmd_with[@]:-$root/build/bin/vtpmd-san}" --socket "$dir/$1/run/sock" --store "$dir/$1/store" --audit "$dir/$1/audit.log" \
		--config "$dir/$1/host.json" --tpm "unix:$dir/$1/tpm.sock" --manager "$root/build/bin/vtpm-manager-san" \
		--placement process --process-unix "$dir/$1/unix" --verbose >>"$1/vtpmd.log" 2>&1 </dev/null &
	daemon[$1]=$!
	pids+=($!)
	on "$1"
	await 10 ctl 0 list
}
receive_with=(--manual) # what is interrupted stays as it is, but in migrate-restart
refuses() { ! listens "$1"; }
receive() { # receive NAME PORT: when one that was killed has let go of it
	await 10 refuses "$2"
	server env ASAN_OPTIONS=verify_asan_link_order=0 "LD_PRELOAD=$root/build/bin/fakelibxl.so" "XLHOST=$dir/$1" "PATH=$dir/bin:$PATH" "$vtpmctl" migrate-receive --listen "127.0.0.1:$2" --socket "$dir/$1/run/sock" --config "$dir/$1/host.json" \
		"${receive_with[@]}" --ca ca.pem --cert "$1.pem" --key "$1.key" >>"$1/receive.log" 2>&1
	receiver[$1]=$!
	await 10 listens "$2"
}
json() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["tpm"]'"$2"')' "$1/host.json"; }
pcrs_of() { # as the quote has them
	TPM2TOOLS_TCTI=swtpm:path=$dir/$1/tpm.sock tpm2_pcrread sha256:0,2,4,7 | sed -n 's/^ *\([0-9]*\) *: 0x\(.*\)/\1=\L\2/p' | paste -sd,
}
add() { # add OF HOST OPTIONS...: HOST to the pool of OF
	run "${want:-0}" peer add "$2" --config "$1/host.json" --policy-key policy.pem "${@:3}"
}
image=$(sha256sum "$root/build/bin/vtpm-manager-san" | cut -d' ' -f1)
migrate() { # migrate STATUS FROM NAME TO
	XLHOST=$dir/$2 PATH=$dir/bin:$PATH run "$1" migrate "$3" "$4" --socket "$dir/$2/run/sock" --config "$2/host.json" --ca ca.pem --cert "$2.pem" --key "$2.key"
}
counter() { xxd -p <"$1"; }
again() { kill "${daemon[$1]}" && await 20 gone "${daemon[$1]}" && host_start "$1"; } # again HOST: its vtpmd
. "$root/tests/host/said.bash"

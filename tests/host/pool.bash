# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A pool for tests: three members of etcd with TLS and roles, and hosts a, b and c, each with a
# vtpmd, a TPM (swtpm), a KMS for all, and managers as processes.  After common.bash and
# kms.bash, in $dir.
PATH=$root/build/etcd:$PATH # tools/install-deps.sh
exec 2>shell.log # where bash tells of each kill
tails=(out err gout gerr a/vtpmd.log b/vtpmd.log c/vtpmd.log m1.log)
kms_port=$port
members=()
for i in 1 2 3; do
	own_port
	members+=("$port")
done
ports=("$kms_port" "${members[@]}")
at_end() {
	local one
	port=
	for one in "${ports[@]}"; do rmdir "/tmp/xen-vtpm-test-port.$one"; done
}
port=$kms_port
declare -A daemon member
member_options=() # of all
host_options=()   # of all vtpmd
claimants=()

on() { sock=$dir/$1/run/sock; } # on HOST: ctl is about that one
at() { # at HOST NAME COMMAND...: of the vTPM there
	TPM2TOOLS_TCTI="cmd:socat -t 60 - UNIX-CONNECT:$dir/$1/unix/$2" timeout 20 "${@:3}" >gout 2>gerr
}
member_start() { # member_start 1|2|3
	local i=$1 client=${members[$1 - 1]} all=
	for j in 1 2 3; do all+="${all:+,}m$j=https://127.0.0.1:$((members[j - 1] + 1))"; done
	server etcd --name "m$i" --data-dir "$dir/m$i" --initial-cluster "$all" --unsafe-no-fsync --enable-v2=false \
		--listen-client-urls "https://127.0.0.1:$client" --advertise-client-urls "https://127.0.0.1:$client" \
		--listen-peer-urls "https://127.0.0.1:$((client + 1))" --initial-advertise-peer-urls "https://127.0.0.1:$((client + 1))" \
		--client-cert-auth --trusted-ca-file ca.pem --cert-file member.pem --key-file member.key \
		--peer-client-cert-auth --peer-trusted-ca-file ca.pem --peer-cert-file member.pem --peer-key-file member.key \
		"${member_options[@]}" >>"m$i.log" 2>&1
	member[$i]=$!
}
endpoints=127.0.0.1:${members[0]},127.0.0.1:${members[1]},127.0.0.1:${members[2]}
etcdctl() { ETCDCTL_API=3 command etcdctl --endpoints "$endpoints" --cacert ca.pem --cert "${user:-root}.pem" --key "${user:-root}.key" "$@"; }
healthy() { etcdctl endpoint health; }
leader() { # which member leads: 1, 2 or 3
	local i
	for i in 1 2 3; do
		ETCDCTL_API=3 command etcdctl --endpoints "127.0.0.1:${members[$i - 1]}" --cacert ca.pem --cert root.pem --key root.key endpoint status 2>/dev/null |
			awk -F', ' '$5 == "true" { found = 1 } END { exit !found }' && echo "$i" && return
	done
	return 1
}
role() { # role HOST: what its role may do
	etcdctl user add "$1" --no-password && etcdctl role add "$1" && etcdctl role grant-permission "$1" readwrite /xen-vtpm/1/p1/v/ --prefix &&
		etcdctl role grant-permission "$1" read /xen-vtpm/1/p1/ --prefix && etcdctl role grant-permission "$1" readwrite "/xen-vtpm/1/p1/alive/$1" &&
		etcdctl user grant-role "$1" "$1"
}
host_make() { # host_make NAME
	mkdir -p -m 0700 "$1"/{run,own,unix} && tpm_up "$1/tpm" && "$vtpmctl" host init --config "$dir/$1/host.json" --tcti "swtpm:path=$dir/$1/tpm.sock" \
		--kms "kmip://127.0.0.1:$kms_port" --kms-ca ca.pem --kms-cert host.pem --kms-key host.key --kms-key-id 1 --store "$dir/$1/own" >>init.log 2>&1 </dev/null
}
host_start() { # host_start NAME
	"$root/build/bin/vtpmd-san" --socket "$dir/$1/run/sock" --store "etcd://$endpoints/p1" --store-ca ca.pem --store-cert "$1.pem" --store-key "$1.key" \
		--store-ttl 4 --anchor "$dir/$1/own" --audit "$dir/$1/audit.log" --config "$dir/$1/host.json" --tpm "unix:$dir/$1/tpm.sock" \
		--manager "$root/build/bin/vtpm-manager-san" --placement process --process-unix "$dir/$1/unix" --verbose "${host_options[@]}" >>"$1/vtpmd.log" 2>&1 </dev/null &
	daemon[$1]=$!
	pids+=($!)
	on "$1"
	await 40 ctl 0 list
}
member_stop() { # member_stop 1|2|3 SIGNAL
	kill "-$2" -- "-${member[$1]}"
}
members_each() { # members_each SIGNAL: all three
	local i
	for i in 1 2 3; do member_stop $i "$1"; done
}
members_end() { # until they have
	members_each KILL
	wait "${member[1]}" "${member[2]}" "${member[3]}"
	return 0
}
members_begin() { member_start 1 && member_start 2 && member_start 3 && await 60 healthy; }
host_stop() { # host_stop NAME SIGNAL
	kill "-$2" "${daemon[$1]}" && wait "${daemon[$1]}"
}
nv=0x1500016
counter() { at "$1" "$2" tpm2_nvread -C o $nv && xxd -p gout; }
number() { echo $((16#$(counter "$1" "$2"))); } # number HOST NAME: what the counter says

pool_up() { # three members, a KMS, and the users of etcd
	make_pki 2>/dev/null
	for name in member root a b c; do issue "$name" "$name" serverAuth,clientAuth ca 2; done
	kms_up "$port" ca.pem && kms_keys && member_start 1 && member_start 2 && member_start 3 && await 60 healthy &&
		{ etcdctl user add root --no-password && etcdctl role add root && etcdctl user grant-role root root && role a && role b && role c && etcdctl auth enable; } >ctl.log
}

log_has() { grep -q "$2" "$1/vtpmd.log"; } # log_has HOST TEXT
. "$root/tests/host/watchdog.bash"

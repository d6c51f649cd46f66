# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A pool for tests: members of etcd with TLS and roles, three unless the test has set `cluster`,
# and hosts a, b and c, each with a vtpmd, a TPM (swtpm), a KMS for all, and managers as
# processes.  After common.bash and kms.bash, in $dir.
PATH=$root/build/etcd:$PATH # tools/install-deps.sh
exec 2>shell.log # where bash tells of each kill
tails=(out err gout gerr a/vtpmd.log b/vtpmd.log c/vtpmd.log m1.log)
kms_port=$port
members=()
: "${cluster:=1 2 3}"
for i in $cluster; do
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
declare -A daemon member receiver
member_options=() # of all
host_options=()   # of all vtpmd
init_options=()   # of all hosts, to host init
self_options=()   # of all hosts, to peer self
claimants=()

on() { sock=$dir/$1/run/sock; } # on HOST: ctl is about that one
at() { # at HOST NAME COMMAND...: of the vTPM there
	TPM2TOOLS_TCTI="cmd:socat -t 60 - UNIX-CONNECT:$dir/$1/unix/$2" timeout 20 "${@:3}" >gout 2>gerr
}
member_start() { # member_start 1|2|3
	local i=$1 client=${members[$1 - 1]} all=
	for j in $cluster; do all+="${all:+,}m$j=https://127.0.0.1:$((members[j - 1] + 1))"; done
	server etcd --name "m$i" --data-dir "$dir/m$i" --initial-cluster "$all" --unsafe-no-fsync --enable-v2=false \
		--listen-client-urls "https://127.0.0.1:$client" --advertise-client-urls "https://127.0.0.1:$client" \
		--listen-peer-urls "https://127.0.0.1:$((client + 1))" --initial-advertise-peer-urls "https://127.0.0.1:$((client + 1))" \
		--client-cert-auth --trusted-ca-file ca.pem --cert-file member.pem --key-file member.key \
		--peer-client-cert-auth --peer-trusted-ca-file ca.pem --peer-cert-file member.pem --peer-key-file member.key \
		"${member_options[@]}" >>"m$i.log" 2>&1
	member[$i]=$!
}
endpoints=$(printf ',127.0.0.1:%s' "${members[@]}")
endpoints=${endpoints#,}
etcdctl() { ETCDCTL_API=3 command etcdctl --endpoints "$endpoints" --cacert ca.pem --cert "${user:-root}.pem" --key "${user:-root}.key" "$@"; }
healthy() { etcdctl endpoint health; }
leader() { # which member leads: 1, 2 or 3
	local i
	for i in $cluster; do
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
		--kms "kmip://127.0.0.1:$kms_port" --kms-ca ca.pem --kms-cert host.pem --kms-key host.key --kms-key-id 1 --store "$dir/$1/own" "${init_options[@]}" >>init.log 2>&1 </dev/null
}
host_start() { # host_start NAME
	host_run "$1" --store "etcd://$endpoints/p1" --store-ca ca.pem --store-cert "$1.pem" --store-key "$1.key"
}
host_run() { # host_run NAME OPTIONS...: that say where its store is, or do not
	"$root/build/bin/vtpmd-san" --socket "$dir/$1/run/sock" "${@:2}" --store-ttl 4 --anchor "$dir/$1/own" --audit "$dir/$1/audit.log" --config "$dir/$1/host.json" --tpm "unix:$dir/$1/tpm.sock" \
		--manager "$root/build/bin/vtpm-manager-san" --placement process --process-unix "$dir/$1/unix" --verbose "${host_options[@]}" >>"$1/vtpmd.log" 2>&1 </dev/null &
	daemon[$1]=$!
	pids+=($!)
	on "$1"
	await 40 ctl 0 list
}
each_member() { # each_member COMMAND...: with each one's number
	local i
	for i in $cluster; do "$@" "$i" || return; done
}
member_stop() { # member_stop 1|2|3 SIGNAL
	kill "-$2" -- "-${member[$1]}"
}
members_each() { # members_each SIGNAL
	local i
	for i in $cluster; do member_stop "$i" "$1"; done
}
members_end() { # until they have
	members_each KILL
	wait "${member[@]}"
	return 0
}
members_begin() { each_member member_start && await 60 healthy; }
peer_add() { # peer_add OF HOST [PORT]: signs HOST, which other hosts find at that port, into the list of OF
	"$vtpmctl" peer self "$2" --address "127.0.0.1:${3:-1}" --process --manager "$root/build/bin/vtpm-manager-san" --config "$2/host.json" \
		--tcti "swtpm:path=$dir/$2/tpm.sock" "${self_options[@]}" >self 2>err || return
	# shellcheck disable=SC2046
	run 0 peer add "$2" --config "$1/host.json" --policy-key given-policy.pem --address "127.0.0.1:${3:-1}" $(tail -n +2 self | tr -d '\\\n')
}
peer_keys() { # peer_keys HOST: its certificate for other hosts
	cp ca.pem "$1/peer-ca.pem" && cp "$1.pem" "$1/peer-cert.pem" && cp "$1.key" "$1/peer-key.pem"
}
receive() { # receive HOST PORT: other hosts are answered there
	server "$vtpmctl" migrate-receive --manual --listen "127.0.0.1:$2" --socket "$dir/$1/run/sock" --config "$dir/$1/host.json" \
		--ca ca.pem --cert "$1.pem" --key "$1.key" >>"$1/receive.log" 2>&1
	receiver[$1]=$!
	await 10 listens "$2"
}
host_stop() { # host_stop NAME SIGNAL
	kill "-$2" "${daemon[$1]}" && wait "${daemon[$1]}"
}
nv=0x1500016
counter() { at "$1" "$2" tpm2_nvread -C o $nv && xxd -p gout; }
number() { echo $((16#$(counter "$1" "$2"))); } # number HOST NAME: what the counter says

pool_up() { # the members, a KMS, and the users of etcd
	make_pki 2>/dev/null
	for name in member root a b c; do issue "$name" "$name" serverAuth,clientAuth ca 2; done
	kms_up "$port" ca.pem && kms_keys && each_member member_start && await 60 healthy &&
		{ etcdctl user add root --no-password && etcdctl role add root && etcdctl user grant-role root root && role a && role b && role c && etcdctl auth enable; } >ctl.log
}

fill() { # until etcd says no: of member_options --quota-backend-bytes of some MiB
	local i
	for i in $(seq 40); do
		head -c 1000000 /dev/urandom | etcdctl put "/fill/$i" >fill.log 2>&1 || return 0
	done
	return 1
}
alarmed() { etcdctl alarm list | grep -q NOSPACE; }
cleared() {
	local revision
	etcdctl del --prefix /fill/ && revision=$(etcdctl endpoint status --write-out json | grep -o '"revision":[0-9]*' | head -1 | cut -d: -f2) &&
		etcdctl compact "$revision" && etcdctl defrag && etcdctl alarm disarm && ! alarmed
}

log_has() { grep -q "$2" "$1/vtpmd.log"; } # log_has HOST TEXT
. "$root/tests/host/watchdog.bash"

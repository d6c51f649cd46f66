# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A pool of which host a finds etcd by a relay, and a copy of member 3's data, which can go on as a
# cluster of its own, of the same cluster id.  After pool.bash.
init_options=(--policy-key given-policy.pem)
host_options=(--anchor-interval 2)
declare -A at_port
for h in a b c relay fork; do
	own_port
	at_port[$h]=$port
	ports+=("$port")
done
port=$kms_port

deaf() { ! listens "$1"; }
relay_end() {
	[ -z "${relaying:-}" ] || { end_group "$relaying" && relaying= && await 10 deaf "${at_port[relay]}"; }
}
relay() { # relay PORT: where host a finds etcd from now on
	relay_end || return
	server socat "TCP-LISTEN:${at_port[relay]},fork,reuseaddr" "TCP:127.0.0.1:$1"
	relaying=$!
	await 10 listens "${at_port[relay]}"
}
fork_start() {
	server etcd --name m3 --data-dir "$dir/fork" --force-new-cluster --unsafe-no-fsync --enable-v2=false \
		--listen-client-urls "https://127.0.0.1:${at_port[fork]}" --advertise-client-urls "https://127.0.0.1:${at_port[fork]}" \
		--listen-peer-urls "https://127.0.0.1:$((at_port[fork] + 1))" \
		--client-cert-auth --trusted-ca-file ca.pem --cert-file member.pem --key-file member.key \
		--peer-client-cert-auth --peer-trusted-ca-file ca.pem --peer-cert-file member.pem --peer-key-file member.key >>fork.log 2>&1
	await 20 listens "${at_port[fork]}" && await 20 fork_writes
}
fork_writes() { # it is not behind what host a has seen
	for i in {1..20}; do endpoints=127.0.0.1:${at_port[fork]} etcdctl put /of-the-copy "$i" || return; done
}
free() { on "$1" && ctl 0 show "$2" && ! grep -q '^in use on the host' out; }                    # free HOST NAME: etcd says so there
shown() { on "$1" && ctl 0 pool show && grep -q "^$2" out; }                                     # shown HOST LINE: by pool show
make_counter() { at "$1" "$2" tpm2_startup -c && at "$1" "$2" tpm2_nvdefine -s 8 -a 'ownerread|ownerwrite|nt=counter' $nv && count_up "$@"; } # make_counter HOST NAME
count_up() { at "$1" "$2" tpm2_nvincrement -C o $nv; }                                           # count_up HOST NAME
refused() { on "$1" && ctl 1 start "$2" && says "$2 is in use: the host $3" && state "$2" failed && [ "$(field "$2" cause)" = lease ]; } # refused HOST NAME WHO-SAYS-WHAT
silence() { end_group "${receiver[$1]}" && await 10 deaf "${at_port[$1]}"; }
answers() { receive "$1" "${at_port[$1]}"; }
fork_up() { # the pool, with all hosts of its list
	pool_up && host_make a && host_make b && host_make c && for h in a b c; do peer_add a $h "${at_port[$h]}" && peer_keys $h || break; done &&
		etcdctl put /xen-vtpm/1/p1/pool <a/pool >ctl.log && relay "${members[0]}" &&
		host_run a --store "etcd://127.0.0.1:${at_port[relay]}/p1" --store-ca ca.pem --store-cert a.pem --store-key a.key && host_start b && host_start c &&
		answers a && answers b && answers c
}
copy_member() { # of member 3, whose copy is fork/
	member_stop 3 KILL && wait "${member[3]}"
	cp -a m3 fork && member_start 3
}

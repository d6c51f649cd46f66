#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One member's data of a pool's etcd are copied, and the copy goes on as a cluster of its own, to which
# one host is led; the others stay with the first.  All hosts reach each other.
cd "$(dirname "$0")/../.." || exit 1
. tests/host/common.bash pool-forked
. tests/host/kms.bash
cd "$dir" || exit 1
. "$root/tests/host/pool.bash"
init_options=(--policy-key given-policy.pem)
host_options=(--anchor-interval 2)
[ -z "${MAJ:-}" ] || host_options+=(--pool-witness majority)
declare -A at_port
for h in a b relay fork; do
	own_port
	at_port[$h]=$port
	ports+=("$port")
done
port=$kms_port
relay() { # relay PORT: where host a finds etcd from now on
	[ -z "${relaying:-}" ] || { end_group "$relaying"; sleep 0.3; }
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
	await 20 listens "${at_port[fork]}"
}
pool_up && host_make a && host_make b && for h in a b; do peer_add a $h "${at_port[$h]}" && peer_keys $h || break; done &&
	etcdctl put /xen-vtpm/1/p1/pool <a/pool >ctl.log && relay "${members[0]}" &&
	host_run a --store "etcd://127.0.0.1:${at_port[relay]}/p1" --store-ca ca.pem --store-cert a.pem --store-key a.key && host_start b && receive a "${at_port[a]}" && receive b "${at_port[b]}"
ok "two hosts of one list, which answer each other"
on b && ctl 0 create web1 --policy kms --ca none && at b web1 tpm2_startup -c && at b web1 tpm2_nvdefine -s 8 -a 'ownerread|ownerwrite|nt=counter' $nv && at b web1 tpm2_nvincrement -C o $nv
ok "a counter on host b, which runs it"
on a && ctl 1 start web1 && says 'in use on the host b'
ok "host a does not start it"
member_stop 3 KILL && wait "${member[3]}"; cp -a m3 fork && member_start 3 && fork_start && relay "${at_port[fork]}"
ok "one member's data go on as a cluster of its own, and host a is led to that"
free() { on a && ctl 0 show web1 --json && ! grep -q '"owner": "b"\|in use' out; }
witnessed() { on a && ctl 0 pool show && grep -q 'witnessed 1' out; }
sleep 1; await 90 witnessed; r=$?; sed 's/^/# /' out; [ $r -eq 0 ]
ok "(host a has heard of b, in this connection)"
for i in 1 2 3 4 5; do at b web1 tpm2_nvincrement -C o $nv || echo "# b: no increment"; done
ok "host b acknowledges five more increments"
echo "# b: counter $(number b web1), generation $(on b; field web1 seq)"
on a && run 1 start web1 --socket "$sock"
ok "host a, which reaches b, does not start an older one beside it"
cat out err | sed 's/^/# a says: /'
for i in 1 2; do at a web1 tpm2_startup -c; at a web1 tpm2_nvincrement -C o $nv && echo "# host a acknowledges an increment: counter $(number a web1)"; done
at b web1 tpm2_nvincrement -C o $nv && echo "# host b acknowledges an increment: counter $(number b web1)"
on a; echo "# state on a: $(field web1 state) generation $(field web1 seq)"; on b; echo "# state on b: $(field web1 state) generation $(field web1 seq)"
sleep 65; for h in a b; do on $h; ctl 0 pool show; grep '^state\|^witness\|^cluster\|^revision' out | sed "s/^/# $h: /"; done
tail -n 12 a/vtpmd.log | cut -c1-250 | sed 's/^/# a.log: /'
grep -c . b/vtpmd.log | sed 's/^/# b log lines /'
echo "1..$count"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The other host cannot start a guest that has moved, and is to give it back with its vTPM: something
# is killed there in the moments in which it does.  The guest goes on at the source, with its PCRs; and
# what was executed at the destination is never given up for what the source had before.
cd "$(dirname "$0")/../.." || exit 1
. tests/host/common.bash migrate-touched
cd "$dir" || exit 1
exec 2>shell.log # where bash tells of each kill
tails=(carry.log out err gout gerr shell.log a/receive.log b/receive.log a/xl.log b/xl.log a/vtpmd.log b/vtpmd.log)
own_port
. "$root/tests/host/migrate.bash"
mkdir bin && cp "$root/tests/host/migrate_xl.py" bin/xl && chmod +x bin/xl
declare -A port_of=([a]=$((port + 1)) [b]=$port)
new_key policy.pem && new_key ca.key && openssl req -x509 -new -key ca.key -subj /CN=ca -days 2 -out ca.pem &&
	certify a a ca && certify b b ca && host_make a && host_make b && host_start a && host_start b && mkdir a/domains b/domains &&
	receive a "${port_of[a]}" && receive b "${port_of[b]}"
for of in a b; do
	for host in a b; do
		add $of $host --address "127.0.0.1:${port_of[$host]}" --ak "$(json $host '["ak"]["name"]')" --srk "$(json $host '["srk_name"]')" \
			--pcrs "$(pcrs_of $host)" --manager "$image"
	done
done
on a && ctl 0 create web1 --policy tpm && at a web1 tpm2_startup -c && at a web1 tpm2_nvdefine -s 8 -a 'ownerread|ownerwrite|nt=counter' 0x1500016 &&
	at a web1 tpm2_nvincrement -C o 0x1500016 && at a web1 tpm2_pcrextend "16:sha256=$(printf '%064d' 7)" && at a web1 tpm2_pcrread sha256:16 && cp gout pcr16
ok "a vTPM with a PCR and a counter"
uuid=$(field web1 uuid)
flushes() { # flushes HOST: as the kernel does behind /dev/tpmrm0, what a killed client left
	local what
	for what in t l s; do TPM2TOOLS_TCTI=swtpm:path=$dir/$1/tpm.sock tpm2_flushcontext -$what >>flush.log 2>&1; done
	true
}
kills_vtpmd() { kill -KILL "${daemon[$1]}" && await 20 gone "${daemon[$1]}" && flushes "$1" && host_start "$1"; }
count_of() { at "$1" web1 tpm2_nvread -C o 0x1500016 && counter gout; }
manager_of() { pgrep -P "${daemon[$1]}" -f vtpm-manager | head -n 1; }
step() { [ "$(said "$1" "${@:3}")" = "$2" ]; } # step HOST STATE EVENT...

printf '{"name": "guest1", "domid": 7, "vtpms": ["%s"], "type": "pvh", "state": "running"}' "$uuid" >a/domains/guest1
keeps_pcrs=true
runs() { # runs HOST: guest and vTPM run there as they were; prints what is not so
	local on_it=$1 away
	away=$([ "$1" = a ] && echo b || echo a)
	await 30 eval '[ "$(ls $on_it/domains)" = guest1 ]' || echo "# $on_it has the guests: $(ls "$on_it/domains")"
	await 30 grep -q '"state": "running"' "$on_it/domains/guest1" || echo "# the guest does not run on $on_it"
	await 30 eval '[ -z "$(ls $away/domains)" ]' || echo "# $away has the guests: $(ls "$away/domains")"
	on "$on_it" && await 30 state web1 running || echo "# web1 on $on_it is $(field web1 state)"
	! $keeps_pcrs || { at "$on_it" web1 tpm2_pcrread sha256:16 && cmp gout pcr16 >/dev/null; } || echo "# web1 on $on_it has other PCRs"
	on "$away" && await 30 ctl 5 show web1 || echo "# web1 is also on $away: $(field web1 state)"
}
held_at() { # held_at POINT: xl at b waits at it
	await 60 grep -q "$1 " b/xl.log
}
case_of() { # case_of NAME POINT COMMAND...: what is done while xl at b waits there
	local name=$1 point=$2 bad=''
	shift 2
	rm -f a/xl.log b/xl.log
	echo "$point" >b/fault
	server env "XLHOST=$dir/a" "PATH=$dir/bin:$PATH" "LD_PRELOAD=$root/build/bin/fakelibxl.so" "$root/build/bin/vtpmctl" migrate guest1 b \
		--socket "$dir/a/run/sock" --config a/host.json --ca ca.pem --cert a.pem --key a.key >carry.log 2>&1
	carrier=$!
	held_at "$point" && "$@"
	rm -f b/fault
	await 100 gone "$carrier" || { bad="# vtpmctl migrate does not end"; end_group "$carrier"; }
	bad=$bad$(runs a)
	[ -z "$bad" ] || echo "$bad"
	[ -z "$bad" ]
	ok "$name"
}
kills_manager() { kill -KILL "$(manager_of "$1")"; }
guest_state() { grep -ho '"state": "[a-z]*"' "$1"/domains/* | paste -sd,; }
continues() { # continues HOST [OPTIONS]
	XLHOST=$dir/$1 PATH=$dir/bin:$PATH gets "$want" env "LD_PRELOAD=$root/build/bin/fakelibxl.so" "$root/build/bin/vtpmctl" migrate --continue web1 "${@:2}" --socket "$dir/$1/run/sock" \
		--config "$1/host.json" --ca ca.pem --cert "$1.pem" --key "$1.key"
}
all_receivers() { pgrep -f "migrate-receive .*--socket $dir/b/run/sock"; }
# The guest does not start at b (xl says so), and b's manager was killed twice meanwhile: nothing was executed there.
echo hold-fail >b/fault
server env "XLHOST=$dir/a" "PATH=$dir/bin:$PATH" "LD_PRELOAD=$root/build/bin/fakelibxl.so" "$root/build/bin/vtpmctl" migrate guest1 b \
	--socket "$dir/a/run/sock" --config a/host.json --ca ca.pem --cert a.pem --key a.key >carry.log 2>&1
carrier=$!
held_at hold-fail && on b && await 20 state web1 running
for i in 1 2; do one=$(manager_of b); kills_manager b; await 20 gone "$one"; await 20 state web1 running; sleep 1; done
rm -f b/fault
sleep 25; gone "$carrier"; echo "# carrier ended: $?"; ctl 0 show web1; grep -i mov out; end_group "$carrier"; sed 's/^/# carry: /' carry.log; sed 's/^/# b: /' b/receive.log | tail -5
echo "# source guest: $(ls a/domains) $(guest_state a); at b: $(ls b/domains); note '$(cat b/run/receive-web1.lock)'"
[ -n "$(ls a/domains)" ]; ok "what the source has of the guest stays (after vtpmctl migrate)"
want=0 continues a; echo "# --continue at a says: $(cat gout gerr)"
echo "# source guest: $(ls a/domains) $(guest_state a); at b: '$(ls b/domains)'"
[ -n "$(ls a/domains b/domains | grep guest1)" ]; ok "the guest is on one of both"
cat err; grep -h 'handover of web1' b/vtpmd.log | tail -30 | sed 's/^/# /'
echo "1..$count"

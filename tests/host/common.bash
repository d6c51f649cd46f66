# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the tests of this folder share.  `. tests/host/common.bash NAME`, from the top of
# the tree, makes a private folder, $dir, in which all servers have their sockets; at the
# end, and when a signal ends the test, it goes, and with it the processes in $vtpmd, in
# pids (of `server`, with all that these have started) and in the files *.pid.
set -u
root=$PWD
vtpmctl=$root/build/bin/vtpmctl-san
dir=$(mktemp -d "/tmp/$1-test.XXXXXX") || exit 1
sock=$dir/run/sock          # of vtpmd
tpm=swtpm:path=$dir/tpm.sock # the host's, as a TCTI
pids=() vtpmd='' count=0
port=''    # own_port's
kms_pid='' # of kms.bash
tails=(out err gout gerr vtpmd.log) # of these the ends are shown when a test fails

# host.json's "tpm" of a host whose TPM is not asked.
host_tpm_json() {
	printf '{"srk_handle": "0x81005654", "srk_name": "000b%064d", "policy_key": "0023%0172d", ' 0 0
	printf '"counter_name": "000b%064d", "auth": "%064d", "pcrs": [0], "approvals": []}' 0 0
}

at_end() { :; } # what a test has to do before
end() {
	at_end
	# shellcheck disable=SC2046
	kill $vtpmd "${pids[@]}" $(cat "$dir"/*.pid 2>/dev/null) 2>/dev/null
	[ -z "$kms_pid" ] || end_group "$kms_pid" # TERM takes it 10 s
	wait 2>/dev/null
	local pid
	for pid in "${pids[@]}"; do end_group "$pid"; done
	rm -rf "$dir"
	[ -z "$port" ] || rmdir "/tmp/xen-vtpm-test-port.$port"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

server() { # server COMMAND...: in a session, so a process group, of its own, which `end` ends; $! and pids have it
	setsid "$@" &
	pids+=($!)
}
end_group() { kill -KILL -- "-$1" 2>/dev/null; } # end_group PID: what `server` started, and all of its children

ok() { # ok NAME: the last command's status decides
	local rc=$?
	count=$((count + 1))
	[ $rc -eq 0 ] && echo "ok $count - $1" && return
	echo "not ok $count - $1"
	# shellcheck disable=SC2068
	(cd "$dir" && tail -qn 15 ${tails[@]} 2>/dev/null) | cut -c1-400 | tr -cd '\n -~' | sed 's/^/# /'
}

await() { # await SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
flip() { # flip FILE OFFSET: another byte than before
	/usr/bin/python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    byte = f.read(1)[0]
    f.seek(int(sys.argv[2]))
    f.write(bytes([byte ^ 1]))' "$@"
}
flip_sides() { # flip_sides FILE OFFSET: of the state of a vTPM that runs, on both sides (lib/twin.h)
	flip "$1" "$2" && { [ "$(head -c 8 "$1")" != XVTPMTWN ] || flip "$1" $(($(stat -c %s "$1") / 2 + $2)); }
}
gone() { ! kill -0 "$1" 2>/dev/null; }
listens() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # listens PORT: somebody does there

# own_port: $port, and the one behind it, are no other test's until this one ends, and are
# below those that Linux gives to clients.
own_port() {
	local at
	for at in $(seq $((20000 + $$ % 6000 * 2)) 2 31998) $(seq 20000 2 31998); do
		mkdir "/tmp/xen-vtpm-test-port.$at" 2>/dev/null || continue
		port=$at
		! listens "$at" && ! listens $((at + 1)) && return
		port=
		rmdir "/tmp/xen-vtpm-test-port.$at"
	done
	echo "no port is free, or the folders /tmp/xen-vtpm-test-port.* are left from tests that were killed: remove them" >&2
	exit 1
}

gets() { # gets STATUS COMMAND...: it ends with that; what it prints goes to out and err
	local want=$1 got
	shift
	"$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	[ $got -eq "$want" ] && return
	echo "# ${1##*/} ${*:2}: status $got, not $want"
	return 1
}
run() { gets "$1" "$vtpmctl" "${@:2}"; } # run STATUS ARGS...
ctl() { run "$@" --socket "$sock"; }     # ctl STATUS ARGS...: of vtpmd's vTPMs
says() { # says TEXT: one sentence on stderr has it
	grep -q "^vtpm.*: .*$1" "$dir/err" && [ "$(grep -c '^vtpm' "$dir/err")" -eq 1 ] && return
	echo "# not said: $1"
	return 1
}
field() { # field NAME KEY: of `vtpmctl show --json`
	ctl 0 show "$1" --json && sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},*$/\1/p" "$dir/out"
}
state() { [ "$(field "$1" state)" = "$2" ]; } # state NAME WORD
settled() { state "$1" running || state "$1" failed; }

tpm_up() { # tpm_up [FOLDER]: a TPM of a host; its socket is FOLDER.sock
	local at=$dir/${1:-tpm}
	mkdir -p "$at"
	server swtpm socket --tpm2 --tpmstate dir="$at" --flags startup-clear,not-need-init \
		--server type=unixio,path="$at.sock" --ctrl type=unixio,path="$at.sock.ctrl" 2>/dev/null
	await 10 test -S "$at.sock"
}
auth_of() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["tpm"]["auth"])' "$1"; } # auth_of HOST.JSON
flush_tpm() { # what a killed client left in the TPM, as the kernel does behind /dev/tpmrm0
	local what
	for what in -t -l -s; do
		TPM2TOOLS_TCTI=$tpm tpm2_flushcontext $what >/dev/null 2>&1
	done
}
host_up() { # host_up OPTIONS...: with a TPM, ready for `vtpmctl host init`, which gets them
	mkdir -m 0700 "$dir"/{run,store,unix}
	tpm_up && run 0 host init --config "$dir/host.json" --tcti "$tpm" "$@"
}

# vtpmd, with managers as processes; a test may set what runs it, and the manager.
vtpmd_by=("$root/build/bin/vtpmd-san")
manager=$root/build/bin/vtpm-manager-san
vtpmd_start() { # vtpmd_start OPTIONS...: until it answers
	"${vtpmd_by[@]}" --socket "$sock" --store "$dir/store" --audit "$dir/audit.log" \
		--config "$dir/host.json" --tpm "unix:$dir/tpm.sock" --manager "$manager" \
		--placement process --process-unix "$dir/unix" --verbose "$@" >>"$dir/vtpmd.log" 2>&1 </dev/null &
	vtpmd=$!
	await 10 ctl 0 list
}
vtpmd_stop() { # vtpmd_stop SIGNAL; its status
	local pid=$vtpmd
	vtpmd=
	kill "-$1" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
}
guest() { # guest NAME COMMAND...: what it prints goes to gout and gerr
	TPM2TOOLS_TCTI="cmd:socat -t 60 - UNIX-CONNECT:$dir/unix/$1" "${@:2}" >"$dir/gout" 2>"$dir/gerr"
}

# For a vtpmd whose disk does what the file fault says: none, ENOSPC, slow, ... (faultdisk.c)
faulty_disk=(env "FAULT=$dir/fault" "LD_PRELOAD=$root/build/bin/faultdisk.so" "$root/build/bin/vtpmd")
fault() { echo "$1" >"$dir/fault.new" && mv "$dir/fault.new" "$dir/fault"; }

# For a vtpmd, and its managers, which are not static, whose clocks are stepped (stepclock.c).
stepped_clock=(env ASAN_OPTIONS=verify_asan_link_order=0 "CLOCK=$dir/clock" "LD_PRELOAD=$root/build/bin/stepclock.so" "$root/build/bin/vtpmd")
clocks() { echo "$1 $2" >"$dir/clock.new" && mv "$dir/clock.new" "$dir/clock"; } # clocks OF_DAY MONOTONIC: seconds ahead

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2046
# What killed-commands and killed-rekey share, behind common.bash, in $dir: a vTPM $name, whose
# counter is 7, with the backup `seven` of it, and `attack`, which kills vtpmd or vtpmctl before each
# step of a command that others see: a file's name, its being on the disk, a connection.
exec 2>shell.log # where bash tells of each kill
tails=(out err vtpmd.log)
here=(--config "$dir/host.json" --tcti "$tpm")
vtpmctl=$root/build/bin/vtpmctl
manager=$root/build/bin/vtpm-manager
steps=' fsync fdatasync rename renameat renameat2 linkat '
shown=' connect fsync rename linkat ' # of vtpmctl
vtpmd_by=(env "STEP_FROM=$dir/armed" STEP_BY=9 "STEP_OF=$steps" "STEP_LOG=$dir/steps.log" "LD_PRELOAD=$root/build/bin/steps.so" "$root/build/bin/vtpmd")

names() { ctl 0 list && sed '1d; s/ .*//' out | xargs; }
left() { find store -name '*.new' -o -name '*.link' -o -name '.*.new' | xargs; }
write() { printf '%08d' "$1" | guest "$name" tpm2_nvwrite -C o -i- 0x1500016; }
value() { ctl 0 start "$name" && guest "$name" tpm2_startup -c && guest "$name" tpm2_nvread -C o 0x1500016 && echo $((10#$(cat gout))); }
has() { # has VALUES...: one of them is the counter's; it is stopped again
	local got
	got=$(value)
	ctl 0 stop "$name" --force
	[[ " $* " == *" ${got##*$'\n'} "* ]] || echo "it has $got: $(tail -1 err)"
}
vtpmd_again() { # behind its death
	rm -f armed
	wait "$vtpmd" 2>/dev/null
	flush_tpm
	vtpmd_start
}
# attack NAME WHOM RUN CHECK: RUN's command is done over and over, and vtpmd or vtpmctl is killed
# before its N-th step, until there are no more (beside: vtpmd before the N-th step of vtpmctl);
# CHECK, which gets the command's status, prints what is wrong afterwards; what the command said
# is in the file said.
attack() {
	local what=$1 whom=$2 run=$3 check=$4 n bad='' got
	for ((n = 1; n < 90; n++)); do
		rm -f steps.log
		by=()
		[ "$whom" = vtpmctl ] && by=(env "STEP=$n" STEP_BY=9 "STEP_OF=$shown" "STEP_LOG=$dir/steps.log" "LD_PRELOAD=$root/build/bin/steps.so")
		[ "$whom" = beside ] && by=(env "STEP=$n" "STEP_BY=kill -9 $vtpmd" "STEP_OF=$shown" "STEP_LOG=$dir/steps.log" "LD_PRELOAD=$root/build/bin/steps.so")
		[ "$whom" = vtpmd ] && echo $n >armed
		"$run" >out 2>err
		got=$?
		cp err said
		by=()
		rm -f armed
		[ $got -ne 3 ] || await 10 gone "$vtpmd"
		if gone "$vtpmd"; then got=137 && vtpmd_again; else flush_tpm; fi
		"$check" $got >wrong
		[ ! -s wrong ] || { bad="$bad $n"; sed "s/^/# $n, $(tail -1 steps.log | cut -d' ' -f2): /" wrong; }
		[ $got -eq 137 ] || break
	done
	[ "$whom" != beside ] || whom="vtpmd beside it"
	[ -z "$bad" ] && [ "$n" -gt 1 ] && [ "$n" -lt 90 ] && [ "$got" -eq 0 ]
	ok "$what: $whom killed at each of $((n - 1)) steps"
}

alone() { # alone: no second folder of the vTPM's, nor a copy of a file
	[ "$(names)" = "$name" ] && [ "$(ls -A store | grep -c "$uuid")" -eq 1 ] || echo "names: $(names), and $(ls -A store | xargs)"
}
one_vtpm() { # one_vtpm [OPTIONS of host init]
	name=web1
	host_up "${@:---no-kms}" && vtpmd_start && ctl 0 create web1 --ca none $([ $# -gt 0 ] || echo --policy tpm) && uuid=$(cat out) && guest web1 tpm2_startup -c &&
		guest web1 tpm2_nvdefine -s 8 -a 'ownerread|ownerwrite' 0x1500016 && write 7 && ctl 0 stop web1 --force && ctl 0 backup web1 seven && [ -z "$(has 7)" ]
}

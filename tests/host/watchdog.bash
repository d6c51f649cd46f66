# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Ends a test that hangs, which has called watch_steps; after common.bash, in $dir.
hang_s=300 # a step that takes longer hangs

# end_descendants PID SPARED...: all processes that it has started, and that these have; its own
# command in the foreground among them, as bash looks at a signal when that has ended.
end_descendants() {
	local one
	for one in $(ps -o pid= --ppid "$1"); do
		case " ${*:2} " in *" $one "*) continue ;; esac
		end_descendants "$one" "${@:2}"
		kill -KILL "$one" 2>/dev/null
	done
}
# Who does what is shown, and all ends.
watchdog() {
	local last pause=5 to
	[ "$hang_s" -ge 5 ] || pause=1
	exec {to}>&1 >/dev/null # of it, nothing else is to hold the test's output open
	while sleep $pause; do
		last=$(stat -c %Y progress)
		[ $(($(date +%s) - last)) -lt "$hang_s" ] && continue
		{
			echo "Bail out! hangs behind: $(cat progress)"
			tail -n 20 {a,b,c}/vtpmd.log m?.log count.err err 2>/dev/null | cut -c1-300 | sed 's/^/# /'
		} >&"$to"
		trap '' TERM # `end` ends this one, too
		kill -TERM $$
		end_descendants $$ $BASHPID
		return
	done
}
watch_steps() { # from now on each ok() is a step
	touch progress
	eval "tap_$(declare -f ok)" # tap_ok NAME
	ok() {
		tap_ok "$1"
		echo "$1" >progress
	}
	watchdog &
	pids+=($!)
}

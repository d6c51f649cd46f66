# SPDX-License-Identifier: Apache-2.0
# bash completion for vtpmctl: it asks vtpmctl itself, so that it is never behind.
_vtpmctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local me=${COMP_WORDS[0]} command=${COMP_WORDS[1]} words=()

	COMPREPLY=()
	local group=
	[[ $command =~ ^(host|ca|cert|peer|pool)$ ]] && group=$command
	[ -n "$group" ] && [ "$COMP_CWORD" -gt 2 ] && command="$group ${COMP_WORDS[2]}"
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t words < <("$me" --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  *.*/\1/p')
		words+=(csr rename import top audit pool migrate-receive)
	elif [ -n "$group" ] && [ "$COMP_CWORD" -eq 2 ]; then
		mapfile -t words < <("$me" "$group" --help 2>/dev/null | sed -n 's/^  \([a-z-]*\)  *.*/\1/p')
	elif [[ $cur == -* ]]; then
		# shellcheck disable=SC2086
		mapfile -t words < <("$me" $command --help 2>/dev/null | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p')
	elif [[ $prev == --* ]] && "$me" $command --help 2>/dev/null | grep -q "^  $prev [a-z0-9.|-]*|"; then
		# shellcheck disable=SC2086
		mapfile -t words < <("$me" $command --help | sed -n "s/^  $prev \([a-z0-9.|-]*\) .*/\1/p" | tr '|' '\n')
	elif [[ $command == import && $prev == import && $cur != -* ]]; then
		return # a name that is not there yet
	elif [[ ($command == clone || $command == rename) && $prev != --* && $COMP_CWORD -gt 2 ]]; then
		return # a name that is not there yet
	elif [[ ($group == cert || $command == "pool move") && $prev != --* && $COMP_CWORD -eq 3 ]]; then
		mapfile -t words < <("$me" list 2>/dev/null | sed '1d; s/ .*//')
	elif [[ $prev == --evacuate || ($command == "peer remove" && $prev == remove) || ($command == migrate && $COMP_CWORD -eq 3 && $prev != --*) ]]; then
		mapfile -t words < <("$me" peer list 2>/dev/null | sed '/^ /d; /^image$/d')
	elif [[ $prev == --forget ]]; then
		mapfile -t words < <("$me" migrate --moved 2>/dev/null | sed '1d; s/ .*//')
	elif [[ $prev == --accept || $prev == --continue ]]; then
		mapfile -t words < <("$me" list 2>/dev/null | sed '1d; s/ .*//')
	elif [[ $command == backup && $prev == --keep ]]; then
		return
	elif [[ $prev == --* || $command == launch || $command == check || $command == restore || $COMP_CWORD -gt 2 ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	else
		mapfile -t words < <("$me" list 2>/dev/null | sed '1d; s/ .*//')
	fi
	mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}
complete -o filenames -F _vtpmctl vtpmctl

# SPDX-License-Identifier: Apache-2.0
# A move between two vtpmds, without vtpmctl: sourced in the folder of the hosts, behind common.bash.
# shellcheck shell=bash
# One message after the other, as `vtpmctl migrate` carries them; it prints the state.  said HOST EVENT: web1's operator
# there, who moves it from a to b, from another host to a, or to TO; said HOST hear OTHER: what the last one told, which
# is in the file said.
said() { /usr/bin/python3 - "$dir/$1/run/sock" "${@:2}" <<-'EOP'; }
	import json, os, socket, sys
	request = {"op": "move"}
	if sys.argv[2] == "hear":
	    request.update(peer=sys.argv[3], messages=json.load(open("said"))["messages"])
	else:
	    request.update(name="web1", event=sys.argv[2], host=os.environ.get("TO") or ("b" if "/a/run/" in sys.argv[1] else "a"))
	with socket.socket(socket.AF_UNIX) as s:
	    s.settimeout(60)
	    s.connect(sys.argv[1])
	    s.sendall(json.dumps(request).encode() + b"\n")
	    answer = json.loads(s.makefile().readline())
	print(answer.get("state"))
	json.dump(answer, open("said.new", "w"))
	os.rename("said.new", "said")
EOP

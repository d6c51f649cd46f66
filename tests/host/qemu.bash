# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# QEMU with a TPM of ours or swtpm's behind it.  After common.bash; in $dir.
tails=(console qemu.log tpm.log)
here=$root/tests/host
manager=$root/build/bin/vtpm-manager
ovmf=(-machine q35 -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd
	-drive if=pflash,format=raw,file="$dir/vars.fd",snapshot=on)

disks() { # disks KIND...: KIND.img, with Debian's kernel and one program that prints PCRs
	local kernel kind
	kernel=$(cd "$root" && tests/system/image 2>"$dir/err" | tail -n 1)/vmlinuz
	[ -s "$kernel" ] || return 1
	for kind in "$@"; do
		/usr/bin/python3 "$here/firmware_disk.py" "$kind" "$dir/$kind.img" "$kernel" "$root/build/bin/firmware-init" >out 2>&1 || return 1
	done
}
end_one() { # end_one PID: a server that has nothing more to do
	local n
	for n in $(seq 100); do gone "$1" && break; sleep 0.05; done
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
ours() { # ours NAME: a new TPM, the socket qemu.sock
	server "$manager" --state "$dir/$1.state" --ctrl type=unixio,path="$dir/qemu.sock" 2>>tpm.log
}
theirs() { # the same by swtpm
	mkdir "$1.state"
	server swtpm socket --tpm2 --tpmstate dir="$dir/$1.state" --ctrl type=unixio,path="$dir/qemu.sock" >>tpm.log 2>&1
}
machine() { # machine DISK DEVICE OPTIONS...: boots, until it is off
	timeout "${QEMU_SECONDS:-240}" qemu-system-x86_64 -accel tcg -m 256 -display none -vga none -nodefaults -no-user-config \
		-chardev socket,id=tpm,path="$dir/qemu.sock" -tpmdev emulator,id=tpm0,chardev=tpm -device "$2,tpmdev=tpm0" \
		-drive file="$dir/$1",if=none,id=disk,format=raw,snapshot=on -device virtio-blk-pci,drive=disk,bootindex=1 \
		-serial file:"$dir/console" "${@:3}" >qemu.log 2>&1 </dev/null
}
boots() { # boots NAME WHO DISK DEVICE OPTIONS...: what it prints is in NAME.WHO
	local name=$1 who=$2 began=$SECONDS server
	shift 2
	rm -f qemu.sock console
	$who "$name.$who" || return 1
	server=${pids[-1]}
	await 10 test -S qemu.sock && machine "$@" || return 1
	await 10 gone "$server" # QEMU sends SHUTDOWN
	local rc=$?
	end_one "$server"
	mv console "$name.$who"
	echo "# $name, $who: $((SECONDS - began)) s"
	return $rc
}
log_of() { /usr/bin/python3 "$here/tcglog.py" "$@"; }
pair() { # pair NAME WHAT DISK DEVICE OPTIONS...
	local name=$1 what=$2
	shift 2
	boots "$name" ours "$@" && log_of replay "$name.ours"
	ok "$what measures into our TPM; its log replays to PCRs 0 to 9 of all banks"
	boots "$name" theirs "$@" && log_of replay "$name.theirs" && log_of same "$name.ours" "$name.theirs"
	ok "and swtpm's PCRs are the same, all 24 of all banks that both have"
}

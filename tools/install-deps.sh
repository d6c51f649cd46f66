#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs from Debian what building and testing need, and the newest kernel headers.
set -eu
packages='
	acpica-tools gcc make clang clang-format libclang-rt-dev pkg-config libxen-dev
	libtpms-dev libssl-dev libcmocka-dev libevent-dev libjansson-dev
	libtss2-dev libsystemd-dev libseccomp-dev uuid-dev linux-headers-amd64 qemu-system-x86
	qemu-utils logrotate swtpm swtpm-tools tpm2-tools libtss2-tcti-swtpm0 mmdebstrap e2fsprogs
	python3-pykmip python3-cryptography openssl socat cpio zstd xz-utils
	softhsm2 libengine-pkcs11-openssl gnutls-bin
	autoconf autoconf-archive automake libtool libltdl-dev libjson-c-dev libcurl4-openssl-dev
	uthash-dev acl
	tpm2-openssl tpm2-abrmd libtss2-tcti-tabrmd0 dbus-daemon expect iproute2 dpkg-dev
	python3-tpm2-pytss python3-pytest python3-pytest-xdist python3-yaml
	dkms kmod debhelper dh-dkms fakeroot mandoc cryptsetup-bin procps systemd xxd
	grub-pc-bin grub-efi-amd64-bin mtools ovmf seabios systemd-boot-efi
	frama-c-base why3 z3 cvc4
	nasm g++ python3 lintian ansible-core libvirt-clients
	libnghttp2-dev
'
missing=
for p in $packages; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $p"
done
[ -z "$missing" ] || echo "installing:$missing"
apt-get update -qq
# The virtual hosts run the kernel that Debian has today (tests/system/image), and modules
# for it need its headers: installed ones may be of the kernel before it.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends linux-headers-amd64 $missing

# Of packages that do more than is wanted: files alone, FILE NAME-HERE each.
take_files() {
	package=$1
	shift
	dir=$(mktemp -d build/take.XXXX)
	trap 'rm -rf "$dir"' EXIT
	(cd "$dir" && apt-get download -q "$package")
	while [ $# -gt 0 ]; do
		dpkg-deb --fsys-tarfile "$dir/$package"_*.deb | tar -xOf - "./$1" >"$dir/file"
		chmod 755 "$dir/file"
		mv "$dir/file" "build/$2"
		shift 2
	done
	rm -rf "$dir"
}
mkdir -p build/signed
# for tests/host/metrics: the package starts a server, and wants 100 MB
[ -x build/promtool ] || take_files prometheus usr/bin/promtool promtool
# for tests/host/pool-*: the package starts a server
[ -x build/etcd/etcd ] || { mkdir -p build/etcd && take_files etcd-server usr/bin/etcd etcd/etcd; }
[ -x build/etcd/etcdctl ] || take_files etcd-client usr/bin/etcdctl etcd/etcdctl
# for guests with Secure Boot: the packages write the machine's own boot loader
[ -x build/signed/shimx64.efi.signed ] ||
	take_files shim-signed usr/lib/shim/shimx64.efi.signed signed/shimx64.efi.signed
[ -x build/signed/grubx64.efi.signed ] || take_files grub-efi-amd64-signed \
	usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed signed/grubx64.efi.signed

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs from Debian what building and testing need; does nothing when it is
# all there.
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
	nasm g++ python3 lintian
'
missing=
for p in $packages; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $p"
done
if [ -n "$missing" ]; then
	echo "installing:$missing"
	apt-get update -qq
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

# promtool alone, for tests/host/metrics: its package starts a server, and wants 100 MB.
[ ! -x build/promtool ] || exit 0
here=$PWD
mkdir -p build
dir=$(mktemp -d build/promtool.XXXX)
trap 'rm -rf "$here/$dir"' EXIT
cd "$dir"
apt-get download -q prometheus || { apt-get update -qq && apt-get download -q prometheus; }
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xf - ./usr/bin/promtool
mv usr/bin/promtool ../promtool

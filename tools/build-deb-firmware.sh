#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Packs the firmware that `make firmware firmware-ovmf` has left in IMAGES as Debian packages, in
# build/deb-firmware.  Other bytes than those on record are an error.
#
#   tools/build-deb-firmware.sh [IMAGES]    build/firmware
set -eu
cd "$(dirname "$0")/.."
images=${1:-build/firmware}
out=build/deb-firmware
copy=$out/work/source
mkdir -p $out
exec 9>$out/lock
flock 9
rm -rf $out/work
mkdir -p $copy/firmware
cp "$images/xen-vtpm-seabios.bin" "$images/xen-vtpm-ovmf.fd" "$images/xen-vtpm-ovmf-enrolled.fd" $copy
cp -r firmware/debian $copy/debian
cp -r firmware/source firmware/seabios firmware/ovmf $copy/firmware
if ! (cd $copy && dpkg-buildpackage -b -uc -us) >$out/build.log 2>&1; then
	tail -n 20 $out/build.log >&2
	echo "make deb-firmware: failed; all of it is in $out/build.log" >&2
	exit 1
fi
rm -f $out/*.deb
mv $out/work/*.deb $out
rm -r $out/work
ls $out/*.deb

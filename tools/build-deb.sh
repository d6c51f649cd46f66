#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages of this tree, as it is, in a copy of it, and leaves
# them in build/deb.  Objects stay in the copy, so that the next time is quick.
set -eu
cd "$(dirname "$0")/.."
out=build/deb
copy=$out/source
mkdir -p $copy/build
exec 9>$out/lock
flock 9
find $copy -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
tar --exclude=./build --exclude=./.git -cf - . | tar -xf - -C $copy
rm -f $out/*.deb
if ! (cd $copy && dpkg-buildpackage -b -uc -us -nc) >$out/build.log 2>&1; then
	tail -n 40 $out/build.log >&2
	echo "make deb: failed; all of it is in $out/build.log" >&2
	exit 1
fi
ls $out/*.deb

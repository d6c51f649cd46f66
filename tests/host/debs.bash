# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tests of packages share.

# lint DEB...: what lintian finds; that the maintainer's address is none is meant.
lint() {
	lintian --allow-root --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$@"
}

# install_in ROOT DEB...: into a system of its own, where they are all that is there, but for a
# python3 that they may ask for.
install_in() {
	mkdir -p "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/updates"
	printf '%s\n' 'Package: python3' 'Status: install ok installed' 'Maintainer: nobody' 'Architecture: amd64' \
		'Version: 3.11' 'Description: stands for it' '' >"$1/var/lib/dpkg/status"
	dpkg --root="$1" --force-script-chrootless -i "${@:2}"
}

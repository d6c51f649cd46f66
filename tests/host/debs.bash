# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tests of packages share.

# lint DEB...: what lintian finds; that the maintainer's address is none is meant.
lint() {
	lintian --allow-root --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$@"
}

# install_in ROOT DEB...: into an empty system of its own, where they are all that is there.
install_in() {
	mkdir -p "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/updates"
	touch "$1/var/lib/dpkg/status"
	dpkg --root="$1" --force-script-chrootless -i "${@:2}"
}

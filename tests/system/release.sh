# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The release of Debian that a virtual host is made of, VHOST_SUITE, and what
# differs between them; other scripts read this one.
#
#   xen, linux    versions of the hypervisor and the kernel
#   t64           what names of libraries with another time_t end with
suite=${VHOST_SUITE:-bookworm}
case $suite in
bookworm) xen=4.17 linux=6.1 t64='' ;;
trixie) xen=4.20 linux=6.12 t64=t64 ;;
*)
	echo "VHOST_SUITE=$suite: there are bookworm and trixie" >&2
	exit 1
	;;
esac

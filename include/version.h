/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VERSION_H
#define XVTPM_VERSION_H

/* One version for all programs; the module's (frontend/dkms.conf) and the packages'
 * (debian/changelog) are the same, and tests/host/package compares them. */
#define XEN_VTPM_VERSION "0.1.0"

#endif

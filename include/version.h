/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VERSION_H
#define XVTPM_VERSION_H

#define XVTPM_VERSION "0.1.0"

#endif

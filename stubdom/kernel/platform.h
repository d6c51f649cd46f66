/* SPDX-License-Identifier: Apache-2.0 */
/* What Xen gives a PVH domain: parameters, the shared page, and frame numbers that
 * stand for no memory of ours, where shared and foreign pages are put. */
#ifndef STUB_PLATFORM_H
#define STUB_PLATFORM_H

#include <stdint.h>
#include <xen/xen.h>
#include "include/compiler.h"

/* Frames for grants of other domains, handed out one by one by grant.c. */
#define PLATFORM_WINDOW 1024

extern volatile struct shared_info *platform_shared;

/* top: the first address above all of RAM and below which nothing may be put. */
void platform_init(uint64_t top);
/* One of HVM_PARAM_*; 0 when Xen does not know it. */
uint64_t platform_param(unsigned int index);
/* Puts the grant table's first frame at LAYOUT_GRANT_TABLE. */
/*@ assigns \nothing; */
int __must_check platform_map_grant_table(void);
/* First frame number of the window of PLATFORM_WINDOW frames. */
/*@ assigns \nothing; */
uint64_t platform_window(void);

#endif

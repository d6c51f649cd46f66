/* SPDX-License-Identifier: Apache-2.0 */
/* All vTPMs of this vtpmd: d->vtpms, in the order of their names, and the ways to one of them
 * that do not pass the others. */
#ifndef VTPMD_VTPMS_H
#define VTPMD_VTPMS_H

#include <stdint.h>

struct vtpm;
struct vtpmd;

/* Into its place in the order of names. */
void vtpms_add(struct vtpmd *d, struct vtpm *v);
/* Takes it out again, and frees nothing: before its name or uuid changes. */
void vtpms_remove(struct vtpm *v);
/* NULL: none. */
struct vtpm *vtpms_find(const struct vtpmd *d, const char *name);
struct vtpm *vtpms_find_uuid(const struct vtpmd *d, const uint8_t uuid[16]);

#endif

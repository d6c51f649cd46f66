/* SPDX-License-Identifier: Apache-2.0 */
/* What a client wants a vTPM to be: of "create", and whether one that is there is so. */
#ifndef VTPMD_NEWVTPM_H
#define VTPMD_NEWVTPM_H

#include "include/compiler.h"
#include "tools/vtpmd/registry.h"

/* --ppi; what is not there stays as it is.  -EINVAL */
int __must_check newvtpm_ppi(const json_t *value, bool *denied);
/* --bind; the same. */
int __must_check newvtpm_bind(const json_t *value, bool *by_name);
/* Reads a request to create, which has to live as long as *n.  -EINVAL: malformed */
int __must_check newvtpm_parse(struct vtpmd *d, const json_t *request,
			       struct registry_new *n);
/* Whether v is what the request asks for.  What can be changed later (uuid of the line, PPI)
 * counts only if the request says it.  -EEXIST: *e names each difference. */
int __must_check newvtpm_compare(const struct vtpm *v, const json_t *request,
				 const struct registry_new *n, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vTPM's certificates, one file each in its folder: `cert-INDEX.der`.  vtpmd keeps
 * them for the manager, which writes them into the TPM's NV memory; who issued them, and
 * to what, is for vtpmctl and for anyone who verifies them.
 */
#ifndef VTPMD_CERT_H
#define VTPMD_CERT_H

#include <jansson.h>
#include "lib/cursor.h"
#include "lib/error.h"
#include "tools/vtpmd/store.h"

struct vtpm;

/* {"INDEX": "hex", ...}; empty when there are none.  NULL: out of memory. */
json_t *cert_show(struct store *s);
/* Takes such an object in: all, or none.  -EINVAL: no certificates; -errno. */
int __must_check cert_take(struct store *s, const json_t *certs);
/* ["INDEX", ...] */
json_t *cert_list(struct store *s);
/* All of another vTPM's. */
int __must_check cert_copy(struct store *s, struct store *from);
/* How many there are. */
unsigned int cert_count(struct store *s);
/* As CONFIG_CERTIFICATE. */
void cert_put_config(struct store *s, struct cursor *out);
/* The op "certify": stores them, and has a manager that runs take them. */
int __must_check cert_install(struct vtpm *v, const json_t *certs, struct error *e);

#endif

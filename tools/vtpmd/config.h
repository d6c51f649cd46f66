/* SPDX-License-Identifier: Apache-2.0 */
/* host.json, which `vtpmctl host init` wrote, with the CONFIG TLVs that managers get of
 * it.  All vTPMs share what was read last; it is read again once the file is another one,
 * so that a new approval needs no restart of vtpmd. */
#ifndef VTPMD_CONFIG_H
#define VTPMD_CONFIG_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/hostconf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define CONFIG_TLVS_MAX (CHANNEL_PAYLOAD_MAX / 2)

struct config {
	unsigned int users;
	struct hostconf host;
	uint8_t *tlvs; /* CONFIG_SRK_HANDLE and what follows it */
	size_t len;
};

/* Starts zeroed. */
struct config_file {
	struct config *last; /* NULL: none, or it could not be used */
	struct stat at;	     /* the file that it was read from */
};

/* What path says now; the caller gives it back by config_put().  -ENOENT: no file;
 * -EBADMSG; both with a sentence that says what to do. */
int __must_check config_get(struct config_file *f, const char *path, struct config **c,
			    struct error *e);
/* Drops one use; wipes and frees after the last.  NULL is allowed. */
void config_put(struct config *c);
/* The next config_get() reads the file. */
void config_forget(struct config_file *f);
/* Whether the host has what a policy ("host", "tpm", ...) asks for; else
 * -ENOENT and a sentence. */
int __must_check config_covers(const struct config *c, const char *policy,
			       struct error *e);
/* The policy of a new vTPM of which nothing is said. */
const char *config_policy(const struct config *c);
/* Whether a new vTPM may have a policy: config_covers(), and the KMS is of the kind that the
 * policy's name tells, so that a weaker one is what was asked for.  -EINVAL */
int __must_check config_makes(const struct config *c, const char *policy,
			      struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl backup` does, a file each way: one vTPM (backup.c), all (backup_all.c), and
 * whether a backup opens (backup_verify.c). */
#ifndef XVTPM_VTPMCTL_BACKUP_H
#define XVTPM_VTPMCTL_BACKUP_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmctl/client.h"

#include <jansson.h>
#include <stdbool.h>

#define BACKUP_FILE_MAX (4u << 20) /* two objects in hex, certificates */

struct backup_options {
	const char *name;	  /* another one than it had; restore */
	const char *words[2];	  /* NAME FILE; FILE */
	const char *all, *verify; /* DIR, FILE: in the words' place */
	const char *key;
	const char *socket;
	const char *expected;
	unsigned int keep; /* 0: all */
	bool replace, unchecked, yes;
};

/* Has vtpmd give name's backup, writes it into file, and tells vtpmd what came of that.  Returns
 * an exit status; *e has the sentence. */
int __must_check backup_write(struct client *c, const struct backup_options *o,
			      const char *name, const char *file, struct error *e);
/* What backup_write() wrote there, whole; NULL: a sentence was printed. */
json_t *backup_read(const char *file);

/* Exit statuses. */
int backup_all(const struct backup_options *o);
int backup_verify(const struct backup_options *o);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* vtpm.json: what vtpmd itself knows about a vTPM. */
#ifndef VTPMD_META_H
#define VTPMD_META_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"
#include "lib/stamp.h"
#include "tools/vtpmd/store.h"

#define META_NAME_MAX 40
/* The guest gets locality 0; the others need a trusted launch of the guest. */
#define META_LOCALITIES 0x01

struct meta {
	char name[META_NAME_MAX + 1];
	uint8_t uuid[16];
	char policy[8]; /* "host", "tpm", "kms" */
	unsigned int memory;
	uint8_t localities;
	bool is_copy; /* ... of the vTPM copy_of */
	uint8_t copy_of[16];
	bool process;  /* placement */
	bool creating; /* it has never been ready */
	bool measured; /* serves measured guests only */
	bool launched; /* the same, until it is stopped */
	bool wanted;   /* it is to run; also after a reboot of the host */
	char created[32];
	char sealed[STAMP_SIZE]; /* when its key slots were made; empty: not known */
	char keyed[STAMP_SIZE];	 /* the same of its data key */
	struct error error;	 /* of the last start; cause none: it went well */
};

/* Letters, digits, "_", ".", "-", not first a sign: it becomes part of a domain's
 * name, of file names and of xenstore values. */
bool meta_name_ok(const char *name);
/* CONFIG_POLICY's value; 0: no such policy. */
uint16_t meta_policy(const char *policy);
/* Of a backup: ready, not wanted, without an error. -EBADMSG */
int __must_check meta_parse(const json_t *root, struct meta *m);
/* -EBADMSG: not what meta_write() wrote. */
int __must_check meta_read(struct store *s, struct meta *m);
/* 0: durable. */
int __must_check meta_write(struct store *s, const struct meta *m);

#endif

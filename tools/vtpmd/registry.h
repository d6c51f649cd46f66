/* SPDX-License-Identifier: Apache-2.0 */
/* The vTPMs of this host: all folders of the store that hold one. */
#ifndef VTPMD_REGISTRY_H
#define VTPMD_REGISTRY_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpmd.h"

#include <jansson.h>

struct registry_new {
	const char *name;
	const char *policy;
	unsigned int memory;
	bool process;
	bool by_name;
	bool has_uuid; /* else it gets one */
	uint8_t uuid[16];
	uint8_t localities;
	bool ppi_denied;
	bool tpm12;
	uint8_t pcr_banks;
	bool measured;
	/* Not NULL: the state is to be that of this one, which is stored. */
	struct vtpm *copy_of;
	/* Not NULL: the state is to be swtpm's, CHANNEL_OBJECT_SOURCE_SWTPM in hex. */
	const char *source;
};

/* Reads the store (made when it is not there), takes over what runs, and starts
 * what ran before the host went down. */
int __must_check registry_load(struct vtpmd *d);
/* Adds a vTPM of the store, by its uuid as a text; ctx is the struct vtpmd. */
void registry_load_one(void *ctx, const char *folder);
/* Makes an entry in state creating and starts it.  On failure none is left. */
int __must_check registry_create(struct vtpmd *d, const struct registry_new *n,
				 struct vtpm **out, struct error *e);
/* Removes a vTPM that is stopped or failed, with its whole store. */
int __must_check registry_remove(struct vtpm *v, struct error *e);
/* Removes the folder that a removal of such a vTPM has left, without description and key slots: one
 * that was cut off, or could not remove all of it.  0, also when there is none; -EEXIST: it has one
 * of both, and stays. */
int __must_check registry_sweep(struct vtpmd *d, const uint8_t uuid[16]);
/* Whether a vTPM can get that name: what is known without its claim. */
int __must_check registry_may_rename(struct vtpm *v, const char *to, struct error *e);
/* Gives a vTPM that is stopped or failed another name.  Who calls it gives the claim back. */
int __must_check registry_rename(struct vtpm *v, const char *to, struct error *e);
/* The boot states that host.json approves now; an array. */
json_t *registry_approved(struct vtpmd *d);
/* An array of {"folder": UUID, "error": TEXT}: vTPMs whose vtpm.json cannot be used. */
json_t *registry_damaged(void);
/* Whether Xen has no domain any more of the number that the manager tells of its guest: it may
 * not have heard yet. */
bool __must_check registry_guest_ended(const struct vtpm *v);
/* The object of `vtpmctl show --json`, with a reference to that array. */
json_t *registry_show(struct vtpm *v, json_t *approved);

/* SIGHUP, and what `vtpmctl host renew` asks for: host.json is new.  Every start and
 * every rekey reads it again by itself; here it is looked at at once, and what failed
 * with the previous one is started again without waiting. */

/* On failure *e says what is wrong with it; nothing changes for vTPMs that run. */
int __must_check reload(struct vtpmd *d, struct error *e);

#endif

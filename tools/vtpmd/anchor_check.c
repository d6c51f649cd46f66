/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_check.h"
#include "tools/vtpmd/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool anchor_check_unmade(const struct anchor_entry *e)
{
	static const uint8_t zeroes[sizeof(e->header)];

	return !memcmp(e->header, zeroes, sizeof(zeroes));
}

/* Whether the object in the vTPM's folder is another vTPM's, which *e tells then. */
static bool is_anothers(struct vtpm *v, uint16_t object, struct error *e)
{
	struct object_head h = {0};
	bool another = false;
	uint8_t *buf;
	size_t len;

	if (store_get(&v->store, object, &buf, &len))
		return false;
	if (!object_parse(object, buf, len, &h))
		another = memcmp(h.uuid, v->meta.uuid, sizeof(h.uuid)) != 0;
	free(buf);
	if (another)
		error_set(e, -ESTALE, CAUSE_WRONG_VTPM,
			  "The %s in the folder of %s is another vTPM's: put its own "
			  "back, or restore it from a backup.",
			  object == CHANNEL_OBJECT_HEADER ? "header" : "state",
			  v->meta.name);
	return another;
}

static int not_as_new(struct vtpm *v, uint64_t found, const struct anchor_entry *known,
		      struct error *e)
{
	return error_set(
		e, -ESTALE, CAUSE_ROLLED_BACK,
		"The state of %s is generation %llu, and generation %llu is anchored in "
		"the host's TPM%s: an older one was put back. Bring the newest back, or, "
		"when the older one is meant, `vtpmctl host anchor --accept %s --yes`.",
		v->meta.name, (unsigned long long)found,
		(unsigned long long)anchor_entry_seq(known),
		found < anchor_entry_seq(known) ? "" : ", of another run", v->meta.name);
}

static int check_header(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	int rc = store_find_header(&v->store, known->header);

	if (rc == 1)
		log_about(
			LOG_NOTICE, VTPM_ABOUT(v),
			"the header that is anchored is put back: the newer one was not "
			"acknowledged when the host or vtpmd went down");
	if (rc >= 0)
		return 0;
	if (rc == -ENOENT)
		return error_set(e, rc, CAUSE_NO_STATE,
				 "The vTPM %s has no header in the store: restore it "
				 "from a backup; no new one is made.",
				 v->meta.name);
	if (rc == -ESTALE && is_anothers(v, CHANNEL_OBJECT_HEADER, e))
		return rc;
	if (rc == -ESTALE)
		return error_set(
			e, rc, CAUSE_ROLLED_BACK,
			"The header of %s is not the one that is anchored in the host's "
			"TPM: it was changed, or another one put there. Bring the newest "
			"back, or, when this one is meant, `vtpmctl host anchor --accept "
			"%s --yes`.",
			v->meta.name, v->meta.name);
	return error_set(e, rc, CAUSE_STORE, "The header of %s could not be read: %s.",
			 v->meta.name, strerror(-rc));
}

/* An object as it is, as what is known.  -ENOENT, -EBADMSG: nothing is */
static int know_stored(struct vtpm *v, uint16_t object)
{
	uint8_t *buf;
	size_t len;
	int rc = store_get(&v->store, object, &buf, &len);

	if (rc)
		return rc;
	rc = store_know(&v->store, object, buf, len);
	free(buf);
	return rc;
}

static int check_state(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	const struct store_known *k;
	int rc = know_stored(v, CHANNEL_OBJECT_PERMALL);

	/* what cannot be opened is not opened: the manager says why */
	if (rc == -ENOENT || rc == -EBADMSG)
		return 0;
	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The state of %s could not be read: %s.", v->meta.name,
				 strerror(-rc));
	k = store_known(&v->store, CHANNEL_OBJECT_PERMALL);
	if (k->epoch == known->epoch && k->seq >= known->permall)
		return 0;
	if (!known->permall && !memcmp(k->hash, known->base, sizeof(k->hash)))
		return 0;
	if (is_anothers(v, CHANNEL_OBJECT_PERMALL, e))
		return -ESTALE;
	return not_as_new(v, k->seq, known, e);
}

int anchor_check_folder(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	int rc;

	store_know_nothing(&v->store);
	if (!known && !v->meta.creating)
		return error_set(
			e, -ESTALE, CAUSE_ROLLED_BACK,
			"The folder of %s is not one that this host has anchored in its "
			"TPM: it was copied in, or is of a vTPM that was deleted. Use "
			"`vtpmctl restore`, or, when it is meant, `vtpmctl host anchor "
			"--accept %s --yes`.",
			v->meta.name, v->meta.name);
	if (!known || anchor_check_unmade(known))
		return error_set(
			e, -ENOENT, CAUSE_NO_STATE,
			"The vTPM %s was being made when the host or vtpmd went down, and is "
			"not whole. `vtpmctl delete %s`, and %s again.",
			v->meta.name, v->meta.name,
			v->meta.is_copy ? "clone" : "create it");
	rc = check_header(known, v, e);
	return rc ? rc : check_state(known, v, e);
}

int anchor_check_nothing(struct vtpm *v, struct error *e)
{
	static const uint16_t objects[] = {CHANNEL_OBJECT_HEADER, CHANNEL_OBJECT_PERMALL};
	size_t i;
	int rc = 0;

	store_know_nothing(&v->store);
	for (i = 0; i < ARRAY_SIZE(objects) && !rc; i++) {
		rc = know_stored(v, objects[i]);
		if (rc == -ENOENT || rc == -EBADMSG)
			rc = 0;
	}
	return rc ? error_set(e, rc, CAUSE_STORE,
			      "The folder of %s could not be read: %s.", v->meta.name,
			      strerror(-rc))
		  : 0;
}

void anchor_check_say(int rc, const char *dir, struct error *e)
{
	if (rc == -ENOENT)
		error_set(
			e, rc, CAUSE_ROLLED_BACK,
			"The table of all vTPMs' generations, %s/anchor, is not there, so "
			"that an old store would not be noticed: bring it back, or, when "
			"the store is known to be the newest, `vtpmctl host anchor --init "
			"--yes`.",
			dir);
	else if (rc == -ESTALE)
		error_set(
			e, rc, CAUSE_ROLLED_BACK,
			"%s/anchor is not the table that the host's TPM has the hash of: "
			"it was changed, or an old one put back. Bring the newest back, "
			"or, when the store is known to be the newest, `vtpmctl host "
			"anchor --init --yes`.",
			dir);
	else
		error_set(e, rc, rc == -EBADMSG ? CAUSE_VERSION : CAUSE_STORE,
			  "%s/anchor could not be read: %s.", dir, strerror(-rc));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_check.h"

#include <errno.h>
#include <string.h>

static int not_as_new(struct vtpm *v, const char *what, uint64_t found, uint64_t known,
		      struct error *e)
{
	return error_set(
		e, -ESTALE, CAUSE_ROLLED_BACK,
		"%s of %s is generation %llu, and generation %llu is anchored in the "
		"host's TPM: an older one was put back. Bring the newest back, or, when "
		"the older one is meant, `vtpmctl host anchor --accept %s --yes`.",
		what, v->meta.name, (unsigned long long)found, (unsigned long long)known,
		v->meta.name);
}

static int check_object(struct vtpm *v, uint16_t object, const char *what, uint64_t known,
			struct error *e)
{
	uint64_t found;
	int rc = store_own_seq(&v->store, object, &found);

	/* a vTPM that is being made would be made anew in the place of what is gone */
	if (rc == -ENOENT && v->meta.creating && known)
		return not_as_new(v, what, 0, known, e);
	/* what cannot be opened is not opened: the manager says why */
	if (rc == -ENOENT || rc == -EBADMSG)
		return 0;
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "%s of %s could not be read: %s.",
				 what, v->meta.name, strerror(-rc));
	return found < known ? not_as_new(v, what, found, known, e) : 0;
}

int anchor_check_folder(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	int rc;

	if (!known && v->meta.creating && !store_has(&v->store, CHANNEL_OBJECT_PERMALL))
		return error_set(
			e, -ENOENT, CAUSE_NO_STATE,
			"The vTPM %s has no state: it was being made when the host or vtpmd "
			"went down. `vtpmctl delete %s`, and %s again.",
			v->meta.name, v->meta.name,
			v->meta.is_copy ? "clone" : "create it");
	if (!known)
		return error_set(
			e, -ESTALE, CAUSE_ROLLED_BACK,
			"The folder of %s is not one that this host has anchored in its "
			"TPM: it was copied in, or is of a vTPM that was deleted. Use "
			"`vtpmctl restore`, or, when it is meant, `vtpmctl host anchor "
			"--accept %s --yes`.",
			v->meta.name, v->meta.name);
	rc = check_object(v, CHANNEL_OBJECT_HEADER, "The header", known->header, e);
	if (!rc)
		rc = check_object(v, CHANNEL_OBJECT_PERMALL, "The state", known->permall,
				  e);
	return rc;
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

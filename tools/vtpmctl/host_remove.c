/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl host remove: what `host init` and the use of it left.  In the TPM first, as
 * host.json says which objects are this host's; then in the store; host.json is last, so that
 * what was interrupted can be done again.
 */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/host_anchor.h"
#include "tools/vtpmctl/host_quote.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/storefiles.h"
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct removal {
	const char *tcti, *config, *store, *socket;
	bool yes, vtpms, no_tpm;

	struct hostconf conf;
	struct tpm tpm;
	int claim;	   /* of the store, or -1 */
	unsigned int left; /* in the TPM, at a handle of ours */
};

static const struct args_option options[] = {
	OPTION_FLAG("yes", struct removal, yes, "what is printed without it is meant"),
	OPTION_FLAG("vtpms", struct removal, vtpms,
		    "the vTPMs, too: what their guests sealed is lost"),
	OPTION_FLAG("no-tpm", struct removal, no_tpm,
		    "files alone: the TPM is gone, or another one"),
	OPTION_TEXT("tcti", struct removal, tcti, "TCTI", "the TPM, " TPM_TCTI),
	OPTION_TEXT("config", struct removal, config, "FILE", HOSTCONF_PATH),
	OPTION_TEXT("store", struct removal, store, "DIR", VTPMCTL_STORE),
	CLIENT_SOCKET_OPTION(struct removal),
};

static const struct args_command command = {
	.usage = "host remove [--yes] [--vtpms] [OPTIONS]",
	.about =
		"Removes what `host init` and the use of it left: the storage key, attestation\n"
		"key, anchor and counter of revocations in the TPM; host.json, and what vtpmd\n"
		"keeps in the store beside the vTPMs.  vtpmd may not run.  The policy key, a CA\n"
		"and the audit log stay.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

static int check_stopped(const struct removal *r, struct error *e)
{
	char text[CLIENT_TEXT];
	json_t *reply;
	int status = client_try(r->socket, client_request("list", NULL), &reply, text);

	json_decref(reply);
	if (status == VTPMCTL_NO_VTPMD)
		return 0;
	return error_set(
		e, -EBUSY, CAUSE_INTERNAL,
		"vtpmd runs: delete the vTPMs (`vtpmctl list`, `vtpmctl delete "
		"NAME --yes`), then `systemctl disable --now vtpmd`; nothing was "
		"removed");
}

static int check_vtpms(const struct removal *r, struct error *e)
{
	char name[STOREFILES_NAME];
	unsigned int n = storefiles_count(r->store);
	bool runs = false;

	if (n && !r->vtpms)
		return error_set(
			e, -ENOTEMPTY, CAUSE_STATE_EXISTS,
			"%u vTPM%s in %.100s: start vtpmd and delete each, or --vtpms "
			"removes all of them, and what their guests sealed is lost; nothing "
			"was removed",
			n, n == 1 ? " is" : "s are", r->store);
	if (n && storefiles_runs(r->store, name, &runs))
		return error_set(
			e, -EBUSY, CAUSE_INTERNAL,
			"xl does not tell which domains run: mend what `xl list` says, and "
			"run this again; nothing was removed");
	if (runs)
		return error_set(
			e, -EBUSY, CAUSE_INTERNAL,
			"the stub domain vtpm-%s runs: shut its guest down, then "
			"`xl destroy vtpm-%s`; nothing was removed",
			name, name);
	return 0;
}

static int ask_removal(const struct removal *r, struct error *e)
{
	if (r->yes)
		return 0;
	if (!r->no_tpm)
		printf("in the TPM: 0x%08x, 0x%08x, NV indexes 0x%08x, 0x%08x\n",
		       r->conf.srk_handle, TPMQUOTE_HANDLE, TPMANCHOR_INDEX,
		       CHANNEL_COUNTER_INDEX);
	printf("files: %s, and what it replaced; the anchor's table in %s\n", r->config,
	       r->store);
	if (r->vtpms)
		printf("vTPMs: %u\n", storefiles_count(r->store));
	return error_set(e, -ECANCELED, CAUSE_INTERNAL,
			 "nothing was removed: --yes says that this is meant");
}

static void left_there(struct removal *r, const char *what, uint32_t handle)
{
	fprintf(stderr,
		"Left alone: what is at 0x%08x in the TPM is not this host's %s\n",
		handle, what);
	r->left++;
}

static int remove_index(struct removal *r, const char *what, uint32_t index,
			const uint8_t name[TPM_NAME_SIZE], struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	ESYS_TR nv = ESYS_TR_NONE;
	int rc = tpmnv_find(&r->tpm, index, name, &nv, &why);

	if (rc && why.cause)
		return error_set(e, rc, why.cause, "%s", why.text);
	if (rc == -EXDEV)
		left_there(r, what, index);
	if (rc)
		return 0;
	fprintf(stderr, "Removing the %s at 0x%08x\n", what, index);
	return tpmnv_remove(&r->tpm, &nv, e);
}

static int remove_key(struct removal *r, const char *what, uint32_t handle,
		      const uint8_t name[TPM_NAME_SIZE], struct error *e)
{
	uint8_t there[TPM_NAME_SIZE];
	ESYS_TR key = ESYS_TR_NONE, none = ESYS_TR_NONE;
	bool used;
	TSS2_RC rc;
	int ret = tpm_handle_used(&r->tpm, handle, &used, e);

	if (ret || !used)
		return ret;
	rc = Esys_TR_FromTPMPublic(r->tpm.esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
				   ESYS_TR_NONE, &key);
	if (!rc &&
	    (tpm_name(&r->tpm, key, there) || memcmp(there, name, sizeof(there)))) {
		left_there(r, what, handle);
		Esys_TR_Close(r->tpm.esys, &key);
		return 0;
	}
	if (!rc) {
		fprintf(stderr, "Removing the %s at 0x%08x\n", what, handle);
		rc = Esys_EvictControl(r->tpm.esys, ESYS_TR_RH_OWNER, key,
				       ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
				       handle, &none);
	}
	return rc ? tpmrc_set(e, rc, "remove a key") : 0;
}

/* The storage key is last: sessions are salted to it.  Without it the others are gone. */
static int clear_tpm(struct removal *r, struct error *e)
{
	const struct hostconf *h = &r->conf;
	bool used;
	int rc = tpm_open(&r->tpm, r->tcti, e);

	if (!rc)
		rc = tpm_handle_used(&r->tpm, h->srk_handle, &used, e);
	if (rc || !used)
		return rc;
	rc = tpm_srk_pinned(&r->tpm, h->srk_handle, h->srk_name, e);
	if (!rc && h->anchor_index)
		rc = remove_index(r, "anchor", h->anchor_index, h->anchor_name, e);
	if (!rc)
		rc = remove_index(r, "counter of revocations", CHANNEL_COUNTER_INDEX,
				  h->counter_name, e);
	if (!rc && h->ak_handle)
		rc = remove_key(r, "attestation key", h->ak_handle, h->ak_name, e);
	if (rc)
		return rc;
	if (r->tpm.audit != ESYS_TR_NONE)
		Esys_FlushContext(r->tpm.esys, r->tpm.audit);
	r->tpm.audit = ESYS_TR_NONE;
	fprintf(stderr, "Removing the storage key at 0x%08x\n", h->srk_handle);
	return tpm_srk_remove(&r->tpm, h->srk_handle, e);
}

static int clear_files(const struct removal *r, struct error *e)
{
	static const char *const old[] = {".prev", ".prev.new", ".old-policy-key"};
	char path[PATH_MAX];
	int rc = r->vtpms ? storefiles_remove_vtpms(r->store, e) : 0;

	if (!rc)
		rc = storefiles_remove_tables(r->store, e);
	for (size_t i = 0; i < ARRAY_SIZE(old) && !rc; i++)
		rc = snprintf(path, sizeof(path), "%s%s", r->config, old[i]) >=
				     (int)sizeof(path)
			     ? 0
			     : storefiles_wipe(path, e);
	for (int n = 1; n <= HOSTFILE_KEPT_MAX && !rc; n++)
		rc = snprintf(path, sizeof(path), "%s.prev.%d", r->config, n) >=
				     (int)sizeof(path)
			     ? 0
			     : storefiles_wipe(path, e);
	return rc ? rc : storefiles_wipe(r->config, e);
}

static void tell_what_stays(const struct removal *r)
{
	fprintf(stderr,
		"This host is as before `vtpmctl host init`.  What stays is yours: the policy "
		"key, where it is,\na CA (/etc/xen-vtpm/ca), the audit log "
		"(/var/log/xen-vtpm), backups%s.\n",
		r->left ? ", and what is named above" : "");
	if (r->conf.has_kms)
		fprintf(stderr,
			"Have the KMS's operator take this host's certificate back.\n");
}

static int host_remove(struct removal *r, struct error *e)
{
	int rc = hostfile_load(r->config, &r->conf, e);

	if (!rc)
		rc = check_stopped(r, e);
	if (!rc)
		rc = storefiles_claim(r->store, &r->claim, e);
	if (!rc)
		rc = check_vtpms(r, e);
	if (!rc)
		rc = ask_removal(r, e);
	if (!rc && !r->no_tpm)
		rc = clear_tpm(r, e);
	return rc ? rc : clear_files(r, e);
}

int host_remove_main(int argc, char **argv)
{
	struct removal r = {
		.tcti = TPM_TCTI,
		.config = HOSTCONF_PATH,
		.store = VTPMCTL_STORE,
		.socket = CLIENT_SOCKET,
		.claim = -1,
	};
	struct error e = {0};
	int rc;

	args_parse_or_exit(&command, argc, argv, &r);
	rc = host_remove(&r, &e);
	if (r.claim >= 0)
		close(r.claim);
	tpm_close(&r.tpm);
	if (!rc)
		tell_what_stays(&r);
	hostconf_free(&r.conf);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

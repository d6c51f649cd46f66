/* SPDX-License-Identifier: Apache-2.0 */
/* What opens vTPMs: host.json, the TPM, the KMS. */
#include "tools/vtpmctl/doctor.h"
#include "lib/crypt.h"
#include "stubdom/manager/unlock.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/host_quote.h"
#include "tools/vtpmctl/kmskey.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY	  86400
#define DAYS_LEFT 30

/* Whether others than root may read PATH with this suffix, which is in path then. */
static bool is_open_to_others(const char *config, const char *suffix, char path[PATH_MAX])
{
	struct stat st;

	return snprintf(path, PATH_MAX, "%s%s", config, suffix) < PATH_MAX &&
	       !stat(path, &st) && (st.st_uid || st.st_mode & 077);
}

enum finding doctor_config(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	char path[PATH_MAX];

	if (hostfile_load(d->config, &d->conf, &e))
		return doctor_say(d, BAD, "%s", e.text);
	d->configured = true;
	if (is_open_to_others(d->config, "", path) ||
	    is_open_to_others(d->config, ".prev", path))
		return doctor_say(
			d, BAD,
			"others than root may read %s: who may open the TPM, too, "
			"can use this host's key for the KMS; `chown root:root %s; "
			"chmod 600 %s`, then `vtpmctl host renew` with a new "
			"certificate and key",
			path, path, path);
	if (!d->conf.has_kms)
		return doctor_say(d, WARN,
				  "no KMS is configured: only `--policy tpm` "
				  "works, and who steals the machine opens all");
	return doctor_say(d, FINE, "%s, KMS %s", d->config, d->conf.kms_address);
}

enum finding doctor_policy_key(struct doctor *d)
{
	char path[PATH_MAX];

	if (file_beside(d->config, "policy-key.pem", path, sizeof(path)) ||
	    access(path, F_OK))
		return doctor_say(d, FINE, "the policy key is not on this host");
	return doctor_say(d, WARN,
			  "the policy key is on this host, and approves any boot state "
			  "for whoever reads it: move %s away",
			  path);
}

enum finding doctor_recovery(struct doctor *d)
{
	if (!d->configured)
		return doctor_say(d, SKIPPED, "not configured");
	if (!d->conf.recovery_key_len)
		return doctor_say(d, WARN,
				  "there is no recovery key: a broken mainboard "
				  "takes all vTPMs with it; see `vtpmctl host "
				  "renew --recovery-key`");
	return doctor_say(d, FINE, "a recovery key is configured");
}

/* FINE: it is good for more than DAYS_LEFT. */
static enum finding judge_certificate(struct doctor *d, const char *what, const char *pem,
				      const char *renew, long long *days)
{
	char *subject = NULL;
	time_t expires;

	if (kmskey_describe(pem, &subject, &expires))
		return doctor_say(d, BAD, "%s cannot be read: `vtpmctl host renew %s`",
				  what, renew);
	free(subject);
	*days = ((long long)expires - (long long)time(NULL)) / DAY;
	if (expires <= time(NULL))
		return doctor_say(
			d, BAD, "%s has expired: get a new one, `vtpmctl host renew %s`",
			what, renew);
	if (*days < DAYS_LEFT)
		return doctor_say(
			d, WARN,
			"%s expires in %lld day%s: get a new one, `vtpmctl host "
			"renew %s`",
			what, *days, *days == 1 ? "" : "s", renew);
	return FINE;
}

enum finding doctor_certificate(struct doctor *d)
{
	long long days, ca_days;
	enum finding f;

	if (!d->configured || !d->conf.has_kms)
		return doctor_say(d, SKIPPED, "no KMS");
	if (!d->conf.kms_cert) {
		f = judge_certificate(d, "the KMS's CA certificate", d->conf.kms_ca,
				      "--kms-ca FILE", &ca_days);
		return f != FINE
			       ? f
			       : doctor_say(
					 d, FINE,
					 "this host is known to the KMS by a token; the "
					 "CA's certificate is good for %lld day%s",
					 ca_days, ca_days == 1 ? "" : "s");
	}
	f = judge_certificate(d, "the KMS client certificate", d->conf.kms_cert,
			      "--kms-cert FILE --kms-key FILE", &days);
	if (f == FINE)
		f = judge_certificate(d, "the KMS's CA certificate", d->conf.kms_ca,
				      "--kms-ca FILE", &ca_days);
	if (f != FINE)
		return f;
	return doctor_say(
		d, FINE,
		"the KMS client certificate is good for %lld day%s, the CA's for "
		"%lld",
		days, days == 1 ? "" : "s", ca_days);
}

enum finding doctor_tpm(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t name[TPM_NAME_SIZE];
	int rc = tpm_open(&d->tpm, d->tcti, &e);

	d->tpm_open = !rc;
	if (!rc && d->configured)
		rc = tpm_srk_find(&d->tpm, d->conf.srk_handle, name, &e);
	if (rc)
		return doctor_say(d, BAD, "%s", e.text);
	if (d->configured && memcmp(name, d->conf.srk_name, sizeof(name)))
		return doctor_say(d, BAD,
				  "this is another TPM than the one that was set up: "
				  "put the old one back; when it is lost, `vtpmctl host "
				  "init --force --new-tpm`, then `vtpmctl recover` for "
				  "each vTPM that has a recovery slot");
	d->tpm_pinned = d->configured;
	return doctor_say(d, FINE, "the TPM answers%s",
			  d->configured ? ", with the storage key of host init" : "");
}

static bool property(struct doctor *d, TPM2_PT tag, uint32_t *value)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	TPMI_YES_NO more;
	ESYS_TR audit;
	bool ok = !tpm_audit(&d->tpm, &audit) &&
		  !Esys_GetCapability(d->tpm.esys, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				      TPM2_CAP_TPM_PROPERTIES, tag, 1, &more, &data) &&
		  data->data.tpmProperties.count == 1 &&
		  data->data.tpmProperties.tpmProperty[0].property == tag;

	*value = ok ? data->data.tpmProperties.tpmProperty[0].value : 0;
	Esys_Free(data);
	return ok;
}

/* What is sealed for vTPMs does not count wrong authorizations, but a TPM in lockout
 * is one that somebody tried to open. */
enum finding doctor_lockout(struct doctor *d)
{
	uint32_t count, max, flags;

	if (!d->tpm_open)
		return doctor_say(d, SKIPPED, "no TPM");
	if (!property(d, TPM2_PT_LOCKOUT_COUNTER, &count) ||
	    !property(d, TPM2_PT_MAX_AUTH_FAIL, &max))
		return doctor_say(d, WARN, "the TPM does not tell its lockout counter");
	if (property(d, TPM2_PT_PERMANENT, &flags) && flags & TPMA_PERMANENT_INLOCKOUT)
		return doctor_say(
			d, WARN,
			"the TPM is in lockout after %u wrong authorizations: find "
			"out who tried; `tpm2_dictionarylockout -c` ends it",
			count);
	if (count)
		return doctor_say(d, WARN,
				  "%u of %u wrong authorizations were counted: find out "
				  "who tried; `tpm2_dictionarylockout -c` resets it",
				  count, max);
	return doctor_say(d, FINE, "no wrong authorizations were counted");
}

/* How many handles of a kind (Part 2, 7.2) are there; -1: the TPM does not say. */
static int handles(struct doctor *d, TPM2_HANDLE first)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	TPMI_YES_NO more;
	ESYS_TR audit;
	int n = -1;

	if (!tpm_audit(&d->tpm, &audit) &&
	    !Esys_GetCapability(d->tpm.esys, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, &more,
				&data))
		n = (int)data->data.handles.count;
	Esys_Free(data);
	return n;
}

/* host init keeps two objects in the TPM: the storage key, and the attestation key. */
enum finding doctor_nv(struct doctor *d)
{
	uint32_t room;
	int objects, indexes;

	if (!d->tpm_open)
		return doctor_say(d, SKIPPED, "no TPM");
	objects = handles(d, 0x81000000);
	indexes = handles(d, 0x01000000);
	if (!property(d, TPM2_PT_HR_PERSISTENT_AVAIL, &room) || objects < 0 ||
	    indexes < 0)
		return doctor_say(d, WARN, "the TPM does not tell its NV space");
	if (!room && !d->configured)
		return doctor_say(
			d, BAD,
			"the TPM has no room for the keys of `vtpmctl host init`: `tpm2_getcap handles-persistent`, "
			"`tpm2_evictcontrol` what nobody needs");
	if (!room)
		return doctor_say(d, WARN,
				  "the TPM's NV space is full (%d objects, %d indexes): "
				  "vTPMs need no more of it, other programs may",
				  objects, indexes);
	return doctor_say(d, FINE,
			  "%d object%s and %d index%s in the TPM, room for %u more",
			  objects, objects == 1 ? "" : "s", indexes,
			  indexes == 1 ? "" : "es", room);
}

/* A secret all the way: what a vTPM's start will do. */
static int there_and_back(struct doctor *d, struct unlockconf *u, struct error *e)
{
	uint8_t secret[KMS_SECRET_SIZE], again[KMS_SECRET_SIZE] = {0};
	uint8_t object[HOSTTPM_OBJECT_MAX];
	size_t len = sizeof(object), n = sizeof(again);
	struct kms_wrapped wrapped;
	int rc = crypt_random(secret, sizeof(secret));

	if (!rc)
		rc = hosttpm_seal(&u->config.tpm, &u->unlock.tpm, APPROVAL_VTPM, NULL,
				  secret, sizeof(secret), object, &len, e);
	if (!rc)
		rc = hosttpm_unseal(&u->config.tpm, &u->unlock.tpm, APPROVAL_VTPM, NULL,
				    object, len, again, &n, e);
	if (!rc && d->conf.has_kms && d->conf.kms_get)
		rc = unlock_kms_probe(&u->unlock);
	if (!rc && d->conf.has_kms && !d->conf.kms_get)
		rc = unlock_kms_wrap(&u->unlock, secret, &wrapped);
	if (!rc && d->conf.has_kms && !d->conf.kms_get)
		rc = unlock_kms_unwrap(&u->unlock, &wrapped, again);
	if (!rc && CRYPTO_memcmp(secret, again, sizeof(secret)))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "TPM or KMS gave back something else than they got");
	OPENSSL_cleanse(secret, sizeof(secret));
	return rc;
}

enum finding doctor_keys(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct unlockconf *u;
	int rc = -EINVAL;

	if (!d->tpm_pinned)
		return doctor_say(d, SKIPPED, DOCTOR_NO_TPM);
	u = unlockconf_new(&d->conf, &d->tpm, NULL, &e);
	if (u) {
		rc = there_and_back(d, u, &e);
		unlockconf_free(u);
	}
	if (rc)
		return doctor_say(d, BAD, "%s",
				  e.text[0] ? e.text : "there is no good randomness yet");
	return doctor_say(d, FINE, "a secret went to the TPM%s and came back",
			  d->conf.has_kms && !d->conf.kms_get ? " and the KMS" : "");
}

/* What verifiers need, and vTPMs do not: anyone who has the owner's authorization can
 * remove the key. */
enum finding doctor_attest(struct doctor *d)
{
	static const uint8_t extra[APPROVAL_HASH_SIZE];
	struct error e = {.cause = CAUSE_NONE};
	struct tpmquote quote;

	if (!d->tpm_pinned)
		return doctor_say(d, SKIPPED, DOCTOR_NO_TPM);
	if (tpmquote(&d->tpm, &d->conf, extra, sizeof(extra), &quote, &e))
		return doctor_say(d, d->conf.ak_handle ? BAD : WARN, "%s", e.text);
	return doctor_say(d, FINE, "the TPM's attestation key at 0x%08x quotes",
			  d->conf.ak_handle);
}

#define TOKEN_DAYS 7

/* It was renewed just now, and is at the next start of a vTPM: a host on which none starts for
 * longer loses it. */
static enum finding judge_token(struct doctor *d, int64_t left_s)
{
	long long days = (long long)(left_s / DAY), hours = (long long)(left_s / 3600);

	if (days >= TOKEN_DAYS)
		return doctor_say(
			d, FINE,
			"the KMS answers at %s; the token for it lasts %lld days "
			"after each use",
			d->conf.kms_address, days);
	return doctor_say(
		d, WARN,
		"the KMS answers at %s, and the token for it ends in %lld h unless a vTPM "
		"starts before: make one with `vault token create -period=768h`, then "
		"`vtpmctl host renew --kms-token FILE`",
		d->conf.kms_address, hours);
}

/* Each address by itself: the second one is needed when the first is away. */
enum finding doctor_kms(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	char away[ADDRESS_LIST];
	struct kms_token token = {0};

	if (!d->configured || !d->conf.has_kms)
		return doctor_say(d, SKIPPED, "no KMS");
	if (!d->tpm_pinned)
		return doctor_say(d, SKIPPED, "no TPM that opens the key for it");
	if (kmskey_try_sealed(&d->conf, &d->tpm, away, &token, &e))
		return doctor_say(d, BAD, "%s", e.text);
	if (away[0])
		return doctor_say(
			d, WARN,
			"%u of the KMS's %u addresses cannot be reached: %s; start it, or "
			"`vtpmctl host renew --kms` with those that there are",
			address_count(away), address_count(d->conf.kms_address), away);
	if (token.left_s > 0) {
		kmskey_tell(d->socket, &token);
		return judge_token(d, token.left_s);
	}
	return doctor_say(d, FINE, "the KMS answers at %s", d->conf.kms_address);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/kmstry.h"
#include "tools/vtpmctl/unlockconf.h"
#include "stubdom/manager/unlock_kms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

static const uint8_t aad[] = "xen-vtpm host init";

struct attempt {
	const struct kmskey *key; /* or, when it is NULL: */
	const struct hostconf *conf;
	struct tpm *tpm;
	const char *key_id;
};

static int with_key(const struct attempt *a, const char *address,
		    const uint8_t secret[KMS_SECRET_SIZE], uint8_t again[KMS_SECRET_SIZE],
		    struct error *e)
{
	const struct kms_config config = {
		.address = address,
		.ca_pem = a->key->ca_pem,
		.cert_pem = a->key->cert_pem,
		.key_pem = a->key->key_pem,
		.key_id = a->key_id,
	};
	struct tcp tcp = {.addresses = address};
	const struct kms_stream stream = tcp_stream(&tcp);
	struct kms_wrapped wrapped;
	int rc = kms_wrap(&config, &stream, aad, sizeof(aad), secret, &wrapped, e);

	return rc ? rc
		  : kms_unwrap(&config, &stream, aad, sizeof(aad), &wrapped, again, e);
}

static int with_sealed(const struct attempt *a, const char *address,
		       const uint8_t secret[KMS_SECRET_SIZE],
		       uint8_t again[KMS_SECRET_SIZE], struct error *e)
{
	struct hostconf one = *a->conf; /* what it points to is a->conf's */
	struct unlockconf *u = malloc(sizeof(*u));
	struct kms_wrapped wrapped;
	int rc;

	if (!u)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	one.kms_address = (char *)address;
	rc = unlockconf_fill(u, &one, a->tpm);
	if (rc)
		rc = error_set(e, rc, CAUSE_NOT_CONFIGURED, "host.json makes no sense");
	if (!rc)
		rc = unlock_kms_wrap(&u->config, &u->tpm, &u->kms, secret, &wrapped, e);
	if (!rc)
		rc = unlock_kms_unwrap(&u->config, &u->tpm, &u->kms, &wrapped, again, e);
	free(u);
	return rc;
}

static int try_one(const struct attempt *a, const char *address, struct error *e)
{
	uint8_t secret[KMS_SECRET_SIZE], again[KMS_SECRET_SIZE] = {0};
	int rc = tcp_check_name(address, e);

	if (rc)
		return rc;
	if (crypt_random(secret, sizeof(secret)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good randomness yet; try "
				 "again in a minute");
	rc = a->key ? with_key(a, address, secret, again, e)
		    : with_sealed(a, address, secret, again, e);
	if (!rc && CRYPTO_memcmp(secret, again, sizeof(secret)))
		rc = error_set(
			e, -EIO, CAUSE_KMS_REFUSED,
			"the KMS at %s decrypted to something else than it encrypted; "
			"do not use it",
			address);
	return rc;
}

static void pass_over(const char *address, const struct error *why, char *away)
{
	size_t used = away ? strlen(away) : 0;

	if (away)
		snprintf(away + used, ADDRESS_LIST - used, "%s%s", used ? "," : "",
			 address);
	else
		fprintf(stderr, "Warning: %s\n", why->text);
}

static int try_all(const struct attempt *a, const char *addresses, char *away,
		   struct error *e)
{
	unsigned int i, n = address_count(addresses), works = 0;
	char address[ADDRESS_MAX];
	struct error why;
	int rc = -EINVAL;

	if (away)
		away[0] = '\0';
	for (i = 0; i < n; i++) {
		why = (struct error){.cause = CAUSE_NONE};
		rc = address_nth(addresses, i, address);
		if (!rc)
			rc = try_one(a, address, &why);
		if (!rc)
			works++;
		else if (why.cause == CAUSE_KMS_UNREACHABLE && n > 1)
			pass_over(address, &why, away);
		else
			break;
	}
	if (i == n && works)
		return 0;
	if (i == n && n)
		return error_set(e, -EHOSTUNREACH, CAUSE_KMS_UNREACHABLE,
				 "none of the KMS's addresses is reachable: %s",
				 addresses);
	return error_set(e, rc, n ? why.cause : CAUSE_NOT_CONFIGURED, "%s",
			 n ? why.text : "the KMS has no usable address");
}

int kmstry_key(const char *addresses, const struct kmskey *k, const char *key_id,
	       struct error *e)
{
	const struct attempt a = {.key = k, .key_id = key_id};

	fprintf(stderr, "Trying the KMS at %s with key %s\n", addresses, key_id);
	return try_all(&a, addresses, NULL, e);
}

int kmstry_sealed(const struct hostconf *h, struct tpm *t, char away[ADDRESS_LIST],
		  struct error *e)
{
	const struct attempt a = {.conf = h, .tpm = t};

	return try_all(&a, h->kms_address, away, e);
}

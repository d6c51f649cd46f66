/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/policy.h"
#include "lib/text.h"
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EK_CERTIFICATE "2.23.133.8.1" /* tcg-kp-EKCertificate */
#define STRENGTH       2	      /* OpenSSL's: 112 bits, no SHA-1 */
#define HASH_MIN       28

/* All certificates of a PEM text: each is trusted.  NULL: no certificate, or one does not
 * parse. */
static X509_STORE *chain_store(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_STORE *store = X509_STORE_new();
	X509 *cert;
	int n = 0;

	while (bio && store && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	/* the end of the text is the only error that there may be */
	if (!n || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		X509_STORE_free(store);
		store = NULL;
	}
	ERR_clear_error();
	BIO_free(bio);
	return store;
}

/* A list that is no other's difference: OpenSSL takes a delta CRL (RFC 5280, 5.2.4) for
 * a complete one.  Nor does it judge the hash that a list is signed with. */
static bool is_usable(const X509_CRL *crl)
{
	int hash = NID_undef;
	const EVP_MD *md;

	if (!crl || X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0 ||
	    !OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &hash, NULL))
		return false;
	md = hash == NID_undef ? NULL : EVP_get_digestbynid(hash);
	return hash == NID_undef || (md && EVP_MD_get_size(md) >= HASH_MIN);
}

static int add_crl(X509_STORE *store, X509_CRL *crl)
{
	int added = is_usable(crl) ? X509_STORE_add_crl(store, crl) : 0;

	X509_CRL_free(crl);
	return added;
}

static int add_pem_crls(X509_STORE *store, BIO *bio)
{
	X509_CRL *crl;
	int n = 0;

	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		if (!add_crl(store, crl))
			return -EBADMSG;
		n++;
	}
	/* the end of the text is the only error that there may be */
	return n && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
		       ? 0
		       : -EBADMSG;
}

int chain_add_crls(X509_STORE *store, const uint8_t *bytes, size_t len)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	const unsigned char *p = bytes;
	X509_CRL *der = d2i_X509_CRL(NULL, &p, (long)len);
	int rc;

	ERR_clear_error();
	if (der)
		rc = add_crl(store, der) && p == bytes + len ? 0 : -EBADMSG;
	else
		rc = bio ? add_pem_crls(store, bio) : -EBADMSG;
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	ERR_clear_error();
	BIO_free(bio);
	return rc;
}

/* EK Credential Profile 2.5, 3.5.11: when there is a purpose, it has to be this one. */
static bool purpose_fits(X509 *cert)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	ASN1_OBJECT *wanted = OBJ_txt2obj(EK_CERTIFICATE, 1);
	bool fits = !usage;
	int i;

	for (i = 0; usage && wanted && i < sk_ASN1_OBJECT_num(usage); i++)
		if (!OBJ_cmp(sk_ASN1_OBJECT_value(usage, i), wanted))
			fits = true;
	EXTENDED_KEY_USAGE_free(usage);
	ASN1_OBJECT_free(wanted);
	return fits;
}

static int judge(int error, const char **why)
{
	*why = X509_verify_cert_error_string(error);
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return -EKEYEXPIRED;
	case X509_V_ERR_CERT_REVOKED:
		return -EKEYREVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
	case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
		return -ENODATA;
	default:
		return -ENOKEY;
	}
}

static int verify_policy(X509_STORE *store, time_t at, X509 *cert, const char **why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int rc = -ENOKEY;

	*why = "OpenSSL failed";
	if (!ctx || !X509_STORE_CTX_init(ctx, store, cert, NULL))
		goto out;
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, at);
	X509_VERIFY_PARAM_set_auth_level(param, STRENGTH);
	/* whatever the policy names is trusted, a root or not */
	X509_VERIFY_PARAM_set_flags(param,
				    X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT);
	rc = X509_verify_cert(ctx) == 1 ? 0 : judge(X509_STORE_CTX_get_error(ctx), why);
out:
	X509_STORE_CTX_free(ctx);
	return rc;
}

void chain_issuer(const uint8_t *der, size_t len, char *out, size_t room)
{
	const unsigned char *p = der;
	X509 *cert = d2i_X509(NULL, &p, (long)len);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long n = 0;

	if (cert && bio &&
	    X509_NAME_print_ex(bio, X509_get_issuer_name(cert), 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_get_mem_data(bio, &text);
	text_clean(out, room, n > 0 ? text : "?", n > 0 ? (size_t)n : 1);
	BIO_free(bio);
	ERR_clear_error();
	X509_free(cert);
}

int chain_check(X509_STORE *store, time_t at, const uint8_t *der, size_t len,
		const struct tpm2_key *key, const char **why)
{
	const unsigned char *p = der;
	X509 *cert = d2i_X509(NULL, &p, (long)len);
	EVP_PKEY *of = cert ? X509_get0_pubkey(cert) : NULL;
	int rc;

	*why = "it does not parse";
	if (!cert || p != der + len) {
		rc = -EBADMSG;
	} else if (!of || EVP_PKEY_eq(of, key->key) != 1) {
		*why = "it is another key's";
		rc = -EKEYREJECTED;
	} else if (!purpose_fits(cert)) {
		*why = "it is not for an endorsement key";
		rc = -EKEYREJECTED;
	} else {
		rc = verify_policy(store, at, cert, why);
	}
	ERR_clear_error();
	X509_free(cert);
	return rc;
}

#define HASH_SIZE 32

struct check {
	char *why;
	size_t size;
};

static int bad(const struct check *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int bad(const struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->why, c->size, fmt, args);
	va_end(args);
	return -EBADMSG;
}

/* NULL-terminated list of what may be there. */
static int only(const struct check *c, const json_t *object, const char *what,
		const char *const *known)
{
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(object))
		return bad(c, "%s has to be an object", what);
	json_object_foreach((json_t *)object, key, value)
	{
		for (i = 0; known[i] && strcmp(known[i], key) != 0; i++)
			;
		if (!known[i])
			return bad(c, "%s has a member \"%.40s\" that means nothing",
				   what, key);
	}
	return 0;
}

static bool is_hex(const json_t *value, size_t size)
{
	uint8_t bytes[TPM2_HASH_MAX + 2];
	size_t len = sizeof(bytes);

	return json_is_string(value) &&
	       !hex_decode(json_string_value(value), bytes, &len) &&
	       (len == size || (!size && len));
}

/* One hash, or an array of some; size 0: any. */
static int hashes(const struct check *c, const json_t *value, const char *what,
		  size_t size)
{
	const json_t *item;
	size_t i;

	if (is_hex(value, size))
		return 0;
	if (!json_array_size(value))
		return bad(c, "%s has to be hexadecimal, or a list of such", what);
	json_array_foreach(value, i, item) if (!is_hex(item, size)) return bad(
		c, "%s: item %zu is not hexadecimal of the right length", what, i + 1);
	return 0;
}

static bool is_pcr(const char *key)
{
	char same[16];

	snprintf(same, sizeof(same), "%lu", strtoul(key, NULL, 10));
	return !strcmp(same, key) && strtoul(key, NULL, 10) < TPM2_PCRS;
}

static int pcr_values(const struct check *c, const json_t *values, const char *what,
		      size_t size)
{
	const char *key;
	json_t *value;

	if (!json_object_size(values))
		return bad(c, "%s names no PCR", what);
	json_object_foreach((json_t *)values, key, value)
	{
		if (!is_pcr(key))
			return bad(c, "%s: \"%.40s\" is no PCR", what, key);
		if (hashes(c, value, what, size))
			return -EBADMSG;
	}
	return 0;
}

static int check_host(const struct check *c, const json_t *host)
{
	static const char *const known[] = {"name", "ak", "pcrs", "vtpms", NULL};
	const json_t *states = json_object_get(host, "pcrs"), *vtpms, *item;
	size_t i;

	if (only(c, host, "a host", known))
		return -EBADMSG;
	if (!json_is_string(json_object_get(host, "name")) ||
	    !is_hex(json_object_get(host, "ak"), 0))
		return bad(c, "a host needs \"name\" and \"ak\", the Name of its AK");
	if (!json_array_size(states))
		return bad(c, "a host needs \"pcrs\", a list of boot states");
	json_array_foreach(states, i, item) if (pcr_values(c, item, "a host's boot state",
							   HASH_SIZE)) return -EBADMSG;
	vtpms = json_object_get(host, "vtpms");
	json_array_foreach(vtpms, i, item) if (
		!json_is_string(item) ||
		json_string_length(item) !=
			36) return bad(c, "\"vtpms\" of a host is a list of uuids");
	return !vtpms || json_is_array(vtpms)
		       ? 0
		       : bad(c, "\"vtpms\" of a host is a list of uuids");
}

static int check_policy_image(const struct check *c, const json_t *image)
{
	static const char *const known[] = {"kernel", "manager", NULL};
	const json_t *kernel = json_object_get(image, "kernel");

	if (only(c, image, "an image", known))
		return -EBADMSG;
	if (!is_hex(json_object_get(image, "manager"), HASH_SIZE) ||
	    (kernel && !is_hex(kernel, HASH_SIZE)))
		return bad(c, "an image needs \"manager\" and \"kernel\", SHA-256 each");
	return 0;
}

static int check_each(const struct check *c, const json_t *array, const char *what,
		      int (*one)(const struct check *, const json_t *))
{
	const json_t *item;
	size_t i;

	if (!json_array_size(array))
		return bad(c, "\"%s\" has to be a list with something in it", what);
	json_array_foreach(array, i, item) if (one(c, item)) return -EBADMSG;
	return 0;
}

static int check_event(const struct check *c, const json_t *event)
{
	static const char *const known[] = {"name", "sha256", NULL};

	if (only(c, event, "an event", known))
		return -EBADMSG;
	if (!json_is_string(json_object_get(event, "name")))
		return bad(c, "an event needs a \"name\"");
	return hashes(c, json_object_get(event, "sha256"), "an event's \"sha256\"",
		      HASH_SIZE);
}

static int check_policy_events(const struct check *c, const json_t *events)
{
	const char *key;
	json_t *list;

	if (events && !json_object_size(events))
		return bad(c, "\"events\" has to be an object, by PCR");
	json_object_foreach((json_t *)events, key, list)
	{
		if (!is_pcr(key))
			return bad(c, "\"events\": \"%.40s\" is no PCR", key);
		if (check_each(c, list, "events", check_event))
			return -EBADMSG;
	}
	return 0;
}

static int check_pcrs(const struct check *c, const json_t *banks)
{
	const struct tpm2_hash *alg;
	const char *key;
	json_t *values;

	if (banks && !json_object_size(banks))
		return bad(c, "\"pcrs\" has to be an object, by bank");
	json_object_foreach((json_t *)banks, key, values)
	{
		alg = tpm2_hash_named(key);
		if (!alg)
			return bad(c, "\"pcrs\": \"%.40s\" is no bank", key);
		if (pcr_values(c, values, "\"pcrs\"", alg->size))
			return -EBADMSG;
	}
	return 0;
}

static bool is_image(const json_t *value)
{
	static const char name[] = "sha256:";
	const char *text = json_string_value(value);
	uint8_t hash[HASH_SIZE];
	size_t len = sizeof(hash);

	return text && !strncmp(text, name, strlen(name)) &&
	       !hex_decode(text + strlen(name), hash, &len) && len == HASH_SIZE;
}

/* "unbound", "sha256:..." or a list of such. */
static int check_firmware_image(const struct check *c, const json_t *image)
{
	const char *text = json_string_value(image);
	const json_t *item;
	size_t i;

	if (is_image(image) || (text && !strcmp(text, "unbound")))
		return 0;
	if (!json_array_size(image))
		return bad(c,
			   "\"firmware\" needs \"image\": a list of \"sha256:...\", or "
			   "\"unbound\" where any firmware will do");
	json_array_foreach(image, i, item) if (!is_image(item)) return bad(
		c, "\"image\": item %zu is not \"sha256:\" and 64 digits", i + 1);
	return 0;
}

static int check_policy_firmware(const struct check *c, const json_t *firmware)
{
	static const char *const known[] = {"image", "secure_boot", "variables", NULL};
	static const char *const names[] = {"PK", "KEK", "db", "dbx", NULL};
	const json_t *secure = json_object_get(firmware, "secure_boot");
	const json_t *variables = json_object_get(firmware, "variables");
	const char *key;
	json_t *value;

	if (!firmware)
		return 0;
	if (only(c, firmware, "\"firmware\"", known))
		return -EBADMSG;
	if (check_firmware_image(c, json_object_get(firmware, "image")))
		return -EBADMSG;
	if (secure && !json_is_boolean(secure))
		return bad(c, "\"secure_boot\" has to be true or false");
	if (variables && only(c, variables, "\"variables\"", names))
		return -EBADMSG;
	json_object_foreach(
		(json_t *)variables, key,
		value) if (hashes(c, value, "\"variables\"", HASH_SIZE)) return -EBADMSG;
	return 0;
}

static int check_policy_keys(const struct check *c, struct policy *p)
{
	const json_t *ca = json_object_get(p->all, "ek_ca");
	const json_t *eks = json_object_get(p->all, "eks");

	if (!ca && !eks)
		return bad(c, "it names no \"ek_ca\" and no \"eks\": every key would do");
	if (ca) {
		p->ca = json_is_string(ca) ? chain_store(json_string_value(ca)) : NULL;
		if (!p->ca)
			return bad(c, "\"ek_ca\" is no PEM text of certificates");
	}
	return eks ? hashes(c, eks, "\"eks\"", HASH_SIZE) : 0;
}

static int check_all(const struct check *c, struct policy *p)
{
	static const char *const known[] = {"version", "hosts",	   "images",
					    "ek_ca",   "eks",	   "pcrs",
					    "events",  "firmware", NULL};

	if (only(c, p->all, "it", known))
		return -EBADMSG;
	if (json_integer_value(json_object_get(p->all, "version")) != 1)
		return bad(c, "its \"version\" is not 1");
	if (check_each(c, json_object_get(p->all, "hosts"), "hosts", check_host) ||
	    check_each(c, json_object_get(p->all, "images"), "images",
		       check_policy_image))
		return -EBADMSG;
	if (check_policy_keys(c, p) || check_pcrs(c, json_object_get(p->all, "pcrs")))
		return -EBADMSG;
	if (check_policy_events(c, json_object_get(p->all, "events")))
		return -EBADMSG;
	return check_policy_firmware(c, json_object_get(p->all, "firmware"));
}

int policy_parse(const char *text, struct policy *p, char *why, size_t size)
{
	struct check c = {why, size};
	json_error_t e;
	int rc;

	*p = (struct policy){.all = json_loads(text, JSON_REJECT_DUPLICATES, &e)};
	rc = p->all ? check_all(&c, p) : bad(&c, "line %d: %s", e.line, e.text);
	if (rc)
		policy_free(p);
	return rc;
}

void policy_free(struct policy *p)
{
	json_decref(p->all);
	X509_STORE_free(p->ca);
	*p = (struct policy){0};
}

bool policy_has(const json_t *value, const uint8_t *bytes, size_t len)
{
	char hex[2 * (TPM2_HASH_MAX + 2) + 1];
	const json_t *item;
	size_t i;

	if (len > TPM2_HASH_MAX + 2)
		return false;
	hex_encode(bytes, len, hex);
	if (json_is_string(value))
		return !strcasecmp(json_string_value(value), hex);
	json_array_foreach(value, i, item) if (json_is_string(item) &&
					       !strcasecmp(json_string_value(item),
							   hex)) return true;
	return false;
}

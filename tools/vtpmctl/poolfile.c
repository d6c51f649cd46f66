/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/poolfile.h"
#include "lib/crypt.h"
#include "lib/text.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/policykey.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

int poolfile_load(struct poolfile *f, const char *config, const struct hostconf *h,
		  struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	int rc;

	memset(f, 0, sizeof(*f));
	if (file_beside(config, "pool", f->path, sizeof(f->path)))
		return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL, "%s is too long",
				 config);
	rc = file_read(f->path, &f->bytes, &f->len, &why);
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return error_set(e, rc, why.cause, "%s", why.text);
	rc = pool_open((const uint8_t *)f->bytes, f->len, h->policy_key,
		       sizeof(h->policy_key), &f->pool);
	if (!rc)
		return 0;
	poolfile_free(f);
	return error_set(e, rc, CAUSE_PEER,
			 "%s is not what this host's policy key signed: bring it back, "
			 "or remove it and `vtpmctl peer add` the hosts anew",
			 f->path);
}

int poolfile_take(struct poolfile *f, const char *hex, const struct hostconf *h)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = len <= POOL_MAX ? malloc(len + 1) : NULL;
	struct pool pool;
	int rc = bytes ? hex_decode(hex, bytes, &len) : -ENOMEM;

	if (!rc)
		rc = pool_open(bytes, len, h->policy_key, sizeof(h->policy_key), &pool);
	if (rc) {
		free(bytes);
		return rc;
	}
	poolfile_free(f);
	f->bytes = (char *)bytes;
	f->len = len;
	f->pool = pool;
	return 0;
}

bool poolfile_find(const struct poolfile *f, const char *name, struct pool_host *h)
{
	struct cursor c = f->pool.host;

	while (f->bytes && pool_next_host(&c, h))
		if (h->name.n == strlen(name) && !memcmp(h->name.p, name, h->name.n))
			return true;
	return false;
}

bool poolfile_is_own(const struct pool_host *h, const struct hostconf *conf)
{
	return h->srk.n == sizeof(conf->srk_name) &&
	       !memcmp(h->srk.p, conf->srk_name, h->srk.n);
}

bool poolfile_own(const struct poolfile *f, const struct hostconf *conf,
		  struct pool_host *h)
{
	struct cursor c = f->pool.host;

	while (f->bytes && pool_next_host(&c, h))
		if (poolfile_is_own(h, conf))
			return true;
	return false;
}

void poolfile_free(struct poolfile *f)
{
	free(f->bytes);
	f->bytes = NULL;
}

bool poolfile_has_srk(const struct poolfile *f, const uint8_t *name, size_t len)
{
	struct cursor c = f->pool.host;
	struct pool_host h;

	while (f->bytes && pool_next_host(&c, &h))
		if (h.srk.n == len && !memcmp(h.srk.p, name, len))
			return true;
	return false;
}

bool poolfile_is_name(const char *name)
{
	size_t n = strspn(name, NAME_CHARACTERS);

	return n && n <= POOL_NAME_MAX && !name[n] && isalnum((unsigned char)name[0]);
}

/* Without its port: a name or an IPv4 address, or an IPv6 address in brackets. */
static bool is_host_part(const char *host, size_t n)
{
	if (n > 2 && host[0] == '[' && host[n - 1] == ']')
		return strspn(host + 1, "0123456789abcdefABCDEF:.%" NAME_CHARACTERS) ==
		       n - 2;
	return n && strspn(host, NAME_CHARACTERS) == n;
}

bool poolfile_is_address(const char *address)
{
	const char *colon = strrchr(address, ':');
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
	long port = digits && digits <= 5 && !colon[1 + digits]
			    ? strtol(colon + 1, NULL, 10)
			    : 0;

	return port >= 1 && port <= 65535 && strlen(address) < ADDRESS_MAX &&
	       is_host_part(address, (size_t)(colon - address));
}

int poolfile_check_name(const char *name, struct error *e)
{
	if (poolfile_is_name(name))
		return 0;
	return error_set(
		e, -EINVAL, CAUSE_INTERNAL,
		"\"%s\" cannot be a host's name: give 1 to %d letters, digits, "
		"'_', '.' or '-', the first a letter or digit, as the common name "
		"in its certificate",
		name, POOL_NAME_MAX);
}

int poolfile_check_address(const char *address, struct error *e)
{
	if (poolfile_is_address(address))
		return 0;
	return error_set(
		e, -EINVAL, CAUSE_INTERNAL,
		"--address takes HOST:PORT, a name or an address, and a number of "
		"1 to 65535, as in beta:7771 or [2001:db8::1]:7771");
}

int poolfile_key(const char *path, const struct hostconf *h, EVP_PKEY **key,
		 struct error *e)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE];
	int rc = policykey_load(path, key, e);

	if (!rc && (policykey_public(*key, public) ||
		    memcmp(public, h->policy_key, sizeof(public))))
		rc = error_set(e, -EKEYREJECTED, CAUSE_INTERNAL,
			       "%s is not the policy key of this host; `vtpmctl host "
			       "show` tells that one's fingerprint",
			       path);
	return rc;
}

/* Also above that of a list that is not there any more: vtpmd takes none that is older. */
static uint64_t next_number(const struct poolfile *f)
{
	uint64_t last = f->bytes ? f->pool.number : 0;
	struct timespec now;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return ms > last ? ms : last + 1;
}

void poolfile_put_part(struct cursor *w, const void *p, size_t n)
{
	cursor_put_u16(w, (uint16_t)n);
	cursor_put(w, p, n);
}

void poolfile_put_same(struct cursor *w, const struct cursor *from,
		       const struct cursor *to)
{
	cursor_put(w, from->rd + from->pos, to->pos - from->pos);
}

void poolfile_begin(struct cursor *w, const struct poolfile *f, bool has_keys)
{
	const char *label = has_keys ? POOL_LABEL_KEYS : POOL_LABEL;

	poolfile_put_part(w, label, strlen(label));
	cursor_put_u64(w, next_number(f));
}

int poolfile_sign(const struct poolfile *f, uint8_t *out, struct cursor *w, EVP_PKEY *key,
		  const struct hostconf *h, struct error *e)
{
	const struct crypt_part part = {out, w->pos};
	uint8_t hash[CRYPT_HASH_SIZE], raw[APPROVAL_SIGNATURE_SIZE], one[TPM2_ECDSA_P256];
	struct cursor r = cursor_writer(raw, sizeof(raw));
	struct approval_signature s;
	struct pool check;
	int rc = cursor_ok(w) ? crypt_sha256(&part, 1, hash) : -EMSGSIZE;

	if (!rc)
		rc = policykey_sign_hash(key, hash, &s);
	if (!rc) {
		approval_put_signature(&r, &s);
		rc = tpm2_ecdsa_p256(raw, r.pos, one);
	}
	if (!rc) {
		cursor_put(w, one, sizeof(one));
		rc = cursor_ok(w) ? pool_open(out, w->pos, h->policy_key,
					      sizeof(h->policy_key), &check)
				  : -EMSGSIZE;
	}
	if (rc == -EMSGSIZE)
		return error_set(
			e, rc, CAUSE_INTERNAL,
			"the list of hosts would be longer than %d bytes: remove "
			"hosts (`vtpmctl peer remove`), or older keys (`vtpmctl "
			"pool publish --forget-keys`)",
			POOL_MAX);
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "the pool could not be signed: is the name, address or "
				 "policy key another one than it may be?");
	return file_write(f->path, 0600, true, (char *)out, w->pos, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/config.h"
#include "lib/atomic.h"
#include "lib/cursor.h"
#include "lib/hostconf.h"
#include "lib/slot/slot.h"
#include "lib/text.h"
#include "tools/vtpmd/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#define FILE_MAX (256 * 1024)

/* An address that the tunnel cannot use is found here, and not at a start. */
static int check_kms(const struct hostconf *h)
{
	unsigned int i, n = h->has_kms ? address_count(h->kms_address) : 0;
	char one[ADDRESS_MAX], host[256], port[256];

	if (!h->has_kms)
		return 0;
	for (i = 0; i < n; i++)
		if (address_nth(h->kms_address, i, one) || tunnel_split(one, host, port))
			return -EBADMSG;
	return n ? 0 : -EBADMSG;
}

/* Fills a zeroed one. */
static int parse_config(const char *text, struct config *c)
{
	struct cursor w;
	int rc = hostconf_parse(text, &c->host);

	if (rc)
		return rc;
	rc = check_kms(&c->host);
	if (rc)
		return rc;
	c->tlvs = malloc(CONFIG_TLVS_MAX);
	if (!c->tlvs)
		return -ENOMEM;
	w = cursor_writer(c->tlvs, CONFIG_TLVS_MAX);
	rc = hostconf_encode(&c->host, &w);
	c->len = w.pos;
	return rc;
}

/* The bytes of the file, as a text; the caller wipes and frees them. */
static int read_text(const char *path, char **text, size_t *len)
{
	uint8_t *bytes;
	char *longer;
	int rc = atomic_read(AT_FDCWD, path, FILE_MAX, &bytes, len);

	if (rc)
		return rc;
	longer = memchr(bytes, 0, *len) ? NULL : realloc(bytes, *len + 1);
	if (!longer) {
		OPENSSL_cleanse(bytes, *len);
		free(bytes);
		return -EBADMSG;
	}
	longer[*len] = '\0';
	*text = longer;
	return 0;
}

static int load_config(const char *path, struct config **out)
{
	struct config *c;
	char *text;
	size_t len;
	int rc = read_text(path, &text, &len);

	if (rc)
		return rc;
	c = calloc(1, sizeof(*c));
	rc = c ? parse_config(text, c) : -ENOMEM;
	OPENSSL_cleanse(text, len);
	free(text);
	if (c)
		c->users = 1;
	if (rc)
		config_put(c);
	else
		*out = c;
	return rc;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int config_get(struct config_file *f, const char *path, struct config **c,
	       struct error *e)
{
	struct stat now;
	int rc = stat(path, &now) ? -errno : 0;

	*c = NULL;
	if (rc || !f->last || !is_same_file(&now, &f->at)) {
		config_forget(f);
		rc = rc ? rc : load_config(path, &f->last);
		f->at = now;
	}
	if (rc == -ENOENT)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"This host is not set up for vTPMs (%s is missing): bring "
			"it back from a backup, or, on a new host, run `vtpmctl "
			"host init --kms kmip://HOST:PORT ...` first.",
			path);
	if (rc)
		return error_set(e, rc, CAUSE_NOT_CONFIGURED,
				 "%s is not what `vtpmctl host init` writes: run it "
				 "again.",
				 path);
	f->last->users++;
	*c = f->last;
	return 0;
}

void config_forget(struct config_file *f)
{
	config_put(f->last);
	f->last = NULL;
}

void config_put(struct config *c)
{
	if (!c || --c->users)
		return;
	hostconf_free(&c->host);
	if (c->tlvs)
		OPENSSL_cleanse(c->tlvs, c->len);
	free(c->tlvs);
	free(c);
}

const char *config_policy(const struct config *c)
{
	return c->host.has_kms && c->host.kms_get ? "host-get" : "host";
}

int config_makes(const struct config *c, const char *policy, struct error *e)
{
	const struct slot_kind *k = slot_kind_of_policy(policy);
	int rc = config_covers(c, policy, e);

	if (rc || !k || !k->has_kms || k->is_get == c->host.kms_get)
		return rc;
	if (k->is_get)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"The policy \"%s\" is for a KMS that only gives keys out, "
			"and this host's encrypts: leave --policy out, or set the "
			"host up with `vtpmctl host init --kms-mode get`.",
			policy);
	return error_set(
		e, -EINVAL, CAUSE_NOT_CONFIGURED,
		"This host's KMS only gives keys out (--kms-mode get), which the "
		"policy \"%s\" does not do with: choose --policy %s-get, or set "
		"the host up with a KMS that encrypts.",
		policy, policy);
}

int config_covers(const struct config *c, const char *policy, struct error *e)
{
	const struct slot_kind *k = slot_kind_of_policy(policy);

	if ((!k || k->has_kms) && !c->host.has_kms)
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "The policy \"%s\" needs a KMS and this host has none "
				 "configured: run `vtpmctl host init --kms "
				 "kmip://HOST:PORT ...`, or choose `--policy tpm`.",
				 policy);
	if ((!k || k->has_tpm) && !c->host.srk_handle)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"The policy \"%s\" needs the host's TPM and this host has "
			"none configured: run `vtpmctl host init` on a host with "
			"a TPM 2.0, or choose `--policy kms`.",
			policy);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/config.h"
#include "lib/atomic.h"
#include "lib/cursor.h"
#include "lib/hostconf.h"
#include "lib/text.h"
#include "tools/vtpmd/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#define FILE_MAX (256 * 1024)

static void describe_approvals(struct config *c, const struct hostconf *h)
{
	size_t i;

	for (i = 0; i < h->approval_count; i++) {
		struct config_approval *a = &c->approval[i];

		a->pcrs = h->approvals[i].pcrs;
		strcpy(a->label, h->notes[i].label);
		strcpy(a->at, h->notes[i].at);
	}
	c->approvals = (unsigned int)h->approval_count;
}

static int take_text(const char *text, char **out)
{
	*out = strdup(text);
	return *out ? 0 : -ENOMEM;
}

/* For vtpmd alone: no manager has to do with it. */
static int take_anchor(const struct hostconf *h, struct config *c)
{
	char name[2 * sizeof(h->anchor_name) + 1];

	if (!h->anchor_index)
		return 0;
	hex_encode(h->anchor_name, sizeof(h->anchor_name), name);
	memcpy(c->anchor_adopt, h->anchor_adopt, sizeof(c->anchor_adopt));
	c->anchor_take_store = h->anchor_take_store;
	return take_text(name, &c->anchor);
}

static int take_kms(const struct hostconf *h, struct config *c)
{
	unsigned int i, n = h->has_kms ? address_count(h->kms_address) : 0;
	char one[ADDRESS_MAX], host[256], port[256];
	int rc;

	if (!h->has_kms)
		return 0;
	for (i = 0; i < n; i++)
		if (address_nth(h->kms_address, i, one) || tunnel_split(one, host, port))
			return -EBADMSG;
	rc = n ? take_text(h->kms_address, &c->kms_address) : -EBADMSG;
	return rc ? rc : take_text(h->kms_cert, &c->kms_cert);
}

static int convert(const struct hostconf *h, struct config *c)
{
	struct cursor w;
	int rc = take_kms(h, c);

	if (!rc)
		rc = take_anchor(h, c);
	if (rc)
		return rc;
	c->srk_handle = h->srk_handle;
	describe_approvals(c, h);
	c->tlvs = malloc(CONFIG_TLVS_MAX);
	if (!c->tlvs)
		return -ENOMEM;
	w = cursor_writer(c->tlvs, CONFIG_TLVS_MAX);
	rc = hostconf_encode(h, &w);
	c->len = w.pos;
	return rc;
}

static int parse_text(const char *text, struct config *c)
{
	struct hostconf *h = malloc(sizeof(*h));
	int rc = h ? hostconf_parse(text, h) : -ENOMEM;

	if (!rc) {
		rc = convert(h, c);
		hostconf_free(h);
	}
	free(h);
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

int config_load(const char *path, struct config *c, struct error *e)
{
	char *text;
	size_t len;
	int rc = read_text(path, &text, &len);

	memset(c, 0, sizeof(*c));
	if (rc == -ENOENT)
		return error_set(
			e, rc, CAUSE_NOT_CONFIGURED,
			"This host is not set up for vTPMs (%s is missing): bring "
			"it back from a backup, or, on a new host, run `vtpmctl "
			"host init --kms kmip://HOST:PORT ...` first.",
			path);
	if (!rc) {
		rc = parse_text(text, c);
		OPENSSL_cleanse(text, len);
		free(text);
	}
	if (!rc)
		return 0;
	config_free(c);
	return error_set(e, rc, CAUSE_NOT_CONFIGURED,
			 "%s is not what `vtpmctl host init` writes: run it again.",
			 path);
}

int config_covers(const struct config *c, const char *policy, struct error *e)
{
	bool tpm = strcmp(policy, "kms") != 0, kms = strcmp(policy, "tpm") != 0;

	if (kms && !c->kms_address)
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "The policy \"%s\" needs a KMS and this host has none "
				 "configured: run `vtpmctl host init --kms "
				 "kmip://HOST:PORT ...`, or choose `--policy tpm`.",
				 policy);
	if (tpm && !c->srk_handle)
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"The policy \"%s\" needs the host's TPM and this host has "
			"none configured: run `vtpmctl host init` on a host with "
			"a TPM 2.0, or choose `--policy kms`.",
			policy);
	return 0;
}

void config_free(struct config *c)
{
	free(c->kms_address);
	free(c->kms_cert);
	free(c->anchor);
	if (c->tlvs)
		OPENSSL_cleanse(c->tlvs, c->len);
	free(c->tlvs);
	memset(c, 0, sizeof(*c));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/holder.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "lib/hex.h"
#include "lib/tpmpub.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *alg, *index;
} kinds[] = {
	{"rsa2048", "01c00002"},
	{"ecc-p256", "01c0000a"},
	{"ecc-p384", "01c00016"},
};

static EVP_PKEY *key_of(const json_t *ek)
{
	const char *hex = json_string_value(json_object_get(ek, "public"));
	uint8_t bytes[512];
	size_t len = sizeof(bytes);
	struct tpmpub p;

	if (!hex || hex_decode(hex, bytes, &len) || tpmpub_parse(bytes, len, &p))
		return NULL;
	return tpmpub_key(&p);
}

static void take(struct holder *h, const json_t *ek)
{
	const char *alg = json_string_value(json_object_get(ek, "alg"));
	struct holder_ek *at = &h->ek[h->eks];
	size_t i;

	for (i = 0; alg && h->eks < HOLDER_EKS && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].alg, alg))
			continue;
		at->alg = kinds[i].alg;
		at->index = kinds[i].index;
		at->key = key_of(ek);
		if (at->key)
			h->eks++;
	}
}

int holder_ask(struct holder *h, const char *socket, const char *name)
{
	const json_t *ek;
	size_t i;
	int status;

	memset(h, 0, sizeof(*h));
	status = client_call(socket, client_request("certificates", name), &h->reply);
	if (status)
		return status;
	json_array_foreach(json_object_get(h->reply, "ek"), i, ek) take(h, ek);
	if (h->eks)
		return VTPMCTL_OK;
	if (!strcmp(client_text(h->reply, "tpm"), "1.2"))
		fprintf(stderr,
			"vtpmctl: %s is a TPM 1.2, which has no such certificates; for "
			"them, give its guest a TPM 2.0 (`vtpmctl create`)\n",
			name);
	else
		fprintf(stderr,
			"vtpmctl: the endorsement keys of %s are not known yet: start it once "
			"(`vtpmctl start %s`), without a password of the endorsement hierarchy\n",
			name, name);
	holder_free(h);
	return VTPMCTL_FAILED;
}

void holder_free(struct holder *h)
{
	unsigned int i;

	for (i = 0; i < h->eks; i++)
		EVP_PKEY_free(h->ek[i].key);
	json_decref(h->reply);
	memset(h, 0, sizeof(*h));
}

int holder_install(const char *socket, const char *name, json_t *certs)
{
	json_t *reply, *request = client_request("certify", name);
	int status;

	if (request)
		json_object_set_new(request, "certificates", certs);
	else
		json_decref(certs);
	status = client_call(socket, request, &reply);
	if (!status)
		json_decref(reply);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile Vault, or who sits in its place, answers: HTTP, and JSON in it. */
#include "lib/httpread.h"
#include "lib/jsonread.h"
#include "lib/vault.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const struct jsonread *v, const char *text, size_t len)
{
	if (v->text < text || v->text > text + len ||
	    v->len > (size_t)(text + len - v->text))
		abort();
}

static void fuzz_json(const char *text, size_t len)
{
	static const char *const paths[] = {"data.ciphertext",	 "data.type", "errors.0",
					    "auth.client_token", "data",      "data.ttl"};
	struct jsonread v;
	char out[100];
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!jsonread_find(text, len, paths[i], &v))
			inside(&v, text, len);
		if (!jsonread_text(text, len, paths[i], out, sizeof(out)) &&
		    (!out[0] || strlen(out) >= sizeof(out)))
			abort();
	}
}

/* Whether it comes at once or in two pieces, it is the same. */
static void fuzz_http(const uint8_t *data, size_t size)
{
	uint8_t *all = malloc(size + 1), *part = malloc(size + 1);
	struct httpread r, again;
	int rc;

	memcpy(all, data, size);
	memcpy(part, data, size);
	rc = httpread_parse(all, size, &r);
	if (rc == 1) {
		if (r.body < all || r.body_len > size - (size_t)(r.body - all))
			abort();
		if (size && httpread_parse(part, size - 1, &again) == 1)
			abort();
		fuzz_json((const char *)r.body, r.body_len);
	} else if (!rc && size >= HTTPREAD_MAX) {
		abort();
	}
	free(part);
	free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kms_wrapped w;
	char *text = malloc(size + 1);

	fuzz_http(data, size);
	fuzz_json((const char *)data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	if (!vault_ciphertext_parse(text, "transit/web", &w)) {
		char again[VAULT_CIPHERTEXT_MAX];

		if (vault_ciphertext_print(&w, "transit/web", again) ||
		    strcmp(text, again))
			abort();
	}
	free(text);
	return 0;
}

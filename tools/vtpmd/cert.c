/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/vtpm.h"
#include "lib/channel.h"
#include "lib/text.h"
#include "lib/tpm2/marshal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERT_MAX 2048 /* the largest NV index of libtpms */

static void cert_file_name(size_t slot, char name[32])
{
	snprintf(name, 32, "cert-%s.der", tpm2_certs[slot].hex);
}

static int get(struct store *s, size_t slot, uint8_t **der, size_t *len)
{
	char name[32];

	cert_file_name(slot, name);
	return s->ops->get(s, name, CERT_MAX, der, len);
}

/* A SEQUENCE of just this length, X.690, 8.1.3.5; no certificate has less than 256 bytes */
static bool is_der(const uint8_t *der, size_t len)
{
	struct cursor c = cursor_reader(der, len);

	return cursor_u8(&c) == 0x30 && cursor_u8(&c) == 0x82 &&
	       cursor_u16(&c) == cursor_left(&c) && cursor_left(&c);
}

static int slot_of(const char *word)
{
	size_t i;

	for (i = 0; i < TPM2_CERTS; i++)
		if (!strcmp(tpm2_certs[i].hex, word))
			return (int)i;
	return -1;
}

json_t *cert_show(struct store *s)
{
	char hex[2 * CERT_MAX + 1];
	json_t *all = json_object();
	uint8_t *der;
	size_t i, len;

	for (i = 0; i < TPM2_CERTS; i++) {
		if (get(s, i, &der, &len))
			continue;
		hex_encode(der, len, hex);
		free(der);
		if (json_object_set_new(all, tpm2_certs[i].hex, json_string(hex))) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

json_t *cert_list(struct store *s)
{
	json_t *all = cert_show(s), *array = json_array(), *value;
	const char *word;

	json_object_foreach(all, word, value)
		json_array_append_new(array, json_string(word));
	json_decref(all);
	return array;
}

static int put_cert(struct store *s, const char *word, const json_t *value, bool check)
{
	const char *hex = json_string_value(value);
	uint8_t der[CERT_MAX];
	size_t len = sizeof(der);
	int slot = slot_of(word);
	char name[32];

	if (slot < 0 || !hex || hex_decode(hex, der, &len) || !is_der(der, len))
		return -EINVAL;
	cert_file_name((size_t)slot, name);
	return check ? 0 : store_set(s, name, der, len);
}

int cert_take(struct store *s, const json_t *certs)
{
	const char *word;
	json_t *value;
	int rc = 0;

	if (certs && !json_is_object(certs))
		return -EINVAL;
	json_object_foreach((json_t *)certs, word, value)
	{
		rc = put_cert(s, word, value, true);
		if (rc)
			return rc;
	}
	json_object_foreach((json_t *)certs, word, value)
	{
		rc = put_cert(s, word, value, false);
		if (rc)
			return rc;
	}
	return 0;
}

int cert_copy(struct store *s, struct store *from)
{
	json_t *all = cert_show(from);
	int rc = all ? cert_take(s, all) : -ENOMEM;

	json_decref(all);
	return rc;
}

unsigned int cert_count(struct store *s)
{
	json_t *all = cert_show(s);
	size_t n = json_object_size(all);

	json_decref(all);
	return (unsigned int)n;
}

void cert_put_config(struct store *s, struct cursor *out)
{
	uint8_t *der;
	size_t i, len;

	for (i = 0; i < TPM2_CERTS; i++) {
		if (get(s, i, &der, &len))
			continue;
		cursor_put_u16(out, CONFIG_CERTIFICATE);
		cursor_put_u32(out, (uint32_t)(4 + len));
		cursor_put_u32(out, tpm2_certs[i].index);
		cursor_put(out, der, len);
		free(der);
	}
}

/* "01c00002 01c0000a" */
static void list(const json_t *certs, char *text, size_t room)
{
	const char *word;
	json_t *value;

	text[0] = 0;
	json_object_foreach((json_t *)certs, word, value)
		snprintf(text + strlen(text), room - strlen(text), "%s%s",
			 text[0] ? " " : "", word);
}

int cert_install(struct vtpm *v, const json_t *certs, struct error *e)
{
	int rc = json_object_size(certs) ? cert_take(&v->store, certs) : -EINVAL;
	char what[64];

	if (rc == -EINVAL)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "That is no certificate that a TPM has a place for: at "
				 "most %d bytes of DER.",
				 CERT_MAX);
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The certificates of %s could not be stored: %s; see its disk's space and permissions.",
			v->meta.name, strerror(-rc));
	list(certs, what, sizeof(what));
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "has new certificates: %s", what);
	vtpm_audit(v, "certify", what);
	if (vtpm_hears(v))
		peer_event(v->peer, CHANNEL_EVENT_IDENTITY);
	return 0;
}

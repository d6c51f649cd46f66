/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/policy.h"
#include "lib/hex.h"
#include "tools/vtpm-verify/chain.h"
#include "tools/vtpm-verify/quote.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	uint8_t bytes[TPMALG_SIZE_MAX + 2];
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
	return !strcmp(same, key) && strtoul(key, NULL, 10) < QUOTE_PCRS;
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

static int check_image(const struct check *c, const json_t *image)
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

static int check_events(const struct check *c, const json_t *events)
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
	const struct tpmalg *alg;
	const char *key;
	json_t *values;

	if (banks && !json_object_size(banks))
		return bad(c, "\"pcrs\" has to be an object, by bank");
	json_object_foreach((json_t *)banks, key, values)
	{
		alg = tpmalg_named(key);
		if (!alg)
			return bad(c, "\"pcrs\": \"%.40s\" is no bank", key);
		if (pcr_values(c, values, "\"pcrs\"", alg->size))
			return -EBADMSG;
	}
	return 0;
}

static int check_keys(const struct check *c, struct policy *p)
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
	static const char *const known[] = {"version", "hosts", "images", "ek_ca",
					    "eks",     "pcrs",	"events", NULL};

	if (only(c, p->all, "it", known))
		return -EBADMSG;
	if (json_integer_value(json_object_get(p->all, "version")) != 1)
		return bad(c, "its \"version\" is not 1");
	if (check_each(c, json_object_get(p->all, "hosts"), "hosts", check_host) ||
	    check_each(c, json_object_get(p->all, "images"), "images", check_image))
		return -EBADMSG;
	if (check_keys(c, p) || check_pcrs(c, json_object_get(p->all, "pcrs")))
		return -EBADMSG;
	return check_events(c, json_object_get(p->all, "events"));
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
	char hex[2 * (TPMALG_SIZE_MAX + 2) + 1];
	const json_t *item;
	size_t i;

	if (len > TPMALG_SIZE_MAX + 2)
		return false;
	hex_encode(bytes, len, hex);
	if (json_is_string(value))
		return !strcasecmp(json_string_value(value), hex);
	json_array_foreach(value, i, item) if (json_is_string(item) &&
					       !strcasecmp(json_string_value(item),
							   hex)) return true;
	return false;
}

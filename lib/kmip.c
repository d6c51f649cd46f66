/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/kmip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* KMIP 1.4, 9.1.3.1 */
enum tag {
	ATTRIBUTE = 0x420008,
	ATTRIBUTE_NAME = 0x42000a,
	ATTRIBUTE_VALUE = 0x42000b,
	BATCH_COUNT = 0x42000d,
	BATCH_ITEM = 0x42000f,
	BLOCK_CIPHER_MODE = 0x420011,
	CRYPTOGRAPHIC_ALGORITHM = 0x420028,
	CRYPTOGRAPHIC_PARAMETERS = 0x42002b,
	CRYPTOGRAPHIC_LENGTH = 0x42002a,
	IV_COUNTER_NONCE = 0x42003d,
	KEY_BLOCK = 0x420040,
	KEY_FORMAT_TYPE = 0x420042,
	KEY_MATERIAL = 0x420043,
	KEY_VALUE = 0x420045,
	KEY_WRAPPING_DATA = 0x420046,
	OBJECT_TYPE = 0x420057,
	OPERATION = 0x42005c,
	PROTOCOL_VERSION = 0x420069,
	PROTOCOL_VERSION_MAJOR = 0x42006a,
	PROTOCOL_VERSION_MINOR = 0x42006b,
	REQUEST_HEADER = 0x420077,
	REQUEST_MESSAGE = 0x420078,
	REQUEST_PAYLOAD = 0x420079,
	RESPONSE_HEADER = 0x42007a,
	RESPONSE_MESSAGE = 0x42007b,
	RESPONSE_PAYLOAD = 0x42007c,
	RESULT_MESSAGE = 0x42007d,
	RESULT_REASON = 0x42007e,
	RESULT_STATUS = 0x42007f,
	SYMMETRIC_KEY = 0x42008f,
	UNIQUE_IDENTIFIER = 0x420094,
	DATA = 0x4200c2,
	TAG_LENGTH = 0x4200ce,
	AUTHENTICATED_DATA = 0x4200fe,
	AUTHENTICATED_TAG = 0x4200ff,
};

enum { MODE_GCM = 9 };

/* KMIP 1.4, 9.1.3.2.29 */
enum reason {
	ITEM_NOT_FOUND = 0x01,
	AUTHENTICATION_NOT_SUCCESSFUL = 0x03,
	ILLEGAL_OPERATION = 0x0b,
	PERMISSION_DENIED = 0x0c,
	OBJECT_ARCHIVED = 0x0d,
};

static void put_header(struct cursor *c)
{
	size_t header = ttlv_begin(c, REQUEST_HEADER);
	size_t version = ttlv_begin(c, PROTOCOL_VERSION);

	ttlv_put_u32(c, PROTOCOL_VERSION_MAJOR, TTLV_INT, 1);
	ttlv_put_u32(c, PROTOCOL_VERSION_MINOR, TTLV_INT, 4);
	ttlv_end(c, version);
	ttlv_put_u32(c, BATCH_COUNT, TTLV_INT, 1);
	ttlv_end(c, header);
}

static void put_parameters(struct cursor *c)
{
	size_t mark = ttlv_begin(c, CRYPTOGRAPHIC_PARAMETERS);

	ttlv_put_u32(c, BLOCK_CIPHER_MODE, TTLV_ENUM, MODE_GCM);
	ttlv_put_u32(c, CRYPTOGRAPHIC_ALGORITHM, TTLV_ENUM, KMIP_ALGORITHM_AES);
	ttlv_put_u32(c, TAG_LENGTH, TTLV_INT, KMIP_TAG_SIZE);
	ttlv_end(c, mark);
}

/* KMIP 1.4, 3: those that tell whether a key is one that we can use. */
static const struct attribute {
	uint8_t name[32];
	size_t len;
	enum ttlv_type type;
} attributes[] = {
#define NAME(name) name, sizeof(name) - 1
	{NAME("Object Type"), TTLV_ENUM},
	{NAME("Cryptographic Algorithm"), TTLV_ENUM},
	{NAME("Cryptographic Length"), TTLV_INT},
	{NAME("Cryptographic Usage Mask"), TTLV_INT},
	{NAME("State"), TTLV_ENUM},
#undef NAME
};

static void put_attribute_names(struct cursor *c)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attributes); i++)
		ttlv_put(c, ATTRIBUTE_NAME, TTLV_TEXT, attributes[i].name,
			 attributes[i].len);
}

static void put_cipher(struct cursor *c, const struct kmip_request *rq)
{
	put_parameters(c);
	ttlv_put(c, DATA, TTLV_BYTES, rq->data, rq->data_len);
	ttlv_put(c, IV_COUNTER_NONCE, TTLV_BYTES, rq->iv, rq->iv_len);
	ttlv_put(c, AUTHENTICATED_DATA, TTLV_BYTES, rq->aad, rq->aad_len);
	if (rq->operation == KMIP_DECRYPT)
		ttlv_put(c, AUTHENTICATED_TAG, TTLV_BYTES, rq->tag, KMIP_TAG_SIZE);
}

int kmip_encode(const struct kmip_request *rq, uint8_t *out, size_t *len)
{
	struct cursor c = cursor_writer(out, *len);
	size_t message = ttlv_begin(&c, REQUEST_MESSAGE);
	size_t item, payload;

	put_header(&c);
	item = ttlv_begin(&c, BATCH_ITEM);
	ttlv_put_u32(&c, OPERATION, TTLV_ENUM, rq->operation);
	payload = ttlv_begin(&c, REQUEST_PAYLOAD);
	ttlv_put(&c, UNIQUE_IDENTIFIER, TTLV_TEXT, rq->key_id, strlen(rq->key_id));
	if (rq->operation == KMIP_GET_ATTRIBUTES)
		put_attribute_names(&c);
	else if (rq->operation != KMIP_GET)
		put_cipher(&c, rq);
	ttlv_end(&c, payload);
	ttlv_end(&c, item);
	ttlv_end(&c, message);
	if (!cursor_ok(&c))
		return -ENOSPC;
	*len = c.pos;
	return 0;
}

/* A server's text goes to consoles and logs: nothing but printable ASCII. */
/*@ requires room > 0 && \valid(out + (0 .. room - 1)) && \valid_read(text + (0 .. len - 1));
    requires \separated(out + (0 .. room - 1), text + (0 .. len - 1));
    assigns out[0 .. room - 1];
    ensures kmip_is_printable(out, room); */
static void copy_printable(char *out, size_t room, const uint8_t *text, size_t len)
{
	size_t i;

	/*@ loop invariant i <= len && i < room;
	    loop invariant \forall integer j; 0 <= j < i ==> ' ' <= out[j] <= '~';
	    loop assigns i, out[0 .. room - 1];
	    loop variant len - i; */
	for (i = 0; i < len && i + 1 < room; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? (char)text[i] : '?';
	out[i] = '\0';
}

/* KMIP 1.4, 7.2; a refusal may come in an older version than was asked. */
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c); */
static void parse_kmip_header(struct cursor *c)
{
	bool versioned = false, counted = false;
	struct ttlv item, part;

	/*@ loop invariant cursor_holds(c);
	    loop assigns c->pos, c->bad, item, part, versioned, counted;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item)) {
		if (item.tag == BATCH_COUNT) {
			if (counted || ttlv_u32(c, &item, TTLV_INT) != 1)
				cursor_fail(c);
			counted = true;
		} else if (item.tag == PROTOCOL_VERSION) {
			if (versioned || item.type != TTLV_STRUCT)
				cursor_fail(c);
			/*@ loop invariant ttlv_holds(c, &item);
			    loop assigns c->bad, item.value.pos, item.value.bad, part, versioned;
			    loop variant item.value.len - item.value.pos; */
			while (ttlv_next(&item.value, &part))
				if (part.tag == PROTOCOL_VERSION_MAJOR)
					versioned = ttlv_u32(c, &part, TTLV_INT) == 1;
		}
	}
	if (!versioned || !counted)
		cursor_fail(c);
}

/* Takes a byte string that must not come twice. */
/*@ requires ttlv_holds(c, item) && \valid(p) && \valid(len);
    requires \separated(p, len, c, item);
    assigns c->bad, item->value.pos, item->value.bad, *p, *len;
    ensures ttlv_holds(c, item) && ttlv_lies_in(&item->value, *p, *len);
    ensures \old(c->bad) || \old(*p) != \null || item->type != type ==> c->bad; */
static void take_kmip(struct cursor *c, struct ttlv *item, enum ttlv_type type,
		      const uint8_t **p, size_t *len)
{
	if (*p)
		cursor_fail(c);
	*p = ttlv_data(c, item, type, len);
}

/* Returns which of attributes[] has this name, or their number. */
/*@ requires \valid_read(name + (0 .. len - 1));
    assigns \nothing;
    ensures \result <= ARRAY_SIZE(attributes); */
static size_t find_attribute(const uint8_t *name, size_t len)
{
	size_t i;

	/*@ loop invariant i <= ARRAY_SIZE(attributes);
	    loop assigns i;
	    loop variant ARRAY_SIZE(attributes) - i; */
	for (i = 0; name && i < ARRAY_SIZE(attributes); i++)
		if (len == attributes[i].len && !memcmp(name, attributes[i].name, len))
			return i;
	return ARRAY_SIZE(attributes);
}

/* KMIP 1.4, 2.1.1: a name, an index, a value of the type that the name tells.  One that
 * stands there twice is refused: which of the two holds is not said. */
/*@ requires cursor_holds(c) && \valid(a) && \separated(a, c);
    assigns c->pos, c->bad, *a;
    ensures cursor_holds(c); */
static void parse_attribute(struct cursor *c, struct kmip_attributes *a)
{
	/* in the order of attributes[] */
	uint32_t *const places[] = {&a->object_type, &a->algorithm, &a->length,
				    &a->usage_mask, &a->state};
	enum ttlv_type type = TTLV_STRUCT;
	const uint8_t *name = NULL;
	bool has_value = false;
	size_t len = 0, which;
	uint32_t value = 0;
	struct ttlv item;

	_Static_assert(ARRAY_SIZE(places) == ARRAY_SIZE(attributes), "a place each");
	/*@ loop invariant cursor_holds(c) && ttlv_lies_in(c, name, len);
	    loop assigns c->pos, c->bad, item, type, has_value, value, name, len;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item)) {
		if (item.tag == ATTRIBUTE_NAME) {
			take_kmip(c, &item, TTLV_TEXT, &name, &len);
		} else if (item.tag == ATTRIBUTE_VALUE) {
			if (has_value)
				cursor_fail(c);
			has_value = true;
			type = item.type;
			if (type == TTLV_INT || type == TTLV_ENUM)
				value = ttlv_u32(c, &item, type);
		}
	}
	which = find_attribute(name, len);
	if (!cursor_ok(c) || which == ARRAY_SIZE(attributes) || !has_value)
		return;
	if (type != attributes[which].type || *places[which])
		cursor_fail(c);
	else
		*places[which] = value;
}

/* Takes what stands once, or not at all. */
/*@ requires ttlv_holds(c, item) && \valid(to) && \separated(to, c, item);
    assigns c->bad, item->value.pos, item->value.bad, *to;
    ensures ttlv_holds(c, item);
    ensures \old(c->bad) || \old(*to) != 0 || item->type != type ==> c->bad; */
static void take_once(struct cursor *c, struct ttlv *item, enum ttlv_type type,
		      uint32_t *to)
{
	if (*to)
		cursor_fail(c);
	*to = ttlv_u32(c, item, type);
}

/* Ends a structure within another: a malformed one makes the whole bad. */
/*@ requires ttlv_holds(c, part);
    assigns c->bad;
    ensures ttlv_holds(c, part);
    ensures \old(c->bad) || part->value.bad || part->type != TTLV_STRUCT ==> c->bad; */
static void end_part(struct cursor *c, struct ttlv *part)
{
	if (part->type != TTLV_STRUCT || !cursor_ok(&part->value))
		cursor_fail(c);
}

/* KMIP 1.4, 2.1.4: of a key that is not wrapped, a structure with the material. */
/*@ requires cursor_holds(c) && \valid(rsp) && \separated(rsp, c);
    assigns c->pos, c->bad, rsp->data, rsp->data_len;
    ensures cursor_holds(c); */
static void parse_key_value(struct cursor *c, struct kmip_response *rsp)
{
	struct ttlv item;

	/*@ loop invariant cursor_holds(c);
	    loop assigns c->pos, c->bad, item, rsp->data, rsp->data_len;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item))
		if (item.tag == KEY_MATERIAL && item.type == TTLV_BYTES)
			take_kmip(c, &item, TTLV_BYTES, &rsp->data, &rsp->data_len);
}

/*@ requires ttlv_holds(c, item) && \valid(rsp) && \separated(rsp, c, item);
    assigns c->bad, item->value.pos, item->value.bad;
    assigns rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
    assigns rsp->attributes.algorithm, rsp->attributes.length;
    ensures ttlv_holds(c, item); */
static void take_block_item(struct cursor *c, struct ttlv *item,
			    struct kmip_response *rsp)
{
	if (item->tag == KEY_FORMAT_TYPE) {
		take_once(c, item, TTLV_ENUM, &rsp->format);
	} else if (item->tag == CRYPTOGRAPHIC_ALGORITHM) {
		take_once(c, item, TTLV_ENUM, &rsp->attributes.algorithm);
	} else if (item->tag == CRYPTOGRAPHIC_LENGTH) {
		take_once(c, item, TTLV_INT, &rsp->attributes.length);
	} else if (item->tag == KEY_VALUE && item->type == TTLV_STRUCT) {
		parse_key_value(&item->value, rsp);
		end_part(c, item);
	} else if (item->tag == KEY_VALUE || item->tag == KEY_WRAPPING_DATA) {
		rsp->is_wrapped = true;
	}
}

/* KMIP 1.4, 2.1.3 */
/*@ requires cursor_holds(c) && \valid(rsp) && \separated(rsp, c);
    assigns c->pos, c->bad, rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
    assigns rsp->attributes.algorithm, rsp->attributes.length;
    ensures cursor_holds(c); */
static void parse_key_block(struct cursor *c, struct kmip_response *rsp)
{
	struct ttlv item;

	/*@ loop invariant cursor_holds(c);
	    loop assigns c->pos, c->bad, item;
	    loop assigns rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
	    loop assigns rsp->attributes.algorithm, rsp->attributes.length;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item))
		take_block_item(c, &item, rsp);
}

/* KMIP 1.4, 2.2.2: a key block, alone. */
/*@ requires cursor_holds(c) && \valid(rsp) && \separated(rsp, c);
    assigns c->pos, c->bad, rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
    assigns rsp->attributes.algorithm, rsp->attributes.length;
    ensures cursor_holds(c); */
static void parse_key(struct cursor *c, struct kmip_response *rsp)
{
	struct ttlv block;

	if (rsp->data || !ttlv_next(c, &block) || block.tag != KEY_BLOCK ||
	    cursor_left(c)) {
		cursor_fail(c);
		return;
	}
	parse_key_block(&block.value, rsp);
	end_part(c, &block);
}

/*@ requires ttlv_holds(c, item) && \valid(rsp) && \separated(rsp, c, item);
    assigns c->bad, item->value.pos, item->value.bad;
    assigns rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
    assigns rsp->attributes, rsp->key_id, rsp->key_id_len, rsp->tag, rsp->tag_len;
    ensures ttlv_holds(c, item); */
static void take_payload_item(struct cursor *c, struct ttlv *item,
			      struct kmip_response *rsp)
{
	if (item->tag == ATTRIBUTE) {
		parse_attribute(&item->value, &rsp->attributes);
		end_part(c, item);
	} else if (item->tag == OBJECT_TYPE) {
		take_once(c, item, TTLV_ENUM, &rsp->attributes.object_type);
	} else if (item->tag == SYMMETRIC_KEY) {
		parse_key(&item->value, rsp);
		end_part(c, item);
	} else if (item->tag == UNIQUE_IDENTIFIER) {
		take_kmip(c, item, TTLV_TEXT, &rsp->key_id, &rsp->key_id_len);
	} else if (item->tag == DATA) {
		take_kmip(c, item, TTLV_BYTES, &rsp->data, &rsp->data_len);
	} else if (item->tag == AUTHENTICATED_TAG) {
		take_kmip(c, item, TTLV_BYTES, &rsp->tag, &rsp->tag_len);
	}
}

/*@ requires cursor_holds(c) && \valid(rsp) && \separated(rsp, c);
    assigns c->pos, c->bad, rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
    assigns rsp->attributes, rsp->key_id, rsp->key_id_len, rsp->tag, rsp->tag_len;
    ensures cursor_holds(c); */
static void parse_payload(struct cursor *c, struct kmip_response *rsp)
{
	struct ttlv item;

	/*@ loop invariant cursor_holds(c);
	    loop assigns c->pos, c->bad, item;
	    loop assigns rsp->is_wrapped, rsp->data, rsp->data_len, rsp->format;
	    loop assigns rsp->attributes, rsp->key_id, rsp->key_id_len;
	    loop assigns rsp->tag, rsp->tag_len;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item))
		take_payload_item(c, &item, rsp);
}

/* KMIP 1.4, 7.2: what the server did of an operation. */
/*@ requires cursor_holds(c) && \valid(rsp);
    requires \separated(rsp, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *rsp;
    ensures cursor_holds(c);
    ensures kmip_is_printable(&rsp->message[0], sizeof(rsp->message)); */
static void parse_item(struct cursor *c, struct kmip_response *rsp)
{
	const uint8_t *text = NULL;
	bool status = false;
	struct ttlv item;
	size_t len = 0;

	/*@ loop invariant cursor_holds(c) && ttlv_lies_in(c, text, len);
	    loop assigns c->pos, c->bad, item, status, text, len, *rsp;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item)) {
		/*@ assert ttlv_lies_in(c, text, len); */
		if (item.tag == OPERATION) {
			rsp->operation = ttlv_u32(c, &item, TTLV_ENUM);
		} else if (item.tag == RESULT_STATUS) {
			if (status)
				cursor_fail(c);
			rsp->status = ttlv_u32(c, &item, TTLV_ENUM);
			status = true;
		} else if (item.tag == RESULT_REASON) {
			rsp->reason = ttlv_u32(c, &item, TTLV_ENUM);
		} else if (item.tag == RESULT_MESSAGE) {
			/*@ assert ttlv_lies_in(c, item.value.rd, item.value.len); */
			take_kmip(c, &item, TTLV_TEXT, &text, &len);
		} else if (item.tag == RESPONSE_PAYLOAD) {
			parse_payload(&item.value, rsp);
			end_part(c, &item);
		}
	}
	copy_printable(rsp->message, sizeof(rsp->message), text, len);
	if (!status)
		cursor_fail(c);
}

/* KMIP 1.4, 7.1: a header, and one batch item. */
/*@ requires cursor_holds(c) && \valid(rsp);
    requires \separated(rsp, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *rsp;
    ensures cursor_holds(c);
    ensures c->bad || kmip_is_printable(&rsp->message[0], sizeof(rsp->message)); */
static void parse_message(struct cursor *c, struct kmip_response *rsp)
{
	struct ttlv header, item;

	if (!ttlv_next(c, &header) || header.tag != RESPONSE_HEADER) {
		cursor_fail(c);
		return;
	}
	parse_kmip_header(&header.value);
	end_part(c, &header);
	if (!ttlv_next(c, &item) || item.tag != BATCH_ITEM || cursor_left(c)) {
		cursor_fail(c);
		return;
	}
	parse_item(&item.value, rsp);
	end_part(c, &item);
}

int kmip_parse(const uint8_t *buf, size_t len, struct kmip_response *rsp)
{
	struct cursor c = cursor_reader(buf, len);
	struct ttlv message;

	memset(rsp, 0, sizeof(*rsp));
	if (len > KMIP_MESSAGE_MAX || !ttlv_check(buf, len) || !ttlv_next(&c, &message) ||
	    message.tag != RESPONSE_MESSAGE)
		return -EBADMSG;
	parse_message(&message.value, rsp);
	return cursor_ok(&message.value) ? 0 : -EBADMSG;
}

/* A table's words for its numbers; out of it: NULL. */
static const char *word_of(const char *const *words, size_t count, uint32_t n)
{
	return n < count ? words[n] : NULL;
}

/* 9.1.3.2.18 */
const char *kmip_state(uint32_t state)
{
	static const char *const states[] = {NULL,
					     "Pre-Active",
					     "Active",
					     "Deactivated",
					     "Compromised",
					     "Destroyed",
					     "Destroyed Compromised"};
	const char *word = word_of(states, ARRAY_SIZE(states), state);

	return word ? word : "in a state that the KMS does not tell";
}

void kmip_describe(const struct kmip_attributes *a, char *out, size_t room)
{
	/* 9.1.3.2.12 and 9.1.3.2.13 */
	static const char *const objects[] = {
		NULL,		"a certificate",	"a symmetric key",
		"a public key", "a private key",	"a split key",
		"a template",	"a secret data object", "an opaque object",
		"a PGP key"};
	static const char *const algorithms[] = {
		NULL,	       "DES",	      "3DES",	     "AES",
		"RSA",	       "DSA",	      "ECDSA",	     "HMAC-SHA1",
		"HMAC-SHA224", "HMAC-SHA256", "HMAC-SHA384", "HMAC-SHA512"};
	const char *object = word_of(objects, ARRAY_SIZE(objects), a->object_type);
	const char *algorithm = word_of(algorithms, ARRAY_SIZE(algorithms), a->algorithm);

	if (a->object_type == KMIP_OBJECT_SYMMETRIC_KEY &&
	    a->algorithm == KMIP_ALGORITHM_AES && a->length)
		snprintf(out, room, "an AES key of %u bits", a->length);
	else if (a->algorithm && a->length)
		snprintf(out, room, "%s (%s, %u bits)",
			 object ? object : "an object of another type",
			 algorithm ? algorithm : "another algorithm", a->length);
	else
		snprintf(out, room, "%s of which the KMS tells no algorithm and length",
			 object ? object : "an object");
}

enum cause kmip_cause(const struct kmip_response *rsp)
{
	switch (rsp->reason) {
	case ITEM_NOT_FOUND:
	case OBJECT_ARCHIVED:
		return CAUSE_KMS_KEY;
	case AUTHENTICATION_NOT_SUCCESSFUL:
		return CAUSE_KMS_DENIED;
	case PERMISSION_DENIED:
	case ILLEGAL_OPERATION:
		/* Servers give the same reason to a stranger and for a key that is
		 * not active; only their words tell the two apart. */
		if (strcasestr(rsp->message, "activ") ||
		    strcasestr(rsp->message, "state"))
			return CAUSE_KMS_KEY;
		return rsp->reason == PERMISSION_DENIED ? CAUSE_KMS_DENIED
							: CAUSE_KMS_REFUSED;
	default:
		return CAUSE_KMS_REFUSED;
	}
}

/*@ assigns \nothing;
    ensures \result < 8; */
static size_t padding(size_t len)
{
	return (8 - len % 8) % 8;
}

static void put_head(struct cursor *c, uint32_t tag, enum ttlv_type type)
{
	cursor_put_u32(c, tag << 8 | type);
}

size_t ttlv_begin(struct cursor *c, uint32_t tag)
{
	put_head(c, tag, TTLV_STRUCT);
	return cursor_mark_u32(c);
}

void ttlv_end(struct cursor *c, size_t mark)
{
	cursor_patch_u32(c, mark);
}

void ttlv_put_u32(struct cursor *c, uint32_t tag, enum ttlv_type type, uint32_t v)
{
	put_head(c, tag, type);
	cursor_put_u32(c, 4);
	cursor_put_u32(c, v);
	cursor_put_u32(c, 0);
}

void ttlv_put(struct cursor *c, uint32_t tag, enum ttlv_type type, const void *v,
	      size_t len)
{
	static const uint8_t zeroes[8];

	if (len > UINT32_MAX) {
		cursor_fail(c);
		return;
	}
	put_head(c, tag, type);
	cursor_put_u32(c, (uint32_t)len);
	cursor_put(c, v, len);
	cursor_put(c, zeroes, padding(len));
}

/* KMIP 1.4, 9.1.1.3: the lengths that each type may have. */
/*@ assigns \nothing; */
static bool length_fits(uint8_t type, uint32_t len)
{
	switch (type) {
	case TTLV_INT:
	case TTLV_ENUM:
	case TTLV_INTERVAL:
		return len == 4;
	case TTLV_LONG:
	case TTLV_BOOL:
	case TTLV_DATE:
		return len == 8;
	case TTLV_STRUCT:
	case TTLV_BIGINT:
		return len % 8 == 0;
	case TTLV_TEXT:
	case TTLV_BYTES:
		return true;
	default:
		return false;
	}
}

bool ttlv_next(struct cursor *c, struct ttlv *item)
{
	uint32_t head, len;
	size_t pad;

	if (!cursor_left(c))
		return false;
	head = cursor_u32(c);
	len = cursor_u32(c);
	item->tag = head >> 8;
	item->type = head & 0xff;
	if (!cursor_ok(c) || !length_fits(head & 0xff, len)) {
		cursor_fail(c);
		return false;
	}
	item->value = cursor_sub(c, len);
	/* 9.1.1.4: padding bytes are zero */
	/*@ loop invariant cursor_holds(c) && c->pos >= \at(c->pos, LoopEntry);
	    loop invariant \at(c->bad, LoopEntry) ==> c->bad;
	    loop assigns pad, c->pos, c->bad;
	    loop variant pad; */
	for (pad = padding(len); pad; pad--)
		if (cursor_u8(c))
			cursor_fail(c);
	return cursor_ok(c);
}

/*@ requires cursor_holds(c);
    decreases depth;
    assigns c->pos, c->bad;
    ensures cursor_holds(c); */
static bool check_kmip(struct cursor *c, size_t depth)
{
	struct ttlv item;

	/*@ loop invariant cursor_holds(c);
	    loop assigns c->pos, c->bad, item;
	    loop variant c->len - c->pos; */
	while (ttlv_next(c, &item)) {
		if (item.type != TTLV_STRUCT)
			continue;
		if (!depth || !check_kmip(&item.value, depth - 1))
			return false;
	}
	return cursor_ok(c);
}

bool ttlv_check(const uint8_t *buf, size_t len)
{
	struct cursor c = cursor_reader(buf, len);
	struct ttlv item;

	return ttlv_next(&c, &item) && cursor_done(&c) && item.type == TTLV_STRUCT &&
	       check_kmip(&item.value, TTLV_DEPTH_MAX - 1);
}

uint32_t ttlv_u32(struct cursor *from, struct ttlv *item, enum ttlv_type type)
{
	if (item->type != type)
		cursor_fail(from);
	return cursor_ok(from) ? cursor_u32(&item->value) : 0;
}

const uint8_t *ttlv_data(struct cursor *from, struct ttlv *item, enum ttlv_type type,
			 size_t *len)
{
	if (item->type != type)
		cursor_fail(from);
	*len = cursor_ok(from) ? cursor_left(&item->value) : 0;
	return cursor_ok(from) ? cursor_bytes(&item->value, *len) : NULL;
}

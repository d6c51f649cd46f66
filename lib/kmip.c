/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/kmip.h"
#include "lib/ttlv.h"

#include <errno.h>
#include <string.h>

/* KMIP 1.4, 9.1.3.1 */
enum tag {
	BATCH_COUNT = 0x42000d,
	BATCH_ITEM = 0x42000f,
	BLOCK_CIPHER_MODE = 0x420011,
	CRYPTOGRAPHIC_ALGORITHM = 0x420028,
	CRYPTOGRAPHIC_PARAMETERS = 0x42002b,
	IV_COUNTER_NONCE = 0x42003d,
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
	UNIQUE_IDENTIFIER = 0x420094,
	DATA = 0x4200c2,
	TAG_LENGTH = 0x4200ce,
	AUTHENTICATED_DATA = 0x4200fe,
	AUTHENTICATED_TAG = 0x4200ff,
};

enum { ALGORITHM_AES = 3, MODE_GCM = 9 };

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
	ttlv_put_u32(c, CRYPTOGRAPHIC_ALGORITHM, TTLV_ENUM, ALGORITHM_AES);
	ttlv_put_u32(c, TAG_LENGTH, TTLV_INT, KMIP_TAG_SIZE);
	ttlv_end(c, mark);
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
	put_parameters(&c);
	ttlv_put(&c, DATA, TTLV_BYTES, rq->data, rq->data_len);
	ttlv_put(&c, IV_COUNTER_NONCE, TTLV_BYTES, rq->iv, rq->iv_len);
	ttlv_put(&c, AUTHENTICATED_DATA, TTLV_BYTES, rq->aad, rq->aad_len);
	if (rq->operation == KMIP_DECRYPT)
		ttlv_put(&c, AUTHENTICATED_TAG, TTLV_BYTES, rq->tag, KMIP_TAG_SIZE);
	ttlv_end(&c, payload);
	ttlv_end(&c, item);
	ttlv_end(&c, message);
	if (!cursor_ok(&c))
		return -ENOSPC;
	*len = c.pos;
	return 0;
}

/* A server's text goes to consoles and logs: nothing but printable ASCII. */
static void copy_printable(char *out, size_t room, const uint8_t *text, size_t len)
{
	size_t i;

	for (i = 0; i < len && i + 1 < room; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? (char)text[i] : '?';
	out[i] = '\0';
}

/* KMIP 1.4, 7.2; a refusal may come in an older version than was asked. */
static void parse_header(struct cursor *c)
{
	bool versioned = false, counted = false;
	struct ttlv item, part;

	while (ttlv_next(c, &item)) {
		if (item.tag == BATCH_COUNT) {
			if (counted || ttlv_u32(c, &item, TTLV_INT) != 1)
				cursor_fail(c);
			counted = true;
		} else if (item.tag == PROTOCOL_VERSION) {
			if (versioned || item.type != TTLV_STRUCT)
				cursor_fail(c);
			while (ttlv_next(&item.value, &part))
				if (part.tag == PROTOCOL_VERSION_MAJOR)
					versioned = ttlv_u32(c, &part, TTLV_INT) == 1;
		}
	}
	if (!versioned || !counted)
		cursor_fail(c);
}

/* Takes a byte string that must not come twice. */
static void take(struct cursor *c, struct ttlv *item, enum ttlv_type type,
		 const uint8_t **p, size_t *len)
{
	if (*p)
		cursor_fail(c);
	*p = ttlv_data(c, item, type, len);
}

static void parse_payload(struct cursor *c, struct kmip_response *rsp)
{
	struct ttlv item;

	while (ttlv_next(c, &item)) {
		if (item.tag == UNIQUE_IDENTIFIER)
			take(c, &item, TTLV_TEXT, &rsp->key_id, &rsp->key_id_len);
		else if (item.tag == DATA)
			take(c, &item, TTLV_BYTES, &rsp->data, &rsp->data_len);
		else if (item.tag == AUTHENTICATED_TAG)
			take(c, &item, TTLV_BYTES, &rsp->tag, &rsp->tag_len);
	}
}

static void parse_item(struct cursor *c, struct kmip_response *rsp)
{
	const uint8_t *text = NULL;
	bool status = false;
	struct ttlv item;
	size_t len;

	while (ttlv_next(c, &item)) {
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
			take(c, &item, TTLV_TEXT, &text, &len);
			if (text)
				copy_printable(rsp->message, sizeof(rsp->message), text,
					       len);
		} else if (item.tag == RESPONSE_PAYLOAD) {
			if (item.type != TTLV_STRUCT)
				cursor_fail(c);
			parse_payload(&item.value, rsp);
			if (!cursor_ok(&item.value))
				cursor_fail(c);
		}
	}
	if (!status)
		cursor_fail(c);
}

int kmip_parse(const uint8_t *buf, size_t len, struct kmip_response *rsp)
{
	struct cursor c = cursor_reader(buf, len);
	struct ttlv message, header, item;

	memset(rsp, 0, sizeof(*rsp));
	if (len > KMIP_MESSAGE_MAX || !ttlv_check(buf, len) || !ttlv_next(&c, &message) ||
	    message.tag != RESPONSE_MESSAGE)
		return -EBADMSG;
	if (!ttlv_next(&message.value, &header) || header.tag != RESPONSE_HEADER ||
	    header.type != TTLV_STRUCT)
		return -EBADMSG;
	parse_header(&header.value);
	if (!ttlv_next(&message.value, &item) || item.tag != BATCH_ITEM ||
	    item.type != TTLV_STRUCT || cursor_left(&message.value))
		return -EBADMSG;
	parse_item(&item.value, rsp);
	return cursor_ok(&header.value) && cursor_ok(&item.value) ? 0 : -EBADMSG;
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

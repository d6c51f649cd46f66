/* SPDX-License-Identifier: Apache-2.0 */
/* Packets and authorization sessions of a TPM 1.2. */
#include "tests/system/tpm12/tpm12.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#define TAG_RQU_COMMAND 0x00c1 /* 0x00c2 with one session, 0x00c3 with two */
#define TAG_RSP_COMMAND 0x00c4
#define HEADER		10
#define ORD_OIAP	0x0a
#define ORD_OSAP	0x0b

int tpm12_open(struct tpm12 *t, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(t, 0, sizeof(*t));
	t->fd = open(path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0 && errno == ENXIO && strlen(path) < sizeof(a.sun_path)) {
		strcpy(a.sun_path, path);
		t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (t->fd >= 0 && connect(t->fd, (struct sockaddr *)&a, sizeof(a)))
			t->fd = -1;
	}
	if (t->fd < 0)
		perror(path);
	return t->fd < 0 ? -1 : 0;
}

void tpm12_begin(struct tpm12 *t, uint32_t ordinal)
{
	t->in = cursor_writer(t->cmd, sizeof(t->cmd));
	cursor_put_u16(&t->in, TAG_RQU_COMMAND);
	cursor_put_u32(&t->in, 0);
	cursor_put_u32(&t->in, ordinal);
	t->handles = 0;
}

void tpm12_end_handles(struct tpm12 *t)
{
	t->handles = t->in.pos - HEADER;
}

/* A whole response; a socket may give it in pieces. */
static int receive(struct tpm12 *t)
{
	uint32_t size = HEADER;
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = read(t->fd, t->rsp + have, sizeof(t->rsp) - have);
		if (n <= 0)
			return -1;
		have += (size_t)n;
		if (have < HEADER)
			continue;
		t->out = cursor_reader(t->rsp, have);
		if (cursor_u16(&t->out) < TAG_RSP_COMMAND)
			return -1;
		size = cursor_u32(&t->out);
		t->rc = cursor_u32(&t->out);
		if (size < HEADER || size > sizeof(t->rsp))
			return -1;
	}
	return 0;
}

int tpm12_run(struct tpm12 *t)
{
	struct cursor size = cursor_writer(t->cmd + 2, 4);

	cursor_put_u32(&size, (uint32_t)t->in.pos);
	if (!cursor_ok(&t->in) || write(t->fd, t->cmd, t->in.pos) != (ssize_t)t->in.pos ||
	    receive(t)) {
		fprintf(stderr, "tpm12: no answer: %s\n", strerror(errno));
		return -1;
	}
	if (t->rc)
		fprintf(stderr, "tpm12: the TPM says 0x%x\n", t->rc);
	return t->rc ? -1 : 0;
}

/* Part 1, 13.2: of the ordinal and the parameters behind the handles. */
static void digest_in(const struct tpm12 *t, uint8_t out[DIGEST])
{
	uint8_t bytes[PACKET_SIZE];
	size_t n = t->in.pos - HEADER - t->handles;

	memcpy(bytes, t->cmd + 6, 4);
	memcpy(bytes + 4, t->cmd + HEADER + t->handles, n);
	SHA1(bytes, n + 4, out);
}

static void put_session(struct tpm12 *t, const struct session *s,
			const uint8_t digest[DIGEST])
{
	uint8_t text[3 * DIGEST + 1] = {0}, hmac[DIGEST];
	unsigned int len = DIGEST;

	memcpy(text, digest, DIGEST);
	memcpy(text + DIGEST, s->even, DIGEST);
	RAND_bytes(text + 2 * DIGEST, DIGEST);
	HMAC(EVP_sha1(), s->key, DIGEST, text, sizeof(text), hmac, &len);
	cursor_put_u32(&t->in, s->handle);
	cursor_put(&t->in, text + 2 * DIGEST, DIGEST);
	cursor_put_u8(&t->in, 0); /* the session ends */
	cursor_put(&t->in, hmac, DIGEST);
}

int tpm12_run_auth(struct tpm12 *t, struct session *one, struct session *two)
{
	struct cursor tag = cursor_writer(t->cmd, 2);
	uint8_t digest[DIGEST];

	cursor_put_u16(&tag, TAG_RQU_COMMAND + (two ? 2 : 1));
	digest_in(t, digest);
	put_session(t, one, digest);
	if (two)
		put_session(t, two, digest);
	return tpm12_run(t);
}

int tpm12_oiap(struct tpm12 *t, struct session *s, const uint8_t auth[DIGEST])
{
	tpm12_begin(t, ORD_OIAP);
	if (tpm12_run(t))
		return -1;
	s->handle = cursor_u32(&t->out);
	cursor_copy(&t->out, s->even, DIGEST);
	memcpy(s->key, auth, DIGEST);
	return cursor_ok(&t->out) ? 0 : -1;
}

int tpm12_osap(struct tpm12 *t, struct session *s, uint16_t type, uint32_t entity,
	       const uint8_t auth[DIGEST])
{
	uint8_t both[2 * DIGEST]; /* nonceEvenOSAP, nonceOddOSAP */
	unsigned int len = DIGEST;

	RAND_bytes(both + DIGEST, DIGEST);
	tpm12_begin(t, ORD_OSAP);
	cursor_put_u16(&t->in, type);
	cursor_put_u32(&t->in, entity);
	cursor_put(&t->in, both + DIGEST, DIGEST);
	if (tpm12_run(t))
		return -1;
	s->handle = cursor_u32(&t->out);
	cursor_copy(&t->out, s->even, DIGEST);
	cursor_copy(&t->out, both, DIGEST);
	HMAC(EVP_sha1(), auth, DIGEST, both, sizeof(both), s->key, &len);
	return cursor_ok(&t->out) ? 0 : -1;
}

void tpm12_adip(const struct session *s, const uint8_t auth[DIGEST], uint8_t out[DIGEST])
{
	uint8_t both[2 * DIGEST];
	int i;

	memcpy(both, s->key, DIGEST);
	memcpy(both + DIGEST, s->even, DIGEST);
	SHA1(both, sizeof(both), out);
	for (i = 0; i < DIGEST; i++)
		out[i] ^= auth[i];
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMS client over real TLS, against a server in a thread that answers as it is
 * told.  The certificates are made here and live as long as the test.
 */
#include "tests/unit/unit.h"
#include "lib/crypt.h"
#include "lib/kmip.h"
#include "lib/kms.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static const uint8_t secret[KMS_SECRET_SIZE] = "what the KMS keeps for the vTPM";
static const uint8_t key[32] = "the AES key that never leaves it";
static const uint8_t aad[] = "xen-vtpm of web1";

enum way {
	HONEST,
	OTHER_KEY,	 /* says that it used another one */
	OTHER_OPERATION, /* answers another request */
	SHORT_TAG,
	SHORT_DATA,
	REVOKED,
	GARBAGE,
	TOO_LONG, /* a length of 4 GiB */
	CUT,	  /* ends in the middle */
	SILENT,	  /* ends without a word */
	OLD_TLS,  /* offers TLS 1.1 alone */
	/* of its key it tells: */
	AES_128,
	RSA_PRIVATE,
	PRE_ACTIVE,
	DEACTIVATED,
	NO_DECRYPT,
	NO_ENCRYPT,
	NOTHING,	/* no attribute at all */
	TWO_LENGTHS,	/* one that fits, and one that does not */
	WRONG_TYPE,	/* the length as a text */
	ATTRS_OF_OTHER, /* those of another key */
	ATTRS_DENIED,	/* that the client may not ask */
	/* of what it gives out: */
	GIVES_OTHER,   /* the key has changed */
	GIVES_SHORT,   /* 16 bytes */
	GIVES_WRAPPED, /* under another key */
	GIVES_RSA,
	GIVES_PKCS8, /* in another format */
	GIVES_TWO,
	GIVES_NOTHING,
};

struct identity {
	EVP_PKEY *key;
	X509 *cert;
	char *cert_pem, *key_pem;
};

static struct identity ca, other_ca, server, other_host, client, stranger;
static struct identity old_server, early_server, old_client, early_client;
static long from = -60, until = 3600; /* of the next certificate, in seconds from now */
static enum way way;
static struct identity *shown; /* the server's */
static int ends[2];
static pthread_t thread;
static bool asked_attributes, gave_key; /* of the server, since setup() */

static char *pem_of(int (*write)(BIO *, const void *), const void *what)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *p;
	long n;

	assert_int_equal(write(bio, what), 1);
	n = BIO_get_mem_data(bio, &p);
	text = strndup(p, (size_t)n);
	BIO_free(bio);
	return text;
}

static int write_cert(BIO *bio, const void *cert)
{
	return PEM_write_bio_X509(bio, (X509 *)cert);
}

static int write_key(BIO *bio, const void *k)
{
	return PEM_write_bio_PKCS8PrivateKey(bio, (EVP_PKEY *)k, NULL, NULL, 0, NULL,
					     NULL);
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *x;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(x);
	assert_int_equal(X509_add_ext(cert, x, -1), 1);
	X509_EXTENSION_free(x);
}

static struct identity issue(const char *cn, const char *alt, const struct identity *by)
{
	struct identity id = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
	static long serial;
	X509 *issuer = by ? by->cert : id.cert;
	X509_NAME *name = X509_get_subject_name(id.cert);

	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(id.cert), from);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), until);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1,
				   0);
	X509_set_issuer_name(id.cert, X509_get_subject_name(issuer));
	X509_set_pubkey(id.cert, id.key);
	extend(id.cert, issuer, NID_basic_constraints, by ? "CA:FALSE" : "CA:TRUE");
	if (alt)
		extend(id.cert, issuer, NID_subject_alt_name, alt);
	assert_true(X509_sign(id.cert, by ? by->key : id.key, EVP_sha256()) > 0);
	id.cert_pem = pem_of(write_cert, id.cert);
	id.key_pem = pem_of(write_key, id.key);
	return id;
}

static void forget(struct identity *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	free(id->cert_pem);
	free(id->key_pem);
}

/* What the client asked for. */
struct asked {
	uint32_t operation;
	const uint8_t *data, *iv, *aad, *tag;
	size_t data_len, iv_len, aad_len, tag_len;
};

static void collect(struct cursor *c, struct asked *a)
{
	struct ttlv item;

	while (ttlv_next(c, &item)) {
		if (item.type == TTLV_STRUCT)
			collect(&item.value, a);
		else if (item.tag == 0x42005c)
			a->operation = ttlv_u32(c, &item, TTLV_ENUM);
		else if (item.tag == 0x4200c2)
			a->data = ttlv_data(c, &item, TTLV_BYTES, &a->data_len);
		else if (item.tag == 0x42003d)
			a->iv = ttlv_data(c, &item, TTLV_BYTES, &a->iv_len);
		else if (item.tag == 0x4200fe)
			a->aad = ttlv_data(c, &item, TTLV_BYTES, &a->aad_len);
		else if (item.tag == 0x4200ff)
			a->tag = ttlv_data(c, &item, TTLV_BYTES, &a->tag_len);
	}
}

static void put_attribute(struct cursor *w, const char *name, enum ttlv_type type,
			  uint32_t value)
{
	size_t mark = ttlv_begin(w, 0x420008);

	ttlv_put(w, 0x42000a, TTLV_TEXT, name, strlen(name));
	if (type == TTLV_TEXT)
		ttlv_put(w, 0x42000b, type, "256", 3);
	else
		ttlv_put_u32(w, 0x42000b, type, value);
	ttlv_end(w, mark);
}

static void put_attributes(struct cursor *w)
{
	size_t payload = ttlv_begin(w, 0x42007c);
	bool rsa = way == RSA_PRIVATE;

	ttlv_put(w, 0x420094, TTLV_TEXT, way == ATTRS_OF_OTHER ? "2" : "1", 1);
	put_attribute(w, "Lease Time", TTLV_INT, 1); /* not asked for */
	if (way != NOTHING) {
		put_attribute(w, "Object Type", TTLV_ENUM, rsa ? 4 : 2);
		put_attribute(w, "Cryptographic Algorithm", TTLV_ENUM, rsa ? 4 : 3);
		put_attribute(w, "Cryptographic Length",
			      way == WRONG_TYPE ? TTLV_TEXT : TTLV_INT,
			      rsa	       ? 2048
			      : way == AES_128 ? 128
					       : 256);
		if (way == TWO_LENGTHS)
			put_attribute(w, "Cryptographic Length", TTLV_INT, 128);
		put_attribute(w, "Cryptographic Usage Mask", TTLV_INT,
			      way == NO_DECRYPT	  ? 4
			      : way == NO_ENCRYPT ? 8
						  : 12);
		put_attribute(w, "State", TTLV_ENUM,
			      way == PRE_ACTIVE	   ? 1
			      : way == DEACTIVATED ? 3
						   : 2);
	}
	ttlv_end(w, payload);
}

static void put_key(struct cursor *w)
{
	size_t payload = ttlv_begin(w, 0x42007c), object, block, value, n;

	ttlv_put_u32(w, 0x420057, TTLV_ENUM, way == GIVES_RSA ? 4 : 2);
	ttlv_put(w, 0x420094, TTLV_TEXT, way == OTHER_KEY ? "2" : "1", 1);
	for (n = 0; n < (way == GIVES_TWO ? 2 : 1); n++) {
		object = ttlv_begin(w, 0x42008f);
		block = ttlv_begin(w, 0x420040);
		ttlv_put_u32(w, 0x420042, TTLV_ENUM, way == GIVES_PKCS8 ? 4 : 1);
		if (way == GIVES_WRAPPED)
			ttlv_put(w, 0x420045, TTLV_BYTES, key, sizeof(key));
		value = way == GIVES_WRAPPED ? 0 : ttlv_begin(w, 0x420045);
		if (value && way != GIVES_NOTHING)
			ttlv_put(w, 0x420043, TTLV_BYTES,
				 way == GIVES_OTHER ? secret : key,
				 way == GIVES_SHORT ? 16 : sizeof(key));
		if (value)
			ttlv_end(w, value);
		ttlv_put_u32(w, 0x420028, TTLV_ENUM, 3);
		ttlv_put_u32(w, 0x42002a, TTLV_INT, way == GIVES_SHORT ? 128 : 256);
		ttlv_end(w, block);
		ttlv_end(w, object);
	}
	ttlv_end(w, payload);
}

static void put_payload(struct cursor *w, const struct asked *a)
{
	size_t payload = ttlv_begin(w, 0x42007c);
	uint8_t out[64], tag[16];

	ttlv_put(w, 0x420094, TTLV_TEXT, way == OTHER_KEY ? "2" : "1", 1);
	if (a->operation == KMIP_ENCRYPT) {
		if (crypt_gcm_seal(key, a->iv, a->aad, a->aad_len, a->data, a->data_len,
				   out, tag))
			abort();
	} else if (crypt_gcm_open(key, a->iv, a->aad, a->aad_len, a->data, a->data_len,
				  out, a->tag)) {
		memset(out, 0, sizeof(out));
	}
	ttlv_put(w, 0x4200c2, TTLV_BYTES, out,
		 way == SHORT_DATA ? a->data_len - 1 : a->data_len);
	if (a->operation == KMIP_ENCRYPT)
		ttlv_put(w, 0x4200ff, TTLV_BYTES, tag, way == SHORT_TAG ? 4 : 16);
	ttlv_end(w, payload);
}

static size_t make_answer(const struct asked *a, uint8_t *out, size_t room)
{
	struct cursor w = cursor_writer(out, room);
	size_t message = ttlv_begin(&w, 0x42007b), header = ttlv_begin(&w, 0x42007a);
	size_t version = ttlv_begin(&w, 0x420069), item;
	bool about = a->operation == KMIP_GET_ATTRIBUTES;
	bool refused = way == (about ? ATTRS_DENIED : REVOKED);

	ttlv_put_u32(&w, 0x42006a, TTLV_INT, 1);
	ttlv_put_u32(&w, 0x42006b, TTLV_INT, 4);
	ttlv_end(&w, version);
	ttlv_put_u32(&w, 0x42000d, TTLV_INT, 1);
	ttlv_end(&w, header);
	item = ttlv_begin(&w, 0x42000f);
	ttlv_put_u32(&w, 0x42005c, TTLV_ENUM,
		     way == OTHER_OPERATION && !about
			     ? KMIP_DECRYPT + KMIP_ENCRYPT - a->operation
			     : a->operation);
	ttlv_put_u32(&w, 0x42007f, TTLV_ENUM, refused);
	if (refused) {
		ttlv_put_u32(&w, 0x42007e, TTLV_ENUM, 0x0c);
		ttlv_put(&w, 0x42007d, TTLV_TEXT,
			 about ? "It may not be asked...." : "The key is not Active.",
			 22);
	} else if (about) {
		put_attributes(&w);
	} else if (a->operation == KMIP_GET) {
		put_key(&w);
	} else {
		put_payload(&w, a);
	}
	ttlv_end(&w, item);
	ttlv_end(&w, message);
	if (!cursor_ok(&w))
		abort();
	return w.pos;
}

/* Whether another request may follow. */
static bool answer(SSL *ssl)
{
	static const uint8_t too_long[8] = {0x42, 0, 0x7b, 1, 255, 255, 255, 248};
	uint8_t in[2048], out[2048];
	int n = SSL_read(ssl, in, sizeof(in));
	struct asked a = {0};
	struct cursor c;
	size_t len;

	if (n <= 0 || way == SILENT)
		return false;
	c = cursor_reader(in, (size_t)n);
	collect(&c, &a);
	if (!cursor_ok(&c))
		abort();
	len = make_answer(&a, out, sizeof(out));
	if (a.operation == KMIP_GET_ATTRIBUTES) {
		asked_attributes = true;
		return SSL_write(ssl, out, (int)len) > 0;
	}
	gave_key = a.operation == KMIP_GET;
	if (a.iv_len != 12 && a.operation != KMIP_GET)
		abort();
	if (way == GARBAGE)
		memset(out + 8, 0xff, len - 8);
	if (way == TOO_LONG)
		SSL_write(ssl, too_long, sizeof(too_long));
	else
		SSL_write(ssl, out, (int)(way == CUT ? len / 2 : len));
	return false;
}

static void *serve(void *fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	if (way == OLD_TLS) {
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	}
	SSL_CTX_use_certificate(ctx, shown->cert);
	SSL_CTX_use_PrivateKey(ctx, shown->key);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.cert);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, *(int *)fd);
	if (SSL_accept(ssl) == 1)
		while (answer(ssl))
			;
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(*(int *)fd);
	return NULL;
}

/* The names of the addresses that are away, and which ones were tried. */
static unsigned int away, tried;

static int stream_open(void *ctx, unsigned int nth)
{
	tried |= 1u << nth;
	if (away & 1u << nth)
		return -ECONNREFUSED;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return -errno;
	return -pthread_create(&thread, NULL, serve, &ends[1]);
}

static int stream_send(void *ctx, const uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = send(ends[0], buf, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* In small pieces: nothing may depend on where a stream is cut. */
static int stream_recv(void *ctx, uint8_t *buf, size_t room)
{
	ssize_t n = recv(ends[0], buf, room < 37 ? room : 37, 0);

	return n < 0 ? -errno : (int)n;
}

static void stream_close(void *ctx)
{
	close(ends[0]);
	pthread_join(thread, NULL);
}

static int refuses_to_open(void *ctx, unsigned int nth)
{
	return -ECONNREFUSED;
}

static struct kms_stream stream;
static struct kms_config config;
static struct kms_wrapped wrapped;
static struct error error;

static int setup(void **state)
{
	way = HONEST;
	asked_attributes = gave_key = false;
	shown = &server;
	away = tried = 0;
	stream = (struct kms_stream){NULL, stream_open, stream_send, stream_recv,
				     stream_close};
	config = (struct kms_config){"kms.example:5696", ca.cert_pem, client.cert_pem,
				     client.key_pem,	 "1",	      NULL};
	memset(&wrapped, 0, sizeof(wrapped));
	memset(&error, 0, sizeof(error));
	return 0;
}

static int wrap(void)
{
	return kms_wrap(&config, &stream, aad, sizeof(aad), secret, &wrapped, &error);
}

static int unwrap(uint8_t out[KMS_SECRET_SIZE])
{
	return kms_unwrap(&config, &stream, aad, sizeof(aad), &wrapped, out, &error);
}

static void wraps_and_unwraps(void **state)
{
	uint8_t out[KMS_SECRET_SIZE];
	struct kms_wrapped first;

	assert_int_equal(wrap(), 0);
	assert_string_equal(wrapped.key_id, "1");
	assert_memory_not_equal(wrapped.ct, secret, sizeof(secret));
	assert_int_equal(unwrap(out), 0);
	assert_memory_equal(out, secret, sizeof(secret));
	first = wrapped;
	assert_int_equal(wrap(), 0);
	assert_memory_not_equal(first.iv, wrapped.iv, sizeof(first.iv));
}

static void refused(enum cause cause)
{
	assert_true(wrap() < 0);
	if (error.cause != cause)
		print_error("%s: %s\n", error_word(error.cause), error.text);
	assert_int_equal(error.cause, cause);
	assert_non_null(strstr(error.text, ": ")); /* cause, then the next step */
}

static void answers_that_lie(void **state)
{
	static const enum way ways[] = {OTHER_KEY,  OTHER_OPERATION, SHORT_TAG,
					SHORT_DATA, GARBAGE,	     TOO_LONG};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		setup(NULL);
		way = ways[i];
		refused(CAUSE_KMS_REFUSED);
	}
	setup(NULL);
	way = REVOKED;
	refused(CAUSE_KMS_KEY);
	assert_non_null(strstr(error.text, "not Active"));
}

/* What a key encrypts, it has to be fit for; and an answer that is not clear is none. */
static void keys_that_are_not_fit(void **state)
{
	static const struct {
		enum way way;
		enum cause cause;
		const char *words;
	} keys[] = {
		{AES_128, CAUSE_KMS_KEY, "is an AES key of 128 bits, and has to be"},
		{RSA_PRIVATE, CAUSE_KMS_KEY, "is a private key (RSA, 2048 bits)"},
		{PRE_ACTIVE, CAUSE_KMS_KEY, "is Pre-Active, and has to be Active"},
		{DEACTIVATED, CAUSE_KMS_KEY, "is Deactivated"},
		{NO_DECRYPT, CAUSE_KMS_KEY, "may not decrypt"},
		{NO_ENCRYPT, CAUSE_KMS_KEY, "may not encrypt"},
		{NOTHING, CAUSE_KMS_KEY, "tells no algorithm and length"},
		{TWO_LENGTHS, CAUSE_KMS_REFUSED, "no KMIP message"},
		{WRONG_TYPE, CAUSE_KMS_REFUSED, "no KMIP message"},
		{ATTRS_OF_OTHER, CAUSE_KMS_REFUSED, "for another key"},
		{ATTRS_DENIED, CAUSE_KMS_DENIED, "read the attributes of key 1"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		setup(NULL);
		way = keys[i].way;
		refused(keys[i].cause);
		if (!strstr(error.text, keys[i].words))
			print_error("%s\n", error.text);
		assert_non_null(strstr(error.text, keys[i].words));
	}
}

/* What was encrypted opens, also for a client that may not ask what the key is. */
static void opening_asks_nothing_more(void **state)
{
	uint8_t out[KMS_SECRET_SIZE];

	assert_int_equal(wrap(), 0);
	assert_true(asked_attributes);
	way = ATTRS_DENIED;
	asked_attributes = false;
	assert_int_equal(unwrap(out), 0);
	assert_false(asked_attributes);
	assert_memory_equal(out, secret, sizeof(secret));
}

static struct kms_derived derived;

static int derive(bool is_new, const char *context, uint8_t out[KMS_SECRET_SIZE])
{
	return kms_derive(&config, &stream, (const uint8_t *)context, strlen(context),
			  is_new, &derived, out, &error);
}

/* HKDF-SHA256 as any other program would do it (docs/formats.md). */
static void expect_derived(const char *context, const uint8_t out[KMS_SECRET_SIZE])
{
	char info[100];
	uint8_t want[KMS_SECRET_SIZE];

	snprintf(info, sizeof(info), "xen-vtpm kms get%s", context);
	assert_int_equal(crypt_hkdf(key, sizeof(key), derived.nonce,
				    sizeof(derived.nonce), (const uint8_t *)info,
				    strlen(info), want),
			 0);
	assert_memory_equal(out, want, sizeof(want));
}

static void derives_of_a_key_that_is_given(void **state)
{
	uint8_t first[KMS_SECRET_SIZE], out[KMS_SECRET_SIZE];
	struct kms_derived kept;

	assert_int_equal(derive(true, "web1", first), 0);
	assert_string_equal(derived.key_id, "1");
	assert_true(asked_attributes);
	expect_derived("web1", first);
	assert_int_equal(derive(false, "web1", out), 0);
	assert_memory_equal(first, out, sizeof(first));
	/* another vTPM, another slot */
	kept = derived;
	assert_int_equal(derive(true, "web2", out), 0);
	assert_memory_not_equal(first, out, sizeof(first));
	assert_int_equal(derive(true, "web1", out), 0);
	assert_memory_not_equal(kept.nonce, derived.nonce, sizeof(kept.nonce));
	assert_memory_not_equal(first, out, sizeof(first));
	derived = kept;
	config.key_id = "another one"; /* for new ones */
	assert_int_equal(derive(false, "web1", out), 0);
	assert_memory_equal(first, out, sizeof(first));
}

static void keys_that_are_given_and_are_none(void **state)
{
	static const struct {
		enum way way;
		enum cause cause;
	} ways[] = {
		{GIVES_OTHER, CAUSE_KMS_KEY},	    {GIVES_SHORT, CAUSE_KMS_REFUSED},
		{GIVES_WRAPPED, CAUSE_KMS_REFUSED}, {GIVES_RSA, CAUSE_KMS_REFUSED},
		{GIVES_PKCS8, CAUSE_KMS_REFUSED},   {GIVES_TWO, CAUSE_KMS_REFUSED},
		{GIVES_NOTHING, CAUSE_KMS_REFUSED}, {OTHER_KEY, CAUSE_KMS_REFUSED},
		{AES_128, CAUSE_KMS_KEY},	    {DEACTIVATED, CAUSE_KMS_KEY},
		{GARBAGE, CAUSE_KMS_REFUSED},	    {TOO_LONG, CAUSE_KMS_REFUSED},
	};
	static const uint8_t none[KMS_SECRET_SIZE];
	uint8_t out[KMS_SECRET_SIZE];
	size_t i;

	assert_int_equal(derive(true, "web1", out), 0);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		setup(NULL);
		way = ways[i].way;
		memset(out, 1, sizeof(out));
		assert_true(derive(false, "web1", out) < 0);
		if (error.cause != ways[i].cause)
			print_error("%zu: %s\n", i, error.text);
		assert_int_equal(error.cause, ways[i].cause);
		assert_memory_equal(out, none, sizeof(out));
	}
	/* an altered nonce, or another vTPM's, is told before the TPM is asked */
	setup(NULL);
	derived.nonce[3] ^= 4;
	assert_int_equal(derive(false, "web1", out), -EKEYREJECTED);
	derived.nonce[3] ^= 4;
	setup(NULL);
	assert_int_equal(derive(false, "web2", out), -EKEYREJECTED);
	/* its usage mask is for what the KMS does */
	setup(NULL);
	way = NO_ENCRYPT;
	assert_int_equal(derive(false, "web1", out), 0);
}

/* What `host init` asks, in domain 0: never for the key. */
static void probing_fetches_no_key(void **state)
{
	assert_int_equal(kms_probe(&config, &stream, &error), 0);
	assert_true(asked_attributes);
	assert_false(gave_key);
	way = AES_128;
	assert_int_equal(kms_probe(&config, &stream, &error), -ENOKEY);
}

static void connections_that_end(void **state)
{
	static const enum way ways[] = {CUT, SILENT};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		setup(NULL);
		way = ways[i];
		assert_true(wrap() < 0);
		assert_true(error.cause == CAUSE_KMS_UNREACHABLE ||
			    error.cause == CAUSE_KMS_DENIED ||
			    error.cause == CAUSE_KMS_REFUSED);
	}
	setup(NULL);
	stream.open = refuses_to_open;
	refused(CAUSE_KMS_UNREACHABLE);
}

static void servers_that_are_not_the_kms(void **state)
{
	config.ca_pem = other_ca.cert_pem; /* nobody that we trust signed it */
	refused(CAUSE_KMS_UNTRUSTED);
	setup(NULL);
	shown = &other_host; /* our CA's, but another machine's */
	refused(CAUSE_KMS_UNTRUSTED);
	setup(NULL);
	config.address = "10.0.0.1:5696";
	refused(CAUSE_KMS_UNTRUSTED);
	setup(NULL);
	way = OLD_TLS;
	refused(CAUSE_KMS_REFUSED);
	assert_non_null(strstr(error.text, "TLS 1.2"));
}

/* Whose clock is wrong is not known: it may pass, and the sentence names ours. */
static void certificates_out_of_their_time(void **state)
{
	struct identity *clients[] = {&old_client, &early_client};
	char today[11];
	time_t now = time(NULL);
	size_t i;

	strftime(today, sizeof(today), "%F", gmtime(&now));
	shown = &old_server;
	refused(CAUSE_KMS_CERT_TIME);
	assert_non_null(strstr(error.text, "its certificate has expired by this host's "
					   "clock"));
	assert_non_null(strstr(error.text, today));
	setup(NULL);
	shown = &early_server;
	refused(CAUSE_KMS_CERT_TIME);
	assert_non_null(strstr(error.text, "is not valid yet"));
	assert_non_null(strstr(error.text, today));
	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		setup(NULL);
		config.cert_pem = clients[i]->cert_pem;
		config.key_pem = clients[i]->key_pem;
		refused(CAUSE_KMS_CERT_TIME);
		assert_non_null(strstr(error.text, "this host's client certificate"));
		assert_non_null(strstr(error.text, today));
	}
	/* one that is of another CA as well is not to be trusted, whatever the clock */
	setup(NULL);
	config.ca_pem = other_ca.cert_pem;
	shown = &old_server;
	refused(CAUSE_KMS_UNTRUSTED);
}

/* The server is kms.example at every address. */
static void the_next_address_is_tried(void **state)
{
	uint8_t out[KMS_SECRET_SIZE];

	config.address = "kms.example:5696,kms.example:5697,kms.example:5698";
	assert_int_equal(wrap(), 0);
	assert_int_equal(tried, 1);
	away = 1;
	tried = 0;
	assert_int_equal(unwrap(out), 0);
	assert_memory_equal(out, secret, sizeof(secret));
	assert_int_equal(tried, 3);
	away = 3;
	assert_int_equal(wrap(), 0);
	assert_int_equal(tried, 7);
	assert_int_equal(error.cause, CAUSE_NONE);
}

static void each_address_is_told_when_all_are_away(void **state)
{
	config.address = "kms.example:5696,kms.example:5697";
	away = 3;
	refused(CAUSE_KMS_UNREACHABLE);
	assert_int_equal(tried, 3);
	assert_non_null(strstr(error.text, "kms.example:5696: Connection refused"));
	assert_non_null(strstr(error.text, "kms.example:5697: Connection refused"));
}

/* TLS checks the name of the address that was used. */
static void each_address_has_its_own_name(void **state)
{
	config.address = "kms.example:5696,other.example:5696";
	away = 1;
	refused(CAUSE_KMS_UNTRUSTED);
	setup(NULL);
	config.address = "kms.example:5696,other.example:5696";
	away = 1;
	shown = &other_host;
	assert_int_equal(wrap(), 0);
}

/* A server that was reached has the last word. */
static void an_answer_is_not_passed_over(void **state)
{
	static const char two[] = "kms.example:5696,kms.example:5697";

	config.address = two;
	shown = &other_host;
	refused(CAUSE_KMS_UNTRUSTED);
	assert_int_equal(tried, 1);
	setup(NULL);
	config.address = two;
	way = REVOKED;
	refused(CAUSE_KMS_KEY);
	assert_int_equal(tried, 1);
	setup(NULL);
	config.address = two;
	config.cert_pem = stranger.cert_pem;
	config.key_pem = stranger.key_pem;
	refused(CAUSE_KMS_DENIED);
	assert_int_equal(tried, 1);
	setup(NULL);
	config.address = "kms.example:5696,";
	refused(CAUSE_NOT_CONFIGURED);
	assert_int_equal(tried, 0);
}

static void clients_that_the_kms_does_not_know(void **state)
{
	config.cert_pem = stranger.cert_pem;
	config.key_pem = stranger.key_pem;
	refused(CAUSE_KMS_DENIED);
}

static void configurations_that_cannot_be(void **state)
{
	char long_id[200];

	config.key_pem = stranger.key_pem; /* not this certificate's */
	refused(CAUSE_NOT_CONFIGURED);
	setup(NULL);
	config.ca_pem = "no PEM";
	refused(CAUSE_NOT_CONFIGURED);
	setup(NULL);
	config.address = "no port";
	refused(CAUSE_NOT_CONFIGURED);
	setup(NULL);
	config.key_id = "";
	refused(CAUSE_NOT_CONFIGURED);
	setup(NULL);
	memset(long_id, 'x', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	config.key_id = long_id;
	refused(CAUSE_NOT_CONFIGURED);
}

/* The KMS's own tag check: what was altered or moved does not come back. */
static void altered_halves(void **state)
{
	uint8_t out[KMS_SECRET_SIZE];

	assert_int_equal(wrap(), 0);
	wrapped.ct[0] ^= 1;
	if (!unwrap(out))
		assert_memory_not_equal(out, secret, sizeof(secret));
}

#define KMS_TEST(t) cmocka_unit_test_setup(t, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KMS_TEST(wraps_and_unwraps),
		KMS_TEST(answers_that_lie),
		KMS_TEST(keys_that_are_not_fit),
		KMS_TEST(opening_asks_nothing_more),
		KMS_TEST(derives_of_a_key_that_is_given),
		KMS_TEST(keys_that_are_given_and_are_none),
		KMS_TEST(probing_fetches_no_key),
		KMS_TEST(connections_that_end),
		KMS_TEST(servers_that_are_not_the_kms),
		KMS_TEST(certificates_out_of_their_time),
		KMS_TEST(the_next_address_is_tried),
		KMS_TEST(each_address_is_told_when_all_are_away),
		KMS_TEST(each_address_has_its_own_name),
		KMS_TEST(an_answer_is_not_passed_over),
		KMS_TEST(clients_that_the_kms_does_not_know),
		KMS_TEST(configurations_that_cannot_be),
		KMS_TEST(altered_halves),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN); /* the server's SSL_write() */
	ca = issue("CA", NULL, NULL);
	other_ca = issue("other CA", NULL, NULL);
	server = issue("kms.example", "DNS:kms.example", &ca);
	other_host = issue("other.example", "DNS:other.example", &ca);
	client = issue("host1", NULL, &ca);
	stranger = issue("host1", NULL, &other_ca);
	from = -7200, until = -60;
	old_server = issue("kms.example", "DNS:kms.example", &ca);
	old_client = issue("host1", NULL, &ca);
	from = 3600, until = 7200;
	early_server = issue("kms.example", "DNS:kms.example", &ca);
	early_client = issue("host1", NULL, &ca);
	failed = cmocka_run_group_tests_name("kms", tests, NULL, NULL);
	forget(&ca);
	forget(&other_ca);
	forget(&server);
	forget(&other_host);
	forget(&client);
	forget(&stranger);
	forget(&old_server);
	forget(&old_client);
	forget(&early_server);
	forget(&early_client);
	return failed;
}

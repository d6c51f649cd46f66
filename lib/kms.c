/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/kms.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/kmip.h"
#include "lib/text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls;

static void tls_close(struct tls *t);

#define CHUNK 4096

struct tls {
	const char *address;
	const struct kms_stream *stream;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	bool open;     /* the stream is */
};

/* A key with a passphrase is refused, not asked about on a terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	return -1;
}

/* Calls add() for every certificate of a PEM text; the number added, or -1. */
static int each_certificate(const char *pem, int (*add)(SSL_CTX *ctx, X509 *x, int n),
			    SSL_CTX *ctx)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x;
	int n = 0;

	while (bio && n >= 0 && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		n = add(ctx, x, n) == 1 ? n + 1 : -1;
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text is an error to PEM_read */
	return n;
}

static int add_ca(SSL_CTX *ctx, X509 *x, int n)
{
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
}

static int add_own(SSL_CTX *ctx, X509 *x, int n)
{
	return n ? SSL_CTX_add1_chain_cert(ctx, x) : SSL_CTX_use_certificate(ctx, x);
}

static bool use_key(SSL_CTX *ctx, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key =
		bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		  SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok;
}

static int set_context(struct tls *t, const struct kms_config *c, struct error *e)
{
	/* no openssl.cnf: the same rules in the stub domain and in dom0 */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
	    !(t->ctx = SSL_CTX_new(TLS_client_method())))
		return error_crypto(e, -ENOMEM, "TLS");
	if (SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(t->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		return error_crypto(e, -EIO, "the TLS ciphers");
	SSL_CTX_set_security_level(t->ctx, 2);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					    SSL_OP_NO_COMPRESSION |
					    SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	if (each_certificate(c->ca_pem, add_ca, t->ctx) <= 0)
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the KMS's CA certificate cannot be read: run `vtpmctl "
				 "host init` again with a PEM file for --kms-ca");
	if (each_certificate(c->cert_pem, add_own, t->ctx) <= 0 ||
	    !use_key(t->ctx, c->key_pem))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "this host's KMS certificate and key cannot be used or "
				 "do not belong together: run `vtpmctl host init` again "
				 "with PEM files for --kms-cert and --kms-key");
	return 0;
}

/* The host of "host:port" or "[v6 address]:port". */
static bool split_host(const char *address, char *host, size_t room)
{
	const char *end = strrchr(address, ':');
	size_t len;

	if (!end)
		return false;
	if (address[0] == '[') {
		address++;
		if (end[-1] != ']')
			return false;
		end--;
	}
	len = end > address ? (size_t)(end - address) : 0;
	if (!len || len >= room)
		return false;
	memcpy(host, address, len);
	host[len] = '\0';
	return true;
}

/* What the server's certificate must name. */
static int set_peer(struct tls *t, struct error *e)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	char host[256];

	if (!split_host(t->address, host, sizeof(host)))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the KMS address %s is not HOST:PORT: run `vtpmctl host "
				 "init` again",
				 t->address);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return 0;
	if (X509_VERIFY_PARAM_set1_host(param, host, 0) != 1 ||
	    SSL_set_tlsext_host_name(t->ssl, host) != 1)
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the KMS address %s has no valid host name: run "
				 "`vtpmctl host init` again",
				 t->address);
	return 0;
}

static int set_session(struct tls *t, struct error *e)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	t->ssl = SSL_new(t->ctx);
	if (!t->ssl || !in || !out) {
		BIO_free(in);
		BIO_free(out);
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory for TLS");
	}
	t->in = in;
	t->out = out;
	SSL_set_bio(t->ssl, in, out);
	SSL_set_connect_state(t->ssl);
	return set_peer(t, e);
}

static int unreachable(const struct tls *t, int rc, struct error *e)
{
	return error_set(e, rc, CAUSE_KMS_UNREACHABLE,
			 "the KMS at %s is unreachable (%s): start it or repair the "
			 "network, then try again; nothing was changed",
			 t->address, strerror(-rc));
}

/* Sends what TLS has written. */
static int flush(struct tls *t)
{
	uint8_t buf[CHUNK];
	int n, rc;

	while ((n = BIO_read(t->out, buf, sizeof(buf))) > 0) {
		rc = t->stream->send(t->stream->ctx, buf, (size_t)n);
		if (rc)
			return rc;
	}
	return 0;
}

/* Gives TLS what has come. sent is what flush() returned: a server that refuses
 * us closes its end, but its alert, which says why, may still wait to be read. */
static int fill(struct tls *t, int sent, struct error *e)
{
	uint8_t buf[CHUNK];
	int n = t->stream->recv(t->stream->ctx, buf, sizeof(buf));

	if (n > 0 && (size_t)n <= sizeof(buf) && BIO_write(t->in, buf, n) == n)
		return 0;
	if (sent)
		return unreachable(t, sent, e);
	if (n < 0)
		return unreachable(t, n, e);
	return error_set(e, -ECONNRESET, CAUSE_KMS_UNREACHABLE,
			 "the KMS at %s closed the connection without an answer: see its "
			 "log, then try again; nothing was changed",
			 t->address);
}

/* RFC 8446, 6.2: the alerts that say that our certificate is not accepted. */
static bool is_denial(int reason)
{
	switch (reason) {
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: /* TLS 1.2, no usable certificate */
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return true;
	default:
		return false;
	}
}

/* What is wrong with the time of a certificate, by the clock of anyone who verified it. */
static const char *out_of_time(long verify)
{
	switch (verify) {
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "is not valid yet";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "has expired";
	default:
		return NULL;
	}
}

/* The same of this host's own certificate, by this host's clock. */
static const char *own_out_of_time(const struct tls *t)
{
	X509 *own = SSL_get_certificate(t->ssl);

	if (own && X509_cmp_current_time(X509_get0_notBefore(own)) > 0)
		return out_of_time(X509_V_ERR_CERT_NOT_YET_VALID);
	if (own && X509_cmp_current_time(X509_get0_notAfter(own)) < 0)
		return out_of_time(X509_V_ERR_CERT_HAS_EXPIRED);
	return NULL;
}

static int untimely(const struct tls *t, const char *whose, const char *what,
		    struct error *e)
{
	char now[STAMP_SIZE];

	stamp_now(now);
	return error_set(
		e, -EKEYREJECTED, CAUSE_KMS_CERT_TIME,
		"the KMS at %.100s: %s certificate %s by this host's clock, which "
		"says %s; set the clock, or renew the certificate; nothing was "
		"changed",
		t->address, whose, what, now);
}

/* The KMS refuses this host's certificate: reason is its alert's. */
static int denied(const struct tls *t, int reason, const char *words, struct error *e)
{
	const char *what = own_out_of_time(t);
	char now[STAMP_SIZE];

	if (what)
		return untimely(t, "this host's client", what, e);
	stamp_now(now);
	if (reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED)
		return error_set(
			e, -EACCES, CAUSE_KMS_CERT_TIME,
			"the KMS at %.100s says that this host's client "
			"certificate is out of its time, which it is not by this "
			"host's clock (%s): compare the two clocks",
			t->address, now);
	return error_set(e, -EACCES, CAUSE_KMS_DENIED,
			 "the KMS at %s refuses this host's client certificate "
			 "(%s): have the KMS's operator accept it, or give this "
			 "host another one (`vtpmctl host renew`; a new host: "
			 "`vtpmctl host init`)",
			 t->address, words);
}

static int failed(const struct tls *t, struct error *e)
{
	long verify = SSL_get_verify_result(t->ssl);
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	if (out_of_time(verify))
		return untimely(t, "its", out_of_time(verify), e);
	if (verify != X509_V_OK)
		return error_set(
			e, -EKEYREJECTED, CAUSE_KMS_UNTRUSTED,
			"the KMS at %s shows a certificate that is not to be "
			"trusted (%s): nothing was sent to it; check the address "
			"and the CA (--kms-ca of `vtpmctl host init` and "
			"`vtpmctl host renew`)",
			t->address, X509_verify_cert_error_string(verify));
	if (is_denial(ERR_GET_REASON(code)))
		return denied(t, ERR_GET_REASON(code),
			      reason ? reason : "no reason given", e);
	return error_set(e, -EPROTO, CAUSE_KMS_REFUSED,
			 "TLS with the KMS at %s failed (%s): see its log and whether "
			 "it speaks TLS 1.2 or later",
			 t->address, reason ? reason : "connection closed");
}

/* After a call of OpenSSL returned rc: 0 to call again, or the failure. */
static int pump(struct tls *t, int ret, struct error *e)
{
	int why = SSL_get_error(t->ssl, ret), rc = flush(t);

	if (why == SSL_ERROR_WANT_READ)
		return fill(t, rc, e);
	return failed(t, e);
}

static int handshake(struct tls *t, struct error *e)
{
	int ret, rc;

	for (;;) {
		ERR_clear_error();
		ret = SSL_do_handshake(t->ssl);
		if (ret == 1) {
			rc = flush(t);
			/* the request's own send finds a broken stream again */
			return rc && rc != -EPIPE && rc != -ECONNRESET
				       ? unreachable(t, rc, e)
				       : 0;
		}
		rc = pump(t, ret, e);
		if (rc)
			return rc;
	}
}

/* Connects to the nth address, which is the one of c->address; verifies that the
 * server is its host under c->ca_pem, and shows c->cert_pem.  -ECONNREFUSED etc.,
 * -EACCES, -EKEYREJECTED, -EINVAL. */
static int tls_open(struct tls **out, const struct kms_config *c,
		    const struct kms_stream *s, unsigned int nth, struct error *e)
{
	struct tls *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory for TLS");
	t->address = c->address;
	t->stream = s;
	rc = set_context(t, c, e);
	if (!rc)
		rc = set_session(t, e);
	if (rc)
		goto err;
	rc = s->open(s->ctx, nth);
	if (rc) {
		rc = unreachable(t, rc, e);
		goto err;
	}
	t->open = true;
	rc = handshake(t, e);
	if (rc)
		goto err;
	*out = t;
	return 0;
err:
	tls_close(t);
	return rc;
}

static int tls_send(struct tls *t, const uint8_t *buf, size_t len, struct error *e)
{
	size_t done = 0;
	int ret, rc;

	while (done < len) {
		size_t n;

		ERR_clear_error();
		ret = SSL_write_ex(t->ssl, buf + done, len - done, &n);
		if (ret == 1) {
			done += n;
			continue;
		}
		rc = pump(t, ret, e);
		if (rc)
			return rc;
	}
	rc = flush(t);
	if (rc && rc != -EPIPE && rc != -ECONNRESET)
		return unreachable(t, rc, e);
	return 0; /* tls_recv() reads the alert, if any */
}

/* Exactly len bytes. */
static int tls_recv(struct tls *t, uint8_t *buf, size_t len, struct error *e)
{
	size_t done = 0;
	int ret, rc;

	while (done < len) {
		size_t n;

		ERR_clear_error();
		ret = SSL_read_ex(t->ssl, buf + done, len - done, &n);
		if (ret == 1) {
			done += n;
			continue;
		}
		rc = pump(t, ret, e);
		if (rc)
			return rc;
	}
	return 0;
}

/* NULL is allowed. */
static void tls_close(struct tls *t)
{
	if (!t)
		return;
	if (t->open) {
		if (SSL_is_init_finished(t->ssl)) {
			/* a lost close_notify does no harm */
			(void)SSL_shutdown(t->ssl);
			(void)flush(t);
		}
		t->stream->close(t->stream->ctx);
	}
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	ERR_clear_error();
	free(t);
}

static int nonsense(const struct kms_config *c, const char *what, struct error *e)
{
	return error_set(e, -EPROTO, CAUSE_KMS_REFUSED,
			 "the KMS at %s answered %s: see that it speaks KMIP 1.4 and "
			 "AES-GCM with 16-byte tags; nothing was changed",
			 c->address, what);
}

/* Reads one message whole; *rsp is malloc()ed. */
static int receive(struct tls *t, const struct kms_config *c, uint8_t **rsp, size_t *len,
		   struct error *e)
{
	uint8_t head[TTLV_HEADER_SIZE], *buf;
	struct cursor cur = cursor_reader(head, sizeof(head));
	uint32_t n;
	int rc;

	rc = tls_recv(t, head, sizeof(head), e);
	if (rc)
		return rc;
	(void)cursor_u32(&cur);
	n = cursor_u32(&cur);
	if (n > KMIP_MESSAGE_MAX - sizeof(head))
		return nonsense(c, "with a message that is too long", e);
	buf = malloc(sizeof(head) + n);
	if (!buf)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL,
				 "out of memory for the KMS's answer");
	memcpy(buf, head, sizeof(head));
	rc = tls_recv(t, buf + sizeof(head), n, e);
	*len = sizeof(head) + n;
	*rsp = buf;
	return rc;
}

/* What the server says, as the one sentence that an operator reads. */
static int refused(const struct kms_config *c, const char *key_id,
		   const struct kmip_response *r, struct error *e)
{
	const char *text = r->message[0] ? r->message : "no reason given";
	enum cause cause = kmip_cause(r);

	if (cause == CAUSE_KMS_KEY)
		return error_set(e, -ENOKEY, cause,
				 "the KMS key %.64s at %.100s is not active or not there "
				 "(\"%.90s\"): ask the KMS's operator to activate or "
				 "restore it; "
				 "nothing was changed",
				 key_id, c->address, text);
	if (cause == CAUSE_KMS_DENIED)
		return error_set(e, -EACCES, cause,
				 "the KMS at %.100s does not let this host use key %.64s "
				 "(\"%.90s\"): ask its operator for permission; nothing "
				 "was changed",
				 c->address, key_id, text);
	return error_set(e, -EREMOTEIO, cause,
			 "the KMS at %.100s refused to use key %.64s (\"%.90s\", reason "
			 "0x%x): see its log; nothing was changed",
			 c->address, key_id, text, r->reason);
}

static int check_kms(const struct kms_config *c, const struct kmip_request *rq,
		     const struct kmip_response *r, struct error *e)
{
	if (r->status)
		return refused(c, rq->key_id, r, e);
	if (r->operation != (uint32_t)rq->operation)
		return nonsense(c, "another operation", e);
	if (!r->key_id || r->key_id_len != strlen(rq->key_id) ||
	    memcmp(r->key_id, rq->key_id, r->key_id_len))
		return nonsense(c, "for another key", e);
	if (!r->data || r->data_len != KMS_SECRET_SIZE)
		return nonsense(c, "with data of another length", e);
	/* a shortened tag would make forgeries cheap */
	if (rq->operation == KMIP_ENCRYPT && (!r->tag || r->tag_len != KMS_TAG_SIZE))
		return nonsense(c, "without a 16-byte tag", e);
	return 0;
}

/* One request and its answer on a connection of its own to c's only address, which
 * is the nth one that the stream knows. */
static int exchange_at(const struct kms_config *c, const struct kms_stream *s,
		       unsigned int nth, const struct kmip_request *rq,
		       uint8_t data[KMS_SECRET_SIZE], uint8_t tag[KMS_TAG_SIZE],
		       struct error *e)
{
	uint8_t out[KMIP_REQUEST_MAX], *in = NULL;
	size_t out_len = sizeof(out), in_len = 0;
	struct kmip_response r;
	struct tls *t = NULL;
	int rc;

	if (!rq->key_id[0] || strlen(rq->key_id) > KMIP_KEY_ID_MAX)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"the KMS key's id is empty or longer than %d characters: "
			"run `vtpmctl host init` again",
			KMIP_KEY_ID_MAX);
	rc = kmip_encode(rq, out, &out_len);
	if (rc) {
		error_set(e, rc, CAUSE_INTERNAL, "the KMS request is too long");
		goto out;
	}
	rc = tls_open(&t, c, s, nth, e);
	if (!rc)
		rc = tls_send(t, out, out_len, e);
	if (!rc)
		rc = receive(t, c, &in, &in_len, e);
	if (rc)
		goto out;
	rc = kmip_parse(in, in_len, &r) ? nonsense(c, "no KMIP message", e)
					: check_kms(c, rq, &r, e);
	if (rc)
		goto out;
	memcpy(data, r.data, KMS_SECRET_SIZE);
	if (tag)
		memcpy(tag, r.tag, KMS_TAG_SIZE);
out:
	tls_close(t);
	OPENSSL_cleanse(out, sizeof(out));
	if (in)
		OPENSSL_cleanse(in, in_len);
	free(in);
	return rc;
}

/* Why none of several addresses could be reached: each with its own reason. */
struct tried {
	char text[200];
	size_t len;
};

static void note(struct tried *t, const char *address, int rc)
{
	int n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%.60s: %s",
			 t->len ? "; " : "", address, strerror(-rc));

	t->len += n > 0 ? (size_t)n : 0;
	if (t->len > sizeof(t->text) - 1)
		t->len = sizeof(t->text) - 1;
}

/* At the first address that answers. */
static int exchange(const struct kms_config *c, const struct kms_stream *s,
		    const struct kmip_request *rq, uint8_t data[KMS_SECRET_SIZE],
		    uint8_t tag[KMS_TAG_SIZE], struct error *e)
{
	unsigned int i, n = address_count(c->address);
	struct tried tried = {.len = 0};
	struct kms_config one = *c;
	char address[ADDRESS_MAX];
	struct error why;
	int rc = -EINVAL;

	one.address = address;
	for (i = 0; i < n; i++) {
		why = (struct error){.cause = CAUSE_NONE};
		rc = address_nth(c->address, i, address);
		if (!rc)
			rc = exchange_at(&one, s, i, rq, data, tag, &why);
		if (!rc)
			return 0;
		if (why.cause != CAUSE_KMS_UNREACHABLE || n == 1)
			return error_set(e, rc, why.cause, "%s", why.text);
		note(&tried, address, rc);
	}
	if (!n)
		return error_set(e, rc, CAUSE_NOT_CONFIGURED,
				 "the KMS address %.100s is not HOST:PORT, or more than "
				 "%d of them: run `vtpmctl host init` again",
				 c->address, ADDRESSES);
	return error_set(e, rc, CAUSE_KMS_UNREACHABLE,
			 "none of the KMS's addresses is reachable (%s): start one; "
			 "nothing was changed",
			 tried.text);
}

int kms_wrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	     size_t aad_len, const uint8_t secret[KMS_SECRET_SIZE],
	     struct kms_wrapped *out, struct error *e)
{
	const struct kmip_request rq = {
		.operation = KMIP_ENCRYPT,
		.key_id = c->key_id,
		.data = secret,
		.data_len = KMS_SECRET_SIZE,
		.iv = out->iv,
		.iv_len = KMS_IV_SIZE,
		.aad = aad,
		.aad_len = aad_len,
	};
	int rc;

	memset(out, 0, sizeof(*out));
	if (crypt_random(out->iv, sizeof(out->iv)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good source of random numbers: the "
				 "processor needs RDRAND");
	rc = exchange(c, s, &rq, out->ct, out->tag, e);
	if (!rc)
		memcpy(out->key_id, c->key_id, strlen(c->key_id));
	return rc;
}

int kms_unwrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	       size_t aad_len, const struct kms_wrapped *in,
	       uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	const struct kmip_request rq = {
		.operation = KMIP_DECRYPT,
		.key_id = in->key_id,
		.data = in->ct,
		.data_len = KMS_SECRET_SIZE,
		.iv = in->iv,
		.iv_len = KMS_IV_SIZE,
		.aad = aad,
		.aad_len = aad_len,
		.tag = in->tag,
	};

	return exchange(c, s, &rq, secret, NULL, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tls.h"
#include "lib/text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	if (c->cert_pem && (each_certificate(c->cert_pem, add_own, t->ctx) <= 0 ||
			    !use_key(t->ctx, c->key_pem)))
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

int tls_open(struct tls **out, const struct kms_config *c, const struct kms_stream *s,
	     unsigned int nth, struct error *e)
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

int tls_send(struct tls *t, const uint8_t *buf, size_t len, struct error *e)
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

int tls_read(struct tls *t, uint8_t *buf, size_t room, size_t *n, struct error *e)
{
	int ret, rc;

	for (;;) {
		ERR_clear_error();
		ret = SSL_read_ex(t->ssl, buf, room, n);
		if (ret == 1)
			return 0;
		rc = pump(t, ret, e);
		if (rc)
			return rc;
	}
}

int tls_recv(struct tls *t, uint8_t *buf, size_t len, struct error *e)
{
	size_t done = 0, n;
	int rc = 0;

	while (!rc && done < len) {
		rc = tls_read(t, buf + done, len - done, &n, e);
		done += rc ? 0 : n;
	}
	return rc;
}

void tls_close(struct tls *t)
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

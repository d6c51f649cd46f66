/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/kmskey.h"
#include "lib/channel.h"
#include "lib/poolconf.h"
#include "lib/vault.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/kmsurl.h"
#include "tools/vtpmctl/pemkind.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_MS   5000
#define TRANSFER_SEC 15

static X509 *first_certificate(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	/* the text is the passphrase, so that OpenSSL does not ask for one */
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, "") : NULL;

	BIO_free(bio);
	return cert;
}

/* option: what the operator gave it for. */
static int read_certificate(const char *path, const char *option, char **pem, X509 **cert,
			    struct error *e)
{
	const char *kind;
	size_t len;
	int rc = file_read(path, pem, &len, e);

	if (rc)
		return rc;
	*cert = first_certificate(*pem);
	if (*cert)
		return 0;
	kind = pemkind_of(*pem, len);
	if (strstr(kind, "key"))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "%s holds no PEM certificate but %s, and %s takes a "
				 "certificate: give it the right file; keys go with "
				 "--kms-key",
				 path, kind, option);
	return error_set(
		e, -EINVAL, CAUSE_INTERNAL,
		"%s holds no PEM certificate but %s, and %s takes a certificate: "
		"convert it with `openssl x509`",
		path, kind, option);
}

/* The CA's file, which the handshake would only find to be another's. */
static int check_ca(X509 *ca, const char *path, struct error *e)
{
	if (X509_check_ca(ca) || X509_check_issued(ca, ca) == X509_V_OK)
		return 0;
	return error_set(e, -EINVAL, CAUSE_INTERNAL,
			 "the certificate in %s is no CA's, and --kms-ca takes the "
			 "certificate of the CA that signed the KMS's: give that; this "
			 "host's own goes with --kms-cert",
			 path);
}

static int to_pkcs8(EVP_PKEY *key, struct kmskey *k)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem;
	long len = 0;

	if (bio &&
	    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		len = BIO_get_mem_data(bio, &pem);
	if (len > 0 && len < UINT16_MAX)
		k->key_pem = malloc((size_t)len + 1);
	if (k->key_pem) {
		memcpy(k->key_pem, pem, (size_t)len);
		k->key_pem[len] = 0;
		k->key_len = (size_t)len;
	}
	BIO_free(bio); /* secmem: wiped */
	return k->key_pem ? 0 : -ENOMEM;
}

/* What the three files are, for whom two of them were swapped. */
struct kms_files {
	const char *ca, *cert, *key; /* paths; NULL: not given */
	X509 *ca_x509;
};

static int check_pair(X509 *cert, EVP_PKEY *key, const struct kms_files *f,
		      struct error *e)
{
	if (X509_check_private_key(cert, key) != 1 && f->ca_x509 &&
	    X509_check_private_key(f->ca_x509, key) == 1)
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"the key in %s belongs to the certificate in %s, which --kms-ca "
			"names, and not to that in %s, which --kms-cert names: swap the "
			"two",
			f->key, f->ca, f->cert);
	if (X509_check_private_key(cert, key) != 1)
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"the key in %s does not belong to the certificate in %s; "
			"give the two that were made together",
			f->key, f->cert);
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "the certificate in %s has expired; have the KMS's "
				 "operator issue a new one",
				 f->cert);
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "the certificate in %s is not valid yet; check this "
				 "host's clock",
				 f->cert);
	return 0;
}

static int read_private_key(const char *path, EVP_PKEY **key, struct error *e)
{
	const char *kind;
	char *pem;
	size_t len;
	int rc = file_read(path, &pem, &len, e);

	if (rc)
		return rc;
	*key = pemfile_parse_key(pem, len);
	kind = pemkind_of(pem, len);
	OPENSSL_cleanse(pem, len);
	free(pem);
	if (*key)
		return 0;
	if (strstr(kind, "certificate") || strstr(kind, "public"))
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"%s holds no PEM private key but %s, and --kms-key takes "
			"the private key of --kms-cert: give it the right file",
			path, kind);
	return error_set(e, -EINVAL, CAUSE_INTERNAL,
			 "%s holds no PEM private key without passphrase; convert it "
			 "with `openssl pkey`",
			 path);
}

static int load_pair(struct kmskey *k, const struct kms_files *f, struct error *e)
{
	X509 *cert = NULL;
	EVP_PKEY *pkey = NULL;
	int rc = read_certificate(f->cert, "--kms-cert", &k->cert_pem, &cert, e);

	if (!rc)
		rc = read_private_key(f->key, &pkey, e);
	if (!rc)
		rc = check_pair(cert, pkey, f, e);
	if (!rc && to_pkcs8(pkey, k))
		rc = error_set(e, -ENOMEM, CAUSE_INTERNAL,
			       "the key in %s is too large; use an EC or RSA key",
			       f->key);
	X509_free(cert);
	EVP_PKEY_free(pkey);
	return rc;
}

int kmskey_load(struct kmskey *k, const char *ca, const char *cert, const char *key,
		struct error *e)
{
	struct kms_files f = {.ca = ca, .cert = cert, .key = key};
	int rc;

	memset(k, 0, sizeof(*k));
	rc = ca ? read_certificate(ca, "--kms-ca", &k->ca_pem, &f.ca_x509, e) : 0;
	if (!rc && cert)
		rc = load_pair(k, &f, e);
	if (!rc && ca)
		rc = check_ca(f.ca_x509, ca, e);
	X509_free(f.ca_x509);
	if (rc)
		kmskey_free(k);
	return rc;
}

/* A line of printable letters, as `vault token create -field=token` prints it. */
static int read_token(const char *path, struct kmskey *k, struct error *e)
{
	size_t len, n;
	char *text;
	int rc = file_read(path, &text, &len, e);

	if (rc)
		return rc;
	for (n = 0; text[n] > ' ' && text[n] <= '~'; n++)
		;
	if (n && n < VAULT_TOKEN_MAX && text[n + strspn(text + n, "\r\n")] == '\0' &&
	    text[0] != '-')
		k->key_pem = strndup(text, n);
	k->key_len = n;
	if (!k->key_pem)
		rc = error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"%s holds no token of Vault's, which is one line: make one "
			"with `vault token create -field=token`",
			path);
	OPENSSL_cleanse(text, len);
	free(text);
	return rc;
}

int kmskey_load_token(struct kmskey *k, const char *ca, const char *token,
		      struct error *e)
{
	int rc = kmskey_load(k, ca, NULL, NULL, e);

	if (!rc)
		rc = read_token(token, k, e);
	if (rc)
		kmskey_free(k);
	return rc;
}

void kmskey_free(struct kmskey *k)
{
	if (k->key_pem)
		OPENSSL_cleanse(k->key_pem, k->key_len);
	free(k->key_pem);
	free(k->ca_pem);
	free(k->cert_pem);
	memset(k, 0, sizeof(*k));
}

int kmskey_describe(const char *cert_pem, char **subject, time_t *expires)
{
	X509 *cert = first_certificate(cert_pem);
	BIO *bio = BIO_new(BIO_s_mem());
	struct tm tm;
	char *text;
	long len;
	int rc = -EINVAL;

	*subject = NULL;
	if (cert && bio && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 &&
	    X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >=
		    0) {
		len = BIO_get_mem_data(bio, &text);
		*subject = strndup(text, (size_t)len);
		*expires = timegm(&tm);
		rc = *subject ? 0 : -ENOMEM;
	}
	BIO_free(bio);
	X509_free(cert);
	return rc;
}

/* -EHOSTUNREACH, with a sentence of its own, when the name of HOST:PORT has no
 * address. */
static int tcp_check_name(const char *address, struct error *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	struct kmsurl url;
	int code;

	if (kmsurl_parse(address, &url))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the KMS address %.100s is not HOST:PORT", address);
	code = getaddrinfo(url.host, url.port, &hints, &list);
	if (code)
		return error_set(
			e, -EHOSTUNREACH, CAUSE_KMS_UNREACHABLE,
			"the name %s has no address (%s); check --kms and the DNS",
			url.host, gai_strerror(code));
	freeaddrinfo(list);
	return 0;
}

static int wait_connected(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error;

	if (poll(&p, 1, CONNECT_MS) != 1)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

static int dial_kms(const struct addrinfo *a, int *out)
{
	const struct timeval limit = {.tv_sec = TRANSFER_SEC};
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen))
		rc = errno == EINPROGRESS ? wait_connected(fd) : -errno;
	if (!rc &&
	    /* from here on it blocks, within limits */
	    (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	     setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit))))
		rc = -errno;
	if (!rc && fcntl(fd, F_SETFL, 0))
		rc = -errno;
	if (rc)
		close(fd);
	else
		*out = fd;
	return rc;
}

static int tcp_open(void *ctx, unsigned int nth)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct tcp *t = ctx;
	struct addrinfo *list, *a;
	char address[ADDRESS_MAX];
	struct kmsurl url;
	int rc = address_nth(t->addresses, nth, address);

	t->fd = -1;
	if (!rc)
		rc = kmsurl_parse(address, &url);
	if (rc)
		return rc;
	rc = -EHOSTUNREACH;
	if (getaddrinfo(url.host, url.port, &hints, &list))
		return rc;
	for (a = list; a; a = a->ai_next) {
		rc = dial_kms(a, &t->fd);
		if (!rc)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

static int tcp_send(void *ctx, const uint8_t *buf, size_t len)
{
	struct tcp *t = ctx;

	while (len) {
		ssize_t n = send(t->fd, buf, len, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int tcp_recv(void *ctx, uint8_t *buf, size_t room)
{
	struct tcp *t = ctx;
	ssize_t n = recv(t->fd, buf, room, 0);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (int)n;
}

static void tcp_close(void *ctx)
{
	struct tcp *t = ctx;

	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

/* The stream over *t; its open() connects to one of t->addresses. */
static struct kms_stream tcp_stream(struct tcp *t)
{
	t->fd = -1;
	return (struct kms_stream){
		.ctx = t,
		.open = tcp_open,
		.send = tcp_send,
		.recv = tcp_recv,
		.close = tcp_close,
	};
}

struct unlockconf *unlockconf_new_with(const struct hostconf *h, const struct pool *list,
				       bool in_pool, struct tpm *tpm, const uint8_t *uuid,
				       struct error *e)
{
	static const uint8_t trial[ENVELOPE_UUID_SIZE] = "xen-vtpm trial";
	struct unlockconf *u = calloc(1, sizeof(*u));
	struct cursor w;
	int rc;

	if (!u) {
		error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	w = cursor_writer(u->tlvs, sizeof(u->tlvs));
	channel_tlv_put(&w, CONFIG_UUID, uuid ? uuid : trial, sizeof(trial));
	rc = hostconf_encode(h, &w);
	if (!rc && list)
		poolconf_put(list, h->srk_name, sizeof(h->srk_name), in_pool, &w);
	if (!rc && !cursor_ok(&w))
		rc = -EMSGSIZE;
	if (!rc)
		rc = unlock_config_parse(u->tlvs, w.pos, &u->config, NULL);
	if (rc) {
		error_set(e, rc, CAUSE_NOT_CONFIGURED,
			  "host.json makes no sense: run `vtpmctl host init` again");
		OPENSSL_cleanse(u, sizeof(*u));
		free(u);
		return NULL;
	}
	u->tcp.addresses = u->config.kms_address;
	u->unlock = (struct unlock){
		.config = &u->config,
		.tpm = tpm_transport(tpm),
		.kms = tcp_stream(&u->tcp),
		.error = e,
		.keeps_key_away = true,
	};
	return u;
}

struct unlockconf *unlockconf_new(const struct hostconf *h, struct tpm *tpm,
				  const uint8_t *uuid, struct error *e)
{
	return unlockconf_new_with(h, NULL, false, tpm, uuid, e);
}

void unlockconf_free(struct unlockconf *u)
{
	unlock_config_free(&u->config);
	OPENSSL_cleanse(u, sizeof(*u));
	free(u);
}

int kmskey_seal(const struct kmskey *k, const struct hostconf *h, struct tpm *t,
		uint8_t **sealed, size_t *len, struct error *e)
{
	struct unlockconf *u = unlockconf_new(h, t, NULL, e);
	int rc;

	if (!u)
		return -EINVAL;
	*len = k->key_len + UNLOCK_KEY_OVERHEAD;
	*sealed = malloc(*len);
	rc = *sealed ? unlock_kms_seal_key(&u->unlock, k->key_pem, *sealed, len)
		     : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	unlockconf_free(u);
	if (rc) {
		free(*sealed);
		*sealed = NULL;
	}
	return rc;
}

int kmskey_move(const struct hostconf *from, const struct hostconf *to, struct tpm *t,
		uint8_t **sealed, size_t *len, struct error *e)
{
	struct unlockconf *old = unlockconf_new(from, t, NULL, e),
			  *new = old ? unlockconf_new(to, t, NULL, e) : NULL;
	int rc = new ? 0 : -EINVAL;

	*len = from->kms_key_sealed_len + UNLOCK_KEY_OVERHEAD;
	*sealed = rc ? NULL : malloc(*len);
	if (!rc)
		rc = *sealed ? unlock_kms_move_key(&old->unlock, &new->unlock, *sealed,
						   len)
			     : error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	if (new)
		unlockconf_free(new);
	if (old)
		unlockconf_free(old);
	if (rc) {
		free(*sealed);
		*sealed = NULL;
	}
	return rc;
}

struct attempt {
	const struct kmskey *key; /* or, when it is NULL: */
	const struct hostconf *conf;
	struct tpm *tpm;
	const char *key_id;
	bool is_get;
	struct kms_token *token; /* of kms_config */
};

static int with_key(const struct attempt *a, const char *address,
		    const uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	static const uint8_t aad[] = "xen-vtpm host init";
	const struct kms_config config = {
		.address = address,
		.ca_pem = a->key->ca_pem,
		.cert_pem = a->key->cert_pem,
		.key_pem = a->key->key_pem,
		.key_id = a->key_id,
	};
	struct tcp tcp = {.addresses = address};
	const struct kms_stream stream = tcp_stream(&tcp);
	uint8_t again[KMS_SECRET_SIZE];
	struct kms_wrapped wrapped;
	int rc;

	if (a->is_get)
		return kms_probe(&config, &stream, e);
	rc = kms_wrap(&config, &stream, aad, sizeof(aad), secret, &wrapped, e);
	if (!rc)
		rc = kms_unwrap(&config, &stream, aad, sizeof(aad), &wrapped, again, e);
	if (!rc && CRYPTO_memcmp(secret, again, sizeof(again)))
		rc = error_set(
			e, -EIO, CAUSE_KMS_REFUSED,
			"the KMS at %s decrypted to something else than it encrypted; "
			"do not use it",
			address);
	return rc;
}

/* unlock_kms_wrap() has the KMS decrypt it again. */
static int with_sealed(const struct attempt *a, const char *address,
		       const uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	struct hostconf one = *a->conf; /* what it points to is a->conf's */
	struct kms_wrapped wrapped;
	struct unlockconf *u;
	int rc;

	one.kms_address = (char *)address;
	u = unlockconf_new(&one, a->tpm, NULL, e);
	if (!u)
		return -EINVAL;
	u->config.token = a->token;
	rc = a->conf->kms_get ? unlock_kms_probe(&u->unlock)
			      : unlock_kms_wrap(&u->unlock, secret, &wrapped);
	unlockconf_free(u);
	return rc;
}

static int try_one(const struct attempt *a, const char *address, struct error *e)
{
	uint8_t secret[KMS_SECRET_SIZE];
	int rc = tcp_check_name(address, e);

	if (rc)
		return rc;
	if (crypt_random(secret, sizeof(secret)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good randomness yet; try "
				 "again in a minute");
	return a->key ? with_key(a, address, secret, e)
		      : with_sealed(a, address, secret, e);
}

static void pass_over(const char *address, const struct error *why, char *away)
{
	size_t used = away ? strlen(away) : 0;
	const char *end = strstr(why->text, ", then try again; nothing was changed");

	if (away)
		snprintf(away + used, ADDRESS_LIST - used, "%s%s", used ? "," : "",
			 address);
	else
		/* of what follows, as another address may answer, that is not known yet */
		fprintf(stderr, "Warning: %.*s\n",
			end ? (int)(end - why->text) : (int)strlen(why->text), why->text);
}

static int try_all(const struct attempt *a, const char *addresses, char *away,
		   struct error *e)
{
	unsigned int i, n = address_count(addresses), works = 0;
	char address[ADDRESS_MAX];
	struct error why;
	int rc = -EINVAL;

	if (away)
		away[0] = '\0';
	for (i = 0; i < n; i++) {
		why = (struct error){.cause = CAUSE_NONE};
		rc = address_nth(addresses, i, address);
		if (!rc)
			rc = try_one(a, address, &why);
		if (!rc)
			works++;
		else if (why.cause == CAUSE_KMS_UNREACHABLE && n > 1)
			pass_over(address, &why, away);
		else
			break;
	}
	if (i == n && works)
		return 0;
	if (i == n && n)
		return error_set(e, -EHOSTUNREACH, CAUSE_KMS_UNREACHABLE,
				 "none of the KMS's addresses is reachable: %s",
				 addresses);
	return error_set(e, rc, n ? why.cause : CAUSE_NOT_CONFIGURED, "%s",
			 n ? why.text : "the KMS has no usable address");
}

int kmskey_try(const char *addresses, const struct kmskey *k, const char *key_id,
	       bool is_get, struct error *e)
{
	const struct attempt a = {.key = k, .key_id = key_id, .is_get = is_get};

	fprintf(stderr, "Trying the KMS at %s with key %s\n", addresses, key_id);
	return try_all(&a, addresses, NULL, e);
}

int kmskey_try_sealed(const struct hostconf *h, struct tpm *t, char away[ADDRESS_LIST],
		      struct kms_token *token, struct error *e)
{
	const struct attempt a = {.conf = h, .tpm = t, .token = token};

	return try_all(&a, h->kms_address, away, e);
}

void kmskey_tell(const char *socket, const struct kms_token *token)
{
	json_t *request = client_request("kms-token", NULL), *reply = NULL;
	char text[CLIENT_TEXT];

	if (!request)
		return;
	json_object_set_new(request, "left_s", json_integer(token->left_s));
	/* a figure alone is missed when vtpmd is away, or of an older release */
	(void)!client_try(socket, request, &reply, text);
	json_decref(reply);
}

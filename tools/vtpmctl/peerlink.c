/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/peerlink.h"
#include "lib/cursor.h"
#include "lib/move.h"
#include "lib/text.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SILENT_S  90   /* longer than a manager may take: tools/vtpmd/move_op.c */
#define CONNECT_S 10   /* TCP by itself tries for two minutes */
#define CLOSE_MS  1000 /* for a record that says so */

struct peerlink {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	int64_t until;	     /* ms: what is read, or written, now is given up then */
	bool serves;	     /* the other host has connected */
	unsigned int silent; /* seconds in which the other host has to say something */
	char name[POOL_NAME_MAX + 1];	 /* the other host's, once it is known */
	uint8_t item[4 + PEERLINK_DATA]; /* that is being sent */
};

/* What is wrong with the time of the certificate, by this host's clock; NULL: nothing. */
static const char *out_of_time(const X509 *cert)
{
	if (cert && X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
		return "is not valid yet";
	if (cert && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		return "has expired";
	return NULL;
}

static int fail_time(struct error *e, const char *whose, const char *what)
{
	char now[STAMP_SIZE];

	stamp_now(now);
	return error_set(
		e, -EKEYREJECTED, CAUSE_PEER,
		"%s %s by this host's clock, which says %s: compare the clocks of "
		"both hosts, or renew the certificate",
		whose, what, now);
}

/* Whether a clock is why: *e says so. */
static int find_time(const struct peerlink *l, int reason, struct error *e)
{
	long verify = SSL_get_verify_result(l->ssl);
	const char *own = out_of_time(SSL_get_certificate(l->ssl));

	if (verify == X509_V_ERR_CERT_NOT_YET_VALID)
		return fail_time(e, "the certificate of the other host, or its CA's,",
				 "is not valid yet");
	if (verify == X509_V_ERR_CERT_HAS_EXPIRED)
		return fail_time(e, "the certificate of the other host, or its CA's,",
				 "has expired");
	if (own)
		return fail_time(e, "this host's certificate for other hosts", own);
	/* OpenSSL's alert for one that is not valid yet is that of a bad one */
	if (reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED ||
	    reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE)
		return fail_time(e,
				 "the other host refuses this host's certificate, which",
				 "is within its time");
	return 0;
}

/* Whether the connection ended, and TLS does not say why. */
static bool has_just_ended(unsigned long code)
{
	return !code || ERR_SYSTEM_ERROR(code) ||
	       ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

/* Of a connection to, or from, a host whose name is known. */
static int fail_ended(const struct peerlink *l, bool silent, struct error *e)
{
	if (silent)
		return error_set(
			e, -ETIMEDOUT, CAUSE_PEER,
			"%s has said nothing for %u s: see that it runs, and the "
			"network between both hosts",
			l->name, l->silent);
	if (l->serves)
		return error_set(e, -ECONNRESET, CAUSE_PEER,
				 "%s ended the connection: its `vtpmctl migrate` was "
				 "interrupted, or the network was",
				 l->name);
	return error_set(e, -ECONNRESET, CAUSE_PEER,
			 "%s ended the connection: the journal of its `vtpmctl "
			 "migrate-receive` has why",
			 l->name);
}

static int fail_link(const struct peerlink *l, struct error *e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = ERR_reason_error_string(code);
	int kind = SSL_get_error(l->ssl, 0);
	int rc = find_time(l, ERR_GET_REASON(code), e);

	ERR_clear_error();
	if (rc)
		return rc;
	if (l->name[0] && has_just_ended(code))
		return fail_ended(
			l, kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE,
			e);
	return error_set(e, -EACCES, CAUSE_PEER,
			 "%s (%s): see both hosts' certificates, and `vtpmctl peer list`",
			 what, why ? why : "the connection ended");
}

static SSL_CTX *new_context(const struct peerlink_keys *k, bool server)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_load_verify_file(ctx, k->ca) == 1 &&
	    SSL_CTX_use_certificate_chain_file(ctx, k->cert) == 1 &&
	    SSL_CTX_use_PrivateKey_file(ctx, k->key, SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_check_private_key(ctx) == 1) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
				   NULL);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		/* a record in one read(), which peerlink_has() knows of */
		SSL_CTX_set_read_ahead(ctx, 1);
		(void)SSL_CTX_set_num_tickets(ctx, 0);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}

/* Whether one of them, which is not NULL, can be read and is what it is to be. */
static bool is_loaded(const char *ca, const char *cert, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	bool is = ctx && (!ca || SSL_CTX_load_verify_file(ctx, ca) == 1) &&
		  (!cert || SSL_CTX_use_certificate_chain_file(ctx, cert) == 1) &&
		  (!key || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1);

	SSL_CTX_free(ctx);
	ERR_clear_error();
	return is;
}

/* Tells which of the three it is. */
static int fail_keys(const struct peerlink_keys *k, struct error *e)
{
	static const char more[] = "see docs/migration.md, \"Certificates\"";
	const struct {
		const char *what, *path;
		bool is_good;
	} files[] = {
		{"CA", k->ca, is_loaded(k->ca, NULL, NULL)},
		{"certificate", k->cert, is_loaded(NULL, k->cert, NULL)},
		{"key", k->key, is_loaded(NULL, NULL, k->key)},
	};
	FILE *f;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (files[i].is_good)
			continue;
		f = fopen(files[i].path, "re");
		if (!f)
			return error_set(e, -EINVAL, CAUSE_PEER,
					 "this host's %s for other hosts, %s, cannot be "
					 "read: %s; %s",
					 files[i].what, files[i].path, strerror(errno),
					 more);
		(void)fclose(f);
		return error_set(e, -EINVAL, CAUSE_PEER,
				 "this host's %s for other hosts, %s, cannot be used: it "
				 "is no %s in PEM; %s",
				 files[i].what, files[i].path, files[i].what, more);
	}
	return error_set(
		e, -EINVAL, CAUSE_PEER,
		"this host's key for other hosts, %s, is not that of its "
		"certificate, %s: the certificate is made of a request that this "
		"key has signed; %s",
		k->key, k->cert, more);
}

int peerlink_check(const struct peerlink_keys *k, struct error *e)
{
	SSL_CTX *ctx = new_context(k, true);

	SSL_CTX_free(ctx);
	return ctx ? 0 : fail_keys(k, e);
}

/* The common name of a certificate, as one of a host in the pool. */
static int read_name(const X509 *cert, char name[POOL_NAME_MAX + 1])
{
	int n = cert ? X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
						 NID_commonName, name, POOL_NAME_MAX + 1)
		     : -1;

	return n > 0 && (size_t)n == strlen(name) && text_is_clean(name, (size_t)n)
		       ? 0
		       : -EACCES;
}

int peerlink_own(const struct peerlink_keys *k, char name[POOL_NAME_MAX + 1], int *days,
		 struct error *e)
{
	SSL_CTX *ctx = new_context(k, true);
	const X509 *cert = ctx ? SSL_CTX_get0_certificate(ctx) : NULL;
	const char *wrong = out_of_time(cert);
	int seconds, rc = 0;

	*days = 0;
	if (!cert)
		rc = fail_keys(k, e);
	else if (wrong)
		rc = fail_time(e, "this host's certificate for other hosts", wrong);
	else if (read_name(cert, name))
		rc = error_set(e, -EINVAL, CAUSE_PEER,
			       "%s has no common name that may be a host's: its subject "
			       "has to be /CN=NAME, with this host's name in the list of "
			       "hosts",
			       k->cert);
	else if (!ASN1_TIME_diff(days, &seconds, NULL, X509_get0_notAfter(cert)))
		*days = 0;
	SSL_CTX_free(ctx);
	return rc;
}

int peerlink_verify(const struct peerlink_keys *k, struct error *e)
{
	SSL_CTX *ctx = new_context(k, true);
	X509_STORE_CTX *s = X509_STORE_CTX_new();
	STACK_OF(X509) *more = NULL;
	int rc = 0;

	if (!ctx)
		rc = fail_keys(k, e);
	else if (!s || SSL_CTX_get0_chain_certs(ctx, &more) != 1 ||
		 X509_STORE_CTX_init(s, SSL_CTX_get_cert_store(ctx),
				     SSL_CTX_get0_certificate(ctx), more) != 1)
		rc = error_set(e, -ENOMEM, CAUSE_RESOURCES, "there is no memory");
	else if (X509_verify_cert(s) != 1)
		rc = error_set(
			e, -EKEYREJECTED, CAUSE_PEER,
			"this host's certificate %s is not good by the CA %s (%s): have "
			"it made by the CA of the other hosts (docs/migration.md)",
			k->cert, k->ca,
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(s)));
	X509_STORE_CTX_free(s);
	SSL_CTX_free(ctx);
	return rc;
}

static int64_t ms_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* For an item as a whole: of a byte now and then each is in time. */
static void begin_item(struct peerlink *l)
{
	l->until = ms_now() + (int64_t)l->silent * 1000;
}

/* Before each read() and write() of OpenSSL's, which takes as many as a record needs. */
static long keep_deadline(BIO *bio, int operation, const char *argp, size_t len, int argi,
			  long argl, int rc, size_t *done)
{
	const struct peerlink *l = (const void *)BIO_get_callback_arg(bio);
	int64_t left = l->until - ms_now();
	struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

	if (operation != BIO_CB_READ && operation != BIO_CB_WRITE)
		return rc;
	if (left > 0) {
		(void)setsockopt(l->fd, SOL_SOCKET,
				 operation == BIO_CB_READ ? SO_RCVTIMEO : SO_SNDTIMEO,
				 &limit, sizeof(limit));
		return rc;
	}
	/* as the kernel says it of one that waits too long */
	BIO_clear_retry_flags(bio);
	if (operation == BIO_CB_READ)
		BIO_set_retry_read(bio);
	else
		BIO_set_retry_write(bio);
	errno = EAGAIN;
	return -1;
}

static bool has_socket(struct peerlink *l)
{
	BIO *bio = BIO_new_socket(l->fd, BIO_NOCLOSE);

	if (!bio)
		return false;
	BIO_set_callback_ex(bio, keep_deadline);
	BIO_set_callback_arg(bio, (char *)l);
	SSL_set_bio(l->ssl, bio, bio);
	return true;
}

/* Takes fd over, also on failure. */
static int new_link(const struct peerlink_keys *k, int fd, bool server,
		    unsigned int silent, struct peerlink **out, struct error *e)
{
	struct peerlink *l = calloc(1, sizeof(*l));
	int now = 1;

	if (!l) {
		close(fd);
		return error_set(e, -ENOMEM, CAUSE_RESOURCES, "there is no memory");
	}
	l->fd = fd;
	l->silent = silent;
	begin_item(l);
	/* what is sent is answered, or waited for: it does not wait for more */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof(now));
	l->ctx = new_context(k, server);
	l->ssl = l->ctx ? SSL_new(l->ctx) : NULL;
	if (!l->ssl || !has_socket(l)) {
		peerlink_close(l);
		return fail_keys(k, e);
	}
	*out = l;
	return 0;
}

static int resolve(const char *address, bool passive, struct addrinfo **found,
		   struct error *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = passive ? AI_PASSIVE : 0};
	const char *colon = strrchr(address, ':');
	char host[ADDRESS_MAX];
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (!n || n >= sizeof(host))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED, "%s is no HOST:PORT",
				 address);
	memcpy(host, address, n);
	host[n] = '\0';
	/* [::1]:7771 */
	if (host[0] == '[' && host[n - 1] == ']') {
		memmove(host, host + 1, n - 2);
		host[n - 2] = '\0';
	}
	if (getaddrinfo(host, colon + 1, &hints, found))
		return error_set(e, -EADDRNOTAVAIL, CAUSE_NOT_CONFIGURED,
				 "%s has no address: see its name, and DNS", address);
	return 0;
}

/* limit: seconds for each address.  -ETIMEDOUT: that has passed. */
static int connect_any(const struct addrinfo *a, unsigned int limit, int *fd)
{
	const struct timeval wait = {.tv_sec = limit};
	int rc = -ECONNREFUSED;

	for (; a; a = a->ai_next) {
		*fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (*fd < 0)
			return -errno;
		if (!setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) &&
		    !connect(*fd, a->ai_addr, a->ai_addrlen))
			return 0;
		rc = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
		close(*fd);
	}
	return rc;
}

static int connect_link(const struct peerlink_keys *k, const char *address,
			const char *name, unsigned int limit, unsigned int silent,
			struct peerlink **out, struct error *e)
{
	struct addrinfo *found;
	int fd, rc = resolve(address, false, &found, e);

	if (rc)
		return rc;
	rc = connect_any(found, limit, &fd);
	freeaddrinfo(found);
	if (rc)
		return error_set(e, rc, CAUSE_PEER,
				 "%s at %s cannot be reached: %s; see that `vtpmctl "
				 "migrate-receive` runs there",
				 name, address, strerror(-rc));
	rc = new_link(k, fd, false, silent, out, e);
	if (rc)
		return rc;
	if (SSL_set1_host((*out)->ssl, name) == 1 && SSL_connect((*out)->ssl) == 1) {
		snprintf((*out)->name, sizeof((*out)->name), "%s", name);
		return 0;
	}
	rc = fail_link(*out, e,
		       "the other host does not show that it is the one of that name");
	peerlink_close(*out);
	*out = NULL;
	return rc;
}

int peerlink_connect(const struct peerlink_keys *k, const char *address, const char *name,
		     struct peerlink **out, struct error *e)
{
	return connect_link(k, address, name, CONNECT_S, SILENT_S, out, e);
}

int peerlink_connect_soon(const struct peerlink_keys *k, const char *address,
			  const char *name, unsigned int seconds, struct peerlink **out,
			  struct error *e)
{
	return connect_link(k, address, name, seconds, seconds, out, e);
}

int peerlink_listen(const char *address, int *fd, struct error *e)
{
	struct addrinfo *found;
	int one = 1, rc = resolve(address, true, &found, e);

	if (rc)
		return rc;
	*fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(*fd, found->ai_addr, found->ai_addrlen) || listen(*fd, 8))
		rc = -errno;
	freeaddrinfo(found);
	if (rc == -EADDRINUSE)
		return error_set(
			e, rc, CAUSE_INTERNAL,
			"%s cannot be listened at: %s; a migrate-receive may run already "
			"(`systemctl status xen-vtpm-migrate-receive`); else choose another "
			"address",
			address, strerror(-rc));
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "%s cannot be listened at: %s; choose another address",
			      address, strerror(-rc))
		  : 0;
}

int peerlink_accept(const struct peerlink_keys *k, int fd, struct peerlink **out,
		    char peer[POOL_NAME_MAX + 1], struct error *e)
{
	int rc = new_link(k, fd, true, SILENT_S, out, e);
	X509 *cert = NULL;
	bool known;

	if (rc)
		return rc;
	(*out)->serves = true;
	if (SSL_accept((*out)->ssl) == 1)
		cert = SSL_get1_peer_certificate((*out)->ssl);
	known = !read_name(cert, peer); /* which was verified */
	X509_free(cert);
	if (known) {
		snprintf((*out)->name, sizeof((*out)->name), "%s", peer);
		return 0;
	}
	rc = fail_link(*out, e, "another host showed no certificate of this pool");
	peerlink_close(*out);
	*out = NULL;
	return rc;
}

#define IS_DATA	   (UINT32_C(1) << 31)
#define IS_WORD	   (UINT32_C(1) << 30)
#define IS_REFUSAL (UINT32_C(1) << 29)

static int refuse_length(struct error *e)
{
	return error_set(e, -EBADMSG, CAUSE_PEER,
			 "the other host sends too much at once: install one release on "
			 "both");
}

/* Of a number that came: whether it is the length of why the other host takes nothing. */
static bool is_refusal(const struct peerlink *l, size_t n)
{
	return !l->serves && n >> 29 == 1;
}

/* Reads why, which becomes *e's sentence. */
static int hear_refusal(struct peerlink *l, size_t n, struct error *e)
{
	char text[PEERLINK_REFUSAL + 1];
	uint8_t bytes[PEERLINK_REFUSAL];
	size_t got, at;

	n ^= IS_REFUSAL;
	if (n > sizeof(bytes))
		return refuse_length(e);
	for (at = 0; at < n; at += got)
		if (SSL_read_ex(l->ssl, bytes + at, n - at, &got) != 1)
			return fail_link(l, e,
					 "the connection to the other host was lost");
	text_clean(text, sizeof(text), bytes, n);
	return error_set(e, -EACCES, CAUSE_PEER, "%s refuses this host: %s", l->name,
			 text);
}

/* After a write that failed: what the other host said before it ended the connection.  In TLS 1.3
 * a server that refuses the certificate says so when the client has begun to write: its alert is
 * there to be read. */
static int fail_write(struct peerlink *l, struct error *e)
{
	uint8_t bytes[4] = {0};
	struct cursor r = cursor_reader(bytes, sizeof(bytes));
	size_t done = 0, n;

	ERR_clear_error();
	begin_item(l);
	if (SSL_read_ex(l->ssl, bytes, sizeof(bytes), &done) == 1 &&
	    done == sizeof(bytes)) {
		n = cursor_u32(&r);
		if (is_refusal(l, n))
			return hear_refusal(l, n, e);
	}
	return fail_link(l, e, "the connection to the other host was lost");
}

static int write_all(struct peerlink *l, const uint8_t *p, size_t n, struct error *e)
{
	size_t done;

	begin_item(l);
	if (!n || SSL_write_ex(l->ssl, p, n, &done) == 1)
		return 0;
	return fail_write(l, e);
}

static int read_all(struct peerlink *l, uint8_t *p, size_t n, struct error *e)
{
	size_t got;

	for (; n; p += got, n -= got)
		if (SSL_read_ex(l->ssl, p, n, &got) != 1)
			return fail_link(l, e,
					 "the connection to the other host was lost");
	return 0;
}

/* A number, and n bytes behind it, as one piece: a record of TLS's, as long as it fits into one. */
static int write_item(struct peerlink *l, size_t value, const uint8_t *p, size_t n,
		      struct error *e)
{
	struct cursor w = cursor_writer(l->item, sizeof(l->item));

	cursor_put_u32(&w, (uint32_t)value);
	cursor_put(&w, p, n);
	return cursor_ok(&w) ? write_all(l, l->item, w.pos, e) : refuse_length(e);
}

static int read_number(struct peerlink *l, size_t max, size_t *value, struct error *e)
{
	uint8_t bytes[4] = {0};
	struct cursor r = cursor_reader(bytes, sizeof(bytes));
	int rc = read_all(l, bytes, sizeof(bytes), e);

	*value = cursor_u32(&r);
	if (!rc && is_refusal(l, *value))
		return hear_refusal(l, *value, e);
	return !rc && *value > max ? refuse_length(e) : rc;
}

/* Of a turn: 4 bytes, and for each message 4 and its own. */
static size_t turn_size(const json_t *messages)
{
	size_t size = 4, i;
	const json_t *item;

	json_array_foreach(messages, i, item)
	{
		size += 4 + json_string_length(item) / 2;
	}
	return size;
}

static int put_message(struct cursor *w, const json_t *item)
{
	const char *hex = json_string_value(item);
	size_t len = json_string_length(item) / 2;
	uint8_t *bytes = malloc(len + 1);
	int rc = hex ? 0 : -EBADMSG;

	if (!rc)
		rc = bytes ? hex_decode(hex, bytes, &len) : -ENOMEM;
	if (!rc) {
		cursor_put_u32(w, (uint32_t)len);
		cursor_put(w, bytes, len);
	}
	free(bytes);
	return rc ? rc : cursor_ok(w) ? 0 : -EMSGSIZE;
}

/* In one piece, too: each is waited for. */
int peerlink_send(struct peerlink *l, const json_t *messages, struct error *e)
{
	size_t size = turn_size(messages), i;
	uint8_t *turn = malloc(size);
	struct cursor w = cursor_writer(turn, turn ? size : 0);
	const json_t *item;
	int rc = turn ? 0 : -ENOMEM;

	cursor_put_u32(&w, (uint32_t)json_array_size(messages));
	json_array_foreach(messages, i, item)
	{
		if (!rc)
			rc = put_message(&w, item);
	}
	if (rc)
		error_set(e, rc, CAUSE_INTERNAL, "vtpmd's answer makes no sense");
	else
		rc = write_all(l, turn, w.pos, e);
	free(turn);
	return rc;
}

static int recv_one(struct peerlink *l, json_t *messages, struct error *e)
{
	size_t len;
	uint8_t *bytes;
	char *hex;
	int rc = read_number(l, MOVE_MESSAGE_MAX, &len, e);

	if (rc)
		return rc;
	bytes = malloc(len + 1);
	hex = malloc(2 * len + 1);
	rc = bytes && hex ? read_all(l, bytes, len, e) : -ENOMEM;
	if (!rc) {
		hex_encode(bytes, len, hex);
		rc = json_array_append_new(messages, json_string(hex)) ? -ENOMEM : 0;
	}
	free(bytes);
	free(hex);
	return rc ? error_set(e, rc, CAUSE_RESOURCES, "there is no memory") : 0;
}

static int recv_messages(struct peerlink *l, size_t n, json_t **messages, struct error *e)
{
	size_t i;
	int rc = 0;

	*messages = json_array();
	for (i = 0; !rc && i < n; i++)
		rc = recv_one(l, *messages, e);
	if (!rc)
		return 0;
	json_decref(*messages);
	*messages = NULL;
	return rc;
}

int peerlink_recv(struct peerlink *l, json_t **messages, struct error *e)
{
	size_t n = 0;
	int rc;

	*messages = NULL;
	begin_item(l);
	rc = read_number(l, PEERLINK_MESSAGES, &n, e);
	if (rc)
		return rc;
	/* which the other host's manager was waited for */
	begin_item(l);
	return recv_messages(l, n, messages, e);
}

int peerlink_send_data(struct peerlink *l, const uint8_t *p, size_t n, struct error *e)
{
	return write_item(l, IS_DATA | n, p, n, e);
}

int peerlink_send_word(struct peerlink *l, uint32_t word, struct error *e)
{
	return write_item(l, IS_WORD | word, NULL, 0, e);
}

int peerlink_recv_item(struct peerlink *l, struct peerlink_item *item, struct error *e)
{
	size_t n = 0;
	int rc;

	begin_item(l);
	rc = read_number(l, UINT32_MAX, &n, e);
	if (rc)
		return rc;
	if (n & IS_DATA && (n ^ IS_DATA) <= PEERLINK_DATA) {
		item->kind = PEERLINK_IS_DATA;
		item->len = n ^ IS_DATA;
		return read_all(l, item->data, item->len, e);
	}
	if (!(n & IS_DATA) && n & IS_WORD) {
		item->kind = PEERLINK_IS_WORD;
		item->word = (uint32_t)n ^ IS_WORD;
		return 0;
	}
	if (n > PEERLINK_MESSAGES)
		return refuse_length(e);
	item->kind = PEERLINK_IS_TURN;
	return recv_messages(l, n, &item->messages, e);
}

void peerlink_refuse(struct peerlink *l, const char *why, bool waits)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t rest[256];
	size_t n = strnlen(why, PEERLINK_REFUSAL);

	if (write_item(l, IS_REFUSAL | n, (const uint8_t *)why, n, &e))
		return;
	/* what is not read here when this end is closed has TCP drop what was written */
	while (waits && SSL_read_ex(l->ssl, rest, sizeof(rest), &n) == 1)
		;
}

bool peerlink_has_ended(const struct peerlink *l)
{
	return SSL_get_shutdown(l->ssl) & SSL_RECEIVED_SHUTDOWN;
}

bool peerlink_is_quiet(const struct peerlink *l, unsigned int seconds)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};

	return !SSL_has_pending(l->ssl) && poll(&p, 1, (int)seconds * 1000) <= 0;
}

int peerlink_fd(const struct peerlink *l)
{
	return l->fd;
}

bool peerlink_has(const struct peerlink *l)
{
	return SSL_has_pending(l->ssl);
}

void peerlink_close(struct peerlink *l)
{
	if (!l)
		return;
	l->until = ms_now() + CLOSE_MS;
	if (l->ssl && SSL_is_init_finished(l->ssl))
		(void)SSL_shutdown(l->ssl);
	SSL_free(l->ssl);
	SSL_CTX_free(l->ctx);
	close(l->fd);
	free(l);
}

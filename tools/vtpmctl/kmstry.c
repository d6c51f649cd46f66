/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/kmstry.h"
#include "stubdom/manager/unlock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_MS   5000
#define TRANSFER_SEC 15

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

static const uint8_t aad[] = "xen-vtpm host init";

struct attempt {
	const struct kmskey *key; /* or, when it is NULL: */
	const struct hostconf *conf;
	struct tpm *tpm;
	const char *key_id;
};

static int with_key(const struct attempt *a, const char *address,
		    const uint8_t secret[KMS_SECRET_SIZE], uint8_t again[KMS_SECRET_SIZE],
		    struct error *e)
{
	const struct kms_config config = {
		.address = address,
		.ca_pem = a->key->ca_pem,
		.cert_pem = a->key->cert_pem,
		.key_pem = a->key->key_pem,
		.key_id = a->key_id,
	};
	struct tcp tcp = {.addresses = address};
	const struct kms_stream stream = tcp_stream(&tcp);
	struct kms_wrapped wrapped;
	int rc = kms_wrap(&config, &stream, aad, sizeof(aad), secret, &wrapped, e);

	return rc ? rc
		  : kms_unwrap(&config, &stream, aad, sizeof(aad), &wrapped, again, e);
}

static int with_sealed(const struct attempt *a, const char *address,
		       const uint8_t secret[KMS_SECRET_SIZE],
		       uint8_t again[KMS_SECRET_SIZE], struct error *e)
{
	struct hostconf one = *a->conf; /* what it points to is a->conf's */
	struct unlockconf *u = malloc(sizeof(*u));
	struct kms_wrapped wrapped;
	int rc;

	if (!u)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	one.kms_address = (char *)address;
	rc = unlockconf_fill(u, &one, a->tpm, e);
	if (rc)
		rc = error_set(e, rc, CAUSE_NOT_CONFIGURED, "host.json makes no sense");
	if (!rc)
		rc = unlock_kms_wrap(&u->unlock, secret, &wrapped);
	if (!rc)
		rc = unlock_kms_unwrap(&u->unlock, &wrapped, again);
	free(u);
	return rc;
}

static int try_one(const struct attempt *a, const char *address, struct error *e)
{
	uint8_t secret[KMS_SECRET_SIZE], again[KMS_SECRET_SIZE] = {0};
	int rc = tcp_check_name(address, e);

	if (rc)
		return rc;
	if (crypt_random(secret, sizeof(secret)))
		return error_set(e, -EIO, CAUSE_RANDOM,
				 "there is no good randomness yet; try "
				 "again in a minute");
	rc = a->key ? with_key(a, address, secret, again, e)
		    : with_sealed(a, address, secret, again, e);
	if (!rc && CRYPTO_memcmp(secret, again, sizeof(secret)))
		rc = error_set(
			e, -EIO, CAUSE_KMS_REFUSED,
			"the KMS at %s decrypted to something else than it encrypted; "
			"do not use it",
			address);
	return rc;
}

static void pass_over(const char *address, const struct error *why, char *away)
{
	size_t used = away ? strlen(away) : 0;

	if (away)
		snprintf(away + used, ADDRESS_LIST - used, "%s%s", used ? "," : "",
			 address);
	else
		fprintf(stderr, "Warning: %s\n", why->text);
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

int kmstry_key(const char *addresses, const struct kmskey *k, const char *key_id,
	       struct error *e)
{
	const struct attempt a = {.key = k, .key_id = key_id};

	fprintf(stderr, "Trying the KMS at %s with key %s\n", addresses, key_id);
	return try_all(&a, addresses, NULL, e);
}

int kmstry_sealed(const struct hostconf *h, struct tpm *t, char away[ADDRESS_LIST],
		  struct error *e)
{
	const struct attempt a = {.conf = h, .tpm = t};

	return try_all(&a, h->kms_address, away, e);
}

static int transmit_kms(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
			size_t *rsp_len)
{
	struct tpm *t = ctx;

	if (Tss2_Tcti_Transmit(t->tcti, len, cmd) ||
	    Tss2_Tcti_Receive(t->tcti, rsp_len, rsp, TSS2_TCTI_TIMEOUT_BLOCK))
		return -EIO;
	return 0;
}

static int fill_approvals(struct unlockconf *u, const struct hostconf *h)
{
	struct hosttpm_config *t = &u->config.tpm;
	size_t i, len;

	for (i = 0; i < h->approval_count; i++) {
		len = sizeof(u->approvals[i]);
		if (approval_encode(&h->approvals[i], u->approvals[i], &len))
			return -EINVAL;
		t->approval[i] = u->approvals[i];
		t->approval_len[i] = len;
	}
	t->approvals = h->approval_count;
	return 0;
}

int unlockconf_fill(struct unlockconf *u, const struct hostconf *h, struct tpm *tpm,
		    struct error *e)
{
	memset(u, 0, sizeof(*u));
	u->config = (struct unlock_config){
		.kms_address = h->kms_address,
		.kms_ca = h->kms_ca,
		.kms_cert = h->kms_cert,
		.kms_key_id = h->kms_key_id,
		.kms_key_sealed = h->kms_key_sealed,
		.kms_key_sealed_len = h->kms_key_sealed_len,
		.recovery_key = h->recovery_key_len ? h->recovery_key : NULL,
		.recovery_key_len = h->recovery_key_len,
	};
	u->config.tpm.srk_handle = h->srk_handle;
	memcpy(u->config.tpm.srk_name, h->srk_name, sizeof(h->srk_name));
	memcpy(u->config.tpm.counter_name, h->counter_name, sizeof(h->counter_name));
	memcpy(u->config.tpm.auth, h->auth, sizeof(h->auth));
	u->config.tpm.policy_key = h->policy_key;
	u->config.tpm.policy_key_len = sizeof(h->policy_key);
	u->tcp.addresses = h->kms_address;
	u->unlock = (struct unlock){
		.config = &u->config,
		.tpm = {.ctx = tpm, .exchange = transmit_kms},
		.kms = tcp_stream(&u->tcp),
		.error = e,
	};
	return fill_approvals(u, h);
}

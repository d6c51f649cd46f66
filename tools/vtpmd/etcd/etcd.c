/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/etcd.h"
#include "tools/vtpmd/etcd/grpc.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 2000
#define PAUSE_MS   250 /* between two tries */
#define HOST_MAX   256

struct endpoint {
	char host[HOST_MAX];
	int port;
	char name[HOST_MAX + 8];
};

struct etcd_call {
	struct etcd *c;
	struct etcd_call *next;
	struct grpc_call *call;
	struct event *limit; /* NULL: a watch */
	uint8_t *answer;
	size_t answer_len;
	bool answered, odd; /* more than one message, or no memory for it */
	etcd_done *done;
	void *ctx;
};

struct etcd {
	struct event_base *base;
	struct evdns_base *dns;
	SSL_CTX *tls;
	char *ca, *cert, *key; /* files, for a certificate that was renewed */
	struct endpoint endpoints[ETCD_ENDPOINTS_MAX];
	unsigned int count, at;
	struct bufferevent *coming; /* NULL: not on the way */
	struct grpc *link;	    /* NULL: not connected */
	struct event *pause, *leave;
	struct etcd_call *calls;
	char trouble[400];
	void (*on_link)(void *ctx, bool up);
	void *ctx;
};

static const char *const paths[] = {
	[ETCD_RANGE] = "/etcdserverpb.KV/Range",
	[ETCD_TXN] = "/etcdserverpb.KV/Txn",
	[ETCD_LEASE_GRANT] = "/etcdserverpb.Lease/LeaseGrant",
	[ETCD_LEASE_KEEPALIVE] = "/etcdserverpb.Lease/LeaseKeepAlive",
	[ETCD_LEASE_REVOKE] = "/etcdserverpb.Lease/LeaseRevoke",
	[ETCD_WATCH] = "/etcdserverpb.Watch/Watch",
	[ETCD_STATUS] = "/etcdserverpb.Maintenance/Status",
};

static struct timeval after_ms(unsigned int ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* -- where it is --------------------------------------------------------------- */

/* HOST:PORT or [ADDRESS]:PORT, which ends at a comma, a slash or the text's end. */
static int parse_endpoint(const char *text, size_t len, struct endpoint *p)
{
	char *colon, *end;
	long port;

	if (len >= sizeof(p->name))
		return -EINVAL;
	memcpy(p->name, text, len);
	p->name[len] = '\0';
	strncpy(p->host, p->name, sizeof(p->host) - 1);
	colon = strrchr(p->host, ':');
	if (!colon || colon == p->host || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	*colon = '\0';
	port = strtol(colon + 1, &end, 10);
	if (*end || port < 1 || port > 65535)
		return -EINVAL;
	p->port = (int)port;
	if (p->host[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		memmove(p->host, p->host + 1, strlen(p->host));
	}
	return p->host[0] ? 0 : -EINVAL;
}

static int parse_endpoints(struct etcd *c, const char *text)
{
	for (;;) {
		size_t len = strcspn(text, ",/");

		if (c->count == ETCD_ENDPOINTS_MAX ||
		    parse_endpoint(text, len, &c->endpoints[c->count]))
			return -EINVAL;
		c->count++;
		text += len;
		if (*text != ',')
			return 0;
		text++;
	}
}

static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	return -1;
}

/* -EINVAL: the file of that option cannot be read. */
static int check_readable(const char *path, const char *option, struct error *e)
{
	if (!access(path, R_OK))
		return 0;
	return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
			 "%s, of %s, cannot be read: %s.", path, option, strerror(errno));
}

static int read_files(const struct etcd *c, SSL_CTX *tls, struct error *e)
{
	int rc = check_readable(c->ca, "--store-ca", e);

	if (!rc)
		rc = check_readable(c->cert, "--store-cert", e);
	if (!rc)
		rc = check_readable(c->key, "--store-key", e);
	if (rc)
		return rc;
	if (SSL_CTX_load_verify_file(tls, c->ca) != 1)
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "%s is no PEM file of CA certificates: give another "
				 "--store-ca.",
				 c->ca);
	if (SSL_CTX_use_certificate_chain_file(tls, c->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, c->key, SSL_FILETYPE_PEM) != 1)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"%s and %s cannot be used or do not belong together: give "
			"PEM files for --store-cert and --store-key.",
			c->cert, c->key);
	return 0;
}

/* The rules of lib/tls.c. */
static int new_tls(const struct etcd *c, SSL_CTX **out, struct error *e)
{
	static const unsigned char h2[] = "\x02h2";
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	int rc;

	if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(tls, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
	    SSL_CTX_set_alpn_protos(tls, h2, sizeof(h2) - 1)) {
		SSL_CTX_free(tls);
		return error_crypto(e, -EIO, "TLS");
	}
	SSL_CTX_set_security_level(tls, 2);
	SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					 SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
	rc = read_files(c, tls, e);
	if (rc)
		SSL_CTX_free(tls);
	else
		*out = tls;
	return rc;
}

static int set_tls(struct etcd *c, const struct etcd_options *o, struct error *e)
{
	if (!o->ca || !o->cert || !o->key)
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "A store in etcd needs --store-ca, --store-cert and "
				 "--store-key.");
	c->ca = strdup(o->ca);
	c->cert = strdup(o->cert);
	c->key = strdup(o->key);
	if (!c->ca || !c->cert || !c->key)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	return new_tls(c, &c->tls, e);
}

static bool is_expired(const struct etcd *c)
{
	const X509 *own = SSL_CTX_get0_certificate(c->tls);

	return own && X509_cmp_current_time(X509_get0_notAfter(own)) < 0;
}

/* Takes the files anew when this host's certificate has expired, as somebody may have renewed it. */
static void renew_tls(struct etcd *c)
{
	struct error ignored = {.cause = CAUSE_NONE};
	SSL_CTX *tls;

	if (!is_expired(c) || new_tls(c, &tls, &ignored))
		return;
	SSL_CTX_free(c->tls);
	c->tls = tls;
}

/* -- the connection ------------------------------------------------------------ */

static void note_trouble(struct etcd *c, const char *why)
{
	snprintf(c->trouble, sizeof(c->trouble), "%s: %s", c->endpoints[c->at].name, why);
}

/* The member has ended it, and tells nobody why. */
static void note_closed(struct etcd *c, const char *why)
{
	char text[300];

	if (!is_expired(c)) {
		note_trouble(c, why);
		return;
	}
	snprintf(text, sizeof(text),
		 "this host's certificate has expired, %.200s (docs/pool.md)", c->cert);
	note_trouble(c, text);
}

static void try_later(struct etcd *c)
{
	struct timeval pause = after_ms(PAUSE_MS);

	c->at = (c->at + 1) % c->count;
	event_add(c->pause, &pause);
}

/* It is not used any more: calls in it have ended, or are cancelled. */
static void drop_link(struct etcd *c, struct grpc *link)
{
	grpc_free(link);
	event_del(c->leave);
	if (!c->trouble[0])
		note_closed(c, "the connection was closed");
	try_later(c);
	c->on_link(c->ctx, false);
}

/* Of grpc.c: the connection is broken, all calls have ended. */
static void on_broken(void *ctx)
{
	struct etcd *c = ctx;
	struct grpc *link = c->link;

	c->link = NULL;
	drop_link(c, link);
}

static void give_up(struct etcd *c)
{
	bufferevent_free(c->coming);
	c->coming = NULL;
	try_later(c);
}

static void note_tls(struct etcd *c, struct bufferevent *bev)
{
	unsigned long code = bufferevent_get_openssl_error(bev);
	long verify = SSL_get_verify_result(bufferevent_openssl_get_ssl(bev));
	int dns = bufferevent_socket_get_dns_error(bev), err = EVUTIL_SOCKET_ERROR();

	if (dns)
		note_trouble(c, evutil_gai_strerror(dns));
	else if (verify != X509_V_OK)
		note_trouble(c, X509_verify_cert_error_string(verify));
	else if (code && ERR_reason_error_string(code))
		note_closed(c, ERR_reason_error_string(code));
	else if (err)
		note_trouble(c, evutil_socket_error_to_string(err));
	else
		note_closed(c, "the connection was closed");
}

static void on_coming(struct bufferevent *bev, short what, void *ctx)
{
	struct etcd *c = ctx;
	const unsigned char *protocol;
	unsigned int len;

	if (what & BEV_EVENT_TIMEOUT)
		note_trouble(c, "no answer in time");
	else if (!(what & BEV_EVENT_CONNECTED))
		note_tls(c, bev);
	if (!(what & BEV_EVENT_CONNECTED)) {
		give_up(c);
		return;
	}
	SSL_get0_alpn_selected(bufferevent_openssl_get_ssl(bev), &protocol, &len);
	bufferevent_set_timeouts(bev, NULL, NULL);
	if (len == 2)
		c->link = grpc_new(bev, c->endpoints[c->at].name, on_broken, c);
	if (!c->link) {
		note_trouble(c, "it speaks no HTTP/2");
		give_up(c);
		return;
	}
	c->coming = NULL;
	c->trouble[0] = '\0';
	c->on_link(c->ctx, true);
}

static SSL *new_session_for(struct etcd *c, const struct endpoint *p)
{
	SSL *ssl = SSL_new(c->tls);
	X509_VERIFY_PARAM *param = ssl ? SSL_get0_param(ssl) : NULL;

	if (!ssl)
		return NULL;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, p->host) == 1 ||
	    (X509_VERIFY_PARAM_set1_host(param, p->host, 0) == 1 &&
	     SSL_set_tlsext_host_name(ssl, p->host) == 1))
		return ssl;
	SSL_free(ssl);
	return NULL;
}

static void on_pause(evutil_socket_t fd, short what, void *ctx)
{
	struct etcd *c = ctx;
	const struct endpoint *p = &c->endpoints[c->at];
	struct timeval limit = after_ms(CONNECT_MS);
	SSL *ssl;

	renew_tls(c);
	ssl = new_session_for(c, p);
	if (ssl)
		c->coming = bufferevent_openssl_socket_new(
			c->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
			BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!c->coming) {
		SSL_free(ssl);
		note_trouble(c, "there is no memory");
		try_later(c);
		return;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(c->coming, 1);
	bufferevent_setcb(c->coming, NULL, NULL, on_coming, c);
	bufferevent_set_timeouts(c->coming, &limit, &limit);
	bufferevent_enable(c->coming, EV_READ | EV_WRITE);
	if (bufferevent_socket_connect_hostname(c->coming, c->dns, AF_UNSPEC, p->host,
						p->port)) {
		note_trouble(c, "it cannot be connected to");
		give_up(c);
	}
}

/* Another member is to be asked: from the loop, as calls may be under way in grpc.c. */
static void on_leave(evutil_socket_t fd, short what, void *ctx)
{
	struct etcd *c = ctx;
	struct grpc *link = c->link;

	if (!link)
		return;
	/* before those hear of it that would call again */
	c->link = NULL;
	while (c->calls) {
		struct etcd_call *call = c->calls;
		etcd_done *done = call->done;
		void *of = call->ctx;

		etcd_cancel(call);
		done(of, -ETIMEDOUT, NULL, 0);
	}
	drop_link(c, link);
}

static void leave_member(struct etcd *c, const char *why)
{
	if (!c->trouble[0])
		note_trouble(c, why);
	event_active(c->leave, EV_TIMEOUT, 0);
}

/* -- calls ----------------------------------------------------------------------- */

static void unlink_call(struct etcd_call *call)
{
	struct etcd_call **at = &call->c->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (call->limit)
		event_free(call->limit);
	free(call->answer);
	free(call);
}

static int result_of(int status)
{
	switch (status) {
	case GRPC_OK:
		return 0;
	case GRPC_PERMISSION_DENIED:
	case GRPC_UNAUTHENTICATED:
		return -EACCES;
	case GRPC_RESOURCE_EXHAUSTED:
		return -ENOSPC;
	case GRPC_NOT_FOUND:
		return -ENOENT;
	case GRPC_OUT_OF_RANGE:
		return -ERANGE;
	case GRPC_FAILED_PRECONDITION:
	case 3: /* INVALID_ARGUMENT */
		return -EINVAL;
	default:
		return -ETIMEDOUT;
	}
}

static void on_answer(void *ctx, const uint8_t *buf, size_t len)
{
	struct etcd_call *call = ctx;
	bool again = call->answered;

	call->answered = true;
	call->odd = again || !(call->answer = malloc(len + 1));
	if (call->odd)
		return;
	memcpy(call->answer, buf, len);
	call->answer_len = len;
}

static void on_call_end(void *ctx, int status)
{
	struct etcd_call *call = ctx;
	int rc = result_of(status);

	if (!rc && (!call->answered || call->odd))
		rc = -ETIMEDOUT;
	/* it has no leader, or none that answers: another member may */
	if (status == GRPC_UNAVAILABLE)
		leave_member(call->c, "it is not available");
	call->done(call->ctx, rc, call->answer, call->answer_len);
	unlink_call(call);
}

static void on_watch_message(void *ctx, const uint8_t *buf, size_t len)
{
	struct etcd_call *call = ctx;

	call->done(call->ctx, 0, buf, len);
}

static void on_watch_end(void *ctx, int status)
{
	struct etcd_call *call = ctx;
	int rc = result_of(status);

	if (status == GRPC_UNAVAILABLE)
		leave_member(call->c, "it has lost its leader");
	call->done(call->ctx, rc ? rc : -ETIMEDOUT, NULL, 0);
	unlink_call(call);
}

static void on_limit(evutil_socket_t fd, short what, void *ctx)
{
	struct etcd_call *call = ctx;

	leave_member(call->c, "it did not answer in time");
}

static int start_call(struct etcd *c, enum etcd_method method, const uint8_t *buf,
		      size_t len, const struct grpc_events *events, etcd_done *done,
		      void *ctx, struct etcd_call **out)
{
	struct timeval limit = after_ms(ETCD_CALL_MS);
	struct etcd_call *call;
	int rc;

	if (len > ETCD_REQUEST_MAX)
		return -EMSGSIZE;
	if (!c->link)
		return -ENOTCONN;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct etcd_call){.c = c, .next = c->calls, .done = done, .ctx = ctx};
	c->calls = call;
	if (method != ETCD_WATCH) {
		call->limit = evtimer_new(c->base, on_limit, call);
		if (!call->limit || event_add(call->limit, &limit)) {
			unlink_call(call);
			return -ENOMEM;
		}
	}
	rc = grpc_call(c->link, paths[method], buf, len, method == ETCD_WATCH, events,
		       call, &call->call);
	if (rc)
		unlink_call(call);
	else
		*out = call;
	return rc;
}

int etcd_call(struct etcd *c, enum etcd_method method, const uint8_t *buf, size_t len,
	      etcd_done *done, void *ctx, struct etcd_call **out)
{
	static const struct grpc_events unary = {on_answer, on_call_end};

	return start_call(c, method, buf, len, &unary, done, ctx, out);
}

int etcd_watch(struct etcd *c, const uint8_t *buf, size_t len, etcd_done *done, void *ctx,
	       struct etcd_call **out)
{
	static const struct grpc_events stream = {on_watch_message, on_watch_end};

	return start_call(c, ETCD_WATCH, buf, len, &stream, done, ctx, out);
}

void etcd_cancel(struct etcd_call *call)
{
	grpc_cancel(call->call);
	unlink_call(call);
}

/* -- its life -------------------------------------------------------------------- */

int etcd_new(struct event_base *base, const struct etcd_options *o, struct etcd **out,
	     struct error *e)
{
	struct etcd *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	c->base = base;
	c->on_link = o->on_link;
	c->ctx = o->ctx;
	rc = parse_endpoints(c, o->endpoints);
	if (rc)
		rc = error_set(e, rc, CAUSE_NOT_CONFIGURED,
			       "The members of etcd in \"%.100s\" are not "
			       "HOST:PORT,HOST:PORT..., %d at most.",
			       o->endpoints, ETCD_ENDPOINTS_MAX);
	if (!rc)
		rc = set_tls(c, o, e);
	if (!rc) {
		c->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		c->pause = evtimer_new(base, on_pause, c);
		c->leave = event_new(base, -1, 0, on_leave, c);
		if (!c->dns || !c->pause || !c->leave)
			rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	}
	if (rc) {
		ERR_clear_error();
		etcd_free(c);
		return rc;
	}
	(void)evdns_base_resolv_conf_parse(c->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	(void)evdns_base_load_hosts(c->dns, "/etc/hosts");
	event_active(c->pause, EV_TIMEOUT, 0);
	*out = c;
	return 0;
}

void etcd_free(struct etcd *c)
{
	if (!c)
		return;
	while (c->calls)
		etcd_cancel(c->calls);
	grpc_free(c->link);
	if (c->coming)
		bufferevent_free(c->coming);
	if (c->pause)
		event_free(c->pause);
	if (c->leave)
		event_free(c->leave);
	if (c->dns)
		evdns_base_free(c->dns, 0);
	SSL_CTX_free(c->tls);
	free(c->ca);
	free(c->cert);
	free(c->key);
	free(c);
}

bool etcd_is_up(const struct etcd *c)
{
	return c->link != NULL;
}

const char *etcd_trouble(const struct etcd *c)
{
	return c->trouble;
}

const char *etcd_member(const struct etcd *c)
{
	return c->endpoints[c->at].name;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/metrics.h"
#include "include/version.h"
#include "tools/vtpmd/ask.h"
#include "tools/vtpmd/http.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/witness.h"
#include "tools/vtpmd/work.h"
#include "tools/vtpmd/vtpm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>
#include <uuid/uuid.h>

static void family(struct evbuffer *out, const char *name, const char *type,
		   const char *help)
{
	evbuffer_add_printf(out, "# HELP xen_vtpm_%s %s\n# TYPE xen_vtpm_%s %s\n", name,
			    help, name, type);
}

static bool metrics_told(const struct vtpm *v)
{
	return vtpm_is(v, VTPM_UP) && v->status.at.tv_sec;
}

/* One figure of each vTPM: what its manager tells, in units of so many, or of get(); below 0:
 * none. */
struct figure {
	const char *name, *type, *help;
	enum channel_status what;
	double unit;
	double (*get)(const struct vtpm *v);
};

static double told_figure(const struct vtpm *v, enum channel_status what, double unit)
{
	return metrics_told(v) && v->status.value[what] >= 0
		       ? (double)v->status.value[what] / unit
		       : -1;
}

static double up(const struct vtpm *v)
{
	return vtpm_is(v, VTPM_UP);
}

static double guest(const struct vtpm *v)
{
	return metrics_told(v) ? v->status.value[STATUS_GUEST_DOMID] >= 0 : -1;
}

static double metrics_generation(const struct vtpm *v)
{
	return (double)store_seq((struct store *)&v->store, CHANNEL_OBJECT_PERMALL);
}

static double waits_for_disk(const struct vtpm *v)
{
	return v->peer && peer_store_error(v->peer);
}

#define NS  1e9
#define KIB (1.0 / 1024)

/* Of a stub domain, what it has; of a process, what it uses. */
static double memory(const struct vtpm *v)
{
	if (!vtpm_is(v, VTPM_UP))
		return -1;
	if (!v->meta.process)
		return v->meta.memory * 1048576.0;
	return told_figure(v, STATUS_RESIDENT_KIB, KIB);
}

static double restarts(const struct vtpm *v)
{
	return (double)v->restarts;
}

static double failures(const struct vtpm *v)
{
	return (double)v->failures;
}

static double refusals(const struct vtpm *v)
{
	return (double)v->refusals;
}

static double guests_that_lost(const struct vtpm *v)
{
	uint32_t domids[GUESTS_MAX];

	return vtpm_guest_lost(v, domids);
}

static double is_ending(const struct vtpm *v)
{
	return v->meta.ending;
}

static const struct figure figures[] = {
	{"up", "gauge", "Whether the vTPM runs and serves.", .get = up},
	{"guest_connected", "gauge", "Whether a guest uses the vTPM.", .get = guest},
	{"lost_guests", "gauge",
	 "Guests that run, and have lost this vTPM until they restart.",
	 .get = guests_that_lost},
	{"refused_guests_total", "counter", "Guests that were refused.", .get = refusals},
	{"ending", "gauge", "Whether the vTPM ends with its guest, by `xl shutdown`.",
	 .get = is_ending},
	{"commands_total", "counter", "TPM commands since the vTPM was opened.",
	 .what = STATUS_COMMANDS, .unit = 1},
	{"refused_requests_total", "counter",
	 "Requests of the guest that were malformed or not allowed.",
	 .what = STATUS_REFUSED, .unit = 1},
	{"state_writes_total", "counter",
	 "Durable writes of the permanent state since the vTPM was opened.",
	 .what = STATUS_STATE_WRITES, .unit = 1},
	{"state_generation", "gauge", "Generation of the stored permanent state.",
	 .get = metrics_generation},
	{"store_waiting", "gauge",
	 "Whether the guest waits since the disk does not take the state.",
	 .get = waits_for_disk},
	{"uptime_seconds", "gauge", "Since the vTPM was opened.",
	 .what = STATUS_UPTIME_NS, .unit = NS},
	{"start_duration_seconds", "gauge",
	 "From the stub domain's first instruction to ready, the last time.",
	 .what = STATUS_READY_NS, .unit = NS},
	{"start_waiting_seconds", "gauge",
	 "How much of the start was waiting for TPM, KMS and store.",
	 .what = STATUS_UNLOCK_NS, .unit = NS},
	{"memory_bytes", "gauge",
	 "Memory of the stub domain; of a vTPM that is a process, its resident memory.",
	 .get = memory},
	{"memory_free_bytes", "gauge", "Memory that the stub domain does not use.",
	 .what = STATUS_FREE_KIB, .unit = KIB},
	{"hypercalls_total", "counter", "Hypercalls of the stub domain.",
	 .what = STATUS_HYPERCALLS, .unit = 1},
	{"notifications_total", "counter", "Event channel notifications it sent.",
	 .what = STATUS_NOTIFICATIONS, .unit = 1},
	{"restarts_total", "counter",
	 "Times that the vTPM's manager died and was started again.", .get = restarts},
	{"failures_total", "counter", "Starts that failed, and vTPMs that gave up.",
	 .get = failures},
};

static void put_figures(struct vtpmd *d, struct evbuffer *out)
{
	const struct figure *f;
	const struct vtpm *v;

	for (f = figures; f < figures + ARRAY_SIZE(figures); f++) {
		family(out, f->name, f->type, f->help);
		for (v = d->vtpms; v; v = v->next) {
			double value =
				f->get ? f->get(v) : told_figure(v, f->what, f->unit);

			if (value >= 0)
				evbuffer_add_printf(out,
						    "xen_vtpm_%s{vtpm=\"%s\"} %.15g\n",
						    f->name, v->meta.name, value);
		}
	}
}

static void put_states(struct vtpmd *d, struct evbuffer *out)
{
	static const char *const words[] = {"creating", "starting", "running",
					    "stopping", "stopped",  "failed"};
	const struct vtpm *v;
	size_t i;

	family(out, "state", "gauge", "1 for the state that the vTPM is in.");
	for (v = d->vtpms; v; v = v->next)
		for (i = 0; i < ARRAY_SIZE(words); i++)
			evbuffer_add_printf(
				out, "xen_vtpm_state{vtpm=\"%s\",state=\"%s\"} %d\n",
				v->meta.name, words[i],
				!strcmp(words[i], vtpm_state_word(v)));
}

static void put_infos(struct vtpmd *d, struct evbuffer *out)
{
	const struct vtpm *v;
	char uuid[37];

	family(out, "info", "gauge", "What the vTPM is.");
	for (v = d->vtpms; v; v = v->next) {
		uuid_unparse_lower(v->meta.uuid, uuid);
		evbuffer_add_printf(out,
				    "xen_vtpm_info{vtpm=\"%s\",uuid=\"%s\",policy=\"%s\","
				    "placement=\"%s\"} 1\n",
				    v->meta.name, uuid, v->meta.policy,
				    v->meta.process ? "process" : "stubdom");
	}
	family(out, "failure_info", "gauge", "Why the vTPM failed: docs/errors.md.");
	for (v = d->vtpms; v; v = v->next)
		if (v->state == VTPM_FAILED && v->meta.error.cause != CAUSE_NONE)
			evbuffer_add_printf(
				out,
				"xen_vtpm_failure_info{vtpm=\"%s\",cause=\"%s\"} 1\n",
				v->meta.name, error_word(v->meta.error.cause));
}

static void put_latency(struct evbuffer *out, const struct vtpm *v)
{
	static const char name[] = "xen_vtpm_command_duration_seconds";
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < LATENCY_BUCKETS; i++) {
		sum += v->status.bucket[i];
		if (i < LATENCY_BUCKETS - 1)
			evbuffer_add_printf(
				out, "%s_bucket{vtpm=\"%s\",le=\"%.15g\"} %" PRIu64 "\n",
				name, v->meta.name,
				(double)((uint64_t)LATENCY_FIRST_NS << i) / 1e9, sum);
	}
	evbuffer_add_printf(out, "%s_bucket{vtpm=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
			    v->meta.name, sum);
	evbuffer_add_printf(out, "%s_sum{vtpm=\"%s\"} %.15g\n", name, v->meta.name,
			    (double)v->status.sum_ns / 1e9);
	evbuffer_add_printf(out, "%s_count{vtpm=\"%s\"} %" PRIu64 "\n", name,
			    v->meta.name, sum);
}

static void put_latencies(struct vtpmd *d, struct evbuffer *out)
{
	const struct vtpm *v;

	family(out, "command_duration_seconds", "histogram",
	       "How long TPM commands took, to the durable state; the TPM2_Startup that each "
	       "guest's arrival causes is among them.");
	for (v = d->vtpms; v; v = v->next)
		if (metrics_told(v) && v->status.timed)
			put_latency(out, v);
}

static void put_one(struct evbuffer *out, const char *name, const char *help,
		    double value)
{
	family(out, name, "gauge", help);
	evbuffer_add_printf(out, "xen_vtpm_%s %.15g\n", name, value);
}

/* -1: it cannot be read. */
static double expiry(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	struct tm tm;
	double at = -1;

	if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
		at = (double)timegm(&tm);
	X509_free(cert);
	BIO_free(bio);
	return at;
}

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void metrics_token(struct vtpmd *d, int64_t left_s, int64_t ago_ms)
{
	int64_t used = monotonic_ms() - ago_ms;

	if (used >= d->token.used_ms)
		d->token = (struct kms_token){.left_s = left_s, .used_ms = used};
}

static double token_end(const struct vtpmd *d)
{
	return (double)time(NULL) - (double)(monotonic_ms() - d->token.used_ms) / 1e3 +
	       (double)d->token.left_s;
}

static void put_metrics_config(struct vtpmd *d, struct evbuffer *out)
{
	struct error e = {.cause = CAUSE_NONE};
	struct config *c;
	int rc = config_get(&d->host, d->config, &c, &e);
	double until = !rc && c->host.has_kms && c->host.kms_cert
			       ? expiry(c->host.kms_cert)
			       : -1;

	put_one(out, "config_valid", "Whether host.json can be used.", !rc);
	if (d->reloaded)
		put_one(out, "config_last_reload_success_timestamp_seconds",
			"When vtpmd last took host.json over on being told.",
			(double)d->reloaded);
	put_one(out, "config_last_reload_successful",
		"Whether the last reload of host.json succeeded.", !d->reload_failed);
	if (until >= 0)
		put_one(out, "kms_certificate_expiry_timestamp_seconds",
			"Until when the KMS client certificate is valid.", until);
	if (!rc && c->host.has_kms && !c->host.kms_cert && d->token.left_s)
		put_one(out, "kms_token_expiry_timestamp_seconds",
			"Until when the token for Vault lasts unless it is used before.",
			token_end(d));
	if (!rc) {
		put_one(out, "approved_states", "Boot states that open vTPMs.",
			(double)c->host.approval_count);
		config_put(c);
	}
}

static void put_host(struct vtpmd *d, struct evbuffer *out)
{
	struct statvfs fs;

	family(out, "build_info", "gauge", "The version of vtpmd.");
	evbuffer_add_printf(out, "xen_vtpm_build_info{version=\"%s\"} 1\n",
			    XEN_VTPM_VERSION);
	put_one(out, "daemon_start_time_seconds", "When vtpmd was started.",
		(double)d->started);
	if (!statvfs(d->store, &fs))
		put_one(out, "store_free_bytes", "Free on the file system of the store.",
			(double)fs.f_bavail * (double)fs.f_frsize);
}

/* One figure of each member of etcd that answers. */
struct member_figure {
	const char *name, *help;
	double (*get)(const struct member *m);
};

static double member_size(const struct member *m)
{
	return (double)m->status.size;
}

static double member_quota(const struct member *m)
{
	return (double)(m->status.quota ? m->status.quota : MEMBERS_QUOTA);
}

static double member_alarms(const struct member *m)
{
	return m->status.errors[0] != '\0';
}

static double member_has_leader(const struct member *m)
{
	return m->status.leader != 0;
}

static void put_members(struct evbuffer *out, const struct members *all)
{
	static const struct member_figure told[] = {
		{"etcd_size_bytes", "Size of the data base of a member of etcd.",
		 member_size},
		{"etcd_quota_bytes",
		 "At which size etcd takes nothing more: the default when it does not tell.",
		 member_quota},
		{"etcd_alarm", "Whether a member of etcd has an alarm, as NOSPACE.",
		 member_alarms},
		{"etcd_has_leader", "Whether a member of etcd knows of a leader.",
		 member_has_leader},
	};
	size_t i, n;

	family(out, "etcd_member_up", "gauge", "Whether a member of etcd answers.");
	for (n = 0; n < members_count(all); n++)
		evbuffer_add_printf(out, "xen_vtpm_etcd_member_up{member=\"%s\"} %d\n",
				    members_at(all, n)->name, members_at(all, n)->known);
	for (i = 0; i < ARRAY_SIZE(told); i++) {
		family(out, told[i].name, "gauge", told[i].help);
		for (n = 0; n < members_count(all); n++)
			if (members_at(all, n)->known)
				evbuffer_add_printf(
					out, "xen_vtpm_%s{member=\"%s\"} %.15g\n",
					told[i].name, members_at(all, n)->name,
					told[i].get(members_at(all, n)));
	}
}

static void put_witnesses(const struct vtpmd *d, bool is_pool, struct evbuffer *out)
{
	struct witness_figures f;

	witness_figures(d, &f);
	family(out, "pool_witnesses", "gauge",
	       "Other hosts of the pool, which are asked what they have seen of vTPMs.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_witnesses %u\n", f.hosts);
	family(out, "pool_witnesses_silent", "gauge",
	       "Of these, those that did not answer when they were asked last.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_witnesses_silent %u\n", f.silent);
	family(out, "pool_witnesses_ahead", "gauge",
	       "Other hosts that have seen more of etcd's data than there are, or another cluster.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_witnesses_ahead %u\n", f.ahead);
	family(out, "pool_starts_unwitnessed_total", "counter",
	       "Starts for which not all other hosts of the pool had answered.");
	if (is_pool)
		evbuffer_add_printf(
			out, "xen_vtpm_pool_starts_unwitnessed_total %" PRIu64 "\n",
			f.unwitnessed);
	family(out, "pool_starts_older_total", "counter",
	       "Starts that were refused, as another host of the pool has seen a newer state.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_starts_older_total %" PRIu64 "\n",
				    f.refused);
}

/* Of a host whose store is in etcd; of others, the names alone. */
static void put_pool(struct vtpmd *d, struct evbuffer *out)
{
	struct store_etcd_facts f = {.put_back = false};
	bool is_pool = store_etcd_is(d->store);

	if (is_pool)
		store_etcd_facts(&f);
	family(out, "pool_ready", "gauge", "Whether this host can use its pool's etcd.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_ready %d\n", !f.trouble[0]);
	family(out, "pool_put_back", "gauge",
	       "Whether etcd's data are older than this host knew, or another cluster's.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_put_back %d\n", f.put_back);
	family(out, "pool_lease_seconds", "gauge",
	       "For how long no other host can have this host's vTPMs.");
	if (is_pool)
		evbuffer_add_printf(out, "xen_vtpm_pool_lease_seconds %.3f\n",
				    f.lease_ms / 1e3);
	put_witnesses(d, is_pool, out);
	put_members(out, f.members);
}

/* What managers last reported, and what vtpmd knows itself. */
static void metrics_text(struct vtpmd *d, struct evbuffer *out)
{
	put_host(d, out);
	put_metrics_config(d, out);
	put_pool(d, out);
	put_infos(d, out);
	put_states(d, out);
	put_figures(d, out);
	put_latencies(d, out);
}

#define REQUEST_MAX 8192
/* A connection is over after that, whatever its client does. */
#define LIMIT_S	 5
#define FRESH_MS 500

struct client {
	struct client *next;
	struct vtpmd *d;
	struct bufferevent *stream;
	struct event *limit;
	struct ask ask;
	bool asked, answered, head;
	int status; /* of HTTP; 0: the request line has not come yet */
};

static struct event *listener;
static struct client *clients;
static unsigned int count;

static void drop_metrics(struct client *c)
{
	struct client **at = &clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	count--;
	ask_end(&c->ask);
	if (c->limit)
		event_free(c->limit);
	bufferevent_free(c->stream);
	free(c);
}

static void respond(struct client *c)
{
	struct evbuffer *out = bufferevent_get_output(c->stream);
	struct evbuffer *body = evbuffer_new();

	c->answered = true;
	if (!body) {
		drop_metrics(c);
		return;
	}
	if (c->status == 200)
		metrics_text(c->d, body);
	else
		evbuffer_add_printf(body, "There is GET /metrics here.\n");
	evbuffer_add_printf(out,
			    "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; "
			    "charset=utf-8\r\nContent-Length: %zu\r\nConnection: "
			    "close\r\n\r\n",
			    c->status, http_reason(c->status), evbuffer_get_length(body));
	if (!c->head)
		evbuffer_add_buffer(out, body);
	evbuffer_free(body);
}

static void on_metrics_answer(evutil_socket_t fd, short what, void *ctx)
{
	respond(ctx);
}

/* The header's lines say nothing that is needed here; the empty one ends them. */
static void on_metrics_read(struct bufferevent *b, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(b);
	struct client *c = ctx;
	bool end = false;
	char *line;

	while (!c->asked && !c->answered && !end &&
	       (line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF))) {
		if (!c->status)
			c->status = http_request(line, "/metrics", &c->head);
		else
			end = !line[0];
		free(line);
	}
	if (end && c->status == 200) {
		c->asked = true;
		/* on loopback everybody may scrape, and shall not keep stub domains busy
		 * with it */
		ask_begin(&c->ask, NULL, ASK_STATUS, FRESH_MS, ASK_TABLE_MS);
	} else if (end) {
		respond(c);
	} else if (evbuffer_get_length(in) >= REQUEST_MAX) {
		drop_metrics(c);
	}
}

/* The output has drained. */
static void on_metrics_write(struct bufferevent *b, void *ctx)
{
	struct client *c = ctx;

	if (c->answered)
		drop_metrics(c);
}

static void on_metrics_event(struct bufferevent *b, short what, void *ctx)
{
	struct client *c = ctx;

	/* one that reads no more may still wait for its answer */
	if (what & BEV_EVENT_EOF && (c->asked || c->answered) &&
	    !(what & BEV_EVENT_ERROR))
		return;
	drop_metrics(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	drop_metrics(ctx);
}

static int add_timers(struct client *c)
{
	static const struct timeval limit = {.tv_sec = LIMIT_S};

	c->limit = evtimer_new(c->d->base, on_deadline, c);
	if (ask_init(&c->ask, c->d, on_metrics_answer, c) || !c->limit)
		return -ENOMEM;
	priority_of_peers(c->ask.done);
	return event_add(c->limit, &limit) ? -ENOMEM : 0;
}

/* One client in a poll: others of this host wait no longer for many. */
static void on_metrics_accept(evutil_socket_t at, short what, void *ctx)
{
	int fd = accept4(at, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	if (fd < 0)
		return;
	c = count < METRICS_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (c)
		c->d = ctx;
	if (c)
		c->stream = bufferevent_socket_new(c->d->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c || !c->stream) {
		free(c);
		close(fd);
		return;
	}
	c->next = clients;
	clients = c;
	count++;
	if (add_timers(c)) {
		drop_metrics(c);
		return;
	}
	bufferevent_priority_set(c->stream, PRIORITY_PEERS);
	bufferevent_setcb(c->stream, on_metrics_read, on_metrics_write, on_metrics_event,
			  c);
	bufferevent_setwatermark(c->stream, EV_READ, 0, REQUEST_MAX);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
}

static bool is_loopback(const struct sockaddr *a)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *four = (const struct sockaddr_in *)a;

	if (a->sa_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == 127 && four->sin_port;
	return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) &&
	       six->sin6_port;
}

/* "unix:PATH", "127.0.0.1:PORT" (all of 127/8) or "[::1]:PORT"; -EINVAL. */
static int metrics_parse(const char *where, struct sockaddr_storage *a, socklen_t *len)
{
	struct sockaddr_un *path = (struct sockaddr_un *)a;
	int n = sizeof(*a);

	memset(a, 0, sizeof(*a));
	if (!strncmp(where, "unix:", 5)) {
		if (!where[5] || strlen(where + 5) >= sizeof(path->sun_path))
			return -EINVAL;
		path->sun_family = AF_UNIX;
		strcpy(path->sun_path, where + 5);
		*len = sizeof(*path);
		return 0;
	}
	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)a, &n) ||
	    !is_loopback((struct sockaddr *)a))
		return -EINVAL;
	*len = (socklen_t)n;
	return 0;
}

/* What an earlier vtpmd left; no other file, whatever was given. */
static void remove_socket(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		(void)unlink(path);
}

/* The descriptor, or -errno. */
static int listen_metrics_at(struct sockaddr *a, socklen_t len)
{
	int one = 1, rc = 0;
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;

	if (fd < 0)
		return -errno;
	mask = umask(0177);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, a, len) || listen(fd, METRICS_CLIENTS))
		rc = -errno;
	umask(mask);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

int metrics_open(struct vtpmd *d)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd, rc;

	if (!d->metrics)
		return 0;
	rc = metrics_parse(d->metrics, &a, &len);
	if (rc)
		return rc;
	if (a.ss_family == AF_UNIX)
		remove_socket(((struct sockaddr_un *)&a)->sun_path);
	fd = listen_metrics_at((struct sockaddr *)&a, len);
	if (fd < 0)
		return fd;
	listener = event_new(d->base, fd, EV_READ | EV_PERSIST, on_metrics_accept, d);
	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	priority_of_peers(listener);
	return event_add(listener, NULL) ? -ENOMEM : 0;
}

void metrics_close(struct vtpmd *d)
{
	while (clients)
		drop_metrics(clients);
	if (!listener)
		return;
	close(event_get_fd(listener));
	event_free(listener);
	listener = NULL;
	if (!strncmp(d->metrics, "unix:", 5))
		remove_socket(d->metrics + 5);
}

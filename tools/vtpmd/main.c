/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/quote.h"
#include "tools/vtpmd/ready.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/crb_devices.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/launch.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/presence.h"
#include "tools/vtpmd/metrics.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/work.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/trial.h"
#include "tools/vtpmd/tunnel.h"
#include "tools/vtpmd/xen.h"
#include "lib/crypt.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#define HOST_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"
#define USER	 "_vtpm" /* of the Debian package */
#define FOLDER	 "/var/lib/xen-vtpm"
#define LEAVE_S	 15 /* for processes to end, and the TPM to take the last anchor */

static const char usage[] =
	"usage: vtpmd [OPTIONS]\n"
	"Keeps the sealed states of this host's vTPMs, starts and supervises their stub\n"
	"domains, and gives them the way to the host's TPM and to the KMS.\n"
	"  --socket PATH         where vtpmctl finds it (/run/xen-vtpm/vtpmd.sock)\n"
	"  --store DIR | etcd://HOST:PORT,.../POOL  the sealed states (" FOLDER ")\n"
	"  --store-ca, --store-cert, --store-key FILE, --store-ttl S, --store-watchdog\n"
	"  --pool-witness any|majority   hosts that have to answer before a start (any)\n"
	"  --config FILE         of vtpmctl host init (/etc/xen-vtpm/host.json)\n"
	"  --tpm TARGET          the host's TPM (/dev/tpmrm0); unix:PATH, raw, for tests\n"
	"  --manager PATH        the vTPM manager (/usr/lib/xen-vtpm/vtpm-manager)\n"
	"  --stubdom PATH        the kernel that runs it (/usr/lib/xen-vtpm/vtpm-stubdom)\n"
	"  --crb PATH            the TPM of HVM guests (/usr/lib/xen-vtpm/vtpm-crb)\n"
	"  --domain-config FILE  into stub domains' xl files (/etc/xen-vtpm/stubdom.cfg)\n"
	"  --anchor DIR          the table against rollback (the store)\n"
	"  --anchor-interval S   changes are anchored in the TPM this often (600)\n"
	"  --vtpmctl PATH        who speaks with the TPM for that (beside vtpmd)\n"
	"  --host-log FILE       the host's event log, for attestation, when there is one\n"
	"  --audit FILE          the audit log (" AUDIT_PATH ")\n"
	"  --metrics unix:PATH | ADDRESS:PORT   figures for Prometheus, loopback only\n"
	"  --placement stubdom|process   of new vTPMs that ask for none (stubdom)\n"
	"  --user NAME           whom managers that are processes become (" USER ")\n"
	"  --process-unix DIR    for tests: TPM commands at DIR/NAME, and no Xen guests\n"
	"  --foreground, --verbose, --version   ignored; more on stderr; the version\n";

enum option_id {
	SOCKET = 1,
	STORE,
	CONFIG,
	TPM,
	MANAGER,
	STUBDOM,
	CRB,
	DOMAIN_CONFIG,
	UNIX,
	AUDIT,
	HOST_LOG_FILE,
	METRICS,
	ANCHOR,
	VTPMCTL,
	USER_NAME,
	STORE_CA,
	STORE_CERT,
	STORE_KEY
};

static bool take_path(struct vtpmd *d, int id, const char *value)
{
	const char **where[] = {
		[SOCKET] = &d->socket,
		[STORE] = &d->store,
		[CONFIG] = &d->config,
		[TPM] = &d->tpm,
		[MANAGER] = &d->manager,
		[STUBDOM] = &d->stubdom,
		[CRB] = &d->crb,
		[UNIX] = &d->unix_dir,
		[AUDIT] = &d->audit,
		[HOST_LOG_FILE] = &d->host_log,
		[METRICS] = &d->metrics,
		[ANCHOR] = &d->anchor_dir,
		[VTPMCTL] = &d->vtpmctl,
		[USER_NAME] = &d->user,
		[DOMAIN_CONFIG] = &d->domain_config,
		[STORE_CA] = &d->pool.ca,
		[STORE_CERT] = &d->pool.cert,
		[STORE_KEY] = &d->pool.key,
	};

	if (id < 1 || id >= (int)ARRAY_SIZE(where))
		return false;
	*where[id] = value;
	return true;
}

/* The usage alone would not tell which option it is. */
static int refuse_number(const char *option, int least, int most)
{
	fprintf(stderr, "vtpmd: --%s takes a number of seconds, %d to %d\n", option,
		least, most);
	return -EINVAL;
}

/* A number of seconds, from least to most. */
static bool take_seconds(const char *value, unsigned long least, unsigned long most,
			 unsigned int *out)
{
	char *end;
	unsigned long s = strtoul(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end || s < least || s > most)
		return false;
	*out = (unsigned int)s;
	return true;
}

/* 0, 1 for the help, 2 for the version, or -EINVAL. */
static int parse_options(struct vtpmd *d, int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, SOCKET},
		{"store", required_argument, NULL, STORE},
		{"store-ca", required_argument, NULL, STORE_CA},
		{"store-cert", required_argument, NULL, STORE_CERT},
		{"store-key", required_argument, NULL, STORE_KEY},
		{"store-ttl", required_argument, NULL, 't'},
		{"pool-witness", required_argument, NULL, 'w'},
		{"store-watchdog", no_argument, NULL, 'W'},
		{"config", required_argument, NULL, CONFIG},
		{"tpm", required_argument, NULL, TPM},
		{"manager", required_argument, NULL, MANAGER},
		{"stubdom", required_argument, NULL, STUBDOM},
		{"crb", required_argument, NULL, CRB},
		{"domain-config", required_argument, NULL, DOMAIN_CONFIG},
		{"process-unix", required_argument, NULL, UNIX},
		{"audit", required_argument, NULL, AUDIT},
		{"host-log", required_argument, NULL, HOST_LOG_FILE},
		{"metrics", required_argument, NULL, METRICS},
		{"anchor", required_argument, NULL, ANCHOR},
		{"anchor-interval", required_argument, NULL, 'i'},
		{"vtpmctl", required_argument, NULL, VTPMCTL},
		{"user", required_argument, NULL, USER_NAME},
		{"placement", required_argument, NULL, 'p'},
		{"foreground", no_argument, NULL, 'f'},
		{"verbose", no_argument, NULL, 'v'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int id;

	while ((id = getopt_long(argc, argv, "fvh", options, NULL)) != -1) {
		if (id == 'f' || take_path(d, id, optarg))
			continue;
		if (id == 'i' && take_seconds(optarg, 1, 86400, &d->anchor_every))
			continue;
		if (id == 't' && take_seconds(optarg, SESSION_TTL_MIN_S,
					      SESSION_TTL_MAX_S, &d->pool.ttl))
			continue;
		if (id == 'w' &&
		    (!strcmp(optarg, "any") || !strcmp(optarg, "majority"))) {
			d->pool.majority = optarg[0] == 'm';
			continue;
		}
		if (id == 'v')
			log_verbose(true);
		else if (id == 'W')
			d->pool.watchdog = true;
		else if (id == 'V')
			return 2;
		else if (id == 'p' &&
			 (!strcmp(optarg, "stubdom") || !strcmp(optarg, "process")))
			d->processes = optarg[0] == 'p';
		else if (id == 't')
			return refuse_number("store-ttl", SESSION_TTL_MIN_S,
					     SESSION_TTL_MAX_S);
		else if (id == 'i')
			return refuse_number("anchor-interval", 1, 86400);
		else
			return id == 'h' ? 1 : -EINVAL;
	}
	return optind == argc ? 0 : -EINVAL;
}

static int open_run(struct vtpmd *d)
{
	const char *slash = strrchr(d->socket, '/');

	if (!slash || slash == d->socket)
		return -EINVAL;
	snprintf(d->run, sizeof(d->run), "%.*s", (int)(slash - d->socket), d->socket);
	if (mkdir(d->run, 0700) && errno != EEXIST)
		return -errno;
	d->run_dir = open(d->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return d->run_dir < 0 ? -errno : 0;
}

/* The vtpmctl of the same installation. */
static int find_vtpmctl(struct vtpmd *d)
{
	static char path[4096];
	ssize_t n;
	char *slash;

	if (d->vtpmctl)
		return 0;
	n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("vtpmctl"));
	if (n <= 0)
		return -errno;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -EINVAL;
	strcpy(slash + 1, "vtpmctl");
	d->vtpmctl = path;
	return 0;
}

static struct event *events[5]; /* of the daemon as a whole */

/* Ends when no process is left to wait for: stub domains run on. */
static void on_leave(evutil_socket_t fd, short what, void *ctx)
{
	struct vtpmd *d = ctx;
	bool waits = false;
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next)
		if (vtpm_leave(v))
			waits = true;
	move_leave(d);
	if (!waits && !anchor_finish(d->anchor))
		event_base_loopbreak(d->base);
}

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
	struct vtpmd *d = ctx;
	struct timeval limit = {.tv_sec = LEAVE_S}, often = {.tv_usec = 50000};

	(void)sd_notify(0, "STOPPING=1");
	log_line(LOG_INFO, "ending; stub domains run on");
	store_ending();
	event_add(events[2], &often);
	event_base_loopexit(d->base, &limit);
}

static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
	struct error e = {.cause = CAUSE_NONE};

	ready_reloading(ctx);
	(void)!reload(ctx, &e); /* it tells the log */
	ready_reloaded(ctx);
}

static void on_watchdog(evutil_socket_t fd, short what, void *ctx)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

static int add_events(struct vtpmd *d)
{
	struct timeval tv;
	uint64_t usec;
	size_t i;

	events[0] = evsignal_new(d->base, SIGTERM, on_signal, d);
	events[1] = evsignal_new(d->base, SIGINT, on_signal, d);
	events[2] = event_new(d->base, -1, EV_PERSIST, on_leave, d);
	events[3] = event_new(d->base, -1, EV_PERSIST, on_watchdog, d);
	events[4] = evsignal_new(d->base, SIGHUP, on_hangup, d);
	for (i = 0; i < ARRAY_SIZE(events); i++)
		if (!events[i])
			return -ENOMEM;
	if (event_add(events[0], NULL) || event_add(events[1], NULL) ||
	    event_add(events[4], NULL))
		return -ENOMEM;
	if (sd_watchdog_enabled(0, &usec) > 0) {
		tv.tv_sec = (time_t)(usec / 3000000);
		tv.tv_usec = (suseconds_t)(usec / 3 % 1000000);
		if (event_add(events[3], &tv))
			return -ENOMEM;
	}
	return child_init(d->base);
}

static void end(struct vtpmd *d)
{
	size_t i;
	int rc;

	control_close(d);
	trial_end();
	metrics_close(d);
	/* before the leases are given back */
	work_end();
	/* notes what guests requested, in the vTPMs */
	crb_end(d);
	pool_move_end();
	while (d->vtpms) {
		struct vtpm *v = d->vtpms;

		vtpms_remove(v);
		vtpm_free(v);
	}
	rc = store_end(d->store);
	if (rc)
		log_line(LOG_WARNING,
			 "the leases that were given back may be this host's again after "
			 "a power cut: %s",
			 strerror(-rc));
	registry_leave_pool(d);
	ready_end(d);
	anchor_free(d->anchor);
	quote_end(d);
	move_end(d);
	xen_close(d->xen);
	config_forget(&d->host);
	config_put(d->pool.named_by);
	child_end();
	tunnel_end();
	for (i = 0; i < ARRAY_SIZE(events); i++)
		event_free(events[i]);
	event_base_free(d->base);
	close(d->run_dir);
}

/* What is there, and what of it runs on. */
static int load_store(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	/* nobody is told of half a store */
	control_pause(true);
	rc = registry_join_pool(d, &e);
	control_pause(false);

	if (rc) {
		log_line(LOG_ERR, "%s", e.text);
		return rc;
	}
	move_init(d);
	rc = registry_load(d);
	if (!rc)
		move_resume(d);
	if (rc)
		log_line(LOG_ERR,
			 "the store %s cannot be read: %s; see its disk and permissions",
			 d->store, strerror(-rc));
	return rc;
}

static void on_anchored(struct vtpmd *d)
{
	move_on_anchored(d);
	vtpm_start_anchored(d);
}

static int run_loop(struct vtpmd *d)
{
	int rc = control_open(d, &control_ops);

	if (rc == -EADDRINUSE)
		log_line(LOG_ERR, "another vtpmd answers at %s: stop it first",
			 d->socket);
	else if (rc)
		log_line(
			LOG_ERR,
			"%s cannot be listened at: %s; see its folder, or give another --socket",
			d->socket, strerror(-rc));
	if (rc)
		return rc;
	rc = metrics_open(d);
	if (rc) {
		log_line(LOG_ERR, "--metrics %s: %s", d->metrics,
			 rc == -EINVAL ? "give unix:PATH, 127.0.0.1:PORT or [::1]:PORT: "
					 "whoever can connect sees the figures"
				       : strerror(-rc));
		return rc;
	}
	d->xen = xen_open(d->base);
	if (!d->xen)
		log_line(LOG_NOTICE, "no Xen here: vTPMs can run as processes only");
	trail_begin(d);
	rc = quote_init(d);
	if (rc)
		return rc;
	d->on_anchored = on_anchored;
	d->on_anchoring = registry_witness_all;
	rc = anchor_new(d);
	if (rc) {
		log_line(
			LOG_ERR,
			rc == -EWOULDBLOCK
				? "another vtpmd uses the store's anchor "
				  "in %s: end it first (%s)"
				: "the anchor's folder %s cannot be used: %s; see its disk and permissions",
			d->anchor_dir, strerror(-rc));
		return rc;
	}
	launch_sweep(d->run_dir);
	if (vtpm_guest_watch(d)) {
		log_line(LOG_ERR,
			 "xenstore cannot be watched: see `systemctl status xenstored`");
		return -EIO;
	}
	rc = load_store(d);
	if (rc)
		return rc;
	trial_sweep(d);
	rc = crb_load(d, presence_requested);
	if (rc) {
		log_line(LOG_ERR, "the run folder %s cannot be read: %s; see `df /run`",
			 d->run, strerror(-rc));
		return rc;
	}
	/* a log that goes on has an end in the host's TPM */
	if (d->vtpms || d->audited.n)
		(void)anchor_want(d->anchor);
	rc = ready_begin(d);
	if (rc) {
		log_line(LOG_ERR, "there is no memory");
		return rc;
	}
	event_base_dispatch(d->base);
	return 0;
}

/* A vTPM that runs takes four files, and 1,024, what a service gets unasked, are too few for
 * a large host. */
static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		log_line(LOG_WARNING, "the limit of open files stays as it is: %m");
}

/* Where the vTPMs are: as the options say; else as `vtpmctl pool` has set the host up; else in
 * the folder, also while host.json cannot be read. */
static void settle_store(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	const struct hostconf_store *s;
	struct config *c = NULL;

	if (!d->store && !access(d->config, F_OK) &&
	    config_get(&d->host, d->config, &c, &e))
		log_line(LOG_ERR, "%s", e.text);
	if (!c || !c->host.store.url) {
		config_put(c);
		d->store = d->store ? d->store : FOLDER;
		return;
	}
	s = &c->host.store;
	d->store = s->url;
	d->pool.ca = d->pool.ca ? d->pool.ca : s->ca;
	d->pool.cert = d->pool.cert ? d->pool.cert : s->cert;
	d->pool.key = d->pool.key ? d->pool.key : s->key;
	d->pool.named_by = c;
}

int main(int argc, char **argv)
{
	struct vtpmd d = {
		.socket = "/run/xen-vtpm/vtpmd.sock",
		.config = "/etc/xen-vtpm/host.json",
		.tpm = "/dev/tpmrm0",
		.manager = "/usr/lib/xen-vtpm/vtpm-manager",
		.stubdom = "/usr/lib/xen-vtpm/vtpm-stubdom",
		.crb = "/usr/lib/xen-vtpm/vtpm-crb",
		.domain_config = "/etc/xen-vtpm/stubdom.cfg",
		.audit = AUDIT_PATH,
		.host_log = HOST_LOG,
		.anchor_every = ANCHOR_INTERVAL_S,
	};
	const char *lacks = crypt_init();
	int rc = parse_options(&d, argc, argv);

	if (rc == 2) {
		puts("vtpmd " XEN_VTPM_VERSION);
		return 0;
	}
	if (rc) {
		fputs(usage, rc > 0 ? stdout : stderr);
		return rc > 0 ? 0 : 2;
	}
	log_open();
	if (lacks) {
		log_line(LOG_ERR, CRYPT_LACKS, lacks);
		return 1;
	}
	settle_store(&d);
	if (!store_etcd_is(d.store))
		d.folder = d.store;
	else
		d.folder = d.anchor_dir ? d.anchor_dir : FOLDER;
	if (!d.user)
		d.user = d.unix_dir ? "nobody" : USER;
	d.started = time(NULL);
	crb_devices_load();
	umask(077);
	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	rc = find_vtpmctl(&d);
	if (rc) {
		log_line(LOG_ERR,
			 "vtpmctl cannot be found beside vtpmd (%s): give --vtpmctl",
			 strerror(-rc));
		return 1;
	}
	rc = open_run(&d);
	if (rc) {
		log_line(
			LOG_ERR,
			"the folder of %s cannot be used: %s; see its owner and permissions",
			d.socket, strerror(-rc));
		return 1;
	}
	d.base = event_base_new();
	if (!d.base || event_base_priority_init(d.base, PRIORITIES) || add_events(&d) ||
	    work_init(d.base))
		return 1;
	rc = run_loop(&d);
	end(&d);
	return rc ? 1 : 0;
}

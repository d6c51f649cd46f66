/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/metrics_text.h"
#include "include/version.h"
#include "tools/vtpmd/vtpm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <uuid/uuid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static void family(struct evbuffer *out, const char *name, const char *type,
		   const char *help)
{
	evbuffer_add_printf(out, "# HELP xen_vtpm_%s %s\n# TYPE xen_vtpm_%s %s\n", name,
			    help, name, type);
}

static bool told(const struct vtpm *v)
{
	return v->state == VTPM_RUNNING && v->status.at.tv_sec;
}

/* One figure of each vTPM; get() returns a value below 0 for none. */
struct figure {
	const char *name, *type, *help;
	double (*get)(const struct vtpm *v);
};

static double status(const struct vtpm *v, enum channel_status what)
{
	return told(v) ? (double)v->status.value[what] : -1;
}

static double up(const struct vtpm *v)
{
	return v->state == VTPM_RUNNING;
}

static double guest(const struct vtpm *v)
{
	return told(v) ? v->status.value[STATUS_GUEST_DOMID] >= 0 : -1;
}

static double commands(const struct vtpm *v)
{
	return status(v, STATUS_COMMANDS);
}

static double refused(const struct vtpm *v)
{
	return status(v, STATUS_REFUSED);
}

static double writes(const struct vtpm *v)
{
	return status(v, STATUS_STATE_WRITES);
}

static double generation(const struct vtpm *v)
{
	return (double)store_seq((struct store *)&v->store, CHANNEL_OBJECT_PERMALL);
}

static double waits_for_disk(const struct vtpm *v)
{
	return v->peer && peer_store_error(v->peer);
}

static double seconds(const struct vtpm *v, enum channel_status what)
{
	double ns = status(v, what);

	return ns < 0 ? -1 : ns / 1e9;
}

static double uptime(const struct vtpm *v)
{
	return seconds(v, STATUS_UPTIME_NS);
}

static double ready(const struct vtpm *v)
{
	return seconds(v, STATUS_READY_NS);
}

static double unlock(const struct vtpm *v)
{
	return seconds(v, STATUS_UNLOCK_NS);
}

/* Of a stub domain, what it has; of a process, what it uses. */
static double memory(const struct vtpm *v)
{
	if (v->state != VTPM_RUNNING)
		return -1;
	if (!v->meta.process)
		return v->meta.memory * 1048576.0;
	return status(v, STATUS_RESIDENT_KIB) < 0 ? -1
						  : status(v, STATUS_RESIDENT_KIB) * 1024;
}

static double memory_free(const struct vtpm *v)
{
	double kib = status(v, STATUS_FREE_KIB);

	return kib < 0 ? -1 : kib * 1024;
}

static double hypercalls(const struct vtpm *v)
{
	return status(v, STATUS_HYPERCALLS);
}

static double notifications(const struct vtpm *v)
{
	return status(v, STATUS_NOTIFICATIONS);
}

static double restarts(const struct vtpm *v)
{
	return (double)v->restarts;
}

static double failures(const struct vtpm *v)
{
	return (double)v->failures;
}

static const struct figure figures[] = {
	{"up", "gauge", "Whether the vTPM runs and serves.", up},
	{"guest_connected", "gauge", "Whether a guest uses the vTPM.", guest},
	{"commands_total", "counter", "TPM commands since the vTPM was opened.",
	 commands},
	{"refused_requests_total", "counter",
	 "Requests of the guest that were malformed or not allowed.", refused},
	{"state_writes_total", "counter",
	 "Durable writes of the permanent state since the vTPM was opened.", writes},
	{"state_generation", "gauge", "Generation of the stored permanent state.",
	 generation},
	{"store_waiting", "gauge",
	 "Whether the guest waits since the disk does not take the state.",
	 waits_for_disk},
	{"uptime_seconds", "gauge", "Since the vTPM was opened.", uptime},
	{"start_duration_seconds", "gauge",
	 "From the stub domain's first instruction to ready, the last time.", ready},
	{"start_waiting_seconds", "gauge",
	 "How much of the start was waiting for TPM, KMS and store.", unlock},
	{"memory_bytes", "gauge",
	 "Memory of the stub domain; of a vTPM that is a process, its resident memory.",
	 memory},
	{"memory_free_bytes", "gauge", "Memory that the stub domain does not use.",
	 memory_free},
	{"hypercalls_total", "counter", "Hypercalls of the stub domain.", hypercalls},
	{"notifications_total", "counter", "Event channel notifications it sent.",
	 notifications},
	{"restarts_total", "counter",
	 "Times that the vTPM's manager died and was started again.", restarts},
	{"failures_total", "counter", "Starts that failed, and vTPMs that gave up.",
	 failures},
};

static void put_figures(struct vtpmd *d, struct evbuffer *out)
{
	const struct vtpm *v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(figures); i++) {
		family(out, figures[i].name, figures[i].type, figures[i].help);
		for (v = d->vtpms; v; v = v->next) {
			double value = figures[i].get(v);

			if (value >= 0)
				evbuffer_add_printf(out,
						    "xen_vtpm_%s{vtpm=\"%s\"} %.15g\n",
						    figures[i].name, v->meta.name, value);
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
		if (told(v) && v->status.timed)
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

static void put_config(struct vtpmd *d, struct evbuffer *out)
{
	struct error e = {.cause = CAUSE_NONE};
	struct config c;
	int rc = config_load(d->config, &c, &e);
	double until = !rc && c.kms_cert ? expiry(c.kms_cert) : -1;

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
	if (!rc) {
		put_one(out, "approved_states", "Boot states that open vTPMs.",
			c.approvals);
		config_free(&c);
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

void metrics_text(struct vtpmd *d, struct evbuffer *out)
{
	put_host(d, out);
	put_config(d, out);
	put_infos(d, out);
	put_states(d, out);
	put_figures(d, out);
	put_latencies(d, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm.h"
#include "vtpm_copy.h"
#include "vtpm_identity.h"
#include "vtpm_keys.h"
#include "vtpm_launch.h"
#include "vtpm_status.h"
#include "firmware.h"
#include "firmware12.h"
#include "firmware_banks.h"
#include "hostchan.h"
#include "plain.h"
#include "state.h"
#include "unlock.h"
#include "vendor.h"
#include "backend/backend.h"
#include "backend/xen_ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

struct vtpm {
	const struct vtpm_place *place;
	struct hostchan *chan;
	struct state_place durable; /* the channel's own */
	uint8_t *tlvs;
	struct unlock_config config;
	struct state state;
	struct error error;
	struct firmware firmware;
	struct eventlog log; /* of the guest's launch */
	struct attest attest;
	struct vtpm_identity identity;
	struct xen_ops xen;
	struct backend *backend;
	struct listener listener;
	struct plain *plain;
	uint64_t waited_ns; /* for TPM, KMS and store */
	uint64_t ready_ns, unlock_ns;
	uint64_t ready_at;
	struct latency latency;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The channel's calls, with the time that they take. */
static int timed_get(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	struct vtpm *v = ctx;
	uint64_t start = now_ns();
	int rc = v->durable.get(v->durable.ctx, object, buf, len);

	v->waited_ns += now_ns() - start;
	return rc;
}

static int timed_put(void *ctx, enum channel_object object, uint64_t seq,
		     const uint8_t *buf, size_t len)
{
	struct vtpm *v = ctx;
	uint64_t start = now_ns();
	int rc = v->durable.put(v->durable.ctx, object, seq, buf, len);

	v->waited_ns += now_ns() - start;
	return rc;
}

static int put_later(void *ctx, enum channel_object object, uint64_t seq,
		     const uint8_t *buf, size_t len)
{
	struct vtpm *v = ctx;

	return v->durable.put_later(v->durable.ctx, object, seq, buf, len);
}

static struct vtpm_keys keys_of(struct vtpm *v)
{
	return (struct vtpm_keys){
		.chan = v->chan,
		.place = &v->durable,
		.config = &v->config,
		.state = &v->state,
		.error = &v->error,
	};
}

static int start_firmware(struct vtpm *v)
{
	if (v->config.tpm12)
		return firmware12_start();
	return vtpm_identity_power_on(&v->identity, v->chan, &v->firmware);
}

static int start_engine(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	struct engine_options options = {
		.create = v->config.create && !v->config.is_copy,
		.version = v->config.tpm12 ? ENGINE_TPM_12 : ENGINE_TPM_20,
	};
	struct engine_store store;
	uint64_t start;
	int rc;

	v->durable = hostchan_place(v->chan);
	v->state.place = (struct state_place){
		.ctx = v,
		.get = timed_get,
		.put = timed_put,
		.put_later = put_later,
	};
	memcpy(v->state.uuid, v->config.uuid, sizeof(v->state.uuid));
	v->state.error = &v->error;
	start = now_ns();
	rc = v->config.is_copy ? vtpm_copy(&keys) : vtpm_keys_unlock(&keys);
	v->waited_ns += now_ns() - start;
	if (rc)
		return -EACCES;
	store = state_store(&v->state);
	rc = engine_open(&store, &options, &v->error);
	if (!rc)
		vtpm_keys_finish(&keys);
	if (!rc && v->config.pcr_banks && firmware_banks(v->config.pcr_banks))
		rc = error_set(&v->error, -EIO, CAUSE_ENGINE,
			       "the TPM did not take the PCR banks that were asked for");
	return rc;
}

/* The first power-on: a new TPM's endorsement keys take longer than a guest would wait. */
static int begin(struct vtpm *v)
{
	int rc;

	if (!v->config.tpm12)
		return vtpm_identity_begin(&v->identity, v->chan, &v->config,
					   &v->firmware, &v->error);
	rc = firmware12_start();
	return rc ? firmware_failed(rc, &v->error) : 0;
}

/* There is no log of a TPM 1.2's, which a measured guest would have to have. */
static int measure(struct vtpm *v, uint32_t domid)
{
	if (!v->config.tpm12)
		return vtpm_launch(v->chan, domid, v->config.launch, &v->log);
	return v->config.launch ? -EPERM : 0;
}

static int power_cycle(void *ctx, uint32_t domid)
{
	struct vtpm *v = ctx;
	int rc = engine_power_cycle();

	eventlog_clear(&v->log);
	if (!rc)
		rc = start_firmware(v);
	if (!rc)
		return measure(v, domid);
	hostchan_log(v->chan, LOG_ERR, "the TPM could not be restarted for its guest");
	return rc;
}

static int execute(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
		   uint8_t *rsp, size_t *rsp_len)
{
	struct vtpm *v = ctx;
	const struct vendor vendor = {.log = &v->log, .attest = &v->attest};
	uint64_t start = now_ns();
	int rc = 0;

	if (!vendor_execute(&vendor, cmd, len, rsp, rsp_len))
		rc = engine_execute(locality, cmd, len, rsp, rsp_len);
	latency_add(&v->latency, now_ns() - start);
	if (rc)
		hostchan_log(v->chan, LOG_ERR,
			     "a command failed as its state could not be stored; the "
			     "TPM answers TPM_RC_FAILURE until its guest restarts");
	return rc;
}

static void cancel(void *ctx)
{
	engine_cancel();
}

static void hear_cancel(void *ctx)
{
	struct vtpm *v = ctx;

	if (v->backend)
		backend_check_cancel(v->backend);
}

static const struct backend_engine engine_ops = {
	.power_cycle = power_cycle,
	.execute = execute,
	.cancel = cancel,
};

static int open_backend(struct vtpm *v)
{
	struct backend_config c = {
		.localities = v->config.localities ? v->config.localities : 1,
		.shared_domain = !v->place->stubdom,
		.tpm12 = v->config.tpm12,
	};
	struct backend_engine engine = engine_ops;
	const uint8_t *u = v->config.uuid;
	int rc;

	snprintf(c.uuid, sizeof(c.uuid),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
	rc = xen_ops_open(&v->xen);
	if (rc)
		return error_set(&v->error, rc, CAUSE_INTERNAL,
				 "/dev/xen/{xenbus,evtchn,gntdev} cannot be used: %s",
				 strerror(-rc));
	engine.ctx = v;
	engine_while_busy(hear_cancel, v);
	rc = backend_open(&v->backend, &c, &engine, &xen_ops_table, &v->xen);
	if (rc) {
		xen_ops_close(&v->xen);
		return error_set(&v->error, rc, CAUSE_INTERNAL,
				 "the backend could not be offered to guests: %s",
				 strerror(-rc));
	}
	return 0;
}

static int open_side(struct vtpm *v)
{
	struct plain_ops ops = {.ctx = v, .execute = execute};
	int rc;

	if (!v->place->no_xen)
		return open_backend(v);
	if (!v->place->unix_path)
		return 0;
	rc = listener_unix(&v->listener, v->place->unix_path, &v->error);
	if (rc)
		return rc;
	rc = plain_open(&v->plain, &v->listener, &ops);
	return rc ? error_set(&v->error, rc, CAUSE_INTERNAL, "out of memory") : 0;
}

static void send_status(struct vtpm *v)
{
	struct vtpm_status s = {
		.writes = v->state.writes,
		.seq = v->state.seq,
		.ready_ns = v->ready_ns,
		.unlock_ns = v->unlock_ns,
		.uptime_ns = now_ns() - v->ready_at,
		.certs = v->identity.good,
		.latency = &v->latency,
	};
	struct backend_stats b = {0};
	uint8_t tlvs[VTPM_STATUS_MAX];

	if (v->backend) {
		backend_stats(v->backend, &b);
		s.guest = b.present;
		s.guest_domid = b.domid;
		s.refused = b.refused;
		s.resumes = b.resumes;
	}
	s.commands = v->plain ? plain_commands(v->plain) : b.commands;
	vtpm_stub_read(&s.stub);
	if (!v->place->stubdom)
		s.resident_kib = vtpm_resident_kib();
	/* vtpmd asks again */
	(void)!hostchan_status(v->chan, tlvs, vtpm_status_encode(&s, tlvs));
}

/* From now on the guests are those of `vtpmctl launch`.  Without Xen, for tests, no
 * guest comes: the TPM itself is started anew as for one. */
static void serve_launched(struct vtpm *v)
{
	v->config.launch = true;
	if (v->place->no_xen && power_cycle(v, 0))
		hostchan_log(v->chan, LOG_ERR, "the TPM was not started as for a guest");
}

/* The status that vtpmd asks for with it tells what came of it. */
static void resume_next(struct vtpm *v)
{
	if (v->backend && backend_resume_next(v->backend))
		hostchan_log(v->chan, LOG_NOTICE,
			     "the next guest goes on with the last one's PCRs");
}

/* For `vtpmctl attest`: the guest has no part in it, and keeps what it may be reading. */
static void attest(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	struct attest_request r = {.ak = COMMAND_RH_NULL};
	struct attest own = v->attest;
	uint8_t *request;
	struct cursor c;
	uint32_t tpm_rc;
	size_t len;

	own.evidence = NULL;
	if (hostchan_attest(v->chan, &request, &len))
		return;
	c = cursor_reader(request, len);
	r.pcrs = cursor_u32(&c);
	r.nonce_len = cursor_left(&c);
	r.nonce = cursor_bytes(&c, r.nonce_len);
	if (!cursor_ok(&c) || r.nonce_len > ATTEST_NONCE_MAX)
		error_set(&e, -EPROTO, CAUSE_CHANNEL, "vtpmd asked for nonsense.");
	else
		(void)!attest_run(&own, &r, &tpm_rc, &e);
	hostchan_attested(v->chan, &e, own.evidence, own.len);
	attest_clear(&own);
	free(request);
}

/* Takes in all that vtpmd sent: 1 to stop, 0, or -errno. */
static int hear(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	int rc;

	while ((rc = hostchan_event(v->chan)) > 0) {
		if (rc == CHANNEL_EVENT_STOP)
			return 1;
		if (rc == CHANNEL_EVENT_RESUME)
			resume_next(v);
		if (rc == CHANNEL_EVENT_LAUNCH)
			serve_launched(v);
		if (rc == CHANNEL_EVENT_REKEY || rc == CHANNEL_EVENT_REKEY_DEEP)
			vtpm_keys_rekey(&keys, rc == CHANNEL_EVENT_REKEY_DEEP);
		if (rc == CHANNEL_EVENT_ATTEST)
			attest(v);
		if (rc == CHANNEL_EVENT_IDENTITY)
			vtpm_identity_renew(&v->identity, v->chan, &v->firmware);
		if (rc == CHANNEL_EVENT_STATUS)
			send_status(v);
	}
	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL, "vtpmd is gone for good");
	return 0;
}

static int serve_once(struct vtpm *v)
{
	struct pollfd fds[1 + BACKEND_POLLFDS + PLAIN_POLLFDS];
	nfds_t n = 1;
	int rc, events;

	fds[0] = (struct pollfd){.fd = hostchan_fd(v->chan), .events = POLLIN};
	if (v->backend) {
		backend_pollfds(v->backend, fds + n);
		n += BACKEND_POLLFDS;
	} else if (v->plain) {
		n += plain_pollfds(v->plain, fds + n);
	}
	events = poll(fds, n, v->backend ? backend_timeout(v->backend) : -1);
	if (events < 0)
		return errno == EINTR ? 0 : -errno;
	rc = v->backend && fds[2].revents ? backend_ring_ready(v->backend) : 0;
	if (!rc && v->backend && (fds[1].revents || !events))
		rc = backend_xenstore_ready(v->backend);
	if (!rc && v->plain)
		rc = plain_ready(v->plain, fds + 1, n - 1);
	return rc;
}

static int serve(struct vtpm *v)
{
	int rc;

	while (!(rc = hear(v))) {
		rc = serve_once(v);
		if (rc)
			return error_set(&v->error, rc, CAUSE_INTERNAL,
					 "xenstore or the event channels were lost: %s",
					 strerror(-rc));
	}
	return rc < 0 ? rc : 0;
}

static int announce(struct vtpm *v)
{
	struct vtpm_stub stub;
	int rc;

	vtpm_stub_read(&stub);
	v->ready_ns = stub.uptime_ns;
	v->unlock_ns = v->waited_ns;
	v->ready_at = now_ns();
	rc = hostchan_ready(v->chan, v->state.seq);
	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL,
				 "vtpmd did not take the news that the vTPM is ready");
	hostchan_running(v->chan, v->state.uuid, &v->state.seq);
	printf("vtpm-manager: %s is ready\n", v->config.name);
	fflush(stdout);
	return 0;
}

static int run(struct vtpm *v)
{
	size_t len = 0;
	int rc = hostchan_hello(v->chan, &v->tlvs, &len, &v->error);

	if (!rc)
		rc = unlock_config_parse(v->tlvs, len, &v->config, &v->error);
	if (!rc)
		rc = start_engine(v);
	if (rc)
		return rc;
	rc = begin(v);
	if (!rc)
		rc = open_side(v);
	if (!rc)
		rc = announce(v);
	if (!rc)
		rc = serve(v);
	engine_while_busy(NULL, NULL);
	backend_close(v->backend);
	if (v->backend)
		xen_ops_close(&v->xen);
	plain_close(v->plain);
	listener_close(&v->listener);
	if (engine_close() && !rc)
		rc = error_set(&v->error, -EIO, CAUSE_STORE,
			       "the last clock state could not be stored");
	return rc;
}

int vtpm_run(const struct vtpm_place *place, struct error *e)
{
	struct vtpm *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	v->place = place;
	v->listener.fd = -1;
	if (place->stubdom)
		rc = hostchan_open_vchan(&v->chan, &v->error);
	else
		rc = hostchan_open_fd(&v->chan, CHANNEL_PROCESS_FD, &v->error);
	v->attest =
		(struct attest){.host = hostchan_quote, .ctx = v->chan, .log = &v->log};
	if (!rc) {
		rc = run(v);
		if (rc)
			hostchan_fail(v->chan, &v->error);
		hostchan_close(v->chan);
	}
	*e = v->error;
	state_wipe(&v->state);
	firmware_wipe(&v->firmware);
	eventlog_clear(&v->log);
	attest_clear(&v->attest);
	unlock_config_free(&v->config);
	free(v->tlvs);
	free(v);
	return rc;
}

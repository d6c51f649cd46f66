/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm.h"
#include "vtpm_attest.h"
#include "vtpm_copy.h"
#include "vtpm_identity.h"
#include "vtpm_keys.h"
#include "vtpm_guest.h"
#include "vtpm_side.h"
#include "vtpm_status.h"
#include "firmware.h"
#include "firmware12.h"
#include "firmware_banks.h"
#include "hostchan.h"
#include "state.h"
#include "unlock.h"
#include "vendor.h"
#include "lib/crypt.h"
#include "lib/cursor.h"

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
	struct vtpm_side side;
	int resident;	    /* vtpm_status.h; a process has it */
	uint64_t waited_ns; /* for TPM, KMS and store */
	uint64_t ready_ns, unlock_ns;
	uint64_t ready_at;
	uint64_t on; /* the TPM's last power-on: vtpm_guest.h */
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
	if (v->config.desc.tpm12)
		return firmware12_start();
	return vtpm_identity_power_on(&v->identity, v->chan, &v->firmware);
}

static int start_engine(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	struct engine_options options = {.create =
						 v->config.create && !v->config.is_copy};
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
	v->state.epoch = v->config.epoch;
	v->state.error = &v->error;
	start = now_ns();
	rc = v->config.is_copy ? vtpm_copy(&keys) : vtpm_keys_unlock(&keys);
	v->waited_ns += now_ns() - start;
	if (rc)
		return -EACCES;
	options.version = v->config.desc.tpm12 ? ENGINE_TPM_12 : ENGINE_TPM_20;
	store = state_store(&v->state);
	rc = engine_open(&store, &options, &v->error);
	if (!rc)
		vtpm_keys_finish(&keys);
	if (!rc && v->config.desc.pcr_banks && firmware_banks(v->config.desc.pcr_banks))
		rc = error_set(&v->error, -EIO, CAUSE_ENGINE,
			       "the TPM did not take the PCR banks that were asked for");
	return rc;
}

/* The first power-on: a new TPM's endorsement keys take longer than a guest would wait. */
static int begin(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	int rc;

	if (!v->config.desc.tpm12)
		return vtpm_identity_begin(&v->identity, &keys, &v->firmware);
	rc = firmware12_start();
	return rc ? firmware_failed(rc, &v->error) : 0;
}

static int power_on(void *ctx)
{
	struct vtpm *v = ctx;
	int rc = engine_power_cycle();

	/* what was said of the last guest is not this one's */
	eventlog_clear(&v->log);
	attest_clear(&v->attest);
	return rc ? rc : start_firmware(v);
}

static int adopt(void *ctx, uint32_t domid, const char **why)
{
	struct vtpm *v = ctx;
	const struct vtpm_guest g = {
		.chan = v->chan,
		.log = &v->log,
		.only = v->config.desc.measured,
		.tpm12 = v->config.desc.tpm12,
		.power_on = power_on,
		.ctx = v,
	};

	return vtpm_guest_adopt(&g, domid, &v->on, why);
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

static const struct backend_engine engine_ops = {
	.adopt = adopt,
	.execute = execute,
	.cancel = cancel,
};

static int open_side(struct vtpm *v)
{
	struct backend_engine engine = engine_ops;

	engine.ctx = v;
	return vtpm_side_open(&v->side, v->place, &v->config, &engine, &v->error);
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
		.on = v->on,
		.latency = &v->latency,
	};
	uint8_t tlvs[VTPM_STATUS_MAX];

	vtpm_side_stats(&v->side, &s);
	if (v->place->stubdom)
		vtpm_stub_read(&s.stub);
	else
		s.resident_kib = vtpm_resident_kib(v->resident);
	/* vtpmd asks again */
	(void)!hostchan_status(v->chan, tlvs, vtpm_status_encode(&s, tlvs));
}

/* Without Xen, for tests, no guest comes, and the TPM is started as for one. */
static void play_guest(struct vtpm *v)
{
	const char *why;

	if (v->place->no_xen)
		(void)!adopt(v, 0, &why);
}

/* Takes in all that vtpmd sent: 1 to stop, 0, or -errno. */
static int hear(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	int rc;

	while ((rc = hostchan_event(v->chan)) > 0) {
		if (rc == CHANNEL_EVENT_STOP)
			return 1;
		if (rc == CHANNEL_EVENT_GUEST)
			play_guest(v);
		if (rc == CHANNEL_EVENT_REKEY || rc == CHANNEL_EVENT_REKEY_DEEP)
			vtpm_keys_rekey(&keys, rc == CHANNEL_EVENT_REKEY_DEEP);
		if (rc == CHANNEL_EVENT_ATTEST)
			vtpm_attest(v->chan, &v->attest);
		if (rc == CHANNEL_EVENT_IDENTITY)
			vtpm_identity_renew(&v->identity, v->chan, &v->firmware);
		if (rc == CHANNEL_EVENT_STATUS)
			send_status(v);
	}
	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL, "vtpmd is gone for good");
	return 0;
}

static int serve(struct vtpm *v)
{
	int rc;

	while (!(rc = hear(v))) {
		rc = vtpm_side_serve(&v->side, hostchan_fd(v->chan));
		if (rc)
			return error_set(&v->error, rc, CAUSE_INTERNAL,
					 "xenstore or the event channels were lost: %s",
					 strerror(-rc));
	}
	return rc < 0 ? rc : 0;
}

static int announce(struct vtpm *v)
{
	struct vtpm_stub stub = {0};
	int rc;

	if (v->place->stubdom)
		vtpm_stub_read(&stub);
	v->ready_ns = stub.uptime_ns;
	v->unlock_ns = v->waited_ns;
	v->ready_at = now_ns();
	rc = hostchan_ready(v->chan, v->state.seq);
	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL,
				 "vtpmd did not take the news that the vTPM is ready");
	hostchan_running(v->chan, v->state.uuid, &v->state.seq);
	if (v->place->stubdom) {
		printf("vtpm-manager: %s is ready\n", v->config.name);
		fflush(stdout);
	}
	return 0;
}

/* Opens all that it will need, and gives up what else it could reach. */
static int settle_in(struct vtpm *v)
{
	int rc = vtpm_side_prepare(&v->side, v->place, &v->error);

	if (rc || v->place->stubdom)
		return rc;
	v->resident = vtpm_resident_open();
	return depriv(&v->place->user, &v->error);
}

/* Of a guest that comes first vtpmd has to know, too, whether the manager got its answer,
 * and so there is a number before the first one of vtpmd's. */
static int draw_power_on(struct vtpm *v)
{
	uint8_t drawn[8];
	struct cursor c = cursor_reader(drawn, sizeof(drawn));

	if (crypt_random(drawn, sizeof(drawn)))
		return error_set(&v->error, -EIO, CAUSE_INTERNAL,
				 "there is no randomness");
	/* shown as a signed number */
	v->on = (cursor_u64(&c) & INT64_MAX) | 1;
	return 0;
}

static int run(struct vtpm *v)
{
	size_t len = 0;
	int settled = settle_in(v);
	/* also if not: who has not said HELLO cannot say what failed */
	int rc = hostchan_hello(v->chan, &v->tlvs, &len, &v->error);

	if (!rc)
		rc = settled;
	if (!rc)
		rc = unlock_config_parse(v->tlvs, len, &v->config, &v->error);
	if (!rc)
		rc = draw_power_on(v);
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
	vtpm_side_close(&v->side);
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
	v->side.listener.fd = -1;
	if (place->stubdom)
		rc = hostchan_open_vchan(&v->chan, &v->error);
	else
		rc = hostchan_open_fd(&v->chan, CHANNEL_PROCESS_FD, &v->error);
	v->attest = (struct attest){.host = hostchan_quote,
				    .ctx = v->chan,
				    .log = &v->log,
				    .firmware = &v->firmware};
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/vtpm.h"
#include "backend/tpmif.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/certnv.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/eventlog.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/hostchan.h"
#include "stubdom/manager/identity.h"
#include "stubdom/manager/launch.h"
#include "stubdom/manager/lease.h"
#include "stubdom/manager/watchdog.h"
#include "stubdom/manager/socket.h"
#include "stubdom/manager/state.h"
#include "stubdom/manager/unlock.h"
#include "stubdom/manager/vendor.h"
#include "stubdom/manager/attest.h"
#include "stubdom/manager/keys.h"
#include "stubdom/manager/vtpm_move.h"
#include "stubdom/manager/vtpm_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

struct vtpm {
	const struct vtpm_place *place;
	struct hostchan *chan;
	uint8_t *tlvs;
	struct unlock_config config;
	struct state state;
	struct error error;
	struct firmware firmware;
	struct eventlog log; /* of the guest's launch */
	struct attest attest;
	struct certnv certs;	/* as vtpmd has them */
	unsigned int certified; /* how many of them the TPM has */
	struct fronts fronts;
	struct listener listener;     /* of a socket; fd is -1 otherwise */
	int resident;		      /* vtpm_status.h; a process has it */
	uint64_t ready_ns, unlock_ns; /* as in enum channel_status */
	uint64_t ready_at;
	/* The TPM's last power-on for a guest, as vtpmd numbers it; before the first one a
	 * number of our own; 0: a start for a guest failed. */
	uint64_t on;
	bool crb; /* its guest has firmware, which holds the platform hierarchy */
	struct vtpm_move move;
	bool arriving; /* from another host: its guest may come, and finds it later */
	struct latency latency;
	struct lease lease;	/* of its host on it, in a pool */
	int watchdog;		/* that guards the lease; -1: none */
	struct kms_token token; /* when it was used last */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct vtpm_keys keys_of(struct vtpm *v)
{
	return (struct vtpm_keys){
		.chan = v->chan,
		.config = &v->config,
		.state = &v->state,
	};
}

static struct vtpm_move_parts move_parts_of(struct vtpm *v)
{
	return (struct vtpm_move_parts){
		.chan = v->chan,
		.keys = keys_of(v),
		.firmware = &v->firmware,
		.log = &v->log,
		.on = &v->on,
		.crb = &v->crb,
		.fronts = &v->fronts,
	};
}

static int refuse_vtpm(struct vtpm *v, uint32_t domid, int rc, const char *what,
		       const char **why)
{
	static char text[192];

	snprintf(text, sizeof(text), "domain %u is refused: %s", domid, what);
	hostchan_refused(v->chan, domid, what);
	*why = text;
	return rc;
}

/* vtpmd has logged its own refusals. */
static int not_told(struct vtpm *v, uint32_t domid, int rc,
		    const struct hostchan_guest *told, const char **why)
{
	static char text[sizeof(told->why)];

	if (rc == -EPIPE)
		return refuse_vtpm(
			v, domid, rc,
			"vtpmd does not answer, and it alone knows whether the "
			"guest may have this vTPM: `systemctl status vtpmd`",
			why);
	if (rc == -EBADMSG || !told->why[0])
		return refuse_vtpm(
			v, domid, rc,
			"vtpmd's answer about it makes no sense: install vtpmd and "
			"the vTPM manager of one release",
			why);
	memcpy(text, told->why, sizeof(text));
	*why = text;
	return rc;
}

/* A TPM without its certificates serves its guest as well. */
static void apply_certs(struct vtpm *v)
{
	char text[128];
	int rc = certnv_apply(&v->certs, &v->firmware, &v->certified);

	if (!rc)
		return;
	snprintf(text, sizeof(text),
		 "certificates are missing in the TPM's NV memory (%s): is it full?",
		 strerror(-rc));
	hostchan_log(v->chan, LOG_WARNING, text);
}

/* After a power-on: the TPM is started and has its certificates. */
static int start_firmware(struct vtpm *v)
{
	int rc;

	if (v->config.desc.tpm12)
		return firmware12_start();
	rc = firmware_start(&v->firmware);
	if (!rc)
		apply_certs(v);
	return rc;
}

/* Before vtpmd's answer no guest runs, so that a Clear that is repeated after a crash takes
 * nothing from one. */
static int clear_requested(struct vtpm *v)
{
	uint32_t code;
	int rc = firmware_clear(&code);

	return rc ? rc : hostchan_cleared(v->chan, code);
}

/* A start for a guest: what was said and measured of the last one is not this one's. */
static int start_anew(struct vtpm *v, enum front_firmware firmware,
		      const struct hostchan_guest *told)
{
	bool leaves = firmware == FRONT_FIRMWARE_GUEST && !v->config.desc.tpm12;
	int rc = leaves ? firmware_leave(&v->firmware) : engine_power_cycle();

	eventlog_clear(&v->log);
	attest_clear(&v->attest);
	firmware_wipe(&v->firmware);
	if (!rc && told->cleared)
		rc = clear_requested(v);
	if (!rc && firmware == FRONT_FIRMWARE_MANAGER)
		rc = start_firmware(v);
	return rc || !told->len ? rc : launch_measure(told->list, told->len, &v->log);
}

static int judge(struct vtpm *v, uint32_t domid, enum front_firmware firmware,
		 const struct hostchan_guest *told, const char **why)
{
	const struct envelope_desc *desc = &v->config.desc;

	if (told->what == CHANNEL_GUEST_SAME)
		return 0;
	/* it was measured where it comes from, or not, and this TPM served it there */
	if (v->arriving)
		return told->what == CHANNEL_GUEST_RESUMED
			       ? 0
			       : refuse_vtpm(
					 v, domid, -EBUSY,
					 "this vTPM comes from another host, with its "
					 "guest: wait until it is there",
					 why);
	if ((desc->measured && !told->measured) || (desc->tpm12 && told->measured))
		return refuse_vtpm(
			v, domid, -EPERM,
			desc->tpm12 ? "nothing is measured into a TPM 1.2: `vtpmctl "
				      "launch --unmeasured`"
				    : "this vTPM serves measured guests only: start it "
				      "with `vtpmctl launch`",
			why);
	if (told->what == CHANNEL_GUEST_RESUMED)
		return 0;
	v->crb = told->crb;
	/* should it fail in the midst, it is no guest's TPM any more */
	v->on = 0;
	if (start_anew(v, firmware, told))
		return refuse_vtpm(
			v, domid, -EIO,
			told->cleared
				? "the TPM could not be cleared and started for it; what "
				  "was requested is pending still, and done before its "
				  "next start: stop and start the vTPM"
				: "the TPM could not be started for it, or did not take "
				  "its measurements: stop and start the vTPM",
			why);
	v->on = told->on;
	return 0;
}

/* Linux's with the time that the host slept; a stub domain's is Xen's either way. */
static int64_t lease_now_ms(void *ctx)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int renew_lease(void *ctx, uint32_t *ms)
{
	const struct vtpm *v = ctx;

	return hostchan_renew(v->chan, ms);
}

#define RENEW_PAUSE_MS 200

static void pause_renewing(void *ctx)
{
	const struct vtpm *v = ctx;

	hostchan_pause(v->chan, RENEW_PAUSE_MS);
}

static bool is_stopped(void *ctx)
{
	const struct vtpm *v = ctx;

	return hostchan_is_stopped(v->chan);
}

static void set_guard(void *ctx, uint32_t seconds)
{
	const struct vtpm *v = ctx;

	/* vtpmd tells that, and the lease stands */
	if (watchdog_set(v->watchdog, seconds))
		hostchan_log(v->chan, LOG_ERR,
			     "Xen's watchdog, which guards its host's lease, refuses");
}

static struct lease_env lease_env_of(struct vtpm *v)
{
	return (struct lease_env){.ctx = v,
				  .now_ms = lease_now_ms,
				  .renew = renew_lease,
				  .pause = pause_renewing,
				  .is_stopped = is_stopped,
				  .guard = v->watchdog >= 0 ? set_guard : NULL};
}

static void rest_lease(struct vtpm *v)
{
	const struct lease_env env = lease_env_of(v);

	lease_rest(&v->lease, &env);
}

/* Waits until nobody else can have this vTPM.  Fails when somebody may: v->error tells, unless
 * vtpmd stops it. */
static int await_lease(struct vtpm *v)
{
	const struct lease_env env = lease_env_of(v);
	int rc = lease_await(&v->lease, &env);

	if (rc == -EPIPE)
		error_set(&v->error, rc, CAUSE_CHANNEL, "vtpmd is gone for good");
	else if (rc && rc != -ECANCELED)
		error_set(&v->error, rc, CAUSE_LEASE,
			  "This host may not have the vTPM any more (%s): see `vtpmctl "
			  "list` on the pool's other hosts.",
			  strerror(-rc));
	return rc;
}

/* Asks vtpmd about the guest's domain, and starts the TPM again if the domain is new, with what
 * was measured of it.  After a failure the guest is refused, with *why for its xenstore;
 * vtpmd's log has it, too, once it is there. */
static int adopt(void *ctx, const struct front_guest *g, enum front_firmware *firmware,
		 const char **why)
{
	struct vtpm *v = ctx;
	struct hostchan_guest told;
	int rc;

	rest_lease(v);
	if (v->move.frozen)
		return refuse_vtpm(v, g->domid, -EBUSY,
				   "this vTPM moves to another host: `vtpmctl migrate "
				   "--continue` goes on with it, or ends it",
				   why);
	rc = hostchan_guest(v->chan, g->domid, g->device, v->on, &told);
	if (told.crb)
		*firmware = FRONT_FIRMWARE_GUEST;
	rc = rc ? not_told(v, g->domid, rc, &told, why)
		: judge(v, g->domid, *firmware, &told, why);
	free(told.list);
	return rc;
}

/* struct front_tpm's refused() */
static void tell_refused(void *ctx, uint32_t domid, const char *why)
{
	struct vtpm *v = ctx;

	hostchan_refused(v->chan, domid, why);
}

static int take_certs(struct vtpm *v, const struct unlock_config *config)
{
	unsigned int n;
	int rc = 0;

	memset(&v->certs, 0, sizeof(v->certs));
	v->certs.keeps_others = config->keeps_certs;
	for (n = 0; n < config->certs && !rc; n++)
		rc = certnv_set(&v->certs, config->cert[n].index, config->cert[n].der,
				config->cert[n].len);
	return rc;
}

/* CHANNEL_EVENT_IDENTITY: the certificates have changed. */
static void renew_certs(struct vtpm *v)
{
	struct unlock_config config;
	uint8_t *tlvs = NULL;
	size_t len = 0;
	int rc = hostchan_config(v->chan, &tlvs, &len);

	if (!rc) {
		rc = unlock_config_parse(tlvs, len, &config, NULL);
		if (!rc) {
			rc = take_certs(v, &config);
			unlock_config_free(&config);
		}
	}
	free(tlvs);
	if (rc)
		hostchan_log(v->chan, LOG_ERR,
			     "the new certificates could not be fetched");
	else
		apply_certs(v);
}

/* A TPM that has no state yet, of its own or of another one. */
static bool is_new(const struct vtpm *v)
{
	return v->config.create && !v->config.is_copy && !v->config.has_source;
}

/* The header has the Names before vtpmd gets the keys. */
static int report(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	struct envelope_desc desc = v->config.desc;
	const struct identity_options options = {
		.is_new = is_new(v),
		.wants_witness = v->config.keeps_witness,
		.witness = v->config.ek_witness,
	};
	struct identity_keys found;
	uint32_t kept;
	int rc = identity_find(&found, desc.ek, &options, &v->error);

	if (!rc && found.changed)
		rc = vtpm_keys_describe(&keys, &desc);
	if (rc || !found.len)
		return rc;
	rc = hostchan_identity(v->chan, found.publics, found.len, &kept);
	return rc ? error_set(&v->error, rc, CAUSE_CHANNEL,
			      "vtpmd does not take its endorsement keys (%s): install "
			      "vtpmd and the vTPM manager of one version",
			      strerror(-rc))
		  : 0;
}

static int make_keys(struct vtpm *v, struct vtpm_keys *keys)
{
	if (v->config.is_copy)
		return vtpm_copy(keys);
	return v->config.create && v->config.has_source ? vtpm_take_source(keys)
							: vtpm_keys_unlock(keys);
}

static void prepare_state(struct vtpm *v)
{
	v->state.place = hostchan_place(v->chan);
	memcpy(v->state.uuid, v->config.uuid, sizeof(v->state.uuid));
	v->state.epoch = v->config.epoch;
	v->state.error = &v->error;
}

static int start_engine(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	struct engine_options options = {.create = is_new(v)};
	struct engine_store store;
	uint64_t start;
	int rc;

	prepare_state(v);
	start = now_ns();
	rc = make_keys(v, &keys);
	/* its own work on TLS and sessions too; announce() adds what comes after it */
	v->unlock_ns = now_ns() - start - hostchan_waited_ns(v->chan);
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

/* Where no banks were chosen, start_engine() did not look at them. */
static int restore_banks(struct vtpm *v)
{
	bool whole;
	int rc = firmware_banks_are_whole(&whole);

	if (rc || whole)
		return rc;
	hostchan_log(v->chan, LOG_WARNING,
		     "a guest had taken PCRs from its banks: they are allocated again");
	rc = engine_power_cycle();
	if (!rc)
		rc = firmware_banks(0);
	return rc ? rc : start_firmware(v);
}

/* Before anybody is offered this TPM: powers it on, compares its endorsement keys with
 * the header, writes there those that it did not know, and tells vtpmd what it made.  New keys
 * take longer than a guest would wait. */
static int begin_vtpm(struct vtpm *v)
{
	bool tpm12 = v->config.desc.tpm12;
	int rc = tpm12 ? 0 : take_certs(v, &v->config);

	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL,
				 "vtpmd sent certificates that do not belong into a TPM: "
				 "install vtpmd and the vTPM manager of one version");
	rc = start_firmware(v);
	if (!rc && !tpm12)
		rc = restore_banks(v);
	if (rc)
		return firmware_failed(rc, &v->error);
	return tpm12 ? 0 : report(v);
}

static void answer_code(uint32_t code, uint8_t *rsp, size_t *rsp_len)
{
	struct cursor w = cursor_writer(rsp, *rsp_len);

	cursor_put_u16(&w, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&w, 10);
	cursor_put_u32(&w, code);
	*rsp_len = w.pos;
}

static int execute_engine(struct vtpm *v, uint8_t locality, const uint8_t *cmd,
			  size_t len, uint8_t *rsp, size_t *rsp_len)
{
	int rc = v->crb ? engine_execute_or_wake(locality, cmd, len, rsp, rsp_len)
			: engine_execute(locality, cmd, len, rsp, rsp_len);

	if (!rc && v->crb)
		firmware_observe(&v->firmware, cmd, len, rsp, *rsp_len);
	return rc;
}

static int execute_vtpm(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
			uint8_t *rsp, size_t *rsp_len)
{
	struct vtpm *v = ctx;
	const struct vendor vendor = {.log = &v->log, .attest = &v->attest};
	uint64_t start = now_ns();
	int rc = 0;

	rest_lease(v);
	v->move.touched = true;
	if (v->crb && firmware_withholds(cmd, len))
		answer_code(TPM2_RC_DISABLED, rsp, rsp_len);
	else if (!vendor_execute(&vendor, cmd, len, rsp, rsp_len))
		rc = execute_engine(v, locality, cmd, len, rsp, rsp_len);
	if (await_lease(v)) {
		fronts_end(&v->fronts);
		return -ESHUTDOWN;
	}
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

/* The engine serves from now on. */
static int open_fronts(struct vtpm *v)
{
	struct front_config c = {
		.localities = v->config.desc.localities,
		.tpm12 = v->config.desc.tpm12,
	};
	const uint8_t *u = v->config.uuid;
	int rc;

	snprintf(c.uuid, sizeof(c.uuid),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
	engine_while_busy(fronts_check_cancel, &v->fronts);
	rc = fronts_open(&v->fronts, &c);
	return rc ? error_set(&v->error, rc, CAUSE_INTERNAL,
			      "the backend could not be offered to guests: %s",
			      strerror(-rc))
		  : 0;
}

/* A socket's name stays: a process that has given up its rights does not see it, and
 * vtpmd removes it. */
static void close_fronts(struct vtpm *v)
{
	engine_while_busy(NULL, NULL);
	fronts_close(&v->fronts);
	if (v->listener.fd >= 0)
		close(v->listener.fd);
}

static void send_status(struct vtpm *v)
{
	struct vtpm_status s = {
		.writes = v->state.writes,
		.seq = v->state.seq,
		.ready_ns = v->ready_ns,
		.unlock_ns = v->unlock_ns,
		.uptime_ns = now_ns() - v->ready_at,
		.certs = v->certified,
		.on = v->on,
		.latency = &v->latency,
		.token = v->token,
	};
	uint8_t tlvs[VTPM_STATUS_MAX];
	struct front_stats f;

	fronts_stats(&v->fronts, &f);
	s.guest = f.present;
	s.guest_domid = f.domid;
	s.commands = f.commands;
	s.refused = f.refused;
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
	enum front_firmware firmware = FRONT_FIRMWARE_MANAGER;
	const char *why;

	if (v->place->no_xen)
		(void)!adopt(v, &(struct front_guest){.domid = 0}, &firmware, &why);
}

/* Takes in all that vtpmd sent: 1 to stop, 0, or -errno. */
static int hear(struct vtpm *v)
{
	const struct vtpm_move_parts parts = move_parts_of(v);
	struct vtpm_keys keys = keys_of(v);
	int rc;

	/* what was answered is out */
	rest_lease(v);
	while ((rc = hostchan_event(v->chan)) > 0) {
		/* what another host may have by now does not change here */
		if (v->move.frozen && rc != CHANNEL_EVENT_STOP &&
		    rc != CHANNEL_EVENT_MOVE && rc != CHANNEL_EVENT_STATUS)
			continue;
		switch (rc) {
		case CHANNEL_EVENT_STOP:
			return 1;
		case CHANNEL_EVENT_MOVE:
			vtpm_move_hear(&v->move, &parts);
			break;
		case CHANNEL_EVENT_GUEST:
			play_guest(v);
			break;
		case CHANNEL_EVENT_REKEY:
		case CHANNEL_EVENT_REKEY_DEEP:
			vtpm_keys_rekey(&keys, rc == CHANNEL_EVENT_REKEY_DEEP);
			break;
		case CHANNEL_EVENT_ATTEST:
			rc = await_lease(v);
			if (rc)
				return rc == -ECANCELED ? 1 : rc;
			/* vtpmd, who hears it, knows whether it has the lease */
			rest_lease(v);
			vtpm_attest(v->chan, &v->attest);
			break;
		case CHANNEL_EVENT_IDENTITY:
			renew_certs(v);
			break;
		case CHANNEL_EVENT_STATUS:
			send_status(v);
			break;
		}
	}
	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL, "vtpmd is gone for good");
	return 0;
}

static int serve_vtpm(struct vtpm *v)
{
	struct pollfd own = {.events = POLLIN};
	int rc;

	while (!(rc = hear(v))) {
		own.fd = hostchan_fd(v->chan);
		/* no guest is served while it is frozen; what a guest that is served again
		 * had waiting may have brought an event of vtpmd's in */
		if (v->fronts.held != v->move.frozen) {
			fronts_hold(&v->fronts, v->move.frozen);
			continue;
		}
		rc = fronts_serve(&v->fronts, &own, -1);
		if (v->fronts.ended)
			return v->error.cause ? rc : 0;
		if (rc < 0)
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
	v->unlock_ns += hostchan_waited_ns(v->chan);
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
	const struct vtpm_place *p = v->place;
	struct front *f = NULL;
	int rc = 0;

	if (!p->no_xen)
		rc = tpmif_front(&f, !p->stubdom, &v->error);
	else if (p->unix_path)
		rc = listener_unix(&v->listener, p->unix_path, &v->error);
	if (!rc && v->listener.fd >= 0)
		rc = socket_front(&f, &v->listener, NULL, &v->error);
	if (f)
		fronts_add(&v->fronts, f);
	if (rc || p->stubdom)
		return rc;
	v->resident = vtpm_resident_open();
	return depriv(&p->user, &v->error);
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

static int open_watchdog(struct vtpm *v)
{
	int rc = v->config.watchdog ? watchdog_open(&v->watchdog) : 0;

	return rc ? error_set(
			    &v->error, rc, CAUSE_VERSION,
			    "its stub domain's kernel has no watchdog, which vtpmd asks for: "
			    "install vtpmd, the vTPM manager and the stub domain of one "
			    "release")
		  : 0;
}

/* Takes it from another host.  The toolstack there waits for a backend before the vTPM comes,
 * so that its guest is adopted while nothing is executed.  1: vtpmd stops it. */
static int arrive(struct vtpm *v)
{
	const struct vtpm_move_parts parts = move_parts_of(v);
	int rc;

	prepare_state(v);
	v->arriving = true;
	fronts_hold(&v->fronts, true);
	/* for its next start; until then it has them in its NV memory */
	rc = take_certs(v, &v->config);
	if (rc)
		return error_set(&v->error, rc, CAUSE_CHANNEL,
				 "the last host told of certificates that do not belong "
				 "into a TPM");
	v->certified = v->config.certs;
	rc = open_fronts(v);
	if (!rc)
		rc = vtpm_move_arrive(&v->move, &parts, &v->error);
	v->arriving = false;
	return rc;
}

/* What is made of a configuration: opens the state, or takes it from another host, and offers
 * it.  1: vtpmd stops it. */
static int come_up(struct vtpm *v)
{
	int rc;

	if (v->config.incoming)
		return arrive(v);
	rc = start_engine(v);
	v->move.found = v->state.seq;
	if (!rc)
		rc = begin_vtpm(v);
	return rc || v->config.trial ? rc : open_fronts(v);
}

static int run_vtpm(struct vtpm *v)
{
	size_t len = 0;
	int settled = settle_in(v), rc;

	/* while vtpmd answers */
	if (!settled)
		settled = draw_power_on(v);
	/* also if not: who has not heard of HELLO cannot say what failed */
	rc = hostchan_hello(v->chan, &v->tlvs, &len, &v->error);
	if (!rc)
		rc = settled;
	if (!rc)
		rc = unlock_config_parse(v->tlvs, len, &v->config, &v->error);
	v->lease.needed = v->config.leased;
	if (!rc)
		rc = open_watchdog(v);
	v->config.token = &v->token;
	if (!rc)
		rc = come_up(v);
	if (!rc)
		rc = announce(v);
	if (!rc && !v->config.trial)
		rc = serve_vtpm(v);
	rest_lease(v);
	close_fronts(v);
	/* it may run elsewhere: its end is not one that the TPM should store */
	if (v->move.frozen)
		return rc < 0 ? rc : 0;
	rc = rc < 0 ? rc : 0;
	if (engine_close() && !rc)
		rc = error_set(&v->error, -EIO, CAUSE_STORE,
			       "the last clock state could not be stored");
	return rc;
}

int vtpm_offer(struct vtpm_place *place, struct error *e)
{
	return hostchan_open_vchan(&place->chan, e);
}

int vtpm_run(const struct vtpm_place *place, struct error *e)
{
	struct vtpm *v = calloc(1, sizeof(*v));
	int rc = 0;

	if (!v)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	v->place = place;
	v->listener.fd = -1;
	v->watchdog = -1;
	v->fronts.tpm = (struct front_tpm){v, adopt, tell_refused, execute_vtpm, cancel};
	v->chan = place->chan;
	if (!v->chan)
		rc = hostchan_open_fd(&v->chan, CHANNEL_PROCESS_FD, &v->error);
	v->attest = (struct attest){.host = hostchan_quote,
				    .ctx = v->chan,
				    .log = &v->log,
				    .firmware = &v->firmware};
	if (!rc) {
		rc = run_vtpm(v);
		if (rc)
			hostchan_fail(v->chan, &v->error);
		hostchan_close(v->chan);
	}
	*e = v->error;
	state_wipe(&v->state);
	firmware_wipe(&v->firmware);
	eventlog_clear(&v->log);
	attest_clear(&v->attest);
	vtpm_move_wipe(&v->move);
	unlock_config_free(&v->config);
	free(v->tlvs);
	free(v);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/vtpm.h"
#include "backend/backend.h"
#include "backend/xen_ops.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "stubdom/manager/certnv.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/eventlog.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/hostchan.h"
#include "stubdom/manager/identity.h"
#include "stubdom/manager/launch.h"
#include "stubdom/manager/socket.h"
#include "stubdom/manager/state.h"
#include "stubdom/manager/unlock.h"
#include "stubdom/manager/vendor.h"
#include "stubdom/manager/attest.h"
#include "stubdom/manager/keys.h"
#include "stubdom/manager/vtpm_status.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Starts zeroed, but for listener.fd, -1. */
struct vtpm_side {
	struct xen_ops xen;
	bool has_xen;
	struct backend *backend; /* NULL: none */
	struct listener listener;
	struct plain *plain; /* NULL: none */
};

struct vtpm_guest {
	struct hostchan *chan;
	struct eventlog *log; /* of its launch */
	bool only;	      /* measured guests only, as the header says */
	bool tpm12;	      /* into which nothing is measured */
	/* _TPM_Init, and what a machine's firmware does then */
	int (*power_on)(void *ctx);
	void *ctx;
};

struct vtpm_identity {
	struct certnv certs; /* as vtpmd has them */
	unsigned int good;   /* how many of them the TPM has */
};

static void hear_cancel(void *ctx)
{
	struct vtpm_side *s = ctx;

	if (s->backend)
		backend_check_cancel(s->backend);
}

static int open_backend(struct vtpm_side *s, const struct vtpm_place *place,
			const struct unlock_config *config,
			const struct backend_engine *engine, struct error *e)
{
	struct backend_config c = {
		.localities = config->desc.localities,
		.shared_domain = !place->stubdom,
		.tpm12 = config->desc.tpm12,
	};
	const uint8_t *u = config->uuid;
	int rc;

	snprintf(c.uuid, sizeof(c.uuid),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
	engine_while_busy(hear_cancel, s);
	rc = backend_open(&s->backend, &c, engine, &xen_ops_table, &s->xen);
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "the backend could not be offered to guests: %s",
			      strerror(-rc))
		  : 0;
}

/* Opens the devices of Xen, or the socket, and serves nobody yet. */
static int vtpm_side_prepare(struct vtpm_side *s, const struct vtpm_place *place,
			     struct error *e)
{
	int rc;

	if (place->no_xen)
		return place->unix_path ? listener_unix(&s->listener, place->unix_path, e)
					: 0;
	rc = xen_ops_open(&s->xen);
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL,
				 "/dev/xen/{xenbus,evtchn,gntdev} cannot be used: %s",
				 strerror(-rc));
	s->has_xen = true;
	return 0;
}

/* The engine serves from now on; a socket has only its execute_vtpm(). */
static int vtpm_side_open(struct vtpm_side *s, const struct vtpm_place *place,
			  const struct unlock_config *config,
			  const struct backend_engine *engine, struct error *e)
{
	struct plain_ops ops = {.ctx = engine->ctx, .execute = engine->execute};
	int rc;

	if (!place->no_xen)
		return open_backend(s, place, config, engine, e);
	if (!place->unix_path)
		return 0;
	rc = plain_open(&s->plain, &s->listener, &ops);
	return rc ? error_set(e, rc, CAUSE_INTERNAL, "out of memory") : 0;
}

/* Waits for commands, or until fd can be read, and serves what came.  -errno: xenstore or
 * the event channels are lost. */
static int vtpm_side_serve(struct vtpm_side *s, int fd)
{
	struct pollfd fds[1 + BACKEND_POLLFDS + PLAIN_POLLFDS];
	nfds_t n = 1;
	int rc, events;

	fds[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	if (s->backend) {
		backend_pollfds(s->backend, fds + n);
		n += BACKEND_POLLFDS;
	} else if (s->plain) {
		n += plain_pollfds(s->plain, fds + n);
	}
	events = poll(fds, n, s->backend ? backend_timeout(s->backend) : -1);
	if (events < 0)
		return errno == EINTR ? 0 : -errno;
	rc = s->backend && fds[2].revents ? backend_ring_ready(s->backend) : 0;
	if (!rc && s->backend && (fds[1].revents || !events))
		rc = backend_xenstore_ready(s->backend);
	if (!rc && s->plain)
		rc = plain_ready(s->plain, fds + 1, n - 1);
	return rc;
}

/* Its figures, into the status. */
static void vtpm_side_stats(const struct vtpm_side *s, struct vtpm_status *status)
{
	struct backend_stats b = {0};

	if (s->backend) {
		backend_stats(s->backend, &b);
		status->guest = b.present;
		status->guest_domid = b.domid;
		status->refused = b.refused;
	}
	status->commands = s->plain ? plain_commands(s->plain) : b.commands;
}

/* Also of one that was not opened or prepared, or not whole.  A socket's name stays: a
 * process that has given up its rights does not see it, and vtpmd removes it. */
static void vtpm_side_close(struct vtpm_side *s)
{
	engine_while_busy(NULL, NULL);
	backend_close(s->backend);
	if (s->has_xen)
		xen_ops_close(&s->xen);
	plain_close(s->plain);
	if (s->listener.fd >= 0)
		close(s->listener.fd);
	s->listener.fd = -1;
}

static int refuse_vtpm(const struct vtpm_guest *g, uint32_t domid, int rc,
		       const char *what, const char **why)
{
	static char text[192];

	snprintf(text, sizeof(text), "domain %u is refused: %s", domid, what);
	hostchan_log(g->chan, LOG_ERR, text);
	*why = text;
	return rc;
}

/* vtpmd has told the journal of its own refusals. */
static int not_told(const struct vtpm_guest *g, uint32_t domid, int rc,
		    const struct hostchan_guest *told, const char **why)
{
	static char text[sizeof(told->why)];

	if (rc == -EPIPE)
		return refuse_vtpm(
			g, domid, rc,
			"vtpmd does not answer, and it alone knows whether the "
			"guest may have this vTPM: `systemctl status vtpmd`",
			why);
	if (rc == -EBADMSG || !told->why[0])
		return refuse_vtpm(
			g, domid, rc,
			"vtpmd's answer about it makes no sense: install vtpmd and "
			"the vTPM manager of one release",
			why);
	memcpy(text, told->why, sizeof(text));
	*why = text;
	return rc;
}

static int start_anew(const struct vtpm_guest *g, const struct hostchan_guest *told)
{
	int rc;

	eventlog_clear(g->log);
	rc = g->power_on(g->ctx);
	return rc || !told->len ? rc : launch_measure(told->list, told->len, g->log);
}

static int judge(const struct vtpm_guest *g, uint32_t domid, uint64_t *on,
		 const struct hostchan_guest *told, const char **why)
{
	if (told->what == CHANNEL_GUEST_SAME)
		return 0;
	if ((g->only && !told->measured) || (g->tpm12 && told->measured))
		return refuse_vtpm(
			g, domid, -EPERM,
			g->tpm12 ? "nothing is measured into a TPM 1.2: `vtpmctl "
				   "launch --unmeasured`"
				 : "this vTPM serves measured guests only: start it "
				   "with `vtpmctl launch`",
			why);
	if (told->what == CHANNEL_GUEST_RESUMED)
		return 0;
	/* should it fail in the midst, it is no guest's TPM any more */
	*on = 0;
	if (start_anew(g, told))
		return refuse_vtpm(
			g, domid, -EIO,
			"the TPM could not be started for it, or did not take its "
			"measurements: stop and start the vTPM",
			why);
	*on = told->on;
	return 0;
}

/* Asks vtpmd about domain domid, and starts the TPM again if the domain is new, with what
 * was measured of it.  *on: the TPM's power-on, or
 * what the manager drew when it started; 0: a start for a guest failed.  After a failure the guest is
 * refused, with *why for its xenstore; vtpmd's log has it, too, once it is there. */
static int vtpm_guest_adopt(const struct vtpm_guest *g, uint32_t domid, uint64_t *on,
			    const char **why)
{
	struct hostchan_guest told;
	int rc = hostchan_guest(g->chan, domid, *on, &told);

	rc = rc ? not_told(g, domid, rc, &told, why) : judge(g, domid, on, &told, why);
	free(told.list);
	return rc;
}

static int take_certs(struct vtpm_identity *i, const struct unlock_config *config)
{
	unsigned int n;
	int rc = 0;

	memset(&i->certs, 0, sizeof(i->certs));
	for (n = 0; n < config->certs && !rc; n++)
		rc = certnv_set(&i->certs, config->cert[n].index, config->cert[n].der,
				config->cert[n].len);
	return rc;
}

/* A TPM without its certificates serves its guest as well. */
static void apply(struct vtpm_identity *i, struct hostchan *chan,
		  const struct firmware *f)
{
	char text[128];
	int rc = certnv_apply(&i->certs, f, &i->good);

	if (!rc)
		return;
	snprintf(text, sizeof(text),
		 "certificates are missing in the TPM's NV memory (%s): is it full?",
		 strerror(-rc));
	hostchan_log(chan, LOG_WARNING, text);
}

/* A power-on: the TPM is started and has its certificates. */
static int vtpm_identity_power_on(struct vtpm_identity *i, struct hostchan *chan,
				  struct firmware *f)
{
	int rc = firmware_start(f);

	if (!rc)
		apply(i, chan, f);
	return rc;
}

/* The header has the Names before vtpmd gets the keys. */
static int report(struct vtpm_keys *keys)
{
	struct envelope_desc desc = keys->config->desc;
	bool made = keys->config->create && !keys->config->is_copy;
	struct identity_keys found;
	uint32_t kept;
	int rc = identity_find(&found, desc.ek, made, keys->error);

	if (!rc && found.changed)
		rc = vtpm_keys_describe(keys, &desc);
	if (rc || !found.len)
		return rc;
	rc = hostchan_identity(keys->chan, found.publics, found.len, &kept);
	return rc ? error_set(keys->error, rc, CAUSE_CHANNEL,
			      "vtpmd does not take its endorsement keys (%s): install "
			      "vtpmd and the vTPM manager of one version",
			      strerror(-rc))
		  : 0;
}

/* Before anybody is offered this TPM: powers it on, compares its endorsement keys with
 * the header, writes there those that it did not know, and tells vtpmd. */
static int vtpm_identity_begin(struct vtpm_identity *i, struct vtpm_keys *keys,
			       struct firmware *f)
{
	int rc = take_certs(i, keys->config);

	if (rc)
		return error_set(keys->error, rc, CAUSE_CHANNEL,
				 "vtpmd sent certificates that do not belong into a TPM: "
				 "install vtpmd and the vTPM manager of one version");
	rc = vtpm_identity_power_on(i, keys->chan, f);
	if (rc)
		return firmware_failed(rc, keys->error);
	return report(keys);
}

/* CHANNEL_EVENT_IDENTITY: the certificates have changed. */
static void vtpm_identity_renew(struct vtpm_identity *i, struct hostchan *chan,
				const struct firmware *f)
{
	struct unlock_config config;
	uint8_t *tlvs = NULL;
	size_t len = 0;
	int rc = hostchan_config(chan, &tlvs, &len);

	if (!rc) {
		rc = unlock_config_parse(tlvs, len, &config, NULL);
		if (!rc) {
			rc = take_certs(i, &config);
			unlock_config_free(&config);
		}
	}
	free(tlvs);
	if (rc)
		hostchan_log(chan, LOG_ERR, "the new certificates could not be fetched");
	else
		apply(i, chan, f);
}

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
	uint64_t on; /* the TPM's last power-on */
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
static int begin_vtpm(struct vtpm *v)
{
	struct vtpm_keys keys = keys_of(v);
	int rc;

	if (!v->config.desc.tpm12)
		return vtpm_identity_begin(&v->identity, &keys, &v->firmware);
	rc = firmware12_start();
	return rc ? firmware_failed(rc, &v->error) : 0;
}

static int vtpm_power_on(void *ctx)
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
		.power_on = vtpm_power_on,
		.ctx = v,
	};

	return vtpm_guest_adopt(&g, domid, &v->on, why);
}

static int execute_vtpm(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
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
	.execute = execute_vtpm,
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
		switch (rc) {
		case CHANNEL_EVENT_STOP:
			return 1;
		case CHANNEL_EVENT_GUEST:
			play_guest(v);
			break;
		case CHANNEL_EVENT_REKEY:
		case CHANNEL_EVENT_REKEY_DEEP:
			vtpm_keys_rekey(&keys, rc == CHANNEL_EVENT_REKEY_DEEP);
			break;
		case CHANNEL_EVENT_ATTEST:
			vtpm_attest(v->chan, &v->attest);
			break;
		case CHANNEL_EVENT_IDENTITY:
			vtpm_identity_renew(&v->identity, v->chan, &v->firmware);
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

static int run_vtpm(struct vtpm *v)
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
	rc = begin_vtpm(v);
	if (!rc)
		rc = open_side(v);
	if (!rc)
		rc = announce(v);
	if (!rc)
		rc = serve_vtpm(v);
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
	unlock_config_free(&v->config);
	free(v->tlvs);
	free(v);
	return rc;
}

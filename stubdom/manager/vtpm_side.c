/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_side.h"
#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int vtpm_side_prepare(struct vtpm_side *s, const struct vtpm_place *place,
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

int vtpm_side_open(struct vtpm_side *s, const struct vtpm_place *place,
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

int vtpm_side_serve(struct vtpm_side *s, int fd)
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

void vtpm_side_stats(const struct vtpm_side *s, struct vtpm_status *status)
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

void vtpm_side_close(struct vtpm_side *s)
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

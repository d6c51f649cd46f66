/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager in its own stub domain, vtpm-NAME.  xl builds and destroys it; its
 * end is noticed through xenstore's @releaseDomain.  Each start has a fresh domain uuid,
 * which is kept in a file (domain_file.h).
 */
#include "include/channel.h"
#include "lib/text.h"
#include "tools/vtpmd/body.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/domain_file.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define RECONNECT_MS 200
#define DESTROY_MS   5000
#define HEED_MS	     2000
/* A guest that rebooted is back by then, or its toolstack does not start it again. */
#define RETURN_MS 60000

struct domain {
	struct body body;
	uint8_t uuid[16]; /* of the domain, not of the vTPM */
	char node[96];	  /* what the vchan server writes last */
	char path[64];
	char control[64]; /* where the toolstack asks it to shut down */
	char guests[64];  /* a folder for each guest */
	bool watching, connected, destroying, condemned, creating;
	int64_t returns_ms; /* until when a guest is waited for that reboots: stamp_ms() */
	bool puzzled;	    /* the toolstack asked for what no stub domain does */
	struct log_limit lines; /* about what a stub domain can write into xenstore */
	int kernel, manager;	/* copies, while xl reads them; -1 */
	pid_t xl;
	struct event *retry;
	enum cause cause; /* why it never began */
	char why[320];
};

#define ABOUT(d) (&(struct log_about){.vtpm = (d)->body.name, .uuid = (d)->body.uuid})

static void look_domain(void *ctx);

static void look_again(struct domain *d, int ms)
{
	event_add(d->retry,
		  &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void finish_domain(struct domain *d)
{
	domain_file_forget(&d->body);
	if (d->watching)
		xen_unwatch(d->body.d->xen, d);
	event_del(d->retry);
	d->watching = d->connected = d->destroying = d->condemned = false;
	d->puzzled = false;
	d->returns_ms = 0;
	d->body.domid = -1;
	d->body.owner->gone(d->body.ctx, d->cause, d->why);
}

/* xl has read them, or never will. */
static void drop_image(struct domain *d)
{
	if (d->kernel >= 0)
		close(d->kernel);
	if (d->manager >= 0)
		close(d->manager);
	d->kernel = d->manager = -1;
}

static int take_domain_image(struct domain *d, struct error *e)
{
	struct image *i = &d->body.image;
	int rc;

	drop_image(d);
	rc = image_take(d->body.d->stubdom, &d->kernel, i->kernel, e);
	if (!rc)
		rc = image_take(d->body.d->manager, &d->manager, i->manager, e);
	i->known = i->has_kernel = !rc;
	return rc;
}

static int run_xl(struct domain *d, char *const argv[], child_done *done)
{
	char path[512];
	struct child_start s = {
		.argv = argv,
		.done = done,
		.ctx = d,
	};
	int rc;

	domain_file_path(&d->body, DOMAIN_FILE_LOG, path, sizeof(path));
	/* here, so that nobody takes what an earlier xl said for this one's, whatever keeps
	 * this one from running */
	s.out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s.out < 0)
		return -errno;
	rc = child_spawn(&s, &d->xl);
	close(s.out);
	return rc;
}

static void on_destroyed(void *ctx, int status)
{
	struct domain *d = ctx;
	const char *why;
	int domid;

	d->xl = 0;
	d->destroying = false;
	if (xen_find(d->body.d->xen, d->uuid, &domid, &why) != XEN_DOMAIN_GONE) {
		char said[160];

		domain_file_said(&d->body, said, sizeof(said));
		log_about(LOG_ERR, ABOUT(d), "`xl destroy %d` failed: %s", domid, said);
		/* look_domain() tries again with the next event, or in a while */
		look_again(d, DESTROY_MS);
		return;
	}
	finish_domain(d);
}

static void destroy(struct domain *d)
{
	char id[16];
	char *argv[] = {"xl", "destroy", id, NULL};

	if (d->destroying || d->creating)
		return;
	snprintf(id, sizeof(id), "%d", d->body.domid);
	d->destroying = true;
	if (run_xl(d, argv, on_destroyed)) {
		d->destroying = false;
		look_again(d, DESTROY_MS);
	}
}

static void try_connect(struct domain *d)
{
	struct wire *wire;

	if (d->connected || d->condemned || !xen_exists(d->body.d->xen, d->node))
		return;
	if (wire_vchan_new(d->body.d->base, (uint32_t)d->body.domid, d->path, &wire)) {
		look_again(d, RECONNECT_MS);
		return;
	}
	d->connected = true;
	d->body.owner->wire(d->body.ctx, wire);
}

static bool is_end(const char *word)
{
	return !strcmp(word, "poweroff") || !strcmp(word, "halt");
}

/* xl has its answer, the empty text, when the request cannot be forgotten any more. */
static void take_end(struct domain *d)
{
	if (d->body.owner->asked(d->body.ctx)) {
		look_again(d, HEED_MS);
		return;
	}
	if (xen_write(d->body.d->xen, d->control, ""))
		log_limited(&d->lines, LOG_WARNING, ABOUT(d), "xenstore refused %s",
			    d->control);
}

/* What xl asks a domain for, it writes there, and waits a minute for an answer: the
 * empty text.  xendomains asks all domains, one after the other, to shut down before the
 * host does: each vTPM goes when its guest has gone. */
static void heed(struct domain *d)
{
	char word[16];

	if (xen_read(d->body.d->xen, d->control, word, sizeof(word)) || !word[0]) {
		d->puzzled = false;
	} else if (is_end(word)) {
		take_end(d);
	} else if (!d->puzzled) {
		d->puzzled = true;
		log_limited(
			&d->lines, LOG_WARNING, ABOUT(d),
			"xl asks its stub domain for \"%s\", which it does not do: its "
			"memory is saved and moved nowhere",
			word);
	}
}

/* The guest's reboot is not its end: another domain comes in its place, from the same
 * configuration.  Returns for how many milliseconds it is waited for, or 0. */
static int64_t wait_for_return(struct domain *d)
{
	struct xen_below below = xen_below(d->body.d->xen, d->guests);
	int64_t now = stamp_ms();

	if (below.returns)
		d->returns_ms = now + RETURN_MS;
	else if (below.lives)
		d->returns_ms = 0;
	return d->returns_ms > now ? d->returns_ms - now : 0;
}

/* It was asked to end, and does when no guest uses it. */
static void end_unused(struct domain *d)
{
	int64_t ms = wait_for_return(d);

	if (xen_has_children(d->body.d->xen, d->guests))
		return;
	if (ms)
		look_again(d, (int)ms);
	else if (!d->body.owner->unused(d->body.ctx))
		look_again(d, RECONNECT_MS);
}

static void look_alive(struct domain *d)
{
	if (d->condemned) {
		destroy(d);
		return;
	}
	heed(d);
	try_connect(d);
	if (d->body.ending)
		end_unused(d);
	else
		d->returns_ms = 0;
}

/* Something changed in Xen: does it live, does it listen, is it wanted? */
static void look_domain(void *ctx)
{
	struct domain *d = ctx;
	const char *why;
	int domid;

	if (d->creating || d->destroying)
		return;
	switch (xen_find(d->body.d->xen, d->uuid, &domid, &why)) {
	case XEN_DOMAIN_GONE:
		snprintf(d->why, sizeof(d->why), "The stub domain vtpm-%s ended: %s.",
			 d->body.name, why);
		finish_domain(d);
		break;
	case XEN_DOMAIN_ENDED:
		snprintf(d->why, sizeof(d->why), "The stub domain vtpm-%s ended: %s.",
			 d->body.name, why);
		destroy(d);
		break;
	case XEN_DOMAIN_ALIVE:
		look_alive(d);
		break;
	}
}

static void on_domain_retry(evutil_socket_t fd, short what, void *ctx)
{
	look_domain(ctx);
}

/* The toolstack makes a folder for each guest below backend/vtpm; the backend shall
 * be able to remove it again, or guests that reboot would leave thousands. */
static void share_backend_folder(struct domain *d)
{
	if (xen_share_folder(d->body.d->xen, d->body.domid, d->guests))
		log_about(LOG_WARNING, ABOUT(d), "xenstore refused %s", d->guests);
}

static void name_nodes(struct domain *d)
{
	char home[32];

	snprintf(home, sizeof(home), "/local/domain/%d", d->body.domid);
	snprintf(d->path, sizeof(d->path), "%s/" CHANNEL_XS_PATH, home);
	snprintf(d->node, sizeof(d->node), "%s/event-channel", d->path);
	snprintf(d->control, sizeof(d->control), "%s/control/shutdown", home);
	snprintf(d->guests, sizeof(d->guests), "%s/backend/vtpm", home);
}

/* The domain exists, and its nodes have names: watch it. */
static int attach(struct domain *d)
{
	const char *const nodes[] = {d->node, d->control, d->guests};
	size_t i;

	d->watching = true;
	for (i = 0; i < ARRAY_SIZE(nodes); i++)
		if (xen_watch(d->body.d->xen, nodes[i], look_domain, d))
			return -EIO;
	look_domain(d);
	return 0;
}

/* Why xl made no domain, by its last line; that its file does not parse is the site's lines'
 * fault: the others are always the same. */
static void note_xl_failed(struct domain *d)
{
	const struct vtpmd *v = d->body.d;
	size_t used;
	char said[256];

	domain_file_said(&d->body, said, sizeof(said));
	snprintf(d->why, sizeof(d->why), "`xl create` of vtpm-%s failed: %.100s.",
		 d->body.name, said);
	used = strlen(d->why);
	if (strstr(said, "parse config") && v->domain_config)
		snprintf(d->why + used, sizeof(d->why) - used,
			 " Mend %.60s: %.40s/%.40s." DOMAIN_FILE_LOG " has the line.",
			 v->domain_config, v->run, d->body.name);
}

static void on_created(void *ctx, int status)
{
	struct domain *d = ctx;
	const char *why;
	char text[64];

	d->xl = 0;
	d->creating = false;
	drop_image(d);
	/* for want of memory, mostly, which another domain's end gives back */
	d->cause = CAUSE_RESOURCES;
	if (xen_find(d->body.d->xen, d->uuid, &d->body.domid, &why) == XEN_DOMAIN_GONE) {
		note_xl_failed(d);
		finish_domain(d);
		return;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		note_xl_failed(d);
		destroy(d);
		return;
	}
	d->cause = CAUSE_NONE;
	snprintf(text, sizeof(text), "domain %d runs, opening the state", d->body.domid);
	d->body.owner->progress(d->body.ctx, text);
	name_nodes(d);
	share_backend_folder(d);
	if (attach(d)) {
		snprintf(d->why, sizeof(d->why), "xenstore refused a watch.");
		destroy(d);
	}
}

static int domain_start(struct body *b, struct error *e)
{
	struct domain *d = (struct domain *)b;
	char path[512];
	/* -e: xl does not stay to wait for its end */
	char *argv[] = {"xl", "create", "-e", path, NULL};
	int rc;

	if (!b->d->xen)
		return error_set(e, -ENODEV, CAUSE_NOT_CONFIGURED,
				 "This is no Xen host: boot Xen, or create the vTPM with "
				 "`--placement process`.");
	if (!d->retry)
		d->retry = evtimer_new(b->d->base, on_domain_retry, d);
	if (!d->retry)
		return error_set(e, -ENOMEM, CAUSE_RESOURCES, "There is no memory.");
	rc = take_domain_image(d, e);
	if (rc)
		return rc;
	uuid_generate(d->uuid);
	rc = domain_file_config(b, d->uuid, d->kernel, d->manager, e);
	if (rc) {
		drop_image(d);
		return rc;
	}
	rc = domain_file_keep(b, d->uuid);
	domain_file_path(b, DOMAIN_FILE_CONFIG, path, sizeof(path));
	if (!rc)
		rc = run_xl(d, argv, on_created);
	if (rc) {
		drop_image(d);
		return error_set(
			e, rc, error_of_host(rc),
			"The stub domain could not be started: %s; see `xl info`, `free` and `df /run`.",
			strerror(-rc));
	}
	d->creating = true;
	b->owner->progress(b->ctx, "creating the stub domain");
	return 0;
}

static int domain_adopt(struct body *b)
{
	struct domain *d = (struct domain *)b;
	const char *why;

	if (!b->d->xen)
		return -ENOENT;
	if (domain_file_kept(b, d->uuid) ||
	    xen_find(b->d->xen, d->uuid, &b->domid, &why) == XEN_DOMAIN_GONE) {
		domain_file_forget(b);
		return -ENOENT;
	}
	if (!d->retry)
		d->retry = evtimer_new(b->d->base, on_domain_retry, d);
	if (!d->retry)
		return -ENOMEM;
	name_nodes(d);
	return attach(d);
}

static void domain_lost(struct body *b)
{
	struct domain *d = (struct domain *)b;

	d->connected = false;
	/* the server is made again in a moment, or the domain has ended */
	look_again(d, RECONNECT_MS);
}

static void domain_end(struct body *b)
{
	struct domain *d = (struct domain *)b;

	d->condemned = true;
	look_domain(d);
}

static void domain_free(struct body *b)
{
	struct domain *d = (struct domain *)b;

	drop_image(d);
	if (d->xl)
		child_forget(d->xl);
	if (d->watching)
		xen_unwatch(b->d->xen, d);
	if (d->retry)
		event_free(d->retry);
	free(d);
}

static const struct body_ops domain_ops = {
	.start = domain_start,
	.adopt = domain_adopt,
	.lost = domain_lost,
	.end = domain_end,
	.free = domain_free,
};

struct body *domain_new(void)
{
	struct domain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->body.ops = &domain_ops;
	d->body.domid = -1;
	d->kernel = d->manager = -1;
	return &d->body;
}

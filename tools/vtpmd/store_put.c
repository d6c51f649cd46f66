/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/store_put.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_put {
	struct work work;
	struct store *store;
	struct store folder; /* the thread's own descriptor of it */
	uint16_t object;
	uint64_t seq;
	bool running;
	int rc;
	store_put_done *done; /* NULL: nobody waits for it */
	void *ctx;
	size_t len;
	uint8_t buf[];
};

static void on_run(struct work *w)
{
	struct store_put *p = (struct store_put *)w;

	p->rc = store_put(&p->folder, p->object, p->seq, p->buf, p->len);
}

static void on_done(struct work *w)
{
	struct store_put *p = (struct store_put *)w;

	close(p->folder.dir);
	p->running = false;
	p->store->puts--;
	if (!p->store->puts)
		store_expect(p->store, NULL, 0);
	if (!p->rc)
		p->rc = store_know(p->store, p->object, p->buf, p->len);
	if (p->done)
		p->done(p->ctx, p->rc);
	else
		free(p);
}

struct store_put *store_put_new(struct store *s, uint16_t object, uint64_t seq,
				const uint8_t *buf, size_t len, store_put_done *done,
				void *ctx)
{
	struct store_put *p = calloc(1, sizeof(*p) + len);

	if (!p)
		return NULL;
	p->work.key = s;
	p->work.run = on_run;
	p->work.done = on_done;
	p->store = s;
	p->object = object;
	p->seq = seq;
	p->done = done;
	p->ctx = ctx;
	p->len = len;
	memcpy(p->buf, buf, len);
	return p;
}

int store_put_run(struct store_put *p)
{
	p->folder = (struct store){.lease = -1};
	memcpy(p->folder.uuid, p->store->uuid, sizeof(p->folder.uuid));
	p->folder.epoch = p->store->epoch;
	p->folder.dir = fcntl(p->store->dir, F_DUPFD_CLOEXEC, 0);
	if (p->folder.dir < 0)
		return -errno;
	p->running = true;
	p->store->puts++;
	store_expect(p->store, p->buf, p->len);
	work_add(&p->work);
	return 0;
}

void store_put_free(struct store_put *p)
{
	if (p && p->running)
		p->done = NULL;
	else
		free(p);
}

bool store_put_busy(const struct store *s)
{
	return s->puts > 0;
}

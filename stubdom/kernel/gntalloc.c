/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/xen/gntalloc (xen/sys/gntalloc.h): pages of ours for other domains.  A page
 * lives while the file or its mapping holds it; then its unmap notification is
 * performed, and it is freed as soon as the peer has let go of it too.
 */
#include <errno.h>
#include <asm/ioctl.h>
#include <asm/poll.h>
#include <stddef.h>
#include <xen/xen.h>
#include <xen/sys/gntalloc.h>
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/grant.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/unmap.h"
#include "stubdom/kernel/user.h"

#define SHARES_MAX   192
#define MAPPINGS_MAX 32

/* One call of mmap(); a page can be in one mapping at a time. */
struct mapping {
	struct memory_device device; /* first: what the region points at */
	bool used;
};

struct share {
	uint64_t pa; /* 0: free */
	uint64_t offset;
	const struct file *owner;      /* NULL: its file has let go of it */
	const struct mapping *mapping; /* NULL: not mapped */
	uint32_t ref;
	struct unmap unmap;
};

static struct share shares[SHARES_MAX];
static struct mapping mappings[MAPPINGS_MAX];

/* With no holder left: tell the peer, and free the page if it has let go. */
static void settle(struct share *s)
{
	if (!s->pa || s->owner || s->mapping)
		return;
	if (s->unmap.action)
		unmap_perform(&s->unmap, s->pa);
	if (!grant_end(s->ref))
		return; /* again at the next change */
	page_free(s->pa);
	*s = (struct share){0};
}

static void settle_all(void)
{
	for (unsigned int i = 0; i < SHARES_MAX; i++)
		settle(&shares[i]);
}

static void close_device(struct file *f)
{
	for (unsigned int i = 0; i < SHARES_MAX; i++)
		if (shares[i].owner == f)
			shares[i].owner = NULL;
	settle_all();
}

static void release(struct memory_device *d)
{
	struct mapping *m = (struct mapping *)d;

	for (unsigned int i = 0; i < SHARES_MAX; i++)
		if (shares[i].mapping == m)
			shares[i].mapping = NULL;
	m->used = false;
	settle_all();
}

static struct share *find(const struct file *f, uint64_t offset)
{
	for (unsigned int i = 0; i < SHARES_MAX; i++)
		if (shares[i].pa && shares[i].owner == f &&
		    offset - shares[i].offset < PAGE_SIZE)
			return &shares[i];
	return NULL;
}

static int add_share(struct file *f, uint64_t offset, uint16_t domid, bool writable,
		     uint32_t *ref)
{
	struct share *s = NULL;
	uint64_t pa;
	int rc;

	for (unsigned int i = 0; i < SHARES_MAX && !s; i++)
		if (!shares[i].pa)
			s = &shares[i];
	if (!s)
		return -ENOSPC;
	rc = page_alloc_user(&pa);
	if (rc)
		return rc;
	rc = grant_share(domid, pa, writable, ref);
	if (rc) {
		page_free(pa);
		return rc;
	}
	*s = (struct share){.pa = pa, .offset = offset, .owner = f, .ref = *ref};
	return 0;
}

/* Lets go of `count` pages from offset; what is not there is skipped. */
static void drop(const struct file *f, uint64_t offset, uint32_t count)
{
	struct share *s;

	for (uint32_t i = 0; i < count; i++) {
		s = find(f, offset + i * PAGE_SIZE);
		if (!s)
			continue;
		s->owner = NULL;
		settle(s);
	}
}

static long alloc(struct file *f, uint64_t argument)
{
	const size_t head = offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids);
	struct ioctl_gntalloc_alloc_gref a;
	uint64_t at = argument + head;
	uint32_t ref, i = 0;
	int rc = user_read(&a, argument, head);

	if (rc)
		return rc;
	if (!a.count || a.count > SHARES_MAX || a.flags & ~GNTALLOC_FLAG_WRITABLE)
		return -EINVAL;
	settle_all();
	a.index = f->position;
	for (; !rc && i < a.count; i++) {
		rc = add_share(f, a.index + i * PAGE_SIZE, a.domid,
			       a.flags & GNTALLOC_FLAG_WRITABLE, &ref);
		if (!rc)
			rc = user_write(at + i * sizeof(ref), &ref, sizeof(ref));
	}
	if (!rc)
		rc = user_write(argument, &a, head);
	if (rc) {
		drop(f, a.index, i);
		return rc;
	}
	f->position += a.count * PAGE_SIZE;
	return 0;
}

static long dealloc(struct file *f, uint64_t argument)
{
	struct ioctl_gntalloc_dealloc_gref d;
	int rc = user_read(&d, argument, sizeof(d));

	if (rc)
		return rc;
	if (d.count > SHARES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < d.count; i++)
		if (!find(f, d.index + i * PAGE_SIZE))
			return -EINVAL;
	drop(f, d.index, d.count);
	return 0;
}

static long set_unmap(struct file *f, uint64_t argument)
{
	struct ioctl_gntalloc_unmap_notify notify;
	struct share *s;
	int rc = user_read(&notify, argument, sizeof(notify));

	if (rc)
		return rc;
	s = find(f, notify.index);
	if (!s)
		return -ENOENT;
	return unmap_set(&s->unmap, notify.action, notify.event_channel_port,
			 notify.index - s->offset);
}

static long control(struct file *f, uint32_t request, uint64_t argument)
{
	switch (request) {
	case IOCTL_GNTALLOC_ALLOC_GREF:
		return alloc(f, argument);
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		return dealloc(f, argument);
	case IOCTL_GNTALLOC_SET_UNMAP_NOTIFY:
		return set_unmap(f, argument);
	default:
		return -ENOTTY;
	}
}

static int show_pages(const struct file *f, struct mapping *m, uint64_t start,
		      uint64_t size, uint64_t offset, unsigned int rights)
{
	for (uint64_t n = 0; n < size; n += PAGE_SIZE) {
		struct share *s = find(f, offset + n);
		int rc = map_user(start + n, s->pa, rights);

		if (rc)
			return rc;
		s->mapping = m;
	}
	return 0;
}

static int check_pages(const struct file *f, uint64_t size, uint64_t offset)
{
	for (uint64_t n = 0; n < size; n += PAGE_SIZE) {
		struct share *s = find(f, offset + n);

		if (!s)
			return -ENOENT;
		if (s->mapping)
			return -EBUSY;
	}
	return 0;
}

static long mmap(struct file *f, uint64_t hint, uint64_t size, unsigned int rights,
		 uint64_t offset)
{
	struct mapping *m = NULL;
	uint64_t start;
	int rc;

	if (size > SHARES_MAX * PAGE_SIZE)
		return -EINVAL;
	rc = check_pages(f, size, offset);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < MAPPINGS_MAX && !m; i++)
		if (!mappings[i].used)
			m = &mappings[i];
	if (!m)
		return -ENOMEM;
	*m = (struct mapping){.device.release = release, .used = true};
	rc = memory_add_device(hint, size, rights, &m->device, &start);
	if (rc) {
		m->used = false;
		return rc;
	}
	rc = show_pages(f, m, start, size, offset, rights);
	if (!rc)
		return (long)start;
	memory_drop_device(start, size);
	release(&m->device);
	return rc;
}

static unsigned int poll(struct file *f)
{
	return POLLIN | POLLOUT;
}

const struct file_ops gntalloc_ops = {
	.mode = FILE_CHARACTER | 0600,
	.close = close_device,
	.ioctl = control,
	.mmap = mmap,
	.poll = poll,
};

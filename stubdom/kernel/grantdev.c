/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/xen/gntalloc (xen/sys/gntalloc.h): pages of ours for other domains.  A page
 * lives while the file or its mapping holds it; then its unmap notification is
 * performed, and it is freed as soon as the peer has let go of it too.
 */
#include "include/compiler.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/grant.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/user.h"

#include <asm/ioctl.h>
#include <asm/poll.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include <xen/xen.h>

struct unmap {
	uint32_t action; /* UNMAP_NOTIFY_*; 0: nothing */
	uint32_t port;
	uint32_t byte; /* offset from the first page */
};

static bool is_program_port(uint32_t port)
{
	for (unsigned int i = 0; port && i < EVTCHN_MAX; i++)
		if (evtchn_entry(i)->port == port && evtchn_entry(i)->owner)
			return true;
	return false;
}

/* 0, or -EINVAL: unknown action, or a port that is not the program's. */
static int unmap_set(struct unmap *u, uint32_t action, uint32_t port, uint64_t byte)
{
	if (action & ~(uint32_t)(UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT))
		return -EINVAL;
	if (action & UNMAP_NOTIFY_SEND_EVENT && !is_program_port(port))
		return -EINVAL;
	*u = (struct unmap){action, port, (uint32_t)byte};
	return 0;
}

/* page: physical address of the page that holds the byte. */
static void unmap_perform(struct unmap *u, uint64_t page)
{
	volatile char *at = (char *)LAYOUT_FIXED_AT(LAYOUT_TEMPORARY);

	if (u->action & UNMAP_NOTIFY_CLEAR_BYTE) {
		map_fixed(LAYOUT_TEMPORARY, page);
		at[u->byte % LAYOUT_PAGE] = 0;
		/* No mapping may outlive the grant. */
		map_unfix(LAYOUT_TEMPORARY);
	}
	/* The port may have been closed meanwhile, and be another's by now. */
	if (u->action & UNMAP_NOTIFY_SEND_EVENT && is_program_port(u->port))
		evtchn_notify_port(u->port);
	u->action = 0;
}

#define SHARES_MAX   192
#define MAPPINGS_MAX 32

/* One call of gntalloc_mmap(); a page can be in one mapping at a time. */
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
static void settle_grants(struct share *s)
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
		settle_grants(&shares[i]);
}

static void gntalloc_close_device(struct file *f)
{
	for (unsigned int i = 0; i < SHARES_MAX; i++)
		if (shares[i].owner == f)
			shares[i].owner = NULL;
	settle_all();
}

static void gntalloc_release(struct memory_device *d)
{
	struct mapping *m = (struct mapping *)d;

	for (unsigned int i = 0; i < SHARES_MAX; i++)
		if (shares[i].mapping == m)
			shares[i].mapping = NULL;
	m->used = false;
	settle_all();
}

static struct share *gntalloc_find(const struct file *f, uint64_t offset)
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
		s = gntalloc_find(f, offset + i * PAGE_SIZE);
		if (!s)
			continue;
		s->owner = NULL;
		settle_grants(s);
	}
}

static long alloc(struct file *f, uint64_t argument)
{
	const size_t head = offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids);
	struct ioctl_gntalloc_alloc_gref a;
	uint64_t at = argument + head;
	uint32_t ref, i = 0;
	int rc = copy_from_user(&a, argument, head);

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
			rc = copy_to_user(at + i * sizeof(ref), &ref, sizeof(ref));
	}
	if (!rc)
		rc = copy_to_user(argument, &a, head);
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
	int rc = copy_from_user(&d, argument, sizeof(d));

	if (rc)
		return rc;
	if (d.count > SHARES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < d.count; i++)
		if (!gntalloc_find(f, d.index + i * PAGE_SIZE))
			return -EINVAL;
	drop(f, d.index, d.count);
	return 0;
}

static long gntalloc_set_unmap(struct file *f, uint64_t argument)
{
	struct ioctl_gntalloc_unmap_notify notify;
	struct share *s;
	int rc = copy_from_user(&notify, argument, sizeof(notify));

	if (rc)
		return rc;
	s = gntalloc_find(f, notify.index);
	if (!s)
		return -ENOENT;
	return unmap_set(&s->unmap, notify.action, notify.event_channel_port,
			 notify.index - s->offset);
}

static long gntalloc_control(struct file *f, uint32_t request, uint64_t argument)
{
	switch (request) {
	case IOCTL_GNTALLOC_ALLOC_GREF:
		return alloc(f, argument);
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		return dealloc(f, argument);
	case IOCTL_GNTALLOC_SET_UNMAP_NOTIFY:
		return gntalloc_set_unmap(f, argument);
	default:
		return -ENOTTY;
	}
}

static int gntalloc_show_pages(const struct file *f, struct mapping *m, uint64_t start,
			       uint64_t size, uint64_t offset, unsigned int rights)
{
	for (uint64_t n = 0; n < size; n += PAGE_SIZE) {
		struct share *s = gntalloc_find(f, offset + n);
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
		struct share *s = gntalloc_find(f, offset + n);

		if (!s)
			return -ENOENT;
		if (s->mapping)
			return -EBUSY;
	}
	return 0;
}

static long gntalloc_mmap(struct file *f, uint64_t hint, uint64_t size,
			  unsigned int rights, uint64_t offset)
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
	*m = (struct mapping){.device.release = gntalloc_release, .used = true};
	rc = memory_add_device(hint, size, rights, &m->device, &start);
	if (rc) {
		m->used = false;
		return rc;
	}
	rc = gntalloc_show_pages(f, m, start, size, offset, rights);
	if (!rc)
		return (long)start;
	memory_drop_device(start, size);
	gntalloc_release(&m->device);
	return rc;
}

static unsigned int gntalloc_poll(struct file *f)
{
	return POLLIN | POLLOUT;
}

const struct file_ops gntalloc_ops = {
	.mode = FILE_CHARACTER | 0600,
	.close = gntalloc_close_device,
	.ioctl = gntalloc_control,
	.mmap = gntalloc_mmap,
	.poll = gntalloc_poll,
};

/*
 * /dev/xen/gntdev (xen/sys/gntdev.h): pages of other domains.  A set of references
 * is announced by ioctl, mapped by mmap(), unmapped by munmap(), and forgotten when
 * neither the file nor a mapping holds it.
 */

#define SET_MAX 330 /* references in one set, so that a set is one page */

struct set {
	struct memory_device device; /* first: what the region points at */
	struct set *next;	     /* of the same file */
	bool listed;		     /* the file still knows it */
	bool mapped;
	bool writable;
	uint32_t count;
	uint64_t offset; /* of the first page, for gntdev_mmap() */
	uint64_t start;	 /* where it is mapped */
	struct unmap unmap;
	struct grant_page page[SET_MAX];
};
_Static_assert(sizeof(struct set) <= 4096, "a set is kept in one page");

struct device {
	struct set *first;
	uint64_t next_offset; /* never used twice */
};

static void free_set(struct set *s)
{
	if (!s->listed && !s->mapped)
		page_free((uint64_t)s - (uint64_t)page_address(0));
}

static void unmap_pages(struct set *s)
{
	uint32_t at = s->unmap.byte / (uint32_t)PAGE_SIZE;

	if (s->unmap.action)
		unmap_perform(&s->unmap, grant_address(&s->page[at]));
	for (uint32_t i = 0; i < s->count; i++)
		grant_unmap(&s->page[i]);
	s->mapped = false;
}

static void gntdev_release(struct memory_device *d)
{
	struct set *s = (struct set *)d;

	unmap_pages(s);
	free_set(s);
}

static struct set *gntdev_find(const struct file *f, uint64_t offset)
{
	struct device *d = f->state;

	for (struct set *s = d->first; s; s = s->next)
		if (offset >= s->offset && offset - s->offset < s->count * PAGE_SIZE)
			return s;
	return NULL;
}

static void unlist(struct device *d, struct set *s)
{
	struct set **at = &d->first;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->listed = false;
	free_set(s);
}

static void gntdev_close_device(struct file *f)
{
	struct device *d = f->state;

	while (d->first)
		unlist(d, d->first);
	file_free_state(f);
}

static int read_references(struct set *s, uint64_t from)
{
	struct ioctl_gntdev_grant_ref r;
	int rc;

	for (uint32_t i = 0; i < s->count; i++) {
		rc = copy_from_user(&r, from + i * sizeof(r), sizeof(r));
		if (rc)
			return rc;
		if (r.domid > DOMID_SELF)
			return -EINVAL;
		s->page[i] =
			(struct grant_page){.ref = r.ref, .domid = (uint16_t)r.domid};
	}
	return 0;
}

static long add_set(struct file *f, uint64_t argument)
{
	const size_t head = offsetof(struct ioctl_gntdev_map_grant_ref, refs);
	struct device *d = f->state;
	struct ioctl_gntdev_map_grant_ref map;
	struct set *s;
	uint64_t pa;
	int rc = copy_from_user(&map, argument, head);

	if (rc)
		return rc;
	if (!map.count || map.count > SET_MAX)
		return -EINVAL;
	rc = page_alloc(&pa);
	if (rc)
		return rc;
	s = page_address(pa);
	s->device.release = gntdev_release;
	s->count = map.count;
	s->offset = d->next_offset;
	map.index = s->offset;
	rc = read_references(s, argument + head);
	if (!rc)
		rc = copy_to_user(argument, &map, head);
	if (rc) {
		free_set(s);
		return rc;
	}
	d->next_offset += map.count * PAGE_SIZE;
	s->listed = true;
	s->next = d->first;
	d->first = s;
	return 0;
}

static long remove_set(struct file *f, uint64_t argument)
{
	struct ioctl_gntdev_unmap_grant_ref unmap;
	struct set *s;
	int rc = copy_from_user(&unmap, argument, sizeof(unmap));

	if (rc)
		return rc;
	s = gntdev_find(f, unmap.index);
	if (!s || s->offset != unmap.index || s->count != unmap.count)
		return -ENOENT;
	unlist(f->state, s);
	return 0;
}

static long get_offset(struct file *f, uint64_t argument)
{
	struct ioctl_gntdev_get_offset_for_vaddr get;
	struct device *d = f->state;
	int rc = copy_from_user(&get, argument, sizeof(get));

	if (rc)
		return rc;
	for (struct set *s = d->first; s; s = s->next) {
		if (!s->mapped || s->start != get.vaddr)
			continue;
		get.offset = s->offset;
		get.count = s->count;
		return copy_to_user(argument, &get, sizeof(get));
	}
	return -EINVAL;
}

static long gntdev_set_unmap(struct file *f, uint64_t argument)
{
	struct ioctl_gntdev_unmap_notify notify;
	struct set *s;
	int rc = copy_from_user(&notify, argument, sizeof(notify));

	if (rc)
		return rc;
	s = gntdev_find(f, notify.index);
	if (!s)
		return -ENOENT;
	if (notify.action & UNMAP_NOTIFY_CLEAR_BYTE && s->mapped && !s->writable)
		return -EINVAL;
	return unmap_set(&s->unmap, notify.action, notify.event_channel_port,
			 notify.index - s->offset);
}

static long gntdev_control(struct file *f, uint32_t request, uint64_t argument)
{
	switch (request) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		return add_set(f, argument);
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		return remove_set(f, argument);
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		return get_offset(f, argument);
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		return gntdev_set_unmap(f, argument);
	case IOCTL_GNTDEV_SET_MAX_GRANTS:
		return 0;
	default:
		return -ENOTTY;
	}
}

static int map_pages(struct set *s, bool writable)
{
	for (uint32_t i = 0; i < s->count; i++) {
		int rc = grant_map(&s->page[i], writable);

		if (!rc)
			continue;
		while (i--)
			grant_unmap(&s->page[i]);
		return rc;
	}
	return 0;
}

static int gntdev_show_pages(const struct set *s, unsigned int rights)
{
	for (uint32_t i = 0; i < s->count; i++) {
		int rc = map_user(s->start + i * PAGE_SIZE, grant_address(&s->page[i]),
				  rights);

		if (rc)
			return rc;
	}
	return 0;
}

static long gntdev_mmap(struct file *f, uint64_t hint, uint64_t size, unsigned int rights,
			uint64_t offset)
{
	struct set *s = gntdev_find(f, offset);
	int rc;

	if (!s || s->offset != offset || s->count * PAGE_SIZE != size || !rights)
		return -EINVAL;
	if (s->mapped)
		return -EBUSY;
	s->writable = rights & MAP_WRITE;
	if (!s->writable && s->unmap.action & UNMAP_NOTIFY_CLEAR_BYTE)
		return -EINVAL;
	rc = memory_add_device(hint, size, rights, &s->device, &s->start);
	if (rc)
		return rc;
	rc = map_pages(s, s->writable);
	if (!rc) {
		s->mapped = true;
		rc = gntdev_show_pages(s, rights);
		if (!rc)
			return (long)s->start;
		unmap_pages(s);
	}
	memory_drop_device(s->start, size);
	return rc;
}

static unsigned int gntdev_poll(struct file *f)
{
	return POLLIN | POLLOUT;
}

const struct file_ops gntdev_ops = {
	.mode = FILE_CHARACTER | 0600,
	.open = file_alloc_state,
	.close = gntdev_close_device,
	.ioctl = gntdev_control,
	.mmap = gntdev_mmap,
	.poll = gntdev_poll,
};

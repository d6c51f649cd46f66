/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/xen/gntdev (xen/sys/gntdev.h): pages of other domains.  A set of references
 * is announced by ioctl, mapped by mmap(), unmapped by munmap(), and forgotten when
 * neither the file nor a mapping holds it.
 */
#include <errno.h>
#include <asm/ioctl.h>
#include <asm/poll.h>
#include <stddef.h>
#include <xen/xen.h>
#include <xen/sys/gntdev.h>
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/grant.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/unmap.h"
#include "stubdom/kernel/user.h"

#define SET_MAX 330 /* references in one set, so that a set is one page */

struct set {
	struct memory_device device; /* first: what the region points at */
	struct set *next;	     /* of the same file */
	bool listed;		     /* the file still knows it */
	bool mapped;
	bool writable;
	uint32_t count;
	uint64_t offset; /* of the first page, for mmap() */
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

static void release(struct memory_device *d)
{
	struct set *s = (struct set *)d;

	unmap_pages(s);
	free_set(s);
}

static struct set *find(const struct file *f, uint64_t offset)
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

static void close_device(struct file *f)
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
		rc = user_read(&r, from + i * sizeof(r), sizeof(r));
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
	int rc = user_read(&map, argument, head);

	if (rc)
		return rc;
	if (!map.count || map.count > SET_MAX)
		return -EINVAL;
	rc = page_alloc(&pa);
	if (rc)
		return rc;
	s = page_address(pa);
	s->device.release = release;
	s->count = map.count;
	s->offset = d->next_offset;
	map.index = s->offset;
	rc = read_references(s, argument + head);
	if (!rc)
		rc = user_write(argument, &map, head);
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
	int rc = user_read(&unmap, argument, sizeof(unmap));

	if (rc)
		return rc;
	s = find(f, unmap.index);
	if (!s || s->offset != unmap.index || s->count != unmap.count)
		return -ENOENT;
	unlist(f->state, s);
	return 0;
}

static long get_offset(struct file *f, uint64_t argument)
{
	struct ioctl_gntdev_get_offset_for_vaddr get;
	struct device *d = f->state;
	int rc = user_read(&get, argument, sizeof(get));

	if (rc)
		return rc;
	for (struct set *s = d->first; s; s = s->next) {
		if (!s->mapped || s->start != get.vaddr)
			continue;
		get.offset = s->offset;
		get.count = s->count;
		return user_write(argument, &get, sizeof(get));
	}
	return -EINVAL;
}

static long set_unmap(struct file *f, uint64_t argument)
{
	struct ioctl_gntdev_unmap_notify notify;
	struct set *s;
	int rc = user_read(&notify, argument, sizeof(notify));

	if (rc)
		return rc;
	s = find(f, notify.index);
	if (!s)
		return -ENOENT;
	if (notify.action & UNMAP_NOTIFY_CLEAR_BYTE && s->mapped && !s->writable)
		return -EINVAL;
	return unmap_set(&s->unmap, notify.action, notify.event_channel_port,
			 notify.index - s->offset);
}

static long control(struct file *f, uint32_t request, uint64_t argument)
{
	switch (request) {
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		return add_set(f, argument);
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		return remove_set(f, argument);
	case IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR:
		return get_offset(f, argument);
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		return set_unmap(f, argument);
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

static int show_pages(const struct set *s, unsigned int rights)
{
	for (uint32_t i = 0; i < s->count; i++) {
		int rc = map_user(s->start + i * PAGE_SIZE, grant_address(&s->page[i]),
				  rights);

		if (rc)
			return rc;
	}
	return 0;
}

static long mmap(struct file *f, uint64_t hint, uint64_t size, unsigned int rights,
		 uint64_t offset)
{
	struct set *s = find(f, offset);
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
		rc = show_pages(s, rights);
		if (!rc)
			return (long)s->start;
		unmap_pages(s);
	}
	memory_drop_device(s->start, size);
	return rc;
}

static unsigned int poll(struct file *f)
{
	return POLLIN | POLLOUT;
}

const struct file_ops gntdev_ops = {
	.mode = FILE_CHARACTER | 0600,
	.open = file_alloc_state,
	.close = close_device,
	.ioctl = control,
	.mmap = mmap,
	.poll = poll,
};

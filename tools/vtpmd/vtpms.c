/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/vtpm.h"

#include <string.h>

static struct vtpm *of_name_node(const struct tree_node *n)
{
	return n ? TREE_OF(n, struct vtpm, by_name) : NULL;
}

static struct vtpm *of_uuid_node(const struct tree_node *n)
{
	return n ? TREE_OF(n, struct vtpm, by_uuid) : NULL;
}

static int compare_names(const void *key, const struct tree_node *n)
{
	return strcmp(key, of_name_node(n)->meta.name);
}

static int compare_uuids(const void *key, const struct tree_node *n)
{
	return memcmp(key, of_uuid_node(n)->meta.uuid,
		      sizeof(of_uuid_node(n)->meta.uuid));
}

void vtpms_add(struct vtpmd *d, struct vtpm *v)
{
	tree_add(&d->by_name, v->meta.name, &v->by_name, compare_names);
	tree_add(&d->by_uuid, v->meta.uuid, &v->by_uuid, compare_uuids);
	v->before = of_name_node(
		tree_before(d->by_name, v->meta.name, &v->by_name, compare_names));
	v->next = v->before ? v->before->next : d->vtpms;
	if (v->before)
		v->before->next = v;
	else
		d->vtpms = v;
	if (v->next)
		v->next->before = v;
	d->vtpms_changes++;
}

void vtpms_remove(struct vtpm *v)
{
	struct vtpmd *d = v->d;

	tree_remove(&d->by_name, v->meta.name, &v->by_name, compare_names);
	tree_remove(&d->by_uuid, v->meta.uuid, &v->by_uuid, compare_uuids);
	if (v->before)
		v->before->next = v->next;
	else
		d->vtpms = v->next;
	if (v->next)
		v->next->before = v->before;
	d->vtpms_changes++;
}

struct vtpm *vtpms_find(const struct vtpmd *d, const char *name)
{
	return of_name_node(tree_find(d->by_name, name, compare_names));
}

struct vtpm *vtpms_find_uuid(const struct vtpmd *d, const uint8_t uuid[16])
{
	return of_uuid_node(tree_find(d->by_uuid, uuid, compare_uuids));
}

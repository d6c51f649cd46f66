/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/erase.h"
#include "tools/vtpmd/object.h"
#include "tools/vtpmd/store.h"
#include "lib/atomic.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Of each, what it is in the folder of the vTPM that is a copy. */
static const struct {
	uint16_t object, copy;
} sources[] = {
	{CHANNEL_OBJECT_HEADER, CHANNEL_OBJECT_SOURCE_HEADER},
	{CHANNEL_OBJECT_PERMALL, CHANNEL_OBJECT_SOURCE_PERMALL},
};

int store_take_source(struct store *s, struct store *from)
{
	uint8_t *buf;
	size_t i, len;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(sources) && !rc; i++) {
		rc = store_get(from, sources[i].object, &buf, &len);
		if (rc)
			break;
		rc = atomic_write(s->dir, object_name(sources[i].copy), buf, len, false);
		if (!rc)
			rc = store_know(s, sources[i].copy, buf, len);
		free(buf);
	}
	return rc;
}

int store_drop_source(struct store *s)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(sources) && !rc; i++) {
		rc = erase_previous(s->dir, object_name(sources[i].copy));
		if (!rc)
			rc = erase_file(s->dir, object_name(sources[i].copy));
	}
	if (!rc && fsync(s->dir))
		rc = -errno;
	return rc;
}

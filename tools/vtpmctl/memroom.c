/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/memroom.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

int memroom_read(const char *file, uint64_t *bytes)
{
	FILE *f = fopen(file, "re");
	char line[128];
	uint64_t kib;
	int rc = -EBADMSG;

	*bytes = 0;
	if (!f)
		return -errno;
	while (rc && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1 &&
		    kib <= UINT64_MAX / 1024)
			rc = 0;
	fclose(f);
	if (!rc)
		*bytes = kib * 1024;
	return rc;
}

/* Whether all that is to come yet fits. */
static int look_at_memory(struct memroom *r)
{
	r->look = 0;
	if (memroom_read(r->file, &r->available) || r->available < r->spare ||
	    r->available - r->spare < r->left)
		return -ENOMEM;
	r->look = r->left < MEMROOM_STEP ? r->left : MEMROOM_STEP;
	return 0;
}

int memroom_begin(struct memroom *r, const char *file, unsigned int spare_mib,
		  uint64_t bytes)
{
	*r = (struct memroom){
		.file = file, .spare = (uint64_t)spare_mib << 20, .left = bytes};
	return look_at_memory(r);
}

int memroom_take(struct memroom *r, size_t n)
{
	int rc = n > r->look ? look_at_memory(r) : 0;

	if (rc)
		return rc;
	r->left -= n < r->left ? n : r->left;
	r->look -= n < r->look ? n : r->look;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A store in memory for the real engine. */
#ifndef XVTPM_ENGINE_DISK_H
#define XVTPM_ENGINE_DISK_H

#include "stubdom/manager/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct {
	uint8_t *blob;
	size_t len;
	int puts;
	int fail; /* what a put returns; 0: it is done */
} disk;

static int disk_load(void *ctx, uint8_t **state, size_t *len)
{
	if (!disk.blob)
		return -ENOENT;
	*state = malloc(disk.len);
	memcpy(*state, disk.blob, disk.len);
	*len = disk.len;
	return 0;
}

static int disk_save(void *ctx, const uint8_t *state, size_t len, bool clock_only)
{
	if (disk.fail)
		return disk.fail;
	free(disk.blob);
	disk.blob = malloc(len);
	memcpy(disk.blob, state, len);
	disk.len = len;
	disk.puts++;
	return 0;
}

static void disk_clear(void)
{
	free(disk.blob);
	memset(&disk, 0, sizeof(disk));
}

#endif

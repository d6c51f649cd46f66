/* SPDX-License-Identifier: Apache-2.0 */
/* A request of swtpm's control channel: the first byte says whether the TPM is on.  The engine
 * is a stand-in, which looks at what it gets. */
#include "stubdom/manager/control.h"
#include "stubdom/manager/engine_tis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool on;
static volatile uint8_t sink;

static void touch(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink ^= p[i];
}

void engine_cancel(void)
{
}

int engine_get_blob(enum engine_blob which, uint8_t **blob, size_t *len)
{
	if (!on)
		abort();
	if (which == ENGINE_BLOB_SAVED)
		return -ENOENT;
	*blob = calloc(1, 100);
	*len = 100;
	return 0;
}

uint32_t engine_buffer_size(enum engine_version version, uint32_t wanted, uint32_t *min,
			    uint32_t *max)
{
	*min = *max = 4096;
	return 4096;
}

int engine_refuse(enum engine_version version, uint32_t tpm2, uint32_t tpm12,
		  uint8_t *rsp, size_t *rsp_len)
{
	return -EIO;
}

uint32_t engine_hash_start(void)
{
	return 0;
}

uint32_t engine_hash_data(const uint8_t *data, size_t len)
{
	if (!on)
		abort();
	touch(data, len);
	return 0;
}

uint32_t engine_hash_end(void)
{
	return 0;
}

uint32_t engine_established(bool *established)
{
	*established = true;
	return 0;
}

uint32_t engine_reset_established(uint8_t locality)
{
	if (locality > 4)
		abort();
	return 0;
}

char *engine_info(uint64_t flags)
{
	return strdup("{\"an\":\"answer\"}");
}

static bool is_on(void *ctx)
{
	return on;
}

static int init(void *ctx, bool drop_volatile)
{
	return drop_volatile;
}

static int nothing(void *ctx)
{
	return 0;
}

static int set_blob(void *ctx, enum engine_blob which, const uint8_t *blob, size_t len)
{
	if (on || which >= ENGINE_BLOBS)
		abort();
	touch(blob, len);
	return 0;
}

static void set_locality(void *ctx, uint8_t locality)
{
	if (locality > 4)
		abort();
}

static int take_data(void *ctx, int fd)
{
	return -EBUSY;
}

static void end(void *ctx)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_tpm tpm = {
		.is_on = is_on,
		.init = init,
		.stop = nothing,
		.store_volatile = nothing,
		.set_blob = set_blob,
		.set_locality = set_locality,
		.take_data = take_data,
		.end = end,
	};
	size_t want, rsp_len = 0;
	uint8_t *rsp;
	int fd = -1;

	if (!size)
		return 0;
	on = data[0] & 1;
	want = control_request_size(data + 1, size - 1);
	if (!want || want > size - 1)
		return 0; /* it waits for more, or for its end */
	rsp = control_answer(&tpm, data + 1, size - 1, &fd, &rsp_len);
	if (!rsp || rsp_len < 4)
		abort();
	touch(rsp, rsp_len);
	free(rsp);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/measure.h"

bool measure_next(struct cursor *list, struct measure_event *e)
{
	e->pcr = cursor_u32(list);
	e->type = cursor_u32(list);
	e->digests = cursor_bytes(list, MEASURE_DIGESTS);
	e->data_len = cursor_u32(list);
	e->data = cursor_bytes(list, e->data_len);
	/* a PCR from 16 on is the guest's */
	if (e->pcr >= MEASURE_PCRS || e->data_len > MEASURE_DATA)
		cursor_fail(list);
	return cursor_ok(list);
}

bool measure_check(const uint8_t *list, size_t len)
{
	struct cursor c = cursor_reader(list, len);
	bool is_record = measure_is_record(list, len);
	struct measure_event e;

	if (!len || len > MEASURE_MAX)
		return false;
	while (cursor_left(&c))
		if (!measure_next(&c, &e) ||
		    (e.type == MEASURE_EV_NO_ACTION) != is_record)
			return false;
	return cursor_done(&c);
}

bool measure_is_record(const uint8_t *list, size_t len)
{
	struct cursor c = cursor_reader(list, len);
	struct measure_event e;

	return measure_next(&c, &e) && e.type == MEASURE_EV_NO_ACTION;
}

void measure_put(struct cursor *list, const struct measure_event *e)
{
	cursor_put_u32(list, e->pcr);
	cursor_put_u32(list, e->type);
	cursor_put(list, e->digests, MEASURE_DIGESTS);
	cursor_put_u32(list, (uint32_t)e->data_len);
	cursor_put(list, e->data, e->data_len);
}

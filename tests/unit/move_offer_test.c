/* SPDX-License-Identifier: Apache-2.0 */
/* What an OFFER says of a vTPM that comes, which is domain 0's word of another host. */
#include "tests/unit/move_host.h"
#include "lib/slot/envelope.h"

#include <errno.h>

#define OTHER_UUID "vTPM number two"

static const uint8_t other[16] = OTHER_UUID;

/* The OFFER of it, with that beside what each has. */
static size_t write_offer(const char *more, uint8_t out[4096])
{
	char text[2048];
	struct move_offer o = {.name = {(const uint8_t *)"web2", 4}};
	size_t len = 4096;
	int n = snprintf(text, sizeof(text),
			 "{\"policy\": \"kms\", \"memory\": 8, \"process\": true, "
			 "\"localities\": 1, \"pcr_banks\": 0, \"ek\": \"\"%s}",
			 more);

	o.description = (struct binding_part){(const uint8_t *)text, (size_t)n};
	assert_int_equal(move_offer_encode(&o, out, &len), 0);
	return len;
}

/* Its move, with the vTPM that is made of the OFFER; NULL: it was not made. */
static struct move *offer_it(const char *more)
{
	struct move_record r = {.h = {.state = HANDOVER_INCOMING, .txid = TXID},
				.peer = "beta"};
	struct error e = {.cause = CAUSE_NONE};
	uint8_t offer[4096];
	size_t len = write_offer(more, offer);
	struct move *m;

	memcpy(r.uuid, other, sizeof(other));
	m = move_new(&d, &r);
	assert_non_null(m);
	assert_int_equal(move_take_offer(m, offer, len), 0);
	return move_create(m, &e) ? NULL : m;
}

/* As its manager stores it. */
static void store_header(const struct move *m, bool measured,
			 const struct envelope_name *ek)
{
	struct envelope_header *h = calloc(1, sizeof(*h));
	uint8_t *out = malloc(ENVELOPE_HEADER_MAX), key[ENVELOPE_KEY_SIZE] = {0};
	size_t len = ENVELOPE_HEADER_MAX;
	char folder[40], uuid[37];

	memcpy(h->uuid, other, sizeof(other));
	h->seq = h->epoch = 1;
	h->desc = (struct envelope_desc){
		.policy = ENVELOPE_SLOT_KMS, .measured = measured, .localities = 1};
	h->desc.ek[ENVELOPE_EK_P256] = *ek;
	h->slot_count = 1;
	h->slots[0] = (struct envelope_slot){.kind = ENVELOPE_SLOT_KMS, .len = 4};
	assert_int_equal(envelope_header_seal(h, key, out, &len), 0);
	uuid_unparse_lower(m->r.uuid, uuid);
	snprintf(folder, sizeof(folder), "%s/", uuid);
	write_file(folder, "header", out, len);
	free(out);
	free(h);
}

/* Its manager has stored all, and the host's TPM knows the header. */
static void import_it(struct move *m)
{
	struct vtpm *w = move_vtpm(m);

	m->r.h.state = HANDOVER_IMPORTING;
	m->is_anchored = true;
	m->header = store_seq(&w->store, CHANNEL_OBJECT_HEADER);
	move_on_peer(w, CHANNEL_MOVE_IMPORT, 0, NULL, 0);
}

static void drop_it(void)
{
	struct vtpm *w = vtpms_find_uuid(&d, other);

	if (!w)
		return;
	vtpms_remove(w);
	vtpm_free(w);
}

/* A manager that is made as a copy may have the host's TPM derive the other one's share of a pool's
 * key, and vtpmd lends it what that is made of. */
static void no_offer_makes_a_copy_of_what_is_here(void **state)
{
	static const struct envelope_name none;
	char more[64], uuid[37];
	struct move *m;

	anchor_table(0);
	begin();
	uuid_unparse_lower(own, uuid);
	snprintf(more, sizeof(more), ", \"copy_of\": \"%s\"", uuid);
	m = offer_it(more);
	assert_non_null(m);
	assert_true(move_vtpm(m)->making);
	assert_false(move_vtpm(m)->meta.is_copy);
	store_header(m, false, &none);
	import_it(m);
	assert_int_equal(m->r.h.state, HANDOVER_PREPARED);
	/* it is told to an operator, of one that is only ever opened */
	assert_false(move_vtpm(m)->making);
	assert_true(move_vtpm(m)->meta.is_copy);
	assert_memory_equal(move_vtpm(m)->meta.copy_of, own, sizeof(own));
	drop_it();
}

/* What its description on the disk says of whose copy it is; NULL: it is none. */
static char *stored_source(const struct move *m)
{
	char file[128], uuid[37], *source = NULL;
	const char *text;
	json_t *root_of;

	uuid_unparse_lower(m->r.uuid, uuid);
	snprintf(file, sizeof(file), "%s/%s/vtpm.json", root, uuid);
	root_of = json_load_file(file, 0, NULL);
	assert_non_null(root_of);
	text = json_string_value(json_object_get(root_of, "copy_of"));
	source = text ? strdup(text) : NULL;
	json_decref(root_of);
	return source;
}

/* vtpmd may be killed when its manager has stored all, and before it has heard of that. */
static void a_copy_is_described_as_one_before_it_is_stored(void **state)
{
	static const struct envelope_name none;
	char more[64], uuid[37], *source;
	struct move *m;
	struct vtpm *w;

	anchor_table(0);
	begin();
	uuid_unparse_lower(own, uuid);
	snprintf(more, sizeof(more), ", \"copy_of\": \"%s\"", uuid);
	m = offer_it(more);
	assert_non_null(m);
	w = move_vtpm(m);
	store_header(m, true, &none);
	move_on_peer(w, CHANNEL_MOVE_OFFER, 0, (const uint8_t *)"accept", 6);
	/* the host's TPM has its header */
	waiter_cancel(&m->anchored);
	m->anchored.done(m->anchored.ctx, NULL);
	source = stored_source(m);
	assert_non_null(source);
	assert_string_equal(source, uuid);
	free(source);
	/* until then its manager gets nothing of the other one */
	assert_true(w->meta.creating);
	assert_false(w->meta.is_copy);
	/* the next vtpmd: by its header it serves measured guests alone */
	w->meta.is_copy = true;
	memcpy(w->meta.copy_of, own, sizeof(own));
	w->meta.creating = w->making = w->meta.measured = false;
	m->is_copy = false;
	m->r.h.state = HANDOVER_PREPARED;
	move_resume_one(m);
	assert_int_equal(m->r.h.state, HANDOVER_PREPARED);
	assert_true(w->meta.measured);
	assert_true(w->meta.is_copy);
	drop_it();
}

static void no_offer_is_of_a_copy_of_itself(void **state)
{
	char more[64], uuid[37];

	anchor_table(0);
	begin();
	uuid_unparse_lower(other, uuid);
	snprintf(more, sizeof(more), ", \"copy_of\": \"%s\"", uuid);
	assert_null(offer_it(more));
	drop_it();
	assert_null(offer_it(", \"copy_of\": \"00000000-0000-0000-0000-000000000000\""));
	drop_it();
	assert_null(offer_it(", \"copy_of\": 7"));
	drop_it();
}

/* What serves measured guests alone was let in with one that was not measured. */
static void a_guest_that_was_let_in_for_another_one(void **state)
{
	static const struct envelope_name none;
	struct move *m;

	anchor_table(0);
	begin();
	m = offer_it("");
	assert_non_null(m);
	store_header(m, true, &none);
	import_it(m);
	assert_int_equal(m->r.h.state, HANDOVER_ABSENT);
	assert_non_null(strstr(m->why, "measured guests alone"));
	drop_it();
}

/* The Names of its endorsement keys, of which certificates are made. */
static void what_is_stored_counts(void **state)
{
	struct envelope_name real = {.len = 34, .bytes = {0, 0x0b, 7}};
	char more[160];
	struct move *m;

	anchor_table(0);
	begin();
	snprintf(more, sizeof(more), ", \"measured\": true, \"names\": [\"000b%064d\"]",
		 9);
	m = offer_it(more);
	assert_non_null(m);
	assert_int_equal(move_vtpm(m)->meta.names[0].bytes[33], 9);
	store_header(m, false, &real);
	import_it(m);
	assert_int_equal(m->r.h.state, HANDOVER_PREPARED);
	assert_false(move_vtpm(m)->meta.measured);
	assert_int_equal(move_vtpm(m)->meta.names[0].len, real.len);
	assert_memory_equal(move_vtpm(m)->meta.names[0].bytes, real.bytes, real.len);
	drop_it();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(no_offer_makes_a_copy_of_what_is_here),
		HOST_TEST(a_copy_is_described_as_one_before_it_is_stored),
		HOST_TEST(no_offer_is_of_a_copy_of_itself),
		HOST_TEST(a_guest_that_was_let_in_for_another_one),
		HOST_TEST(what_is_stored_counts),
	};

	return cmocka_run_group_tests_name("move_offer", tests, NULL, NULL);
}

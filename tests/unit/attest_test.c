/* SPDX-License-Identifier: Apache-2.0 */
/* With which key the manager quotes, on the real engine, when an HVM guest's firmware has the
 * platform hierarchy. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/text.h"
#include "lib/tpm2/commands.h"
#include "lib/tpm2/quote.h"
#include "stubdom/manager/attest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct firmware firmware;
static struct eventlog logged;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;
static const uint8_t nonce[32] = {1, 2, 3};

static int answer_host(void *ctx, const uint8_t *request, size_t len, uint8_t **reply,
		       size_t *reply_len)
{
	*reply = (uint8_t *)strdup("{}");
	*reply_len = 2;
	return 0;
}

static struct attest attest = {
	.host = answer_host, .log = &logged, .firmware = &firmware};

/* Of vtpm.c, which is not in this program. */
uint8_t *hostchan_event_payload(struct hostchan *chan, size_t *len)
{
	abort();
}

void hostchan_attested(struct hostchan *chan, const struct error *e, const char *evidence,
		       size_t len)
{
	abort();
}

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};

	disk_clear();
	return engine_open(&store, &(struct engine_options){.create = true}, &error)
		       ?: firmware_start(&firmware);
}

static int teardown(void **unused)
{
	attest_clear(&attest);
	firmware_wipe(&firmware);
	return engine_close();
}

static int quotes(uint32_t *code)
{
	const struct attest_request r = {
		.nonce = nonce, .nonce_len = sizeof(nonce), .pcrs = 0xff};

	return attest_run(&attest, &r, code, &error);
}

/* A byte string of the evidence. */
static size_t part(const char *name, uint8_t *out, size_t room)
{
	char mark[32], *at, *end, *text;

	snprintf(mark, sizeof(mark), "\"%s\":\"", name);
	at = strstr(attest.evidence, mark);
	assert_non_null(at);
	at += strlen(mark);
	end = strchr(at, '"');
	text = strndup(at, (size_t)(end - at));
	assert_int_equal(base64url_decode(text, out, &room), 0);
	free(text);
	return room;
}

/* The evidence's quote is by a primary key of that hierarchy, whose Name goes to *name. */
static void is_of(uint32_t hierarchy, uint8_t name[TPM2_NAME_MAX])
{
	uint8_t ak[1024], quote[1024], signature[1024], qualified[TPM2_NAME_MAX];
	size_t n, quote_len, len;
	struct tpm2_signature s;
	struct tpm2_attest q;
	struct tpm2_key key;
	uint32_t code;

	assert_int_equal(quotes(&code), 0);
	n = part("ak", ak, sizeof(ak));
	assert_int_equal(tpm2_key_parse(ak, n, &key), 0);
	quote_len = part("quote", quote, sizeof(quote));
	assert_int_equal(tpm2_attest_parse(quote, quote_len, &q), 0);
	n = part("signature", signature, sizeof(signature));
	assert_int_equal(tpm2_signature_parse(signature, n, &s), 0);
	assert_int_equal(tpm2_signature_verify(&s, &key, quote, quote_len), 0);
	assert_int_equal(tpm2_public_qualified(&key.area, hierarchy, qualified, &len), 0);
	assert_int_equal(q.signer.n, len);
	assert_memory_equal(q.signer.p, qualified, len);
	memcpy(name, key.name, key.name_len);
	tpm2_key_free(&key);
}

static void of_the_platform(void **unused)
{
	uint8_t first[TPM2_NAME_MAX] = {0}, then[TPM2_NAME_MAX] = {0};

	is_of(TPM2_RH_PLATFORM, first);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	is_of(TPM2_RH_PLATFORM, then);
	assert_memory_equal(first, then, sizeof(first));
}

/* As in a session that is encrypted: struct firmware does not get to know it. */
static void platform_auth_is_another(void **unused)
{
	const struct tpm2_auth known = firmware_auth(&firmware);
	uint8_t first[TPM2_NAME_MAX] = {0}, again[TPM2_NAME_MAX] = {0};

	assert_int_equal(tpm2_hierarchy_change_auth(
				 &command, &known,
				 (struct tpm2_bytes){(const uint8_t *)"guest's", 7}),
			 0);
	is_of(TPM2_RH_NULL, first);
	is_of(TPM2_RH_NULL, again);
	assert_memory_equal(first, again, sizeof(first));
}

/* As SeaBIOS does when its TPM failed, before it boots without measuring. */
static void platform_is_disabled(void **unused)
{
	const struct tpm2_auth known = firmware_auth(&firmware);
	uint8_t then[TPM2_NAME_MAX] = {0};
	uint32_t code = 0;

	tpm2_begin(&command, TPM2_CC_HierarchyControl);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	tpm2_authorize(&command, &known, 0);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	cursor_put_u8(&command.in, 0);
	assert_int_equal(tpm2_run(&command), 0);
	assert_int_equal(quotes(&code), -EREMOTEIO);
	assert_int_equal(code & 0xbf, TPM2_RC_HIERARCHY);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	is_of(TPM2_RH_PLATFORM, then);
}

/* Of each power-on its own. */
static void null_key_is_new(void **unused)
{
	uint8_t first[TPM2_NAME_MAX] = {0}, then[TPM2_NAME_MAX] = {0};

	platform_auth_is_another(NULL);
	is_of(TPM2_RH_NULL, first);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	platform_auth_is_another(NULL);
	is_of(TPM2_RH_NULL, then);
	assert_memory_not_equal(first, then, sizeof(first));
}

/* What is no matter of the hierarchy is told as it was. */
static void no_place_for_a_key(void **unused)
{
	struct tpm2_bytes public, name;
	uint32_t code = 0;
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(tpm2_create_primary(&command, TPM2_RH_OWNER, NULL,
						     &tpm2_attestation_key, &public,
						     &name),
				 0);
	assert_int_equal(quotes(&code), -EREMOTEIO);
	assert_int_equal(code, TPM2_RC_OBJECT_MEMORY);
}

static uint32_t send(uint32_t code, uint16_t type)
{
	const uint8_t cmd[] = {0x80,
			       1,
			       0,
			       0,
			       0,
			       12,
			       0,
			       0,
			       (uint8_t)(code >> 8),
			       (uint8_t)code,
			       0,
			       (uint8_t)type};
	uint8_t out[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(out);

	assert_int_equal(engine_execute_or_wake(0, cmd, sizeof(cmd), out, &len), 0);
	return (uint32_t)out[6] << 24 | (uint32_t)out[7] << 16 | (uint32_t)out[8] << 8 |
	       out[9];
}

/* The host's operator asks for evidence of a guest in S3, which wakes as if he had not. */
static void guest_sleeps(void **unused)
{
	uint8_t name[TPM2_NAME_MAX];
	uint32_t code;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(TPM2_CC_Shutdown, TPM2_SU_STATE), 0);
		assert_int_equal(quotes(&code), 0);
		assert_int_equal(send(TPM2_CC_Startup, TPM2_SU_STATE), 0);
	}
	is_of(TPM2_RH_PLATFORM, name);
	/* awake */
	assert_int_equal(send(TPM2_CC_Startup, TPM2_SU_STATE), TPM2_RC_INITIALIZE);
}

/* What was saved is stored, or the TPM has failed: it does not begin anew for a guest that runs. */
static void store_fails_while_guest_sleeps(void **unused)
{
	uint32_t code;

	assert_int_equal(send(TPM2_CC_Shutdown, TPM2_SU_STATE), 0);
	disk.fail = -EIO;
	assert_int_not_equal(quotes(&code), 0);
	disk.fail = 0;
	assert_true(engine_is_broken());
	(void)send(TPM2_CC_Startup, TPM2_SU_STATE);
	assert_int_not_equal(send(TPM2_CC_Startup, TPM2_SU_CLEAR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_the_platform, setup, teardown),
		cmocka_unit_test_setup_teardown(platform_auth_is_another, setup,
						teardown),
		cmocka_unit_test_setup_teardown(platform_is_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(null_key_is_new, setup, teardown),
		cmocka_unit_test_setup_teardown(no_place_for_a_key, setup, teardown),
		cmocka_unit_test_setup_teardown(guest_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(store_fails_while_guest_sleeps, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left in memory of keys and key shares, on each way out of what makes and opens key
 * slots.  Every function runs on a stack of this test's, once as it is, and then once for each
 * call of OpenSSL, of the host's TPM, of the KMS and for memory that it makes: that call fails,
 * after it has given its secret away.  Afterwards the stack, the memory that was freed, and on
 * failure what the caller gets, are searched for every secret that there was, eight bytes at
 * any place.
 */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "lib/channel.h"
#include "lib/slot/previous_key.h"
#include "lib/slot/recovery.h"
#include "stubdom/manager/poolshare.h"
#include "stubdom/manager/unlock.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ucontext.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#define WINDOW	    8 /* of a secret, in bytes */
#define WINDOWS_MAX 4096
#define STACK_SIZE  (256 * 1024)

/* Every secret that there was, in windows. */
static uint64_t windows[WINDOWS_MAX];
static size_t window_count;
static bool begins[65536]; /* by a window's first two bytes */

static void remember(const void *secret, size_t len)
{
	const uint8_t *p = secret;
	uint64_t window;
	size_t i, j;

	for (i = 0; i + WINDOW <= len; i += WINDOW) {
		memcpy(&window, p + i, WINDOW);
		for (j = 0; j < window_count && windows[j] != window; j++)
			;
		if (j < window_count || !window)
			continue;
		if (window_count == WINDOWS_MAX)
			abort();
		windows[window_count++] = window;
		begins[window & 0xffff] = true;
	}
}

/* Forgets all but the first so many. */
static void keep_windows(size_t known)
{
	memset(begins, 0, sizeof(begins));
	for (window_count = 0; window_count < known; window_count++)
		begins[windows[window_count] & 0xffff] = true;
}

/* Where in a memory a secret begins; len: nowhere.  Of a stack that is not in use, too. */
__attribute__((no_sanitize("address", "undefined"), noinline)) static size_t
find_secret(const volatile uint8_t *p, size_t len)
{
	uint64_t window;
	size_t i, j, k;

	for (i = 0; i + WINDOW <= len; i++) {
		if (!begins[p[i] | p[i + 1] << 8])
			continue;
		for (window = 0, k = WINDOW; k--;)
			window = window << 8 | p[i + k];
		for (j = 0; j < window_count; j++)
			if (windows[j] == window)
				return i;
	}
	return len;
}

/* Calls that may fail: which one does, how many there were, and what they left in the heap. */
static struct {
	bool on;
	unsigned int fail_at, count;
	bool in_hkdf, in_freed;
} calls;

static bool random_is_salt;  /* not a key: it stands in the state */
static bool macs_are_secret; /* of a forged header, the right one */

static bool fails(void)
{
	return calls.on && ++calls.count == calls.fail_at;
}

#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

WRAP(void *, calloc, size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

WRAP(void, free, void *p)
{
	size_t n = p ? malloc_usable_size(p) : 0;

	if (calls.on && find_secret(p, n) < n)
		calls.in_freed = true;
	__real_free(p);
}

WRAP(int, EVP_MAC_init, EVP_MAC_CTX *ctx, const unsigned char *mac_key, size_t len,
     const OSSL_PARAM params[])
{
	int rc = __real_EVP_MAC_init(ctx, mac_key, len, params);

	return fails() ? 0 : rc;
}

WRAP(int, EVP_MAC_final, EVP_MAC_CTX *ctx, unsigned char *mac, size_t *len, size_t room)
{
	int rc = __real_EVP_MAC_final(ctx, mac, len, room);

	if (calls.in_hkdf || macs_are_secret) /* the pseudorandom key, and the key */
		remember(mac, *len);
	return fails() ? 0 : rc;
}

WRAP(int, EVP_CipherInit_ex, EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
     ENGINE *engine, const unsigned char *cipher_key, const unsigned char *iv,
     int encrypt)
{
	int rc = __real_EVP_CipherInit_ex(ctx, cipher, engine, cipher_key, iv, encrypt);

	return fails() ? 0 : rc;
}

WRAP(int, EVP_CipherUpdate, EVP_CIPHER_CTX *ctx, unsigned char *to, int *n,
     const unsigned char *from, int len)
{
	int rc = __real_EVP_CipherUpdate(ctx, to, n, from, len);

	return fails() ? 0 : rc;
}

WRAP(int, EVP_CipherFinal_ex, EVP_CIPHER_CTX *ctx, unsigned char *to, int *n)
{
	int rc = __real_EVP_CipherFinal_ex(ctx, to, n);

	return fails() ? 0 : rc;
}

WRAP(int, EVP_PKEY_derive, EVP_PKEY_CTX *ctx, unsigned char *secret, size_t *len)
{
	int rc = __real_EVP_PKEY_derive(ctx, secret, len);

	remember(secret, *len);
	return fails() ? 0 : rc;
}

WRAP(int, RAND_priv_bytes, unsigned char *to, int len)
{
	int rc = __real_RAND_priv_bytes(to, len);

	if (len == CRYPT_KEY_SIZE && !random_is_salt) /* shorter ones are IVs */
		remember(to, (size_t)len);
	return fails() ? 0 : rc;
}

WRAP(int, crypt_hkdf, const uint8_t *ikm, size_t ikm_len, const uint8_t *salt,
     size_t salt_len, const uint8_t *info, size_t info_len, uint8_t to[CRYPT_HASH_SIZE])
{
	int rc;

	remember(ikm, ikm_len);
	calls.in_hkdf = true;
	rc = __real_crypt_hkdf(ikm, ikm_len, salt, salt_len, info, info_len, to);
	calls.in_hkdf = false;
	return rc;
}

/* The host's TPM: an object is the number of a secret. */
static uint8_t sealed[256][CRYPT_KEY_SIZE];
static uint8_t sealed_next; /* the first one's place is never taken again */

static uint8_t keep_sealed(const uint8_t secret[CRYPT_KEY_SIZE])
{
	uint8_t n = sealed_next;

	remember(secret, CRYPT_KEY_SIZE);
	memcpy(sealed[n], secret, CRYPT_KEY_SIZE);
	sealed_next = n % 255 + 1;
	return n;
}

static int tpm_answers(struct error *e)
{
	return fails() ? error_set(e, -EIO, CAUSE_TPM_REFUSED, "the TPM says no: ask it")
		       : 0;
}

int hosttpm_random(const struct tpm2_transport *t, uint8_t *out, size_t len,
		   struct error *e)
{
	memset(out, 0x6b, len);
	out[0] = 0x52;
	remember(out, len);
	return tpm_answers(e);
}

int hosttpm_seal(const struct hosttpm_config *c, const struct tpm2_transport *t,
		 enum approval_purpose purpose, const uint8_t *auth,
		 const uint8_t *secret, size_t len, uint8_t *object, size_t *object_len,
		 struct error *e)
{
	if (auth)
		remember(auth, CRYPT_HASH_SIZE);
	memcpy(object, "\0\1P\0\1", 5);
	object[5] = keep_sealed(secret);
	*object_len = 6;
	return tpm_answers(e);
}

int hosttpm_unseal(const struct hosttpm_config *c, const struct tpm2_transport *t,
		   enum approval_purpose purpose, const uint8_t *auth,
		   const uint8_t *object, size_t object_len, uint8_t *secret, size_t *len,
		   struct error *e)
{
	if (auth)
		remember(auth, CRYPT_HASH_SIZE);
	memcpy(secret, sealed[object[5]], CRYPT_KEY_SIZE);
	remember(secret, CRYPT_KEY_SIZE);
	*len = CRYPT_KEY_SIZE;
	return tpm_answers(e);
}

int poolshare_derive(const struct hosttpm_config *c, const struct tpm2_transport *t,
		     struct tpm2_bytes object, struct tpm2_bytes data,
		     uint8_t derived_share[CRYPT_HASH_SIZE], struct error *e)
{
	const struct crypt_part part = {data.p, data.n};

	(void)!crypt_sha256(&part, 1, derived_share);
	remember(derived_share, CRYPT_HASH_SIZE);
	return tpm_answers(e);
}

/* The KMS: what it encrypts is the number of a secret, too. */
static int kms_answers(const struct kms_config *c, struct error *e)
{
	remember(c->key_pem, strlen(c->key_pem));
	return fails() ? error_set(e, -EACCES, CAUSE_KMS_DENIED,
				   "the KMS says no: ask it")
		       : 0;
}

int kms_wrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	     size_t aad_len, const uint8_t secret[KMS_SECRET_SIZE],
	     struct kms_wrapped *out, struct error *e)
{
	memset(out, 0, sizeof(*out));
	out->key_id[0] = '1';
	out->ct[0] = keep_sealed(secret);
	return kms_answers(c, e);
}

int kms_unwrap(const struct kms_config *c, const struct kms_stream *s, const uint8_t *aad,
	       size_t aad_len, const struct kms_wrapped *in,
	       uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	memcpy(secret, sealed[in->ct[0]], KMS_SECRET_SIZE);
	remember(secret, KMS_SECRET_SIZE);
	return kms_answers(c, e);
}

int kms_derive(const struct kms_config *c, const struct kms_stream *s,
	       const uint8_t *context, size_t context_len, bool is_new,
	       struct kms_derived *d, uint8_t secret[KMS_SECRET_SIZE], struct error *e)
{
	if (is_new) {
		memset(d, 0x11, sizeof(*d));
		strcpy(d->key_id, "1");
	}
	memcpy(secret, "derived of the key that it gives", KMS_SECRET_SIZE);
	remember(secret, KMS_SECRET_SIZE);
	return kms_answers(c, e);
}

int kms_probe(const struct kms_config *c, const struct kms_stream *s, struct error *e)
{
	return kms_answers(c, e);
}

/* The host, and what its functions give. */
static struct unlock_config config;
static struct error error;
static const struct unlock host = {.config = &config, .error = &error};
static const char client_key[] = "PEM: 0F/xG2m9Qe+vQ4bB1hKt5c7ZrJ8uYw3pLnDaSgTi";
static uint8_t key_sealed[UNLOCK_KEY_OVERHEAD + sizeof(client_key)];
static uint8_t public[RECOVERY_PUBLIC_MAX];
static EVP_PKEY *offline;
static uint8_t key[32], header[ENVELOPE_HEADER_MAX], out[ENVELOPE_HEADER_MAX], share[32];
static uint8_t plain[256], blob[256 + ENVELOPE_BLOB_OVERHEAD];
static size_t header_len, out_len, blob_len;
static uint64_t seq;

/* Runs a function on a stack of its own. */
static uint8_t stack[STACK_SIZE] __attribute__((aligned(4096)));
static ucontext_t here, there;
static int (*job)(void);
static int job_rc;

static void run_job(void)
{
	calls.on = true;
	job_rc = job();
	calls.on = false;
}

__attribute__((no_sanitize("address"), noinline)) static void fill_stack(void)
{
	volatile uint8_t *p = stack;

	for (size_t i = 0; i < sizeof(stack); i++)
		p[i] = 0xa5;
}

/* fail_at: which of its calls fails; 0: none. */
static void run_on_own_stack(int (*f)(void), unsigned int fail_at)
{
	memset(&calls, 0, sizeof(calls));
	memset(&error, 0, sizeof(error));
	calls.fail_at = fail_at;
	fill_stack();
	job = f;
	assert_int_equal(getcontext(&there), 0);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	there.uc_link = &here;
	makecontext(&there, run_job, 0);
	assert_int_equal(swapcontext(&here, &there), 0);
}

static bool leaves_a_secret(void)
{
	return find_secret(stack, sizeof(stack)) < sizeof(stack) || calls.in_freed;
}

static bool gives_a_secret(void)
{
	return find_secret(key, sizeof(key)) < sizeof(key) ||
	       find_secret(share, sizeof(share)) < sizeof(share) ||
	       find_secret(header, sizeof(header)) < sizeof(header) ||
	       find_secret(out, sizeof(out)) < sizeof(out);
}

static void forget(void)
{
	memset(key, 0, sizeof(key));
	memset(share, 0, sizeof(share));
	memset(plain, 0, sizeof(plain));
}

/* Runs f as it is, and then with each of its calls failing. */
static void each_way_out(const char *name, int (*f)(void))
{
	const size_t known = window_count;
	unsigned int n, all;

	run_on_own_stack(f, 0);
	if (job_rc < 0)
		fail_msg("%s: %d: %s", name, job_rc, error.text);
	if (leaves_a_secret())
		fail_msg("%s leaves a secret %s", name,
			 calls.in_freed ? "in the heap" : "on its stack");
	all = calls.count;
	assert_true(all > 0);
	for (n = 1; n <= all; n++) {
		forget();
		keep_windows(known);
		run_on_own_stack(f, n);
		if (job_rc >= 0)
			fail_msg("%s: call %u of %u fails, and it does not", name, n,
				 all);
		if (leaves_a_secret())
			fail_msg("%s: when call %u of %u fails it leaves a secret %s",
				 name, n, all,
				 calls.in_freed ? "in the heap" : "on its stack");
		if (gives_a_secret())
			fail_msg("%s: when call %u of %u fails it gives a secret away",
				 name, n, all);
	}
	print_message("# %s: %u ways out\n", name, all + 1);
}

static int setup(void **state)
{
	uint8_t *p = public;
	size_t len = sizeof(key_sealed);

	calls.on = false;
	sealed_next = 0;
	memset(&config, 0, sizeof(config));
	memset(config.uuid, 5, sizeof(config.uuid));
	config.desc.localities = 1;
	config.tpm.srk_handle = 0x81005654;
	config.tpm.policy_key = public;
	memcpy(config.tpm.auth, "authorizes the host's counter!!",
	       sizeof(config.tpm.auth));
	config.tpm.approvals = 1;
	config.kms_address = (char *)"kms.example:5696";
	config.kms_ca = (char *)"CA";
	config.kms_cert = (char *)"CERT";
	config.kms_key_id = (char *)"1";
	if (!offline)
		offline = EVP_EC_gen("P-256");
	config.recovery_key = public;
	config.recovery_key_len = (size_t)i2d_PUBKEY(offline, &p);
	assert_int_equal(unlock_kms_seal_key(&host, client_key, key_sealed, &len), 0);
	config.kms_key_sealed = key_sealed;
	config.kms_key_sealed_len = len;
	keep_windows(0);
	random_is_salt = macs_are_secret = false;
	forget();
	return 0;
}

/* A search that cannot find anything shows nothing. */
static int leave_on_stack(void)
{
	volatile uint8_t mine[CRYPT_KEY_SIZE];

	(void)!crypt_random((uint8_t *)mine, sizeof(mine));
	return mine[0] & 0;
}

static int leave_in_heap(void)
{
	uint8_t *mine = malloc(100);

	(void)!crypt_random(mine + 13, CRYPT_KEY_SIZE);
	free(mine);
	return 0;
}

static int leave_half_in_heap(void)
{
	uint8_t *mine = malloc(100), all[CRYPT_KEY_SIZE];

	(void)!crypt_random(all, sizeof(all));
	for (size_t i = 0; i < WINDOW;
	     i++) /* the compiler knows that free() reads nothing */
		((volatile uint8_t *)mine)[7 + i] = all[16 + i];
	OPENSSL_cleanse(all, sizeof(all));
	free(mine);
	return 0;
}

static void what_is_left_is_found(void **state)
{
	run_on_own_stack(leave_on_stack, 0);
	assert_true(find_secret(stack, sizeof(stack)) < sizeof(stack));
	assert_false(calls.in_freed);
	run_on_own_stack(leave_in_heap, 0);
	assert_true(calls.in_freed);
	run_on_own_stack(leave_half_in_heap, 0);
	assert_true(calls.in_freed);
	assert_int_equal(find_secret(stack, sizeof(stack)), sizeof(stack));
}

static int create(void)
{
	header_len = sizeof(header);
	return unlock_create(&host, key, header, &header_len);
}

static int reopen(void)
{
	struct envelope_desc desc;

	return unlock_open(&host, header, header_len, key, &desc);
}

static void headers_of_each_policy(void **state)
{
	static const uint16_t kinds[] = {ENVELOPE_SLOT_HOST,	ENVELOPE_SLOT_KMS,
					 ENVELOPE_SLOT_TPM,	ENVELOPE_SLOT_HOST_GET,
					 ENVELOPE_SLOT_KMS_GET, ENVELOPE_SLOT_POOL,
					 ENVELOPE_SLOT_POOL_GET};
	char name[64];
	size_t i;

	config.pool_keys = 1;
	config.pool_key[0].version = 1;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		config.desc.policy = kinds[i];
		config.in_pool = slot_kind_find(kinds[i])->is_pool;
		snprintf(name, sizeof(name), "unlock_create, %s",
			 slot_kind_name(kinds[i]));
		each_way_out(name, create);
		assert_int_equal(create(), 0);
		snprintf(name, sizeof(name), "unlock_open, %s", slot_kind_name(kinds[i]));
		each_way_out(name, reopen);
	}
	config.in_pool = false;
}

/* Who forges a header does not find the code that it should have had. */
static void a_forged_header(void **state)
{
	config.desc.policy = ENVELOPE_SLOT_KMS;
	assert_int_equal(create(), 0);
	header[header_len - 1] ^= 1;
	macs_are_secret = true;
	forget();
	run_on_own_stack(reopen, 0);
	assert_true(job_rc < 0);
	assert_false(leaves_a_secret());
	assert_int_equal(find_secret(key, sizeof(key)), sizeof(key));
}

static int amend(void)
{
	out_len = sizeof(out);
	return unlock_amend(&host, header, header_len, key, out, &out_len, &seq);
}

static int open_offline(void)
{
	const struct slot_context x = {.uuid = config.uuid, .recovery_private = offline};
	struct envelope_header *h;
	int rc;

	rc = envelope_header_open(out, out_len, key, &h, &error);
	if (rc)
		return rc;
	rc = slot_open(&x, &h->slots[1], share);
	free(h);
	return rc;
}

/* The data key is the caller's here: it is no secret that is to be found nowhere. */
static void a_recovery_key(void **state)
{
	static uint8_t kept[32];

	config.desc.policy = ENVELOPE_SLOT_HOST;
	config.recovery_key = NULL;
	assert_int_equal(create(), 0);
	memcpy(kept, key, sizeof(kept));
	config.recovery_key = public;
	run_on_own_stack(amend, 0);
	assert_int_equal(job_rc, 1);
	assert_false(leaves_a_secret());
	assert_int_equal(open_offline(), 0);
	assert_memory_equal(share, kept, sizeof(kept));
}

static struct kms_wrapped wrapped;
static struct kms_derived derived;

static int kms_wrap_share(void)
{
	static const uint8_t one[32] = "a share that the caller has made";

	return unlock_kms_wrap(&host, one, &wrapped);
}

static int kms_unwrap_share(void)
{
	int rc = unlock_kms_unwrap(&host, &wrapped, share);

	if (rc)
		OPENSSL_cleanse(share, sizeof(share));
	return rc;
}

static int kms_derive_share(void)
{
	int rc = unlock_kms_derive(&host, true, &derived, share);

	if (rc)
		OPENSSL_cleanse(share, sizeof(share));
	return rc;
}

static int kms_probe_key(void)
{
	return unlock_kms_probe(&host);
}

static int kms_seal_key(void)
{
	out_len = sizeof(out);
	return unlock_kms_seal_key(&host, client_key, out, &out_len);
}

static int kms_move_key(void)
{
	out_len = sizeof(out);
	return unlock_kms_move_key(&host, &host, out, &out_len);
}

static int random_bytes(void)
{
	return unlock_random(&host, share);
}

static void the_kms_and_its_key(void **state)
{
	remember(client_key, strlen(client_key));
	remember(config.tpm.auth, sizeof(config.tpm.auth));
	each_way_out("unlock_kms_wrap", kms_wrap_share);
	assert_int_equal(kms_wrap_share(), 0);
	each_way_out("unlock_kms_unwrap", kms_unwrap_share);
	each_way_out("unlock_kms_derive", kms_derive_share);
	each_way_out("unlock_kms_probe", kms_probe_key);
	each_way_out("unlock_kms_seal_key", kms_seal_key);
	each_way_out("unlock_kms_move_key", kms_move_key);
	each_way_out("unlock_random", random_bytes);
}

static uint8_t old_key[32];

static int find_old_key(void)
{
	return previous_key_find(header, header_len, key, share, &error);
}

/* The new data key opens the slot of the old one; both are the caller's. */
static void the_old_data_key(void **state)
{
	unsigned int n, all;

	config.desc.policy = ENVELOPE_SLOT_TPM;
	config.recovery_key = NULL;
	assert_int_equal(create(), 0);
	memset(old_key, 0x77, sizeof(old_key));
	assert_int_equal(previous_key_add(header, &header_len, key, old_key, &error), 0);
	run_on_own_stack(find_old_key, 0);
	assert_int_equal(job_rc, 1);
	assert_memory_equal(share, old_key, sizeof(share));
	remember(old_key, sizeof(old_key));
	all = calls.count;
	for (n = 0; n <= all; n++) {
		memset(share, 0, sizeof(share));
		run_on_own_stack(find_old_key, n);
		assert_false(leaves_a_secret());
		if (n)
			assert_int_equal(find_secret(share, sizeof(share)),
					 sizeof(share));
	}
}

static int seal_state(void)
{
	const struct envelope_blob of = {.kind = 1, .uuid = config.uuid, .seq = 1};

	return envelope_blob_seal(key, &of, plain, sizeof(plain), blob, &blob_len);
}

static int open_state(void)
{
	struct envelope_blob of = {.kind = 1, .uuid = config.uuid};
	size_t n;

	return envelope_blob_open(key, &of, blob, blob_len, plain, &n, &error);
}

/* Of a state that does not open nothing is given either. */
static void states(void **state)
{
	unsigned int n, all;

	random_is_salt = true;
	remember("the key of a TPM, which its state", 32);
	memcpy(plain + 40, "the key of a TPM, which its state", 32);
	run_on_own_stack(seal_state, 0);
	assert_int_equal(job_rc, 0);
	assert_false(leaves_a_secret());
	for (n = 1, all = calls.count; n <= all; n++) {
		run_on_own_stack(seal_state, n);
		assert_true(job_rc < 0);
		assert_false(leaves_a_secret());
	}
	assert_int_equal(seal_state(), 0);
	for (n = 1, run_on_own_stack(open_state, 0), all = calls.count; n <= all; n++) {
		memset(plain, 0, sizeof(plain));
		run_on_own_stack(open_state, n);
		assert_true(job_rc < 0);
		assert_false(leaves_a_secret());
		assert_int_equal(find_secret(plain, sizeof(plain)), sizeof(plain));
	}
}

static uint8_t tlvs[512];
static size_t tlvs_len;
static struct unlock_config parsed;

static int parse_config(void)
{
	int rc = unlock_config_parse(tlvs, tlvs_len, &parsed, &error);

	if (!rc)
		unlock_config_free(&parsed);
	return 0;
}

/* The value that authorizes the host's counter, of a configuration that is cut anywhere. */
static void a_configuration(void **state)
{
	const uint8_t *auth = config.tpm.auth;
	struct cursor w = cursor_writer(tlvs, sizeof(tlvs));
	size_t all;

	channel_tlv_put(&w, CONFIG_HOST_AUTH, auth, TPM2_AUTH_SIZE);
	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	channel_tlv_put(&w, CONFIG_KMS_CA, "CA", 2);
	all = w.pos;
	remember(auth, TPM2_AUTH_SIZE);
	for (tlvs_len = 0; tlvs_len <= all; tlvs_len++) {
		run_on_own_stack(parse_config, 0);
		assert_false(leaves_a_secret());
		assert_int_equal(find_secret((const uint8_t *)&parsed, sizeof(parsed)),
				 sizeof(parsed));
	}
}

#define WIPED_TEST(t) cmocka_unit_test_setup(t, setup)

/* A function that is bound when it is called first has the dynamic linker save the processor's vector
 * registers, with what is in them, on the caller's stack.  The programs are bound when they start. */
static void bind_at_start(char **argv)
{
	if (getenv("LD_BIND_NOW"))
		return;
	setenv("LD_BIND_NOW", "1", 1);
	execv("/proc/self/exe", argv);
	perror("execv");
	exit(1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WIPED_TEST(what_is_left_is_found),
		WIPED_TEST(headers_of_each_policy),
		WIPED_TEST(a_forged_header),
		WIPED_TEST(a_recovery_key),
		WIPED_TEST(the_kms_and_its_key),
		WIPED_TEST(the_old_data_key),
		WIPED_TEST(states),
		WIPED_TEST(a_configuration),
	};
	int failed;

	bind_at_start(argv);
	failed = cmocka_run_group_tests_name("wiped", tests, NULL, NULL);

	EVP_PKEY_free(offline);
	return failed;
}

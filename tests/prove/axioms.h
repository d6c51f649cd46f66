/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the proofs take for granted of code that they do not see, each with its reason
 * (docs/proofs.md).  tests/prove/run has it before each source, in place of nothing: no
 * program is built with it.  A name begins with axiom_.
 */
#ifndef XVTPM_PROVE_AXIOMS_H
#define XVTPM_PROVE_AXIOMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The stub domain's kernel has these functions of the C library itself. */
#define STUB_TEXT_H

/* The compiler checks them whenever it builds the file. */
#define _Static_assert(condition, text)

/* Where a module is proved with frama-c -instantiate, that plug-in's contracts are taken. */
#ifndef PROVE_INSTANTIATE
/* ISO C, 7.24.2.1: memcpy() copies n bytes between objects that do not overlap.  Of bytes
 * only: WP's typed memory has no other view of an object than that of its type. */
/*@ requires \valid(to + (0 .. n - 1)) && \valid_read(from + (0 .. n - 1));
    requires \separated(to + (0 .. n - 1), from + (0 .. n - 1));
    assigns to[0 .. n - 1] \from from[0 .. n - 1];
    ensures \forall integer i; 0 <= i < n ==> to[i] == \old(from[i]); */
void axiom_memcpy(uint8_t *to, const uint8_t *from, size_t n);
#define memcpy(to, from, n) axiom_memcpy((uint8_t *)(to), (const uint8_t *)(from), n)

/* ISO C, 7.24.6.1: memset() sets n bytes. */
/*@ requires \valid(to + (0 .. n - 1));
    assigns to[0 .. n - 1];
    ensures \forall integer i; 0 <= i < n ==> to[i] == (uint8_t)byte; */
void axiom_memset(uint8_t *to, int byte, size_t n);
#define memset(to, byte, n) axiom_memset((uint8_t *)(to), byte, n)

/* ISO C, 7.24.4.1: memcmp() reads n bytes of both, and is 0 when they are the same. */
/*@ requires \valid_read(a + (0 .. n - 1)) && \valid_read(b + (0 .. n - 1));
    assigns \nothing;
    ensures \result == 0 <==> \forall integer i; 0 <= i < n ==> a[i] == b[i]; */
int axiom_memcmp(const uint8_t *a, const uint8_t *b, size_t n);
#define memcmp(a, b, n) axiom_memcmp((const uint8_t *)(a), (const uint8_t *)(b), n)
#endif

/* glibc, explicit_bzero(3): it sets n bytes to zero, and no compiler leaves it out. */
/*@ requires \valid(to + (0 .. n - 1));
    assigns to[0 .. n - 1];
    ensures \forall integer i; 0 <= i < n ==> to[i] == 0; */
void axiom_bzero(uint8_t *to, size_t n);
#define explicit_bzero(to, n) axiom_bzero((uint8_t *)(to), n)

/* ISO C, 7.22.3: malloc() gives n bytes, or NULL; what free() takes away is not modelled. */
/*@ assigns \nothing;
    ensures \result == \null || \valid((uint8_t *)\result + (0 .. n - 1)); */
void *axiom_malloc(size_t n);
#define malloc(n) axiom_malloc(n)
/*@ assigns \nothing; */
void axiom_free(void *p);
#define free(p) axiom_free(p)

/* OPENSSL_cleanse(3): as explicit_bzero(). */
#define OPENSSL_cleanse(to, n) axiom_bzero((uint8_t *)(to), n)
/* CRYPTO_memcmp(3): as memcmp(), in a time that does not depend on the bytes. */
/*@ requires \valid_read(a + (0 .. n - 1)) && \valid_read(b + (0 .. n - 1));
    assigns \nothing;
    ensures \result == 0 <==> \forall integer i; 0 <= i < n ==> a[i] == b[i]; */
int axiom_crypto_memcmp(const uint8_t *a, const uint8_t *b, size_t n);
#define CRYPTO_memcmp(a, b, n) \
	axiom_crypto_memcmp((const uint8_t *)(a), (const uint8_t *)(b), n)
/* None of OpenSSL's own headers are read, but their types' names. */
#define OPENSSL_CRYPTO_H
#define OPENSSL_EVP_H
typedef struct evp_pkey_st EVP_PKEY;

#ifdef PROVE_OPENSSL
/* Of OpenSSL's functions (EVP_*(3), RAND_bytes(3)) only this is taken for granted: what they read
 * and write of the caller's memory, by the sizes of SHA-256, AES-256 and GCM (FIPS 180-4; SP
 * 800-38D), and that each may fail.  What is in its own objects, and what a digest or a
 * ciphertext is, is not modelled. */
#define OPENSSL_CORE_NAMES_H
#define OPENSSL_PARAMS_H
#define OPENSSL_RAND_H
typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_mac_st EVP_MAC;
typedef struct evp_mac_ctx_st EVP_MAC_CTX;
typedef struct evp_keymgmt_st EVP_KEYMGMT;
typedef struct evp_signature_st EVP_SIGNATURE;
typedef struct evp_keyexch_st EVP_KEYEXCH;
typedef struct ossl_param_st {
	const char *key;
} OSSL_PARAM;
#define OPENSSL_INIT_NO_LOAD_CONFIG 0x80
#define OSSL_MAC_PARAM_DIGEST	    "digest"
/* Objects of OpenSSL's, or NULL */
/*@ assigns \nothing; */
int OPENSSL_init_crypto(uint64_t options, const void *settings);
/*@ assigns \nothing; */
EVP_MD *EVP_MD_fetch(const void *lib, const char *name, const char *properties);
/*@ assigns \nothing; */
EVP_CIPHER *EVP_CIPHER_fetch(const void *lib, const char *name, const char *properties);
/*@ assigns \nothing; */
EVP_MAC *EVP_MAC_fetch(const void *lib, const char *name, const char *properties);
/*@ assigns \nothing; */
EVP_KEYMGMT *EVP_KEYMGMT_fetch(const void *lib, const char *name, const char *properties);
/*@ assigns \nothing; */
EVP_SIGNATURE *EVP_SIGNATURE_fetch(const void *lib, const char *name,
				   const char *properties);
/*@ assigns \nothing; */
EVP_KEYEXCH *EVP_KEYEXCH_fetch(const void *lib, const char *name, const char *properties);
/*@ assigns \nothing; */
EVP_MD_CTX *EVP_MD_CTX_new(void);
/*@ assigns \nothing; */
EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac);
/*@ assigns \nothing; */
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
/*@ assigns \nothing; */
const EVP_MD *EVP_sha256(void);
/*@ assigns \nothing; */
const EVP_CIPHER *EVP_aes_256_gcm(void);
/*@ assigns \nothing; */
OSSL_PARAM OSSL_PARAM_construct_utf8_string(const char *key, char *text, size_t n);
/*@ assigns \nothing; */
OSSL_PARAM OSSL_PARAM_construct_end(void);
/* A free of one, or of NULL, touches nothing of the caller's. */
#define EVP_MD_free(o)	       ((void)(o))
#define EVP_CIPHER_free(o)     ((void)(o))
#define EVP_MAC_free(o)	       ((void)(o))
#define EVP_KEYMGMT_free(o)    ((void)(o))
#define EVP_SIGNATURE_free(o)  ((void)(o))
#define EVP_KEYEXCH_free(o)    ((void)(o))
#define EVP_MD_CTX_free(o)     ((void)(o))
#define EVP_MAC_CTX_free(o)    ((void)(o))
#define EVP_CIPHER_CTX_free(o) ((void)(o))
/* EVP_DigestInit(3): a digest has 32 bytes. */
/*@ requires ctx != \null;
    assigns \nothing; */
int EVP_DigestInit_ex(EVP_MD_CTX *ctx, const EVP_MD *type, const void *engine);
/*@ requires ctx != \null && \valid_read(p + (0 .. n - 1));
    assigns \nothing; */
int axiom_digest_update(EVP_MD_CTX *ctx, const uint8_t *p, size_t n);
#define EVP_DigestUpdate(ctx, p, n) axiom_digest_update(ctx, (const uint8_t *)(p), n)
/*@ requires ctx != \null && \valid(out + (0 .. 31));
    assigns out[0 .. 31]; */
int EVP_DigestFinal_ex(EVP_MD_CTX *ctx, uint8_t *out, const void *no_length);
/* EVP_MAC(3) */
/*@ requires ctx != \null && key != \null && \valid_read(key + (0 .. n - 1));
    requires \valid_read(params + (0 .. 1));
    assigns \nothing; */
/* clang-format off */
int EVP_MAC_init(EVP_MAC_CTX *ctx, const uint8_t *key, size_t n, const OSSL_PARAM *params);
/* clang-format on */
/*@ requires ctx != \null && \valid_read(p + (0 .. n - 1));
    assigns \nothing; */
int axiom_mac_update(EVP_MAC_CTX *ctx, const uint8_t *p, size_t n);
#define EVP_MAC_update(ctx, p, n) axiom_mac_update(ctx, (const uint8_t *)(p), n)
/*@ requires ctx != \null && \valid(len) && \valid(out + (0 .. room - 1));
    assigns *len, out[0 .. room - 1]; */
int EVP_MAC_final(EVP_MAC_CTX *ctx, uint8_t *out, size_t *len, size_t room);
/* EVP_EncryptInit(3), of AES-256-GCM: as many bytes come out as go in, and none at the end */
/*@ requires ctx != \null && \valid_read(key + (0 .. 31)) && \valid_read(iv + (0 .. 11));
    assigns \nothing; */
int EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type, const void *engine,
		      const uint8_t *key, const uint8_t *iv, int is_seal);
/* Associated data has NULL for out, which the callers write so. */
/*@ requires ctx != \null && \valid(used) && n >= 0 && \valid_read(in + (0 .. n - 1));
    assigns *used; */
int axiom_update_NULL(EVP_CIPHER_CTX *ctx, int *used, const uint8_t *in, int n);
/*@ requires ctx != \null && \valid(used) && n >= 0 && \valid_read(in + (0 .. n - 1));
    requires \valid(out + (0 .. n - 1));
    assigns *used, out[0 .. n - 1]; */
int axiom_update(EVP_CIPHER_CTX *ctx, uint8_t *out, int *used, const uint8_t *in, int n);
#define axiom_update_out(ctx, used, in, n)	axiom_update(ctx, out, used, in, n)
#define EVP_CipherUpdate(ctx, out, used, in, n) axiom_update_##out(ctx, used, in, n)
/*@ requires ctx != \null && \valid(used) && \valid(end + (0 .. 15));
    assigns *used, end[0 .. 15]; */
int EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, uint8_t *end, int *used);
/*@ requires ctx != \null && \valid(tag + (0 .. n - 1));
    assigns tag[0 .. n - 1]; */
int axiom_EVP_CTRL_AEAD_GET_TAG(EVP_CIPHER_CTX *ctx, int n, uint8_t *tag);
/*@ requires ctx != \null && \valid_read(tag + (0 .. n - 1));
    assigns \nothing; */
int axiom_EVP_CTRL_AEAD_SET_TAG(EVP_CIPHER_CTX *ctx, int n, const uint8_t *tag);
#define EVP_CIPHER_CTX_ctrl(ctx, what, n, tag) axiom_##what(ctx, n, (uint8_t *)(tag))
/*@ assigns \nothing; */
int RAND_status(void);
/*@ requires n >= 0 && \valid(out + (0 .. n - 1));
    assigns out[0 .. n - 1]; */
int RAND_priv_bytes(uint8_t *out, int n);
#endif

/* lib/error.h: what a sentence says is not proved, and its arguments are not looked at. */
#define error_set(e, rc, cause, ...) error_set(e, rc, cause)

/* GCC, "Other Builtins": the order of the bytes is reversed, so zero stays zero, which is
 * all that is used. */
/*@ assigns \nothing;
    ensures v == 0 ==> \result == 0; */
uint16_t __builtin_bswap16(uint16_t v);
/*@ assigns \nothing;
    ensures v == 0 ==> \result == 0; */
uint32_t __builtin_bswap32(uint32_t v);

/* A fence orders accesses and makes none.  That each one pairs with the peer's is not
 * proved: WP knows one thread, and a peer only as volatile memory. */
#define atomic_thread_fence(order) ((void)0)

/* Shared memory: a read of a volatile object has any value, each time anew (WP's
 * -wp-volatile); a write is an access like any other. */

/* backend/ring.c: an aligned word of four bytes of the page, in one access.  WP's memory of
 * bytes has no words, so these two bodies are not proved, only that each call of them
 * names four bytes that are there. */
/*@ requires \valid_read(from + (0 .. 3));
    assigns \nothing; */
static uint32_t shared_read_u32(const volatile uint8_t *from);
/*@ requires \valid(to + (0 .. 3));
    assigns to[0 .. 3]; */
static void shared_write_u32(volatile uint8_t *to, uint32_t value);

/* backend/xen.h, libxengnttab: what was mapped can be read and written until it is
 * unmapped (Xen keeps a mapped page's frame), and lies apart from the program's objects.
 * What xen_unmap() takes away is not modelled: the ring's pointer is NULL after it. */
struct xen;
/*@ requires \valid(pages) && \valid_read(refs + (0 .. n - 1));
    assigns *pages;
    ensures \result == 0 ==> \valid((uint8_t *)*pages + (0 .. n * 4096 - 1)); */
int xen_map(struct xen *x, uint32_t domid, const uint32_t *refs, unsigned int n,
	    void **pages);
/*@ assigns \nothing; */
void xen_unmap(struct xen *x, void *pages, unsigned int n);
/*@ requires \valid(port);
    assigns *port; */
int xen_bind(struct xen *x, uint32_t domid, uint32_t remote_port, uint32_t *port);
/*@ assigns \nothing; */
void xen_unbind(struct xen *x, uint32_t port);
/*@ assigns \nothing; */
void xen_notify(struct xen *x, uint32_t port);

/* frontend/crb/crb.h, struct crb_ops, filled in by serve.c: hands the command to the ring, and
 * touches neither the registers nor the buffer. */
/*@ requires 10 <= len <= 4096 && \valid_read(cmd + (0 .. len - 1));
    assigns \nothing; */
void axiom_crb_prepare(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len);
/*@ assigns \nothing; */
void axiom_crb_send(void *ctx);
/*@ assigns \nothing; */
void axiom_crb_cancel(void *ctx);

/* stubdom/kernel/hypercall.h: of these operations (EVTCHNOP_close and _send, SCHEDOP_poll)
 * Xen only reads the argument.  What it writes into others' is not modelled, and the functions
 * that make them are not proved. */
#define STUB_HYPERCALL_H
/*@ assigns \nothing; */
long axiom_hypercall(int op);
#define hypercall_evtchn(op, arg) axiom_hypercall(op)
#define hypercall_sched(op, arg)  axiom_hypercall(op)
/* Of GNTTABOP_map_grant_ref and _unmap_grant_ref Xen writes status, and handle, which is a
 * number that is only handed back. */
/*@ requires \valid(status);
    assigns *status; */
long axiom_hypercall_grant(int op, int16_t *status);
#define hypercall_grant(op, arg, count) axiom_hypercall_grant(op, &(arg)->status)
/* GCC, "Built-in Functions for Memory Model Aware Atomic Operations" */
/*@ requires \valid(word);
    assigns *word; */
uint64_t axiom_fetch_and(volatile uint64_t *word, uint64_t mask);
#define __atomic_fetch_and(word, mask, order) axiom_fetch_and(word, mask)
/*@ requires \valid(word) && \valid(seen);
    assigns *word, *seen; */
bool axiom_compare_exchange(volatile uint16_t *word, uint16_t *seen, uint16_t value);
#define __atomic_compare_exchange_n(word, seen, value, weak, good, bad) \
	axiom_compare_exchange(word, seen, value)
#define __atomic_thread_fence(order) ((void)0)

/* stubdom/kernel/copy.S: copies n bytes between the kernel's memory and the program's half;
 * a fault in the program's half ends it, and is told.  Which of the two the program's is,
 * the caller has checked, and that is proved, as that all of the other is the kernel's. */
/*@ requires (65536 <= (uint64_t)from && (uint64_t)from + n <= 0x7ffffffff000 &&
	      \valid((uint8_t *)to + (0 .. n - 1))) ||
	     (65536 <= (uint64_t)to && (uint64_t)to + n <= 0x7ffffffff000 &&
	      \valid_read((uint8_t *)from + (0 .. n - 1)));
    assigns ((uint8_t *)to)[0 .. n - 1]; */
size_t copy_bytes(void *to, const void *from, size_t n);

#endif

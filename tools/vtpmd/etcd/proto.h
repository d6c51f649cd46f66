/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few messages of etcd's API (etcdserverpb/rpc.proto, mvccpb/kv.proto of etcd 3.4) that a
 * store asks for, in protobuf's wire format, over lib/cursor.  What a server sends is
 * hostile: fields that are not known are skipped, lengths are bounded by their message's,
 * and numbers of things by what the caller gives room for.
 */
#ifndef VTPMD_ETCD_PROTO_H
#define VTPMD_ETCD_PROTO_H

#include "include/compiler.h"
#include "lib/cursor.h"

#define PROTO_KEY_MAX 512

/* A field of a message; the bytes lie in the buffer that is read. */
struct proto_field {
	uint32_t number;
	uint8_t wire; /* PROTO_VARINT... */
	uint64_t value;
	const uint8_t *bytes;
	size_t len;
};
#define PROTO_VARINT 0
#define PROTO_FIX64  1
#define PROTO_BYTES  2
#define PROTO_FIX32  5

/* The next field; false: there is none, or the message is not well formed (cursor_ok()). */
bool proto_next(struct cursor *c, struct proto_field *f);
uint64_t proto_varint(struct cursor *c);

void proto_put_number(struct cursor *c, uint32_t field, uint64_t value);
void proto_put_bytes(struct cursor *c, uint32_t field, const void *bytes, size_t len);
/* A message within: its length is filled in by proto_close(). */
size_t proto_open(struct cursor *c, uint32_t field);
void proto_close(struct cursor *c, size_t mark);

/* mvccpb.KeyValue, in the reply's buffer. */
struct proto_kv {
	const uint8_t *key, *value;
	size_t key_len, value_len;
	int64_t create_revision, mod_revision, lease;
	bool deleted; /* of an event: the key went at mod_revision */
};

/* etcdserverpb.ResponseHeader */
struct proto_header {
	uint64_t cluster_id;
	int64_t revision;
};

/* What a reply is read to: each() gets every kv of a Range, of a Txn's ranges, or of a
 * WatchResponse's events, in their order. */
typedef void proto_each(void *ctx, const struct proto_kv *kv);

struct proto_reply {
	struct proto_header header;
	bool more;	 /* Range: there are more keys than the limit */
	bool succeeded;	 /* Txn */
	int64_t id, ttl; /* leases; ttl 0: the lease is gone */
	/* Watch */
	bool created, canceled, fragment;
	int64_t compact_revision;
};

/* 0, or -EBADMSG: it is no such message.  each may be NULL, and may have been called. */
int __must_check proto_range_reply(const uint8_t *buf, size_t len, struct proto_reply *r,
				   proto_each *each, void *ctx);
int __must_check proto_txn_reply(const uint8_t *buf, size_t len, struct proto_reply *r,
				 proto_each *each, void *ctx);
int __must_check proto_lease_reply(const uint8_t *buf, size_t len, struct proto_reply *r);
int __must_check proto_watch_reply(const uint8_t *buf, size_t len, struct proto_reply *r,
				   proto_each *each, void *ctx);

/* etcdserverpb.StatusResponse, of one member. */
struct proto_status {
	struct proto_header header;
	uint64_t member, leader; /* ids; leader 0: it knows of none */
	uint64_t size, used; /* bytes of its data base, and of those that are in use */
	uint64_t quota;	     /* 0: it does not tell, as before etcd 3.6 */
	char version[32];
	char errors[160]; /* alarms, as text; "": none */
};

int __must_check proto_status_reply(const uint8_t *buf, size_t len,
				    struct proto_status *s);

/* Behind which key a range begins; len 0: at its prefix.  Keys are any bytes, and of any length,
 * as other hosts may write them. */
struct proto_mark {
	uint8_t key[PROTO_KEY_MAX];
	size_t len;
};

/* Behind a key; of one that is too long, behind all that begin as it does. */
void proto_mark_key(struct proto_mark *m, const struct proto_kv *kv);
/* A range of keys: those that begin with prefix, behind a mark (NULL: all), at most limit; as they
 * were at revision (0: now). */
void proto_range(struct cursor *c, const char *prefix, const struct proto_mark *from,
		 int64_t limit, int64_t revision);
/* All changes of keys with the prefix from a revision on. */
void proto_watch(struct cursor *c, const char *prefix, int64_t revision);
void proto_lease_grant(struct cursor *c, int64_t ttl);
/* LeaseKeepAliveRequest and LeaseRevokeRequest */
void proto_lease_id(struct cursor *c, int64_t id);

/* Of a transaction: comparisons first, then what happens, then what is read if a
 * comparison is false. */
enum proto_compare { PROTO_CREATE = 1, PROTO_MOD = 2 };
void proto_txn_compare(struct cursor *c, const char *key, enum proto_compare what,
		       int64_t revision);
/* lease 0: none */
void proto_txn_put(struct cursor *c, const char *key, const void *value, size_t len,
		   int64_t lease);
void proto_txn_delete(struct cursor *c, const char *key, bool prefix);
void proto_txn_else_get(struct cursor *c, const char *key);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host channel: what a vTPM manager and vtpmd say to each other, over
 * libxenvchan (a stub domain) or a Unix stream socket (a manager that runs as a
 * process).  All integers are big-endian.
 *
 * Transport.  A stub domain is the vchan SERVER at the xenstore path
 * CHANNEL_XS_PATH relative to its own domain, for domain 0; vtpmd connects as the
 * client to the domid that it started itself, and so knows which vTPM speaks.
 * A process gets the connected socket as file descriptor 3.
 *
 * Frame:  u16 type | u16 zero | u32 id | u32 length | length bytes
 * length is at most CHANNEL_PAYLOAD_MAX; a longer one ends the connection.
 *
 * Requests go from the manager to vtpmd with id != 0.  Each gets exactly one
 * reply, in any order: type | CHANNEL_REPLY, the same id, and a payload of
 * u32 status (0, or a positive Linux errno), then the data listed below (status
 * 0) or one sentence of text (status != 0).
 * Events go from vtpmd to the manager with id 0 and get no reply.
 * HELLO and FAIL are said once in a connection: who repeats them is dropped.  Texts
 * are UTF-8; vtpmd makes them printable (lib/text.h).  vtpmd takes requests as fast as
 * tools/vtpmd/peer.c allows, and none after a PUT until that is answered.
 *
 * Versions: HELLO carries the range that the manager speaks; vtpmd answers with
 * the version that it chose, or EPROTO.  Unknown request types are answered ENOSYS,
 * unknown events are ignored, unknown STATUS tags are skipped.  An unknown CONFIG tag
 * is an end, unless it has CONFIG_MAY_BE_SKIPPED: a manager that skips "this is an
 * import" makes an empty TPM of it.  So is an unknown flag of CHANNEL_GUEST.
 * A manager of version 1 skips every tag that it does not know: vtpmd starts none (EPROTO),
 * and goes on with one that ran when vtpmd was upgraded (RESUMED).
 *
 * When the connection breaks, a running manager holds back the answer of the
 * command in flight, re-opens the channel, says HELLO with mode RESUMED, repeats
 * the PUT that had no reply (same seq, same bytes: idempotent), and goes on.
 */
#ifndef XVTPM_CHANNEL_H
#define XVTPM_CHANNEL_H

#define CHANNEL_VERSION	    2
#define CHANNEL_VERSION_MIN 1
#define CHANNEL_XS_PATH	    "data/xen-vtpm"
#define CHANNEL_HEADER_SIZE 12
#define CHANNEL_PAYLOAD_MAX (512 * 1024)
#define CHANNEL_REPLY	    0x8000
#define CHANNEL_PROCESS_FD  3
/* In xenstore: N/state, /ring-ref, /event-channel of the vtpm-crb for HVM domain N, which
 * stands for a driver of that guest's, and grants its pages as domain 0. */
#define CHANNEL_CRB_NODES "/local/domain/0/xen-vtpm/crb"

enum channel_type {
	/* u16 version min | u16 version max | u8 mode | uuid[16] | u64 seq
	 *   -> u16 version | CONFIG TLVs.  uuid and seq: zero when STARTING, else
	 * of the vTPM that runs and the last permanent state that was stored. */
	CHANNEL_HELLO = 1,
	/* u16 object -> bytes; ENOENT: it is not stored */
	CHANNEL_GET = 2,
	/* u16 object | u64 seq | bytes -> nothing; the reply means durable.
	 * seq must be greater than the stored one (ESTALE), unless the bytes are
	 * the same as those stored.  EPERM: a header when it has put too many since it
	 * was started or asked for new keys, since each is written into the host's TPM. */
	CHANNEL_PUT = 3,
	/* a TPM 2.0 command -> the response of the host's TPM; EPERM when the
	 * command is not one that a manager sends, or when its vTPM neither starts nor
	 * was asked for new key slots; EBUSY when another one is under way, ENODEV when
	 * there is no TPM */
	CHANNEL_TPM = 4,
	/* u16 n -> nothing: connects the tunnel to the n-th address of the
	 * configured KMS, from 0 (no payload: the first).
	 * ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ...; ENOENT when there is no such
	 * address; ENOTCONN in SEND/RECV when
	 * there is no tunnel.  One tunnel a manager; OPEN again closes the old. */
	CHANNEL_KMS_OPEN = 5,
	CHANNEL_KMS_SEND = 6,  /* bytes (1..16384+) -> nothing */
	CHANNEL_KMS_RECV = 7,  /* u32 max -> 1..max bytes, or none: end of stream */
	CHANNEL_KMS_CLOSE = 8, /* nothing -> nothing */
	/* u64 seq -> nothing: the state is open, guests may come */
	CHANNEL_READY = 9,
	/* u32 enum cause | text -> nothing: the manager gives up and exits; once */
	CHANNEL_FAIL = 10,
	/* CHANNEL_STATUS TLVs -> nothing: the answer to EVENT_STATUS */
	CHANNEL_STATUS = 11,
	/* u8 syslog level | text -> nothing */
	CHANNEL_LOG = 12,
	/* nothing -> CONFIG TLVs as they are now */
	CHANNEL_CONFIG = 13,
	/* u32 enum cause | text -> nothing: the answer to EVENT_REKEY and _REKEY_DEEP;
	 * cause 0: done, and the text says what: "" new key slots, "deep" for a new
	 * data key, "finished" a deep rekey that had been interrupted: unasked, when the
	 * stored header had both keys at HELLO.  EPERM: vtpmd did not ask for it. */
	CHANNEL_REKEYED = 14,
	/* TPM2B_PUBLICs, endorsement keys of this TPM, and perhaps their witness
	 * (include/ekwitness.h), before READY -> u32, how many of the keys vtpmd keeps.
	 * EPERM when the stored header does not have their Names. */
	CHANNEL_IDENTITY = 15,
	/* B nonce | B user data | B Name | B SHA-256 | B SHA-256 -> the host's part of a
	 * deep quote, JSON: docs/attestation.md.  B is u16 n | bytes.  The Name is that of
	 * the vTPM's attestation key, the hashes are those of its quote and of the log of
	 * the guest's launch, n 0: no log.  EAGAIN: too many.  With CONFIG_INCOMING: B SHA-256
	 * of the public key that is to be in ACCEPT -> its proof (lib/move.h). */
	CHANNEL_QUOTE = 17,
	/* u32 enum cause | text -> nothing: the answer to EVENT_ATTEST: cause 0, and the
	 * evidence */
	CHANNEL_ATTEST = 18,
	/* u32 domid of a guest that comes | u64 power-on that the TPM had last; before the
	 * first guest a number that the manager drew; 0: a start failed | nothing, or
	 * uuid[16] that its device has instead of the vTPM's
	 *   -> u8 enum channel_guest | u8 CHANNEL_GUEST_IS_* | u64 power-on that the
	 * guest has | measurements (lib/measure.h), none unless NEW.  Any other status
	 * refuses the guest, and its text tells why.  A power-on is a start of the TPM for one
	 * domain; NEW has a number that no other had.  Asked again with the power-on that
	 * it had when the last guest came, vtpmd takes its answer of then for lost. */
	CHANNEL_GUEST = 16,
	/* u32 TPM response code of the TPM2_Clear that CHANNEL_GUEST_IS_CLEARED asked for
	 *   -> nothing; the reply means that it is not asked for again.  EPERM: it was not. */
	CHANNEL_CLEARED = 19,
	/* u32 domid | text -> nothing: a guest that the manager refuses itself, and why */
	CHANNEL_REFUSED = 20,
	/* u8 enum channel_move | u32 enum cause | bytes, or with a cause text -> nothing: the
	 * answer to EVENT_MOVE */
	CHANNEL_MOVED = 21,
	/* nothing -> u32 ms, at most CHANNEL_LEASE_MAX_MS: for so long from the question on no
	 * other host can have this vTPM (stubdom/manager/lease.h); 0: that is not known now, ask
	 * again.  ESTALE: another host may have it already: end, and answer nobody. */
	CHANNEL_RENEW = 22,

	/* events of vtpmd, id 0 */
	CHANNEL_EVENT_STOP = 0x4001,	   /* finish, store, exit 0 */
	CHANNEL_EVENT_STATUS = 0x4002,	   /* send CHANNEL_STATUS */
	CHANNEL_EVENT_REKEY = 0x4004,	   /* make new key slots of CHANNEL_CONFIG */
	CHANNEL_EVENT_REKEY_DEEP = 0x4005, /* ... for a new data key */
	/* u32 PCRs | B nonce | B user data: make evidence, for CHANNEL_ATTEST */
	CHANNEL_EVENT_ATTEST = 0x4008,
	/* the certificates have changed: take those of CHANNEL_CONFIG */
	CHANNEL_EVENT_IDENTITY = 0x4006,
	/* without Xen, for tests: a guest comes, domain 0 */
	CHANNEL_EVENT_GUEST = 0x4007,
	/* u8 enum channel_move | bytes: a step of a handover (tools/vtpmd/handover.h) */
	CHANNEL_EVENT_MOVE = 0x4009,
};

/* L is u32 length | bytes; lib/move.h has what is in them.  Each is answered by MOVED, with
 * the bytes that follow the arrow, but THAW and ACTIVATE. */
enum channel_move {
	/* at the source */
	CHANNEL_MOVE_JUDGE = 1,	 /* L pool | L OFFER | L ACCEPT -> nothing */
	CHANNEL_MOVE_FREEZE = 2, /* -> EXPORT, for what was judged; executes no more */
	CHANNEL_MOVE_THAW = 3,
	/* at the destination, in a manager that has CONFIG_INCOMING */
	CHANNEL_MOVE_OFFER = 4,	     /* OFFER -> ACCEPT */
	CHANNEL_MOVE_IMPORT = 5,     /* EXPORT -> nothing: all is stored */
	CHANNEL_MOVE_ACTIVATE = 6,   /* READY is the answer */
	CHANNEL_MOVE_DEACTIVATE = 7, /* -> u8 enum move_touch (lib/move.h) */
	CHANNEL_MOVE_STEPS,
};

enum channel_guest {
	CHANNEL_GUEST_NEW = 1,	   /* start the TPM again */
	CHANNEL_GUEST_SAME = 2,	   /* it goes on with the TPM as it left it */
	CHANNEL_GUEST_RESUMED = 3, /* the same; it was saved, and restored */
};

/* flags */
#define CHANNEL_GUEST_IS_MEASURED 1
#define CHANNEL_GUEST_IS_HVM	  2 /* vtpm-crb stands for its driver */
#define CHANNEL_GUEST_IS_CLEARED \
	4 /* NEW: a TPM2_Clear comes first, which was requested by PPI */
#define CHANNEL_GUEST_IS_ALL 7

/* Of CHANNEL_RENEW. */
#define CHANNEL_LEASE_MAX_MS 300000

enum channel_mode { CHANNEL_STARTING = 0, CHANNEL_RESUMED = 1 };

/* What GET and PUT name: one file each in the vTPM's folder of the store. */
enum channel_object {
	CHANNEL_OBJECT_HEADER = 1,   /* the envelope's header with the key slots */
	CHANNEL_OBJECT_PERMALL = 2,  /* libtpms's permanent state, sealed */
	CHANNEL_OBJECT_VOLATILE = 3, /* kept for save and migration */
	CHANNEL_OBJECT_SAVESTATE = 4,
	/* for GET only, while a vTPM is made that is a copy of another (CONFIG_COPY_OF):
	 * that one's header and permanent state, as they were stored together */
	CHANNEL_OBJECT_SOURCE_HEADER = 16,
	CHANNEL_OBJECT_SOURCE_PERMALL = 17,
	/* for GET only, while a vTPM is made of swtpm's state (CONFIG_SOURCE); it is in
	 * vtpmd's memory alone: u8 n | n bytes of swtpm's key, 0, 16 or 32 | the same of its
	 * migration key | the file */
	CHANNEL_OBJECT_SOURCE_SWTPM = 18,
	/* never stored: what goes to another host (stubdom/manager/moveseal.h) */
	CHANNEL_OBJECT_EXPORT = 32,
};

/* Of CHANNEL_OBJECT_SOURCE_SWTPM. */
#define CHANNEL_SOURCE_MAX (256 * 1024)

/* In a tag that a manager may skip when it does not know it.  Only what a TPM is the same,
 * and as safe, without has it. */
#define CONFIG_MAY_BE_SKIPPED 0x8000

/* TLV: u16 tag | u32 length | value.  Texts have no terminating zero.  One more is in
 * include/ekwitness.h. */
enum channel_config {
	CONFIG_UUID = 1,   /* 16 bytes */
	CONFIG_NAME = 2,   /* text */
	CONFIG_CREATE = 3, /* u8: 1 make a new vTPM, 0 open the stored one */
	/* CONFIG_POLICY to CONFIG_TPM_VERSION describe a vTPM that is to be made (CREATE
	 * 1); of one that is there its header tells */
	CONFIG_POLICY = 4,     /* u16 enum envelope_slot_kind */
	CONFIG_LOCALITIES = 5, /* u8, bit n: locality n is allowed to the guest */
	CONFIG_COPY_OF = 6,    /* 16 bytes, beside CREATE 1: the uuid of the vTPM whose
				* state the new one gets */
	CONFIG_MEASURED = 7,   /* u8: 1 it serves measured guests only */
	CONFIG_PCR_BANKS = 8,  /* u8, bit n: the n-th of SHA-1, SHA-256, SHA-384, SHA-512;
				* absent or 0: those that a new TPM 2.0 has */
	CONFIG_TPM_VERSION = 9, /* u8: 20 a TPM 2.0 (also when absent), 12 a TPM 1.2 */
	CONFIG_EPOCH =
		10, /* u64: of this run, for all that it stores (lib/slot/envelope.h) */
	CONFIG_TRIAL = 11,  /* u8: 1 it is opened, said READY of, and closed: no guest is
			    * offered it, and what is put is dropped */
	CONFIG_SOURCE = 12, /* u8: 1, beside CREATE 1: the new one gets the state that
			     * CHANNEL_OBJECT_SOURCE_SWTPM has */
	CONFIG_KEEP_CERTS =
		13, /* u8: 1 certificates that came with such a state stay, since
				 * vtpmd has none for it */

	/* u8 enum channel_incoming, beside CREATE 1: what it is comes from another host, by
	 * EVENT_MOVE */
	CONFIG_INCOMING = 14,
	/* u8 enum envelope_ek | Name, repeated, beside INCOMING: of an endorsement key, as
	 * the other host told; the header that is made first has them */
	CONFIG_EK_NAME = 15,

	/* u8: 1 the store is several hosts', and RENEW says for how long it is this one's */
	CONFIG_LEASED = 22,
	/* u8: 1 beside LEASED, of a stub domain: Xen's watchdog ends it when it is about to answer
	 * behind the end of its host's lease */
	CONFIG_WATCHDOG = 23,

	CONFIG_SRK_HANDLE = 16,	  /* u32, a persistent handle */
	CONFIG_SRK_NAME = 17,	  /* 34 bytes: the pinned TPM Name */
	CONFIG_POLICY_KEY = 18,	  /* the host policy key, a TPMT_PUBLIC */
	CONFIG_APPROVAL = 19,	  /* repeated: an approved boot state, below */
	CONFIG_COUNTER_NAME = 20, /* 34 bytes: of the counter of revocations, below */
	CONFIG_HOST_AUTH = 21,	  /* 32 bytes: authValue of that counter, and of the
				   * sealed KMS client key */

	/* text host:port, or several with commas between, the first tried first;
	 * host is verified in TLS: lib/text.h */
	CONFIG_KMS_ADDRESS = 32,
	CONFIG_KMS_CA = 33,	    /* PEM */
	CONFIG_KMS_CERT = 34,	    /* PEM, with its chain */
	CONFIG_KMS_KEY_SEALED = 35, /* the client's private key, below */
	CONFIG_KMS_KEY_ID = 36,	    /* text: KMIP Unique Identifier of the AES key */

	/* repeated, u32 version | TPM2B_PUBLIC | TPM2B_PRIVATE | TPM2B_ENCRYPTED_SECRET: a pool
	 * key for this host's TPM (lib/pool.h), the newest last */
	CONFIG_POOL_KEY = 40,
	/* u8: 1 the store is a pool's, of which this host has the newest key: a slot that needs
	 * TPM and KMS is to open on each host of it */
	CONFIG_IN_POOL = 41,

	CONFIG_RECOVERY_KEY = 48, /* SubjectPublicKeyInfo, DER: lib/slot/recovery.h */

	/* repeated, u32 NV index | bytes: a certificate that the TPM shall have */
	CONFIG_CERTIFICATE = 64,
};

/* What comes with a vTPM from another host. */
enum channel_incoming {
	INCOMING_WITH_GUEST =
		1, /* its guest, which is given the number of a power-on here */
	INCOMING_ALONE =
		2, /* nobody: the power-on keeps its number, for one that was saved */
};

/*
 * An approval, as in CONFIG_APPROVAL and host.json (there in hex):
 *   u8 count | count * (u8 PCR index, ascending | 32 bytes SHA-256 bank value)
 *   | u64 number | 32 bytes policyDigest | TPMT_SIGNATURE for each purpose, in order
 * policyDigest is that of two commands in a fresh session: TPM2_PolicyPCR over the SHA-256
 * bank's named PCRs with these values, and TPM2_PolicyNV, the counter of revocations
 * (NV index CHANNEL_COUNTER_INDEX, whose Name is pinned) equal to number.  A revocation
 * increments the counter, and so ends every approval that was given before.
 * Each signature (ECDSA P-256, SHA-256, by the host policy key) is over
 * SHA-256(policyDigest || policyRef), as TPM2_PolicyAuthorize wants it, and
 *   policyRef = SHA-256("xen-vtpm approval" || u8 purpose || Name of the storage key)
 * so that it is good for one purpose on one host.
 *
 * The sealed KMS client key, as in CONFIG_KMS_KEY_SEALED and host.json:
 *   TPM2B_PUBLIC | TPM2B_PRIVATE | iv[12] | u16 n | n bytes | tag[16]
 * The TPM object, a child of the storage key with policy PolicyAuthorize(host
 * policy key, APPROVAL_KMS) and PolicyAuthValue (CONFIG_HOST_AUTH), holds a 32-byte
 * AES-256-GCM key; the n bytes are the PEM (PKCS#8) encrypted with it, AAD "xen-vtpm kms
 * client key".
 */

/* What an approved boot state may do. */
enum approval_purpose {
	APPROVAL_VTPM = 1,   /* unseal a vTPM's S_tpm */
	APPROVAL_KMS = 2,    /* unseal the KMS client's key */
	APPROVAL_ANCHOR = 3, /* write the anchor's NV index */
};
#define APPROVAL_PURPOSES 3

/* In the owner's range (TCG Registry of Reserved TPM 2.0 Handles, 2.2.2), beside the
 * anchor's. */
#define CHANNEL_COUNTER_INDEX 0x01805655u

/* All u64 unless said otherwise. */
enum channel_status {
	STATUS_GUEST_DOMID = 1, /* absent: no guest */
	STATUS_COMMANDS = 2,
	STATUS_REFUSED = 3,	  /* requests that the ring refused */
	STATUS_STATE_WRITES = 4,  /* durable writes of the permanent state */
	STATUS_SEQ = 5,		  /* generation of the permanent state */
	STATUS_HYPERCALLS = 6,	  /* since boot; stub domain only */
	STATUS_NOTIFICATIONS = 7, /* since boot; stub domain only */
	STATUS_READY_NS = 8,	  /* first instruction to ready, stub domain only */
	STATUS_UNLOCK_NS = 9,	  /* of which waiting for TPM, KMS and store */
	STATUS_FREE_KIB = 10,	  /* free memory, stub domain only */
	STATUS_POWER_ON = 11,	  /* as in CHANNEL_GUEST; absent: 0 */
	STATUS_UPTIME_NS = 12,	  /* since READY */
	STATUS_RESIDENT_KIB = 13, /* memory, process only */
	STATUS_CERTIFICATES = 14, /* how many CONFIG_CERTIFICATEs the TPM has */
	STATUS_TOKEN_S = 15, /* how long the host's token for Vault lasted when it was
				   * used; absent: none, it has no end, or that is not known */
	/* u64 ns, the sum | LATENCY_BUCKETS * u64 count: how long commands took, from
	 * the packet to the durable state.  The n-th counts those that took at most
	 * LATENCY_FIRST_NS << n and longer than the one before; the last one counts
	 * all that took longer. */
	STATUS_LATENCY = 16,
	STATUS_TOKEN_USED_MS = 17, /* how long ago that was; beside STATUS_TOKEN_S */
};

#define LATENCY_BUCKETS	 24
#define LATENCY_FIRST_NS 8192u /* 8 us; so the last bound is 34 s */

#endif

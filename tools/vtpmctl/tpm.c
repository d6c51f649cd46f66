/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tpm.h"
#include "lib/text.h"
#include "lib/tpm2/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#define MAGIC	    0x5856544147414e00ull
#define COMMAND_MAX 4096

struct tpmagain {
	TSS2_TCTI_CONTEXT_COMMON_V1 v1; /* first: what libtss2 sees */
	struct tpm *tpm;
	struct tpm2_busy busy;
	bool gave_up; /* with the last command: the library's own tries do not wait again */
	uint8_t cmd[COMMAND_MAX];
	size_t len;
};

/* A TPM on a socket serves one connection, and who has the memory that the TPM lacks may
 * wait for that: leaves it to others until the next command.  Nothing in the TPM depends
 * on it, other than behind a resource manager, which is not short of memory. */
static void yield_socket(struct tpm *t, const uint8_t *rsp, size_t len)
{
	static const char *const sockets[] = {"swtpm", "mssim", "cmd"};
	size_t i;

	if (!tpm2_busy_is_memory(tpm2_response_code(rsp, len)))
		return;
	for (i = 0; i < ARRAY_SIZE(sockets); i++)
		if (!strncmp(t->name, sockets[i], strlen(sockets[i])))
			Tss2_TctiLdr_Finalize(&t->tcti);
}

static TSS2_RC send_command(struct tpm *t, const uint8_t *cmd, size_t len)
{
	TSS2_RC rc = t->tcti ? 0 : Tss2_TctiLdr_Initialize(t->name, &t->tcti);

	return rc ? rc : Tss2_Tcti_Transmit(t->tcti, len, cmd);
}

static TSS2_RC transmit_tpm(TSS2_TCTI_CONTEXT *tcti, size_t len, const uint8_t *cmd)
{
	struct tpmagain *a = (struct tpmagain *)tcti;

	if (len > sizeof(a->cmd))
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	memcpy(a->cmd, cmd, len);
	a->len = len;
	a->busy = (struct tpm2_busy){0};
	return send_command(a->tpm, cmd, len);
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *len, uint8_t *rsp,
		       int32_t timeout)
{
	struct tpmagain *a = (struct tpmagain *)tcti;
	const size_t room = *len;
	TSS2_RC rc;

	/* libtss2-sys asks for a response's size, and then has room for no longer one: the one
	 * to the next try may be, as that of a busy TPM is the shortest there is */
	if (!rsp) {
		*len = TPM2_MAX_RESPONSE_SIZE;
		return 0;
	}
	for (;;) {
		*len = room;
		rc = Tss2_Tcti_Receive(a->tpm->tcti, len, rsp, timeout);
		if (rc)
			return rc;
		if (!tpm2_busy_is_response(rsp, *len)) {
			a->gave_up = false;
			return 0;
		}
		yield_socket(a->tpm, rsp, *len);
		if (a->gave_up || !tpm2_busy_pause(&a->busy)) {
			a->gave_up = true;
			return 0;
		}
		rc = send_command(a->tpm, a->cmd, a->len);
		if (rc)
			return rc;
	}
}

/* NULL: out of memory.  t has to live as long. */
static TSS2_TCTI_CONTEXT *tpmagain_new(struct tpm *t)
{
	struct tpmagain *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->v1.magic = MAGIC;
	a->v1.version = 1;
	a->v1.transmit = transmit_tpm;
	a->v1.receive = receive;
	a->tpm = t;
	return (TSS2_TCTI_CONTEXT *)a;
}

static void tpmagain_free(TSS2_TCTI_CONTEXT *tcti)
{
	free(tcti);
}

#define DEVICE "device:"

/* What the library refuses: an answer that is malformed, without its session, or with a
 * wrong HMAC. */
static bool is_forged(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	return layer == TSS2_ESAPI_RC_LAYER || layer == TSS2_SYS_RC_LAYER ||
	       layer == TSS2_MU_RC_LAYER;
}

/* The TCTI could not send the command, or got no answer, or the beginning of one: it says
 * nothing of what the TPM thinks of it. */
static bool is_unanswered(TSS2_RC rc)
{
	return (rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER;
}

int tpmrc_set(struct error *e, TSS2_RC rc, const char *doing)
{
	if (is_unanswered(rc))
		return error_set(
			e, -ENODEV, CAUSE_TPM_UNREACHABLE,
			"the host's TPM does not answer: it was to %s (%s, 0x%x); see "
			"that it is enabled, and `dmesg | grep -i tpm`",
			doing, Tss2_RC_Decode(rc), rc);
	if (is_forged(rc))
		return error_set(
			e, -EIO, CAUSE_TPM_REFUSED,
			"the host's TPM was to %s, and the answer is malformed or not "
			"authentic (%s): something between this program and the TPM "
			"alters what they say; nothing was done with it",
			doing, Tss2_RC_Decode(rc));
	if (tpm2_busy_is_code(rc))
		return error_set(
			e, -EIO, CAUSE_TPM_BUSY,
			"the host's TPM is busy: asked to %s, it answered \"%s\" "
			"(0x%x) for %d s; nothing was changed, try again later",
			doing, Tss2_RC_Decode(rc), rc, TPM2_BUSY_S);
	return error_set(e, -EIO, CAUSE_TPM_REFUSED,
			 "the host's TPM refused to %s: %s (0x%x); %s", doing,
			 Tss2_RC_Decode(rc), rc, tpm2_code_step(rc));
}

static int no_device(const char *path, int error, struct error *e)
{
	if (error == EBUSY)
		return error_set(
			e, -ENODEV, CAUSE_TPM_UNREACHABLE,
			"another program uses the TPM at %s; use /dev/tpmrm0, which "
			"is shared, or stop that program",
			path);
	if (error == EACCES)
		return error_set(
			e, -ENODEV, CAUSE_TPM_UNREACHABLE,
			"the TPM at %s may be opened by root only; run this as root",
			path);
	return error_set(
		e, -ENODEV, CAUSE_TPM_UNREACHABLE,
		"there is no TPM at %s (%s); switch the TPM 2.0 on in the firmware's "
		"set-up, and see `dmesg | grep -i tpm` for its driver",
		path, strerror(error));
}

int tpm_open(struct tpm *t, const char *tcti, struct error *e)
{
	TSS2_RC rc;

	memset(t, 0, sizeof(*t));
	t->name = tcti;
	t->srk = t->audit = ESYS_TR_NONE;
	/* the library logs each refusal by itself; one sentence is enough */
	setenv("TSS2_LOG", "all+NONE", 0);
	if (!strncmp(tcti, DEVICE, strlen(DEVICE)) &&
	    access(tcti + strlen(DEVICE), R_OK | W_OK))
		return no_device(tcti + strlen(DEVICE), errno, e);
	rc = Tss2_TctiLdr_Initialize(tcti, &t->tcti);
	if (rc)
		return error_set(
			e, -ENODEV, CAUSE_TPM_UNREACHABLE,
			"the host's TPM does not answer at \"%s\" (%s); check --tcti "
			"and `dmesg | grep -i tpm`",
			tcti, Tss2_RC_Decode(rc));
	t->again = tpmagain_new(t);
	if (!t->again) {
		tpm_close(t);
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	}
	rc = Esys_Initialize(&t->esys, t->again, NULL);
	if (rc) {
		tpm_close(t);
		return tpmrc_set(e, rc, "start a conversation");
	}
	return 0;
}

/* Nobody may wait for a session, or for a person, with one in hand: many TPMs have room for three, and
 * two processes that hold one each leave one, where what is unsealed needs two. */
void tpm_rest(struct tpm *t)
{
	ESYS_TR audit = t->audit;

	t->audit = ESYS_TR_NONE;
	if (t->esys && audit != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, audit);
}

void tpm_close(struct tpm *t)
{
	tpm_rest(t);
	if (t->esys && t->srk != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &t->srk);
	Esys_Finalize(&t->esys);
	tpmagain_free(t->again);
	Tss2_TctiLdr_Finalize(&t->tcti);
}

/* The TCG's template for a P-256 storage key ("TPM v2.0 Provisioning Guidance",
 * 7.5.1; EK Credential Profile, template L-2, without its policy). */
static const TPM2B_PUBLIC srk_template = {
	.publicArea =
		{
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM |
					    TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN |
					    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
					    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
			.parameters.eccDetail =
				{
					.symmetric = {.algorithm = TPM2_ALG_AES,
						      .keyBits.aes = 128,
						      .mode.aes = TPM2_ALG_CFB},
					.scheme.scheme = TPM2_ALG_NULL,
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
			.unique.ecc = {.x.size = 32, .y.size = 32},
		},
};

int tpm_name(struct tpm *t, ESYS_TR object, uint8_t name[TPM_NAME_SIZE])
{
	TPM2B_NAME *n = NULL;
	int rc = -EIO;

	if (!Esys_TR_GetName(t->esys, object, &n) && n->size == TPM_NAME_SIZE) {
		memcpy(name, n->name, TPM_NAME_SIZE);
		rc = 0;
	}
	Esys_Free(n);
	return rc;
}

static const TPMT_SYM_DEF aes128_cfb = {
	.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

TSS2_RC tpm_start_session(struct tpm *t, TPM2_SE type, TPMA_SESSION attributes,
			  ESYS_TR *session)
{
	TSS2_RC rc;

	tpm_rest(t);
	rc = Esys_StartAuthSession(t->esys, t->srk, ESYS_TR_NONE, ESYS_TR_NONE,
				   ESYS_TR_NONE, ESYS_TR_NONE, NULL, type, &aes128_cfb,
				   TPM2_ALG_SHA256, session);
	if (!rc)
		rc = Esys_TRSess_SetAttributes(t->esys, *session, attributes, 0xff);
	return rc;
}

TSS2_RC tpm_audit(struct tpm *t, ESYS_TR *session)
{
	TSS2_RC rc = 0;

	if (t->srk != ESYS_TR_NONE && t->audit == ESYS_TR_NONE)
		rc = tpm_start_session(t, TPM2_SE_HMAC,
				       TPMA_SESSION_AUDIT | TPMA_SESSION_CONTINUESESSION,
				       &t->audit);
	*session = t->audit;
	return rc;
}

/* Asked for, as a failed ReadPublic would not tell absence from other refusals. */
int tpm_handle_used(struct tpm *t, uint32_t handle, bool *used, struct error *e)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	TPMI_YES_NO more;
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	if (!rc)
		rc = Esys_GetCapability(t->esys, audit, ESYS_TR_NONE, ESYS_TR_NONE,
					TPM2_CAP_HANDLES, handle, 1, &more, &data);
	if (rc)
		return tpmrc_set(e, rc, "list what is in it");
	*used = data->data.handles.count && data->data.handles.handle[0] == handle;
	Esys_Free(data);
	return 0;
}

int tpm_srk_find(struct tpm *t, uint32_t handle, uint8_t name[TPM_NAME_SIZE],
		 struct error *e)
{
	bool used;
	TSS2_RC rc;
	int ret = tpm_handle_used(t, handle, &used, e);

	if (ret)
		return ret;
	if (!used)
		return error_set(e, -ENOENT, CAUSE_TPM_REPLACED,
				 "the host's TPM has no storage key at 0x%08x: it was "
				 "replaced or cleared; put the old one back, or see "
				 "docs/errors.md for what can be saved",
				 handle);
	rc = Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
				   ESYS_TR_NONE, &t->srk);
	if (rc)
		return tpmrc_set(e, rc, "read its storage key");
	if (tpm_name(t, t->srk, name))
		return error_set(
			e, -EXDEV, CAUSE_TPM_REPLACED,
			"the object at 0x%08x in the host's TPM is no P-256 storage "
			"key; see `tpm2_readpublic -c 0x%08x`",
			handle, handle);
	return 0;
}

int tpm_srk_pinned(struct tpm *t, uint32_t handle, const uint8_t pinned[TPM_NAME_SIZE],
		   struct error *e)
{
	uint8_t name[TPM_NAME_SIZE];
	int rc = tpm_srk_find(t, handle, name, e);

	if (!rc && memcmp(name, pinned, sizeof(name)))
		rc = error_set(
			e, -EXDEV, CAUSE_TPM_REPLACED,
			"this is not the TPM that `vtpmctl host init` pinned; put the "
			"old one back");
	return rc;
}

int tpm_srk_remove(struct tpm *t, uint32_t handle, struct error *e)
{
	ESYS_TR none = ESYS_TR_NONE;
	TSS2_RC rc =
		Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, t->srk, ESYS_TR_PASSWORD,
				  ESYS_TR_NONE, ESYS_TR_NONE, handle, &none);

	t->srk = ESYS_TR_NONE;
	return rc ? tpmrc_set(e, rc, "remove the storage key") : 0;
}

static int make_primary(struct tpm *t, ESYS_TR *primary, struct error *e)
{
	const TPM2B_SENSITIVE_CREATE no_secret = {0};
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	TSS2_RC rc =
		Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
				   ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &srk_template,
				   &no_data, &no_pcrs, primary, NULL, NULL, NULL, NULL);

	if ((rc & ~TPM2_RC_S & ~TPM2_RC_N_MASK) == TPM2_RC_BAD_AUTH ||
	    (rc & ~TPM2_RC_S & ~TPM2_RC_N_MASK) == TPM2_RC_AUTH_FAIL)
		return error_set(
			e, -EIO, CAUSE_TPM_REFUSED,
			"the owner hierarchy of the host's TPM has a password; take "
			"it away for this command with `tpm2_changeauth -c o -p "
			"PASSWORD`, and set it again afterwards");
	return rc ? tpmrc_set(e, rc, "make the storage key") : 0;
}

static int wrong_object(uint32_t handle, const uint8_t *there, const uint8_t *ours,
			struct error *e)
{
	char there_hex[2 * TPM_NAME_SIZE + 1], ours_hex[2 * TPM_NAME_SIZE + 1];

	hex_encode(there, TPM_NAME_SIZE, there_hex);
	hex_encode(ours, TPM_NAME_SIZE, ours_hex);
	return error_set(
		e, -EXDEV, CAUSE_TPM_REFUSED,
		"0x%08x in the host's TPM holds another object (Name %.16s..., ours "
		"is %.16s...); if nobody needs it, remove it with `tpm2_evictcontrol "
		"-C o -c 0x%08x` and try again",
		handle, there_hex, ours_hex, handle);
}

int tpm_srk_make(struct tpm *t, uint32_t handle, uint8_t name[TPM_NAME_SIZE], bool *made,
		 struct error *e)
{
	ESYS_TR primary = ESYS_TR_NONE;
	uint8_t there[TPM_NAME_SIZE] = {0};
	TSS2_RC rc;
	bool used;
	int ret = make_primary(t, &primary, e);

	*made = false;
	if (ret)
		return ret;
	ret = tpm_handle_used(t, handle, &used, e);
	if (!ret && tpm_name(t, primary, name))
		ret = error_set(e, -EIO, CAUSE_INTERNAL, "the storage key has no Name");
	if (!ret && used) {
		rc = Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
					   ESYS_TR_NONE, &t->srk);
		if (rc)
			ret = tpmrc_set(e, rc, "read its storage key");
		/* another kind of object has another Name: zeroes differ too */
		else if (tpm_name(t, t->srk, there) || memcmp(there, name, sizeof(there)))
			ret = wrong_object(handle, there, name, e);
	} else if (!ret) {
		rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, primary,
				       ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
				       handle, &t->srk);
		ret = rc ? tpmrc_set(e, rc, "keep the storage key") : 0;
		*made = !ret;
	}
	Esys_FlushContext(t->esys, primary);
	return ret;
}

static TPML_PCR_SELECTION selection(uint32_t pcrs)
{
	return (TPML_PCR_SELECTION){
		.count = 1,
		.pcrSelections = {{.hash = TPM2_ALG_SHA256,
				   .sizeofSelect = 3,
				   .pcrSelect = {(uint8_t)pcrs, (uint8_t)(pcrs >> 8),
						 (uint8_t)(pcrs >> 16)}}},
	};
}

/* Takes the values of one TPM2_PCR_Read; gives which PCRs they were. */
static uint32_t take_tpm_values(const TPML_PCR_SELECTION *got, const TPML_DIGEST *values,
				uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE])
{
	uint32_t pcrs = 0, taken = 0;
	unsigned int n, i = 0;

	if (got->count == 1)
		for (n = 0; n < 3; n++)
			pcrs |= (uint32_t)got->pcrSelections[0].pcrSelect[n] << 8 * n;
	for (n = 0; n < APPROVAL_PCRS && i < values->count; n++) {
		if (!(pcrs & 1u << n) || values->digests[i].size != APPROVAL_HASH_SIZE)
			continue;
		memcpy(value[n], values->digests[i++].buffer, APPROVAL_HASH_SIZE);
		taken |= 1u << n;
	}
	return taken;
}

int tpm_pcrs(struct tpm *t, uint32_t pcrs,
	     uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE], struct error *e)
{
	memset(value, 0, APPROVAL_PCRS * APPROVAL_HASH_SIZE);
	/* a TPM returns at most eight a command */
	while (pcrs) {
		TPML_PCR_SELECTION wanted = selection(pcrs), *got = NULL;
		TPML_DIGEST *values = NULL;
		uint32_t taken = 0;
		ESYS_TR audit;
		TSS2_RC rc = tpm_audit(t, &audit);

		if (!rc)
			rc = Esys_PCR_Read(t->esys, audit, ESYS_TR_NONE, ESYS_TR_NONE,
					   &wanted, NULL, &got, &values);
		if (!rc)
			taken = take_tpm_values(got, values, value) & pcrs;
		Esys_Free(got);
		Esys_Free(values);
		if (rc)
			return tpmrc_set(e, rc, "read its PCRs");
		if (!taken)
			return error_set(
				e, -EIO, CAUSE_TPM_REFUSED,
				"the host's TPM has no SHA-256 bank of PCRs; switch "
				"it on in the firmware's set-up or with "
				"`tpm2_pcrallocate`, and reboot");
		pcrs &= ~taken;
	}
	return 0;
}

int tpm_policy_digest(struct tpm *t, uint32_t pcrs, uint8_t digest[APPROVAL_HASH_SIZE],
		      struct error *e)
{
	const TPMT_SYM_DEF no_cipher = {.algorithm = TPM2_ALG_NULL};
	const TPM2B_DIGEST no_digest = {0};
	const TPML_PCR_SELECTION wanted = selection(pcrs);
	TPM2B_DIGEST *got = NULL;
	ESYS_TR session = ESYS_TR_NONE, audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	if (!rc)
		rc = Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE,
					   ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
					   TPM2_SE_TRIAL, &no_cipher, TPM2_ALG_SHA256,
					   &session);
	if (!rc)
		rc = Esys_PolicyPCR(t->esys, session, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				    &no_digest, &wanted);
	if (!rc)
		rc = Esys_PolicyGetDigest(t->esys, session, audit, ESYS_TR_NONE,
					  ESYS_TR_NONE, &got);
	if (!rc && got->size == APPROVAL_HASH_SIZE)
		memcpy(digest, got->buffer, APPROVAL_HASH_SIZE);
	else if (!rc)
		rc = TSS2_ESYS_RC_GENERAL_FAILURE;
	Esys_Free(got);
	if (session != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, session);
	return rc ? tpmrc_set(e, rc, "compute a PCR policy") : 0;
}

static int exchange_tpm(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp,
			size_t *rsp_len)
{
	struct tpm *t = ctx;

	if (send_command(t, cmd, len) ||
	    Tss2_Tcti_Receive(t->tcti, rsp_len, rsp, TSS2_TCTI_TIMEOUT_BLOCK))
		return -EIO;
	/* What the caller has beside the audit session it gives back itself (tpm2_cmd.yields). */
	if (tpm2_busy_is_memory(tpm2_response_code(rsp, *rsp_len)))
		tpm_rest(t);
	yield_socket(t, rsp, *rsp_len);
	return 0;
}

struct tpm2_transport tpm_transport(struct tpm *t)
{
	return (struct tpm2_transport){.ctx = t, .exchange = exchange_tpm};
}

void tpm_hosttpm_config(const struct hostconf *h, struct hosttpm_config *c)
{
	*c = (struct hosttpm_config){.srk_handle = h->srk_handle,
				     .policy_key = h->policy_key,
				     .policy_key_len = sizeof(h->policy_key)};
	memcpy(c->srk_name, h->srk_name, sizeof(h->srk_name));
	memcpy(c->counter_name, h->counter_name, sizeof(h->counter_name));
	memcpy(c->auth, h->auth, sizeof(h->auth));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has deprecated engines, but Debian 12 has no provider for PKCS#11. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tools/vtpmctl/ca.h"

#include <errno.h>
#include <openssl/engine.h>

int cakey_token(const char *uri, EVP_PKEY **key, struct error *e)
{
	ENGINE *engine;

	ENGINE_load_dynamic();
	engine = ENGINE_by_id("pkcs11");
	if (!engine || ENGINE_init(engine) != 1) {
		ENGINE_free(engine);
		return error_set(
			e, -ENODEV, CAUSE_NOT_CONFIGURED,
			"OpenSSL has no engine for PKCS#11: `apt install "
			"libengine-pkcs11-openssl`, and the token's own library");
	}
	*key = ENGINE_load_private_key(engine, uri, NULL, NULL);
	/* the key has a reference of its own */
	ENGINE_finish(engine);
	ENGINE_free(engine);
	if (*key)
		return 0;
	return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
			 "The token gives no private key for the URI: see `p11tool "
			 "--list-all`, and give the PIN by pin-source=file:PATH");
}

# SPDX-License-Identifier: Apache-2.0
# Frama-C reads the sources as they are: nothing is built before.
prove: deps
	@tests/prove/run

# And says so in tests/prove/proved, for make check.
prove-record: deps
	@tests/prove/run --record

prove-mutants: deps
	@tests/prove/smoke
	@tests/prove/run --mutants

.PHONY: prove prove-record prove-mutants

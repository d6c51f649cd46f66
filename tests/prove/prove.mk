# SPDX-License-Identifier: Apache-2.0
# Frama-C reads the sources as they are: nothing is built before.
prove: deps
	@tests/prove/run

# Every goal, and what the provers answered kept for `make prove`.
prove-anew: deps
	@tests/prove/run --anew

prove-record: deps
	@tests/prove/run --record

prove-mutants: deps
	@tests/prove/run --mutants

.PHONY: prove prove-anew prove-record prove-mutants

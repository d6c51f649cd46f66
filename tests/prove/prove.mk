# SPDX-License-Identifier: Apache-2.0
# Frama-C reads the sources as they are: nothing is built before.
prove: deps
	@tests/prove/run

prove-mutants: deps
	@tests/prove/run --mutants

.PHONY: prove prove-mutants

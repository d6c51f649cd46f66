# SPDX-License-Identifier: Apache-2.0
# Every fuzzer is one libFuzzer program: build/bin/fuzz/NAME.
define fuzz_rule
$(BUILD)/bin/fuzz/$(1): $(BUILD)/fuzz/tests/fuzz/$(1)_fuzz.o $(patsubst %.c,$(BUILD)/fuzz/%.o,$(sort $($(1)_FUZZ_SRCS)))
	@mkdir -p $$(@D)
	$$(CLANG) $$(SAN) -fsanitize=fuzzer $$^ -o $$@ $($(1)_FUZZ_LIBS)
endef
$(foreach t,$(FUZZ_TESTS),$(eval $(call fuzz_rule,$(t))))
fuzzers: $(addprefix $(BUILD)/bin/fuzz/,$(FUZZ_TESTS))
.PHONY: fuzzers

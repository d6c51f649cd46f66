# SPDX-License-Identifier: Apache-2.0
# Every unit is one program, built with ASan and UBSan: build/bin/unit/NAME.  Of the sources in
# NAME_UNIT_STEPS each block calls the unit's __sanitizer_cov_trace_pc() besides.
define unit_rule
$(BUILD)/bin/unit/$(1): $(BUILD)/san/tests/unit/$(1)_test.o $(patsubst %.c,$(BUILD)/san/%.o,$(sort $($(1)_UNIT_SRCS))) \
                        $(patsubst %.c,$(BUILD)/steps/%.o,$(sort $($(1)_UNIT_STEPS)))
	@mkdir -p $$(@D)
	$$(CC) $$(SAN) $$^ -o $$@ -lcmocka $($(1)_UNIT_LIBS)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_rule,$(t))))
units: $(addprefix $(BUILD)/bin/unit/,$(UNIT_TESTS))
.PHONY: units

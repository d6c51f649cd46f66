# SPDX-License-Identifier: Apache-2.0
# Every unit is one program, built with ASan and UBSan: build/bin/unit/NAME.
define unit_rule
$(BUILD)/bin/unit/$(1): $(BUILD)/san/tests/unit/$(1)_test.o $(patsubst %.c,$(BUILD)/san/%.o,$(sort $($(1)_UNIT_SRCS)))
	@mkdir -p $$(@D)
	$$(CC) $$(SAN) $$^ -o $$@ -lcmocka $($(1)_UNIT_LIBS)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_rule,$(t))))
units: $(addprefix $(BUILD)/bin/unit/,$(UNIT_TESTS))
.PHONY: units

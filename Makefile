# An alias of dev.py, which needs nothing but Python 3.11+: `make test` is `python3 dev.py test`.
PYTHON ?= python3
TARGETS := help setup demo test pythons browser rabbitmq node chaos lint typecheck imports docs check format bench lock clean

# Quoted for the shell, so that ARGS="-k 'a or b'" arrives as it was written.
quoted = '$(subst ','\'',$(1))'
given = $(foreach name,PLAN ACTIONS ARGS,$(if $($(name)),$(call quoted,$(name)=$($(name)))))

.PHONY: $(TARGETS)
.DEFAULT_GOAL := help

$(TARGETS):
	@$(PYTHON) dev.py $@ $(given)

# What a person calls. Every target is one line; what it does is told by the script it calls.
PYTHON ?= python3
ENV := .venv/bin

# Whatever this terminal has: no settings of another Ansible or Python, a locale that every Debian has,
# no proxy for what runs here, and the configuration of this checkout even where others may write to it.
unexport $(filter-out PYTHON,$(filter ANSIBLE_% PYTHON%,$(.VARIABLES))) VIRTUAL_ENV
export LC_ALL := C.UTF-8
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
comma := ,
export NO_PROXY := 127.0.0.1,localhost,::1$(if $(NO_PROXY),$(comma)$(NO_PROXY))
export no_proxy := $(NO_PROXY)

.PHONY: demo try up status down clean test env lock
demo: env  ## build the three clusters, rotate under load, judge; leaves the platform running
	$(ENV)/python -m demo
try: env  ## the same until the first rotation under load is proven; a minute when it is up already
	$(ENV)/python -m demo --only-first-rotation
up: env  ## build or start the local platform
	$(ENV)/ansible-playbook -i inventories/local playbooks/site.yml
status: env  ## what is rotating, and what it waits for
	$(ENV)/securetransport status
down: env  ## stop the processes that we started, keep their data
	$(ENV)/ansible-playbook -i inventories/local playbooks/down.yml
clean: env  ## stop them and remove what we made
	$(ENV)/ansible-playbook -i inventories/local playbooks/teardown.yml
test: env  ## every gate; `.venv/bin/nox -l` lists them
	$(ENV)/nox
env:
	@$(PYTHON) tools/bootstrap.py
lock: env  ## resolve requirements/*.in anew
	$(ENV)/nox -s lock

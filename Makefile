# The front door: everything is done by scripts and Meson, this file only names the jobs.
#
#   make            build
#   make demo       set up, build, boot a Debian guest on a vGPU, leave pictures in out/demo/
#   make check      set up, build, run every test (make quick: without the real guest)
#   make bench      measure, append to out/bench.jsonl
BUILD ?= build

.PHONY: all build demo check quick bench setup clean install help

all: build

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

setup:
	@scripts/setup.sh all

build:
	@scripts/setup.sh build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD)

demo: build
	@scripts/setup.sh guest
	@scripts/demo.sh

check:
	@scripts/check.sh

quick:
	@scripts/check.sh --quick

bench: build
	@scripts/bench.sh

install: build
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-*

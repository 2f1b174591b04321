# The front door: everything is done by scripts and Meson, this file only names the jobs.
#
#   make            build
#   make demo       set up, build, boot a Debian guest on a vGPU, leave a picture in out/demo/
#                   (make demo STAY=1: keep it running until Ctrl-C)
#   make check      set up, build, run every test
#   make quick      the same without the real guest
#   make bench      measure, append to out/bench.jsonl
#   make setup      install the Debian packages all of these need
#   make install    install what make built
#   make clean      remove the build folders
BUILD ?= build

.PHONY: all build demo check quick bench setup clean install help

all: build

help:
	@sed -n 's/^# \{0,1\}//p; /^BUILD/q' Makefile

setup:
	@scripts/setup.sh all

build:
	@scripts/setup.sh build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD)

# The packages of all of a job at once, before the first of them is needed.
demo:
	@scripts/setup.sh build guest
	@$(MAKE) --no-print-directory build
	@scripts/demo.sh

check:
	@scripts/setup.sh check guest
	@scripts/check.sh

quick:
	@scripts/setup.sh check
	@scripts/check.sh --quick

bench: build
	@scripts/bench.sh

install: build
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-*

#!/bin/sh
# SPDX-License-Identifier: MIT
# Measures: runs every program of bench/ and appends its results to out/bench.jsonl, one line of
# JSON each (docs/testing.md tells what the fields mean).
#
#   scripts/bench.sh [BUILD]     BUILD (default build/) has been compiled
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help)
	sed -n '3,6s/^# \{0,1\}//p' "$0"
	exit
	;;
esac
build=${1:-build}
mediant=$build/mediant
[ -x "$mediant" ] || {
	echo "error: there is no $mediant: run 'make' first" >&2
	exit 1
}
mkdir -p out
echo "bench: register accesses over vfio-user (some seconds) ..."
"$build/bench/bench-trap" "$mediant" out/bench.jsonl
echo "bench: the vGPU in a VMM's own process (a quarter of a minute, with /dev/kvm) ..."
"$build/bench/bench-kvm" out/bench.jsonl
echo "bench: the audit of commands (some seconds) ..."
"$build/bench/bench-scan" out/bench.jsonl
echo "bench: page tables that have not changed (a second) ..."
"$build/bench/bench-shadow" out/bench.jsonl
[ ! -x "$build/bench/bench-mediated" ] || {
	echo "bench: a vGPU beside the bare GPU library (some seconds) ..."
	"$build/bench/bench-mediated" out/bench.jsonl
}
echo "bench: fills and copies of 16 MiB (some seconds) ..."
"$build/bench/bench-blt" out/bench.jsonl
echo "bench: submissions and their interrupts (some seconds) ..."
"$build/bench/bench-submit" out/bench.jsonl
echo "bench: vGPUs that share a core (three minutes) ..."
"$build/bench/bench-sched" "$mediant" out/bench.jsonl
echo "bench: results were appended to out/bench.jsonl"

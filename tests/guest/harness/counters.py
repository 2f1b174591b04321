# SPDX-License-Identifier: MIT
"""Reading `mediant stat --json`: counters by dotted name, and what changed between two looks."""
from . import host


def get(stat, name, default=None):
    """stat["a"]["b"] or stat["a.b"] for "a.b"."""
    if name in stat:
        return stat[name]
    value = stat
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            if default is not None:
                return default
            raise host.Failure(f"`mediant stat --json` has no '{name}' (it has: "
                               f"{', '.join(sorted(stat))})")
        value = value[part]
    return value


def total(stat, name):
    """The sum of a counter, or of a table of counters."""
    value = get(stat, name, 0)
    return sum(value.values()) if isinstance(value, dict) else value


def registers(stat):
    """Trapped accesses to registers: neither page table entries, aperture nor config space."""
    return sum(get(stat, f"traps.{name}") for name in ("reg_read", "reg_write", "opregion_read"))


def traps(stat):
    """Everything that was trapped, of any kind."""
    return get(stat, "traps.total")


def engines(stat, name):
    """One counter of all engines, by engine."""
    return {engine["name"]: engine[name] for engine in get(stat, "engines")}

"""Numbers for people, in few cells."""

from __future__ import annotations

_TIMES = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


def count(value: float) -> str:
    """A count in at most seven cells: 812, 81,204, 1.24 M, 31.0 G."""
    if value < 100_000:
        return f"{value:,.0f}"
    for divisor, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P")):
        scaled = value / divisor
        if scaled < 999.5:
            return f"{scaled:.3g} {unit}" if scaled >= 99.95 else f"{scaled:.2f} {unit}"
    return f"{value:.1e}"


def rate(value: float) -> str:
    """Things a second: 0/s, 3.4/s, 812/s, 1.24 M/s."""
    return f"{value:.1f}/s" if 0 < value < 9.95 else f"{count(value)}/s"


def duration(nanoseconds: float) -> str:
    """A span of time in three digits: 834 ns, 12.3 us, 4.01 ms, 1.20 s, 2 h 05 min."""
    sign = "-" if nanoseconds < 0 else ""
    seconds = abs(nanoseconds) * 1e-9
    if seconds >= 3600:
        return f"{sign}{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    if seconds >= 600:
        return f"{sign}{int(seconds // 60)} min"
    for scale, unit in _TIMES:
        value = seconds / scale
        if value < 999.5 or unit == "s":
            places = 0 if value >= 99.95 or unit == "ns" else 1 if value >= 9.995 else 2
            return f"{sign}{value:.{places}f} {unit}"
    raise AssertionError("unreachable")

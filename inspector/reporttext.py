"""A report as text, for somebody who reads it in a mail: the verdict first, then what it rests on."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from typing import Any

from inspector.headless import Json

WIDTH = 100
ROWS, FEW = 64, 8  #: of one table, where something was found in the queue, and where not


def text_of(report: Json) -> str:
    """The whole document of `inspector.commands.reporting`, ending in a newline."""
    return "\n".join(line.rstrip() for line in _lines(report)) + "\n"


def _lines(report: Json) -> Iterator[str]:
    yield from _verdict(report)
    for number, finding in enumerate(report["findings"], 1):
        yield ""
        yield from _finding(number, finding)
    yield from _title("what was looked at")
    of = report["of"]
    yield f"a {of['what']}, {of['readings']:,} readings; it ran for {of['seconds']:g} s"
    for name, value in of["options"].items():
        yield from _wrapped(f"{name.replace('_', '-')}: {_plain(value)}", "  ", "    ")
    yield f"ringscope {report['ringscope']}, {report['python']}, {report['system']}; made {report['made']}"
    snapshot = report["snapshot"]
    yield from _title("device")
    yield from _device(snapshot)
    ill = {finding["queue"] for finding in report["findings"]}
    for queue in sorted(snapshot["queues"], key=lambda queue: queue["name"] not in ill):
        yield from _title(f"{queue['name']}: {queue['role']}, {queue['layout']}, {queue['size']} entries")
        yield from _queue(queue, ROWS if queue["name"] in ill else FEW)
    yield from _events(report["events"])
    if report["frames"] is not None:
        yield from _frames(report["frames"])


def _verdict(report: Json) -> Iterator[str]:
    if not report["findings"]:
        yield "healthy: nothing was found"
    for finding in report["findings"]:
        over = " (over before the end)" if finding["gone"] else ""
        yield from _wrapped(f"{_who(finding)}: {finding['code']}: {finding['verdict']}{over}", "", "  ")


def _who(finding: Json) -> str:
    return str(finding["queue"] or "the device")


def _finding(number: int, finding: Json) -> Iterator[str]:
    yield f"{number}. {finding['code']} of {_who(finding)}, {finding['level']}, {finding['confidence']}"
    yield from _wrapped(finding["means"], "   ")
    yield f"   since {_clock(finding['since'])}, seen by {finding['vantage']}; VIRTIO 1.3 " + ", ".join(
        finding["spec"]
    )
    for one in finding["evidence"]:
        where = "" if one["slot"] is None else f"  at {one['slot']}"
        yield f"     {one['name']} = {one['value']}{where}"
    if finding["alike"]:
        decides = f": {finding['decides']}" if finding["decides"] else ""
        yield from _wrapped(
            f"looks the same from here: {', '.join(finding['alike'])}{decides}", "   ", "     "
        )
    if finding["causes"]:
        yield "   likely causes, and how to tell them apart:"
        for cause in finding["causes"]:
            yield from _wrapped(f"- {cause['what']} {cause['tell']}", "     ", "       ")
    if finding["next"]:
        yield "   what to do:"
        for step, words in enumerate(finding["next"], 1):
            yield from _wrapped(f"{step}. {words}", "     ", "        ")


def _device(snapshot: Json) -> Iterator[str]:
    yield f"{snapshot['name']}: {snapshot['kind']}, {snapshot['layout']} rings, {snapshot['state']}"
    yield from _wrapped(f"status: {' '.join(snapshot['status']) or 'none'}", "", "  ")
    yield from _wrapped(f"accepted: {' '.join(snapshot['accepted']) or 'none'}", "", "  ")
    refused = [name for name in snapshot["offered"] if name not in snapshot["accepted"]]
    yield from _wrapped(f"offered, not accepted: {' '.join(refused) or 'none'}", "", "  ")
    yield f"{_pairs(snapshot['config'])} config_generation {snapshot['config_generation']}"
    yield f"queue pairs {snapshot['queue_pairs']}, event {snapshot['number']:,}, {_clock(snapshot['time'])}"
    for note in snapshot["notes"]:
        yield from _wrapped(f"note: {note}", "", "  ")


def _queue(queue: Json, most: int) -> Iterator[str]:
    published, seen, used, collected = queue["after"]
    yield f"available {published:,} > seen {seen:,} > used {used:,} > collected {collected:,}"
    yield f"waiting: {published - seen:,} to be seen, {seen - used:,} used, {used - collected:,} collected"
    yield f"enabled {_plain(queue['enabled'])}, generation {queue['generation']}"
    yield f"descriptors: {_pairs(queue['owners'])}"
    for name in ("avail", "used", "driver_event", "device_event"):
        if name in queue:
            words = {key: value for key, value in queue[name].items() if isinstance(value, int)}
            yield f"in memory, {name.replace('_', ' ')}: {_pairs(words)}"
    for side in ("driver", "device"):
        if queue[side] is not None:
            yield from _wrapped(f"the {side}'s own: {_pairs(queue[side])}", "", "  ")
    yield from _rows(queue, most)
    for name, upper, lower in (("avail", 0, 2), ("used", 2, 3)):
        if name in queue and queue[name]["ring"]:
            yield from _newest(queue, name, min(queue["after"][upper] - queue["after"][lower], most // 4))


def _rows(queue: Json, most: int) -> Iterator[str]:
    """The descriptors that are not free, `most` of them."""
    columns, rows = queue["desc"]["columns"], queue["desc"]["rows"]
    mine = [slot for slot, owner in enumerate(queue["owner"]) if owner != "free"]
    if not mine:
        yield "no descriptor is outstanding" if rows else "rows are not known"
        return
    yield f"{'slot':>6} {' '.join(f'{name:>12}' for name in columns)}  {'head':>5}  owner, label"
    for slot in mine[:most]:
        numbers = " ".join(
            f"{value:#12x}" if name in ("addr", "flags") else f"{value:12}"
            for name, value in zip(columns, rows[slot], strict=True)
        )
        owner = f"{queue['owner'][slot]}, {queue['label'][slot]}"
        yield f"{slot:6} {numbers}  {queue['head'][slot]:5}  {owner}"
    if len(mine) > most:
        yield f"... and {len(mine) - most:,} more (all of them are in the JSON form)"


def _newest(queue: Json, name: str, count: int) -> Iterator[str]:
    entries = [(queue[name]["idx"] - count + i) % queue["size"] for i in range(max(count, 0))]
    told = ", ".join(f"{at}: {_plain(queue[name]['ring'][at])}" for at in entries)
    if told:
        yield from _wrapped(f"newest of the {name} ring: {told}", "", "  ")


def _events(events: Json) -> Iterator[str]:
    rows = events["rows"]
    yield from _title(f"the last {len(rows):,} events" if rows else "no events are known")
    if rows:
        begin = rows[-1]["time"]
        yield f"times are seconds before the last one, {_clock(begin)}"
    for row in rows:
        ago = (row["time"] - rows[-1]["time"]) / 1e9
        yield f"{row['number']:>10} {ago:12.6f}  {row['side']:6} {row['queue']:6} {row['words']}"


def _frames(frames: list[Json]) -> Iterator[str]:
    yield from _title(f"the last {len(frames):,} packets" if frames else "no packets are known")
    for frame in frames:
        yield f"packet {frame['number']}, {frame['queue']}, {frame['direction']}, {frame['length']} bytes"
        yield from textwrap.wrap(frame["hex"], WIDTH - 2, initial_indent="  ", subsequent_indent="  ")


def _title(words: str) -> tuple[str, str, str]:
    return "", words, "-" * len(words)


def _pairs(values: Json) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_pairs(value)})"
    if isinstance(value, list):
        return " ".join(_plain(one) for one in value)
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _clock(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06}Z"


def _wrapped(text: str, first: str, rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_on_hyphens=False,
    )

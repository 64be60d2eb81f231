"""Variants of a scenario: other sizes, indices, layouts, loads and times, by a seed, and the same without faults.

What a variant is, is a scenario again: its text can be kept and played by itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from tests.stuck.entries import Entry

_SPLIT_SIZES = (8, 16, 32, 64, 128, 256)
_FRAMES_MAX = 256
Step = dict[str, Any]


def spelt(document: Mapping[str, Any]) -> str:
    """A scenario as TOML: tables of plain values and lists of them are all there is."""
    lines = [
        f"{key} = {_value(value)}" for key, value in document.items() if not isinstance(value, dict | list)
    ]
    for key in ("pair", "frames"):
        if key in document:
            lines += ["", f"[{key}]", *(f"{name} = {_value(value)}" for name, value in document[key].items())]
    for step in document["do"]:
        lines += ["", "[[do]]", *(f"{name} = {_value(value)}" for name, value in step.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return json.dumps(value)  # texts, numbers, booleans and lists of them are spelt alike in both


def fixed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same without its faults, and without what was expected of them."""
    kept = []
    for step in document["do"]:
        left = {key: value for key, value in step.items() if key != "expect"}
        if not {"fault", "heal"} & set(left) and set(left) - {"say"}:
            kept.append(left)
    return {**document, "do": kept}


def varied(entry: Entry, rng: random.Random) -> dict[str, Any]:
    """One variant of an entry's scenario."""
    document = entry.document()
    pair = dict(document.get("pair", {}))
    size = int(pair.get("queue_size", 256))
    layout = rng.choice(entry.layouts)
    packed = layout == "packed"
    wanted = rng.choice(entry.sizes) if entry.sizes else rng.choice(_SPLIT_SIZES)
    if packed and not entry.sizes:
        wanted = rng.randint(8, 160)
    pair |= {"layout": layout, "queue_size": wanted}
    if entry.index:
        pair["start_index"] = rng.randrange(wanted) if packed else rng.choice(_indices(rng, wanted))
        pair["start_wrap"] = rng.randint(0, 1) if packed else 1
    if entry.paths:
        pair["path"] = rng.choice(entry.paths)
    ratio = wanted / size if entry.scales else 1.0
    steps: list[Step] = []
    pairs = int(pair.get("queue_pairs", 1))
    for step in document["do"]:
        step = {key: value for key, value in step.items() if key != "expect"}
        if "value" in step and entry.scales and step.get("area") != "driver_event":
            less = int(step["fault"] == "mask_store")  # the mask of a size is one less than it
            step["value"] = round((step["value"] + less) * ratio) - less
        if "fault" in step and not entry.start and not any("fault" in one for one in steps):
            steps += _healthy(rng, pairs, "ctl" in str(step.get("queue", "")))
        if "send" in step:
            steps += _sent(step, entry, rng, ratio)
        elif set(step) - {"say"}:
            steps.append(step)
    return {"title": f"{entry.id}, varied", "about": document.get("about", ""), "pair": pair, "do": steps}


def _indices(rng: random.Random, size: int) -> list[int]:
    return [0, size - 1, 65535, 65536 - size, rng.randrange(1 << 16), rng.randrange(1 << 16)]


def _frame(rng: random.Random) -> str:
    return f"{rng.choice(('udp', 'tcp'))} {rng.choice((64, 65, 128, 594, 1514, rng.randint(64, 1514)))}"


def _healthy(rng: random.Random, pairs: int, control: bool) -> list[Step]:
    """Traffic of some kind before the fault: it moves the indices, and says when the fault begins."""
    steps: list[Step] = []
    for _ in range(rng.randint(0, 4)):
        queue = f"{rng.choice('tr')}x{rng.randrange(pairs)}"
        steps.append({"send": [_frame(rng)], "queue": queue, "count": rng.choice((1, 2, 5, 20, 60))})
        if rng.random() < 0.5:
            steps.append({"run": round(rng.uniform(0.005, 0.12), 3)})
        else:
            steps.append({"until": "quiet", "limit": 200000})
    if control and rng.random() < 0.5:
        steps += [{"command": "VLAN_ADD", "data": "07 00"}, {"until": "quiet"}]
    if steps:
        steps.append({"until": "quiet", "limit": 200000})
    return steps


def _sent(step: Step, entry: Entry, rng: random.Random, ratio: float) -> list[Step]:
    """A step that sends, with other frames; all at once, or some at a time at some rate."""
    count = max(round(int(step.get("count", 1)) * ratio), 1)
    frames = step["send"] if isinstance(step["send"], list) else [step["send"]]
    short = [_frame(rng) if one.split()[0] in ("udp", "tcp") else one for one in frames]
    if not entry.scales and not entry.exact and count > 1:
        count = min(round(count * rng.uniform(1, 4)), _FRAMES_MAX)
    if entry.last or count < 4 or rng.random() < 0.4:
        return [{**step, "send": short, "count": count}]
    parts = rng.randint(2, 5)
    steps: list[Step] = []
    for _ in range(parts):
        steps += [
            {**step, "send": short, "count": max(count // parts, 1)},
            {"run": round(rng.uniform(0.01, 0.1), 3)},
        ]
    return [*steps, {**step, "send": short, "count": max(count - parts * (count // parts), 1)}]

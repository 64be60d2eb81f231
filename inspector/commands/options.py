"""The options that several commands share, and the types of their values: the standard library alone."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from dataplane.features import NAMES, bit_of

if TYPE_CHECKING:
    from dataplane.source import TraceLevel

_SIZE_MAX = 32768
_AnyParser = TypeVar("_AnyParser", bound=argparse.ArgumentParser)


def number(low: float, high: float, what: str, whole: bool = True) -> Callable[[str], float]:
    """The type of a number from `low` to `high`."""

    def convert(text: str) -> float:
        try:
            value: float = int(text, 0) if whole else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no {'whole ' if whole else ''}number") from None
        if math.isnan(value) or not low <= value <= high:
            limit = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
            raise argparse.ArgumentTypeError(f"{text} is no {what}: give a number {limit}")
        return value

    return convert


def features(text: str) -> str:
    """Changes to the default features, such as `+in_order,-mrg_rxbuf`."""
    return _features(text, (1,))


def features_of_any(text: str) -> str:
    """The same where the device may be of another type, whose own features are checked later."""
    return _features(text, tuple(NAMES))


def _features(text: str, device_ids: tuple[int, ...]) -> str:
    for item in text.split(","):
        name = item.strip()
        if not name:
            raise argparse.ArgumentTypeError(f"{text!r} has an empty name; write +in_order,-mrg_rxbuf")
        if name[0] not in "+-":
            raise argparse.ArgumentTypeError(
                f"{name!r} needs a sign: +{name} to add it, -{name} to leave it out"
            )
        wrong = [why for device_id in device_ids if (why := _unknown(name[1:], device_id))]
        if len(wrong) == len(device_ids):
            raise argparse.ArgumentTypeError(wrong[0])
    return text


def _unknown(name: str, device_id: int) -> str:
    """Why a device has no such feature; "" where it has."""
    try:
        bit_of(name, device_id)
    except ValueError as error:
        return str(error)
    return ""


def seconds(text: str) -> float:
    """The type of a length of time."""
    return number(0.001, math.inf, "time in seconds", whole=False)(text)


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(text: str) -> int:
    """The type of an amount of memory: `65536`, `512K`, `64M`, `1.5G`; in bytes, at least 64 K."""
    stem = text.upper().removesuffix("B").removesuffix("I")
    unit = stem[-1:] if stem[-1:] in "KMGT" else ""
    try:
        amount = float(stem.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 64M or 2G") from None
    if not 65536 <= amount <= 1 << 40:
        raise argparse.ArgumentTypeError(f"{text} is no size that fits: give 64K to 1T")
    return int(amount)


def fault_option(parser: argparse._ActionsContainer, what: str, example: str) -> None:
    """Adds `--fault`."""
    parser.add_argument(
        "--fault",
        metavar="NAME[:KEY=VALUE,...]",
        dest="faults",
        action="append",
        default=[],
        help=f"{what}, such as {example}; may be given again",
    )


def rate_option(parser: argparse._ActionsContainer) -> None:
    """Adds `--rate`."""
    parser.add_argument(
        "--rate",
        metavar="PPS",
        type=number(0.001, math.inf, "rate", whole=False),
        default=None,
        help="packets a second, instead of the traffic's own pace",
    )


def pair_options(parent: _AnyParser) -> _AnyParser:
    """Adds what the commands share that open a pair: the pair and its traffic."""
    pair = parent.add_argument_group("the pair")
    pair.add_argument(
        "--layout", choices=("split", "packed"), default="split", help="how the rings are laid out"
    )
    pair.add_argument(
        "--queue-size",
        metavar="N",
        type=number(1, _SIZE_MAX, "queue size"),
        default=256,
        help="descriptors per queue: a power of two (split), any number (packed), up to 32768",
    )
    pair.add_argument(
        "--queue-pairs",
        metavar="N",
        type=number(1, _SIZE_MAX, "count of queue pairs"),
        default=1,
        help="receive and transmit queues",
    )
    pair.add_argument(
        "--features",
        metavar="+A,-B",
        type=features,
        default=None,
        help="changes to the features negotiated, such as +in_order,-mrg_rxbuf",
    )
    pair.add_argument(
        "--driver", choices=("auto", "poll", "interrupt"), default="auto", help="how the driver waits"
    )
    pair.add_argument(
        "--device", choices=("auto", "poll", "interrupt"), default="auto", help="how the device waits"
    )
    pair.add_argument(
        "--path",
        choices=("auto", "fixed", "indirect", "chain", "direct"),
        default="auto",
        help="how the driver turns a packet into descriptors",
    )
    pair.add_argument(
        "--start-index",
        metavar="N",
        type=number(0, 65535, "ring index"),
        default=0,
        help="where the ring indices begin; 65530 shows them wrap",
    )
    pair.add_argument(
        "--start-wrap", choices=("0", "1"), default="1", help="wrap counters at the start (packed)"
    )
    pair.add_argument("--mtu", metavar="N", type=number(68, 65521, "MTU"), default=1500, help="of the device")
    pair.add_argument("--frozen", action="store_true", help="begin frozen, to be stepped")
    fault_option(pair, "what one side does wrong", "lose_kick:queue=tx0,after=100")
    traffic = parent.add_argument_group("its traffic")
    traffic.add_argument(
        "--traffic",
        metavar="mix|flood|none|FILE",
        default="mix",
        help="lifelike, as fast as it goes, none, or a pcap or pcapng file",
    )
    rate_option(traffic)
    traffic.add_argument("--driver-if", metavar="IF", help="join the driver to this TAP interface")
    traffic.add_argument("--device-if", metavar="IF", help="join the device to this TAP interface")
    return parent  # fmt: skip


def trace_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--trace`: how much of what happens is written down."""
    parser.add_argument(
        "--trace",
        choices=("off", "operations", "stores"),
        default=None,
        help="what is written down of the rings: nothing, each operation, or each store as well "
        "(stores; under a flood and on a cable operations)",
    )


def trace_level(options: argparse.Namespace) -> TraceLevel:
    """What `--trace` says; without it every store of traffic that has a pace of its own."""
    if options.trace is not None:
        level: TraceLevel = options.trace
        return level
    fast = options.traffic == "flood" or options.driver_if is not None
    return "operations" if fast else "stores"


def contradiction(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options of a pair, in one line."""
    size = options.queue_size
    if options.layout == "split" and size & (size - 1):
        lower = 1 << (size.bit_length() - 1)
        return (
            f"--queue-size: a split queue has a power of two of descriptors, not {size}: "
            f"take {lower} or {lower * 2}, or --layout packed"
        )
    if (options.driver_if is None) != (options.device_if is None):
        missing = "--device-if" if options.device_if is None else "--driver-if"
        return f"a cable has two ends: {missing} is missing"
    if options.driver_if is not None and options.traffic != "mix":
        return "--traffic and the two interfaces exclude each other: the traffic comes from the interfaces"
    if options.driver_if is not None and options.rate is not None:
        return "--rate is for traffic of our own: what the interfaces carry goes at their pace"
    if options.rate is not None and options.traffic == "none":
        return "--rate needs traffic: leave out --traffic none"
    return None

"""The command line. Parsing loads nothing but the standard library, so that `--help` is immediate.

Every mistake is answered with one line, `ringscope: what is wrong and what to do`, and exit code 2.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from dataplane.features import bit_of
from inspector import __version__
from inspector.sanitise import clean

OK, FAILED, USAGE, INTERRUPTED, PIPE = 0, 1, 2, 130, 141
COMMANDS = ("run", "snapshot", "watch", "capture")
_SIZE_MAX = 32768

_ABOUT = """\
See inside virtqueues: descriptor tables and both rings of a running virtio-net driver and device,
live, with the packets that cross them. Without a command the screens open on a pair of our own."""

_EXAMPLES = """\
examples:
  ringscope                                  open the screens on lifelike traffic
  ringscope --layout packed --queue-size 64  the same with small packed rings
  ringscope --traffic flood                  as many packets as the machine can move
  ringscope --traffic web.pcap --rate 100    replay a capture, 100 packets a second
  ringscope --features +in_order,-event_idx  negotiate other features
  ringscope snapshot --json | jq .queues[1]  one moment of every ring, as JSON
  ringscope watch --json --seconds 10        one line of JSON a second
  ringscope capture -w - | wireshark -k -i - the packets that cross, into Wireshark

exit codes:
  0 all went well     1 it failed while running     2 it cannot be done as asked
  130 interrupted     141 the reader of our output went away

`ringscope COMMAND --help` lists the options; without a command those of run hold.
In the screens ? explains every key and sign, and q leaves."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        complain(message.removeprefix("argument "))
        raise SystemExit(USAGE)


def complain(message: str) -> None:
    """One line on standard error, whatever the message holds."""
    print(f"ringscope: {clean(' '.join(message.split()))}", file=sys.stderr)


def _number(low: float, high: float, what: str, whole: bool = True) -> Callable[[str], float]:
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


def _features(text: str) -> str:
    """Changes to the default features, such as `+in_order,-mrg_rxbuf`."""
    for item in text.split(","):
        name = item.strip()
        if not name:
            raise argparse.ArgumentTypeError(f"{text!r} has an empty name; write +in_order,-mrg_rxbuf")
        if name[0] not in "+-":
            raise argparse.ArgumentTypeError(
                f"{name!r} needs a sign: +{name} to add it, -{name} to leave it out"
            )
        try:
            bit_of(name[1:])
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _pair_options() -> _Parser:
    """What all commands share: the pair and its traffic."""
    parent = _Parser(add_help=False)
    pair = parent.add_argument_group("the pair")
    pair.add_argument(
        "--layout", choices=("split", "packed"), default="split", help="how the rings are laid out"
    )
    pair.add_argument(
        "--queue-size",
        metavar="N",
        type=_number(1, _SIZE_MAX, "queue size"),
        default=256,
        help="descriptors per queue: a power of two (split), any number (packed), up to 32768",
    )
    pair.add_argument(
        "--queue-pairs",
        metavar="N",
        type=_number(1, _SIZE_MAX, "count of queue pairs"),
        default=1,
        help="receive and transmit queues",
    )
    pair.add_argument(
        "--features",
        metavar="+A,-B",
        type=_features,
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
        type=_number(0, 65535, "ring index"),
        default=0,
        help="where the ring indices begin; 65530 shows them wrap",
    )
    pair.add_argument(
        "--start-wrap", choices=("0", "1"), default="1", help="wrap counters at the start (packed)"
    )
    pair.add_argument(
        "--mtu", metavar="N", type=_number(68, 65521, "MTU"), default=1500, help="of the device"
    )
    pair.add_argument("--frozen", action="store_true", help="begin frozen, to be stepped")
    traffic = parent.add_argument_group("its traffic")
    traffic.add_argument(
        "--traffic",
        metavar="mix|flood|none|FILE",
        default="mix",
        help="lifelike, as fast as it goes, none, or a pcap or pcapng file",
    )
    traffic.add_argument(
        "--rate",
        metavar="PPS",
        type=_number(0.001, math.inf, "rate", whole=False),
        default=None,
        help="packets a second, instead of the traffic's own pace",
    )
    traffic.add_argument("--driver-if", metavar="IF", help="join the driver to this TAP interface")
    traffic.add_argument("--device-if", metavar="IF", help="join the device to this TAP interface")
    return parent  # fmt: skip


def _seconds(text: str) -> float:
    return _number(0.001, math.inf, "time in seconds", whole=False)(text)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="ringscope",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"ringscope {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command", title="commands")
    shared = _pair_options()

    def add(name: str, help_: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            parents=[shared],
            allow_abbrev=False,
        )

    add("run", "open the screens; the default")
    one = add("snapshot", "print one moment of every ring as JSON")
    one.add_argument("--json", action="store_true", help="as JSON (the only form there is)")
    one.add_argument(
        "--after", metavar="SECONDS", type=_seconds, default=0.5, help="how long the pair runs first"
    )
    many = add("watch", "print one line of JSON for every reading")
    many.add_argument("--json", action="store_true", help="as JSON (the only form there is)")
    many.add_argument("--every", metavar="S", type=_seconds, default=1.0, help="seconds between two lines")
    many.add_argument(
        "--seconds", metavar="S", type=_seconds, default=None, help="how long; without it until ctrl+c"
    )
    file = add("capture", "write the packets that cross the rings to a pcapng file")
    file.add_argument(
        "-w", "--write", metavar="FILE", required=True, help="a new file, or - for standard output"
    )
    file.add_argument(
        "--seconds", metavar="S", type=_seconds, default=None, help="how long; without it until ctrl+c"
    )
    file.add_argument(
        "--count",
        metavar="N",
        type=_number(1, math.inf, "count"),
        default=None,
        help="end after this many packets",
    )
    return top


def has_terminal() -> bool:
    """Whether the screens can be shown: they are drawn on standard error."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def _arguments(given: Sequence[str]) -> list[str]:
    """`run` where no command is named; a value that begins with a minus sign stays with its option."""
    args = list(given)
    if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help", "--version")):
        args.insert(0, "run")
    elif not args[0].startswith("-") and args[0] not in COMMANDS:
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        complain(f"no command is called {args[0]!r}; {hint}")
        raise SystemExit(USAGE)
    for at in range(len(args) - 1, 0, -1):
        if args[at - 1] == "--features" and args[at].startswith("-") and not args[at].startswith("--"):
            args[at - 1 : at + 1] = [f"--features={args[at]}"]
    return args


def _check(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options, in one line."""
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
    if options.command == "run" and not has_terminal():
        return "the screens need a terminal for input and output; without one: ringscope snapshot --json"
    if options.command in ("snapshot", "watch") and not options.json:
        return f"{options.command} prints JSON: say ringscope {options.command} --json"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """The command `ringscope`; its exit code."""
    try:
        options = parser().parse_args(_arguments(sys.argv[1:] if argv is None else argv))
        problem = _check(options)
        if problem is not None:
            complain(problem)
            return USAGE
        gc.disable()  # nothing that is loaded now is garbage, and looking for it delays the first picture
        from inspector.commands import perform

        return perform(options)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except BrokenPipeError:
        # Whatever is still buffered has nobody to go to; without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except KeyboardInterrupt:
        return INTERRUPTED

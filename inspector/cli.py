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
from collections.abc import Sequence
from typing import Any, NoReturn

from inspector import __version__
from inspector.commands import capturing, driver_options, peers, recordings
from inspector.commands.options import contradiction, number, pair_options, seconds, size, trace_options
from inspector.sanitise import clean

OK, FAILED, USAGE, INTERRUPTED, PIPE = 0, 1, 2, 130, 141
NO_TERMINAL = "the screens need a terminal for input and output; without one:"
PAIR_COMMANDS = (
    "run",
    "snapshot",
    "watch",
    "check",
    "report",
    "capture",
    "record",
)  #: those that open a pair
COMMANDS = (
    *PAIR_COMMANDS,
    "device",
    "driver",
    "tap",
    "peers",
    "open",
    "play",
    "learn",
    "explain",
    "dissect",
    "extcap",
)
_BEFORE_A_MINUS = ("--features", "--at", "--from", "--to")  #: whose values may begin with a minus sign

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
  ringscope check --seconds 10               does a queue stand still, and why?
  ringscope report bug.txt                   the same, and all that a bug report needs
  ringscope explain KICK_MISSING             what that means, and what to do about it
  ringscope capture -w - | wireshark -k -i - the packets that cross, into Wireshark
  ringscope capture -w a.pcapng --until 'latency > 1ms' --before 5s --after 5s
                                             wait for a slow packet, keep the moments around it
  ringscope dissect a.pcapng -Y 'latency > 100us' --tree
                                             packets of a file, those that were slow in the ring
  ringscope extcap --install                 our pairs among the interfaces of Wireshark
  ringscope run --record a.ring              the screens, and all that happens into a file
  ringscope open a.ring                      the screens on that file, on any machine
  ringscope play a.toml                      a scenario: a pair that is scripted
  ringscope device --listen /tmp/ring.sock   be the device of a QEMU guest or of DPDK, and look
  ringscope tap --listen /tmp/a --connect /tmp/b
                                             stand between a QEMU guest and its back-end, and look
  ringscope peers                            what can be attached to here, and how
  ringscope learn                            what a virtqueue is, from the beginning

exit codes:
  0 all went well     1 it failed while running     2 it cannot be done as asked
  130 interrupted     141 the reader of our output went away

`ringscope COMMAND --help` lists the options; without a command those of run hold.
In the screens ? explains every key and sign, and q leaves."""

_DISSECT = """\
Show the packets of a pcap or pcapng file, one line each like tshark, without a screen. Files written by
ringscope keep what the ring knew of a packet, so queues, latencies and offloads can be shown and filtered."""

_DISSECT_EXAMPLES = """\
examples:
  ringscope dissect a.pcapng -f 'udp port 53'               tcpdump's language
  ringscope dissect a.pcapng -Y 'dns.qry.name contains "x"' Wireshark's, with fields of the ring
  ringscope dissect a.pcapng --fields frame.number,ip.src,latency
  ringscope dissect a.pcapng --json --tree | jq .layers     every field with its bits
  ringscope capture -w - | ringscope dissect -              live

exit codes: 0 all shown, 1 the file is damaged (what comes before the damage is shown), 2 a mistake"""

_EXTCAP = """\
Put ringscope among the capture interfaces of Wireshark and tshark: pairs to start, and the pairs that run
in screens of yours now. Without an option it says whether it is installed, and where."""

_PLAY = """\
Run a scenario: a TOML file that says how a pair is built, what its sides do, step by step, what goes wrong,
and what must come of it."""

_LEARN = """\
Lessons about virtqueues, each with a live pair to step through. Without the name of one the screens begin
where the last visit ended."""

_EXPLAIN = """\
What a code of a stuck queue means: what one sees, what to do next, why it comes to it and where it did,
what looks the same. Without one all codes by family, those too that have to be found by hand. A row of the
spec (SPLIT-DRV-18) is told as well: what it asks for, of whom, and by what it is seen."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        complain(message.removeprefix("argument "))
        raise SystemExit(USAGE)


class _ListFields(argparse.Action):
    """Prints the table of fields and ends, as --version does."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from inspector.commands.filters import field_table

        print("\n".join(field_table()), flush=True)
        raise SystemExit(OK)


def complain(message: str) -> None:
    """One line on standard error, whatever the message holds."""
    print(f"ringscope: {clean(' '.join(message.split()))}", file=sys.stderr)


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
    shared = pair_options(_Parser(add_help=False))

    def add(name: str, help_: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            parents=[shared],
            allow_abbrev=False,
        )

    _add_run(add("run", "open the screens; the default"))
    one = add("snapshot", "print one moment of every ring as JSON")
    one.add_argument("--json", action="store_true", help="as JSON (the only form there is)")
    one.add_argument(
        "--after", metavar="SECONDS", type=seconds, default=0.5, help="how long the pair runs first"
    )
    many = add("watch", "print one line of JSON for every reading")
    many.add_argument("--json", action="store_true", help="as JSON (the only form there is)")
    many.add_argument("--every", metavar="S", type=seconds, default=1.0, help="seconds between two lines")
    many.add_argument(
        "--seconds", metavar="S", type=seconds, default=None, help="how long; without it until ctrl+c"
    )
    watched = add("check", "watch the rings and say what is wrong with them")
    watched.add_argument("--json", action="store_true", help="what was found, as one JSON object")
    _add_examined(watched)
    told = add("report", "watch the rings and write one file to attach to a bug: what, where, since when")
    told.add_argument("file", metavar="FILE", help="where it goes, as a whole or not at all; - to print it")
    told.add_argument("--json", action="store_true", help="as JSON, as for a name that ends in .json")
    told.add_argument(
        "--payloads", action="store_true", help="with the last packets in it: they are left out otherwise"
    )
    _add_examined(told)
    file = add("capture", "write the packets that cross the rings to files or a pipe")
    capturing.add_options(file)
    recordings.add_record_options(add("record", "write all that happens in the rings to a file"))

    def add_plain(name: str, help_: str, about: str, epilog: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help_,
            description=about,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    recordings.add_open_options(
        add_plain("open", "look into a recording", recordings.OPEN, recordings.OPEN_EXAMPLES)
    )
    peers.add_device_options(
        add_plain("device", "be the device for QEMU or DPDK", peers.DEVICE, peers.DEVICE_EXAMPLES)
    )
    driver_options.add_driver_options(
        add_plain(
            "driver",
            "be the driver for DPDK's vhost, or of a disk",
            driver_options.DRIVER,
            driver_options.DRIVER_EXAMPLES,
        )
    )
    peers.add_tap_options(
        add_plain("tap", "look on between QEMU or DPDK and its back-end", peers.TAP, peers.TAP_EXAMPLES)
    )
    meeting = add_plain("peers", "what can be attached to here", peers.PEERS)
    meeting.add_argument("--all", action="store_true", help="every socket, whosever it is")
    meeting.add_argument("--json", action="store_true", help="the same as one JSON object")
    _add_play(add_plain("play", "run a scenario", _PLAY))
    _add_learn(add_plain("learn", "lessons about virtqueues", _LEARN))
    explained = add_plain("explain", "what a code means, and what to do", _EXPLAIN)
    explained.add_argument("code", metavar="CODE", nargs="?", default=None, help="such as KICK_MISSING")
    explained.add_argument("--json", action="store_true", help="the same as one JSON object")
    explained.add_argument(
        "--conformance", action="store_true", help="how many rows of the spec are checked, by family"
    )
    _add_dissect(add_plain("dissect", "show the packets of a capture file", _DISSECT, _DISSECT_EXAMPLES))
    _add_extcap(add_plain("extcap", "our pairs as interfaces of Wireshark", _EXTCAP))
    return top


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("-f", "--filter", metavar="BPF", help="keep only packets that match, as tcpdump would")
    run.add_argument(
        "--budget",
        "--keep",
        dest="budget",
        metavar="SIZE",
        type=size,
        default=256 << 20,
        help="memory for the packets that are kept, such as 512M or 2G (256M)",
    )
    run.add_argument(
        "--record", metavar="FILE", default=None, help="write all that happens to a file, for ringscope open"
    )
    run.add_argument(
        "--history",
        metavar="SIZE",
        type=size,
        default=64 << 20,
        help="memory for the past that the screens go back to (64M)",
    )
    run.add_argument(
        "--break",
        metavar="RULE",
        dest="breaks",
        action="append",
        default=[],
        help="stop the pair there, as B in the screens would say it; may be given again",
    )
    trace_options(run)


def _add_play(play: argparse.ArgumentParser) -> None:
    play.add_argument("file", metavar="FILE", help="the scenario, a TOML file")
    how = play.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="without screens: does all come as it expects?")
    how.add_argument("--json", action="store_true", help="without screens: what came of each step, as JSON")


def _add_learn(learn: argparse.ArgumentParser) -> None:
    learn.add_argument("lesson", metavar="LESSON", nargs="?", default=None, help="its number or name")
    learn.add_argument("--list", action="store_true", help="print the lessons, and which are done")
    learn.add_argument("--reset", action="store_true", help="forget what is done, of this lesson or of all")
    learn.add_argument("--file", metavar="FILE", default=None, help="judge this half of a ring, no screens")
    learn.add_argument(
        "--half",
        choices=("split-driver", "split-device", "packed-driver", "packed-device"),
        default=None,
        help="of --file: which half it is, where the lesson does not say so",
    )


def _add_dissect(dissect: argparse.ArgumentParser) -> None:
    dissect.add_argument("file", metavar="FILE", help="pcap or pcapng, or - for standard input")
    dissect.add_argument("-f", "--filter", metavar="BPF", help="only packets that match, as tcpdump would")
    dissect.add_argument(
        "-Y", "--display-filter", metavar="FILTER", help="only packets that match, as Wireshark would"
    )
    dissect.add_argument(
        "-n",
        "-c",
        "--count",
        metavar="N",
        type=number(1, math.inf, "count"),
        default=None,
        help="end after this many packets were shown",
    )
    dissect.add_argument("-V", "--tree", action="store_true", help="every layer and field (scapy's)")
    dissect.add_argument(
        "--list-fields", action=_ListFields, help="the names for -Y and --fields, and what they hold"
    )
    shape = dissect.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object a line")
    shape.add_argument(
        "--fields", metavar="A,B,C", help="these fields instead of the line, separated by tabs"
    )


def _add_extcap(extcap: argparse.ArgumentParser) -> None:
    what = extcap.add_mutually_exclusive_group()
    what.add_argument("--install", action="store_true", help="write the executable that Wireshark runs")
    what.add_argument("--uninstall", action="store_true", help="take it away again")
    where = extcap.add_mutually_exclusive_group()
    where.add_argument("--personal", action="store_true", help="for this user (the default)")
    where.add_argument("--dir", metavar="DIR", help="into this folder, such as that of the whole system")


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
        if not near and os.path.isfile(args[0]):
            hint = f"to look into a file: ringscope {_opener(args[0])} {args[0]}"
        complain(f"no command is called {args[0]!r}; {hint}")
        raise SystemExit(USAGE)
    for at in range(len(args) - 1, 0, -1):
        if args[at - 1] in _BEFORE_A_MINUS and args[at].startswith("-") and not args[at].startswith("--"):
            args[at - 1 : at + 1] = [f"{args[at - 1]}={args[at]}"]
    return args


def _opener(name: str) -> str:
    """The command that looks into a file of this name."""
    return {".ring": "open", ".toml": "play"}.get(os.path.splitext(name)[1].lower(), "dissect")


def _check(options: argparse.Namespace) -> str | None:
    """What contradicts itself among the options, in one line."""
    if options.command == "extcap":
        if (options.personal or options.dir) and not (options.install or options.uninstall):
            return "extcap: say --install or --uninstall with the folder"
        return None
    if options.command == "peers":
        return None
    if options.command == "explain":
        both = options.conformance and options.code is not None
        return "explain one code, or count the rows with --conformance" if both else None
    if options.command == "dissect":
        if options.tree and options.fields is not None:
            return "--fields and --tree exclude each other: choose the fields, or have them all"
        return None
    if options.command in ("device", "driver", "tap"):
        screens = not options.json and not has_terminal() and not getattr(options, "end", None)
        told = {"device": peers.device_contradiction, "driver": driver_options.driver_contradiction}
        problem = told.get(options.command, peers.tap_contradiction)(options)
        return problem or (f"{NO_TERMINAL} --json" if screens else None)
    if options.command in ("open", "play", "learn"):
        return _check_opened(options)
    problem = contradiction(options)
    if problem is None and options.command == "capture":
        problem = capturing.contradiction(options)
    if problem is None and options.command in ("run", "record"):
        problem = recordings.record_contradiction(options)
    if problem is not None:
        return problem
    if options.command == "run" and not has_terminal():
        return f"{NO_TERMINAL} ringscope snapshot --json"
    if options.command in ("snapshot", "watch") and not options.json:
        return f"{options.command} prints JSON: say ringscope {options.command} --json"
    return None


def _check_opened(options: argparse.Namespace) -> str | None:
    """The same for the commands that open a file or a lesson in the screens.

    They look for a terminal themselves, once they know what is to be shown.
    """
    if options.command == "learn":
        return (
            "--half is for --file: name the file that holds it" if options.half and not options.file else None
        )
    return recordings.open_contradiction(options) if options.command == "open" else None


def _add_examined(command: argparse.ArgumentParser) -> None:
    """What the commands share that look for something wrong."""
    command.add_argument("--seconds", metavar="S", type=seconds, default=5.0, help="how long (5)")
    command.add_argument(
        "--trace",
        choices=("operations", "stores"),
        default="operations",
        help="stores: each is held against the spec as well, row by row (ringscope explain --conformance)",
    )
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--scenario", metavar="FILE", help="play this, and watch it for as long afterwards")
    instead.add_argument("--recording", metavar="FILE", help="look through this instead of at a pair")


def _hold_streams() -> bool:
    """Keep a file that is opened from becoming standard input, output or error; whether there is output."""
    output = sys.stdout is not None
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stderr is None:  # print() would take standard output then, in the middle of a capture
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for as long as the program lives
    if not output:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    return output


def _prints(options: argparse.Namespace) -> bool:
    """Whether a command is of no use without standard output."""
    if options.command == "open":
        return recordings.prints(options)
    if options.command == "play":
        return bool(options.json)
    return (
        options.command in ("snapshot", "watch", "dissect", "explain", "peers")
        or (options.command == "report" and options.file == "-")
        or getattr(options, "write", None) == "-"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command `ringscope`; its exit code."""
    output = _hold_streams()
    try:
        options = parser().parse_args(_arguments(sys.argv[1:] if argv is None else argv))
        problem = _check(options)
        if problem is not None:
            complain(problem)
            return USAGE
        if not output and _prints(options):
            complain(f"{options.command}: standard output is closed, so there is nowhere to write")
            return FAILED
        gc.disable()  # nothing that is loaded now is garbage, and looking for it delays the first picture
        from inspector.commands.perform import perform

        return perform(options)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except BrokenPipeError:
        # Whatever is still buffered has nobody to go to; without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except KeyboardInterrupt:
        return INTERRUPTED

"""The executable that Wireshark and tshark ask for interfaces, and run to capture from one.

    --extcap-interfaces                            pairs to start, and the sessions that run now
    --extcap-dlts --extcap-interface I             link types of an interface
    --extcap-config --extcap-interface I           its options
    --extcap-capture-filter BPF --extcap-interface I      nothing if the filter is sound, else why not
    --capture --extcap-interface I --fifo F ...    pcapng into F until its reader goes away

Every program of Wireshark runs the first at its start, so nothing but the standard library is loaded until a
capture begins.
"""

from __future__ import annotations

import argparse
import io
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, suppress

from inspector import __version__
from inspector.sanitise import clean
from inspector.wireshark.offers import Offer, ask, running

PREFIX = "ringscope-"
_LAYOUTS = ("split", "packed")
_CHUNK = 1 << 16

_OPTIONS = """\
arg {number=0}{call=--traffic}{display=Traffic}{type=selector}{tooltip=what crosses the rings}
value {arg=0}{value=mix}{display=lifelike}{default=true}
value {arg=0}{value=flood}{display=as fast as it goes}{default=false}
value {arg=0}{value=none}{display=none}{default=false}
arg {number=1}{call=--replay}{display=Or a capture to replay}{type=fileselect}{mustexist=true}
arg {number=2}{call=--rate}{display=Packets a second}{type=string}{tooltip=empty: the traffic's own pace}
arg {number=3}{call=--queue-size}{display=Descriptors per queue}{type=integer}{range=1,32768}{default=256}
arg {number=4}{call=--queue-pairs}{display=Queue pairs}{type=integer}{range=1,16}{default=1}
arg {number=5}{call=--features}{display=Features}{type=string}{tooltip=changes, such as +in_order,-mrg_rxbuf}
arg {number=6}{call=--ways}{display=Direction}{type=selector}{tooltip=which packets are captured}
value {arg=6}{value=both}{display=both}{default=true}
value {arg=6}{value=to_device}{display=transmitted, to the device}{default=false}
value {arg=6}{value=to_driver}{display=received, to the driver}{default=false}
arg {number=7}{call=--only}{display=Only packets where}{type=string}{tooltip=such as latency > 100us}"""

_SESSION_OPTIONS = """\
arg {number=0}{call=--kept}{display=Begin with the packets kept already}{type=boolflag}{default=false}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Answer one call; its exit code. What is wrong goes to standard error, where Wireshark shows it."""
    options, _ = _parser().parse_known_args(argv)
    try:
        if options.capture:
            return _capture(options)
        if options.filter is not None:
            print(_wrong(options.filter), end="")
        elif options.dlts:
            print("dlt {number=1}{name=EN10MB}{display=Ethernet}")
        elif options.config:
            print(_OPTIONS if _layout(options.interface) else _SESSION_OPTIONS)
        else:
            print("\n".join(_interfaces()))
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        return _refuse(f"{clean(options.fifo or 'output')}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringscope extcap", allow_abbrev=False)
    for name in ("interfaces", "dlts", "config"):
        parser.add_argument(f"--extcap-{name}", dest=name, action="store_true")
    parser.add_argument("--extcap-version", nargs="?", help="that of the program which asks")
    parser.add_argument("--extcap-interface", dest="interface", default="")
    parser.add_argument("--extcap-capture-filter", dest="filter")
    parser.add_argument("--capture", action="store_true")
    parser.add_argument("--fifo")
    for name in ("traffic", "replay", "rate", "queue-size", "queue-pairs", "features", "ways", "only"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--kept", nargs="?", const="true", default="false")
    return parser


def _interfaces() -> Iterator[str]:
    yield f"extcap {{version={__version__}}}{{display=ringscope}}"
    for offer in running():
        name = f"ringscope session {offer.process}, {_plain(offer.text)}"
        yield f"interface {{value={PREFIX}{offer.process}}}{{display={name}}}"
    for layout in _LAYOUTS:
        yield f"interface {{value={PREFIX}{layout}}}{{display=ringscope, a new pair with {layout} rings}}"


def _plain(text: str) -> str:
    """Foreign text within a sentence whose braces mean something."""
    return clean(text).replace("{", "(").replace("}", ")")


def _layout(interface: str) -> str | None:
    name = interface.removeprefix(PREFIX)
    return name if name in _LAYOUTS else None


def _wrong(text: str) -> str:
    """Why a capture filter cannot be used; empty where it can."""
    from inspector.commands.filters import capture_filter
    from inspector.commands.opening import Refused

    try:
        capture_filter(text or None, "capture filter")
    except Refused as error:
        return f"{clean(str(error))}\n"
    return ""


def _capture(options: argparse.Namespace) -> int:
    if not options.fifo:
        return _refuse("--capture needs --fifo")
    layout = _layout(options.interface)
    if layout is not None:
        return _start(options, layout)
    name = options.interface.removeprefix(PREFIX)
    for offer in running():
        if name == str(offer.process):
            return _join(options, offer)
    return _refuse(f"no session {clean(name)!r} runs any more; choose another interface")


def _refuse(why: str) -> int:
    print(f"ringscope: {why}", file=sys.stderr)
    return 1


def _start(options: argparse.Namespace, layout: str) -> int:
    """Capture from a pair of our own, as `ringscope capture` does."""
    from inspector.cli import INTERRUPTED, OK, PIPE
    from inspector.cli import main as ringscope

    _end_with_the_reader(options.fifo)
    words = ["capture", "-w", options.fifo, "--layout", layout]
    for name in ("rate", "queue_size", "queue_pairs", "features"):
        value = getattr(options, name)
        if value:
            words.append(f"--{name.replace('_', '-')}={value}")
    if options.replay or options.traffic:
        words.append(f"--traffic={options.replay or options.traffic}")
    if options.filter:
        words.append(f"--filter={options.filter}")
    only = [options.only] if options.only else []
    if options.ways in ("to_device", "to_driver"):
        only.insert(0, f"direction == {options.ways}")
    if only:
        words.append("--display-filter=" + " and ".join(f"({part})" for part in only))
    # Wireshark shows whatever comes on standard error as a mistake: only mistakes may go there.
    with redirect_stderr(io.StringIO()) as told:
        done = ringscope(words)
    if done in (OK, PIPE, INTERRUPTED):
        return 0
    print(told.getvalue(), end="", file=sys.stderr)
    return done


def _end_with_the_reader(fifo: str) -> None:
    """End this process as SIGTERM does once nobody reads the fifo, even where nothing is to be written."""
    held = os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)

    def watch() -> None:
        poll = select.poll()
        poll.register(held, 0)  # errors alone: the last reader has gone
        poll.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="extcap reader", daemon=True).start()


def _join(options: argparse.Namespace, offer: Offer) -> int:
    """Relay what a running session offers; a signal ends the file whole."""
    request = {"do": "capture", "filter": options.filter or "", "kept": options.kept.lower() != "false"}
    fifo = os.open(options.fifo, os.O_WRONLY | os.O_CLOEXEC)
    try:
        with ask(offer.path, request) as (connection, answer):
            if "error" in answer:
                return _refuse(clean(str(answer["error"])))

            def end(*_: object) -> None:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)

            signal.signal(signal.SIGTERM, end)
            signal.signal(signal.SIGINT, end)
            _relay(connection, fifo)
    except (OSError, ValueError) as error:
        return _refuse(f"session {offer.process}: {clean(str(error))}")
    finally:
        os.close(fifo)
    return 0


def _relay(connection: socket.socket, fifo: int) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(fifo, 0)
    while True:
        events = dict(poll.poll())
        if fifo in events:
            return
        piece = connection.recv(_CHUNK)
        if not piece:
            return
        with memoryview(piece) as view:
            done = 0
            while done < len(view):
                try:
                    done += os.write(fifo, view[done:])
                except BrokenPipeError:
                    return


if __name__ == "__main__":
    sys.exit(main())

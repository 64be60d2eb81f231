"""The process that dissects: scapy, far from the terminal and from the rings, under tight limits.

    python -c "from capture.dissection.worker import main; main()" FD

One JSON line each way over the socket FD. Whatever a frame does to a parser, only this process suffers.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
from collections.abc import Sequence

MEMORY = 512 << 20
CPU_SECONDS = 1  #: for one frame, above what was used before


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the other end closes. The one argument is the socket's file descriptor."""
    arguments = sys.argv[1:] if argv is None else argv
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 16)
    with socket.socket(fileno=int(arguments[0])) as peer, peer.makefile("rwb") as stream:
        load()
        from capture.dissection.fieldmap import dissect
        from capture.fields import to_json

        stream.write(b"{}\n")
        stream.flush()
        for line in stream:
            request = json.loads(line)
            _allow_cpu()
            try:
                layers = dissect(bytes.fromhex(request["data"]), bytes.fromhex(request["net_header"]))
                answer: dict[str, object] = {"layers": [to_json(layer) for layer in layers]}
            except Exception as why:  # told to the reader beside the plain headers
                answer = {"error": f"{type(why).__name__}: {why}"}
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()
    return 0


def load() -> None:
    """Import scapy's layers, and only those; no routes are read and no interface is asked."""
    import logging

    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    from scapy.config import conf

    conf.route_autoload = False
    conf.route6_autoload = False
    conf.debug_dissector = False
    import scapy.contrib.geneve
    import scapy.contrib.lacp
    import scapy.contrib.lldp
    import scapy.contrib.mpls
    import scapy.layers.dhcp
    import scapy.layers.dhcp6
    import scapy.layers.dns
    import scapy.layers.hsrp
    import scapy.layers.igmp
    import scapy.layers.inet
    import scapy.layers.inet6
    import scapy.layers.l2
    import scapy.layers.llmnr
    import scapy.layers.ntp
    import scapy.layers.ppp
    import scapy.layers.sctp
    import scapy.layers.vrrp
    import scapy.layers.vxlan  # noqa: F401


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (wanted, wanted))


def _allow_cpu() -> None:
    """Raise the limit on CPU time, which counts from the start of the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = int(usage.ru_utime + usage.ru_stime) + 1 + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))

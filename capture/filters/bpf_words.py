"""The words of a capture filter: which of them are names, and which of them is wrong.

libpcap looks names of hosts and networks up with the system's resolver, and tells an error without its place.
So the text is read here first: a name that is not an address is refused, and where libpcap refuses the text,
the first word is found after which no continuation is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import NamedTuple

from capture.errors import FilterError

_DIRECTIONS = "src dst ra ta addr1 addr2 addr3 addr4 address1 address2 address3 address4 inbound outbound"
_PROTOCOLS = (
    "ether link ppp slip fddi tr wlan ip ip6 arp rarp sctp tcp udp icmp icmp6 igmp igrp pim vrrp carp radio "
    "ah esp atalk aarp decnet lat sca moprc mopdl iso esis es-is isis is-is l1 l2 iih lsp snp csnp psnp clnp "
    "stp ipx netbeui vlan mpls pppoed pppoes geneve vxlan llc lane metac bcc oam oamf4 oamf4ec oamf4sc oamf4 "
    "sc ilmic connectmsg metaconnect fisu lsssu lssu msu hfisu hlssu hmsu"
)
_PLACES = (
    "icmptype icmpcode icmp6type icmp6code tcpflags "
    "tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr "
    "icmp-echoreply icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-routeradvert "
    "icmp-routersolicit icmp-timxceed icmp-paramprob icmp-tstamp icmp-tstampreply icmp-ireq icmp-ireqreply "
    "icmp-maskreq icmp-maskreply icmp6-destinationunreach icmp6-packettoobig icmp6-timeexceeded "
    "icmp6-parameterproblem icmp6-echo icmp6-echoreply icmp6-multicastlistenerquery "
    "icmp6-multicastlistenerreportv1 icmp6-multicastlistenerdone icmp6-routersolicit icmp6-routeradvert "
    "icmp6-neighborsolicit icmp6-neighboradvert icmp6-redirect icmp6-routerrenum icmp6-nodeinformationquery "
    "icmp6-nodeinformationresponse icmp6-ineighbordiscoverysolicit icmp6-ineighbordiscoveryadvert "
    "icmp6-multicastlistenerreportv2 icmp6-homeagentdiscoveryrequest icmp6-homeagentdiscoveryreply "
    "icmp6-mobileprefixsolicit icmp6-mobileprefixadvert icmp6-certpathsolicit icmp6-certpathadvert "
    "icmp6-multicastrouteradvert icmp6-multicastroutersolicit icmp6-multicastroutertermination"
)
_REST = (
    "host net mask port portrange proto protochain gateway type subtype dir direction less greater byte "
    "broadcast multicast and or not len length ifindex vpi vci sio opc dpc sls hsio hopc hdpc hsls on ifname "
    "rset rnr rulenum srnr ruleset reason action"
)
_COMMON = (
    "src dst host net mask port portrange proto gateway and or not less greater len broadcast multicast "
    f"ether ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp vlan mpls pppoes geneve {_PLACES}"
).split()
_SIGNS = frozenset(("&&", "||", "<<", ">>", "<=", ">=", "==", "!=", *"()[]!&|<>=+-*/%^:"))
#: Every word that the language itself has (pcap-filter(7)).
WORDS = frozenset(" ".join((_DIRECTIONS, _PROTOCOLS, _PLACES, _REST)).split())
_QUALIFIERS = frozenset(f"{_DIRECTIONS} {_PROTOCOLS} host net mask gateway".split())
_BY_NUMBER = frozenset(("port", "portrange", "proto", "protochain", "type", "subtype", "dir", "direction"))

_HEX = "[0-9a-fA-F]"
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+)
    | (?P<address>{_HEX}{{1,2}}(?:[:.-]{_HEX}{{1,2}}){{5}}(?![\w:.-])
        | {_HEX}{{4}}(?:\.{_HEX}{{4}}){{2}}(?![\w.-])
        | {_HEX}{{12}}(?![\w.-]) | {_HEX}*:{_HEX}*:[{_HEX[1:-1]}:.]* | 0[xX]{_HEX}+(?![\w.-])
        | [0-9][-0-9.]*(?![\w.-]) | \$[0-9a-fA-F]+)
    | (?P<word>\\[^ !()\t\r\n]+ | [A-Za-z0-9][-_.A-Za-z0-9]*)
    | (?P<sign>&&|\|\||<<|>>|[<>=!]=|.)""",
    re.VERBOSE,
)
#: What can follow a beginning that is right so far: tried until libpcap takes one.
_ENDINGS = (
    "", " 1", " 1.2.3.4", " ::1", " 1:2:3:4:5:6", " host 1.2.3.4", " host ::1", " host 1:2:3:4:5:6",
    " port 1", " proto 1", " net 1", " 1-2", " tcp", " arp", "[0] = 1", " = 1", "] = 1", " 1] = 1", ":1] = 1",
    " 1 = 1", " 32", " 128", " 1.2.3.0 mask 255.255.255.0", " 255.255.255.255", " \\tcp",
    " dst host 1.2.3.4",
)  # fmt: skip


class Token(NamedTuple):
    """Characters `start` to `stop` - 1: an "address" (or a number), a "word" or a "sign"."""

    kind: str
    text: str
    start: int
    stop: int


def tokens(text: str) -> list[Token]:
    """The text taken apart; FilterError for a character that no filter has, and for open brackets."""
    found, opened = [], []
    for match in _TOKEN.finditer(text):
        kind, (start, stop) = match.lastgroup or "sign", match.span()
        if kind == "space":
            continue
        if kind == "sign" and match[0] not in _SIGNS:
            shown = match[0] if match[0].isprintable() else f"U+{ord(match[0]):04X}"
            raise FilterError(f"{shown} cannot stand in a capture filter", start, stop)
        found.append(Token(kind, match[0], start, stop))
        if match[0] in ("(", "["):
            opened.append(found[-1])
        elif match[0] in (")", "]"):
            if not opened or opened[-1].text != "(["[match[0] == "]"]:
                raise FilterError(f"this {match[0]} closes nothing", start, stop)
            opened.pop()
    if opened:
        last = opened[-1]
        raise FilterError(f"this {last.text} is never closed", last.start, last.stop, ended=True)
    return found


def refuse_names(found: list[Token]) -> None:
    """FilterError for the first word that libpcap would look up as the name of a host or a network.

    Names of services and protocols (`port domain`, `ip proto ospf`) stand in files of this machine and pass.
    A word without qualifiers of its own has those of the primitive before it, as in `port ftp or ftp-data`.
    """
    by_number = fresh = False
    for token in found:
        word = token.text
        if token.kind == "sign":
            fresh = fresh or word in ("&&", "||", "!", "(")
            continue
        if token.kind == "address" or word in ("and", "or", "not"):
            fresh = True
        elif word in _BY_NUMBER:
            by_number, fresh = True, False
        elif word in _QUALIFIERS:
            by_number, fresh = by_number and not fresh and word != "host", False
            if word in ("host", "net", "gateway", "mask"):
                by_number = False
        elif word not in WORDS:
            if not by_number:
                raise FilterError(_not_a_word(word), token.start, token.stop)
            fresh = True


def _not_a_word(word: str) -> str:
    near = get_close_matches(word.lower(), _COMMON, 1, 0.66)
    if near:
        return f"{word} is neither a word of capture filters nor an address; did you mean {near[0]}?"
    return f"{word} is neither a word of capture filters nor an address; names of hosts are not looked up"


def blame(text: str, message: str, refused: Callable[[str], bool]) -> FilterError:
    """What libpcap refused as a whole, with its place. `refused`: whether it refuses a text, unoptimised."""
    found = tokens(text)
    if not found or not refused(text):  # each part is right: they contradict each other
        return FilterError(_plain(message), 0, len(text))
    low, high = 0, len(found)  # the first `low` words can go on somehow, the first `high` cannot
    while high - low > 1:
        middle = (low + high) // 2
        if _can_go_on(text[: found[middle - 1].stop], found[:middle], refused):
            low = middle
        else:
            high = middle
    wrong = found[high - 1]
    if high == len(found) and _can_go_on(text, found, refused):
        return FilterError(f"something is missing after {wrong.text}", wrong.start, len(text), ended=True)
    if "syntax error" in message:
        after = f" after {found[high - 2].text}" if high > 1 else " at the beginning"
        return FilterError(f"{wrong.text} does not fit{after}", wrong.start, wrong.stop)
    for named in re.findall(r"""['"]([^'"]+)['"]""", message):
        for token in reversed(found[:high]):
            if token.text == named:
                return FilterError(_plain(message), token.start, token.stop)
    return FilterError(_plain(message), wrong.start, wrong.stop)


def _plain(message: str) -> str:
    if "rejects all packets" in message:
        return "no frame can ever match this: its parts contradict each other"
    return message


def _can_go_on(beginning: str, found: list[Token], refused: Callable[[str], bool]) -> bool:
    """Whether some continuation makes a filter of it."""
    opened = sum({"(": 1, ")": -1}.get(token.text, 0) for token in found)
    if opened < 0 or opened > 64:
        return opened > 64
    inner = min(opened, 2)
    return any(
        not refused(beginning + ending + ")" * opened)
        or any(
            not refused(f"{beginning}{ending}{')' * k} = 1{')' * (opened - k)}") for k in range(1, inner + 1)
        )
        for ending in _ENDINGS
    )

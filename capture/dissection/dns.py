"""A DNS message (RFC 1035) as fields: each record where it stands, each name with its own bytes.

Read here and not by scapy, whose parser expands every name into objects before it can be asked anything. A
pointer must lead further back than the one before it and a name ends after 128 labels, so no message can
make this loop; sections of more than `RECORDS` records are cut there and say so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from socket import AF_INET6, inet_ntoa, inet_ntop

from capture.fields import Field, printable

RECORDS = 256  #: shown of one message
_TEXT_MAX = 256

TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16:
         "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35:
         "NAPTR", 37: "CERT", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46:
         "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 59: "CDS",
         60: "CDNSKEY", 64: "SVCB", 65: "HTTPS", 99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR",
         252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA"}  # fmt: skip
CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}
RCODES = {0: "no error", 1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented",
          5: "refused", 6: "name exists", 7: "records exist", 8: "no such records", 9: "not authoritative",
          10: "not in the zone"}  # fmt: skip
OPERATIONS = {0: "query", 1: "inverse query", 2: "status", 4: "notify", 5: "update", 6: "stateful"}
_ALIASES = {2: "dns.ns", 5: "dns.cname", 12: "dns.ptr.domain_name", 39: "dns.dname"}


class _Broken(Exception):
    """The message cannot be read on; one line why."""


def read(data: bytes, base: int, kind: str = "DNS") -> Field:
    """The layer made of the whole of `data`, at byte `base` of the frame. `kind`: DNS, mDNS or LLMNR."""
    message = _Message(data, base, kind)
    try:
        message.read()
    except (_Broken, IndexError, struct.error) as why:
        words = str(why) if isinstance(why, _Broken) else "the message ends inside"
        message.note(f"malformed: {words}; read no further")
    made = message.fields
    return Field(kind, printable(message.summary(), _TEXT_MAX), base * 8, len(data) * 8, "layer", tuple(made))


def plausible(data: bytes) -> bool:
    """Whether bytes on any port are a message all the same: one sound question, and nothing broken."""
    if len(data) < 17:
        return False
    flags, questions, *others = struct.unpack_from("!5H", data, 2)
    if questions != 1 or max(others) > 32 or flags & 0x7840 or flags & 15 > 5:
        return False
    try:
        name, at = name_at(data, 12)
    except (_Broken, IndexError):
        return False
    if at + 4 > len(data) or name == "<root>":
        return False
    kind, class_ = struct.unpack_from("!HH", data, at)
    return kind in TYPES and class_ == 1 and not any(
        field.name == "not dissected" for field in read(data, 0).children
    )  # fmt: skip


def name_at(data: bytes, at: int) -> tuple[str, int]:
    """The name at `at` of a message, and where its own bytes end. _Broken, IndexError."""
    labels: list[str] = []
    after, lowest, size = 0, at, 0
    for _ in range(128):
        length = data[at]
        if length == 0:
            return ".".join(labels) or "<root>", after or at + 1
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            if target >= lowest:
                raise _Broken("a name points forward")
            after = after or at + 2
            at = lowest = target
        elif length < 0x40:
            size += 1 + length
            if at + 1 + length > len(data):
                raise _Broken("a name ends outside")
            if size > 254:
                raise _Broken("a name is longer than 255 bytes")
            labels.append(printable(data[at + 1 : at + 1 + length]))
            at += 1 + length
        else:
            raise _Broken(f"a label of type {length >> 6}")
    raise _Broken("a name has more than 128 labels")


class _Message:
    """The fields read so far of one message."""

    def __init__(self, data: bytes, base: int, kind: str) -> None:
        self.data = data
        self.base = base
        self.kind = kind
        self.fields: list[Field] = []
        self.answers: list[str] = []
        self.question = ""
        self.at = 0
        self._shown = 0

    def note(self, text: str) -> None:
        """A last field for what is left."""
        end = (self.base + len(self.data)) * 8
        start = self.fields[-1].bit_start + self.fields[-1].bit_length if self.fields else self.base * 8
        if end > start:
            self.fields.append(Field("not dissected", text, start, end - start))

    def summary(self) -> str:
        if len(self.data) < 4:
            return ""
        response = self.data[2] >> 7
        code = self.data[3] & 15
        failed = f"{RCODES.get(code, f'reply code {code}')} " if response and code else ""
        answers = f": {', '.join(self.answers[:4])}" if self.answers else ""
        return f"{'response' if response else 'query'} {failed}{self.question}{answers}".rstrip()

    def number(
        self, name: str, size: int, filter_: str = "", show: Callable[[int], str] = str, place: int = -1
    ) -> Field:
        """A number of `size` bytes at `place`, or at the cursor, which it moves."""
        at = self.at if place < 0 else place
        if at + size > len(self.data):
            raise _Broken("it ends inside a number")
        if place < 0:
            self.at += size
        text = show(int.from_bytes(self.data[at : at + size]))
        return Field(name, text, (self.base + at) * 8, size * 8, filter=filter_)

    def name(self, words: str, filter_: str) -> Field:
        text, stop = name_at(self.data, self.at)
        start, self.at = self.at, stop
        return Field(words, text, (self.base + start) * 8, (stop - start) * 8, filter=filter_)

    def read(self) -> None:
        put = self.fields.append
        put(self.number("transaction", 2, "dns.id", hex))
        self._flags()
        counts = []
        for words, filter_ in (
            ("questions", "queries"),
            ("answer records", "answers"),
            ("authority records", "auth_rr"),
            ("additional records", "add_rr"),
        ):
            put(self.number(words, 2, f"dns.count.{filter_}"))
            counts.append(int(self.fields[-1].text))
        sections = ("question section", "answer section", "authority section", "additional section")
        for words, count in zip(sections, counts, strict=True):
            self._section(words, count, self._question if words == sections[0] else self._record)

    def _flags(self) -> None:
        (word,) = struct.unpack_from("!H", self.data, 2)
        start = (self.base + 2) * 8
        parts = []

        def part(
            first: int, length: int, name: str, filter_: str, names: dict[int, str] | None = None
        ) -> None:
            value = word >> (16 - first - length) & (1 << length) - 1
            words = (names or {}).get(value, "set" if value else "not set") if length == 1 else str(value)
            if length > 1:
                words = f"{(names or {}).get(value, 'unknown')} ({value})"
            parts.append(Field(name, words, start + first, length, filter=filter_))

        response = word >> 15
        local = self.kind == "LLMNR"
        part(0, 1, "message", "dns.flags.response", {0: "query (0)", 1: "response (1)"})
        part(1, 4, "operation", "dns.flags.opcode", OPERATIONS)
        if local:
            part(5, 1, "conflict", "dns.flags.conflict")
        else:  # of a query these say nothing, and have no filter
            part(5, 1, "authoritative", "dns.flags.authoritative" if response else "")
        part(6, 1, "truncated", "dns.flags.truncated")
        part(7, 1, "tentative" if local else "recursion desired",
             "dns.flags.tentative" if local else "dns.flags.recdesired")  # fmt: skip
        if not local:
            part(8, 1, "recursion available", "dns.flags.recavail" if response else "")
            part(9, 1, "reserved", "dns.flags.z")
            part(10, 1, "authentic data", "dns.flags.authenticated" if response or word & 0x20 else "")
            part(11, 1, "checking disabled", "dns.flags.checkdisable")
        else:
            parts.append(Field("reserved", str(word >> 4 & 15), start + 8, 4))
        part(12, 4, "reply code", "dns.flags.rcode" if response else "", RCODES)
        self.at = 4
        self.fields.append(Field("flags", hex(word), start, 16, "field", tuple(parts), "dns.flags"))

    def _section(self, words: str, count: int, record: Callable[[], Field]) -> None:
        start = self.at
        made: list[Field] = []
        try:
            for _ in range(count):
                if self._shown >= RECORDS:
                    raise _Broken(f"more than {RECORDS} records")
                made.append(record())
                self._shown += 1
        finally:
            if made:
                stop = made[-1].bit_start + made[-1].bit_length
                text = f"{len(made)} record{'s'[: len(made) != 1]}"
                if len(made) < count:
                    text += f" of {count}"
                first = (self.base + start) * 8
                self.fields.append(Field(words, text, first, stop - first, "field", tuple(made)))

    def _question(self) -> Field:
        start = self.at
        name = self.name("name", "dns.qry.name")
        kind = self.number("type", 2, "dns.qry.type", partial(_named, TYPES))
        parts = [name, kind, *self._class("dns.qry.class", "dns.qry.qu", "unicast answer wanted")]
        text = f"{kind.text.split(' ')[0]} {name.text}"
        self.question = self.question or text
        return Field("question", text, (self.base + start) * 8, (self.at - start) * 8, "field", tuple(parts))

    def _class(self, filter_: str, bit_filter: str, bit_words: str) -> list[Field]:
        whole = self.number("class", 2, filter_, partial(_named, CLASSES))
        if self.kind != "mDNS":
            return [whole]
        value = int.from_bytes(self.data[self.at - 2 : self.at])
        top = Field(bit_words, "set" if value >> 15 else "not set", whole.bit_start, 1, filter=bit_filter)
        text = _named(CLASSES, value & 0x7FFF)
        return [top, replace(whole, text=text, bit_start=whole.bit_start + 1, bit_length=15)]

    def _record(self) -> Field:
        start = self.at
        name = self.name("name", "dns.resp.name")
        kind = self.number("type", 2, "dns.resp.type", partial(_named, TYPES))
        code = int.from_bytes(self.data[self.at - 2 : self.at])
        parts = [name, kind]
        if code == 41:
            parts.append(self.number("UDP payload size", 2, "dns.rr.udp_payload_size", _bytes))
            parts.append(self.number("upper bits of the reply code", 1, "dns.resp.ext_rcode"))
            parts.append(self.number("EDNS version", 1, "dns.resp.edns0_version"))
            parts.append(self.number("flags", 2, "dns.resp.z", _edns_flags))
        else:
            parts += self._class("dns.resp.class", "dns.resp.cache_flush", "older records are void")
            parts.append(self.number("time to live", 4, "dns.resp.ttl", _seconds))
        size = self.number("data length", 2, "dns.resp.len", _bytes)
        parts.append(size)
        length = int.from_bytes(self.data[self.at - 2 : self.at])
        stop = self.at + length
        if stop > len(self.data):
            raise _Broken(f"a record of {length} bytes where {len(self.data) - self.at} are left")
        data, text = self._data(code, stop) if length else ([], "")
        parts += data
        self.at = stop
        words = f"{kind.text.split(' ')[0]} {text or name.text}"
        if code != 41:
            self.answers.append(words)
        title = printable(f"{words} of {name.text}" if text else words, _TEXT_MAX)
        return Field("record", title, (self.base + start) * 8, (stop - start) * 8, "field", tuple(parts))

    def _data(self, code: int, stop: int) -> tuple[list[Field], str]:
        """What a record carries, data[at:stop], and its short text."""
        start, raw = self.at, self.data[self.at : stop]
        try:
            made = self._known(code, raw, stop)
        except (_Broken, IndexError):
            made = []
        if not made or self.at != stop:  # not what the type says: shown as it is
            text = printable(raw[:64].hex(" "))
            return [Field("data", text, (self.base + start) * 8, len(raw) * 8)], text
        return made, " ".join(field.text for field in made if not field.name.startswith("padding"))

    def _known(self, code: int, raw: bytes, stop: int) -> list[Field]:
        start = (self.base + self.at) * 8
        if code == 1 and len(raw) == 4:
            self.at = stop
            return [Field("address", inet_ntoa(raw), start, 32, filter="dns.a")]
        if code == 28 and len(raw) == 16:
            self.at = stop
            return [Field("address", inet_ntop(AF_INET6, raw), start, 128, filter="dns.aaaa")]
        if code in _ALIASES:
            return [self.name("name", _ALIASES[code])]
        if code == 15:
            preference = self.number("preference", 2, "dns.mx.preference")
            return [preference, self.name("mail exchange", "dns.mx.mail_exchange")]
        if code == 33:
            made = [self.number(one, 2, f"dns.srv.{one}") for one in ("priority", "weight", "port")]
            return [*made, self.name("target", "dns.srv.target")]
        if code == 6:
            made = [self.name("primary server", "dns.soa.mname"), self.name("mailbox", "dns.soa.rname")]
            made.append(self.number("serial number", 4, "dns.soa.serial_number"))
            for name, filter_ in (
                ("refresh interval", "refresh_interval"),
                ("retry interval", "retry_interval"),
                ("expire limit", "expire_limit"),
                ("minimum time to live", "minimum_ttl"),
            ):
                made.append(self.number(name, 4, f"dns.soa.{filter_}", _seconds))
            return made
        if code in (16, 99):
            return self._texts(raw, start, "dns.txt" if code == 16 else "dns.spf")
        if code == 41:
            return self._edns(stop)
        return []

    def _texts(self, raw: bytes, start: int, filter_: str) -> list[Field]:
        made: list[Field] = []
        at = 0
        while at < len(raw) and len(made) < RECORDS:
            size = raw[at]
            if at + 1 + size > len(raw):
                raise _Broken("a text ends outside")
            made.append(Field("length", _bytes(size), start + at * 8, 8, filter=f"{filter_}.length"))
            if size:
                text = printable(raw[at + 1 : at + 1 + size])
                made.append(Field("text", text, start + at * 8 + 8, size * 8, filter=filter_))
            at += 1 + size
        self.at += at
        return made

    def _edns(self, stop: int) -> list[Field]:
        made: list[Field] = []
        while self.at + 4 <= stop and len(made) < RECORDS:
            start = self.at
            code = self.number("code", 2, "dns.opt.code")
            size = self.number("length", 2, "dns.opt.len", _bytes)
            value = self.data[self.at : min(self.at + int.from_bytes(self.data[start + 2 : start + 4]), stop)]
            parts = [code, size]
            if value:
                parts.append(Field("value", value[:64].hex(" "), (self.base + self.at) * 8, len(value) * 8,
                                   filter="dns.opt.data"))  # fmt: skip
            self.at += len(value)
            made.append(Field("option", f"{code.text}, {size.text}", (self.base + start) * 8,
                              (self.at - start) * 8, "field", tuple(parts)))  # fmt: skip
        return made


def _named(names: dict[int, str], value: int) -> str:
    return f"{names[value]} ({value})" if value in names else str(value)


def _bytes(value: int) -> str:
    return f"{value} byte{'s'[: value != 1]}"


def _seconds(value: int) -> str:
    return f"{value} s"


def _edns_flags(value: int) -> str:
    return f"{'DNSSEC wanted ' if value >> 15 else ''}({value:#x})" if value >> 15 else f"{value:#x}"

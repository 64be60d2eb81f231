"""Capture filters: tcpdump's language, compiled by libpcap, run in C on every frame.

    program = compile_bpf("udp port 53 and host 10.0.0.1")
    pair.log_frames(True, program=program.instructions)

libpcap is asked for its compiler alone, which needs no rights: it opens nothing and captures nothing. The
frames are Ethernet frames without the virtio-net header. Names of hosts and networks are refused, because
libpcap would ask a resolver for them; names of services and protocols stand in files of this machine.
"""

from __future__ import annotations

import ctypes
import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from capture._frames import bpf_mask
from capture.errors import FilterError
from capture.filters import bpf_words as words
from capture.frame import Array
from capture.store import Block

LONGEST = 4096  #: characters of a filter's text, and instructions of its program
SNAP = 262144
_ETHERNET = 1  #: DLT_EN10MB
_NO_NETMASK = 0xFFFFFFFF
_LIBRARIES = ("libpcap.so.0.8", "libpcap.so.1", "libpcap.so")
_MISSING = "capture filters need libpcap, which is not installed: install the package libpcap0.8 (or libpcap)"
_compiling = threading.Lock()  #: libpcap's compiler had globals before 1.8


@dataclass(frozen=True, slots=True)
class Program:
    """A capture filter, compiled. `instructions`: struct bpf_insn, 8 bytes each, in the machine's order."""

    text: str
    instructions: bytes

    def mask(self, block: Block) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which frames of a block match: one bool a frame."""
        rows = block.rows
        return _mask(self.instructions, block.data, block.offsets, rows["captured"], rows["length"])

    def matches(self, data: bytes, length: int | None = None) -> bool:
        """Whether one frame matches, of which `data` was captured; `length` it had on the wire."""
        length = len(data) if length is None else length
        return bool(_mask(self.instructions, data, [0], [len(data)], [length])[0])


def compile_bpf(text: str, snap: int = SNAP) -> Program:
    """A filter in the language of pcap-filter(7): `snap` bytes of what matches are kept; "" matches all.

    FilterError says what is wrong and where; without libpcap what to install.
    """
    if len(text) > LONGEST:
        raise FilterError(f"a capture filter has at most {LONGEST} characters", LONGEST, len(text))
    words.refuse_names(words.tokens(text))
    instructions, why = _compile(text, snap, optimise=True)
    if not why:
        why = _unsound(instructions)
    if why:
        raise words.blame(text, why, lambda part: _refuses(part, snap))
    return Program(text, instructions)


def _mask(
    instructions: bytes, data: bytes | memoryview, offsets: Any, captured: Any, lengths: Any
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    places: Array = np.ascontiguousarray(offsets, np.int64)
    out = np.zeros(len(places), np.bool_)
    kept, whole = np.ascontiguousarray(captured, np.uint32), np.ascontiguousarray(lengths, np.uint32)
    bpf_mask(instructions, data, places, kept, whole, out.view(np.uint8))
    return out


def _unsound(instructions: bytes) -> str:
    """Why the program cannot be run on frames of a ring; "" where it can."""
    try:
        _mask(instructions, b"", [], [], [])
    except ValueError as error:
        why = str(error)
        if "backwards" in why:
            return "this needs a loop (protochain), and a capture filter has none: use proto"
        if "negative" in why:
            return "this asks for what only a network interface of Linux knows, not a frame of a ring"
        if "more than" in why:
            return f"the filter compiles to more than {LONGEST} instructions"
        return re.sub("^no sound filter program: it", "the compiled filter", why)
    return ""


def _refuses(text: str, snap: int) -> bool:
    instructions, why = _compile(text, snap, optimise=False)
    return bool(why or _unsound(instructions))


# ---- libpcap -----------------------------------------------------------------------------------------------


class _Compiled(ctypes.Structure):
    """struct bpf_program."""

    _fields_ = (("count", ctypes.c_uint), ("steps", ctypes.c_void_p))


@cache
def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        handle, compiled = ctypes.c_void_p, ctypes.POINTER(_Compiled)
        library.pcap_open_dead.restype, library.pcap_open_dead.argtypes = handle, (ctypes.c_int, ctypes.c_int)
        library.pcap_close.restype, library.pcap_close.argtypes = None, (handle,)
        library.pcap_geterr.restype, library.pcap_geterr.argtypes = ctypes.c_char_p, (handle,)
        library.pcap_freecode.restype, library.pcap_freecode.argtypes = None, (compiled,)
        library.pcap_compile.restype = ctypes.c_int
        library.pcap_compile.argtypes = (handle, compiled, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32)
        return library
    return None


def _compile(text: str, snap: int, *, optimise: bool) -> tuple[bytes, str]:
    """The instructions, or why libpcap refuses the text."""
    library = _library()
    if library is None:
        raise FilterError(_MISSING, 0, len(text))
    with _compiling:
        handle = library.pcap_open_dead(_ETHERNET, snap)
        if not handle:
            return b"", "libpcap has no memory left"
        try:
            compiled = _Compiled()
            source = text.encode("ascii", "replace")
            if library.pcap_compile(handle, ctypes.byref(compiled), source, optimise, _NO_NETMASK):
                return b"", (library.pcap_geterr(handle) or b"").decode("ascii", "replace") or "not a filter"
            try:
                return ctypes.string_at(compiled.steps, 8 * compiled.count), ""
            finally:
                library.pcap_freecode(ctypes.byref(compiled))
        finally:
            library.pcap_close(handle)

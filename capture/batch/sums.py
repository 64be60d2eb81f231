"""Internet checksums (RFC 1071) of many frames at once."""

from __future__ import annotations

import numpy as np

from capture.batch.ends import ICMP, UDP, Headers, Transport
from capture.batch.walk import heads, word
from capture.frame import Array

_NEEDS_CSUM = 1
_PIECE = 256  #: segments summed at once, so that what is widened stays in the cache


def bad_network(headers: Headers) -> Array:
    """Indices of frames with an IPv4 header whose checksum is wrong. A header that is cut is not judged."""
    packets = headers.network
    judged = packets.only(packets.four & (packets.at + packets.size <= packets.stop))
    total = ones_sum(headers.data, judged.at, judged.at + judged.size)
    wrong: Array = judged.frame[total != 0xFFFF]
    return wrong


def bad_transport(data: Array, headers: Transport, offloaded: Array) -> Array:
    """Indices of frames with a TCP, UDP or ICMP checksum that is wrong.

    offloaded: mask over the frames of the block whose checksum is to be filled in later. Fragments, cut
    segments and UDP without a checksum are not judged.
    """
    udp = headers.protocol == UDP
    none = udp & (word(heads(data, headers.at, 8), 6) == 0)
    judged = headers.whole & (headers.end <= headers.stop) & ~offloaded[headers.frame] & ~none
    chosen = headers.only(judged)
    if not len(chosen.frame):
        return np.zeros(0, np.int64)
    body = ones_sum(data, chosen.at, chosen.end)
    words = np.concatenate([chosen.source, chosen.target], axis=1).view(">u2").astype(np.int64)
    pseudo = words.sum(axis=1) + chosen.protocol + (chosen.end - chosen.at)
    total = _fold(body + np.where(chosen.protocol == ICMP, 0, pseudo))
    wrong: Array = chosen.frame[total != 0xFFFF]
    return wrong


def offloaded(net_headers: Array) -> Array:
    """Mask of rows whose net header (n x bytes) asks that the checksum be filled in, or for segmentation."""
    asked: Array = (net_headers[:, 0] & _NEEDS_CSUM != 0) | (net_headers[:, 1] != 0)
    return asked


def ones_sum(data: Array, start: Array, end: Array) -> Array:
    """The ones' complement sum of data[start:end] for each pair, as 16-bit words in network order."""
    sums = np.zeros(len(start), np.int64)
    for at in range(0, len(start), _PIECE):
        sums[at : at + _PIECE] = _sums(data, start[at : at + _PIECE], end[at : at + _PIECE])
    return sums


def _sums(data: Array, start: Array, end: Array) -> Array:
    # widened first: reduceat casts anew for every segment, a hundred times slower
    base = int(start.min()) & ~1
    words = data[base : max(int(end.max()) + 1 & ~1, base + 2)]
    words = words[: len(words) & ~1].view("<u2").astype(np.uint64)
    if not len(words):
        words = np.zeros(1, np.uint64)
    low, high = start - base >> 1, end - base >> 1
    # reduceat wants rising places inside the array; those at its very end are taken apart
    last = len(words) - 1
    pairs = np.empty(len(start) * 2, np.int64)
    pairs[0::2], pairs[1::2] = np.minimum(low, last), np.minimum(high, last)
    total = np.add.reduceat(words, pairs)[0::2].astype(np.int64)
    total[pairs[0::2] >= pairs[1::2]] = 0
    beyond = (high > last) & (low <= last)
    total[beyond] += int(words[last])
    odd = start & 1 == 1
    total[odd] -= data[start[odd] - 1]
    tail = end & 1 == 1
    total[tail] += data[end[tail] - 1]
    folded = _fold(total)
    return np.where(odd, folded, folded >> 8 | (folded & 0xFF) << 8)


def _fold(total: Array) -> Array:
    for _ in range(4):
        total = (total & 0xFFFF) + (total >> 16)
    return total

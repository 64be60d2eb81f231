"""Put the headers of many frames in groups by their two ends, whichever way they went."""

from __future__ import annotations

import secrets
from typing import NamedTuple

import numpy as np

from capture.batch.ends import Ends
from capture.frame import Array

KEY_WORDS = 5  #: lower address (2 words), upper address (2), ports and family
_MIXERS = np.array([secrets.randbits(64) | 1 for _ in range(KEY_WORDS)], np.uint64)
_FOUR = np.uint64(1 << 32)


class Groups(NamedTuple):
    """n headers in m groups. A key is 40 bytes, the same for both ways."""

    keys: list[bytes]  #: of each group
    first: Array  #: the first header of each group
    group: Array  #: the group of each header
    side: Array  #: 0: sent by the end that stands first in the key, else 1


def group_by_ends(ends: Ends) -> Groups:
    """Group headers by both ends."""
    words, side = _words(ends)
    mixed = (words * _MIXERS).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    _, first, group = np.unique(mixed, return_index=True, return_inverse=True)
    if len(words) and not np.array_equal(words[first[group]], words):
        # two keys fell on one number: count by the keys themselves
        whole = np.ascontiguousarray(words).view(f"V{8 * KEY_WORDS}").ravel()
        _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(first)  # groups in the order in which they begin, whatever the mixers made of them
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, group = first[order], rank[group.ravel()]
    keys = words[first].view(f"V{8 * KEY_WORDS}").ravel()
    return Groups([bytes(key) for key in keys.tolist()], first, group, side)


def ends_of(key: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int], bool]:
    """Both ends of a key as (16 address bytes, port), and whether the family is IPv4."""
    words = np.frombuffer(key, np.uint64)
    addresses = words[:4].byteswap().tobytes()
    last = int(words[4])
    return (addresses[:16], last >> 16 & 0xFFFF), (addresses[16:], last & 0xFFFF), bool(last >> 32)


def _words(ends: Ends) -> tuple[Array, Array]:
    """(n x 5 words of keys, sides)."""
    source = np.ascontiguousarray(ends.source).view(">u8").astype(np.uint64).reshape(-1, 2)
    target = np.ascontiguousarray(ends.target).view(">u8").astype(np.uint64).reshape(-1, 2)
    low, high = ends.ports[:, 0].astype(np.uint64), ends.ports[:, 1].astype(np.uint64)
    same = source == target
    swap = source[:, 0] > target[:, 0]
    swap |= same[:, 0] & (source[:, 1] > target[:, 1])
    swap |= same[:, 0] & same[:, 1] & (low > high)
    words = np.empty((len(source), KEY_WORDS), np.uint64)
    words[:, 0:2] = np.where(swap[:, None], target, source)
    words[:, 2:4] = np.where(swap[:, None], source, target)
    sixteen = np.uint64(16)
    words[:, 4] = np.where(swap, high << sixteen | low, low << sixteen | high) | ends.four * _FOUR
    return words, swap.astype(np.int64)

"""virtio-blk as it is decoded: the configuration, requests, and requests that cannot be."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from dataplane import blk
from dataplane import features as f
from dataplane.records import FRAME, FRAME_LATE, FRAME_REQUEST
from dataplane.source import Frames
from dataplane.vhost.device_type import taken_for

READ = blk.Request(
    number=7, time=5_000, available=2_000, slack=100, queue=1, position=9, head=3, descriptors=3,
    indirect=False, late=False, sound=True, header=struct.pack("<IIQ", 0, 0, 40), readable=16,
    writable=4097, used_length=4097, status=0, data=b"data",
)  # fmt: skip


def frames_of(*made: blk.Request, flags: int = FRAME_REQUEST) -> Frames:
    """Requests as a log gives them."""
    rows, contents = np.zeros(len(made), FRAME), []
    for row, one in zip(rows, made, strict=True):
        contents.append(blk.logged(one))
        for name in ("time", "position", "queue", "head", "descriptors"):
            row[name] = getattr(one, name)
        row["number"] = one.number - 1
        row["captured"] = row["length"] = len(contents[-1])
        row["flags"] = flags | (FRAME_LATE if one.late else 0)
        row["net_header_length"], row["net_header"] = len(one.header), one.header
    offsets = np.cumsum([0, *map(len, contents)], dtype=np.int64)[:-1]
    return Frames(rows, offsets, b"".join(contents), (0, 0), 0)


@pytest.mark.parametrize(
    "one",
    [
        READ,
        replace(READ, status=None, late=True),
        replace(READ, used_length=None),
        replace(READ, header=b"\x08\0\0\0", readable=4),
        replace(READ, header=b"", readable=0, writable=0, sound=False, status=None, data=b""),
    ],
)
def test_what_was_logged_is_read_again(one: blk.Request) -> None:
    assert blk.requests(frames_of(one, READ)) == [one, READ]


def test_frames_are_no_requests() -> None:
    assert blk.requests(frames_of(READ, flags=0)) == []


@pytest.mark.parametrize("cut", range(32))
def test_a_record_that_is_too_short_is_none(cut: int) -> None:
    frames = frames_of(READ)
    rows = frames.rows.copy()
    rows["captured"] = cut
    assert blk.requests(replace(frames, rows=rows)) == []


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "IN"), (1, "OUT"), (4, "FLUSH"), (8, "GET_ID"), (10, "GET_LIFETIME"), (11, "DISCARD"),
     (13, "WRITE_ZEROES"), (14, "SECURE_ERASE"), (2, "type 2"), (0xFFFFFFFF, "type 4294967295")],
)  # fmt: skip
def test_types(number: int, name: str) -> None:
    one = replace(READ, header=struct.pack("<IIQ", number, 0, 5))
    assert (one.type, one.name, one.sector) == (number, name, 5)
    assert one.where == ("5" if name in ("IN", "OUT") else "")


@pytest.mark.parametrize(
    ("status", "said", "failed"),
    [(0, "OK", False), (1, "IOERR", True), (2, "UNSUPP", True), (255, "status 255", True),
     (None, "unknown", True)],
)  # fmt: skip
def test_statuses(status: int | None, said: str, failed: bool) -> None:
    one = replace(READ, status=status)
    assert (one.answer, one.failed) == (said, failed)


def test_bytes_of_data() -> None:
    assert READ.length == 4096
    assert replace(READ, readable=16 + 1024, writable=1).length == 1024
    assert replace(READ, readable=3, writable=0).length == 0
    assert READ.latency == 3_000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"header": bytes(9), "readable": 9}, "header has 9 bytes"),
        ({"header": b"", "readable": 0}, "header has 0 bytes"),
        ({"writable": 0, "used_length": 0}, "no byte for the status"),
        ({"header": struct.pack("<IIQ", 0, 0, (1 << 64) - 1)}, "sector 18446744073709551622 lies beyond"),
        ({"header": struct.pack("<IIQ", 0, 0, 93)}, "sector 100 lies beyond the 100"),
        ({"writable": 4096, "used_length": 4096}, "not whole sectors"),
        ({"used_length": 4098}, "4098 bytes were written into 4097"),
        ({"header": struct.pack("<IIQ", 11, 0, 0), "readable": 16 + 15, "writable": 1, "used_length": 1},
         "no multiple of 16"),
        ({"sound": False}, "cannot be followed"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_said(changes: dict[str, object], words: str) -> None:
    (said,) = replace(READ, **changes).wrong(100)  # type: ignore[arg-type]
    assert words in said


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert READ.wrong(48) == [] == READ.wrong()
    assert (
        replace(READ, header=struct.pack("<IIQ", 4, 0, 1 << 60), writable=1, used_length=1).wrong(100) == []
    )


def test_configuration() -> None:
    given = bytes(range(1, blk.CONFIG_BYTES + 1))
    config = blk.BlkConfig.parse(given)
    assert config.capacity == int.from_bytes(given[:8], "little")
    assert config.seg_max == int.from_bytes(given[12:16], "little")
    assert config.blk_size == int.from_bytes(given[20:24], "little")
    assert config.num_queues == int.from_bytes(given[34:36], "little")
    assert config.write_zeroes_may_unmap == given[56]
    assert blk.BlkConfig.parse(config.pack()) == config
    assert blk.BlkConfig.parse(given[:8]).seg_max == 0
    assert blk.BlkConfig.parse(given + bytes(36)) == config
    with pytest.raises(ValueError, match="7 bytes of configuration"):
        blk.BlkConfig.parse(given[:7])


def test_features_have_the_names_of_their_device() -> None:
    bits = f.mask(f.BLK_F_SEG_MAX, f.BLK_F_RO, f.BLK_F_MQ, f.F_VERSION_1)
    assert f.feature_names(bits, blk.DEVICE_ID) == ("SEG_MAX", "RO", "MQ", "VERSION_1")
    assert f.bit_of("seg_max", blk.DEVICE_ID) == f.bit_of("VIRTIO_BLK_F_SEG_MAX", blk.DEVICE_ID) == 2
    with pytest.raises(ValueError, match="no feature is called"):
        f.bit_of("mrg_rxbuf", blk.DEVICE_ID)


@pytest.mark.parametrize(
    ("offered", "config", "type_"),
    [
        (0x175007E46, bytes(60), "blk"),  # qemu-storage-daemon
        (0x175007E46, b"", "blk"),
        (0xD7C66E7CB, b"", "net"),  # DPDK's vhost
        (0xD7C66A7CA, b"", "net"),  # OVS-DPDK
        (0x17020E783, bytes(60), "net"),
        (0x175000000, bytes(44), "net"),
        (0, b"", "net"),
    ],
)
def test_what_a_device_is_taken_for(offered: int, config: bytes, type_: str) -> None:
    assert taken_for(None, offered, 0, config).type == type_
    assert taken_for("blk", offered, 0, config).type == "blk"
    assert taken_for("net", offered, 0, config).type == "net"

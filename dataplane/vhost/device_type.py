"""Which type of device a vhost-user conversation is about, which the protocol itself never says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataplane import blk
from dataplane import features as f
from dataplane.blk import BlkConfig

DeviceType = Literal["net", "blk"]
IDS: dict[DeviceType, int] = {"net": 1, "blk": blk.DEVICE_ID}

#: Features that only a network device has under their bits, and only a block device.
_NET_ALONE = f.mask(
    f.NET_F_MTU, f.NET_F_GUEST_TSO4, f.NET_F_GUEST_TSO6, f.NET_F_CTRL_RX, f.NET_F_CTRL_VLAN,
    f.NET_F_CTRL_RX_EXTRA, f.NET_F_GUEST_ANNOUNCE, f.NET_F_MQ, f.NET_F_CTRL_MAC_ADDR,
)  # fmt: skip
_BLK_ALONE = f.mask(f.BLK_F_GEOMETRY)
_BLK_BOTH = f.mask(f.BLK_F_SEG_MAX, f.BLK_F_BLK_SIZE)  #: together only a block device has them
#: Front-ends of a network device do not ask for its configuration, of 24 bytes at most; a file system's has
#: 44. That of a block device has 60 since it knows DISCARD and WRITE_ZEROES.
_CONFIG_LEAST = 48
_CONFIG_MOST = 256


@dataclass(frozen=True, slots=True)
class Taken:
    """What it is taken for, and why."""

    type: DeviceType
    why: str

    @property
    def device_id(self) -> int:
        return IDS[self.type]


def taken_for(asked: DeviceType | None, offered: int, accepted: int, config: bytes) -> Taken:
    """By what was asked for, else by what was said: `config` is what the device told of its configuration."""
    if asked is not None:
        return Taken(asked, "as asked for")
    said = offered | accepted
    if said & _NET_ALONE:
        names = f.feature_names(said & _NET_ALONE)
        return Taken("net", f"{names[0]} is a feature of network devices alone")
    if _CONFIG_LEAST <= len(config) <= _CONFIG_MOST:
        return Taken("blk", f"{len(config)} bytes of configuration were read")
    if said & _BLK_ALONE or said & _BLK_BOTH == _BLK_BOTH:
        names = f.feature_names(said & (_BLK_ALONE | _BLK_BOTH), blk.DEVICE_ID)
        return Taken("blk", f"{' and '.join(names)}: features of block devices")
    return Taken("net", "nothing was said that only another type would say")


def block_config(config: bytes) -> BlkConfig | None:
    """The configuration of a block device, where it was overheard."""
    try:
        return BlkConfig.parse(config)
    except ValueError:
        return None

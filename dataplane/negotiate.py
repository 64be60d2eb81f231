"""Feature negotiation (2.2, 3.1.1): what is offered, what is accepted, and why a set is refused."""

from __future__ import annotations

from collections.abc import Iterable

from dataplane import features as f

#: What the driver accepts unless told otherwise; RING_PACKED comes with the layout.
DEFAULT_FEATURES = f.mask(
    f.F_VERSION_1,
    f.F_INDIRECT_DESC,
    f.F_EVENT_IDX,
    f.F_RING_RESET,
    f.NET_F_CSUM,
    f.NET_F_GUEST_CSUM,
    f.NET_F_HOST_TSO4,
    f.NET_F_HOST_TSO6,
    f.NET_F_HOST_ECN,
    f.NET_F_GUEST_TSO4,
    f.NET_F_GUEST_TSO6,
    f.NET_F_GUEST_ECN,
    f.NET_F_MRG_RXBUF,
    f.NET_F_MAC,
    f.NET_F_STATUS,
    f.NET_F_MTU,
    f.NET_F_CTRL_VQ,
    f.NET_F_CTRL_RX,
    f.NET_F_CTRL_VLAN,
    f.NET_F_CTRL_MAC_ADDR,
    f.NET_F_GUEST_ANNOUNCE,
    f.NET_F_MQ,
)
#: What the device offers.
OFFERED = DEFAULT_FEATURES | f.mask(f.F_IN_ORDER, f.NET_F_CTRL_RX_EXTRA, f.NET_F_HOST_UFO, f.NET_F_GUEST_UFO)


def feature_set(
    changes: str | Iterable[str], packed: bool, base: int = DEFAULT_FEATURES, device_id: int = 1
) -> int:
    """Features after changes like "+in_order,-mrg_rxbuf"; ValueError names what is not known."""
    words = changes.split(",") if isinstance(changes, str) else list(changes)
    wanted = base | (f.mask(f.F_RING_PACKED) if packed else 0)
    for word in (w.strip() for w in words):
        if not word:
            continue
        bit = f.bit_of(word.lstrip("+-"), device_id)
        if bit == f.F_RING_PACKED:
            raise ValueError("RING_PACKED follows from the layout: choose it there")
        wanted = wanted & ~f.mask(bit) if word.startswith("-") else wanted | f.mask(bit)
    return wanted


def why_refused(refused: int, accepted: int, packed: bool) -> str:
    """The device's reason in words, from the engine's `refused` (1 + a feature bit)."""
    bit = refused - 1
    name = f.feature_names(f.mask(bit))[0]
    if bit == f.F_VERSION_1:
        return "the device refuses the features: VERSION_1 is required (6.1)"
    if bit == f.F_RING_PACKED:
        state = "set" if packed else "clear"
        return f"the device refuses the features: RING_PACKED must be {state} for this layout"
    for missing in f.missing(accepted):
        if missing.bit == bit:
            needs = " or ".join(f.feature_names(f.mask(n))[0] for n in missing.needs)
            return f"the device refuses the features: {name} needs {needs} (5.1.3.1)"
    return f"the device refuses the features: {name} is not offered"

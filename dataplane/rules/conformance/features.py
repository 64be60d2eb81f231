"""Features: what is offered, what is accepted, and which needs which (2.2, 5.1.3.1)."""

from __future__ import annotations

from dataplane import features as f
from dataplane.records import Kind
from dataplane.rules.conformance.check import Check, Say
from dataplane.rules.conformance.ring import Ring
from dataplane.rules.conformance.scene import Event, Scene

#: Bits that `dataplane.features` has no name for, as this device has them nowhere else.
DEVICE_STATS, HASH_TUNNEL = 50, 51
VQ_NOTF_COAL, NOTF_COAL, GUEST_USO4, GUEST_USO6, HOST_USO, HASH_REPORT = 52, 53, 54, 55, 56, 57
GUEST_HDRLEN, RSS, RSC_EXT = 59, 60, 61
_BEYOND = 64  #: the journal has the bits below
_DRAFT = 30  #: of an early draft: a row of its own
_RESERVED = range(44, 50)  #: in every version of the spec

#: What a feature cannot do without: of each group any one.
NEEDS: dict[int, tuple[tuple[int, ...], ...]] = {
    **{bit: (needs,) for bit, needs in f.REQUIRES.items() if bit != f.NET_F_CTRL_RX_EXTRA},
    GUEST_USO4: ((f.NET_F_GUEST_CSUM,),),
    GUEST_USO6: ((f.NET_F_GUEST_CSUM,),),
    HOST_USO: ((f.NET_F_CSUM,),),
    NOTF_COAL: ((f.NET_F_CTRL_VQ,),),
    VQ_NOTF_COAL: ((f.NET_F_CTRL_VQ,),),
    RSS: ((f.NET_F_CTRL_VQ,),),
    HASH_TUNNEL: ((f.NET_F_CTRL_VQ,), (RSS, HASH_REPORT)),
}
_KNOWN = frozenset(f.NAMES[1]) | {DEVICE_STATS, HASH_TUNNEL}


def name(bit: int) -> str:
    known = {DEVICE_STATS: "DEVICE_STATS", HASH_TUNNEL: "HASH_TUNNEL"}
    return known.get(bit) or f.feature_names(f.mask(bit))[0]


def lacking(features: int) -> str:
    """The first feature that lacks what it needs, in words; "" where none does."""
    for bit, groups in NEEDS.items():
        for group in groups if f.has(features, bit) else ():
            if not any(f.has(features, other) for other in group):
                return f"{name(bit)} without {' or '.join(map(name, group))}"
    return ""


def unsound(offered: int, accepted: int) -> str:
    """Why no device may take these features; "" where one may."""
    if extra := accepted & ~offered:
        return f"{name(f.bits(extra)[0])} is not offered"
    return lacking(accepted)


class Features(Check):
    rows = (
        "FEAT-DRV-01",
        "FEAT-DRV-02",
        "FEAT-DRV-04",
        "FEAT-DEV-07",
        "FEAT-DEV-09",
        "FEAT-BOTH-11",
        "NETF-BOTH-01",
        "NETC-DEV-08",
        "NETC-DRV-13",
    )
    kinds = frozenset({Kind.FEATURES})

    def __init__(self, scene: Scene, say: Say) -> None:
        super().__init__(scene, say)
        self._judged: tuple[int, int] | None = None

    def began(self, ring: Ring) -> None:
        self._judge()

    def told(self, event: Event) -> None:
        self._judge()

    def _judge(self) -> None:
        offered, accepted = self.scene.offered, self.scene.accepted
        if offered is None or accepted is None or self._judged == (offered, accepted):
            return
        self._judged = offered, accepted
        if extra := accepted & ~offered:
            names = ", ".join(map(name, f.bits(extra)))
            self._say("FEAT-DRV-01", f"accepted and not offered: {names}")
        for features, what, rows in (
            (offered, "offered", ("FEAT-DEV-07", "FEAT-DEV-09", "NETC-DEV-08")),
            (accepted, "accepted", ("FEAT-DRV-02", "FEAT-DRV-04", "NETC-DRV-13")),
        ):
            self._set(features, what, rows)

    def _set(self, features: int, what: str, rows: tuple[str, str, str]) -> None:
        needing, unknown, without = rows
        if why := lacking(features):
            self._say(needing, f"{what}: {why}")
            self._say("NETF-BOTH-01", f"{what}: {why}")
        bits = [bit for bit in f.bits(features) if bit < _BEYOND and bit not in _KNOWN and bit != _DRAFT]
        if reserved := [bit for bit in bits if bit in _RESERVED]:
            self._say("FEAT-BOTH-11", f"{what}: bit {reserved[0]}, which is reserved")
        elif bits:
            self._say(unknown, f"{what}: bit {bits[0]}, which no network device knows")
        for bit in (HASH_REPORT, f.NET_F_CTRL_RX_EXTRA):
            if f.has(features, bit) and not f.has(features, f.NET_F_CTRL_VQ):
                self._say(without, f"{what}: {name(bit)} without CTRL_VQ")

    def _say(self, row: str, words: str) -> None:
        self.say(row, None, None, words)


CHECKS = (Features,)

"""The control queue (5.1.6.5): modes, addresses, VLANs, queue pairs, announcements; malformed commands."""

from __future__ import annotations

import struct

import pytest
from model import NEXT, WRITE

from dataplane import features as f
from dataplane.pair import Pair
from dataplane.records import Reason
from tests.rings.staging import LAYOUTS, Net, hi, played

OK, ERR, NONE = b"\0", b"\1", b"\xff"
RX, MAC, VLAN, ANNOUNCE, MQ = range(5)
PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST = range(6)
OWN = bytes.fromhex("525400000001")
OTHER = bytes.fromhex("525400000099")
GROUP = bytes.fromhex("01005e000001")
ALL = b"\xff" * 6


def command(device: Net, cls: int, cmd: int, data: bytes = b"") -> bytes:
    return device.request(bytes([cls, cmd]), *([data] if data else []))


def frame(to: bytes, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    return (to + OTHER + tag + b"\x08\0").ljust(60, b"\0")


def passes(device: Net, data: bytes) -> bool:
    """Whether the device's receive filter lets this frame reach the driver."""
    device.turn(0)
    device.drops(1)
    device.engine.traffic(1, "play", 0, 0, played([data]))
    for _ in range(3):
        device.turn(1)
    dropped = device.drops(1)
    assert dropped in ([], [Reason.FILTERED])
    return not dropped


@LAYOUTS
def test_receive_modes(net: type[Net], packed: bool) -> None:
    device = net(packed)
    assert all(passes(device, frame(to)) for to in (OWN, OTHER, GROUP, ALL)), "a new device takes everything"
    assert command(device, RX, PROMISC, b"\0") == OK
    table = {
        (): (True, False, False, True),
        (ALLMULTI,): (True, False, True, True),
        (ALLUNI,): (True, True, False, True),
        (NOUNI,): (False, False, False, True),
        (NOBCAST,): (True, False, False, False),
        (ALLMULTI, NOMULTI): (True, False, False, True),
        (ALLUNI, NOUNI): (False, False, False, True),
        (ALLMULTI, ALLUNI, NOBCAST): (True, True, True, False),
        (PROMISC, NOUNI, NOBCAST, NOMULTI): (True, True, True, True),
    }
    for modes, expected in table.items():
        for mode in modes:
            assert command(device, RX, mode, b"\1") == OK
        assert tuple(passes(device, frame(to)) for to in (OWN, OTHER, GROUP, ALL)) == expected, modes
        for mode in modes:
            assert command(device, RX, mode, b"\0") == OK


@LAYOUTS
def test_address_tables(net: type[Net], packed: bool) -> None:
    device = net(packed)
    assert command(device, RX, PROMISC, b"\0") == OK
    one = struct.pack("<I", 1)
    assert command(device, MAC, 0, one + OTHER + one + GROUP) == OK
    assert [passes(device, frame(to)) for to in (OWN, OTHER, GROUP)] == [True, True, True]
    assert command(device, MAC, 0, one + GROUP + one + OTHER) == OK
    assert [passes(device, frame(to)) for to in (OWN, OTHER, GROUP)] == [True, False, False], (
        "each in its table"
    )
    assert command(device, MAC, 0, bytes(8)) == OK
    assert [passes(device, frame(to)) for to in (OWN, OTHER, GROUP)] == [True, False, False]


@LAYOUTS
def test_own_address(net: type[Net], packed: bool) -> None:
    device = net(packed)
    assert command(device, RX, PROMISC, b"\0") == OK
    assert command(device, MAC, 1, OTHER) == OK
    assert device.engine.info()["mac"] == OTHER
    assert [passes(device, frame(to)) for to in (OWN, OTHER)] == [False, True]


@LAYOUTS
def test_vlans(net: type[Net], packed: bool) -> None:
    device = net(packed)
    assert command(device, RX, PROMISC, b"\0") == OK
    assert passes(device, frame(OWN, 7)), "no VLAN was filtered yet"
    for id in (0, 5, 4095):
        assert command(device, VLAN, 0, struct.pack("<H", id)) == OK
        assert passes(device, frame(OWN, id)) and passes(device, frame(OWN))
        assert not passes(device, frame(OWN, 7))
        assert command(device, VLAN, 1, struct.pack("<H", id)) == OK
        assert not passes(device, frame(OWN, id))


@LAYOUTS
def test_queue_pairs(net: type[Net], packed: bool) -> None:
    device = net(packed, pairs=4)
    for pairs, ack in ((1, OK), (4, OK), (0, ERR), (5, ERR), (0x8000, ERR), (0xFFFF, ERR), (2, OK), (8, ERR)):
        before = device.engine.info()["pairs"]
        assert command(device, MQ, 0, struct.pack("<H", pairs)) == ack
        assert device.engine.info()["pairs"] == (pairs if ack == OK else before)


@LAYOUTS
def test_announcement(net: type[Net], packed: bool) -> None:
    """5.1.6.5.4: asked, the driver sends a frame and says so; the device takes its request back."""
    device = net(packed)
    device.engine.announce()
    info = device.engine.info()
    assert info["net_status"] == 3 and info["config_generation"] == 1
    for _ in range(3):
        device.turn(0)
        device.turn(1)
    assert device.engine.info()["net_status"] == 1
    sent = device.queue(1).device
    assert sent and sent.frames == 1 and sent.bytes == 60


@pytest.mark.parametrize("packed", [False, True])
def test_commands_of_a_running_pair(packed: bool) -> None:
    with Pair(layout="packed" if packed else "split", queue_pairs=2) as pair:
        pair.start()
        assert pair.command(MAC, 1, OTHER) == 0
        assert pair.snapshot().config.mac == OTHER
        assert pair.command(VLAN, 0, b"\5\0") == 0
        assert pair.command(RX, 99, b"\1") == 1
        assert pair.command(MQ, 0, b"\1\0") == 0
        assert pair.snapshot().queue_pairs == 1
        assert pair.command(MQ, 0, b"\3\0") == 1
        assert pair.snapshot().queue_pairs == 1


# ---- malformed -----------------------------------------------------------------------------------------

FULL = {
    (RX, PROMISC): b"\0",
    (RX, ALLUNI): b"\1",
    (MAC, 0): struct.pack("<I", 1) + OTHER + struct.pack("<I", 1) + GROUP,
    (MAC, 1): OTHER,
    (VLAN, 0): b"\5\0",
    (VLAN, 1): b"\5\0",
    (MQ, 0): b"\1\0",
}


@LAYOUTS
@pytest.mark.parametrize("cls, cmd", [hi(135, *c) for c in FULL])
def test_command_cut_short(net: type[Net], packed: bool, cls: int, cmd: int) -> None:
    """Every length short of its fields is refused, the whole is obeyed, in any cut."""
    data = FULL[cls, cmd]
    device = net(packed, size=32)
    before = device.engine.info()["mac"]
    for length in range(len(data)):
        assert command(device, cls, cmd, data[:length]) == ERR
    assert device.engine.info()["mac"] == before
    assert command(device, cls, cmd, data) == OK
    single = [bytes([byte]) for byte in (cls, cmd, *data)]
    assert device.request(*single) == OK, "2.7.4: a message may be cut into any descriptors"
    assert device.request(bytes([cls, cmd]) + data) == OK


@LAYOUTS
@pytest.mark.parametrize("count", [hi(52, n) for n in (2, 64, 65, 2**29, 2**30, 2**31, 2**32 - 1)])
def test_table_count_that_lies(net: type[Net], packed: bool, count: int) -> None:
    device = net(packed)
    assert command(device, RX, PROMISC, b"\0") == OK
    one = struct.pack("<I", 1)
    assert command(device, MAC, 0, one + OTHER + one + GROUP) == OK
    lie = struct.pack("<I", count)
    for data in (lie + OTHER, lie + OTHER + one + GROUP, one + OTHER + lie + GROUP, lie, bytes(4) + lie):
        assert command(device, MAC, 0, data) == ERR
    assert [passes(device, frame(to)) for to in (OTHER, GROUP)] == [True, True], (
        "the tables stand as they were"
    )


@LAYOUTS
@pytest.mark.parametrize("unicast, multicast, ack", [
    hi(57, 32, 32, OK), hi(57, 64, 0, OK), hi(57, 0, 64, OK), hi(57, 64, 1, ERR), hi(57, 33, 32, ERR),
])  # fmt: skip
def test_tables_that_are_full(net: type[Net], packed: bool, unicast: int, multicast: int, ack: bytes) -> None:
    data = struct.pack("<I", unicast) + OTHER * unicast + struct.pack("<I", multicast) + GROUP * multicast
    assert command(net(packed), MAC, 0, data) == ack


@LAYOUTS
@pytest.mark.parametrize("cls, cmd", [
    hi(53, MQ, 1), hi(53, MQ, 2), hi(55, RX, 6), hi(55, RX, 255), hi(55, MAC, 2), hi(55, VLAN, 2),
    hi(55, ANNOUNCE, 1), hi(55, 5, 0), hi(55, 6, 0), hi(55, 255, 255),
])  # fmt: skip
def test_command_that_is_none(net: type[Net], packed: bool, cls: int, cmd: int) -> None:
    device = net(packed)
    for data in (b"", b"\1", b"\1\0", bytes(64), b"\xff" * 400):
        assert command(device, cls, cmd, data) == ERR


NEGOTIATED = {
    (RX, PROMISC): f.NET_F_CTRL_RX,
    (RX, ALLUNI): f.NET_F_CTRL_RX_EXTRA,
    (MAC, 0): f.NET_F_CTRL_RX,
    (MAC, 1): f.NET_F_CTRL_MAC_ADDR,
    (VLAN, 0): f.NET_F_CTRL_VLAN,
    (ANNOUNCE, 0): f.NET_F_GUEST_ANNOUNCE,
    (MQ, 0): f.NET_F_MQ,
}


@pytest.mark.parametrize("cls, cmd", NEGOTIATED)
def test_command_that_was_not_negotiated(net: type[Net], cls: int, cmd: int) -> None:
    device = net(False, changes=f.mask(NEGOTIATED[cls, cmd]))
    assert command(device, cls, cmd, FULL.get((cls, cmd), b"")) == ERR


def dropped(device: Net) -> bool:
    state = device.queue(device.control).device
    assert state and state.holding == 0 and not state.broken and state.used == state.seen
    return len(device.drops(1)) == 1


@LAYOUTS
@pytest.mark.parametrize("shape", [
    hi(55, s)
    for s in ("no-ack", "readable-ack", "empty-ack", "class-only", "ack-only", "two-acks", "long-data")
])  # fmt: skip
def test_shapes(net: type[Net], packed: bool, shape: str) -> None:
    """Nothing is written where there is no writable byte; every buffer comes back."""
    device = net(packed)
    good = (b"\0\0", b"\0")
    if shape == "no-ack":
        assert device.request(*good, acks=0) == NONE and dropped(device)
    elif shape == "readable-ack":
        assert device.request(*good, ack_flags=0) == NONE and dropped(device)
    elif shape == "empty-ack":
        at = device.place(NONE)
        device.offer(device.control, [[(device.place(b"\0\0\0"), 3, 0, 0), (at, 0, WRITE, 0)]])
        device.turn(1)
        assert dropped(device)
        answer = bytearray(1)
        device.engine.peek(at, answer)
        assert answer == NONE
    elif shape == "class-only":
        assert device.request(b"\0") == ERR
    elif shape == "ack-only":
        assert device.request() == ERR
    elif shape == "two-acks":
        assert device.request(*good, acks=3) == OK + NONE * 2
    else:
        assert device.request(b"\1\0", bytes(1 << 18)) in (OK, ERR)
    assert device.request(*good) == OK, "and the queue goes on"


@LAYOUTS
@pytest.mark.parametrize("where", [hi(32, w) for w in ("data", "ack")])
def test_claimed_length_beyond_memory(net: type[Net], packed: bool, where: str) -> None:
    device = net(packed)
    data, ack = device.place(b"\0\0\0"), device.place(NONE)
    huge = 2**32 - 1
    device.offer(
        device.control,
        [[(data, huge if where == "data" else 3, 0, 0), (ack, huge if where == "ack" else 1, WRITE, 0)]],
    )
    device.turn(1)
    state = device.queue(device.control).device
    assert state and state.broken == Reason.BAD_ADDRESS
    device.turn(1)
    assert int(device.engine.info()["status"]) & f.STATUS_NEEDS_RESET


@pytest.mark.parametrize("recipe", [hi(1, "control-queue")])
def test_loop_on_the_control_queue(net: type[Net], recipe: str) -> None:
    device = net(False)
    desc = device.areas[device.control][0]
    device.engine.poke(desc, struct.pack("<QIHH", device.place(bytes(16)), 16, NEXT, 0))
    device.engine.poke(device.areas[device.control][1] + 2, struct.pack("<H", 1))
    device.turn(1)
    state = device.queue(device.control).device
    assert state and state.broken == Reason.CHAIN_LOOP

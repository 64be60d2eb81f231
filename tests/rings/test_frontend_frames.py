"""What our driver logs of a device that is not ours: the frames that the device itself would have logged.

Our device stands in for it, over a socket, and logs for itself; both logs are compared row by row.
"""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import pytest

from dataplane.pair import Layout, PlayFrame
from dataplane.records import FRAME_INDIRECT, TO_DEVICE, TO_DRIVER, Path
from dataplane.source import START
from dataplane.vhost.backend import Backend
from dataplane.vhost.frontend import Frontend
from tests.rings.staging import wait_until

COMPARED = ("position", "length", "captured", "queue", "head", "descriptors", "buffers", "direction")
LEAST = 2_000

Row = dict[tuple[int, int], tuple[Any, ...]]


def logged(source: Backend | Frontend) -> Row:
    """By queue and position."""
    found: Row = {}
    cursor = START
    while len((frames := source.frames(cursor)).rows):
        assert not frames.lost
        cursor = frames.cursor
        for row, at in zip(frames.rows, frames.offsets, strict=True):
            found[int(row["queue"]), int(row["position"])] = (
                *(int(row[name]) for name in COMPARED),
                int(row["flags"]) & FRAME_INDIRECT,  # how a driver maps frames is its own affair
                row["net_header"].tobytes(),
                bytes(frames.data[at : at + int(row["captured"])]),
            )
    return found


def settled(device: Backend, driver: Frontend) -> bool:
    """Both have done with every frame."""
    ours, theirs = driver.snapshot(()).queues, device.snapshot(()).queues
    sent = ours[1].published == ours[1].collected == theirs[1].used
    return sent and ours[0].collected == theirs[0].used


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("features", "chains", "length"),
    [
        ("", Path.AUTO, 64),
        ("", Path.AUTO, 5_000),
        ("+in_order", Path.FIXED, 64),
        ("", Path.INDIRECT, 600),
        ("-indirect_desc", Path.CHAIN, 3_000),
        ("-mrg_rxbuf,+in_order", Path.AUTO, 1_500),
    ],
    ids=lambda value: str(value),
)
def test_both_ends_log_the_same(
    tmp_path: File, layout: Layout, features: str, chains: Path, length: int
) -> None:
    with Backend(str(tmp_path / "s"), mtu=9000) as device:
        device.flood(length=length, sample=1)
        device.set_rate(10_000)
        device.start()
        with Frontend(device.path, layout=layout, queue_size=64, features=features, chains=chains) as driver:
            driver.flood(length=length, sample=1)
            driver.set_rate(10_000)
            driver.start()
            wait_until(lambda: min(q.collected for q in driver.snapshot(()).queues) > LEAST, "frames")
            driver.quiet()
            device.quiet()
            wait_until(lambda: settled(device, driver), "what is under way arrives")
            ours, theirs = logged(driver), logged(device)
            assert len(ours) > 2 * LEAST
            assert ours == theirs
            assert driver.snapshot(()).logs.frames == len(ours)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_list_of_frames_and_a_log_that_is_off(tmp_path: File, layout: Layout) -> None:
    frame = b"\xff" * 6 + bytes(6) + b"\x88\xb5" + bytes(range(50))
    frames = [
        PlayFrame(0, TO_DEVICE, frame, b"\x02" + bytes(11)),  # DATA_VALID is not for a driver to say
        PlayFrame(1_000_000, TO_DRIVER, frame[::-1]),
        PlayFrame(2_000_000, TO_DEVICE, frame * 60),
    ]
    with Backend(str(tmp_path / "s")) as device:
        device.play(frames, loop=False)
        device.start()
        with Frontend(device.path, layout=layout) as driver:
            driver.play(frames, loop=False)
            driver.start()
            wait_until(lambda: driver.snapshot(()).logs.frames == 3, "three frames")
            wait_until(lambda: device.snapshot(()).logs.frames == 3, "three frames")
            assert logged(driver) == logged(device)
            driver.log_frames(False)
            before = driver.snapshot(()).logs
            driver.play(frames[:1], loop=False)
            driver.log_frames(False)
            wait_until(lambda: driver.snapshot(()).queue(1).published == 3, "one more")
            after = driver.snapshot(()).logs
            assert after.frames + after.frames_passed_over == before.frames + before.frames_passed_over + 1

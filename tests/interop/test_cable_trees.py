"""What real stacks leave to the device, as our trees and the list call it: partial, and never bad."""

from __future__ import annotations

import socket

from capture.columns import summary
from capture.dissection.worker import load
from capture.fields import walk
from tests.interop.netns import MIB, Bench
from tests.interop.test_cable import NEEDS_CSUM, TCPV4, TCPV6, Recorder, cabled, nothing_dropped

load()

from capture.dissection.fieldmap import dissect  # noqa: E402


def test_sums_and_segments_left_to_the_device(bench: Bench) -> None:
    with cabled(bench, "split") as pair, Recorder(pair) as recorder:
        for family in (socket.AF_INET, socket.AF_INET6):
            done = bench.transfer("driver", size=MIB, family=family)
            assert done.sent == done.received
        nothing_dropped(bench, pair)
        frames = recorder.frames()
    partial = large = 0
    for frame in frames:
        layers = dissect(frame.data, frame.net_header)
        sums = [field.text for _, field in walk(layers) if field.filter.endswith(".checksum")]
        assert not any("(bad" in text for text in sums), (summary(frame.data), sums)
        left = bool(frame.net_header[0] & NEEDS_CSUM)
        assert any("(partial, offload)" in text for text in sums) == left
        partial += left
        if frame.net_header[1] & 0x7F in (TCPV4, TCPV6):
            large += 1
            assert layers[0].text.startswith("TCP super-frame, ")
    assert partial > 0
    assert large > 0

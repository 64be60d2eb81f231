"""What a capture file says of its source: one interface for each queue and direction, and a comment."""

from __future__ import annotations

from capture.pcapng import Interface
from dataplane.features import feature_names
from dataplane.records import Role
from dataplane.snapshot import Snapshot

_WAYS = {
    Role.RECEIVE: "device to driver",
    Role.TRANSMIT: "driver to device",
    Role.CONTROL: "control",
    Role.REQUEST: "requests",
}


def interfaces(snapshot: Snapshot, *, snap: int = 0, capture_filter: str = "") -> list[Interface]:
    """One interface per queue that carries frames, at the place that the rows of frames name.

    A virtio-net queue has one direction, so the queue tells it; the control queue, the last, has none.
    """
    name = snapshot.identity.name
    layout = "packed" if snapshot.identity.packed else "split"
    known = {queue.index: queue for queue in snapshot.queues if queue.role != Role.CONTROL}
    described = []
    for index in range(max(known, default=-1) + 1):
        queue = known.get(index)
        label, words = f"{name}.q{index}", ""
        if queue is not None:
            label = f"{name}.{queue.name}"
            words = f"virtqueue {index}, {_WAYS[queue.role]}, {layout}, {queue.size} descriptors"
        described.append(Interface(label, words, snap=snap, filter=capture_filter))
    return described


def section_comment(snapshot: Snapshot) -> str:
    """One line on the device: its name, layout, queues and features."""
    identity = snapshot.identity
    layout = "packed" if identity.packed else "split"
    names = " ".join(feature_names(identity.accepted, identity.device_id))
    count = sum(queue.role == Role.RECEIVE for queue in snapshot.queues)
    pairs = f"{count} queue pair{'s' if count != 1 else ''}"
    return f"virtio device {identity.name} ({identity.kind}), {layout}, {pairs}, features: {names}"

"""What the device says about buffers that it used."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="USED_ID_INVALID",
        family="used",
        means="The device returns an id that is not outstanding.",
        sections=("2.7.8", "2.7.8.2", "2.8.6", "2.8.13"),
        look=(
            "The id of a used element is no head (packed: no buffer id) that the device was given, or one "
            "that it has returned before. The driver ignores it, complains, or frees something else; the "
            "right buffer never comes back."
        ),
        causes=(
            Cause(
                "The id of some descriptor of the chain is returned, not that of its head.",
                (
                    "The id is a slot in the middle or at the end of the chain: the status byte of a "
                    "command, say."
                ),
                (Bug("DPDK virtio-user", "commit 0403e37a46", "fix used ring in cvq handling"),),
            ),
            Cause(
                (
                    "Packed: the id is taken from the first descriptor of a list, where it means nothing; "
                    "only the last one has it."
                ),
                "Single descriptors work, lists fail.",
                (
                    Bug(
                        "QEMU",
                        "commit 33abfea239",
                        "hw/virtio: obtain the buffer id from the last descriptor",
                    ),
                ),
            ),
        ),
        next=(
            "Put the used id beside the chain it belongs to: which slot is it?",
            (
                "Split: the id is the index of the head descriptor. Packed: the id in the last descriptor "
                "of the list."
            ),
            "`B`: `broken` stops where a side gives the queue up; `ringscope check` says with what.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="USED_LEN_BAD",
        family="used",
        means="The length in a used element is not what was written into the buffer.",
        sections=("2.7.8", "2.7.8.2", "5.1.6.5"),
        look=(
            "len is larger than the device-writable bytes of the chain (for transmit those are 0), or "
            "counts bytes which the device only read. Strict drivers break the queue or remove the device, "
            "lax ones do not notice."
        ),
        causes=(
            Cause(
                (
                    "For control commands len is the whole chain, or the size of a descriptor, not the one "
                    "byte of the answer."
                ),
                (
                    "Everything stops right after the first command, with drivers that check (NetKVM from "
                    "0.1.285 on)."
                ),
                (
                    Bug(
                        "DPDK vhost",
                        "commit 69244dbc48; cloud-hypervisor 746114319, 2a089db26",
                        "control queue used length wrong",
                    ),
                ),
            ),
            Cause(
                "For transmit len is the size of the packet.",
                (
                    'The driver says "used len is larger than in buflen 0" and breaks the queue: collected '
                    "stands still for good."
                ),
                (
                    Bug(
                        "Linux virtio_ring",
                        "commit 939779f5152d x vhost/vsock (patch 2021-11-22)",
                        "validate used buffer length broke devices that write a non-zero len for TX",
                    ),
                ),
            ),
        ),
        healthy=(
            "Legacy devices write junk into len of transmit and control buffers, and drivers of them must "
            "not look."
        ),
        next=(
            "Add up the device-writable descriptors of the chain and compare.",
            (
                "len is the number of bytes written, from the first writable byte on: 0 for transmit, 1 for "
                "an answer."
            ),
        ),
        vantage=("M", "H", "X"),
    ),
    Code(
        name="USED_OVERRUN",
        family="used",
        means="More is returned than was given: used passes available, or an id comes twice.",
        sections=("2.7.8", "2.7.14"),
        look=(
            "(u16)(avail.idx - used.idx) is beyond the size of the ring, or ids repeat without having been "
            "available again."
        ),
        causes=(
            Cause(
                (
                    "A count of finished buffers is not set back after it was signalled, so that they are "
                    "added again."
                ),
                "used moves on by more than frames were delivered; the same ids again, batch for batch.",
                (
                    Bug(
                        "Linux vhost_net",
                        "patch 2025-09-15, Fixes 67a873df0c41",
                        "vhost-net: unbreak busy polling (count not cleared)",
                    ),
                ),
            ),
        ),
        next=(
            "Compare seen and used: used may equal seen, never pass.",
            (
                "Find the first id that came twice in the past (`3`), and what happened right before: a "
                "signal, an error, a restart."
            ),
            "After a restart think of BASE_MISMATCH first.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="USED_HOLE",
        family="used",
        means="Packed: the slot that the driver waits at is not used, later ones are.",
        sections=("2.8.2", "2.8.6", "2.8.12", "2.8.22"),
        look=(
            "The driver's next used slot does not read used (avail = used = wrap), slots behind it do. The "
            "driver waits there for good."
        ),
        causes=(
            Cause(
                "A batch is written directly while earlier used descriptors still sit in a private list.",
                "The hole is where the private list belongs; comes when single packets and full batches mix.",
                (Bug("DPDK vhost", "commit c7de6f9be5", "vhost: fix shadowed descriptors not flushed"),),
            ),
            Cause(
                (
                    "Used descriptors are written for each element of a list, at the id instead of at the "
                    "used position, or over a ring that was not zero at the start."
                ),
                (
                    "The driver skips the list by its length and lands elsewhere; stale flags from before "
                    "the start."
                ),
                (Bug("DPDK virtio-user", "commit 45c224e73a", "net/virtio-user: fix control VQ (packed)"),),
            ),
        ),
        healthy=(
            "With IN_ORDER one used descriptor stands for a whole batch: the slots it skips stay as they are."
        ),
        next=(
            (
                "Look at the flags slot by slot from the driver's position on (the rings screen shows the "
                "wrap counters)."
            ),
            "Hole once per lap at slot 0: PACKED_WRAP_WRONG. At the edges of batches: this.",
            "The next used descriptor goes where the last one ended: position + descriptors of that list.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="IN_ORDER_BATCH_NOT_UNDERSTOOD",
        family="used",
        means=(
            "IN_ORDER: the device returns a batch by one element, and the driver reads one for each buffer."
        ),
        sections=("2.7.9", "2.8.8"),
        look=(
            "Split: used.idx jumps by n, only the first row of them is new. Packed: one slot is used, the "
            "next one that is written lies n slots on. The driver takes stale ids, or waits behind the "
            "first slot."
        ),
        causes=(
            Cause(
                "The driver has no code for batches: it takes used elements one by one.",
                "Gone with -in_order; single completions work.",
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commits e788032aac (split) and 5c75a8efcd (packed)",
                        "fix in-order Tx path",
                    ),
                ),
            ),
        ),
        next=(
            "Is IN_ORDER negotiated (both sides)? Without it, the device is wrong: USED_HOLE.",
            (
                "The id in the element is the last buffer of the batch: everything up to it is used. "
                "`ringscope learn 10`."
            ),
            "A receive buffer whose length matters needs an element of its own.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="NUM_BUFFERS_BAD",
        family="used",
        means="num_buffers in the net header is not the number of used elements of the packet.",
        sections=("5.1.6.3.2", "5.1.6.4", "5.1.6.4.1"),
        look=(
            "A received packet's header says 0, or more or fewer than the buffers it fills. The driver "
            "drops it, waits for the rest, or puts the next packet behind it."
        ),
        causes=(
            Cause(
                "The field is left 0 where mergeable buffers are off, but VERSION_1 demands 1.",
                "MRG_RXBUF off, VERSION_1 on, the field is 0 in every packet.",
                (Bug("QEMU", "commit c17ad4b11b", "virtio-net: fix num_buffers for version 1"),),
            ),
        ),
        healthy="Legacy devices without MRG_RXBUF have a header of 10 bytes and no such field.",
        next=(
            (
                "Read the header in the packet screen (`2`), and count the buffers of the packet: `d` leads "
                "to its descriptors."
            ),
            (
                "Compare the header's size on both sides too: 12 bytes with VERSION_1 or MRG_RXBUF (20 with "
                "HASH_REPORT), else 10. `ringscope learn 9`."
            ),
        ),
        vantage=("M", "H"),
    ),
)

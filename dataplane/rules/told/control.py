"""Setup, features and memory: what the two sides agreed on."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="BASE_MISMATCH",
        family="control",
        means="The position the device (re)starts at does not fit the ring.",
        sections=("2.7.6", "2.8.1", "2.6.1.1.1", "2.4.1"),
        look=(
            "After a start, restart or migration nothing moves, or old heads are taken again. The base in "
            "SET_VRING_BASE or GET_VRING_BASE is not seen (split), or not both positions with their wrap "
            "counters (packed), as they stand in the ring."
        ),
        causes=(
            Cause(
                (
                    "The reply holds the used position while buffers are in flight, so the same heads are "
                    "taken again."
                ),
                "Base less than seen by what was in flight; ids come twice after the restart.",
                (Bug("DPDK vhost", "commit 90bb22a197", "vhost: fix ring index returned to master on stop"),),
            ),
            Cause(
                "The ring was reset, the base sent is the old avail.idx in its memory.",
                "Base is a lap or so ahead: the driver fills the ring, the device sees nothing available.",
                (
                    Bug(
                        "cloud-hypervisor",
                        "commit aef0a43b5",
                        "vdpa: fix RX failure after device reset by always using base 0",
                    ),
                ),
            ),
            Cause(
                (
                    "A back-end restarts at slot 0 with wrap 1, nothing saved, while the driver goes on "
                    "where it was."
                ),
                "Packed, only after a reconnect; the device waits at slot 0.",
                (
                    Bug(
                        "DPDK virtio-user",
                        "commits 6ebbf4109f, 04bcc80204",
                        "fix packed ring server mode / indirect descriptor reconnection",
                    ),
                ),
            ),
            Cause(
                (
                    "The base of a packed ring holds one position only, or is coded as a split index: wrap "
                    "counters (bits 15 and 31) are 0."
                ),
                (
                    "Base 0 where 0x80008000 is right for a fresh ring; or used descriptors written at a "
                    "wrong slot, a hole at the driver's."
                ),
                (
                    Bug("SPDK", "commit 71ae046ad8 (issue #3070)", "vhost_blk: packed ring index recovery"),
                    Bug("crosvm", "commit 18134c728", "vhost-user: forbid packed virtqueues temporarily"),
                ),
            ),
            Cause(
                "SET_STATUS(0) goes out before GET_VRING_BASE: the state is gone when it is asked for.",
                "The reply is 0 on a ring that was used.",
                (Bug("QEMU", "commit 6f8be29ec1", "vhost-user: send SET_STATUS 0 after GET_VRING_BASE"),),
            ),
        ),
        next=(
            (
                "Put the message's value beside avail.idx and used.idx at that moment. A back-end finishes "
                "what is in flight before it answers GET_VRING_BASE, so base = used.idx = seen; after a "
                "crash base = used.idx, or the inflight region."
            ),
            "A fresh or reset ring starts at 0 (packed: 0 with wrap 1 on both), whatever its memory holds.",
            "Ask the front-end to log SET/GET_VRING_BASE with order and values.",
        ),
        vantage=("M", "C", "K"),
    ),
    Code(
        name="NOT_STARTED",
        family="control",
        means="The driver is ready and publishes; the device's side of the ring was never (re)started.",
        sections=("3.1.1", "2.1", "2.4.1"),
        look=(
            "DRIVER_OK is set, available climbs to the size of the ring, seen is at its start. No "
            "SET_VRING_KICK since the connection; or the transport refuses the queue."
        ),
        causes=(
            Cause(
                "After a reconnect that failed half way the front-end does not try again.",
                "The socket is connected, or was once; the usual messages do not follow.",
                (
                    Bug(
                        "QEMU", "commits 6eaf0e612b, f02a4b8e64, 298d4f892e", "vhost-user: fix lost reconnect"
                    ),
                ),
            ),
            Cause(
                "A message with the NOFD bit is refused, or the bit is taken for part of the queue's number.",
                (
                    "SET_VRING_CALL or _KICK with 0x100 in it, without an fd; the session begins again and "
                    "again."
                ),
                (
                    Bug(
                        "DPDK vhost", "commit 1407b0752e; SPDK 71c1bbeeb5", "NOFD flag in SET_VRING_CALL/KICK"
                    ),
                ),
            ),
            Cause(
                "SET_FEATURES comes after the rings were set up, and the back-end begins anew at it.",
                "The order of messages; ring addresses are 0 in the back-end.",
                (
                    Bug(
                        "DPDK virtio-user",
                        "commit 57ae79a75b",
                        "fix wrong sequence of messages (VPP resets on SET_FEATURES)",
                    ),
                ),
            ),
            Cause(
                "A soft reset left QueueReady at 1, so that the driver believes the queue in use.",
                "Initialisation ends with FAILED; QueueReady reads 1 right after the reset.",
                (Bug("QEMU", "commit 351da8323a", "virtio-mmio: clear v2 transport state on soft reset"),),
            ),
        ),
        healthy=(
            "vhost-user: a ring begins with its first kick, or with SET_VRING_KICK with the NOFD bit: "
            "before that nothing moves."
        ),
        next=(
            (
                "Read the control messages from the last connect on: features, memory, NUM, BASE, ADDR, "
                "KICK, CALL, ENABLE, each for every queue."
            ),
            "Ask the device for its own view: `info virtio-status PATH` in QEMU, `show vhost-user` in VPP.",
        ),
        vantage=("M", "C", "X"),
    ),
    Code(
        name="NOT_ENABLED",
        family="control",
        means="The ring is started and was never enabled.",
        sections=("3.1.1", "2.6"),
        look=(
            "vhost-user with PROTOCOL_FEATURES: the kick fd was sent, kicks come, and the log has no "
            "SET_VRING_ENABLE(1) for this queue; seen is at its base."
        ),
        causes=(
            Cause(
                (
                    "The front-end leaves the message out: it believes that rings begin enabled, which "
                    "holds only without PROTOCOL_FEATURES."
                ),
                "Bit 30 is set in the features, no enable message.",
                (
                    Bug(
                        "QEMU",
                        "commit 4daa5054c5",
                        "vhost: enable vrings in vhost_dev_start() for vhost-user devices",
                    ),
                ),
            ),
        ),
        healthy=(
            "Queue pairs above VQ_PAIRS_SET stay disabled on purpose: transmit is dropped there, receive is "
            "not fed."
        ),
        next=(
            "Look for SET_VRING_ENABLE of exactly this queue, after SET_FEATURES.",
            "Count the queue pairs the driver asked for (VQ_PAIRS_SET).",
        ),
        vantage=("M", "K", "C"),
    ),
    Code(
        name="FEATURE_MISMATCH",
        family="control",
        means="The two sides work with different features.",
        sections=("2.2", "2.2.1", "2.2.2", "3.1.1"),
        look=(
            "Nothing fits: packed descriptors read as split rings, frames shifted by 2 or 10 bytes (header "
            "of 12 or 10), one side using flags and the other events for notifications."
        ),
        causes=(
            Cause(
                "After a reconnect the features saved earlier are sent, not those that the driver accepted.",
                "SET_FEATURES differs from what the driver has; only after a reconnect.",
                (Bug("QEMU", "commit c9bdc449f9", "vhost-user: fix the virtio features negotiation flaw"),),
            ),
            Cause(
                (
                    "A feature that the back-end cannot do is offered, because nobody masked it or asked: "
                    "packed rings, queue reset."
                ),
                (
                    "The driver's ring is packed, the device's view is nonsense; SET_FEATURES may have "
                    "failed unnoticed."
                ),
                (
                    Bug(
                        "QEMU",
                        "commits a0eebd790c and 562a7d23bf",
                        "PACKED / RING_RESET not masked for vhost",
                    ),
                    Bug(
                        "cloud-hypervisor",
                        "issue #2833",
                        "PACKED offered by the back-end but rings processed as split",
                    ),
                ),
            ),
            Cause(
                "A feature both could do is not offered: slow, not stuck.",
                "EVENT_IDX missing in the features; more kicks and calls than needed.",
                (Bug("DPDK vhost", "commit 6b1db8106d", "fix missing event index feature in VDUSE"),),
            ),
        ),
        next=(
            (
                "Compare four lists: offered, accepted by the driver, acknowledged by the front-end, used "
                "by the back-end; `info virtio-status PATH` in QEMU has three of them."
            ),
            "Take away features one by one, RING_PACKED, EVENT_IDX and MRG_RXBUF first: which one cures it?",
        ),
        vantage=("M", "K", "C", "X"),
    ),
    Code(
        name="ADDR_STALE",
        family="control",
        means="The device looks at old or wrong memory for the ring.",
        sections=("2.6", "2.7", "2.7.1", "3.1.1"),
        look=(
            "The device believes that it works: its used position moves, used.idx in the driver's memory "
            "does not. Or it reads indices that nobody stored."
        ),
        causes=(
            Cause(
                "The memory table is new, the addresses of a ring were not translated again.",
                "SET_MEM_TABLE without SET_VRING_ADDR for this queue; others work.",
                (
                    Bug(
                        "SPDK",
                        "commit 37e6827a85; VPP 28812a0d938",
                        "stale ring addresses after a new memory table",
                    ),
                ),
            ),
            Cause(
                "Addresses are computed by the legacy layout after loading a saved state, not taken from it.",
                "used.idx reads 0 with seen far on; available and used rings are not next to each other.",
                (Bug("QEMU", "commit 874adf45db", "virtio: add missing region cache init in virtio_load()"),),
            ),
            Cause(
                "The address of the used ring is computed without the event field, or without its alignment.",
                "used lies inside the available ring or outside its mapping.",
                (Bug("DPDK virtio-user", "commit 7aa71d336c", "fix used ring address calculation"),),
            ),
        ),
        next=(
            (
                "Write one buffer and look for the change: does the device's mapping show it? Compare "
                "/proc/PID/maps with the memory table."
            ),
            (
                "Compare the three addresses in driver, transport and SET_VRING_ADDR; descriptor table "
                "16-aligned, available 2, used 4."
            ),
        ),
        vantage=("M", "C", "X", "S"),
    ),
    Code(
        name="ADDR_OUT_OF_RANGE",
        family="control",
        means="A descriptor's address lies outside the memory that the device was given.",
        sections=("2.7.5", "2.7.4", "2.6"),
        look=(
            "The device stops (often the whole interface) at a buffer whose address, or address + length, "
            "is in no region of the memory table."
        ),
        causes=(
            Cause(
                "One bad address disables everything: the buffer leaks and the interface goes down.",
                "All queues static with something available; the log of the device has the address.",
                (
                    Bug(
                        "VPP",
                        "commit 95827e43076",
                        "buffer leak and interface disabled on a descriptor out of mmap",
                    ),
                ),
            ),
        ),
        next=(
            "Compare address and address + len with the regions of the memory table, ends included.",
            "With ACCESS_PLATFORM addresses are those of the IOMMU: is it on, and does the device translate?",
            "`W` on the descriptor: who stored that address, and when was that memory taken away?",
        ),
        vantage=("M", "C"),
    ),
    Code(
        name="QUEUE_ALIASED",
        family="control",
        means="Two queue numbers share one state.",
        sections=("2.6", "4.1.4.3", "5.1.2"),
        look=(
            "Setting up one queue moves another: its addresses and indices jump, or both work on one piece "
            "of memory. The numbers often differ by 256."
        ),
        causes=(
            Cause(
                "The number of the queue is kept in 8 bits, so that queue 256 is queue 0.",
                "Only with more than 256 queues (128 pairs); the first queue dies when the last is set up.",
                (
                    Bug(
                        "DPDK vhost/virtio",
                        "commit 8a886e573a",
                        "Tx queue 0 overridden by queue 128 (uint8 queue index)",
                    ),
                ),
            ),
        ),
        next=(
            "Print the ring addresses of all queues and look for a pair.",
            "Halve the number of queues: cured?",
        ),
        vantage=("M", "C", "X"),
    ),
    Code(
        name="CONTROL_DEADLOCK",
        family="control",
        means="A control request has no reply, and the data path waits for it.",
        sections=("2.6.1", "3.1.1"),
        look=(
            "All indices stand still at once, kicks pile up. A message or a pause is pending without an "
            "answer; a thread of the data path waits for a lock or a barrier."
        ),
        causes=(
            Cause(
                (
                    "The handler of a message holds the lock of the ring and waits for the data thread, "
                    "which needs the lock to call."
                ),
                "Two stacks, each waiting for the other.",
                (
                    Bug(
                        "SPDK",
                        "commit 40f556ca38 (issue #2518)",
                        "do not kick VM when there are outstanding vhost-user messages",
                    ),
                ),
            ),
            Cause(
                "A pause waits at a barrier for as many threads as queues are configured, not as run.",
                "Only with fewer queues active than configured.",
                (
                    Bug(
                        "cloud-hypervisor",
                        "commits 5aeb9f55d and 882f82f04",
                        "pause barrier sized by configured, not activated, queues",
                    ),
                ),
            ),
        ),
        next=(
            (
                "Take the stacks of all threads of the device before you touch it (`gdb -p PID -batch -ex "
                '"thread apply all bt"`).'
            ),
            "Find the message without a reply: the last in the control log.",
        ),
        vantage=("K", "C", "S"),
    ),
    Code(
        name="OBSERVER_STOPPED_RING",
        family="control",
        means="Somebody looked at the ring by a request that stops it.",
        sections=("2.6",),
        look=(
            "GET_VRING_BASE in the control log, with no shutdown around it. Afterwards the ring is stopped "
            "(in DPDK all rings of the device), its fds are closed, kicks pile up."
        ),
        causes=(
            Cause(
                (
                    "A monitor command asks a vhost queue for its position by GET_VRING_BASE, which stops "
                    "the ring by definition."
                ),
                "The moment at which it stopped is the moment of the query.",
                (
                    Bug(
                        "QEMU",
                        "docs/interop/vhost-user.rst + hw/virtio/virtio.c (x-query-virtio-queue-status)",
                        "observing a vhost queue through GET_VRING_BASE stops the ring",
                    ),
                ),
            ),
        ),
        next=(
            (
                "Do not ask a running vhost queue by x-query-virtio-queue-status or `info "
                "virtio-queue-status`: `info virtio-vhost-queue-status PATH Q` sends no message."
            ),
            (
                "Start the ring again: SET_VRING_BASE with the value replied, SET_VRING_KICK, enable; or "
                "reset the device."
            ),
        ),
        vantage=("K", "C"),
    ),
)

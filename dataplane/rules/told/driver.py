"""What the driver does, or leaves undone."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="RX_STARVED",
        family="driver",
        means="Frames come, and the receive queue has no buffer: nobody refills it.",
        sections=("5.1.6.3", "5.1.6.3.1"),
        look=(
            "On a receive queue available equals used (often collected too) and stands still, while frames "
            "are dropped or wait at the device."
        ),
        causes=(
            Cause(
                (
                    "Refilling runs only after a successful receive: once the pool was empty at that "
                    "moment, there is never another."
                ),
                "Everything collected, all descriptors free, drops rise; the pool has buffers again.",
                (Bug("DPDK virtio PMD", "commit 3eabd79c50", "virtio: fix Rx ring descriptor starvation"),),
            ),
            Cause(
                'One burst took everything, and the re-arm stands behind "nothing used, return".',
                (
                    "available is a multiple of the re-arm batch; a burst at least as large as the ring "
                    "came before."
                ),
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commits d99088431e and bcf55c9302",
                        "fix vectorized Rx queue rearm / flushing",
                    ),
                ),
            ),
            Cause(
                (
                    "The device has data and no buffer, and turns round and round on a level-triggered "
                    "wakeup; refills come late or never."
                ),
                "The device's thread at 100 %, its other devices slow, seen and used static.",
                (
                    Bug(
                        "Firecracker",
                        "commit dde124627",
                        "stop busy-spinning the event thread on guest RX starvation",
                    ),
                ),
            ),
        ),
        healthy=(
            "A receive queue full of empty buffers that gets no frames is idle: available is above used "
            "there."
        ),
        next=(
            "Look at the drops and at the pool of the driver: empty, or full while nobody asks?",
            "Find the condition of the refill in the driver; it must not depend on having received.",
            "`ringscope check` counts the frames dropped meanwhile.",
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="DRIVER_NOT_REAPING",
        family="driver",
        means="Something is used, the driver is awake, and its condition for collecting never holds.",
        sections=("2.7.14", "2.8.22"),
        look=(
            "used stays above collected; the driver runs (it sends or tries to), a spare call changes "
            "nothing. On transmit nothing is free in the end."
        ),
        causes=(
            Cause(
                (
                    "Used buffers are only freed above a threshold that was computed from another size than "
                    "the driver uses, so it is never reached."
                ),
                (
                    "used minus collected equals the driver's number of descriptors, below the size of the "
                    "ring; transmit errors rise."
                ),
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commit 3e3c7f3fa5 (bugzilla 1716; reverted by 5a117f05fc)",
                        "fix check of threshold for Tx freeing",
                    ),
                ),
            ),
        ),
        healthy=(
            "Transmit buffers that are freed only when the next is sent, or above a threshold which can be "
            "reached."
        ),
        next=(
            "Send one spare call. No movement: it is not the call path.",
            "Put the threshold beside the largest value that used minus collected can take.",
            "`z`, then `s` with the driver first: which test makes it turn back?",
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="DRIVER_NOT_SUBMITTING",
        family="driver",
        means="The ring is idle and sound, there is work to do, and the driver gives it none.",
        sections=("2.7.13",),
        look=(
            "available equals used, descriptors are free, the backlog of the application is above 0; or a "
            "receive queue with free descriptors is not filled. Nothing in the ring is wrong."
        ),
        causes=(
            Cause(
                (
                    "A thread of the driver is blocked: stopped twice, or by a refill that waits for the "
                    "one who stops it."
                ),
                "Its stack says where; often just after a resize or close.",
                (
                    Bug(
                        "Linux virtio_net",
                        "patch 2022-08-11 (resize while down); commit 4bc12818b363",
                        "napi_disable twice / delayed refill deadlock",
                    ),
                ),
            ),
            Cause(
                (
                    '"Not enough descriptors now" and "more than the ring can ever hold" share one error: '
                    "the request is dropped and not tried again."
                ),
                "The ring was full once; the request is in no queue.",
                (Bug("SPDK", "commit 8b94174a4e", "virtio: fix full-virtqueue handling"),),
            ),
        ),
        healthy="No work: an idle ring. Look for the backlog before you blame anyone.",
        next=(
            "Look at the stack of the driver's thread, its stopped flags, and its list of waiting requests.",
            "Ask who wakes the driver when descriptors become free, and whether a call is enabled then.",
        ),
        vantage=("S",),
    ),
    Code(
        name="DRIVER_READS_UNUSED",
        family="driver",
        means="The driver collects what the device has not used yet.",
        sections=("2.7.14", "2.8.2", "2.8.9", "5.1.6.4.1"),
        look=(
            "collected passes used, or the driver's own position passes the device's. Buffers are read "
            "twice, later ones are lost; or it spins on a value that it read once."
        ),
        causes=(
            Cause(
                (
                    "Following segments of a packet are taken by a count instead of by the flags of each "
                    "descriptor."
                ),
                (
                    "Packets of several buffers come out garbled under load; num_buffers is above the "
                    "number used so far."
                ),
                (Bug("DPDK virtio PMD", "commit c3a954eb74", "fix packets check in mergeable packed Rx"),),
            ),
            Cause(
                (
                    "One decision takes two loads of the same flags word, or the index is read once before "
                    "a loop that never sees a newer one."
                ),
                (
                    "The bits belong to two moments; or used moves on and collected does not, the driver "
                    "spinning."
                ),
                (
                    Bug(
                        "DPDK",
                        "commits 48cae0bfa6 and b81026f1e7",
                        "double read of descriptor flags / used index read only once",
                    ),
                ),
            ),
        ),
        next=(
            "Compare the driver's position with the device's: the driver may equal it, never pass.",
            "Each element must be checked itself, by one load, before it is read.",
            "`s` over the driver's collect and count its loads of the flags.",
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="DRIVER_SPINS",
        family="driver",
        means="A thread of the driver runs at 100 %, and no index moves.",
        sections=("2.1.2", "2.7.14"),
        look=(
            "collected stands still, the processor is busy in the driver's poll. A spare call changes "
            "nothing."
        ),
        causes=(
            Cause(
                (
                    'The queue is marked broken, which the poll does not look at: it answers "more used" '
                    "for ever."
                ),
                "The log says broken, reset or removed; the stack shows the poll.",
                (
                    Bug(
                        "Linux virtio_net / virtio_ring",
                        "commits 481a0d7422db and 0d0eff39ceb3",
                        "poll loops without end when the queue is broken",
                    ),
                ),
            ),
        ),
        healthy="Polling drivers are always at 100 %: ask whether the index moves when work comes.",
        next=(
            "Look at the driver's broken flag and the device's status.",
            "A loop that polls needs an end for a broken queue and a gone device.",
        ),
        vantage=("M", "S"),
    ),
    Code(
        name="FREE_COUNT_WRONG",
        family="driver",
        means="Free descriptors and outstanding ones do not add up to the size of the ring.",
        sections=("2.7.13.1", "2.8.22"),
        look=(
            "The driver's free count falls by something at each round; in the end it refuses with free "
            "descriptors before its eyes (or writes over used ones)."
        ),
        causes=(
            Cause(
                "Descriptors of a request are subtracted in two places.",
                "One lost for each command; a control queue fails after about half its size.",
                (Bug("DPDK virtio PMD", "commit 2923b8f9c4", "net/virtio: fix control VQ (packed)"),),
            ),
        ),
        next=(
            (
                "With the pair at rest: free + descriptors in outstanding chains = size (the rings screen "
                "has the count, and each slot's owner). Indirect chains take one."
            ),
            "See after which kind of request the sum changes: errors, indirect, control.",
            'Follow one buffer with `L`: "recycled" must give back all its slots.',
        ),
        vantage=("M", "S"),
    ),
    Code(
        name="ID_REUSED_WHILE_OUTSTANDING",
        family="driver",
        means="One head or buffer id is available twice at a time.",
        sections=("2.7.13", "2.8.6", "2.8.16"),
        look=(
            "Among the outstanding buffers one id stands twice, and another never comes again. Frames are "
            "overwritten or come twice."
        ),
        causes=(
            Cause(
                (
                    "The driver fills a slot with the number of the slot, not with the id that came back: "
                    "wrong as soon as buffers return out of order."
                ),
                "Only with a device that completes out of order; the doubled id is that of its slot.",
                (Bug("DPDK virtio PMD", "commit 2d91b28730", "fix refill order in packed ring datapath"),),
            ),
            Cause(
                (
                    "With IN_ORDER a batch is returned by its last id in its first slot, and the driver "
                    "posts the slot again without restoring the id."
                ),
                "Only with IN_ORDER and batches; ids differ from what the order demands.",
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commit ad6f01945a",
                        "fix avail descriptor ID (IN_ORDER with indirect)",
                    ),
                ),
            ),
            Cause(
                "The driver frees by position instead of by the id in the used entry.",
                "Used ids come out of order, and slots are freed that the device still owns.",
                (Bug("VPP", "commit 7f6d145accc", "virtio: fix the out of order descriptors in tx"),),
            ),
        ),
        next=(
            "List the ids of outstanding buffers (`ringscope snapshot --json`) and look for a pair.",
            "Let the device complete out of order in a test: 2, 0, 1, 3.",
            "What is recycled is what the used entry names, nothing else.",
        ),
        vantage=("M", "H"),
    ),
)

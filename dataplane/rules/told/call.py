"""The call path, device to driver."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="CALL_MISSING",
        family="call",
        means="Something is used, the call was due by what stands in memory now, and none was sent.",
        sections=("2.7.7.2", "2.8.10"),
        look=(
            "collected stays below used while the driver sleeps. avail.flags is 0, or used_event lies in "
            "[collected, used); packed: driver event flags are 0, or 2 with a slot that was passed. No call "
            "since used.idx moved, none pending. The next completion repairs it."
        ),
        causes=(
            Cause(
                (
                    "The device stores used.idx and reads the driver's request without a full barrier "
                    'between: it reads the old "no calls" while the driver reads the old used.idx and '
                    "sleeps."
                ),
                "Seldom, under load, and gone with a barrier after the store of used.idx.",
                (Bug("QEMU", "commit a281ebc11a", "virtio: add missing mb() on notification"),),
            ),
            Cause(
                (
                    "used_event is read too early, or the decision is made later and over another window "
                    "than the store of used.idx: the driver armed in between."
                ),
                (
                    "The value the device decided with differs from the one in memory, which was stored "
                    "before used.idx became visible."
                ),
                (
                    Bug(
                        "rust-vmm vhost-user-backend",
                        "commit 31af317",
                        "call get_used_event from needs_notification",
                    ),
                    Bug("Firecracker", "commit ffe77023c", "fix: more compliant VIRTIO notifications"),
                ),
            ),
            Cause(
                "used_event is tested for equality rather than for having been crossed.",
                "Single completions always call; a batch that jumps over used_event never does.",
                (Bug("LKL", "lkl/linux issue #148", "used_event tested with == not with a range"),),
            ),
            Cause(
                (
                    "The call that was owed when the ring was stopped is dropped and not made up for at the "
                    "restart."
                ),
                "Used before the stop, no call since the start, everything available is seen.",
                (
                    Bug(
                        "SPDK",
                        "commit dbe47004e5 (issue #3150); same idea 29181903ce",
                        "ensure a vring call interrupt when restart the device vq",
                    ),
                ),
            ),
            Cause(
                "Writing the call eventfd failed, and the device took it for sent.",
                (
                    "An error of write(2) in the log, or no call fd at that moment; the device says that it "
                    "owes nothing."
                ),
                (Bug("SPDK", "commit 9b74b4a3de", "do not clear interrupt counter for error case"),),
            ),
            Cause(
                (
                    "Packed: used descriptors are written at the heads of lists only, and the driver waits "
                    "for a flag in a slot in the middle of one."
                ),
                (
                    "Driver event flags are 2 with an offset inside a list; the slot at the offset never "
                    "turns used although the device passed it."
                ),
                (
                    Bug(
                        "Linux virtio_ring", "commit 40ce7919d873", "virtio_ring: fix stalls for packed rings"
                    ),
                ),
            ),
            Cause(
                "The path that completes these buffers has no call in it at all.",
                (
                    "Calls of this queue are 0 for good, used climbs to the size of the ring, then the "
                    "driver is full."
                ),
                (Bug("hvisor-tool", "issue #102", "no interrupt after TX used"),),
            ),
        ),
        healthy=(
            "A driver that polls or frees transmit buffers when it sends the next needs no call: used above "
            "collected is normal there for as long as it likes."
        ),
        next=(
            (
                "Send one spare call (or complete one more buffer): if collected moves, the call was lost "
                "and the ring is sound."
            ),
            "Set `B` to `call quiet tx0`: it stops where the device decides, with the value that it read.",
            (
                "Check the device: store used.idx, full barrier, read used_event or flags, decide over "
                "[used.idx before, used.idx now). `ringscope learn 5` and `ringscope learn 6` step through "
                "it."
            ),
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="CALL_SUPPRESSED_FLAG",
        family="call",
        means="Something is used, and the driver sleeps with calls switched off by its flag.",
        sections=("2.7.7", "2.7.7.1", "2.8.10"),
        look=(
            "avail.flags is 1 (packed: driver event flags are 1) and stays so, collected stands still, the "
            "driver waits for a call. The device does as it was told."
        ),
        causes=(
            Cause(
                (
                    "The driver keeps a copy of its flags and leaves the store out where the copy says that "
                    "nothing changes; disabling did not bring the copy up to date."
                ),
                "The application says that interrupts are on; memory says off. Only the first enable works.",
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commit c68fee9588",
                        "net/virtio: fix interrupt helper for packed ring",
                    ),
                ),
            ),
        ),
        healthy=(
            "A polling driver leaves calls off for ever. Stuck is only one that sleeps. With EVENT_IDX a "
            "split ring's flags mean nothing: look at used_event."
        ),
        next=(
            "Ask whether the driver polls: does collected move when the next buffer is used?",
            "See who stored the flag last (`W`), and what the driver did between that and its sleep.",
            "After enabling calls a driver must look at the used ring once more before it sleeps.",
        ),
        vantage=("M", "K", "S"),
    ),
    Code(
        name="CALL_SUPPRESSED_STALE",
        family="call",
        means=(
            "No call, because it was decided with an old number: used_event, or where the device called last."
        ),
        sections=("2.7.7.1", "2.7.7.2", "2.8.10", "2.8.14"),
        look=(
            "collected stands still below used and the driver sleeps. With used_event in memory now and the "
            "used.idx of the last call as it ought to be, a call was due or would be; with the values that "
            "the device used it was not. Or used_event itself is left behind by the driver, and no used.idx "
            "of this lap crosses it."
        ),
        causes=(
            Cause(
                (
                    "Packed: the used position went round once or more between two decisions, and the "
                    "position of the last call, kept modulo the size, hides it."
                ),
                "Needs a batch of a lap or more; small batches always call.",
                (Bug("QEMU", "commit 750539c4c4", "virtio: signal after wrapping packed used_idx"),),
            ),
            Cause(
                "The position of the last call survives a reset or restart while used.idx begins at 0 again.",
                (
                    "Only after a restart, and only where the stale value happens to lie in (used_event, "
                    "used.idx]; looks random."
                ),
                (
                    Bug(
                        "DPDK vhost",
                        "commit 2f706027c8",
                        "vhost: fix interrupt suppression for the split ring",
                    ),
                ),
            ),
            Cause(
                (
                    'The position of the last call moves on in a function that merely asks "should I '
                    'call?", and whose answer is dropped.'
                ),
                "Position of the last call equals used.idx, yet the eventfd was not written.",
                (
                    Bug(
                        "crosvm",
                        "commits c6554e9c7 and revert b0423fd52",
                        "virtqueue: update signalled_used on check",
                    ),
                ),
            ),
            Cause(
                "The driver negotiates EVENT_IDX and never moves used_event.",
                "used_event is 0: one call at the first buffer, then none for 65,535.",
                (
                    Bug(
                        "rcore virtio-drivers",
                        "commit 3ce80bd",
                        "update avail used_event to support EVENT_IDX (driver)",
                    ),
                ),
            ),
            Cause(
                (
                    "The driver enables calls outside the lock of its poller, while the poller runs again "
                    "on another processor: used_event is stored by both and moves backwards."
                ),
                "used_event goes back in the past of its stores; made frequent by a delay inside enabling.",
                (Bug("Linux virtio_net", "commit cbdadbbf0c79", "virtio_net: fix race in RX VQ processing"),),
            ),
        ),
        healthy=(
            "used_event ahead of used.idx on purpose: drivers that want one call for many buffers arm at "
            "three quarters of what is outstanding."
        ),
        next=(
            (
                'Compare the values of the decision (device\'s side, "decided with") with memory now; both '
                "stand on the rings screen and in `ringscope check`."
            ),
            (
                "Follow the stores of used_event in the past (`3`, `W`): does it move whenever the driver "
                "goes to sleep?"
            ),
            "Set `B` to `call quiet` for the queue and step over the decision with `s`.",
        ),
        vantage=("M", "H", "K", "S"),
    ),
    Code(
        name="CALL_DISCARDED",
        family="call",
        means="A call was sent and came to nothing: lost on the way, or thrown away by the driver.",
        sections=("2.3", "3.1.1", "4.1.4.5"),
        look=(
            "collected stands still below used while the driver sleeps. The device's calls sent have risen "
            "since used.idx moved, none is left to read. The device owes nothing."
        ),
        causes=(
            Cause(
                (
                    "The call is lost between the sides: the device counts it as sent, the driver never "
                    "reads it."
                ),
                "Calls sent stay above calls read, and the eventfd is empty. Any other call frees it.",
            ),
            Cause(
                (
                    "The interrupt came before the driver had marked the device ready; the handler says "
                    '"not mine", and nothing looks at the ring once it is ready.'
                ),
                "The call is older than the ready flag; collected is 0.",
                (
                    Bug(
                        "Linux virtio core",
                        "commit 8b4ec69d7e09 (hardening turned off by a later patch)",
                        "virtio: harden vring IRQ",
                    ),
                ),
            ),
        ),
        healthy="A driver whose poller is scheduled may drop further calls: it will look anyway.",
        next=(
            "One spare call frees it: then the driver must look at its queues once after it becomes ready.",
            (
                "Look at how the handler decides whether an interrupt is its own: ISR bits, ready flag, "
                "shared line."
            ),
        ),
        vantage=("M", "K", "X"),
    ),
    Code(
        name="CALL_WRONG_QUEUE",
        family="call",
        means="The calls go to another queue, vector or eventfd than the driver waits on.",
        sections=("2.3", "4.1.5.1.2", "4.1.5.3"),
        look=(
            "One queue has something used and sees no call; calls of another rise with its completions, or "
            "the call fd of this queue has a count that nobody reads."
        ),
        causes=(
            Cause(
                (
                    "The driver waits on an entry of an array of fds that holds receive and transmit in "
                    "turn, by the wrong index."
                ),
                "The first queue pair works, the second does not; the count of the right fd grows unread.",
                (Bug("DPDK virtio-user", "commit 23ab0c59bc", "fix Rx interrupts with multi-queue"),),
            ),
            Cause(
                (
                    "Numbers of queues were made anew from a list with holes after a resume: queues {0,2} "
                    "call on vectors {0,1}."
                ),
                "Only after a resume, only with queues left out.",
                (Bug("cloud-hypervisor", "commit e4f074452", "Preserve queue indices across resume"),),
            ),
            Cause(
                'Two queues share one "needs a call" flag, and only one of them is called.',
                "used moves on the second queue, its calls stay 0, and the driver runs out of buffers there.",
                (Bug("crosvm", "commit b90d7d607", "devices: fix virtio-input not interrupting statusq"),),
            ),
        ),
        healthy="One vector for several queues is legal: then the driver must look at all of them.",
        next=(
            "Compare, queue by queue, used against calls: the odd pair names both ends of the wrong wire.",
            (
                "Check the vector of each queue as the transport has it (`lspci -v`, /proc/interrupts) "
                "against what the device uses."
            ),
        ),
        vantage=("M", "K"),
    ),
    Code(
        name="ISR_NOT_SET",
        family="call",
        means="The call came as a message or by eventfd only, and the ISR bit that the driver polls stays 0.",
        sections=("4.1.4.5", "4.1.4.5.1", "4.1.5.3"),
        look=(
            "Calls are sent and used is above collected; the ISR status reads 0. The driver works with "
            "MSI-X and stands still with INTx or where it polls ISR."
        ),
        causes=(
            Cause(
                "The data path signals by irqfd and leaves the ISR byte alone.",
                (
                    "Works in the running system, hangs in crash dump, hibernation or firmware, whose "
                    "drivers poll ISR."
                ),
                (
                    Bug(
                        "QEMU",
                        "commits 83d768b564 and b4b9862b53",
                        "virtio: set ISR on dataplane notifications",
                    ),
                ),
            ),
        ),
        healthy="With MSI-X on, the ISR byte means nothing for queues.",
        next=(
            "Find out whether the driver reads ISR: does it hang only in early or late stages of its life?",
            "The device must set bit 0 before it signals, whatever the path.",
        ),
        vantage=("M", "K", "X"),
    ),
    Code(
        name="CALL_DELAYED",
        family="call",
        means="The call comes late, at the tick of a timer.",
        sections=("2.7.7", "2.3"),
        look=(
            "Something is used and not collected for a while, again and again, and then everything at once. "
            "The delay is always near the same period."
        ),
        causes=(
            Cause(
                "A rate limiter without tokens returns early, before the step that calls.",
                "The delay equals the refill period of the limiter; without it there is none.",
                (
                    Bug(
                        "cloud-hypervisor",
                        "commit 695630660",
                        "block: reduce notification latency when rate limited",
                    ),
                ),
            ),
        ),
        healthy=(
            "Interrupt coalescing (VIRTIO_NET_F_NOTF_COAL, VIRTIO_NET_F_VQ_NOTF_COAL) and NOTIFY_ON_EMPTY "
            "delay calls as they were asked to: latency, not loss."
        ),
        next=(
            (
                "See how the waiting is spread: `L` on a packet shows p50, p99 and max of each gate; a "
                "sharp edge is a timer."
            ),
            (
                "Switch off limiter and coalescing one at a time. Whatever is used must be told, even if "
                "nothing more may begin."
            ),
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="CALL_UNWANTED",
        family="call",
        means="Calls are sent to a driver that polls: slow, not stuck.",
        sections=("2.7.7", "2.8.10"),
        look=(
            "Calls rise with every batch and the count of the call eventfd grows, read by nobody. collected "
            "follows used without trouble."
        ),
        causes=(
            Cause(
                (
                    "A queue set up anew after a reconnect begins with calls enabled, and the polling "
                    "driver does not switch them off again."
                ),
                "Only after a reconnect; driver event flags are 0.",
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commit f50560a54b",
                        "net/virtio: fix unexpected event after reconnect",
                    ),
                ),
            ),
        ),
        healthy="A few calls around the change between polling and waiting.",
        next=(
            "Look at driver event flags or avail.flags: 1 is what a poller should have there.",
            "Switch calls off in whatever sets the queue up, not only at the first start.",
        ),
        vantage=("M", "K"),
    ),
)

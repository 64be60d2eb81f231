"""What is not the fault of one queue."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="LIVELOCK",
        family="other",
        means="Wakeups without end, and no progress; or one queue that takes all the time.",
        sections=("2.7.13.4", "2.7.14"),
        look="A thread is at 100 %; indices stand still, or those of one queue run while all others starve.",
        causes=(
            Cause(
                (
                    "A disabled ring has a kick pending; the handler returns before reading it, and a "
                    "level-triggered wakeup comes again at once."
                ),
                "The count of the eventfd stays, the ring is disabled.",
                (
                    Bug(
                        "rust-vmm vhost-user-backend",
                        "commit d583fe1",
                        "Do not process disabled queues (but always read the event)",
                    ),
                ),
            ),
            Cause(
                "Receive buffers of one byte are used up without counting against the budget of a turn.",
                "used moves by many entries with length 1 for each packet.",
                (
                    Bug(
                        "Linux vhost_net",
                        "commit e2412c07f8f3 (CVE-2019-3900)",
                        "vhost_net: fix possible infinite loop",
                    ),
                ),
            ),
            Cause(
                (
                    "The device reads avail.idx anew for each buffer and never ends its turn while the "
                    "driver adds."
                ),
                "One turn takes more buffers than the ring has slots.",
                (
                    Bug(
                        "cloud-hypervisor", "commit fbcf2fd6b", "cap submit-loop iterations to virtqueue size"
                    ),
                ),
            ),
        ),
        healthy="Polling sides are always at 100 %.",
        next=(
            "Count wakeups against buffers: `perf trace`, or turns and buffers taken on the rings screen.",
            (
                "Every turn needs a bound (the ring's size), and every wakeup must be read, whatever the "
                "state of the ring."
            ),
        ),
        vantage=("M", "H", "K", "S"),
    ),
    Code(
        name="NOT_IN_RING",
        family="other",
        means="The ring is idle and sound: the fault is elsewhere.",
        sections=("2.7.13", "2.7.14"),
        look=(
            "available, seen, used and collected are equal, or all that is available are empty receive "
            "buffers; notifications are as they should be; and yet nothing arrives."
        ),
        causes=(
            Cause(
                "Packets wait in a buffer of the software, for a timer or a poll that does not come.",
                "Backlog of the application above 0, ring static.",
                (Bug("VPP", "commit a5203b53d4f", "run process to send interrupts to input nodes"),),
            ),
        ),
        next=(
            (
                "Look above and below: queues of the network stack, back-end, filter, link state, MTU, "
                "addresses."
            ),
            (
                "Send one packet and watch whether it enters the ring (`2`, or `B`: `tx0 publish`). It "
                "does: follow it with `L`. It does not: look above."
            ),
        ),
        vantage=("S",),
    ),
    Code(
        name="BENIGN",
        family="other",
        means="A private value is odd and has no effect that anybody sees.",
        sections=("2.8.1", "2.6.1.1.1"),
        look=(
            "A number of one side does not look as it should, everything works, and what crosses to the "
            "other side is right."
        ),
        causes=(
            Cause(
                (
                    "A mask one bit too wide keeps the wrap counter inside the saved used index; it goes "
                    "back out the same way."
                ),
                "The value makes the round trip through GET_VRING_BASE unchanged.",
                (Bug("QEMU", "commit c92f4fcafa", "virtio: fix packed virtqueue used_idx mask (0x7ffff)"),),
            ),
        ),
        next=(
            (
                "Do not chase it in a stuck queue. Note it, and see whether the same value is used "
                "elsewhere (a restart, a migration to another version)."
            ),
        ),
        vantage=("S",),
    ),
)

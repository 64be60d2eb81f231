"""The kick path, driver to device."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="KICK_MISSING",
        family="kick",
        means="Something is available, the kick was due by what stands in memory now, and none was sent.",
        sections=("2.7.10.1", "2.7.13.4.1", "2.8.10", "2.8.21"),
        look=(
            "seen stays below available while the device sleeps. The rule for kicks, worked out with the "
            'values in memory, says "kick": used.flags is 0, or avail_event lies in [seen, available); '
            "packed: device event flags are 0, or 2 with a slot that was passed. Kicks sent did not rise "
            "since the last publish, and none is pending. Any later kick clears it all at once."
        ),
        causes=(
            Cause(
                (
                    "The device looks at the ring, finds it empty, asks for kicks and sleeps; the look was "
                    "allowed to pass the store that asks (no full barrier between them). The driver "
                    'published in between and still read "no kicks".'
                ),
                (
                    "Comes seldom and under load, more on many CPUs; adding a full barrier and a second "
                    "look after enabling kicks ends it."
                ),
                (
                    Bug("QEMU", "commit 92045d80ba", "virtio: add missing mb() on enable notification"),
                    Bug(
                        "cloud-hypervisor",
                        "issue #2179",
                        "virtio: missing barrier in update_avail_event / hang under iperf stress",
                    ),
                ),
            ),
            Cause(
                (
                    "The device asks for kicks again after draining and sleeps without looking at the ring "
                    "once more."
                ),
                (
                    "Also without any reordering: stop the device between its last look and its store, "
                    "publish one, let it go on."
                ),
                (Bug("hvisor-tool", "issue #101", "no re-check of avail ring after enabling notifications"),),
            ),
            Cause(
                (
                    "The driver decides by the wrong words: on a packed ring it reads the place where a "
                    "split ring has used.flags."
                ),
                "Device event flags allow kicks, and the decision never changes with them.",
                (Bug("VPP", "commit 24841867d17", "virtio: fix the interrupt handling for packed queues"),),
            ),
            Cause(
                (
                    "The doorbell was rung by a way that leads nowhere: the PCI_CFG window, or an internal "
                    "notify that runs another handler than the eventfd the device waits on."
                ),
                "The transport or trace log has the write, the eventfd count did not rise.",
                (
                    Bug("cloud-hypervisor", "commit 85c0725f5", "signal queue eventfd for PCI_CFG doorbells"),
                    Bug(
                        "QEMU",
                        "commit fcccb271e0",
                        "virtio: notify virtqueue via host notifier when available",
                    ),
                ),
            ),
        ),
        healthy=(
            "A receive, event or statistics queue holds available buffers for ever; and a polling device "
            "needs no kick. Ask whether the device has anything to do with them."
        ),
        next=(
            (
                "Send one spare kick, or make the driver publish one more buffer: if seen moves, the kick "
                "was lost and the ring is sound."
            ),
            (
                "Compare the newest kick decision of the driver with the value in memory now: the two "
                "differ where the race was lost. On the rings screen both stand side by side; in a past "
                "moment (`,` `.`) find the store of that value, `W` says who made it and when."
            ),
            "Set `B` to `kick quiet tx0` and read which values the driver decided with.",
            (
                "Check both halves of the handshake: driver publishes, full barrier, reads the request; "
                "device stores the request, full barrier, looks at the ring again. `ringscope learn 11` and "
                "`ringscope learn 13` show it."
            ),
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="KICK_SUPPRESSED_FLAG",
        family="kick",
        means="Something is available, and the device sleeps with kicks switched off by its flag.",
        sections=("2.7.10", "2.7.10.1", "2.8.10"),
        look=(
            "used.flags is 1 (packed: device event flags are 1) and stays so, seen stands still, kicks sent "
            "do not rise, available climbs towards the size of the ring. The driver does as it was told."
        ),
        causes=(
            Cause(
                (
                    "The device was switched from polling to waiting, or its handlers were taken off and "
                    "put back, and nobody cleared the flag or looked once afterwards."
                ),
                "The flag was set by the poller; since the switch the device came to the queue no more.",
                (Bug("QEMU", "commit 5bdbaebcce", "virtio: Re-enable notifications after drain"),),
            ),
            Cause(
                (
                    "The device has a frame, finds too few bytes in the receive buffers, and goes to sleep; "
                    "the driver adds buffers while kicks are still off, and the second look is missing or "
                    "gives up without asking again."
                ),
                (
                    "A receive queue with a frame waiting: buffers available now would hold it, those "
                    "available when it looked would not."
                ),
                (
                    Bug(
                        "QEMU",
                        "commits 06b1297017 (2010) and f937309fbd (2024)",
                        "virtio-net: fix network stall under load / at the host side waiting for kick",
                    ),
                ),
            ),
        ),
        healthy=(
            "A polling device leaves the flag set for ever (DPDK applications do). It is stuck only if seen "
            "does not move although something is available. With EVENT_IDX a split ring's flags mean "
            "nothing: look at avail_event."
        ),
        next=(
            (
                "Prove that a poller runs: does seen move when one more buffer is published? If it does, "
                "this is healthy."
            ),
            "Find who set the flag last and what it did next: `W` on the row, then `.` from there.",
            (
                "Send one spare kick: the device must take everything. Then fix the device: ask for kicks, "
                "full barrier, look again, and only then sleep."
            ),
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="KICK_SUPPRESSED_EVENT",
        family="kick",
        means="EVENT_IDX: avail_event stands where no coming publish crosses it, so no kick is ever due.",
        sections=("2.7.10", "2.7.10.1", "2.7.10.2", "2.8.10"),
        look=(
            "The device sleeps, seen stands still. With one buffer at a time, (u16)(avail.idx - avail_event "
            "- 1) is not 0 at any publish: avail_event is behind, was never written (0 for ever), or far "
            "ahead. Up to 65,535 more buffers can pass without a kick."
        ),
        causes=(
            Cause(
                (
                    "A snapshot was taken between the kick and its reading and restored without the pending "
                    "count: the one kick that crosses avail_event is used up."
                ),
                (
                    "avail.idx is just past avail_event from the first sample after the restore, no kick "
                    "pending."
                ),
                (Bug("Firecracker", "commit 70157ae13 (PR #5969)", "fix(vsock): kick tx queue on restore"),),
            ),
            Cause(
                (
                    "The device never arms the queue because it only uses it when it has something to say, "
                    "and then waits for a kick there."
                ),
                "avail_event stays 0, avail.idx is above 1, and another queue waits for this one.",
                (
                    Bug(
                        "Firecracker",
                        "commit 1f87dbb6e",
                        "fix(vsock): arm evq avail_event when publishing TRANSPORT_RESET",
                    ),
                ),
            ),
            Cause(
                (
                    "The features say EVENT_IDX, the code of the ring was not told: it toggles used.flags "
                    "instead."
                ),
                (
                    "avail_event stays 0 while seen moves, and used.flags changes, which no one reads. "
                    "Kicks end after the first."
                ),
                (
                    Bug(
                        "rust-vmm vhost-user-backend",
                        "commit 043d0d8",
                        "set event_idx boolean at set_features",
                    ),
                ),
            ),
        ),
        healthy=(
            "avail_event behind seen while the device is busy or polls: it asks again when it has drained."
        ),
        next=(
            (
                "Work the rule out by hand: kick is due when (u16)(new - avail_event - 1) < (u16)(new - "
                "old). `ringscope learn 6` steps through it."
            ),
            (
                "Look at who wrote avail_event last and with what (`W`); if nobody ever did, look at the "
                "features both sides use."
            ),
            "After a restore or a start the device must look at every ring once without being kicked.",
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="KICK_DISCARDED",
        family="kick",
        means=(
            "A kick was sent and came to nothing: lost on the way, or read by a device that was not ready "
            "for it."
        ),
        sections=("2.7.13.4.1", "2.9", "3.1.1"),
        look=(
            "seen stands still with something available while the device sleeps. The driver's kicks sent "
            "have risen since the publish; the eventfd holds none, and the device read it too early (before "
            "DRIVER_OK, enabling, or the restore) or never saw it. The driver has no reason to send "
            "another."
        ),
        causes=(
            Cause(
                (
                    "The kick is lost between the sides: the driver counts it as sent, the device never "
                    "reads it."
                ),
                (
                    "Kicks sent stay above kicks read, and the eventfd is empty. `ringscope learn 13` has "
                    "such a queue."
                ),
            ),
            Cause(
                (
                    "The eventfd was read while the ring was not enabled, and the kick thrown away; "
                    "enabling does not look at the ring."
                ),
                "SET_VRING_ENABLE(1) comes after the kick in the log.",
                (
                    Bug(
                        "rust-vmm vhost-user-backend",
                        "commit 8c00b88",
                        "Avoid losing vring kicks (register fds only when ready and enabled)",
                    ),
                ),
            ),
            Cause(
                (
                    "The kick came before DRIVER_OK to whoever listened then; the queue was later handed to "
                    "a worker that was not woken."
                ),
                "Published and kicked before DRIVER_OK; since then nothing pending and nothing seen.",
                (Bug("QEMU", "commit d3f6f294ae", "virtio-blk: always set ioeventfd during startup"),),
            ),
            Cause(
                "The driver fills its queues and kicks before it sets DRIVER_OK; a device may ignore that.",
                (
                    "Every buffer of the first fill waits, seen is 0, the status write comes later than the "
                    "kick."
                ),
                (
                    Bug(
                        "Linux virtio_net / virtio_vsock",
                        "commits 50c0ada627f5 and 88704454ef8b",
                        "fix race between ndo_open()/early use and virtio_device_ready()",
                    ),
                ),
            ),
            Cause(
                (
                    "A snapshot keeps rings and indices, not the count of the eventfd; nothing wakes the "
                    "queues on resume."
                ),
                "Something was available from the very first sample after the restore.",
                (
                    Bug(
                        "cloud-hypervisor",
                        "commit 3e3008f36",
                        "virtio-devices: signal activated queue eventfds on resume",
                    ),
                ),
            ),
        ),
        healthy=(
            "A device that was just woken has no kick pending and has not looked yet: give it time, a "
            "second is long."
        ),
        next=(
            (
                "One spare kick brings it all to life: then the code that starts, enables or resumes the "
                "queue must look at the ring once, or kick itself."
            ),
            "Put status, enable and start messages beside the kicks in time: `3` shows events in order.",
            "Drivers: DRIVER_OK first, kick after.",
        ),
        vantage=("M", "K", "C", "X"),
    ),
    Code(
        name="KICK_UNSERVICED",
        family="kick",
        means="A kick was delivered, and nobody acts on it.",
        sections=("2.7.13.4", "2.9"),
        look=(
            "seen stands still with something available; the eventfd count stays above 0, or work is queued "
            "in the device, while its thread sleeps or is busy elsewhere."
        ),
        causes=(
            Cause(
                (
                    'The worker says "about to sleep" after testing its list: work queued between the two '
                    "finds a flag that is not set yet, and does not wake it."
                ),
                "Worker asleep with a list that is not empty; any other wakeup of it frees the queue.",
                (
                    Bug(
                        "Linux vhost",
                        "patch 2023-06-08 (M. Christie), Fixes f9010dbdce91",
                        "vhost: fix missed worker wake up",
                    ),
                ),
            ),
        ),
        healthy=(
            "Kernel vhost never reads the kick eventfd, and a polling DPDK back-end ignores it: a growing "
            "count is normal there. It is a symptom only for a device that is known to read."
        ),
        next=(
            (
                "Look at the thread that should serve the queue: asleep, spinning, or not there "
                "(`/proc/PID/task/*/stack`, `top -H`)?"
            ),
            "`/proc/PID/fdinfo/FD` shows eventfd-count; see whether it changes.",
            (
                "Check that the eventfd is still in the poll set after the last reconnect, pause or move "
                "between threads."
            ),
        ),
        vantage=("M", "K", "S"),
    ),
    Code(
        name="KICK_WRONG_QUEUE",
        family="kick",
        means="The kicks go to another queue than the one that waits.",
        sections=("2.9", "4.1.5.2"),
        look=(
            "One queue has something available and gets no kick; another gets a kick whenever this one "
            "publishes."
        ),
        causes=(
            Cause(
                "The driver writes a constant into the notify register rather than the number of the queue.",
                (
                    "Exactly one queue works on devices that decode the value; all work on those with an "
                    "address for each queue."
                ),
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commit 518208f3a1",
                        "net/virtio: fix queue notify (wrote 1, not the queue index)",
                    ),
                ),
            ),
        ),
        healthy="A device may serve several queues from one eventfd on purpose.",
        next=(
            (
                "Compare kicks and publishes of each queue over a second: `ringscope watch --json` has "
                "both, queue by queue."
            ),
            (
                "Check queue_notify_off, the multiplier, and the value written. With NOTIFICATION_DATA the "
                "value is more than the number."
            ),
        ),
        vantage=("M", "K", "X"),
    ),
    Code(
        name="KICK_DATA_LOST",
        family="kick",
        means="NOTIFICATION_DATA was negotiated, and what comes with the kick does not reach the device.",
        sections=("2.9", "4.1.5.2.1"),
        look=(
            "Kicks are sent and delivered, seen stands still or stops at an old offset. The device trusts "
            "the offset in the notification, which is 0 or stale."
        ),
        causes=(
            Cause(
                (
                    "The transport delivers kicks by an eventfd, which carries a count and no data, and the "
                    "device offers NOTIFICATION_DATA all the same."
                ),
                (
                    "Goes away with -notification_data, or where kicks are trapped instead of delivered by "
                    "eventfd."
                ),
                (
                    Bug(
                        "QEMU",
                        "commit 78378f450a",
                        "Prevent creation of device using notification-data with ioeventfd",
                    ),
                ),
            ),
        ),
        healthy="A device that looks at the ring itself and takes the data as a hint works without it.",
        next=(
            "Negotiate without NOTIFICATION_DATA: if that cures it, the path of the kick is to blame.",
            "The device must not offer the feature unless every path of the doorbell carries all 32 bits.",
        ),
        vantage=("M", "K", "X"),
    ),
    Code(
        name="KICK_UNWANTED",
        family="kick",
        means="The driver kicks for every buffer though the device is awake: slow, not stuck.",
        sections=("2.7.10", "2.8.10"),
        look=(
            "Kicks sent rise as fast as publishes while seen follows at once. With EVENT_IDX avail_event is "
            "always at avail.idx."
        ),
        causes=(
            Cause(
                (
                    "The device writes avail_event = avail.idx at each buffer that it takes, so the very "
                    "next publish crosses it."
                ),
                "avail_event runs ahead of seen under load; it should stay behind while the device works.",
                (Bug("QEMU", "commit a3614c65cf", "fix the vring_avail_event error"),),
            ),
        ),
        healthy="At low rates every publish wakes a sleeping device, and a kick for each is right.",
        next=(
            (
                "Look at the rate of kicks against the rate of buffers under full load (`--traffic flood`): "
                "far below one kick a buffer is healthy."
            ),
            "Write avail_event only before sleeping, and as the index of the next buffer not yet seen.",
        ),
        vantage=("M", "H", "K"),
    ),
)

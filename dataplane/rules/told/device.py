"""What the device does with buffers it was told of."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="DEVICE_STOPS_EARLY",
        family="device",
        means=(
            "The device takes a fixed number of buffers and stops, with more available and nothing to call "
            "it back."
        ),
        sections=("2.7.13.4", "2.7.10"),
        look=(
            "seen moves by the same number at each kick, then stands still with something available. Kicks "
            "are not pending, and the driver has no reason for another: it was told. One more buffer "
            "un-sticks all, for a moment."
        ),
        causes=(
            Cause(
                "It takes exactly one chain for each kick, but one kick may stand for many buffers.",
                "seen rises by 1 a kick, whatever was available; with EVENT_IDX the backlog never shrinks.",
                (Bug("crosvm", "commit 52c97d41b", "tpm: Process all descriptors when notified"),),
            ),
            Cause(
                (
                    "It ends a turn at its burst limit and does not schedule itself again, or the "
                    "completion that should do so handles one burst and forgets."
                ),
                "Stops after exactly the burst limit; gone with a limit above the size of the ring.",
                (
                    Bug(
                        "QEMU",
                        "commits df8d070817 and 7550a82259",
                        "virtio-net: fix bottom-half packet TX on asynchronous completion",
                    ),
                ),
            ),
            Cause(
                (
                    "It takes as many buffers of its own as there are heads available, too few for a large "
                    "chain, and waits for more heads."
                ),
                "One long chain waits; more packets release it.",
                (Bug("VPP", "commit 56a868429b7", "fix buffer allocation for sparse jumbo frames in vhost"),),
            ),
        ),
        next=(
            "Send two spare kicks in a row: if seen moves twice by the same number, it is this.",
            'Compare buffers taken for each kick (`3` shows "seen" events between kicks).',
            "A turn that ends early must queue the next one itself, or ask for kicks and look again.",
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="DEVICE_NOT_CONSUMING",
        family="device",
        means=(
            "Something is available, kicks do not help: the device has no one at work, or waits for what "
            "cannot come."
        ),
        sections=("2.7.13.4",),
        look=(
            "seen stands still; a spare kick changes nothing; other queues of the device may run well. The "
            "device is awake, or wakes and takes nothing."
        ),
        causes=(
            Cause(
                "It waits for an acknowledgement on another queue for an event that it never put there.",
                "Receive stands still, transmit works, and the event queue shows no new used buffer.",
                (
                    Bug(
                        "Firecracker",
                        "commit a34d51c93",
                        "do not arm the TRANSPORT_RESET RX gate on bare resume",
                    ),
                ),
            ),
            Cause(
                (
                    "It measures the available buffers wrongly and finds too few bytes: with indirect "
                    "descriptors it walks the table of another one."
                ),
                'Enough bytes by your count, "not enough" by its own; goes away with -indirect_desc.',
                (
                    Bug(
                        "QEMU",
                        "commit 1ae2757c6c",
                        "virtqueue_get_avail_bytes: desc_pa when looping over the indirect table",
                    ),
                ),
            ),
            Cause(
                (
                    "Work was queued before the device was started, and its worker is only woken by the "
                    "next request."
                ),
                (
                    "Something waits at the back-end since before the start; it moves at the next unrelated "
                    "request."
                ),
                (
                    Bug(
                        "Linux vhost/vsock",
                        "commit 0b841030625c",
                        "kick send_pkt worker once device is started",
                    ),
                ),
            ),
        ),
        healthy=(
            "A receive queue with buffers and no frames to put into them. A ring that was disabled "
            "(SET_VRING_ENABLE 0), or a queue pair above VQ_PAIRS_SET: transmit is dropped and receive not "
            "fed, by the book."
        ),
        next=(
            "Send one spare kick. No movement: it is not the kick path; look at the device.",
            (
                "Ask the device what it waits for: backlog at its back-end, free buffers of its own, a "
                "gate, a pause."
            ),
            "`z`, then `s` with the device first: what does it read, and where does it turn back?",
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="INFLIGHT_STUCK",
        family="device",
        means="The device took everything that is available and does not finish some of it.",
        sections=("2.7.8", "2.7.14"),
        look=(
            "seen equals available, used stays below it by the same number. The device counts these buffers "
            "as its own."
        ),
        causes=(
            Cause(
                (
                    'The back-end answered "try later" and will never call back, so the buffer is parked '
                    "for good."
                ),
                "One buffer outstanding, the device asks for no kicks or lets them pile up.",
                (Bug("QEMU", "commit bc5add1dad", "vhost-vdpa: receive returns zero"),),
            ),
            Cause(
                (
                    "The back-end died with buffers in its hands and was started again at avail.idx, so "
                    "that those taken before are skipped."
                ),
                (
                    "outstanding is constant since the restart, the base sent equals avail.idx rather than "
                    "used.idx."
                ),
                (
                    Bug(
                        "cloud-hypervisor",
                        "commit 5b68d7694",
                        "replay in-order vhost-user queues after reconnect",
                    ),
                ),
            ),
            Cause(
                (
                    "What was in flight is submitted again after a reconnect by a wrong index: some twice, "
                    "others never."
                ),
                "Ids returned twice beside ids that never come back.",
                (Bug("SPDK", "commit 919e45a9bd", "lib/vhost: fix wrong array idx in vhost_scsi resubmit"),),
            ),
            Cause(
                (
                    "A new call fd arrives while requests are in flight; the device is configured anew and "
                    "drops them."
                ),
                "SET_VRING_CALL in the log after the kick fd, and outstanding constant since.",
                (Bug("DPDK vhost", "commit b90574b10e", "fix virtio block vDPA live migration IO drop"),),
            ),
        ),
        healthy=(
            "Receive buffers are held by nobody's fault until frames come. Slow storage finishes late: "
            "compare with its usual latency."
        ),
        next=(
            (
                'Find which heads are out (the descriptors "in the device\'s hands" on the rings screen), '
                "and look what they ask for; `L` shows the life of one."
            ),
            (
                "Is the same head always the one? A chain the device cannot handle. All since one moment? A "
                "restart."
            ),
            "Back-ends that can crash need the inflight region, or IN_ORDER and a restart at used.idx.",
        ),
        vantage=("M", "H", "S", "C"),
    ),
    Code(
        name="HEAD_NEVER_RETURNED",
        family="device",
        means="A buffer was taken, and the device has forgotten it: it holds nothing and returns nothing.",
        sections=("2.7.8", "2.7.14"),
        look=(
            "seen equals available, used is behind by a number that grows by one with each bad chain and "
            "never shrinks. The device counts nothing in flight. When the number reaches the size of the "
            "ring the driver is full."
        ),
        causes=(
            Cause(
                "An error path returns before the buffer is put on the used ring.",
                "used falls behind by one at each malformed chain.",
                (
                    Bug(
                        "cloud-hypervisor",
                        "commit 35609ff77 (see also PR 8401)",
                        "net_util: surface malformed descriptors on the used ring",
                    ),
                ),
            ),
            Cause(
                (
                    "The device refuses something legal, such as an indirect table at an address that is "
                    "not a multiple of 16, and drops the chain."
                ),
                "The lost chains are indirect, with tables at odd places; a log line on each.",
                (
                    Bug(
                        "rust-vmm virtio-queue",
                        "commit 922f2e5",
                        "fix alignment check for indirect descriptor",
                    ),
                ),
            ),
        ),
        next=(
            (
                "Ask the device for its count in flight: 0 makes it this, more makes it INFLIGHT_STUCK, a "
                "private batch USED_HELD_BACK."
            ),
            (
                "See which heads never come back and read their chains on the rings screen, indirect tables "
                "too: what do they share?"
            ),
            (
                "Every chain that was taken must be returned, with length 0 if need be, or the device must "
                "set DEVICE_NEEDS_RESET."
            ),
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="USED_HELD_BACK",
        family="device",
        means="The work is done, but the used entries sit in a batch of the device's own.",
        sections=("2.7.8", "2.8.22"),
        look=(
            "seen equals available; used stands still by fewer than the batch; the device holds nothing. "
            "The next traffic releases it."
        ),
        causes=(
            Cause(
                (
                    "Used descriptors are written only when a batch is full, and a driver that waits for "
                    "completions before it sends more never fills it."
                ),
                (
                    "The number held is below the flush threshold; the driver has its own limit on "
                    "outstanding bytes."
                ),
                (
                    Bug(
                        "DPDK vhost",
                        "commit 8b13d12a16",
                        "vhost: fix shadow update (deferred used flush starves NAPI)",
                    ),
                ),
            ),
        ),
        healthy="Batches that are flushed at the end of each turn or by a timer.",
        next=(
            "Send a little traffic: if old buffers come back with it, this is it.",
            "Flush before going to sleep, whatever is in the batch.",
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="USED_NOT_PUBLISHED",
        family="device",
        means="The used entry was written, used.idx was not moved behind it.",
        sections=("2.7.8",),
        look=(
            "The row at used.idx modulo the size changed and used.idx did not; outstanding stays one higher "
            "than before. The next completion writes over the row."
        ),
        causes=(
            Cause(
                'A path calls "add used" without the step that advances the index.',
                "Only buffers that come by this path are lost: a duplicate, a statistics buffer.",
                (
                    Bug(
                        "Firecracker",
                        "commit 326fc46db",
                        "fix(balloon): make duplicate stats buffer visible to guest",
                    ),
                ),
            ),
        ),
        healthy=(
            "Rows outside the live window hold what was there a lap ago: only a row that changes now counts."
        ),
        next=(
            "`B`: `tx0 slot 7` (its head), and step: entry, then index, must both be stored.",
            "See the last stores of the row and of used.idx in the past with `W`.",
        ),
        vantage=("M", "H", "S"),
    ),
    Code(
        name="FULL_RING_SEEN_AS_EMPTY",
        family="device",
        means="Everything is available, and the device takes a full ring for an empty one.",
        sections=("2.7.6", "2.7.13"),
        look=(
            "available minus seen is exactly the size of the ring, seen stands still, kicks are sent and "
            "read. With one buffer fewer all is well."
        ),
        causes=(
            Cause(
                "The difference of the indices is taken modulo the size of the ring, so that N becomes 0.",
                "Comes only when the driver fills the ring before the device looks, as at start.",
                (Bug("SPDK", "commit 808a2b05c2", "vhost: fix overflow of avail entries count"),),
            ),
            Cause(
                "On a packed ring, next available and last seen are compared without their wrap counters.",
                "The same, packed; `ringscope learn 8`.",
            ),
        ),
        next=(
            "Read both indices in full 16 bits: their difference is N, not 0.",
            (
                "Compare free-running indices as 16-bit numbers, and mask only to find the row. `ringscope "
                "learn 4` shows a full ring."
            ),
        ),
        vantage=("M", "H", "K"),
    ),
    Code(
        name="DEVICE_COUNT_WRONG",
        family="device",
        means="The device's count of buffers in its hands is not seen minus used.",
        sections=("2.7.6", "2.7.8"),
        look=(
            "The count is huge or negative, or off by what was in flight at a restore. The device refuses "
            'to load, or refuses buffers as "too many".'
        ),
        causes=(
            Cause(
                (
                    "seen - used is computed without cutting it to 16 bits, and one of the two has passed "
                    "65,535."
                ),
                "The count is off by 65,536; only where the two indices lie on both sides of the wrap.",
                (Bug("QEMU", "commit e66bcc4081", "virtio: fix vq->inuse recalc after migration"),),
            ),
        ),
        next=(
            "Compute (u16)(seen - used) by hand and compare with the count.",
            "Start the indices at 65,530 in a test and migrate there.",
        ),
        vantage=("M", "S"),
    ),
    Code(
        name="DEVICE_BROKEN",
        family="device",
        means="The device gave up: DEVICE_NEEDS_RESET is set after a chain that it took for illegal.",
        sections=("2.1.2",),
        look="Status bit 6 (64) is set, all queues stand still. The last chain taken is the one to look at.",
        causes=(
            Cause(
                "It counts mapped pieces of memory instead of descriptors, and calls a legal chain a loop.",
                (
                    "The chain has no cycle and no more descriptors than the ring; a buffer of it crosses "
                    "from one memory region into another."
                ),
                (
                    Bug(
                        "QEMU",
                        "commit 37ef70be6a",
                        'fix descriptor counting in virtqueue_pop (false "Looped descriptor")',
                    ),
                ),
            ),
            Cause(
                "The chain is indeed illegal: see CHAIN_BAD and ADDR_OUT_OF_RANGE.",
                "The reason is told by the device's log or here by `ringscope check`.",
            ),
        ),
        next=(
            (
                "Take the head at which seen stopped and follow its chain on the rings screen: length, "
                "cycle, addresses, flags."
            ),
            "Legal by 2.7.5? Then the device is wrong. Illegal? `W` says which store of the driver made it.",
            "Only a reset of the device brings it back.",
        ),
        vantage=("M", "X"),
    ),
    Code(
        name="NEEDS_RESET_SILENT",
        family="device",
        means="DEVICE_NEEDS_RESET is set, and the driver was not told.",
        sections=("2.1.2", "2.3"),
        look=(
            "Status bit 6 (64) is set, the count of configuration-change notifications has not risen, the "
            "driver waits for ever."
        ),
        causes=(
            Cause(
                "The device stops all notifications once it is broken, this one included.",
                "The bit is set after an illegal chain; no configuration interrupt follows.",
                (Bug("QEMU", "commit 66453cff9e", "virtio: allow broken device to notify guest"),),
            ),
        ),
        healthy="Before DRIVER_OK the device does not have to tell.",
        next=(
            "Read the status register: does the driver know? Its log says so if it does.",
            "Setting the bit and sending the configuration change belong together, in that order.",
        ),
        vantage=("X", "K"),
    ),
    Code(
        name="STALE_DESCRIPTOR",
        family="device",
        means="A side saw that something is new, and read what stood in the slot a lap before.",
        sections=("2.7.13.3.1", "2.8.15", "2.8.21.1.1"),
        look=(
            "The device returns an id of the lap before and never the one that was published; or the frame "
            "sent is an old one. Memory looks right now."
        ),
        causes=(
            Cause(
                (
                    "The device reads the row of the available ring or the descriptor before avail.idx: no "
                    "acquire between the two loads."
                ),
                (
                    "Seldom, on weakly ordered processors (Arm, POWER); gone with a read barrier after the "
                    "load of the index."
                ),
                (
                    Bug("crosvm", "commit 1fe0c4481", "memory ordering bug in Queue::peek on arm"),
                    Bug("SPDK", "commit ed0c3125fb", "vhost: add missing smp_rmb in vhost_vq_avail_ring_get"),
                ),
            ),
            Cause(
                "The driver stores avail.idx before row and descriptor can be seen: no release.",
                "The same from the other side; look at the driver's publish.",
            ),
        ),
        healthy="Rows outside the live window are meant to be old.",
        next=(
            "Freeze and compare the id returned with the row one lap before: equal means stale.",
            "`ringscope learn 11` plays it store by store; play your own with `S` and an interleaving.",
            "Check that each side's load of index or flags acquires, and each store of them releases.",
        ),
        vantage=("M", "H", "S"),
    ),
)

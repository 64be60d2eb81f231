"""Codes of what stands in the rings or was agreed on, in pairs that look alike; what separates them."""

from __future__ import annotations

from dataplane.rules.told.code import Twins

TWINS: tuple[Twins, ...] = (
    Twins(
        "RX_STARVED",
        "DEVICE_NOT_CONSUMING",
        "Nothing available and frames dropped: starved. Something available and frames waiting: the device.",
        ("M",),
    ),
    Twins(
        "RX_STARVED",
        "DRIVER_NOT_SUBMITTING",
        "Its refill runs, or would after a receive: starved. Its thread is blocked: not submitting.",
        ("S",),
    ),
    Twins(
        "RX_STARVED",
        "NOT_IN_RING",
        "No buffers available: starved. Buffers available and none used: no frame gets this far.",
        ("M", "S"),
    ),
    Twins(
        "BASE_MISMATCH",
        "KICK_DISCARDED",
        (
            "After a restart, compare the base with used.idx and avail.idx of that moment: it fits: the "
            "kick. It does not: the base."
        ),
        ("C", "M"),
    ),
    Twins(
        "BASE_MISMATCH",
        "INDEX_JUMP",
        "The first store after a restart: the base. In the middle of work: a jump.",
        ("C", "H"),
    ),
    Twins(
        "BASE_MISMATCH",
        "BENIGN",
        "The value that crosses is right: benign. It differs from the ring: a mismatch.",
        ("C", "M"),
    ),
    Twins(
        "USED_HOLE",
        "PACKED_WRAP_WRONG",
        "Once per lap at slot 0: the wrap. At the edges of batches: a hole.",
        ("M", "H"),
    ),
    Twins(
        "USED_HOLE",
        "IN_ORDER_BATCH_NOT_UNDERSTOOD",
        "With IN_ORDER the skipped slots are meant so and the driver is wrong; without it the device is.",
        ("M", "X"),
    ),
    Twins(
        "USED_HOLE",
        "DRIVER_READS_UNUSED",
        "The driver's position is behind the device's: a hole. Ahead of it: the driver went on by itself.",
        ("M", "S"),
    ),
    Twins(
        "USED_HOLE",
        "CHAIN_CUT",
        "More used elements than buffers: a chain was cut. One for each, at a wrong slot: a hole.",
        ("M", "H"),
    ),
    Twins(
        "STALE_DESCRIPTOR",
        "ID_REUSED_WHILE_OUTSTANDING",
        "The id was published twice in the past of the stores: reused. Published once, taken twice: stale.",
        ("M", "H"),
    ),
    Twins(
        "STALE_DESCRIPTOR",
        "TORN_VALUE",
        "The value read was there a lap ago: stale. It was never there: torn.",
        ("H", "S"),
    ),
    Twins(
        "STALE_DESCRIPTOR",
        "DESC_OVERRUN",
        (
            "The descriptor changed while it was outstanding: overrun. It did not, and an old one was read: "
            "stale."
        ),
        ("M", "H"),
    ),
    Twins(
        "FULL_RING_SEEN_AS_EMPTY",
        "KICK_UNSERVICED",
        (
            "Exactly a full ring and kicks are read: seen as empty. Any other number, or kicks pending: "
            "unserviced."
        ),
        ("M", "K"),
    ),
    Twins(
        "FULL_RING_SEEN_AS_EMPTY",
        "DEVICE_NOT_CONSUMING",
        "Begin again with one buffer fewer: it works: seen as empty. It does not: not consuming.",
        ("M",),
    ),
    Twins(
        "DEVICE_BROKEN",
        "NEEDS_RESET_SILENT",
        "The driver was told of the reset by a configuration change: broken. It was not: silent.",
        ("X", "K"),
    ),
    Twins(
        "DEVICE_BROKEN",
        "CHAIN_BAD",
        "Follow the last chain by the rules: legal: the device broke by itself. Illegal: the chain.",
        ("M",),
    ),
    Twins(
        "DEVICE_BROKEN",
        "ADDR_OUT_OF_RANGE",
        "Every address inside the memory table: broken by itself. One outside: the address.",
        ("M", "C"),
    ),
    Twins(
        "FREE_COUNT_WRONG",
        "HEAD_NEVER_RETURNED",
        "used equals seen and yet nothing is free: the count. used is behind: not returned.",
        ("M", "S"),
    ),
    Twins(
        "FREE_COUNT_WRONG",
        "DRIVER_NOT_SUBMITTING",
        (
            'The driver says "full" on an empty ring: the count. It says nothing, or does not try: not '
            "submitting."
        ),
        ("S",),
    ),
    Twins(
        "USED_ID_INVALID",
        "ID_REUSED_WHILE_OUTSTANDING",
        (
            "Among the ids made available one comes twice: reused, by the driver. They are sound: the "
            "device returned a wrong one."
        ),
        ("M", "H"),
    ),
    Twins(
        "USED_ID_INVALID",
        "USED_OVERRUN",
        "used within seen: a wrong id. used beyond seen, or an id right but twice: an overrun.",
        ("M", "H"),
    ),
    Twins(
        "USED_ID_INVALID",
        "IN_ORDER_BATCH_NOT_UNDERSTOOD",
        "IN_ORDER, and used.idx moved by more rows than are new: a batch. Otherwise: a wrong id.",
        ("M", "X"),
    ),
    Twins(
        "USED_ID_INVALID",
        "SIZE_MISMATCH",
        "Right for one lap of the smaller size, garbage then: the sizes. Wrong from the start: the id.",
        ("C", "M"),
    ),
    Twins(
        "USED_LEN_BAD",
        "NUM_BUFFERS_BAD",
        "Each element's length is wrong: len. The lengths are right and their number is not: num_buffers.",
        ("M",),
    ),
    Twins(
        "INDEX_JUMP",
        "INDEX_WRAPPED_AT_SIZE",
        "It falls to 0 exactly at the size, each lap: wrapped. Once, elsewhere: a jump.",
        ("M", "H"),
    ),
    Twins(
        "INDEX_JUMP",
        "ENDIAN_SWAPPED",
        "It makes sense with its bytes swapped, and other fields too: endianness.",
        ("M",),
    ),
    Twins(
        "INDEX_JUMP",
        "TORN_VALUE",
        "The value was stored: a jump. It was read and never stored: torn.",
        ("H",),
    ),
    Twins(
        "INDEX_JUMP",
        "ADDR_STALE",
        "The driver's memory has the value: a jump. Only the device reads it there: other memory.",
        ("C", "M"),
    ),
    Twins(
        "INDEX_JUMP",
        "USED_OVERRUN",
        "used.idx passes available by a few, with ids repeated: an overrun. It leaps or goes back: a jump.",
        ("M", "H"),
    ),
    Twins(
        "SIZE_MISMATCH",
        "INDEX_WRAPPED_AT_SIZE",
        "Both fail after one lap. used.idx runs on past the size: the sizes differ. It falls to 0: wrapped.",
        ("M",),
    ),
    Twins(
        "SIZE_MISMATCH",
        "ADDR_STALE",
        "The first rows are right: the sizes. No row is: the address.",
        ("C", "M"),
    ),
    Twins(
        "PACKED_INDEX_BAD",
        "PACKED_WRAP_WRONG",
        "The slot is wrong: the index. The slot is right and its flags are wrong: the wrap.",
        ("M", "H"),
    ),
    Twins(
        "CHAIN_BAD",
        "CHAIN_CUT",
        "The flags are against a rule: bad. They are legal, and NEXT is missing by intent: cut.",
        ("M",),
    ),
    Twins(
        "CHAIN_BAD",
        "DESC_OVERRUN",
        "Wrong when it was published: bad. Right then, changed since: overrun.",
        ("M", "H"),
    ),
    Twins(
        "CHAIN_BAD",
        "FEATURE_MISMATCH",
        "Legal with the features of one side: the features. Illegal with both: the chain.",
        ("C", "X"),
    ),
    Twins(
        "ENDIAN_SWAPPED",
        "FEATURE_MISMATCH",
        "Sense after swapping bytes: endianness. None either way: layout or features.",
        ("M", "C"),
    ),
    Twins(
        "NOT_STARTED",
        "NOT_ENABLED",
        "No kick fd, or no start: not started. Started, and no enable: not enabled.",
        ("C",),
    ),
    Twins(
        "NOT_STARTED",
        "KICK_UNSERVICED",
        "The setup of the ring is not complete: not started. It is: unserviced.",
        ("C", "K"),
    ),
    Twins(
        "NOT_ENABLED",
        "KICK_DISCARDED",
        "Enabled now, and a kick came before: discarded. Never enabled: not enabled.",
        ("C", "K"),
    ),
    Twins(
        "NOT_STARTED",
        "CONTROL_DEADLOCK",
        "A request waits for its reply: a deadlock. All were answered and some never sent: not started.",
        ("C", "S"),
    ),
    Twins(
        "NOT_STARTED",
        "OBSERVER_STOPPED_RING",
        "It ran, until a GET_VRING_BASE: stopped. It never ran since the connection: not started.",
        ("C",),
    ),
    Twins(
        "ADDR_STALE",
        "USED_NOT_PUBLISHED",
        (
            "The device's row and index agree in its own memory: the address. Its row is new, its index "
            "old: not published."
        ),
        ("M", "S"),
    ),
    Twins(
        "ADDR_STALE",
        "ADDR_OUT_OF_RANGE",
        "The address of the ring itself is wrong: stale. That of a buffer in it: out of range.",
        ("M", "C"),
    ),
    Twins(
        "QUEUE_ALIASED",
        "ADDR_STALE",
        "The wrong memory is another queue's: aliased. It is nobody's: stale.",
        ("C", "M"),
    ),
    Twins(
        "CONTROL_DEADLOCK",
        "DEVICE_NOT_CONSUMING",
        "All queues at once, a request pending: a deadlock. One queue, none pending: not consuming.",
        ("C", "S"),
    ),
    Twins(
        "LIVELOCK",
        "DRIVER_SPINS",
        "Whose thread is at 100 %: the device's, a livelock; the driver's, it spins.",
        ("S",),
    ),
    Twins(
        "LIVELOCK",
        "DEVICE_NOT_CONSUMING",
        "The device's thread is busy: a livelock. It sleeps: not consuming.",
        ("S",),
    ),
    Twins(
        "NOT_IN_RING",
        "DRIVER_NOT_SUBMITTING",
        "The backlog is the driver's own: not submitting. It is above or below the driver: not in the ring.",
        ("S",),
    ),
)

"""Codes of something that waits, in pairs that look alike, and what separates them."""

from __future__ import annotations

from dataplane.rules.told.code import Twins

TWINS: tuple[Twins, ...] = (
    Twins(
        "KICK_MISSING",
        "KICK_SUPPRESSED_FLAG",
        'Work the rule out with the values in memory: it says "kick": missing. The flag says no: suppressed.',
        ("M", "K"),
    ),
    Twins(
        "KICK_MISSING",
        "KICK_SUPPRESSED_EVENT",
        (
            "Work the rule out with avail_event in memory over [seen, available): crossed: missing. Not "
            "crossed: suppressed."
        ),
        ("M", "K"),
    ),
    Twins(
        "KICK_SUPPRESSED_FLAG",
        "KICK_SUPPRESSED_EVENT",
        "With EVENT_IDX only avail_event counts, without it only the flag (packed: event flags 1 against 2).",
        ("M", "X"),
    ),
    Twins(
        "KICK_MISSING",
        "KICK_DISCARDED",
        "Was a kick sent since the publish? No: missing. Yes, and none is left in the eventfd: discarded.",
        ("K",),
    ),
    Twins(
        "KICK_DISCARDED",
        "KICK_UNSERVICED",
        (
            "The count of the eventfd itself (fdinfo): 0, the kick is gone; above 0, nobody reads it (if "
            "this device reads at all)."
        ),
        ("K",),
    ),
    Twins(
        "KICK_MISSING",
        "KICK_WRONG_QUEUE",
        "Kicks rise on another queue with each publish of this one: wrong queue. On none: missing.",
        ("K",),
    ),
    Twins(
        "KICK_WRONG_QUEUE",
        "QUEUE_ALIASED",
        "Different ring addresses: the kick goes astray. The same ones: the queues are one.",
        ("M", "C"),
    ),
    Twins(
        "KICK_DATA_LOST",
        "KICK_UNSERVICED",
        "Without NOTIFICATION_DATA all is well: its data is lost. Still stuck: unserviced.",
        ("X", "K"),
    ),
    Twins(
        "KICK_MISSING",
        "DEVICE_STOPS_EARLY",
        (
            "Send a spare kick, twice: all is taken at the first: missing. The same number each time: stops "
            "early."
        ),
        ("K",),
    ),
    Twins(
        "KICK_MISSING",
        "DEVICE_NOT_CONSUMING",
        "Send a spare kick: seen moves: missing. It does not: the device.",
        ("K",),
    ),
    Twins(
        "KICK_DISCARDED",
        "DEVICE_NOT_CONSUMING",
        "Send a spare kick: seen moves: an earlier one was discarded. It does not: the device.",
        ("K",),
    ),
    Twins(
        "KICK_UNSERVICED",
        "DEVICE_NOT_CONSUMING",
        (
            "The eventfd's count stays: nobody comes. It goes to 0 and nothing is taken: the device comes "
            "and does not want."
        ),
        ("K", "S"),
    ),
    Twins(
        "DEVICE_STOPS_EARLY",
        "DEVICE_NOT_CONSUMING",
        "Send a spare kick: seen moves a little: stops early. Not at all: not consuming.",
        ("K",),
    ),
    Twins(
        "KICK_UNWANTED",
        "LIVELOCK",
        "Indices move, with a kick for each buffer: unwanted. Wakeups without progress: livelock.",
        ("M", "H"),
    ),
    Twins(
        "KICK_UNWANTED",
        "CALL_UNWANTED",
        "Which way they go: kicks to the device, calls to the driver.",
        ("K",),
    ),
    Twins(
        "CALL_UNWANTED",
        "FEATURE_MISMATCH",
        (
            "EVENT_IDX negotiated or calls asked for by the flags: unwanted but by request. Never offered: "
            "the features."
        ),
        ("C", "M"),
    ),
    Twins(
        "CALL_MISSING",
        "CALL_SUPPRESSED_STALE",
        (
            'Both say "call" by memory now. The device\'s own values at its decision (or the history of '
            "used_event) tell: right ones: missing; old ones: stale."
        ),
        ("H", "S"),
    ),
    Twins(
        "CALL_MISSING",
        "CALL_SUPPRESSED_FLAG",
        "The flag in memory: 0, a call is missing; 1, the driver itself asks for none.",
        ("M", "K"),
    ),
    Twins(
        "CALL_MISSING",
        "CALL_DISCARDED",
        "Was a call sent since used moved? No: missing. Yes, and read: discarded.",
        ("K",),
    ),
    Twins(
        "CALL_MISSING",
        "CALL_WRONG_QUEUE",
        "Calls rise elsewhere with each completion here: wrong queue. Nowhere: missing.",
        ("K",),
    ),
    Twins(
        "CALL_MISSING",
        "CALL_DELAYED",
        "Wait for ten periods of any timer: it comes: delayed. It never does: missing.",
        ("H", "K"),
    ),
    Twins(
        "CALL_DISCARDED",
        "ISR_NOT_SET",
        (
            "INTx or a driver that polls ISR, and the bit is 0: not set. Bit and interrupt were there: "
            "discarded."
        ),
        ("X",),
    ),
    Twins(
        "CALL_MISSING",
        "DRIVER_NOT_REAPING",
        "Send a spare call: collected moves: missing. It does not: the driver.",
        ("K",),
    ),
    Twins(
        "CALL_MISSING",
        "DRIVER_SPINS",
        "Send a spare call: collected moves: missing. The driver at 100 % anyway: it spins.",
        ("K", "S"),
    ),
    Twins(
        "DRIVER_NOT_REAPING",
        "DRIVER_SPINS",
        "The driver does other work and goes round its test: not reaping. It never leaves its poll: spins.",
        ("S",),
    ),
    Twins(
        "INFLIGHT_STUCK",
        "HEAD_NEVER_RETURNED",
        "The device's count: above 0, in flight; 0, lost. From outside: the loss grows with bad chains only.",
        ("S", "H"),
    ),
    Twins(
        "INFLIGHT_STUCK",
        "USED_HELD_BACK",
        "Work not done: in flight. Done and in a private batch: held back; the next traffic releases it.",
        ("S", "H"),
    ),
    Twins(
        "HEAD_NEVER_RETURNED",
        "USED_HELD_BACK",
        "More traffic releases what is held back, never what is lost.",
        ("S", "H"),
    ),
    Twins(
        "USED_NOT_PUBLISHED",
        "USED_HELD_BACK",
        "The row behind used.idx is new: not published. It is old: held back.",
        ("M",),
    ),
    Twins(
        "USED_NOT_PUBLISHED",
        "HEAD_NEVER_RETURNED",
        "The row behind used.idx is new: not published. It is old: never returned.",
        ("M",),
    ),
    Twins(
        "INFLIGHT_STUCK",
        "BASE_MISMATCH",
        "Constant since a restart whose base was avail.idx: the base. Since another moment: in flight.",
        ("C", "M"),
    ),
    Twins(
        "INFLIGHT_STUCK",
        "DEVICE_COUNT_WRONG",
        (
            "(u16)(seen - used) against the device's count: equal: it really holds them. Not equal: it "
            "miscounts."
        ),
        ("S", "M"),
    ),
)

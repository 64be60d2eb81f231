"""Indices, descriptors and chains in memory."""

from __future__ import annotations

from dataplane.rules.told.code import Bug, Cause, Code

CODES: tuple[Code, ...] = (
    Code(
        name="INDEX_JUMP",
        family="layout",
        means="An index moves back, or on by more than the size of the ring.",
        sections=("2.7.6", "2.7.8", "2.7.13"),
        look=(
            "(u16)(avail.idx - seen) or (u16)(avail.idx - used.idx) is larger than the size; or an index is "
            "smaller (in 16 bits) than it was. The other side gives the queue up, or works on old rows "
            "without end."
        ),
        causes=(
            Cause(
                "The return value of a step that failed, -1, is added to the index.",
                "It goes back by exactly one.",
                (Bug("DPDK vhost", "commit 8729de6092", "fix used descriptors number of mergeable enqueue"),),
            ),
            Cause(
                (
                    "After a restart at base n only the available position is set: used begins at 0 and the "
                    "first completion stores 1."
                ),
                "used.idx falls from n to 1 at the first completion after a restart or migration.",
                (
                    Bug(
                        "Linux vdpa_sim",
                        "commit b4cca6d48eb3",
                        "set last_used_idx as last_avail_idx in queue_ready",
                    ),
                ),
            ),
            Cause(
                (
                    "The driver wrote an absurd avail.idx, by mistake or on purpose, and the device did not "
                    "check."
                ),
                "avail.idx minus seen beyond the size in one store; `W` on avail.idx names it.",
                (
                    Bug(
                        "rust-vmm virtio-queue / Firecracker",
                        "commits 16f1b01 and 8a7152ac7",
                        "error out on invalid available ring index",
                    ),
                ),
            ),
        ),
        healthy="65,535 -> 0 is no jump: indices run on modulo 65,536, not modulo the size.",
        next=(
            "`W` on the index: which store, by whom, from what to what?",
            (
                "By one back: an error path. To a small number: a restart. Far on: garbage, another "
                "endianness, other memory."
            ),
            "Each side has to check the other's index against the size before it uses it.",
        ),
        vantage=("M", "H", "C"),
    ),
    Code(
        name="INDEX_WRAPPED_AT_SIZE",
        family="layout",
        means="A split ring's index is kept modulo the size of the ring, where it has to run on to 65,535.",
        sections=("2.7.6", "2.7.8", "2.7.13"),
        look=(
            "used.idx (or avail.idx) falls from size - 1 to 0. From then on the two sides can never agree: "
            "ids repeat, one side replays old rows, the other waits for an index that never comes."
        ),
        causes=(
            Cause(
                "A device keeps both private indices modulo the size, and stores them so.",
                "All is well for exactly size - 1 buffers. A small control queue shows it first.",
                (Bug("DPDK vhost", "commit 38e6400387", "fix wrapping on control virtqueue rings"),),
            ),
        ),
        next=(
            "Send as many buffers as the ring has rows, one at a time: it breaks at the last.",
            "Indices run free; only the row is index modulo size. `ringscope learn 4` goes around the ring.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="TORN_VALUE",
        family="layout",
        means="A 16-bit value was read that nobody stored: half of it old, half new.",
        sections=("2.7.6", "2.8.14", "2.8.10"),
        look=(
            "Memory looks right now; one decision was made with a value made of two others: a call is "
            "missing once, or a descriptor taken that is none."
        ),
        causes=(
            Cause(
                "The field is copied by byte (memcpy, unaligned access) while the other side stores it.",
                "Where the low byte goes from 0xff to 0x00; the value of the decision was never in memory.",
                (
                    Bug(
                        "QEMU",
                        "commits d152cdd6f6 and f463e761a4",
                        "use virtio accessor for packed event / descriptor flags (non-atomic memcpy)",
                    ),
                ),
            ),
        ),
        healthy=(
            "A snapshot of a running ring that is taken without care shows torn rows of its own: what is "
            'marked "in flux" proves nothing.'
        ),
        next=(
            (
                "Compare the value decided with against all values that were stored (`3`, trace level "
                "stores by `t`)."
            ),
            "Shared fields are loaded and stored in their natural width, atomically, once.",
        ),
        vantage=("H", "K", "S"),
    ),
    Code(
        name="PACKED_INDEX_BAD",
        family="layout",
        means="Packed: the order of slots is broken, because an index was masked or ran below 0.",
        sections=("2.8.1", "2.8"),
        look=(
            "A position lies outside the ring or jumps from slot 0 to a slot that is not the last. A packed "
            "ring need not be a power of two: & (size - 1) is wrong for it."
        ),
        causes=(
            Cause(
                "Going back by one from slot 0 gives 65,535 instead of size - 1.",
                "Only after an error at slot 0.",
                (Bug("DPDK vhost", "commit fd03876e71", "vhost: fix slot index in async Tx"),),
            ),
        ),
        next=(
            "Try a size that is no power of two (`--layout packed --queue-size 6`): masks show at once.",
            "Going back over slot 0 also toggles the wrap counter back.",
        ),
        vantage=("H", "S"),
    ),
    Code(
        name="PACKED_WRAP_WRONG",
        family="layout",
        means="Packed: flags were written with the wrong wrap value, or a wrap counter was not toggled.",
        sections=("2.8.1", "2.8.21.1"),
        look=(
            'From slot 0 on the slots read as "not yours" to the other side, though they were just written: '
            "the flags carry the value of the lap before. It repeats once per lap."
        ),
        causes=(
            Cause(
                "A batch that crosses the end of the ring is written with one value for all of its slots.",
                (
                    "Slots before the end are right, those after it wrong; sizes that the batch divides "
                    "never show it."
                ),
                (Bug("DPDK vhost", "commit 2e3f1ab0d8", "fix async packed ring batch datapath"),),
            ),
        ),
        next=(
            (
                "Compare the wrap counter of each side with the flags in slot 0 (both stand on the rings "
                "screen). `ringscope learn 8`."
            ),
            "`B`: `wrap flips tx0` stops at the toggle; step over the next stores with `s`.",
            "The value is chosen anew for each slot: it flips when the position passes the end.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="SIZE_MISMATCH",
        family="layout",
        means="The two sides use different sizes for one ring.",
        sections=("2.7", "2.6.1.2.1", "4.1.5.1.3"),
        look=(
            "The first lap is right up to the smaller size; then the device reads rows that the driver does "
            "not have, and writes used elements where nobody looks. used.idx moves and the row the driver "
            "reads is old."
        ),
        causes=(
            Cause(
                "The device was given the largest size it offered, not the one that the driver chose.",
                "Fine for as many buffers as the smaller size, garbage from the next one on.",
                (
                    Bug(
                        "crosvm",
                        "commit f20233289; Linux vdpa_sim patch 2022-11-10",
                        "vhost device given max queue size rather than the negotiated one",
                    ),
                ),
            ),
            Cause(
                (
                    "The size was changed or reset and a cached copy was not: used_event is looked for "
                    "behind the last row of another size."
                ),
                'Calls missing or superfluous while the rings work; the event value "read" is a row.',
                (
                    Bug(
                        "QEMU",
                        "commits f0d634ea19 and 46c5d0823d",
                        "region cache stale after size change / ring sizes not reset",
                    ),
                ),
            ),
        ),
        next=(
            "Compare the size in the driver, in the transport's register (queue_size), and in SET_VRING_NUM.",
            (
                "Work out where each side has used_event: avail.ring[size]; and the used ring's "
                "avail_event: used.ring[size]."
            ),
            "Sizes must be read again at every enable, and set back at every reset.",
        ),
        vantage=("M", "H", "C", "X"),
    ),
    Code(
        name="ENDIAN_SWAPPED",
        family="layout",
        means="The values make sense only with their bytes swapped.",
        sections=("2.7.3", "2.2.3", "1.4"),
        look=(
            "avail.idx is 0x0100 where 1 is meant, lengths are enormous, the next field points nowhere; the "
            "device sees more available than the ring can hold."
        ),
        causes=(
            Cause(
                (
                    "A legacy ring has the driver's endianness, and the device's setting for it was lost in "
                    "a reset."
                ),
                "Big-endian driver, no VERSION_1; right before the reset, wrong after.",
                (
                    Bug(
                        "Linux vhost",
                        "commit beb691e69f4d",
                        "vhost_vq_reset order -> wrong endianness for legacy cross-endian",
                    ),
                ),
            ),
        ),
        next=(
            "Swap avail.idx, one address and one length by hand: do all three make sense?",
            "Is VERSION_1 negotiated? Then everything is little-endian, whatever the processor.",
        ),
        vantage=("M",),
    ),
    Code(
        name="CHAIN_BAD",
        family="layout",
        means="A chain is built against the rules; or it is legal and is read wrongly.",
        sections=("2.7.5", "2.7.5.2", "2.7.5.3", "2.7.5.3.1", "2.8.7", "2.8.19", "2.7.4.1"),
        look=(
            "A loop, a next beyond the table, INDIRECT together with NEXT or inside a table, a table whose "
            "length is no multiple of 16, writable before readable. Or the chain is in order and the device "
            "cuts, leaks or refuses it."
        ),
        causes=(
            Cause(
                "The indirect descriptor's length, or the count of slots a chain needs, is computed wrongly.",
                "The packet is cut at two entries; or sending is refused while a slot is free.",
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commits b473061b0e, 8410c369b4, 787091b9d5",
                        "packed indirect descriptors: setup, length, slot count",
                    ),
                ),
            ),
            Cause(
                "INDIRECT is used without having been negotiated: the device takes the table for data.",
                "A frame on the wire that reads like descriptors; INDIRECT_DESC is off.",
                (Bug("VPP", "commit ce21599c8af", "use chained descriptors when INDIRECT is missing"),),
            ),
            Cause(
                (
                    "The device expects the net header in one or two descriptors; framing is free, it may "
                    "lie in many."
                ),
                (
                    "The header is cut in three or more; every such packet leaks a buffer of the device "
                    "until it has none."
                ),
                (
                    Bug(
                        "DPDK vhost",
                        "commit dc1516e260 (CVE-2022-2132)",
                        "header spanned across more than two descriptors",
                    ),
                ),
            ),
        ),
        next=(
            (
                "Take the first head that was not returned and follow its chain (the rings screen draws it "
                "and says what is wrong)."
            ),
            (
                "Legal by 2.7.5 and 2.7.4? Then it is the device. Otherwise `W` on the bad descriptor names "
                "the store."
            ),
            "`ringscope learn 2` and `ringscope learn 3` have the rules.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="CHAIN_CUT",
        family="layout",
        means="NEXT is missing or ignored: one buffer is taken for two.",
        sections=("2.7.5", "2.8.6", "2.8.17", "2.8.18"),
        look=(
            "The device sees a buffer that is only a header, and one without. Two used elements come for "
            "one packet, an id comes twice, and the driver skips too far after the first."
        ),
        causes=(
            Cause(
                "The first descriptor of a list lacks the NEXT flag.",
                (
                    "Frames of 12 bytes, or frames that begin in the middle of nowhere; only on one way of "
                    "sending."
                ),
                (
                    Bug(
                        "DPDK virtio PMD",
                        "commit f923636411 (bugzilla 1295)",
                        "fix missing next flag in Tx packed ring",
                    ),
                ),
            ),
        ),
        next=(
            "Look at the flags of the header's descriptor: NEXT must be there, and on all but the last.",
            "Compare the number of buffers made available with those the device completes.",
        ),
        vantage=("M", "H"),
    ),
    Code(
        name="DESC_OVERRUN",
        family="layout",
        means="Descriptors of a chain that is still outstanding are written over.",
        sections=("2.7.13.1", "2.7.5.3.1", "3.3.1"),
        look=(
            "A descriptor that is in the device's hands changes. The device reports loops or bad addresses, "
            "or sends data of another packet."
        ),
        causes=(
            Cause(
                (
                    "Free descriptors are counted in chains, while one chain (an indirect one laid out "
                    "flat, say) takes several."
                ),
                "Only with chains of several descriptors and a nearly full ring.",
                (Bug("QEMU", "commit 5d410557de", "vhost: fix possible wrap in SVQ descriptor ring"),),
            ),
        ),
        next=(
            "`W` on the changed descriptor: the store, and which buffer it was for.",
            (
                "Count the slots each chain takes against the driver's free count when it added it. Both "
                "stand in the past of that moment (`3`)."
            ),
        ),
        vantage=("M", "H"),
    ),
)

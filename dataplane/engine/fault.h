/* fault.h: faults that act where a side stores or notifies, as a broken driver or device would.
 *
 * What a fault did is told by an EV_FAULT event: a dropped or held back store is no EV_STORE, and one that is
 * performed late is journaled when it is performed.
 */
#ifndef RINGSCOPE_FAULT_H
#define RINGSCOPE_FAULT_H

#include "pair.h"

#define FAULTS_MAX 32u
#define HELD_MAX   16u /* stores of a side held back at a time; more are performed at once */

enum fault_kind {
    FAULT_DROP_STORE = 1, /* never performed */
    FAULT_DELAY_STORE, /* performed only behind the side's next `value` stores: no barrier kept them apart */
    FAULT_CORRUPT_STORE, /* xor `value` */
    FAULT_LOSE_KICK,     /* decided, counted as sent, never written */
    FAULT_LOSE_CALL,
};
enum area { /* places.py; ANY_AREA: every store of the side to this queue */
            ANY_AREA = 0,
            AREA_DESC,
            AREA_TABLES,
            AREA_AVAIL_FLAGS,
            AREA_AVAIL_IDX,
            AREA_AVAIL_RING,
            AREA_USED_EVENT,
            AREA_USED_FLAGS,
            AREA_USED_IDX,
            AREA_USED_RING,
            AREA_AVAIL_EVENT,
            AREA_DRIVER_EVENT,
            AREA_DEVICE_EVENT,
            AREA_DESC_ADDR, /* the first word of a descriptor alone, and the second */
            AREA_DESC_FLAGS,
};
#define ANY_ENTRY 0xffffffffu
struct fault { /* faults.FAULT of Python */
    uint32_t id;
    uint8_t kind, side;
    uint16_t queue; /* 0xffff: any */
    uint32_t area;
    uint32_t entry; /* slot of desc, entry of a ring; ANY_ENTRY */
    uint32_t after; /* let so many pass */
    uint32_t count; /* act so often; 0: always */
    uint64_t value;
    uint64_t matched, hits;
};
_Static_assert(sizeof(struct fault) == 48, "faults.FAULT");

/* Both sides rest. The id, or 0 where there are too many. */
uint32_t fault_add(struct pair *pair, const struct fault *fault);
/* Takes one away, 0: all; what was held back by then is performed. Whether there was one. */
bool fault_remove(struct pair *pair, uint32_t id);

/* By the side. A store: true where it must not be performed now; `value` may have changed. */
bool fault_store(struct door *door, void *to, uint64_t *value, unsigned width);
/* Behind a store, and with `all` at the end of a turn: what is due is performed. */
void fault_release(struct door *door, bool all);
/* A notification that was decided on: true where it gets lost. */
bool fault_notice(struct door *door, enum event_kind kind);

#endif

/* fault.h: what a broken driver or device does, by kind and with an exact trigger.
 *
 * Stores and notifications are met where they pass (fault.c), decisions of a side where it takes them
 * (fault_side.c). Everything here is behind ARM_FAULT: a pair without a fault pays for none of it. What a
 * fault did is told by an EV_FAULT event: a dropped or held back store is no EV_STORE, and one that is
 * performed late is journaled when it is performed. Of a fault that lasts (it keeps a side from a queue, say)
 * only the first time is told.
 *
 * While a fault is armed a side that sleeps serves only the queues that it was told of, as drivers do whose
 * queues have an interrupt each: else traffic on one queue would heal a notification lost on another.
 */
#ifndef RINGSCOPE_FAULT_H
#define RINGSCOPE_FAULT_H

#include "pair.h"

#define FAULTS_MAX 32u
#define HELD_MAX   16u /* stores of a side held back at a time; more are performed at once */
#define LATE_MAX   (sizeof((struct side *)0)->late / sizeof(struct late)) /* notifications likewise */

enum fault_kind { /* faults.KINDS of Python */
                  /* stores: what becomes of the value */
                  FAULT_DROP_STORE = 1, /* never performed */
                  FAULT_DELAY_STORE,    /* only behind the side's next `value` stores: no barrier between; up
    to HELD_MAX in the same turn at the latest, more: however many turns it takes */
                  FAULT_CORRUPT_STORE,  /* xor `value` */
                  FAULT_SET_STORE,      /* `value` in its place */
                  FAULT_MASK_STORE,     /* and `value` */
                  FAULT_ADD_STORE,      /* plus `value` */
                  FAULT_SWAP_STORE,     /* in the other byte order */
                  FAULT_TEAR_STORE,     /* its low byte now, the rest behind the next `value` stores */
                  FAULT_CUT_CHAIN,      /* a descriptor with NEXT: without */
                  FAULT_LOOP_CHAIN,     /* a descriptor without NEXT: on to itself, or to whatever follows */
                  FAULT_LAST_STORE = FAULT_LOOP_CHAIN,
                  /* notifications, by their sender */
                  FAULT_LOSE_KICK, /* decided, counted as sent, never written */
                  FAULT_LOSE_CALL,
                  FAULT_LATE_KICK, /* written `value` microseconds later */
                  FAULT_LATE_CALL,
                  FAULT_MISDIRECT_KICK, /* written to the eventfd of queue `value` */
                  FAULT_MISDIRECT_CALL,
                  FAULT_MISS_KICK, /* wanted, and decided against */
                  FAULT_MISS_CALL,
                  FAULT_EXTRA_KICK, /* not wanted, and sent */
                  FAULT_EXTRA_CALL,
                  FAULT_NAG, /* while something of its own is outstanding it notifies every `value` us */
                  /* and by whom they are for */
                  FAULT_EAT_KICK, /* read, and not acted on */
                  FAULT_EAT_CALL,
                  FAULT_DEAF_KICK, /* never read */
                  FAULT_DEAF_CALL,
                  /* either side */
                  FAULT_IGNORE,           /* does not come to the queue */
                  FAULT_BREAK,            /* gives the queue up, for reason `value` */
                  FAULT_KEEP_WRAP,        /* packed: its wrap counter is not toggled */
                  FAULT_FORGET_EVENT_IDX, /* split: as if it were not negotiated */
                  /* the device */
                  FAULT_STOP_EARLY, /* after `value` buffers of a notification it does not look again */
                  FAULT_BLIND, /* takes nothing; `value` 2: until the ring is full, and sleeps then; 3: sleeps
                                */
                  FAULT_HOLD,  /* never completes, as long as it lasts */
                  FAULT_LEAK,  /* forgets what it took */
                  FAULT_TWICE, /* returns a buffer twice */
                  FAULT_WRONG_ID,     /* xor `value` */
                  FAULT_WRONG_LENGTH, /* `value` */
                  FAULT_REORDER,      /* a buffer comes back behind the one after it */
                  FAULT_HOLE,         /* a used slot stays unwritten */
                  FAULT_NO_FLUSH,     /* used elements are written and not shown */
                  FAULT_MISCOUNT,     /* its count of what it holds stays `value` too high */
                  FAULT_SILENT,       /* NEEDS_RESET without a configuration change notification */
                  FAULT_WRONG_SIZE,   /* goes round at `value` slots */
                  FAULT_WRONG_BASE,   /* after a reset of the queue begins `value` further on */
                  FAULT_MASK_SLOT,    /* packed: goes on by a mask where the size is no power of two */
                  FAULT_NUM_BUFFERS,  /* net header: `value` */
                  /* the driver */
                  FAULT_NO_COLLECT,   /* used buffers are not collected; `value` 2: and it sleeps on them */
                  FAULT_NO_REFILL,    /* receive buffers are not made available again */
                  FAULT_NO_SUBMIT,    /* frames are not made available */
                  FAULT_SPIN,         /* runs, and comes to no queue at all */
                  FAULT_READ_UNUSED,  /* collects what is not used yet */
                  FAULT_REUSE_ID,     /* makes a buffer available that is outstanding */
                  FAULT_LOSE_FREE,    /* descriptors that came back are not counted as free */
                  FAULT_OVERWRITE,    /* writes over (xor `value`) a descriptor that is outstanding */
                  FAULT_IGNORE_ORDER, /* takes an in-order batch for one buffer */
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
#define ANY_INDEX 0xffffffffu
struct fault { /* faults.Fault of Python */
    uint32_t id;
    uint8_t kind, side;
    uint16_t queue; /* 0xffff: any */
    uint32_t area;
    uint32_t entry; /* slot of desc, entry of a ring; ANY_ENTRY */
    uint32_t index; /* nothing before the side's own index (avail, used) has come to this; ANY_INDEX */
    uint32_t after; /* let so many chances pass */
    uint32_t count; /* act so often; 0: always */
    uint32_t odds;  /* at a chance it acts once in so many, by `seed`; 0, 1: every time */
    uint64_t seed;
    uint64_t value;
    uint64_t matched, hits;
    bool begun; /* `index` was reached */
};

/* Both sides rest. The id, or 0 where there are too many. */
uint32_t fault_add(struct pair *pair, const struct fault *fault);
/* Takes one away, 0: all; what was held back by then is performed. Whether there was one. */
bool fault_remove(struct pair *pair, uint32_t id);

/* By the side. A store: true where it must not be performed now; `value` may have changed. */
bool fault_store(struct door *door, void *to, uint64_t *value, unsigned width);
/* Behind a store, and with `all` at the end of a turn: what is due is performed. */
void fault_release(struct door *door, bool all);

/* By the side that decides whether to notify; and of a notification that was decided on: true where it must
 * not be written now. */
bool fault_decision(struct door *door, enum event_kind kind, bool needed);
bool fault_notice(struct door *door, struct notes *notes, enum event_kind kind);
/* Late and nagging notifications: writes those that are due; ns until the next, UINT64_MAX: none. */
uint64_t fault_late(struct side *side);

/* A chance for a fault of this kind on the queue that the door stands at: whether it acts. */
bool fault_meets(struct door *door, enum fault_kind kind, uint64_t *value);
static inline bool faulty(const struct door *door) { return UNLIKELY(armed(door) & ARM_FAULT); }
static inline bool fault_acts(struct door *door, enum fault_kind kind) {
    uint64_t value;
    return faulty(door) && fault_meets(door, kind, &value);
}

/* fault_side.c: only where faulty(). */
/* Whether the side may come to this queue in this turn. */
bool fault_serves(struct side *side, struct vq *q);
void fault_served(struct side *side, struct vq *q, uint32_t moved);
/* It was notified of this queue: false where it does not act on that. */
bool fault_told(struct side *side, struct vq *q, uint64_t notifications);
/* From outside it was asked to look at every queue. */
void fault_look_everywhere(struct side *side);
bool fault_deaf(struct side *side, struct vq *q);
/* It asks for no notifications of the queues that it was told of; and asks again of those before it sleeps.
 */
bool fault_hushes(struct side *side, struct vq *q);
bool fault_hushed(struct side *side, struct vq *q);
/* Before it sleeps something was found in the queue: whether it looks. */
bool fault_looks(struct side *side, struct vq *q, bool again);
/* The driver, before it comes to any queue: whether it will not. */
bool fault_spins(struct side *side);
/* collect(): how many used elements it takes to be there. */
uint32_t fault_pending(struct vq *q, uint32_t pending);
/* next(): of `count` buffers it may take so many; and took so many. */
uint32_t fault_take(struct vq *q, uint32_t count);
void fault_took(struct vq *q, uint32_t count);
/* complete(): what becomes of `count` used elements, at most SPAN. */
#define DONE_ROOM (2 * SPAN + 1)
uint32_t fault_done(struct vq *q, const struct done *done, uint32_t count, struct done *room);
/* Behind complete(). */
void fault_completed(struct vq *q);
/* What it held while FAULT_HOLD lasted is completed. */
void fault_let_go(struct vq *q);
/* The head or id of a buffer that is outstanding, in the place of this one. */
uint16_t fault_reused(struct vq *q, uint16_t id);
void fault_overwrite(struct vq *q);
/* After a reset of the queue, both sides at rest. */
void fault_base(struct pair *pair, struct vq *q);
/* ... or tells the driver so, and it the next device (vhost-user's GET_VRING_BASE). */
void fault_base_said(struct pair *pair, struct vq *q, struct ring_place *at);

#endif

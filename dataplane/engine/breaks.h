/* breaks.h: breakpoints: looked at with every event of a side, at every trace level.
 *
 * A rule that is not due costs next to nothing: what only a count can reach waits behind one comparison, what
 * a buffer's slots and length can reach behind one bit, and the rest is looked at only with events of its
 * kind.
 */
#ifndef RINGSCOPE_BREAKS_H
#define RINGSCOPE_BREAKS_H

#include "pair.h"

#define RULES_MAX 256u

enum break_what {
    BREAK_PASSES = 1, /* a count passes a value, or one every `period` */
    BREAK_SLOT,       /* a buffer of the event holds this slot */
    BREAK_HEAD,       /* ... has this head */
    BREAK_CHAIN,      /* ... has more elements than this */
    BREAK_FRAME,      /* a frame matches the program: the device's next event */
    BREAK_EVENT,      /* an event of these kinds */
    BREAK_WRAP,       /* a wrap counter flipped (2.8.1) */
};
struct break_rule { /* breaks.BREAK of Python */
    uint32_t id;
    uint8_t what, side; /* side 255: any */
    uint16_t queue;     /* 0xffff: any */
    uint32_t kinds;     /* bits of event kinds */
    uint32_t skip;      /* hits to let pass first */
    uint8_t once, conditions;
    uint16_t program; /* instructions */
    uint32_t pad;
    uint64_t value, period;
    struct break_test {
        uint16_t word; /* of the queue's own image */
        uint8_t op, pad[5];
        uint64_t value;
    } test[2];
};
_Static_assert(sizeof(struct break_rule) == 72, "breaks.BREAK");
struct break_state {
    uint64_t hits, stopped;
    uint32_t disarmed;
};

/* NULL: sound; else what is wrong. */
const char *breaks_check(const struct pair *pair, const struct break_rule *rules, size_t count,
                         const struct bpf_step *programs, size_t steps);
/* Both sides rest. 0, or -1 with errno. */
int breaks_set(struct pair *pair, const struct break_rule *rules, size_t count,
               const struct bpf_step *programs);
void breaks_free(struct pair *pair);
/* Hits, the number of the event it last stopped at, whether it is disarmed. */
struct break_state breaks_state(const struct pair *pair, size_t rule);
size_t breaks_count(const struct pair *pair);
/* A queue begins anew: its counts do too. */
void breaks_queue_reset(struct pair *pair, uint32_t queue);

/* Whether breaks_event() has anything to look at. */
static inline bool breaks_due(const struct door *door, enum event_kind kind) {
    return door->break_reached || door->break_kinds >> kind & 1;
}
/* door.c: after such an event. Whether the pair has to stop here. */
bool breaks_event(struct door *door, enum event_kind kind, uint64_t number, uint16_t count, uint64_t place,
                  uint64_t old, uint64_t new);
/* net.c: a frame that the device handles. */
bool breaks_watch_frames(const struct pair *pair);
void breaks_frame(struct side *device, const uint8_t *data, uint32_t length);

/* The verbs, with the buffers of the event that follows. */
void breaks_touch(struct vq *q, struct door *door, uint16_t head, uint32_t slots, uint32_t elements);
void breaks_chains(struct vq *q, const struct chain *chains, uint32_t count);
void breaks_done(struct vq *q, const struct done *done, uint32_t count);
void breaks_singles(struct vq *q, uint32_t first, uint32_t count, uint32_t elements);
bool breaks_in_run(const struct vq *q, uint32_t first, uint32_t count);

static inline void breaks_buffer(struct vq *q, struct door *door, uint16_t head, uint32_t slots,
                                 uint32_t elements) {
    if (LIKELY(!(armed(door) & ARM_IDS))) return;
    if (LIKELY(slots == 1 && elements <= q->longest && !q->watched[head])) return;
    breaks_touch(q, door, head, slots, elements);
}
/* The driver, with single descriptors in a row. */
static inline void breaks_run(struct vq *q, uint32_t first, uint32_t count, uint32_t elements) {
    if (UNLIKELY(armed(q->drv.door) & ARM_IDS) &&
        UNLIKELY(elements > q->longest || (q->watching && breaks_in_run(q, first, count))))
        breaks_singles(q, first, count, elements);
}
/* The device, with what it took: whether each is one descriptor, and which slots these are. */
static inline void breaks_taken(struct vq *q, const struct chain *chains, uint32_t count, bool singles,
                                const uint16_t *heads) {
    uint8_t any = !singles || q->longest == 0;
    if (LIKELY(!(armed(q->dev.door) & ARM_IDS))) return;
    if (!any && q->watching) {
        for (uint32_t i = 0; heads && i < count; i++) any |= q->watched[heads[i]];
        if (!heads) any = breaks_in_run(q, chains[0].head, count);
    }
    if (UNLIKELY(any)) breaks_chains(q, chains, count);
}
/* ... and with what it completed, `marks` being those of all their ids. */
static inline void breaks_completed(struct vq *q, const struct done *done, uint32_t count, uint8_t marks) {
    if (UNLIKELY(marks & WATCHED) && armed(q->dev.door) & ARM_IDS) breaks_done(q, done, count);
}

#endif

/* packed.h: the words of a packed ring (2.8.6, 2.8.13), and its event suppression structures
 * (2.8.10, 2.8.14): for packed.c and for who looks on.
 */
#ifndef RINGSCOPE_PACKED_H
#define RINGSCOPE_PACKED_H

#include "ring.h"

static inline uint16_t word_flags(uint64_t word) { return (uint16_t)(word >> 48); }
static inline uint16_t word_id(uint64_t word) { return (uint16_t)(word >> 32); }

static inline uint16_t avail_bits(uint16_t wrap) { return wrap ? DESC_AVAIL : DESC_USED; }
static inline uint16_t used_bits(uint16_t wrap) { return wrap ? DESC_AVAIL | DESC_USED : 0; }
static inline bool is_avail(uint16_t flags, uint16_t wrap) {
    return (flags & (DESC_AVAIL | DESC_USED)) == avail_bits(wrap);
}
static inline bool is_used(uint16_t flags, uint16_t wrap) {
    return (flags & (DESC_AVAIL | DESC_USED)) == used_bits(wrap);
}

/* Moves a slot on by `slots`; returns whether it wrapped. */
static inline bool advance(const struct vq *q, uint16_t *slot, uint32_t slots) {
    uint32_t at = *slot + slots;
    bool wrapped = at >= q->size;
    *slot = (uint16_t)(wrapped ? at - q->size : at);
    return wrapped;
}

static inline struct pvirtq_event *driver_event(struct vq *q) {
    return (struct pvirtq_event *)(void *)q->driver_area;
}
static inline struct pvirtq_event *device_event(struct vq *q) {
    return (struct pvirtq_event *)(void *)q->device_area;
}

/* 2.8.10.1: `moved` slots were filled or used since the last decision; `at` and `wrap` are where that ends.
 */
static inline bool event_wanted(struct vq *q, struct door *door, struct pvirtq_event *from, uint16_t at,
                                uint16_t wrap, uint32_t moved, struct notes *notes) {
    full_fence();
    uint16_t flags = acquire16(door, &from->flags) & 3;
    uint16_t off_wrap = load16(door, &from->off_wrap);
    uint16_t old = (uint16_t)(at - moved);
    count_put(&notes->event, off_wrap | (uint64_t)flags << 16);
    count_put(&notes->old, old);
    count_put(&notes->new, at);
    if (flags == EVENT_DISABLE) return false;
    if (!q->event_idx || flags != EVENT_DESC) return true;
    uint16_t event = off_wrap & 0x7fff;
    if (off_wrap >> 15 != wrap) event = (uint16_t)(event - q->size);
    return need_event(event, at, old);
}

static inline void event_on(struct vq *q, struct door *door, struct pvirtq_event *event, uint16_t at,
                            uint16_t wrap) {
    if (q->event_idx) {
        store16(door, &event->off_wrap, (uint16_t)(at | wrap << 15));
        release16(door, &event->flags, EVENT_DESC);
    } else
        release16(door, &event->flags, EVENT_ENABLE);
    operation(door, EV_NOTIFY_ON, 0, 0, (uint64_t)(at | wrap << 15), 0,
              q->event_idx ? EVENT_DESC : EVENT_ENABLE);
    full_fence();
}

static inline void event_off(struct door *door, struct pvirtq_event *event) {
    release16(door, &event->flags, EVENT_DISABLE);
    operation(door, EV_NOTIFY_OFF, 0, 0, 0, 0, EVENT_DISABLE);
}

#endif

/* observe.h: both sides of the rings are other processes. They are looked at from outside: nothing in them is
 * ever written, and their memory is mapped read-only.
 *
 * A look finds what was made available and what was used since the one before. What a buffer is, its
 * descriptors say from the moment it is available until it is available again, so its pieces are noted when
 * it is first seen. A frame is taken from there: of a transmit queue at once, of a receive queue once it is
 * used. Whether a copy may be trusted is asked behind it: a buffer that was offered again meanwhile is
 * missed.
 *
 * The counts of a split ring are exact while two looks are less than 65536 buffers apart, those of a packed
 * one while they are less than a lap apart: proven by the time between them (OBSERVE_FASTEST_NS a buffer),
 * else the counts are lower bounds.
 *
 * In the halves of a queue stand what was seen so far: dev.seen, last_avail and avail_wrap of what is
 * available, drv.collected, last_used and used_wrap of what is used.
 */
#ifndef RINGSCOPE_OBSERVE_H
#define RINGSCOPE_OBSERVE_H

#include "pair.h"

#define OBSERVE_FASTEST_NS 20u /* no two processes move a buffer in less, on average over a lap */
#define OBSERVE_SPANS      20u /* pieces noted of a buffer: a full skb has 19 */

struct noted { /* one buffer that is available or in use, by head (split) or id (packed) */
    uint64_t position;
    uint32_t bytes;                          /* in all */
    uint16_t head, slots, descriptors, wrap; /* wrap: packed, of the lap that it is of */
    uint8_t spans;
    bool live, indirect, sound;
    struct span span[OBSERVE_SPANS];
};
struct observer {
    uint64_t looked;                  /* when both indices were last read */
    uint64_t missed;                  /* buffers that came and went, or changed, before they could be read */
    uint64_t frames, bytes;           /* read whole */
    uint64_t unproven;                /* looks that came too late to be sure of the counts */
    uint32_t parts, filled, received; /* of a frame in several buffers: still to come; bytes; buffers */
    struct noted first;               /* its first buffer */
    struct noted noted[];             /* [size] */
};

/* Room for the notes about a queue; 0, or -1. */
int observe_open(struct vq *q);
/* Where the two sides stand is read from the ring itself: it may have been in use for long. */
void observe_attach(struct vq *q);
/* The thread; `argument` is the side that stands for both. */
void *observe_run(void *argument);
/* Nanoseconds between two looks, 0: a processor of its own. */
void observe_every(struct pair *pair, uint64_t nanoseconds);

/* observe_ring.c: one look at one queue; returns the buffers that moved. */
uint32_t observe_look(struct pair *pair, struct vq *q);
/* For it, from observe.c. */
bool observe_available(struct pair *pair, struct vq *q, uint16_t head, uint16_t *id);
void observe_used(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length);
void observe_missed(struct vq *q, uint64_t buffers);
/* observe_ring.c: whether a buffer was offered again behind its own position: what was read of it is not its
 * own.
 */
bool observe_offered_again(struct vq *q, const struct noted *buffer, uint16_t id);

#endif

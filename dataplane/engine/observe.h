/* observe.h: both sides of the rings are other processes. They are looked at from outside: nothing in them is
 * ever written, and their memory is mapped read-only.
 *
 * A look finds what was made available and what was used since the one before. What a buffer is, its
 * descriptors say from the moment it is available until it is available again, so its pieces are noted when
 * it is first seen. A frame is taken from there: of a transmit queue at once, of a receive queue once it is
 * used; of a request to a block device a part each. Whether a copy may be trusted is asked behind it: a
 * buffer that was offered again meanwhile is missed.
 *
 * Where only the length was overwritten before it was seen, as a used element of a packed ring does it, the
 * frame's own headers tell it, if they are sound. A frame that was read when its driver might have had the
 * buffer back is marked FRAME_LATE: until the driver has gone on by half a ring it stands there still, by all
 * experience, and nothing proves it.
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

#define OBSERVE_FASTEST_NS 25u /* no two processes move a buffer in less, on average over a lap */
#define OBSERVE_SPANS      20u /* pieces noted of a buffer: a full skb has 19 */

struct noted { /* one buffer that is available or in use, by head (split) or id (packed) */
    uint64_t position;
    uint32_t bytes;                          /* in all */
    uint16_t head, slots, descriptors, wrap; /* wrap: packed, of the lap that it is of */
    uint8_t spans;
    bool live, indirect, sound;
    struct span span[OBSERVE_SPANS];
    /* of a request, ROLE_REQUEST */
    bool read, late; /* what was to be read of it while it was available was; read late */
    uint8_t header_length;
    uint8_t header[16];
    uint32_t readable, writable; /* bytes */
    uint32_t data;               /* bytes of its data that were kept */
    uint64_t since, slack;       /* when it was first seen; the time since the look before */
    struct span last;            /* its last piece, which may be beyond those noted */
};
struct observer {
    uint64_t looked;                  /* when both indices were last read */
    uint64_t apart;                   /* nanoseconds between that and the time before */
    uint64_t missed;                  /* buffers that came and went, or changed, before they could be read */
    uint64_t frames, bytes;           /* read whole */
    uint64_t unproven;                /* looks that came too late to be sure of the counts */
    bool counted;                     /* split: and not noted */
    bool blind;                       /* frames are not read just now, and are missed */
    uint32_t parts, filled, received; /* of a frame in several buffers: still to come; bytes; buffers */
    struct noted first;               /* its first buffer */
    struct noted noted[];             /* [size]; behind them of requests REQUEST_DATA bytes each */
};
#define REQUEST_DATA 512u /* first bytes of a request's data that are logged: blk.DATA_KEPT */

/* Room for the notes about a queue; 0, or -1. */
int observe_open(struct vq *q);
/* Where the two sides stand is read from the ring itself: it may have been in use for long. */
void observe_attach(struct vq *q);
/* The thread; `argument` is the side that stands for both. */
void *observe_run(void *argument);
/* Nanoseconds between two looks, 0: a processor of its own. */
void observe_every(struct pair *pair, uint64_t nanoseconds);

#define OBSERVE_UNKNOWN UINT32_MAX /* a length */

/* observe_ring.c: one look at one queue; returns the buffers that moved. */
uint32_t observe_look(struct pair *pair, struct vq *q);
/* Whether what was just read of a transmit buffer may not be its own: it was offered again, or was used and
 * the driver has gone on by half a ring since, or offered its memory again. `late`: it was used. */
bool observe_changed(struct vq *q, const struct noted *buffer, uint16_t id, bool *late);
/* The same of a slot of a packed ring that was used before it was seen. */
bool observe_is_far(const struct vq *q, uint16_t slot, uint16_t wrap);
/* Of a receive buffer that was used: whether the device may be filling it once more. What is offered again is
 * filled only when its turn has come. */
bool observe_refilled(struct vq *q, const struct noted *buffer);

/* Of a buffer that was used: whether it stands in the ring once more, in use or not. */
bool observe_offered_again(struct vq *q, const struct noted *buffer, uint16_t id);

/* observe_request.c: a request is read in two parts: when it is available, and when it is used. */
void observe_requested(struct pair *pair, struct vq *q, struct noted *buffer, uint16_t id);
void observe_answered(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length);
/* Copies at most `length` bytes of a buffer, from byte `from` on; returns how many there were. */
uint32_t observe_gather(const struct noted *buffer, uint32_t from, uint8_t *to, uint32_t length);

/* observe_frame.c: the frames in what moved. */
void observe_missed(struct vq *q, uint64_t buffers);
void observe_transmitted(struct pair *pair, struct vq *q, const struct noted *buffer, uint16_t id);
void observe_received(struct pair *pair, struct vq *q, const struct noted *buffer, uint32_t length);
/* A transmit buffer of a packed ring that was used before it was seen: its first descriptor has the address
 * still, and its length no more. */
void observe_gone(struct pair *pair, struct vq *q, uint16_t slot, uint32_t slots, uint64_t address);

/* observe.c: a buffer that begins at a slot is available. `id`: by what it will be used. false: that cannot
 * be. */
bool observe_available(struct pair *pair, struct vq *q, uint16_t head, uint16_t *id);
void observe_used(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length);

#endif

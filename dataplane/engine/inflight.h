/* inflight.h: a device's record of the buffers it has taken and not used yet, in memory that outlives it
 * (vhost-user, "Inflight I/O tracking"). Whoever is the device next takes them again, the oldest first, and
 * none is lost or waits for ever.
 *
 * The region belongs to the other process as much as to us: what is read of it is checked, and after it was
 * opened nothing is read from it any more.
 */
#ifndef RINGSCOPE_INFLIGHT_H
#define RINGSCOPE_INFLIGHT_H

#include "ring.h"

struct inflight {
    uint8_t *at;           /* this queue's part of the region */
    uint32_t entries;      /* it has room for */
    uint64_t counter;      /* of the newest buffer */
    uint16_t last_batch;   /* split: head that was used last */
    uint16_t free_head;    /* packed: == entries: none is free */
    uint32_t again_count;  /* buffers to be taken again, */
    uint32_t again_at;     /* and how many of them were */
    uint32_t batched;      /* buffers completed and not shown, */
    uint32_t linked;       /* and those of them that are in the region's list */
    uint16_t *again;       /* [entries] split: head; packed: entry */
    uint16_t *batch;       /* [entries] the same */
    uint16_t *next, *last; /* [entries] packed: the lists, and the last entry of a buffer */
    uint16_t *entry;       /* [65536] packed: by buffer id */
};

/* Bytes of one queue's part. */
uint64_t inflight_bytes(uint32_t entries, bool packed);
/* Finishes what the device before us had begun, and lists what it left. `from`, where the front-end says that
 * the device goes on, becomes where it does. 0; EPROTO: the region cannot be what it is said to be; ENOMEM.
 */
int inflight_open(struct vq *q, uint8_t *at, uint32_t entries, struct ring_place *from);
void inflight_close(struct vq *q);

/* As ring_ops.next(), of what the device before us left. */
uint32_t inflight_again(struct vq *q, struct chain *chains, uint32_t count);
static inline bool inflight_left(const struct vq *q) {
    return q->inflight && q->inflight->again_at < q->inflight->again_count;
}
void inflight_took(struct vq *q, const struct chain *chains, uint32_t count);
void inflight_completed(struct vq *q, const struct done *done, uint32_t count);
/* Around the store that shows what was used. */
void inflight_before_flush(struct vq *q);
void inflight_after_flush(struct vq *q);
/* The newest `count` buffers, before they are put back into the ring. */
void inflight_put_back(struct vq *q, const struct chain *chains, uint32_t count);
/* Where the next device goes on, given where this one stands: behind what was never taken again. */
void inflight_place(const struct vq *q, struct ring_place *at);

#endif

/* logged.c: see logged.h. The driver's verbs are not here: where a device's work is written down, the driver
 * is another process. */
#include "logged.h"

static const struct ring_ops *plain(const struct vq *q) { return q->packed ? &packed_ops : &split_ops; }

static uint32_t logged_next(struct vq *q, struct chain *chains, uint32_t count) {
    if (inflight_left(q)) return inflight_again(q, chains, count);
    uint32_t n = plain(q)->next(q, chains, count);
    if (q->inflight) inflight_took(q, chains, n);
    return n;
}

static void logged_complete(struct vq *q, const struct done *done, uint32_t count, bool batch) {
    plain(q)->complete(q, done, count, batch);
    if (q->inflight) inflight_completed(q, done, count);
}

static void logged_flush(struct vq *q) {
    struct device_half *dev = &q->dev;
    uint64_t before = dev->used;
    uint16_t from = q->packed ? dev->shown_at : (uint16_t)(dev->used_idx - (dev->completed - dev->used));
    if (q->inflight) inflight_before_flush(q);
    plain(q)->flush(q);
    if (dev->used == before) return;
    if (q->inflight) inflight_after_flush(q);
    if (q->dirty) dirty_used(q, from, dev->used_idx);
}

static bool logged_call_needed(struct vq *q) { return plain(q)->call_needed(q); }

static bool logged_kicks_on(struct vq *q) {
    bool more = plain(q)->kicks_on(q);
    if (q->dirty) dirty_event(q);
    return more;
}

static void logged_kicks_off(struct vq *q) {
    plain(q)->kicks_off(q);
    if (q->dirty) dirty_event(q);
}

static void logged_attach(struct vq *q, const struct ring_place *from) { plain(q)->attach(q, from); }

static void logged_put_back(struct vq *q, const struct chain *chains, uint32_t count) {
    if (q->inflight) inflight_put_back(q, chains, count);
    plain(q)->put_back(q, chains, count);
}

static enum reason logged_walk(struct vq *q, struct chain *chain, uint16_t head) {
    return plain(q)->walk(q, chain, head);
}

static const struct ring_ops logged_ops = {
    .next = logged_next,
    .complete = logged_complete,
    .flush = logged_flush,
    .call_needed = logged_call_needed,
    .kicks_on = logged_kicks_on,
    .kicks_off = logged_kicks_off,
    .attach = logged_attach,
    .put_back = logged_put_back,
    .walk = logged_walk,
};

void logged_choose(struct vq *q) { q->ops = q->inflight || q->dirty ? &logged_ops : plain(q); }

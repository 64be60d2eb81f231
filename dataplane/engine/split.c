/* split.c: the split virtqueue (2.7): driver half above, device half below, the same shape. */
#include "breaks.h"
#include "fault.h"
#include "own.h"

static uint64_t split_word(uint32_t len, uint16_t flags, uint16_t next) {
    return len | (uint64_t)flags << 32 | (uint64_t)next << 48;
}

/* Whether this side goes by the event index, or by the flags (2.7.7, 2.7.10). */
static bool by_index(const struct vq *q, struct door *door) {
    return q->event_idx && !fault_acts(door, FAULT_FORGET_EVENT_IDX);
}

/* ---- driver ----------------------------------------------------------------------------------------- */

/* Descriptors keep what they hold from lap to lap, so only what differs is written: a line that the driver
 * does not touch is a line that need not travel. The comparison is with our own shadow. */
static void write_desc(struct vq *q, uint16_t slot, uint64_t addr, uint64_t word) {
    struct shadow *shadow = &q->drv.shadow[slot];
    bool anyway = armed(q->drv.door) & ARM_FAULT; /* what we last wrote may not stand there */
    if (shadow->addr != addr || anyway) {
        shadow->addr = addr;
        release64(q->drv.door, q->desc + 2 * slot, addr); /* behind `collected`, for the snapshot */
    }
    if (shadow->word != word || anyway) {
        shadow->word = word;
        release64(q->drv.door, q->desc + 2 * slot + 1, word);
    }
}

static void write_table(struct vq *q, uint16_t slot, const struct buffer *b) {
    uint32_t total = (uint32_t)b->out + b->in;
    uint64_t *table = q->drv.tables + 2 * TABLE_ENTRIES * slot;
    for (uint32_t i = 0; i < total; i++) {
        uint16_t flags = (uint16_t)((i + 1 < total ? DESC_NEXT : 0) | (i >= b->out ? DESC_WRITE : 0));
        uint16_t next = (uint16_t)(i + 1 < total ? i + 1 : 0);
        release64(q->drv.door, table + 2 * i, b->segs[i].address);
        release64(q->drv.door, table + 2 * i + 1, split_word(b->segs[i].length, flags, next));
    }
    write_desc(q, slot, q->drv.tables_address + 16ull * TABLE_ENTRIES * slot,
               split_word(16 * total, DESC_INDIRECT, 0));
}

static uint32_t split_add(struct vq *q, const struct buffer *buffers, uint32_t count) {
    struct driver_half *drv = &q->drv;
    uint16_t mask = (uint16_t)(q->size - 1), idx = drv->avail_idx, first = drv->free_head;
    uint64_t free = drv->free, position = drv->added;
    uint32_t n;
    door_batch(drv->door);
    for (n = 0; n < count; n++) {
        const struct buffer *b = &buffers[n];
        uint32_t total = (uint32_t)b->out + b->in, slots = b->table ? 1 : total;
        if (slots > free) break;
        uint16_t head = drv->free_head, slot = head, last = head;
        uint64_t writable = 0;
        for (uint32_t i = b->out; i < total; i++) writable += b->segs[i].length;
        if (b->table)
            write_table(q, head, b);
        else
            for (uint32_t i = 0; i < total; i++) {
                bool more = i + 1 < total;
                uint16_t flags = (uint16_t)((more ? DESC_NEXT : 0) | (i >= b->out ? DESC_WRITE : 0));
                write_desc(q, slot, b->segs[i].address,
                           split_word(b->segs[i].length, flags, more ? drv->next_free[slot] : 0));
                last = slot;
                slot = drv->next_free[slot];
            }
        breaks_buffer(q, drv->door, head, slots, total);
        own16(&drv->free_head, drv->next_free[last]);
        free -= slots;
        drv->flight[head] = (struct flight){position, writable, b->token, head, last, (uint16_t)slots, true};
        count_put(drv->place + drv->add_at, head | (uint64_t)slots << 16 | (uint64_t)head << 32);
        if (++drv->add_at == q->size) drv->add_at = 0;
        uint16_t shown = faulty(drv->door) ? fault_reused(q, head) : head;
        if (drv->avail_shadow[idx & mask] != shown || faulty(drv->door)) {
            drv->avail_shadow[idx & mask] = shown;
            release16(drv->door, avail_ring(q, idx & mask), shown);
        }
        idx++;
        position++;
    }
    if (n == 0) return drv->door->batching = false, 0;
    if (faulty(drv->door)) fault_overwrite(q);
    count_put(&drv->free, free);
    own16(&drv->avail_idx, idx);
    count_put(&drv->added, position);
    if (own_wanted(drv->door)) own_driver_ids(q, position - n, position);
    operation(drv->door, EV_ADD, first, n, position - n, 0, 0);
    return n;
}

/* 2.7.13.3: descriptors and entries before the index; pairs with split_next(). */
static void split_publish(struct vq *q) {
    struct driver_half *drv = &q->drv;
    uint64_t before = drv->published;
    if (before == drv->added) return;
    count_set(&drv->published, drv->added);
    release16(drv->door, avail_idx(q), drv->avail_idx);
    count_set(&drv->shown, drv->added);
    operation(drv->door, EV_PUBLISH, 0, (uint32_t)(drv->added - before), 0, before, drv->added);
}

/* Hands one outstanding buffer back and frees its descriptors. */
static void split_return(struct vq *q, uint16_t head, uint32_t length, struct returned *out) {
    struct driver_half *drv = &q->drv;
    struct flight *f = &drv->flight[head];
    *out = (struct returned){f->token, length, f->position, head};
    f->live = false;
    breaks_buffer(q, drv->door, head, f->slots, 0);
    if (drv->free == 0)
        own16(&drv->free_head, head);
    else
        drv->next_free[drv->free_tail] = head;
    drv->free_tail = f->last;
    if (!fault_acts(drv->door, FAULT_LOSE_FREE)) count_put(&drv->free, drv->free + f->slots);
    if (own_wanted(drv->door)) own_driver_id(q, head);
}

static bool in_order(struct vq *q) { return q->in_order && !fault_acts(q->drv.door, FAULT_IGNORE_ORDER); }

/* The size of the batch that an element with this id closes: 1 without IN_ORDER (2.7.9). 0: the id is not
 * that of an outstanding buffer, or the batch is larger than `pending`. */
static uint64_t batch_of(struct vq *q, uint32_t id, uint64_t collected, uint32_t pending) {
    struct driver_half *drv = &q->drv;
    if (id >= q->size || !drv->flight[id].live) return driver_broken(q, ID_UNKNOWN), 0;
    if (drv->flight[id].position >= drv->published) return driver_broken(q, ID_UNKNOWN), 0;
    if (!in_order(q)) return 1;
    uint64_t batch = drv->flight[id].position - collected + 1;
    if (batch > pending) return driver_broken(q, ORDER_BROKEN), 0;
    return batch;
}

static uint32_t split_collect(struct vq *q, struct returned *out, uint32_t count) {
    struct driver_half *drv = &q->drv;
    uint16_t mask = (uint16_t)(q->size - 1), at = drv->last_used;
    uint64_t collected = drv->collected;
    uint32_t pending = (uint16_t)(acquire16(drv->door, used_idx(q)) - at); /* pairs with split_flush() */
    if (faulty(drv->door)) pending = fault_pending(q, pending);
    if (pending == 0 || drv->broken) return 0;
    if (pending > drv->published - collected) {
        driver_broken(q, USED_JUMP);
        return 0;
    }
    if (pending < count) count = pending;
    uint32_t n = 0;
    for (; n < count; n++, at++, collected++, pending--) {
        if (drv->batch_left == 0) {
            const uint32_t *elem = used_elem(q, at & mask);
            uint32_t id = load32(drv->door, elem);
            drv->batch_length = load32(drv->door, elem + 1);
            if ((drv->batch_left = batch_of(q, id, collected, pending)) == 0) break;
            if (drv->batch_length > drv->flight[id].writable) {
                driver_broken(q, USED_LENGTH);
                break;
            }
            if (!in_order(q)) {
                if (drv->flight[id].position != collected) count_add(&drv->reordered, 1);
                split_return(q, (uint16_t)id, drv->batch_length, &out[n]);
                drv->batch_left = 0;
                continue;
            }
        }
        uint16_t head = (uint16_t)drv->place[drv->collect_at];
        if (++drv->collect_at == q->size) drv->collect_at = 0;
        bool own = --drv->batch_left == 0;
        split_return(q, head, own ? drv->batch_length : (uint32_t)drv->flight[head].writable, &out[n]);
    }
    if (n == 0) return 0;
    own16(&drv->last_used, at);
    count_set(&drv->collected, collected);
    operation(drv->door, EV_COLLECT, out[0].head, n, 0, collected - n, collected);
    return n;
}

/* Descriptors and available entries stand from the lap before: only the index moves. */
static void split_repeat(struct vq *q, uint32_t count) {
    struct driver_half *drv = &q->drv;
    uint32_t mask = q->size - 1;
    uint16_t first = drv->free_head;
    for (uint32_t i = 0; i < count; i++) {
        struct flight *f = &drv->flight[(first + i) & mask];
        f->position = drv->added + i;
        f->live = true;
    }
    own16(&drv->free_head, (uint16_t)((first + count) & mask));
    drv->add_at = (drv->add_at + count) & mask;
    own16(&drv->avail_idx, (uint16_t)(drv->avail_idx + count));
    count_put(&drv->free, drv->free - count);
    count_put(&drv->added, drv->added + count);
    breaks_run(q, first, count, 1);
    if (own_wanted(drv->door)) own_driver_ids(q, drv->added - count, drv->added);
    operation(drv->door, EV_ADD, first, count, drv->added - count, 0, 0);
}

static uint32_t split_reclaim(struct vq *q) {
    struct driver_half *drv = &q->drv;
    uint32_t mask = q->size - 1, n = (uint16_t)(acquire16(drv->door, used_idx(q)) - drv->last_used);
    if (n == 0 || drv->broken) return 0;
    if (n > drv->published - drv->collected) {
        driver_broken(q, USED_JUMP);
        return 0;
    }
    uint16_t first = (uint16_t)((drv->free_tail + 1) & mask);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t slot = (uint16_t)((first + i) & mask);
        drv->flight[slot].live = false;
        if (own_wanted(drv->door)) own_driver_id(q, slot);
    }
    drv->free_tail = (uint16_t)((drv->free_tail + n) & mask);
    drv->collect_at = (drv->collect_at + n) & mask;
    drv->batch_left = 0;
    count_put(&drv->free, drv->free + n);
    own16(&drv->last_used, (uint16_t)(drv->last_used + n));
    count_set(&drv->collected, drv->collected + n);
    breaks_run(q, first, n, 0);
    operation(drv->door, EV_COLLECT, first, n, 0, drv->collected - n, drv->collected);
    return n;
}

/* 2.7.7.2, 2.7.10.1: publish, then fence, then read; pairs with split_kicks_on(). */
static bool split_kick_needed(struct vq *q) {
    struct driver_half *drv = &q->drv;
    full_fence();
    uint16_t new = (uint16_t)(drv->avail_idx - (drv->added - drv->published)),
             old = (uint16_t)drv->kick.decided;
    bool event_idx = by_index(q, drv->door);
    uint16_t event = load16(drv->door, event_idx ? avail_event(q) : used_flags(q));
    count_put(&drv->kick.event, event);
    count_put(&drv->kick.old, old);
    count_put(&drv->kick.new, new);
    drv->kick.decided = new;
    return event_idx ? need_event(event, new, old) : !(event & USED_NO_NOTIFY);
}

static bool split_calls_on(struct vq *q) {
    struct driver_half *drv = &q->drv;
    if (by_index(q, drv->door))
        store16(drv->door, used_event(q), drv->last_used);
    else
        store16(drv->door, avail_flags(q), 0);
    operation(drv->door, EV_NOTIFY_ON, 0, 0, drv->last_used, 0, 0);
    full_fence();
    return acquire16(drv->door, used_idx(q)) != drv->last_used;
}

/* With the event index there is nothing to switch off: the event value simply stays behind (2.7.7.1). */
static void split_calls_off(struct vq *q) {
    if (by_index(q, q->drv.door)) return;
    store16(q->drv.door, avail_flags(q), AVAIL_NO_INTERRUPT);
    operation(q->drv.door, EV_NOTIFY_OFF, 0, 0, 0, 0, AVAIL_NO_INTERRUPT);
}

/* ---- device ----------------------------------------------------------------------------------------- */

static enum reason take_chain(struct vq *q, struct chain *chain, uint16_t head, uint64_t addr,
                              uint64_t word) {
    struct door *door = q->dev.door;
    chain_begin(q, chain, head);
    for (;;) {
        struct copied d = {addr, (uint32_t)word, (uint16_t)(word >> 32)};
        uint16_t next = (uint16_t)(word >> 48);
        chain->slots++;
        if (UNLIKELY(d.flags & DESC_INDIRECT)) return chain_table(q, chain, &d);
        enum reason reason = chain_element(q, chain, &d);
        if (reason || !(d.flags & DESC_NEXT)) return reason;
        if (next >= q->size) return HEAD_OUT_OF_RANGE;
        addr = load64(door, q->desc + 2 * next);
        word = load64(door, q->desc + 2 * next + 1);
    }
}

static enum reason split_walk(struct vq *q, struct chain *chain, uint16_t head) {
    const uint64_t *desc = q->desc + 2 * head;
    return take_chain(q, chain, head, load64(q->dev.door, desc), load64(q->dev.door, desc + 1));
}

static uint32_t split_next(struct vq *q, struct chain *chains, uint32_t count) {
    struct device_half *dev = &q->dev;
    struct door *door = dev->door;
    uint16_t mask = (uint16_t)(dev->size - 1), at = dev->last_avail;
    uint16_t ready = (uint16_t)(dev->avail_cached - at);
    if (dev->broken) return 0;
    if (ready == 0) {
        own16(&dev->avail_cached, acquire16(door, avail_idx(q))); /* pairs with split_publish() */
        ready = (uint16_t)(dev->avail_cached - at);
        if (ready == 0) return 0;
        if (ready > q->size) {
            device_broken(q, INDEX_JUMP);
            return 0;
        }
    }
    if (ready < count) count = ready;
    if (count > BURST) count = BURST;
    if (faulty(door)) count = fault_take(q, count);
    if (dev->holding == 0) dev->arena_used = 0;

    uint16_t heads[BURST];
    uint64_t addr[BURST], word[BURST];
    uint8_t *host[BURST];
    for (uint32_t i = 0; i < count; i++) {
        heads[i] = load16(door, avail_ring(q, (uint16_t)(at + i) & mask));
        if (LIKELY(heads[i] < q->size)) __builtin_prefetch(q->desc + 2 * heads[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        host[i] = NULL;
        if (UNLIKELY(heads[i] >= q->size)) continue;
        addr[i] = load64(door, q->desc + 2 * heads[i]);
        word[i] = load64(door, q->desc + 2 * heads[i] + 1);
        host[i] = memory_translate(q->memory, addr[i], (uint32_t)word[i]);
        if (LIKELY(host[i] != NULL)) chain_prefetch(host[i], word[i] >> 32 & DESC_WRITE);
    }
    uint64_t position = dev->seen;
    uint32_t n;
    bool singles = true;
    for (n = 0; n < count && chain_fits(q); n++) {
        enum reason reason = SOUND;
        if (UNLIKELY(heads[n] >= q->size))
            reason = HEAD_OUT_OF_RANGE;
        else if (UNLIKELY(dev->taken[heads[n]]))
            reason = DUPLICATE_HEAD;
        else if (!chain_single(q, &chains[n], heads[n], host[n], (uint32_t)word[n],
                               (uint16_t)(word[n] >> 32))) {
            reason = take_chain(q, &chains[n], heads[n], addr[n], word[n]);
            singles = false;
        }
        if (UNLIKELY(reason)) {
            device_broken(q, reason);
            break;
        }
        dev->taken[heads[n]] = TAKEN;
        if (own_wanted(door)) own_device_id(q, heads[n]);
        chains[n].position = position++;
    }
    if (n == 0) return 0;
    if (UNLIKELY(q->driver_theirs)) note_places(q, chains, n);
    breaks_taken(q, chains, n, singles, heads);
    if (faulty(door)) fault_took(q, n);
    own16(&dev->last_avail, (uint16_t)(at + n));
    count_put(&dev->holding, dev->holding + n);
    count_set(&dev->seen, position);
    operation(door, EV_NEXT, heads[0], n, position - n, 0, 0);
    return n;
}

static void write_used(struct vq *q, uint16_t at, const struct done *done) {
    uint32_t *elem = used_elem(q, at & (uint32_t)(q->dev.size - 1));
    release32(q->dev.door, elem, done->id); /* behind `completed`: see split_complete() */
    release32(q->dev.door, elem + 1, done->length);
    if (q->in_order) own8(q->dev.skipped + (at & (q->size - 1)), 0);
}

static void split_complete(struct vq *q, const struct done *done, uint32_t count, bool batch) {
    struct device_half *dev = &q->dev;
    uint16_t at = dev->used_idx;
    struct done changed[DONE_ROOM];
    if (faulty(dev->door)) {
        count = fault_done(q, done, count, changed);
        done = changed;
    }
    if (count == 0) return;
    door_batch(dev->door);
    /* Said before it is done: the snapshot must know which elements may be written over from here on. */
    count_set(&dev->completed, dev->completed + count);
    if (batch && q->in_order) {
        /* 2.7.9: one element for all, at the place of the first, naming the last */
        write_used(q, at++, &done[count - 1]);
        for (uint32_t i = 1; i < count; i++, at++) own8(dev->skipped + (at & (q->size - 1)), 1);
    } else
        for (uint32_t i = 0; i < count; i++) write_used(q, at++, &done[i]);
    uint8_t marks = 0;
    for (uint32_t i = 0; i < count; i++) {
        marks |= dev->taken[done[i].id];
        dev->taken[done[i].id] = 0;
        if (own_wanted(dev->door)) own_device_id(q, done[i].id);
    }
    if (own_wanted(dev->door)) own_used_slots(q, dev->used_idx, count);
    if (fault_acts(dev->door, FAULT_HOLE)) at++;
    own16(&dev->used_idx, at);
    breaks_completed(q, done, count, marks);
    count_put(&dev->holding, dev->holding - count);
    if (faulty(dev->door)) fault_completed(q);
    operation(dev->door, EV_COMPLETE, done[0].id, count, dev->completed - count, 0, 0);
}

/* 2.7.8.2: elements and data before the index; pairs with split_collect(). */
static void split_flush(struct vq *q) {
    struct device_half *dev = &q->dev;
    uint64_t before = dev->used;
    if (before == dev->completed || fault_acts(dev->door, FAULT_NO_FLUSH)) return;
    count_set(&dev->used, dev->completed);
    release16(dev->door, used_idx(q), dev->used_idx);
    count_set(&dev->shown, dev->completed);
    operation(dev->door, EV_FLUSH, 0, (uint32_t)(dev->completed - before), 0, before, dev->completed);
}

/* 2.7.7.2: flush, then fence, then read; pairs with split_calls_on(). */
static bool split_call_needed(struct vq *q) {
    struct device_half *dev = &q->dev;
    full_fence();
    uint16_t new = (uint16_t)(dev->used_idx - (dev->completed - dev->used)),
             old = (uint16_t)dev->call.decided;
    bool event_idx = by_index(q, dev->door);
    uint16_t event = load16(dev->door, event_idx ? used_event(q) : avail_flags(q));
    count_put(&dev->call.event, event);
    count_put(&dev->call.old, old);
    count_put(&dev->call.new, new);
    dev->call.decided = new;
    return event_idx ? need_event(event, new, old) : !(event & AVAIL_NO_INTERRUPT);
}

static bool split_kicks_on(struct vq *q) {
    struct device_half *dev = &q->dev;
    if (by_index(q, dev->door))
        store16(dev->door, avail_event(q), dev->last_avail);
    else
        store16(dev->door, used_flags(q), 0);
    operation(dev->door, EV_NOTIFY_ON, 0, 0, dev->last_avail, 0, 0);
    full_fence();
    return acquire16(dev->door, avail_idx(q)) != dev->last_avail;
}

static void split_kicks_off(struct vq *q) {
    if (by_index(q, q->dev.door)) return;
    store16(q->dev.door, used_flags(q), USED_NO_NOTIFY);
    operation(q->dev.door, EV_NOTIFY_OFF, 0, 0, 0, 0, USED_NO_NOTIFY);
}

static void split_start(struct vq *q, uint16_t index, uint16_t wrap) {
    (void)wrap;
    q->start_index = index;
    publish16(avail_idx(q), index);
    publish16(used_idx(q), index);
    own16(&q->drv.avail_idx, index);
    own16(&q->drv.last_used, index);
    own16(&q->dev.last_avail, index);
    own16(&q->dev.used_idx, index);
    q->dev.avail_cached = index;
    q->drv.kick.decided = q->dev.call.decided = index;
}

/* Buffers from used.idx to `avail` were taken by whoever was the device before, and never come back. Where
 * that is more than there can be, used.idx is of another life of this ring. */
static void split_attach(struct vq *q, const struct ring_place *from) {
    struct device_half *dev = &q->dev;
    uint16_t used = observe16(used_idx(q)), lost = (uint16_t)(from->avail - used);
    if (lost > q->size) used = from->avail, lost = 0;
    q->start_index = used;
    own16(&dev->last_avail, from->avail);
    own16(&dev->used_idx, used);
    dev->avail_cached = from->avail;
    dev->call.decided = used;
    count_set(&dev->seen, lost);
}

static void split_put_back(struct vq *q, const struct chain *chains, uint32_t count) {
    struct device_half *dev = &q->dev;
    for (uint32_t i = 0; i < count; i++) dev->taken[chains[i].id] = 0;
    own16(&dev->last_avail, (uint16_t)(dev->last_avail - count));
    dev->avail_cached = dev->last_avail;
    count_put(&dev->holding, dev->holding - count);
    count_set(&dev->seen, dev->seen - count);
}

const struct ring_ops split_ops = {
    split_add,      split_publish,   split_collect, split_repeat,   split_reclaim,  split_kick_needed,
    split_calls_on, split_calls_off, split_next,    split_complete, split_flush,    split_call_needed,
    split_kicks_on, split_kicks_off, split_start,   split_attach,   split_put_back, split_walk,
};

/* packed.c: the packed virtqueue (2.8): driver half above, device half below, the same shape.
 *
 * len, id and flags of a descriptor share one aligned 64-bit word, so one release store writes them all and
 * one acquire load reads them all: a descriptor is never seen with flags of one lap and the rest of another.
 * Of everything added since the last publish, the first head's word is held back and written by publish();
 * flush() does the same for used descriptors.
 */
#include "breaks.h"
#include "fault.h"
#include "own.h"
#include "packed.h"

static uint64_t packed_word(uint32_t len, uint16_t id, uint16_t flags) {
    return len | (uint64_t)id << 32 | (uint64_t)flags << 48;
}

/* A side's wrap counter behind a step that wrapped. */
static uint16_t toggled(struct door *door, uint16_t wrap, bool wrapped) {
    return wrapped && !fault_acts(door, FAULT_KEEP_WRAP) ? wrap ^ 1 : wrap;
}

/* ---- driver ----------------------------------------------------------------------------------------- */

static void write_addr(struct vq *q, uint16_t slot, uint64_t addr) {
    struct shadow *shadow = &q->drv.shadow[slot];
    if (shadow->addr == addr && !(armed(q->drv.door) & ARM_FAULT)) return;
    shadow->addr = addr;
    release64(q->drv.door, q->desc + 2 * slot, addr); /* behind `collected`, for the snapshot */
}

/* The head of what publish() will show is held back; every other head is behind it. */
static void write_head(struct vq *q, uint16_t slot, uint64_t word) {
    struct driver_half *drv = &q->drv;
    if (!drv->pending_at) {
        drv->pending_at = q->desc + 2 * slot + 1;
        drv->pending_word = word;
    } else
        release64(drv->door, q->desc + 2 * slot + 1, word);
}

static void write_table(struct vq *q, uint16_t slot, uint16_t id, uint16_t flags, const struct buffer *b) {
    uint32_t total = (uint32_t)b->out + b->in;
    uint64_t *table = q->drv.tables + 2 * TABLE_ENTRIES * slot;
    for (uint32_t i = 0; i < total; i++) {
        release64(q->drv.door, table + 2 * i, b->segs[i].address);
        release64(q->drv.door, table + 2 * i + 1,
                  packed_word(b->segs[i].length, 0, i >= b->out ? DESC_WRITE : 0));
    }
    write_addr(q, slot, q->drv.tables_address + 16ull * TABLE_ENTRIES * slot);
    write_head(q, slot, packed_word(16 * total, id, flags | DESC_INDIRECT));
}

/* Tails first, head last (2.8.16): the device reads on from a head that it sees available. */
static void write_chain(struct vq *q, uint16_t head, uint16_t wrap, uint16_t id, const struct buffer *b) {
    uint32_t total = (uint32_t)b->out + b->in;
    uint64_t head_word = 0;
    uint16_t slot = head;
    for (uint32_t i = 0; i < total; i++) {
        uint16_t flags =
            (uint16_t)(avail_bits(wrap) | (i + 1 < total ? DESC_NEXT : 0) | (i >= b->out ? DESC_WRITE : 0));
        uint64_t word = packed_word(b->segs[i].length, id, flags);
        write_addr(q, slot, b->segs[i].address);
        q->drv.shadow[slot].word = word & ~packed_word(0, 0, DESC_AVAIL | DESC_USED);
        if (i == 0)
            head_word = word;
        else
            release64(q->drv.door, q->desc + 2 * slot + 1, word);
        wrap ^= advance(q, &slot, 1);
    }
    write_head(q, head, head_word);
}

static uint16_t take_id(struct vq *q, uint16_t head) {
    struct driver_half *drv = &q->drv;
    uint16_t id = head;
    if (!q->in_order) {
        id = drv->id_head;
        drv->id_head = drv->next_id[id];
        drv->ids_free--;
    }
    return faulty(drv->door) ? fault_reused(q, id) : id;
}

static void give_id(struct vq *q, uint16_t id) {
    struct driver_half *drv = &q->drv;
    if (q->in_order) return;
    if (drv->ids_free++ == 0)
        drv->id_head = id;
    else
        drv->next_id[drv->id_tail] = id;
    drv->id_tail = id;
}

static uint32_t packed_add(struct vq *q, const struct buffer *buffers, uint32_t count) {
    struct driver_half *drv = &q->drv;
    uint16_t at = drv->avail_idx, wrap = drv->avail_wrap, first = at;
    uint64_t free = drv->free, position = drv->added;
    uint32_t n;
    door_batch(drv->door);
    for (n = 0; n < count; n++) {
        const struct buffer *b = &buffers[n];
        uint32_t total = (uint32_t)b->out + b->in, slots = b->table ? 1 : total;
        if (slots > free || position - drv->collected >= q->size) break;
        uint16_t head = at, id = take_id(q, head);
        uint64_t writable = 0;
        for (uint32_t i = b->out; i < total; i++) writable += b->segs[i].length;
        if (b->table)
            write_table(q, head, id, avail_bits(wrap), b);
        else
            write_chain(q, head, wrap, id, b);
        breaks_buffer(q, drv->door, head, slots, total);
        wrap = toggled(drv->door, wrap, advance(q, &at, slots));
        free -= slots;
        drv->slots_added += slots;
        drv->flight[id] = (struct flight){position, writable, b->token, head, head, (uint16_t)slots, true};
        count_put(drv->place + drv->add_at, head | (uint64_t)slots << 16 | (uint64_t)id << 32);
        if (++drv->add_at == q->size) drv->add_at = 0;
        position++;
    }
    if (n == 0) return drv->door->batching = false, 0;
    if (faulty(drv->door)) fault_overwrite(q);
    count_put(&drv->free, free);
    own16(&drv->avail_idx, at);
    own16(&drv->avail_wrap, wrap);
    count_put(&drv->added, position);
    if (own_wanted(drv->door)) own_driver_ids(q, position - n, position);
    operation(drv->door, EV_ADD, first, n, position - n, 0, 0);
    return n;
}

/* 2.8.16: pairs with packed_next(). */
static void packed_publish(struct vq *q) {
    struct driver_half *drv = &q->drv;
    uint64_t before = drv->published;
    if (before == drv->added) return;
    count_set(&drv->published, drv->added);
    release64(drv->door, drv->pending_at, drv->pending_word);
    count_set(&drv->shown, drv->added);
    drv->pending_at = NULL;
    drv->unmoved += drv->slots_added;
    drv->slots_added = 0;
    drv->shown_at = drv->avail_idx;
    drv->shown_wrap = drv->avail_wrap;
    operation(drv->door, EV_PUBLISH, 0, (uint32_t)(drv->added - before), 0, before, drv->added);
}

static void packed_return(struct vq *q, uint16_t id, uint32_t length, struct returned *out) {
    struct driver_half *drv = &q->drv;
    struct flight *f = &drv->flight[id];
    *out = (struct returned){f->token, length, f->position, f->head};
    f->live = false;
    breaks_buffer(q, drv->door, f->head, f->slots, 0);
    give_id(q, id);
    if (!fault_acts(drv->door, FAULT_LOSE_FREE)) count_put(&drv->free, drv->free + f->slots);
    uint16_t at = drv->last_used;
    if (advance(q, &at, f->slots)) own16(&drv->used_wrap, drv->used_wrap ^ 1);
    own16(&drv->last_used, at);
    if (own_wanted(drv->door)) own_driver_id(q, id);
}

/* Reads one used element; false where there is none, or where it broke the queue. */
static bool read_used(struct vq *q, uint64_t collected, uint16_t *id) {
    struct driver_half *drv = &q->drv;
    uint64_t outstanding = drv->published - collected;
    if (outstanding == 0) return false;
    uint64_t word = acquire64(drv->door, q->desc + 2 * drv->last_used + 1); /* pairs with packed_flush() */
    if (!is_used(word_flags(word), drv->used_wrap) && !fault_acts(drv->door, FAULT_READ_UNUSED)) return false;
    *id = word_id(word);
    if (*id >= q->size || !drv->flight[*id].live || drv->flight[*id].position >= drv->published)
        return driver_broken(q, ID_UNKNOWN), false;
    const struct flight *f = &drv->flight[*id];
    /* Without WRITE the length means nothing (2.8.6). */
    drv->batch_length = word_flags(word) & DESC_WRITE ? (uint32_t)word : 0;
    if (drv->batch_length > f->writable) return driver_broken(q, USED_LENGTH), false;
    bool in_order = q->in_order && !fault_acts(drv->door, FAULT_IGNORE_ORDER);
    drv->batch_left = in_order ? f->position - collected + 1 : 1;
    if (!q->in_order && f->position != collected) count_add(&drv->reordered, 1);
    return true;
}

static uint32_t packed_collect(struct vq *q, struct returned *out, uint32_t count) {
    struct driver_half *drv = &q->drv;
    uint64_t collected = drv->collected;
    uint32_t n = 0;
    if (drv->broken || fault_acts(drv->door, FAULT_NO_COLLECT)) return 0;
    for (; n < count; n++, collected++) {
        uint16_t id = 0;
        if (drv->batch_left == 0 && !read_used(q, collected, &id)) break;
        if (q->in_order) {
            id = (uint16_t)(drv->place[drv->collect_at] >> 32);
            if (++drv->collect_at == q->size) drv->collect_at = 0;
        }
        bool own = --drv->batch_left == 0;
        packed_return(q, id, own ? drv->batch_length : (uint32_t)drv->flight[id].writable, &out[n]);
    }
    if (n == 0) return 0;
    count_set(&drv->collected, collected);
    operation(drv->door, EV_COLLECT, out[0].head, n, 0, collected - n, collected);
    return n;
}

/* Addresses stand from the lap before; a used element took the place of the rest. */
static void packed_repeat(struct vq *q, uint32_t count) {
    struct driver_half *drv = &q->drv;
    uint16_t at = drv->avail_idx, wrap = drv->avail_wrap, first = at, line = at;
    door_batch(drv->door);
    for (uint32_t i = 0; i < count; i += 4) { /* four descriptors a line */
        will_write(q->desc + 2 * line);
        advance(q, &line, 4 % q->size);
    }
    for (uint32_t i = 0; i < count; i++) {
        drv->flight[at].position = drv->added + i;
        drv->flight[at].live = true;
        write_head(q, at, drv->shadow[at].word | packed_word(0, 0, avail_bits(wrap)));
        wrap ^= advance(q, &at, 1);
    }
    drv->slots_added += count;
    uint32_t add_at = drv->add_at + count;
    drv->add_at = add_at >= q->size ? add_at - q->size : add_at;
    own16(&drv->avail_idx, at);
    own16(&drv->avail_wrap, wrap);
    count_put(&drv->free, drv->free - count);
    count_put(&drv->added, drv->added + count);
    breaks_run(q, first, count, 1);
    if (own_wanted(drv->door)) own_driver_ids(q, drv->added - count, drv->added);
    operation(drv->door, EV_ADD, first, count, drv->added - count, 0, 0);
}

static uint32_t packed_reclaim(struct vq *q) {
    struct driver_half *drv = &q->drv;
    uint64_t collected = drv->collected;
    uint16_t id, first = drv->last_used;
    while (drv->broken == SOUND && read_used(q, collected, &id)) {
        uint16_t at = drv->last_used;
        for (uint64_t i = 0; i < drv->batch_left; i++) {
            drv->flight[at].live = false;
            if (own_wanted(drv->door)) own_driver_id(q, at);
            if (advance(q, &at, 1)) own16(&drv->used_wrap, drv->used_wrap ^ 1);
        }
        own16(&drv->last_used, at);
        collected += drv->batch_left;
        drv->batch_left = 0;
    }
    uint32_t n = (uint32_t)(collected - drv->collected);
    if (n == 0) return 0;
    uint32_t collect_at = drv->collect_at + n;
    drv->collect_at = collect_at >= q->size ? collect_at - q->size : collect_at;
    count_put(&drv->free, drv->free + n);
    count_set(&drv->collected, collected);
    breaks_run(q, first, n, 0);
    operation(drv->door, EV_COLLECT, first, n, 0, collected - n, collected);
    return n;
}

/* Pairs with packed_kicks_on(). */
static bool packed_kick_needed(struct vq *q) {
    struct driver_half *drv = &q->drv;
    uint32_t moved = drv->unmoved;
    drv->unmoved = 0;
    return event_wanted(q, drv->door, device_event(q), drv->shown_at, drv->shown_wrap, moved, &drv->kick);
}

static bool packed_calls_on(struct vq *q) {
    struct driver_half *drv = &q->drv;
    event_on(q, drv->door, driver_event(q), drv->last_used, drv->used_wrap);
    if (drv->batch_left) return true; /* the rest of a batch is not marked in the ring */
    if (drv->published == drv->collected) return false;
    return is_used(word_flags(acquire64(drv->door, q->desc + 2 * drv->last_used + 1)), drv->used_wrap);
}

static void packed_calls_off(struct vq *q) { event_off(q->drv.door, driver_event(q)); }

/* ---- device ----------------------------------------------------------------------------------------- */

/* advance() at the size that the device goes round at. */
static bool go_on(const struct vq *q, uint16_t *slot, uint32_t slots) {
    uint32_t at = *slot + slots, size = (uint32_t)q->dev.size;
    bool wrapped = at >= size;
    if (size & (size - 1) && fault_acts(q->dev.door, FAULT_MASK_SLOT))
        at &= size - 1;
    else if (wrapped)
        at -= size;
    *slot = (uint16_t)(at < q->size ? at : 0);
    return wrapped;
}

static enum reason take_chain(struct vq *q, struct chain *chain, uint16_t head, uint64_t addr,
                              uint64_t word) {
    struct device_half *dev = &q->dev;
    uint16_t slot = head;
    chain_begin(q, chain, head);
    for (;;) {
        struct copied d = {addr, (uint32_t)word, word_flags(word)};
        chain->slots++;
        chain->id = word_id(word);             /* the last one counts (2.8.13) */
        if (UNLIKELY(d.flags & DESC_INDIRECT)) /* 2.8.7: a buffer is either a list or one table */
            return chain->slots > 1 ? INDIRECT_NEXT : chain_table(q, chain, &d);
        enum reason reason = chain_element(q, chain, &d);
        if (reason || !(d.flags & DESC_NEXT)) return reason;
        if (dev->slots_out + chain->slots >= q->size) return CHAIN_LOOP;
        advance(q, &slot, 1);
        addr = load64(dev->door, q->desc + 2 * slot);
        word = load64(dev->door, q->desc + 2 * slot + 1);
    }
}

static enum reason packed_walk(struct vq *q, struct chain *chain, uint16_t head) {
    const uint64_t *desc = q->desc + 2 * head;
    return take_chain(q, chain, head, load64(q->dev.door, desc), load64(q->dev.door, desc + 1));
}

static uint32_t packed_next(struct vq *q, struct chain *chains, uint32_t count) {
    struct device_half *dev = &q->dev;
    uint16_t at = dev->last_avail, wrap = dev->avail_wrap, first = at;
    if (dev->broken) return 0;
    if (count > BURST) count = BURST;
    if (faulty(dev->door)) count = fault_take(q, count);
    if (dev->holding == 0) dev->arena_used = 0;
    uint32_t n;
    bool singles = true;
    for (n = 0; n < count && chain_fits(q); n++) {
        uint64_t word = acquire64(dev->door, q->desc + 2 * at + 1); /* pairs with packed_publish() */
        if (!is_avail(word_flags(word), wrap)) break;
        uint64_t addr = load64(dev->door, q->desc + 2 * at);
        uint8_t *host = memory_translate(q->memory, addr, (uint32_t)word);
        if (LIKELY(host != NULL)) chain_prefetch(host, word_flags(word) & DESC_WRITE);
        enum reason reason = SOUND;
        if (UNLIKELY(dev->slots_out >= q->size))
            reason = INDEX_JUMP;
        else if (LIKELY(chain_single(q, &chains[n], at, host, (uint32_t)word, word_flags(word))))
            chains[n].id = word_id(word);
        else {
            reason = take_chain(q, &chains[n], at, addr, word);
            singles = false;
        }
        if (LIKELY(!reason) && dev->taken[chains[n].id]) reason = DUPLICATE_HEAD;
        if (UNLIKELY(reason)) {
            device_broken(q, reason);
            break;
        }
        dev->taken[chains[n].id] = TAKEN;
        if (own_wanted(dev->door)) own_device_id(q, chains[n].id);
        dev->slots_out += chains[n].slots;
        chains[n].position = dev->seen + n;
        wrap ^= go_on(q, &at, chains[n].slots);
    }
    if (n == 0) return 0;
    if (UNLIKELY(q->driver_theirs)) note_places(q, chains, n);
    if (faulty(dev->door)) fault_took(q, n);
    breaks_taken(q, chains, n, singles, NULL);
    own16(&dev->last_avail, at);
    own16(&dev->avail_wrap, wrap);
    count_put(&dev->holding, dev->holding + n);
    count_set(&dev->seen, dev->seen + n);
    operation(dev->door, EV_NEXT, first, n, dev->seen - n, 0, 0);
    return n;
}

/* One used element where the next one belongs, then past `slots` of the ring (2.8.12). */
static void write_used(struct vq *q, const struct done *done, uint32_t slots) {
    struct device_half *dev = &q->dev;
    uint64_t *at = q->desc + 2 * dev->used_idx + 1, word;
    word = packed_word(done->length, done->id,
                       (uint16_t)(used_bits(dev->used_wrap) | (done->writable ? DESC_WRITE : 0)));
    if (!dev->pending_at) {
        dev->pending_at = at;
        dev->pending_word = word;
    } else
        release64(dev->door, at, word); /* behind `completed`: see packed_complete() */
    uint16_t slot = dev->used_idx;
    bool wrapped = go_on(q, &slot, slots);
    own16(&dev->used_wrap, toggled(dev->door, dev->used_wrap, wrapped));
    own16(&dev->used_idx, slot);
    dev->slots_done += slots;
    dev->slots_out -= slots;
}

static void skip_slot(struct vq *q) {
    uint16_t slot = q->dev.used_idx;
    if (go_on(q, &slot, 1)) own16(&q->dev.used_wrap, q->dev.used_wrap ^ 1);
    own16(&q->dev.used_idx, slot);
}

static void packed_complete(struct vq *q, const struct done *done, uint32_t count, bool batch) {
    struct device_half *dev = &q->dev;
    struct done changed[DONE_ROOM];
    if (faulty(dev->door)) {
        count = fault_done(q, done, count, changed);
        done = changed;
    }
    if (count == 0) return;
    door_batch(dev->door);
    /* Said before it is done: the snapshot must know which descriptors may be written over from here on. */
    count_set(&dev->completed, dev->completed + count);
    if (batch && q->in_order) {
        /* 2.8.9: one element for all, at the place of the first, naming the last */
        uint32_t slots = 0;
        for (uint32_t i = 0; i < count; i++) slots += done[i].slots;
        write_used(q, &done[count - 1], slots);
    } else
        for (uint32_t i = 0; i < count; i++) write_used(q, &done[i], done[i].slots);
    uint8_t marks = 0;
    for (uint32_t i = 0; i < count; i++) {
        marks |= dev->taken[done[i].id];
        dev->taken[done[i].id] = 0;
        if (own_wanted(dev->door)) own_device_id(q, done[i].id);
    }
    if (fault_acts(dev->door, FAULT_HOLE)) skip_slot(q);
    breaks_completed(q, done, count, marks);
    count_put(&dev->holding, dev->holding - count);
    if (faulty(dev->door)) fault_completed(q);
    operation(dev->door, EV_COMPLETE, done[0].id, count, dev->completed - count, 0, 0);
}

/* Pairs with read_used(). */
static void packed_flush(struct vq *q) {
    struct device_half *dev = &q->dev;
    uint64_t before = dev->used;
    if (before == dev->completed || fault_acts(dev->door, FAULT_NO_FLUSH)) return;
    count_set(&dev->used, dev->completed);
    release64(dev->door, dev->pending_at, dev->pending_word);
    count_set(&dev->shown, dev->completed);
    dev->pending_at = NULL;
    dev->unmoved += dev->slots_done;
    dev->slots_done = 0;
    dev->shown_at = dev->used_idx;
    dev->shown_wrap = dev->used_wrap;
    operation(dev->door, EV_FLUSH, 0, (uint32_t)(dev->completed - before), 0, before, dev->completed);
}

/* Pairs with packed_calls_on(). */
static bool packed_call_needed(struct vq *q) {
    struct device_half *dev = &q->dev;
    uint32_t moved = dev->unmoved;
    dev->unmoved = 0;
    return event_wanted(q, dev->door, driver_event(q), dev->shown_at, dev->shown_wrap, moved, &dev->call);
}

static bool packed_kicks_on(struct vq *q) {
    struct device_half *dev = &q->dev;
    event_on(q, dev->door, device_event(q), dev->last_avail, dev->avail_wrap);
    return is_avail(word_flags(acquire64(dev->door, q->desc + 2 * dev->last_avail + 1)), dev->avail_wrap);
}

static void packed_kicks_off(struct vq *q) { event_off(q->dev.door, device_event(q)); }

/* Slots behind `index` look used in this lap, the others used in the lap before: nothing is available. */
static void packed_start(struct vq *q, uint16_t index, uint16_t wrap) {
    index = (uint16_t)(index % q->size);
    wrap = wrap ? 1 : 0;
    for (uint32_t i = 0; i < q->size; i++)
        publish64(q->desc + 2 * i + 1, packed_word(0, 0, used_bits(i < index ? wrap : !wrap)));
    own16(&q->drv.avail_idx, index);
    own16(&q->drv.last_used, index);
    own16(&q->dev.last_avail, index);
    own16(&q->dev.used_idx, index);
    own16(&q->drv.avail_wrap, wrap);
    own16(&q->drv.used_wrap, wrap);
    own16(&q->dev.avail_wrap, wrap);
    own16(&q->dev.used_wrap, wrap);
    q->drv.shown_at = q->dev.shown_at = index;
    q->drv.shown_wrap = q->dev.shown_wrap = wrap;
}

/* As split_attach(); how many buffers stand between the two is nowhere to be read. */
static void packed_attach(struct vq *q, const struct ring_place *from) {
    struct device_half *dev = &q->dev;
    q->start_index = from->used;
    own16(&dev->last_avail, from->avail);
    own16(&dev->avail_wrap, from->avail_wrap);
    own16(&dev->used_idx, from->used);
    own16(&dev->used_wrap, from->used_wrap);
    dev->shown_at = from->used;
    dev->shown_wrap = from->used_wrap;
}

static void packed_put_back(struct vq *q, const struct chain *chains, uint32_t count) {
    struct device_half *dev = &q->dev;
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) {
        dev->taken[chains[i].id] = 0;
        dev->slots_out -= chains[i].slots;
    }
    if (chains[0].head >= dev->last_avail) own16(&dev->avail_wrap, dev->avail_wrap ^ 1);
    own16(&dev->last_avail, chains[0].head);
    count_put(&dev->holding, dev->holding - count);
    count_set(&dev->seen, dev->seen - count);
}

const struct ring_ops packed_ops = {
    packed_add,      packed_publish,   packed_collect, packed_repeat,   packed_reclaim,  packed_kick_needed,
    packed_calls_on, packed_calls_off, packed_next,    packed_complete, packed_flush,    packed_call_needed,
    packed_kicks_on, packed_kicks_off, packed_start,   packed_attach,   packed_put_back, packed_walk,
};

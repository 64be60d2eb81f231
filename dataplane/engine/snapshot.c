/* snapshot.c: see snapshot.h. */
#include "foreign.h"
#include "own.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct rows { /* where the arrays stand in the caller's buffer */
    uint64_t *desc, *buffer;
    uint32_t *used;
    uint16_t *avail, *head;
    uint8_t *owner, *label, *avail_label, *used_label, *end;
};

static struct rows rows_at(const struct vq *q, uint8_t *at) {
    uint64_t n = q->size;
    struct rows r = {0};
    r.desc = (uint64_t *)(void *)at, at += 16 * n;
    r.buffer = (uint64_t *)(void *)at, at += 8 * n;
    if (!q->packed) {
        r.used = (uint32_t *)(void *)at, at += 8 * n;
        r.avail = (uint16_t *)(void *)at, at += 2 * n;
    }
    r.head = (uint16_t *)(void *)at, at += 2 * n;
    r.owner = at, at += n;
    r.label = at, at += n;
    if (!q->packed) {
        r.avail_label = at, at += n;
        r.used_label = at, at += n;
    }
    r.end = (uint8_t *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
    return r;
}

size_t snapshot_room(const struct vq *q, bool whole) {
    if (!whole) return sizeof(struct queue_header);
    return sizeof(struct queue_header) + 42ull * q->size + 8 + SNAPSHOT_TABLE_ENTRIES * 24ull;
}

/* ---- counters --------------------------------------------------------------------------------------- */

/* Every word of a half and where it is read, `d` being the half, `n` its notes, `side` its side. Of two
 * counts that move, the one that follows comes first: never more collected than published. */
#define SIDE_WORDS(WORD)                                                                                     \
    WORD(side.polling, side->polling)                                                                        \
    WORD(side.asleep, flag_get(&side->asleep))                                                               \
    WORD(side.event_used, count_peek(&n->event))                                                             \
    WORD(side.event_old, count_peek(&n->old))                                                                \
    WORD(side.event_new, count_peek(&n->new))                                                                \
    WORD(side.event_answer, count_peek(&n->answer))                                                          \
    WORD(side.notify_sent, count_peek(&n->sent))                                                             \
    WORD(side.notify_quiet, count_peek(&n->quiet))                                                           \
    WORD(side.notify_received, count_peek(&n->received))                                                     \
    WORD(side.frames, count_peek(&d->frames))                                                                \
    WORD(side.bytes, count_peek(&d->bytes))                                                                  \
    WORD(side.drops, count_peek(&d->drops))                                                                  \
    WORD(side.broken, count_get(&d->broken))                                                                 \
    WORD(side.turns, count_peek(&d->turns))                                                                  \
    WORD(side.notify_injected, count_peek(&n->injected))                                                     \
    WORD(side.notify_written, count_peek(&n->written))                                                       \
    WORD(side.notify_told, count_peek(&n->told))                                                             \
    WORD(side.notify_reached, count_peek(&n->reached))                                                       \
    WORD(side.notify_heard, count_peek(&n->heard))                                                           \
    WORD(side.notify_heard_turn, count_peek(&n->heard_turn))                                                 \
    WORD(side.last_drop, count_peek(&d->last_drop))
#define DRIVER_WORDS(WORD)                                                                                   \
    WORD(collected, count_get(&d->collected))                                                                \
    WORD(published, count_get(&d->published))                                                                \
    WORD(added, added(q, count_peek(&d->added) - count_get(&d->published)))                                  \
    WORD(avail_idx, peek16(&d->avail_idx))                                                                   \
    WORD(last_used, peek16(&d->last_used))                                                                   \
    WORD(avail_wrap, peek16(&d->avail_wrap))                                                                 \
    WORD(used_wrap, peek16(&d->used_wrap))                                                                   \
    WORD(free, count_peek(&d->free))                                                                         \
    WORD(free_head, peek16(&d->free_head))                                                                   \
    WORD(in_flight, in_flight(q))                                                                            \
    WORD(path, count_peek(&d->path))                                                                         \
    WORD(backlog, count_peek(&d->backlog))                                                                   \
    SIDE_WORDS(WORD)
#define DEVICE_WORDS(WORD)                                                                                   \
    WORD(used, count_get(&d->used))                                                                          \
    WORD(seen, count_get(&d->seen))                                                                          \
    WORD(unflushed, added(q, count_peek(&d->completed) - count_get(&d->used)))                               \
    WORD(last_avail, peek16(&d->last_avail))                                                                 \
    WORD(used_idx, peek16(&d->used_idx))                                                                     \
    WORD(avail_wrap, peek16(&d->avail_wrap))                                                                 \
    WORD(used_wrap, peek16(&d->used_wrap))                                                                   \
    WORD(holding, count_peek(&d->holding))                                                                   \
    WORD(size, count_peek(&d->size))                                                                         \
    WORD(avail_read, peek16(&d->avail_cached))                                                               \
    WORD(backlog, count_peek(&d->backlog))                                                                   \
    SIDE_WORDS(WORD)

/* Who loads several counts may be kept from it between two of them for a whole lap and more. A count lies at
 * most one ring behind `published` and not behind the one that follows it: what was loaded long ago has
 * reached that by now. */
static uint64_t caught_up(uint64_t count, uint64_t behind) { return count > behind ? count : behind; }
static uint64_t a_ring_behind(uint64_t published, const struct vq *q) {
    return published > q->size ? published - q->size : 0;
}

/* Of what is written and not shown yet; nothing where it was shown between the two loads. */
static uint64_t added(const struct vq *q, uint64_t count) { return count > q->size ? 0 : count; }

static uint64_t in_flight(const struct vq *q) {
    uint64_t collected = count_get(&q->drv.collected), published = count_get(&q->drv.published);
    return published - caught_up(collected, a_ring_behind(published, q));
}

#define TAKE(word, value) to->word = value;
void snapshot_driver(struct driver_state *to, struct pair *pair, struct vq *q) {
    const struct driver_half *d = &q->drv;
    const struct notes *n = &d->kick;
    const struct side *side = &pair->driver;
    DRIVER_WORDS(TAKE)
    to->collected = caught_up(to->collected, a_ring_behind(to->published, q));
    to->in_flight = to->published - to->collected;
}

void snapshot_device(struct device_state *to, struct pair *pair, struct vq *q) {
    const struct device_half *d = &q->dev;
    const struct notes *n = &d->call;
    const struct side *side = &pair->device;
    DEVICE_WORDS(TAKE)
}
#undef TAKE

uint64_t snapshot_driver_word(struct pair *pair, struct vq *q, size_t word) {
    const struct driver_half *d = &q->drv;
    const struct notes *n = &d->kick;
    const struct side *side = &pair->driver;
#define PICK(word, value)                                                                                    \
    case offsetof(struct driver_state, word) / 8: return value;
    switch (word) { DRIVER_WORDS(PICK) }
#undef PICK
    return 0;
}

uint64_t snapshot_device_word(struct pair *pair, struct vq *q, size_t word) {
    const struct device_half *d = &q->dev;
    const struct notes *n = &d->call;
    const struct side *side = &pair->device;
#define PICK(word, value)                                                                                    \
    case offsetof(struct device_state, word) / 8: return value;
    switch (word) { DEVICE_WORDS(PICK) }
#undef PICK
    return 0;
}

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

static void areas(struct queue_header *h, struct vq *q) {
    uint64_t a = q->packed ? 1 : q->size; /* where the event field stands, in words */
    if (q->packed) {
        h->area_flags = observe16(q->driver_area + a) | (uint64_t)observe16(q->device_area + a) << 16;
        h->area_event = observe16(q->driver_area) | (uint64_t)observe16(q->device_area) << 16;
        return;
    }
    h->area_flags = observe16(avail_flags(q)) | (uint64_t)observe16(used_flags(q)) << 16;
    h->area_idx = observe16(avail_idx(q)) | (uint64_t)observe16(used_idx(q)) << 16;
    h->area_event = observe16(used_event(q)) | (uint64_t)observe16(avail_event(q)) << 16;
}

int snapshot_make_room(struct pair *pair, uint32_t size) {
    if (size <= pair->places_size) return 0;
    uint64_t *places = calloc(size, sizeof *places);
    if (!places) return -1;
    free(pair->places);
    pair->places = places;
    pair->places_size = size;
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------------------- */

/* Everything that the labels speak of is copied between the two loads of the counts, our own notes of where
 * a buffer stands included. */
static void copy_rows(struct rows *r, struct vq *q, uint64_t *place) {
    uint64_t n = q->size;
    for (uint64_t i = 0; i < n; i++) place[i] = count_get(q->drv.place + i);
    for (uint64_t i = 0; i < 2 * n; i++) r->desc[i] = observe64(q->desc + i);
    if (q->packed) return;
    for (uint64_t i = 0; i < n; i++) r->avail[i] = observe16(avail_ring(q, (uint32_t)i));
    for (uint64_t i = 0; i < n; i++) r->used_label[i] = peek8(q->dev.skipped + i);
    const uint32_t *used = used_elem(q, 0);
    for (uint64_t i = 0; i < 2 * n; i++) r->used[i] = observe32(used + i);
}

static void second_pass(struct rows *r, struct vq *q) {
    for (uint64_t i = 0; i < q->size; i++)
        if (r->desc[2 * i] != observe64(q->desc + 2 * i) ||
            r->desc[2 * i + 1] != observe64(q->desc + 2 * i + 1))
            r->label[i] |= LABEL_CHANGED;
}

static uint8_t owner_of(const struct queue_header *h, uint64_t k) {
    if (k >= h->seen_after) return OWNER_AVAILABLE;
    return k >= h->used_after ? OWNER_IN_USE : OWNER_USED;
}

/* Marks the slots of one buffer. In a split queue the chain is followed in the copy, at most N steps. Out of
 * order a packed slot may have been read for one buffer and written again for a newer one: what is certain of
 * the newer one stands. */
static void mark(struct rows *r, struct vq *q, uint64_t k, uint16_t head, uint32_t slots, uint8_t owner,
                 uint8_t label) {
    uint32_t slot = head;
    for (uint32_t i = 0; i < slots && slot < q->size; i++) {
        if (r->label[slot] != LABEL_STABLE || (int64_t)r->buffer[slot] < (int64_t)k) {
            r->owner[slot] = owner;
            r->label[slot] = label;
            r->head[slot] = head;
            r->buffer[slot] = k;
        }
        if (q->packed)
            slot = slot + 1 == q->size ? 0 : slot + 1;
        else if ((uint16_t)(r->desc[2 * slot + 1] >> 32) & DESC_NEXT)
            slot = (uint32_t)(r->desc[2 * slot + 1] >> 48);
        else
            break;
    }
}

/* Buffers that the device has not taken: where they stand, and whether at all, only the copy says. A buffer
 * of `size` slots is cut off by mark() where its chain ends. */
static void places_in_memory(const struct rows *r, struct vq *q, const struct queue_header *h,
                             uint64_t *place) {
    uint32_t n = q->size, slot = peek16(q->device_theirs ? &q->drv.last_used : &q->dev.last_avail);
    uint64_t from = h->seen_after;
    if (q->device_theirs) from = q->packed ? count_get(&q->drv.collected) : h->collected_after;
    for (uint64_t k = from; k < h->published_after; k++) {
        uint32_t slots = 1;
        if (!q->packed) {
            place[k % n] = r->avail[(k + q->start_index) % n] | (uint64_t)n << 16;
            continue;
        }
        uint32_t head = slot;
        while ((uint16_t)(r->desc[2 * slot + 1] >> 48) & DESC_NEXT && slots < n)
            slot = slot + 1 == n ? 0 : slot + 1, slots++;
        slot = slot + 1 == n ? 0 : slot + 1;
        place[k % n] = head | (uint64_t)slots << 16;
    }
}

/* At rest the notes of both sides tell: what is outstanding, and what of that the device holds. */
static void mark_flights(struct rows *r, struct vq *q, const struct queue_header *h) {
    for (uint32_t id = 0; id < q->size; id++) {
        const struct flight *f = &q->drv.flight[id];
        if (!f->live || f->position >= h->published_after) continue;
        uint8_t owner = is_taken(q, (uint16_t)id)     ? OWNER_IN_USE
                        : f->position < h->seen_after ? OWNER_USED
                                                      : OWNER_AVAILABLE;
        mark(r, q, f->position, f->head, f->slots, owner, LABEL_STABLE);
    }
}

static void mark_range(struct rows *r, struct vq *q, const struct queue_header *h, const uint64_t *place,
                       uint64_t from, uint64_t to, uint64_t completed) {
    bool ordered = count_peek(&q->drv.reordered) == 0;
    uint64_t n = q->size, at = from % n;
    for (uint64_t k = from; k < to; k++, at = at + 1 == n ? 0 : at + 1) {
        bool still =
            ordered && k < h->published_before && (!q->packed || k >= completed || k < h->used_before);
        mark(r, q, k, (uint16_t)place[at], (uint16_t)(place[at] >> 16),
             ordered ? owner_of(h, k) : OWNER_UNKNOWN, still ? LABEL_STABLE : LABEL_IN_FLUX);
    }
}

/* What was published during the copy first: where it stands is hearsay, and must not cover what is certain.
 */
static void classify_descriptors(struct rows *r, struct vq *q, const struct queue_header *h,
                                 const uint64_t *place, uint64_t completed) {
    uint64_t from = h->collected_after, to = h->published_after, middle = h->published_before;
    if (h->exact) {
        mark_flights(r, q, h);
        return;
    }
    if (middle < from) middle = from;
    mark_range(r, q, h, place, middle, to, completed);
    mark_range(r, q, h, place, from, middle, completed);
}

static void classify_rings(struct rows *r, struct vq *q, const struct queue_header *h, uint64_t completed) {
    uint32_t n = q->size, mask = n - 1;
    bool ordered = count_peek(&q->drv.reordered) == 0 || h->exact;
    for (uint32_t i = 0; i < n; i++) {
        /* The newest buffer that could stand in entry i when the copy ended. */
        uint64_t end = h->published_after + q->start_index;
        uint64_t k = h->published_after - 1 - ((end - 1 - i) & mask);
        bool none = k >= h->published_after; /* before the first lap: wrapped below 0 */
        if (none || k < h->collected_after)
            r->avail_label[i] = LABEL_FREE;
        else
            r->avail_label[i] = ordered && k < h->published_before ? LABEL_STABLE : LABEL_IN_FLUX;

        uint64_t j = h->used_before - 1 - ((h->used_before + q->start_index - 1 - i) & mask);
        bool rewritten = j + n < completed; /* in the first lap j lies below 0, and j + n wraps back */
        if (rewritten)
            r->used_label[i] = h->exact ? LABEL_STABLE : LABEL_IN_FLUX;
        else if (j >= h->used_before)
            r->used_label[i] = LABEL_FREE;
        else
            r->used_label[i] = r->used_label[i] ? LABEL_SKIPPED : LABEL_STABLE;
    }
}

/* In rings that are only looked at the count tells what was seen used: see observe.h. */
static uint64_t what_is_collected(const struct vq *q) {
    return q->driver_theirs && q->device_theirs ? 0 : count_get(&q->drv.collected);
}

/* Indirect tables of the newest buffers first, within the budget. A table whose buffer went back to the
 * driver meanwhile is left out. */
static uint8_t *copy_tables(struct rows *r, struct vq *q, struct queue_header *h, const uint64_t *place) {
    uint8_t *at = r->end;
    uint64_t from = h->collected_after, to = h->published_before;
    if (to > from + q->size) from = to - q->size;
    for (uint64_t k = to; k-- > from && q->indirect;) {
        uint16_t slot = (uint16_t)place[k % q->size];
        if (slot >= q->size || r->buffer[slot] != k) continue;
        uint64_t address = r->desc[2 * slot], word = r->desc[2 * slot + 1];
        uint16_t flags = (uint16_t)(word >> (q->packed ? 48 : 32));
        uint32_t bytes = (uint32_t)word, entries = bytes / 16;
        if (!(flags & DESC_INDIRECT)) continue;
        const uint8_t *table = memory_translate(q->memory, address, bytes);
        if (!table || (uintptr_t)table % 8 || bytes % 16 ||
            h->table_entries + entries > SNAPSHOT_TABLE_ENTRIES) {
            h->tables_left_out++;
            continue;
        }
        uint32_t head[2] = {slot, entries};
        memcpy(at, head, 8);
        for (uint32_t i = 0; i < 2 * entries; i++) {
            uint64_t v = observe64((const uint64_t *)(const void *)table + i);
            memcpy(at + 8 + 8 * (size_t)i, &v, 8);
        }
        if (what_is_collected(q) > k) {
            h->tables_left_out++;
            continue;
        }
        at += 8 + 16 * (size_t)entries;
        h->tables++;
        h->table_entries += entries;
    }
    return at;
}

/* In the middle of an operation a side's words are ahead of its events: what the journal has told counts.
 * Returns how many buffers the device has completed. */
static uint64_t as_told(struct queue_header *h, const struct vq *q) {
    h->driver = q->own->driver;
    h->device = q->own->device;
    h->published_before = h->published_after = h->driver.published;
    h->seen_before = h->seen_after = h->device.seen;
    h->used_before = h->used_after = h->device.used;
    h->collected_before = h->collected_after = h->driver.collected;
    return h->device.used + h->device.unflushed;
}

static bool resting(struct pair *pair) {
    return !flag_get(&pair->running) || gate_wait_parked(&pair->gate, 0);
}

/* ---- all of it ------------------------------------------------------------------------------------- */

/* Before the copy what stands in memory at least, after it what may stand there at most. Of a driver that is
 * not ours nobody knows what it collected: it cannot have more than a ring outstanding, that is all. */
static void counts_before(struct queue_header *h, struct vq *q) {
    h->collected_before = what_is_collected(q);
    h->used_before = q->device_theirs ? foreign_used(q) : count_get(&q->dev.shown);
    h->seen_before = q->device_theirs ? h->used_before : count_get(&q->dev.seen);
    h->published_before = q->driver_theirs ? foreign_published(q) : count_get(&q->drv.shown);
}

/* Of two counts that move, the one that follows is loaded first. Returns what the device has completed. */
static uint64_t counts_after(struct queue_header *h, struct vq *q) {
    uint64_t completed = count_get(&q->dev.completed);
    h->collected_after = what_is_collected(q);
    h->used_after = q->device_theirs ? foreign_used(q) : count_get(&q->dev.used);
    h->seen_after = q->device_theirs ? h->used_after : count_get(&q->dev.seen);
    h->published_after = q->driver_theirs ? foreign_published(q) : count_get(&q->drv.published);
    h->collected_after = caught_up(h->collected_after, a_ring_behind(h->published_after, q));
    h->used_after = caught_up(h->used_after, h->collected_after);
    h->seen_after = caught_up(h->seen_after, h->used_after);
    return q->device_theirs ? h->published_after : completed;
}

static size_t take(struct pair *pair, struct vq *q, bool whole, uint8_t *to);

size_t snapshot_take(struct pair *pair, struct vq *q, bool whole, uint8_t *to) {
    struct memory_guard guard;
    if (!q->driver_theirs && !q->device_theirs) return take(pair, q, whole, to);
    memory_watch(&guard);
    if (sigsetjmp(guard.back, 0)) { /* the memory is there no more: what is known without it */
        struct queue_header *h = (struct queue_header *)(void *)to;
        h->enabled = h->exact = h->tables = 0;
        return sizeof *h;
    }
    size_t bytes = take(pair, q, whole, to);
    memory_unwatch();
    return bytes;
}

static size_t take(struct pair *pair, struct vq *q, bool whole, uint8_t *to) {
    struct queue_header *h = (struct queue_header *)(void *)to;
    memset(h, 0, sizeof *h);
    bool frozen = !flag_get(&pair->running) || pair_frozen(pair);
    bool exact = frozen && resting(pair) && !q->driver_theirs && !q->device_theirs;
    h->index = q->index;
    h->packed = q->packed;
    h->size = q->size;
    h->role = q->role;
    h->enabled = flag_get(&q->enabled) && !flag_get(&q->passive);
    h->theirs = (q->driver_theirs ? 1 : 0) | (q->device_theirs ? 2 : 0);
    if (h->theirs && flag_get(&q->enabled) && flag_get(&q->passive)) h->theirs |= 4;
    h->generation = count_get(&q->generation);
    h->desc_addr = q->desc_address;
    h->driver_addr = q->driver_address;
    h->device_addr = q->device_address;
    h->time = pair_now(pair);
    if (!q->desc) return sizeof *h;
    struct rows r = rows_at(q, to + sizeof *h);
    counts_before(h, q);
    if (whole) copy_rows(&r, q, pair->places);
    uint64_t completed = counts_after(h, q);
    if (whole && q->driver_theirs) places_in_memory(&r, q, h, pair->places);
    h->exact = exact;
    areas(h, q);
    snapshot_driver(&h->driver, pair, q);
    snapshot_device(&h->device, pair, q);
    bool told = exact && armed(&pair->driver.door) & ARM_JOURNAL;
    if (told) completed = as_told(h, q);
    h->kick_pending =
        less(h->driver.side.notify_written + h->driver.side.notify_injected, h->device.side.notify_received);
    h->call_pending =
        less(h->device.side.notify_written + h->device.side.notify_injected, h->driver.side.notify_received);
    if (told && whole && !q->packed)
        for (uint32_t i = 0; i < q->size; i++) r.used_label[i] = (uint8_t)q->own->ids[i].skipped;
    uint8_t *end = to + sizeof *h;
    if (whole) {
        memset(r.buffer, 0xff, 8ull * q->size);
        memset(r.head, 0xff, 2ull * q->size);
        memset(r.owner, OWNER_FREE, q->size);
        memset(r.label, LABEL_FREE, q->size);
        classify_descriptors(&r, q, h, pair->places, completed);
        if (!q->packed) classify_rings(&r, q, h, completed);
        second_pass(&r, q);
        end = copy_tables(&r, q, h, pair->places);
        h->exact = exact && resting(pair);
    }
    h->duration = pair_now(pair) - h->time;
    return (size_t)(end - to);
}

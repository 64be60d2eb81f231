/* observe_ring.c: one look at a split or packed ring of two other processes: what moved since the last. */
#include "observe.h"
#include "packed.h"

/* Buffers that a device may be filling at once, beyond what it shows as used. */
#define REFILL_AHEAD 64u

static void published(struct pair *pair, struct vq *q, uint64_t before) {
    uint64_t now = q->dev.seen;
    if (now > before) operation(&pair->driver.door, EV_PUBLISH, 0, (uint32_t)(now - before), 0, before, now);
}

static void flushed(struct pair *pair, struct vq *q, uint64_t before) {
    uint64_t now = q->drv.collected;
    if (now > before) operation(&pair->device.door, EV_FLUSH, 0, (uint32_t)(now - before), 0, before, now);
}

/* What a queue's log tells of a buffer is told when it is used. */
static bool told_when_used(const struct vq *q) { return q->role == ROLE_RECEIVE || q->role == ROLE_REQUEST; }

static void forget_all(struct vq *q) {
    for (uint32_t i = 0; i < q->size; i++) q->observer->noted[i].live = false;
}

/* Whether so many buffers cannot have passed unseen since the last look. */
static void prove(struct pair *pair, struct vq *q, uint64_t lap, bool moved) {
    struct observer *o = q->observer;
    uint64_t now = pair_now(pair);
    if (moved && now - o->looked >= lap * OBSERVE_FASTEST_NS) count_add(&o->unproven, 1);
    o->apart = o->looked ? now - o->looked : 0;
    o->looked = now;
}

/* ---- split ------------------------------------------------------------------------------------------ */

static bool split_changed(struct vq *q, const struct noted *buffer, bool *late) {
    uint16_t mask = (uint16_t)(q->size - 1), at = (uint16_t)(buffer->position + q->start_index);
    uint16_t used = observe16(used_idx(q)), avail = observe16(avail_idx(q));
    if ((uint16_t)(avail - at) > q->size) return true; /* its own entry is gone already */
    if (used == q->drv.last_used) return false;
    *late = (int16_t)(used - at) > 0;
    if (*late && (uint16_t)(avail - at) > q->size / 2) return true;
    uint64_t address = observe64(q->desc + 2 * buffer->head);
    for (at++; at != avail; at++) {
        uint16_t head = observe16(avail_ring(q, at & mask));
        if (head == buffer->head) return true;
        if (*late && head < q->size && observe64(q->desc + 2 * head) == address) return true;
    }
    return false;
}

static void split_take(struct pair *pair, struct vq *q) {
    uint16_t at = q->dev.last_avail, head = observe16(avail_ring(q, at & (uint16_t)(q->size - 1))), id;
    if (head >= q->size || !observe_available(pair, q, head, &id)) observe_missed(q, 1);
    own16(&q->dev.last_avail, (uint16_t)(at + 1));
    count_set(&q->dev.seen, q->dev.seen + 1);
}

/* What was overwritten before we came is missed, whatever stands in the rings now; what is outstanding is
 * noted once more. Counts of buffers never go back, wherever an index jumps to. */
static void split_skip(struct vq *q, uint16_t used) {
    uint16_t gone = (uint16_t)(used - q->dev.last_avail), done = (uint16_t)(used - q->drv.last_used);
    bool noted = (uint16_t)(q->dev.last_avail - used) <= q->size; /* all that was used */
    uint64_t now = q->drv.collected + done;
    if (!noted && now < q->dev.seen + gone) now = q->dev.seen + gone;
    forget_all(q);
    if (told_when_used(q) || !noted) observe_missed(q, told_when_used(q) ? done : gone);
    own16(&q->drv.last_used, used);
    own16(&q->dev.last_avail, used);
    count_set(&q->drv.collected, now);
    count_set(&q->dev.seen, now);
}

/* The buffer that was used as the next: with IN_ORDER a batch has one element, that of its last buffer. */
static struct noted *split_next_used(struct pair *pair, struct vq *q, uint16_t avail, uint32_t *length) {
    uint16_t mask = (uint16_t)(q->size - 1), at = q->drv.last_used;
    const uint32_t *elem = used_elem(q, at & mask);
    uint32_t id = observe32(elem);
    *length = observe32(elem + 1);
    if (q->in_order) {
        while (q->dev.seen <= q->drv.collected && q->dev.last_avail != avail) split_take(pair, q);
        uint32_t head = (uint16_t)q->drv.place[q->drv.collected % q->size];
        if (head != id) *length = 0;
        id = head;
    }
    if (id >= q->size) return NULL;
    struct noted *buffer = &q->observer->noted[id];
    while (!buffer->live && q->dev.last_avail != avail) split_take(pair, q);
    return buffer->live ? buffer : NULL;
}

/* While no frame is wanted two indices tell all. What stands between them is noted once frames are wanted. */
static uint32_t split_count(struct pair *pair, struct vq *q) {
    uint16_t used = observe16(used_idx(q)), avail = observe16(avail_idx(q));
    uint64_t seen = q->dev.seen, collected = q->drv.collected, now = 0;
    uint16_t done = (uint16_t)(used - q->drv.last_used), fresh = (uint16_t)(avail - q->dev.last_avail),
             outstanding = (uint16_t)(avail - used);
    prove(pair, q, 65536, done || fresh);
    if ((!done && !fresh) || outstanding > q->size) return 0;
    q->observer->counted = true;
    now = collected + done;
    if (now + outstanding < seen + fresh) now = seen + fresh - outstanding;
    own16(&q->drv.last_used, used);
    own16(&q->dev.last_avail, avail);
    count_set(&q->drv.collected, now);
    count_set(&q->dev.seen, now + outstanding);
    published(pair, q, seen);
    flushed(pair, q, collected);
    return (uint32_t)done + fresh;
}

static void split_note_again(struct vq *q) {
    q->observer->counted = false;
    forget_all(q);
    own16(&q->dev.last_avail, q->drv.last_used);
    count_set(&q->dev.seen, q->drv.collected);
}

static uint32_t split_look(struct pair *pair, struct vq *q) {
    if (!flag_get(&pair->trace.frames.on)) return split_count(pair, q);
    if (q->observer->counted) split_note_again(q);
    uint16_t used = observe16(used_idx(q)), avail = observe16(avail_idx(q));
    uint64_t seen = q->dev.seen, collected = q->drv.collected;
    uint16_t done = (uint16_t)(used - q->drv.last_used), fresh = (uint16_t)(avail - q->dev.last_avail);
    prove(pair, q, 65536, done || fresh);
    if (!done && !fresh) return 0;
    if ((uint16_t)(avail - used) > q->size)
        return 0; /* no ring says this: one of both was just being stored,
                     or is no index */
    if (done > q->size || fresh > q->size) split_skip(q, used);
    while (q->drv.last_used != used) {
        uint32_t length;
        struct noted *buffer = split_next_used(pair, q, avail, &length);
        if (buffer)
            observe_used(pair, q, buffer, length);
        else
            observe_missed(q, 1);
        own16(&q->drv.last_used, (uint16_t)(q->drv.last_used + 1));
        count_set(&q->drv.collected, q->drv.collected + 1);
    }
    while (q->dev.last_avail != avail) split_take(pair, q);
    published(pair, q, seen);
    flushed(pair, q, collected);
    return (uint32_t)done + fresh;
}

/* ---- packed ----------------------------------------------------------------------------------------- */

static uint64_t word_at(const struct vq *q, uint32_t slot) { return observe64(q->desc + 2 * slot + 1); }
static uint16_t avail_bit(uint64_t word) { return (word_flags(word) & DESC_AVAIL) != 0; }
static bool looks_used(uint64_t word) { return avail_bit(word) == ((word_flags(word) & DESC_USED) != 0); }

static void pass(struct vq *q, uint16_t *slot, uint16_t *wrap, uint32_t slots) {
    uint16_t at = *slot;
    if (advance(q, &at, slots)) own16(wrap, *wrap ^ 1);
    own16(slot, at);
}

/* The driver writes its wrap counter into every slot that it passes, and the device leaves it there: where
 * the bit changes is where the driver goes on. The device goes on behind the last slot that looks used; slots
 * behind that of the same id belong to the same buffer. From there on all is looked at anew. Returns how many
 * slots that is. */
static uint32_t packed_find(struct vq *q) {
    uint32_t n = q->size, p = 1, back = 0;
    uint16_t first = avail_bit(word_at(q, 0));
    while (p < n && avail_bit(word_at(q, p)) == first) p++;
    uint16_t wrap = p < n ? first : !first;
    if (p == n) p = 0;
    while (back < n && !looks_used(word_at(q, (p + n - back - 1) % n))) back++;
    if (back && back < n) {
        uint16_t id = word_id(word_at(q, (p + n - back - 1) % n));
        while (back && word_id(word_at(q, (p + n - back) % n)) == id) back--;
    }
    uint16_t used = (uint16_t)((p + n - back) % n), used_wrap = back > p ? wrap ^ 1 : wrap;
    own16(&q->drv.last_used, used);
    own16(&q->drv.used_wrap, used_wrap);
    own16(&q->dev.last_avail, used);
    own16(&q->dev.avail_wrap, used_wrap);
    return back;
}

/* The driver is more than a ring ahead: neither our place nor the one just before it is of our lap any more.
 */
static bool packed_lapped(const struct vq *q) {
    uint16_t at = q->dev.last_avail, wrap = q->dev.avail_wrap;
    if (avail_bit(word_at(q, at)) == wrap) return false;
    return avail_bit(word_at(q, at ? at - 1u : q->size - 1)) != (at ? wrap : !wrap);
}

/* Between one lap and two went by; how many buffers that were is told for buffers of one slot each. */
static void packed_skip_lap(struct vq *q) {
    uint32_t n = q->size, at = q->dev.last_avail, back;
    uint64_t seen = q->dev.seen, collected = q->drv.collected;
    forget_all(q);
    count_add(&q->observer->unproven, 1);
    back = packed_find(q);
    uint64_t gone = n + (q->drv.last_used + back + 2 * n - at - 1) % n + 1 - back;
    observe_missed(q, gone + (told_when_used(q) ? seen - collected : 0));
    count_set(&q->dev.seen, seen + gone);
    count_set(&q->drv.collected, seen + gone);
}

/* Whether the driver has gone on half a ring beyond a slot of that lap, or has used its memory again: a newer
 * descriptor has the same address. */
static bool packed_far(const struct vq *q, uint16_t slot, uint16_t wrap) {
    uint64_t address = observe64(q->desc + 2 * slot);
    for (uint32_t i = 0; i < q->size / 2; i++) {
        if (advance(q, &slot, 1)) wrap ^= 1;
        if (avail_bit(word_at(q, slot)) != wrap) return false;
        if (observe64(q->desc + 2 * slot) == address) return true;
    }
    return true;
}

static bool packed_offered(const struct vq *q, uint16_t at, uint16_t wrap, uint16_t id) {
    for (uint32_t i = 0; i < q->size; i++) {
        uint64_t word = word_at(q, at);
        if (avail_bit(word) != wrap) break;
        if (!looks_used(word) && word_id(word) == id) return true;
        if (advance(q, &at, 1)) wrap ^= 1;
    }
    return false;
}

static bool packed_changed(struct vq *q, const struct noted *buffer, uint16_t id, bool *late) {
    uint16_t at = q->dev.last_avail, wrap = q->dev.avail_wrap;
    uint64_t head = word_at(q, buffer->head);
    if (avail_bit(head) != buffer->wrap) return true;
    *late = looks_used(head);
    if (*late && packed_far(q, buffer->head, buffer->wrap)) return true;
    if (buffer->position == q->dev.seen && advance(q, &at, buffer->slots)) wrap ^= 1; /* behind itself */
    return packed_offered(q, at, wrap, id);
}

/* Of a lap later, counted from where the buffer stood: how far the device has used. */
static uint32_t packed_behind(struct vq *q, const struct noted *buffer) {
    uint32_t n = q->size, used = 0;
    uint16_t at = buffer->head, wrap = buffer->wrap;
    if (advance(q, &at, buffer->slots)) wrap ^= 1;
    for (; used < n; used++) {
        uint64_t word = word_at(q, at);
        if (avail_bit(word) == wrap && !looks_used(word)) break;
        if (advance(q, &at, 1)) wrap ^= 1;
    }
    return used;
}

/* Slots of a list as its flags say, whatever else is wrong with it. */
static uint32_t list_slots(const struct vq *q, uint16_t at) {
    uint32_t slots = 1;
    while (word_flags(word_at(q, at)) & DESC_NEXT && slots < q->size) {
        slots++;
        advance(q, &at, 1);
    }
    return slots;
}

/* Nothing is used before it is available: where the ring says so, it was made available unseen. */
static void packed_catch_up(struct vq *q) {
    if (q->drv.collected <= q->dev.seen) return;
    count_set(&q->dev.seen, q->drv.collected);
    own16(&q->dev.last_avail, q->drv.last_used);
    own16(&q->dev.avail_wrap, q->drv.used_wrap);
}

/* A buffer was used that we never saw available: how many slots it took is told by what its other slots,
 * which nobody overwrites, have for an id. */
static void packed_came_and_went(struct pair *pair, struct vq *q, uint16_t id) {
    uint16_t at = q->drv.last_used, wrap = q->drv.used_wrap, next = at, lap = wrap;
    uint32_t slots = 1;
    for (; slots < q->size; slots++) {
        if (advance(q, &next, 1)) lap ^= 1;
        uint64_t word = word_at(q, next);
        if (avail_bit(word) != lap || looks_used(word) || word_id(word) != id) break;
    }
    observe_gone(pair, q, at, slots, observe64(q->desc + 2 * at));
    if (q->dev.last_avail == at && q->dev.avail_wrap == wrap) {
        pass(q, &q->dev.last_avail, &q->dev.avail_wrap, slots);
        count_set(&q->dev.seen, q->dev.seen + 1);
    } else
        count_add(&q->observer->unproven, 1);
    pass(q, &q->drv.last_used, &q->drv.used_wrap, slots);
    count_set(&q->drv.collected, q->drv.collected + 1);
    packed_catch_up(q);
}

static void packed_use(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length) {
    pass(q, &q->drv.last_used, &q->drv.used_wrap, buffer->slots);
    observe_used(pair, q, buffer, length);
    count_set(&q->drv.collected, q->drv.collected + 1);
    packed_catch_up(q);
}

/* With IN_ORDER one element may stand for all buffers up to the one that it names. */
static void packed_use_batch(struct pair *pair, struct vq *q, struct noted *last, uint32_t length) {
    while (q->in_order && q->drv.collected < last->position) {
        uint16_t id = (uint16_t)(q->drv.place[q->drv.collected % q->size] >> 32);
        struct noted *buffer = id < q->size ? &q->observer->noted[id] : NULL;
        if (buffer == last) break;
        if (buffer && buffer->live) {
            packed_use(pair, q, buffer, 0);
            continue;
        }
        pass(q, &q->drv.last_used, &q->drv.used_wrap, 1); /* it came and went, as was counted */
        count_set(&q->drv.collected, q->drv.collected + 1);
    }
    packed_use(pair, q, last, length);
}

/* The next element was there and is overwritten: its buffer is offered again. That it was the next in order
 * is all that can be said. */
static bool packed_element_gone(const struct vq *q) {
    return q->drv.collected < q->dev.seen && avail_bit(word_at(q, q->drv.last_used)) != q->drv.used_wrap;
}

static void packed_use_unseen(struct pair *pair, struct vq *q) {
    uint16_t id = (uint16_t)(q->drv.place[q->drv.collected % q->size] >> 32);
    struct noted *buffer = &q->observer->noted[id];
    if (id < q->size && buffer->live && buffer->position == q->drv.collected) {
        packed_use(pair, q, buffer, OBSERVE_UNKNOWN);
        return;
    }
    observe_missed(q, 1);
    pass(q, &q->drv.last_used, &q->drv.used_wrap, 1);
    count_set(&q->drv.collected, q->drv.collected + 1);
    packed_catch_up(q);
}

static void packed_take(struct pair *pair, struct vq *q) {
    uint16_t head = q->dev.last_avail, id;
    uint32_t slots = list_slots(q, head);
    if (observe_available(pair, q, head, &id))
        slots = q->observer->noted[id].slots = (uint16_t)slots;
    else
        observe_missed(q, 1);
    pass(q, &q->dev.last_avail, &q->dev.avail_wrap, slots);
    count_set(&q->dev.seen, q->dev.seen + 1);
}

#define COUNT_NS 10000000u /* while no frame is wanted: to count lists every descriptor has to be read */

/* With IN_ORDER an element at the place of the first buffer of a batch names the last one: what lies between
 * was made available, and used, unseen. How many slots the first one took is gone with it, so that none of
 * them is read for a frame. false: the last one is not there. */
static bool packed_batch_unseen(struct pair *pair, struct vq *q, uint16_t id) {
    struct observer *o = q->observer;
    if (!q->in_order || id >= q->size || id == q->drv.last_used) return false;
    o->blind = true;
    for (uint32_t i = 0; i < q->size && !o->noted[id].live; i++) {
        uint16_t at = q->dev.last_avail;
        uint64_t word = word_at(q, at);
        if (at == q->drv.last_used && is_used(word_flags(word), q->dev.avail_wrap)) {
            observe_missed(q, 1);
            count_put(q->drv.place + q->dev.seen % q->size, at | 1ull << 16 | 0xffffull << 32);
            pass(q, &q->dev.last_avail, &q->dev.avail_wrap, 1);
            count_set(&q->dev.seen, q->dev.seen + 1);
        } else if (is_avail(word_flags(word), q->dev.avail_wrap) && q->dev.seen - q->drv.collected < q->size)
            packed_take(pair, q);
        else
            break;
    }
    o->blind = false;
    return o->noted[id].live;
}

static uint32_t packed_look(struct pair *pair, struct vq *q) {
    if (!flag_get(&pair->trace.frames.on) && pair_now(pair) - q->observer->looked < COUNT_NS) return 0;
    bool lapped = packed_lapped(q);
    uint64_t seen = q->dev.seen, collected = q->drv.collected;
    if (lapped) packed_skip_lap(q);
    for (uint32_t i = 0; i < q->size; i++) {
        uint64_t word = word_at(q, q->drv.last_used);
        uint16_t id = word_id(word);
        if (packed_element_gone(q)) {
            packed_use_unseen(pair, q);
            continue;
        }
        if (!is_used(word_flags(word), q->drv.used_wrap)) break;
        if (id < q->size && (q->observer->noted[id].live || packed_batch_unseen(pair, q, id)))
            packed_use_batch(pair, q, &q->observer->noted[id], (uint32_t)word);
        else
            packed_came_and_went(pair, q, id);
    }
    for (uint32_t i = 0; i < q->size && q->dev.seen - q->drv.collected < q->size; i++) {
        if (!is_avail(word_flags(word_at(q, q->dev.last_avail)), q->dev.avail_wrap)) break;
        packed_take(pair, q);
    }
    prove(pair, q, q->size, q->dev.seen != seen || q->drv.collected != collected);
    published(pair, q, seen);
    flushed(pair, q, collected);
    return (uint32_t)(q->dev.seen - seen + (q->drv.collected - collected));
}

/* ---- both ------------------------------------------------------------------------------------------- */

uint32_t observe_look(struct pair *pair, struct vq *q) {
    return q->packed ? packed_look(pair, q) : split_look(pair, q);
}

bool observe_changed(struct vq *q, const struct noted *buffer, uint16_t id, bool *late) {
    *late = false;
    return q->packed ? packed_changed(q, buffer, id, late) : split_changed(q, buffer, late);
}

bool observe_is_far(const struct vq *q, uint16_t slot, uint16_t wrap) {
    return avail_bit(word_at(q, slot)) != wrap || packed_far(q, slot, wrap);
}

bool observe_refilled(struct vq *q, const struct noted *buffer) {
    uint32_t behind =
        q->packed ? packed_behind(q, buffer)
                  : (uint16_t)(observe16(used_idx(q)) - (uint16_t)(buffer->position + q->start_index));
    return behind + REFILL_AHEAD > q->size && behind > 1;
}

static bool split_offered(struct vq *q, uint16_t head) {
    uint16_t at = q->dev.last_avail, avail = observe16(avail_idx(q)), mask = (uint16_t)(q->size - 1);
    if ((uint16_t)(avail - at) > q->size) return true; /* more than a ring went by */
    for (; at != avail; at++)
        if (observe16(avail_ring(q, at & mask)) == head) return true;
    return false;
}

bool observe_offered_again(struct vq *q, const struct noted *buffer, uint16_t id) {
    return q->packed ? packed_offered(q, q->dev.last_avail, q->dev.avail_wrap, id)
                     : split_offered(q, buffer->head);
}

void observe_attach(struct vq *q) {
    if (q->packed)
        packed_find(q);
    else {
        uint16_t used = observe16(used_idx(q));
        q->start_index = used;
        own16(&q->drv.last_used, used);
        own16(&q->dev.last_avail, used);
    }
    count_set(&q->dev.seen, 0);
}

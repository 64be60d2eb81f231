/* inflight.c: see inflight.h. */
#include "inflight.h"

#include <errno.h>
#include <stdlib.h>

#include "breaks.h"
#include "own.h"
#include "packed.h"

/* ---- the region ------------------------------------------------------------------------------------- */

enum {
    VERSION = 1,
    ALIGNMENT = 64,
    SPLIT_HEADER = 16,
    SPLIT_ENTRY = 16,
    PACKED_HEADER = 32,
    PACKED_ENTRY = 32
};
enum { /* both headers begin with the features, 64 bits that nobody sets */
       AT_VERSION = 8,
       AT_ENTRIES = 10,
       SPLIT_LAST_BATCH = 12,
       SPLIT_USED = 14,
       PACKED_FREE = 12,
       PACKED_OLD_FREE = 14,
       PACKED_USED = 16,
       PACKED_OLD_USED = 18,
       PACKED_WRAP = 20,
       PACKED_OLD_WRAP = 21,
};
enum { /* an entry: one in flight, and its place in a list; the rest differs */
       ENTRY_INFLIGHT = 0,
       SPLIT_NEXT = 6,
       SPLIT_COUNTER = 8,
       PACKED_NEXT = 2,
       PACKED_LAST = 4,
       PACKED_NUM = 6,
       PACKED_COUNTER = 8,
       PACKED_ID = 16,
       PACKED_FLAGS = 18,
       PACKED_LEN = 20,
       PACKED_ADDR = 24,
};

uint64_t inflight_bytes(uint32_t entries, bool packed) {
    uint64_t bytes = packed ? PACKED_HEADER + (uint64_t)PACKED_ENTRY * entries
                            : SPLIT_HEADER + (uint64_t)SPLIT_ENTRY * entries;
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint8_t *split_entry(const struct inflight *log, uint32_t i) {
    return log->at + SPLIT_HEADER + (uint64_t)SPLIT_ENTRY * i;
}
static uint8_t *packed_entry(const struct inflight *log, uint32_t i) {
    return log->at + PACKED_HEADER + (uint64_t)PACKED_ENTRY * i;
}

static uint16_t read16(const uint8_t *p) { return observe16((const uint16_t *)(const void *)p); }
static uint32_t read32(const uint8_t *p) { return observe32((const uint32_t *)(const void *)p); }
static uint64_t read64(const uint8_t *p) { return observe64((const uint64_t *)(const void *)p); }
static void write16(uint8_t *p, uint16_t v) { publish16((uint16_t *)(void *)p, v); }
static void write32(uint8_t *p, uint32_t v) { publish32((uint32_t *)(void *)p, v); }
static void write64(uint8_t *p, uint64_t v) { publish64((uint64_t *)(void *)p, v); }

/* ---- opening it ------------------------------------------------------------------------------------- */

struct found { /* a buffer in flight */
    uint64_t counter;
    uint16_t at;
};

static int by_age(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->counter != y->counter) return x->counter < y->counter ? -1 : 1;
    return (int)x->at - (int)y->at;
}

static void list_again(struct inflight *log, struct found *found, uint32_t count) {
    qsort(found, count, sizeof *found, by_age);
    for (uint32_t i = 0; i < count; i++) log->again[i] = found[i].at;
    log->again_count = count;
    log->counter = count ? found[count - 1].counter : 0;
}

/* used.idx was moved and the last batch is still marked: it is not in flight. */
static int split_open(struct vq *q, struct inflight *log, bool fresh, struct found *found,
                      struct ring_place *from) {
    uint16_t used = observe16(used_idx(q)), behind = (uint16_t)(used - read16(log->at + SPLIT_USED));
    uint16_t head = read16(log->at + SPLIT_LAST_BATCH);
    log->last_batch = head < log->entries ? head : 0;
    for (uint16_t i = 0; i < behind && i < log->entries && head < log->entries; i++) {
        publish8(split_entry(log, head) + ENTRY_INFLIGHT, 0);
        head = read16(split_entry(log, head) + SPLIT_NEXT);
    }
    write16(log->at + SPLIT_USED, used);
    uint32_t count = 0;
    for (uint32_t i = 0; i < log->entries; i++) {
        const uint8_t *entry = split_entry(log, i);
        if (observe8(entry + ENTRY_INFLIGHT) != 1) continue;
        if (i >= q->size) return EPROTO;
        found[count++] = (struct found){read64(entry + SPLIT_COUNTER), (uint16_t)i};
    }
    list_again(log, found, count);
    if (!fresh) from->avail = used;
    return 0;
}

/* Either what was being shown when the device ended can be seen in the ring, or it never happened. */
static void packed_settle(struct vq *q, struct inflight *log, struct ring_place *at) {
    uint16_t used = read16(log->at + PACKED_USED), old = read16(log->at + PACKED_OLD_USED);
    uint8_t wrap = observe8(log->at + PACKED_WRAP) & 1, old_wrap = observe8(log->at + PACKED_OLD_WRAP) & 1;
    uint16_t free_head = read16(log->at + PACKED_FREE), old_free = read16(log->at + PACKED_OLD_FREE);
    bool moved = used != old || wrap != old_wrap;
    if (!moved || old >= q->size || !is_used(word_flags(observe64(q->desc + 2 * old + 1)), old_wrap))
        used = old, wrap = old_wrap, free_head = old_free;
    *at = (struct ring_place){used, used, wrap, wrap};
    log->free_head = free_head;
}

enum { FREE = 1, HELD = 2 };

/* The entries of one buffer, none of them twice. */
static bool claim(struct inflight *log, uint8_t *state, uint16_t first, uint32_t num) {
    uint32_t e = first;
    for (uint32_t k = 0; k < num; k++) {
        if (e >= log->entries || state[e]) return false;
        state[e] = HELD;
        log->last[first] = (uint16_t)e;
        e = log->next[e] = read16(packed_entry(log, e) + PACKED_NEXT);
    }
    return num > 0;
}

static void write_free(struct inflight *log, const struct ring_place *at) {
    write16(log->at + PACKED_FREE, log->free_head);
    write16(log->at + PACKED_USED, at->used);
    publish8(log->at + PACKED_WRAP, (uint8_t)at->used_wrap);
    write16(log->at + PACKED_OLD_FREE, log->free_head);
    write16(log->at + PACKED_OLD_USED, at->used);
    publish8(log->at + PACKED_OLD_WRAP, (uint8_t)at->used_wrap);
}

/* All that is neither free nor in flight is free from now on. */
static void gather_free(struct inflight *log, const uint8_t *state) {
    log->free_head = (uint16_t)log->entries;
    for (uint32_t e = log->entries; e-- > 0;) {
        if (state[e] == HELD) continue;
        publish8(packed_entry(log, e) + ENTRY_INFLIGHT, 0);
        log->next[e] = log->free_head;
        write16(packed_entry(log, e) + PACKED_NEXT, log->free_head);
        log->free_head = (uint16_t)e;
    }
}

static int packed_open(struct vq *q, struct inflight *log, bool fresh, struct found *found,
                       struct ring_place *from) {
    uint8_t *state = calloc(log->entries, 1);
    if (!state) return ENOMEM;
    struct ring_place at = *from;
    uint32_t count = 0, slots = 0;
    bool sound = true;
    if (!fresh) {
        packed_settle(q, log, &at);
        for (uint32_t i = 0, e = log->free_head; i < log->entries && e < log->entries && !state[e]; i++) {
            state[e] = FREE;
            e = read16(packed_entry(log, e) + PACKED_NEXT);
        }
        for (uint32_t e = 0; e < log->entries; e++) {
            const uint8_t *entry = packed_entry(log, e);
            if (observe8(entry + ENTRY_INFLIGHT) != 1 || state[e]) continue;
            uint16_t num = read16(entry + PACKED_NUM);
            slots += num;
            sound = slots <= q->size && claim(log, state, (uint16_t)e, num);
            if (!sound) break;
            found[count++] = (struct found){read64(entry + PACKED_COUNTER), (uint16_t)e};
        }
    }
    sound = sound && at.used < q->size;
    if (sound) {
        list_again(log, found, count);
        gather_free(log, state);
        write_free(log, &at);
        *from = at;
    }
    free(state);
    return sound ? 0 : EPROTO;
}

int inflight_open(struct vq *q, uint8_t *at, uint32_t entries, struct ring_place *from) {
    inflight_close(q);
    uint16_t version = read16(at + AT_VERSION), known = read16(at + AT_ENTRIES);
    bool fresh = !version && !known;
    if (entries < q->size || (!fresh && (version != VERSION || known != entries))) return EPROTO;
    struct inflight *log = calloc(1, sizeof *log);
    uint16_t *arrays = calloc(4 * (size_t)entries + 65536, sizeof *arrays);
    struct found *found = calloc(entries, sizeof *found);
    int error = ENOMEM;
    if (log && arrays && found) {
        log->at = at;
        log->entries = entries;
        log->again = arrays;
        log->batch = arrays + entries;
        log->next = arrays + 2 * entries;
        log->last = arrays + 3 * entries;
        log->entry = arrays + 4 * (size_t)entries;
        error = q->packed ? packed_open(q, log, fresh, found, from) : split_open(q, log, fresh, found, from);
    }
    free(found);
    if (error) {
        free(arrays);
        free(log);
        return error;
    }
    write16(at + AT_ENTRIES, (uint16_t)entries);
    write16(at + AT_VERSION, VERSION);
    q->inflight = log;
    return 0;
}

void inflight_close(struct vq *q) {
    if (q->inflight) free(q->inflight->again);
    free(q->inflight);
    q->inflight = NULL;
}

/* ---- taken, and taken again ------------------------------------------------------------------------- */

/* The buffer as it was when it was taken: its descriptors may have been written over since. */
static enum reason walk_entries(struct vq *q, struct chain *chain, uint16_t first) {
    const struct inflight *log = q->inflight;
    chain_begin(q, chain, q->dev.last_avail);
    for (uint16_t e = first;; e = log->next[e]) {
        const uint8_t *entry = packed_entry(log, e);
        struct copied d = {read64(entry + PACKED_ADDR), read32(entry + PACKED_LEN),
                           read16(entry + PACKED_FLAGS)};
        chain->slots++;
        chain->id = read16(entry + PACKED_ID);
        if (d.flags & DESC_INDIRECT) return chain->slots > 1 ? INDIRECT_NEXT : chain_table(q, chain, &d);
        enum reason reason = chain_element(q, chain, &d);
        if (reason || e == log->last[first]) return reason;
    }
}

static void move_on(struct vq *q, const struct chain *chain) {
    struct device_half *dev = &q->dev;
    uint16_t at = dev->last_avail;
    if (q->packed) {
        dev->slots_out += chain->slots;
        if (advance(q, &at, chain->slots)) own16(&dev->avail_wrap, dev->avail_wrap ^ 1);
    } else
        at++;
    own16(&dev->last_avail, at);
    dev->avail_cached = at;
}

uint32_t inflight_again(struct vq *q, struct chain *chains, uint32_t count) {
    struct device_half *dev = &q->dev;
    struct inflight *log = q->inflight;
    uint32_t n = 0;
    if (dev->broken) return 0;
    if (dev->holding == 0) dev->arena_used = 0;
    for (; n < count && n < BURST && inflight_left(q) && chain_fits(q); n++) {
        uint16_t at = log->again[log->again_at];
        struct chain *chain = &chains[n];
        enum reason reason = q->packed ? walk_entries(q, chain, at) : q->ops->walk(q, chain, at);
        if (!reason && is_taken(q, chain->id)) reason = DUPLICATE_HEAD;
        if (!reason && q->packed && dev->slots_out + chain->slots > q->size) reason = INDEX_JUMP;
        if (reason) {
            device_broken(q, reason);
            break;
        }
        dev->taken[chain->id] = TAKEN;
        if (own_wanted(dev->door)) own_device_id(q, chain->id);
        log->entry[chain->id] = at;
        log->again_at++;
        chain->position = dev->seen + n;
        move_on(q, chain);
    }
    if (n == 0) return 0;
    note_places(q, chains, n);
    breaks_taken(q, chains, n, false, NULL);
    count_put(&dev->holding, dev->holding + n);
    count_set(&dev->seen, dev->seen + n);
    operation(dev->door, EV_NEXT, chains[0].head, n, dev->seen - n, 0, 0);
    return n;
}

static void split_took(struct inflight *log, uint16_t head) {
    uint8_t *entry = split_entry(log, head);
    write64(entry + SPLIT_COUNTER, ++log->counter);
    publish8(entry + ENTRY_INFLIGHT, 1);
}

static void packed_took(struct vq *q, struct inflight *log, const struct chain *chain) {
    uint16_t first = log->free_head, slot = chain->head;
    uint32_t e = first;
    for (uint32_t k = 0; k < chain->slots; k++) {
        if (e >= log->entries) { /* more is out than the ring holds */
            device_broken(q, INDEX_JUMP);
            return;
        }
        uint8_t *entry = packed_entry(log, e);
        uint64_t word = observe64(q->desc + 2 * slot + 1);
        write64(entry + PACKED_ADDR, observe64(q->desc + 2 * slot));
        write32(entry + PACKED_LEN, (uint32_t)word);
        write16(entry + PACKED_ID, word_id(word));
        write16(entry + PACKED_FLAGS, word_flags(word));
        log->last[first] = (uint16_t)e;
        e = log->next[e];
        advance(q, &slot, 1);
    }
    uint8_t *entry = packed_entry(log, first);
    write16(entry + PACKED_LAST, log->last[first]);
    write16(entry + PACKED_NUM, chain->slots);
    write64(entry + PACKED_COUNTER, ++log->counter);
    publish8(entry + ENTRY_INFLIGHT, 1);
    log->entry[chain->id] = first;
    log->free_head = (uint16_t)e;
    write16(log->at + PACKED_FREE, log->free_head);
    write16(log->at + PACKED_OLD_FREE, log->free_head);
}

void inflight_took(struct vq *q, const struct chain *chains, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (q->packed)
            packed_took(q, q->inflight, &chains[i]);
        else
            split_took(q->inflight, chains[i].head);
    }
}

/* ---- used ------------------------------------------------------------------------------------------- */

void inflight_completed(struct vq *q, const struct done *done, uint32_t count) {
    struct inflight *log = q->inflight;
    for (uint32_t i = 0; i < count && log->batched < log->entries; i++)
        if (!is_taken(q, done[i].id)) /* else a fault holds it back */
            log->batch[log->batched++] = q->packed ? log->entry[done[i].id] : done[i].id;
}

static void split_link(struct inflight *log, uint16_t head) {
    write16(split_entry(log, head) + SPLIT_NEXT, log->last_batch);
    log->last_batch = head;
    write16(log->at + SPLIT_LAST_BATCH, head);
}

static void packed_link(struct inflight *log, uint16_t e) {
    log->next[log->last[e]] = log->free_head;
    write16(packed_entry(log, log->last[e]) + PACKED_NEXT, log->free_head);
    log->free_head = e;
}

/* The used place moves before the list does: whoever finds only one of the two undoes both. */
void inflight_before_flush(struct vq *q) {
    struct inflight *log = q->inflight;
    if (log->linked == log->batched) return;
    if (q->packed) {
        write16(log->at + PACKED_USED, q->dev.used_idx);
        publish8(log->at + PACKED_WRAP, (uint8_t)q->dev.used_wrap);
    }
    for (; log->linked < log->batched; log->linked++) {
        uint16_t one = log->batch[log->linked];
        if (q->packed)
            packed_link(log, one);
        else
            split_link(log, one);
    }
    if (q->packed) write16(log->at + PACKED_FREE, log->free_head);
}

void inflight_after_flush(struct vq *q) {
    struct inflight *log = q->inflight;
    for (uint32_t i = 0; i < log->batched; i++)
        publish8((q->packed ? packed_entry : split_entry)(log, log->batch[i]) + ENTRY_INFLIGHT, 0);
    log->batched = log->linked = 0;
    if (q->packed) {
        const struct ring_place at = {.used = q->dev.used_idx, .used_wrap = q->dev.used_wrap};
        write_free(log, &at);
    } else
        write16(log->at + SPLIT_USED, q->dev.used_idx);
}

/* ---- back ------------------------------------------------------------------------------------------- */

/* What came out of the region goes back there: the ring may name others at its place. */
void inflight_put_back(struct vq *q, const struct chain *chains, uint32_t count) {
    struct inflight *log = q->inflight;
    for (uint32_t i = count; i-- > 0;) {
        uint16_t at = q->packed ? log->entry[chains[i].id] : chains[i].id;
        if (chains[i].position < log->again_count) {
            log->again_at--;
            continue;
        }
        publish8((q->packed ? packed_entry : split_entry)(log, at) + ENTRY_INFLIGHT, 0);
        if (q->packed) packed_link(log, at);
    }
    if (q->packed) {
        write16(log->at + PACKED_FREE, log->free_head);
        write16(log->at + PACKED_OLD_FREE, log->free_head);
    }
}

void inflight_place(const struct vq *q, struct ring_place *at) {
    const struct inflight *log = q->inflight;
    for (uint32_t i = log->again_at; i < log->again_count; i++) {
        if (!q->packed)
            at->avail++;
        else
            for (uint16_t e = log->again[i];; e = log->next[e]) {
                if (advance(q, &at->avail, 1)) at->avail_wrap ^= 1;
                if (e == log->last[log->again[i]]) break;
            }
    }
}

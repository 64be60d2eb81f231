/* fault.c: see fault.h. */
#include "fault.h"

#include <string.h>

static enum area ring_area(const struct vq *q, uint64_t at, bool device, uint32_t *entry) {
    uint32_t width = device ? 8 : 2;
    *entry = 0;
    if (at == 0) return device ? AREA_USED_FLAGS : AREA_AVAIL_FLAGS;
    if (at == 2) return device ? AREA_USED_IDX : AREA_AVAIL_IDX;
    if (at >= 4 + (uint64_t)width * q->size) return device ? AREA_AVAIL_EVENT : AREA_USED_EVENT;
    *entry = (uint32_t)((at - 4) / width);
    return device ? AREA_USED_RING : AREA_AVAIL_RING;
}

/* Where in a queue an address lies: its area and entry; of an event structure (2.8.14) the word. */
static enum area area_of(const struct vq *q, uint64_t address, uint32_t *entry) {
    uint64_t at = address - q->desc_address;
    *entry = (uint32_t)(at / 16);
    if (at < ring_desc_bytes(q->size)) return at % 16 ? AREA_DESC_FLAGS : AREA_DESC_ADDR;
    at = address - q->driver_address;
    if (at < ring_driver_bytes(q->size, q->packed))
        return q->packed ? (*entry = (uint32_t)at / 2, AREA_DRIVER_EVENT) : ring_area(q, at, false, entry);
    at = address - q->device_address;
    if (at < ring_device_bytes(q->size, q->packed))
        return q->packed ? (*entry = (uint32_t)at / 2, AREA_DEVICE_EVENT) : ring_area(q, at, true, entry);
    *entry = (uint32_t)((address - q->drv.tables_address) / 16);
    return AREA_TABLES;
}

static bool concerns(const struct fault *f, const struct door *door, enum area area, uint32_t entry) {
    if (f->side != door->side || (f->queue != 0xffff && f->queue != door->queue)) return false;
    if (f->entry != ANY_ENTRY && f->entry != entry) return false;
    if (f->area == AREA_DESC) return area == AREA_DESC_ADDR || area == AREA_DESC_FLAGS;
    return f->area == ANY_AREA || f->area == area;
}

/* Whether the side's own index has come to where the fault begins, within the last lap. */
static bool begun(struct fault *f, const struct door *door) {
    const struct vq *q = &door->owner->queue[door->queue];
    if (f->index == ANY_INDEX || f->begun) return true;
    uint16_t at = door->side ? q->dev.used_idx : q->drv.avail_idx;
    f->begun = q->packed ? at == f->index : (uint16_t)(at - f->index) < q->size;
    return f->begun;
}

/* Of one chance in `odds`: by the seed and the number of the chance, so that it can be repeated. */
static bool drawn(const struct fault *f, uint64_t nth) {
    if (f->odds < 2) return true;
    uint64_t x = f->seed + (nth + 1) * 0x9e3779b97f4a7c15u; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % f->odds == 0;
}

/* Its turn: neither among the first that pass nor used up. */
static bool due(struct fault *f, const struct door *door) {
    if (!begun(f, door)) return false;
    uint64_t nth = ticket_take(&f->matched);
    if (nth < f->after || !drawn(f, nth) || (f->count && count_peek(&f->hits) >= f->count)) return false;
    ticket_take(&f->hits);
    return true;
}

uint32_t fault_add(struct pair *pair, const struct fault *fault) {
    if (pair->faults == FAULTS_MAX) return 0;
    if (pair->faults == 0)
        for (uint32_t i = 0; i < pair->queues; i++) {
            struct vq *q = &pair->queue[i];
            /* One that sleeps has asked for notifications of all, and was told of none. */
            q->drv.told = q->drv.hushed = !flag_get(&pair->driver.asleep);
            q->dev.told = q->dev.hushed = !flag_get(&pair->device.asleep);
        }
    struct fault *f = &pair->fault[pair->faults++];
    *f = *fault;
    f->id = ++pair->fault_id;
    f->matched = f->hits = 0;
    f->begun = false;
    pair_arm(pair, ARM_FAULT, 0);
    return f->id;
}

/* What a driver with a fault wrote may not stand in memory: it writes every word again. */
static void forget_shadows(struct pair *pair) {
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        q->dev.size = q->size;
        pair->pool[i].run = 0;
        if (!q->drv.shadow) continue;
        memset(q->drv.shadow, 0xff, q->size * sizeof *q->drv.shadow);
        memset(q->drv.avail_shadow, 0xff, q->size * sizeof *q->drv.avail_shadow);
    }
}

static void release_late(struct side *side) {
    for (uint32_t i = 0; i < side->late_count; i++) notify_write(side->late[i].notes, side->late[i].upto);
    side->late_count = 0;
}

bool fault_remove(struct pair *pair, uint32_t id) {
    uint32_t kept = 0, before = pair->faults;
    for (uint32_t i = 0; i < before; i++)
        if (id && pair->fault[i].id != id) pair->fault[kept++] = pair->fault[i];
    pair->faults = kept;
    for (uint32_t i = 0; i < pair->queues; i++)
        if (pair->queue[i].dev.kept_count) flag_set(&pair->device.look, 1);
    if (!kept) {
        /* Ungated: both sides rest, and this thread is neither. */
        uint32_t gate = armed(&pair->driver.door) & ARM_GATE;
        pair_arm(pair, 0, ARM_GATE);
        fault_release(&pair->driver.door, true);
        fault_release(&pair->device.door, true);
        release_late(&pair->driver);
        release_late(&pair->device);
        pair_arm(pair, gate, ARM_FAULT);
        forget_shadows(pair);
    }
    return kept < before;
}

/* ---- stores ----------------------------------------------------------------------------------------- */

static uint64_t swapped(uint64_t value, unsigned width, enum area area) {
    if (width == 2) return __builtin_bswap16((uint16_t)value);
    if (width == 4) return __builtin_bswap32((uint32_t)value);
    if (width != 8) return value;
    if (area != AREA_DESC_FLAGS) return __builtin_bswap64(value);
    /* len, then two 16-bit fields: flags and next, or id and flags */
    return __builtin_bswap32((uint32_t)value) | (uint64_t)__builtin_bswap16((uint16_t)(value >> 32)) << 32 |
           (uint64_t)__builtin_bswap16((uint16_t)(value >> 48)) << 48;
}

/* The value that a fault puts in the place of another. */
static uint64_t changed(const struct fault *f, uint64_t value, unsigned width, enum area area, uint32_t entry,
                        bool packed) {
    unsigned flags_at = packed ? 48 : 32;
    switch (f->kind) {
    case FAULT_CORRUPT_STORE: return value ^ f->value;
    case FAULT_SET_STORE: return f->value;
    case FAULT_MASK_STORE: return value & f->value;
    case FAULT_ADD_STORE: return value + f->value;
    case FAULT_SWAP_STORE: return swapped(value, width, area);
    case FAULT_CUT_CHAIN: return value & ~((uint64_t)DESC_NEXT << flags_at);
    case FAULT_LOOP_CHAIN:
        value |= (uint64_t)DESC_NEXT << flags_at;
        return packed ? value : (value & ~(0xffffull << 48)) | (uint64_t)entry << 48;
    default: return value;
    }
}

/* Whether there is something in this store for the fault to change. */
static bool fits(const struct fault *f, uint64_t value, uint64_t old, unsigned width, enum area area,
                 bool packed) {
    bool next = value >> (packed ? 48 : 32) & DESC_NEXT;
    switch (f->kind) {
    case FAULT_CUT_CHAIN: return area == AREA_DESC_FLAGS && next;
    case FAULT_LOOP_CHAIN: return area == AREA_DESC_FLAGS && !next;
    case FAULT_TEAR_STORE: return width == 2 && value >> 8 != old >> 8 && (value & 0xff) != (old & 0xff);
    default: return true;
    }
}

static bool hold_back(struct door *door, uint64_t behind, void *to, uint64_t value, unsigned width,
                      bool stays) {
    if (door->held_count == HELD_MAX) return false;
    door->held[door->held_count++] =
        (struct held_store){to, value, width, (uint32_t)(behind ? behind : 1) + 1, door->queue, stays};
    return true;
}

bool fault_store(struct door *door, void *to, uint64_t *value, unsigned width) {
    struct pair *pair = door->owner;
    const struct vq *q = &pair->queue[door->queue];
    uint64_t address = memory_address(door->memory, to), whole = width == 8 ? ~0ull : (1ull << 8 * width) - 1;
    uint64_t old = width == 2 ? observe16(to) : 0;
    uint32_t entry;
    enum area area = area_of(q, address, &entry);
    for (uint32_t i = 0; i < pair->faults; i++) {
        struct fault *f = &pair->fault[i];
        if (f->kind > FAULT_LAST_STORE || !concerns(f, door, area, entry)) continue;
        if (!fits(f, *value, old, width, area, q->packed) || !due(f, door)) continue;
        bool later = f->kind == FAULT_DROP_STORE;
        if (f->kind == FAULT_DELAY_STORE)
            later = hold_back(door, f->value, to, *value, width, f->value > HELD_MAX);
        if (f->kind == FAULT_DELAY_STORE && !later) return false;
        if (f->kind == FAULT_TEAR_STORE) {
            if (!hold_back(door, f->value, (uint8_t *)to + 1, *value >> 8, 1, true)) return false;
            *value = (old & 0xff00) | (*value & 0xff);
        }
        if (!later) *value = changed(f, *value, width, area, entry, q->packed) & whole;
        door_fault(door, f->id, f->kind, address, *value, width);
        return later;
    }
    return false;
}

/* All that was held back is performed when the last fault goes. */
static bool healed(const struct door *door) { return door->owner->faults == 0; }

void fault_release(struct door *door, bool all) {
    uint16_t queue = door->queue;
    uint32_t n = door->held_count, kept = 0;
    struct held_store held[HELD_MAX];
    if (n == 0) return;
    memcpy(held, door->held, n * sizeof held[0]);
    for (uint32_t i = 0; i < n; i++)
        if ((!all && held[i].left > 1) || (all && held[i].stays && !healed(door))) {
            if (!all) held[i].left--;
            door->held[kept++] = held[i];
            held[i].to = NULL;
        }
    door->held_count = kept;
    for (uint32_t i = 0; i < n; i++)
        if (held[i].to) {
            door->queue = held[i].queue;
            door_perform(door, held[i].to, held[i].value, held[i].width);
        }
    door->queue = queue;
}

/* ---- notifications ---------------------------------------------------------------------------------- */

/* Some last: of these only the first time is an event. */
static bool lasts(enum fault_kind kind) {
    switch (kind) {
    case FAULT_DEAF_KICK:
    case FAULT_DEAF_CALL:
    case FAULT_IGNORE:
    case FAULT_FORGET_EVENT_IDX:
    case FAULT_STOP_EARLY:
    case FAULT_BLIND:
    case FAULT_NO_FLUSH:
    case FAULT_WRONG_SIZE:
    case FAULT_NO_COLLECT:
    case FAULT_NO_REFILL:
    case FAULT_NO_SUBMIT:
    case FAULT_SPIN:
    case FAULT_NAG: return true;
    default: return false;
    }
}

bool fault_meets(struct door *door, enum fault_kind kind, uint64_t *value) {
    struct pair *pair = door->owner;
    for (uint32_t i = 0; i < pair->faults; i++) {
        struct fault *f = &pair->fault[i];
        if (f->kind != kind || !concerns(f, door, ANY_AREA, ANY_ENTRY) || !due(f, door)) continue;
        *value = f->value;
        if (!lasts(kind) || count_peek(&f->hits) == 1) door_fault(door, f->id, kind, 0, f->value, 0);
        return true;
    }
    return false;
}

bool fault_decision(struct door *door, enum event_kind kind, bool needed) {
    bool kick = kind == EV_KICK;
    uint64_t value;
    if (needed) return !fault_meets(door, kick ? FAULT_MISS_KICK : FAULT_MISS_CALL, &value);
    return fault_meets(door, kick ? FAULT_EXTRA_KICK : FAULT_EXTRA_CALL, &value);
}

bool fault_notice(struct door *door, struct notes *notes, enum event_kind kind) {
    struct pair *pair = door->owner;
    struct side *side = door->side ? &pair->device : &pair->driver;
    bool kick = kind == EV_KICK;
    uint64_t value;
    if (fault_meets(door, kick ? FAULT_LOSE_KICK : FAULT_LOSE_CALL, &value)) return true;
    if (side->late_count < LATE_MAX && fault_meets(door, kick ? FAULT_LATE_KICK : FAULT_LATE_CALL, &value)) {
        side->late[side->late_count++] =
            (struct late){notes, trace_now(door->trace) + 1000 * value, notes->told};
        return true;
    }
    if (!fault_meets(door, kick ? FAULT_MISDIRECT_KICK : FAULT_MISDIRECT_CALL, &value)) return false;
    struct vq *other = &pair->queue[value < pair->queues ? value : 0];
    notify_write(kick ? &other->drv.kick : &other->dev.call, 0);
    return true;
}

/* A side that notifies again and again while something of its own is not taken. */
static uint64_t nag(struct side *side, uint64_t now) {
    struct pair *pair = side->pair;
    uint64_t value, next = UINT64_MAX;
    if (side->nag_at > now) return side->nag_at;
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        uint64_t waits = side->door.side ? q->dev.used - count_get(&q->drv.collected)
                                         : q->drv.published - count_get(&q->dev.seen);
        side->door.queue = q->index;
        if (!flag_get(&q->enabled) || !waits || !fault_meets(&side->door, FAULT_NAG, &value)) continue;
        notify_write(side->door.side ? &q->dev.call : &q->drv.kick, 0);
        next = now + 1000 * (value ? value : 1);
    }
    side->nag_at = next == UINT64_MAX ? 0 : next;
    return next == UINT64_MAX ? now + 10000000 : next;
}

static bool nags(const struct side *side) {
    const struct pair *pair = side->pair;
    for (uint32_t i = 0; i < pair->faults; i++)
        if (pair->fault[i].kind == FAULT_NAG && pair->fault[i].side == side->door.side) return true;
    return false;
}

uint64_t fault_late(struct side *side) {
    uint64_t now = pair_now(side->pair), next = UINT64_MAX;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < side->late_count; i++) {
        struct late late = side->late[i];
        if (late.due <= now) {
            notify_write(late.notes, late.upto);
            continue;
        }
        if (late.due < next) next = late.due;
        side->late[kept++] = late;
    }
    side->late_count = kept;
    if (nags(side)) {
        uint64_t again = nag(side, now);
        if (again < next) next = again;
    }
    return next == UINT64_MAX ? next : next > now ? next - now : 0;
}

/* fault_side.c: decisions of a side that has a fault: where it looks, what it takes, what it gives back. */
#include "fault.h"
#include "packed.h"

#include <sched.h>
#include <string.h>

/* Whether such a fault is there at all for the queue that the door stands at: no chance is used up. */
static bool present(const struct door *door, enum fault_kind kind) {
    const struct pair *pair = door->owner;
    for (uint32_t i = 0; i < pair->faults; i++) {
        const struct fault *f = &pair->fault[i];
        if (f->kind == kind && f->side == door->side && (f->queue == 0xffff || f->queue == door->queue))
            return true;
    }
    return false;
}

static bool is_driver(const struct side *side) { return side->door.side == 0; }
static bool *told(const struct side *side, struct vq *q) {
    return is_driver(side) ? &q->drv.told : &q->dev.told;
}

static bool *hushed(const struct side *side, struct vq *q) {
    return is_driver(side) ? &q->drv.hushed : &q->dev.hushed;
}

/* ---- which queue it comes to ------------------------------------------------------------------------ */

/* What brings a side to a queue without the other side's telling. */
static bool own_work(struct side *side, const struct vq *q) {
    struct port *port = &side->port;
    struct pair *pair = side->pair;
    if (q->role == ROLE_CONTROL)
        return is_driver(side) && !pair->command_busy &&
               pair->command_first != count_get(&pair->command_next);
    if (q->role != (is_driver(side) ? ROLE_TRANSMIT : ROLE_RECEIVE)) return false;
    if (port->kind == PORT_FLOOD) return !port->muted;
    const struct packet *p = port_peek(port, pair_now(pair));
    return p && p->pair == q->index / 2;
}

static void give_up(struct side *side, struct vq *q, uint64_t reason) {
    if (reason == SOUND || reason > SIDE_FAILED) reason = SIDE_FAILED;
    if (is_driver(side))
        driver_broken(q, (enum reason)reason);
    else
        device_broken(q, (enum reason)reason);
}

/* The largest size that a device can go round at which is not larger than `wanted` and the queue's. */
static uint64_t size_of(const struct vq *q, uint64_t wanted) {
    uint64_t size = wanted && wanted < q->size ? wanted : q->size;
    while (!q->packed && size & (size - 1)) size &= size - 1; /* split: a power of two (2.7) */
    return size;
}

bool fault_serves(struct side *side, struct vq *q) {
    struct door *door = &side->door;
    uint64_t value;
    if (fault_meets(door, FAULT_IGNORE, &value)) return false;
    bool broken = is_driver(side) ? q->drv.broken : q->dev.broken;
    if (!broken && fault_meets(door, FAULT_BREAK, &value)) give_up(side, q, value);
    if (!is_driver(side) && present(door, FAULT_WRONG_SIZE))
        count_put(&q->dev.size, fault_meets(door, FAULT_WRONG_SIZE, &value) ? size_of(q, value) : q->size);
    bool own = own_work(side, q);
    if (own)
        *hushed(side, q) = true; /* it may wait there for the other side: it asks again before it sleeps */
    return own || side->polling || *told(side, q);
}

void fault_served(struct side *side, struct vq *q, uint32_t moved) {
    if (!moved || (!is_driver(side) && q->dev.budget == 0)) *told(side, q) = false;
}

bool fault_told(struct side *side, struct vq *q, uint64_t notifications) {
    struct door *door = &side->door;
    uint64_t value;
    if (!notifications || fault_meets(door, is_driver(side) ? FAULT_EAT_CALL : FAULT_EAT_KICK, &value))
        return false;
    *told(side, q) = true;
    if (!is_driver(side))
        q->dev.budget = fault_meets(door, FAULT_STOP_EARLY, &value) ? (uint32_t)value : UINT32_MAX;
    return true;
}

void fault_look_everywhere(struct side *side) {
    for (uint32_t i = 0; i < side->pair->queues; i++) *told(side, &side->pair->queue[i]) = true;
}

bool fault_deaf(struct side *side, struct vq *q) {
    side->door.queue = q->index;
    return fault_acts(&side->door, is_driver(side) ? FAULT_DEAF_CALL : FAULT_DEAF_KICK);
}

bool fault_hushes(struct side *side, struct vq *q) {
    if (!side->polling && !*told(side, q)) return false;
    *hushed(side, q) = true;
    return true;
}

bool fault_hushed(struct side *side, struct vq *q) {
    bool was = *hushed(side, q);
    *hushed(side, q) = false;
    /* A device asks for kicks of receive buffers only while a frame waits: that may begin at any time. */
    return was || (!is_driver(side) && q->role == ROLE_RECEIVE);
}

static bool is_full(const struct vq *q) { return count_get(&q->drv.published) - q->dev.seen == q->size; }

/* The fault of this kind and value at the door's queue. */
static bool present_with(const struct door *door, enum fault_kind kind, uint64_t value) {
    const struct pair *pair = door->owner;
    for (uint32_t i = 0; i < pair->faults; i++) {
        const struct fault *f = &pair->fault[i];
        if (f->kind == kind && f->value == value && f->side == door->side &&
            (f->queue == 0xffff || f->queue == door->queue) && count_peek(&f->hits))
            return true;
    }
    return false;
}

bool fault_looks(struct side *side, struct vq *q, bool again) {
    const struct door *door = &side->door;
    if (!is_driver(side) && q->dev.budget == 0 && present(door, FAULT_STOP_EARLY)) return false;
    if (!is_driver(side) &&
        (present_with(door, FAULT_BLIND, 3) || (present_with(door, FAULT_BLIND, 2) && is_full(q))))
        return false;
    if (is_driver(side) && present_with(door, FAULT_NO_COLLECT, 2)) return false;
    if (again) *told(side, q) = true;
    return again;
}

/* ---- what a device takes ---------------------------------------------------------------------------- */

uint32_t fault_take(struct vq *q, uint32_t count) {
    struct door *door = q->dev.door;
    uint64_t value;
    if (fault_meets(door, FAULT_BLIND, &value)) return 0;
    if (!present(door, FAULT_STOP_EARLY)) return count;
    return count < q->dev.budget ? count : q->dev.budget;
}

void fault_took(struct vq *q, uint32_t count) {
    if (present(q->dev.door, FAULT_STOP_EARLY) && q->dev.budget != UINT32_MAX) q->dev.budget -= count;
}

/* ---- and gives back --------------------------------------------------------------------------------- */

static void keep(struct vq *q, const struct done *done) {
    if (q->dev.kept_count < q->size) q->dev.kept[q->dev.kept_count++] = *done;
}

uint32_t fault_done(struct vq *q, const struct done *done, uint32_t count, struct done *room) {
    struct device_half *dev = &q->dev;
    struct door *door = dev->door;
    uint32_t n = 0;
    uint64_t value;
    for (uint32_t i = 0; i < count; i++) {
        struct done d = done[i];
        /* In order nothing overtakes what is held (2.7.9, 2.8.9). */
        bool behind = q->in_order && dev->kept_count && present(door, FAULT_HOLD);
        if (behind || fault_meets(door, FAULT_HOLD, &value)) {
            keep(q, &d);
            continue;
        }
        if (fault_meets(door, FAULT_LEAK, &value)) {
            count_put(&dev->holding, dev->holding - 1);
            continue;
        }
        if (!dev->overtaken && fault_meets(door, FAULT_REORDER, &value)) {
            dev->overtaken = true;
            dev->later = d;
            continue;
        }
        if (fault_meets(door, FAULT_WRONG_ID, &value)) d.id ^= (uint16_t)value;
        if (fault_meets(door, FAULT_WRONG_LENGTH, &value)) {
            d.length = (uint32_t)value;
            d.writable = true;
        }
        room[n++] = d;
        if (dev->overtaken) {
            dev->overtaken = false;
            room[n++] = dev->later;
        } else if (fault_meets(door, FAULT_TWICE, &value)) {
            count_put(&dev->holding, dev->holding + 1);
            dev->slots_out += d.slots;
            room[n++] = d;
        }
    }
    return n;
}

void fault_completed(struct vq *q) {
    uint64_t value;
    if (fault_meets(q->dev.door, FAULT_MISCOUNT, &value)) count_put(&q->dev.holding, q->dev.holding + value);
}

void fault_let_go(struct vq *q) {
    struct device_half *dev = &q->dev;
    struct done batch[SPAN];
    if (faulty(dev->door) && present(dev->door, FAULT_HOLD)) return;
    uint32_t n = dev->kept_count;
    dev->kept_count = 0;
    for (uint32_t at = 0; at < n; at += SPAN) {
        uint32_t some = n - at < SPAN ? n - at : SPAN;
        memcpy(batch, dev->kept + at, some * sizeof batch[0]);
        q->ops->complete(q, batch, some, false);
    }
    q->ops->flush(q);
    notify_call(q);
}

/* ---- the driver ------------------------------------------------------------------------------------- */

bool fault_spins(struct side *side) {
    for (uint32_t i = 0; i < side->pair->queues; i++) {
        side->door.queue = (uint16_t)i;
        if (!fault_acts(&side->door, FAULT_SPIN)) continue;
        sched_yield();
        return true;
    }
    return false;
}

uint32_t fault_pending(struct vq *q, uint32_t pending) {
    struct driver_half *drv = &q->drv;
    uint64_t value;
    if (fault_meets(drv->door, FAULT_NO_COLLECT, &value)) return 0;
    if (pending == 0 && drv->published != drv->collected && fault_meets(drv->door, FAULT_READ_UNUSED, &value))
        return 1;
    return pending;
}

uint16_t fault_reused(struct vq *q, uint16_t id) {
    struct driver_half *drv = &q->drv;
    uint64_t value;
    if (drv->added == drv->collected || !fault_meets(drv->door, FAULT_REUSE_ID, &value)) return id;
    return (uint16_t)(drv->place[drv->collect_at] >> (q->packed ? 32 : 0));
}

void fault_overwrite(struct vq *q) {
    struct driver_half *drv = &q->drv;
    uint64_t value;
    if (drv->published == drv->collected || !fault_meets(drv->door, FAULT_OVERWRITE, &value)) return;
    uint64_t newest = (drv->collect_at + drv->published - drv->collected - 1) % q->size;
    uint16_t head = (uint16_t)drv->place[newest];
    uint64_t *word = q->desc + 2 * head + 1;
    release64(drv->door, word, observe64(word) ^ (value & 0xffffffff)); /* its length */
}

void fault_base(struct pair *pair, struct vq *q) {
    struct door *door = &pair->device.door;
    uint64_t value;
    door->queue = q->index;
    if (!faulty(door) || !fault_meets(door, FAULT_WRONG_BASE, &value)) return;
    uint64_t at = q->dev.last_avail + value;
    own16(&q->dev.last_avail, (uint16_t)(q->packed ? at % q->size : at));
    q->dev.avail_cached = q->dev.last_avail;
}

void fault_base_said(struct pair *pair, struct vq *q, struct ring_place *at) {
    struct door *door = &pair->device.door;
    uint64_t value;
    door->queue = q->index;
    if (!faulty(door) || !fault_meets(door, FAULT_WRONG_BASE, &value)) return;
    if (!q->packed)
        at->avail = (uint16_t)(at->avail + value);
    else if (advance(q, &at->avail, (uint32_t)(value % q->size)))
        at->avail_wrap ^= 1;
}

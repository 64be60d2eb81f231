/* own.c: see own.h. */
#include "own.h"

#include <string.h>

static uint64_t outstanding(const struct flight *f) { return f->live ? f->position + 1 : 0; }
static uint64_t place(const struct flight *f) { return f->head | (uint64_t)f->slots << 16; }

void own_take(struct pair *pair, struct vq *q, struct own *to) {
    snapshot_driver(&to->driver, pair, q);
    snapshot_device(&to->device, pair, q);
    for (uint32_t i = 0; i < q->size; i++) {
        const struct flight *f = &q->drv.flight[i];
        to->ids[i] =
            (struct own_id){outstanding(f), place(f), is_taken(q, (uint16_t)i), peek8(q->dev.skipped + i)};
    }
}

void own_begin(struct pair *pair) {
    for (uint32_t i = 0; i < pair->queues; i++)
        if (pair->queue[i].own) own_take(pair, &pair->queue[i], pair->queue[i].own);
}

/* One word: told where it differs. */
static void tell(struct door *door, struct vq *q, uint64_t *word, uint64_t now) {
    if (*word == now) return;
    door_own(door, q->index, (uint64_t)((uint8_t *)word - (uint8_t *)q->own), *word, now);
    *word = now;
}

void own_driver_id(struct vq *q, uint16_t id) {
    const struct flight *f = &q->drv.flight[id];
    tell(q->drv.door, q, &q->own->ids[id].outstanding, outstanding(f));
    tell(q->drv.door, q, &q->own->ids[id].place, place(f));
}

void own_driver_ids(struct vq *q, uint64_t from, uint64_t to) {
    uint64_t at = (q->drv.add_at + q->size - (to - from) % q->size) % q->size; /* add_at is already behind */
    for (; from < to; from++, at = at + 1 == q->size ? 0 : at + 1)
        own_driver_id(q, (uint16_t)(q->drv.place[at] >> 32));
}

void own_device_id(struct vq *q, uint16_t id) {
    if (id < q->size) tell(q->dev.door, q, &q->own->ids[id].taken, is_taken(q, id));
}

void own_used_slots(struct vq *q, uint32_t from, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = (from + i) % q->size;
        tell(q->dev.door, q, &q->own->ids[slot].skipped, peek8(q->dev.skipped + slot));
    }
}

static void queue_words(struct door *door, struct pair *pair, struct vq *q) {
    uint64_t now[sizeof(struct driver_state) / 8];
    _Static_assert(sizeof(struct driver_state) >= sizeof(struct device_state), "one array for both");
    if (!q->own) return;
    uint64_t *told = door->side ? (uint64_t *)&q->own->device : (uint64_t *)&q->own->driver;
    size_t words = door->side ? sizeof(struct device_state) / 8 : sizeof(struct driver_state) / 8;
    if (door->side)
        snapshot_device((struct device_state *)now, pair, q);
    else
        snapshot_driver((struct driver_state *)now, pair, q);
    for (size_t i = 0; i < words; i++) tell(door, q, told + i, now[i]);
}

/* Falling asleep and waking concern every queue of a side; any other event its own. */
void own_words(struct door *door, enum event_kind kind) {
    struct pair *pair = door->owner;
    if (kind != EV_WAIT && kind != EV_WAKE) {
        queue_words(door, pair, &pair->queue[door->queue]);
        return;
    }
    for (uint32_t i = 0; i < pair->queues; i++) queue_words(door, pair, &pair->queue[i]);
}

/* ring.c: what both layouts share: the private arrays of the two halves, start, and giving up. */
#include "own.h"

#include <stdlib.h>
#include <string.h>

uint64_t ring_desc_bytes(uint32_t size) { return 16ull * size; }
uint64_t ring_driver_bytes(uint32_t size, bool packed) { return packed ? 4 : 6 + 2ull * size; }
uint64_t ring_device_bytes(uint32_t size, bool packed) { return packed ? 4 : 6 + 8ull * size; }

int ring_init(struct vq *q) {
    struct driver_half *drv = &q->drv;
    struct device_half *dev = &q->dev;
    q->ops = q->packed ? &packed_ops : &split_ops;
    drv->shadow = calloc(q->size, sizeof *drv->shadow);
    drv->next_free = calloc(q->size, sizeof *drv->next_free);
    drv->next_id = calloc(q->size, sizeof *drv->next_id);
    drv->avail_shadow = calloc(q->size, sizeof *drv->avail_shadow);
    drv->flight = calloc(q->size, sizeof *drv->flight);
    drv->place = calloc(q->size, sizeof *drv->place);
    dev->taken = calloc(1u << 16, 1);
    dev->heads = calloc(1u << 16, sizeof *dev->heads);
    dev->skipped = calloc(q->size, 1);
    dev->kept = calloc(q->size, sizeof *dev->kept);
    dev->arena_size = 2 * q->size + 4 * BURST;
    dev->arena = calloc(dev->arena_size, sizeof *dev->arena);
    q->own = calloc(1, own_bytes(q->size));
    if (drv->shadow && drv->next_free && drv->next_id && drv->avail_shadow && drv->flight && drv->place &&
        dev->taken && dev->heads && dev->skipped && dev->kept && dev->arena && q->own)
        return 0;
    ring_free(q);
    return -1;
}

void ring_free(struct vq *q) {
    free(q->drv.shadow);
    free(q->drv.next_free);
    free(q->drv.next_id);
    free(q->drv.avail_shadow);
    free(q->drv.flight);
    free(q->drv.place);
    free(q->dev.taken);
    free(q->dev.heads);
    free(q->dev.skipped);
    free(q->dev.kept);
    free(q->dev.arena);
    free(q->own);
    q->own = NULL;
    q->drv.shadow = NULL;
    q->drv.next_free = q->drv.next_id = q->drv.avail_shadow = NULL;
    q->drv.flight = NULL;
    q->drv.place = NULL;
    q->dev.taken = q->dev.skipped = NULL;
    q->dev.kept = NULL;
    q->dev.heads = NULL;
    q->dev.arena = NULL;
}

static void forget(struct vq *q) {
    struct driver_half *drv = &q->drv;
    struct device_half *dev = &q->dev;
    memset(drv->shadow, 0, q->size * sizeof *drv->shadow);
    memset(drv->avail_shadow, 0, q->size * sizeof *drv->avail_shadow);
    memset(drv->flight, 0, q->size * sizeof *drv->flight);
    memset(dev->taken, 0, 1u << 16);
    for (uint32_t i = 0; i < q->size; i++) {
        count_put(drv->place + i, 0);
        own8(dev->skipped + i, 0);
        drv->next_free[i] = drv->next_id[i] = (uint16_t)((i + 1) % q->size);
    }
    drv->free_head = drv->id_head = 0;
    drv->free_tail = drv->id_tail = (uint16_t)(q->size - 1);
    count_put(&drv->free, q->size);
    drv->added = 0;
    drv->add_at = drv->collect_at = 0;
    drv->pending_at = NULL;
    drv->unmoved = dev->unmoved = drv->slots_added = dev->slots_done = 0;
    drv->ids_free = q->size;
    drv->batch_left = 0;
    count_put(&drv->reordered, 0);
    count_set(&drv->broken, SOUND);
    count_set(&dev->broken, SOUND);
    dev->completed = 0;
    dev->pending_at = NULL;
    dev->arena_used = dev->slots_out = 0;
    count_put(&dev->holding, 0);
    drv->kick.answer = dev->call.answer = 0;
    count_put(&drv->backlog, 0);
    count_put(&dev->backlog, 0);
    count_put(&drv->kick.told, 0);
    count_put(&dev->call.told, 0);
    count_put(&drv->kick.reached, 0);
    count_put(&dev->call.reached, 0);
    count_put(&drv->kick.heard, 0);
    count_put(&dev->call.heard, 0);
    count_put(&dev->size, q->size);
    drv->told = drv->hushed = dev->told = dev->hushed = true;
    dev->budget = UINT32_MAX;
    dev->kept_count = 0;
    dev->overtaken = false;
    count_set(&drv->published, 0);
    count_set(&drv->shown, 0);
    count_set(&dev->shown, 0);
    count_set(&drv->collected, 0);
    count_set(&dev->seen, 0);
    count_set(&dev->used, 0);
}

/* Ring memory is written with plain stores of natural width: neither side may run meanwhile. */
void ring_start(struct vq *q, uint16_t index, uint16_t wrap) {
    for (uint32_t i = 0; i < 2 * q->size; i++) publish64(q->desc + i, 0);
    for (uint32_t i = 0; i < ring_driver_bytes(q->size, q->packed) / 2; i++) publish16(q->driver_area + i, 0);
    for (uint32_t i = 0; i < ring_device_bytes(q->size, q->packed) / 2; i++) publish16(q->device_area + i, 0);
    forget(q);
    q->ops->start(q, index, wrap);
    count_set(&q->generation, q->generation + 1);
}

void ring_attach(struct vq *q, const struct ring_place *from) {
    forget(q);
    q->ops->attach(q, from);
    count_set(&q->generation, q->generation + 1);
}

void driver_broken(struct vq *q, enum reason reason) {
    if (q->drv.broken) return;
    count_set(&q->drv.broken, reason);
    operation(q->drv.door, EV_BROKEN, 0, 0, 0, 0, reason);
}

void device_broken(struct vq *q, enum reason reason) {
    if (q->dev.broken) return;
    count_set(&q->dev.broken, reason);
    operation(q->dev.door, EV_BROKEN, 0, 0, 0, 0, reason);
}

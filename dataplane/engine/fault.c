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

/* Where in a queue an address lies: its area and entry. */
static enum area area_of(const struct vq *q, uint64_t address, uint32_t *entry) {
    uint64_t at = address - q->desc_address;
    *entry = (uint32_t)(at / 16);
    if (at < ring_desc_bytes(q->size)) return at % 16 ? AREA_DESC_FLAGS : AREA_DESC_ADDR;
    at = address - q->driver_address;
    if (at < ring_driver_bytes(q->size, q->packed))
        return q->packed ? (*entry = 0, AREA_DRIVER_EVENT) : ring_area(q, at, false, entry);
    at = address - q->device_address;
    if (at < ring_device_bytes(q->size, q->packed))
        return q->packed ? (*entry = 0, AREA_DEVICE_EVENT) : ring_area(q, at, true, entry);
    *entry = (uint32_t)((address - q->drv.tables_address) / 16);
    return AREA_TABLES;
}

static bool concerns(const struct fault *f, const struct door *door, enum area area, uint32_t entry) {
    if (f->side != door->side || (f->queue != 0xffff && f->queue != door->queue)) return false;
    if (f->entry != ANY_ENTRY && f->entry != entry) return false;
    if (f->area == AREA_DESC) return area == AREA_DESC_ADDR || area == AREA_DESC_FLAGS;
    return f->area == ANY_AREA || f->area == area;
}

/* Its turn: neither among the first that pass nor used up. */
static bool due(struct fault *f) {
    uint64_t nth = ticket_take(&f->matched);
    if (nth < f->after || (f->count && nth >= (uint64_t)f->after + f->count)) return false;
    ticket_take(&f->hits);
    return true;
}

uint32_t fault_add(struct pair *pair, const struct fault *fault) {
    if (pair->faults == FAULTS_MAX) return 0;
    struct fault *f = &pair->fault[pair->faults++];
    *f = *fault;
    f->id = ++pair->fault_id;
    f->matched = f->hits = 0;
    pair_arm(pair, ARM_FAULT, 0);
    return f->id;
}

bool fault_remove(struct pair *pair, uint32_t id) {
    uint32_t kept = 0, before = pair->faults;
    for (uint32_t i = 0; i < before; i++)
        if (id && pair->fault[i].id != id) pair->fault[kept++] = pair->fault[i];
    pair->faults = kept;
    if (!kept) {
        /* Ungated: both sides rest, and this thread is neither. */
        uint32_t gate = armed(&pair->driver.door) & ARM_GATE;
        pair_arm(pair, 0, ARM_GATE);
        fault_release(&pair->driver.door, true);
        fault_release(&pair->device.door, true);
        pair_arm(pair, gate, ARM_FAULT);
    }
    return kept < before;
}

bool fault_store(struct door *door, void *to, uint64_t *value, unsigned width) {
    struct pair *pair = door->owner;
    uint64_t address = memory_address(door->memory, to);
    uint32_t entry;
    enum area area = area_of(&pair->queue[door->queue], address, &entry);
    for (uint32_t i = 0; i < pair->faults; i++) {
        struct fault *f = &pair->fault[i];
        if (f->kind > FAULT_CORRUPT_STORE || !concerns(f, door, area, entry) || !due(f)) continue;
        if (f->kind == FAULT_DELAY_STORE) {
            if (door->held_count == HELD_MAX) return false;
            door->held[door->held_count++] =
                (struct held_store){to, *value, width, f->value ? (uint32_t)f->value + 1 : 2, door->queue};
        }
        if (f->kind == FAULT_CORRUPT_STORE)
            *value ^= f->value & (width == 8 ? ~0ull : (1ull << 8 * width) - 1);
        door_fault(door, f->id, f->kind, address, *value, width);
        return f->kind != FAULT_CORRUPT_STORE;
    }
    return false;
}

void fault_release(struct door *door, bool all) {
    uint16_t queue = door->queue;
    uint32_t n = door->held_count, kept = 0;
    struct held_store held[HELD_MAX];
    if (n == 0) return;
    memcpy(held, door->held, n * sizeof held[0]);
    for (uint32_t i = 0; i < n; i++)
        if (!all && held[i].left > 1) {
            held[i].left--;
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

bool fault_notice(struct door *door, enum event_kind kind) {
    struct pair *pair = door->owner;
    enum fault_kind wanted = kind == EV_KICK ? FAULT_LOSE_KICK : FAULT_LOSE_CALL;
    for (uint32_t i = 0; i < pair->faults; i++) {
        struct fault *f = &pair->fault[i];
        if (f->kind != wanted || !concerns(f, door, ANY_AREA, ANY_ENTRY) || !due(f)) continue;
        door_fault(door, f->id, f->kind, 0, 0, 0);
        return true;
    }
    return false;
}

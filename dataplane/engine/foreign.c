/* foreign.c: see foreign.h. Whatever changes memory or queues first brings our side to rest. */
#define _GNU_SOURCE
#include "foreign.h"

#include "breaks.h"
#include "fault.h"
#include "logged.h"
#include "observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- changes ---------------------------------------------------------------------------------------- */

static bool begin(struct pair *pair) {
    bool was_running = pair_rest(pair);
    pthread_mutex_lock(&pair->life);
    return was_running;
}

static void end(struct pair *pair, bool was_running) {
    pthread_mutex_unlock(&pair->life);
    pair_look(pair);
    pair_resume(pair, was_running);
}

/* Whether pages are logged from now on. */
static void set_dirty(struct pair *pair) {
    const struct dirty *dirty = pair->dirty.on && pair->dirty.log.mapped ? &pair->dirty : NULL;
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        q->dirty = dirty;
        if (q->desc && !pair_observed(pair)) logged_choose(q);
    }
}

void foreign_features(struct pair *pair, uint64_t features, uint8_t status) {
    bool was_running = begin(pair);
    uint64_t old = count_get(&pair->status);
    pair->packed = has_feature(features, F_RING_PACKED);
    for (uint32_t i = 0; i < pair->queues; i++) pair->queue[i].packed = pair->packed;
    pair->dirty.on = has_feature(features, F_LOG_ALL);
    set_dirty(pair);
    count_set(&pair->accepted, features);
    count_set(&pair->status, status);
    door_note(&pair->driver.door, EV_FEATURES, 0, pair->offered, features);
    if (old != status) door_note(&pair->driver.door, EV_STATUS, 0, old, status);
    end(pair, was_running);
}

int foreign_map(struct pair *pair, uint64_t address, uint64_t user, uint64_t size, int fd,
                uint64_t file_offset) {
    bool was_running = begin(pair);
    int error = memory_map(&pair->memory, address, user, size, fd, file_offset, !pair_observed(pair));
    end(pair, was_running);
    return error;
}

void foreign_device(struct pair *pair, uint32_t device_id) {
    bool was_running = begin(pair);
    for (uint32_t i = 0; i < pair->queues; i++)
        pair->queue[i].role = device_id == BLOCK_DEVICE ? ROLE_REQUEST : pair_role(pair, i);
    end(pair, was_running);
}

void foreign_pairs(struct pair *pair, uint32_t pairs) {
    bool was_running = begin(pair);
    flag_set(&pair->pairs, pairs);
    end(pair, was_running);
}

static bool inside(const struct region *r, const void *p) {
    return (const uint8_t *)p >= r->host && (const uint8_t *)p < r->host + r->size;
}

static bool in_use(const struct pair *pair, uint64_t address, uint64_t user, uint64_t size) {
    for (unsigned i = 0; i < pair->memory.regions; i++) {
        const struct region *r = &pair->memory.region[i];
        if (r->address != address || r->user != user || r->size != size) continue;
        for (uint32_t k = 0; k < pair->queues; k++) {
            const struct vq *q = &pair->queue[k];
            if (q->desc && (inside(r, q->desc) || inside(r, q->driver_area) || inside(r, q->device_area)))
                return true;
        }
    }
    return false;
}

/* What the device holds may lie in memory that goes: nothing of it is touched again before it is taken anew.
 */
static void put_back(struct vq *q) {
    if (!q->desc || q->dev.broken || !q->dev.door) return;
    struct memory_guard guard;
    memory_watch(&guard);
    if (sigsetjmp(guard.back, 0)) /* the in-flight region */
        device_broken(q, MEMORY_GONE);
    else
        net_hand_back(q);
    memory_unwatch();
}

int foreign_unmap(struct pair *pair, uint64_t address, uint64_t user, uint64_t size) {
    bool was_running = begin(pair);
    int error = 0;
    for (uint32_t i = 0; i < pair->queues; i++) put_back(&pair->queue[i]);
    if (in_use(pair, address, user, size))
        error = EBUSY;
    else if (!memory_unmap(&pair->memory, address, user, size))
        error = ENOENT;
    end(pair, was_running);
    return error;
}

static void close_fd(struct notes *notes) {
    if (notes->fd >= 0) close(notes->fd);
    notes->fd = -1;
}

static void take_fd(struct notes *notes, int fd) {
    close_fd(notes);
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : 0;
    notes->blocks = fd >= 0 && !(flags & O_NONBLOCK);
    notes->fd = fd;
}

static void queue_stop(struct vq *q) {
    flag_set(&q->enabled, 0);
    ring_free(q);
    free(q->dev.hand);
    free(q->observer);
    inflight_close(q);
    q->dev.hand = NULL;
    q->observer = NULL;
    q->desc = NULL;
    q->driver_area = q->device_area = NULL;
    close_fd(&q->drv.kick);
    close_fd(&q->dev.call);
}

static uint64_t guest_address(const struct pair *pair, uint64_t user) {
    uint8_t *host = memory_of_user(&pair->memory, user, 1);
    return host ? memory_address(&pair->memory, host) : 0;
}

static int find_areas(struct pair *pair, struct vq *q, const struct foreign_queue *given) {
    const struct memory *m = &pair->memory;
    uint8_t *desc = memory_of_user(m, given->desc, ring_desc_bytes(given->size)),
            *driver = memory_of_user(m, given->driver, ring_driver_bytes(given->size, pair->packed)),
            *device = memory_of_user(m, given->device, ring_device_bytes(given->size, pair->packed));
    if (!desc || !driver || !device) return EFAULT;
    if ((uintptr_t)desc % 16 || (uintptr_t)driver % (pair->packed ? 4 : 2) || (uintptr_t)device % 4)
        return EINVAL;
    q->desc = (uint64_t *)(void *)desc;
    q->driver_area = (uint16_t *)(void *)driver;
    q->device_area = (uint16_t *)(void *)device;
    q->desc_address = guest_address(pair, given->desc);
    q->driver_address = guest_address(pair, given->driver);
    q->device_address = guest_address(pair, given->device);
    return 0;
}

int foreign_inflight(struct pair *pair, int fd, uint64_t file_offset, uint64_t bytes, uint32_t queues,
                     uint32_t entries) {
    bool was_running = begin(pair);
    struct region found;
    int error = queues * inflight_bytes(entries, pair->packed) > bytes ? EINVAL : 0;
    for (uint32_t i = 0; i < pair->queues; i++)
        if (pair->queue[i].desc) error = EBUSY;
    if (!error) error = region_open(&found, bytes, fd, file_offset, true);
    if (!error) {
        region_close(&pair->inflight);
        pair->inflight = found;
        pair->inflight_queues = queues;
        pair->inflight_entries = entries;
    }
    end(pair, was_running);
    return error;
}

int foreign_dirty(struct pair *pair, int fd, uint64_t file_offset, uint64_t bytes) {
    bool was_running = begin(pair);
    struct region found;
    int error = region_open(&found, bytes, fd, file_offset, true);
    if (!error) {
        region_close(&pair->dirty.log);
        pair->dirty.log = found;
        set_dirty(pair);
    }
    end(pair, was_running);
    return error;
}

void foreign_forget(struct pair *pair) {
    bool was_running = begin(pair);
    pair->dirty.on = false;
    set_dirty(pair);
    region_close(&pair->dirty.log);
    region_close(&pair->inflight);
    end(pair, was_running);
}

/* Our own words over a ring that is in use: what is known of it says where we go on. */
static int attach(struct pair *pair, struct vq *q, struct ring_place from) {
    uint64_t part = inflight_bytes(pair->inflight_entries, pair->packed);
    if (pair->inflight.mapped && q->index < pair->inflight_queues) {
        int error = inflight_open(q, pair->inflight.host + q->index * part, pair->inflight_entries, &from);
        if (error) return error;
    }
    if (!pair_observed(pair)) logged_choose(q);
    ring_attach(q, &from);
    return 0;
}

int foreign_start(struct pair *pair, uint32_t index, const struct foreign_queue *given) {
    struct vq *q = &pair->queue[index];
    bool was_running = begin(pair);
    queue_stop(q);
    q->size = given->size;
    q->memory = &pair->memory;
    q->event_idx = accepted(pair, F_EVENT_IDX);
    q->indirect = accepted(pair, F_INDIRECT_DESC);
    q->in_order = accepted(pair, F_IN_ORDER);
    q->drv.door = &pair->driver.door;
    q->dev.door = &pair->device.door;
    q->used_log = given->used_log;
    volatile int error = find_areas(pair, q, given);
    if (!error) {
        q->dev.hand = calloc(1, net_hand_bytes());
        if (!q->dev.hand || ring_init(q) || snapshot_make_room(pair, q->size) ||
            (pair_observed(pair) && observe_open(q)))
            error = ENOMEM;
    }
    if (!error) {
        struct memory_guard guard;
        memory_watch(&guard);
        if (sigsetjmp(guard.back, 0)) /* the file is shorter than it was a moment ago */
            device_broken(q, MEMORY_GONE);
        else
            error = attach(pair, q, given->from);
        if (!error && !q->dev.broken && q->observer) observe_attach(q);
        memory_unwatch();
    }
    if (error) {
        queue_stop(q);
        if (given->kick >= 0) close(given->kick);
        if (given->call >= 0) close(given->call);
    } else {
        take_fd(&q->drv.kick, given->kick);
        take_fd(&q->dev.call, given->call);
        flag_set(&q->passive, given->passive);
        flag_set(&q->enabled, 1);
        pair->device.begun = false;
        breaks_queue_reset(pair, index);
        door_note(&pair->driver.door, EV_QUEUE_RESET, index, 0, q->generation);
    }
    end(pair, was_running);
    return error;
}

void foreign_stop(struct pair *pair, uint32_t index, struct ring_place *at) {
    struct vq *q = &pair->queue[index];
    bool was_running = begin(pair);
    put_back(q);
    *at = (struct ring_place){q->dev.last_avail, q->dev.used_idx, q->dev.avail_wrap, q->dev.used_wrap};
    if (q->inflight) inflight_place(q, at);
    fault_base_said(pair, q, at);
    queue_stop(q);
    end(pair, was_running);
}

void foreign_passive(struct pair *pair, uint32_t index, bool passive) {
    bool was_running = begin(pair);
    flag_set(&pair->queue[index].passive, passive);
    end(pair, was_running);
}

void foreign_notify(struct pair *pair, uint32_t index, bool call, int fd) {
    struct vq *q = &pair->queue[index];
    bool was_running = begin(pair);
    take_fd(call ? &q->dev.call : &q->drv.kick, fd);
    end(pair, was_running);
}

void foreign_gone(struct side *side) {
    struct pair *pair = side->pair;
    side->door.batching = false;
    side->door.batched = side->door.batched_stores = 0;
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        if (!flag_get(&q->enabled)) continue;
        side->door.queue = q->index;
        device_broken(q, MEMORY_GONE);
        flag_set(&q->enabled, 0);
    }
}

/* ---- what the other side did ------------------------------------------------------------------------ */

/* The buffers of a free-running 16-bit index as read, `known` of which we had counted before that. */
static uint64_t lift(uint64_t known, uint16_t start, uint16_t index, uint32_t size) {
    uint16_t ahead = (uint16_t)(index - (uint16_t)(known + start));
    return ahead <= size ? known + ahead : known;
}

#define HEADS_LOOKED_AT 4096u

/* Lists that begin at a slot and look available (used: used) to whoever goes on there. */
static uint64_t lists(struct vq *q, uint16_t at, uint16_t wrap, bool used) {
    uint64_t n = 0;
    for (uint32_t i = 0, list = 0; i < q->size && i < HEADS_LOOKED_AT; i++) {
        uint16_t flags = (uint16_t)(observe64(q->desc + 2 * at + 1) >> 48);
        uint16_t a = (flags & DESC_AVAIL) != 0, u = (flags & DESC_USED) != 0;
        if (!list && (used ? a != wrap || u != wrap : a != wrap || u == wrap)) break;
        list = !used && flags & DESC_NEXT;
        n += !list;
        if (++at == q->size) at = 0, wrap ^= 1;
    }
    return n;
}

uint64_t foreign_published(struct vq *q) {
    uint64_t seen = count_get(&q->dev.seen);
    if (q->packed) return seen + lists(q, peek16(&q->dev.last_avail), peek16(&q->dev.avail_wrap), false);
    return lift(seen, q->start_index, observe16(avail_idx(q)), q->size);
}

uint64_t foreign_used(struct vq *q) {
    uint64_t collected = count_get(&q->drv.collected);
    if (q->packed) return collected + lists(q, peek16(&q->drv.last_used), peek16(&q->drv.used_wrap), true);
    return lift(collected, q->start_index, observe16(used_idx(q)), q->size);
}

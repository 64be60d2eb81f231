/* pair.c: a driver and a device over one memory: how they come up, run, rest and end. */
#define _GNU_SOURCE
#include "breaks.h"
#include "fault.h"
#include "inflight.h"
#include "observe.h"
#include "own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REST_MS 5000u

/* ---- making ----------------------------------------------------------------------------------------- */

static int side_init(struct pair *pair, struct side *side, uint8_t number) {
    side->pair = pair;
    side->door = (struct door){.armed = ARM_OPERATIONS,
                               .side = number,
                               .trace = &pair->trace,
                               .gate = &pair->gate,
                               .memory = &pair->memory,
                               .owner = pair};
    side->wake_fd = notify_open();
    side->door.batch = calloc(BATCH_MAX, sizeof *side->door.batch);
    side->frame = malloc(NET_HEADER_LENGTH + NET_FRAME_MAX + 64);
    return side->wake_fd < 0 || !side->frame || !side->door.batch ||
                   port_init(&side->port, number, &pair->clock)
               ? -1
               : 0;
}

static void side_free(struct side *side) {
    port_free(&side->port);
    free(side->frame);
    free(side->door.batch);
    side->door.batch = NULL;
    side->frame = NULL;
    if (side->wake_fd >= 0) close(side->wake_fd);
    side->wake_fd = -1;
}

int pair_init(struct pair *pair, const struct pair_options *o) {
    memset(pair, 0, sizeof *pair);
    pair->driver.wake_fd = pair->device.wake_fd = -1;
    pair->driver.port.fd = pair->device.port.fd = -1;
    pthread_mutex_init(&pair->life, NULL);
    pthread_mutexattr_t again;
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&pair->change, &again);
    pthread_mutexattr_destroy(&again);
    pthread_mutex_init(&pair->command_lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pair->command_done, &attributes);
    pthread_condattr_destroy(&attributes);
    gate_init(&pair->gate);
    pair->bare = o->bare;
    pair->packed = o->packed;
    pair->offered = o->offered;
    pair->mtu = o->mtu;
    pair->buffer_bytes = o->buffer_bytes;
    pair->start_index = o->start_index;
    pair->start_wrap = o->start_wrap;
    pair->scratch_bytes = o->scratch_bytes;
    pair->pairs_max = o->bare ? 0 : o->pairs;
    pair->pairs = 1;
    pair->driver_theirs = o->driver_theirs;
    pair->device_theirs = o->device_theirs;
    pair->level = 1;
    pair->queues = o->bare ? o->queues : 2 * o->pairs + 1;
    pair->net_status = NET_S_LINK_UP;
    memcpy(pair->mac, (const uint8_t[6]){0x52, 0x54, 0, 0, 0, 1}, 6);
    filter_reset(pair);
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        q->index = (uint16_t)i;
        q->packed = o->packed;
        q->role = pair_role(pair, i);
        q->size = q->role == ROLE_CONTROL ? o->control_size : o->size;
        q->drv.kick.fd = q->dev.call.fd = -1;
        q->drv.path = o->path;
        q->driver_theirs = o->driver_theirs;
        q->device_theirs = o->device_theirs;
    }
    pair->clock = (struct play_clock){.speed = 1.0, .stopped = true, .next = {UINT64_MAX, UINT64_MAX}};
    pair->fault = calloc(FAULTS_MAX, sizeof *pair->fault);
    if (snapshot_make_room(pair, o->size) || snapshot_make_room(pair, o->control_size) || !pair->fault ||
        trace_init(&pair->trace, o->trace_events, o->frame_bytes) || side_init(pair, &pair->driver, 0) ||
        side_init(pair, &pair->device, 1)) {
        pair_free(pair);
        errno = ENOMEM;
        return -1;
    }
    return 0;
}

static void queue_close(struct pair *pair, struct vq *q) {
    ring_free(q);
    inflight_close(q);
    free(q->dev.hand);
    free(q->observer);
    q->dev.hand = NULL;
    q->observer = NULL;
    driver_pool_close(&pair->pool[q->index]);
    if (q->drv.kick.fd >= 0) close(q->drv.kick.fd);
    if (q->dev.call.fd >= 0) close(q->dev.call.fd);
    q->drv.kick.fd = q->dev.call.fd = -1;
}

void pair_free(struct pair *pair) {
    pair_close(pair);
    for (uint32_t i = 0; i < pair->queues; i++) queue_close(pair, &pair->queue[i]);
    side_free(&pair->driver);
    side_free(&pair->device);
    breaks_free(pair);
    free(pair->places);
    free(pair->fault);
    memory_destroy(&pair->memory);
    region_close(&pair->dirty.log);
    region_close(&pair->inflight);
    trace_free(&pair->trace);
    gate_destroy(&pair->gate);
    pthread_cond_destroy(&pair->command_done);
    pthread_mutex_destroy(&pair->command_lock);
    pthread_mutex_destroy(&pair->life);
    pthread_mutex_destroy(&pair->change);
}

static uint64_t align(uint64_t at, uint64_t to) { return (at + to - 1) & ~(to - 1); }

/* Addresses of one queue's areas from `at` on; returns where the next may begin. Each area has cache lines of
 * its own: a line that both sides write travels twice. */
static uint64_t plan_areas(struct vq *q, uint64_t at) {
    q->desc_address = align(at, 4096);
    q->driver_address = align(q->desc_address + ring_desc_bytes(q->size), 256);
    q->device_address = align(q->driver_address + ring_driver_bytes(q->size, q->packed), 256);
    at = align(q->device_address + ring_device_bytes(q->size, q->packed), 256);
    q->drv.tables_address = at;
    if (q->indirect) at += 16ull * TABLE_ENTRIES * q->size;
    return at;
}

static int open_queue(struct pair *pair, struct vq *q) {
    struct memory *m = &pair->memory;
    q->memory = m;
    q->desc = (uint64_t *)(void *)memory_translate(m, q->desc_address, ring_desc_bytes(q->size));
    q->driver_area =
        (uint16_t *)(void *)memory_translate(m, q->driver_address, ring_driver_bytes(q->size, q->packed));
    q->device_area =
        (uint16_t *)(void *)memory_translate(m, q->device_address, ring_device_bytes(q->size, q->packed));
    q->drv.tables = (uint64_t *)(void *)memory_translate(m, q->drv.tables_address, 1);
    q->drv.door = &pair->driver.door;
    q->dev.door = &pair->device.door;
    q->drv.kick.fd = notify_open();
    q->dev.call.fd = notify_open();
    q->dev.hand = calloc(1, net_hand_bytes());
    if (!q->desc || !q->driver_area || !q->device_area || !q->dev.hand || q->drv.kick.fd < 0 ||
        q->dev.call.fd < 0 || ring_init(q)) {
        errno = ENOMEM;
        return -1;
    }
    ring_start(q, pair->start_index, pair->start_wrap);
    return 0;
}

static bool queue_wanted(const struct pair *pair, const struct vq *q) {
    return q->role != ROLE_CONTROL || accepted(pair, F_NET_CTRL_VQ);
}

int pair_setup_queues(struct pair *pair) {
    pthread_mutex_lock(&pair->life);
    uint64_t at = MEMORY_BASE, pool_at[QUEUES_MAX] = {0};
    memory_destroy(&pair->memory);
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        queue_close(pair, q);
        q->event_idx = accepted(pair, F_EVENT_IDX);
        q->indirect = accepted(pair, F_INDIRECT_DESC);
        q->in_order = accepted(pair, F_IN_ORDER);
        at = plan_areas(q, at);
    }
    pair->control_address = align(at, 64);
    at = align(pair->control_address + COMMAND_BYTES + 64, 4096);
    pair->scratch_address = at;
    at = align(at + pair->scratch_bytes, 4096);
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        if (q->role != ROLE_RECEIVE && q->role != ROLE_TRANSMIT) continue;
        pool_at[i] = at;
        at = align(at + driver_pool_plan(pair, q, &pair->pool[i]), 4096);
    }
    int failed = memory_create(&pair->memory, at - MEMORY_BASE);
    for (uint32_t i = 0; i < pair->queues && !failed; i++) {
        struct vq *q = &pair->queue[i];
        failed = open_queue(pair, q);
        if (!failed && pool_at[i]) failed = driver_pool_open(pair, &pair->pool[i], pool_at[i]);
    }
    if (!failed) {
        pair->control_host = memory_translate(&pair->memory, pair->control_address, COMMAND_BYTES + 8);
        for (uint32_t i = 0; i < pair->queues; i++)
            flag_set(&pair->queue[i].enabled, queue_wanted(pair, &pair->queue[i]));
        own_begin(pair);
    }
    pthread_mutex_unlock(&pair->life);
    return failed ? -1 : 0;
}

/* ---- trace level ------------------------------------------------------------------------------------ */

static uint32_t level_of(const struct pair *pair) {
    uint32_t mask = armed(&pair->driver.door);
    return mask & ARM_JOURNAL ? 2 : mask & ARM_OPERATIONS ? 1 : 0;
}

/* While nothing of either side is being written. The event that tells of it is the last at a level that sees
 * more, the first at one that saw less. */
static void level_in_force(struct pair *pair, uint32_t level, enum event_kind kind) {
    uint32_t old = level_of(pair);
    uint32_t set = (level >= 1 ? ARM_OPERATIONS : 0) | (level >= 2 ? ARM_JOURNAL : 0);
    if (level == 2 && old != 2) own_begin(pair);
    pair_arm(pair, set, 0);
    door_note(&pair->driver.door, kind, 0, old, level);
    pair_arm(pair, 0, (ARM_OPERATIONS | ARM_JOURNAL) & ~set);
}

void pair_trace(struct pair *pair, uint32_t level) {
    flag_set(&pair->level, level);
    if (pair_frozen(pair) && !flag_get(&pair->resting)) return; /* while frozen everything is journaled */
    if (level != level_of(pair)) level_in_force(pair, level, EV_LEVEL);
}

/* ---- threads ---------------------------------------------------------------------------------------- */

int pair_start(struct pair *pair, bool driver_polls, bool device_polls, bool frozen) {
    struct side *sides[2] = {&pair->driver, &pair->device};
    pair->driver.polling = driver_polls;
    pair->device.polling = device_polls;
    if (frozen) {
        gate_freeze(&pair->gate);
        pair_arm(pair, ARM_GATE, 0);
        level_in_force(pair, 2, EV_FREEZE);
    } else
        play_go(&pair->clock, pair_now(pair));
    flag_set(&pair->running, 1);
    bool observed = pair_observed(pair);
    const bool theirs[2] = {pair->driver_theirs, pair->device_theirs && !observed};
    for (int i = 0; i < 2; i++) {
        if (theirs[i]) continue;
        pair->gate.side[i].absent = false;
        int error = pthread_create(&sides[i]->thread, NULL, observed ? observe_run : side_run, sides[i]);
        if (error) {
            pair->gate.side[i].absent = true;
            pair_close(pair);
            errno = error;
            return -1;
        }
        sides[i]->started = true;
    }
    if (frozen) gate_wait_parked(&pair->gate, REST_MS);
    return 0;
}

void pair_run_inline(struct pair *pair, uint64_t nanoseconds) {
    uint64_t end = pair_now(pair) + nanoseconds;
    pair->driver.polling = pair->device.polling = true;
    play_go(&pair->clock, pair_now(pair));
    side_hush(&pair->driver);
    side_hush(&pair->device);
    while (pair_now(pair) < end)
        for (unsigned i = 0; i < 256; i++) {
            driver_turn(&pair->driver);
            device_turn(&pair->device);
        }
}

void pair_wake(struct pair *pair) {
    notify_raise(pair->driver.wake_fd);
    notify_raise(pair->device.wake_fd);
}

void pair_close(struct pair *pair) {
    flag_set(&pair->closing, 1);
    gate_open(&pair->gate);
    if (pair->driver.wake_fd >= 0 && pair->device.wake_fd >= 0) pair_wake(pair);
    struct side *sides[2] = {&pair->driver, &pair->device};
    for (int i = 0; i < 2; i++)
        if (sides[i]->started) {
            pthread_join(sides[i]->thread, NULL);
            sides[i]->started = false;
        }
    flag_set(&pair->running, 0);
    pthread_mutex_lock(&pair->command_lock);
    pthread_cond_broadcast(&pair->command_done);
    pthread_mutex_unlock(&pair->command_lock);
}

/* ---- resting ---------------------------------------------------------------------------------------- */

void pair_arm(struct pair *pair, uint32_t set, uint32_t clear) {
    struct side *sides[2] = {&pair->driver, &pair->device};
    for (int i = 0; i < 2; i++) {
        flag_and(&sides[i]->door.armed, ~clear);
        flag_or(&sides[i]->door.armed, set);
    }
}

bool pair_frozen(const struct pair *pair) { return armed(&pair->driver.door) & ARM_GATE; }

bool pair_freeze(struct pair *pair) {
    pthread_mutex_lock(&pair->change);
    pair_stopped(pair);
    bool was_frozen = pair_frozen(pair), parked = true;
    gate_freeze(&pair->gate);
    pair_arm(pair, ARM_GATE, 0);
    pair_wake(pair);
    if (flag_get(&pair->running)) {
        parked = gate_wait_parked(&pair->gate, REST_MS);
        if (parked && !pair->clock.stopped) play_stop(&pair->clock, pair_now(pair));
        if (parked && !was_frozen) level_in_force(pair, 2, EV_FREEZE);
    }
    pthread_mutex_unlock(&pair->change);
    return parked;
}

void pair_run(struct pair *pair) {
    pthread_mutex_lock(&pair->change);
    if (pair_frozen(pair)) {
        pair_stopped(pair);
        if (flag_get(&pair->running) && !flag_get(&pair->resting) && gate_wait_parked(&pair->gate, REST_MS))
            level_in_force(pair, flag_get(&pair->level), EV_RUN);
        flag_set(&pair->resting, 0);
        play_go(&pair->clock, pair_now(pair));
        pair_arm(pair, 0, ARM_GATE);
        gate_run(&pair->gate);
        pair_wake(pair);
    }
    pthread_mutex_unlock(&pair->change);
}

static bool rest(struct pair *pair, bool frozen_too) {
    if (!flag_get(&pair->running)) return false;
    pthread_mutex_lock(&pair->change);
    bool was_running = !pair_frozen(pair);
    if (was_running || frozen_too) {
        flag_set(&pair->resting, was_running ? 1 : 2);
        gate_settle(&pair->gate);
        pair_arm(pair, ARM_GATE, 0);
        pair_wake(pair);
        gate_wait_parked(&pair->gate, REST_MS);
        if (!pair->clock.stopped) play_stop(&pair->clock, pair_now(pair));
        if (!was_running) flag_set(&pair->resting, 0);
    }
    if (!was_running) pthread_mutex_unlock(&pair->change);
    return was_running;
}

bool pair_rest(struct pair *pair) { return rest(pair, true); }
bool pair_rest_running(struct pair *pair) { return rest(pair, false); }

void pair_resume(struct pair *pair, bool was_running) {
    if (!was_running) return;
    if (flag_get(&pair->broke)) { /* on the way to its rest */
        flag_set(&pair->resting, 0);
        gate_freeze(&pair->gate);
        pair_stopped(pair);
    } else
        pair_run(pair);
    pthread_mutex_unlock(&pair->change);
}

void pair_break(struct pair *pair) {
    if (!flag_get(&pair->running)) return;
    uint32_t resting = flag_get(&pair->resting);
    if (resting) { /* half a turn is no state for a change: it stops behind it, or was frozen before */
        if (resting == 1) flag_set(&pair->broke, 1);
        return;
    }
    if (!pair_frozen(pair)) flag_set(&pair->broke, 1);
    gate_freeze(&pair->gate);
    pair_arm(pair, ARM_GATE, 0);
    pair_wake(pair);
}

void pair_stopped(struct pair *pair) {
    if (!flag_get(&pair->broke) || flag_get(&pair->resting)) return;
    if (!gate_wait_parked(&pair->gate, REST_MS)) return;
    flag_set(&pair->broke, 0);
    if (!pair->clock.stopped) play_stop(&pair->clock, pair_now(pair));
    level_in_force(pair, 2, EV_FREEZE);
}

void pair_look(struct pair *pair) {
    flag_set(&pair->driver.look, 1);
    flag_set(&pair->device.look, 1);
    pair_wake(pair);
}

int pair_reset_queue(struct pair *pair, uint32_t index) {
    struct vq *q = &pair->queue[index];
    bool was_running = pair_rest(pair);
    if (flag_get(&pair->running) && !gate_wait_parked(&pair->gate, 0)) return -1;
    pthread_mutex_lock(&pair->life);
    ring_start(q, pair->start_index, pair->start_wrap);
    net_hand_reset(q);
    driver_reset_queue(pair, q);
    notify_take_kicks(q);
    notify_take_calls(q);
    pair->driver.port.expected[q->index / 2 % PAIRS_MAX] = UINT64_MAX;
    pair->device.port.expected[q->index / 2 % PAIRS_MAX] = UINT64_MAX;
    fault_base(pair, q);
    own_take(pair, q, q->own);
    breaks_queue_reset(pair, index);
    pthread_mutex_unlock(&pair->life);
    door_note(&pair->driver.door, EV_QUEUE_RESET, index, 0, q->generation);
    pair_look(pair);
    pair_resume(pair, was_running);
    return 0;
}

void pair_announce(struct pair *pair) {
    bool was_running = pair_rest(pair);
    count_set(&pair->net_status, count_get(&pair->net_status) | NET_S_ANNOUNCE);
    count_add(&pair->config_generation, 1);
    flag_set(&pair->config_changed, 1);
    door_note(&pair->driver.door, EV_CONFIG, 0, 0, count_get(&pair->config_generation));
    pair_resume(pair, was_running);
    pair_wake(pair);
}

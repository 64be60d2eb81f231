/* observe.c: see observe.h. What is noted of a buffer, and the thread. */
#define _GNU_SOURCE
#include "observe.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "foreign.h"

int observe_open(struct vq *q) {
    free(q->observer);
    size_t each = sizeof q->observer->noted[0] + (q->role == ROLE_REQUEST ? REQUEST_DATA : 0);
    q->observer = calloc(1, sizeof *q->observer + q->size * each);
    return q->observer ? 0 : -1;
}

void observe_every(struct pair *pair, uint64_t nanoseconds) {
    count_set(&pair->look_every, nanoseconds);
    notify_raise(pair->device.wake_fd);
}

/* ---- buffers ---------------------------------------------------------------------------------------- */

static uint32_t clamped(uint64_t bytes) { return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes; }

/* Notes the buffer that begins at a slot. `id`: by what it will be used. false: that cannot be. */
bool observe_available(struct pair *pair, struct vq *q, uint16_t head, uint16_t *id) {
    struct chain chain;
    q->dev.arena_used = 0;
    enum reason reason = q->ops->walk(q, &chain, head);
    *id = chain.id;
    if (chain.id >= q->size) return false;
    struct noted *buffer = &q->observer->noted[chain.id];
    unsigned spans = (unsigned)chain.out + chain.in;
    uint64_t bytes = chain.readable + chain.writable, position = q->dev.seen;
    *buffer = (struct noted){.position = position,
                             .bytes = clamped(bytes),
                             .head = head,
                             .slots = chain.slots,
                             .wrap = q->dev.avail_wrap,
                             .descriptors = chain.descriptors,
                             .spans = (uint8_t)(spans < OBSERVE_SPANS ? spans : OBSERVE_SPANS),
                             .readable = clamped(chain.readable),
                             .writable = clamped(chain.writable),
                             .live = true,
                             .indirect = chain.indirect,
                             .sound = reason == SOUND && chain.reason == SOUND};
    if (buffer->sound && spans) {
        memcpy(buffer->span, chain.spans, buffer->spans * sizeof buffer->span[0]);
        buffer->last = chain.spans[spans - 1];
    } else
        buffer->spans = 0;
    count_put(q->drv.place + position % q->size, head | (uint64_t)chain.slots << 16 | (uint64_t)*id << 32);
    if (q->role == ROLE_TRANSMIT) observe_transmitted(pair, q, buffer, *id);
    if (q->role == ROLE_REQUEST) observe_requested(pair, q, buffer, *id);
    return true;
}

void observe_used(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length) {
    if (buffer->position != q->drv.collected) count_add(&q->drv.reordered, 1);
    if (q->role == ROLE_RECEIVE) observe_received(pair, q, buffer, length);
    if (q->role == ROLE_REQUEST) observe_answered(pair, q, buffer, length);
    buffer->live = false;
}

/* ---- the thread ------------------------------------------------------------------------------------- */

#define SPINS 256u
#define REST  3u /* times as long as a look took it stays away: a flood is not all read anyway */

/* What is sent before what comes back. */
static uint32_t look_at_all(struct pair *pair) {
    uint32_t moved = 0;
    for (uint32_t i = 0; i < 2 * pair->pairs_max; i++) {
        struct vq *q = &pair->queue[i < pair->pairs_max ? 2 * i + 1 : 2 * (i - pair->pairs_max)];
        if (!flag_get(&q->enabled)) continue;
        pair->driver.door.queue = pair->device.door.queue = q->index;
        moved += observe_look(pair, q);
    }
    return moved;
}

static void wait_for(struct side *side, uint64_t nanoseconds) {
    struct pollfd fd = {.fd = side->wake_fd, .events = POLLIN};
    struct timespec t = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
    if (ppoll(&fd, 1, &t, NULL) > 0) notify_drain(side->wake_fd);
}

static void look_on(struct side *side) {
    struct pair *pair = side->pair;
    unsigned spins = 0;
    while (!flag_get(&pair->closing)) {
        if (UNLIKELY(armed(&side->door) & ARM_GATE))
            gate_arrive(&pair->gate, side->door.side, GATE_TURN, false);
        uint64_t began = pair_now(pair), every = count_get(&pair->look_every);
        uint32_t moved = look_at_all(pair);
        uint64_t most = REST * (pair_now(pair) - began);
        count_add(&side->loops, 1);
        if (moved) spins = 0;
        if (every)
            wait_for(side, every > most ? every : most);
        else if (!moved && ++spins >= SPINS)
            sched_yield();
        else
            relax();
    }
}

void *observe_run(void *argument) {
    struct side *side = argument;
    struct memory_guard guard;
    pthread_setname_np(pthread_self(), "rs-observer");
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0); /* the default would be as long as a pause between two looks */
    memory_watch(&guard);
    if (sigsetjmp(guard.back, 0)) {
        memory_watch(&guard);
        foreign_gone(side);
    }
    look_on(side);
    memory_unwatch();
    return NULL;
}

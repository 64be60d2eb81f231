/* observe.c: see observe.h. What is noted of a buffer, the frames in it, and the thread. */
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
    q->observer = calloc(1, sizeof *q->observer + q->size * sizeof q->observer->noted[0]);
    return q->observer ? 0 : -1;
}

void observe_every(struct pair *pair, uint64_t nanoseconds) {
    count_set(&pair->look_every, nanoseconds);
    notify_raise(pair->device.wake_fd);
}

void observe_missed(struct vq *q, uint64_t buffers) {
    count_add(&q->observer->missed, buffers);
    if (q->role == ROLE_RECEIVE) q->observer->parts = 0; /* the frame that was begun has a hole */
}

/* ---- frames ----------------------------------------------------------------------------------------- */

/* Copies at most `length` bytes of a buffer, from byte `from` on; returns how many there were. */
static uint32_t gather(const struct noted *buffer, uint32_t from, uint8_t *to, uint32_t length) {
    uint32_t done = 0;
    for (unsigned i = 0; i < buffer->spans && done < length; i++) {
        const struct span *span = &buffer->span[i];
        if (from >= span->length) {
            from -= span->length;
            continue;
        }
        uint32_t n = span->length - from;
        if (n > length - done) n = length - done;
        memcpy(to + done, span->host + from, n);
        done += n;
        from = 0;
    }
    return done;
}

static uint32_t header_length(const struct pair *pair) {
    return accepted(pair, F_VERSION_1) || accepted(pair, F_NET_MRG_RXBUF) ? NET_HEADER_LENGTH
                                                                          : NET_HEADER_LENGTH - 2;
}

/* `frame` holds the net header and the frame. */
static void log_frame(struct pair *pair, struct vq *q, const struct noted *first, uint32_t buffers,
                      const uint8_t *frame, uint32_t length) {
    uint32_t skip = header_length(pair);
    struct frame_log *log = &pair->trace.frames;
    if (length < skip + NET_FRAME_MIN) return;
    frame += skip, length -= skip;
    count_add(&q->observer->frames, 1);
    count_add(&q->observer->bytes, length);
    uint32_t keep = frame_wanted(log, frame, length);
    if (keep == 0) return;
    struct frame_header record = {
        .time = trace_now(&pair->trace),
        .position = first->position,
        .queue = q->index,
        .head = first->head,
        .descriptors = first->descriptors,
        .buffers = (uint16_t)buffers,
        .direction = q->role == ROLE_RECEIVE,
        .flags = first->indirect ? FRAME_INDIRECT : 0,
        .net_header_length = (uint16_t)skip,
    };
    memcpy(record.net_header, frame - skip, skip);
    frame_write(&pair->trace, &record, frame, length, keep);
}

static bool logged(const struct pair *pair, const struct vq *q) {
    return flag_get(&pair->trace.frames.on) && q->role != ROLE_CONTROL;
}

static void transmitted(struct pair *pair, struct vq *q, const struct noted *buffer, uint16_t id) {
    uint8_t *frame = pair->device.frame;
    if (!logged(pair, q)) return;
    uint32_t length = gather(buffer, 0, frame, NET_HEADER_LENGTH + NET_FRAME_MAX);
    if (!buffer->sound || length < buffer->bytes || observe_offered_again(q, buffer, id))
        observe_missed(q, 1);
    else
        log_frame(pair, q, buffer, 1, frame, length);
}

/* The buffers that the device says a frame takes (5.1.6.4): 1 where it cannot say so. */
static uint32_t parts_of(const struct pair *pair, const uint8_t *frame, uint32_t length) {
    if (!accepted(pair, F_NET_MRG_RXBUF) || length < NET_HEADER_LENGTH) return 1;
    uint32_t parts = frame[10] | (uint32_t)frame[11] << 8;
    return parts >= 1 && parts <= SPAN ? parts : 1;
}

static void received(struct pair *pair, struct vq *q, const struct noted *buffer, uint32_t length) {
    struct observer *o = q->observer;
    uint8_t *frame = pair->driver.frame;
    uint32_t room = NET_HEADER_LENGTH + NET_FRAME_MAX;
    uint16_t id = (uint16_t)(buffer - o->noted);
    if (!logged(pair, q)) return;
    if (o->parts == 0) o->filled = o->received = 0;
    uint32_t left = room - o->filled,
             got = gather(buffer, 0, frame + o->filled, length < left ? length : left);
    if (!buffer->sound || got < length || observe_offered_again(q, buffer, id)) {
        observe_missed(q, 1);
        return;
    }
    o->filled += got;
    o->received++;
    if (o->parts == 0) {
        o->first = *buffer;
        o->parts = parts_of(pair, frame, o->filled);
    }
    if (--o->parts == 0) log_frame(pair, q, &o->first, o->received, frame, o->filled);
}

/* ---- buffers ---------------------------------------------------------------------------------------- */

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
                             .bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes,
                             .head = head,
                             .slots = chain.slots,
                             .wrap = q->dev.avail_wrap,
                             .descriptors = chain.descriptors,
                             .spans = (uint8_t)(spans < OBSERVE_SPANS ? spans : OBSERVE_SPANS),
                             .live = true,
                             .indirect = chain.indirect,
                             .sound = reason == SOUND && chain.reason == SOUND};
    if (buffer->sound)
        memcpy(buffer->span, chain.spans, buffer->spans * sizeof buffer->span[0]);
    else
        buffer->spans = 0;
    count_put(q->drv.place + position % q->size, head | (uint64_t)chain.slots << 16 | (uint64_t)*id << 32);
    if (q->role == ROLE_TRANSMIT) transmitted(pair, q, buffer, *id);
    return true;
}

void observe_used(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length) {
    if (buffer->position != q->drv.collected) count_add(&q->drv.reordered, 1);
    if (q->role == ROLE_RECEIVE) received(pair, q, buffer, length);
    buffer->live = false;
}

/* ---- the thread ------------------------------------------------------------------------------------- */

#define SPINS 256u

static uint32_t look_at_all(struct pair *pair) {
    uint32_t moved = 0;
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
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
        uint32_t moved = look_at_all(pair);
        uint64_t every = count_get(&pair->look_every);
        count_add(&side->loops, 1);
        if (moved) spins = 0;
        if (every)
            wait_for(side, every);
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

/* stress.c: two threads move numbered buffers through a ring, by its verbs and as a network device.
 *
 * Bare: what buffer k is made of (pieces, lengths, bytes, what comes back) follows from k alone. The device
 * knows k by counting, the driver by the token that it gave; so every byte of both directions can be
 * compared, and nothing can be lost, duplicated, reordered or altered without being seen.
 * Flood: both sides of a network device send as fast as they go; the ports check what arrives.
 * Meanwhile the main thread reads snapshots and logs, as the app does.
 */
#define _GNU_SOURCE
#include "native.h"

#include <poll.h>
#include <sched.h>
#include <string.h>

#define PIECES      6u
#define PIECE_BYTES 96u
#define HOLD        8u
#define PATIENCE_MS 20000 /* a side asleep for so long was not told of something */

struct run {
    struct pair *pair;
    struct vq *q;
    struct setup setup;
    uint64_t buffers;
    bool interrupt, batch;
    uint32_t done;
    uint64_t waits;
};

/* ---- what buffer k is --------------------------------------------------------------------------------- */

struct shape {
    uint16_t out, in;
    bool table;
    uint32_t length[PIECES];
    uint32_t readable, writable, written;
};

static struct shape shape_of(const struct run *r, uint64_t k) {
    uint64_t random = hash64(k ^ 0x5eed);
    uint32_t most = r->setup.size < PIECES ? r->setup.size : PIECES;
    struct shape s = {.table = r->setup.indirect && (draw(&random) & 1)};
    uint32_t total = 1 + below(&random, most);
    s.out = (uint16_t)below(&random, total + 1);
    s.in = (uint16_t)(total - s.out);
    for (uint32_t i = 0; i < total; i++) {
        s.length[i] = 1 + below(&random, PIECE_BYTES);
        *(i < s.out ? &s.readable : &s.writable) += s.length[i];
    }
    /* In a batch only the last buffer has a length of its own (2.7.9). */
    s.written = r->batch ? s.writable : below(&random, s.writable + 1);
    return s;
}

static uint8_t byte_of(uint64_t k, bool back, uint32_t at) {
    return (uint8_t)(hash64(k * 2 + back) >> at % 57) ^ (uint8_t)(at * 31);
}

static void fill(uint64_t k, bool back, uint8_t *to, uint32_t from, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) to[i] = byte_of(k, back, from + i);
}

static void compare(const struct run *r, uint64_t k, bool back, const uint8_t *bytes, uint32_t from,
                    uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        CHECK(bytes[i] == byte_of(k, back, from + i), "%s: buffer %llu altered %s at byte %u",
              setup_name(&r->setup), (unsigned long long)k, back ? "on its way back" : "on its way",
              from + i);
}

/* ---- the driver --------------------------------------------------------------------------------------- */

struct drive {
    struct run *run;
    uint64_t next, back; /* buffers added, buffers that came back */
    uint64_t *of_token;  /* k of each token that is out, or UINT64_MAX */
    uint32_t *spare, spares;
};

static uint8_t *piece_host(const struct run *r, uint32_t token, uint32_t piece) {
    return memory_translate(&r->pair->memory, r->pair->scratch_address, 1) +
           ((uint64_t)token * PIECES + piece) * PIECE_BYTES;
}

static bool add_one(struct drive *d) {
    struct run *r = d->run;
    if (d->next == r->buffers || d->spares == 0) return false;
    struct shape s = shape_of(r, d->next);
    uint32_t token = d->spare[d->spares - 1];
    struct seg segs[PIECES];
    for (uint32_t i = 0, at = 0; i < (uint32_t)s.out + s.in; i++) {
        uint8_t *host = piece_host(r, token, i);
        segs[i] = (struct seg){memory_address(&r->pair->memory, host), s.length[i]};
        if (i < s.out)
            fill(d->next, false, host, at, s.length[i]);
        else
            memset(host, 0xee, s.length[i]);
        at += s.length[i];
    }
    struct buffer b = {segs, s.out, s.in, s.table, token};
    if (r->q->ops->add(r->q, &b, 1) == 0) return false;
    d->spares--;
    d->of_token[token] = d->next++;
    return true;
}

static void take_back(struct drive *d, const struct returned *got) {
    struct run *r = d->run;
    CHECK(got->token < r->setup.size && d->of_token[got->token] != UINT64_MAX, "%s: token %u came back twice",
          setup_name(&r->setup), got->token);
    uint64_t k = d->of_token[got->token];
    struct shape s = shape_of(r, k);
    CHECK(got->position == k, "%s: buffer %llu came back as %llu", setup_name(&r->setup),
          (unsigned long long)k, (unsigned long long)got->position);
    CHECK(!r->setup.in_order || k == d->back, "%s: buffer %llu came back in the place of %llu",
          setup_name(&r->setup), (unsigned long long)k, (unsigned long long)d->back);
    CHECK(got->length == s.written, "%s: buffer %llu came back with length %u, not %u", setup_name(&r->setup),
          (unsigned long long)k, got->length, s.written);
    uint32_t at = 0;
    for (uint32_t i = 0; i < s.in && at < s.written; i++) {
        uint32_t n = s.length[s.out + i] < s.written - at ? s.length[s.out + i] : s.written - at;
        compare(r, k, true, piece_host(r, got->token, s.out + i), at, n);
        at += n;
    }
    d->of_token[got->token] = UINT64_MAX;
    d->spare[d->spares++] = got->token;
    d->back++;
}

static void sound(const struct run *r) {
    CHECK(!count_get(&r->q->drv.broken) && !count_get(&r->q->dev.broken), "%s: broken, driver %d, device %d",
          setup_name(&r->setup), (int)r->q->drv.broken, (int)r->q->dev.broken);
}

static void sleep_on(struct run *r, int fd, const char *who) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    r->waits++;
    CHECK(poll(&p, 1, PATIENCE_MS) == 1, "%s: the %s was not told", setup_name(&r->setup), who);
}

static void *driver_main(void *argument) {
    struct drive *d = argument;
    struct run *r = d->run;
    struct vq *q = r->q;
    uint64_t random = hash64(q->size);
    q->ops->calls_off(q);
    while (d->back < r->buffers) {
        uint32_t burst = 1 + below(&random, BURST), n = 0;
        while (n < burst && add_one(d)) n++;
        if (n) {
            q->ops->publish(q);
            notify_kick(q);
        }
        struct returned got[BURST];
        uint32_t m = q->ops->collect(q, got, 1 + below(&random, BURST));
        for (uint32_t i = 0; i < m; i++) take_back(d, &got[i]);
        sound(r);
        if (n || m) continue;
        if (!r->interrupt) {
            sched_yield();
            continue;
        }
        if (!q->ops->calls_on(q)) {
            sleep_on(r, q->dev.call.fd, "driver");
            notify_take_calls(q);
        }
        q->ops->calls_off(q);
    }
    return NULL;
}

/* ---- the device --------------------------------------------------------------------------------------- */

struct serve {
    struct run *run;
    uint64_t seen, served;
    struct chain held[HOLD];
    uint32_t holds;
    uint64_t random;
    uint64_t waits;
};

static void accept_chain(struct serve *v, const struct chain *c) {
    const struct run *r = v->run;
    uint64_t k = v->seen++;
    struct shape s = shape_of(r, k);
    CHECK(c->position == k && c->out == s.out && c->in == s.in && c->readable == s.readable &&
              c->writable == s.writable && c->indirect == s.table && c->reason == SOUND,
          "%s: buffer %llu has another shape", setup_name(&r->setup), (unsigned long long)k);
    for (uint32_t i = 0, at = 0; i < (uint32_t)s.out + s.in; i++) {
        CHECK(c->spans[i].length == s.length[i], "%s: buffer %llu piece %u has another length",
              setup_name(&r->setup), (unsigned long long)k, i);
        if (i < s.out) compare(r, k, false, c->spans[i].host, at, s.length[i]);
        at += s.length[i];
    }
}

static struct done answer(const struct run *r, const struct chain *c) {
    struct shape s = shape_of(r, c->position);
    for (uint32_t i = 0, at = 0; i < s.in && at < s.written; i++) {
        uint32_t n = s.length[s.out + i] < s.written - at ? s.length[s.out + i] : s.written - at;
        fill(c->position, true, c->spans[s.out + i].host, at, n);
        at += n;
    }
    return (struct done){s.written, c->id, c->slots, s.in > 0};
}

/* Completes some of what is held: in order and perhaps as one batch, else any one. */
static void complete_some(struct serve *v) {
    struct run *r = v->run;
    struct done done[HOLD];
    uint32_t n = 1, first = 0;
    if (r->setup.in_order)
        n = 1 + below(&v->random, v->holds);
    else
        first = below(&v->random, v->holds);
    for (uint32_t i = 0; i < n; i++) done[i] = answer(r, &v->held[first + i]);
    r->q->ops->complete(r->q, done, n, r->batch);
    v->holds -= n;
    memmove(v->held + first, v->held + first + n, (v->holds - first) * sizeof v->held[0]);
    v->served += n;
    if (below(&v->random, 3) && v->holds) return; /* several completions in one flush */
    r->q->ops->flush(r->q);
    notify_call(r->q);
}

static void *device_main(void *argument) {
    struct serve *v = argument;
    struct run *r = v->run;
    struct vq *q = r->q;
    v->random = hash64(q->size + 1u);
    q->ops->kicks_off(q);
    while (v->served < r->buffers) {
        uint32_t n = 0;
        if (v->holds < HOLD) n = q->ops->next(q, v->held + v->holds, 1 + below(&v->random, HOLD - v->holds));
        for (uint32_t i = 0; i < n; i++) accept_chain(v, &v->held[v->holds + i]);
        v->holds += n;
        sound(r);
        if (v->holds && (n == 0 || below(&v->random, 2))) complete_some(v);
        if (n || v->holds) continue;
        if (q->dev.completed != q->dev.used) {
            q->ops->flush(q);
            notify_call(q);
        }
        if (v->served == r->buffers) break;
        if (!r->interrupt) {
            sched_yield();
            continue;
        }
        if (!q->ops->kicks_on(q)) {
            struct pollfd p = {.fd = q->drv.kick.fd, .events = POLLIN};
            v->waits++;
            CHECK(poll(&p, 1, PATIENCE_MS) == 1, "%s: the device was not told", setup_name(&r->setup));
            notify_take_kicks(q);
        }
        q->ops->kicks_off(q);
    }
    return NULL;
}

/* ---- one bare run ------------------------------------------------------------------------------------- */

struct totals {
    uint64_t runs, buffers, frames, waits, snapshots, events;
};

static void look(struct pair *pair, uint32_t queue, struct totals *t) {
    static uint64_t position[2];
    struct vq *q = &pair->queue[queue];
    uint8_t *room = malloc(snapshot_room(q, true));
    struct event events[64];
    uint64_t lost = 0;
    pthread_mutex_lock(&pair->life);
    snapshot_take(pair, q, true, room);
    pthread_mutex_unlock(&pair->life);
    for (int side = 0; side < 2; side++)
        t->events += trace_read(&pair->trace, side, &position[side], events, 64, &lost);
    t->snapshots++;
    free(room);
}

static void *and_say_so(void *(*main)(void *), void *argument, uint32_t *done) {
    void *result = main(argument);
    __atomic_fetch_add(done, 1, __ATOMIC_RELEASE);
    return result;
}
static void *driver_thread(void *d) { return and_say_so(driver_main, d, &((struct drive *)d)->run->done); }
static void *device_thread(void *v) { return and_say_so(device_main, v, &((struct serve *)v)->run->done); }

static void run_bare(const struct setup *setup, bool interrupt, bool batch, uint64_t buffers,
                     struct totals *t) {
    struct setup s = *setup;
    s.scratch = (uint64_t)s.size * PIECES * PIECE_BYTES;
    struct pair *pair = open_bare(&s);
    struct run r = {.pair = pair,
                    .q = &pair->queue[0],
                    .setup = s,
                    .buffers = buffers,
                    .interrupt = interrupt,
                    .batch = batch};
    struct drive d = {.run = &r};
    struct serve v = {.run = &r};
    d.of_token = malloc(s.size * sizeof *d.of_token);
    d.spare = malloc(s.size * sizeof *d.spare);
    for (uint32_t i = 0; i < s.size; i++) {
        d.of_token[i] = UINT64_MAX;
        d.spare[d.spares++] = i;
    }
    flag_set(&pair->running, 1); /* the sides are ours to run; to a snapshot the pair is as if started */
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, driver_thread, &d) == 0, "no thread");
    CHECK(pthread_create(&threads[1], NULL, device_thread, &v) == 0, "no thread");
    while (flag_get(&r.done) < 2) {
        look(pair, 0, t);
        nap(500);
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    CHECK(d.back == buffers && v.served == buffers && r.q->drv.free == s.size, "%s: %llu of %llu came back",
          setup_name(&s), (unsigned long long)d.back, (unsigned long long)buffers);
    t->runs++;
    t->buffers += buffers;
    t->waits += r.waits + v.waits;
    free(d.of_token);
    free(d.spare);
    close_pair(pair);
}

/* ---- one flood ---------------------------------------------------------------------------------------- */

static uint64_t arrived(const struct port *port) { return count_peek(&port->received); }

static void stuck(struct pair *pair, const struct setup *setup, bool interrupt) {
    for (unsigned i = 0; i < 2; i++) {
        struct vq *q = &pair->queue[i];
        fprintf(stderr,
                "queue %u: published %llu seen %llu used %llu collected %llu; kicks %llu of %llu, calls %llu "
                "of %llu; "
                "broken %d %d\n",
                i, (unsigned long long)count_get(&q->drv.published),
                (unsigned long long)count_get(&q->dev.seen), (unsigned long long)count_get(&q->dev.used),
                (unsigned long long)count_get(&q->drv.collected),
                (unsigned long long)count_get(&q->dev.call.received),
                (unsigned long long)count_get(&q->drv.kick.sent),
                (unsigned long long)count_get(&q->drv.kick.received),
                (unsigned long long)count_get(&q->dev.call.sent), (int)count_get(&q->drv.broken),
                (int)count_get(&q->dev.broken));
    }
    FAIL("%s, %s: stuck at %llu and %llu frames; asleep: driver %u, device %u; resets %u", setup_name(setup),
         interrupt ? "interrupt" : "poll", (unsigned long long)arrived(&pair->driver.port),
         (unsigned long long)arrived(&pair->device.port), flag_get(&pair->driver.asleep),
         flag_get(&pair->device.asleep), (unsigned)pair->queue[0].generation);
}

static void run_flood(const struct setup *setup, bool interrupt, uint32_t length, uint64_t frames,
                      struct totals *t) {
    struct pair *pair = open_net(setup);
    port_flood(&pair->driver.port, length);
    port_flood(&pair->device.port, length);
    CHECK(pair_start(pair, !interrupt, !interrupt, false) == 0, "%s: not started", setup_name(setup));
    double end = seconds_now() + PATIENCE_MS / 1000.0;
    unsigned turn = 0;
    while (arrived(&pair->driver.port) < frames || arrived(&pair->device.port) < frames) {
        if (seconds_now() > end) stuck(pair, setup, interrupt);
        look(pair, turn % 2, t);
        if (turn % 8 == 5) {
            CHECK(pair_freeze(pair), "%s: did not come to rest", setup_name(setup));
            pair_run(pair);
        }
        /* One after the other, and now and then both at once: then only the sides themselves can go on. */
        if (turn % 16 == 9 || turn % 32 == 13)
            CHECK(pair_reset_queue(pair, 0) == 0, "%s: not reset", setup_name(setup));
        if (turn % 16 == 13) CHECK(pair_reset_queue(pair, 1) == 0, "%s: not reset", setup_name(setup));
        turn++;
        nap(500);
    }
    pair_close(pair);
    for (uint32_t i = 0; i < 2; i++) {
        const struct vq *q = &pair->queue[i];
        CHECK(!q->drv.broken && !q->dev.broken && !q->drv.drops && !q->dev.drops,
              "%s: queue %u: broken %d %d, drops %d %d", setup_name(setup), i, (int)q->drv.broken,
              (int)q->dev.broken, (int)q->drv.drops, (int)q->dev.drops);
    }
    CHECK(!pair->driver.port.wrong && !pair->device.port.wrong,
          "%s: %d and %d frames lost, repeated or altered", setup_name(setup), (int)pair->driver.port.wrong,
          (int)pair->device.port.wrong);
    t->runs++;
    t->frames += arrived(&pair->driver.port) + arrived(&pair->device.port);
    close_pair(pair);
}

/* ---- every combination -------------------------------------------------------------------------------- */

/* `only`: the number of one combination, to look at that alone. */
static void combinations(uint64_t buffers, uint64_t frames, uint64_t only, struct totals *bare,
                         struct totals *flood) {
    static const uint32_t sizes[2][5] = {{1, 2, 4, 256, 0}, {1, 2, 3, 7, 256}};
    static const uint16_t starts[] = {0, 65530, 65535, 3};
    unsigned turn = 0;
    for (unsigned bits = 0; bits < 16; bits++)
        for (unsigned i = 0; i < 5 && sizes[bits & 1][i]; i++)
            for (int interrupt = 0; interrupt < 2; interrupt++, turn++) {
                struct setup s = {.packed = bits & 1,
                                  .indirect = bits & 2,
                                  .event_idx = bits & 4,
                                  .in_order = bits & 8,
                                  .size = sizes[bits & 1][i],
                                  .index = starts[turn % 4],
                                  .wrap = turn / 4 % 2,
                                  .traced = turn % 3 == 0};
                if (only != UINT64_MAX && only != turn) continue;
                for (int batch = 0; batch <= s.in_order; batch++)
                    run_bare(&s, interrupt, batch, buffers, bare);
                s.features = 1ull << F_RING_RESET | (uint64_t)(turn % 2) << F_NET_MRG_RXBUF;
                run_flood(&s, interrupt, turn % 5 ? 64 : 1400, frames, flood);
            }
}

int stress_main(char **arguments) {
    options_known(arguments, "buffers frames only");
    struct totals bare = {0}, flood = {0};
    double start = seconds_now();
    combinations(option(arguments, "buffers", 2000), option(arguments, "frames", 1000),
                 option(arguments, "only", UINT64_MAX), &bare, &flood);
    printf("stress: %llu bare runs, %llu buffers checked whole, %llu sleeps; %llu floods, %llu frames; "
           "%llu snapshots and %llu events read beside; none lost, repeated, reordered or altered; %.1f s\n",
           (unsigned long long)bare.runs, (unsigned long long)bare.buffers, (unsigned long long)bare.waits,
           (unsigned long long)flood.runs, (unsigned long long)flood.frames,
           (unsigned long long)(bare.snapshots + flood.snapshots),
           (unsigned long long)(bare.events + flood.events), seconds_now() - start);
    return 0;
}

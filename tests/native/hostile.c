/* hostile.c: rings written at random by the other side, between the verbs of ours.
 *
 * Memory lies between two pages that nobody may touch, and a second region begins at the address where the
 * first ends, but elsewhere in this process: a range checked at its start only, or across regions, crashes.
 * The gaps between the areas hold a pattern that nobody may write. Every byte that a chain hands out is read
 * or written at its ends. A verb may refuse with a reason; it must not crash, hang, or hand out more than
 * the rules allow. The seed is printed with every failure.
 */
#define _GNU_SOURCE
#include "native.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD      (64u << 10)
#define SCRATCH    (64u << 10)
#define BURSTS_MAX 4u
#define CANARY     0xa5

struct arena {
    struct pair *pair;
    struct vq *q;
    struct setup setup;
    uint64_t random, seed;
    uint32_t tame;      /* one number in so many is out of all bounds; changes from round to round */
    uint8_t *out;       /* [size] driver's tokens: outstanding */
    uint32_t *writable; /* [size] bytes that may come back for a token */
    uint32_t outstanding;
};

struct totals {
    uint64_t rounds, chains, refused, dropped, collected, decisions;
    uint64_t reason[TOO_LONG + 1];
};

/* ---- guard pages, the second region, canaries ---------------------------------------------------------- */

static void *between_guards(void *from, uint64_t size, int fd) {
    uint8_t *place =
        mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(place != MAP_FAILED, "no address space");
    void *to = from ? mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place + GUARD)
                    : mmap(place + GUARD, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    CHECK(to == place + GUARD, "cannot place memory between guards");
    return to;
}

static void *moved(const struct region *r, const void *old_host, void *p) {
    return r->host + ((uint8_t *)p - (const uint8_t *)old_host);
}

static void guard(struct pair *pair) {
    struct vq *q = &pair->queue[0];
    struct memory *m = &pair->memory;
    struct region *r = &m->region[0];
    uint8_t *old = r->host;
    r->host = between_guards(old, r->size, -1);
    q->desc = moved(r, old, q->desc);
    q->driver_area = moved(r, old, q->driver_area);
    q->device_area = moved(r, old, q->device_area);
    q->drv.tables = moved(r, old, q->drv.tables);
    pair->control_host = moved(r, old, pair->control_host);
    int fd = memfd_create("second", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, SCRATCH) == 0, "no second region");
    m->region[1] = (struct region){r->address + r->size, SCRATCH, between_guards(NULL, SCRATCH, fd), fd, 0};
    m->regions = 2;
}

static void unguard(struct memory *m) {
    for (unsigned i = 0; i < m->regions; i++) {
        munmap(m->region[i].host - GUARD, GUARD);
        munmap(m->region[i].host + m->region[i].size, GUARD);
    }
}

/* The bytes between two areas of the queue, filled or checked. */
static void gap(struct arena *a, uint64_t from, uint64_t to, bool fill) {
    uint8_t *at = memory_translate(&a->pair->memory, from, to - from);
    for (uint64_t i = 0; at && i < to - from; i++) {
        if (fill) at[i] = CANARY;
        CHECK(at[i] == CANARY, "seed %llu: %s: a byte between the areas was written",
              (unsigned long long)a->seed, setup_name(&a->setup));
    }
}

static void gaps(struct arena *a, bool fill) {
    const struct vq *q = a->q;
    uint64_t desc_end = q->desc_address + ring_desc_bytes(q->size);
    uint64_t driver_end = q->driver_address + ring_driver_bytes(q->size, q->packed);
    uint64_t device_end = q->device_address + ring_device_bytes(q->size, q->packed);
    gap(a, desc_end, q->driver_address, fill);
    gap(a, driver_end, q->device_address, fill);
    gap(a, device_end, q->drv.tables_address, fill);
}

/* ---- hostile numbers ----------------------------------------------------------------------------------- */

static uint64_t bad_address(struct arena *a) {
    const struct memory *m = &a->pair->memory;
    const struct region *r = &m->region[below(&a->random, 2)];
    switch (below(&a->random, a->tame)) {
    case 0: return draw(&a->random);
    case 1: return r->address + r->size - below(&a->random, 40);
    case 2: return UINT64_MAX - below(&a->random, 40);
    case 3: return below(&a->random, 64);
    case 4: return a->q->desc_address + 16ull * below(&a->random, a->q->size);
    default: return a->pair->scratch_address + below(&a->random, SCRATCH);
    }
}

static uint32_t bad_length(struct arena *a) {
    switch (below(&a->random, a->tame)) {
    case 0: return (uint32_t)draw(&a->random);
    case 1: return 0;
    case 2: return UINT32_MAX - below(&a->random, 16);
    case 3: return 16 * below(&a->random, 2 * TABLE_ENTRIES);
    default: return 1 + below(&a->random, 200);
    }
}

static uint64_t bad_word(struct arena *a, uint16_t flags_likely) {
    uint32_t n = a->q->size;
    uint16_t number =
        (uint16_t)(below(&a->random, a->tame) ? below(&a->random, n) : (uint32_t)draw(&a->random));
    uint16_t flags = (uint16_t)(below(&a->random, a->tame) ? flags_likely : draw(&a->random));
    return bad_length(a) | (uint64_t)(a->q->packed ? number : flags) << 32 |
           (uint64_t)(a->q->packed ? flags : number) << 48;
}

/* A descriptor that looks available and links, writes or points to a table at random. */
static void bad_descriptor(struct arena *a, uint64_t *at, bool in_table) {
    uint16_t flags = (uint16_t)(draw(&a->random) & (in_table || !a->q->indirect ? 3 : 7));
    if (below(&a->random, 3)) flags &= (uint16_t)~DESC_NEXT;
    if (below(&a->random, 4 * a->tame) == 0) flags |= DESC_INDIRECT;
    bool table = flags & DESC_INDIRECT && !in_table && below(&a->random, a->tame);
    if (table && below(&a->random, a->tame)) flags = DESC_INDIRECT;
    if (a->q->packed) flags |= a->q->dev.avail_wrap ? DESC_AVAIL : DESC_USED;
    uint64_t word = bad_word(a, flags);
    if (table)
        word = (word & ~(uint64_t)UINT32_MAX) | 16 * (1 + below(&a->random, a->q->size < 6 ? a->q->size : 6));
    uint32_t offset = below(&a->random, SCRATCH - 128);
    if (below(&a->random, a->tame)) offset &= ~15u; /* a table need not be aligned (2.7.5.3) */
    publish64(at, table ? a->pair->scratch_address + offset : bad_address(a));
    publish64(at + 1, word);
}

/* All of the scratch memory is table entries, so that a table may lie anywhere in it. */
static void bad_tables(struct arena *a, uint32_t entries) {
    uint64_t *table =
        (uint64_t *)(void *)memory_translate(&a->pair->memory, a->pair->scratch_address, SCRATCH);
    uint32_t first = below(&a->random, SCRATCH / 16);
    for (uint32_t i = 0; i < entries; i++)
        bad_descriptor(a, table + 2 * ((first + i) % (SCRATCH / 16)), true);
}

static void bad_driver(struct arena *a) {
    struct vq *q = a->q;
    uint32_t n = 1 + below(&a->random, q->size < 16 ? q->size : 16);
    bad_tables(a, 8);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = q->packed ? (q->dev.last_avail + i) % q->size : below(&a->random, q->size);
        bad_descriptor(a, q->desc + 2 * slot, false);
    }
    uint32_t words = (uint32_t)ring_driver_bytes(q->size, q->packed) / 2;
    if (q->packed) {
        publish16(q->driver_area + below(&a->random, words), (uint16_t)draw(&a->random));
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint16_t head = (uint16_t)(below(&a->random, 4 * a->tame) ? below(&a->random, q->size)
                                                                  : (uint32_t)draw(&a->random));
        publish16(avail_ring(q, (uint32_t)(q->dev.last_avail + i) & (q->size - 1)), head);
    }
    publish16(avail_idx(q), (uint16_t)(q->dev.last_avail +
                                       (below(&a->random, 2 * a->tame) ? n : (uint32_t)draw(&a->random))));
    publish16(below(&a->random, 2) ? used_event(q) : avail_flags(q), (uint16_t)draw(&a->random));
}

static void bad_device(struct arena *a) {
    struct vq *q = a->q;
    uint32_t n = 1 + below(&a->random, 4);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = below(&a->random, a->tame) ? below(&a->random, q->size) : (uint32_t)draw(&a->random);
        uint32_t length = below(&a->random, a->tame) ? below(&a->random, 40) : bad_length(a);
        if (below(&a->random, 3)) { /* one that is really outstanding, the oldest or any */
            uint64_t k = q->drv.collected +
                         (q->in_order || below(&a->random, 2) ? i : below(&a->random, a->outstanding + 1));
            id = (uint32_t)(q->drv.place[k % q->size] >> (q->packed ? 32 : 0)) & 0xffff;
        }
        if (q->packed) {
            uint16_t flags =
                (uint16_t)((q->drv.used_wrap ? DESC_AVAIL | DESC_USED : 0) | (draw(&a->random) & DESC_WRITE));
            if (below(&a->random, 8) == 0) flags = (uint16_t)draw(&a->random);
            publish64(q->desc + 2 * ((q->drv.last_used + i) % q->size) + 1,
                      length | (uint64_t)(uint16_t)id << 32 | (uint64_t)flags << 48);
            if (below(&a->random, 4) == 0)
                publish64(q->desc + 2 * below(&a->random, q->size), draw(&a->random));
        } else {
            uint32_t *element = used_elem(q, (uint32_t)(q->drv.last_used + i) & (q->size - 1));
            publish32(element, id);
            publish32(element + 1, length);
        }
    }
    if (!q->packed)
        publish16(used_idx(q), (uint16_t)(q->drv.last_used +
                                          (below(&a->random, 2 * a->tame) ? n : (uint32_t)draw(&a->random))));
    publish16(q->device_area + below(&a->random, (uint32_t)ring_device_bytes(q->size, q->packed) / 2),
              (uint16_t)draw(&a->random));
}

/* ---- our device against a hostile driver ----------------------------------------------------------------
 */

static void touch(struct arena *a, const struct chain *c, struct totals *t) {
    uint64_t readable = 0, writable = 0;
    CHECK(c->descriptors <= a->q->size, "seed %llu: %s: a chain of %u elements", (unsigned long long)a->seed,
          setup_name(&a->setup), c->descriptors);
    CHECK(c->slots >= 1 && c->slots <= a->q->size && c->head < a->q->size, "seed %llu: %s: %u slots from %u",
          (unsigned long long)a->seed, setup_name(&a->setup), c->slots, c->head);
    for (uint32_t i = 0; i < (uint32_t)c->out + c->in; i++) {
        const struct span *s = &c->spans[i];
        CHECK(memory_address(&a->pair->memory, s->host), "seed %llu: a piece outside of memory",
              (unsigned long long)a->seed);
        *(i < c->out ? &readable : &writable) += s->length;
        if (s->length == 0) continue;
        uint8_t first = peek8(s->host), last = peek8(s->host + s->length - 1);
        if (i < c->out) continue;
        own8(s->host, first);
        own8(s->host + s->length - 1, last);
    }
    CHECK(readable == c->readable && writable == c->writable, "seed %llu: %s: sums of pieces are wrong",
          (unsigned long long)a->seed, setup_name(&a->setup));
    t->chains++;
    t->dropped += c->reason != SOUND;
}

static void device_round(struct arena *a, struct totals *t) {
    struct vq *q = a->q;
    struct chain chains[BURST];
    struct done done[BURST];
    ring_start(q, (uint16_t)draw(&a->random), draw(&a->random) & 1);
    gaps(a, true);
    for (uint32_t i = 0; i < q->size && !q->packed; i++) bad_descriptor(a, q->desc + 2 * i, false);
    for (uint32_t burst = 0; burst < BURSTS_MAX && !q->dev.broken; burst++) {
        bad_driver(a);
        uint32_t n = q->ops->next(q, chains, BURST);
        CHECK(n <= BURST, "seed %llu: %u chains", (unsigned long long)a->seed, n);
        for (uint32_t i = 0; i < n; i++) {
            touch(a, &chains[i], t);
            done[i] =
                (struct done){(uint32_t)chains[i].writable, chains[i].id, chains[i].slots, chains[i].in > 0};
        }
        uint32_t keep = n ? below(&a->random, n + 1) : 0; /* some stay in the device's hands */
        q->ops->complete(q, done, n - keep, draw(&a->random) & 1);
        q->ops->flush(q);
        t->decisions += q->ops->call_needed(q);
        t->decisions += q->ops->kicks_on(q);
        q->ops->kicks_off(q);
    }
    gaps(a, false);
    CHECK(q->dev.broken <= TOO_LONG, "no reason has the number %d", (int)q->dev.broken);
    t->reason[q->dev.broken]++;
    t->refused += q->dev.broken != SOUND;
}

/* ---- our driver against a hostile device ----------------------------------------------------------------
 */

static void add_some(struct arena *a) {
    struct vq *q = a->q;
    struct seg segs[4];
    for (uint32_t tries = 1 + below(&a->random, 8); tries; tries--) {
        uint32_t token = 0, total = 1 + below(&a->random, q->size < 4 ? q->size : 4);
        while (token < q->size && a->out[token]) token++;
        if (token == q->size) break;
        uint16_t out = (uint16_t)below(&a->random, total + 1);
        a->writable[token] = 0;
        for (uint32_t i = 0; i < total; i++) {
            segs[i] = (struct seg){a->pair->scratch_address + below(&a->random, SCRATCH / 2),
                                   1 + below(&a->random, 100)};
            if (i >= out) a->writable[token] += segs[i].length;
        }
        struct buffer b = {segs, out, (uint16_t)(total - out), q->indirect && (draw(&a->random) & 1), token};
        if (q->ops->add(q, &b, 1) == 0) break;
        a->out[token] = 1;
        a->outstanding++;
    }
    q->ops->publish(q);
}

static void driver_round(struct arena *a, struct totals *t) {
    struct vq *q = a->q;
    struct returned got[BURST];
    ring_start(q, (uint16_t)draw(&a->random), draw(&a->random) & 1);
    gaps(a, true);
    memset(a->out, 0, q->size);
    a->outstanding = 0;
    for (uint32_t burst = 0; burst < 2 * BURSTS_MAX && !q->drv.broken; burst++) {
        add_some(a);
        bad_device(a);
        uint32_t n = q->ops->collect(q, got, 1 + below(&a->random, BURST));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t token = got[i].token;
            CHECK(token < q->size && a->out[token], "seed %llu: %s: token %u came back and was not out",
                  (unsigned long long)a->seed, setup_name(&a->setup), token);
            CHECK(got[i].length <= a->writable[token], "seed %llu: %s: %u bytes written into %u",
                  (unsigned long long)a->seed, setup_name(&a->setup), got[i].length, a->writable[token]);
            a->out[token] = 0;
            a->outstanding--;
        }
        t->collected += n;
        CHECK(q->drv.free <= q->size && q->drv.published - q->drv.collected == a->outstanding,
              "seed %llu: %s: the driver lost count", (unsigned long long)a->seed, setup_name(&a->setup));
        t->decisions += q->ops->kick_needed(q);
        t->decisions += q->ops->calls_on(q);
        q->ops->calls_off(q);
    }
    gaps(a, false);
    CHECK(q->drv.broken <= TOO_LONG, "no reason has the number %d", (int)q->drv.broken);
    t->reason[q->drv.broken]++;
    t->refused += q->drv.broken != SOUND;
}

/* ---- rounds -------------------------------------------------------------------------------------------- */

static void run_setup(const struct setup *setup, uint64_t seed, uint64_t rounds, struct totals *t) {
    struct setup s = *setup;
    s.scratch = SCRATCH;
    struct arena a = {.setup = s, .seed = seed, .random = hash64(seed)};
    a.pair = open_bare(&s);
    a.q = &a.pair->queue[0];
    guard(a.pair);
    a.out = calloc(s.size, 1);
    a.writable = calloc(s.size, sizeof *a.writable);
    uint8_t *room = malloc(snapshot_room(a.q, true));
    CHECK(a.out && a.writable && room, "out of memory");
    a.tame = 256;
    bad_tables(&a, SCRATCH / 16);
    for (uint64_t i = 0; i < rounds; i++) {
        a.tame = 4u << below(&a.random, 6);
        if (i & 1)
            driver_round(&a, t);
        else
            device_round(&a, t);
        size_t bytes = snapshot_take(a.pair, a.q, true, room);
        CHECK(bytes <= snapshot_room(a.q, true), "seed %llu: a snapshot of %zu bytes",
              (unsigned long long)seed, bytes);
        t->rounds++;
    }
    free(room);
    free(a.out);
    free(a.writable);
    unguard(&a.pair->memory);
    close_pair(a.pair);
}

int hostile_main(char **arguments) {
    options_known(arguments, "rounds seed");
    static const uint32_t sizes[2][5] = {{1, 2, 16, 256, 1024}, {1, 3, 7, 16, 257}};
    uint64_t rounds = option(arguments, "rounds", 1000), seed = option(arguments, "seed", 1);
    struct totals t = {0};
    double start = seconds_now();
    for (unsigned bits = 0; bits < 16; bits++)
        for (unsigned i = 0; i < 5; i++) {
            struct setup s = {.packed = bits & 1,
                              .indirect = bits & 2,
                              .event_idx = bits & 4,
                              .in_order = bits & 8,
                              .size = sizes[bits & 1][i]};
            uint64_t each =
                s.size > 100 ? rounds / 8 + 1 : rounds; /* starting a large ring is most of its round */
            run_setup(&s, seed * 1000 + bits * 10 + i, each, &t);
        }
    double took = seconds_now() - start;
    printf("hostile: %llu rounds, %llu chains handed out (%llu dropped), %llu buffers collected, %llu queues "
           "given up; "
           "%.0f chains/s, %.1f s; reasons:",
           (unsigned long long)t.rounds, (unsigned long long)t.chains, (unsigned long long)t.dropped,
           (unsigned long long)t.collected, (unsigned long long)t.refused, (double)t.chains / took, took);
    for (unsigned i = 1; i <= TOO_LONG; i++)
        if (t.reason[i]) printf(" %u:%llu", i, (unsigned long long)t.reason[i]);
    printf("\n");
    static const uint8_t expected[] = {HEAD_OUT_OF_RANGE, INDEX_JUMP,      CHAIN_LOOP,    BAD_ADDRESS,
                                       INDIRECT_LENGTH,   INDIRECT_NESTED, INDIRECT_NEXT, INDIRECT_REFUSED,
                                       WRITE_BEFORE_READ, ID_UNKNOWN,      USED_LENGTH,   USED_JUMP,
                                       ORDER_BROKEN,      DUPLICATE_HEAD};
    for (size_t i = 0; i < sizeof expected && rounds >= 200; i++)
        CHECK(t.reason[expected[i]], "%llu rounds never led to reason %u", (unsigned long long)t.rounds,
              expected[i]);
    return 0;
}

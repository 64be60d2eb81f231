/* fetch_once.c: every shared value is fetched once, and only what was fetched counts.
 *
 * A hook at the door changes memory right after each load: all bits, zero, all ones, or random. Whatever
 * the side does must be what it does when memory rests, since its copy is the same; and it must not load any
 * value twice, nor one that is none of its business (the driver never reads back what it wrote).
 */
#include "native.h"

#include <string.h>

#define LOADS_MAX   8192u
#define CHAINS_MAX  24u
#define PIECE_BYTES 64u
#define TABLE_MOST  8u

enum flip { REST, INVERT, CLEAR, FILL, RANDOM, FLIPS };

struct watch {
    enum flip flip;
    uint64_t random;
    const void *from[LOADS_MAX];
    unsigned width[LOADS_MAX];
    uint32_t loads;
};

static uint64_t flipped(struct watch *w, uint64_t value) {
    switch (w->flip) {
    case INVERT: return ~value;
    case CLEAR: return 0;
    case FILL: return UINT64_MAX;
    case RANDOM: return draw(&w->random);
    default: return value;
    }
}

static void on_load(void *context, const void *from, unsigned width) {
    struct watch *w = context;
    CHECK(w->loads < LOADS_MAX, "more than %u loads in one verb", LOADS_MAX);
    w->from[w->loads] = from;
    w->width[w->loads++] = width;
    if (w->flip == REST) return;
    void *to = (void *)(uintptr_t)from; /* ring memory: writable for both sides */
    if (width == 2)
        publish16(to, (uint16_t)flipped(w, observe16(to)));
    else if (width == 4)
        publish32(to, (uint32_t)flipped(w, observe32(to)));
    else
        publish64(to, flipped(w, observe64(to)));
}

static void arm(struct door *door, struct watch *w, enum flip flip, uint64_t seed) {
    memset(w, 0, sizeof *w);
    w->flip = flip;
    w->random = seed;
    door->on_load = on_load;
    door->context = w;
    flag_or(&door->armed, ARM_LOADS);
}
static void disarm(struct door *door) { flag_and(&door->armed, ~(uint32_t)ARM_LOADS); }

static void loaded_once(const struct watch *w, const char *what) {
    for (uint32_t i = 0; i < w->loads; i++)
        for (uint32_t j = i + 1; j < w->loads; j++) {
            uintptr_t a = (uintptr_t)w->from[i], b = (uintptr_t)w->from[j];
            CHECK(a + w->width[i] <= b || b + w->width[j] <= a, "%s: loads %u and %u fetch the same bytes",
                  what, i, j);
        }
}

/* ---- the same buffers in a fresh ring, every time ------------------------------------------------------ */

struct stage {
    struct setup setup;
    struct pair *pair;
    struct vq *q;
    uint32_t buffers, descriptors, tables, entries; /* what was made available */
};

static void stage_open(struct stage *s, const struct setup *setup, uint64_t seed) {
    *s = (struct stage){.setup = *setup};
    s->setup.scratch = 1u << 16;
    s->pair = open_bare(&s->setup);
    s->q = &s->pair->queue[0];
    uint64_t random = seed;
    while (s->buffers < CHAINS_MAX) {
        uint32_t most = setup->size < TABLE_MOST ? setup->size : TABLE_MOST, n = 1 + below(&random, most);
        struct seg segs[TABLE_MOST];
        for (uint32_t i = 0; i < n; i++)
            segs[i] = (struct seg){s->pair->scratch_address + PIECE_BYTES * below(&random, 512),
                                   1 + below(&random, PIECE_BYTES)};
        uint16_t out = (uint16_t)below(&random, n + 1);
        struct buffer b = {segs, out, (uint16_t)(n - out), setup->indirect && (draw(&random) & 1),
                           s->buffers};
        if (s->q->ops->add(s->q, &b, 1) == 0) break;
        s->buffers++;
        s->descriptors += b.table ? 1 : n;
        s->tables += b.table;
        s->entries += b.table ? n : 0;
    }
    s->q->ops->publish(s->q);
}

static void stage_close(struct stage *s) { close_pair(s->pair); }

/* What a verb made of it: numbers only, so that two runs can be compared as bytes. */
struct outcome {
    uint32_t count, broken, answer;
    struct {
        uint64_t position, readable, writable, at[2 * TABLE_MOST];
        uint32_t length[2 * TABLE_MOST], token, reason;
        uint16_t out, in, id, head, slots, descriptors, indirect;
    } of[CHAINS_MAX];
};

static void note_chains(struct outcome *o, const struct stage *s, const struct chain *chains, uint32_t n) {
    memset(o, 0, sizeof *o);
    o->count = n;
    o->broken = (uint32_t)s->q->dev.broken;
    for (uint32_t i = 0; i < n; i++) {
        const struct chain *c = &chains[i];
        o->of[i].position = c->position, o->of[i].readable = c->readable, o->of[i].writable = c->writable;
        o->of[i].out = c->out, o->of[i].in = c->in, o->of[i].id = c->id, o->of[i].head = c->head;
        o->of[i].slots = c->slots, o->of[i].descriptors = c->descriptors, o->of[i].indirect = c->indirect;
        o->of[i].reason = c->reason;
        for (uint32_t j = 0; j < (uint32_t)c->out + c->in; j++) {
            o->of[i].at[j] = memory_address(&s->pair->memory, c->spans[j].host);
            o->of[i].length[j] = c->spans[j].length;
        }
    }
}

static void note_returned(struct outcome *o, const struct stage *s, const struct returned *got, uint32_t n) {
    memset(o, 0, sizeof *o);
    o->count = n;
    o->broken = (uint32_t)s->q->drv.broken;
    for (uint32_t i = 0; i < n; i++) {
        o->of[i].position = got[i].position, o->of[i].token = got[i].token;
        o->of[i].length[0] = got[i].length, o->of[i].head = got[i].head;
    }
}

struct totals {
    uint64_t verbs, loads;
};

static void same(const struct outcome *rest, const struct outcome *now, const struct stage *s, enum flip flip,
                 const char *verb) {
    CHECK(memcmp(rest, now, sizeof *rest) == 0, "%s: %s depends on a second fetch (change %d)",
          setup_name(&s->setup), verb, (int)flip);
}

/* ---- the verbs ----------------------------------------------------------------------------------------- */

static bool inside(const void *p, const void *area, uint64_t bytes) {
    return (uintptr_t)p - (uintptr_t)area < bytes;
}

/* How many loads fell on descriptors and tables, checking that none fell elsewhere but on `also`. */
static uint32_t descriptor_loads(const struct stage *s, const struct watch *w, const void *also,
                                 uint64_t bytes) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->loads; i++) {
        bool desc = inside(w->from[i], s->q->desc, ring_desc_bytes(s->q->size));
        bool table = inside(w->from[i], s->q->drv.tables, 16ull * TABLE_ENTRIES * s->q->size);
        CHECK(desc || table || inside(w->from[i], also, bytes), "%s: load %u is of something else",
              setup_name(&s->setup), i);
        n += desc || table;
    }
    return n;
}

static void device_takes(const struct setup *setup, uint64_t seed, struct totals *t) {
    struct outcome rest, now;
    for (enum flip flip = REST; flip < FLIPS; flip++) {
        struct stage s;
        struct watch w;
        struct chain chains[CHAINS_MAX];
        stage_open(&s, setup, seed);
        arm(s.q->dev.door, &w, flip, seed);
        /* Of a full packed ring the slot behind the last buffer is that of the first: another question. */
        uint32_t n = s.q->ops->next(s.q, chains, s.descriptors == setup->size ? s.buffers : CHAINS_MAX);
        disarm(s.q->dev.door);
        note_chains(flip == REST ? &rest : &now, &s, chains, n);
        if (flip != REST) same(&rest, &now, &s, flip, "next");
        CHECK(n == s.buffers && !s.q->dev.broken, "%s: %u of %u taken", setup_name(setup), n, s.buffers);
        loaded_once(&w, setup_name(setup));
        uint32_t expected = 2 * (s.descriptors + s.entries);
        if (setup->packed) { /* the word behind the last one says that no more is available, unless full */
            uint32_t beyond = n < CHAINS_MAX && s.descriptors < setup->size;
            CHECK(descriptor_loads(&s, &w, NULL, 0) == expected + beyond, "%s: %u loads for %u words",
                  setup_name(setup), w.loads, expected);
        } else {
            CHECK(descriptor_loads(&s, &w, s.q->driver_area, ring_driver_bytes(s.q->size, false)) ==
                          expected &&
                      w.loads == expected + n + 1,
                  "%s: %u loads for %u words, %u entries and the index", setup_name(setup), w.loads, expected,
                  n);
        }
        t->verbs++;
        t->loads += w.loads;
        stage_close(&s);
    }
}

static void driver_collects(const struct setup *setup, bool batch, uint64_t seed, struct totals *t) {
    struct outcome rest, now;
    for (enum flip flip = REST; flip < FLIPS; flip++) {
        struct stage s;
        struct watch w;
        struct chain chains[CHAINS_MAX];
        struct done done[CHAINS_MAX];
        struct returned got[CHAINS_MAX];
        stage_open(&s, setup, seed);
        uint32_t n = s.q->ops->next(s.q, chains, CHAINS_MAX);
        for (uint32_t i = 0; i < n; i++)
            done[i] =
                (struct done){(uint32_t)chains[i].writable, chains[i].id, chains[i].slots, chains[i].in > 0};
        s.q->ops->complete(s.q, done, n, batch);
        s.q->ops->flush(s.q);
        arm(s.q->drv.door, &w, flip, seed);
        uint32_t m = s.q->ops->collect(s.q, got, CHAINS_MAX);
        disarm(s.q->drv.door);
        note_returned(flip == REST ? &rest : &now, &s, got, m);
        if (flip != REST) same(&rest, &now, &s, flip, "collect");
        CHECK(m == n && !s.q->drv.broken, "%s: %u of %u collected", setup_name(setup), m, n);
        loaded_once(&w, setup_name(setup));
        uint32_t elements = batch ? 1 : n;
        for (uint32_t i = 0; i < w.loads; i++) {
            const void *area = setup->packed ? (const void *)s.q->desc : (const void *)s.q->device_area;
            uint64_t bytes = setup->packed ? ring_desc_bytes(s.q->size) : ring_device_bytes(s.q->size, false);
            CHECK(inside(w.from[i], area, bytes), "%s: the driver loads what it wrote itself",
                  setup_name(setup));
            CHECK(!setup->packed || ((uintptr_t)w.from[i] & 15) == 8, "%s: the driver loads an address",
                  setup_name(setup));
        }
        if (setup->packed)
            CHECK(w.loads == elements || w.loads == elements + 1, "%s: %u loads for %u elements",
                  setup_name(setup), w.loads, elements);
        else
            CHECK(w.loads == 2 * elements + 1, "%s: %u loads for %u elements and the index",
                  setup_name(setup), w.loads, elements);
        t->verbs++;
        t->loads += w.loads;
        stage_close(&s);
    }
}

/* A decision to notify: one event value (packed: two halves of one structure), each loaded once. */
static void sides_decide(const struct setup *setup, uint64_t seed, struct totals *t) {
    struct outcome rest, now;
    for (enum flip flip = REST; flip < FLIPS; flip++) {
        struct stage s;
        struct watch w[2];
        struct chain chains[CHAINS_MAX];
        struct done done[CHAINS_MAX];
        stage_open(&s, setup, seed);
        arm(s.q->drv.door, &w[0], flip, seed);
        bool kick = s.q->ops->kick_needed(s.q);
        disarm(s.q->drv.door);
        uint32_t n = s.q->ops->next(s.q, chains, CHAINS_MAX);
        for (uint32_t i = 0; i < n; i++)
            done[i] = (struct done){0, chains[i].id, chains[i].slots, chains[i].in > 0};
        s.q->ops->complete(s.q, done, n, false);
        s.q->ops->flush(s.q);
        arm(s.q->dev.door, &w[1], flip, seed);
        bool call = s.q->ops->call_needed(s.q);
        disarm(s.q->dev.door);
        struct outcome *o = flip == REST ? &rest : &now;
        memset(o, 0, sizeof *o);
        o->answer = (uint32_t)kick << 1 | call;
        if (flip != REST) same(&rest, &now, &s, flip, "kick_needed or call_needed");
        for (int side = 0; side < 2; side++) {
            const uint16_t *area = side ? s.q->driver_area : s.q->device_area;
            loaded_once(&w[side], setup_name(setup));
            CHECK(w[side].loads == (setup->packed ? 2u : 1u), "%s: %u loads for a decision",
                  setup_name(setup), w[side].loads);
            for (uint32_t i = 0; i < w[side].loads; i++)
                CHECK(inside(w[side].from[i], area,
                             side ? ring_driver_bytes(s.q->size, setup->packed)
                                  : ring_device_bytes(s.q->size, setup->packed)),
                      "%s: a decision reads something else", setup_name(setup));
            t->verbs++;
            t->loads += w[side].loads;
        }
        stage_close(&s);
    }
}

int fetch_once_main(char **arguments) {
    options_known(arguments, "rounds seed");
    static const uint32_t sizes[2][6] = {{1, 2, 4, 16, 256, 0}, {1, 2, 3, 7, 16, 256}};
    uint64_t rounds = option(arguments, "rounds", 4), seed = option(arguments, "seed", 1);
    struct totals t = {0};
    for (uint64_t round = 0; round < rounds; round++)
        for (unsigned bits = 0; bits < 16; bits++)
            for (unsigned i = 0; i < 6 && sizes[bits & 1][i]; i++) {
                struct setup s = {.packed = bits & 1,
                                  .indirect = bits & 2,
                                  .event_idx = bits & 4,
                                  .in_order = bits & 8,
                                  .size = sizes[bits & 1][i],
                                  .index = (uint16_t)hash2(seed, round),
                                  .wrap = round & 1};
                uint64_t each = hash2(seed, round * 1000 + bits * 10 + i);
                device_takes(&s, each, &t);
                driver_collects(&s, false, each, &t);
                if (s.in_order) driver_collects(&s, true, each, &t);
                sides_decide(&s, each, &t);
            }
    printf("fetch_once: %llu verbs, %llu loads, memory changed behind each: every value fetched once\n",
           (unsigned long long)t.verbs, (unsigned long long)t.loads);
    return 0;
}

/* outside.c: rings of two other processes that are looked at while somebody scribbles in them.
 *
 * The memory is a file that this test writes through a mapping of its own; the engine's is read-only, and
 * lies between pages that nobody may touch as far as the kernel lets it. Whatever stands in the rings, a look
 * ends, counts nothing that cannot be, logs no frame that is longer than one can be, and the memory is what
 * it was. At the end the file is cut short under a thread that looks: the queue ends, the program does not.
 */
#define _GNU_SOURCE
#include "native.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "foreign.h"
#include "observe.h"

#define BYTES (1u << 20)
#define GUEST 0x40000000ull
#define USER  0x7f0000000000ull

struct scene {
    struct pair *pair;
    uint8_t *memory; /* ours, to scribble in */
    int fd;
    uint32_t size;
    bool packed, blocks;
    uint64_t random, seed;
    uint32_t at[2], wrap[2]; /* where an orderly driver goes on in each ring */
};

static void open_scene(struct scene *s) {
    struct pair_options o = {.pairs = 1,
                             .size = s->size,
                             .control_size = 16,
                             .buffer_bytes = 2048,
                             .trace_events = 1024,
                             .frame_bytes = 1u << 18,
                             .mtu = 1500,
                             .packed = s->packed,
                             .driver_theirs = true,
                             .device_theirs = true};
    s->fd = memfd_create("outside", MFD_CLOEXEC);
    CHECK(s->fd >= 0 && ftruncate(s->fd, BYTES) == 0, "no file");
    s->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    CHECK(s->memory != MAP_FAILED, "no memory");
    CHECK(posix_memalign((void **)&s->pair, 128, sizeof *s->pair) == 0 && pair_init(s->pair, &o) == 0,
          "no pair");
    uint64_t features = 1ull << F_VERSION_1 | (uint64_t)s->packed << F_RING_PACKED |
                        (draw(&s->random) & 1) << F_INDIRECT_DESC | (draw(&s->random) & 1) << F_EVENT_IDX |
                        (draw(&s->random) & 1) << F_IN_ORDER | (draw(&s->random) & 1) << F_NET_MRG_RXBUF;
    foreign_features(s->pair, features, 15);
    if (s->blocks) foreign_device(s->pair, BLOCK_DEVICE);
    CHECK(foreign_map(s->pair, GUEST, USER, BYTES, s->fd, 0) == 0, "not mapped");
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t at = USER + 0x20000ull * i;
        struct foreign_queue given = {.size = s->size,
                                      .desc = at,
                                      .driver = at + 0x8000,
                                      .device = at + 0x10000,
                                      .kick = -1,
                                      .call = -1};
        CHECK(foreign_start(s->pair, i, &given) == 0, "ring %u does not start", i);
    }
    flag_set(&s->pair->trace.frames.on, 1);
}

static void close_scene(struct scene *s) {
    close_pair(s->pair);
    munmap(s->memory, BYTES);
    close(s->fd);
}

/* A number that is often one that matters: near the size, near 2^16, an address inside, at the edge, outside.
 */
static uint64_t number(struct scene *s) {
    switch (below(&s->random, 8)) {
    case 0: return below(&s->random, 2 * s->size);
    case 1: return 65536 - below(&s->random, s->size);
    case 2: return GUEST + below(&s->random, BYTES);
    case 3: return GUEST + BYTES - below(&s->random, 64);
    case 4: return GUEST + 0x20000ull * below(&s->random, 2) + 16ull * below(&s->random, s->size);
    case 5: return draw(&s->random);
    default: return below(&s->random, 3000);
    }
}

static uint64_t word(struct scene *s) {
    static const uint16_t flags[] = {0, DESC_NEXT, DESC_WRITE, DESC_INDIRECT, DESC_NEXT | DESC_WRITE};
    uint64_t length = below(&s->random, 4) ? below(&s->random, 2000) : (uint32_t)number(s);
    uint64_t flag = flags[below(&s->random, 5)], id = number(s) & 0xffff;
    if (s->packed) return length | id << 32 | (flag | (draw(&s->random) & (DESC_AVAIL | DESC_USED))) << 48;
    return length | flag << 32 | id << 48;
}

static void put(struct scene *s, uint64_t at, const void *from, size_t bytes) {
    if (at + bytes <= BYTES) memcpy(s->memory + at, from, bytes);
}

/* One more buffer as an orderly driver and device would have it. */
static void orderly(struct scene *s, uint32_t index) {
    uint64_t ring = 0x20000ull * index, address = GUEST + 0x40000 + 2048ull * below(&s->random, 300), word;
    uint32_t slot = s->at[index] % s->size;
    uint16_t write = index ? 0 : DESC_WRITE, head = (uint16_t)slot, idx;
    put(s, ring + 16ull * slot, &address, 8);
    if (s->packed) {
        uint16_t bits = s->wrap[index] ? DESC_AVAIL : DESC_USED;
        if (below(&s->random, 3)) bits = s->wrap[index] ? DESC_AVAIL | DESC_USED : 0;
        word = 100 | (uint64_t)slot << 32 | (uint64_t)(write | bits) << 48;
        put(s, ring + 16ull * slot + 8, &word, 8);
        if (++s->at[index] % s->size == 0) s->wrap[index] ^= 1;
        return;
    }
    uint16_t used;
    memcpy(&used, s->memory + ring + 0x10002, 2);
    if ((uint16_t)(s->at[index] - used) < s->size) {
        word = 1000 | (uint64_t)write << 32;
        put(s, ring + 16ull * slot + 8, &word, 8);
        idx = (uint16_t)s->at[index]++;
        put(s, ring + 0x8004 + 2ull * (idx % s->size), &head, 2);
        idx++;
        put(s, ring + 0x8002, &idx, 2);
        if (below(&s->random, 3) == 0) return;
    }
    memcpy(&head, s->memory + ring + 0x8004 + 2ull * (used % s->size), 2);
    word = (uint64_t)100 << 32 | head;
    put(s, ring + 0x10004 + 8ull * (used % s->size), &word, 8);
    used++;
    put(s, ring + 0x10002, &used, 2);
}

/* Some stores of a driver or a device that has lost its mind, or of one that has kept most of it. */
static void scribble(struct scene *s) {
    if (s->seed % 4 < 2 || below(&s->random, 50)) {
        for (uint32_t n = 1 + below(&s->random, 4); n--;) orderly(s, below(&s->random, 2));
        if (s->seed % 4 < 2) return;
    }
    uint64_t ring = 0x20000ull * below(&s->random, 2), w, a;
    uint16_t half;
    for (uint32_t n = below(&s->random, 24); n--;) {
        uint32_t slot = below(&s->random, s->size);
        switch (below(&s->random, 6)) {
        case 0:
        case 1: a = number(s), put(s, ring + 16ull * slot, &a, 8); /* fall through */
        case 2: w = word(s), put(s, ring + 16ull * slot + 8, &w, 8); break;
        case 3: half = (uint16_t)number(s), put(s, ring + 0x8000 + 4 + 2ull * slot, &half, 2); break;
        case 4:
            w = number(s) << 32 | below(&s->random, s->size), put(s, ring + 0x10000 + 4 + 8ull * slot, &w, 8);
            break;
        default: w = draw(&s->random), put(s, below(&s->random, BYTES), &w, 8); break;
        }
    }
    uint16_t avail, used;
    memcpy(&avail, s->memory + ring + 0x8002, 2);
    memcpy(&used, s->memory + ring + 0x10002, 2);
    avail = (uint16_t)(avail + below(&s->random, below(&s->random, 5) ? 8 : 65536));
    used = (uint16_t)(used + below(&s->random, below(&s->random, 5) ? 8 : 65536));
    put(s, ring + 0x8002, &avail, 2);
    put(s, ring + 0x10002, &used, 2);
}

static uint64_t sum(const uint8_t *memory) {
    uint64_t total = 0, at;
    for (uint32_t i = 0; i < BYTES; i += 8) {
        memcpy(&at, memory + i, 8);
        total = hash2(total, at);
    }
    return total;
}

static void check(const struct scene *s, uint64_t round) {
    for (uint32_t i = 0; i < 2; i++) {
        const struct vq *q = &s->pair->queue[i];
        CHECK(q->dev.seen - q->drv.collected <= q->size, "seed %llu, round %llu: ring %u has %lld in flight",
              (unsigned long long)s->seed, (unsigned long long)round, i,
              (long long)(q->dev.seen - q->drv.collected));
        CHECK(q->drv.last_used < q->size || !q->packed, "round %llu: a place outside the ring",
              (unsigned long long)round);
        CHECK(s->blocks || q->observer->bytes <= q->observer->frames * NET_FRAME_MAX, "a frame too long");
    }
}

static void look(struct scene *s, uint64_t rounds, uint64_t *frames, uint64_t *missed) {
    static uint8_t room[1u << 20] __attribute__((aligned(8)));
    for (uint64_t i = 0; i < rounds; i++) {
        scribble(s);
        uint64_t before = i % 64 ? 0 : sum(s->memory);
        if (below(&s->random, 40) == 0) flag_set(&s->pair->trace.frames.on, below(&s->random, 2));
        for (uint32_t k = 0; k < 2; k++) observe_look(s->pair, &s->pair->queue[k]);
        check(s, i);
        if (below(&s->random, 16) == 0)
            for (uint32_t k = 0; k < 2; k++) {
                CHECK(snapshot_room(&s->pair->queue[k], true) <= sizeof room, "no room");
                snapshot_take(s->pair, &s->pair->queue[k], true, room);
            }
        if (i % 64 == 0)
            CHECK(sum(s->memory) == before, "seed %llu: memory was written", (unsigned long long)s->seed);
    }
    for (uint32_t k = 0; k < 2; k++) {
        *frames += s->pair->queue[k].observer->frames;
        *missed += s->pair->queue[k].observer->missed;
    }
}

/* The file gets shorter under the thread that looks. */
static void shrink(struct scene *s) {
    CHECK(pair_start(s->pair, false, false, false) == 0, "no thread");
    observe_every(s->pair, below(&s->random, 2) ? 0 : 20000);
    for (unsigned i = 0; i < 20; i++) scribble(s);
    CHECK(ftruncate(s->fd, 0) == 0, "not cut");
    for (unsigned i = 0; i < 10000 && flag_get(&s->pair->queue[0].enabled); i++) nap(1000);
    CHECK(!flag_get(&s->pair->queue[0].enabled), "it looks on where nothing is");
    CHECK(count_get(&s->pair->queue[0].dev.broken) == MEMORY_GONE, "not the reason");
}

int outside_main(char **arguments) {
    static const uint32_t sizes[] = {1, 2, 16, 64, 256};
    options_known(arguments, "rounds");
    uint64_t rounds = option(arguments, "rounds", 1000), frames = 0, missed = 0;
    double start = seconds_now();
    for (uint64_t i = 0; i < 40; i++) {
        struct scene s = {.packed = i & 1,
                          .blocks = i & 2,
                          .size = sizes[i / 4 % 5],
                          .random = i * 1000003,
                          .seed = i,
                          .wrap = {1, 1}};
        if (s.packed && s.size > 2) s.size -= i / 20 % 2;
        open_scene(&s);
        look(&s, rounds, &frames, &missed);
        shrink(&s);
        close_scene(&s);
    }
    printf("outside: %llu looks at rings that nobody keeps in order, %llu frames read, %llu buffers missed, "
           "memory"
           " never written; 40 files cut short; %.1f s\n",
           (unsigned long long)(40 * 2 * rounds), (unsigned long long)frames, (unsigned long long)missed,
           seconds_now() - start);
    return 0;
}

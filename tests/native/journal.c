/* journal.c: what the journal tells is what happened, while everything else
 * goes on.
 *
 * A network device floods, and the main thread freezes it, steps it, lets it
 * run, changes trace levels, breakpoints and faults at random. Between two
 * rests every row of both logs is taken in: numbers have no gap, each old value
 * is what stood there, and what comes out is the ring memory and the private
 * words of both sides as they are.
 */
#define _GNU_SOURCE
#include "native.h"

#include <string.h>

#include "breaks.h"
#include "fault.h"
#include "own.h"

#define ROWS (1u << 16)

struct image {
    uint64_t number, position[2];
    uint8_t *memory; /* all areas of all queues: from the first address to the last */
    struct own *own[3];
};
struct look {
    struct pair *pair;
    const struct setup *setup;
    uint64_t from, bytes;
    struct image then, now;
    struct event *rows;
    uint64_t windows, stores, owns, lost, stops, acts;
};

static uint8_t *at(const struct look *l, uint8_t *memory, uint64_t address) {
    CHECK(address >= l->from && address < l->from + l->bytes, "a store outside the rings: %llx",
          (unsigned long long)address);
    return memory + (address - l->from);
}

static void take(struct look *l, struct image *to) {
    struct pair *pair = l->pair;
    to->number = count_get(&pair->trace.number);
    for (int side = 0; side < 2; side++) to->position[side] = count_get(&pair->trace.log[side].head);
    const uint8_t *host = memory_translate(&pair->memory, l->from, l->bytes);
    for (uint64_t i = 0; i < l->bytes; i++) to->memory[i] = observe8(host + i);
    for (uint32_t i = 0; i < pair->queues; i++)
        memcpy(to->own[i], pair->queue[i].own, own_bytes(pair->queue[i].size));
}

static int by_number(const void *a, const void *b) {
    const struct event *x = a, *y = b;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return (y->kind == EV_OWN) - (x->kind == EV_OWN);
}

static void replay(struct look *l, const struct event *row) {
    uint64_t old = 0;
    if (row->kind == EV_STORE) {
        uint8_t *to = at(l, l->then.memory, row->place);
        memcpy(&old, to, row->count);
        CHECK(old == row->old, "%s: event %llu found %llx, not %llx", setup_name(l->setup),
              (unsigned long long)row->number, (unsigned long long)old, (unsigned long long)row->old);
        memcpy(to, &row->new, row->count);
        l->stores++;
    } else if (row->kind == EV_OWN) {
        uint8_t *to = (uint8_t *)l->then.own[row->queue] + row->place;
        memcpy(&old, to, 8);
        CHECK(old == row->old, "%s: word %llu of queue %u", setup_name(l->setup),
              (unsigned long long)row->place / 8, row->queue);
        memcpy(to, &row->new, 8);
        l->owns++;
    }
}

/* From one rest to the next; false where the logs were overwritten in between. */
static bool compare(struct look *l) {
    struct pair *pair = l->pair;
    uint64_t lost = 0, number = l->then.number;
    size_t n = 0;
    take(l, &l->now);
    for (int side = 0; side < 2; side++) {
        uint64_t position = l->then.position[side];
        n += trace_read(&pair->trace, side, &position, l->rows + n, ROWS, &lost);
    }
    l->lost += lost;
    if (lost) return false;
    qsort(l->rows, n, sizeof l->rows[0], by_number);
    for (size_t i = 0; i < n; i++) {
        const struct event *row = &l->rows[i];
        CHECK(row->number == number, "%s: event %llu is missing", setup_name(l->setup),
              (unsigned long long)number);
        if (row->kind != EV_OWN) number++;
        replay(l, row);
    }
    CHECK(number == l->now.number, "%s: the newest event is missing", setup_name(l->setup));
    CHECK(memcmp(l->then.memory, l->now.memory, l->bytes) == 0, "%s: ring memory differs",
          setup_name(l->setup));
    for (uint32_t i = 0; i < pair->queues; i++)
        CHECK(memcmp(l->then.own[i], l->now.own[i], own_bytes(pair->queue[i].size)) == 0,
              "%s: private words of queue %u differ", setup_name(l->setup), i);
    l->windows++;
    return true;
}

static void random_breaks(struct look *l, uint64_t *random) {
    struct break_rule rules[8] = {0};
    uint32_t n = below(random, 9);
    for (uint32_t i = 0; i < n; i++) {
        struct break_rule *r = &rules[i];
        r->id = i + 1;
        r->what = (uint8_t)(1 + below(random, 7));
        if (r->what == BREAK_FRAME) r->what = BREAK_CHAIN;
        r->side = (uint8_t)(below(random, 3) ? 255 : below(random, 2));
        r->queue = (uint16_t)(below(random, 2) ? 0xffff : below(random, l->pair->queues));
        r->kinds = below(random, 2) ? ~0u : 1u << (2 + below(random, 10));
        r->value = r->what == BREAK_PASSES ? l->pair->queue[1].drv.published + below(random, 200)
                                           : below(random, l->setup->size);
        if (r->what == BREAK_WRAP) r->value %= 3;
        r->period = below(random, 2) * below(random, 60);
        r->skip = below(random, 3);
        r->conditions = (uint8_t)below(random, 3);
        r->test[0].op = r->test[1].op = 5; /* >= 0: always */
    }
    CHECK(!breaks_check(l->pair, rules, n, NULL, 0), "the rules are sound");
    CHECK(breaks_set(l->pair, rules, n, NULL) == 0, "out of memory");
}

static void random_fault(struct look *l, uint64_t *random) {
    struct fault f = {.kind = (uint8_t)(FAULT_DROP_STORE + below(random, FAULT_IGNORE_ORDER)),
                      .side = (uint8_t)below(random, 2),
                      .queue = (uint16_t)(below(random, 2) ? 0xffff : below(random, l->pair->queues)),
                      .entry = ANY_ENTRY,
                      .index = below(random, 4) ? ANY_INDEX : below(random, 64),
                      .after = below(random, 20),
                      .count = below(random, 4),
                      .odds = below(random, 3),
                      .seed = below(random, 1000),
                      .value = below(random, 40)};
    if (f.kind <= FAULT_LAST_STORE) f.area = below(random, AREA_DESC_FLAGS + 1);
    fault_add(l->pair, &f);
}

/* Ring memory is made anew without stores: what came before is compared first. */
static void reset(struct look *l, uint32_t queue) {
    CHECK(pair_reset_queue(l->pair, queue) == 0, "%s: no rest for a reset", setup_name(l->setup));
    CHECK(pair_freeze(l->pair), "%s: did not come to rest", setup_name(l->setup));
    take(l, &l->then);
}

/* One thing that a user may do; the pair rests before and behind it. */
static void act(struct look *l, uint64_t *random, bool faults) {
    struct pair *pair = l->pair;
    l->acts++;
    switch (below(random, faults ? 10 : 8)) {
    case 0:
    case 1:
    case 2:
        gate_step(&pair->gate, (int)below(random, 2), (enum gate_point)below(random, 3),
                  1 + below(random, 30));
        break;
    case 3:
    case 4:
        pair_run(pair);
        nap(below(random, 300));
        break;
    case 5: random_breaks(l, random); break;
    case 6: pair_trace(pair, 2); break;
    case 7: reset(l, below(random, 2)); break;
    case 8: random_fault(l, random); break;
    case 9: fault_remove(pair, 0); break;
    }
    l->stops += flag_get(&pair->broke);
    pair_stopped(pair);
    CHECK(pair_freeze(pair), "%s: did not come to rest", setup_name(l->setup));
}

static void run_one(const struct setup *setup, uint64_t rounds, bool faults, struct look *total) {
    struct look l = {.pair = open_net(setup), .setup = setup};
    struct pair *pair = l.pair;
    uint64_t random = hash2(setup->size + 2u * setup->packed + 4u * setup->in_order, faults);
    port_flood(&pair->driver.port, 64);
    port_flood(&pair->device.port, 200);
    const struct vq *last = &pair->queue[pair->queues - 1];
    l.from = pair->queue[0].desc_address;
    l.bytes = last->drv.tables_address + 16ull * TABLE_ENTRIES * last->size * last->indirect - l.from;
    l.rows = malloc(2 * ROWS * sizeof *l.rows);
    for (int i = 0; i < 2; i++) {
        struct image *image = i ? &l.now : &l.then;
        image->memory = malloc(l.bytes);
        for (uint32_t k = 0; k < pair->queues; k++) image->own[k] = malloc(own_bytes(pair->queue[k].size));
    }
    pair_trace(pair, 2);
    CHECK(pair_start(pair, below(&random, 2), below(&random, 2), true) == 0, "no threads");
    take(&l, &l.then);
    for (uint64_t i = 0; i < rounds; i++) {
        act(&l, &random, faults);
        if (faults && (pair->queue[0].dev.broken || pair->queue[1].dev.broken || pair->queue[0].drv.broken ||
                       pair->queue[1].drv.broken)) {
            fault_remove(pair, 0);
            compare(&l);
            for (uint32_t k = 0; k < 2; k++) pair_reset_queue(pair, k);
            CHECK(pair_freeze(pair), "%s: did not come to rest", setup_name(l.setup));
            take(&l, &l.then);
            continue;
        }
        compare(&l);
        take(&l, &l.then);
    }
    total->windows += l.windows;
    total->stores += l.stores;
    total->owns += l.owns;
    total->lost += l.lost;
    total->stops += l.stops;
    total->acts += l.acts;
    for (uint32_t k = 0; k < pair->queues; k++) free(l.then.own[k]), free(l.now.own[k]);
    free(l.then.memory);
    free(l.now.memory);
    free(l.rows);
    close_pair(pair);
}

int journal_main(char **arguments) {
    static const uint32_t sizes[] = {1, 4, 16, 64};
    options_known(arguments, "rounds");
    uint64_t rounds = option(arguments, "rounds", 200);
    struct look total = {0};
    double start = seconds_now();
    for (unsigned i = 0; i < 64; i++) {
        struct setup s = {.packed = i & 1,
                          .indirect = i >> 1 & 1,
                          .event_idx = i >> 2 & 1,
                          .in_order = i >> 3 & 1,
                          .size = sizes[i >> 4] + (i & 1 && i >> 4 == 2 ? 1 : 0),
                          .index = 65530,
                          .wrap = i >> 2 & 1,
                          .buffer_bytes = 2048,
                          .traced = true};
        run_one(&s, rounds, i % 3 == 0, &total);
    }
    CHECK(total.windows * 2 > total.acts, "more than half of the windows were overwritten");
    printf("journal: %llu acts, %llu windows whole, %llu stores and %llu private "
           "words replayed, %llu stops at "
           "breakpoints, %llu rows overwritten; %.1f s\n",
           (unsigned long long)total.acts, (unsigned long long)total.windows,
           (unsigned long long)total.stores, (unsigned long long)total.owns, (unsigned long long)total.stops,
           (unsigned long long)total.lost, seconds_now() - start);
    return 0;
}

/* breaks.c: see breaks.h. */
#include "breaks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

#define KINDS  32u
#define WHATS  8u
#define WORDS  (RULES_MAX / 64)
#define GROUPS 256u
#define SHARED (GROUPS - 1) /* the group of all slots that are left when the others are given away */

struct set { /* of rules, a bit each */
    uint64_t w[WORDS];
};
/* What a side writes while it looks: in cache lines of its own. */
struct looked {
    _Alignas(128) uint64_t due[KINDS][QUEUES_MAX]; /* no PASSES rule matches before a count is beyond this */
    uint32_t kinds, wrap_kinds;                    /* of events that EVENT and WRAP rules wait for */
    struct set touched;         /* SLOT, HEAD, CHAIN and FRAME rules reached since its last event */
    uint16_t wraps[QUEUES_MAX]; /* avail_wrap | used_wrap << 1 at its last event */
};
struct breaks {
    struct looked side[2];
    size_t count;
    struct break_rule rule[RULES_MAX];
    uint32_t first_step[RULES_MAX];
    struct set of_what[WHATS], of_side[2], of_kind[KINDS], of_queue[QUEUES_MAX];
    struct set of_group[GROUPS]; /* SLOT and HEAD rules by the group of their slot */
    struct bpf_step *programs;
    uint8_t *watched; /* all queues end to end */
    _Alignas(128) struct break_state state[RULES_MAX];
};

/* ---- sets ------------------------------------------------------------------------------------------- */

static void put(struct set *s, size_t rule) { s->w[rule / 64] |= 1ull << rule % 64; }

static struct set both(const struct set *a, const struct set *b) {
    struct set s;
    for (size_t i = 0; i < WORDS; i++) s.w[i] = a->w[i] & b->w[i];
    return s;
}

static struct set without(const struct set *a, const struct set *b) {
    struct set s;
    for (size_t i = 0; i < WORDS; i++) s.w[i] = a->w[i] & ~b->w[i];
    return s;
}

static bool any_of(const struct set *s) {
    uint64_t any = 0;
    for (size_t i = 0; i < WORDS; i++) any |= s->w[i];
    return any;
}

#define NO_RULE RULES_MAX
/* The first rule of a set, taken out of it. */
static size_t take(struct set *s) {
    for (size_t i = 0; i < WORDS; i++)
        if (s->w[i]) {
            size_t bit = (size_t)__builtin_ctzll(s->w[i]);
            s->w[i] &= s->w[i] - 1;
            return 64 * i + bit;
        }
    return NO_RULE;
}
#define EACH(rule, among)                                                                                    \
    for (struct set left_ = (among), *once_ = &left_; once_; once_ = NULL)                                   \
        for (size_t rule; (rule = take(&left_)) != NO_RULE;)

static uint16_t wraps_of(const struct vq *q, unsigned side) {
    if (!q->packed) return 0;
    return side ? (uint16_t)(q->dev.avail_wrap | q->dev.used_wrap << 1)
                : (uint16_t)(q->drv.avail_wrap | q->drv.used_wrap << 1);
}

/* ---- setting ---------------------------------------------------------------------------------------- */

const char *breaks_check(const struct pair *pair, const struct break_rule *rules, size_t count,
                         const struct bpf_step *programs, size_t steps) {
    size_t at = 0;
    if (count > RULES_MAX) return "too many breakpoints";
    for (size_t i = 0; i < count; i++) {
        const struct break_rule *r = &rules[i];
        if (r->what < BREAK_PASSES || r->what > BREAK_WRAP || r->conditions > 2) return "no such breakpoint";
        if (r->queue != 0xffff && r->queue >= pair->queues) return "no such queue";
        for (unsigned c = 0; c < r->conditions; c++)
            if (r->test[c].word >= sizeof(struct own) / 8 || r->test[c].op > 5) return "no such condition";
        if (r->what == BREAK_WRAP && r->value > 2) return "no such wrap counter";
        if (r->what == BREAK_FRAME) {
            if (r->program == 0 || r->program > steps - at) return "a program is missing";
            const char *why = bpf_check(programs + at, r->program);
            if (why) return why;
        }
        at += r->program;
    }
    return NULL;
}

static bool of_slot(const struct break_rule *r) { return r->what == BREAK_SLOT || r->what == BREAK_HEAD; }

static void list_rules(struct breaks *b, uint32_t queues) {
    uint32_t step = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct break_rule *r = &b->rule[i];
        b->first_step[i] = step;
        step += r->program;
        put(&b->of_what[r->what], i);
        for (unsigned side = 0; side < 2; side++)
            if (r->side == 255 || r->side == side) put(&b->of_side[side], i);
        for (unsigned kind = 0; kind < KINDS; kind++)
            if (r->kinds >> kind & 1) put(&b->of_kind[kind], i);
        for (unsigned queue = 0; queue < queues; queue++)
            if (r->queue == 0xffff || r->queue == queue) put(&b->of_queue[queue], i);
    }
}

/* Gives the slots that rules name a group each, while there are any. */
static void group_slots(struct breaks *b, uint8_t *group) {
    uint64_t slot_of[GROUPS];
    unsigned groups = 1, g;
    for (size_t i = 0; i < b->count; i++) {
        if (!of_slot(&b->rule[i])) continue;
        for (g = 1; g < groups && g < SHARED && slot_of[g] != b->rule[i].value;) g++;
        if (g == groups && groups < SHARED) slot_of[groups++] = b->rule[i].value;
        group[i] = (uint8_t)g;
        put(&b->of_group[g], i);
    }
}

static void watch_queue(struct breaks *b, struct vq *q, const uint8_t *group, uint8_t *watched) {
    q->watched = watched;
    q->watching = false;
    q->longest = UINT32_MAX;
    EACH(i, b->of_queue[q->index]) {
        const struct break_rule *r = &b->rule[i];
        if (r->what == BREAK_CHAIN && r->value < q->longest) q->longest = (uint32_t)r->value;
        if (!of_slot(r) || r->value >= q->size) continue;
        watched[r->value] = group[i];
        q->watching = true;
    }
}

static uint32_t kinds_of(const struct breaks *b, unsigned side, enum break_what what) {
    uint32_t kinds = 0;
    EACH(i, both(&b->of_side[side], &b->of_what[what])) kinds |= b->rule[i].kinds;
    return kinds;
}

int breaks_set(struct pair *pair, const struct break_rule *rules, size_t count,
               const struct bpf_step *programs) {
    size_t steps = 0, slots = 0;
    for (size_t i = 0; i < count; i++) steps += rules[i].program;
    for (uint32_t i = 0; i < pair->queues; i++) slots += pair->queue[i].size;
    struct breaks *b = aligned_alloc(_Alignof(struct breaks), sizeof *b);
    if (b) {
        memset(b, 0, sizeof *b);
        b->programs = calloc(steps + 1, sizeof *b->programs);
        b->watched = calloc(slots + sizeof(uint64_t), 1);
    }
    if (!b || !b->programs || !b->watched) {
        if (b) free(b->programs), free(b->watched);
        free(b);
        errno = ENOMEM;
        return -1;
    }
    breaks_free(pair);
    b->count = count;
    memcpy(b->rule, rules, count * sizeof *rules);
    if (steps) memcpy(b->programs, programs, steps * sizeof *programs);
    list_rules(b, pair->queues);
    uint8_t *watched = b->watched, group[RULES_MAX] = {0};
    group_slots(b, group);
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        watch_queue(b, q, group, watched);
        watched += q->size;
        for (unsigned side = 0; side < 2; side++) b->side[side].wraps[i] = wraps_of(q, side);
        for (uint32_t id = 0; q->dev.heads && id < q->size; id++) {
            q->dev.heads[id] = q->drv.flight[id].head;
            if (is_taken(q, (uint16_t)id)) q->dev.taken[id] |= WATCHED;
        }
    }
    pair->breaks = b;
    struct side *sides[2] = {&pair->driver, &pair->device};
    for (unsigned side = 0; side < 2; side++) {
        struct looked *at = &b->side[side];
        at->kinds = kinds_of(b, side, BREAK_EVENT);
        at->wrap_kinds = kinds_of(b, side, BREAK_WRAP);
        sides[side]->door.break_kinds = at->kinds | at->wrap_kinds | kinds_of(b, side, BREAK_PASSES);
        sides[side]->door.break_reached = false;
    }
    bool ids = any_of(&b->of_what[BREAK_SLOT]) || any_of(&b->of_what[BREAK_HEAD]) ||
               any_of(&b->of_what[BREAK_CHAIN]);
    pair_arm(pair, (count ? ARM_BREAK : 0) | (ids ? ARM_IDS : 0), 0);
    return 0;
}

void breaks_free(struct pair *pair) {
    pair_arm(pair, 0, ARM_BREAK | ARM_IDS);
    if (!pair->breaks) return;
    free(pair->breaks->programs);
    free(pair->breaks->watched);
    free(pair->breaks);
    pair->breaks = NULL;
}

size_t breaks_count(const struct pair *pair) { return pair->breaks ? pair->breaks->count : 0; }

struct break_state breaks_state(const struct pair *pair, size_t rule) {
    const struct break_state *s = &pair->breaks->state[rule];
    return (struct break_state){count_get(&s->hits), count_get(&s->stopped), flag_get(&s->disarmed)};
}

void breaks_queue_reset(struct pair *pair, uint32_t queue) {
    struct breaks *b = pair->breaks;
    if (!b) return;
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned kind = 0; kind < KINDS; kind++) b->side[side].due[kind][queue] = 0;
        b->side[side].wraps[queue] = wraps_of(&pair->queue[queue], side);
    }
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static void reached(struct breaks *b, struct door *door, const struct set *rules) {
    struct set *touched = &b->side[door->side].touched;
    for (size_t i = 0; i < WORDS; i++) touched->w[i] |= rules->w[i];
    door->break_reached = true;
}

static uint32_t next_slot(const struct vq *q, uint32_t slot) {
    return q->packed ? (slot + 1 == q->size ? 0 : slot + 1) : q->drv.next_free[slot];
}

/* The descriptors of a split buffer follow each other in the list that they were taken from, which the driver
 * leaves alone until it has collected them. */
void breaks_touch(struct vq *q, struct door *door, uint16_t head, uint32_t slots, uint32_t elements) {
    struct breaks *b = door->owner->breaks;
    const struct set *here = &b->of_queue[q->index];
    struct set found = {0};
    if (elements > q->longest) EACH(i, both(here, &b->of_what[BREAK_CHAIN]))
    if (elements > b->rule[i].value) put(&found, i);
    for (uint32_t slot = head; slots-- && slot < q->size; slot = next_slot(q, slot)) {
        uint8_t group = q->watched[slot];
        if (LIKELY(!group)) continue;
        struct set rules = both(here, &b->of_group[group]);
        if (slot != head) rules = without(&rules, &b->of_what[BREAK_HEAD]);
        if (group != SHARED)
            reached(b, door, &rules);
        else
            EACH(i, rules) if (b->rule[i].value == slot) put(&found, i);
    }
    if (any_of(&found)) reached(b, door, &found);
}

void breaks_chains(struct vq *q, const struct chain *chains, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const struct chain *c = &chains[i];
        uint32_t elements = (uint32_t)c->out + c->in;
        if (LIKELY(c->slots == 1 && elements <= q->longest && !q->watched[c->head])) continue;
        q->dev.taken[c->id] |= WATCHED;
        q->dev.heads[c->id] = c->head;
        breaks_touch(q, q->dev.door, c->head, c->slots, elements);
    }
}

void breaks_done(struct vq *q, const struct done *done, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint16_t head = q->packed ? q->dev.heads[done[i].id] : done[i].id;
        if (head < q->size && UNLIKELY(done[i].slots != 1 || q->watched[head]))
            breaks_touch(q, q->dev.door, head, done[i].slots, 0);
    }
}

bool breaks_in_run(const struct vq *q, uint32_t first, uint32_t count) {
    uint32_t slot = first;
    for (uint32_t i = 0, n; i < count; i += n, slot = slot + n == q->size ? 0 : slot + n) {
        uint64_t eight;
        memcpy(&eight, q->watched + slot,
               n = sizeof eight); /* the last queue's has room for this behind it */
        if (n > count - i) n = count - i;
        if (n > q->size - slot) n = q->size - slot;
        if (eight) return true; /* or in the next slot that is not asked for: then nothing comes of it */
    }
    return false;
}

void breaks_singles(struct vq *q, uint32_t first, uint32_t count, uint32_t elements) {
    for (uint32_t i = 0; i < count; i++) {
        uint16_t slot = (uint16_t)((first + i) % q->size);
        if (UNLIKELY(elements > q->longest || q->watched[slot]))
            breaks_touch(q, q->drv.door, slot, 1, elements);
    }
}

bool breaks_watch_frames(const struct pair *pair) {
    return pair->breaks && any_of(&pair->breaks->of_what[BREAK_FRAME]);
}

void breaks_frame(struct side *device, const uint8_t *data, uint32_t length) {
    struct breaks *b = device->pair->breaks;
    struct set found = {0};
    EACH(i, b->of_what[BREAK_FRAME])
    if (bpf_run(b->programs + b->first_step[i], data, length, length)) put(&found, i);
    if (any_of(&found)) reached(b, &device->door, &found);
}

/* One event being looked at, and those words of the own image that conditions have asked for. */
struct looking {
    struct door *door;
    enum event_kind kind;
    uint64_t number, known[2]; /* a bit a word */
    uint64_t words[sizeof(struct own) / 8];
};
_Static_assert(sizeof(struct own) / 8 <= 128, "looking.known");

static uint64_t word_of(struct looking *l, uint16_t word) {
    if (!(l->known[word / 64] >> word % 64 & 1)) {
        struct pair *pair = l->door->owner;
        struct vq *q = &pair->queue[l->door->queue];
        const size_t driver = sizeof(struct driver_state) / 8;
        l->words[word] = word < driver ? snapshot_driver_word(pair, q, word)
                                       : snapshot_device_word(pair, q, word - driver);
        l->known[word / 64] |= 1ull << word % 64;
    }
    return l->words[word];
}

static bool conditions_hold(const struct break_rule *r, struct looking *l) {
    for (unsigned i = 0; i < r->conditions; i++) {
        const struct break_test *t = &r->test[i];
        uint64_t is = word_of(l, t->word);
        bool below = is < t->value, same = is == t->value;
        bool holds[] = {same, !same, below, below || same, !below && !same, !below};
        if (!holds[t->op]) return false;
    }
    return true;
}

/* A rule whose matter has come up: counted, and whether it wants a stop. */
static bool hit(struct looking *l, size_t rule) {
    struct door *door = l->door;
    struct breaks *b = door->owner->breaks;
    const struct break_rule *r = &b->rule[rule];
    struct break_state *s = &b->state[rule];
    if (flag_get(&s->disarmed) || !conditions_hold(r, l)) return false;
    uint64_t hits = ticket_take(&s->hits) + 1;
    if (hits <= r->skip) return false;
    if (r->once) flag_set(&s->disarmed, 1);
    count_set(&s->stopped, l->number);
    door_break(door, r->id, l->number);
    return true;
}

/* Where `old` -> `new` first goes past a point of the rule, or will: the count that must be exceeded. */
static uint64_t next_point(const struct break_rule *r, uint64_t from) {
    if (r->period == 0) return r->value >= from ? r->value : UINT64_MAX;
    if (from <= r->value) return r->value;
    return r->value + (from - r->value + r->period - 1) / r->period * r->period;
}

static bool passes(struct looking *l, const struct set *here, uint64_t old, uint64_t new) {
    struct door *door = l->door;
    struct breaks *b = door->owner->breaks;
    uint64_t due = UINT64_MAX;
    bool stop = false;
    EACH(i, both(here, &b->of_what[BREAK_PASSES])) {
        const struct break_rule *r = &b->rule[i];
        if (next_point(r, old) < new) stop |= hit(l, i);
        uint64_t next = next_point(r, new);
        if (next < due) due = next;
    }
    b->side[door->side].due[l->kind][door->queue] = due;
    return stop;
}

static bool flipped(const struct break_rule *r, uint16_t change) {
    return r->value == 0 ? change != 0 : change >> (r->value - 1) & 1;
}

bool breaks_event(struct door *door, enum event_kind kind, uint64_t number, uint16_t count, uint64_t place,
                  uint64_t old, uint64_t new) {
    struct breaks *b = door->owner->breaks;
    unsigned side = door->side, queue = door->queue;
    struct looked *at = &b->side[side];
    struct looking l;
    l.door = door;
    l.kind = kind;
    l.number = number;
    l.known[0] = l.known[1] = 0;
    bool stop = false;
    bool counted = kind == EV_ADD || kind == EV_NEXT || kind == EV_COMPLETE;
    uint64_t from = counted ? place : old, to = counted ? place + count : new;
    bool due = to > at->due[kind][queue], awaited = at->kinds >> kind & 1;
    uint16_t flips = 0;
    if (at->wrap_kinds >> kind & 1) flips = at->wraps[queue] ^ wraps_of(&door->owner->queue[queue], side);
    if (LIKELY(!due && !awaited && !flips && !door->break_reached)) return false;
    struct set here = both(&b->of_side[side], &b->of_queue[queue]);
    here = both(&here, &b->of_kind[kind]);
    if (due) stop |= passes(&l, &here, from, to);
    if (awaited) EACH(i, both(&here, &b->of_what[BREAK_EVENT]))
    if (b->rule[i].value == 0 || b->rule[i].value == new) stop |= hit(&l, i);
    if (flips) EACH(i, both(&here, &b->of_what[BREAK_WRAP]))
    if (flipped(&b->rule[i], flips)) stop |= hit(&l, i);
    at->wraps[queue] ^= flips;
    if (UNLIKELY(door->break_reached)) {
        EACH(i, both(&at->touched, &here)) stop |= hit(&l, i);
        /* Where something else came between a frame and its event: later. */
        at->touched = both(&at->touched, &b->of_what[BREAK_FRAME]);
        at->touched = without(&at->touched, &b->of_kind[kind]);
        door->break_reached = any_of(&at->touched);
    }
    return stop;
}

/* breaks.c: see breaks.h. */
#include "breaks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

#define KINDS 32u
#define WORDS (RULES_MAX / 64)

struct breaks {
    size_t count;
    struct break_rule rule[RULES_MAX];
    struct break_state state[RULES_MAX];
    uint32_t first_step[RULES_MAX];
    uint8_t listed[KINDS][RULES_MAX]; /* EVENT and WRAP rules by kind */
    uint32_t listing[KINDS];
    uint32_t passing[KINDS];            /* PASSES rules of a kind */
    uint64_t due[2][KINDS][QUEUES_MAX]; /* of a side: no PASSES rule matches before a count is beyond this */
    uint64_t touched[2][WORDS]; /* SLOT, HEAD, CHAIN and FRAME rules reached since a side's last event */
    uint32_t any[2];
    uint16_t wraps[2][QUEUES_MAX]; /* avail_wrap | used_wrap << 1 at a side's last event */
    uint32_t frames;               /* FRAME rules */
    struct bpf_step *programs;
    uint64_t *watched; /* all queues end to end */
};

static bool applies(const struct break_rule *rule, unsigned side, unsigned queue, enum event_kind kind) {
    return (rule->side == 255 || rule->side == side) && (rule->queue == 0xffff || rule->queue == queue) &&
           rule->kinds >> kind & 1;
}

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

static void watch_queue(struct breaks *b, struct vq *q, uint64_t *watched) {
    q->watched = watched;
    q->longest = UINT32_MAX;
    for (size_t i = 0; i < b->count; i++) {
        const struct break_rule *r = &b->rule[i];
        if (r->queue != 0xffff && r->queue != q->index) continue;
        if (r->what == BREAK_CHAIN && r->value < q->longest) q->longest = (uint32_t)r->value;
        if ((r->what == BREAK_SLOT || r->what == BREAK_HEAD) && r->value < q->size)
            watched[r->value / 64] |= 1ull << r->value % 64;
    }
}

static void list_rules(struct breaks *b, uint32_t *arm) {
    uint32_t step = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct break_rule *r = &b->rule[i];
        b->first_step[i] = step;
        step += r->program;
        b->frames += r->what == BREAK_FRAME;
        if (r->what == BREAK_SLOT || r->what == BREAK_HEAD || r->what == BREAK_CHAIN) *arm |= ARM_IDS;
        for (unsigned kind = 0; kind < KINDS; kind++) {
            if (!(r->kinds >> kind & 1)) continue;
            if (r->what == BREAK_EVENT || r->what == BREAK_WRAP)
                b->listed[kind][b->listing[kind]++] = (uint8_t)i;
            b->passing[kind] += r->what == BREAK_PASSES;
        }
    }
}

int breaks_set(struct pair *pair, const struct break_rule *rules, size_t count,
               const struct bpf_step *programs) {
    size_t steps = 0, words = 0;
    for (size_t i = 0; i < count; i++) steps += rules[i].program;
    for (uint32_t i = 0; i < pair->queues; i++) words += pair->queue[i].size / 64 + 1;
    struct breaks *b = calloc(1, sizeof *b);
    if (b) {
        b->programs = calloc(steps + 1, sizeof *b->programs);
        b->watched = calloc(words, sizeof *b->watched);
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
    uint32_t arm = count ? ARM_BREAK : 0;
    list_rules(b, &arm);
    uint64_t *watched = b->watched;
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        watch_queue(b, q, watched);
        watched += q->size / 64 + 1;
        for (unsigned side = 0; side < 2; side++) b->wraps[side][i] = wraps_of(q, side);
        for (uint32_t id = 0; q->dev.heads && id < q->size; id++) q->dev.heads[id] = q->drv.flight[id].head;
    }
    pair->breaks = b;
    pair_arm(pair, arm, 0);
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
        for (unsigned kind = 0; kind < KINDS; kind++) b->due[side][kind][queue] = 0;
        b->wraps[side][queue] = wraps_of(&pair->queue[queue], side);
    }
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static void reached(struct breaks *b, unsigned side, size_t rule) {
    b->touched[side][rule / 64] |= 1ull << rule % 64;
    b->any[side] = 1;
}

/* The descriptors of a split buffer follow each other in the list that they were taken from, which the driver
 * leaves alone until it has collected them. */
static bool holds(const struct vq *q, uint32_t slot, uint32_t slots, uint64_t wanted) {
    for (uint32_t i = 0; i < slots && slot < q->size; i++) {
        if (slot == wanted) return true;
        slot = q->packed ? (slot + 1 == q->size ? 0 : slot + 1) : q->drv.next_free[slot];
    }
    return false;
}

void breaks_touch(struct vq *q, struct door *door, uint16_t head, uint32_t slots, uint32_t elements) {
    struct breaks *b = door->owner->breaks;
    for (size_t i = 0; i < b->count; i++) {
        const struct break_rule *r = &b->rule[i];
        if (r->queue != 0xffff && r->queue != q->index) continue;
        if ((r->what == BREAK_SLOT && holds(q, head, slots, r->value)) ||
            (r->what == BREAK_HEAD && head == r->value) || (r->what == BREAK_CHAIN && elements > r->value))
            reached(b, door->side, i);
    }
}

bool breaks_watch_frames(const struct pair *pair) { return pair->breaks && pair->breaks->frames; }

void breaks_frame(struct side *device, const uint8_t *data, uint32_t length) {
    struct breaks *b = device->pair->breaks;
    for (size_t i = 0; i < b->count; i++)
        if (b->rule[i].what == BREAK_FRAME && bpf_run(b->programs + b->first_step[i], data, length, length))
            reached(b, device->door.side, i);
}

/* One event being looked at: what it is, and the words that conditions ask for, once any does. */
struct looking {
    struct door *door;
    enum event_kind kind;
    uint64_t number;
    bool known;
    struct {
        struct driver_state driver;
        struct device_state device;
    } now;
};
_Static_assert(sizeof((struct looking){0}.now) == sizeof(struct own), "the words of an own image");

static bool conditions_hold(const struct break_rule *r, struct looking *l) {
    if (r->conditions == 0) return true;
    if (!l->known) {
        struct pair *pair = l->door->owner;
        struct vq *q = &pair->queue[l->door->queue];
        snapshot_driver(&l->now.driver, pair, q);
        snapshot_device(&l->now.device, pair, q);
        l->known = true;
    }
    for (unsigned i = 0; i < r->conditions; i++) {
        const struct break_test *t = &r->test[i];
        uint64_t is = ((const uint64_t *)(const void *)&l->now)[t->word];
        bool holds_[] = {is == t->value, is != t->value, is<t->value, is <= t->value, is> t->value,
                         is >= t->value};
        if (!holds_[t->op]) return false;
    }
    return true;
}

/* Every rule whose matter has come up: counted, and whether it wants a stop. */
static bool hit(struct looking *l, size_t rule) {
    struct door *door = l->door;
    struct breaks *b = door->owner->breaks;
    const struct break_rule *r = &b->rule[rule];
    struct break_state *s = &b->state[rule];
    if (!applies(r, door->side, door->queue, l->kind) || flag_get(&s->disarmed) || !conditions_hold(r, l))
        return false;
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

static bool passes(struct looking *l, uint64_t old, uint64_t new) {
    struct door *door = l->door;
    struct breaks *b = door->owner->breaks;
    uint64_t due = UINT64_MAX;
    bool stop = false;
    for (size_t i = 0; i < b->count; i++) {
        const struct break_rule *r = &b->rule[i];
        if (r->what != BREAK_PASSES || !applies(r, door->side, door->queue, l->kind)) continue;
        if (next_point(r, old) < new) stop |= hit(l, i);
        uint64_t next = next_point(r, new);
        if (next < due) due = next;
    }
    b->due[door->side][l->kind][door->queue] = due;
    return stop;
}

static bool flipped(const struct break_rule *r, uint16_t change) {
    return r->value == 0 ? change != 0 : change >> (r->value - 1) & 1;
}

bool breaks_event(struct door *door, enum event_kind kind, uint64_t number, uint16_t count, uint64_t place,
                  uint64_t old, uint64_t new) {
    struct breaks *b = door->owner->breaks;
    unsigned side = door->side, queue = door->queue;
    struct looking l;
    l.door = door;
    l.kind = kind;
    l.number = number;
    l.known = false;
    bool stop = false;
    if (b->passing[kind]) {
        bool counted = kind == EV_ADD || kind == EV_NEXT || kind == EV_COMPLETE;
        uint64_t from = counted ? place : old, to = counted ? place + count : new;
        if (UNLIKELY(to > b->due[side][kind][queue])) stop |= passes(&l, from, to);
    }
    if (b->listing[kind]) {
        uint16_t now = wraps_of(&door->owner->queue[queue], side), change = now ^ b->wraps[side][queue];
        b->wraps[side][queue] = now;
        for (uint32_t i = 0; i < b->listing[kind]; i++) {
            size_t rule = b->listed[kind][i];
            const struct break_rule *r = &b->rule[rule];
            if (r->what == BREAK_WRAP ? flipped(r, change) : r->value == 0 || r->value == new)
                stop |= hit(&l, rule);
        }
    }
    if (UNLIKELY(b->any[side])) {
        uint64_t touched[WORDS];
        memcpy(touched, b->touched[side], sizeof touched);
        memset(b->touched[side], 0, sizeof touched);
        b->any[side] = 0;
        for (size_t i = 0; i < b->count; i++) {
            if (!(touched[i / 64] >> i % 64 & 1)) continue;
            if (b->rule[i].what == BREAK_FRAME && !(b->rule[i].kinds >> kind & 1))
                reached(b, side, i); /* something else came between the frame and its event */
            else
                stop |= hit(&l, i);
        }
    }
    return stop;
}

/* store.h: the one door to ring memory, and the only file that spells memory orders.
 *
 * Every access to descriptor tables, driver and device areas and indirect tables goes through here. With
 * nothing armed that is one well-predicted compare and the plain access. Armed, the slow path in door.c
 * counts and intercepts loads, holds stores at the gate, and journals them.
 *
 * Natural width throughout: a descriptor is two 64-bit words, an index or an event field 16 bits.
 * release_*() pairs with acquire_*() of the same field on the other side; full_fence() stands only in the
 * notification handshake, where a side writes one field and then reads another.
 */
#ifndef RINGSCOPE_STORE_H
#define RINGSCOPE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gate.h"
#include "memory.h"
#include "trace.h"

enum {
    ARM_JOURNAL = 1,      /* write each store to the event log */
    ARM_GATE = 2,         /* hold each store until it is granted */
    ARM_LOADS = 4,        /* count loads and call on_load */
    ARM_FAULT = 8,        /* ask fault.h about each store */
    ARM_DOOR = 0xff,      /* any of these sends accesses down the slow path */
    ARM_OPERATIONS = 256, /* write operations to the event log: no business of the door */
    ARM_BREAK = 512,      /* breakpoints are set */
    ARM_IDS = 1024        /* and some of them concern the slots or the length of a buffer */
};

struct held_store { /* fault.h */
    void *to;
    uint64_t value;
    uint32_t width, left;
    uint16_t queue;
    bool stays; /* over the end of a turn */
};
struct door {
    uint32_t armed; /* read with every access, written from outside: atomic */
    uint16_t queue; /* whose memory is being written, for the journal */
    uint8_t side;
    struct trace *trace;
    struct gate *gate;
    const struct memory *memory;
    uint64_t loads;
    void (*on_load)(void *context, const void *from, unsigned width);
    void *context;
    struct pair *owner;
    uint32_t break_kinds; /* breaks.c: event kinds that rules wait for, */
    bool break_reached;   /* and whether one was reached since the last event */
    struct held_store held[16];
    uint32_t held_count;
    struct event *batch; /* [BATCH_MAX] rows that wait for their numbers: stores, then EV_OWN rows */
    uint32_t batched, batched_stores;
    bool batching;     /* nobody can act on the stores of this operation before its event */
    uint64_t reserved; /* number that EV_OWN rows took for the event behind them; 0: none */
};

#define BATCH_MAX 256u

/* door.c */
void door_store(struct door *door, void *to, uint64_t value, unsigned width);
void door_load(struct door *door, const void *from, unsigned width);

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline uint32_t armed(const struct door *door) {
    return __atomic_load_n(&door->armed, __ATOMIC_RELAXED);
}

/* Words of our own that another thread reads: counters and positions. */
static inline uint64_t count_get(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void count_set(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint64_t count_peek(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void count_put(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void count_add(uint64_t *p, uint64_t n) { count_put(p, count_peek(p) + n); }
static inline uint32_t flag_get(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void flag_set(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint32_t flag_or(uint32_t *p, uint32_t v) { return __atomic_fetch_or(p, v, __ATOMIC_ACQ_REL); }
static inline uint32_t flag_and(uint32_t *p, uint32_t v) {
    return __atomic_fetch_and(p, v, __ATOMIC_ACQ_REL);
}
static inline void *pointer_get(void *p) { return __atomic_load_n((void **)p, __ATOMIC_ACQUIRE); }
static inline void pointer_set(void *p, void *v) { __atomic_store_n((void **)p, v, __ATOMIC_RELEASE); }
static inline void *pointer_swap(void *p, void *v) {
    return __atomic_exchange_n((void **)p, v, __ATOMIC_ACQ_REL);
}
static inline uint64_t ticket_take_many(uint64_t *p, uint64_t n) {
    return __atomic_fetch_add(p, n, __ATOMIC_ACQ_REL);
}
static inline uint64_t ticket_take(uint64_t *p) { return ticket_take_many(p, 1); }

/* The same for narrow fields of a half: written by its one thread, read by the snapshot. */
static inline void own16(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint16_t peek16(const uint16_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void own8(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint8_t peek8(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }

/* The bare stores behind the slow path. */
static inline void publish8(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void publish16(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void publish32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void publish64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* What an observer does: no door, since it never writes and belongs to no side. */
static inline uint8_t observe8(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline uint16_t observe16(const uint16_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline uint32_t observe32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline uint64_t observe64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }

#define DOOR_ACCESS(bits)                                                                                    \
    static inline void store##bits(struct door *d, uint##bits##_t *p, uint##bits##_t v) {                    \
        if (UNLIKELY(armed(d) & ARM_DOOR)) {                                                                 \
            door_store(d, p, v, bits / 8);                                                                   \
            return;                                                                                          \
        }                                                                                                    \
        __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                            \
    }                                                                                                        \
    static inline void release##bits(struct door *d, uint##bits##_t *p, uint##bits##_t v) {                  \
        if (UNLIKELY(armed(d) & ARM_DOOR)) {                                                                 \
            door_store(d, p, v, bits / 8);                                                                   \
            return;                                                                                          \
        }                                                                                                    \
        __atomic_store_n(p, v, __ATOMIC_RELEASE);                                                            \
    }                                                                                                        \
    static inline uint##bits##_t load##bits(struct door *d, const uint##bits##_t *p) {                       \
        uint##bits##_t v = __atomic_load_n(p, __ATOMIC_RELAXED);                                             \
        if (UNLIKELY(armed(d) & ARM_LOADS)) door_load(d, p, bits / 8);                                       \
        return v;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t acquire##bits(struct door *d, const uint##bits##_t *p) {                    \
        uint##bits##_t v = __atomic_load_n(p, __ATOMIC_ACQUIRE);                                             \
        if (UNLIKELY(armed(d) & ARM_LOADS)) door_load(d, p, bits / 8);                                       \
        return v;                                                                                            \
    }
DOOR_ACCESS(8)
DOOR_ACCESS(16)
DOOR_ACCESS(32)
DOOR_ACCESS(64)
#undef DOOR_ACCESS

static inline void full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* Lets the other hyperthread breathe in a polling loop. */
static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The line is fetched for writing while something else is done: it was last in the other side's cache. */
static inline void will_write(const void *p) {
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

/* A verb whose stores nobody sees before a later one shows them: add() and complete(). Their events get
 * numbers at once when its own comes; one by one would cost more than the stores. */
static inline void door_batch(struct door *door) {
    if (UNLIKELY(armed(door) & ARM_JOURNAL)) door->batching = true;
}

/* A word of the side's own changed: told with the event that comes next, whose number it takes. */
void door_own(struct door *door, uint16_t queue, uint64_t place, uint64_t old, uint64_t new);

/* A store by neither side's thread, told as this side's: while both rest, or run no more. */
void door_poke(struct door *door, uint16_t queue, void *to, uint64_t value, unsigned width);
/* The store itself, journaled; at the gate. */
void door_perform(struct door *door, void *to, uint64_t value, unsigned width);
void door_fault(struct door *door, uint64_t id, uint16_t kind, uint64_t address, uint64_t value,
                unsigned width);

/* A breakpoint stops the pair at the event `number`. */
void door_break(struct door *door, uint64_t id, uint64_t number);

/* An event that is nobody's operation: written while both sides rest, or before they run. */
void door_note(struct door *door, enum event_kind kind, uint64_t place, uint64_t old, uint64_t new);

/* An operation of a side: one event, and a point where the side can be made to rest. */
void door_operation(struct door *door, enum event_kind kind, uint16_t slot, uint16_t count, uint64_t place,
                    uint64_t old, uint64_t new);
static inline void operation(struct door *d, enum event_kind kind, uint16_t slot, uint32_t count,
                             uint64_t place, uint64_t old, uint64_t new) {
    if (LIKELY(armed(d) == 0)) return;
    door_operation(d, kind, slot, (uint16_t)(count > 0xffff ? 0xffff : count), place, old, new);
}

#endif

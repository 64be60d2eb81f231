/* native.h: what the native tests share: a pair without Python, numbers that can be worked out, and failing.
 *
 * One binary holds them all, so that one compiler line builds it:
 *     cc -std=c11 -O2 -pthread -Idataplane/engine TESTS ENGINE -o native
 * (TESTS: every .c file here; ENGINE: every .c file of the engine but its Python face), and `native NAME
 * [KEY=NUMBER
 * ...]` runs one. Exit code 0 and a line of numbers, or 1 and the reason.
 */
#ifndef RINGSCOPE_TESTS_NATIVE_H
#define RINGSCOPE_TESTS_NATIVE_H

#include <stdio.h>
#include <stdlib.h>

#include "pair.h"
#include "snapshot.h"

#define FAIL(...)                                                                                            \
    do {                                                                                                     \
        fflush(stdout);                                                                                      \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                      \
        fprintf(stderr, __VA_ARGS__);                                                                        \
        fputc('\n', stderr);                                                                                 \
        _Exit(1);                                                                                            \
    } while (0)
#define CHECK(condition, ...)                                                                                \
    do {                                                                                                     \
        if (!(condition)) FAIL(__VA_ARGS__);                                                                 \
    } while (0)

/* The number given as NAME=NUMBER on the command line. */
uint64_t option(char **arguments, const char *name, uint64_t otherwise);
void options_known(char **arguments, const char *names); /* fails on a name that is not in this list */

/* splitmix64: as a hash of one number, and as a generator. */
static inline uint64_t hash64(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
static inline uint64_t hash2(uint64_t a, uint64_t b) { return hash64(hash64(a) ^ b); }
static inline uint64_t draw(uint64_t *state) { return hash64((*state)++); }
static inline uint32_t below(uint64_t *state, uint32_t n) { return (uint32_t)(draw(state) % n); }

struct setup {
    bool packed, indirect, event_idx, in_order;
    uint32_t size;
    uint16_t index, wrap;
    uint64_t scratch;  /* bare: bytes for buffers of the test's own */
    uint64_t features; /* net: beyond those above */
    uint32_t buffer_bytes;
    bool traced; /* operations and stores into the event log */
};
/* "packed indirect event_idx - size 7 from 65530/1", in a buffer of this thread. */
const char *setup_name(const struct setup *setup);

/* A pair with its queues set up and nothing running: one bare queue, or a network device. */
struct pair *open_bare(const struct setup *setup);
struct pair *open_net(const struct setup *setup);
void close_pair(struct pair *pair);

double seconds_now(void);
void nap(unsigned microseconds); /* between two looks at how far the others are */

int stress_main(char **arguments);
int fetch_once_main(char **arguments);
int hostile_main(char **arguments);
int truth_main(char **arguments);
int bpf_main(char **arguments);
int journal_main(char **arguments);
int outside_main(char **arguments);

#endif

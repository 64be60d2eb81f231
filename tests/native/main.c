/* main.c: chooses one of the native tests, and makes pairs for all of them. */
#define _GNU_SOURCE
#include "native.h"

#include <string.h>
#include <time.h>

uint64_t option(char **arguments, const char *name, uint64_t otherwise) {
    size_t n = strlen(name);
    for (; *arguments; arguments++)
        if (strncmp(*arguments, name, n) == 0 && (*arguments)[n] == '=')
            return strtoull(*arguments + n + 1, NULL, 0);
    return otherwise;
}

void options_known(char **arguments, const char *names) {
    for (; *arguments; arguments++) {
        size_t n = strcspn(*arguments, "=");
        const char *at = names;
        bool known = false;
        for (; *at && !known; at += strcspn(at, " "), at += strspn(at, " "))
            known = strcspn(at, " ") == n && strncmp(at, *arguments, n) == 0;
        CHECK(known && (*arguments)[n] == '=', "%s: give NAME=NUMBER with a name of: %s", *arguments, names);
    }
}

const char *setup_name(const struct setup *s) {
    static _Thread_local char name[128];
    snprintf(name, sizeof name, "%s %s %s %s size %u from %u/%u%s", s->packed ? "packed" : "split",
             s->indirect ? "indirect" : "-", s->event_idx ? "event_idx" : "-", s->in_order ? "in_order" : "-",
             s->size, s->index, s->wrap, s->traced ? " traced" : "");
    return name;
}

static struct pair *open_pair(const struct setup *s, struct pair_options o, uint64_t features) {
    struct pair *pair;
    features |= 1ull << F_VERSION_1 | (uint64_t)s->packed << F_RING_PACKED |
                (uint64_t)s->indirect << F_INDIRECT_DESC | (uint64_t)s->event_idx << F_EVENT_IDX |
                (uint64_t)s->in_order << F_IN_ORDER;
    o.size = s->size;
    o.packed = s->packed;
    o.offered = features;
    o.start_index = s->index;
    o.start_wrap = s->wrap;
    o.trace_events = 4096;
    o.frame_bytes = 1u << 16;
    o.mtu = 1500;
    CHECK(posix_memalign((void **)&pair, 128, sizeof *pair) == 0, "out of memory");
    CHECK(pair_init(pair, &o) == 0, "pair_init: %s", setup_name(s));
    uint8_t status = STATUS_ACKNOWLEDGE;
    pair_write_status(pair, status);
    pair_write_status(pair, status |= STATUS_DRIVER);
    pair_write_features(pair, features, false);
    pair_write_status(pair, status |= STATUS_FEATURES_OK);
    CHECK(count_get(&pair->status) == status, "%s: refused, feature bit %d", setup_name(s),
          (int)pair->refused - 1);
    CHECK(pair_setup_queues(pair) == 0, "%s: no queues", setup_name(s));
    pair_write_status(pair, status | STATUS_DRIVER_OK);
    pair_arm(pair, s->traced ? ARM_JOURNAL | ARM_OPERATIONS : 0, s->traced ? 0 : ARM_OPERATIONS);
    return pair;
}

struct pair *open_bare(const struct setup *s) {
    return open_pair(s, (struct pair_options){.bare = true, .queues = 1, .scratch_bytes = s->scratch}, 0);
}

struct pair *open_net(const struct setup *s) {
    uint32_t bytes = s->buffer_bytes ? s->buffer_bytes : 2048;
    return open_pair(
        s,
        (struct pair_options){.pairs = 1, .control_size = s->size < 64 ? s->size : 64, .buffer_bytes = bytes},
        s->features);
}

void close_pair(struct pair *pair) {
    pair_free(pair);
    free(pair);
}

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void nap(unsigned microseconds) {
    struct timespec t = {0, (long)microseconds * 1000};
    nanosleep(&t, NULL);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(char **arguments);
    } tests[] = {{"stress", stress_main},
                 {"fetch_once", fetch_once_main},
                 {"hostile", hostile_main},
                 {"truth", truth_main},
                 {"bpf", bpf_main},
                 {"journal", journal_main},
                 {"outside", outside_main}};
    for (size_t i = 0; count > 1 && i < sizeof tests / sizeof tests[0]; i++)
        if (strcmp(arguments[1], tests[i].name) == 0) return tests[i].run(arguments + 2);
    fprintf(stderr, "usage: native stress|fetch_once|hostile|truth|bpf|journal|outside [NAME=NUMBER ...]\n");
    return 2;
}

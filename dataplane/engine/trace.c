/* trace.c: see trace.h. */
#define _GNU_SOURCE
#include "trace.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "store.h"

enum {
    RECORDS_AT_ONCE = 256, /* copied before a look at where the writer is */
    LAPPED_AT_MOST = 8,    /* times that a reader who is too slow tries again */
};

static uint64_t power_of_two(uint64_t n) {
    uint64_t p = 64;
    while (p < n) p <<= 1;
    return p;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* mmap, so that a log costs only the pages that were written. */
static uint64_t *log_pages(uint64_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int trace_init(struct trace *trace, uint64_t events, uint64_t frame_bytes) {
    memset(trace, 0, sizeof *trace);
    trace->number = 1;
    trace->epoch = (int64_t)(clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC));
    for (int side = 0; side < 2; side++) {
        trace->log[side].capacity = power_of_two(events);
        trace->log[side].words = log_pages(trace->log[side].capacity * sizeof(struct event));
        if (!trace->log[side].words) return -1;
    }
    trace->frames.capacity = power_of_two(frame_bytes);
    trace->frames.sample = 1;
    trace->frames.snap = FRAME_SNAP_MAX;
    trace->frames.words = log_pages(trace->frames.capacity);
    return trace->frames.words ? 0 : -1;
}

static void free_filters(struct frame_filter *filter) {
    while (filter) {
        struct frame_filter *next = filter->next;
        free(filter);
        filter = next;
    }
}

void trace_free(struct trace *trace) {
    for (int side = 0; side < 2; side++)
        if (trace->log[side].words)
            munmap(trace->log[side].words, trace->log[side].capacity * sizeof(struct event));
    if (trace->frames.words) munmap(trace->frames.words, trace->frames.capacity);
    free(trace->frames.offered);
    free(trace->frames.filter);
    free_filters(trace->frames.aside);
    memset(trace, 0, sizeof *trace);
}

uint64_t trace_now(const struct trace *trace) { return clock_ns(CLOCK_MONOTONIC) + (uint64_t)trace->epoch; }
uint64_t trace_take_numbers(struct trace *trace, uint64_t n) { return ticket_take_many(&trace->number, n); }

void trace_write(struct trace *trace, const struct event *event) {
    struct event_log *log = &trace->log[event->side];
    uint64_t *to = log->words + (log->head & (log->capacity - 1)) * EVENT_WORDS;
    uint64_t words[EVENT_WORDS];
    memcpy(words, event, sizeof words);
    for (unsigned i = 0; i < EVENT_WORDS; i++) count_set(to + i, words[i]);
    count_set(&log->head, log->head + 1);
}

size_t trace_read(const struct trace *trace, int side, uint64_t *position, struct event *to, size_t room,
                  uint64_t *lost) {
    const struct event_log *log = &trace->log[side];
    uint64_t head = count_get(&log->head), from = *position;
    if (from > head) from = head;
    if (head - from >= log->capacity) from = head - log->capacity + 1;
    if (head - from > room) from = head - room;
    size_t n = (size_t)(head - from);
    uint64_t *out = (uint64_t *)(void *)to;
    for (size_t k = 0; k < n; k++) {
        const uint64_t *word = log->words + ((from + k) & (log->capacity - 1)) * EVENT_WORDS;
        for (unsigned i = 0; i < EVENT_WORDS; i++) out[k * EVENT_WORDS + i] = observe64(word + i);
    }
    uint64_t now = count_get(&log->head);
    uint64_t oldest = now >= log->capacity ? now - log->capacity + 1 : 0;
    size_t bad = oldest > from ? (size_t)(oldest - from) : 0;
    if (bad > n) bad = n;
    memmove(to, to + bad, (n - bad) * sizeof *to);
    *lost += from + bad - (*position < from + bad ? *position : from + bad);
    *position = from + n;
    return n - bad;
}

/* ---- the frame log: which frames -------------------------------------------------------------------- */

int frame_filter_set(struct frame_log *log, const struct bpf_step *program, size_t steps) {
    struct frame_filter *filter = malloc(sizeof *filter + steps * sizeof filter->program[0]);
    if (!filter) return -1;
    filter->next = NULL;
    filter->steps = steps;
    if (steps) memcpy(filter->program, program, steps * sizeof program[0]);
    free(pointer_swap(&log->offered, filter)); /* one that the writer never took */
    free_filters(pointer_swap(&log->aside, NULL));
    return 0;
}

/* The writer's part of handing over: it neither allocates nor frees. */
static void take_filter(struct frame_log *log) {
    struct frame_filter *old = log->filter, *new = pointer_swap(&log->offered, NULL);
    if (!new) return;
    log->filter = new;
    if (!old) return;
    /* No other thread ever adds to those laid aside; they are only taken, all at once. */
    old->next = pointer_swap(&log->aside, NULL);
    pointer_set(&log->aside, old);
}

bool frame_sampled(struct frame_log *log) {
    uint32_t sample = flag_get(&log->sample);
    if (log->until_next >= sample) log->until_next = 0; /* asked for more of them meanwhile */
    if (log->until_next) {
        log->until_next--;
        count_add(&log->passed_over, 1);
        return false;
    }
    log->until_next = sample - 1;
    return true;
}

uint32_t frame_wanted(struct frame_log *log, const uint8_t *data, uint32_t length) {
    uint32_t keep = UINT32_MAX;
    if (!flag_get(&log->on)) {
        if (log->until_next) log->until_next--;
        count_add(&log->passed_over, 1);
        return 0;
    }
    if (UNLIKELY(pointer_get(&log->offered) != NULL)) take_filter(log);
    const struct frame_filter *filter = log->filter;
    if (filter && filter->steps && (keep = bpf_run(filter->program, data, length, length)) == 0) {
        count_add(&log->filtered, 1);
        return 0;
    }
    if (!frame_sampled(log)) return 0;
    uint32_t snap = flag_get(&log->snap);
    if (keep > snap) keep = snap;
    return keep < length ? keep : length;
}

/* ---- the frame log: writing and reading -------------------------------------------------------------- */

static void write_bytes(struct frame_log *log, uint64_t at, const void *data, size_t length) {
    const uint8_t *from = data;
    uint64_t mask = log->capacity / 8 - 1, word = at / 8, value;
    for (; length >= 8; length -= 8, from += 8, word++) {
        memcpy(&value, from, 8);
        count_set(log->words + (word & mask), value);
    }
    if (length) {
        value = 0;
        memcpy(&value, from, length);
        count_set(log->words + (word & mask), value);
    }
}

static uint32_t captured_at(const struct frame_log *log, uint64_t at) {
    uint64_t mask = log->capacity / 8 - 1; /* length and captured share the fourth word */
    return (uint32_t)(count_peek(log->words + ((at / 8 + 3) & mask)) >> 32);
}

void frame_write(struct trace *trace, struct frame_header *header, const uint8_t *data, uint32_t length,
                 uint32_t keep) {
    struct frame_log *log = &trace->frames;
    header->number = log->frames;
    header->length = length;
    header->captured = keep;
    uint64_t need = frame_record_bytes(header->captured);
    uint64_t tail = log->tail;
    while (log->head + need - tail > log->capacity) tail += frame_record_bytes(captured_at(log, tail));
    count_set(&log->tail, tail); /* given up before it is overwritten */
    write_bytes(log, log->head, header, sizeof *header);
    write_bytes(log, log->head + sizeof *header, data, header->captured);
    count_set(&log->frames, log->frames + 1);
    count_add(&log->bytes, header->captured);
    count_set(&log->head, log->head + need);
}

void frame_waiting(const struct trace *trace, const struct frame_reader *reader, uint64_t *frames,
                   uint64_t *bytes) {
    const struct frame_log *log = &trace->frames;
    uint64_t tail = count_get(&log->tail), head = count_get(&log->head), written = count_get(&log->frames);
    uint64_t from = reader->position < tail ? tail : reader->position;
    *bytes = head > from ? head - from : 0;
    *frames = written > reader->expected ? written - reader->expected : 0;
    uint64_t most = *bytes / (sizeof(struct frame_header) + 8);
    if (*frames > most) *frames = most;
}

/* Copies `length` bytes that begin at byte `at` of the log; up to 7 bytes behind them are overwritten. */
static inline void read_bytes(const struct frame_log *log, uint64_t at, uint8_t *to, uint32_t length) {
    uint64_t mask = log->capacity / 8 - 1, word = at / 8;
    for (uint32_t i = 0; i < length; i += 8, word++) {
        uint64_t value = observe64(log->words + (word & mask));
        memcpy(to + i, &value, 8);
    }
}

/* Some records of [*at, end) as they stand, as many as fit: the writer may have been there since, and then
 * their lengths mean nothing but lead nowhere. */
static size_t copy_records(const struct frame_log *log, uint64_t *at, uint64_t end,
                           const struct frame_room *to, size_t row, size_t *filled) {
    size_t first = row;
    for (; row < to->rows && row - first < RECORDS_AT_ONCE && *at < end; row++) {
        struct frame_header header;
        read_bytes(log, *at, (uint8_t *)&header, sizeof header);
        if (header.captured > FRAME_SNAP_MAX) break; /* overwritten: this is no header */
        uint64_t need = frame_record_bytes(header.captured);
        if (need > end - *at || need - sizeof header > to->bytes - *filled) break;
        memcpy(to->headers + row * sizeof header, &header, sizeof header);
        read_bytes(log, *at + sizeof header, to->data + *filled, header.captured);
        to->offsets[row] = (int64_t)*filled;
        *filled += header.captured;
        *at += need;
    }
    return row - first;
}

static uint64_t number_of(const struct frame_room *room, size_t row) {
    struct frame_header header;
    memcpy(&header, room->headers + row * sizeof header, sizeof header);
    return header.number;
}

size_t frame_read(const struct trace *trace, struct frame_reader *reader, const struct frame_room *to,
                  size_t *bytes) {
    const struct frame_log *log = &trace->frames;
    uint64_t head = count_get(&log->head), tail = count_get(&log->tail);
    size_t rows = 0, filled = 0;
    for (unsigned lapped = 0; lapped < LAPPED_AT_MOST;) {
        uint64_t from = reader->position < tail ? tail : reader->position, at = from;
        if (from >= head || (rows && from > reader->position)) break;
        size_t after = filled, more = copy_records(log, &at, head, to, rows, &after);
        tail = count_get(&log->tail);
        if (tail > from) {   /* overwritten while it was copied: once more from what is left */
            if (rows) break; /* what was lost lies before the next answer, never inside this one */
            if (tail > head) head = count_get(&log->head);
            reader->position = tail;
            lapped++;
            continue;
        }
        if (more == 0) break; /* no room */
        uint64_t number = number_of(to, rows);
        if (number > reader->expected) reader->lost += number - reader->expected;
        reader->expected = number + more; /* records follow each other without a gap */
        reader->position = at;
        rows += more;
        filled = after;
    }
    *bytes = filled;
    return rows;
}

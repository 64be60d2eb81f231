/* trace.c: see trace.h. */
#define _GNU_SOURCE
#include "trace.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "store.h"

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
    trace->frames.snap = 1u << 18;
    trace->frames.words = log_pages(trace->frames.capacity);
    return trace->frames.words ? 0 : -1;
}

void trace_free(struct trace *trace) {
    for (int side = 0; side < 2; side++)
        if (trace->log[side].words)
            munmap(trace->log[side].words, trace->log[side].capacity * sizeof(struct event));
    if (trace->frames.words) munmap(trace->frames.words, trace->frames.capacity);
    memset(trace, 0, sizeof *trace);
}

uint64_t trace_now(const struct trace *trace) { return clock_ns(CLOCK_MONOTONIC) + (uint64_t)trace->epoch; }
uint64_t trace_take_number(struct trace *trace) { return ticket_take(&trace->number); }

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

bool frame_wanted(struct frame_log *log) {
    if (flag_get(&log->on) && log->until_next == 0) {
        log->until_next = flag_get(&log->sample) - 1;
        return true;
    }
    if (log->until_next) log->until_next--;
    count_add(&log->passed_over, 1);
    return false;
}

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

void frame_write(struct trace *trace, struct frame_header *header, const uint8_t *data, uint32_t length) {
    struct frame_log *log = &trace->frames;
    header->number = log->frames;
    header->length = length;
    header->captured = length < log->snap ? length : log->snap;
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

size_t frame_read(const struct trace *trace, uint64_t *position, uint64_t *expected, uint8_t *to, size_t room,
                  uint64_t *lost) {
    const struct frame_log *log = &trace->frames;
    uint64_t head = count_get(&log->head), tail = count_get(&log->tail);
    uint64_t from = *position < tail ? tail : *position;
    if (from > head) from = head;
    size_t n = head - from < room ? (size_t)(head - from) : room / 8 * 8;
    uint64_t mask = log->capacity / 8 - 1;
    uint64_t *out = (uint64_t *)(void *)to;
    for (size_t i = 0; i < n / 8; i++) out[i] = observe64(log->words + ((from / 8 + i) & mask));
    tail = count_get(&log->tail);
    size_t start = tail > from ? (size_t)(tail - from) : 0;
    if (start > n) { /* lapped while copying: begin again at what is left */
        *position = tail;
        return 0;
    }
    size_t end = start;
    struct frame_header header;
    while (n - end >= sizeof header) {
        memcpy(&header, to + end, sizeof header);
        size_t need = frame_record_bytes(header.captured);
        if (n - end < need) break;
        if (header.number > *expected) *lost += header.number - *expected;
        *expected = header.number + 1;
        end += need;
    }
    memmove(to, to + start, end - start);
    *position = from + end;
    return end - start;
}

/* trace.h: the event log and the frame log: one writer each per side, any number of readers.
 *
 * A log is overwritten when full and never waited for. Readers copy, then look how far the writer has come
 * meanwhile, and throw away what may have been overwritten under them. Words are written with release and
 * read with acquire, so that a reader who sees a newer word also sees the head that covers it.
 */
#ifndef RINGSCOPE_TRACE_H
#define RINGSCOPE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf.h"

enum event_kind {
    EV_STORE = 1,
    EV_ADD,
    EV_PUBLISH,
    EV_KICK,
    EV_KICK_QUIET,
    EV_NEXT,
    EV_COMPLETE,
    EV_FLUSH,
    EV_CALL,
    EV_CALL_QUIET,
    EV_COLLECT,
    EV_WAIT,
    EV_WAKE,
    EV_NOTIFY_ON,
    EV_NOTIFY_OFF,
    EV_STATUS,
    EV_FEATURES,
    EV_CONTROL,
    EV_QUEUE_RESET,
    EV_BROKEN,
    EV_CONFIG,
    EV_FREEZE,
    EV_RUN,
    EV_DROP,
    EV_OWN, /* no event: a word of the side's own changed; shares the number of the event behind it */
    EV_LEVEL,
    EV_FAULT,
    EV_BREAK,
};

struct event { /* records.EVENT */
    uint64_t number;
    uint64_t time;
    uint64_t place;
    uint64_t old;
    uint64_t new;
    uint8_t kind;
    uint8_t side;
    uint16_t queue;
    uint16_t slot;
    uint16_t count;
};
#define EVENT_WORDS (sizeof(struct event) / 8)
_Static_assert(sizeof(struct event) == 48, "records.EVENT");

struct event_log {
    uint64_t *words;   /* capacity * EVENT_WORDS */
    uint64_t capacity; /* events, a power of two */
    uint64_t head;     /* written so far */
};

struct frame_header { /* records.FRAME */
    uint64_t number;
    uint64_t time;
    uint64_t position;
    uint32_t length;
    uint32_t captured;
    uint16_t queue;
    uint16_t head;
    uint16_t descriptors;
    uint16_t buffers;
    uint8_t direction;
    uint8_t flags;
    uint16_t net_header_length;
    uint8_t net_header[20];
};
_Static_assert(sizeof(struct frame_header) == 64, "records.FRAME");
enum { FRAME_INDIRECT = 1, FRAME_FIXED = 2, FRAME_LATE = 4 /* observe.h */, FRAME_REQUEST = 8 };

struct request_record { /* records.REQUEST: in front of the data of a record with FRAME_REQUEST */
    uint64_t available;
    uint32_t slack;
    uint32_t readable;
    uint32_t writable;
    uint32_t used_length;
    uint8_t status;
    uint8_t flags;
    uint8_t reserved[6];
};
_Static_assert(sizeof(struct request_record) == 32, "records.REQUEST");
enum { REQUEST_STATUS = 1, REQUEST_LENGTH = 2, REQUEST_SOUND = 4 };
#define FRAME_SNAP_MAX (1u << 18) /* more than any frame has */

/* Which frames are logged. Made and freed by whoever asks; in between it belongs to the log's writer. */
struct frame_filter {
    struct frame_filter *next; /* of those that the writer has laid aside */
    size_t steps;              /* 0: every frame */
    struct bpf_step program[];
};

struct frame_log {
    uint64_t *words;
    uint64_t capacity; /* bytes, a power of two */
    uint64_t head;     /* bytes written so far */
    uint64_t tail;     /* bytes given up so far: always the start of a record */
    uint64_t frames;   /* records written so far */
    uint64_t passed_over;
    uint64_t filtered; /* frames that did not match */
    uint64_t bytes;
    uint32_t on;
    uint32_t sample;
    uint32_t until_next;
    uint32_t snap;                /* bytes kept of a frame */
    struct frame_filter *offered; /* to the writer, who takes it with its next frame; NULL: nothing new */
    struct frame_filter *filter;  /* the writer's own; NULL: every frame */
    struct frame_filter *aside;   /* no longer the writer's: for whoever asks next to free */
};

/* What both sides share of tracing: the one sequence. */
struct trace {
    uint64_t number;
    int64_t epoch; /* added to CLOCK_MONOTONIC gives nanoseconds since the Unix epoch */
    struct event_log log[2];
    struct frame_log frames;
};

/* 0, or -1 with errno. `events` and `frame_bytes` are rounded up to powers of two. */
int trace_init(struct trace *trace, uint64_t events, uint64_t frame_bytes);
void trace_free(struct trace *trace);
uint64_t trace_now(const struct trace *trace);

uint64_t trace_take_numbers(struct trace *trace, uint64_t n);     /* the first of so many */
void trace_write(struct trace *trace, const struct event *event); /* by event->side's thread only */

/* Copies the newest events of [*position, head), at most `room`, moves *position to the head and adds what
 * was passed over or overwritten to *lost. Returns the events copied. */
size_t trace_read(const struct trace *trace, int side, uint64_t *position, struct event *to, size_t room,
                  uint64_t *lost);

/* Logs `keep` bytes of one frame; never waits. `number`, `length` and `captured` of the header are filled in.
 */
void frame_write(struct trace *trace, struct frame_header *header, const uint8_t *data, uint32_t length,
                 uint32_t keep);
/* How many bytes of this frame are wanted; 0: none, and it is counted as filtered or passed over. A frame is
 * held against the filter first: of those that match one in `sample` is wanted. By the writer only. */
uint32_t frame_wanted(struct frame_log *log, const uint8_t *data, uint32_t length);
/* The same for what is no frame, which no filter is for: whether it is wanted. */
bool frame_sampled(struct frame_log *log);
/* From the writer's next frame on only what a checked program matches; 0 steps: every frame. Never waits for
 * the writer. 0, or -1 with errno. One thread at a time. */
int frame_filter_set(struct frame_log *log, const struct bpf_step *program, size_t steps);

/* What a reader holds: where it is, the number of the frame it waits for, and how many it has missed. */
struct frame_reader {
    uint64_t position, expected, lost;
};
/* Room for what frame_read gives: headers end to end, frames end to end, and where each frame begins. */
struct frame_room {
    uint8_t *headers; /* rows * sizeof(struct frame_header) */
    int64_t *offsets; /* rows */
    size_t rows;
    uint8_t *data;
    size_t bytes;
};
/* Frames that can be read now at most, and the bytes they take in all. */
void frame_waiting(const struct trace *trace, const struct frame_reader *reader, uint64_t *frames,
                   uint64_t *bytes);
/* Copies the oldest frames that the reader has not seen, as many as fit; returns them, and their bytes. Their
 * numbers have no gap: what was lost lies before the first. */
size_t frame_read(const struct trace *trace, struct frame_reader *reader, const struct frame_room *to,
                  size_t *bytes);

static inline uint32_t frame_record_bytes(uint32_t captured) {
    return (uint32_t)sizeof(struct frame_header) + ((captured + 7u) & ~7u);
}

#endif

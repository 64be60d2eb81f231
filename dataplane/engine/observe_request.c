/* observe_request.c: requests of a block device of two other processes (5.2.6), read from outside: the header
 * and what is to be written while the device has the buffer, the status and what was read once it is used.
 */
#include "observe.h"

#include <string.h>

#define HEADER 16u

uint32_t observe_gather(const struct noted *buffer, uint32_t from, uint8_t *to, uint32_t length) {
    uint32_t done = 0;
    for (unsigned i = 0; i < buffer->spans && done < length; i++) {
        const struct span *span = &buffer->span[i];
        if (from >= span->length) {
            from -= span->length;
            continue;
        }
        uint32_t n = span->length - from;
        if (n > length - done) n = length - done;
        memcpy(to + done, span->host + from, n);
        done += n;
        from = 0;
    }
    return done;
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* The room for the first bytes of the data of one buffer: behind all notes. */
static uint8_t *kept_data(struct vq *q, uint32_t id) {
    return (uint8_t *)(q->observer->noted + q->size) + (size_t)id * REQUEST_DATA;
}

static bool logged(const struct pair *pair, const struct vq *q) {
    return flag_get(&pair->trace.frames.on) && !q->observer->blind;
}

void observe_requested(struct pair *pair, struct vq *q, struct noted *buffer, uint16_t id) {
    bool late = false;
    buffer->since = q->observer->looked;
    buffer->slack = q->observer->apart;
    if (!logged(pair, q)) return;
    buffer->header_length =
        (uint8_t)observe_gather(buffer, 0, buffer->header, least(buffer->readable, HEADER));
    if (buffer->readable > HEADER)
        buffer->data =
            observe_gather(buffer, HEADER, kept_data(q, id), least(buffer->readable - HEADER, REQUEST_DATA));
    buffer->read = !observe_changed(q, buffer, id, &late);
    buffer->late = late;
}

/* Whether its header still stands where it was read: a driver that has the memory back writes another. */
static bool still_there(const struct noted *buffer) {
    uint8_t header[HEADER];
    return observe_gather(buffer, 0, header, buffer->header_length) == buffer->header_length &&
           memcmp(header, buffer->header, buffer->header_length) == 0;
}

/* What the device wrote: the first of its data, and behind all of them the status. */
static uint8_t answer_of(struct vq *q, struct noted *buffer, uint32_t id) {
    uint32_t written = buffer->writable ? buffer->writable - 1 : 0;
    if (buffer->data < REQUEST_DATA)
        buffer->data += observe_gather(buffer, buffer->readable, kept_data(q, id) + buffer->data,
                                       least(written, REQUEST_DATA - buffer->data));
    const struct span *last = &buffer->last;
    return buffer->writable && last->length ? last->host[last->length - 1] : 0;
}

void observe_answered(struct pair *pair, struct vq *q, struct noted *buffer, uint32_t length) {
    struct frame_log *log = &pair->trace.frames;
    uint32_t id = (uint32_t)(buffer - q->observer->noted);
    uint8_t *content = pair->driver.frame;
    if (!flag_get(&log->on)) return;
    bool lost = !buffer->sound && buffer->late; /* a driver that has it back frees its table */
    if (q->observer->blind || !buffer->read || lost) {
        observe_missed(q, 1);
        return;
    }
    uint32_t sent = buffer->data;
    uint8_t status = buffer->sound ? answer_of(q, buffer, id) : 0;
    bool own = !buffer->sound || (still_there(buffer) && !observe_offered_again(q, buffer, (uint16_t)id));
    if (!own && buffer->late) {
        observe_missed(q, 1);
        return;
    }
    if (!own) buffer->data = sent; /* what the driver sent was read in time, and the answer was not */
    count_add(&q->observer->frames, 1);
    count_add(&q->observer->bytes, buffer->bytes);
    if (!frame_sampled(log)) return;
    struct request_record request = {
        .available = buffer->since,
        .slack = buffer->slack > UINT32_MAX ? UINT32_MAX : (uint32_t)buffer->slack,
        .readable = buffer->readable,
        .writable = buffer->writable,
        .used_length = length == OBSERVE_UNKNOWN ? 0 : length,
        .status = own ? status : 0,
        .flags =
            (uint8_t)((own && buffer->sound && buffer->writable ? REQUEST_STATUS : 0) |
                      (length == OBSERVE_UNKNOWN ? 0 : REQUEST_LENGTH) | (buffer->sound ? REQUEST_SOUND : 0)),
    };
    struct frame_header record = {
        .time = q->observer->looked,
        .position = buffer->position,
        .queue = q->index,
        .head = buffer->head,
        .descriptors = buffer->descriptors,
        .buffers = 1,
        .direction = 1,
        .flags = (uint8_t)(FRAME_REQUEST | (buffer->indirect ? FRAME_INDIRECT : 0) |
                           (buffer->late ? FRAME_LATE : 0)),
        .net_header_length = buffer->header_length,
    };
    memcpy(record.net_header, buffer->header, buffer->header_length);
    memcpy(content, &request, sizeof request);
    memcpy(content + sizeof request, kept_data(q, id), buffer->data);
    uint32_t bytes = (uint32_t)sizeof request + buffer->data;
    frame_write(&pair->trace, &record, content, bytes, bytes);
}

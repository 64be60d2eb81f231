/* observe_frame.c: the frames in buffers of two other processes, read from outside. */
#include "observe.h"

#include <string.h>

void observe_missed(struct vq *q, uint64_t buffers) {
    count_add(&q->observer->missed, buffers);
    if (q->role == ROLE_RECEIVE) q->observer->parts = 0; /* the frame that was begun has a hole */
}

static uint32_t header_length(const struct pair *pair) {
    return accepted(pair, F_VERSION_1) || accepted(pair, F_NET_MRG_RXBUF) ? NET_HEADER_LENGTH
                                                                          : NET_HEADER_LENGTH - 2;
}

/* `frame` holds the net header and the frame; `flags` are those of a frame_header. */
static void log_frame(struct pair *pair, struct vq *q, const struct noted *first, uint32_t buffers,
                      const uint8_t *frame, uint32_t length, unsigned flags) {
    uint32_t skip = header_length(pair);
    struct frame_log *log = &pair->trace.frames;
    if (length < skip + NET_FRAME_MIN) {
        observe_missed(q, buffers);
        return;
    }
    frame += skip, length -= skip;
    count_add(&q->observer->frames, 1);
    count_add(&q->observer->bytes, length);
    uint32_t keep = frame_wanted(log, frame, length);
    if (keep == 0) return;
    struct frame_header record = {
        .time = trace_now(&pair->trace),
        .position = first->position,
        .queue = q->index,
        .head = first->head,
        .descriptors = first->descriptors,
        .buffers = (uint16_t)buffers,
        .direction = q->role == ROLE_RECEIVE,
        .flags = (uint8_t)(flags | (first->indirect ? FRAME_INDIRECT : 0)),
        .net_header_length = (uint16_t)skip,
    };
    memcpy(record.net_header, frame - skip, skip);
    frame_write(&pair->trace, &record, frame, length, keep);
}

static bool logged(const struct pair *pair, const struct vq *q) {
    return flag_get(&pair->trace.frames.on) && q->role != ROLE_CONTROL;
}

/* ---- transmit --------------------------------------------------------------------------------------- */

void observe_transmitted(struct pair *pair, struct vq *q, const struct noted *buffer, uint16_t id) {
    uint8_t *frame = pair->device.frame;
    bool late;
    if (!logged(pair, q)) return;
    uint32_t length = observe_gather(buffer, 0, frame, NET_HEADER_LENGTH + NET_FRAME_MAX);
    if (q->observer->blind || !buffer->sound || length < buffer->bytes ||
        observe_changed(q, buffer, id, &late))
        observe_missed(q, 1);
    else
        log_frame(pair, q, buffer, 1, frame, length, late ? FRAME_LATE : 0);
}

/* The buffers that the device says a frame takes (5.1.6.4): 1 where it cannot say so. */
static uint32_t parts_of(const struct pair *pair, const uint8_t *frame, uint32_t length) {
    if (!accepted(pair, F_NET_MRG_RXBUF) || length < NET_HEADER_LENGTH) return 1;
    uint32_t parts = frame[10] | (uint32_t)frame[11] << 8;
    return parts >= 1 && parts <= SPAN ? parts : 1;
}

/* ---- by their own headers ---------------------------------------------------------------------------- */

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static bool sound_ipv4(const uint8_t *ip, uint32_t room) {
    uint32_t bytes = 4u * (ip[0] & 15), sum = 0;
    if (ip[0] >> 4 != 4 || bytes < 20 || bytes > room) return false;
    for (uint32_t i = 0; i < bytes; i += 2) sum += be16(ip + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff && be16(ip + 2) >= bytes;
}

/* The length of a frame by what it says of itself, within `room` bytes; 0 where that is not to be trusted. */
static uint32_t length_by_headers(const uint8_t *frame, uint32_t room) {
    static const uint8_t arp[6] = {0, 1, 8, 0, 6, 4};
    uint32_t at = 12, length = 0;
    while (room >= at + 6 && (be16(frame + at) == 0x8100 || be16(frame + at) == 0x88a8)) at += 4;
    if (room < at + 2 + 28) return 0;
    const uint8_t *inside = frame + at + 2;
    switch (be16(frame + at)) {
    case 0x0800: length = sound_ipv4(inside, room - at - 2) ? be16(inside + 2) : 0; break;
    case 0x0806: length = memcmp(inside, arp, sizeof arp) == 0 ? 28 : 0; break;
    case 0x86dd:
        if (room >= at + 2 + 40 && inside[0] >> 4 == 6 && be16(inside + 4)) length = 40 + be16(inside + 4);
        break;
    default: break;
    }
    return length && length <= room - at - 2 ? at + 2 + length : 0;
}

/* The bytes of net header and frame, 0 where that is not to be trusted. */
static uint32_t by_headers(const struct pair *pair, const uint8_t *frame, uint32_t room) {
    uint32_t skip = header_length(pair),
             length = room > skip ? length_by_headers(frame + skip, room - skip) : 0;
    return length ? skip + length : 0;
}

/* The buffer as a descriptor of a plain buffer would have it, its length left open. */
static bool plain_at(const struct vq *q, uint64_t address, struct noted *buffer) {
    uint64_t room = memory_room(q->memory, address), most = NET_HEADER_LENGTH + NET_FRAME_MAX;
    buffer->span[0] =
        (struct span){memory_translate(q->memory, address, 1), (uint32_t)(room < most ? room : most)};
    buffer->spans = 1;
    return room > 0;
}

/* The same as an indirect table would have it: how many entries it has is left open. */
static bool table_at(const struct vq *q, uint64_t address, struct noted *buffer) {
    const uint64_t *table = (const uint64_t *)(const void *)memory_translate(q->memory, address, 16);
    uint64_t entries = memory_room(q->memory, address) / 16;
    buffer->spans = 0;
    if (!q->indirect || !table || address % 8) return false;
    if (entries > OBSERVE_SPANS) entries = OBSERVE_SPANS;
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t word = observe64(table + 2 * i + 1);
        uint32_t length = (uint32_t)word;
        uint8_t *host = memory_translate(q->memory, observe64(table + 2 * i), length);
        if (!host || !length || word >> 48 & DESC_WRITE) break;
        buffer->span[buffer->spans++] = (struct span){host, length};
    }
    return buffer->spans > 0;
}

/* An entry of the table ends where the frame does: it is no accident then. */
static bool ends_with_an_entry(struct noted *buffer, uint32_t bytes) {
    uint64_t sum = 0;
    for (uint16_t i = 0; i < buffer->spans && sum < bytes; i++) {
        sum += buffer->span[i].length;
        buffer->descriptors = (uint16_t)(i + 1);
    }
    return sum == bytes;
}

void observe_gone(struct pair *pair, struct vq *q, uint16_t slot, uint32_t slots, uint64_t address) {
    uint8_t *frame = pair->device.frame;
    struct noted buffer = {.position = q->drv.collected, .head = slot, .descriptors = 1};
    bool read = false;
    if (!logged(pair, q)) return;
    for (int table = 0; table < 2 && !read && q->role == ROLE_TRANSMIT && slots == 1; table++) {
        if (!(table ? table_at(q, address, &buffer) : plain_at(q, address, &buffer))) continue;
        uint32_t length =
            by_headers(pair, frame, observe_gather(&buffer, 0, frame, NET_HEADER_LENGTH + NET_FRAME_MAX));
        buffer.indirect = table;
        read = length && (!table || ends_with_an_entry(&buffer, length)) &&
               !observe_is_far(q, slot, q->drv.used_wrap);
        if (read) log_frame(pair, q, &buffer, 1, frame, length, FRAME_LATE);
    }
    if (!read) observe_missed(q, 1);
}

/* ---- receive ---------------------------------------------------------------------------------------- */

/* A frame in one buffer of which only the length is not known. */
static void received_unseen(struct pair *pair, struct vq *q, const struct noted *buffer) {
    uint8_t *frame = pair->driver.frame;
    uint32_t got = observe_gather(buffer, 0, frame, NET_HEADER_LENGTH + NET_FRAME_MAX);
    uint32_t length = by_headers(pair, frame, got);
    bool whole = q->observer->parts == 0 && parts_of(pair, frame, got) == 1;
    if (!whole || !length || observe_refilled(q, buffer))
        observe_missed(q, 1);
    else
        log_frame(pair, q, buffer, 1, frame, length, FRAME_LATE);
}

void observe_received(struct pair *pair, struct vq *q, const struct noted *buffer, uint32_t length) {
    struct observer *o = q->observer;
    uint8_t *frame = pair->driver.frame;
    uint32_t room = NET_HEADER_LENGTH + NET_FRAME_MAX;
    if (!logged(pair, q)) return;
    if (length == OBSERVE_UNKNOWN) {
        received_unseen(pair, q, buffer);
        return;
    }
    if (o->parts == 0) o->filled = o->received = 0;
    uint32_t left = room - o->filled,
             got = observe_gather(buffer, 0, frame + o->filled, length < left ? length : left);
    if (!buffer->sound || got < length || observe_refilled(q, buffer)) {
        observe_missed(q, 1);
        return;
    }
    o->filled += got;
    o->received++;
    if (o->parts == 0) {
        o->first = *buffer;
        o->parts = parts_of(pair, frame, o->filled);
    }
    if (--o->parts == 0) log_frame(pair, q, &o->first, o->received, frame, o->filled, 0);
}

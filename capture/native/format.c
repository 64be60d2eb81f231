/* format.c: frames as the blocks of a pcapng file (draft-ietf-opsawg-pcapng, 4.3) and as pcap records. */
#include "frames.h"

#include <string.h>

enum { ENHANCED_PACKET = 6 };
enum { OPT_END = 0, OPT_COMMENT = 1, EPB_FLAGS = 2, EPB_DROPCOUNT = 4, EPB_PACKETID = 5, EPB_QUEUE = 6 };
/* All that a block can have besides the frame: head, options with their padding, and the length again. */
#define AROUND_MAX (28u + 4u + FACTS_MAX + 4u + 8u + 12u + 12u + 8u + 4u + 4u)

static uint8_t *put16(uint8_t *to, uint16_t value) {
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value) {
    return put16(put16(to, (uint16_t)value), (uint16_t)(value >> 16));
}

static uint8_t *put64(uint8_t *to, uint64_t value) {
    return put32(put32(to, (uint32_t)value), (uint32_t)(value >> 32));
}

static uint8_t *put_option(uint8_t *to, uint16_t code, uint16_t size) { return put16(put16(to, code), size); }

/* epb_flags: direction, how it was addressed, and what is left to do about checksum and segments. */
static uint32_t flags_of(const struct record *row, const uint8_t *frame) {
    uint32_t flags = row->direction == TO_DRIVER ? 1 : row->direction == TO_DEVICE ? 2 : 0;
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
    if (row->captured >= 6) flags |= (memcmp(frame, all, 6) == 0 ? 3u : frame[0] & 1 ? 2u : 1u) << 2;
    if (row->net_header_length >= 10) {
        if (row->net_header[0] & 1) flags |= 1u << 9;  /* checksum not ready */
        if (row->net_header[0] & 2) flags |= 1u << 10; /* checksum valid */
        if (row->net_header[1]) flags |= 1u << 11;     /* segments not cut yet */
    }
    return flags;
}

/* Row `i` of a batch, its bytes and its stages; false with the reason where they are not all there. */
static bool take(const struct batch *batch, size_t i, size_t interfaces, struct record *row,
                 const uint8_t **frame, struct stages *stages, enum refusal *refusal) {
    int64_t offset;
    memcpy(row, batch->rows + i * sizeof *row, sizeof *row);
    memcpy(&offset, batch->offsets + i * sizeof offset, sizeof offset);
    if (row->interface >= interfaces)
        *refusal = BAD_INTERFACE;
    else if (row->captured > CAPTURED_MAX)
        *refusal = BAD_LENGTH;
    else if (row->net_header_length > sizeof row->net_header)
        *refusal = BAD_NET_HEADER;
    else if (offset < 0 || (uint64_t)offset > batch->data_bytes ||
             batch->data_bytes - (uint64_t)offset < row->captured)
        *refusal = BAD_OFFSET;
    else {
        *frame = batch->data + offset;
        if (batch->stages) memcpy(stages, batch->stages + i * sizeof *stages, sizeof *stages);
        return true;
    }
    return false;
}

static void tell(struct tally *tally, const struct record *row) {
    if (!tally->first) tally->first = row->time;
    tally->last = row->time;
    tally->written++;
}

static size_t format_one(uint8_t *to, const struct record *row, const uint8_t *frame,
                         const struct stages *stages, struct tally *tally) {
    uint8_t *at = put32(to, ENHANCED_PACKET);
    at = put32(at + 4, row->interface);
    at = put32(put32(at, (uint32_t)(row->time >> 32)), (uint32_t)row->time);
    at = put32(put32(at, row->captured), row->length);
    memmove(at, frame, row->captured);
    at += row->captured;
    for (uint32_t pad = -row->captured & 3u; pad; pad--) *at++ = 0;
    size_t words = facts_write((char *)at + 4, row, stages);
    if (words) {
        at = put_option(at, OPT_COMMENT, (uint16_t)words) + words;
        for (size_t pad = -words & 3u; pad; pad--) *at++ = 0;
    }
    at = put32(put_option(at, EPB_FLAGS, 4), flags_of(row, frame));
    if (tally->lost_since) {
        at = put64(put_option(at, EPB_DROPCOUNT, 8), tally->lost_since);
        tally->lost_since = 0;
    }
    at = put64(put_option(at, EPB_PACKETID, 8), row->number);
    if (row->descriptors) at = put32(put_option(at, EPB_QUEUE, 4), row->queue);
    at = put_option(at, OPT_END, 0);
    uint32_t total = (uint32_t)(at - to) + 4;
    put32(at, total);
    put32(to + 4, total);
    return total;
}

size_t pcapng_format(const struct batch *batch, size_t start, struct tally *tallies, size_t interfaces,
                     struct output *out, enum refusal *refusal) {
    struct record row;
    struct stages stages;
    const uint8_t *frame;
    size_t i = start;
    for (*refusal = FINE; i < batch->count; i++) {
        if (!take(batch, i, interfaces, &row, &frame, &stages, refusal)) break;
        if (out->room - out->used < (size_t)row.captured + 3 + AROUND_MAX) break;
        struct tally *tally = &tallies[row.interface];
        out->used += format_one(out->bytes + out->used, &row, frame, batch->stages ? &stages : NULL, tally);
        out->frames++;
        tell(tally, &row);
    }
    return i;
}

size_t pcap_format(const struct batch *batch, size_t start, struct tally *tallies, size_t interfaces,
                   struct output *out, enum refusal *refusal) {
    struct record row;
    struct stages unused;
    const uint8_t *frame;
    size_t i = start;
    for (*refusal = FINE; i < batch->count; i++) {
        if (!take(batch, i, interfaces, &row, &frame, &unused, refusal)) break;
        if (out->room - out->used < 16 + (size_t)row.captured) break;
        uint8_t *at = out->bytes + out->used;
        at = put32(at, (uint32_t)(row.time / 1000000000u));
        at = put32(at, (uint32_t)(row.time % 1000000000u));
        at = put32(put32(at, row.captured), row.length);
        memmove(at, frame, row.captured);
        out->used += 16 + (size_t)row.captured;
        out->frames++;
        tell(&tallies[row.interface], &row);
    }
    return i;
}

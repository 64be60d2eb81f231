/* parse.c: the frames of capture files, by the batch.
 *
 * Only what is whole and sound is taken here; whatever is not is left to the reader in Python, which goes a
 * block at a time and says what is wrong and where.
 */
#include "frames.h"

#include <string.h>

enum { ENHANCED_PACKET = 6 };
enum { OPT_COMMENT = 1, EPB_FLAGS = 2, EPB_QUEUE = 6 };
#define BLOCK_MAX (CAPTURED_MAX + (1u << 20)) /* a frame and a megabyte of options */

static uint32_t get32(const uint8_t *at, bool swapped) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap32(value) : value;
}

static uint16_t get16(const uint8_t *at, bool swapped) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return swapped ? __builtin_bswap16(value) : value;
}

/* Nanoseconds since the epoch, held within what a row can say. */
static uint64_t time_of(const struct interface *interface, uint64_t stamp) {
    __int128 time = (__int128)stamp * 1000000000 / interface->units + (__int128)interface->start * 1000000000;
    return time < 0 ? 0 : time > UINT64_MAX ? UINT64_MAX : (uint64_t)time;
}

static bool room_for(const struct input *in, size_t captured) {
    return in->count < in->room && in->bytes_room - in->bytes_used >= captured;
}

static void keep(struct input *in, struct record *row, const struct stages *stages, const uint8_t *frame) {
    int64_t offset = (int64_t)in->bytes_used;
    row->offset = in->bytes_used;
    memcpy(in->rows + in->count * sizeof *row, row, sizeof *row);
    memcpy(in->stages + in->count * sizeof *stages, stages, sizeof *stages);
    memcpy(in->offsets + in->count * sizeof offset, &offset, sizeof offset);
    memmove(in->bytes + in->bytes_used, frame, row->captured);
    in->bytes_used += row->captured;
    in->count++;
}

/* What stands behind the frame; false where an option does not fit. */
static bool options(const uint8_t *at, const uint8_t *end, bool swapped, struct record *row,
                    struct stages *stages) {
    while (end - at >= 4) {
        unsigned code = get16(at, swapped), size = get16(at + 2, swapped);
        if (code == 0) return true;
        at += 4;
        if ((size_t)(end - at) < size) return false;
        if (code == OPT_COMMENT)
            facts_read(at, size, row, stages);
        else if (code == EPB_FLAGS && size >= 4) {
            static const uint8_t ways[4] = {WAY_UNKNOWN, TO_DRIVER, TO_DEVICE, WAY_UNKNOWN};
            row->direction = ways[get32(at, swapped) & 3];
        } else if (code == EPB_QUEUE && size >= 4) {
            uint32_t queue = get32(at, swapped);
            row->queue = queue < NO_QUEUE ? (uint16_t)queue : NO_QUEUE;
        }
        size_t padded = (size + 3u) & ~3u;
        if ((size_t)(end - at) < padded) return true;
        at += padded;
    }
    return true;
}

size_t pcapng_parse(const uint8_t *file, size_t size, size_t at, bool swapped,
                    const struct interface *interfaces, size_t described, struct input *in) {
    while (at <= size && size - at >= 36) {
        const uint8_t *block = file + at;
        uint32_t total = get32(block + 4, swapped), number = get32(block + 8, swapped);
        if (get32(block, swapped) != ENHANCED_PACKET || total < 36 || total % 4 || total > BLOCK_MAX ||
            total > size - at || get32(block + total - 4, swapped) != total || number >= described ||
            !interfaces[number].units)
            break;
        struct record row = {.captured = get32(block + 20, swapped), .length = get32(block + 24, swapped)};
        if (row.captured > CAPTURED_MAX || row.captured > total - 32 || !room_for(in, row.captured)) break;
        if (row.length < row.captured) row.length = row.captured;
        uint64_t stamp = (uint64_t)get32(block + 12, swapped) << 32 | get32(block + 16, swapped);
        row.time = time_of(&interfaces[number], stamp);
        row.interface = interfaces[number].number;
        row.direction = WAY_UNKNOWN;
        row.queue = NO_QUEUE;
        struct stages stages = {0};
        size_t behind = 28 + (((size_t)row.captured + 3) & ~(size_t)3);
        if (behind < total - 4 && !options(block + behind, block + total - 4, swapped, &row, &stages)) break;
        keep(in, &row, &stages, block + 28);
        at += total;
    }
    return at;
}

size_t pcap_parse(const uint8_t *file, size_t size, size_t at, bool swapped, uint32_t unit,
                  struct input *in) {
    const struct stages none = {0};
    while (at <= size && size - at >= 16) {
        const uint8_t *entry = file + at;
        struct record row = {.captured = get32(entry + 8, swapped), .length = get32(entry + 12, swapped)};
        if (row.captured > CAPTURED_MAX || row.captured > size - at - 16 || !room_for(in, row.captured))
            break;
        if (row.length < row.captured) row.length = row.captured;
        row.time = (uint64_t)get32(entry, swapped) * 1000000000u + (uint64_t)get32(entry + 4, swapped) * unit;
        row.direction = WAY_UNKNOWN;
        row.queue = NO_QUEUE;
        keep(in, &row, &none, entry + 16);
        at += 16 + (size_t)row.captured;
    }
    return at;
}

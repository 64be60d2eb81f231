/* frames.h: frames by the batch: from the store's rows to the blocks of a capture file, and back.
 *
 * Nothing here knows Python. Rows, bytes and offsets come from callers who may lie about any of them; files
 * come from anywhere. Every function takes the lengths of what it is given and stays inside.
 */
#ifndef RINGSCOPE_FRAMES_H
#define RINGSCOPE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURED_MAX 262144u /* bytes of one frame: Wireshark's own bound */

/* capture.frame.RECORD. Its first 64 bytes are laid out as a header in the engine's frame log (struct
 * frame_header), so that a row is filled by one copy. They stand here again since captures are read and
 * written without any engine; a test holds the two layouts together. */
struct record {
    uint64_t number;
    uint64_t time; /* nanoseconds since the Unix epoch, as all times here */
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
    uint64_t offset;
    uint32_t interface;
    uint32_t reserved;
};
_Static_assert(sizeof(struct record) == 80, "capture.frame.RECORD");
_Static_assert(offsetof(struct record, offset) == 64, "capture.frame.LOGGED");

enum { TO_DEVICE = 0, TO_DRIVER = 1, WAY_UNKNOWN = 2 };
enum { FRAME_INDIRECT = 1, FRAME_FIXED = 2 };
enum { NO_QUEUE = 0xffff };

struct stages { /* capture.frame.STAGES */
    uint64_t available;
    uint64_t used;
    uint64_t collected;
    uint8_t notices;
    uint8_t reserved[7];
};
_Static_assert(sizeof(struct stages) == 32, "capture.frame.STAGES");
enum { KICK_SENT = 1, KICK_QUIET = 2, CALL_SENT = 4, CALL_QUIET = 8 };

/* What a file has said of one of its interfaces so far. */
struct tally {
    uint64_t written;
    uint64_t lost;
    uint64_t lost_since; /* the last frame that was written */
    uint64_t first;      /* times */
    uint64_t last;
};
_Static_assert(sizeof(struct tally) == 40, "capture.files.whole.TALLY");

/* Frames as callers name them. `stages` may be NULL. */
struct batch {
    const uint8_t *rows; /* count records, of any alignment */
    const uint8_t *data;
    size_t data_bytes;
    const uint8_t *offsets; /* count int64 */
    const uint8_t *stages;  /* count records */
    size_t count;
};

/* Where blocks are put together. */
struct output {
    uint8_t *bytes;
    size_t room;
    size_t used;
    uint64_t frames; /* among the bytes used */
};

/* Why a batch was not gone through to its end. */
enum refusal { FINE, BAD_INTERFACE, BAD_OFFSET, BAD_LENGTH, BAD_NET_HEADER };

/* Formats frames [start, count) as enhanced packet blocks, as many as fit. Returns the first that was not. */
size_t pcapng_format(const struct batch *batch, size_t start, struct tally *tallies, size_t interfaces,
                     struct output *out, enum refusal *refusal);
/* The same as records of a pcap file with nanoseconds, which has one interface and nothing but the frames. */
size_t pcap_format(const struct batch *batch, size_t start, struct tally *tallies, size_t interfaces,
                   struct output *out, enum refusal *refusal);

/* An interface that a file describes. */
struct interface {
    uint64_t units;  /* of its clock in a second; 0: its packets are not for pcapng_parse */
    int64_t start;   /* seconds to add */
    uint32_t number; /* what rows call it */
    uint32_t reserved;
};
_Static_assert(sizeof(struct interface) == 24, "capture.files.opened.INTERFACE");

/* Room for frames that were read. */
struct input {
    uint8_t *rows;
    uint8_t *offsets;
    uint8_t *stages;
    size_t room; /* frames */
    size_t count;
    uint8_t *bytes;
    size_t bytes_room;
    size_t bytes_used;
};

/* Takes whole and sound enhanced packet blocks that begin at file[at]. Returns where the first byte stands
 * that was not taken: another kind of block, a damaged or an incomplete one, or one for which is no room. */
size_t pcapng_parse(const uint8_t *file, size_t size, size_t at, bool swapped,
                    const struct interface *interfaces, size_t described, struct input *in);
/* The same for the records of a pcap file; `unit` is that of the fraction of a second, in nanoseconds. */
size_t pcap_parse(const uint8_t *file, size_t size, size_t at, bool swapped, uint32_t unit, struct input *in);

/* Ring facts: what the writer says of a frame in a comment, and what of it is found again. `to` has room for
 * FACTS_MAX bytes; returns those written. */
#define FACTS_MAX 448u
size_t facts_write(char *to, const struct record *row, const struct stages *stages);
void facts_read(const uint8_t *text, size_t size, struct record *row, struct stages *stages);

#endif

/* snapshot.h: a bounded, classified copy of one queue, made by a thread that is neither side.
 *
 * Copying twice and comparing does not detect torn rows, so a row's label comes from the protocol: 64-bit
 * counts of buffers, loaded before and after the copy, tell which rows nobody could have written meanwhile.
 *   descriptors of buffer k: not rewritten from publish to collect:  [collected_after, published_before)
 *   available entries: likewise
 *   used element j: written before used passes j, overwritten by j + size, of which the device says so in
 *   `completed` before it begins:                                  [completed_after - size, used_before)
 *   packed: the device writes used elements over descriptors: buffers in [used_before, completed_after) are
 *   in flux as well
 * Buffers that came back out of order break the first rule; then only a resting pair gives stable rows.
 *
 * In the caller's buffer: the header, then for a whole snapshot of N slots: desc 16 N, buffer 8 N; split:
 * used 8 N, avail 2 N; head 2 N, owner N, label N; split: avail_label N, used_label N; padding to 8; then
 * `tables` times {u32 slot, u32 entries, 16 * entries}.
 */
#ifndef RINGSCOPE_SNAPSHOT_H
#define RINGSCOPE_SNAPSHOT_H

#include "pair.h"

#define SNAPSHOT_TABLE_ENTRIES 2048u /* copied at most */

enum { LABEL_FREE = 0, LABEL_STABLE = 1, LABEL_IN_FLUX = 2, LABEL_SKIPPED = 3, LABEL_CHANGED = 0x80 };
enum { OWNER_FREE = 0, OWNER_AVAILABLE, OWNER_IN_USE, OWNER_USED, OWNER_UNKNOWN };

struct side_state {
    uint64_t polling, asleep, event_used, event_old, event_new, event_answer, notify_sent, notify_quiet,
        notify_received, frames, bytes, drops, broken, turns, notify_injected, notify_written, notify_told,
        notify_reached, notify_heard, notify_heard_turn, last_drop;
};
struct driver_state { /* records.DRIVER_STATE */
    uint64_t published, collected, avail_idx, last_used, avail_wrap, used_wrap, free, free_head, in_flight,
        added, path, backlog;
    struct side_state side;
};
struct device_state { /* records.DEVICE_STATE */
    uint64_t seen, used, last_avail, used_idx, avail_wrap, used_wrap, holding, unflushed, size, avail_read,
        backlog;
    struct side_state side;
};
struct queue_header { /* records.QUEUE_HEADER */
    uint64_t index, packed, size, role, enabled, generation, desc_addr, driver_addr, device_addr, time,
        duration, exact, kick_pending, call_pending, published_before, seen_before, used_before,
        collected_before, published_after, seen_after, used_after, collected_after, tables, table_entries,
        tables_left_out, area_flags, area_idx, area_event, theirs;
    struct driver_state driver;
    struct device_state device;
};

/* A half's words as they stand: by its own thread, or while it rests exact, else each near its time. */
void snapshot_driver(struct driver_state *to, struct pair *pair, struct vq *q);
void snapshot_device(struct device_state *to, struct pair *pair, struct vq *q);
/* One of them, counted from the first: nothing else is looked at. */
uint64_t snapshot_driver_word(struct pair *pair, struct vq *q, size_t word);
uint64_t snapshot_device_word(struct pair *pair, struct vq *q, size_t word);
/* Room for notes about a queue of this size; 0, or -1. */
int snapshot_make_room(struct pair *pair, uint32_t size);
/* The bytes that a snapshot of this queue needs at most. */
size_t snapshot_room(const struct vq *q, bool whole);
/* Takes one into `to`, 8-byte aligned and of snapshot_room() bytes; returns the bytes written. */
size_t snapshot_take(struct pair *pair, struct vq *q, bool whole, uint8_t *to);

#endif

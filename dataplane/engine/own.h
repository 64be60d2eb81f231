/* own.h: each side's own words as one image a queue, and the journal of their changes.
 *
 * The image is `keyframe.own_dtype` of Python: the driver's state, the device's state, a row for every buffer
 * id. At trace level stores it holds what the journal has told so far: just before an event is written, the
 * side compares its words with the image and writes an EV_OWN row for each that differs. So the image of a
 * resting pair and the rows up to an event are the same thing twice, and a snapshot of a resting pair is
 * taken from the image: in the middle of an operation a side's words may be ahead of what it has told.
 */
#ifndef RINGSCOPE_OWN_H
#define RINGSCOPE_OWN_H

#include "snapshot.h"

struct own_id { /* keyframe.ID_ROW */
    uint64_t outstanding, place, taken, skipped;
};
struct own {
    struct driver_state driver;
    struct device_state device;
    struct own_id ids[];
};

static inline size_t own_bytes(uint32_t size) { return sizeof(struct own) + size * sizeof(struct own_id); }

/* The image of a queue at rest, as it stands: own_bytes(q->size) at `to`. */
void own_take(struct pair *pair, struct vq *q, struct own *to);
/* From here on changes are told: while both sides rest. */
void own_begin(struct pair *pair);

/* Called by the verbs behind their last store and before their event; nothing where nothing is journaled. */
void own_driver_ids(struct vq *q, uint64_t from, uint64_t to); /* buffers [from, to) were added */
void own_driver_id(struct vq *q, uint16_t id);
void own_device_id(struct vq *q, uint16_t id);
void own_used_slots(struct vq *q, uint32_t from, uint32_t count);
/* door.c calls this before it writes an event of a side. */
void own_words(struct door *door, enum event_kind kind);

static inline bool own_wanted(const struct door *door) { return UNLIKELY(armed(door) & ARM_JOURNAL); }

#endif

/* dirty.h: which pages of the other side's memory a device of ours has written: while a guest moves to
 * another host, they are copied again (vhost-user, "Migration"). One bit a page, in memory of the other side,
 * which clears what it has read.
 */
#ifndef RINGSCOPE_DIRTY_H
#define RINGSCOPE_DIRTY_H

#include "ring.h"

#define DIRTY_PAGE 4096u
#define NOT_LOGGED UINT64_MAX

struct dirty {
    struct region log; /* .mapped NULL: there is none */
    bool on;           /* VHOST_F_LOG_ALL is in force */
};

/* After the store. Pages that the log has no bit for are left out. */
void dirty_mark(const struct dirty *dirty, uint64_t address, uint64_t length);
/* Buffers that a device has filled, as long as `done` says. */
void dirty_buffers(struct vq *q, const struct chain *chains, const struct done *done, uint32_t count);
/* Used elements [from, to) and the index, or the used descriptors from slot to slot. */
void dirty_used(struct vq *q, uint16_t from, uint16_t to);
/* What asks for kicks. */
void dirty_event(struct vq *q);

#endif

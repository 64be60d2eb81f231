/* notify.h: kick and call: whether, and by which eventfd. */
#ifndef RINGSCOPE_NOTIFY_H
#define RINGSCOPE_NOTIFY_H

#include "ring.h"

/* After a publish or a flush: decides, writes the eventfd where the other side wants it, counts and logs.
 * Whether it was wanted. */
bool notify_kick(struct vq *q);
bool notify_call(struct vq *q);

/* Takes what is pending in the eventfd of a kick or call and counts it as received. 0 where none was. */
uint64_t notify_take_kicks(struct vq *q);
uint64_t notify_take_calls(struct vq *q);

int notify_open(void); /* an eventfd, or -1 with errno */
void notify_raise(int fd);
void notify_tell(const struct notes *notes); /* the same, through an eventfd that may be the other side's */
/* By the side that notifies, of its buffers up to `upto`; 0: of none, or of another queue. */
void notify_write(struct notes *notes, uint64_t upto);
uint64_t notify_drain(int fd);
uint64_t notify_hear(const struct notes *notes);

#endif

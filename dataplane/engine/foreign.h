/* foreign.h: queues one side of which is another process: vhost-user gives us its memory and where in it the
 * rings lie. That side's words are not ours to read; what it did is counted from the ring memory.
 */
#ifndef RINGSCOPE_FOREIGN_H
#define RINGSCOPE_FOREIGN_H

#include "snapshot.h"

struct foreign_queue {
    uint32_t size;
    uint64_t desc, driver, device; /* addresses in the other side's process */
    struct ring_place from;
    int kick, call; /* eventfds, -1 for none; taken over, whatever comes of it */
    bool passive;
    uint64_t used_log; /* dirty.h: NOT_LOGGED: nobody asked */
};

/* The features in force, and the device status as far as it is known. While no queue is started. */
void foreign_features(struct pair *pair, uint64_t accepted, uint8_t status);
/* Memory that the other side shares. 0, or an errno of memory_map(). */
int foreign_map(struct pair *pair, uint64_t address, uint64_t user, uint64_t size, int fd,
                uint64_t file_offset);
/* ENOENT where there is no such region; EBUSY where a ring that is started lies in it. */
int foreign_unmap(struct pair *pair, uint64_t address, uint64_t user, uint64_t size);
/* The in-flight region, parts for `queues` queues of up to `entries` descriptors: as memory_map(), EINVAL
 * also where it is too small for that, EBUSY while a queue is started. */
int foreign_inflight(struct pair *pair, int fd, uint64_t file_offset, uint64_t bytes, uint32_t queues,
                     uint32_t entries);
/* The log of pages written, instead of the one before: as memory_map(). It is written while VHOST_F_LOG_ALL
 * is in force. */
int foreign_dirty(struct pair *pair, int fd, uint64_t file_offset, uint64_t bytes);
/* Both are let go of, once no queue is started: at the end of a connection. */
void foreign_forget(struct pair *pair);
/* 0; EFAULT: an area is not inside one region; EINVAL: it is not aligned; EPROTO: see inflight_open();
 * ENOMEM. */
int foreign_start(struct pair *pair, uint32_t index, const struct foreign_queue *given);
/* Buffers that were taken and not used are put back first. `at`: where the device would go on. */
void foreign_stop(struct pair *pair, uint32_t index, struct ring_place *at);
void foreign_passive(struct pair *pair, uint32_t index, bool passive);
/* Exchanges one eventfd of a started queue; it is taken over. */
void foreign_notify(struct pair *pair, uint32_t index, bool call, int fd);
/* How many queue pairs both sides use (5.1.6.5.6): there is no control queue that would say it. */
/* What the rings are of: 1 network, 2 block (5). While none is started. */
#define BLOCK_DEVICE 2u
void foreign_device(struct pair *pair, uint32_t device_id);
void foreign_pairs(struct pair *pair, uint32_t pairs);
/* Called by a side that was thrown out of memory that is there no more. */
void foreign_gone(struct side *side);

/* Buffers that the driver has made available, those that the device has used, as the ring memory says: no
 * more than a ring beyond what our half has taken. */
uint64_t foreign_published(struct vq *q);
uint64_t foreign_used(struct vq *q);

#endif

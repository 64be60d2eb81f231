/* notify.c: see notify.h. The event index and the event suppression structures are the layouts' business. */
#define _GNU_SOURCE
#include "fault.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int notify_open(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void notify_raise(int fd) {
    uint64_t one = 1;
    /* EAGAIN means that the counter is at its maximum: the other side is told all the same. */
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

/* Whether it would not block: a side must never wait for what the other made of its eventfd. */
static bool ready(const struct notes *notes, short events) {
    struct pollfd one = {.fd = notes->fd, .events = events};
    if (notes->fd < 0) return false;
    return !notes->blocks || (poll(&one, 1, 0) == 1 && one.revents & events);
}

void notify_tell(const struct notes *notes) {
    if (ready(notes, POLLOUT)) notify_raise(notes->fd);
}

uint64_t notify_hear(const struct notes *notes) { return ready(notes, POLLIN) ? notify_drain(notes->fd) : 0; }

void notify_write(struct notes *notes, uint64_t upto) {
    if (upto > notes->reached) count_put(&notes->reached, upto);
    count_add(&notes->written, 1);
    notify_tell(notes);
}

uint64_t notify_drain(int fd) {
    uint64_t n;
    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

/* `upto`: buffers of its own that it has shown so far. */
static bool decide(struct notes *notes, struct door *door, bool needed, uint64_t upto, enum event_kind kind) {
    if (faulty(door)) needed = fault_decision(door, kind, needed);
    if (needed) {
        count_add(&notes->sent, 1);
        count_put(&notes->told, upto);
        if (!faulty(door) || !fault_notice(door, notes, kind)) notify_write(notes, upto);
    } else
        count_add(&notes->quiet, 1);
    count_put(&notes->answer, needed ? 2 : 1);
    operation(door, needed ? kind : kind + 1, 0, 1, notes->event, notes->old, notes->new);
    return needed;
}

bool notify_kick(struct vq *q) {
    return decide(&q->drv.kick, q->drv.door, q->ops->kick_needed(q), q->drv.published, EV_KICK);
}
bool notify_call(struct vq *q) {
    return decide(&q->dev.call, q->dev.door, q->ops->call_needed(q), q->dev.used, EV_CALL);
}

uint64_t notify_take_kicks(struct vq *q) {
    uint64_t n = notify_hear(&q->drv.kick);
    if (n) {
        count_add(&q->dev.call.received, n);
        count_put(&q->dev.call.heard, q->dev.seen);
        count_put(&q->dev.call.heard_turn, q->dev.turns);
    }
    return n;
}

uint64_t notify_take_calls(struct vq *q) {
    uint64_t n = notify_hear(&q->dev.call);
    if (n) {
        count_add(&q->drv.kick.received, n);
        count_put(&q->drv.kick.heard, q->drv.collected);
        count_put(&q->drv.kick.heard_turn, q->drv.turns);
    }
    return n;
}

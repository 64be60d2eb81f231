/* side.c: what a side's thread does: turn after turn, and between them polling, or sleeping on its eventfds.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <time.h>

#include "fault.h"
#include "foreign.h"

#define SPINS 256u /* idle turns of a polling side before it offers its processor */

static const char *const thread_names[2] = {"rs-driver", "rs-device"};

static bool is_driver(const struct side *side) { return side->door.side == 0; }

/* A device wants to hear of receive buffers only when a frame waits for them: others are no news. */
static bool wants_kicks(const struct side *device, const struct vq *q) {
    if (q->role != ROLE_RECEIVE) return true;
    const struct port *port = &device->port;
    if (port->kind == PORT_FLOOD) return !port->muted && port->full;
    return port->has_current && port->current.pair == q->index / 2;
}

void side_hush(struct side *side) {
    for (uint32_t i = 0; i < side->pair->queues; i++) {
        struct vq *q = &side->pair->queue[i];
        if (!flag_get(&q->enabled) || (faulty(&side->door) && !fault_hushes(side, q))) continue;
        side->door.queue = q->index;
        if (is_driver(side))
            q->ops->calls_off(q);
        else
            q->ops->kicks_off(q);
    }
}

/* True where something came before the other side knew that it should tell (2.7.7.1). */
static bool notifications_on(struct side *side) {
    bool again = false, found;
    for (uint32_t i = 0; i < side->pair->queues; i++) {
        struct vq *q = &side->pair->queue[i];
        if (!flag_get(&q->enabled) || (faulty(&side->door) && !fault_hushed(side, q))) continue;
        side->door.queue = q->index;
        if (is_driver(side))
            found = q->ops->calls_on(q) && !q->drv.broken;
        else
            found = wants_kicks(side, q) && q->ops->kicks_on(q) && !q->dev.broken;
        again |= faulty(&side->door) ? fault_looks(side, q, found) : found;
    }
    return again;
}

/* The wake fd only ends a sleep: being looked at is no reason to look at the rings. */
static uint64_t take_notifications(struct side *side) {
    uint64_t n = 0;
    notify_drain(side->wake_fd);
    for (uint32_t i = 0; i < side->pair->queues; i++) {
        struct vq *q = &side->pair->queue[i];
        if (!flag_get(&q->enabled) || (faulty(&side->door) && fault_deaf(side, q))) continue;
        uint64_t came = is_driver(side) ? notify_take_calls(q) : notify_take_kicks(q);
        if (faulty(&side->door) && !fault_told(side, q, came)) continue;
        n += came;
    }
    return n;
}

static bool port_ready(struct side *side, uint64_t now) {
    struct port *port = &side->port;
    if (port->kind == PORT_FLOOD) return flood_due(port, now);
    return !port->has_current && port_peek(port, now);
}

/* Sleeps on the eventfds, the port, and the time of the port's next frame. */
static void sleep_until_told(struct side *side) {
    struct pollfd fds[QUEUES_MAX + 2];
    nfds_t n = 0;
    fds[n++] = (struct pollfd){.fd = side->wake_fd, .events = POLLIN};
    if (side->port.kind == PORT_TAP && !side->port.has_current)
        fds[n++] = (struct pollfd){.fd = side->port.fd, .events = POLLIN};
    for (uint32_t i = 0; i < side->pair->queues; i++) {
        struct vq *q = &side->pair->queue[i];
        if (!flag_get(&q->enabled) || (faulty(&side->door) && fault_deaf(side, q))) continue;
        fds[n++] = (struct pollfd){.fd = is_driver(side) ? q->dev.call.fd : q->drv.kick.fd, .events = POLLIN};
    }
    uint64_t wait = port_wait(&side->port, pair_now(side->pair));
    if (faulty(&side->door)) {
        uint64_t late = fault_late(side);
        if (late < wait) wait = late;
    }
    struct timespec t = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    ppoll(fds, n, wait == UINT64_MAX ? NULL : &t, NULL);
}

static bool driver_wanted(const struct side *side) {
    return is_driver(side) && (flag_get(&side->pair->config_changed) || control_waiting(side->pair));
}

/* Asleep: true when something woke the side. */
static bool wake(struct side *side) {
    bool told = take_notifications(side) > 0 || flag_get(&side->look);
    if (!told && !driver_wanted(side) && !port_ready(side, pair_now(side->pair))) return false;
    if (faulty(&side->door) && flag_get(&side->look)) fault_look_everywhere(side);
    flag_set(&side->asleep, 0);
    flag_set(&side->look, 0);
    operation(&side->door, EV_WAKE, 0, 0, 0, 0, 0);
    side_hush(side);
    return true;
}

static void pause_a_little(void) {
    const struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
}

static void fall_asleep(struct side *side) {
    if (notifications_on(side)) {
        side_hush(side);
        if (faulty(&side->door)) pause_a_little(); /* it may find the same for ever */
        return;
    }
    flag_set(&side->asleep, 1);
    operation(&side->door, EV_WAIT, 0, 0, 0, 0, 0);
}

static void run_turns(struct side *side) {
    struct pair *pair = side->pair;
    bool idle = false;
    unsigned spins = 0;
    while (!flag_get(&pair->closing)) {
        if (faulty(&side->door)) {
            fault_release(&side->door, true);
            fault_late(side);
        }
        if (UNLIKELY(armed(&side->door) & ARM_GATE))
            gate_arrive(&pair->gate, side->door.side, GATE_TURN, idle);
        if (!side->begun) { /* behind the gate: a pair that starts frozen has done nothing yet */
            side_hush(side);
            side->begun = true;
        }
        if (side->asleep && !wake(side)) {
            idle = true;
            /* Asked again: the notification of a close may just have been read. */
            if (!(armed(&side->door) & ARM_GATE) && !flag_get(&pair->closing)) sleep_until_told(side);
            continue;
        }
        side->port.full = true;
        uint32_t moved = is_driver(side) ? driver_turn(side) : device_turn(side);
        count_add(&side->loops, 1);
        idle = moved == 0;
        if (moved) {
            spins = 0;
            continue;
        }
        if (!side->polling)
            fall_asleep(side);
        else if (++spins < SPINS)
            relax();
        else
            sched_yield(); /* the other side may be waiting for this very processor */
    }
}

void *side_run(void *argument) {
    struct side *side = argument;
    struct memory_guard guard;
    pthread_setname_np(pthread_self(), thread_names[side->door.side]);
    memory_watch(&guard);
    if (sigsetjmp(guard.back, 0)) { /* only memory of the other side can be gone */
        memory_watch(&guard);
        foreign_gone(side);
    }
    run_turns(side);
    memory_unwatch();
    return NULL;
}

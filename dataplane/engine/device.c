/* device.c: the device's status and features (2.1, 2.2), and its turn. */
#include <string.h>

#include "fault.h"

/* ---- status and features ---------------------------------------------------------------------------- */

/* What a feature cannot do without (5.1.3.1): any one bit of `needs`. */
static const struct {
    uint8_t bit;
    uint64_t needs;
} required[] = {
    {F_NET_GUEST_TSO4, 1ull << F_NET_GUEST_CSUM},
    {F_NET_GUEST_TSO6, 1ull << F_NET_GUEST_CSUM},
    {F_NET_GUEST_ECN, 1ull << F_NET_GUEST_TSO4 | 1ull << F_NET_GUEST_TSO6},
    {F_NET_GUEST_UFO, 1ull << F_NET_GUEST_CSUM},
    {F_NET_HOST_TSO4, 1ull << F_NET_CSUM},
    {F_NET_HOST_TSO6, 1ull << F_NET_CSUM},
    {F_NET_HOST_ECN, 1ull << F_NET_HOST_TSO4 | 1ull << F_NET_HOST_TSO6},
    {F_NET_HOST_UFO, 1ull << F_NET_CSUM},
    {F_NET_CTRL_RX, 1ull << F_NET_CTRL_VQ},
    {F_NET_CTRL_RX_EXTRA, 1ull << F_NET_CTRL_VQ},
    {F_NET_CTRL_VLAN, 1ull << F_NET_CTRL_VQ},
    {F_NET_GUEST_ANNOUNCE, 1ull << F_NET_CTRL_VQ},
    {F_NET_MQ, 1ull << F_NET_CTRL_VQ},
    {F_NET_CTRL_MAC_ADDR, 1ull << F_NET_CTRL_VQ},
};

/* 1 + the bit for which the accepted set is refused; 0: it is taken. 65: a bit above 63. */
static uint64_t features_refused(const struct pair *pair) {
    uint64_t extra = pair->accepted & ~pair->offered;
    if (extra) return 1 + (uint64_t)__builtin_ctzll(extra);
    if (pair->accepted_high) return 65;
    if (!accepted(pair, F_VERSION_1)) return 1 + F_VERSION_1;
    if (accepted(pair, F_RING_PACKED) != pair->packed) return 1 + F_RING_PACKED;
    for (unsigned i = 0; i < sizeof required / sizeof required[0] && !pair->bare; i++)
        if (accepted(pair, required[i].bit) && !(pair->accepted & required[i].needs))
            return 1 + required[i].bit;
    return 0;
}

void pair_write_features(struct pair *pair, uint64_t low, bool high) {
    uint64_t status = count_get(&pair->status);
    /* 2.2.2, 3.1.1: only between DRIVER and FEATURES_OK */
    if (!(status & STATUS_DRIVER) || status & STATUS_FEATURES_OK) return;
    count_set(&pair->accepted, low);
    pair->accepted_high = high;
    door_note(&pair->driver.door, EV_FEATURES, 0, pair->offered, low);
}

/* Each bit needs the one before it (3.1.1); none is taken back but by a reset. */
static bool status_legal(uint64_t old, uint8_t new) {
    static const struct {
        uint8_t bit, after;
    } steps[] = {{STATUS_DRIVER, STATUS_ACKNOWLEDGE},
                 {STATUS_FEATURES_OK, STATUS_DRIVER},
                 {STATUS_DRIVER_OK, STATUS_FEATURES_OK}};
    const uint8_t known =
        STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK | STATUS_FAILED;
    uint8_t kept = (uint8_t)(old & ~STATUS_NEEDS_RESET); /* the device's own bit: not the driver's to keep */
    if ((new & ~STATUS_NEEDS_RESET) & ~known || (new &kept) != kept) return false;
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (new &steps[i].bit && !(new &steps[i].after)) return false;
    return !(new &STATUS_NEEDS_RESET) || old & STATUS_NEEDS_RESET;
}

static void device_reset(struct pair *pair) {
    for (uint32_t i = 0; i < pair->queues; i++) flag_set(&pair->queue[i].enabled, 0);
    count_set(&pair->accepted, 0);
    pair->accepted_high = false;
    count_set(&pair->refused, 0);
    count_set(&pair->status, 0);
    count_set(&pair->net_status, NET_S_LINK_UP);
    flag_set(&pair->pairs, 1);
    filter_reset(pair);
}

void pair_write_status(struct pair *pair, uint8_t status) {
    uint64_t old = count_get(&pair->status);
    bool was_running = pair_rest(pair);
    if (status == 0)
        device_reset(pair);
    else if (status_legal(old, status)) {
        if (status & STATUS_FEATURES_OK && !(old & STATUS_FEATURES_OK)) {
            count_set(&pair->refused, features_refused(pair));
            if (pair->refused) status &= (uint8_t) ~(STATUS_FEATURES_OK | STATUS_DRIVER_OK);
        }
        count_set(&pair->status, status | (old & STATUS_NEEDS_RESET));
    }
    door_note(&pair->driver.door, EV_STATUS, 0, old, count_get(&pair->status));
    pair_resume(pair, was_running);
}

/* 2.1.2: NEEDS_RESET, and a configuration change notification that says so. */
static void tell_broken(struct side *device) {
    struct pair *pair = device->pair;
    uint64_t old = count_get(&pair->status);
    if (old & STATUS_NEEDS_RESET) return;
    count_set(&pair->status, old | STATUS_NEEDS_RESET);
    operation(&device->door, EV_STATUS, 0, 0, 0, old, old | STATUS_NEEDS_RESET);
    if (fault_acts(&device->door, FAULT_SILENT)) return;
    count_add(&pair->config_generation, 1);
    flag_set(&pair->config_changed, 1);
    notify_raise(pair->driver.wake_fd);
}

/* ---- the device's turn ------------------------------------------------------------------------------ */

static uint32_t act(struct side *side, struct vq *q) {
    count_add(&q->dev.turns, 1);
    if (q->dev.broken) {
        tell_broken(side);
        return 0;
    }
    if (q->role == ROLE_TRANSMIT) return net_transmit(side, q);
    return q->role == ROLE_RECEIVE ? net_receive(side, q) : control_answer(side, q);
}

static uint32_t serve(struct side *side, struct vq *q) {
    if (!flag_get(&q->enabled)) return 0;
    side->door.queue = q->index;
    if (faulty(&side->door) && !fault_serves(side, q)) return 0;
    if (UNLIKELY(q->dev.kept_count)) fault_let_go(q);
    uint32_t moved = act(side, q);
    if (faulty(&side->door)) fault_served(side, q, moved);
    return moved;
}

/* What the driver asks and sends comes first, so that an answer never overtakes its question. */
uint32_t device_turn(struct side *side) {
    struct pair *pair = side->pair;
    uint32_t moved = 0;
    side->port.pairs = flag_get(&pair->pairs);
    for (uint32_t i = pair->queues; i-- > 0;)
        if (pair->queue[i].role != ROLE_RECEIVE) moved += serve(side, &pair->queue[i]);
    for (uint32_t i = 0; i < pair->queues; i++)
        if (pair->queue[i].role == ROLE_RECEIVE) moved += serve(side, &pair->queue[i]);
    return moved;
}

/* control.c: the control queue (5.1.6.5): the driver's half above, the device's below.
 *
 * One command is in flight at a time, in one block of guest memory: class and command, its data, the ack.
 */
#include <string.h>

#include "pair.h"

#define ACK_AT (2u + COMMAND_BYTES)

/* ---- driver ----------------------------------------------------------------------------------------- */

uint64_t pair_command(struct pair *pair, uint8_t class, uint8_t command, const uint8_t *data,
                      uint32_t length) {
    if (length > COMMAND_BYTES) return 0;
    uint64_t ticket = 0;
    pthread_mutex_lock(&pair->command_lock);
    if (pair->command_next - pair->command_answered < COMMANDS_MAX) {
        ticket = pair->command_next + 1;
        struct command *c = &pair->command[ticket % COMMANDS_MAX];
        c->class_command = (uint16_t)(class << 8 | command);
        c->length = (uint16_t)length;
        if (length) memcpy(c->data, data, length);
        count_set(&pair->command_next, ticket);
    }
    pthread_mutex_unlock(&pair->command_lock);
    if (ticket) pair_wake(pair);
    return ticket;
}

int pair_command_wait(struct pair *pair, uint64_t ticket, unsigned milliseconds) {
    struct timespec until = gate_deadline(milliseconds);
    int ack = -1;
    pthread_mutex_lock(&pair->command_lock);
    while (pair->command_answered < ticket && !flag_get(&pair->closing))
        if (pthread_cond_timedwait(&pair->command_done, &pair->command_lock, &until)) break;
    if (pair->command_answered >= ticket) ack = pair->command_ack[ticket % COMMANDS_MAX];
    pthread_mutex_unlock(&pair->command_lock);
    return ack;
}

static void take_answer(struct pair *pair, struct vq *q) {
    struct returned r;
    if (!pair->command_busy || q->ops->collect(q, &r, 1) == 0) return;
    uint8_t ack = r.length ? pair->control_host[ACK_AT] : CTRL_ERR;
    pthread_mutex_lock(&pair->command_lock);
    pair->command_answered = pair->command_first;
    pair->command_ack[pair->command_first % COMMANDS_MAX] = ack;
    uint16_t what = pair->command[pair->command_first % COMMANDS_MAX].class_command;
    pthread_cond_broadcast(&pair->command_done);
    pthread_mutex_unlock(&pair->command_lock);
    pair->command_busy = false;
    operation(q->drv.door, EV_CONTROL, 0, 1, what, flag_get(&pair->pairs), ack);
}

static bool send_next(struct pair *pair, struct vq *q) {
    bool any = false;
    if (LIKELY(pair->command_first == count_get(&pair->command_next))) return false; /* with every turn */
    struct seg segs[3];
    uint16_t out = 1;
    pthread_mutex_lock(&pair->command_lock);
    if (pair->command_first < pair->command_next) {
        const struct command *c = &pair->command[++pair->command_first % COMMANDS_MAX];
        pair->control_host[0] = (uint8_t)(c->class_command >> 8);
        pair->control_host[1] = (uint8_t)c->class_command;
        memcpy(pair->control_host + 2, c->data, c->length);
        segs[0] = (struct seg){pair->control_address, 2};
        if (c->length) segs[out++] = (struct seg){pair->control_address + 2, c->length};
        any = true;
    }
    pthread_mutex_unlock(&pair->command_lock);
    if (!any) return false;
    pair->control_host[ACK_AT] = 0xff;
    segs[out] = (struct seg){pair->control_address + ACK_AT, 1};
    struct buffer b = {segs, out, 1, false, 0};
    if (q->size < 3 && out == 2) { /* class, command and data stand together anyway */
        segs[0].length += segs[1].length;
        segs[1] = segs[2];
        b.out = 1;
    }
    if (q->ops->add(q, &b, 1) == 0) { /* cannot fit: a queue of one descriptor */
        pthread_mutex_lock(&pair->command_lock);
        pair->command_answered = pair->command_first;
        pair->command_ack[pair->command_first % COMMANDS_MAX] = CTRL_ERR;
        pthread_cond_broadcast(&pair->command_done);
        pthread_mutex_unlock(&pair->command_lock);
        return false;
    }
    pair->command_busy = true;
    q->ops->publish(q);
    notify_kick(q);
    return true;
}

bool control_waiting(struct pair *pair) {
    pthread_mutex_lock(&pair->command_lock);
    bool waiting = !pair->command_busy && pair->command_first < pair->command_next;
    pthread_mutex_unlock(&pair->command_lock);
    return waiting;
}

uint32_t control_send(struct side *driver, struct vq *q) {
    struct pair *pair = driver->pair;
    bool busy = pair->command_busy;
    if (busy) take_answer(pair, q);
    uint32_t moved = busy && !pair->command_busy;
    if (!pair->command_busy && !q->drv.broken) moved += send_next(pair, q);
    return moved;
}

/* ---- device ----------------------------------------------------------------------------------------- */

struct request {
    uint8_t bytes[2 + COMMAND_BYTES];
    uint32_t length;
};

static bool on_off(const struct request *r, bool *flag) {
    if (r->length < 3) return false;
    *flag = r->bytes[2] != 0;
    return true;
}

static bool control_rx(struct pair *pair, const struct request *r) {
    struct filter *f = &pair->filter;
    bool extra = r->bytes[1] >= 2;
    if (!accepted(pair, extra ? F_NET_CTRL_RX_EXTRA : F_NET_CTRL_RX)) return false;
    switch (r->bytes[1]) {
    case 0: return on_off(r, &f->promiscuous);
    case 1: return on_off(r, &f->all_multicast);
    case 2: return on_off(r, &f->all_unicast);
    case 3: return on_off(r, &f->no_multicast);
    case 4: return on_off(r, &f->no_unicast);
    case 5: return on_off(r, &f->no_broadcast);
    default: return false;
    }
}

/* Two tables, each le32 entries and 6 bytes an entry (5.1.6.5.2). */
static bool control_mac_table(struct pair *pair, const struct request *r) {
    struct filter *f = &pair->filter;
    uint32_t counts[2], at = 2, n = 0;
    uint8_t table[MAC_TABLE][6];
    for (int t = 0; t < 2; t++) {
        if (r->length < at + 4) return false;
        memcpy(&counts[t], r->bytes + at, 4);
        at += 4;
        if (counts[t] > MAC_TABLE - n || r->length - at < 6 * counts[t]) return false;
        memcpy(table[n], r->bytes + at, 6 * (size_t)counts[t]);
        n += counts[t];
        at += 6 * counts[t];
    }
    memcpy(f->table, table, 6 * (size_t)n);
    f->unicast = counts[0];
    f->multicast = counts[1];
    return true;
}

static bool control_vlan(struct pair *pair, const struct request *r) {
    uint16_t id;
    if (!accepted(pair, F_NET_CTRL_VLAN) || r->length < 4 || r->bytes[1] > 1) return false;
    memcpy(&id, r->bytes + 2, 2);
    if (id >= 4096) return false;
    pair->filter.vlan_filter = true;
    if (r->bytes[1] == 0)
        pair->filter.vlans[id / 64] |= 1ull << id % 64;
    else
        pair->filter.vlans[id / 64] &= ~(1ull << id % 64);
    return true;
}

static bool control_pairs(struct pair *pair, const struct request *r) {
    uint16_t pairs;
    if (!accepted(pair, F_NET_MQ) || r->length < 4 || r->bytes[1] != 0) return false;
    memcpy(&pairs, r->bytes + 2, 2);
    if (pairs < 1 || pairs > pair->pairs_max) return false;
    flag_set(&pair->pairs, pairs);
    return true;
}

static bool control_obey(struct pair *pair, const struct request *r) {
    if (r->length < 2) return false;
    switch (r->bytes[0]) {
    case CTRL_RX: return control_rx(pair, r);
    case CTRL_MAC:
        if (r->bytes[1] == 0 && accepted(pair, F_NET_CTRL_RX)) return control_mac_table(pair, r);
        if (r->bytes[1] != 1 || !accepted(pair, F_NET_CTRL_MAC_ADDR) || r->length < 8) return false;
        for (unsigned i = 0; i < 6; i++) own8(pair->mac + i, r->bytes[2 + i]);
        return true;
    case CTRL_VLAN: return control_vlan(pair, r);
    case CTRL_ANNOUNCE:
        if (!accepted(pair, F_NET_GUEST_ANNOUNCE) || r->bytes[1] != 0) return false;
        count_set(&pair->net_status, count_get(&pair->net_status) & ~(uint64_t)NET_S_ANNOUNCE);
        return true;
    case CTRL_MQ: return control_pairs(pair, r);
    default: return false;
    }
}

uint32_t control_answer(struct side *device, struct vq *q) {
    struct chain chain;
    if (q->ops->next(q, &chain, 1) == 0) return 0;
    struct request r = {.length = 0};
    for (uint16_t i = 0; i < chain.out && !chain.reason; i++) {
        uint32_t n = chain.spans[i].length;
        if (n > sizeof r.bytes - r.length) n = (uint32_t)sizeof r.bytes - r.length;
        memcpy(r.bytes + r.length, chain.spans[i].host,
               n); /* fetched once: what is checked is what is obeyed */
        r.length += n;
    }
    uint8_t ack = CTRL_ERR;
    if (!chain.reason && control_obey(device->pair, &r)) ack = CTRL_OK;
    bool answered = chain.in && !chain.reason;
    if (answered)
        chain.spans[chain.out].host[0] = ack;
    else {
        count_add(&q->dev.drops, 1);
        operation(q->dev.door, EV_DROP, 0, 1, 0, 0, chain.reason ? chain.reason : CONTROL_FORMAT);
    }
    operation(q->dev.door, EV_CONTROL, chain.head, 1, (uint64_t)r.bytes[0] << 8 | r.bytes[1],
              flag_get(&device->pair->pairs), ack);
    struct done done = {answered, chain.id, chain.slots, chain.in > 0};
    q->ops->complete(q, &done, 1, false);
    q->ops->flush(q);
    notify_call(q);
    return 1;
}

/* net.c: how a network device acts on its buffers (5.1.6): transmit, receive, and the receive filter. */
#include <string.h>

#include "breaks.h"
#include "fault.h"

/* Copies up to `length` bytes out of the readable spans, from byte `from`. */
static uint32_t gather(const struct chain *chain, uint32_t from, uint8_t *to, uint32_t length) {
    uint32_t done = 0;
    for (uint16_t i = 0; i < chain->out && done < length; i++) {
        const struct span *span = &chain->spans[i];
        if (from >= span->length) {
            from -= span->length;
            continue;
        }
        uint32_t n = span->length - from;
        if (n > length - done) n = length - done;
        memcpy(to + done, span->host + from, n);
        done += n;
        from = 0;
    }
    return done;
}

/* Writes `length` bytes into the writable spans, from byte `from`. */
static void scatter(const struct chain *chain, uint32_t from, const uint8_t *data, uint32_t length) {
    for (uint16_t i = 0; i < chain->in && length; i++) {
        const struct span *span = &chain->spans[chain->out + i];
        if (from >= span->length) {
            from -= span->length;
            continue;
        }
        uint32_t n = span->length - from;
        if (n > length) n = length;
        memcpy(span->host + from, data, n);
        data += n;
        length -= n;
        from = 0;
    }
}

static bool gso_allowed(uint64_t accepted, bool transmit, uint8_t type) {
    unsigned tso4 = transmit ? F_NET_HOST_TSO4 : F_NET_GUEST_TSO4,
             tso6 = transmit ? F_NET_HOST_TSO6 : F_NET_GUEST_TSO6;
    if (type & NET_GSO_ECN && !has_feature(accepted, transmit ? F_NET_HOST_ECN : F_NET_GUEST_ECN))
        return false;
    switch (type) {
    case NET_GSO_TCPV4:
    case NET_GSO_TCPV4 | NET_GSO_ECN: return has_feature(accepted, tso4);
    case NET_GSO_TCPV6:
    case NET_GSO_TCPV6 | NET_GSO_ECN: return has_feature(accepted, tso6);
    case NET_GSO_UDP: return has_feature(accepted, transmit ? F_NET_HOST_UFO : F_NET_GUEST_UFO);
    default: return false;
    }
}

enum reason net_header_check(uint64_t accepted, bool transmit, const struct virtio_net_hdr *header,
                             uint32_t length) {
    if (LIKELY(header->flags == 0 && header->gso_type == NET_GSO_NONE)) return SOUND;
    if (header->flags & NET_HDR_NEEDS_CSUM) {
        if (!has_feature(accepted, transmit ? F_NET_CSUM : F_NET_GUEST_CSUM)) return BAD_GSO;
        if ((uint32_t)header->csum_start + header->csum_offset + 2 > length) return BAD_GSO;
    }
    if (header->gso_type == NET_GSO_NONE) return SOUND;
    if (!gso_allowed(accepted, transmit, header->gso_type)) return BAD_GSO;
    /* 5.1.6.2.1: segmentation needs a size, and a checksum to fill into each segment */
    if (header->gso_size == 0 || !(header->flags & NET_HDR_NEEDS_CSUM)) return BAD_GSO;
    return SOUND;
}

static bool watched(const struct side *side) {
    return armed(&side->door) & ARM_BREAK && breaks_watch_frames(side->pair);
}

void net_log_frame(struct side *side, struct vq *q, const struct chain *chain, uint16_t buffers,
                   int direction, const struct virtio_net_hdr *header, const uint8_t *data, uint32_t length,
                   uint64_t now) {
    struct trace *trace = &side->pair->trace;
    if (UNLIKELY(watched(side))) breaks_frame(side, data, length);
    uint32_t keep = frame_wanted(&trace->frames, data, length);
    if (keep == 0) return;
    struct frame_header record = {
        .time = now ? now : trace_now(trace),
        .position = chain->position,
        .queue = q->index,
        .head = chain->head,
        .descriptors = chain->descriptors,
        .buffers = buffers,
        .direction = (uint8_t)direction,
        .flags = (uint8_t)((chain->indirect ? FRAME_INDIRECT : 0) |
                           (count_peek(&q->drv.path) == PATH_FIXED ? FRAME_FIXED : 0)),
        .net_header_length = NET_HEADER_LENGTH,
    };
    memcpy(record.net_header, header, NET_HEADER_LENGTH);
    frame_write(trace, &record, data, length, keep);
}

bool net_driver_logs(const struct side *side, uint32_t frames) {
    struct frame_log *log = &side->pair->trace.frames;
    if (LIKELY(!side->pair->device_theirs)) return false;
    if (flag_get(&log->on) || watched(side)) return true;
    count_add(&log->passed_over, frames);
    return false;
}

void net_log_sent(struct side *side, struct vq *q, uint32_t back, const struct buffer *buffer,
                  const struct packet *p) {
    uint32_t behind = back + 1, at = q->drv.add_at + (q->drv.add_at < behind ? q->size : 0) - behind;
    struct chain chain = {
        .position = q->drv.added - behind,
        .head = (uint16_t)q->drv.place[at],
        .descriptors = buffer->out,
        .indirect = buffer->table,
    };
    struct virtio_net_hdr header = p->header;
    header.flags &= NET_HDR_NEEDS_CSUM; /* as it stands in the ring */
    net_log_frame(side, q, &chain, 1, 0, &header, p->data, p->length, 0);
}

static void drop(struct vq *q, enum reason reason) {
    count_add(&q->dev.drops, 1);
    count_put(&q->dev.last_drop, reason);
    operation(q->dev.door, EV_DROP, 0, 1, 0, 0, reason);
}

/* ---- transmit --------------------------------------------------------------------------------------- */

static inline enum reason transmit_one(struct side *device, struct vq *q, const struct chain *chain,
                                       uint64_t now, bool logged, uint64_t *bytes) {
    struct virtio_net_hdr header;
    if (chain->reason) return chain->reason;
    if (chain->readable < NET_HEADER_LENGTH + NET_FRAME_MIN) return TOO_SHORT;
    if (chain->readable > NET_HEADER_LENGTH + NET_FRAME_MAX) return TOO_LONG;
    uint32_t length = (uint32_t)chain->readable - NET_HEADER_LENGTH;
    if (LIKELY(chain->out == 1)) {
        memcpy(&header, chain->spans[0].host, NET_HEADER_LENGTH);
        const uint8_t *data = chain->spans[0].host + NET_HEADER_LENGTH;
        if (length == 64)
            memcpy(device->frame, data, 64);
        else
            memcpy(device->frame, data, length);
    } else {
        gather(chain, 0, (uint8_t *)&header, NET_HEADER_LENGTH);
        gather(chain, NET_HEADER_LENGTH, device->frame, length);
    }
    enum reason reason = net_header_check(device->pair->accepted, true, &header, length);
    if (reason) return reason;
    if (UNLIKELY(flag_get(&q->passive))) return STOPPED;
    if (UNLIKELY(logged)) net_log_frame(device, q, chain, 1, 0, &header, device->frame, length, now);
    port_take(&device->port, &header, device->frame, length);
    *bytes += length;
    return SOUND;
}

static void show(struct vq *q) {
    q->ops->flush(q);
    notify_call(q);
}

uint32_t net_transmit(struct side *device, struct vq *q) {
    struct chain chains[BURST];
    struct done done[BURST];
    uint32_t n = q->ops->next(q, chains, BURST);
    if (n == 0) {
        if (UNLIKELY(q->dev.completed != q->dev.used)) show(q);
        return 0;
    }
    struct frame_log *log = &device->pair->trace.frames;
    uint32_t sound = n;
    bool logged = flag_get(&log->on) || watched(device);
    uint64_t now = logged ? pair_now(device->pair) : 0, bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        enum reason reason = transmit_one(device, q, &chains[i], now, logged, &bytes);
        if (UNLIKELY(reason)) {
            drop(q, reason);
            sound--;
        }
        done[i] = (struct done){0, chains[i].id, chains[i].slots, chains[i].in > 0};
    }
    count_add(&q->dev.frames, sound);
    count_add(&q->dev.bytes, bytes);
    if (!logged) count_add(&log->passed_over, sound);
    q->ops->complete(q, done, n, true);
    show(q);
    return n;
}

/* ---- receive ---------------------------------------------------------------------------------------- */

/* Chains taken for frames that are on their way; what one frame leaves over serves the next. */
struct hand {
    struct chain chain[SPAN];
    struct done done[SPAN];
    uint32_t have, used;
};

/* Fills buffers with one frame. The number of buffers it took, 0 where more are needed than there are. */
static uint32_t place_frame(struct side *device, struct vq *q, struct hand *hand,
                            const struct virtio_net_hdr *from, const uint8_t *data, uint32_t length) {
    bool mergeable = accepted(device->pair, F_NET_MRG_RXBUF);
    uint64_t need = (uint64_t)NET_HEADER_LENGTH + length, room = 0;
    uint32_t first = hand->used, n = 0;
    while (room < need) {
        if (first + n == hand->have) return 0;
        const struct chain *c = &hand->chain[first + n];
        if (n == 0 && c->writable < NET_HEADER_LENGTH) return 0;
        room += c->writable;
        n++;
        if (!mergeable && room < need) return 0;
    }
    struct virtio_net_hdr header = *from;
    if (!accepted(device->pair, F_NET_GUEST_CSUM)) header.flags = 0; /* 5.1.6.4.1 */
    header.num_buffers = (uint16_t)n;                                /* 1 without MRG_RXBUF (5.1.6.4.1) */
    uint64_t wrong;
    if (faulty(&device->door) && fault_meets(&device->door, FAULT_NUM_BUFFERS, &wrong))
        header.num_buffers = (uint16_t)wrong;
    scatter(&hand->chain[first], 0, (const uint8_t *)&header, NET_HEADER_LENGTH);
    uint32_t at = 0, skip = NET_HEADER_LENGTH;
    for (uint32_t i = first; i < first + n; i++, skip = 0) {
        const struct chain *c = &hand->chain[i];
        uint32_t part = length - at;
        if (part > c->writable - skip) part = (uint32_t)(c->writable - skip);
        scatter(c, skip, data + at, part);
        hand->done[i] = (struct done){part + skip, c->id, c->slots, true};
        at += part;
    }
    hand->used += n;
    count_add(&q->dev.frames, 1);
    count_add(&q->dev.bytes, length);
    net_log_frame(device, q, &hand->chain[first], (uint16_t)n, 1, &header, data, length, 0);
    return n;
}

/* Completes what was filled, and moves what is left to the front. */
static void settle(struct vq *q, struct hand *hand) {
    if (hand->used == 0) return;
    if (UNLIKELY(q->dirty != NULL)) dirty_buffers(q, hand->chain, hand->done, hand->used);
    q->ops->complete(q, hand->done, hand->used, false);
    hand->have -= hand->used;
    memmove(hand->chain, hand->chain + hand->used, hand->have * sizeof hand->chain[0]);
    hand->used = 0;
}

/* Hands everything back with length 0: a buffer that cannot be filled came, and order must be kept. */
static void hand_back(struct vq *q, struct hand *hand) {
    for (uint32_t i = 0; i < hand->have; i++) {
        const struct chain *c = &hand->chain[i];
        hand->done[i] = (struct done){0, c->id, c->slots, c->in > 0};
    }
    hand->used = hand->have;
    settle(q, hand);
}

/* Takes up to `want` more buffers; false where none came. */
static bool take_more(struct vq *q, struct hand *hand, uint32_t want) {
    settle(q, hand);
    if (want > SPAN - hand->have) want = SPAN - hand->have;
    if (!chain_fits(q)) chain_compact(q, hand->chain, hand->have);
    uint32_t n = q->ops->next(q, hand->chain + hand->have, want);
    for (uint32_t i = 0; i < n; i++) {
        const struct chain *c = &hand->chain[hand->have + i];
        if (LIKELY(c->reason == SOUND && c->in)) continue;
        drop(q, c->reason ? (enum reason)c->reason : NO_BUFFER);
        hand->have += n;
        hand_back(q, hand);
        return true;
    }
    hand->have += n;
    return n > 0;
}

static uint32_t receive_flood(struct side *device, struct vq *q, struct hand *hand) {
    static const struct virtio_net_hdr plain, whole = {.num_buffers = 1};
    uint32_t pair = q->index / 2, moved = 0, direct = 0, length = device->port.flood_length;
    bool logged = flag_get(&device->pair->trace.frames.on) || watched(device);
    if (pair >= device->port.pairs) return 0; /* 5.1.6.5.6.2 */
    if (hand->have < BURST) take_more(q, hand, BURST);
    uint32_t wanted = flood_allowance(&device->port, port_now(device), hand->have);
    while (moved < wanted) {
        const struct chain *c = &hand->chain[hand->used];
        if (LIKELY(hand->used < hand->have && c->in == 1 && c->writable >= NET_HEADER_LENGTH + length) &&
            !faulty(&device->door)) {
            /* Straight into the buffer; the header only where it does not stand there already. */
            uint8_t *host = c->spans[c->out].host;
            if (memcmp(host, &whole, NET_HEADER_LENGTH)) memcpy(host, &whole, NET_HEADER_LENGTH);
            flood_write(&device->port, pair, host + NET_HEADER_LENGTH);
            hand->done[hand->used++] = (struct done){length + NET_HEADER_LENGTH, c->id, c->slots, true};
            direct++;
            if (UNLIKELY(logged))
                net_log_frame(device, q, c, 1, 1, &whole, host + NET_HEADER_LENGTH, length, 0);
        } else {
            flood_write(&device->port, pair, device->frame);
            if (place_frame(device, q, hand, &plain, device->frame, length) == 0) {
                device->port.sequence[pair]--; /* not sent: the number is still free */
                if (!take_more(q, hand, SPAN)) break;
                continue;
            }
        }
        moved++;
    }
    count_add(&q->dev.frames, direct);
    count_add(&q->dev.bytes, (uint64_t)direct * length);
    if (!logged) count_add(&device->pair->trace.frames.passed_over, direct);
    return moved;
}

/* Places one frame, taking buffers one by one as it needs them. */
static bool place_or_wait(struct side *device, struct vq *q, struct hand *hand, const struct packet *p,
                          enum reason *reason) {
    while (place_frame(device, q, hand, &p->header, p->data, p->length) == 0) {
        bool alone = !accepted(device->pair, F_NET_MRG_RXBUF) && hand->have > hand->used;
        if (alone || hand->have - hand->used == SPAN || q->dev.holding - hand->used >= q->size) {
            *reason = NO_BUFFER; /* more would not help */
            return true;
        }
        if (!take_more(q, hand, 1)) return false;
    }
    return true;
}

static uint32_t receive_frames(struct side *device, struct vq *q, struct hand *hand) {
    uint32_t moved = 0;
    for (; moved < BURST; moved++) {
        const struct packet *p = port_peek(&device->port, port_now(device));
        if (!p || p->pair != q->index / 2) break;
        enum reason reason = SOUND;
        if (p->length > NET_FRAME_MAX) reason = TOO_LONG;
        if (p->length < NET_FRAME_MIN) reason = TOO_SHORT;
        if (!reason && !filter_accepts(device->pair, p->data, p->length)) reason = FILTERED;
        if (!reason) reason = net_header_check(device->pair->accepted, false, &p->header, p->length);
        if (!reason && !place_or_wait(device, q, hand, p, &reason)) break;
        if (reason) drop(q, reason);
        port_pop(&device->port);
    }
    return moved;
}

/* Whether a frame for this queue waits for buffers. A flood has one always; at a rate it is due soon, or not
 * at all. */
static void note_backlog(const struct side *device, struct vq *q, uint32_t placed) {
    const struct port *port = &device->port;
    const struct hand *hand = q->dev.hand;
    bool waits = port->kind == PORT_FLOOD ? placed == 0 && !port->muted && q->index / 2 < port->pairs &&
                                                (!port->per_second || hand->have == 0)
                                          : port->has_current && port->current.pair == q->index / 2;
    if (count_peek(&q->dev.backlog) != waits) count_put(&q->dev.backlog, waits);
}

/* What was taken and not filled stays in hand until the next turn. */
uint32_t net_receive(struct side *device, struct vq *q) {
    if (UNLIKELY(flag_get(&q->passive))) return 0;
    bool flood = device->port.kind == PORT_FLOOD;
    uint32_t moved = flood ? receive_flood(device, q, q->dev.hand) : receive_frames(device, q, q->dev.hand);
    note_backlog(device, q, moved);
    settle(q, q->dev.hand);
    if (q->dev.completed != q->dev.used) show(q);
    return moved;
}

size_t net_hand_bytes(void) { return sizeof(struct hand); }
void net_hand_back(struct vq *q) {
    struct hand *hand = q->dev.hand;
    q->ops->put_back(q, hand->chain + hand->used, hand->have - hand->used);
    hand->have = hand->used = 0;
}
void net_hand_reset(struct vq *q) { memset(q->dev.hand, 0, sizeof(struct hand)); }

/* ---- the receive filter (5.1.6.5.1 to 5.1.6.5.3) ---------------------------------------------------- */

void filter_reset(struct pair *pair) {
    memset(&pair->filter, 0, sizeof pair->filter);
    pair->filter.promiscuous = true;
}

static bool in_table(const struct filter *filter, uint32_t from, uint32_t to, const uint8_t *mac) {
    for (uint32_t i = from; i < to && i < MAC_TABLE; i++)
        if (memcmp(filter->table[i], mac, 6) == 0) return true;
    return false;
}

bool filter_accepts(const struct pair *pair, const uint8_t *frame, uint32_t length) {
    const struct filter *f = &pair->filter;
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    if (f->promiscuous || length < 14) return true;
    if (f->vlan_filter && length >= 18 && frame[12] == 0x81 && frame[13] == 0) {
        unsigned id = ((unsigned)frame[14] << 8 | frame[15]) & 0xfff;
        if (!(f->vlans[id / 64] >> id % 64 & 1)) return false;
    }
    if (memcmp(frame, broadcast, 6) == 0) return !f->no_broadcast;
    if (frame[0] & 1)
        return !f->no_multicast &&
               (f->all_multicast || in_table(f, f->unicast, f->unicast + f->multicast, frame));
    return !f->no_unicast &&
           (f->all_unicast || memcmp(frame, pair->mac, 6) == 0 || in_table(f, 0, f->unicast, frame));
}

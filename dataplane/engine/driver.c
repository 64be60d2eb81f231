/* driver.c: the driver's turn: buffers out of its pools, frames into them, used buffers back. */
#include <stdlib.h>
#include <string.h>

#include "fault.h"

#define WRITE_AHEAD 8u /* payload lines asked for before they are written */
#define READ_AHEAD  6u /* and before they are read */

/* ---- pools ------------------------------------------------------------------------------------------ */

static uint16_t pool_take(struct pool *pool) {
    uint16_t b = pool->head;
    pool->head = pool->next[b];
    pool->free--;
    return b;
}

/* Gives the pieces first..last back at the end, so that buffers go round like slots do. */
static void pool_give(struct pool *pool, uint16_t first) {
    uint16_t last = pool->last[first];
    if (pool->free == 0)
        pool->head = first;
    else
        pool->next[pool->tail] = first;
    pool->tail = last;
    pool->free += pool->pieces[first];
}

static uint8_t *pool_data(const struct pool *pool, uint16_t b) {
    return pool->host + (uint64_t)b * pool->stride + POOL_DATA;
}
static uint64_t pool_address(const struct pool *pool, uint16_t b) {
    return pool->address + (uint64_t)b * pool->stride;
}

static void pool_reset(struct pool *pool) {
    for (uint32_t i = 0; i < pool->count; i++) {
        pool->next[i] = (uint16_t)((i + 1) % pool->count);
        pool->last[i] = (uint16_t)i;
        pool->pieces[i] = 1;
        pool->plain[i] = 0;
    }
    pool->head = 0;
    pool->tail = (uint16_t)(pool->count - 1);
    pool->free = pool->count;
    pool->run = 0;
}

/* So many in a row, where buffers are taken and given back strictly in turn. */
static void pool_take_run(struct pool *pool, uint32_t n) {
    pool->head = (uint16_t)((pool->head + n) % pool->count);
    pool->free -= n;
}
static void pool_give_run(struct pool *pool, uint32_t n) {
    pool->tail = (uint16_t)((pool->tail + n) % pool->count);
    pool->free += n;
}

static uint16_t after(const struct pool *pool, uint16_t b) {
    return b + 1u == pool->count ? 0 : (uint16_t)(b + 1);
}

/* Whether every slot still holds what the last lap left there: then positions are all that has to move. */
static bool repeatable(const struct vq *q, const struct pool *pool) {
    return q->drv.path == PATH_FIXED && q->in_order && pool->run >= pool->count &&
           !(armed(q->drv.door) & ARM_FAULT);
}

uint64_t driver_pool_plan(const struct pair *pair, const struct vq *q, struct pool *pool) {
    uint64_t big = 1ull << F_NET_GUEST_TSO4 | 1ull << F_NET_GUEST_TSO6 | 1ull << F_NET_GUEST_UFO;
    uint32_t frame = pair->buffer_bytes - POOL_DATA;
    if (q->role == ROLE_RECEIVE && !has_feature(pair->accepted, F_NET_MRG_RXBUF)) {
        /* 5.1.6.3.1: then each buffer holds the largest frame */
        uint32_t need = pair->accepted & big ? NET_FRAME_MAX : pair->mtu + 22;
        if (frame < need) frame = need;
    }
    /* An odd number of lines: buffers a power of two apart would share a few sets of every cache. */
    pool->stride = ((frame + POOL_DATA + 63) & ~63u) | 64;
    pool->capacity = pool->stride - POOL_DATA;
    /* The fixed mapping needs buffer i for slot i; any other path may want many buffers for one descriptor.
     */
    pool->count = q->size < TABLE_ENTRIES && q->drv.path != PATH_FIXED ? TABLE_ENTRIES : q->size;
    return (uint64_t)pool->stride * pool->count;
}

int driver_pool_open(struct pair *pair, struct pool *pool, uint64_t address) {
    pool->address = address;
    pool->host = memory_translate(&pair->memory, address, (uint64_t)pool->stride * pool->count);
    pool->next = calloc(pool->count, sizeof *pool->next);
    pool->last = calloc(pool->count, sizeof *pool->last);
    pool->pieces = calloc(pool->count, sizeof *pool->pieces);
    pool->plain = calloc(pool->count, 1);
    if (!pool->host || !pool->next || !pool->last || !pool->pieces || !pool->plain) return -1;
    pool_reset(pool);
    return 0;
}

void driver_pool_close(struct pool *pool) {
    free(pool->next);
    free(pool->last);
    free(pool->pieces);
    free(pool->plain);
    memset(pool, 0, sizeof *pool);
}

/* ---- transmit --------------------------------------------------------------------------------------- */

/* How a frame becomes descriptors; false: it cannot fit this queue in any way that is allowed. */
static bool plan(const struct vq *q, uint32_t length, uint32_t pieces, bool *own_header, bool *table) {
    *own_header = *table = false;
    switch (q->drv.path) {
    case PATH_FIXED: return pieces == 1;
    case PATH_INDIRECT: *own_header = *table = q->indirect; break;
    case PATH_CHAIN: *own_header = pieces + 1 <= q->size; break;
    case PATH_AUTO:
        *own_header = (pieces > 1 || length > 256) && q->size > 1;
        *table = q->indirect && pieces > 1;
        break;
    }
    if (*table && pieces > TABLE_ENTRIES) *table = false;
    uint32_t limit = *table && q->size > TABLE_ENTRIES ? TABLE_ENTRIES : q->size;
    if (pieces + *own_header > limit) *own_header = false;
    return pieces <= limit;
}

static void write_header(struct pool *pool, uint16_t b, const struct virtio_net_hdr *header) {
    static const struct virtio_net_hdr plain;
    struct virtio_net_hdr h = *header;
    h.flags &= NET_HDR_NEEDS_CSUM; /* the one flag that a driver may set (5.1.6.2.1) */
    bool is_plain = memcmp(&h, &plain, NET_HEADER_LENGTH) == 0;
    if (is_plain && pool->plain[b]) return; /* its line need not travel */
    memcpy(pool_data(pool, b) - NET_HEADER_LENGTH, &h, NET_HEADER_LENGTH);
    pool->plain[b] = is_plain;
}

static void drop(struct vq *q, enum reason reason) {
    count_add(&q->drv.drops, 1);
    count_put(&q->drv.last_drop, reason);
    operation(q->drv.door, EV_DROP, 0, 1, 0, 0, reason);
}

/* Of a flood: `n` frames behind each other, the first in buffer `b`. */
static void log_flood(struct side *side, struct vq *q, const struct pool *pool, uint16_t b, uint32_t n) {
    static const struct buffer plain = {.out = 1};
    if (LIKELY(!net_driver_logs(side, n))) return;
    for (; n-- > 0; b = pool->next[b]) {
        struct packet p = {pool_data(pool, b), side->port.flood_length, 0, {0}};
        net_log_sent(side, q, n, &plain, &p);
    }
}

/* Adds one frame: 1; 0 where there is no room now. What can never fit is dropped and counted as done. */
static uint32_t add_frame(struct side *side, struct vq *q, struct pool *pool, const struct packet *p) {
    uint32_t pieces = (p->length + pool->capacity - 1) / pool->capacity;
    bool own_header, table;
    if (p->length < NET_FRAME_MIN || p->length > NET_FRAME_MAX || pieces > pool->count || pieces > SPAN ||
        !plan(q, p->length, pieces, &own_header, &table)) {
        drop(q, p->length < NET_FRAME_MIN ? TOO_SHORT : TOO_LONG);
        return 1;
    }
    pool->run = 0;
    if (pool->free < pieces || q->drv.free < (table ? 1 : pieces + own_header)) return 0;
    struct seg segs[SPAN + 1];
    uint16_t first = pool_take(pool), b = first;
    uint16_t n = 0;
    write_header(pool, first, &p->header);
    if (own_header) segs[n++] = (struct seg){pool_address(pool, first) + POOL_HEADER, NET_HEADER_LENGTH};
    for (uint32_t at = 0, i = 0; i < pieces; i++) {
        uint32_t part = p->length - at < pool->capacity ? p->length - at : pool->capacity;
        memcpy(pool_data(pool, b), p->data + at, part);
        segs[n] = (struct seg){pool_address(pool, b) + POOL_DATA, part};
        if (n == 0) segs[0] = (struct seg){pool_address(pool, b) + POOL_HEADER, part + NET_HEADER_LENGTH};
        n++;
        at += part;
        if (i + 1 < pieces) b = pool_take(pool);
    }
    pool->last[first] = b;
    pool->pieces[first] = (uint16_t)pieces;
    struct buffer buffer = {segs, n, 0, table, first};
    q->ops->add(q, &buffer, 1);
    if (UNLIKELY(net_driver_logs(side, 1))) net_log_sent(side, q, 0, &buffer, p);
    count_add(&q->drv.frames, 1);
    count_add(&q->drv.bytes, p->length);
    return 1;
}

static uint32_t transmit_frames(struct side *side, struct vq *q, struct pool *pool) {
    uint32_t n = 0;
    for (; n < BURST; n++) {
        const struct packet *p = port_peek(&side->port, port_now(side));
        if (!p || p->pair != q->index / 2 || add_frame(side, q, pool, p) == 0) break;
        port_pop(&side->port);
    }
    return n;
}

/* One piece, one descriptor, written in place. Longer frames take the road of every other frame. */
static uint32_t transmit_flood(struct side *side, struct vq *q, struct pool *pool) {
    static const struct virtio_net_hdr plain;
    uint32_t length = side->port.flood_length, pair = q->index / 2;
    if (pair >= side->port.pairs) return 0; /* 5.1.6.5.6.1 */
    uint64_t room = q->drv.free < pool->free ? q->drv.free : pool->free;
    uint32_t wanted = room < BURST ? (uint32_t)room : BURST;
    wanted = flood_allowance(&side->port, port_now(side), wanted);
    if (wanted == 0) return 0;
    if (length > pool->capacity || q->drv.path == PATH_CHAIN || q->drv.path == PATH_INDIRECT) {
        uint32_t n = 0;
        for (; n < wanted; n++) {
            struct packet p = {side->frame, length, (uint16_t)pair, plain};
            flood_write(&side->port, pair, side->frame);
            if (add_frame(side, q, pool, &p)) continue;
            side->port.sequence[pair]--;
            break;
        }
        return n;
    }
    if (length != pool->run_length) pool->run = 0;
    pool->run_length = length;
    if (repeatable(q, pool)) {
        uint16_t b = pool->head, ahead = b;
        for (uint32_t i = 0; i < wanted + WRITE_AHEAD; i++) {
            if (i < wanted) {
                will_write(pool_data(pool, ahead));
                ahead = after(pool, ahead);
            }
            if (i < WRITE_AHEAD) continue;
            flood_write(&side->port, pair, pool_data(pool, b));
            b = after(pool, b);
        }
        b = pool->head;
        pool_take_run(pool, wanted);
        q->ops->repeat(q, wanted);
        log_flood(side, q, pool, b, wanted);
        count_add(&q->drv.frames, wanted);
        count_add(&q->drv.bytes, (uint64_t)wanted * length);
        return wanted;
    }
    struct buffer buffers[BURST];
    struct seg segs[BURST];
    for (uint32_t i = 0; i < wanted; i++) {
        uint16_t b = pool_take(pool);
        pool->last[b] = b;
        pool->pieces[b] = 1;
        write_header(pool, b, &plain);
        flood_write(&side->port, pair, pool_data(pool, b));
        segs[i] = (struct seg){pool_address(pool, b) + POOL_HEADER, length + NET_HEADER_LENGTH};
        buffers[i] = (struct buffer){&segs[i], 1, 0, false, b};
    }
    uint32_t n = q->ops->add(q, buffers, wanted);
    if (n) log_flood(side, q, pool, (uint16_t)buffers[0].token, n);
    if (pool->run < pool->count) pool->run += n;
    count_add(&q->drv.frames, n);
    count_add(&q->drv.bytes, (uint64_t)n * length);
    return n;
}

/* Whether a frame of this queue waits that could not be sent. A flood has one always; at a rate it is due
 * soon, or not at all. */
static void note_backlog(const struct side *side, struct vq *q, uint32_t sent) {
    const struct port *port = &side->port;
    bool waits = port->kind == PORT_FLOOD ? sent == 0 && !port->muted && q->index / 2 < port->pairs &&
                                                (!port->per_second || q->drv.free == 0)
                                          : port->has_current && port->current.pair == q->index / 2;
    if (count_peek(&q->drv.backlog) != waits) count_put(&q->drv.backlog, waits);
}

static uint32_t transmit(struct side *side, struct vq *q, struct pool *pool) {
    struct returned back[BURST];
    uint32_t done = 0, n;
    if (repeatable(q, pool)) {
        done = q->ops->reclaim(q);
        pool_give_run(pool, done);
    } else
        while ((n = q->ops->collect(q, back, BURST))) {
            for (uint32_t i = 0; i < n; i++) pool_give(pool, (uint16_t)back[i].token);
            done += n;
            if (n < BURST || done >= q->size) break;
        }
    if (q->drv.broken) return done;
    bool flood = side->port.kind == PORT_FLOOD;
    if (fault_acts(&side->door, FAULT_NO_SUBMIT)) {
        port_peek(&side->port, port_now(side));
        n = 0;
    } else
        n = flood ? transmit_flood(side, q, pool) : transmit_frames(side, q, pool);
    note_backlog(side, q, n);
    if (q->drv.added != q->drv.published) {
        q->ops->publish(q);
        notify_kick(q);
    }
    return done + n;
}

/* ---- receive ---------------------------------------------------------------------------------------- */

/* Posts every free buffer: a receive queue is kept full (5.1.6.3.1). */
static uint32_t refill(struct vq *q, struct pool *pool) {
    struct buffer buffers[BURST];
    struct seg segs[BURST];
    uint32_t n, posted = 0;
    if (repeatable(q,
                   pool)) { /* receive buffers never differ: after one lap nothing has to be written again */
        n = (uint32_t)q->drv.free;
        pool_take_run(pool, n);
        q->ops->repeat(q, n);
        return n;
    }
    do {
        uint64_t room = q->drv.free < pool->free ? q->drv.free : pool->free;
        n = room < BURST ? (uint32_t)room : BURST;
        for (uint32_t i = 0; i < n; i++) {
            uint16_t b = pool_take(pool);
            segs[i] = (struct seg){pool_address(pool, b) + POOL_HEADER, pool->capacity + NET_HEADER_LENGTH};
            buffers[i] = (struct buffer){&segs[i], 0, 1, false, b};
        }
        if (n) posted += q->ops->add(q, buffers, n);
    } while (n == BURST);
    pool->run += posted;
    return posted;
}

/* Takes one frame apart: `back` holds its `n` used buffers. */
static enum reason receive_one(struct side *side, const struct pool *pool, const struct returned *back,
                               uint32_t n, const struct virtio_net_hdr *header, uint32_t *length) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t skip = i ? 0 : NET_HEADER_LENGTH;
        if (back[i].length < skip || back[i].length > pool->capacity + NET_HEADER_LENGTH) return USED_LENGTH;
        uint32_t part = back[i].length - skip;
        if (part > NET_FRAME_MAX - at) return TOO_LONG;
        const uint8_t *from = pool_data(pool, (uint16_t)back[i].token) - NET_HEADER_LENGTH + skip;
        if (part == 64)
            memcpy(side->frame + at, from, 64);
        else
            memcpy(side->frame + at, from, part);
        at += part;
    }
    *length = at;
    if (at < NET_FRAME_MIN) return TOO_SHORT;
    return net_header_check(side->pair->accepted, false, header, at);
}

static uint32_t receive(struct side *side, struct vq *q, struct pool *pool) {
    struct returned back[SPAN];
    bool mergeable = accepted(side->pair, F_NET_MRG_RXBUF);
    uint32_t n = q->ops->collect(q, back, BURST), i = 0, frames = 0;
    uint64_t bytes = 0;
    while (i < n) {
        if (i + READ_AHEAD < n) __builtin_prefetch(pool_data(pool, (uint16_t)back[i + READ_AHEAD].token));
        struct virtio_net_hdr header; /* fetched once */
        memcpy(&header, pool_data(pool, (uint16_t)back[i].token) - NET_HEADER_LENGTH, NET_HEADER_LENGTH);
        uint32_t parts = mergeable && back[i].length >= NET_HEADER_LENGTH ? header.num_buffers : 1;
        enum reason reason = back[i].length < NET_HEADER_LENGTH ? TOO_SHORT : SOUND;
        if (parts == 0 || parts > SPAN) reason = NUM_BUFFERS_BAD, parts = 1;
        if (parts > n - i) { /* the rest of the frame is in the next used elements, if anywhere */
            for (uint32_t k = 0; k < i; k++) pool_give(pool, (uint16_t)back[k].token);
            memmove(back, back + i, (n - i) * sizeof back[0]);
            n -= i;
            i = 0;
            uint32_t more = q->ops->collect(q, back + n, SPAN - n);
            n += more;
            if (parts > n) reason = NUM_BUFFERS_BAD, parts = 1;
        }
        uint32_t length = 0;
        if (!reason) reason = receive_one(side, pool, back + i, parts, &header, &length);
        if (reason)
            drop(q, reason);
        else {
            frames++;
            bytes += length;
            if (UNLIKELY(net_driver_logs(side, 1))) {
                struct chain chain = {.position = back[i].position, .head = back[i].head, .descriptors = 1};
                net_log_frame(side, q, &chain, (uint16_t)parts, 1, &header, side->frame, length, 0);
            }
            port_take(&side->port, &header, side->frame, length);
        }
        i += parts;
    }
    count_add(&q->drv.frames, frames);
    count_add(&q->drv.bytes, bytes);
    if (repeatable(q, pool))
        pool_give_run(pool, n);
    else
        for (uint32_t k = 0; k < n; k++) pool_give(pool, (uint16_t)back[k].token);
    if (q->drv.broken) return n;
    /* Posting and kicking for every single buffer would cost more than it brings. */
    uint32_t posted = q->drv.free && !fault_acts(&side->door, FAULT_NO_REFILL) ? refill(q, pool) : 0;
    if (posted || q->drv.added != q->drv.published) {
        q->ops->publish(q);
        notify_kick(q);
    }
    return n + posted;
}

/* ---- the driver's turn ------------------------------------------------------------------------------ */

/* 5.1.6.5.4: a reverse ARP frame tells the network where we are now, then the device is told so. */
static void announce(struct side *side) {
    struct pair *pair = side->pair;
    static const uint8_t arp[10] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
    struct packet p = {side->frame, 60, 0, {0}};
    memset(side->frame, 0, 60);
    memset(side->frame, 0xff, 6);
    for (unsigned i = 0; i < 6; i++)
        side->frame[6 + i] = side->frame[22 + i] = side->frame[32 + i] = peek8(pair->mac + i);
    memcpy(side->frame + 12, arp, sizeof arp);
    add_frame(side, &pair->queue[1], &pair->pool[1], &p);
    pair->queue[1].drv.told = true;
    pair_command(pair, CTRL_ANNOUNCE, 0, NULL, 0);
}

static uint32_t serve(struct side *side, struct vq *q) {
    if (!flag_get(&q->enabled)) return 0;
    side->door.queue = q->index;
    if (faulty(&side->door) && !fault_serves(side, q)) return 0;
    count_add(&q->drv.turns, 1);
    struct pool *pool = &side->pair->pool[q->index];
    uint32_t moved = q->role == ROLE_RECEIVE    ? receive(side, q, pool)
                     : q->role == ROLE_TRANSMIT ? transmit(side, q, pool)
                                                : control_send(side, q);
    if (faulty(&side->door)) fault_served(side, q, moved);
    return moved;
}

uint32_t driver_turn(struct side *side) {
    struct pair *pair = side->pair;
    if (UNLIKELY(flag_get(&pair->config_changed))) {
        flag_set(&pair->config_changed, 0);
        if (count_get(&pair->net_status) & NET_S_ANNOUNCE && accepted(pair, F_NET_GUEST_ANNOUNCE))
            announce(side);
    }
    uint32_t moved = 0, pairs = flag_get(&pair->pairs);
    side->port.pairs = pairs;
    if (faulty(&side->door) && fault_spins(side)) return 1;
    for (uint32_t i = 0; i < 2 * pair->pairs_max; i++) moved += serve(side, &pair->queue[i]);
    return moved + serve(side, &pair->queue[2 * pair->pairs_max]);
}

void driver_reset_queue(struct pair *pair, struct vq *q) {
    if (q->role == ROLE_CONTROL)
        pair->command_busy = false;
    else
        pool_reset(&pair->pool[q->index]);
}

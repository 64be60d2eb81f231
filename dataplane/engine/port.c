/* port.c: see port.h. */
#define _GNU_SOURCE
#include "port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FLOOD_MIN      64u
#define FLOOD_SEQUENCE 48u /* 8 bytes */
#define FLOOD_SUM      56u /* 4 bytes */
#define FLOOD_MARK     42u /* "rs" and the queue pair */
#define SUM_EVERY      100u
#define FLOOD_WAKES    5000u      /* times a second that a flood held to a rate ends a sleep, at most */
#define UNKNOWN        UINT64_MAX /* no frame of the other side's flood was seen yet */

int port_init(struct port *port, uint8_t side, struct play_clock *clock) {
    memset(port, 0, sizeof *port);
    port->side = side;
    port->pairs = 1;
    port->clock = clock;
    port->fd = -1;
    port->scratch = malloc(NET_HEADER_LENGTH + NET_FRAME_MAX + 64);
    port->flood_template = malloc(NET_FRAME_MAX + 64);
    if (port->scratch && port->flood_template) return 0;
    port_free(port);
    return -1;
}

void port_quiet(struct port *port) {
    free(port->list);
    port->list = NULL;
    port->kind = PORT_QUIET;
    port->has_current = false;
    if (port->fd >= 0) close(port->fd);
    port->fd = -1;
}

void port_free(struct port *port) {
    port_quiet(port);
    free(port->scratch);
    free(port->flood_template);
    port->scratch = port->flood_template = NULL;
}

/* ---- flood: UDP to the discard port, numbered, one in a hundred with a sum over the whole frame ------ */

static uint16_t ip_sum(const uint8_t *header) {
    uint32_t sum = 0;
    for (unsigned i = 0; i < 20; i += 2) sum += (uint32_t)header[i] << 8 | header[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void port_flood(struct port *port, uint32_t length) {
    port_quiet(port);
    if (length < FLOOD_MIN) length = FLOOD_MIN;
    if (length > NET_FRAME_MAX) length = NET_FRAME_MAX;
    static const uint8_t head[42] = {
        0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0,  0,  0, 1, 8,   0,                     /* Ethernet */
        0x45, 0,    0, 0, 0, 0, 0x40, 0,    64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, /* IPv4 */
        0xc0, 0,    0, 9, 0, 0, 0,    0,                                              /* UDP */
    };
    uint8_t *t = port->flood_template;
    memcpy(t, head, sizeof head);
    if (port->side) { /* the device's own frames come from the other end */
        t[5] = 1, t[11] = 2, t[29] = 2, t[33] = 1;
    }
    for (uint32_t i = sizeof head; i < length; i++) t[i] = (uint8_t)i;
    t[16] = (uint8_t)((length - 14) >> 8), t[17] = (uint8_t)(length - 14);
    t[38] = (uint8_t)((length - 34) >> 8), t[39] = (uint8_t)(length - 34);
    uint16_t sum = ip_sum(t + 14);
    t[24] = (uint8_t)(sum >> 8), t[25] = (uint8_t)sum;
    t[FLOOD_MARK] = 'r', t[FLOOD_MARK + 1] = 's';
    memset(t + FLOOD_SUM, 0, 4);
    port->flood_length = length;
    for (uint32_t i = 0; i < PAIRS_MAX; i++) port->expected[i] = UNKNOWN;
    port->kind = PORT_FLOOD;
    port->muted = false;
    port->allowed_since = 0;
}

static uint32_t flood_sum(const uint8_t *frame, uint32_t length) {
    uint32_t sum = 0x811c9dc5u;
    for (uint32_t i = 0; i < length; i++) {
        if (i >= FLOOD_SUM && i < FLOOD_SUM + 4) continue;
        sum = (sum ^ frame[i]) * 0x01000193u;
    }
    return sum;
}

uint32_t flood_allowance(struct port *port, uint64_t now, uint32_t wanted) {
    uint64_t per_second = count_get(&port->per_second);
    if (port->muted) return 0;
    if (wanted) port->full = false;
    if (per_second == 0) return wanted;
    if (port->allowed_since == 0 || now - port->allowed_since > 1000000000u) {
        port->allowed_since = now ? now : 1;
        port->allowed_used = 0;
    }
    uint64_t allowed = (now - port->allowed_since) * per_second / 1000000000u;
    if (allowed <= port->allowed_used) return 0;
    uint64_t left = allowed - port->allowed_used;
    uint32_t n = left < wanted ? (uint32_t)left : wanted;
    port->allowed_used += n;
    return n;
}

/* ns until a sleeping side should send again: some frames together, so that it wakes 5000 times a second at
 * most. UINT64_MAX where only the other side can help. */
static uint64_t flood_wait(const struct port *port, uint64_t now) {
    uint64_t per_second = count_get(&port->per_second);
    if (per_second == 0 || port->muted || port->full) return UINT64_MAX;
    if (port->allowed_since == 0) return 0;
    uint64_t together = per_second / FLOOD_WAKES + 1;
    uint64_t due = port->allowed_since + (port->allowed_used + together) * 1000000000u / per_second;
    return due > now ? due - now : 0;
}

bool flood_due(const struct port *port, uint64_t now) { return flood_wait(port, now) == 0; }

void flood_write(struct port *port, uint32_t pair, uint8_t *to) {
    uint64_t sequence = port->sequence[pair]++;
    uint16_t number = (uint16_t)pair;
    if (LIKELY(port->flood_length == FLOOD_MIN))
        memcpy(to, port->flood_template, FLOOD_MIN);
    else
        memcpy(to, port->flood_template, port->flood_length);
    memcpy(to + FLOOD_MARK + 2, &number, 2);
    memcpy(to + FLOOD_SEQUENCE, &sequence, 8);
    if (sequence % SUM_EVERY == 0) {
        uint32_t sum = flood_sum(to, port->flood_length);
        memcpy(to + FLOOD_SUM, &sum, 4);
    }
}

static void flood_check(struct port *port, const uint8_t *data, uint32_t length) {
    uint64_t sequence;
    uint16_t pair;
    memcpy(&pair, data + FLOOD_MARK + 2, 2);
    memcpy(&sequence, data + FLOOD_SEQUENCE, 8);
    if (UNLIKELY(data[FLOOD_MARK] != 'r' || data[FLOOD_MARK + 1] != 's' || pair >= PAIRS_MAX)) return;
    if (UNLIKELY(sequence != port->expected[pair]) && port->expected[pair] != UNKNOWN)
        count_add(&port->wrong, 1);
    port->expected[pair] = sequence + 1;
    if (UNLIKELY(sequence % SUM_EVERY == 0)) {
        uint32_t sum;
        memcpy(&sum, data + FLOOD_SUM, 4);
        if (sum != flood_sum(data, length)) count_add(&port->wrong, 1);
    }
}

/* ---- play: a list of frames at its own pace --------------------------------------------------------- */

uint64_t play_now(const struct play_clock *clock, uint64_t now) {
    if (clock->stopped) return clock->position;
    return clock->position + (uint64_t)((double)(now - clock->since) * clock->speed);
}
void play_stop(struct play_clock *clock, uint64_t now) {
    clock->position = play_now(clock, now);
    clock->stopped = true;
}
void play_go(struct play_clock *clock, uint64_t now) {
    uint64_t a = count_get(&clock->next[0]), b = count_get(&clock->next[1]), next = a < b ? a : b;
    if (next != UINT64_MAX && clock->position < next && clock->stopped && next - clock->position > 100000000)
        clock->position =
            next - 100000000; /* steps may have run ahead of the clock, or it waited in a lull */
    if (next != UINT64_MAX && clock->position > next + 50000000) clock->position = next;
    clock->since = now;
    clock->stopped = false;
}

static const struct play_entry *list_entry(const struct port *port) {
    return (const struct play_entry *)(const void *)(port->list + port->list_at);
}

static uint64_t list_due(const struct port *port) {
    if (port->list_at >= port->list_bytes) return UINT64_MAX;
    return port->list_round * port->clock->period + list_entry(port)->offset;
}

void port_play(struct port *port, uint8_t *list, uint64_t bytes) {
    port_quiet(port);
    port->list = list;
    port->list_bytes = bytes;
    port->list_at = 0;
    port->list_round = 0;
    port->kind = PORT_PLAY;
    count_set(&port->clock->next[port->side], list_due(port));
}

static bool play_is_due(const struct port *port, uint64_t due, uint64_t now) {
    if (port->clock->stopped) return due <= count_get(&port->clock->next[!port->side]);
    return due <= play_now(port->clock, now);
}

static uint16_t pair_of(const struct port *port, const uint8_t *data, uint32_t length) {
    if (port->pairs < 2 || length < 42) return 0;
    uint32_t sum = 0; /* both directions of a flow meet on one pair: the sum does not see the order */
    for (unsigned i = 26; i < 38; i++) sum += data[i];
    return (uint16_t)(sum % port->pairs);
}

/* ---- tap: a Linux interface ------------------------------------------------------------------------- */

void port_tap(struct port *port, int fd) {
    port_quiet(port);
    port->fd = fd;
    port->kind = PORT_TAP;
}

static bool tap_read(struct port *port) {
    ssize_t n = read(port->fd, port->scratch, NET_HEADER_LENGTH + NET_FRAME_MAX);
    if (n < 0 &&
        (errno == EBADFD || errno == ENODEV)) { /* the interface was deleted: poll would never rest again */
        port_quiet(port);
        count_add(&port->gone, 1);
    }
    if (n < (ssize_t)NET_HEADER_LENGTH) return false;
    memcpy(&port->current.header, port->scratch, NET_HEADER_LENGTH);
    port->current.header.num_buffers = 0;
    port->current.data = port->scratch + NET_HEADER_LENGTH;
    port->current.length = (uint32_t)n - NET_HEADER_LENGTH;
    return true;
}

/* ---- what a side calls ------------------------------------------------------------------------------ */

const struct packet *port_peek(struct port *port, uint64_t now) {
    if (port->has_current) return &port->current;
    if (port->kind == PORT_PLAY) {
        uint64_t due = list_due(port);
        if (due == UINT64_MAX || !play_is_due(port, due, now)) return NULL;
        const struct play_entry *e = list_entry(port);
        port->current = (struct packet){(const uint8_t *)(e + 1), e->length, 0, e->header};
    } else if (port->kind != PORT_TAP || !tap_read(port))
        return NULL;
    port->current.pair = pair_of(port, port->current.data, port->current.length);
    port->has_current = true;
    return &port->current;
}

void port_pop(struct port *port) {
    port->has_current = false;
    if (port->kind != PORT_PLAY) return;
    port->list_at += sizeof(struct play_entry) + ((list_entry(port)->length + 7u) & ~7u);
    if (port->list_at >= port->list_bytes && port->clock->period) {
        port->list_at = 0;
        port->list_round++;
    }
    count_set(&port->clock->next[port->side], list_due(port));
}

uint64_t port_wait(struct port *port, uint64_t now) {
    if (port->has_current) return 1000000; /* it waits for room in the ring, not for time */
    if (port->kind == PORT_FLOOD) return flood_wait(port, now);
    if (port->kind != PORT_PLAY || port->clock->stopped) return UINT64_MAX;
    uint64_t due = list_due(port), at = play_now(port->clock, now);
    if (due == UINT64_MAX) return UINT64_MAX;
    return due <= at ? 0 : (uint64_t)((double)(due - at) / port->clock->speed) + 1000;
}

void port_take(struct port *port, const struct virtio_net_hdr *header, const uint8_t *data, uint32_t length) {
    count_add(&port->received, 1);
    count_add(&port->received_bytes, length);
    if (port->kind == PORT_FLOOD && length >= FLOOD_MIN)
        flood_check(port, data, length);
    else if (port->kind == PORT_TAP) {
        struct iovec parts[2] = {{(void *)(uintptr_t)header, NET_HEADER_LENGTH},
                                 {(void *)(uintptr_t)data, length}};
        if (writev(port->fd, parts, 2) < 0) count_add(&port->refused, 1);
    }
}

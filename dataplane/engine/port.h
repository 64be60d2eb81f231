/* port.h: where a side gets the frames that it sends, and where it leaves those that it received.
 *
 * A port belongs to one side and is used by that side's thread alone; it is set up while the pair rests.
 */
#ifndef RINGSCOPE_PORT_H
#define RINGSCOPE_PORT_H

#include "store.h"
#include "virtio.h"

#define PAIRS_MAX 16u

enum port_kind { PORT_QUIET = 0, PORT_FLOOD = 1, PORT_PLAY = 2, PORT_TAP = 3 };

/* One frame of a playlist, as laid out by Python: this header, then `length` bytes, then padding to 8. */
struct play_entry {
    uint64_t offset; /* ns from the start of the list */
    uint32_t length;
    uint32_t queue_hint;
    struct virtio_net_hdr header;
    uint32_t pad;
};
_Static_assert(sizeof(struct play_entry) == 32, "dataplane.pair writes it");

/* The clock that both playlists share; changed only while the pair rests. */
struct play_clock {
    uint64_t position; /* ns of the list at `since` */
    uint64_t since;
    double speed;
    bool stopped;
    uint64_t period;  /* ns of one round of the list, 0: it is played once */
    uint64_t next[2]; /* list time of each side's next frame: who is due when time stands still */
};

struct packet {
    const uint8_t *data;
    uint32_t length;
    uint16_t pair; /* queue pair it goes to */
    struct virtio_net_hdr header;
};

struct port {
    enum port_kind kind;
    uint8_t side;
    uint32_t pairs; /* queue pairs in use */
    struct packet current;
    bool has_current;
    /* flood */
    uint32_t flood_length;
    bool muted; /* sends nothing, and still checks what it receives */
    bool full;  /* no ring had room for a frame when it was last asked */
    uint8_t *flood_template;
    uint64_t sequence[PAIRS_MAX], expected[PAIRS_MAX];
    uint64_t per_second, allowed_since, allowed_used; /* rate: 0 is as fast as it goes */
    uint64_t received, received_bytes, wrong;         /* wrong: lost, repeated, reordered or altered */
    /* play */
    uint8_t *list;
    uint64_t list_bytes, list_at, list_round;
    struct play_clock *clock;
    /* tap */
    int fd;
    uint8_t *scratch; /* one frame with its header */
    uint64_t refused; /* frames the interface did not take */
    uint64_t gone;    /* the interface was deleted */
};

int port_init(struct port *port, uint8_t side, struct play_clock *clock); /* 0, or -1: out of memory */
void port_free(struct port *port);
void port_quiet(struct port *port);
void port_flood(struct port *port, uint32_t length);
/* Takes over `list` (malloc). */
void port_play(struct port *port, uint8_t *list, uint64_t bytes);
void port_tap(struct port *port, int fd);

/* The frame to send next, NULL where none is due; it stays the next until port_pop(). Not for PORT_FLOOD. */
const struct packet *port_peek(struct port *port, uint64_t now);
void port_pop(struct port *port);
/* ns until the next frame may be due, for a side that wants to sleep; UINT64_MAX where none is expected. */
uint64_t port_wait(struct port *port, uint64_t now);

/* Flood: how many of `wanted` frames may go now; and one frame written straight into a buffer. */
uint32_t flood_allowance(struct port *port, uint64_t now, uint32_t wanted);
/* Whether a flood that is held to a rate has so many frames to send that it is worth waking for. */
bool flood_due(const struct port *port, uint64_t now);
void flood_write(struct port *port, uint32_t pair, uint8_t *to);

/* A received frame. */
void port_take(struct port *port, const struct virtio_net_hdr *header, const uint8_t *data, uint32_t length);

uint64_t play_now(const struct play_clock *clock, uint64_t now);
void play_stop(struct play_clock *clock, uint64_t now);
void play_go(struct play_clock *clock, uint64_t now);

#endif

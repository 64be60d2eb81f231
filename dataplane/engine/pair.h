/* pair.h: a driver and a device in this process, over one memory: threads, gate, step, life and death. */
#ifndef RINGSCOPE_PAIR_H
#define RINGSCOPE_PAIR_H

#include <pthread.h>

#include "dirty.h"
#include "notify.h"
#include "port.h"

#define QUEUES_MAX    (2 * PAIRS_MAX + 1)
#define COMMANDS_MAX  32u
#define COMMAND_BYTES 512u
#define VLAN_WORDS    64u /* 4096 ids */
#define MAC_TABLE     64u

struct pair;

/* Buffers of one queue in guest memory: frame data at byte 64 of each, its net header just before, so that
 * a short frame keeps its one line to itself and the header is written only where it differs. */
struct pool {
    uint64_t address;
    uint8_t *host;
    uint32_t stride, count;
    uint32_t capacity; /* frame bytes of one buffer */
    uint16_t *next;    /* free list, and the pieces of a frame in flight */
    uint16_t *last;    /* last piece of the frame that begins here */
    uint16_t *pieces;
    uint8_t *plain; /* the header before this buffer's frame is all zero */
    uint16_t head, tail;
    uint32_t free;
    uint32_t run_length, run; /* the last `run` frames had this length and a plain header */
};
#define POOL_HEADER 52u
#define POOL_DATA   64u

struct command {            /* control queue */
    uint16_t class_command; /* class << 8 | command */
    uint16_t length;
    uint8_t data[COMMAND_BYTES];
};

struct late { /* fault.h: a notification that is written later */
    struct notes *notes;
    uint64_t due, upto;
};

struct side {
    struct pair *pair;
    struct door door;
    struct port port;
    pthread_t thread;
    bool started, polling;
    bool begun; /* it asked for no notifications, as one that is awake does */
    uint32_t asleep;
    uint32_t look; /* something changed while it rested: it must not sleep on */
    int wake_fd;
    uint8_t *frame; /* one frame, linear */
    uint64_t loops;
    struct late late[16];
    uint32_t late_count;
    uint64_t nag_at; /* when it notifies again of what is not taken; 0: at once */
};

struct filter { /* what the driver asked for on the control queue (5.1.6.5) */
    bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
    uint32_t unicast, multicast;
    uint8_t table[MAC_TABLE][6]; /* unicast entries first */
    uint64_t vlans[VLAN_WORDS];
    bool vlan_filter;
};

struct pair {
    pthread_mutex_t life; /* held by whoever reads from outside, and while the memory is made anew */
    struct memory memory;
    struct trace trace;
    struct gate gate;
    struct play_clock clock;
    struct side driver, device;
    struct vq queue[QUEUES_MAX];
    struct pool pool[QUEUES_MAX];
    uint32_t queues, pairs_max;
    uint32_t pairs; /* in use: set through the control queue */
    bool bare;      /* queues without a device type: for tests and for a learner's own half */
    bool packed;
    bool driver_theirs, device_theirs;
    uint64_t look_every;    /* observe.h: nanoseconds */
    struct region inflight; /* inflight.h: parts of `inflight_entries` each; .mapped NULL: there is none */
    uint32_t inflight_queues, inflight_entries;
    struct dirty dirty;
    uint16_t start_index, start_wrap;
    uint32_t mtu, buffer_bytes;
    struct breaks *breaks;
    struct fault *fault; /* [FAULTS_MAX] */
    uint32_t faults, fault_id;
    uint64_t scratch_address, scratch_bytes; /* bare: memory for a test's own buffers */

    uint64_t offered, accepted; /* feature bits 0 to 63 */
    bool accepted_high;         /* the driver wrote a bit above 63: none is offered */
    uint64_t status;
    uint64_t refused; /* 1 + the feature bit that FEATURES_OK was refused for */
    uint64_t config_generation;
    uint8_t mac[6];
    uint64_t net_status;
    uint32_t config_changed;
    struct filter filter;

    uint32_t closing;
    uint32_t running;       /* threads exist */
    uint32_t resting;       /* on the way to a change: 1 from running, 2 from frozen */
    pthread_mutex_t change; /* held from pair_rest() to pair_resume() by who stopped a pair that ran */
    uint32_t broke;         /* a breakpoint stopped it, and nobody has looked since */
    uint32_t level;         /* of tracing, as asked: 0 off, 1 operations, 2 stores; a frozen pair is at 2 */

    pthread_mutex_t command_lock;
    pthread_cond_t command_done;
    uint64_t *places; /* snapshot.c: room for a queue of `places_size`; under `life` */
    uint32_t places_size;
    struct command command[COMMANDS_MAX];
    uint64_t command_first, command_next; /* tickets: sent up to, handed out up to */
    uint64_t command_answered;
    uint8_t command_ack[COMMANDS_MAX];
    bool command_busy;
    uint64_t control_address; /* guest memory of the one command in flight */
    uint8_t *control_host;
};

struct pair_options {
    uint32_t pairs, size, control_size, buffer_bytes, mtu;
    uint32_t queues;        /* bare: how many */
    uint64_t scratch_bytes; /* bare */
    uint64_t offered;
    uint64_t trace_events, frame_bytes;
    uint16_t start_index, start_wrap;
    enum path path;
    bool packed, bare;
    bool driver_theirs, device_theirs; /* that side is another process: see foreign.h */
};

/* 0; or -1 with errno. What is wrong with the options is checked by the caller. */
int pair_init(struct pair *pair, const struct pair_options *options);
void pair_free(struct pair *pair);

/* Device registers as a transport would carry them (2.1, 2.2). An illegal status is ignored; what counts is
 * the value read back. */
void pair_write_status(struct pair *pair, uint8_t status);
void pair_write_features(struct pair *pair, uint64_t low, bool high);
/* After FEATURES_OK: sets up queues for the features in force. 0, or -1 with errno. */
int pair_setup_queues(struct pair *pair);

int pair_start(struct pair *pair, bool driver_polls, bool device_polls, bool frozen);
/* One thread plays both sides in turn for so long: what a ring costs without a second core. */
void pair_run_inline(struct pair *pair, uint64_t nanoseconds);
void pair_close(struct pair *pair); /* opens the gate and joins the threads */
bool pair_freeze(struct pair *pair);
void pair_run(struct pair *pair);
/* Rests both sides between turns, for a change; returns whether they were running before. Who is told that
 * they were has them for itself until pair_resume(), in the same thread. */
bool pair_rest(struct pair *pair);
/* The same, but sides that are frozen stay where they are, within a turn or not. */
bool pair_rest_running(struct pair *pair);
void pair_resume(struct pair *pair, bool was_running);
/* Both sides look at everything once more, asleep or not. */
void pair_look(struct pair *pair);
void pair_arm(struct pair *pair, uint32_t set, uint32_t clear);
/* By a side, behind an event: both rest at their next point. */
void pair_break(struct pair *pair);
/* By whoever looks from outside: brings a pair that a breakpoint stopped to where pair_freeze() would. */
void pair_stopped(struct pair *pair);
/* Trace level from here on. Both sides rest, or have not begun. */
void pair_trace(struct pair *pair, uint32_t level);
bool pair_frozen(const struct pair *pair);
/* Both sides are other processes: rings that are only looked at. */
/* What a queue of a network device is for (5.1.2), or of rings without a type. */
static inline enum role pair_role(const struct pair *pair, uint32_t index) {
    if (pair->bare) return ROLE_BARE;
    return index == 2 * pair->pairs_max ? ROLE_CONTROL : index & 1 ? ROLE_TRANSMIT : ROLE_RECEIVE;
}
static inline bool pair_observed(const struct pair *pair) {
    return pair->driver_theirs && pair->device_theirs;
}
void pair_wake(struct pair *pair);

int pair_reset_queue(struct pair *pair, uint32_t queue); /* 0; -1: did not come to rest */
/* Queues a control command; returns its ticket, 0 where the queue of commands is full. */
uint64_t pair_command(struct pair *pair, uint8_t class, uint8_t command, const uint8_t *data,
                      uint32_t length);
/* Waits for the ack of a ticket: 0 ok, 1 error, -1 not answered in time. */
int pair_command_wait(struct pair *pair, uint64_t ticket, unsigned milliseconds);
void pair_announce(struct pair *pair);

/* side.c: the thread of a side; `argument` is the struct side. */
void *side_run(void *argument);
/* Switches off the notifications that a side receives, on all its queues. */
void side_hush(struct side *side);

/* driver.c, device.c: one turn of a side over all its queues; returns the buffers moved. */
uint32_t driver_turn(struct side *side);
uint32_t device_turn(struct side *side);
/* Sizes a pool for a queue; returns the bytes of guest memory it needs. */
uint64_t driver_pool_plan(const struct pair *pair, const struct vq *q, struct pool *pool);
int driver_pool_open(struct pair *pair, struct pool *pool, uint64_t address);
void driver_pool_close(struct pool *pool);
void driver_reset_queue(struct pair *pair, struct vq *q);

/* net.c: how a network device acts (5.1.6). */
uint32_t net_transmit(struct side *device, struct vq *q); /* driver -> device */
uint32_t net_receive(struct side *device, struct vq *q);  /* device -> driver */
/* SOUND, or BAD_GSO: header and frame contradict each other or the features in force. */
/* By the side whose frame log it is; `now` 0: this very moment. The filter sees the frame itself, not the
 * header before it. */
void net_log_frame(struct side *side, struct vq *q, const struct chain *chain, uint16_t buffers,
                   int direction, const struct virtio_net_hdr *header, const uint8_t *data, uint32_t length,
                   uint64_t now);
/* Where the device is not ours the driver logs, what it sends and what it receives: whether it does; the next
 * `frames` are counted where not. */
bool net_driver_logs(const struct side *side, uint32_t frames);
/* The frame that was added last but `back`. */
void net_log_sent(struct side *side, struct vq *q, uint32_t back, const struct buffer *buffer,
                  const struct packet *p);
enum reason net_header_check(uint64_t accepted, bool transmit, const struct virtio_net_hdr *header,
                             uint32_t length);
size_t net_hand_bytes(void);
void net_hand_back(struct vq *q); /* what was taken and not filled goes back into the ring */
void net_hand_reset(struct vq *q);
/* control.c: the control queue, driver's half and device's (5.1.6.5). */
uint32_t control_send(struct side *driver, struct vq *q);
bool control_waiting(struct pair *pair); /* commands not sent yet, and room to send one */
uint32_t control_answer(struct side *device, struct vq *q);

bool filter_accepts(const struct pair *pair, const uint8_t *frame, uint32_t length);
void filter_reset(struct pair *pair);

static inline bool accepted(const struct pair *pair, unsigned bit) {
    return has_feature(pair->accepted, bit);
}
static inline uint64_t pair_now(const struct pair *pair) { return trace_now(&pair->trace); }
/* The same for what a side sends, 0 where the time is nothing to it: asking costs as much as a frame. */
static inline uint64_t port_now(const struct side *side) {
    const struct port *port = &side->port;
    bool timed = port->kind == PORT_FLOOD ? count_peek(&port->per_second) != 0 : port->kind == PORT_PLAY;
    return timed ? pair_now(side->pair) : 0;
}

#endif

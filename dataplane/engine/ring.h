/* ring.h: a virtqueue, and the verbs in which its two sides speak.
 *
 * split.c and packed.c each fill one `struct ring_ops`; nobody else knows a layout. Each half of a queue
 * belongs to one thread; the other half, and the snapshot, read only its counters.
 */
#ifndef RINGSCOPE_RING_H
#define RINGSCOPE_RING_H

#include "store.h"
#include "virtio.h"

#define BURST         32u /* buffers moved by one call of a verb */
#define SPAN          64u /* buffers that one frame may span */
#define TABLE_ENTRIES 64u /* entries of an indirect table of our driver */
#define NO_SLOT       0xffffu

enum reason { /* records.Reason */
              SOUND = 0,
              HEAD_OUT_OF_RANGE,
              INDEX_JUMP,
              CHAIN_LOOP,
              BAD_ADDRESS,
              INDIRECT_LENGTH,
              INDIRECT_NESTED,
              INDIRECT_NEXT,
              INDIRECT_REFUSED,
              WRITE_BEFORE_READ,
              ZERO_LENGTH,
              ID_UNKNOWN,
              USED_LENGTH,
              USED_JUMP,
              TOO_SHORT,
              BAD_GSO,
              NO_BUFFER,
              CONTROL_FORMAT,
              ORDER_BROKEN,
              NUM_BUFFERS_BAD,
              FILTERED,
              STOPPED,
              DUPLICATE_HEAD,
              TOO_LONG,
              SIDE_FAILED,
              MEMORY_GONE,
};
enum role { ROLE_RECEIVE = 0, ROLE_TRANSMIT = 1, ROLE_CONTROL = 2, ROLE_BARE = 3, ROLE_REQUEST = 4 };
enum path { PATH_AUTO = 0, PATH_FIXED, PATH_INDIRECT, PATH_CHAIN, PATH_DIRECT };

/* What a driver offers: `out` readable segments, then `in` writable ones. */
struct seg {
    uint64_t address;
    uint32_t length;
};
struct buffer {
    const struct seg *segs;
    uint16_t out, in;
    bool table;     /* through an indirect table */
    uint32_t token; /* the driver's own name for it */
};
/* What a driver gets back. */
struct returned {
    uint32_t token;
    uint32_t length;
    uint64_t position;
    uint16_t head;
};

/* What a device gets: a private copy of a chain, translated. Nothing in it changes any more. */
struct span {
    uint8_t *host;
    uint32_t length;
};
struct chain {
    uint64_t position; /* publication count */
    struct span *spans;
    uint64_t readable, writable; /* bytes */
    uint16_t out, in;            /* spans */
    uint16_t id;                 /* split: the head; packed: the buffer id */
    uint16_t head;               /* slot of the head */
    uint16_t slots;              /* ring slots it occupies */
    uint16_t descriptors;        /* descriptors walked, those of a table included */
    uint8_t indirect;
    uint8_t reason; /* not SOUND: hand it back with length 0 */
};
struct done {
    uint32_t length;
    uint16_t id;
    uint16_t slots;
    bool writable;
};

/* How a side notifies the other, and what it remembers of that. */
struct notes {
    uint64_t sent, quiet, received; /* received: what this side read of the other's */
    uint64_t injected;              /* written from outside, as a probe */
    uint64_t written;               /* by the side that notifies, into this eventfd */
    uint64_t told, reached; /* buffers up to which it decided to notify, and up to which it was written */
    uint64_t heard;         /* buffers that this side had taken when it last read a notification, */
    uint64_t heard_turn;    /* and its turns at the queue until then */
    uint64_t event, old, new, answer; /* of the last decision */
    uint32_t decided;                 /* split: idx, packed: slots moved, up to which has been decided */
    int fd;                           /* eventfd of this direction; -1: none */
    bool blocks;                      /* it is the other side's, and not O_NONBLOCK */
};

struct shadow {
    uint64_t addr, word; /* what we last wrote into a descriptor */
};
struct flight { /* one outstanding buffer, by head (split) or id (packed) */
    uint64_t position;
    uint64_t writable;
    uint32_t token;
    uint16_t head, last, slots;
    bool live;
};

struct driver_half {
    struct door *door;
    /* 64-bit counts of buffers. `published` moves just before the store that publishes, `shown` just after:
     * what stands in memory lies between the two. */
    uint64_t published, shown, collected, added;
    uint64_t free;                 /* descriptors in no chain */
    uint16_t avail_idx, last_used; /* split: free-running; packed: slots */
    uint16_t avail_wrap, used_wrap;
    uint16_t free_head, free_tail;
    uint16_t id_head, id_tail; /* packed: free buffer ids */
    uint64_t *pending_at;      /* packed: the head whose flags publish() writes last */
    uint64_t pending_word;
    uint16_t shown_at, shown_wrap; /* packed: where the published descriptors end */
    uint32_t slots_added;          /* packed: slots filled and not published */
    uint32_t unmoved;              /* packed: slots published since the last kick decision */
    uint32_t ids_free;
    struct shadow *shadow;       /* [size] */
    uint16_t *next_free;         /* [size] */
    uint16_t *next_id;           /* [size], packed */
    uint16_t *avail_shadow;      /* [size], split: what stands in avail.ring */
    struct flight *flight;       /* [size] */
    uint64_t *place;             /* [size], by position % size: head | slots << 16 | id << 32 */
    uint32_t add_at, collect_at; /* added % size, collected % size */
    uint64_t *tables;            /* TABLE_ENTRIES descriptors per slot, in guest memory */
    uint64_t tables_address;
    struct notes kick;
    uint64_t batch_left; /* IN_ORDER: buffers of a batch still to be handed out */
    uint32_t batch_length;
    uint64_t reordered; /* buffers that came back out of order */
    uint64_t frames, bytes, drops, turns, broken, path;
    bool told, hushed;  /* fault.h: that there is something in this queue; it asked for no calls */
    uint64_t last_drop; /* reason */
    uint64_t backlog;   /* a frame for this queue waits, and was not made available */
};

enum { TAKEN = 1, WATCHED = 2 }; /* of a buffer that the device holds; WATCHED: breakpoints ask for it */
struct device_half {
    struct door *door;
    uint64_t seen, used, shown, completed; /* as above; `completed` moves before elements are written */
    uint16_t last_avail, used_idx;         /* split: free-running; packed: slots */
    uint16_t avail_wrap, used_wrap;
    uint16_t avail_cached; /* split: avail.idx as last read */
    uint64_t *pending_at;  /* packed: the first used element, written last */
    uint64_t pending_word;
    uint16_t shown_at, shown_wrap; /* packed: where the flushed used descriptors end */
    uint32_t slots_done;           /* packed: slots used and not flushed */
    uint32_t unmoved;              /* packed: slots flushed since the last call decision */
    uint8_t *taken;                /* [65536] by id: TAKEN | WATCHED */
    uint16_t *heads;               /* [65536] by id: slot of the head, where WATCHED */
    uint8_t *skipped;              /* [size] by used slot: an in-order batch jumped over it */
    uint32_t slots_out;            /* ring slots of the buffers it holds */
    struct span *arena;
    uint32_t arena_size, arena_used;
    struct notes call;
    struct hand *hand; /* net.c: receive buffers taken and not filled yet */
    uint64_t holding;
    uint64_t frames, bytes, drops, turns, broken;
    bool told, hushed; /* fault.h: as the driver's */
    bool overtaken;    /* `later` waits for the buffer behind it */
    uint32_t budget;   /* buffers that it takes before it is told again */
    struct done later;
    struct done *kept; /* [size] what it does not complete */
    uint32_t kept_count;
    uint64_t last_drop; /* reason */
    uint64_t size;      /* at which this side goes round: that of the queue */
    uint64_t backlog;   /* a frame for this queue waits for buffers */
};

struct vq;
struct ring_place { /* where the device stands: split: free-running indices; packed: slots and wrap counters
                     */
    uint16_t avail, used;
    uint16_t avail_wrap, used_wrap;
};
struct ring_ops {
    /* The driver's verbs. add() writes descriptors and publishes nothing; it returns how many of `count`
     * buffers fitted. publish() makes them available. collect() returns up to `count` used buffers. */
    uint32_t (*add)(struct vq *, const struct buffer *, uint32_t count);
    void (*publish)(struct vq *);
    uint32_t (*collect)(struct vq *, struct returned *, uint32_t count);
    /* The same for the fixed mapping with IN_ORDER, where nothing but positions changes: repeat() offers the
     * next `count` slots again as they stand, reclaim() counts what came back. After one lap of add(). */
    void (*repeat)(struct vq *, uint32_t count);
    uint32_t (*reclaim)(struct vq *);
    bool (*kick_needed)(struct vq *);
    bool (*calls_on)(struct vq *); /* true: something was used meanwhile, look again */
    void (*calls_off)(struct vq *);
    /* The device's verbs. next() takes up to `count` available buffers; complete() writes used elements
     * that flush() makes visible. `batch`: IN_ORDER and lengths that do not matter: one element for all. */
    uint32_t (*next)(struct vq *, struct chain *, uint32_t count);
    void (*complete)(struct vq *, const struct done *, uint32_t count, bool batch);
    void (*flush)(struct vq *);
    bool (*call_needed)(struct vq *);
    bool (*kicks_on)(struct vq *);
    void (*kicks_off)(struct vq *);
    void (*start)(struct vq *, uint16_t index, uint16_t wrap); /* both halves and the ring memory */
    /* The device's half alone, over a ring that is in use. */
    void (*attach)(struct vq *, const struct ring_place *from);
    void (*put_back)(struct vq *, const struct chain *, uint32_t count); /* the newest that next() gave */
    /* The chain that begins at a slot, whoever holds it: nothing is taken. */
    enum reason (*walk)(struct vq *, struct chain *, uint16_t head);
};
extern const struct ring_ops split_ops, packed_ops;

struct vq {
    const struct ring_ops *ops;
    uint32_t size;
    uint16_t index;
    uint8_t role;
    uint16_t start_index; /* split: the index of buffer 0 */
    bool packed, event_idx, indirect, in_order;
    uint32_t enabled;
    uint32_t passive; /* started and not enabled: nothing is received, what is sent is dropped */
    bool driver_theirs, device_theirs; /* foreign.h: the half of another process */
    uint64_t generation;
    struct memory *memory;
    uint64_t desc_address, driver_address, device_address;
    uint64_t *desc; /* 2 words each */
    uint16_t *driver_area;
    uint16_t *device_area;
    struct own *own;           /* what the journal has told of both halves */
    bool watching;             /* any slot */
    const uint8_t *watched;    /* [N], breaks.h: the group of a slot's rules; 0: none */
    uint32_t longest;          /* breaks.h: elements of a buffer that are nothing special */
    struct observer *observer; /* observe.h: where both halves are of other processes */
    struct inflight *inflight; /* logged.h: NULL where that is not written down */
    const struct dirty *dirty;
    uint64_t used_log; /* dirty.h: guest address of what the device writes of the ring */
    struct driver_half drv __attribute__((aligned(128)));
    struct device_half dev __attribute__((aligned(128)));
};

/* Areas of the split layout, in 16-bit words (2.7.6, 2.7.8). */
static inline uint16_t *avail_flags(struct vq *q) { return q->driver_area; }
static inline uint16_t *avail_idx(struct vq *q) { return q->driver_area + 1; }
static inline uint16_t *avail_ring(struct vq *q, uint32_t i) { return q->driver_area + 2 + i; }
static inline uint16_t *used_event(struct vq *q) { return q->driver_area + 2 + q->size; }
static inline uint16_t *used_flags(struct vq *q) { return q->device_area; }
static inline uint16_t *used_idx(struct vq *q) { return q->device_area + 1; }
static inline uint32_t *used_elem(struct vq *q, uint32_t i) { /* id, then len; only 4-byte aligned */
    return (uint32_t *)(void *)(q->device_area + 2 + 4 * i);
}
static inline uint16_t *avail_event(struct vq *q) { return q->device_area + 2 + 4 * q->size; }

/* Bytes of the three areas of a queue. */
uint64_t ring_desc_bytes(uint32_t size);
uint64_t ring_driver_bytes(uint32_t size, bool packed);
uint64_t ring_device_bytes(uint32_t size, bool packed);

/* Allocates the private arrays; the areas must be set. 0, or -1 when out of memory. */
int ring_init(struct vq *q);
void ring_free(struct vq *q);
void ring_start(struct vq *q, uint16_t index, uint16_t wrap);
/* The same for our own words alone: the ring belongs to the other side already. */
void ring_attach(struct vq *q, const struct ring_place *from);

/* A side gives the queue up. The first reason stays. */
void driver_broken(struct vq *q, enum reason reason);
void device_broken(struct vq *q, enum reason reason);

/* chain.c: the one walker. Follows a chain from a head whose first descriptor is already copied, within a
 * budget of q->size elements, into the arena. */
struct copied {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
};
void chain_begin(struct vq *q, struct chain *chain, uint16_t head);
/* A chain of one plain descriptor, as most are, translated already; false: walk it. */
static inline bool chain_single(struct vq *q, struct chain *chain, uint16_t head, uint8_t *host, uint32_t len,
                                uint16_t flags) {
    if (UNLIKELY(flags & (DESC_NEXT | DESC_INDIRECT)) || UNLIKELY(!host) || UNLIKELY(!len)) return false;
    uint16_t in = (flags & DESC_WRITE) != 0;
    struct span *span = q->dev.arena + q->dev.arena_used++;
    *span = (struct span){host, len};
    chain->spans = span;
    chain->readable = in ? 0 : len;
    chain->writable = in ? len : 0;
    chain->out = !in;
    chain->in = in;
    chain->id = chain->head = head;
    chain->slots = chain->descriptors = 1;
    chain->indirect = chain->reason = 0;
    return true;
}
/* Where each of these buffers, one after the other, stands, for the snapshot: of a driver of ours the driver
 * notes it. */
static inline void note_places(struct vq *q, const struct chain *chains, uint32_t count) {
    uint32_t at = (uint32_t)(chains[0].position % q->size);
    for (uint32_t i = 0; i < count; i++, at = at + 1 == q->size ? 0 : at + 1)
        count_put(q->drv.place + at,
                  chains[i].head | (uint64_t)chains[i].slots << 16 | (uint64_t)chains[i].id << 32);
}
static inline bool is_taken(const struct vq *q, uint16_t id) { return q->dev.taken[id] & TAKEN; }
/* Asks for the first whole line of a payload, for reading or for writing. */
static inline void chain_prefetch(const uint8_t *host, bool write) {
    const uint8_t *line = host + (64 - ((uintptr_t)host & 63));
    if (write)
        will_write(line);
    else
        __builtin_prefetch(line);
}
/* One descriptor that is not INDIRECT. SOUND also where chain->reason was set: walk on, then hand back. */
enum reason chain_element(struct vq *q, struct chain *chain, const struct copied *d);
/* One INDIRECT descriptor: the whole table. */
enum reason chain_table(struct vq *q, struct chain *chain, const struct copied *d);
/* Moves the spans of these chains, the only ones in the device's hands, to the front of the arena. */
void chain_compact(struct vq *q, struct chain *chains, uint32_t count);
/* Whether the arena has room for one more chain of the longest kind. */
static inline bool chain_fits(const struct vq *q) { return q->dev.arena_size - q->dev.arena_used >= q->size; }

#endif

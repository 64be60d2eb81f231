/* truth.c: snapshots under full load, every row of which can be recognised.
 *
 * Two threads drive a bare ring as fast as they can; this one takes snapshots. The address of each
 * descriptor says which buffer and piece it is, its length is a hash of both, a used length one of id and
 * buffer. So of every row that a snapshot calls stable it can be said whether it belongs to the buffer that
 * the snapshot says stands there, and whether both of its words do. Of the rows that were outstanding from
 * before the copy to after it, most must be called stable: a snapshot that calls nothing stable is true and
 * of no use.
 */
#define _GNU_SOURCE
#include "native.h"

#include <sched.h>
#include <string.h>

#define PIECES       3u           /* in the ring */
#define ENTRIES      6u           /* in a table */
#define NUMBERS      (1ull << 24) /* buffers that an address tells apart; the length knows the rest */
#define LENGTH       (1u << 20)
#define HELD         64u
#define SHARE_NEEDED 80.0 /* percent of the rows outstanding throughout, of the whole run */

struct run {
    struct pair *pair;
    struct vq *q;
    struct setup setup;
    bool batch, reorder; /* the device completes units: of up to four as one, or two the other way round */
    uint32_t stop;
};

/* ---- what buffer k is --------------------------------------------------------------------------------- */

static bool in_table(const struct run *r, uint64_t k) { return r->setup.indirect && (hash64(k) & 3) == 0; }
static uint32_t pieces_of(const struct run *r, uint64_t k) {
    uint32_t most = in_table(r, k) ? ENTRIES : PIECES;
    return 1 + (uint32_t)((hash64(k) >> 8) % (most < r->setup.size ? most : r->setup.size));
}
static uint32_t slots_of(const struct run *r, uint64_t k) { return in_table(r, k) ? 1 : pieces_of(r, k); }
static uint64_t address_of(const struct run *r, uint64_t k, uint32_t piece) {
    return r->pair->scratch_address + ((k % NUMBERS) * 8 + piece) * 16;
}
static uint32_t length_of(uint64_t k, uint32_t piece) {
    return LENGTH + (uint32_t)(hash2(k, piece) % LENGTH);
}
static uint32_t used_length(uint32_t id, uint64_t k) { return 1 + (uint32_t)(hash2(id, ~k) % LENGTH); }

/* Buffers that the device completes together: k is of the unit first..last. */
static bool ends_unit(const struct run *r, uint64_t k) {
    if (r->reorder) return k & 1;
    return !r->batch || k % 4 == 3 || hash64(k) % 3 == 0;
}
static uint64_t unit_first(const struct run *r, uint64_t k) {
    while (k && !ends_unit(r, k - 1)) k--;
    return k;
}
static uint64_t unit_last(const struct run *r, uint64_t k) {
    while (!ends_unit(r, k)) k++;
    return k;
}

/* ---- the two sides ------------------------------------------------------------------------------------ */

static void linger(uint64_t *random) {
    uint32_t what = below(random, 64);
    if (what == 0) sched_yield();
    if (what < 8)
        for (uint32_t i = below(random, 500); i; i--) relax();
}

static void *driver_main(void *argument) {
    struct run *r = argument;
    struct vq *q = r->q;
    uint64_t k = 0, back = 0, random = 1;
    while (!flag_get(&r->stop)) {
        uint32_t n = 0, burst = 1 + below(&random, BURST);
        for (; n < burst; n++, k++) {
            struct seg segs[ENTRIES];
            uint32_t pieces = pieces_of(r, k);
            for (uint32_t i = 0; i < pieces; i++)
                segs[i] = (struct seg){address_of(r, k, i), length_of(k, i)};
            struct buffer b = {segs, (uint16_t)(pieces - 1), 1, in_table(r, k), (uint32_t)k};
            if (q->ops->add(q, &b, 1) == 0) break;
        }
        linger(&random);
        q->ops->publish(q);
        struct returned got[BURST];
        uint32_t m = q->ops->collect(q, got, BURST);
        for (uint32_t i = 0; i < m; i++, back++) {
            uint64_t expected = r->reorder ? back ^ 1 : back;
            CHECK(got[i].position == expected, "%s: buffer %llu came back in the place of %llu",
                  setup_name(&r->setup), (unsigned long long)got[i].position, (unsigned long long)expected);
        }
        CHECK(!q->drv.broken, "%s: the driver gave up, reason %d", setup_name(&r->setup), (int)q->drv.broken);
        if (n || m)
            linger(&random);
        else
            sched_yield();
    }
    return NULL;
}

static uint32_t complete_unit(struct run *r, const struct chain *held) {
    struct done done[4];
    uint32_t n = 0;
    do {
        const struct chain *c = &held[n];
        done[n++] = (struct done){used_length(c->id, c->position), c->id, c->slots, true};
    } while (!ends_unit(r, held[n - 1].position));
    if (r->reorder) {
        struct done first = done[0];
        done[0] = done[1];
        done[1] = first;
    }
    r->q->ops->complete(r->q, done, n, r->batch);
    return n;
}

static void *device_main(void *argument) {
    struct run *r = argument;
    struct vq *q = r->q;
    struct chain held[HELD];
    uint32_t holds = 0;
    uint64_t random = 2;
    while (!flag_get(&r->stop)) {
        if (!chain_fits(q)) chain_compact(q, held, holds);
        uint32_t n = holds < HELD ? q->ops->next(q, held + holds, HELD - holds) : 0;
        holds += n;
        CHECK(!q->dev.broken, "%s: the device gave up, reason %d", setup_name(&r->setup), (int)q->dev.broken);
        uint32_t whole = holds, done = 0;
        while (whole && !ends_unit(r, held[whole - 1].position)) whole--;
        while (done < whole && below(&random, 8)) {
            done += complete_unit(r, held + done);
            if (below(&random, 4) == 0) linger(&random);
        }
        q->ops->flush(q);
        holds -= done;
        memmove(held, held + done, holds * sizeof held[0]);
        if (n || done)
            linger(&random);
        else
            sched_yield();
    }
    return NULL;
}

/* ---- a snapshot, looked at ----------------------------------------------------------------------------- */

struct view { /* as snapshot.h lays it out */
    const struct queue_header *h;
    const uint64_t *desc, *buffer;
    const uint32_t *used;
    const uint16_t *avail, *head;
    const uint8_t *owner, *label, *avail_label, *used_label, *tables;
};

static struct view view_of(const uint8_t *at) {
    struct view v = {.h = (const struct queue_header *)(const void *)at};
    uint64_t n = v.h->size;
    at += sizeof *v.h;
    v.desc = (const uint64_t *)(const void *)at, at += 16 * n;
    v.buffer = (const uint64_t *)(const void *)at, at += 8 * n;
    if (!v.h->packed) {
        v.used = (const uint32_t *)(const void *)at, at += 8 * n;
        v.avail = (const uint16_t *)(const void *)at, at += 2 * n;
    }
    v.head = (const uint16_t *)(const void *)at, at += 2 * n;
    v.owner = at, at += n;
    v.label = at, at += n;
    if (!v.h->packed) {
        v.avail_label = at, at += n;
        v.used_label = at, at += n;
    }
    v.tables = (const uint8_t *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
    return v;
}

struct score {
    uint64_t snapshots, moving, rows, avail, used, entries,
        wrong;                    /* moving: a count went on during the copy */
    uint64_t outstanding, stable; /* descriptors of buffers outstanding throughout */
    uint64_t avail_outstanding, avail_stable;
};

static bool is_stable(uint8_t label) { return (label & ~LABEL_CHANGED) == LABEL_STABLE; }

static void wrong(struct score *s, const struct run *r, const struct view *v, const char *what, uint32_t i,
                  uint64_t k) {
    if (s->wrong++ > 4) return;
    fprintf(stderr,
            "%s%s%s: %s %u called stable is not that of buffer %llu (counts %llu %llu %llu %llu to %llu %llu "
            "%llu %llu): "
            "%llx %llx\n",
            setup_name(&r->setup), r->batch ? " batch" : "", r->reorder ? " reorder" : "", what, i,
            (unsigned long long)k, (unsigned long long)v->h->published_before,
            (unsigned long long)v->h->seen_before, (unsigned long long)v->h->used_before,
            (unsigned long long)v->h->collected_before, (unsigned long long)v->h->published_after,
            (unsigned long long)v->h->seen_after, (unsigned long long)v->h->used_after,
            (unsigned long long)v->h->collected_after, (unsigned long long)v->desc[2 * (i % r->setup.size)],
            (unsigned long long)v->desc[2 * (i % r->setup.size) + 1]);
}

/* Whether descriptor words are piece `p` of k: address, length, WRITE, NEXT. */
static bool is_piece(const struct run *r, uint64_t k, uint32_t p, uint64_t addr, uint32_t len, uint16_t flags,
                     bool linked) {
    bool last = p + 1 == pieces_of(r, k);
    return p < pieces_of(r, k) && addr == address_of(r, k, p) && len == length_of(k, p) &&
           (flags & (DESC_NEXT | DESC_WRITE | DESC_INDIRECT)) == ((last     ? DESC_WRITE
                                                                   : linked ? DESC_NEXT
                                                                            : 0));
}

static uint32_t piece_number(const struct run *r, uint64_t addr) {
    return (uint32_t)((addr - r->pair->scratch_address) / 16 % 8);
}

static bool points_to_table(const struct run *r, uint32_t slot, uint64_t addr) {
    return addr == r->q->drv.tables_address + 16ull * TABLE_ENTRIES * slot;
}

static bool split_row_right(const struct run *r, const struct view *v, uint32_t i, uint64_t k) {
    uint64_t addr = v->desc[2 * i], word = v->desc[2 * i + 1];
    uint32_t len = (uint32_t)word;
    uint16_t flags = (uint16_t)(word >> 32), next = (uint16_t)(word >> 48);
    if (in_table(r, k))
        return v->head[i] == i && points_to_table(r, i, addr) && len == 16 * pieces_of(r, k) &&
               flags == DESC_INDIRECT && next == 0;
    uint32_t p = piece_number(r, addr);
    if (!is_piece(r, k, p, addr, len, flags, true) || (v->head[i] == i) != (p == 0)) return false;
    if (!(flags & DESC_NEXT)) return next == 0;
    return next < r->setup.size && v->buffer[next] == k && v->head[next] == v->head[i] &&
           piece_number(r, v->desc[2 * next]) == p + 1;
}

static bool used_element_right(const struct run *r, const struct view *v, uint32_t id, uint32_t len,
                               uint64_t k) {
    return id < r->setup.size && len == used_length(id, k) &&
           (!r->setup.in_order || (v->buffer[id] == k && v->head[id] == id) || k < v->h->collected_after);
}

static bool packed_row_right(const struct run *r, const struct view *v, uint32_t i, uint64_t k) {
    uint64_t addr = v->desc[2 * i], word = v->desc[2 * i + 1];
    uint32_t len = (uint32_t)word;
    uint16_t id = (uint16_t)(word >> 32), flags = (uint16_t)(word >> 48);
    bool avail = flags & DESC_AVAIL, used = flags & DESC_USED, head = v->head[i] == i;
    if (k < v->h->used_before && head && unit_first(r, k) == k) {
        uint64_t last = unit_last(r, k);
        bool place = in_table(r, k) ? points_to_table(r, i, addr) : addr == address_of(r, k, 0);
        return place && avail == used && (flags & ~(DESC_AVAIL | DESC_USED)) == DESC_WRITE &&
               used_element_right(r, v, id, len, last);
    }
    if (avail == used || id >= r->setup.size || (r->setup.in_order && id != v->head[i])) return false;
    if (in_table(r, k))
        return head && points_to_table(r, i, addr) && len == 16 * pieces_of(r, k) &&
               (flags & ~(DESC_AVAIL | DESC_USED)) == DESC_INDIRECT;
    uint32_t p = piece_number(r, addr);
    return is_piece(r, k, p, addr, len, flags, true) && i == (v->head[i] + p) % r->setup.size;
}

static uint8_t owner_expected(const struct queue_header *h, uint64_t k) {
    return k >= h->seen_after ? OWNER_AVAILABLE : k >= h->used_after ? OWNER_IN_USE : OWNER_USED;
}

static void check_descriptors(const struct run *r, const struct view *v, struct score *s) {
    static uint32_t rows_of[QUEUE_SIZE_MAX];
    const struct queue_header *h = v->h;
    uint32_t n = r->setup.size;
    memset(rows_of, 0, n * sizeof rows_of[0]);
    for (uint32_t i = 0; i < n; i++) {
        if (!is_stable(v->label[i])) continue;
        uint64_t k = v->buffer[i];
        s->rows++;
        if (k < h->collected_after || k >= h->published_before || v->owner[i] != owner_expected(h, k) ||
            !(h->packed ? packed_row_right(r, v, i, k) : split_row_right(r, v, i, k))) {
            wrong(s, r, v, "descriptor", i, k);
            continue;
        }
        rows_of[k % n]++;
        s->stable++;
    }
    for (uint64_t k = h->collected_after; k < h->published_before; k++) {
        s->outstanding += slots_of(r, k);
        if (rows_of[k % n] && rows_of[k % n] != slots_of(r, k) && !(h->packed && k < h->used_after))
            wrong(s, r, v, "a part of the chain", rows_of[k % n], k);
    }
}

static void check_rings(const struct run *r, const struct view *v, struct score *s) {
    const struct queue_header *h = v->h;
    uint32_t n = r->setup.size;
    if (h->published_before > h->collected_after)
        s->avail_outstanding += h->published_before - h->collected_after;
    for (uint32_t i = 0; i < n; i++) {
        if (is_stable(v->avail_label[i])) {
            uint64_t k = h->published_after - 1 - ((h->published_after + r->setup.index - 1 - i) & (n - 1));
            uint16_t head = v->avail[i];
            s->avail++;
            s->avail_stable++;
            if (k < h->collected_after || k >= h->published_before || head >= n || v->buffer[head] != k ||
                v->head[head] != head)
                wrong(s, r, v, "available entry", i, k);
        }
        uint64_t j = h->used_before - 1 - ((h->used_before + r->setup.index - 1 - i) & (n - 1));
        if (is_stable(v->used_label[i])) {
            uint64_t k = r->reorder ? j ^ 1 : unit_last(r, j);
            s->used++;
            if (j >= h->used_before || (!r->reorder && unit_first(r, j) != j) ||
                !used_element_right(r, v, v->used[2 * i], v->used[2 * i + 1], k))
                wrong(s, r, v, "used element", i, j);
        } else if ((v->used_label[i] & ~LABEL_CHANGED) == LABEL_SKIPPED &&
                   (!r->batch || unit_first(r, j) == j))
            wrong(s, r, v, "used element that was written: skipped", i, j);
    }
}

/* A table is as good as the slot that points to it. */
static void check_tables(const struct run *r, const struct view *v, struct score *s) {
    const uint8_t *at = v->tables;
    for (uint64_t t = 0; t < v->h->tables; t++) {
        uint32_t head[2];
        memcpy(head, at, 8);
        const uint64_t *words = (const uint64_t *)(const void *)(at + 8);
        at += 8 + 16 * (size_t)head[1];
        uint64_t k = v->buffer[head[0]];
        if (!is_stable(v->label[head[0]])) continue;
        if (!in_table(r, k) || head[1] != pieces_of(r, k)) {
            wrong(s, r, v, "table", head[0], k);
            continue;
        }
        for (uint32_t p = 0; p < head[1]; p++) {
            uint64_t word = words[2 * p + 1];
            bool packed = v->h->packed;
            s->entries++;
            if (!is_piece(r, k, p, words[2 * p], (uint32_t)word, (uint16_t)(word >> (packed ? 48 : 32)),
                          !packed) ||
                (!packed && word >> 48 != (p + 1 < head[1] ? p + 1 : 0)))
                wrong(s, r, v, "table entry", p, k);
        }
    }
}

/* A word by itself is the word in its place of a half's state. */
static void check_words(const struct run *r) {
    struct driver_state driver;
    struct device_state device;
    snapshot_driver(&driver, r->pair, r->q);
    snapshot_device(&device, r->pair, r->q);
    for (size_t i = 0; i < sizeof driver / 8; i++)
        CHECK(snapshot_driver_word(r->pair, r->q, i) == ((const uint64_t *)(const void *)&driver)[i],
              "%s: word %zu of the driver's state", setup_name(&r->setup), i);
    for (size_t i = 0; i < sizeof device / 8; i++)
        CHECK(snapshot_device_word(r->pair, r->q, i) == ((const uint64_t *)(const void *)&device)[i],
              "%s: word %zu of the device's state", setup_name(&r->setup), i);
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

static void run_one(struct run *r, uint64_t snapshots, bool tell, struct score *total) {
    struct score s = {0};
    r->setup.scratch = NUMBERS * 8 * 16 + 2 * LENGTH;
    r->pair = open_bare(&r->setup);
    r->q = &r->pair->queue[0];
    flag_set(&r->pair->running, 1); /* or the snapshot would think that both sides rest */
    uint8_t *room = malloc(snapshot_room(r->q, true));
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, driver_main, r) == 0, "no thread");
    CHECK(pthread_create(&threads[1], NULL, device_main, r) == 0, "no thread");
    while (count_get(&r->q->drv.collected) < 4ull * r->setup.size) sched_yield();
    uint64_t last[4] = {0};
    while (s.snapshots < snapshots) {
        snapshot_take(r->pair, r->q, true, room);
        struct view v = view_of(room);
        CHECK(!v.h->exact, "a snapshot of a running pair says that it is exact");
        bool same = memcmp(last, &v.h->published_after, sizeof last) == 0;
        memcpy(last, &v.h->published_after, sizeof last);
        if (same) { /* nothing new to see: not counted */
            sched_yield();
            continue;
        }
        const struct queue_header *h = v.h;
        CHECK(h->collected_after <= h->used_after && h->used_after <= h->seen_after &&
                  h->seen_after <= h->published_after &&
                  h->published_after - h->collected_after <= r->setup.size &&
                  h->driver.in_flight <= r->setup.size,
              "%s: counts that cannot be: %llu %llu %llu %llu, %llu in flight", setup_name(&r->setup),
              (unsigned long long)h->published_after, (unsigned long long)h->seen_after,
              (unsigned long long)h->used_after, (unsigned long long)h->collected_after,
              (unsigned long long)h->driver.in_flight);
        s.snapshots++;
        s.moving += memcmp(&v.h->published_before, last, sizeof last) != 0;
        check_descriptors(r, &v, &s);
        if (!r->setup.packed) check_rings(r, &v, &s);
        check_tables(r, &v, &s);
    }
    flag_set(&r->stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    check_words(r);
    double share = s.outstanding ? 100.0 * (double)s.stable / (double)s.outstanding : 100;
    if (tell || s.wrong)
        printf("truth: %s%s%s: %llu buffers went by; %llu snapshots (%llu while it moved), %llu descriptors, "
               "%llu available, %llu used, %llu table "
               "entries called stable, %llu wrong; %.1f %% of the descriptors outstanding throughout%s\n",
               setup_name(&r->setup), r->batch ? " batch" : "", r->reorder ? " reorder" : "",
               (unsigned long long)r->q->drv.collected, (unsigned long long)s.snapshots,
               (unsigned long long)s.moving, (unsigned long long)s.rows, (unsigned long long)s.avail,
               (unsigned long long)s.used, (unsigned long long)s.entries, (unsigned long long)s.wrong, share,
               r->reorder ? " (out of order: none expected)" : "");
    free(room);
    close_pair(r->pair);
    total->snapshots += s.snapshots, total->moving += s.moving, total->rows += s.rows,
        total->wrong += s.wrong;
    total->avail += s.avail, total->used += s.used, total->entries += s.entries;
    if (r->reorder) return;
    total->outstanding += s.outstanding, total->stable += s.stable;
    total->avail_outstanding += s.avail_outstanding, total->avail_stable += s.avail_stable;
}

int truth_main(char **arguments) {
    options_known(arguments, "snapshots each");
    static const uint32_t sizes[2][2] = {{16, 256}, {17, 256}};
    struct run runs[32];
    unsigned n = 0;
    for (unsigned bits = 0; bits < 32; bits++) {
        struct run r = {.setup = {.packed = bits & 1,
                                  .indirect = bits & 2,
                                  .in_order = bits & 4,
                                  .event_idx = true,
                                  .size = sizes[bits & 1][bits >> 4],
                                  .index = (uint16_t)(bits * 4099),
                                  .wrap = bits >> 1 & 1,
                                  .traced = __builtin_parity(bits)},
                        .batch = bits & 4 && bits & 8,
                        .reorder = !(bits & 4) && bits & 8};
        runs[n++] = r;
    }
    struct score total = {0};
    uint64_t snapshots = option(arguments, "snapshots", 20000);
    double start = seconds_now();
    for (unsigned i = 0; i < n; i++)
        run_one(&runs[i], (snapshots + n - 1) / n, option(arguments, "each", 0), &total);
    double share = total.outstanding ? 100.0 * (double)total.stable / (double)total.outstanding : 0;
    double avail =
        total.avail_outstanding ? 100.0 * (double)total.avail_stable / (double)total.avail_outstanding : 0;
    printf("truth: %llu snapshots (%llu while the ring moved), %llu rows called stable (%llu descriptors), "
           "%llu torn or "
           "wrong; of those outstanding throughout %.1f %% of descriptors and %.1f %% of available entries; "
           "%.1f s\n",
           (unsigned long long)total.snapshots, (unsigned long long)total.moving,
           (unsigned long long)(total.rows + total.avail + total.used + total.entries),
           (unsigned long long)total.rows, (unsigned long long)total.wrong, share, avail,
           seconds_now() - start);
    CHECK(total.wrong == 0, "rows called stable were wrong");
    CHECK(share >= SHARE_NEEDED, "only %.1f %% of the rows outstanding throughout were called stable", share);
    return 0;
}

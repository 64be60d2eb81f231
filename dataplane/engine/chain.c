/* chain.c: the one walker of descriptor chains, for every side that did not write them.
 *
 * Each descriptor is fetched once by the caller; what is checked is what is used. A chain has at most
 * q->size elements in all, those of an indirect table included (2.7.5.2, 2.7.5.3.1). A descriptor of length
 * 0 drops the chain: it goes back with length 0, and the queue goes on.
 */
#include "ring.h"

#include <string.h>

void chain_begin(struct vq *q, struct chain *chain, uint16_t head) {
    chain->position = 0;
    chain->spans = q->dev.arena + q->dev.arena_used;
    chain->readable = chain->writable = 0;
    chain->out = chain->in = 0;
    chain->id = chain->head = head;
    chain->slots = chain->descriptors = 0;
    chain->indirect = 0;
    chain->reason = SOUND;
}

enum reason chain_element(struct vq *q, struct chain *chain, const struct copied *d) {
    if (++chain->descriptors > q->size) return CHAIN_LOOP;
    uint8_t *host = memory_translate(q->memory, d->addr, d->len);
    if (UNLIKELY(!host)) return BAD_ADDRESS;
    if (UNLIKELY(d->len == 0)) chain->reason = ZERO_LENGTH;
    if (d->flags & DESC_WRITE) {
        chain->in++;
        chain->writable += d->len;
    } else {
        if (UNLIKELY(chain->in)) return WRITE_BEFORE_READ;
        chain->out++;
        chain->readable += d->len;
    }
    q->dev.arena[q->dev.arena_used++] = (struct span){host, d->len};
    return SOUND;
}

/* A table need not be aligned (2.7.5.3): eight single bytes where it is not. */
static uint64_t table_word(struct door *door, const uint8_t *at) {
    if (LIKELY(((uintptr_t)at & 7) == 0)) return load64(door, (const uint64_t *)(const void *)at);
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) word |= (uint64_t)load8(door, at + i) << 8 * i;
    return word;
}

enum reason chain_table(struct vq *q, struct chain *chain, const struct copied *d) {
    if (!q->indirect) return INDIRECT_REFUSED;
    if (d->flags & DESC_NEXT) return INDIRECT_NEXT;
    if (d->len == 0 || d->len % 16 || d->len / 16 > q->size) return INDIRECT_LENGTH;
    const uint8_t *table = memory_translate(q->memory, d->addr, d->len);
    if (!table) return BAD_ADDRESS;
    uint32_t entries = d->len / 16;
    chain->indirect = 1;
    for (uint32_t i = 0, walked = 0;; walked++) {
        if (walked >= entries) return CHAIN_LOOP;
        uint64_t addr = table_word(q->dev.door, table + 16 * (uint64_t)i);
        uint64_t word = table_word(q->dev.door, table + 16 * (uint64_t)i + 8);
        /* In a packed table only WRITE counts and the order is that of the entries (2.8.7). */
        uint16_t flags = q->packed ? (uint16_t)(word >> 48) & DESC_WRITE : (uint16_t)(word >> 32);
        if (!q->packed && flags & DESC_INDIRECT) return INDIRECT_NESTED;
        enum reason reason = chain_element(q, chain, &(struct copied){addr, (uint32_t)word, flags});
        if (reason) return reason;
        if (q->packed) {
            if (++i == entries) return SOUND;
        } else {
            if (!(flags & DESC_NEXT)) return SOUND;
            i = (uint32_t)(word >> 48);
            if (i >= entries) return HEAD_OUT_OF_RANGE;
        }
    }
}

void chain_compact(struct vq *q, struct chain *chains, uint32_t count) {
    struct span *to = q->dev.arena;
    for (uint32_t i = 0; i < count; i++) {
        size_t n = (size_t)chains[i].out + chains[i].in;
        memmove(to, chains[i].spans, n * sizeof *to);
        chains[i].spans = to;
        to += n;
    }
    q->dev.arena_used = (uint32_t)(to - q->dev.arena);
}

/* dirty.c: see dirty.h. */
#include "dirty.h"

void dirty_mark(const struct dirty *dirty, uint64_t address, uint64_t length) {
    if (length == 0) return;
    uint64_t last = (address + length - 1) / DIRTY_PAGE;
    for (uint64_t page = address / DIRTY_PAGE; page <= last && page / 8 < dirty->log.size; page++)
        __atomic_fetch_or(dirty->log.host + page / 8, (uint8_t)(1u << page % 8), __ATOMIC_RELEASE);
}

void dirty_buffers(struct vq *q, const struct chain *chains, const struct done *done, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = done[i].length;
        for (uint16_t k = chains[i].out; k < chains[i].out + chains[i].in && left; k++) {
            const struct span *span = &chains[i].spans[k];
            uint32_t part = span->length < left ? span->length : left;
            dirty_mark(q->dirty, memory_address(q->memory, span->host), part);
            left -= part;
        }
    }
}

void dirty_used(struct vq *q, uint16_t from, uint16_t to) {
    if (q->used_log == NOT_LOGGED) return;
    if (!q->packed) {
        for (; from != to; from++) dirty_mark(q->dirty, q->used_log + 4 + 8ull * (from & (q->size - 1)), 8);
        dirty_mark(q->dirty, q->used_log, 4);
        return;
    }
    do {
        dirty_mark(q->dirty, q->used_log + 16ull * from, 16);
        if (++from == q->size) from = 0;
    } while (from != to);
}

void dirty_event(struct vq *q) {
    if (q->packed) {
        dirty_mark(q->dirty, q->device_address, 4);
    } else if (q->used_log != NOT_LOGGED) {
        dirty_mark(q->dirty, q->used_log, 4);
        dirty_mark(q->dirty, q->used_log + 4 + 8ull * q->size, 2);
    }
}

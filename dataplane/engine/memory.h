/* memory.h: guest memory, and the only translation of an address to a pointer. */
#ifndef RINGSCOPE_MEMORY_H
#define RINGSCOPE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_REGIONS_MAX 8
#define MEMORY_BASE        0x100000ull /* our own region starts here, so that address 0 is never valid */

struct region {
    uint64_t address;
    uint64_t size;
    uint8_t *host;
    int fd;
    uint64_t file_offset;
};
struct memory {
    struct region region[MEMORY_REGIONS_MAX];
    unsigned regions;
};

/* One sealed memfd of `size` bytes at MEMORY_BASE. 0, or -1 with errno. */
int memory_create(struct memory *memory, uint64_t size);
void memory_destroy(struct memory *memory);

/* The pointer to `length` bytes at `address`, all of them inside one region; else NULL. Also checked for
 * length 0, so that an address that maps nowhere never passes. */
static inline uint8_t *memory_translate(const struct memory *memory, uint64_t address, uint64_t length) {
    for (unsigned i = 0; i < memory->regions; i++) {
        const struct region *r = &memory->region[i];
        uint64_t offset = address - r->address;
        if (offset < r->size && length <= r->size - offset) return r->host + offset;
    }
    return NULL;
}

/* The address of a pointer into some region, 0 where it is in none. */
uint64_t memory_address(const struct memory *memory, const void *host);

/* Copies through the kernel, so that it neither faults on a shrunk file nor races with a writer.
 * false where the range is not inside one region or the file is shorter. */
bool memory_peek(const struct memory *memory, uint64_t address, void *to, size_t length);

#endif

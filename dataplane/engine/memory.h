/* memory.h: guest memory, and the only translation of an address to a pointer. */
#ifndef RINGSCOPE_MEMORY_H
#define RINGSCOPE_MEMORY_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_REGIONS_MAX 64
#define MEMORY_BASE        0x100000ull /* our own region starts here, so that address 0 is never valid */

struct region {
    uint64_t address; /* as descriptors name it: guest-physical */
    uint64_t size;
    uint8_t *host;
    int fd;
    uint64_t file_offset;
    uint64_t user; /* as the other side's own process names it: ring addresses of vhost-user */
    void *mapped;  /* what mmap() gave, and how much: from a whole page on */
    uint64_t mapped_bytes;
};
struct memory {
    struct region region[MEMORY_REGIONS_MAX];
    unsigned regions;
};

/* One sealed memfd of `size` bytes at MEMORY_BASE. 0, or -1 with errno. */
int memory_create(struct memory *memory, uint64_t size);
void memory_destroy(struct memory *memory);

/* Maps memory of the other side; the file descriptor is duplicated. 0, or an errno: EINVAL for a range that
 * is empty, wraps, or lies outside its file, EEXIST where it overlaps a region that is there, ENOSPC for too
 * many. */
int memory_map(struct memory *memory, uint64_t address, uint64_t user, uint64_t size, int fd,
               uint64_t file_offset, bool writable);
/* Maps a file of the other side for a region's own sake, not as guest memory: as memory_map(). */
int region_open(struct region *r, uint64_t size, int fd, uint64_t file_offset, bool writable);
/* Also of one that is not there. */
void region_close(struct region *r);
/* Takes away the region that begins at both. false where there is none. */
bool memory_unmap(struct memory *memory, uint64_t address, uint64_t user, uint64_t size);
/* Translates an address of the other side's process; else as memory_translate(). */
uint8_t *memory_of_user(const struct memory *memory, uint64_t user, uint64_t length);

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

/* Bytes from an address on that are inside its region; 0 where it is in none. */
static inline uint64_t memory_room(const struct memory *memory, uint64_t address) {
    for (unsigned i = 0; i < memory->regions; i++) {
        uint64_t offset = address - memory->region[i].address;
        if (offset < memory->region[i].size) return memory->region[i].size - offset;
    }
    return 0;
}

/* The address of a pointer into some region, 0 where it is in none. */
uint64_t memory_address(const struct memory *memory, const void *host);

/* A file of the other side may shrink while it is mapped, and then a touch is SIGBUS. A thread that watches
 * comes back out of its sigsetjmp() instead, and watches no more:
 *
 *     struct memory_guard guard;
 *     memory_watch(&guard);
 *     if (sigsetjmp(guard.back, 0)) ... it is gone ...
 *     ... touch ...
 *     memory_unwatch();
 *
 * Guards do not nest. */
struct memory_guard {
    sigjmp_buf back;
};
void memory_watch(struct memory_guard *guard);
void memory_unwatch(void);

/* Copies through the kernel, so that it neither faults on a shrunk file nor races with a writer.
 * false where the range is not inside one region or the file is shorter. */
bool memory_peek(const struct memory *memory, uint64_t address, void *to, size_t length);

#endif

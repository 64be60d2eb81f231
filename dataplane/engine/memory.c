/* memory.c: guest memory: our memfd, or regions of the other side. */
#define _GNU_SOURCE
#include "memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int memory_create(struct memory *memory, uint64_t size) {
    memset(memory, 0, sizeof *memory);
    int fd = memfd_create("ringscope", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) goto fail;
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (host == MAP_FAILED) goto fail;
    memory->region[0] = (struct region){MEMORY_BASE, size, host, fd, 0};
    memory->regions = 1;
    return 0;
fail:
    close(fd);
    return -1;
}

void memory_destroy(struct memory *memory) {
    for (unsigned i = 0; i < memory->regions; i++) {
        munmap(memory->region[i].host, memory->region[i].size);
        close(memory->region[i].fd);
    }
    memory->regions = 0;
}

uint64_t memory_address(const struct memory *memory, const void *host) {
    for (unsigned i = 0; i < memory->regions; i++) {
        const struct region *r = &memory->region[i];
        uint64_t offset = (uint64_t)((const uint8_t *)host - r->host);
        if ((const uint8_t *)host >= r->host && offset < r->size) return r->address + offset;
    }
    return 0;
}

bool memory_peek(const struct memory *memory, uint64_t address, void *to, size_t length) {
    for (unsigned i = 0; i < memory->regions; i++) {
        const struct region *r = &memory->region[i];
        uint64_t offset = address - r->address;
        if (offset < r->size && length <= r->size - offset)
            return pread(r->fd, to, length, (off_t)(r->file_offset + offset)) == (ssize_t)length;
    }
    return false;
}

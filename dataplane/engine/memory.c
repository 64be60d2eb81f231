/* memory.c: guest memory: our memfd, or regions of the other side. */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int memory_create(struct memory *memory, uint64_t size) {
    memset(memory, 0, sizeof *memory);
    int fd = memfd_create("ringscope", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) goto fail;
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (host == MAP_FAILED) goto fail;
    memory->region[0] = (struct region){
        .address = MEMORY_BASE, .size = size, .host = host, .fd = fd, .mapped = host, .mapped_bytes = size};
    memory->regions = 1;
    return 0;
fail:
    close(fd);
    return -1;
}

void region_close(struct region *r) {
    if (!r->mapped) return;
    munmap(r->mapped, r->mapped_bytes);
    close(r->fd);
    *r = (struct region){0};
}

void memory_destroy(struct memory *memory) {
    for (unsigned i = 0; i < memory->regions; i++) region_close(&memory->region[i]);
    memory->regions = 0;
}

/* ---- memory of the other side ----------------------------------------------------------------------- */

static bool overlap(uint64_t a, uint64_t b, uint64_t size_a, uint64_t size_b) {
    return a < b + size_b && b < a + size_a;
}

int region_open(struct region *r, uint64_t size, int fd, uint64_t file_offset, bool writable) {
    struct stat file;
    if (size == 0 || file_offset + size < file_offset || file_offset + size > INT64_MAX) return EINVAL;
    if (fstat(fd, &file)) return errno;
    if (S_ISREG(file.st_mode) && file_offset + size > (uint64_t)file.st_size) return EINVAL;
    /* A mapping begins at a whole page of its file: of a huge one, where it has those. */
    uint64_t page = file.st_blksize > 4096 ? (uint64_t)file.st_blksize : 4096, lead = file_offset % page;
    *r = (struct region){.size = size, .file_offset = file_offset};
    r->mapped_bytes = (lead + size + page - 1) / page * page;
    r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (r->fd < 0) return errno;
    void *mapped = mmap(NULL, r->mapped_bytes, PROT_READ | (writable ? PROT_WRITE : 0),
                        MAP_SHARED | MAP_NORESERVE, r->fd, (off_t)(file_offset - lead));
    if (mapped == MAP_FAILED) {
        int error = errno;
        close(r->fd);
        return error;
    }
    r->mapped = mapped;
    r->host = (uint8_t *)mapped + lead;
    return 0;
}

int memory_map(struct memory *memory, uint64_t address, uint64_t user, uint64_t size, int fd,
               uint64_t file_offset, bool writable) {
    if (memory->regions == MEMORY_REGIONS_MAX) return ENOSPC;
    if (size == 0 || address + size < address || user + size < user) return EINVAL;
    for (unsigned i = 0; i < memory->regions; i++) {
        const struct region *r = &memory->region[i];
        if (overlap(address, r->address, size, r->size) || overlap(user, r->user, size, r->size))
            return EEXIST;
    }
    struct region r;
    int error = region_open(&r, size, fd, file_offset, writable);
    if (error) return error;
    r.address = address;
    r.user = user;
    memory->region[memory->regions++] = r;
    return 0;
}

bool memory_unmap(struct memory *memory, uint64_t address, uint64_t user, uint64_t size) {
    for (unsigned i = 0; i < memory->regions; i++) {
        struct region *r = &memory->region[i];
        if (r->address != address || r->user != user || r->size != size) continue;
        region_close(r);
        *r = memory->region[--memory->regions];
        return true;
    }
    return false;
}

uint8_t *memory_of_user(const struct memory *memory, uint64_t user, uint64_t length) {
    for (unsigned i = 0; i < memory->regions; i++) {
        const struct region *r = &memory->region[i];
        uint64_t offset = user - r->user;
        if (offset < r->size && length <= r->size - offset) return r->host + offset;
    }
    return NULL;
}

/* ---- a file that shrinks ---------------------------------------------------------------------------- */

static _Thread_local struct memory_guard *guarded;
static struct sigaction before;

static void on_sigbus(int number, siginfo_t *info, void *context) {
    struct memory_guard *guard = guarded;
    if (guard) {
        guarded = NULL;
        siglongjmp(guard->back, 1);
    }
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction)
        before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(number);
    else /* the touch is repeated, and this time for good */
        signal(SIGBUS, SIG_DFL);
}

static void guards_begin(void) {
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

void memory_watch(struct memory_guard *guard) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, guards_begin);
    guarded = guard;
}
void memory_unwatch(void) { guarded = NULL; }

/* ---- reading ---------------------------------------------------------------------------------------- */

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

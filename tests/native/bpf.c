/* bpf.c: capture filters: what the checker lets pass never reads or writes beyond its own and always ends,
 * whatever the instructions and however short the frame; and a filter changes hands while frames are logged.
 *
 * (That results are those of libpcap is tests/frames/test_bpf.py's business.)
 */
#include <string.h>

#include "native.h"

#define STEPS 24u

/* A frame that ends where its memory ends, so that a byte too many is seen by the sanitizer. */
static void any_program(uint64_t *state, uint64_t *sound, uint64_t *matched) {
    uint32_t steps = 1 + below(state, STEPS), captured = below(state, 80);
    struct bpf_step *program = malloc(steps * sizeof *program);
    uint8_t *data = malloc(captured ? captured : 1);
    CHECK(program && data, "out of memory");
    for (uint32_t i = 0; i < captured; i++) data[i] = (uint8_t)draw(state);
    for (uint32_t i = 0; i < steps; i++) {
        static const uint16_t codes[] = {
            0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03,
            0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74,
            0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d,
            0x06, 0x16, 0x07, 0x87, 0x15, 0x25, 0x35, 0x45, 0x15, 0x20, 0x28, 0x30,
        };
        bool wild = below(state, 64) == 0, last = i + 1 == steps;
        uint32_t left = steps - i > 1 ? steps - i - 1 : 1, k = below(state, below(state, 4) ? 32 : 100);
        program[i] = (struct bpf_step){
            .code = wild   ? (uint16_t)draw(state)
                    : last ? 0x06 + 0x10 * below(state, 2)
                           : codes[below(state, sizeof codes / sizeof codes[0])],
            .jt = (uint8_t)below(state, left),
            .jf = (uint8_t)below(state, left),
            .k = wild ? (uint32_t)draw(state) : k % 16 + (below(state, 2) ? k : 0),
        };
    }
    if (!bpf_check(program, steps)) {
        (*sound)++;
        uint32_t once = bpf_run(program, data, captured + below(state, 3), captured);
        *matched += once != 0;
    }
    free(program);
    free(data);
}

static void limits(void) {
    static const struct {
        const char *what;
        struct bpf_step program[3];
        size_t steps;
    } refused[] = {
        {"an empty program", {{0}}, 0},
        {"no return", {{0x00, 0, 0, 1}}, 1},
        {"a jump past the end", {{0x15, 0, 2, 1}, {0x06, 0, 0, 1}, {0x06, 0, 0, 0}}, 3},
        {"a jump back", {{0x00, 0, 0, 0}, {0x05, 0, 0, 0xfffffffe}, {0x06, 0, 0, 0}}, 3},
        {"a far jump", {{0x05, 0, 0, 2}, {0x06, 0, 0, 1}, {0x06, 0, 0, 0}}, 3},
        {"a seventeenth word", {{0x02, 0, 0, 16}, {0x06, 0, 0, 0}}, 2},
        {"a division by zero", {{0x34, 0, 0, 0}, {0x06, 0, 0, 0}}, 2},
        {"a remainder by zero", {{0x94, 0, 0, 0}, {0x06, 0, 0, 0}}, 2},
        {"a shift by 32", {{0x64, 0, 0, 32}, {0x06, 0, 0, 0}}, 2},
        {"the protocol of Linux's socket buffer", {{0x28, 0, 0, 0xfffff000}, {0x06, 0, 0, 0}}, 2},
        {"an unknown code", {{0xffff, 0, 0, 0}, {0x06, 0, 0, 0}}, 2},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        CHECK(bpf_check(refused[i].program, refused[i].steps), "%s was let pass", refused[i].what);
    struct bpf_step *longest = calloc(BPF_STEPS_MAX + 1, sizeof *longest);
    CHECK(longest, "out of memory");
    longest[BPF_STEPS_MAX - 1] = longest[BPF_STEPS_MAX] = (struct bpf_step){0x06, 0, 0, 7};
    CHECK(bpf_check(longest, BPF_STEPS_MAX + 1), "4097 instructions were let pass");
    CHECK(!bpf_check(longest, BPF_STEPS_MAX), "4096 instructions: %s", bpf_check(longest, BPF_STEPS_MAX));
    CHECK(bpf_run(longest, NULL, 0, 0) == 7, "4096 instructions ran to something else");
    free(longest);
}

/* One thread writes frames, one asks for other filters and reads: every frame is as some filter wanted it. */
struct swap {
    struct trace trace;
    uint32_t done;
};

static void *write_frames(void *argument) {
    struct swap *swap = argument;
    uint8_t frame[64] = {0};
    for (uint32_t i = 0; !flag_get(&swap->done); i++) {
        memcpy(frame, &i, 4);
        struct frame_header header = {.position = i};
        uint32_t keep = frame_wanted(&swap->trace.frames, frame, sizeof frame);
        if (keep) frame_write(&swap->trace, &header, frame, sizeof frame, keep);
    }
    return NULL;
}

static uint64_t swapping(uint64_t *state, uint64_t swaps) {
    struct swap *swap = calloc(1, sizeof *swap);
    CHECK(swap && trace_init(&swap->trace, 64, 1 << 14) == 0, "out of memory");
    struct frame_log *log = &swap->trace.frames;
    flag_set(&log->on, 1);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, write_frames, swap) == 0, "no thread");
    struct frame_reader reader = {0};
    uint8_t headers[32 * 64], data[32 * 72];
    int64_t offsets[32];
    uint64_t got = 0, taken = 0;
    for (uint64_t i = 0; i < swaps; i++) {
        uint32_t bit = below(state, 9); /* 8: no filter */
        struct bpf_step program[] = {
            {0x30, 0, 0, 0}, {0x45, 0, 1, 1u << bit}, {0x06, 0, 0, 16 + bit}, {0x06, 0, 0, 0}};
        CHECK(frame_filter_set(log, program, bit < 8 ? 4 : 0) == 0, "out of memory");
        uint64_t before = count_get(&log->frames);
        for (unsigned looks = 0; looks < 200 && count_get(&log->frames) < before + 4; looks++) nap(10);
        size_t bytes, n;
        struct frame_room room = {headers, offsets, 32, data, sizeof data};
        while ((n = frame_read(&swap->trace, &reader, &room, &bytes)) > 0) {
            for (size_t k = 0; k < n; k++) {
                struct frame_header header;
                memcpy(&header, headers + k * sizeof header, sizeof header);
                uint32_t number, kept = header.captured;
                CHECK(kept == 64 || (kept >= 16 && kept < 24), "%u bytes were kept", kept);
                memcpy(&number, data + offsets[k], 4);
                CHECK(number == (uint32_t)header.position, "frame %u stands at %u", number,
                      (uint32_t)header.position);
                CHECK(kept == 64 || number >> (kept - 16) & 1, "frame %u does not match bit %u", number,
                      kept - 16);
                taken++;
            }
            got += n;
            if (n < 32) break;
        }
    }
    flag_set(&swap->done, 1);
    pthread_join(writer, NULL);
    struct frame_room room = {headers, offsets, 32, data, sizeof data};
    size_t bytes, n;
    while ((n = frame_read(&swap->trace, &reader, &room, &bytes)) > 0) got += n;
    CHECK(got + reader.lost == log->frames, "%llu read and %llu lost of %llu", (unsigned long long)got,
          (unsigned long long)reader.lost, (unsigned long long)log->frames);
    trace_free(&swap->trace);
    free(swap);
    return taken;
}

int bpf_main(char **arguments) {
    options_known(arguments, "programs swaps seed");
    uint64_t programs = option(arguments, "programs", 100000), swaps = option(arguments, "swaps", 500);
    uint64_t state = option(arguments, "seed", 1), sound = 0, matched = 0;
    limits();
    for (uint64_t i = 0; i < programs; i++) any_program(&state, &sound, &matched);
    CHECK(sound > programs / 8 && matched > sound / 100, "%llu sound, %llu matched: the draw is poor",
          (unsigned long long)sound, (unsigned long long)matched);
    uint64_t taken = swapping(&state, swaps);
    printf(
        "bpf: %llu programs, %llu sound, %llu matched; %llu filters swapped under a writer, %llu frames held "
        "against them\n",
        (unsigned long long)programs, (unsigned long long)sound, (unsigned long long)matched,
        (unsigned long long)swaps, (unsigned long long)taken);
    return 0;
}

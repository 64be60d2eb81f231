/* bpf.h: classic BPF, the language of capture filters: whether a program is sound, and what it says of a
 * frame.
 *
 * The machine of McCanne and Jacobson, "The BSD Packet Filter" (1993), as libpcap's compiler writes for it:
 * an accumulator, an index register, sixteen words of memory, forward jumps. Linux's extensions (loads from
 * negative offsets) are refused: no frame of a ring has what they ask for. Stands alone: no other file of the
 * engine is needed.
 */
#ifndef RINGSCOPE_BPF_H
#define RINGSCOPE_BPF_H

#include <stddef.h>
#include <stdint.h>

struct bpf_step { /* struct bpf_insn of libpcap */
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};
_Static_assert(sizeof(struct bpf_step) == 8, "struct bpf_insn");

#define BPF_STEPS_MAX 4096u

/* NULL where the program is sound: it ends, and it reads and writes nothing that is not its own. Else why
 * not, in plain words. */
const char *bpf_check(const struct bpf_step *program, size_t steps);

/* How many bytes of a frame to keep, 0: it does not match. `captured` bytes stand at `data`, `length` the
 * frame had. A load from beyond `captured` and a division by zero end the program with 0. Only checked
 * programs. */
uint32_t bpf_run(const struct bpf_step *program, const uint8_t *data, uint32_t length, uint32_t captured);

#endif

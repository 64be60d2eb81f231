/* bpf.c: see bpf.h. */
#include "bpf.h"

#include <stdbool.h>

enum { /* the parts of a code */
       LD = 0,
       LDX = 1,
       ST = 2,
       STX = 3,
       ALU = 4,
       JMP = 5,
       RET = 6,
       MISC = 7,

       W = 0x00,
       H = 0x08,
       B = 0x10,

       IMM = 0x00,
       ABS = 0x20,
       IND = 0x40,
       MEM = 0x60,
       LEN = 0x80,
       MSH = 0xa0,

       ADD = 0x00,
       SUB = 0x10,
       MUL = 0x20,
       DIV = 0x30,
       OR = 0x40,
       AND = 0x50,
       LSH = 0x60,
       RSH = 0x70,
       NEG = 0x80,
       MOD = 0x90,
       XOR = 0xa0,

       JA = 0x00,
       JEQ = 0x10,
       JGT = 0x20,
       JGE = 0x30,
       JSET = 0x40,

       K = 0x00,
       X = 0x08,
       A = 0x10,
       TAX = 0x00,
       TXA = 0x80,
};

#define WORDS         16u
#define FIRST_SPECIAL 0xffe00000u /* SKF_LL_OFF: from here on Linux's extensions */

/* ---- soundness -------------------------------------------------------------------------------------- */

static const char *check_operand(const struct bpf_step *s) {
    switch (s->code) {
    case LD | W | ABS:
    case LD | H | ABS:
    case LD | B | ABS: return s->k >= FIRST_SPECIAL ? "it loads from a negative offset" : NULL;
    case LD | W | IND:
    case LD | H | IND:
    case LD | B | IND:
    case LD | W | LEN:
    case LD | IMM:
    case LDX | W | LEN:
    case LDX | IMM:
    case LDX | B | MSH: return NULL;
    case LD | MEM:
    case LDX | MEM:
    case ST:
    case STX: return s->k >= WORDS ? "it uses a memory word beyond the sixteenth" : NULL;
    case ALU | DIV | K:
    case ALU | MOD | K: return s->k ? NULL : "it divides by zero";
    case ALU | LSH | K:
    case ALU | RSH | K: return s->k > 31 ? "it shifts by more than 31 bits" : NULL;
    case ALU | ADD | K:
    case ALU | SUB | K:
    case ALU | MUL | K:
    case ALU | OR | K:
    case ALU | AND | K:
    case ALU | XOR | K:
    case ALU | ADD | X:
    case ALU | SUB | X:
    case ALU | MUL | X:
    case ALU | DIV | X:
    case ALU | MOD | X:
    case ALU | OR | X:
    case ALU | AND | X:
    case ALU | XOR | X:
    case ALU | LSH | X:
    case ALU | RSH | X:
    case ALU | NEG:
    case RET | K:
    case RET | A:
    case MISC | TAX:
    case MISC | TXA: return NULL;
    default: return "it has an instruction that does not exist";
    }
}

static bool is_branch(uint16_t code) {
    switch (code) {
    case JMP | JEQ | K:
    case JMP | JGT | K:
    case JMP | JGE | K:
    case JMP | JSET | K:
    case JMP | JEQ | X:
    case JMP | JGT | X:
    case JMP | JGE | X:
    case JMP | JSET | X: return true;
    default: return false;
    }
}

const char *bpf_check(const struct bpf_step *program, size_t steps) {
    if (steps == 0) return "it is empty";
    if (steps > BPF_STEPS_MAX) return "it has more than 4096 instructions";
    for (size_t i = 0; i < steps; i++) {
        const struct bpf_step *s = &program[i];
        size_t after = steps - i - 1; /* instructions that may be jumped over, and one to land on */
        if (s->code == (JMP | JA)) {
            if (s->k >= after) return "it jumps backwards or past its end";
        } else if (is_branch(s->code)) {
            if (s->jt >= after || s->jf >= after) return "it jumps past its end";
        } else {
            const char *why = check_operand(s);
            if (why) return why;
        }
    }
    uint16_t last = program[steps - 1].code;
    return last == (RET | K) || last == (RET | A) ? NULL : "it does not end with a return";
}

/* ---- running ---------------------------------------------------------------------------------------- */

static inline uint32_t word_at(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t bpf_run(const struct bpf_step *s, const uint8_t *data, uint32_t length, uint32_t captured) {
    uint32_t a = 0, x = 0, memory[WORDS] = {0};
    for (;; s++) {
        uint32_t k = s->k;
        uint64_t at; /* 64 bits: an offset never wraps round into the frame */
        switch (s->code) {
        case LD | W | ABS:
        case LD | W | IND:
            at = (uint64_t)k + (s->code & IND ? x : 0);
            if (at + 4 > captured) return 0;
            a = word_at(data + at);
            if (s[1].code != (JMP | JEQ | K)) break;
            s++;
            goto equal;
        case LD | H | ABS:
        case LD | H | IND:
            at = (uint64_t)k + (s->code & IND ? x : 0);
            if (at + 2 > captured) return 0;
            a = (uint32_t)data[at] << 8 | data[at + 1];
            if (s[1].code != (JMP | JEQ | K)) break;
            s++;
            goto equal;
        case LD | B | ABS:
        case LD | B | IND:
            at = (uint64_t)k + (s->code & IND ? x : 0);
            if (at >= captured) return 0;
            a = data[at];
            if (s[1].code != (JMP | JEQ | K)) break;
            s++;
            goto equal;
        case LDX | B | MSH:
            if (k >= captured) return 0;
            x = (data[k] & 0xfu) << 2;
            break;
        case LD | W | LEN: a = length; break;
        case LDX | W | LEN: x = length; break;
        case LD | IMM: a = k; break;
        case LDX | IMM: x = k; break;
        case LD | MEM: a = memory[k]; break;
        case LDX | MEM: x = memory[k]; break;
        case ST: memory[k] = a; break;
        case STX: memory[k] = x; break;

        case ALU | ADD | K: a += k; break;
        case ALU | SUB | K: a -= k; break;
        case ALU | MUL | K: a *= k; break;
        case ALU | DIV | K: a /= k; break;
        case ALU | MOD | K: a %= k; break;
        case ALU | OR | K: a |= k; break;
        case ALU | AND | K: a &= k; break;
        case ALU | XOR | K: a ^= k; break;
        case ALU | LSH | K: a <<= k; break;
        case ALU | RSH | K: a >>= k; break;
        case ALU | ADD | X: a += x; break;
        case ALU | SUB | X: a -= x; break;
        case ALU | MUL | X: a *= x; break;
        case ALU | DIV | X:
            if (x == 0) return 0;
            a /= x;
            break;
        case ALU | MOD | X:
            if (x == 0) return 0;
            a %= x;
            break;
        case ALU | OR | X: a |= x; break;
        case ALU | AND | X: a &= x; break;
        case ALU | XOR | X: a ^= x; break;
        case ALU | LSH | X: a = x < 32 ? a << x : 0; break;
        case ALU | RSH | X: a = x < 32 ? a >> x : 0; break;
        case ALU | NEG: a = 0u - a; break;

        case JMP | JA: s += k; break;
        case JMP | JEQ | K:
        equal: /* most of a filter is loads and chains of comparisons: they are not looked up again */
            do s += a == s->k ? s->jt + 1 : s->jf + 1;
            while (s->code == (JMP | JEQ | K));
            s--;
            break;
        case JMP | JGT | K: s += a > k ? s->jt : s->jf; break;
        case JMP | JGE | K: s += a >= k ? s->jt : s->jf; break;
        case JMP | JSET | K: s += a & k ? s->jt : s->jf; break;
        case JMP | JEQ | X: s += a == x ? s->jt : s->jf; break;
        case JMP | JGT | X: s += a > x ? s->jt : s->jf; break;
        case JMP | JGE | X: s += a >= x ? s->jt : s->jf; break;
        case JMP | JSET | X: s += a & x ? s->jt : s->jf; break;

        case MISC | TAX: x = a; break;
        case MISC | TXA: a = x; break;
        case RET | A: return a;
        default: return k; /* RET | K: a checked program has nothing else */
        }
    }
}

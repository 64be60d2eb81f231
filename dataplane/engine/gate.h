/* gate.h: where the two sides can be made to rest, and one token that lets exactly one of them go on.
 *
 * A side passes three kinds of point: before each store to ring memory, after each operation, and at the
 * start of each turn. While the pair is frozen a side parks at such a point until it is granted units.
 */
#ifndef RINGSCOPE_GATE_H
#define RINGSCOPE_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum gate_point { GATE_STORE = 0, GATE_OPERATION = 1, GATE_TURN = 2 };

struct gate_side {
    bool parked;
    bool at_turn; /* parked between turns: nothing of the side is half done */
    bool to_turn; /* goes on until it is */
    bool absent;  /* no thread of ours plays this side */
    enum gate_point unit;
    uint64_t left;
    uint64_t taken;
    unsigned idle; /* turns without work since the grant */
};
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool frozen;
    bool open; /* close and reset: nobody is held any more */
    struct gate_side side[2];
};

void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);
/* A side arrives at a point; `idle` counts only for GATE_TURN: the turn before did nothing. */
void gate_arrive(struct gate *gate, int side, enum gate_point point, bool idle);
void gate_freeze(struct gate *gate);
void gate_run(struct gate *gate);
/* Lets sides that rest in the middle of a turn finish it, then holds both between turns. */
void gate_settle(struct gate *gate);
/* Waits until both sides are parked: true, or false after `milliseconds`. */
bool gate_wait_parked(struct gate *gate, unsigned milliseconds);
/* Grants `count` units to one side of a frozen pair and waits until it is parked again.
 * Returns the units taken, fewer where the side found nothing to do; -1 where the pair is not frozen. */
int64_t gate_step(struct gate *gate, int side, enum gate_point unit, uint64_t count);
void gate_open(struct gate *gate);
/* So many milliseconds from now on CLOCK_MONOTONIC. */
struct timespec gate_deadline(unsigned milliseconds);

#endif

/* gate.c: see gate.h. Slow path only: nothing here runs unless the gate is armed. */
#define _GNU_SOURCE
#include "gate.h"

#include <string.h>
#include <time.h>

#define IDLE_TURNS 2 /* a side may need one turn to notice, one to act */

void gate_init(struct gate *gate) {
    memset(gate, 0, sizeof *gate);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    gate->side[0].unit = gate->side[1].unit = GATE_OPERATION;
    gate->side[0].absent = gate->side[1].absent = true;
}

void gate_destroy(struct gate *gate) {
    pthread_cond_destroy(&gate->moved);
    pthread_mutex_destroy(&gate->lock);
}

/* Whether a side that arrives here has to stop. */
static bool must_park(struct gate_side *s, enum gate_point point, bool idle) {
    if (s->to_turn && point != GATE_TURN) return false;
    switch (point) {
    case GATE_STORE: return s->unit == GATE_STORE && s->left == 0;
    case GATE_OPERATION:
        if (s->unit != GATE_OPERATION) return false;
        if (s->left) {
            s->left--;
            s->taken++;
        }
        return s->left == 0;
    case GATE_TURN:
        s->idle = idle ? s->idle + 1 : 0;
        if (s->idle >= IDLE_TURNS) s->left = 0;
        return s->left == 0;
    }
    return false;
}

void gate_arrive(struct gate *gate, int side, enum gate_point point, bool idle) {
    pthread_mutex_lock(&gate->lock);
    struct gate_side *s = &gate->side[side];
    if (gate->frozen && !gate->open && !s->absent && must_park(s, point, idle)) {
        s->parked = true;
        pthread_cond_broadcast(&gate->moved);
        s->at_turn = point == GATE_TURN;
        while (gate->frozen && !gate->open && s->left == 0 && (s->at_turn || !s->to_turn))
            pthread_cond_wait(&gate->moved, &gate->lock);
        s->parked = false;
        s->idle = 0;
    }
    if (gate->frozen && s->left && point == s->unit && point != GATE_OPERATION) {
        s->left--; /* the store or turn that follows */
        s->taken++;
    }
    pthread_mutex_unlock(&gate->lock);
}

static bool all_parked(const struct gate *gate) {
    for (int i = 0; i < 2; i++)
        if (!gate->side[i].absent && !gate->side[i].parked) return false;
    return true;
}

struct timespec gate_deadline(unsigned milliseconds) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += milliseconds / 1000;
    t.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

void gate_freeze(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->frozen = true;
    for (int i = 0; i < 2; i++) {
        gate->side[i].left = 0;
        gate->side[i].unit = GATE_OPERATION;
        gate->side[i].to_turn = false;
    }
    pthread_mutex_unlock(&gate->lock);
}

void gate_settle(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->frozen = true;
    for (int i = 0; i < 2; i++) {
        struct gate_side *s = &gate->side[i];
        s->left = 0;
        s->unit = GATE_TURN;
        s->to_turn = true;
        if (s->parked && !s->at_turn) s->parked = false; /* it will park again further on */
    }
    pthread_cond_broadcast(&gate->moved);
    pthread_mutex_unlock(&gate->lock);
}

void gate_run(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->frozen = false;
    pthread_cond_broadcast(&gate->moved);
    pthread_mutex_unlock(&gate->lock);
}

bool gate_wait_parked(struct gate *gate, unsigned milliseconds) {
    struct timespec until = gate_deadline(milliseconds);
    bool parked;
    pthread_mutex_lock(&gate->lock);
    while (!(parked = all_parked(gate)) && gate->frozen && !gate->open)
        if (pthread_cond_timedwait(&gate->moved, &gate->lock, &until)) break;
    parked = all_parked(gate);
    pthread_mutex_unlock(&gate->lock);
    return parked;
}

int64_t gate_step(struct gate *gate, int side, enum gate_point unit, uint64_t count) {
    struct timespec until = gate_deadline(5000);
    pthread_mutex_lock(&gate->lock);
    struct gate_side *s = &gate->side[side];
    if (!gate->frozen || gate->open || s->absent) {
        pthread_mutex_unlock(&gate->lock);
        return -1;
    }
    if (count == 0) {
        pthread_mutex_unlock(&gate->lock);
        return 0;
    }
    s->unit = unit;
    s->left = count;
    s->taken = 0;
    s->idle = 0;
    s->to_turn = false;
    s->parked = false; /* it will park again when it has used its grant */
    pthread_cond_broadcast(&gate->moved);
    while (!s->parked && gate->frozen && !gate->open)
        if (pthread_cond_timedwait(&gate->moved, &gate->lock, &until)) break;
    s->left = 0;
    int64_t taken = (int64_t)s->taken;
    pthread_mutex_unlock(&gate->lock);
    return taken;
}

void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->moved);
    pthread_mutex_unlock(&gate->lock);
}

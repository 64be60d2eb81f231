/* door.c: the slow path of store.h, taken only when something is armed. */
#include "breaks.h"
#include "fault.h"
#include "own.h"

static uint64_t read_old(const void *p, unsigned width) {
    if (width == 1) return observe8(p);
    if (width == 2) return observe16(p);
    return width == 4 ? observe32(p) : observe64(p);
}

/* Release for every width: what is only relaxed on the fast path loses nothing by it. */
static void perform(void *p, uint64_t value, unsigned width) {
    if (width == 1)
        publish8(p, (uint8_t)value);
    else if (width == 2)
        publish16(p, (uint16_t)value);
    else if (width == 4)
        publish32(p, (uint32_t)value);
    else
        publish64(p, value);
}

void door_perform(struct door *door, void *to, uint64_t value, unsigned width) {
    uint32_t mask = armed(door);
    if (mask & ARM_GATE) gate_arrive(door->gate, door->side, GATE_STORE, false);
    struct event event = {.old = read_old(to, width), .new = value, .kind = EV_STORE, .side = door->side};
    /* The number is taken before the store becomes visible: whoever acts on the store gets a higher one. */
    if (mask & ARM_JOURNAL) event.number = trace_take_number(door->trace);
    perform(to, value, width);
    if (mask & ARM_JOURNAL) {
        event.time = trace_now(door->trace);
        event.place = memory_address(door->memory, to);
        event.queue = door->queue;
        event.count = (uint16_t)width;
        trace_write(door->trace, &event);
    }
}

void door_store(struct door *door, void *to, uint64_t value, unsigned width) {
    bool faulty = armed(door) & ARM_FAULT;
    if (!faulty || !fault_store(door, to, &value, width)) door_perform(door, to, value, width);
    if (faulty) fault_release(door, false);
}

void door_load(struct door *door, const void *from, unsigned width) {
    door->loads++;
    if (door->on_load) door->on_load(door->context, from, width);
}

static uint64_t take_number(struct door *door) {
    uint64_t number = door->reserved;
    door->reserved = 0;
    return number ? number : trace_take_number(door->trace);
}

void door_own(struct door *door, uint16_t queue, uint64_t place, uint64_t old, uint64_t new) {
    if (!door->reserved) door->reserved = trace_take_number(door->trace);
    struct event event = {.number = door->reserved,
                          .time = trace_now(door->trace),
                          .place = place,
                          .old = old,
                          .new = new,
                          .kind = EV_OWN,
                          .side = door->side,
                          .queue = queue,
                          .count = 8};
    trace_write(door->trace, &event);
}

void door_operation(struct door *door, enum event_kind kind, uint16_t slot, uint16_t count, uint64_t place,
                    uint64_t old, uint64_t new) {
    uint32_t mask = armed(door);
    uint64_t number = 0;
    if (mask & ARM_JOURNAL) own_words(door, kind);
    if (mask & ARM_OPERATIONS) {
        number = take_number(door);
        struct event event = {
            number, trace_now(door->trace), place, old, new, (uint8_t)kind, door->side, door->queue, slot,
            count};
        trace_write(door->trace, &event);
    }
    if (UNLIKELY(mask & ARM_BREAK) && breaks_event(door, kind, number, count, place, old, new))
        pair_break(door->owner);
    if (armed(door) & ARM_GATE) gate_arrive(door->gate, door->side, GATE_OPERATION, false);
}

void door_fault(struct door *door, uint64_t id, uint16_t kind, uint64_t address, uint64_t value,
                unsigned width) {
    if (!(armed(door) & ARM_OPERATIONS)) return;
    struct event event = {trace_take_number(door->trace),
                          trace_now(door->trace),
                          id,
                          address,
                          value,
                          EV_FAULT,
                          door->side,
                          door->queue,
                          kind,
                          (uint16_t)width};
    trace_write(door->trace, &event);
}

void door_break(struct door *door, uint64_t id, uint64_t number) {
    if (!(armed(door) & ARM_OPERATIONS)) return;
    struct event event = {.number = trace_take_number(door->trace),
                          .time = trace_now(door->trace),
                          .place = id,
                          .new = number,
                          .kind = EV_BREAK,
                          .side = door->side,
                          .queue = door->queue};
    trace_write(door->trace, &event);
}

void door_note(struct door *door, enum event_kind kind, uint64_t place, uint64_t old, uint64_t new) {
    if (!(armed(door) & ARM_OPERATIONS)) return;
    struct event event = {trace_take_number(door->trace),
                          trace_now(door->trace),
                          place,
                          old,
                          new,
                          (uint8_t)kind,
                          door->side,
                          0,
                          0,
                          0};
    trace_write(door->trace, &event);
}

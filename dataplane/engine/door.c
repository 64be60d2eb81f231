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

/* ---- the journal ------------------------------------------------------------------------------------ */

/* Writes what waits: each store with a number of its own, words of the side's own with that of the event
 * behind them. Returns the number of that event, where there is one. */
static uint64_t flush(struct door *door, bool event) {
    uint32_t n = door->batched, stores = door->batched_stores;
    bool last = (event || n > stores) && !door->reserved;
    uint64_t number = stores + last ? trace_take_numbers(door->trace, stores + last) : 0;
    uint64_t now = n ? trace_now(door->trace) : 0;
    if (last) door->reserved = number + stores;
    for (uint32_t i = 0; i < n; i++) {
        struct event *row = &door->batch[i];
        row->number = i < stores ? number + i : door->reserved;
        row->time = now;
        trace_write(door->trace, row);
    }
    door->batched = door->batched_stores = 0;
    number = door->reserved;
    if (event) door->reserved = 0;
    return number;
}

static struct event *append(struct door *door) {
    if (door->batched == BATCH_MAX) flush(door, false);
    return &door->batch[door->batched++];
}

void door_own(struct door *door, uint16_t queue, uint64_t place, uint64_t old, uint64_t new) {
    *append(door) = (struct event){.place = place,
                                   .old = old,
                                   .new = new,
                                   .kind = EV_OWN,
                                   .side = door->side,
                                   .queue = queue,
                                   .count = 8};
}

static void write_event(struct door *door, enum event_kind kind, uint16_t queue, uint16_t slot,
                        uint16_t count, uint64_t place, uint64_t old, uint64_t new, uint64_t number) {
    struct event event = {
        number, trace_now(door->trace), place, old, new, (uint8_t)kind, door->side, queue, slot, count};
    trace_write(door->trace, &event);
}

/* ---- stores and loads ------------------------------------------------------------------------------- */

void door_perform(struct door *door, void *to, uint64_t value, unsigned width) {
    uint32_t mask = armed(door);
    if (mask & (ARM_GATE | ARM_FAULT) && door->batched) flush(door, false);
    if (mask & ARM_GATE) gate_arrive(door->gate, door->side, GATE_STORE, false);
    if (!(mask & ARM_JOURNAL)) {
        perform(to, value, width);
        return;
    }
    uint64_t old = read_old(to, width), place = memory_address(door->memory, to);
    if (door->batching && !(mask & (ARM_GATE | ARM_FAULT))) {
        perform(to, value, width);
        *append(door) = (struct event){.place = place,
                                       .old = old,
                                       .new = value,
                                       .kind = EV_STORE,
                                       .side = door->side,
                                       .queue = door->queue,
                                       .count = (uint16_t)width};
        door->batched_stores++;
        return;
    }
    /* The number is taken before the store becomes visible: whoever acts on the store gets a higher one. */
    uint64_t number = trace_take_numbers(door->trace, 1);
    perform(to, value, width);
    write_event(door, EV_STORE, door->queue, 0, (uint16_t)width, place, old, value, number);
}

void door_poke(struct door *door, uint16_t queue, void *to, uint64_t value, unsigned width) {
    uint64_t old = read_old(to, width);
    perform(to, value, width);
    if (armed(door) & ARM_JOURNAL)
        write_event(door, EV_STORE, queue, 0, (uint16_t)width, memory_address(door->memory, to), old, value,
                    trace_take_numbers(door->trace, 1));
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

/* ---- events ----------------------------------------------------------------------------------------- */

void door_operation(struct door *door, enum event_kind kind, uint16_t slot, uint16_t count, uint64_t place,
                    uint64_t old, uint64_t new) {
    uint32_t mask = armed(door);
    uint64_t number = 0;
    if (mask & ARM_JOURNAL) own_words(door, kind);
    door->batching = false;
    if (mask & ARM_OPERATIONS) {
        number = flush(door, true);
        write_event(door, kind, door->queue, slot, count, place, old, new, number);
    }
    if (UNLIKELY(mask & ARM_BREAK) && breaks_due(door, kind) &&
        breaks_event(door, kind, number, count, place, old, new))
        pair_break(door->owner);
    if (armed(door) & ARM_GATE) gate_arrive(door->gate, door->side, GATE_OPERATION, false);
}

static void note(struct door *door, enum event_kind kind, uint16_t queue, uint16_t slot, uint16_t count,
                 uint64_t place, uint64_t old, uint64_t new) {
    if (!(armed(door) & ARM_OPERATIONS)) return;
    write_event(door, kind, queue, slot, count, place, old, new, trace_take_numbers(door->trace, 1));
}

void door_fault(struct door *door, uint64_t id, uint16_t kind, uint64_t address, uint64_t value,
                unsigned width) {
    note(door, EV_FAULT, door->queue, kind, (uint16_t)width, id, address, value);
}

void door_break(struct door *door, uint64_t id, uint64_t number) {
    note(door, EV_BREAK, door->queue, 0, 0, id, 0, number);
}

void door_note(struct door *door, enum event_kind kind, uint64_t place, uint64_t old, uint64_t new) {
    note(door, kind, 0, 0, 0, place, old, new);
}

/* module_hand.c: the Python face of the verbs, for a pair whose queues no thread uses: tests, and anyone who
 * wants to play a half by hand.
 */
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"

/* The queue, of a pair whose verbs no thread uses: for the verbs by hand. */
static struct vq *idle_queue(Engine *self, unsigned index) {
    struct pair *pair = open_pair(self);
    if (!pair) return NULL;
    if (flag_get(&pair->running)) {
        PyErr_SetString(PyExc_RuntimeError, "the pair's own threads use this queue");
        return NULL;
    }
    if (index >= pair->queues || !pair->queue[index].desc) {
        PyErr_Format(PyExc_IndexError, "no queue %u is set up", index);
        return NULL;
    }
    pair->driver.door.queue = pair->device.door.queue = (uint16_t)index;
    return &pair->queue[index];
}

/* The queue whose ring memory begins at or before an address and holds it; NULL: that is payload. */
static struct vq *ring_of(struct pair *pair, uint64_t address) {
    for (uint32_t i = 0; i < pair->queues; i++) {
        struct vq *q = &pair->queue[i];
        uint64_t end = q->drv.tables_address + (q->indirect ? 16ull * TABLE_ENTRIES * q->size : 0);
        if (q->desc && address >= q->desc_address && address < end) return q;
    }
    return NULL;
}

/* Ring memory is written word by word, as wide as address and length allow, and journaled as the side's; but
 * not while the sides' own threads write the log. */
static void poke_ring(struct pair *pair, struct vq *q, unsigned side, uint8_t *to, const uint8_t *from,
                      uint64_t length) {
    struct door *door = side ? &pair->device.door : &pair->driver.door;
    for (uint64_t i = 0; i < length;) {
        unsigned width = 8;
        uint64_t value = 0;
        while ((uintptr_t)(to + i) % width || length - i < width) width /= 2;
        memcpy(&value, from + i, width);
        door_poke(door, q->index, to + i, value, width);
        i += width;
    }
}

PyObject *engine_poke(Engine *self, PyObject *args) {
    unsigned long long address;
    unsigned side = 0;
    Py_buffer from;
    bool ok = false;
    if (!PyArg_ParseTuple(args, "Ky*|I", &address, &from, &side)) return NULL;
    struct pair *pair = open_pair(self);
    if (pair) {
        uint8_t *to = memory_translate(&pair->memory, address, (uint64_t)from.len);
        struct vq *q = ring_of(pair, address);
        bool rests = !flag_get(&pair->running) || (pair_frozen(pair) && gate_wait_parked(&pair->gate, 0));
        if (to && q && rests)
            poke_ring(pair, q, side, to, from.buf, (uint64_t)from.len);
        else
            for (Py_ssize_t i = 0; to && i < from.len; i++) own8(to + i, ((const uint8_t *)from.buf)[i]);
        ok = to != NULL;
    }
    PyBuffer_Release(&from);
    return pair ? PyBool_FromLong(ok) : NULL;
}

struct wire_seg { /* as Python packs it: "<QII" */
    uint64_t address;
    uint32_t length, writable;
};

PyObject *engine_add(Engine *self, PyObject *args) {
    unsigned index, token;
    int table;
    Py_buffer in;
    if (!PyArg_ParseTuple(args, "Iy*pI", &index, &in, &table, &token)) return NULL;
    struct vq *q = idle_queue(self, index);
    PyObject *result = NULL;
    size_t n = (size_t)in.len / sizeof(struct wire_seg);
    struct seg *segs = calloc(n + 1, sizeof *segs);
    struct buffer b = {segs, 0, 0, table, token};
    if (!q || !segs) goto done;
    size_t limit = table && q->size > TABLE_ENTRIES ? TABLE_ENTRIES : q->size;
    if (n == 0 || n > limit) {
        PyErr_Format(PyExc_ValueError, "a buffer of %zu pieces does not fit: the limit is %zu", n, limit);
        goto done;
    }
    if (table && !q->indirect) {
        PyErr_SetString(PyExc_ValueError, "an indirect table needs INDIRECT_DESC, which was not accepted");
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        struct wire_seg s;
        memcpy(&s, (const uint8_t *)in.buf + i * sizeof s, sizeof s);
        segs[i] = (struct seg){s.address, s.length};
        if (s.writable)
            b.in++;
        else if (b.in) {
            PyErr_SetString(PyExc_ValueError, "readable pieces stand before writable ones (2.7.4.2)");
            goto done;
        } else
            b.out++;
    }
    if (q->ops->add(q, &b, 1) == 0) {
        result = PyLong_FromLong(-1);
        goto done;
    }
    uint64_t place = q->drv.place[(q->drv.add_at + q->size - 1) % q->size];
    result = PyLong_FromLong((long)(place >> 32 & 0xffff));
done:
    free(segs);
    PyBuffer_Release(&in);
    return result;
}

PyObject *engine_collect(Engine *self, PyObject *args) {
    unsigned index;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    struct vq *q = idle_queue(self, index);
    if (!q) return NULL;
    struct returned r;
    if (q->ops->collect(q, &r, 1) == 0) Py_RETURN_NONE;
    return Py_BuildValue("(IIKI)", r.token, r.length, (unsigned long long)r.position, (unsigned)r.head);
}

PyObject *engine_next(Engine *self, PyObject *args) {
    unsigned index;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    struct vq *q = idle_queue(self, index);
    if (!q) return NULL;
    struct chain c;
    if (!chain_fits(q)) return PyErr_Format(PyExc_RuntimeError, "complete some buffers first");
    if (q->ops->next(q, &c, 1) == 0) Py_RETURN_NONE;
    size_t n = (size_t)c.out + c.in;
    struct wire_seg *segs = calloc(n + 1, sizeof *segs);
    if (!segs) return PyErr_NoMemory();
    for (size_t i = 0; i < n; i++)
        segs[i] =
            (struct wire_seg){memory_address(q->memory, c.spans[i].host), c.spans[i].length, i >= c.out};
    PyObject *result =
        Py_BuildValue("(KIIIIIIy#)", (unsigned long long)c.position, (unsigned)c.id, (unsigned)c.head,
                      (unsigned)c.slots, (unsigned)c.descriptors, (unsigned)c.indirect, (unsigned)c.reason,
                      (const char *)segs, (Py_ssize_t)(n * sizeof *segs));
    free(segs);
    return result;
}

PyObject *engine_complete(Engine *self, PyObject *args) {
    unsigned index;
    int batch;
    Py_buffer in; /* "<IHHI": length, id, slots, writable */
    if (!PyArg_ParseTuple(args, "Iy*p", &index, &in, &batch)) return NULL;
    struct vq *q = idle_queue(self, index);
    struct done done[BURST];
    size_t n = (size_t)in.len / 12;
    if (q && n <= BURST) {
        for (size_t i = 0; i < n; i++) {
            const uint8_t *at = (const uint8_t *)in.buf + 12 * i;
            uint32_t writable;
            memcpy(&done[i].length, at, 4);
            memcpy(&done[i].id, at + 4, 2);
            memcpy(&done[i].slots, at + 6, 2);
            memcpy(&writable, at + 8, 4);
            done[i].writable = writable != 0;
        }
        q->ops->complete(q, done, (uint32_t)n, batch);
    }
    PyBuffer_Release(&in);
    if (q && n > BURST) return PyErr_Format(PyExc_ValueError, "at most %u buffers at a time", BURST);
    if (!q) return NULL;
    Py_RETURN_NONE;
}

static bool take_calls(struct vq *q) { return notify_take_calls(q) > 0; }

/* publish, kick_needed, ...: one queue, maybe an answer. */
PyObject *engine_verb(Engine *self, PyObject *args) {
    unsigned index;
    const char *verb;
    if (!PyArg_ParseTuple(args, "Is", &index, &verb)) return NULL;
    struct vq *q = idle_queue(self, index);
    if (!q) return NULL;
    const struct ring_ops *ops = q->ops;
    const struct {
        const char *name;
        void (*act)(struct vq *);
        bool (*ask)(struct vq *);
    } verbs[] = {
        {"publish", ops->publish, NULL},     {"flush", ops->flush, NULL},
        {"calls_off", ops->calls_off, NULL}, {"kicks_off", ops->kicks_off, NULL},
        {"calls_on", NULL, ops->calls_on},   {"kicks_on", NULL, ops->kicks_on},
        {"kick_needed", NULL, notify_kick},  {"call_needed", NULL, notify_call},
        {"take_calls", NULL, take_calls},
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, verb) == 0) {
            if (verbs[i].ask) return PyBool_FromLong(verbs[i].ask(q));
            verbs[i].act(q);
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "no such verb: %s", verb);
}

PyObject *engine_tables(Engine *self, PyObject *args) {
    unsigned index;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    struct vq *q = idle_queue(self, index);
    return q ? Py_BuildValue("(KI)", (unsigned long long)q->drv.tables_address, TABLE_ENTRIES) : NULL;
}

/* One turn of a side in this thread: a pair without threads, for tests. */
PyObject *engine_turn(Engine *self, PyObject *args) {
    unsigned side;
    if (!PyArg_ParseTuple(args, "I", &side)) return NULL;
    if (!idle_queue(self, 0)) return NULL;
    uint32_t moved = side ? device_turn(&self->pair->device) : driver_turn(&self->pair->driver);
    return PyLong_FromUnsignedLong(moved);
}

/* {"EVENT": {"": size, "number": 0, ...}, ...}: what tests hold against the numpy dtypes. */
PyObject *module_offsets(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
#define F(s, f) #f, (int)offsetof(struct s, f)
    return Py_BuildValue(
        "{s:{s:i,s:i,s:i,s:i,s:i},s:{s:i,s:i,s:i},s:{s:i,s:i,s:i,s:i,s:i},"
        "s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i},s:{s:i,s:i,s:i,s:i,s:i,s:i},"
        "s:{s:i,s:i,s:i,s:i,s:i,s:i},s:{s:i,s:i,s:i,s:i,s:i},s:{s:i,s:i,s:i,s:i},s:{s:i,s:i,s:i},s:{s:i,s:i,"
        "s:i}}",
        "DESC", "", (int)sizeof(struct virtq_desc), F(virtq_desc, addr), F(virtq_desc, len),
        F(virtq_desc, flags), F(virtq_desc, next), "USED_ELEM", "", (int)sizeof(struct virtq_used_elem),
        F(virtq_used_elem, id), F(virtq_used_elem, len), "PACKED_DESC", "", (int)sizeof(struct pvirtq_desc),
        F(pvirtq_desc, addr), F(pvirtq_desc, len), F(pvirtq_desc, id), F(pvirtq_desc, flags), "NET_HEADER",
        "", (int)sizeof(struct virtio_net_hdr), F(virtio_net_hdr, flags), F(virtio_net_hdr, gso_type),
        F(virtio_net_hdr, hdr_len), F(virtio_net_hdr, gso_size), F(virtio_net_hdr, csum_start),
        F(virtio_net_hdr, csum_offset), F(virtio_net_hdr, num_buffers), "EVENT", "",
        (int)sizeof(struct event), F(event, number), F(event, place), F(event, kind), F(event, slot),
        F(event, count), "FRAME", "", (int)sizeof(struct frame_header), F(frame_header, position),
        F(frame_header, captured), F(frame_header, buffers), F(frame_header, direction),
        F(frame_header, net_header), "REQUEST", "", (int)sizeof(struct request_record),
        F(request_record, slack), F(request_record, used_length), F(request_record, status),
        F(request_record, flags), "QUEUE_HEADER", "", (int)sizeof(struct queue_header),
        F(queue_header, area_event), F(queue_header, driver), F(queue_header, device), "DRIVER_STATE", "",
        (int)sizeof(struct driver_state), "path", (int)offsetof(struct driver_state, path), "polling",
        (int)offsetof(struct driver_state, side), "DEVICE_STATE", "", (int)sizeof(struct device_state),
        "unflushed", (int)offsetof(struct device_state, unflushed), "polling",
        (int)offsetof(struct device_state, side));
#undef F
}

/* module_read.c: methods of Engine that only look. */
#include "module.h"

#include <string.h>

#include "own.h"

PyObject *engine_room(Engine *self, PyObject *args) {
    unsigned index;
    int whole;
    if (!PyArg_ParseTuple(args, "Ip", &index, &whole)) return NULL;
    PAIR_OR_RETURN;
    struct vq *q = any_queue(pair, index);
    return q ? PyLong_FromSize_t(snapshot_room(q, whole)) : NULL;
}

PyObject *engine_snapshot(Engine *self, PyObject *args) {
    unsigned index;
    int whole;
    Py_buffer to;
    size_t n = 0;
    if (!PyArg_ParseTuple(args, "Ipw*", &index, &whole, &to)) return NULL;
    struct pair *pair = open_pair(self);
    struct vq *q = pair ? any_queue(pair, index) : NULL;
    if (q && (size_t)to.len < snapshot_room(q, whole)) {
        PyErr_SetString(PyExc_ValueError, "the buffer is smaller than room()");
        q = NULL;
    }
    if (q) {
        Py_BEGIN_ALLOW_THREADS;
        pthread_mutex_lock(&pair->life);
        n = snapshot_take(pair, q, whole, to.buf);
        pthread_mutex_unlock(&pair->life);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&to);
    return q ? PyLong_FromSize_t(n) : NULL;
}

static int put(PyObject *dict, const char *name, PyObject *value) {
    int failed = value ? PyDict_SetItemString(dict, name, value) : -1;
    Py_XDECREF(value);
    return failed;
}

PyObject *engine_own(Engine *self, PyObject *args) {
    unsigned index;
    Py_buffer to;
    if (!PyArg_ParseTuple(args, "Iw*", &index, &to)) return NULL;
    struct pair *pair = open_pair(self);
    struct vq *q = pair ? any_queue(pair, index) : NULL;
    size_t bytes = q && q->own ? own_bytes(q->size) : 0;
    if (q && ((size_t)to.len < bytes || (uintptr_t)to.buf % 8)) {
        PyErr_Format(PyExc_ValueError, "%zu bytes are needed, 8-byte aligned", bytes);
        q = NULL;
    }
    if (q && bytes) {
        pthread_mutex_lock(&pair->life);
        if (armed(&pair->driver.door) & ARM_JOURNAL)
            memcpy(to.buf, q->own, bytes);
        else
            own_take(pair, q, to.buf);
        pthread_mutex_unlock(&pair->life);
    }
    PyBuffer_Release(&to);
    return q ? PyLong_FromSize_t(bytes) : NULL;
}

PyObject *engine_shape(Engine *self, PyObject *args) {
    unsigned index;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    PAIR_OR_RETURN;
    struct vq *q = any_queue(pair, index);
    if (!q) return NULL;
    return Py_BuildValue(
        "{s:I,s:I,s:K,s:I,s:O,s:O,s:O}", "size", (unsigned)q->size, "start_index", (unsigned)q->start_index,
        "tables_addr", (unsigned long long)(q->indirect ? q->drv.tables_address : 0), "table_entries",
        q->indirect ? TABLE_ENTRIES : 0, "in_order", q->in_order ? Py_True : Py_False, "indirect",
        q->indirect ? Py_True : Py_False, "event_idx", q->event_idx ? Py_True : Py_False);
}

PyObject *engine_info(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    pair_stopped(pair);
    const struct frame_log *f = &pair->trace.frames;
    const struct port *a = &pair->driver.port, *b = &pair->device.port;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"offered", pair->offered},
        {"accepted", count_get(&pair->accepted)},
        {"status", count_get(&pair->status)},
        {"refused", count_get(&pair->refused)},
        {"net_status", count_get(&pair->net_status)},
        {"mtu", pair->mtu},
        {"pairs_max", pair->pairs_max},
        {"pairs", flag_get(&pair->pairs)},
        {"config_generation", count_get(&pair->config_generation)},
        {"queues", pair->queues},
        {"running", flag_get(&pair->running)},
        {"frozen", pair_frozen(pair)},
        {"number", count_get(&pair->trace.number)},
        {"time", pair_now(pair)},
        {"trace_level", flag_get(&pair->level)},
        {"frames_on", flag_get(&f->on)},
        {"frame_sample", flag_get(&f->sample)},
        {"frames", count_get(&f->frames)},
        {"frames_passed_over", count_get(&f->passed_over)},
        {"frames_filtered", count_get(&f->filtered)},
        {"frame_snap", flag_get(&f->snap)},
        {"frame_bytes", count_get(&f->bytes)},
        {"scratch", pair->scratch_address},
        {"wrong", count_get(&a->wrong) + count_get(&b->wrong)},
        {"refused_frames", count_get(&a->refused) + count_get(&b->refused)},
        {"gone", count_get(&a->gone) + count_get(&b->gone)},
    };
    char mac[6];
    for (unsigned i = 0; i < 6; i++) mac[i] = (char)peek8(pair->mac + i);
    PyObject *dict = PyDict_New();
    if (!dict) return NULL;
    int failed = put(dict, "mac", PyBytes_FromStringAndSize(mac, 6));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !failed; i++)
        failed = put(dict, rows[i].name, PyLong_FromUnsignedLongLong(rows[i].value));
    if (!failed) return dict;
    Py_DECREF(dict);
    return NULL;
}

PyObject *engine_events(Engine *self, PyObject *args) {
    unsigned side;
    unsigned long long position;
    Py_buffer to;
    uint64_t lost = 0, at;
    size_t n = 0;
    if (!PyArg_ParseTuple(args, "IKw*", &side, &position, &to)) return NULL;
    struct pair *pair = open_pair(self);
    at = position;
    if (pair && side < 2) {
        Py_BEGIN_ALLOW_THREADS;
        n = trace_read(&pair->trace, (int)side, &at, to.buf, (size_t)to.len / sizeof(struct event), &lost);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&to);
    if (!pair) return NULL;
    return Py_BuildValue("(nKK)", (Py_ssize_t)n, (unsigned long long)at, (unsigned long long)lost);
}

PyObject *engine_frames_waiting(Engine *self, PyObject *args) {
    unsigned long long position, expected;
    uint64_t frames, bytes;
    if (!PyArg_ParseTuple(args, "KK", &position, &expected)) return NULL;
    PAIR_OR_RETURN;
    frame_waiting(&pair->trace, &(struct frame_reader){position, expected, 0}, &frames, &bytes);
    return Py_BuildValue("(KK)", (unsigned long long)frames, (unsigned long long)bytes);
}

PyObject *engine_frames(Engine *self, PyObject *args) {
    unsigned long long position, expected;
    Py_buffer rows, data, offsets;
    size_t n = 0, bytes = 0;
    if (!PyArg_ParseTuple(args, "KKw*w*w*", &position, &expected, &rows, &data, &offsets)) return NULL;
    struct pair *pair = open_pair(self);
    struct frame_reader reader = {position, expected, 0};
    struct frame_room to = {.headers = rows.buf,
                            .offsets = offsets.buf,
                            .rows = (size_t)rows.len / sizeof(struct frame_header),
                            .data = data.buf,
                            .bytes = (size_t)data.len};
    if (to.rows > (size_t)offsets.len / sizeof(int64_t)) to.rows = (size_t)offsets.len / sizeof(int64_t);
    if (pair) {
        Py_BEGIN_ALLOW_THREADS;
        n = frame_read(&pair->trace, &reader, &to, &bytes);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&rows);
    PyBuffer_Release(&data);
    PyBuffer_Release(&offsets);
    if (!pair) return NULL;
    return Py_BuildValue("(nnKKK)", (Py_ssize_t)n, (Py_ssize_t)bytes, (unsigned long long)reader.position,
                         (unsigned long long)reader.expected, (unsigned long long)reader.lost);
}

PyObject *engine_peek(Engine *self, PyObject *args) {
    unsigned long long address;
    Py_buffer to;
    bool ok = false;
    if (!PyArg_ParseTuple(args, "Kw*", &address, &to)) return NULL;
    struct pair *pair = open_pair(self);
    if (pair) {
        pthread_mutex_lock(&pair->life);
        ok = memory_peek(&pair->memory, address, to.buf, (size_t)to.len);
        pthread_mutex_unlock(&pair->life);
    }
    PyBuffer_Release(&to);
    return pair ? PyBool_FromLong(ok) : NULL;
}

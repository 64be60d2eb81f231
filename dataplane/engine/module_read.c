/* module_read.c: methods of Engine that only look. */
#include "module.h"

#include "snapshot.h"

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

PyObject *engine_info(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    uint8_t mac[6];
    for (unsigned i = 0; i < 6; i++) mac[i] = peek8(pair->mac + i);
    const struct frame_log *f = &pair->trace.frames;
    uint32_t arms = armed(&pair->driver.door);
#define N(x) (unsigned long long)(x)
    return Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:y#,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:"
        "K,s:K}",
        "offered", N(pair->offered), "accepted", N(count_get(&pair->accepted)), "status",
        N(count_get(&pair->status)), "refused", N(count_get(&pair->refused)), "mac", (const char *)mac,
        (Py_ssize_t)6, "net_status", N(count_get(&pair->net_status)), "mtu", N(pair->mtu), "pairs_max",
        N(pair->pairs_max), "pairs", N(flag_get(&pair->pairs)), "config_generation",
        N(count_get(&pair->config_generation)), "queues", N(pair->queues), "running",
        N(flag_get(&pair->running)), "frozen", N(pair_frozen(pair)), "number",
        N(count_get(&pair->trace.number)), "time", N(pair_now(pair)), "trace_level",
        N(arms & ARM_JOURNAL      ? 2
          : arms & ARM_OPERATIONS ? 1
                                  : 0),
        "frames_on", N(flag_get(&f->on)), "frame_sample", N(flag_get(&f->sample)), "frames",
        N(count_get(&f->frames)), "frames_passed_over", N(count_get(&f->passed_over)), "frame_bytes",
        N(count_get(&f->bytes)), "scratch", N(pair->scratch_address), "wrong",
        N(count_get(&pair->driver.port.wrong) + count_get(&pair->device.port.wrong)), "refused_frames",
        N(count_get(&pair->driver.port.refused) + count_get(&pair->device.port.refused)), "gone",
        N(count_get(&pair->driver.port.gone) + count_get(&pair->device.port.gone)));
#undef N
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

PyObject *engine_frames(Engine *self, PyObject *args) {
    unsigned long long position, first;
    Py_buffer to;
    uint64_t lost = 0, at, expected;
    size_t n = 0;
    if (!PyArg_ParseTuple(args, "KKw*", &position, &first, &to)) return NULL;
    struct pair *pair = open_pair(self);
    at = position, expected = first;
    if (pair) {
        Py_BEGIN_ALLOW_THREADS;
        n = frame_read(&pair->trace, &at, &expected, to.buf, (size_t)to.len, &lost);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&to);
    if (!pair) return NULL;
    return Py_BuildValue("(nKKK)", (Py_ssize_t)n, (unsigned long long)at, (unsigned long long)expected,
                         (unsigned long long)lost);
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

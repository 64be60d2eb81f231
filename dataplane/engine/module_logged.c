/* module_logged.c: methods of Engine for what a device of ours writes down outside itself. */
#define _GNU_SOURCE
#include "module.h"
#include "foreign.h"
#include "logged.h"

#include <errno.h>

static PyObject *none_or_error(int error) {
    if (!error) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *engine_foreign_inflight_bytes(Engine *self, PyObject *args) {
    unsigned entries;
    if (!PyArg_ParseTuple(args, "I", &entries)) return NULL;
    PAIR_OR_RETURN;
    return PyLong_FromUnsignedLongLong(inflight_bytes(entries, pair->packed));
}

PyObject *engine_foreign_inflight(Engine *self, PyObject *args) {
    int fd, error;
    unsigned long long offset, bytes;
    unsigned queues, entries;
    if (!PyArg_ParseTuple(args, "iKKII", &fd, &offset, &bytes, &queues, &entries)) return NULL;
    PAIR_OR_RETURN;
    if (queues < 1 || queues > 0xffff || entries < 1 || entries > QUEUE_SIZE_MAX)
        return none_or_error(ERANGE);
    Py_BEGIN_ALLOW_THREADS;
    error = foreign_inflight(pair, fd, offset, bytes, queues, entries);
    Py_END_ALLOW_THREADS;
    return none_or_error(error);
}

PyObject *engine_foreign_dirty(Engine *self, PyObject *args) {
    int fd, error;
    unsigned long long offset, bytes;
    if (!PyArg_ParseTuple(args, "iKK", &fd, &offset, &bytes)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    error = foreign_dirty(pair, fd, offset, bytes);
    Py_END_ALLOW_THREADS;
    return none_or_error(error);
}

PyObject *engine_foreign_forget(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    foreign_forget(pair);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

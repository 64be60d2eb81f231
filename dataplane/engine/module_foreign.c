/* module_foreign.c: methods of Engine for a side that is another process. */
#define _GNU_SOURCE
#include "module.h"
#include "foreign.h"
#include "observe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static PyObject *none_or_error(int error) {
    if (!error) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *engine_foreign_features(Engine *self, PyObject *args) {
    unsigned long long features;
    unsigned char status;
    if (!PyArg_ParseTuple(args, "Kb", &features, &status)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    foreign_features(pair, features, status);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *engine_foreign_device(Engine *self, PyObject *args) {
    unsigned device_id;
    if (!PyArg_ParseTuple(args, "I", &device_id)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    foreign_device(pair, device_id);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *engine_foreign_pairs(Engine *self, PyObject *args) {
    unsigned pairs;
    if (!PyArg_ParseTuple(args, "I", &pairs)) return NULL;
    PAIR_OR_RETURN;
    if (pairs < 1 || pairs > pair->pairs_max) return none_or_error(ERANGE);
    Py_BEGIN_ALLOW_THREADS;
    foreign_pairs(pair, pairs);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

/* What another process needs of memory that is ours: (file descriptor, size, address of its first byte). */
PyObject *engine_foreign_share(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    const struct region *r = &pair->memory.region[0];
    if (!pair->memory.regions) return none_or_error(ENOENT);
    return Py_BuildValue("(iKK)", r->fd, (unsigned long long)r->size, (unsigned long long)r->address);
}

/* The eventfds of a queue: (kick, call); they stay ours. */
PyObject *engine_foreign_eventfds(Engine *self, PyObject *args) {
    unsigned index;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    PAIR_OR_RETURN;
    struct vq *q = any_queue(pair, index);
    return q ? Py_BuildValue("(ii)", q->drv.kick.fd, q->dev.call.fd) : NULL;
}

PyObject *engine_foreign_map(Engine *self, PyObject *args) {
    unsigned long long address, user, size, offset;
    int fd, error;
    if (!PyArg_ParseTuple(args, "KKKiK", &address, &user, &size, &fd, &offset)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    error = foreign_map(pair, address, user, size, fd, offset);
    Py_END_ALLOW_THREADS;
    return none_or_error(error);
}

PyObject *engine_foreign_unmap(Engine *self, PyObject *args) {
    unsigned long long address, user, size;
    int error;
    if (!PyArg_ParseTuple(args, "KKK", &address, &user, &size)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    error = foreign_unmap(pair, address, user, size);
    Py_END_ALLOW_THREADS;
    return none_or_error(error);
}

/* A duplicate for us; -1 stays -1. */
static bool duplicate(int *fd) {
    if (*fd < 0) return true;
    *fd = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
    return *fd >= 0;
}

PyObject *engine_foreign_start(Engine *self, PyObject *args) {
    unsigned index;
    int passive, error;
    unsigned long long desc, driver, device, used_log = NOT_LOGGED;
    struct foreign_queue given = {0};
    if (!PyArg_ParseTuple(args, "IIKKK(HHHH)iip|K", &index, &given.size, &desc, &driver, &device,
                          &given.from.avail, &given.from.avail_wrap, &given.from.used, &given.from.used_wrap,
                          &given.kick, &given.call, &passive, &used_log))
        return NULL;
    PAIR_OR_RETURN;
    if (!any_queue(pair, index)) return NULL;
    bool power = !(given.size & (given.size - 1));
    if (given.size < 1 || given.size > QUEUE_SIZE_MAX || (!pair->packed && !power) ||
        (pair->packed && (given.from.avail >= given.size || given.from.used >= given.size ||
                          given.from.avail_wrap > 1 || given.from.used_wrap > 1)))
        return none_or_error(ERANGE);
    given.desc = desc, given.driver = driver, given.device = device, given.passive = passive;
    given.used_log = used_log;
    if (!duplicate(&given.kick)) return none_or_error(errno);
    if (!duplicate(&given.call)) {
        error = errno;
        if (given.kick >= 0) close(given.kick);
        return none_or_error(error);
    }
    Py_BEGIN_ALLOW_THREADS;
    error = foreign_start(pair, index, &given);
    Py_END_ALLOW_THREADS;
    return none_or_error(error);
}

PyObject *engine_foreign_stop(Engine *self, PyObject *args) {
    unsigned index;
    struct ring_place at;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    PAIR_OR_RETURN;
    if (!any_queue(pair, index)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    foreign_stop(pair, index, &at);
    Py_END_ALLOW_THREADS;
    return Py_BuildValue("(HHHH)", at.avail, at.avail_wrap, at.used, at.used_wrap);
}

PyObject *engine_foreign_passive(Engine *self, PyObject *args) {
    unsigned index;
    int passive;
    if (!PyArg_ParseTuple(args, "Ip", &index, &passive)) return NULL;
    PAIR_OR_RETURN;
    if (!any_queue(pair, index)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    foreign_passive(pair, index, passive);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *engine_foreign_notify(Engine *self, PyObject *args) {
    unsigned index;
    int call, fd;
    if (!PyArg_ParseTuple(args, "Ipi", &index, &call, &fd)) return NULL;
    PAIR_OR_RETURN;
    if (!any_queue(pair, index)) return NULL;
    if (!duplicate(&fd)) return none_or_error(errno);
    Py_BEGIN_ALLOW_THREADS;
    foreign_notify(pair, index, call, fd);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *engine_observe_every(Engine *self, PyObject *args) {
    unsigned long long nanoseconds;
    if (!PyArg_ParseTuple(args, "K", &nanoseconds)) return NULL;
    PAIR_OR_RETURN;
    observe_every(pair, nanoseconds);
    Py_RETURN_NONE;
}

/* Of a queue of two other processes: (frames read whole, their bytes, missed, unproven); None: not started.
 */
PyObject *engine_observed(Engine *self, PyObject *args) {
    unsigned index;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    PAIR_OR_RETURN;
    struct vq *q = any_queue(pair, index);
    if (!q) return NULL;
    PyObject *found = NULL;
    pthread_mutex_lock(&pair->life);
    const struct observer *o = q->observer;
    if (o)
        found = Py_BuildValue(
            "(KKKK)", (unsigned long long)count_peek(&o->frames), (unsigned long long)count_peek(&o->bytes),
            (unsigned long long)count_peek(&o->missed), (unsigned long long)count_peek(&o->unproven));
    pthread_mutex_unlock(&pair->life);
    if (o) return found;
    Py_RETURN_NONE;
}

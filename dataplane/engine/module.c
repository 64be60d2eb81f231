/* module.c: the Python face of the engine. The files named module alone include Python.h.
 *
 * One type, `Engine`, over one struct pair. Methods are scalar in, scalar out, or fill a buffer of the
 * caller's; whatever may wait does so without the GIL. What the arguments mean is said in _engine.pyi; what
 * is wrong with them is said by dataplane/pair.py, which checks before it calls.
 */
#include "module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PyObject *os_error(void) { return PyErr_SetFromErrno(PyExc_OSError); }

struct pair *open_pair(Engine *self) {
    if (self->pair && !self->closed) return self->pair;
    PyErr_SetString(PyExc_RuntimeError, "the pair is closed");
    return NULL;
}

struct vq *any_queue(struct pair *pair, unsigned index) {
    if (index < pair->queues) return &pair->queue[index];
    PyErr_Format(PyExc_IndexError, "no queue %u: there are %u", index, pair->queues);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------- */

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {
        "pairs",   "size",    "control_size", "buffer_bytes",  "mtu",           "queues",
        "scratch", "offered", "trace_events", "frame_bytes",   "start_index",   "start_wrap",
        "path",    "packed",  "bare",         "driver_theirs", "device_theirs", NULL};
    struct pair_options o = {.pairs = 1,
                             .size = 256,
                             .control_size = 64,
                             .buffer_bytes = 2048,
                             .mtu = 1500,
                             .queues = 1,
                             .trace_events = 1 << 16,
                             .frame_bytes = 1 << 26,
                             .start_wrap = 1};
    unsigned long long scratch = 0, offered = 0, events = o.trace_events, frames = o.frame_bytes;
    unsigned short index = 0, wrap = 1;
    unsigned path = PATH_AUTO;
    int packed = 0, bare = 0, driver_theirs = 0, device_theirs = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$IIIIIIKKKKHHIpppp", names, &o.pairs, &o.size,
                                     &o.control_size, &o.buffer_bytes, &o.mtu, &o.queues, &scratch, &offered,
                                     &events, &frames, &index, &wrap, &path, &packed, &bare, &driver_theirs,
                                     &device_theirs))
        return NULL;
    if (o.pairs < 1 || o.pairs > PAIRS_MAX || o.queues < 1 || o.queues > QUEUES_MAX || o.size < 1 ||
        o.size > QUEUE_SIZE_MAX || o.control_size < 1 || o.control_size > QUEUE_SIZE_MAX ||
        o.buffer_bytes < 1152 || o.buffer_bytes % 64 || path > PATH_DIRECT || o.buffer_bytes > 1 << 17 ||
        o.mtu > 65535 || (!packed && ((o.size & (o.size - 1)) || (o.control_size & (o.control_size - 1))))) {
        PyErr_SetString(PyExc_ValueError, "an option of the engine is out of range");
        return NULL;
    }
    o.scratch_bytes = scratch, o.offered = offered, o.trace_events = events, o.frame_bytes = frames;
    o.start_index = index, o.start_wrap = wrap, o.path = path, o.packed = packed, o.bare = bare;
    o.driver_theirs = driver_theirs, o.device_theirs = device_theirs;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Engine *self = (Engine *)allocate(type, 0);
    if (!self) return NULL;
    struct pair *pair;
    if (posix_memalign((void **)&pair, 128, sizeof *pair) || pair_init(pair, &o)) {
        int error = errno;
        free(pair);
        Py_DECREF(self);
        errno = error;
        return os_error();
    }
    self->pair = pair;
    return (PyObject *)self;
}

/* No method runs any more: each holds a reference. */
static void engine_dealloc(Engine *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    struct pair *pair = self->pair;
    if (pair) {
        Py_BEGIN_ALLOW_THREADS;
        pair_free(pair);
        Py_END_ALLOW_THREADS;
        free(pair);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* Ends the threads and whatever waits for them; the memory goes with the object. */
static PyObject *engine_close(Engine *self, PyObject *unused) {
    (void)unused;
    struct pair *pair = self->pair;
    if (pair && !self->closed) {
        self->closed = true;
        Py_BEGIN_ALLOW_THREADS;
        pair_close(pair);
        Py_END_ALLOW_THREADS;
    }
    Py_RETURN_NONE;
}

static PyObject *engine_write_status(Engine *self, PyObject *args) {
    unsigned char status;
    if (!PyArg_ParseTuple(args, "b", &status)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    pair_write_status(pair, status);
    Py_END_ALLOW_THREADS;
    return PyLong_FromUnsignedLongLong(count_get(&pair->status));
}

static PyObject *engine_write_features(Engine *self, PyObject *args) {
    unsigned long long low;
    int high;
    if (!PyArg_ParseTuple(args, "Kp", &low, &high)) return NULL;
    PAIR_OR_RETURN;
    pair_write_features(pair, low, high);
    Py_RETURN_NONE;
}

static PyObject *engine_setup(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    if (flag_get(&pair->running)) {
        PyErr_SetString(PyExc_RuntimeError, "queues are set up before the pair starts");
        return NULL;
    }
    if (pair_setup_queues(pair)) return os_error();
    Py_RETURN_NONE;
}

static PyObject *engine_start(Engine *self, PyObject *args) {
    int driver_polls, device_polls, frozen, failed;
    if (!PyArg_ParseTuple(args, "ppp", &driver_polls, &device_polls, &frozen)) return NULL;
    PAIR_OR_RETURN;
    bool set_up = pair->queue[0].desc || pair->driver_theirs;
    if (!set_up || flag_get(&pair->running)) {
        PyErr_SetString(PyExc_RuntimeError, set_up ? "the pair runs already" : "no queue is set up");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    failed = pair_start(pair, driver_polls, device_polls, frozen);
    Py_END_ALLOW_THREADS;
    if (failed) return os_error();
    Py_RETURN_NONE;
}

static PyObject *engine_run_inline(Engine *self, PyObject *args) {
    double seconds;
    if (!PyArg_ParseTuple(args, "d", &seconds)) return NULL;
    PAIR_OR_RETURN;
    if (!pair->queue[0].desc || flag_get(&pair->running)) {
        PyErr_SetString(PyExc_RuntimeError, "one thread can play both sides only of a set up pair at rest");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    pair_run_inline(pair, (uint64_t)(seconds * 1e9));
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

/* ---- resting and stepping --------------------------------------------------------------------------- */

static PyObject *engine_freeze(Engine *self, PyObject *unused) {
    (void)unused;
    bool parked;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    parked = pair_freeze(pair);
    Py_END_ALLOW_THREADS;
    return PyBool_FromLong(parked);
}

static PyObject *engine_run(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    pair_run(pair);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyObject *engine_frozen(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    pair_stopped(pair);
    return PyBool_FromLong(pair_frozen(pair));
}

static PyObject *engine_step(Engine *self, PyObject *args) {
    unsigned side, unit;
    unsigned long long count;
    int64_t taken;
    if (!PyArg_ParseTuple(args, "IIK", &side, &unit, &count)) return NULL;
    PAIR_OR_RETURN;
    if (side > 1 || unit > GATE_TURN) return PyErr_Format(PyExc_ValueError, "no such side or unit");
    pair_stopped(pair);
    Py_BEGIN_ALLOW_THREADS;
    taken = gate_step(&pair->gate, (int)side, (enum gate_point)unit, count);
    Py_END_ALLOW_THREADS;
    return PyLong_FromLongLong(taken);
}

static PyObject *engine_trace(Engine *self, PyObject *args) {
    unsigned level;
    if (!PyArg_ParseTuple(args, "I", &level)) return NULL;
    PAIR_OR_RETURN;
    if (level > 2) return PyErr_Format(PyExc_ValueError, "no such trace level");
    pair_trace(pair, level);
    Py_RETURN_NONE;
}

static PyObject *engine_rest(Engine *self, PyObject *unused) {
    (void)unused;
    bool was_running;
    PAIR_OR_RETURN;
    pair_stopped(pair);
    Py_BEGIN_ALLOW_THREADS;
    was_running = pair_rest_running(pair);
    Py_END_ALLOW_THREADS;
    return PyBool_FromLong(was_running);
}

static PyObject *engine_resume(Engine *self, PyObject *args) {
    int was_running;
    if (!PyArg_ParseTuple(args, "p", &was_running)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    pair_resume(pair, was_running);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

/* ---- traffic ---------------------------------------------------------------------------------------- */

/* Waits until the device, or the one side that is ours, has ended the turn it is in, or rests: what it logs
 * from then on is logged as asked. */
static void wait_for_turn(struct pair *pair) {
    struct side *side = pair->device_theirs ? &pair->driver : &pair->device;
    struct timespec until = gate_deadline(1000), now, nap = {0, 20000};
    uint64_t turn = count_get(&side->loops);
    bool parked = false;
    while (flag_get(&pair->running) && count_get(&side->loops) == turn && !flag_get(&side->asleep) &&
           !parked) {
        pthread_mutex_lock(&pair->gate.lock);
        parked = pair->gate.side[side->door.side].parked;
        pthread_mutex_unlock(&pair->gate.lock);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec > until.tv_nsec)) break;
        if (!parked) nanosleep(&nap, NULL);
    }
}

static PyObject *engine_log_frames(Engine *self, PyObject *args) {
    int on, failed = 0;
    unsigned sample, snap = FRAME_SNAP_MAX;
    Py_buffer given = {0};
    if (!PyArg_ParseTuple(args, "pI|Iy*", &on, &sample, &snap, &given)) return NULL;
    struct pair *pair = open_pair(self);
    size_t steps = (size_t)given.len / sizeof(struct bpf_step);
    struct bpf_step *program = malloc((steps + 1) * sizeof *program); /* aligned, and nobody else's */
    if (program && steps) memcpy(program, given.buf, steps * sizeof *program);
    const char *why = (size_t)given.len % sizeof *program ? "it is not a whole number of instructions"
                      : steps && program                  ? bpf_check(program, steps)
                                                          : NULL;
    if (given.obj) PyBuffer_Release(&given);
    if (pair && program && !why) {
        struct frame_log *log = &pair->trace.frames;
        Py_BEGIN_ALLOW_THREADS;
        pthread_mutex_lock(&pair->life);
        failed = frame_filter_set(log, program, steps);
        if (!failed) {
            flag_set(&log->sample, sample ? sample : 1);
            flag_set(&log->snap, snap < FRAME_SNAP_MAX ? snap : FRAME_SNAP_MAX);
            flag_set(&log->on, (uint32_t)on);
        }
        pthread_mutex_unlock(&pair->life);
        wait_for_turn(pair);
        Py_END_ALLOW_THREADS;
    }
    if (pair && (!program || failed)) PyErr_NoMemory();
    if (pair && why) PyErr_Format(PyExc_ValueError, "not a capture filter program: %s", why);
    free(program);
    if (!pair || PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *engine_traffic(Engine *self, PyObject *args) {
    const char *kind;
    unsigned side, number = 0;
    unsigned long long period = 0;
    Py_buffer list = {0};
    if (!PyArg_ParseTuple(args, "Is|IKy*", &side, &kind, &number, &period, &list)) return NULL;
    struct pair *pair = open_pair(self);
    uint8_t *copy = NULL;
    if (pair && list.len && (copy = malloc((size_t)list.len))) memcpy(copy, list.buf, (size_t)list.len);
    uint64_t bytes = (uint64_t)list.len;
    if (list.obj) PyBuffer_Release(&list);
    if (!pair) return NULL;
    struct side *s = side ? &pair->device : &pair->driver;
    Py_BEGIN_ALLOW_THREADS;
    bool was_running = pair_rest(pair);
    switch (kind[0]) {
    case 'f': port_flood(&s->port, number); break;
    case 'p':
        pair->clock.period = period;
        port_play(&s->port, copy, copy ? bytes : 0);
        copy = NULL;
        break;
    case 't': port_tap(&s->port, dup((int)number)); break;
    default: port_quiet(&s->port); count_set(&pair->clock.next[side ? 1 : 0], UINT64_MAX);
    }
    if (kind[0] == 'p') pair->clock.position = 0;
    pair_look(pair);
    pair_resume(pair, was_running);
    Py_END_ALLOW_THREADS;
    free(copy);
    Py_RETURN_NONE;
}

static PyObject *engine_mute(Engine *self, PyObject *args) {
    unsigned side;
    int muted;
    if (!PyArg_ParseTuple(args, "Ip", &side, &muted)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    bool was_running = pair_rest(pair);
    (side ? &pair->device : &pair->driver)->port.muted = muted;
    pair_look(pair);
    pair_resume(pair, was_running);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyObject *engine_rate(Engine *self, PyObject *args) {
    double per_second, speed;
    if (!PyArg_ParseTuple(args, "dd", &per_second, &speed)) return NULL;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    bool was_running = pair_rest(pair);
    /* Shared by the sides that send; 0 would be as fast as it goes, so each has at least one. */
    double shares = pair->driver.port.muted || pair->device.port.muted ? 1 : 2;
    uint64_t share = per_second > shares ? (uint64_t)(per_second / shares) : per_second > 0;
    count_set(&pair->driver.port.per_second, share);
    count_set(&pair->device.port.per_second, share);
    pair->driver.port.allowed_since = pair->device.port.allowed_since = 0;
    pair->clock.speed = speed > 0 ? speed : 1.0;
    pair_resume(pair, was_running);
    pair_wake(pair);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyObject *engine_command(Engine *self, PyObject *args) {
    unsigned char class, command;
    Py_buffer data;
    unsigned milliseconds;
    int ack = -1;
    if (!PyArg_ParseTuple(args, "bby*I", &class, &command, &data, &milliseconds)) return NULL;
    struct pair *pair = open_pair(self);
    uint64_t ticket = 0;
    if (pair) {
        ticket = pair_command(pair, class, command, data.buf, (uint32_t)data.len);
        Py_BEGIN_ALLOW_THREADS;
        if (ticket && milliseconds) ack = pair_command_wait(pair, ticket, milliseconds);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&data);
    if (!pair) return NULL;
    return Py_BuildValue("(Ki)", (unsigned long long)ticket, ack);
}

static PyObject *engine_reset_queue(Engine *self, PyObject *args) {
    unsigned index;
    int failed;
    if (!PyArg_ParseTuple(args, "I", &index)) return NULL;
    PAIR_OR_RETURN;
    if (!any_queue(pair, index)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    failed = pair_reset_queue(pair, index);
    Py_END_ALLOW_THREADS;
    if (failed)
        return PyErr_Format(PyExc_RuntimeError, "queue %u was not reset: a side did not come to rest", index);
    Py_RETURN_NONE;
}

static PyObject *engine_announce(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    Py_BEGIN_ALLOW_THREADS;
    pair_announce(pair);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

static PyObject *engine_inject(Engine *self, PyObject *args) {
    unsigned index;
    int call;
    if (!PyArg_ParseTuple(args, "Ip", &index, &call)) return NULL;
    PAIR_OR_RETURN;
    struct vq *q = any_queue(pair, index);
    if (!q) return NULL;
    struct notes *notes = call ? &q->dev.call : &q->drv.kick;
    ticket_take(&notes->injected);
    notify_tell(notes);
    Py_RETURN_NONE;
}

/* ---- the module ------------------------------------------------------------------------------------- */

#define METHOD(name, flags) {#name, (PyCFunction)(void (*)(void))engine_##name, flags, NULL}
/* clang-format off */
static PyMethodDef methods[] = {
    METHOD(close, METH_NOARGS),    METHOD(write_status, METH_VARARGS), METHOD(write_features, METH_VARARGS),
    METHOD(setup, METH_NOARGS),    METHOD(start, METH_VARARGS),        METHOD(run_inline, METH_VARARGS),
    METHOD(freeze, METH_NOARGS),   METHOD(run, METH_NOARGS),           METHOD(frozen, METH_NOARGS),
    METHOD(step, METH_VARARGS),    METHOD(trace, METH_VARARGS),        METHOD(log_frames, METH_VARARGS),
    METHOD(traffic, METH_VARARGS), METHOD(rate, METH_VARARGS),         METHOD(mute, METH_VARARGS),
    METHOD(command, METH_VARARGS), METHOD(reset_queue, METH_VARARGS),  METHOD(announce, METH_NOARGS),
    METHOD(inject, METH_VARARGS),  METHOD(room, METH_VARARGS),         METHOD(snapshot, METH_VARARGS),
    METHOD(info, METH_NOARGS),     METHOD(events, METH_VARARGS),       METHOD(frames, METH_VARARGS),
    METHOD(frames_waiting, METH_VARARGS),
    METHOD(rest, METH_NOARGS),     METHOD(resume, METH_VARARGS),       METHOD(own, METH_VARARGS),
    METHOD(shape, METH_VARARGS),   METHOD(set_breaks, METH_VARARGS),   METHOD(breaks, METH_NOARGS),
    METHOD(add_fault, METH_VARARGS), METHOD(faults, METH_NOARGS),      METHOD(heal, METH_VARARGS),
    METHOD(peek, METH_VARARGS),    METHOD(poke, METH_VARARGS),         METHOD(add, METH_VARARGS),
    METHOD(collect, METH_VARARGS), METHOD(next, METH_VARARGS),         METHOD(complete, METH_VARARGS),
    METHOD(verb, METH_VARARGS),    METHOD(tables, METH_VARARGS),       METHOD(turn, METH_VARARGS),
    METHOD(foreign_features, METH_VARARGS), METHOD(foreign_map, METH_VARARGS),
    METHOD(foreign_unmap, METH_VARARGS), METHOD(foreign_start, METH_VARARGS),
    METHOD(foreign_stop, METH_VARARGS), METHOD(foreign_passive, METH_VARARGS),
    METHOD(foreign_notify, METH_VARARGS), METHOD(foreign_pairs, METH_VARARGS),
    METHOD(foreign_device, METH_VARARGS),
    METHOD(foreign_inflight_bytes, METH_VARARGS), METHOD(foreign_inflight, METH_VARARGS),
    METHOD(foreign_dirty, METH_VARARGS), METHOD(foreign_forget, METH_NOARGS),
    METHOD(foreign_share, METH_NOARGS), METHOD(foreign_eventfds, METH_VARARGS),
    METHOD(observe_every, METH_VARARGS), METHOD(observed, METH_VARARGS),
    {NULL, NULL, 0, NULL},
};
/* clang-format on */

static PyType_Slot slots[] = {
    {Py_tp_new, engine_new},
    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {"dataplane._engine.Engine", sizeof(Engine), 0, Py_TPFLAGS_DEFAULT, slots};

static PyMethodDef functions[] = {{"offsets", module_offsets, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static int module_exec(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type) return -1;
    int failed = PyModule_AddObjectRef(module, "Engine", type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_engine", NULL, 0,   functions,
                                 module_slots,          NULL,      NULL, NULL};

PyMODINIT_FUNC PyInit__engine(void) { return PyModuleDef_Init(&definition); }

/* module_stop.c: the Python face of breakpoints and faults. */
#include "module.h"

#include "breaks.h"
#include "fault.h"

PyObject *engine_set_breaks(Engine *self, PyObject *args) {
    Py_buffer rules, programs;
    const char *why = NULL;
    int failed = 0;
    if (!PyArg_ParseTuple(args, "y*y*", &rules, &programs)) return NULL;
    struct pair *pair = open_pair(self);
    size_t count = (size_t)rules.len / sizeof(struct break_rule),
           steps = (size_t)programs.len / sizeof(struct bpf_step);
    if (pair) why = breaks_check(pair, rules.buf, count, programs.buf, steps);
    if (pair && !why) {
        bool was_running;
        Py_BEGIN_ALLOW_THREADS;
        was_running = pair_rest_running(pair);
        Py_END_ALLOW_THREADS;
        failed = breaks_set(pair, rules.buf, count, programs.buf);
        Py_BEGIN_ALLOW_THREADS;
        pair_resume(pair, was_running);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&rules);
    PyBuffer_Release(&programs);
    if (!pair) return NULL;
    if (why) return PyErr_Format(PyExc_ValueError, "%s", why);
    if (failed) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyObject *engine_breaks(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    pair_stopped(pair);
    size_t n = breaks_count(pair);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        struct break_state s = breaks_state(pair, i);
        PyObject *one = Py_BuildValue("(KKO)", (unsigned long long)s.hits, (unsigned long long)s.stopped,
                                      s.disarmed ? Py_False : Py_True);
        if (!one || PyList_SetItem(list, (Py_ssize_t)i, one)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

PyObject *engine_add_fault(Engine *self, PyObject *args) {
    struct fault fault = {0};
    unsigned kind, side, queue, area, entry, index, after, count, odds;
    unsigned long long seed, value;
    if (!PyArg_ParseTuple(args, "IIIIIIIIIKK", &kind, &side, &queue, &area, &entry, &index, &after, &count,
                          &odds, &seed, &value))
        return NULL;
    PAIR_OR_RETURN;
    fault.kind = (uint8_t)kind;
    fault.side = (uint8_t)side;
    fault.queue = (uint16_t)queue;
    fault.area = area;
    fault.entry = entry;
    fault.index = index;
    fault.odds = odds;
    fault.seed = seed;
    fault.after = after;
    fault.count = count;
    fault.value = value;
    bool was_running;
    Py_BEGIN_ALLOW_THREADS;
    was_running = pair_rest_running(pair);
    Py_END_ALLOW_THREADS;
    uint32_t id = fault_add(pair, &fault);
    Py_BEGIN_ALLOW_THREADS;
    pair_resume(pair, was_running);
    Py_END_ALLOW_THREADS;
    return PyLong_FromUnsignedLong(id);
}

PyObject *engine_faults(Engine *self, PyObject *unused) {
    (void)unused;
    PAIR_OR_RETURN;
    PyObject *list = PyList_New((Py_ssize_t)pair->faults);
    for (uint32_t i = 0; list && i < pair->faults; i++) {
        const struct fault *f = &pair->fault[i];
        PyObject *one = Py_BuildValue("(IK)", (unsigned)f->id, (unsigned long long)count_get(&f->hits));
        if (!one || PyList_SetItem(list, (Py_ssize_t)i, one)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

PyObject *engine_heal(Engine *self, PyObject *args) {
    unsigned id;
    if (!PyArg_ParseTuple(args, "I", &id)) return NULL;
    PAIR_OR_RETURN;
    bool was_running, found;
    Py_BEGIN_ALLOW_THREADS;
    was_running = pair_rest_running(pair);
    Py_END_ALLOW_THREADS;
    found = fault_remove(pair, id);
    Py_BEGIN_ALLOW_THREADS;
    pair_resume(pair, was_running);
    Py_END_ALLOW_THREADS;
    return PyBool_FromLong(found);
}

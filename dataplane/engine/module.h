/* module.h: what the files share that make the Python face. */
#ifndef RINGSCOPE_MODULE_H
#define RINGSCOPE_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "pair.h"

typedef struct {
    PyObject_HEAD struct pair *pair; /* lives as long as the object: another thread may be inside a method */
    bool closed;
} Engine;

/* The pair, or NULL with RuntimeError once it is closed. */
struct pair *open_pair(Engine *self);
#define PAIR_OR_RETURN                                                                                       \
    struct pair *pair = open_pair(self);                                                                     \
    if (!pair) return NULL
/* The queue, or NULL with IndexError. */
struct vq *any_queue(struct pair *pair, unsigned index);

/* module_read.c */
PyObject *engine_room(Engine *self, PyObject *args);
PyObject *engine_snapshot(Engine *self, PyObject *args);
PyObject *engine_own(Engine *self, PyObject *args);
PyObject *engine_shape(Engine *self, PyObject *args);
PyObject *engine_info(Engine *self, PyObject *args);
PyObject *engine_events(Engine *self, PyObject *args);
PyObject *engine_frames(Engine *self, PyObject *args);
PyObject *engine_frames_waiting(Engine *self, PyObject *args);
PyObject *engine_peek(Engine *self, PyObject *args);

/* module_stop.c */
PyObject *engine_set_breaks(Engine *self, PyObject *args);
PyObject *engine_breaks(Engine *self, PyObject *unused);
PyObject *engine_add_fault(Engine *self, PyObject *args);
PyObject *engine_faults(Engine *self, PyObject *unused);
PyObject *engine_heal(Engine *self, PyObject *args);

/* module_hand.c */
PyObject *engine_add(Engine *self, PyObject *args);
PyObject *engine_collect(Engine *self, PyObject *args);
PyObject *engine_next(Engine *self, PyObject *args);
PyObject *engine_complete(Engine *self, PyObject *args);
PyObject *engine_verb(Engine *self, PyObject *args);
PyObject *engine_tables(Engine *self, PyObject *args);
PyObject *engine_turn(Engine *self, PyObject *args);
PyObject *engine_poke(Engine *self, PyObject *args);

/* module_foreign.c */
PyObject *engine_foreign_features(Engine *self, PyObject *args);
PyObject *engine_foreign_device(Engine *self, PyObject *args);
PyObject *engine_foreign_pairs(Engine *self, PyObject *args);
PyObject *engine_foreign_share(Engine *self, PyObject *unused);
PyObject *engine_observe_every(Engine *self, PyObject *args);
PyObject *engine_observed(Engine *self, PyObject *args);
PyObject *engine_foreign_eventfds(Engine *self, PyObject *args);
PyObject *engine_foreign_map(Engine *self, PyObject *args);
PyObject *engine_foreign_unmap(Engine *self, PyObject *args);
PyObject *engine_foreign_start(Engine *self, PyObject *args);
PyObject *engine_foreign_stop(Engine *self, PyObject *args);
PyObject *engine_foreign_passive(Engine *self, PyObject *args);
PyObject *engine_foreign_notify(Engine *self, PyObject *args);
/* module_logged.c */
PyObject *engine_foreign_inflight_bytes(Engine *self, PyObject *args);
PyObject *engine_foreign_inflight(Engine *self, PyObject *args);
PyObject *engine_foreign_dirty(Engine *self, PyObject *args);
PyObject *engine_foreign_forget(Engine *self, PyObject *unused);

PyObject *module_offsets(PyObject *self, PyObject *unused);

#endif

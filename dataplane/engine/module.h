/* module.h: what module.c and hand.c share. */
#ifndef RINGSCOPE_MODULE_H
#define RINGSCOPE_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "pair.h"

typedef struct {
    PyObject_HEAD struct pair *pair;
} Engine;

/* The pair, or NULL with RuntimeError once it is closed. */
struct pair *open_pair(Engine *self);

/* hand.c: methods of Engine. */
PyObject *engine_add(Engine *self, PyObject *args);
PyObject *engine_collect(Engine *self, PyObject *args);
PyObject *engine_next(Engine *self, PyObject *args);
PyObject *engine_complete(Engine *self, PyObject *args);
PyObject *engine_verb(Engine *self, PyObject *args);
PyObject *engine_tables(Engine *self, PyObject *args);
PyObject *engine_turn(Engine *self, PyObject *args);
PyObject *engine_poke(Engine *self, PyObject *args);
PyObject *module_offsets(PyObject *self, PyObject *unused);

#endif

/* module.c: the Python face of capture._frames: buffers in, buffers filled, the GIL released between. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "../../dataplane/engine/bpf.h"
#include "frames.h"

#define ITEM_MAX 16

/* The buffers of one call, given back together. */
struct held {
    Py_buffer items[ITEM_MAX];
    unsigned count;
};

static void release(struct held *held) {
    while (held->count) PyBuffer_Release(&held->items[--held->count]);
}

/* One more buffer of whole items of `item` bytes; NULL with the error set where it is none. */
static Py_buffer *hold(struct held *held, PyObject *object, const char *name, bool writable, size_t item) {
    Py_buffer *view = &held->items[held->count];
    if (PyObject_GetBuffer(object, view, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) < 0) return NULL;
    held->count++;
    if ((size_t)view->len % item == 0) return view;
    PyErr_Format(PyExc_ValueError, "%s: %zd bytes are no whole number of items of %zu", name, view->len,
                 item);
    return NULL;
}

static bool same_count(const Py_buffer *view, size_t item, size_t count, const char *name) {
    if ((size_t)view->len / item == count) return true;
    PyErr_Format(PyExc_ValueError, "%s: %zu items for %zu frames", name, (size_t)view->len / item, count);
    return false;
}

typedef size_t formatter(const struct batch *, size_t, struct tally *, size_t, struct output *,
                         enum refusal *);

static const char *const refusals[] = {
    [BAD_INTERFACE] = "its interface is not described",
    [BAD_OFFSET] = "its bytes are not inside the data",
    [BAD_LENGTH] = "more bytes captured than a capture file may hold",
    [BAD_NET_HEADER] = "its net header is longer than 20 bytes",
};

static PyObject *format_batch(PyObject *args, formatter *format) {
    PyObject *rows, *data, *offsets, *stages, *tallies, *bytes, *state;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "OOOOnOOO", &rows, &data, &offsets, &stages, &start, &tallies, &bytes,
                          &state))
        return NULL;
    struct held held = {.count = 0};
    PyObject *result = NULL;
    Py_buffer *r, *d, *o, *s = NULL, *t, *b, *st;
    if (!(r = hold(&held, rows, "rows", false, sizeof(struct record))) ||
        !(d = hold(&held, data, "data", false, 1)) || !(o = hold(&held, offsets, "offsets", false, 8)) ||
        !(t = hold(&held, tallies, "tallies", true, sizeof(struct tally))) ||
        !(b = hold(&held, bytes, "out", true, 1)) || !(st = hold(&held, state, "state", true, 16)) ||
        (stages != Py_None && !(s = hold(&held, stages, "stages", false, sizeof(struct stages)))))
        goto done;
    struct batch batch = {
        r->buf, d->buf, (size_t)d->len, o->buf, s ? s->buf : NULL, (size_t)r->len / sizeof(struct record)};
    uint64_t words[2];
    if (!same_count(o, 8, batch.count, "offsets") || !same_count(st, 16, 1, "state") ||
        (s && !same_count(s, sizeof(struct stages), batch.count, "stages")))
        goto done;
    memcpy(words, st->buf, sizeof words);
    if (start < 0 || (size_t)start > batch.count || words[0] > (uint64_t)b->len ||
        (uintptr_t)t->buf % _Alignof(struct tally)) {
        PyErr_SetString(PyExc_ValueError, "start, state or tallies lead outside the buffers");
        goto done;
    }
    struct output out = {b->buf, (size_t)b->len, (size_t)words[0], words[1]};
    enum refusal refusal = FINE;
    size_t next;
    Py_BEGIN_ALLOW_THREADS;
    next = format(&batch, (size_t)start, t->buf, (size_t)t->len / sizeof(struct tally), &out, &refusal);
    words[0] = out.used, words[1] = out.frames;
    memcpy(st->buf, words, sizeof words);
    Py_END_ALLOW_THREADS;
    if (refusal)
        PyErr_Format(PyExc_ValueError, "frame %zu of the batch: %s", next, refusals[refusal]);
    else
        result = PyLong_FromSize_t(next);
done:
    release(&held);
    return result;
}

static PyObject *frames_pcapng_blocks(PyObject *self, PyObject *args) {
    (void)self;
    return format_batch(args, pcapng_format);
}

static PyObject *frames_pcap_records(PyObject *self, PyObject *args) {
    (void)self;
    return format_batch(args, pcap_format);
}

/* What both parsers fill: rows, offsets, stages, bytes, and the two words of `state`. */
struct filled {
    struct held held;
    struct input in;
    Py_buffer *file, *state;
    size_t size, at;
};

static bool open_filled(struct filled *to, PyObject *file, Py_ssize_t size, Py_ssize_t at, PyObject *rows,
                        PyObject *offsets, PyObject *stages, PyObject *bytes, PyObject *state) {
    struct held *held = &to->held;
    Py_buffer *r, *o, *s, *b;
    if (!(to->file = hold(held, file, "file", false, 1)) ||
        !(r = hold(held, rows, "rows", true, sizeof(struct record))) ||
        !(o = hold(held, offsets, "offsets", true, 8)) ||
        !(s = hold(held, stages, "stages", true, sizeof(struct stages))) ||
        !(b = hold(held, bytes, "out", true, 1)) || !(to->state = hold(held, state, "state", true, 16)))
        return false;
    size_t room = (size_t)r->len / sizeof(struct record);
    if (!same_count(o, 8, room, "offsets") || !same_count(s, sizeof(struct stages), room, "stages") ||
        !same_count(to->state, 16, 1, "state"))
        return false;
    uint64_t words[2];
    memcpy(words, to->state->buf, sizeof words);
    if (size < 0 || size > to->file->len || at < 0 || at > size || words[0] > room ||
        words[1] > (uint64_t)b->len) {
        PyErr_SetString(PyExc_ValueError, "size, place or state lead outside the buffers");
        return false;
    }
    to->size = (size_t)size, to->at = (size_t)at;
    to->in = (struct input){r->buf,           o->buf, s->buf,         room,
                            (size_t)words[0], b->buf, (size_t)b->len, (size_t)words[1]};
    return true;
}

static PyObject *close_filled(struct filled *from, bool sound) {
    if (sound) {
        uint64_t words[2] = {from->in.count, from->in.bytes_used};
        memcpy(from->state->buf, words, sizeof words);
    }
    release(&from->held);
    return sound ? PyLong_FromSize_t(from->at) : NULL;
}

static PyObject *frames_pcapng_frames(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *file, *described, *rows, *offsets, *stages, *bytes, *state;
    Py_ssize_t size, at;
    int swapped;
    if (!PyArg_ParseTuple(args, "OnnpOOOOOO", &file, &size, &at, &swapped, &described, &rows, &offsets,
                          &stages, &bytes, &state))
        return NULL;
    struct filled f = {.held.count = 0};
    Py_buffer *table = NULL;
    bool sound = open_filled(&f, file, size, at, rows, offsets, stages, bytes, state) &&
                 (table = hold(&f.held, described, "interfaces", false, sizeof(struct interface)));
    if (sound && (uintptr_t)table->buf % _Alignof(struct interface)) {
        PyErr_SetString(PyExc_ValueError, "interfaces: not aligned");
        sound = false;
    }
    if (sound) {
        Py_BEGIN_ALLOW_THREADS;
        f.at = pcapng_parse(f.file->buf, f.size, f.at, swapped, table->buf,
                            (size_t)table->len / sizeof(struct interface), &f.in);
        Py_END_ALLOW_THREADS;
    }
    return close_filled(&f, sound);
}

static PyObject *frames_pcap_frames(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *file, *rows, *offsets, *stages, *bytes, *state;
    Py_ssize_t size, at;
    int swapped;
    unsigned unit;
    if (!PyArg_ParseTuple(args, "OnnpIOOOOO", &file, &size, &at, &swapped, &unit, &rows, &offsets, &stages,
                          &bytes, &state))
        return NULL;
    struct filled f = {.held.count = 0};
    bool sound = open_filled(&f, file, size, at, rows, offsets, stages, bytes, state);
    if (sound) {
        Py_BEGIN_ALLOW_THREADS;
        f.at = pcap_parse(f.file->buf, f.size, f.at, swapped, unit, &f.in);
        Py_END_ALLOW_THREADS;
    }
    return close_filled(&f, sound);
}

static PyObject *frames_facts(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *text, *row, *stages;
    if (!PyArg_ParseTuple(args, "OOO", &text, &row, &stages)) return NULL;
    struct held held = {.count = 0};
    Py_buffer *t, *r, *s;
    bool sound = (t = hold(&held, text, "comment", false, 1)) &&
                 (r = hold(&held, row, "row", true, sizeof(struct record))) &&
                 (s = hold(&held, stages, "stages", true, sizeof(struct stages))) &&
                 same_count(r, sizeof(struct record), 1, "row") &&
                 same_count(s, sizeof(struct stages), 1, "stages");
    if (sound) {
        struct record record;
        struct stages found;
        memcpy(&record, r->buf, sizeof record);
        memcpy(&found, s->buf, sizeof found);
        facts_read(t->buf, (size_t)t->len, &record, &found);
        memcpy(r->buf, &record, sizeof record);
        memcpy(s->buf, &found, sizeof found);
    }
    release(&held);
    if (!sound) return NULL;
    Py_RETURN_NONE;
}

static PyObject *frames_words(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *row, *stages;
    if (!PyArg_ParseTuple(args, "OO", &row, &stages)) return NULL;
    struct held held = {.count = 0};
    Py_buffer *r, *s = NULL;
    PyObject *result = NULL;
    struct record record;
    struct stages known;
    char text[FACTS_MAX];
    if (!(r = hold(&held, row, "row", false, sizeof record)) || !same_count(r, sizeof record, 1, "row") ||
        (stages != Py_None && (!(s = hold(&held, stages, "stages", false, sizeof known)) ||
                               !same_count(s, sizeof known, 1, "stages"))))
        goto done;
    memcpy(&record, r->buf, sizeof record);
    if (s) memcpy(&known, s->buf, sizeof known);
    if (record.net_header_length > sizeof record.net_header)
        PyErr_SetString(PyExc_ValueError, refusals[BAD_NET_HEADER]);
    else
        result = PyUnicode_FromStringAndSize(text, (Py_ssize_t)facts_write(text, &record, s ? &known : NULL));
done:
    release(&held);
    return result;
}

/* Frames where a caller says they stand; `bytes` is NULL for none. */
struct places {
    const uint8_t *data, *offsets, *captured;
    size_t bytes, count;
};

static bool place(const struct places *places, size_t i, const uint8_t **frame, uint32_t *captured) {
    int64_t offset;
    memcpy(&offset, places->offsets + i * sizeof offset, sizeof offset);
    memcpy(captured, places->captured + i * sizeof *captured, sizeof *captured);
    if (offset < 0 || (uint64_t)offset > places->bytes || places->bytes - (uint64_t)offset < *captured)
        return false;
    *frame = places->data + offset;
    return true;
}

static PyObject *outside(size_t i) {
    return PyErr_Format(PyExc_ValueError, "frame %zu of the batch: %s", i, refusals[BAD_OFFSET]);
}

static PyObject *frames_bpf_mask(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *instructions, *data, *offsets, *captured, *lengths, *mask;
    if (!PyArg_ParseTuple(args, "OOOOOO", &instructions, &data, &offsets, &captured, &lengths, &mask))
        return NULL;
    struct held held = {.count = 0};
    Py_buffer *p, *d, *o, *c, *l, *m;
    struct bpf_step *program = NULL;
    bool sound = false;
    size_t i = 0;
    struct places places;
    if (!(p = hold(&held, instructions, "instructions", false, sizeof(struct bpf_step))) ||
        !(d = hold(&held, data, "data", false, 1)) || !(o = hold(&held, offsets, "offsets", false, 8)) ||
        !(c = hold(&held, captured, "captured", false, 4)) ||
        !(l = hold(&held, lengths, "lengths", false, 4)) || !(m = hold(&held, mask, "out", true, 1)))
        goto done;
    places = (struct places){d->buf, o->buf, c->buf, (size_t)d->len, (size_t)o->len / 8};
    if (!same_count(c, 4, places.count, "captured") || !same_count(l, 4, places.count, "lengths") ||
        !same_count(m, 1, places.count, "out"))
        goto done;
    /* a copy: what was checked is what runs, whoever writes to the caller's buffer meanwhile */
    program = PyMem_Malloc(p->len ? (size_t)p->len : 1);
    if (!program) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(program, p->buf, (size_t)p->len);
    const char *why = bpf_check(program, (size_t)p->len / sizeof *program);
    if (why) {
        PyErr_Format(PyExc_ValueError, "no sound filter program: %s", why);
        goto done;
    }
    const uint8_t *frame;
    uint32_t size, length;
    Py_BEGIN_ALLOW_THREADS;
    for (; i < places.count && place(&places, i, &frame, &size); i++) {
        memcpy(&length, (const uint8_t *)l->buf + i * sizeof length, sizeof length);
        ((uint8_t *)m->buf)[i] = bpf_run(program, frame, length, size) != 0;
    }
    Py_END_ALLOW_THREADS;
    sound = i == places.count;
    if (!sound) outside(i);
done:
    PyMem_Free(program);
    release(&held);
    if (!sound) return NULL;
    Py_RETURN_NONE;
}

static PyObject *frames_gather(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *data, *offsets, *captured, *bytes;
    if (!PyArg_ParseTuple(args, "OOOO", &data, &offsets, &captured, &bytes)) return NULL;
    struct held held = {.count = 0};
    Py_buffer *d, *o, *c, *b;
    PyObject *result = NULL;
    if (!(d = hold(&held, data, "data", false, 1)) || !(o = hold(&held, offsets, "offsets", false, 8)) ||
        !(c = hold(&held, captured, "captured", false, 4)) || !(b = hold(&held, bytes, "out", true, 1)))
        goto done;
    struct places places = {d->buf, o->buf, c->buf, (size_t)d->len, (size_t)o->len / 8};
    if (!same_count(c, 4, places.count, "captured")) goto done;
    const uint8_t *frame;
    uint32_t size;
    size_t i = 0, used = 0;
    bool full = false;
    Py_BEGIN_ALLOW_THREADS;
    for (; i < places.count && place(&places, i, &frame, &size); i++) {
        full = (size_t)b->len - used < size;
        if (full) break;
        memmove((uint8_t *)b->buf + used, frame, size);
        used += size;
    }
    Py_END_ALLOW_THREADS;
    if (full)
        PyErr_Format(PyExc_ValueError, "out: %zd bytes are too few for %zu frames", b->len, places.count);
    else if (i < places.count)
        outside(i);
    else
        result = PyLong_FromSize_t(used);
done:
    release(&held);
    return result;
}

#define METHOD(name)                                                                                         \
    { #name, frames_##name, METH_VARARGS, NULL }
/* clang-format off */
static PyMethodDef functions[] = {
    METHOD(pcapng_blocks), METHOD(pcap_records), METHOD(pcapng_frames), METHOD(pcap_frames),
    METHOD(facts),         METHOD(words),        METHOD(bpf_mask),      METHOD(gather),
    {NULL, NULL, 0, NULL},
};
/* clang-format on */

static PyModuleDef_Slot module_slots[] = {{0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_frames", NULL, 0,   functions,
                                 module_slots,          NULL,      NULL, NULL};

PyMODINIT_FUNC PyInit__frames(void) { return PyModuleDef_Init(&definition); }

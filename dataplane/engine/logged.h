/* logged.h: the device's verbs where they are written down: what is in flight (inflight.h), which pages were
 * written (dirty.h). A queue without either has the verbs of its layout, and pays nothing.
 */
#ifndef RINGSCOPE_LOGGED_H
#define RINGSCOPE_LOGGED_H

#include "dirty.h"
#include "inflight.h"

/* The verbs for what is set: of a queue at rest. */
void logged_choose(struct vq *q);

#endif

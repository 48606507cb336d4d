/* The architectures whose forward pass is known: the only place that names them all. */
#ifndef ARCHS_H
#define ARCHS_H

#include "verify/model/model_arch.h"

extern const model_arch *const model_archs[]; /* NULL ends it */

#endif

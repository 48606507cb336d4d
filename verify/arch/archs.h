/* The list of supported architectures: the only place that names all of them. A new architecture is
 * a file in verify/arch/ and a line in archs.c. */
#ifndef ARCHS_H
#define ARCHS_H

#include "verify/model/model_arch.h"

extern const model_arch *const model_archs[]; /* ends with NULL */

#endif

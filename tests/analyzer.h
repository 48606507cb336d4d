/* For clang-tidy alone: what its analyzer cannot see from one source file. */
#ifndef ANALYZER_H
#define ANALYZER_H

#include "format/base/err.h"

/* err_set returns the code it is given: behind `return err_set(e, ERR_...)` the caller does not see
 * OK. */
#define err_set(e, code, ...)                                                                      \
    __extension__({                                                                                \
        (err_set)(e, code, __VA_ARGS__);                                                           \
        (code);                                                                                    \
    })
#define err_set_errno(e, code, ...)                                                                \
    __extension__({                                                                                \
        (err_set_errno)(e, code, __VA_ARGS__);                                                     \
        (code);                                                                                    \
    })

#endif

#include "verify/arch/archs.h"

extern const model_arch bailing;

const model_arch *const model_archs[] = {
    &bailing,
    NULL,
};

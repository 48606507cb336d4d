#include "verify/arch/archs.h"

extern const model_arch bailing, llama;

const model_arch *const model_archs[] = {
    &bailing,
    &llama,
    NULL,
};

#include "verify/arch/archs.h"

extern const model_arch bailing, llama, qwen3;

const model_arch *const model_archs[] = {
    &bailing,
    &llama,
    &qwen3,
    NULL,
};

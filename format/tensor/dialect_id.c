#include "format/tensor/dialect_id.h"

#include <string.h>

static const char *const words[] = {"none",
#define X(name, word) word,
                                    DIALECT_LIST(X)
#undef X
};

const char *dialect_name(pack_dialect d)
{
    return words[d];
}

pack_dialect dialect_parse(const char *word)
{
    for (unsigned d = DIALECT_NONE + 1; d < DIALECT_COUNT; d++) {
        if (strcmp(words[d], word) == 0) {
            return (pack_dialect)d;
        }
    }
    return DIALECT_NONE;
}

const char *dialect_lacks(pack_dialect d, dtype source, scale_format scales)
{
    if (d == DIALECT_COMPRESSED_TENSORS && scales == SCALES_UE8M0) {
        return "the dialect compressed-tensors has no ue8m0 scales";
    }
    if (d == DIALECT_LINGHE && scales == SCALES_F32 &&
        (source == DTYPE_F32 || source == DTYPE_F8_E4M3)) {
        return "the dialect linghe with f32 scales is known for BF16 and F16 sources only";
    }
    return NULL;
}

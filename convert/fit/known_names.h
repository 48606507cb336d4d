/* Which names releases of runtimes know: data, written by tests/interop/engines/known_architectures.py
 * from the wheels of those releases. fit_known.h says what they mean for a model.
 *
 *     known_names_have(&known_vllm, "LlamaForCausalLM")
 *
 * All of this is constant; any thread may use it. */
#ifndef KNOWN_NAMES_H
#define KNOWN_NAMES_H

#include <stdbool.h>

typedef struct known_names {
    const char *package, *version; /* the wheel */
    const char *words;             /* sorted by bytes, one blank between two */
} known_names;

extern const known_names known_vllm;         /* architectures */
extern const known_names known_sglang;       /* architectures */
extern const known_names known_transformers; /* model_type */
extern const known_names known_backend;      /* classes that vLLM and SGLang run as they are */

#endif

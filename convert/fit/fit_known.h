/* Does the release of a runtime whose rules a preset states know a model at all?
 *
 *     if (fit_known(p, &model) == KNOWN_NOT)
 *         fit_known_instead(&model, words, sizeof words); ... "--for %s would do"
 *
 * Judged by architectures[0] or, for transformers, which ignores that, by model_type. Where
 * config.json does not say, the answer is KNOWN; so it is for bf16, which any program may read. Nothing
 * here fails; any thread may call it. */
#ifndef FIT_KNOWN_H
#define FIT_KNOWN_H

#include "convert/export/preset.h"
#include "convert/fit/fit_model.h"
#include "convert/fit/known_names.h"

typedef enum fit_knowledge {
    KNOWN_NOT,
    KNOWN_BACKEND, /* no code of its own, but it runs the code of transformers */
    KNOWN
} fit_knowledge;

fit_knowledge fit_known(const preset *p, const fit_model *m);

/* Would the runtime run Python code of the checkpoint, because it does not know the model_type? */
bool fit_runs_own_code(const preset *p, const fit_model *m);

/* By what it was judged: the architecture, or "model_type NAME". Like snprintf. */
int fit_known_name(const preset *p, const fit_model *m, char *out, size_t size);

/* The words of --for with which somebody could load it, as an enumeration: "ant-sglang, areal or
 * bf16". Empty: nothing that octavo knows of loads such a model. */
void fit_known_instead(const fit_model *m, char *out, size_t size);

/* Is `word` one of the names? */
bool known_names_have(const known_names *names, const char *word);

#endif

#include <stdio.h>
#include <string.h>

#include "verify/tokenizer/tokenizer_parts.h"

/* The library encodes with add_special_tokens=False here, so a template adds nothing. What is left
 * of it must be the text, once: a template can also drop it or repeat it. */
static err_code check_template(const char *path, const json_t *value, err *e)
{
    const json_t *const single = json_object_get(value, "single");
    size_t i = 0, texts = 0, others = 0;
    const json_t *piece = NULL;
    json_array_foreach(single, i, piece)
    {
        const json_t *const text = json_object_get(piece, "Sequence");
        const char *const id = json_string_value(json_object_get(text, "id"));
        texts += id && strcmp(id, "A") == 0;
        others += text && !(id && strcmp(id, "A") == 0);
    }
    if (texts == 1 && others == 0) {
        return OK;
    }
    char place[96];
    snprintf(place, sizeof place, "%s.single", path);
    return tokenizer_refuse(place, single, e);
}

static err_code check_processor(const char *path, const json_t *value, err *e)
{
    if (tokenizer_is_type(value, "TemplateProcessing")) {
        return check_template(path, value, e);
    }
    return tokenizer_is_type(value, "ByteLevel") || tokenizer_is_type(value, "BertProcessing") ||
                   tokenizer_is_type(value, "RobertaProcessing")
               ? OK
               : tokenizer_refuse(path, value, e);
}

static err_code check_post_processor(const json_t *value, err *e)
{
    const json_t *const list = json_object_get(value, "processors");
    if (!value || json_is_null(value)) {
        return OK;
    }
    if (!tokenizer_is_type(value, "Sequence") || !json_is_array(list)) {
        return check_processor("post_processor", value, e);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        char path[64];
        snprintf(path, sizeof path, "post_processor.processors[%zu]", i);
        TRY(check_processor(path, json_array_get(list, i), e));
    }
    return OK;
}

/* What the last call before saving left in the file. The library would cut and pad every text;
 * transformers and the engines switch both off unless they are asked for. */
static void note_saved_state(const json_t *root, const monitor *m)
{
    const json_t *const cut = json_object_get(root, "truncation");
    const json_t *const pad = json_object_get(root, "padding");
    const bool cuts = cut && !json_is_null(cut);
    const bool pads = pad && !json_is_null(pad);
    if (cuts || pads) {
        monitor_note(m, "tokenizer.json: %s%s%s ignored; texts are tokenized whole",
                     cuts ? "truncation" : "", cuts && pads ? " and " : "",
                     cuts && pads ? "padding are"
                     : pads       ? "padding is"
                                  : " is");
    }
}

/* `decoder` is ignored: it turns ids into text. */
err_code tokenizer_check_root(const json_t *root, const monitor *m, err *e)
{
    static const char *const keys[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    const json_t *const version = json_object_get(root, "version");
    TRY(tokenizer_check_keys("file", root, keys, e));
    if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0)) {
        return tokenizer_refuse("version", version, e);
    }
    TRY(check_post_processor(json_object_get(root, "post_processor"), e));
    note_saved_state(root, m);
    return OK;
}

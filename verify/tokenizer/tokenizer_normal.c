#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/tokenizer_parts.h"

/* ---- reading --------------------------------------------------- */

static err_code read_text(const char *path, const json_t *object, const char *key, char **out,
                          size_t *bytes, err *e)
{
    const json_t *const value = json_object_get(object, key);
    *bytes = json_string_length(value);
    if (!json_is_string(value) || *bytes > NORMAL_MAX_BYTES) {
        char place[128];
        snprintf(place, sizeof place, "%s.%s", path, key);
        return tokenizer_refuse(place, value, e);
    }
    *out = strdup(json_string_value(value));
    return *out ? OK : err_set(e, ERR_MEMORY, "no memory for a normalizer");
}

/* A string is searched for as it is; of a regular expression the library expands "$1" in what
 * replaces it. */
static err_code read_replace(const char *path, const json_t *value, normal_step *s, err *e)
{
    static const char *const keys[] = {"type", "pattern", "content", NULL};
    char place[128];
    TRY(tokenizer_check_keys(path, value, keys, e));
    s->kind = NORMAL_REPLACE;
    TRY(read_text(path, value, "content", &s->content, &s->content_bytes, e));
    snprintf(place, sizeof place, "%s.pattern", path);
    TRY(tokenizer_read_pattern(place, json_object_get(value, "pattern"), &s->search, &s->pattern,
                               e));
    s->search_bytes = s->search ? strlen(s->search) : 0;
    if (s->pattern && strchr(s->content, '$')) {
        snprintf(place, sizeof place, "%s.content", path);
        return tokenizer_refuse(place, json_object_get(value, "content"), e);
    }
    return OK;
}

static err_code read_prepend(const char *path, const json_t *value, normal_step *s, err *e)
{
    static const char *const keys[] = {"type", "prepend", NULL};
    TRY(tokenizer_check_keys(path, value, keys, e));
    s->kind = NORMAL_PREPEND;
    return read_text(path, value, "prepend", &s->content, &s->content_bytes, e);
}

static err_code read_form(const char *path, const json_t *value, normal_step *s, err *e)
{
    static const char *const keys[] = {"type", NULL};
    static const char *const names[] = {[UNICODE_NFC] = "NFC",
                                        [UNICODE_NFKC] = "NFKC",
                                        [UNICODE_NFD] = "NFD",
                                        [UNICODE_NFKD] = "NFKD"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (tokenizer_is_type(value, names[i])) {
            s->kind = NORMAL_FORM;
            s->form = (unicode_form)i;
            return tokenizer_check_keys(path, value, keys, e);
        }
    }
    return tokenizer_refuse(path, value, e);
}

static err_code read_step(const char *path, const json_t *value, normal_list *out, err *e)
{
    if (out->count == TOKENIZER_MAX_STEPS) {
        return tokenizer_refuse(path, value, e);
    }
    normal_step *const s = &out->steps[out->count++];
    return tokenizer_is_type(value, "Replace")   ? read_replace(path, value, s, e)
           : tokenizer_is_type(value, "Prepend") ? read_prepend(path, value, s, e)
                                                 : read_form(path, value, s, e);
}

static err_code read_sequence(const json_t *value, normal_list *out, err *e)
{
    static const char *const keys[] = {"type", "normalizers", NULL};
    const json_t *const list = json_object_get(value, "normalizers");
    TRY(tokenizer_check_keys("normalizer", value, keys, e));
    if (!json_is_array(list)) {
        return tokenizer_refuse("normalizer.normalizers", list, e);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        char path[64];
        snprintf(path, sizeof path, "normalizer.normalizers[%zu]", i);
        TRY(read_step(path, json_array_get(list, i), out, e));
    }
    return OK;
}

err_code normal_read(const json_t *value, normal_list *out, err *e)
{
    *out = (normal_list){0};
    if (!value || json_is_null(value)) {
        return OK;
    }
    return tokenizer_is_type(value, "Sequence") ? read_sequence(value, out, e)
                                                : read_step("normalizer", value, out, e);
}

void normal_free(normal_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->steps[i].search);
        free(list->steps[i].content);
        pattern_free(list->steps[i].pattern);
    }
    *list = (normal_list){0};
}

/* ---- normalizing ----------------------------------------------- */

static err_code replace_text(const normal_step *s, const char *text, size_t bytes,
                             text_budget *budget, text_buffer *out, err *e)
{
    const char *const end = text + bytes;
    for (;;) {
        TRY(text_budget_check(budget, out->bytes, e));
        const char *const found = memmem(text, (size_t)(end - text), s->search, s->search_bytes);
        TRY(text_buffer_add(out, text, (size_t)((found ? found : end) - text), e));
        if (!found) {
            return OK;
        }
        TRY(text_buffer_add(out, s->content, s->content_bytes, e));
        text = found + s->search_bytes;
    }
}

static err_code replace_matches(const normal_step *s, pattern_scratch *scratch, const char *text,
                                size_t bytes, text_budget *budget, text_buffer *out, err *e)
{
    size_t kept = 0;
    for (size_t at = 0; at < bytes;) {
        size_t end = 0;
        TRY(text_budget_check(budget, out->bytes, e));
        TRY(pattern_match(s->pattern, scratch, text, bytes, at, &end, e));
        if (end == 0) {
            at += utf8_length(text + at, bytes - at);
            continue;
        }
        TRY(text_buffer_add(out, text + kept, at - kept, e));
        TRY(text_buffer_add(out, s->content, s->content_bytes, e));
        at = kept = end;
    }
    return text_buffer_add(out, text + kept, bytes - kept, e);
}

static err_code run_step(const normal_step *s, pattern_scratch *scratch, normal_work *w,
                         const char *text, size_t bytes, text_buffer *out, err *e)
{
    switch (s->kind) {
    case NORMAL_FORM:
        return unicode_normalize(s->form, text, bytes, &w->unicode, out, e);
    case NORMAL_PREPEND:
        if (bytes) {
            TRY(text_buffer_add(out, s->content, s->content_bytes, e));
        }
        return text_buffer_add(out, text, bytes, e);
    default:
        return s->search ? replace_text(s, text, bytes, w->budget, out, e)
                         : replace_matches(s, scratch, text, bytes, w->budget, out, e);
    }
}

err_code normal_run(const normal_list *list, pattern_scratch *scratch, normal_work *w,
                    const char **text, size_t *bytes, err *e)
{
    for (size_t i = 0; i < list->count; i++) {
        text_buffer *const out = &w->buffers[i % 2]; /* the text is in the other one */
        out->bytes = 0;
        TRY(run_step(&list->steps[i], scratch, w, *text, *bytes, out, e));
        TRY(text_budget_spend(w->budget, out->bytes, e));
        *text = out->text ? out->text : "";
        *bytes = out->bytes;
    }
    return OK;
}

void normal_work_free(normal_work *w)
{
    text_buffer_free(&w->buffers[0]);
    text_buffer_free(&w->buffers[1]);
    unicode_work_free(&w->unicode);
}

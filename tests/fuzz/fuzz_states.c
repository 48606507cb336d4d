/* What is quantized, and how: config.json, a NUL, hf_quant_config.json, a NUL, quantize_config.json,
 * a NUL, and lines that name tensors (fuzz_aid.h). Every tensor gets one state, parts belong to
 * weights, and scales to the weight that names them. */
#include "format/quantized/quantization.h"
#include "format/quantized/tensor_state.h"
#include "tests/fuzz/fuzz_aid.h"

enum { FILES = 3 };

static bool is_plain(const char *text, size_t room)
{
    const char *at = text;
    while (at < text + room && *at >= 0x20 && *at <= 0x7e) {
        at++;
    }
    return at < text + room && *at == '\0';
}

static void check_quantization(const quantization *q)
{
    require(is_plain(q->method, sizeof q->method) && is_plain(q->place, sizeof q->place));
    require((q->count > 0) == (q->method[0] != '\0') && (q->count > 0) == (q->place[0] != '\0'));
    require((q->block.code == DTYPE_NONE) == (q->block.rows == 0));
    require((q->block.rows == 0) == (q->block.cols == 0));
}

static void check_part(const tensor_states *s, const tensor_state *t)
{
    require(t->weight == STATE_NONE || t->weight < s->count);
    require((t->weight == STATE_NONE) == (t->method == NULL));
    if (t->weight != STATE_NONE) {
        require(s->of[t->weight].kind == STATE_FP8 || s->of[t->weight].kind == STATE_FOREIGN);
    }
}

static void check_states(const tensor_states *s, const fuzz_tensors *list)
{
    size_t foreign = 0;
    bool any = false;
    require(s->count == list->count);
    for (size_t i = 0; i < s->count; i++) {
        const tensor_state *const t = &s->of[i];
        const bool fp8 = t->kind == STATE_FP8;
        require(t->kind < STATE_COUNT && t->kind != STATE_BLOCK_FP8 && state_name(t->kind)[0]);
        require(!fp8 || state_is_fp8_type(list->all[i].type));
        require(t->kind != STATE_PLAIN || !t->method);
        if (t->kind == STATE_PART) {
            check_part(s, t);
        }
        if (fp8 && t->scales != STATE_NONE) {
            require(t->scales < s->count && s->of[t->scales].kind == STATE_PART);
            require(s->of[t->scales].weight == i);
        }
        foreign += t->kind == STATE_FOREIGN || (fp8 && list->all[i].type != DTYPE_F8_E4M3);
        any = any || t->kind != STATE_PLAIN;
    }
    require(s->foreign == foreign && s->any == any);
}

static void find_states(const quantization *q, const fuzz_tensors *list)
{
    named_tensor named[FUZZ_TENSORS];
    tensor_states s;
    err e = {0};
    for (size_t i = 0; i < list->count; i++) {
        const fuzz_tensor *const t = &list->all[i];
        named[i] = (named_tensor){t->name, t->type, t->ndim, t->shape, false};
    }
    check_code(tensor_states_find(named, list->count, q->method, NULL, &s, &e), &e);
    require(e.code == OK);
    check_states(&s, list);
    tensor_states_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    quantization q = {0};
    fuzz_tensors list;
    size_t bytes = 0;
    for (int i = 0; i < FILES; i++) {
        char *const text = take_text(&in, &bytes);
        block_format tiles;
        err e = {0};
        const err_code code =
            bytes ? quantization_read(&q, quantization_files[i], text, bytes, &e) : OK;
        check_code(code, &e);
        require(code == OK || code == ERR_INPUT);
        check_quantization(&q);
        require(quantization_tiles1(text, bytes, &tiles, NULL) != ERR_INTERNAL);
        free(text);
    }
    char *const lines = take_text(&in, &bytes);
    read_tensors(lines, &list);
    find_states(&q, &list);
    free(lines);
    return 0;
}

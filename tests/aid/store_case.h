/* A checkpoint and a packed file made from it, both open, for tests of model_store.h.
 *
 *     tcase_add_checked_fixture(t, store_case_setup, store_case_end);
 *     ... store_find(from_source, Q), store_find(from_packed, Q) ...
 */
#ifndef STORE_CASE_H
#define STORE_CASE_H

#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"
#include "format/store/model_store.h"

#define LAYER "model.layers.0."
#define NORM  LAYER "input_layernorm.weight"
#define UP    LAYER "mlp.experts.*.up_proj.weight"
#define BIAS  LAYER "mlp.experts.*.bias"
#define Q     LAYER "self_attn.q_proj.weight"
#define FUSED "model.layers.1.mlp.experts.gate_up_proj"
#define TEXT  "{\"a\": 1}"

/* Names of a stack's members do not sort like their numbers, and others lie between them. */
static const small_tensor tensors[] = {
    {NORM, DTYPE_F16, 1, {41}, false},
    {UP, DTYPE_BF16, 3, {11, 140, 150}, true},
    {BIAS, DTYPE_BF16, 3, {11, 2, 5}, false},
    {LAYER "mlp.experts.1a", DTYPE_U8, 2, {3, 7}, false},
    {Q, DTYPE_F32, 2, {300, 300}, true},
    {LAYER "counter", DTYPE_I64, 0, {0}, false},
    {LAYER "empty", DTYPE_F32, 2, {0, 4}, false},
    {LAYER "empty_rows", DTYPE_F32, 3, {2, 3, 0}, false},
    {LAYER "four", DTYPE_F64, 4, {2, 3, 4, 5}, false},
    {FUSED, DTYPE_F16, 3, {3, 130, 140}, true},
};

static const small_model model = {tensors, COUNT(tensors), TEXT, 3};

static small_pack packed;
static store *from_source, *from_packed;

static inline store *open_good(const char *path)
{
    store *s = NULL;
    err e = {0};
    expect_ok(store_open(path, NULL, &s, &e), &e);
    ck_assert_str_eq(s->path, path);
    return s;
}

static inline void write_packed(const small_model *of, bool ue8m0)
{
    small_pack_free(&packed);
    small_pack_build(of, &(small_options){.ue8m0 = ue8m0}, &packed);
    scratch_write("p", packed.bytes, packed.length);
}

static inline void store_case_setup(void)
{
    scratch_make();
    ck_assert_int_eq(mkdir(scratch("source"), 0777), 0);
    small_checkpoint_write(&model, scratch("source"));
    write_packed(&model, false);
    from_source = open_good(scratch("source"));
    from_packed = open_good(scratch("p"));
}

static inline void store_case_end(void)
{
    store_close(from_source);
    store_close(from_packed);
    store_close(NULL);
    small_pack_free(&packed);
    scratch_remove();
}

static inline const store_tensor *find(const store *s, const char *name)
{
    const store_tensor *const t = store_find(s, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    ck_assert_str_eq(t->name, name);
    return t;
}

static inline void open_bad(const char *path, err_code code, const char *part)
{
    store *s = NULL;
    err e = {0};
    expect_error(store_open(path, NULL, &s, &e), code, &e, part);
    ck_assert_ptr_null(s);
}

static inline void expect_file(const store *s, const char *name, const char *text)
{
    char *data = NULL;
    size_t bytes = 1;
    err e = {0};
    expect_ok(store_file(s, name, &data, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, text ? strlen(text) : 0);
    ck_assert(text ? strcmp(data, text) == 0 : data == NULL);
    free(data);
}

#endif

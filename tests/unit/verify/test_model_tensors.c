/* A small model of every kind of layer, right and with one thing wrong at a time. Names and shapes
 * are written out here again. */
#include "tests/aid/config_case.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"
#include "verify/model/model_tensors.h"

#define L0     "model.layers.0."
#define L1     "model.layers.1."
#define L2     "model.layers.2."
#define EMBED  "model.word_embeddings.weight"
#define HEAD   "lm_head.weight"
#define ROUTER L1 "mlp.gate.weight"
#define ASKED  ": tensors do not match config.json: "

/* Layer 0 is linear and dense, layers 1 and 2 are neither. */
static const char sizes[] =
    "{\"hidden_size\":8,\"num_hidden_layers\":3,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"head_dim\":4,\"intermediate_size\":12,\"layer_group_size\":2,"
    "\"moe_intermediate_size\":6,\"num_experts\":4,\"n_group\":2,\"vocab_size\":16,"
    "\"group_norm_size\":2}";

#define VECTOR(name, n)                                                                            \
    {                                                                                              \
        name, DTYPE_BF16, 1, {n}, false                                                            \
    }
#define MATRIX(name, n, k)                                                                         \
    {                                                                                              \
        name, DTYPE_BF16, 2, {n, k}, true                                                          \
    }
#define KEPT(name, type, n, k)                                                                     \
    {                                                                                              \
        name, type, 2, {n, k}, false                                                               \
    }
#define EXPERTS(name, e, n, k)                                                                     \
    {                                                                                              \
        name, DTYPE_BF16, 3, {e, n, k}, true                                                       \
    }
#define SPARSE_SOFTMAX(L)                                                                          \
    VECTOR(L "input_layernorm.weight", 8), VECTOR(L "post_attention_layernorm.weight", 8),         \
        MATRIX(L "attention.query_key_value.weight", 32, 8),                                       \
        VECTOR(L "attention.query_layernorm.weight", 4),                                           \
        VECTOR(L "attention.key_layernorm.weight", 4), MATRIX(L "attention.dense.weight", 8, 16),  \
        KEPT(L "mlp.gate.weight", DTYPE_BF16, 4, 8),                                               \
        {L "mlp.gate.expert_bias", DTYPE_F32, 1, {4}, false},                                      \
        EXPERTS(L "mlp.experts.*.gate_proj.weight", 4, 6, 8),                                      \
        EXPERTS(L "mlp.experts.*.up_proj.weight", 4, 6, 8),                                        \
        EXPERTS(L "mlp.experts.*.down_proj.weight", 4, 8, 6),                                      \
        MATRIX(L "mlp.shared_experts.gate_proj.weight", 12, 8),                                    \
        MATRIX(L "mlp.shared_experts.up_proj.weight", 12, 8),                                      \
        MATRIX(L "mlp.shared_experts.down_proj.weight", 8, 12)

static const small_tensor right[] = {
    KEPT(EMBED, DTYPE_BF16, 16, 8),
    {"model.norm.weight", DTYPE_F16, 1, {8}, false},
    KEPT(HEAD, DTYPE_F32, 16, 8),
    VECTOR(L0 "input_layernorm.weight", 8),
    VECTOR(L0 "post_attention_layernorm.weight", 8),
    MATRIX(L0 "attention.query_key_value.weight", 48, 8),
    VECTOR(L0 "attention.query_layernorm.weight", 4),
    VECTOR(L0 "attention.key_layernorm.weight", 4),
    MATRIX(L0 "attention.dense.weight", 8, 16),
    MATRIX(L0 "attention.g_proj.weight", 16, 8),
    VECTOR(L0 "attention.g_norm.weight", 16),
    MATRIX(L0 "mlp.gate_proj.weight", 12, 8),
    MATRIX(L0 "mlp.up_proj.weight", 12, 8),
    MATRIX(L0 "mlp.down_proj.weight", 8, 12),
    SPARSE_SOFTMAX(L1),
    SPARSE_SOFTMAX(L2),
};

enum { ROOM = 128 };
static small_tensor list[ROOM];
static size_t list_count;

static void setup(void)
{
    scratch_make();
    ck_assert_int_eq(mkdir(scratch("source"), 0777), 0);
    memcpy(list, right, sizeof right);
    list_count = sizeof right / sizeof *right;
}

static small_tensor *entry(const char *name)
{
    for (size_t i = 0; i < list_count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    ck_abort_msg("no %s", name);
    return NULL;
}

static void add(small_tensor t)
{
    ck_assert_uint_lt(list_count, ROOM);
    list[list_count++] = t;
}

static void take_out(const char *name)
{
    *entry(name) = list[--list_count];
}

/* Write the list as one kind or the other, change what a test changes, and check; the headers alone
 * have to give the same result. */
static void (*tamper)(void);

static err_code check(bool packed, const char *patch, err *e)
{
    const small_model model = {list, list_count, NULL, 5};
    store *s = NULL;
    char *const merged = patched(linear_text, sizes);
    const model_config c = good(merged, patch);
    free(merged);
    if (packed) {
        small_pack p;
        small_pack_build(&model, &(small_options){0}, &p);
        scratch_write("p", p.bytes, p.length);
        small_pack_free(&p);
    } else {
        small_checkpoint_write(&model, scratch("source"));
    }
    if (tamper) {
        tamper();
    }
    expect_ok(store_open(scratch(packed ? "p" : "source"), NULL, &s, e), e);
    note_count = 0;
    err listed = {0};
    const err_code list_code = model_tensors_list(&c, s, &listed);
    const err_code code = model_tensors_check(&c, s, &listener, e);
    ck_assert_int_eq(list_code, code);
    ck_assert_str_eq(listed.text, e->text);
    store_close(s);
    return code;
}

static void expect_right(const char *patch, int notes_expected)
{
    for (int packed = 0; packed < 2; packed++) {
        err e = {0};
        expect_ok(check(packed, patch, &e), &e);
        ck_assert_msg(note_count == notes_expected, "%d notes: %s", note_count, notes);
    }
}

/* The message is the path and `text`. */
static void expect_wrong(const char *patch, const char *text)
{
    for (int packed = 0; packed < 2; packed++) {
        char whole[1024];
        err e = {0};
        ck_assert_int_eq(check(packed, patch, &e), ERR_INPUT);
        snprintf(whole, sizeof whole, "%s%s", scratch(packed ? "p" : "source"), text);
        ck_assert_str_eq(e.text, whole);
        ck_assert_int_eq(note_count, 0);
    }
}

/* ---- names and shapes ------------------------------------------ */

/* The slot of a name in layer 2 and of expert 17; MODEL_SLOTS_MAX: not found. */
static unsigned slot_of(const model_config *c, const char *expected)
{
    char name[NAME_MAX_BYTES + 1];
    for (unsigned slot = 0; slot < c->arch->tensor_count; slot++) {
        model_tensor_name(c, slot, 2, 17, name);
        if (strcmp(name, expected) == 0) {
            return slot;
        }
    }
    return MODEL_SLOTS_MAX;
}

START_TEST(names)
{
    const model_config c = good(linear_text, "{}");
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(&c, SLOT_HEAD, 7, 7, name);
    ck_assert_str_eq(name, HEAD);
    model_tensor_name(&c, SLOT_EMBEDDING, 7, 7, name);
    ck_assert_str_eq(name, EMBED);
    ck_assert_uint_lt(slot_of(&c, L2 "mlp.gate.expert_bias"), MODEL_SLOTS_MAX);
    ck_assert_uint_lt(slot_of(&c, L2 "mlp.experts.17.down_proj.weight"), MODEL_SLOTS_MAX);
    ck_assert_uint_eq(slot_of(&c, L2 "mlp.experts.16.down_proj.weight"), MODEL_SLOTS_MAX);
}
END_TEST

static void expect_shape(const model_config *c, const char *name, unsigned layer, unsigned ndim,
                         uint64_t rows, uint64_t cols)
{
    char whole[NAME_MAX_BYTES + 1];
    uint64_t shape[2] = {0};
    snprintf(whole, sizeof whole, L2 "%s", name);
    ck_assert_uint_eq(model_tensor_shape(c, slot_of(c, whole), layer, shape), ndim);
    ck_assert(shape[0] == rows && shape[1] == cols);
}

START_TEST(shapes)
{
    char *const merged = patched(linear_text, sizes);
    const model_config c = good(merged, "{}");
    expect_shape(&c, "attention.query_key_value.weight", 0, 2, 48, 8);
    expect_shape(&c, "attention.query_key_value.weight", 1, 2, 32, 8);
    expect_shape(&c, "attention.g_norm.weight", 0, 1, 16, 0);
    expect_shape(&c, "attention.g_norm.weight", 1, 0, 0, 0);
    expect_shape(&c, "mlp.gate_proj.weight", 1, 0, 0, 0);
    expect_shape(&c, "mlp.gate.weight", 0, 0, 0, 0);
    expect_shape(&c, "mlp.experts.17.up_proj.weight", 2, 2, 6, 8);
    free(merged);
}
END_TEST

START_TEST(a_right_model)
{
    expect_right("{}", 0);
    entry(L1 "mlp.gate.expert_bias")->type = DTYPE_BF16;
    entry(ROUTER)->type = DTYPE_F32;
    expect_right("{}", 0);
    entry(ROUTER)->quantize = true; /* the recipe would keep it, but this check accepts both */
    expect_right("{}", 0);
}
END_TEST

START_TEST(a_model_without_bias_in_its_router)
{
    take_out(L1 "mlp.gate.expert_bias");
    take_out(L2 "mlp.gate.expert_bias");
    expect_right("{\"moe_router_enable_expert_bias\":false}", 0);
    expect_wrong("{}",
                 ASKED L1 "mlp.gate.expert_bias is missing; " L2 "mlp.gate.expert_bias is missing");
}
END_TEST

/* ---- what is wrong --------------------------------------------- */

START_TEST(missing_tensors)
{
    take_out(L0 "attention.g_norm.weight");
    expect_wrong("{}", ASKED L0 "attention.g_norm.weight is missing");
    take_out(HEAD);
    take_out(L2 "mlp.experts.*.up_proj.weight");
    expect_wrong("{}", ASKED HEAD " is missing; " L0 "attention.g_norm.weight is missing; " L2
                                  "mlp.experts.0.up_proj.weight is missing; " L2
                                  "mlp.experts.1.up_proj.weight is missing; " L2
                                  "mlp.experts.2.up_proj.weight is missing; " L2
                                  "mlp.experts.3.up_proj.weight is missing");
}
END_TEST

START_TEST(many_missing_tensors)
{
    err e = {0};
    list_count = 1;
    /* 2 of the model, 11 of layer 0, 8 and 3 * 4 + 3 of each other layer */
    ck_assert_int_eq(check(false, "{}", &e), ERR_INPUT);
    const char *const more = strstr(e.text, "; ... and ");
    ck_assert_ptr_nonnull(more);
    size_t shown = 0;
    for (const char *at = e.text; (at = strstr(at, " is missing")); at++) {
        shown++;
    }
    ck_assert_uint_gt(shown, 5);
    ck_assert_uint_eq(strtoul(more + strlen("; ... and "), NULL, 10), 2 + 11 + 2 * 23 - shown);
}
END_TEST

START_TEST(wrong_shapes)
{
    entry(L0 "attention.query_key_value.weight")->shape[0] = 32;
    expect_wrong("{}",
                 ASKED L0 "attention.query_key_value.weight: expected shape [48,8], found [32,8]");
    entry(L1 "mlp.gate.expert_bias")->ndim = 2;
    entry(L1 "mlp.gate.expert_bias")->shape[1] = 1;
    expect_wrong("{}", ASKED L0
                 "attention.query_key_value.weight: expected shape [48,8], found [32,8]; " L1
                 "mlp.gate.expert_bias: expected shape [4], found [4,1]");
}
END_TEST

START_TEST(wrong_types)
{
    entry(ROUTER)->type = DTYPE_F64;
    expect_wrong("{}", ASKED ROUTER ": F64 is not supported");
    entry(ROUTER)->type = DTYPE_F8_E4M3; /* without scales */
    expect_wrong("{}", ASKED ROUTER ": F8_E4M3 is not supported");
}
END_TEST

START_TEST(tensors_that_are_never_read)
{
    add((small_tensor)VECTOR("model.mtp.norm.weight", 8));
    add((small_tensor)VECTOR(L0 "attention.dense.bias", 8));
    add((small_tensor)EXPERTS(L1 "mlp.experts.*.gate.weight", 2, 3, 3));
    expect_wrong("{}", ": tensors that the model never reads: " L0 "attention.dense.bias; " L1
                       "mlp.experts.0.gate.weight; " L1 "mlp.experts.1.gate.weight; "
                       "model.mtp.norm.weight");
    list_count = sizeof right / sizeof *right;
    expect_wrong("{\"moe_router_enable_expert_bias\":false}",
                 ": tensors that the model never reads: " L1 "mlp.gate.expert_bias; " L2
                 "mlp.gate.expert_bias");
}
END_TEST

START_TEST(one_expert_too_many)
{
    add((small_tensor)KEPT(L1 "mlp.experts.4.up_proj.weight", DTYPE_BF16, 6, 8));
    expect_wrong("{}", ": tensors that the model never reads: " L1 "mlp.experts.4.up_proj.weight");
}
END_TEST

/* ---- what is noted --------------------------------------------- */

START_TEST(layers_behind_the_last_one)
{
    static const small_tensor more[] = {VECTOR("model.layers.3.enorm.weight", 8),
                                        MATRIX("model.layers.3.attention.dense.weight", 8, 16),
                                        VECTOR("model.layers.12.a", 1)};
    for (int i = 0; i < COUNT(more); i++) {
        add(more[i]);
    }
    expect_right("{}", 1);
    ck_assert_ptr_nonnull(
        strstr(notes, ": ignores 3 tensors of layers from 3 on (multi-token prediction)"));
    add((small_tensor)VECTOR("model.layers.x.layers.9.a", 1));
    expect_wrong("{}", ": tensors that the model never reads: model.layers.x.layers.9.a");
    list_count--;
    add((small_tensor)VECTOR("model.layers.03.a", 1));
    expect_wrong("{}", ": tensors that the model never reads: model.layers.03.a");
}
END_TEST

#define TIED "{\"tie_word_embeddings\":true}"

static void expect_differing_head(void)
{
    expect_right(TIED, 1);
    ck_assert_ptr_nonnull(strstr(notes, ": lm_head.weight differs from the embedding and is "
                                        "ignored, because tie_word_embeddings is true"));
}

START_TEST(a_tied_head)
{
    take_out(HEAD);
    expect_right(TIED, 0);
    add((small_tensor)KEPT(HEAD, DTYPE_BF16, 16, 8)); /* values follow from the name */
    expect_differing_head();
    entry(HEAD)->type = DTYPE_F32;
    expect_differing_head();
    *entry(HEAD) = (small_tensor)KEPT(HEAD, DTYPE_BF16, 8, 16);
    expect_differing_head();
    *entry(HEAD) = (small_tensor)MATRIX(HEAD, 16, 8);
    expect_differing_head();
}
END_TEST

/* Sizes that take several bands: more than 4 MiB of data. */
enum { VOCAB = 300000, BYTES = VOCAB * 8 * 2 };
static off_t changed = -1;

/* Make the two tensors of the checkpoint equal, except one byte if requested. */
static void copy_embedding(void)
{
    store *s = NULL;
    err e = {0};
    expect_ok(store_open(scratch("source"), NULL, &s, &e), &e);
    char *const data = malloc(BYTES);
    expect_ok(store_read(s, store_find(s, EMBED), 0, VOCAB, data, NULL, &e), &e);
    if (changed >= 0) {
        data[changed] ^= 1;
    }
    FILE *const f = fopen(scratch("source/model.safetensors"), "r+b");
    ck_assert_int_eq(fseek(f, (long)store_find(s, HEAD)->off, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(data, 1, BYTES, f), BYTES);
    ck_assert_int_eq(fclose(f), 0);
    free(data);
    store_close(s);
}

START_TEST(a_large_tied_head)
{
    static const off_t places[] = {-1, 0, BYTES / 2, BYTES - 1};
    static const char patch[] = "{\"tie_word_embeddings\":true,\"vocab_size\":300000}";
    entry(EMBED)->shape[0] = VOCAB;
    *entry(HEAD) = (small_tensor)KEPT(HEAD, DTYPE_BF16, VOCAB, 8);
    tamper = copy_embedding;
    for (int i = 0; i < COUNT(places); i++) {
        err e = {0};
        changed = places[i];
        expect_ok(check(false, patch, &e), &e);
        ck_assert_int_eq(note_count, changed >= 0);
    }
}
END_TEST

/* Codes and scales of a packed file: the head gets those of the embedding. */
static void copy_codes(void)
{
    store *s = NULL;
    err e = {0};
    unsigned char data[16 * 8];
    float scales[1];
    expect_ok(store_open(scratch("p"), NULL, &s, &e), &e);
    const store_tensor *const head = store_find(s, HEAD);
    ck_assert(head->quantized);
    expect_ok(store_read(s, store_find(s, EMBED), 0, 16, data, scales, &e), &e);
    scales[0] *= changed == 0 ? 2 : 1;
    data[sizeof data - 1] ^= changed == 1;
    FILE *const f = fopen(scratch("p"), "r+b");
    ck_assert_int_eq(fseek(f, (long)head->off, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(data, 1, sizeof data, f), sizeof data);
    ck_assert_int_eq(fseek(f, (long)head->scale_off, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(scales, 1, sizeof scales, f), sizeof scales);
    ck_assert_int_eq(fclose(f), 0);
    store_close(s);
}

START_TEST(a_quantized_tied_head)
{
    *entry(EMBED) = (small_tensor)MATRIX(EMBED, 16, 8);
    *entry(HEAD) = (small_tensor)MATRIX(HEAD, 16, 8);
    tamper = copy_codes;
    for (changed = -1; changed < 2; changed++) {
        err e = {0};
        expect_ok(check(true, TIED, &e), &e);
        ck_assert_int_eq(note_count, changed >= 0);
    }
}
END_TEST

static bool stop(void *ctx)
{
    (void)ctx;
    return true;
}

/* ---- a real model ---------------------------------------------- */

START_TEST(the_example)
{
    char path[400];
    store *s = NULL;
    model_config c;
    err e = {0};
    snprintf(path, sizeof path, "%s/ring-micro-linear", getenv("TESTDATA"));
    expect_ok(store_open(path, NULL, &s, &e), &e);
    expect_ok(model_config_read(s, model_archs, &listener, &c, &e), &e);
    expect_ok(model_tensors_check(&c, s, &listener, &e), &e);
    ck_assert_int_eq(note_count, 0);
    c.tied = true;
    expect_ok(model_tensors_check(&c, s, &listener, &e), &e);
    ck_assert_int_eq(note_count, 1);
    const monitor stopping = {.cancelled = stop};
    expect_error(model_tensors_check(&c, s, &stopping, &e), ERR_CANCELLED, &e, "interrupted");
    c.hidden = 191;
    expect_error(model_tensors_check(&c, s, NULL, &e), ERR_INPUT, &e,
                 ASKED EMBED ": expected shape [512,191], found [512,192]; ");
    store_close(s);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("model_tensors");
    tcase_add_checked_fixture(t, setup, scratch_remove);
    tcase_add_test(t, names);
    tcase_add_test(t, shapes);
    tcase_add_test(t, a_right_model);
    tcase_add_test(t, a_model_without_bias_in_its_router);
    tcase_add_test(t, missing_tensors);
    tcase_add_test(t, many_missing_tensors);
    tcase_add_test(t, wrong_shapes);
    tcase_add_test(t, wrong_types);
    tcase_add_test(t, tensors_that_are_never_read);
    tcase_add_test(t, one_expert_too_many);
    tcase_add_test(t, layers_behind_the_last_one);
    tcase_add_test(t, a_tied_head);
    tcase_add_test(t, a_large_tied_head);
    tcase_add_test(t, a_quantized_tied_head);
    tcase_add_test(t, the_example);
    return run_tests("model_tensors", t);
}

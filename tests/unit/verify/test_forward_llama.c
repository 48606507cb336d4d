/* A Llama of one layer with every bias it may have, against its equations in double
 * precision, written out here again. */
#include <math.h>

#include "tests/aid/conversion.h"
#include "tests/aid/small_pack.h"
#include "verify/forward/forward.h"
#include "verify/ops/ops_cpu.h"

enum { HIDDEN = 8, HEADS = 2, DIM = 6, MLP = 12, VOCAB = 16, TOKENS = 5, WIDTH = HEADS * DIM };

static const char config[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":8,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":6,"
    "\"intermediate_size\":12,\"vocab_size\":16,\"max_position_embeddings\":64,"
    "\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\",\"attention_bias\":true,\"mlp_bias\":true,"
    "\"tie_word_embeddings\":false,\"rope_theta\":500}";

#define L "model.layers.0."
#define F32(name, ndim, ...)                                                                       \
    {                                                                                              \
        name, DTYPE_F32, ndim, {__VA_ARGS__}, false                                                \
    }

static const small_tensor tensors[] = {
    F32("model.embed_tokens.weight", 2, VOCAB, HIDDEN),
    F32("model.norm.weight", 1, HIDDEN),
    F32("lm_head.weight", 2, VOCAB, HIDDEN),
    F32(L "input_layernorm.weight", 1, HIDDEN),
    F32(L "self_attn.q_proj.weight", 2, WIDTH, HIDDEN),
    F32(L "self_attn.q_proj.bias", 1, WIDTH),
    F32(L "self_attn.k_proj.weight", 2, DIM, HIDDEN),
    F32(L "self_attn.k_proj.bias", 1, DIM),
    F32(L "self_attn.v_proj.weight", 2, DIM, HIDDEN),
    F32(L "self_attn.v_proj.bias", 1, DIM),
    F32(L "self_attn.o_proj.weight", 2, HIDDEN, WIDTH),
    F32(L "self_attn.o_proj.bias", 1, HIDDEN),
    F32(L "self_attn.rotary_emb.inv_freq", 1, DIM / 2),
    F32(L "post_attention_layernorm.weight", 1, HIDDEN),
    F32(L "mlp.gate_proj.weight", 2, MLP, HIDDEN),
    F32(L "mlp.gate_proj.bias", 1, MLP),
    F32(L "mlp.up_proj.weight", 2, MLP, HIDDEN),
    F32(L "mlp.up_proj.bias", 1, MLP),
    F32(L "mlp.down_proj.weight", 2, HIDDEN, MLP),
    F32(L "mlp.down_proj.bias", 1, HIDDEN),
};

static const int32_t ids[TOKENS] = {3, 1, 4, 15, 9};

/* ---- the equations --------------------------------------------- */

static store *model;

/* The elements of a tensor. */
static const float *tensor_of(const char *name)
{
    static float values[VOCAB * WIDTH];
    err e = {0};
    const store_tensor *const t = store_find(model, name);
    ck_assert_msg(t != NULL, "%s", name);
    ck_assert_uint_le(t->rows * t->cols, COUNT(values));
    expect_ok(store_read(model, t, 0, t->rows, values, NULL, &e), &e);
    return values;
}

static void norm(const double *x, const char *name, double *y)
{
    const float *const w = tensor_of(name);
    double sum = 0;
    for (int i = 0; i < HIDDEN; i++) {
        sum += x[i] * x[i];
    }
    for (int i = 0; i < HIDDEN; i++) {
        y[i] = x[i] / sqrt(sum / HIDDEN + 1e-5) * (double)w[i];
    }
}

/* y = W x + b, `name` without its ending; no bias of the head. */
static void linear(const char *name, const double *x, int cols, double *y, int rows, bool biased)
{
    char whole[80];
    snprintf(whole, sizeof whole, "%s.weight", name);
    const float *w = tensor_of(whole);
    for (int n = 0; n < rows; n++) {
        y[n] = 0;
        for (int k = 0; k < cols; k++) {
            y[n] += (double)w[n * cols + k] * x[k];
        }
    }
    snprintf(whole, sizeof whole, "%s.bias", name);
    w = biased ? tensor_of(whole) : NULL;
    for (int n = 0; n < rows && biased; n++) {
        y[n] += (double)w[n];
    }
}

static void rotate(double *x, int position)
{
    for (int j = 0; j < DIM / 2; j++) {
        const double angle = position * pow(500, -2.0 * j / DIM);
        const double a = x[j];
        const double b = x[j + DIM / 2];
        x[j] = a * cos(angle) - b * sin(angle);
        x[j + DIM / 2] = b * cos(angle) + a * sin(angle);
    }
}

static double keys[TOKENS][DIM], values[TOKENS][DIM];

static void attend(double *x, int position)
{
    double a[HIDDEN], q[WIDTH], u[WIDTH] = {0}, y[HIDDEN];
    norm(x, L "input_layernorm.weight", a);
    linear(L "self_attn.q_proj", a, HIDDEN, q, WIDTH, true);
    linear(L "self_attn.k_proj", a, HIDDEN, keys[position], DIM, true);
    linear(L "self_attn.v_proj", a, HIDDEN, values[position], DIM, true);
    rotate(keys[position], position);
    for (int h = 0; h < HEADS; h++) {
        double p[TOKENS] = {0};
        double sum = 0;
        rotate(q + h * DIM, position);
        for (int j = 0; j <= position; j++) {
            double score = 0;
            for (int c = 0; c < DIM; c++) {
                score += q[h * DIM + c] * keys[j][c];
            }
            p[j] = exp(score / sqrt(DIM));
            sum += p[j];
        }
        for (int j = 0; j <= position; j++) {
            for (int c = 0; c < DIM; c++) {
                u[h * DIM + c] += p[j] / sum * values[j][c];
            }
        }
    }
    linear(L "self_attn.o_proj", u, WIDTH, y, HIDDEN, true);
    for (int i = 0; i < HIDDEN; i++) {
        x[i] += y[i];
    }
}

static void feed_forward(double *x)
{
    double b[HIDDEN], g[MLP], u[MLP], y[HIDDEN];
    norm(x, L "post_attention_layernorm.weight", b);
    linear(L "mlp.gate_proj", b, HIDDEN, g, MLP, true);
    linear(L "mlp.up_proj", b, HIDDEN, u, MLP, true);
    for (int i = 0; i < MLP; i++) {
        u[i] *= g[i] / (1 + exp(-g[i]));
    }
    linear(L "mlp.down_proj", u, MLP, y, HIDDEN, true);
    for (int i = 0; i < HIDDEN; i++) {
        x[i] += y[i];
    }
}

/* ---- the test -------------------------------------------------- */

static void expect_near(const float *found, const double *expected, int n, const char *what)
{
    for (int i = 0; i < n; i++) {
        ck_assert_msg(fabs((double)found[i] - expected[i]) < 1e-5, "%s %d: %g, not %g", what, i,
                      (double)found[i], expected[i]);
    }
}

static reference *dump(void)
{
    forward_options o = {.ids = ids,
                         .sequences = 1,
                         .length = TOKENS,
                         .f32 = true,
                         .prefill = true,
                         .threads = 1,
                         .memory = PLENTY * MIB,
                         .dump = scratch("dump")};
    ops *by = NULL;
    forward_report r;
    reference *d = NULL;
    err e = {0};
    expect_ok(ops_cpu_create(1, &by, &e), &e);
    expect_ok(forward_single(model, &o, by, NULL, &r, &e), &e);
    forward_report_free(&r);
    by->destroy(by);
    expect_ok(reference_open(scratch("dump"), &d, &e), &e);
    return d;
}

START_TEST(biases)
{
    float states[TOKENS * HIDDEN], logits[TOKENS * VOCAB];
    err e = {0};
    ck_assert_int_eq(mkdir(scratch("model"), 0777), 0);
    small_checkpoint_write(&(small_model){tensors, COUNT(tensors), config, 7}, scratch("model"));
    expect_ok(store_open(scratch("model"), NULL, &model, &e), &e);
    reference *const d = dump();
    expect_ok(reference_read_rows(d, "hidden.1", 0, TOKENS, HIDDEN, states, &e), &e);
    expect_ok(reference_read_rows(d, "logits", 0, TOKENS, VOCAB, logits, &e), &e);
    for (int t = 0; t < TOKENS; t++) {
        double x[HIDDEN], a[HIDDEN], y[VOCAB];
        const float *const embedding = tensor_of("model.embed_tokens.weight");
        for (int i = 0; i < HIDDEN; i++) {
            x[i] = (double)embedding[ids[t] * HIDDEN + i];
        }
        attend(x, t);
        feed_forward(x);
        expect_near(states + (size_t)t * HIDDEN, x, HIDDEN, "state");
        norm(x, "model.norm.weight", a);
        linear("lm_head", a, HIDDEN, y, VOCAB, false);
        expect_near(logits + (size_t)t * VOCAB, y, VOCAB, "logit");
    }
    reference_close(d);
    store_close(model);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("forward_llama");
    tcase_add_checked_fixture(t, conversion_setup, scratch_remove);
    tcase_add_test(t, biases);
    return run_tests("forward_llama", t);
}

/* The config of a source may promise that its scales are powers of two. An export repeats that only if it is
 * true of every scale that it writes. */
#include <check.h>

#include "convert/export/export.h"
#include "format/base/num.h"
#include "tests/aid/conversion.h"
#include "tests/aid/fp8_case.h"

static const fp8_case cases[] = {
    {"model.layers.0.mlp.up_proj.weight", "_scale_inv", DTYPE_F32, 2, {300, 200}, 128, 128, 0, {0}},
    {"model.layers.1.mlp.up_proj.weight",
     "_scale_inv",
     DTYPE_BF16,
     2,
     {700, 200},
     128,
     128,
     0,
     {0}},
    {"model.layers.2.mlp.experts.0.up_proj.weight",
     "_scale_inv",
     DTYPE_F32,
     2,
     {100, 300},
     128,
     128,
     0,
     {0}},
    {"model.layers.2.mlp.experts.1.up_proj.weight",
     "_scale_inv",
     DTYPE_F32,
     2,
     {100, 300},
     128,
     128,
     0,
     {0}},
};

static made_checkpoint made;
static char packed[512], output[512];

/* fp8_add adds the weight, then its scales. */
static made_tensor *scales_of(int i)
{
    return &made.tensors[2 * i + 1];
}

/* Clears the bits after the exponent, or sets the last of them in scale `at`. */
static void make_powers(made_tensor *s)
{
    const size_t each = dtype_bits(s->type) / 8;
    for (uint64_t i = 0; i < s->elements; i++) {
        unsigned char *const p = s->data + i * each;
        memset(p, 0, each - 2);
        p[each - 2] &= 0x80;
    }
}

static void spoil(made_tensor *s, uint64_t at)
{
    s->data[at * (dtype_bits(s->type) / 8)] |= 1;
}

static void setup(void)
{
    uint64_t state = random_seed(0);
    conversion_setup();
    for (int i = 0; i < COUNT(cases); i++) {
        fp8_add(&made, &cases[i], &state);
        made_tensor *const s = scales_of(i);
        make_powers(s);
    }
    snprintf(packed, sizeof packed, "%s", scratch("out/p"));
    snprintf(output, sizeof output, "%s", scratch("exported"));
}

static void end(void)
{
    made_free(&made);
    scratch_remove();
}

static void convert(bool promised)
{
    conversion r = conversion_with(1, PLENTY * MIB);
    made_write(&made, scratch("in"), 1);
    scratch_text("in/config.json", promised
                                       ? "{\"quantization_config\":{\"quant_method\":\"fp8\","
                                         "\"weight_block_size\":[128,128],\"scale_fmt\":\"ue8m0\"}}"
                                       : "{\"quantization_config\":{\"quant_method\":\"fp8\","
                                         "\"weight_block_size\":[128,128]}}");
    conversion_succeeds(&r);
}

static err_code prepare(preset_id id, export_job *job, err *e)
{
    const export_options o = {.path = packed,
                              .output = output,
                              .preset = &preset_table[id],
                              .dequantize = id == PRESET_BF16,
                              .shard_bytes = 1 << 30,
                              .threads = 1,
                              .memory = 64 * MIB};
    return export_prepare(&o, NULL, job, e);
}

/* The format that the export claims, and the first record that makes it claim less; NULL: none. */
static void expect_scales(preset_id id, scale_format format, const char *not_pow2)
{
    export_job job = {0};
    err e = {0};
    expect_ok(prepare(id, &job, &e), &e);
    ck_assert_int_eq(job.plan.block.scale, format);
    if (not_pow2) {
        ck_assert_str_eq(job.plan.not_pow2, not_pow2);
    } else {
        ck_assert_ptr_null(job.plan.not_pow2);
    }
    export_close(&job);
}

START_TEST(a_promise_that_is_kept)
{
    convert(true);
    expect_scales(PRESET_VLLM, SCALES_UE8M0, NULL);
    expect_scales(PRESET_BF16, SCALES_UE8M0, NULL);
}
END_TEST

START_TEST(no_promise)
{
    convert(false);
    expect_scales(PRESET_VLLM, SCALES_F32, NULL);
}
END_TEST

/* The first and the last scale of each record count. */
START_TEST(a_promise_that_is_not)
{
    static const char *const names[] = {"model.layers.0.mlp.up_proj.weight_scale_inv",
                                        "model.layers.1.mlp.up_proj.weight_scale_inv",
                                        "model.layers.2.mlp.experts.*.up_proj.weight_scale_inv",
                                        "model.layers.2.mlp.experts.*.up_proj.weight_scale_inv"};
    made_tensor *const s = scales_of(_i / 2);
    spoil(s, _i % 2 ? s->elements - 1 : 0);
    convert(true);
    expect_scales(PRESET_VLLM, SCALES_F32, names[_i / 2]);
    expect_scales(PRESET_BF16, SCALES_UE8M0, NULL); /* which has no scales */
}
END_TEST

START_TEST(damaged_scales)
{
    export_job job = {0};
    pack_file *p = NULL;
    err e = {0};
    convert(true);
    expect_ok(pack_open(packed, &p, &e), &e);
    const pack_record *const r =
        pack_table_find(&p->table, "model.layers.1.mlp.up_proj.weight_scale_inv");
    ck_assert_ptr_nonnull(r);
    FILE *const f = fopen(packed, "r+b");
    ck_assert(fseek(f, (long)r->off, SEEK_SET) == 0 && fputc(1, f) == 1 && fclose(f) == 0);
    pack_close(p);
    expect_error(prepare(PRESET_VLLM, &job, &e), ERR_DAMAGED, &e,
                 "model.layers.1.mlp.up_proj.weight_scale_inv");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("export_scales");
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_test(tc, a_promise_that_is_kept);
    tcase_add_test(tc, no_promise);
    tcase_add_loop_test(tc, a_promise_that_is_not, 0, 2 * COUNT(cases));
    tcase_add_test(tc, damaged_scales);
    return run_tests("export_scales", tc);
}

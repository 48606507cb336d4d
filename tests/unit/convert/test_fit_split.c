/* Which pieces of a matrix are whole tiles: cases calculated by hand. */
#include "convert/fit/fit_split.h"
#include "tests/aid/expect.h"

/* Ring-mini: 16 heads, 4 of k and v, of 128. Gated DeltaNet: 16 and 32 heads of 128; Mamba-2: 64 heads of
 * 64, 8 groups of 128 states. */
static const fit_model mini = {.known = true,
                               .heads = 16,
                               .kv_heads = 4,
                               .head_dim = 128,
                               .delta_k = 2048,
                               .delta_v = 4096,
                               .mamba_heads = 64,
                               .mamba_inner = 4096,
                               .mamba_state = 1024};

static const block_format tiles = {128, 128, DTYPE_F8_E4M3, SCALES_F32};

enum { YES, NO };

static const struct {
    const char *module;
    uint64_t rows, cols;
    bool joined;
    uint64_t devices;
    int answer;
    const char *part; /* of the first piece that is not whole tiles */
    uint64_t size, split;
} cases[] = {
    /* Alone on one device anything goes; k of one head is 128 rows, however many devices. */
    {"model.layers.0.self_attn.q_proj", 192, 100, false, 1, YES, NULL, 0, 0},
    {"q_proj", 2048, 100, false, 16, YES, NULL, 0, 0},
    {"q_proj", 2048, 100, false, 32, NO, NULL, 2048, 32},
    {"k_proj", 512, 100, false, 4, YES, NULL, 0, 0},
    {"k_proj", 512, 100, false, 16, YES, NULL, 0, 0},
    {"v_proj", 256, 100, false, 8, NO, NULL, 256, 4},
    {"q_proj", 192, 100, true, 1, NO, NULL, 192, 1},
    /* 2048 + 2 x 512 rows, and 3 x 2048 of linear attention. */
    {"a.query_key_value", 3072, 2048, true, 8, YES, NULL, 0, 0},
    {"a.query_key_value", 3072, 2048, true, 32, NO, "q", 2048, 32},
    {"a.query_key_value", 6144, 2048, true, 16, YES, NULL, 0, 0},
    {"a.query_key_value", 6144, 2048, true, 3, NO, "q", 2048, 3},
    {"a.query_key_value", 5000, 2048, true, 3, YES, NULL, 0, 0},
    /* Halves of 320 rows end within a tile; of 512 they may be cut in four. */
    {"x.gate_up_proj", 640, 100, true, 1, NO, "gate", 320, 1},
    {"x.gate_up_proj", 640, 100, false, 1, YES, NULL, 0, 0},
    {"x.gate_up_proj", 1024, 100, true, 4, YES, NULL, 0, 0},
    {"x.gate_up_proj", 1024, 100, true, 8, NO, "gate", 512, 8},
    {"x.gate_proj", 5120, 100, true, 8, YES, NULL, 0, 0},
    {"x.up_proj", 512, 100, true, 8, NO, NULL, 512, 8},
    {"x.w1", 14336, 100, true, 16, YES, NULL, 0, 0},
    /* Rows do not matter where columns are cut. */
    {"x.down_proj", 200, 512, false, 4, YES, NULL, 0, 0},
    {"x.down_proj", 200, 512, false, 8, NO, NULL, 512, 8},
    {"x.down_proj", 200, 500, false, 1, YES, NULL, 0, 0},
    {"x.o_proj", 200, 500, false, 3, NO, NULL, 500, 3},
    {"x.dense", 200, 2048, false, 16, YES, NULL, 0, 0},
    {"x.w2", 200, 14336, false, 128, NO, NULL, 14336, 128},
    /* Never cut: q_a_proj has to end on a tile if something comes after it. */
    {"x.q_a_proj", 1536, 100, true, 64, YES, NULL, 0, 0},
    {"x.q_a_proj", 1500, 100, true, 1, NO, NULL, 1500, 1},
    {"x.q_a_proj", 1500, 100, false, 8, YES, NULL, 0, 0},
    {"x.kv_a_proj_with_mqa", 576, 100, true, 8, YES, NULL, 0, 0},
    {"x.kv_b_proj", 32768, 100, false, 8, YES, NULL, 0, 0},
    /* q, k and v of Gated DeltaNet; z goes with them. */
    {"x.in_proj_qkv", 8192, 100, true, 16, YES, NULL, 0, 0},
    {"x.in_proj_qkv", 8192, 100, true, 32, NO, "q", 2048, 32},
    {"x.in_proj_z", 4000, 100, true, 1, NO, NULL, 4000, 1},
    {"x.in_proj_qkvz", 12288, 100, false, 16, YES, NULL, 0, 0},
    {"x.f_proj", 2048, 100, false, 16, YES, NULL, 0, 0},
    /* Mamba-2: the steps of 64 heads end within a tile. */
    {"x.in_proj", 10304, 100, true, 1, NO, "dt", 64, 1},
    {"x.in_proj", 10304, 100, true, 16, NO, "B", 1024, 16},
    {"x.in_proj", 3 * 2048, 100, true, 5, YES, NULL, 0, 0},
    /* Indexers are never cut. */
    {"x.indexer.wq_b", 200, 100, false, 8, YES, NULL, 0, 0},
    /* ... and one that is dequantized has to show how wide its tiles are. */
    {"x.indexer.wk", 128, 7168, true, 8, YES, NULL, 0, 0},
    {"x.indexer.wk", 96, 100, true, 1, YES, NULL, 0, 0},
    {"x.indexer.wk", 128, 160, true, 1, NO, NULL, 160, 1},
    {"x.indexer.wk", 192, 256, true, 1, NO, NULL, 192, 1},
    {"x.indexer.wk", 192, 160, false, 1, YES, NULL, 0, 0},
    /* Unknown modules are not checked. */
    {"lm_head", 100, 100, false, 8, YES, NULL, 0, 0},
};

START_TEST(pieces_are_whole)
{
    fit_layout l = fit_layout_of(cases[_i].module, cases[_i].rows, cases[_i].cols, tiles, &mini);
    fit_fault f = {0};
    ck_assert(!l.joined);
    l.joined = cases[_i].joined;
    const bool whole = fit_whole(&l, cases[_i].devices, &f);
    ck_assert_msg(whole == (cases[_i].answer == YES), "%s", cases[_i].module);
    if (!whole) {
        ck_assert_pstr_eq(f.part, cases[_i].part);
        ck_assert_uint_eq(f.size, cases[_i].size);
        ck_assert_uint_eq(f.split, cases[_i].split);
    }
}
END_TEST

START_TEST(layouts)
{
    const fit_model unknown = {0};
    ck_assert_int_eq(fit_layout_of("x.query_key_value", 3072, 1, tiles, &unknown).cut, CUT_UNKNOWN);
    ck_assert_int_eq(fit_layout_of("x.query_key_value", 3072, 1, tiles, &mini).cut, CUT_ROWS);
    ck_assert_int_eq(fit_layout_of("x.query_key_value", 5000, 1, tiles, &mini).cut, CUT_UNKNOWN);
    ck_assert_int_eq(fit_layout_of("x.gate_up_proj", 513, 1, tiles, &mini).cut, CUT_UNKNOWN);
    ck_assert_int_eq(fit_layout_of("x.my_q_proj", 512, 1, tiles, &mini).cut, CUT_UNKNOWN);
    ck_assert_uint_eq(fit_layout_of("x.k_proj", 512, 1, tiles, &unknown).parts[0].pieces, 0);
    ck_assert_int_eq(fit_layout_of("x.in_proj_qkv", 8191, 1, tiles, &mini).cut, CUT_UNKNOWN);
    ck_assert_int_eq(fit_layout_of("x.in_proj", 10303, 1, tiles, &mini).cut, CUT_UNKNOWN);
    ck_assert_int_eq(fit_layout_of("x.wq_b", 10303, 1, tiles, &mini).cut, CUT_UNKNOWN);
    ck_assert_int_eq(fit_layout_of("x.indexer.wk", 128, 1, tiles, &mini).cut, CUT_NONE);
    /* vLLM accepts a last part that ends within a tile, on one device. */
    fit_fault f = {0};
    fit_layout in = fit_layout_of("x.in_proj", 10304, 1, tiles, &mini);
    in.joined = in.loose = true;
    ck_assert(fit_whole(&in, 1, &f));
    ck_assert(!fit_whole(&in, 2, &f));
    ck_assert_str_eq(f.part, "dt");
    const fit_layout q = fit_layout_of("x.q_proj", 512, 1, tiles, &mini);
    ck_assert_str_eq(q.joined_with[0], "k_proj");
    ck_assert_str_eq(q.joined_with[1], "v_proj");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("fit_split");
    tcase_add_loop_test(tc, pieces_are_whole, 0, COUNT(cases));
    tcase_add_test(tc, layouts);
    return run_tests("fit_split", tc);
}

/* A run allocates exactly the memory that its layers use: all of it, and never more (which
 * run_scratch asserts while models run). */
#include "tests/aid/config_case.h"
#include "verify/model/model_run.h"

enum { HEADS = 6, KV = 2, DIM = 32, HIDDEN = 192, DENSE_MLP = 320 }; /* of both texts */

static model_run sized(const char *text, const char *patch, size_t sequences, size_t length)
{
    static float nothing[HEADS]; /* for decays */
    return (model_run){.config = good(text, patch),
                       .sequences = sequences,
                       .length = length,
                       .cos = nothing,
                       .sin = nothing,
                       .decay = nothing,
                       .bias = nothing};
}

static void measure(model_run *run, unsigned tracks)
{
    err e = {0};
    run->track_count = tracks;
    expect_ok(run_measure(run, &run->scratch_floats, &run->state_floats, &e), &e);
    ck_assert_ptr_null(run->hidden);
    ck_assert_ptr_null(run->tracks);
}

/* Softmax attention of one sequence: norm(x), qkv, the result, and its projection. */
START_TEST(long_sequences)
{
    model_run run = sized(softmax_text, "{}", 3, 2000);
    measure(&run, 1);
    const size_t heads = (size_t)HEADS * DIM;
    ck_assert_uint_eq(run.scratch_floats, 2000 * (HIDDEN + heads + 2 * KV * DIM + heads + HIDDEN));
    ck_assert_uint_eq(run.state_floats, 2 * KV * DIM * 2000);
}
END_TEST

/* Linear layers have as many keys as queries, and a gate. */
START_TEST(linear_layers)
{
    model_run run = sized(linear_text, "{}", 3, 1000);
    measure(&run, 1);
    const size_t heads = (size_t)HEADS * DIM;
    ck_assert_uint_eq(run.scratch_floats, 1000 * (HIDDEN + 3 * heads + heads + heads + HIDDEN));
    ck_assert_uint_eq(run.state_floats, 2 * KV * DIM * 1000);
    run = sized(linear_text, "{}", 3, 5);
    measure(&run, 1);
    ck_assert_uint_eq(run.state_floats, HEADS * DIM * DIM);
}
END_TEST

/* Short sequences fill a block together; the widest MLP is that of the dense layer. */
START_TEST(blocks)
{
    model_run run = sized(softmax_text, "{}", 1000, 7);
    measure(&run, 1);
    ck_assert_uint_eq(run.scratch_floats, RUN_BLOCK * (2 * HIDDEN + 2 * DENSE_MLP));
    run = sized(softmax_text, "{}", 3, 7);
    measure(&run, 1);
    ck_assert_uint_eq(run.scratch_floats, 21 * (2 * HIDDEN + 2 * DENSE_MLP));
    run = sized(softmax_text,
                "{\"first_k_dense_replace\":0,\"num_experts\":800,\"n_group\":1,"
                "\"topk_group\":1}",
                1000, 7);
    measure(&run, 1);
    ck_assert_uint_eq(run.scratch_floats, RUN_BLOCK * 800);
}
END_TEST

/* The head norms all tracks. */
START_TEST(heads_of_many_tracks)
{
    model_run run = sized(softmax_text, "{}", 1000, 7);
    measure(&run, 6);
    ck_assert_uint_eq(run.scratch_floats, RUN_BLOCK * 6 * HIDDEN);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("run_measure");
    tcase_add_test(t, long_sequences);
    tcase_add_test(t, linear_layers);
    tcase_add_test(t, blocks);
    tcase_add_test(t, heads_of_many_tracks);
    return run_tests("run_measure", t);
}

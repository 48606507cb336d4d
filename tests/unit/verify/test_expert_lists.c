/* Lists of tokens by expert: by hand, and at random against a search through all routings. */
#include "verify/model/expert_lists.h"

#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

static expert_lists create(const model_run *run)
{
    expert_lists l;
    err e = {0};
    expect_ok(expert_lists_create(run, &l, &e), &e);
    return l;
}

static void expect_list(const expert_lists *l, unsigned number, unsigned expert, size_t count,
                        const uint32_t *rows, const float *weights)
{
    const expert_list found = expert_lists_get(l, number, expert);
    ck_assert_uint_eq(found.count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(found.rows[i], rows[i]);
        ck_assert_float_eq(found.weights[i], weights[i]);
    }
}

/* Track 0 chooses experts 1, 3 and 4; track 1 is forced to 0 and 3, whatever it selected. */
START_TEST(two_tracks)
{
    routing selected = {(uint32_t[]){1, 3, 1, 4, 3, 4, 1, 3}, (float[]){1, 2, 3, 4, 5, 6, 7, 8}};
    const routing forced = {(uint32_t[]){0, 3, 0, 3, 0, 3, 0, 3},
                            (float[]){10, 20, 30, 40, 50, 60, 70, 80}};
    track tracks[] = {{.selected = selected}, {.selected = selected, .forced = &forced}};
    const model_run run = {.config = {.experts = 6, .top_k = 2},
                           .sequences = 2,
                           .length = 2,
                           .tracks = tracks,
                           .track_count = 2};
    expert_lists l = create(&run);
    expect_list(&l, 0, 0, 0, NULL, NULL);
    expect_list(&l, 0, 1, 3, (uint32_t[]){0, 1, 3}, (float[]){1, 3, 7});
    expect_list(&l, 0, 2, 0, NULL, NULL);
    expect_list(&l, 0, 3, 3, (uint32_t[]){0, 2, 3}, (float[]){2, 5, 8});
    expect_list(&l, 0, 4, 2, (uint32_t[]){1, 2}, (float[]){4, 6});
    expect_list(&l, 1, 0, 4, (uint32_t[]){0, 1, 2, 3}, (float[]){10, 30, 50, 70});
    expect_list(&l, 1, 1, 0, NULL, NULL);
    expect_list(&l, 1, 3, 4, (uint32_t[]){0, 1, 2, 3}, (float[]){20, 40, 60, 80});
    expect_list(&l, 1, 5, 0, NULL, NULL);
    static const unsigned next[] = {0, 1, 3, 3, 4, 6, 6};
    for (unsigned i = 0; i < COUNT(next); i++) {
        ck_assert_uint_eq(expert_lists_next(&l, i), next[i]);
    }
    expert_lists_free(&l);
    ck_assert_ptr_null(l.rows);
    expert_lists_free(&l);
}
END_TEST

START_TEST(no_tracks)
{
    const model_run run = {.config = {.experts = 3, .top_k = 2}, .sequences = 1, .length = 5};
    expert_lists l = create(&run);
    ck_assert_uint_eq(expert_lists_next(&l, 0), 3);
    expert_lists_free(&l);
}
END_TEST

/* ---- random ---------------------------------------------------- */

enum { TRACKS = 3, ROUNDS = 50, MOST_EXPERTS = 20, MOST_CHOICES = 40 * 4 };

static unsigned below(uint64_t *seed, unsigned n)
{
    return (unsigned)(oracle_random(seed) % n);
}

/* Distinct and ascending within each token. */
static void choose(const model_run *run, uint64_t *seed, routing *r)
{
    const unsigned k = run->config.top_k;
    for (size_t t = 0; t < run_tokens(run); t++) {
        unsigned from = 0;
        for (unsigned i = 0; i < k; i++) {
            from += below(seed, run->config.experts - k + i + 1 - from);
            r->index[t * k + i] = from++;
            r->weights[t * k + i] = (float)below(seed, 1000);
        }
    }
}

static void expect_all(const model_run *run, const expert_lists *l)
{
    const unsigned k = run->config.top_k;
    for (unsigned s = 0; s < TRACKS; s++) {
        const routing *const r = &run->tracks[s].selected;
        for (unsigned x = 0; x < run->config.experts; x++) {
            uint32_t rows[MOST_CHOICES];
            float weights[MOST_CHOICES];
            size_t count = 0;
            for (size_t i = 0; i < run_tokens(run) * k; i++) {
                if (r->index[i] == x) {
                    rows[count] = (uint32_t)(i / k);
                    weights[count++] = r->weights[i];
                }
            }
            expect_list(l, s, x, count, rows, weights);
            ck_assert(count == 0 || expert_lists_next(l, x) == x);
        }
    }
}

START_TEST(random_choices)
{
    static uint32_t index[TRACKS][MOST_CHOICES];
    static float weights[TRACKS][MOST_CHOICES];
    uint64_t seed = random_seed(_i);
    track tracks[TRACKS] = {{0}};
    model_run run = {.tracks = tracks, .track_count = TRACKS};
    run.config.top_k = 1 + below(&seed, 4);
    run.config.experts = run.config.top_k + below(&seed, MOST_EXPERTS - 4);
    run.sequences = 1 + below(&seed, 4);
    run.length = 1 + below(&seed, 10);
    for (unsigned s = 0; s < TRACKS; s++) {
        tracks[s].selected = (routing){index[s], weights[s]};
        choose(&run, &seed, &tracks[s].selected);
    }
    expert_lists l = create(&run);
    expect_all(&run, &l);
    expert_lists_free(&l);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("expert_lists");
    tcase_add_test(t, two_tracks);
    tcase_add_test(t, no_tracks);
    tcase_add_loop_test(t, random_choices, 0, ROUNDS);
    return run_tests("expert_lists", t);
}

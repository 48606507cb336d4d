/* The example of a Ring model and its packed form, both open, with what Python computed of them.
 *
 *     tcase_add_checked_fixture(t, forward_case_setup, forward_case_end);
 *     forward_options o = of_tokens(2, 96);
 *     const forward_report r = run_single(from_source, &o);
 *     reference *const d = dumped(from_packed, &o);            what it computes, read back
 *     expect_near(d, "hidden.3", golden_w8, "hidden_w8.3", 192);
 */
#ifndef FORWARD_CASE_H
#define FORWARD_CASE_H

#include <math.h>

#include "format/base/num.h"
#include "tests/aid/conversion.h"
#include "verify/forward/forward.h"
#include "verify/ops/ops_cpu.h"

enum { HIDDEN = 192, LAYERS = 5, VOCAB = 512, SEQUENCES = 2, LENGTH = 96 };
enum { TOKENS = SEQUENCES * LENGTH, DENSE = 1, SOFTMAX = 4 }; /* layer 0; layer 4 */

/* Bound for the difference of float32 sums in two orders. */
#define NEAR 1e-5

static store *from_source, *from_packed;
static reference *golden, *golden_w8;
static int32_t ids[TOKENS];
static ops *on_cpu;

static inline const char *test_data(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("TESTDATA"), name);
    return path;
}

static inline store *open_model(const char *path)
{
    store *s = NULL;
    err e = {0};
    expect_ok(store_open(path, NULL, &s, &e), &e);
    return s;
}

static inline reference *open_reference(const char *path)
{
    reference *r = NULL;
    err e = {0};
    expect_ok(reference_open(path, &r, &e), &e);
    return r;
}

static inline ops *create_cpu(unsigned threads)
{
    ops *o = NULL;
    err e = {0};
    expect_ok(ops_cpu_create(threads, &o, &e), &e);
    return o;
}

static inline void read_ids(void)
{
    uint32_t *found = NULL;
    size_t sequences = 0;
    size_t length = 0;
    err e = {0};
    expect_ok(reference_ids(golden, &found, &sequences, &length, &e), &e);
    ck_assert(sequences == SEQUENCES && length == LENGTH);
    for (int i = 0; i < TOKENS; i++) {
        ids[i] = (int32_t)found[i];
    }
    free(found);
}

static inline void forward_case_setup(void)
{
    conversion_setup();
    conversion c = conversion_with(2, PLENTY * MIB);
    c.options.source = test_data("ring-micro-linear");
    conversion_succeeds(&c);
    from_source = open_model(test_data("ring-micro-linear"));
    from_packed = open_model(scratch("out/p"));
    golden = open_reference(test_data("golden/ring-micro-linear/golden.safetensors"));
    golden_w8 = open_reference(test_data("golden/ring-micro-linear/golden_w8.safetensors"));
    read_ids();
    on_cpu = create_cpu(2);
}

static inline void forward_case_end(void)
{
    on_cpu->destroy(on_cpu);
    reference_close(golden);
    reference_close(golden_w8);
    store_close(from_source);
    store_close(from_packed);
    scratch_remove();
}

/* ---- running --------------------------------------------------- */

/* The first tokens of the example, float32, all at once. */
static inline forward_options of_tokens(size_t sequences, size_t length)
{
    ck_assert_uint_le(sequences * length, TOKENS);
    return (forward_options){.ids = ids,
                             .sequences = sequences,
                             .length = length,
                             .f32 = true,
                             .prefill = true,
                             .threads = 2,
                             .memory = PLENTY * MIB};
}

static inline forward_report run_single(store *model, const forward_options *o)
{
    forward_report r;
    err e = {0};
    expect_ok(forward_single(model, o, on_cpu, NULL, &r, &e), &e);
    return r;
}

static inline forward_report run_compare(store *a, store *b, const forward_options *o)
{
    forward_report r;
    err e = {0};
    expect_ok(forward_compare(a, b, o, on_cpu, NULL, &r, &e), &e);
    return r;
}

static inline reference *dumped(store *model, const forward_options *o)
{
    forward_options with = *o;
    with.dump = scratch("dump");
    with.force = true;
    forward_report r = run_single(model, &with);
    forward_report_free(&r);
    return open_reference(scratch("dump"));
}

/* ---- comparing ------------------------------------------------- */

/* A whole file; the caller frees its bytes. */
typedef struct image {
    char *bytes;
    size_t count;
} image;

static inline image read_image(const char *path)
{
    image f = {0};
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    f.count = (size_t)st.st_size;
    f.bytes = malloc(f.count);
    FILE *const file = fopen(path, "rb");
    ck_assert(file && f.bytes);
    ck_assert_uint_eq(fread(f.bytes, 1, f.count, file), f.count);
    ck_assert_int_eq(fclose(file), 0);
    return f;
}

/* Rows of a tensor; the caller frees them. */
static inline float *read_tensor(const reference *r, const char *name, size_t first, size_t rows,
                                 size_t cols)
{
    float *const values = malloc(rows * cols * sizeof *values);
    err e = {0};
    ck_assert_ptr_nonnull(values);
    expect_ok(reference_read_rows(r, name, first, rows, cols, values, &e), &e);
    return values;
}

static inline double tensors_rms(const reference *a, const char *a_name, const reference *b,
                                 const char *b_name, size_t cols)
{
    float *const x = read_tensor(a, a_name, 0, TOKENS, cols);
    float *const y = read_tensor(b, b_name, 0, TOKENS, cols);
    hidden_sums sums = {0};
    hidden_sums_add(&sums, y, x, TOKENS * cols);
    free(x);
    free(y);
    return hidden_relative_rms(&sums);
}

#define expect_near(a, a_name, b, b_name, cols)                                                    \
    do {                                                                                           \
        const double near_rms = tensors_rms(a, a_name, b, b_name, cols);                           \
        ck_assert_msg(near_rms <= NEAR, "%s and %s: %g", a_name, b_name, near_rms);                \
    } while (0)

#endif

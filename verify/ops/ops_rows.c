/* Operations that compute every row independently. A task is enough rows to be worth handing to
 * another thread. */
#include <string.h>

#include "format/base/num.h"
#include "format/tensor/widen.h"
#include "verify/ops/ops_state.h"

/* Floats of a task, a few microseconds of work. */
enum { TASK_FLOATS = 16 * 1024 };

typedef struct row_job row_job;

struct row_job {
    const row_kernel *kernel;
    void (*row)(const row_job *j, size_t row);
    size_t rows, task_rows;
    mat x, y, z;
    size_t groups; /* of a row, or heads */
    const float *w;
    size_t w_pitch; /* from group to group; 0: all groups use the same */
    float eps;
    rotation rotation;
    const float *cos, *sin, *weights;
    const uint32_t *index;
};

static float *row_of(mat m, size_t row)
{
    return m.data + row * m.stride;
}

static void do_rows(void *ctx, unsigned worker, size_t task)
{
    const row_job *const j = ctx;
    (void)worker;
    const size_t first = task * j->task_rows;
    const size_t end = num_min(first + j->task_rows, j->rows);
    for (size_t i = first; i < end; i++) {
        j->row(j, i);
    }
}

/* Do all rows, each `cols` floats. */
static void run(ops_state *s, row_job *j, size_t rows, size_t cols)
{
    if (rows == 0 || cols == 0) {
        return;
    }
    j->kernel = s->row;
    j->rows = rows;
    j->task_rows = num_ceil_div(TASK_FLOATS, cols);
    thread_pool_run(s->pool, num_ceil_div(rows, j->task_rows), do_rows, j);
}

/* ---- one row of each operation --------------------------------- */

static void zero_row(const row_job *j, size_t row)
{
    memset(row_of(j->x, row), 0, j->x.cols * sizeof(float));
}

static void add_row(const row_job *j, size_t row)
{
    j->kernel->add(row_of(j->x, row), row_of(j->y, row), j->x.cols);
}

static void norm_row(const row_job *j, size_t row)
{
    const size_t n = j->x.cols / j->groups;
    for (size_t g = 0; g < j->groups; g++) {
        j->kernel->norm(row_of(j->x, row) + g * n, n, j->w + g * j->w_pitch, j->eps,
                        row_of(j->y, row) + g * n);
    }
}

static void gate_row(const row_job *j, size_t row)
{
    const size_t n = j->x.cols / j->groups;
    for (size_t g = 0; g < j->groups; g++) {
        j->kernel->gate(row_of(j->x, row) + g * n, n, j->w + g * j->w_pitch, j->eps,
                        row_of(j->z, row) + g * n, row_of(j->y, row) + g * n);
    }
}

static void rope_row(const row_job *j, size_t row)
{
    const size_t n = j->x.cols / j->groups;
    const size_t half = j->rotation.half;
    const float *const cos = j->cos + row * half;
    const float *const sin = j->sin + row * half;
    for (size_t h = 0; h < j->groups; h++) {
        float *const x = row_of(j->x, row) + h * n + j->rotation.offset;
        if (j->rotation.interleaved) {
            j->kernel->rope_interleaved(x, half, cos, sin);
        } else {
            j->kernel->rope(x, half, cos, sin);
        }
    }
}

static void add_bias_row(const row_job *j, size_t row)
{
    j->kernel->add(row_of(j->x, row), j->w, j->x.cols);
}

static void silu_row(const row_job *j, size_t row)
{
    j->kernel->silu(row_of(j->x, row), j->x.cols, row_of(j->x, row));
}

static void silu_mul_row(const row_job *j, size_t row)
{
    j->kernel->silu_mul(row_of(j->x, row), row_of(j->z, row), j->x.cols, row_of(j->y, row));
}

static void gather_row(const row_job *j, size_t row)
{
    memcpy(row_of(j->y, row), row_of(j->x, j->index[row]), j->y.cols * sizeof(float));
}

static void scatter_row(const row_job *j, size_t row)
{
    j->kernel->add_weighted(row_of(j->x, j->index[row]), j->weights[row], row_of(j->y, row),
                            j->y.cols);
}

/* ---- the operations -------------------------------------------- */

void ops_rows_zero(ops *o, mat x)
{
    ops_state *const s = ops_state_of(o);
    if (!ops_failed(s)) {
        run(s, &(row_job){.row = zero_row, .x = x}, x.rows, x.cols);
    }
}

void ops_rows_add(ops *o, mat x, mat y)
{
    ops_state *const s = ops_state_of(o);
    if (!ops_failed(s)) {
        run(s, &(row_job){.row = add_row, .x = x, .y = y}, x.rows, x.cols);
    }
}

static float element(const weight *w, size_t i)
{
    switch (w->type) {
    case DTYPE_BF16:
        return bf16_widen(((const uint16_t *)w->data)[i]);
    case DTYPE_F16:
        return f16_widen(((const uint16_t *)w->data)[i]);
    default:
        return ((const float *)w->data)[i];
    }
}

/* Widen a vector into j->w. False: no memory. */
static bool set_vector(ops_state *s, row_job *j, const weight *w)
{
    float *const wide = ops_common_space(s, w->cols);
    if (!wide) {
        return false;
    }
    for (size_t i = 0; i < w->cols; i++) {
        wide[i] = element(w, i);
    }
    j->w = wide;
    return true;
}

/* Set the weight of a norm of `groups` parts of rows of `cols` floats. False: no memory. */
static bool set_norm(ops_state *s, row_job *j, size_t cols, size_t groups, const weight *w)
{
    if (!set_vector(s, j, w)) {
        return false;
    }
    j->groups = groups;
    j->w_pitch = w->cols == cols ? cols / groups : 0;
    return true;
}

void ops_rows_norm(ops *o, mat x, unsigned groups, const weight *w, float eps, mat y)
{
    ops_state *const s = ops_state_of(o);
    row_job j = {.row = norm_row, .x = x, .y = y, .eps = eps};
    if (!ops_failed(s) && set_norm(s, &j, x.cols, groups, w)) {
        run(s, &j, x.rows, x.cols);
    }
}

void ops_rows_gate(ops *o, mat u, unsigned groups, const weight *w, float eps, mat g, mat y)
{
    ops_state *const s = ops_state_of(o);
    row_job j = {.row = gate_row, .x = u, .z = g, .y = y, .eps = eps};
    if (!ops_failed(s) && set_norm(s, &j, u.cols, groups, w)) {
        run(s, &j, u.rows, u.cols);
    }
}

void ops_rows_add_bias(ops_state *s, mat x, const weight *bias)
{
    row_job j = {.row = add_bias_row, .x = x};
    if (!ops_failed(s) && set_vector(s, &j, bias)) {
        run(s, &j, x.rows, x.cols);
    }
}

void ops_rows_rope(ops *o, mat x, unsigned heads, rotation r, const float *cos, const float *sin)
{
    ops_state *const s = ops_state_of(o);
    row_job j = {.row = rope_row, .x = x, .groups = heads, .rotation = r, .cos = cos, .sin = sin};
    if (!ops_failed(s)) {
        run(s, &j, x.rows, x.cols);
    }
}

void ops_rows_silu(ops *o, mat x)
{
    ops_state *const s = ops_state_of(o);
    if (!ops_failed(s)) {
        run(s, &(row_job){.row = silu_row, .x = x}, x.rows, x.cols);
    }
}

void ops_rows_silu_mul(ops *o, mat gate, mat up, mat y)
{
    ops_state *const s = ops_state_of(o);
    if (!ops_failed(s)) {
        run(s, &(row_job){.row = silu_mul_row, .x = gate, .z = up, .y = y}, y.rows, y.cols);
    }
}

void ops_rows_gather(ops *o, mat x, const uint32_t *rows, mat y)
{
    ops_state *const s = ops_state_of(o);
    if (!ops_failed(s)) {
        run(s, &(row_job){.row = gather_row, .x = x, .y = y, .index = rows}, y.rows, y.cols);
    }
}

void ops_rows_scatter(ops *o, mat y, const uint32_t *rows, const float *weights, mat x)
{
    ops_state *const s = ops_state_of(o);
    row_job j = {.row = scatter_row, .x = x, .y = y, .index = rows, .weights = weights};
    if (!ops_failed(s)) {
        run(s, &j, y.rows, y.cols);
    }
}

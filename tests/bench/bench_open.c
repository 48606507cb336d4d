/* How fast a packed file of 100,000 tensors is opened, with all checks of pack_open, from a file in
 * memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "format/pack/pack_build.h"
#include "format/pack/pack_file.h"

enum { TENSORS = 100000, NAME_ROOM = 64, REPETITIONS = 201 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(err_code code, const err *e)
{
    if (code != OK) {
        fprintf(stderr, "bench_open: %s\n", e->text);
        exit(1);
    }
}

/* Small kept tensors, as many for each layer as in a model with unstacked experts. */
static void fill_table(pack_table *t)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        char *const name = t->names + (size_t)i * NAME_ROOM;
        snprintf(name, NAME_ROOM, "model.layers.%u.mlp.experts.%u.up_proj.bias", i / 1000,
                 i % 1000);
        t->records[i] = (pack_record){
            .name = name,
            .type = DTYPE_F32,
            .src_type = DTYPE_F32,
            .ndim = 1,
            .shape = {8},
            .scale_idx = PACK_NO_SCALE,
        };
    }
}

/* The head and tail of such a file; its data is zero and never read here. */
static void write_file(int fd)
{
    err e = {0};
    pack_table table;
    pack_head head = {0};
    pack_tail tail = {0};
    pack_evidence evidence;
    const pack_text nothing = {"", 0};
    must(pack_table_create(TENSORS, (uint64_t)TENSORS * NAME_ROOM, &table, &e), &e);
    fill_table(&table);
    must(pack_table_sort(&table, &e), &e);
    must(pack_head_build(&table, DIGEST_XXH3, nothing, nothing, &head, &e), &e);
    must(pack_evidence_create(&table, DIGEST_XXH3, &evidence, &e), &e);
    must(pack_tail_build(&head, &table, &evidence, nothing, &tail, &e), &e);
    if (pwrite(fd, head.bytes, head.length, 0) != (ssize_t)head.length ||
        pwrite(fd, tail.bytes, tail.length, (off_t)table.data_end) != (ssize_t)tail.length) {
        perror("bench_open");
        exit(1);
    }
    free(head.bytes);
    free(tail.bytes);
    pack_evidence_free(&evidence);
    pack_table_free(&table);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    const int fd = memfd_create("octavo-bench", MFD_CLOEXEC);
    char path[64];
    double seconds[REPETITIONS];
    if (fd < 0) {
        perror("bench_open");
        return 1;
    }
    write_file(fd);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int i = 0; i < REPETITIONS; i++) {
        err e = {0};
        pack_file *p = NULL;
        const double start = now();
        must(pack_open(path, &p, &e), &e);
        seconds[i] = now() - start;
        pack_close(p);
    }
    qsort(seconds, REPETITIONS, sizeof *seconds, compare_doubles);
    printf("%-28s %6.1f ms, limit 10 ms (fastest %.1f)\n", "open and validate 100 k tensors",
           1e3 * seconds[REPETITIONS / 2], 1e3 * seconds[0]);
    close(fd);
    return 0;
}

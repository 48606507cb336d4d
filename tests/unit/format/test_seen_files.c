/* The small files that were read: their names, stamps and digests, from any number of threads. */
#include "tests/aid/scarce.h"

#include <pthread.h>

#include "format/checkpoint/seen_files.h"

enum { THREADS = 4, EACH = 100 };

static void add(seen_files *s, const char *name, const char *data, uint64_t inode)
{
    const file_stamp stamp = {.bytes = strlen(data), .inode = inode};
    err e = {0};
    expect_ok(seen_files_add(s, name, &stamp, data, strlen(data), &e), &e);
}

START_TEST(sorted_by_name)
{
    static const char *const names[] = {"b", "a/c", "config.json", "a"};
    static const char *const sorted[] = {"a", "a/c", "b", "config.json"};
    seen_files *const s = seen_files_new();
    size_t count = 1;
    (void)seen_files_sorted(s, &count);
    ck_assert_uint_eq(count, 0);
    for (int i = 0; i < COUNT(names); i++) {
        add(s, names[i], names[i], (uint64_t)i);
    }
    const seen_file *const files = seen_files_sorted(s, &count);
    ck_assert_uint_eq(count, COUNT(names));
    for (int i = 0; i < COUNT(sorted); i++) {
        unsigned char xxh3[XXH3_BYTES];
        digest_xxh3(sorted[i], strlen(sorted[i]), xxh3);
        ck_assert_str_eq(files[i].name, sorted[i]);
        ck_assert_uint_eq(files[i].stamp.bytes, strlen(sorted[i]));
        ck_assert_mem_eq(files[i].xxh3, xxh3, sizeof xxh3);
        ck_assert_str_eq(names[files[i].stamp.inode], sorted[i]);
    }
    seen_files_free(s);
}
END_TEST

/* Read twice, with other content or another stamp: both are compared at the end of the run. */
START_TEST(a_second_reading_is_kept)
{
    seen_files *const s = seen_files_new();
    size_t count = 0;
    add(s, "config.json", "{}", 1);
    add(s, "config.json", "{ }", 1);
    const seen_file *const files = seen_files_sorted(s, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(files[0].name, files[1].name);
    ck_assert(memcmp(files[0].xxh3, files[1].xxh3, XXH3_BYTES) != 0);
    seen_files_free(s);
    seen_files_free(NULL);
}
END_TEST

static void *add_many(void *ctx)
{
    const file_stamp stamp = {0};
    for (int i = 0; i < EACH; i++) {
        if (seen_files_add(ctx, "name", &stamp, "text", 4, NULL) != OK) {
            return ctx;
        }
    }
    return NULL;
}

START_TEST(from_several_threads)
{
    seen_files *const s = seen_files_new();
    pthread_t threads[THREADS];
    size_t count = 0;
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, s), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = s;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    (void)seen_files_sorted(s, &count);
    ck_assert_uint_eq(count, THREADS * EACH);
    seen_files_free(s);
}
END_TEST

/* What could not be kept is an error, and the list stays as it was. */
static err_code add_some(void *ctx, err *e)
{
    (void)ctx;
    seen_files *const s = seen_files_new();
    const file_stamp stamp = {0};
    err_code code = s ? OK : ERR_MEMORY;
    size_t added = 0, count = 0;
    while (code == OK && added < 40) {
        code = seen_files_add(s, "name", &stamp, "text", 4, e);
        added += code == OK;
    }
    if (s) {
        (void)seen_files_sorted(s, &count);
        code = count == added ? code : ERR_INTERNAL;
    }
    seen_files_free(s);
    return code;
}

START_TEST(without_memory)
{
    expect_scarce(add_some, NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("seen_files");
    tcase_add_test(tc, sorted_by_name);
    tcase_add_test(tc, a_second_reading_is_kept);
    tcase_add_test(tc, from_several_threads);
    tcase_add_test(tc, without_memory);
    return run_tests("seen_files", tc);
}

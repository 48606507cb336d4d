/* Reading many shards from many threads with a bounded number of open files. */
#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_cache.h"
#include "tests/aid/made_dir.h"

enum { SHARDS = 90, THREADS = 40, ROUNDS = 400, BYTES = 64 };

static void make_many(void)
{
    static char index[SHARDS * 64];
    size_t used = (size_t)snprintf(index, sizeof index, "{\"weight_map\":{");
    for (int i = 0; i < SHARDS; i++) {
        char name[32];
        char header[128];
        snprintf(name, sizeof name, "s%02d.safetensors", i);
        snprintf(header, sizeof header,
                 "{\"t%02d\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", i, BYTES,
                 BYTES);
        scratch_safetensors(name, header, BYTES, (unsigned char)i);
        used += (size_t)snprintf(index + used, sizeof index - used, "%s\"t%02d\":\"%s\"",
                                 i ? "," : "", i, name);
    }
    snprintf(index + used, sizeof index - used, "}}");
    scratch_text(INDEX, index);
    scratch_text("config.json", "{}");
}

static int open_files(void)
{
    int count = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d)) {
        count++;
    }
    closedir(d);
    return count;
}

typedef struct reader {
    checkpoint *cp;
    unsigned seed;
    int wrong;
} reader;

static void *read_some(void *argument)
{
    reader *r = argument;
    for (int i = 0; i < ROUNDS; i++) {
        const unsigned n = (unsigned)rand_r(&r->seed) % SHARDS;
        const unsigned off = (unsigned)rand_r(&r->seed) % BYTES;
        unsigned char data[BYTES] = {0};
        err e = {0};
        if (checkpoint_read(r->cp, &r->cp->tensors[n], off, data, BYTES - off, &e) != OK) {
            r->wrong++;
        }
        for (unsigned k = off; k < BYTES; k++) {
            r->wrong += data[k - off] != (unsigned char)(n + k);
        }
    }
    return NULL;
}

START_TEST(reading_from_many_threads)
{
    make_many();
    const int before = open_files();
    checkpoint *cp = open_good("");
    ck_assert_int_eq(open_files(), before);
    pthread_t threads[THREADS];
    reader readers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (reader){cp, 1000 + i, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_some, &readers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(readers[i].wrong, 0);
    }
    ck_assert_int_eq(open_files(), before + SHARD_CACHE_SLOTS);
    checkpoint_close(cp);
    ck_assert_int_eq(open_files(), before);
}
END_TEST

/* The least recently used file is closed: read 0 … 31, touch 0, read 32: now 0 is still open and 1
 * is not. */
START_TEST(the_oldest_file_gives_way)
{
    make_many();
    checkpoint *cp = open_good("");
    shard_cache *cache = shard_cache_new(cp->shards);
    direct_file *files[SHARD_CACHE_SLOTS + 1];
    direct_file *file = NULL;
    err e = {0};
    for (uint32_t i = 0; i <= SHARD_CACHE_SLOTS; i++) {
        ck_assert_int_eq(shard_cache_acquire(cache, i, &files[i], &e), OK);
        shard_cache_release(cache, i);
        ck_assert_int_eq(shard_cache_acquire(cache, 0, &file, &e), OK);
        ck_assert_ptr_eq(file, files[0]);
        shard_cache_release(cache, 0);
    }
    ck_assert_ptr_eq(files[SHARD_CACHE_SLOTS], files[1]);
    const int open = open_files();
    ck_assert_int_eq(shard_cache_acquire(cache, 2, &file, &e), OK);
    ck_assert_ptr_eq(file, files[2]);
    shard_cache_release(cache, 2);
    ck_assert_int_eq(open_files(), open);
    shard_cache_free(cache);
    shard_cache_free(NULL);
    checkpoint_close(cp);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shard_cache");
    TCase *tc = tcase_create("shard_cache");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, reading_from_many_threads);
    tcase_add_test(tc, the_oldest_file_gives_way);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Small files of a model, next to its shards or embedded. */
#include "format/json/json.h"
#include "tests/aid/store_case.h"

START_TEST(small_files)
{
    expect_file(from_source, "config.json", TEXT);
    expect_file(from_packed, "config.json", TEXT);
    expect_file(from_source, "tokenizer.json", NULL);
    expect_file(from_packed, "tokenizer.json", "{}\n");
    expect_file(from_packed, "merges.txt", NULL);
    scratch_text("source/tokenizer.json", "");
    expect_file(from_source, "tokenizer.json", "");
    const small_model without = {tensors, COUNT(tensors), NULL, 3};
    write_packed(&without, false);
    store *const s = open_good(scratch("p"));
    expect_file(s, "config.json", NULL);
    store_close(s);
}
END_TEST

static void expect_no_file(const store *s, const char *name, err_code code, const char *part)
{
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_error(store_file(s, name, &data, &bytes, &e), code, &e, part);
    ck_assert_ptr_null(data);
}

START_TEST(small_files_that_cannot_be_read)
{
    ck_assert_int_eq(symlink("nowhere", scratch("source/link.json")), 0);
    expect_no_file(from_source, "link.json", ERR_IO, "link.json");
    scratch_text("source/large.json", "{}");
    ck_assert_int_eq(truncate(scratch("source/large.json"), JSON_FILE_LIMIT), 0);
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_ok(store_file(from_source, "large.json", &data, &bytes, &e), &e);
    free(data);
    ck_assert_int_eq(truncate(scratch("source/large.json"), JSON_FILE_LIMIT + 1), 0);
    expect_no_file(from_source, "large.json", ERR_INPUT, "more than the limit of 67108864");
}
END_TEST

START_TEST(an_embedded_file_that_is_too_large)
{
    char *const text = malloc(JSON_FILE_LIMIT + 2);
    memset(text, ' ', JSON_FILE_LIMIT + 1);
    text[JSON_FILE_LIMIT + 1] = '\0';
    const small_model large = {tensors, 1, text, 3};
    write_packed(&large, false);
    free(text);
    store *const s = open_good(scratch("p"));
    expect_no_file(s, "config.json", ERR_INPUT,
                   "embedded file config.json: 67108865 bytes, more than the limit of 67108864");
    store_close(s);
}
END_TEST

/* The head has its own digest, so damage is noticed when the file is opened; if it happens later, the
 * file has changed. */
START_TEST(damaged_embedded_files)
{
    const uint64_t at = small_pack_section(&packed, TAG_FILE)->off + 600;
    packed.bytes[at] ^= 1;
    scratch_write("q", packed.bytes, packed.length);
    open_bad(scratch("q"), ERR_DAMAGED, "head: its digest (plan_id) does not match");
    FILE *const f = fopen(scratch("p"), "r+b");
    ck_assert(f && fseek(f, (long)at, SEEK_SET) == 0 && fputc(packed.bytes[at], f) != EOF);
    ck_assert_int_eq(fclose(f), 0);
    expect_no_file(from_packed, "config.json", ERR_IO, "p: changed during the run: it has another");
    char text[400];
    small_pack_sign(&packed, packed.bytes);
    scratch_write("q", packed.bytes, packed.length);
    store *const s = open_good(scratch("q"));
    snprintf(text, sizeof text, "%s: embedded files: not in the canonical form", scratch("q"));
    expect_no_file(s, "config.json", ERR_INPUT, text);
    store_close(s);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("model_store_files");
    tcase_add_checked_fixture(t, store_case_setup, store_case_end);
    tcase_add_test(t, small_files);
    tcase_add_test(t, small_files_that_cannot_be_read);
    tcase_add_test(t, an_embedded_file_that_is_too_large);
    tcase_add_test(t, damaged_embedded_files);
    return run_tests("model_store_files", t);
}

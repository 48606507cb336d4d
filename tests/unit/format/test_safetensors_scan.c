/* Headers of a hundred thousand tensors, and hostile ones, cost little time and little memory. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "format/safetensors/safetensors.h"
#include "format/safetensors/safetensors_scan.h"
#include "tests/aid/expect.h"

/* One field more than a member may have; the text is short enough otherwise. */
START_TEST(fields_are_counted)
{
    const size_t room = (size_t)ST_MAX_FIELDS * 16 + 64;
    char *text = malloc(room);
    ck_assert_ptr_nonnull(text);
    for (int fields = ST_MAX_FIELDS; fields <= ST_MAX_FIELDS + 1; fields++) {
        size_t used = (size_t)snprintf(text, room, "{\"__metadata__\":{");
        for (int i = 0; i < fields; i++) {
            used += (size_t)snprintf(text + used, room - used, "%s\"%x\":\"\"", i ? "," : "", i);
        }
        snprintf(text + used, room - used, "}}");
        st_header h;
        err e = {0};
        ck_assert_int_eq(st_header_parse("f", text, strlen(text), 8 + strlen(text), NULL, &h, &e),
                         fields == ST_MAX_FIELDS ? OK : ERR_INPUT);
        ck_assert(e.code == OK || strstr(e.text, "more than 262144 fields") != NULL);
        st_header_free(&h);
    }
    free(text);
}
END_TEST

/* One member more than a header may have. */
START_TEST(members_are_counted)
{
    static const char item[] = "\"\":{},";
    const size_t each = sizeof item - 1;
    char *const text = malloc(1 + each * (ST_MAX_MEMBERS + 1));
    ck_assert_ptr_nonnull(text);
    text[0] = '{';
    for (size_t i = 0; i <= ST_MAX_MEMBERS; i++) {
        memcpy(text + 1 + i * each, item, each);
    }
    for (size_t count = ST_MAX_MEMBERS; count <= ST_MAX_MEMBERS + 1; count++) {
        size_t members = 0;
        size_t key_bytes = 0;
        err e = {0};
        text[count * each] = '}'; /* in place of the last comma */
        const err_code code = st_scan_all("f", text, count * each + 1, &members, &key_bytes, &e);
        text[count * each] = ',';
        if (count == ST_MAX_MEMBERS) {
            expect_ok(code, &e);
            ck_assert_uint_eq(members, count);
        } else {
            expect_error(code, ERR_INPUT, &e, "more than 1048576 tensors");
        }
    }
    free(text);
}
END_TEST

/* Tensors of 2 bytes in reverse order, so that sorting has something to do. */
static char *make_header(size_t count, size_t *bytes)
{
    const size_t room = count * 140 + 3;
    char *text = malloc(room);
    ck_assert_ptr_nonnull(text);
    char *p = text;
    *p++ = '{';
    for (size_t i = count; i-- > 0;) {
        p += snprintf(p, room - (size_t)(p - text),
                      "\"model.layers.%zu.mlp.experts.%zu.down_proj.weight\":{\"dtype\":\"BF16\","
                      "\"shape\":[1,1],"
                      "\"data_offsets\":[%zu,%zu]}%s",
                      i % 64, i, 2 * i, 2 * i + 2, i ? "," : "}");
    }
    *bytes = (size_t)(p - text);
    return text;
}

START_TEST(a_hundred_thousand_tensors)
{
    enum { COUNT = 100000 };
    size_t bytes = 0;
    char *text = make_header(COUNT, &bytes);
    st_header h;
    err e = {0};
    const clock_t start = clock();
    ck_assert_msg(st_header_parse("f", text, bytes, 8 + bytes + 2 * COUNT, NULL, &h, &e) == OK,
                  "%s", e.text);
    expect_seconds(start, 1.5, "100000 tensors"); /* 0.3 s; a quadratic search: a minute */
    ck_assert_uint_eq(h.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        if (h.tensors[i].off != 8 + bytes + 2 * i) {
            ck_abort_msg("tensor %zu", i);
        }
    }
    st_header_free(&h);
    free(text);
}
END_TEST

/* The text `open`, then `item` as often as 100 MB allow, then `close`: refused quickly, without
 * much memory. The JSON library alone takes 18 s and 4.5 GB for the first of these. */
static const struct {
    const char *open, *item, *close;
} hostile[] = {
    {"{\"a\":[", "[],", "[]]}"},
    {"{\"a\":{\"shape\":[", "[],", "[]]}}"},
    {"{\"a\":{\"shape\":[", "1,", "1]}}"},
    {"{\"a\":{\"x\":1", ",\"x\":1", "}}"},
    {"{\"__metadata__\":{\"\":\"\"", ",\"\":\"\"", "}}"},
    {"", "{\"a\":", ""},
    {"", "[", ""},
    {"{\"a\":{}", ",\"a\":{}", "}"},
    {"{\"", "\\\\", "\":{}}"},
    {"{\"__metadata__\":{\"a\":\"", "xxxxxxxx", "\"}}"},
    {"", " ", ""},
};

START_TEST(hostile_headers_cost_little)
{
    const size_t limit = ST_MAX_HEADER_BYTES;
    const size_t item = strlen(hostile[_i].item);
    char *text = malloc(limit + 1);
    ck_assert_ptr_nonnull(text);
    char *p = stpcpy(text, hostile[_i].open);
    const char *end = text + limit - strlen(hostile[_i].close);
    for (; p + item <= end; p += item) {
        memcpy(p, hostile[_i].item, item);
    }
    p = stpcpy(p, hostile[_i].close);
    const size_t bytes = (size_t)(p - text);
    st_header h;
    err e = {0};
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    const clock_t start = clock();
    ck_assert_int_eq(st_header_parse("f", text, bytes, 8 + bytes, NULL, &h, &e), ERR_INPUT);
    expect_seconds(start, 0.5, "a hostile header");
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 16 << 10); /* KiB */
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors_scan");
    TCase *tc = tcase_create("safetensors_scan");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, fields_are_counted);
    tcase_add_test(tc, members_are_counted);
    tcase_add_test(tc, a_hundred_thousand_tensors);
    tcase_add_loop_test(tc, hostile_headers_cost_little, 0, sizeof hostile / sizeof *hostile);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

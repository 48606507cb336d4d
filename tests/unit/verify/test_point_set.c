/* Sets of characters: the operations against a bitmap, and the classes of PCRE2. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "verify/tokenizer/point_set.h"

enum { POINTS = 64 };

static point_set random_set(unsigned *seed, bool *bits)
{
    point_set set = {0};
    err e = {0};
    memset(bits, 0, POINTS);
    for (int i = rand_r(seed) % 6; i > 0; i--) {
        const uint32_t first = (uint32_t)rand_r(seed) % POINTS;
        const uint32_t last = first + (uint32_t)rand_r(seed) % (POINTS - first);
        expect_ok(point_set_add(&set, first, last, &e), &e);
        memset(bits + first, 1, last - first + 1);
    }
    return set;
}

static void expect_bits(const point_set *set, const bool *bits)
{
    bool found[POINTS] = {false};
    for (size_t i = 0; i < set->count; i++) {
        const point_range r = set->ranges[i];
        ck_assert_uint_le(r.first, r.last);
        ck_assert(i == 0 || set->ranges[i - 1].last + 1 < r.first);
        for (uint32_t p = r.first; p <= r.last && p < POINTS; p++) {
            found[p] = true;
        }
    }
    ck_assert_int_eq(memcmp(found, bits, POINTS), 0);
}

START_TEST(operations_agree_with_bitmaps)
{
    unsigned seed = (unsigned)random_seed(_i);
    err e = {0};
    for (int round = 0; round < 2000; round++) {
        bool a[POINTS], b[POINTS], either[POINTS], both[POINTS], none[POINTS];
        point_set x = random_set(&seed, a);
        point_set y = random_set(&seed, b);
        point_set z = {0};
        for (int i = 0; i < POINTS; i++) {
            either[i] = a[i] || b[i];
            both[i] = a[i] && b[i];
            none[i] = !a[i];
        }
        expect_bits(&x, a);
        expect_ok(point_set_unite(&z, &x, &e), &e);
        expect_ok(point_set_unite(&z, &y, &e), &e);
        expect_bits(&z, either);
        expect_ok(point_set_intersect(&y, &x, &e), &e);
        expect_bits(&y, both);
        expect_ok(point_set_complement(&x, &e), &e);
        expect_bits(&x, none);
        ck_assert(x.count > 0 && x.ranges[x.count - 1].last == POINT_LAST);
        point_set_free(&x);
        point_set_free(&y);
        point_set_free(&z);
    }
}
END_TEST

START_TEST(classes_have_their_characters)
{
    static const struct {
        const char *class;
        uint32_t in, out;
    } known[] = {
        {"[\\x{7f}-\\x{80}]", 0x80, 0x81},
        {"[\\x{7ff}-\\x{800}]", 0x7ff, 0x7fe},
        {"[\\x{d7ff}]", 0xd7ff, 0xe000},
        {"[\\x{e000}]", 0xe000, 0xd7ff},
        {"[\\x{ffff}-\\x{10000}]", 0xffff, 0x10001},
        {"[\\x{3ffff}]", 0x3ffff, 0x3fffe},
        {"\\p{Nd}", 0x1d7ff, 0x1d800},
        {"\\p{sc:Han}", 0x2a6df, 0x2a6e0},
    };
    for (int i = 0; i < COUNT(known); i++) {
        point_set set = {0};
        bool in = false, out = false;
        err e = {0};
        expect_ok(point_set_of_class(known[i].class, &set, &e), &e);
        for (size_t k = 0; k < set.count; k++) {
            in = in || (set.ranges[k].first <= known[i].in && known[i].in <= set.ranges[k].last);
            out =
                out || (set.ranges[k].first <= known[i].out && known[i].out <= set.ranges[k].last);
        }
        ck_assert_msg(in && !out, "%s", known[i].class);
        point_set_free(&set);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("point_set");
    tcase_add_loop_test(tc, operations_agree_with_bitmaps, 0, 3);
    tcase_add_test(tc, classes_have_their_characters);
    return run_tests("point_set", tc);
}

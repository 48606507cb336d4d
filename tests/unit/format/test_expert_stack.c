/* Expert stacks: which tensors become one record, and in what order. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensor/expert_stack.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

static const uint64_t shape_a[] = {8, 4, 2};
static const uint64_t shape_b[] = {8, 5, 2};
static const uint64_t shape_c[] = {9, 4, 2};

static void expect_fold(const stack_item *items, size_t count, stack_list *out)
{
    err e = {0};
    expect_ok(stack_fold(items, count, out, &e), &e);
    size_t covered = 0;
    bool seen[4096] = {false};
    for (size_t g = 0; g < out->group_count; g++) {
        ck_assert_uint_eq(out->groups[g].first, covered); /* groups follow one another */
        covered += out->groups[g].count;
    }
    ck_assert_uint_eq(covered, count);
    for (size_t i = 0; i < count; i++) { /* every item once */
        ck_assert_uint_lt(out->members[i], count);
        ck_assert(!seen[out->members[i]]);
        seen[out->members[i]] = true;
    }
}

static const stack_group *group_of(const stack_list *list, const char *name)
{
    const stack_group *found = NULL;
    for (size_t g = 0; g < list->group_count; g++) {
        if (strcmp(list->groups[g].name, name) == 0) {
            ck_assert_msg(!found, "%s: two groups", name);
            found = &list->groups[g];
        }
    }
    return found;
}

/* Two members of 2-D BF16 with the same decision make a stack; each line changes one property. */
static const struct {
    const char *what;
    stack_item items[4];
    size_t count;
    bool stacked;
} cases[] = {
    {"two",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.1.w", DTYPE_BF16, 2, shape_a, 1}},
     2,
     true},
    {"kept ones too",
     {{"x.experts.1.w", DTYPE_F64, 2, shape_a, 0}, {"x.experts.0.w", DTYPE_F64, 2, shape_a, 0}},
     2,
     true},
    {"one expert", {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}}, 1, false},
    {"does not begin at 0",
     {{"x.experts.1.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.2.w", DTYPE_BF16, 2, shape_a, 1}},
     2,
     false},
    {"gap",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.2.w", DTYPE_BF16, 2, shape_a, 1}},
     2,
     false},
    {"gap at the end",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1},
      {"x.experts.1.w", DTYPE_BF16, 2, shape_a, 1},
      {"x.experts.3.w", DTYPE_BF16, 2, shape_a, 1}},
     3,
     false},
    {"other rows",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.1.w", DTYPE_BF16, 2, shape_c, 1}},
     2,
     false},
    {"other columns",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.1.w", DTYPE_BF16, 2, shape_b, 1}},
     2,
     false},
    {"other dtype",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.1.w", DTYPE_F16, 2, shape_a, 1}},
     2,
     false},
    {"other decision",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.1.w", DTYPE_BF16, 2, shape_a, 0}},
     2,
     false},
    {"vectors",
     {{"x.experts.0.w", DTYPE_BF16, 1, shape_a, 0}, {"x.experts.1.w", DTYPE_BF16, 1, shape_a, 0}},
     2,
     false},
    {"three dimensions",
     {{"x.experts.0.w", DTYPE_BF16, 3, shape_a, 1}, {"x.experts.1.w", DTYPE_BF16, 3, shape_a, 1}},
     2,
     false},
    {"no dimension",
     {{"x.experts.0.w", DTYPE_BF16, 0, shape_a, 0}, {"x.experts.1.w", DTYPE_BF16, 0, shape_a, 0}},
     2,
     false},
    {"one with another rank",
     {{"x.experts.0.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.1.w", DTYPE_BF16, 3, shape_a, 1}},
     2,
     false},
    {"leading zero",
     {{"x.experts.00.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.01.w", DTYPE_BF16, 2, shape_a, 1}},
     2,
     false},
    {"words",
     {{"x.experts.a.w", DTYPE_BF16, 2, shape_a, 1}, {"x.experts.b.w", DTYPE_BF16, 2, shape_a, 1}},
     2,
     false},
    {"shared experts",
     {{"x.shared_experts.0.w", DTYPE_BF16, 2, shape_a, 1},
      {"x.shared_experts.1.w", DTYPE_BF16, 2, shape_a, 1}},
     2,
     false},
};

START_TEST(case_is_folded)
{
    stack_list list;
    expect_fold(cases[_i].items, cases[_i].count, &list);
    if (cases[_i].stacked) {
        ck_assert_uint_eq(list.group_count, 1);
        ck_assert_str_eq(list.groups[0].name, "x.experts.*.w");
    } else {
        ck_assert_msg(list.group_count == cases[_i].count, "%s", cases[_i].what);
        for (size_t i = 0; i < cases[_i].count; i++) {
            const stack_group *const g = group_of(&list, cases[_i].items[i].name);
            ck_assert_msg(g && g->count == 1 && list.members[g->first] == i, "%s", cases[_i].what);
        }
    }
    stack_list_free(&list);
}
END_TEST

/* A complete run next to names that look like members but are not: the run is still a stack. */
START_TEST(leading_zero_stands_alone)
{
    const stack_item items[] = {
        {"e.experts.1.w", DTYPE_F32, 2, shape_a, 1}, {"e.experts.01.w", DTYPE_F32, 2, shape_a, 1},
        {"e.experts.0.w", DTYPE_F32, 2, shape_a, 1}, {"e.experts.x.w", DTYPE_F32, 2, shape_a, 1},
        {"e.experts.0.v", DTYPE_F32, 2, shape_a, 1}, {"f.experts.2.w", DTYPE_F32, 2, shape_a, 1},
    };
    stack_list list;
    expect_fold(items, COUNT(items), &list);
    ck_assert_uint_eq(list.group_count, 5);
    const stack_group *const g = group_of(&list, "e.experts.*.w");
    ck_assert_ptr_nonnull(g);
    ck_assert_uint_eq(g->count, 2);
    ck_assert_uint_eq(list.members[g->first], 2);
    ck_assert_uint_eq(list.members[g->first + 1], 0);
    ck_assert_ptr_nonnull(group_of(&list, "e.experts.01.w"));
    stack_list_free(&list);
}
END_TEST

/* Only the number after the first "experts" is that of the expert: layers do not mix. */
START_TEST(layers_do_not_mix)
{
    const stack_item items[] = {
        {"layers.0.experts.0.w", DTYPE_F32, 2, shape_a, 1},
        {"layers.1.experts.1.w", DTYPE_F32, 2, shape_a, 1},
        {"layers.2.experts.0.experts.0", DTYPE_F32, 2, shape_a, 1},
        {"layers.2.experts.0.experts.1", DTYPE_F32, 2, shape_a, 1},
        {"layers.2.experts.1.experts.0", DTYPE_F32, 2, shape_a, 1},
    };
    stack_list list;
    expect_fold(items, COUNT(items), &list);
    ck_assert_uint_eq(list.group_count, 4);
    const stack_group *const g = group_of(&list, "layers.2.experts.*.experts.0");
    ck_assert_ptr_nonnull(g);
    ck_assert_uint_eq(list.members[g->first], 2);
    ck_assert_uint_eq(list.members[g->first + 1], 4);
    stack_list_free(&list);
}
END_TEST

START_TEST(nothing_folds_to_nothing)
{
    stack_list list;
    expect_fold(NULL, 0, &list);
    ck_assert_uint_eq(list.group_count, 0);
    stack_list_free(&list);
    stack_list_free(&list);
}
END_TEST

/* Numbers are ordered by value: 2 before 10. The order of the items does not matter. */
START_TEST(members_ascend_beyond_ten)
{
    enum { EXPERTS = 260, ITEMS = 2 * EXPERTS };
    static char names[ITEMS][64];
    static stack_item items[ITEMS];
    static size_t number[ITEMS];
    uint64_t state = random_seed(0);
    for (size_t i = 0; i < ITEMS; i++) {
        const size_t k = oracle_random(&state) % (i + 1);
        number[i] = number[k];
        number[k] = i;
    }
    for (size_t i = 0; i < ITEMS; i++) {
        snprintf(names[i], sizeof names[i], "m.experts.%zu.%s", number[i] / 2,
                 number[i] % 2 ? "up" : "down");
        items[i] = (stack_item){names[i], DTYPE_F16, 2, number[i] % 2 ? shape_a : shape_b, 1};
    }
    stack_list list;
    expect_fold(items, ITEMS, &list);
    ck_assert_uint_eq(list.group_count, 2);
    for (size_t g = 0; g < 2; g++) {
        const bool up = strcmp(list.groups[g].name, "m.experts.*.up") == 0;
        ck_assert(up || strcmp(list.groups[g].name, "m.experts.*.down") == 0);
        ck_assert_uint_eq(list.groups[g].count, EXPERTS);
        for (size_t k = 0; k < EXPERTS; k++) {
            ck_assert_uint_eq(number[list.members[list.groups[g].first + k]], 2 * k + up);
        }
    }
    stack_list_free(&list);
}
END_TEST

/* The longest name a source may have: its stack is not longer. */
START_TEST(longest_names_fit)
{
    char names[2][NAME_MAX_BYTES + 1];
    for (int i = 0; i < 2; i++) {
        memset(names[i], 'n', NAME_MAX_BYTES);
        memcpy(names[i], i ? "experts.1." : "experts.0.", 10);
        names[i][NAME_MAX_BYTES] = '\0';
    }
    const stack_item items[] = {{names[0], DTYPE_F32, 2, shape_a, 1},
                                {names[1], DTYPE_F32, 2, shape_a, 1}};
    stack_list list;
    expect_fold(items, 2, &list);
    ck_assert_uint_eq(list.group_count, 1);
    ck_assert_uint_eq(strlen(list.groups[0].name), NAME_MAX_BYTES);
    stack_list_free(&list);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("expert_stack");
    tcase_add_loop_test(tc, case_is_folded, 0, COUNT(cases));
    tcase_add_test(tc, leading_zero_stands_alone);
    tcase_add_test(tc, layers_do_not_mix);
    tcase_add_test(tc, nothing_folds_to_nothing);
    tcase_add_test(tc, members_ascend_beyond_ten);
    tcase_add_test(tc, longest_names_fit);
    return run_tests("expert_stack", tc);
}

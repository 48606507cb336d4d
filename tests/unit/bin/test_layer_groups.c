/* Folding of layers that are alike. */
#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/show/layer_groups.h"
#include "tests/aid/expect.h"

enum { ITEMS_MAX = 20000 };

static err e;
static layer_item items[ITEMS_MAX];
static char names[ITEMS_MAX][64];
static uint64_t shapes[ITEMS_MAX][2];
static size_t count;
static layer_groups folded;

static void start(void)
{
    e = (err){0};
    count = 0;
}

static void finish(void)
{
    layer_free(&folded);
}

__attribute__((format(printf, 2, 3))) static layer_item *add(uint64_t rows, const char *format, ...)
{
    char *const name = names[count];
    va_list args;
    shapes[count][0] = rows;
    va_start(args, format);
    vsnprintf(name, sizeof names[0], format, args);
    va_end(args);
    items[count] = (layer_item){.name = name,
                                .type = DTYPE_BF16,
                                .from = DTYPE_BF16,
                                .ndim = 1,
                                .shape = shapes[count],
                                .bytes = 2 * rows,
                                .tensors = 1,
                                .sum_sq_source = 4,
                                .sum_sq_error = 1,
                                .worst = 30 + (double)count,
                                .index = count};
    return &items[count++];
}

static void fold(void)
{
    expect_ok(layer_fold(items, count, &folded, &e), &e);
}

/* All titles in one text, "a|b|c". */
static const char *titles(void)
{
    static char text[1024];
    text[0] = '\0';
    for (size_t i = 0; i < folded.group_count; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", i ? "|" : "", folded.groups[i].title);
    }
    return text;
}

START_TEST(nothing_is_no_group)
{
    fold();
    ck_assert_uint_eq(folded.group_count, 0);
}
END_TEST

START_TEST(layers_that_agree_are_one_group)
{
    add(9, "lm_head.weight");
    for (unsigned layer = 0; layer < 10; layer++) {
        add(7, "model.layers.%u.norm", layer);
        add(layer == 4 || layer == 9 ? 5 : 6, "model.layers.%u.attention.dense", layer);
    }
    add(3, "model.layers.%u.mlp", 0);
    fold();
    ck_assert_str_eq(titles(), "outside layers|model.layers 0|"
                               "model.layers 1-3, 5-8: 7 identical layers|"
                               "model.layers 4, 9: 2 identical layers");
    const layer_group *const g = &folded.groups[2];
    ck_assert_uint_eq(g->layers, 7);
    ck_assert_uint_eq(g->row_count, 2);
    const layer_row row = layer_group_row(g, 0);
    ck_assert_str_eq(row.name, "attention.dense");
    ck_assert_str_eq(layer_group_row(g, 1).name, "norm");
    const layer_item *const sum = &row.sum;
    ck_assert_uint_eq(sum->tensors, 7);
    ck_assert_uint_eq(sum->bytes, 7 * 12);
    ck_assert_double_eq(sum->sum_sq_source, 28);
    ck_assert_double_eq(sum->sum_sq_error, 7);
    ck_assert_double_eq(sum->worst, items[sum->index].worst);
    ck_assert_str_eq(items[sum->index].name, "model.layers.1.attention.dense");
    ck_assert_str_eq(layer_group_row(&folded.groups[0], 0).name, "lm_head.weight");
}
END_TEST

/* Whatever differs keeps two layers apart. */
START_TEST(every_trait_counts)
{
    for (unsigned layer = 0; layer < 8; layer++) {
        add(7, "h.%u.w", layer);
    }
    items[1].type = DTYPE_F32;
    items[2].from = DTYPE_F32;
    items[3].mark = 1;
    items[4].ndim = 2;
    shapes[5][0] = 8;
    items[6].tensors = 2;
    snprintf(names[7], sizeof names[7], "h.7.v");
    fold();
    ck_assert_uint_eq(folded.group_count, 8);
    ck_assert_str_eq(folded.groups[7].title, "h 7");
}
END_TEST

START_TEST(prefixes_are_told_apart)
{
    add(7, "vision.blocks.%u.w", 0);
    add(7, "text.layers.%u.w", 0);
    add(7, "text.layers.%u.w", 1);
    add(7, "text.layers.%u", 2);
    add(7, "layers.%u.layers.1.w", 3);
    add(7, "layers.x.%u.w", 4); /* no layer: the number does not follow "layers" */
    fold();
    ck_assert_str_eq(titles(), "outside layers|layers 3|text.layers 0-1: 2 identical layers|"
                               "text.layers 2|vision.blocks 0");
    ck_assert_str_eq(layer_group_row(&folded.groups[1], 0).name, "layers.1.w");
    ck_assert_str_eq(layer_group_row(&folded.groups[3], 0).name, "");
}
END_TEST

START_TEST(no_error_is_not_the_worst)
{
    add(7, "h.%u.w", 0)->worst = (double)NAN;
    add(7, "h.%u.w", 1)->worst = 31;
    fold();
    ck_assert_double_eq(layer_group_row(&folded.groups[0], 0).sum.worst, 31);
}
END_TEST

START_TEST(long_lists_are_cut)
{
    for (unsigned layer = 0; layer < 300; layer++) {
        add(7 + layer % 2, "h.%u.w", layer);
    }
    fold();
    ck_assert_uint_eq(folded.group_count, 2);
    ck_assert_msg(strstr(folded.groups[0].title, ", ...: 150 identical layers") != NULL, "%s",
                  folded.groups[0].title);
    ck_assert_uint_lt(strlen(folded.groups[0].title), 100);
}
END_TEST

/* Names longer than any packed file could hold are shown, not cut up. */
START_TEST(long_names_are_left_alone)
{
    static char name[70000];
    for (size_t i = 0; i + 9 < sizeof name; i += 9) {
        memcpy(name + i, "layers.1.", 9);
    }
    add(7, "h.%u.w", 0);
    add(7, "h.%u.w", 1)->name = name;
    fold();
    ck_assert_str_eq(titles(), "outside layers|h 0");
    ck_assert_str_eq(layer_group_row(&folded.groups[0], 0).name, name);
}
END_TEST

/* Comparing every layer with every other would take minutes. */
START_TEST(many_different_layers)
{
    for (unsigned layer = 0; layer < ITEMS_MAX; layer++) {
        add(layer, "h.%u.w", layer);
    }
    fold();
    ck_assert_uint_eq(folded.group_count, ITEMS_MAX);
    ck_assert_str_eq(folded.groups[ITEMS_MAX - 1].title, "h 19999");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("layer_groups");
    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_test(tc, nothing_is_no_group);
    tcase_add_test(tc, layers_that_agree_are_one_group);
    tcase_add_test(tc, every_trait_counts);
    tcase_add_test(tc, prefixes_are_told_apart);
    tcase_add_test(tc, no_error_is_not_the_worst);
    tcase_add_test(tc, long_lists_are_cut);
    tcase_add_test(tc, long_names_are_left_alone);
    tcase_add_test(tc, many_different_layers);
    return run_tests("layer_groups", tc);
}

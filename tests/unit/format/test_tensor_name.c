/* Names: the two numbers read from them, stacks, and which bytes a name may have. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensor/tensor_name.h"
#include "format/base/utf8.h"

static const struct {
    const char *name;
    int64_t layer;
} layers[] = {
    {"model.layers.0.mlp.up_proj.weight", 0},
    {"model.layers.31.mlp.experts.7.up_proj.weight", 31},
    {"transformer.h.5.attn.weight", 5},
    {"blocks.12.w", 12},
    {"layers.2147483647", 2147483647},
    {"layers.2147483648", -1},
    {"layers.99999999999999999999.w", -1},
    {"layers.01.w", -1},
    {"layers.0", 0},
    {"layers.00", -1},
    {"layers.-1.w", -1},
    {"layers.+1.w", -1},
    {"layers.1a.w", -1},
    {"layers..1.w", -1},
    {"layers", -1},
    {"layers.", -1},
    {"", -1},
    {"model.norm.weight", -1},
    {"xlayers.3.w", -1},
    {"layersx.3.w", -1},
    {"experts.3.w", -1},
    {"layers.x.3.layers.4.w", 4},
    {"layers.layers.5.w", 5},
    {"a.layers.x.h.2.blocks.9", 2},
};

/* Every name after every other one: what is remembered of the previous name makes no difference. */
START_TEST(layer_of_the_next_name)
{
    const size_t count = sizeof layers / sizeof layers[0];
    for (size_t i = 0; i < count; i++) {
        layer_memory m = {0};
        ck_assert_int_eq(name_layer_next(&m, layers[_i].name, strlen(layers[_i].name)),
                         layers[_i].layer);
        ck_assert_int_eq(name_layer_next(&m, layers[i].name, strlen(layers[i].name)),
                         layers[i].layer);
        ck_assert_int_eq(name_layer_next(&m, layers[_i].name, strlen(layers[_i].name)),
                         layers[_i].layer);
    }
}
END_TEST

START_TEST(layer_is_found)
{
    ck_assert_msg(name_layer(layers[_i].name) == layers[_i].layer, "%s: %lld", layers[_i].name,
                  (long long)name_layer(layers[_i].name));
}
END_TEST

static const struct {
    const char *name;
    const char *stack; /* NULL: no slot */
    int64_t index;     /* -1: none */
} experts[] = {
    {"model.layers.1.mlp.experts.0.up_proj.weight", "model.layers.1.mlp.experts.*.up_proj.weight",
     0},
    {"experts.383.w1", "experts.*.w1", 383},
    {"experts.7", "experts.*", 7},
    {"experts.007.w", "experts.*.w", -1},
    {"experts.2147483648.w", "experts.*.w", -1},
    {"experts.gate_up_proj", "experts.*", -1},
    {"a.experts.b.experts.4.w", "a.experts.*.experts.4.w", -1},
    {"shared_experts.1.w", NULL, -1},
    {"a.experts", NULL, -1},
    {"", NULL, -1},
};

START_TEST(expert_is_found)
{
    char out[NAME_MAX_BYTES + 1] = "";
    uint64_t index = 0;
    const char *name = experts[_i].name;
    ck_assert_int_eq(name_make_stack(name, out), experts[_i].stack != NULL);
    if (experts[_i].stack) {
        ck_assert_str_eq(out, experts[_i].stack);
    }
    ck_assert_int_eq(name_expert_index(name, &index), experts[_i].index >= 0);
    if (experts[_i].index >= 0) {
        ck_assert_int_eq((int64_t)index, experts[_i].index);
        char back[NAME_MAX_BYTES + 1];
        ck_assert(name_expand_stack(out, index, back));
        ck_assert_str_eq(back, name);
    }
}
END_TEST

START_TEST(slot_is_where_it_is)
{
    size_t start = 0;
    size_t length = 0;
    ck_assert(name_expert_slot("mlp.experts.12.w", &start, &length));
    ck_assert_uint_eq(start, 12);
    ck_assert_uint_eq(length, 2);
}
END_TEST

START_TEST(only_a_star_expands)
{
    char out[NAME_MAX_BYTES + 1];
    ck_assert(!name_expand_stack("experts.3.w", 1, out));
    ck_assert(!name_expand_stack("experts.**.w", 1, out));
    ck_assert(!name_expand_stack("a.*.w", 1, out));
    ck_assert(name_expand_stack("experts.*.w", UINT64_MAX, out));
    ck_assert_str_eq(out, "experts.18446744073709551615.w");
}
END_TEST

START_TEST(long_names_do_not_fit)
{
    char name[NAME_MAX_BYTES + 8];
    char out[NAME_MAX_BYTES + 1];
    memset(name, 'a', sizeof name);
    memcpy(name, "experts.*.", 10);
    name[NAME_MAX_BYTES] = '\0';
    ck_assert(name_expand_stack(name, 7, out));
    ck_assert_uint_eq(strlen(out), NAME_MAX_BYTES);
    ck_assert(!name_expand_stack(name, 10, out));
    ck_assert(name_make_stack(name, out));
    name[NAME_MAX_BYTES] = 'a';
    name[NAME_MAX_BYTES + 1] = '\0';
    ck_assert(!name_make_stack(name, out));
}
END_TEST

static const struct {
    const char *text;
    bool valid;
} texts[] = {
    {"a", true},
    {"model.layers.0.weight", true},
    {"*", true},
    {"\xc3\xa9", true},         /* é */
    {"\xed\x9f\xbf", true},     /* the last before the surrogates */
    {"\xee\x80\x80", true},     /* the first after them */
    {"\xf0\x9f\x98\x80", true}, /* U+1F600 */
    {"\xf4\x8f\xbf\xbf", true}, /* U+10FFFF */
    {"", false},
    {"a\nb", false},
    {"\x1f", false},
    {"a\x7f", false},
    {"\x80", false}, /* continuation without a start */
    {"\xc3", false}, /* start without continuation */
    {"\xc3(", false},
    {"\xe2\x82", false},
    {"\xc0\xaf", false}, /* overlong '/' */
    {"\xc1\xbf", false},
    {"\xe0\x80\xaf", false},
    {"\xf0\x80\x80\xaf", false},
    {"\xed\xa0\x80", false},     /* surrogate */
    {"\xf4\x90\x80\x80", false}, /* U+110000 */
    {"\xf8\x88\x80\x80\x80", false},
    {"\xff", false},
};

START_TEST(numbers_become_patterns)
{
    static const char *const pairs[][2] = {
        {"model.layers.12.mlp.experts.3.w1", "model.layers.*.mlp.experts.*.w1"},
        {"0.1.a1.2b", "*.*.a1.2b"},
        {"a..7", "a..*"},
        {"", ""},
        {"*.w1.weight", "*.w1.weight"},
    };
    char out[NAME_MAX_BYTES + 1];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        name_pattern(pairs[i][0], out);
        ck_assert_str_eq(out, pairs[i][1]);
    }
    char longest[400];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    name_pattern(longest, out);
    ck_assert_uint_eq(strlen(out), NAME_MAX_BYTES);
}
END_TEST

START_TEST(name_is_valid)
{
    ck_assert_msg(name_valid(texts[_i].text, strlen(texts[_i].text)) == texts[_i].valid, "text %d",
                  _i);
}
END_TEST

/* Every byte at every place of a text that is longer than one step of a vectorized loop. */
START_TEST(plain_text_is_known)
{
    char text[70];
    memset(text, 'n', sizeof text);
    ck_assert(name_all_plain(text, sizeof text) && name_all_plain(text, 0));
    for (size_t at = 0; at < sizeof text; at++) {
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            if (name_all_plain(text, sizeof text) != (c >= 0x20 && c < 0x7f && c != '*')) {
                ck_abort_msg("byte %d at %d", c, (int)at);
            }
        }
        text[at] = 'n';
    }
}
END_TEST

START_TEST(name_length_is_limited)
{
    char name[NAME_MAX_BYTES + 1];
    memset(name, 'n', sizeof name);
    ck_assert(name_valid(name, NAME_MAX_BYTES));
    ck_assert(!name_valid(name, NAME_MAX_BYTES + 1));
    ck_assert(!name_valid("a\0b", 3));
    ck_assert(!name_valid(name, 0));
}
END_TEST

/* All code points, encoded here, are accepted at full length and never when truncated. */
START_TEST(every_character_is_one)
{
    static const unsigned first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (uint32_t p = 1; p <= 0x10ffff; p++) {
        char c[4];
        const size_t n = p < 0x80 ? 1 : p < 0x800 ? 2 : p < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 0;) {
            const uint32_t low = p >> (6 * (n - 1 - i));
            c[i] = (char)(i == 0 ? (first[n] | low) : (0x80 | (low & 0x3f)));
        }
        const bool surrogate = p >= 0xd800 && p < 0xe000;
        /* An assertion of Check for each of a million would take seconds. */
        if (utf8_length(c, n) != (surrogate ? 0 : n) || utf8_length(c, n - 1) != 0) {
            ck_abort_msg("U+%04X", (unsigned)p);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tensor_name");
    TCase *tc = tcase_create("tensor_name");
    tcase_add_loop_test(tc, layer_is_found, 0, sizeof layers / sizeof *layers);
    tcase_add_loop_test(tc, layer_of_the_next_name, 0, sizeof layers / sizeof *layers);
    tcase_add_loop_test(tc, expert_is_found, 0, sizeof experts / sizeof *experts);
    tcase_add_test(tc, slot_is_where_it_is);
    tcase_add_test(tc, only_a_star_expands);
    tcase_add_test(tc, long_names_do_not_fit);
    tcase_add_test(tc, numbers_become_patterns);
    tcase_add_loop_test(tc, name_is_valid, 0, sizeof texts / sizeof *texts);
    tcase_add_test(tc, plain_text_is_known);
    tcase_add_test(tc, name_length_is_limited);
    tcase_add_test(tc, every_character_is_one);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* States of the records of a packed file: by record number, whatever their order by name. */
#include <check.h>
#include <string.h>

#include "format/store/packed_states.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static pack_table table;
static tensor_states states;
static err e;

static void setup(void)
{
    table = table_with_room(32);
    states = (tensor_states){0};
    e = (err){0};
}

static void teardown(void)
{
    tensor_states_free(&states);
    pack_table_free(&table);
}

static size_t number_of(const char *name)
{
    const pack_record *const r = pack_table_find(&table, name);
    ck_assert_msg(r != NULL, "%s", name);
    return (size_t)(r - table.records);
}

static const tensor_state *state_of(const char *name)
{
    return &states.of[number_of(name)];
}

START_TEST(records)
{
    /* Records are sorted by layer and class, names by bytes: the orders differ. */
    table_add(&table, "z.weight", DTYPE_BF16, 2, (uint64_t[]){8, 8});
    table_add(&table, "h.0.b.qweight", DTYPE_I32, 2, (uint64_t[]){8, 8});
    table_add(&table, "h.0.b.scales", DTYPE_F16, 2, (uint64_t[]){1, 8});
    table_add(&table, "h.0.experts.*.up.weight", DTYPE_U8, 3, (uint64_t[]){2, 8, 8});
    table_add(&table, "h.0.experts.0.up.weight_scale_2", DTYPE_F32, 0, NULL);
    table_add(&table, "h.0.experts.1.up.weight_scale_2", DTYPE_F32, 0, NULL);
    table_add_codes(&table, "h.0.a.weight", DTYPE_F8_E4M3, 2, (uint64_t[]){256, 256});
    table_add(&table, "h.0.a.input_scale", DTYPE_F32, 0, NULL);
    expect_ok(pack_table_sort(&table, &e), &e);
    expect_ok(packed_states_find(&table, "awq", NULL, &states, &e), &e);
    ck_assert_uint_eq(states.count, table.count);
    ck_assert_int_eq(state_of("z.weight")->kind, STATE_PLAIN);
    ck_assert_int_eq(state_of("h.0.b.qweight")->kind, STATE_FOREIGN);
    ck_assert_str_eq(state_of("h.0.b.qweight")->method, "awq");
    ck_assert_uint_eq(state_of("h.0.b.scales")->weight, number_of("h.0.b.qweight"));
    ck_assert_str_eq(state_of("h.0.experts.*.up.weight")->method, "NVFP4");
    ck_assert_uint_eq(state_of("h.0.experts.1.up.weight_scale_2")->weight,
                      number_of("h.0.experts.*.up.weight"));
    ck_assert_int_eq(state_of("h.0.a.weight")->kind, STATE_BLOCK_FP8);
    ck_assert_uint_eq(state_of("h.0.a.weight")->scales, number_of("h.0.a.weight_scale_inv"));
    ck_assert_uint_eq(state_of("h.0.a.weight_scale_inv")->weight, number_of("h.0.a.weight"));
    ck_assert_int_eq(state_of("h.0.a.input_scale")->role, ROLE_ACTIVATIONS);
    ck_assert_uint_eq(state_of("h.0.a.input_scale")->weight, number_of("h.0.a.weight"));
}
END_TEST

START_TEST(embedded_descriptions)
{
    static char config[] =
        "{\"text_config\": {\"quantization_config\": {\"quant_method\": \"awq\"}}}";
    static char other[] = "{\"bits\": 4}";
    char config_name[] = "config.json";
    char other_name[] = "quantize_config.json";
    char unread_name[] = "a/config.json";
    const member members[] = {{.name = unread_name, .data = other, .bytes = sizeof other - 1},
                              {.name = config_name, .data = config, .bytes = sizeof config - 1},
                              {.name = other_name, .data = other, .bytes = sizeof other - 1}};
    quantization q;
    expect_ok(packed_quantization(members, 3, &q, &e), &e);
    ck_assert_uint_eq(q.count, 2);
    ck_assert_str_eq(q.method, "awq");
    expect_ok(packed_quantization(members, 0, &q, &e), &e);
    ck_assert_uint_eq(q.count, 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("packed_states");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, records);
    tcase_add_test(tc, embedded_descriptions);
    return run_tests("packed_states", tc);
}

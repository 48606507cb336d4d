/* Conversions that fail: the right error, and the output is as it was before. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/base/num.h"
#include "format/output/output.h"
#include "tests/aid/small_conversion.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/packed_check.h"

#define SHARD_1 "in/model-00001-of-00004.safetensors"
#define SHARD_4 "in/model-00004-of-00004.safetensors"

static conversion usual(void)
{
    return conversion_with(2, PLENTY * MIB);
}

static void expect_content(const char *name, const char *text)
{
    char found[64] = "";
    FILE *const f = fopen(scratch(name), "rb");
    ck_assert_msg(f != NULL, "%s is not there", name);
    found[fread(found, 1, sizeof found - 1, f)] = '\0';
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_str_eq(found, text);
}

static uint64_t size_of(const char *name)
{
    struct stat st;
    ck_assert_int_eq(stat(scratch(name), &st), 0);
    return (uint64_t)st.st_size;
}

/* ---- obstacles to the output ----------------------------------- */

START_TEST(existing_output_needs_force)
{
    conversion r = usual();
    scratch_text("out/p", "old");
    expect_error(conversion_run(&r), ERR_IO, &r.e, "out/p: exists");
    expect_content("out/p", "old");
    r.options.force = true;
    conversion_succeeds(&r);
    ck_assert_int_eq(conversion_entries("out"), 1);
    packed_check(scratch("out/p"), &made, false, DIGEST_XXH3);
}
END_TEST

START_TEST(failure_keeps_the_old_output)
{
    conversion r = usual();
    r.options.force = true;
    scratch_text("out/p", "old");
    made_set_bits(&made.tensors[0], 5, made_nan(made.tensors[0].type));
    made_write(&made, scratch("in"), 4);
    expect_error(conversion_run(&r), ERR_INPUT, &r.e, "NaN at index 5");
    expect_content("out/p", "old");
    ck_assert_int_eq(conversion_entries("out"), 1);
}
END_TEST

START_TEST(another_run_is_in_the_way)
{
    conversion r = usual();
    output *other = NULL;
    expect_ok(output_open(scratch("out/p"), false, &other, &r.e), &r.e);
    expect_error(conversion_run(&r), ERR_IO, &r.e, "another run is writing it");
    output_abandon(&other);
    conversion_succeeds(&r);
}
END_TEST

START_TEST(no_place_for_the_output)
{
    conversion r = usual();
    r.options.output = scratch("none/p");
    conversion_fails(&r, ERR_IO, "No such file or directory");
    r.options.output = scratch("out");
    conversion_fails(&r, ERR_IO, "not a regular file");
}
END_TEST

/* An input is not replaced, whatever it is called and whatever -f says. */
static const char *const inputs[] = {
    SHARD_1,          SHARD_4,        "in/model.safetensors.index.json",
    "in/config.json", "in/README.md", "recipe.json"};

START_TEST(output_is_no_input)
{
    conversion r = usual();
    scratch_text("in/README.md", "read me");
    scratch_text("recipe.json", "{\"octavo_recipe\":1}");
    char recipe_path[512];
    snprintf(recipe_path, sizeof recipe_path, "%s", scratch("recipe.json"));
    r.options.recipe_path = recipe_path;
    r.options.force = true;
    const char *const input = inputs[_i];
    const uint64_t size = size_of(input);
    char target[512];
    snprintf(target, sizeof target, "%s", scratch(input));
    ck_assert_int_eq(link(target, scratch("hard")), 0);
    ck_assert_int_eq(symlink(target, scratch("soft")), 0);
    const char *const outputs[] = {input, "hard", "soft"};
    for (int i = 0; i < COUNT(outputs); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s", scratch(outputs[i]));
        r.options.output = path;
        conversion_fails(&r, ERR_USAGE, "the output is one of the inputs");
        ck_assert_uint_eq(size_of(input), size);
    }
    ck_assert_int_eq(conversion_entries("in"), 7); /* and nothing next to it */
}
END_TEST

/* Nor is an input truncated as if it were left by a killed run. */
START_TEST(temporary_file_is_no_input)
{
    conversion r = usual();
    char recipe_path[512];
    snprintf(recipe_path, sizeof recipe_path, "%s", scratch("out/.p.part"));
    scratch_text("out/.p.part", "{\"octavo_recipe\":1}");
    r.options.recipe_path = recipe_path;
    r.options.force = true;
    expect_error(conversion_run(&r), ERR_USAGE, &r.e, "of the output's temporary file");
    ck_assert_uint_eq(size_of("out/.p.part"), strlen("{\"octavo_recipe\":1}"));
    ck_assert_int_eq(conversion_entries("out"), 1);
}
END_TEST

/* ---- sources that change --------------------------------------- */

static void touch(const char *name, time_t seconds)
{
    const struct timespec times[] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    utimensat(AT_FDCWD, scratch(name), times, 0);
}

static void touch_shard(void)
{
    touch(SHARD_1, 1000000000);
}

static void truncate_shard(void)
{
    (void)!truncate(scratch(SHARD_4), (off_t)size_of(SHARD_4) - 1);
}

static void append_to_shard(void)
{
    (void)!truncate(scratch(SHARD_1), (off_t)size_of(SHARD_1) + 1);
}

static void remove_shard(void)
{
    unlink(scratch(SHARD_4));
}

static void replace_shard(void)
{
    scratch_text("other", "something else");
    (void)!rename(scratch("other"), scratch(SHARD_1));
}

static void (*const changes[])(void) = {touch_shard, truncate_shard, append_to_shard, remove_shard,
                                        replace_shard};

START_TEST(source_that_changes_is_refused)
{
    static const char *const stages[] = {"digest sources", "convert", NULL};
    saboteur s = {.stage = stages[_i / COUNT(changes)], .act = changes[_i % COUNT(changes)]};
    conversion r = usual();
    r.options.source_sha256 = s.stage && s.stage[0] == 'd';
    r.m = (monitor){.stage = at_stage, .advance = at_progress, .ctx = &s};
    conversion_fails(&r, ERR_IO, "in/model-0000");
    ck_assert_int_ge(s.acted, 1);
}
END_TEST

/* ---- cancellation ---------------------------------------------- */

typedef struct patience {
    const char *stage; /* in which it ends; NULL: before everything */
    atomic_bool begun, over;
    atomic_int advances; /* left when the stage has begun */
} patience;

static void hear_stage(void *ctx, const char *name, uint64_t total_bytes)
{
    patience *const p = ctx;
    (void)total_bytes;
    if (strcmp(name, p->stage) == 0) {
        p->begun = true;
        p->over = p->advances == 0;
    }
}

static void hear_advance(void *ctx, uint64_t bytes)
{
    patience *const p = ctx;
    (void)bytes;
    if (p->begun && atomic_fetch_sub(&p->advances, 1) <= 1) {
        p->over = true;
    }
}

static bool wants_to_stop(void *ctx)
{
    return ((patience *)ctx)->over;
}

static const struct {
    const char *stage;
    int advances;
} stops[] = {{"digest sources", 0}, {"digest sources", 1}, {"digest sources", 3},
             {"convert", 0},        {"convert", 1},        {"convert", 2},
             {"convert", 4},        {"read back", 0},      {"read back", 1}};

START_TEST(cancelled_run_leaves_nothing)
{
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        patience p = {.stage = stops[_i].stage, .advances = stops[_i].advances};
        conversion r = conversion_with(threads, PLENTY * MIB);
        r.options.source_sha256 = true;
        r.m = (monitor){
            .stage = hear_stage, .advance = hear_advance, .cancelled = wants_to_stop, .ctx = &p};
        conversion_fails(&r, ERR_CANCELLED, "interrupted");
        ck_assert(p.over);
    }
}
END_TEST

START_TEST(cancelled_run_keeps_the_old_output)
{
    patience p = {.stage = "convert", .advances = 2};
    conversion r = usual();
    r.options.force = true;
    r.m = (monitor){
        .stage = hear_stage, .advance = hear_advance, .cancelled = wants_to_stop, .ctx = &p};
    scratch_text("out/p", "old");
    expect_error(conversion_run(&r), ERR_CANCELLED, &r.e, "interrupted");
    expect_content("out/p", "old");
    ck_assert_int_eq(conversion_entries("out"), 1);
}
END_TEST

/* ---- engines that fail, or take their time --------------------- */

static engine *inner;
static atomic_int calls_left;

static err_code submit_inner(engine *g, engine_slot *slot, const engine_job *jobs, size_t count,
                             err *e)
{
    (void)g;
    return inner->ops->submit(inner, slot, jobs, count, e);
}

static err_code wait_inner(engine *g, engine_slot *slot, err *e)
{
    (void)g;
    return inner->ops->wait(inner, slot, e);
}

static err_code submit_fails(engine *g, engine_slot *slot, const engine_job *jobs, size_t count,
                             err *e)
{
    if (atomic_fetch_sub(&calls_left, 1) <= 0) {
        return err_set(e, ERR_GPU, "no such device");
    }
    return submit_inner(g, slot, jobs, count, e);
}

static err_code wait_fails(engine *g, engine_slot *slot, err *e)
{
    const err_code code = wait_inner(g, slot, e);
    return atomic_fetch_sub(&calls_left, 1) <= 0 ? err_set(e, ERR_GPU, "lost the device") : code;
}

static err_code wait_long(engine *g, engine_slot *slot, err *e)
{
    nanosleep(&(struct timespec){.tv_nsec = 300 * 1000000}, NULL);
    return wait_inner(g, slot, e);
}

static const engine_ops failing_submit = {"failing", submit_fails, wait_inner, NULL};
static const engine_ops failing_wait = {"failing", submit_inner, wait_fails, NULL};
static const engine_ops slow = {"slow", submit_inner, wait_long, NULL};

static const engine_ops *chosen;

/* The same slots behind other operations. */
static engine *wrap(engine *g)
{
    static engine outer;
    inner = g;
    outer = *g;
    outer.ops = chosen;
    return &outer;
}

START_TEST(engine_failure_is_reported)
{
    static const engine_ops *const ops[] = {&failing_submit, &failing_wait};
    conversion r = conversion_with(_i % 2 ? 1 : 5, PLENTY * MIB);
    chosen = ops[_i / 2 % 2];
    calls_left = _i / 4;
    r.wrap = wrap;
    conversion_fails(&r, ERR_GPU, "device");
}
END_TEST

static void break_last_shard(convert_job *job)
{
    (void)job;
    truncate_shard();
}

/* Layers 0 and 1 hold both buffers for scales, layer 2 waits for one, and then layer 3 cannot be
 * read. The error has to be that one, not that the waiting thread gave up. */
START_TEST(cause_is_reported_not_its_consequence)
{
    conversion r = usual();
    chosen = &slow;
    r.wrap = wrap;
    r.prepared = break_last_shard;
    conversion_fails(&r, ERR_IO, "model-00004-of-00004.safetensors: changed during the run");
    ck_assert_uint_eq(r.slots.count, 4);
}
END_TEST

/* ---- disks of our own ------------------------------------------ */

START_TEST(full_disk_leaves_nothing)
{
    conversion r = usual();
    if (conversion_mount("size=64k")) {
        conversion_fails(&r, ERR_IO, "No space left");
        umount(scratch("out"));
    }
}
END_TEST

/* ---- sources that are not checkpoints -------------------------- */

START_TEST(wrong_source_is_refused)
{
    conversion r = usual();
    r.options.source = scratch("none");
    conversion_fails(&r, ERR_IO, "No such file");
    r.options.source = scratch("out");
    conversion_fails(&r, ERR_INPUT, "not a checkpoint");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("convert_failures");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, existing_output_needs_force);
    tcase_add_test(tc, failure_keeps_the_old_output);
    tcase_add_test(tc, another_run_is_in_the_way);
    tcase_add_test(tc, no_place_for_the_output);
    tcase_add_loop_test(tc, output_is_no_input, 0, COUNT(inputs));
    tcase_add_test(tc, temporary_file_is_no_input);
    tcase_add_loop_test(tc, source_that_changes_is_refused, 0, 3 * COUNT(changes));
    tcase_add_loop_test(tc, cancelled_run_leaves_nothing, 0, COUNT(stops));
    tcase_add_test(tc, cancelled_run_keeps_the_old_output);
    tcase_add_loop_test(tc, engine_failure_is_reported, 0, 12);
    tcase_add_test(tc, cause_is_reported_not_its_consequence);
    tcase_add_test(tc, full_disk_leaves_nothing);
    tcase_add_test(tc, wrong_source_is_refused);
    return run_tests("convert_failures", tc);
}

/* Checkpoints in a scratch directory, opened with success or failure, and the notes of opening.
 *
 *     tcase_add_checked_fixture(tc, setup, scratch_remove);
 *     make_pair();
 *     checkpoint *cp = open_good("");
 *     expect(notes, "no config.json"); */
#ifndef MADE_DIR_H
#define MADE_DIR_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "format/checkpoint/checkpoint.h"
#include "tests/aid/scratch.h"

/* A member of a header: bytes `begin` to `end` of the data. */
#define U8(name, begin, end, n)                                                                    \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" n "],\"data_offsets\":[" #begin "," #end "]}"
#define INDEX "model.safetensors.index.json"

static char notes[65536];
static size_t note_count;

static inline void gather(void *ctx, const char *text)
{
    (void)ctx;
    const size_t used = strlen(notes);
    snprintf(notes + used, sizeof notes - used, "%s\n", text);
    note_count++;
}

static const monitor listener = {.note = gather};

static inline void setup(void)
{
    notes[0] = '\0';
    note_count = 0;
    scratch_make();
}

static inline checkpoint *open_good(const char *name)
{
    checkpoint *cp = NULL;
    err e = {0};
    ck_assert_msg(checkpoint_open(scratch(name), &listener, &cp, &e) == OK, "%s", e.text);
    return cp;
}

static inline void open_bad(const char *name, err_code code, err *e)
{
    checkpoint *cp = NULL;
    *e = (err){0};
    ck_assert_int_eq(checkpoint_open(scratch(name), &listener, &cp, e), code);
    ck_assert_ptr_null(cp);
    ck_assert_int_eq(e->code, code);
    ck_assert_msg(strncmp(e->text, scratch_dir, strlen(scratch_dir)) == 0, "%s", e->text);
}

#define expect(text, part)                                                                         \
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" lacks \"%s\"", text, part)

static inline void make_pair(void)
{
    scratch_text("config.json", "{\"model_type\":\"x\"}");
    scratch_text(INDEX, "{\"metadata\":{\"total_size\":999},\"weight_map\":{\"a\":\"s2."
                        "safetensors\",\"b\":\"s1.safetensors\","
                        "\"c\":\"s2.safetensors\"}}");
    scratch_safetensors("s1.safetensors", "{" U8("b", 0, 4, "4") "}", 4, 10);
    scratch_safetensors("s2.safetensors", "{" U8("c", 0, 2, "2") "," U8("a", 2, 5, "3") "}", 5, 20);
}

#endif

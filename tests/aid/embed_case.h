/* A directory of files next to the weights, for the tests of format/checkpoint/embed.h. */
#ifndef EMBED_CASE_H
#define EMBED_CASE_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/checkpoint/embed.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

#define expect(text, part)                                                                         \
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" lacks \"%s\"", text, part)

static const char *const embedded_names[] = {
    "config.json",
    "tokenizer.json",
    "qwen.tiktoken",
    "chat_template.jinja",
    "video_preprocessor_config.json",
    "modeling_bailing.py",
    "LICENSE",
    "Notice.txt",
    "README.md",
};

/* Left out; a note names the second kind. */
static const char *const other_names[] = {
    ".gitattributes",    "Config.json.bak", "golden.bin",  "README",
    "pytorch_model.bin", "logo.png",        "recipe.yaml",
};
static const char *const noted_names[] = {"Config.json.bak", "recipe.yaml"};

/* Never listed at all. */
static const char *const weights[] = {
    "model.safetensors",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "x.safetensors",
};

static inline void make_all(void)
{
    for (size_t i = 0; i < COUNT(embedded_names); i++) {
        scratch_text(embedded_names[i], embedded_names[i]);
    }
    for (size_t i = 0; i < COUNT(other_names); i++) {
        scratch_text(other_names[i], "other");
    }
    for (size_t i = 0; i < COUNT(weights); i++) {
        scratch_text(weights[i], "weights");
    }
    scratch_text("sub/config.json", "not at the top");
    ck_assert_int_eq(mkdir(scratch("LICENSES"), 0777), 0);
    ck_assert_int_eq(mkfifo(scratch("vocab.tiktoken"), 0666), 0);
}

static inline const embed_file *find(const embed_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->files[i].name, name) == 0) {
            return &list->files[i];
        }
    }
    return NULL;
}

static checkpoint_dir *opened;

/* The scratch directory, until the test is over. */
static inline const checkpoint_dir *scratch_folder(void)
{
    err e = {0};
    checkpoint_dir_close(opened);
    ck_assert_int_eq(checkpoint_dir_open_directory(scratch_dir, &opened, &e), OK);
    return opened;
}

static inline void close_and_remove(void)
{
    checkpoint_dir_close(opened);
    opened = NULL;
    scratch_remove();
}

static inline void choose_good(const embed_glob *globs, size_t count, embed_list *list)
{
    err e = {0};
    ck_assert_msg(embed_choose(scratch_folder(), globs, count, NULL, list, &e) == OK, "%s", e.text);
}

static inline void choose_bad(const embed_glob *globs, size_t count, err_code code,
                              const char *says)
{
    embed_list list;
    err e = {0};
    ck_assert_int_eq(embed_choose(scratch_folder(), globs, count, NULL, &list, &e), code);
    expect(e.text, says);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_ptr_null(list.files);
}

static char noted[1024];
static unsigned notes;

static inline void keep_note(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(noted, sizeof noted, "%s", text);
    notes++;
}

static inline void note(const embed_glob *globs, size_t count)
{
    const monitor m = {.note = keep_note};
    embed_list list;
    notes = 0;
    choose_good(globs, count, &list);
    embed_note(&list, &m);
    embed_list_free(&list);
}

#endif

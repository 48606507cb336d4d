#include "format/checkpoint/embed_names.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "format/base/glob.h"

/* Read by loaders: of transformers 5.24, vLLM 0.33 and SGLang 0.5.23 (names that their sources
 * open), tiktoken and mistral-common, sentence-transformers. All of the code at the top level is
 * taken, not only what auto_map names: modules import each other, and what a loader or a plugin runs
 * is decided there, not in config.json. */
static const char *const known[] = {
    "config.json",
    "*_config.json",
    "generation_config*.json",
    "config_*.json",
    "configuration.json",
    "params.json",
    "model_args.json",
    "modules.json",
    "tokenizer*",
    "special_tokens_map*.json",
    "added_tokens*.json",
    "*vocab*.json",
    "*vocab*.txt",
    "vocab.bpe",
    "merges*",
    "dict*.txt",
    "tekken*.json",
    "normalizer.json",
    "*.model",
    "*.model.v[0-9]*",
    "*.spm",
    "*.tiktoken",
    "*.jinja",
    "chat_template*",
    "*.py",
    "README*.md",
};

/* Named chat templates of transformers, and the modules of sentence-transformers ("1_Pooling"). */
static const char *const known_below[] = {
    "additional_chat_templates/*.jinja",
    "[0-9]*_*/*config.json",
};

/* Files that a license asks to pass on, in lower case: makers spell them in every case. */
static const char *const legal[] = {
    "*licen[cs]e*", "*notice*",    "copying*",    "copyright*",  "patents*",
    "*use*policy*", "*policy.md",  "*policy.txt", "*policy.pdf", "third*part*",
    "*terms*.md",   "*terms*.txt", "*terms*.pdf",
};

static const char *const legal_below[] = {"*licen[cs]e*/*", "*notice*/*"};

/* Would change what the directory is: with an adapter_config.json and no adapter, transformers and
 * peft look for weights that an export does not have. */
static const char *const never_known[] = {"adapter_config.json"};

/* Weights of other formats, in lower case. */
static const char *const other_weights[] = {
    "*.bin",     "*.pt",        "*.pth", "*.ckpt",       "*.gguf",      "*.ggml",
    "*.onnx",    "*.onnx_data", "*.h5",  "*.npz",        "*.npy",       "*.pkl",
    "*.msgpack", "*.tflite",    "*.ot",  "*.index.json", "*.llamafile",
};

/* Read by people, or written by training and downloading, in lower case. */
static const char *const idle[] = {
    ".*",
    "*.md",
    "*.txt",
    "*.rst",
    "*.pdf",
    "*.html",
    "*.ipynb",
    "*.png",
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.svg",
    "*.webp",
    "*.bmp",
    "*.ico",
    "*.mp4",
    "*.webm",
    "*.mov",
    "*.wav",
    "*.mp3",
    "*.flac",
    "*.log",
    "*.csv",
    "*.tsv",
    "*.parquet",
    "*.jsonl",
    "*.tar",
    "*.gz",
    "*.zip",
    "*.octavo",
    "*.lock",
    "*.incomplete",
    "*.metadata",
    "*.part",
    "*.sh",
    "*.pyc",
    "*results.json",
    "trainer_state.json",
    "octavo-export.json",
    "readme",
    "*.bib",
};

#define MATCHES(list, name) matches_any(list, sizeof(list) / sizeof *(list), name)

static bool matches_any(const char *const *globs, size_t count, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        found = embed_glob_match(globs[i], name);
    }
    return found;
}

/* The part before the '/' at `slash`; false if no directory has so long a name. */
static bool head_of(const char *text, const char *slash, char head[NAME_MAX + 1])
{
    const size_t bytes = (size_t)(slash - text);
    if (bytes > NAME_MAX) {
        return false;
    }
    memcpy(head, text, bytes);
    head[bytes] = '\0';
    return true;
}

bool embed_glob_enters(const char *glob, const char *dir)
{
    char head[NAME_MAX + 1];
    const char *const slash = strchr(glob, '/');
    return slash && head_of(glob, slash, head) && glob_match(head, dir);
}

bool embed_glob_match(const char *glob, const char *name)
{
    char dir[NAME_MAX + 1];
    const char *const slash = strchr(name, '/');
    if (!slash) {
        return !strchr(glob, '/') && glob_match(glob, name);
    }
    return head_of(name, slash, dir) && embed_glob_enters(glob, dir) &&
           glob_match(strchr(glob, '/') + 1, slash + 1);
}

/* A name that is too long is cut: no list tells names apart after so many bytes. */
static void fold_case(const char *name, char folded[2 * (NAME_MAX + 1)])
{
    size_t i = 0;
    for (; i < 2 * NAME_MAX + 1 && name[i]; i++) {
        folded[i] = (char)tolower((unsigned char)name[i]);
    }
    folded[i] = '\0';
}

static const char *file_part(const char *name)
{
    const char *const slash = strchr(name, '/');
    return slash ? slash + 1 : name;
}

bool embed_name_weights(const char *name)
{
    static const char *const weights[] = {"*.safetensors", "*.safetensors.index.json"};
    return MATCHES(weights, file_part(name));
}

bool embed_name_known(const char *name)
{
    char folded[2 * (NAME_MAX + 1)];
    fold_case(name, folded);
    return (MATCHES(known, name) || MATCHES(known_below, name) || MATCHES(legal, folded) ||
            MATCHES(legal_below, folded)) &&
           !MATCHES(never_known, name) && !MATCHES(other_weights, file_part(folded));
}

bool embed_name_matters(const char *name)
{
    char folded[2 * (NAME_MAX + 1)];
    fold_case(name, folded);
    const char *const file = file_part(folded);
    return !embed_name_known(name) && !MATCHES(other_weights, file) && !MATCHES(idle, file);
}

bool embed_name_enters(const char *dir)
{
    char folded[2 * (NAME_MAX + 1)];
    bool enters = false;
    fold_case(dir, folded);
    for (size_t i = 0; i < sizeof known_below / sizeof *known_below; i++) {
        enters = enters || embed_glob_enters(known_below[i], dir);
    }
    for (size_t i = 0; i < sizeof legal_below / sizeof *legal_below; i++) {
        enters = enters || embed_glob_enters(legal_below[i], folded);
    }
    return enters;
}

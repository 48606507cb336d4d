#include "verify/tokenizer/tiktoken.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"

/* ---- ranks ----------------------------------------------------- */

/* The value of a character of base64; 64: it is not one. */
static unsigned digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *const at = c ? strchr(digits, c) : NULL;
    return at ? (unsigned)(at - digits) : 64;
}

/* Decode base64 with its padding; false: it is malformed, empty or too long. */
static bool decode(const char *text, size_t length, char *out, size_t *bytes)
{
    *bytes = 0;
    if (length == 0 || length % 4 != 0 || length / 4 * 3 > TIKTOKEN_MAX_BYTES + 2) {
        return false;
    }
    const size_t padding = (size_t)(text[length - 1] == '=') + (text[length - 2] == '=');
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        const size_t used = i + 4 == length ? 4 - padding : 4;
        for (size_t k = 0; k < 4; k++) {
            const unsigned digit = k < used ? digit_of(text[i + k]) : 0;
            if (digit > 63 || (k >= used && text[i + k] != '=')) {
                return false;
            }
            group = group << 6 | digit;
        }
        for (size_t k = 0; k + 1 < used; k++) {
            out[(*bytes)++] = (char)(group >> (16 - 8 * k));
        }
    }
    return *bytes > 0 && *bytes <= TIKTOKEN_MAX_BYTES;
}

static bool read_rank(const char *text, const char *end, int32_t *rank)
{
    const char *const begin = text;
    for (*rank = 0; text < end && *text >= '0' && *text <= '9' && *rank < TIKTOKEN_MAX_RANKS;
         text++) {
        *rank = *rank * 10 + (*text - '0');
    }
    return text == end && text > begin && *rank < TIKTOKEN_MAX_RANKS;
}

static err_code read_line(bpe_model *m, const char *line, const char *end, size_t number, err *e)
{
    char token[TIKTOKEN_MAX_BYTES + 2];
    size_t bytes = 0;
    int32_t rank = 0;
    const char *const space = memchr(line, ' ', (size_t)(end - line));
    if (!space || !decode(line, (size_t)(space - line), token, &bytes) ||
        !read_rank(space + 1, end, &rank)) {
        return err_set(e, ERR_INPUT, "line %zu: expected base64, a space and a rank below %d",
                       number, TIKTOKEN_MAX_RANKS);
    }
    if (m->count == TIKTOKEN_MAX_RANKS) {
        return err_set(e, ERR_INPUT, "more than %d tokens", TIKTOKEN_MAX_RANKS);
    }
    if (json_object_getn(m->vocab, token, bytes)) {
        return err_set(e, ERR_INPUT, "line %zu: duplicate token", number);
    }
    /* Keys are bytes here, not UTF-8. */
    if (json_object_setn_new_nocheck(m->vocab, token, bytes, json_integer(rank)) != 0) {
        return err_set(e, ERR_MEMORY, "no memory for a vocabulary");
    }
    m->ids[m->count++] = rank;
    return OK;
}

static size_t count_lines(const char *text, size_t bytes)
{
    size_t count = 1;
    for (size_t i = 0; i < bytes; i++) {
        count += text[i] == '\n';
    }
    return count;
}

static err_code read_lines(bpe_model *m, const char *text, size_t bytes, const monitor *asked,
                           err *e)
{
    const char *const end = text + bytes;
    for (size_t number = 1; text < end; number++) {
        TRY(monitor_step(asked, number, e));
        const char *const found = memchr(text, '\n', (size_t)(end - text));
        const char *const stop = found ? found : end;
        const char *const last = stop > text && stop[-1] == '\r' ? stop - 1 : stop;
        if (last > text) {
            TRY(read_line(m, text, last, number, e));
        }
        text = found ? found + 1 : end;
    }
    return OK;
}

err_code tiktoken_read_ranks(const char *text, size_t bytes, const monitor *m, bpe_model *out,
                             err *e)
{
    *out = (bpe_model){.by_text = true, .whole_words = true, .unknown = BPE_NONE};
    out->vocab = json_object();
    out->ids = calloc(num_min(count_lines(text, bytes), TIKTOKEN_MAX_RANKS), sizeof *out->ids);
    if (!out->vocab || !out->ids) {
        return err_set(e, ERR_MEMORY, "no memory for a vocabulary");
    }
    TRY(read_lines(out, text, bytes, m, e));
    TRY(bpe_finish_vocab(out, e));
    const size_t count = out->count;
    return count > 0 && out->ids[count - 1] == (int32_t)(count - 1)
               ? OK
               : err_set(e, ERR_INPUT, "the ranks of %zu tokens are not 0, 1, 2, ...", count);
}

/* ---- the pattern ----------------------------------------------- */

/* The parts of the pattern of tokenization_kimi.py of Kimi-K2, Kimi-VL, Kimi-Linear, Moonlight and
 * later ones, which "|" joins. */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
static const char *const kimi[] = {
    "[\\p{Han}]+",
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS,
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" CONTRACTIONS,
    "\\p{N}{1,3}",
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*",
    "\\s*[\\r\\n]+",
    "\\s+(?!\\S)",
    "\\s+",
    NULL,
};
static const char *const *const known[] = {kimi};

static const char raw_quotes[] = "r\"\"\"", quotes[] = "\"\"\"";

/* Skip a text, or white space and commas; NULL: something else is there. */
static const char *skip(const char *at, const char *text)
{
    return at && strncmp(at, text, strlen(text)) == 0 ? at + strlen(text) : NULL;
}

static const char *skip_between(const char *at)
{
    return at ? at + strspn(at, ", \t\r\n") : NULL;
}

/* Is there a list of exactly these parts at `at`, after its bracket? */
static bool is_list_of(const char *at, const char *const *parts)
{
    for (; *parts; parts++) {
        at = skip(skip(skip(skip_between(at), raw_quotes), *parts), quotes);
    }
    at = skip_between(at);
    return at && *at == ']';
}

static bool has_list_of(const char *code, const char *const *parts)
{
    for (const char *at = strchr(code, '['); at; at = strchr(at + 1, '[')) {
        if (is_list_of(at + 1, parts)) {
            return true;
        }
    }
    return false;
}

err_code tiktoken_read_pattern(const char *code, pattern **out, err *e)
{
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        char text[PATTERN_MAX_BYTES] = "";
        size_t used = 0;
        for (const char *const *part = known[k]; *part; part++) {
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? "|" : "", *part);
        }
        if (has_list_of(code, known[k]) || strstr(code, text)) {
            return pattern_compile(text, used, out, e);
        }
    }
    return err_set(e, ERR_INPUT, "the code has no pattern that octavo knows");
}

/* ---- special tokens -------------------------------------------- */

/* How many ids after the ranks are special; 0: the code does not say so in a known way. */
static size_t count_reserved(const char *code)
{
    if (!strstr(code, "num_reserved_special_tokens = 256") ||
        !strstr(code, "<|reserved_token_{i}|>")) {
        return 0;
    }
    return strstr(code, "num_reserved_special_tokens + 2") ? 258 : 256;
}

static err_code check_ids(const json_t *named, size_t first, size_t count, err *e)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)named, key, value)
    {
        char *end = NULL;
        const unsigned long long id = strtoull(key, &end, 10);
        if (*end || end == key || id < first || id - first >= count) {
            return err_set(e, ERR_INPUT,
                           "added_tokens_decoder: expected ids from %zu to %zu, found \"%s\"",
                           first, first + count - 1, key);
        }
    }
    return OK;
}

static err_code add_special(const json_t *named, int32_t id, added_set *out, err *e)
{
    char key[16], reserved[40];
    snprintf(key, sizeof key, "%" PRId32, id);
    snprintf(reserved, sizeof reserved, "<|reserved_token_%" PRId32 "|>", id);
    const json_t *const token = json_object_get(named, key);
    const json_t *const content = json_object_get(token, "content");
    const char *const text = token ? json_string_value(content) : reserved;
    if (!text || !*text || strlen(text) > ADDED_MAX_BYTES) {
        char place[64];
        snprintf(place, sizeof place, "added_tokens_decoder.%s.content", key);
        return tokenizer_refuse(place, content, e);
    }
    added_token *const t = &out->tokens[out->count];
    *t = (added_token){.content = strdup(text), .bytes = strlen(text), .id = id};
    if (!t->content) {
        return err_set(e, ERR_MEMORY, "no memory for an added token");
    }
    out->count++;
    return OK;
}

err_code tiktoken_read_special(const json_t *config, size_t first, const char *code, added_set *out,
                               err *e)
{
    const json_t *const named = json_object_get(config, "added_tokens_decoder");
    const size_t count = count_reserved(code);
    *out = (added_set){0};
    if (count == 0) {
        return err_set(e, ERR_INPUT, "the code does not say in a known way which ids are special");
    }
    TRY(check_ids(named, first, count, e));
    out->tokens = calloc(count, sizeof *out->tokens);
    if (!out->tokens) {
        return err_set(e, ERR_MEMORY, "no memory for added tokens");
    }
    for (size_t i = 0; i < count; i++) {
        TRY(add_special(named, (int32_t)(first + i), out, e));
    }
    return added_finish(out, e);
}

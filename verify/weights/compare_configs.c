/* config.json as it was embedded, and as it stands beside the checkpoint: key by key, whatever the
 * spelling of the file. */
#include <stdlib.h>

#include "format/json/json.h"
#include "verify/weights/compare_steps.h"

#define CONFIG "config.json"

/* *out stays NULL without a text, which is freed. */
static err_code parse(const char *what, char *text, size_t bytes, json_t **out, err *e)
{
    const err_code code = text ? json_parse(what, text, bytes, true, out, e) : OK;
    free(text);
    return code;
}

static err_code load_both(const compare *c, json_t **packed, json_t **source, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    err_code code = pack_read_member(c->p, CONFIG, &text, &bytes, e);
    if (code == OK) {
        code = parse("the embedded " CONFIG, text, bytes, packed, e);
    }
    if (code == OK) {
        code = checkpoint_read_file(c->cp, CONFIG, &text, &bytes, e);
    }
    if (code == OK) {
        code = parse("the source's " CONFIG, text, bytes, source, e);
    }
    return code;
}

/* A file that only one side has was left out on purpose (--no-embed), or a part of the checkpoint
 * is looked at: nothing to compare, which is worth a note. */
err_code compare_configs(compare *c, err *e)
{
    json_t *packed = NULL;
    json_t *source = NULL;
    const err_code code = load_both(c, &packed, &source, e);
    if (code == OK && packed && source) {
        static const char *const sides[] = {"the packed file", "the source"};
        difference_json(&c->differences, CONFIG, sides, packed, source);
    } else if (code == OK && (packed || source)) {
        monitor_note(c->monitor, CONFIG " is only in the %s: not compared",
                     packed ? "packed file" : "source");
    }
    json_decref(packed);
    json_decref(source);
    return code;
}

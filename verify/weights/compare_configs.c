/* The embedded config.json against that of the checkpoint, key by key: formatting and the order of
 * keys do not matter. */
#include <stdlib.h>

#include "format/json/json.h"
#include "verify/weights/compare_steps.h"

#define CONFIG "config.json"

/* Parse `text` and free it. *out stays NULL if `text` is NULL. */
static err_code parse(const char *what, char *text, size_t bytes, json_t **out, err *e)
{
    const err_code code = text ? json_parse(what, text, bytes, JSON_PYTHON, out, e) : OK;
    free(text);
    return code;
}

static err_code load_both(const compare *c, json_t **packed, json_t **source, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    TRY(pack_read_member(c->p, CONFIG, &text, &bytes, e));
    TRY(parse("the embedded " CONFIG, text, bytes, packed, e));
    TRY(checkpoint_read_file(c->cp, CONFIG, &text, &bytes, e));
    return parse("the source's " CONFIG, text, bytes, source, e);
}

/* Only one side may have the file: --no-embed leaves it out, and a checkpoint may be partial. That
 * is no difference, but worth a note. */
err_code compare_configs(compare *c, err *e)
{
    static const char *const sides[] = {"the packed file", "the source"};
    json_t *packed = NULL;
    json_t *source = NULL;
    err_code code = OK;
    TRY_OUT(load_both(c, &packed, &source, e));
    if (packed && source) {
        difference_json(&c->differences, CONFIG, sides, packed, source);
    } else if (packed || source) {
        monitor_note(c->monitor, CONFIG " is only in the %s: not compared",
                     packed ? "packed file" : "source");
    }
out:
    json_decref(packed);
    json_decref(source);
    return code;
}

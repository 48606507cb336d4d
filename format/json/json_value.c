#include "format/json/json_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/json/json.h"

err_code config_show(const json_t *value, char text[CONFIG_SHOWN_BYTES], err *e)
{
    char *const whole = json_write_text(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    snprintf(text, CONFIG_SHOWN_BYTES, "%s", whole ? whole : "?");
    free(whole);
    return whole ? OK : err_set(e, ERR_MEMORY, "no memory for a value");
}

bool config_same(const json_t *a, const json_t *b)
{
    const bool mixed = json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b);
    return mixed ? json_number_value(a) == json_number_value(b) : json_equal(a, b) == 1;
}

json_t *config_given(const json_t *object, const char *key)
{
    json_t *const value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static err_code refuse(const char *what, const char *key, const json_t *value, const char *expected,
                       err *e)
{
    char found[CONFIG_SHOWN_BYTES];
    if (!value) {
        return err_set(e, ERR_INPUT, "%s: %s is missing", what, key);
    }
    TRY(config_show(value, found, e));
    return err_set(e, ERR_INPUT, "%s: %s: expected %s, found %s", what, key, expected, found);
}

err_code config_count(const char *what, const char *key, const json_t *value, uint64_t low,
                      uint64_t high, unsigned *out, err *e)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || number != floor(number) || number < (double)low ||
        number > (double)high) {
        char expected[80];
        snprintf(expected, sizeof expected, "a whole number from %" PRIu64 " to %" PRIu64, low,
                 high);
        return refuse(what, key, value, expected, e);
    }
    *out = (unsigned)number;
    return OK;
}

err_code config_real(const char *what, const char *key, const json_t *value, double low,
                     double high, double *out, err *e)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number > low) || !(number < high)) {
        char expected[80];
        const bool open = isinf(high);
        snprintf(expected, sizeof expected,
                 open ? "a number above %g" : "a number between %g and %g", low, high);
        return refuse(what, key, value, expected, e);
    }
    *out = number;
    return OK;
}

err_code config_flag(const char *what, const char *key, const json_t *value, bool *out, err *e)
{
    if (!json_is_boolean(value)) {
        return refuse(what, key, value, "true or false", e);
    }
    *out = json_is_true(value);
    return OK;
}

err_code config_string(const char *what, const char *key, const json_t *value, const char **out,
                       err *e)
{
    if (!json_is_string(value)) {
        return refuse(what, key, value, "a string", e);
    }
    *out = json_string_value(value);
    return OK;
}

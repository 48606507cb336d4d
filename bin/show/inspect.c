#include "bin/show/inspect.h"

#include <stdio.h>

#include "bin/cli/text.h"
#include "format/base/printable.h"

err_code inspect_no_match(const char *path, const char *glob, err *e)
{
    err_set(e, ERR_USAGE, "--tensor '%s' matches no tensor of %s", glob, path);
    err_hint(e, "the whole name has to match; * stands for any bytes");
    return ERR_USAGE;
}

void inspect_print_model(const json_t *config)
{
    char type[128] = "", name[128] = "";
    const json_t *const architectures = json_object_get(config, "architectures");
    const char *const model_type = json_string_value(json_object_get(config, "model_type"));
    const char *const architecture = json_string_value(json_array_get(architectures, 0));
    printable(type, sizeof type, model_type ? model_type : "");
    printable(name, sizeof name, architecture ? architecture : "");
    if (type[0] || name[0]) {
        printf("model      %s%s%s\n", type, type[0] && name[0] ? ", " : "", name);
    }
}

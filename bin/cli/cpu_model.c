#include "bin/cli/cpu_model.h"
#include "format/base/printable.h"

#include <stdio.h>
#include <string.h>

/* The text after "model name : " in a line; NULL for other lines. */
static char *model_of(char *line)
{
    static const char key[] = "model name";
    char *const colon = strchr(line, ':');
    if (strncmp(line, key, sizeof key - 1) != 0 || !colon) {
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return colon + 1 + strspn(colon + 1, " \t");
}

const char *cpu_model(char *to, size_t room)
{
    char line[512];
    const char *model = NULL;
    FILE *const f = fopen("/proc/cpuinfo", "re");
    while (f && !model && fgets(line, sizeof line, f)) {
        model = model_of(line);
    }
    printable(to, room, model ? model : "");
    if (f) {
        (void)fclose(f); /* it was only read */
    }
    return to;
}

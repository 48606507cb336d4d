#include <stdio.h>
#include <string.h>

#include "bin/cli/help_text.h"
#include "bin/cli/manual.h"

enum { LINE_COLUMNS = 80, OPTION_COLUMN = 28, EXAMPLE_COLUMN = 4 };

/* Print words, wrapped at LINE_COLUMNS, with every line indented to `indent`; the cursor is at
 * `column`. Ends the last line. */
static void print_wrapped(const char *words, size_t column, size_t indent)
{
    for (bool first = true; *words; first = false) {
        const size_t length = strcspn(words, " ");
        if (column + !first + length > LINE_COLUMNS && column > indent) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column < indent) {
            column += (size_t)printf("%*s", (int)(indent - column), "");
        } else if (!first) {
            column += (size_t)printf(" ");
        }
        column += (size_t)printf("%.*s", (int)length, words);
        words += length + (words[length] == ' ');
    }
    putchar('\n');
}

static void print_option(const option_spec *o)
{
    char text[80];
    const char letter[] = {'-', o->letter, ',', ' ', '\0'};
    const int column = snprintf(text, sizeof text, "  %s--%s%s%s", o->letter ? letter : "    ",
                                o->name, o->value ? " " : "", o->value ? o->value : "");
    printf("%s", text);
    if (column + 2 > OPTION_COLUMN) {
        putchar('\n');
        print_wrapped(o->help, 0, OPTION_COLUMN);
    } else {
        print_wrapped(o->help, (size_t)column, OPTION_COLUMN);
    }
    if (o->repeatable) {
        print_wrapped("May be repeated.", 0, OPTION_COLUMN);
    }
}

void usage_print(command_id c)
{
    if (c == COMMAND_NONE) {
        printf("octavo COMMAND [OPTION]... [OPERAND]\n");
        return;
    }
    const command_spec *const spec = &command_table[c];
    printf("octavo %s [OPTION]...", spec->name);
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (option_is_of(o, c) && o->required) {
            const char letter[] = {o->letter, '\0'};
            printf(" -%s%s %s", o->letter ? letter : "-", o->letter ? "" : o->name, o->value);
        }
    }
    for (size_t i = 0; i < OPERANDS_MAX && spec->operands[i].name; i++) {
        const operand_spec *const o = &spec->operands[i];
        printf(o->required ? " %s%s" : " [%s]%s", o->name, o->repeatable ? "..." : "");
    }
    putchar('\n');
}

static void print_commands(void)
{
    printf("\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("  %-9s %s\n", command_table[i].name, command_table[i].summary);
    }
    printf("\n'octavo help COMMAND' explains a command and its options.\n");
}

void help_print(command_id c)
{
    const help_text *const text = &help_texts[c];
    printf("Usage: ");
    usage_print(c);
    putchar('\n');
    print_wrapped(text->paragraphs[0], 0, 0);
    if (c == COMMAND_NONE) {
        print_commands();
    }
    printf("\nOptions:\n");
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], c)) {
            print_option(&option_table[i]);
        }
    }
    printf("\nExamples:\n");
    for (const help_example *x = text->examples; x->command; x++) {
        printf("  octavo %s\n", x->command);
        print_wrapped(x->meaning, 0, EXAMPLE_COLUMN + 2);
    }
}

/* Prints manual pages in mdoc(7), the language of mandoc and groff. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bin/cli/help_text.h"
#include "bin/cli/manual.h"

enum { LINE_BYTES = 76 };

static bool ends_sentence(const char *word, size_t length)
{
    while (length > 1 && (word[length - 1] == ')' || word[length - 1] == '\'')) {
        length--;
    }
    return length > 1 && strchr(".?!", word[length - 1]) != NULL;
}

/* Print one word so that roff shows it unchanged: in a word that begins with a dash, every dash
 * becomes a minus sign, which can be copied to a shell; a dot or quote must not begin a line. */
static size_t print_word(const char *word, size_t length)
{
    const bool dashes = word[0] == '-';
    size_t column = 0;
    if (word[0] == '.' || word[0] == '\'') {
        column += (size_t)printf("\\&");
    }
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '\\') {
            column += (size_t)printf("\\e");
        } else {
            column += (size_t)printf("%s%c", dashes && word[i] == '-' ? "\\" : "", word[i]);
        }
    }
    return column;
}

/* Start each sentence on a new line and break long ones: the style that mandoc -Tlint asks for. */
static void print_prose(const char *words)
{
    size_t column = 0;
    while (*words) {
        const size_t length = strcspn(words, " ");
        if (column > 0 && column + length + 1 > LINE_BYTES) {
            putchar('\n');
            column = 0;
        }
        if (column > 0) {
            column += (size_t)printf(" ");
        }
        column += print_word(words, length);
        if (words[length] && ends_sentence(words, length)) {
            putchar('\n');
            column = 0;
        }
        words += length + (words[length] == ' ');
    }
    putchar('\n');
}

/* Print "one|two" as words of a macro line, with the bar as a separate word. */
static void print_choice(const char *macro, const char *words)
{
    printf(" %s ", macro);
    for (; *words; words++) {
        printf(*words == '|' ? " | " : "%c", *words);
    }
}

static void print_value(const option_spec *o)
{
    if (o->value) {
        print_choice(o->kind == VALUE_WORD && strchr(o->value, '|') ? "Cm" : "Ar", o->value);
    }
}

static bool is_in_synopsis(const option_spec *o, command_id c)
{
    return option_is_of(o, c) && o->id != OPTION_HELP && o->id != OPTION_VERSION;
}

static void print_synopsis(command_id c)
{
    const command_spec *const spec = &command_table[c];
    printf(".Nm octavo %s\n", spec->name);
    char letters[32] = "";
    size_t used = 0;
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (is_in_synopsis(o, c) && o->letter && !o->value) {
            letters[used++] = o->letter;
        }
    }
    if (used > 0) {
        printf(".Op Fl %s\n", letters);
    }
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (is_in_synopsis(o, c) && !o->required && (o->value || !o->letter)) {
            printf(".Op Fl \\-%s", o->name);
            print_value(o);
            printf(o->repeatable ? " ...\n" : "\n");
        }
    }
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (is_in_synopsis(o, c) && o->required) {
            const char letter[] = {o->letter, '\0'};
            printf(".Fl %s%s Ar %s\n", o->letter ? letter : "\\-", o->letter ? "" : o->name,
                   o->value);
        }
    }
    for (size_t i = 0; i < OPERANDS_MAX && spec->operands[i].name; i++) {
        const operand_spec *const o = &spec->operands[i];
        printf(o->required ? "." : ".Op");
        print_choice("Ar", o->name);
        printf(o->repeatable ? " ...\n" : "\n");
    }
}

static void print_options(command_id c)
{
    printf(".Bl -tag -width Ds\n");
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (!option_is_of(o, c)) {
            continue;
        }
        printf(".It");
        if (o->letter) {
            printf(" Fl %c", o->letter);
            print_value(o);
            printf(" ,");
        }
        printf(" Fl \\-%s", o->name);
        print_value(o);
        putchar('\n');
        print_prose(o->help);
        if (o->repeatable) {
            print_prose("May be repeated.");
        }
    }
    printf(".El\n");
}

static void print_commands(void)
{
    printf(".Sh COMMANDS\n.Bl -tag -width inspect\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "%s.", command_table[i].summary);
        sentence[0] = (char)toupper((unsigned char)sentence[0]);
        printf(".It Cm %s\n", command_table[i].name);
        print_prose(sentence);
        printf("See\n.Xr octavo-%s 1 .\n", command_table[i].name);
    }
    printf(".El\n");
}

static void print_exit_status(const err_code *codes)
{
    printf(".Sh EXIT STATUS\n.Bl -tag -width 128+n -compact\n.It 0\nThe answer is yes, or "
           "the command succeeded.\n");
    for (; *codes != OK; codes++) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "%s.", err_description(*codes));
        sentence[0] = (char)toupper((unsigned char)sentence[0]);
        printf(".It %d\n", err_exit_status(*codes));
        print_prose(sentence);
    }
    printf(".It 128+n\nEnded by signal n, after cleaning up.\n.El\n");
}

static void print_examples(const help_example *x)
{
    printf(".Sh EXAMPLES\n");
    for (bool first = true; x->command; x++, first = false) {
        if (!first) {
            printf(".Pp\n");
        }
        print_prose(x->meaning);
        printf(".Dl octavo ");
        for (const char *p = x->command; *p; p++) {
            printf(*p == '-' ? "\\-" : "%c", *p);
        }
        putchar('\n');
    }
}

static void print_see_also(const char *const *pages)
{
    printf(".Sh SEE ALSO\n");
    for (; *pages; pages++) {
        printf(".Xr %s 1%s\n", *pages, pages[1] ? " ," : "");
    }
}

static void print_title(command_id c)
{
    const char *const name = c == COMMAND_NONE ? "" : command_table[c].name;
    const char *const dash = c == COMMAND_NONE ? "" : "-";
    printf(".Dd %s\n.Dt OCTAVO%s", help_date, dash);
    for (const char *p = name; *p; p++) {
        putchar(toupper((unsigned char)*p));
    }
    printf(" 1\n.Os\n.Sh NAME\n.Nm octavo%s%s\n.Nd %s\n", dash, name,
           c == COMMAND_NONE ? "block-FP8 model files, proved right" : command_table[c].summary);
}

void man_print(command_id c)
{
    const help_text *const text = &help_texts[c];
    printf(".\\\" Written by 'octavo help --man' from the table of options; do not edit.\n");
    print_title(c);
    printf(".Sh SYNOPSIS\n");
    if (c == COMMAND_NONE) {
        printf(".Nm\n.Ar command\n.Op Ar option ...\n.Op Ar operand\n.Nm\n.Fl h | V\n");
    } else {
        print_synopsis(c);
    }
    printf(".Sh DESCRIPTION\n");
    for (const char *const *p = text->paragraphs; *p; p++) {
        if (p > text->paragraphs) {
            printf(".Pp\n");
        }
        print_prose(*p);
    }
    if (c == COMMAND_NONE) {
        print_commands();
    }
    printf(".Sh OPTIONS\n");
    print_options(c);
    print_exit_status(text->codes);
    print_examples(text->examples);
    print_see_also(text->see_also);
}

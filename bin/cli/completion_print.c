/* Prints completion scripts for bash, zsh and fish. */
#include <stdio.h>
#include <string.h>

#include "bin/cli/manual.h"

/* Print a text within single quotes, with a backslash before each byte of `special`. */
static void print_quoted(const char *text, size_t length, const char *special)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\'') {
            printf("'\\''");
        } else {
            printf("%s%c", strchr(special, text[i]) ? "\\" : "", text[i]);
        }
    }
}

/* The length of the first sentence of a help text, without its full stop. */
static size_t first_sentence(const char *help)
{
    const char *const end = strstr(help, ". ");
    return end ? (size_t)(end - help) : strlen(help) - (help[strlen(help) - 1] == '.');
}

/* Print "one|two" with `separator` instead of the bars. */
static void print_words(const char *words, char separator)
{
    for (; *words; words++) {
        putchar(*words == '|' ? separator : *words);
    }
}

static void print_command_names(char separator)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (i > 0) {
            putchar(separator);
        }
        printf("%s", command_table[i].name);
    }
}

/* ---- bash ------------------------------------------------------ */

static void bash_values(command_id c)
{
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (!option_is_of(o, c) || !o->value) {
            continue;
        }
        printf("    ");
        if (o->letter) {
            printf("'%s -%c' | ", command_table[c].name, o->letter);
        }
        printf("'%s --%s') ", command_table[c].name, o->name);
        if (o->words) {
            printf("words='");
            print_words(o->words, ' ');
            printf("' ;;\n");
        } else {
            printf("return ;;\n"); /* file names, by -o default */
        }
    }
}

static void bash_options(command_id c)
{
    if (c == COMMAND_NONE) {
        printf("    '') words='");
        print_command_names(' ');
    } else {
        printf("    %s) words='", command_table[c].name);
    }
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (option_is_of(o, c) && o->letter) {
            printf(" -%c", o->letter);
        }
        if (option_is_of(o, c)) {
            printf(" --%s", o->name);
        }
    }
    printf("' ;;\n");
}

static void bash_print(void)
{
    printf("# bash completion for octavo, by 'octavo help --completion bash'\n"
           "_octavo() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    local command='' words='' i\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        ");
    print_command_names('|');
    printf(")\n"
           "            command=${COMP_WORDS[i]}\n"
           "            break\n"
           "            ;;\n"
           "        esac\n"
           "    done\n"
           "    # --option=value arrives as three words\n"
           "    if [[ $cur == '=' ]]; then\n"
           "        cur=\n"
           "    elif [[ $prev == '=' ]]; then\n"
           "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    case \"$command $prev\" in\n");
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        bash_values((command_id)c);
    }
    printf("    esac\n"
           "    if [[ -n $words ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "        return\n"
           "    fi\n"
           "    if [[ -n $command && $command != help && $cur != -* ]]; then\n"
           "        return\n"
           "    fi\n"
           "    case $command in\n");
    for (unsigned c = 0; c <= COMMAND_NONE; c++) {
        bash_options((command_id)c);
    }
    printf("    esac\n"
           "    if [[ $command == help && $cur != -* ]]; then\n"
           "        words='octavo ");
    print_command_names(' ');
    printf("'\n"
           "    fi\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "}\n"
           "complete -o default -F _octavo octavo\n");
}

/* ---- zsh ------------------------------------------------------- */

static void zsh_value(const option_spec *o)
{
    if (!o->value) {
        return;
    }
    printf(":");
    print_quoted(o->value, strlen(o->value), ":");
    printf(":");
    if (o->kind == VALUE_PATH) {
        printf("_files");
    } else if (o->words) {
        printf(o->kind == VALUE_LIST ? "_sequence compadd - " : "(");
        print_words(o->words, ' ');
        printf(o->kind == VALUE_LIST ? "" : ")");
    }
}

static void zsh_option(const option_spec *o)
{
    printf("            ");
    if (o->repeatable) {
        printf("'*--%s", o->name);
    } else if (o->letter) {
        printf("'(-%c --%s)'{-%c,--%s}'", o->letter, o->name, o->letter, o->name);
    } else {
        printf("'--%s", o->name);
    }
    printf("[");
    print_quoted(o->help, first_sentence(o->help), "[]\\");
    printf("]");
    zsh_value(o);
    printf("' \\\n");
}

static void zsh_operand(const operand_spec *o, size_t number)
{
    if (o->repeatable) {
        printf("'*:%s:", o->name);
    } else {
        printf("'%zu:%s:", number, o->name);
    }
    if (o->kind == VALUE_PATH) {
        printf("_files'");
    } else if (o->kind == VALUE_WORD) {
        printf("(octavo ");
        print_command_names(' ');
        printf(")'");
    } else {
        printf("'");
    }
}

static void zsh_command(command_id c)
{
    const command_spec *const spec = &command_table[c];
    printf("    %s)\n        _arguments -s -S \\\n", spec->name);
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], c)) {
            zsh_option(&option_table[i]);
        }
    }
    for (size_t i = 0; i < OPERANDS_MAX && spec->operands[i].name; i++) {
        printf("            ");
        zsh_operand(&spec->operands[i], i + 1);
        printf(" \\\n");
    }
    printf("            && return\n        ;;\n");
}

static void zsh_print(void)
{
    printf("#compdef octavo\n"
           "# zsh completion for octavo, by 'octavo help --completion zsh'\n"
           "_octavo() {\n"
           "    local -a commands\n"
           "    commands=(\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("        '%s:", command_table[i].name);
        print_quoted(command_table[i].summary, strlen(command_table[i].summary), ":");
        printf("'\n");
    }
    printf("    )\n"
           "    if ((CURRENT == 2)); then\n"
           "        _arguments \\\n");
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], COMMAND_NONE)) {
            zsh_option(&option_table[i]);
        }
    }
    printf("            '1:command:{_describe command commands}'\n"
           "        return\n"
           "    fi\n"
           "    shift words\n"
           "    ((CURRENT--))\n"
           "    case $words[1] in\n");
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        zsh_command((command_id)c);
    }
    printf("    esac\n"
           "}\n"
           "_octavo \"$@\"\n");
}

/* ---- fish ------------------------------------------------------ */

static void fish_option(const option_spec *o, const char *condition)
{
    printf("complete -c octavo -n '%s'", condition);
    if (o->letter) {
        printf(" -s %c", o->letter);
    }
    printf(" -l %s", o->name);
    if (o->words) {
        printf(" -x -a '");
        print_words(o->words, ' ');
        printf("'");
    } else if (o->value) {
        printf(o->kind == VALUE_PATH ? " -r -F" : " -x");
    }
    printf(" -d '");
    /* Within single quotes, fish has only the escapes \' and \\. */
    for (size_t i = 0; i < first_sentence(o->help); i++) {
        printf("%s%c", strchr("'\\", o->help[i]) ? "\\" : "", o->help[i]);
    }
    printf("'\n");
}

static void fish_command(command_id c)
{
    char condition[80];
    snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", command_table[c].name);
    const value_kind kind = command_table[c].operands[0].kind;
    if (kind == VALUE_PATH) {
        printf("complete -c octavo -n '%s' -F\n", condition);
    } else if (kind == VALUE_WORD) {
        printf("complete -c octavo -n '%s' -a 'octavo ", condition);
        print_command_names(' ');
        printf("'\n");
    }
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], c)) {
            fish_option(&option_table[i], condition);
        }
    }
}

static void fish_print(void)
{
    printf("# fish completion for octavo, by 'octavo help --completion fish'\n"
           "complete -c octavo -f\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("complete -c octavo -n __fish_use_subcommand -a %s -d '%s'\n", command_table[i].name,
               command_table[i].summary);
    }
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], COMMAND_NONE)) {
            fish_option(&option_table[i], "__fish_use_subcommand");
        }
    }
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        fish_command((command_id)c);
    }
}

void completion_print(shell s)
{
    switch (s) {
    case SHELL_BASH:
        bash_print();
        break;
    case SHELL_ZSH:
        zsh_print();
        break;
    case SHELL_FISH:
        fish_print();
        break;
    }
}

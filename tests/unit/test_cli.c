/* cli: the command line as ls_command_parse reads it. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "cli/command.h"

typedef struct test_args {
    ls_words operands;
    const char *out;
    ls_words sets;
    bool plain;
} test_args;

static const ls_option options[] = {
    {"--out", "-o", LS_OPTION_TEXT, "DIR", "where", offsetof(test_args, out)},
    {"--set", NULL, LS_OPTION_LIST, "KEY=VALUE", "what", offsetof(test_args, sets)},
    {"--plain", NULL, LS_OPTION_FLAG, NULL, "how", offsetof(test_args, plain)},
};

static const ls_command command = {
    .name = "try",
    .operands = "FILE [FILE]",
    .min_operands = 1,
    .max_operands = 2,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .args_size = sizeof(test_args),
};

static test_args args;

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})
static ls_status parse(const char *const *words) {
    int count = 0;
    while (words[count])
        count++;
    ls_message_set("");
    ls_command_args_free(&command, &args);
    memset(&args, 0, sizeof args);
    return ls_command_parse(&command, count, (char **)words, &args);
}

static void forget(void) {
    ls_command_args_free(&command, &args);
}

static void refused(ls_status status, const char *one, const char *other) {
    cr_expect_eq(status, LS_ERR_INPUT);
    cr_expect_not_null(strstr(ls_message(), one), "no \"%s\" in \"%s\"", one, ls_message());
    cr_expect_not_null(strstr(ls_message(), other), "no \"%s\" in \"%s\"", other, ls_message());
    cr_expect_null(strchr(ls_message(), '\n'));
}

Test(cli, every_way_to_write_an_option, .fini = forget) {
    static const char *const ways[][3] = {
        {"--out", "here", "file"}, {"file", "-o", "here"}, {"--out=here", "file", NULL}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        cr_assert_eq(parse((const char *const[]){ways[i][0], ways[i][1], ways[i][2], NULL}), LS_OK);
        cr_expect_str_eq(args.out, "here");
        cr_assert_eq(args.operands.count, 1);
        cr_expect_str_eq(args.operands.word[0], "file");
        cr_expect_not(args.plain);
    }
}

Test(cli, repeated_options, .fini = forget) {
    cr_assert_eq(PARSE("--set", "a=1", "x", "--set=b=2", "--plain", "y", "--out", "1", "--out", "2",
                       "--set", "a=3"),
                 LS_OK);
    static const char *const sets[] = {"a=1", "b=2", "a=3"};
    cr_assert_eq(args.sets.count, 3);
    for (size_t i = 0; i < 3; i++)
        cr_expect_str_eq(args.sets.word[i], sets[i]);
    cr_assert_eq(args.operands.count, 2);
    cr_expect_str_eq(args.operands.word[1], "y");
    cr_expect_str_eq(args.out, "2", "the last one counts");
    cr_expect(args.plain);
}

Test(cli, dashes_that_are_no_options, .fini = forget) {
    cr_assert_eq(PARSE("-", "--", "--plain"), LS_OK);
    cr_assert_eq(args.operands.count, 2);
    cr_expect_str_eq(args.operands.word[0], "-");
    cr_expect_str_eq(args.operands.word[1], "--plain");
    cr_expect_not(args.plain);
}

Test(cli, refusals, .fini = forget) {
    refused(PARSE("x", "--plane"), "--plane", "'--plain'");
    refused(PARSE("x", "--xyzzy"), "--xyzzy", "help try");
    refused(PARSE("x", "--out"), "--out", "DIR");
    refused(PARSE("x", "--plain=yes"), "--plain", "no value");
    refused(PARSE("--plain"), "missing", "FILE [FILE]");
    refused(PARSE("x", "y", "z"), "'z'", "FILE [FILE]");
}

Test(cli, counts) {
    static const char *const wrong[] = {"", "0", "-3", "2.5", "many", "7x", "99999999999999999999"};
    int64_t count = 5;
    cr_assert_eq(ls_command_count(&command, "--steps", NULL, &count), LS_OK);
    cr_expect_eq(count, 5, "not given");
    cr_assert_eq(ls_command_count(&command, "--steps", "12", &count), LS_OK);
    cr_expect_eq(count, 12);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ls_message_set("");
        refused(ls_command_count(&command, "--steps", wrong[i], &count), "try: --steps", wrong[i]);
    }
    cr_expect_eq(count, 12);
}

Test(cli, every_command_has_its_help) {
    for (size_t i = 0; ls_commands[i]; i++) {
        cr_expect_gt(strlen(ls_commands[i]->summary), 0, "%s", ls_commands[i]->name);
        for (size_t k = 0; k < ls_commands[i]->option_count; k++) {
            const ls_option *option = &ls_commands[i]->options[k];
            cr_expect_lt(option->offset, ls_commands[i]->args_size, "%s", option->name);
            cr_expect_not_null(option->help, "%s", option->name);
        }
    }
}

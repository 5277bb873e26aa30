/* config: chains of transforms. */
#include "test_config.h"

#define MINIMAL "data: {file: a.h5}\nmodel: {layers: [relu]}\n"

/* In flow or in block style, and by --set; what was read is written as text that reads the same. */
Test(config, transforms) {
    static const struct {
        const char *given, *written;
    } cases[] = {
        {"[]", "[]"},
        {"log1p", "[log1p]"},
        {"[ log1p ]", "[log1p]"},
        {"{scale: -.5}", "[{scale: -0.5}]"},
        {"[log1p, {scale: 1e-3}, {clip: [0, 1]}]", "[log1p, {scale: 0.001}, {clip: [0, 1]}]"},
        {"\n  - clip: [-1, 2.5]\n  - log1p\n  - scale: 3",
         "[{clip: [-1, 2.5]}, log1p, {scale: 3}]"},
    };
    static const char *const refused[] = {"[log1p",
                                          "log1p]",
                                          "[log1p,]",
                                          "[{scale}]",
                                          "[{scale: 1, clip: 2}]",
                                          "[{clip: [1]}]",
                                          "[{clip: [2, 1]}]",
                                          "[{clip: [0, 1, 2]}]",
                                          "[{scale: nan}]",
                                          "[log]",
                                          "[log1p log1p]",
                                          "[log1p,log1p,log1p,log1p,log1p,log1p,log1p,log1p,log1p]",
                                          "{scale: 1}}",
                                          ""};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *yaml = ls_format("%sdata.transform: %s\n", MINIMAL, cases[i].given);
        ls_config *c = parse_with(yaml, NULL);
        ls_text text = {0};
        ls_config_write(c, &text);
        char *line = ls_format("\n  transform: %s\n", cases[i].written);
        cr_expect_not_null(strstr(text.data, line), "%s", text.data);
        if (cases[i].given[0] != '\n')
            cr_expect_eq(ls_config_set(c, "data.transform", cases[i].given), LS_OK);
        ls_text_free(&text);
        ls_config_free(c);
        ls_free(line);
        ls_free(yaml);
    }
    ls_config *c = parse_with(MINIMAL, NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        cr_expect_eq(ls_config_set(c, "data.transform", refused[i]), LS_ERR_INPUT, "%s",
                     refused[i]);
        ls_message_set("");
    }
    ls_config_free(c);
}

/* system tests: JSON, read strictly. */
#ifndef LOCKSTEP_TESTS_JSON_H
#define LOCKSTEP_TESTS_JSON_H

#include <stdbool.h>

/* The test fails unless the text is one JSON value (RFC 8259) and blanks. */
void json_check(const char *text);
/* The value at a path such as "phases.forward.mean" or "layers.0.name" below `value`, in text that
 * was checked; NULL where there is none. */
const char *json_find(const char *value, const char *path);
/* The same as a number or as the string's raw characters; the test fails where there is none. */
double json_number(const char *value, const char *path);
char *json_string(const char *value, const char *path);
/* The elements of an array, one after another: first with NULL; NULL at the end. */
const char *json_next(const char *array, const char *element);

#endif

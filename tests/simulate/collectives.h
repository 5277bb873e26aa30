/* tests/simulate: what collectives.c may leave out. */
#ifndef LOCKSTEP_TESTS_SIMULATE_COLLECTIVES_H
#define LOCKSTEP_TESTS_SIMULATE_COLLECTIVES_H

#include <stdbool.h>

/* Large arrays hold anything, and are one for all ranks: they are sent, but not copied or added. */
extern bool collectives_without_numbers;

#endif

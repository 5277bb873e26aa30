/* optim, inside: hot loops are compiled for several instruction sets and chosen at start.  Element
 * by element arithmetic without contraction: every variant gives the same bits. */
#ifndef LOCKSTEP_OPTIM_CLONES_H
#define LOCKSTEP_OPTIM_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(LS_DEBUG)
#define LS_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LS_CLONES
#endif

#endif

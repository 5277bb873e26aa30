/* How this library was built: the Makefile passes the values to this file only, so that a new
 * revision recompiles nothing else. */
#include "lockstep/build.h"

#ifndef LS_VERSION
#define LS_VERSION "0.0.0"
#endif
#ifndef LS_GIT_REVISION
#define LS_GIT_REVISION "unknown"
#endif
#ifndef LS_COMPILER
#define LS_COMPILER "unknown"
#endif
#ifndef LS_FLAGS
#define LS_FLAGS ""
#endif

const char *ls_build_version(void) {
    return LS_VERSION;
}

const char *ls_build_revision(void) {
    return LS_GIT_REVISION;
}

const char *ls_build_compiler(void) {
    return LS_COMPILER;
}

const char *ls_build_flags(void) {
    return LS_FLAGS;
}

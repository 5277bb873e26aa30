/* build: how this library was built.  Static strings.  Not collective. */
#ifndef LOCKSTEP_BUILD_H
#define LOCKSTEP_BUILD_H

#ifdef __cplusplus
extern "C" {
#endif

const char *ls_build_revision(void); /* of git, with "-dirty" if so; "unknown" outside a checkout */
const char *ls_build_compiler(void); /* "gcc 12.2.0" */
const char *ls_build_flags(void);    /* compiler flags */

#ifdef __cplusplus
}
#endif
#endif

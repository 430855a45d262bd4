// The little of the standard library that a policy needs: there is no system below it.
#ifndef TERO_STDLIB_H
#define TERO_STDLIB_H
#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *old, size_t size);
void free(void *freed);
// Ends the call with a trap: it is logged, and the response's own fields decide.
_Noreturn void abort(void);

#endif

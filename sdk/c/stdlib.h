// The part of the standard library that a policy needs. There is no operating system below it.
#ifndef TERO_STDLIB_H
#define TERO_STDLIB_H
#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *old, size_t size);
void free(void *freed);
// Ends the call with a trap. The trap is logged, and the response's own fields decide.
_Noreturn void abort(void);

#endif

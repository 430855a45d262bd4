// An allocator and a few functions over bytes. Sizes are rounded up to powers of two, and a freed block is kept for the next request
// of its size. So memory neither leaks nor fragments, however long an instance lives.
#include "stdlib.h"
#include "string.h"
#include <stdint.h>

#define CLASSES 32
#define PAGE 65536

typedef struct block {
  // The exponent of the block size, header included. The header lies before the memory that the caller gets.
  size_t class;
  struct block *next;
} block_t;

#define HEAD 16
_Static_assert(sizeof(block_t) <= HEAD, "a block's head has room");

extern uint8_t __heap_base;
static uintptr_t unused = 0;
static block_t *freed[CLASSES];

static block_t *cut(size_t class) {
  if (!unused) unused = ((uintptr_t)&__heap_base + HEAD - 1) & ~(uintptr_t)(HEAD - 1);
  size_t size = (size_t)1 << class;
  uintptr_t end = unused + size;
  size_t there = __builtin_wasm_memory_size(0) * PAGE;
  if (end < unused) return NULL;
  if (end > there && __builtin_wasm_memory_grow(0, (end - there + PAGE - 1) / PAGE) == (size_t)-1) return NULL;
  block_t *block = (block_t *)unused;
  unused = end;
  return block;
}

void *malloc(size_t size) {
  size_t class = 5;
  while (class < CLASSES && ((size_t)1 << class) - HEAD < size) class++;
  if (class == CLASSES) return NULL;
  block_t *block = freed[class];
  if (block) {
    freed[class] = block->next;
  } else if (!(block = cut(class))) {
    return NULL;
  }
  block->class = class;
  return (uint8_t *)block + HEAD;
}

void free(void *memory) {
  if (!memory) return;
  block_t *block = (block_t *)((uint8_t *)memory - HEAD);
  block->next = freed[block->class];
  freed[block->class] = block;
}

void *realloc(void *old, size_t size) {
  if (!old) return malloc(size);
  size_t room = ((size_t)1 << ((block_t *)((uint8_t *)old - HEAD))->class) - HEAD;
  if (size <= room) return old;
  void *new = malloc(size);
  if (new) {
    memcpy(new, old, room);
    free(old);
  }
  return new;
}

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *to, const void *from, size_t size) {
  for (size_t at = 0; at < size; at++) ((uint8_t *)to)[at] = ((const uint8_t *)from)[at];
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  if (to <= from) return memcpy(to, from, size);
  for (size_t at = size; at > 0; at--) ((uint8_t *)to)[at - 1] = ((const uint8_t *)from)[at - 1];
  return to;
}

void *memset(void *to, int byte, size_t size) {
  for (size_t at = 0; at < size; at++) ((uint8_t *)to)[at] = (uint8_t)byte;
  return to;
}

int memcmp(const void *one, const void *other, size_t size) {
  const uint8_t *a = one, *b = other;
  for (size_t at = 0; at < size; at++)
    if (a[at] != b[at]) return a[at] < b[at] ? -1 : 1;
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

// wit-bindgen's bindings need the object that names the contract. `tero policy build` writes this into the module itself.
void __component_type_object_force_link_policy(void) {}

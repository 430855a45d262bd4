// What makes the bindings handy: the texts of a question, its fields and cookies, and answers with texts of the program.
//
// A question comes with its texts in one string, and spans point into it. Texts of a question last until the function returns; what
// an answer holds is freed by the caller, so it is copied.

#ifndef TERO_H
#define TERO_H

#include "policy.h"
#include <string.h>

// A span of the texts of a question.
static inline policy_string_t tero_text(const policy_string_t *texts, const policy_span_t *span) {
  policy_string_t text = {texts->ptr + span->start, span->length};
  return text;
}

static inline bool tero_is(policy_string_t text, const char *expected) {
  return text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
}

static inline bool tero_starts_with(policy_string_t text, policy_string_t start) {
  return text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}

// The first line of a field, or a cookie, by its name; names of fields are in lower case.
static inline bool tero_find(const policy_string_t *texts, const tero_policy_types_list_field_t *fields, const char *name, policy_string_t *value) {
  for (size_t i = 0; i < fields->len; i++) {
    if (!tero_is(tero_text(texts, &fields->ptr[i].name), name)) continue;
    *value = tero_text(texts, &fields->ptr[i].value);
    return true;
  }
  return false;
}

static inline bool tero_header(const policy_string_t *texts, const policy_request_t *request, const char *name, policy_string_t *value) {
  return tero_find(texts, &request->headers, name, value);
}

static inline bool tero_cookie(const policy_string_t *texts, const policy_request_t *request, const char *name, policy_string_t *value) {
  return tero_find(texts, &request->cookies, name, value);
}

// Minutes since local midnight.
static inline int32_t tero_mins(const policy_moment_t *now) { return now->hour * 60 + now->minute; }

// Sets a text of an answer that may be left out.
static inline void tero_say(policy_option_string_t *field, const char *text) {
  field->is_some = true;
  policy_string_dup(&field->val, text);
}

// The value of a key in a data table of the manifest. Free it with `policy_string_free`.
static inline bool tero_get(const char *table, policy_string_t key, policy_string_t *value) {
  policy_string_t name = {(uint8_t *)table, strlen(table)};
  return tero_policy_tables_get(&name, &key, value);
}

// Answers with a redirect. `location` is copied.
static inline void tero_redirect(policy_request_decision_t *decision, uint16_t status, policy_string_t location) {
  decision->answer.is_some = true;
  tero_policy_types_answer_t *answer = &decision->answer.val;
  answer->status = status;
  answer->fields.len = 1;
  answer->fields.ptr = malloc(sizeof *answer->fields.ptr);
  policy_string_dup(&answer->fields.ptr[0].f0, "location");
  policy_string_dup_n(&answer->fields.ptr[0].f1, (const char *)location.ptr, location.len);
  policy_string_dup(&answer->body, "");
}

#endif

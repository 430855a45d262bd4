// Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
// closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored.
//
// A function owns its arguments and frees them. The caller frees the result, so texts are copied (policy_string_dup).

#include <stdlib.h>

#include "bindings/tero.h"

// Minutes since midnight.
static int32_t open_mins, close_mins;
static policy_string_t private_path;

// ── Settings ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
// Settings are JSON text. This policy reads only one table of texts without escapes.

typedef struct {
  const uint8_t *at, *end;
} reader_t;

static void skip(reader_t *reader) {
  while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r')) reader->at++;
}

static bool take(reader_t *reader, uint8_t byte) {
  skip(reader);
  if (reader->at == reader->end || *reader->at != byte) return false;
  reader->at++;
  return true;
}

static bool take_text(reader_t *reader, policy_string_t *text) {
  if (!take(reader, '"')) return false;
  text->ptr = (uint8_t *)reader->at;
  while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\') reader->at++;
  text->len = (size_t)(reader->at - text->ptr);
  return take(reader, '"');
}

static bool digits(const uint8_t *at, int32_t *number) {
  if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9') return false;
  *number = (at[0] - '0') * 10 + (at[1] - '0');
  return true;
}

static bool minutes(const policy_string_t *text, int32_t *mins) {
  int32_t hour, minute;
  if (text->len != 5 || text->ptr[2] != ':' || !digits(text->ptr, &hour) || !digits(text->ptr + 3, &minute)) return false;
  *mins = hour * 60 + minute;
  return hour < 24 && minute < 60;
}

// Refuses the configuration with an error that the operator reads.
static bool refuse(policy_string_t *err, const char *message) {
  policy_string_dup(err, message);
  return false;
}

bool exports_policy_configure(policy_string_t *settings, policy_manifest_t *ret, policy_string_t *err) {
  policy_string_t key, value, zone = {0}, open = {0}, close = {0}, path = {0};
  reader_t reader = {settings->ptr, settings->ptr + settings->len};
  bool more = take(&reader, '{') && !take(&reader, '}');
  while (more) {
    if (!take_text(&reader, &key) || !take(&reader, ':') || !take_text(&reader, &value))
      return refuse(err, "the settings are a table of texts without escapes");
    if (tero_is(key, "zone")) zone = value;
    else if (tero_is(key, "open")) open = value;
    else if (tero_is(key, "close")) close = value;
    else if (tero_is(key, "private")) path = value;
    else return refuse(err, "an unknown key: the keys are `zone`, `open`, `close` and `private`");
    more = take(&reader, ',');
  }
  if (!zone.ptr || !path.ptr) return refuse(err, "`zone` and `private` must be texts");
  if (!minutes(&open, &open_mins)) return refuse(err, "`open` is not a time of day: write \"09:00\"");
  if (!minutes(&close, &close_mins)) return refuse(err, "`close` is not a time of day: write \"09:00\"");
  if (close_mins <= open_mins) return refuse(err, "`close` is not after `open`");
  policy_string_dup_n(&private_path, (const char *)path.ptr, path.len);

  memset(ret, 0, sizeof *ret);
  ret->hooks.len = 2;
  ret->hooks.ptr = malloc(2 * sizeof *ret->hooks.ptr);
  ret->hooks.ptr[0] = TERO_POLICY_TYPES_HOOK_ON_REQUEST;
  ret->hooks.ptr[1] = TERO_POLICY_TYPES_HOOK_ON_RESPONSE;
  ret->device = true;
  ret->zone.is_some = true;
  policy_string_dup_n(&ret->zone.val, (const char *)zone.ptr, zone.len);
  ret->variants.len = 1;
  ret->variants.ptr = malloc(sizeof *ret->variants.ptr);
  policy_string_dup(&ret->variants.ptr[0], "mobile");
  policy_string_free(settings);
  return true;
}

// ── Decisions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

static bool is_private(const policy_string_t *texts, const policy_request_t *request) {
  return tero_starts_with(tero_text(texts, &request->path), private_path);
}

void exports_policy_on_request(policy_string_t *texts, policy_request_t *request, policy_moment_t *now, policy_request_decision_t *ret) {
  memset(ret, 0, sizeof *ret);
  if (is_private(texts, request)) {
    ret->lookup.is_some = true;
    ret->lookup.val = TERO_POLICY_TYPES_LOOKUP_PASS;
    tero_say(&ret->reason, "private");
  } else if (request->device == TERO_POLICY_TYPES_DEVICE_MOBILE) {
    tero_say(&ret->variant_name, "mobile");
  }
  policy_string_free(texts);
  policy_request_free(request);
  policy_moment_free(now);
}

// Seconds until a later minute of today, exact also in the night when the clocks change.
static int32_t seconds_until(const policy_moment_t *now, int32_t minute) {
  int32_t secs = (minute - tero_mins(now)) * 60 - now->second;
  if (!now->next_offset_change.is_some || now->next_offset_change.val.unix_secs >= now->unix_secs + (uint64_t)secs) return secs;
  secs -= (now->next_offset_change.val.utc_offset_mins - now->utc_offset_mins) * 60;
  return secs > 0 ? secs : 0;
}

static int32_t least(int32_t one, int32_t other) { return one < other ? one : other; }

void exports_policy_on_response(policy_string_t *texts, policy_request_t *request, policy_response_t *response, policy_moment_t *now, policy_response_decision_t *ret) {
  memset(ret, 0, sizeof *ret);
  if (is_private(texts, request)) {
    ret->storing = TERO_POLICY_TYPES_STORING_NEVER;
    tero_say(&ret->reason, "private");
  } else if (response->status == 200) {
    // Today's hours: no hours on a holiday, and those of the calendar on a half-day.
    int32_t opens = open_mins, closes = close_mins, time = tero_mins(now), ttl = 30 * 60;
    if (now->holiday.is_some) {
      opens = now->holiday.val.open.is_some ? now->holiday.val.open.val.from_mins : 0;
      closes = now->holiday.val.open.is_some ? now->holiday.val.open.val.until_mins : 0;
    }
    bool is_open = opens <= time && time < closes;
    if (is_open) ttl = least(2 * 60, seconds_until(now, closes));
    else if (time < opens) ttl = least(ttl, seconds_until(now, opens));
    ret->storing = TERO_POLICY_TYPES_STORING_ALWAYS;
    ret->ttl_secs.is_some = true;
    ret->ttl_secs.val = (uint32_t)ttl;
    ret->stale_if_error_secs.is_some = true;
    ret->stale_if_error_secs.val = 86400;
    ret->tags.len = 1;
    ret->tags.ptr = malloc(sizeof *ret->tags.ptr);
    policy_string_dup(&ret->tags.ptr[0], "pages");
    tero_say(&ret->reason, is_open ? "open" : "closed");
  }
  policy_string_free(texts);
  policy_request_free(request);
  policy_response_free(response);
  policy_moment_free(now);
}

void exports_policy_plan_warm(policy_string_t *texts, policy_span_t *plan, policy_list_popular_page_t *popular, policy_moment_t *now, policy_list_warm_url_t *ret) {
  memset(ret, 0, sizeof *ret);
  (void)plan;
  policy_string_free(texts);
  policy_list_popular_page_free(popular);
  policy_moment_free(now);
}

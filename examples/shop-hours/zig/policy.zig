//! Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
//! closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored.

const std = @import("std");
const tero = @import("tero.zig");

comptime {
    tero.exportPolicy(@This());
}
pub const panic = tero.panic;

const Settings = struct { zone: []const u8, open: []const u8, close: []const u8, private: []const u8 };

var settings: Settings = undefined;
// Minutes since midnight.
var opens: i32 = 0;
var closes: i32 = 0;

/// The operator reads the refusal, and the configuration is refused.
pub fn configure(text: []const u8) tero.Refusal!tero.Manifest {
    var scanner = std.json.Scanner.initCompleteInput(tero.scratch, text);
    var place: std.json.Diagnostics = .{};
    scanner.enableDiagnostics(&place);
    settings = std.json.parseFromTokenSourceLeaky(Settings, tero.lasting, &scanner, .{ .allocate = .alloc_always }) catch |wrong| switch (wrong) {
        error.UnknownField => return tero.refuse("an unknown key before column {d}: the keys are `zone`, `open`, `close` and `private`", .{place.getColumn()}),
        error.MissingField => return tero.refuse("`zone`, `open`, `close` and `private` must be there", .{}),
        else => return tero.refuse("the settings are a table of texts ({t})", .{wrong}),
    };
    opens = try minutes("open", settings.open);
    closes = try minutes("close", settings.close);
    if (closes <= opens) return tero.refuse("`close` is not after `open`", .{});
    return .{ .device = true, .zone = settings.zone, .variants = &.{"mobile"} };
}

pub fn onRequest(request: tero.Request, _: tero.Moment) tero.RequestDecision {
    if (std.mem.startsWith(u8, request.path, settings.private)) return .{ .lookup = .pass, .reason = "private" };
    return if (request.device == .mobile) .{ .variant_name = "mobile" } else .{};
}

pub fn onResponse(request: tero.Request, response: tero.Response, now: tero.Moment) tero.ResponseDecision {
    if (std.mem.startsWith(u8, request.path, settings.private)) return .{ .storing = .never, .reason = "private" };
    if (response.status != 200) return .{};
    const open, const close = hours(now);
    const is_open = open <= now.mins() and now.mins() < close;
    var ttl: i32 = 30 * 60;
    if (is_open) ttl = @min(2 * 60, secondsUntil(now, close)) else if (now.mins() < open) ttl = @min(ttl, secondsUntil(now, open));
    return .{
        .storing = .always,
        .ttl_secs = @intCast(ttl),
        .stale_if_error_secs = 86_400,
        .tags = &.{"pages"},
        .reason = if (is_open) "open" else "closed",
    };
}

/// Today's hours: no hours on a holiday, and those of the calendar on a half-day.
fn hours(now: tero.Moment) struct { i32, i32 } {
    const holiday = now.holiday orelse return .{ opens, closes };
    const open = holiday.open orelse return .{ 0, 0 };
    return .{ open.from_mins, open.until_mins };
}

/// Seconds until a later minute of today, exact also in the night when the clocks change.
fn secondsUntil(now: tero.Moment, minute: i32) i32 {
    const secs = (minute - now.mins()) * 60 - now.second;
    const change = now.next_offset_change orelse return secs;
    if (change.unix_secs >= now.unix_secs + @as(u64, @intCast(secs))) return secs;
    return @max(secs - (change.utc_offset_mins - now.utc_offset_mins) * 60, 0);
}

fn minutes(name: []const u8, text: []const u8) tero.Refusal!i32 {
    const wrong = "`{s}` is not a time of day: write \"09:00\"";
    if (text.len != 5 or text[2] != ':') return tero.refuse(wrong, .{name});
    const hour = std.fmt.parseInt(u8, text[0..2], 10) catch return tero.refuse(wrong, .{name});
    const minute = std.fmt.parseInt(u8, text[3..5], 10) catch return tero.refuse(wrong, .{name});
    if (hour > 23 or minute > 59) return tero.refuse(wrong, .{name});
    return @as(i32, hour) * 60 + minute;
}

const std = @import("std");
const tero = @import("tero.zig");

comptime {
    tero.exportPolicy(@This());
}
pub const panic = tero.panic;

const until = 2_000_000_000;

pub fn configure(_: []const u8) tero.Refusal!tero.Manifest {
    return .{
        .headers = &.{"x-a"},
        .cookies = &.{"c"},
        .response_headers = &.{"etag"},
        .query = true,
        .device = true,
        .device_source = true,
        .zone = "America/Argentina/Buenos_Aires",
        .network = .{ .ipv4 = 16, .ipv6 = 40 },
        .country = true,
        .region = true,
        .bucket = .{ .experiment = "e", .buckets = 7, .cookie = "v", .network = .{ .ipv4 = 24, .ipv6 = 48 } },
        .route = true,
        .tables = &.{"t"},
        .variants = &.{"a"},
        .query_rules = &.{.{ .parameters = .{ .ignore = &.{"utm_*"} }, .sort = true }},
        .key_parts = &.{"k"},
        .origins = &.{"o"},
        .rate_classes = &.{"r"},
        .request_edits = &.{ "x-q", "x-r" },
        .response_edits = &.{"x-s"},
        .stored_edits = &.{"x-t"},
        .abilities = .{ .rewrite = true, .answer = true, .log_tag = true, .admission = true, .error_ttl = true, .expiry = true },
        .path_patterns = .{ .patterns = &.{ "/all", "/answer", "/rule" }, .each_response = true },
    };
}

fn print(comptime format: []const u8, arguments: anytype) []const u8 {
    return std.fmt.allocPrint(tero.scratch, format, arguments) catch @panic("out of memory");
}

fn number(value: anytype) []const u8 {
    return if (value) |it| print("{d}", .{it}) else "-";
}

fn length(text: ?[]const u8, more: usize) []const u8 {
    const it = text orelse return "-";
    return print("{d}", .{(std.unicode.utf8CountCodepoints(it) catch 0) + more});
}

pub fn onRequest(request: tero.Request, now: tero.Moment) tero.RequestDecision {
    if (std.mem.eql(u8, request.path, "/answer"))
        return .{ .answer = .{ .status = 410, .fields = &.{.{ .name = "x-u", .value = "1" }}, .body = "hóla" } };
    if (std.mem.eql(u8, request.path, "/rule")) return .{ .query = .{ .rule = .{ .parameters = .{ .only = &.{"a"} } } } };
    if (!std.mem.eql(u8, request.path, "/all")) return .{};
    const client = request.client;
    const bucket = number(client.bucket);
    const parts = tero.scratch.dupe(tero.Field, &.{.{ .name = "k", .value = bucket }}) catch @panic("out of memory");
    const first = print("{s} {s} {s} {s} {s} {s} {s} {d} {d}", .{
        request.method,                 request.scheme,              request.host,
        request.path,                   request.query orelse "-",    length(request.header("x-a"), 1),
        request.cookie("c") orelse "-", @backingInt(request.device), @backingInt(request.device_source),
    });
    const second = print("{s} {s} {s} {s} {s} {s} {s} {d} {d}:{d} {s} {d}", .{
        client.network orelse "-",
        client.country orelse "-",
        client.region orelse "-",
        bucket,
        request.route orelse "-",
        tero.get("t", "/all") orelse "-",
        if (tero.longestPrefix("t", "/all/x")) |row| row.key else "-",
        @backingInt(now.weekday),
        now.hour,
        now.minute,
        length(if (now.holiday) |holiday| holiday.name else null, 0),
        @intFromBool(now.nearby_holidays.len > 0),
    });
    return .{
        .lookup = .cache,
        .variant_name = "a",
        .query = .{ .declared = 0 },
        .key_parts = parts,
        .rewrite = .{ .path = "/rewritten", .query = "q=1" },
        .origin = "o",
        .request_edits = &.{ .{ .name = "x-q", .value = "1" }, .{ .name = "x-r", .value = null } },
        .response_edits = &.{.{ .name = "x-s", .value = "2" }},
        .log_tag = "tag",
        .rate_class = "r",
        .reason = print("{s} {s}", .{ first, second }),
    };
}

pub fn onResponse(request: tero.Request, response: tero.Response, now: tero.Moment) tero.ResponseDecision {
    const reason = print("{d} {s} {s} {s} {s} {s} {d}", .{
        response.status,                  response.header("etag") orelse "-",       number(response.length),
        number(response.header_ttl_secs), number(response.header_browser_ttl_secs), request.variant_name orelse "-",
        now.second,
    });
    return switch (response.status) {
        404 => .{ .storing = .never, .expiry = .{ .stale_at = until }, .reason = reason },
        200 => .{
            .storing = .always,
            .admit = false,
            .ttl_secs = 1,
            .error_ttl_secs = 2,
            .browser_ttl_secs = 3,
            .stale_while_revalidate_secs = 4,
            .stale_if_error_secs = 5,
            .expiry = .{ .purge_at = until },
            .edits = &.{.{ .name = "x-t", .value = "3" }},
            .tags = &.{ "t1", "t2" },
            .reason = reason,
        },
        else => .{},
    };
}

pub fn planWarm(plan: []const u8, popular: []const tero.PopularPage, _: tero.Moment) []const tero.WarmUrl {
    const first = popular[0];
    const url = print("/{s}{s}/{d}/{s}/{d}", .{ plan, first.url, first.requests, first.variant_name orelse "-", popular.len });
    return tero.scratch.dupe(tero.WarmUrl, &.{.{ .url = url, .variants = &.{ "a", "mobile" }, .priority = 7 }}) catch @panic("out of memory");
}

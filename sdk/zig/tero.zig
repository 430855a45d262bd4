//! The contract tero:policy@0.2.0 for policies in Zig. It comes with `tero policy new`, and `tero policy build` writes it again.
//!
//! A policy is a file with these functions, and with `comptime { tero.exportPolicy(@This()); }`. Those for hooks that it doesn't
//! have are left out.
//!
//!     pub fn configure(settings: []const u8) tero.Refusal!tero.Manifest
//!     pub fn onRequest(request: tero.Request, now: tero.Moment) tero.RequestDecision
//!     pub fn onResponse(request: tero.Request, response: tero.Response, now: tero.Moment) tero.ResponseDecision
//!     pub fn planWarm(plan: []const u8, popular: []const tero.PopularPage, now: tero.Moment) []const tero.WarmUrl
//!
//! Texts of a question last until the call ends, and so does what `tero.scratch` allocates. What a policy keeps, it allocates with
//! `tero.lasting`.

const std = @import("std");

/// Memory that lasts as long as the instance.
pub const lasting = std.heap.wasm_allocator;
var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);
/// Memory that lasts until the call ends.
pub const scratch = arena.allocator();

// ── What a policy is told ──

pub const Device = enum(u8) { desktop, mobile, tablet, tv, bot, unknown };
pub const DeviceSource = enum(u8) { client_hints, user_agent, nothing };
pub const Weekday = enum(u8) { monday, tuesday, wednesday, thursday, friday, saturday, sunday };

/// Minutes since local midnight.
pub const Opening = extern struct { from_mins: u16, until_mins: u16 };
/// A day of the policy's calendar: closed, or open for the hours of a half-day.
pub const Holiday = struct { name: []const u8, open: ?Opening };
pub const NearbyHoliday = struct { days_ahead: i8, holiday: Holiday };
pub const OffsetChange = extern struct { unix_secs: u64, utc_offset_mins: i16 };

/// The local time of the policy's zone. In `onRequest` it is cut to the minute, and without a zone in the manifest it is the
/// Unix epoch.
pub const Moment = struct {
    unix_secs: u64,
    year: u16,
    month: u8,
    day: u8,
    weekday: Weekday,
    hour: u8,
    minute: u8,
    second: u8,
    utc_offset_mins: i16,
    next_offset_change: ?OffsetChange,
    holiday: ?Holiday,
    nearby_holidays: []const NearbyHoliday,

    /// Minutes since local midnight.
    pub fn mins(now: Moment) i32 {
        return @as(i32, now.hour) * 60 + now.minute;
    }
};

pub const Field = struct { name: []const u8, value: []const u8 };

/// The client, as far as the manifest names it.
pub const Client = struct { network: ?[]const u8, country: ?[]const u8, region: ?[]const u8, bucket: ?u16 };

/// The inputs that the manifest names, and always method, scheme, host and path.
pub const Request = struct {
    method: []const u8,
    scheme: []const u8,
    host: []const u8,
    path: []const u8,
    query: ?[]const u8,
    headers: []const Field,
    cookies: []const Field,
    device: Device,
    device_source: DeviceSource,
    client: Client,
    route: ?[]const u8,
    /// In `onResponse`, the variant that the site's policies chose together.
    variant_name: ?[]const u8,

    /// The first line of a field, by its name in lower case.
    pub fn header(request: Request, name: []const u8) ?[]const u8 {
        return find(request.headers, name);
    }

    pub fn cookie(request: Request, name: []const u8) ?[]const u8 {
        return find(request.cookies, name);
    }
};

pub const Response = struct {
    status: u16,
    headers: []const Field,
    length: ?u64,
    header_ttl_secs: ?u32,
    header_browser_ttl_secs: ?u32,
    key_hash: u64,

    /// The first line of a field, by its name in lower case.
    pub fn header(response: Response, name: []const u8) ?[]const u8 {
        return find(response.headers, name);
    }
};

pub const PopularPage = struct { url: []const u8, requests: u64, variant_name: ?[]const u8 };

fn find(fields: []const Field, name: []const u8) ?[]const u8 {
    for (fields) |field| if (std.mem.eql(u8, field.name, name)) return field.value;
    return null;
}

// ── What a policy answers ──

/// How many bits of a client's address are told.
pub const NetworkPrefix = extern struct { ipv4: u8, ipv6: u8 };
pub const BucketRule = struct { experiment: []const u8, buckets: u16, cookie: ?[]const u8 = null, network: NetworkPrefix };
pub const Abilities = packed struct(u8) {
    rewrite: bool = false,
    answer: bool = false,
    log_tag: bool = false,
    admission: bool = false,
    error_ttl: bool = false,
    expiry: bool = false,
    unused: u2 = 0,
};

/// The patterns by which decisions depend on the path, such as `/shops/*`. The edge asks once for all pages that the same
/// patterns match, so a decision must hold for each of them. A response's length and key hash are told if `each_response` is set.
pub const PathPatterns = struct { patterns: []const []const u8, each_response: bool = false };

/// What decisions depend on, and what the policy may do. Its hooks are the functions that it has.
pub const Manifest = struct {
    headers: []const []const u8 = &.{},
    cookies: []const []const u8 = &.{},
    response_headers: []const []const u8 = &.{},
    query: bool = false,
    device: bool = false,
    device_source: bool = false,
    zone: ?[]const u8 = null,
    network: ?NetworkPrefix = null,
    country: bool = false,
    region: bool = false,
    bucket: ?BucketRule = null,
    route: bool = false,
    tables: []const []const u8 = &.{},
    variants: []const []const u8 = &.{},
    query_rules: []const QueryRule = &.{},
    key_parts: []const []const u8 = &.{},
    origins: []const []const u8 = &.{},
    rate_classes: []const []const u8 = &.{},
    request_edits: []const []const u8 = &.{},
    response_edits: []const []const u8 = &.{},
    stored_edits: []const []const u8 = &.{},
    abilities: Abilities = .{},
    /// `null` if decisions depend on the whole path.
    path_patterns: ?PathPatterns = null,
};

pub const Lookup = enum(u8) { cache, pass };
pub const QueryParameters = union(enum) { all, ignore: []const []const u8, only: []const []const u8 };
pub const QueryRule = struct { parameters: QueryParameters = .all, sort: bool = false };
/// The rule at a place in the manifest, which costs less, or this rule.
pub const QueryChoice = union(enum) { declared: u8, rule: QueryRule };
pub const Rewrite = struct { path: ?[]const u8 = null, query: ?[]const u8 = null };
/// Sets a field, or removes it if `value` is null.
pub const Edit = struct { name: []const u8, value: ?[]const u8 };
pub const Answer = struct { status: u16, fields: []const Field = &.{}, body: []const u8 = "" };

/// A decision about a request. What is left out is left to the next policy, and then to the engine.
pub const RequestDecision = struct {
    lookup: ?Lookup = null,
    variant_name: ?[]const u8 = null,
    query: ?QueryChoice = null,
    key_parts: []const Field = &.{},
    rewrite: ?Rewrite = null,
    origin: ?[]const u8 = null,
    request_edits: []const Edit = &.{},
    response_edits: []const Edit = &.{},
    answer: ?Answer = null,
    log_tag: ?[]const u8 = null,
    rate_class: ?[]const u8 = null,
    reason: ?[]const u8 = null,
};

pub const Storing = enum(u8) { by_headers, never, always };
/// The instant that ends a stored response, in seconds since the Unix epoch.
pub const Expiry = union(enum) { purge_at: u64, stale_at: u64 };

/// A decision about a response. What is left out is left to the next policy, and then to the response's own fields.
pub const ResponseDecision = struct {
    storing: Storing = .by_headers,
    admit: ?bool = null,
    ttl_secs: ?u32 = null,
    error_ttl_secs: ?u32 = null,
    browser_ttl_secs: ?u32 = null,
    stale_while_revalidate_secs: ?u32 = null,
    stale_if_error_secs: ?u32 = null,
    expiry: ?Expiry = null,
    edits: []const Edit = &.{},
    tags: []const []const u8 = &.{},
    reason: ?[]const u8 = null,
};

pub const WarmUrl = struct { url: []const u8, variants: []const []const u8 = &.{}, priority: u8 = 0 };

/// The error of `configure`. `refuse` makes it.
pub const Refusal = error{Refused};
var refusal: []const u8 = "";

/// Refuses the settings with a message that the operator reads.
pub fn refuse(comptime format: []const u8, arguments: anytype) Refusal {
    refusal = std.fmt.allocPrint(scratch, format, arguments) catch "out of memory";
    return error.Refused;
}

// ── The log and the tables ──

const host = struct {
    extern "$root" fn log(text: [*]const u8, length: usize) void;
    extern "tero:policy/tables@0.2.0" fn get(table: [*]const u8, table_length: usize, key: [*]const u8, key_length: usize, result: *Raw(?[]const u8)) void;
    extern "tero:policy/tables@0.2.0" fn @"longest-prefix"(table: [*]const u8, table_length: usize, text: [*]const u8, text_length: usize, result: *Raw(?Row)) void;
};

/// Writes a line to the operator's log.
pub fn log(message: []const u8) void {
    host.log(message.ptr, message.len);
}

/// The value of a key in a data table of the manifest.
pub fn get(table: []const u8, key: []const u8) ?[]const u8 {
    var raw: Raw(?[]const u8) = undefined;
    host.get(table.ptr, table.len, key.ptr, key.len, &raw);
    return if (raw.some == 0) null else raw.value.text();
}

pub const Row = struct { key: []const u8, value: []const u8 };

/// The row with the longest key that `text` begins with; in a table of networks, the smallest network that contains it.
pub fn longestPrefix(table: []const u8, text: []const u8) ?Row {
    var raw: Raw(?Row) = undefined;
    host.@"longest-prefix"(table.ptr, table.len, text.ptr, text.len, &raw);
    return if (raw.some == 0) null else .{ .key = raw.value.key.text(), .value = raw.value.value.text() };
}

/// What is thrown goes to the log, since a trap alone does not name its cause.
pub const panic = std.debug.FullPanic(struct {
    fn explain(message: []const u8, _: ?usize) noreturn {
        log(message);
        @trap();
    }
}.explain);

// ── The canonical ABI: it lays records out as C does ──

const RawSpan = extern struct {
    start: u32,
    length: u32,

    fn text(span: RawSpan) []const u8 {
        return texts[span.start..][0..span.length];
    }
};
const RawText = extern struct {
    at: [*]const u8,
    length: usize,

    fn of(slice: []const u8) RawText {
        // The engine looks at the address of an empty text too, which may be anywhere.
        return if (slice.len == 0) .{ .at = "", .length = 0 } else .{ .at = slice.ptr, .length = slice.len };
    }

    fn text(list: RawText) []const u8 {
        return if (list.length == 0) "" else list.at[0..list.length];
    }
};
fn RawList(comptime T: type) type {
    return extern struct {
        at: [*]const T,
        length: usize,

        fn items(list: @This()) []const T {
            return if (list.length == 0) &.{} else list.at[0..list.length];
        }
    };
}
fn RawOption(comptime T: type) type {
    return extern struct {
        some: u8 = 0,
        value: T = undefined,

        fn get(option: @This()) ?T {
            return if (option.some == 0) null else option.value;
        }
    };
}
/// How the canonical ABI has a type that crosses back from the engine.
fn Raw(comptime T: type) type {
    return switch (T) {
        ?[]const u8 => RawOption(RawText),
        ?Row => RawOption(extern struct { key: RawText, value: RawText }),
        else => unreachable,
    };
}

const RawHoliday = extern struct { name: RawSpan, open: RawOption(Opening) };
const RawNearby = extern struct { days_ahead: i8, holiday: RawHoliday };
const RawMoment = extern struct {
    unix_secs: u64,
    year: u16,
    month: u8,
    day: u8,
    weekday: Weekday,
    hour: u8,
    minute: u8,
    second: u8,
    utc_offset_mins: i16,
    next_offset_change: RawOption(OffsetChange),
    holiday: RawOption(RawHoliday),
    nearby_holidays: RawList(RawNearby),
};
const RawField = extern struct { name: RawSpan, value: RawSpan };
const RawClient = extern struct { network: RawOption(RawSpan), country: RawOption(RawSpan), region: RawOption(RawSpan), bucket: RawOption(u16) };
const RawRequest = extern struct {
    method: RawSpan,
    scheme: RawSpan,
    host: RawSpan,
    path: RawSpan,
    query: RawOption(RawSpan),
    headers: RawList(RawField),
    cookies: RawList(RawField),
    device: Device,
    device_source: DeviceSource,
    client: RawClient,
    route: RawOption(RawSpan),
    variant_name: RawOption(RawSpan),
};
const RawResponse = extern struct {
    status: u16,
    headers: RawList(RawField),
    length: RawOption(u64),
    header_ttl_secs: RawOption(u32),
    header_browser_ttl_secs: RawOption(u32),
    key_hash: u64,
};
const RawPopular = extern struct { url: RawSpan, requests: u64, variant_name: RawOption(RawSpan) };

var texts: []const u8 = "";

fn optional(option: RawOption(RawSpan)) ?[]const u8 {
    return if (option.some == 0) null else option.value.text();
}

fn liftFields(list: RawList(RawField)) []const Field {
    const fields = scratch.alloc(Field, list.length) catch outOfMemory();
    for (list.items(), fields) |raw, *field| field.* = .{ .name = raw.name.text(), .value = raw.value.text() };
    return fields;
}

fn liftRequest(raw: *const RawRequest) Request {
    return .{
        .method = raw.method.text(),
        .scheme = raw.scheme.text(),
        .host = raw.host.text(),
        .path = raw.path.text(),
        .query = optional(raw.query),
        .headers = liftFields(raw.headers),
        .cookies = liftFields(raw.cookies),
        .device = raw.device,
        .device_source = raw.device_source,
        .client = .{
            .network = optional(raw.client.network),
            .country = optional(raw.client.country),
            .region = optional(raw.client.region),
            .bucket = raw.client.bucket.get(),
        },
        .route = optional(raw.route),
        .variant_name = optional(raw.variant_name),
    };
}

fn liftResponse(raw: *const RawResponse) Response {
    return .{
        .status = raw.status,
        .headers = liftFields(raw.headers),
        .length = raw.length.get(),
        .header_ttl_secs = raw.header_ttl_secs.get(),
        .header_browser_ttl_secs = raw.header_browser_ttl_secs.get(),
        .key_hash = raw.key_hash,
    };
}

fn liftHoliday(raw: RawHoliday) Holiday {
    return .{ .name = raw.name.text(), .open = raw.open.get() };
}

fn liftMoment(raw: *const RawMoment) Moment {
    const nearby = scratch.alloc(NearbyHoliday, raw.nearby_holidays.length) catch outOfMemory();
    for (raw.nearby_holidays.items(), nearby) |near, *lifted| lifted.* = .{ .days_ahead = near.days_ahead, .holiday = liftHoliday(near.holiday) };
    return .{
        .unix_secs = raw.unix_secs,
        .year = raw.year,
        .month = raw.month,
        .day = raw.day,
        .weekday = raw.weekday,
        .hour = raw.hour,
        .minute = raw.minute,
        .second = raw.second,
        .utc_offset_mins = raw.utc_offset_mins,
        .next_offset_change = raw.next_offset_change.get(),
        .holiday = if (raw.holiday.get()) |holiday| liftHoliday(holiday) else null,
        .nearby_holidays = nearby,
    };
}

/// The record of the canonical ABI for each type of an answer.
fn Lowered(comptime T: type) type {
    return switch (T) {
        []const u8 => RawText,
        NetworkPrefix, u8, u16, u32, bool, Lookup, Storing => T,
        BucketRule => extern struct { experiment: RawText, buckets: u16, cookie: RawOption(RawText), network: NetworkPrefix },
        QueryRule => extern struct { tag: u8, names: RawList(RawText), sort: bool },
        QueryChoice => extern struct { tag: u8, value: extern union { place: u8, rule: Lowered(QueryRule) } },
        Field => extern struct { name: RawText, value: RawText },
        PathPatterns => extern struct { patterns: RawList(RawText), each_response: bool },
        Rewrite => extern struct { path: RawOption(RawText), query: RawOption(RawText) },
        Edit => extern struct { name: RawText, value: RawOption(RawText) },
        Answer => extern struct { status: u16, fields: RawList(Lowered(Field)), body: RawText },
        Expiry => extern struct { tag: u8, unix_secs: u64 },
        WarmUrl => extern struct { url: RawText, variants: RawList(RawText), priority: u8 },
        else => @compileError("no record for " ++ @typeName(T)),
    };
}

fn lower(comptime T: type, value: T) Lowered(T) {
    return switch (T) {
        []const u8 => RawText.of(value),
        NetworkPrefix, u8, u16, u32, bool, Lookup, Storing => value,
        BucketRule => .{ .experiment = .of(value.experiment), .buckets = value.buckets, .cookie = lowerOption([]const u8, value.cookie), .network = value.network },
        QueryRule => .{
            .tag = @intFromEnum(value.parameters),
            .names = switch (value.parameters) {
                .all => lowerList([]const u8, &.{}),
                .ignore, .only => |names| lowerList([]const u8, names),
            },
            .sort = value.sort,
        },
        QueryChoice => switch (value) {
            .declared => |place| .{ .tag = 0, .value = .{ .place = place } },
            .rule => |rule| .{ .tag = 1, .value = .{ .rule = lower(QueryRule, rule) } },
        },
        Field => .{ .name = .of(value.name), .value = .of(value.value) },
        Rewrite => .{ .path = lowerOption([]const u8, value.path), .query = lowerOption([]const u8, value.query) },
        Edit => .{ .name = .of(value.name), .value = lowerOption([]const u8, value.value) },
        Answer => .{ .status = value.status, .fields = lowerList(Field, value.fields), .body = .of(value.body) },
        Expiry => .{ .tag = @intFromEnum(value), .unix_secs = switch (value) {
            .purge_at, .stale_at => |unix_secs| unix_secs,
        } },
        PathPatterns => .{ .patterns = lowerList([]const u8, value.patterns), .each_response = value.each_response },
        WarmUrl => .{ .url = .of(value.url), .variants = lowerList([]const u8, value.variants), .priority = value.priority },
        else => @compileError("no record for " ++ @typeName(T)),
    };
}

fn lowerOption(comptime T: type, value: ?T) RawOption(Lowered(T)) {
    return if (value) |it| .{ .some = 1, .value = lower(T, it) } else .{};
}

fn lowerList(comptime T: type, values: []const T) RawList(Lowered(T)) {
    if (values.len == 0) return .{ .at = @ptrFromInt(@alignOf(Lowered(T))), .length = 0 };
    const raw = scratch.alloc(Lowered(T), values.len) catch outOfMemory();
    for (values, raw) |value, *lowered| lowered.* = lower(T, value);
    return .{ .at = raw.ptr, .length = raw.len };
}

const Texts = RawList(RawText);
const RawManifest = extern struct {
    hooks: RawList(u8),
    headers: Texts,
    cookies: Texts,
    response_headers: Texts,
    query: bool,
    device: bool,
    device_source: bool,
    zone: RawOption(RawText),
    network: RawOption(NetworkPrefix),
    country: bool,
    region: bool,
    bucket: RawOption(Lowered(BucketRule)),
    route: bool,
    tables: Texts,
    variants: Texts,
    query_rules: RawList(Lowered(QueryRule)),
    key_parts: Texts,
    origins: Texts,
    rate_classes: Texts,
    request_edits: Texts,
    response_edits: Texts,
    stored_edits: Texts,
    abilities: u8,
    path_patterns: RawOption(Lowered(PathPatterns)),
};
/// The manifest, or the text of the refusal in its place.
const RawConfigured = extern struct { failed: u8, answer: extern union { manifest: RawManifest, refusal: RawText } };
const RawRequestDecision = extern struct {
    lookup: RawOption(Lookup),
    variant_name: RawOption(RawText),
    query: RawOption(Lowered(QueryChoice)),
    key_parts: RawList(Lowered(Field)),
    rewrite: RawOption(Lowered(Rewrite)),
    origin: RawOption(RawText),
    request_edits: RawList(Lowered(Edit)),
    response_edits: RawList(Lowered(Edit)),
    answer: RawOption(Lowered(Answer)),
    log_tag: RawOption(RawText),
    rate_class: RawOption(RawText),
    reason: RawOption(RawText),
};
const RawResponseDecision = extern struct {
    storing: Storing,
    admit: RawOption(bool),
    ttl_secs: RawOption(u32),
    error_ttl_secs: RawOption(u32),
    browser_ttl_secs: RawOption(u32),
    stale_while_revalidate_secs: RawOption(u32),
    stale_if_error_secs: RawOption(u32),
    expiry: RawOption(Lowered(Expiry)),
    edits: RawList(Lowered(Edit)),
    tags: Texts,
    reason: RawOption(RawText),
};

fn lowerManifest(manifest: Manifest, hooks: []const u8) RawManifest {
    return .{
        .hooks = lowerList(u8, hooks),
        .headers = lowerList([]const u8, manifest.headers),
        .cookies = lowerList([]const u8, manifest.cookies),
        .response_headers = lowerList([]const u8, manifest.response_headers),
        .query = manifest.query,
        .device = manifest.device,
        .device_source = manifest.device_source,
        .zone = lowerOption([]const u8, manifest.zone),
        .network = lowerOption(NetworkPrefix, manifest.network),
        .country = manifest.country,
        .region = manifest.region,
        .bucket = lowerOption(BucketRule, manifest.bucket),
        .route = manifest.route,
        .tables = lowerList([]const u8, manifest.tables),
        .variants = lowerList([]const u8, manifest.variants),
        .query_rules = lowerList(QueryRule, manifest.query_rules),
        .key_parts = lowerList([]const u8, manifest.key_parts),
        .origins = lowerList([]const u8, manifest.origins),
        .rate_classes = lowerList([]const u8, manifest.rate_classes),
        .request_edits = lowerList([]const u8, manifest.request_edits),
        .response_edits = lowerList([]const u8, manifest.response_edits),
        .stored_edits = lowerList([]const u8, manifest.stored_edits),
        .abilities = @bitCast(manifest.abilities),
        .path_patterns = lowerOption(PathPatterns, manifest.path_patterns),
    };
}

fn lowerRequestDecision(decision: RequestDecision) RawRequestDecision {
    return .{
        .lookup = lowerOption(Lookup, decision.lookup),
        .variant_name = lowerOption([]const u8, decision.variant_name),
        .query = lowerOption(QueryChoice, decision.query),
        .key_parts = lowerList(Field, decision.key_parts),
        .rewrite = lowerOption(Rewrite, decision.rewrite),
        .origin = lowerOption([]const u8, decision.origin),
        .request_edits = lowerList(Edit, decision.request_edits),
        .response_edits = lowerList(Edit, decision.response_edits),
        .answer = lowerOption(Answer, decision.answer),
        .log_tag = lowerOption([]const u8, decision.log_tag),
        .rate_class = lowerOption([]const u8, decision.rate_class),
        .reason = lowerOption([]const u8, decision.reason),
    };
}

fn lowerResponseDecision(decision: ResponseDecision) RawResponseDecision {
    return .{
        .storing = decision.storing,
        .admit = lowerOption(bool, decision.admit),
        .ttl_secs = lowerOption(u32, decision.ttl_secs),
        .error_ttl_secs = lowerOption(u32, decision.error_ttl_secs),
        .browser_ttl_secs = lowerOption(u32, decision.browser_ttl_secs),
        .stale_while_revalidate_secs = lowerOption(u32, decision.stale_while_revalidate_secs),
        .stale_if_error_secs = lowerOption(u32, decision.stale_if_error_secs),
        .expiry = lowerOption(Expiry, decision.expiry),
        .edits = lowerList(Edit, decision.edits),
        .tags = lowerList([]const u8, decision.tags),
        .reason = lowerOption([]const u8, decision.reason),
    };
}

fn kept(value: anytype) *const @TypeOf(value) {
    const place = scratch.create(@TypeOf(value)) catch outOfMemory();
    place.* = value;
    return place;
}

fn outOfMemory() noreturn {
    @panic("out of memory");
}

fn letGo(_: *const anyopaque) callconv(.c) void {
    texts = "";
    _ = arena.reset(.{ .retain_with_limit = 1 << 20 });
}

fn reallocate(old: ?[*]u8, old_length: usize, alignment: usize, length: usize) callconv(.c) [*]u8 {
    const place = scratch.rawAlloc(length, .fromByteUnits(alignment), @returnAddress()) orelse outOfMemory();
    if (old) |from| @memcpy(place[0..@min(old_length, length)], from[0..@min(old_length, length)]);
    return place;
}

/// Exports the functions of a policy: `comptime { tero.exportPolicy(@This()); }`.
pub fn exportPolicy(comptime policy: type) void {
    const has_request = @hasDecl(policy, "onRequest");
    const has_response = @hasDecl(policy, "onResponse");
    const has_warm = @hasDecl(policy, "planWarm");
    const hooks = (if (has_request) [_]u8{0} else [_]u8{}) ++ (if (has_response) [_]u8{1} else [_]u8{}) ++ (if (has_warm) [_]u8{2} else [_]u8{});
    const exported = struct {
        fn configure(settings: [*]const u8, length: usize) callconv(.c) *const RawConfigured {
            const answer = policy.configure(if (length == 0) "" else settings[0..length]) catch
                return kept(RawConfigured{ .failed = 1, .answer = .{ .refusal = .of(refusal) } });
            return kept(RawConfigured{ .failed = 0, .answer = .{ .manifest = lowerManifest(answer, &hooks) } });
        }

        fn onRequest(question: *const extern struct { texts: RawText, request: RawRequest, now: RawMoment }) callconv(.c) *const RawRequestDecision {
            texts = question.texts.text();
            const decision = if (has_request) policy.onRequest(liftRequest(&question.request), liftMoment(&question.now)) else RequestDecision{};
            return kept(lowerRequestDecision(decision));
        }

        fn onResponse(question: *const extern struct { texts: RawText, request: RawRequest, response: RawResponse, now: RawMoment }) callconv(.c) *const RawResponseDecision {
            texts = question.texts.text();
            const decision = if (has_response)
                policy.onResponse(liftRequest(&question.request), liftResponse(&question.response), liftMoment(&question.now))
            else
                ResponseDecision{};
            return kept(lowerResponseDecision(decision));
        }

        fn planWarm(question: *const extern struct { texts: RawText, plan: RawSpan, popular: RawList(RawPopular), now: RawMoment }) callconv(.c) *const RawList(Lowered(WarmUrl)) {
            texts = question.texts.text();
            const popular = scratch.alloc(PopularPage, question.popular.length) catch outOfMemory();
            for (question.popular.items(), popular) |raw, *page| page.* = .{ .url = raw.url.text(), .requests = raw.requests, .variant_name = optional(raw.variant_name) };
            const pages: []const WarmUrl = if (has_warm) policy.planWarm(question.plan.text(), popular, liftMoment(&question.now)) else &.{};
            return kept(lowerList(WarmUrl, pages));
        }
    };
    @export(&reallocate, .{ .name = "cabi_realloc" });
    @export(&exported.configure, .{ .name = "configure" });
    @export(&exported.onRequest, .{ .name = "on-request" });
    @export(&exported.onResponse, .{ .name = "on-response" });
    @export(&exported.planWarm, .{ .name = "plan-warm" });
    for ([_][]const u8{ "configure", "on-request", "on-response", "plan-warm" }) |name| {
        @export(&letGo, .{ .name = "cabi_post_" ++ name });
    }
}
